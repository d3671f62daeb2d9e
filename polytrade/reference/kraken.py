"""Kraken v2: ticker, or a checked book of depth 10, and trades of USD pairs (protocols 9.7).

Prices and sizes are JSON numbers here. They are read as the digits on the wire, never through a
float: trailing zeros count for the book's checksum.
"""

import json
import zlib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, ClassVar, Final, NoReturn

import orjson

from polytrade.core.events import Event
from polytrade.reference.codec import CHECKSUM, TRADE_ID_GAP, TradeIds, VenueCodec
from polytrade.reference.fields import (
    NUMBER_CHARS_MAX,
    list_of,
    object_of,
    price_e8_of,
    rfc3339_ns_of,
    shown,
    text_of,
    whole_of,
)
from polytrade.reference.levels import Level, LevelBook, level_of

PING_INTERVAL_S: Final = 30.0
"""The venue closes connections that are silent for about a minute."""
BOOK_DEPTH: Final = 10
"""Levels a side of the checked book: all of them are under the checksum."""
DECIMALS_MAX: Final = 10
"""Most decimals a price or size of a listed pair has."""
_CHECKSUM_MAX: Final = 2**32 - 1


class KrakenCodec(VenueCodec):
    """Ticks from `ticker` on every change of the best bid or ask (the mid) and from `trade`.

    With `checked_book` the mid comes from channel `book` instead, whose messages carry a CRC32 over
    the ten best levels of each side. FeedGap `checksum`: the kept book does not fit it; the book
    gives no ticks until its next snapshot, and when an update broke it `reconnect_wanted` is set.
    FeedGap `trade_id_gap`: trade ids of a pair are not consecutive.
    """

    name = "kraken"
    default_url = "wss://ws.kraken.com/v2"
    ping_interval_s = PING_INTERVAL_S
    pairs: ClassVar[Mapping[str, str]] = {
        "btc": "BTC/USD",
        "eth": "ETH/USD",
        "sol": "SOL/USD",
        "xrp": "XRP/USD",
        "doge": "DOGE/USD",
        "bnb": "BNB/USD",
        "hype": "HYPE/USD",
        "zec": "ZEC/USD",
    }

    def __init__(self, coins: Sequence[str], *, checked_book: bool = False) -> None:
        super().__init__(coins)
        self.checked_book = checked_book
        self._trade_ids = TradeIds()
        self._books: dict[str, LevelBook] = {}
        self._decimals: dict[str, tuple[int, int]] = {}

    def hello(self) -> list[str]:
        """One request a channel for all pairs; the venue answers, or refuses, each pair alone."""
        if not self.symbols:
            return []
        best: dict[str, object] = {"channel": "ticker", "event_trigger": "bbo"}
        if self.checked_book:
            best = {"channel": "book", "depth": BOOK_DEPTH, "snapshot": True}
        trades: dict[str, object] = {"channel": "trade", "snapshot": False}
        return [
            orjson.dumps(
                {
                    "method": "subscribe",
                    "params": params | {"symbol": list(self.symbols)},
                    "req_id": number,
                }
            ).decode()
            for number, params in enumerate((best, trades), start=1)
        ]

    def ping(self) -> str | None:
        """The `ping` method."""
        return '{"method":"ping"}'

    def reset(self) -> None:
        """A new connection: trade ids and books start over."""
        super().reset()
        self._trade_ids = TradeIds()
        self._books.clear()
        self._decimals.clear()

    def _parse(self, frame: str | bytes) -> Any:
        """JSON with every number as its own text: `105944.20` stays `"105944.20"`."""
        text = frame if isinstance(frame, str) else frame.decode()
        try:
            return json.loads(
                text, parse_float=_digits, parse_int=_digits, parse_constant=_not_a_number
            )
        except RecursionError:
            raise ValueError("expected JSON, found nesting without end @ frame") from None

    def _events(self, message: Any, ts_ns: int, source: str) -> list[Event]:
        message = object_of(message, "frame")
        if message.get("success") is False or "error" in message:
            raise self._refused(message.get("error"))
        channel = message.get("channel")
        if channel is None:
            if "method" not in message:
                return self._skip_unknown("untyped")
            return self._skip("pong" if message["method"] == "pong" else "ack")
        if channel in ("heartbeat", "status"):
            return self._skip(channel)
        if channel not in ("ticker", "trade", "book"):
            return self._skip_unknown(channel)
        snapshot = message.get("type") == "snapshot"
        if not snapshot and message.get("type") != "update":
            raise ValueError(
                f"expected snapshot or update, found {shown(message.get('type'))} @ type"
            )
        rows = [object_of(row, "data") for row in list_of(message.get("data"), "data")]
        if channel == "ticker":
            return self._on_tickers(rows, ts_ns)
        if channel == "trade":
            return self._on_trades(rows, snapshot, ts_ns, source)
        return self._on_books(rows, snapshot, ts_ns, source)

    def _followed(self, row: dict[str, Any]) -> str | None:
        """The row's pair when it is one of ours."""
        pair = text_of(row.get("symbol"), "symbol")
        if pair in self.symbols:
            return pair
        self.counts["foreign_pair"] += 1
        return None

    def _on_tickers(self, rows: list[dict[str, Any]], ts_ns: int) -> list[Event]:
        quotes = []
        for row in rows:
            pair = self._followed(row)
            if pair is not None:
                bid_e8 = price_e8_of(row.get("bid"), "bid")
                ask_e8 = price_e8_of(row.get("ask"), "ask")
                quotes.append((self.symbols[pair], bid_e8, ask_e8, _time_of(row)))
        return [event for quote in quotes for event in self._quote(ts_ns, *quote)]

    def _on_trades(
        self, rows: list[dict[str, Any]], snapshot: bool, ts_ns: int, source: str
    ) -> list[Event]:
        """Trades in the order of their ids; a snapshot is history: it only starts the ids."""
        trades: list[tuple[int, str, int, int]] = []
        for row in rows:
            pair = self._followed(row)
            if pair is not None:
                trade_id = whole_of(row.get("trade_id"), "trade_id")
                price_e8 = price_e8_of(row.get("price"), "price")
                venue_ts_ns = rfc3339_ns_of(row.get("timestamp"), "timestamp")
                trades.append((trade_id, pair, price_e8, venue_ts_ns))
        trades.sort()
        events: list[Event] = []
        for trade_id, pair, price_e8, venue_ts_ns in trades:
            if snapshot:
                self._trade_ids.start(pair, trade_id)
                self.counts["snapshot"] += 1
            elif self._trade_ids.repeated(pair, trade_id):
                self.counts["repeated"] += 1
            else:
                if self._trade_ids.broken_by(pair, trade_id):
                    events.append(self._gap(ts_ns, source, TRADE_ID_GAP))
                events.append(self._trade(ts_ns, self.symbols[pair], price_e8, venue_ts_ns))
        return events

    def _on_books(
        self, rows: list[dict[str, Any]], snapshot: bool, ts_ns: int, source: str
    ) -> list[Event]:
        changes = []
        for row in rows:
            pair = self._followed(row)
            if pair is not None:
                bids, asks = _levels(row, "bids"), _levels(row, "asks")
                checksum = whole_of(row.get("checksum"), "checksum")
                if checksum > _CHECKSUM_MAX:
                    raise ValueError(f"expected a CRC32, found {shown(checksum)} @ checksum")
                changes.append((pair, bids, asks, checksum, _time_of(row)))
        events: list[Event] = []
        for pair, bids, asks, checksum, venue_ts_ns in changes:
            book = self._books.get(pair)
            if snapshot:
                book = self._books[pair] = LevelBook(BOOK_DEPTH)
            elif book is None:
                self.counts["unsynced"] += 1
                continue
            book.apply(bids, asks)
            if not self._fits(pair, book, checksum, snapshot):
                events.append(self._gap(ts_ns, source, CHECKSUM))
                del self._books[pair]
                # A snapshot that does not fit would not fit after a new connection either.
                self.reconnect_wanted = self.reconnect_wanted or not snapshot
                continue
            best = (book.best_bid_e8(), book.best_ask_e8())
            events += self._quote(ts_ns, self.symbols[pair], *best, venue_ts_ns)
        return events

    def _fits(self, pair: str, book: LevelBook, checksum: int, snapshot: bool) -> bool:
        """Whether the book has this checksum.

        The checksum is over numbers at the pair's own decimals, which no message here states. A
        snapshot teaches them: of all possible ones, those that fit are the pair's.
        """
        if not snapshot:
            return book_checksum(book, *self._decimals[pair]) == checksum
        levels = [*book.asks.values(), *book.bids.values()]
        least_price = max((_decimals(level.price) for level in levels), default=0)
        least_size = max((_decimals(level.size) for level in levels), default=0)
        for price_decimals in range(least_price, DECIMALS_MAX + 1):
            for size_decimals in range(least_size, DECIMALS_MAX + 1):
                if book_checksum(book, price_decimals, size_decimals) == checksum:
                    self._decimals[pair] = (price_decimals, size_decimals)
                    return True
        return False


def book_checksum(book: LevelBook, price_decimals: int, size_decimals: int) -> int:
    """The CRC32 of a book's ten best asks, lowest first, then its ten best bids, highest first.

    Each level is its price, then its size, at the given decimals, without the point and without
    leading zeros (protocols 9.7).
    """
    best = [book.asks[price] for price in sorted(book.asks)[:BOOK_DEPTH]]
    best += [book.bids[price] for price in sorted(book.bids, reverse=True)[:BOOK_DEPTH]]
    text = "".join(
        _at_decimals(level.price, price_decimals) + _at_decimals(level.size, size_decimals)
        for level in best
    )
    return zlib.crc32(text.encode())


def _at_decimals(number: str, decimals: int) -> str:
    whole, _, fraction = number.partition(".")
    return (whole + fraction.rstrip("0").ljust(decimals, "0")).lstrip("0")


def _decimals(number: str) -> int:
    """Decimals that say something: 2 for `1.250`."""
    return len(number.partition(".")[2].rstrip("0"))


def _levels(row: dict[str, Any], side: str) -> list[Level]:
    found = [object_of(level, side) for level in list_of(row.get(side), side)]
    return [level_of(level.get("price"), level.get("qty"), side) for level in found]


def _time_of(row: dict[str, Any]) -> int:
    """The row's time, 0 where the venue leaves it out (it came to some channels later)."""
    return rfc3339_ns_of(row["timestamp"], "timestamp") if "timestamp" in row else 0


def _digits(number: str) -> str:
    """A JSON number as a plain decimal text; `5e-05` as `0.00005`."""
    if "e" not in number and "E" not in number:
        return number
    try:
        value = Decimal(number)
    except ArithmeticError:  # an exponent of 19 digits or more
        value = Decimal("Infinity")
    if not value.is_finite() or abs(value.adjusted()) > NUMBER_CHARS_MAX:
        raise ValueError(f"expected a plain number, found {shown(number)}")
    return format(value, "f")


def _not_a_number(name: str) -> NoReturn:
    raise ValueError(f"expected a number, found {name}")
