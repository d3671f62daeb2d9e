"""The metrics contract: its table, and that no drift from it goes unseen."""

import importlib.util
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import pytest

from polytrade import contract
from polytrade.contract import Metric, cells, of_endpoint, percentile_name, table_of
from polytrade.control.exposition import page_blocks
from polytrade.gates import GATES
from polytrade.metrics import Readings
from polytrade.shadow import MEASURED, WALL_CLOCK

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def script() -> ModuleType:
    path = ROOT / "scripts" / "validate_metrics_contract.py"
    spec = importlib.util.spec_from_file_location("validate_metrics_contract", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def change(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Changes a row of the table, for the checks and not for the code that publishes."""

    def changed(metric: str, **fields: object) -> None:
        rows = [
            attrs.evolve(row, **fields) if row.name == metric else row  # type: ignore[misc]
            for row in contract.METRICS.values()
        ]
        monkeypatch.setattr(contract, "METRICS", table_of(*rows))

    return changed


# The table.


def test_every_name_of_the_report_and_of_the_gates_is_a_field_of_the_table() -> None:
    fields = of_endpoint(contract.SHADOW)
    assert [name for name in (*MEASURED, *WALL_CLOCK) if name not in fields] == []
    assert [gate.metric for gate in GATES if gate.metric not in fields] == []


def test_percentile_stands_before_the_unit() -> None:
    assert percentile_name("tick_to_ack_ms", "p99") == "tick_to_ack_p99_ms"
    row = contract.METRICS["parse_us"]
    assert row.fields == ("parse_p50_us", "parse_p90_us", "parse_p99_us")
    assert row.prometheus == "polytrade_parse_us"


def test_row_knows_its_gates_and_where_it_is_in_json() -> None:
    row = contract.METRICS["tick_to_ack_ms"]
    assert [gate.text() for gate in row.gates] == ["tick_to_ack_p99_ms < 450"]
    assert cells(row)[4] == (
        "/report/shadow/live: `tick_to_ack_p50_ms`, `tick_to_ack_p90_ms`, `tick_to_ack_p99_ms`"
    )
    assert contract.METRICS["peak_equity_usdc"].fields == ("peak_equity",)
    assert contract.METRICS["books"].fields == ()


def test_windows_are_those_of_the_kind_unless_said() -> None:
    assert Metric("x_total", "counter", "items", "X").window == "run"
    assert Metric("x_ms", "summary", "ms", "X").window == "window"
    assert Metric("x", "gauge", "items", "X").window == "now"


def test_name_given_twice_is_refused() -> None:
    row = Metric("x", "gauge", "items", "X")
    with pytest.raises(AssertionError, match="named twice"):
        table_of(row, row)


def test_kind_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="kind"):
        Metric("x", "histogram", "items", "X")


def test_tables_have_no_prometheus_name_and_no_reading() -> None:
    assert contract.METRICS["market_scorecard"].prometheus == ""
    with pytest.raises(AssertionError, match="metrics contract"):
        Readings().put("market_scorecard", 1)


# The checks.


def test_contract_page_code_and_prometheus_agree(
    script: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script.main([]) == 0
    assert capsys.readouterr().out.startswith(f"ok: {len(contract.METRICS)} metrics; ")


def test_field_renamed_in_the_table_is_found_everywhere(
    script: ModuleType, change: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    change("ev_net_usdc_p50", name="ev_usdc_p50")
    assert script.main([]) == 1
    out = capsys.readouterr().out
    assert "page: no row for `polytrade_ev_usdc_p50`" in out
    assert "page: `polytrade_ev_net_usdc_p50` is not in the table" in out
    assert "/report/shadow/live: field ev_net_usdc_p50 is not in the table" in out
    assert "/metrics: no polytrade_ev_usdc_p50" in out
    assert "/metrics: polytrade_ev_net_usdc_p50 is not in the table" in out
    assert "table: the gate ev_net_usdc_p50 > 0 is on a field that no row has" in out


def test_field_renamed_in_an_answer_is_found(script: ModuleType) -> None:
    found: dict[str, dict[str, Any]] = {
        name: dict(body) for name, body in script.code_answers().items()
    }
    assert list(script.json_problems(found)) == []
    shadow = found["/report/shadow/live"]
    shadow["fill_10ms"] = shadow.pop("fillability_10ms")
    found["/state/pnl"]["net"] = found["/state/pnl"].pop("equity")
    assert list(script.json_problems(found)) == [
        "/report/shadow/live: no field fillability_10ms",
        "/report/shadow/live: field fill_10ms is not in the table",
        "/state/pnl: no field equity",
    ]


def test_value_of_another_kind_is_found(script: ModuleType) -> None:
    body: Mapping[str, Any] = {
        **script.code_answers()["/report/shadow/live"],
        "data_valid_ratio": 99.9,
        "causes": {"Unknown": "many"},
        "elapsed_sec": "12",
    }
    assert list(script.json_problems({"/report/shadow/live": body})) == [
        "/report/shadow/live: data_valid_ratio: expected a ratio from 0 to 1, found 99.9",
        "/report/shadow/live: elapsed_sec: expected a number, found '12'",
        "/report/shadow/live: causes: expected a number, found 'many'",
    ]


def test_changed_unit_is_found(
    script: ModuleType, change: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    change("tick_to_ack_ms", unit="s")
    assert script.main([]) == 1
    assert capsys.readouterr().out.splitlines()[:-1] == [
        "table: tick_to_ack_ms: expected unit ms by its name, found s",
        "page: `polytrade_tick_to_ack_ms`, unit: expected 's', found 'ms'",
        "/metrics: polytrade_tick_to_ack_ms: expected unit s, "
        'found "Local receive to the venue\'s answer (ms)"',
    ]


def test_changed_gate_is_found(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    looser = tuple(
        attrs.evolve(gate, limit=0.5) if gate.metric == "data_valid_ratio" else gate
        for gate in GATES
    )
    monkeypatch.setattr("polytrade.contract.rows.GATES", looser)
    assert list(script.page_problems()) == [
        "page: `polytrade_data_valid_ratio`, gate: expected '`data_valid_ratio >= 0.5`', "
        "found '`data_valid_ratio >= 0.999`'"
    ]


def test_missing_row_of_the_page_is_found(script: ModuleType, tmp_path: Path) -> None:
    lines = (ROOT / "docs/metrics_contract.md").read_text().splitlines(keepends=True)
    page = tmp_path / "page.md"
    page.write_text("".join(line for line in lines if "`polytrade_sign_us`" not in line))
    assert list(script.page_problems(page)) == ["page: no row for `polytrade_sign_us`"]
    assert "No such file" in next(script.page_problems(tmp_path / "none.md"))


def test_missing_prometheus_name_is_found(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def some(readings: Readings) -> Iterator[tuple[str, int]]:
        for block, _series in page_blocks(readings):
            if "polytrade_risk_us" not in block:
                yield block.replace("TYPE polytrade_books gauge", "TYPE polytrade_books counter"), 1

    monkeypatch.setattr(script, "page_blocks", some)
    assert script.main([]) == 1
    assert capsys.readouterr().out.splitlines()[:-1] == [
        "/metrics: polytrade_books: expected type gauge, found counter",
        "/metrics: no polytrade_risk_us",
    ]


def test_counter_named_like_a_gauge_is_found(
    script: ModuleType, change: Callable[..., None]
) -> None:
    change("open_orders", kind="counter")
    assert list(script.table_problems()) == [
        "table: open_orders: counters, and they alone, end in _total; it is a counter"
    ]


def test_daemon_that_does_not_answer_is_a_failure(
    script: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script.main(["--base-url", "http://127.0.0.1:9"]) == 1
    assert "http://127.0.0.1:9: ConnectError" in capsys.readouterr().out
