"""OKX v5: tops of book, trades, books with their chain of ids, tickers (protocols 9.6)."""

from collections.abc import Iterable
from typing import Any, Final

import orjson

from polytrade.core.ids import BUY, SELL
from polytrade.core.units import MS_NS
from polytrade.sandbox.dialects import NAMES_MAX, Answer, loads
from polytrade.sandbox.venue.exchanges.book import ExchangeBook, Print
from polytrade.sandbox.venue.exchanges.feed import ExchangeFeed, Pending, StreamDialect
from polytrade.sandbox.venue.exchanges.pairs import OKX, Pair

BOOKS_NS: Final = 100 * MS_NS
CHANNELS: Final = ("bbo-tbt", "trades", "books", "books5", "tickers")
LEVELS_5: Final = 5
NO_SUCH: Final = "60018"
BAD_REQUEST: Final = "60012"


class OkxFeed(ExchangeFeed):
    """Streams `channel:INSTRUMENT`; checksums are 0, as they are on the wire now."""

    exchange = OKX

    def default_streams(self) -> Iterable[str]:
        """Tops of book and trades."""
        for symbol in self.coins:
            yield f"bbo-tbt:{symbol}"
            yield f"trades:{symbol}"

    def dialect(self, path: str) -> StreamDialect:
        """One connection, whatever its path."""
        return OkxChannels(self)

    def every_ns(self, key: str) -> tuple[str, int] | None:
        """Books, whole or the best five levels."""
        channel, _, symbol = key.partition(":")
        if channel not in ("books", "books5") or symbol not in self.coins:
            return None
        return self.coins[symbol], BOOKS_NS

    def pending_text(self, pending: Pending, book: ExchangeBook) -> str:
        """An update whose `prevSeqId` is the last frame's `seqId`, or five levels whole."""
        if pending.key.startswith("books5"):
            return self.snapshot("books5", book.pair.symbol)
        return self._books_text(
            "update", book, pending.sent_id, pending.levels(BUY), pending.levels(SELL)
        )

    def snapshot(self, channel: str, symbol: str) -> str:
        """The first message of a channel other than trades."""
        coin = self.coins[symbol]
        book = self.books[coin]
        match channel:
            case "bbo-tbt":
                return self._best_text(book)
            case "tickers":
                return self._ticker_text(book)
            case "books5":
                bids, asks = (_levels(book.pair, book.view(s, LEVELS_5)) for s in (BUY, SELL))
                row = (
                    f'{{"asks":{asks},"bids":{bids},"instId":"{symbol}",'
                    f'"ts":"{self.now_ms()}","seqId":{book.update_id}}}'
                )
                return _frame("books5", symbol, row)
        return self._books_text("snapshot", book, -1, book.view(BUY), book.view(SELL))

    def on_touch(self, coin: str) -> None:
        """The top of the book."""
        book = self.books[coin]
        key = f"bbo-tbt:{book.pair.symbol}"
        if key in self.streams:
            self.send(key, "bbo-tbt", self._best_text(book))

    def on_print(self, coin: str, trade: Print) -> None:
        """One trade a message."""
        book = self.books[coin]
        pair = book.pair
        key = f"trades:{pair.symbol}"
        if key not in self.streams:
            return
        side = "buy" if trade.side == BUY else "sell"
        row = (
            f'{{"instId":"{pair.symbol}","tradeId":"{trade.number}",'
            f'"px":"{pair.price_text(trade.ticks)}","sz":"{pair.size_text(trade.lots)}",'
            f'"side":"{side}","ts":"{self.now_ms()}","count":"1","source":"0",'
            f'"seqId":{book.update_id}}}'
        )
        self.send(key, "trades", _frame("trades", pair.symbol, row))

    def on_second(self) -> None:
        """Tickers."""
        for book in self.books.values():
            key = f"tickers:{book.pair.symbol}"
            if key in self.streams:
                self.send(key, "tickers", self._ticker_text(book))

    def _best_text(self, book: ExchangeBook) -> str:
        bids, asks = (_levels(book.pair, [book.top(side)]) for side in (BUY, SELL))
        row = f'{{"asks":{asks},"bids":{bids},"ts":"{self.now_ms()}","seqId":{book.update_id}}}'
        return _frame("bbo-tbt", book.pair.symbol, row)

    def _books_text(
        self,
        action: str,
        book: ExchangeBook,
        previous: int,
        bids: list[tuple[int, int]],
        asks: list[tuple[int, int]],
    ) -> str:
        pair = book.pair
        row = (
            f'{{"asks":{_levels(pair, asks)},"bids":{_levels(pair, bids)},'
            f'"ts":"{self.now_ms()}","checksum":0,"prevSeqId":{previous},"seqId":{book.update_id}}}'
        )
        return _frame("books", pair.symbol, row, f'"action":"{action}",')

    def _ticker_text(self, book: ExchangeBook) -> str:
        pair = book.pair
        (bid, bid_lots), (ask, ask_lots) = book.touch()
        opened = self.opening_e8(self.coins[pair.symbol]) // pair.tick_e8
        last, lots = (book.last.ticks, book.last.lots) if book.last else (bid, 0)
        day = pair.trade_lots * 86_400
        ticker = {
            "instType": "SPOT",
            "instId": pair.symbol,
            "last": pair.price_text(last),
            "lastSz": pair.size_text(lots),
            "askPx": pair.price_text(ask),
            "askSz": pair.size_text(ask_lots),
            "bidPx": pair.price_text(bid),
            "bidSz": pair.size_text(bid_lots),
            "open24h": pair.price_text(opened),
            "high24h": pair.price_text(max(last, opened)),
            "low24h": pair.price_text(min(last, opened)),
            "sodUtc0": pair.price_text(opened),
            "sodUtc8": pair.price_text(opened),
            "volCcy24h": str(day * pair.lot_e8 * last * pair.tick_e8 // 10**16),
            "vol24h": pair.size_text(day),
            "ts": str(self.now_ms()),
        }
        return _frame("tickers", pair.symbol, orjson.dumps(ticker).decode())


def _levels(pair: Pair, levels: list[tuple[int, int]]) -> str:
    rows = [
        f'["{pair.price_text(ticks)}","{pair.size_text(lots) if lots else 0}",'
        f'"0","{min(lots, 1 + lots % 7)}"]'
        for ticks, lots in levels
    ]
    return f"[{','.join(rows)}]"


def _frame(channel: str, symbol: str, row: str, more: str = "") -> str:
    return f'{{"arg":{{"channel":"{channel}","instId":"{symbol}"}},{more}"data":[{row}]}}'


class OkxChannels(StreamDialect):
    """Requests by `op`, the bare text `ping`."""

    feed: OkxFeed

    def _answers(self, text: str) -> list[Answer]:
        if text == "ping":
            return [("pong", "pong")]
        order = loads(text)
        args = order.get("args") if isinstance(order, dict) else None
        if not isinstance(args, list) or order.get("op") not in ("subscribe", "unsubscribe"):
            return [self._error({}, BAD_REQUEST, f"Invalid request: {text[:200]}")]
        answers: list[Answer] = []
        if not all(isinstance(arg, dict) for arg in args):
            return [self._error(order, BAD_REQUEST, "Invalid request: args")]
        named = {(str(arg.get("channel")), str(arg.get("instId"))): arg for arg in args}
        for arg in list(named.values())[:NAMES_MAX]:
            answers += self._one(order, arg)
        return answers

    def _one(self, order: dict[str, Any], arg: dict[str, Any]) -> list[Answer]:
        channel, symbol = str(arg.get("channel")), str(arg.get("instId"))
        if channel not in CHANNELS or symbol not in self.feed.coins:
            words = f"Wrong URL or channel:{channel},instId:{symbol} doesn't exist."
            return [self._error(order, NO_SUCH, words)]
        key, ack = f"{channel}:{symbol}", {"event": order["op"], "arg": arg}
        answers = [(self._text(order, ack), "ack")]
        if order["op"] == "unsubscribe":
            self._unsubscribe([key])
            return answers
        self._subscribe([key])
        if channel != "trades":
            answers.append((self.feed.snapshot(channel, symbol), "dump"))
        return answers

    def _error(self, order: dict[str, Any], code: str, words: str) -> Answer:
        return self._text(order, {"event": "error", "code": code, "msg": words}), "error"

    def _text(self, order: dict[str, Any], body: dict[str, Any]) -> str:
        if "id" in order:
            body = {"id": order["id"], **body}
        return orjson.dumps({**body, "connId": f"{self.number:08x}"}).decode()
