"""Reading the fields of an exchange's JSON: exact numbers or a ValueError that names the field.

Messages follow one form: `expected <what>, found <value> @ <field>`. The codecs turn the ValueError
into a WireError with the frame's sample.
"""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from polytrade.core.units import MS_NS, ONE_E8, SECOND_NS, truncate_scaled

SHOWN_MAX: Final = 120
"""Characters of a venue's text repeated in an error: enough for its own error messages."""
NUMBER_CHARS_MAX: Final = 32
"""Longest decimal read: 20 whole digits, a point and 11 decimals is beyond any listed pair."""
PRICE_MAX_E8: Final = 10_000_000 * ONE_E8
"""Ten million USD, about a hundred times the dearest coin followed: beyond it is a wrong field."""
PRICE_CACHE: Final = 4_096
"""Price texts remembered: best bids and asks repeat; a few thousand cover minutes of ticks."""
MILLIS_MAX: Final = 10**14
"""The year 5138; microseconds or nanoseconds taken for milliseconds lie above it."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)
_RFC3339: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|\+00:00)", re.ASCII
)


def shown(value: object) -> str:
    """A value as an error repeats it: short texts and numbers themselves, else the type's name."""
    if isinstance(value, str):
        return repr(value[:SHOWN_MAX])
    if value is None or isinstance(value, (bool, float)):
        return repr(value)
    if isinstance(value, int):
        return repr(value) if abs(value) < 10**SHOWN_MAX else "a huge integer"
    return f"a {type(value).__name__}"


def object_of(value: object, name: str) -> dict[str, Any]:
    """`value` when it is a JSON object."""
    if not isinstance(value, dict):
        raise ValueError(f"expected an object, found {shown(value)} @ {name}")
    return value


def list_of(value: object, name: str) -> list[Any]:
    """`value` when it is a JSON array."""
    if not isinstance(value, list):
        raise ValueError(f"expected an array, found {shown(value)} @ {name}")
    return value


def text_of(value: object, name: str) -> str:
    """`value` when it is a string that is not empty."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"expected a text, found {shown(value)} @ {name}")
    return value


def whole_of(value: object, name: str, low: int = 0) -> int:
    """A whole number of at least `low`, written as a JSON integer or as a string of digits."""
    number = value
    if isinstance(value, str) and len(value) <= NUMBER_CHARS_MAX and value.isascii():
        digits = value.removeprefix("-")
        if digits.isdigit():
            number = int(value)
    if not isinstance(number, int) or isinstance(number, bool) or number < low:
        raise ValueError(f"expected a whole number from {low}, found {shown(value)} @ {name}")
    return number


def decimal_of(value: object, name: str) -> str:
    """A plain, unsigned decimal number as its own text: `"0.48"`, `"5"`; no exponent, no NaN."""
    if (
        not isinstance(value, str)
        or len(value) > NUMBER_CHARS_MAX
        or not value.isascii()
        or not value.replace(".", "", 1).isdigit()
    ):
        raise ValueError(f"expected a decimal number, found {shown(value)} @ {name}")
    return value


def is_zero(decimal: str) -> bool:
    """Whether a text accepted by `decimal_of` is zero: `"0"`, `"0.000"`."""
    return not decimal.strip("0.")


def price_e8_of(value: object, name: str) -> int:
    """A positive price in 1e-8 of its currency, at most `PRICE_MAX_E8`; finer digits are cut."""
    if type(value) is not str:
        raise ValueError(f"expected a price as a string, found {shown(value)} @ {name}")
    try:
        return _price_e8(value)
    except ValueError:
        raise ValueError(
            f"expected a price above 0 and up to {PRICE_MAX_E8 // ONE_E8},"
            f" found {shown(value)} @ {name}"
        ) from None


@lru_cache(maxsize=PRICE_CACHE)
def _price_e8(text: str) -> int:
    price_e8 = truncate_scaled(decimal_of(text, "price"), 8)
    if not 0 < price_e8 <= PRICE_MAX_E8:
        raise ValueError("out of range")
    return price_e8


def millis_ns_of(value: object, name: str) -> int:
    """A time in Unix milliseconds as nanoseconds."""
    millis = whole_of(value, name, low=1)
    if millis >= MILLIS_MAX:
        raise ValueError(f"expected Unix milliseconds, found {shown(value)} @ {name}")
    return millis * MS_NS


def rfc3339_ns_of(value: object, name: str) -> int:
    """A UTC time such as `2026-04-29T02:10:52.233043Z` as Unix nanoseconds, exactly."""
    found = _RFC3339.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"expected a UTC time in RFC 3339, found {shown(value)} @ {name}")
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError as error:
        raise ValueError(f"expected a date: {error}, found {shown(value)} @ {name}") from None
    if moment < _EPOCH:
        raise ValueError(f"expected a time since 1970, found {shown(value)} @ {name}")
    fraction = found[7] or ""
    return (moment - _EPOCH) // _SECOND * SECOND_NS + int(fraction.ljust(9, "0"))
