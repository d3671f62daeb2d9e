"""The journal's queue under a fast, a slow and a full disk."""

import threading
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from polytrade.config import Latency
from polytrade.core import events as ev
from polytrade.core.effects import Effect, PhaseChanged
from polytrade.core.ids import FAST
from polytrade.journal import EffectDigest, JournalHeader, JournalTrailer, read_journal
from polytrade.runtime.diskqueue import HARD_LIMIT_FACTOR, RETRY_S, DiskQueue
from polytrade.runtime.journaling import Journal
from polytrade.segments import JournalError

CAPACITY = 256


def settings(**changes: Any) -> Latency:
    return attrs.evolve(
        Latency(io_queue_capacity=CAPACITY, io_flush_batch=4, io_flush_interval_ms=1000), **changes
    )


def tick(n: int) -> ev.ReferenceTicked:
    return ev.ReferenceTicked(1_000 + n, "BTC", "binance", FAST, n, 0)


def accepted(n: int) -> ev.OrderAccepted:
    return ev.OrderAccepted(1_000 + n, f"o{n}", "")


def stepped(journal: Journal, event: ev.Event, *effects: Effect) -> None:
    """What the session does around a step."""
    journal.append(event)
    journal.effects(effects)


def opened(tmp_path: Path, latency: Latency | None = None, **options: Any) -> Journal:
    header = JournalHeader("run-a", "2026-01-02T03:04:05Z", "0.1.0", {}, "c" * 64)
    return Journal.open(tmp_path, header, latency or settings(), segment_mb=1, **options)


class FakeWriter:
    """Keeps batches; refuses while `full`, waits for `gate`; `entered` is set at the first write,
    `wrote` is called in the loop after each batch, `refused` after each refusal.
    """

    def __init__(self) -> None:
        self.batches: list[list[bytes]] = []
        self.full = False
        self.synced = 0
        self.closed = 0
        self.gate = threading.Event()
        self.gate.set()
        self.entered = trio.Event()
        self.wrote: Callable[[], None] = lambda: None
        self.refused: Callable[[], None] = lambda: None

    def write(self, lines: Sequence[bytes]) -> None:
        self.enter()
        assert self.gate.wait(10)
        if self.full:
            trio.from_thread.run_sync(self.refused)
            raise JournalError("disk", "No space left on device")
        self.batches.append(list(lines))
        trio.from_thread.run_sync(self.wrote)

    def enter(self) -> None:
        if not self.entered.is_set():
            trio.from_thread.run_sync(self.entered.set)

    def sync(self) -> None:
        if self.full:
            raise JournalError("disk", "No space left on device")
        self.synced += 1

    def close(self) -> None:
        self.sync()
        self.closed += 1

    @property
    def lines(self) -> list[bytes]:
        return [line for batch in self.batches for line in batch]


async def test_journal_holds_events_effects_and_totals_in_order(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    answer = PhaseChanged("m", "open")
    stepped(journal, tick(1), answer)
    stepped(journal, accepted(2))
    assert await journal.close()
    reader = read_journal(tmp_path / "run-a")
    assert [(entry.event, entry.effects) for entry in reader] == [
        (tick(1), [["phase_changed", "m", "open"]]),
        (accepted(2), []),
    ]
    digest = EffectDigest()
    digest.add(1_001, [answer])
    assert reader.trailer == JournalTrailer(2, 1, digest.hexdigest())
    assert journal.digest.hexdigest() == digest.hexdigest()


async def test_closing_twice_writes_the_totals_once(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    stepped(journal, tick(1))
    assert await journal.close()
    assert await journal.close()
    assert [entry.event for entry in read_journal(tmp_path / "run-a")] == [tick(1)]


async def test_event_that_was_never_answered_is_marked(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    stepped(journal, tick(1), PhaseChanged("m", "open"))
    journal.append(accepted(2))
    journal.append(accepted(3))
    stepped(journal, tick(4))
    journal.append(tick(5))
    assert await journal.close()
    reader = read_journal(tmp_path / "run-a")
    assert [(entry.event.ts_ns, entry.complete) for entry in reader] == [
        (1_001, True),
        (1_002, False),
        (1_003, False),
        (1_004, True),
        (1_005, False),
    ]
    assert reader.trailer is not None


def test_crash_writes_every_row_but_no_totals(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    stepped(journal, tick(1))
    assert journal.close_now()
    assert journal.close_now()
    reader = read_journal(tmp_path / "run-a")
    assert [(entry.event, entry.complete) for entry in reader] == [(tick(1), False)]
    assert reader.trailer is None


async def test_batch_is_written_when_full_and_the_rest_after_the_interval(
    autojump_clock: trio.abc.Clock,
) -> None:
    writer = FakeWriter()
    queue = DiskQueue(writer, settings())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(queue.run)
        written = trio.Event()
        writer.wrote = written.set
        started = trio.current_time()
        for n in range(4):
            queue.add(b"%d\n" % n)
        await written.wait()
        assert trio.current_time() - started < 1.0
        written = trio.Event()
        writer.wrote = written.set
        queue.add(b"4\n")
        started = trio.current_time()
        await written.wait()
        assert trio.current_time() - started >= 1.0
        nursery.cancel_scope.cancel()
    assert writer.batches == [[b"0\n", b"1\n", b"2\n", b"3\n"], [b"4\n"]]
    stats = queue.statistics()
    assert (stats.depth, stats.written, stats.batches) == (0, 5, 2)
    assert stats.bytes_written == 10
    assert stats.wait_p99_ms is not None


async def test_full_disk_keeps_the_rows_tells_once_and_recovers_with_all(
    autojump_clock: trio.abc.Clock,
) -> None:
    writer = FakeWriter()
    writer.full = True
    failures: list[JournalError] = []
    times: list[float] = []
    failed, thrice, recovered = trio.Event(), trio.Event(), trio.Event()

    def refused() -> None:
        times.append(trio.current_time())
        if len(times) == 3:
            thrice.set()

    writer.refused = refused

    def on_failure(error: JournalError) -> None:
        failures.append(error)
        failed.set()

    queue = DiskQueue(writer, settings(), on_failure=on_failure, on_recovered=recovered.set)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(queue.run)
        queue.add(b"a\n")
        await failed.wait()
        assert queue.failed is failures[0]
        queue.add(b"b\n")
        await thrice.wait()
        assert queue.depth == 2
        assert all(later - earlier >= RETRY_S for earlier, later in pairwise(times))
        writer.full = False
        await recovered.wait()
        assert queue.failed is None
        nursery.cancel_scope.cancel()
    assert writer.lines == [b"a\n", b"b\n"]
    assert len(failures) == 1
    assert not queue.lost


async def test_sync_returns_only_when_the_rows_are_on_the_disk() -> None:
    writer = FakeWriter()
    queue = DiskQueue(writer, settings())
    queue.add(b"intent\n")
    await queue.sync()
    assert (writer.lines, writer.synced) == ([b"intent\n"], 1)
    writer.full = True
    queue.add(b"next\n")
    with pytest.raises(JournalError, match="No space left"):
        await queue.sync()
    assert queue.failed is not None
    assert queue.depth == 1


async def test_cancelled_run_finishes_its_write_and_the_rest_is_closed_behind_it() -> None:
    writer = FakeWriter()
    writer.gate.clear()
    queue = DiskQueue(writer, settings())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(queue.run)
        for n in range(4):
            queue.add(b"%d\n" % n)
        await writer.entered.wait()
        queue.add(b"4\n")
        nursery.cancel_scope.cancel()
        writer.gate.set()
    assert writer.lines == [b"0\n", b"1\n", b"2\n", b"3\n"]
    assert await queue.close()
    assert writer.lines[4:] == [b"4\n"]
    assert writer.closed == 1
    assert not queue.add(b"late\n")
    assert queue.lost == 1


async def test_flush_cancelled_before_it_began_leaves_its_rows_to_the_task() -> None:
    writer = FakeWriter()
    written = trio.Event()
    writer.wrote = written.set
    queue = DiskQueue(writer, settings(io_flush_interval_ms=1))
    queue.add(b"a\n")
    with trio.CancelScope() as scope:
        scope.cancel()
        await queue.flush()
    assert writer.lines == []
    with trio.CancelScope() as scope:
        scope.cancel()
        async with queue._flushing:  # the lock itself was free: cancel at the thread's checkpoint
            await queue._in_thread(queue._write_inflight)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(queue.run)
        await written.wait()
        nursery.cancel_scope.cancel()
    assert writer.lines == [b"a\n"]


async def test_crash_during_a_write_doubles_and_loses_nothing() -> None:
    class InThread(FakeWriter):
        def write(self, lines: Sequence[bytes]) -> None:
            self.enter()
            self.gate.wait(10)
            self.batches.append(list(lines))

    writer = InThread()
    writer.gate.clear()
    queue = DiskQueue(writer, settings())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(queue.run)
        for n in range(4):
            queue.add(b"%d\n" % n)
        await writer.entered.wait()
        queue.add(b"4\n")
        writer.gate.set()
        assert queue.close_now()
        nursery.cancel_scope.cancel()
    assert writer.lines == [b"0\n", b"1\n", b"2\n", b"3\n", b"4\n"]


async def test_market_data_goes_when_full_and_facts_stay(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    for n in range(CAPACITY):
        stepped(journal, tick(n))
    assert journal.full
    assert not journal.must_wait
    stepped(journal, tick(900))
    stepped(journal, tick(901))
    stepped(journal, accepted(902), PhaseChanged("m", "open"))
    stepped(journal, tick(903))
    assert journal.lost == 3
    assert await journal.close()
    entries = list(read_journal(tmp_path / "run-a"))
    assert [entry.event for entry in entries[CAPACITY:]] == [
        ev.RecordsLost(1_901, 2, "queue_full"),
        accepted(902),
        ev.RecordsLost(1_903, 1, "queue_full"),
    ]
    assert entries[CAPACITY + 1].effects == [["phase_changed", "m", "open"]]


def test_dropping_ends_at_three_quarters(tmp_path: Path) -> None:
    writer = FakeWriter()
    queue = DiskQueue(writer, settings())
    for _ in range(CAPACITY):
        queue.add(b"x\n")
    assert not queue.open_for_data()
    assert not queue.offer(b"x\n")
    queue._pending[192 + 1 :] = []
    assert not queue.open_for_data()
    assert not queue.offer(b"x\n")
    queue._pending.pop()
    assert queue.open_for_data()


async def test_facts_beyond_the_hard_limit_are_lost_and_counted(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    for n in range(CAPACITY * HARD_LIMIT_FACTOR + 3):
        stepped(journal, accepted(n))
    assert journal.lost == 3
    assert journal.statistics().depth == CAPACITY * HARD_LIMIT_FACTOR
    assert await journal.close()
    reader = read_journal(tmp_path / "run-a")
    entries = list(reader)
    assert len(entries) == CAPACITY * HARD_LIMIT_FACTOR + 1
    assert entries[-1].event == ev.RecordsLost(1_514, 3, "queue_full")
    assert reader.trailer is not None


async def test_engine_waits_for_room_when_nothing_may_be_dropped() -> None:
    writer = FakeWriter()
    queue = DiskQueue(writer, settings(io_drop_on_full=False, io_flush_batch=CAPACITY))
    for _ in range(CAPACITY):
        assert queue.open_for_data()
        queue.add(b"x\n")
    passed = trio.Event()

    async def engine() -> None:
        await queue.wait_room()
        passed.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(engine)
        await trio.testing.wait_all_tasks_blocked()
        assert not passed.is_set()
        assert await queue.flush()
        await passed.wait()
    await queue.wait_room()


async def test_engine_does_not_wait_for_a_disk_that_fails() -> None:
    writer = FakeWriter()
    writer.full = True
    queue = DiskQueue(writer, settings(io_drop_on_full=False))
    for _ in range(CAPACITY):
        queue.add(b"x\n")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(queue.wait_room)
        await trio.testing.wait_all_tasks_blocked()
        assert not await queue.flush()
    await queue.wait_room()
    assert not queue.open_for_data()


async def test_rows_lost_to_a_failing_disk_are_marked_when_it_recovers(tmp_path: Path) -> None:
    recovered: list[int] = []
    failures: list[JournalError] = []
    journal = opened(tmp_path)
    journal.listen(failures.append, lambda: recovered.append(1))
    disk = FakeWriter()
    real, journal._queue._writer = journal._queue._writer, disk
    disk.full = True
    for n in range(CAPACITY):
        stepped(journal, tick(n))
    with pytest.raises(JournalError):
        await journal.sync()
    assert failures == [journal.failed]
    stepped(journal, tick(777))
    journal._queue._writer = real
    await journal.sync()
    assert (recovered, journal.failed) == ([1], None)
    assert await journal.close()
    entries = list(read_journal(tmp_path / "run-a"))
    assert [entry.event for entry in entries] == [
        *[tick(n) for n in range(CAPACITY)],
        ev.RecordsLost(1_777, 1, "disk_error"),
    ]
