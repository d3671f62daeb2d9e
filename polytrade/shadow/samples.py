"""Samples and tallies of a window in bounded memory; percentiles are looked up when asked for.

Percentiles are nearest rank (`ceil(q * n)`-th smallest), and None for an empty sample, never 0.
"""

from array import array
from bisect import bisect_left, bisect_right, insort
from math import ceil, isfinite
from typing import Final, final

import attrs

SAMPLES_MAX: Final = 65_536
"""Samples kept of one number (metrics contract); the newest replaces the oldest."""
SHOTS_MAX: Final = 200_000
"""Shots kept in a tally (metrics contract)."""
ROBUST_LEAST: Final = 5
"""Fewer samples than this are not filtered (metrics contract)."""
ROBUST_K: Final = 1.5


@attrs.frozen
class Robust:
    """The median without outliers, and the share of samples that were outliers."""

    p50: float | None
    outlier_ratio: float | None


@final
class Samples:
    """The last `most` values of one number. `total` sums every value ever added.

    They are also kept in order, so that a percentile is a look-up: a report is asked for between
    two events. A value more costs a move of half of them, 20 us when there are 65,536.
    """

    __slots__ = ("_at", "_most", "_ordered", "_values", "total")

    def __init__(self, most: int = SAMPLES_MAX) -> None:
        assert most > 0, f"expected a positive bound, found {most}"
        self._most = most
        self._values = array("d")
        self._ordered = array("d")
        self._at = 0
        self.total = 0.0

    def __len__(self) -> int:
        return len(self._values)

    def add(self, value: float) -> None:
        """One more value, in place of the oldest when there is no room."""
        assert isfinite(value), f"expected a finite sample, found {value}"
        self.total += value
        if len(self._values) < self._most:
            self._values.append(value)
        else:
            del self._ordered[bisect_left(self._ordered, self._values[self._at])]
            self._values[self._at] = value
            self._at = (self._at + 1) % self._most
        insort(self._ordered, value)

    def percentile(self, q: float) -> float | None:
        """The nearest-rank percentile of what is kept, `q` in (0, 1]."""
        return self.percentiles(q)[0]

    def percentiles(self, *wanted: float) -> list[float | None]:
        """Several percentiles."""
        if not self._values:
            return [None for _ in wanted]
        return [self._ranked(q, 0, len(self._ordered)) for q in wanted]

    def positive_ratio(self) -> float | None:
        """The share of what is kept that is above 0."""
        count = len(self._ordered)
        return ratio(count - bisect_right(self._ordered, 0.0), count)

    def robust(self) -> Robust:
        """The median of what lies within 1.5 interquartile ranges of the quartiles."""
        count = len(self._ordered)
        if count < ROBUST_LEAST:
            return Robust(self.percentile(0.5), 0.0 if count else None)
        low, high = self._ranked(0.25, 0, count), self._ranked(0.75, 0, count)
        reach = ROBUST_K * (high - low)
        first = bisect_left(self._ordered, low - reach)
        end = bisect_right(self._ordered, high + reach)
        return Robust(self._ranked(0.5, first, end), (count - (end - first)) / count)

    def _ranked(self, q: float, first: int, end: int) -> float:
        """The nearest rank among the ordered values from `first` to before `end`."""
        return self._ordered[first + max(ceil(q * (end - first)), 1) - 1]


@final
class Tally:
    """How many of the last `most` shots were of each kind, a byte a shot."""

    __slots__ = ("_at", "_kinds", "_most", "counts", "total")

    def __init__(self, kinds: int, most: int = SHOTS_MAX) -> None:
        assert 0 < kinds <= 256 and most > 0, f"expected 1 to 256 kinds, found {kinds}"
        self._most = most
        self._kinds = bytearray()
        self._at = 0
        self.counts = [0] * kinds
        self.total = 0

    def __len__(self) -> int:
        return len(self._kinds)

    def add(self, kind: int) -> None:
        """One more, in place of the oldest when there is no room. `total` counts them all."""
        self.counts[kind] += 1
        self.total += 1
        if len(self._kinds) < self._most:
            self._kinds.append(kind)
            return
        self.counts[self._kinds[self._at]] -= 1
        self._kinds[self._at] = kind
        self._at = (self._at + 1) % self._most

    def yes(self, index: int) -> int:
        """How many of kind `2 * index + 1`: the yes answers of question `index`."""
        return self.counts[2 * index + 1]

    def asked(self, index: int) -> int:
        """How many answers question `index` has, no (`2 * index`) and yes."""
        return self.counts[2 * index] + self.counts[2 * index + 1]

    def ratio(self, index: int) -> float | None:
        """The share of yes among the answers of question `index`."""
        return ratio(self.yes(index), self.asked(index))


def ratio(part: int, whole: int) -> float | None:
    """`part / whole`, None of nothing."""
    return part / whole if whole else None


def count_in(counts: dict[str, int], name: str, most: int, by: int = 1) -> None:
    """Count under a name; beyond `most` names under `other`."""
    if name not in counts and len(counts) >= most:
        name = "other"
    counts[name] = counts.get(name, 0) + by
