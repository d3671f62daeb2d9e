"""What the chain does for wallets: split, merge, redeem, approve, pay, and deploy them.

Every wallet has approved every contract of the venue until it revokes that itself. Transactions
take effect `MINED_AFTER_NS` after they were sent; one that fails changes nothing.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import attrs

from polytrade.core.units import MS_NS
from polytrade.sandbox.matching.orders import Refused
from polytrade.sandbox.matching.rules import MarketRules
from polytrade.sandbox.venue.chain_calls import (
    APPROVE,
    MAX_UINT,
    MERGE,
    REDEEM,
    SPLIT,
    Call,
    CallRefused,
    Operation,
    operation,
)

if TYPE_CHECKING:
    from polytrade.sandbox.venue.local import LocalVenue

MINED_AFTER_NS: Final = 1_500 * MS_NS
TRANSACTIONS_MAX: Final = 4096
"""Transactions remembered, oldest forgotten first: a bot asks within minutes."""
MEMORY_MAX: Final = 16_384
"""Nonces, approvals and deployed wallets: of 4,096 signers four each."""
NEW: Final = "STATE_NEW"
CONFIRMED: Final = "STATE_CONFIRMED"
FAILED: Final = "STATE_FAILED"


@attrs.define(eq=False)
class Transaction:
    """One transaction on its way or done."""

    number: str
    hash: str
    state: str = NEW
    error: str = ""


class Chain:
    """The chain of one venue: nonces, approvals, deployed wallets and transactions."""

    def __init__(self, venue: "LocalVenue") -> None:
        self._venue = venue
        self._nonces: dict[str, int] = {}
        self._allowances: dict[tuple[str, str, str], int] = {}
        self._deployed: dict[str, None] = {}
        self._transactions: dict[str, Transaction] = {}
        self._sent = 0

    def nonce(self, account: str) -> int:
        """The next nonce of an account, named as its user likes."""
        return self._nonces.get(account, 0)

    def deployed(self, wallet: str) -> bool:
        """Whether a deposit wallet was created here."""
        return wallet in self._deployed

    def allowance(self, token: str, owner: str, spender: str) -> int:
        """What a wallet lets a contract take; everything unless it said otherwise."""
        return self._allowances.get((token, owner, spender), MAX_UINT)

    def transaction(self, name: str) -> Transaction | None:
        """A transaction by its number or its hash."""
        return self._transactions.get(name)

    def create_wallet(self, wallet: str) -> Transaction:
        """Deploy a deposit wallet."""

        def deploy() -> None:
            _remember(self._deployed, wallet, None)

        return self._send("", deploy)

    def send(
        self, account: str, wallet: str, calls: Sequence[Call], digest: str = ""
    ) -> Transaction:
        """Carry out a wallet's calls in order, all or none; counts the account's nonce up."""
        _remember(self._nonces, account, self.nonce(account) + 1)
        return self._send(digest, lambda: self._execute(wallet, calls))

    def _send(self, digest: str, action: Callable[[], None]) -> Transaction:
        self._sent += 1
        digest = digest or "0x" + hashlib.sha256(f"transaction {self._sent}".encode()).hexdigest()
        number = f"00000000-0000-4000-8000-{self._sent:012x}"
        sent = Transaction(number, digest)
        for name in (number, digest):
            _remember(self._transactions, name, sent, 2 * TRANSACTIONS_MAX)

        def mine() -> None:
            try:
                action()
            except (Refused, CallRefused) as refused:
                sent.state, sent.error = FAILED, str(refused)
            else:
                sent.state = CONFIRMED

        self._venue.schedule.after(MINED_AFTER_NS, mine)
        return sent

    def _execute(self, wallet: str, calls: Sequence[Call]) -> None:
        done: list[Operation] = []
        try:
            for each in [operation(call) for call in calls]:
                self.carry_out(wallet, each)
                done.append(each)
        except (Refused, CallRefused):
            for each in reversed(done):
                self._undo(wallet, each)
            raise

    def carry_out(self, wallet: str, asked: Operation) -> int:
        """One operation of a wallet now; what it paid, in 1e-6 pUSD. Raises Refused."""
        bank = self._venue.bank
        if asked.kind == APPROVE:
            _remember(self._allowances, (asked.target, wallet, asked.other), asked.amount)
            return 0
        if asked.kind in (SPLIT, MERGE, REDEEM):
            rules = self._rules(asked.condition)
            if asked.kind == REDEEM:
                return bank.redeem(wallet, rules)
            change = bank.split if asked.kind == SPLIT else bank.merge
            change(wallet, rules, asked.amount)
            return asked.amount
        bank.withdraw(wallet, asked.amount)
        bank.fund(asked.other, asked.amount)
        return asked.amount

    def _undo(self, wallet: str, done: Operation) -> None:
        bank = self._venue.bank
        if done.kind in (SPLIT, MERGE):
            back = bank.merge if done.kind == SPLIT else bank.split
            back(wallet, self._rules(done.condition), done.amount)
        elif done.kind not in (APPROVE, REDEEM):
            bank.withdraw(done.other, done.amount)
            bank.fund(wallet, done.amount)

    def _rules(self, condition: str) -> MarketRules:
        listing = self._venue.calendar.by_condition.get(condition)
        if listing is None:
            raise Refused(f"unknown condition: {condition}")
        return listing.rules


def _remember[K, V](table: dict[K, V], key: K, value: V, most: int = MEMORY_MAX) -> None:
    table[key] = value
    if len(table) > most:
        del table[next(iter(table))]
