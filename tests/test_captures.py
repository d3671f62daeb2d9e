"""Our raw capture format: round trips, torn tails, holes and damage."""

import orjson
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from polytrade.captures import (
    CaptureError,
    CaptureHeader,
    CaptureReader,
    CaptureRecord,
    event_line,
    frame_line,
    read_header,
    write_capture,
)
from polytrade.core.events import FeedUp

TS = 1_790_000_000_000_000_000
HEADER = CaptureHeader("2026-11-22T12:00:00Z", "run-1", True, "invented")


def record(seq, frame='{"a":1}', source="polymarket.market/0"):
    return CaptureRecord(seq, source, seq, TS + seq, 1000 + seq, frame)


def event(seq):
    row = tuple(FeedUp(TS + seq, "gamma/0").row())
    return CaptureRecord(seq, "event", seq, TS + seq, 1000 + seq, None, row)


RECORDS = [record(1), event(2), record(3, b"\xff\x00"), record(4, ""), record(5, "PONG é")]


@pytest.mark.parametrize("name", ["raw.jsonl", "raw.jsonl.zst"])
def test_what_is_written_is_read_back(tmp_path, name):
    path = tmp_path / name
    assert write_capture(path, HEADER, RECORDS) == 5
    reader = CaptureReader(path)
    assert reader.header == HEADER
    assert list(reader) == RECORDS
    assert list(reader) == RECORDS
    assert not reader.losses
    assert str(reader.losses) == "nothing lost"
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_the_format_of_the_lines():
    assert orjson.loads(HEADER.line()) == {
        "polytrade_capture": 1,
        "created": "2026-11-22T12:00:00Z",
        "run_id": "run-1",
        "generated": True,
        "note": "invented",
        "part": 1,
    }
    assert frame_line(7, "gamma/0", 3, TS, 9, "[]") == (
        b'{"ingest_seq":7,"source":"gamma/0","source_seq":3,"recv_ts_ns":1790000000000000000,'
        b'"recv_mono_ns":9,'
        b'"sha256":"4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945",'
        b'"frame":"[]"}\n'
    )
    assert orjson.loads(frame_line(7, "x/0", 3, TS, 9, b"\xff"))["frame_b64"] == "/w=="
    assert orjson.loads(event_line(8, 1, TS, 9, ["feed_up", TS, "gamma/0"])) == {
        "ingest_seq": 8,
        "source": "event",
        "source_seq": 1,
        "recv_ts_ns": TS,
        "recv_mono_ns": 9,
        "event": ["feed_up", TS, "gamma/0"],
    }


def test_events_come_back_as_events():
    assert event(2).to_event() == FeedUp(TS + 2, "gamma/0")
    with pytest.raises(ValueError, match="record 1: expected an event, found a frame"):
        record(1).to_event()


@given(st.lists(st.text(max_size=20) | st.binary(max_size=20), max_size=5))
def test_any_frame_survives_its_line(tmp_path_factory, frames):
    path = tmp_path_factory.mktemp("capture") / "c.jsonl"
    write_capture(path, HEADER, [record(seq, frame) for seq, frame in enumerate(frames, 1)])
    read = [each.frame for each in CaptureReader(path)]
    assert [as_bytes(frame) for frame in read] == [as_bytes(frame) for frame in frames]


def as_bytes(frame):
    return frame if isinstance(frame, bytes) else frame.encode()


def frames_of(*batches):
    compress = zstandard.ZstdCompressor(write_checksum=True).compress
    return [compress(HEADER.line()), *[compress(b"".join(r.line() for r in b)) for b in batches]]


def test_a_torn_zstd_tail_costs_only_its_last_frame(tmp_path):
    path = tmp_path / "raw.jsonl.zst"
    frames = frames_of(RECORDS[:2], RECORDS[2:])
    path.write_bytes(b"".join(frames)[:-3])
    reader = CaptureReader(path)
    assert list(reader) == RECORDS[:2]
    assert [tail.size for tail in reader.losses.tails] == [len(frames[2]) - 3]
    assert "cut off" in str(reader.losses)


def test_a_torn_plain_line_costs_only_itself(tmp_path):
    path = tmp_path / "raw.jsonl"
    lines = [HEADER.line(), *[each.line() for each in RECORDS[:3]]]
    path.write_bytes(b"".join(lines)[:-5])
    reader = CaptureReader(path)
    assert list(reader) == RECORDS[:2]
    assert len(reader.losses.tails) == 1


def test_a_hole_in_the_numbers_is_told(tmp_path):
    path = tmp_path / "raw.jsonl"
    write_capture(path, HEADER, [record(1), record(2), record(6), record(9)])
    reader = CaptureReader(path)
    assert [each.ingest_seq for each in reader] == [1, 2, 6, 9]
    assert reader.losses.holes == [(3, 3), (7, 2)]
    assert reader.losses.missing == 5
    assert str(reader.losses) == "5 records missing in 2 holes"


@pytest.mark.parametrize(
    "change",
    [
        lambda line: line.replace(b'"a', b'"b', 1).replace(b'\\"a', b'\\"b', 1),
        lambda line: b"{\n",
        lambda line: b"[]\n",
        lambda line: line.replace(b'"ingest_seq":2', b'"ingest_seq":"2"'),
        lambda line: line.replace(b'"frame"', b'"other"'),
        lambda line: line.replace(b'"frame":"', b'"frame_b64":"!'),
    ],
)
def test_a_damaged_line_is_left_out_and_counted(tmp_path, change):
    path = tmp_path / "raw.jsonl"
    lines = [HEADER.line(), record(1).line(), change(record(2).line()), record(3).line()]
    path.write_bytes(b"".join(lines))
    reader = CaptureReader(path)
    assert [each.ingest_seq for each in reader] == [1, 3]
    assert reader.losses.damaged == 1
    assert reader.losses.missing == 1


def test_parts_of_a_run_are_one_capture(tmp_path):
    first, second = tmp_path / "raw-000001.jsonl", tmp_path / "raw-000002.jsonl.zst"
    write_capture(first, HEADER, [record(1), record(2)])
    write_capture(second, HEADER, [record(4)])
    reader = CaptureReader(first, second)
    assert [each.ingest_seq for each in reader] == [1, 2, 4]
    assert reader.losses.holes == [(3, 1)]


def test_parts_of_another_run_are_refused(tmp_path):
    first, second = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    write_capture(first, HEADER, [record(1)])
    write_capture(second, CaptureHeader("", "run-2"), [record(2)])
    with pytest.raises(CaptureError, match="expected a part of run run-1, found run run-2"):
        list(CaptureReader(first, second))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "found no polytrade_capture header"),
        (b"hello\n", "found no polytrade_capture header"),
        (b'{"polytrade_journal":1}\n', "found no polytrade_capture header"),
        (b'{"polytrade_capture":2}\n', "expected capture version 1, found 2"),
    ],
)
def test_other_files_are_refused(tmp_path, content, reason):
    path = tmp_path / "x.jsonl"
    path.write_bytes(content)
    with pytest.raises(CaptureError, match=reason):
        read_header(path)


def test_a_failed_write_leaves_nothing_behind(tmp_path):
    def records():
        yield record(1)
        raise RuntimeError("source failed")

    with pytest.raises(RuntimeError, match="source failed"):
        write_capture(tmp_path / "c.jsonl.zst", HEADER, records())
    assert list(tmp_path.iterdir()) == []
