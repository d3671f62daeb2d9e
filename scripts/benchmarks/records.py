"""What keeping records and measuring cost an event, beside the least that would do."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

import orjson

from benchmarks import traffic
from benchmarks.measure import Body, Pair, Row, Side, measure
from benchmarks.stepping import started
from polytrade.config import Latency
from polytrade.core.effects import Effect
from polytrade.core.events import Event
from polytrade.journal import JournalHeader
from polytrade.meter import Meter
from polytrade.metrics import LatencyRecorder
from polytrade.runtime.inbox import Clock, Inbox
from polytrade.runtime.journaling import Journal
from polytrade.runtime.recorder import Recorder

GROUP: Final = "records"
ROOM: Final = Latency(io_queue_capacity=262_144)
"""A queue that holds a whole body, because nothing is written while it runs."""
Step = tuple[Event, list[Effect]]


class Folders(Protocol):
    """Gives a fresh folder each time."""

    def __call__(self) -> Path: ...


def _steps(events: Sequence[Event]) -> list[Step]:
    session = started(paper=True)
    return [step for event in events for step in session.handle(event)]


def _journal(steps: Sequence[Step], fresh: Folders) -> Callable[[], Body]:
    def make() -> Body:
        header = JournalHeader("bench", "", "", {}, "")
        journal = Journal.open(fresh(), header, ROOM, segment_mb=64)
        append, answered = journal.append, journal.effects

        def body() -> None:
            for event, effects in steps:
                append(event)
                answered(effects)

        return body

    return make


def _dump_rows(steps: Sequence[Step]) -> Callable[[], Body]:
    rows = [event.row() for event, _ in steps]

    def make() -> Body:
        def body() -> None:
            lines = []
            for row in rows:
                lines.append(orjson.dumps(row))

        return body

    return make


def _tap(frames: Sequence[str], fresh: Folders) -> Callable[[], Body]:
    def make() -> Body:
        recorder = Recorder(fresh(), "bench", "", ROOM, segment_mb=64)
        tap = recorder.frame

        def body() -> None:
            for seq, frame in enumerate(frames, 1):
                tap(seq, traffic.SOURCE, seq, traffic.BEGIN_NS + seq, seq, frame)

        return body

    return make


def _keep(frames: Sequence[str]) -> Callable[[], Body]:
    def make() -> Body:
        def body() -> None:
            lines = []
            for seq, frame in enumerate(frames):
                lines.append(orjson.dumps((seq, traffic.BEGIN_NS + seq, frame)))

        return body

    return make


def _observe(steps: Sequence[Step]) -> Callable[[], Body]:
    def make() -> Body:
        observe = Meter().observe

        def body() -> None:
            for event, effects in steps:
                observe(event, effects, 5_000, 20_000)

        return body

    return make


def _new_list() -> Callable[[int], object]:
    values: list[int] = []
    return values.append


def _record(count: int, record: Callable[[], Callable[[int], object]]) -> Callable[[], Body]:
    def make() -> Body:
        keep = record()

        def body() -> None:
            for value in range(20_000, 20_000 + count):
                keep(value)

        return body

    return make


def _inbox(steps: Sequence[Step]) -> Callable[[], Body]:
    def make() -> Body:
        inbox = Inbox(Clock(), 16_384)
        put, receive, ts_ns = inbox.put_frame, inbox.receive_nowait, traffic.BEGIN_NS

        def body() -> None:
            for event, _ in steps:
                put(traffic.SOURCE, "", ts_ns, [event])
                receive()

        return body

    return make


def _lists(steps: Sequence[Step]) -> Callable[[], Body]:
    def make() -> Body:
        queue: list[Event] = []

        def body() -> None:
            for event, _ in steps:
                queue.append(event)
                queue.pop()

        return body

    return make


def run(repeats: int, *, quick: bool) -> list[Row]:
    """The rows of the group `records`."""
    count = 2_000 if quick else 10_000
    steps = _steps(traffic.mix(count))
    frames = [frame.decode() for frame in traffic.frames(traffic.DEPTH, count)]
    many = 10 * count
    with tempfile.TemporaryDirectory(prefix="polytrade-bench-") as name:
        made = iter(range(1_000_000))

        def fresh() -> Path:
            return Path(name) / str(next(made))

        def pair(
            case: str,
            make: Callable[[], Body],
            baseline: str,
            other: Callable[[], Body],
            ops: int,
        ) -> Pair:
            return Pair(
                case=Side(name=case, make=make, ops=ops),
                baseline=Side(name=baseline, make=other, ops=ops),
            )

        pairs = [
            pair("journal, an event and its effects", _journal(steps, fresh),
                 "orjson.dumps of the row", _dump_rows(steps), len(steps)),
            pair("recorder, a frame", _tap(frames, fresh),
                 "orjson.dumps of the frame", _keep(frames), count),
            pair("meter.observe, an event", _observe(steps),
                 "list.append", _record(len(steps), _new_list), len(steps)),
            pair("LatencyRecorder.record", _record(many, lambda: LatencyRecorder().record),
                 "list.append", _record(many, _new_list), many),
            pair("inbox, a frame in and out", _inbox(steps),
                 "list.append and pop", _lists(steps), len(steps)),
        ]  # fmt: skip
        return measure(GROUP, pairs, repeats)
