"""Where the traders meet the exchange: their wallets, their orders, what they were refused."""

import hashlib
import random
from collections import Counter
from typing import Final

from polytrade.core.ids import BUY, NO, SELL, YES
from polytrade.core.units import ONE_E4, ONE_E6
from polytrade.sandbox.matching.accounts import Bank
from polytrade.sandbox.matching.admission import FAK_DEAD
from polytrade.sandbox.matching.exchange import Exchange
from polytrade.sandbox.matching.orders import FAK, GTC, Order, Placement, Refused
from polytrade.sandbox.matching.rules import MARKETABLE_MIN_E6, MarketRules
from polytrade.sandbox.schedule import Schedule

CENT_E6: Final = 10_000
"""Sizes and amounts of orders have 2 decimals."""
POOR_E6: Final = 1_000_000 * ONE_E6
"""A trader with less than this is given `GRANT_E6` again."""
GRANT_E6: Final = 10_000_000 * ONE_E6
REFUSALS_MAX: Final = 64
"""Different refusals told apart; the venue has fewer wordings."""


class Floor:
    """Places and cancels orders of the venue's own traders.

    Every trader is a wallet, `trader:<kind>-<n>`. A refusal is counted under its text in `refused`,
    never raised: traders go on. `missed` counts fill-and-kill orders that met nobody.
    """

    def __init__(self, schedule: Schedule, exchange: Exchange, bank: Bank, seed: int) -> None:
        self.schedule = schedule
        self.exchange = exchange
        self.bank = bank
        self.refused: Counter[str] = Counter()
        self.orders = 0
        self.missed = 0
        self._seed = seed
        self._addresses: dict[str, str] = {}

    def wallets(self, kind: str, count: int) -> tuple[str, ...]:
        """The wallets of a kind of trader, with money on them."""
        names = tuple(f"trader:{kind}-{number}" for number in range(1, count + 1))
        for name in names:
            # They are shown to the public, where an account is an address.
            digest = hashlib.sha256(f"{self._seed}|{name}".encode()).hexdigest()
            self._addresses[name] = "0x" + digest[:40]
            if not self.bank.knows(name):
                self.bank.fund(name, GRANT_E6)
            self.bank.redeem_by_itself(name)
        return names

    def refill(self) -> None:
        """Money for those who have little left."""
        for name in self._addresses:
            if self.bank.cash_e6(name) < POOR_E6:
                self.bank.fund(name, GRANT_E6)

    def chance(self, name: str) -> random.Random:
        """A source of chance of its own, the same for a seed and a name."""
        return random.Random(f"{self._seed}|{name}")

    def rest(
        self,
        wallet: str,
        rules: MarketRules,
        yes_side: int,
        yes_price_e4: int,
        size_e6: int,
        owned: bool = False,
    ) -> Order | None:
        """A post-only order in YES terms; None when it was refused.

        Who sells YES without owning it buys NO; with `owned` shares are sold instead, YES or NO.
        """
        if owned:
            token, side = (YES, SELL) if yes_side == SELL else (NO, SELL)
        else:
            token, side = (YES, BUY) if yes_side == BUY else (NO, BUY)
        price_e4 = yes_price_e4 if token == YES else ONE_E4 - yes_price_e4
        order = self._order(wallet, rules.condition, token, side, price_e4, size_e6)
        order.post_only = True
        return order if self._place(order) is not None else None

    def take(
        self, wallet: str, rules: MarketRules, token: int, side: int, price_e4: int, size_e6: int
    ) -> Placement | None:
        """A fill-and-kill order in the token's own terms, worth at least the venue's minimum."""
        worth_e6 = size_e6 * price_e4 // ONE_E4
        if worth_e6 < MARKETABLE_MIN_E6:
            size_e6 = -(-MARKETABLE_MIN_E6 * ONE_E4 // price_e4)
            size_e6 += -size_e6 % CENT_E6
        order = self._order(wallet, rules.condition, token, side, price_e4, size_e6)
        order.order_type = FAK
        if side == BUY:
            cash_e6 = -(-size_e6 * price_e4 // ONE_E4)
            order.cash_e6 = cash_e6 + -cash_e6 % CENT_E6
        return self._place(order)

    def cancel(self, order: Order) -> bool:
        """Take an order off the book; False when it was gone already."""
        if not order.open:
            return False
        reason = self.exchange.cancel(order.order_id)
        if reason:
            self._refuse(reason)
            return False
        return True

    def split(self, wallet: str, rules: MarketRules, size_e6: int) -> None:
        """Buy complete sets from the contract, to have shares to sell."""
        try:
            self.bank.split(wallet, rules, size_e6)
        except Refused as refusal:
            self._refuse(refusal.text)

    def merge(self, wallet: str, rules: MarketRules, keep_e6: int) -> None:
        """Give complete sets back, but for `keep_e6` of each token."""
        held = [self.bank.shares_e6(wallet, token_id) for token_id in rules.tokens]
        size_e6 = min(held) - keep_e6
        if size_e6 <= 0:
            return
        try:
            self.bank.merge(wallet, rules, size_e6)
        except Refused as refusal:
            self._refuse(refusal.text)

    def net_e6(self, wallet: str, rules: MarketRules) -> int:
        """YES shares less NO shares, those not yet confirmed included."""
        yes, no = (
            self.bank.shares_e6(wallet, token_id) + self.bank.pending_shares_e6(wallet, token_id)
            for token_id in rules.tokens
        )
        return yes - no

    def _order(
        self, wallet: str, condition: str, token: int, side: int, price_e4: int, size_e6: int
    ) -> Order:
        self.orders += 1
        name = hashlib.sha256(f"{self._seed}|order|{self.orders}".encode()).hexdigest()
        address = self._addresses[wallet]
        return Order(
            order_id="0x" + name,
            wallet=wallet,
            condition=condition,
            token=token,
            side=side,
            price_e4=price_e4,
            size_e6=size_e6,
            order_type=GTC,
            created_ns=self.schedule.now_ns,
            maker_address=address,
            signer=address,
        )

    def _place(self, order: Order) -> Placement | None:
        try:
            return self.exchange.place(order)
        except Refused as refusal:
            self._refuse(refusal.text)
            return None

    def _refuse(self, text: str) -> None:
        if text == FAK_DEAD:
            self.missed += 1
        elif text in self.refused or len(self.refused) < REFUSALS_MAX:
            self.refused[text] += 1
