"""How near a book must come before any of the orders that stand in a market can fill."""

from typing import Final, final

from polytrade.core.ids import BUY
from polytrade.core.units import ONE_E4

NO_BID_E4: Final = -1
NO_ASK_E4: Final = ONE_E4 + 1


@final
class Reach:
    """The best bid and the best ask among resting orders of one market, in YES prices.

    Most changes of a book happen away from them: one look then stands for a look at each order.
    """

    __slots__ = ("ask_e4", "bid_e4")

    def __init__(self) -> None:
        self.bid_e4 = NO_BID_E4
        self.ask_e4 = NO_ASK_E4

    def add(self, side: int, price_e4: int) -> None:
        """An order stands at this price."""
        if side == BUY:
            self.bid_e4 = max(self.bid_e4, price_e4)
        else:
            self.ask_e4 = min(self.ask_e4, price_e4)

    def clear(self) -> None:
        """No order stands any more: add again those that do."""
        self.bid_e4 = NO_BID_E4
        self.ask_e4 = NO_ASK_E4

    def touched(self, bid_e4: int, ask_e4: int) -> bool:
        """Whether a book with this top, or a trade at this price, is at or through an order's."""
        return ask_e4 <= self.bid_e4 or bid_e4 >= self.ask_e4
