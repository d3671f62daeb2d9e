"""Good messages with one value replaced: an exchange's bug or a changed field, never a crash."""

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polytrade.reference import CODECS
from polytrade.wire_roles import WireError

TIME = "2026-02-03T04:05:06.123456Z"
MS = 1700000000123
GOOD: list[tuple[str, dict[str, Any]]] = [
    ("binance", {"e": "trade", "s": "BTCUSDT", "t": 1, "p": "5.0", "q": "1", "T": MS}),
    (
        "binance",
        {"stream": "btcusdt@bookTicker", "data": {"u": 1, "s": "BTCUSDT", "b": "1", "a": "2"}},
    ),
    ("binance", {"error": {"code": 2, "msg": "no"}, "id": 1}),
    (
        "coinbase",
        {"type": "match", "product_id": "BTC-USD", "trade_id": 1, "price": "5", "time": TIME},
    ),
    (
        "coinbase",
        {"type": "ticker", "product_id": "BTC-USD", "best_bid": "1", "best_ask": "2", "time": TIME},
    ),
    ("coinbase", {"type": "heartbeat", "product_id": "BTC-USD", "last_trade_id": 1, "time": TIME}),
    (
        "coinbase",
        {
            "channel": "ticker",
            "timestamp": TIME,
            "sequence_num": 0,
            "events": [{"tickers": [{"product_id": "BTC-USD", "best_bid": "1", "best_ask": "2"}]}],
        },
    ),
    (
        "coinbase",
        {
            "channel": "market_trades",
            "sequence_num": 0,
            "events": [
                {
                    "type": "update",
                    "trades": [
                        {"product_id": "BTC-USD", "trade_id": "1", "price": "5", "time": TIME}
                    ],
                }
            ],
        },
    ),
    (
        "kraken",
        {
            "channel": "ticker",
            "type": "update",
            "data": [{"symbol": "BTC/USD", "bid": 1, "ask": 2}],
        },
    ),
    (
        "kraken",
        {
            "channel": "trade",
            "type": "update",
            "data": [{"symbol": "BTC/USD", "price": 5.5, "trade_id": 1, "timestamp": TIME}],
        },
    ),
    (
        "kraken",
        {
            "channel": "book",
            "type": "snapshot",
            "data": [
                {
                    "symbol": "BTC/USD",
                    "bids": [{"price": 1.5, "qty": 1}],
                    "asks": [{"price": 2.5, "qty": 1}],
                    "checksum": 7,
                    "timestamp": TIME,
                }
            ],
        },
    ),
    ("kraken", {"method": "subscribe", "success": False, "error": "no"}),
    (
        "okx",
        {
            "arg": {"channel": "bbo-tbt", "instId": "BTC-USDT"},
            "data": [{"bids": [["1", "1"]], "asks": [["2", "1"]], "ts": str(MS), "seqId": 1}],
        },
    ),
    (
        "okx",
        {
            "arg": {"channel": "books", "instId": "BTC-USDT"},
            "action": "snapshot",
            "data": [
                {
                    "bids": [["1", "1"]],
                    "asks": [["2", "1"]],
                    "ts": str(MS),
                    "seqId": 1,
                    "prevSeqId": -1,
                }
            ],
        },
    ),
    (
        "okx",
        {
            "arg": {"channel": "trades", "instId": "BTC-USDT"},
            "data": [{"px": "5", "ts": str(MS)}],
        },
    ),
    ("okx", {"event": "notice", "code": "64008", "msg": "soon"}),
    (
        "bybit",
        {
            "topic": "orderbook.1.BTCUSDT",
            "type": "snapshot",
            "ts": MS,
            "data": {"b": [["1", "1"]], "a": [["2", "1"]], "u": 5},
            "cts": MS,
        },
    ),
    (
        "bybit",
        {"topic": "publicTrade.BTCUSDT", "data": [{"s": "BTCUSDT", "p": "5", "T": MS}]},
    ),
    ("bybit", {"success": True, "ret_msg": "pong", "op": "ping"}),
]
DAMAGE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(),
    st.text(max_size=6),
    st.sampled_from(["0", "-1", "1e9", "NaN", "9" * 40, "1.2.3", "²", {}, [], [[]], [None]]),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of every value inside a message."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, child in inner:
        yield (*path, key)
        if isinstance(child, (dict, list)):
            yield from places(child, (*path, key))


def damaged(message: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """A copy of the message with another value at the path."""
    copy = deepcopy(message)
    inner: Any = copy
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return copy


@settings(deadline=None)
@given(st.sampled_from(GOOD), st.data())
def test_one_damaged_value_gives_events_or_a_wire_error(
    good: tuple[str, dict[str, Any]], data: st.DataObject
) -> None:
    name, message = good
    path = data.draw(st.sampled_from(list(places(message))))
    frame = json.dumps(damaged(message, path, data.draw(DAMAGE)))
    codec = CODECS[name](["btc"])
    for _ in range(2):
        try:
            codec.decode(frame, 7, name)
        except WireError as error:
            assert error.source == name


@pytest.mark.parametrize(("name", "message"), GOOD)
def test_every_missing_value_gives_events_or_a_wire_error(
    name: str, message: dict[str, Any]
) -> None:
    for path in places(message):
        codec = CODECS[name](["btc"])
        frame = json.dumps(damaged(message, path, None))
        try:
            codec.decode(frame, 7, name)
        except WireError as error:
            assert error.source == name
