"""What the matching engine tells: everything a socket may say is made of these."""

from typing import Final

import attrs

from polytrade.sandbox.matching.orders import Order, Trade
from polytrade.sandbox.matching.rules import MarketRules

PLACEMENT: Final = "PLACEMENT"
UPDATE: Final = "UPDATE"
CANCELLATION: Final = "CANCELLATION"


@attrs.frozen(eq=False)
class MarketOpened:
    """A market began to take orders."""

    ts_ns: int
    rules: MarketRules


@attrs.frozen(eq=False)
class LevelChanged:
    """A level of a book shows another size, in the terms of the token whose order changed it.

    `last_e4` is the market's last trade price from this change on, in the terms of the maker order
    last filled; -1 before the first trade. One event an order placed, cancelled, or filled.
    """

    ts_ns: int
    rules: MarketRules
    token: int
    side: int
    price_e4: int
    size_e6: int
    last_e4: int


@attrs.frozen(eq=False)
class Traded:
    """A trade was matched; its level changes came just before."""

    ts_ns: int
    rules: MarketRules
    trade: Trade


@attrs.frozen(eq=False)
class TradeChanged:
    """A trade has a new status on chain."""

    ts_ns: int
    rules: MarketRules
    trade: Trade


@attrs.frozen(eq=False)
class OrderChanged:
    """An order was placed, matched or ended; `kind` is PLACEMENT, UPDATE or CANCELLATION."""

    ts_ns: int
    rules: MarketRules
    order: Order
    kind: str


@attrs.frozen(eq=False)
class TickChanged:
    """The market's tick is another one; `rules` has the new."""

    ts_ns: int
    rules: MarketRules
    old_tick_e4: int


@attrs.frozen(eq=False)
class MarketClosed:
    """The market takes no more orders; those that rested are cancelled."""

    ts_ns: int
    rules: MarketRules


@attrs.frozen(eq=False)
class MarketResolved:
    """The outcome is known: `payouts_e6` collateral a share of each token."""

    ts_ns: int
    rules: MarketRules
    payouts_e6: tuple[int, int]


VenueEvent = (
    MarketOpened
    | LevelChanged
    | Traded
    | TradeChanged
    | OrderChanged
    | TickChanged
    | MarketClosed
    | MarketResolved
)
