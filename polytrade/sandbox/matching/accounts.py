"""Who owns what: collateral and shares of every wallet, and the venue's own accounts.

Everything that moves money is here, and nothing here makes or loses any: see `cash_total_e6`.
"""

from collections.abc import Callable
from typing import Final

import attrs

from polytrade.core.ids import BUY
from polytrade.core.units import ONE_E6, share_e6_down
from polytrade.sandbox.matching.orders import COMPLEMENTARY, MINT, Refused, Trade
from polytrade.sandbox.matching.rules import MarketRules

NO_BALANCE: Final = "not enough balance / allowance"
NOT_RESOLVED: Final = "result for condition not received yet"


@attrs.define(eq=False)
class Account:
    """One wallet. What it has given to a trade has left it, what it gets is `pending` until then.

    A balance of zero shares has no entry: the tables stay as small as what is held.
    """

    cash_e6: int = 0
    pending_cash_e6: int = 0
    shares_e6: dict[str, int] = attrs.field(factory=dict)
    pending_e6: dict[str, int] = attrs.field(factory=dict)
    redeems_itself: bool = False


def _add(table: dict[str, int], key: str, change: int) -> None:
    value = table.get(key, 0) + change
    if value:
        table[key] = value
    else:
        table.pop(key, None)


class Bank:
    """The chain's ledger as the venue sees it, in 1e-6 pUSD and 1e-6 shares.

    With `sales_wait` (the default) what a sale brings may be spent when its trade is CONFIRMED.
    Without it may be spent at once; a wallet that has spent what a FAILED trade takes back is in
    debt, shows a balance of 0, and pays with what comes in next.

    `on_less` is called with a wallet that just gave something away by itself (split, merge,
    withdrawal): its open orders may no longer be covered.
    """

    def __init__(self, sales_wait: bool = True) -> None:
        self.sales_wait = sales_wait
        self.on_less: Callable[[str], None] = lambda wallet: None
        self.fees_e6 = 0
        self.pending_fees_e6 = 0
        self.rewards_e6 = 0
        self._paid_in_e6 = 0
        self._accounts: dict[str, Account] = {}
        self._collateral_e6: dict[str, int] = {}
        self._payouts_e6: dict[str, tuple[int, int]] = {}

    def fund(self, wallet: str, cash_e6: int) -> None:
        """The faucet: give a wallet (lower case) collateral, and an account if it had none."""
        self._account(wallet).cash_e6 += cash_e6
        self._paid_in_e6 += cash_e6

    def fund_rewards(self, cash_e6: int) -> None:
        """Put collateral into the account that liquidity rewards are paid from."""
        self.rewards_e6 += cash_e6
        self._paid_in_e6 += cash_e6

    def withdraw(self, wallet: str, cash_e6: int) -> None:
        """Take collateral out of the venue's sight; raises Refused when there is less."""
        self._check_amount(cash_e6)
        self._need(self.cash_e6(wallet), cash_e6)
        self._account(wallet).cash_e6 -= cash_e6
        self._paid_in_e6 -= cash_e6
        self.on_less(wallet)

    def redeem_by_itself(self, wallet: str) -> None:
        """From now on this wallet's shares are redeemed as soon as a market is resolved."""
        self._account(wallet).redeems_itself = True

    def knows(self, wallet: str) -> bool:
        """Whether the wallet has ever had anything."""
        return wallet in self._accounts

    def wallets(self) -> list[str]:
        """Every wallet, the first funded first."""
        return list(self._accounts)

    def cash_e6(self, wallet: str) -> int:
        """Collateral that is free to spend now."""
        account = self._accounts.get(wallet)
        return max(account.cash_e6, 0) if account is not None else 0

    def pending_cash_e6(self, wallet: str) -> int:
        """Collateral from sales that are not confirmed yet."""
        account = self._accounts.get(wallet)
        return account.pending_cash_e6 if account is not None else 0

    def shares_e6(self, wallet: str, token_id: str) -> int:
        """Shares that may be sold now."""
        account = self._accounts.get(wallet)
        return account.shares_e6.get(token_id, 0) if account is not None else 0

    def pending_shares_e6(self, wallet: str, token_id: str) -> int:
        """Shares bought in trades that are not confirmed yet."""
        account = self._accounts.get(wallet)
        return account.pending_e6.get(token_id, 0) if account is not None else 0

    def holdings(self, wallet: str) -> dict[str, int]:
        """Shares by token id, those of unconfirmed trades included."""
        account = self._accounts.get(wallet)
        if account is None:
            return {}
        both = dict(account.shares_e6)
        for token_id, size_e6 in account.pending_e6.items():
            _add(both, token_id, size_e6)
        return both

    def collateral_e6(self, condition: str) -> int:
        """What backs the shares of a market; as much as there are of each until it is resolved."""
        return self._collateral_e6.get(condition, 0)

    def cash_total_e6(self) -> int:
        """All collateral outside of markets: wallets, sales under way, fees, reward account."""
        wallets = sum(one.cash_e6 + one.pending_cash_e6 for one in self._accounts.values())
        return wallets + self.fees_e6 + self.pending_fees_e6 + self.rewards_e6

    def paid_in_e6(self) -> int:
        """What ever came in less what left: always `cash_total_e6` plus every collateral."""
        return self._paid_in_e6

    def shares_total_e6(self, token_id: str) -> int:
        """All shares of a token, those of unconfirmed trades included."""
        return sum(
            account.shares_e6.get(token_id, 0) + account.pending_e6.get(token_id, 0)
            for account in self._accounts.values()
        )

    def open_market(self, rules: MarketRules) -> None:
        """From now on the market's shares can be made."""
        self._collateral_e6.setdefault(rules.condition, 0)

    def resolve(self, rules: MarketRules, payouts_e6: tuple[int, int]) -> None:
        """Say what a share of each token is worth: together exactly one pUSD."""
        if sum(payouts_e6) != ONE_E6 or min(payouts_e6) < 0:
            raise ValueError(f"expected payouts that sum to {ONE_E6}, found {payouts_e6}")
        self._payouts_e6[rules.condition] = payouts_e6
        for wallet in self._accounts:
            self.redeem_if_wanted(wallet, rules)

    def forget_market(self, rules: MarketRules) -> None:
        """Redeem what is left for whoever holds it and keep nothing about the market.

        What dust backed no whole 1e-6 pUSD of anyone's goes to the fee account. ValueError when
        shares exist and nobody knows what they are worth.
        """
        for wallet, account in self._accounts.items():
            tokens = (account.shares_e6.keys() | account.pending_e6.keys()) & set(rules.tokens)
            if tokens:
                if rules.condition not in self._payouts_e6:
                    raise ValueError(f"expected {rules.condition} to be resolved before forgotten")
                self.redeem(wallet, rules)
        self._payouts_e6.pop(rules.condition, None)
        self.fees_e6 += self._collateral_e6.pop(rules.condition, 0)

    def split(self, wallet: str, rules: MarketRules, size_e6: int) -> None:
        """Turn collateral into as many shares of each token (protocols 10.1); Refused if short."""
        self._check_market(rules, size_e6)
        self._need(self.cash_e6(wallet), size_e6)
        account = self._account(wallet)
        account.cash_e6 -= size_e6
        self._collateral_e6[rules.condition] += size_e6
        for token_id in rules.tokens:
            _add(account.shares_e6, token_id, size_e6)
        self.on_less(wallet)

    def merge(self, wallet: str, rules: MarketRules, size_e6: int) -> None:
        """Turn shares of both tokens back into collateral; Refused when one of them is short."""
        self._check_market(rules, size_e6)
        for token_id in rules.tokens:
            self._need(self.shares_e6(wallet, token_id), size_e6)
        account = self._account(wallet)
        for token_id in rules.tokens:
            _add(account.shares_e6, token_id, -size_e6)
        self._collateral_e6[rules.condition] -= size_e6
        account.cash_e6 += size_e6
        self.on_less(wallet)

    def redeem(self, wallet: str, rules: MarketRules) -> int:
        """Burn the wallet's settled shares for what they are worth; what was paid.

        Raises Refused before the market is resolved. Shares of unconfirmed trades stay.
        """
        payouts_e6 = self._payouts_e6.get(rules.condition)
        if payouts_e6 is None:
            raise Refused(NOT_RESOLVED)
        account = self._accounts.get(wallet)
        if account is None:
            return 0
        paid_e6 = 0
        for token_id, payout_e6 in zip(rules.tokens, payouts_e6, strict=True):
            size_e6 = account.shares_e6.pop(token_id, 0)
            paid_e6 += share_e6_down(size_e6, payout_e6, ONE_E6)
        self._collateral_e6[rules.condition] -= paid_e6
        account.cash_e6 += paid_e6
        return paid_e6

    def redeem_if_wanted(self, wallet: str, rules: MarketRules) -> None:
        """Redeem for a wallet that wants it, once the market is resolved."""
        account = self._accounts.get(wallet)
        if account is not None and account.redeems_itself and rules.condition in self._payouts_e6:
            self.redeem(wallet, rules)

    def pay_rebate(self, wallet: str, cash_e6: int) -> int:
        """Pay a maker from the fee account, no more than is there; what was paid."""
        paid_e6 = min(cash_e6, self.fees_e6)
        self.fees_e6 -= paid_e6
        self._account(wallet).cash_e6 += paid_e6
        return paid_e6

    def pay_reward(self, wallet: str, cash_e6: int) -> int:
        """Pay a maker from the reward account, no more than is there; what was paid."""
        paid_e6 = min(cash_e6, self.rewards_e6)
        self.rewards_e6 -= paid_e6
        self._account(wallet).cash_e6 += paid_e6
        return paid_e6

    def begin(self, trade: Trade, rules: MarketRules) -> None:
        """A trade was matched: every side gives at once, what it gets is pending."""
        for wallet, token, side, size_e6, cash_e6, fee_e6 in _legs(trade):
            account = self._account(wallet)
            if side == BUY:
                account.cash_e6 -= cash_e6 + fee_e6
                _add(account.pending_e6, rules.tokens[token], size_e6)
            else:
                _add(account.shares_e6, rules.tokens[token], -size_e6)
                if self.sales_wait:
                    account.pending_cash_e6 += cash_e6 - fee_e6
                else:
                    account.cash_e6 += cash_e6 - fee_e6
        self.pending_fees_e6 += trade.fee_e6
        self._collateral_e6[rules.condition] += _minted_e6(trade)

    def confirm(self, trade: Trade, rules: MarketRules) -> None:
        """A trade was confirmed: what was pending belongs to its wallets."""
        for wallet, token, side, size_e6, cash_e6, fee_e6 in _legs(trade):
            account = self._account(wallet)
            if side == BUY:
                _add(account.pending_e6, rules.tokens[token], -size_e6)
                _add(account.shares_e6, rules.tokens[token], size_e6)
            elif self.sales_wait:
                account.pending_cash_e6 -= cash_e6 - fee_e6
                account.cash_e6 += cash_e6 - fee_e6
        self.pending_fees_e6 -= trade.fee_e6
        self.fees_e6 += trade.fee_e6

    def undo(self, trade: Trade, rules: MarketRules) -> None:
        """A trade failed: everyone gets back what was given, the fee included."""
        for wallet, token, side, size_e6, cash_e6, fee_e6 in _legs(trade):
            account = self._account(wallet)
            if side == BUY:
                account.cash_e6 += cash_e6 + fee_e6
                _add(account.pending_e6, rules.tokens[token], -size_e6)
            else:
                _add(account.shares_e6, rules.tokens[token], size_e6)
                if self.sales_wait:
                    account.pending_cash_e6 -= cash_e6 - fee_e6
                else:
                    account.cash_e6 -= cash_e6 - fee_e6
        self.pending_fees_e6 -= trade.fee_e6
        self._collateral_e6[rules.condition] -= _minted_e6(trade)

    def _account(self, wallet: str) -> Account:
        account = self._accounts.get(wallet)
        if account is None:
            account = self._accounts[wallet] = Account()
        return account

    def _check_market(self, rules: MarketRules, size_e6: int) -> None:
        if rules.condition not in self._collateral_e6:
            raise Refused(f"unknown condition: {rules.condition}")
        self._check_amount(size_e6)

    @staticmethod
    def _check_amount(amount_e6: int) -> None:
        if amount_e6 <= 0:
            raise Refused("invalid amount: expected more than 0")

    @staticmethod
    def _need(balance_e6: int, amount_e6: int) -> None:
        if balance_e6 < amount_e6:
            raise Refused(balance_text(balance_e6, amount_e6))


def balance_text(balance_e6: int, amount_e6: int) -> str:
    """The venue's wording for a balance that does not cover what is asked of it."""
    what = "the balance is not enough"
    return f"{NO_BALANCE}: {what} -> balance: {balance_e6}, order amount: {amount_e6}"


def _legs(trade: Trade) -> list[tuple[str, int, int, int, int, int]]:
    """(wallet, token, side, size, cash, fee) of everyone in a trade."""
    taker = trade.taker
    legs = [
        (fill.order.wallet, fill.order.token, fill.order.side, fill.size_e6, fill.cash_e6, 0)
        for fill in trade.fills
    ]
    legs.append((taker.wallet, taker.token, taker.side, trade.size_e6, trade.cash_e6, trade.fee_e6))
    return legs


def _minted_e6(trade: Trade) -> int:
    """By how much a trade changes what backs the market's shares."""
    return sum(
        fill.size_e6 if fill.kind == MINT else -fill.size_e6
        for fill in trade.fills
        if fill.kind != COMPLEMENTARY
    )
