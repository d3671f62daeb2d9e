"""A row of the metrics contract, and the short forms most rows are written in."""

from typing import Final

import attrs

from polytrade.gates import GATES, Gate

COUNTER: Final = "counter"
GAUGE: Final = "gauge"
SUMMARY: Final = "summary"
TABLE: Final = "table"
"""Rows and texts, which only JSON can carry."""
KINDS: Final = (COUNTER, GAUGE, SUMMARY, TABLE)

PREFIX: Final = "polytrade_"

WINDOW: Final = "window"
"""Over the measuring window: since the start, or since `POST /control/reset_shadow`."""
RUN: Final = "run"
"""Since the daemon's start."""
NOW: Final = "now"
"""As it stands at the moment of the answer."""

SHADOW: Final = "/report/shadow/live"
TOXICITY: Final = "/report/toxicity/live"
ENGINES: Final = "/report/pnl/by_engine"
QUALITY: Final = "/quality"
PNL: Final = "/state/pnl"

PERCENTILES: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
"""What is published of a summary."""


@attrs.frozen
class Metric:
    """One row. `json` is where the number is in JSON: the endpoint and, after `#`, the field.

    A summary has a field for each percentile, with the percentile before the unit. `wall_clock`
    marks what depends on this host's own speed: a replay of the same run has no such number.
    """

    name: str
    kind: str = attrs.field(validator=attrs.validators.in_(KINDS))
    unit: str
    help: str
    labels: tuple[str, ...] = ()
    formula: str = attrs.field(default="", kw_only=True)
    window: str = attrs.field(kw_only=True)
    json: str = attrs.field(default="", kw_only=True)
    wall_clock: bool = attrs.field(default=False, kw_only=True)

    @window.default
    def _of_kind(self) -> str:
        return {COUNTER: RUN, SUMMARY: WINDOW}.get(self.kind, NOW)

    @property
    def prometheus(self) -> str:
        """The name on the Prometheus page; empty for a table."""
        return "" if self.kind == TABLE else PREFIX + self.name

    @property
    def endpoint(self) -> str:
        """Where the number is in JSON; empty when it is not."""
        return self.json.partition("#")[0]

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of its values in the answer of the endpoint."""
        if not self.json:
            return ()
        field = self.json.partition("#")[2] or self.name
        if self.kind != SUMMARY:
            return (field,)
        return tuple(percentile_name(field, percentile) for percentile in PERCENTILES)

    @property
    def gates(self) -> tuple[Gate, ...]:
        """The gates that look at one of its values."""
        return tuple(gate for gate in GATES if gate.metric in {self.name, *self.fields})


def percentile_name(name: str, percentile: str) -> str:
    """The field of a percentile: `tick_to_ack_ms` at `p99` is `tick_to_ack_p99_ms`."""
    stem, _, unit = name.rpartition("_")
    return f"{stem}_{percentile}_{unit}"


def shadow(
    name: str,
    unit: str,
    text: str,
    labels: tuple[str, ...] = (),
    *,
    formula: str = "",
    window: str = WINDOW,
    kind: str = GAUGE,
    wall_clock: bool = False,
) -> Metric:
    """A row of the live report under its own name."""
    return Metric(
        name,
        kind,
        unit,
        text,
        labels,
        formula=formula,
        window=window,
        json=SHADOW,
        wall_clock=wall_clock,
    )


def latency(name: str, unit: str, text: str, formula: str, *, wall_clock: bool = True) -> Metric:
    """A latency of the live report: p50, p90 and p99 over the window, nearest rank within 1.1 %."""
    return shadow(name, unit, text, formula=formula, kind=SUMMARY, wall_clock=wall_clock)
