"""The integer grid, the mirror of YES and NO, reordering, and the hash."""

import hashlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polytrade.core.book import (
    MATCHED,
    MISMATCHED,
    UNCHECKABLE,
    UNKNOWN_TRADE,
    Book,
    trade_price_text,
)
from polytrade.core.events import BookChanged, BookReplaced
from polytrade.core.ids import BUY, NO, SELL, YES
from polytrade.core.units import ONE_E4, price_text, size_text

MARKET, UP, DOWN = "0xfeed", "111", "222"
Level = tuple[int, int]


def venue_hash(
    token: int, ts_ms: int, bids: list[Level], asks: list[Level], trade: str, tick: str = "0.01"
) -> str:
    """The hash as the venue computes it, written down independently of `Book`."""

    def rows(levels: list[Level], *, descending: bool) -> list[dict[str, str]]:
        ordered = sorted(levels, reverse=descending)
        return [{"price": price_text(p), "size": size_text(s)} for p, s in ordered]

    fields = {
        "market": MARKET,
        "asset_id": UP if token == YES else DOWN,
        "timestamp": str(ts_ms),
        "hash": "",
        "bids": rows(bids, descending=False),
        "asks": rows(asks, descending=True),
        "min_order_size": "5",
        "tick_size": tick,
        "neg_risk": False,
        "last_trade_price": trade,
    }
    return hashlib.sha1(json.dumps(fields, separators=(",", ":")).encode()).hexdigest()


def make_book() -> Book:
    return Book(MARKET, UP, DOWN, 100, 5_000_000, False)


def snapshot(
    bids: list[Level],
    asks: list[Level],
    ts_ms: int = 10,
    *,
    token: int = YES,
    trade: str = "0.500",
    stated: str | None = None,
    digest: str | None = None,
) -> BookReplaced:
    if digest is None:
        digest = venue_hash(token, ts_ms, bids, asks, trade)
    said = trade if stated is None else stated
    return BookReplaced(
        1, MARKET, token, sorted(bids), sorted(asks, reverse=True), 0, said, ts_ms, digest, False
    )


def change(
    side: int, price: int, size: int, ts_ms: int, digest: str = "", token: int = YES
) -> BookChanged:
    return BookChanged(2, MARKET, token, side, price, size, -1, -1, ts_ms, digest)


BIDS: list[Level] = [(4700, 10_000_000), (4800, 25_500_000)]
ASKS: list[Level] = [(5000, 7_000_000), (5100, 1_000_000)]


def test_snapshot_sets_best_prices_and_verifies() -> None:
    book = make_book()
    assert book.replace(snapshot(BIDS, ASKS), False) == MATCHED
    assert (book.bid_e4, book.ask_e4) == (4800, 5000)
    assert book.size_e6(BUY, 4800) == 25_500_000
    assert book.depth(SELL, 5) == [(5000, 7_000_000), (5100, 1_000_000)]


def test_empty_book_has_the_outermost_prices() -> None:
    book = make_book()
    assert (book.bid_e4, book.ask_e4, book.two_sided) == (0, ONE_E4, False)


def test_no_snapshot_is_the_mirror() -> None:
    book = make_book()
    no_bids = [(ONE_E4 - p, s) for p, s in ASKS]
    no_asks = [(ONE_E4 - p, s) for p, s in BIDS]
    assert book.replace(snapshot(no_bids, no_asks, token=NO), False) == MATCHED
    assert book.depth(BUY, 5) == [(4800, 25_500_000), (4700, 10_000_000)]
    assert book.hash_of(YES, 10, "0.500") == venue_hash(YES, 10, BIDS, ASKS, "0.500")
    assert book.hash_of(NO, 10, "0.500") == venue_hash(NO, 10, no_bids, no_asks, "0.500")


def test_wrong_snapshot_hash_mismatches() -> None:
    assert make_book().replace(snapshot(BIDS, ASKS, digest="0" * 40), False) == MISMATCHED


def test_snapshot_without_hash_is_not_checkable() -> None:
    assert make_book().replace(snapshot(BIDS, ASKS, digest=""), False) == UNCHECKABLE


def test_unstated_last_trade_price_is_found_by_search() -> None:
    book = make_book()
    event = snapshot(BIDS, ASKS, trade="0.370", stated=UNKNOWN_TRADE)
    assert book.replace(event, False) == MATCHED
    assert book.last_trade == "0.370"


def test_change_moves_the_best_and_verifies() -> None:
    book = make_book()
    book.replace(snapshot(BIDS, ASKS), False)
    bids = [*BIDS, (4900, 3_000_000)]
    event = change(BUY, 4900, 3_000_000, 11, venue_hash(YES, 11, bids, ASKS, "0.500"))
    assert book.change(event, True) == MATCHED
    assert book.bid_e4 == 4900
    gone = change(BUY, 4900, 0, 12, venue_hash(YES, 12, BIDS, ASKS, "0.500"))
    assert book.change(gone, True) == MATCHED
    assert book.bid_e4 == 4800


def test_fill_switches_the_last_trade_price_inside_the_hash() -> None:
    book = make_book()
    book.replace(snapshot(BIDS, ASKS), False)
    asks = [(5000, 2_000_000), (5100, 1_000_000)]
    event = change(SELL, 5000, 2_000_000, 11, venue_hash(YES, 11, BIDS, asks, "0.500"))
    assert book.change(event, True) == MATCHED
    asks = [(5100, 1_000_000)]
    event = change(SELL, 5000, 0, 12, venue_hash(YES, 12, BIDS, asks, "0.510"))
    assert book.change(event, True) == MISMATCHED
    book.note_trade(5100)
    event = change(SELL, 5000, 0, 13, venue_hash(YES, 13, BIDS, asks, "0.510"))
    assert book.change(event, True) == MATCHED
    assert book.last_trade == "0.510"


def test_reordered_changes_verify_once_all_have_arrived() -> None:
    book = make_book()
    book.replace(snapshot(BIDS, ASKS), False)
    one = [*BIDS, (4900, 3_000_000)]
    two = [(4600, 1_000_000), *one]
    first = change(BUY, 4900, 3_000_000, 11, venue_hash(YES, 11, one, ASKS, "0.500"))
    second = change(BUY, 4600, 1_000_000, 12, venue_hash(YES, 12, two, ASKS, "0.500"))
    assert book.change(second, True) == MISMATCHED
    assert book.change(first, True) == MATCHED


def test_older_message_never_overwrites_a_newer_level() -> None:
    book = make_book()
    book.replace(snapshot(BIDS, ASKS), False)
    book.change(change(BUY, 4800, 9_000_000, 20), True)
    book.change(change(BUY, 4800, 1_000_000, 15), True)
    assert book.size_e6(BUY, 4800) == 9_000_000


def test_older_snapshot_keeps_levels_changed_since() -> None:
    book = make_book()
    book.replace(snapshot(BIDS, ASKS), False)
    book.change(change(BUY, 4900, 4_000_000, 30), True)
    book.replace(snapshot(BIDS, ASKS, 20), False)
    assert book.bid_e4 == 4900
    book.replace(snapshot(BIDS, ASKS, 20), True)
    assert book.bid_e4 == 4800


def test_finer_price_refines_the_grid_and_keeps_the_levels() -> None:
    book = make_book()
    book.replace(snapshot(BIDS, ASKS), False)
    book.change(change(BUY, 4805, 2_000_000, 11), True)
    assert book.step_e4 == 1 or 4805 % book.step_e4 == 0
    assert book.depth(BUY, 3) == [(4805, 2_000_000), (4800, 25_500_000), (4700, 10_000_000)]


def test_stated_best_prices_are_the_check_without_a_hash() -> None:
    book = make_book()
    book.replace(snapshot(BIDS, ASKS, digest=""), False)
    event = BookChanged(2, MARKET, NO, SELL, 5100, 5_000_000, 5000, 5100, 11, "")
    book.change(event, True)
    assert (book.bid_e4, book.ask_e4) == (4900, 5000)
    assert book.fits_stated_best() == MATCHED
    book.change(BookChanged(2, MARKET, YES, BUY, 100, 5_000_000, 4700, 5000, 12, ""), True)
    assert book.fits_stated_best() == MISMATCHED


@pytest.mark.parametrize(
    ("price_e4", "text"), [(4800, "0.480"), (5, "0.0005"), (9990, "0.999"), (1234, "0.1234")]
)
def test_trade_price_text(price_e4: int, text: str) -> None:
    assert trade_price_text(price_e4) == text


def test_grid_is_refined_only_where_every_level_still_fits() -> None:
    """A grid of 25 does not become one of 10: 0.0025 would have no place there."""
    book = Book(MARKET, UP, DOWN, 25, 5_000_000, False)
    book.change(change(BUY, 2525, 1_000_000, 11), False)
    book.replace(snapshot([(2510, 2_000_000)], [], 12, digest=""), False)
    book.change(change(BUY, 2525, 3_000_000, 13), False)
    assert book.depth(BUY, 3) == [(2525, 3_000_000), (2510, 2_000_000)]
    assert book.step_e4 == 1


def test_finer_tick_refines_and_a_coarser_one_keeps_the_grid() -> None:
    book = make_book()
    book.replace(snapshot(BIDS, ASKS), False)
    book.set_terms(5_000_000, False, 10)
    assert (book.step_e4, book.tick_e4, book.bid_e4, book.ask_e4) == (10, 10, 4800, 5000)
    assert book.hash_of(YES, 9, "") == venue_hash(YES, 9, BIDS, ASKS, "", "0.001")
    book.set_terms(5_000_000, False, 100)
    assert (book.step_e4, book.tick_e4) == (10, 100)
    assert book.hash_of(YES, 9, "") == venue_hash(YES, 9, BIDS, ASKS, "", "0.01")


def test_older_snapshot_does_not_bring_back_its_last_trade_price() -> None:
    book = make_book()
    book.replace(snapshot(BIDS, ASKS, 10, trade="0.500"), False)
    book.change(change(BUY, 4700, 5_000_000, 30), False)
    book.replace(snapshot(BIDS, ASKS, 20, trade="0.490"), False)
    assert book.last_trade == "0.500"
    book.replace(snapshot(BIDS, ASKS, 20, trade="0.480", stated=UNKNOWN_TRADE), False)
    assert book.last_trade == "0.500"
    book.replace(snapshot(BIDS, ASKS, 40, trade="0.470"), False)
    assert book.last_trade == "0.470"


def test_older_snapshot_leaves_the_newest_message_in_force() -> None:
    book = make_book()
    book.replace(snapshot(BIDS, ASKS, 10), False)
    bids = [(4700, 5_000_000), (4800, 25_500_000)]
    digest = venue_hash(YES, 30, bids, ASKS, "0.500")
    book.change(change(BUY, 4700, 5_000_000, 30, digest), True)
    book.replace(snapshot(BIDS, ASKS, 20), False)
    assert (book.newest_ms, book.newest_hash) == (30, digest)
    assert book.fits_newest() == MATCHED
    book.change(change(SELL, 5100, 9_000_000, 25), True)
    assert book.fits_newest() == MISMATCHED


def test_unchecked_messages_are_not_hashed() -> None:
    book = make_book()
    assert book.replace(snapshot(BIDS, ASKS, digest="0" * 40), False, False) == UNCHECKABLE
    assert book.change(change(BUY, 4700, 1, 11, "0" * 40), False) == UNCHECKABLE


def test_level_stated_twice_is_there_once() -> None:
    book = make_book()
    book.replace(snapshot([(4800, 5), (4800, 7), (4700, 0)], [], digest=""), False)
    assert book.depth(BUY, 9) in ([(4800, 5)], [(4800, 7)])
    assert book.bid_e4 == 4800


@pytest.mark.parametrize(("price", "size"), [(4800, -1), (10_100, 5), (-100, 5)])
def test_impossible_level_is_our_own_fault(price: int, size: int) -> None:
    book = make_book()
    with pytest.raises((AssertionError, IndexError)):
        book.change(change(BUY, price, size, 11), False)
    assert book.depth(BUY, 9) == []


def test_fine_grid_from_end_to_end() -> None:
    """All 9999 prices of the finest grid, and the hash over them."""
    book = Book(MARKET, UP, DOWN, 1, 5_000_000, False)
    bids = [(price, price * 100) for price in range(1, 5_000)]
    asks = [(price, price * 100) for price in range(5_001, ONE_E4)]
    book.replace(snapshot(bids, asks, digest=""), False)
    assert (book.bid_e4, book.ask_e4) == (4_999, 5_001)
    assert book.hash_of(YES, 1, "") == venue_hash(YES, 1, bids, asks, "", "0.0001")
    book.change(change(BUY, 4_999, 0, 11), False)
    assert book.bid_e4 == 4_998


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([BUY, SELL]),
            st.integers(1, 99),
            st.integers(0, 400),
            st.sampled_from([YES, NO]),
        ),
        min_size=1,
        max_size=25,
    ),
    st.randoms(use_true_random=False),
)
def test_any_arrival_order_ends_in_the_venues_book(
    moves: list[tuple[int, int, int, int]], order: object
) -> None:
    """The venue applies changes in order; we get them shuffled: same levels, fitting last hash."""
    truth: dict[tuple[int, int], int] = {}
    events = []
    for number, (yes_side, cents, hundredths, token) in enumerate(moves):
        side, price, size = yes_side, cents * 100, hundredths * 10_000
        truth[(side, price)] = size
        bids = [(p, s) for (sd, p), s in truth.items() if sd == BUY and s]
        asks = [(p, s) for (sd, p), s in truth.items() if sd == SELL and s]
        if token == NO:
            shown = ([(ONE_E4 - p, s) for p, s in asks], [(ONE_E4 - p, s) for p, s in bids])
            side, price = 1 - side, ONE_E4 - price
        else:
            shown = (bids, asks)
        digest = venue_hash(token, 100 + number, shown[0], shown[1], "0.500")
        events.append(change(side, price, size, 100 + number, digest, token))
    book = make_book()
    book.replace(snapshot([], []), False)
    order.shuffle(events)  # type: ignore[attr-defined]
    verdicts = [book.change(event, True) for event in events]
    assert verdicts[-1] == MATCHED
    for (side, price), size in truth.items():
        assert book.size_e6(side, price) == size
    best_bid = max((p for (sd, p), s in truth.items() if sd == BUY and s), default=0)
    best_ask = min((p for (sd, p), s in truth.items() if sd == SELL and s), default=ONE_E4)
    assert (book.bid_e4, book.ask_e4) == (best_bid, best_ask)
