"""A whole daemon against the local venue over real sockets, in one event loop."""

import io
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import attrs
import httpx2
import trio

from polytrade import strict
from polytrade.config import Config
from polytrade.control.task import run_control
from polytrade.core.events import Event
from polytrade.runtime.daemon import Daemon
from polytrade.runtime.inbox import Clock
from polytrade.runtime.logs import configure_logging
from polytrade.runtime.parts import ControlTask, Parts
from polytrade.runtime.venue import venue_addresses
from polytrade.sandbox import PlaybackOptions, serve
from polytrade.sandbox.timeline import Timeline, scan

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "datasets" / "sample-updown-5m.jsonl.zst"
WAIT_S = 20.0
"""Longest a test waits for what it expects: ten times what a busy machine takes."""


@cache
def timeline() -> Timeline:
    """The sample capture, read once for all tests."""
    return scan((SAMPLE,))


class Tap:
    """Listens to everything the engine steps."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.rows: list[list[object]] = []

    def __call__(self, event: Event, effects: list[Any]) -> None:
        if event.TAG not in ("clock_ticked", "book_changed", "reference_ticked"):
            self.events.append(event)
        self.rows += [effect.row() for effect in effects]

    def count(self, tag: str) -> int:
        """Events, or effects, of a tag so far."""
        events = sum(event.TAG == tag for event in self.events)
        return events + sum(row[0] == tag for row in self.rows)


@attrs.define
class Rig:
    """A running daemon and the venue it talks to."""

    daemon: Daemon
    urls: dict[str, Any]
    tap: Tap
    log: io.StringIO
    client: httpx2.AsyncClient
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

    async def until(self, condition: Callable[[], bool], what: str = "") -> float:
        """Seconds until the condition held; fails after `WAIT_S`."""
        began_s = trio.current_time()
        with trio.move_on_after(WAIT_S):
            while not condition():
                await trio.sleep(0.005)
            return trio.current_time() - began_s
        raise AssertionError(f"not within {WAIT_S} s: {what}\n{self.log.getvalue()[-2000:]}")

    async def quoting(self) -> None:
        """Wait until a quote rests at the paper venue."""
        await self.until(lambda: self.tap.count("order_accepted") > 0, "a quote")
        await self.until(lambda: bool(self.parts.session.paper.resting()), "a resting quote")  # type: ignore[union-attr]

    async def fault(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Order a fault at the venue."""
        answer = await self.client.post(
            f"{self.urls['admin_url']}/admin/fault", json={"kind": kind, **fields}
        )
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def synced(self) -> bool:
        """Whether every book that is open now is synced."""
        open_now = [m for m in self.engine.markets.values() if m.phase == "open"]
        return bool(open_now) and all(m.trust.state == "synced" for m in open_now)

    async def stop(self) -> None:
        """Stop as SIGTERM does and wait for the end."""
        self.daemon.stopping.set()
        with trio.fail_after(WAIT_S):
            await self.ended.wait()

    def journal(self) -> Path:
        """The run's folder."""
        return self.daemon._root / "runs" / self.parts.run_id


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
            *overrides,
        ),
    )


@asynccontextmanager
async def running(
    root: Path,
    *overrides: str,
    control: ControlTask = run_control,
    options: PlaybackOptions | None = None,
    change: Callable[[Config], Config] = lambda config: config,
) -> AsyncIterator[Rig]:
    """A daemon that is up; stopped at the end of the block, whatever happened in it."""
    played = options or PlaybackOptions(files=(SAMPLE,), shift=True, loop=True)
    used = timeline() if options is None else scan(played.files)
    config = sandbox_config(root, *overrides)
    log = io.StringIO()
    async with trio.open_nursery() as nursery:
        urls = await nursery.start(partial(serve, played, timeline=used))
        config = change(attrs.evolve(config, feeds=venue_addresses(config.feeds, urls)))
        clock = Clock()
        logs = configure_logging("debug", clock.now_ns, stream=log, console=False)
        daemon = Daemon(config, root, control, clock, logs, None, False)
        daemon._rng = random.Random(1)
        ended = trio.Event()

        async def run() -> None:
            try:
                await daemon.run()
            finally:
                ended.set()

        async with httpx2.AsyncClient() as client, trio.open_nursery() as inner:
            inner.start_soon(run)
            await daemon.ready.wait()
            rig = Rig(daemon, urls, Tap(), log, client, ended)
            rig.parts.strategy.listeners.append(rig.tap)
            try:
                yield rig
            finally:
                daemon.stopping.set()
                with trio.move_on_after(WAIT_S, shield=True):
                    await ended.wait()
                inner.cancel_scope.cancel()
        nursery.cancel_scope.cancel()
