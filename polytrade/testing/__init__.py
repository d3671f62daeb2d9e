"""What tests of plugins are made of; the sockets of feeds are in `polytrade.testing.sockets`.

    from polytrade.testing import assert_deterministic, market_events, run_strategy, view

Small worlds: `market`, `view`, `reference`, `portfolio`, `request`, `context`. Whole runs on paper:
`run_strategy` over `market_events` (made up), `venue_events` (what the local venue would send) or
`capture_events` (a recording). With pytest installed the fixtures `polytrade_events`,
`polytrade_view` and `run_strategy` need no import.
"""

from polytrade.testing.builders import (
    END_NS,
    NOW_NS,
    START_NS,
    book,
    context,
    estimate,
    holding,
    market,
    portfolio,
    reference,
    request,
    view,
)
from polytrade.testing.determinism import assert_deterministic
from polytrade.testing.markets import market_events
from polytrade.testing.measuring import Calls, measure_calls
from polytrade.testing.runs import Run, config, role_of, run_strategy
from polytrade.testing.tapes import capture_events, venue_events

__all__ = [
    "END_NS",
    "NOW_NS",
    "START_NS",
    "Calls",
    "Run",
    "assert_deterministic",
    "book",
    "capture_events",
    "config",
    "context",
    "estimate",
    "holding",
    "market",
    "market_events",
    "measure_calls",
    "portfolio",
    "reference",
    "request",
    "role_of",
    "run_strategy",
    "venue_events",
    "view",
]
