"""The books of one market: holdings at average cost, money flows, and the records behind them.

Every booking is one primitive, `Holding.trade`: shares in or out against money. A merge sells both
tokens, a split buys both, a resolution sells what is held at its payout, so that one law holds for
all of them: money in a market = realized - fees + rebates - cost of what is still held.

A trade that fails to settle must vanish with its profit, whatever came after it. So the records
since the first unsettled fill are kept, and the books are made again from them without it.
"""

from typing import Final, final

from polytrade.core.ids import BUY, NO, SELL, TOKEN_NAMES, YES
from polytrade.core.units import (
    ONE_E4,
    notional_e6_down,
    notional_e6_up,
    share_e6_down,
)

FILL: Final = 0
MERGE: Final = 1
SPLIT: Final = 2
REDEEM: Final = 3
REBATE: Final = 4

UNRESOLVED: Final = -2
"""`Account.winner` before the official outcome; YES, NO or -1 (50-50) after it."""

RECORDS_MAX: Final = 10_000
"""Records kept of one market. Fills settle within seconds, so that only the newest few are needed;
at the market's share of the order budget (2.5 a second) this is more than an hour of fills. Beyond
it the oldest fill is taken as settled."""


@final
class Record:
    """One booking: `money_e6` is what a fill, merge, split or rebate is worth, and unused for a
    redemption, whose `token` is the winner. Only a fill can be unsettled.
    """

    __slots__ = ("fee_e6", "fill_id", "kind", "money_e6", "settled", "side", "size_e6", "token")

    def __init__(
        self,
        kind: int,
        token: int,
        side: int,
        size_e6: int,
        money_e6: int,
        fee_e6: int,
        fill_id: str,
    ) -> None:
        self.kind = kind
        self.token = token
        self.side = side
        self.size_e6 = size_e6
        self.money_e6 = money_e6
        self.fee_e6 = fee_e6
        self.fill_id = fill_id
        self.settled = kind != FILL


@final
class Holding:
    """Shares of one token and what they cost. `provisional_e6` counts every fill, `pending_e6` the
    bought shares in it that are not settled. Both a long and an oversold (negative) holding keep
    their average cost; the cost of an oversold one is minus what was received for it.
    """

    __slots__ = ("cost_e6", "pending_e6", "provisional_e6")

    def __init__(self, provisional_e6: int, pending_e6: int, cost_e6: int) -> None:
        self.provisional_e6 = provisional_e6
        self.pending_e6 = pending_e6
        self.cost_e6 = cost_e6

    def confirmed_e6(self) -> int:
        """Shares that may be sold: settled buys less every sale, settled or not."""
        return self.provisional_e6 - self.pending_e6

    def copy(self) -> "Holding":
        """The same holding, to go on from separately."""
        return Holding(self.provisional_e6, self.pending_e6, self.cost_e6)

    def trade(self, side: int, size_e6: int, money_e6: int) -> int:
        """Buy or sell `size_e6` shares for `money_e6` in all; returns the realized profit.

        What closes shares held the other way takes its part of the cost with it, rounded down; the
        last share takes what is left, so that a flat holding costs nothing.
        """
        held = self.provisional_e6
        realized = 0
        opened_e6 = money_e6
        if side == SELL and held > 0:
            closing = min(held, size_e6)
            basis = share_e6_down(self.cost_e6, closing, held)
            money = share_e6_down(money_e6, closing, size_e6)
            realized = money - basis
            self.cost_e6 -= basis
            opened_e6 -= money
        elif side == BUY and held < 0:
            closing = min(-held, size_e6)
            basis = share_e6_down(self.cost_e6, closing, -held)
            money = share_e6_down(money_e6, closing, size_e6)
            realized = -basis - money
            self.cost_e6 -= basis
            opened_e6 -= money
        if side == BUY:
            self.provisional_e6 += size_e6
            self.cost_e6 += opened_e6
        else:
            self.provisional_e6 -= size_e6
            self.cost_e6 -= opened_e6
        return realized


@final
class Sheet:
    """What all records of a market (or of all closed ones) add up to."""

    __slots__ = (
        "fees_e6",
        "merged_e6",
        "no",
        "paid_e6",
        "realized_e6",
        "rebates_e6",
        "received_e6",
        "spent_e6",
        "split_e6",
        "yes",
    )

    def __init__(self) -> None:
        self.yes = Holding(0, 0, 0)
        self.no = Holding(0, 0, 0)
        self.spent_e6 = 0
        self.received_e6 = 0
        self.fees_e6 = 0
        self.rebates_e6 = 0
        self.merged_e6 = 0
        self.split_e6 = 0
        self.paid_e6 = 0
        self.realized_e6 = 0

    def copy(self) -> "Sheet":
        """The same sheet, to go on from separately."""
        other = Sheet()
        other.yes = self.yes.copy()
        other.no = self.no.copy()
        other.add_flows(self)
        return other

    def add_flows(self, other: "Sheet") -> None:
        """Take in another sheet's money, not its holdings."""
        self.spent_e6 += other.spent_e6
        self.received_e6 += other.received_e6
        self.fees_e6 += other.fees_e6
        self.rebates_e6 += other.rebates_e6
        self.merged_e6 += other.merged_e6
        self.split_e6 += other.split_e6
        self.paid_e6 += other.paid_e6
        self.realized_e6 += other.realized_e6

    def cash_e6(self) -> int:
        """What the market did to our cash: every flow counted once."""
        out = self.spent_e6 + self.fees_e6 + self.split_e6
        return self.received_e6 + self.rebates_e6 + self.merged_e6 + self.paid_e6 - out

    def flows(self) -> tuple[int, int, int, int]:
        """Cash, realized profit, fees and rebates, to be compared after a booking."""
        return self.cash_e6(), self.realized_e6, self.fees_e6, self.rebates_e6

    def cost_e6(self) -> int:
        """What is held cost."""
        return self.yes.cost_e6 + self.no.cost_e6

    def holding(self, token: int) -> Holding:
        """The holding of one token."""
        return self.yes if token == YES else self.no

    def flat(self) -> bool:
        """Whether nothing is held of either token."""
        return self.yes.provisional_e6 == 0 and self.no.provisional_e6 == 0

    def post(self, record: Record) -> None:
        """Book one record."""
        if record.kind == FILL:
            holding = self.holding(record.token)
            self.realized_e6 += holding.trade(record.side, record.size_e6, record.money_e6)
            self.fees_e6 += record.fee_e6
            if record.side == SELL:
                self.received_e6 += record.money_e6
            else:
                self.spent_e6 += record.money_e6
                if not record.settled:
                    holding.pending_e6 += record.size_e6
        elif record.kind == REDEEM:
            self._redeem(self.yes, YES, record.token)
            self._redeem(self.no, NO, record.token)
        elif record.kind == REBATE:
            self.rebates_e6 += record.money_e6
        else:
            side = SELL if record.kind == MERGE else BUY
            half = share_e6_down(record.size_e6, 1, 2)
            self.realized_e6 += self.yes.trade(side, record.size_e6, half)
            self.realized_e6 += self.no.trade(side, record.size_e6, record.size_e6 - half)
            if record.kind == MERGE:
                self.merged_e6 += record.size_e6
            else:
                self.split_e6 += record.size_e6

    def _redeem(self, holding: Holding, token: int, winner: int) -> None:
        size_e6 = holding.provisional_e6
        price_e4 = share_e6_down(ONE_E4, 1, 2)
        if winner >= 0:
            price_e4 = ONE_E4 if token == winner else 0
        if size_e6 > 0:
            payout_e6 = notional_e6_down(price_e4, size_e6)
            self.paid_e6 += payout_e6
            self.realized_e6 += holding.trade(SELL, size_e6, payout_e6)
        elif size_e6 < 0:
            owed_e6 = notional_e6_up(price_e4, -size_e6)
            self.paid_e6 -= owed_e6
            self.realized_e6 += holding.trade(BUY, -size_e6, owed_e6)
        holding.pending_e6 = 0


def raises_net(token: int, side: int) -> bool:
    """Whether an order moves the net position (YES less NO) up: BUY YES and SELL NO do."""
    return (token == YES) == (side == BUY)


def equal(what: str, found: int, wanted: int) -> None:
    """AssertionError that names `what` when two sums which must agree do not."""
    if found != wanted:
        raise AssertionError(f"{what}: found {found}, expected {wanted}")


@final
class Account:
    """One market: its books, what its open orders hold, and what of it is at risk."""

    __slots__ = (
        "_base",
        "down_e6",
        "down_risk_e6",
        "exposure_e6",
        "fee_exponent",
        "fee_rate_e6",
        "market",
        "now",
        "oversold",
        "records",
        "reserved_no_e6",
        "reserved_yes_e6",
        "symbol",
        "up_e6",
        "up_risk_e6",
        "winner",
    )

    def __init__(self, market: str) -> None:
        self.market = market
        self.symbol = ""
        self.fee_rate_e6 = 0
        self.fee_exponent = 1
        self.now = Sheet()
        self._base = Sheet()
        self.records: list[Record] = []
        self.winner: int = UNRESOLVED
        self.oversold = False
        # Open orders by where they move the net position: shares, and money lost if it goes wrong.
        self.up_e6 = 0
        self.up_risk_e6 = 0
        self.down_e6 = 0
        self.down_risk_e6 = 0
        self.reserved_yes_e6 = 0
        self.reserved_no_e6 = 0
        self.exposure_e6 = 0

    def reserved_e6(self, token: int) -> int:
        """Shares of a token promised to open SELL orders."""
        return self.reserved_yes_e6 if token == YES else self.reserved_no_e6

    def sellable_e6(self, token: int) -> int:
        """Shares of a token that may be sold now: confirmed and not promised."""
        return max(0, self.now.holding(token).confirmed_e6() - self.reserved_e6(token))

    def loss_if_e6(self, winner: int) -> int:
        """The most that can be lost, from cost, if `winner` pays (negative: the least gained).

        Cost of what is held less its payout, and every open order filled that would make it worse:
        when YES pays, the orders that move the net position down; when NO pays, those up.
        """
        held = self.now.cost_e6() - self.now.holding(winner).provisional_e6
        return held + (self.down_risk_e6 if winner == YES else self.up_risk_e6)

    def worst_e6(self) -> int:
        """Money at risk: the worse of the two outcomes, never below 0."""
        yes, no = self.now.yes, self.now.no
        lost_e6 = max(self.down_risk_e6 - yes.provisional_e6, self.up_risk_e6 - no.provisional_e6)
        return max(0, yes.cost_e6 + no.cost_e6 + lost_e6)

    def net_e6(self) -> int:
        """YES less NO shares, provisional."""
        return self.now.yes.provisional_e6 - self.now.no.provisional_e6

    def reducible_e6(self, token: int, side: int) -> int:
        """The largest order of this kind that only takes the net position towards 0, counting the
        open orders that already do. It cannot raise the money at risk (but for rounding).
        """
        net_e6 = self.now.yes.provisional_e6 - self.now.no.provisional_e6
        free_e6 = -net_e6 - self.up_e6 if raises_net(token, side) else net_e6 - self.down_e6
        return free_e6 if free_e6 > 0 else 0

    def value_e6(self, bid_e4: int, ask_e4: int, conservative: bool) -> int:
        """What is held, marked: pairs at 1, the rest at the YES mid, or at the side it would trade
        on (YES at the bid, NO at 1 - ask). Rounded down.
        """
        pairs = min(self.now.yes.provisional_e6, self.now.no.provisional_e6)
        yes = self.now.yes.provisional_e6 - pairs
        no = self.now.no.provisional_e6 - pairs
        if conservative:
            marked = notional_e6_down(bid_e4, yes) + notional_e6_down(ONE_E4 - ask_e4, no)
        else:
            marked = share_e6_down(yes, bid_e4 + ask_e4, ONE_E4 + ONE_E4)
            marked += share_e6_down(no, ONE_E4 - bid_e4 + ONE_E4 - ask_e4, ONE_E4 + ONE_E4)
        return pairs + marked

    def append(self, record: Record) -> None:
        """Book a record at the end; after the resolution what it leaves is redeemed at once."""
        self._post(record)
        if self.winner != UNRESOLVED and record.kind != REDEEM and not self.now.flat():
            self._post(Record(REDEEM, self.winner, SELL, 0, 0, 0, ""))
        self._fold()

    def settle(self, fill_id: str) -> None:
        """The fill is final."""
        record = self._find(fill_id)
        record.settled = True
        if self.winner != UNRESOLVED:
            self._rebuild()  # a redemption has counted the shares as settled, or not
        elif record.side == BUY:
            self.now.holding(record.token).pending_e6 -= record.size_e6
        self._fold()

    def oldest_unsettled(self) -> str:
        """The fill all kept records wait for; empty when none does."""
        return self.records[0].fill_id if self.records else ""

    def void(self, fill_id: str) -> None:
        """The fill never happened: the books are made again without it."""
        self.records.remove(self._find(fill_id))
        self._rebuild()
        self._fold()

    def rebuilt(self) -> Sheet:
        """The books made again from the records."""
        sheet = self._base.copy()
        for record in self.records:
            sheet.post(record)
        return sheet

    def check(self) -> None:
        """AssertionError unless the books are what the records make and no holding is impossible:
        a flat one costs nothing, a negative one was reported as oversold.
        """
        rebuilt = self.rebuilt()
        for token in (YES, NO):
            found = self.now.holding(token)
            wanted = rebuilt.holding(token)
            what = f"{self.market} {TOKEN_NAMES[token]}"
            equal(f"{what} shares", found.provisional_e6, wanted.provisional_e6)
            equal(f"{what} unsettled shares", found.pending_e6, wanted.pending_e6)
            equal(f"{what} cost", found.cost_e6, wanted.cost_e6)
            if found.pending_e6 < 0 or (found.provisional_e6 == 0 and found.cost_e6 != 0):
                raise AssertionError(f"{what}: {found.pending_e6} unsettled, cost {found.cost_e6}")
            if found.confirmed_e6() < 0 and not self.oversold:
                raise AssertionError(f"{what}: {found.confirmed_e6()} confirmed, not reported")
        equal(f"{self.market} cash", self.now.cash_e6(), rebuilt.cash_e6())
        equal(f"{self.market} exposure", self.exposure_e6, self.worst_e6())

    def _post(self, record: Record) -> None:
        self.records.append(record)
        self.now.post(record)

    def _find(self, fill_id: str) -> Record:
        for record in self.records:
            if record.kind == FILL and record.fill_id == fill_id:
                return record
        raise AssertionError(f"fill {fill_id} is pending but has no record in {self.market}")

    def _rebuild(self) -> None:
        self.now = self.rebuilt()

    def _fold(self) -> None:
        while self.records and self.records[0].settled:
            self._base.post(self.records.pop(0))
