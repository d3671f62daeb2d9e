"""Raw captures: every frame as it was received, one JSON line each (docs/captures.md).

The first line is the header, then one line a frame (`frame`, or `frame_b64` when it is no UTF-8) or
event (`event`), numbered by `ingest_seq` without holes. Plain, or zstd frames that are readable on
their own, so that a torn end loses only what was being written.
"""

import base64
import binascii
import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

import attrs
import orjson
import zstandard

from polytrade.core.events import Event, event_from_row
from polytrade.errors import ConfigError, Problem
from polytrade.segments import FrameReader, LostTail

VERSION: Final = 1
EVENT_SOURCE: Final = "event"
"""The source of records that hold an event instead of a frame."""
BATCH_ROWS: Final = 4096
"""Rows of one zstd frame: about 2.5 MB of market data, what a torn end can cost at most."""
HOLES_MAX: Final = 1000
"""Holes told one by one; further ones are only counted."""
ZSTD_LEVEL: Final = 10
"""For captures written once and kept: a third smaller than the recorder's level 1."""


class CaptureError(ConfigError):
    """A file that was given as a capture is none, or is one we do not read: `path`, `reason`."""

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(Problem(f"{path}: {reason}"))
        self.path = str(path)
        self.reason = reason


@attrs.frozen
class CaptureRecord:
    """One frame or event of a capture.

    `frame` is the text exactly as received, bytes when it is no UTF-8, None for an event, whose
    journal row is then `event`. `recv_ts_ns` is our wall clock and never decreases.
    """

    ingest_seq: int
    source: str
    source_seq: int
    recv_ts_ns: int
    recv_mono_ns: int
    frame: str | bytes | None = None
    event: tuple[object, ...] | None = None

    def line(self) -> bytes:
        """The record as a line of a capture."""
        if self.event is not None:
            return event_line(
                self.ingest_seq,
                self.source_seq,
                self.recv_ts_ns,
                self.recv_mono_ns,
                list(self.event),
            )
        return frame_line(
            self.ingest_seq,
            self.source,
            self.source_seq,
            self.recv_ts_ns,
            self.recv_mono_ns,
            self.frame or "",
        )

    def to_event(self) -> Event:
        """The event of an event record; ValueError when it is another kind of record."""
        if self.event is None:
            raise ValueError(f"record {self.ingest_seq}: expected an event, found a frame")
        return event_from_row(list(self.event))


def frame_line(
    ingest_seq: int,
    source: str,
    source_seq: int,
    recv_ts_ns: int,
    recv_mono_ns: int,
    frame: str | bytes,
) -> bytes:
    """The line of a frame, with the SHA-256 of its bytes; base64 when it is no UTF-8."""
    name, text = "frame", frame
    try:
        if isinstance(frame, bytes):
            raw, text = frame, frame.decode()
        else:
            raw = frame.encode()
    except UnicodeError:
        raw = frame if isinstance(frame, bytes) else frame.encode(errors="surrogatepass")
        name, text = "frame_b64", base64.b64encode(raw).decode()
    record = {
        "ingest_seq": ingest_seq,
        "source": source,
        "source_seq": source_seq,
        "recv_ts_ns": recv_ts_ns,
        "recv_mono_ns": recv_mono_ns,
        "sha256": hashlib.sha256(raw).hexdigest(),
        name: text,
    }
    return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)


def event_line(
    ingest_seq: int, source_seq: int, recv_ts_ns: int, recv_mono_ns: int, row: list[object]
) -> bytes:
    """The line of an event, given as its journal row."""
    record = {
        "ingest_seq": ingest_seq,
        "source": EVENT_SOURCE,
        "source_seq": source_seq,
        "recv_ts_ns": recv_ts_ns,
        "recv_mono_ns": recv_mono_ns,
        "event": row,
    }
    return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)


@attrs.frozen
class CaptureHeader:
    """What a capture says of itself; `generated` marks data no venue ever sent."""

    created: str
    run_id: str
    generated: bool = False
    note: str = ""
    part: int = 1

    def line(self) -> bytes:
        """The first line of the file."""
        body = {"polytrade_capture": VERSION, **attrs.asdict(self)}
        return orjson.dumps(body, option=orjson.OPT_APPEND_NEWLINE)


@attrs.define
class CaptureLosses:
    """What of a capture could not be had, complete once it has been read to its end.

    `holes` are (first missing `ingest_seq`, how many), at most `HOLES_MAX` of them; `missing` is
    their sum and counts beyond that. `damaged` lines were unreadable or failed their SHA-256.
    """

    tails: list[LostTail] = attrs.field(factory=list)
    holes: list[tuple[int, int]] = attrs.field(factory=list)
    missing: int = 0
    damaged: int = 0

    def __bool__(self) -> bool:
        return bool(self.tails or self.missing or self.damaged)

    def __str__(self) -> str:
        parts = [str(tail) for tail in self.tails]
        if self.missing:
            parts.append(f"{self.missing} records missing in {len(self.holes)} holes")
        if self.damaged:
            parts.append(f"{self.damaged} damaged records left out")
        return "; ".join(parts) or "nothing lost"


class CaptureReader:
    """The records of a capture, or of the numbered parts of one, in the order they were written.

    Reads again each time it is iterated. A torn tail, a hole in `ingest_seq` and a damaged line
    end up in `losses` and cost only themselves. Raises CaptureError when a file is no capture;
    OSError passes through.
    """

    def __init__(self, *paths: Path) -> None:
        if not paths:
            raise ValueError("expected at least one path")
        self.paths: Sequence[Path] = paths
        self.losses = CaptureLosses()
        self.header = read_header(paths[0])

    def __iter__(self) -> Iterator[CaptureRecord]:
        self.losses = losses = CaptureLosses()
        expected = 0
        for path in self.paths:
            for record in self._records(path):
                if expected and record.ingest_seq > expected:
                    losses.missing += record.ingest_seq - expected
                    if len(losses.holes) < HOLES_MAX:
                        losses.holes.append((expected, record.ingest_seq - expected))
                expected = record.ingest_seq + 1
                yield record

    def _records(self, path: Path) -> Iterator[CaptureRecord]:
        header = read_header(path)
        if header.run_id != self.header.run_id:
            reason = f"expected a part of run {self.header.run_id}, found run {header.run_id}"
            raise CaptureError(path, reason)
        reader = FrameReader(path)
        first = True
        for block in reader:
            for line in block.splitlines():
                if first:
                    first = False
                    continue
                record = _record(line)
                if record is None:
                    self.losses.damaged += 1
                else:
                    yield record
        if reader.lost_tail is not None:
            self.losses.tails.append(reader.lost_tail)


def read_header(path: Path) -> CaptureHeader:
    """The header of a capture file; CaptureError when it does not begin with one."""
    for block in FrameReader(path):
        try:
            body = orjson.loads(block.partition(b"\n")[0])
        except orjson.JSONDecodeError:
            break
        if not isinstance(body, dict) or "polytrade_capture" not in body:
            break
        if body["polytrade_capture"] != VERSION:
            reason = f"expected capture version {VERSION}, found {body['polytrade_capture']!r}"
            raise CaptureError(path, reason)
        return CaptureHeader(
            str(body.get("created", "")),
            str(body.get("run_id", "")),
            body.get("generated") is True,
            str(body.get("note", "")),
            body["part"] if isinstance(body.get("part"), int) else 1,
        )
    raise CaptureError(path, "expected a capture, found no polytrade_capture header")


def _record(line: bytes) -> CaptureRecord | None:
    """The record of a line; None when it is damaged."""
    try:
        body: dict[str, Any] = orjson.loads(line)
        frame: str | bytes | None = body.get("frame")
        if "frame_b64" in body:
            frame = base64.b64decode(body["frame_b64"], validate=True)
        row = body.get("event")
        record = CaptureRecord(
            body["ingest_seq"],
            body["source"],
            body["source_seq"],
            body["recv_ts_ns"],
            body["recv_mono_ns"],
            frame,
            None if row is None else tuple(row),
        )
    except (KeyError, TypeError, ValueError, AttributeError, binascii.Error):
        return None
    numbers = (record.ingest_seq, record.source_seq, record.recv_ts_ns, record.recv_mono_ns)
    if not all(type(number) is int for number in numbers) or not isinstance(record.source, str):
        return None
    if row is not None:
        return record
    if not isinstance(frame, (str, bytes)):
        return None
    raw = frame if isinstance(frame, bytes) else frame.encode()
    return record if hashlib.sha256(raw).hexdigest() == body.get("sha256") else None


def write_capture(path: Path, header: CaptureHeader, records: Iterable[CaptureRecord]) -> int:
    """Write a capture in one piece, zstd when the name ends in `.zst`; returns the records written.

    The file appears under its name only when complete, and the last of two writers wins. OSError
    passes through and leaves nothing.
    """
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with unfinished.open("wb") as file:
            count = _write_lines(file, header, records, packed=path.suffix == ".zst")
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except BaseException:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        raise
    return count


def _write_lines(
    file: BinaryIO, header: CaptureHeader, records: Iterable[CaptureRecord], *, packed: bool
) -> int:
    compressor = zstandard.ZstdCompressor(
        level=ZSTD_LEVEL, write_checksum=True, write_content_size=True
    )

    def put(text: bytes) -> None:
        file.write(compressor.compress(text) if packed else text)

    put(header.line())
    count = 0
    batch: list[bytes] = []
    for record in records:
        batch.append(record.line())
        count += 1
        if len(batch) >= BATCH_ROWS:
            put(b"".join(batch))
            batch.clear()
    if batch:
        put(b"".join(batch))
    return count
