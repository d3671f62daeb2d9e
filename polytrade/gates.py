"""The gates: what must hold of a window's numbers before they count for anything, as one table.

A metric without a sample fails its gate by name: nothing passes because nothing was measured.
"""

from collections.abc import Callable, Mapping
from operator import ge, gt, le, lt
from typing import Final

import attrs

READY_OUTCOMES: Final = 30
"""Outcomes a window must have before its gates say anything (metrics contract)."""

COMPARISONS: Final[dict[str, Callable[[float, float], bool]]] = {
    ">=": ge,
    ">": gt,
    "<=": le,
    "<": lt,
}


@attrs.frozen
class Gate:
    """One row: the metric's value must compare so with the limit."""

    metric: str
    comparison: str = attrs.field(validator=attrs.validators.in_(tuple(COMPARISONS)))
    limit: float

    def holds(self, value: float | None) -> bool:
        """Whether a value passes; no value and NaN do not."""
        return value is not None and COMPARISONS[self.comparison](value, self.limit)

    def text(self) -> str:
        """The gate as people write it: `fillability_10ms >= 0.6`."""
        return f"{self.metric} {self.comparison} {self.limit:g}"


GATES: Final = (
    Gate("data_valid_ratio", ">=", 0.999),
    Gate("seq_gap_rate", "<=", 0.001),
    Gate("ts_inversion_rate", "<=", 0.0005),
    Gate("tick_to_ack_p99_ms", "<", 450.0),
    Gate("decision_compute_p99_ms", "<", 2.0),
    Gate("feed_in_p99_ms", "<", 800.0),
    Gate("executed_over_eligible", ">=", 0.60),
    Gate("quote_block_ratio", "<", 0.10),
    Gate("policy_block_ratio", "<", 0.10),
    Gate("ev_net_usdc_p50", ">", 0.0),
    Gate("roi_notional_10s_bps_p50", ">", 0.0),
    Gate("net_markout_10s_usdc_p50", ">", 0.0),
    Gate("fillability_10ms", ">=", 0.60),
    Gate("net_edge_p50_bps", ">", 0.0),
    Gate("net_edge_p10_bps", ">=", -1.0),
    Gate("book_freshness_ms", "<", 1500.0),
    Gate("ref_freshness_ms", "<", 1000.0),
)
"""Every gate of the metrics contract, in its order."""


@attrs.frozen
class GateResult:
    """The verdict on a window: `passed` only when it is `ready` and nothing failed."""

    ready: bool
    passed: bool
    fail_reasons: tuple[str, ...]

    def to_dict(self) -> dict[str, object]:
        """The verdict as the API answers it."""
        return {
            "gate_ready": self.ready,
            "gate_passed": self.passed,
            "gate_fail_reasons": list(self.fail_reasons),
        }


def evaluate(values: Mapping[str, float | None], window_outcomes: int) -> GateResult:
    """Put a window's numbers through every gate; each failure is named with value and limit.

    A window with fewer than `READY_OUTCOMES` outcomes is not ready and does not pass.
    """
    reasons: list[str] = []
    ready = window_outcomes >= READY_OUTCOMES
    if not ready:
        reasons.append(f"window_outcomes {window_outcomes}, wanted >= {READY_OUTCOMES}")
    for gate in GATES:
        value = values.get(gate.metric)
        if not gate.holds(value):
            found = "no sample" if value is None else f"{value:.6g}"
            reasons.append(f"{gate.metric} {found}, wanted {gate.comparison} {gate.limit:g}")
    return GateResult(ready, not reasons, tuple(reasons))
