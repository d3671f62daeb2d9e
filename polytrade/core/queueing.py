"""Where a paper order stands in its level's queue, and how much of it the market reached.

A resting order stands at the back, behind the size shown when it arrived. Prints at its price
consume the queue first, then fill it; cancels ahead shrink the queue as configured.

A drop of the level's size and the print that explains it arrive separately and in either order
(protocols 5.2): each is remembered for `EXPLAIN_NS`, so that one trade never counts twice.
"""

from typing import Final, final

from polytrade.core.effects import PlaceOrder
from polytrade.core.ids import BUY, NO
from polytrade.core.units import ONE_E4, SECOND_NS, share_e6_down

EXPLAIN_NS: Final = 2 * SECOND_NS
"""How long a size drop waits for its print and a print for its drop; measured lag is 10-100 ms."""


@final
class PaperOrder:
    """An order at the simulated venue, kept in YES terms: a bid or an ask at `price_e4`.

    `left_e6` shares are not filled, `ahead_e6` stand before it at its level, which showed
    `level_e6` last.
    """

    __slots__ = (
        "_drop_e6",
        "_drop_ns",
        "_printed_e6",
        "_printed_ns",
        "_shrink_e6",
        "_through_e6",
        "ahead_e6",
        "left_e6",
        "level_e6",
        "order",
        "price_e4",
        "resting",
        "side",
    )

    def __init__(self, order: PlaceOrder) -> None:
        self.order = order
        mirrored = order.token == NO
        self.side = 1 - order.side if mirrored else order.side
        self.price_e4 = ONE_E4 - order.price_e4 if mirrored else order.price_e4
        self.left_e6 = order.size_e6
        self.resting = False
        self.ahead_e6 = 0
        self.level_e6 = 0
        # A drop without its print: how much, since when, and what it took from the queue ahead.
        self._drop_e6 = 0
        self._drop_ns = 0
        self._shrink_e6 = 0
        # A print without its drop.
        self._printed_e6 = 0
        self._printed_ns = 0
        self._through_e6 = 0

    def crosses(self, bid_e4: int, ask_e4: int) -> bool:
        """Whether the order would trade at once against these best prices of YES."""
        return self.price_e4 >= ask_e4 if self.side == BUY else self.price_e4 <= bid_e4

    def reaches(self, price_e4: int) -> bool:
        """Whether the order may trade at `price_e4`."""
        return price_e4 <= self.price_e4 if self.side == BUY else price_e4 >= self.price_e4

    def beyond(self, price_e4: int) -> bool:
        """Whether a trade at `price_e4` lies strictly through the order's price."""
        return price_e4 != self.price_e4 and self.reaches(price_e4)

    def rest(self, level_e6: int) -> None:
        """Stand at the back of a level that shows this size."""
        self.resting = True
        self.level_e6 = level_e6
        self.ahead_e6 = level_e6

    def on_level(self, level_e6: int, ts_ns: int, rule: str) -> None:
        """The order's level shows this size now; `rule` is how cancels ahead move the queue."""
        drop_e6 = self.level_e6 - level_e6
        if drop_e6 > 0:
            self._on_drop(drop_e6, level_e6, ts_ns, rule)
        self.level_e6 = level_e6

    def on_print(self, size_e6: int, ts_ns: int) -> int:
        """A trade at the order's price; how much of the order it reached."""
        if ts_ns - self._printed_ns > EXPLAIN_NS:
            self._printed_e6 = 0
        unexplained_e6 = size_e6
        if self._drop_e6 and ts_ns - self._drop_ns <= EXPLAIN_NS:
            part_e6 = min(size_e6, self._drop_e6)
            undone_e6 = share_e6_down(self._shrink_e6, part_e6, self._drop_e6)
            self.ahead_e6 += undone_e6
            self._shrink_e6 -= undone_e6
            self._drop_e6 -= part_e6
            unexplained_e6 -= part_e6
        self._printed_e6 += unexplained_e6
        self._printed_ns = ts_ns
        reached_e6 = max(0, size_e6 - self.ahead_e6)
        self.ahead_e6 = max(0, self.ahead_e6 - size_e6)
        return min(self.left_e6, reached_e6)

    def on_through(self, shown_e6: int) -> int:
        """A whole book shows `shown_e6` on the other side, better than the order's price: how much
        of the order that fills. What it filled already is still shown and does not count again.
        """
        self._through_e6 = min(self._through_e6, shown_e6)
        filled_e6 = min(self.left_e6, shown_e6 - self._through_e6)
        self._through_e6 += filled_e6
        return filled_e6

    def _on_drop(self, drop_e6: int, level_e6: int, ts_ns: int, rule: str) -> None:
        if ts_ns - self._printed_ns > EXPLAIN_NS:
            self._printed_e6 = 0
        if ts_ns - self._drop_ns > EXPLAIN_NS:
            self._drop_e6 = 0
            self._shrink_e6 = 0
        explained_e6 = min(drop_e6, self._printed_e6)
        self._printed_e6 -= explained_e6
        drop_e6 -= explained_e6
        shrink_e6 = 0
        if rule == "proportional":
            shrink_e6 = share_e6_down(self.ahead_e6, drop_e6, self.level_e6)
        elif rule == "front":
            shrink_e6 = min(self.ahead_e6, drop_e6)
        # More cannot stand ahead than the level shows.
        shrink_e6 = max(shrink_e6, self.ahead_e6 - level_e6)
        self.ahead_e6 -= shrink_e6
        if drop_e6:
            self._drop_e6 += drop_e6
            self._shrink_e6 += shrink_e6
            self._drop_ns = ts_ns
