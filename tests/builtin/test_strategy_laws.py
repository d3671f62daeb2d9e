"""Laws of the strategies over any book, fair value, inventory and regime (Hypothesis)."""

from itertools import pairwise
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polytrade.builtin.allocators import (
    SCALE_MIN,
    KellyAllocator,
    ReferenceAllocator,
    bet_price,
    kelly_fraction,
)
from polytrade.builtin.controls import MidMaker, RandomMaker
from polytrade.builtin.skewed import SkewedMaker
from polytrade.builtin.taker import ProfileTaker, trigger_bps
from polytrade.core.ids import BUY, NO, SELL, YES
from polytrade.core.roles import CAUTION, DANGER, SAFE, Inventory, Maker, Portfolio, View, Wish
from polytrade.core.units import ONE_E4, fee_e6, notional_e6_down, notional_e6_up
from polytrade.profiles import PROFILES
from tests.builtin.views import booked, fair, view_of
from tests.core.factory import SHARE, snapshot

TICKS = (1, 10, 25, 50, 100)
MIN_SIZE_E6 = 5 * SHARE
EPSILON = 1e-6


@attrs.frozen
class Place:
    """One market as a strategy may meet it."""

    tick_e4: int
    bids: list[tuple[int, int]]
    asks: list[tuple[int, int]]
    fair: float
    pad: float
    yes_e6: int
    no_e6: int
    settled: bool
    regime: int
    tox: float
    progress: float
    min_edge_bps: float
    fee_rate_e6: int
    fee_exponent: int
    rebate_rate_e6: int

    def view(self, **changes: Any) -> View:
        """What a strategy sees there, with some of it changed."""
        place = attrs.evolve(self, **changes)
        state = booked(
            {},
            {},
            tick_e4=place.tick_e4,
            fee_rate_e6=place.fee_rate_e6,
            fee_exponent=place.fee_exponent,
            rebate_rate_e6=place.rebate_rate_e6,
        )
        levels = snapshot({}, {}, ts_ms=2)
        levels.bids, levels.asks = place.bids, place.asks
        state.book.replace(levels, True)
        yes_e6, no_e6 = place.yes_e6, place.no_e6
        return view_of(
            fair(place.fair, pad=place.pad),
            state,
            Inventory(yes_e6, no_e6, yes_e6 * place.settled, no_e6 * place.settled),
            regime=place.regime,
            tox=place.tox,
            progress=place.progress,
            min_edge_bps=place.min_edge_bps,
            max_spread_e4=ONE_E4,
        )


def _near(mid: float) -> st.SearchStrategy[float]:
    """Fair values as they mostly are: some cents from the mid."""
    return st.floats(max(mid - 0.05, 0.001), min(mid + 0.05, 0.999))


@st.composite
def places(draw: st.DrawFn) -> Place:
    """Books of up to three levels a side, uncrossed, on any of the venue's grids."""
    tick = draw(st.sampled_from(TICKS))
    count = ONE_E4 // tick
    best_bid = draw(st.integers(1, count - 2))
    best_ask = draw(st.integers(best_bid + 1, min(best_bid + 40, count - 1)))
    sizes = st.integers(1, 2_000).map(lambda hundredths: hundredths * 10_000)
    bids = [(index * tick, draw(sizes)) for index in range(best_bid, max(best_bid - 3, 0), -1)]
    asks = [(index * tick, draw(sizes)) for index in range(best_ask, min(best_ask + 3, count))]
    held = st.integers(0, 60_000).map(lambda thousandths: thousandths * 1_000)
    return Place(
        tick_e4=tick,
        bids=bids,
        asks=asks,
        fair=draw(st.floats(0.001, 0.999) | _near((best_bid + best_ask) * tick / (2 * ONE_E4))),
        pad=draw(st.sampled_from((0.0, 0.01))),
        yes_e6=draw(held),
        no_e6=draw(held),
        settled=draw(st.booleans()),
        regime=draw(st.sampled_from((SAFE, SAFE, CAUTION))),
        tox=draw(st.floats(0.0, 1.0)),
        progress=draw(st.floats(0.0, 1.0)),
        min_edge_bps=draw(st.floats(0.25, 400.0)),
        fee_rate_e6=draw(st.sampled_from((0, 70_000, 250_000))),
        fee_exponent=draw(st.sampled_from((1, 2))),
        rebate_rate_e6=draw(st.sampled_from((0, 200_000, 1_000_000))),
    )


def skewed(join: bool = False, rewards: bool = False) -> SkewedMaker:
    band = (20.0, 0.045, 0.003) if rewards else (0.0, 0.0, 0.0)
    return SkewedMaker(12.0, 0.01, 0.15, join, 4.0, 20.0, 2.0, *band)


MAKERS: tuple[Maker, ...] = (
    skewed(),
    skewed(join=True),
    skewed(rewards=True),
    MidMaker(12.0, 20.0, 2.0),
    RandomMaker(12.0, 20.0, 2.0, 7),
)


def in_yes(wish: Wish) -> tuple[int, int]:
    """The side of YES and the price of YES that a wish means."""
    if wish.token == YES:
        return wish.side, wish.price_e4
    return 1 - wish.side, ONE_E4 - wish.price_e4


def yes_prices(maker: Maker, view: View) -> dict[int, int]:
    """The wanted price of YES by side."""
    return dict(in_yes(wish) for wish in maker.quotes(view)[0])


@given(place=places())
def test_quotes_rest_on_the_grid_and_keep_apart(place: Place) -> None:
    """Nothing crosses the book, neither quote meets the other, sizes are what may be sent."""
    view = place.view()
    for maker in MAKERS:
        check_quotes(maker, view)


def check_quotes(maker: Maker, view: View) -> None:
    wishes, reason = maker.quotes(view)
    assert bool(wishes) != bool(reason)
    book = view.market.book
    found = dict(in_yes(wish) for wish in wishes)
    assert len(found) == len(wishes) <= 2
    for wish in wishes:
        side, price_e4 = in_yes(wish)
        assert wish.price_e4 % book.tick_e4 == 0 and 0 < wish.price_e4 < ONE_E4
        assert price_e4 < book.ask_e4 if side == BUY else price_e4 > book.bid_e4
        assert wish.size_e6 % 10_000 == 0 and wish.size_e6 >= MIN_SIZE_E6
        if wish.side == SELL:
            held = view.inventory
            free = held.sellable_yes_e6 if wish.token == YES else held.sellable_no_e6
            assert wish.size_e6 <= free
    if len(found) == 2:
        assert found[BUY] < found[SELL]


@given(place=places(), rewards=st.booleans())
def test_skewed_quotes_have_the_least_edge(place: Place, rewards: bool) -> None:
    wishes, _ = skewed(rewards=rewards).quotes(place.view())
    for wish in wishes:
        side, price_e4 = in_yes(wish)
        gain = place.fair * ONE_E4 - price_e4 if side == BUY else price_e4 - place.fair * ONE_E4
        assert wish.edge_bps == pytest.approx(gain / price_e4 * 1e4)
        assert wish.edge_bps >= place.min_edge_bps


@given(place=places(), more=st.integers(1, 40_000), rewards=st.booleans())
def test_more_inventory_never_raises_a_quote(place: Place, more: int, rewards: bool) -> None:
    maker = skewed(rewards=rewards)
    before = yes_prices(maker, place.view())
    after = yes_prices(maker, place.view(yes_e6=place.yes_e6 + more * 1_000))
    for side in before.keys() & after.keys():
        assert after[side] <= before[side]


@given(place=places(), more=st.floats(0.0, 1.0), rewards=st.booleans())
def test_more_toxicity_never_brings_a_quote_nearer_or_makes_it_larger(
    place: Place, more: float, rewards: bool
) -> None:
    """From Safe to Caution, and within Caution from any `tox` to a higher one."""
    maker = skewed(rewards=rewards)
    steps = [
        place.view(regime=SAFE),
        place.view(regime=CAUTION),
        place.view(regime=CAUTION, tox=place.tox + more * (1.0 - place.tox)),
    ]
    found = [{in_yes(wish)[0]: wish for wish in maker.quotes(view)[0]} for view in steps]
    for calm, toxic in pairwise(found):
        for side in calm.keys() & toxic.keys():
            near, far = in_yes(calm[side])[1], in_yes(toxic[side])[1]
            assert far <= near if side == BUY else far >= near
            assert toxic[side].size_e6 <= calm[side].size_e6


@given(place=places())
def test_nothing_rests_in_danger(place: Place) -> None:
    view = place.view(regime=DANGER)
    for maker in MAKERS:
        assert maker.quotes(view) == ([], "no_quote_danger")


@given(place=places(), profile=st.sampled_from(sorted(PROFILES)))
def test_what_is_taken_earns_money_after_its_fees(place: Place, profile: str) -> None:
    """Filled exactly at the book's levels, with the venue's rounding, the wish has its edge."""
    view = place.view()
    taker = ProfileTaker(7.0, 30.0, 2000, profile, 30.0, 25.0, 1.0, 1.0)
    wishes, reason = taker.takes(view)
    assert len(wishes) == (not reason)
    for wish in wishes:
        levels = place.asks if in_yes(wish)[0] == BUY else place.bids
        prices = [price if wish.token == YES else ONE_E4 - price for price, _ in levels]
        worth = place.fair if wish.token == YES else 1.0 - place.fair
        left_e6, money_e6 = wish.size_e6, 0
        for price_e4, (_, shown_e6) in zip(prices, levels, strict=True):
            inside = price_e4 <= wish.price_e4 if wish.side == BUY else price_e4 >= wish.price_e4
            part_e6 = min(left_e6, shown_e6) if inside else 0
            left_e6 -= part_e6
            fee = fee_e6(part_e6, price_e4, place.fee_rate_e6, place.fee_exponent)
            if wish.side == BUY:
                money_e6 -= notional_e6_up(price_e4, part_e6) + fee
            else:
                money_e6 += notional_e6_down(price_e4, part_e6) - fee
        assert left_e6 == 0, "more was wished than the book shows within the limit"
        gain_e6 = money_e6 + worth * wish.size_e6 * (1 if wish.side == BUY else -1)
        notional_e6 = notional_e6_up(wish.price_e4, wish.size_e6)
        guard = PROFILES[profile].guard("BTC")
        least_bps = trigger_bps(7.0, place.progress, 0.0, guard)
        rounding_e6 = 20  # a fee is rounded to 1e-5 USDC a fill, a notional to 1e-6
        assert gain_e6 + rounding_e6 > 0
        assert wish.edge_bps >= least_bps - EPSILON
        assert notional_e6 >= 1_000_000 and wish.size_e6 % 10_000 == 0
        assert wish.price_e4 % place.tick_e4 == 0
        assert abs(wish.price_e4 - prices[0]) <= prices[0] * 60e-4 + EPSILON


@given(place=places(), confidence=st.floats(0.0, 1.0), spread=st.floats(0.0, 2_000.0))
def test_reference_scale_is_bounded(place: Place, confidence: float, spread: float) -> None:
    view = place.view()
    view.estimate.confidence = confidence
    view.markout10_p25 = -spread
    share = ReferenceAllocator(0.35, 0.25).share(view, Portfolio(0, 0))
    assert SCALE_MIN <= share.scale <= 0.35


@given(probability=st.floats(0.0, 1.0), price=st.floats(0.0, 1.0))
def test_kelly_fraction_is_bounded_and_zero_without_an_edge(
    probability: float, price: float
) -> None:
    fraction = kelly_fraction(probability, price)
    assert 0.0 <= fraction <= 1.0
    assert fraction == 0.0 or probability > price


@given(
    place=places(),
    equity=st.integers(-10, 5_000),
    siblings=st.integers(-200, 200),
    correlation=st.floats(0.0, 1.0),
)
def test_kelly_never_holds_more_than_the_bankroll_asks_for(
    place: Place, equity: int, siblings: int, correlation: float
) -> None:
    """What is held of a bet and what is added to it stay within the fraction of the equity."""
    allocator = KellyAllocator(0.35, 0.25, correlation)
    view = place.view()
    portfolio = Portfolio(0, equity * SHARE, siblings_up_e6=siblings * SHARE, wish_e6=10 * SHARE)
    share = allocator.share(view, portfolio)
    assert 0.0 <= share.scale <= 1.0
    assert bool(share.reason) == (share.scale == 0.0)
    if share.scale == 0.0:
        return
    net_e6 = place.yes_e6 - place.no_e6
    fractions = [
        kelly_fraction(worth - place.pad, bet_price(view, token))
        for token, worth in ((YES, place.fair), (NO, 1.0 - place.fair))
    ]
    bet = YES if fractions[YES] >= fractions[NO] else NO
    sign = 1 if bet == YES else -1
    kin_e6 = correlation * max(siblings * SHARE * sign, 0)
    held_e6 = net_e6 * sign + kin_e6 + share.scale * 10 * SHARE
    assert (
        held_e6 * bet_price(view, bet) <= 0.35 * fractions[bet] * equity * SHARE + EPSILON * SHARE
    )
