"""Redundant connections become one stream: first arrival wins."""

from collections import Counter

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polytrade.core.units import MS_NS, SECOND_NS
from polytrade.polymarket import arbiter
from polytrade.polymarket.arbiter import Arbiter, PathStanding
from tests.polymarket.test_wire import TS, UP, A, B, book, change, decoder, frame, price_change


def interleaved(draw, first, second):
    """Both lists merged into one of (path, item), each keeping its own order."""
    merged = []
    left, right = list(first), list(second)
    while left or right:
        take_left = left and (not right or draw(st.booleans()))
        merged.append((0, left.pop(0)) if take_left else (1, right.pop(0)))
    return merged


KEYS = st.lists(st.sampled_from("abcde"), max_size=20)


@given(st.data(), KEYS)
def test_any_interleaving_of_two_copies_forwards_each_message_once_in_order(data, keys):
    target = Arbiter()
    paths = [target.path_index("0"), target.path_index("1")]
    forwarded = []
    for step, (path, key) in enumerate(interleaved(data.draw, keys, keys)):
        if target.first(key, paths[path], TS + step):
            forwarded.append(key)
    assert forwarded == keys
    assert sum(standing.wins for standing in target.league()) == len(keys)
    assert sum(standing.losses for standing in target.league()) == len(keys)
    assert sum(standing.only_here for standing in target.league()) == 0


@given(st.data(), KEYS, st.sets(st.integers(0, 19)), st.sets(st.integers(0, 19)))
def test_what_either_path_brought_is_forwarded_as_often_as_the_more_generous_one(
    data, keys, lost_here, lost_there
):
    here = [key for index, key in enumerate(keys) if index not in lost_here]
    there = [key for index, key in enumerate(keys) if index not in lost_there]
    target = Arbiter()
    paths = [target.path_index("0"), target.path_index("1")]
    forwarded = Counter(
        key
        for path, key in interleaved(data.draw, here, there)
        if target.first(key, paths[path], TS)
    )
    assert forwarded == Counter(here) | Counter(there)


def test_a_key_outlives_one_generation_and_is_forgotten_after_two():
    target = Arbiter()
    zero, one = target.path_index("0"), target.path_index("1")
    assert target.first("k", zero, TS)
    assert not target.first("k", one, TS + 20 * SECOND_NS)
    assert target.first("m", zero, TS + 40 * SECOND_NS)
    target.first("n", zero, TS + 60 * SECOND_NS)
    target.first("o", zero, TS + 80 * SECOND_NS)
    assert target.first("m", one, TS + 81 * SECOND_NS)


def test_memory_is_bounded_by_keys_as_well_as_by_time(monkeypatch):
    monkeypatch.setattr(arbiter, "GENERATION_KEYS_MAX", 100)
    target = Arbiter()
    zero = target.path_index("0")
    for number in range(10_000):
        target.first(str(number), zero, TS)
    assert len(target._young) + len(target._old) + len(target._dying) <= 300


def test_league_tells_wins_losses_and_leads():
    target = Arbiter()
    zero, one = target.path_index("0"), target.path_index("1")
    for number in range(4):
        target.first(f"m{number}", zero, TS + number)
        target.first(f"m{number}", one, TS + number + 2 * MS_NS)
    target.first("alone", one, TS)
    first, second = target.league()
    assert (first.path, first.wins, first.losses, first.only_here) == ("0", 4, 0, 0)
    assert first.lead_ns_p50 == first.lead_ns_p99
    assert 2 * MS_NS <= first.lead_ns_p99 <= 2 * MS_NS * 5 // 4
    assert second == PathStanding("1", 1, 4, 1, 0, 0)


@given(st.integers(0, 2**62))
def test_a_lead_lies_in_its_bucket_and_within_a_quarter_of_its_top(lead_ns):
    top = arbiter._bucket_top(arbiter._bucket(lead_ns))
    assert lead_ns <= top
    assert top <= lead_ns * 5 // 4 or top < 4


def test_more_paths_than_the_bound_are_refused():
    target = Arbiter()
    for number in range(arbiter.PATHS_MAX):
        target.path_index(str(number))
    with pytest.raises(ValueError, match="expected at most 16 paths"):
        target.path_index("one more")


# In the decoder


def test_the_twins_copy_gives_nothing_but_is_counted():
    target = decoder()
    message = price_change(change(UP, "BUY", "0.48", "3"))
    assert len(target.decode(message, TS, A)) == 1
    assert target.decode(message, TS + 1, B) == []
    assert target.counts == Counter({(A, "price_change"): 1, (B, "price_change"): 1})
    assert target.forwarded == Counter({"0": 1, "1": 0})


def test_frames_cut_differently_are_still_the_same_messages():
    target = decoder()
    one, two = book(), price_change(change(UP, "BUY", "0.48", "3"))
    assert len(target.decode(f"[{one},{two}]", TS, A)) == 2
    assert target.decode(one, TS, B) == []
    assert target.decode(two, TS, B) == []


def test_a_repeated_message_of_one_path_is_forwarded_again():
    target = decoder()
    assert len(target.decode(book(), TS, A)) == 1
    assert len(target.decode(book(), TS + SECOND_NS, A)) == 1
    assert target.decode(book(), TS + SECOND_NS, B) == []


def test_a_trade_of_one_transaction_is_forwarded_once_however_often_one_path_repeats_it():
    target = decoder()
    trade = frame(
        "last_trade_price",
        asset_id=UP,
        price="0.48",
        size="3",
        side="BUY",
        transaction_hash="0xfeed",
    )
    assert len(target.decode(trade, TS, A)) == 1
    assert target.decode(trade, TS + 1, A) == []
    assert target.decode(f"[{trade}]", TS + 2, B) == []
    assert target.forwarded == Counter({"0": 1, "1": 0})


def test_changes_of_one_batch_with_one_hash_are_told_apart():
    target = decoder()
    low = price_change(change(UP, "BUY", "0.48", "3"))
    high = price_change(change(UP, "BUY", "0.47", "3"))
    assert len(target.decode(low, TS, A)) == 1
    assert len(target.decode(high, TS, B)) == 1
    assert target.decode(high, TS, A) == []


def test_changes_without_a_hash_are_told_apart_by_their_content():
    target = decoder()
    one = price_change(change(UP, "BUY", "0.48", "3", hash=""))
    two = price_change(change(UP, "SELL", "0.48", "3", hash=None))
    assert len(target.decode(one, TS, A)) == 1
    assert len(target.decode(two, TS, B)) == 1
    assert target.decode(one, TS, B) == []


@given(st.data(), st.lists(st.tuples(st.integers(1, 99), st.integers(0, 9)), max_size=12))
def test_decoding_two_copies_equals_decoding_one(data, levels):
    messages = [
        price_change(change(UP, "BUY", f"0.{cents:02d}", str(size), hash=f"h{number}"))
        for number, (cents, size) in enumerate(levels)
    ]
    alone, both = decoder(), decoder()
    expected = [event for message in messages for event in alone.decode(message, TS, A)]
    found = []
    for path, message in interleaved(data.draw, messages, messages):
        found += both.decode(orjson.dumps(orjson.loads(message)), TS, (A, B)[path])
    assert found == expected
