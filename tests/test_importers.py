"""Foreign captures: every layout with an invented file, and the real ones where they are."""

import base64
import gzip
import os
import sys
from collections import Counter
from pathlib import Path

import orjson
import pytest

from polytrade.captures import CaptureError, CaptureHeader, CaptureRecord, write_capture
from polytrade.import_layouts import LAYOUTS
from polytrade.import_markets import GUESSED_NOTE, SIDECAR_NOTE, synthesise_markets
from polytrade.importers import layout_table, read_capture
from polytrade.polymarket.gamma import GammaDecoder
from polytrade.polymarket.prices import RtdsDecoder
from polytrade.polymarket.wire import Instruments, MarketDecoder, RestBookDecoder
from polytrade.wire_roles import WireError

S = 1_790_000_000
MS = S * 1000
NS = S * 10**9
MARKET = "0x" + "ab" * 32
UP, DOWN = "111", "222"


def change(ms=MS, **more):
    entries = [
        {"asset_id": UP, "price": "0.48", "size": "3", "side": "BUY", "hash": "a"},
        {"asset_id": DOWN, "price": "0.52", "size": "3", "side": "SELL", "hash": "b"},
    ]
    body = {"market": MARKET, "price_changes": entries, "timestamp": str(ms)}
    return {**body, "event_type": "price_change", **more}


def book(**more):
    levels = [{"price": "0.48", "size": "3"}]
    body = {"market": MARKET, "asset_id": UP, "timestamp": str(MS), "hash": "c"}
    return {**body, "bids": levels, "asks": [], **more}


def text(body):
    return orjson.dumps(body).decode()


def lines(path, *bodies):
    path.write_text("".join(f"{b if isinstance(b, str) else text(b)}\n" for b in bodies))
    return path


def frames(capture):
    return [(record.source, record.frame) for record in capture if record.source != "gamma/0"]


def markets(capture):
    return [orjson.loads(record.frame) for record in capture if record.source == "gamma/0"]


def times(capture):
    return [record.recv_ts_ns for record in capture if record.source != "gamma/0"]


# Layouts


def test_captured_at_keeps_the_venues_time_inside_its_whole_second(tmp_path):
    path = lines(
        tmp_path / "c.jsonl",
        {"capturedAt": S, "payload": change(MS + 250)},
        {"capturedAt": S, "payload": change(MS + 100)},
        {"capturedAt": S, "payload": change(MS + 5000)},
        {"capturedAt": S + 1, "payload": change(MS)},
    )
    capture = read_capture(path)
    assert capture.layout == "capturedAt"
    assert frames(capture)[0] == ("polymarket.market/0", text(change(MS + 250)))
    assert times(capture) == [NS + 250 * 10**6, NS + 250 * 10**6, NS + 10**9 - 1, NS + 10**9]


def test_multi_source_is_told_by_the_payload(tmp_path):
    payloads = [
        book(),
        [book(event_type="book")],
        {"stream": "btcusdt@trade", "data": {"e": "trade", "s": "BTCUSDT", "p": "1"}},
        {"type": "ticker", "product_id": "BTC-USD"},
        {"topic": "crypto_prices", "payload": {}},
        {"hello": 1},
    ]
    rows = [
        {
            "run_id": "r",
            "source": "somewhere",
            "recv_wall_ts": MS + number,
            "recv_mono_ns": 77 + number,
            "ingest_seq": 1000 + number,
            "payload": text(payload),
        }
        for number, payload in enumerate(payloads)
    ]
    capture = read_capture(lines(tmp_path / "raw.jsonl", *rows))
    assert [source for source, _ in frames(capture)] == [
        "clob.book/0",
        "polymarket.market/0",
        "binance/0",
        "coinbase/0",
        "polymarket.rtds/0",
        "somewhere/0",
    ]
    first, second = [record for record in capture if record.source != "gamma/0"][:2]
    assert (first.recv_ts_ns, first.recv_mono_ns) == (NS, 77)
    assert (second.recv_ts_ns, second.recv_mono_ns) == (NS + 10**6, 78)


def test_two_clocks_keeps_keepalives_and_empty_frames(tmp_path):
    def row(number, fonte, payload):
        return {
            "ts_mono_ns": 5 + number,
            "ts_wall_ns": NS + number,
            "fonte": fonte,
            "payload": payload,
        }

    path = lines(
        tmp_path / "c.jsonl",
        row(0, "poly_ws", change()),
        row(1, "poly_ws", {"_b64": base64.b64encode(b"PONG").decode()}),
        row(2, "rtds", {"_b64": ""}),
        row(3, "other", {"_b64": base64.b64encode(b"\xff").decode()}),
    )
    capture = read_capture(path)
    assert frames(capture) == [
        ("polymarket.market/0", text(change())),
        ("polymarket.market/0", "PONG"),
        ("polymarket.rtds/0", ""),
        ("other/0", b"\xff"),
    ]
    assert times(capture) == [NS, NS + 1, NS + 2, NS + 3]


@pytest.mark.parametrize(
    ("frame", "source"),
    [
        ('{"stream":"btcusdt@bookTicker","data":{"u":1,"s":"BTCUSDT"}}', "binance/0"),
        ('{"stream":"x@depth","data":{"e":"depthUpdate","s":"X","pu":1}}', "binance.usdm/0"),
        ('{"event_type":"new_market"}', "polymarket.market/0"),
    ],
)
def test_ns_lines_gzipped(tmp_path, frame, source):
    path = tmp_path / "spot.gz"
    path.write_bytes(gzip.compress(f"{NS} {frame}\n{NS + 5} {frame}\n".encode()))
    capture = read_capture(path)
    assert frames(capture) == [(source, frame)] * 2
    assert times(capture) == [NS, NS + 5]


def test_url_lines_leave_out_what_the_recorder_sent(tmp_path):
    url = "wss://stream.binance.com:9443/stream?streams=btcusdt@trade"
    path = lines(
        tmp_path / "B.ws.1.0",
        f"{url} <-> {S}.5",
        f'{url} <- {S}.6: {{"method":"SUBSCRIBE"}}',
        f'{S}.75: {{"stream":"x"}}',
        f"wss://ws.kraken.com <-> {S + 1}.0",
        f'{S + 1}.1234567: {{"event":"x"}}',
        f'https://api.binance.com/api/v3/depth?symbol=X -> {S + 2}.25: {{"bids":[]}}',
    )
    capture = read_capture(path)
    assert frames(capture) == [
        ("binance/0", '{"stream":"x"}'),
        ("kraken.v1/0", '{"event":"x"}'),
        ("binance.rest/0", '{"bids":[]}'),
    ]
    assert times(capture) == [NS + 750_000_000, NS + 1_123_456_700, NS + 2_250_000_000]


def test_price_change_csv_becomes_the_old_message(tmp_path):
    path = lines(
        tmp_path / "c.csv",
        '"id","asset_id","market","timestamp","hash","changes"',
        f'1,"{UP}","{MARKET}",2025-01-25 18:15:47.925 +0100,abc,'
        '"[{""side"": ""SELL"", ""size"": ""300"", ""price"": ""0.23""}]"',
    )
    capture = read_capture(path)
    ((source, frame),) = frames(capture)
    assert source == "polymarket.market/0"
    assert orjson.loads(frame) == {
        "event_type": "price_change",
        "asset_id": UP,
        "market": MARKET,
        "timestamp": "1737825347925",
        "hash": "abc",
        "changes": [{"side": "SELL", "size": "300", "price": "0.23"}],
    }
    assert times(capture) == [1_737_825_347_925_000_000]


def test_chainlink_csv_becomes_rtds_updates(tmp_path):
    path = lines(
        tmp_path / "p.csv",
        "feed_ts_ms,value,full_accuracy_value,server_ts_ms,recv_ms",
        f"{MS},63304.2,63304200000000000000000,{MS + 900},{MS + 1100}",
    )
    (record,) = read_capture(path)
    (tick,) = RtdsDecoder().decode(record.frame, record.recv_ts_ns, record.source)
    assert (tick.symbol, tick.price_e8, tick.venue_ts_ns) == ("BTC", 6_330_420_000_000, NS)
    assert record.recv_ts_ns == NS + 1_100_000_000


def test_bare_lines_take_the_venues_time_and_never_go_back(tmp_path):
    path = lines(
        tmp_path / "c.jsonl", change(MS), change(MS + 9), book(), {"event_type": "new_market"}
    )
    capture = read_capture(path)
    assert [source for source, _ in frames(capture)] == [
        *["polymarket.market/0"] * 2,
        "clob.book/0",
        "polymarket.market/0",
    ]
    assert times(capture) == [NS, *[NS + 9_000_000] * 3]


def test_document_of_frames(tmp_path):
    path = tmp_path / "frames.json"
    path.write_bytes(
        orjson.dumps([[book(event_type="book")], change()], option=orjson.OPT_INDENT_2)
    )
    assert frames(read_capture(path)) == [
        ("polymarket.market/0", text([book(event_type="book")])),
        ("polymarket.market/0", text(change())),
    ]


def write_parquet(path, rows):
    arrow = pytest.importorskip("pyarrow", reason="pyarrow not installed: parquet not checked")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.Table.from_pylist(rows), path)


def test_parquet_files_of_a_folder_are_merged_by_time(tmp_path):
    other = "0x" + "cd" * 32

    def row(seconds, slug, market, asset):
        frame = text(book(event_type="book", market=market, asset_id=asset))
        return {"timestamp": seconds, "slug": slug, "raw_data": frame}

    late, soon = f"btc-updown-5m-{S + 300}", f"btc-updown-5m-{S}"
    write_parquet(tmp_path / "a.parquet", [row(S + 2.5, late, other, "333")])
    rows = [row(S + 1.25, soon, MARKET, UP), row(S + 3.0, soon, MARKET, UP)]
    write_parquet(tmp_path / "b.parquet", rows)
    capture = read_capture(tmp_path)
    assert times(capture) == [NS + 1_250_000_000, NS + 2_500_000_000, NS + 3_000_000_000]
    assert [market["slug"] for market in markets(capture)] == [soon, late]


def test_parquet_without_pyarrow_says_so(tmp_path, monkeypatch):
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1 anything")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(CaptureError, match="expected pyarrow to read parquet, found it not inst"):
        read_capture(path)


def test_our_own_captures_pass_through_unchanged(tmp_path):
    path = tmp_path / "raw.jsonl.zst"
    records = [CaptureRecord(4, "gamma/0", 1, NS, 5, "[]"), CaptureRecord(6, "okx/0", 1, NS, 6, "")]
    write_capture(path, CaptureHeader("", "r"), records)
    capture = read_capture(path)
    assert list(capture) == records
    assert capture.layout == "polytrade"
    assert capture.losses.missing == 1
    assert list(read_capture(tmp_path)) == records


def test_packed_foreign_captures_are_read_as_well(tmp_path):
    zstandard = pytest.importorskip("zstandard")
    path = tmp_path / "c.jsonl.zst"
    path.write_bytes(zstandard.ZstdCompressor().compress(text(change()).encode() + b"\n"))
    assert frames(read_capture(path)) == [("polymarket.market/0", text(change()))]


# Order and numbers


def test_records_are_numbered_over_all_and_by_source(tmp_path):
    path = lines(tmp_path / "c.jsonl", change(), {"topic": "x", "payload": {}}, change(MS + 1))
    numbers = [(r.ingest_seq, r.source, r.source_seq) for r in read_capture(path)]
    assert numbers == [
        (1, "gamma/0", 1),
        (2, "polymarket.market/0", 1),
        (3, "polymarket.rtds/0", 1),
        (4, "polymarket.market/0", 2),
    ]


def test_a_capture_can_be_read_more_than_once(tmp_path):
    capture = read_capture(lines(tmp_path / "c.jsonl", change()))
    assert list(capture) == list(capture)


# Markets


def test_markets_json_beside_the_capture_comes_first(tmp_path):
    noted = {
        "slug": f"btc-updown-5m-{S}",
        "conditionId": MARKET,
        "startTs": S,
        "endTs": S + 300,
        "tickSize": 0.01,
        "minOrderSize": 5,
        "upTokenId": DOWN,
        "downTokenId": UP,
    }
    (tmp_path / "markets.json").write_text(text({"current": noted, "broken": {"slug": "x"}}))
    path = lines(tmp_path / "c.jsonl", {"capturedAt": S, "payload": change()})
    capture = read_capture(path)
    assert [market["note"] for market in markets(capture)] == [SIDECAR_NOTE]
    (listed,) = GammaDecoder().decode(text(markets(capture)[0]), NS, "gamma/0")
    assert (listed.yes, listed.no, listed.symbol, listed.start_ns) == (DOWN, UP, "BTC", NS)
    assert "made up" not in capture.note


def test_markets_jsonl_beside_the_capture_comes_first(tmp_path):
    noted = {
        "market_id": "7",
        "slug": f"btc-updown-15m-{S}",
        "condition_id": MARKET,
        "outcomes": [{"token_id": UP, "outcome": "Up"}, {"token_id": DOWN, "outcome": "Down"}],
        "start_ts": MS,
        "end_ts": MS + 900_000,
        "resolution_source": "https://data.chain.link/streams/btc-usd",
        "tick_size": 0.01,
        "min_order_size": 5.0,
        "fee_parameters": {
            "fees_enabled": True,
            "raw_fee_config": {"exponent": 1, "rate": 0.072, "rebateRate": 0.2},
        },
    }
    lines(tmp_path / "markets.jsonl", noted, "not json", "[]")
    path = lines(tmp_path / "c.jsonl", change())
    (listed,) = GammaDecoder().decode(text(markets(read_capture(path))), NS, "gamma/0")
    assert (listed.yes, listed.fee_rate_e6, listed.settle) == (UP, 72_000, "spot")
    assert listed.end_ns == NS + 900 * 10**9


def test_a_gamma_answer_beside_the_capture_is_preferred_to_a_guess(tmp_path):
    own = {"conditionId": MARKET, "slug": "real", "clobTokenIds": text([DOWN, UP])}
    (tmp_path / f"gamma_{MARKET}.json").write_text(text(own))
    capture = read_capture(lines(tmp_path / "c.jsonl", change()))
    assert markets(capture) == [own]


def test_captures_that_bring_their_markets_get_none_made_up(tmp_path):
    own = {"conditionId": MARKET, "slug": "real", "clobTokenIds": text([DOWN, UP])}
    capture = read_capture(lines(tmp_path / "c.jsonl", change(), own))
    assert markets(capture) == [own]


def records(*bodies):
    return [
        CaptureRecord(n, "polymarket.market/0", n, NS + n, n, text(b)) for n, b in enumerate(bodies)
    ]


def test_made_up_markets_pair_the_assets_and_are_flagged():
    (market,) = synthesise_markets(records(change(), book(event_type="book", tick_size="0.001")))
    assert orjson.loads(market["clobTokenIds"]) == [UP, DOWN]
    assert market["note"] == GUESSED_NOTE
    assert (market["orderPriceMinTickSize"], market["orderMinSize"]) == ("0.001", 5)
    assert not market["negRisk"]
    (listed,) = GammaDecoder().decode(text(market), NS, "gamma/0")
    assert (listed.condition, listed.accepting, listed.tick_e4) == ("other", True, 10)
    assert listed.start_ns <= NS < listed.end_ns


def test_a_complement_never_seen_gets_an_id_of_its_own():
    (first,) = synthesise_markets(records(book(event_type="book")))
    (second,) = synthesise_markets(records(book(event_type="book")))
    ids = orjson.loads(first["clobTokenIds"])
    assert ids[0] == UP
    assert ids[1].isdigit()
    assert ids[1] != UP
    assert first == second


@pytest.mark.parametrize(
    ("outcome", "winner", "expected"),
    [("Up", DOWN, [DOWN, UP]), ("Down", UP, [DOWN, UP]), ("Yes", UP, [UP, DOWN])],
)
def test_a_resolution_tells_which_outcome_is_which(outcome, winner, expected):
    resolved = {
        "event_type": "market_resolved",
        "market": MARKET,
        "assets_ids": [UP, DOWN],
        "winning_asset_id": winner,
        "winning_outcome": outcome,
    }
    (market,) = synthesise_markets(records(change(), resolved))
    assert orjson.loads(market["clobTokenIds"]) == expected


def test_new_markets_of_others_and_broken_frames_make_no_market():
    broken = CaptureRecord(1, "polymarket.market/0", 1, NS, 1, "{")
    assert synthesise_markets([broken, *records({"event_type": "new_market", "market": "x"})]) == []


# Faults


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("notes.txt", b"hello\n"),
        ("x.json", b'{\n "base_fee": 1000\n}\n'),
        ("x.jsonl", b'{"base_fee": 1000}\n'),
        ("empty", b""),
        ("torn.gz", gzip.compress(b"x" * 999)[:20]),
    ],
)
def test_what_is_no_capture_is_refused(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(CaptureError, match=name):
        read_capture(path)


def test_a_folder_without_captures_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(CaptureError, match="expected captures, found none"):
        read_capture(tmp_path)


@pytest.mark.parametrize(
    "second",
    ["no json", "[]", '{"capturedAt": 1}', '{"capturedAt": "x", "payload": {}}'],
)
def test_a_later_line_that_does_not_fit_is_named(tmp_path, second):
    path = lines(tmp_path / "c.jsonl", {"capturedAt": S, "payload": change()}, second)
    with pytest.raises(CaptureError, match=r"c\.jsonl"):
        read_capture(path)


# Documentation and the real ones


def test_the_table_of_layouts_names_every_layout():
    table = layout_table()
    assert all(f"| {layout.name} |" in table for layout in LAYOUTS)
    assert len(table.splitlines()) == len(LAYOUTS) + 2


REAL = {
    "ali-btc5m-raw/market-ws.head.jsonl": {"gamma/0": 2, "polymarket.market/0": 2961},
    "cronos-btc5m-book": {"gamma/0": 8, "polymarket.market/0": 29_931},
    "cryptofeed-ws/COINBASE.ws.28.0": {"coinbase/0": 9946},
    "cryptofeed-ws/OKX.ws.1.0": {"okx/0": 410},
    "jonah-multisource/m9-rtds-natural-20260429T021025Z-fresh/raw_messages.jsonl": {
        "gamma/0": 3,
        "clob.book/0": 360,
        "polymarket.market/0": 87,
        "binance/0": 300,
        "coinbase/0": 300,
        "polymarket.rtds/0": 900,
    },
    "legacy-formats/aaimek_price_change_messages_202501302221.csv": {
        "gamma/0": 1,
        "polymarket.market/0": 3829,
    },
    "ligengxin-chainlink/BTCUSD-prices-2026-06-08.csv.gz": {"polymarket.rtds/0": 84_558},
    "polycopy-fixtures/clob_ws_market_sample.jsonl": {"gamma/0": 1, "polymarket.market/0": 9},
    "pulsearb-frames/poly_ws_tick_size_change.jsonl": {"gamma/0": 2, "polymarket.market/0": 7},
    "ssmd-fixtures/polymarket_book.jsonl": {"gamma/0": 10, "polymarket.market/0": 10},
    "tinli-fixtures/ws_frames_fed.json": {"gamma/0": 1, "polymarket.market/0": 27},
}


@pytest.mark.parametrize("name", REAL)
def test_real_captures_import_and_decode(name):
    folder = os.environ.get("POLYTRADE_CAPTURES")
    if not folder:
        pytest.skip("POLYTRADE_CAPTURES not set: real captures not checked")
    instruments = Instruments()
    decoders = {
        "gamma": GammaDecoder(instruments),
        "polymarket.market": MarketDecoder(instruments),
        "clob.book": RestBookDecoder(instruments),
        "polymarket.rtds": RtdsDecoder(),
    }
    counts: Counter[str] = Counter()
    errors: list[WireError] = []
    events = last_ns = 0
    for record in read_capture(Path(folder) / name):
        counts[record.source] += 1
        assert record.recv_ts_ns >= last_ns
        last_ns = record.recv_ts_ns
        decoder = decoders.get(record.source.partition("/")[0])
        if decoder is not None:
            try:
                events += len(decoder.decode(record.frame, record.recv_ts_ns, record.source))
            except WireError as error:
                errors.append(error)
    assert counts == REAL[name]
    assert errors == []
    assert (events > 0) == any(source.partition("/")[0] in decoders for source in counts)
    assert not decoders["polymarket.market"].foreign
