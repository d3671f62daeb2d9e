"""A market while it trades: its rules, its book and what was traded last."""

import attrs

from polytrade.core.ids import YES
from polytrade.core.units import ONE_E4
from polytrade.sandbox.matching.book import Book
from polytrade.sandbox.matching.orders import Order, Trade
from polytrade.sandbox.matching.rules import MarketRules


@attrs.define(eq=False)
class Market:
    """One market. `last_e4` is the last price in the terms of the maker order last filled
    (protocols 2.2), -1 before the first trade; `last_token` is that order's token, `last_side` the
    side of the taker. `volume_e6` is the money takers paid or received, fees apart.
    """

    rules: MarketRules
    book: Book = attrs.field(factory=Book)
    accepting: bool = True
    resolved: bool = False
    last_e4: int = -1
    last_token: int = -1
    last_side: int = -1
    last_trade: Trade | None = None
    trades: int = 0
    volume_e6: int = 0
    unsettled: int = 0
    """Trades that are neither confirmed nor failed."""
    held: dict[str, Order] = attrs.field(factory=dict)
    """Marketable orders that wait for the taker delay to pass."""
    refined: bool = False
    """Whether prices have made the tick finer; they do so once (protocols 5.2)."""

    @property
    def last_yes_e4(self) -> int:
        """The last price in YES terms; -1 before the first trade."""
        return self.last_e4 if self.last_token in (YES, -1) else ONE_E4 - self.last_e4
