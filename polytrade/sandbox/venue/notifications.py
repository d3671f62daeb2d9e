"""What the CLOB keeps to tell an API key when it asks: its fills, and orders the venue ended."""

from collections import deque
from collections.abc import Set
from typing import Any, Final

from polytrade.core.units import SECOND_NS, price_text, size_text
from polytrade.sandbox.matching.events import (
    CANCELLATION,
    OrderChanged,
    TradeChanged,
    Traded,
    VenueEvent,
)
from polytrade.sandbox.matching.orders import CANCELED, FAILED, Order, Trade
from polytrade.sandbox.matching.rules import MarketRules
from polytrade.sandbox.venue.wire_market import SIDE_TEXTS

ORDER_CANCELLED: Final = 1
ORDER_FILLED: Final = 2
FILL_FAILED: Final = 8
KEPT: Final = 100
"""Notifications of an API key; the oldest go first."""
OWNERS_MAX: Final = 4096
"""API keys with notifications; more than a local venue has."""

Obj = dict[str, Any]


class Notifications:
    """Takes what happens in the exchange and keeps what concerns API keys until it is dropped.

    An order its owner cancelled is no news; one that expired, was not covered or whose market was
    resolved is.
    """

    def __init__(self) -> None:
        self._by_owner: dict[str, deque[Obj]] = {}
        self._made = 0

    def take(self, event: VenueEvent) -> None:
        """Follow the exchange."""
        at_s = event.ts_ns // SECOND_NS
        if isinstance(event, OrderChanged):
            if event.kind == CANCELLATION and event.order.status != CANCELED:
                self._note(ORDER_CANCELLED, event.order, event.rules, at_s, None)
        elif isinstance(event, Traded):
            self._note_all(ORDER_FILLED, event.trade, event.rules, at_s)
        elif isinstance(event, TradeChanged) and event.trade.status == FAILED:
            self._note_all(FILL_FAILED, event.trade, event.rules, at_s)

    def of(self, owner: str) -> list[Obj]:
        """What an API key has not dropped, newest first."""
        return list(reversed(self._by_owner.get(owner, ())))

    def drop(self, owner: str, ids: Set[int]) -> None:
        """Forget those of an API key's notifications."""
        kept = [note for note in self._by_owner.pop(owner, ()) if note["id"] not in ids]
        if kept:
            self._by_owner[owner] = deque(kept, maxlen=KEPT)

    def _note_all(self, kind: int, trade: Trade, rules: MarketRules, at_s: int) -> None:
        for order in (trade.taker, *(fill.order for fill in trade.fills)):
            self._note(kind, order, rules, at_s, trade)

    def _note(
        self, kind: int, order: Order, rules: MarketRules, at_s: int, trade: Trade | None
    ) -> None:
        if not order.owner:
            return
        kept = self._by_owner.get(order.owner)
        if kept is None:
            if len(self._by_owner) >= OWNERS_MAX:
                return
            kept = self._by_owner[order.owner] = deque(maxlen=KEPT)
        self._made += 1
        payload = {
            "asset_id": rules.tokens[order.token],
            "market": rules.condition,
            "order_id": order.order_id,
            "side": SIDE_TEXTS[order.side],
            "type": order.order_type,
            "price": price_text(order.price_e4),
            "original_size": size_text(order.size_e6),
            "matched_size": size_text(order.matched_e6),
            "remaining_size": size_text(max(order.remaining_e6, 0)),
            "outcome": rules.outcomes[order.token],
            "outcome_index": order.token,
            "transaction_hash": trade.transaction_hash if trade is not None else "",
            "trade_id": trade.trade_id if trade is not None else "",
        }
        kept.append(
            {
                "id": self._made,
                "owner": order.owner,
                "type": kind,
                "timestamp": at_s,
                "payload": payload,
            }
        )
