"""Rows on their way to the disk: bounded in memory, written in batches by a thread.

The loop only appends a line to a list; joining, zstd and the write happen in one thread that holds
the GIL for microseconds. A disk that refuses loses nothing that fits into memory: the same rows
are given again every second until they are taken.
"""

import math
import threading
from collections import deque
from collections.abc import Callable, Sequence
from time import perf_counter_ns
from typing import Final, Protocol

import attrs
import trio

from polytrade.config import Latency
from polytrade.metrics import Quantiles
from polytrade.segments import JournalError

RETRY_S: Final = 1.0
"""Time between attempts on a disk that refuses: long against a write, short against an operator."""
HARD_LIMIT_FACTOR: Final = 2
"""Rows that must not be dropped find room up to this many times the capacity; beyond it they go,
counted, because memory is bounded before anything else."""
RESUME_NUMERATOR: Final = 3
RESUME_DENOMINATOR: Final = 4
"""Dropping ends when the queue is three quarters full again: one RecordsLost row a stall, not one
a record."""
WAITS_KEPT: Final = 1024
"""Batches whose wait is remembered for the p99: over three minutes at the default interval."""
CRASH_LOCK_S: Final = 2.0
"""Longest a crash waits for a write that is under way (p99.9 of fdatasync is 1.4 ms)."""


class RowWriter(Protocol):
    """What writes batches: `segments.SegmentWriter`, or a fake."""

    def write(self, lines: Sequence[bytes]) -> None:
        """Append these lines, all or none (JournalError)."""

    def sync(self) -> None:
        """Return when everything written is on the disk (JournalError)."""

    def close(self) -> None:
        """Sync and close (JournalError)."""


@attrs.frozen
class QueueStats:
    """Where the queue stands: rows waiting, rows written, rows lost, and the longest waits.

    `wait_p99_ms` is over the oldest row of each of the last 1024 batches, an upper bound of what
    a row waits; None before the first batch.
    """

    depth: int
    depth_max: int
    capacity: int
    written: int
    lost: int
    batches: int
    bytes_written: int
    wait_p99_ms: float | None
    failed: str


def _nothing() -> None:
    return None


def _ignore(_error: JournalError) -> None:
    return None


class DiskQueue:
    """A bounded list of encoded rows and the task that writes them.

    `add` is synchronous and never waits. Whether there is room for a row that may be dropped is
    `open_for_data()`; what to do with a lost row is the owner's business (`lost` counts). After a
    write error `failed` holds it and `on_failure` is called once; when the disk takes rows again
    `failed` is None and `on_recovered` is called.
    """

    def __init__(
        self,
        writer: RowWriter,
        latency: Latency,
        *,
        on_failure: Callable[[JournalError], None] = _ignore,
        on_recovered: Callable[[], None] = _nothing,
    ) -> None:
        self.failed: JournalError | None = None
        self.on_failure = on_failure
        self.on_recovered = on_recovered
        self.lost = 0
        self.written = 0
        self.closed = False
        self._writer = writer
        self._pending: list[bytes] = []
        self._inflight: list[bytes] = []
        self._first_ns = self._taken_ns = 0
        self._waits_ns: deque[int] = deque(maxlen=WAITS_KEPT)
        self._batches = 0
        self._bytes = 0
        self._depth_max = 0
        self._dropping = False
        self._limiter = trio.CapacityLimiter(1)
        self._flushing = trio.Lock()
        self._thread_lock = threading.RLock()
        self._some = trio.Event()
        self._enough = trio.Event()
        self._room = trio.Event()
        self.configure(latency)

    def configure(self, latency: Latency) -> None:
        """Take over changed settings; rows already in memory stay."""
        self.capacity = latency.io_queue_capacity
        self.drop_on_full = latency.io_drop_on_full
        self._batch = latency.io_flush_batch
        self._interval_s = latency.io_flush_interval_ms / 1000
        self._easy = self.capacity * RESUME_NUMERATOR // RESUME_DENOMINATOR
        if len(self._pending) >= self._batch:
            self._enough.set()

    @property
    def depth(self) -> int:
        """Rows in memory, those being written included."""
        return len(self._pending) + len(self._inflight)

    @property
    def full(self) -> bool:
        """As many rows as the capacity are in memory."""
        return self.depth >= self.capacity

    def offer(self, line: bytes) -> bool:
        """Queue a row of whatever kind if the queue is no more than three quarters full.

        The quick way, for every event; where it says False, `open_for_data` and `add` decide.
        """
        pending = self._pending
        if len(pending) + len(self._inflight) >= self._easy or self.closed:
            return False
        self._dropping = False
        pending.append(line)
        waiting = len(pending)
        if waiting == 1:
            self._first_ns = perf_counter_ns()
            self._some.set()
        if waiting == self._batch:
            self._enough.set()
        return True

    def open_for_data(self) -> bool:
        """Whether a row that may be dropped is to be taken now."""
        depth = self.depth
        if depth >= self.capacity:
            self._dropping = self.drop_on_full or self.failed is not None
        elif self._dropping:
            keep_dropping = depth * RESUME_DENOMINATOR > self.capacity * RESUME_NUMERATOR
            self._dropping = keep_dropping and (self.drop_on_full or self.failed is not None)
        return not self._dropping

    def add(self, line: bytes, *, last: bool = False) -> bool:
        """Queue a row; False when it is lost (counted): hard limit reached, or queue closed.

        The `last` rows of a file (what is missing, the totals) find room beyond the limit.
        """
        pending = self._pending
        depth = len(pending) + len(self._inflight) + 1
        if self.closed or (depth > self.capacity * HARD_LIMIT_FACTOR and not last):
            self.lost += 1
            return False
        pending.append(line)
        waiting = len(pending)
        if waiting == 1:
            self._first_ns = perf_counter_ns()
            self._some.set()
        if waiting == self._batch:
            self._enough.set()
        return True

    async def wait_room(self) -> None:
        """Return when the queue is below its capacity, or at once while the disk fails: then the
        engine is halted and must go on to take its orders off the book.

        Cancelled while waiting, nothing has changed.
        """
        while self.full and self.failed is None:
            if self._room.is_set():
                self._room = trio.Event()
            await self._room.wait()
        await trio.lowlevel.checkpoint()

    async def run(self) -> None:
        """Write batches until cancelled: at `io_flush_batch` rows or after the flush interval.

        Cancelled during a write, the write is finished first; what is left is in memory, for
        `close` or `close_now`.
        """
        while True:
            await self._some.wait()
            with trio.move_on_after(self._interval_s):
                await self._enough.wait()
            if not await self.flush():
                await trio.sleep(RETRY_S)

    async def flush(self) -> bool:
        """Write what is in memory; False when the disk refused (see `failed`)."""
        async with self._flushing:
            return await self._in_thread(self._write_inflight)

    async def sync(self) -> None:
        """Return when every row added before is on the disk; JournalError when it is not.

        Cancelled, the rows stay queued and are written by `run`.
        """
        async with self._flushing:
            if not await self._in_thread(self._write_and_sync):
                raise self.failed or JournalError("journal", "not written")

    async def close(self) -> bool:
        """Write everything, sync and close; False when the disk refused. Bound it from outside."""
        async with self._flushing:
            self.closed = await self._in_thread(self._write_and_close)
            return self.closed

    def close_now(self) -> bool:
        """`close` for a crash: synchronous, tries once, waits at most 2 s for a write under way."""
        if self.closed:
            return True
        if not self._thread_lock.acquire(timeout=CRASH_LOCK_S):
            return False
        try:
            self._take()
            self._write_and_close()
        except JournalError as error:
            self.failed = error
            return False
        finally:
            self._thread_lock.release()
        self.closed = True
        return True

    def waits(self) -> Quantiles:
        """How long the oldest row of each of the last 1024 batches waited, in ms."""
        waits = sorted(self._waits_ns)
        if not waits:
            return Quantiles()
        p50, p90, p99 = (waits[math.ceil(len(waits) * q) - 1] / 1e6 for q in (0.5, 0.9, 0.99))
        total_ms = sum(waits) / 1e6
        return Quantiles(
            count=len(waits), sum=total_ms, p50=p50, p90=p90, p99=p99, max=waits[-1] / 1e6
        )

    def statistics(self) -> QueueStats:
        """The counts so far."""
        self._depth_max = max(self._depth_max, self.depth)
        return QueueStats(
            self.depth,
            self._depth_max,
            self.capacity,
            self.written,
            self.lost,
            self._batches,
            self._bytes,
            self.waits().p99,
            str(self.failed) if self.failed is not None else "",
        )

    def _take(self) -> None:
        """Move what waits into the batch being written, behind what its last attempt left."""
        self._depth_max = max(self._depth_max, self.depth)
        if self._pending:
            if not self._inflight:
                self._taken_ns = self._first_ns
            self._inflight.extend(self._pending)
            self._pending.clear()
        self._some = trio.Event()
        self._enough = trio.Event()

    async def _in_thread(self, work: Callable[[], None]) -> bool:
        self._take()
        try:
            await trio.to_thread.run_sync(work, limiter=self._limiter)
        except JournalError as error:
            if self.failed is None:
                self.failed = error
                self.on_failure(error)
            return False
        finally:
            if self._inflight:  # refused or cancelled: to be tried again, even if no more comes
                self._some.set()
            self._room.set()
        if self.failed is not None:
            self.failed = None
            self.on_recovered()
        return True

    def _write_inflight(self) -> None:
        """In the thread: write the batch; it is gone from memory only when it was taken."""
        with self._thread_lock:
            if not self._inflight:
                return
            self._writer.write(self._inflight)
            self.written += len(self._inflight)
            self._bytes += sum(map(len, self._inflight))
            self._batches += 1
            self._inflight = []
            self._waits_ns.append(perf_counter_ns() - self._taken_ns)

    def _write_and_sync(self) -> None:
        self._write_inflight()
        self._writer.sync()

    def _write_and_close(self) -> None:
        self._write_inflight()
        self._writer.close()
