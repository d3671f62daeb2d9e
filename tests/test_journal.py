"""The journal on disk: what is written is what is read, whatever the disk does."""

import errno
import hashlib
import inspect
import os
from pathlib import Path
from typing import Any

import orjson
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from polytrade.core import effects as ef
from polytrade.core import events as ev
from polytrade.core.ids import BUY, FAST, NO, SELL, YES
from polytrade.journal import (
    DataDigest,
    EffectDigest,
    JournalError,
    JournalHeader,
    JournalTrailer,
    JournalWriter,
    effect_line,
    event_line,
    prune_runs,
    read_journal,
)
from polytrade.segments import FRAME_ROWS_MAX, DiskFile, FrameReader, SegmentWriter, segments_of
from tests.core.factory import listed

BIG = 10**9
MARKET = "0x" + "a1" * 32


def header(run_id: str = "run-a") -> JournalHeader:
    return JournalHeader(
        run_id,
        "2026-01-02T03:04:05Z",
        "0.1.0",
        {"risk": {"max_open_orders": 20}},
        "c" * 64,
        {"builtin": "0.1.0"},
    )


def tick(n: int) -> ev.ReferenceTicked:
    return ev.ReferenceTicked(1_000 + n, "BTC", "binance", FAST, 11_000_000_000_000 + n, 0)


def writer(folder: Path, **options: Any) -> JournalWriter:
    return JournalWriter(folder, header(), **{"segment_bytes": BIG, **options})


def written(folder: Path, batches: list[list[ev.Event]], *, trailer: bool = True) -> Path:
    journal = writer(folder)
    for batch in batches:
        for event in batch:
            journal.append(event)
        journal.flush()
    count = sum(map(len, batches))
    journal.close(JournalTrailer(count, 0, "d" * 64) if trailer else None)
    return journal.segments.path(1)


_FIELDS = {
    int: st.integers(-(2**63), 2**63 - 1),
    float: st.floats(-1e6, 1e6, allow_nan=False),
    str: st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    bool: st.booleans(),
    list[tuple[int, int]]: st.lists(
        st.tuples(st.integers(0, 10_000), st.integers(0, 2**53)), max_size=4
    ),
}


def events() -> st.SearchStrategy[ev.Event]:
    def made(kind: type[ev.Event]) -> st.SearchStrategy[ev.Event]:
        parameters = list(inspect.signature(kind).parameters.values())
        return st.builds(kind, *[_FIELDS[parameter.annotation] for parameter in parameters])

    return st.one_of([made(kind) for kind in ev.EVENTS.values()])


def effects() -> st.SearchStrategy[ef.Effect]:
    kinds = [kind for kind in vars(ef).values() if _is_effect(kind)]
    return st.one_of(
        [
            st.builds(
                kind, *[_FIELDS[p.annotation] for p in inspect.signature(kind).parameters.values()]
            )
            for kind in kinds
        ]
    )


def _is_effect(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, ef.Effect) and kind is not ef.Effect


@given(events())
def test_event_line_is_the_row_and_reads_back_as_the_event(event: ev.Event) -> None:
    line = event_line(event)
    assert line == orjson.dumps(event.row()) + b"\n"
    assert ev.event_from_row(orjson.loads(line)) == event


def test_listing_of_a_journal_from_before_ranges_has_no_upper_bound() -> None:
    old = listed().row()[:-1]
    assert len(old) == len(ev.MarketListed.FIELDS)
    assert ev.event_from_row(old) == listed(upper_e8=0)
    with pytest.raises(ValueError, match="market_listed: expected 23 fields, found 21"):
        ev.event_from_row(old[:-1])


@given(effects())
def test_effect_line_is_the_marked_row(effect: ef.Effect) -> None:
    assert orjson.loads(effect_line(effect.row())) == ["!", *effect.row()]


@given(st.lists(st.tuples(events(), st.lists(effects(), max_size=3)), max_size=12))
def test_journal_round_trips(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[ev.Event, list[ef.Effect]]]
) -> None:
    folder = tmp_path_factory.mktemp("run")
    journal = writer(folder, segment_bytes=600)
    for event, answers in steps:
        journal.append(event)
        journal.append_effects(answers)
        journal.flush()
    journal.close(JournalTrailer(len(steps), 7, "e" * 64))
    reader = read_journal(folder)
    found = list(reader)
    assert [(entry.seq, entry.event, entry.effects) for entry in found] == [
        (n, event, [effect.row() for effect in answers])
        for n, (event, answers) in enumerate(steps, 1)
    ]
    assert all(entry.complete for entry in found)
    assert reader.lost_tail is None
    assert reader.trailer == JournalTrailer(len(steps), 7, "e" * 64)
    assert reader.header == header()


def test_header_line_names_the_format_and_the_part() -> None:
    line = orjson.loads(header().line(3))
    assert line["polytrade_journal"] == 1
    assert (line["run_id"], line["part"]) == ("run-a", 3)
    assert line["config"] == {"risk": {"max_open_orders": 20}}
    assert set(line) == {
        "polytrade_journal",
        "run_id",
        "created",
        "code_version",
        "config",
        "config_digest",
        "plugins",
        "python",
        "part",
    }


def test_segments_are_cut_by_size_and_each_has_its_header(tmp_path: Path) -> None:
    journal = writer(tmp_path, segment_bytes=200)
    for n in range(9):
        journal.append(tick(n))
        journal.flush()
    journal.close()
    names = [path.name for path in segments_of(tmp_path, "journal")]
    assert names == [f"journal-{n:06d}.jsonl.zst" for n in (1, 2, 3)]
    for part, path in enumerate(segments_of(tmp_path, "journal"), 1):
        first = next(iter(FrameReader(path)))
        assert orjson.loads(first)["part"] == part
    assert [entry.event for entry in read_journal(tmp_path)] == [tick(n) for n in range(9)]
    second = read_journal(tmp_path / "journal-000002.jsonl.zst")
    assert [entry.event for entry in second] == [tick(n) for n in range(4, 8)]


def test_effects_at_the_top_of_the_next_segment_belong_to_the_event_before(tmp_path: Path) -> None:
    journal = writer(tmp_path, segment_bytes=1)
    journal.append(tick(1))
    journal.flush()
    journal.append_effects([ef.PhaseChanged(MARKET, "open")])
    journal.append(tick(2))
    journal.close()
    assert [entry.effects for entry in read_journal(tmp_path)] == [
        [["phase_changed", MARKET, "open"]],
        [],
    ]


def test_tail_cut_at_every_byte_loses_only_the_last_frame(tmp_path: Path) -> None:
    batches: list[list[ev.Event]] = [[tick(1), tick(2)], [tick(3)], [tick(4), tick(5)]]
    path = written(tmp_path / "whole", batches, trailer=False)
    whole = path.read_bytes()
    without_last = written(tmp_path / "short", batches[:2], trailer=False).stat().st_size
    cut = tmp_path / "journal-000001.jsonl.zst"
    for size in range(without_last, len(whole)):
        cut.write_bytes(whole[:size])
        reader = read_journal(cut)
        assert [entry.event for entry in reader] == [tick(1), tick(2), tick(3)]
        assert reader.trailer is None
        if size == without_last:
            assert reader.lost_tail is None
        else:
            assert reader.lost_tail is not None
            assert reader.lost_tail.offset == without_last
            assert reader.lost_tail.size == size - without_last
            assert reader.lost_tail.reason == "the last frame is cut off"


def test_every_damaged_byte_of_a_frame_is_noticed(tmp_path: Path) -> None:
    batches: list[list[ev.Event]] = [[tick(1), tick(2)], [tick(3), tick(4)]]
    whole = written(tmp_path / "whole", batches, trailer=False).read_bytes()
    start = written(tmp_path / "short", batches[:1], trailer=False).stat().st_size
    path = tmp_path / "journal-000001.jsonl.zst"
    for position in range(start, len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0xFF]) + whole[position + 1 :])
        reader = read_journal(path)
        assert [entry.event for entry in reader] == [tick(1), tick(2)]
        assert reader.lost_tail is not None


def test_last_event_of_an_unclosed_journal_is_not_complete(tmp_path: Path) -> None:
    path = written(tmp_path, [[tick(1), tick(2)]], trailer=False)
    assert [entry.complete for entry in read_journal(path)] == [True, False]


def test_missing_segment_ends_the_reading_and_is_named(tmp_path: Path) -> None:
    journal = writer(tmp_path, segment_bytes=1)
    for n in range(3):
        journal.append(tick(n))
        journal.flush()
    journal.close()
    (tmp_path / "journal-000002.jsonl.zst").unlink()
    reader = read_journal(tmp_path)
    assert [entry.event for entry in reader] == [tick(0)]
    assert reader.lost_tail is not None
    assert reader.lost_tail.reason == "segment 2 is missing"


def test_segments_of_two_runs_are_refused(tmp_path: Path) -> None:
    written(tmp_path / "a", [[tick(1)]])
    other = JournalWriter(tmp_path / "b", header("run-b"), segment_bytes=BIG)
    other.close()
    paths = [tmp_path / name / "journal-000001.jsonl.zst" for name in ("a", "b")]
    with pytest.raises(JournalError, match="expected run run-a, found run-b"):
        list(read_journal(paths))


def test_unpacked_journal_reads_the_same_and_a_cut_line_is_lost(tmp_path: Path) -> None:
    path = written(tmp_path / "z", [[tick(1)], [tick(2)]])
    text = b"".join(FrameReader(path))
    plain = tmp_path / "journal-000001.jsonl"
    plain.write_bytes(text)
    reader = read_journal(plain)
    assert [entry.event for entry in reader] == [tick(1), tick(2)]
    assert reader.trailer == JournalTrailer(2, 0, "d" * 64)
    plain.write_bytes(text[:-3])
    reader = read_journal(plain)
    assert [entry.event for entry in reader] == [tick(1), tick(2)]
    assert reader.trailer is None
    assert reader.lost_tail is not None
    assert reader.lost_tail.reason == "the last line is cut off"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"[1]\n", "expected a journal header"),
        (b"{\n", "not JSON"),
        (b'{"polytrade_journal":2}\n', "expected journal format 1, found 2"),
        (b'{"polytrade_journal":1,"run_id":"x"}\n', "the header has no created, code_version"),
        (header().line(1).replace(b'"part":1', b'"part":"1"'), "expected int in header field part"),
        (header().line(1) + b"{}\n", "expected a row"),
        (header().line(1) + b'["nonsense",1]\n', "event 1: unknown event tag 'nonsense'"),
        (header().line(1) + b'["clock_ticked"]\n', "event 1: clock_ticked: expected 1 fields"),
        (header().line(1) + b'["=",1]\n', "expected a trailer"),
        (header().line(1) + b'["clock_ticked",\n', "not JSON"),
    ],
)
def test_what_is_no_journal_is_refused_with_its_reason(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    path = tmp_path / "journal-000001.jsonl"
    path.write_bytes(content)
    with pytest.raises(JournalError) as caught:
        list(read_journal(path))
    assert reason in str(caught.value)
    assert str(path) in str(caught.value)


def test_folder_without_segments_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="no journal segments"):
        read_journal(tmp_path)


def test_frames_hold_a_bounded_number_of_rows(tmp_path: Path) -> None:
    count = FRAME_ROWS_MAX + 1
    path = written(tmp_path, [[tick(n) for n in range(count)]], trailer=False)
    assert [block.count(b"\n") for block in FrameReader(path)] == [1, FRAME_ROWS_MAX, 1]


def test_oversized_frame_is_lost_not_unpacked_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("polytrade.segments.FRAME_BYTES_MAX", 1000)
    path = tmp_path / "journal-000001.jsonl.zst"
    path.write_bytes(zstandard.ZstdCompressor().compress(b"x" * 2000))
    reader = FrameReader(path)
    assert list(reader) == []
    assert reader.lost_tail is not None
    assert reader.lost_tail.reason == "frame larger than 1000 bytes"


class FullDisk:
    """A disk with `free` bytes: a write that does not fit leaves what did."""

    def __init__(self, free: int) -> None:
        self.free = free
        self.opened = 0
        self.synced = 0
        self.sync_error = False

    def __call__(self, path: Path) -> "FullDiskFile":
        self.opened += 1
        return FullDiskFile(self, DiskFile(path))


class FullDiskFile:
    def __init__(self, disk: FullDisk, file: DiskFile) -> None:
        self.disk = disk
        self.file = file

    def write(self, data: bytes) -> None:
        part = data[: self.disk.free]
        self.file.write(part)
        self.disk.free -= len(part)
        if len(part) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def truncate(self, size: int) -> None:
        self.file.truncate(size)

    def sync(self) -> None:
        if self.disk.sync_error:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self.disk.synced += 1
        self.file.sync()

    def close(self) -> None:
        self.file.close()


@pytest.mark.parametrize("room", range(0, 130, 7))
def test_full_disk_is_reported_and_the_same_rows_go_first_when_there_is_room(
    tmp_path: Path, room: int
) -> None:
    disk = FullDisk(BIG)
    journal = writer(tmp_path, opener=disk)
    journal.append(tick(1))
    journal.flush()
    disk.free = min(room, 20)
    journal.append(tick(2))
    for _ in range(3):
        with pytest.raises(JournalError, match="No space left on device"):
            journal.flush()
    journal.append(tick(3))
    disk.free = BIG
    journal.flush()
    journal.close(JournalTrailer(3, 0, "f" * 64))
    reader = read_journal(tmp_path)
    assert [entry.event for entry in reader] == [tick(1), tick(2), tick(3)]
    assert reader.lost_tail is None
    assert reader.trailer is not None


def test_failed_first_write_of_a_segment_repeats_the_header(tmp_path: Path) -> None:
    disk = FullDisk(BIG)
    journal = writer(tmp_path, opener=disk, segment_bytes=1)
    journal.append(tick(1))
    journal.flush()
    disk.free = 5
    journal.append(tick(2))
    with pytest.raises(JournalError):
        journal.flush()
    disk.free = BIG
    journal.flush()
    journal.close()
    assert disk.opened == 2
    reader = read_journal(tmp_path)
    assert [entry.event for entry in reader] == [tick(1), tick(2)]
    assert reader.lost_tail is None


def test_disk_full_at_the_start_is_a_journal_error(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="No space left"):
        writer(tmp_path, opener=FullDisk(3))


def test_folder_that_cannot_be_made_is_a_journal_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="file/run"):
        writer(tmp_path / "file" / "run")


def test_journal_of_the_same_name_is_never_overwritten(tmp_path: Path) -> None:
    path = written(tmp_path, [[tick(1)]])
    before = path.read_bytes()
    with pytest.raises(JournalError, match="File exists"):
        writer(tmp_path)
    assert path.read_bytes() == before


def test_sync_failure_is_a_journal_error_and_close_can_be_tried_again(tmp_path: Path) -> None:
    disk = FullDisk(BIG)
    journal = writer(tmp_path, opener=disk)
    journal.append(tick(1))
    disk.sync_error = True
    with pytest.raises(JournalError, match="Input/output error"):
        journal.close()
    with pytest.raises(JournalError, match="Input/output error"):
        journal.segments.sync()
    disk.sync_error = False
    journal.close()
    assert [entry.event for entry in read_journal(tmp_path)] == [tick(1)]


def test_segment_is_synced_when_it_ends(tmp_path: Path) -> None:
    disk = FullDisk(BIG)
    segments = SegmentWriter(tmp_path, "raw", lambda part: b"h\n", segment_bytes=2, opener=disk)
    segments.write([b"a\n"])
    segments.write([b"b\n"])
    assert disk.synced == 1
    segments.close()
    assert disk.synced == 2
    assert [list(FrameReader(path)) for path in segments_of(tmp_path, "raw")] == [
        [b"h\n", b"a\n"],
        [b"h\n", b"b\n"],
    ]


def test_effect_digest_is_the_documented_hash() -> None:
    digest = EffectDigest()
    digest.add(5, [ef.PhaseChanged("m", "open"), ef.CancelOrder("o1", "m", "ttl")])
    digest.add(6, [])
    expected = hashlib.sha256(
        b'[5,"phase_changed","m","open"]\n[5,"cancel_order","o1","m","ttl"]\n'
    ).hexdigest()
    assert digest.hexdigest() == expected
    assert digest.count == 2


def change(market: str, size_e6: int, ts_ns: int) -> ev.BookChanged:
    return ev.BookChanged(ts_ns, market, YES, BUY, 4800, size_e6, 4800, 4900, 7, "h")


def data_digest(*found: ev.Event) -> str:
    digest = DataDigest()
    for event in found:
        digest.add(event)
    return digest.hexdigest()


def test_data_digest_ignores_receive_times_and_how_streams_interleave() -> None:
    first = [change("m1", 1, 10), change("m1", 2, 20), change("m2", 3, 30), tick(1)]
    later = [change("m2", 3, 99), tick(1), change("m1", 1, 100), change("m1", 2, 101)]
    assert data_digest(*first) == data_digest(*later)


def test_data_digest_notices_order_within_a_stream_content_and_loss() -> None:
    base = data_digest(change("m1", 1, 1), change("m1", 2, 2))
    assert data_digest(change("m1", 2, 1), change("m1", 1, 2)) != base
    assert data_digest(change("m1", 1, 1), change("m1", 3, 2)) != base
    assert data_digest(change("m1", 1, 1)) != base
    assert data_digest(change("m2", 1, 1), change("m2", 2, 2)) != base


def test_data_digest_counts_an_outcome_once_whoever_reports_it() -> None:
    venue = ev.MarketResolved(1, "m1", YES, "market_channel")
    gamma = ev.MarketResolved(9, "m1", YES, "gamma")
    assert data_digest(venue, gamma) == data_digest(gamma) == data_digest(gamma, gamma, venue)
    assert data_digest(venue) != data_digest(ev.MarketResolved(1, "m1", NO, "gamma"))


def test_data_digest_takes_in_market_data_only() -> None:
    empty = data_digest()
    others: list[ev.Event] = [
        ev.ClockTicked(1),
        ev.FeedUp(1, "binance/0"),
        ev.ModeSet(1, "run", "operator"),
        ev.OrderFilled(1, "o", "f", 4800, 1, 0, True, "queue"),
    ]
    assert data_digest(*others) == empty
    digest = DataDigest()
    trade = ev.TradePrinted(1, "m", NO, SELL, 100, 1, 1, "t")
    book = ev.BookReplaced(1, "m", YES, [(1, 2)], [], 100, "?", 1, "h", False)
    for event in (trade, book, ev.TickSizeChanged(1, "m", 100, 10, 1), tick(1)):
        digest.add(event)
    assert sorted(digest.streams()) == ["binance/BTC/0", "m"]
    assert digest.counts.total() == 4


def run_folder(data_dir: Path, name: str, age: int, files: tuple[str, ...]) -> Path:
    folder = data_dir / name
    folder.mkdir(parents=True)
    for file in files:
        (folder / file).write_bytes(b"x")
        os.utime(folder / file, (1_000_000 - age, 1_000_000 - age))
    return folder


def test_retention_removes_the_oldest_runs_and_only_what_runs_write(tmp_path: Path) -> None:
    journal, raw = "journal-000001.jsonl.zst", "raw-000001.jsonl.zst"
    newest = run_folder(tmp_path, "c", 1, (journal,))
    recorded = run_folder(tmp_path, "a", 9, (journal, raw))
    noted = run_folder(tmp_path, "b", 3, (journal, "notes.txt"))
    oldest = run_folder(tmp_path, "d", 4, (journal,))
    foreign = run_folder(tmp_path, "e", 9, ("photo.jpg", "journal-1.jsonl.zst"))
    (tmp_path / "link").symlink_to(newest)
    assert prune_runs(tmp_path, 1) == [noted, oldest]
    assert sorted(path.name for path in noted.iterdir()) == ["notes.txt"]
    assert not oldest.exists()
    assert all(folder.exists() for folder in (newest, recorded, foreign))
    assert len(list(foreign.iterdir())) == 2
    assert prune_runs(tmp_path, 1) == []


def test_retention_of_zero_keeps_all_and_a_missing_folder_is_no_runs(tmp_path: Path) -> None:
    run = run_folder(tmp_path, "a", 1, ("journal-000001.jsonl.zst",))
    assert prune_runs(tmp_path, 0) == []
    assert prune_runs(tmp_path / "missing", 1) == []
    assert run.exists()
