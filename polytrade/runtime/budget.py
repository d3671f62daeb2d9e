"""How long plugins take: each answer against its budget, the slow ones out of service.

Built-in objects have none. The first overrun of an object only makes it suspect: from then on what
the host took away during a call is told apart from what the call took, which costs two more system
calls a call. Repeated overruns become a PluginQuarantined event, once until the next swap.
"""

from collections import deque
from collections.abc import Callable
from resource import RUSAGE_THREAD, getrusage
from time import perf_counter_ns
from typing import Any, Final, final

import attrs
import structlog

from polytrade.catalogue import BUILTIN
from polytrade.config import Reload
from polytrade.core.units import SECOND_NS
from polytrade.hookspecs import KINDS, RISK_RULE
from polytrade.lineup import ROLES, Lineup

log = structlog.get_logger(__name__)

Quarantine = Callable[[str, str], None]
"""Called with the role and why."""
KEPT_MAX: Final = 10_000
"""Overruns remembered of an object: the most that `reload.overruns_max` may be."""


@final
class Overruns:
    """The overruns of one object, whose role is `role`."""

    __slots__ = ("_budget", "_times_ns", "role", "suspect")

    def __init__(self, budget: "Budget", role: str) -> None:
        self.role = role
        self.suspect = False
        self._budget = budget
        self._times_ns: deque[int] = deque(maxlen=KEPT_MAX)

    def over(self, took_ns: int) -> None:
        """A call took longer than the budget."""
        if not self.suspect:
            self.suspect = True
            return
        self._times_ns.append(perf_counter_ns())
        self._budget.judge(self.role, self._times_ns, took_ns)


@final
class Budget:
    """The time budget of plugin calls; `overruns` counts those of all objects so far."""

    def __init__(self, section: Reload, quarantine: Quarantine) -> None:
        self.overruns = 0
        self.quarantined = 0
        self.budget_ns = 0
        self._quarantine = quarantine
        self._out: set[str] = set()
        self.configure(section)

    def configure(self, section: Reload) -> None:
        """Judge by these settings from now on; who was out of service is judged anew."""
        self.budget_ns = section.call_budget_us * 1_000
        self._most = section.overruns_max
        self._window_ns = round(section.overrun_window_s * SECOND_NS)
        self._out.clear()

    def watched(self, lineup: Lineup) -> Lineup:
        """The lineup with what plugins made under the stopwatch."""
        catalogue = lineup.catalogue
        if catalogue is None:
            return lineup
        found = {
            key: made
            for key, made in lineup.objects().items()
            if key in catalogue.factories and catalogue.factories[key].plugin != BUILTIN
        }
        roles: dict[str, Any] = {
            kind: Watched(made, kind, Overruns(self, kind), self)
            for (kind, _), made in found.items()
            if kind in ROLES
        }
        rules: Any = tuple(
            (name, Watched(rule, RISK_RULE, Overruns(self, f"{RISK_RULE}:{name}"), self))
            if (RISK_RULE, name) in found
            else (name, rule)
            for name, rule in lineup.rules
        )
        return attrs.evolve(lineup, rules=rules, **roles)

    def judge(self, role: str, times_ns: deque[int], took_ns: int) -> None:
        """Take the role out of service when it overran too often within the window."""
        self.overruns += 1
        while times_ns[-1] - times_ns[0] > self._window_ns:
            times_ns.popleft()
        if len(times_ns) < self._most or role in self._out:
            return
        self._out.add(role)
        self.quarantined += 1
        why = (
            f"{len(times_ns)} calls within {self._window_ns / SECOND_NS:g} s took longer than "
            f"{self.budget_ns // 1_000} us, the last {took_ns // 1_000} us"
        )
        log.error("plugin quarantined", role=role, why=why)
        self._quarantine(role, why)


@final
class Watched:
    """An object of a plugin whose answers are timed; for the rest it is the object itself."""

    def __init__(self, inner: Any, kind: str, meter: Overruns, budget: Budget) -> None:
        self._inner = inner
        for method in KINDS[kind].methods:
            setattr(self, method, _timed(getattr(inner, method), meter, budget))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def _timed(call: Callable[..., Any], meter: Overruns, budget: Budget) -> Callable[..., Any]:
    def timed(*arguments: Any) -> Any:
        if meter.suspect:
            return _exactly(call, arguments, meter, budget)
        began_ns = perf_counter_ns()
        answer = call(*arguments)
        took_ns = perf_counter_ns() - began_ns
        if took_ns > budget.budget_ns:
            meter.over(took_ns)
        return answer

    return timed


def _exactly(
    call: Callable[..., Any], arguments: tuple[Any, ...], meter: Overruns, budget: Budget
) -> Any:
    """Call, and count what the call took: without what another process took meanwhile."""
    before, began_ns = getrusage(RUSAGE_THREAD), perf_counter_ns()
    answer = call(*arguments)
    took_ns = perf_counter_ns() - began_ns
    if took_ns > budget.budget_ns:
        after = getrusage(RUSAGE_THREAD)
        if after.ru_nivcsw != before.ru_nivcsw:
            used_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            took_ns = round(used_s * SECOND_NS)
        if took_ns > budget.budget_ns:
            meter.over(took_ns)
    return answer
