"""The books of a fill lens: what each engine's fills are worth under one fill model.

An account a market for each engine, from `core/accounts.py`. Kept apart by engine, they add up: at
the mid a short position in one token is worth what a long one in the other is.
"""

from typing import Any, Final, final

import attrs

from polytrade.core.accounts import FILL, REBATE, REDEEM, UNRESOLVED, Account, Record, Sheet
from polytrade.core.ids import BUY, NO, SELL, YES
from polytrade.core.learning import rebate_e6
from polytrade.core.ledger import Mark
from polytrade.core.market import MarketState
from polytrade.core.orders import Order
from polytrade.core.units import ONE_E6, notional_e6_down, notional_e6_up

ALL: Final = "all"
"""The row of a lens that adds up its engines."""
FLATTEN: Final = "flatten"
"""The engine whose orders only close."""
UNSETTLED_MAX: Final = 10_000
"""Fills waiting for their settlement: an hour of them at the order budget."""


@attrs.frozen(kw_only=True)
class LensRow:
    """What one engine made under one lens. `gross_e6` is before fees and rebates, with what is
    open (`open_e6` at the mid, or at cost without one; `open_shares_e6` is the net) counted in.
    `rebates_e6` is an estimate by protocols 8.2 and not what the venue paid.
    """

    lens: str
    engine: str
    fills: int
    volume_e6: int
    notional_e6: int
    realized_e6: int
    gross_e6: int
    fees_e6: int
    rebates_e6: int
    open_e6: int
    open_shares_e6: int

    @property
    def net_e6(self) -> int:
        """Profit after fees, with the estimated rebates."""
        return self.gross_e6 - self.fees_e6 + self.rebates_e6

    def to_dict(self) -> dict[str, Any]:
        """The row in USDC and shares."""
        row: dict[str, Any] = {"lens": self.lens, "engine": self.engine, "fills": self.fills}
        for name, value in (
            ("volume_shares", self.volume_e6),
            ("notional_usdc", self.notional_e6),
            ("realized_usdc", self.realized_e6),
            ("gross_usdc", self.gross_e6),
            ("fees_usdc", self.fees_e6),
            ("rebates_usdc", self.rebates_e6),
            ("net_usdc", self.net_e6),
            ("open_usdc", self.open_e6),
            ("open_shares", self.open_shares_e6),
        ):
            row[name] = value / ONE_E6
        return row


@final
class _Tally:
    """What an engine did in a lens: counts, and the money of markets that are over."""

    __slots__ = ("closed", "fills", "notional_e6", "volume_e6")

    def __init__(self) -> None:
        self.fills = 0
        self.volume_e6 = 0
        self.notional_e6 = 0
        self.closed = Sheet()


@final
class LensBook:
    """The books of one lens: an account a market for each engine.

    Orders to flatten close no more than is held, unless the lens is `exact`: the run itself.
    """

    __slots__ = ("_accounts", "_tallies", "_unsettled", "_winners", "exact", "name")

    def __init__(self, name: str, winners: dict[str, int], *, exact: bool) -> None:
        self.name = name
        self.exact = exact
        self._winners = winners
        self._accounts: dict[str, dict[str, Account]] = {}
        self._tallies: dict[str, _Tally] = {}
        self._unsettled: dict[str, tuple[Account, _Tally, int, int]] = {}

    def net_e6(self, market: str) -> int:
        """YES less NO shares over all engines."""
        return sum(account.net_e6() for account in self._accounts.get(market, {}).values())

    def fill(
        self,
        order: Order,
        state: MarketState | None,
        price_e4: int,
        size_e6: int,
        fee: int,
        maker: bool,
        fill_id: str,
    ) -> None:
        """Book a fill; `fill_id` is empty for one that needs no settlement."""
        if order.engine == FLATTEN and not self.exact:
            size_e6 = min(size_e6, self._closable_e6(order))
        if size_e6 <= 0:
            return
        of_market = self._accounts.setdefault(order.market, {})
        account = of_market.get(order.engine)
        if account is None:
            account = of_market[order.engine] = Account(order.market)
            account.winner = self._winners.get(order.market, UNRESOLVED)
        tally = self._tallies.setdefault(order.engine, _Tally())
        worth = notional_e6_up if order.side == BUY else notional_e6_down
        money_e6 = worth(price_e4, size_e6)
        record = Record(FILL, order.token, order.side, size_e6, money_e6, fee, fill_id)
        record.settled = not fill_id
        account.append(record)
        tally.fills += 1
        tally.volume_e6 += size_e6
        tally.notional_e6 += money_e6
        if fill_id:
            if len(self._unsettled) >= UNSETTLED_MAX:
                self.settle(next(iter(self._unsettled)))
            self._unsettled[fill_id] = (account, tally, size_e6, money_e6)
        if maker and state is not None:
            rebate = rebate_e6(state.spec, price_e4, size_e6)
            if rebate:
                account.append(Record(REBATE, YES, BUY, 0, rebate, 0, ""))

    def settle(self, fill_id: str) -> None:
        """A fill of the run is final."""
        found = self._unsettled.pop(fill_id, None)
        if found is not None:
            found[0].settle(fill_id)

    def void(self, fill_id: str) -> None:
        """A fill of the run never happened."""
        found = self._unsettled.pop(fill_id, None)
        if found is not None:
            account, tally, size_e6, money_e6 = found
            account.void(fill_id)
            tally.fills -= 1
            tally.volume_e6 -= size_e6
            tally.notional_e6 -= money_e6

    def resolved(self, market: str, winner: int) -> None:
        """Redeem what is held of a market; the markets that were over before are closed."""
        for account in self._accounts.get(market, {}).values():
            account.winner = winner
            account.append(Record(REDEEM, winner, SELL, 0, 0, 0, ""))
        for name in [name for name in self._accounts if name != market]:
            self._close(name)

    def rows(self, marks: dict[str, Mark]) -> list[LensRow]:
        """A row for each engine by name, and one for all of them."""
        rows = [self._row(engine, self._tallies[engine], marks) for engine in sorted(self._tallies)]
        sums = {
            field.name: sum(getattr(row, field.name) for row in rows)
            for field in attrs.fields(LensRow)
            if field.name not in {"lens", "engine"}
        }
        return [*rows, LensRow(lens=self.name, engine=ALL, **sums)]

    def _row(self, engine: str, tally: _Tally, marks: dict[str, Mark]) -> LensRow:
        flows = Sheet()
        flows.add_flows(tally.closed)
        cost_e6 = open_e6 = shares_e6 = 0
        for market, of_market in self._accounts.items():
            account = of_market.get(engine)
            if account is None:
                continue
            flows.add_flows(account.now)
            cost_e6 += account.now.cost_e6()
            mark = marks.get(market)
            if mark is None:
                open_e6 += account.now.cost_e6()
            else:
                open_e6 += account.value_e6(mark.bid_e4, mark.ask_e4, False)
            shares_e6 += account.net_e6()
        return LensRow(
            lens=self.name,
            engine=engine,
            fills=tally.fills,
            volume_e6=tally.volume_e6,
            notional_e6=tally.notional_e6,
            realized_e6=flows.realized_e6,
            gross_e6=flows.realized_e6 + open_e6 - cost_e6,
            fees_e6=flows.fees_e6,
            rebates_e6=flows.rebates_e6,
            open_e6=open_e6,
            open_shares_e6=shares_e6,
        )

    def _closable_e6(self, order: Order) -> int:
        """How much of an order takes the lens's net position towards 0."""
        net_e6 = self.net_e6(order.market)
        return max(0, -net_e6 if yes_side(order) == BUY else net_e6)

    def _close(self, market: str) -> None:
        """Fold a market that is over, flat and settled into the totals."""
        if market not in self._winners:
            return
        of_market = self._accounts[market]
        if any(account.records or not account.now.flat() for account in of_market.values()):
            return
        for engine, account in of_market.items():
            self._tallies[engine].closed.add_flows(account.now)
        del self._accounts[market]


def yes_side(order: Order) -> int:
    """The side of the YES book that the order stands on."""
    return 1 - order.side if order.token == NO else order.side
