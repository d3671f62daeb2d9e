"""The taker: takes what the book offers below its worth, fees paid.

The edge is that of the token bought (or sold, where it is held) at its own price, net of the
market's fee curve and of the model's own doubt (`Estimate.pad`). What is wished is at most what the
book shows within the slippage budget, level by level while each has its edge (`spec: models`,
taker).

Two kinds of offers are left although their edge is there. A wide or one-sided book has just lost
its makers to somebody who knew more, and what still rests there is the wrong side of that news. An
edge of many cents is more often the model's error than the market's.
"""

from typing import Final, final

import attrs

from polytrade.builtin.sections import of
from polytrade.builtin.sides import fee_usdc, size_of_e6
from polytrade.config import Taker
from polytrade.core.ids import BUY, NO, SELL, YES
from polytrade.core.limit_rules import MARKETABLE_MIN_E6
from polytrade.core.limits import SIZE_STEP_E6
from polytrade.core.roles import CAUTION, DANGER, TAKER, View, Wish
from polytrade.core.units import (
    MS_NS,
    ONE_E4,
    ONE_E6,
    notional_e6_up,
    size_e6_for_cash_down,
    step_down,
)
from polytrade.profiles import Guard, Profile, profile_of

LEVELS_MAX: Final = 8
"""Levels that are looked at; a slippage budget of 60 bps seldom spans more than two."""

CONFIDENCE_MIN: Final = 0.55
WARM_CONFIDENCE_MIN: Final = 0.45
TRIGGER_COLD: Final = 0.70
"""Share of the trigger with which the warm-up of the measuring window begins; it ends at 1."""
IDLE_RATE: Final = 0.90
"""Share of decisions without a quote above which a market is hardly traded."""
TRIGGER_IDLE: Final = 0.85
SLIPPAGE_WARM: Final = 1.2
SLIPPAGE_WARM_IDLE: Final = 1.4
SLIPPAGE_AGGRESSIVE: Final = 1.1
SLIPPAGE_BPS_MIN: Final = 5.0
SLIPPAGE_BPS_MAX: Final = 60.0
ROUNDING: Final = 1e-6
"""What float products fall short of the integer they mean."""


def confidence_floor(progress: float) -> float:
    """The least confidence on which is taken; less during the warm-up (`progress` below 1)."""
    return WARM_CONFIDENCE_MIN if progress < 1.0 else CONFIDENCE_MIN


def trigger_bps(base_bps: float, progress: float, no_quote_rate: float, guard: Guard) -> float:
    """The least net edge, in basis points of the price paid."""
    trigger = base_bps * (TRIGGER_COLD + (1.0 - TRIGGER_COLD) * min(progress, 1.0))
    if no_quote_rate > IDLE_RATE:
        trigger *= TRIGGER_IDLE
    return trigger * guard.trigger


def slippage_bps(
    base_bps: float, progress: float, no_quote_rate: float, aggressive: bool, guard: Guard
) -> float:
    """How far beyond the best price may be paid, in basis points of it, within [5, 60].

    During the warm-up a fifth more, two fifths where the market is hardly quoted.
    """
    slippage = base_bps
    if progress < 1.0:
        slippage *= SLIPPAGE_WARM_IDLE if no_quote_rate > IDLE_RATE else SLIPPAGE_WARM
    if aggressive:
        slippage *= SLIPPAGE_AGGRESSIVE
    return min(max(slippage * guard.slippage, SLIPPAGE_BPS_MIN), SLIPPAGE_BPS_MAX)


def net_edge(side: int, price_e4: int, worth: float, fee: float) -> float:
    """What a share traded at `price_e4` earns in USDC; `worth` is the token's, `fee` a share's."""
    price = price_e4 / ONE_E4
    return (worth - price if side == BUY else price - worth) - fee


@final
@attrs.define(eq=False)
class ProfileTaker:
    """The `profile` taker; settings are those of `[taker]`, in its units.

    At most one order at a time: what a market offers on both sides of a fair value at once is
    a set of both tokens, and that is another engine's trade.
    """

    trigger_bps: float = of(Taker, "trigger_bps")
    max_slippage_bps: float = of(Taker, "max_slippage_bps")
    stale_tick_filter_ms: int = of(Taker, "stale_tick_filter_ms")
    market_tier_profile: str = of(Taker, "market_tier_profile")
    base_size: float = of(Taker, "base_size")
    max_notional: float = of(Taker, "max_notional")
    max_spread: float = of(Taker, "max_spread")
    max_edge: float = of(Taker, "max_edge")
    stale_ns: int = attrs.field(init=False)
    profile: Profile = attrs.field(init=False)
    size_e6: int = attrs.field(init=False)
    max_notional_e6: int = attrs.field(init=False)
    max_spread_e4: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.stale_ns = self.stale_tick_filter_ms * MS_NS
        self.profile = profile_of(self.market_tier_profile)
        self.size_e6 = size_of_e6(self.base_size)
        self.max_notional_e6 = round(self.max_notional * ONE_E6)
        self.max_spread_e4 = round(self.max_spread * ONE_E4)

    def takes(self, view: View) -> tuple[list[Wish], str]:
        """One order for what stands on the wrong side of fair value by the trigger or more."""
        reason = self._silence(view)
        if reason:
            return [], reason
        book, fair = view.market.book, view.estimate.fair
        spec, held = view.market.spec, view.inventory
        if fair * ONE_E4 > book.ask_e4:
            token = NO if held.sellable_no_e6 >= spec.min_size_e6 else YES
            return self._take(view, BUY, token)
        if fair * ONE_E4 < book.bid_e4:
            token = YES if held.sellable_yes_e6 >= spec.min_size_e6 else NO
            return self._take(view, SELL, token)
        return [], "no_take_edge"

    def _silence(self, view: View) -> str:
        """Why nothing is taken, whatever the book says; empty when something may be."""
        if not view.estimate.ok:
            return "no_take_fair_value"
        if view.regime == DANGER:
            return "no_take_danger"
        if view.regime == CAUTION and not self.profile.aggressive:
            return "no_take_caution"
        if not view.active:
            return "no_take_inactive"
        if view.estimate.confidence < confidence_floor(view.progress):
            return "no_take_confidence"
        reference = view.reference
        if reference is not None and reference.age_ns(view.ts_ns) > self.stale_ns:
            return "no_take_stale"
        book = view.market.book
        if not book.two_sided:
            return "no_take_one_sided"
        if book.crossed:
            return "no_take_crossed"
        return "no_take_spread" if view.market.spread_e4 > self.max_spread_e4 else ""

    def _take(self, view: View, side: int, token: int) -> tuple[list[Wish], str]:
        """Walk the levels that `side` of YES meets, as an order of `token`."""
        book, spec, estimate = view.market.book, view.market.spec, view.estimate
        guard = self.profile.guard(spec.symbol)
        trigger = trigger_bps(self.trigger_bps, view.progress, view.no_quote_rate, guard)
        slippage = slippage_bps(
            self.max_slippage_bps,
            view.progress,
            view.no_quote_rate,
            self.profile.aggressive,
            guard,
        )
        own_side = side if token == YES else 1 - side
        worth = estimate.fair if token == YES else 1.0 - estimate.fair
        worth += estimate.pad if own_side == SELL else -estimate.pad
        wanted_e6 = self.size_e6
        if own_side == SELL:
            free_e6 = view.inventory.sellable_yes_e6
            if token == NO:
                free_e6 = view.inventory.sellable_no_e6
            wanted_e6 = min(wanted_e6, step_down(free_e6, SIZE_STEP_E6))
        first_e4 = limit_e4 = size_e6 = spent_e6 = 0
        earned = 0.0
        for yes_price_e4, shown_e6 in book.depth(1 - side, LEVELS_MAX):
            price_e4 = yes_price_e4 if token == YES else ONE_E4 - yes_price_e4
            first_e4 = first_e4 or price_e4
            if abs(price_e4 - first_e4) > first_e4 * slippage * 1e-4 + ROUNDING:
                break
            if price_e4 % book.tick_e4:
                break  # a level from before the tick became coarser: no limit price reaches it
            net = net_edge(own_side, price_e4, worth, fee_usdc(spec, price_e4))
            if net <= 0.0 or net / price_e4 * ONE_E4 * 1e4 < trigger:
                break
            if net > self.max_edge + ROUNDING:
                return [], "no_take_too_good"
            money_e6 = size_e6_for_cash_down(self.max_notional_e6 - spent_e6, price_e4)
            part_e6 = min(shown_e6, wanted_e6 - size_e6, money_e6)
            if part_e6 <= 0:
                break
            limit_e4 = price_e4
            size_e6 += part_e6
            spent_e6 += notional_e6_up(price_e4, part_e6)
            earned += net * part_e6
        if not size_e6:
            return [], "no_take_edge"
        whole_e6 = step_down(size_e6, SIZE_STEP_E6)
        if notional_e6_up(limit_e4, whole_e6) < MARKETABLE_MIN_E6:
            return [], "no_take_notional"
        edge_bps = earned / spent_e6 * 1e4
        return [Wish(token, own_side, limit_e4, whole_e6, edge_bps, TAKER)], ""


@final
@attrs.define(eq=False)
class Nothing:
    """The `none` taker."""

    def takes(self, view: View) -> tuple[list[Wish], str]:
        """Nothing."""
        return [], "no_take_off"
