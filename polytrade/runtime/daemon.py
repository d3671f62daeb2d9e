"""The daemon: what is built, what starts and stops when. Top to bottom is the order.

Inner nurseries hold producers, outer ones what they feed. A stop takes the orders off the book
first, while everything still runs; then the producers go, the engine drains its inbox and ends,
and the journal is closed behind it. Whatever else happens, nothing is left resting.
"""

import random
import resource
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import attrs
import structlog
import trio

from polytrade import strict
from polytrade.catalogue import warnings_of
from polytrade.config import Config
from polytrade.core.events import ModeSet, OrderCancelled, PauseSet
from polytrade.core.limits import HALT
from polytrade.errors import ConfigError, PluginError
from polytrade.runtime.commands import CommandServer
from polytrade.runtime.execution import run_execution
from polytrade.runtime.inbox import Clock
from polytrade.runtime.logs import Logs, configure_logging
from polytrade.runtime.parts import ControlTask, Parts, build_parts
from polytrade.runtime.reload_requests import CONFIG, ReloadRequest
from polytrade.runtime.risk import run_ticks
from polytrade.runtime.status import DaemonStatus
from polytrade.runtime.supervise import (
    ESCALATE,
    PARK,
    RESTART,
    Policy,
    first_error_text,
    supervise,
)
from polytrade.runtime.terminal import run_terminal, summary_lines
from polytrade.runtime.venue import VenueError, managed_venue
from polytrade.runtime.wiring import Run
from polytrade.segments import DiskFile, JournalError, Opener
from polytrade.session import Session, run_started

log = structlog.get_logger(__name__)

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

ORDERS_GONE_S: Final = 5.0
"""Longest a stop waits for the cancels: paper answers in a quarter second at most."""
DRAIN_S: Final = 5.0
"""Longest the engine may take for what is still in the inbox."""
CONTROL_S: Final = 2.0
"""Longest the control plane may take to end: its grace is one second."""
CLOSE_S: Final = 10.0
"""Longest the files may take to close: a full queue at 20 MB a second."""
FILES_MIN: Final = 4096
"""Open files asked for, if the hard limit allows: sockets, segments, HTTP clients."""


def main(
    config: Config,
    run_for: float | None = None,
    *,
    root: Path,
    control: ControlTask,
    record_only: bool = False,
    load: Callable[[], Config] | None = None,
) -> int:
    """Run the daemon to its end; returns the process's exit code.

    0 after a stop that was asked for, 1 after a failure, 2 for a configuration that cannot be run.
    """
    clock = Clock()
    logs = configure_logging(config.control.log_level, clock.now_ns)
    _raise_file_limit()
    daemon = Daemon(config, root, control, clock, logs, run_for, record_only, load=load)
    code = OK
    try:
        trio.run(daemon.run)
    except* (ConfigError, PluginError) as group:
        code = USAGE
        log.error("cannot start", error=first_error_text(group))
    except* (VenueError, JournalError) as group:
        code = FAILED
        log.error("cannot start", error=first_error_text(group))
    except* Exception as group:
        code = FAILED
        log.error("stopped by a failure", error=first_error_text(group), exc_info=group)
    except* KeyboardInterrupt:
        code = FAILED
        log.error("interrupted")
    return code


class Daemon:
    """One run of the daemon; `parts` is there while it runs.

    `load` reads the configuration again, as it was loaded at the start, for SIGHUP.
    `opener` opens the files of the journal and the recording; tests pass a disk that is full.
    """

    def __init__(
        self,
        config: Config,
        root: Path,
        control: ControlTask,
        clock: Clock,
        logs: Logs,
        run_for: float | None,
        record_only: bool,
        *,
        load: Callable[[], Config] | None = None,
        opener: Opener = DiskFile,
    ) -> None:
        self.config = config
        self.parts: Parts | None = None
        self.ready = trio.Event()
        self.stopping = trio.Event()
        self._root = root
        self._control = control
        self._clock = clock
        self._logs = logs
        self._run_for = run_for
        self._record_only = record_only
        self._opener = opener
        self._load = load
        self._rng = random.Random()
        self._control_ended = trio.Event()
        self._last: DaemonStatus | None = None
        self._summary: list[str] = []

    async def run(self) -> None:
        """Run until a signal, the end of `run_for`, or a failure that must end the process."""
        async with managed_venue(self.config, self._root) as config:
            try:
                await self._run(config)
            finally:
                for line in self._summary:
                    print(line)

    async def _run(self, config: Config) -> None:
        built = build_parts(
            *(config, self._root, self._clock, self._rng), base=self.config, opener=self._opener
        )
        async with built as parts:
            self.parts = parts
            _tell_lineup(parts.session)
            try:
                async with trio.open_nursery() as core:
                    self._start_core(core, parts)
                    await self._trade(parts)
                    parts.notices.stopped("a signal")
                    await parts.notices.finish()
                    # The control plane ends by its trigger, within its grace; then the rest goes.
                    core.cancel_scope.deadline = trio.current_time() + CONTROL_S
                    await self._control_ended.wait()
                    core.cancel_scope.cancel()
            finally:
                try:
                    self._summary = summary_lines(self._last or parts.observer.read())
                finally:  # whatever state a crash left the engine in
                    with trio.move_on_after(CLOSE_S, shield=True):
                        await self._close(parts)

    def _start_core(self, core: trio.Nursery, parts: Parts) -> None:
        """What outlives the engine: files, watch, control, terminal, signals."""
        if parts.journal is not None:
            self._supervise(core, parts, "journal", parts.journal.run, ESCALATE)
        if parts.recorder is not None:
            self._supervise(core, parts, "recorder", parts.recorder.run, PARK)
        self._supervise(core, parts, "risk", parts.watch.run, ESCALATE)
        serve = partial(self._serve_control, parts)
        self._supervise(core, parts, "control", serve, RESTART)
        view = partial(run_terminal, parts.observer.read, self._logs.stream)
        self._supervise(core, parts, "terminal", view, PARK)
        self._supervise(core, parts, "notices", parts.notices.run, RESTART)
        core.start_soon(self._watch_signals, core, parts)
        core.start_soon(self._report_logs)
        if self._run_for is not None:
            core.start_soon(self._stop_after, self._run_for)

    async def _trade(self, parts: Parts) -> None:
        """Engine, execution and feeds, until a stop; returns with the inbox drained."""
        async with trio.open_nursery() as engine:
            self._supervise(engine, parts, "strategy", parts.strategy.run, ESCALATE)
            execute = partial(run_execution, parts.strategy.actions, parts.market_feed.resnapshot)
            self._supervise(engine, parts, "execution", execute, RESTART)
            server = CommandServer(
                parts.commands,
                parts.strategy,
                round(self.config.execution.flatten_slippage * 10_000),
                parts.next_window,
                record_only=self._record_only,
            )
            self._supervise(engine, parts, "commands", server.run, RESTART)
            self._supervise(engine, parts, "reloads", parts.reloader.run, RESTART)
            self._supervise(engine, parts, "reload guard", parts.guard.run, RESTART)
            now_ns = self._clock.now_ns()
            parts.inbox.put(run_started(self.config, now_ns, parts.run_id))
            if self._record_only:
                parts.inbox.put(PauseSet(now_ns, True))
            async with trio.open_nursery() as producers:
                self._start_producers(producers, parts)
                self.ready.set()
                await self.stopping.wait()
                log.info("stopping")
                parts.reloader.close()
                before = parts.observer.read()
                await self._orders_gone(parts)
                after = parts.observer.read()
                self._last = attrs.evolve(
                    after, engine_mode=before.engine_mode, engine_why=before.engine_why
                )
                producers.cancel_scope.cancel()
            parts.commands.close()
            parts.inbox.close()
            engine.cancel_scope.deadline = trio.current_time() + DRAIN_S

    async def _serve_control(self, parts: Parts) -> None:
        try:
            await self._control(
                parts.observer.read, parts.commands, self.config.control, self.stopping
            )
        finally:
            if self.stopping.is_set():
                self._control_ended.set()

    def _start_producers(self, producers: trio.Nursery, parts: Parts) -> None:
        for name, (run, policy) in parts.producers.items():
            self._supervise(producers, parts, name, run, policy)
        ticks = partial(run_ticks, parts.inbox, self.config.latency.tick_interval_ms / 1000)
        self._supervise(producers, parts, "ticks", ticks, ESCALATE)

    def _supervise(
        self,
        nursery: trio.Nursery,
        parts: Parts,
        name: str,
        run: Run,
        policy: Policy,
    ) -> None:
        nursery.start_soon(partial(supervise, name, run, policy, table=parts.tasks, rng=self._rng))

    async def _orders_gone(self, parts: Parts) -> None:
        """Halt the engine and wait until nothing of ours rests, while the ticks still go on.

        Cancelled by a crash or a second signal it ends at once: `_close` takes off what is left.
        """
        parts.inbox.put(ModeSet(self._clock.now_ns(), HALT, "the daemon stops"))
        engine, paper = parts.session.engine, parts.session.paper
        with trio.move_on_after(ORDERS_GONE_S) as scope:
            await parts.strategy.wait_until(
                lambda: (
                    engine.risk.mode == HALT
                    and not engine.orders.open_count()
                    and (paper is None or paper.idle)
                )
            )
        if scope.cancelled_caught:
            log.error("orders still open at the stop", orders=engine.orders.open_count())

    async def _close(self, parts: Parts) -> None:
        """Take off what a crash left resting, and close the files; never raises."""
        events = parts.session.abandon(self._clock.now_ns(), "the daemon ended")
        taken_off = [event.order_id for event in events if isinstance(event, OrderCancelled)]
        if taken_off:
            log.warning("orders taken off at the end", orders=taken_off)
        for name, writer in (("journal", parts.journal), ("recorder", parts.recorder)):
            if writer is not None and not await writer.close():
                unwritten = writer.statistics().depth
                error = str(writer.failed)
                log.error("file not closed", file=name, error=error, rows_unwritten=unwritten)

    async def _watch_signals(self, core: trio.Nursery, parts: Parts) -> None:
        """The first SIGTERM or SIGINT stops in order, the second at once; SIGHUP reloads."""
        with trio.open_signal_receiver(*SIGNALS) as signals:
            async for number in signals:
                if number == signal.SIGHUP:
                    core.start_soon(self._reload_config, parts)
                    continue
                if self.stopping.is_set():
                    raise KeyboardInterrupt
                log.info("signal", number=int(number))
                self.stopping.set()

    async def _reload_config(self, parts: Parts) -> None:
        """Load the configuration directory again; what came of it is logged and in the history."""
        if self._load is None:
            log.warning("SIGHUP is ignored: the configuration came from no directory")
            return
        await parts.reloader.reload(ReloadRequest(name=CONFIG, who="SIGHUP", load=self._load))

    async def _stop_after(self, seconds: float) -> None:
        await trio.sleep(seconds)
        self.stopping.set()

    async def _report_logs(self) -> None:
        try:
            while True:
                await trio.sleep(10.0)
                self._logs.report_suppressed()
        finally:
            self._logs.report_suppressed(every=True)


def _tell_lineup(session: Session) -> None:
    lineup = session.lineup
    log.info(
        "lineup",
        **lineup.names,
        feeds=list(lineup.feeds),
        rules=[name for name, _ in lineup.rules],
        notifiers=list(lineup.notifiers),
        plugins=dict(lineup.plugins),
        generation=session.generation,
        config_digest=strict.config_digest(session.config),
    )
    for warning in warnings_of(session.config.plugins):
        log.warning("configuration", warning=warning)


def _raise_file_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_MIN if hard == resource.RLIM_INFINITY else min(FILES_MIN, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
