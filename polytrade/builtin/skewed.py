"""The maker: a bid and an ask around fair value, shifted against the inventory.

What a fill brings besides its price, the maker's rebate and the liquidity reward, lets a quote
stand nearer to fair value: by at most half of its half spread, because both are paid later and
shared with other makers, and never so near that the least edge at its own price is lost
(`spec: models`, maker).
"""

from math import ceil, floor
from typing import Final, final

import attrs

from polytrade.builtin.sections import of
from polytrade.builtin.sides import (
    GRID_NOISE,
    QuotingTimes,
    ask_wish,
    bid_wish,
    caution_pad,
    direction,
    market_silence,
    net_shares,
    quote_size_e6,
    size_of_e6,
)
from polytrade.config import Strategy
from polytrade.core.adaptive import clamp
from polytrade.core.events import MarketListed
from polytrade.core.roles import SAFE, View, Wish
from polytrade.core.units import ONE_E4, ONE_E6

SHIFT_MAX: Final = 0.05
SKEW_SHARES: Final = 100.0
"""`inventory_skew` is the shift per this many net shares."""
CONFIDENCE_MIN: Final = 0.2
"""Below this a model's word is not quoted on."""
CREDIT_SHARE_MAX: Final = 0.5
"""Part of the half spread that rebates and rewards may give back."""


@final
class Rewards:
    """Liquidity rewards of the markets, which their listings do not carry: off while
    `max_spread` (USDC from the mid) is 0.

    `min_size_e6` is the least order that counts; `full_usdc` is what the operator reckons one
    share at the mid earns until it is filled.
    """

    __slots__ = ("full_usdc", "max_spread", "min_size_e6")

    def __init__(self, min_size: float, max_spread: float, full_usdc: float) -> None:
        self.min_size_e6 = size_of_e6(min_size)
        self.max_spread = max_spread
        self.full_usdc = full_usdc

    def credit(self, distance: float, size_e6: int) -> float:
        """What a share so far from the mid earns, in USDC; nothing in an order too small."""
        if size_e6 < self.min_size_e6:
            return 0.0
        return self.full_usdc * reward_score(distance, self.max_spread)

    def band_e4(self, mid: float, tick_e4: int) -> tuple[int, int]:
        """The outermost prices on the grid that score, for a bid and for an ask."""
        low = floor((mid - self.max_spread) * ONE_E4 / tick_e4 + GRID_NOISE) + 1
        high = ceil((mid + self.max_spread) * ONE_E4 / tick_e4 - GRID_NOISE) - 1
        return low * tick_e4, high * tick_e4


def reward_score(distance: float, max_spread: float) -> float:
    """`((v - s) / v) ** 2`, 0 from the band's edge on, 1 inside the mid (protocols 8.3)."""
    if distance >= max_spread:
        return 0.0
    part = (max_spread - max(distance, 0.0)) / max_spread
    return part * part


def rebate_usdc(spec: MarketListed, price: float) -> float:
    """A share's maker rebate at `price`: the rebate rate times the taker's fee (protocols 8.2)."""
    if spec.rebate_rate_e6 <= 0 or spec.fee_rate_e6 <= 0:
        return 0.0
    if not 0.0 < price < 1.0:
        return 0.0
    curve = price * (1.0 - price)
    if spec.fee_exponent != 1:
        curve = float(curve**spec.fee_exponent)
    fee = spec.fee_rate_e6 / ONE_E6 * curve
    return fee * spec.rebate_rate_e6 / ONE_E6


@final
@attrs.define(eq=False)
class SkewedMaker:
    """The `skewed` maker; settings are those of `[strategy]`, in its units."""

    base_quote_size: float = of(Strategy, "base_quote_size")
    half_spread: float = of(Strategy, "half_spread")
    inventory_skew: float = of(Strategy, "inventory_skew")
    join: bool = of(Strategy, "join")
    jump_bps: float = of(Strategy, "jump_bps")
    no_quote_before_end_s: float = of(Strategy, "no_quote_before_end_s")
    no_quote_after_start_s: float = of(Strategy, "no_quote_after_start_s")
    rewards_min_size: float = of(Strategy, "rewards_min_size", 0.0)
    rewards_max_spread: float = of(Strategy, "rewards_max_spread", 0.0)
    rewards_usdc: float = of(Strategy, "rewards_usdc", 0.0)
    size_e6: int = attrs.field(init=False)
    times: QuotingTimes = attrs.field(init=False)
    rewards: Rewards = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.size_e6 = size_of_e6(self.base_quote_size)
        self.times = QuotingTimes(self.no_quote_after_start_s, self.no_quote_before_end_s)
        self.rewards = Rewards(self.rewards_min_size, self.rewards_max_spread, self.rewards_usdc)

    def quotes(self, view: View) -> tuple[list[Wish], str]:
        """At most one bid and one ask of YES, in whichever token is cheaper to trade."""
        reason = self._silence(view)
        if reason:
            return [], reason
        tick = view.market.book.tick_e4
        size_e6 = self._size_e6(view)
        bid_e4, ask_e4 = self._prices(view, size_e6)
        bid_safe, ask_safe = self._safe_sides(view)
        fair_e4 = view.estimate.fair * ONE_E4
        wishes: list[Wish] = []
        if bid_safe and tick <= bid_e4 < ONE_E4:
            edge = (fair_e4 - bid_e4) / bid_e4 * 1e4
            if edge >= view.min_edge_bps:
                wishes.append(bid_wish(view, bid_e4, size_e6, edge))
        if ask_safe and 0 < ask_e4 <= ONE_E4 - tick:
            edge = (ask_e4 - fair_e4) / ask_e4 * 1e4
            if edge >= view.min_edge_bps:
                wishes.append(ask_wish(view, ask_e4, size_e6, edge))
        return wishes, "" if wishes else "no_quote_edge"

    def _silence(self, view: View) -> str:
        """Why nothing is quoted, empty when something may be."""
        if not view.estimate.ok:
            return view.estimate.reason
        if view.estimate.confidence < CONFIDENCE_MIN:
            return "no_quote_confidence"
        return market_silence(view) or self.times.silence(view)

    def _safe_sides(self, view: View) -> tuple[bool, bool]:
        """Whether a jump of the reference leaves the bid and the ask alone; where it is not known
        which of them it threatens (a range), neither.
        """
        jump = view.reference.jump_bps() if view.reference is not None else 0.0
        way = direction(view.market.spec.condition)
        if way == 0:
            calm = abs(jump) < self.jump_bps
            return calm, calm
        return jump * way > -self.jump_bps, jump * way < self.jump_bps

    def _size_e6(self, view: View) -> int:
        """The quote's size; in a calm market at least what a liquidity reward asks for."""
        size_e6 = quote_size_e6(self.size_e6, view)
        if view.regime == SAFE and self.rewards.max_spread > 0.0:
            return max(size_e6, self.rewards.min_size_e6)
        return size_e6

    def _prices(self, view: View, size_e6: int) -> tuple[int, int]:
        """The wanted bid and ask of YES, on the grid, not through the book.

        The shift gives up edge to get rid of inventory and the credits give up what they bring,
        but neither goes below the least edge: a quote they would leave without is put where it is
        reached.
        """
        book, fair = view.market.book, view.estimate.fair
        half = self.half_spread + view.estimate.pad + caution_pad(view)
        shift = net_shares(view.inventory) * self.inventory_skew / SKEW_SHARES
        shift = clamp(shift, -SHIFT_MAX, SHIFT_MAX)
        most = half * CREDIT_SHARE_MAX
        top, bottom = _reach(fair, half, view.min_edge_bps * 1e-4)
        bid, ask = fair - half - shift, fair + half - shift
        mid = view.market.mid
        bid_credit = self._credit(view, bid, mid - bid, size_e6)
        near_bid = bid + (bid_credit if bid_credit < most else most)
        ask_credit = self._credit(view, ask, ask - mid, size_e6)
        near_ask = ask - (ask_credit if ask_credit < most else most)
        tick = book.tick_e4
        top_e4, bottom_e4 = book.ask_e4 - 1, book.bid_e4 + 1
        if self.join:
            top_e4 = min(top_e4, book.bid_e4)
            bottom_e4 = max(bottom_e4, book.ask_e4)
        wanted = (near_bid if near_bid < top else top) * ONE_E4
        bid_e4 = floor((wanted if wanted < top_e4 else top_e4) / tick + GRID_NOISE) * tick
        wanted = (near_ask if near_ask > bottom else bottom) * ONE_E4
        ask_e4 = ceil((wanted if wanted > bottom_e4 else bottom_e4) / tick - GRID_NOISE) * tick
        if self.rewards.max_spread > 0.0 and size_e6 >= self.rewards.min_size_e6:
            # The nearest prices that score, where the allowance for credits reaches them.
            low_e4, high_e4 = self.rewards.band_e4(mid, tick)
            if bid_e4 < low_e4 <= min(min(bid + most, top) * ONE_E4 + GRID_NOISE, top_e4):
                bid_e4 = low_e4
            if ask_e4 > high_e4 >= max(max(ask - most, bottom) * ONE_E4 - GRID_NOISE, bottom_e4):
                ask_e4 = high_e4
        return bid_e4, ask_e4

    def _credit(self, view: View, price: float, distance: float, size_e6: int) -> float:
        """What a share filled at `price`, so far outside the mid, brings besides, in USDC."""
        credit = rebate_usdc(view.market.spec, price)
        if self.rewards.max_spread > 0.0:
            credit += self.rewards.credit(distance, size_e6)
        return credit


def _reach(fair: float, half: float, least: float) -> tuple[float, float]:
    """How near to fair value a bid and an ask may come: where the `least` edge is left, or, where
    that is further out, the half spread.
    """
    low, bid = fair - half, fair / (1.0 + least)
    high = ask = fair + half
    if least < 1.0:
        ask = fair / (1.0 - least)
    return bid if bid > low else low, ask if ask < high else high
