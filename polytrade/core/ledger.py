"""Cash, positions and what is promised to open orders: exact integers, one booking a fact.

Three columns a token: *provisional* counts every fill as soon as it is matched, *confirmed* leaves
out bought shares that have not settled (a sale leaves both at once), *reserved* is promised to open
SELL orders. A BUY reserves its cost at the limit price and, unless post-only, the taker fee there.
Cash moves at the match. A fill that fails to settle is taken out with its profit, whatever came
after it. Fees and rebates are booked beside the profit, not in it.

Exposure of a market is the most that can still be lost there, measured from cost: the worse of the
two outcomes, with exactly those open orders filled that make it worse. A pair of YES and NO pays 1
either way, so that what is locked in pairs is not at risk. A coin's exposure, and the total, are
sums over markets.

Facts are booked as they come; what cannot be a fact (a fill settled twice, a merge of shares that
are not there) is answered with a `LedgerFault`, counted and not booked.
"""

from typing import final

from polytrade.core.accounts import (
    FILL,
    MERGE,
    REBATE,
    RECORDS_MAX,
    REDEEM,
    SPLIT,
    UNRESOLVED,
    Account,
    Record,
    Sheet,
    equal,
)
from polytrade.core.events import (
    Event,
    FillConfirmed,
    FillFailed,
    MarketListed,
    MarketResolved,
    OrderFilled,
    PairsMerged,
    PairsSplit,
    RebatePaid,
)
from polytrade.core.ids import BUY, NO, SELL, YES
from polytrade.core.orders import Order, Orders
from polytrade.core.reservations import Reservations
from polytrade.core.units import notional_e6_down, notional_e6_up


@final
class Booked:
    """What a fact changed: cash, realized profit (before fees), fees.

    `closed` tells whether a position was closed in part or whole, so that its profit is an outcome.
    """

    __slots__ = ("cash_e6", "closed", "fees_e6", "market", "realized_e6")

    def __init__(
        self, market: str, cash_e6: int, realized_e6: int, fees_e6: int, closed: bool
    ) -> None:
        self.market = market
        self.cash_e6 = cash_e6
        self.realized_e6 = realized_e6
        self.fees_e6 = fees_e6
        self.closed = closed

    def pnl_e6(self) -> int:
        """Realized profit after fees."""
        return self.realized_e6 - self.fees_e6


@final
class LedgerFault:
    """A fact that cannot be one and was not booked; `why` is the name it is counted under."""

    __slots__ = ("tag", "what", "why")

    def __init__(self, tag: str, what: str, why: str) -> None:
        self.tag = tag
        self.what = what
        self.why = why


@final
class Mark:
    """Where a market's YES trades: 0 and ONE_E4 for an empty side."""

    __slots__ = ("ask_e4", "bid_e4")

    def __init__(self, bid_e4: int, ask_e4: int) -> None:
        self.bid_e4 = bid_e4
        self.ask_e4 = ask_e4


@final
class Ledger:
    """The money. `faults` counts refused facts by name, and each time a token was `oversold` (its
    confirmed shares fell below 0: we sold, or the venue says so, what we do not surely have).
    """

    __slots__ = (
        "_accounts",
        "_by_symbol",
        "_closed",
        "_pending",
        "cash_e6",
        "exposure_total_e6",
        "faults",
        "fees_e6",
        "initial_e6",
        "realized_e6",
        "rebates_e6",
        "reservations",
    )

    def __init__(self) -> None:
        self.initial_e6 = 0
        self.cash_e6 = 0
        self.realized_e6 = 0
        self.fees_e6 = 0
        self.rebates_e6 = 0
        self.reservations = Reservations()
        self.exposure_total_e6 = 0
        self.faults: dict[str, int] = {}
        self._accounts: dict[str, Account] = {}
        self._by_symbol: dict[str, int] = {}
        self._closed = Sheet()
        self._pending: dict[str, Account] = {}

    def deposit(self, cash_e6: int) -> None:
        """More initial cash: what a run starts with."""
        self.initial_e6 += cash_e6
        self.cash_e6 += cash_e6

    def listed(self, event: MarketListed) -> None:
        """Open the market's account, or take in its new fee schedule and symbol."""
        account = self._accounts.get(event.market)
        if account is None:
            account = Account(event.market)
            self._accounts[event.market] = account
        elif account.symbol != event.symbol:
            left_e6 = self._by_symbol.get(account.symbol, 0) - account.exposure_e6
            self._by_symbol[account.symbol] = left_e6
            moved_e6 = self._by_symbol.get(event.symbol, 0) + account.exposure_e6
            self._by_symbol[event.symbol] = moved_e6
        account.symbol = event.symbol
        account.fee_rate_e6 = event.fee_rate_e6
        account.fee_exponent = event.fee_exponent

    def account(self, market: str) -> Account | None:
        """The market's account; None when it was never listed or is forgotten."""
        return self._accounts.get(market)

    def accounts(self) -> list[Account]:
        """Every account, in the order the markets were listed."""
        return list(self._accounts.values())

    def hold(self, order: Order) -> None:
        """Reserve what the order's open rest needs, in place of what was reserved for it before.

        To be called after every change of an order; its market must be listed (AssertionError).
        """
        account = self._accounts.get(order.market)
        self.reservations.hold(order, account)
        if account is not None:
            self._expose(account)

    def filled(self, order: Order, event: OrderFilled) -> Booked | LedgerFault:
        """Book a fill that `Orders.apply` took in, and hold what is left of its order.

        Fill ids name one fill of one order: a trade that fills two of ours has two.
        """
        account = self._accounts.get(order.market)
        self.reservations.hold(order, account)
        if account is None:
            return self._fault(event.TAG, order.market, "unknown_market")
        if event.fill_id in self._pending:
            self._expose(account)
            return self._fault(event.TAG, event.fill_id, "duplicate_fill")
        if order.side == BUY:
            money_e6 = notional_e6_up(event.price_e4, event.size_e6)
        else:
            money_e6 = notional_e6_down(event.price_e4, event.size_e6)
        held_e6 = account.now.holding(order.token).provisional_e6
        closed = held_e6 > 0 if order.side == SELL else held_e6 < 0
        closed = closed or account.winner != UNRESOLVED
        record = Record(
            FILL, order.token, order.side, event.size_e6, money_e6, event.fee_e6, event.fill_id
        )
        self._pending[event.fill_id] = account
        before = account.now.flows()
        account.append(record)
        if len(account.records) > RECORDS_MAX:
            self._settle(account, account.oldest_unsettled())
        return self._book(account, before, closed)

    def apply(self, event: Event) -> Booked | LedgerFault:
        """Book a settlement, a merge, a split, a resolution or a rebate; AssertionError for an
        event that is no fact about money (fills go to `filled`).
        """
        if isinstance(event, (FillConfirmed, FillFailed)):
            account = self._pending.get(event.fill_id)
            if account is None:
                return self._fault(event.TAG, event.fill_id, "not_pending")
            before = account.now.flows()
            if isinstance(event, FillConfirmed):
                self._settle(account, event.fill_id)
            else:
                del self._pending[event.fill_id]
                account.void(event.fill_id)
            return self._book(account, before, False)
        if isinstance(event, (PairsMerged, PairsSplit)):
            return self._pairs(event.market, event.size_e6, event.TAG)
        if isinstance(event, MarketResolved):
            return self._resolved(event)
        if isinstance(event, RebatePaid):
            return self._rebate(event)
        raise AssertionError(f"{event.TAG} is not a fact about money")

    def forget(self, market: str) -> bool:
        """Close a market's account when nothing is held or reserved there; whether it is closed.

        Fills still unsettled count as settled: a word on them later is `not_pending`.
        """
        account = self._accounts.get(market)
        if account is None:
            return True
        if not account.now.flat() or account.up_e6 or account.down_e6:
            return False
        for record in account.records:
            if not record.settled:
                del self._pending[record.fill_id]
        self._closed.add_flows(account.now)
        del self._accounts[market]
        return True

    def available_e6(self) -> int:
        """Cash not promised to open BUY orders. Each further part of a fill can cost up to 6e-6
        USDC more than reserved (every part is rounded on its own), so it may be just below 0.
        """
        return self.cash_e6 - self.reservations.cash_e6

    def sellable_e6(self, market: str, token: int) -> int:
        """Shares that may be sold now: confirmed less reserved, never below 0."""
        account = self._accounts.get(market)
        return 0 if account is None else account.sellable_e6(token)

    def mergeable_e6(self, market: str) -> int:
        """Pairs that may be merged now: sellable on both sides."""
        return min(self.sellable_e6(market, YES), self.sellable_e6(market, NO))

    def exposure_e6(self, market: str) -> int:
        """Money at risk in a market, as the module says."""
        account = self._accounts.get(market)
        return 0 if account is None else account.exposure_e6

    def symbol_exposure_e6(self, symbol: str) -> int:
        """Money at risk in all markets of a symbol."""
        return self._by_symbol.get(symbol, 0)

    def unrealized_e6(self, marks: dict[str, Mark], conservative: bool) -> int:
        """Value at the marks less cost, over all markets; one without a mark counts at cost."""
        total_e6 = 0
        for market, account in self._accounts.items():
            mark = marks.get(market)
            if mark is not None:
                value_e6 = account.value_e6(mark.bid_e4, mark.ask_e4, conservative)
                total_e6 += value_e6 - account.now.cost_e6()
        return total_e6

    def equity_e6(self, marks: dict[str, Mark], conservative: bool) -> int:
        """Cash and what is held, at the mid or, conservatively, where it could be closed."""
        cost_e6 = 0
        for account in self._accounts.values():
            cost_e6 += account.now.cost_e6()
        return self.cash_e6 + cost_e6 + self.unrealized_e6(marks, conservative)

    def check(self, orders: Orders) -> None:
        """The invariants; AssertionError names the first that broke. Linear in what is held.

        Cash is the initial cash and every flow; the same cash is explained by profit and cost;
        books equal their records; a negative holding was reported as oversold; reservations are
        exactly those of the open orders; exposures add up.
        """
        self._check_money()
        for account in self._accounts.values():
            account.check()
        self.reservations.check(orders, self.accounts())

    def _settle(self, account: Account, fill_id: str) -> None:
        del self._pending[fill_id]
        account.settle(fill_id)

    def _pairs(self, market: str, size_e6: int, tag: str) -> Booked | LedgerFault:
        account = self._accounts.get(market)
        if account is None:
            return self._fault(tag, market, "unknown_market")
        if size_e6 <= 0:
            return self._fault(tag, market, "bad_size")
        merge = tag == PairsMerged.TAG
        now = account.now
        if merge and size_e6 > min(now.yes.provisional_e6, now.no.provisional_e6):
            return self._fault(tag, market, "merge_exceeds_position")
        before = now.flows()
        account.append(Record(MERGE if merge else SPLIT, YES, BUY, size_e6, size_e6, 0, ""))
        return self._book(account, before, merge)

    def _resolved(self, event: MarketResolved) -> Booked | LedgerFault:
        account = self._accounts.get(event.market)
        if account is None:
            return self._fault(event.TAG, event.market, "unknown_market")
        if not -1 <= event.winner <= NO:
            return self._fault(event.TAG, event.market, "bad_winner")
        if account.winner != UNRESOLVED:
            repeated = account.winner == event.winner
            why = "resolved_again" if repeated else "resolved_otherwise"
            return self._fault(event.TAG, event.market, why)
        before, held = account.now.flows(), not account.now.flat()
        account.winner = event.winner
        account.append(Record(REDEEM, event.winner, SELL, 0, 0, 0, ""))
        return self._book(account, before, held)

    def _rebate(self, event: RebatePaid) -> Booked | LedgerFault:
        account = self._accounts.get(event.market)
        if account is not None:
            before = account.now.flows()
            account.append(Record(REBATE, YES, BUY, 0, event.cash_e6, 0, ""))
            return self._book(account, before, False)
        self._closed.rebates_e6 += event.cash_e6
        self.rebates_e6 += event.cash_e6
        self.cash_e6 += event.cash_e6
        return Booked(event.market, event.cash_e6, 0, 0, False)

    def _book(self, account: Account, before: tuple[int, int, int, int], closed: bool) -> Booked:
        now = account.now
        cash_before, realized_before, fees_before, rebates_before = before
        cash_e6 = now.cash_e6() - cash_before
        realized_e6 = now.realized_e6 - realized_before
        fees_e6 = now.fees_e6 - fees_before
        self.cash_e6 += cash_e6
        self.realized_e6 += realized_e6
        self.fees_e6 += fees_e6
        self.rebates_e6 += now.rebates_e6 - rebates_before
        yes, no = now.yes, now.no
        oversold = yes.provisional_e6 < yes.pending_e6 or no.provisional_e6 < no.pending_e6
        if oversold and not account.oversold:
            self._count("oversold")
        account.oversold = oversold
        self._expose(account)
        return Booked(account.market, cash_e6, realized_e6, fees_e6, closed)

    def _expose(self, account: Account) -> None:
        worst_e6 = account.worst_e6()
        change_e6 = worst_e6 - account.exposure_e6
        if change_e6:
            account.exposure_e6 = worst_e6
            self.exposure_total_e6 += change_e6
            symbol = account.symbol
            self._by_symbol[symbol] = self._by_symbol.get(symbol, 0) + change_e6

    def _check_money(self) -> None:
        total = self._closed.copy()
        cost_e6 = exposure_e6 = 0
        by_symbol: dict[str, int] = {}
        for account in self._accounts.values():
            total.add_flows(account.now)
            cost_e6 += account.now.cost_e6()
            exposure_e6 += account.exposure_e6
            by_symbol[account.symbol] = by_symbol.get(account.symbol, 0) + account.exposure_e6
        equal("cash and its flows", self.cash_e6, self.initial_e6 + total.cash_e6())
        equal("realized profit", self.realized_e6, total.realized_e6)
        equal("fees", self.fees_e6, total.fees_e6)
        equal("rebates", self.rebates_e6, total.rebates_e6)
        earned_e6 = self.realized_e6 - self.fees_e6 + self.rebates_e6 - cost_e6
        equal("cash and profit less cost", self.cash_e6, self.initial_e6 + earned_e6)
        equal("total exposure", self.exposure_total_e6, exposure_e6)
        for symbol, found_e6 in self._by_symbol.items():
            equal(f"exposure of {symbol}", found_e6, by_symbol.get(symbol, 0))

    def _fault(self, tag: str, what: str, why: str) -> LedgerFault:
        self._count(why)
        return LedgerFault(tag, what, why)

    def _count(self, name: str) -> None:
        self.faults[name] = self.faults.get(name, 0) + 1
