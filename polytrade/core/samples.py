"""Bounded statistics: the newest samples with their percentiles, and counts of the last minute.

Percentiles are nearest rank: the smallest value with at least q percent of the sample at or below
it. That of an empty sample is None, never 0.
"""

from bisect import bisect_left, insort
from collections import deque
from math import isfinite
from typing import Final, final

from polytrade.core.units import SECOND_NS

FOREVER_NS: Final = 1 << 62


@final
class Samples:
    """The newest `most` values, none older than `keep_ns`.

    They are also kept in order, so that a percentile is one look-up: what costs is a new value.
    """

    __slots__ = ("_keep_ns", "_most", "_ordered", "_times", "_values")

    def __init__(self, most: int, keep_ns: int = FOREVER_NS) -> None:
        assert most > 0 and keep_ns > 0, f"expected positive bounds, found {most} and {keep_ns}"
        self._most = most
        self._keep_ns = keep_ns
        self._values: deque[float] = deque()
        self._times: deque[int] = deque()
        self._ordered: list[float] = []

    @property
    def count(self) -> int:
        """How many values are held."""
        return len(self._ordered)

    def add(self, value: float, ts_ns: int) -> None:
        """Take a value; beyond the bound the oldest goes."""
        assert isfinite(value), f"expected a finite sample, found {value}"
        if len(self._values) == self._most:
            self._drop()
        self._values.append(value)
        self._times.append(ts_ns)
        insort(self._ordered, value)

    def expire(self, ts_ns: int) -> bool:
        """Drop what is older than the bound at `ts_ns`; whether anything was."""
        before = len(self._ordered)
        while self._times and ts_ns - self._times[0] > self._keep_ns:
            self._drop()
        return len(self._ordered) != before

    def percentile(self, percent: int) -> float | None:
        """The nearest-rank percentile, None of an empty sample; `percent` is 1 to 100."""
        assert 0 < percent <= 100, f"expected 1 to 100 percent, found {percent}"
        if not self._ordered:
            return None
        return self._ordered[-(-percent * len(self._ordered) // 100) - 1]

    def percentile_or_zero(self, percent: int) -> float:
        """The percentile for a formula in which no sample is no reason to move: 0.0 when empty."""
        value = self.percentile(percent)
        return 0.0 if value is None else value

    def below(self, value: float) -> int:
        """How many values are smaller than this one."""
        return bisect_left(self._ordered, value)

    def mean(self) -> float | None:
        """The arithmetic mean, None of an empty sample; summed anew, so that no error builds up."""
        return sum(self._ordered) / len(self._ordered) if self._ordered else None

    def _drop(self) -> None:
        value = self._values.popleft()
        self._times.popleft()
        del self._ordered[bisect_left(self._ordered, value)]


@final
class PerSecond:
    """Sums over the running second and the `seconds - 1` before it, one bucket a second."""

    __slots__ = ("_buckets", "_first", "_second", "total")

    def __init__(self, seconds: int, ts_ns: int) -> None:
        assert seconds > 0, f"expected a positive span, found {seconds}"
        self._buckets = [0] * seconds
        self._second = ts_ns // SECOND_NS
        self._first = self._second
        self.total = 0

    def add(self, amount: int, ts_ns: int) -> None:
        """Count `amount` at `ts_ns`."""
        assert amount >= 0, f"expected an amount, found {amount}"
        if ts_ns // SECOND_NS > self._second:
            self.move(ts_ns)
        self._buckets[self._second % len(self._buckets)] += amount
        self.total += amount

    def count(self, amount: int) -> None:
        """Count `amount` in the second that `move` or `add` came to last."""
        self._buckets[self._second % len(self._buckets)] += amount
        self.total += amount

    def move(self, ts_ns: int) -> None:
        """Let the time be `ts_ns`: what is older than the span no longer counts."""
        second = ts_ns // SECOND_NS
        size = len(self._buckets)
        steps = min(second - self._second, size)
        for step in range(steps):
            at = (second - step) % size
            self.total -= self._buckets[at]
            self._buckets[at] = 0
        self._second = max(second, self._second)

    def span_s(self) -> int:
        """How many seconds the sums cover: fewer than the whole span in the beginning."""
        return min(self._second - self._first + 1, len(self._buckets))

    def last(self, seconds: int) -> int:
        """The sum over the running second and the `seconds - 1` before it."""
        size = len(self._buckets)
        total = 0
        for step in range(min(seconds, size)):
            total += self._buckets[(self._second - step) % size]
        return total
