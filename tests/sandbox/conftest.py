"""A small invented capture, the venue playing it over real sockets, and an independent checker."""

import hashlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs
import httpx2
import pytest
import trio
import trio_websocket

from polytrade.captures import CaptureHeader, CaptureRecord, write_capture
from polytrade.sandbox.playback.options import PlaybackOptions
from polytrade.sandbox.playback.serve import serve_playback
from polytrade.sandbox.tape import START_S, Tape
from polytrade.sandbox.venue.options import VenueOptions

GIVE_UP_S = 20.0
"""A test that waits this long for the venue has failed; a good one takes a second."""


class HashChecker:
    """Follows books by the published recipe alone and checks every hash it is told."""

    def __init__(self) -> None:
        self.books: dict[str, dict[str, dict[float, dict[str, str]]]] = {}
        self.sides: dict[str, dict[str, str]] = {}
        self.facts: dict[str, dict[str, str]] = {}
        self.good = 0
        self.bad: list[dict[str, Any]] = []

    def hear(self, frame: str) -> None:
        """Check every message of a frame."""
        if frame in ("PONG", ""):
            return
        body = json.loads(frame)
        for message in body if isinstance(body, list) else [body]:
            kind = message["event_type"]
            if kind == "book":
                self._book(message)
            elif kind == "price_change":
                self._changes(message)
            elif kind == "tick_size_change":
                self._fact(message["market"])["tick"] = message["new_tick_size"]
            elif kind == "last_trade_price":
                self._fact(message["market"])["printed"] = message["price"]

    def _fact(self, market: str) -> dict[str, str]:
        return self.facts.setdefault(market, {"tick": "0.01", "ltp": ""})

    def _book(self, message: dict[str, Any]) -> None:
        facts = self._fact(message["market"])
        facts["tick"] = message.get("tick_size", facts["tick"])
        facts["ltp"] = message.get("last_trade_price", facts["ltp"])
        asset = message["asset_id"]
        self.books[asset] = {
            side: {float(level["price"]): level for level in message[side]}
            for side in ("bids", "asks")
        }
        self.sides[asset] = {side: self._side(asset, side) for side in ("bids", "asks")}
        digest = self._digest(message["market"], message["asset_id"], message["timestamp"])
        self._note(digest == message["hash"], message)

    def _changes(self, message: dict[str, Any]) -> None:
        facts = self._fact(message["market"])
        for entry in message["price_changes"]:
            book = self.books[entry["asset_id"]]
            side = "bids" if entry["side"] == "BUY" else "asks"
            levels = book[side]
            price = float(entry["price"])
            if float(entry["size"]) == 0:
                levels.pop(price, None)
            else:
                levels[price] = {"price": entry["price"], "size": entry["size"]}
            self.sides[entry["asset_id"]][side] = self._side(entry["asset_id"], side)
            for ltp in (facts["ltp"], f"{price:.3f}", f"{1 - price:.3f}"):
                facts_now = {**facts, "ltp": ltp}
                digest = self._digest(
                    message["market"], entry["asset_id"], message["timestamp"], facts_now
                )
                if digest == entry["hash"]:
                    facts["ltp"] = ltp
                    self._note(True, message)
                    break
            else:
                self._note(False, message)
            best = (max(book["bids"], default=0.0), min(book["asks"], default=1.0))
            stated = (float(entry["best_bid"]), float(entry["best_ask"]))
            self._note(best == stated, message)

    def _digest(
        self, market: str, asset: str, stamp: str, facts: dict[str, str] | None = None
    ) -> str:
        facts = facts or self._fact(market)
        sides = self.sides[asset]
        body = {
            "market": market,
            "asset_id": asset,
            "timestamp": stamp,
            "hash": "",
            "bids": "BIDS",
            "asks": "ASKS",
            "min_order_size": "5",
            "tick_size": facts["tick"],
            "neg_risk": False,
            "last_trade_price": facts["ltp"],
        }
        text = json.dumps(body, separators=(",", ":"))
        text = text.replace('"BIDS"', sides["bids"]).replace('"ASKS"', sides["asks"])
        return hashlib.sha1(text.encode()).hexdigest()

    def _side(self, asset: str, side: str) -> str:
        levels = self.books[asset][side]
        ordered = [levels[price] for price in sorted(levels, reverse=side == "asks")]
        return json.dumps(ordered, separators=(",", ":"))

    def _note(self, good: bool, message: dict[str, Any]) -> None:
        if good:
            self.good += 1
        else:
            self.bad.append(message)


@pytest.fixture
def checker() -> HashChecker:
    return HashChecker()


@pytest.fixture(scope="session")
def sample_records() -> list[CaptureRecord]:
    """Five minutes of one coin at the live venue, from the 25th second of a window on."""
    options = VenueOptions(
        seed=3, coins=("btc",), windows=("5m",), slow_markets=False, activity=0.01
    )
    tape = Tape(options, START_S + 25, ("market", "rtds", "binance"))
    return list(tape.records(300))


@pytest.fixture(scope="session")
def short_records(sample_records: list[CaptureRecord]) -> list[CaptureRecord]:
    """Its first twenty seconds."""
    end_ns = sample_records[0].recv_ts_ns + 20 * 10**9
    return [record for record in sample_records if record.recv_ts_ns < end_ns]


@pytest.fixture
def capture(tmp_path: Path) -> Callable[[Sequence[CaptureRecord]], Path]:
    """Writes records to a capture file."""

    def write(records: Sequence[CaptureRecord], name: str = "capture.jsonl") -> Path:
        path = tmp_path / name
        write_capture(path, CaptureHeader("2026-11-16T12:00:00Z", "test", generated=True), records)
        return path

    return write


@attrs.define
class Rig:
    """A running venue: its ready line, HTTP to it, and sockets."""

    ready: dict[str, Any]
    http: httpx2.AsyncClient

    async def status(self) -> dict[str, Any]:
        """What the venue says of itself."""
        answer = await self.http.get(self.ready["admin_url"] + "/admin/status")
        found: dict[str, Any] = answer.json()
        return found

    async def fault(self, **order: Any) -> httpx2.Response:
        """Order a fault."""
        return await self.http.post(self.ready["admin_url"] + "/admin/fault", json=order)

    async def begin(self) -> None:
        """Start playback without waiting longer."""
        await self.http.post(self.ready["admin_url"] + "/admin/begin")

    async def wait_done(self) -> dict[str, Any]:
        """Return the status once everything has been played and sent."""
        while True:
            status = await self.status()
            if status["done"]:
                return status
            await trio.lowlevel.checkpoint()

    @asynccontextmanager
    async def socket(self, name: str) -> AsyncIterator[trio_websocket.WebSocketConnection]:
        """A client of an endpoint; OSError when it does not listen."""
        url = urlsplit(self.ready[f"{name}_url"])
        stream = await trio.open_tcp_stream(url.hostname, url.port)
        # The library leaves the stream open when the peer closes without a handshake.
        async with stream, trio.open_nursery() as nursery:
            ws = await trio_websocket.wrap_client_stream(
                nursery, stream, url.netloc, url.path or "/", message_queue_size=100_000
            )
            try:
                yield ws
            finally:
                nursery.cancel_scope.cancel()

    async def assets(self) -> list[str]:
        """Both tokens of every market that Gamma shows now."""
        found: list[str] = []
        for slug in self.ready["slugs"]:
            answer = await self.http.get(f"{self.ready['gamma_url']}/markets/slug/{slug}")
            if answer.status_code == 200:
                found += json.loads(answer.json()["clobTokenIds"])
        return found


@asynccontextmanager
async def running(options: PlaybackOptions) -> AsyncIterator[Rig]:
    """The venue, served in this process over loopback."""
    with trio.fail_after(GIVE_UP_S):
        async with trio.open_nursery() as nursery:
            ready = await nursery.start(partial(serve_playback, options))
            async with httpx2.AsyncClient() as http:
                yield Rig(ready, http)
            nursery.cancel_scope.cancel()


@pytest.fixture
def venue(
    capture: Callable[[Sequence[CaptureRecord]], Path],
) -> Callable[..., AbstractAsyncContextManager[Rig]]:
    """Starts a venue that plays the given records."""

    def start(records: Sequence[CaptureRecord], **options: Any) -> AbstractAsyncContextManager[Rig]:
        path = capture(records)
        defaults: dict[str, Any] = {"speed": 1000.0, "settle_s": 0.05}
        return running(PlaybackOptions(files=(path,), **{**defaults, **options}))

    return start


def count_messages(frames: Sequence[str]) -> Counter[str]:
    """Market-channel messages by type."""
    counts: Counter[str] = Counter()
    for frame in frames:
        body = json.loads(frame)
        for message in body if isinstance(body, list) else [body]:
            counts[message["event_type"]] += 1
    return counts


async def take(ws: trio_websocket.WebSocketConnection, count: int) -> list[str]:
    """The next frames, exactly so many."""
    return [str(await ws.get_message()) for _ in range(count)]


def subscription(assets: Sequence[str], **more: Any) -> str:
    """The first frame of a market-channel client."""
    body = {"type": "market", "assets_ids": list(assets), "custom_feature_enabled": True}
    return json.dumps({**body, **more})
