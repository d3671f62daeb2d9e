"""The profile taker: the trigger, the slippage budget, fees, depth and silence."""

from typing import Any

import pytest

from polytrade.builtin.taker import (
    ProfileTaker,
    confidence_floor,
    net_edge,
    slippage_bps,
    trigger_bps,
)
from polytrade.core.events import ReferenceTicked
from polytrade.core.ids import BUY, FAST, NO, SELL, YES
from polytrade.core.market import MarketState
from polytrade.core.reference import SymbolReference
from polytrade.core.roles import CAUTION, DANGER, TAKER, Estimate, View, no_estimate
from polytrade.core.units import MS_NS
from polytrade.profiles import GUARDED, PROFILES, UNGUARDED, profile_of
from tests.builtin.views import NOW, booked, fair, holding, view_of
from tests.core.factory import SHARE, snapshot

FREE: dict[str, Any] = {"fee_rate_e6": 0}


def make(**changes: Any) -> ProfileTaker:
    settings: dict[str, Any] = {
        "trigger_bps": 7.0,
        "max_slippage_bps": 30.0,
        "stale_tick_filter_ms": 2000,
        "market_tier_profile": "balanced_sol_guard",
        "base_size": 10.0,
        "max_notional": 25.0,
        "max_spread": 1.0,
        "max_edge": 1.0,
        **changes,
    }
    return ProfileTaker(**settings)


def fine(asks: list[tuple[int, float]], bids: list[tuple[int, float]], **terms: Any) -> MarketState:
    """A book on a grid of 0.0001 with levels of (price_e4, shares)."""
    state = booked({}, {}, tick_e4=1, **terms)
    levels = snapshot({}, {}, ts_ms=2)
    levels.asks = [(price, round(shares * SHARE)) for price, shares in asks]
    levels.bids = [(price, round(shares * SHARE)) for price, shares in bids]
    state.book.replace(levels, True)
    return state


def takes(taker: ProfileTaker, view: View) -> tuple[int, int, int, float]:
    """(token, side, limit price_e4, shares) of the only wish."""
    wishes, why = taker.takes(view)
    assert len(wishes) == 1, why
    (wish,) = wishes
    assert (wish.engine, why) == (TAKER, "")
    return wish.token, wish.side, wish.price_e4, wish.size_e6 / SHARE


def reason(taker: ProfileTaker, view: View) -> str:
    wishes, why = taker.takes(view)
    assert wishes == []
    return why


# -- formulas --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("progress", "no_quote_rate", "guard", "bps"),
    [
        (1.0, 0.0, UNGUARDED, 10.0),
        (0.0, 0.0, UNGUARDED, 7.0),
        (0.5, 0.0, UNGUARDED, 8.5),
        (1.0, 0.90, UNGUARDED, 10.0),
        (1.0, 0.91, UNGUARDED, 8.5),
        (1.0, 0.0, GUARDED, 12.5),
        (0.5, 1.0, GUARDED, 10.0 * 0.85 * 0.85 * 1.25),
    ],
)
def test_trigger(progress: float, no_quote_rate: float, guard: Any, bps: float) -> None:
    assert trigger_bps(10.0, progress, no_quote_rate, guard) == pytest.approx(bps)


@pytest.mark.parametrize(
    ("base", "progress", "no_quote_rate", "aggressive", "guard", "bps"),
    [
        (30.0, 1.0, 0.0, False, UNGUARDED, 30.0),
        (30.0, 1.0, 0.95, False, UNGUARDED, 30.0),
        (30.0, 0.5, 0.0, False, UNGUARDED, 36.0),
        (30.0, 0.5, 0.95, False, UNGUARDED, 42.0),
        (30.0, 1.0, 0.0, True, UNGUARDED, 33.0),
        (30.0, 1.0, 0.0, False, GUARDED, 24.0),
        (30.0, 0.5, 0.95, True, GUARDED, 30.0 * 1.4 * 1.1 * 0.8),
        (1.0, 1.0, 0.0, False, UNGUARDED, 5.0),
        (100.0, 1.0, 0.0, False, UNGUARDED, 60.0),
    ],
)
def test_slippage_budget(
    base: float, progress: float, no_quote_rate: float, aggressive: bool, guard: Any, bps: float
) -> None:
    found = slippage_bps(base, progress, no_quote_rate, aggressive, guard)
    assert found == pytest.approx(bps)


def test_confidence_floor_is_lower_in_the_warm_up() -> None:
    assert [confidence_floor(progress) for progress in (0.0, 0.99, 1.0)] == [0.45, 0.45, 0.55]


def test_net_edge_of_both_sides() -> None:
    assert net_edge(BUY, 4_800, 0.50, 0.0175) == pytest.approx(0.0025)
    assert net_edge(SELL, 5_200, 0.50, 0.0175) == pytest.approx(0.0025)


def test_profiles_are_a_table() -> None:
    assert sorted(PROFILES) == [
        "aggressive",
        "aggressive_sol_guard",
        "balanced",
        "balanced_sol_guard",
    ]
    profile = profile_of("balanced_sol_guard")
    assert not profile.aggressive
    assert (profile.guard("SOL").trigger, profile.guard("SOL").slippage) == (1.25, 0.8)
    assert (profile.guard("BTC").trigger, profile.guard("BTC").slippage) == (1.0, 1.0)
    assert profile_of("aggressive").aggressive
    with pytest.raises(
        ValueError, match=r"expected a taker profile of `balanced`, .* found 'bold'"
    ):
        make(market_tier_profile="bold")


# -- what is taken ---------------------------------------------------------------------------------


def test_cheap_yes_is_bought() -> None:
    """Free of fees: (0.56 - 0.54) / 0.54 is 370 bps."""
    wishes, _ = make().takes(view_of(fair(0.56), booked(**FREE)))
    assert [(w.token, w.side, w.price_e4, w.size_e6) for w in wishes] == [
        (YES, BUY, 5_400, 10 * SHARE)
    ]
    assert wishes[0].edge_bps == pytest.approx(200 / 5_400 * 1e4)


def test_dear_yes_is_sold_by_buying_no() -> None:
    """YES bid 0.46, fair 0.44: NO costs 0.54 and is worth 0.56."""
    wishes, _ = make().takes(view_of(fair(0.44), booked(**FREE)))
    assert [(w.token, w.side, w.price_e4) for w in wishes] == [(NO, BUY, 5_400)]
    assert wishes[0].edge_bps == pytest.approx(200 / 5_400 * 1e4)


def test_what_is_held_is_sold() -> None:
    dear = view_of(fair(0.44), booked(**FREE), holding(yes=7.005))
    assert takes(make(), dear) == (YES, SELL, 4_600, 7.0)
    cheap = view_of(fair(0.56), booked(**FREE), holding(no=20.0))
    assert takes(make(), cheap) == (NO, SELL, 4_600, 10.0)
    unsettled = view_of(fair(0.44), booked(**FREE), holding(yes=7.0, settled=False))
    assert takes(make(), unsettled) == (NO, BUY, 5_400, 10.0)


def test_fee_is_part_of_the_price() -> None:
    """At 0.54 a share costs 0.07 * 0.54 * 0.46 = 0.017388 more: 0.5570 has no edge, 0.558 has.

    0.558 - 0.54 - 0.017388 is 0.000612, 11.3 bps of 0.54.
    """
    assert reason(make(), view_of(fair(0.5570))) == "no_take_edge"
    wishes, _ = make().takes(view_of(fair(0.558)))
    assert wishes[0].edge_bps == pytest.approx(0.000612 / 0.54 * 1e4, abs=1e-6)


def test_edge_must_reach_the_trigger() -> None:
    """612 e-6 on 0.54 is 11.33 bps."""
    assert takes(make(trigger_bps=11.3), view_of(fair(0.558))) == (YES, BUY, 5_400, 10)
    assert reason(make(trigger_bps=11.4), view_of(fair(0.558))) == "no_take_edge"
    warm = view_of(fair(0.558), progress=0.5)
    assert takes(make(trigger_bps=11.4), warm) == (YES, BUY, 5_400, 10)


def test_guarded_symbol_needs_more() -> None:
    sol = view_of(fair(0.558), booked(symbol="SOL"))
    assert takes(make(trigger_bps=9.0), sol) == (YES, BUY, 5_400, 10)
    assert reason(make(trigger_bps=9.1), sol) == "no_take_edge"
    assert takes(make(trigger_bps=9.1, market_tier_profile="balanced"), sol)[2] == 5_400


def test_doubt_of_the_model_is_taken_off_the_edge() -> None:
    """612 e-6 less a pad of 0.0005 is 2 bps."""
    assert reason(make(), view_of(fair(0.558, pad=0.0005))) == "no_take_edge"
    held = holding(yes=10)
    assert takes(make(), view_of(fair(0.44), booked(**FREE), held)) == (YES, SELL, 4_600, 10)
    padded = view_of(fair(0.44, pad=0.02), booked(**FREE), held)
    assert reason(make(), padded) == "no_take_edge"


def test_levels_are_walked_within_the_slippage_budget() -> None:
    """30 bps of 0.5000 reach 0.5015; the next level is beyond."""
    state = fine([(5_000, 3), (5_010, 2), (5_015, 1.5), (5_016, 90)], [(4_000, 9)], **FREE)
    assert takes(make(base_size=50.0), view_of(fair(0.60), state)) == (YES, BUY, 5_015, 6.5)
    assert takes(make(base_size=4.0), view_of(fair(0.60), state)) == (YES, BUY, 5_010, 4.0)
    warm = view_of(fair(0.60), state, progress=0.9)
    assert takes(make(base_size=50.0), warm)[2] == 5_016


def test_each_level_needs_its_edge() -> None:
    """Fair 0.5012, trigger 7 bps: 0.5008 has 8 bps, 0.5010 has 4."""
    state = fine([(5_000, 3), (5_008, 2), (5_010, 90)], [(4_000, 9)], **FREE)
    wishes, _ = make(base_size=50.0).takes(view_of(fair(0.5012), state))
    assert [(w.price_e4, w.size_e6) for w in wishes] == [(5_008, 5 * SHARE)]
    assert wishes[0].edge_bps == pytest.approx((3 * 12 + 2 * 4) / (3 * 5_000 + 2 * 5_008) * 1e4)


def test_bids_are_walked_down_for_no() -> None:
    """NO costs 0.50, 0.501, 0.5015 and 0.502."""
    state = fine([(6_000, 9)], [(4_980, 90), (4_985, 1), (4_990, 2), (5_000, 3)], **FREE)
    assert takes(make(base_size=50.0), view_of(fair(0.40), state)) == (NO, BUY, 5_015, 6.0)
    held = view_of(fair(0.40), state, holding(yes=50))
    assert takes(make(base_size=50.0), held) == (YES, SELL, 4_985, 6.0)


def test_money_in_one_order_is_limited() -> None:
    """25 USDC buy 46.29 shares at 0.54."""
    state = booked(asks={54: 500}, **FREE)
    assert takes(make(base_size=100.0), view_of(fair(0.60), state))[3] == 46.29
    assert takes(make(base_size=100.0, max_notional=5.4), view_of(fair(0.60), state))[3] == 10.0


def test_less_than_a_dollar_is_not_taken() -> None:
    state = booked(asks={54: 1}, **FREE)
    assert reason(make(), view_of(fair(0.60), state)) == "no_take_notional"
    enough = fine([(5_400, 1.86)], [(4_000, 9)], **FREE)
    assert takes(make(), view_of(fair(0.60), enough)) == (YES, BUY, 5_400, 1.86)
    dust = fine([(5_400, 0.004), (5_401, 3)], [(4_000, 9)], **FREE)
    assert takes(make(), view_of(fair(0.60), dust)) == (YES, BUY, 5_401, 3.0)


def test_level_between_ticks_is_left() -> None:
    """The tick became coarser: no limit price reaches 0.5405 alone."""
    state = fine([(5_400, 5), (5_405, 5)], [(4_000, 5)], **FREE)
    state.book.set_terms(5_000_000, False, 100)
    assert takes(make(), view_of(fair(0.60), state)) == (YES, BUY, 5_400, 5.0)
    off = fine([(5_405, 5)], [(4_000, 5)], **FREE)
    off.book.set_terms(5_000_000, False, 100)
    assert reason(make(), view_of(fair(0.60), off)) == "no_take_edge"


def test_edge_too_good_to_be_true_is_left() -> None:
    """At 0.54 a fair value of 0.62 leaves eight cents a share, 0.621 a tenth of a cent more."""
    careful = make(max_edge=0.08)
    assert takes(careful, view_of(fair(0.62), booked(**FREE))) == (YES, BUY, 5_400, 10)
    assert reason(careful, view_of(fair(0.621), booked(**FREE))) == "no_take_too_good"
    assert reason(careful, view_of(fair(0.379), booked(**FREE))) == "no_take_too_good"
    costly = view_of(fair(0.63), booked())  # 0.63 - 0.54 less a fee of 0.017388
    assert takes(careful, costly)[:2] == (YES, BUY)
    doubted = view_of(fair(0.63, pad=0.02), booked(**FREE))
    assert takes(careful, doubted)[:2] == (YES, BUY)


def test_wide_book_is_not_taken() -> None:
    """Four cents and no more: the makers of a wider book have gone."""
    careful = make(max_spread=0.04)
    assert takes(careful, view_of(fair(0.60), booked({50: 9}, {54: 9}, **FREE)))[0] == YES
    wide = view_of(fair(0.60), booked({49: 9}, {54: 9}, **FREE))
    assert reason(careful, wide) == "no_take_spread"


# -- silence ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("estimate", "changes", "why"),
    [
        (no_estimate("no_quote_vol_warmup"), {}, "no_take_fair_value"),
        (fair(0.6), {"regime": DANGER}, "no_take_danger"),
        (fair(0.6), {"regime": CAUTION}, "no_take_caution"),
        (fair(0.6), {"active": False}, "no_take_inactive"),
        (fair(0.6, 0.54), {}, "no_take_confidence"),
        (fair(0.6, 0.44), {"progress": 0.5}, "no_take_confidence"),
        (fair(0.5), {}, "no_take_edge"),
        (fair(0.6), {"state": booked({55: 1}, {54: 1})}, "no_take_crossed"),
        (fair(0.6), {"state": booked({}, {54: 9}, **FREE)}, "no_take_one_sided"),
        (fair(0.4), {"state": booked({46: 9}, {}, **FREE)}, "no_take_one_sided"),
        (fair(0.6), {"state": booked({}, {}, **FREE)}, "no_take_one_sided"),
    ],
)
def test_reasons_not_to_take(estimate: Estimate, changes: dict[str, Any], why: str) -> None:
    assert reason(make(), view_of(estimate, **changes)) == why


def test_aggressive_profile_takes_in_caution_but_not_in_danger() -> None:
    bold = make(market_tier_profile="aggressive")
    assert takes(bold, view_of(fair(0.60), regime=CAUTION))[0] == YES
    assert reason(bold, view_of(fair(0.60), regime=DANGER)) == "no_take_danger"


def test_old_reference_is_not_taken_on() -> None:
    reference = SymbolReference("BTC", 30.0, 600.0)
    reference.apply(ReferenceTicked(NOW, "BTC", "x", FAST, 6_000_000_000_000, NOW))
    fresh = view_of(fair(0.60), reference=reference, ts_ns=NOW + 2_000 * MS_NS)
    assert takes(make(), fresh)[0] == YES
    stale = view_of(fair(0.60), reference=reference, ts_ns=NOW + 2_001 * MS_NS)
    assert reason(make(), stale) == "no_take_stale"
