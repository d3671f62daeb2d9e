"""Coinbase: the Exchange feed and Advanced Trade (protocols 9.3, 9.4).

Both live on one endpoint; which one a connection speaks shows in each request: `channels` or
`channel`.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final
from uuid import UUID

import orjson

from polytrade.core.ids import BUY, SELL
from polytrade.core.units import MS_NS
from polytrade.sandbox.dialects import Answer, distinct, loads
from polytrade.sandbox.venue.exchanges.book import ExchangeBook, Print
from polytrade.sandbox.venue.exchanges.feed import (
    DAY_S,
    ExchangeFeed,
    Pending,
    StreamDialect,
    Surroundings,
)
from polytrade.sandbox.venue.exchanges.pairs import COINBASE

LEVEL2_NS: Final = 50 * MS_NS
ADVANCED: Final = "advanced."
"""Before the streams of Advanced Trade: `advanced.ticker:BTC-USD`."""
HEARTBEATS: Final = "advanced.heartbeats"
UNNUMBERED: Final = '"sequence_num":0,'
"""In an envelope until each connection puts its own number there."""
BOOKS: Final = ("level2_batch", "advanced.level2")
FREE: Final = ("matches", "ticker", "heartbeat", "level2_batch")
LOCKED: Final = ("level2", "level3", "full", "user")
ADVANCED_FREE: Final = ("ticker", "market_trades", "heartbeats", "level2")
SIDES: Final = ("buy", "sell")


Levels = list[tuple[int, int]]


class CoinbaseFeed(ExchangeFeed):
    """`side` is the maker's, in both feeds. Tickers come with trades."""

    exchange = COINBASE

    def __init__(self, around: Surroundings) -> None:
        super().__init__(around)
        self._beats = 0

    def default_streams(self) -> Iterable[str]:
        """What the Exchange feed gives without a key, without books."""
        for symbol in self.coins:
            for channel in ("matches", "ticker", "heartbeat"):
                yield f"{channel}:{symbol}"

    def dialect(self, path: str) -> StreamDialect:
        """One connection, whatever its path."""
        return CoinbaseChannels(self)

    def every_ns(self, key: str) -> tuple[str, int] | None:
        """Books of either feed."""
        channel, _, symbol = key.partition(":")
        if channel not in BOOKS or symbol not in self.coins:
            return None
        return self.coins[symbol], LEVEL2_NS

    def kind_of(self, key: str) -> str:
        """What the frames call themselves, which is not what is subscribed."""
        return "l2_data" if key.startswith(ADVANCED) else "l2update"

    def pending_text(self, pending: Pending, book: ExchangeBook) -> str:
        """The levels changed since the last frame."""
        bids, asks = pending.levels(BUY), pending.levels(SELL)
        if pending.key.startswith(ADVANCED):
            return self._l2_text("update", book, bids, asks)
        pair = book.pair
        rows = [
            f'["{SIDES[side]}","{pair.price_text(ticks)}","{pair.size_text(lots)}"]'
            for side, levels in ((BUY, bids), (SELL, asks))
            for ticks, lots in levels
        ]
        return (
            f'{{"type":"l2update","product_id":"{pair.symbol}",'
            f'"changes":[{",".join(rows)}],"time":"{self.now_text()}"}}'
        )

    def snapshot(self, key: str) -> str | None:
        """The first frame of a stream; None where there is nothing to say yet."""
        channel, _, symbol = key.partition(":")
        book = self.books[self.coins[symbol]]
        match channel:
            case "ticker":
                return self._ticker_text(book)
            case "matches":
                return None if book.last is None else self._match_text("last_match", book)
            case "level2_batch":
                pair = book.pair
                sides = [
                    ",".join(
                        f'["{pair.price_text(ticks)}","{pair.size_text(lots)}"]'
                        for ticks, lots in book.view(side)
                    )
                    for side in (BUY, SELL)
                ]
                return (
                    f'{{"type":"snapshot","product_id":"{symbol}","bids":[{sides[BUY]}],'
                    f'"asks":[{sides[SELL]}],"time":"{self.now_text()}"}}'
                )
            case "advanced.ticker":
                return self._tickers_text("snapshot", book)
            case "advanced.market_trades":
                return None if book.last is None else self._trades_text("snapshot", book)
            case "advanced.level2":
                return self._l2_text("snapshot", book, book.view(BUY), book.view(SELL))
        return None

    def on_touch(self, coin: str) -> None:
        """Nothing: the touch shows with the next trade, or in a book."""

    def on_print(self, coin: str, trade: Print) -> None:
        """A match and a ticker, in both feeds."""
        book = self.books[coin]
        symbol = book.pair.symbol
        if (key := f"matches:{symbol}") in self.streams:
            self.send(key, "match", self._match_text("match", book))
        if (key := f"ticker:{symbol}") in self.streams:
            self.send(key, "ticker", self._ticker_text(book))
        if (key := f"advanced.market_trades:{symbol}") in self.streams:
            self.send(key, "market_trades", self._trades_text("update", book))
        if (key := f"advanced.ticker:{symbol}") in self.streams:
            self.send(key, "ticker", self._tickers_text("update", book))

    def on_second(self) -> None:
        """Heartbeats: of each product, and of Advanced Trade."""
        for symbol, coin in self.coins.items():
            if (key := f"heartbeat:{symbol}") in self.streams:
                book = self.books[coin]
                text = (
                    f'{{"type":"heartbeat","last_trade_id":{book.prints},"product_id":"{symbol}",'
                    f'"sequence":{book.update_id},"time":"{self.now_text()}"}}'
                )
                self.send(key, "heartbeat", text)
        if HEARTBEATS in self.streams:
            self._beats += 1
            at = self.now_text().replace("T", " ").removesuffix("Z")
            row = f'{{"current_time":"{at}000 +0000 UTC","heartbeat_counter":{self._beats}}}'
            self.send(HEARTBEATS, "heartbeats", self.envelope("heartbeats", row))

    def envelope(self, channel: str, event: str) -> str:
        """A frame of Advanced Trade, not yet numbered."""
        return (
            f'{{"channel":"{channel}","client_id":"","timestamp":"{self.now_text()}",'
            f'{UNNUMBERED}"events":[{event}]}}'
        )

    def _match_text(self, kind: str, book: ExchangeBook) -> str:
        assert book.last is not None
        pair, trade = book.pair, book.last
        maker, taker = (UUID(int=trade.number * 4 + which) for which in (1, 2))
        return (
            f'{{"type":"{kind}","trade_id":{trade.number},"maker_order_id":"{maker}",'
            f'"taker_order_id":"{taker}","side":"{SIDES[1 - trade.side]}",'
            f'"size":"{pair.size_text(trade.lots)}","price":"{pair.price_text(trade.ticks)}",'
            f'"product_id":"{pair.symbol}","sequence":{book.update_id},"time":"{self.now_text()}"}}'
        )

    def _ticker_text(self, book: ExchangeBook) -> str:
        pair, figures = book.pair, self._figures(book)
        (bid, bid_lots), (ask, ask_lots) = book.touch()
        last = book.last
        side, lots = (SIDES[last.side], last.lots) if last else ("buy", 0)
        ticker = {
            "type": "ticker",
            "sequence": book.update_id,
            "product_id": pair.symbol,
            "price": figures["price"],
            "open_24h": figures["open"],
            "volume_24h": figures["volume"],
            "low_24h": figures["low"],
            "high_24h": figures["high"],
            "volume_30d": pair.size_text(pair.trade_lots * DAY_S * 30),
            "best_bid": pair.price_text(bid),
            "best_bid_size": pair.size_text(bid_lots),
            "best_ask": pair.price_text(ask),
            "best_ask_size": pair.size_text(ask_lots),
            "side": side,
            "time": self.now_text(),
            "trade_id": book.prints,
            "last_size": pair.size_text(lots),
        }
        return orjson.dumps(ticker).decode()

    def _tickers_text(self, kind: str, book: ExchangeBook) -> str:
        pair, figures = book.pair, self._figures(book)
        (bid, bid_lots), (ask, ask_lots) = book.touch()
        ticker = {
            "type": "ticker",
            "product_id": pair.symbol,
            "price": figures["price"],
            "volume_24_h": figures["volume"],
            "low_24_h": figures["low"],
            "high_24_h": figures["high"],
            "low_52_w": figures["low"],
            "high_52_w": figures["high"],
            "price_percent_chg_24_h": figures["percent"],
            "best_bid": pair.price_text(bid),
            "best_bid_quantity": pair.size_text(bid_lots),
            "best_ask": pair.price_text(ask),
            "best_ask_quantity": pair.size_text(ask_lots),
        }
        event = orjson.dumps({"type": kind, "tickers": [ticker]}).decode()
        return self.envelope("ticker", event)

    def _trades_text(self, kind: str, book: ExchangeBook) -> str:
        assert book.last is not None
        pair, trade = book.pair, book.last
        row = (
            f'{{"trade_id":"{trade.number}","product_id":"{pair.symbol}",'
            f'"price":"{pair.price_text(trade.ticks)}","size":"{pair.size_text(trade.lots)}",'
            f'"side":"{SIDES[1 - trade.side].upper()}","time":"{self.now_text()}"}}'
        )
        return self.envelope("market_trades", f'{{"type":"{kind}","trades":[{row}]}}')

    def _l2_text(self, kind: str, book: ExchangeBook, bids: Levels, asks: Levels) -> str:
        pair, at = book.pair, self.now_text()
        rows = [
            f'{{"side":"{side}","event_time":"{at}","price_level":"{pair.price_text(ticks)}",'
            f'"new_quantity":"{pair.size_text(lots) if lots else 0}"}}'
            for side, levels in (("bid", bids), ("offer", asks))
            for ticks, lots in levels
        ]
        updates = ",".join(rows)
        event = f'{{"type":"{kind}","product_id":"{pair.symbol}","updates":[{updates}]}}'
        return self.envelope("l2_data", event)

    def _figures(self, book: ExchangeBook) -> dict[str, str]:
        """The last price and the last day."""
        pair = book.pair
        last = book.last.ticks if book.last else book.top(BUY)[0]
        opened = self.opening_e8(self.coins[pair.symbol]) // pair.tick_e8
        return {
            "price": pair.price_text(last),
            "open": pair.price_text(opened),
            "low": pair.price_text(min(last, opened)),
            "high": pair.price_text(max(last, opened)),
            "volume": pair.size_text(pair.trade_lots * DAY_S),
            "percent": f"{(last - opened) / opened * 100:.8f}",
        }


class CoinbaseChannels(StreamDialect):
    """Requests by `type`; `channels` speaks to the Exchange feed, `channel` to Advanced Trade."""

    feed: CoinbaseFeed

    def __init__(self, feed: CoinbaseFeed) -> None:
        super().__init__(feed)
        self._sequence = 0

    def _answers(self, text: str) -> list[Answer]:
        order = loads(text)
        if not isinstance(order, dict) or order.get("type") not in ("subscribe", "unsubscribe"):
            return [_error("Malformed JSON", "expected type subscribe or unsubscribe")]
        products = order.get("product_ids") or []
        if not isinstance(products, list):
            return [_error("Failed to subscribe", "product_ids must be a list")]
        if isinstance(order.get("channel"), str):
            return self._advanced(order, distinct(map(str, products)))
        named = order.get("channels") or []
        channels: dict[str, list[str]] = {}
        for item in named if isinstance(named, list) else []:
            own = item.get("product_ids") if isinstance(item, dict) else None
            name = str(item.get("name")) if isinstance(item, dict) else str(item)
            chosen = own if isinstance(own, list) else products
            channels[name] = distinct([*channels.get(name, ()), *map(str, chosen)])
        return self._exchange(str(order["type"]), channels)

    def _exchange(self, verb: str, channels: Mapping[str, list[str]]) -> list[Answer]:
        keys = [f"{name}:{product}" for name, found in channels.items() for product in found]
        if verb == "unsubscribe":
            self._unsubscribe(keys)
            return [self._listing()]
        for name, products in channels.items():
            if name in LOCKED:
                return [_error("Failed to subscribe", f"{name} requires authentication")]
            if name not in FREE:
                return [_error("Failed to subscribe", f"{name} is not a valid channel")]
            for product in products:
                if product not in self.feed.coins:
                    return [_error("Failed to subscribe", f"{product} is not a valid product")]
        self._subscribe(keys)
        dumps = [(dump, "dump") for key in keys if (dump := self.feed.snapshot(key)) is not None]
        return [self._listing(), *dumps]

    def _listing(self) -> Answer:
        """What is subscribed of the Exchange feed."""
        channels = [
            {"name": name, "product_ids": products, "account_ids": None}
            for name, products in self._by_channel().items()
            if not name.startswith(ADVANCED)
        ]
        return orjson.dumps({"type": "subscriptions", "channels": channels}).decode(), "ack"

    def _advanced(self, order: dict[str, Any], products: list[str]) -> list[Answer]:
        channel = str(order["channel"])
        if channel not in ADVANCED_FREE:
            return [_error("failed to subscribe", f"channel {channel} is not public")]
        if channel == "heartbeats":
            keys = [HEARTBEATS]
        else:
            keys = [f"{ADVANCED}{channel}:{p}" for p in products if p in self.feed.coins]
        if order["type"] == "unsubscribe":
            self._unsubscribe(keys)
            return [self._subscriptions()]
        self._subscribe(keys)
        dumps = [self.feed.snapshot(key) for key in keys if key != HEARTBEATS]
        answers = [(str(self._numbered(dump)), "dump") for dump in dumps if dump is not None]
        return [*answers, self._subscriptions()]

    def _subscriptions(self) -> Answer:
        """What is subscribed of Advanced Trade, as a numbered frame."""
        named = {
            name.removeprefix(ADVANCED): products
            for name, products in self._by_channel().items()
            if name.startswith(ADVANCED)
        }
        event = orjson.dumps({"subscriptions": named}).decode()
        return str(self._numbered(self.feed.envelope("subscriptions", event))), "ack"

    def _by_channel(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for key in self._keys:
            name, _, product = key.partition(":")
            found.setdefault(name, []).extend([product] if product else [])
        return found

    def _numbered(self, text: str | bytes) -> str | bytes:
        """An envelope gets this connection's next number."""
        if not isinstance(text, str) or UNNUMBERED not in text:
            return text
        number, self._sequence = self._sequence, self._sequence + 1
        return text.replace(UNNUMBERED, f'"sequence_num":{number},', 1)


def _error(message: str, reason: str) -> Answer:
    body = {"type": "error", "message": message, "reason": reason}
    return orjson.dumps(body).decode(), "error"
