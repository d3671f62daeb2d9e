"""Binance spot: best bid and ask and trades of USDT pairs (protocols 9.1).

Both address forms are understood: combined (`/stream`, wrapped in `stream` and `data`) and raw
(`/ws`). Spot book tickers carry no time, so their ticks have `venue_ts_ns` 0.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

import orjson

from polytrade.core.events import Event
from polytrade.reference.codec import SEQUENCE_GAP, TRADE_ID_GAP, TradeIds, VenueCodec
from polytrade.reference.fields import millis_ns_of, object_of, price_e8_of, text_of, whole_of

MAX_AGE_S: Final = 23.5 * 3600
"""The venue cuts connections at 24 h; half an hour of margin replaces them calmly."""


class BinanceCodec(VenueCodec):
    """Ticks from `bookTicker` (the mid) and `trade`.

    FeedGap `trade_id_gap`: trade ids of a pair are not consecutive. FeedGap `sequence_gap`: a book
    ticker is older than the one before. FeedGap `server_shutdown`: the venue goes down for service;
    `reconnect_wanted` is set.
    """

    name = "binance"
    default_url = "wss://data-stream.binance.vision/stream"
    max_age_s = MAX_AGE_S
    pairs: ClassVar[Mapping[str, str]] = {
        "btc": "BTCUSDT",
        "eth": "ETHUSDT",
        "sol": "SOLUSDT",
        "xrp": "XRPUSDT",
        "doge": "DOGEUSDT",
        "bnb": "BNBUSDT",
        "zec": "ZECUSDT",
    }

    def __init__(self, coins: Sequence[str]) -> None:
        super().__init__(coins)
        self._trade_ids = TradeIds()
        self._update_ids: dict[str, int] = {}

    def hello(self) -> list[str]:
        """One SUBSCRIBE for everything: the venue takes 5 messages a second, pongs included."""
        if not self.symbols:
            return []
        streams = [
            f"{pair.lower()}@{stream}"
            for pair in self.symbols
            for stream in ("bookTicker", "trade")
        ]
        return [orjson.dumps({"method": "SUBSCRIBE", "params": streams, "id": 1}).decode()]

    def reset(self) -> None:
        """A new connection: trade and update ids start over."""
        super().reset()
        self._trade_ids = TradeIds()
        self._update_ids.clear()

    def _events(self, message: Any, ts_ns: int, source: str) -> list[Event]:
        message = object_of(message, "frame")
        stream = ""
        if "stream" in message and "data" in message:
            stream = text_of(message["stream"], "stream")
            message = object_of(message["data"], "data")
        kind = message.get("e")
        if kind == "trade":
            return self._on_trade(message, ts_ns, source)
        if kind == "bookTicker" or (
            kind is None and ("u" in message or stream.endswith("@bookTicker"))
        ):
            return self._on_book_ticker(message, ts_ns, source)
        if kind == "serverShutdown" or stream == "!serverShutdown":
            return self._shutdown(ts_ns, source)
        if kind is not None:
            return self._skip_unknown(kind)
        if "error" in message or "code" in message:
            raise self._refused(_error_text(message))
        if "result" in message:
            return self._skip("ack")
        return self._skip_unknown(stream.partition("@")[2] or "untyped")

    def _on_trade(self, message: dict[str, Any], ts_ns: int, source: str) -> list[Event]:
        pair = text_of(message.get("s"), "s")
        symbol = self.symbols.get(pair)
        if symbol is None:
            return self._skip("foreign_pair")
        trade_id = whole_of(message.get("t"), "t")
        price_e8 = price_e8_of(message.get("p"), "p")
        venue_ts_ns = millis_ns_of(message.get("T"), "T")
        if self._trade_ids.repeated(pair, trade_id):
            return self._skip("repeated")
        events: list[Event] = []
        if self._trade_ids.broken_by(pair, trade_id):
            events.append(self._gap(ts_ns, source, TRADE_ID_GAP))
        events.append(self._trade(ts_ns, symbol, price_e8, venue_ts_ns))
        return events

    def _on_book_ticker(self, message: dict[str, Any], ts_ns: int, source: str) -> list[Event]:
        pair = text_of(message.get("s"), "s")
        symbol = self.symbols.get(pair)
        if symbol is None:
            return self._skip("foreign_pair")
        update_id = whole_of(message.get("u"), "u")
        bid_e8 = price_e8_of(message.get("b"), "b")
        ask_e8 = price_e8_of(message.get("a"), "a")
        venue_ts_ns = millis_ns_of(message["T"], "T") if "T" in message else 0
        older = update_id < self._update_ids.get(pair, 0)
        self._update_ids[pair] = update_id
        events: list[Event] = [self._gap(ts_ns, source, SEQUENCE_GAP)] if older else []
        events += self._quote(ts_ns, symbol, bid_e8, ask_e8, venue_ts_ns)
        return events


def _error_text(message: dict[str, Any]) -> str:
    """The venue's words: `{"error": {"code", "msg"}}` or, in the older form, `{"code", "msg"}`."""
    error = message.get("error", message)
    if not isinstance(error, dict):
        return str(error) if isinstance(error, str) else "an error without a text"
    code, words = error.get("code"), error.get("msg")
    return " ".join(str(part) for part in (code, words) if isinstance(part, (int, str)))
