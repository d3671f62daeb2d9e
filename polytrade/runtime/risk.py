"""The risk task: watches from outside what the limits inside the engine cannot see.

The loop's own latency, losses that stop trading for good, orders that the engine and the paper
venue disagree about, and the interpreter's garbage. Its means are events: it pulls orders by
setting a mode, never by touching the engine.
"""

import gc
import time
from typing import Final

import structlog
import trio

from polytrade.config import Config
from polytrade.core.events import ModeSet
from polytrade.core.limits import HALT, REDUCE, RUN
from polytrade.core.units import MS_NS, ONE_E6, decimal_text, share_e6_down
from polytrade.metrics import LatencyRecorder
from polytrade.runtime.inbox import Inbox
from polytrade.session import Session

log = structlog.get_logger(__name__)

BEAT_S: Final = 0.05
"""Between looks: a stall is seen within this and its own length."""
SETTLE_S: Final = 3.0
"""The start itself (imports, TLS contexts, first connections) holds the loop; nothing is quoted so
soon, so its lag is not counted."""
GUARD_S: Final = 10.0
LAG_BUDGET_NS: Final = 5 * MS_NS
"""The loop's lag at `latency.tail_guard`, over `GUARD_S`, that an operator should know of."""
CALM_S: Final = 5.0
"""How long the loop must be on time before orders go out again."""
MISMATCH_S: Final = 5.0
"""An order only one side knows for this long is a fault: answers take under a second on paper."""
YOUNG_S: Final = 0.25
OLD_S: Final = 10.0
FULL_S: Final = 300.0
"""Garbage is collected by age group at these intervals: young objects cost about 1 ms, all of them
a few, because what exists at the start is frozen."""


class RiskWatch:
    """Loop lag, order agreement and garbage; `lag` holds the lateness of every beat."""

    def __init__(self, config: Config, session: Session, inbox: Inbox) -> None:
        self.lag = LatencyRecorder()
        self.lag_ms_max = 0.0
        self._session = session
        self._inbox = inbox
        self._limit_s = config.risk.max_loop_lag_ms / 1000
        self._freeze = config.latency.gc_freeze
        self._tail = config.latency.tail_guard
        self._recent = LatencyRecorder()
        self._guard_at_s = 0.0
        self._pulled = False
        self._late_s = 0.0
        self._watch_from_s = 0.0
        self._odd_since_s: float | None = None
        self._collected_s = dict.fromkeys((0, 1, 2), 0.0)

    def configure(self, config: Config) -> None:
        """Watch by these settings from now on."""
        self._limit_s = config.risk.max_loop_lag_ms / 1000
        self._tail = config.latency.tail_guard

    async def run(self) -> None:
        """Watch until cancelled."""
        if self._freeze:
            gc.collect()
            gc.freeze()
            gc.disable()
        try:
            due_s = trio.current_time()
            self._watch_from_s = due_s + SETTLE_S
            while True:
                due_s += BEAT_S
                await trio.sleep_until(due_s)
                now_s = trio.current_time()
                late_s = max(now_s - due_s, 0.0)
                self._on_lag(late_s, now_s)
                self._on_loss()
                self._on_orders(now_s)
                if self._freeze:
                    self._collect(now_s)
                due_s = max(due_s, trio.current_time() - BEAT_S)
        finally:
            if self._freeze:
                gc.enable()
                gc.unfreeze()

    def _on_lag(self, late_s: float, now_s: float) -> None:
        if now_s < self._watch_from_s:
            return
        late_ns = round(late_s * 1e9)
        self.lag.record(late_ns)
        self._recent.record(late_ns)
        if now_s >= self._guard_at_s:
            self._guard(now_s)
        self.lag_ms_max = max(self.lag_ms_max, late_s * 1000)
        mode = self._session.engine.risk.mode
        if late_s > self._limit_s:
            self._late_s = now_s
            if mode == RUN:
                self._pulled = True
                self._set(REDUCE, f"the loop was {late_s * 1000:.0f} ms late")
        elif self._pulled and now_s - self._late_s > CALM_S:
            self._pulled = False
            if mode == REDUCE:
                self._set(RUN, f"the loop was on time for {CALM_S:g} s")

    def _guard(self, now_s: float) -> None:
        """Tell when the tail of the last while is over the loop's budget."""
        tail_ns = self._recent.quantile_ns(self._tail)
        if tail_ns is not None and tail_ns > LAG_BUDGET_NS:
            log.warning("the loop is slow", quantile=self._tail, lag_ms=round(tail_ns / MS_NS, 1))
        self._recent.reset()
        self._guard_at_s = now_s + GUARD_S

    def _on_loss(self) -> None:
        """A stop that no time heals is a halt: health tells it, and `clear_halt` begins anew.

        The limits of the same names block the orders at once; this makes it last and be seen.
        """
        engine = self._session.engine
        risk = engine.risk
        if risk.mode == HALT:
            return
        cap_e6 = share_e6_down(engine.ledger.initial_e6, risk.settings.drawdown_cap_e6, ONE_E6)
        for name, loss_e6, most_e6 in (
            ("drawdown_stop", risk.drawdown_e6(), cap_e6),
            ("daily_loss", -risk.daily_pnl_e6(), risk.settings.max_daily_loss_e6),
        ):
            if loss_e6 > 0 and loss_e6 >= most_e6:
                lost, most = decimal_text(loss_e6, 6), decimal_text(most_e6, 6)
                self._set(HALT, f"{name}: {lost} USDC lost, limit {most}")
                return

    def _on_orders(self, now_s: float) -> None:
        """On paper both sides live here: an order known to one alone is a fault of ours."""
        paper = self._session.paper
        if paper is None:
            return
        engine = self._session.engine
        ours = {order.order_id for order in engine.orders.all_open()}
        theirs = set(paper.resting())
        if theirs <= ours:
            self._odd_since_s = None
            return
        if self._odd_since_s is None:
            self._odd_since_s = now_s
        elif now_s - self._odd_since_s > MISMATCH_S and engine.risk.mode != HALT:
            odd = ", ".join(sorted(theirs - ours)[:5])
            self._set(HALT, f"orders at the venue that the engine does not know: {odd}")

    def _set(self, mode: str, why: str) -> None:
        log.warning("mode", mode=mode, why=why)
        self._inbox.put(ModeSet(self._inbox.now_ns(), mode, why))

    def _collect(self, now_s: float) -> None:
        for generation, every_s in ((2, FULL_S), (1, OLD_S), (0, YOUNG_S)):
            if now_s - self._collected_s[generation] < every_s:
                continue
            for younger in range(generation + 1):
                self._collected_s[younger] = now_s
            began_ns = time.perf_counter_ns()
            gc.collect(generation)
            took_ms = (time.perf_counter_ns() - began_ns) / MS_NS
            if generation == 2:
                log.debug("garbage collected", ms=round(took_ms, 2))
            return


async def run_ticks(inbox: Inbox, interval_s: float) -> None:
    """Put a clock tick every `interval_s`; ticks conflate when the engine is behind."""
    while True:
        inbox.put_tick()
        await trio.sleep(interval_s)
