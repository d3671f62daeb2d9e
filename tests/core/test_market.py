"""The life of a market: phases, strike, terms, marks."""

import pytest

from polytrade.core.events import ReferenceTicked
from polytrade.core.ids import ANCHOR, BUY, NO, TWAP60, YES
from polytrade.core.market import (
    CLOSING,
    HYDRATING,
    LISTED,
    OPEN,
    PENDING_RESOLUTION,
    REDEEMED,
    RESOLVED,
    MarketState,
)
from polytrade.core.reference import SymbolReference
from polytrade.core.trust import SYNCED
from polytrade.core.units import MS_NS, SECOND_NS
from tests.core.factory import END_NS, START_NS, change, listed, market, snapshot

CLOSING_NS = 20 * SECOND_NS


def booked(**terms: object) -> MarketState:
    state = market(**terms)
    state.trust.on_snapshot(state.book.replace(snapshot({48: 10}, {52: 10}), True), False, START_NS)
    assert state.trust.state == SYNCED
    return state


def reference(kind: int, *points: tuple[int, float]) -> SymbolReference:
    found = SymbolReference("BTC", 30.0, 600.0)
    for ms, price in points:
        at = START_NS + ms * MS_NS
        found.apply(ReferenceTicked(at, "BTC", "rtds", kind, round(price * 1e8), at))
    return found


@pytest.mark.parametrize(
    ("ts_ns", "phase"),
    [
        (START_NS - 1, LISTED),
        (START_NS, OPEN),
        (END_NS - CLOSING_NS - 1, OPEN),
        (END_NS - CLOSING_NS, CLOSING),
        (END_NS - 1, CLOSING),
        (END_NS, PENDING_RESOLUTION),
        (END_NS + 3_600 * SECOND_NS, PENDING_RESOLUTION),
    ],
)
def test_phase_follows_the_time(ts_ns: int, phase: str) -> None:
    assert booked().phase_at(ts_ns, CLOSING_NS) == phase


def test_market_without_a_strike_or_a_book_is_hydrating() -> None:
    assert booked(strike_e8=-1).phase_at(START_NS, CLOSING_NS) == HYDRATING
    assert booked(strike_e8=0).phase_at(START_NS, CLOSING_NS) == HYDRATING
    assert market().phase_at(START_NS, CLOSING_NS) == HYDRATING
    unsettled = market()
    unsettled.trust.on_change(0, False, START_NS)
    assert unsettled.phase_at(START_NS, CLOSING_NS) == HYDRATING


def test_market_that_needs_no_strike_opens_without_one() -> None:
    assert booked(strike_e8=-1, condition="other").phase_at(START_NS, CLOSING_NS) == OPEN


def test_market_without_an_end_stays_open() -> None:
    assert booked(end_ns=0).phase_at(END_NS * 10, CLOSING_NS) == OPEN


@pytest.mark.parametrize("phase", [RESOLVED, REDEEMED])
def test_resolution_is_final(phase: str) -> None:
    state = booked()
    state.phase = phase
    assert state.phase_at(START_NS, CLOSING_NS) == phase


def test_end_that_moves_reopens_the_market() -> None:
    state = booked()
    assert state.phase_at(END_NS, CLOSING_NS) == PENDING_RESOLUTION
    state.relist(listed(end_ns=END_NS + 60 * SECOND_NS))
    assert state.phase_at(END_NS, CLOSING_NS) == OPEN


def test_strike_is_observed_at_the_start_until_the_venue_says_it() -> None:
    state = booked(strike_e8=-1, settle="spot", lookback_s=0)
    prices = reference(ANCHOR, (-900, 59_990.0), (100, 60_010.0))
    state.observe_strike(prices, START_NS - 1)
    assert state.strike_e8 == -1
    state.observe_strike(prices, START_NS)
    assert (state.strike_e8, state.strike_provisional) == (5_999_000_000_000, True)
    state.relist(listed(strike_e8=-1))
    assert state.strike_provisional
    state.relist(listed(strike_e8=6_000_100_000_000))
    assert (state.strike_e8, state.strike_provisional) == (6_000_100_000_000, False)
    state.relist(listed(strike_e8=-1))
    assert (state.strike_e8, state.strike_provisional) == (6_000_100_000_000, False)


@pytest.mark.parametrize(
    "points", [(), ((-900, 59_990.0),), ((-1_501, 59_990.0), (100, 60_010.0)), ((100, 60_010.0),)]
)
def test_strike_is_not_guessed(points: tuple[tuple[int, float], ...]) -> None:
    """Nothing heard; nothing yet at the start; too old; only later values."""
    state = booked(strike_e8=-1, settle="spot", lookback_s=0)
    state.observe_strike(reference(ANCHOR, *points), START_NS + SECOND_NS)
    state.observe_strike(None, START_NS + SECOND_NS)
    assert state.strike_e8 == -1


def test_strike_comes_from_the_series_that_settles() -> None:
    state = booked(strike_e8=-1, settle="twap", lookback_s=60)
    state.observe_strike(reference(ANCHOR, (0, 1.0), (900, 1.0)), START_NS + SECOND_NS)
    assert state.strike_e8 == -1
    state.observe_strike(reference(TWAP60, (0, 60_000.5)), START_NS + SECOND_NS)
    assert state.strike_e8 == 6_000_050_000_000


def test_threshold_is_never_observed() -> None:
    state = booked(strike_e8=-1, condition="above", settle="spot", lookback_s=0)
    state.observe_strike(reference(ANCHOR, (0, 60_000.0)), START_NS)
    assert state.strike_e8 == -1


def test_tick_of_the_socket_outlives_an_unchanged_listing() -> None:
    state = booked()
    assert state.retick(10, 5)
    state.relist(listed(min_size_e6=15_000_000))
    assert state.book.tick_e4 == 10
    state.relist(listed(tick_e4=50))
    assert state.book.tick_e4 == 50


def test_tick_of_the_past_is_ignored() -> None:
    state = booked()
    assert state.retick(10, 5)
    assert not state.retick(10, 6)
    assert not state.retick(100, 5)
    assert state.book.tick_e4 == 10


def test_changed_neg_risk_and_size_are_part_of_the_hash() -> None:
    state = booked()
    before = state.book.hash_of(0, 1, "0.500")
    state.relist(listed(neg_risk=True))
    between = state.book.hash_of(0, 1, "0.500")
    state.relist(listed(neg_risk=True, min_size_e6=15_000_000))
    assert len({before, between, state.book.hash_of(0, 1, "0.500")}) == 3


def test_mark_is_the_touch_and_after_the_end_the_last_one_kept() -> None:
    state = booked()
    state.phase = OPEN
    assert state.mark_e4() == (4_800, 5_200)
    state.keep_mark()
    state.phase = PENDING_RESOLUTION
    state.book.replace(snapshot({}, {}, ts_ms=9), True)
    assert state.mark_e4() == (4_800, 5_200)


def test_one_sided_book_marks_and_an_empty_or_crossed_one_does_not() -> None:
    state = booked()
    state.phase = OPEN
    state.book.replace(snapshot({}, {52: 10}, ts_ms=2), True)
    assert state.mark_e4() == (0, 5_200)
    state.keep_mark()
    state.book.replace(snapshot({}, {}, ts_ms=3), True)
    assert state.mark_e4() == (0, 5_200)
    state.book.change(change(BUY, 60, 5, START_NS, 4), False)
    state.book.change(change(1, 55, 5, START_NS, 5), False)
    assert state.mark_e4() == (0, 5_200)
    assert market().mark_e4() == (-1, -1)


def test_mid_and_spread() -> None:
    state = booked()
    assert (state.mid, state.spread_e4) == (0.5, 400)
    state.book.replace(snapshot({48: 5}, {}, ts_ms=2), True)
    assert state.mid == -1.0


@pytest.mark.parametrize(
    ("terms", "winners"),
    [
        ({"condition": "updown"}, (NO, YES, YES, YES)),
        ({"condition": "above"}, (NO, NO, YES, YES)),
        ({"condition": "above", "neg_risk": True}, (NO, YES, YES, YES)),
        ({"condition": "below"}, (YES, NO, NO, NO)),
        ({"condition": "range", "upper_e8": 6_100_000_000_000}, (NO, YES, YES, NO)),
    ],
    ids=["up/down", "threshold", "open range at the top", "below", "range"],
)
def test_outcome_below_at_and_above_the_strike_and_at_the_upper_bound(
    terms: dict[str, object], winners: tuple[int, ...]
) -> None:
    state = market(**terms)
    prices = (59_999.99, 60_000.0, 60_000.01, 61_000.0)
    assert tuple(state.outcome(price) for price in prices) == winners


def test_only_markets_on_one_side_of_a_price_have_a_direction() -> None:
    directions = {
        name: market(condition=name).direction
        for name in ("updown", "above", "below", "range", "other")
    }
    assert directions == {"updown": 1, "above": 1, "below": -1, "range": 0, "other": 0}


def test_range_has_its_bounds_from_the_start_and_observes_no_strike() -> None:
    state = booked(condition="range", upper_e8=6_100_000_000_000, settle="spot")
    state.observe_strike(reference(ANCHOR, (0, 59_000.0)), START_NS + SECOND_NS)
    assert (state.strike_e8, state.strike_provisional) == (6_000_000_000_000, False)
    assert state.phase_at(START_NS, CLOSING_NS) == OPEN
