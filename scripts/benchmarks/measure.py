"""A case beside its baseline in the same run: interleaved, repeated, medians.

CPU time of the measuring thread, not wall time: a busy machine then disturbs less, and both sides
alike, so ratios hold where absolute numbers do not.
"""

import gc
import os
import platform
import statistics
import sysconfig
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import attrs

REPEATS: Final = 7
REPEATS_QUICK: Final = 5
"""The least from which a median is worth something; `--quick` shortens the bodies instead."""

Body = Callable[[], object]


@attrs.frozen(kw_only=True)
class Side:
    """One half of a comparison: `make` prepares outside of the measured time, its answer runs.

    `ops` operations a run.
    """

    name: str
    make: Callable[[], Body]
    ops: int


@attrs.frozen(kw_only=True)
class Pair:
    """A case and what it is compared with; `goal` is the highest ratio we allow ourselves."""

    case: Side
    baseline: Side
    goal: float | None = None


@attrs.frozen(kw_only=True)
class Row:
    """One line of the table: medians over `repeats`, in us of CPU an operation.

    `ratio` is the median of the repeats' own ratios. `note` says what the numbers leave out.
    """

    group: str
    case: str
    baseline: str
    us: float
    baseline_us: float
    ratio: float
    repeats: int
    goal: float | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        """Whether the goal is met; empty where there is none."""
        if self.goal is None:
            return ""
        return "met" if self.ratio <= self.goal else "over"


def cpu_ns(body: Body) -> int:
    """The CPU time of this thread for one run, the collector off."""
    gc.collect()
    gc.disable()
    try:
        began_ns = time.thread_time_ns()
        body()
        return time.thread_time_ns() - began_ns
    finally:
        gc.enable()


def measure(group: str, pairs: Sequence[Pair], repeats: int) -> list[Row]:
    """Run every pair in turn, `repeats` times after one run to warm up."""
    times: list[list[tuple[float, float]]] = [[] for _ in pairs]
    for turn in range(repeats + 1):
        for pair, found in zip(pairs, times, strict=True):
            sides = (pair.baseline, pair.case) if turn % 2 else (pair.case, pair.baseline)
            spent = {side.name: cpu_ns(side.make()) / 1000 / side.ops for side in sides}
            if turn:
                found.append((spent[pair.case.name], spent[pair.baseline.name]))
    return [
        row_of(group, pair.case.name, pair.baseline.name, found, pair.goal)
        for pair, found in zip(pairs, times, strict=True)
    ]


def row_of(
    group: str,
    case: str,
    baseline: str,
    found: Sequence[tuple[float, float]],
    goal: float | None = None,
    note: str = "",
) -> Row:
    """The row of (us of the case, us of the baseline) measured `len(found)` times."""
    return Row(
        group=group,
        case=case,
        baseline=baseline,
        us=statistics.median(us for us, _ in found),
        baseline_us=statistics.median(us for _, us in found),
        ratio=statistics.median(us / other for us, other in found),
        repeats=len(found),
        goal=goal,
        note=note,
    )


def machine() -> dict[str, str]:
    """What the numbers were measured on: processor, system, interpreter and how it was built."""
    flags = str(sysconfig.get_config_var("CONFIG_ARGS") or "")
    tuned = [name for name in ("--enable-optimizations", "--with-lto") if name in flags]
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "build": " ".join(tuned) or "no PGO, no LTO",
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def load_average() -> float:
    """How many other things wanted the processor in the last minute; 0 where not known."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
