"""Kraken v2: frames invented after the documented shapes of protocols 9.7."""

import json
import zlib

import pytest

from polytrade.core.events import FeedGap, ReferenceTicked
from polytrade.core.ids import FAST
from polytrade.reference import KrakenCodec
from polytrade.reference.kraken import book_checksum
from polytrade.reference.levels import LevelBook, level_of
from polytrade.wire_roles import WireError

SOURCE = "kraken/0"
TIME = "2026-02-03T04:05:06.123456789Z"
TIME_NS = 1_770_091_506_123_456_789
CHECKSUM_GAP = FeedGap(5, SOURCE, "", "checksum")

# Two levels a side at one price decimal and four size decimals, and what the checksum is over:
# asks from the lowest, then bids from the highest, no points, no leading zeros.
SNAPSHOT_BIDS = [("50000.0", "0.5000"), ("49999.5", "2.0000")]
SNAPSHOT_ASKS = [("50000.5", "0.0100"), ("50001.0", "12.0000")]
SNAPSHOT_TEXT = "500005100" + "500010120000" + "5000005000" + "49999520000"


def frame(channel: str, kind: str, *rows: str) -> str:
    return f'{{"channel":"{channel}","type":"{kind}","data":[{",".join(rows)}]}}'


def ticker_row(bid: str, ask: str, symbol: str = "BTC/USD") -> str:
    return f'{{"symbol":"{symbol}","bid":{bid},"bid_qty":1.0,"ask":{ask},"ask_qty":3,"last":1.5}}'


def trade_row(trade_id: int, price: str = "50000.5", symbol: str = "BTC/USD") -> str:
    return (
        f'{{"symbol":"{symbol}","side":"buy","price":{price},"qty":0.001,"ord_type":"limit",'
        f'"trade_id":{trade_id},"timestamp":"{TIME}"}}'
    )


def book_row(bids: list[tuple[str, str]], asks: list[tuple[str, str]], checksum: int | str) -> str:
    sides = [
        ",".join(f'{{"price":{price},"qty":{qty}}}' for price, qty in side) for side in (bids, asks)
    ]
    return (
        f'{{"symbol":"BTC/USD","bids":[{sides[0]}],"asks":[{sides[1]}],'
        f'"checksum":{checksum},"timestamp":"{TIME}"}}'
    )


def crc(text: str) -> int:
    return zlib.crc32(text.encode())


def snapshot() -> str:
    return frame("book", "snapshot", book_row(SNAPSHOT_BIDS, SNAPSHOT_ASKS, crc(SNAPSHOT_TEXT)))


def tick(price_e8: int, venue_ts_ns: int = TIME_NS) -> ReferenceTicked:
    return ReferenceTicked(5, "BTC", "kraken", FAST, price_e8, venue_ts_ns)


@pytest.fixture
def codec() -> KrakenCodec:
    return KrakenCodec(["btc"], checked_book=True)


def test_ticker_ticks_the_mid_of_json_numbers_exactly(codec: KrakenCodec) -> None:
    answer = codec.decode(frame("ticker", "update", ticker_row("0.1", "0.2")), 5, SOURCE)
    assert answer == [tick(15_000_000, 0)]


def test_ticker_with_a_time_carries_it(codec: KrakenCodec) -> None:
    row = f'{{"symbol":"BTC/USD","bid":50000,"ask":50001.0,"timestamp":"{TIME}"}}'
    assert codec.decode(frame("ticker", "snapshot", row), 5, SOURCE) == [tick(5_000_050_000_000)]


def test_number_in_exponent_form_is_read_exactly(codec: KrakenCodec) -> None:
    answer = codec.decode(frame("ticker", "update", ticker_row("5e-05", "7E-5")), 5, SOURCE)
    assert answer == [tick(6_000, 0)]


def test_trades_of_one_message_tick_in_the_order_of_their_ids(codec: KrakenCodec) -> None:
    rows = (trade_row(11, "7"), trade_row(10, "6"))
    answer = codec.decode(frame("trade", "update", *rows), 5, SOURCE)
    assert answer == [tick(600_000_000), tick(700_000_000)]


def test_missing_trade_id_is_a_gap_before_its_tick(codec: KrakenCodec) -> None:
    gap = FeedGap(5, SOURCE, "", "trade_id_gap")
    codec.decode(frame("trade", "update", trade_row(10)), 5, SOURCE)
    rows = (trade_row(11), trade_row(13))
    answer = codec.decode(frame("trade", "update", *rows), 5, SOURCE)
    assert answer == [tick(5_000_050_000_000), gap, tick(5_000_050_000_000)]


def test_trade_snapshot_only_starts_the_ids(codec: KrakenCodec) -> None:
    rows = (trade_row(9), trade_row(8))
    assert codec.decode(frame("trade", "snapshot", *rows), 5, SOURCE) == []
    assert len(codec.decode(frame("trade", "update", trade_row(10)), 5, SOURCE)) == 1
    assert codec.counts == {"snapshot": 2, "trade": 1}


def test_one_bad_trade_of_a_message_leaves_the_ids_alone(codec: KrakenCodec) -> None:
    codec.decode(frame("trade", "update", trade_row(10)), 5, SOURCE)
    with pytest.raises(WireError, match="@ price"):
        codec.decode(frame("trade", "update", trade_row(11), trade_row(12, "0")), 5, SOURCE)
    assert len(codec.decode(frame("trade", "update", trade_row(11)), 5, SOURCE)) == 1


def test_snapshot_that_fits_its_checksum_ticks_the_mid(codec: KrakenCodec) -> None:
    assert codec.decode(snapshot(), 5, SOURCE) == [tick(5_000_025_000_000)]


def test_decimals_are_learned_when_the_wire_drops_trailing_zeros(codec: KrakenCodec) -> None:
    bids, asks = [("50000", "0.5"), ("49999.5", "2")], [("50000.5", "0.01"), ("50001", "12")]
    row = book_row(bids, asks, crc(SNAPSHOT_TEXT))
    assert codec.decode(frame("book", "snapshot", row), 5, SOURCE) == [tick(5_000_025_000_000)]


def test_update_is_applied_whole_before_the_checksum(codec: KrakenCodec) -> None:
    codec.decode(snapshot(), 5, SOURCE)
    text = "500010120000" + "5000005000" + "49999520000" + "49999010000"
    row = book_row([("49999.0", "1.0000")], [("50000.5", "0")], crc(text))
    assert codec.decode(frame("book", "update", row), 5, SOURCE) == [tick(5_000_050_000_000)]


def test_update_that_misses_its_checksum_is_a_gap_and_silences_the_book(
    codec: KrakenCodec,
) -> None:
    codec.decode(snapshot(), 5, SOURCE)
    update = frame("book", "update", book_row([("49999.0", "1.0000")], [], crc("another book")))
    assert codec.decode(update, 5, SOURCE) == [CHECKSUM_GAP]
    assert codec.reconnect_wanted
    assert codec.decode(update, 5, SOURCE) == []
    assert codec.counts["unsynced"] == 1
    assert codec.decode(snapshot(), 5, SOURCE) == [tick(5_000_025_000_000)]


def test_snapshot_that_misses_its_checksum_is_a_gap_without_a_new_connection(
    codec: KrakenCodec,
) -> None:
    row = book_row(SNAPSHOT_BIDS, SNAPSHOT_ASKS, crc("another book"))
    assert codec.decode(frame("book", "snapshot", row), 5, SOURCE) == [CHECKSUM_GAP]
    assert not codec.reconnect_wanted


def test_malformed_update_leaves_the_book_alone(codec: KrakenCodec) -> None:
    codec.decode(snapshot(), 5, SOURCE)
    with pytest.raises(WireError, match=r"@ asks\.price"):
        codec.decode(
            frame("book", "update", book_row([("49999.0", "1")], [("0", "1")], 1)), 5, SOURCE
        )
    unchanged = frame("book", "update", book_row([], [], crc(SNAPSHOT_TEXT)))
    assert codec.decode(unchanged, 5, SOURCE) == [tick(5_000_025_000_000)]


def test_levels_that_fall_out_of_the_ten_are_forgotten(codec: KrakenCodec) -> None:
    bids = [(f"{100 - i}.0", "1.0") for i in range(10)]
    asks = [("101.0", "1.0")]
    bid_texts = [f"{100 - i}010" for i in range(10)]
    row = book_row(bids, asks, crc("101010" + "".join(bid_texts)))
    assert len(codec.decode(frame("book", "snapshot", row), 5, SOURCE)) == 1
    better = book_row([("100.5", "1.0")], [], crc("101010" + "100510" + "".join(bid_texts[:9])))
    assert codec.decode(frame("book", "update", better), 5, SOURCE) == [tick(10_075_000_000)]


def test_checksum_is_that_of_the_worked_example_in_krakens_guide() -> None:
    # docs.kraken.com, "Book checksum (WebSocket v2)": BTC/USD, one price and eight size decimals.
    ask_texts = (
        "45285.2 0.001 45286.4 1.54571953 45286.6 1.54571109 45289.6 1.54560911 45290.2 0.1589066"
        " 45291.8 1.54553491 45294.7 0.04454749 45296.1 0.3538 45297.5 0.09945542"
        " 45299.5 0.18772827"
    )
    bid_texts = (
        "45283.5 0.1 45283.4 1.54582015 45282.1 0.1 45281.0 0.1 45280.3 1.54592586 45279.0 0.0799"
        " 45277.6 0.03310103 45277.5 0.3 45277.3 1.54602737 45276.6 0.15445238"
    )
    asks, bids = ask_texts.split(), bid_texts.split()
    book = LevelBook(10)
    book.apply(
        [level_of(p, q, "bids") for p, q in zip(bids[::2], bids[1::2], strict=True)],
        [level_of(p, q, "asks") for p, q in zip(asks[::2], asks[1::2], strict=True)],
    )
    assert book_checksum(book, 1, 8) == 3_310_070_434


def test_reset_forgets_books_and_ids(codec: KrakenCodec) -> None:
    codec.decode(snapshot(), 5, SOURCE)
    codec.decode(frame("trade", "update", trade_row(10)), 5, SOURCE)
    codec.reset()
    update = frame("book", "update", book_row([], [], crc(SNAPSHOT_TEXT)))
    assert codec.decode(update, 5, SOURCE) == []
    assert len(codec.decode(frame("trade", "update", trade_row(20)), 5, SOURCE)) == 1


def test_keepalives_and_answers_are_nothing(codec: KrakenCodec) -> None:
    for text in (
        '{"channel":"heartbeat"}',
        '{"channel":"status","type":"update","data":[{"system":"online"}]}',
        '{"method":"pong","req_id":1}',
        '{"method":"subscribe","result":{"channel":"trade","symbol":"BTC/USD"},"success":true}',
    ):
        assert codec.decode(text, 5, SOURCE) == []
    assert codec.counts == {"heartbeat": 1, "status": 1, "pong": 1, "ack": 1}


def test_error_answer_is_a_wire_error_with_the_venues_words(codec: KrakenCodec) -> None:
    text = '{"error":"Currency pair not supported ZZZ/USD","method":"subscribe","success":false}'
    with pytest.raises(WireError, match="'Currency pair not supported ZZZ/USD' @ kraken"):
        codec.decode(text, 5, SOURCE)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (frame("ticker", "update", ticker_row("NaN", "1")), "expected a number, found NaN"),
        (frame("ticker", "update", ticker_row("Infinity", "1")), "found Infinity"),
        (frame("ticker", "update", ticker_row("0.0", "1")), "found '0.0' @ bid"),
        (frame("ticker", "update", ticker_row("-1", "1")), "found '-1' @ bid"),
        (frame("ticker", "update", ticker_row("1e400", "1")), "expected a plain number"),
        (frame("ticker", "update", ticker_row("1e" + "9" * 25, "1")), "expected a plain number"),
        (frame("ticker", "update", '{"symbol":"BTC/USD","bid":1}'), "found None @ ask"),
        (frame("ticker", "delta"), "expected snapshot or update, found 'delta' @ type"),
        (frame("trade", "update", '{"side":"buy"}'), "found None @ symbol"),
        (frame("book", "update", book_row([], [], 2**32)), "expected a CRC32"),
        (frame("book", "update", book_row([], [], '"x"')), "found 'x' @ checksum"),
        ("[" * 100_000, "expected JSON, found nesting without end"),
        ("[]", "expected an object, found a list @ frame"),
        (b"\xff", "can't decode byte"),
    ],
)
def test_malformed_frame_is_a_wire_error_naming_the_field(
    codec: KrakenCodec, text: str | bytes, reason: str
) -> None:
    with pytest.raises(WireError) as caught:
        codec.decode(text, 5, SOURCE)
    assert reason in caught.value.reason


def test_other_channels_and_pairs_are_counted(codec: KrakenCodec) -> None:
    assert codec.decode(frame("ohlc", "update"), 5, SOURCE) == []
    row = ticker_row("1", "2", "LTC/EUR")
    assert codec.decode(frame("ticker", "update", row), 5, SOURCE) == []
    assert codec.unknown == {"ohlc": 1}
    assert codec.counts == {"foreign_pair": 1}


def test_hello_subscribes_best_prices_and_trades_of_all_pairs() -> None:
    frames = [json.loads(text) for text in KrakenCodec(["btc", "doge"]).hello()]
    symbols = ["BTC/USD", "DOGE/USD"]
    assert frames == [
        {
            "method": "subscribe",
            "params": {"channel": "ticker", "event_trigger": "bbo", "symbol": symbols},
            "req_id": 1,
        },
        {
            "method": "subscribe",
            "params": {"channel": "trade", "snapshot": False, "symbol": symbols},
            "req_id": 2,
        },
    ]


def test_hello_of_a_checked_book_subscribes_the_book_instead(codec: KrakenCodec) -> None:
    assert json.loads(codec.hello()[0])["params"] == {
        "channel": "book",
        "depth": 10,
        "snapshot": True,
        "symbol": ["BTC/USD"],
    }
