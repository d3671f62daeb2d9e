"""How each endpoint talks, without a socket."""

import json

import pytest

from polytrade.sandbox.dialects import MarketDialect, Part, Played, RtdsDialect, rtds_parts
from polytrade.sandbox.exchanges import BinanceDialect, ExchangeDialect, binance_parts, is_ack


class NoSnapshots:
    """Nothing to dump."""

    def book_dump(self, asset):
        return None

    def price_dump(self, topic, symbol):
        return None


def _subscribed(assets, **more):
    dialect = MarketDialect(NoSnapshots())
    dialect.hear(json.dumps({"type": "market", "assets_ids": assets, **more}))
    return dialect


def test_array_frame_is_split_only_when_part_of_it_is_not_subscribed():
    text = '[{"event_type":"book","asset_id":"1"}, {"event_type":"book","asset_id":"2"}]'
    played = Played("polymarket.market/0", text, (Part("book", ("1",)), Part("book", ("2",))))
    assert _subscribed(["1", "2"]).select(played).text is text
    split = _subscribed(["2"]).select(played)
    assert json.loads(split.text) == [{"event_type": "book", "asset_id": "2"}]
    assert split.types == {"book": 1}
    assert _subscribed(["3"]).select(played) is None
    assert _subscribed([]).select(played) is None


def test_flagged_types_need_custom_features():
    played = Played("polymarket.market/0", "{}", (Part("market_resolved", ("1",)),))
    assert _subscribed(["1"]).select(played) is None
    assert _subscribed(["1"], custom_feature_enabled=True).select(played).text == "{}"


def test_new_market_goes_to_everyone_who_asked_for_custom_features():
    played = Played("polymarket.market/0", "{}", (Part("new_market", ("9",)),))
    assert _subscribed(["1"], custom_feature_enabled=True).select(played).text == "{}"


def test_unreadable_frames_are_passed_on_verbatim():
    assert _subscribed(["1"]).select(Played("polymarket.market/0", "{torn")).types == {"other": 1}


@pytest.mark.parametrize("text", ["hello", "[]", '{"type":"market"}'])
def test_market_channel_refuses_what_is_no_subscription(text):
    assert MarketDialect(NoSnapshots()).hear(text) == [("INVALID OPERATION", "error")]


def test_rtds_sends_only_the_symbol_filtered_for():
    dialect = RtdsDialect(NoSnapshots())
    item = {"topic": "crypto_prices", "type": "update", "filters": '{"symbol":"btcusdt"}'}
    dialect.hear(json.dumps({"action": "subscribe", "subscriptions": [item]}))
    texts = [
        json.dumps({"topic": "crypto_prices", "type": "update", "payload": {"symbol": symbol}})
        for symbol in ("btcusdt", "ethusdt")
    ]
    got = [dialect.select(Played("polymarket.rtds/0", text, rtds_parts(text))) for text in texts]
    assert [selected is not None for selected in got] == [True, False]
    assert dialect.select(Played("polymarket.rtds/0", "")).text == ""


def test_binance_wraps_raw_frames_for_combined_streams():
    dialect = BinanceDialect("/stream?streams=btcusdt@trade/btcusdt@bookTicker")
    raw = '{"e":"trade","E":1,"s":"BTCUSDT","t":5,"p":"1.50000000"}'
    got = dialect.select(Played("binance/0", raw, binance_parts(raw)))
    assert got.text == f'{{"stream":"btcusdt@trade","data":{raw}}}'
    ticker = '{"u":1,"s":"BTCUSDT","b":"1","B":"1","a":"2","A":"1"}'
    got = dialect.select(Played("binance/0", ticker, binance_parts(ticker)))
    assert got.types == {"bookTicker": 1}
    other = '{"e":"trade","s":"ETHUSDT"}'
    assert dialect.select(Played("binance/0", other, binance_parts(other))) is None


def test_binance_lists_and_removes_subscriptions():
    dialect = BinanceDialect("/ws")
    dialect.hear('{"method":"SUBSCRIBE","params":["a@trade","b@trade"],"id":1}')
    dialect.hear('{"method":"UNSUBSCRIBE","params":["a@trade"],"id":2}')
    answers = dialect.hear('{"method":"LIST_SUBSCRIPTIONS","id":3}')
    assert answers == [('{"result":["b@trade"],"id":3}', "ack")]
    assert json.loads(dialect.hear("{}")[0][0])["error"]["code"] == 2


@pytest.mark.parametrize(
    ("feed", "order", "answer"),
    [
        (
            "coinbase",
            {"type": "subscribe", "product_ids": ["BTC-USD"], "channels": ["matches"]},
            {
                "type": "subscriptions",
                "channels": [{"name": "matches", "product_ids": ["BTC-USD"]}],
            },
        ),
        (
            "kraken",
            {
                "method": "subscribe",
                "params": {"channel": "trade", "symbol": ["BTC/USD"]},
                "req_id": 4,
            },
            {
                "method": "subscribe",
                "result": {"channel": "trade", "symbol": "BTC/USD"},
                "success": True,
                "req_id": 4,
            },
        ),
        (
            "okx",
            {"op": "subscribe", "args": [{"channel": "trades", "instId": "BTC-USDT"}]},
            {
                "event": "subscribe",
                "arg": {"channel": "trades", "instId": "BTC-USDT"},
                "connId": "local",
            },
        ),
        (
            "bybit",
            {"op": "subscribe", "req_id": "1", "args": ["publicTrade.BTCUSDT"]},
            {
                "success": True,
                "ret_msg": "",
                "conn_id": "local",
                "op": "subscribe",
                "req_id": "1",
            },
        ),
    ],
)
def test_exchanges_acknowledge_in_their_own_form(feed, order, answer):
    dialect = ExchangeDialect(feed)
    frame = Played(f"{feed}/0", "{}")
    assert dialect.select(frame) is None
    answers = dialect.hear(json.dumps(order))
    assert [json.loads(text) for text, _ in answers] == [answer]
    assert dialect.select(frame).text == "{}"
    assert is_ack(feed, json.dumps(answer))


def test_exchange_pings_are_answered_in_their_own_form():
    assert ExchangeDialect("okx").hear("ping") == [("pong", "pong")]
    assert json.loads(ExchangeDialect("kraken").hear('{"method":"ping","req_id":3}')[0][0]) == {
        "method": "pong",
        "req_id": 3,
    }
    pong = json.loads(ExchangeDialect("bybit").hear('{"op":"ping","req_id":"x"}')[0][0])
    assert (pong["op"], pong["ret_msg"], pong["req_id"]) == ("ping", "pong", "x")


def test_market_data_is_no_ack():
    assert not is_ack("binance", '{"stream":"btcusdt@trade","data":{}}')
    assert not is_ack("kraken", '{"channel":"heartbeat"}')
    assert not is_ack("polymarket.market", "[]")
    assert is_ack("polymarket.market", "PONG")


@pytest.mark.parametrize("times", [1, 5_000])
def test_a_name_said_again_costs_no_other_snapshot(times):
    class Prices:
        def price_dump(self, topic, symbol):
            return f"{topic} {symbol}"

    dialect = RtdsDialect(Prices())
    subscription = {
        "topic": "crypto_prices_chainlink",
        "type": "update",
        "filters": '{"symbol":"btc/usd"}',
    }
    order = {"action": "subscribe", "subscriptions": [subscription] * times}
    assert len(dialect.hear(json.dumps(order))) == 1
