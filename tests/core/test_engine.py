"""The engine, event by event."""

import pytest

from polytrade.config import Risk
from polytrade.core.cycle import ABANDON_AFTER_NS, FORGET_AFTER_NS
from polytrade.core.effects import (
    Alarmed,
    BookStateChanged,
    CancelOrder,
    PhaseChanged,
    PlaceOrder,
    QuoteStateChanged,
    RequestSnapshot,
)
from polytrade.core.engine import COLD_WAIT_NS, SNAPSHOT_RETRY_NS
from polytrade.core.events import (
    EVENTS,
    BestQuoted,
    BookChanged,
    ClockSkewMeasured,
    ClockTicked,
    FeedDown,
    FeedGap,
    FeedUp,
    FillConfirmed,
    FillFailed,
    LineupSwapped,
    MarketResolved,
    ModeSet,
    OrderAccepted,
    OrderFilled,
    OrderRejected,
    PairsMerged,
    PairsSplit,
    PauseSet,
    PluginQuarantined,
    RebatePaid,
    RecordsLost,
    ReferenceTicked,
    ReloadRejected,
    RunStarted,
    ShadowReset,
    TickSizeChanged,
    TradePrinted,
    VolatilityQuoted,
)
from polytrade.core.ids import ANCHOR, BUY, FAST, NO, SELL, YES
from polytrade.core.quality import QUALITY
from polytrade.core.trust import COLD, STALE, SUSPECT, SYNCED
from polytrade.core.units import MS_NS, SECOND_NS
from tests.core.factory import END_NS, MARKET, SHARE, START_NS, change, listed, snapshot, trade
from tests.core.rig import Rig, ask, bid, of, placed

MARKET_FEED = "polymarket.market/0"
END_MS = (END_NS - START_NS) // MS_NS


def quoting() -> Rig:
    rig = Rig().open()
    rig.want(bid(48), ask(52))
    rig.accept("o1", "o2")
    return rig


def states(effects: list[object]) -> list[tuple[str, str]]:
    return [(e.state, e.reason) for e in effects if isinstance(e, BookStateChanged)]


def wrong(ms: int) -> BookChanged:
    """A change whose hash cannot fit."""
    return BookChanged(0, MARKET, YES, BUY, 4_700, 5 * SHARE, -1, -1, 10_000 + ms, "0" * 40)


def hashed(rig: Rig, ms: int, cents: int = 47, shares: int = 7) -> BookChanged:
    """A change whose hash fits what the book will be."""
    event = BookChanged(0, MARKET, YES, BUY, cents * 100, shares * SHARE, -1, -1, 10_000 + ms, "x")
    copy = Rig().open().market.book
    copy.replace(snapshot({47: 100, 48: 100}, {52: 100, 53: 100}), True)
    copy.change(event, False)
    rig.market.book.last_trade = "0.500"
    event.hash = copy.hash_of(YES, 10_000 + ms, "0.500")
    return event


# -- beginnings ---------------------------------------------------------------------------------


def test_run_starts_once_with_its_money() -> None:
    rig = Rig()
    assert rig.engine.ledger.cash_e6 == 1_000 * SHARE
    with pytest.raises(AssertionError, match="a run starts once"):
        rig.step(RunStarted(0, "again", "paper", 1))


def test_time_never_runs_backwards() -> None:
    rig = Rig()
    rig.tick(100)
    with pytest.raises(AssertionError, match="time ran backwards"):
        rig.engine.step(ClockTicked(rig.ns - 1))
    assert rig.engine.ts_ns == rig.ns


def test_market_goes_through_its_life() -> None:
    rig = Rig()
    rig.open(-500)
    rig.tick(0)
    rig.tick(END_MS - 20_000)
    rig.tick(END_MS)
    rig.step(MarketResolved(0, MARKET, YES, "test"), END_MS + 60_000)
    phases = [e.phase for e in of(rig.effects, PhaseChanged)]
    assert phases == ["listed", "open", "closing", "pending_resolution", "resolved", "redeemed"]


def test_late_start_passes_through_hydrating() -> None:
    rig = Rig()
    rig.tick(100)
    assert rig.market.phase == "hydrating"
    rig.open(200)
    assert rig.market.phase == "open"


@pytest.mark.parametrize("tag", sorted(EVENTS))
def test_events_of_an_unknown_market_or_order_never_stop_the_engine(tag: str) -> None:
    samples = {
        "run_started": None,
        "clock_ticked": ClockTicked(0),
        "market_listed": listed(0, market="0xother"),
        "market_resolved": MarketResolved(0, "?", YES, "x"),
        "book_replaced": snapshot({48: 1}, {52: 1}),
        "book_changed": BookChanged(0, "?", YES, BUY, 4_800, 5, -1, -1, 1, ""),
        "trade_printed": TradePrinted(0, "?", YES, BUY, 4_800, 5, 1, ""),
        "best_quoted": BestQuoted(0, "?", YES, 1, 2, 3),
        "tick_size_changed": TickSizeChanged(0, "?", 100, 10, 1),
        "reference_ticked": ReferenceTicked(0, "DOGE", "x", ANCHOR, 5, 1),
        "volatility_quoted": VolatilityQuoted(0, "deribit", "DOGE", 0.5, 5, 1),
        "feed_up": FeedUp(0, MARKET_FEED),
        "feed_down": FeedDown(0, "binance/0", "closed"),
        "feed_gap": FeedGap(0, MARKET_FEED, "?", "malformed"),
        "order_accepted": OrderAccepted(0, "?", "v"),
        "order_rejected": OrderRejected(0, "?", "no"),
        "order_filled": OrderFilled(0, "?", "f", 1, 1, 0, True, "x"),
        "fill_confirmed": FillConfirmed(0, "?"),
        "fill_failed": FillFailed(0, "?", "x"),
        "pairs_merged": PairsMerged(0, "?", 1),
        "pairs_split": PairsSplit(0, "?", 1),
        "rebate_paid": RebatePaid(0, "?", 1),
        "mode_set": ModeSet(0, "run", "x"),
        "pause_set": PauseSet(0, True),
        "shadow_reset": ShadowReset(0, 2),
        "lineup_swapped": LineupSwapped(0, 2, '{"risk":{}}', '{"glft":"1.0"}', "reload_risk"),
        "reload_rejected": ReloadRejected(0, "risk", "http", "{}", "invalid_value", "", "no"),
        "plugin_quarantined": PluginQuarantined(0, "maker", "too slow"),
        "clock_skew_measured": ClockSkewMeasured(0, 5),
        "records_lost": RecordsLost(0, 5, "disk"),
    }
    event = samples.get(tag, OrderAccepted(0, "?", "v"))
    if event is None:
        return
    rig = Rig()
    if tag == "book_replaced":
        event.market = "?"  # type: ignore[attr-defined]
    rig.step(event, 10)
    assert rig.engine.ts_ns == rig.ns
    unknown = rig.engine.quality()["unknown_market"]
    assert unknown == (1 if tag in ("book_replaced", "book_changed") else 0)


def test_quoted_volatility_is_kept_before_any_price_of_its_symbol() -> None:
    rig = Rig()
    rig.step(VolatilityQuoted(0, "deribit", "ETH", 0.5616, END_MS * 10**9, 0), 10)
    reference = rig.engine.references["ETH"]
    assert reference.price == 0.0
    assert reference.implied_vol(rig.ns) == pytest.approx(1e-4, rel=1e-4)


# -- books --------------------------------------------------------------------------------------


def test_change_of_the_touch_decides_and_a_deeper_one_does_not() -> None:
    rig = quoting()
    before = rig.engine.quoter.decisions
    rig.step(change(BUY, 47, 50, 0, 20))
    assert rig.engine.quoter.decisions == before
    rig.step(change(BUY, 49, 50, 0, 21))
    assert rig.engine.quoter.decisions == before + 1


def test_crossed_book_takes_the_quotes_off_at_once() -> None:
    rig = quoting()
    effects = rig.step(change(BUY, 52, 50, 0, 20), 50)
    assert [e.order_id for e in of(effects, CancelOrder)] == ["o1", "o2"]
    assert rig.market.quote_state == "risk:book_invalid"
    effects = rig.step(change(SELL, 52, 0, 0, 21), 60)
    assert rig.market.trust.verified


def test_mismatch_beyond_the_window_makes_the_book_suspect_and_asks_for_another() -> None:
    rig = quoting()
    rig.market.book.last_trade = "0.500"
    assert rig.step(wrong(10), 3_000) == []
    assert rig.market.trust.unverified_ns
    effects = rig.step(ClockTicked(0), 3_251)
    assert states(effects) == [(SUSPECT, "no hash fitted within the reorder window")]
    assert len(of(effects, CancelOrder)) == 2
    (asked,) = of(effects, RequestSnapshot)
    assert asked.reason == "suspect: no hash fitted within the reorder window"


def test_change_itself_ends_the_window() -> None:
    rig = quoting()
    rig.market.book.last_trade = "0.500"
    rig.step(wrong(10), 3_000)
    assert states(rig.step(wrong(20), 3_300))[0][0] == SUSPECT


def test_fitting_hash_restores_a_suspect_book() -> None:
    rig = quoting()
    rig.step(FeedGap(0, MARKET_FEED, "", "malformed"), 1_000)
    assert rig.market.trust.state == SUSPECT
    rig.gone("o1")
    rig.gone("o2")
    effects = rig.step(hashed(rig, 100), 1_100)
    assert states(effects) == [(SYNCED, "")]
    assert len(placed(effects)) == 2


def test_snapshots_are_asked_for_no_more_often_than_every_two_seconds() -> None:
    rig = quoting()
    asked = len(of(rig.effects, RequestSnapshot))
    for ms in range(10_000, 20_000, 10):
        rig.step(FeedGap(0, MARKET_FEED, MARKET, "malformed"), ms)
        rig.tick(ms)
    count = len(of(rig.effects, RequestSnapshot)) - asked
    assert count == 5
    assert rig.market.trust.resyncs == 5
    assert SNAPSHOT_RETRY_NS == 2 * SECOND_NS


def test_second_snapshot_asked_for_replaces_the_whole_book() -> None:
    """A level from the future would otherwise outlive every snapshot."""
    rig = Rig().open()
    rig.step(change(BUY, 51, 5, 0, 999_999), 100)
    rig.step(FeedGap(0, MARKET_FEED, MARKET, "malformed"), 3_000)
    rig.step(snapshot({48: 100}, {52: 100}, ts_ms=50), 3_100)
    assert rig.market.book.bid_e4 == 5_100
    for ms in (5_000, 7_000):
        rig.step(FeedGap(0, MARKET_FEED, MARKET, "malformed"), ms)
        rig.tick(ms + 50)
    rig.step(snapshot({48: 100}, {52: 100}, ts_ms=60), 7_100)
    assert rig.market.book.bid_e4 == 4_800


def test_cold_market_asks_after_five_seconds() -> None:
    rig = Rig()
    for ms in range(-1_000, -1_000 + COLD_WAIT_NS // MS_NS + 100, 100):
        rig.tick(ms)
    assert [e.reason for e in of(rig.effects, RequestSnapshot)] == ["cold: no snapshot yet"]


def test_ended_market_asks_for_nothing() -> None:
    rig = Rig()
    rig.tick(END_MS)
    rig.effects.clear()
    for ms in range(END_MS + 100, END_MS + 20_000, 100):
        rig.tick(ms)
    assert of(rig.effects, RequestSnapshot) == []


def test_loss_of_the_market_feed_makes_every_book_stale() -> None:
    rig = quoting()
    effects = rig.step(FeedDown(0, MARKET_FEED, "closed"), 1_500)
    assert states(effects) == [(STALE, "closed")]
    assert len(of(effects, CancelOrder)) == 2
    assert len(of(effects, RequestSnapshot)) == 1
    assert rig.market.quote_state == "risk:stale_book"


def test_disconnected_shard_makes_its_market_stale() -> None:
    rig = quoting()
    effects = rig.step(FeedGap(0, MARKET_FEED, MARKET, "disconnected"), 3_000)
    assert states(effects) == [(STALE, "disconnected")]


@pytest.mark.parametrize("source", ["binance/0", "polymarket.rtds/0", "gamma/0", "clob.book/0"])
def test_losses_elsewhere_leave_the_books_alone(source: str) -> None:
    rig = quoting()
    assert rig.step(FeedGap(0, source, "", "malformed"), 3_000) == []
    assert rig.step(FeedDown(0, source, "closed")) == []
    assert rig.engine.quality()["feed_gaps"] == 2


def test_silent_book_of_an_open_market_is_stale_and_speaks_again() -> None:
    rig = quoting()
    for ms in range(100, 3_100, 100):
        rig.refer(ms)
        rig.tick(ms)
    effects = rig.tick(3_101)
    assert states(effects) == [(STALE, "silent")]
    now_ms = START_NS // MS_NS + 3_200
    assert states(rig.step(change(BUY, 47, 50, 0, now_ms), 3_200)) == [(SYNCED, "")]


def test_what_comes_late_keeps_no_book_alive_and_ends_no_silence() -> None:
    rig = quoting()
    start_ms = START_NS // MS_NS
    late_ms = 4_001  # book_stale_ms and a second
    for ms in range(100, 3_200, 100):
        rig.refer(ms)
        rig.step(change(BUY, 47, 50 + ms, 0, start_ms + ms - late_ms), ms)
        rig.tick(ms)
    assert (rig.market.trust.state, rig.market.trust.reason) == (STALE, "silent")
    assert states(rig.step(change(BUY, 47, 7, 0, start_ms + 3_300 - late_ms), 3_300)) == []
    book = snapshot({48: 100}, {52: 100}, ts_ms=start_ms + 3_400 - late_ms)
    assert states(rig.step(book, 3_400)) == []
    # Our clock is a second ahead: it was not late at all.
    rig.engine.risk.clock_skew_ms = 1_000
    book = snapshot({48: 100}, {52: 100}, ts_ms=start_ms + 3_500 - late_ms)
    assert states(rig.step(book, 3_500)) == [(SYNCED, "")]


def test_silence_before_the_start_is_no_fault() -> None:
    rig = Rig(start_ns=START_NS + 60 * SECOND_NS).open(0)
    for ms in range(100, 20_000, 100):
        rig.tick(ms)
    assert rig.market.trust.state == SYNCED


def test_changed_tick_waits_for_a_fresh_book() -> None:
    rig = quoting()
    effects = rig.step(TickSizeChanged(0, MARKET, 100, 10, 50), 3_000)
    assert states(effects) == [(SUSPECT, "tick size changed")]
    assert len(of(effects, CancelOrder)) == 2
    assert rig.step(TickSizeChanged(0, MARKET, 100, 10, 50), 3_001) == []
    assert rig.step(TickSizeChanged(0, MARKET, 10, 10, 51), 3_002) == []
    assert rig.market.book.tick_e4 == 10
    assert states(rig.step(snapshot({48: 100}, {52: 100}, ts_ms=60), 3_100)) == [(SYNCED, "")]


def test_listing_with_another_tick_does_the_same() -> None:
    rig = quoting()
    effects = rig.step(listed(0, settle="spot", lookback_s=0, tick_e4=10), 3_000)
    assert states(effects) == [(SUSPECT, "tick size changed")]


def test_snapshot_of_an_older_tick_does_not_bring_it_back() -> None:
    rig = quoting()
    rig.step(TickSizeChanged(0, MARKET, 100, 10, 50), 3_000)
    late = snapshot({48: 100}, {52: 100}, ts_ms=40)
    late.tick_e4 = 100
    rig.step(late, 3_100)
    assert rig.market.book.tick_e4 == 10


def test_older_snapshot_does_not_vouch_for_newer_changes() -> None:
    """It fits its own hash, but the newest message's hash still does not fit the merged book."""
    rig = quoting()
    rig.market.book.last_trade = "0.500"
    rig.step(wrong(10), 3_000)
    old = snapshot({47: 100, 48: 100}, {52: 100, 53: 100}, ts_ms=500)
    old.last_trade = "0.500"
    old.hash = Rig().open().market.book.hash_of(YES, 500, "0.500")
    rig.step(old, 3_100)
    assert rig.market.trust.state == SYNCED
    assert rig.market.trust.unverified_ns == rig.ns
    assert states(rig.tick(3_351)) == [(SUSPECT, "no hash fitted within the reorder window")]


def test_prices_other_than_stated_are_doubted_where_no_hash_is() -> None:
    rig = quoting()
    odd = change(BUY, 47, 50, 0, 20)
    odd.best_bid_e4, odd.best_ask_e4 = 4_900, 5_200
    rig.step(odd, 3_000)
    assert not rig.market.trust.verified
    rig.step(change(BUY, 49, 50, 0, 21), 3_010)
    right = change(BUY, 47, 51, 0, 22)
    right.best_bid_e4, right.best_ask_e4 = 4_900, 5_200
    rig.step(right, 3_020)
    assert rig.market.trust.verified


def test_stated_best_prices_are_counted() -> None:
    rig = quoting()
    rig.step(BestQuoted(0, MARKET, YES, 4_800, 5_200, 1))
    rig.step(BestQuoted(0, MARKET, YES, 4_700, 5_200, 1))
    rig.step(BestQuoted(0, MARKET, NO, 1, 2, 1))
    quality = rig.engine.quality()
    assert (quality["stated_best_agreed"], quality["stated_best_differed"]) == (1, 1)


# -- references, risk, money --------------------------------------------------------------------


def test_fast_tick_decides_and_anchor_does_not() -> None:
    rig = quoting()
    before, ticks = rig.engine.quoter.decisions, rig.words.ticks
    rig.step(ReferenceTicked(0, "BTC", "rtds", ANCHOR, 6_000_000_000_000, rig.ns), 50)
    assert (rig.engine.quoter.decisions, rig.words.ticks) == (before, ticks)
    rig.refer(60, 60_001.0)
    assert (rig.engine.quoter.decisions, rig.words.ticks) == (before + 1, ticks + 1)


def test_repeated_price_decides_nothing_until_time_does() -> None:
    rig = quoting()
    rig.refer(10)
    before, ticks = rig.engine.quoter.decisions, rig.words.ticks
    price_e8 = round(rig.engine.references["BTC"].price * 1e8)
    for ms in range(11, 110):
        rig.step(ReferenceTicked(0, "BTC", "binance/0", FAST, price_e8, 0), ms)
    assert (rig.engine.quoter.decisions, rig.words.ticks) == (before, ticks + 99)
    rig.step(ReferenceTicked(0, "BTC", "binance/0", FAST, price_e8, 0), 209)
    assert rig.engine.quoter.decisions == before + 1


def test_time_alone_decides_every_tenth_of_a_second() -> None:
    rig = quoting()
    before = rig.engine.quoter.decisions
    for ms in range(20, 1_020, 20):
        rig.tick(ms)
    assert rig.engine.quoter.decisions == before + 10


def test_another_symbols_price_is_never_used() -> None:
    rig = Rig(symbol="ETH")
    rig.open()
    rig.want(bid(48))
    rig.tick(200)
    assert placed(rig.effects) == []
    assert rig.market.quote_state == "risk:stale_reference"


def test_clock_skew_stops_quoting_with_the_next_decision() -> None:
    rig = quoting()
    assert rig.step(ClockSkewMeasured(0, -2_001), 50) == []
    assert len(of(rig.refer(60), CancelOrder)) == 2
    assert rig.market.quote_state == "risk:clock_skew"
    rig.step(ClockSkewMeasured(0, 2_000), 70)
    rig.refer(80)
    assert rig.market.quote_state == "quoting"  # under cancel, but still there


def test_closed_or_refusing_market_takes_no_orders() -> None:
    rig = quoting()
    rig.step(listed(0, settle="spot", lookback_s=0, accepting=False), 50)
    assert len(of(rig.refer(60), CancelOrder)) == 2
    assert rig.market.quote_state == "risk:not_accepting_orders"


def test_fill_moves_money_and_confirmation_frees_the_shares() -> None:
    rig = quoting()
    rig.fill("o1", 10, settled=False)
    ledger = rig.engine.ledger
    assert (rig.held(), ledger.cash_e6) == ((10.0, 0.0), 1_000 * SHARE - 4_800_000)
    assert (rig.engine.fills, ledger.sellable_e6(MARKET, YES)) == (1, 0)
    rig.step(FillConfirmed(0, "f1"))
    assert ledger.sellable_e6(MARKET, YES) == 10 * SHARE


def test_failed_fill_vanishes() -> None:
    rig = quoting()
    rig.words.wishes = []
    rig.fill("o1", 10, settled=False)
    rig.step(FillFailed(0, "f1", "reverted"))
    assert (rig.held(), rig.engine.ledger.cash_e6) == ((0.0, 0.0), 1_000 * SHARE)


def test_splits_and_rebates_are_booked() -> None:
    rig = quoting()
    rig.step(PairsSplit(0, MARKET, 3 * SHARE))
    rig.step(RebatePaid(0, MARKET, 1_234))
    assert rig.held() == (3.0, 3.0)
    assert rig.engine.ledger.rebates_e6 == 1_234


@pytest.mark.parametrize(
    ("event", "name", "detail"),
    [
        (OrderAccepted(0, "o9", "v"), "order_fault", "unknown_order: order_accepted o9"),
        (FillConfirmed(0, "f9"), "ledger_fault", "not_pending: fill_confirmed"),
        (PairsMerged(0, MARKET, 5), "ledger_fault", "merge_exceeds_position: pairs_merged"),
    ],
)
def test_what_cannot_be_is_an_alarm(event: OrderAccepted, name: str, detail: str) -> None:
    assert quoting().step(event) == [Alarmed(name, detail)]


def test_fill_after_the_cancel_is_booked_and_said() -> None:
    rig = quoting()
    rig.words.wishes = []
    rig.gone("o1")
    effects = rig.fill("o1", 10)
    assert of(effects, Alarmed) == [Alarmed("late_fill", "o1")]
    assert rig.held() == (10.0, 0.0)


def test_fill_id_used_twice_is_an_alarm() -> None:
    rig = quoting()
    rig.words.wishes = []
    rig.step(OrderFilled(0, "o1", "f1", 4_800, 5 * SHARE, 0, True, "x"))
    effects = rig.step(OrderFilled(0, "o2", "f1", 4_800, 5 * SHARE, 0, True, "x"))
    assert of(effects, Alarmed) == [Alarmed("ledger_fault", "duplicate_fill: order_filled")]


def test_losing_close_counts_towards_the_streak() -> None:
    rig = Rig().open()
    rig.buy(YES, 10, 48)
    rig.step(MarketResolved(0, MARKET, NO, "test"), 100)
    assert rig.engine.risk.loss_streak == 1
    assert rig.engine.ledger.realized_e6 == -4_800_000


def test_drawdown_stops_quoting_and_clearing_the_halt_starts_again() -> None:
    rig = Rig(Risk(daily_drawdown_cap_pct=0.001, orders_per_s=500.0)).open()
    rig.tick(0)
    rig.buy(YES, 40, 50)
    rig.step(snapshot({40: 100}, {44: 100}, ts_ms=5), 1_000)
    rig.tick(1_050)
    rig.want(bid(40))
    assert rig.market.quote_state == "risk:drawdown_stop"
    rig.step(ModeSet(0, "halt", "drawdown"), 1_100)
    assert rig.engine.mode_why == "drawdown"
    effects = rig.step(ModeSet(0, "run", "operator"), 1_200)
    assert of(effects, Alarmed) == [Alarmed("mode", "run: operator")]
    assert rig.market.quote_state == "quoting"


def test_books_emptied_at_the_end_are_no_loss() -> None:
    """The venue takes the book down when the market ends; the position is worth what it was."""
    rig = Rig().open()
    rig.tick(0)
    rig.buy(YES, 40, 50)
    rig.step(snapshot({50: 100}, {52: 100}, ts_ms=5), END_MS - 500)
    rig.tick(END_MS - 400)
    equity = rig.engine.risk.equity_e6
    rig.tick(END_MS)
    rig.step(snapshot({}, {}, ts_ms=6), END_MS + 10)
    rig.tick(END_MS + 5_000)
    assert rig.engine.risk.equity_e6 == equity == 1_000 * SHARE
    assert rig.engine.marks()[MARKET].bid_e4 == 5_000


# -- the end ------------------------------------------------------------------------------------


def test_closing_takes_the_quotes_off() -> None:
    rig = quoting()
    effects = rig.tick(END_MS - 20_000)
    assert len(of(effects, CancelOrder)) == 2
    assert rig.market.quote_state == "no_quote_closing"


def test_order_on_its_way_at_the_end_is_cancelled_when_it_arrives() -> None:
    rig = Rig().open()
    rig.want(bid(48))
    rig.tick(END_MS)
    effects = rig.accept("o1")
    assert [e.order_id for e in of(effects, CancelOrder)] == ["o1"]


def test_resolution_cancels_and_redeems_and_the_first_word_counts() -> None:
    rig = quoting()
    rig.words.wishes = []
    rig.fill("o1", 10)
    effects = rig.step(MarketResolved(0, MARKET, YES, "socket"), END_MS)
    assert [e.order_id for e in of(effects, CancelOrder)] == []
    assert rig.engine.ledger.realized_e6 == 5_200_000
    assert rig.step(MarketResolved(0, MARKET, NO, "gamma"), END_MS + 1) == []
    assert rig.market.winner == YES


def test_orders_resting_at_the_resolution_are_cancelled() -> None:
    rig = quoting()
    effects = rig.step(MarketResolved(0, MARKET, YES, "socket"), 500)
    assert [(e.order_id, e.reason) for e in of(effects, CancelOrder)] == [
        ("o1", "resolved"),
        ("o2", "resolved"),
    ]


@pytest.mark.parametrize(
    ("price", "condition", "predicted"),
    [
        (60_001.0, "updown", YES),
        (60_000.0, "updown", YES),
        (59_999.0, "updown", NO),
        (60_001.0, "below", NO),
        (59_999.0, "range", NO),
        (60_000.0, "range", YES),
        (61_999.0, "range", YES),
        (62_000.0, "range", NO),
    ],
)
def test_own_call_of_the_outcome(price: float, condition: str, predicted: int) -> None:
    upper_e8 = 6_200_000_000_000 if condition == "range" else 0
    rig = Rig(condition=condition, upper_e8=upper_e8).open()
    rig.ms = END_MS - 500
    rig.step(ReferenceTicked(0, "BTC", "rtds", ANCHOR, round(price * 1e8), rig.ns))
    rig.tick(END_MS)
    assert rig.market.predicted == predicted


def test_nothing_heard_is_no_call() -> None:
    rig = Rig()
    rig.tick(END_MS)
    assert rig.market.predicted == -1


def test_resolved_market_is_forgotten_and_its_counts_are_kept() -> None:
    rig = Rig().open()
    rig.step(MarketResolved(0, MARKET, YES, "test"), 500)
    before = rig.engine.quality()
    rig.tick(500 + FORGET_AFTER_NS // MS_NS)
    assert MARKET in rig.engine.markets
    rig.tick(2_000 + FORGET_AFTER_NS // MS_NS)
    assert rig.engine.markets == {}
    assert rig.engine.ledger.account(MARKET) is None
    assert rig.words.forgotten == [MARKET]
    assert rig.engine.quality() == before
    rig.refer()


def test_resolved_market_with_an_order_under_way_is_kept() -> None:
    rig = Rig().open()
    rig.want(bid(48))
    rig.step(MarketResolved(0, MARKET, YES, "test"), 500)
    late = 2_000 + FORGET_AFTER_NS // MS_NS
    rig.tick(late)
    assert MARKET in rig.engine.markets
    rig.step(OrderRejected(0, "o1", "closed"))
    rig.tick(late + 1_000)
    assert rig.engine.markets == {}


def test_ended_market_without_an_outcome_is_forgotten_unless_something_is_held() -> None:
    rig = Rig().open()
    other = listed(0, market="0xother", start_ns=START_NS, end_ns=END_NS)
    rig.step(other)
    rig.buy(YES, 10, 48)
    late = END_MS + ABANDON_AFTER_NS // MS_NS
    rig.tick(late - 1)
    assert set(rig.engine.markets) == {MARKET, "0xother"}
    rig.tick(late + 1_000)
    rig.tick(late + 2_000)
    assert set(rig.engine.markets) == {MARKET}
    rig.step(MarketResolved(0, MARKET, YES, "late"))
    rig.tick(late + FORGET_AFTER_NS // MS_NS + 5_000)
    assert rig.engine.markets == {}


def test_memory_stays_flat_over_many_windows() -> None:
    rig = Rig()
    for number in range(60):
        start = START_NS + number * 300 * SECOND_NS
        name = f"0x{number}"
        rig.ms = number * 300_000
        rig.step(listed(0, market=name, start_ns=start, end_ns=start + 300 * SECOND_NS))
        rig.step(MarketResolved(0, name, NO, "test"))
        rig.tick(rig.ms + 1_000)
        assert len(rig.engine.markets) <= 5
    assert len(rig.engine.risk._buckets) == 0


def test_listing_under_another_symbol_follows_its_price() -> None:
    rig = Rig().open()
    rig.buy(YES, 10)
    rig.step(listed(0, settle="spot", lookback_s=0, symbol="ETH"))
    assert rig.engine.ledger.symbol_exposure_e6("ETH") == 5 * SHARE
    before = rig.engine.quoter.decisions
    rig.refer(50)  # BTC
    assert rig.engine.quoter.decisions == before
    tick = ReferenceTicked(0, "ETH", "binance/0", 0, 300_000_000_000, 0)
    rig.step(tick, 60)
    assert rig.engine.quoter.decisions == before + 1


def test_quality_has_every_row_and_nothing_else() -> None:
    assert tuple(Rig().engine.quality()) == QUALITY


def test_state_of_a_quote_is_said_when_it_changes_only() -> None:
    rig = Rig().open()
    said = [e.state for e in of(rig.effects, QuoteStateChanged)]
    for ms in range(100, 1_000, 100):
        rig.refer(ms)
    assert [e.state for e in of(rig.effects, QuoteStateChanged)] == said
    assert said[-1] == "no_quote_edge"
    rig.words.fair = -1.0
    rig.refer(1_000)
    assert rig.market.quote_state == "no_quote_vol_warmup"


def test_cold_book_is_never_quoted_on() -> None:
    rig = Rig(condition="other")
    rig.refer(0)
    rig.want(bid(48))
    rig.step(change(BUY, 48, 5, 0, 1))
    rig.step(change(SELL, 52, 5, 0, 2))
    rig.tick(200)
    assert (rig.market.trust.state, of(rig.effects, PlaceOrder)) == (COLD, [])


def test_prints_are_guesses_of_the_next_hash() -> None:
    rig = Rig().open()
    rig.step(trade(BUY, 52, 5, 0))
    event = hashed(rig, 30)
    book = rig.market.book
    book.last_trade = "0.990"
    fitting = event.hash
    event.hash = fitting
    copy = Rig().open().market.book
    copy.change(event, False)
    event.hash = copy.hash_of(YES, event.venue_ts_ms, "0.520")
    rig.step(event, 50)
    assert (book.last_trade, rig.market.trust.matched) == ("0.520", 1)
