"""The negative controls: where they quote, and that they do it alike in every replay."""

from typing import Any

import pytest

from polytrade.builtin.controls import HOLD_NS, REACH_TICKS, MidMaker, RandomMaker
from polytrade.core.ids import BUY, NO, YES
from polytrade.core.roles import DANGER, Maker, View, no_estimate
from polytrade.core.units import ONE_E4, SECOND_NS
from tests.builtin.views import NOW, booked, fair, view_of
from tests.core.factory import END_NS, SHARE, START_NS

SILENT = no_estimate("no_quote_vol_warmup")


def mid_maker() -> MidMaker:
    return MidMaker(10.0, 20.0, 2.0)


def random_maker(seed: int = 1) -> RandomMaker:
    return RandomMaker(10.0, 20.0, 2.0, seed)


def prices(maker: Maker, view: View) -> tuple[int, int]:
    """The bid and the ask of YES, which are bought as YES and as NO."""
    wishes, why = maker.quotes(view)
    assert why == ""
    bid, ask = wishes
    assert (bid.token, bid.side, ask.token, ask.side) == (YES, BUY, NO, BUY)
    assert bid.size_e6 == ask.size_e6 == 10 * SHARE
    return bid.price_e4, ONE_E4 - ask.price_e4


@pytest.mark.parametrize(
    ("bid", "ask", "found"),
    [
        (46, 54, (4_900, 5_100)),  # the mid is a price: next to it
        (46, 53, (4_900, 5_000)),  # it lies between two prices
        (49, 50, (4_900, 5_000)),
        (49, 51, (4_900, 5_100)),
    ],
)
def test_mid_control_stands_next_to_the_mid(bid: int, ask: int, found: tuple[int, int]) -> None:
    assert prices(mid_maker(), view_of(SILENT, booked({bid: 1}, {ask: 1}))) == found


def test_controls_have_no_opinion_of_the_value() -> None:
    """Neither a far fair value nor a jump moves them; the edge they claim is that to the mid."""
    for maker in (mid_maker(), random_maker()):
        alike = {prices(maker, view_of(value)) for value in (SILENT, fair(0.1), fair(0.9, 0.0))}
        assert len(alike) == 1
    (bid, ask), _ = mid_maker().quotes(view_of(SILENT))
    assert bid.edge_bps == pytest.approx(100 / 4_900 * 1e4)
    assert ask.edge_bps == pytest.approx(100 / 5_100 * 1e4)


def test_random_control_stands_for_a_while_and_is_the_same_again() -> None:
    begin = NOW - NOW % HOLD_NS
    first = prices(random_maker(), view_of(SILENT, ts_ns=begin))
    assert prices(random_maker(), view_of(SILENT, ts_ns=begin + HOLD_NS - 1)) == first
    run = [prices(random_maker(), view_of(SILENT, ts_ns=begin + n * HOLD_NS)) for n in range(60)]
    again = [prices(random_maker(), view_of(SILENT, ts_ns=begin + n * HOLD_NS)) for n in range(60)]
    assert run == again
    other = [prices(random_maker(2), view_of(SILENT, ts_ns=begin + n * HOLD_NS)) for n in range(60)]
    assert run != other


def test_random_control_reaches_every_price_near_the_mid_and_no_other() -> None:
    begin = NOW - NOW % HOLD_NS
    found = [prices(random_maker(), view_of(SILENT, ts_ns=begin + n * HOLD_NS)) for n in range(90)]
    reach = [100 * ticks for ticks in range(1, REACH_TICKS + 1)]
    assert {5_000 - bid for bid, _ in found} == set(reach)
    assert {ask - 5_000 for _, ask in found} == set(reach)


def test_random_control_draws_by_market() -> None:
    begin = NOW - NOW % HOLD_NS
    found: list[list[tuple[int, int]]] = []
    for name in ("0x1", "0x2"):
        state = booked(market=name)
        views = [view_of(SILENT, state, ts_ns=begin + n * HOLD_NS) for n in range(20)]
        found.append([prices(random_maker(), view) for view in views])
    assert found[0] != found[1]


def test_prices_outside_the_grid_are_left_out() -> None:
    """Between 0.01 and 0.02 a bid can stand at 0.01 alone: most draws leave only the ask."""
    low = booked({1: 1}, {2: 1})
    begin = NOW - NOW % HOLD_NS
    counts: set[int] = set()
    for n in range(40):
        wishes, why = random_maker().quotes(view_of(SILENT, low, ts_ns=begin + n * HOLD_NS))
        counts.add(len(wishes))
        assert why == ""
        for wish in wishes:
            assert 100 <= wish.price_e4 <= 9_900
    assert counts == {1, 2}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"regime": DANGER}, "no_quote_danger"),
        ({"active": False}, "no_quote_inactive"),
        ({"state": booked({}, {54: 1})}, "no_quote_one_sided"),
        ({"max_spread_e4": 799}, "no_quote_spread"),
        ({"ts_ns": END_NS - 20 * SECOND_NS}, "no_quote_near_end"),
        ({"ts_ns": START_NS + 2 * SECOND_NS - 1}, "no_quote_before_start"),
    ],
)
def test_controls_keep_the_rules_of_every_maker(changes: dict[str, Any], why: str) -> None:
    for maker in (mid_maker(), random_maker()):
        assert maker.quotes(view_of(fair(0.5), **changes)) == ([], why)
