"""The taker: takes what the book offers below its worth, fees paid.

The edge is that of the token bought (or sold, where it is held) at its own price, net of the
market's fee curve and of the model's own doubt (`Estimate.pad`). What is wished is at most what the
book shows within the slippage budget, level by level while each has its edge (`spec: models`,
taker).
"""

from collections.abc import Mapping
from typing import Final, final

from polytrade.core.ids import BUY, NO, SELL, YES
from polytrade.core.roles import CAUTION, DANGER, TAKER, View, Wish
from polytrade.core.units import (
    MS_NS,
    ONE_E4,
    ONE_E6,
    fee_e6,
    notional_e6_up,
    size_e6_for_cash_down,
    step_down,
)

SIZE_STEP_E6: Final = 10_000
"""Order sizes carry at most two decimals (protocols 4.3)."""
MARKETABLE_MIN_E6: Final = ONE_E6
"""An order that does not rest must be worth 1 USDC (protocols 2.5)."""
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
MAX_NOTIONAL: Final = 25.0
"""Most money in one order where nothing else is said, in USDC."""
ROUNDING: Final = 1e-6
"""What float products fall short of the integer they mean."""
FEE_PROBE_E6: Final = 1_000 * ONE_E6
"""Shares over which a fee per share is measured: its rounding is then far below a basis point."""


@final
class Guard:
    """What a profile changes for one symbol: factors of the trigger and of the slippage."""

    __slots__ = ("slippage", "trigger")

    def __init__(self, trigger: float, slippage: float) -> None:
        self.trigger = trigger
        self.slippage = slippage


GUARDED: Final = Guard(1.25, 0.8)
UNGUARDED: Final = Guard(1.0, 1.0)


@final
class Profile:
    """How bold the taker is: guarded symbols, and whether it takes in Caution."""

    __slots__ = ("aggressive", "guards", "name")

    def __init__(self, name: str, aggressive: bool, guards: Mapping[str, Guard]) -> None:
        self.name = name
        self.aggressive = aggressive
        self.guards = guards

    def guard(self, symbol: str) -> Guard:
        """The factors of a symbol."""
        return self.guards.get(symbol, UNGUARDED)


PROFILES: Final[Mapping[str, Profile]] = {
    profile.name: profile
    for profile in (
        Profile("balanced", False, {}),
        Profile("balanced_sol_guard", False, {"SOL": GUARDED}),
        Profile("aggressive", True, {}),
        Profile("aggressive_sol_guard", True, {"SOL": GUARDED}),
    )
}
"""The values of `market_tier_profile`."""


def profile_of(name: str) -> Profile:
    """The profile of that name; ValueError names the known ones."""
    if name not in PROFILES:
        known = ", ".join(f"`{known}`" for known in PROFILES)
        raise ValueError(f"expected a taker profile of {known}, found {name!r}")
    return PROFILES[name]


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
class ProfileTaker:
    """The `profile` taker; settings are those of `[taker]`, `max_notional` is in USDC.

    At most one order at a time: what a market offers on both sides of a fair value at once is
    a set of both tokens, and that is another engine's trade.
    """

    __slots__ = (
        "base_slippage_bps",
        "base_trigger_bps",
        "max_notional_e6",
        "profile",
        "size_e6",
        "stale_ns",
    )

    def __init__(
        self,
        trigger_bps: float,
        max_slippage_bps: float,
        stale_tick_filter_ms: int,
        market_tier_profile: str,
        base_size: float,
        max_notional: float = MAX_NOTIONAL,
    ) -> None:
        self.base_trigger_bps = trigger_bps
        self.base_slippage_bps = max_slippage_bps
        self.stale_ns = stale_tick_filter_ms * MS_NS
        self.profile = profile_of(market_tier_profile)
        self.size_e6 = round(base_size * 100) * SIZE_STEP_E6
        self.max_notional_e6 = round(max_notional * ONE_E6)

    def takes(self, view: View) -> tuple[list[Wish], str]:
        """One order for what stands on the wrong side of fair value by the trigger or more."""
        reason = self._silence(view)
        if reason:
            return [], reason
        book, fair = view.market.book, view.estimate.fair
        spec, held = view.market.spec, view.inventory
        if book.ask_e4 < ONE_E4 and fair * ONE_E4 > book.ask_e4:
            token = NO if held.sellable_no_e6 >= spec.min_size_e6 else YES
            return self._take(view, BUY, token)
        if book.bid_e4 > 0 and fair * ONE_E4 < book.bid_e4:
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
        return "no_take_crossed" if view.market.book.crossed else ""

    def _take(self, view: View, side: int, token: int) -> tuple[list[Wish], str]:
        """Walk the levels that `side` of YES meets, as an order of `token`."""
        book, spec, estimate = view.market.book, view.market.spec, view.estimate
        guard = self.profile.guard(spec.symbol)
        trigger = trigger_bps(self.base_trigger_bps, view.progress, view.no_quote_rate, guard)
        slippage = slippage_bps(
            self.base_slippage_bps,
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
            fee = fee_e6(FEE_PROBE_E6, price_e4, spec.fee_rate_e6, spec.fee_exponent)
            net = net_edge(own_side, price_e4, worth, fee / FEE_PROBE_E6)
            if net <= 0.0 or net / price_e4 * ONE_E4 * 1e4 < trigger:
                break
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
