"""The times to safety are shown after the tests that took them."""

from typing import Any

from tests.daemon import measured


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if measured.MEASURED:
        terminalreporter.section("time to safety: no quote left, books synced again")
        for line in measured.lines():
            terminalreporter.write_line(line)
