"""Limits that follow what the market has done to us: least edge, widest spread, market score.

The formulas are those of the specification of the models ("Adaptive limits", "Toxicity"). Markouts
are in basis points, rates and `tox` in [0, 1]; a percentile of an empty sample is given as 0.
"""

from typing import Final

from polytrade.core.units import ONE_E4

SAMPLES_MIN: Final = 20
"""Markouts of a market below which it is in its warm-up: too few to judge it by."""
OUTCOMES_MIN: Final = 30
"""Outcomes of the measuring window below which the whole system is in its warm-up."""

SPREAD_E4_MIN: Final = 20
WARM_SPREAD_E4_MIN: Final = 30
WARM_SPREAD_E4_MAX: Final = 800
ROUNDING: Final = 1e-6
"""What float products fall short of the integer they mean."""


def clamp(value: float, low: float, high: float) -> float:
    """`value` within [low, high]; `low` where the two contradict each other."""
    low_enough = value if value < high else high
    return low_enough if low_enough > low else low


def min_edge_bps(
    base_bps: float,
    outcomes: int,
    samples: int,
    tox: float,
    no_quote_rate: float,
    markout10_p50: float,
    markout10_p25: float,
) -> float:
    """The least edge a quote must have: low until enough is known, more where fills go wrong."""
    if outcomes < OUTCOMES_MIN:
        low = max(0.15 * base_bps, 0.5)
        high = max(0.5 * base_bps, low)
        edge = low + (high - low) * outcomes / OUTCOMES_MIN
        if no_quote_rate > 0.85:
            edge *= 0.8
        return clamp(edge, 0.25, base_bps)
    if samples < SAMPLES_MIN:
        return max(0.5 * base_bps, 1.0)
    edge = base_bps * (1.0 + 0.6 * tox)
    median = -markout10_p50 if markout10_p50 < 0.0 else 0.0
    quarter = -markout10_p25 if markout10_p25 < 0.0 else 0.0
    edge += 0.5 * median + 0.35 * quarter
    if no_quote_rate > 0.95:
        edge *= 0.9
    return clamp(edge, 1.0, 2.5 * base_bps)


def max_spread_e4(base_e4: int, samples: int, tox: float) -> int:
    """The widest spread that is quoted in, rounded down to 1e-4 USDC."""
    if samples < SAMPLES_MIN:
        wide = clamp(1.2 * base_e4, WARM_SPREAD_E4_MIN, WARM_SPREAD_E4_MAX)
    else:
        wide = clamp(base_e4 * (1.0 - 0.35 * tox), SPREAD_E4_MIN, base_e4)
    most_e4 = int(wide + ROUNDING)
    return most_e4 if most_e4 < ONE_E4 else ONE_E4


def market_score(
    samples: int, markout10_p50: float, no_quote_rate: float, missing_rate: float, tox: float
) -> float:
    """How much a market deserves a place among those that are quoted, 0 to 100."""
    if samples < SAMPLES_MIN:
        score = 80.0 - 6.0 * no_quote_rate - 6.0 * missing_rate
        return score if score > 45.0 else 45.0
    earned = 1.5 * markout10_p50
    if not -30.0 <= earned <= 30.0:
        earned = 30.0 if earned > 0.0 else -30.0
    lost = 25.0 * no_quote_rate + 30.0 * missing_rate + 20.0 * tox
    return clamp(70.0 + earned - lost, 0.0, 100.0)
