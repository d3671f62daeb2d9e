"""Negative controls: makers without an opinion, which must lose after costs.

They exist to show that the measuring is honest: a venue, a fill model or a report in which one of
them earns money is wrong. They quote whatever the fair value says, but keep the rules of every
maker (regimes, widest spread, times). The edge they claim is that against the mid. Nothing here is
meant to be traded.
"""

from hashlib import blake2b
from math import ceil, floor
from typing import Final, final

import attrs

from polytrade.builtin.sections import of
from polytrade.builtin.sides import (
    QuotingTimes,
    ask_wish,
    bid_wish,
    market_silence,
    quote_size_e6,
    size_of_e6,
)
from polytrade.config import Strategy
from polytrade.core.roles import View, Wish
from polytrade.core.units import ONE_E4, SECOND_NS

HOLD_NS: Final = 2 * SECOND_NS
"""How long a random price stands: an order needs time to be filled, and its place in the queue."""
REACH_TICKS: Final = 6
"""Random prices are 1 to this many ticks from the mid."""
DRAW_BYTES: Final = 8


@final
@attrs.define(eq=False)
class MidMaker:
    """The `control_mid` maker: both sides as near to the mid as can rest."""

    base_quote_size: float = of(Strategy, "base_quote_size")
    no_quote_before_end_s: float = of(Strategy, "no_quote_before_end_s")
    no_quote_after_start_s: float = of(Strategy, "no_quote_after_start_s")
    size_e6: int = attrs.field(init=False)
    times: QuotingTimes = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.size_e6 = size_of_e6(self.base_quote_size)
        self.times = QuotingTimes(self.no_quote_after_start_s, self.no_quote_before_end_s)

    def quotes(self, view: View) -> tuple[list[Wish], str]:
        """The prices next to the mid on either side, so that the two never meet."""
        reason = market_silence(view) or self.times.silence(view)
        if reason:
            return [], reason
        return _both(view, 1, 1, quote_size_e6(self.size_e6, view))


@final
@attrs.define(eq=False)
class RandomMaker:
    """The `control_random` maker: prices drawn anew every two seconds of event time.

    A draw is a hash of the market, the time and `control_seed`: the same events give the same
    prices.
    """

    base_quote_size: float = of(Strategy, "base_quote_size")
    no_quote_before_end_s: float = of(Strategy, "no_quote_before_end_s")
    no_quote_after_start_s: float = of(Strategy, "no_quote_after_start_s")
    control_seed: int = of(Strategy, "control_seed")
    size_e6: int = attrs.field(init=False)
    times: QuotingTimes = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.size_e6 = size_of_e6(self.base_quote_size)
        self.times = QuotingTimes(self.no_quote_after_start_s, self.no_quote_before_end_s)

    def quotes(self, view: View) -> tuple[list[Wish], str]:
        """A bid and an ask, each a random number of ticks from the mid."""
        reason = market_silence(view) or self.times.silence(view)
        if reason:
            return [], reason
        below, above = self._ticks(view)
        return _both(view, below, above, quote_size_e6(self.size_e6, view))

    def _ticks(self, view: View) -> tuple[int, int]:
        text = f"{self.control_seed}:{view.market.spec.market}:{view.ts_ns // HOLD_NS}"
        draw = int.from_bytes(blake2b(text.encode(), digest_size=DRAW_BYTES).digest(), "big")
        low, high = draw % REACH_TICKS, draw // REACH_TICKS % REACH_TICKS
        return 1 + low, 1 + high


def _both(view: View, below: int, above: int, size_e6: int) -> tuple[list[Wish], str]:
    """A bid at the `below`-th price under the mid, an ask at the `above`-th over it: neither can
    cross the book nor the other.
    """
    book = view.market.book
    tick = book.tick_e4
    mid_e4 = (book.bid_e4 + book.ask_e4) / 2
    bid_e4 = (ceil(mid_e4 / tick) - below) * tick
    ask_e4 = (floor(mid_e4 / tick) + above) * tick
    wishes: list[Wish] = []
    if tick <= bid_e4:
        wishes.append(bid_wish(view, bid_e4, size_e6, (mid_e4 - bid_e4) / bid_e4 * 1e4))
    if ask_e4 <= ONE_E4 - tick:
        wishes.append(ask_wish(view, ask_e4, size_e6, (ask_e4 - mid_e4) / ask_e4 * 1e4))
    return wishes, "" if wishes else "no_quote_edge"
