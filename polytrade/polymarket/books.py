"""Books as the venue sends them whole, over REST and on the market channel (protocols 2.2, 5.2)."""

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import orjson

from polytrade.core.events import BookReplaced, Event, MarketListed
from polytrade.core.ids import NO, YES
from polytrade.polymarket.numbers import (
    BEST_ASKS,
    BEST_BIDS,
    LEVEL_PRICES,
    SIZES,
    TICKS,
    TRADE_PRICES,
    TRADE_SIZES,
    venue_ms,
)
from polytrade.wire_roles import WireError

Message = dict[str, Any]


class Instruments:
    """Which token belongs to which market; what is not in here is not decoded."""

    __slots__ = ("tokens",)

    def __init__(self) -> None:
        self.tokens: dict[str, tuple[str, int]] = {}

    def add(self, listed: MarketListed) -> None:
        """Know a market's two tokens; idempotent."""
        self.tokens[listed.yes] = (listed.market, YES)
        self.tokens[listed.no] = (listed.market, NO)

    def forget(self, market: str) -> None:
        """Drop a market that is over; unknown markets are ignored."""
        for token in [token for token, known in self.tokens.items() if known[0] == market]:
            del self.tokens[token]


class RestBookDecoder:
    """Decodes bodies of `GET /book` and `POST /books` (source `clob.book/0`, protocols 2.2)."""

    __slots__ = ("_tokens", "foreign", "unknown")

    def __init__(self, instruments: Instruments) -> None:
        self.unknown: Counter[str] = Counter()
        self.foreign: Counter[str] = Counter()
        self._tokens = instruments.tokens

    def decode(self, frame: str | bytes, ts_ns: int, source: str) -> list[Event]:
        """One BookReplaced a known book of the answer; see `polytrade.wire_roles.Decoder`."""
        body: Any = None
        try:
            body = orjson.loads(frame)
            events: list[Event] = []
            for book in body if isinstance(body, list) else [body]:
                known = self._tokens.get(book["asset_id"])
                if known is None:
                    self.foreign["book"] += 1
                else:
                    events.append(book_replaced(book, ts_ns, known, rest=True))
            return events
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise WireError(source, explain(body, error), frame) from None


def book_replaced(
    message: Message, ts_ns: int, known: tuple[str, int], *, rest: bool
) -> BookReplaced:
    """The event of a `book` message or REST book of a known token, levels in the event's order.

    Raises KeyError, TypeError or ValueError when a field is missing or bad.
    """
    prices, sizes = LEVEL_PRICES, SIZES
    bids = [(prices[level["price"]], sizes[level["size"]]) for level in message["bids"]]
    asks = [(prices[level["price"]], sizes[level["size"]]) for level in message["asks"]]
    bids.sort()
    asks.sort(reverse=True)
    last_trade = message.get("last_trade_price")
    return BookReplaced(
        ts_ns,
        known[0],
        known[1],
        bids,
        asks,
        TICKS[message.get("tick_size")],
        "?" if last_trade is None else text_of(last_trade),
        venue_ms(message["timestamp"]),
        text_of(message.get("hash") or ""),
        rest,
    )


def text_of(value: object) -> str:
    """The value itself when it is text; TypeError otherwise."""
    if not isinstance(value, str):
        raise TypeError(f"expected text, found {value!r:.80}")
    return value


def explain(body: Any, error: Exception) -> str:
    """What was wrong with a message: the field, its value, what was expected, the message's type.

    Looks field by field for the first bad one, which the decoders themselves do not: they only
    fail. Falls back on the error when each field is fine on its own.
    """
    if isinstance(error, orjson.JSONDecodeError):
        return f"expected JSON: {error!s:.200}"
    where = ""
    for message in body if isinstance(body, list) else [body]:
        if not isinstance(message, dict):
            return f"expected a message as an object, found {message!r:.80}"
        kind = message.get("event_type")
        where = f" @ {kind!r:.40}" if kind is not None else ""
        tables = _TRADE_FIELDS if kind == "last_trade_price" else _FIELDS
        fault = _fault(message, tables)
        if fault:
            return fault + where
    if isinstance(error, KeyError):
        return f"expected field {error.args[0]!r:.80}{where}"
    return f"{error!s:.200}"


def _fault(message: Message, tables: dict[str, Callable[[Any], object]]) -> str:
    nested = [message.get(name) for name in ("price_changes", "changes", "bids", "asks")]
    parts = [message, *[part for parts in nested if isinstance(parts, list) for part in parts]]
    for part in parts:
        if not isinstance(part, dict):
            return f"expected an object in a list, found {part!r:.80}"
        for name, value in part.items():
            check = tables.get(name)
            try:
                if check is not None:
                    check(value)
            except (TypeError, ValueError, OverflowError) as error:
                return f"{name}: {error!s:.200}"
    return ""


def _side(value: object) -> None:
    if value not in ("BUY", "SELL"):
        raise ValueError(f"expected BUY or SELL, found {value!r:.80}")


_FIELDS: Final[dict[str, Callable[[Any], object]]] = {
    "price": LEVEL_PRICES.__getitem__,
    "size": SIZES.__getitem__,
    "side": _side,
    "timestamp": venue_ms,
    "asset_id": text_of,
    "tick_size": TICKS.__getitem__,
    "old_tick_size": TICKS.__getitem__,
    "new_tick_size": TICKS.__getitem__,
    "best_bid": BEST_BIDS.__getitem__,
    "best_ask": BEST_ASKS.__getitem__,
    "last_trade_price": text_of,
}
_TRADE_FIELDS: Final = {
    **_FIELDS,
    "price": TRADE_PRICES.__getitem__,
    "size": TRADE_SIZES.__getitem__,
}
