"""Exact numbers and times from the wire."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polytrade.reference.fields import (
    PRICE_MAX_E8,
    decimal_of,
    is_zero,
    price_e8_of,
    rfc3339_ns_of,
    shown,
    whole_of,
)
from polytrade.reference.levels import LevelBook, level_of


@given(st.integers(1, PRICE_MAX_E8))
def test_every_price_survives_its_text(price_e8: int) -> None:
    whole, fraction = divmod(price_e8, 10**8)
    assert price_e8_of(f"{whole}.{fraction:08d}", "p") == price_e8


def test_digits_finer_than_the_scale_are_cut() -> None:
    assert price_e8_of("1.000000019", "p") == 100_000_001


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2000-02-29T12:00:00.5Z", 951_825_600_500_000_000),
        ("2026-02-03T04:05:06.123456Z", 1_770_091_506_123_456_000),
        ("2026-02-03T04:05:06.123456789+00:00", 1_770_091_506_123_456_789),
    ],
)
def test_utc_times_are_exact_to_the_nanosecond(text: str, expected: int) -> None:
    assert rfc3339_ns_of(text, "time") == expected


@pytest.mark.parametrize(
    "text",
    [
        "1969-12-31T23:59:59Z",
        "2026-02-03T04:05:60Z",
        "2026-13-03T04:05:06Z",
        "2026-02-03T04:05:06+01:00",
        "2026-02-03 04:05:06Z",
        "2026-02-03T04:05:06.1234567891Z",
        "٢٠٢٦-02-03T04:05:06Z",
        7,
        None,
    ],
)
def test_other_times_are_refused(text: object) -> None:
    with pytest.raises(ValueError, match="@ time"):
        rfc3339_ns_of(text, "time")


@pytest.mark.parametrize("value", ["", ".", "1.2.3", "+1", " 1", "1_0", "１", "1" * 33, 1, None])
def test_other_decimals_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match="expected a decimal number"):
        decimal_of(value, "size")


@pytest.mark.parametrize("value", ["", "-", "--1", "1.0", "x", 1.0, True, None, "9" * 33])
def test_other_whole_numbers_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match="expected a whole number"):
        whole_of(value, "id")


def test_whole_numbers_are_integers_or_digits() -> None:
    assert [whole_of(value, "id", low=-1) for value in (7, "7", "-1", -1)] == [7, 7, -1, -1]


def test_zero_is_zero_however_written() -> None:
    assert [is_zero(text) for text in ("0", "0.000", "0.", ".0", "0.01", "10")] == [
        True,
        True,
        True,
        True,
        False,
        False,
    ]


def test_errors_show_short_values_and_the_types_of_long_ones() -> None:
    assert shown("x" * 1000) == repr("x" * 120)
    assert shown(10**300) == "a huge integer"
    assert shown([[[]]]) == "a list"


def test_book_keeps_the_best_levels_of_its_depth() -> None:
    book = LevelBook(2)
    prices = ("5", "3", "4")
    book.apply([level_of(p, "1", "b") for p in prices], [level_of(p, "1", "a") for p in prices])
    assert sorted(book.bids) == [400_000_000, 500_000_000]
    assert sorted(book.asks) == [300_000_000, 400_000_000]
    assert (book.best_bid_e8(), book.best_ask_e8()) == (500_000_000, 300_000_000)


def test_zero_size_removes_a_level_known_or_not() -> None:
    book = LevelBook(2)
    book.apply([level_of("5", "1", "b")], [])
    book.apply([level_of("5", "0.0", "b"), level_of("6", "0", "b")], [])
    assert (book.best_bid_e8(), book.best_ask_e8()) == (0, 0)
