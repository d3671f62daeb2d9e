"""Moving frames in time: times, names and hashes move, everything else stays byte for byte."""

import json

import pytest

from polytrade.sandbox.playback.shift import Names, Shift, slug_start_s, window_label

CONDITION = "0x" + "ab" * 32
UP, DOWN = "1" * 77, "2" * 78
START = 1_794_830_400


@pytest.fixture
def names():
    found = Names()
    slug = f"btc-updown-5m-{START}"
    found.add(CONDITION, slug, [UP, DOWN], ["555", "666"])
    found.add(
        "0x" + "cd" * 32, f"btc-updown-5m-{START + 300}", ["3" * 77, "4" * 77], ["777", "888"]
    )
    return found


def test_zero_shift_changes_nothing(names):
    shift = Shift(0, names)
    frame = f'{{"market":"{CONDITION}","timestamp":"1794830400123"}}'
    assert shift.market_frame(frame, {}) is frame
    assert shift.exchange_frame(frame) is frame
    assert shift.name(UP) == UP


def test_market_frame_moves_times_names_and_given_hashes_only(names):
    shift = Shift(600, names)
    good, bad = "a" * 40, "b" * 40
    frame = (
        f'{{"market":"{CONDITION}","price_changes":[{{"asset_id":"{UP}","price":"0.5",'
        f'"hash":"{good}"}},{{"asset_id":"{DOWN}","hash":"{bad}"}}],"timestamp":"1794830400123"}}'
    )
    moved = json.loads(shift.market_frame(frame, {good: "c" * 40}))
    assert moved["timestamp"] == "1794831000123"
    assert moved["market"] == shift.name(CONDITION) != CONDITION
    first, second = moved["price_changes"]
    assert first == {"asset_id": shift.name(UP), "price": "0.5", "hash": "c" * 40}
    assert second == {"asset_id": shift.name(DOWN), "hash": bad}


def test_window_shared_by_two_rounds_is_one_market_and_others_are_not(names):
    this_round, next_round = Shift(600, names), Shift(900, names, 1)
    listed_ahead = this_round.name("0x" + "cd" * 32)  # window START + 300, moved by 600
    assert next_round.name(CONDITION) == listed_ahead  # window START, moved by 900
    assert next_round.name(UP) == this_round.name("3" * 77)
    assert this_round.name(CONDITION) != next_round.name(CONDITION)
    assert next_round.gamma_id("555") == this_round.gamma_id("777")


def test_unknown_names_get_the_same_new_name_all_round_and_another_next_round(names):
    shift = Shift(300, names)
    assert shift.name("9" * 77) == shift.name("9" * 77) != "9" * 77
    assert shift.name("9" * 77).isdigit()
    assert Shift(600, names, 1).name("9" * 77) != shift.name("9" * 77)
    digest = "0x" + "12" * 32
    assert len(shift.name(digest)) == len(digest)


@pytest.mark.parametrize(
    ("frame", "moved"),
    [
        ('{"E":1794830400123,"T":1794830400122}', '{"E":1794830700123,"T":1794830700122}'),
        (
            '{"ts":"1794830400123","px":"1794830400.5"}',
            '{"ts":"1794830700123","px":"1794830400.5"}',
        ),
        (
            '{"time":"2026-11-16T12:00:00.123456Z","qty":0.10000000}',
            '{"time":"2026-11-16T12:05:00.123456Z","qty":0.10000000}',
        ),
        ('{"timestamp":1794830400000000}', '{"timestamp":1794830700000000}'),
        ('{"t":1794830400123,"trade_id":1794830400}', '{"t":1794830400123,"trade_id":1794830400}'),
    ],
)
def test_exchange_frame_keeps_all_but_times(names, frame, moved):
    assert Shift(300, names).exchange_frame(frame) == moved


def test_binance_ids_grow_by_their_span_each_round(names):
    shift = Shift(300, names, 2, {"BTCUSDT": 50})
    assert shift.exchange_frame('{"s":"BTCUSDT","t":7}') == '{"s":"BTCUSDT","t":107}'
    assert shift.exchange_frame('{"s":"ETHUSDT","t":7}') == '{"s":"ETHUSDT","t":7}'


def test_gamma_object_moves_dates_slugs_titles_and_ids(names):
    event = {
        "id": "666",
        "slug": f"btc-updown-5m-{START}",
        "title": "Bitcoin Up or Down - November 16, 7:00AM-7:05AM ET",
        "endDate": "2026-11-16T23:58:00Z",
        "closedTime": "2026-11-16 12:05:16+00",
        "markets": [
            {
                "id": "555",
                "slug": f"btc-updown-5m-{START}",
                "conditionId": CONDITION,
                "clobTokenIds": json.dumps([UP, DOWN]),
                "endDate": "2026-11-16T23:58:00Z",
                "endDateIso": "2026-11-16",
            }
        ],
        "tags": [{"id": "1312", "slug": "crypto-prices"}],
    }
    shift = Shift(600, names)
    moved = shift.gamma_object(event)
    market = moved["markets"][0]
    assert moved["slug"] == market["slug"] == f"btc-updown-5m-{START + 600}"
    assert moved["title"] == "Bitcoin Up or Down - November 16, 7:10AM-7:15AM ET"
    assert moved["endDate"] == "2026-11-17T00:08:00Z"
    assert market["endDateIso"] == "2026-11-17"
    assert moved["closedTime"] == "2026-11-16 12:15:16+00"
    assert json.loads(market["clobTokenIds"]) == [shift.name(UP), shift.name(DOWN)]
    assert market["conditionId"] == shift.name(CONDITION)
    assert moved["id"] == shift.gamma_id("666") != "666"
    assert moved["tags"] == event["tags"]
    assert event["id"] == "666"  # the captured object is left alone


def test_window_label_is_in_eastern_time():
    assert window_label(1_782_287_400, 300) == "June 24, 3:50AM-3:55AM ET"
    assert slug_start_s("eth-updown-15m-1782287400") == 1_782_287_400
    assert slug_start_s("will-it-rain") is None
