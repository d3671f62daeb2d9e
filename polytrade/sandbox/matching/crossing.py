"""What an order would get from the book as it is: decided before anything changes."""

from typing import Final

import attrs

from polytrade.core.ids import BUY
from polytrade.core.units import (
    ONE_E4,
    fee_e6,
    notional_e6_down,
    notional_e6_up,
    size_e6_for_cash_down,
)
from polytrade.sandbox.matching.book import Book
from polytrade.sandbox.matching.orders import COMPLEMENTARY, MERGE, MINT, MakerFill, Order
from polytrade.sandbox.matching.rules import FeeSchedule

DUST_E6: Final = 10_000
"""Less than this of an order counts as nothing: 0.01 share (protocols 10.2)."""

# What happens when an order meets one of the same wallet.
CANCEL_RESTING: Final = "cancel_resting"
CANCEL_TAKING: Final = "cancel_taking"
ALLOW: Final = "allow"
SELF_TRADES: Final = (CANCEL_RESTING, CANCEL_TAKING, ALLOW)


@attrs.define(eq=False)
class Plan:
    """The fills a taker would have, the oldest of the best level first.

    `cash_e6` is what it pays or receives, `fee_e6` what it is charged. `own` are orders of its own
    wallet that stand in the way and must go; `blocked` says that one of them ends the taker.
    `own_cash_e6` is what its own resting orders would pay where trading with oneself is allowed.
    """

    fills: list[MakerFill] = attrs.field(factory=list)
    size_e6: int = 0
    cash_e6: int = 0
    fee_e6: int = 0
    own_cash_e6: int = 0
    own: list[Order] = attrs.field(factory=list)
    complete: bool = False
    blocked: bool = False

    @property
    def cost_e6(self) -> int:
        """All that a buyer's wallet pays for these fills."""
        return self.cash_e6 + self.fee_e6 + self.own_cash_e6


def plan(book: Book, taker: Order, fees: FeeSchedule | None, self_trade: str) -> Plan:
    """Walk the book for a taker; `complete` when nothing worth 0.01 share is left of it.

    Makers fill at their own prices, all improvement is the taker's (protocols 10.2). A maker's
    money is `price * size` rounded down and the taker's is its complement, so that nothing is
    made or lost: together they are one pUSD a share where shares are minted or merged.
    """
    found = Plan()
    left_e6 = taker.cash_e6 if taker.binds_cash else taker.remaining_e6
    for maker in book.crossing(taker.yes_side, taker.yes_price_e4):
        same_token = maker.token == taker.token
        price_e4 = maker.price_e4 if same_token else ONE_E4 - maker.price_e4
        wanted_e6 = size_e6_for_cash_down(left_e6, price_e4) if taker.binds_cash else left_e6
        if wanted_e6 < DUST_E6:
            found.complete = True
            return found
        if maker.wallet == taker.wallet and self_trade != ALLOW:
            if self_trade == CANCEL_TAKING:
                found.blocked = True
                return found
            found.own.append(maker)
            continue
        size_e6 = min(wanted_e6, maker.remaining_e6)
        maker_cash_e6 = notional_e6_down(maker.price_e4, size_e6)
        cash_e6 = maker_cash_e6 if same_token else size_e6 - maker_cash_e6
        kind = COMPLEMENTARY if same_token else MINT if taker.side == BUY else MERGE
        found.fills.append(MakerFill(maker, size_e6, maker.price_e4, maker_cash_e6, kind))
        found.size_e6 += size_e6
        found.cash_e6 += cash_e6
        if fees is not None:
            found.fee_e6 += fee_e6(size_e6, price_e4, fees.rate_e6, fees.exponent)
        if maker.wallet == taker.wallet and maker.side == BUY:
            found.own_cash_e6 += maker_cash_e6
        left_e6 -= cash_e6 if taker.binds_cash else size_e6
    found.complete = _rest_e6(taker, left_e6) < DUST_E6
    return found


def _rest_e6(taker: Order, left_e6: int) -> int:
    """Shares that what is left still asks for."""
    return size_e6_for_cash_down(left_e6, taker.price_e4) if taker.binds_cash else left_e6


def need_e6(order: Order, fees: FeeSchedule | None, filled_e6: int = 0) -> int:
    """What an order may still take from its wallet: shares, or collateral with its fee.

    The fee is that at the limit price (protocols 4.4): a resting order is charged none, but the
    venue counts what it could be. `filled_e6` shares are left out.
    """
    size_e6 = order.remaining_e6 - filled_e6
    if order.side != BUY:
        return size_e6
    if order.binds_cash:
        size_e6, cash_e6 = size_e6_for_cash_down(order.cash_e6, order.price_e4), order.cash_e6
    else:
        cash_e6 = notional_e6_up(order.price_e4, size_e6)
    if fees is None:
        return cash_e6
    return cash_e6 + fee_e6(size_e6, order.price_e4, fees.rate_e6, fees.exponent)
