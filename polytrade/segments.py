"""Record files on disk: JSON lines in independent zstd frames, cut into numbered segments.

The journal and the raw recorder write through this; a reader loses at most the frame that was
being written when the power went. Everything here is synchronous and reads no clock.
"""

import contextlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final, Protocol

import attrs
import zstandard

ZSTD_LEVEL: Final = 1
"""7.5 times smaller at 700 MB/s; higher levels gain a few percent and cost the tick latency."""
FRAME_ROWS_MAX: Final = 4096
"""Rows of one zstd frame: a backlog becomes several, so that a reader's memory stays small."""
FRAME_BYTES_MAX: Final = 256 * 1024 * 1024
"""Uncompressed bytes a reader accepts of one frame: 4096 rows of 64 KiB, the largest known."""
CHUNK_BYTES: Final = 64 * 1024
"""Read at once: several frames (a few KiB each), without copying their tail too often."""
ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"


class JournalError(Exception):
    """A record file could not be written or is not what it should be: `path` and `reason`."""

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(str(path), reason)
        self.path = str(path)
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class SegmentFile(Protocol):
    """One segment being written: append only, cut back after a failed write."""

    def write(self, data: bytes) -> None:
        """Append all of `data`; OSError may leave part of it behind."""

    def truncate(self, size: int) -> None:
        """Cut the file back to `size` bytes."""

    def sync(self) -> None:
        """Return when everything written is on the disk."""

    def close(self) -> None:
        """Give the file back."""


class DiskFile:
    """A new file, opened for appending; FileExistsError when there is one of that name."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        _sync_folder(path.parent)

    def write(self, data: bytes) -> None:
        """Append all of `data`, however many system calls that takes."""
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]

    def truncate(self, size: int) -> None:
        """Cut the file back to `size` bytes; the next write appends there."""
        os.ftruncate(self._fd, size)

    def sync(self) -> None:
        """fdatasync, or fsync where the system has no such call."""
        getattr(os, "fdatasync", os.fsync)(self._fd)

    def close(self) -> None:
        """Close the descriptor; a second call does nothing."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)


def _sync_folder(folder: Path) -> None:
    """Make a new name in `folder` survive a power cut, where the file system can do that."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network file systems refuse; the data still sync
            os.fsync(fd)
    finally:
        os.close(fd)


Opener = Callable[[Path], SegmentFile]


class SegmentWriter:
    """Appends batches of lines, whole or not at all, to `<folder>/<stem>-000001.jsonl.zst`, ...

    Every segment begins with the line `header(part)`. A batch that fails (JournalError) can be
    given again: what its failed write left behind is cut off first. Not for two threads at once.
    """

    def __init__(
        self,
        folder: Path,
        stem: str,
        header: Callable[[int], bytes],
        *,
        segment_bytes: int,
        opener: Opener = DiskFile,
    ) -> None:
        self.folder = folder
        self.part = 0
        self.bytes_written = 0
        self._stem = stem
        self._header = header
        self._segment_bytes = segment_bytes
        self._opener = opener
        self._compressor = zstandard.ZstdCompressor(
            level=ZSTD_LEVEL, write_checksum=True, write_content_size=True
        )
        self._file: SegmentFile | None = None
        self._good = 0
        self._raw = 0
        self._dirty = False

    def path(self, part: int) -> Path:
        """Where segment `part` is or will be."""
        return self.folder / f"{self._stem}-{part:06d}.jsonl.zst"

    def write(self, lines: Sequence[bytes]) -> None:
        """Append these lines (each ending in a newline); with none, only make sure of a segment."""
        try:
            self._write(lines)
        except OSError as error:
            raise JournalError(self.path(max(self.part, 1)), _os_reason(error)) from error

    def sync(self) -> None:
        """Return when everything written is on the disk."""
        try:
            if self._file is not None:
                self._file.sync()
        except OSError as error:
            raise JournalError(self.path(self.part), _os_reason(error)) from error

    def close(self) -> None:
        """Sync and close the segment; a later write begins a new one."""
        try:
            self._end_segment()
        except OSError as error:
            raise JournalError(self.path(self.part), _os_reason(error)) from error

    def _write(self, lines: Sequence[bytes]) -> None:
        if self._file is not None and self._raw >= self._segment_bytes:
            self._end_segment()
        if self._file is None:
            self._file = self._opener(self.path(self.part + 1))
            self.part += 1
            self._good = self._raw = 0
        file = self._file
        if self._dirty:
            file.truncate(self._good)
            self._dirty = False
        payload, raw = self._frames(lines)
        if not payload:
            return
        self._dirty = True
        file.write(payload)
        self._dirty = False
        self._good += len(payload)
        self._raw += raw
        self.bytes_written += len(payload)

    def _frames(self, lines: Sequence[bytes]) -> tuple[bytes, int]:
        frames = []
        raw = 0
        if self._good == 0:
            frames.append(self._compressor.compress(self._header(self.part)))
        for start in range(0, len(lines), FRAME_ROWS_MAX):
            text = b"".join(lines[start : start + FRAME_ROWS_MAX])
            raw += len(text)
            frames.append(self._compressor.compress(text))
        return b"".join(frames), raw

    def _end_segment(self) -> None:
        file = self._file
        if file is None:
            return
        if self._dirty:
            file.truncate(self._good)
            self._dirty = False
        file.sync()
        self._file = None
        file.close()


def _os_reason(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__


@attrs.frozen
class LostTail:
    """What of a record file cannot be read: from byte `offset` of `path`, `size` bytes."""

    path: str
    offset: int
    size: int
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.size} bytes from offset {self.offset} lost ({self.reason})"


class FrameReader:
    """The blocks of lines of one record file, plain or zstd, up to the first damage.

    Iterating gives bytes that end in a newline: one block a zstd frame, or a chunk of a plain
    file. A frame counts only when it is whole and its checksum fits. After the last block
    `lost_tail` says what was left over; OSError passes through.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lost_tail: LostTail | None = None

    def __iter__(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            magic = file.read(len(ZSTD_MAGIC))
            file.seek(0)
            if ZSTD_MAGIC.startswith(magic) and magic:
                yield from self._frames(file)
            else:
                yield from self._plain(file)

    def _frames(self, file: BinaryIO) -> Iterator[bytes]:
        start = 0
        data = b""
        while data or (data := file.read(CHUNK_BYTES)):
            decoder = zstandard.ZstdDecompressor().decompressobj()
            parts: list[bytes] = []
            seen = size = 0
            while data:
                try:
                    part = decoder.decompress(data)
                except zstandard.ZstdError as error:
                    self._lose(start, f"damaged frame: {error}")
                    return
                seen += len(data)
                size += len(part)
                parts.append(part)
                if size > FRAME_BYTES_MAX:
                    self._lose(start, f"frame larger than {FRAME_BYTES_MAX} bytes")
                    return
                data = decoder.unused_data if decoder.eof else file.read(CHUNK_BYTES)
                if decoder.eof:
                    break
            if not decoder.eof:
                self._lose(start, "the last frame is cut off")
                return
            start += seen - len(data)
            block = b"".join(parts)
            if block:
                yield block if block.endswith(b"\n") else block + b"\n"

    def _plain(self, file: BinaryIO) -> Iterator[bytes]:
        rest = b""
        offset = 0
        while chunk := file.read(CHUNK_BYTES):
            whole, newline, rest = (rest + chunk).rpartition(b"\n")
            if newline:
                offset += len(whole) + 1
                yield whole + newline
        if rest:
            self._lose(offset, "the last line is cut off")

    def _lose(self, offset: int, reason: str) -> None:
        size = self.path.stat().st_size - offset
        self.lost_tail = LostTail(str(self.path), offset, size, reason)


def segments_of(folder: Path, stem: str) -> list[Path]:
    """The segments `<stem>-<number>.jsonl[.zst]` of a folder in the order they were written."""
    pattern = re.compile(rf"{re.escape(stem)}-(\d{{6,}})\.jsonl(\.zst)?")
    found = [
        (int(match[1]), path)
        for path in folder.iterdir()
        if (match := pattern.fullmatch(path.name)) and path.is_file()
    ]
    return [path for _, path in sorted(found)]
