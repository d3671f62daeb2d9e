"""What holds for every reference codec."""

import json
from itertools import pairwise

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polytrade.config import Feeds, Source
from polytrade.core.events import FeedGap, ReferenceTicked
from polytrade.reference import CODECS, QUOTES
from polytrade.reference.codec import UNKNOWN_MAX, TradeIds
from polytrade.wire_roles import WireError

NAMES = sorted(CODECS)
COINS = ("btc", "eth", "sol", "xrp", "doge", "bnb", "hype", "zec")

# Keys, tags and values of the five protocols, so that random messages get past the first look.
_VOCABULARY = (
    "stream data e s t p T u b a trade bookTicker BTCUSDT btcusdt@trade type product_id BTC-USD"
    " ticker match last_match heartbeat last_trade_id trade_id price time best_bid best_ask channel"
    " sequence_num events tickers trades market_trades timestamp symbol BTC/USD bid ask book bids"
    " asks checksum qty snapshot update method success error arg instId BTC-USDT bbo-tbt books"
    " action seqId prevSeqId ts px event code msg topic orderbook.1.BTCUSDT publicTrade.BTCUSDT"
    " delta op ret_msg cts 1 0 -1 0.5 NaN 1700000000123 2026-02-03T04:05:06Z"
)
WORDS = _VOCABULARY.split()
SCALARS = (
    st.none()
    | st.booleans()
    | st.sampled_from(WORDS)
    | st.text(max_size=8)
    | st.integers(-(2**70), 2**70)
    | st.floats()
)
MESSAGES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=4), inner, max_size=8)
    ),
    max_leaves=12,
)


def decode_all(frames: list[str | bytes]) -> None:
    """Every codec takes all frames: events of the two kinds, or a WireError, and nothing else."""
    for name in NAMES:
        codec = CODECS[name](COINS)
        for frame in frames:
            try:
                events = codec.decode(frame, 7, f"{name}/0")
            except WireError as error:
                assert error.source == f"{name}/0"
                assert error.reason
                continue
            for event in events:
                assert isinstance(event, (ReferenceTicked, FeedGap))
                if isinstance(event, ReferenceTicked):
                    assert event.source == name
                    assert event.price_e8 > 0


@settings(deadline=None)
@given(st.lists(MESSAGES, max_size=4))
def test_any_json_gives_events_or_a_wire_error(messages: list[object]) -> None:
    decode_all([json.dumps(message) for message in messages])


@settings(deadline=None)
@given(st.text() | st.binary())
def test_any_frame_gives_events_or_a_wire_error(frame: str | bytes) -> None:
    decode_all([frame])


@pytest.mark.parametrize("name", NAMES)
def test_codec_is_named_after_its_source(name: str) -> None:
    codec = CODECS[name](COINS)
    assert codec.name == name
    assert codec.default_url.startswith("wss://")
    assert codec.ping_interval_s > 0
    assert codec.max_age_s > 0


def test_table_has_the_sources_of_the_settings_and_their_quotes() -> None:
    fields = attrs.fields_dict(Feeds)
    sources = {name for name in fields if isinstance(getattr(Feeds(), name), Source)}
    assert sources == set(CODECS) == set(QUOTES)


@pytest.mark.parametrize("name", NAMES)
def test_coins_that_are_not_listed_are_not_subscribed(name: str) -> None:
    assert CODECS[name](["nonsense"]).hello() == []
    assert len(CODECS[name](["btc", "nonsense"]).hello()) == len(CODECS[name](["btc"]).hello())


@pytest.mark.parametrize("name", NAMES)
def test_empty_frame_is_nothing(name: str) -> None:
    codec = CODECS[name](COINS)
    assert codec.decode("", 7, name) == []
    assert codec.decode(b"", 7, name) == []
    assert codec.counts == {}


@pytest.mark.parametrize("name", NAMES)
def test_names_of_unknown_messages_are_bounded(name: str) -> None:
    codec = CODECS[name](COINS)
    key = {"binance": "e", "coinbase": "type", "bybit": "topic"}.get(name, "channel")
    for number in range(3 * UNKNOWN_MAX):
        message: dict[str, object] = {key: f"new{number}"}
        if name == "okx":
            message = {"arg": message}
        codec.decode(json.dumps(message), 7, name)
    assert len(codec.unknown) == UNKNOWN_MAX + 1
    assert codec.unknown["other"] == 2 * UNKNOWN_MAX


@given(st.lists(st.integers(0, 30), max_size=40))
def test_trade_ids_break_exactly_where_one_does_not_follow(ids: list[int]) -> None:
    trade_ids = TradeIds()
    breaks = [trade_ids.broken_by("x", trade_id) for trade_id in ids]
    expected = [False, *[after != before + 1 for before, after in pairwise(ids)]]
    assert breaks == expected[: len(ids)]
