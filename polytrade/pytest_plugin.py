"""Fixtures for tests of plugins, found by pytest where polytrade is installed.

Nothing of polytrade is imported before a fixture is asked for: other projects' tests in the same
environment pay for a few definitions.
"""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from polytrade.core.events import Event
    from polytrade.core.roles import View
    from polytrade.testing import Run


@pytest.fixture(scope="session")
def polytrade_events() -> "list[Event]":
    """A minute of a made-up market: `polytrade.testing.market_events()`. Not to be changed."""
    from polytrade.testing import market_events

    return market_events()


@pytest.fixture
def polytrade_view() -> "Callable[..., View]":
    """Makes views of a market: `polytrade.testing.view`."""
    from polytrade.testing import view

    return view


@pytest.fixture
def run_strategy() -> "Callable[..., Run]":
    """Trades events on paper: `polytrade.testing.run_strategy`."""
    from polytrade.testing import run_strategy as run

    return run
