"""Invented statuses the control and terminal tests read."""

from polytrade.metrics import LatencyRecorder, Quantiles, Readings
from polytrade.runtime.status import (
    AlarmRow,
    DaemonStatus,
    FeedRow,
    HashRow,
    HostRow,
    MarketRow,
    OrderRow,
    PnlRow,
    QueueRow,
    TaskRow,
)

NOW_NS = 1_790_000_000_123_000_000


def readings() -> Readings:
    """Some counters, and a latency with the samples 1, 2, ... 100 ms."""
    out = Readings()
    out.put("events_total", 41, "book_changed")
    out.put("fills_total", 3, "maker")
    out.put("orders_placed_total", 7, "maker")
    out.put("data_valid_ratio", 0.99)
    out.put("stale_tick_drop_ratio", 0.025)
    recorder = LatencyRecorder()
    for ms in range(1, 101):
        recorder.record(ms * 1_000_000)
    out.put_summary("tick_to_decision_ms", recorder.quantiles(1_000_000))
    out.put_summary("ack_only_ms", Quantiles())
    return out


def market(slug: str = "btc-updown-5m-1790000100") -> MarketRow:
    """A market with a position, a quote and an order."""
    return MarketRow(
        market="0xab",
        slug=slug,
        symbol="BTC",
        phase="open",
        book_state="synced",
        bid_e4=4800,
        ask_e4=4900,
        fair=0.4861,
        confidence=0.93,
        quote_state="quoting",
        quote_bid_e4=4700,
        quote_ask_e4=5000,
        yes_e6=12_500_000,
        no_e6=0,
        cost_yes_e6=6_000_001,
        realized_e6=-1_250_000,
        unrealized_e6=50_000,
        fees_e6=1_230,
        exposure_e6=8_350_000,
        mark_yes_e4=4800,
        regime="caution",
        tox_score=0.42,
        market_score=81.5,
        active=True,
        orders=(
            OrderRow(order_id="o-1", token="yes", side="buy", price_e4=4700, size_e6=5_000_000),
        ),
    )


def status(**changes: object) -> DaemonStatus:
    """A daemon that is well, with `changes`."""
    fields: dict[str, object] = {
        "ts_ns": NOW_NS,
        "version": "0.1.0",
        "run_id": "run-7",
        "uptime_ns": 3_723_456_000_000,
        "first_book_seen": True,
        "first_reference_seen": True,
        "events": 123_456,
        "events_per_s": 812.4,
        "tasks": (TaskRow(name="strategy", state="running"),),
        "feeds": (
            FeedRow(
                name="binance/0",
                connected=True,
                last_message_age_ms=12,
                rate=100.5,
                messages=9_000,
                malformed=1,
                reconnects=2,
            ),
        ),
        "hosts": (HostRow(name="clob.example", reachable=True, since_ts_ns=NOW_NS),),
        "queues": (QueueRow(name="inbox", depth=2, capacity=256, peak=40, dropped=0),),
        "markets": (market(), MarketRow(market="0xcd", slug="eth-updown-5m-1790000100")),
        "pnl": PnlRow(
            realized_e6=12_345_678,
            unrealized_e6=-500_000,
            fees_e6=1_230,
            equity_e6=1_012_340_000,
            equity_mid_e6=1_012_400_000,
            peak_equity_e6=1_013_000_000,
            max_drawdown_e6=1_200,
            daily_pnl_e6=11_000_000,
        ),
        "hashes": HashRow(verified=1, unverified=1, matched=40, mismatched=2, not_checkable=3),
        "alarms": (AlarmRow(ts_ns=NOW_NS, name="drawdown_stop", detail="equity fell 1.6 %"),),
        "readings": readings(),
        "quality": {"snapshots": 4},
    }
    return DaemonStatus(**{**fields, **changes})  # type: ignore[arg-type]
