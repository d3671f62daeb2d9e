"""The allocators: the reference formula and fractional Kelly, by hand."""

from typing import Any

import pytest

from polytrade.builtin.allocators import (
    KellyAllocator,
    ReferenceAllocator,
    bet_price,
    kelly_fraction,
    variance_penalty,
)
from polytrade.core.ids import NO, YES
from polytrade.core.roles import Portfolio, View, no_estimate
from tests.builtin.views import booked, fair, holding, view_of
from tests.core.factory import SHARE

USDC = 1_000_000


def money(equity: float = 1_000.0, siblings_up: float = 0.0, wish: float = 100.0) -> Portfolio:
    return Portfolio(
        1_000 * USDC,
        round(equity * USDC),
        siblings_up_e6=round(siblings_up * SHARE),
        wish_e6=round(wish * SHARE),
    )


@pytest.mark.parametrize(
    ("weight", "p50", "p25", "penalty"),
    [
        (0.25, 0.0, 0.0, 0.0),
        (0.25, 10.0, -90.0, 0.125),
        (0.25, -90.0, 10.0, 0.125),
        (0.25, 300.0, -300.0, 0.25),
        (5.0, 10.0, -30.0, 0.9),
        (5.0, 5.0, -5.0, 0.25),
    ],
)
def test_variance_penalty(weight: float, p50: float, p25: float, penalty: float) -> None:
    assert variance_penalty(weight, p50, p25) == pytest.approx(penalty)


@pytest.mark.parametrize(
    ("fraction", "confidence", "p25", "scale"),
    [
        (0.35, 1.0, 0.0, 0.35),
        (0.35, 0.8, 0.0, 0.28),
        (0.35, 0.8, -100.0, 0.28 * 0.875),
        (0.35, 0.1, 0.0, 0.05),
        (0.01, 1.0, 0.0, 0.05),
        (1.0, 1.0, 0.0, 1.0),
    ],
)
def test_reference_scale(fraction: float, confidence: float, p25: float, scale: float) -> None:
    view = view_of(fair(0.5, confidence), markout10_p25=p25)
    share = ReferenceAllocator(fraction, 0.25).share(view, money())
    assert share.scale == pytest.approx(scale)
    assert share.reason == ""


@pytest.mark.parametrize(
    ("probability", "price", "fraction"),
    [
        (0.6, 0.5, 0.2),
        (1.0, 0.5, 1.0),
        (0.5, 0.5, 0.0),
        (0.4, 0.5, 0.0),
        (0.99, 0.9, 0.9),
        (0.5, 0.0, 0.0),
        (0.5, 1.0, 0.0),
    ],
)
def test_kelly_fraction(probability: float, price: float, fraction: float) -> None:
    assert kelly_fraction(probability, price) == pytest.approx(fraction)


def kelly(**changes: Any) -> KellyAllocator:
    settings: dict[str, Any] = {
        "capital_fraction_kelly": 0.5,
        "variance_penalty_lambda": 0.0,
        "correlation": 1.0,
        **changes,
    }
    return KellyAllocator(**settings)


def cheap(**changes: Any) -> View:
    """Fair 0.60 against an ask of 0.54, free of fees: (0.60 - 0.54) / 0.46 of the bankroll.

    Half of 0.130435 of 1000 USDC buys 120.77 shares at 0.54.
    """
    return view_of(fair(0.60, changes.pop("confidence", 1.0)), booked(fee_rate_e6=0), **changes)


TARGET = 0.5 * 0.06 / 0.46 * 1_000 / 0.54


def test_price_is_the_ask_with_its_fee_where_that_has_an_edge() -> None:
    """0.54 + 0.07 * 0.54 * 0.46; NO mirrors it."""
    assert bet_price(view_of(fair(0.60)), YES) == pytest.approx(0.557388)
    assert bet_price(view_of(fair(0.40)), NO) == pytest.approx(0.557388)


def test_price_is_the_bid_or_the_least_edge_elsewhere() -> None:
    view = view_of(fair(0.55), min_edge_bps=100.0)  # above the ask, but not with its fee
    assert bet_price(view, YES) == 0.46
    assert bet_price(view, NO) == pytest.approx(0.45 / 1.01)
    assert bet_price(view_of(fair(0.55), booked({}, {54: 1})), YES) == 0.0


def test_scale_is_the_target_over_a_whole_wish() -> None:
    assert kelly().share(cheap(), money(wish=200.0)).scale == pytest.approx(TARGET / 200)
    assert kelly().share(cheap(), money(wish=100.0)).scale == 1.0
    half = kelly().share(cheap(confidence=0.5), money(wish=200.0))
    assert half.scale == pytest.approx(TARGET / 400)
    poorer = kelly().share(cheap(), money(equity=500.0, wish=200.0))
    assert poorer.scale == pytest.approx(TARGET / 400)


def test_bet_gets_the_whole_of_a_wish_that_is_not_known() -> None:
    assert kelly().share(cheap(), money(wish=0.0)).scale == 1.0
    assert kelly().share(cheap(), money(equity=41.3, wish=0.0)).reason == "kelly"


def test_variance_of_markouts_takes_off_the_target() -> None:
    view = cheap(markout10_p50=10.0, markout10_p25=-90.0)
    share = kelly(variance_penalty_lambda=0.4).share(view, money(wish=200.0))
    assert share.scale == pytest.approx(TARGET * 0.8 / 200)


def test_what_is_held_counts_and_the_other_token_gives_room() -> None:
    allocator = kelly()
    held = allocator.share(cheap(held=holding(yes=50)), money(wish=400.0))
    assert held.scale == pytest.approx((TARGET - 50) / 400)
    other = allocator.share(cheap(held=holding(no=50)), money(wish=400.0))
    assert other.scale == pytest.approx((TARGET + 50) / 400)
    full = allocator.share(cheap(held=holding(yes=120)), money(wish=400.0))
    assert (full.scale, full.reason) == (0.0, "kelly")


@pytest.mark.parametrize(
    ("correlation", "siblings_up", "condition", "counted"),
    [
        (1.0, 50.0, "updown", 50.0),
        (0.8, 50.0, "updown", 40.0),
        (0.0, 50.0, "updown", 0.0),
        (1.0, -50.0, "updown", 0.0),  # they win in the opposite case: no more room for that
        (1.0, 50.0, "above", 50.0),
        (1.0, 50.0, "below", 0.0),
        (1.0, -50.0, "below", 50.0),
        (1.0, 50.0, "other", 0.0),
    ],
)
def test_markets_of_one_asset_share_a_side(
    correlation: float, siblings_up: float, condition: str, counted: float
) -> None:
    view = view_of(fair(0.60), booked(fee_rate_e6=0, condition=condition))
    share = kelly(correlation=correlation).share(view, money(siblings_up=siblings_up, wish=200.0))
    assert share.scale == pytest.approx((TARGET - counted) / 200)


def test_siblings_of_the_other_side_do_not_count_for_no() -> None:
    view = view_of(fair(0.40), booked(fee_rate_e6=0))
    allocator = kelly()
    assert allocator.share(view, money(siblings_up=50.0, wish=200.0)).scale == pytest.approx(
        TARGET / 200
    )
    falling = allocator.share(view, money(siblings_up=-50.0, wish=200.0))
    assert falling.scale == pytest.approx((TARGET - 50) / 200)


def test_both_sides_of_a_maker_are_bets_and_the_fuller_decides() -> None:
    """Fair 0.50 between 0.46 and 0.54: each side is a bet at 0.46, of 0.04 / 0.54 of the money."""
    target = 0.5 * 0.04 / 0.54 * 1_000 / 0.46
    allocator = kelly()
    flat = allocator.share(view_of(fair(0.50)), money(wish=200.0))
    assert flat.scale == pytest.approx(target / 200)
    for held in (holding(yes=30), holding(no=30)):
        share = allocator.share(view_of(fair(0.50), held=held), money(wish=200.0))
        assert share.scale == pytest.approx((target - 30) / 200)


def test_a_bet_below_the_smallest_order_is_none() -> None:
    """Five shares: 0.5 * 0.06 / 0.46 * equity / 0.54 = 5 at 41.4 USDC."""
    assert kelly().share(cheap(), money(equity=41.3)).reason == "kelly"
    assert kelly().share(cheap(), money(equity=41.5)).scale == pytest.approx(0.05, rel=0.01)


def test_no_bet_without_a_word_an_edge_or_money() -> None:
    silent = kelly().share(view_of(no_estimate("no_quote_vol_warmup")), money())
    assert (silent.scale, silent.reason) == (0.0, "fair_value")
    doubtful = kelly().share(view_of(fair(0.50, pad=0.6)), money())
    assert (doubtful.scale, doubtful.reason) == (0.0, "kelly")
    assert kelly().share(cheap(), money(equity=-5.0)).scale == 0.0
