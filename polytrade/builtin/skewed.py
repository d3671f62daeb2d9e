"""The maker: a bid and an ask around fair value, shifted against the inventory.

YES and NO are one book: a bid for YES is placed as a sale of NO where NO is held, an ask as a sale
of YES where YES is held and as a purchase of NO otherwise (`spec: models`, maker).
"""

from math import ceil, floor
from typing import Final, final

from polytrade.core.ids import BUY, NO, SELL, YES
from polytrade.core.market import MarketState
from polytrade.core.reference import SymbolReference
from polytrade.core.roles import Estimate, Inventory, Wish
from polytrade.core.units import ONE_E4, ONE_E6, SECOND_NS

SHIFT_MAX: Final = 0.05
SKEW_SHARES: Final = 100.0
"""`inventory_skew` is the shift per this many net shares."""
CONFIDENCE_MIN: Final = 0.2
"""Below this a model's word is not quoted on."""
ENGINE: Final = "maker"
GRID_NOISE: Final = 1e-6
"""Part of a tick by which a price may miss the grid through floating point alone."""
SIZE_STEP_E6: Final = 10_000
"""Order sizes carry at most two decimals (protocols 4.3)."""


@final
class SkewedMaker:
    """The `skewed` maker; settings are those of `[strategy]`."""

    def __init__(
        self,
        base_quote_size: float,
        half_spread: float,
        min_edge_bps: float,
        inventory_skew: float,
        max_spread: float,
        join: bool,
        jump_bps: float,
        no_quote_before_end_s: float,
        no_quote_after_start_s: float,
    ) -> None:
        self.size_e6 = round(base_quote_size * 100) * SIZE_STEP_E6
        self.half_spread = half_spread
        self.min_edge_bps = min_edge_bps
        self.inventory_skew = inventory_skew
        self.max_spread_e4 = round(max_spread * ONE_E4)
        self.join = join
        self.jump_bps = jump_bps
        self.before_end_ns = round(no_quote_before_end_s * SECOND_NS)
        self.after_start_ns = round(no_quote_after_start_s * SECOND_NS)

    def quotes(
        self,
        market: MarketState,
        reference: SymbolReference | None,
        estimate: Estimate,
        inventory: Inventory,
        ts_ns: int,
    ) -> tuple[list[Wish], str]:
        """At most one bid and one ask of YES, in whichever token is cheaper to trade."""
        reason = self._silence(market, estimate, ts_ns)
        if reason:
            return [], reason
        tick = market.book.tick_e4
        bid_e4, ask_e4 = self._prices(market, estimate, inventory)
        jump = reference.jump_bps() if reference is not None else 0.0
        wishes: list[Wish] = []
        if tick <= bid_e4 < ONE_E4 and jump > -self.jump_bps:
            edge = (estimate.fair * ONE_E4 - bid_e4) / bid_e4 * 1e4
            if edge >= self.min_edge_bps:
                wishes.append(self._bid(bid_e4, edge, market, inventory))
        if 0 < ask_e4 <= ONE_E4 - tick and jump < self.jump_bps:
            edge = (ask_e4 - estimate.fair * ONE_E4) / ask_e4 * 1e4
            if edge >= self.min_edge_bps:
                wishes.append(self._ask(ask_e4, edge, market, inventory))
        return wishes, "" if wishes else "no_quote_edge"

    def _prices(
        self, market: MarketState, estimate: Estimate, inventory: Inventory
    ) -> tuple[int, int]:
        """The wanted bid and ask of YES, on the grid, not through the book.

        The shift gives up edge to get rid of inventory, but none below the least: a quote it would
        leave without is put where the edge is reached.
        """
        book, fair = market.book, estimate.fair
        tick = book.tick_e4
        half = self.half_spread + estimate.pad
        net = (inventory.yes_e6 - inventory.no_e6) / ONE_E6
        shift = min(max(net * self.inventory_skew / SKEW_SHARES, -SHIFT_MAX), SHIFT_MAX)
        least = self.min_edge_bps * 1e-4
        bid, ask = fair - half - shift, fair + half - shift
        if shift < 0.0:
            bid = min(bid, max(fair - half, fair / (1.0 + least)))
        elif shift > 0.0 and least < 1.0:
            ask = max(ask, min(fair + half, fair / (1.0 - least)))
        top_e4, bottom_e4 = book.ask_e4 - 1, book.bid_e4 + 1
        if self.join:
            top_e4 = min(top_e4, book.bid_e4)
            bottom_e4 = max(bottom_e4, book.ask_e4)
        bid_e4 = floor(min(bid * ONE_E4, top_e4) / tick + GRID_NOISE) * tick
        ask_e4 = ceil(max(ask * ONE_E4, bottom_e4) / tick - GRID_NOISE) * tick
        return bid_e4, ask_e4

    def _silence(self, market: MarketState, estimate: Estimate, ts_ns: int) -> str:
        """Why nothing is quoted, empty when something may be."""
        if not estimate.ok:
            return estimate.reason
        if estimate.confidence < CONFIDENCE_MIN:
            return "no_quote_confidence"
        if not market.book.two_sided:
            return "no_quote_one_sided"
        if market.spread_e4 > self.max_spread_e4:
            return "no_quote_spread"
        spec = market.spec
        if spec.end_ns and ts_ns >= spec.end_ns - self.before_end_ns:
            return "no_quote_near_end"
        if ts_ns < spec.start_ns + self.after_start_ns:
            return "no_quote_before_start"
        return ""

    def _bid(self, price_e4: int, edge: float, market: MarketState, held: Inventory) -> Wish:
        """Buy YES, or sell NO where at least a minimum order of it is held."""
        if held.sellable_no_e6 >= market.spec.min_size_e6:
            size = min(self.size_e6, held.sellable_no_e6 // SIZE_STEP_E6 * SIZE_STEP_E6)
            return Wish(NO, SELL, ONE_E4 - price_e4, size, edge, ENGINE)
        return Wish(YES, BUY, price_e4, self.size_e6, edge, ENGINE)

    def _ask(self, price_e4: int, edge: float, market: MarketState, held: Inventory) -> Wish:
        """Sell YES where at least a minimum order of it is held, or buy NO."""
        if held.sellable_yes_e6 >= market.spec.min_size_e6:
            size = min(self.size_e6, held.sellable_yes_e6 // SIZE_STEP_E6 * SIZE_STEP_E6)
            return Wish(YES, SELL, price_e4, size, edge, ENGINE)
        return Wish(NO, BUY, ONE_E4 - price_e4, self.size_e6, edge, ENGINE)
