"""Momentum of the reference price, and what a further move of it does to a binary.

A return over `h` seconds counts by its score, `r / (sigma sqrt(h))`: only what is more than noise
speaks. A payoff decided by a Gaussian walk moves by `pdf(probit(p)) / sqrt(seconds)` when the price
moves by `sigma`, whatever sigma is.
"""

from collections.abc import Sequence
from math import exp, log, pi, sqrt
from statistics import NormalDist
from typing import Final

from polytrade.api import MarketState, SymbolReference, units

FAIR_MIN: Final = 1e-6
SECONDS_MIN: Final = 0.25
SCORE_MAX: Final = 4.0
"""A score beyond this is a jump: it counts as this much."""
VOL_BLEND: Final = 0.5
VOL_MIN: Final = 1.5e-5
VOL_MAX: Final = 2e-3
"""Bounds of the volatility a sqrt second, those of the fair value's own defaults."""
_NORMAL: Final = NormalDist()


def sensitivity(market: MarketState, fair: float, ts_ns: int) -> float:
    """Change of P(YES) when the price rises by one second's standard deviation; 0.0 when the market
    is over, or its direction is not known (a range, or no price decides it).
    """
    spec = market.spec
    if spec.end_ns <= ts_ns:
        return 0.0
    left_s = (spec.end_ns - ts_ns) / units.SECOND_NS
    average_s = float(spec.lookback_s) if spec.settle == "twap" else 0.0
    if average_s <= 0.0:
        seconds = left_s
    elif left_s >= average_s:
        seconds = left_s - 2.0 * average_s / 3.0
    else:
        seconds = left_s / 3.0
    score = _NORMAL.inv_cdf(min(max(fair, FAIR_MIN), 1.0 - FAIR_MIN))
    density = exp(-score * score / 2.0) / sqrt(2.0 * pi * max(seconds, SECONDS_MIN))
    return market.direction * density


def trend(reference: SymbolReference, horizons_s: Sequence[float], dead_zone: float) -> float:
    """The mean score of the returns over the horizons, each less the dead zone.

    A horizon from before the price was heard says nothing.
    """
    if reference.price <= 0.0:
        return 0.0
    volatility = reference.vol(VOL_BLEND, VOL_MIN, VOL_MAX)
    total = 0.0
    for horizon_s in horizons_s:
        before = reference.price_at(reference.venue_ns - round(horizon_s * units.SECOND_NS))
        if before <= 0.0:
            continue
        score = log(reference.price / before) / (volatility * sqrt(horizon_s))
        score = min(max(score, -SCORE_MAX), SCORE_MAX)
        if abs(score) > dead_zone:
            total += score - dead_zone if score > 0.0 else score + dead_zone
    return total / len(horizons_s) if horizons_s else 0.0
