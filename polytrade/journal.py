"""The journal: every event of a run in the order it was stepped, and what the engine answered.

Rows are JSON arrays, one a line, in `<data_dir>/<run_id>/journal-000001.jsonl.zst`, ...:
a header object first in every segment, then `[tag, ts_ns, ...]` an event, `["!", tag, ...]` an
effect of the event above it, `["?"]` where the engine never answered the event above, and
`["=", events, effects, digest]` last of a run that was closed.
"""

import hashlib
import operator
import platform
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import attrs
import orjson

from polytrade.core import events as ev
from polytrade.core.effects import Effect
from polytrade.core.events import EVENTS, Event, event_from_row
from polytrade.segments import (
    DiskFile,
    FrameReader,
    JournalError,
    LostTail,
    Opener,
    SegmentWriter,
    segments_of,
)

__all__ = [
    "DataDigest",
    "EffectDigest",
    "JournalEntry",
    "JournalError",
    "JournalHeader",
    "JournalReader",
    "JournalTrailer",
    "JournalWriter",
    "LostTail",
    "effect_line",
    "event_line",
    "prune_runs",
    "read_journal",
]

FORMAT: Final = 1
STEM: Final = "journal"
EFFECT_MARK: Final = "!"
TRAILER_MARK: Final = "="
UNANSWERED_MARK: Final = "?"
UNANSWERED_LINE: Final = b'["?"]\n'
"""Behind an event that was not stepped, or whose step failed: nothing to compare a replay with."""
RECORDING_STEM: Final = "raw"
"""What `prune_runs` removes: the files a run writes by itself, and nothing else."""

_ROWS: Final[dict[type[Event], Callable[[Any], tuple[object, ...]]]] = {
    kind: operator.attrgetter("TAG", *kind.FIELDS) for kind in EVENTS.values()
}


def event_line(event: Event) -> bytes:
    """The journal's line of an event: `event.row()` as JSON, made without a Python loop."""
    return orjson.dumps(_ROWS[type(event)](event), option=orjson.OPT_APPEND_NEWLINE)


def effect_line(row: list[object]) -> bytes:
    """The journal's line of an effect, given as its row: behind the mark `!`."""
    return orjson.dumps([EFFECT_MARK, *row], option=orjson.OPT_APPEND_NEWLINE)


@attrs.frozen
class JournalHeader:
    """What a replay needs to know of a run: its code, effective configuration and plugins."""

    run_id: str
    created: str
    code_version: str
    config: dict[str, Any]
    config_digest: str
    plugins: dict[str, str] = attrs.field(factory=dict)
    python: str = attrs.field(factory=platform.python_version)
    part: int = 1

    def line(self, part: int) -> bytes:
        """The header line of segment `part`."""
        body = {"polytrade_journal": FORMAT, **attrs.asdict(self), "part": part}
        return orjson.dumps(body, option=orjson.OPT_APPEND_NEWLINE)

    @classmethod
    def from_json(cls, value: object, path: Path) -> "JournalHeader":
        """The header a segment begins with; JournalError when it is none we can read."""
        if not isinstance(value, dict) or "polytrade_journal" not in value:
            raise JournalError(path, "expected a journal header as the first line")
        found = value["polytrade_journal"]
        if found != FORMAT:
            raise JournalError(path, f"expected journal format {FORMAT}, found {found!r}")
        names = {field.name: field for field in attrs.fields(cls)}
        missing = [name for name in names if name not in value]
        if missing:
            raise JournalError(path, f"the header has no {', '.join(missing)}")
        for name, kind in (("config", dict), ("plugins", dict), ("part", int), ("run_id", str)):
            if not isinstance(value[name], kind):
                raise JournalError(path, f"expected {kind.__name__} in header field {name}")
        return cls(**{name: value[name] for name in names})


@attrs.frozen
class JournalTrailer:
    """The totals a closed journal ends with."""

    events: int
    effects: int
    effect_digest: str

    def line(self) -> bytes:
        """The trailer's line."""
        row = [TRAILER_MARK, self.events, self.effects, self.effect_digest]
        return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)


class EffectDigest:
    """SHA-256 over `[event_ts_ns, tag, ...fields]` and a newline for each effect, in order."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.count = 0

    def add(self, ts_ns: int, effects: Iterable[Effect]) -> None:
        """Take in what the engine answered to the event stamped `ts_ns`."""
        for effect in effects:
            self.add_row(ts_ns, effect.row())

    def add_row(self, ts_ns: int, row: list[object]) -> None:
        """Take in one effect, given as its row."""
        self._hash.update(orjson.dumps([ts_ns, *row], option=orjson.OPT_APPEND_NEWLINE))
        self.count += 1

    def hexdigest(self) -> str:
        """The digest so far."""
        return self._hash.hexdigest()


class DataDigest:
    """A digest of market data that does not depend on when, or between what, it was received.

    One SHA-256 a stream (a market; a reference symbol of one source and kind) over the rows of its
    events without `ts_ns`, then one over the sorted streams: the same frames give the same digest
    at any speed, through any number of connections, however the sources interleave. A market's
    outcome counts once, whoever reported it first. Keeps 0.5 KB a stream.
    """

    _STREAMS: Final[dict[type[Event], Callable[[Any], tuple[object, ...]]]] = {
        kind: operator.attrgetter(*(name for name in kind.FIELDS if name != "ts_ns"))
        for kind in (
            ev.BookReplaced,
            ev.BookChanged,
            ev.TradePrinted,
            ev.TickSizeChanged,
            ev.ReferenceTicked,
        )
    }

    def __init__(self) -> None:
        self._hashes: dict[str, Any] = {}
        self._outcomes: set[tuple[str, int]] = set()
        self.counts: Counter[str] = Counter()

    def add(self, event: Event) -> None:
        """Take in an event; those that are not market data change nothing."""
        kind = type(event)
        fields = self._STREAMS.get(kind)
        if fields is not None:
            if isinstance(event, ev.ReferenceTicked):
                stream = f"{event.source}/{event.symbol}/{event.kind}"
            else:
                stream = str(event.market)  # type: ignore[attr-defined]
            self._update(stream, kind.TAG, fields(event))
        elif isinstance(event, ev.MarketResolved):
            outcome = (event.market, event.winner)
            if outcome not in self._outcomes:
                self._outcomes.add(outcome)
                self._update(f"outcome/{event.market}", kind.TAG, outcome)

    def _update(self, stream: str, tag: str, fields: tuple[object, ...]) -> None:
        digest = self._hashes.get(stream)
        if digest is None:
            digest = self._hashes[stream] = hashlib.sha256()
        digest.update(orjson.dumps((tag, fields), option=orjson.OPT_APPEND_NEWLINE))
        self.counts[tag] += 1

    def streams(self) -> dict[str, str]:
        """The digest of each stream by its name: tells where two runs differ."""
        return {name: self._hashes[name].hexdigest() for name in sorted(self._hashes)}

    def hexdigest(self) -> str:
        """The digest over all streams so far."""
        return hashlib.sha256(orjson.dumps(self.streams())).hexdigest()


class JournalWriter:
    """Writes the journal of one run, a batch at a time; JournalError when the disk refuses.

    `append` and `append_effects` collect lines, `flush` writes them as one zstd frame. What could
    not be written stays pending and goes first at the next flush, without a gap or a double.
    The folder is made and the first segment begun at once, so that a bad folder shows at start.
    """

    def __init__(
        self,
        folder: Path,
        header: JournalHeader,
        *,
        segment_bytes: int,
        opener: Opener = DiskFile,
    ) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise JournalError(folder, error.strerror or str(error)) from error
        self.segments = SegmentWriter(
            folder, STEM, header.line, segment_bytes=segment_bytes, opener=opener
        )
        self.segments.write([])
        self.pending: list[bytes] = []

    def append(self, event: Event) -> None:
        """Add an event's row to the batch."""
        self.pending.append(event_line(event))

    def append_effects(self, effects: Iterable[Effect]) -> None:
        """Add the rows of what the engine answered to the event appended last."""
        self.pending.extend([effect_line(effect.row()) for effect in effects])

    def flush(self) -> None:
        """Write the batch."""
        if self.pending:
            self.segments.write(self.pending)
            self.pending.clear()

    def close(self, trailer: JournalTrailer | None = None) -> None:
        """Write what is pending and the trailer, sync to the disk, close."""
        if trailer is not None:
            self.pending.append(trailer.line())
        self.flush()
        self.segments.close()


class JournalEntry(NamedTuple):
    """One event of a run: its number (from 1), itself, the rows of the effects it caused."""

    seq: int
    event: Event
    effects: list[list[object]]
    complete: bool
    """False where the effects are not known to be all: the engine never answered the event, or it
    is the last of a journal that was not closed."""


class JournalReader:
    """The events of a journal in order.

    `header` is that of the first segment. After iterating, `lost_tail` says what could not be read
    (nothing behind it is: a replay across a hole is not exact) and `trailer` holds the totals of a
    run that ended well. Raises JournalError for what is no journal, OSError passes through.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = list(paths)
        self.lost_tail: LostTail | None = None
        self.trailer: JournalTrailer | None = None
        self.header = self._header(self._paths[0])

    def __iter__(self) -> Iterator[JournalEntry]:
        self.lost_tail = self.trailer = None
        seq = 0
        event: Event | None = None
        effects: list[list[object]] = []
        answered = True
        for path, row in self._rows():
            mark = row[0] if row else None
            if mark == EFFECT_MARK:
                effects.append(row[1:])
                continue
            if mark == UNANSWERED_MARK:
                answered = False
                continue
            if event is not None:
                yield JournalEntry(seq, event, effects, answered)
                event = None
            if mark == TRAILER_MARK:
                self.trailer = _trailer(path, row)
                continue
            seq += 1
            effects = []
            answered = True
            try:
                event = event_from_row(row)
            except (ValueError, TypeError, IndexError) as error:
                raise JournalError(path, f"event {seq}: {error}") from error
        if event is not None:
            yield JournalEntry(seq, event, effects, False)

    def _header(self, path: Path) -> JournalHeader:
        reader = FrameReader(path)
        for block in reader:
            return JournalHeader.from_json(_parse(path, block.partition(b"\n")[0]), path)
        raise JournalError(path, str(reader.lost_tail or "the file is empty"))

    def _rows(self) -> Iterator[tuple[Path, list[object]]]:
        part = self.header.part
        for path in self._paths:
            reader = FrameReader(path)
            first = True
            for block in reader:
                rows = _parse(path, b"[" + block[:-1].replace(b"\n", b",") + b"]")
                if first and not self._follows(path, rows.pop(0), part):
                    return
                first = False
                for row in rows:
                    if not isinstance(row, list):
                        raise JournalError(path, f"expected a row, found {row!r}"[:200])
                    yield path, row
            if reader.lost_tail is not None:
                self.lost_tail = reader.lost_tail
                return
            part += 1

    def _follows(self, path: Path, value: object, part: int) -> bool:
        header = JournalHeader.from_json(value, path)
        if header.run_id != self.header.run_id:
            reason = f"expected run {self.header.run_id}, found {header.run_id}"
            raise JournalError(path, reason)
        if header.part != part:
            reason = f"segment {part} is missing"
            self.lost_tail = LostTail(str(path), 0, path.stat().st_size, reason)
            return False
        return True


def _parse(path: Path, text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise JournalError(path, f"not JSON: {error}") from error


def _trailer(path: Path, row: list[object]) -> JournalTrailer:
    match row:
        case [_, int(events), int(effects), str(digest)]:
            return JournalTrailer(events, effects, digest)
    raise JournalError(path, f"expected a trailer, found {row!r}"[:200])


def read_journal(path: Path | str | Sequence[Path]) -> JournalReader:
    """The journal of a run folder, of one segment, or of several in the order given."""
    if isinstance(path, (str, Path)):
        path = Path(path)
        paths = segments_of(path, STEM) if path.is_dir() else [path]
        if not paths:
            raise JournalError(path, "no journal segments (journal-000001.jsonl.zst) in it")
        return JournalReader(paths)
    return JournalReader(path)


def prune_runs(data_dir: Path, keep: int) -> list[Path]:
    """Remove the journals of all runs but the newest `keep`; 0 keeps all. Returns the folders.

    A run is a folder directly in `data_dir` with journal segments; its age is that of its newest
    segment. A run with a raw recording is kept, and not counted: recordings are wanted for good.
    Only segments are removed, and the folder when nothing else is in it. A missing
    `data_dir` is no runs; OSError passes through.
    """
    if keep <= 0 or not data_dir.is_dir():
        return []
    runs: list[tuple[int, str, Path, list[Path]]] = []
    for folder in data_dir.iterdir():
        if folder.is_symlink() or not folder.is_dir():
            continue
        files = segments_of(folder, STEM)
        if files and not segments_of(folder, RECORDING_STEM):
            newest = max(file.stat().st_mtime_ns for file in files)
            runs.append((newest, folder.name, folder, files))
    runs.sort(reverse=True)
    removed = []
    for _, _, folder, files in runs[keep:]:
        for file in files:
            file.unlink()
        if not any(folder.iterdir()):
            folder.rmdir()
        removed.append(folder)
    return removed
