"""Report files: what they say, that they are whole, that none of them tells one number alone."""

import csv
import io
from pathlib import Path

import attrs
import orjson
import pytest

from polytrade.builtin.coherence import AssetCoherence
from polytrade.contract import SHADOW, of_endpoint
from polytrade.core.units import ONE_E6
from polytrade.gates import GATES
from polytrade.lenses import EXPECTED, LENSES
from polytrade.reports.files import LATEST, MANIFEST, render, write_file, write_reports
from polytrade.reports.fixlist import ADVICE, findings, fixlist_text
from polytrade.reports.manifest import Basis
from polytrade.reports.report import Report, build_report, freeze
from polytrade.reports.tables import (
    ENGINE_COLUMNS,
    csv_text,
    engine_rows,
    markdown_table,
    short,
)
from polytrade.reports.watch import Watch
from polytrade.session import build_session
from polytrade.strict import to_dict
from polytrade.witness import Witness
from tests.reports.runs import RUN_ID, config, tape_events

DAY = "2026-11-16"
FILES = {
    "report_shadow_12h.md",
    "latency_breakdown_12h.csv",
    "market_scorecard.csv",
    "engine_pnl_breakdown.csv",
    "next_fixlist.md",
    "report_shadow_12h.html",
    "report_shadow_12h.json",
    "shadow_live_latest.json",
    "toxicity_live_latest.json",
    "truth_manifest.json",
}


@pytest.fixture
def report(run: tuple[Path, Report]) -> Report:
    return run[1]


@pytest.fixture
def folder(run: tuple[Path, Report]) -> Path:
    return run[0] / "reports" / DAY


def rows(folder: Path, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((folder / name).read_text())))


def test_every_file_of_the_contract_is_written_to_the_day_of_the_last_event(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == FILES


def test_same_report_is_the_same_bytes(report: Report, folder: Path) -> None:
    for name, body in render(report).items():
        assert (folder / name).read_bytes() == body, name


def test_run_traded(report: Report) -> None:
    assert report.counts["fills"] > 0
    assert report.lens(EXPECTED)["fills"] == report.counts["fills"]


def test_profit_of_each_engine_is_told_under_three_lenses(folder: Path, report: Report) -> None:
    found = rows(folder, "engine_pnl_breakdown.csv")
    engines = list(dict.fromkeys(row["engine"] for row in found))
    assert engines[-1] == "all"
    assert {"maker", "taker", "arb"} <= set(engines)
    assert [(row["engine"], row["lens"]) for row in found] == [
        (engine, lens) for engine in engines for lens in LENSES
    ]
    maker = next(row for row in found if (row["engine"], row["lens"]) == ("maker", EXPECTED))
    assert float(maker["net_usdc"]) == report.lens(EXPECTED, "maker")["net_usdc"]
    assert int(maker["window_samples"]) == report.shadow["pnl_by_engine"][0]["samples"]


@pytest.mark.parametrize("name", ["report_shadow_12h.md", "report_shadow_12h.html"])
def test_texts_name_every_lens(folder: Path, name: str) -> None:
    text = (folder / name).read_text()
    assert all(lens in text for lens in LENSES)


def test_expected_lens_is_the_account_of_the_run(report: Report) -> None:
    account, lens = report.account, report.lens(EXPECTED)
    assert lens["fees_usdc"] == account["fees_e6"] / ONE_E6
    # The account pairs YES and NO and rounds once, the lens rounds by market and engine.
    net_e6 = (lens["gross_usdc"] - lens["fees_usdc"]) * ONE_E6
    assert net_e6 == pytest.approx(account["pnl_e6"] - account["rebates_e6"], abs=10)


def test_latencies_of_wall_clock_origin_are_marked(folder: Path) -> None:
    found = {row["metric"]: row for row in rows(folder, "latency_breakdown_12h.csv")}
    assert found["decision_compute_ms"]["wall_clock"] == "true"
    assert float(found["decision_compute_ms"]["p50"]) == pytest.approx(0.04, rel=0.02)
    assert int(found["source_latency_ms"]["count"]) > 0


def test_manifest_says_what_the_figures_rest_on(folder: Path, report: Report) -> None:
    told = orjson.loads((folder / MANIFEST).read_bytes())
    basis = told["basis"]
    assert basis["run_id"] == RUN_ID
    assert basis["kind"] == "journal"
    assert set(basis) >= {"code_version", "python", "config", "config_digest", "plugins", "files"}
    assert [file["name"] for file in basis["files"]] == ["journal-000001.jsonl.zst"]
    events = told["records"]["events"]
    assert told["ingest_seq"] == {"first": 1, "last": events}
    assert sum(told["records"]["by_kind"].values()) == events
    assert told["gaps"] == {"sequence": 1}
    assert told["clock_offset"]["skew_ms"] == 12
    assert told["window"]["window_id"] == 2
    assert told["window"]["last_ts_ns"] == report.ts_ns
    assert {file["name"] for file in told["files"]} == FILES - {MANIFEST} - LATEST
    assert {"values", "latency", "curves"} == set(told["wall_clock"])


def test_live_file_has_every_field_of_the_contract(folder: Path) -> None:
    told = orjson.loads((folder / "shadow_live_latest.json").read_bytes())
    assert told["window_id"] == 2
    assert set(told) >= set(of_endpoint(SHADOW))
    assert told["decision_compute_p50_ms"] == pytest.approx(0.04, rel=0.02)
    assert {row["lens"] for row in told["lenses"]} == set(LENSES)
    whole = orjson.loads((folder / "report_shadow_12h.json").read_bytes())
    assert whole["shadow"] == told
    assert whole["toxicity"] == orjson.loads((folder / "toxicity_live_latest.json").read_bytes())
    assert set(whole["toxicity"]) >= {"average_tox_score", "safe_count", "rows"}


def test_page_has_its_script_once_and_asks_nobody(folder: Path) -> None:
    page = (folder / "report_shadow_12h.html").read_text()
    assert page.count("plotly.js v") == 1
    head = page[: page.index('<script type="application/json"')]
    tail = page[page.rindex("<script>") :]
    assert "http" not in head + tail
    assert "src=" not in head + tail


def test_page_has_every_plot_of_the_run(folder: Path) -> None:
    page = (folder / "report_shadow_12h.html").read_text()
    for name in ("equity", "drawdown", "inventory", "lenses", "fills", "latency"):
        assert f'id="plot-{name}"' in page, name


def test_file_is_put_in_place_whole_or_not_at_all(tmp_path: Path) -> None:
    path = write_file(tmp_path / "new" / "a.txt", b"one")
    write_file(path, b"two")
    assert path.read_bytes() == b"two"
    assert [file.name for file in path.parent.iterdir()] == ["a.txt"]
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="taken"):
        write_file(tmp_path / "taken", b"three")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["new", "taken"]


def test_report_is_written_again_over_the_last_one(report: Report, tmp_path: Path) -> None:
    first = write_reports(report, tmp_path)
    assert write_reports(report, tmp_path) == first
    assert first[-1].name == MANIFEST
    assert {path.name for path in first[-1].parent.iterdir()} == FILES


# -- what to mend -------------------------------------------------------------------------------


def test_every_gate_has_its_advice(report: Report) -> None:
    assert set(ADVICE) == {gate.metric for gate in GATES}


def with_nets(report: Report, nets: dict[str, float]) -> Report:
    lenses = [
        {**row, "net_usdc": nets[row["lens"]], "fills": 9} if row["engine"] == "all" else row
        for row in report.lenses
    ]
    return attrs.evolve(report, lenses=lenses)


@pytest.mark.parametrize(
    ("nets", "found"),
    [
        ((-1.0, 1.0, 2.0), "Net profit changes sign with the fill model"),
        ((-2.0, -1.0, 2.0), "Net profit is optimistic at best"),
        ((-3.0, -2.0, -1.0), "A loss under every fill model"),
    ],
)
def test_lenses_that_disagree_are_found(
    report: Report, nets: tuple[float, ...], found: str
) -> None:
    changed = with_nets(report, dict(zip(LENSES, nets, strict=True)))
    assert any(finding.found.startswith(found) for finding in findings(changed))


def test_profit_under_every_lens_is_nothing_to_mend(report: Report) -> None:
    changed = with_nets(report, dict.fromkeys(LENSES, 1.0))
    assert not any("fill model" in finding.found for finding in findings(changed))


def test_lost_records_come_first(report: Report) -> None:
    lossy = attrs.evolve(report, basis=attrs.evolve(report.basis, records_lost=3))
    assert findings(lossy)[0].found.startswith("3 records are not in the data")
    assert fixlist_text(lossy).splitlines()[2].startswith("1. **3 records")


@pytest.mark.parametrize(
    ("verdict", "told"),
    [("worse", "worse than"), ("no different", "not shown to be better than"), ("better", "")],
)
def test_model_no_better_than_the_mid_is_named(report: Report, verdict: str, told: str) -> None:
    row = {"samples": 9, "brier": 0.21, "mid_brier": 0.2, "verdict": verdict}
    scores = {"mid": {**row, "verdict": None}, "digital": row, "blend": {**row, "samples": 0}}
    changed = attrs.evolve(report, calibration={**report.calibration, "overall": scores})
    found = [finding.found for finding in findings(changed) if "Brier" in finding.found]
    whole = f"`digital` is {told} the market's mid: Brier 0.2100, mid 0.2000."
    assert found == ([whole] if told else [])


# -- tables -------------------------------------------------------------------------------------


def test_missing_numbers_are_empty_in_csv_and_a_dash_for_people() -> None:
    found = [{"a": None, "b": 0.1 + 0.2, "c": True}]
    assert csv_text(("a", "b", "c"), found) == "a,b,c\n,0.30000000000000004,true\n"
    assert markdown_table(("a", "b", "c"), found).splitlines()[2] == "| - | 0.3 | yes |"
    assert short({"x": 1, "y": None}) == "x 1, y -"
    assert short([]) == "-"


def test_frozen_report_is_not_changed_by_what_happens_later() -> None:
    settings = config()
    session = build_session(settings)
    watch = Watch(settings, session.engine)
    session.tape = Witness(watch)
    events = list(tape_events(20, settings))
    basis = Basis(
        kind="memory",
        run_id="x",
        code_version="c",
        python="",
        config=to_dict(settings),
        config_digest="d",
        plugins={},
    )
    for event in events[: len(events) // 2]:
        session.handle(event)
    frozen = freeze(watch)
    at_once = render(build_report(watch, basis))
    for event in events[len(events) // 2 :]:
        session.handle(event)
    assert render(frozen.report(basis)) == at_once
    assert render(build_report(watch, basis)) != at_once


def test_profit_by_engine_says_what_is_of_the_window(run: tuple[Path, Report]) -> None:
    rows = engine_rows(run[1])
    maker = next(row for row in rows if row["engine"] == "maker" and row["lens"] == "expected")
    window = {row["engine"]: row for row in run[1].shadow["pnl_by_engine"]}["maker"]
    assert maker["window_samples"] == window["samples"]
    assert maker["window_total_usdc"] == window["total_usdc"]
    assert "samples" not in maker
    assert set(maker) <= set(ENGINE_COLUMNS)


def test_sections_say_whether_they_are_of_the_run_or_of_the_window(
    run: tuple[Path, Report],
) -> None:
    text = render(run[1])["report_shadow_12h.md"].decode()
    window = text.partition("## Gates, ")[2].partition("\n")[0]
    assert window.startswith("window 2 (")
    headings = [line[3:] for line in text.splitlines() if line.startswith("## ")]
    assert headings == [
        "Profit under three fill models, the whole run",
        f"Gates, {window}",
        f"Shadow, {window}",
        "Calibration, the whole run",
        "Coherence, the whole run",
        f"Latency, {window}",
        f"Markets, {window}",
    ]


def test_coherence_of_an_asset_is_told_in_text_and_page(run: tuple[Path, Report]) -> None:
    assert "No asset had two markets to compare." in render(run[1])["report_shadow_12h.md"].decode()
    found = AssetCoherence()
    found.take_ladder([0.01, 0.03])
    files = render(attrs.evolve(run[1], coherence={"BTC": found.row()}))
    assert "| BTC | 0 | - | - | - | - | - | 2 | 0.02 | 0.03 |" in (
        files["report_shadow_12h.md"].decode()
    )
    assert "<td>BTC</td><td>0</td>" in files["report_shadow_12h.html"].decode()
    told = orjson.loads(files["shadow_live_latest.json"])["coherence"]
    assert told["BTC"]["ladder_checks"] == 2
