"""Reports of a running daemon: frozen between two events, kept a moment, made by a thread.

What is asked often (`/metrics`, `/report/shadow/live`) is made at most once in `FRESH_S`, and more
seldom when making it is dear. Files are written by one thread, which hands the interpreter back
every half millisecond: the page of plots takes it a second.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import perf_counter_ns
from typing import Any, Final, final

import attrs
import structlog
import trio

from polytrade.config import Config
from polytrade.contract import GAUGE, PERCENTILES, SHADOW, SUMMARY, of_endpoint, percentile_name
from polytrade.core.limits import HALT
from polytrade.core.units import MS_NS, SECOND_NS
from polytrade.gates import GATES, GateResult
from polytrade.metrics import METRICS, LatencyRecorder, Readings
from polytrade.reports.files import (
    SHADOW_LIVE,
    TOXICITY_LIVE,
    write_json,
    write_reports,
)
from polytrade.reports.manifest import Basis
from polytrade.reports.report import Frozen, freeze
from polytrade.reports.toxicity import toxicity_faults, toxicity_json
from polytrade.reports.watch import Watch
from polytrade.runtime.command_requests import Refusal
from polytrade.runtime.journaling import Journal
from polytrade.runtime.recorder import Recorder
from polytrade.runtime.risk import RiskWatch
from polytrade.runtime.stages import Stages
from polytrade.runtime.strategy import Strategy
from polytrade.runtime.supervise import TaskTable
from polytrade.runtime.switching import short_switches
from polytrade.segments import JournalError
from polytrade.session import code_version
from polytrade.shadow import MEASURED, ShadowReport
from polytrade.strict import config_digest, to_dict

log = structlog.get_logger(__name__)

FRESH_S: Final = 1.0
"""A live report this young is handed out again."""
COST_FACTOR: Final = 100
"""A report is kept so many times as long as making it took: one hundredth of the loop at most."""
BEAT_S: Final = 0.25
"""Between two looks at the queues: the statistics of one cost 0.1 ms."""
SLOW_MS: Final = 5.0
"""Holding the engine up longer than this for a final report is told."""
REPORTS: Final = "reports"
"""The folder of reports, beside that of the runs."""


@attrs.frozen
class LiveReport:
    """The live report and what else was taken at the same moment."""

    ts_ns: int
    body: dict[str, Any]
    readings: Readings
    window: ShadowReport
    gate: GateResult
    toxicity: dict[str, Any]


@final
class Reporter:
    """Makes reports; call its methods from any task. `run` samples the queues meanwhile."""

    def __init__(
        self,
        config: Config,
        root: Path,
        run_id: str,
        strategy: Strategy,
        risk: RiskWatch,
        *,
        stages: Stages,
        tasks: TaskTable,
        journal: Journal | None,
        recorder: Recorder | None,
    ) -> None:
        data_dir = root / config.storage.data_dir
        self.folder = data_dir.parent / REPORTS
        self._config = config
        self._run_id = run_id
        self._run_folder = data_dir / run_id
        self._strategy = strategy
        self._risk = risk
        self._stages = stages
        self._tasks = tasks
        self._journal = journal
        self._recorder = recorder
        self._depth = LatencyRecorder()
        self._beats = 0
        self._up_beats = 0
        self._limiter = trio.CapacityLimiter(1)
        self._last: LiveReport | None = None
        self._keep_until_s = 0.0

    async def run(self) -> None:
        """Sample the queues until cancelled."""
        with short_switches():
            while True:
                self._beat()
                await trio.sleep(BEAT_S)

    def configure(self, config: Config) -> None:
        """From now on reports are made under this configuration."""
        self._config = config
        self._last = None

    def reset(self) -> None:
        """A new measuring window begins; the shadow begins it by the event."""
        self._depth.reset()
        self._beats = self._up_beats = 0
        self._risk.lag.reset()
        self._strategy.backlog.reset()
        self._strategy.inbox.parse.reset()
        self._strategy.inbox.wait.reset()
        self._last = None

    def measure(self, out: Readings) -> None:
        """Note what only the shell knows: queues, stages, the loop."""
        strategy, inbox = self._strategy, self._strategy.inbox
        lag = self._risk.lag.quantiles(MS_NS)
        out.put_summary("loop_lag_ms", lag)
        out.put("loop_lag_p99_ms", lag.p99)
        out.put_summary("parse_us", inbox.parse.quantiles(1_000))
        out.put_summary("decision_queue_wait_ms", inbox.wait.quantiles(MS_NS))
        self._stages.put(out)
        if self._journal is not None:
            waits = self._journal.waits()
            out.put_summary("io_queue_ms", waits)
            out.put("io_queue_p99_ms", waits.p99)
        out.put("queue_depth_p99", _less_one(self._depth.quantile_ns(0.99)))
        out.put("event_backlog_p99", _less_one(strategy.backlog.quantile_ns(0.99)))
        if self._beats:
            out.put("strategy_uptime_pct", self._up_beats / self._beats)

    def latest(self) -> LiveReport | None:
        """The live report, a moment old at most; None when nothing looks on."""
        now_s = trio.current_time()
        if self._last is None or now_s >= self._keep_until_s:
            began_ns = perf_counter_ns()
            self._last = self._make()
            cost_s = (perf_counter_ns() - began_ns) / SECOND_NS
            self._keep_until_s = now_s + max(FRESH_S, COST_FACTOR * cost_s)
        return self._last

    # -- what the control plane asks ------------------------------------------------------------

    async def shadow_live(self) -> dict[str, Any] | Refusal:
        """`GET /report/shadow/live`."""
        before, found = self._last, self.latest()
        if found is None:
            return self._off()
        if found is not before:
            await self._write(SHADOW_LIVE, found.ts_ns, found.body)
        return found.body

    async def shadow_final(self) -> dict[str, Any] | Refusal:
        """`GET /report/shadow/final`: every report file is written, of one moment."""
        watch = self._strategy.onlookers.watch
        began_ns = perf_counter_ns()
        self._last = None
        found = self.latest()
        if watch is None or found is None:
            return self._off()
        frozen = freeze(watch, found.readings, found.window)
        cost_ms = (perf_counter_ns() - began_ns) / MS_NS
        if cost_ms > SLOW_MS:
            log.info("a final report held the engine up", ms=round(cost_ms, 1))
        files, problem = await self._write_all(frozen)
        return {
            "live": found.body,
            "gate": {**found.gate.to_dict(), "gates": gate_rows(found.body)},
            "files": files,
            "problem": problem,
        }

    async def pnl_by_engine(self) -> dict[str, Any] | Refusal:
        """`GET /report/pnl/by_engine`."""
        await trio.lowlevel.checkpoint()
        found = self.latest()
        return self._off() if found is None else found.window.pnl_dict()

    async def toxicity_live(self) -> dict[str, Any] | Refusal:
        """`GET /report/toxicity/live`."""
        before, found = self._last, self.latest()
        if found is None:
            return self._off()
        if found is not before:
            await self._write(TOXICITY_LIVE, found.ts_ns, found.toxicity)
        return found.toxicity

    async def toxicity_final(self) -> dict[str, Any] | Refusal:
        """`GET /report/toxicity/final`: a verdict on the open markets and on the window's fills."""
        live = await self.toxicity_live()
        found = self._last
        if isinstance(live, Refusal) or found is None:
            return self._off()
        settings = self._strategy.session.engine.toxicity.settings
        reasons = toxicity_faults(found.toxicity, found.window.values, settings)
        return {"pass": not reasons, "failed_reasons": reasons, "live": found.toxicity}

    # -- how ------------------------------------------------------------------------------------

    def _beat(self) -> None:
        depth = self._strategy.inbox.depth
        for writer in (self._journal, self._recorder):
            if writer is not None:
                depth += writer.statistics().depth
        self._depth.record(depth + 1)  # 0 and 1 would share a bucket
        halted = self._strategy.session.engine.risk.mode == HALT
        runs = any(row.name == "strategy" and row.state == "running" for row in self._tasks.rows())
        self._beats += 1
        self._up_beats += runs and not halted

    def _make(self) -> LiveReport | None:
        watch = self._strategy.onlookers.watch
        if watch is None:
            return None
        readings = watch.meter.readings(watch.tally.last_ts_ns)
        self.measure(readings)
        return live_report(watch, readings)

    def _off(self) -> Refusal:
        why = self._strategy.onlookers.failed or "nothing looks on"
        return Refusal("no_report", f"reports are off: {why}")

    def _bare_basis(self) -> Basis:
        """What a report rests on when there is no journal, or none was read yet."""
        return Basis(
            kind="memory",
            run_id=self._run_id,
            code_version=code_version(),
            python="",
            config=to_dict(self._config),
            config_digest=config_digest(self._config),
            plugins=dict(sorted(self._strategy.session.lineup.plugins.items())),
        )

    async def _write_all(self, frozen: Frozen) -> tuple[list[str], str]:
        """Every file of a report, on the journal as it is on the disk; what went wrong, if."""
        try:
            if self._journal is not None:
                await self._journal.sync()
            lost = self._journal.lost if self._journal is not None else 0
            write = partial(self._write_report, frozen, lost)
            paths = await trio.to_thread.run_sync(write, limiter=self._limiter)
        except (OSError, JournalError) as error:
            log.error("report files not written", error=str(error))
            return [], str(error)
        return [str(path) for path in paths], ""

    def _write_report(self, frozen: Frozen, lost: int) -> list[Path]:
        """In the thread: read the journal's files, make the report, write it."""
        basis = self._bare_basis()
        if self._journal is not None:
            basis = Basis.of_journal(self._run_folder, lost)
        return write_reports(frozen.report(basis), self.folder)

    async def _write(self, name: str, ts_ns: int, body: Mapping[str, Any]) -> None:
        write = partial(write_json, self.folder / _day(ts_ns) / name, body)
        try:
            await trio.to_thread.run_sync(write, limiter=self._limiter)
        except OSError as error:
            log.warning("report file not written", file=name, error=str(error))


def live_report(watch: Watch, readings: Readings) -> LiveReport:
    """The live report of what `watch` has seen, as of its last event, in the contract's order.

    `readings` are the meter's, and the shell's where there is one.
    """
    ts_ns = watch.tally.last_ts_ns
    window = watch.shadow.report(ts_ns)
    measured: dict[str, float | None] = {}
    for name, row in METRICS.items():
        if row.kind == SUMMARY and row.endpoint == SHADOW and name in readings.summaries:
            for percentile in PERCENTILES:
                value = getattr(readings.summaries[name], percentile)
                measured[percentile_name(name, percentile)] = value
        elif row.kind == GAUGE and not row.labels and name in readings.values:
            measured[name] = readings.value(name)
    counted = {name: readings.value(name) for name in MEASURED}
    gate = window.gate({**measured, **counted})
    found = window.to_dict(counted)
    del found["wall_clock"]
    contract = of_endpoint(SHADOW)
    lags = readings.values.get("book_top_lag_p99_ms_by_symbol", {})
    found |= {name: value for name, value in measured.items() if name in contract}
    found |= {
        "book_top_lag_p99_ms_by_symbol": {labels[0]: p99 for labels, p99 in lags.items()},
        "lenses": [row.to_dict() for row in watch.lenses.table()],
        "calibration": watch.calibration.to_dict(),
        "coherence": watch.coherence.to_dict(),
        **gate.to_dict(),
    }
    body = {name: found.pop(name, None) for name in contract}
    toxicity = toxicity_json(watch.engine, ts_ns)
    return LiveReport(ts_ns, {**body, **found}, readings, window, gate, toxicity)


def gate_rows(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each gate with the value it looked at."""
    return [
        {
            "metric": gate.metric,
            "value": body.get(gate.metric),
            "comparison": gate.comparison,
            "limit": gate.limit,
            "holds": gate.holds(body.get(gate.metric)),
        }
        for gate in GATES
    ]


def fill_from(report: LiveReport, out: Readings) -> None:
    """Put everything of a live report that Prometheus can carry into readings."""
    for name, row in of_endpoint(SHADOW).items():
        value = report.body[name]
        if row.kind != GAUGE or name in out.values or value is None:
            continue
        if row.labels:
            for label, part in value.items():
                out.put(name, part, label)
        else:
            out.put(name, float(value))
    for gate in gate_rows(report.body):
        out.put("gate_holds", int(gate["holds"]), gate["metric"])
    for engine in report.window.pnl_by_engine:
        out.put("engine_net_usdc", engine.total_usdc, engine.engine)
    for lens in report.body["lenses"]:
        if lens["engine"] == "all":
            out.put("lens_net_usdc", lens["net_usdc"], lens["lens"])
    for name in ("average_tox_score", "safe_count", "caution_count", "danger_count"):
        out.put(name, report.toxicity[name])


def _less_one(value: int | None) -> int | None:
    return None if value is None else value - 1


def _day(ts_ns: int) -> str:
    return f"{datetime.fromtimestamp(ts_ns // SECOND_NS, tz=UTC):%Y-%m-%d}"
