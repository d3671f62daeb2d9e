"""What makers are paid each day: a share of the fees they earned, and liquidity rewards.

Both are paid at midnight UTC; who would get less than one pUSD of a kind gets nothing and the
money stays where it is (protocols 8.2, 8.3).
"""

from collections import deque
from typing import Final

import attrs

from polytrade.core.ids import BUY, SELL
from polytrade.core.units import ONE_E6, SECOND_NS, fee_e6, share_e6_down
from polytrade.sandbox.matching.accounts import Bank
from polytrade.sandbox.matching.market import Market
from polytrade.sandbox.matching.orders import LIVE, Order, Trade
from polytrade.sandbox.matching.rules import RewardRules
from polytrade.sandbox.schedule import Planned, Schedule

SAMPLE_NS: Final = 60 * SECOND_NS
DAY_NS: Final = 86_400 * SECOND_NS
PAY_MIN_E6: Final = ONE_E6
PAYOUTS_KEPT: Final = 10_000
"""Payments remembered: some days of a hundred makers."""
ONE_E12: Final = 10**12
"""A whole sample's share: finer than 1e-6 pUSD of any pool."""
TWO_SIDED_BELOW_E4: Final = 1000
TWO_SIDED_ABOVE_E4: Final = 9000
ONE_SIDED_DIVISOR: Final = 3
"""Quoting one side only scores a third, and nothing outside 0.10 to 0.90 (protocols 8.3)."""

REBATE: Final = "rebate"
REWARD: Final = "reward"


@attrs.frozen
class Payout:
    """What a wallet was paid for a day; `kind` is rebate or reward."""

    ts_ns: int
    wallet: str
    kind: str
    cash_e6: int


@attrs.define(eq=False)
class _Pool:
    """One market's day: rebates to share out, fee-equivalents and sample shares of the makers."""

    rebate_e6: int = 0
    equivalents_e6: dict[str, int] = attrs.field(factory=dict)
    daily_e6: int = 0
    shares_e12: dict[str, int] = attrs.field(factory=dict)


class Rewards:
    """Scores resting orders every minute, counts rebates, and pays both once a day.

    Only markets with RewardRules are sampled. Rebates are counted when a trade is CONFIRMED, for
    the day of its confirmation. A market that is forgotten is still paid for its last day.
    """

    def __init__(self, schedule: Schedule, bank: Bank, markets: dict[str, Market]) -> None:
        self.payouts: deque[Payout] = deque(maxlen=PAYOUTS_KEPT)
        self._schedule = schedule
        self._bank = bank
        self._markets = markets
        self._pools: dict[str, _Pool] = {}
        self._sampling = False
        self._midnight: Planned | None = None

    def watch(self, market: Market) -> None:
        """A market was opened; sampling begins with the first that has rewards."""
        if market.rules.rewards is not None and not self._sampling:
            self._sampling = True
            self._schedule.at(self._next(SAMPLE_NS), self._sample)

    def is_scoring(self, order: Order) -> bool:
        """Whether the order earns liquidity rewards now (protocols 8.3)."""
        market = self._markets.get(order.condition)
        if market is None or market.rules.rewards is None:
            return False
        middle = _double_mid_e4(market, market.rules.rewards)
        return middle is not None and self._weight(order, market.rules.rewards, middle) > 0

    def scores(self, market: Market) -> dict[str, int]:
        """Q_min of every wallet that scores now, to one scale within the market."""
        rules = market.rules.rewards
        middle = _double_mid_e4(market, rules) if rules is not None else None
        if rules is None or middle is None:
            return {}
        sides: dict[str, list[int]] = {}
        for order in market.book.orders.values():
            weight = self._weight(order, rules, middle)
            if weight > 0:
                both = sides.setdefault(order.wallet, [0, 0])
                both[order.yes_side] += weight * order.remaining_e6
        inside = 2 * TWO_SIDED_BELOW_E4 <= middle <= 2 * TWO_SIDED_ABOVE_E4
        found = {}
        for wallet, both in sides.items():
            score = min(both[BUY], both[SELL]) * ONE_SIDED_DIVISOR
            if inside:
                score = max(score, *both)
            if score:
                found[wallet] = score
        return found

    def earn(self, market: Market, trade: Trade) -> None:
        """Count a confirmed trade's rebates: pro rata of the fees its fills would each pay."""
        fees = market.rules.fees
        if fees is None or fees.rebate_rate_e6 <= 0 or trade.fee_e6 <= 0:
            return
        pool = self._pool(trade.condition)
        pool.rebate_e6 += share_e6_down(trade.fee_e6, fees.rebate_rate_e6, ONE_E6)
        for fill in trade.fills:
            wallet = fill.order.wallet
            earned_e6 = fee_e6(fill.size_e6, fill.price_e4, fees.rate_e6, fees.exponent)
            pool.equivalents_e6[wallet] = pool.equivalents_e6.get(wallet, 0) + earned_e6

    def _weight(self, order: Order, rules: RewardRules, middle: int) -> int:
        """The square of how far inside the widest spread an order is, in half ticks; 0 outside."""
        if order.status != LIVE or order.remaining_e6 < rules.min_size_e6:
            return 0
        if self._schedule.now_ns - order.created_ns < rules.min_age_ns:
            return 0
        inside = 2 * rules.max_spread_e4 - abs(2 * order.yes_price_e4 - middle)
        return inside * inside if inside > 0 else 0

    def _sample(self) -> None:
        rewarded = [one for one in self._markets.values() if one.rules.rewards is not None]
        if not rewarded:
            self._sampling = False
            return
        for market in rewarded:
            scores = self.scores(market)
            total = sum(scores.values())
            if total and market.rules.rewards is not None:
                pool = self._pool(market.rules.condition)
                pool.daily_e6 = market.rules.rewards.daily_e6
                for wallet, score in scores.items():
                    share_e12 = share_e6_down(ONE_E12, score, total)
                    pool.shares_e12[wallet] = pool.shares_e12.get(wallet, 0) + share_e12
        self._schedule.at(self._next(SAMPLE_NS), self._sample)

    def _pool(self, condition: str) -> _Pool:
        """The day's pool of a market; the day's end is planned with the first of them."""
        pool = self._pools.get(condition)
        if pool is None:
            pool = self._pools[condition] = _Pool()
            if self._midnight is None:
                self._midnight = self._schedule.at(self._next(DAY_NS), self._pay)
        return pool

    def _pay(self) -> None:
        rebates: dict[str, int] = {}
        rewards: dict[str, int] = {}
        for pool in self._pools.values():
            _share_out(rebates, pool.rebate_e6, pool.equivalents_e6)
            _share_out(rewards, pool.daily_e6, pool.shares_e12)
        self._pools.clear()
        self._midnight = None
        for kind, due, pay in (
            (REBATE, rebates, self._bank.pay_rebate),
            (REWARD, rewards, self._bank.pay_reward),
        ):
            for wallet, cash_e6 in due.items():
                paid_e6 = pay(wallet, cash_e6) if cash_e6 >= PAY_MIN_E6 else 0
                if paid_e6:
                    self.payouts.append(Payout(self._schedule.now_ns, wallet, kind, paid_e6))

    def _next(self, step_ns: int) -> int:
        """The next whole minute, or midnight, after now."""
        now_ns = self._schedule.now_ns
        return now_ns - now_ns % step_ns + step_ns


def _double_mid_e4(market: Market, rules: RewardRules) -> int | None:
    """Twice the midpoint without levels below the minimum size; None when a side has no other."""
    best = []
    for side in (BUY, SELL):
        levels = market.book.levels(side)
        large = [price_e4 for price_e4, size_e6 in levels if size_e6 >= rules.min_size_e6]
        if not large:
            return None
        best.append(large[0])
    return best[0] + best[1]


def _share_out(due: dict[str, int], pool_e6: int, parts: dict[str, int]) -> None:
    """Add everyone's part of a pool to what is due."""
    whole = sum(parts.values())
    for wallet, part in parts.items():
        if whole and part:
            due[wallet] = due.get(wallet, 0) + share_e6_down(pool_e6, part, whole)
