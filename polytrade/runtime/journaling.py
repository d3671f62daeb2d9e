"""The journal as the strategy task uses it: append before the step, write behind it.

`append` and `effects` cost a JSON encoding and a list append; the task `run` writes batches in a
thread. What happens when the disk is slow or full is stated in `docs/replay-and-determinism.md`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from polytrade.config import Latency
from polytrade.core.effects import Effect
from polytrade.core.events import (
    BestQuoted,
    BookChanged,
    BookReplaced,
    ClockTicked,
    Event,
    RecordsLost,
    ReferenceTicked,
    TradePrinted,
)
from polytrade.journal import (
    UNANSWERED_LINE,
    EffectDigest,
    JournalHeader,
    JournalTrailer,
    JournalWriter,
    effect_line,
    event_line,
)
from polytrade.metrics import Quantiles
from polytrade.runtime.diskqueue import DiskQueue, QueueStats
from polytrade.segments import DiskFile, JournalError, Opener

DROPPABLE: Final = frozenset(
    {BookReplaced, BookChanged, TradePrinted, BestQuoted, ReferenceTicked, ClockTicked}
)
"""Events whose rows go when the disk is too slow: market data and ticks. Orders, fills, listings,
modes, control and feed states always find room."""
MB: Final = 1_000_000


def _nothing() -> None:
    return None


def _ignore(_error: JournalError) -> None:
    return None


class Journal:
    """The journal of a run: rows in the order the engine was stepped, bounded in memory.

    `on_failure` is called once when the disk refuses (halt the engine), `on_recovered` once when
    it takes rows again; both in the loop, both must not wait. A row that had to go is counted in
    `lost` and a RecordsLost row stands where it is missing.
    """

    def __init__(
        self,
        writer: JournalWriter,
        latency: Latency,
        *,
        on_failure: Callable[[JournalError], None] = _ignore,
        on_recovered: Callable[[], None] = _nothing,
    ) -> None:
        self.digest = EffectDigest()
        self.events = 0
        self.lost = 0
        self._on_recovered = on_recovered
        self._queue = DiskQueue(
            writer.segments, latency, on_failure=on_failure, on_recovered=self._recovered
        )
        self._gap = 0
        self._gap_ts_ns = 0
        self._gap_why = ""
        self._last_ts_ns = 0
        self._trailer = False
        self._unanswered = False

    @classmethod
    def open(
        cls,
        data_dir: Path,
        header: JournalHeader,
        latency: Latency,
        *,
        segment_mb: int,
        on_failure: Callable[[JournalError], None] = _ignore,
        on_recovered: Callable[[], None] = _nothing,
        opener: Opener = DiskFile,
    ) -> "Journal":
        """A new journal in `<data_dir>/<run_id>`; JournalError when it cannot be begun."""
        writer = JournalWriter(
            data_dir / header.run_id, header, segment_bytes=segment_mb * MB, opener=opener
        )
        return cls(writer, latency, on_failure=on_failure, on_recovered=on_recovered)

    @property
    def failed(self) -> JournalError | None:
        """What the disk last refused with, until it takes rows again."""
        return self._queue.failed

    @property
    def full(self) -> bool:
        """The queue is at its capacity: with `io_drop_on_full` off, `await wait_room()`."""
        return self._queue.full

    @property
    def must_wait(self) -> bool:
        """`full`, and the settings say that the engine waits rather than rows go."""
        queue = self._queue
        return queue.full and not queue.drop_on_full and queue.failed is None

    def listen(
        self, on_failure: Callable[[JournalError], None], on_recovered: Callable[[], None]
    ) -> None:
        """Call these when the disk refuses and when it takes rows again, instead of before."""
        self._queue.on_failure = on_failure
        self._on_recovered = on_recovered

    def configure(self, latency: Latency) -> None:
        """Take over changed settings; rows already in memory stay."""
        self._queue.configure(latency)

    def append(self, event: Event) -> None:
        """Queue the row of an event, before the engine steps it; never waits, never raises.

        An event is to be followed by `effects`, with none too: one that is not is marked as never
        answered, and a replay compares nothing there.
        """
        queue = self._queue
        if self._unanswered:
            queue.add(UNANSWERED_LINE)
        self.events += 1
        self._last_ts_ns = event.ts_ns
        line = event_line(event)
        if self._gap or not queue.offer(line):
            self._unanswered = self._append_when_tight(event, line)
        else:
            self._unanswered = True

    def effects(self, effects: Sequence[Effect]) -> None:
        """Queue the rows of what the engine answered to the event appended last."""
        self._unanswered = False
        if not effects:
            return
        if self._gap:
            self._mark_gap()
        for effect in effects:
            row = effect.row()
            self.digest.add_row(self._last_ts_ns, row)
            if not self._queue.add(effect_line(row)):
                self._lose(self._last_ts_ns)

    async def wait_room(self) -> None:
        """Return when there is room; at once while the disk fails (the engine is halted then)."""
        await self._queue.wait_room()

    async def run(self) -> None:
        """Write batches until cancelled; what is left then is for `close` or `close_now`."""
        await self._queue.run()

    async def sync(self) -> None:
        """Return when every row appended before is on the disk; JournalError when it is not."""
        await self._queue.sync()

    async def close(self) -> bool:
        """Write the rest and the totals, sync, close; False when the disk refused.

        The caller shields and bounds it.
        """
        self._finish()
        return await self._queue.close()

    def close_now(self) -> bool:
        """`close` for a crash: synchronous, tries once; False when the disk refused.

        Writes no totals: a replay then knows that the run did not end well.
        """
        self._end()
        return self._queue.close_now()

    def statistics(self) -> QueueStats:
        """Depth, losses and waits of the queue."""
        return self._queue.statistics()

    def waits(self) -> Quantiles:
        """How long rows waited for the disk, in ms: see `DiskQueue.waits`."""
        return self._queue.waits()

    def _finish(self) -> None:
        if self._trailer:
            return
        self._end()
        trailer = JournalTrailer(self.events, self.digest.count, self.digest.hexdigest())
        self._trailer = self._queue.add(trailer.line(), last=True)

    def _end(self) -> None:
        if self._unanswered:
            self._unanswered = False
            self._queue.add(UNANSWERED_LINE, last=True)
        if self._gap:
            self._mark_gap(last=True)

    def _append_when_tight(self, event: Event, line: bytes) -> bool:
        """Queue a row or lose it; whether it was queued."""
        if not self._queue.open_for_data() and type(event) in DROPPABLE:
            self._lose(event.ts_ns)
            return False
        if self._gap:
            self._mark_gap()
        if self._queue.add(line):
            return True
        self._lose(event.ts_ns)
        return False

    def _lose(self, ts_ns: int) -> None:
        self.lost += 1
        self._gap += 1
        self._gap_ts_ns = ts_ns
        self._gap_why = "disk_error" if self._queue.failed is not None else "queue_full"

    def _mark_gap(self, *, last: bool = False) -> None:
        row = RecordsLost(self._gap_ts_ns, self._gap, self._gap_why)
        if self._queue.add(event_line(row), last=last):
            self._gap = 0

    def _recovered(self) -> None:
        if self._gap:
            self._mark_gap()
        self._on_recovered()
