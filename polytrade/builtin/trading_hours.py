"""A risk rule: orders are sent inside given hours of given days only."""

import re
from typing import Final

import attrs

from polytrade.config_fields import setting
from polytrade.core.risk import DAY_NS, Context, Request
from polytrade.core.units import SECOND_NS

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
EPOCH_DAY: Final = 3
"""1 January 1970 was a Thursday."""
MINUTE_NS: Final = 60 * SECOND_NS
_SPAN: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-4]):([0-5][0-9])")


def parse_span(text: str) -> tuple[int, int]:
    """`13:30-20:00` as minutes of the day, the end excluded; `22:00-02:00` goes over midnight.

    ValueError when it is no such span.
    """
    found = _SPAN.fullmatch(text)
    if found is None:
        raise ValueError(f"expected HH:MM-HH:MM, found {text!r}")
    first, last = (int(found[1]) * 60 + int(found[2])), (int(found[3]) * 60 + int(found[4]))
    if last > 24 * 60 or first == last:
        raise ValueError(f"expected HH:MM-HH:MM up to 24:00, found {text!r}")
    return first, last


@attrs.define
class TradingHours:
    """The `trading_hours` rule. Times are UTC; a span over midnight belongs to the day it begins.

    Orders of a flatten are not asked about, and what rests when the hours end keeps resting until
    it is replaced: use `pause` to take it off.
    """

    hours: tuple[str, ...] = setting(
        ("00:00-24:00",), "when orders are sent, as UTC spans such as `13:30-20:00`"
    )
    days: tuple[str, ...] = setting(DAYS, "days on which a span may begin", choices=DAYS)
    _spans: tuple[tuple[int, int], ...] = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._spans = tuple(parse_span(text) for text in self.hours)

    def check(self, request: Request, context: Context) -> str:
        """Empty inside the hours, else what they are."""
        day, minute = context.ts_ns // DAY_NS, context.ts_ns % DAY_NS // MINUTE_NS
        today = DAYS[(day + EPOCH_DAY) % 7] in self.days
        yesterday = DAYS[(day + EPOCH_DAY - 1) % 7] in self.days
        for first, last in self._spans:
            if first < last:
                inside = today and first <= minute < last
            else:
                inside = (today and minute >= first) or (yesterday and minute < last)
            if inside:
                return ""
        return f"outside of {', '.join(self.hours)} UTC"
