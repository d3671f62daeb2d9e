"""OKX v5: frames invented after the documented shapes of protocols 9.6."""

import json
from collections.abc import Sequence

import pytest

from polytrade.core.events import FeedGap, ReferenceTicked
from polytrade.core.ids import FAST
from polytrade.reference import OkxCodec
from polytrade.wire_roles import WireError

SOURCE = "okx/0"
TS_NS = 1_700_000_000_123_000_000
GAP = FeedGap(5, SOURCE, "", "sequence_gap")


def push(channel: str, *rows: object, pair: str = "BTC-USDT", **more: object) -> str:
    arg = {"channel": channel, "instId": pair}
    return json.dumps({"arg": arg, **more, "data": list(rows)})


def level(price: str, size: str = "1") -> list[str]:
    return [price, size, "0", "2"]


def best(seq: object, bid: str = "50000.1", ask: str = "50000.2", **more: object) -> str:
    row = {"asks": [level(ask)], "bids": [level(bid)], "ts": "1700000000123", "seqId": seq}
    return push("bbo-tbt", row | more)


def book(action: str, prev: int, seq: int, bids: Sequence[object], asks: Sequence[object]) -> str:
    row = {"bids": bids, "asks": asks, "ts": "1700000000123", "checksum": 0}
    return push("books", row | {"seqId": seq, "prevSeqId": prev}, action=action)


def trade(price: str = "50000.3") -> dict[str, object]:
    row: dict[str, object] = {
        "instId": "BTC-USDT",
        "tradeId": "7",
        "px": price,
        "sz": "1",
        "side": "buy",
    }
    return row | {"ts": "1700000000123", "count": "3"}


def tick(price_e8: int) -> ReferenceTicked:
    return ReferenceTicked(5, "BTC", "okx", FAST, price_e8, TS_NS)


@pytest.fixture
def codec() -> OkxCodec:
    return OkxCodec(["btc"])


def test_best_prices_tick_the_mid(codec: OkxCodec) -> None:
    assert codec.decode(best(10), 5, SOURCE) == [tick(5_000_015_000_000)]


def test_each_trade_of_a_push_ticks(codec: OkxCodec) -> None:
    answer = codec.decode(push("trades", trade(), trade("50000.4")), 5, SOURCE)
    assert answer == [tick(5_000_030_000_000), tick(5_000_040_000_000)]


def test_best_price_sequence_may_stand_still_or_jump_but_not_go_back(codec: OkxCodec) -> None:
    assert [len(codec.decode(best(seq), 5, SOURCE)) for seq in (10, 10, 15)] == [1, 1, 1]
    assert codec.decode(best(14), 5, SOURCE) == [GAP, tick(5_000_015_000_000)]
    assert not codec.reconnect_wanted


def test_best_price_with_an_empty_side_gives_no_tick(codec: OkxCodec) -> None:
    assert codec.decode(best(10, asks=[]), 5, SOURCE) == []
    assert codec.counts == {"one_sided": 1}


def test_book_updates_that_chain_tick_the_mid(codec: OkxCodec) -> None:
    asks = [level("101"), level("102")]
    assert codec.decode(book("snapshot", -1, 10, [level("99")], asks), 5, SOURCE) == [
        tick(10_000_000_000)
    ]
    removed = book("update", 10, 13, [], [level("101", "0")])
    assert codec.decode(removed, 5, SOURCE) == [tick(10_050_000_000)]
    keepalive = book("update", 13, 13, [], [])
    assert codec.decode(keepalive, 5, SOURCE) == [tick(10_050_000_000)]
    renumbered = book("update", 13, 3, [level("100")], [])
    assert codec.decode(renumbered, 5, SOURCE) == [tick(10_100_000_000)]


def test_broken_book_chain_is_a_gap_and_asks_for_a_new_connection(codec: OkxCodec) -> None:
    codec.decode(book("snapshot", -1, 10, [level("99")], [level("101")]), 5, SOURCE)
    update = book("update", 11, 12, [level("98")], [])
    assert codec.decode(update, 5, SOURCE) == [GAP]
    assert codec.reconnect_wanted
    assert codec.decode(book("update", 12, 13, [], []), 5, SOURCE) == []
    assert codec.counts["unsynced"] == 1
    codec.reset()
    assert not codec.reconnect_wanted


def test_update_before_a_snapshot_gives_nothing(codec: OkxCodec) -> None:
    assert codec.decode(book("update", 1, 2, [level("99")], [level("101")]), 5, SOURCE) == []
    assert codec.counts == {"unsynced": 1}


def test_book_of_an_old_recording_without_numbers_is_not_checked(codec: OkxCodec) -> None:
    row = {"bids": [level("99")], "asks": [level("101")], "ts": "1700000000123", "checksum": 5}
    assert codec.decode(push("books", row, action="snapshot"), 5, SOURCE) == [tick(10_000_000_000)]
    assert codec.decode(push("books", row, action="update"), 5, SOURCE) == [tick(10_000_000_000)]


def test_malformed_update_leaves_the_chain_alone(codec: OkxCodec) -> None:
    codec.decode(book("snapshot", -1, 10, [level("99")], [level("101")]), 5, SOURCE)
    with pytest.raises(WireError, match=r"@ bids\.size"):
        codec.decode(book("update", 10, 11, [level("98", "-1")], []), 5, SOURCE)
    assert codec.decode(book("update", 10, 11, [], []), 5, SOURCE) == [tick(10_000_000_000)]


def test_service_notice_is_a_gap_and_asks_for_a_new_connection(codec: OkxCodec) -> None:
    notice = '{"event":"notice","code":"64008","msg":"The connection will soon be closed"}'
    assert codec.decode(notice, 5, SOURCE) == [FeedGap(5, SOURCE, "", "server_shutdown")]
    assert codec.reconnect_wanted


def test_other_notices_are_counted(codec: OkxCodec) -> None:
    assert codec.decode('{"event":"notice","code":"1","msg":"hello"}', 5, SOURCE) == []
    assert not codec.reconnect_wanted
    assert codec.counts == {"notice": 1}


def test_error_event_is_a_wire_error_with_the_venues_words(codec: OkxCodec) -> None:
    text = '{"event":"error","code":"60018","msg":"Wrong URL or channel","connId":"a"}'
    with pytest.raises(WireError, match="'60018 Wrong URL or channel' @ okx"):
        codec.decode(text, 5, SOURCE)


@pytest.mark.parametrize("text", ["pong", b"pong", '{"event":"subscribe","arg":{}}', "", b""])
def test_keepalives_and_answers_are_nothing(codec: OkxCodec, text: str | bytes) -> None:
    assert codec.decode(text, 5, SOURCE) == []
    assert codec.unknown == {}


def test_other_channels_and_pairs_are_counted(codec: OkxCodec) -> None:
    assert codec.decode(push("tickers", {}), 5, SOURCE) == []
    assert codec.decode(push("trades", {}, pair="LTC-USDT"), 5, SOURCE) == []
    assert codec.unknown == {"tickers": 1}
    assert codec.counts == {"foreign_pair": 1}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (best(None), "found None @ seqId"),
        (best(10, bid="0"), "found '0' @ bids.price"),
        (best(10, ts="soon"), "found 'soon' @ ts"),
        (best(10, bids=[["1"]]), "expected [price, size], found 1 values @ bids"),
        (best(10, bids=[7]), "expected an array, found 7 @ bids"),
        (push("trades", trade("Infinity")), "found 'Infinity' @ px"),
        (push("trades", 7), "expected an object, found 7 @ data"),
        (push("books", {}, action="later"), "expected snapshot or update, found 'later' @ action"),
        ('{"arg":{"channel":"trades"}}', "found None @ arg.instId"),
        ('{"arg":7}', "expected an object, found 7 @ arg"),
        ("ping", "expected JSON"),
    ],
)
def test_malformed_frame_is_a_wire_error_naming_the_field(
    codec: OkxCodec, text: str, reason: str
) -> None:
    with pytest.raises(WireError) as caught:
        codec.decode(text, 5, SOURCE)
    assert reason in caught.value.reason


def test_hello_and_ping() -> None:
    codec = OkxCodec(["btc", "hype"])
    assert [json.loads(text)["args"] for text in codec.hello()] == [
        [
            {"channel": "bbo-tbt", "instId": f"{coin}-USDT"},
            {"channel": "trades", "instId": f"{coin}-USDT"},
        ]
        for coin in ("BTC", "HYPE")
    ]
    assert codec.ping() == "ping"
    assert codec.ping_interval_s < 30
