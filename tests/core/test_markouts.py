"""Markouts: the exact instants, the side held, what is missed, and the bounds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polytrade.core.events import BookReplaced
from polytrade.core.market import CLOSING, LISTED, OPEN, PENDING_RESOLUTION, MarketState
from polytrade.core.markouts import (
    HORIZON_1S,
    HORIZON_5S,
    HORIZON_10S,
    NEVER_NS,
    NO_END_NS,
    NO_MID,
    Markout,
    Markouts,
    mid_e6_of,
)
from polytrade.core.trust import STALE
from polytrade.core.units import SECOND_NS
from tests.core.factory import MARKET, SHARE, START_NS, market, snapshot

T0 = 1_000 * SECOND_NS


def mid_at(mid_e6: int) -> "Mid":
    return Mid(mid_e6)


class Mid:
    """A mid that is what it is told to be, and remembers who asked."""

    def __init__(self, mid_e6: int) -> None:
        self.mid_e6 = mid_e6
        self.asked: list[str] = []

    def __call__(self, name: str) -> int:
        self.asked.append(name)
        return self.mid_e6


def one(sign: int = 1, price_e4: int = 5_000, fee_e6: int = 0) -> Markouts:
    markouts = Markouts()
    markouts.filled("f1", MARKET, sign, price_e4, 10 * SHARE, fee_e6, T0, "taker", T0 + 77)
    return markouts


def seen(found: list[Markout]) -> list[tuple[str, int, float]]:
    return [(each.key, each.horizon, round(each.bps, 6)) for each in found]


def test_markout_takes_the_mid_before_the_first_event_after_the_instant() -> None:
    """An event at the very instant is still part of it; the first one after it is not."""
    markouts = one()
    mid = mid_at(500_000)
    assert markouts.next_ns == T0 + SECOND_NS
    assert markouts.due(T0 + SECOND_NS - 1, mid) == []
    assert markouts.due(T0 + SECOND_NS, mid) == []
    assert mid.asked == []
    mid.mid_e6 = 510_000  # what the event at the instant made of it
    assert seen(markouts.due(T0 + SECOND_NS + 1, mid)) == [("f1", HORIZON_1S, 200.0)]
    assert markouts.due(T0 + SECOND_NS + 1, mid) == []
    assert markouts.next_ns == T0 + 5 * SECOND_NS


def test_horizons_run_side_by_side_from_the_fill() -> None:
    markouts = one()
    found = []
    for second, mid_e6 in ((1, 510_000), (5, 490_000), (6, 700_000), (10, 450_000), (16, 1)):
        found += markouts.due(T0 + second * SECOND_NS + 1, mid_at(mid_e6))
    assert seen(found) == [
        ("f1", HORIZON_1S, 200.0),
        ("f1", HORIZON_5S, -200.0),
        ("f1", HORIZON_10S, -1000.0),
    ]
    assert [each.ts_ns for each in found] == [T0 + s * SECOND_NS for s in (1, 5, 10)]
    assert (markouts.pending, markouts.next_ns) == (0, NEVER_NS)


def test_silence_has_one_mid_for_every_instant_in_it() -> None:
    found = one().due(T0 + 60 * SECOND_NS, mid_at(520_000))
    assert seen(found) == [("f1", horizon, 400.0) for horizon in range(3)]


@pytest.mark.parametrize(
    ("sign", "price_e4", "mid_e6", "bps"),
    [
        (1, 4_000, 440_000, 1_000.0),  # YES bought at 0.40, now 0.44: 0.04 / 0.40
        (1, 4_000, 360_000, -1_000.0),
        (-1, 4_000, 340_000, 1_000.0),  # NO at 0.60, now 0.66: 0.06 / 0.60
        (-1, 4_000, 460_000, -1_000.0),
        (-1, 9_900, 995_000, -5_000.0),  # NO at 0.01, now 0.005
        (1, 1, 150, 5_000.0),  # the finest tick
    ],
)
def test_markout_is_of_the_side_held_on_its_own_price(
    sign: int, price_e4: int, mid_e6: int, bps: float
) -> None:
    (found,) = one(sign, price_e4).due(T0 + 2 * SECOND_NS, mid_at(mid_e6))
    assert found.bps == pytest.approx(bps, abs=1e-9)


def test_net_is_after_the_fee_and_notional_is_that_of_the_side_held() -> None:
    """10 NO at 0.60 cost 6 USDC; a fee of 0.03 is 50 bps of it, a rebate of 0.006 is 10."""
    (found,) = one(-1, 4_000, 30_000).due(T0 + 2 * SECOND_NS, mid_at(340_000))
    assert found.notional_e6 == 6_000_000
    assert found.net_bps == pytest.approx(950.0, abs=1e-9)
    (found,) = one(-1, 4_000, -6_000).due(T0 + 2 * SECOND_NS, mid_at(340_000))
    assert found.net_bps == pytest.approx(1_010.0, abs=1e-9)


def test_markout_says_how_and_when_the_fill_came_about() -> None:
    (found,) = one().due(T0 + 2 * SECOND_NS, mid_at(500_000))
    assert (found.market, found.how, found.left_ns) == (MARKET, "taker", 77)
    markouts = Markouts()
    markouts.filled("f", MARKET, 1, 5_000, SHARE, 0, T0)
    (found,) = markouts.due(T0 + 2 * SECOND_NS, mid_at(500_000))
    assert (found.how, found.left_ns) == ("", NO_END_NS)


def test_instant_without_a_mid_is_missed_and_counted() -> None:
    markouts = one()
    assert markouts.due(T0 + 2 * SECOND_NS, mid_at(NO_MID)) == []
    assert seen(markouts.due(T0 + 20 * SECOND_NS, mid_at(500_000))) == [
        ("f1", HORIZON_5S, 0.0),
        ("f1", HORIZON_10S, 0.0),
    ]
    assert markouts.missed == [1, 0, 0]


def test_fill_that_failed_to_settle_has_no_markouts_from_then_on() -> None:
    markouts = one()
    markouts.filled("f2", MARKET, 1, 5_000, SHARE, 0, T0)
    assert len(markouts.due(T0 + 2 * SECOND_NS, mid_at(500_000))) == 2
    markouts.void("f1")
    markouts.void("unheard of")
    assert seen(markouts.due(T0 + 20 * SECOND_NS, mid_at(500_000))) == [
        ("f2", HORIZON_5S, 0.0),
        ("f2", HORIZON_10S, 0.0),
    ]
    assert (markouts.missed, markouts.pending) == ([0, 0, 0], 0)


def test_fills_come_in_their_order_and_beyond_the_bound_not_at_all() -> None:
    markouts = Markouts(most=2)
    for at, name in enumerate(("a", "b", "c")):
        markouts.filled(name, name + "m", 1, 5_000, SHARE, 0, T0 + at)
    assert (markouts.pending, markouts.dropped) == (2, 1)
    mid = mid_at(500_000)
    assert [each.key for each in markouts.due(T0 + SECOND_NS + 1, mid)] == ["a"]
    assert [each.key for each in markouts.due(T0 + SECOND_NS + 2, mid)] == ["b"]
    assert mid.asked == ["am", "bm"]
    found = markouts.due(T0 + 11 * SECOND_NS, mid)
    assert [(each.key, each.horizon) for each in found] == [("a", 1), ("b", 1), ("a", 2), ("b", 2)]
    markouts.filled("d", "dm", 1, 5_000, SHARE, 0, T0 + 12 * SECOND_NS)
    assert (markouts.pending, markouts.dropped) == (1, 1)


@pytest.mark.parametrize(
    ("sign", "price_e4", "size_e6", "ts_ns"),
    [(0, 5_000, 1, T0), (1, 0, 1, T0), (1, 10_000, 1, T0), (1, 5_000, 0, T0), (1, 5_000, 1, 0)],
)
def test_fill_that_cannot_be_is_refused(sign: int, price_e4: int, size_e6: int, ts_ns: int) -> None:
    markouts = one()
    with pytest.raises(AssertionError):
        markouts.filled("f2", MARKET, sign, price_e4, size_e6, 0, ts_ns)
    assert (markouts.pending, markouts.next_ns) == (1, T0 + SECOND_NS)


@given(
    st.lists(st.integers(0, 3 * SECOND_NS), max_size=30),
    st.lists(st.integers(1, 4 * SECOND_NS), min_size=1, max_size=60),
)
def test_every_instant_comes_once_at_the_first_event_after_it(
    gaps: list[int], steps: list[int]
) -> None:
    """The mid is the time of the last event: the markout tells which event it was taken before."""
    markouts = Markouts()
    fills: dict[str, int] = {}
    now = T0
    for at, gap in enumerate(gaps):
        now += gap
        fills[str(at)] = now
    events: list[int] = [T0]
    for step in steps:
        events.append(events[-1] + step)
    waiting = sorted(fills.items(), key=lambda fill: int(fill[0]))
    found: list[Markout] = []
    for event in events:
        while waiting and waiting[0][1] <= event:
            name, at_ns = waiting.pop(0)
            markouts.filled(name, MARKET, 1, 5_000, SHARE, 0, at_ns)
        before = len(found)
        found += markouts.due(event, mid_at(500_000))
        for each in found[before:]:
            assert each.ts_ns < event
        assert markouts.next_ns >= event or markouts.next_ns == NEVER_NS
    due = {
        (name, horizon)
        for name, at_ns in fills.items()
        for horizon, seconds in enumerate((1, 5, 10))
        if at_ns <= events[-1] and at_ns + seconds * SECOND_NS < events[-1]
    }
    assert len(found) == len(due)
    assert {(each.key, each.horizon) for each in found} == due


def booked(event: BookReplaced, phase: str = OPEN) -> MarketState:
    state = market()
    state.trust.on_snapshot(state.book.replace(event, True), False, START_NS)
    state.phase = phase
    return state


@pytest.mark.parametrize(
    ("bids", "asks", "mid_e6"),
    [
        ({48: 10}, {53: 10}, 505_000),
        ({97: 10}, {}, 985_000),  # as good as decided: the missing ask counts as 1
        ({}, {3: 10}, 15_000),
        ({30: 10}, {}, NO_MID),
        ({}, {70: 10}, NO_MID),
        ({}, {}, NO_MID),
    ],
)
def test_mid_of_a_book(bids: dict[int, int], asks: dict[int, int], mid_e6: int) -> None:
    assert mid_e6_of(booked(snapshot(bids, asks))) == mid_e6


@pytest.mark.parametrize(
    ("phase", "mid_e6"),
    [(OPEN, 505_000), (CLOSING, 505_000), (LISTED, NO_MID), (PENDING_RESOLUTION, NO_MID)],
)
def test_mid_counts_while_the_market_trades(phase: str, mid_e6: int) -> None:
    assert mid_e6_of(booked(snapshot({48: 10}, {53: 10}), phase)) == mid_e6


def test_book_that_is_not_believed_has_no_mid() -> None:
    state = booked(snapshot({48: 10}, {53: 10}))
    state.trust.on_loss(STALE, "disconnected")
    assert mid_e6_of(state) == NO_MID
    assert mid_e6_of(booked(snapshot({53: 10}, {48: 10}))) == NO_MID
    assert mid_e6_of(None) == NO_MID
