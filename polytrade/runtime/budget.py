"""How long plugins take: each answer against its budget, the slow ones out of service.

Built-in objects have none. The first overrun of an object only makes it suspect: from then on what
it waited for the processor or for the GIL is told apart from what it took, which costs two more
system calls a call. Repeated overruns become a PluginQuarantined event, once until the next swap.
"""

from collections import deque
from collections.abc import Callable
from pathlib import Path
from resource import RUSAGE_SELF, RUSAGE_THREAD, getrusage, struct_rusage
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
SCHEDSTAT: Final = Path("/proc/thread-self/schedstat")


@final
class Overruns:
    """The overruns of one object, whose role is `role`; `quarantine` where the budget's own does
    not reach it.
    """

    __slots__ = ("_budget", "_queued_ns", "_times_ns", "quarantine", "role", "suspect")

    def __init__(self, budget: "Budget", role: str, quarantine: Quarantine | None = None) -> None:
        self.role = role
        self.quarantine = quarantine
        self.suspect = False
        self._budget = budget
        self._queued_ns = 0
        self._times_ns: deque[int] = deque(maxlen=KEPT_MAX)

    def newly_queued_ns(self) -> int:
        """How long the thread queued for a processor since this was asked last, or since armed.

        More than within the call alone: one look at each overrun is cheap, one at each call is not.
        """
        before, self._queued_ns = self._queued_ns, _queued_ns()
        return self._queued_ns - before

    def over(self, took_ns: int) -> None:
        """A call took longer than the budget."""
        if not self.suspect:
            self.suspect = True
            self._queued_ns = _queued_ns()
            return
        self._times_ns.append(perf_counter_ns())
        self._budget.judge(self.role, self._times_ns, took_ns, self.quarantine)


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

    def judge(
        self, role: str, times_ns: deque[int], took_ns: int, quarantine: Quarantine | None
    ) -> None:
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
        (quarantine or self._quarantine)(role, why)


@final
class Watched:
    """An object of a plugin whose answers are timed; for the rest it is the object itself."""

    def __init__(self, inner: Any, kind: str, meter: Overruns, budget: Budget) -> None:
        self._inner = inner
        for method in KINDS[kind].methods:
            setattr(self, method, timed(getattr(inner, method), meter, budget))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def timed(call: Callable[..., Any], meter: Overruns, budget: Budget) -> Callable[..., Any]:
    """The call under the stopwatch."""

    def measured(*arguments: Any) -> Any:
        if meter.suspect:
            return _exactly(call, arguments, meter, budget)
        began_ns = perf_counter_ns()
        answer = call(*arguments)
        took_ns = perf_counter_ns() - began_ns
        if took_ns > budget.budget_ns:
            meter.over(took_ns)
        return answer

    return measured


def _exactly(
    call: Callable[..., Any], arguments: tuple[Any, ...], meter: Overruns, budget: Budget
) -> Any:
    """Call, and count what the call took: without what it waited for others."""
    whole, own = getrusage(RUSAGE_SELF), getrusage(RUSAGE_THREAD)
    began_ns = perf_counter_ns()
    answer = call(*arguments)
    took_ns = perf_counter_ns() - began_ns
    if took_ns > budget.budget_ns:
        took_ns = _owed_ns(took_ns, whole, own, meter.newly_queued_ns())
        if took_ns > budget.budget_ns:
            meter.over(took_ns)
    return answer


def _owed_ns(took_ns: int, whole: struct_rusage, own: struct_rusage, queued_ns: int) -> int:
    """Of a call's time what is its own, given the usage of process and thread before it.

    That is what it computed, and what it slept: time in which none of our other threads computed
    (they may hold the GIL), none was pushed off the processor (with the GIL, it computes nothing),
    and this one did not queue for a processor. In doubt it is for the plugin.
    """
    thread, process = getrusage(RUSAGE_THREAD), getrusage(RUSAGE_SELF)
    used_ns = _used_ns(own, thread)
    if process.ru_nivcsw != whole.ru_nivcsw:
        return used_ns
    others_ns = max(_used_ns(whole, process) - used_ns, 0)
    return max(took_ns - others_ns - queued_ns, used_ns)


def _used_ns(before: struct_rusage, after: struct_rusage) -> int:
    used_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return round(used_s * SECOND_NS)


def _queued_ns() -> int:
    """How long this thread was ready to run and had no processor so far; 0 where nobody knows.

    The second number of /proc/*/schedstat (Linux, Documentation/scheduler/sched-stats).
    """
    try:
        return int(SCHEDSTAT.read_bytes().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
