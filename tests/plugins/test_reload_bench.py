"""The bench of reloads: what it counts and writes is right; how fast anything is, is no test."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from polytrade.core.events import ClockTicked, OrderAccepted
from polytrade.runtime.inbox import Clock

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))


def module(name: str) -> ModuleType:
    return importlib.import_module(name)


@pytest.fixture
def bench() -> Iterator[ModuleType]:
    before = list(sys.path)
    yield module("bench")
    sys.path[:] = before


def reloading(**changes: Any) -> Any:
    fields: dict[str, Any] = {
        "kind": "code",
        "reloads": 200,
        "refused": 0,
        "rate": 2_000.0,
        "took_ms_p50": 900.0,
        "took_ms_p99": 1_500.0,
        "pause_ms_p50": 1.0,
        "pause_ms_p99": 4.0,
        "pause_ms_max": 6.0,
        "handled": 400_000,
        "lost": 0,
        "doubled": 0,
        "placed": 900,
        "orphans": 0,
        "alive": 0,
        "modules": 9,
        "growth_mb": 0.5,
        "decision_us_p99": 800.0,
        "lag_ms_p99": 2.0,
    }
    return module("benchmarks.reloading").Reloading(**{**fields, **changes})


def test_event_that_is_lost_or_comes_twice_is_counted() -> None:
    passing = module("benchmarks.reloaded").Passing()
    passing.watching = True
    first, second, third = ClockTicked(1), ClockTicked(2), ClockTicked(3)
    passing.taken(first)
    passing.stepped(first, [])
    passing.stepped(OrderAccepted(1, "a", "b"), [])
    assert (passing.handled, passing.lost, passing.doubled) == (1, 0, 0)
    passing.stepped(first, [])
    assert (passing.handled, passing.lost, passing.doubled) == (1, 0, 1)
    passing.taken(second)
    passing.taken(third)
    passing.stepped(third, [])
    assert (passing.handled, passing.lost, passing.doubled) == (2, 1, 1)


def test_number_that_is_missing_or_comes_twice_is_counted() -> None:
    passing = module("benchmarks.reloaded").Passing()
    for seq in (7, 8, 9, 12, 12):
        passing.event(seq)
    assert (passing.lost, passing.doubled) == (2, 1)


def test_inbox_tells_of_every_number_whoever_is_made_its_recorder() -> None:
    reloaded = module("benchmarks.reloaded")
    inbox = reloaded.CountedInbox(Clock(), 10)
    inbox.recorder = None
    event = ClockTicked(inbox.now_ns())
    inbox.put(event)
    before = inbox.passing.handled
    assert inbox.receive_nowait() is event
    inbox.passing.stepped(event, [])
    assert inbox.passing.handled == before + 1
    assert inbox.passing.lost == inbox.passing.doubled == 0


def test_budget_is_named_in_words() -> None:
    assert reloading().over_budget() == []
    broken = reloading(pause_ms_p99=7.5, refused=1, lost=2, doubled=3, orphans=4, alive=5)
    assert broken.over_budget() == [
        "pause p99 7.50 ms, budget 5 ms",
        "1 reloads refused",
        "2 events lost",
        "3 events handled twice",
        "4 orders orphaned",
        "5 old lineups alive",
    ]
    idle = ["no order placed: the daemon did not trade"]
    assert reloading(placed=0).over_budget() == idle
    assert reloading(modules=12).over_budget() == ["2 generations of code too many"]


def test_shipped_page_of_results_has_the_place_for_the_table(
    bench: ModuleType, tmp_path: Path
) -> None:
    report, text = module("benchmarks.report"), (ROOT / "docs" / "results.md").read_text()
    assert text.count(report.RELOAD_BEGIN) == text.count(report.END) == 1
    page = tmp_path / "page.md"
    page.write_text(text)
    result = report.Result(
        created="2026-01-02",
        quick=False,
        machine=dict.fromkeys(("processor", "cores", "system", "python", "build"), "x"),
        load=(1.0, 2.0),
        reloads=(reloading(kind="none", reloads=0), reloading(lost=2)),
    )
    report.write_results(page, result)
    written = page.read_text()
    assert "| 200 of code | 0 | 400,000 | 2,000 | 2 | 0 | 900 | 0 | 900 | 1,500 | 1.00 |" in written
    assert "- Over budget, code: 2 events lost." in written
    assert written.partition(report.RELOAD_BEGIN)[0] == text.partition(report.RELOAD_BEGIN)[0]
    assert "200 of code" in report.text(result)


def test_each_kind_of_reload_is_counted_against_a_daemon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = module("benchmarks.reloading")
    for name, value in (("COUNT_QUICK", 2), ("BASELINE_QUICK_S", 0.5), ("SETTLE_QUICK_S", 1.0)):
        monkeypatch.setattr(bench, name, value)
    rows = bench.run(quick=True)
    assert [row.kind for row in rows] == ["none", "parameters", "implementation", "code"]
    for row in rows:
        assert row.handled > 0
        assert (row.lost, row.doubled, row.orphans, row.alive) == (0, 0, 0, 0)
    for row in rows[1:]:
        assert (row.reloads, row.refused) == (2, 0)
        assert 0.0 < row.pause_ms_p50 <= row.pause_ms_max
        assert row.took_ms_p50 > 0.0
