"""Replay: the same engine, stepped through a journal or a raw recording again.

A journal holds every event in the order it was stepped, fills included: only the engine runs, and
its effects must be those of the journal. A recording holds frames: they go through the live
decoders, and paper fills are made anew by the same model.
"""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, Protocol

import orjson
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from polytrade.captures import CaptureError, CaptureReader
from polytrade.config import Config
from polytrade.core.events import Event, LineupSwapped, RecordsLost
from polytrade.core.units import MS_NS
from polytrade.decoding import FrameDecoders, recorded_events
from polytrade.errors import ConfigError, LineupMissing, PluginError
from polytrade.importers import read_capture, sniff
from polytrade.journal import STEM as JOURNAL_STEM
from polytrade.journal import (
    JournalEntry,
    JournalHeader,
    JournalReader,
    read_journal,
)
from polytrade.polymarket.subjects import COINS
from polytrade.replay_feeds import RecordedFeeds
from polytrade.replay_result import Divergence, ReplayResult, Stepper
from polytrade.replay_run import Attach, Progressed, Run
from polytrade.replay_sites import in_sites
from polytrade.segments import FrameReader, JournalError, segments_of
from polytrade.session import Session, build_session, code_version, run_started
from polytrade.strict import config_digest, load, structure
from polytrade.swaps import differences, lines_of, require

RAW_STEM: Final = "raw"
"""The recorder's files in a run folder."""


class Build(Protocol):
    """Makes what a replay drives: `session.build_session`."""

    def __call__(self, config: Config, *, paper: bool) -> Stepper:
        """A new session, with a paper venue or without."""


def replay(
    path: Path | str,
    *,
    until: int | None = None,
    verify: bool = True,
    config: Config | None = None,
    progress: Progressed | None = None,
    build: Build = build_session,
    attach: Attach | None = None,
    sites: Sequence[Path] = (),
) -> ReplayResult:
    """Replay a run folder, a journal segment, or a capture of any known layout.

    A folder with a journal is replayed by its journal. `until` stops after that many events;
    `verify` compares a journal's effects; `config` replaces the journal's own, or the defaults a
    capture is replayed under; what `attach` makes is told of each event after its step; `sites` are
    folders of other versions of plugins than those installed (`replay_sites`). Raises JournalError
    and CaptureError for files that are neither, ConfigError for a configuration that no longer
    fits, LineupMissing for a plugin the run had and this host has not; OSError passes.
    """
    path = Path(path)
    run = Run(path, until, progress, attach, sites)
    journal = _journal_of(path)
    if journal is not None:
        _replay_journal(run, journal, verify, config, build)
    else:
        _replay_capture(run, path, config, build)
    return run.finish()


def _replay_journal(
    run: Run, reader: JournalReader, verify: bool, config: Config | None, build: Build
) -> None:
    result, header = run.result, reader.header
    result.kind = "journal"
    result.run_id = header.run_id
    if config is None:
        config = structure(header.config)
    elif config_digest(config) != header.config_digest:
        result.notes.append("not the configuration of the run: effects differ where it matters")
    if header.code_version != code_version():
        result.notes.append(f"recorded by {header.code_version}, replayed by {code_version()}")
    if not verify:
        result.unverified = "comparison was not asked for"
    elif header.part != 1:
        result.unverified = f"part {header.part} of a run: the engine's state before it is unknown"
    run.blind = bool(result.unverified)
    with in_sites(run.sites, header.plugins):
        session = _session_of(header, build, config, result.notes)
    run.begin(session, config)
    whole = True
    for entry in reader:
        if run.enough():
            whole = False
            break
        _replay_entry(run, entry)
    if whole:
        result.lost_tail = str(reader.lost_tail or "")
        result.clean = reader.trailer is not None
        if reader.trailer is not None and not run.blind and not run.unanswered:
            result.expected_digest = reader.trailer.effect_digest
    if run.unanswered and not result.unverified:
        result.unverified = f"{run.unanswered} answers are not in the journal"


def _session_of(header: JournalHeader, build: Build, config: Config, notes: list[str]) -> Stepper:
    """The session of a run; notes plugins of other versions, LineupMissing for one not there."""
    try:
        session = build(config, paper=False)
    except (ConfigError, PluginError) as error:
        require(header.plugins, config, error)
        raise
    if isinstance(session, Session) and header.plugins:
        notes.extend(
            f"recorded with {name} {needed or 'not in use'}, replayed with {installed}"
            for name, needed, installed in differences(header.plugins, session.lineup)
        )
        session.lines = dict(header.plugins)
    return session


def _replay_entry(run: Run, entry: JournalEntry) -> None:
    result, event = run.result, entry.event
    if isinstance(event, RecordsLost):  # a mark of the journal's own: the live engine saw nothing
        result.records_lost += event.count
        result.unverified = result.unverified or f"records were lost before event {entry.seq}"
        run.blind = True
        return
    try:
        if isinstance(event, LineupSwapped):
            with in_sites(run.sites, lines_of(event)):
                effects = run.session.step(event)
        else:
            effects = run.session.step(event)
    except Exception as error:
        error.add_note(f"replaying event {entry.seq} of {result.path}: {event!r}")
        raise
    run.took(event, effects)
    if not entry.complete:
        run.unanswered += 1
        return
    if run.blind or result.divergence is not None:
        return
    got = [effect.row() for effect in effects]
    if got != entry.effects and _plain(got) != entry.effects:
        result.divergence = Divergence(entry.seq, event.row(), entry.effects, got)
    else:
        result.verified += 1


def _plain(rows: list[list[object]]) -> object:
    """Rows as they come back from JSON, where tuples have become lists."""
    return orjson.loads(orjson.dumps(rows))


def _replay_capture(run: Run, path: Path, config: Config | None, build: Build) -> None:
    result = run.result
    # A run hears of the coins it was configured for; of another's capture everything is read.
    coins = COINS if config is None else config.universe.coins
    config = config or Config()
    feeds = RecordedFeeds(config)
    decoders = FrameDecoders(coins, feeds)
    own = _own_capture(path)
    capture = own or read_capture(path)
    result.kind = "capture" if isinstance(capture, CaptureReader) else f"{capture.layout} capture"
    header = capture.header
    result.run_id = header.run_id
    result.generated = header.generated
    if header.note:
        result.notes.append(header.note)
    run.begin(build(config, paper=True), config)
    events = recorded_events(
        capture,
        decoders,
        lambda ts_ns: run_started(config, ts_ns, header.run_id or "replay"),
        config.latency.tick_interval_ms * MS_NS,
    )
    whole = _step_all(run, events)
    result.frames = decoders.frames.total()
    result.messages = decoders.messages()
    result.unknown = decoders.unknown()
    result.malformed = dict(sorted(decoders.malformed.items()))
    result.malformed_reasons = decoders.reasons
    result.unsupported = dict(sorted(decoders.unsupported.items()))
    result.foreign = decoders.foreign()
    result.notes += feeds.notes
    if own is not None and whole:
        result.missing_records = own.losses.missing
        result.damaged_records = own.losses.damaged
        result.lost_tail = "; ".join(map(str, own.losses.tails))
        result.clean = not own.losses


def _step_all(run: Run, events: Iterable[Event]) -> bool:
    """Handle every event; False when `until` came first."""
    session = run.session
    for number, event in enumerate(events, 1):
        if run.enough():
            return False
        try:
            steps = session.handle(event)
        except Exception as error:
            error.add_note(f"replaying event {number} of {run.result.path}: {event!r}")
            raise
        for stepped, effects in steps:
            run.took(stepped, effects)
    return True


def _journal_of(path: Path) -> JournalReader | None:
    """The journal at `path`; None when there is something else."""
    if path.is_dir():
        return read_journal(path) if segments_of(path, JOURNAL_STEM) else None
    if path.name.startswith(f"{JOURNAL_STEM}-"):
        return read_journal(path)
    first = next(iter(FrameReader(path)), b"")
    return read_journal(path) if first.startswith(b'{"polytrade_journal"') else None


def _own_capture(path: Path) -> CaptureReader | None:
    """The recording of ours at `path`, which knows what it lost; None for any other capture."""
    if path.is_dir():
        parts = segments_of(path, RAW_STEM)
        return CaptureReader(*parts) if parts else None
    return CaptureReader(path) if sniff(path) is None else None


def run_replay_command(
    path: Path,
    *,
    as_json: bool,
    until: int | None,
    verify: bool,
    configs: Path | None,
    digest: str = "",
    sites: Sequence[Path] = (),
) -> int:
    """`polytrade replay`: print the result; 1 when it contradicts the journal or is unreadable.

    `digest`, unless empty, is the effect digest that must come out, or its first digits; `sites`
    as in `replay`.
    ConfigError passes through for a configuration, of the journal or in `configs`, that is wrong.
    """
    config = load(configs) if configs is not None else None
    try:
        result = _with_progress(path, until, verify, config, sites)
    except (JournalError, CaptureError, LineupMissing, OSError) as error:
        Console(stderr=True).print(
            f"replay: {error}", markup=False, highlight=False, soft_wrap=True
        )
        return 1
    if digest:
        result.wanted_digest = digest.lower()
    if as_json:
        sys.stdout.write(result.to_json() + "\n")
    else:
        print_result(result, Console())
    return 0 if result.matches else 1


def _with_progress(
    path: Path,
    until: int | None,
    verify: bool,
    config: Config | None,
    sites: Sequence[Path],
) -> ReplayResult:
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("replaying", total=None)

        def progressed(events: int) -> None:
            bar.update(task, description=f"replaying, {events:,} events")

        result = replay(
            path, until=until, verify=verify, config=config, progress=progressed, sites=sites
        )
        result.timed(bar.tasks[task].elapsed or 0.0)
        return result


def print_result(result: ReplayResult, console: Console) -> None:
    """The report for people: a table on a terminal, `name: text` lines elsewhere."""
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, text in result.rows():
        if console.is_terminal:
            table.add_row(Text(name, style="dim"), Text(text))
        else:
            console.print(f"{name}: {text}", markup=False, highlight=False, soft_wrap=True)
    if console.is_terminal:
        console.print(table)
    lines = [f"note: {note}" for note in result.notes]
    lines += [f"malformed: {reason}" for reason in result.malformed_reasons]
    if result.divergence is not None:
        lines += result.divergence.lines()
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
