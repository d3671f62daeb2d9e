"""Reports of a running daemon: no metric is dead, files, verdicts, failures."""

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest
import trio

from polytrade.contract import METRICS, SHADOW, SUMMARY, TABLE, of_endpoint
from polytrade.control.exposition import fill_readings
from polytrade.core.effects import Effect
from polytrade.core.events import ClockTicked, Event, ShadowReset
from polytrade.core.regimes import ToxicitySettings
from polytrade.metrics import Readings
from polytrade.reports.manifest import Basis
from polytrade.reports.report import Frozen, Report
from polytrade.reports.verify import verify
from polytrade.runtime.command_requests import Refusal
from polytrade.runtime.parts import Parts
from tests.runtime.reported import SHELL_LATENCIES, SHELL_ONLY, fed

SHORT_S, LONG_S = 3, 40


@asynccontextmanager
async def short(root: Path) -> AsyncIterator[Parts]:
    async with fed(root, SHORT_S) as parts:
        yield parts


def saved(parts: Parts, name: str) -> Any:
    (path,) = parts.reporter.folder.glob(f"*/{name}")
    return orjson.loads(path.read_bytes())


def answered(answer: dict[str, Any] | Refusal) -> dict[str, Any]:
    assert not isinstance(answer, Refusal)
    return answer


async def test_no_metric_is_dead_and_a_replay_makes_the_same_report(tmp_path: Path) -> None:
    async with fed(tmp_path, LONG_S) as parts:
        readings = Readings()
        list(fill_readings(readings, parts.observer.read()))
        numbers = {name for name, row in METRICS.items() if row.kind not in {SUMMARY, TABLE}}
        assert numbers - set(readings.values) == SHELL_ONLY
        counted = {name for name, found in readings.summaries.items() if found.count}
        assert {name for name, row in METRICS.items() if row.kind == SUMMARY} - counted == (
            SHELL_LATENCIES
        )
        final = answered(await parts.reporter.shadow_final())
        body = final["live"]
        unsaid = {name for name, value in body.items() if value is None}
        rows = of_endpoint(SHADOW)
        assert {rows[name].name for name in unsaid} == {"parse_us", "loop_lag_p99_ms"}
        assert list(body) == list(rows)
        assert body == saved(parts, "shadow_live_latest.json")
        assert [row["metric"] for row in final["gate"]["gates"]] != []
        assert len(final["files"]) >= 9
        assert final["problem"] == ""
        (manifest,) = parts.reporter.folder.glob("*/truth_manifest.json")
        verdict = verify(manifest)
        assert verdict.ok, verdict


async def test_live_answers_are_those_of_the_files_and_are_kept_a_moment(tmp_path: Path) -> None:
    async with short(tmp_path) as parts:
        body = answered(await parts.reporter.shadow_live())
        assert list(body) == list(of_endpoint(SHADOW))
        assert saved(parts, "shadow_live_latest.json") == body
        assert answered(await parts.reporter.shadow_live()) is body
        engines = answered(await parts.reporter.pnl_by_engine())
        assert set(engines) == {"window_id", "breakdown", "rows"}
        assert set(engines["breakdown"]) == {"maker_usdc", "taker_usdc", "arb_usdc"}
        assert set(engines["rows"][0]) == {
            *("engine", "samples", "total_usdc", "p50_usdc", "p10_usdc", "positive_ratio")
        }


async def test_toxicity_is_told_market_by_market_with_a_verdict(tmp_path: Path) -> None:
    async with short(tmp_path) as parts:
        live = answered(await parts.reporter.toxicity_live())
        assert saved(parts, "toxicity_live_latest.json") == live
        assert set(live) == {
            *("ts_ms", "average_tox_score", "safe_count", "caution_count", "danger_count", "rows")
        }
        assert {
            *("market_rank", "market_id", "symbol", "tox_score", "regime", "market_score"),
            *("markout_10s_bps", "no_quote_rate", "symbol_missing_rate", "pending_exposure"),
            "active_for_quoting",
        } <= set(live["rows"][0])
        final = answered(await parts.reporter.toxicity_final())
        assert final["live"] == live
        assert final["pass"] is False  # three seconds: too few fills to say anything
        assert final["failed_reasons"][0].startswith("pnl_10s_sample_count ")
        assert "pnl_10s_p50_bps no sample, wanted > -18" in final["failed_reasons"]


async def test_toxicity_is_judged_by_the_settings_in_force(tmp_path: Path) -> None:
    async with short(tmp_path) as parts:
        toxicity = parts.session.engine.toxicity
        before = answered(await parts.reporter.toxicity_final())["failed_reasons"]
        assert not any(reason.startswith("average_tox_score") for reason in before)
        toxicity.apply(ToxicitySettings(0.0, 0.0, markout_10s_danger_bps=-30.0))
        reasons = answered(await parts.reporter.toxicity_final())["failed_reasons"]
        assert "pnl_10s_p50_bps no sample, wanted > -30" in reasons


async def test_new_window_begins_everything_anew(tmp_path: Path) -> None:
    async with short(tmp_path) as parts:
        before = answered(await parts.reporter.shadow_live())
        assert (before["window_id"], before["event_backlog_p99"] is None) == (1, False)
        window_id = parts.next_window()
        parts.inbox.put(ShadowReset(parts.inbox.now_ns(), window_id))
        await parts.strategy.wait_until(lambda: not parts.inbox.depth)
        body = answered(await parts.reporter.shadow_live())
        assert body["window_id"] == 2
        assert body["elapsed_sec"] == 0.0
        assert body["funnel"]["seen"] == 0
        assert body["decision_compute_p99_ms"] is None
        assert body["signal_p99_us"] is None
        assert body["strategy_uptime_pct"] is None
        assert body["book_ticks_total"] == before["book_ticks_total"]
        assert saved(parts, "shadow_live_latest.json") == body


async def test_onlooker_that_fails_ends_the_reports_and_nothing_else(tmp_path: Path) -> None:
    def fails(event: Event, effects: list[Effect]) -> None:
        raise ZeroDivisionError("no")

    async with short(tmp_path) as parts:
        watch = parts.strategy.onlookers.watch
        assert watch is not None
        watch.lenses.observe = fails  # type: ignore[method-assign, assignment]
        parts.inbox.put(ClockTicked(parts.inbox.now_ns()))
        parts.inbox.put(ClockTicked(parts.inbox.now_ns()))
        stepped = parts.session.engine.events
        await parts.strategy.wait_until(lambda: not parts.inbox.depth)
        assert parts.session.engine.events == stepped + 2
        parts.reporter.reset()
        wanted = Refusal("no_report", "reports are off: ZeroDivisionError: no")
        assert await parts.reporter.shadow_live() == wanted
        assert await parts.reporter.shadow_final() == wanted
        assert await parts.reporter.pnl_by_engine() == wanted
        assert await parts.reporter.toxicity_final() == wanted
        await trio.sleep(0.06)  # a snapshot is handed out for 50 ms
        status = parts.observer.read()
        assert [alarm.name for alarm in status.alarms] == ["mode", "reports_off"]
        assert status.gate is None
        assert status.readings.value("window_shots") is None


async def test_files_that_cannot_be_written_are_told_and_the_answer_comes(tmp_path: Path) -> None:
    async with short(tmp_path) as parts:
        parts.reporter.folder.write_text("a file where a folder should be")
        assert answered(await parts.reporter.shadow_live())["window_id"] == 1
        final = answered(await parts.reporter.shadow_final())
        assert final["files"] == []
        assert "File exists" in final["problem"] or "Not a directory" in final["problem"]


async def test_final_report_is_made_and_written_outside_the_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_in: list[int] = []
    plain = Frozen.report

    def report(frozen: Frozen, basis: Basis) -> Report:
        made_in.append(threading.get_ident())
        return plain(frozen, basis)

    monkeypatch.setattr(Frozen, "report", report)
    async with short(tmp_path) as parts:
        assert answered(await parts.reporter.shadow_final())["problem"] == ""
    assert len(made_in) == 1
    assert made_in != [threading.get_ident()]


async def test_market_rows_say_what_is_thought_of_them(tmp_path: Path) -> None:
    async with short(tmp_path) as parts:
        rows = [row for row in parts.observer.read().markets if row.regime]
        assert rows
        assert {row.regime for row in rows} <= {"safe", "caution", "danger"}
        assert all(row.tox_score is not None and row.market_score is not None for row in rows)
        assert attrs.fields_dict(type(rows[0]))["regime"].default == ""
