"""How each endpoint talks: what a client's frame means and which played frames it gets.

Sans-IO: one object a connection; `hear` gives the answers, `select` the form of a played frame for
this client, or None when it is not subscribed to it.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, Protocol, runtime_checkable

import attrs
import orjson

from polytrade.sandbox.connection import Selected

ASSETS_MAX: Final = 2000
"""Assets one connection may subscribe: four times what the venue copes with (protocols 5.1)."""
NAMES_MAX: Final = 512
"""Names one frame of a client may have: OKX allows 480 requests an hour."""
DUMP_BOOKS_MAX: Final = 50
"""Books in one frame of an initial dump: 200 KB."""
TYPES_MAX: Final = 128
"""Types of messages kept in a form made once: all sockets together have 40."""
FLAGGED: Final = frozenset(("best_bid_ask", "new_market", "market_resolved"))
"""Market-channel types sent only to who asked for custom features (protocols 5.2)."""
RTDS_TOPICS: Final = frozenset(
    (
        "crypto_prices",
        "crypto_prices_chainlink",
        "crypto_prices_twap_thirty",
        "crypto_prices_twap_sixty",
        "equity_prices",
        "comments",
        "activity",
    )
)

Answer = tuple[str, str]
"""(text, what it is: `pong`, `ack`, `dump`, `error`); `close` ends the connection, the text says
why."""


@attrs.frozen
class Part:
    """One message of a frame: its type and the keys a subscription may name."""

    type: str
    keys: tuple[str, ...] = ()


@attrs.frozen
class Played:
    """A frame as served, with the messages in it; no parts when it cannot be read."""

    source: str
    text: str | bytes
    parts: tuple[Part, ...] = ()

    def types(self) -> Mapping[str, int]:
        """Messages by type; a frame that cannot be read counts as `other`."""
        if len(self.parts) > 1:
            return Counter(part.type for part in self.parts)
        return _one(self.parts[0].type if self.parts else "other")


@lru_cache(maxsize=TYPES_MAX)
def _one(kind: str) -> Mapping[str, int]:
    return MappingProxyType({kind: 1})


class Dialect(Protocol):
    """One connection's side of a protocol."""

    def hear(self, text: str) -> list[Answer]:
        """What is answered to a client's frame, in order."""

    def select(self, played: Played) -> Selected | None:
        """What this client gets of a frame; None for nothing."""

    @property
    def subscriptions(self) -> frozenset[str]:
        """What is subscribed, in the endpoint's own terms."""


@runtime_checkable
class Greets(Protocol):
    """A dialect that speaks first."""

    def greet(self) -> list[Answer]:
        """What is said on connecting."""


class BookDumps(Protocol):
    """Where initial books come from."""

    def book_dump(self, asset: str) -> str | None:
        """The book of an asset as a `book` message; None when there is none."""


class PriceDumps(Protocol):
    """Where initial prices come from."""

    def price_dump(self, topic: str, symbol: str) -> str | None:
        """The last prices of a symbol as an RTDS `subscribe` message; None when there are none."""


def distinct(names: Iterable[str]) -> list[str]:
    """What a client's frame names, each once and not more than `NAMES_MAX` of it: saying a name
    again must not cost another snapshot."""
    return list(dict.fromkeys(names))[:NAMES_MAX]


def loads(text: str | bytes) -> Any:
    """The JSON of a frame, or None when it is none."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


class MarketDialect:
    """Polymarket's market channel (protocols 5.1)."""

    def __init__(self, books: BookDumps) -> None:
        self._books = books
        self._assets: set[str] = set()
        self._flagged = False

    @property
    def subscriptions(self) -> frozenset[str]:
        """The assets subscribed."""
        return frozenset(self._assets)

    def hear(self, text: str) -> list[Answer]:
        """PONG to PING; a dump of the books of assets not subscribed before; never an ack."""
        if text == "PING":
            return [("PONG", "pong")]
        order = loads(text)
        assets = order.get("assets_ids") if isinstance(order, dict) else None
        if not isinstance(assets, list):
            return [("INVALID OPERATION", "error")]
        assets = [asset for asset in assets if isinstance(asset, str)]
        self._flagged = bool(order.get("custom_feature_enabled", self._flagged))
        if order.get("operation") == "unsubscribe":
            self._assets.difference_update(assets)
            return []
        room = ASSETS_MAX - len(self._assets)
        fresh = [a for a in dict.fromkeys(assets) if a not in self._assets][:room]
        self._assets.update(fresh)
        if order.get("initial_dump") is False:
            return []
        books = [book for book in map(self._books.book_dump, fresh) if book is not None]
        return [
            (f"[{','.join(books[at : at + DUMP_BOOKS_MAX])}]", "dump")
            for at in range(0, len(books), DUMP_BOOKS_MAX)
        ]

    def select(self, played: Played) -> Selected | None:
        """The frame verbatim unless part of it concerns only assets not subscribed."""
        if not self._assets:
            return None
        if not played.parts:
            return Selected(played.text, played.types())
        kept = [index for index, part in enumerate(played.parts) if self._wants(part)]
        if not kept:
            return None
        if len(kept) == len(played.parts):
            return Selected(played.text, played.types())
        messages = orjson.loads(played.text)
        text = orjson.dumps([messages[index] for index in kept]).decode()
        return Selected(text, Counter(played.parts[index].type for index in kept))

    def _wants(self, part: Part) -> bool:
        if part.type in FLAGGED and not self._flagged:
            return False
        if part.type == "new_market" or not part.keys:
            return True
        return any(key in self._assets for key in part.keys)


def market_parts(messages: list[Any], rename: Callable[[str], str]) -> tuple[Part, ...]:
    """The parts of a market-channel frame; `rename` gives the served name of an asset."""
    return tuple(
        Part(
            str(message.get("event_type", "other")),
            tuple(rename(asset) for asset in market_assets(message)),
        )
        for message in messages
    )


def market_assets(message: Mapping[str, Any]) -> list[str]:
    """The assets a market-channel message names."""
    assets = []
    if isinstance(message.get("asset_id"), str):
        assets.append(message["asset_id"])
    changes = message.get("price_changes")
    if isinstance(changes, list):
        assets += [c["asset_id"] for c in changes if isinstance(c, dict) and "asset_id" in c]
    listed = message.get("assets_ids")
    if isinstance(listed, list):
        assets += [item for item in listed if isinstance(item, str)]
    return assets


class RtdsDialect:
    """Polymarket's real-time data socket (protocols 7.1): no acks, no PONG."""

    def __init__(self, prices: PriceDumps) -> None:
        self._prices = prices
        self._topics: dict[tuple[str, str], None] = {}

    @property
    def subscriptions(self) -> frozenset[str]:
        """`topic` or `topic:symbol`."""
        return frozenset(f"{topic}:{symbol}" if symbol else topic for topic, symbol in self._topics)

    def hear(self, text: str) -> list[Answer]:
        """A snapshot for each filtered subscription; one bad topic refuses the whole array."""
        if text.upper() == "PING":
            return []
        order = loads(text)
        wanted = order.get("subscriptions") if isinstance(order, dict) else None
        if not isinstance(wanted, list):
            return [_rtds_error("expected an action and subscriptions")]
        parsed: dict[tuple[str, str], None] = {}
        for item in wanted:
            topic = item.get("topic") if isinstance(item, dict) else None
            if not isinstance(topic, str) or topic not in RTDS_TOPICS:
                return [_rtds_error(f"unknown topic {_shown(topic)}")]
            filters = item.get("filters") or ""
            chosen = (loads(filters) if filters else {}) if isinstance(filters, str) else None
            symbol = chosen.get("symbol", "") if isinstance(chosen, dict) else None
            if not isinstance(symbol, str) or " " in filters:
                return [_rtds_error(f"invalid filters {_shown(filters)}")]
            parsed[topic, symbol] = None
        if order.get("action") == "unsubscribe":
            for key in parsed:
                self._topics.pop(key, None)
            return []
        self._topics.update(parsed)
        dumps = [self._prices.price_dump(topic, symbol) for topic, symbol in parsed if symbol]
        return [(dump, "dump") for dump in dumps if dump is not None]

    def select(self, played: Played) -> Selected | None:
        """Updates of a subscribed topic and symbol; errors and empty frames to every client."""
        if not self._topics:
            return None
        for part in played.parts:
            topic, symbol = part.keys
            if (topic, "") not in self._topics and (topic, symbol) not in self._topics:
                return None
        return Selected(played.text, played.types())


def _shown(value: object) -> str:
    return f"{value!r:.80}" if isinstance(value, str) else f"of type {type(value).__name__}"


def _rtds_error(message: str) -> Answer:
    body = {"body": {"message": message}, "statusCode": 400}
    return orjson.dumps(body).decode(), "error"


def rtds_parts(text: str | bytes) -> tuple[Part, ...]:
    """The one part of a data frame; a Chainlink snapshot calls itself `crypto_prices`."""
    body = loads(text) if text else None
    if not isinstance(body, dict) or not isinstance(body.get("topic"), str):
        return ()
    payload = body.get("payload")
    if not isinstance(payload, dict):
        return ()
    topic, symbol = body["topic"], str(payload.get("symbol", ""))
    if topic == "crypto_prices" and "/" in symbol:
        topic = "crypto_prices_chainlink"
    return (Part(topic, (topic, symbol)),)
