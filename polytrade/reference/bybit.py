"""Bybit v5 spot: top of book (`orderbook.1`) and trades of USDT pairs (protocols 9.5)."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

import orjson

from polytrade.core.events import Event
from polytrade.reference.codec import SEQUENCE_GAP, VenueCodec
from polytrade.reference.fields import (
    list_of,
    millis_ns_of,
    object_of,
    price_e8_of,
    shown,
    text_of,
    whole_of,
)
from polytrade.reference.levels import LevelBook, pair_levels

PING_INTERVAL_S: Final = 20.0
"""What the venue recommends."""
DEPTHS: Final[Mapping[str, int]] = {"1": 1, "50": 50, "200": 200, "1000": 1000}
"""The depths the order book topic exists in; `hello` subscribes depth 1."""
RESTARTED: Final = 1
"""The update id of the snapshot after a restart of the venue's service."""


class BybitCodec(VenueCodec):
    """Ticks from `orderbook` (the mid) and `publicTrade`, without block trades.

    A snapshot, or any message with update id 1, replaces the book, so an id that jumped ahead lost
    nothing; the same id again is the venue's repetition after 3 s of silence. FeedGap
    `sequence_gap`: a snapshot's id went back without a restart, or a delta's is not the last plus
    one; after that deltas are skipped until a snapshot. Depth 1 sends snapshots by itself; of
    greater depths only a new subscription brings one, and `reconnect_wanted` is set.
    """

    name = "bybit"
    default_url = "wss://stream.bybit.com/v5/public/spot"
    ping_interval_s = PING_INTERVAL_S
    pairs: ClassVar[Mapping[str, str]] = {
        "btc": "BTCUSDT",
        "eth": "ETHUSDT",
        "sol": "SOLUSDT",
        "xrp": "XRPUSDT",
        "doge": "DOGEUSDT",
        "bnb": "BNBUSDT",
        "hype": "HYPEUSDT",
    }

    def __init__(self, coins: Sequence[str]) -> None:
        super().__init__(coins)
        self._books: dict[str, LevelBook] = {}  # by topic: each depth has its own numbering
        self._update_ids: dict[str, int] = {}

    def hello(self) -> list[str]:
        """One request a pair, so that a refused one loses only itself; a request takes 10 args."""
        return [
            orjson.dumps(
                {
                    "req_id": pair,
                    "op": "subscribe",
                    "args": [f"orderbook.1.{pair}", f"publicTrade.{pair}"],
                }
            ).decode()
            for pair in self.symbols
        ]

    def ping(self) -> str | None:
        """The `ping` operation."""
        return '{"req_id":"ping","op":"ping"}'

    def reset(self) -> None:
        """A new connection: update ids and books start over."""
        super().reset()
        self._books.clear()
        self._update_ids.clear()

    def _events(self, message: Any, ts_ns: int, source: str) -> list[Event]:
        message = object_of(message, "frame")
        if "topic" in message:
            topic = text_of(message["topic"], "topic")
            channel, _, rest = topic.partition(".")
            if channel == "publicTrade":
                return self._on_trades(message, ts_ns)
            depth, _, pair = rest.partition(".")
            if channel == "orderbook" and depth in DEPTHS:
                return self._on_book(message, ts_ns, source, pair)
            return self._skip_unknown(channel)
        if message.get("success") is False:
            raise self._refused(message.get("ret_msg"))
        if "success" in message or "op" in message:
            return self._skip("pong" if message.get("ret_msg") == "pong" else "ack")
        return self._skip_unknown("untyped")

    def _on_trades(self, message: dict[str, Any], ts_ns: int) -> list[Event]:
        trades = []
        for row in list_of(message.get("data"), "data"):
            trade = object_of(row, "data")
            symbol = self.symbols.get(text_of(trade.get("s"), "s"))
            if symbol is None:
                self.counts["foreign_pair"] += 1
            elif trade.get("BT") is True:  # agreed off the book, at a price of its own
                self.counts["block_trade"] += 1
            else:
                price_e8 = price_e8_of(trade.get("p"), "p")
                trades.append((symbol, price_e8, millis_ns_of(trade.get("T"), "T")))
        return [self._trade(ts_ns, symbol, price_e8, ts) for symbol, price_e8, ts in trades]

    def _on_book(self, message: dict[str, Any], ts_ns: int, source: str, pair: str) -> list[Event]:
        symbol = self.symbols.get(pair)
        if symbol is None:
            return self._skip("foreign_pair")
        topic = message["topic"]
        kind = text_of(message.get("type"), "type")
        if kind not in ("snapshot", "delta"):
            raise ValueError(f"expected snapshot or delta, found {shown(kind)} @ type")
        data = object_of(message.get("data"), "data")
        bids = pair_levels(data.get("b"), "b")
        asks = pair_levels(data.get("a"), "a")
        update_id = whole_of(data.get("u"), "u")
        engine_time = "cts" if "cts" in message else "ts"
        venue_ts_ns = millis_ns_of(message.get(engine_time), engine_time)
        last = self._update_ids.get(topic)
        book = self._books.get(topic)
        events: list[Event] = []
        if kind == "snapshot" or update_id == RESTARTED:
            if last is not None and update_id < last and update_id != RESTARTED:
                events.append(self._gap(ts_ns, source, SEQUENCE_GAP))
            book = self._books[topic] = LevelBook(DEPTHS[topic.split(".")[1]])
        elif book is None:
            return self._skip("unsynced")
        elif last is not None and update_id != last + 1:
            del self._books[topic]
            self.reconnect_wanted = self.reconnect_wanted or book.depth > 1
            return [self._gap(ts_ns, source, SEQUENCE_GAP)]
        self._update_ids[topic] = update_id
        book.apply(bids, asks)
        events += self._quote(ts_ns, symbol, book.best_bid_e8(), book.best_ask_e8(), venue_ts_ns)
        return events
