"""Kraken v2: ticker, trades, checked books (protocols 9.7).

Prices and sizes are JSON numbers with all the digits of the pair: the checksum is over them.
"""

import zlib
from collections.abc import Iterable
from typing import Any, Final

import orjson

from polytrade.core.ids import BUY, SELL
from polytrade.sandbox.connection import Selected
from polytrade.sandbox.dialects import Answer, Played, distinct, loads
from polytrade.sandbox.venue.exchanges.book import Change, ExchangeBook, Print
from polytrade.sandbox.venue.exchanges.feed import (
    ExchangeFeed,
    StreamDialect,
    Surroundings,
    rfc3339,
)
from polytrade.sandbox.venue.exchanges.pairs import KRAKEN, Pair

DEPTHS: Final = (10, 25, 100, 500, 1000)
CHECKED: Final = 10
"""Levels a side under the checksum."""
HEARTBEAT: Final = "heartbeat"
CHANNELS: Final = ("ticker", "trade", "book")
TOOK_NS: Final = 40_000
"""Between a request's `time_in` and `time_out`."""

Levels = list[tuple[int, int]]


class KrakenFeed(ExchangeFeed):
    """Streams `ticker:PAIR` (on trades), `ticker-bbo:PAIR`, `trade:PAIR`, `book-DEPTH:PAIR`."""

    exchange = KRAKEN

    def __init__(self, around: Surroundings) -> None:
        super().__init__(around)
        self._views: dict[str, tuple[Levels, Levels]] = {}

    def default_streams(self) -> Iterable[str]:
        """Tickers on every change of the touch, and trades."""
        for symbol in self.coins:
            yield f"ticker-bbo:{symbol}"
            yield f"trade:{symbol}"
        yield HEARTBEAT

    def dialect(self, path: str) -> StreamDialect:
        """One connection, whatever its path."""
        return KrakenChannels(self)

    def refresh(self) -> None:
        """Books are followed only while somebody has them."""
        super().refresh()
        self._views = {key: view for key, view in self._views.items() if key in self.streams}

    def on_changes(self, coin: str, changes: list[Change]) -> None:
        """What changed in the best levels of each depth that is followed."""
        book = self.books[coin]
        for depth in DEPTHS:
            key = f"book-{depth}:{book.pair.symbol}"
            if key not in self.streams:
                continue
            old, new = self._views.get(key), (book.view(BUY, depth), book.view(SELL, depth))
            self._views[key] = new
            if old is None:
                self.send(key, "book", self._book_text("snapshot", book, *new))
                continue
            sides = [_changed(old[side], new[side], changes, side) for side in (BUY, SELL)]
            if any(sides):
                self.send(key, "book", self._book_text("update", book, sides[BUY], sides[SELL]))

    def on_touch(self, coin: str) -> None:
        """A ticker for who wants one on every change."""
        key = f"ticker-bbo:{self.books[coin].pair.symbol}"
        if key in self.streams:
            self.send(key, "ticker", self.ticker_text("update", coin))

    def on_print(self, coin: str, trade: Print) -> None:
        """A trade, and a ticker for who wants one on every trade."""
        pair = self.books[coin].pair
        key = f"trade:{pair.symbol}"
        if key in self.streams:
            self.send(key, "trade", self._trades_text("update", self._trade_row(pair, trade)))
        key = f"ticker:{pair.symbol}"
        if key in self.streams:
            self.send(key, "ticker", self.ticker_text("update", coin))

    def on_second(self) -> None:
        """A heartbeat for the connections on which nothing else was said."""
        if HEARTBEAT in self.streams:
            self.send(HEARTBEAT, HEARTBEAT, '{"channel":"heartbeat"}')

    def book_snapshot(self, symbol: str, depth: int) -> str:
        """The best levels whole."""
        book = self.books[self.coins[symbol]]
        bids, asks = book.view(BUY, depth), book.view(SELL, depth)
        self._views[f"book-{depth}:{symbol}"] = (bids, asks)
        return self._book_text("snapshot", book, bids, asks)

    def trades_snapshot(self, symbol: str) -> str:
        """The last trade, if there was one."""
        book = self.books[self.coins[symbol]]
        row = "" if book.last is None else self._trade_row(book.pair, book.last)
        return self._trades_text("snapshot", row)

    def ticker_text(self, kind: str, coin: str) -> str:
        """Best prices and the last day."""
        book = self.books[coin]
        pair = book.pair
        (bid, bid_lots), (ask, ask_lots) = book.touch()
        last = book.last.ticks if book.last is not None else bid
        opened = self.opening_e8(coin) // pair.tick_e8
        sign = "-" if last < opened else ""
        percent = abs(last - opened) * 10_000 // opened
        return (
            f'{{"channel":"ticker","type":"{kind}","data":[{{"symbol":"{pair.symbol}",'
            f'"bid":{pair.price_text(bid)},"bid_qty":{pair.size_text(bid_lots)},'
            f'"ask":{pair.price_text(ask)},"ask_qty":{pair.size_text(ask_lots)},'
            f'"last":{pair.price_text(last)},"volume":{pair.size_text(pair.trade_lots * 86_400)},'
            f'"vwap":{pair.price_text((last + opened) // 2)},'
            f'"low":{pair.price_text(min(last, opened))},'
            f'"high":{pair.price_text(max(last, opened))},'
            f'"change":{sign}{pair.price_text(abs(last - opened))},'
            f'"change_pct":{sign}{percent // 100}.{percent % 100:02d},'
            f'"timestamp":"{self.now_text()}"}}]}}'
        )

    def _book_text(self, kind: str, book: ExchangeBook, bids: Levels, asks: Levels) -> str:
        pair = book.pair
        return (
            f'{{"channel":"book","type":"{kind}","data":[{{"symbol":"{pair.symbol}",'
            f'"bids":{_rows(pair, bids)},"asks":{_rows(pair, asks)},'
            f'"checksum":{checksum(book)},"timestamp":"{self.now_text()}"}}]}}'
        )

    def _trade_row(self, pair: Pair, trade: Print) -> str:
        side = "buy" if trade.side == BUY else "sell"
        return (
            f'{{"symbol":"{pair.symbol}","side":"{side}","price":{pair.price_text(trade.ticks)},'
            f'"qty":{pair.size_text(trade.lots)},"ord_type":"market","trade_id":{trade.number},'
            f'"timestamp":"{self.now_text()}"}}'
        )

    def _trades_text(self, kind: str, row: str) -> str:
        return f'{{"channel":"trade","type":"{kind}","data":[{row}]}}'


def _changed(old: Levels, new: Levels, changes: list[Change], side: int) -> Levels:
    """What turns the old best levels into the new ones, where the client cuts off what is left."""
    had, gone = dict(old), {c.ticks for c in changes if c.side == side and c.lots == 0}
    now = dict(new)
    removed = [(ticks, 0) for ticks in had if ticks in gone and ticks not in now]
    return removed + [level for level in new if had.get(level[0]) != level[1]]


def _rows(pair: Pair, levels: Levels) -> str:
    rows = [
        f'{{"price":{pair.price_text(ticks)},"qty":{pair.size_text(lots)}}}'
        for ticks, lots in levels
    ]
    return f"[{','.join(rows)}]"


def checksum(book: ExchangeBook) -> int:
    """CRC32 of the ten best asks and the ten best bids, digits alone, without leading zeros."""
    pair = book.pair
    texts = [
        pair.price_text(ticks).replace(".", "").lstrip("0")
        + pair.size_text(lots).replace(".", "").lstrip("0")
        for side in (SELL, BUY)
        for ticks, lots in book.view(side, CHECKED)
    ]
    return zlib.crc32("".join(texts).encode())


class KrakenChannels(StreamDialect):
    """Requests by `method`; a heartbeat only where a second went by in silence."""

    feed: KrakenFeed

    def __init__(self, feed: KrakenFeed) -> None:
        super().__init__(feed)
        self._said = False

    def select(self, played: Played) -> Selected | None:
        """Frames of the subscribed channels."""
        selected = super().select(played)
        if selected is None:
            return None
        if played.parts and played.parts[0].type == HEARTBEAT:
            said, self._said = self._said, False
            return None if said else selected
        self._said = True
        return selected

    def _greeting(self) -> list[Answer]:
        data = {
            "version": "2.0.10",
            "system": "online",
            "api_version": "v2",
            "connection_id": self.number,
        }
        status = {"channel": "status", "type": "update", "data": [data]}
        return [(orjson.dumps(status).decode(), "status")]

    def _answers(self, text: str) -> list[Answer]:
        order = loads(text)
        if not isinstance(order, dict):
            return [self._answer({}, {"success": False, "error": "Malformed request"})]
        method, params = order.get("method"), order.get("params", {})
        if method == "ping":
            return [(orjson.dumps(self._timed(order, {"method": "pong"})).decode(), "pong")]
        if method not in ("subscribe", "unsubscribe") or not isinstance(params, dict):
            return [self._answer(order, {"success": False, "error": "Unsupported method"})]
        channel, symbols = params.get("channel"), params.get("symbol", [])
        if channel == HEARTBEAT:
            return []
        depth = params.get("depth", DEPTHS[0])
        if channel not in CHANNELS or (channel == "book" and depth not in DEPTHS):
            return [self._answer(order, {"success": False, "error": "Unsupported channel"})]
        answers: list[Answer] = []
        for symbol in distinct(map(str, symbols)) if isinstance(symbols, list) else []:
            answers += self._one(order, params, str(channel), symbol, depth)
        return answers

    def _one(
        self, order: dict[str, Any], params: dict[str, Any], channel: str, symbol: str, depth: int
    ) -> list[Answer]:
        if symbol not in self.feed.coins:
            words = f"Currency pair not supported {symbol}"
            return [self._answer(order, {"success": False, "error": words, "symbol": symbol})]
        key = f"{channel}:{symbol}"
        result: dict[str, Any] = {"channel": channel, "symbol": symbol}
        snapshot = params.get("snapshot", channel != "trade") is not False
        if channel == "book":
            key, result["depth"] = f"book-{depth}:{symbol}", depth
        elif channel == "ticker":
            trigger = params.get("event_trigger", "trades")
            key = f"ticker-bbo:{symbol}" if trigger == "bbo" else key
            result["event_trigger"] = trigger
        if order["method"] == "unsubscribe":
            self._unsubscribe([key])
            return [self._answer(order, {"success": True, "result": result})]
        self._subscribe([key, HEARTBEAT])
        answers = [
            self._answer(order, {"success": True, "result": result | {"snapshot": snapshot}})
        ]
        if not snapshot:
            return answers
        if channel == "book":
            dump = self.feed.book_snapshot(symbol, depth)
        elif channel == "ticker":
            dump = self.feed.ticker_text("snapshot", self.feed.coins[symbol])
        else:
            dump = self.feed.trades_snapshot(symbol)
        return [*answers, (dump, "dump")]

    def _answer(self, order: dict[str, Any], body: dict[str, Any]) -> Answer:
        body = self._timed(order, {"method": order.get("method", ""), **body})
        return orjson.dumps(body).decode(), "ack" if body["success"] else "error"

    def _timed(self, order: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
        now_ns = self.feed.schedule.now_ns
        times = {"time_in": rfc3339(now_ns), "time_out": rfc3339(now_ns + TOOK_NS)}
        number = {"req_id": order["req_id"]} if "req_id" in order else {}
        return {**body, **number, **times}
