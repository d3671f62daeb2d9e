"""The skewed maker: prices, edges, credits, Caution, silence, and which token is traded."""

from typing import Any

import pytest

from polytrade.builtin.skewed import Rewards, SkewedMaker, rebate_usdc, reward_score
from polytrade.core.events import ReferenceTicked
from polytrade.core.ids import BUY, FAST, NO, SELL, YES
from polytrade.core.reference import SymbolReference
from polytrade.core.roles import CAUTION, DANGER, Estimate, Inventory, View, no_estimate
from polytrade.core.units import MS_NS, ONE_E4, SECOND_NS
from tests.builtin.views import NOW, booked, fair, holding, view_of
from tests.core.factory import END_NS, SHARE, START_NS, listed, snapshot

FREE: dict[str, Any] = {"fee_rate_e6": 0, "rebate_rate_e6": 0}


def make(**changes: Any) -> SkewedMaker:
    settings: dict[str, Any] = {
        "base_quote_size": 10.0,
        "half_spread": 0.01,
        "inventory_skew": 0.15,
        "join": False,
        "jump_bps": 4.0,
        "no_quote_before_end_s": 20.0,
        "no_quote_after_start_s": 2.0,
        **changes,
    }
    return SkewedMaker(**settings)


def quotes(maker: SkewedMaker, view: View) -> list[tuple[int, int, int, float]]:
    """(token, side, price_e4, shares) of the wishes."""
    wishes, _ = maker.quotes(view)
    return [(w.token, w.side, w.price_e4, w.size_e6 / SHARE) for w in wishes]


def reason(maker: SkewedMaker, view: View) -> str:
    wishes, why = maker.quotes(view)
    assert wishes == []
    return why


def test_both_sides_at_half_a_spread_in_yes_and_no() -> None:
    assert quotes(make(), view_of(fair(0.50))) == [(YES, BUY, 4_900, 10), (NO, BUY, 4_900, 10)]


def test_prices_are_rounded_away_from_the_fair_value() -> None:
    view = view_of(fair(0.5025), booked(**FREE))
    assert quotes(make(), view) == [(YES, BUY, 4_900, 10), (NO, BUY, 4_800, 10)]


def test_quotes_never_cross_the_book() -> None:
    assert quotes(make(), view_of(fair(0.60))) == [(YES, BUY, 5_300, 10), (NO, BUY, 3_900, 10)]


def test_join_stays_behind_the_touch() -> None:
    view = view_of(fair(0.50))
    assert quotes(make(join=True), view) == [(YES, BUY, 4_600, 10), (NO, BUY, 4_600, 10)]


@pytest.mark.parametrize(
    ("net", "bid_e4", "ask_e4"),
    [
        (4, 4_840, 5_040),
        (-4, 4_960, 5_160),
        (20, 4_600, 5_010),  # the ask would be 4800: it stays where the least edge is
        (-20, 4_990, 5_400),
        (1_000, 4_400, 5_010),
        (-1_000, 4_990, 5_600),
    ],
)
def test_inventory_shifts_both_quotes_but_never_below_the_least_edge(
    net: int, bid_e4: int, ask_e4: int
) -> None:
    """0.15 USDC a hundred shares, 5 cents at most; nothing of it is settled."""
    state = booked({40: 1}, {60: 1}, tick_e4=10, **FREE)
    held = holding(max(net, 0), max(-net, 0), settled=False)
    view = view_of(fair(0.50), state, held, max_spread_e4=ONE_E4)
    assert quotes(make(), view) == [(YES, BUY, bid_e4, 10), (NO, BUY, ONE_E4 - ask_e4, 10)]


def test_shift_does_not_make_up_for_a_half_spread_without_edge() -> None:
    state = booked({40: 1}, {60: 1}, tick_e4=10, **FREE)
    view = view_of(
        fair(0.50), state, holding(30, settled=False), min_edge_bps=50.0, max_spread_e4=ONE_E4
    )
    assert quotes(make(half_spread=0.0001), view) == [(YES, BUY, 4_540, 10)]


def test_pad_widens() -> None:
    view = view_of(fair(0.50, pad=0.02), booked(**FREE))
    assert quotes(make(), view) == [(YES, BUY, 4_700, 10), (NO, BUY, 4_700, 10)]


def test_settled_shares_are_sold_first() -> None:
    held = holding(6, 7.555)
    assert quotes(make(inventory_skew=0.0), view_of(fair(0.50), held=held)) == [
        (NO, SELL, 5_100, 7.55),
        (YES, SELL, 5_100, 6.0),
    ]


def test_less_than_a_smallest_order_is_not_sold() -> None:
    view = view_of(fair(0.50), held=Inventory(4_990_000, 4_990_000, 4_990_000, 4_990_000))
    assert quotes(make(), view) == [(YES, BUY, 4_900, 10), (NO, BUY, 4_900, 10)]


def test_edge_is_taken_at_the_quotes_own_price() -> None:
    """(0.50 - 0.49) / 0.49 is 204 bps, (0.51 - 0.50) / 0.51 is 196."""
    view = view_of(fair(0.50), booked(**FREE), min_edge_bps=196.0)
    wishes, why = make().quotes(view)
    assert [wish.edge_bps for wish in wishes] == pytest.approx([1e6 / 4_900, 1e6 / 5_100])
    assert why == ""
    view.min_edge_bps = 197.0
    assert quotes(make(), view) == [(YES, BUY, 4_900, 10)]
    view.min_edge_bps = 205.0
    assert reason(make(), view) == "no_quote_edge"


def test_prices_stay_on_the_grid_at_the_ends() -> None:
    low = booked({1: 1}, {2: 1})
    assert quotes(make(), view_of(fair(0.005), low)) == [(NO, BUY, 9_800, 10)]
    high = booked({98: 1}, {99: 1})
    assert quotes(make(), view_of(fair(0.995), high)) == [(YES, BUY, 9_800, 10)]


def test_levels_between_ticks_are_not_joined_off_the_grid() -> None:
    """After the tick became coarser a level may still stand between two ticks."""
    state = booked({46: 1}, {54: 1}, tick_e4=10)
    between = snapshot({}, {}, ts_ms=9)
    between.bids, between.asks = [(4_650, SHARE)], [(5_350, SHARE)]
    state.book.replace(between, True)
    state.book.set_terms(5_000_000, False, 100)
    for token, _, price_e4, _ in quotes(make(join=True), view_of(fair(0.50), state)):
        assert price_e4 % 100 == 0, (token, price_e4)
    view = view_of(fair(0.60), state)
    assert quotes(make(), view) == [(YES, BUY, 5_300, 10), (NO, BUY, 3_900, 10)]


# -- jumps -----------------------------------------------------------------------------------------


def jumped(bps: float) -> SymbolReference:
    found = SymbolReference("BTC", 30.0, 600.0)
    for ms, price in ((0, 60_000.0), (100, 60_000.0 * (1 + bps * 1e-4))):
        at = NOW + ms * MS_NS
        found.apply(ReferenceTicked(at, "BTC", "x", FAST, round(price * 1e8), at))
    return found


@pytest.mark.parametrize(
    ("condition", "bps", "sides"),
    [
        ("updown", 0.0, [YES, NO]),
        ("updown", 5.0, [YES]),
        ("updown", -5.0, [NO]),
        ("updown", 3.9, [YES, NO]),
        ("above", 5.0, [YES]),
        ("below", 5.0, [NO]),
        ("below", -5.0, [YES]),
        ("range", 5.0, []),
        ("range", -5.0, []),
        ("range", 3.9, [YES, NO]),
    ],
)
def test_jump_pulls_the_threatened_side(condition: str, bps: float, sides: list[int]) -> None:
    """Up: the ask is in danger (it is made by buying NO), of a market on falling the bid.

    Which side of a range is in danger depends on where the price stands in it: both are pulled.
    """
    view = view_of(fair(0.50), booked(condition=condition), reference=jumped(bps))
    assert [token for token, _, _, _ in quotes(make(), view)] == sides


# -- credits ---------------------------------------------------------------------------------------


def test_rebate_is_the_rate_of_the_fee_at_the_price() -> None:
    """0.2 of 0.07 * 0.25 at one half; the older curve: 0.25 * (0.25) ** 2."""
    assert rebate_usdc(listed(), 0.5) == pytest.approx(0.0035)
    assert rebate_usdc(listed(), 0.1) == pytest.approx(0.00126)
    squared = listed(fee_rate_e6=250_000, fee_exponent=2)
    assert rebate_usdc(squared, 0.5) == pytest.approx(0.2 * 0.25 * 0.0625)
    assert rebate_usdc(listed(rebate_rate_e6=0), 0.5) == 0.0
    assert rebate_usdc(listed(fee_rate_e6=0), 0.5) == 0.0


def test_rebate_brings_the_quotes_nearer_by_what_it_is_worth() -> None:
    """0.49 + 0.2 * 0.07 * 0.49 * 0.51 is 0.4935: on a fine grid 4930 instead of 4900."""
    state = booked({40: 1}, {60: 1}, tick_e4=10)
    view = view_of(fair(0.50), state, max_spread_e4=ONE_E4)
    assert quotes(make(), view) == [(YES, BUY, 4_930, 10), (NO, BUY, 4_930, 10)]


def test_credits_give_back_at_most_half_of_the_half_spread() -> None:
    state = booked({40: 1}, {60: 1}, tick_e4=10, rebate_rate_e6=1_000_000)
    view = view_of(fair(0.50), state, max_spread_e4=ONE_E4)
    assert quotes(make(), view) == [(YES, BUY, 4_950, 10), (NO, BUY, 4_950, 10)]


def test_credits_never_cost_the_least_edge() -> None:
    """150 bps at the own price need a bid of at most 0.50 / 1.015 and an ask of 0.50 / 0.985."""
    state = booked({40: 1}, {60: 1}, tick_e4=10)
    view = view_of(fair(0.50), state, min_edge_bps=150.0, max_spread_e4=ONE_E4)
    assert quotes(make(), view) == [(YES, BUY, 4_920, 10), (NO, BUY, 4_920, 10)]


def test_reward_score_falls_with_the_square_of_the_distance() -> None:
    assert reward_score(0.0, 0.045) == 1.0
    assert reward_score(0.0225, 0.045) == pytest.approx(0.25)
    assert reward_score(0.045, 0.045) == 0.0
    assert reward_score(-0.01, 0.045) == 1.0


def test_reward_counts_only_orders_of_its_least_size() -> None:
    rewards = Rewards(20.0, 0.04, 0.002)
    assert rewards.credit(0.02, 20 * SHARE) == pytest.approx(0.0005)
    assert rewards.credit(0.02, 20 * SHARE - 10_000) == 0.0


def test_reward_raises_the_size_in_calm_markets_only() -> None:
    maker = make(rewards_min_size=20.0, rewards_max_spread=0.045)
    assert [shares for *_, shares in quotes(maker, view_of(fair(0.50)))] == [20, 20]
    careful = view_of(fair(0.50), regime=CAUTION, tox=0.4)
    assert [shares for *_, shares in quotes(maker, careful)] == [5, 5]
    off = make(rewards_min_size=20.0)
    assert [shares for *_, shares in quotes(off, view_of(fair(0.50)))] == [10, 10]


def test_reward_enters_the_price() -> None:
    """At 0.01 from the mid the score is (0.75) ** 2: 0.5625 * 0.004 is 0.00225."""
    state = booked({40: 1}, {60: 1}, tick_e4=10, **FREE)
    maker = make(rewards_min_size=10.0, rewards_max_spread=0.04, rewards_usdc=0.004)
    view = view_of(fair(0.50), state, max_spread_e4=ONE_E4)
    assert quotes(maker, view) == [(YES, BUY, 4_920, 10), (NO, BUY, 4_920, 10)]


def test_quote_just_outside_the_scoring_band_comes_in() -> None:
    """Band: less than 0.03 from the mid of 0.50. The bid at 0.4685 may come in by 0.005 to 0.471.

    The ask stands at 0.4885, inside.
    """
    state = booked({40: 1}, {60: 1}, tick_e4=10, **FREE)
    maker = make(rewards_max_spread=0.03)
    view = view_of(fair(0.4785), state, max_spread_e4=ONE_E4)
    assert quotes(maker, view) == [(YES, BUY, 4_710, 10), (NO, BUY, ONE_E4 - 4_890, 10)]
    view.estimate = fair(0.4745)  # 0.4645 + 0.005 does not reach the band
    assert quotes(maker, view)[0] == (YES, BUY, 4_640, 10)
    view.estimate = fair(0.5215)
    assert quotes(maker, view) == [(YES, BUY, 5_110, 10), (NO, BUY, ONE_E4 - 5_290, 10)]


# -- regimes ---------------------------------------------------------------------------------------


def test_caution_pads_and_shrinks() -> None:
    """Pad 0.005 * (1 + 1.5 * 0.4) is 0.008; 20 shares * 0.6 * 0.5 are 6."""
    state = booked({40: 1}, {60: 1}, tick_e4=10, **FREE)
    view = view_of(fair(0.50), state, max_spread_e4=ONE_E4, regime=CAUTION, tox=0.4)
    assert quotes(make(base_quote_size=20.0), view) == [(YES, BUY, 4_820, 6), (NO, BUY, 4_820, 6)]


@pytest.mark.parametrize(
    ("base", "tox", "shares"),
    [(100.0, 0.0, 50), (100.0, 0.5, 25), (100.0, 0.6, 20), (100.0, 0.64, 20), (10.0, 0.5, 5)],
)
def test_caution_keeps_a_fifth_and_a_smallest_order(base: float, tox: float, shares: int) -> None:
    view = view_of(fair(0.50), regime=CAUTION, tox=tox)
    assert [size for *_, size in quotes(make(base_quote_size=base), view)] == [shares, shares]


def test_size_below_the_smallest_order_is_not_raised() -> None:
    view = view_of(fair(0.50), regime=CAUTION, tox=0.5)
    assert [size for *_, size in quotes(make(base_quote_size=3.0), view)] == [3, 3]


def test_adaptive_limits_are_those_of_the_view() -> None:
    assert reason(make(), view_of(fair(0.50), min_edge_bps=250.0)) == "no_quote_edge"
    assert reason(make(), view_of(fair(0.50), max_spread_e4=799)) == "no_quote_spread"


# -- silence ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("estimate", "changes", "why"),
    [
        (no_estimate("no_quote_vol_warmup"), {}, "no_quote_vol_warmup"),
        (fair(0.5, 0.19), {}, "no_quote_confidence"),
        (fair(0.5), {"state": booked({}, {54: 1})}, "no_quote_one_sided"),
        (fair(0.5), {"state": booked({45: 1}, {54: 1})}, "no_quote_spread"),
        (fair(0.5), {"regime": DANGER}, "no_quote_danger"),
        (fair(0.5), {"active": False}, "no_quote_inactive"),
        (fair(0.5), {"ts_ns": END_NS - 20 * SECOND_NS}, "no_quote_near_end"),
        (fair(0.5), {"ts_ns": START_NS + 2 * SECOND_NS - 1}, "no_quote_before_start"),
    ],
)
def test_reasons_not_to_quote(estimate: Estimate, changes: dict[str, Any], why: str) -> None:
    assert reason(make(), view_of(estimate, **changes)) == why


def test_spread_and_times_are_inclusive() -> None:
    for at in (START_NS + 2 * SECOND_NS, END_NS - 20 * SECOND_NS - 1):
        assert len(quotes(make(), view_of(fair(0.5), ts_ns=at))) == 2
