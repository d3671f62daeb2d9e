"""Who reads the invented market channel: the daemon's parts, trio-websocket, a blocking socket.

As `python -m benchmarks.clients` it is the child that runs one of them a request. Each answers
with when it was done with every message (monotonic, as the sender's stamps), and its CPU time from
the first message to the last.
"""

import base64
import gc
import os
import random
import resource
import socket
import tempfile
import time
from array import array
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import attrs
import orjson
import trio

from benchmarks import traffic
from benchmarks.workers import serve
from polytrade.config import Config, Strategy
from polytrade.core.effects import Effect
from polytrade.core.events import BookChanged, Event, TradePrinted
from polytrade.runtime.execution import run_execution
from polytrade.runtime.inbox import Clock
from polytrade.runtime.logs import configure_logging
from polytrade.runtime.parts import Parts, build_parts
from polytrade.runtime.risk import run_ticks
from polytrade.runtime.socket import open_socket
from polytrade.session import run_started

REFERENCE_S: Final = 0.01
OBSERVE_S: Final = 0.5
"""As often as the terminal looks."""
GRACE_S: Final = 20.0
"""How much longer than planned a run may last before it is given up."""
MEMORY_S: Final = 0.5
SILENCE_S: Final = 120.0


class Tally:
    """The stamps of what was handled, and the CPU time between the first and the last of them."""

    def __init__(self, expected: int) -> None:
        self.expected = expected
        self.count = 0
        self._stamps = array("q", bytes(8 * expected))  # whole from the start: no growth of ours
        self.cpu_ns = [0, 0]
        self.loop_ns = [0, 0]
        self.mono_ns = [0, 0]

    def add(self) -> None:
        """One more message was handled."""
        self._stamps[self.count] = time.monotonic_ns()
        self.count += 1
        if self.count == 1:
            self._mark(0)
        elif self.count == self.expected:
            self._mark(1)

    @property
    def complete(self) -> bool:
        """Whether all are here."""
        return self.count >= self.expected

    def _mark(self, end: int) -> None:
        self.cpu_ns[end] = time.process_time_ns()
        self.loop_ns[end] = time.thread_time_ns()
        self.mono_ns[end] = time.monotonic_ns()

    def answer(self) -> dict[str, Any]:
        """What the parent wants to know."""
        if not self.complete:
            self._mark(1)
        return {
            "stamps": list(self._stamps[: self.count]),
            "cpu_ns": self.cpu_ns[1] - self.cpu_ns[0],
            "loop_ns": self.loop_ns[1] - self.loop_ns[0],
            "wall_ns": self.mono_ns[1] - self.mono_ns[0],
        }


def blocking(url: str, tally: Tally, seconds: float) -> dict[str, Any]:
    """A blocking socket and the simplest frame parser: `orjson.loads`, nothing else. The limit."""
    parts = urlsplit(url)
    assert parts.hostname is not None and parts.port is not None, url
    with socket.create_connection((parts.hostname, parts.port)) as connection:
        connection.settimeout(seconds + GRACE_S)
        key = base64.b64encode(os.urandom(16)).decode()
        connection.sendall(
            f"GET / HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        data = b""
        while b"\r\n\r\n" not in data:
            data += connection.recv(4096)
        data = data.partition(b"\r\n\r\n")[2]
        connection.sendall(bytes((0x81, 0x80, 0, 0, 0, 0)))  # an empty subscription will do
        _read_frames(connection, data, tally)
    return tally.answer()


def _read_frames(connection: socket.socket, data: bytes, tally: Tally) -> None:
    first = True
    while not tally.complete:
        at = 0
        while len(data) - at >= 2:
            size, head = data[at + 1], 2
            if size == 126:
                size, head = int.from_bytes(data[at + 2 : at + 4]), 4
            elif size == 127:
                size, head = int.from_bytes(data[at + 2 : at + 10]), 10
            if len(data) - at < head + size:
                break
            orjson.loads(data[at + head : at + head + size])
            at += head + size
            if not first:
                tally.add()
            first = False
        if not tally.complete:
            got = connection.recv(1 << 18)
            if not got:
                return
            data = data[at:] + got


async def _bare(url: str, tally: Tally, seconds: float) -> dict[str, Any]:
    with trio.move_on_after(seconds + GRACE_S):
        async with open_socket(url) as connection:
            await connection.send("{}")
            orjson.loads(await connection.receive())
            while not tally.complete:
                orjson.loads(await connection.receive())
                tally.add()
    return tally.answer()


def bare(url: str, tally: Tally, seconds: float) -> dict[str, Any]:
    """trio-websocket as the daemon uses it and `orjson.loads`: what the socket alone costs."""
    return trio.run(_bare, url, tally, seconds)


class Daemon:
    """The daemon's own parts behind one market connection; only discovery is made up."""

    def __init__(self, url: str, tally: Tally, begin_ns: int, root: Path) -> None:
        plain = Config(strategy=Strategy(base_quote_size=10.0, max_spread=0.08, taker="profile"))
        feeds = attrs.evolve(
            plain.feeds, market_url=url, market_connections=1, market_silence_s=SILENCE_S,
            clob_url="http://127.0.0.1:9",
        )  # fmt: skip
        self._config = attrs.evolve(plain, feeds=feeds)
        self._tally = tally
        self._walk = traffic.Walk(1, begin_ns)
        self._begin_ns = begin_ns
        self._root = root
        self._clock = Clock()
        self._done = trio.Event()
        self._parts: Parts | None = None
        self._memory: list[tuple[float, int]] = []

    def _listen(self, event: Event, _effects: list[Effect]) -> None:
        if type(event) in (BookChanged, TradePrinted):
            self._tally.add()
            if self._tally.count == 1 and self._parts is not None:  # the warm-up is not measured
                for recorder in self._parts.strategy.meter.latencies.values():
                    recorder.reset()
                self._parts.watch.lag.reset()
            if self._tally.complete:
                self._done.set()

    async def run(self, seconds: float) -> dict[str, Any]:
        """Until all messages are decided on, or much too long has passed."""
        # The walk is whole from the start as well: memory that grows is to be the daemon's own.
        self._walk.at(self._begin_ns + round((seconds + GRACE_S) * 1e9))
        rng = random.Random(1)
        async with build_parts(self._config, self._root, self._clock, rng) as parts:
            self._parts = parts
            parts.strategy.listeners.append(self._listen)
            with trio.move_on_after(seconds + GRACE_S):
                async with trio.open_nursery() as nursery:
                    self._start(nursery, parts)
                    await self._done.wait()
                    answer = self._tally.answer()
                    nursery.cancel_scope.cancel()
            if not self._done.is_set():
                answer = self._tally.answer()
            if parts.journal is not None:
                with trio.move_on_after(GRACE_S, shield=True):
                    await parts.journal.close()
            return answer | self._numbers(parts)

    def _start(self, nursery: trio.Nursery, parts: Parts) -> None:
        now_ns = self._clock.now_ns()
        parts.inbox.put(run_started(self._config, now_ns - traffic.WARM_NS, parts.run_id))
        for event in traffic.warm_up(self._walk, now_ns):
            parts.inbox.put(event)
        listed = traffic.listed(now_ns - traffic.WARM_NS)
        parts.discovery._instruments.add(listed)  # what discovery does with a listing
        parts.market_feed.want([listed])
        if parts.journal is not None:
            nursery.start_soon(parts.journal.run)
        nursery.start_soon(parts.watch.run)
        nursery.start_soon(parts.strategy.run)
        nursery.start_soon(run_execution, parts.strategy.actions, parts.market_feed.resnapshot)
        nursery.start_soon(parts.market_feed.run)
        tick_s = self._config.latency.tick_interval_ms / 1000
        nursery.start_soon(partial(run_ticks, parts.inbox, tick_s))
        nursery.start_soon(self._reference, parts)
        nursery.start_soon(self._look, parts)

    async def _reference(self, parts: Parts) -> None:
        while True:
            ts_ns = parts.inbox.now_ns()
            price = traffic.tick(self._walk, ts_ns)
            parts.inbox.put_frame("binance/0", "", ts_ns, [price])
            await trio.sleep(REFERENCE_S)

    async def _look(self, parts: Parts) -> None:
        while True:
            parts.observer.read()
            if self._tally.count:
                self._memory.append((time.monotonic(), _resident_bytes()))
            await trio.sleep(OBSERVE_S)

    def _numbers(self, parts: Parts) -> dict[str, Any]:
        meter, stats = parts.strategy.meter, parts.inbox.statistics()
        quality = parts.session.engine.quality()
        return {
            "decision_ns": [
                meter.latencies["tick_to_decision_ms"].quantile_ns(q) for q in (0.5, 0.99, 0.999)
            ],
            "lag_ns": [parts.watch.lag.quantile_ns(q) for q in (0.5, 0.99)],
            "dropped": stats.dropped_events,
            "depth_max": stats.depth_max,
            "hash_matched": quality["hash_matched"],
            "hash_mismatched": quality["hash_mismatched"],
            "orders": parts.strategy.effects["place_order"],
            "lost": 0 if parts.journal is None else parts.journal.lost,
            "memory": self._memory,
        }


def daemon(url: str, tally: Tally, seconds: float, begin_ns: int) -> dict[str, Any]:
    """The daemon's feed, decoder, inbox, strategy, engine, journal and watch."""
    with tempfile.TemporaryDirectory(prefix="polytrade-bench-") as name:
        run = Daemon(url, tally, begin_ns, Path(name)).run
        return trio.run(run, seconds)


def _resident_bytes() -> int:
    """Memory in use; where the system does not say, the most that ever was."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return pages * resource.getpagesize()


CLIENTS: Final[dict[str, Callable[[str, Tally, float], dict[str, Any]]]] = {
    "blocking": blocking,
    "bare": bare,
}


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    url = f"ws://127.0.0.1:{request['port']}/"
    tally = Tally(request["count"])
    gc.collect()
    if request["client"] == "daemon":
        return daemon(url, tally, request["seconds"], request["begin_ns"])
    gc.freeze()
    gc.disable()
    try:
        return CLIENTS[request["client"]](url, tally, request["seconds"])
    finally:
        gc.enable()
        gc.unfreeze()


if __name__ == "__main__":
    configure_logging("error", time.time_ns)
    serve(_answer)
