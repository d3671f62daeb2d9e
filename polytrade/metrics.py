"""The recorders the contract's numbers come from, and the readings they are published as.

The contract itself is the table of `polytrade.contract`; `Readings` refuses a name or a label it
does not have. A percentile of an empty sample is None, never 0.
"""

from collections.abc import Mapping
from typing import Final, final

import attrs
import numpy as np

from polytrade.contract import COUNTER, GAUGE, METRICS, PREFIX, SUMMARY, TABLE, Metric

__all__ = [
    "COUNTER",
    "GAUGE",
    "METRICS",
    "PREFIX",
    "SUMMARY",
    "TABLE",
    "LatencyRecorder",
    "Metric",
    "Quantiles",
    "Readings",
    "RecordTimes",
]


@attrs.frozen(kw_only=True)
class Quantiles:
    """A latency's distribution in its metric's own unit; None where nothing was measured."""

    count: int = 0
    sum: float = 0.0
    p50: float | None = None
    p90: float | None = None
    p99: float | None = None
    max: float | None = None


@final
class LatencyRecorder:
    """Keeps a distribution of durations in constant memory, quantiles within 1.1 %.

    `record` appends to a list; every `FOLD` values numpy folds the list into logarithmic buckets,
    32 an octave (limits: about 70 ns a record). Negative durations count as 0.
    """

    FOLD: Final = 1024  # one fold then takes about 0.1 ms: small beside a tick's budget
    PER_OCTAVE: Final = 32  # bucket width 2.2 %, so its middle is within 1.1 % of every member
    BUCKETS: Final = 64 * 32  # every duration an int64 can hold

    __slots__ = ("_counts", "_max_ns", "_min_ns", "_pending", "_sum_ns")

    def __init__(self) -> None:
        self._pending: list[int] = []
        self._counts = np.zeros(self.BUCKETS, dtype=np.int64)
        self._sum_ns = 0
        self._min_ns = 0
        self._max_ns = 0

    def record(self, ns: int) -> None:
        """One more duration, in nanoseconds."""
        pending = self._pending
        pending.append(ns)
        if len(pending) >= 4096:
            self._fold()

    def reset(self) -> None:
        """Forget everything: a new measuring window begins."""
        self._pending.clear()
        self._counts[:] = 0
        self._sum_ns = self._min_ns = self._max_ns = 0

    @property
    def count(self) -> int:
        """How many durations were recorded."""
        self._fold()
        return int(self._counts.sum())

    def quantile_ns(self, q: float) -> int | None:
        """The nearest-rank quantile (`ceil(q * n)`-th smallest), None when nothing was recorded."""
        return self.quantiles_ns(q)[0]

    def quantiles_ns(self, *wanted: float) -> list[int | None]:
        """Several quantiles at the cost of about one."""
        return self._ranked(wanted)

    def quantiles(self, unit_ns: int) -> Quantiles:
        """p50, p90, p99 and the exact sum and maximum, in units of `unit_ns` nanoseconds."""
        count = self.count
        if not count:
            return Quantiles()
        p50, p90, p99 = (
            None if ns is None else ns / unit_ns for ns in self._ranked((0.5, 0.9, 0.99))
        )
        return Quantiles(
            count=count,
            sum=self._sum_ns / unit_ns,
            p50=p50,
            p90=p90,
            p99=p99,
            max=self._max_ns / unit_ns,
        )

    def _ranked(self, wanted: tuple[float, ...]) -> list[int | None]:
        self._fold()
        running = np.cumsum(self._counts)
        count = int(running[-1])
        if not count:
            return [None for _ in wanted]
        ranks = np.maximum(np.ceil(np.asarray(wanted) * count), 1)
        buckets = np.searchsorted(running, ranks)
        middles = np.exp2((buckets + 0.5) / self.PER_OCTAVE)
        return [min(max(round(float(ns)), self._min_ns), self._max_ns) for ns in middles]

    def take(self, values: "Durations") -> None:
        """Many durations at once, in nanoseconds."""
        if not len(values):
            return
        values = np.maximum(values, 0)
        low = int(values.min())
        self._min_ns = min(self._min_ns, low) if self._counts.any() else low
        self._max_ns = max(self._max_ns, int(values.max()))
        self._sum_ns += int(values.sum())
        buckets = (np.log2(np.maximum(values, 1)) * self.PER_OCTAVE).astype(np.int64)
        self._counts += np.bincount(buckets, minlength=self.BUCKETS)

    def _fold(self) -> None:
        if self._pending:
            values = np.array(self._pending, dtype=np.int64)
            self._pending.clear()
            self.take(values)


Durations = np.ndarray[tuple[int], np.dtype[np.int64]]


@final
class RecordTimes:
    """What is timed of every market data record, noted with one append and folded in batches.

    `latencies` are the contract's recorders by name; call `fold` before one of them is read.
    """

    MOST: Final = 1024  # a fold of five recorders is then about 0.3 ms
    NO_TIME_NS: Final = -(1 << 62)
    """The lateness of a record whose source states no time."""

    __slots__ = ("_backlog", "_compute", "_decision", "_feed_in", "_pending", "_source")

    def __init__(self, latencies: Mapping[str, LatencyRecorder]) -> None:
        self._source = latencies["source_latency_ms"]
        self._backlog = latencies["local_backlog_ms"]
        self._feed_in = latencies["feed_in_ms"]
        self._compute = latencies["decision_compute_ms"]
        self._decision = latencies["tick_to_decision_ms"]
        self._pending: list[tuple[int, int, int]] = []

    def record(self, late_ns: int, backlog_ns: int, step_ns: int) -> None:
        """A record came `late_ns` after its source's time, waited and was worked on so long."""
        pending = self._pending
        pending.append((late_ns, backlog_ns, step_ns))
        if len(pending) >= self.MOST:
            self.fold()

    def fold(self) -> None:
        """Hand everything noted so far to the recorders."""
        if not self._pending:
            return
        late, backlog, step = np.array(self._pending, dtype=np.int64).T
        self._pending.clear()
        self._backlog.take(backlog)
        self._compute.take(step)
        self._decision.take(backlog + step)
        timed = late != self.NO_TIME_NS
        self._source.take(late[timed])
        self._feed_in.take(late[timed] + backlog[timed])


_UNNUMBERED: Final = frozenset({SUMMARY, TABLE})


@final
class Readings:
    """Values of contract metrics at one moment: by name, then by label values."""

    __slots__ = ("summaries", "values")

    def __init__(self) -> None:
        self.values: dict[str, dict[tuple[str, ...], float]] = {}
        self.summaries: dict[str, Quantiles] = {}

    def put(self, name: str, value: float | None, *labels: str) -> None:
        """Note a counter's or gauge's value; None stays absent. A name or a number of labels the
        contract does not know is an assertion: a mistake of ours, not of anyone's data.
        """
        metric = METRICS.get(name)
        if metric is None or metric.kind in _UNNUMBERED or len(labels) != len(metric.labels):
            raise AssertionError(f"{name}{labels} is not in the metrics contract")
        if value is not None:
            self.values.setdefault(name, {})[labels] = value

    def put_summary(self, name: str, quantiles: Quantiles) -> None:
        """Note a latency's distribution."""
        metric = METRICS.get(name)
        if metric is None or metric.kind != SUMMARY:
            raise AssertionError(f"{name} is not a summary of the metrics contract")
        self.summaries[name] = quantiles

    def value(self, name: str, *labels: str) -> float | None:
        """A value noted before, None where there is none."""
        return self.values.get(name, {}).get(labels)
