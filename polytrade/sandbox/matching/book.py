"""One market's book: both tokens' orders in one list of levels, in YES terms."""

from bisect import bisect_left, insort
from collections.abc import Iterator

import attrs

from polytrade.core.ids import BUY
from polytrade.core.units import ONE_E4
from polytrade.sandbox.matching.orders import Order


@attrs.define(eq=False)
class Level:
    """The orders at one price, oldest first, and what they show together."""

    size_e6: int = 0
    orders: dict[str, Order] = attrs.field(factory=dict)


class Book:
    """Resting orders by price, then by arrival, whichever token they name (protocols 10.2).

    Prices and sides are in YES terms: an order to buy NO at q is an ask at 1 - q. A level shows
    the sum of what its orders have left. `orders` has all of them in order of arrival.
    """

    def __init__(self) -> None:
        self.orders: dict[str, Order] = {}
        self._levels: tuple[dict[int, Level], dict[int, Level]] = ({}, {})
        # Asks are kept as negative prices: the best of either side is the last one.
        self._keys: tuple[list[int], list[int]] = ([], [])

    def best_bid_e4(self) -> int:
        """The highest bid; 0 when there is none."""
        bids = self._keys[BUY]
        return bids[-1] if bids else 0

    def best_ask_e4(self) -> int:
        """The lowest ask; 10,000 when there is none."""
        asks = self._keys[1 - BUY]
        return -asks[-1] if asks else ONE_E4

    def level_e6(self, yes_side: int, yes_price_e4: int) -> int:
        """What the level shows; 0 when it is empty."""
        level = self._levels[yes_side].get(yes_price_e4)
        return level.size_e6 if level is not None else 0

    def levels(self, yes_side: int) -> list[tuple[int, int]]:
        """(price_e4, size_e6) of every level, the best first."""
        levels = self._levels[yes_side]
        return [(abs(key), levels[abs(key)].size_e6) for key in reversed(self._keys[yes_side])]

    def queue(self, yes_side: int, yes_price_e4: int) -> list[Order]:
        """The orders of a level in the order in which they will fill."""
        level = self._levels[yes_side].get(yes_price_e4)
        return list(level.orders.values()) if level is not None else []

    def crosses(self, yes_side: int, yes_price_e4: int) -> bool:
        """Whether an order of this side and limit would meet one of the other side."""
        if yes_side == BUY:
            asks = self._keys[1 - BUY]
            return bool(asks) and -asks[-1] <= yes_price_e4
        bids = self._keys[BUY]
        return bool(bids) and bids[-1] >= yes_price_e4

    def crossing(self, yes_side: int, yes_price_e4: int) -> Iterator[Order]:
        """The resting orders that such an order meets, in the order in which it meets them.

        The book must not change before the last one is taken.
        """
        other = 1 - yes_side
        levels = self._levels[other]
        worst = -yes_price_e4 if yes_side == BUY else yes_price_e4
        for key in reversed(self._keys[other]):
            if key < worst:
                return
            yield from levels[abs(key)].orders.values()

    def add(self, order: Order) -> int:
        """Rest an order behind those of its level; what the level shows then."""
        side, price_e4 = order.yes_side, order.yes_price_e4
        level = self._levels[side].get(price_e4)
        if level is None:
            level = self._levels[side][price_e4] = Level()
            insort(self._keys[side], price_e4 if side == BUY else -price_e4)
        level.size_e6 += order.remaining_e6
        level.orders[order.order_id] = order
        self.orders[order.order_id] = order
        return level.size_e6

    def fill(self, order: Order, size_e6: int) -> int:
        """Take from an order that stays; what its level shows then. The order keeps its place."""
        level = self._levels[order.yes_side][order.yes_price_e4]
        level.size_e6 -= size_e6
        return level.size_e6

    def remove(self, order: Order) -> int:
        """Take an order out with all it has left; what its level shows then."""
        side, price_e4 = order.yes_side, order.yes_price_e4
        level = self._levels[side][price_e4]
        del level.orders[order.order_id]
        del self.orders[order.order_id]
        level.size_e6 -= order.remaining_e6
        if not level.orders:
            del self._levels[side][price_e4]
            keys = self._keys[side]
            del keys[bisect_left(keys, price_e4 if side == BUY else -price_e4)]
        return level.size_e6
