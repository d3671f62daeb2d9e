"""Bybit v5 spot: order books of four depths, trades, tickers (protocols 9.5)."""

from collections.abc import Iterable
from typing import Any, Final

import orjson

from polytrade.core.ids import BUY, SELL
from polytrade.core.units import MS_NS, ONE_E8
from polytrade.sandbox.dialects import Answer, distinct, loads
from polytrade.sandbox.venue.exchanges.book import ExchangeBook, Print
from polytrade.sandbox.venue.exchanges.feed import (
    ExchangeFeed,
    Pending,
    StreamDialect,
    Surroundings,
)
from polytrade.sandbox.venue.exchanges.pairs import BYBIT, Pair

PACES: Final = {"50": 20 * MS_NS, "200": 100 * MS_NS, "1000": 200 * MS_NS}
"""How often the topics of a depth are sent; depth 1 is sent on every change."""
REPEAT_S: Final = 3
"""Depth 1 is repeated after this long a silence."""
ARGS_MAX: Final = 10


class BybitFeed(ExchangeFeed):
    """Update ids grow by one a message and topic; depth 1 comes whole, the others as changes."""

    exchange = BYBIT

    def __init__(self, around: Surroundings) -> None:
        super().__init__(around)
        self._ids: dict[str, int] = {}
        self._sent: dict[str, int] = {}

    def default_streams(self) -> Iterable[str]:
        """Tops of book and trades."""
        for symbol in self.coins:
            yield f"orderbook.1.{symbol}"
            yield f"publicTrade.{symbol}"

    def dialect(self, path: str) -> StreamDialect:
        """One connection, whatever its path."""
        return BybitTopics(self)

    def every_ns(self, key: str) -> tuple[str, int] | None:
        """Order books deeper than one level."""
        channel, _, rest = key.partition(".")
        depth, _, symbol = rest.partition(".")
        if channel != "orderbook" or depth not in PACES or symbol not in self.coins:
            return None
        return self.coins[symbol], PACES[depth]

    def pending_text(self, pending: Pending, book: ExchangeBook) -> str:
        """A delta."""
        self._ids[pending.key] = self._ids.get(pending.key, book.update_id) + 1
        levels = (pending.levels(BUY), pending.levels(SELL))
        return self._book_text(pending.key, "delta", book, *levels)

    def topic_snapshot(self, topic: str) -> str:
        """The first message of a topic."""
        channel, _, rest = topic.partition(".")
        symbol = rest.rpartition(".")[2]
        book = self.books[self.coins[symbol]]
        if channel == "tickers":
            return self._ticker_text(book)
        depth = int(rest.partition(".")[0])
        self._ids.setdefault(topic, book.update_id)
        return self._book_text(
            topic, "snapshot", book, book.view(BUY, depth), book.view(SELL, depth)
        )

    def on_touch(self, coin: str) -> None:
        """Depth 1, whole."""
        book = self.books[coin]
        topic = f"orderbook.1.{book.pair.symbol}"
        if topic in self.streams:
            self._ids[topic] = self._ids.get(topic, book.update_id) + 1
            self._send_top(topic, book)

    def on_print(self, coin: str, trade: Print) -> None:
        """One trade a message."""
        pair = self.books[coin].pair
        topic = f"publicTrade.{pair.symbol}"
        if topic not in self.streams:
            return
        ms, side = self.now_ms(), "Buy" if trade.side == BUY else "Sell"
        text = (
            f'{{"topic":"{topic}","type":"snapshot","ts":{ms},"data":[{{"i":"{trade.number}",'
            f'"T":{ms},"p":"{pair.price_text(trade.ticks)}","v":"{pair.size_text(trade.lots)}",'
            f'"S":"{side}","s":"{pair.symbol}","BT":false,"RPI":false}}]}}'
        )
        self.send(topic, "publicTrade", text)

    def on_second(self) -> None:
        """Tickers, and depth 1 again where nothing happened."""
        for book in self.books.values():
            topic = f"tickers.{book.pair.symbol}"
            if topic in self.streams:
                self.send(topic, "tickers", self._ticker_text(book))
            topic = f"orderbook.1.{book.pair.symbol}"
            if topic in self.streams and self.now_ms() - self._sent.get(topic, 0) > REPEAT_S * 1000:
                self._send_top(topic, book)

    def _send_top(self, topic: str, book: ExchangeBook) -> None:
        self._sent[topic] = self.now_ms()
        self.send(topic, "orderbook", self.topic_snapshot(topic))

    def _book_text(
        self,
        topic: str,
        kind: str,
        book: ExchangeBook,
        bids: list[tuple[int, int]],
        asks: list[tuple[int, int]],
    ) -> str:
        pair, ms = book.pair, self.now_ms()
        return (
            f'{{"topic":"{topic}","ts":{ms},"type":"{kind}","data":{{"s":"{pair.symbol}",'
            f'"b":{_levels(pair, bids)},"a":{_levels(pair, asks)},"u":{self._ids[topic]},'
            f'"seq":{book.update_id}}},"cts":{ms}}}'
        )

    def _ticker_text(self, book: ExchangeBook) -> str:
        pair = book.pair
        last, opened = book.mid_e8(), self.opening_e8(self.coins[pair.symbol])
        texts = [
            pair.price_text(price_e8 // pair.tick_e8)
            for price_e8 in (last, max(last, opened), min(last, opened), opened)
        ]
        change_e4 = (last - opened) * 10_000 // opened
        data = {
            "symbol": pair.symbol,
            "lastPrice": texts[0],
            "highPrice24h": texts[1],
            "lowPrice24h": texts[2],
            "prevPrice24h": texts[3],
            "volume24h": pair.size_text(pair.trade_lots * 86_400),
            "turnover24h": f"{pair.trade_lots * 86_400 * pair.lot_e8 * last // ONE_E8**2}",
            "price24hPcnt": f"{change_e4 / 10_000:.4f}",
            "usdIndexPrice": texts[0],
        }
        message = {
            "topic": f"tickers.{pair.symbol}",
            "ts": self.now_ms(),
            "type": "snapshot",
            "cs": book.update_id,
            "data": data,
        }
        return orjson.dumps(message).decode()


def _levels(pair: Pair, levels: list[tuple[int, int]]) -> str:
    rows = [
        f'["{pair.price_text(ticks)}","{pair.size_text(lots) if lots else 0}"]'
        for ticks, lots in levels
    ]
    return f"[{','.join(rows)}]"


class BybitTopics(StreamDialect):
    """Topics by `op`."""

    feed: BybitFeed

    def _answers(self, text: str) -> list[Answer]:
        order = loads(text)
        if not isinstance(order, dict):
            return [(self._answer({}, False, "error:request is not JSON"), "error")]
        op, args = order.get("op"), order.get("args", [])
        if op == "ping":
            return [(self._answer(order, True, "pong"), "pong")]
        if op not in ("subscribe", "unsubscribe") or not isinstance(args, list):
            return [(self._answer(order, False, f"error:invalid op,{op}"), "error")]
        if len(args) > ARGS_MAX:
            return [(self._answer(order, False, f"args size >{ARGS_MAX}"), "error")]
        topics = distinct(map(str, args))
        if op == "unsubscribe":
            self._unsubscribe(topics)
            return [(self._answer(order, True, ""), "ack")]
        bad = [topic for topic in topics if not self._known(topic)]
        if bad:
            words = f"error:handler not found,topic:{bad[0]}"
            return [(self._answer(order, False, words), "error")]
        self._subscribe(topics)
        snapshots = [topic for topic in topics if not topic.startswith("publicTrade")]
        answers = [(self._answer(order, True, ""), "ack")]
        return answers + [(self.feed.topic_snapshot(topic), "dump") for topic in snapshots]

    def _known(self, topic: str) -> bool:
        channel, _, rest = topic.partition(".")
        if channel == "orderbook":
            depth, _, rest = rest.partition(".")
            if depth != "1" and depth not in PACES:
                return False
        elif channel not in ("publicTrade", "tickers"):
            return False
        return rest in self.feed.coins

    def _answer(self, order: dict[str, Any], success: bool, words: str) -> str:
        answer = {"success": success, "ret_msg": words, "conn_id": f"local-{self.number}"}
        if "req_id" in order:
            answer["req_id"] = order["req_id"]
        return orjson.dumps(answer | {"op": order.get("op", "")}).decode()
