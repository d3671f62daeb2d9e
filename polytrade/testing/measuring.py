"""How long a plugin's answers take, and what memory: for `polytrade plugins bench`.

Tests do not assert times: a busy machine is no fault of the code.
"""

import gc
import tracemalloc
from collections.abc import Callable, Iterable
from itertools import islice
from time import perf_counter_ns
from typing import Any

import attrs

from polytrade.config import Config
from polytrade.core.effects import Effect, PluginFaulted
from polytrade.core.events import Event
from polytrade.hookspecs import KINDS, RISK_RULE
from polytrade.testing.runs import config, role_of, session_for, with_start

TRACED_STEPS = 2_000
"""Events of the pass that counts memory: it is some ten times slower than the other."""


@attrs.define
class Calls:
    """The calls of one method: nanoseconds each, and the most bytes each held at once.

    Times are of the call with our own stopwatch, about a tenth of a microsecond. `broken` says why
    the object was taken out of service and not asked any more, empty when it was not.
    """

    kind: str
    method: str
    took_ns: list[int] = attrs.field(factory=list, repr=False)
    peak_bytes: list[int] = attrs.field(factory=list, repr=False)
    kept_bytes: int = 0
    broken: str = ""

    def us(self, share: float) -> float:
        """The time in microseconds that `share` of the calls stayed within; 0.0 without calls."""
        return _quantile(self.took_ns, share) / 1_000

    def peak(self, share: float) -> int:
        """The bytes that `share` of the calls stayed within; 0 without calls."""
        return _quantile(self.peak_bytes, share)

    def over(self, budget_us: int) -> int:
        """How many calls took longer than that."""
        return sum(took > budget_us * 1_000 for took in self.took_ns)


def measure_calls(
    factory: Callable[[], object], events: Iterable[Event], *, settings: Config | None = None
) -> list[Calls]:
    """Run what `factory` makes over the events and measure every answer, by method.

    A first pass takes times, with the garbage collector off as in the daemon; a second one over the
    first events counts memory. TypeError when the engine calls nothing of it.
    """
    settings = settings or config()
    listed = list(events)
    timed = _Stand(factory(), _time)
    gc.collect()
    gc.disable()
    try:
        timed.run(listed, settings)
    finally:
        gc.enable()
    traced = _Stand(factory(), _trace)
    tracemalloc.start()
    try:
        traced.run(islice(listed, TRACED_STEPS), settings)
    finally:
        tracemalloc.stop()
    for name, calls in timed.calls.items():
        calls.peak_bytes = traced.calls[name].peak_bytes
        calls.kept_bytes = traced.calls[name].kept_bytes
        calls.broken = timed.broken
    return list(timed.calls.values())


class _Stand:
    """An object in its role, every answer under the eyes of `watch`."""

    def __init__(self, inner: Any, watch: Callable[..., Any]) -> None:
        self.kind = role_of(inner)
        self.broken = ""
        self.calls = {method: Calls(self.kind, method) for method in KINDS[self.kind].methods}
        for method, calls in self.calls.items():
            setattr(self, method, watch(getattr(inner, method), calls))

    def run(self, events: Iterable[Event], settings: Config) -> None:
        rule = self.kind == RISK_RULE
        session = session_for(settings, {} if rule else {self.kind: self}, (self,) if rule else ())
        for event in with_start(events, settings):
            for _, effects in session.handle(event):
                self.broken = self.broken or self._fault(effects)

    def _fault(self, effects: Iterable[Effect]) -> str:
        for effect in effects:
            if isinstance(effect, PluginFaulted) and effect.role == self.kind:
                return effect.why
        return ""


def _time(called: Callable[..., Any], calls: Calls) -> Callable[..., Any]:
    took_ns = calls.took_ns

    def call(*arguments: Any) -> Any:
        began_ns = perf_counter_ns()
        answer = called(*arguments)
        took_ns.append(perf_counter_ns() - began_ns)
        return answer

    return call


def _trace(called: Callable[..., Any], calls: Calls) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        answer = called(*arguments)
        after, peak = tracemalloc.get_traced_memory()
        calls.peak_bytes.append(peak - before)
        calls.kept_bytes += after - before
        return answer

    return call


def _quantile(values: list[int], share: float) -> int:
    """The smallest value that at least `share` of the values do not exceed."""
    if not values:
        return 0
    ranked = sorted(values)
    return ranked[min(int(share * len(ranked)), len(ranked) - 1)]
