"""The orders the venue knows: all open ones, and the last ended ones."""

from collections import deque
from typing import Final

from polytrade.sandbox.matching.crossing import need_e6
from polytrade.sandbox.matching.orders import Order
from polytrade.sandbox.matching.pledges import Pledges
from polytrade.sandbox.matching.rules import MarketRules

ENDED_KEPT: Final = 10_000
"""Ended orders kept for REST and against duplicates, those of API keys and those of the venue's
own traders apart: about 20 MB; an order is asked about seconds after its end, not days."""


class OrderRecords:
    """Orders by id and by API key, and the pledges of the open ones."""

    def __init__(self) -> None:
        self.orders: dict[str, Order] = {}
        self.pledges = Pledges()
        self._by_owner: dict[str, dict[str, Order]] = {}
        self._ended: tuple[deque[str], deque[str]] = (deque(), deque())

    def open_of(self, owner: str) -> list[Order]:
        """The open orders of an API key, oldest first."""
        return list(self._by_owner.get(owner, {}).values())

    def note(self, order: Order) -> None:
        """An order is known from now on, whatever becomes of it."""
        self.orders[order.order_id] = order

    def put(self, order: Order, rules: MarketRules) -> None:
        """An order is open with what it has left."""
        self.orders[order.order_id] = order
        if order.owner:
            self._by_owner.setdefault(order.owner, {})[order.order_id] = order
        self.pledges.put(order, rules.tokens[order.token], need_e6(order, rules.fees))

    def lift(self, order: Order, rules: MarketRules) -> None:
        """An order is about to match: it no longer counts beside itself."""
        self.pledges.drop(order, rules.tokens[order.token])

    def end(self, order: Order, rules: MarketRules) -> None:
        """A known order is open no more; the oldest ended one is forgotten when there are many."""
        self.pledges.drop(order, rules.tokens[order.token])
        mine = self._by_owner.get(order.owner)
        if mine is not None:
            mine.pop(order.order_id, None)
            if not mine:
                del self._by_owner[order.owner]
        ended = self._ended[0 if order.owner else 1]
        ended.append(order.order_id)
        if len(ended) > ENDED_KEPT:
            self.orders.pop(ended.popleft(), None)
