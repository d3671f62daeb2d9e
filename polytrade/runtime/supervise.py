"""Supervision: one function, policy as data.

A crash and a cancellation can arrive together. `except*` handles the one and lets the other go on;
a plain `except Exception` would let their group slip past and kill the daemon on a normal stop.
"""

import logging
import random
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from email.utils import parsedate_to_datetime
from typing import Final, Literal

import attrs
import trio

from polytrade.core.judging import holdable
from polytrade.core.units import SECOND_NS
from polytrade.runtime.inbox import InboxOverflow

log = logging.getLogger(__name__)

task_name: ContextVar[str] = ContextVar("task_name", default="")
"""The supervised task a log line comes from; children inherit it."""

ERROR_MAX: Final = 200
"""Characters of an error kept in a row: a line of a terminal and of `/health`."""
EXPONENT_MAX: Final = 20
"""Doublings of the delay: 2**20 passes any maximum, and stays a small number."""

RETRY_AFTER_S_MAX: Final = 300.0
"""Longest a venue's `Retry-After` is obeyed: an engine restart takes about two minutes."""

State = Literal["starting", "running", "waiting", "parked", "done", "failed"]


class RetryLater(Exception):
    """A failure whose cause asks for `retry_after_s` of peace before the next attempt."""

    def __init__(self, reason: str, retry_after_s: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


@attrs.frozen(kw_only=True)
class Policy:
    """What happens when a task fails.

    `escalate` lets the failure through at once. `restart` runs it again after a full-jitter delay;
    after `failures_max` failures in a row (0: never) it escalates, or rests for good when `park`.
    A run of `healthy_s` forgives what was before.
    """

    restart: bool = True
    park: bool = True
    delay_s_min: float = 0.5
    delay_s_max: float = 30.0
    failures_max: int = 0
    healthy_s: float = 60.0

    def delay_s(self, failures: int, rng: random.Random) -> float:
        """Full jitter: uniform up to the bound, which doubles with every failure in a row."""
        bound = min(self.delay_s_max, self.delay_s_min * 2.0 ** min(failures, EXPONENT_MAX))
        return rng.uniform(min(self.delay_s_min, bound), bound)


ESCALATE: Final = Policy(restart=False)
"""Engine, journal: any failure ends the process; starting anew is the recovery."""
RESTART: Final = Policy()
"""Feeds and sockets: always again, with a growing, jittered delay."""
PARK: Final = Policy(failures_max=5)
"""What may be missing: after five failures in a row it stays off and the rest goes on."""


@attrs.define
class TaskRow:
    """One supervised task as `/health` shows it; `restarts` counts runs after the first."""

    name: str
    state: State = "starting"
    restarts: int = 0
    failures: int = 0
    last_error: str = ""


class TaskTable:
    """The rows of all supervised tasks, in the order they started.

    `crash` makes a running task fail, which is how tests and fault drills prove supervision.
    """

    def __init__(self) -> None:
        self._rows: dict[str, TaskRow] = {}
        self._wires: dict[str, _TripWire] = {}

    def rows(self) -> list[TaskRow]:
        """A copy of every row."""
        return [attrs.evolve(row) for row in self._rows.values()]

    def row(self, name: str) -> TaskRow:
        """A copy of one row; KeyError for a task that never started."""
        return attrs.evolve(self._rows[name])

    def forget(self, name: str) -> None:
        """Drop the row of a task that is gone for good."""
        self._rows.pop(name, None)

    def crash(self, name: str, error: Exception) -> None:
        """Make a running task fail with `error` at its next checkpoint; KeyError if none runs."""
        self._wires[name].trip(error)

    def _enter(self, name: str) -> TaskRow:
        row = TaskRow(name)
        self._rows[name] = row
        return row

    def _wire(self, name: str) -> "_TripWire":
        wire = _TripWire()
        self._wires[name] = wire
        return wire

    def _unwire(self, name: str) -> None:
        self._wires.pop(name, None)


class _TripWire:
    """Fails beside a task, in its nursery, so that the task unwinds at its next checkpoint."""

    def __init__(self) -> None:
        self._tripped = trio.Event()
        self._error: Exception | None = None

    def trip(self, error: Exception) -> None:
        self._error = error
        self._tripped.set()

    async def run(self) -> None:
        await self._tripped.wait()
        assert self._error is not None
        raise self._error


async def supervise(
    name: str,
    run: Callable[[], Awaitable[None]],
    policy: Policy,
    *,
    table: TaskTable,
    rng: random.Random,
) -> None:
    """Run `run` until it returns, treating its failures by `policy`.

    Raises what `run` raised (in a group) when the policy lets it through; `InboxOverflow` always
    goes through. A parked task waits here, doing nothing, until it is cancelled.
    """
    task_name.set(name)
    row = table._enter(name)
    while True:
        began_s = trio.current_time()
        row.state = "running"
        failure = await _run_once(name, run, table)
        if failure is None:
            row.state = "done"
            return
        if trio.current_time() - began_s >= policy.healthy_s:
            row.failures = 0
        row.failures += 1
        row.last_error = first_error_text(failure)
        spent = bool(policy.failures_max) and row.failures >= policy.failures_max
        if not policy.restart or failure.subgroup(InboxOverflow) or (spent and not policy.park):
            row.state = "failed"
            raise failure
        if spent:
            row.state = "parked"
            log.error("task %s is parked after %d failures: %s", name, row.failures, row.last_error)
            await trio.sleep_forever()
        delay_s = max(policy.delay_s(row.failures, rng), _asked_delay_s(failure))
        row.state = "waiting"
        log.warning("task %s failed, again in %.2f s: %s", name, delay_s, row.last_error)
        await trio.sleep(delay_s)
        row.restarts += 1


async def _run_once(
    name: str, run: Callable[[], Awaitable[None]], table: TaskTable
) -> ExceptionGroup[Exception] | None:
    failure: ExceptionGroup[Exception] | None = None
    wire = table._wire(name)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wire.run)
            await run()
            nursery.cancel_scope.cancel()
    except* Exception as group:  # no return in here: remember, decide outside
        failure = group
    finally:
        table._unwire(name)
    return failure


def _asked_delay_s(failure: ExceptionGroup[Exception]) -> float:
    first = _first_error(failure)
    return min(first.retry_after_s, RETRY_AFTER_S_MAX) if isinstance(first, RetryLater) else 0.0


def _first_error(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def first_error_text(error: BaseException) -> str:
    """The first error of a group in one line: its type and its message."""
    error = _first_error(error)
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return holdable(text.partition("\n")[0][:ERROR_MAX])


def retry_after_s(header: str, now_ns: int) -> float:
    """The seconds a `Retry-After` header asks for: a number, or a date against `now_ns`.

    0 for none and for what cannot be read.
    """
    try:
        return max(0.0, float(int(header)))
    except ValueError:
        pass
    if not header:
        return 0.0
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - now_ns / SECOND_NS)
    except ValueError:
        return 0.0
