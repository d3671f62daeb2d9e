"""Faults by the clock: a TOML file of what goes wrong when, planned in the venue's own time."""

import tomllib
from collections import Counter, deque
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs

from polytrade.core.units import SECOND_NS
from polytrade.errors import ConfigError, Problem
from polytrade.sandbox.faults import FaultOrder, FaultRefused, parse_fault
from polytrade.sandbox.schedule import Planned, Schedule
from polytrade.strict import show

FILE_BYTES_MAX: Final = 65_536
"""Bytes of a scenario: five hundred faults with a comment each."""
STEPS_MAX: Final = 500
AT_S_MAX: Final = 604_800.0
"""A week: longer than a soak."""
EVERY_S_MIN: Final = 0.1
TIMES_MAX: Final = 1_000_000
REFUSED_KEPT: Final = 64
"""Faults that could not be carried out, as the status shows them."""
_WHEN: Final = ("at_s", "every_s", "times")


@attrs.frozen
class Step:
    """A fault `at_s` seconds after the start, then every `every_s`; `times` 0 is without end."""

    at_s: float
    order: FaultOrder
    every_s: float = 0.0
    times: int = 1


def load_scenario(path: Path) -> tuple[Step, ...]:
    """The steps of a scenario file. Raises ConfigError with everything wrong in it."""
    try:
        with path.open("rb") as stream:
            data = stream.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(Problem(str(error), "scenario")) from error
    return parse_scenario(data, str(path))


def parse_scenario(data: bytes, origin: str = "") -> tuple[Step, ...]:
    """The steps of a scenario in TOML, in the order written: an array of tables `[[fault]]`.

    Raises ConfigError with everything wrong, each by its place (`fault[2].at_s`); `origin` names
    the file.
    """
    if len(data) > FILE_BYTES_MAX:
        raise ConfigError(Problem(f"expected at most {FILE_BYTES_MAX} bytes", "", "", origin))
    try:
        body = tomllib.loads(data.decode())
    except ValueError as error:
        raise ConfigError(Problem(str(error), "", "TOML", origin)) from error
    problems = [Problem("unknown key", name, "fault", origin) for name in body if name != "fault"]
    tables = body.get("fault")
    if not isinstance(tables, list) or not tables or len(tables) > STEPS_MAX:
        allowed = f"1 to {STEPS_MAX} tables [[fault]]"
        problems.append(Problem(f"expected {allowed}", "fault", allowed, origin))
        raise ConfigError(*problems)
    steps = []
    for index, table in enumerate(tables):
        found = list(_step(table, f"fault[{index}]", origin))
        problems += [item for item in found if isinstance(item, Problem)]
        steps += [item for item in found if isinstance(item, Step)]
    if problems:
        raise ConfigError(*problems)
    return tuple(steps)


def _step(table: object, path: str, origin: str) -> Iterator[Step | Problem]:
    """The step of one table, or what is wrong with it."""
    if not isinstance(table, dict):
        yield Problem(f"expected a table, found {show(table)}", path, "a table", origin)
        return
    problems = []
    if "at_s" not in table:
        problems.append(Problem("expected seconds after the start", f"{path}.at_s", "", origin))
    if "times" in table and "every_s" not in table:
        problems.append(Problem("expected every_s beside it", f"{path}.times", "", origin))
    when: dict[str, Any] = {}
    for name, low, high, kind in (
        ("at_s", 0, AT_S_MAX, float),
        ("every_s", EVERY_S_MIN, AT_S_MAX, float),
        ("times", 1, TIMES_MAX, int),
    ):
        if name in table:
            value = table[name]
            good = type(value) is int or (kind is float and type(value) is float)
            if good and low <= value <= high:
                when[name] = kind(value)
            else:
                allowed = f"{kind.__name__} from {low:.10g} to {high:.10g}"
                message = f"expected {allowed}, found {show(value)}"
                problems.append(Problem(message, f"{path}.{name}", allowed, origin))
    try:
        rest = {name: value for name, value in table.items() if name not in _WHEN}
        order = parse_fault(rest, playback=False)
    except FaultRefused as refused:
        field, colon, reason = refused.reason.partition(": ")
        at_field = colon and field.isidentifier()
        message, where = (reason, f"{path}.{field}") if at_field else (refused.reason, path)
        problems.append(Problem(message, where, "", origin))
    if problems:
        yield from problems
        return
    if "every_s" in when and "times" not in when:
        when["times"] = 0
    yield Step(order=order, **when)


class Scenario:
    """Carries out the steps on a schedule, from `start` on; `stop` leaves what is in force.

    `apply` carries out one order and may raise FaultRefused: the refusal is kept in `refused`
    (when in seconds, why) and the rest goes on. `done` counts orders by kind, `left` the steps
    that will still do something.
    """

    def __init__(
        self, steps: tuple[Step, ...], schedule: Schedule, apply: Callable[[FaultOrder], object]
    ) -> None:
        self.steps = steps
        self.done: Counter[str] = Counter()
        self.refused: deque[tuple[float, str]] = deque(maxlen=REFUSED_KEPT)
        self._schedule = schedule
        self._apply = apply
        self._start_ns = schedule.now_ns
        self._planned: dict[int, Planned] = {}

    @property
    def left(self) -> int:
        """Steps with something still to do."""
        return len(self._planned)

    def start(self) -> None:
        """Plan every step from now."""
        self._start_ns = self._schedule.now_ns
        for index in range(len(self.steps)):
            self._plan(index, 0)

    def stop(self) -> None:
        """Nothing more is carried out; what is in force stays so."""
        for planned in self._planned.values():
            planned.cancel()
        self._planned.clear()

    def _plan(self, index: int, done: int) -> None:
        step = self.steps[index]
        if done and done == step.times:
            del self._planned[index]
            return
        due_ns = self._start_ns + int((step.at_s + done * step.every_s) * SECOND_NS)
        self._planned[index] = self._schedule.at(due_ns, partial(self._carry_out, index, done))

    def _carry_out(self, index: int, done: int) -> None:
        order = self.steps[index].order
        try:
            self._apply(order)
        except FaultRefused as refused:
            elapsed_s = (self._schedule.now_ns - self._start_ns) / SECOND_NS
            self.refused.append((elapsed_s, refused.reason))
        else:
            self.done[order.kind] += 1
        self._plan(index, done + 1)
