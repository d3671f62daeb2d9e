"""Our orders: one table says what can become of them, one collection applies it.

Everything that moves an order is a row of `TRANSITIONS`; nothing else sets a state. What does not
fit is answered with an `OrderFault`, counted and not applied: the venue's nonsense never stops us.

Three rules decide the awkward rows. A fill always wins: it is booked in every state, also after a
cancel, a rejection or an overfill, because the shares are there whatever was said before. A word
that only repeats what is known, or lost a race against it (an acknowledgement after the fill, a
refused cancel after the cancel), changes nothing and is no fault. An unknown order stays unknown
until the venue says what it is: a cancel sent for it does not make it known.
"""

from typing import Final, final

from polytrade.core.effects import CancelOrder, PlaceOrder
from polytrade.core.events import (
    CancelRejected,
    Event,
    OrderAccepted,
    OrderCancelled,
    OrderFilled,
    OrderLost,
    OrderRejected,
)
from polytrade.core.units import ONE_E4

PENDING: Final = 0  # the intent is written and sent; no answer yet
LIVE: Final = 1  # the venue has it
CANCELLING: Final = 2  # we asked for its cancel; it may still fill
UNKNOWN: Final = 3  # no answer came in time: it may rest, its money stays reserved
FILLED: Final = 4
CANCELLED: Final = 5
REJECTED: Final = 6
STATE_NAMES: Final = (
    "pending",
    "live",
    "cancelling",
    "unknown",
    "filled",
    "cancelled",
    "rejected",
)

CANCEL_ASKED: Final = "cancel_order"
PART_FILLED: Final = "order_filled"
WHOLE_FILLED: Final = "order_filled_whole"
"""An `order_filled` after which nothing of the order is open."""

TRANSITIONS: Final[dict[tuple[int, str], int]] = {
    (PENDING, "order_accepted"): LIVE,
    (PENDING, "order_rejected"): REJECTED,
    (PENDING, PART_FILLED): PENDING,
    (PENDING, WHOLE_FILLED): FILLED,
    (PENDING, "order_cancelled"): CANCELLED,
    (PENDING, "order_lost"): UNKNOWN,
    (PENDING, CANCEL_ASKED): CANCELLING,
    (LIVE, "order_accepted"): LIVE,
    (LIVE, "order_rejected"): REJECTED,
    (LIVE, PART_FILLED): LIVE,
    (LIVE, WHOLE_FILLED): FILLED,
    (LIVE, "order_cancelled"): CANCELLED,
    (LIVE, "order_lost"): UNKNOWN,
    (LIVE, CANCEL_ASKED): CANCELLING,
    (CANCELLING, "order_accepted"): CANCELLING,
    (CANCELLING, "order_rejected"): REJECTED,
    (CANCELLING, PART_FILLED): CANCELLING,
    (CANCELLING, WHOLE_FILLED): FILLED,
    (CANCELLING, "order_cancelled"): CANCELLED,
    (CANCELLING, "cancel_rejected"): LIVE,
    (CANCELLING, "order_lost"): UNKNOWN,
    (UNKNOWN, "order_accepted"): LIVE,
    (UNKNOWN, "order_rejected"): REJECTED,
    (UNKNOWN, PART_FILLED): UNKNOWN,
    (UNKNOWN, WHOLE_FILLED): FILLED,
    (UNKNOWN, "order_cancelled"): CANCELLED,
    (UNKNOWN, "cancel_rejected"): UNKNOWN,
    (UNKNOWN, "order_lost"): UNKNOWN,
    (UNKNOWN, CANCEL_ASKED): UNKNOWN,
    (FILLED, "order_accepted"): FILLED,
    (FILLED, WHOLE_FILLED): FILLED,
    (FILLED, "cancel_rejected"): FILLED,
    (FILLED, "order_lost"): FILLED,
    (CANCELLED, "order_accepted"): CANCELLED,
    (CANCELLED, PART_FILLED): CANCELLED,
    (CANCELLED, WHOLE_FILLED): FILLED,
    (CANCELLED, "order_cancelled"): CANCELLED,
    (CANCELLED, "cancel_rejected"): CANCELLED,
    (CANCELLED, "order_lost"): CANCELLED,
    (REJECTED, "order_rejected"): REJECTED,
    (REJECTED, PART_FILLED): CANCELLED,
    (REJECTED, WHOLE_FILLED): FILLED,
    (REJECTED, "cancel_rejected"): REJECTED,
    (REJECTED, "order_lost"): REJECTED,
}
"""(state, trigger) to the state after. A trigger is an event's tag, `order_filled_whole` for the
fill that completes an order, or `cancel_order` for our own wish. A pair that is missing is a fault.
"""

HISTORY_MAX: Final = 8192
"""Closed orders remembered for late fills and repeated words: at 20 orders a second nearly seven
minutes, against the 30 s in which the venue reports a trade at the latest (protocols 2.4)."""


def terminal(state: int) -> bool:
    """Whether nothing of an order in this state can rest on the book."""
    return state >= FILLED


@final
class Order:
    """One order of ours. `filled_e6` counts every fill ever reported, voided ones too: a trade that
    fails to settle does not put the order back on the book. `expires_ns` is 0 for never.
    """

    __slots__ = (
        "changed_ns",
        "engine",
        "expires_ns",
        "fill_ids",
        "filled_e6",
        "market",
        "order_id",
        "placed_ns",
        "post_only",
        "price_e4",
        "reason",
        "side",
        "size_e6",
        "state",
        "tif",
        "token",
        "venue_id",
    )

    def __init__(self, effect: PlaceOrder, ts_ns: int) -> None:
        self.order_id = effect.order_id
        self.market = effect.market
        self.token = effect.token
        self.side = effect.side
        self.price_e4 = effect.price_e4
        self.size_e6 = effect.size_e6
        self.tif = effect.tif
        self.post_only = effect.post_only
        self.expires_ns = effect.expires_ns
        self.engine = effect.engine
        self.placed_ns = ts_ns
        self.changed_ns = ts_ns
        self.state: int = PENDING
        self.filled_e6 = 0
        self.fill_ids: set[str] = set()
        self.venue_id = ""
        self.reason = ""

    def open_e6(self) -> int:
        """Shares that may still fill: nothing once the order is closed."""
        if self.state >= FILLED or self.filled_e6 >= self.size_e6:
            return 0
        return self.size_e6 - self.filled_e6

    def __repr__(self) -> str:
        return f"Order({self.order_id} {STATE_NAMES[self.state]} {self.filled_e6}/{self.size_e6})"


@final
class OrderChange:
    """What an event did to an order: `before` and `order.state` after, `fill_e6` shares filled.

    `odd` is empty, or `late_fill` (on a closed order) or `overfill` (beyond its size): booked, but
    worth an alarm.
    """

    __slots__ = ("before", "fill_e6", "odd", "order")

    def __init__(self, order: Order, before: int, fill_e6: int, odd: str) -> None:
        self.order = order
        self.before = before
        self.fill_e6 = fill_e6
        self.odd = odd

    def closed(self) -> bool:
        """Whether this event took the order from open to closed."""
        return self.before < FILLED <= self.order.state


@final
class OrderFault:
    """An event that does not fit and was not applied; `why` is the name it is counted under."""

    __slots__ = ("order_id", "tag", "why")

    def __init__(self, order_id: str, tag: str, why: str) -> None:
        self.order_id = order_id
        self.tag = tag
        self.why = why


@final
class Orders:
    """Every open order, and the last `HISTORY_MAX` closed ones.

    `faults` counts what was refused or odd by name: `unknown_order`, `duplicate_fill`, `bad_fill`,
    `<trigger>_on_<state>`, and the booked `late_fill` and `overfill`. `opened` counts all orders.
    """

    __slots__ = ("_by_market", "_history", "_open", "faults", "opened")

    def __init__(self) -> None:
        self._open: dict[str, Order] = {}
        self._by_market: dict[str, dict[str, Order]] = {}
        self._history: dict[str, Order] = {}
        self.faults: dict[str, int] = {}
        self.opened = 0

    def open(self, effect: PlaceOrder, ts_ns: int) -> Order:
        """The new PENDING order; its id must never have been used (AssertionError)."""
        if self.find(effect.order_id) is not None:
            raise AssertionError(f"order id {effect.order_id} used twice")
        order = Order(effect, ts_ns)
        self._open[order.order_id] = order
        of_market = self._by_market.get(order.market)
        if of_market is None:
            of_market = {}
            self._by_market[order.market] = of_market
        of_market[order.order_id] = order
        self.opened += 1
        return order

    def cancel(self, effect: CancelOrder, ts_ns: int) -> OrderChange | OrderFault:
        """We are asking the venue for a cancel; a fault when there is nothing to ask."""
        return self._move(effect.order_id, CANCEL_ASKED, ts_ns, "")

    def apply(self, event: Event) -> OrderChange | OrderFault:
        """Take in what the venue says of an order; AssertionError for any other event."""
        if isinstance(event, OrderFilled):
            return self._fill(event)
        if isinstance(event, OrderAccepted):
            change = self._move(event.order_id, event.TAG, event.ts_ns, "")
            if isinstance(change, OrderChange):
                change.order.venue_id = event.venue_id
            return change
        if isinstance(event, (OrderRejected, OrderCancelled, CancelRejected, OrderLost)):
            return self._move(event.order_id, event.TAG, event.ts_ns, event.reason)
        raise AssertionError(f"{event.TAG} is not about an order")

    def find(self, order_id: str) -> Order | None:
        """An open or remembered order."""
        order = self._open.get(order_id)
        return order if order is not None else self._history.get(order_id)

    def of_market(self, market: str) -> list[Order]:
        """The market's open orders, oldest first."""
        orders = self._by_market.get(market)
        return [] if orders is None else list(orders.values())

    def any_in(self, market: str) -> bool:
        """Whether an order of the market is open."""
        return market in self._by_market

    def all_open(self) -> list[Order]:
        """Every open order, oldest first."""
        return list(self._open.values())

    def open_count(self) -> int:
        """How many orders are open."""
        return len(self._open)

    def remembered(self) -> int:
        """How many closed orders are kept."""
        return len(self._history)

    def counts(self) -> dict[str, int]:
        """Open and remembered orders by the name of their state."""
        counts = dict.fromkeys(STATE_NAMES, 0)
        for order in self._open.values():
            counts[STATE_NAMES[order.state]] += 1
        for order in self._history.values():
            counts[STATE_NAMES[order.state]] += 1
        return counts

    def _fill(self, event: OrderFilled) -> OrderChange | OrderFault:
        order = self.find(event.order_id)
        if order is None:
            return self._fault(event.order_id, event.TAG, "unknown_order")
        fill_e6 = event.size_e6
        if fill_e6 <= 0 or not 0 <= event.price_e4 <= ONE_E4 or event.fee_e6 < 0:
            return self._fault(event.order_id, event.TAG, "bad_fill")
        if event.fill_id in order.fill_ids:
            return self._fault(event.order_id, event.TAG, "duplicate_fill")
        order.fill_ids.add(event.fill_id)
        order.filled_e6 += fill_e6
        before, over_e6 = order.state, order.filled_e6 - order.size_e6
        odd = ""
        if over_e6 > 0 or before >= FILLED:
            odd = "overfill" if over_e6 > 0 else "late_fill"
            self._count(odd)
        trigger = WHOLE_FILLED if over_e6 >= 0 else PART_FILLED
        self._enter(order, TRANSITIONS[(before, trigger)], event.ts_ns)
        return OrderChange(order, before, fill_e6, odd)

    def _move(
        self, order_id: str, trigger: str, ts_ns: int, reason: str
    ) -> OrderChange | OrderFault:
        order = self.find(order_id)
        if order is None:
            return self._fault(order_id, trigger, "unknown_order")
        before = order.state
        after = TRANSITIONS.get((before, trigger), -1)
        if after < 0:
            return self._fault(order_id, trigger, f"{trigger}_on_{STATE_NAMES[before]}")
        if after != before:
            order.reason = reason
        self._enter(order, after, ts_ns)
        return OrderChange(order, before, 0, "")

    def _enter(self, order: Order, after: int, ts_ns: int) -> None:
        before = order.state
        if after == before:
            return
        order.state = after
        order.changed_ns = ts_ns
        if before >= FILLED or after < FILLED:
            return
        name = order.order_id
        del self._open[name]
        of_market = self._by_market[order.market]
        del of_market[name]
        if not of_market:
            del self._by_market[order.market]
        self._history[name] = order
        if len(self._history) > HISTORY_MAX:
            del self._history[next(iter(self._history))]

    def _fault(self, order_id: str, tag: str, why: str) -> OrderFault:
        self._count(why)
        return OrderFault(order_id, tag, why)

    def _count(self, name: str) -> None:
        self.faults[name] = self.faults.get(name, 0) + 1
