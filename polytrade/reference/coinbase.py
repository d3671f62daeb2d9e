"""Coinbase in USD: the Exchange feed (matches, ticker, heartbeat; no key), protocols 9.4.

Frames of the Advanced Trade socket (protocols 9.3), which wraps everything in numbered envelopes,
are decoded as well, so that recordings of either replay. `hello` speaks to the Exchange feed.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import orjson

from polytrade.core.events import Event
from polytrade.reference.codec import SEQUENCE_GAP, TRADE_ID_GAP, TradeIds, VenueCodec
from polytrade.reference.fields import (
    list_of,
    object_of,
    price_e8_of,
    rfc3339_ns_of,
    text_of,
    whole_of,
)


class CoinbaseCodec(VenueCodec):
    """Ticks from `ticker` (the mid) and `match`; `last_match` only starts the ids.

    FeedGap `trade_id_gap`: match ids of a product are not consecutive, or a heartbeat named a trade
    that had not arrived by the next heartbeat, a second later (a heartbeat may overtake its match).
    FeedGap `sequence_gap`: envelopes of Advanced Trade are not consecutive.
    """

    name = "coinbase"
    default_url = "wss://ws-feed.exchange.coinbase.com"
    pairs: ClassVar[Mapping[str, str]] = {
        "btc": "BTC-USD",
        "eth": "ETH-USD",
        "sol": "SOL-USD",
        "xrp": "XRP-USD",
        "doge": "DOGE-USD",
        "bnb": "BNB-USD",
        "hype": "HYPE-USD",
        "zec": "ZEC-USD",
    }

    def __init__(self, coins: Sequence[str]) -> None:
        super().__init__(coins)
        self._trade_ids = TradeIds()
        self._owed: dict[str, int] = {}  # product -> a trade id a heartbeat named before we saw it
        self._sequence: int | None = None

    def hello(self) -> list[str]:
        """One subscription a product (due within 5 s), so that a refused one loses only itself."""
        channels = ["matches", "ticker", "heartbeat"]
        return [
            orjson.dumps(
                {"type": "subscribe", "product_ids": [pair], "channels": channels}
            ).decode()
            for pair in self.symbols
        ]

    def reset(self) -> None:
        """A new connection: trade ids and envelope numbers start over."""
        super().reset()
        self._trade_ids = TradeIds()
        self._owed.clear()
        self._sequence = None

    def _events(self, message: Any, ts_ns: int, source: str) -> list[Event]:
        message = object_of(message, "frame")
        kind = message.get("type")
        if kind == "error":
            words = (message.get("message"), message.get("reason"))
            raise self._refused(": ".join(part for part in words if isinstance(part, str)))
        if "channel" in message:
            return self._on_envelope(message, ts_ns, source)
        if kind == "ticker":
            return self._on_ticker(message, ts_ns, message.get("time"))
        if kind in ("match", "last_match"):
            return self._on_match(message, ts_ns, source)
        if kind == "heartbeat":
            return self._on_heartbeat(message, ts_ns, source)
        if kind == "subscriptions":
            return self._skip("ack")
        return self._skip_unknown(kind)

    def _on_ticker(self, message: dict[str, Any], ts_ns: int, time: object) -> list[Event]:
        symbol = self.symbols.get(text_of(message.get("product_id"), "product_id"))
        if symbol is None:
            return self._skip("foreign_pair")
        bid_e8 = price_e8_of(message.get("best_bid"), "best_bid")
        ask_e8 = price_e8_of(message.get("best_ask"), "best_ask")
        return self._quote(ts_ns, symbol, bid_e8, ask_e8, rfc3339_ns_of(time, "time"))

    def _on_match(self, message: dict[str, Any], ts_ns: int, source: str) -> list[Event]:
        product = text_of(message.get("product_id"), "product_id")
        symbol = self.symbols.get(product)
        if symbol is None:
            return self._skip("foreign_pair")
        trade_id = whole_of(message.get("trade_id"), "trade_id")
        price_e8 = price_e8_of(message.get("price"), "price")
        venue_ts_ns = rfc3339_ns_of(message.get("time"), "time")
        if message["type"] == "last_match":
            self._trade_ids.start(product, trade_id)
            return self._skip("last_match")
        if self._trade_ids.repeated(product, trade_id):
            return self._skip("repeated")
        events: list[Event] = []
        if self._trade_ids.broken_by(product, trade_id):
            events.append(self._gap(ts_ns, source, TRADE_ID_GAP))
        events.append(self._trade(ts_ns, symbol, price_e8, venue_ts_ns))
        return events

    def _on_heartbeat(self, message: dict[str, Any], ts_ns: int, source: str) -> list[Event]:
        product = text_of(message.get("product_id"), "product_id")
        named = whole_of(message.get("last_trade_id"), "last_trade_id")
        if product not in self.symbols:
            return self._skip("foreign_pair")
        self.counts["heartbeat"] += 1
        owed = self._owed.pop(product, 0)
        last = self._trade_ids.last(product)
        if last is None:
            return []
        events: list[Event] = []
        if owed > last:
            events.append(self._gap(ts_ns, source, TRADE_ID_GAP))
            self._trade_ids.start(product, owed)
            last = owed
        if named > last:  # the venue has been seen to name 0, which owes nothing
            self._owed[product] = named
        return events

    def _on_envelope(self, message: dict[str, Any], ts_ns: int, source: str) -> list[Event]:
        """One Advanced Trade frame; its number counts as seen even if its content is malformed."""
        sequence = whole_of(message.get("sequence_num"), "sequence_num")
        expected = sequence if self._sequence is None else self._sequence + 1
        self._sequence = sequence
        channel = message["channel"]
        content: list[Event] = []
        if channel == "ticker":
            content = self._on_tickers(message, ts_ns)
        elif channel == "market_trades":
            content = self._on_market_trades(message, ts_ns)
        elif channel in ("heartbeats", "subscriptions"):
            self._skip("heartbeat" if channel == "heartbeats" else "ack")
        else:
            self._skip_unknown(channel)
        if sequence != expected:
            return [self._gap(ts_ns, source, SEQUENCE_GAP), *content]
        return content

    def _on_tickers(self, message: dict[str, Any], ts_ns: int) -> list[Event]:
        events: list[Event] = []
        for event in list_of(message.get("events"), "events"):
            for ticker in list_of(object_of(event, "events").get("tickers"), "tickers"):
                found = object_of(ticker, "tickers")
                events += self._on_ticker(found, ts_ns, message.get("timestamp"))
        return events

    def _on_market_trades(self, message: dict[str, Any], ts_ns: int) -> list[Event]:
        """Trades in the order of their ids; a snapshot is history and gives no ticks."""
        trades: list[tuple[int, str, int, int]] = []
        for event in list_of(message.get("events"), "events"):
            found = object_of(event, "events")
            rows = list_of(found.get("trades"), "trades")
            if found.get("type") == "snapshot":
                self.counts["snapshot"] += 1
                continue
            for row in rows:
                trade = object_of(row, "trades")
                symbol = self.symbols.get(text_of(trade.get("product_id"), "product_id"))
                if symbol is None:
                    self.counts["foreign_pair"] += 1
                    continue
                trade_id = whole_of(trade.get("trade_id"), "trade_id")
                price_e8 = price_e8_of(trade.get("price"), "price")
                venue_ts_ns = rfc3339_ns_of(trade.get("time"), "time")
                trades.append((trade_id, symbol, price_e8, venue_ts_ns))
        trades.sort()
        return [self._trade(ts_ns, symbol, price, ts) for _, symbol, price, ts in trades]
