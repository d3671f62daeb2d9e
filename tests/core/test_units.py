"""Scales, rounding sides and the parsing of decimal strings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polytrade.core import units

PRICES = st.integers(0, units.ONE_E4)
SIZES = st.integers(0, 10**12)


@pytest.mark.parametrize(
    ("text", "digits", "value"),
    [
        ("0.48", 4, 4800),
        (".48", 4, 4800),
        ("5", 6, 5_000_000),
        ("5.", 2, 500),
        ("-1.5", 2, -150),
        ("-.5", 1, -5),
        ("-0", 3, 0),
        ("0.0001", 4, 1),
        ("0.48000000", 4, 4800),
        ("007", 0, 7),
        ("123456789012345678901234567890.5", 1, 1234567890123456789012345678905),
    ],
)
def test_parse_scaled_is_exact(text: str, digits: int, value: int) -> None:
    assert units.parse_scaled(text, digits) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "-",
        "-.",
        "+5",
        "--5",
        "5e3",
        "1e-7",
        "nan",
        "inf",
        "1_000",
        " 5",
        "5 ",
        "1.2.3",
        "0x10",
        "1.-5",
        "٥",
        "1.²",
        "5,0",
    ],
)
def test_parse_scaled_refuses_what_is_no_plain_decimal(text: str) -> None:
    with pytest.raises(ValueError, match="expected a decimal number"):
        units.parse_scaled(text, 6)
    with pytest.raises(ValueError, match="expected a decimal number"):
        units.truncate_scaled(text, 6)


def test_parse_scaled_refuses_a_value_finer_than_the_scale() -> None:
    with pytest.raises(ValueError, match=r"expected at most 4 decimals, found '0\.00001'"):
        units.parse_scaled("0.00001", 4)


@pytest.mark.parametrize(
    ("text", "digits", "value"),
    [
        ("64000.123456789", 8, 6_400_012_345_678),
        ("1.5", 0, 1),
        (".5", 0, 0),
        ("-1.99", 1, -19),
        ("7", 2, 700),
        ("0.999999999999", 8, 99_999_999),
    ],
)
def test_truncate_scaled_cuts_towards_zero(text: str, digits: int, value: int) -> None:
    assert units.truncate_scaled(text, digits) == value


@pytest.mark.parametrize("text", ["1.23456789012e-05", "0.123456789e5", "1.123456789.5"])
def test_truncate_scaled_refuses_an_exponent_behind_the_cut(text: str) -> None:
    with pytest.raises(ValueError, match="expected a decimal number"):
        units.truncate_scaled(text, 8)


@given(st.integers(0, 10**15), st.integers(0, 9))
def test_decimal_text_is_the_shortest_that_parses_back(value: int, digits: int) -> None:
    text = units.decimal_text(value, digits)
    assert units.parse_scaled(text, digits) == value
    assert "." not in text or not text.endswith(("0", "."))


def test_book_texts_are_the_venues() -> None:
    assert units.price_text(4800) == "0.48"
    assert units.price_text(50) == "0.005"
    assert units.price_text(10_000) == "1"
    assert units.size_text(142_100_000) == "142.1"
    assert units.size_text(60_000_000) == "60"


@given(PRICES, SIZES)
def test_costs_round_up_and_proceeds_down(price_e4: int, size_e6: int) -> None:
    exact = price_e4 * size_e6
    up = units.notional_e6_up(price_e4, size_e6)
    down = units.notional_e6_down(price_e4, size_e6)
    assert down * 10_000 <= exact <= up * 10_000
    assert up - down == (1 if exact % 10_000 else 0)


@given(st.integers(1, units.ONE_E4), SIZES)
def test_the_shares_for_some_cash_are_the_most_it_buys(price_e4: int, cash_e6: int) -> None:
    size_e6 = units.size_e6_for_cash_down(cash_e6, price_e4)
    assert units.notional_e6_up(price_e4, size_e6) <= cash_e6
    assert units.notional_e6_up(price_e4, size_e6 + 1) > cash_e6 or price_e4 < units.ONE_E4


@given(st.integers(-(10**9), 10**9), st.integers(1, 10**6))
def test_step_down_is_the_largest_multiple_not_above(value: int, step: int) -> None:
    stepped = units.step_down(value, step)
    assert stepped % step == 0
    assert stepped <= value < stepped + step


def test_share_is_rounded_down() -> None:
    assert units.share_e6_down(10, 1, 3) == 3
    assert units.share_e6_down(-10, 1, 3) == -4
    assert units.share_e6_down(10, 3, 3) == 10


@pytest.mark.parametrize(
    ("cents", "fee"),
    [(50, 1_750_000), (30, 1_470_000), (70, 1_470_000), (10, 630_000), (5, 332_500), (1, 69_300)],
)
def test_fee_of_100_crypto_shares(cents: int, fee: int) -> None:
    assert units.fee_e6(100_000_000, cents * 100, 70_000, 1) == fee


def test_fee_is_in_steps_of_5_decimals_half_to_even() -> None:
    # 1 share at 0.5 and rate r costs r / 4: 1.5, 2.5 and 3.5 steps of 0.00001 USDC.
    assert units.fee_e6(1_000_000, 5_000, 60, 1) == 20
    assert units.fee_e6(1_000_000, 5_000, 100, 1) == 20
    assert units.fee_e6(1_000_000, 5_000, 140, 1) == 40


def test_fee_below_the_smallest_step_is_nothing() -> None:
    assert units.fee_e6(100, 5_000, 70_000, 1) == 0


def test_fee_knows_the_old_exponent() -> None:
    # protocols 8.1, history: rate 0.25, exponent 2.
    assert units.fee_e6(100_000_000, 5_000, 250_000, 2) == 1_562_500


@pytest.mark.parametrize(("size_e6", "rate_e6"), [(0, 70_000), (1_000_000, 0), (-5, 70_000)])
def test_no_fee_without_size_or_rate(size_e6: int, rate_e6: int) -> None:
    assert units.fee_e6(size_e6, 5_000, rate_e6, 1) == 0
