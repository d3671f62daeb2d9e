"""The closed-form quotes of Gueant, Lehalle and Fernandez-Tapia, and a binary's volatility.

Prices are USDC a share in (0, 1), sizes shares, times seconds. Sources: O. Gueant, C.-A. Lehalle,
J. Fernandez-Tapia, "Dealing with the inventory risk", Math. Financ. Econ. 7 (2013); O. Gueant,
"Optimal market making", Appl. Math. Finance 24 (2017), for orders of several shares; P. Bergault,
D. Evangelista, O. Gueant, D. Vieira, "Closed-form approximations in multi-asset market making"
(2021), for the finite horizon.
"""

from math import e, exp, log1p, pi, sqrt, tanh
from statistics import NormalDist
from typing import Final

NEAR_ZERO: Final = 1e-9
FAIR_MIN: Final = 1e-6
"""Probabilities closer to 0 or 1 than this count as this far away."""
SECONDS_MIN: Final = 0.25
"""Least time left that a volatility is taken over: a fair value is not updated faster."""
_NORMAL: Final = NormalDist()


def half_spread(risk_aversion: float, decay: float, shares: float) -> float:
    """The half spread without inventory risk: `ln(1 + g D / k) / (g D)`.

    Tends to `1 / k`, what a maker without risk aversion asks for.
    """
    scaled = risk_aversion * shares
    if scaled < NEAR_ZERO:
        return 1.0 / decay
    return log1p(scaled / decay) / scaled


def lasting_slope(
    risk_aversion: float, arrival: float, decay: float, shares: float, volatility: float
) -> float:
    """USDC of shift per share held when the end is far:
    `sigma sqrt(g / (2 A D k) (1 + g D / k) ** (1 + k / (g D)))`.
    """
    scaled = risk_aversion * shares / decay
    growth = e if scaled < NEAR_ZERO else exp((1.0 + 1.0 / scaled) * log1p(scaled))
    return volatility * sqrt(risk_aversion * growth / (2.0 * arrival * shares * decay))


def slope(lasting: float, risk_aversion: float, variance_left: float) -> float:
    """The shift per share when only `variance_left` (USDC squared) of the price is still to come.

    The lasting slope where that is much; `risk_aversion * variance_left`, the price of holding to
    the end, where it is little. In between the hyperbolic tangent that solves the Riccati equation
    of the quadratic approximation under a constant volatility.
    """
    terminal = risk_aversion * variance_left
    if lasting <= NEAR_ZERO * terminal:
        return max(lasting, 0.0)
    return lasting * tanh(terminal / lasting)


def binary_variance(fair: float) -> float:
    """Variance of the payoff as seen from now, `p (1 - p)`: all that a fair value can still do."""
    return max(fair * (1.0 - fair), 0.0)


def effective_seconds(left_s: float, average_s: float) -> float:
    """Seconds of the price's walk that decide the payoff's sensitivity.

    `left` for a price at the end. For an average over the last `average_s` its variance before the
    average begins, `left - 2 average / 3`, and within it `left / 3`.
    """
    if average_s <= 0.0:
        seconds = left_s
    elif left_s >= average_s:
        seconds = left_s - 2.0 * average_s / 3.0
    else:
        seconds = left_s / 3.0
    return max(seconds, SECONDS_MIN)


def binary_volatility(fair: float, seconds: float) -> float:
    """Standard deviation of the fair value in a second: `pdf(probit(p)) / sqrt(seconds)`.

    A payoff decided by a Gaussian walk has `p = cdf(x / sqrt(seconds))`; that the volatility of the
    walk cancels makes it hold whatever the asset.
    """
    score = _NORMAL.inv_cdf(min(max(fair, FAIR_MIN), 1.0 - FAIR_MIN))
    return exp(-score * score / 2.0) / sqrt(2.0 * pi * seconds)
