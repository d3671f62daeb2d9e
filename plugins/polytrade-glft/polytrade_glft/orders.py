"""A wanted price as an order: the token that carries it, its size, and when nothing may rest.

YES and NO are one book: a bid for YES is a sale of NO where NO is held, an ask is a sale of YES
where YES is held and a purchase of NO otherwise.
"""

from typing import Final

from polytrade.api import BUY, CAUTION, DANGER, MAKER, NO, SELL, YES, View, Wish, units

SIZE_STEP_E6: Final = 10_000
"""Order sizes carry at most two decimals."""
GRID_NOISE: Final = 1e-6
CONFIDENCE_MIN: Final = 0.2
"""Below this a model's word is not quoted on."""
CAUTION_PAD: Final = 0.005
CAUTION_PAD_TOX: Final = 1.5
CAUTION_SHARE: Final = 0.5
CAUTION_SHARE_MIN: Final = 0.2


def silence(view: View, after_start_s: float, before_end_s: float) -> str:
    """Why nothing may rest, whatever it would cost; empty when something may."""
    estimate, spec = view.estimate, view.market.spec
    if not estimate.ok:
        return estimate.reason
    if estimate.confidence < CONFIDENCE_MIN:
        return "no_quote_confidence"
    if view.regime == DANGER:
        return "no_quote_danger"
    if not view.active:
        return "no_quote_inactive"
    if not view.market.book.two_sided:
        return "no_quote_one_sided"
    if view.market.spread_e4 > view.max_spread_e4:
        return "no_quote_spread"
    if spec.end_ns and view.ts_ns >= spec.end_ns - round(before_end_s * units.SECOND_NS):
        return "no_quote_near_end"
    if view.ts_ns < spec.start_ns + round(after_start_s * units.SECOND_NS):
        return "no_quote_before_start"
    return ""


def caution_pad(view: View) -> float:
    """USDC by which quotes stand further out in Caution: `0.005 (1 + 1.5 tox)`."""
    return CAUTION_PAD * (1.0 + CAUTION_PAD_TOX * view.tox) if view.regime == CAUTION else 0.0


def size_e6(base_e6: int, view: View) -> int:
    """The base; in Caution `max(1 - tox, 0.2) / 2` of it, at least a fifth and the least order."""
    if view.regime != CAUTION:
        return base_e6
    calm = max(1.0 - view.tox, CAUTION_SHARE_MIN)
    size = int(base_e6 * max(calm * CAUTION_SHARE, CAUTION_SHARE_MIN) + GRID_NOISE)
    least_e6 = min(view.market.spec.min_size_e6, base_e6)
    return max(units.step_down(size, SIZE_STEP_E6), least_e6)


def bid_wish(view: View, price_e4: int, base_e6: int, edge_bps: float) -> Wish:
    """Buy YES, or sell NO where at least the least order of it may be sold."""
    free_e6 = view.inventory.sellable_no_e6
    if free_e6 < view.market.spec.min_size_e6:
        return Wish(YES, BUY, price_e4, base_e6, edge_bps, MAKER)
    sold_e6 = min(base_e6, units.step_down(free_e6, SIZE_STEP_E6))
    return Wish(NO, SELL, units.ONE_E4 - price_e4, sold_e6, edge_bps, MAKER)


def ask_wish(view: View, price_e4: int, base_e6: int, edge_bps: float) -> Wish:
    """Sell YES where at least the least order of it may be sold, or buy NO."""
    free_e6 = view.inventory.sellable_yes_e6
    if free_e6 < view.market.spec.min_size_e6:
        return Wish(NO, BUY, units.ONE_E4 - price_e4, base_e6, edge_bps, MAKER)
    sold_e6 = min(base_e6, units.step_down(free_e6, SIZE_STEP_E6))
    return Wish(YES, SELL, price_e4, sold_e6, edge_bps, MAKER)
