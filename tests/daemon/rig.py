"""A whole daemon against the local venue over real sockets, in one event loop.

The venue and the daemon share a wall clock that starts two minutes into a window, whatever the time
of day: a test meets the same part of the sample, with three minutes left to trade.
"""

import errno
import io
import json
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import attrs
import httpx2
import pytest
import trio

from polytrade import strict
from polytrade.config import Config
from polytrade.control.task import run_control
from polytrade.core.events import Event
from polytrade.core.fills import PaperVenue
from polytrade.core.units import SECOND_NS
from polytrade.polymarket import discovery
from polytrade.replay import replay
from polytrade.replay_result import ReplayResult
from polytrade.runtime.daemon import Daemon
from polytrade.runtime.inbox import Clock
from polytrade.runtime.logs import configure_logging
from polytrade.runtime.parts import ControlTask, Parts
from polytrade.runtime.venue import venue_addresses
from polytrade.sandbox.playback.options import PlaybackOptions
from polytrade.sandbox.playback.serve import serve_playback
from polytrade.sandbox.playback.timeline import Timeline, scan
from polytrade.segments import DiskFile, SegmentFile

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "datasets" / "sample-updown-5m.jsonl.zst"
WAIT_S = 60.0
"""Longest a test waits for what it expects, on a machine however busy; it ends when that is so."""
AGAIN_S = 4.0
REPEATED = {"delay", "drop", "drop_price_change"}
"""What the next message may make good before anyone could tell: ordered again after `AGAIN_S`."""
SKEW_S = 1.0
"""Between looks at the venue's clock: one that took long on a busy machine is made good soon."""
DAYS_ON_S = 1_000 * 300
"""The sample is played so much later than it was taken: times and names are really moved."""
INTO_WINDOW_S = 114


@cache
def timeline() -> Timeline:
    """The sample capture, read once for all tests."""
    return scan((SAMPLE,))


def wall_clock(into_window_s: float = INTO_WINDOW_S) -> Callable[[], int]:
    """A wall clock that stands `into_window_s` into the sample's first window now."""
    window_ns = 300 * SECOND_NS
    first_ns = timeline().first_ns // window_ns * window_ns
    start_ns = first_ns + DAYS_ON_S * SECOND_NS + round(into_window_s * SECOND_NS)
    offset_ns = start_ns - time.monotonic_ns()
    return lambda: time.monotonic_ns() + offset_ns


class Tap:
    """Listens to everything the engine steps."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.rows: list[list[Any]] = []

    def __call__(self, event: Event, effects: list[Any]) -> None:
        if event.TAG not in ("clock_ticked", "book_changed", "reference_ticked"):
            self.events.append(event)
        self.rows += [effect.row() for effect in effects]

    def clear(self) -> None:
        """Forget what was heard so far."""
        self.events.clear()
        self.rows.clear()

    def count(self, tag: str) -> int:
        """Events, or effects, of a tag so far."""
        return len(self.of(tag)) + len([row for row in self.rows if row[0] == tag])

    def of(self, tag: str) -> list[Any]:
        """The events of a tag so far."""
        return [event for event in self.events if tag == event.TAG]

    def states(self) -> list[tuple[str, str]]:
        """(state, reason) of every change of a book's trust so far."""
        return [(row[2], row[3]) for row in self.rows if row[0] == "book_state_changed"]

    def blind(self) -> list[list[Any]]:
        """Orders the maker placed while the book was not synced: there must be none."""
        found, states = [], {}
        for row in self.rows:
            if row[0] == "book_state_changed":
                states[row[1]] = row[2]
            elif row[0] == "place_order" and states.get(row[2], "synced") != "synced":
                found.append(row)
        return found


class Stopwatch:
    """Times a fault from its order: until the quotes of then are gone, until all is synced again.

    `doubted` are the states books turned to. Quotes of books nobody doubts may stay.
    """

    def __init__(self, rig: "Rig") -> None:
        self.doubted: set[str] = set()
        self._markets: set[str] = set()
        self.pulled_s: float | None = None
        self.again_s: float | None = None
        self._rig = rig
        find = rig.engine.orders.find
        self._resting = {order: find(order).market for order in rig.paper.resting()}
        self._began_s = trio.current_time()

    def __call__(self, event: Event, effects: list[Any]) -> None:
        for effect in effects:
            if effect.TAG == "book_state_changed" and effect.state != "synced":
                self.doubted.add(effect.state)
                self.again_s = None
                if effect.market not in self._markets:
                    self._markets.add(effect.market)
                    self.pulled_s = None
        if not self.doubted:
            return
        passed_s = trio.current_time() - self._began_s
        if self.pulled_s is None and not self.threatened():
            self.pulled_s = passed_s
        if self.again_s is None and self._rig.restored():
            self.again_s = passed_s

    async def order(self, kind: str, **fields: Any) -> None:
        """Order the fault the times are of, again until a book is doubted where that may fail."""
        for _ in range(round(WAIT_S / AGAIN_S) if kind in REPEATED else 1):
            self._began_s = trio.current_time()
            await self._rig.fault(kind, **fields)
            if kind not in REPEATED:
                return
            with trio.move_on_after(AGAIN_S):
                await self._rig.until(lambda: bool(self.doubted), f"{kind}: a doubt")
                return
        raise AssertionError(f"{kind}: no doubt")

    def threatened(self) -> list[str]:
        """Quotes of then that rest on a doubted book still."""
        resting = set(self._rig.paper.resting())
        quotes = self._resting.items()
        return [o for o, market in quotes if market in self._markets and o in resting]


class Disk:
    """Opens real files; those whose names begin with one of `full` take half a write and refuse."""

    def __init__(self) -> None:
        self.full: set[str] = set()

    def __call__(self, path: Path) -> SegmentFile:
        return _File(path, self)

    def refuses(self, path: Path) -> bool:
        """Whether there is no room for this file now."""
        return any(path.name.startswith(stem) for stem in self.full)


class _File(DiskFile):
    def __init__(self, path: Path, disk: Disk) -> None:
        super().__init__(path)
        self._path = path
        self._disk = disk

    def write(self, data: bytes) -> None:
        if not self._disk.refuses(self._path):
            super().write(data)
            return
        super().write(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")


@attrs.define
class Rig:
    """A running daemon and the venue it talks to."""

    daemon: Daemon
    root: Path
    urls: dict[str, Any]
    tap: Tap
    log: io.StringIO
    client: httpx2.AsyncClient
    disk: Disk
    ended: trio.Event

    @property
    def parts(self) -> Parts:
        """The daemon's parts."""
        assert self.daemon.parts is not None
        return self.daemon.parts

    @property
    def engine(self) -> Any:
        """The engine, to look at."""
        return self.parts.session.engine

    @property
    def paper(self) -> PaperVenue:
        """The paper venue, where orders rest."""
        assert self.parts.session.paper is not None
        return self.parts.session.paper

    async def until(self, condition: Callable[[], bool], what: str = "") -> float:
        """Seconds until the condition held; fails after `WAIT_S`."""
        began_s = trio.current_time()
        with trio.move_on_after(WAIT_S):
            await trio.lowlevel.checkpoint()
            while not condition():  # noqa: ASYNC110  (anything may make it true)
                await trio.sleep(0.005)
            return trio.current_time() - began_s
        said = [row[1:] for row in self.tap.rows if row[0] == "quote_state_changed"][-5:]
        trust = [(m.spec.slug, m.phase, m.trust.state) for m in self.engine.markets.values()]
        told = f"quotes: {said}\nskew: {self.engine.risk.clock_skew_ms} ms\nbooks: {trust}"
        log = self.log.getvalue()[-2000:]
        raise AssertionError(f"not within {WAIT_S} s: {what}\n{told}\n{log}")

    async def until_async(self, condition: Callable[[], Awaitable[bool]], what: str) -> None:
        """`until` for a condition that must be asked for."""
        with trio.move_on_after(WAIT_S):
            while not await condition():  # noqa: ASYNC110  (the venue must be asked)
                await trio.sleep(0.05)
            return
        raise AssertionError(f"not within {WAIT_S} s: {what}")

    async def quoting(self) -> float:
        """Wait until books are synced and a quote rests at the paper venue."""
        return await self.until(
            lambda: self.synced() and bool(self.paper.resting()), "synced books and a quote"
        )

    def quoted(self) -> bool:
        """Whether an order of ours rests or is on its way."""
        return bool(self.paper.resting() or self.engine.orders.open_count())

    async def pulled(self) -> float:
        """Wait until no quote of ours rests or is on its way; how long that took."""
        return await self.until(lambda: not self.quoted(), "no quote")

    @contextmanager
    def stopwatch(self) -> Iterator[Stopwatch]:
        """Watch what comes of a fault that is ordered in the block."""
        self.tap.clear()
        watch = Stopwatch(self)
        self.parts.strategy.listeners.append(watch)
        try:
            yield watch
        finally:
            self.parts.strategy.listeners.remove(watch)

    async def trades_on(self) -> None:
        """Wait for another order the venue takes: the whole chain works."""
        seen = self.tap.count("order_accepted")
        await self.until(lambda: self.tap.count("order_accepted") > seen, "another quote")

    async def fault(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Order a fault at the venue."""
        answer = await self.client.post(
            f"{self.urls['admin_url']}/admin/fault", json={"kind": kind, **fields}
        )
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def venue_status(self) -> dict[str, Any]:
        """What the venue played to whom."""
        answer = await self.client.get(f"{self.urls['admin_url']}/admin/status")
        found: dict[str, Any] = answer.json()
        return found

    async def _open_now(self) -> list[int]:
        """The ids of the open connections of the market channel, as the venue numbers them."""
        rows = (await self.venue_status())["connections"]
        return [row["id"] for row in rows if row["endpoint"] == "market" and row["open"]]

    async def both_connections(self) -> tuple[int, int]:
        """The ids of the two connections of the market channel, once both are up at either end.

        Books are synced and quoted on as soon as one of them is.
        """

        async def up() -> bool:
            paths = ("polymarket.market/0", "polymarket.market/1")
            told = all(self.feed(path).connected for path in paths)
            return told and len(await self._open_now()) == len(paths)

        await self.until_async(up, "both market connections")
        first, second = await self._open_now()
        return first, second

    def failures(self, task: str) -> int:
        """How often a task failed; 0 before it first ran."""
        rows = self.parts.tasks.rows()
        return sum(row.failures for row in rows if row.name == task)

    async def control_url(self) -> str:
        """Where the control plane listens now."""
        await self.until(lambda: "plane listens" in self.log.getvalue(), "the control plane")
        lines = [line for line in self.log.getvalue().splitlines() if "plane listens" in line]
        url: str = json.loads(lines[-1])["url"]
        return url

    async def health(self) -> tuple[int, dict[str, Any]]:
        """`GET /health`: status code and body."""
        answer = await self.client.get(f"{await self.control_url()}/health")
        return answer.status_code, answer.json()

    async def command(self, name: str, **body: Any) -> tuple[int, dict[str, Any]]:
        """`POST /control/<name>`: status code and body."""
        answer = await self.client.post(f"{await self.control_url()}/control/{name}", json=body)
        return answer.status_code, answer.json()

    def feed(self, name: str) -> Any:
        """A feed's row as `/health` has it."""
        (row,) = [row for row in self.parts.observer.read().feeds if row.name == name]
        return row

    def synced(self) -> bool:
        """Whether every book that is open now is synced."""
        open_now = [m for m in self.engine.markets.values() if m.phase == "open"]
        return bool(open_now) and all(m.trust.state == "synced" for m in open_now)

    def restored(self) -> bool:
        """Whether no book at all is doubted any more."""
        return all(m.trust.state == "synced" for m in self.engine.markets.values())

    async def stop(self) -> None:
        """Stop as SIGTERM does and wait for the end."""
        self.daemon.stopping.set()
        with trio.fail_after(WAIT_S):
            await self.ended.wait()

    def journal(self) -> Path:
        """The run's folder."""
        return self.root / "runs" / self.parts.run_id

    def nothing_rests(self) -> ReplayResult:
        """No order at the paper venue, and a journal whose replay agrees and knows of none."""
        assert not self.tap.blind()
        assert self.paper.idle
        assert self.engine.orders.open_count() == 0
        result = replay(self.journal())
        assert result.divergence is None
        assert result.broken == ""
        assert result.open_orders == 0
        return result


@contextmanager
def clock_looked_at_often() -> Iterator[None]:
    """Daemons in the block look at the venue's clock every `SKEW_S`, or as often as set before."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(discovery, "SKEW_S", min(discovery.SKEW_S, SKEW_S))
        yield


def sandbox_config(root: Path, *overrides: str) -> Config:
    """The shipped sandbox configuration, for a venue that is already up."""
    return strict.load(
        ROOT / "configs" / "sandbox",
        (
            "venue.managed=false",
            "control.port=0",
            f'storage.data_dir="{root / "runs"}"',
            "feeds.backoff_min_s=0.05",
            "feeds.backoff_max_s=0.5",
            "risk.max_loop_lag_ms=20000",
            "risk.orders_per_s=200",
            "reload.probe_s=30",  # a trial on a busy machine
            "reload.call_budget_us=1000000",  # which is no fault of a plugin's
            "control.request_limit_s=60",
            'strategy.fair_value="basis_mr"',  # quotes at once: no volatility to warm up
            *overrides,
        ),
    )


@asynccontextmanager
async def running(
    root: Path,
    *overrides: str,
    control: ControlTask = run_control,
    into_window_s: float = INTO_WINDOW_S,
    change: Callable[[Config], Config] = lambda config: config,
    fault: dict[str, Any] | None = None,
) -> AsyncIterator[Rig]:
    """A daemon that is up; stopped at the end of the block, whatever happened in it.

    `fault` is ordered at the venue before the daemon starts.
    """
    played = PlaybackOptions(files=(SAMPLE,), shift=True, loop=True)
    wall_ns = wall_clock(into_window_s)
    # The sample's quieter books are silent for up to 4 s.
    config = sandbox_config(root, "risk.book_stale_ms=8000", *overrides)
    log = io.StringIO()
    async with trio.open_nursery() as nursery:
        urls = await nursery.start(
            partial(serve_playback, played, timeline=timeline(), now_ns=wall_ns)
        )
        config = change(attrs.evolve(config, feeds=venue_addresses(config.feeds, urls)))
        clock = Clock(wall_ns)
        logs = configure_logging("debug", clock.now_ns, stream=log, console=False)
        disk = Disk()
        daemon = Daemon(config, root, control, clock, logs, None, False, opener=disk)
        daemon._rng = random.Random(1)
        ended = trio.Event()

        async def run() -> None:
            try:
                with clock_looked_at_often():
                    await daemon.run()
            finally:
                ended.set()

        async with httpx2.AsyncClient(timeout=WAIT_S) as client, trio.open_nursery() as inner:
            if fault is not None:
                await client.post(f"{urls['admin_url']}/admin/fault", json=fault)
            inner.start_soon(run)
            await daemon.ready.wait()
            rig = Rig(daemon, root, urls, Tap(), log, client, disk, ended)
            rig.parts.strategy.listeners.append(rig.tap)
            try:
                yield rig
            finally:
                daemon.stopping.set()
                with trio.move_on_after(WAIT_S, shield=True):
                    await ended.wait()
                inner.cancel_scope.cancel()
        nursery.cancel_scope.cancel()
