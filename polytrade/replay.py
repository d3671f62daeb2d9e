"""Replay: the same engine, stepped through a journal or a raw recording again.

A journal holds every event in the order it was stepped, fills included: only the engine runs, and
its effects must be those of the journal. A recording holds frames: they go through the live
decoders, and paper fills are made anew by the same model.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, Protocol

import orjson
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from polytrade.captures import CaptureError, CaptureReader
from polytrade.config import Config
from polytrade.core.effects import Effect
from polytrade.core.events import BookReplaced, Event, FeedGap, OrderFilled, RecordsLost
from polytrade.core.units import MS_NS
from polytrade.decoding import FrameDecoders, recorded_events
from polytrade.errors import ConfigError, LineupMissing, PluginError
from polytrade.importers import read_capture, sniff
from polytrade.journal import STEM as JOURNAL_STEM
from polytrade.journal import (
    DataDigest,
    EffectDigest,
    JournalEntry,
    JournalHeader,
    JournalReader,
    read_journal,
)
from polytrade.replay_result import Divergence, ReplayResult, Stepper, account_of, books_of
from polytrade.segments import FrameReader, JournalError, segments_of
from polytrade.session import Session, build_session, code_version, run_started
from polytrade.strict import config_digest, load, structure
from polytrade.swaps import differences, require
from polytrade.witness import Watcher, Witness

RAW_STEM: Final = "raw"
"""The recorder's files in a run folder."""
PROGRESS_EVERY: Final = 10_000
"""Events between two reports of progress: about ten a second."""

Progressed = Callable[[int], None]


class Build(Protocol):
    """Makes what a replay drives: `session.build_session`."""

    def __call__(self, config: Config, *, paper: bool) -> Stepper:
        """A new session, with a paper venue or without."""


Attach = Callable[[Config, Stepper], Watcher]
"""Makes the watcher of a replay once its configuration is known and its session is built."""


def replay(
    path: Path | str,
    *,
    until: int | None = None,
    verify: bool = True,
    config: Config | None = None,
    progress: Progressed | None = None,
    build: Build = build_session,
    attach: Attach | None = None,
) -> ReplayResult:
    """Replay a run folder, a journal segment, or a capture of any known layout.

    A folder with a journal is replayed by its journal. `until` stops after that many events;
    `verify` compares a journal's effects; `config` replaces the journal's own, or the defaults a
    capture is replayed under; what `attach` makes is told of each event after its step. Raises
    JournalError and CaptureError for files that are neither, ConfigError for a configuration that
    no longer fits, LineupMissing for a plugin the run had and this host has not; OSError passes.
    """
    path = Path(path)
    run = _Run(path, until, progress, attach)
    journal = _journal_of(path)
    if journal is not None:
        _replay_journal(run, journal, verify, config, build)
    else:
        _replay_capture(run, path, config, build)
    return run.finish()


class _Run:
    """The counting half of a replay; the session is set before the first event.

    `blind` means that nothing is compared any more, `unanswered` counts events the run never saw
    the effects of.
    """

    session: Stepper

    def __init__(
        self,
        path: Path,
        until: int | None,
        progress: Progressed | None,
        attach: Attach | None,
    ) -> None:
        self.result = ReplayResult(path=str(path), kind="")
        self.blind = False
        self.unanswered = 0
        self._until = until
        self._progress = progress
        self._attach = attach
        self._watcher: Watcher | None = None
        self._effects = EffectDigest()
        self._data = DataDigest()
        self._tags: Counter[str] = Counter()
        self._effect_tags: Counter[str] = Counter()
        self._gaps: Counter[str] = Counter()

    def begin(self, session: Stepper, config: Config) -> None:
        """The session that is driven, and who looks on: inside of it where it has a venue."""
        self.session = session
        if self._attach is None:
            return
        watcher = self._attach(config, session)
        if isinstance(session, Session) and session.paper is not None:
            session.tape = Witness(watcher, session.tape)
        else:
            self._watcher = watcher

    def enough(self) -> bool:
        """Whether `until` is reached."""
        return self._until is not None and self.result.events >= self._until

    def took(self, event: Event, effects: list[Effect]) -> None:
        """Count an event and what the engine answered."""
        result = self.result
        if self._watcher is not None:
            self._watcher.observe(event, effects)
        result.events += 1
        result.last_ts_ns = event.ts_ns
        if result.events == 1:
            result.first_ts_ns = event.ts_ns
        self._tags[event.TAG] += 1
        if not (isinstance(event, BookReplaced) and event.rest):
            self._data.add(event)  # a REST book answers a question of ours: asked again or not
        if isinstance(event, FeedGap):
            self._gaps[event.reason] += 1
        elif isinstance(event, OrderFilled):
            result.fills += 1
        if effects:
            self._effects.add(event.ts_ns, effects)
            self._effect_tags.update(effect.TAG for effect in effects)
        if self._progress is not None and result.events % PROGRESS_EVERY == 0:
            self._progress(result.events)

    def finish(self) -> ReplayResult:
        """The result, with the digests and the state of the engine."""
        result, engine = self.result, self.session.engine
        result.effects = self._effects.count
        result.effect_digest = self._effects.hexdigest()
        result.data_digest = self._data.hexdigest()
        result.events_by_type = dict(sorted(self._tags.items()))
        result.effects_by_type = dict(sorted(self._effect_tags.items()))
        result.orders = self._effect_tags["place_order"]
        result.open_orders = engine.orders.open_count()
        result.gaps = dict(sorted(self._gaps.items()))
        result.account = account_of(engine)
        result.quality = engine.quality()
        result.books = books_of(engine)
        try:
            engine.ledger.check(engine.orders)
        except AssertionError as error:
            result.broken = f"the ledger does not balance: {error}"
        return result


def _replay_journal(
    run: _Run, reader: JournalReader, verify: bool, config: Config | None, build: Build
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
    run.begin(_session_of(header, build, config, result.notes), config)
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
    except (ConfigError, PluginError):
        require(header.plugins, config)
        raise
    if isinstance(session, Session) and header.plugins:
        notes.extend(
            f"recorded with {name} {needed or 'not in use'}, replayed with {installed}"
            for name, needed, installed in differences(header.plugins, session.lineup)
        )
        session.lines = dict(header.plugins)
    return session


def _replay_entry(run: _Run, entry: JournalEntry) -> None:
    result, event = run.result, entry.event
    if isinstance(event, RecordsLost):  # a mark of the journal's own: the live engine saw nothing
        result.records_lost += event.count
        result.unverified = result.unverified or f"records were lost before event {entry.seq}"
        run.blind = True
        return
    try:
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


def _replay_capture(run: _Run, path: Path, config: Config | None, build: Build) -> None:
    result = run.result
    # A run hears of the coins it was configured for; of another's capture everything is read.
    decoders = FrameDecoders() if config is None else FrameDecoders(config.universe.coins)
    config = config or Config()
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
    if own is not None and whole:
        result.missing_records = own.losses.missing
        result.damaged_records = own.losses.damaged
        result.lost_tail = "; ".join(map(str, own.losses.tails))
        result.clean = not own.losses


def _step_all(run: _Run, events: Iterable[Event]) -> bool:
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
) -> int:
    """`polytrade replay`: print the result; 1 when it contradicts the journal or is unreadable.

    `digest`, unless empty, is the effect digest that must come out, or its first digits.
    ConfigError passes through for a configuration, of the journal or in `configs`, that is wrong.
    """
    config = load(configs) if configs is not None else None
    try:
        result = _with_progress(path, until, verify, config)
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
    path: Path, until: int | None, verify: bool, config: Config | None
) -> ReplayResult:
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("replaying", total=None)

        def progressed(events: int) -> None:
            bar.update(task, description=f"replaying, {events:,} events")

        result = replay(path, until=until, verify=verify, config=config, progress=progressed)
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
