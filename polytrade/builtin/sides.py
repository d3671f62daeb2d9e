"""A side of YES as an order: which token carries it, its size and cost, and when it may rest.

YES and NO are one book: a bid for YES is placed as a sale of NO where NO is held, an ask as a sale
of YES where YES is held and as a purchase of NO otherwise (`spec: models`, maker).
"""

from typing import Final, final

from polytrade.core.events import MarketListed
from polytrade.core.ids import BUY, NO, SELL, YES
from polytrade.core.limits import SIZE_STEP_E6
from polytrade.core.roles import CAUTION, DANGER, MAKER, Inventory, View, Wish
from polytrade.core.units import ONE_E4, ONE_E6, SECOND_NS, fee_e6, step_down

FEE_PROBE_E6: Final = 1_000 * ONE_E6
"""Shares over which a fee per share is measured: its rounding is then far below a basis point."""
GRID_NOISE: Final = 1e-6
"""Part of a tick by which a price may miss the grid through floating point alone."""
RISING: Final = ("updown", "above")
"""Conditions whose YES gains when the symbol rises; that of `below` loses."""

CAUTION_PAD: Final = 0.005
"""USDC by which a quote in Caution stands further out where `tox` is 0."""
CAUTION_PAD_TOX: Final = 1.5
CAUTION_SHARE: Final = 0.5
CAUTION_SHARE_MIN: Final = 0.2
"""Least share of a quote's size in Caution, and the least its calmness counts for."""


@final
class QuotingTimes:
    """When a market's window may be quoted: not just after its start nor just before its end."""

    __slots__ = ("after_start_ns", "before_end_ns")

    def __init__(self, after_start_s: float, before_end_s: float) -> None:
        self.after_start_ns = round(after_start_s * SECOND_NS)
        self.before_end_ns = round(before_end_s * SECOND_NS)

    def silence(self, view: View) -> str:
        """`no_quote_near_end` or `no_quote_before_start` while nothing may rest, else empty."""
        spec = view.market.spec
        if spec.end_ns and view.ts_ns >= spec.end_ns - self.before_end_ns:
            return "no_quote_near_end"
        if view.ts_ns < spec.start_ns + self.after_start_ns:
            return "no_quote_before_start"
        return ""


def direction(condition: str) -> int:
    """1 when YES gains as the symbol rises, -1 when it loses, 0 when neither is known."""
    if condition in RISING:
        return 1
    return -1 if condition == "below" else 0


def size_of_e6(shares: float) -> int:
    """Shares of the configuration as a size that an order may have, rounded to its step."""
    return round(shares * ONE_E6 / SIZE_STEP_E6) * SIZE_STEP_E6


def fee_usdc(spec: MarketListed, price_e4: int) -> float:
    """The taker's fee of one share at `price_e4`."""
    fee = fee_e6(FEE_PROBE_E6, price_e4, spec.fee_rate_e6, spec.fee_exponent)
    return fee / FEE_PROBE_E6


def market_silence(view: View) -> str:
    """Why no maker rests in a market, whatever its fair value; empty when one may."""
    if view.regime == DANGER:
        return "no_quote_danger"
    if not view.active:
        return "no_quote_inactive"
    if not view.market.book.two_sided:
        return "no_quote_one_sided"
    if view.market.spread_e4 > view.max_spread_e4:
        return "no_quote_spread"
    return ""


def caution_pad(view: View) -> float:
    """How much further out the quotes stand, in USDC: 0.005 * (1 + 1.5 tox) in Caution, else 0."""
    if view.regime != CAUTION:
        return 0.0
    return CAUTION_PAD * (1.0 + CAUTION_PAD_TOX * view.tox)


def quote_size_e6(base_e6: int, view: View) -> int:
    """The size of a quote: the base, in Caution half of it times `1 - tox`, at least a fifth.

    What Caution takes below the market's minimum order becomes that minimum; a base below it is
    left to the limits, which say so.
    """
    if view.regime != CAUTION:
        return base_e6
    calm = max(1.0 - view.tox, CAUTION_SHARE_MIN)
    size = base_e6 * max(calm * CAUTION_SHARE, CAUTION_SHARE_MIN)
    least_e6 = min(view.market.spec.min_size_e6, base_e6)
    return max(step_down(int(size + GRID_NOISE), SIZE_STEP_E6), least_e6)


def bid_wish(view: View, price_e4: int, size_e6: int, edge_bps: float) -> Wish:
    """Buy YES, or sell NO where at least a minimum order of it is held."""
    sellable_e6 = view.inventory.sellable_no_e6
    if sellable_e6 >= view.market.spec.min_size_e6:
        size_e6 = min(size_e6, step_down(sellable_e6, SIZE_STEP_E6))
        return Wish(NO, SELL, ONE_E4 - price_e4, size_e6, edge_bps, MAKER)
    return Wish(YES, BUY, price_e4, size_e6, edge_bps, MAKER)


def ask_wish(view: View, price_e4: int, size_e6: int, edge_bps: float) -> Wish:
    """Sell YES where at least a minimum order of it is held, or buy NO."""
    sellable_e6 = view.inventory.sellable_yes_e6
    if sellable_e6 >= view.market.spec.min_size_e6:
        size_e6 = min(size_e6, step_down(sellable_e6, SIZE_STEP_E6))
        return Wish(YES, SELL, price_e4, size_e6, edge_bps, MAKER)
    return Wish(NO, BUY, ONE_E4 - price_e4, size_e6, edge_bps, MAKER)


def net_shares(inventory: Inventory) -> float:
    """YES less NO held, in shares."""
    return (inventory.yes_e6 - inventory.no_e6) / ONE_E6
