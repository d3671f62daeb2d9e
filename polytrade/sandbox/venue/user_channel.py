"""The user channel (protocols 6): an account's own orders and trades, told to its API key only."""

from collections.abc import Callable
from hashlib import sha1
from typing import Any, Final, Protocol
from uuid import UUID

import orjson

from polytrade.core.units import MS_NS, SECOND_NS, decimal_text, price_text, size_text
from polytrade.sandbox.connection import Selected
from polytrade.sandbox.dialects import Answer, Part, Played, loads
from polytrade.sandbox.matching.events import OrderChanged, TradeChanged, Traded, VenueEvent
from polytrade.sandbox.matching.orders import CANCELED, MakerFill, Order, Trade
from polytrade.sandbox.matching.rules import MarketRules
from polytrade.sandbox.venue.wire_market import SIDE_TEXTS

ENDPOINT: Final = "user"
SOURCE: Final = "polymarket.user/0"
MARKETS_MAX: Final = 2000
"""Condition ids one connection may name: as many as assets on the market channel."""
TAKER: Final = "TAKER"
MAKER: Final = "MAKER"

Publish = Callable[[str, Played], None]


def shown_owner(order: Order) -> str:
    """The API key others see as an order's owner; one is made up for the venue's own traders."""
    if order.owner:
        return order.owner
    digest = sha1(order.wallet.encode(), usedforsecurity=False).digest()
    return str(UUID(bytes=digest[:16], version=5))


class UserChannel:
    """Takes what happens in the exchange and publishes it to the owners concerned.

    One frame an owner: its parts' keys are (owner, condition). Orders without an owner, those of
    the venue's own traders, are told to nobody.
    """

    def __init__(self, publish: Publish) -> None:
        self._publish = publish

    def take(self, event: VenueEvent) -> None:
        """Follow the exchange."""
        if isinstance(event, OrderChanged):
            if event.order.owner:
                self._send("order", event.order.owner, event.rules, order_message(event))
        elif isinstance(event, Traded | TradeChanged):
            trade, rules, ts_ms = event.trade, event.rules, event.ts_ns // MS_NS
            for owner, side in _concerned(trade).items():
                self._send("trade", owner, rules, trade_message(trade, rules, side, ts_ms))

    def _send(self, kind: str, owner: str, rules: MarketRules, message: dict[str, Any]) -> None:
        parts = (Part(kind, (owner, rules.condition)),)
        self._publish(ENDPOINT, Played(SOURCE, orjson.dumps(message).decode(), parts))


def _concerned(trade: Trade) -> dict[str, str]:
    """The owners a trade is told to, with their side; who traded with itself hears it as taker."""
    owners = {trade.taker.owner: TAKER}
    for fill in trade.fills:
        owners.setdefault(fill.order.owner, MAKER)
    owners.pop("", None)
    return owners


def order_message(event: OrderChanged) -> dict[str, Any]:
    """An `order` event (protocols 6.2): sizes in shares of the order's own token."""
    order, rules = event.order, event.rules
    status = order.status
    if status == CANCELED and order.refusal:
        status = f"{CANCELED}_{order.refusal}"
    return {
        "asset_id": rules.tokens[order.token],
        "associate_trades": list(order.trade_ids) or None,
        "created_at": str(order.created_ns // SECOND_NS),
        "event_type": "order",
        "expiration": str(order.expires_s),
        "id": order.order_id,
        "maker_address": order.maker_address or order.wallet,
        "market": rules.condition,
        "order_owner": order.owner,
        "order_type": order.order_type,
        "original_size": size_text(order.size_e6),
        "outcome": rules.outcomes[order.token],
        "owner": order.owner,
        "price": price_text(order.price_e4),
        "side": SIDE_TEXTS[order.side],
        "size_matched": size_text(order.matched_e6),
        "status": status,
        "timestamp": str(event.ts_ns // MS_NS),
        "type": event.kind,
    }


def trade_message(trade: Trade, rules: MarketRules, trader_side: str, ts_ms: int) -> dict[str, Any]:
    """A `trade` event (protocols 6.3): the top describes the taker, `maker_orders` each maker."""
    taker = trade.taker
    owner = shown_owner(taker)
    return {
        "asset_id": rules.tokens[taker.token],
        "bucket_index": trade.bucket_index,
        "event_type": "trade",
        "fee_rate_bps": "0",
        "id": trade.trade_id,
        "last_update": str(trade.update_ns // SECOND_NS),
        "maker_address": taker.maker_address or taker.wallet,
        "maker_orders": [_maker_entry(fill, rules) for fill in trade.fills],
        "market": rules.condition,
        "match_time": str(trade.match_ns // SECOND_NS),
        "outcome": rules.outcomes[taker.token],
        "owner": owner,
        "price": decimal_text(trade.price_e6, 6),
        "side": SIDE_TEXTS[taker.side],
        "size": size_text(trade.size_e6),
        "status": trade.status,
        "taker_order_id": taker.order_id,
        "timestamp": str(ts_ms),
        "trade_owner": owner,
        "trader_side": trader_side,
        "transaction_hash": trade.transaction_hash,
        "type": "TRADE",
    }


def _maker_entry(fill: MakerFill, rules: MarketRules) -> dict[str, Any]:
    order = fill.order
    return {
        "asset_id": rules.tokens[order.token],
        "fee_rate_bps": "0",
        "maker_address": order.maker_address or order.wallet,
        "matched_amount": size_text(fill.size_e6),
        "order_id": order.order_id,
        "outcome": rules.outcomes[order.token],
        "outcome_index": order.token,
        "owner": shown_owner(order),
        "price": price_text(fill.price_e4),
        "side": SIDE_TEXTS[order.side],
    }


class Credentials(Protocol):
    """An API key as the socket needs it."""

    @property
    def owner(self) -> str:
        """The key's uuid."""


class Keys(Protocol):
    """Who knows the API keys."""

    def by_credentials(self, api_key: str, secret: str, passphrase: str) -> Credentials | None:
        """The key these belong to; None when they do not fit together."""


class UserDialect:
    """One connection's side of the user channel (protocols 6.1).

    The first frame but for keepalives must authenticate; a bad one is answered `close`. No
    markets named means all of them, also after the last one was unsubscribed.
    """

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._owner = ""
        self._markets: set[str] = set()

    @property
    def authenticated(self) -> bool:
        """Whether the client has said who it is."""
        return bool(self._owner)

    @property
    def subscriptions(self) -> frozenset[str]:
        """The condition ids named, `*` for all; empty before authentication."""
        if not self._owner:
            return frozenset()
        return frozenset(self._markets or ("*",))

    def hear(self, text: str) -> list[Answer]:
        """PONG to PING; never an ack; `close` with the reason when the client is to be closed."""
        if text == "PING":
            return [("PONG", "pong")]
        order = loads(text)
        if not isinstance(order, dict):
            return [("INVALID OPERATION", "error")] if self._owner else [_closed("no auth")]
        named = order.get("markets") or []
        if not isinstance(named, list):
            return [("INVALID OPERATION", "error")]
        markets = [market.lower() for market in named if isinstance(market, str)]
        operation = order.get("operation")
        if operation is None:
            return self._on_auth(order.get("auth"), markets)
        if not self._owner:
            return [_closed("no auth")]
        if operation == "unsubscribe":
            self._markets.difference_update(markets)
        elif operation == "subscribe":
            self._add(markets)
        else:
            return [("INVALID OPERATION", "error")]
        return []

    def select(self, played: Played) -> Selected | None:
        """The frames of this key in the markets named."""
        for part in played.parts:
            owner, market = part.keys
            if owner != self._owner or (self._markets and market.lower() not in self._markets):
                return None
        return Selected(played.text, played.types()) if played.parts and self._owner else None

    def _on_auth(self, auth: object, markets: list[str]) -> list[Answer]:
        said = auth if isinstance(auth, dict) else {}
        names = ("apiKey", "secret", "passphrase")
        given = [said.get(name) for name in names]
        key = self._keys.by_credentials(*(one if isinstance(one, str) else "" for one in given))
        if key is None:
            return [_closed("bad auth")]
        self._owner = key.owner
        self._markets.clear()
        self._add(markets)
        return []

    def _add(self, markets: list[str]) -> None:
        fresh = [m for m in dict.fromkeys(markets) if m not in self._markets]
        self._markets.update(fresh[: MARKETS_MAX - len(self._markets)])


def _closed(why: str) -> Answer:
    return why, "close"
