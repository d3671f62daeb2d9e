"""An invented order book of an exchange: it follows a price, breathes, and is traded against."""

import math
import random
from bisect import insort
from typing import Final, NamedTuple

from polytrade.core.ids import BUY, SELL
from polytrade.core.units import ONE_E8
from polytrade.sandbox.venue.exchanges.pairs import Pair

LEVELS: Final = 40
"""Levels kept a side: bots read ten or twenty."""
GAP_BPS: Final = 0.15
"""Mean distance between two levels."""
NEAR: Final = 8
HOLE: Final = 5.0
"""Among so many best levels, no gap is wider than this many mean ones: a price that ran leaves
one behind, and who takes the touch there would find the next level far away."""
PRICE_MAX_E8: Final = 10**7 * ONE_E8
SIZE_SPREAD: Final = 0.8
"""Standard deviation of the logarithm of a size."""
AT_TOUCH: Final = 0.6
CHANGED_DEEPER: Final = 0.85
"""Shares of changes by themselves: size at the touch, then size deeper, the rest levels gone."""
SIGNS: Final = (-1, 1)


class Change(NamedTuple):
    """A level's new size in lots; 0 when it is gone."""

    side: int
    ticks: int
    lots: int


class Print(NamedTuple):
    """A trade; `side` is the taker's."""

    number: int
    side: int
    ticks: int
    lots: int


class ExchangeBook:
    """Bids (`BUY`) and asks (`SELL`) of one instrument in ticks and lots, never crossed.

    `update_id` grows by one a changed level, `prints` by one a trade.
    """

    def __init__(self, pair: Pair, rng: random.Random) -> None:
        self.pair = pair
        self.update_id = rng.randrange(10**9, 9 * 10**9)
        self.prints = rng.randrange(10**8, 10**9)
        self.last: Print | None = None
        self._rng = rng
        # Keys are prices with the side's sign, so that the best is the least on both sides.
        self._sizes: tuple[dict[int, int], dict[int, int]] = ({}, {})
        self._order: tuple[list[int], list[int]] = ([], [])
        self._changes: list[Change] = []

    def top(self, side: int) -> tuple[int, int]:
        """Best price in ticks and its lots; there is one once `follow` was called."""
        key = self._order[side][0]
        return key * SIGNS[side], self._sizes[side][key]

    def touch(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Best bid and best ask, each with its lots."""
        return self.top(BUY), self.top(SELL)

    def view(self, side: int, depth: int = LEVELS) -> list[tuple[int, int]]:
        """The best levels as (ticks, lots), best first."""
        sizes, sign = self._sizes[side], SIGNS[side]
        return [(key * sign, sizes[key]) for key in self._order[side][:depth]]

    def mid_e8(self) -> int:
        """Between best bid and best ask; 0 before the first `follow`."""
        if not self._order[BUY]:
            return 0
        return (self._order[SELL][0] - self._order[BUY][0]) * self.pair.tick_e8 // 2

    def follow(self, price_e8: int) -> list[Change]:
        """Put best bid and ask around a price; what changed, each level once."""
        tick_e8 = self.pair.tick_e8
        spread = max(1, round(price_e8 * self.pair.spread_bps / 10_000 / tick_e8))
        bid = max(1, (2 * price_e8 - spread * tick_e8) // (2 * tick_e8))
        for side, ticks in ((BUY, bid), (SELL, bid + spread)):
            order, key = self._order[side], ticks * SIGNS[side]
            while order and order[0] < key:
                self._set(side, order[0], 0)
            if not order or order[0] != key:
                self._set(side, key, self._size())
            self._fill(side)
        return self._taken()

    def breathe(self) -> list[Change]:
        """One change that no price makes: a size, or a level that goes and another that comes."""
        rng = self._rng
        side = rng.randrange(2)
        order = self._order[side]
        chance = rng.random()
        if chance < AT_TOUCH:
            self._set(side, order[0], self._size())
        else:
            key = order[rng.randrange(1, len(order))]
            self._set(side, key, self._size() if chance < CHANGED_DEEPER else 0)
            self._fill(side)
        return self._taken()

    def trade(self, side: int) -> tuple[Print, list[Change]]:
        """A taker buys or sells at the touch, at most all of it."""
        maker = 1 - side
        key = self._order[maker][0]
        rests = self._sizes[maker][key]
        lots = min(rests, 1 + int(self._rng.expovariate(1 / self.pair.trade_lots)))
        self._set(maker, key, rests - lots)
        self._fill(maker)
        self.prints += 1
        self.last = Print(self.prints, side, key * SIGNS[maker], lots)
        return self.last, self._taken()

    def _size(self) -> int:
        lots = self.pair.touch_lots * math.exp(self._rng.gauss(0.0, SIZE_SPREAD))
        return max(1, int(lots))

    def _fill(self, side: int) -> None:
        """Bring the side to `LEVELS` levels, without a hole near the touch."""
        order, tick_e8 = self._order[side], self.pair.tick_e8
        mean = max(1.0, abs(order[0]) * GAP_BPS / 10_000)
        while len(order) < LEVELS:
            key = order[-1] + 1 + int(self._rng.expovariate(1 / mean))
            if not 0 < key * SIGNS[side] * tick_e8 <= PRICE_MAX_E8:
                return
            self._set(side, key, self._size())
        for index in range(NEAR):
            if order[index + 1] - order[index] > HOLE * mean:
                key = order[index] + 1 + int(self._rng.expovariate(1 / mean))
                self._set(side, min(key, order[index + 1] - 1), self._size())
        while len(order) > LEVELS:
            self._set(side, order[-1], 0)

    def _set(self, side: int, key: int, lots: int) -> None:
        sizes, order = self._sizes[side], self._order[side]
        if lots == 0:
            del sizes[key]
            order.remove(key)
        else:
            if key not in sizes:
                insort(order, key)
            sizes[key] = lots
        self._changes.append(Change(side, key * SIGNS[side], lots))

    def _taken(self) -> list[Change]:
        """The changes since last asked; of a level changed twice, the last."""
        changes, self._changes = self._changes, []
        if len(changes) > 1:
            changes = list({change[:2]: change for change in changes}.values())
        self.update_id += len(changes)
        return changes
