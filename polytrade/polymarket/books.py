"""Books as the venue sends them whole, over REST and on the market channel (protocols 2.2, 5.2)."""

from collections import Counter
from typing import Any

import orjson

from polytrade.core.events import BookReplaced, Event, MarketListed
from polytrade.core.ids import NO, YES
from polytrade.polymarket.numbers import LEVEL_PRICES, SIZES, TICKS, venue_ms
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
    """What was wrong, with the type of the message when it told one."""
    messages = body if isinstance(body, list) else [body]
    kinds = [m.get("event_type") for m in messages if isinstance(m, dict)]
    where = f" @ {kinds[0]!r:.40}" if kinds and kinds[0] is not None else ""
    if isinstance(error, KeyError):
        return f"expected field or value {error.args[0]!r:.80}{where}"
    return f"{error!s:.200}{where}"
