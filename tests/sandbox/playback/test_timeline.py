"""What the venue finds in captures before it plays them."""

from pathlib import Path

import attrs
import pytest

from polytrade.captures import CaptureRecord
from polytrade.core.units import SECOND_NS
from polytrade.errors import ConfigError
from polytrade.sandbox.playback.options import PlaybackOptions
from polytrade.sandbox.playback.timeline import round_length_s, scan, start_shift_s


def _record(number, source, frame, at_s=0.0):
    ts_ns = 1_794_830_400 * SECOND_NS + int(at_s * SECOND_NS)
    return CaptureRecord(number, source, number, ts_ns, ts_ns, frame)


def test_scan_counts_what_is_played_and_names_what_is_not(capture):
    book = '{"event_type":"book","asset_id":"7"}'
    path = capture(
        [
            _record(1, "polymarket.market/0", book),
            _record(2, "polymarket.market/1", book),
            _record(3, "polymarket.market/1", book),
            _record(4, "polymarket.market/1", "PONG"),
            _record(5, "deribit/0", "{}"),
            attrs.evolve(_record(6, "event", None), event=("clock_ticked", 1)),
        ]
    )
    timeline = scan((path,))
    assert timeline.frames == {"polymarket.market/1": 2}
    assert timeline.skipped == {
        "polymarket.market/0 is a twin": 1,
        "polymarket.market/1 answers": 1,
        "deribit/0 has no endpoint": 1,
        "events": 1,
    }
    assert list(timeline.assets) == ["7"]
    assert timeline.endpoints() == ["market"]
    assert [record.ingest_seq for _, record in timeline.records()] == [2, 3]


def test_several_captures_are_merged_by_time(capture):
    one = capture(
        [_record(1, "binance/0", '{"a":1}', 0), _record(2, "binance/0", "{}", 2)], "a.jsonl"
    )
    two = capture([_record(1, "kraken/0", '{"b":1}', 1)], "b.jsonl")
    timeline = scan((one, two))
    assert [feed for feed, _ in timeline.records()] == ["binance", "kraken", "binance"]
    assert timeline.endpoints() == ["binance", "kraken"]


def test_capture_without_frames_is_refused(capture):
    path = capture([attrs.evolve(_record(1, "event", None), event=("clock_ticked", 1))])
    with pytest.raises(ConfigError, match="expected frames to play"):
        scan((path,))


def test_shift_puts_now_within_the_first_window_of_the_capture(sample_records, capture):
    timeline = scan((capture(sample_records),))
    for later_s in (0, 10, 299, 300, 86_400 * 30 + 123):
        now_ns = timeline.first_ns + later_s * SECOND_NS
        shift_s = start_shift_s(timeline, now_ns)
        assert shift_s % 300 == 0
        assert 0 <= now_ns - shift_s * SECOND_NS - timeline.first_ns < 300 * SECOND_NS
    assert round_length_s(timeline) == 300


def test_short_capture_waits_for_its_place_in_the_window(capture):
    path = capture([_record(1, "binance/0", "{}", 200), _record(2, "binance/0", "{}", 211)])
    timeline = scan((path,))
    now_ns = timeline.first_ns + 250 * SECOND_NS  # over since 239 s
    assert start_shift_s(timeline, now_ns) == 300


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"speed": 0.0}, "playback.speed"),
        ({"speed": 1e6}, "playback.speed"),
        ({"start": "later"}, "start"),
        ({"port_base": 70_000}, "playback.port_base"),
        ({"files": ()}, "playback"),
    ],
)
def test_options_out_of_range_are_refused_by_name(wrong, named):
    good = {"files": (Path("a.jsonl"),)}
    with pytest.raises(ConfigError) as refused:
        PlaybackOptions(**{**good, **wrong})
    assert [problem.path for problem in refused.value.problems] == [named]


def test_shifted_playback_never_waits():
    assert not PlaybackOptions(files=(Path("a"),), shift=True).waits
    assert PlaybackOptions(files=("a",)).waits
    assert not PlaybackOptions(files=("a",), start="now").waits


def test_real_capture_is_found_playable(captures):
    timeline = scan((captures / "ali-btc5m-raw" / "market-ws.head.jsonl",))
    assert timeline.endpoints() == ["market"]
    assert len(timeline.assets) == 4
    assert all(slug.startswith("btc-updown-5m-") for slug in timeline.slugs)
