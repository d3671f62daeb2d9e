"""The tape of a live session: the journal, the stopwatch, and everything that looks on.

Each step reaches them in one order, right after it was made: journal, meter, the folds a report is
made of, samples of the stages. An onlooker that fails is dropped and told of; trading goes on.
"""

from collections.abc import Callable, Sequence
from time import perf_counter_ns
from typing import final

import structlog

from polytrade.core.effects import Effect
from polytrade.core.engine import Engine
from polytrade.core.events import Event, ShadowReset
from polytrade.meter import Meter
from polytrade.reports.watch import Watch
from polytrade.runtime.inbox import Clock
from polytrade.runtime.journaling import Journal
from polytrade.runtime.stages import Stages

log = structlog.get_logger(__name__)


def _nothing(_why: str) -> None:
    return None


@final
class Onlookers:
    """`session.Tape` of a live run.

    `began_ns` is when the present step began (`perf_counter_ns`).

    `watch` is None when reports are not made, and after it failed; `failed` then says how, and
    `on_failure` was called with it.
    """

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        journal: Journal | None,
        meter: Meter,
        *,
        watch: Watch | None = None,
        stages: Stages | None = None,
        on_failure: Callable[[str], None] = _nothing,
    ) -> None:
        self.watch = watch
        self.stages = stages
        self.failed = ""
        self.on_failure = on_failure
        self._engine = engine
        self._clock = clock
        self._journal = journal
        self._meter = meter
        self._event: Event
        self._taken: Event | None = None
        self._backlog_ns = 0
        self.began_ns = 0

    def take(self, event: Event) -> None:
        """An event was taken from the inbox: its own step tells how long it waited."""
        self._taken = event

    def append(self, event: Event) -> None:
        """An event is about to be stepped."""
        if self._journal is not None:
            self._journal.append(event)
        self._event = event
        waited = event is self._taken
        self._backlog_ns = max(self._clock.now_ns() - event.ts_ns, 0) if waited else 0
        self.began_ns = perf_counter_ns()

    def effects(self, effects: Sequence[Effect]) -> None:
        """What the engine answered to the event appended last."""
        step_ns = perf_counter_ns() - self.began_ns
        if self._journal is not None:
            self._journal.effects(effects)
        event = self._event
        self._meter.observe(event, effects, step_ns, self._backlog_ns)
        if self.watch is None:
            return
        try:
            self.watch.observe(event, effects)
            if self.stages is not None:
                if effects:
                    self.stages.observe(self._engine, event, effects)
                if isinstance(event, ShadowReset):
                    self.stages.reset()
        except Exception as error:  # a report is not worth a halt
            self.watch = None
            self.failed = f"{type(error).__name__}: {error}"
            log.error("reports are off: an onlooker failed", exc_info=error)
            self.on_failure(self.failed)
