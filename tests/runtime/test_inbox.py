"""The clock and the inbox: order, drops, gap marks, the recorder's tap."""

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from polytrade.core.events import BestQuoted, ClockTicked, Event, FeedGap, FeedUp
from polytrade.runtime.inbox import INBOX_FULL, Clock, Inbox, InboxOverflow

START_NS = 1_000_000_000_000
SOURCE = "polymarket.market/0"


class Hands:
    """Clock hands moved by the test."""

    def __init__(self) -> None:
        self.wall = START_NS
        self.mono = 50

    def clock(self) -> Clock:
        return Clock(wall_ns=lambda: self.wall, mono_ns=lambda: self.mono)


class Tape:
    """A recorder that keeps what it is told."""

    def __init__(self) -> None:
        self.rows: list[tuple[object, ...]] = []

    def frame(
        self,
        ingest_seq: int,
        source: str,
        source_seq: int,
        ts_ns: int,
        mono_ns: int,
        frame: str | bytes,
    ) -> None:
        self.rows.append((ingest_seq, source, source_seq, ts_ns, mono_ns, frame))

    def event(
        self, ingest_seq: int, source_seq: int, ts_ns: int, mono_ns: int, event: Event
    ) -> None:
        self.rows.append((ingest_seq, "event", source_seq, ts_ns, mono_ns, event.TAG))


def quote(market: str, ts_ns: int = START_NS) -> BestQuoted:
    return BestQuoted(ts_ns, market, 0, 4800, 4900, 1)


def drain(inbox: Inbox) -> list[Event]:
    events = []
    while True:
        try:
            events.append(inbox.receive_nowait())
        except (trio.WouldBlock, trio.EndOfChannel):
            return events


def test_clock_adds_monotonic_time_to_one_wall_anchor():
    hands = Hands()
    clock = hands.clock()
    hands.mono += 7
    hands.wall += 10**12  # a stepped system clock
    assert clock.now_ns() == START_NS + 7
    assert clock.mono_ns() == 57
    assert clock.mono_of(START_NS + 7) == 57


def test_clock_never_decreases():
    hands = Hands()
    clock = hands.clock()
    hands.mono += 100
    assert clock.now_ns() == START_NS + 100
    hands.mono -= 60
    assert clock.now_ns() == START_NS + 100


async def test_events_come_out_in_the_order_they_went_in():
    inbox = Inbox(Hands().clock(), 10)
    up = FeedUp(START_NS, SOURCE)
    first, second = quote("a"), quote("b")
    inbox.put(up)
    assert inbox.put_frame(SOURCE, "{}", START_NS, [first, second])
    assert inbox.depth == 3
    assert await inbox.receive() is up
    assert await inbox.receive() is first
    assert inbox.receive_nowait() is second
    with pytest.raises(trio.WouldBlock):
        inbox.receive_nowait()
    stats = inbox.statistics()
    assert (stats.depth, stats.depth_max, stats.frames, stats.events) == (0, 3, 1, 3)


async def test_receive_wakes_when_something_is_put():
    inbox = Inbox(Hands().clock(), 10)
    got = []

    async def reader() -> None:
        got.append(await inbox.receive())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(reader)
        await wait_all_tasks_blocked()
        inbox.put_frame(SOURCE, "{}", START_NS, [quote("a"), quote("b")])
    assert got == [quote("a")]
    assert drain(inbox) == [quote("b")]


async def test_cancelled_receive_takes_nothing():
    inbox = Inbox(Hands().clock(), 10)
    with trio.CancelScope() as scope:
        scope.cancel()
        await inbox.receive()
    inbox.put(quote("a"))
    with trio.CancelScope() as scope:
        scope.cancel()
        await inbox.receive()
    assert drain(inbox) == [quote("a")]


def test_full_inbox_drops_the_frame_and_marks_the_gap_where_it_is():
    hands = Hands()
    inbox = Inbox(hands.clock(), 2, reserve=10)
    assert inbox.put_frame(SOURCE, "1", START_NS, [quote("a"), quote("b")])
    hands.mono += 5
    assert not inbox.put_frame(SOURCE, "2", START_NS, [quote("a"), quote("a")])
    assert not inbox.put_frame(SOURCE, "3", START_NS, [quote("a")])  # marked already
    assert drain(inbox) == [
        quote("a"),
        quote("b"),
        FeedGap(START_NS + 5, SOURCE, "a", INBOX_FULL),
    ]
    stats = inbox.statistics()
    assert (stats.dropped_frames, stats.dropped_events, stats.gaps) == (2, 3, 1)


def test_a_loss_after_newer_data_of_the_market_gets_its_own_mark():
    inbox = Inbox(Hands().clock(), 1, reserve=10)
    gap = FeedGap(START_NS, SOURCE, "a", INBOX_FULL)
    inbox.put_frame(SOURCE, "1", START_NS, [quote("b")])
    inbox.put_frame(SOURCE, "2", START_NS, [quote("a")])
    assert drain(inbox) == [quote("b"), gap]
    inbox.put_frame(SOURCE, "3", START_NS, [quote("a")])
    inbox.put_frame(SOURCE, "4", START_NS, [quote("a")])
    assert drain(inbox) == [quote("a"), gap]


def test_facts_use_the_reserve_and_overflow_beyond_it():
    inbox = Inbox(Hands().clock(), 1, reserve=2)
    inbox.put(quote("a"))
    assert inbox.put_frame("gamma/0", "{}", START_NS, [quote("b"), quote("c")], fact=True)
    with pytest.raises(InboxOverflow, match="expected at most 3 events in the inbox, found 4"):
        inbox.put(quote("d"))
    assert drain(inbox) == [quote("a"), quote("b"), quote("c")]


def test_ticks_conflate_while_one_waits():
    hands = Hands()
    inbox = Inbox(hands.clock(), 10)
    assert inbox.put_tick()
    hands.mono += 5
    assert not inbox.put_tick()
    assert drain(inbox) == [ClockTicked(START_NS)]
    assert inbox.put_tick()
    assert drain(inbox) == [ClockTicked(START_NS + 5)]


def test_recorder_sees_frames_and_events_in_ingest_order():
    tape = Tape()
    inbox = Inbox(Hands().clock(), 1, reserve=5, recorder=tape)
    inbox.put(FeedUp(START_NS, SOURCE))
    inbox.put_frame(SOURCE, "PONG", START_NS, [])  # no events: recorded all the same
    inbox.put_frame(SOURCE, "lost", START_NS, [quote("a")])
    inbox.put_frame("binance/0", b"\xff", START_NS, [])
    assert tape.rows == [
        (1, "event", 1, START_NS, 50, "feed_up"),
        (2, SOURCE, 1, START_NS, 50, "PONG"),
        # 3 is missing: the dropped frame
        (4, "event", 2, START_NS, 50, "feed_gap"),
        (5, "binance/0", 1, START_NS, 50, b"\xff"),
    ]
    assert inbox.statistics().frames == 3


async def test_closed_inbox_drains_and_ends():
    inbox = Inbox(Hands().clock(), 10)
    inbox.put_frame(SOURCE, "{}", START_NS, [quote("a"), quote("b")])
    inbox.close()
    inbox.put(FeedUp(START_NS, SOURCE))  # said while stopping: goes nowhere
    assert not inbox.put_frame(SOURCE, "{}", START_NS, [quote("c")])
    assert await inbox.receive() == quote("a")
    assert await inbox.receive() == quote("b")
    with pytest.raises(trio.EndOfChannel):
        await inbox.receive()
    with pytest.raises(trio.EndOfChannel):
        inbox.receive_nowait()


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("frame"), st.sampled_from("abc"), st.integers(1, 3)),
            st.tuples(st.just("take"), st.just(""), st.integers(1, 4)),
        ),
        max_size=60,
    )
)
def test_every_loss_is_followed_by_a_mark_before_newer_data_of_its_market(steps):
    """Whatever the interleaving: between a lost event of a market and the next accepted one of the
    same market there is a gap mark, and the depth stays within capacity plus markets.
    """
    inbox = Inbox(Hands().clock(), 4, reserve=3)
    number = 0
    expected: list[tuple[str, int | None]] = []
    found: list[tuple[str, int | None]] = []
    lost: set[str] = set()
    for kind, market, count in steps:
        if kind == "take":
            for _ in range(min(count, inbox.depth)):
                found.append(_seen(inbox.receive_nowait()))
            continue
        events: list[Event] = []
        for _ in range(count):
            number += 1
            events.append(BestQuoted(START_NS, market, 0, 1, 2, number))
        if inbox.put_frame(SOURCE, "", START_NS, events):
            expected += [_seen(event) for event in events]
            lost.discard(market)
        elif market not in lost:
            expected.append((market, None))
            lost.add(market)
    found += [_seen(event) for event in drain(inbox)]
    assert found == expected
    assert inbox.statistics().depth_max <= 4 + 3


def _seen(event: Event) -> tuple[str, int | None]:
    if isinstance(event, FeedGap):
        return event.market, None
    assert isinstance(event, BestQuoted)
    return event.market, event.venue_ts_ms
