"""Binance spot: book tickers, trades and depth, raw and combined (protocols 9.1)."""

from collections.abc import Iterable
from typing import Final
from urllib.parse import parse_qs, urlsplit

import orjson

from polytrade.core.ids import BUY, SELL
from polytrade.core.units import MS_NS, SECOND_NS
from polytrade.sandbox.connection import Selected
from polytrade.sandbox.dialects import Answer, Played, loads
from polytrade.sandbox.venue.exchanges.book import ExchangeBook, Print
from polytrade.sandbox.venue.exchanges.feed import ExchangeFeed, Pending, StreamDialect
from polytrade.sandbox.venue.exchanges.pairs import BINANCE, Pair

DEPTH_NS: Final = SECOND_NS
FAST_DEPTH_NS: Final = 100 * MS_NS
PARTIAL: Final = {"depth5": 5, "depth10": 10, "depth20": 20}
STREAMS_MAX: Final = 1024
"""Streams a connection may have."""


class BinanceFeed(ExchangeFeed):
    """A name that is no stream is acknowledged and stays silent, as on the exchange."""

    exchange = BINANCE

    def default_streams(self) -> Iterable[str]:
        """Book tickers and trades."""
        for symbol in self.coins:
            yield f"{symbol.lower()}@bookTicker"
            yield f"{symbol.lower()}@trade"

    def dialect(self, path: str) -> StreamDialect:
        """Raw at `/ws`, combined at `/stream`."""
        return BinanceStreams(self, path)

    def every_ns(self, key: str) -> tuple[str, int] | None:
        """Depth streams, whole or partial, at their pace."""
        symbol, _, stream = key.partition("@")
        kind, _, pace = stream.partition("@")
        coin = self.coins.get(symbol.upper())
        if coin is None or symbol != symbol.lower() or pace not in ("", "100ms", "1000ms"):
            return None
        if kind != "depth" and kind not in PARTIAL:
            return None
        return coin, FAST_DEPTH_NS if pace == "100ms" else DEPTH_NS

    def kind_of(self, key: str) -> str:
        """The stream's name without its pair and pace."""
        return key.split("@")[1]

    def pending_text(self, pending: Pending, book: ExchangeBook) -> str:
        """A difference with its chain of ids, or the best levels whole."""
        depth = PARTIAL.get(pending.key.split("@")[1])
        pair = book.pair
        if depth is not None:
            bids, asks = (_levels(pair, book.view(side, depth)) for side in (BUY, SELL))
            return f'{{"lastUpdateId":{book.update_id},"bids":{bids},"asks":{asks}}}'
        bids, asks = (_levels(pair, pending.levels(side)) for side in (BUY, SELL))
        return (
            f'{{"e":"depthUpdate","E":{self.now_ms()},"s":"{pair.symbol}",'
            f'"U":{pending.sent_id + 1},"u":{book.update_id},"b":{bids},"a":{asks}}}'
        )

    def on_touch(self, coin: str) -> None:
        """A book ticker."""
        book = self.books[coin]
        pair = book.pair
        key = f"{pair.symbol.lower()}@bookTicker"
        if key not in self.streams:
            return
        (bid, bid_lots), (ask, ask_lots) = book.touch()
        text = (
            f'{{"u":{book.update_id},"s":"{pair.symbol}",'
            f'"b":"{pair.price_text(bid)}","B":"{pair.size_text(bid_lots)}",'
            f'"a":"{pair.price_text(ask)}","A":"{pair.size_text(ask_lots)}"}}'
        )
        self.send(key, "bookTicker", text)

    def on_print(self, coin: str, trade: Print) -> None:
        """A trade, which is an aggregate of itself as well."""
        pair = self.books[coin].pair
        name, ms = pair.symbol.lower(), self.now_ms()
        maker_buys = "true" if trade.side == SELL else "false"
        head = f'"E":{ms},"s":"{pair.symbol}"'
        what = f'"p":"{pair.price_text(trade.ticks)}","q":"{pair.size_text(trade.lots)}"'
        tail = f'"T":{ms},"m":{maker_buys},"M":true}}'
        number = trade.number
        if f"{name}@trade" in self.streams:
            text = f'{{"e":"trade",{head},"t":{number},{what},{tail}'
            self.send(f"{name}@trade", "trade", text)
        if f"{name}@aggTrade" in self.streams:
            text = f'{{"e":"aggTrade",{head},"a":{number},{what},"f":{number},"l":{number},{tail}'
            self.send(f"{name}@aggTrade", "aggTrade", text)


def _levels(pair: Pair, levels: list[tuple[int, int]]) -> str:
    rows = [f'["{pair.price_text(ticks)}","{pair.size_text(lots)}"]' for ticks, lots in levels]
    return f"[{','.join(rows)}]"


class BinanceStreams(StreamDialect):
    """Streams named in the address or subscribed later."""

    def __init__(self, feed: ExchangeFeed, path: str) -> None:
        super().__init__(feed)
        split = urlsplit(path)
        self._combined = split.path.startswith("/stream")
        named = parse_qs(split.query).get("streams", [""])[0]
        if not self._combined:
            named = split.path.removeprefix("/ws").strip("/")
        streams = [name for name in named.split("/") if name]
        if streams:
            self._subscribe(streams[:STREAMS_MAX])

    def _answers(self, text: str) -> list[Answer]:
        order = loads(text)
        if not isinstance(order, dict):
            return [_error(3, "Invalid JSON: expected value at line 1 column 1")]
        names = order.get("params") or []
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            return [_error(2, "Invalid request: params must be strings")]
        result: list[str] | None = None
        match order.get("method"):
            case "SUBSCRIBE":
                self._subscribe(names[: STREAMS_MAX - len(self._keys)])
            case "UNSUBSCRIBE":
                self._unsubscribe(names)
            case "LIST_SUBSCRIPTIONS":
                result = list(self._keys)
            case _:
                return [_error(2, "Invalid request: unknown variant of method")]
        return [(orjson.dumps({"result": result, "id": order.get("id")}).decode(), "ack")]

    def select(self, played: Played) -> Selected | None:
        """Frames of subscribed streams, wrapped on a combined connection."""
        selected = super().select(played)
        if selected is None or not self._combined or not played.parts:
            return selected
        text = f'{{"stream":"{played.parts[0].keys[0]}","data":{selected.text!s}}}'
        return Selected(text, selected.types)


def _error(code: int, words: str) -> Answer:
    return orjson.dumps({"error": {"code": code, "msg": words}}).decode(), "error"
