"""Reloads wired to the parts of a run: notifiers, the reload task, the guard, who is told."""

from collections.abc import Callable
from functools import partial

import attrs

from polytrade.config import Config
from polytrade.core.events import PluginQuarantined
from polytrade.hookspecs import FEED
from polytrade.lineup import Lineup
from polytrade.notices import QUARANTINE
from polytrade.runtime.budget import Budget
from polytrade.runtime.command_requests import Commands
from polytrade.runtime.guard import Guard
from polytrade.runtime.inbox import Inbox
from polytrade.runtime.notices import Notices
from polytrade.runtime.observe import Observer
from polytrade.runtime.operator import DaemonOperator
from polytrade.runtime.plugin_feeds import PluginFeeds
from polytrade.runtime.recorder import Recorder
from polytrade.runtime.reloading import Reloader
from polytrade.runtime.reporting import Reporter
from polytrade.runtime.risk import RiskWatch
from polytrade.runtime.stages import Stages
from polytrade.runtime.status import ReloadsRow
from polytrade.runtime.strategy import Strategy
from polytrade.runtime.wiring import Shared
from polytrade.session import Session


@attrs.frozen
class Upkeep:
    """What keeps a run's plugins: they are told news, replaced, and watched after that."""

    notices: Notices
    reloader: Reloader
    guard: Guard


def wire_reloads(
    base: Config,
    shared: Shared,
    strategy: Strategy,
    *,
    observer: Observer,
    commands: Commands,
    reporter: Reporter,
    watch: RiskWatch,
    budget: Budget,
    wrap: Callable[[Lineup], Lineup],
    feeds: PluginFeeds,
    recorder: Recorder,
) -> Upkeep:
    """The parts that reload, with `commands` and `observer` knowing of them."""
    session = strategy.session
    notices = _notices(session, observer, commands, shared)
    strategy.listeners.append(notices.observe)
    reloader = Reloader(
        strategy,
        reporter.folder,
        base,
        feeds=feeds,
        notices=notices,
        wrap=wrap,
        appliers=_appliers(strategy, recorder, watch, budget, reporter),
    )
    commands.reloads = reloader
    guard = Guard(
        *(strategy, budget, reloader, lambda: session.config.reload),
        pause=commands.pause,
        alarm=notices.alarm,
    )
    reloader.accepted, reloader.swapper.before = guard.accepted, guard.swapping
    observer.reloads = partial(_reloads_row, reloader, budget, guard)
    feeds.tell, observer.feed_faults = partial(_feed_is_out, notices), feeds.faults
    return Upkeep(notices, reloader, guard)


def under_watch(stages: Stages, budget: Budget, lineup: Lineup) -> Lineup:
    """The lineup under every stopwatch."""
    return stages.timed(budget.watched(lineup))


def quarantine(inbox: Inbox, generation: Callable[[], int], role: str, why: str) -> None:
    """Put the plugin of a role out of service, by an event."""
    inbox.put(PluginQuarantined(inbox.now_ns(), role, why, generation()))


def _feed_is_out(notices: Notices, name: str, why: str) -> None:
    data = {"role": FEED, "name": name, "why": why}
    notices.tell(QUARANTINE, f"{FEED} {name} is cut out: {why}", data)


def _notices(session: Session, observer: Observer, commands: Commands, shared: Shared) -> Notices:
    """The notifiers of the lineup, which may command as the control plane does."""
    notices = Notices(
        session.engine,
        shared.clock.now_ns,
        tasks=shared.tasks,
        rng=shared.rng,
        operator=DaemonOperator(observer.read, commands),
    )
    notices.configure(session.lineup.notifiers)
    return notices


def records_raw(config: Config) -> bool:
    """Whether raw frames are recorded."""
    return config.storage.record_raw or config.latency.json_mode == "raw"


def _appliers(
    strategy: Strategy,
    recorder: Recorder,
    watch: RiskWatch,
    budget: Budget,
    reporter: Reporter,
) -> list[Callable[[Config], None]]:
    """Whom of the shell a reload concerns: each is told the configuration in force."""

    def files(config: Config) -> None:
        for writer in (strategy.journal, recorder):
            if writer is not None:
                writer.configure(config.latency)
        # What is not recorded leaves a hole in `ingest_seq`, by which the recording tells it.
        strategy.inbox.recorder = recorder.tap(records_raw(config))

    def plugins(config: Config) -> None:
        budget.configure(config.reload)

    return [files, plugins, watch.configure, reporter.configure]


def _reloads_row(reloader: Reloader, budget: Budget, guard: Guard) -> ReloadsRow:
    return ReloadsRow(
        generation=reloader.generation,
        applied=reloader.kept.accepted,
        refused=reloader.kept.refused,
        rolled_back=guard.rollbacks,
        guard=guard.stuck,
        overruns=budget.overruns,
        quarantined=budget.quarantined,
        swap_pause_us=reloader.swapper.pause_us,
    )
