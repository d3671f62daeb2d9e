"""The market channel and REST books: invented frames of every type."""

from collections import Counter

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polytrade.core.events import (
    BestQuoted,
    BookChanged,
    BookReplaced,
    FeedGap,
    MarketListed,
    MarketResolved,
    TickSizeChanged,
    TradePrinted,
)
from polytrade.core.ids import BUY, NO, SELL, YES
from polytrade.polymarket.wire import (
    Instruments,
    MarketDecoder,
    RestBookDecoder,
    subscribe_frame,
    unsubscribe_frame,
)
from polytrade.wire_roles import WireError, decode_or_gap

MARKET = "0x" + "ab" * 32
UP = "1" * 77
DOWN = "2" * 77
TS = 1_790_000_000_123_456_789
MS = 1_790_000_000_000
A = "polymarket.market/0"
B = "polymarket.market/1"


def listed(market=MARKET, yes=UP, no=DOWN):
    return MarketListed(
        *(TS, market, "btc-updown-5m-1790000000", "BTC", "updown", yes, no, 100, 5_000_000),
        *(False, 70_000, 1, 200_000, TS, TS, "twap", 60, -1, True, False, 250, "v1"),
    )


def decoder():
    instruments = Instruments()
    instruments.add(listed())
    return MarketDecoder(instruments)


def frame(event_type, **fields):
    body = {"event_type": event_type, "market": MARKET, "timestamp": str(MS), **fields}
    return orjson.dumps(body).decode()


def change(asset, side, price, size, **more):
    entry = {"asset_id": asset, "side": side, "price": price, "size": size}
    return {**entry, "hash": f"h{asset[0]}", "best_bid": "0.47", "best_ask": "0.49", **more}


def price_change(*entries):
    return frame("price_change", price_changes=list(entries))


def book(asset=UP, **more):
    levels = {
        "bids": [{"price": "0.01", "size": "5"}, {"price": "0.48", "size": "142.1"}],
        "asks": [{"price": "0.99", "size": "7.000001"}, {"price": "0.5", "size": "60"}],
    }
    return frame("book", asset_id=asset, hash="c0ffee", **{**levels, **more})


# Each type


def test_of_a_mirrored_pair_only_the_yes_entry_gives_an_event():
    mirrored = price_change(change(DOWN, "SELL", "0.52", "3"), change(UP, "BUY", "0.48", "3"))
    assert decoder().decode(mirrored, TS, A) == [
        BookChanged(TS, MARKET, YES, BUY, 4800, 3_000_000, 4700, 4900, MS, "h1")
    ]


def test_a_lone_no_entry_is_given_as_no():
    assert decoder().decode(price_change(change(DOWN, "SELL", "0.52", "3")), TS, A) == [
        BookChanged(TS, MARKET, NO, SELL, 5200, 3_000_000, 4700, 4900, MS, "h2")
    ]


def test_a_no_entry_whose_twin_is_unknown_is_given_as_no():
    mirrored = price_change(change("9", "BUY", "0.48", "3"), change(DOWN, "SELL", "0.52", "3"))
    assert [event.token for event in decoder().decode(mirrored, TS, A)] == [NO]


def test_several_levels_of_one_message_give_one_event_each():
    message = price_change(
        change(UP, "BUY", "0.48", "3"),
        change(DOWN, "SELL", "0.52", "3"),
        change(UP, "SELL", "0.49", "0"),
        change(DOWN, "BUY", "0.51", "0"),
    )
    events = decoder().decode(message, TS, A)
    assert [(e.token, e.side, e.price_e4, e.size_e6) for e in events] == [
        (YES, BUY, 4800, 3_000_000),
        (YES, SELL, 4900, 0),
    ]


def test_two_levels_of_one_token_are_both_given():
    message = price_change(change(UP, "BUY", "0.48", "3"), change(UP, "BUY", "0.47", "4"))
    assert [e.price_e4 for e in decoder().decode(message, TS, A)] == [4800, 4700]


def test_entries_that_do_not_pair_off_are_all_given():
    message = price_change(
        change(UP, "BUY", "0.48", "3"),
        change(DOWN, "SELL", "0.52", "3"),
        change(DOWN, "SELL", "0.53", "4"),
    )
    assert [(e.token, e.price_e4) for e in decoder().decode(message, TS, A)] == [
        (YES, 4800),
        (NO, 5200),
        (NO, 5300),
    ]


@pytest.mark.parametrize(
    ("bid", "ask", "bid_e4", "ask_e4"),
    [("0", "1", 0, 10_000), ("", "", 0, 10_000), (None, None, -1, -1), (".48", "0.005", 4800, 50)],
)
def test_best_prices_of_empty_sides_and_of_messages_that_do_not_say(bid, ask, bid_e4, ask_e4):
    message = price_change(change(UP, "BUY", "0.48", "3", best_bid=bid, best_ask=ask))
    (event,) = decoder().decode(message, TS, A)
    assert (event.best_bid_e4, event.best_ask_e4) == (bid_e4, ask_e4)


def test_price_changes_before_september_2025_have_no_best_prices():
    old = frame(
        "price_change",
        asset_id=DOWN,
        hash="old",
        changes=[
            {"side": "SELL", "price": "0.23", "size": "300"},
            {"side": "BUY", "price": "0.2", "size": "0"},
        ],
    )
    assert decoder().decode(old, TS, A) == [
        BookChanged(TS, MARKET, NO, SELL, 2300, 300_000_000, -1, -1, MS, "old"),
        BookChanged(TS, MARKET, NO, BUY, 2000, 0, -1, -1, MS, "old"),
    ]


def test_price_change_of_2024_stands_alone_on_top():
    old = frame("price_change", asset_id=UP, hash="o", side="SELL", price="0.514", size="2.5")
    assert decoder().decode(old, TS, A) == [
        BookChanged(TS, MARKET, YES, SELL, 5140, 2_500_000, -1, -1, MS, "o")
    ]


def test_book_at_subscription_tells_tick_and_last_trade():
    assert decoder().decode(book(tick_size="0.01", last_trade_price="0.480"), TS, A) == [
        BookReplaced(
            *(TS, MARKET, YES, [(100, 5_000_000), (4800, 142_100_000)]),
            *([(9900, 7_000_001), (5000, 60_000_000)], 100, "0.480", MS, "c0ffee", False),
        )
    ]


def test_book_after_a_trade_tells_neither():
    (event,) = decoder().decode(book(DOWN), TS, A)
    assert (event.token, event.tick_e4, event.last_trade) == (NO, 0, "?")


def test_book_levels_are_put_in_order_whatever_the_wire_does():
    levels = [{"price": "0.3", "size": "1"}, {"price": "0.2", "size": "1"}]
    (event,) = decoder().decode(book(bids=levels, asks=levels[::-1]), TS, A)
    assert event.bids == [(2000, 1_000_000), (3000, 1_000_000)]
    assert event.asks == [(3000, 1_000_000), (2000, 1_000_000)]


def test_trade_is_in_the_takers_terms():
    message = frame(
        "last_trade_price",
        asset_id=DOWN,
        price="0.83",
        size="1.204817",
        side="BUY",
        fee_rate_bps="0",
        transaction_hash="0xfeed",
    )
    assert decoder().decode(message, TS, A) == [
        TradePrinted(TS, MARKET, NO, BUY, 8300, 1_204_817, MS, "0xfeed")
    ]


def test_finer_digits_of_a_print_are_cut_off():
    message = frame(
        "last_trade_price", asset_id=UP, price="0.48235", size="1.23456789", side="SELL"
    )
    (event,) = decoder().decode(message, TS, A)
    assert (event.price_e4, event.size_e6, event.trade_id) == (4823, 1_234_567, "")


def test_best_bid_ask_is_quoted_by_token():
    message = frame("best_bid_ask", asset_id=DOWN, best_bid="0.73", best_ask="0.77", spread="0.04")
    assert decoder().decode(message, TS, A) == [BestQuoted(TS, MARKET, NO, 7300, 7700, MS)]


def test_tick_size_change():
    message = frame("tick_size_change", asset_id=UP, old_tick_size="0.01", new_tick_size="0.001")
    assert decoder().decode(message, TS, A) == [TickSizeChanged(TS, MARKET, 100, 10, MS)]


@pytest.mark.parametrize(("winner", "token"), [(UP, YES), (DOWN, NO)])
def test_market_resolved_by_the_winning_asset(winner, token):
    message = frame(
        "market_resolved", assets_ids=[UP, DOWN], winning_asset_id=winner, winning_outcome="?"
    )
    assert decoder().decode(message, TS, A) == [MarketResolved(TS, MARKET, token, "market_channel")]


def test_market_resolved_without_a_winner_claims_nothing():
    target = decoder()
    message = frame("market_resolved", assets_ids=[UP, DOWN], winning_asset_id="")
    assert target.decode(message, TS, A) == []
    assert target.foreign == Counter({"market_resolved": 1})


def test_new_market_is_counted_only():
    target = decoder()
    assert target.decode(frame("new_market", slug="x", assets_ids=["7"]), TS, A) == []
    assert target.counts == Counter({(A, "new_market"): 1})
    assert not target.unknown


@pytest.mark.parametrize("text", ["PONG", "", b"PONG", b"", " pong\n", "[]"])
def test_keepalives_give_nothing_and_count_as_frames(text):
    target = decoder()
    assert target.decode(text, TS, A) == []
    assert target.frames == Counter({A: 1})
    assert not target.counts


def test_unknown_types_are_counted_by_name():
    target = decoder()
    assert target.decode(frame("halted"), TS, A) == []
    assert target.unknown == Counter({"halted": 1})


def test_unknown_types_beyond_the_bound_share_a_name():
    target = decoder()
    for number in range(200):
        target.decode(frame(f"type {number}"), TS, A)
    assert len(target.unknown) == 65
    assert target.unknown["other"] == 200 - 64


def test_messages_of_unknown_assets_are_counted_not_errors():
    target = decoder()
    pair = price_change(change("8", "BUY", "0.48", "3"), change("9", "SELL", "0.52", "3"))
    assert target.decode(pair, TS, A) == []
    assert target.decode(book("8"), TS, A) == []
    assert target.foreign == Counter({"price_change": 1, "book": 1})
    assert target.counts[A, "price_change"] == 1


def test_an_array_mixes_types_and_markets():
    entries = [book(), book(DOWN), price_change(change(UP, "BUY", "0.48", "3"))]
    events = decoder().decode("[" + ",".join(entries) + "]", TS, A)
    assert [type(event).__name__ for event in events] == [
        "BookReplaced",
        "BookReplaced",
        "BookChanged",
    ]


def test_forgotten_markets_are_not_decoded():
    instruments = Instruments()
    instruments.add(listed())
    instruments.add(listed("0x" + "cd" * 32, "3", "4"))
    instruments.forget(MARKET)
    assert set(instruments.tokens) == {"3", "4"}


# Faults


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "unexpected end of data"),
        ("17", "expected an object or an array, found 17"),
        ('{"a": 1}', "expected field 'event_type'"),
        ("[1]", "expected a message as an object, found 1"),
        (
            price_change(change(UP, "HOLD", "0.48", "3")),
            "side: expected BUY or SELL, found 'HOLD' @ 'price_change'",
        ),
        (
            price_change(change(UP, "BUY", "0", "3")),
            "price: expected a price within 1..9999 e-4, found 0 @ 'price_change'",
        ),
        (
            price_change(change(UP, "BUY", 0.48, "3")),
            "price: expected a price as text, found 0.48 @ 'price_change'",
        ),
        (frame("price_change", price_changes=[7, 8]), "expected an object in a list, found 7"),
        (price_change(change(UP, "BUY", "4e-1", "3")), "expected a decimal number, found '4e-1'"),
        (price_change(change(UP, "BUY", "0.48", "-3")), "expected a size from 0"),
        (price_change(change(UP, "BUY", "0.48", "NaN")), "expected a decimal number"),
        (price_change(change(UP, "BUY", "0.48", "0.0000001")), "at most 6 decimals"),
        (frame("price_change"), "expected field 'changes' @ 'price_change'"),
        (frame("book", asset_id=UP, asks=[]), "expected field 'bids' @ 'book'"),
        (book(timestamp="99999999999999999"), "timestamp: expected ms since 1970"),
        (book(tick_size="0"), "expected a price within 1..10000 e-4"),
    ],
)
def test_malformed_frames_name_what_was_expected(text, reason):
    with pytest.raises(WireError) as caught:
        decoder().decode(text, TS, A)
    assert reason in caught.value.reason
    assert caught.value.source == A
    assert caught.value.sample == text.encode()[:512]


def test_decode_or_gap_turns_a_malformed_frame_into_a_gap():
    events, error = decode_or_gap(decoder(), A, "{" + "x" * 2000, TS)
    assert events == [FeedGap(TS, A, "", "malformed")]
    assert error is not None
    assert len(error.sample) == 512


def test_decode_or_gap_passes_good_frames_through():
    assert decode_or_gap(decoder(), A, "PONG", TS) == ([], None)


def test_a_bad_message_in_an_array_leaves_the_others_to_the_twin():
    good = book()
    bad = book(DOWN, bids=[{"price": "0.1"}])
    target = decoder()
    with pytest.raises(WireError):
        target.decode(f"[{good},{bad}]", TS, A)
    assert len(target.decode(good, TS, B)) == 1


def test_the_decoder_stays_usable_after_an_error():
    target = decoder()
    with pytest.raises(WireError):
        target.decode("{", TS, A)
    assert len(target.decode(book(), TS, A)) == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    [
        *("event_type", "market", "asset_id", "price_changes", "changes", "timestamp", "hash"),
        *("bids", "asks", "price", "size", "side", "best_bid", "best_ask", "tick_size"),
        *("transaction_hash", "last_trade_price", "winning_asset_id", "new_tick_size"),
    ]
)
VALUES = JSON | st.sampled_from(
    [
        *("book", "price_change", "last_trade_price", "best_bid_ask", "tick_size_change"),
        *("market_resolved", UP, DOWN, "BUY", "SELL", "0.5", "1", "3", str(MS)),
    ]
)
MESSAGES = st.dictionaries(
    FIELDS,
    VALUES | st.lists(st.dictionaries(FIELDS, VALUES, max_size=6), max_size=3),
    max_size=10,
)


@given(st.binary(max_size=64) | st.text(max_size=64))
def test_no_bytes_raise_anything_but_wire_errors(text):
    try:
        assert decoder().decode(text, TS, A) == []
    except WireError as error:
        assert error.source == A


@given(MESSAGES | st.lists(MESSAGES, max_size=3) | JSON)
def test_no_json_raises_anything_but_wire_errors(body):
    raw = orjson.dumps(body, option=orjson.OPT_NON_STR_KEYS, default=str) if _fits(body) else b"0"
    for target in (decoder(), RestBookDecoder(Instruments())):
        try:
            for event in target.decode(raw, TS, A):
                orjson.dumps(event.row())
        except WireError as error:
            assert error.source == A


def _fits(body):
    try:
        orjson.dumps(body)
    except TypeError:
        return False
    return True


# REST books


def test_rest_book_is_marked_as_such():
    instruments = Instruments()
    instruments.add(listed())
    target = RestBookDecoder(instruments)
    body = orjson.loads(book(DOWN, tick_size="0.001", last_trade_price=""))
    del body["event_type"]
    (event,) = target.decode(orjson.dumps(body), TS, "clob.book/0")
    assert (event.token, event.rest, event.tick_e4, event.last_trade) == (NO, True, 10, "")
    assert target.decode("[" + book("8") + "," + book() + "]", TS, "clob.book/0")[0].token == YES
    assert target.foreign == Counter({"book": 1})


def test_rest_error_bodies_are_wire_errors():
    with pytest.raises(WireError, match="asset_id"):
        RestBookDecoder(Instruments()).decode('{"error":"No orderbook exists"}', TS, "clob.book/0")


# What we send


def test_subscription_frames():
    assert subscribe_frame(["1", "2"], True) == (
        '{"type":"market","assets_ids":["1","2"],"custom_feature_enabled":true}'
    )
    assert subscribe_frame(["3"], False) == (
        '{"operation":"subscribe","assets_ids":["3"],"custom_feature_enabled":true}'
    )
    assert unsubscribe_frame(["1"]) == '{"operation":"unsubscribe","assets_ids":["1"]}'


def test_wire_errors_say_where_and_why_and_keep_a_bounded_sample():
    error = WireError("gamma/0", "expected slug", b"\xff" * 600)
    assert str(error) == "gamma/0: expected slug"
    assert error.sample == b"\xff" * 512
    assert "gamma/0" in repr(error)
