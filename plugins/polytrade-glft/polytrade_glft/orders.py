"""When nothing may rest, and the grids that prices and sizes are on."""

from typing import Final

from polytrade.api import View, market_silence, units

SIZE_STEP_E6: Final = 10_000
"""Order sizes carry at most two decimals."""
GRID_NOISE: Final = 1e-6
CONFIDENCE_MIN: Final = 0.2
"""Below this a model's word is not quoted on."""


def silence(view: View, after_start_s: float, before_end_s: float) -> str:
    """Why nothing may rest, whatever it would cost; empty when something may."""
    estimate, spec = view.estimate, view.market.spec
    if not estimate.ok:
        return estimate.reason
    if estimate.confidence < CONFIDENCE_MIN:
        return "no_quote_confidence"
    reason = market_silence(view)
    if reason:
        return reason
    if spec.end_ns and view.ts_ns >= spec.end_ns - round(before_end_s * units.SECOND_NS):
        return "no_quote_near_end"
    if view.ts_ns < spec.start_ns + round(after_start_s * units.SECOND_NS):
        return "no_quote_before_start"
    return ""
