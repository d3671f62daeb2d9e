"""The raw recording: what was received is what is on the disk, or provably missing."""

import errno
import os
from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest

from polytrade.captures import CaptureReader
from polytrade.config import Latency
from polytrade.core import events as ev
from polytrade.runtime.diskqueue import HARD_LIMIT_FACTOR
from polytrade.runtime.inbox import Clock, Inbox
from polytrade.runtime.recorder import Recorder
from polytrade.segments import DiskFile, FrameReader, JournalError, segments_of

CAPACITY = 256


def recorder(tmp_path: Path, **options: Any) -> Recorder:
    latency = attrs.evolve(Latency(), io_queue_capacity=CAPACITY)
    return Recorder(
        tmp_path, "run-a", "2026-01-02T03:04:05Z", latency, **{"segment_mb": 1, **options}
    )


def records(tmp_path: Path) -> list[dict[str, Any]]:
    lines: list[bytes] = []
    for path in segments_of(tmp_path / "run-a", "raw"):
        lines.extend(b"".join(FrameReader(path)).splitlines())
    return [orjson.loads(line) for line in lines]


@pytest.mark.parametrize("frame", ['{"a": "\u00fc\\n 1.50"}', "", b"\xff\x00{", "\ud800"])
async def test_recorded_frame_reads_back_exactly(tmp_path: Path, frame: str | bytes) -> None:
    tap = recorder(tmp_path)
    tap.frame(7, "binance/0", 3, 100, 50, frame)
    assert await tap.close()
    reader = CaptureReader(*segments_of(tmp_path / "run-a", "raw"))
    (record,) = reader
    assert (record.ingest_seq, record.source, record.source_seq) == (7, "binance/0", 3)
    assert (record.recv_ts_ns, record.recv_mono_ns) == (100, 50)
    expected = frame if frame != "\ud800" else frame.encode(errors="surrogatepass")
    assert record.frame == expected
    assert not reader.losses


async def test_inbox_is_recorded_in_ingest_order(tmp_path: Path) -> None:
    tap = recorder(tmp_path, note="test")
    inbox = Inbox(Clock(lambda: 5_000, lambda: 100), 256, recorder=tap)
    inbox.put(ev.FeedUp(5_000, "binance/0"))
    inbox.put_frame("binance/0", "ack", 5_000, [])
    inbox.put_frame("binance/0", "{}", 5_000, [ev.ReferenceTicked(5_000, "BTC", "b", 0, 1, 0)])
    assert await tap.close()
    head, *rest = records(tmp_path)
    assert head == {
        "polytrade_capture": 1,
        "created": "2026-01-02T03:04:05Z",
        "run_id": "run-a",
        "generated": False,
        "note": "test",
        "part": 1,
    }
    assert [
        (row["ingest_seq"], row["source"], row["source_seq"], row["recv_mono_ns"]) for row in rest
    ] == [(1, "event", 1, 100), (2, "binance/0", 1, 100), (3, "binance/0", 2, 100)]
    assert rest[0]["event"] == ["feed_up", 5_000, "binance/0"]
    assert [row["frame"] for row in rest[1:]] == ["ack", "{}"]
    assert (tap.records, tap.lost) == (3, 0)


async def test_frames_go_when_the_disk_is_behind_and_the_hole_proves_it(tmp_path: Path) -> None:
    tap = recorder(tmp_path)
    for n in range(1, CAPACITY + 3):
        tap.frame(n, "binance/0", n, n, n, "{}")
    tap.event(CAPACITY + 3, 1, 9, 9, ev.PauseSet(9, True))
    assert (tap.records, tap.lost) == (CAPACITY + 1, 2)
    assert await tap.close()
    seqs = [row["ingest_seq"] for row in records(tmp_path)[1:]]
    assert seqs == [*range(1, CAPACITY + 1), CAPACITY + 3]


def test_events_go_only_at_the_hard_limit(tmp_path: Path) -> None:
    tap = recorder(tmp_path)
    for n in range(1, CAPACITY * HARD_LIMIT_FACTOR + 3):
        tap.event(n, n, n, n, ev.ClockTicked(n))
    assert (tap.records, tap.lost) == (CAPACITY * HARD_LIMIT_FACTOR, 2)
    assert tap.close_now()
    assert len(records(tmp_path)) == 1 + CAPACITY * HARD_LIMIT_FACTOR


class Full(DiskFile):
    """A disk that takes only the header until there is room."""

    room = False

    def write(self, data: bytes) -> None:
        if self._begun and not Full.room:
            super().write(data[:10])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._begun = True
        super().write(data)

    _begun = False


async def test_full_disk_is_told_once_and_raises_nothing_into_the_feeds(tmp_path: Path) -> None:
    told: list[JournalError] = []
    recovered: list[int] = []
    tap = recorder(
        tmp_path,
        opener=Full,
        on_failure=told.append,
        on_recovered=lambda: recovered.append(1),
    )
    tap.frame(1, "binance/0", 1, 1, 1, "{}")
    assert not await tap.close()
    tap.frame(2, "binance/0", 2, 2, 2, "{}")
    assert not await tap.close()
    assert [error.reason for error in told] == ["No space left on device"]
    assert tap.failed is told[0]
    Full.room = True
    try:
        assert await tap.close()
    finally:
        Full.room = False
    assert (recovered, tap.failed, tap.lost) == ([1], None, 0)
    assert [row["ingest_seq"] for row in records(tmp_path)[1:]] == [1, 2]


def test_recording_that_cannot_be_begun_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "run-a").write_text("")
    with pytest.raises(JournalError, match="run-a"):
        recorder(tmp_path)
