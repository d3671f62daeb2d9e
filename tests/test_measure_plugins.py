"""Measuring the plugins: rows from numbers made by hand, and a small run of built-ins."""

import importlib
import sys
from pathlib import Path

import pytest

from polytrade.captures import CaptureReader

ROOT = Path(__file__).resolve().parent.parent
NAMES = ("measure_plugins", "measure_models", "model_captures", "model_page", "model_runs")


@pytest.fixture(scope="module")
def script():
    """scripts/measure_plugins.py; neither it nor what it imports stays imported."""
    before = list(sys.path), set(sys.modules)
    sys.path.insert(0, str(ROOT / "scripts"))
    yield importlib.import_module("measure_plugins")
    sys.path[:] = before[0]
    for name in NAMES:
        if name not in before[1]:
            sys.modules.pop(name, None)


def outcome(script, net, shares, worth, gain, after_fees):
    """A taker's fills that gained the same after each horizon, beside a maker's."""
    sums = sys.modules["model_runs"].Sums
    rows = [
        {"lens": "expected", "engine": "taker", "net_usdc": net, "rebates_usdc": 0.0},
        {"lens": "optimistic", "engine": "taker", "net_usdc": 99.0, "rebates_usdc": 0.0},
    ]
    result = sys.modules["model_runs"].RunResult(lenses=rows)
    result.markouts = {
        "taker": [sums(len(shares), worth, gain, after_fees)] * 3,
        "maker": [sums(7, 70.0, 7.0, 7.0)] * 3,
    }
    return script.Outcome(result, {"taker": shares, "maker": [1.0] * 7})


def test_rows_pool_the_tapes_and_say_how_sure_they_are(script) -> None:
    table = script.Table("taker", (), {"one": ()})
    first = outcome(script, 2.0, [5.0, 6.0], 10.0, 0.1, 0.05)
    second = outcome(script, 4.0, [4.0], 10.0, 0.3, 0.15)
    (alone,) = script.rows_of(table, "sample", [{"one": first}])
    assert alone == ("| `one` | sample | 2 | 11 | +2.00 | +100, +100, +100 | +50, +50, +50 |")
    (both,) = script.rows_of(table, "2 seeds", [{"one": first}, {"one": second}])
    assert both == (
        "| `one` | 2 seeds | 3 | 15 | +3.00 ± 1.00 "
        "| +200 ± 100, +200 ± 100, +200 ± 100 | +100 ± 50, +100 ± 50, +100 ± 50 |"
    )


def test_run_without_fills_has_no_markouts(script) -> None:
    table = script.Table("arb", (), {"one": ()})
    (row,) = script.rows_of(table, "sample", [{"one": outcome(script, 0.0, [], 0, 0, 0)}])
    assert row == "| `one` | sample | 0 | 0 | +0.00 | -, -, - | -, -, - |"


def test_every_run_is_a_configuration_that_differs_by_its_own_settings(script) -> None:
    for table in script.TABLES.values():
        configs = [script.config_of(table, run, ("btc",)) for run in table.runs]
        assert len({repr(config) for config in configs}) == len(configs)
        assert {config.universe.coins for config in configs} == {("btc",)}
        assert not any(config.arb.enabled for config in configs)
        assert {config.risk.max_loss_streak for config in configs} == {script.UNSTOPPED}


def test_built_ins_trade_a_tape_and_are_told_apart(script, tmp_path: Path) -> None:
    runs = {"reference": ("strategy.allocator=reference",), "kelly": ("strategy.allocator=kelly",)}
    table = script.Table("all", ("strategy.taker=profile", "strategy.fair_value=basis_mr"), runs)
    plan = script.Plan(minutes=3)
    script.records_of(plan, 1, tmp_path)
    tape = CaptureReader(tmp_path / "tape-1.jsonl.zst")
    found = script.measure(table, tape, plan.coins, "seed-1")
    for outcome_ in found.values():
        assert outcome_.result.orders > 0
        assert len(outcome_.fills("all")) == len(outcome_.fills("maker") + outcome_.fills("taker"))
        assert outcome_.result.lenses
    assert len({repr(outcome_) for outcome_ in found.values()}) == 2


def test_plugin_that_is_not_installed_is_said(script, monkeypatch, capsys) -> None:
    table = script.Table("maker", (), {"nobody": ("strategy.maker=nobody",)})
    monkeypatch.setitem(script.TABLES, "makers", table)
    assert script.main(["--table", "makers", "--seeds", ""]) == 1
    said = capsys.readouterr().err
    assert "nobody" in said
    assert "pip install ./plugins/" in said
