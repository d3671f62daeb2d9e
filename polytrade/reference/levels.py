"""The levels of one instrument on a reference exchange: enough book for a best bid and ask.

Sizes stay the texts the venue wrote: nothing is traded here, and Kraken's checksum is over texts.
"""

from collections.abc import Iterable
from typing import NamedTuple, final

from polytrade.reference.fields import decimal_of, is_zero, list_of, price_e8_of


class Level(NamedTuple):
    """One price with what rests there; a zero `size` means that the level is gone."""

    price_e8: int
    price: str
    size: str


def level_of(price: object, size: object, name: str) -> Level:
    """A level from its two numbers; ValueError names `name`."""
    return Level(price_e8_of(price, f"{name}.price"), str(price), decimal_of(size, f"{name}.size"))


def pair_levels(value: object, name: str) -> list[Level]:
    """Levels from `[["price", "size", ...], ...]`, the form of OKX and Bybit."""
    levels = []
    for row in list_of(value, name):
        cells = list_of(row, name)
        if len(cells) < 2:
            raise ValueError(f"expected [price, size], found {len(cells)} values @ {name}")
        levels.append(level_of(cells[0], cells[1], name))
    return levels


@final
class LevelBook:
    """Bids and asks by price, never more than `depth` levels a side: the worst are cut off."""

    __slots__ = ("asks", "bids", "depth")

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.bids: dict[int, Level] = {}
        self.asks: dict[int, Level] = {}

    def replace(self, bids: Iterable[Level], asks: Iterable[Level]) -> None:
        """Forget everything and hold these levels."""
        self.bids.clear()
        self.asks.clear()
        self.apply(bids, asks)

    def apply(self, bids: Iterable[Level], asks: Iterable[Level]) -> None:
        """Set each given level to its new size; a zero size removes it (unknown ones too)."""
        for side, levels in ((self.bids, bids), (self.asks, asks)):
            for level in levels:
                if is_zero(level.size):
                    side.pop(level.price_e8, None)
                else:
                    side[level.price_e8] = level
        while len(self.bids) > self.depth:
            del self.bids[min(self.bids)]
        while len(self.asks) > self.depth:
            del self.asks[max(self.asks)]

    def best_bid_e8(self) -> int:
        """The highest bid, 0 when there is none."""
        return max(self.bids, default=0)

    def best_ask_e8(self) -> int:
        """The lowest ask, 0 when there is none."""
        return min(self.asks, default=0)
