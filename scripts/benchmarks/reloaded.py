"""The daemon whose plugins are reloaded, and who counts what passes through it.

As `python -m benchmarks.reloaded` it is the child: a whole daemon on a venue that is up, answering
lines of JSON with what happened since the last one.
"""

import gc
import json
import os
import resource
import sys
import time
import weakref
import zlib
from functools import partial
from pathlib import Path
from typing import Any, Final, TextIO

import trio

from benchmarks.workers import ROOT
from polytrade import strict
from polytrade.config import Config
from polytrade.control.task import run_control
from polytrade.core.effects import Effect
from polytrade.core.events import Event, LineupSwapped
from polytrade.journal import read_journal
from polytrade.runtime import parts as daemon_parts
from polytrade.runtime.daemon import Daemon
from polytrade.runtime.inbox import Clock, Inbox
from polytrade.runtime.logs import configure_logging
from polytrade.runtime.parts import Parts

REFERENCES_MAX: Final = 100_000
"""Weak references kept: a few for each of the reloads asked for."""
OF_THE_VENUE: Final = frozenset(
    {
        *("order_accepted", "order_rejected", "order_filled", "order_cancelled", "order_lost"),
        *("fill_confirmed", "fill_failed", "cancel_rejected", "pairs_merged", "pairs_split"),
        "rebate_paid",
    }
)
"""Answers of the paper venue: the session steps them, they come from no queue."""


class Passing:
    """Every event from the queue to the engine: the one taken must be the one stepped, once.

    `lost` were taken and not stepped, or numbered and not offered; `doubled` were stepped without
    being taken, or numbered twice. `digest` is over all that was stepped, in order.
    """

    def __init__(self) -> None:
        self.handled = self.lost = self.doubled = 0
        self.digest = 0
        self.watching = False
        self._taken: Event | None = None
        self._seq = 0

    def taken(self, event: Event) -> None:
        """The engine's task took an event from the queue."""
        if self.watching and self._taken is not None:
            self.lost += 1
        self._taken = event

    def stepped(self, event: Event, _effects: list[Effect]) -> None:
        """The engine stepped an event."""
        text = f"{event.ts_ns}{event.TAG}"
        self.digest = zlib.crc32(text.encode(), self.digest)
        if event is self._taken:
            self._taken = None
            self.handled += 1
        elif event.TAG not in OF_THE_VENUE:
            self.doubled += 1

    # -- inbox.RecorderTap

    def frame(self, ingest_seq: int, *_rest: object) -> None:
        """A frame was numbered."""
        self._number(ingest_seq)

    def event(self, ingest_seq: int, *_rest: object) -> None:
        """An event of no frame was numbered."""
        self._number(ingest_seq)

    def _number(self, seq: int) -> None:
        if self._seq:
            self.lost += max(seq - self._seq - 1, 0)
            self.doubled += seq <= self._seq
        self._seq = seq


class CountedInbox(Inbox):
    """An inbox that tells `passing` what is numbered and what is taken from it.

    It records nothing: whom a reload makes its recorder is never told of anything.
    """

    passing: Final = Passing()

    @property
    def recorder(self) -> Passing:
        """Who hears of every number."""
        return self.passing

    @recorder.setter
    def recorder(self, _recorder: object) -> None:
        return None

    def _pop(self) -> Event:
        event = super()._pop()
        self.passing.taken(event)
        return event


class Generations:
    """Weak references to everything that reloads replace, by what it is and its name."""

    def __init__(self, parts: Parts) -> None:
        self._session = parts.session
        self._last: dict[tuple[str, str], int] = {}
        self._kept: dict[tuple[str, str], list[weakref.ref[Any]]] = {}
        self._keep()

    def __call__(self, event: Event, _effects: list[Effect]) -> None:
        if isinstance(event, LineupSwapped):
            self._keep()

    def _keep(self) -> None:
        lineup = self._session.lineup
        self._add("lineup", "", lineup)
        for (kind, name), made in lineup.objects().items():
            if hasattr(type(made), "__weakref__"):
                self._add("plugin", f"{kind}/{name}", made)
        assert lineup.catalogue is not None
        for modules in lineup.catalogue.modules.values():
            for name, module in modules.items():
                self._add("module", name, module)

    def _add(self, what: str, name: str, made: object) -> None:
        if self._last.get((what, name)) != id(made):
            self._last[what, name] = id(made)
            kept = self._kept.setdefault((what, name), [])
            kept.append(weakref.ref(made))
            del kept[:-REFERENCES_MAX]

    def alive(self) -> dict[str, int]:
        """The most that is alive of one name after a collection, of each sort."""
        gc.collect()
        found: dict[str, int] = {}
        for (what, _), kept in self._kept.items():
            alive = len({id(it) for one in kept if (it := one()) is not None})
            found[what] = max(found.get(what, 0), alive)
        return found


class Reloaded:
    """The daemon with its counters; answers one request after the other."""

    def __init__(self, daemon: Daemon, out: TextIO) -> None:
        self.ended = trio.Event()
        self._daemon = daemon
        self._out = out
        self._passing = CountedInbox.passing
        self._began = 0

    @property
    def _parts(self) -> Parts:
        assert self._daemon.parts is not None
        return self._daemon.parts

    async def run(self) -> None:
        """Until the requests end; the daemon is stopped in order then."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._run_daemon)
            await self._daemon.ready.wait()
            strategy = self._parts.strategy
            self._generations = Generations(self._parts)
            self._began = strategy.events
            self._passing.watching = True
            self._passing.digest = 0
            strategy.listeners += [self._passing.stepped, self._generations]
            self._answer({"started": True})
            async for line in trio.wrap_file(sys.stdin):
                request = json.loads(line)
                self._answer(await self._reply(request))
            self._daemon.stopping.set()

    def _answer(self, answer: dict[str, Any]) -> None:
        print(json.dumps(answer), file=self._out, flush=True)

    async def _run_daemon(self) -> None:
        try:
            await self._daemon.run()
        finally:
            self.ended.set()

    async def _reply(self, request: dict[str, Any]) -> dict[str, Any]:
        if "stop" in request:
            return await self._stop()
        return self._memory() if "memory" in request else await self._mark()

    def _memory(self) -> dict[str, Any]:
        """Memory in use after a collection."""
        gc.collect()
        return {"memory": resident_bytes()}

    async def _mark(self) -> dict[str, Any]:
        """What happened since the last mark."""
        await trio.lowlevel.checkpoint()
        parts, passing = self._parts, self._passing
        meter = parts.strategy.meter
        answer = {
            "handled": passing.handled,
            "lost": passing.lost + parts.inbox.statistics().dropped_events,
            "doubled": passing.doubled,
            "placed": parts.strategy.effects["place_order"],
            "orphans": orphans(parts),
            "decision_ns": meter.latencies["tick_to_decision_ms"].quantile_ns(0.99) or 0,
            "lag_ns": parts.watch.lag.quantile_ns(0.99) or 0,
            "alive": self._generations.alive(),
            "memory": resident_bytes(),
            "mono_s": time.monotonic(),
        }
        for recorder in meter.latencies.values():
            recorder.reset()
        parts.watch.lag.reset()
        return answer

    async def _stop(self) -> dict[str, Any]:
        """Stop in order, and hold the journal against what was stepped."""
        parts = self._parts
        self._daemon.stopping.set()
        await self.ended.wait()
        assert parts.journal is not None and parts.session.paper is not None
        read = partial(journal_digest, self._daemon.config, parts.run_id, self._began)
        events, digest, whole = await trio.to_thread.run_sync(read)
        return {
            "events": parts.strategy.events,
            "journalled": events,
            "same": whole and digest == self._passing.digest,
            "resting": len(parts.session.paper.resting())
            + parts.session.engine.orders.open_count(),
        }


def orphans(parts: Parts) -> int:
    """Orders that rest at the paper venue and that the engine does not know as open."""
    engine, paper = parts.session.engine, parts.session.paper
    assert paper is not None
    known = {order.order_id for order in engine.orders.all_open()}
    return len([order_id for order_id in paper.resting() if order_id not in known])


def journal_digest(config: Config, run_id: str, began: int) -> tuple[int, int, bool]:
    """Events of a run's journal, a digest of those behind the first `began`, and no hole in it."""
    reader = read_journal(Path(config.storage.data_dir) / run_id)
    count = digest = 0
    for entry in reader:
        count += 1
        if entry.seq > began:
            text = f"{entry.event.ts_ns}{entry.event.TAG}"
            digest = zlib.crc32(text.encode(), digest)
    return count, digest, reader.trailer is not None and reader.lost_tail is None


def resident_bytes() -> int:
    """Memory in use."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


def main() -> None:
    """Run the daemon of the sandbox's configuration, with what the first line asks for."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the daemon prints is no answer
    asked = json.loads(sys.stdin.readline())
    sys.path.insert(0, asked["site"])
    config = strict.load(ROOT / "configs" / "sandbox", asked["overrides"])
    setattr(daemon_parts, "Inbox", CountedInbox)  # noqa: B010  (a name it does not export)
    clock = Clock()
    logs = configure_logging("error", clock.now_ns, console=False)
    root = Path(config.storage.data_dir).parent
    daemon = Daemon(config, root, run_control, clock, logs, None, False)
    trio.run(Reloaded(daemon, out).run)


if __name__ == "__main__":
    main()
