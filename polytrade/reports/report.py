"""A report: everything a run's report files say, as plain data, before any of it is written.

`freeze` reads the folds of a `Watch` as of the last event, so that a report of a live run and one
of its journal, replayed up to the same event, are the same. What only a live run can
measure (how long our own code took) is kept apart in `wall`; a report is made again by handing it
the `wall` of the first one.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import attrs

from polytrade.core.units import MS_NS, SECOND_NS
from polytrade.gates import GateResult, evaluate
from polytrade.lens_books import LensRow
from polytrade.lenses import EXPECTED, LENSES
from polytrade.metrics import METRICS, SUMMARY, Quantiles, Readings
from polytrade.replay_result import account_of
from polytrade.reports.curves import Drawn
from polytrade.reports.manifest import Basis
from polytrade.reports.toxicity import toxicity_json
from polytrade.reports.watch import Watch
from polytrade.shadow import MEASURED, ShadowReport, quantile_name

PERCENTILES: Final = ("p50", "p90", "p99")
CURVE_QUANTILES: Final = (
    *(0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 1.0),
)
"""Where the plotted distribution of a latency is read off."""
LAG_BY_SYMBOL: Final = "book_top_lag_p99_ms_by_symbol"
DRAWN: Final = (
    *("source_latency_ms", "feed_in_ms", "decision_compute_ms", "tick_to_decision_ms"),
    *("ack_only_ms", "tick_to_ack_ms", "book_top_lag_ms"),
)
"""Latencies whose whole distribution is kept for the plot."""


@attrs.frozen(kw_only=True)
class Report:
    """One report. `values` are the contract's single numbers, `wall` those of wall-clock origin."""

    ts_ns: int
    first_ts_ns: int
    basis: Basis
    counts: dict[str, Any]
    account: dict[str, Any]
    lenses: list[dict[str, Any]]
    values: dict[str, float | None]
    latency: dict[str, dict[str, Any]]
    shadow: dict[str, Any]
    toxicity: dict[str, Any]
    calibration: dict[str, Any]
    coherence: dict[str, Any]
    curves: dict[str, Any]
    wall: dict[str, Any]

    @property
    def day(self) -> str:
        """The UTC date of the last event: the folder the files go to."""
        return f"{datetime.fromtimestamp(self.ts_ns // SECOND_NS, tz=UTC):%Y-%m-%d}"

    @property
    def gate(self) -> GateResult:
        """The verdict on the window."""
        return evaluate(self.all_values(), int(self.shadow.get("window_outcomes") or 0))

    def all_values(self) -> dict[str, float | None]:
        """Every single number, those of wall-clock origin and percentiles of latencies included."""
        found: dict[str, float | None] = {**self.values, **self.wall["values"]}
        for name, row in self.all_latency().items():
            for percentile in PERCENTILES:
                found[quantile_name(name, percentile)] = row[percentile]
        return found

    def all_latency(self) -> dict[str, dict[str, Any]]:
        """Every latency, in the order of the contract."""
        rows = {**self.latency, **self.wall["latency"]}
        return {name: rows[name] for name in METRICS if name in rows}

    def lens(self, name: str = EXPECTED, engine: str = "all") -> dict[str, Any]:
        """The row of a lens for one engine; zeros for an engine without fills."""
        for row in self.lenses:
            if row["lens"] == name and row["engine"] == engine:
                return row
        return {**dict.fromkeys(self.lenses[0], 0), "lens": name, "engine": engine}

    def net_by_lens(self) -> dict[str, float]:
        """Profit after fees and estimated rebates under each lens."""
        return {name: self.lens(name)["net_usdc"] for name in LENSES}


@attrs.frozen(kw_only=True)
class Frozen:
    """What a report is made of, as of one moment: nothing that happens later changes it.

    Taking it costs a live run a millisecond or two; `report` may be called in another thread.
    """

    ts_ns: int
    first_ts_ns: int
    counts: dict[str, Any]
    account: dict[str, Any]
    lenses: list[LensRow]
    readings: Readings
    window: ShadowReport
    toxicity: dict[str, Any]
    calibration: dict[str, Any]
    coherence: dict[str, Any]
    curves: Drawn
    latency_curves: dict[str, list[float]]
    wall: dict[str, Any]

    def report(self, basis: Basis, wall: Mapping[str, Any] | None = None) -> Report:
        """The report; `wall` replaces everything of wall-clock origin by another report's."""
        readings = self.readings
        values, latency = _split(readings, wanted=False)
        values |= self.window.values
        shadow = self.window.to_dict({name: values[name] for name in MEASURED if name in values})
        del shadow["wall_clock"]
        lags = readings.values.get(LAG_BY_SYMBOL, {})
        shadow[LAG_BY_SYMBOL] = {labels[0]: value for labels, value in sorted(lags.items())}
        return Report(
            ts_ns=self.ts_ns,
            first_ts_ns=self.first_ts_ns,
            basis=basis,
            counts=self.counts,
            account=self.account,
            lenses=[row.to_dict() for row in self.lenses],
            values=values,
            latency=latency,
            shadow=shadow,
            toxicity=self.toxicity,
            calibration=self.calibration,
            coherence=self.coherence,
            curves={**self.curves.to_dict(), "latency": self.latency_curves},
            wall=dict(self.wall if wall is None else wall),
        )


def freeze(
    watch: Watch,
    readings: Readings | None = None,
    window: ShadowReport | None = None,
) -> Frozen:
    """What `watch` has seen, as of its last event.

    `readings` are the meter's with what only the shell of a live run knows (loop lag, queues),
    `window` is the shadow's report of this moment where it was made before. Of a replay there are
    no numbers of wall-clock origin: they have no sample, and their gates fail by name.
    """
    ts_ns = watch.tally.last_ts_ns
    readings = readings if readings is not None else watch.meter.readings(ts_ns)
    return Frozen(
        ts_ns=ts_ns,
        first_ts_ns=watch.tally.first_ts_ns,
        counts=_counts(watch),
        account=account_of(watch.engine),
        lenses=watch.lenses.table(),
        readings=readings,
        window=window if window is not None else watch.shadow.report(ts_ns),
        toxicity=toxicity_json(watch.engine, ts_ns),
        calibration=watch.calibration.to_dict(),
        coherence=watch.coherence.to_dict(),
        curves=watch.curves.frozen(),
        latency_curves=_distributions(watch, wanted=False),
        wall=_wall(watch, readings),
    )


def build_report(watch: Watch, basis: Basis, *, wall: Mapping[str, Any] | None = None) -> Report:
    """The report of what `watch` has seen, as of its last event (`Frozen.report`)."""
    return freeze(watch).report(basis, wall)


def _wall(watch: Watch, readings: Readings) -> dict[str, Any]:
    """What only a live run can measure; without samples when this is none."""
    if not watch.live:
        readings = Readings()
        for name, row in METRICS.items():
            if row.kind == SUMMARY:
                readings.put_summary(name, Quantiles())
    values, latency = _split(readings, wanted=True)
    curves = _distributions(watch, wanted=True) if watch.live else {}
    return {"values": values, "latency": latency, "curves": curves}


def _counts(watch: Watch) -> dict[str, Any]:
    tally, meter = watch.tally, watch.meter
    return {
        "events": tally.events,
        "events_by_kind": meter.kinds(),
        "effects": tally.digest.count,
        "effect_digest": tally.digest.hexdigest(),
        "fills": watch.curves.fills,
        "gaps": meter.gaps(),
        "clock_skew_ms": meter.skew_ms,
    }


def _split(
    readings: Readings, *, wanted: bool
) -> tuple[dict[str, float | None], dict[str, dict[str, Any]]]:
    """Single numbers and latencies of wall-clock origin, or the others."""
    values: dict[str, float | None] = {}
    latency: dict[str, dict[str, Any]] = {}
    for name, row in METRICS.items():
        if row.wall_clock != wanted:
            continue
        if row.kind == SUMMARY:
            if name in readings.summaries:
                latency[name] = _latency_row(row.unit, readings.summaries[name])
        elif not row.labels and name in readings.values:
            values[name] = readings.value(name)
    return values, latency


def _latency_row(unit: str, found: Quantiles) -> dict[str, Any]:
    return {
        "unit": unit,
        "count": found.count,
        "p50": found.p50,
        "p90": found.p90,
        "p99": found.p99,
        "max": found.max,
    }


def _distributions(watch: Watch, *, wanted: bool) -> dict[str, list[float]]:
    """Of each drawn latency its values in ms at `CURVE_QUANTILES`; nothing of an empty one."""
    found: dict[str, list[float]] = {}
    latencies = watch.meter.latencies
    for name in DRAWN:
        recorder = latencies.get(name)
        if recorder is None or METRICS[name].wall_clock != wanted:
            continue
        read = recorder.quantiles_ns(*CURVE_QUANTILES)
        points = [value / MS_NS for value in read if value is not None]
        if points:
            found[name] = points
    return found
