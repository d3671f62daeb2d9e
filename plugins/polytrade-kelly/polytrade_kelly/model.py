"""Kelly's fraction, its shrinkage under doubt, and how binaries move together.

Probabilities and prices are in (0, 1). Sources: J. L. Kelly, "A New Interpretation of Information
Rate" (1956); R. D. Baker, I. G. McHale, "Optimal Betting Under Parameter Uncertainty" (Decision
Analysis 10, 2013); S. J. Grossman, Z. Zhou, "Optimal Investment Strategies for Controlling
Drawdowns" (Math. Finance 3, 1993); Z. Drezner, G. O. Wesolowsky, "On the Computation of the
Bivariate Normal Integral" (1990).
"""

from math import exp, pi, sqrt
from statistics import NormalDist
from typing import Final

PROBABILITY_MIN: Final = 1e-4
RHO_MAX: Final = 0.995
_NORMAL: Final = NormalDist()
_NODES: Final = (
    (0.04691007703066802, 0.11846344252809454),
    (0.23076534494715845, 0.23931433524968324),
    (0.5, 0.28444444444444444),
    (0.7692346550528415, 0.23931433524968324),
    (0.9530899229693319, 0.11846344252809454),
)
"""Gauss-Legendre on [0, 1], five points: the covariance is good to 1e-4 up to rho 0.9."""


def kelly_fraction(probability: float, price: float) -> float:
    """The share of the bankroll that maximizes its expected logarithm; 0 without an edge."""
    if not 0.0 < price < 1.0:
        return 0.0
    return min(max((probability - price) / (1.0 - price), 0.0), 1.0)


def shrinkage(edge: float, doubt: float) -> float:
    """Baker and McHale's factor for an edge known up to a standard error:
    `edge^2 / (edge^2 + doubt^2)`.
    """
    if edge <= 0.0:
        return 0.0
    return edge * edge / (edge * edge + doubt * doubt)


def drawdown_factor(equity: float, peak: float, most: float) -> float:
    """Grossman and Zhou's factor: 1 at the peak, 0 when `most` of the peak is lost."""
    if most <= 0.0 or peak <= 0.0:
        return 1.0
    return min(max(1.0 - (1.0 - equity / peak) / most, 0.0), 1.0)


def score(probability: float) -> float:
    """The probit of a probability."""
    return _NORMAL.inv_cdf(min(max(probability, PROBABILITY_MIN), 1.0 - PROBABILITY_MIN))


def volatility_doubt(probability: float, error: float) -> float:
    """What a relative error of the volatility does to a probability: `pdf(d) |d| error`."""
    d = score(probability)
    return exp(-d * d / 2.0) / sqrt(2.0 * pi) * abs(d) * error


def covariance(first: float, second: float, rho: float) -> float:
    """Covariance of two payoffs of these probabilities whose causes correlate by `rho`.

    The integral of the bivariate normal density over the correlation, from 0 to `rho`.
    """
    x, y = score(first), score(second)
    rho = min(max(rho, -RHO_MAX), RHO_MAX)
    total = 0.0
    for at, weight in _NODES:
        r = at * rho
        rest = 1.0 - r * r
        total += weight * exp(-(x * x - 2.0 * r * x * y + y * y) / (2.0 * rest)) / sqrt(rest)
    return total * rho / (2.0 * pi)


def overlap(
    first_start: int, first_end: int, second_start: int, second_end: int, now: int
) -> float:
    """Correlation of the returns still to come of two windows of one price, times in ns:
    the time they share over the geometric mean of their times.
    """
    first_from, second_from = max(first_start, now), max(second_start, now)
    first, second = first_end - first_from, second_end - second_from
    shared = min(first_end, second_end) - max(first_from, second_from)
    if first <= 0 or second <= 0 or shared <= 0:
        return 0.0
    return shared / sqrt(float(first) * float(second))
