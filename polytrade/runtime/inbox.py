"""The one clock and the one queue: everything the engine learns passes here, in this order.

Facts queue, opinions conflate. Market data that finds the queue full is dropped, counted and
marked by a FeedGap at the very place in the queue where it is missing; facts (orders, feed states,
listings, control) always find room in a reserve, and running out of that is a fault of ours.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import attrs
import trio

from polytrade.core.events import ClockTicked, Event, FeedGap
from polytrade.metrics import LatencyRecorder
from polytrade.wire_roles import Decoder, WireError, decode_or_gap

RESERVE: Final = 4096
"""Room for facts above the capacity: four times the orders, acks and fills of 20 open orders in
each of 40 markets (3200), and the feed states and gap marks of as many markets."""
INBOX_FULL: Final = "inbox_full"
"""The reason of a FeedGap that stands for frames the queue had no room for."""


class Clock:
    """Wall time that never runs backwards: one wall anchor plus the monotonic clock.

    A stepped system clock does not move it: `polymarket.discovery` measures its distance from the
    venue's time. Tests pass their own sources.
    """

    __slots__ = ("_anchor_mono_ns", "_anchor_wall_ns", "_last_ns", "_mono")

    def __init__(
        self,
        wall_ns: Callable[[], int] = time.time_ns,
        mono_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._mono = mono_ns
        self._anchor_wall_ns = wall_ns()
        self._anchor_mono_ns = mono_ns()
        self._last_ns = self._anchor_wall_ns

    def now_ns(self) -> int:
        """Unix nanoseconds; never less than what an earlier call returned."""
        now_ns = self._anchor_wall_ns + self._mono() - self._anchor_mono_ns
        if now_ns < self._last_ns:
            return self._last_ns
        self._last_ns = now_ns
        return now_ns

    def mono_ns(self) -> int:
        """The monotonic clock itself."""
        return self._mono()

    def mono_of(self, ts_ns: int) -> int:
        """The monotonic reading that belongs to a `now_ns` of this clock."""
        return ts_ns - self._anchor_wall_ns + self._anchor_mono_ns


class RecorderTap(Protocol):
    """Gets every frame and every event that is not a frame's, in ingest order; must not wait."""

    def frame(
        self,
        ingest_seq: int,
        source: str,
        source_seq: int,
        ts_ns: int,
        mono_ns: int,
        frame: str | bytes,
    ) -> None:
        """A frame as received; what it decodes to is what went into the queue."""

    def event(
        self, ingest_seq: int, source_seq: int, ts_ns: int, mono_ns: int, event: Event
    ) -> None:
        """An event that came from no frame."""


class InboxOverflow(AssertionError):
    """Facts filled the reserve: the engine does not consume. Never restarted, always fatal."""


@attrs.frozen
class InboxStats:
    """How full the queue is and was, in events; `frames` counts frames offered."""

    capacity: int
    depth: int
    depth_max: int
    frames: int
    events: int
    dropped_frames: int
    dropped_events: int
    gaps: int
    ingest_seq: int


class Inbox:
    """The bounded queue between the feeds and the strategy task.

    One list a frame crosses the channel (a hop costs more than the events in it). Every put is
    synchronous: stamp, decode and put without an await between, so stamps never decrease in the
    queue. `ingest_seq` counts from 1; a number missing in a recording is a frame that was dropped.
    `parse` times decoding, `wait` the way through the queue of one event at a time.
    """

    def __init__(
        self,
        clock: Clock,
        capacity: int,
        *,
        reserve: int = RESERVE,
        recorder: RecorderTap | None = None,
    ) -> None:
        self.clock = clock
        self.capacity = capacity
        self.recorder = recorder
        self.parse = LatencyRecorder()
        self.wait = LatencyRecorder()
        self._timed: Event | None = None
        self._timed_ns = 0
        self._limit = capacity + reserve
        # Lists hold at least one event each: as many lists as events always fit.
        self._send, self._receive = trio.open_memory_channel[Sequence[Event]](self._limit)
        self._pending: deque[Event] = deque()
        self._depth = 0
        self._depth_max = 0
        self._frames = 0
        self._events = 0
        self._dropped_frames = 0
        self._dropped_events = 0
        self._gap_count = 0
        self._gaps: set[tuple[str, str]] = set()
        self._tick_waiting = False
        self._closed = False
        self._ingest_seq = 0
        self._source_seqs: dict[str, int] = {}

    def now_ns(self) -> int:
        """The clock's time: read it once for each frame, right before decoding."""
        return self.clock.now_ns()

    def decode(
        self, decoder: Decoder, source: str, frame: str | bytes, ts_ns: int
    ) -> tuple[list[Event], WireError | None]:
        """`decode_or_gap`, measured into `parse`."""
        began_ns = time.perf_counter_ns()
        decoded = decode_or_gap(decoder, source, frame, ts_ns)
        self.parse.record(time.perf_counter_ns() - began_ns)
        return decoded

    def put(self, event: Event) -> None:
        """Queue a fact; it is never dropped. Raises InboxOverflow when even the reserve is full."""
        if self._closed:
            return
        self._ingest_seq += 1
        if self.recorder is not None:
            seq = self._next_of("event")
            mono_ns = self.clock.mono_of(event.ts_ns)
            self.recorder.event(self._ingest_seq, seq, event.ts_ns, mono_ns, event)
        self._queue((event,))

    def put_tick(self) -> bool:
        """Queue a ClockTicked now, unless the last one still waits: ticks conflate."""
        if self._tick_waiting:
            return False
        self._tick_waiting = True
        self.put(ClockTicked(self.clock.now_ns()))
        return True

    def put_frame(
        self,
        source: str,
        frame: str | bytes,
        ts_ns: int,
        events: Sequence[Event],
        *,
        fact: bool = False,
    ) -> bool:
        """Queue what a frame decoded to, all or nothing; False when it was dropped.

        A frame without events is recorded and counted all the same. A `fact` (a market listing)
        is never dropped.
        """
        if self._closed:
            return False
        self._ingest_seq += 1
        self._frames += 1
        seq = self._next_of(source)
        if events and not fact and self._depth + len(events) > self.capacity:
            self._drop(source, events)
            return False
        if self.recorder is not None:
            mono_ns = self.clock.mono_of(ts_ns)
            self.recorder.frame(self._ingest_seq, source, seq, ts_ns, mono_ns, frame)
        if events:
            if self._gaps:
                # A gap mark stands for what is missing up to here: a later loss needs its own.
                self._gaps.difference_update(_marks(source, events))
            self._queue(events)
        return True

    async def receive(self) -> Event:
        """The next event, waiting for one. Raises trio.EndOfChannel when closed and empty.

        Cancelled while waiting, it has taken nothing.
        """
        if self._pending:
            await trio.lowlevel.checkpoint()
        else:
            self._pending.extend(await self._receive.receive())
        return self._pop()

    def receive_nowait(self) -> Event:
        """The next event; trio.WouldBlock when there is none, trio.EndOfChannel when closed."""
        if not self._pending:
            self._pending.extend(self._receive.receive_nowait())
        return self._pop()

    def close(self) -> None:
        """The receiver drains what is queued and then gets trio.EndOfChannel.

        What is put afterwards goes nowhere: feeds still say good-bye while they are stopped.
        """
        self._closed = True
        self._send.close()

    @property
    def depth(self) -> int:
        """Events waiting."""
        return self._depth

    def statistics(self) -> InboxStats:
        """The counts so far."""
        return InboxStats(
            self.capacity,
            self._depth,
            self._depth_max,
            self._frames,
            self._events,
            self._dropped_frames,
            self._dropped_events,
            self._gap_count,
            self._ingest_seq,
        )

    def _next_of(self, source: str) -> int:
        seq = self._source_seqs.get(source, 0) + 1
        self._source_seqs[source] = seq
        return seq

    def _queue(self, events: Sequence[Event]) -> None:
        depth = self._depth + len(events)
        if depth > self._limit:
            raise InboxOverflow(
                f"expected at most {self._limit} events in the inbox, found {depth}: "
                f"the strategy task does not consume ({events[0].TAG})"
            )
        self._depth = depth
        self._depth_max = max(self._depth_max, depth)
        self._events += len(events)
        if self._timed is None:
            self._timed = events[-1]
            self._timed_ns = time.perf_counter_ns()
        self._send.send_nowait(events)

    def _pop(self) -> Event:
        event = self._pending.popleft()
        self._depth -= 1
        if event is self._timed:
            self._timed = None
            self.wait.record(time.perf_counter_ns() - self._timed_ns)
        if type(event) is ClockTicked:
            self._tick_waiting = False
        return event

    def _drop(self, source: str, events: Sequence[Event]) -> None:
        self._dropped_frames += 1
        self._dropped_events += len(events)
        for mark in _marks(source, events):
            if mark not in self._gaps:
                self._gaps.add(mark)
                self._gap_count += 1
                self.put(FeedGap(self.clock.now_ns(), mark[0], mark[1], INBOX_FULL))


def _marks(source: str, events: Sequence[Event]) -> list[tuple[str, str]]:
    """The (source, market) pairs a frame's events concern, each once, in order."""
    return list(dict.fromkeys((source, str(getattr(event, "market", ""))) for event in events))
