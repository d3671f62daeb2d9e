"""A market's life: what it asks, when it runs, and what became of it."""

from typing import Final

import attrs

from polytrade.sandbox.matching.rules import MarketRules

UPDOWN: Final = "updown"
ABOVE: Final = "above"
EVENT: Final = "event"
"""Not about a price: politics, sports."""


@attrs.define(eq=False, kw_only=True)
class Listing:
    """One market as Gamma knows it. Prices are 1e-18 USD, -1 while unknown.

    `winner` is 0 or 1, 2 for fifty-fifty, -1 while open. `end_s` is when the question is decided,
    `closed_s` when the outcome was announced. `hidden` is the probability of YES of a market that
    is not about a price, known to informed traders only.
    """

    rules: MarketRules
    slug: str
    event_slug: str
    question: str
    category: str
    kind: str
    coin: str = ""
    window: str = ""
    listed_s: int
    start_s: int
    end_s: int
    lookback_s: int = 0
    """Length of the settlement average; 0 settles on the instant price."""
    strike_e18: int = -1
    final_e18: int = -1
    winner: int = -1
    closed_s: int = 0
    hidden: float = 0.5
