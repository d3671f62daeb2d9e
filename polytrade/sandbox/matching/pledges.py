"""What the open orders of every wallet could take from it, and which of them it no longer covers.

The rule of protocols 4.4: of each token, the open orders to buy together must be covered by the
wallet's collateral, the open orders to sell by its shares. Orders for other tokens do not count:
the same collateral may stand behind buys of many tokens until one of them fills.
"""

from collections.abc import Iterator

import attrs

from polytrade.core.ids import BUY
from polytrade.sandbox.matching.orders import DELAYED, Order


@attrs.define(eq=False)
class Pledge:
    """The open orders of one wallet on one side of one token, oldest first, and their needs."""

    total_e6: int = 0
    needs_e6: dict[str, int] = attrs.field(factory=dict)
    orders: dict[str, Order] = attrs.field(factory=dict)


@attrs.define(eq=False)
class Purse:
    """One wallet's pledges by token id, and all its open orders, oldest first."""

    buys: dict[str, Pledge] = attrs.field(factory=dict)
    sells: dict[str, Pledge] = attrs.field(factory=dict)
    orders: dict[str, Order] = attrs.field(factory=dict)


class Pledges:
    """The open orders by wallet; whoever places, fills or ends one says so here."""

    def __init__(self) -> None:
        self._purses: dict[str, Purse] = {}

    def pledged_e6(self, wallet: str, token_id: str, side: int) -> int:
        """What the open orders of this side of a token need together."""
        purse = self._purses.get(wallet)
        if purse is None:
            return 0
        pledge = (purse.buys if side == BUY else purse.sells).get(token_id)
        return pledge.total_e6 if pledge is not None else 0

    def orders_of(self, wallet: str) -> list[Order]:
        """The open orders of a wallet, oldest first."""
        purse = self._purses.get(wallet)
        return list(purse.orders.values()) if purse is not None else []

    def put(self, order: Order, token_id: str, need_e6: int) -> None:
        """An order is open and needs so much from now on."""
        purse = self._purses.get(order.wallet)
        if purse is None:
            purse = self._purses[order.wallet] = Purse()
        side = purse.buys if order.side == BUY else purse.sells
        pledge = side.get(token_id)
        if pledge is None:
            pledge = side[token_id] = Pledge()
        key = order.order_id
        pledge.total_e6 += need_e6 - pledge.needs_e6.get(key, 0)
        pledge.needs_e6[key] = need_e6
        pledge.orders[key] = purse.orders[key] = order

    def drop(self, order: Order, token_id: str) -> None:
        """An order is open no more; nothing when it never was."""
        purse = self._purses.get(order.wallet)
        if purse is None or purse.orders.pop(order.order_id, None) is None:
            return
        side = purse.buys if order.side == BUY else purse.sells
        pledge = side[token_id]
        pledge.total_e6 -= pledge.needs_e6.pop(order.order_id)
        del pledge.orders[order.order_id]
        if not pledge.orders:
            del side[token_id]

    def uncovered_buy(self, wallet: str, cash_e6: int) -> Order | None:
        """The newest order to buy that this collateral does not cover; None when all are."""
        purse = self._purses.get(wallet)
        if purse is not None:
            for pledge in purse.buys.values():
                if pledge.total_e6 > cash_e6:
                    for order in _newest(pledge):
                        return order
        return None

    def sold_tokens(self, wallet: str) -> list[str]:
        """The tokens of which a wallet has open orders to sell."""
        purse = self._purses.get(wallet)
        return list(purse.sells) if purse is not None else []

    def uncovered_sell(self, wallet: str, token_id: str, shares_e6: int) -> Order | None:
        """The newest order to sell a token that these shares do not cover; None when all are."""
        purse = self._purses.get(wallet)
        pledge = purse.sells.get(token_id) if purse is not None else None
        if pledge is not None and pledge.total_e6 > shares_e6:
            for order in _newest(pledge):
                return order
        return None


def _newest(pledge: Pledge) -> Iterator[Order]:
    """The orders that may be cancelled, newest first: one held for the taker delay may not."""
    return (order for order in reversed(pledge.orders.values()) if order.status != DELAYED)
