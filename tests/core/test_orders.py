"""The life of an order: the table, what a fill does, what is refused and counted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polytrade.core import orders as o
from polytrade.core.effects import CancelOrder
from polytrade.core.events import (
    CancelRejected,
    ClockTicked,
    Event,
    OrderAccepted,
    OrderCancelled,
    OrderFilled,
    OrderLost,
    OrderRejected,
)
from polytrade.core.orders import Order, OrderChange, OrderFault, Orders
from tests.core.factory import MARKET, SHARE, place

STATES = range(len(o.STATE_NAMES))
TRIGGERS = (
    "order_accepted",
    "order_rejected",
    o.PART_FILLED,
    o.WHOLE_FILLED,
    "order_cancelled",
    "cancel_rejected",
    "order_lost",
    o.CANCEL_ASKED,
)
# Ways into each state from a fresh order of 10 shares.
WAYS: dict[int, tuple[str, ...]] = {
    o.PENDING: (),
    o.LIVE: ("order_accepted",),
    o.CANCELLING: (o.CANCEL_ASKED,),
    o.UNKNOWN: ("order_lost",),
    o.FILLED: (o.WHOLE_FILLED,),
    o.CANCELLED: ("order_cancelled",),
    o.REJECTED: ("order_rejected",),
}


def fill(name: str = "o1", fill_id: str = "f1", shares: int = 4, ts_ns: int = 5) -> OrderFilled:
    return OrderFilled(ts_ns, name, fill_id, 4800, shares * SHARE, 0, True, "queue")


def pull(orders: Orders, trigger: str, ts_ns: int = 5) -> OrderChange | OrderFault:
    """Whatever `trigger` names happens to order `o1`."""
    if trigger == o.CANCEL_ASKED:
        return orders.cancel(CancelOrder("o1", MARKET, "test"), ts_ns)
    order = orders.find("o1")
    assert order is not None
    left = max(1, order.size_e6 - order.filled_e6)
    events: dict[str, Event] = {
        "order_accepted": OrderAccepted(ts_ns, "o1", "0xvenue"),
        "order_rejected": OrderRejected(ts_ns, "o1", "no"),
        "order_cancelled": OrderCancelled(ts_ns, "o1", "done"),
        "cancel_rejected": CancelRejected(ts_ns, "o1", "too late"),
        "order_lost": OrderLost(ts_ns, "o1", "no answer"),
        o.PART_FILLED: OrderFilled(ts_ns, "o1", f"part{ts_ns}", 4800, 1, 0, True, "queue"),
        o.WHOLE_FILLED: OrderFilled(ts_ns, "o1", f"whole{ts_ns}", 4800, left, 0, True, "queue"),
    }
    return orders.apply(events[trigger])


def in_state(state: int) -> tuple[Orders, Order]:
    orders = Orders()
    order = orders.open(place(), 1)
    for trigger in WAYS[state]:
        pull(orders, trigger, 2)
    assert order.state == state
    return orders, order


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("trigger", TRIGGERS)
def test_every_pair_does_what_the_table_says_and_nothing_else(state: int, trigger: str) -> None:
    orders, order = in_state(state)
    filled_e6 = order.filled_e6
    result = pull(orders, trigger)
    if state == o.FILLED and trigger == o.PART_FILLED:
        trigger = o.WHOLE_FILLED  # nothing of a filled order is open: every fill completes it
    after = o.TRANSITIONS.get((state, trigger))
    if after is None:
        assert isinstance(result, OrderFault)
        assert result.why == f"{trigger}_on_{o.STATE_NAMES[state]}"
        assert orders.faults == {result.why: 1}
        assert (order.state, order.filled_e6, order.changed_ns) == (
            state,
            filled_e6,
            1 if state == o.PENDING else 2,
        )
    else:
        assert isinstance(result, OrderChange)
        assert (result.before, order.state) == (state, after)
        assert order.changed_ns == (5 if after != state else 1 if state == o.PENDING else 2)
        assert result.closed() == (state < o.FILLED <= after)
    assert orders.open_count() == (0 if o.terminal(order.state) else 1)
    assert orders.remembered() == 1 - orders.open_count()


def test_the_table_names_known_triggers_and_never_reopens_an_order() -> None:
    for (state, trigger), after in o.TRANSITIONS.items():
        assert state in STATES and after in STATES and trigger in TRIGGERS
        if o.terminal(state):
            assert o.terminal(after)


def test_a_fill_always_wins() -> None:
    for state in STATES:
        assert (state, o.WHOLE_FILLED) in o.TRANSITIONS
        assert (state, o.PART_FILLED) in o.TRANSITIONS or state == o.FILLED


def test_an_order_takes_its_fields_from_the_intent() -> None:
    orders = Orders()
    effect = place(name="x", token=1, side=1, cents=52, shares=7, tif="GTD", post_only=False)
    effect.expires_ns = 99
    order = orders.open(effect, 17)
    assert (order.order_id, order.market, order.token, order.side) == ("x", MARKET, 1, 1)
    assert (order.price_e4, order.size_e6, order.tif) == (5200, 7 * SHARE, "GTD")
    assert (order.post_only, order.expires_ns, order.engine) == (False, 99, "maker")
    assert (order.placed_ns, order.changed_ns, order.state) == (17, 17, o.PENDING)
    assert (order.filled_e6, order.open_e6(), order.venue_id) == (0, 7 * SHARE, "")
    assert repr(order) == "Order(x pending 0/7000000)"


def test_partial_fills_add_up_until_the_order_is_whole() -> None:
    orders, order = in_state(o.LIVE)
    first = orders.apply(fill(fill_id="a", shares=4))
    assert isinstance(first, OrderChange)
    assert (first.fill_e6, first.odd, first.closed()) == (4 * SHARE, "", False)
    assert (order.state, order.open_e6()) == (o.LIVE, 6 * SHARE)
    last = orders.apply(fill(fill_id="b", shares=6))
    assert isinstance(last, OrderChange)
    assert last.closed()
    assert (order.state, order.open_e6(), order.filled_e6) == (o.FILLED, 0, 10 * SHARE)


def test_a_fill_before_the_acknowledgement_keeps_the_order_pending_until_it_comes() -> None:
    orders, order = in_state(o.PENDING)
    orders.apply(fill())
    assert order.state == o.PENDING
    orders.apply(OrderAccepted(6, "o1", "0xv"))
    assert (order.state, order.venue_id, order.filled_e6) == (o.LIVE, "0xv", 4 * SHARE)


def test_the_same_fill_twice_is_booked_once() -> None:
    orders, order = in_state(o.LIVE)
    orders.apply(fill())
    again = orders.apply(fill())
    assert isinstance(again, OrderFault)
    assert (again.order_id, again.tag, again.why) == ("o1", "order_filled", "duplicate_fill")
    assert (order.filled_e6, orders.faults) == (4 * SHARE, {"duplicate_fill": 1})


def test_a_fill_after_the_cancel_is_booked_and_counted() -> None:
    orders, order = in_state(o.CANCELLED)
    late = orders.apply(fill())
    assert isinstance(late, OrderChange)
    assert (late.odd, late.fill_e6, order.state) == ("late_fill", 4 * SHARE, o.CANCELLED)
    assert (order.filled_e6, order.open_e6(), orders.faults) == (4 * SHARE, 0, {"late_fill": 1})


def test_a_fill_of_a_rejected_order_makes_it_a_cancelled_one() -> None:
    orders, order = in_state(o.REJECTED)
    orders.apply(fill())
    assert order.state == o.CANCELLED


def test_more_filled_than_ordered_is_booked_and_counted() -> None:
    orders, order = in_state(o.LIVE)
    change = orders.apply(fill(shares=12))
    assert isinstance(change, OrderChange)
    assert (change.odd, order.state, order.filled_e6) == ("overfill", o.FILLED, 12 * SHARE)
    assert (order.open_e6(), orders.faults) == (0, {"overfill": 1})


@pytest.mark.parametrize(
    ("price_e4", "size_e6", "fee_e6"), [(4800, 0, 0), (4800, -1, 0), (-1, 1, 0), (10_001, 1, 0)]
)
def test_an_impossible_fill_changes_nothing(price_e4: int, size_e6: int, fee_e6: int) -> None:
    orders, order = in_state(o.LIVE)
    result = orders.apply(OrderFilled(5, "o1", "f", price_e4, size_e6, fee_e6, True, "x"))
    assert isinstance(result, OrderFault)
    assert (result.why, order.state, order.filled_e6) == ("bad_fill", o.LIVE, 0)


def test_a_negative_fee_is_an_impossible_fill() -> None:
    orders, order = in_state(o.LIVE)
    result = orders.apply(OrderFilled(5, "o1", "f", 4800, 1, -1, True, "x"))
    assert isinstance(result, OrderFault)
    assert (result.why, order.filled_e6) == ("bad_fill", 0)


@pytest.mark.parametrize(
    "event", [fill(name="?"), OrderAccepted(5, "?", ""), OrderLost(5, "?", "")]
)
def test_a_word_on_an_order_we_do_not_know_is_counted(event: Event) -> None:
    orders, _ = in_state(o.LIVE)
    result = orders.apply(event)
    assert isinstance(result, OrderFault)
    assert (result.order_id, result.why) == ("?", "unknown_order")
    assert orders.faults == {"unknown_order": 1}


def test_a_cancel_does_not_make_an_unknown_order_known() -> None:
    orders, order = in_state(o.UNKNOWN)
    pull(orders, o.CANCEL_ASKED)
    pull(orders, "cancel_rejected")
    assert (order.state, order.open_e6()) == (o.UNKNOWN, 10 * SHARE)


def test_the_reason_of_the_last_change_is_kept() -> None:
    orders, order = in_state(o.LIVE)
    orders.apply(OrderLost(5, "o1", "no answer in 5 s"))
    assert order.reason == "no answer in 5 s"
    orders.apply(OrderCancelled(6, "o1", "expired"))
    assert order.reason == "expired"
    orders.apply(OrderCancelled(7, "o1", "said again"))
    assert order.reason == "expired"


def test_an_order_id_is_used_once() -> None:
    orders, _ = in_state(o.FILLED)
    with pytest.raises(AssertionError, match="order id o1 used twice"):
        orders.open(place(), 9)


def test_an_event_of_something_else_is_our_own_mistake() -> None:
    with pytest.raises(AssertionError, match="clock_ticked is not about an order"):
        Orders().apply(ClockTicked(1))


def test_open_orders_are_listed_oldest_first_by_market() -> None:
    orders = Orders()
    for name in ("b", "a", "c"):
        orders.open(place(name=name), 1)
    other = place(name="z")
    other.market = "0xother"
    orders.open(other, 1)
    orders.apply(OrderCancelled(2, "a", ""))
    assert [order.order_id for order in orders.of_market(MARKET)] == ["b", "c"]
    assert [order.order_id for order in orders.of_market("0xother")] == ["z"]
    assert orders.of_market("0xnone") == []
    assert [order.order_id for order in orders.all_open()] == ["b", "c", "z"]
    assert (orders.open_count(), orders.opened) == (3, 4)
    assert orders.counts() == {
        "pending": 3,
        "live": 0,
        "cancelling": 0,
        "unknown": 0,
        "filled": 0,
        "cancelled": 1,
        "rejected": 0,
    }


def test_closed_orders_are_remembered_up_to_a_bound() -> None:
    orders = Orders()
    for number in range(o.HISTORY_MAX + 3):
        orders.open(place(name=f"o{number}"), 1)
        orders.apply(OrderCancelled(2, f"o{number}", ""))
    assert orders.remembered() == o.HISTORY_MAX
    assert orders.find("o2") is None
    assert orders.find("o3") is not None
    assert orders.open_count() == 0


@given(st.lists(st.tuples(st.sampled_from(TRIGGERS), st.integers(2, 40)), max_size=25))
def test_no_sequence_of_words_breaks_the_books_of_orders(steps: list[tuple[str, int]]) -> None:
    orders = Orders()
    order = orders.open(place(), 1)
    closed_once = False
    filled_e6 = 0
    for trigger, ts_ns in steps:
        result = pull(orders, trigger, ts_ns)
        if isinstance(result, OrderChange):
            filled_e6 += result.fill_e6
        closed_once = closed_once or o.terminal(order.state)
        assert o.terminal(order.state) == closed_once
        assert orders.open_count() + orders.remembered() == 1
        assert orders.find("o1") is order
        assert order.filled_e6 == filled_e6
        assert (order.state == o.FILLED) == (filled_e6 >= order.size_e6)
        assert 0 <= order.open_e6() <= order.size_e6
