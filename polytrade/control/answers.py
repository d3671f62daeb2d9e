"""The JSON shapes of the control plane's answers, made from a `DaemonStatus`.

Money and sizes leave as exact decimal numbers: integers with a scale are written out digit by
digit, never through a float. What is not known is null.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import attrs
import orjson

from polytrade.core.units import MS_NS, ONE_E6, SECOND_NS, decimal_text
from polytrade.metrics import METRICS, SUMMARY
from polytrade.runtime.command_requests import Closed, FlattenReply, Left
from polytrade.runtime.status import DaemonStatus, MarketRow, OrderRow

COUNTED_QUALITY: Final = (
    "data_valid_ratio",
    "seq_gap_rate",
    "ts_inversion_rate",
    "stale_tick_drop_ratio",
    "book_freshness_ms",
    "ref_freshness_ms",
    "clock_skew_ms",
    "records_total",
    "book_ticks_total",
    "ref_ticks_total",
    "seq_gaps_total",
    "ts_inversions_total",
    "records_lost_total",
)


def encode(body: object) -> bytes:
    """Compact JSON with a line end, friendly to a terminal."""
    return orjson.dumps(body, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS)


def number(value: int, digits: int) -> orjson.Fragment:
    """A scaled integer as an exact JSON number: -1250000 at 6 digits is -1.25."""
    sign = "-" if value < 0 else ""
    return orjson.Fragment((sign + decimal_text(abs(value), digits)).encode())


def usdc(cash_e6: int) -> orjson.Fragment:
    """Money in USDC."""
    return number(cash_e6, 6)


def shares(size_e6: int) -> orjson.Fragment:
    """A number of shares."""
    return number(size_e6, 6)


def price(price_e4: int | None) -> orjson.Fragment | None:
    """A price, null where there is none."""
    return None if price_e4 is None else number(price_e4, 4)


def rfc3339(ts_ns: int) -> str:
    """UTC with milliseconds."""
    moment = datetime.fromtimestamp(ts_ns // SECOND_NS, tz=UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{ts_ns % SECOND_NS // MS_NS:03d}Z"


def health(status: DaemonStatus) -> dict[str, Any]:
    """`GET /health`."""
    return {
        "status": status.health,
        "ready": status.ready,
        "paused": status.paused,
        "mode": status.mode,
        "engine_mode": status.engine_mode,
        "engine_why": status.engine_why,
        "version": status.version,
        "run_id": status.run_id,
        "uptime_sec": number(status.uptime_ns // MS_NS, 3),
        "generation": status.reloads.generation,
        "faults": [attrs.asdict(fault) for fault in status.faults],
        "warnings": status.warnings,
        "tasks": [attrs.asdict(task) for task in status.tasks],
        "feeds": [attrs.asdict(feed) for feed in status.feeds],
        "hosts": [
            {
                "name": host.name,
                "reachable": host.reachable,
                "last_error": host.last_error,
                "since": rfc3339(host.since_ts_ns) if host.since_ts_ns else None,
            }
            for host in status.hosts
        ],
    }


def positions(status: DaemonStatus) -> dict[str, Any]:
    """`GET /state/positions`: every market with a position, an order or a booked result."""
    rows = [_position(market) for market in status.markets if _booked(market)]
    return {"ts": rfc3339(status.ts_ns), "positions": rows}


def pnl(status: DaemonStatus) -> dict[str, Any]:
    """`GET /state/pnl`; `max_drawdown_pct` is a share of the capital, as in the risk settings."""
    row = status.pnl
    return {
        "ts": rfc3339(status.ts_ns),
        "realized": usdc(row.realized_e6),
        "unrealized": usdc(row.unrealized_e6),
        "fees": usdc(row.fees_e6),
        "rebates": usdc(row.rebates_e6),
        "equity": usdc(row.equity_e6),
        "equity_mid": usdc(row.equity_mid_e6),
        "peak_equity": usdc(row.peak_equity_e6),
        "max_drawdown_pct": number(row.max_drawdown_e6, 6),
        "daily_pnl": usdc(row.daily_pnl_e6),
    }


def quality(status: DaemonStatus) -> dict[str, Any]:
    """`GET /quality`: how far the data may be trusted, and how fast it is handled."""
    readings = status.readings
    return {
        "ts": rfc3339(status.ts_ns),
        "window_id": status.window_id,
        **{name: readings.value(name) for name in COUNTED_QUALITY},
        "invalid_records": _by_label(status, "invalid_records_total"),
        "feed_gaps": _by_label(status, "feed_gaps_total"),
        "events": _by_label(status, "events_total"),
        "hashes": attrs.asdict(status.hashes),
        "books": [
            {
                "slug": market.slug,
                "state": market.book_state,
                "reason": market.book_reason,
            }
            for market in status.markets
        ],
        "feeds": [
            {
                "name": feed.name,
                "messages": feed.messages,
                "malformed": feed.malformed,
                "reconnects": feed.reconnects,
            }
            for feed in status.feeds
        ],
        "latency": dict(_latencies(status)),
        "engine": dict(status.quality),
    }


def flattened(reply: FlattenReply) -> dict[str, Any]:
    """`POST /control/flatten`; `ok` says whether nothing is left."""
    return {
        "ok": not reply.left,
        "cancelled": list(reply.cancelled),
        "closed": [_closed(row) for row in reply.closed],
        "left": [_left(row) for row in reply.left],
    }


def _closed(row: Closed) -> dict[str, Any]:
    return {
        "market": row.market,
        "slug": row.slug,
        "token": row.token,
        "side": row.side,
        "size": shares(row.size_e6),
        "price": price(row.price_e4),
        "notional_usdc": usdc(row.notional_e6),
    }


def _left(row: Left) -> dict[str, Any]:
    return {
        "market": row.market,
        "slug": row.slug,
        "token": row.token,
        "size": shares(row.size_e6),
        "why": row.why,
    }


def _booked(market: MarketRow) -> bool:
    return bool(
        market.yes_e6
        or market.no_e6
        or market.orders
        or market.realized_e6
        or market.unrealized_e6
        or market.fees_e6
    )


def _position(market: MarketRow) -> dict[str, Any]:
    return {
        "market": market.market,
        "slug": market.slug,
        "symbol": market.symbol,
        "phase": market.phase,
        "book_state": market.book_state,
        "yes": shares(market.yes_e6),
        "no": shares(market.no_e6),
        "avg_yes": _average(market.cost_yes_e6, market.yes_e6),
        "avg_no": _average(market.cost_no_e6, market.no_e6),
        "realized_usdc": usdc(market.realized_e6),
        "unrealized_usdc": usdc(market.unrealized_e6),
        "fees_usdc": usdc(market.fees_e6),
        "mark_yes": price(market.mark_yes_e4),
        "exposure_usdc": usdc(market.exposure_e6),
        "open_orders": [_order(order) for order in market.orders],
    }


def _order(order: OrderRow) -> dict[str, Any]:
    return {
        "order_id": order.order_id,
        "token": order.token,
        "side": order.side,
        "price": price(order.price_e4),
        "size": shares(order.size_e6),
        "filled": shares(order.filled_e6),
        "state": order.state,
        "engine": order.engine,
    }


def _average(cost_e6: int, size_e6: int) -> orjson.Fragment | None:
    """The average price paid, to 1e-6 USDC rounded down; null for an empty position."""
    return number(cost_e6 * ONE_E6 // size_e6, 6) if size_e6 else None


def _by_label(status: DaemonStatus, name: str) -> dict[str, float]:
    values = status.readings.values.get(name, {})
    return {labels[0]: value for labels, value in sorted(values.items())}


def _latencies(status: DaemonStatus) -> Iterator[tuple[str, dict[str, Any]]]:
    for row in METRICS.values():
        if row.kind == SUMMARY:
            found = status.latency(row.name)
            yield (
                row.name,
                {"count": found.count, "p50": found.p50, "p90": found.p90, "p99": found.p99},
            )
