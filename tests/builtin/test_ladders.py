"""Thresholds and ranges of one moment: where their mids add up and where they do not."""

from itertools import permutations

import pytest

from polytrade.builtin.ladders import NO_BOUND, NOTHING, Step, gaps, ladders_of, step_of
from polytrade.core.market import MarketState
from polytrade.core.trust import SUSPECT, SYNCED
from tests.core.factory import END_NS, market, snapshot

E8 = 10**8
BELOW = Step(NOTHING, 88, 0.1)
LOWER, UPPER = Step(88, 90, 0.3), Step(90, 92, 0.4)
ABOVE = Step(92, NO_BOUND, 0.2)


def state(condition: str, usd: int, upper_usd: int = 0, cents: int = 40) -> MarketState:
    """An open market with a mid of `cents`."""
    found = market(condition=condition, strike_e8=usd * E8, upper_e8=upper_usd * E8)
    found.book.replace(snapshot({cents - 1: 10}, {cents + 1: 10}), True)
    found.trust.state = SYNCED
    return found


def test_each_condition_is_a_step_between_two_prices() -> None:
    assert step_of(state("range", 88, 90)) == Step(88 * E8, 90 * E8, 0.4)
    assert step_of(state("below", 88)) == Step(NOTHING, 88 * E8, 0.4)
    assert step_of(state("above", 92)) == Step(92 * E8, NO_BOUND, 0.4)
    assert step_of(state("updown", 92)) == Step(92 * E8, NO_BOUND, 0.4)


def test_market_that_says_nothing_is_no_step() -> None:
    assert step_of(state("other", 88)) is None
    assert step_of(state("range", 90, 90)) is None
    assert step_of(market(condition="above")) is None
    doubtful, own, wide = (state("above", 92) for _ in range(3))
    doubtful.trust.state = SUSPECT
    own.strike_provisional = True
    wide.book.replace(snapshot({20: 10}, {40: 10}), True)
    assert [step_of(each) for each in (doubtful, own, wide)] == [None] * 3


def test_only_markets_that_settle_alike_are_compared() -> None:
    one, two, later, averaged = (state("above", usd) for usd in (88, 90, 92, 94))
    later.spec.end_ns += 1
    averaged.spec.lookback_s = 30
    found = ladders_of([one, two, later, averaged])
    assert [len(steps) for steps in found.values()] == [2, 1, 1]
    assert (END_NS, "twap", 60) in found


def test_full_set_that_makes_one_has_no_gap() -> None:
    for order in permutations((BELOW, LOWER, UPPER, ABOVE)):
        assert gaps(order) == [pytest.approx(0.0, abs=1e-12)]


def test_full_set_that_costs_more_or_less_than_one_is_off_by_that() -> None:
    assert gaps([BELOW, LOWER, Step(90, 92, 0.45), ABOVE]) == [pytest.approx(0.05)]
    assert gaps([BELOW, Step(88, 90, 0.22), UPPER, ABOVE]) == [pytest.approx(0.08)]


def test_range_is_checked_against_the_thresholds_at_its_bounds() -> None:
    above = [Step(88, NO_BOUND, 0.9), Step(90, NO_BOUND, 0.6)]
    assert gaps([*above, LOWER]) == [pytest.approx(0.0, abs=1e-12)]
    assert gaps([*above, Step(88, 90, 0.25)]) == [pytest.approx(0.05)]


def test_two_markets_on_one_threshold_check_each_other() -> None:
    assert gaps([BELOW, Step(88, NO_BOUND, 0.87)]) == [pytest.approx(0.03)]


def test_thresholds_in_the_wrong_order_are_a_gap() -> None:
    assert gaps([Step(88, NO_BOUND, 0.5), Step(90, NO_BOUND, 0.4)]) == []
    assert gaps([Step(88, NO_BOUND, 0.4), Step(90, NO_BOUND, 0.5)]) == [pytest.approx(0.1)]


def test_markets_without_a_neighbour_are_no_check() -> None:
    assert gaps([]) == []
    assert gaps([LOWER]) == []
    assert gaps([BELOW, UPPER]) == []
    assert gaps([BELOW, LOWER]) == []
