"""The many small makers: orders of five to thirty shares that come and go in milliseconds."""

import math
from typing import Final

from polytrade.core.ids import BUY, SELL
from polytrade.core.units import MS_NS, ONE_E4, ONE_E6
from polytrade.sandbox.matching.orders import Order
from polytrade.sandbox.world.floor import CENT_E6
from polytrade.sandbox.world.pit import CHANGES_PER_S, Pit

RESTING: Final = 44
"""Orders of the crowd on a busy book; they live a fifth of a second in the mean."""
RESTING_MIN: Final = 6
FAST_SHARE: Final = 0.8
FAST_GAP: Final = 0.62
SLOW_GAP: Final = 2.52
"""Gaps between two acts are of two kinds, in terms of their mean: in bursts, and between them."""
BURSTS_FROM: Final = 5.0
"""Acts a second from which on there are bursts."""
MOOD_SHARE: Final = 0.16
DEBT_MAX_S: Final = 2.0
"""Seconds of acts left out at most to make up for others' changes."""
ALLOWED_TICKS: Final = 0.5
STALE_TICKS: Final = 0.9
"""An order this far on the wrong side of the value is taken off."""
STALE_MIN_E4: Final = 30
LATENCY_NS: Final = (60 * MS_NS, 180 * MS_NS)
SWEEP_GAP_NS: Final = 3 * MS_NS
IMPROVES: Final = 0.02
OWNED: Final = 0.2
"""Orders that sell shares their wallet has; the others buy the other token."""
SETS_E6: Final = 3_000 * ONE_E6
SETS_MIN_E6: Final = 1_500 * ONE_E6
AT_TOUCH: Final = 0.66
AT_END: Final = 0.15
DISTANCES: Final = (1,) * 11 + (2,) * 7 + (3,) * 8 + (4,) * 8 + (5,) * 5 + (6,) * 3 + (7, 7)
FAR: Final = (8,) * 4 + (9,) * 7 + (10,) * 5 + (11, 11, 12, 13, 15, 20, 30, 38)
"""How many cents behind the touch, by how often it was seen in a real capture."""
SIZES: Final = (5,) * 30 + (10,) * 11 + (30,) * 8 + (6,) * 6 + (15,) * 5 + (20,) * 4


class Crowd:
    """The small makers of one market; `act` is one order placed or cancelled.

    `sell` shares are bought as complete sets beforehand, by `wallets` of their own.
    """

    def __init__(self, pit: Pit, wallets: tuple[str, ...]) -> None:
        self.wallets = wallets
        self._pit = pit
        self._orders: list[Order] = []
        self._stale: list[Order] = []
        self._latency_ns = int(pit.rng.uniform(*LATENCY_NS))
        self._value_e4 = pit.value_e4(0)
        self._swept_e4 = self._value_e4
        self._counted = pit.changes
        self._debt = 0.0
        self.stock()

    def stock(self) -> None:
        """Buy sets where there is little left to sell."""
        pit = self._pit
        for wallet in self.wallets:
            held = (pit.floor.bank.shares_e6(wallet, token_id) for token_id in pit.rules.tokens)
            if min(held) < SETS_MIN_E6:
                pit.floor.split(wallet, pit.rules, SETS_E6)

    def gap_ns(self, rate: float) -> int:
        """The time until the next act when there are `rate` a second in the mean."""
        rng = self._pit.rng
        mean = 1.0
        if rate > BURSTS_FROM:
            mean = FAST_GAP if rng.random() < FAST_SHARE else SLOW_GAP
        mood = math.exp(MOOD_SHARE * self._pit.mood)
        return int(1e9 * rng.expovariate(1.0) * mean / (rate * mood))

    def look(self) -> None:
        """See the value anew; orders that stand on its wrong side are taken off one by one."""
        pit = self._pit
        value_e4 = self._value_e4 = pit.value_e4(self._latency_ns)
        tick_e4 = pit.rules.tick_e4
        if abs(value_e4 - self._swept_e4) < 0.3 * tick_e4:
            return
        self._swept_e4 = value_e4
        slack_e4 = max(STALE_TICKS * tick_e4, STALE_MIN_E4)
        kept: list[Order] = []
        stale: list[Order] = []
        for order in self._orders:
            price_e4 = order.yes_price_e4
            if order.yes_side == BUY:
                wrong = price_e4 > value_e4 + slack_e4
            else:
                wrong = price_e4 < value_e4 - slack_e4
            (stale if wrong else kept).append(order)
        if stale:
            self._orders = kept
            if not self._stale:
                pit.floor.schedule.after(SWEEP_GAP_NS, self._sweep)
            self._stale += stale

    def act(self, rate: float) -> None:
        """One order more or less, unless others' changes were already as many as wanted."""
        pit = self._pit
        self._debt = min(self._debt + pit.changes - self._counted, rate * DEBT_MAX_S)
        if self._debt >= 1.0:
            self._debt -= 1.0
        else:
            wanted = max(RESTING_MIN, min(RESTING, RESTING * math.sqrt(rate / CHANGES_PER_S)))
            lean = (len(self._orders) - wanted) / wanted
            if pit.rng.random() < 0.5 + max(-0.4, min(0.4, lean)) or not self._place():
                self._cancel()
        self._counted = pit.changes

    def leave(self) -> None:
        """Take every order off the book."""
        for order in self._orders + self._stale:
            self._pit.cancel(order)
        self._orders.clear()
        self._stale.clear()

    def _cancel(self) -> None:
        orders = self._orders
        while orders:
            number = self._pit.rng.randrange(len(orders))
            order, orders[number] = orders[number], orders[-1]
            orders.pop()
            if order.open:
                self._pit.cancel(order)
                return

    def _sweep(self) -> None:
        while self._stale:
            order = self._stale.pop()
            if order.open:
                self._pit.cancel(order)
                break
        if self._stale:
            wait_ns = int(self._pit.rng.expovariate(1 / SWEEP_GAP_NS))
            self._pit.floor.schedule.after(wait_ns, self._sweep)

    def _place(self) -> bool:
        """Place an order somewhere; False when there is no room for it there."""
        pit = self._pit
        rng = pit.rng
        side = BUY if rng.random() < 0.5 else SELL
        where = rng.random()
        price_e4 = self._end_e4(side) if where < AT_END else self._touch_e4(side)
        if where >= AT_END + AT_TOUCH:
            cents = rng.choice(DISTANCES if rng.random() < 0.7 else FAR)
            step_e4 = cents * max(100, pit.rules.tick_e4)
            price_e4 += -step_e4 if side == BUY else step_e4
        if not 0 < price_e4 < ONE_E4:
            return False
        book = pit.book
        if price_e4 >= book.best_ask_e4() if side == BUY else price_e4 <= book.best_bid_e4():
            return False
        size_e6 = max(self._size_e6(where < AT_END), pit.rules.min_size_e6)
        wallet = rng.choice(self.wallets)
        order = pit.rest(wallet, side, price_e4, size_e6, rng.random() < OWNED)
        if order is not None:
            self._orders.append(order)
        return order is not None

    def _end_e4(self, side: int) -> int:
        step_e4 = max(100, self._pit.rules.tick_e4)
        return step_e4 if side == BUY else ONE_E4 - step_e4

    def _touch_e4(self, side: int) -> int:
        """The best price of that side the crowd still finds good, sometimes a tick better."""
        pit = self._pit
        tick_e4 = pit.rules.tick_e4
        slack_e4 = ALLOWED_TICKS * tick_e4
        book = pit.book
        bid_e4, ask_e4 = book.best_bid_e4(), book.best_ask_e4()
        inside = ask_e4 - bid_e4 > tick_e4 and pit.rng.random() < IMPROVES
        if side == BUY:
            good_e4 = math.floor((self._value_e4 + slack_e4) / tick_e4) * tick_e4
            return min(good_e4, (bid_e4 or good_e4) + inside * tick_e4)
        good_e4 = math.ceil((self._value_e4 - slack_e4) / tick_e4) * tick_e4
        return max(good_e4, (ask_e4 if ask_e4 < ONE_E4 else good_e4) - inside * tick_e4)

    def _size_e6(self, at_end: bool) -> int:
        rng = self._pit.rng
        chance = rng.random()
        if at_end or chance < 0.55:
            return (5 if at_end else rng.choice(SIZES)) * ONE_E6
        if chance < 0.88:
            return rng.randrange(6, 33) * ONE_E6
        if chance < 0.96:
            return rng.randrange(500, 1_300) * CENT_E6
        return rng.randrange(40, 180) * ONE_E6
