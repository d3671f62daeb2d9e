"""What the venue says of orders and money, into orders, ledger, risk and what is learnt of it."""

from typing import Final, final

from polytrade.core.effects import Alarmed, Effect
from polytrade.core.events import (
    CancelRejected,
    Event,
    FillConfirmed,
    FillFailed,
    OrderAccepted,
    OrderCancelled,
    OrderFilled,
    OrderLost,
    OrderRejected,
    PairsMerged,
    PairsSplit,
    RebatePaid,
)
from polytrade.core.learning import Learner
from polytrade.core.ledger import Booked, Ledger
from polytrade.core.limits import RiskState
from polytrade.core.orders import OrderChange, Orders
from polytrade.core.quoting import Quoter

ORDER_EVENTS: Final = (
    OrderAccepted,
    OrderCancelled,
    OrderFilled,
    OrderLost,
    OrderRejected,
    CancelRejected,
)
MONEY_EVENTS: Final = (FillConfirmed, FillFailed, PairsMerged, PairsSplit, RebatePaid)


@final
class Booker:
    """Books facts; each method answers with the market to decide anew, empty when none is."""

    __slots__ = ("_learner", "_ledger", "_orders", "_quoter", "_risk", "fills")

    def __init__(
        self, orders: Orders, ledger: Ledger, risk: RiskState, quoter: Quoter, learner: Learner
    ) -> None:
        self._orders = orders
        self._ledger = ledger
        self._risk = risk
        self._quoter = quoter
        self._learner = learner
        self.fills = 0

    def money(self, event: Event, effects: list[Effect]) -> str:
        """A settlement, a merge, a split or a rebate."""
        booked = self._ledger.apply(event)
        if not isinstance(booked, Booked):
            effects.append(Alarmed("ledger_fault", f"{booked.why}: {booked.tag}"))
            return ""
        if booked.closed:
            self._risk.on_close(booked.pnl_e6(), event.ts_ns)
        if isinstance(event, PairsMerged):
            self._quoter.merged(event.market)
        elif isinstance(event, FillFailed):
            self._learner.failed(event.fill_id)
        return booked.market

    def order(self, event: Event, effects: list[Effect]) -> str:
        """The venue's word on an order."""
        change = self._orders.apply(event)
        if not isinstance(change, OrderChange):
            effects.append(Alarmed("order_fault", f"{change.why}: {change.tag} {change.order_id}"))
            return ""
        order = change.order
        if isinstance(event, OrderFilled):
            self.fills += 1
            booked = self._ledger.filled(order, event)
            self._quoter.capital.filled(order, event.size_e6)
            if not isinstance(booked, Booked):
                effects.append(Alarmed("ledger_fault", f"{booked.why}: {booked.tag}"))
            else:
                self._learner.filled(order, event)
                if booked.closed:
                    self._risk.on_close(booked.pnl_e6(), event.ts_ns)
        else:
            self._ledger.hold(order)
            if isinstance(event, OrderRejected):
                self._quoter.refused(order.market, event.ts_ns)
        if change.odd:
            effects.append(Alarmed(change.odd, order.order_id))
        return order.market
