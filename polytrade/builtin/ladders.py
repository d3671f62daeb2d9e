"""Whether the markets on one price at one moment agree: a ladder of thresholds and ranges.

Each says what share of the settlement's law lies between two prices: a range between its bounds, a
below market from nothing to its strike, an above or up/down market from its strike to no bound. All
are steps on one curve that begins at 0 and ends at 1, so every market beyond those that draw the
curve is a check: a range against the two thresholds at its bounds, a full set of ranges against 1.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

import attrs

from polytrade.core.market import MarketState

NOTHING: Final = 0
"""The price below which no settlement is; a strike is above it."""
NO_BOUND: Final = 1 << 62
SPREAD_MOST_E4: Final = 500
"""Wider books than 5 cents have no mid worth comparing or inverting."""
Moment = tuple[int, str, int]
"""What markets must have in common: end, kind of settlement, look-back."""


@attrs.frozen(order=True)
class Step:
    """The settlement is from `low_e8` to below `high_e8` with probability `chance`: the mid."""

    low_e8: int
    high_e8: int
    chance: float


def step_of(market: MarketState) -> Step | None:
    """What a market says now; None when its book or its strike says nothing."""
    spec, strike_e8, mid = market.spec, market.strike_e8, market.mid
    if strike_e8 <= 0 or market.strike_provisional or mid < 0.0:
        return None
    if market.spread_e4 > SPREAD_MOST_E4 or not market.trust.valid:
        return None
    if spec.condition == "range":
        return Step(strike_e8, spec.upper_e8, mid) if spec.upper_e8 > strike_e8 else None
    if spec.condition == "below":
        return Step(NOTHING, strike_e8, mid)
    return Step(strike_e8, NO_BOUND, mid) if market.windowed else None


def ladders_of(markets: Iterable[MarketState]) -> dict[Moment, list[Step]]:
    """The steps of one asset's markets by what they have in common."""
    found: dict[Moment, list[Step]] = {}
    for market in markets:
        step = step_of(market)
        if step is not None:
            spec = market.spec
            found.setdefault((spec.end_ns, spec.settle, spec.lookback_s), []).append(step)
    return found


def gaps(steps: Sequence[Step]) -> list[float]:
    """How far each step that was not needed to draw the curve is off it, and how far it falls.

    Thresholds draw first, ranges between what is drawn already; the order of `steps` changes
    nothing. A step that touches nothing drawn says nothing.
    """
    curve = {NOTHING: 0.0, NO_BOUND: 1.0}
    off: list[float] = []
    waiting = sorted(steps)
    while waiting:
        checks = [step for step in waiting if step.low_e8 in curve and step.high_e8 in curve]
        if checks:
            off += [abs(curve[s.high_e8] - curve[s.low_e8] - s.chance) for s in checks]
        else:
            reaching = [s for s in waiting if s.low_e8 in curve or s.high_e8 in curve]
            if not reaching:
                break
            step = min(reaching, key=_width)
            if step.low_e8 in curve:
                curve[step.high_e8] = curve[step.low_e8] + step.chance
            else:
                curve[step.low_e8] = curve[step.high_e8] - step.chance
            checks = [step]
        waiting = [step for step in waiting if step not in checks]
    heights = [curve[price] for price in sorted(curve)]
    return off + [low - high for low, high in pairwise(heights) if low > high]


def _width(step: Step) -> tuple[bool, int, int]:
    """Thresholds before ranges, then by price."""
    threshold = step.low_e8 == NOTHING or step.high_e8 == NO_BOUND
    return not threshold, step.low_e8, step.high_e8
