"""The raw recorder: every frame as received and every event of our own, in ingest order.

It records from the begin of a run, or from a reload on: its file is made with the first record.
A disk that is slow or full never stops trading: frames go, counted, and the hole in `ingest_seq`
proves it in the recording itself.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import attrs

from polytrade.captures import CaptureHeader, event_line, frame_line
from polytrade.config import Latency
from polytrade.core.events import Event
from polytrade.runtime.diskqueue import DiskQueue, QueueStats
from polytrade.runtime.inbox import RecorderTap
from polytrade.segments import DiskFile, JournalError, Opener, SegmentFile, SegmentWriter

STEM: Final = "raw"
MB: Final = 1_000_000
LATE: Final = "begun by a reload: what the run knew before is not in it"


def _nothing() -> None:
    return None


def _ignore(_error: JournalError) -> None:
    return None


class Recorder(RecorderTap):
    """Writes a run's raw recording to `<data_dir>/<run_id>/raw-000001.jsonl.zst`, ...

    `frame` and `event` are the inbox's tap: synchronous, they never wait and never raise. `lost`
    counts records that are not in the recording.
    """

    def __init__(
        self,
        data_dir: Path,
        run_id: str,
        created: str,
        latency: Latency,
        *,
        segment_mb: int,
        note: str = "",
        on_failure: Callable[[JournalError], None] = _ignore,
        on_recovered: Callable[[], None] = _nothing,
        opener: Opener = DiskFile,
        begin: bool = True,
    ) -> None:
        """Begin the recording; JournalError when the disk does not take the first segment.

        Unless `begin`: then it is the first `tap` that does, and nothing is written before.
        """
        self._header = CaptureHeader(created, run_id, note=note)

        def line(part: int) -> bytes:
            return attrs.evolve(self._header, part=part).line()

        def opened(path: Path) -> SegmentFile:
            path.parent.mkdir(parents=True, exist_ok=True)
            return opener(path)

        self.lost = 0
        self.records = 0
        self.begun = begin
        writer = SegmentWriter(
            data_dir / run_id, STEM, line, segment_bytes=segment_mb * MB, opener=opened
        )
        if begin:
            writer.write([])
        self._queue = DiskQueue(writer, latency, on_failure=on_failure, on_recovered=on_recovered)

    def tap(self, on: bool) -> "Recorder | None":
        """Whom the inbox is to tell from now on: this recorder, or nobody.

        The header of a recording that did not begin with its run says so.
        """
        if on and not self.begun:
            self.begun = True
            self._header = attrs.evolve(self._header, note=LATE)
        return self if on else None

    def frame(
        self,
        ingest_seq: int,
        source: str,
        source_seq: int,
        ts_ns: int,
        mono_ns: int,
        frame: str | bytes,
    ) -> None:
        """Queue a frame; lost (counted) when the disk is behind by the queue's capacity."""
        if self._queue.open_for_data():
            self._add(frame_line(ingest_seq, source, source_seq, ts_ns, mono_ns, frame))
        else:
            self.lost += 1

    def event(
        self, ingest_seq: int, source_seq: int, ts_ns: int, mono_ns: int, event: Event
    ) -> None:
        """Queue an event of our own; lost only beyond the queue's hard limit."""
        self._add(event_line(ingest_seq, source_seq, ts_ns, mono_ns, event.row()))

    @property
    def failed(self) -> JournalError | None:
        """What the disk last refused with, until it takes records again."""
        return self._queue.failed

    def configure(self, latency: Latency) -> None:
        """Take over changed settings; records already in memory stay."""
        self._queue.configure(latency)

    async def run(self) -> None:
        """Write batches until cancelled; what is left then is for `close` or `close_now`."""
        await self._queue.run()

    async def close(self) -> bool:
        """Write the rest, sync, close; False when the disk refused. Shield and bound it outside."""
        return await self._queue.close()

    def close_now(self) -> bool:
        """`close` for a crash: synchronous, tries once; False when the disk refused."""
        return self._queue.close_now()

    def statistics(self) -> QueueStats:
        """Depth and waits of the queue."""
        return self._queue.statistics()

    def _add(self, line: bytes) -> None:
        if self._queue.add(line):
            self.records += 1
        else:
            self.lost += 1
