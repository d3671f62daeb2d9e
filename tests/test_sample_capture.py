"""The sample capture: generated, repeatable, and right in everything a checker can check."""

import importlib.util
import json
from collections import Counter

import pytest

from polytrade.captures import read_header
from polytrade.core.events import BookChanged, MarketListed, MarketResolved, TradePrinted
from polytrade.importers import read_capture
from polytrade.polymarket.gamma import GammaDecoder, Instruments
from polytrade.polymarket.wire import MarketDecoder
from polytrade.sandbox.sample import Sample
from tests.sandbox.conftest import HashChecker

BYTES_MAX = 2_500_000


@pytest.fixture(scope="module")
def sample_path(root):
    return root / "datasets" / "sample-updown-5m.jsonl.zst"


@pytest.fixture(scope="module")
def shipped(sample_path):
    return list(read_capture(sample_path))


@pytest.fixture(scope="module")
def events(shipped):
    """Gamma's and the market channel's frames, decoded as live ones are."""
    instruments = Instruments()
    gamma, market = GammaDecoder(instruments), MarketDecoder(instruments)
    found = []
    for record in shipped:
        if record.source == "gamma/0":
            found += gamma.decode(record.frame, record.recv_ts_ns, record.source)
        elif record.source == "polymarket.market/0":
            found += market.decode(record.frame, record.recv_ts_ns, record.source)
    assert not market.unknown
    assert not market.foreign
    return found


def _script(root):
    path = root / "scripts" / "make_sample_capture.py"
    spec = importlib.util.spec_from_file_location("make_sample_capture", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_same_seed_gives_the_same_bytes_and_another_seed_others(root, tmp_path, capsys):
    script = _script(root)
    arguments = ["--minutes", "5", "--coins", "btc"]
    written = []
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        out = tmp_path / f"{name}.jsonl.zst"
        assert script.main([*arguments, "--seed", seed, "--out", str(out)]) == 0
        written.append(out.read_bytes())
    assert written[0] == written[1] != written[2]
    assert json.loads(capsys.readouterr().out.partition("\n}\n")[0] + "}")["records"] > 1000


def test_shipped_sample_is_what_the_script_generates(shipped):
    assert shipped == list(Sample(7, 15, ("btc", "eth")).records())


def test_shipped_sample_is_small_and_says_that_it_is_generated(sample_path):
    assert sample_path.stat().st_size <= BYTES_MAX
    header = read_header(sample_path)
    assert header.generated is True
    assert "make_sample_capture.py" in header.note


def test_every_hash_and_every_best_price_of_the_shipped_sample_fits(shipped):
    checker = HashChecker()
    for record in shipped:
        if record.source == "polymarket.market/0":
            checker.hear(record.frame)
    assert checker.bad == []
    assert checker.good > 25_000


def test_receive_times_never_go_back_and_fill_fifteen_minutes(shipped):
    stamps = [record.recv_ts_ns for record in shipped]
    assert stamps == sorted(stamps)
    assert [record.ingest_seq for record in shipped] == list(range(1, len(shipped) + 1))
    assert (stamps[-1] - stamps[0]) / 60e9 == pytest.approx(15, abs=0.01)


def test_two_windows_ahead_are_always_listed(events):
    listings = [event for event in events if isinstance(event, MarketListed)]
    first_ns = listings[5].ts_ns  # the windows known from the begin are listed one after another
    known = {}
    checked = 0
    for event in events:
        if isinstance(event, MarketListed):
            assert (event.settle, event.lookback_s, event.fee_rate_e6) == ("twap", 60, 70_000)
            known[event.slug] = event.start_ns
        if event.ts_ns > first_ns:
            for coin in ("btc", "eth"):
                ahead = [s for slug, s in known.items() if slug[:3] == coin and s > event.ts_ns]
                assert len(ahead) >= 2
                checked += 1
    assert checked > 10_000
    assert len(known) == 12
    assert len({e.market for e in events if isinstance(e, MarketResolved)}) == 6


def test_winner_follows_from_the_published_averages(events):
    strikes, starts, winners = {}, {}, {}
    for event in events:
        if isinstance(event, MarketListed):
            starts[event.market] = (event.slug[:3], event.start_ns)
            if event.strike_e8 > 0:
                strikes[event.slug[:3], event.start_ns] = event.strike_e8
        elif isinstance(event, MarketResolved):
            winners[event.market] = event.winner
    checked = 0
    first_ns = min(start_ns for _, start_ns in starts.values())
    for market, winner in winners.items():
        coin, start_ns = starts[market]
        final = strikes[coin, start_ns + 300 * 10**9]
        assert winner == (0 if final >= strikes[coin, start_ns] else 1)
        checked += 1
    assert checked == 6
    for coin in ("btc", "eth"):  # a looped playback takes up where it ended
        assert strikes[coin, first_ns + 900 * 10**9] == strikes[coin, first_ns]
    assert set(winners.values()) == {0, 1}


def test_averages_of_the_price_socket_are_true_averages(shipped):
    spot, averages = {}, {}
    for record in shipped:
        if record.source == "polymarket.rtds/0":
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
    assert checked > 1650


def test_market_is_active_and_tradable(events):
    changes = Counter(type(event) for event in events)
    windows = {e.market: e for e in events if isinstance(e, MarketListed)}
    minutes = Counter()
    for event in events:
        if isinstance(event, TradePrinted):
            window = windows[event.market]
            assert window.start_ns <= event.venue_ts_ms * 10**6 < window.end_ns + 10**9
            minutes[event.market] += 1
    assert changes[BookChanged] > 10_000
    # Several trades a minute in every window that ran to its end.
    assert len([count for count in minutes.values() if count >= 25]) == 6


def test_binance_trade_ids_are_consecutive(shipped):
    last = {}
    for record in shipped:
        if record.source == "binance/0":
            data = json.loads(record.frame)["data"]
            if data.get("e") == "trade":
                assert data["t"] == last.get(data["s"], data["t"] - 1) + 1
                last[data["s"]] = data["t"]
    assert set(last) == {"BTCUSDT", "ETHUSDT"}


def test_one_market_gets_the_fine_tick(shipped):
    changes = []
    for record in shipped:
        if "tick_size_change" in (record.frame or ""):
            body = json.loads(record.frame)
            changes += [m for m in body if m["event_type"] == "tick_size_change"]
    assert len(changes) == 4
    assert len({change["asset_id"] for change in changes}) == 2
    assert len({change["market"] for change in changes}) == 1


@pytest.mark.parametrize(
    ("minutes", "coins"), [(7, ("btc",)), (0, ("btc",)), (5, ()), (5, ("dogecoin",))]
)
def test_sample_refuses_what_it_cannot_generate(minutes, coins):
    with pytest.raises(ValueError, match="expected"):
        Sample(1, minutes, coins)
