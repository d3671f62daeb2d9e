"""The sample capture: a tape of the live venue, repeatable, and right in all one can check."""

import json
import shlex
from collections import Counter

import pytest
from click.testing import CliRunner

from polytrade.captures import read_header
from polytrade.cli_sandbox import sandbox
from polytrade.core.events import BookChanged, MarketListed, MarketResolved, TradePrinted
from polytrade.importers import read_capture
from polytrade.polymarket.gamma import GammaDecoder, Instruments
from polytrade.polymarket.wire import MarketDecoder
from tests.sandbox.conftest import HashChecker

BYTES_MAX = 2_500_000
MINUTES = 10
COINS = ("btc", "eth")
SOURCES = {"binance/0", "gamma/0", "polymarket.market/0", "polymarket.rtds/0"}
WINDOW_NS = 300 * 10**9


@pytest.fixture(scope="module")
def sample_path(root):
    return root / "datasets" / "sample-updown-5m.jsonl.zst"


@pytest.fixture(scope="module")
def shipped(sample_path):
    return list(read_capture(sample_path))


@pytest.fixture(scope="module")
def decoded(shipped):
    """(record, its events): Gamma's and the market channel's frames, decoded as live ones are."""
    instruments = Instruments()
    decoders = {
        "gamma/0": GammaDecoder(instruments),
        "polymarket.market/0": (market := MarketDecoder(instruments)),
    }
    found = []
    for record in shipped:
        if record.source in decoders:
            decoder = decoders[record.source]
            found.append((record, decoder.decode(record.frame, record.recv_ts_ns, record.source)))
    assert not market.unknown
    assert not market.foreign
    return found


@pytest.fixture(scope="module")
def events(decoded):
    return [event for _, found in decoded for event in found]


def test_command_in_the_header_makes_the_shipped_sample(sample_path, shipped, tmp_path):
    header = read_header(sample_path)
    assert header.generated is True
    words = shlex.split(header.note.removeprefix("invented by polytrade sandbox"))
    again = tmp_path / "again.jsonl.zst"
    words[words.index("FILE")] = str(again)
    result = CliRunner().invoke(sandbox, words, standalone_mode=False)
    assert json.loads(result.output)["records"] == len(shipped)
    assert list(read_capture(again)) == shipped
    assert read_header(again) == header


def test_shipped_sample_is_small(sample_path, shipped):
    assert sample_path.stat().st_size <= BYTES_MAX
    assert {record.source for record in shipped} == SOURCES


def test_every_hash_and_every_best_price_of_the_shipped_sample_fits(shipped):
    checker = HashChecker()
    for record in shipped:
        if record.source == "polymarket.market/0":
            checker.hear(record.frame)
    assert checker.bad == []
    assert checker.good > 25_000


def test_receive_times_never_go_back_and_fill_the_minutes(shipped):
    stamps = [record.recv_ts_ns for record in shipped]
    assert stamps == sorted(stamps)
    assert [record.ingest_seq for record in shipped] == list(range(1, len(shipped) + 1))
    assert (stamps[-1] - stamps[0]) / 60e9 == pytest.approx(MINUTES, abs=0.01)


def test_two_windows_ahead_are_always_listed(decoded):
    # A new window is listed as one before it begins, and heard of within a second and a half.
    known, checked = {}, 0
    begin_ns = decoded[0][0].recv_ts_ns
    for record, found in decoded:
        for event in found:
            if isinstance(event, MarketListed):
                assert (event.settle, event.lookback_s, event.fee_rate_e6) == ("twap", 60, 70_000)
                known[event.slug] = event.start_ns
        now_ns = record.recv_ts_ns
        if now_ns - begin_ns > 10**9 and now_ns % WINDOW_NS > 3 * 10**9 // 2:
            for coin in COINS:
                starts = [start_ns for slug, start_ns in known.items() if slug[:3] == coin]
                assert len([start_ns for start_ns in starts if start_ns > now_ns]) == 2
                checked += 1
    assert checked > 10_000
    assert len(known) == len(COINS) * (MINUTES // 5 + 3)


def test_winner_follows_from_the_published_averages(events):
    strikes, starts, winners = {}, {}, {}
    for event in events:
        if isinstance(event, MarketListed):
            starts[event.market] = (event.slug[:3], event.start_ns)
            if event.strike_e8 > 0:
                strikes[event.slug[:3], event.start_ns] = event.strike_e8
        elif isinstance(event, MarketResolved):
            winners[event.market] = event.winner
    for market, winner in winners.items():
        coin, start_ns = starts[market]
        final = strikes[coin, start_ns + WINDOW_NS]
        assert winner == (0 if final >= strikes[coin, start_ns] else 1)
    assert len(winners) == len(COINS) * (MINUTES // 5)
    assert set(winners.values()) == {0, 1}


def test_averages_of_the_price_socket_are_true_averages(shipped):
    spot, averages = {}, {}
    for record in shipped:
        if record.source == "polymarket.rtds/0" and record.frame:
            body = json.loads(record.frame)
            payload = body["payload"]
            key = (payload["symbol"], payload["timestamp"])
            if body["topic"] == "crypto_prices_chainlink":
                spot[key] = int(payload["full_accuracy_value"])
            elif body["topic"] == "crypto_prices_twap_sixty":
                averages[key] = int(payload["full_accuracy_value"])
    checked = 0
    for (symbol, stamp), average in averages.items():
        window = [spot.get((symbol, stamp - 1000 * back)) for back in range(60)]
        if None not in window:
            assert average == sum(window) // 60
            checked += 1
    assert checked > len(COINS) * (MINUTES - 1) * 60 * 0.9


def test_market_is_active_and_tradable(events):
    changes = Counter(type(event) for event in events)
    windows = {e.market: e for e in events if isinstance(e, MarketListed)}
    trades = Counter()
    for event in events:
        if isinstance(event, TradePrinted):
            window = windows[event.market]
            assert event.venue_ts_ms * 10**6 < window.end_ns + 10**9
            trades[event.market] += window.start_ns <= event.venue_ts_ms * 10**6
    assert changes[BookChanged] > 10_000
    # A trade a minute at least in every window that ran to its end.
    ended = {event.market for event in events if isinstance(event, MarketResolved)}
    assert min(trades[market] for market in ended) >= 5
    assert trades.total() > 100


def test_binance_trade_ids_are_consecutive(shipped):
    last = {}
    for record in shipped:
        if record.source == "binance/0":
            data = json.loads(record.frame)["data"]
            if data.get("e") == "trade":
                assert data["t"] == last.get(data["s"], data["t"] - 1) + 1
                last[data["s"]] = data["t"]
    assert set(last) == {"BTCUSDT", "ETHUSDT"}


def test_some_markets_get_the_fine_tick_announced_twice_for_both_tokens(shipped):
    told = Counter()
    markets = set()
    for record in shipped:
        if "tick_size_change" in (record.frame or ""):
            body = json.loads(record.frame)
            for message in body if isinstance(body, list) else [body]:
                if message["event_type"] == "tick_size_change":
                    told[message["asset_id"]] += 1
                    markets.add(message["market"])
    assert markets
    assert len(told) == 2 * len(markets)
    assert set(told.values()) == {2}
