"""Who takes from the book: those who know more, those who follow, and everybody else."""

import math
from typing import Final

from polytrade.core.ids import BUY, NO, SELL, YES
from polytrade.core.units import MS_NS, ONE_E4, ONE_E6, SECOND_NS
from polytrade.sandbox.world.floor import CENT_E6
from polytrade.sandbox.world.pit import CHANGES_PER_S, Pit

TRADES_PER_S: Final = 6.2
"""Noise trades a second where there are `CHANGES_PER_S` level changes; others make it 6.5."""
PER_CHANGE: Final = TRADES_PER_S / CHANGES_PER_S
BURST: Final = 0.35
"""Chance that a trade is followed by another one within milliseconds."""
BURST_GAP_NS: Final = 30 * MS_NS
MOOD_SHARE: Final = 0.7
BUYS: Final = 0.66
SIZE_MIDDLE: Final = 7.1
SIZE_SPREAD: Final = 1.22
"""Of the logarithm: 34 shares at p90."""
SIZE_MAX: Final = 600.0
SLACK_TICKS: Final = 2
"""How far through the touch a taker goes."""
SETS_E6: Final = 4_000 * ONE_E6
SETS_MIN_E6: Final = 2_000 * ONE_E6
INFORMED_LATENCY_NS: Final = 50 * MS_NS
EDGE_TICKS: Final = 0.7
"""What a stale quote must be worth beyond the fee."""
INFORMED_RATE: Final = CHANGES_PER_S / 5
"""Level changes a second from which on no stale quote is overlooked."""
INFORMED_MIDDLE: Final = 45.0
INFORMED_REST_NS: Final = (80 * MS_NS, 400 * MS_NS)
MOMENTUM_NS: Final = 3 * SECOND_NS
MOMENTUM_BPS: Final = 2.5
MOMENTUM_REST_NS: Final = (SECOND_NS, 6 * SECOND_NS)


class _Taker:
    """Places fill-and-kill orders of a wallet in a market."""

    def __init__(self, pit: Pit, wallets: tuple[str, ...]) -> None:
        self._pit = pit
        self._wallets = wallets
        self._rest_until_ns = 0

    def _rest(self, between_ns: tuple[int, int]) -> None:
        now_ns = self._pit.floor.schedule.now_ns
        self._rest_until_ns = now_ns + int(self._pit.rng.uniform(*between_ns))

    def _resting(self) -> bool:
        return self._pit.floor.schedule.now_ns < self._rest_until_ns

    def _buy(self, token: int, limit_e4: int, shares: float) -> None:
        """Buy a token up to a price of its own, which is put on the grid."""
        pit = self._pit
        tick_e4 = pit.rules.tick_e4
        price_e4 = min(limit_e4 // tick_e4 * tick_e4, ONE_E4 - tick_e4)
        if price_e4 < tick_e4:
            return
        size_e6 = max(1, int(shares * 100)) * CENT_E6
        wallet = pit.rng.choice(self._wallets)
        pit.floor.take(wallet, pit.rules, token, BUY, price_e4, size_e6)

    def _ask_e4(self, token: int) -> int:
        """What the token costs now; `ONE_E4` when nobody sells."""
        book = self._pit.book
        return book.best_ask_e4() if token == YES else ONE_E4 - book.best_bid_e4()


class Noise(_Taker):
    """People who buy and sell for reasons of their own."""

    def __init__(self, pit: Pit, wallets: tuple[str, ...]) -> None:
        super().__init__(pit, wallets)
        self._acted = False
        self.stock()

    def stock(self) -> None:
        """Buy sets where there is little left to sell."""
        pit = self._pit
        for wallet in self._wallets:
            held = (pit.floor.bank.shares_e6(wallet, token_id) for token_id in pit.rules.tokens)
            if min(held) < SETS_MIN_E6:
                pit.floor.split(wallet, pit.rules, SETS_E6)

    def gap_ns(self, rate: float) -> int:
        """The time until the next trade in a market with `rate` level changes a second."""
        rng = self._pit.rng
        acted, self._acted = self._acted, False
        if acted and rng.random() < BURST:
            return int(rng.expovariate(1 / BURST_GAP_NS))
        # What bursts add is taken from the rate of their first trades; so is the mean of the mood.
        mood = math.exp(MOOD_SHARE * self._pit.mood - MOOD_SHARE**2 / 2)
        return int(1e9 * rng.expovariate(rate * PER_CHANGE * (1 - BURST) * mood))

    def act(self) -> None:
        """One trade of one of them."""
        self._acted = True
        pit = self._pit
        rng = pit.rng
        shares = min(SIZE_MAX, SIZE_MIDDLE * math.exp(rng.gauss(0.0, SIZE_SPREAD)))
        token = YES if rng.random() < 0.5 else NO
        if shares * self._ask_e4(token) < ONE_E4:
            # Not worth the venue's minimum: such people want the likelier outcome.
            token = YES if self._ask_e4(YES) > self._ask_e4(NO) else NO
        tick_e4 = pit.rules.tick_e4
        if rng.random() < BUYS:
            ask_e4 = self._ask_e4(token)
            if ask_e4 < ONE_E4:
                self._buy(token, ask_e4 + SLACK_TICKS * tick_e4, shares)
            return
        bid_e4 = ONE_E4 - self._ask_e4(NO if token == YES else YES)
        if bid_e4 > 0:
            limit_e4 = max(tick_e4, bid_e4 - SLACK_TICKS * tick_e4)
            size_e6 = max(1, int(shares * 100)) * CENT_E6
            wallet = rng.choice(self._wallets)
            held_e6 = pit.floor.bank.shares_e6(wallet, pit.rules.tokens[token])
            if held_e6 >= SETS_MIN_E6 // 2:
                pit.floor.take(wallet, pit.rules, token, SELL, limit_e4, size_e6)


class Informed(_Taker):
    """See the exchange's move before the makers and take what became cheap."""

    def look(self, rate: float) -> None:
        """Take a stale quote if there is one, in a market with `rate` level changes a second."""
        if self._resting() or self._pit.rng.random() > rate / INFORMED_RATE:
            return
        pit = self._pit
        value_e4 = pit.value_e4(INFORMED_LATENCY_NS)
        for token in (YES, NO):
            worth_e4 = value_e4 if token == YES else ONE_E4 - value_e4
            edge_e4 = EDGE_TICKS * pit.rules.tick_e4 + self._fee_e4(value_e4)
            limit_e4 = int(worth_e4 - edge_e4)
            if self._ask_e4(token) <= limit_e4:
                shares = INFORMED_MIDDLE * math.exp(pit.rng.gauss(0.0, 0.8))
                self._buy(token, limit_e4, min(SIZE_MAX, shares))
                self._rest(INFORMED_REST_NS)
                return

    def _fee_e4(self, value_e4: float) -> float:
        fees = self._pit.rules.fees
        if fees is None:
            return 0.0
        chance = value_e4 / ONE_E4
        share: float = (chance * (1.0 - chance)) ** fees.exponent
        return share * fees.rate_e6 / ONE_E6 * ONE_E4


class Momentum(_Taker):
    """Believe that what moved will go on moving."""

    def look(self, rate: float) -> None:
        """Buy the side the price has been running to; the busier the market, the more often."""
        pit = self._pit
        view = pit.view
        if view is None or self._resting():
            return
        now_ns = pit.floor.schedule.now_ns
        move_bps = view.move_bps(now_ns, MOMENTUM_NS)
        if abs(move_bps) < MOMENTUM_BPS * max(1.0, view.sigma_bps(0.0)):
            return
        self._rest(MOMENTUM_REST_NS)
        if pit.rng.random() > rate / CHANGES_PER_S:
            return
        token = YES if move_bps > 0 else NO
        ask_e4 = self._ask_e4(token)
        if ask_e4 < ONE_E4:
            shares = SIZE_MIDDLE * math.exp(pit.rng.gauss(0.6, SIZE_SPREAD))
            self._buy(token, ask_e4 + pit.rules.tick_e4, min(SIZE_MAX, shares))
