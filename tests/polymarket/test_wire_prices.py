"""RTDS and PolyBolt: invented frames of every form."""

from collections import Counter

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polytrade.core.events import FeedGap, ReferenceTicked
from polytrade.core.ids import ANCHOR, RELAY, TWAP30, TWAP60
from polytrade.polymarket.prices import (
    PolyBoltCredentials,
    PolyBoltDecoder,
    RtdsDecoder,
    polybolt_auth_frame,
    polybolt_ping_frame,
    polybolt_subscribe_frame,
    rtds_subscribe_frame,
    symbol_of,
)
from polytrade.wire_roles import WireError
from tests.polymarket.test_wire import JSON, MS, TS

RTDS = "polymarket.rtds/0"
BOLT = "polymarket.polybolt/0"


def rtds(topic, kind="update", **payload):
    body = {"topic": topic, "type": kind, "timestamp": MS + 900, "payload": payload}
    return orjson.dumps(body).decode()


def tick(symbol, kind, price_e8, ms=MS, source=RTDS):
    return ReferenceTicked(TS, symbol, source, kind, price_e8, ms * 1_000_000)


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("btcusdt", "BTC"),
        ("btc/usd", "BTC"),
        ("ethusd", "ETH"),
        ("XRP/USDC", "XRP"),
        ("sol", "SOL"),
    ],
)
def test_symbols_are_named_alike(name, symbol):
    assert symbol_of(name) == symbol


@pytest.mark.parametrize("name", ["", "usd", "btc usd", "/usd", 7])
def test_what_is_no_symbol_is_refused(name):
    with pytest.raises((ValueError, TypeError), match="expected symbol"):
        symbol_of(name)


@pytest.mark.parametrize(
    ("topic", "symbol", "exact", "kind", "price_e8"),
    [
        ("crypto_prices", "btcusdt", "61035.86000000", RELAY, 6_103_586_000_000),
        ("crypto_prices", "btcusdt", "61035", RELAY, 6_103_500_000_000),
        *[
            (topic, "btc/usd", "63304200301195075000000", kind, 6_330_420_030_119)
            for topic, kind in [
                ("crypto_prices_chainlink", ANCHOR),
                ("crypto_prices_twap_thirty", TWAP30),
                ("crypto_prices_twap_sixty", TWAP60),
            ]
        ],
        ("crypto_prices_twap_sixty", "doge/usd", "89991554182202592", TWAP60, 8_999_155),
    ],
)
def test_rtds_update_by_topic(topic, symbol, exact, kind, price_e8):
    frame = rtds(topic, symbol=symbol, timestamp=MS, value=1.5, full_accuracy_value=exact)
    assert RtdsDecoder().decode(frame, TS, RTDS) == [tick(symbol_of(symbol), kind, price_e8)]


def test_rtds_falls_back_on_the_plain_value():
    frame = rtds("crypto_prices", symbol="btcusdt", timestamp=MS, value=61035.86)
    assert RtdsDecoder().decode(frame, TS, RTDS) == [tick("BTC", RELAY, 6_103_586_000_000)]
    frame = rtds("crypto_prices", symbol="pepeusdt", timestamp=MS, value=0.00001234)
    assert RtdsDecoder().decode(frame, TS, RTDS) == [tick("PEPE", RELAY, 1234)]


def test_rtds_snapshot_comes_oldest_first():
    points = [{"timestamp": MS + 2000, "value": 3}, {"timestamp": MS, "value": 1.25}]
    frame = rtds("crypto_prices", "subscribe", symbol="btcusdt", data=points)
    assert RtdsDecoder().decode(frame, TS, RTDS) == [
        tick("BTC", RELAY, 125_000_000),
        tick("BTC", RELAY, 300_000_000, MS + 2000),
    ]


def test_chainlink_snapshot_under_the_wrong_topic_is_told_by_its_symbol():
    points = [{"timestamp": MS, "value": 76248.86816336501}]
    frame = rtds("crypto_prices", "subscribe", symbol="btc/usd", data=points)
    assert RtdsDecoder().decode(frame, TS, RTDS) == [tick("BTC", ANCHOR, 7_624_886_816_336)]


@pytest.mark.parametrize("frame", ["", "  ", b"", "PONG"])
def test_rtds_empty_frames_give_nothing(frame):
    assert RtdsDecoder().decode(frame, TS, RTDS) == []


def test_rtds_error_bodies_are_wire_errors():
    frame = '{"body":{"message":"leger error"},"statusCode":500}'
    with pytest.raises(WireError, match=r"venue error 500.*leger error"):
        RtdsDecoder().decode(frame, TS, RTDS)


def test_rtds_other_topics_are_counted():
    target = RtdsDecoder()
    assert target.decode(rtds("equity_prices", symbol="aapl"), TS, RTDS) == []
    assert target.unknown == Counter({"equity_prices": 1})


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ({"symbol": "btcusdt", "timestamp": MS}, "expected field 'value'"),
        ({"symbol": "btcusdt", "timestamp": MS, "value": 0}, "expected a positive price"),
        ({"symbol": "btcusdt", "timestamp": MS, "value": True}, "expected value as a number"),
        ({"symbol": "btcusdt", "timestamp": 1.5, "value": 1}, "expected ms since 1970"),
        ({"symbol": "btcusdt", "timestamp": MS, "full_accuracy_value": "x"}, "decimal number"),
        ({"timestamp": MS, "value": 1}, "expected field 'symbol'"),
        ({"symbol": "btcusdt", "data": {}}, "expected a list of at most 4096 points"),
    ],
)
def test_rtds_malformed_payloads_name_what_was_expected(payload, reason):
    with pytest.raises(WireError) as caught:
        RtdsDecoder().decode(rtds("crypto_prices", **payload), TS, RTDS)
    assert reason in caught.value.reason


def test_rtds_subscriptions_have_no_space_in_their_filter():
    assert rtds_subscribe_frame("crypto_prices_chainlink", "btc/usd") == (
        '{"action":"subscribe","subscriptions":[{"topic":"crypto_prices_chainlink",'
        '"type":"update","filters":"{\\"symbol\\":\\"btc/usd\\"}"}]}'
    )
    assert rtds_subscribe_frame("crypto_prices", subscribe=False) == (
        '{"action":"unsubscribe","subscriptions":[{"topic":"crypto_prices","type":"update"}]}'
    )


# PolyBolt


def bolt(channel, seq, *, top=None, **payload):
    body = {"v": 1, "channel": channel, "seq": seq, "ts": MS, "payload": payload}
    return orjson.dumps({**body, **(top or {})}).decode()


def spot(seq, **more):
    point = {"symbol": "btcusd", "timestamp": MS, "full_accuracy_value": "78794.15450441"}
    return bolt("price.crypto", seq, **{**point, **more})


SPOT = tick("BTC", ANCHOR, 7_879_415_450_441, source=BOLT)


def test_polybolt_spot_is_the_anchor_unless_another_source_is_named():
    target = PolyBoltDecoder()
    assert target.decode(spot(1), TS, BOLT) == [SPOT]
    assert target.decode(spot(2, source="chainlink"), TS, BOLT) == [SPOT]
    assert target.decode(spot(3, source="pyth"), TS, BOLT)[0].kind == RELAY


@pytest.mark.parametrize(("window", "kind"), [(30, TWAP30), (60, TWAP60)])
def test_polybolt_averages_by_window(window, kind):
    frame = bolt(
        "price.crypto.twap",
        3,
        symbol="btcusd",
        timestamp=MS,
        full_accuracy_value="78803.715261094101516288",
        window_seconds=window,
    )
    expected = [tick("BTC", kind, 7_880_371_526_109, source=BOLT)]
    assert PolyBoltDecoder().decode(frame, TS, BOLT) == expected


def test_polybolt_snapshot_gives_all_points_oldest_first():
    points = [
        {"timestamp": MS + 1000, "value": 2, "full_accuracy_value": "2.5"},
        {"timestamp": MS, "value": 1, "full_accuracy_value": "1.5"},
    ]
    frame = bolt("price.crypto", 1, top={"snapshot": True}, symbol="ethusd", data=points)
    assert PolyBoltDecoder().decode(frame, TS, BOLT) == [
        tick("ETH", ANCHOR, 150_000_000, source=BOLT),
        tick("ETH", ANCHOR, 250_000_000, MS + 1000, source=BOLT),
    ]


def test_polybolt_missing_numbers_are_a_gap_before_the_tick():
    target = PolyBoltDecoder()
    target.decode(spot(1), TS, BOLT)
    assert target.decode(spot(3), TS, BOLT) == [FeedGap(TS, BOLT, "", "sequence"), SPOT]
    assert target.decode(spot(4), TS, BOLT) == [SPOT]


def test_polybolt_numbers_count_by_channel_and_start_afresh_with_a_connection():
    target = PolyBoltDecoder()
    target.decode(spot(7), TS, BOLT)
    other = bolt("price.crypto.twap", 90, symbol="btcusd", timestamp=MS, value=1, window_seconds=60)
    assert len(target.decode(other, TS, BOLT)) == 1
    assert target.decode('{"op":"authed","rid":"1"}', TS, BOLT) == []
    assert target.decode(spot(50), TS, BOLT) == [SPOT]


def test_polybolt_announced_drops_are_a_gap():
    frame = bolt("price.crypto", 1, top={"dropped": 4}, symbol="btcusd", timestamp=MS, value=1)
    assert PolyBoltDecoder().decode(frame, TS, BOLT)[0] == FeedGap(TS, BOLT, "", "dropped")


def test_polybolt_prices_carried_forward_and_other_windows_are_counted_only():
    target = PolyBoltDecoder()
    assert target.decode(spot(1, is_carried_forward=True), TS, BOLT) == []
    other = bolt("price.crypto.twap", 1, symbol="btcusd", timestamp=MS, window_seconds=90)
    assert target.decode(other, TS, BOLT) == []
    assert target.decode(bolt("price.equity", 1), TS, BOLT) == []
    assert target.unknown == Counter({"carried_forward": 1, "twap 90": 1, "price.equity": 1})


@pytest.mark.parametrize("frame", ["", '{"op":"pong"}', '{"op":"subscribed","rid":"2"}'])
def test_polybolt_answers_give_nothing(frame):
    assert PolyBoltDecoder().decode(frame, TS, BOLT) == []


def test_polybolt_errors_are_wire_errors():
    with pytest.raises(WireError, match=r"venue error 'bad_filter' 'price.crypto'"):
        frame = '{"op":"error","channel":"price.crypto","code":"bad_filter"}'
        PolyBoltDecoder().decode(frame, TS, BOLT)


def test_polybolt_frames():
    assert polybolt_subscribe_frame("BTC", "2") == (
        '{"op":"subscribe","rid":"2","subscriptions":'
        '[{"channel":"price.crypto","filter":{"symbol":"btcusd"}}]}'
    )
    assert polybolt_subscribe_frame("BTC", "3", 60) == (
        '{"op":"subscribe","rid":"3","subscriptions":[{"channel":"price.crypto.twap",'
        '"filter":{"symbol":"btcusd","window_seconds":60}}]}'
    )
    assert polybolt_ping_frame("p") == '{"op":"ping","rid":"p"}'


def test_credentials_are_in_the_frame_but_in_no_repr():
    credentials = PolyBoltCredentials("the-key", "the-secret", "the-phrase")
    assert polybolt_auth_frame(credentials, "1") == (
        '{"op":"auth","rid":"1","auth":'
        '{"apiKey":"the-key","secret":"the-secret","passphrase":"the-phrase"}}'
    )
    assert "the-" not in repr(credentials)


def repr_json(body):
    try:
        return orjson.dumps(body)
    except TypeError:
        return b"[]"


PARTS = st.fixed_dictionaries(
    {},
    optional={
        "topic": st.sampled_from(["crypto_prices", "crypto_prices_chainlink"]) | JSON,
        "channel": st.sampled_from(["price.crypto", "price.crypto.twap"]) | JSON,
        "op": JSON,
        "seq": JSON,
        "snapshot": st.booleans(),
        "payload": st.fixed_dictionaries(
            {},
            optional={
                "symbol": st.just("btcusd") | JSON,
                "timestamp": st.just(MS) | JSON,
                "value": JSON,
                "full_accuracy_value": st.just("1.5") | JSON,
                "window_seconds": st.just(60) | JSON,
                "data": st.lists(JSON, max_size=2) | JSON,
            },
        )
        | JSON,
    },
)


@given(st.binary(max_size=64) | (PARTS | JSON).map(repr_json))
def test_no_frame_raises_anything_but_wire_errors(raw):
    for target in (RtdsDecoder(), PolyBoltDecoder()):
        try:
            for event in target.decode(raw, TS, RTDS):
                orjson.dumps(event.row())
        except WireError as error:
            assert error.source == RTDS
