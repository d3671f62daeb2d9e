"""The commands `polytrade report` and `polytrade verify`, for people and for scripts."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import orjson
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from polytrade.captures import CaptureError
from polytrade.errors import LineupMissing
from polytrade.reports.files import write_reports
from polytrade.reports.report import Report, build_report
from polytrade.reports.tables import short
from polytrade.reports.text import verdict
from polytrade.reports.verify import ManifestError, Verdict, manifest_of, report_of
from polytrade.reports.verify import verify as verify_manifest
from polytrade.segments import JournalError
from polytrade.strict import load

Progressed = Callable[[int], None]


def run_report_command(
    path: Path,
    *,
    out_root: Path,
    configs: Path | None,
    as_json: bool,
    sites: Sequence[Path] = (),
) -> int:
    """Write the report files of a run; 1 when it cannot be read or the files cannot be written.

    `sites` as in `replay`: without a version of a plugin that the run needs the answer is 1, too.
    ConfigError passes through for a configuration, of the journal or in `configs`, that is wrong.
    """
    config = load(configs) if configs is not None else None
    try:
        with _progress("replaying") as progressed:
            watch, basis, _ = report_of(path, config, progress=progressed, sites=sites)
        report = build_report(watch, basis)
        paths = write_reports(report, out_root)
    except (JournalError, CaptureError, LineupMissing, OSError) as error:
        return _failed("report", error)
    if as_json:
        answer = {
            "files": [str(file) for file in paths],
            "run_id": basis.run_id,
            "events": report.counts["events"],
            "net_usdc": report.net_by_lens(),
            **report.gate.to_dict(),
        }
        sys.stdout.write(orjson.dumps(answer, option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        _tell(_report_lines(report, paths))
    return 0


def run_verify_command(
    manifest: Path, *, run: Path | None, as_json: bool, sites: Sequence[Path] = ()
) -> int:
    """Make a report again; 1 unless every byte of it comes out. `sites` as in `replay`.

    ConfigError passes through for a journal whose configuration no longer fits.
    """
    try:
        with _progress("replaying") as progressed:
            found = verify_manifest(manifest_of(manifest), run, progressed, sites)
    except (ManifestError, JournalError, CaptureError, LineupMissing, OSError) as error:
        return _failed("verify", error)
    if as_json:
        sys.stdout.write(orjson.dumps(found.to_dict(), option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        _tell(_verdict_lines(found))
    return 0 if found.ok else 1


def _report_lines(report: Report, paths: list[Path]) -> list[str]:
    nets = ", ".join(f"{name} {short(net)}" for name, net in report.net_by_lens().items())
    return [
        f"run: {report.basis.run_id}, {report.counts['events']:,} events",
        f"net USDC: {nets}",
        f"gates: {verdict(report)}",
        *(f"wrote: {path}" for path in paths),
    ]


def _verdict_lines(found: Verdict) -> list[str]:
    if found.ok:
        return [f"ok: {found.files} files, {found.events:,} events of {found.run}, byte for byte"]
    lines = [f"NOT REPRODUCED: {found.manifest}", *found.problems]
    return lines + (found.difference.lines() if found.difference is not None else [])


def _failed(command: str, error: Exception) -> int:
    Console(stderr=True).print(f"{command}: {error}", markup=False, highlight=False, soft_wrap=True)
    return 1


def _tell(lines: list[str]) -> None:
    console = Console()
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def _progress(what: str) -> Iterator[Progressed]:
    """A line on a terminal that says how far a replay is."""
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(what, total=None)
        yield lambda events: bar.update(task, description=f"{what}, {events:,} events")
