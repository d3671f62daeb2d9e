"""A market's life: what it asks, when it runs, and what became of it."""

from typing import Final

import attrs

from polytrade.sandbox.matching.rules import MarketRules

UPDOWN: Final = "updown"
ABOVE: Final = "above"
BELOW: Final = "below"
RANGE: Final = "range"
EVENT: Final = "event"
"""Not about a price: politics, sports."""
SPLIT: Final = 2
"""The winner of a market that pays both outcomes half."""


@attrs.define(eq=False, kw_only=True)
class Listing:
    """One market as Gamma knows it. Prices are 1e-18 USD, -1 while unknown.

    `winner` is 0 or 1, 2 for fifty-fifty, -1 while open. `end_s` is when the question is decided,
    `closed_s` when the outcome was announced. `hidden` is the probability of YES of a market that
    is not about a price, known to informed traders only. A range pays from `strike_e18` to
    below `upper_e18`, which is 0 for every other kind.
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
    upper_e18: int = 0
    final_e18: int = -1
    winner: int = -1
    closed_s: int = 0
    hidden: float = 0.5

    def winner_at(self, final_e18: int) -> int:
        """Who wins when the price settles there: 0, 1 or `SPLIT`; the strike must be known.

        Equal prices are Up, but fifty-fifty for a day. A threshold asks for more than itself; of
        an event of ranges the higher one gets the border.
        """
        strike_e18 = self.strike_e18
        tie = final_e18 == strike_e18
        if tie and self.kind == UPDOWN and self.window == "1d":
            return SPLIT
        if self.kind == BELOW:
            return int(final_e18 >= strike_e18)
        if self.kind == RANGE:
            return int(not strike_e18 <= final_e18 < self.upper_e18)
        if self.kind == ABOVE and tie:
            return int(not self.rules.neg_risk)
        return int(final_e18 < strike_e18)
