"""Verification: make a report again from the journal it rests on, and compare every byte.

What is of wall-clock origin is taken from the manifest, so that all else must come out the same.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import orjson

from polytrade.config import Config
from polytrade.errors import ConfigError
from polytrade.journal import STEM as JOURNAL_STEM
from polytrade.replay import replay
from polytrade.replay_result import ReplayResult, Stepper
from polytrade.reports.files import LATEST, MANIFEST, render
from polytrade.reports.manifest import VERSION, Basis, DataFile, data_files
from polytrade.reports.page import plotly_version
from polytrade.reports.report import Report, build_report
from polytrade.reports.watch import Watch
from polytrade.segments import JournalError, segments_of
from polytrade.session import Session, build_session, code_version
from polytrade.strict import structure

RUNS: Final = "runs"
"""The folder of runs beside the folder of reports."""
SHOWN_MAX: Final = 160


class ManifestError(Exception):
    """The manifest cannot be read, or the data it names cannot be found."""


@attrs.frozen(kw_only=True)
class Difference:
    """The first place where a file is not what comes out again."""

    file: str
    where: str
    expected: str
    got: str

    def lines(self) -> list[str]:
        """The difference in words."""
        return [
            f"first difference: {self.file}, {self.where}",
            f"  report: {self.expected}",
            f"  again:  {self.got}",
        ]


@attrs.define(kw_only=True)
class Verdict:
    """What a verification found; `ok` when every file came out again, byte for byte."""

    manifest: str
    run: str = ""
    files: int = 0
    events: int = 0
    code: str = ""
    problems: list[str] = attrs.field(factory=list)
    difference: Difference | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing contradicts the report."""
        return self.difference is None and not self.problems

    def to_dict(self) -> dict[str, Any]:
        """The verdict as plain data."""
        return {"ok": self.ok, **attrs.asdict(self)}


def report_of(
    path: Path,
    config: Config | None = None,
    *,
    until: int | None = None,
    progress: Callable[[int], None] | None = None,
    sites: Sequence[Path] = (),
) -> tuple[Watch, Basis, ReplayResult]:
    """Replay a run or a capture with everything looking on, up to event `until`.

    A segment of a journal stands for its run, which has its own configuration: JournalError for
    another. `sites` as in `replay`, and what that raises passes.
    """
    if path.is_file() and path.name.startswith(f"{JOURNAL_STEM}-"):
        path = path.parent
    if config is not None and path.is_dir() and segments_of(path, JOURNAL_STEM):
        raise JournalError(path, "a run with a journal is reported under its own configuration")
    sessions: list[Session] = []
    watches: list[Watch] = []

    def build(config: Config, *, paper: bool) -> Session:
        sessions.append(build_session(config, paper=paper))
        return sessions[0]

    def attach(config: Config, session: Stepper) -> Watch:
        watches.append(Watch(config, session.engine))
        return watches[0]

    result = replay(
        path,
        until=until,
        config=config,
        progress=progress,
        build=build,
        attach=attach,
        sites=sites,
    )
    watch = watches[0]
    if result.kind == "journal":
        return watch, Basis.of_journal(path, result.records_lost), result
    plugins = dict(sessions[0].lineup.plugins)
    return watch, Basis.of_capture(path, watch.config, plugins, result), result


def verify(
    manifest: Path,
    run: Path | None = None,
    progress: Callable[[int], None] | None = None,
    sites: Sequence[Path] = (),
) -> Verdict:
    """Make the report of `manifest` again from `run`, or from the run found beside the reports.

    `sites` are folders of other versions of plugins, as in `replay`.

    ManifestError for a manifest that cannot be used; what `replay` raises passes through.
    """
    told = _read(manifest)
    basis = _basis(told, manifest)
    if not basis.files:
        raise ManifestError(f"{manifest}: the run kept no journal, nothing can make it again")
    found = run if run is not None else _find_run(manifest, basis)
    verdict = Verdict(manifest=str(manifest), run=str(found), code=basis.code_version)
    verdict.problems += _file_problems(manifest.parent, told) + _data_problems(found, basis)
    if basis.records_lost:
        verdict.problems.append(f"{basis.records_lost} records of the run were never written")
    if verdict.problems:
        return verdict
    again = _again(told, basis, found, verdict, progress=progress, sites=sites)
    if again is not None:
        for name, body in render(again).items():
            if name in LATEST:
                continue
            verdict.files += 1
            difference = _compare(name, (manifest.parent / name).read_bytes(), body)
            if difference is not None:
                verdict.difference = difference
                _explain(told, basis, verdict)
                break
    return verdict


def _explain(told: dict[str, Any], basis: Basis, verdict: Verdict) -> None:
    """What is known to make a difference without anything being wrong with the numbers."""
    for name, then, now in (
        ("polytrade", basis.code_version, code_version()),
        ("plotly", told.get("plotly"), plotly_version()),
    ):
        if then != now:
            verdict.problems.append(f"made with {name} {then}, verified with {now}")


def _again(
    told: dict[str, Any],
    basis: Basis,
    found: Path,
    verdict: Verdict,
    *,
    progress: Callable[[int], None] | None,
    sites: Sequence[Path],
) -> Report | None:
    """The report made anew; None, and the reason in `verdict`, when the run does not replay."""
    events = int(told["records"]["events"])
    config = None
    if basis.kind != "journal":
        config = structure(basis.config)
    watch, _, result = report_of(found, config, until=events, progress=progress, sites=sites)
    verdict.events = result.events
    if result.events != events:
        verdict.problems.append(f"the run has {result.events} events, the report {events}")
    elif not result.matches:
        verdict.problems += [result.broken or "the run does not replay to the effects it had"]
        if result.divergence is not None:
            verdict.problems += result.divergence.lines()
    if not verdict.problems:
        return build_report(watch, basis, wall=told["wall_clock"])
    _explain(told, basis, verdict)
    return None


def _read(manifest: Path) -> dict[str, Any]:
    try:
        told = orjson.loads(manifest.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise ManifestError(f"{manifest}: {error}") from error
    if not isinstance(told, dict) or told.get("polytrade_manifest") != VERSION:
        raise ManifestError(f"{manifest}: expected a truth manifest of version {VERSION}")
    return told


def _basis(told: dict[str, Any], manifest: Path) -> Basis:
    needed = {"records", "wall_clock", "files"}
    try:
        basis = Basis.from_dict(told["basis"])
        if not needed <= set(told) or "events" not in told["records"]:
            raise KeyError(*sorted(needed - set(told)))
        structure(basis.config)
    except (KeyError, TypeError, ConfigError) as error:
        raise ManifestError(f"{manifest}: damaged, {error}") from error
    return basis


def _find_run(manifest: Path, basis: Basis) -> Path:
    """`runs/<run_id>` of the nearest folder above the manifest that has it."""
    for folder in manifest.resolve().parents:
        found = folder / RUNS / basis.run_id
        if found.is_dir():
            return found
    raise ManifestError(f"{manifest}: run {basis.run_id} is not beside it; name it with --run")


def _file_problems(folder: Path, told: dict[str, Any]) -> list[str]:
    """Report files that are missing."""
    names = [Path(str(file["name"])).name for file in told["files"]]
    return [f"{name} is missing" for name in names if not (folder / name).is_file()]


def _data_problems(found: Path, basis: Basis) -> list[str]:
    """Data files that are missing or are not those the report was made from."""
    paths = {path.name: path for path in data_files(found)}
    problems = []
    for file in basis.files:
        path = paths.get(file.name)
        if path is None:
            problems.append(f"{file.name} is missing in {found}")
        elif DataFile.of(path, file.bytes) != file:
            problems.append(f"{file.name} is not the file the report was made from")
    return problems


def _compare(name: str, expected: bytes, got: bytes) -> Difference | None:
    """Where two files first differ: the field of a JSON file, else the line."""
    if expected == got:
        return None
    if name.endswith(".json"):
        try:
            pairs = _fields(orjson.loads(expected), orjson.loads(got), "")
            where, old, new = next(pairs)
        except (orjson.JSONDecodeError, StopIteration):
            pass
        else:
            return Difference(file=name, where=where, expected=_short(old), got=_short(new))
    old_lines, new_lines = expected.splitlines(), got.splitlines()
    for number, (old, new) in enumerate(zip(old_lines, new_lines, strict=False), 1):
        if old != new:
            return _difference(name, number, old, new)
    number = min(len(old_lines), len(new_lines))
    rest_old, rest_new = old_lines[number:], new_lines[number:]
    return _difference(
        name,
        number + 1,
        rest_old[0] if rest_old else b"the end of the file",
        rest_new[0] if rest_new else b"the end of the file",
    )


def _difference(name: str, number: int, old: bytes, new: bytes) -> Difference:
    """A differing line, shown from a little before its first differing byte."""
    same = next((at for at, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), 0)
    start = max(0, same - SHOWN_MAX // 4)
    shown = [text[start : start + SHOWN_MAX].decode(errors="replace") for text in (old, new)]
    return Difference(file=name, where=f"line {number}", expected=shown[0], got=shown[1])


def _fields(old: object, new: object, path: str) -> Iterator[tuple[str, object, object]]:
    """The leaves where two JSON values differ, by their path, in order."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted(set(old) | set(new)):
            part = f"{path}.{name}" if path else name
            yield from _fields(old.get(name), new.get(name), part)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from _fields(one, other, f"{path}[{index}]")
    elif old != new:
        yield path or "the whole file", old, new


def _short(value: object) -> str:
    text = orjson.dumps(value).decode()
    return text if len(text) <= SHOWN_MAX else text[: SHOWN_MAX - 3] + "..."


def manifest_of(path: Path) -> Path:
    """The manifest at `path`, or in the folder `path`."""
    return path / MANIFEST if path.is_dir() else path
