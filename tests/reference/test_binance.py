"""Binance spot: frames invented after the documented shapes of protocols 9.1."""

import json

import pytest

from polytrade.core.events import FeedGap, ReferenceTicked
from polytrade.core.ids import FAST
from polytrade.reference import BinanceCodec
from polytrade.wire_roles import WireError

SOURCE = "binance/0"


def trade(
    trade_id: int, price: str = "61000.50000000", pair: str = "BTCUSDT", **more: object
) -> str:
    data = {"e": "trade", "E": 1700000000124, "s": pair, "t": trade_id, "p": price, "q": "0.10"}
    return json.dumps(data | {"T": 1700000000123, "m": True, "M": True} | more)


def quote(update_id: int, bid: str = "61000.10", ask: str = "61000.13", **more: object) -> str:
    data = {"u": update_id, "s": "BTCUSDT", "b": bid, "B": "1.5", "a": ask, "A": "2"}
    return json.dumps(data | more)


@pytest.fixture
def codec() -> BinanceCodec:
    return BinanceCodec(["btc", "eth"])


def test_book_ticker_ticks_the_exact_mid_without_a_venue_time(codec: BinanceCodec) -> None:
    assert codec.decode(quote(7), 5, SOURCE) == [
        ReferenceTicked(5, "BTC", "binance", FAST, 6_100_011_500_000, 0)
    ]


def test_mid_of_an_odd_sum_is_rounded_down(codec: BinanceCodec) -> None:
    [tick] = codec.decode(quote(7, "0.00000001", "0.00000004"), 5, SOURCE)
    assert tick == ReferenceTicked(5, "BTC", "binance", FAST, 2, 0)


def test_trade_ticks_its_price_and_time(codec: BinanceCodec) -> None:
    assert codec.decode(trade(10), 5, SOURCE) == [
        ReferenceTicked(5, "BTC", "binance", FAST, 6_100_050_000_000, 1_700_000_000_123_000_000)
    ]


def test_combined_stream_envelope_is_unwrapped(codec: BinanceCodec) -> None:
    wrapped = json.dumps({"stream": "btcusdt@bookTicker", "data": json.loads(quote(7))})
    assert codec.decode(wrapped, 5, SOURCE) == BinanceCodec(["btc"]).decode(quote(7), 5, SOURCE)


def test_consecutive_trade_ids_are_no_gap(codec: BinanceCodec) -> None:
    for trade_id in (10, 11, 12):
        assert len(codec.decode(trade(trade_id), 5, SOURCE)) == 1
    assert codec.counts == {"trade": 3}


@pytest.mark.parametrize("trade_id", [12, 9, 1])
def test_a_trade_id_that_does_not_follow_is_a_gap_before_the_tick(
    codec: BinanceCodec, trade_id: int
) -> None:
    codec.decode(trade(10), 5, SOURCE)
    gap, tick = codec.decode(trade(trade_id), 6, SOURCE)
    assert gap == FeedGap(6, SOURCE, "", "trade_id_gap")
    assert isinstance(tick, ReferenceTicked)
    assert len(codec.decode(trade(trade_id + 1), 7, SOURCE)) == 1
    assert codec.counts["trade_id_gap"] == 1


def test_the_same_trade_again_is_skipped(codec: BinanceCodec) -> None:
    codec.decode(trade(10), 5, SOURCE)
    assert codec.decode(trade(10), 6, SOURCE) == []
    assert codec.counts["repeated"] == 1


def test_pairs_have_trade_ids_of_their_own(codec: BinanceCodec) -> None:
    codec.decode(trade(10), 5, SOURCE)
    [tick] = codec.decode(trade(900, "3000", "ETHUSDT"), 6, SOURCE)
    assert tick == ReferenceTicked(
        6, "ETH", "binance", FAST, 300_000_000_000, 1_700_000_000_123_000_000
    )


def test_reset_starts_trade_ids_over(codec: BinanceCodec) -> None:
    codec.decode(trade(10), 5, SOURCE)
    codec.reset()
    assert len(codec.decode(trade(50), 6, SOURCE)) == 1


def test_a_malformed_trade_does_not_count_as_seen(codec: BinanceCodec) -> None:
    codec.decode(trade(10), 5, SOURCE)
    with pytest.raises(WireError, match=r"expected a price above 0 .* found 'NaN' @ p"):
        codec.decode(trade(11, "NaN"), 6, SOURCE)
    [gap, _] = codec.decode(trade(12), 7, SOURCE)
    assert gap == FeedGap(7, SOURCE, "", "trade_id_gap")


def test_book_ticker_that_goes_back_is_a_gap(codec: BinanceCodec) -> None:
    codec.decode(quote(7), 5, SOURCE)
    assert len(codec.decode(quote(7), 6, SOURCE)) == 1
    assert len(codec.decode(quote(40), 6, SOURCE)) == 1
    gap, tick = codec.decode(quote(39), 7, SOURCE)
    assert gap == FeedGap(7, SOURCE, "", "sequence_gap")
    assert isinstance(tick, ReferenceTicked)


def test_crossed_best_prices_give_no_tick(codec: BinanceCodec) -> None:
    assert codec.decode(quote(7, "2", "1"), 5, SOURCE) == []
    assert codec.counts == {"crossed": 1}


def test_locked_best_prices_tick(codec: BinanceCodec) -> None:
    [tick] = codec.decode(quote(7, "2", "2"), 5, SOURCE)
    assert tick == ReferenceTicked(5, "BTC", "binance", FAST, 200_000_000, 0)


@pytest.mark.parametrize(
    "frame",
    [
        '{"e":"serverShutdown","E":1700000000000}',
        '{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1700000000000}}',
    ],
)
def test_server_shutdown_is_a_gap_and_asks_for_a_new_connection(
    codec: BinanceCodec, frame: str
) -> None:
    assert codec.decode(frame, 5, SOURCE) == [FeedGap(5, SOURCE, "", "server_shutdown")]
    assert codec.reconnect_wanted
    codec.reset()
    assert not codec.reconnect_wanted


def test_acknowledgement_is_nothing(codec: BinanceCodec) -> None:
    assert codec.decode('{"result":null,"id":1}', 5, SOURCE) == []
    assert codec.counts == {"ack": 1}


@pytest.mark.parametrize(
    "frame",
    [
        '{"error":{"code":2,"msg":"Invalid request: unknown"},"id":1}',
        '{"code":2,"msg":"Invalid request: unknown"}',
    ],
)
def test_error_answer_is_a_wire_error_with_the_venues_words(
    codec: BinanceCodec, frame: str
) -> None:
    with pytest.raises(WireError, match="'2 Invalid request: unknown' @ binance"):
        codec.decode(frame, 5, SOURCE)


def test_other_streams_are_counted_as_unknown(codec: BinanceCodec) -> None:
    depth = {"stream": "btcusdt@depth5", "data": {"lastUpdateId": 1, "bids": [], "asks": []}}
    assert codec.decode(json.dumps(depth), 5, SOURCE) == []
    assert codec.decode('{"e":"depthUpdate","s":"BTCUSDT"}', 5, SOURCE) == []
    assert codec.unknown == {"depth5": 1, "depthUpdate": 1}


def test_pairs_not_followed_are_counted_unread(codec: BinanceCodec) -> None:
    assert codec.decode(trade(1, "nonsense", "LTCUSDT"), 5, SOURCE) == []
    assert codec.counts == {"foreign_pair": 1}


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (trade(1, p=None), "found None @ p"),
        (trade(1, p=61000), "expected a price as a string, found 61000 @ p"),
        (trade(1, p="0.00000000"), "found '0.00000000' @ p"),
        (trade(1, p="0.000000001"), "found '0.000000001' @ p"),
        (trade(1, p="-1"), "found '-1' @ p"),
        (trade(1, p="1e5"), "found '1e5' @ p"),
        (trade(1, p="1.123456789e5"), "found '1.123456789e5' @ p"),
        (trade(1, p="10000000.00000001"), "up to 10000000"),
        (trade(1, t="x"), "expected a whole number from 0, found 'x' @ t"),
        (trade(1, t=True), "found True @ t"),
        (trade(1, T=1700000000123456), "expected Unix milliseconds, found 1700000000123456 @ T"),
        (trade(1, s=["BTCUSDT"]), "expected a text, found a list @ s"),
        ('{"stream":"btcusdt@bookTicker","data":{"s":"BTCUSDT"}}', "found None @ u"),
        (quote(1, "1", ""), "found '' @ a"),
        ("[1,2]", "expected an object, found a list @ frame"),
        ("{", "expected JSON"),
        (b"\xff\xfe", "expected JSON"),
    ],
)
def test_malformed_frame_is_a_wire_error_naming_the_field(
    codec: BinanceCodec, frame: str | bytes, reason: str
) -> None:
    with pytest.raises(WireError) as caught:
        codec.decode(frame, 5, SOURCE)
    assert reason in caught.value.reason
    assert caught.value.source == SOURCE
    assert codec.counts == {}


def test_hello_is_one_subscription_of_the_listed_coins() -> None:
    [frame] = BinanceCodec(["btc", "HYPE", "sol"]).hello()
    assert json.loads(frame) == {
        "method": "SUBSCRIBE",
        "params": ["btcusdt@bookTicker", "btcusdt@trade", "solusdt@bookTicker", "solusdt@trade"],
        "id": 1,
    }


def test_connection_is_rotated_before_the_venue_cuts_it(codec: BinanceCodec) -> None:
    assert codec.max_age_s == 84_600
    assert codec.ping() is None
