"""The meter: what counts, what is valid, what is timed, and that its memory is bounded."""

from polytrade.core.effects import (
    Alarmed,
    BookStateChanged,
    CancelOrder,
    Effect,
    PlaceOrder,
    QuoteStateChanged,
    Refused,
    RequestSnapshot,
)
from polytrade.core.events import (
    BookChanged,
    BookReplaced,
    CancelRejected,
    ClockSkewMeasured,
    ClockTicked,
    Event,
    FeedGap,
    FillFailed,
    MarketListed,
    MarketResolved,
    OrderAccepted,
    OrderCancelled,
    OrderFilled,
    OrderLost,
    OrderRejected,
    RecordsLost,
    ReferenceTicked,
    ShadowReset,
    TradePrinted,
)
from polytrade.core.ids import ANCHOR, BUY, FAST, YES
from polytrade.meter import LABELS_MAX, MARKETS_MAX, SYMBOLS_MAX, Meter

MS = 1_000_000
T0 = 1_790_000_000_000 * MS


def listed(market: str = "m", symbol: str = "BTC") -> MarketListed:
    return MarketListed(
        T0,
        market,
        "slug",
        symbol,
        "updown",
        "1",
        "2",
        100,
        5_000_000,
        False,
        0,
        1,
        0,
        T0,
        T0 + 300_000 * MS,
        "spot",
        0,
        -1,
        True,
        False,
        0,
        "v1",
    )


def changed(ts_ns: int, venue_ms: int, market: str = "m") -> BookChanged:
    return BookChanged(ts_ns, market, YES, BUY, 4800, 1, 4800, 4900, venue_ms, "")


def ticked(
    ts_ns: int, venue_ns: int, source: str = "binance", kind: int = FAST, symbol: str = "BTC"
) -> ReferenceTicked:
    return ReferenceTicked(ts_ns, symbol, source, kind, 1, venue_ns)


def placed(order_id: str) -> PlaceOrder:
    return PlaceOrder(order_id, "m", YES, BUY, 4800, 5, "GTC", True, 0, "maker")


def feed(meter: Meter, *events: Event, effects: tuple[Effect, ...] = ()) -> None:
    for event in events:
        meter.observe(event, effects, 0)


def synced_meter() -> Meter:
    meter = Meter()
    feed(meter, listed())
    feed(meter, ClockTicked(T0), effects=(BookStateChanged("m", "synced", ""),))
    return meter


def counts(meter: Meter, name: str) -> dict[str, float]:
    values = meter.readings(T0).values.get(name, {})
    return {",".join(labels): value for labels, value in values.items()}


def test_events_are_counted_by_kind() -> None:
    meter = synced_meter()
    feed(meter, ClockTicked(T0), ClockTicked(T0))
    assert counts(meter, "events_total") == {"market_listed": 1, "clock_ticked": 3}


def test_stages_of_a_tick_are_recorded() -> None:
    meter = synced_meter()
    meter.observe(changed(T0 + 5 * MS, T0 // MS), (), 2 * MS, 3 * MS)
    readings = meter.readings(T0)
    p50 = {name: found.p50 for name, found in readings.summaries.items() if found.count}
    assert p50 == {
        "source_latency_ms": 5.0,
        "local_backlog_ms": 3.0,
        "feed_in_ms": 8.0,
        "decision_compute_ms": 2.0,
        "tick_to_decision_ms": 5.0,
    }


def test_snapshot_has_no_source_latency() -> None:
    meter = synced_meter()
    feed(meter, BookReplaced(T0, "m", YES, [], [], 100, "?", T0 // MS - 60_000, "", False))
    assert meter.readings(T0).summaries["source_latency_ms"].count == 0
    assert meter.readings(T0).value("data_valid_ratio") == 1.0
    assert meter.readings(T0).value("book_ticks_total") == 1


def test_nothing_seen_has_no_ratios() -> None:
    readings = Meter().readings(T0)
    for name in ("data_valid_ratio", "seq_gap_rate", "ts_inversion_rate", "stale_tick_drop_ratio"):
        assert readings.value(name) is None
    assert readings.value("book_freshness_ms") is None
    assert readings.value("orders_accepted_total") == 0


def test_stale_inverted_and_untrusted_records_are_invalid() -> None:
    meter = synced_meter()
    feed(
        meter,
        changed(T0, T0 // MS - 2000),  # exactly at the limit: valid
        changed(T0 + MS, T0 // MS),  # valid
        changed(T0 + 2 * MS, T0 // MS - 50),  # at the tolerance: valid
        changed(T0 + 3 * MS, T0 // MS - 51),  # an inversion
        changed(T0 + 4 * MS, T0 // MS, market="unknown"),  # nothing known of its book
    )
    feed(meter, changed(T0 + 4000 * MS, T0 // MS + 1))  # stale
    feed(meter, ClockTicked(T0), effects=(BookStateChanged("m", "suspect", "hash"),))
    feed(meter, changed(T0 + 4001 * MS, T0 // MS + 4000))  # its book is suspect
    assert counts(meter, "invalid_records_total") == {"inversion": 1, "gap": 2, "stale": 1}
    readings = meter.readings(T0)
    assert readings.value("records_total") == 7
    assert readings.value("data_valid_ratio") == 3 / 7
    assert readings.value("ts_inversion_rate") == 1 / 7
    assert readings.value("seq_gap_rate") == 1 / 7


def test_reference_after_a_gap_is_invalid_once() -> None:
    meter = Meter()
    feed(
        meter,
        FeedGap(T0, "binance/0", "", "trade_id_gap"),
        ticked(T0, T0, "coinbase"),
        ticked(T0, T0),
        ticked(T0, T0),
    )
    assert counts(meter, "invalid_records_total") == {"gap": 1}


def test_only_proven_gaps_count_as_sequence_gaps() -> None:
    meter = Meter()
    for reason in ("malformed", "disconnected", "inbox_full", "checksum", "sequence_gap"):
        feed(meter, FeedGap(T0, "kraken/0", "", reason))
    assert meter.count("seq_gaps_total") == 2
    assert meter.count("feed_gaps_total") == 5


def test_gap_that_makes_a_book_suspect_is_counted_once() -> None:
    meter = synced_meter()
    effects = (BookStateChanged("m", "suspect", "sequence"),)
    feed(meter, FeedGap(T0, "polymarket.market/0", "m", "sequence"), effects=effects)
    assert meter.count("seq_gaps_total") == 1


def test_anchor_history_after_a_reconnect_is_no_inversion() -> None:
    meter = Meter()
    feed(
        meter,
        ticked(T0, T0, "chainlink", ANCHOR),
        ticked(T0, T0 - 60_000 * MS, "chainlink", ANCHOR),
    )
    assert counts(meter, "ref_source_ticks_total") == {"chainlink": 2}
    assert meter.readings(T0).value("ref_ticks_total") == 2
    assert meter.readings(T0).value("records_total") == 0


def test_sources_and_symbols_are_ordered_apart() -> None:
    meter = Meter()
    feed(
        meter,
        ticked(T0 + 200 * MS, T0 + 200 * MS),
        ticked(T0 + 200 * MS, T0 + 100 * MS, "coinbase"),
        ticked(T0 + 200 * MS, T0 + 100 * MS, symbol="ETH"),
        ticked(T0 + 200 * MS, 0),  # gives no time of its own
    )
    assert meter.count("ts_inversions_total") == 0


def test_book_lag_is_sampled_every_200_ms_against_young_ticks() -> None:
    meter = synced_meter()
    lag = meter.latencies["book_top_lag_ms"]
    feed(meter, changed(T0, 0))
    assert lag.count == 0  # no fast tick yet
    feed(meter, ticked(T0, 0), changed(T0 + 30 * MS, 0), changed(T0 + 60 * MS, 0))
    assert lag.quantiles(MS).sum == 30.0
    feed(meter, changed(T0 + 230 * MS, 0))
    assert lag.quantiles(MS).sum == 260.0
    feed(meter, changed(T0 + 1500 * MS, 0))
    assert lag.count == 2  # the tick is too old


def test_freshness_is_the_age_of_the_newest_record() -> None:
    meter = synced_meter()
    feed(meter, TradePrinted(T0, "m", YES, BUY, 4800, 1, T0 // MS, "t"), ticked(T0 + MS, 0))
    readings = meter.readings(T0 + 10 * MS)
    assert readings.value("book_freshness_ms") == 10.0
    assert readings.value("ref_freshness_ms") == 9.0


def test_acknowledgement_is_timed_from_tick_and_from_sending() -> None:
    meter = Meter()
    meter.observe(ClockTicked(T0), (placed("a"), placed("b"), placed("c")), 2 * MS, 1 * MS)
    feed(meter, OrderAccepted(T0 + 43 * MS, "a", "v"), OrderRejected(T0 + 53 * MS, "b", "no"))
    feed(meter, OrderLost(T0 + 900 * MS, "c", "silence"), OrderAccepted(T0, "unknown", "v"))
    readings = meter.readings(T0)
    assert readings.summaries["tick_to_ack_ms"].sum == 96.0
    assert readings.summaries["ack_only_ms"].sum == 90.0


def test_orders_fills_and_refusals_are_counted() -> None:
    meter = Meter()
    effects = (
        placed("a"),
        CancelOrder("a", "m", "ttl"),
        Refused("m", "maker", YES, BUY, 1, 1, "stale_book", "why"),
        QuoteStateChanged("m", "no_quote_jump"),
        RequestSnapshot("m", "hash"),
        Alarmed("drawdown_stop", "x"),
    )
    feed(meter, ClockTicked(T0), effects=effects)
    feed(
        meter,
        OrderFilled(T0, "a", "f", 4800, 2_500_000, 0, True, "through"),
        OrderFilled(T0, "a", "g", 5000, 1_000_000, 10, False, "taker"),
        OrderCancelled(T0, "a", "ttl"),
        CancelRejected(T0, "a", "gone"),
        FillFailed(T0, "f", "reorg"),
        RecordsLost(T0, 7, "disk"),
        ClockSkewMeasured(T0, -12),
    )
    readings = meter.readings(T0)
    expected = {
        ("orders_placed_total", "maker"): 1,
        ("cancels_requested_total", "ttl"): 1,
        ("refused_total", "stale_book"): 1,
        ("quote_state_changes_total", "no_quote_jump"): 1,
        ("snapshots_requested_total", "hash"): 1,
        ("alarms_total", "drawdown_stop"): 1,
        ("fills_total", "maker"): 1,
        ("fills_total", "taker"): 1,
        ("fill_volume_shares_total",): 3.5,
        ("fill_notional_usdc_total",): 1.7,
        ("orders_cancelled_total",): 1,
        ("cancels_rejected_total",): 1,
        ("fills_failed_total",): 1,
        ("records_lost_total",): 7,
        ("clock_skew_ms",): -12,
    }
    assert {key: readings.value(*key) for key in expected} == expected


def test_new_window_forgets_latencies_and_ratios_and_keeps_counters() -> None:
    meter = synced_meter()
    feed(meter, ticked(T0, 0), changed(T0 + MS, T0 // MS - 5000))
    assert meter.readings(T0).value("data_valid_ratio") == 0.5
    assert meter.readings(T0).value("book_top_lag_p99_ms_by_symbol", "BTC") == 1.0
    feed(meter, ShadowReset(T0 + MS, 2))
    readings = meter.readings(T0)
    assert all(found.count == 0 for found in readings.summaries.values())
    assert readings.value("book_top_lag_p99_ms_by_symbol", "BTC") is None
    assert readings.value("data_valid_ratio") is None
    assert readings.value("records_total") == 2
    feed(meter, ticked(T0 + MS, 0), FeedGap(T0 + MS, "kraken/0", "", "checksum"))
    readings = meter.readings(T0)
    assert (readings.value("data_valid_ratio"), readings.value("seq_gap_rate")) == (1.0, 1.0)


def test_ticks_older_than_the_filter_are_counted() -> None:
    meter = Meter()
    feed(
        meter,
        ticked(T0, T0 - 2000 * MS),  # at the limit
        ticked(T0, T0 - 2001 * MS),
        ticked(T0, 0),  # gives no time of its own
        ticked(T0, T0 - 9000 * MS, "chainlink", ANCHOR),  # no fast tick
    )
    assert meter.readings(T0).value("stale_tick_drop_ratio") == 1 / 3


def test_book_lag_is_kept_by_symbol_within_a_bound() -> None:
    meter = synced_meter()
    feed(meter, listed("e", "ETH"), ticked(T0, 0), ticked(T0, 0, symbol="ETH"))
    feed(meter, changed(T0 + 3 * MS, 0), changed(T0 + 7 * MS, 0, "e"))
    assert counts(meter, "book_top_lag_p99_ms_by_symbol") == {"BTC": 3.0, "ETH": 7.0}
    for number in range(SYMBOLS_MAX):
        feed(meter, ticked(T0, 0, symbol=f"S{number}"), listed(f"m{number}", f"S{number}"))
        feed(meter, changed(T0 + 5 * MS, 0, f"m{number}"))
    assert len(counts(meter, "book_top_lag_p99_ms_by_symbol")) == SYMBOLS_MAX


def test_labels_and_markets_are_bounded() -> None:
    meter = Meter()
    for number in range(LABELS_MAX + 10):
        feed(meter, FeedGap(T0, "x/0", "", f"reason-{number}"))
    gaps = counts(meter, "feed_gaps_total")
    assert len(gaps) == LABELS_MAX + 1
    assert gaps["other"] == 10
    for number in range(MARKETS_MAX + 1):
        feed(meter, listed(f"m{number}"))
    trusted = tuple(BookStateChanged(f"m{n}", "synced", "") for n in (0, MARKETS_MAX))
    feed(meter, ClockTicked(T0), effects=trusted)
    feed(meter, changed(T0, 0, "m0"), changed(T0, 0, f"m{MARKETS_MAX}"))
    assert counts(meter, "invalid_records_total") == {"gap": 1}  # the oldest was forgotten


def test_resolved_market_is_forgotten() -> None:
    meter = synced_meter()
    feed(meter, MarketResolved(T0, "m", YES, "gamma"), changed(T0, T0 // MS))
    assert counts(meter, "invalid_records_total") == {"gap": 1}


def test_observing_changes_neither_event_nor_effects() -> None:
    event, effects = changed(T0, 5), (placed("a"),)
    before = (event.row(), effects[0].row())
    Meter().observe(event, effects, 1)
    assert (event.row(), effects[0].row()) == before
