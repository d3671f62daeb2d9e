"""What the chain does for wallets: split, merge, redeem, approve, pay, and deploy them.

Every wallet has approved every contract of the venue until it revokes that itself. Transactions
take effect `MINED_AFTER_NS` after they were sent; one that fails changes nothing but what it had
redeemed.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

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

K = TypeVar("K")
V = TypeVar("V")

MINED_AFTER_NS: Final = 1_500 * MS_NS
TRANSACTIONS_MAX: Final = 4096
"""Transactions remembered, oldest forgotten first: a bot asks within minutes."""
MEMORY_MAX: Final = 16_384
"""Nonces, approvals and deployed wallets: of 4,096 signers four each."""
_PUSD: Final = "0xC011a7E12a19f7B1f670d46F03B03f3342E82DFB"
_CTF: Final = "0x4D97DCd97eC945f40cF65F87097ACe5EA0476045"
_POSITIONS: Final = "0x006F54F7f9A22e0000CC2AB60031000000ae9fEF"
_EXCHANGE: Final = "0xE111180000d2663C0091e4f400237545B87B996B"
_NEG_RISK_EXCHANGE: Final = "0xe2222d279d744050d28e00520010520000310F59"
_EXCHANGE_V3: Final = "0xe3333700cA9d93003F00f0F71f8515005F6c00Aa"
_ADAPTER: Final = "0xAdA100Db00Ca00073811820692005400218FcE1f"
_NEG_RISK_ADAPTER: Final = "0xadA2005600Dec949baf300f4C6120000bDB6eAab"
_ROUTER: Final = "0x12121212006e4CD160D18e3f00711DA5c3372600"
_PERPS: Final = "0xDCa4af75705dbB50f62437045afF9921947917d2"
_REDEEMER: Final = "0xa1200000d0002264C9a1698e001292D00E1b00af"
_BINARY: Final = "0x1000008dD9001B968442c1000017eaE6E0dA00Ba"
_NEG_RISK: Final = "0x200000900045e3B6259600682756002200028933"
CONTRACTS: Final = (
    *(
        ("ERC20", _PUSD, spender)
        for spender in (
            _EXCHANGE,
            _NEG_RISK_EXCHANGE,
            _ADAPTER,
            _NEG_RISK_ADAPTER,
            _ROUTER,
            _EXCHANGE_V3,
            _PERPS,
        )
    ),
    *(
        ("ERC1155", _CTF, operator)
        for operator in (
            _EXCHANGE,
            _NEG_RISK_EXCHANGE,
            _ADAPTER,
            _NEG_RISK_ADAPTER,
            _REDEEMER,
            _BINARY,
            _NEG_RISK,
        )
    ),
    *(("ERC1155", _POSITIONS, operator) for operator in (_ROUTER, _EXCHANGE_V3, _REDEEMER)),
)
"""(standard, token, spender) of every approval that trading needs (protocols 0.3, 4.4)."""
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
        """Carry out a wallet's calls in order, all or none; count the account's nonce up."""
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


def _remember(table: dict[K, V], key: K, value: V, most: int = MEMORY_MAX) -> None:
    table[key] = value
    if len(table) > most:
        del table[next(iter(table))]
