"""A tape: what the live venue says, made offline, the same for the same seed."""

from collections import Counter

import orjson
import pytest

from polytrade import strict
from polytrade.captures import CaptureReader
from polytrade.errors import ConfigError
from polytrade.replay import replay
from polytrade.sandbox.tape import START_S, Tape, write_tape
from polytrade.sandbox.venue.options import VenueOptions

SMALL = VenueOptions(coins=("btc",), windows=("5m",), windows_ahead=1, slow_markets=False)
SECONDS = 20


def lines(options, start_s=START_S):
    return [record.line() for record in Tape(options, start_s).records(SECONDS)]


def test_same_seed_same_tape_and_another_seed_another():
    first = lines(SMALL)
    assert lines(SMALL) == first
    assert lines(VenueOptions(**{**as_arguments(SMALL), "seed": 8})) != first
    assert lines(SMALL, START_S + 3600) != first


def as_arguments(options):
    return {
        name: getattr(options, name)
        for name in ("coins", "windows", "windows_ahead", "slow_markets")
    }


def test_records_come_in_the_order_received_and_without_holes():
    records = list(Tape(SMALL).records(SECONDS))
    assert [record.ingest_seq for record in records] == list(range(1, len(records) + 1))
    received = [record.recv_ts_ns for record in records]
    assert received == sorted(received)
    by_source = Counter(record.source for record in records)
    assert {"polymarket.market/0", "polymarket.rtds/0", "gamma/0", "binance/0"} <= set(by_source)


def test_tape_holds_only_the_sources_asked_for_and_refuses_others(tmp_path):
    tape = Tape(SMALL, START_S, ("rtds", "okx"))
    sources = {record.source for record in tape.records(SECONDS)}
    assert sources == {"gamma/0", "polymarket.rtds/0", "okx/0"}
    for wrong in ((), ("rtds", "deribit")):
        with pytest.raises(ConfigError, match=r"expected one or more of market, .* @ sources"):
            write_tape(tmp_path / "tape.jsonl", SMALL, 1, None, wrong)
    assert not list(tmp_path.iterdir())


def test_recorder_follows_a_market_from_when_gamma_has_told_it():
    known, booked, seen = set(), set(), 0
    for record in Tape(SMALL, START_S + 290, ("market",)).records(SECONDS):
        body = orjson.loads(record.frame)
        if record.source == "gamma/0":
            known.update(orjson.loads(body["markets"][0]["clobTokenIds"]))
            continue
        for message in body if isinstance(body, list) else [body]:
            if message["event_type"] == "new_market":
                continue  # told to everybody
            told = {change["asset_id"] for change in message.get("price_changes", [message])}
            if message["event_type"] == "book":
                booked |= told
            assert told <= booked <= known
            seen += 1
    assert len(booked) == 6  # two windows, and the one that is listed after ten seconds
    assert seen > 100


def test_binance_is_recorded_as_the_daemon_hears_it():
    frames = [record.frame for record in Tape(SMALL, START_S, ("binance",)).records(SECONDS)]
    streams = {body["stream"] for body in map(orjson.loads, frames) if "stream" in body}
    assert streams == {"btcusdt@bookTicker", "btcusdt@trade"}


def test_a_replayed_tape_verifies_every_book_and_trades(tmp_path, root):
    path = tmp_path / "tape.jsonl.zst"
    summary = write_tape(path, SMALL, 2, None)
    assert summary["refused"] == {}
    assert summary["records"] == sum(summary["frames"].values())
    assert sum(1 for _ in CaptureReader(path)) == summary["records"]
    config = strict.load(root / "configs" / "sandbox", ('universe.coins=["btc"]',))
    result = replay(path, config=config)
    quality = result.quality
    assert quality["hash_mismatched"] == 0
    assert quality["hash_matched"] > 100
    assert result.orders > 0
    assert result.clean


def test_gamma_is_recorded_when_something_about_an_event_is_new():
    options = VenueOptions(coins=("btc",), windows=("5m",), windows_ahead=0, slow_markets=False)
    # The window ends five minutes in; it is resolved 18 s later.
    frames = [
        orjson.loads(record.frame)
        for record in Tape(options, START_S + 270).records(90)
        if record.source == "gamma/0"
    ]
    first = f"btc-updown-5m-{START_S}"
    told = [frame for frame in frames if frame["slug"] == first]
    assert [frame["closed"] for frame in told] == [False, True]
    assert "priceToBeat" in told[0]["eventMetadata"]
    assert "finalPrice" in told[1]["eventMetadata"]


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot be written: .*nowhere.* @ tape"):
        write_tape(tmp_path / "nowhere" / "tape.jsonl", SMALL, 1, None)
