"""Reading foreign capture files, packed or plain, by line."""

import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

import orjson
import zstandard

from polytrade.captures import CaptureError

HEAD_BYTES: Final = 65_536
"""Read to recognise a layout: the first line of every known one fits, books of 48 kB included."""

DAMAGE: Final = (EOFError, gzip.BadGzipFile, zlib.error, zstandard.ZstdError)
"""What reading a torn or altered packed file raises."""


def open_plain(path: Path) -> BinaryIO:
    """The file's bytes, unpacked when it is gzip or zstd."""
    with path.open("rb") as file:
        magic = file.read(4)
    if magic[:2] == b"\x1f\x8b":
        return io.BufferedReader(gzip.open(path, "rb"))
    if magic == b"\x28\xb5\x2f\xfd":
        raw = path.open("rb")
        reader = zstandard.ZstdDecompressor().stream_reader(
            raw, read_across_frames=True, closefd=True
        )
        return io.BufferedReader(reader)
    return path.open("rb")


def head_of(path: Path) -> bytes:
    """The first bytes of the file, unpacked, without white space before them."""
    try:
        with open_plain(path) as file:
            return file.read(HEAD_BYTES).lstrip()
    except DAMAGE as error:
        raise CaptureError(path, f"damaged file: {error}") from error


def first_json(head: bytes) -> Any:
    """The JSON of the first line, None when that line is none."""
    try:
        return orjson.loads(head.partition(b"\n")[0])
    except orjson.JSONDecodeError:
        return None


def lines_of(path: Path) -> Iterator[bytes]:
    """Its lines, stripped, without empty ones; CaptureError where a packed file is damaged."""
    try:
        with open_plain(path) as file:
            for line in file:
                text = line.strip()
                if text:
                    yield text
    except DAMAGE as error:
        raise CaptureError(path, f"damaged file: {error}") from error


def objects_of(path: Path) -> Iterator[dict[str, Any]]:
    """Its lines as JSON objects; CaptureError names the first line that is none."""
    for number, line in enumerate(lines_of(path), 1):
        try:
            body = orjson.loads(line)
        except orjson.JSONDecodeError:
            raise CaptureError(path, f"line {number}: expected JSON, found {line!r:.80}") from None
        if not isinstance(body, dict):
            raise CaptureError(path, f"line {number}: expected an object, found {line!r:.80}")
        yield body
