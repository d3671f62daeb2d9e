"""The statistics of tapes: every figure on a tape made by hand, and the table they end up in."""

import importlib
import math
import sys
from pathlib import Path

import orjson
import pytest

from polytrade.captures import CaptureHeader, CaptureRecord, write_capture

ROOT = Path(__file__).resolve().parent.parent
SECOND_NS = 1_000_000_000
T0_NS = 1_790_000_000 * SECOND_NS
MARKET = "polymarket.market/0"


@pytest.fixture
def scripts(monkeypatch):
    """Imports a module of scripts/ by name; none of them stays imported."""
    before = list(sys.path), set(sys.modules)
    monkeypatch.syspath_prepend(ROOT / "scripts")
    yield importlib.import_module
    sys.path[:] = before[0]
    for name in ("tape_statistics", "lead_lag", "venue_statistics"):
        if name not in before[1]:
            sys.modules.pop(name, None)


def record(ms, body, source=MARKET):
    ts_ns = T0_NS + ms * 1_000_000
    return CaptureRecord(1, source, 1, ts_ns, ts_ns, orjson.dumps(body).decode())


def change(price, size, bid, ask, side="BUY", market="0x1", token="1"):
    row = {
        "asset_id": token,
        "price": price,
        "size": size,
        "side": side,
        "best_bid": bid,
        "best_ask": ask,
    }
    return {"event_type": "price_change", "market": market, "price_changes": [row]}


def book(bids, asks, market="0x1"):
    sides = [[{"price": p, "size": s} for p, s in side] for side in (bids, asks)]
    return {
        "event_type": "book",
        "market": market,
        "asset_id": "1",
        "bids": sides[0],
        "asks": sides[1],
    }


def trade(price, size, side="BUY", token="1", market="0x1"):
    return {
        "event_type": "last_trade_price",
        "market": market,
        "asset_id": token,
        "price": price,
        "size": size,
        "side": side,
    }


def values(figures):
    return {key: figure.value for key, figure in figures.items()}


def test_rates_gaps_and_shares_are_counted_by_arrival(scripts):
    tape = scripts("tape_statistics")
    times = [0, 1000, 1001, 1005, 2000, 3000]
    records = [record(ms, change("0.50", "5", "0.50", "0.51")) for ms in times]
    records.append(record(3100, trade("0.51", "7")))
    found = values(tape.tape_statistics(records))
    assert found["rate_mean"] == 2  # the seconds cut off at both ends are left out: 3 and 1
    assert found["rate_max"] == 3
    assert found["price_change"] == pytest.approx(6 / 7)
    assert found["last_trade_price"] == pytest.approx(1 / 7)
    assert found["gap_p50"] == 100
    assert found["tenth_max"] == 3


def test_only_the_busiest_market_of_ten_seconds_counts(scripts):
    tape = scripts("tape_statistics")
    records = [record(ms, change("0.50", "5", "0.50", "0.51")) for ms in range(0, 9000, 100)]
    records += [
        record(ms, change("0.01", "0", "0.20", "0.31", market="0x2", token="9"))
        for ms in range(50, 9000, 500)
    ]
    records.sort(key=lambda one: one.recv_ts_ns)
    figures = tape.tape_statistics(records)
    assert figures["at_touch"] == tape.Figure(1.0, 90)
    assert figures["removed"].value == 0


def test_books_tell_spread_touch_and_levels(scripts):
    tape = scripts("tape_statistics")
    records = [
        record(0, book([("0.48", "10"), ("0.49", "100")], [("0.51", "5"), ("0.50", "5")])),
        record(200, book([("0.40", "50")], [("0.42", "5")])),
        record(400, book([("0.40", "50")], [])),
        record(450, book([("0.40", "50")], [("0.90", "1")])),
    ]
    found = values(tape.tape_statistics(records))
    assert (found["spread_1"], found["spread_2"]) == (0.5, 0.5)  # at most a sample in 100 ms
    assert found["one_sided"] == pytest.approx(1 / 3)
    assert found["touch_p50"] == 20
    assert found["touch_p90"] == 49
    assert found["levels_p50"] == 2


def test_changes_are_told_by_their_distance_from_the_touch(scripts):
    tape = scripts("tape_statistics")
    rows = [
        change("0.50", "5", "0.50", "0.51"),
        change("0.49", "5", "0.50", "0.51"),
        change("0.01", "5", "0.50", "0.51"),
        change("0.56", "0", "0.50", "0.51", side="SELL"),
        change("0.52", "5", "0.52", "0.53"),
    ]
    records = [record(1000 * second, row) for second, row in enumerate(rows)]
    found = values(tape.tape_statistics(records))
    assert found["at_touch"] == pytest.approx(2 / 5)
    assert found["far"] == pytest.approx(2 / 5)
    assert found["at_end"] == pytest.approx(1 / 5)
    assert found["removed"] == pytest.approx(1 / 5)
    assert found["touch_moves"] == pytest.approx(15)  # one in 4 seconds


def test_trades_are_counted_with_sizes_and_sides(scripts):
    tape = scripts("tape_statistics")
    records = [
        record(0, trade("0.5", "0.37")),
        record(100, trade("0.5", "7.1", side="SELL")),
        record(1200, trade("0.5", "34")),
    ]
    found = values(tape.tape_statistics(records))
    assert (found["trade_p10"], found["trade_p50"], found["trade_p90"]) == (0.37, 7.1, 34)
    assert found["trades_mean"] == 1.5
    assert found["buys"] == pytest.approx(2 / 3)


def test_frames_that_are_arrays_or_garbage_are_taken_as_they_are(scripts):
    tape = scripts("tape_statistics")
    records = [
        record(0, [change("0.5", "5", "0.5", "0.51"), change("0.5", "6", "0.5", "0.51")]),
        record(5, [1, "text", {"event_type": "new_market"}]),
        CaptureRecord(1, MARKET, 1, T0_NS, T0_NS, "PONG"),
        record(9, change("0.5", "5", "0.5", "0.51"), source="polymarket.rtds/0"),
    ]
    assert tape.tape_statistics(records)["at_touch"].n == 2


def test_empty_tape_has_no_figures(scripts):
    assert scripts("tape_statistics").tape_statistics([]) == {}


def test_market_half_a_second_behind_correlates_there(scripts):
    """An exchange that moves every second in turn; trades repeat it 0.6 s later, mirrored."""
    lead = scripts("lead_lag").LeadLag()
    steps = [0, 3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5] * 12
    for second, step in enumerate(steps):
        ts_ns = T0_NS + second * SECOND_NS
        lead.exchange.put(ts_ns, 100_000.0 + step)
        lead.take_trade(ts_ns + 600_000_000, "0x1", 0.5 - step / 100)
    found, pairs = lead.correlations(["0x1"])
    assert pairs == 284  # from 0.6 to 143 s
    assert found[1] == pytest.approx(1.0, abs=0.02)
    assert abs(found[0]) < 0.1


def test_touch_follows_a_quick_move_after_its_delay(scripts):
    lead = scripts("lead_lag").LeadLag()
    for tick in range(0, 30_000, 100):
        price = 100_000.0 if tick < 10_000 else 100_030.0
        lead.take_exchange(
            T0_NS + tick * 1_000_000, {"s": "BTCUSDT", "b": str(price), "a": str(price)}
        )
    lead.take_quote(T0_NS, "0x1", 0.505)
    lead.take_quote(T0_NS + 10_300_000_000, "0x1", 0.525)
    lead.take_quote(T0_NS + 25_000_000_000, "0x1", 0.515)
    assert lead.delays_s(["0x1"]) == [pytest.approx(0.3)]


def test_quantile_is_a_value_that_was_seen(scripts):
    tape = scripts("tape_statistics")
    assert [tape.quantile([4, 1, 3, 2], share) for share in (0.0, 0.5, 0.75, 1.0)] == [1, 2, 3, 4]
    assert math.isnan(tape.quantile([], 0.5))


def test_table_puts_tapes_side_by_side_and_leaves_out_what_none_has(scripts):
    venue = scripts("venue_statistics")
    columns = [
        venue.Column("ours", {"spread_1": venue.Figure(0.8, 1200)}),
        venue.Column("real", {"spread_1": venue.Figure(0.81, 29_078)}),
    ]
    assert venue.table(columns).splitlines()[:3] == [
        "| figure | ours | n | real | n |",
        "|---|--:|--:|--:|--:|",
        "| spread 1 cent or less | 80% | 1,200 | 81% | 29,078 |",
    ]


def test_table_goes_between_the_markers_of_the_page(scripts):
    venue = scripts("venue_statistics")
    page = "before\n<!-- statistics -->\nold\n<!-- /statistics -->\nafter\n"
    assert venue.with_table(page, "new\n") == (
        "before\n<!-- statistics -->\nnew\n<!-- /statistics -->\nafter\n"
    )
    with pytest.raises(ValueError, match="expected <!-- statistics --> and"):
        venue.with_table("no markers", "new\n")


def test_script_compares_a_tape_with_what_captures_there_are(scripts, tmp_path, capsys):
    venue = scripts("venue_statistics")
    tape = tmp_path / "tape.jsonl"
    rows = [record(100 * n, change("0.50", "5", "0.50", "0.51")) for n in range(50)]
    records = [
        CaptureRecord(n, one.source, n, one.recv_ts_ns, one.recv_mono_ns, one.frame)
        for n, one in enumerate(rows, 1)
    ]
    write_capture(tape, CaptureHeader("", "r", True), records)
    captures = tmp_path / "captures"
    caio = captures / venue.CAIO
    caio.parent.mkdir(parents=True)
    found = [
        {"price": "0.5", "local_timestamp": str(1_765_450_800_000 + 400 * n), "asset_price": 90.5}
        for n in range(200)
    ]
    caio.write_bytes(orjson.dumps(found))
    assert venue.main(["--tape", str(tape), "--captures", str(captures)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("<!-- statistics -->\n| figure | tape.jsonl | n | caio:")
    assert "| changes at the touch | 100% | 50 |" in printed


def test_real_captures_have_the_figures_that_were_measured_on_them(scripts, captures):
    """The busy capture of all messages: its mix and rate, as counted by hand once."""
    venue = scripts("venue_statistics")
    figures = next(venue.captured(captures)).figures
    assert figures["at_touch"].value == pytest.approx(0.62, abs=0.01)
    assert figures["price_change"].value == pytest.approx(0.949, abs=0.001)
    assert figures["trade_p10"].value == pytest.approx(0.37)
