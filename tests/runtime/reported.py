"""The parts of a live run fed with the beginning of a venue's day, as fast as they take it."""

import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import attrs
import trio
import trio.testing

from polytrade.config import Config, Storage
from polytrade.core.events import (
    ClockSkewMeasured,
    Event,
    FeedGap,
    FlattenRequested,
    ModeSet,
    PauseSet,
    ReferenceTicked,
)
from polytrade.core.ids import FAST
from polytrade.core.limits import REDUCE
from polytrade.core.units import MS_NS, SECOND_NS
from polytrade.decoding import FrameDecoders, recorded_events
from polytrade.runtime.inbox import Clock
from polytrade.runtime.parts import Parts, build_parts
from polytrade.runtime.supervise import ESCALATE, supervise
from polytrade.sandbox.tape import Tape
from polytrade.sandbox.venue.options import VenueOptions
from polytrade.session import run_started

OPTIONS = VenueOptions(
    seed=5, coins=("btc",), windows=("5m",), windows_ahead=0, slow_markets=False, activity=0.4
)
SOURCES = ("market", "rtds", "binance")
BATCH = 64
CLOSE_S = 5.0
LATE_NS = 40_000
"""How long an event is under way before it is put."""

SHELL_ONLY = {"loop_lag_p99_ms", "feed_last_message_age_ms", "host_reachable"}
"""Metrics of sockets and of the risk task; `tests/daemon/test_reports.py` sees them alive."""
SHELL_LATENCIES = {"parse_us", "loop_lag_ms"}


def config(root: Path) -> Config:
    """A maker that quotes early and often and a taker, so that a short run fills."""
    base = Config(storage=Storage(data_dir=str(root / "runs")))
    strategy = attrs.evolve(
        base.strategy, min_edge_bps=0.0, base_quote_size=10.0, max_spread=0.08, taker="profile"
    )
    return attrs.evolve(base, strategy=strategy)


class Time:
    """The clock of a fed run: the time of the newest event."""

    def __init__(self) -> None:
        self.now_ns = 0

    def clock(self) -> Clock:
        """A clock that stands where the events are."""
        return Clock(lambda: self.now_ns, lambda: self.now_ns)


def events(seconds: int, settings: Config) -> Iterator[Event]:
    """The tape's events, and near its end what else happens to a live run."""
    first_ns, said, at_ns = 0, False, 0
    ticks_ns = settings.latency.tick_interval_ms * MS_NS
    for event in recorded_events(
        Tape(OPTIONS, sources=SOURCES).records(seconds),
        FrameDecoders(),
        lambda ts_ns: run_started(settings, ts_ns, "fed"),
        ticks_ns,
    ):
        yield event
        first_ns = first_ns or event.ts_ns
        at_ns = event.ts_ns
        if not said and at_ns - first_ns > (seconds - 4) * SECOND_NS:
            said = True
            yield ClockSkewMeasured(at_ns, 12)
            yield FeedGap(at_ns, "binance/0", "", "sequence")
            old_ns = at_ns - 9 * SECOND_NS
            yield ReferenceTicked(at_ns, "BTC", "binance/0", FAST, 6_000_000_000_000, old_ns)
            yield FeedGap(at_ns, "polymarket.market/0", "", "disconnected")
    yield ModeSet(at_ns, REDUCE, "told to")
    yield FlattenRequested(at_ns, 500)
    yield PauseSet(at_ns, True)


@asynccontextmanager
async def fed(root: Path, seconds: int) -> AsyncIterator[Parts]:
    """Parts that have stepped `seconds` of the tape; nothing comes after that."""
    settings, time = config(root), Time()
    feed = events(seconds, settings)
    held = [next(feed)]
    time.now_ns = held[0].ts_ns + LATE_NS
    built = build_parts(settings, root, time.clock(), random.Random(1))
    async with built as parts, trio.open_nursery() as nursery:
        assert parts.journal is not None
        run = partial(supervise, "strategy", parts.strategy.run, ESCALATE)
        nursery.start_soon(partial(run, table=parts.tasks, rng=random.Random(1)))
        nursery.start_soon(parts.journal.run)
        nursery.start_soon(parts.reporter.run)
        await trio.testing.wait_all_tasks_blocked()
        parts.inbox.put(held[0])
        for count, event in enumerate(feed):
            time.now_ns = max(time.now_ns, event.ts_ns + LATE_NS)
            parts.inbox.put(event)
            if count % BATCH == 0:
                await parts.strategy.wait_until(lambda: not parts.inbox.depth)
        parts.inbox.put_tick()
        await parts.strategy.wait_until(lambda: not parts.inbox.depth)
        try:
            yield parts
        finally:
            with trio.move_on_after(CLOSE_S, shield=True):
                await parts.journal.close()
            nursery.cancel_scope.cancel()
