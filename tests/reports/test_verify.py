"""A report comes out again from its journal, byte for byte; what does not is named."""

from pathlib import Path

import orjson
import pytest

from polytrade import cli_reports
from polytrade.lenses import LENSES
from polytrade.reports.command import run_report_command, run_verify_command
from polytrade.reports.files import LATEST, MANIFEST, render, write_reports
from polytrade.reports.report import Report, build_report
from polytrade.reports.verify import ManifestError, report_of, verify
from tests.reports.runs import RUN_ID, live_run, tape_file

DAY = "2026-11-16"


def manifest_in(data: Path) -> Path:
    return data / "reports" / DAY / MANIFEST


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text, old
    path.write_text(text.replace(old, new, 1))


def test_live_report_comes_out_of_the_journal_byte_for_byte(data: Path) -> None:
    found = verify(manifest_in(data))
    assert found.problems == []
    assert found.difference is None
    assert found.ok
    assert found.files == 8
    assert found.events > 1_000


def test_live_and_replayed_reports_differ_in_wall_clock_fields_alone(
    run: tuple[Path, Report],
) -> None:
    root, live = run
    watch, basis, result = report_of(root / "runs" / RUN_ID)
    assert result.matches
    again = build_report(watch, basis)
    assert again.wall["latency"]["decision_compute_ms"]["p50"] is None
    assert render(build_report(watch, basis, wall=live.wall)) == render(live)


def test_report_of_a_run_that_went_on_comes_out_of_its_first_part(tmp_path: Path) -> None:
    live = live_run(tmp_path / "runs", seconds=12, close=False)
    write_reports(live, tmp_path / "reports")
    (segment,) = (tmp_path / "runs" / RUN_ID).iterdir()
    whole = live_run(tmp_path / "longer", seconds=15)
    grown = (tmp_path / "longer" / RUN_ID / segment.name).read_bytes()
    assert whole.counts["events"] > live.counts["events"]
    with segment.open("ab") as file:
        file.write(grown[-40:])  # whatever follows what the report was made from
    found = verify(manifest_in(tmp_path))
    assert (found.problems, found.difference) == ([], None)


def test_number_that_was_changed_is_named_with_its_line(data: Path) -> None:
    path = data / "reports" / DAY / "latency_breakdown_12h.csv"
    edit(path, "source_latency_ms,ms,", "source_latency_ms,ms,1")
    found = verify(manifest_in(data))
    assert not found.ok
    assert found.difference is not None
    assert found.difference.file == "latency_breakdown_12h.csv"
    assert found.difference.where == "line 2"
    assert found.difference.expected.startswith("source_latency_ms,ms,1")


def test_field_of_a_json_file_that_was_changed_is_named_by_its_path(data: Path) -> None:
    path = data / "reports" / DAY / "report_shadow_12h.json"
    told = orjson.loads(path.read_bytes())
    told["shadow"]["lenses"][1]["net_usdc"] += 1.0
    path.write_bytes(orjson.dumps(told))
    found = verify(manifest_in(data))
    assert found.difference is not None
    assert (found.difference.file, found.difference.where) == (
        path.name,
        "shadow.lenses[1].net_usdc",
    )


def test_manifest_that_was_changed_is_found(data: Path) -> None:
    edit(manifest_in(data), '"skew_ms": 12', '"skew_ms": 13')
    found = verify(manifest_in(data))
    assert found.difference is not None
    assert found.difference.lines() == [
        "first difference: truth_manifest.json, clock_offset.skew_ms",
        "  report: 13",
        "  again:  12",
    ]


def test_changed_wall_clock_value_shows_in_the_files_that_tell_it(data: Path) -> None:
    told = orjson.loads(manifest_in(data).read_bytes())
    told["wall_clock"]["latency"]["decision_compute_ms"]["p99"] = 0.001
    manifest_in(data).write_bytes(orjson.dumps(told))
    found = verify(manifest_in(data))
    assert found.difference is not None
    assert found.difference.file == "report_shadow_12h.md"


def test_data_that_is_not_what_the_report_was_made_from_is_refused(data: Path) -> None:
    (segment,) = (data / "runs" / RUN_ID).iterdir()
    body = bytearray(segment.read_bytes())
    body[len(body) // 2] ^= 1
    segment.write_bytes(bytes(body))
    found = verify(manifest_in(data))
    assert found.problems == [f"{segment.name} is not the file the report was made from"]


def test_missing_files_are_named(data: Path) -> None:
    (segment,) = (data / "runs" / RUN_ID).iterdir()
    segment.rename(segment.with_name("journal-000009.jsonl.zst"))
    (data / "reports" / DAY / "next_fixlist.md").unlink()
    found = verify(manifest_in(data))
    assert found.problems == [
        "next_fixlist.md is missing",
        f"{segment.name} is missing in {segment.parent}",
    ]


def test_run_is_looked_for_beside_the_reports_or_named(data: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (data / "runs").rename(elsewhere)
    with pytest.raises(ManifestError, match="name it with --run"):
        verify(manifest_in(data))
    assert verify(manifest_in(data), elsewhere / RUN_ID).ok


def test_live_files_may_be_written_anew(data: Path) -> None:
    for name in LATEST:
        (data / "reports" / DAY / name).write_text("{}")
    assert verify(manifest_in(data)).ok


def test_report_of_a_run_without_a_journal_cannot_be_verified(data: Path) -> None:
    told = orjson.loads(manifest_in(data).read_bytes())
    told["basis"] |= {"kind": "memory", "files": []}
    manifest_in(data).write_bytes(orjson.dumps(told))
    with pytest.raises(ManifestError, match="the run kept no journal"):
        verify(manifest_in(data))


@pytest.mark.parametrize("body", ["", "{}", '{"polytrade_manifest": 1}', "[1]"])
def test_what_is_no_manifest_is_refused(tmp_path: Path, body: str) -> None:
    path = tmp_path / MANIFEST
    path.write_text(body)
    with pytest.raises(ManifestError, match=MANIFEST):
        verify(path)


# -- the commands -------------------------------------------------------------------------------


def test_report_of_a_capture_is_written_and_verified(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capture = tape_file(tmp_path / "tape.jsonl.zst", seconds=12)
    out = tmp_path / "reports"
    assert run_report_command(capture, out_root=out, configs=None, as_json=True) == 0
    told = orjson.loads(capsys.readouterr().out)
    assert set(told["net_usdc"]) == set(LENSES)
    assert len(told["files"]) == 10
    assert run_verify_command(out / DAY, run=capture, as_json=True) == 0
    assert orjson.loads(capsys.readouterr().out)["ok"]
    assert run_verify_command(out / DAY, run=None, as_json=False) == 1
    assert "name it with --run" in capsys.readouterr().err


def test_verify_command_fails_and_says_where(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(data / "reports" / DAY / "next_fixlist.md", "Next to mend", "Nothing to mend")
    assert run_verify_command(manifest_in(data), run=None, as_json=False) == 1
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("NOT REPRODUCED")
    assert told[1] == "first difference: next_fixlist.md, line 1"


def test_run_is_reported_under_its_own_configuration_alone(
    run: tuple[Path, Report], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = run[0] / "runs" / RUN_ID
    (configs := tmp_path / "configs").mkdir()
    (configs / "storage.toml").write_text("[storage]\nrecord_raw = false\n")
    assert run_report_command(folder, out_root=tmp_path, configs=configs, as_json=False) == 1
    assert "under its own configuration" in capsys.readouterr().err


def test_segment_stands_for_its_run(run: tuple[Path, Report]) -> None:
    (segment,) = (run[0] / "runs" / RUN_ID).iterdir()
    _, basis, result = report_of(segment)
    assert basis == run[1].basis
    assert result.events == run[1].counts["events"]


def test_commands_are_run_from_the_command_line(
    run: tuple[Path, Report], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = run[0] / "runs" / RUN_ID
    arguments = [str(folder), "--out-root", str(tmp_path)]
    assert cli_reports.report.main(arguments, standalone_mode=False) == 0
    told = capsys.readouterr().out
    assert "pessimistic" in told
    assert f"wrote: {tmp_path / DAY / MANIFEST}" in told
    arguments = [str(tmp_path / DAY / MANIFEST), "--run", str(folder)]
    assert cli_reports.verify.main(arguments, standalone_mode=False) == 0
    assert capsys.readouterr().out.startswith("ok: 8 files")


def test_report_command_of_what_is_no_run_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "not.txt"
    path.write_text("hello\n")
    assert run_report_command(path, out_root=tmp_path, configs=None, as_json=False) == 1
    assert capsys.readouterr().err.startswith("report: ")
