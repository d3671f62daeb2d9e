"""Bybit v5 spot: frames invented after the documented shapes of protocols 9.5."""

import json

import pytest

from polytrade.core.events import FeedGap, ReferenceTicked
from polytrade.core.ids import FAST
from polytrade.reference import BybitCodec
from polytrade.wire_roles import WireError

SOURCE = "bybit/0"
CTS_NS = 1_700_000_000_120_000_000
GAP = FeedGap(5, SOURCE, "", "sequence_gap")


def book(
    kind: str,
    update_id: object,
    bid: tuple[str, str] | None = ("50000.1", "1"),
    ask: tuple[str, str] | None = ("50000.3", "2"),
    depth: int = 1,
    **more: object,
) -> str:
    data = {"s": "BTCUSDT", "b": [bid] if bid else [], "a": [ask] if ask else []}
    message = {"topic": f"orderbook.{depth}.BTCUSDT", "type": kind, "ts": 1700000000123}
    body = {"data": data | {"u": update_id, "seq": 900}, "cts": 1700000000120}
    return json.dumps(message | body | more)


def trades(*rows: dict[str, object]) -> str:
    message = {"topic": "publicTrade.BTCUSDT", "type": "snapshot", "ts": 1700000000123}
    return json.dumps(message | {"data": list(rows)})


def trade(price: str, **more: object) -> dict[str, object]:
    row = {"T": 1700000000120, "s": "BTCUSDT", "S": "Buy", "v": "1", "p": price, "i": "a"}
    return row | {"BT": False} | more


def tick(price_e8: int) -> ReferenceTicked:
    return ReferenceTicked(5, "BTC", "bybit", FAST, price_e8, CTS_NS)


@pytest.fixture
def codec() -> BybitCodec:
    return BybitCodec(["btc"])


def test_snapshot_ticks_the_mid_at_the_engines_time(codec: BybitCodec) -> None:
    assert codec.decode(book("snapshot", 10), 5, SOURCE) == [tick(5_000_020_000_000)]


def test_snapshot_without_engine_time_has_the_push_time(codec: BybitCodec) -> None:
    message = json.loads(book("snapshot", 10))
    del message["cts"]
    [found] = codec.decode(json.dumps(message), 5, SOURCE)
    assert isinstance(found, ReferenceTicked)
    assert found.venue_ts_ns == 1_700_000_000_123_000_000


def test_each_trade_ticks_and_block_trades_do_not(codec: BybitCodec) -> None:
    frame = trades(trade("7"), trade("90", BT=True), trade("8"), trade("9", s="LTCUSDT"))
    assert codec.decode(frame, 5, SOURCE) == [tick(700_000_000), tick(800_000_000)]
    assert codec.counts == {"trade": 2, "block_trade": 1, "foreign_pair": 1}


@pytest.mark.parametrize("update_id", [10, 11, 25])
def test_snapshot_repeated_next_or_ahead_is_no_gap(codec: BybitCodec, update_id: int) -> None:
    codec.decode(book("snapshot", 10), 5, SOURCE)
    assert codec.decode(book("snapshot", update_id), 5, SOURCE) == [tick(5_000_020_000_000)]


def test_snapshot_that_goes_back_is_a_gap_and_is_taken(codec: BybitCodec) -> None:
    codec.decode(book("snapshot", 10), 5, SOURCE)
    assert codec.decode(book("snapshot", 9), 5, SOURCE) == [GAP, tick(5_000_020_000_000)]
    assert not codec.reconnect_wanted


@pytest.mark.parametrize("kind", ["snapshot", "delta"])
def test_update_id_one_is_a_restart_and_replaces_the_book(codec: BybitCodec, kind: str) -> None:
    codec.decode(book("snapshot", 10, depth=50), 5, SOURCE)
    restarted = book(kind, 1, ("40000", "1"), ("40002", "1"), depth=50)
    assert codec.decode(restarted, 5, SOURCE) == [tick(4_000_100_000_000)]


def test_consecutive_delta_changes_the_book(codec: BybitCodec) -> None:
    codec.decode(book("snapshot", 10, depth=50), 5, SOURCE)
    assert codec.decode(book("delta", 11, ("50000.2", "1"), None, depth=50), 5, SOURCE) == [
        tick(5_000_025_000_000)
    ]
    assert codec.decode(book("delta", 12, ("50000.2", "0"), None, depth=50), 5, SOURCE) == [
        tick(5_000_020_000_000)
    ]


@pytest.mark.parametrize("update_id", [10, 12, 9])
def test_delta_that_does_not_follow_is_a_gap_until_a_snapshot(
    codec: BybitCodec, update_id: int
) -> None:
    codec.decode(book("snapshot", 10), 5, SOURCE)
    assert codec.decode(book("delta", update_id), 5, SOURCE) == [GAP]
    assert codec.decode(book("delta", update_id + 1), 5, SOURCE) == []
    assert codec.counts["unsynced"] == 1
    assert not codec.reconnect_wanted
    assert codec.decode(book("snapshot", 30), 5, SOURCE) == [tick(5_000_020_000_000)]


def test_broken_deep_book_asks_for_a_new_connection(codec: BybitCodec) -> None:
    codec.decode(book("snapshot", 10, depth=50), 5, SOURCE)
    assert codec.decode(book("delta", 12, depth=50), 5, SOURCE) == [GAP]
    assert codec.reconnect_wanted


def test_depths_are_numbered_on_their_own(codec: BybitCodec) -> None:
    codec.decode(book("snapshot", 10, depth=1), 5, SOURCE)
    codec.decode(book("snapshot", 500, depth=50), 5, SOURCE)
    assert codec.decode(book("delta", 11, depth=1), 5, SOURCE) == [tick(5_000_020_000_000)]
    assert codec.decode(book("delta", 501, depth=50), 5, SOURCE) == [tick(5_000_020_000_000)]


def test_reset_starts_books_over(codec: BybitCodec) -> None:
    codec.decode(book("snapshot", 10), 5, SOURCE)
    codec.reset()
    assert codec.decode(book("delta", 11), 5, SOURCE) == []
    assert codec.decode(book("snapshot", 3), 5, SOURCE) == [tick(5_000_020_000_000)]


def test_empty_side_gives_no_tick(codec: BybitCodec) -> None:
    assert codec.decode(book("snapshot", 10, None), 5, SOURCE) == []
    assert codec.counts == {"one_sided": 1}


def test_malformed_delta_leaves_the_book_alone(codec: BybitCodec) -> None:
    codec.decode(book("snapshot", 10), 5, SOURCE)
    with pytest.raises(WireError, match=r"@ a\.price"):
        codec.decode(book("delta", 11, ask=("x", "1")), 5, SOURCE)
    assert codec.decode(book("delta", 11, None, None), 5, SOURCE) == [tick(5_000_020_000_000)]


@pytest.mark.parametrize(
    "text",
    [
        '{"success":true,"ret_msg":"","conn_id":"c","req_id":"1","op":"subscribe"}',
        '{"success":true,"ret_msg":"pong","conn_id":"c","op":"ping"}',
        '{"op":"pong","args":["1700000000123"],"conn_id":"c"}',
    ],
)
def test_answers_are_nothing(codec: BybitCodec, text: str) -> None:
    assert codec.decode(text, 5, SOURCE) == []
    assert codec.unknown == {}


def test_refused_request_is_a_wire_error_with_the_venues_words(codec: BybitCodec) -> None:
    text = '{"success":false,"ret_msg":"Invalid symbol :[x]","req_id":"1","op":"subscribe"}'
    with pytest.raises(WireError, match=r"'Invalid symbol :\[x\]' @ bybit"):
        codec.decode(text, 5, SOURCE)


def test_other_topics_and_pairs_are_counted(codec: BybitCodec) -> None:
    assert codec.decode('{"topic":"tickers.BTCUSDT"}', 5, SOURCE) == []
    assert codec.decode('{"topic":"orderbook.7.BTCUSDT"}', 5, SOURCE) == []
    assert codec.decode('{"topic":"orderbook.1.LTCUSDT"}', 5, SOURCE) == []
    assert codec.unknown == {"tickers": 1, "orderbook": 1}
    assert codec.counts == {"foreign_pair": 1}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (book("later", 10), "expected snapshot or delta, found 'later' @ type"),
        (book("snapshot", None), "found None @ u"),
        (book("snapshot", 10, ("0", "1")), "found '0' @ b.price"),
        (book("snapshot", 10, ("1", "NaN")), "found 'NaN' @ b.size"),
        (book("snapshot", 10, cts=0), "expected a whole number from 1, found 0 @ cts"),
        (book("snapshot", 10, data=[]), "expected an object, found a list @ data"),
        (trades(trade("-5")), "found '-5' @ p"),
        ('{"topic":"publicTrade.BTCUSDT"}', "found None @ data"),
        ('{"topic":7}', "expected a text, found 7 @ topic"),
    ],
)
def test_malformed_frame_is_a_wire_error_naming_the_field(
    codec: BybitCodec, text: str, reason: str
) -> None:
    with pytest.raises(WireError) as caught:
        codec.decode(text, 5, SOURCE)
    assert reason in caught.value.reason


def test_hello_and_ping() -> None:
    codec = BybitCodec(["btc", "hype"])
    frames = [json.loads(text) for text in codec.hello()]
    assert [frame["args"] for frame in frames] == [
        ["orderbook.1.BTCUSDT", "publicTrade.BTCUSDT"],
        ["orderbook.1.HYPEUSDT", "publicTrade.HYPEUSDT"],
    ]
    assert json.loads(codec.ping() or "") == {"req_id": "ping", "op": "ping"}
