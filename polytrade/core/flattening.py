"""Closing positions on the operator's word: merge what pairs, sell the rest, say what is left."""

from typing import Final, final

from polytrade.core.desk import PASSING, SENT, Desk
from polytrade.core.effects import Alarmed, Effect
from polytrade.core.ids import NO, SELL, TOKEN_NAMES, YES
from polytrade.core.limits import FLATTEN, SIZE_STEP_E6, Context, Request
from polytrade.core.market import PENDING_RESOLUTION, REDEEMED, RESOLVED, MarketState
from polytrade.core.units import ONE_E4, size_text, step_down

TRIES_MAX: Final = 3
"""Marketable orders sent a token before a flatten gives up and says what is left."""
OVER: Final = (PENDING_RESOLUTION, RESOLVED, REDEEMED)


@final
class Flattener:
    """`markets` maps those still to be closed to the slippage allowed there."""

    __slots__ = ("_desk", "_tries", "markets")

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._tries: dict[tuple[str, int], int] = {}
        self.markets: dict[str, int] = {}

    def start(self, names: list[str], slippage_e4: int) -> None:
        """Close every position of these markets, from now on."""
        for name in names:
            self.markets[name] = slippage_e4
            self._tries[(name, YES)] = 0
            self._tries[(name, NO)] = 0

    def pursue(self, market: MarketState, context: Context, effects: list[Effect]) -> None:
        """Send the next closing order of a market in which nothing of ours rests or merges.

        One at a time; a limit that passes with time is waited for, any other ends the token.
        """
        name = market.spec.market
        if market.phase in OVER:
            self._end(market, context, effects)
            return
        waiting = False
        for token in (YES, NO):
            held = context.account.now.holding(token)
            waiting = waiting or held.confirmed_e6() < held.provisional_e6
            size_e6 = step_down(context.account.sellable_e6(token), SIZE_STEP_E6)
            tries = self._tries[(name, token)]
            if size_e6 <= 0 or tries >= TRIES_MAX:
                continue
            price_e4 = _closing_price(market, token, self.markets[name])
            request = Request(name, token, SELL, price_e4, size_e6, "FAK", False, FLATTEN)
            refused_by = self._desk.send(request, context, effects)
            if refused_by == SENT:
                self._tries[(name, token)] = tries + 1
                return
            if refused_by in PASSING:
                waiting = True
            else:
                self._tries[(name, token)] = TRIES_MAX
        if not waiting:
            self._end(market, context, effects)

    def forget(self, market: str) -> None:
        """The market is over, or closed: drop what is kept of it."""
        self.markets.pop(market, None)
        self._tries.pop((market, YES), None)
        self._tries.pop((market, NO), None)

    def _end(self, market: MarketState, context: Context, effects: list[Effect]) -> None:
        name = market.spec.market
        for token in (YES, NO):
            left_e6 = context.account.now.holding(token).provisional_e6
            if left_e6 > 0:
                what = f"{name}: {size_text(left_e6)} {TOKEN_NAMES[token]} left, {market.phase}"
                effects.append(Alarmed("flatten_incomplete", what))
        self.forget(name)


def _closing_price(market: MarketState, token: int, slippage_e4: int) -> int:
    """The least a sale of `token` may bring: the mid less the slippage, on the grid."""
    book = market.book
    middle_e4 = (book.bid_e4 + book.ask_e4) // 2
    if token == NO:
        middle_e4 = ONE_E4 - middle_e4
    tick = book.tick_e4
    return min(max(step_down(middle_e4 - slippage_e4, tick), tick), ONE_E4 - tick)
