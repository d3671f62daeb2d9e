"""The law of a settlement value: what a market will settle at, as seen from now.

The price is a geometric Brownian motion without drift, `sigma` its volatility per sqrt second.
A spot settlement is the price at the end. An average settlement is the mean of `L` reports one
second apart, the last at the end: that is what the venue settles by, so the *discrete* variance is
the right one. In seconds of the walk, with `n` reports still to come and the first `f` from now,
the variance of their sum is `n^2 f + (n - 1) n (2 n - 1) / 6`. With more reports a second this
tends to the integral's `L^2 (tau - L + L / 3)` before and `tau^3 / 3` inside the average; at one a
second the integral would be 2.5 % short where a 60 s average begins and three times short one
second before its end.

A mean of log-normals is taken as log-normal with the exact mean and variance to first order in
`sigma^2 tau` (Levy 1992). Up to an hour ahead at 1 bp a sqrt second the probability is within
1e-4 of the exact one; the error grows like `sigma sqrt(tau)`.
"""

from bisect import bisect_right
from math import ceil, log, log1p, sqrt
from typing import Final, final

from polytrade.builtin.distributions import normal_cdf, student_cdf
from polytrade.core.market import MarketState
from polytrade.core.reference import Series, SymbolReference
from polytrade.core.units import SECOND_NS

REPORT_MS: Final = 1_000
"""Reports of the settlement series come one a second, stamped with whole seconds."""
LATE_REPORTS: Final = 3
"""Reports that young are not missing: they arrive 1-3 s after their stamp."""
LOOKBACK_MAX: Final = 3_600
"""Longest average that is followed, in reports: far beyond the 30 and 60 s in use."""


@final
class Law:
    """Mean and variance of a settlement value, in USD and USD squared."""

    __slots__ = ("mean", "variance")

    def __init__(self, mean: float, variance: float) -> None:
        self.mean = mean
        self.variance = variance

    def score(self, strike: float) -> float:
        """How many standard deviations the settlement is above the strike, log-normally."""
        spread = log1p(self.variance / (self.mean * self.mean))
        if spread <= 0.0:
            return 1e9 if self.mean >= strike else -1e9
        return (log(self.mean / strike) - spread / 2.0) / sqrt(spread)

    def above(self, strike: float, dof: float = 0.0) -> float:
        """P(settlement >= strike); a Student t of `dof` > 2 degrees of freedom has fatter tails."""
        return cdf(self.score(strike), dof)

    def between(self, low: float, high: float, dof: float = 0.0) -> float:
        """P(low <= settlement < high), a difference of two digitals: a range market's YES.

        A range pays by one settlement value, so both sides have the same law. ValueError when the
        strikes are not in order.
        """
        if not 0.0 < low < high:
            raise ValueError(f"expected 0 < low < high, found {low} and {high}")
        return max(self.above(low, dof) - self.above(high, dof), 0.0)


def cdf(score: float, dof: float) -> float:
    """Normal, or Student t of unit variance when `dof` exceeds 2."""
    return student_cdf(score, dof) if dof > 2.0 else normal_cdf(score)


def spot_law(price: float, sigma: float, left_s: float) -> Law:
    """The law of the price in `left_s` seconds; for a spot settlement the score is exact."""
    return Law(price, price * price * sigma * sigma * left_s)


def sum_variance(reports: int, first_s: float) -> float:
    """Variance of the sum of `reports` values of a unit walk, one a second, the first in `first_s`.

    The sum over i and j of min(t_i, t_j).
    """
    n = reports
    return n * n * first_s + (n - 1) * n * (2 * n - 1) / 6.0


def walk_seconds(market: MarketState, left_s: float) -> float:
    """How many seconds of the walk a market's settlement is away; 0.0 once its average has begun.

    The relative variance of the settlement is this times `sigma` squared.
    """
    spec = market.spec
    if spec.settle != "twap":
        return max(left_s, 0.0)
    reports = spec.lookback_s
    if reports <= 0 or left_s < reports:
        return 0.0
    return sum_variance(reports, left_s - (reports - 1)) / (reports * reports)


def open_reports(left_s: float, lookback_s: int) -> int:
    """How many reports of the average are still to come with `left_s` to the end."""
    coming = ceil(left_s) if left_s > 0.0 else 0
    return coming if coming < lookback_s else lookback_s


@final
class Locked:
    """The part of an average that is past: `reports` of them with sum `total`.

    `heard` reports came; `late` are estimated from the fast price of their second and count as
    known but for the publication noise; the others are bridged between their neighbours, with
    `bridge` the variance of their sum in seconds of the walk.
    """

    __slots__ = ("bridge", "heard", "late", "reports", "total")

    def __init__(self) -> None:
        self.reports = 0
        self.total = 0.0
        self.heard = 0
        self.late = 0
        self.bridge = 0.0

    def coverage(self) -> float:
        """The share of the past reports that is known; reports that may yet come count as known."""
        if not self.reports:
            return 1.0
        return (self.heard + self.late) / self.reports


def average_law(
    price: float, sigma: float, left_s: float, lookback_s: int, locked: Locked | None = None
) -> Law:
    """The law of the mean of the last `lookback_s` reports at the end.

    `locked` must hold the reports that are past, if any.
    """
    coming = open_reports(left_s, lookback_s)
    total = coming * price
    walk = sum_variance(coming, left_s - (coming - 1)) if coming else 0.0
    past = 0
    if locked is not None:
        total += locked.total
        walk += locked.bridge
        past = locked.reports
    assert coming + past == lookback_s, f"{coming} reports to come and {past} past"
    scale = price * sigma / lookback_s
    return Law(total / lookback_s, scale * scale * walk)


def lock(reference: SymbolReference, end_ns: int, lookback_s: int, ts_ns: int) -> Locked:
    """What is known at `ts_ns` of the reports of the average that ends at `end_ns`."""
    locked = Locked()
    end_s = end_ns // SECOND_NS
    now_s = end_s - open_reports((end_ns - ts_ns) / SECOND_NS, lookback_s)
    first_s = end_s - lookback_s + 1
    locked.reports = now_s - first_s + 1
    reports = _reports(reference.anchors, first_s - 1, now_s)
    known_s, known = first_s - 1, reports.pop(first_s - 1, 0.0)
    locked.heard = len(reports)
    if locked.heard == locked.reports:
        locked.total = sum(reports.values())
        return locked
    for second in range(first_s, now_s + 1):
        value = reports.get(second, 0.0)
        if value == 0.0 and second > now_s - LATE_REPORTS:
            value = reference.price_at(second * SECOND_NS)
            locked.late += 1
        if value > 0.0:
            if second > known_s + 1:
                _bridge(locked, known, value, second - known_s - 1, closed=known > 0.0)
            locked.total += value
            known_s, known = second, value
    # What is open at the near end leads to the price now.
    if now_s > known_s:
        _bridge(locked, known, reference.price, now_s - known_s, closed=known > 0.0)
    return locked


def _reports(series: Series, first_s: int, last_s: int) -> dict[int, float]:
    """The reports heard of these seconds; the last one stamped within a second is that second's."""
    times = series.times_ms
    low = bisect_right(times, (first_s - 1) * REPORT_MS)
    high = bisect_right(times, last_s * REPORT_MS)
    return {-(-times[index] // REPORT_MS): series.prices[index] for index in range(low, high)}


def _bridge(locked: Locked, left: float, right: float, gap: int, *, closed: bool) -> None:
    """Fill `gap` seconds between two known values: linear, with the variance of the bridge.

    Without a value on the left they are taken as the right one, with the variance of a free walk.
    """
    if closed:
        locked.total += gap * (left + right) / 2.0
        locked.bridge += gap * (gap + 1) * (gap + 2) / 12.0
    else:
        locked.total += gap * right
        locked.bridge += sum_variance(gap, 1.0)
