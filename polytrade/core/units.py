"""Every scale, multiplication, division and rounding of money lives here.

Prices are 1e-4 USDC a share (`price_e4`, which covers every Polymarket tick from 0.1 to 0.0001),
sizes 1e-6 shares (`size_e6`), money 1e-6 USDC (`cash_e6`), reference prices 1e-8 USD (`price_e8`).
Costs round up, proceeds round down: the rounding side is in the function's name.
"""

from typing import Final

ONE_E4: Final = 10_000
"""The price of a sure thing: 1 USDC a share."""
ONE_E6: Final = 1_000_000
ONE_E8: Final = 100_000_000
MS_NS: Final = 1_000_000
SECOND_NS: Final = 1_000_000_000

FEE_STEP_E6: Final = 10
"""Fees are rounded to 5 decimals of a dollar (protocols 8.1)."""


def notional_e6_up(price_e4: int, size_e6: int) -> int:
    """What buying costs: price times size, rounded up to the next 1e-6 USDC."""
    return -(-price_e4 * size_e6 // ONE_E4)


def notional_e6_down(price_e4: int, size_e6: int) -> int:
    """What selling brings: price times size, rounded down to 1e-6 USDC."""
    return price_e4 * size_e6 // ONE_E4


def size_e6_for_cash_down(cash_e6: int, price_e4: int) -> int:
    """The most shares `cash_e6` buys at `price_e4`; price must be positive."""
    return cash_e6 * ONE_E4 // price_e4


def share_e6_down(total_e6: int, part_e6: int, whole_e6: int) -> int:
    """`total_e6 * part / whole`, rounded down; `whole_e6` must be positive."""
    return total_e6 * part_e6 // whole_e6


def step_down(value: int, step: int) -> int:
    """`value` rounded down to a multiple of `step`, which must be positive."""
    return value - value % step


def fee_e6(size_e6: int, price_e4: int, rate_e6: int, exponent: int) -> int:
    """Taker fee `C * rate * (p (1 - p)) ** exponent`, to 5 decimals,
    half to even (protocols 8.1).
    """
    if rate_e6 <= 0 or size_e6 <= 0:
        return 0
    numerator = size_e6 * rate_e6
    denominator = ONE_E6 * FEE_STEP_E6
    curve = price_e4 * (ONE_E4 - price_e4)
    for _ in range(exponent):
        numerator *= curve
        denominator *= ONE_E4 * ONE_E4
    return _div_half_even(numerator, denominator) * FEE_STEP_E6


def _div_half_even(numerator: int, denominator: int) -> int:
    quotient, remainder = divmod(numerator, denominator)
    twice = 2 * remainder
    if twice > denominator or (twice == denominator and quotient % 2 == 1):
        return quotient + 1
    return quotient


def parse_scaled(text: str, digits: int) -> int:
    """A plain decimal string as an integer scaled by `10 ** digits`, exactly.

    Accepts `"0.48"`, `".48"`, `"5"`, `"-1.5"`, and further decimals only when they are zeros.
    Raises ValueError for anything else: an exponent, a sign alone, NaN, infinity, a value finer
    than the scale.
    """
    whole, _, fraction = text.partition(".")
    negative = whole.startswith("-")
    if negative:
        whole = whole[1:]
    if not (whole or fraction) or not (whole + fraction).isascii():
        raise ValueError(f"expected a decimal number, found {text!r}")
    if (whole and not whole.isdigit()) or (fraction and not fraction.isdigit()):
        raise ValueError(f"expected a decimal number, found {text!r}")
    if len(fraction) > digits:
        if fraction[digits:].strip("0"):
            raise ValueError(f"expected at most {digits} decimals, found {text!r}")
        fraction = fraction[:digits]
    value = int((whole or "0") + fraction + "0" * (digits - len(fraction)))
    return -value if negative else value


def truncate_scaled(text: str, digits: int) -> int:
    """Like `parse_scaled`, but decimals finer than the scale are cut off (reference prices).

    What is cut off must be digits all the same: an exponent behind them is refused, not lost.
    """
    whole, _, fraction = text.partition(".")
    finer = fraction[digits:]
    if not finer:
        return parse_scaled(text, digits)
    if not (finer.isascii() and finer.isdigit()):
        raise ValueError(f"expected a decimal number, found {text!r}")
    return parse_scaled(f"{whole}.{fraction[:digits]}0", digits)


def decimal_text(value: int, digits: int) -> str:
    """The shortest decimal string of a non-negative scaled integer: 4800 at 4 digits is `0.48`."""
    scale = 10**digits
    whole, fraction = divmod(value, scale)
    if not fraction:
        return str(whole)
    return f"{whole}.{fraction:0{digits}d}".rstrip("0")


def price_text(price_e4: int) -> str:
    """A price as the venue writes it in books: `0.48`, `0.005`, `1`."""
    return decimal_text(price_e4, 4)


def size_text(size_e6: int) -> str:
    """A size as the venue writes it in books: `142.1`, `60`."""
    return decimal_text(size_e6, 6)
