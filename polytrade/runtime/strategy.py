"""The task that owns the engine: drain, step, measure, hand on.

Its only waits are for the next event and, where the operator chose so, for room in the journal.
Everything it sends is sent with `send_nowait`: an awaited send would close the ring of feeds,
engine and execution and deadlock.
"""

from collections import Counter, deque
from collections.abc import Callable
from typing import Final

import structlog
import trio

from polytrade.config import Latency
from polytrade.core.effects import Alarmed, Effect, PluginFaulted, RequestSnapshot
from polytrade.core.events import Event, MarketResolved
from polytrade.core.ids import NO, YES
from polytrade.core.trust import SYNCED
from polytrade.meter import Meter
from polytrade.metrics import LatencyRecorder
from polytrade.reports.watch import Watch
from polytrade.runtime.inbox import Inbox
from polytrade.runtime.journaling import Journal
from polytrade.runtime.onlookers import Onlookers
from polytrade.runtime.stages import Stages
from polytrade.runtime.status import AlarmRow
from polytrade.session import Session

log = structlog.get_logger(__name__)

ALARMS_MAX: Final = 50
"""Alarms kept for operators: a screenful."""
ACTIONS_MAX: Final = 4096
"""Effects waiting for the execution task: four a market for the most markets followed (1000)."""

Listener = Callable[[Event, list[Effect]], None]


class ActionsFull(AssertionError):
    """The execution task does not consume: an invariant is broken, the process ends."""


class Strategy:
    """Steps the session with what the inbox holds, in order, and hands effects on.

    It puts its own tape into the session: `onlookers`, which the journal, the meter and `watch`
    hang on. `backlog` holds one more than the events behind each that was taken up.
    """

    def __init__(
        self,
        session: Session,
        inbox: Inbox,
        journal: Journal | None,
        meter: Meter,
        latency: Latency,
        watch: Watch | None = None,
        stages: Stages | None = None,
    ) -> None:
        self.session = session
        self.inbox = inbox
        self.journal = journal
        self.meter = meter
        self.onlookers = Onlookers(
            session.engine,
            inbox.clock,
            journal,
            meter,
            watch=watch,
            stages=stages,
            on_failure=self._reports_failed,
        )
        session.tape = self.onlookers
        self.alarms: deque[AlarmRow] = deque(maxlen=ALARMS_MAX)
        self.effects: Counter[str] = Counter()
        self.events = 0
        self.backlog = LatencyRecorder()
        self.first_book_seen = False
        self.first_reference_seen = False
        self.listeners: list[Listener] = []
        self._drain_max = latency.drain_max
        self._turned = trio.Event()
        self._watched = False
        self._send: trio.MemorySendChannel[Effect]
        self.actions: trio.MemoryReceiveChannel[Effect]
        self._send, self.actions = trio.open_memory_channel(ACTIONS_MAX)

    async def run(self) -> None:
        """Step until the inbox is closed and empty."""
        with self._send:
            try:
                while True:
                    event = await self.inbox.receive()
                    self._drain(event)
                    self._turn()
                    if self.journal is not None and self.journal.must_wait:
                        await self.journal.wait_room()
            except trio.EndOfChannel:
                self._turn()

    def _drain(self, event: Event) -> None:
        """Step `event` and what waits behind it, up to a bound, so that other tasks run."""
        inbox = self.inbox
        self._handle(event)
        for _ in range(self._drain_max):
            if not inbox.depth:  # asked first: raising trio.WouldBlock costs more
                return
            self._handle(inbox.receive_nowait())

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Return once `condition` holds after a batch of events; the caller bounds the wait."""
        while not condition():
            self._watched = True
            await self._turned.wait()

    def _handle(self, event: Event) -> None:
        self.backlog.record(self.inbox.depth + 1)  # 0 and 1 would share a bucket
        self.onlookers.take(event)
        steps = self.session.handle(event)
        self.events += len(steps)
        for stepped, effects in steps:
            if effects:
                self._hand_on(stepped, effects)
            if isinstance(stepped, MarketResolved):
                self._tell_outcome(stepped)
            for listener in self.listeners:
                listener(stepped, effects)

    def _reports_failed(self, why: str) -> None:
        ts_ns = self.session.engine.ts_ns
        self.alarms.append(AlarmRow(ts_ns=ts_ns, name="reports_off", detail=why))

    def _tell_outcome(self, event: MarketResolved) -> None:
        """Our own call of the outcome beside the official one."""
        market = self.session.engine.markets.get(event.market)
        if market is None:
            return
        names = {YES: "yes", NO: "no"}
        log.info(
            "market resolved",
            market=market.spec.slug,
            outcome=names.get(event.winner, "50-50"),
            predicted=names.get(market.predicted, "unknown"),
        )

    def _hand_on(self, event: Event, effects: list[Effect]) -> None:
        for effect in effects:
            self.effects[effect.TAG] += 1
            if isinstance(effect, RequestSnapshot):
                try:
                    self._send.send_nowait(effect)
                except trio.WouldBlock:
                    raise ActionsFull(f"{ACTIONS_MAX} effects wait for execution") from None
            elif isinstance(effect, Alarmed):
                self.alarms.append(
                    AlarmRow(ts_ns=event.ts_ns, name=effect.name, detail=effect.detail)
                )
            elif isinstance(effect, PluginFaulted):
                detail = f"{effect.role} {effect.name}: {effect.why}"
                self.alarms.append(
                    AlarmRow(ts_ns=event.ts_ns, name=PluginFaulted.TAG, detail=detail)
                )

    def _turn(self) -> None:
        engine = self.session.engine
        if not self.first_book_seen:
            markets = engine.markets.values()
            self.first_book_seen = any(market.trust.state == SYNCED for market in markets)
        if not self.first_reference_seen:
            references = engine.references.values()
            self.first_reference_seen = any(reference.ts_ns for reference in references)
        if self._watched:  # an Event a batch would cost more than the rest of this
            self._watched = False
            turned, self._turned = self._turned, trio.Event()
            turned.set()
