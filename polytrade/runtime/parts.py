"""The parts of a run, built from the configuration and wired to each other."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final, Protocol

import attrs
import httpx2
import structlog
import trio

from polytrade import strict
from polytrade.config import Config, Control
from polytrade.core.events import ModeSet
from polytrade.core.limits import HALT
from polytrade.core.units import MS_NS, SECOND_NS
from polytrade.journal import JournalHeader
from polytrade.lineup import build_lineup
from polytrade.meter import Meter
from polytrade.polymarket.discovery import Discovery
from polytrade.polymarket.feed import MarketFeed
from polytrade.polymarket.rest import new_client
from polytrade.polymarket.wire import MarketDecoder
from polytrade.reports.watch import Watch
from polytrade.runtime.budget import Budget
from polytrade.runtime.command_requests import Commands
from polytrade.runtime.guard import Guard
from polytrade.runtime.hosts import HostTable
from polytrade.runtime.inbox import Clock, Inbox
from polytrade.runtime.journaling import Journal
from polytrade.runtime.links import FeedTable
from polytrade.runtime.notices import Notices
from polytrade.runtime.observe import Observer
from polytrade.runtime.recorder import Recorder
from polytrade.runtime.reload_wiring import quarantine, records_raw, under_watch, wire_reloads
from polytrade.runtime.reloading import Reloader
from polytrade.runtime.reporting import Reporter
from polytrade.runtime.risk import RiskWatch
from polytrade.runtime.stages import Stages
from polytrade.runtime.status import DaemonStatus
from polytrade.runtime.strategy import Strategy
from polytrade.runtime.supervise import RESTART, Policy, TaskTable
from polytrade.runtime.wiring import Run, Shared, wire
from polytrade.segments import DiskFile, JournalError, Opener
from polytrade.session import Session, build_session, code_version

log = structlog.get_logger(__name__)

CLOSE_CLIENT_S: Final = 2.0


class ControlTask(Protocol):
    """What the daemon is given to run as its control plane."""

    async def __call__(
        self,
        read: Callable[[], DaemonStatus],
        commands: Commands,
        config: Control,
        stopping: trio.Event,
    ) -> None:
        """Serve until `stopping` is set."""


@attrs.define(kw_only=True)
class Parts:
    """Everything a run is made of. `producers` run beside the engine, by task name."""

    run_id: str
    inbox: Inbox
    session: Session
    strategy: Strategy
    watch: RiskWatch
    observer: Observer
    commands: Commands
    tasks: TaskTable
    market_feed: MarketFeed
    discovery: Discovery
    producers: dict[str, tuple[Run, Policy]]
    decoder: MarketDecoder
    journal: Journal | None
    recorder: Recorder | None
    reporter: Reporter
    notices: Notices
    reloader: Reloader
    guard: Guard

    def next_window(self) -> int:
        """Begin a new measuring window; its number. Meter and shadow begin it by the event."""
        self.reporter.reset()
        self.observer.window_id += 1
        return self.observer.window_id


@asynccontextmanager
async def build_parts(
    config: Config,
    root: Path,
    clock: Clock,
    rng: random.Random,
    *,
    base: Config | None = None,
    opener: Opener = DiskFile,
) -> AsyncIterator[Parts]:
    """The parts, with one HTTP client that lives as long as the block.

    `base` is the configuration as it was loaded, before a managed venue put its addresses in.
    Raises ConfigError, PluginError and JournalError for what cannot be built.
    """
    client = new_client()
    try:
        yield _build(config, root, clock, rng, client, opener, base)
    finally:
        with trio.move_on_after(CLOSE_CLIENT_S, shield=True):
            await client.aclose()


def _build(
    config: Config,
    root: Path,
    clock: Clock,
    rng: random.Random,
    client: httpx2.AsyncClient,
    opener: Opener,
    base: Config | None,
) -> Parts:
    created = datetime.fromtimestamp(clock.now_ns() / SECOND_NS, UTC)
    run_id = created.strftime("%Y%m%dT%H%M%S.%f")[:-3] + "Z"
    lineup = build_lineup(config)
    stages, inbox = Stages(), Inbox(clock, config.latency.inbox_capacity)
    session: Session  # it is made with the stopwatches, and they ask it
    budget = Budget(config.reload, partial(quarantine, inbox, lambda: session.generation))
    wrap = partial(under_watch, stages, budget)
    session = build_session(config, lineup=wrap(lineup))
    journal, recorder = _records(config, root, run_id, created, session, opener)
    _listen(inbox, journal, recorder.tap(records_raw(config)))
    strategy = _watched(config, session, inbox, journal, stages)
    watch = RiskWatch(config, session, inbox)
    shared = Shared(clock, rng, client, inbox, TaskTable(), FeedTable(), HostTable(clock))
    reporter, observer = _looking_on(
        config, root, run_id, strategy, watch, shared, stages, recorder
    )
    wiring = wire(config, shared, lineup, budget)
    commands = Commands(reporter)
    upkeep = wire_reloads(
        base if base is not None else config,
        shared,
        strategy,
        observer=observer,
        commands=commands,
        reporter=reporter,
        watch=watch,
        budget=budget,
        wrap=wrap,
        feeds=wiring.plugin_feeds,
        recorder=recorder,
    )
    return Parts(
        run_id=run_id,
        inbox=inbox,
        session=session,
        strategy=strategy,
        watch=watch,
        observer=observer,
        commands=commands,
        tasks=shared.tasks,
        journal=journal,
        recorder=recorder,
        market_feed=wiring.market_feed,
        discovery=wiring.discovery,
        decoder=wiring.decoder,
        producers={**wiring.producers, "reports": (reporter.run, RESTART)},
        reporter=reporter,
        notices=upkeep.notices,
        reloader=upkeep.reloader,
        guard=upkeep.guard,
    )


def _looking_on(
    config: Config,
    root: Path,
    run_id: str,
    strategy: Strategy,
    watch: RiskWatch,
    shared: Shared,
    stages: Stages,
    recorder: Recorder | None,
) -> tuple[Reporter, Observer]:
    """What makes reports and snapshots."""
    reporter = Reporter(
        config,
        root,
        run_id,
        strategy,
        watch,
        stages=stages,
        tasks=shared.tasks,
        journal=strategy.journal,
        recorder=recorder,
    )
    observer = Observer(
        config,
        run_id,
        strategy,
        watch,
        tasks=shared.tasks,
        feeds=shared.feeds,
        hosts=shared.hosts,
        journal=strategy.journal,
        recorder=recorder,
        reporter=reporter,
    )
    return reporter, observer


def _watched(
    config: Config, session: Session, inbox: Inbox, journal: Journal | None, stages: Stages
) -> Strategy:
    """The strategy task with everything a report is made of looking on."""
    meter = Meter(config.risk.stale_tick_filter_ms * MS_NS)
    watch = Watch(config, session.engine, meter)
    return Strategy(session, inbox, journal, meter, config.latency, watch, stages)


def _records(
    config: Config,
    root: Path,
    run_id: str,
    created: datetime,
    session: Session,
    opener: Opener,
) -> tuple[Journal | None, Recorder]:
    """The journal the configuration asks for, and the recorder, which may begin at a reload.

    JournalError when one cannot be.
    """
    storage = config.storage
    data_dir = root / storage.data_dir
    stamp = created.strftime("%Y-%m-%dT%H:%M:%SZ")
    journal = None
    if storage.journal:
        header = JournalHeader(
            run_id=run_id,
            created=stamp,
            code_version=code_version(),
            config=strict.to_dict(config),
            config_digest=strict.config_digest(config),
            plugins=dict(session.lineup.plugins),
        )
        journal = Journal.open(
            data_dir, header, config.latency, segment_mb=storage.segment_mb, opener=opener
        )
    recorder = Recorder(
        data_dir,
        run_id,
        stamp,
        config.latency,
        segment_mb=storage.segment_mb,
        on_failure=lambda error: log.error("recorder cannot write", error=str(error)),
        on_recovered=lambda: log.info("the recorder is written again"),
        opener=opener,
        begin=records_raw(config),
    )
    return journal, recorder


def _listen(inbox: Inbox, journal: Journal | None, recorder: Recorder | None) -> None:
    """Let the recorder hear the inbox, and the inbox what becomes of the journal."""
    inbox.recorder = recorder
    if journal is not None:
        journal.listen(partial(_halt, inbox), partial(log.info, "the journal is written again"))


def _halt(inbox: Inbox, error: JournalError) -> None:
    """No order without a journal: the engine halts until an operator resumes it."""
    log.error("journal cannot be written", error=str(error))
    inbox.put(ModeSet(inbox.now_ns(), HALT, f"journal: {error}"))
