"""Coinbase: frames invented after the documented shapes of protocols 9.3 and 9.4."""

import json
from collections.abc import Sequence

import pytest

from polytrade.core.events import FeedGap, ReferenceTicked
from polytrade.core.ids import FAST
from polytrade.reference import CoinbaseCodec
from polytrade.wire_roles import WireError

SOURCE = "coinbase/0"
TIME = "2026-02-03T04:05:06.123456Z"
TIME_NS = 1_770_091_506_123_456_000
GAP = FeedGap(5, SOURCE, "", "trade_id_gap")


def ticker(bid: str = "50000.01", ask: str = "50000.04", product: str = "BTC-USD") -> str:
    data = {"type": "ticker", "sequence": 1, "product_id": product, "price": "50000.04"}
    return json.dumps(data | {"best_bid": bid, "best_ask": ask, "time": TIME, "trade_id": 3})


def match(number: int, kind: str = "match", **more: object) -> str:
    data = {"type": kind, "trade_id": number, "product_id": "BTC-USD", "size": "0.1"}
    return json.dumps(data | {"price": "50000.05", "side": "sell", "time": TIME} | more)


def heartbeat(last_trade_id: int) -> str:
    data = {"type": "heartbeat", "sequence": 90, "last_trade_id": last_trade_id}
    return json.dumps(data | {"product_id": "BTC-USD", "time": TIME})


def envelope(sequence: int, channel: str, events: Sequence[object]) -> str:
    data = {"channel": channel, "client_id": "", "timestamp": TIME, "sequence_num": sequence}
    return json.dumps(data | {"events": events})


def advanced_trade(trade_id: int, price: str) -> dict[str, object]:
    data: dict[str, object] = {
        "trade_id": str(trade_id),
        "product_id": "BTC-USD",
        "price": price,
        "size": "1",
    }
    return data | {"side": "BUY", "time": TIME}


def tick(price_e8: int) -> ReferenceTicked:
    return ReferenceTicked(5, "BTC", "coinbase", FAST, price_e8, TIME_NS)


@pytest.fixture
def codec() -> CoinbaseCodec:
    return CoinbaseCodec(["btc"])


def test_ticker_ticks_the_mid(codec: CoinbaseCodec) -> None:
    assert codec.decode(ticker(), 5, SOURCE) == [tick(5_000_002_500_000)]


def test_last_match_starts_the_ids_without_a_tick(codec: CoinbaseCodec) -> None:
    assert codec.decode(match(9, "last_match"), 5, SOURCE) == []
    assert codec.decode(match(10), 5, SOURCE) == [tick(5_000_005_000_000)]
    assert codec.counts == {"last_match": 1, "trade": 1}


def test_match_that_does_not_follow_the_last_match_is_a_gap(codec: CoinbaseCodec) -> None:
    codec.decode(match(9, "last_match"), 5, SOURCE)
    assert codec.decode(match(11), 5, SOURCE) == [GAP, tick(5_000_005_000_000)]


def test_the_same_match_again_is_skipped(codec: CoinbaseCodec) -> None:
    codec.decode(match(9), 5, SOURCE)
    assert codec.decode(match(9), 5, SOURCE) == []


def test_heartbeat_that_names_a_lost_trade_is_a_gap_at_the_next_one(codec: CoinbaseCodec) -> None:
    codec.decode(match(9), 5, SOURCE)
    assert codec.decode(heartbeat(11), 5, SOURCE) == []
    assert codec.decode(heartbeat(11), 5, SOURCE) == [GAP]
    assert codec.decode(heartbeat(11), 5, SOURCE) == []
    assert codec.decode(match(12), 5, SOURCE) == [tick(5_000_005_000_000)]


def test_heartbeat_may_overtake_its_match(codec: CoinbaseCodec) -> None:
    codec.decode(match(9), 5, SOURCE)
    assert codec.decode(heartbeat(10), 5, SOURCE) == []
    assert codec.decode(match(10), 5, SOURCE) == [tick(5_000_005_000_000)]
    assert codec.decode(heartbeat(10), 5, SOURCE) == []
    assert codec.counts["trade_id_gap"] == 0


def test_heartbeats_that_stay_ahead_report_each_loss_once(codec: CoinbaseCodec) -> None:
    codec.decode(match(9), 5, SOURCE)
    answers = [codec.decode(heartbeat(last), 5, SOURCE) for last in (10, 12, 12, 12)]
    assert answers == [[], [GAP], [GAP], []]


def test_heartbeat_with_trade_id_zero_owes_nothing(codec: CoinbaseCodec) -> None:
    codec.decode(match(9), 5, SOURCE)
    assert codec.decode(heartbeat(0), 5, SOURCE) == []
    assert codec.decode(heartbeat(0), 5, SOURCE) == []


def test_heartbeat_before_any_match_owes_nothing(codec: CoinbaseCodec) -> None:
    assert [codec.decode(heartbeat(5), 5, SOURCE) for _ in range(3)] == [[], [], []]


def test_reset_starts_ids_debts_and_envelopes_over(codec: CoinbaseCodec) -> None:
    codec.decode(match(9), 5, SOURCE)
    codec.decode(heartbeat(11), 5, SOURCE)
    codec.decode(envelope(4, "heartbeats", []), 5, SOURCE)
    codec.reset()
    assert codec.decode(match(20), 5, SOURCE) == [tick(5_000_005_000_000)]
    assert codec.decode(heartbeat(20), 5, SOURCE) == []
    assert codec.decode(envelope(0, "heartbeats", []), 5, SOURCE) == []


def test_advanced_ticker_ticks_the_mid_at_the_envelopes_time(codec: CoinbaseCodec) -> None:
    tickers = [{"product_id": "BTC-USD", "best_bid": "50000.01", "best_ask": "50000.04"}]
    frame = envelope(0, "ticker", [{"type": "snapshot", "tickers": tickers}])
    assert codec.decode(frame, 5, SOURCE) == [tick(5_000_002_500_000)]


def test_advanced_trades_tick_in_the_order_of_their_ids(codec: CoinbaseCodec) -> None:
    newest_first = [advanced_trade(11, "7"), advanced_trade(10, "6")]
    frame = envelope(0, "market_trades", [{"type": "update", "trades": newest_first}])
    assert codec.decode(frame, 5, SOURCE) == [tick(600_000_000), tick(700_000_000)]


def test_advanced_snapshot_of_trades_is_history(codec: CoinbaseCodec) -> None:
    events = [{"type": "snapshot", "trades": [advanced_trade(10, "6")]}]
    assert codec.decode(envelope(0, "market_trades", events), 5, SOURCE) == []
    assert codec.counts == {"snapshot": 1}


def test_envelope_number_counts_over_all_channels(codec: CoinbaseCodec) -> None:
    assert codec.decode(envelope(0, "subscriptions", []), 5, SOURCE) == []
    assert codec.decode(envelope(1, "heartbeats", []), 5, SOURCE) == []
    assert codec.decode(envelope(2, "l2_data", []), 5, SOURCE) == []
    gap = FeedGap(5, SOURCE, "", "sequence_gap")
    assert codec.decode(envelope(4, "heartbeats", []), 5, SOURCE) == [gap]
    assert codec.decode(envelope(5, "heartbeats", []), 5, SOURCE) == []
    assert codec.unknown == {"l2_data": 1}


def test_malformed_envelope_is_no_second_gap(codec: CoinbaseCodec) -> None:
    codec.decode(envelope(0, "heartbeats", []), 5, SOURCE)
    with pytest.raises(WireError, match="@ tickers"):
        codec.decode(envelope(1, "ticker", [{"type": "update"}]), 5, SOURCE)
    assert codec.decode(envelope(2, "heartbeats", []), 5, SOURCE) == []


def test_error_answer_is_a_wire_error_with_the_venues_words(codec: CoinbaseCodec) -> None:
    frame = '{"type":"error","message":"Failed to subscribe","reason":"XYZ-USD is not valid"}'
    with pytest.raises(WireError, match="'Failed to subscribe: XYZ-USD is not valid' @ coinbase"):
        codec.decode(frame, 5, SOURCE)


def test_acknowledgements_and_other_messages_are_counted(codec: CoinbaseCodec) -> None:
    assert codec.decode('{"type":"subscriptions","channels":[]}', 5, SOURCE) == []
    assert codec.decode('{"type":"l2update","product_id":"BTC-USD"}', 5, SOURCE) == []
    assert codec.decode(ticker("x", "y", "LTC-EUR"), 5, SOURCE) == []
    assert codec.counts == {"ack": 1, "foreign_pair": 1}
    assert codec.unknown == {"l2update": 1}


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (ticker(bid="0"), "found '0' @ best_bid"),
        (match(1, time="yesterday"), "expected a UTC time in RFC 3339, found 'yesterday' @ time"),
        (match(1, time="2026-02-30T00:00:00Z"), "expected a date"),
        (match(1, price=50000.05), "expected a price as a string, found 50000.05 @ price"),
        (match(1, trade_id="x"), "found 'x' @ trade_id"),
        (heartbeat(-1), "found -1 @ last_trade_id"),
        ('{"channel":"ticker","events":[]}', "found None @ sequence_num"),
        ('{"channel":"ticker","sequence_num":0,"events":{}}', "found a dict @ events"),
    ],
)
def test_malformed_frame_is_a_wire_error_naming_the_field(
    codec: CoinbaseCodec, frame: str, reason: str
) -> None:
    with pytest.raises(WireError) as caught:
        codec.decode(frame, 5, SOURCE)
    assert reason in caught.value.reason


def test_hello_subscribes_each_product_alone() -> None:
    frames = [json.loads(frame) for frame in CoinbaseCodec(["btc", "eth"]).hello()]
    channels = ["matches", "ticker", "heartbeat"]
    assert frames == [
        {"type": "subscribe", "product_ids": ["BTC-USD"], "channels": channels},
        {"type": "subscribe", "product_ids": ["ETH-USD"], "channels": channels},
    ]
