"""Paper fills: the queue, cancels ahead, prints through, takers, latency, refusals."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polytrade.core.book import MISMATCHED
from polytrade.core.effects import CancelOrder, Effect, MergePairs, SplitPairs
from polytrade.core.events import (
    BookChanged,
    BookReplaced,
    CancelRejected,
    Event,
    FillConfirmed,
    MarketResolved,
    OrderAccepted,
    OrderCancelled,
    OrderFilled,
    OrderRejected,
    PairsMerged,
    PairsSplit,
)
from polytrade.core.fills import PaperSettings, PaperVenue
from polytrade.core.ids import BUY, NO, SELL, YES
from polytrade.core.latency import LatencyDraw
from polytrade.core.units import MS_NS, fee_e6
from tests.core.factory import (
    END_NS,
    MARKET,
    SHARE,
    START_NS,
    change,
    market,
    place,
    snapshot,
    trade,
)

BIDS, ASKS = {47: 100, 48: 40}, {50: 30, 51: 60}


class Bench:
    """A paper venue over one market, with a clock in ms after the window's start."""

    def __init__(self, model: str = "queue", cancels: str = "proportional") -> None:
        self.state = market()
        self.venue = PaperVenue(
            {MARKET: self.state},
            PaperSettings(model, cancels, (10.0,) * 5, (5.0,) * 5, 1, 1_000 * MS_NS),
        )
        self.step(snapshot(BIDS, ASKS))

    def step(self, event: Event) -> None:
        book, trust = self.state.book, self.state.trust
        if isinstance(event, BookReplaced):
            trust.on_snapshot(book.replace(event, True), book.crossed, event.ts_ns)
        elif isinstance(event, BookChanged):
            trust.on_change(book.change(event, True), book.crossed, event.ts_ns)
        self.venue.observe(event)

    def send(self, effect: Effect, ms: int) -> None:
        self.venue.accept(effect, START_NS + ms * MS_NS)

    def answers(self, ms: int) -> list[Event]:
        found = []
        while (event := self.venue.due(START_NS + ms * MS_NS)) is not None:
            found.append(event)
        return found

    def rest(self, **order: object) -> None:
        self.send(place(**order), 0)  # type: ignore[arg-type]
        (accepted,) = self.answers(10)
        assert isinstance(accepted, OrderAccepted)

    def fills(self, ms: int) -> list[tuple[int, int, str]]:
        return [
            (event.price_e4, event.size_e6 // SHARE, event.why)
            for event in self.answers(ms)
            if isinstance(event, OrderFilled)
        ]


def at(ms: int) -> int:
    return START_NS + ms * MS_NS


def test_order_rests_only_after_its_latency() -> None:
    bench = Bench()
    bench.send(place(), 0)
    assert bench.answers(9) == []
    assert bench.answers(10) == [OrderAccepted(at(10), "o1", "paper")]


def test_prints_consume_the_queue_before_the_order() -> None:
    bench = Bench()
    bench.rest()
    bench.step(trade(SELL, 48, 40, at(20)))
    assert bench.fills(100) == []
    bench.step(trade(SELL, 48, 4, at(110)))
    assert bench.fills(200) == [(4800, 4, "queue reached")]
    bench.step(trade(SELL, 48, 50, at(210)))
    assert bench.fills(300) == [(4800, 6, "queue reached")]
    assert bench.venue.idle


def test_print_through_the_level_fills_no_more_than_the_print() -> None:
    bench = Bench()
    bench.rest()
    bench.step(trade(SELL, 47, 3, at(20)))
    assert bench.fills(100) == [(4800, 3, "print through")]


def test_print_of_the_other_token_counts() -> None:
    bench = Bench()
    bench.rest()
    bench.step(trade(BUY, 53, 8, at(20), token=NO))
    assert bench.fills(100) == [(4800, 8, "print through")]


def test_print_on_the_other_side_fills_nothing() -> None:
    bench = Bench()
    bench.rest()
    bench.step(trade(BUY, 48, 500, at(20)))
    assert bench.fills(100) == []


def test_touching_quote_alone_never_fills_in_the_queue_model() -> None:
    bench = Bench()
    bench.rest()
    bench.step(change(BUY, 48, 0, at(20), 2))
    bench.step(change(SELL, 48, 25, at(21), 3))
    assert bench.fills(100) == []


def test_touch_model_fills_whole_at_the_touch() -> None:
    bench = Bench("touch")
    bench.rest()
    bench.step(change(BUY, 48, 0, at(20), 2))
    bench.step(change(SELL, 48, 25, at(21), 3))
    assert bench.fills(100) == [(4800, 10, "touch")]


def test_whole_book_through_the_price_fills_what_it_shows() -> None:
    bench = Bench()
    bench.rest()
    bench.step(change(BUY, 48, 0, at(20), 2))
    bench.step(change(BUY, 47, 0, at(20), 2))
    bench.step(change(SELL, 47, 6, at(21), 3))
    assert bench.fills(100) == [(4800, 6, "book through")]


@pytest.mark.parametrize(("rule", "filled"), [("none", 0), ("proportional", 5), ("front", 10)])
def test_cancels_ahead_follow_the_rule(rule: str, filled: int) -> None:
    """40 ahead; the level grows to 80, then 40 cancel; a print of 25 comes."""
    bench = Bench(cancels=rule)
    bench.rest()
    bench.step(change(BUY, 48, 80, at(20), 2))
    bench.step(change(BUY, 48, 40, at(30), 3))
    bench.step(trade(SELL, 48, 25, at(5_000)))
    assert sum(size for _, size, _ in bench.fills(9_000)) == filled


def test_drop_and_its_late_print_count_once() -> None:
    """The level drops by 10 for a trade whose print comes 90 ms later: 30 are ahead, not 20."""
    bench = Bench()
    bench.rest()
    bench.step(change(BUY, 48, 30, at(20), 2))
    bench.step(trade(SELL, 48, 10, at(110)))
    bench.step(trade(SELL, 48, 30, at(200)))
    assert bench.fills(400) == []
    bench.step(trade(SELL, 48, 2, at(500)))
    assert bench.fills(900) == [(4800, 2, "queue reached")]


def test_print_before_its_drop_counts_once() -> None:
    bench = Bench()
    bench.rest()
    bench.step(trade(SELL, 48, 10, at(20)))
    bench.step(change(BUY, 48, 30, at(60), 2))
    bench.step(trade(SELL, 48, 30, at(200)))
    assert bench.fills(400) == []


def test_crossing_post_only_is_rejected() -> None:
    bench = Bench()
    bench.send(place(cents=50), 0)
    (event,) = bench.answers(10)
    assert isinstance(event, OrderRejected)
    assert event.reason == "invalid post-only order: order crosses book"


def test_taker_walks_the_book_after_the_taker_delay_and_pays_the_curve() -> None:
    bench = Bench()
    bench.send(place(cents=51, shares=50, tif="FAK", post_only=False), 0)
    assert bench.answers(59) == [OrderAccepted(at(10), "o1", "delayed")]
    first, second = bench.answers(60)
    assert isinstance(first, OrderFilled)
    assert isinstance(second, OrderFilled)
    assert (first.price_e4, first.size_e6, first.maker) == (5000, 30 * SHARE, False)
    assert (second.price_e4, second.size_e6) == (5100, 20 * SHARE)
    assert first.fee_e6 == fee_e6(30 * SHARE, 5000, 70_000, 1) == 525_000


def test_book_that_moves_during_the_taker_delay_is_the_one_walked() -> None:
    bench = Bench()
    bench.send(place(cents=50, shares=10, tif="FAK", post_only=False), 0)
    bench.answers(10)
    bench.step(change(SELL, 50, 4, at(30), 2))
    assert bench.fills(60) == [(5000, 4, "taker")]
    assert bench.venue.idle


def test_fak_cancels_the_rest_and_fok_is_all_or_nothing() -> None:
    bench = Bench()
    bench.send(place("a", cents=50, shares=40, tif="FAK", post_only=False), 0)
    bench.send(place("b", cents=50, shares=40, tif="FOK", post_only=False), 0)
    events = bench.answers(60)
    assert [type(e).__name__ for e in events[2:]] == [
        "OrderCancelled",
        "OrderFilled",
        "OrderCancelled",
    ]
    assert bench.venue.idle


def test_taker_of_no_pays_in_no_terms() -> None:
    bench = Bench()
    bench.send(place(token=NO, cents=52, shares=10, tif="FAK", post_only=False), 0)
    assert bench.fills(60) == [(5200, 10, "taker")]


def test_cancel_takes_the_order_off_after_its_latency() -> None:
    bench = Bench()
    bench.rest()
    bench.send(CancelOrder("o1", MARKET, "test"), 20)
    assert bench.answers(24) == []
    assert bench.answers(25) == [OrderCancelled(at(25), "o1", "cancelled")]
    bench.step(trade(SELL, 40, 500, at(30)))
    assert bench.answers(900) == []


def test_cancel_of_a_filled_order_is_refused() -> None:
    bench = Bench()
    bench.rest()
    bench.step(trade(SELL, 47, 10, at(20)))
    bench.send(CancelOrder("o1", MARKET, "late"), 22)
    events = bench.answers(40)
    assert [type(e) for e in events] == [OrderFilled, CancelRejected]


def test_fill_is_confirmed_after_the_settlement_delay() -> None:
    bench = Bench()
    bench.rest()
    bench.step(trade(SELL, 47, 10, at(20)))
    events = bench.answers(5_000)
    assert events[-1] == FillConfirmed(at(25 + 1_000), "f1")


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        (place(shares=4), "size lower than the minimum"),
        (place(cents=100), "price breaks minimum tick size rule"),
    ],
)
def test_bad_order_is_refused(order: Effect, reason: str) -> None:
    bench = Bench()
    bench.send(order, 0)
    (event,) = bench.answers(10)
    assert isinstance(event, OrderRejected)
    assert event.reason == reason


def test_ended_market_refuses_and_resolution_clears_the_book() -> None:
    bench = Bench()
    bench.rest()
    bench.venue.accept(place("late"), END_NS)
    bench.step(MarketResolved(END_NS + 20 * MS_NS, MARKET, YES, "test"))
    events = []
    while (event := bench.venue.due(END_NS + 100 * MS_NS)) is not None:
        events.append(event)
    assert [type(e) for e in events] == [OrderRejected, OrderCancelled]


def test_merge_is_answered() -> None:
    bench = Bench()
    bench.send(MergePairs(MARKET, 3 * SHARE), 0)
    assert bench.answers(10) == [PairsMerged(at(10), MARKET, 3 * SHARE)]


def test_abandon_reports_every_order_as_cancelled() -> None:
    bench = Bench()
    bench.rest()
    bench.send(place("o2"), 11)
    assert bench.venue.abandon(at(12), "crash") == [
        OrderCancelled(at(12), "o1", "crash"),
        OrderCancelled(at(12), "o2", "crash"),
    ]
    assert bench.answers(9_000) == []


def test_latency_draw_is_reproducible_and_follows_its_quantiles() -> None:
    points = (10.0, 20.0, 40.0, 80.0, 200.0)
    first, second = LatencyDraw(points, 7), LatencyDraw(points, 7)
    drawn = sorted(first.next_ns() for _ in range(20_000))
    assert drawn == sorted(second.next_ns() for _ in range(20_000))
    assert drawn[10_000] / MS_NS == pytest.approx(20.0, rel=0.05)
    assert drawn[18_000] / MS_NS == pytest.approx(40.0, rel=0.05)
    assert drawn[19_800] / MS_NS == pytest.approx(80.0, rel=0.1)


def test_liquidity_through_the_price_fills_once_however_long_it_is_shown() -> None:
    bench = Bench()
    bench.rest()
    bench.step(change(BUY, 48, 0, at(20), 2))
    bench.step(change(BUY, 47, 0, at(20), 2))
    bench.step(change(SELL, 47, 3, at(21), 3))
    for ms in range(22, 40):
        bench.step(change(SELL, 60, ms, at(ms), ms))
    assert bench.fills(100) == [(4800, 3, "book through")]
    bench.step(change(SELL, 46, 2, at(110), 110))
    assert bench.fills(200) == [(4800, 2, "book through")]
    bench.step(change(SELL, 46, 0, at(210), 210))
    bench.step(change(SELL, 47, 0, at(211), 211))
    bench.step(change(SELL, 47, 9, at(212), 212))
    assert bench.fills(300) == [(4800, 5, "book through")]


def test_level_that_shrinks_below_the_queue_and_its_late_print_count_once() -> None:
    """40 ahead and 40 behind; 60 trade: 20 reach us, not 40."""
    bench = Bench(cancels="none")
    bench.rest(shares=30)
    bench.step(change(BUY, 48, 80, at(20), 2))
    bench.step(change(BUY, 48, 20, at(30), 3))
    bench.step(trade(SELL, 48, 60, at(130)))
    assert bench.fills(200) == [(4800, 20, "queue reached")]


def test_print_of_long_ago_explains_no_later_drop() -> None:
    bench = Bench(cancels="front")
    bench.rest()
    bench.step(trade(SELL, 48, 10, at(100)))
    bench.step(trade(SELL, 48, 5, at(5_000)))
    bench.step(change(BUY, 48, 20, at(5_100), 2))
    bench.step(trade(SELL, 48, 12, at(9_000)))
    assert bench.fills(9_900) == [(4800, 2, "queue reached")]


def test_no_word_on_an_order_overtakes_its_fill() -> None:
    """A fill is told 5 ms after it happens; the cancel arrives before that."""
    bench = Bench()
    bench.rest()
    bench.send(CancelOrder("o1", MARKET, "test"), 17)
    bench.step(trade(SELL, 47, 4, at(20)))
    assert bench.answers(24) == []
    assert [type(e) for e in bench.answers(25)] == [OrderFilled, OrderCancelled]


def test_cancel_sent_after_the_whole_fill_is_refused_behind_it() -> None:
    bench = Bench()
    bench.venue = PaperVenue(
        {MARKET: bench.state},
        PaperSettings("queue", "none", (10.0,) * 5, (5.0, 5.0, 5.0, 5.0, 50.0), 3, 1_000 * MS_NS),
    )
    for number in range(40):
        start = 100 * number
        bench.send(place(f"o{number}"), start)
        bench.answers(start + 10)
        bench.step(trade(SELL, 47, 10, at(start + 20)))
        bench.send(CancelOrder(f"o{number}", MARKET, "late"), start + 20)
        kinds = [type(e) for e in bench.answers(start + 99)]
        kinds = [kind for kind in kinds if kind is not FillConfirmed]
        assert kinds == [OrderFilled, CancelRejected]


def test_taken_liquidity_is_gone_until_the_level_changes() -> None:
    bench = Bench()
    bench.send(place("a", cents=50, shares=20, tif="FAK", post_only=False), 0)
    assert bench.fills(60) == [(5000, 20, "taker")]
    bench.send(place("b", cents=50, shares=20, tif="FAK", post_only=False), 100)
    assert bench.fills(160) == [(5000, 10, "taker")]
    bench.send(place("c", cents=50, shares=20, tif="FAK", post_only=False), 200)
    assert bench.fills(260) == []
    bench.step(change(SELL, 50, 31, at(270), 5))
    bench.send(place("d", cents=50, shares=20, tif="FAK", post_only=False), 300)
    assert bench.fills(360) == [(5000, 20, "taker")]


def test_order_delayed_over_the_resolution_is_not_matched() -> None:
    bench = Bench()
    bench.send(place(cents=50, shares=20, tif="FAK", post_only=False), 0)
    bench.answers(10)
    bench.state.winner = YES
    bench.step(MarketResolved(at(20), MARKET, YES, "test"))
    (event,) = bench.answers(60)
    assert isinstance(event, OrderCancelled)
    assert event.reason == "the market is not accepting orders"
    assert bench.venue.idle


def test_split_is_answered() -> None:
    bench = Bench()
    bench.send(SplitPairs(MARKET, 3 * SHARE), 0)
    assert bench.answers(10) == [PairsSplit(at(10), MARKET, 3 * SHARE)]


def test_merge_answered_after_the_resolution_is_dropped() -> None:
    bench = Bench()
    bench.send(MergePairs(MARKET, 3 * SHARE), 0)
    bench.state.winner = YES
    assert bench.answers(100) == []


def test_good_till_date_expires() -> None:
    bench = Bench()
    order = place(tif="GTD")
    order.expires_ns = at(50)
    bench.send(order, 0)
    bench.answers(10)
    assert bench.answers(50) == [OrderCancelled(at(50), "o1", "expired")]


def test_marketable_order_that_rests_leaves_its_rest_on_the_book() -> None:
    bench = Bench()
    bench.send(place(cents=50, shares=40, tif="GTC", post_only=False), 0)
    assert bench.fills(60) == [(5000, 30, "taker")]
    assert bench.venue.resting() == ["o1"]
    bench.step(trade(SELL, 49, 4, at(100)))
    assert bench.fills(200) == [(5000, 4, "print through")]


@pytest.mark.parametrize("tif", ["FAK", "FOK"])
def test_killed_order_that_meets_nobody_is_refused(tif: str) -> None:
    bench = Bench()
    bench.send(place(tif=tif, post_only=False), 0)
    (event,) = bench.answers(10)
    assert isinstance(event, OrderRejected)
    assert event.reason == f"no orders found to match with {tif} order"


def test_order_in_an_unknown_market_is_refused() -> None:
    bench = Bench()
    order = place()
    order.market = "0xother"
    bench.send(order, 0)
    (event,) = bench.answers(10)
    assert isinstance(event, OrderRejected)
    assert event.reason == "market not found"


def test_doubted_book_fills_nothing() -> None:
    bench = Bench()
    bench.rest()
    bench.state.trust.on_change(MISMATCHED, False, at(15))
    bench.state.book.change(change(SELL, 46, 9, at(16), 4), False)
    bench.venue.observe(change(SELL, 46, 9, at(16), 4))
    assert bench.fills(100) == []


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("print"), st.integers(45, 50), st.integers(1, 30)),
            st.tuples(st.just("level"), st.integers(45, 49), st.integers(0, 60)),
        ),
        max_size=40,
    ),
    st.sampled_from(["none", "proportional", "front"]),
)
def test_fills_never_exceed_the_order_nor_what_was_traded(
    moves: list[tuple[str, int, int]], rule: str
) -> None:
    bench = Bench(cancels=rule)
    bench.rest()
    traded = 0
    for number, (what, cents, shares) in enumerate(moves):
        ms = 20 + number
        if what == "print":
            bench.step(trade(SELL, cents, shares, at(ms)))
            traded += shares if cents <= 48 else 0
        else:
            bench.step(change(BUY, cents, shares, at(ms), 2 + number))
    filled = sum(size for _, size, _ in bench.fills(90_000))
    assert filled <= min(10, traded)
