"""OKX v5: best bid and ask (`bbo-tbt`) and trades of USDT pairs (protocols 9.6).

The `books` channel is decoded too, with its chain of sequence ids, for recordings that have it;
`hello` does not subscribe it. Its `checksum` is always 0 on the wire now and is not looked at.
"""

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
"""The venue drops a connection after 30 s without data in either direction."""
BOOK_DEPTH: Final = 400
"""Levels a side of the `books` channel."""
NOTICE_SHUTDOWN: Final = "64008"
"""The notice code of a service upgrade, sent 30 to 60 s before the connection is closed."""


class OkxCodec(VenueCodec):
    """Ticks from `bbo-tbt` (the mid) and `trades`.

    FeedGap `sequence_gap`: `seqId` of bbo-tbt went back, or `prevSeqId` of books is not the last
    `seqId`; a broken book gives no ticks until its next snapshot, and as only a new subscription
    brings one, `reconnect_wanted` is set. FeedGap `server_shutdown`: notice 64008.
    Trades are aggregated by taker order here, so their ids need not be consecutive.
    """

    name = "okx"
    default_url = "wss://ws.okx.com:8443/ws/v5/public"
    ping_interval_s = PING_INTERVAL_S
    pairs: ClassVar[Mapping[str, str]] = {
        "btc": "BTC-USDT",
        "eth": "ETH-USDT",
        "sol": "SOL-USDT",
        "xrp": "XRP-USDT",
        "doge": "DOGE-USDT",
        "bnb": "BNB-USDT",
        "hype": "HYPE-USDT",
        "zec": "ZEC-USDT",
    }

    def __init__(self, coins: Sequence[str]) -> None:
        super().__init__(coins)
        self._quote_ids: dict[str, int] = {}
        self._books: dict[str, LevelBook] = {}
        self._book_ids: dict[str, int] = {}

    def hello(self) -> list[str]:
        """One subscription an instrument, so that a refused one loses only itself."""
        return [
            orjson.dumps(
                {
                    "op": "subscribe",
                    "args": [
                        {"channel": "bbo-tbt", "instId": pair},
                        {"channel": "trades", "instId": pair},
                    ],
                }
            ).decode()
            for pair in self.symbols
        ]

    def ping(self) -> str | None:
        """The bare text `ping`."""
        return "ping"

    def reset(self) -> None:
        """A new connection: sequence ids and books start over."""
        super().reset()
        self._quote_ids.clear()
        self._books.clear()
        self._book_ids.clear()

    def decode(self, frame: str | bytes, ts_ns: int, source: str) -> list[Event]:
        """As every codec; the bare text `pong` is an answer, not JSON."""
        if frame in ("pong", b"pong"):
            return self._skip("pong")
        return super().decode(frame, ts_ns, source)

    def _events(self, message: Any, ts_ns: int, source: str) -> list[Event]:
        message = object_of(message, "frame")
        if "event" in message:
            return self._on_event(message, ts_ns, source)
        if "arg" not in message:
            return self._skip_unknown("untyped")
        arg = object_of(message["arg"], "arg")
        channel = text_of(arg.get("channel"), "arg.channel")
        if channel not in ("bbo-tbt", "trades", "books"):
            return self._skip_unknown(channel)
        pair = text_of(arg.get("instId"), "arg.instId")
        symbol = self.symbols.get(pair)
        if symbol is None:
            return self._skip("foreign_pair")
        rows = [object_of(row, "data") for row in list_of(message.get("data"), "data")]
        if channel == "trades":
            return self._on_trades(rows, ts_ns, symbol)
        if channel == "bbo-tbt":
            return self._on_best(rows, ts_ns, source, pair)
        action = message.get("action")
        if action not in ("snapshot", "update"):
            raise ValueError(f"expected snapshot or update, found {shown(action)} @ action")
        return self._on_books(rows, action == "snapshot", ts_ns, source, pair)

    def _on_event(self, message: dict[str, Any], ts_ns: int, source: str) -> list[Event]:
        event = message["event"]
        code = message.get("code")
        if event == "error":
            words = (code, message.get("msg"))
            raise self._refused(" ".join(part for part in words if isinstance(part, str)))
        if event == "notice":
            if str(code) == NOTICE_SHUTDOWN:
                return self._shutdown(ts_ns, source)
            return self._skip("notice")
        if event in ("subscribe", "unsubscribe", "channel-conn-count"):
            return self._skip("ack")
        return self._skip_unknown(event)

    def _on_trades(self, rows: list[dict[str, Any]], ts_ns: int, symbol: str) -> list[Event]:
        trades = [
            (price_e8_of(row.get("px"), "px"), millis_ns_of(row.get("ts"), "ts")) for row in rows
        ]
        return [self._trade(ts_ns, symbol, price_e8, ts) for price_e8, ts in trades]

    def _on_best(
        self, rows: list[dict[str, Any]], ts_ns: int, source: str, pair: str
    ) -> list[Event]:
        quotes = []
        for row in rows:
            bids = pair_levels(row.get("bids"), "bids")
            asks = pair_levels(row.get("asks"), "asks")
            sequence = whole_of(row.get("seqId"), "seqId")
            venue_ts_ns = millis_ns_of(row.get("ts"), "ts")
            bid_e8 = bids[0].price_e8 if bids else 0
            ask_e8 = asks[0].price_e8 if asks else 0
            quotes.append((sequence, bid_e8, ask_e8, venue_ts_ns))
        events: list[Event] = []
        for sequence, bid_e8, ask_e8, venue_ts_ns in quotes:
            if sequence < self._quote_ids.get(pair, 0):
                events.append(self._gap(ts_ns, source, SEQUENCE_GAP))
            self._quote_ids[pair] = sequence
            events += self._quote(ts_ns, self.symbols[pair], bid_e8, ask_e8, venue_ts_ns)
        return events

    def _on_books(
        self, rows: list[dict[str, Any]], snapshot: bool, ts_ns: int, source: str, pair: str
    ) -> list[Event]:
        changes = []
        for row in rows:
            bids = pair_levels(row.get("bids"), "bids")
            asks = pair_levels(row.get("asks"), "asks")
            venue_ts_ns = millis_ns_of(row.get("ts"), "ts")
            changes.append((_chain_of(row), bids, asks, venue_ts_ns))
        events: list[Event] = []
        for (previous, sequence), bids, asks, venue_ts_ns in changes:
            book = self._books.get(pair)
            if snapshot:
                book = self._books[pair] = LevelBook(BOOK_DEPTH)
            elif book is None:
                self.counts["unsynced"] += 1
                continue
            elif previous != self._book_ids[pair]:
                events.append(self._gap(ts_ns, source, SEQUENCE_GAP))
                del self._books[pair]
                self.reconnect_wanted = True
                continue
            self._book_ids[pair] = sequence
            book.apply(bids, asks)
            best = (book.best_bid_e8(), book.best_ask_e8())
            events += self._quote(ts_ns, self.symbols[pair], *best, venue_ts_ns)
        return events


def _chain_of(row: dict[str, Any]) -> tuple[int, int]:
    """(`prevSeqId`, `seqId`); (0, 0) for recordings from before the venue numbered its books."""
    if "seqId" not in row and "prevSeqId" not in row:
        return 0, 0
    return whole_of(row.get("prevSeqId"), "prevSeqId", low=-1), whole_of(row.get("seqId"), "seqId")
