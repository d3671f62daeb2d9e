"""The codec without a socket: what it asks, answers, tells and refuses."""

import json
from typing import Any

import pytest
from deribit_server import NOW_MS, chain, index, notice, volatility_index
from polytrade_deribit import Deribit

from polytrade.api import WireError, events

SECOND = 10**9
NOW = NOW_MS * 10**6
SOURCE = "deribit/0"


def made(**settings: Any) -> Deribit:
    return Deribit(**{"coins": ("btc", "eth", "sol"), **settings})


def feed(codec: Deribit, *frames: object, at_s: float = 0.0) -> list[Any]:
    """The events of frames that come at one time."""
    found: list[Any] = []
    for frame in frames:
        text = frame if isinstance(frame, str) else json.dumps(frame)
        found += codec.decode(text, NOW + round(at_s * SECOND), SOURCE)
    return found


def refused(codec: Deribit, frame: object) -> str:
    """Why a frame cannot be read."""
    with pytest.raises(WireError) as caught:
        feed(codec, frame)
    return caught.value.reason


def test_hello_asks_for_heartbeats_and_the_channels_of_coins_with_options() -> None:
    asked = [json.loads(frame) for frame in made(heartbeat_s=20).hello()]
    assert [(it["id"], it["method"]) for it in asked] == [
        (1, "public/set_heartbeat"),
        (10, "public/subscribe"),
        (11, "public/subscribe"),
    ]
    assert all(it["jsonrpc"] == "2.0" for it in asked)
    assert asked[0]["params"] == {"interval": 20}
    assert asked[1]["params"]["channels"] == [
        "deribit_price_index.btc_usd",
        "markprice.options.btc_usd",
        "deribit_volatility_index.btc_usd",
    ]
    assert asked[2]["params"]["channels"][1] == "markprice.options.eth_usd"
    assert made(coins=("sol", "xrp")).hello() == []


def test_options_at_the_money_are_told() -> None:
    codec = made()
    assert feed(codec, index(90_000.0)) == []
    (event,) = feed(codec, chain({1: {88_000: 0.5, 90_000: 0.45, 92_000: 0.5}}))
    assert event == events.VolatilityQuoted(
        NOW, "deribit", "BTC", 0.45, NOW + 86_400 * SECOND, NOW_MS
    )
    (event,) = feed(codec, index(3_000, "eth_usd"), chain({1: {3_000: 0.7}}, "ETH"))
    assert (event.symbol, event.sigma) == ("ETH", 0.7)


def test_horizon_and_nearest_expiry_are_those_of_the_settings() -> None:
    marks = (index(90_000.0), chain({1: {90_000: 0.4}, 2: {90_000: 0.6}}))
    (far,) = feed(made(horizon_h=48.0), *marks)
    assert (far.sigma, far.expiry_ns) == (0.6, NOW + 2 * 86_400 * SECOND)
    (late,) = feed(made(horizon_h=1.0, least_h=25.0), *marks)
    assert (late.sigma, late.expiry_ns) == (0.6, NOW + 2 * 86_400 * SECOND)


def test_absurd_marks_are_left_out_and_counted() -> None:
    codec = made()
    assert feed(codec, index(90_000.0), chain({1: {90_000: 10.01}})) == []
    (event,) = feed(codec, chain({1: {90_000: 10.0}}))
    assert event.sigma == 10.0
    assert codec.counts["mark_left_out"] > 0


def test_a_volatility_is_told_on_change_and_every_so_often() -> None:
    codec = made(change=0.01, every_s=30.0)
    told = []
    for at_s, iv in (
        (0, 0.450),
        (1, 0.453),  # 0.7 %
        (2, 0.455),  # 1.1 % since it was told
        (3, 0.450),  # 1.1 % back
        (32, 0.450),
        (33, 0.451),  # 30 s after the last
        (34, 0.451),
    ):
        rows = feed(codec, index(90_000.0), chain({1: {90_000: iv}}), at_s=at_s)
        told += [(at_s, event.sigma) for event in rows]
    assert told == [(0, 0.45), (2, 0.455), (3, 0.45), (33, 0.451)]
    assert codec.silence_s == 45.0


def test_index_alone_moves_nothing() -> None:
    codec = made()
    feed(codec, index(90_000.0), chain({1: {88_000: 0.5, 92_000: 0.4}}))
    assert feed(codec, index(91_900.0), at_s=1) == []


def test_volatility_index_speaks_only_after_the_options_had_their_time() -> None:
    codec = made()
    assert feed(codec, volatility_index(45.5)) == []
    assert feed(codec, volatility_index(45.5), at_s=14.9) == []
    (event,) = feed(codec, volatility_index(45.5), at_s=15.0)
    month_ns = 30 * 86_400 * SECOND
    assert event == events.VolatilityQuoted(
        NOW + 15 * SECOND, "deribit", "BTC", 0.455, NOW + 15 * SECOND + month_ns, NOW_MS
    )
    (event,) = feed(codec, index(90_000.0), chain({1: {90_000: 0.6}}), at_s=16)
    assert event.sigma == 0.6
    assert feed(codec, volatility_index(45.5), at_s=17) == []
    feed(codec, volatility_index(45.5), at_s=76)
    (event,) = feed(codec, volatility_index(45.5), at_s=77)  # the marks are older than 60 s
    assert event.sigma == 0.455


def test_volatility_index_that_is_old_does_not_speak() -> None:
    codec = made(every_s=1.0)
    unheard = chain({1: {10_000: 0.4}})
    feed(codec, index(90_000.0), volatility_index(45.5))
    assert len(feed(codec, unheard, at_s=15)) == 1
    feed(codec, volatility_index(45.5), at_s=20)
    assert len(feed(codec, unheard, at_s=35)) == 1
    assert feed(codec, unheard, at_s=35.1) == []
    assert feed(codec, unheard, at_s=40) == []


def test_expired_options_are_forgotten() -> None:
    codec = made()
    feed(codec, index(90_000.0), chain({1: {90_000: 0.45}, 2: {90_000: 0.45}}))
    feed(codec, chain({2: {90_000: 0.45}}), at_s=86_400)
    assert list(codec._surfaces["BTC"]._marks) == [NOW + 2 * 86_400 * SECOND]


def test_test_request_is_answered_once_and_heartbeats_are_not() -> None:
    codec = made()
    wanted = {"jsonrpc": "2.0", "method": "heartbeat", "params": {"type": "test_request"}}
    assert feed(codec, wanted, wanted) == []
    (answer,) = codec.answers()
    assert json.loads(answer)["method"] == "public/test"
    assert codec.answers() == []
    feed(codec, {"jsonrpc": "2.0", "method": "heartbeat", "params": {"type": "heartbeat"}})
    assert codec.answers() == []
    assert codec.counts["heartbeat"] == 3


def test_new_connection_forgets_everything_and_tells_at_once() -> None:
    codec = made()
    frames = (index(90_000.0), chain({1: {90_000: 0.45}}))
    assert len(feed(codec, *frames)) == 1
    feed(codec, {"method": "heartbeat", "params": {"type": "test_request"}})
    codec.reset()
    assert codec.answers() == []
    assert feed(codec, chain({1: {90_000: 0.45}}), at_s=1) == []  # no index yet
    assert len(feed(codec, *frames, at_s=2)) == 1


def test_refused_channel_is_told_by_name_and_the_others_go_on() -> None:
    codec = made()
    given = ["deribit_price_index.btc_usd", "markprice.options.btc_usd"]
    reason = refused(codec, {"jsonrpc": "2.0", "id": 10, "result": given})
    assert "no subscription of deribit_volatility_index.btc_usd" in reason
    assert codec.counts["refused"] == 1
    assert len(feed(codec, index(90_000.0), chain({1: {90_000: 0.45}}))) == 1


def test_error_answer_is_told_with_its_code() -> None:
    error = {"code": -32602, "message": "Invalid params", "data": {"reason": "too low"}}
    reason = refused(made(), {"jsonrpc": "2.0", "id": 1, "error": error})
    assert "-32602 Invalid params: too low" in reason
    assert "too_many" in refused(made(), {"id": 1, "error": "too_many"})
    assert "10028" in refused(made(), {"id": 1, "error": {"code": 10028}})


def test_answers_without_news_are_taken() -> None:
    codec = made()
    good = json.loads(codec.hello()[1])["params"]["channels"]
    assert feed(codec, {"id": 1, "result": "ok"}, {"id": 10, "result": good}) == []
    assert feed(codec, {"id": 2, "result": {"version": "1.2.26"}}) == []
    assert feed(codec, {"id": "x", "result": 1}) == []
    assert feed(codec, "", {"method": "announcements"}, {"id": 7}) == []
    assert codec.counts["ack"] == 4
    assert codec.unknown == {"announcements": 1, "untyped": 1}


def test_foreign_and_unmarked_options_are_left_out() -> None:
    codec = made()
    data = json.loads(chain({1: {90_000: 0.45}}))["params"]["data"]
    feed(
        codec,
        index(90_000.0),
        notice("markprice.options.sol_usd", data),
        notice("ticker.btc_usd", {}),
    )
    rows = [
        {**data[0], "iv": None},
        {**data[0], "iv": 0},
        {**data[0], "instrument_name": "ETH-2DEC25-3000-C"},
        {**data[0], "instrument_name": "BTC-PERPETUAL"},
        {**data[0], "iv": 45.0},
    ]
    assert feed(codec, notice("markprice.options.btc_usd", rows)) == []
    assert codec.counts["foreign_pair"] == 3
    assert (codec.counts["unmarked"], codec.counts["mark_left_out"]) == (2, 1)
    assert codec.unknown == {"ticker": 1}


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ("{", "expected JSON"),
        ([], "expected an object, found a list @ frame"),
        ({"method": "subscription"}, "@ params"),
        (notice("", {}), "@ channel"),
        (notice("deribit_price_index.btc_usd", []), "@ data"),
        (notice("deribit_price_index.btc_usd", {"price": "90000"}), "found '90000' @ price"),
        (notice("deribit_price_index.btc_usd", {"price": 1e300}), "@ price"),
        (notice("deribit_price_index.btc_usd", {"price": True}), "found True @ price"),
        (notice("markprice.options.btc_usd", {}), "expected an array, found a dict @ data"),
        (notice("markprice.options.btc_usd", [{}]), "expected an instrument_name, found a dict"),
        (notice("markprice.options.btc_usd", [7]), "expected an instrument_name, found 7 @ data"),
        (notice("markprice.options.btc_usd", [{"instrument_name": []}]), "an instrument_name"),
        (volatility_index(-1), "found -1 @ volatility"),
        (volatility_index(1_001), "up to 1000, found 1001 @ volatility"),
        ({"method": "heartbeat"}, "@ params"),
        ({"id": 10, "result": "ok"}, "expected a list of channels, found 'ok' @ result"),
    ],
)
def test_malformed_frame_is_refused_and_the_codec_goes_on(frame: object, expected: str) -> None:
    codec = made()
    assert expected in refused(codec, frame)
    assert len(feed(codec, index(90_000.0), chain({1: {90_000: 0.45}}))) == 1


def test_far_strikes_and_expiries_are_passed_over() -> None:
    codec = made()
    near, far = {90_000: 0.45, 74_000: 3.0}, {90_000: 0.6}  # 74,000 is 21 % from the index
    assert len(feed(codec, index(90_000.0), chain({1: near, 9: far}))) == 1
    assert (codec.counts["mark"], codec.counts["mark_left_out"]) == (2, 4)


def test_frame_with_one_bad_row_changes_nothing() -> None:
    codec = made()
    feed(codec, index(90_000.0), chain({1: {90_000: 0.45}}))
    rows = json.loads(chain({1: {90_000: 0.9, 91_000: 0.9}}))["params"]["data"]
    rows[1]["timestamp"] = "late"
    assert "@ timestamp" in refused(codec, notice("markprice.options.btc_usd", rows))
    assert feed(codec, chain({2: {1_000: 0.1}}), at_s=1) == []


@pytest.mark.parametrize("url", ["https://www.deribit.com", "deribit.com", ""])
def test_address_is_a_web_socket(url: str) -> None:
    with pytest.raises(ValueError, match="expected a wss:// address @ url"):
        made(url=url)
