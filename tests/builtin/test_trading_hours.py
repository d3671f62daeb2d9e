"""The rule `trading_hours`: which moments it lets orders through."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from polytrade.builtin.trading_hours import TradingHours, parse_span
from polytrade.core.units import SECOND_NS


def answer(rule: TradingHours, text: str) -> str:
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    context: Any = SimpleNamespace(ts_ns=round(moment.timestamp()) * SECOND_NS)
    request: Any = None
    return rule.check(request, context)


def test_default_lets_every_moment_through() -> None:
    rule = TradingHours()
    for day in range(16, 23):
        assert answer(rule, f"2026-11-{day}T00:00:00") == ""
        assert answer(rule, f"2026-11-{day}T23:59:59") == ""


@pytest.mark.parametrize(
    ("moment", "inside"),
    [
        ("2026-11-18T13:29:59", False),
        ("2026-11-18T13:30:00", True),
        ("2026-11-18T19:59:59", True),
        ("2026-11-18T20:00:00", False),
        ("2026-11-22T14:00:00", False),  # a Sunday
        ("2026-11-20T14:00:00", True),  # a Friday
    ],
)
def test_hours_begin_at_the_first_and_end_before_the_last(moment: str, inside: bool) -> None:
    rule = TradingHours(("13:30-20:00",), ("mon", "tue", "wed", "thu", "fri"))
    assert answer(rule, moment) == ("" if inside else "outside of 13:30-20:00 UTC")


@pytest.mark.parametrize(
    ("moment", "inside"),
    [
        ("2026-11-20T21:59:59", False),
        ("2026-11-20T22:00:00", True),
        ("2026-11-21T01:59:59", True),
        ("2026-11-21T02:00:00", False),
        ("2026-11-21T22:30:00", False),  # Saturday begins none
        ("2026-11-20T01:00:00", False),  # Thursday began none
    ],
)
def test_span_over_midnight_belongs_to_the_day_it_begins(moment: str, inside: bool) -> None:
    rule = TradingHours(("22:00-02:00",), ("fri",))
    assert (answer(rule, moment) == "") is inside


def test_any_of_several_spans_is_enough() -> None:
    rule = TradingHours(("01:00-02:00", "13:00-24:00"))
    assert answer(rule, "2026-11-20T01:30:00") == ""
    assert answer(rule, "2026-11-20T23:59:00") == ""
    assert answer(rule, "2026-11-20T12:59:00") == "outside of 01:00-02:00, 13:00-24:00 UTC"


@pytest.mark.parametrize("text", ["", "13-14", "25:00-26:00", "13:00-13:00", "23:00-24:01", "a"])
def test_span_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected HH:MM-HH:MM"):
        parse_span(text)
    with pytest.raises(ValueError, match="expected HH:MM-HH:MM"):
        TradingHours((text,))
