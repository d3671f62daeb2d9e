"""Gamma objects, invented: what becomes of each field, of its absence and of its faults."""

from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polytrade.core.events import MarketListed, MarketResolved
from polytrade.core.ids import NO, YES
from polytrade.core.units import SECOND_NS
from polytrade.polymarket.gamma import GammaDecoder
from polytrade.polymarket.subjects import Subject, subject_of, window_slugs, window_starts
from polytrade.polymarket.wire import Instruments
from polytrade.wire_roles import WireError
from tests.polymarket.test_wire import JSON, TS

START = 1_790_000_100
CONDITION = "0x" + "ab" * 32


def stamp(unix_s):
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def market(**more):
    body = {
        "id": "1",
        "conditionId": CONDITION,
        "slug": f"btc-updown-5m-{START}",
        "question": "Bitcoin Up or Down",
        "outcomes": '["Up", "Down"]',
        "outcomePrices": '["0.5", "0.5"]',
        "clobTokenIds": '["11", "22"]',
        "eventStartTime": stamp(START),
        "startDate": stamp(START - 86_400),
        "endDate": stamp(START + 300),
        "closed": False,
        "acceptingOrders": True,
        "enableOrderBook": True,
        "negRisk": False,
        "orderPriceMinTickSize": 0.01,
        "orderMinSize": 5,
        "feesEnabled": True,
        "feeSchedule": {"exponent": 1, "rate": 0.07, "takerOnly": True, "rebateRate": 0.2},
        "cryptoMarketConfig": {"twapEnabled": True, "twapLookbackSeconds": 60},
    }
    body.update(more)
    return {name: value for name, value in body.items() if value is not ...}


def decode(body, instruments=None):
    return GammaDecoder(instruments).decode(orjson.dumps(body), TS, "gamma/0")


def listed(**more):
    (event,) = decode(market(**more))
    assert isinstance(event, MarketListed)
    return event


def test_every_field_of_a_window():
    assert decode(market()) == [
        MarketListed(
            ts_ns=TS,
            market=CONDITION,
            slug=f"btc-updown-5m-{START}",
            symbol="BTC",
            condition="updown",
            yes="11",
            no="22",
            tick_e4=100,
            min_size_e6=5_000_000,
            neg_risk=False,
            fee_rate_e6=70_000,
            fee_exponent=1,
            rebate_rate_e6=200_000,
            start_ns=START * SECOND_NS,
            end_ns=(START + 300) * SECOND_NS,
            settle="twap",
            lookback_s=60,
            strike_e8=-1,
            accepting=True,
            closed=False,
            taker_delay_ms=250,
            version="v1",
        )
    ]


@pytest.mark.parametrize(
    "wrap",
    [
        lambda m: [m],
        lambda m: {"id": "9", "slug": "e", "markets": [m]},
        lambda m: [{"id": "9", "slug": "e", "markets": [m]}],
        lambda m: {"markets": [m], "next_cursor": "x"},
        lambda m: {"events": [{"id": "9", "slug": "e", "markets": [m]}], "next_cursor": "x"},
    ],
)
def test_a_market_is_found_in_every_form_of_answer(wrap):
    assert decode(wrap(market())) == decode(market())


@pytest.mark.parametrize("body", [[], {"events": []}, {"markets": None}, {"id": "1", "slug": "s"}])
def test_answers_without_markets_give_nothing(body):
    assert decode(body) == []


def test_known_markets_are_added_to_the_instruments():
    instruments = Instruments()
    decode(market(), instruments)
    assert instruments.tokens == {"11": (CONDITION, YES), "22": (CONDITION, NO)}


# Identity


def test_protocol_v2_uses_position_ids_and_pads_its_condition():
    event = listed(
        version="v2", clobTokenIds=None, positionIds=["33", "44"], conditionId="0x" + "cd" * 31
    )
    assert (event.yes, event.no, event.version) == ("33", "44", "v2")
    assert event.market == "0x" + "cd" * 31 + "00"


def test_position_ids_of_a_v1_market_are_ignored():
    event = listed(version="v1", positionIds=["33", "44"])
    assert (event.yes, event.no) == ("11", "22")


@pytest.mark.parametrize("ids", [..., None, "", "[]", '["11"]', '["1","2","3"]'])
def test_markets_without_two_tokens_are_counted(ids):
    target = GammaDecoder()
    assert target.decode(orjson.dumps(market(clobTokenIds=ids)), TS, "gamma/0") == []
    assert target.unknown == Counter({"without two tokens": 1})


# Fees, sizes, settlement


@pytest.mark.parametrize(
    ("fees", "expected"),
    [
        ({"feesEnabled": False}, (0, 1, 0)),
        ({"feesEnabled": ..., "feeSchedule": ...}, (0, 1, 0)),
        ({"feesEnabled": ...}, (70_000, 1, 200_000)),
        ({"feeSchedule": None}, (70_000, 1, 200_000)),
        ({"feeSchedule": {"exponent": 2.0, "rate": 0.25}}, (250_000, 2, 0)),
        ({"feeSchedule": {"rate": "0.072", "rebateRate": None}}, (72_000, 1, 0)),
    ],
)
def test_fees(fees, expected):
    event = listed(**fees)
    assert (event.fee_rate_e6, event.fee_exponent, event.rebate_rate_e6) == expected


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        ({"cryptoMarketConfig": {"twapEnabled": True, "twapLookbackSeconds": 30.0}}, ("twap", 30)),
        ({"cryptoMarketConfig": {"twapEnabled": False, "twapLookbackSeconds": 60}}, ("spot", 0)),
        (
            {
                "cryptoMarketConfig": {"twapEnabled": False},
                "resolutionSource": "https://x/btc-usd-twap-60s-streams",
            },
            ("spot", 0),
        ),
        (
            {"cryptoMarketConfig": ..., "cryptoMarketConfigId": "btc-15m-twap-60"},
            ("twap", 60),
        ),
        (
            {
                "cryptoMarketConfig": {"twapEnabled": True},
                "resolutionSource": "https://data.chain.link/streams/btc-usd-twap-30s-streams",
            },
            ("twap", 30),
        ),
        (
            {
                "cryptoMarketConfig": None,
                "resolutionSource": "https://data.chain.link/streams/btc-usd",
            },
            ("spot", 0),
        ),
        ({"slug": "will-it-rain", "question": "?"}, ("none", 0)),
    ],
)
def test_settlement(evidence, expected):
    event = listed(**evidence)
    assert (event.settle, event.lookback_s) == expected


def test_numbers_may_be_floats_and_strings_and_missing():
    event = listed(orderPriceMinTickSize="0.001", orderMinSize=15.0, secondsDelay=3)
    assert (event.tick_e4, event.min_size_e6, event.taker_delay_ms) == (10, 15_000_000, 3000)
    event = listed(orderPriceMinTickSize=..., orderMinSize=None)
    assert (event.tick_e4, event.min_size_e6) == (100, 5_000_000)


@pytest.mark.parametrize(
    "state", [{"closed": True}, {"acceptingOrders": False}, {"enableOrderBook": ...}]
)
def test_a_market_accepts_orders_only_when_all_flags_say_so(state):
    assert not listed(**state).accepting


# Times and strike


def test_window_comes_from_the_event_or_the_slug_when_the_market_does_not_say():
    child = market(eventStartTime=..., endDate=..., slug="bitcoin-up-or-down-on-may-1-2026")
    event = {"slug": "e", "startTime": stamp(5), "endDate": "1970-01-01 00:00:09+00"}
    (found,) = decode({**event, "markets": [child]})
    assert (found.start_ns, found.end_ns) == (5 * SECOND_NS, 9 * SECOND_NS)
    found = listed(eventStartTime=..., startDate=..., endDate=...)
    assert (found.start_ns, found.end_ns) == (START * SECOND_NS, (START + 300) * SECOND_NS)


def test_the_listing_date_is_the_start_only_without_a_window():
    event = listed(slug="will-it-rain", eventStartTime=...)
    assert event.start_ns == (START - 86_400) * SECOND_NS


@pytest.mark.parametrize(
    ("price", "strike_e8"),
    [
        (63304.20030119507, 6_330_420_030_119),
        ("63304.5", 6_330_450_000_000),
        (63304, 6_330_400_000_000),
        (None, -1),
        (..., -1),
    ],
)
def test_price_to_beat_of_the_event(price, strike_e8):
    metadata = {} if price is ... else {"priceToBeat": price}
    (found,) = decode({"slug": "e", "eventMetadata": metadata, "markets": [market()]})
    assert found.strike_e8 == strike_e8
    assert listed(events=[{"eventMetadata": metadata}]).strike_e8 == strike_e8
    assert listed(eventMetadata=orjson.dumps(metadata).decode()).strike_e8 == strike_e8


# Outcome


@pytest.mark.parametrize(
    ("prices", "more", "winner"),
    [
        ('["1", "0"]', {}, YES),
        ('["0", "1"]', {}, NO),
        (["0", "1.0"], {}, NO),
        ('["0.5", "0.5"]', {"umaResolutionStatus": "resolved"}, -1),
        ('["0.5", "0.5"]', {"resolutionStatus": "resolved"}, -1),
    ],
)
def test_closed_with_final_prices_is_resolved(prices, more, winner):
    events = decode(market(closed=True, outcomePrices=prices, **more))
    assert events[1:] == [MarketResolved(TS, CONDITION, winner, "gamma")]


@pytest.mark.parametrize(
    "state",
    [
        {"closed": False, "outcomePrices": '["1", "0"]'},
        {"closed": True, "outcomePrices": '["0.5", "0.5"]'},
        {"closed": True, "outcomePrices": '["0.98", "0.02"]'},
        {"closed": True, "outcomePrices": '["0", "0"]'},
        {"closed": True, "outcomePrices": ...},
    ],
)
def test_without_final_prices_nothing_is_claimed(state):
    assert len(decode(market(**state))) == 1


# Faults


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"version": "v3"}, "version: expected v1 or v2, found 'v3'"),
        ({"clobTokenIds": '["x", "y"]'}, "clobTokenIds: expected two different decimal ids"),
        ({"clobTokenIds": "["}, "clobTokenIds: expected JSON in a string"),
        ({"clobTokenIds": 7}, "clobTokenIds: expected a list, found 7"),
        ({"conditionId": "ab"}, "conditionId: expected 0x and 64 hex digits, found 'ab'"),
        ({"slug": ...}, "expected field 'slug'"),
        ({"orderMinSize": "five"}, "orderMinSize: expected a number, found 'five'"),
        ({"orderMinSize": -5}, "orderMinSize: expected a number from 0 to 1e10, found -5"),
        ({"endDate": "soon"}, "endDate: expected a time, found 'soon'"),
        ({"closed": 1}, "closed: expected true or false, found 1"),
        ({"feeSchedule": {"rate": 0.1, "exponent": 9}}, "feeSchedule.exponent: expected 0 to 4"),
        ({"feeSchedule": {"exponent": 1}}, "expected field 'rate'"),
    ],
)
def test_faults_name_the_field_the_value_and_the_market(more, reason):
    with pytest.raises(WireError) as caught:
        decode(market(**more))
    assert reason in caught.value.reason


def test_one_unreadable_market_does_not_hide_the_others():
    target = GammaDecoder()
    body = [market(orderMinSize="five"), market()]
    assert len(target.decode(orjson.dumps(body), TS, "gamma/0")) == 1
    assert target.unknown == Counter({"unreadable": 1})


@pytest.mark.parametrize("text", ["", "{", "7", '{"error": "x"}', "[[1]]"])
def test_what_is_no_answer_is_a_wire_error(text):
    with pytest.raises(WireError):
        GammaDecoder().decode(text, TS, "gamma/0")


@given(st.dictionaries(st.sampled_from(sorted(market())), JSON, max_size=4))
def test_no_market_raises_anything_but_wire_errors(wrong):
    try:
        raw = orjson.dumps(market(**wrong))
    except TypeError:
        return
    try:
        for event in GammaDecoder().decode(raw, TS, "gamma/0"):
            orjson.dumps(event.row())
    except WireError as error:
        assert error.source == "gamma/0"


@given(st.binary(max_size=40) | JSON.map(lambda body: repr(body).encode()))
def test_no_bytes_raise_anything_but_wire_errors(raw):
    try:
        assert GammaDecoder().decode(raw, TS, "gamma/0") == []
    except WireError as error:
        assert error.source == "gamma/0"


# Subjects


@pytest.mark.parametrize(
    ("slug", "question", "condition", "symbol", "strike_e8"),
    [
        ("eth-updown-15m-1790000100", "", "updown", "ETH", -1),
        ("btc-updown-4h-1790000100", "", "updown", "BTC", -1),
        ("solana-up-or-down-september-20-2026-8pm-et", "", "updown", "SOL", -1),
        ("bitcoin-above-110k-on-october-20", "", "above", "BTC", 110_000 * 10**8),
        ("xrp-above-2pt5-on-may-1", "", "above", "XRP", 250_000_000),
        ("bitcoin-below-95000-on-may-1-2026", "", "below", "BTC", 95_000 * 10**8),
        (
            "will-the-price-of-bitcoin-be-above-110000-on-may-1",
            "Will the price of Bitcoin be above $112,500.50 on May 1?",
            "above",
            "BTC",
            11_250_050_000_000,
        ),
        (
            "q",
            "Will the price of Ethereum be less than $3k on May 1?",
            "below",
            "ETH",
            3000 * 10**8,
        ),
        ("nvda-updown-5m-1790000100", "", "other", "", -1),
        ("will-bitcoin-reach-150k-in-april-2026", "Will Bitcoin reach $150k?", "other", "", -1),
        ("will-bitcoin-dip-to-35k-in-april", "Will Bitcoin dip to $35k?", "other", "", -1),
        ("bitcoin-above-on-march-11", "Bitcoin above ___ on March 11?", "other", "", -1),
        ("btc-updown-5m-x", "", "other", "", -1),
    ],
)
def test_subjects(slug, question, condition, symbol, strike_e8):
    subject = subject_of(slug, question)
    assert (subject.condition, subject.symbol, subject.strike_e8) == (condition, symbol, strike_e8)


def test_an_absurd_threshold_is_no_subject():
    assert subject_of("bitcoin-above-1000000000000-on-may-1", "") == Subject()


def test_threshold_markets_carry_their_strike_from_the_start():
    event = listed(slug="bitcoin-above-110k-on-october-20", events=[{"eventMetadata": None}])
    assert (event.condition, event.strike_e8) == ("above", 110_000 * 10**8)


@pytest.mark.parametrize(
    ("slug", "question", "symbol", "bounds_usd"),
    [
        (
            "q",
            "Will the price of Bitcoin be between $66,000 and $68,000 on August 21?",
            "BTC",
            (66_000, 68_000),
        ),
        (
            "q",
            "Will the price of Ethereum be between $4300 and $4400 on August 19 at 4PM ET?",
            "ETH",
            (4_300, 4_400),
        ),
        ("q", "Will the price of XRP be between $1.80 and $1.90 on May 3?", "XRP", (1.8, 1.9)),
        ("q", "Will Solana be between $1k and $1.5k on May 3?", "SOL", (1_000, 1_500)),
        (
            "will-the-price-of-bitcoin-be-between-66000-68000-on-august-21-2026",
            "",
            "BTC",
            (66_000, 68_000),
        ),
        (
            "will-the-price-of-bitcoin-be-between-79000-and-81000-on-apr-25",
            "?",
            "BTC",
            (79_000, 81_000),
        ),
        ("will-the-price-of-xrp-be-between-1pt8-1pt9-on-may-3", "", "XRP", (1.8, 1.9)),
    ],
)
def test_a_range_has_both_bounds_by_its_question_or_its_slug(slug, question, symbol, bounds_usd):
    low, high = (round(usd * 10**8) for usd in bounds_usd)
    assert subject_of(slug, question) == Subject("range", symbol, low, upper_e8=high)


@pytest.mark.parametrize(
    ("slug", "condition", "usd"),
    [
        ("will-the-price-of-bitcoin-be-less-than-79000-on-apr-25", "below", 79_000),
        ("will-the-price-of-bitcoin-be-greater-than-89000-on-apr-25", "above", 89_000),
    ],
)
def test_the_open_ranges_of_an_event_are_thresholds(slug, condition, usd):
    assert subject_of(slug, "") == Subject(condition, "BTC", usd * 10**8)


@pytest.mark.parametrize(
    "question",
    [
        "Will the price of Bitcoin be between $68,000 and $66,000 on August 21?",
        "Will the price of Bitcoin be between $66,000 and $66,000 on August 21?",
        "Will the price of Bitcoin be between $0 and $66,000 on August 21?",
        "Will the price of Bitcoin be between $66 and $68k on August 21?",
        "Will the price of Bitcoin be between $66,000 and $68,000 in August?",
        "Will the price of Nvidia be between $180 and $190 on August 21?",
        "Will Bitcoin hit $66,000 or $68,000 on August 21?",
    ],
)
def test_what_is_no_range_on_a_price_at_a_moment_is_no_subject(question):
    assert subject_of("q", question) == Subject()


def test_a_range_is_listed_with_its_bounds_and_settles_on_the_exchange_price():
    event = listed(
        slug="will-the-price-of-bitcoin-be-between-66000-68000-on-august-21",
        question="Will the price of Bitcoin be between $66,000 and $68,000 on August 21?",
        eventStartTime=...,
        cryptoMarketConfig=...,
        resolutionSource="https://www.binance.com/en/trade/BTC_USDT",
        negRisk=True,
    )
    assert (event.condition, event.symbol, event.settle, event.neg_risk) == (
        "range",
        "BTC",
        "spot",
        True,
    )
    assert (event.strike_e8, event.upper_e8) == (66_000 * 10**8, 68_000 * 10**8)
    assert listed().upper_e8 == 0


# Windows to come


def test_window_slugs_are_the_running_one_and_those_ahead_soonest_first():
    assert window_slugs(("btc", "eth"), ("5m", "15m"), 1_790_000_399, 1) == [
        "btc-updown-5m-1790000100",
        "eth-updown-5m-1790000100",
        "btc-updown-15m-1790000100",
        "eth-updown-15m-1790000100",
        "btc-updown-5m-1790000400",
        "eth-updown-5m-1790000400",
        "btc-updown-15m-1790001000",
        "eth-updown-15m-1790001000",
    ]


def test_an_unknown_window_is_named():
    with pytest.raises(ValueError, match="expected a window of 5m, 15m, 1h, 4h, found '7m'"):
        window_slugs(("btc",), ("7m",), 0, 0)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-07-01T12:00:00+00:00", ["08", "12", "16"]),
        ("2026-12-01T03:59:59+00:00", ["20", "00", "04"]),
    ],
)
def test_four_hour_windows_start_on_eastern_wall_time(now, expected):
    now_s = int(datetime.fromisoformat(now).timestamp())
    starts = window_starts("4h", now_s, 2)
    eastern = ZoneInfo("America/New_York")
    assert [f"{datetime.fromtimestamp(s, eastern):%H}" for s in starts] == expected
    assert starts[0] <= now_s < starts[1]


def test_four_hour_windows_over_the_change_of_clocks():
    # 2026-11-01 06:00 UTC: clocks go back from EDT to EST, the night window is five hours long.
    now_s = int(datetime(2026, 11, 1, 4, 30, tzinfo=UTC).timestamp())
    starts = window_starts("4h", now_s, 2)
    assert [b - a for a, b in pairwise(starts)] == [5 * 3600, 4 * 3600]
    spring_s = int(datetime(2026, 3, 8, 6, 0, tzinfo=UTC).timestamp())
    starts = window_starts("4h", spring_s, 1)
    assert starts[1] - starts[0] == 3 * 3600
