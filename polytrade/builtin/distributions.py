"""Distribution functions that fair values need, without a dependency in the tick path."""

from math import erfc, exp, lgamma, log, sqrt
from typing import Final

_ITERATIONS_MAX: Final = 200
"""Continued-fraction terms; the incomplete beta converges in about sqrt(max(a, b)) of them."""
_TINY: Final = 1e-300
_PRECISE: Final = 1e-14


def normal_cdf(x: float) -> float:
    """P(Z <= x) of a standard normal."""
    return 0.5 * erfc(-x / sqrt(2.0))


def student_cdf(x: float, dof: float) -> float:
    """P(X <= x) of a Student t scaled to unit variance; `dof` must exceed 2."""
    t = x * sqrt(dof / (dof - 2.0))
    tail = 0.5 * incomplete_beta(dof / 2.0, 0.5, dof / (dof + t * t))
    return tail if t < 0.0 else 1.0 - tail


def incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularized incomplete beta function I_x(a, b) for x in [0, 1].

    Continued fraction by the modified Lentz method (DLMF 8.17.22).
    """
    if x <= 0.0:
        return 0.0
    if x >= 1.0:
        return 1.0
    if x > (a + 1.0) / (a + b + 2.0):
        return 1.0 - incomplete_beta(b, a, 1.0 - x)
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log(1.0 - x)) / a
    fraction = c = 1.0
    d = 1.0 - (a + b) * x / (a + 1.0)
    d = 1.0 / (d if abs(d) > _TINY else _TINY)
    fraction = d
    for m in range(1, _ITERATIONS_MAX):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1.0 + even * d
        d = 1.0 / (d if abs(d) > _TINY else _TINY)
        c = 1.0 + even / (c if abs(c) > _TINY else _TINY)
        fraction *= d * c
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d = 1.0 + odd * d
        d = 1.0 / (d if abs(d) > _TINY else _TINY)
        c = 1.0 + odd / (c if abs(c) > _TINY else _TINY)
        step = d * c
        fraction *= step
        if abs(step - 1.0) < _PRECISE:
            break
    return front * fraction
