"""How other recorders wrote frames down: one reader a layout, in a table docs are made from.

Sniffed from the first bytes, never from the name. A reader yields what the file says and no more:
`importers.py` numbers the records and puts their times in order.
"""

import base64
import csv
import io
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import attrs
import orjson

from polytrade.captures import CaptureError
from polytrade.core.units import MS_NS, parse_scaled
from polytrade.import_files import first_json, head_of, lines_of, objects_of, open_plain
from polytrade.import_sources import MARKET, RTDS, SPOT_HOSTS, binance_source, source_of

DOCUMENT_MAX: Final = 256 * 1024 * 1024
"""Largest file read as one JSON document; captures of this size come a frame a line."""
DOCUMENT_LOOK: Final = 100
"""Elements of a document looked at for a frame we know before it is refused."""
PARQUET_ROWS: Final = 64
"""Rows held of a parquet file at once: 64 books of 3.5 kB, for many files open together."""
UNKNOWN: Final = "unknown/0"
_NS_LINE: Final = re.compile(rb"([0-9]{18,19}) (?=[{\[])")
_S_LINE: Final = re.compile(rb"([0-9]{9,10}(?:\.[0-9]{1,9})?): ")
_URL_LINE: Final = re.compile(
    rb"(wss?://|https?://)(\S+) (<->|<-|->) ([0-9]{9,10}(?:\.[0-9]{1,9})?)(?:: )?"
)
_CSV_CHANGES: Final = ["id", "asset_id", "market", "timestamp", "hash", "changes"]
_CSV_TICKS: Final = ["feed_ts_ms", "value", "full_accuracy_value", "server_ts_ms", "recv_ms"]


class RawFrame(NamedTuple):
    """A frame of a foreign capture; times in ns, None where the layout has none.

    `slack_ns` is how much later than `ts_ns` it may really have come (1 s for whole seconds).
    """

    source: str
    frame: str | bytes
    ts_ns: int | None = None
    mono_ns: int | None = None
    slack_ns: int = 0


def _no_slugs(_path: Path) -> dict[str, str]:
    return {}


class Importer(Protocol):
    """Reads one foreign layout; made by a factory of `polytrade_importers`.

    Optional: `slugs(path) -> dict[str, str]`, names of markets by condition where they stand beside
    the frames.
    """

    looks: str
    """What such a file looks like, for the documentation and for errors."""
    times: str
    """What receive times it has."""
    sources: str
    """What its frames become."""

    def fits(self, head: bytes) -> bool:
        """Whether a file that begins with these bytes is one; must not be true of others."""

    def read(self, path: Path) -> Iterator[RawFrame]:
        """The frames in the file's order; CaptureError for damage that cannot be passed over."""


@attrs.frozen
class Layout:
    """A foreign way to write captures: what it looks like, what times it has, what becomes what.

    `slugs` gives names of markets by condition where they stand beside the frames. A layout that is
    `last` takes many files, and is tried after those of plugins.
    """

    name: str
    looks: str
    times: str
    sources: str
    fits: Callable[[bytes], bool]
    read: Callable[[Path], Iterator[RawFrame]]
    slugs: Callable[[Path], dict[str, str]] = _no_slugs
    last: bool = False


def _has(*names: str) -> Callable[[bytes], bool]:
    """The first line is an object with these keys."""

    def fits(head: bytes) -> bool:
        body = first_json(head)
        return isinstance(body, dict) and all(name in body for name in names)

    return fits


def _text(payload: Any) -> str:
    """A payload as the frame it was: text as it is, a JSON object in compact form."""
    return payload if isinstance(payload, str) else orjson.dumps(payload).decode()


def _captured_at(path: Path) -> Iterator[RawFrame]:
    for body in objects_of(path):
        ts_ns = _scaled(path, body["capturedAt"], 9)
        whole = isinstance(body["capturedAt"], int)
        yield RawFrame(MARKET, _text(body["payload"]), ts_ns, None, 10**9 if whole else 0)


def _multi_source(path: Path) -> Iterator[RawFrame]:
    for body in objects_of(path):
        frame = _text(body["payload"])
        name = body["source"]
        source = source_of(frame) or (f"{name}/0" if isinstance(name, str) else UNKNOWN)
        yield RawFrame(source, frame, int(body["recv_wall_ts"]) * MS_NS, int(body["recv_mono_ns"]))


def _two_clocks(path: Path) -> Iterator[RawFrame]:
    for body in objects_of(path):
        payload = body["payload"]
        frame: str | bytes
        if isinstance(payload, dict) and "_b64" in payload:
            frame = _as_text(base64.b64decode(payload["_b64"]))
        else:
            frame = _text(payload)
        source = {"poly_ws": MARKET, "rtds": RTDS}.get(body["fonte"]) or f"{body['fonte']}/0"
        yield RawFrame(source, frame, int(body["ts_wall_ns"]), int(body["ts_mono_ns"]))


def _as_text(raw: bytes) -> str | bytes:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def _scaled(path: Path, value: object, digits: int) -> int:
    """A number or numeric string scaled; CaptureError when it is none."""
    try:
        return parse_scaled(repr(value) if isinstance(value, float) else str(value), digits)
    except ValueError as error:
        raise CaptureError(path, f"time: {error}") from None


def _ns_lines(path: Path) -> Iterator[RawFrame]:
    source = binance_source(head_of(path))
    for number, line in enumerate(lines_of(path), 1):
        found = _NS_LINE.match(line)
        if found is None:
            reason = f"line {number}: expected `<ns> <json>`, found {line!r:.80}"
            raise CaptureError(path, reason)
        frame = _as_text(line[found.end() :])
        yield RawFrame(source or source_of(frame) or UNKNOWN, frame, int(found[1]))


def _url_lines(path: Path) -> Iterator[RawFrame]:
    """What the recorder itself sent (`<-`) and that it connected (`<->`) are no frames."""
    source = UNKNOWN
    for line in lines_of(path):
        found = _URL_LINE.match(line)
        if found is not None:
            host = found[2].decode(errors="replace").partition("/")[0]
            kind = "rest" if found[1].startswith(b"http") else "ws"
            source = SPOT_HOSTS.get((kind, host), f"{host}/0")
            if found[3] != b"->":
                continue
            seconds, frame = found[4], line[found.end() :]
        else:
            stamp = _S_LINE.match(line)
            if stamp is None:
                raise CaptureError(path, f"expected `<s>: <json>`, found {line!r:.80}")
            seconds, frame = stamp[1], line[stamp.end() :]
        yield RawFrame(source, _as_text(frame), _scaled(path, seconds.decode(), 9))


def _bare_lines(path: Path) -> Iterator[RawFrame]:
    for line in lines_of(path):
        frame = _as_text(line)
        yield RawFrame(source_of(frame) or UNKNOWN, frame)


def _document(path: Path) -> Iterator[RawFrame]:
    """One JSON document: a frame, or an array whose elements are frames."""
    with open_plain(path) as file:
        text = file.read(DOCUMENT_MAX + 1)
    if len(text) > DOCUMENT_MAX:
        raise CaptureError(path, f"expected at most {DOCUMENT_MAX} bytes of JSON, found more")
    try:
        body = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise CaptureError(path, f"expected JSON: {error}") from None
    frames = [orjson.dumps(item).decode() for item in (body if isinstance(body, list) else [body])]
    if not any(source_of(frame) for frame in frames[:DOCUMENT_LOOK]):
        raise CaptureError(path, f"expected frames of a known feed, found {text[:60]!r}")
    for frame in frames:
        yield RawFrame(source_of(frame) or UNKNOWN, frame)


def _csv_rows(path: Path) -> Iterator[dict[str, str]]:
    with open_plain(path) as file, io.TextIOWrapper(file, "utf-8", newline="") as text:
        yield from csv.DictReader(text)


def _csv_fits(columns: list[str]) -> Callable[[bytes], bool]:
    def fits(head: bytes) -> bool:
        line = head.partition(b"\n")[0].decode(errors="replace")
        return [name.strip().strip('"') for name in line.split(",")] == columns

    return fits


def _csv_changes(path: Path) -> Iterator[RawFrame]:
    """A price_change of the format before 2025-09 a row; the time is the venue's."""
    for row in _csv_rows(path):
        try:
            moment = datetime.strptime(row["timestamp"], "%Y-%m-%d %H:%M:%S.%f %z")
            changes = orjson.loads(row["changes"])
        except ValueError as error:
            raise CaptureError(path, f"row {row['id']!r:.20}: {error}") from None
        ms = int(moment.timestamp()) * 1000 + moment.microsecond // 1000
        message = {
            "event_type": "price_change",
            "asset_id": row["asset_id"],
            "market": row["market"],
            "timestamp": str(ms),
            "hash": row["hash"],
            "changes": changes,
        }
        yield RawFrame(MARKET, orjson.dumps(message).decode())


def _csv_ticks(path: Path) -> Iterator[RawFrame]:
    """Chainlink BTC/USD ticks, put back into the envelope they came in."""
    for row in _csv_rows(path):
        try:
            stamps = [int(row[name]) for name in ("feed_ts_ms", "server_ts_ms", "recv_ms")]
        except ValueError as error:
            raise CaptureError(path, f"row {row!r:.80}: {error}") from None
        payload = {
            "symbol": "btc/usd",
            "timestamp": stamps[0],
            "full_accuracy_value": row["full_accuracy_value"],
        }
        message = {
            "topic": "crypto_prices_chainlink",
            "type": "update",
            "timestamp": stamps[1],
            "payload": payload,
        }
        yield RawFrame(RTDS, orjson.dumps(message).decode(), stamps[2] * MS_NS)


def _parquet(path: Path) -> Iterator[RawFrame]:
    for row in _parquet_rows(path, ["timestamp", "raw_data"]):
        ts_ns = _scaled(path, f"{row['timestamp']:.6f}", 9)
        yield RawFrame(MARKET, row["raw_data"], ts_ns)


def _parquet_slugs(path: Path) -> dict[str, str]:
    """The name of the market of the first frame: these files hold one market each."""
    try:
        for row in _parquet_rows(path, ["slug", "raw_data"]):
            return {orjson.loads(row["raw_data"])["market"]: row["slug"]}
    except (CaptureError, KeyError, TypeError, ValueError):
        return {}
    return {}


def _parquet_rows(path: Path, columns: list[str]) -> Iterator[dict[str, Any]]:
    """Rows of these columns; CaptureError without pyarrow or without the columns."""
    try:
        import pyarrow.parquet  # noqa: PLC0415 - optional: only this layout needs it
    except ImportError:
        reason = "expected pyarrow to read parquet, found it not installed (pip install pyarrow)"
        raise CaptureError(path, reason) from None
    with pyarrow.parquet.ParquetFile(path) as file:
        missing = [name for name in columns if name not in file.schema_arrow.names]
        if missing:
            reason = f"expected columns {', '.join(columns)}, found no {', '.join(missing)}"
            raise CaptureError(path, reason)
        for batch in file.iter_batches(PARQUET_ROWS, columns=columns):
            yield from batch.to_pylist()


def _is_document(head: bytes) -> bool:
    """JSON that goes on after its first line, or is a frame we know."""
    return head[:1] in (b"{", b"[") and first_json(head) is None


def _is_bare(head: bytes) -> bool:
    body = first_json(head)
    return body is not None and source_of(head.partition(b"\n")[0]) is not None


LAYOUTS: Final = (
    Layout(
        "capturedAt",
        '`{"capturedAt": s, "payload": {...}}` a line',
        "whole seconds; inside a second the venue's own time",
        "`polymarket.market/0`",
        _has("capturedAt", "payload"),
        _captured_at,
    ),
    Layout(
        "multi-source",
        '`{"source", "recv_wall_ts": ms, "recv_mono_ns", "ingest_seq", "payload": "text"}` a line',
        "ms",
        "by what the payload is; REST books become `clob.book/0`",
        _has("source", "recv_wall_ts", "payload"),
        _multi_source,
    ),
    Layout(
        "two-clocks",
        '`{"ts_mono_ns", "ts_wall_ns", "fonte", "payload": {...} or {"_b64"}}` a line',
        "ns",
        "`poly_ws` is `polymarket.market/0`, `rtds` is `polymarket.rtds/0`",
        _has("ts_wall_ns", "fonte", "payload"),
        _two_clocks,
    ),
    Layout(
        "ns-lines",
        "`<ns> <json>` a line",
        "ns",
        "Binance spot is `binance/0`, its perpetuals `binance.usdm/0`; others by what they are",
        lambda head: _NS_LINE.match(head) is not None,
        _ns_lines,
    ),
    Layout(
        "url-lines",
        "`wss://... <-> <s>`, `wss://... <- <s>: <sent>`, then `<s>: <json>` a line",
        "us",
        "by host; protocols we do not speak any more keep a name of their own",
        lambda head: _URL_LINE.match(head) is not None,
        _url_lines,
    ),
    Layout(
        "price-change-csv",
        "CSV `" + ",".join(_CSV_CHANGES) + "`",
        "none: the venue's own time",
        "`polymarket.market/0`, in the format before September 2025",
        _csv_fits(_CSV_CHANGES),
        _csv_changes,
    ),
    Layout(
        "chainlink-csv",
        "CSV `" + ",".join(_CSV_TICKS) + "`",
        "ms",
        "`polymarket.rtds/0`",
        _csv_fits(_CSV_TICKS),
        _csv_ticks,
    ),
    Layout(
        "parquet",
        "parquet with columns `timestamp` (s) and `raw_data` (the frame); needs pyarrow",
        "us",
        "`polymarket.market/0`",
        lambda head: head.startswith(b"PAR1"),
        _parquet,
        _parquet_slugs,
    ),
    Layout(
        "bare-lines",
        "one frame a line, nothing else",
        "none: the venue's own time, else that of the frame before",
        "by what the frame is",
        _is_bare,
        _bare_lines,
        last=True,
    ),
    Layout(
        "document",
        "one JSON document: a frame, or an array of frames",
        "none: the venue's own time, else that of the frame before",
        "by what the frame is",
        _is_document,
        _document,
        last=True,
    ),
)
"""Tried in this order; the documentation table is generated from it."""


def layout_of(name: str, importer: Importer) -> Layout:
    """The layout that an importer of a plugin reads."""
    slugs = getattr(importer, "slugs", _no_slugs)
    looks, times, sources = importer.looks, importer.times, importer.sources
    return Layout(name, looks, times, sources, importer.fits, importer.read, slugs)
