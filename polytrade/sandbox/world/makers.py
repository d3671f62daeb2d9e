"""Who makes the book: desks that keep a ladder around their own idea of the value."""

import math
from typing import Final

from polytrade.core.ids import BUY, SELL
from polytrade.core.units import MS_NS, ONE_E4, ONE_E6, SECOND_NS
from polytrade.sandbox.matching.orders import Order
from polytrade.sandbox.world.floor import CENT_E6
from polytrade.sandbox.world.pit import Pit

CENT_E4: Final = 100
NEAR_LEVELS: Final = 6
"""Levels next to the touch every desk quotes, on the market's own tick."""
HALF_TICKS: Final = 0.27
"""Least distance of a quote from the value, in ticks: spreads of one tick 80 % of the time."""
UNREST_SHARE: Final = 0.35
"""Of the value's recent moves, by which quotes are wider."""
KEEP_MIN_E4: Final = 30
"""The same on a fine grid, in 1e-4: nobody moves for a tenth of a cent."""
PATIENCE_SHARE: Final = 0.3
"""Of the same moves, by which a value may be off before quotes follow: who chases every tick of a
wild price loses his place at each."""
UNREST_MEMORY: Final = 0.8
KEEP_TICKS: Final = 0.9
"""A value that moved less than this does not move quotes: place in the queue is worth something."""
REFRESH_NS: Final = 1_500 * MS_NS
"""How often what was filled is filled up again while nothing moves."""
SKEW_E6: Final = 1_500 * ONE_E6
"""Net shares that move a desk's value by a tick."""
SKEW_TICKS: Final = 1.0
SETS_KEPT_E6: Final = 500 * ONE_E6
HOUSEKEEPING_NS: Final = 10 * SECOND_NS
CANCELS_AT_ONCE: Final = 25
"""Orders a desk takes off in one look: who leaves a side does not leave it in a millisecond."""
END_SIZES: Final = (3_000, 15_000)
"""Shares at the two ends of the whole ladder."""


class Desk:
    """One market maker in one market.

    It sees prices `latency_ns` late and values YES `bias_ticks` off. A `whole` desk keeps every
    cent of the grid filled, the others the levels next to the touch.
    """

    def __init__(
        self, pit: Pit, wallet: str, latency_ns: int, bias_ticks: float, whole: bool
    ) -> None:
        self.wallet = wallet
        self._pit = pit
        self._latency_ns = latency_ns
        self._bias_ticks = bias_ticks
        self._whole = whole
        self._orders: tuple[dict[int, Order], dict[int, Order]] = ({}, {})
        self._seen_e4 = self._quoted_e4 = -float(ONE_E4)
        self._unrest_e4 = 0.0
        self._refresh_ns = 0
        self._kept_ns = 0
        self._skew_ticks = 0.0

    def look(self, most: int) -> None:
        """Compare quotes with the value and move them, with at most so many new orders."""
        pit = self._pit
        now_ns = pit.floor.schedule.now_ns
        if now_ns >= self._kept_ns:
            self._keep_house(now_ns)
        tick_e4 = pit.rules.tick_e4
        seen_e4 = pit.value_e4(self._latency_ns)
        if self._seen_e4 >= 0:
            moved_e4 = abs(seen_e4 - self._seen_e4)
            self._unrest_e4 = max(moved_e4, UNREST_MEMORY * self._unrest_e4)
        self._seen_e4 = seen_e4
        value_e4 = seen_e4 + (self._bias_ticks - self._skew_ticks) * tick_e4
        patience_e4 = max(KEEP_TICKS * tick_e4, KEEP_MIN_E4) + PATIENCE_SHARE * self._unrest_e4
        kept = abs(value_e4 - self._quoted_e4) < patience_e4
        if kept and now_ns < self._refresh_ns:
            return
        if not kept:
            self._quoted_e4 = value_e4
        half_e4 = HALF_TICKS * tick_e4 + UNREST_SHARE * self._unrest_e4
        bid_e4 = math.floor((self._quoted_e4 - half_e4) / tick_e4) * tick_e4
        ask_e4 = math.ceil((self._quoted_e4 + half_e4) / tick_e4) * tick_e4
        done = self._quote(bid_e4, ask_e4, most)
        self._refresh_ns = now_ns
        if done:
            self._refresh_ns += int(REFRESH_NS * (0.5 + pit.rng.random()))

    def leave(self) -> None:
        """Take every order off the book."""
        for orders in self._orders:
            for order in orders.values():
                self._pit.cancel(order)
            orders.clear()

    def _quote(self, bid_e4: int, ask_e4: int, most: int) -> bool:
        """Leave what is beyond the new touch, fill up behind it; whether all of it was possible."""
        bids, asks = self._orders
        beyond = sorted((price for price in bids if price > bid_e4), reverse=True)
        for price_e4 in beyond[:CANCELS_AT_ONCE]:
            self._pit.cancel(bids.pop(price_e4))
        short = sorted(price for price in asks if price < ask_e4)
        for price_e4 in short[:CANCELS_AT_ONCE]:
            self._pit.cancel(asks.pop(price_e4))
        left, clear = self._fill(BUY, bid_e4, most)
        left, open_too = self._fill(SELL, ask_e4, left)
        gone = max(len(beyond), len(short)) <= CANCELS_AT_ONCE
        return clear and open_too and gone and left > 0

    def _fill(self, side: int, touch_e4: int, most: int) -> tuple[int, bool]:
        pit = self._pit
        book = pit.book
        best_ask_e4, best_bid_e4 = book.best_ask_e4(), book.best_bid_e4()
        orders = self._orders[side]
        clear = True
        for distance, price_e4 in self._levels(side, touch_e4):
            order = orders.get(price_e4)
            if order is not None and order.open:
                continue
            if price_e4 >= best_ask_e4 if side == BUY else price_e4 <= best_bid_e4:
                clear = False  # somebody's stale order is in the way
                continue
            if most <= 0:
                break
            most -= 1
            placed = pit.rest(self.wallet, side, price_e4, self._size_e6(price_e4, distance))
            if placed is not None:
                orders[price_e4] = placed
        return most, clear

    def _levels(self, side: int, touch_e4: int) -> list[tuple[int, int]]:
        """Distance from the touch in ticks and price of the levels wanted, best first."""
        tick_e4 = self._pit.rules.tick_e4
        sign = -1 if side == BUY else 1
        wanted = [
            (level, touch_e4 + sign * level * tick_e4)
            for level in range(NEAR_LEVELS)
            if 0 < touch_e4 + sign * level * tick_e4 < ONE_E4
        ]
        if not self._whole:
            return wanted
        step_e4 = max(CENT_E4, tick_e4)
        reach_e4 = touch_e4 + sign * NEAR_LEVELS * tick_e4
        if side == BUY:
            deep = range(reach_e4 // step_e4 * step_e4, 0, -step_e4)
        else:
            deep = range(-(-reach_e4 // step_e4) * step_e4, ONE_E4, step_e4)
        return wanted + [(abs(price - touch_e4) // tick_e4, price) for price in deep]

    def _size_e6(self, price_e4: int, distance: int) -> int:
        rng = self._pit.rng
        if self._whole and distance and price_e4 in (CENT_E4, ONE_E4 - CENT_E4):
            shares = rng.uniform(*END_SIZES)
        else:
            middle = (60.0 if distance == 0 else 230.0) if self._whole else 40.0
            shares = middle * math.exp(rng.gauss(0.0, 0.9 if distance == 0 else 0.5))
        floor_e6 = self._pit.rules.min_size_e6
        return max(floor_e6, int(shares * 100) * CENT_E6)

    def _keep_house(self, now_ns: int) -> None:
        """Look at the inventory: what is too much moves the value, whole sets are given back."""
        pit = self._pit
        self._kept_ns = now_ns + int(HOUSEKEEPING_NS * (0.5 + pit.rng.random()))
        pit.floor.merge(self.wallet, pit.rules, SETS_KEPT_E6)
        net_e6 = pit.floor.net_e6(self.wallet, pit.rules)
        self._skew_ticks = max(-SKEW_TICKS, min(SKEW_TICKS, net_e6 / SKEW_E6))
