"""The venue's state while captures are played: what every client and every request sees."""

import math
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Final

import orjson
import trio

from polytrade.captures import CaptureRecord
from polytrade.sandbox.dialects import Part, Played, loads, market_assets, market_parts, rtds_parts
from polytrade.sandbox.endpoints import Endpoints
from polytrade.sandbox.exchanges import binance_parts, exchange_parts
from polytrade.sandbox.faults import FaultOrder, FaultRefused
from polytrade.sandbox.playback.listings import Listings, gamma_objects
from polytrade.sandbox.playback.options import PlaybackOptions
from polytrade.sandbox.playback.shift import Shift
from polytrade.sandbox.playback.timeline import SOCKET_FEEDS, Timeline
from polytrade.sandbox.playback.tracker import BookTracker

PRICES_KEPT: Final = 120
"""Prices in an RTDS snapshot: the venue sends about the last two minutes at one a second."""
SYMBOLS_MAX: Final = 256
"""Symbols whose prices are kept: four topics of a dozen coins."""
TICK_COPIES: Final = 2
"""The venue delivers every tick_size_change twice."""


class Venue:
    """Books, prices, Gamma objects and counts as of the playback position.

    `take` follows one record of the capture and says what the sockets send of it. Implements
    `dialects.BookDumps` and `dialects.PriceDumps`.
    """

    def __init__(
        self, options: PlaybackOptions, timeline: Timeline, now_ns: Callable[[], int]
    ) -> None:
        self.options = options
        self.timeline = timeline
        self.now_ns = now_ns
        self.endpoints = Endpoints(options.host, self.note_activity)
        self.played: Counter[str] = Counter()
        self.messages: dict[str, Counter[str]] = {}
        self.fast_forwarded = 0
        self.faults: Counter[str] = Counter()
        self.gamma_mode = ""
        self.gamma_until = 0.0
        self.skew_ms = 0
        self.begun = False
        self.done = False
        self.position_ns = timeline.first_ns
        self.begin = trio.Event()
        self.activity = trio.Event()
        self.last_activity = -math.inf
        self.enter_round(0, 0)

    def enter_round(self, delta_s: int, round_index: int) -> None:
        """Begin a round: fresh books and names; Gamma's older objects stay until replaced."""
        timeline = self.timeline
        self.shift = Shift(delta_s, timeline.names, round_index, timeline.spans)
        self.tracker = BookTracker(self.shift.rename if self.shift.moves else None)
        for condition, (min_size, neg_risk) in timeline.books_rules.items():
            self.tracker.learn(condition, min_size, neg_risk)
        self.captured: dict[str, str] = {}
        self.prices: dict[tuple[str, str], deque[dict[str, Any]]] = {}
        if round_index == 0:
            self.listings = Listings()
            if not self.options.shift:
                # Nothing tells a client of a verbatim capture when a market was listed: all are.
                for obj in timeline.first_objects.values():
                    self.listings.apply(obj, self.shift)

    # What is played

    def take(self, feed: str, record: CaptureRecord, publish: bool) -> Played | None:
        """Follow a record; the frame to send, None when nothing is (REST, not published)."""
        frame = record.frame
        assert frame is not None, "records without a frame are not played"
        if feed == "gamma":
            for obj in gamma_objects(frame):
                self.listings.apply(obj, self.shift)
        elif feed == "clob.book":
            body = loads(frame)
            if isinstance(body, dict):
                self._follow(body | {"event_type": "book"})
        if feed not in SOCKET_FEEDS:
            if publish:
                self._count(record.source, ())
            return None
        played = self._socket_frame(feed, record, frame, publish)
        if played is not None:
            self._count(record.source, played.parts)
        return played

    def _count(self, source: str, parts: tuple[Part, ...]) -> None:
        self.played[source] += 1
        counts = self.messages.setdefault(source, Counter())
        counts.update(part.type for part in parts)

    def _socket_frame(
        self, feed: str, record: CaptureRecord, frame: str | bytes, publish: bool
    ) -> Played | None:
        if feed == "polymarket.market":
            return self._market_frame(record, frame, publish)
        if feed == "polymarket.rtds":
            text = self._exchange_text(frame)
            self._remember_price(text)
            return Played(record.source, text, rtds_parts(text)) if publish else None
        if not publish:
            return None
        text = self._exchange_text(frame)
        parts = binance_parts(text) if feed == "binance" else exchange_parts(text)
        return Played(record.source, text, parts)

    def _exchange_text(self, frame: str | bytes) -> str | bytes:
        return self.shift.exchange_frame(frame) if isinstance(frame, str) else frame

    def _market_frame(
        self, record: CaptureRecord, frame: str | bytes, publish: bool
    ) -> Played | None:
        body = loads(frame) if frame else None
        messages = [m for m in (body if isinstance(body, list) else [body]) if isinstance(m, dict)]
        hashes: dict[str, str] = {}
        for message in messages:
            hashes |= self._follow(message)
        if not publish:
            return None
        text = self.shift.market_frame(frame, hashes) if isinstance(frame, str) else frame
        if isinstance(body, list) and len(messages) != len(body):
            return Played(record.source, text)
        return Played(record.source, text, market_parts(messages, self.shift.name))

    def _follow(self, message: dict[str, Any]) -> dict[str, str]:
        for asset in market_assets(message):
            self.captured[self.shift.name(asset)] = asset
        return self.tracker.apply(message)

    def _remember_price(self, text: str | bytes) -> None:
        parts = rtds_parts(text)
        body = loads(text) if parts else None
        if body is None or body.get("type") != "update":
            return
        topic, symbol = parts[0].keys
        payload = body["payload"]
        kept = self.prices.get((topic, symbol))
        if kept is None:
            if len(self.prices) >= SYMBOLS_MAX:
                return
            kept = self.prices[topic, symbol] = deque(maxlen=PRICES_KEPT)
        kept.append({key: payload[key] for key in ("timestamp", "value") if key in payload})

    # What is asked

    def book_dump(self, asset: str) -> str | None:
        """The tracked book of a served asset as a `book` message; None when there is none."""
        return self.tracker.snapshot(self.captured.get(asset, ""), rest=False)

    def rest_book(self, asset: str) -> str | None:
        """The tracked book of a served asset as REST answers it; None when there is none."""
        return self.tracker.snapshot(self.captured.get(asset, ""), rest=True)

    def price_dump(self, topic: str, symbol: str) -> str | None:
        """The last prices of a symbol as an RTDS snapshot; Chainlink's names the wrong topic."""
        kept = self.prices.get((topic, symbol))
        if not kept:
            return None
        named = "crypto_prices" if topic == "crypto_prices_chainlink" else topic
        body = {
            "topic": named,
            "type": "subscribe",
            "timestamp": kept[-1].get("timestamp", 0),
            "payload": {"symbol": symbol, "data": list(kept)},
        }
        return orjson.dumps(body).decode()

    # Clients

    def note_activity(self) -> None:
        """A client subscribed or unsubscribed."""
        self.last_activity = trio.current_time()
        self.activity.set()
        self.activity = trio.Event()

    def subscribed_assets(self) -> set[str]:
        """The market-channel assets some connection follows."""
        market = self.endpoints.get("market")
        if market is None:
            return set()
        return {a for c in market.connections.values() for a in c.dialect.subscriptions}

    def covered(self) -> bool:
        """Whether every market-channel asset is subscribed (or anything, when there is none)."""
        if self.timeline.assets:
            return self.timeline.assets.keys() <= self.subscribed_assets()
        return any(c.dialect.subscriptions for c in self.endpoints.connections())

    # What goes wrong

    def apply_fault(self, order: FaultOrder) -> int:
        """Carry out an order; how many connections it touched. Raises FaultRefused."""
        touched = self._apply(order)
        self.faults[order.kind] += 1
        return touched

    def _apply(self, order: FaultOrder) -> int:
        match order.kind:
            case "gamma":
                self.gamma_mode = order.mode
                self.gamma_until = (
                    math.inf if order.seconds is None else trio.current_time() + order.seconds
                )
                return 0
            case "clock_skew":
                self.skew_ms = order.ms
                return 0
            case "clear":
                self.gamma_mode, self.gamma_until, self.skew_ms = "", 0.0, 0
                return self.endpoints.clear_faults()
            case "tick_size":
                return self._send_tick_size(order)
        return self.endpoints.apply(order)

    def _send_tick_size(self, order: FaultOrder) -> int:
        captured = self.captured.get(order.asset)
        book = self.tracker.assets.get(captured or "")
        if book is None:
            raise FaultRefused(f"asset: expected a token with a book, found {order.asset!r}")
        facts = self.tracker.markets[book.market]
        frames = []
        for asset in facts.books:
            market, served, stamp = self.shift.rename(book.market, asset, book.timestamp)
            message = {
                "event_type": "tick_size_change",
                "market": market,
                "asset_id": served,
                "old_tick_size": facts.served_tick,
                "new_tick_size": order.tick,
                "timestamp": stamp,
            }
            frames.append((served, orjson.dumps(message).decode()))
        facts.ordered_tick = order.tick
        touched = 0
        for connection in self.endpoints.named("market").connections.values():
            wanted = [text for asset, text in frames if asset in connection.dialect.subscriptions]
            for text in wanted * TICK_COPIES:
                connection.put(text, "fault")
            touched += bool(wanted)
        return touched
