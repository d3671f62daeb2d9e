"""The shadow report: every name of the contract, None where nothing was measured."""

from collections.abc import Mapping
from typing import Final

import attrs

from polytrade.core.adverse import AdverseRow
from polytrade.gates import GateResult, evaluate
from polytrade.shadow.fills import EngineRow
from polytrade.shadow.scorecard import ScoreRow

QUANTILES: Final = ("p50", "p90", "p99")
LATENCIES: Final = (
    "source_latency_ms",
    "local_backlog_ms",
    "feed_in_ms",
    "decision_queue_wait_ms",
    "decision_compute_ms",
    "tick_to_decision_ms",
    "ack_only_ms",
    "tick_to_ack_ms",
    "parse_us",
    "signal_us",
    "quote_us",
    "risk_us",
    "sign_us",
    "book_top_lag_ms",
)
"""Latencies of the contract, each reported at `QUANTILES`."""


def quantile_name(metric: str, quantile: str) -> str:
    """A quantile's name: `tick_to_ack_ms` at p99 is `tick_to_ack_p99_ms`."""
    stem, _, unit = metric.rpartition("_")
    return f"{stem}_{quantile}_{unit}"


MEASURED: Final = (
    "data_valid_ratio",
    "seq_gap_rate",
    "ts_inversion_rate",
    "stale_tick_drop_ratio",
    "ref_ticks_total",
    "book_ticks_total",
)
"""What the meter adds from events alone: alike live and replayed."""
WALL_CLOCK: Final = (
    *[quantile_name(metric, quantile) for metric in LATENCIES for quantile in QUANTILES],
    "book_top_lag_p99_ms_by_symbol",
    "queue_depth_p99",
    "event_backlog_p99",
    "io_queue_p99_ms",
    "loop_lag_p99_ms",
    "strategy_uptime_pct",
    "ref_freshness_ms",
    "book_freshness_ms",
)
"""What depends on this machine's clock and load: it differs from run to run."""


@attrs.frozen(kw_only=True)
class ShadowReport:
    """A window's numbers as of one moment. `values` has every single number of the shadow and
    funnel sections of the contract by name, ratios in [0, 1].
    """

    window_id: int
    window_shots: int
    window_outcomes: int
    started_at_ms: int
    elapsed_sec: float
    values: Mapping[str, float | None]
    survival_probe_10ms_by_symbol: Mapping[str, float | None]
    funnel: Mapping[str, int]
    blocked_reason_counts: Mapping[str, int]
    causes: Mapping[str, int]
    market_scorecard: tuple[ScoreRow, ...]
    pnl_by_engine: tuple[EngineRow, ...]
    adverse_selection: tuple[AdverseRow, ...]

    def gate(self, measured: Mapping[str, float | None]) -> GateResult:
        """The verdict of the gates on this window and what was `measured` beside it."""
        return evaluate({**self.values, **measured}, self.window_outcomes)

    def to_dict(
        self,
        measured: Mapping[str, object] | None = None,
        wall_clock: Mapping[str, object] | None = None,
    ) -> dict[str, object]:
        """The JSON of `GET /report/shadow/live`.

        `measured` are the meter's numbers named in `MEASURED`, `wall_clock` those in `WALL_CLOCK`,
        which stand apart; what is not given is None, any other name an AssertionError.
        """
        return {
            "window_id": self.window_id,
            "window_shots": self.window_shots,
            "window_outcomes": self.window_outcomes,
            "started_at_ms": self.started_at_ms,
            "elapsed_sec": self.elapsed_sec,
            **_named(MEASURED, measured),
            **self.values,
            "survival_probe_10ms_by_symbol": dict(self.survival_probe_10ms_by_symbol),
            "funnel": dict(self.funnel),
            "blocked_reason_counts": dict(self.blocked_reason_counts),
            "causes": dict(self.causes),
            "market_scorecard": [row.to_dict() for row in self.market_scorecard],
            "pnl_by_engine": [attrs.asdict(row) for row in self.pnl_by_engine],
            "adverse_selection": [
                {name: getattr(row, name) for name in row.__slots__}
                for row in self.adverse_selection
            ],
            "wall_clock": _named(WALL_CLOCK, wall_clock),
        }

    def pnl_dict(self) -> dict[str, object]:
        """The JSON of `GET /report/pnl/by_engine`."""
        totals = {row.engine: row.total_usdc for row in self.pnl_by_engine}
        return {
            "window_id": self.window_id,
            "breakdown": {f"{name}_usdc": totals[name] for name in ("maker", "taker", "arb")},
            "rows": [attrs.asdict(row) for row in self.pnl_by_engine],
        }


def _named(names: tuple[str, ...], given: Mapping[str, object] | None) -> dict[str, object]:
    given = given if given is not None else {}
    unknown = sorted(set(given) - set(names))
    assert not unknown, f"not in the shadow report: {unknown}"
    return {name: given.get(name) for name in names}
