"""The times to safety are shown after the tests that took them."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.daemon import measured

KEY = "time to safety"


@pytest.fixture(autouse=True)
def _told(record_property: Any) -> Iterator[None]:
    """What a test measures goes with its report, which reaches the terminal from any worker."""
    measured.MEASURED.clear()
    yield
    for line in measured.lines():
        record_property(KEY, line)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reports = [report for found in terminalreporter.stats.values() for report in found]
    lines = [
        value
        for report in reports
        if getattr(report, "when", "") == "teardown"
        for name, value in report.user_properties
        if name == KEY
    ]
    if lines:
        terminalreporter.section("time to safety: no quote left, books synced again")
        for line in lines:
            terminalreporter.write_line(line)
