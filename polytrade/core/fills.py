"""Paper execution: when would the venue have answered, and would it have filled?

Fills come from real prints (or from a whole, verified book trading through the price), never from
our own quote being touched; `queueing.py` says how much of an order they reach. Orders that cross
walk the book as it stands after the latency. The model `touch` fills at once when the opposite
quote touches: it flatters makers and is for comparison.

Pure: the shell calls `accept` with the engine's effects, `observe` with each event after the
engine has taken it, and `due` for the answers whose time has come.
"""

from heapq import heappop, heappush
from typing import Final, final

from polytrade.core.effects import CancelOrder, Effect, MergePairs, PlaceOrder, SplitPairs
from polytrade.core.events import (
    BookChanged,
    BookReplaced,
    CancelRejected,
    Event,
    FillConfirmed,
    MarketResolved,
    OrderAccepted,
    OrderCancelled,
    OrderFilled,
    OrderRejected,
    PairsMerged,
    PairsSplit,
    TradePrinted,
)
from polytrade.core.ids import BUY, NO
from polytrade.core.latency import LatencyDraw
from polytrade.core.market import UNRESOLVED, MarketState
from polytrade.core.queueing import PaperOrder
from polytrade.core.units import MS_NS, ONE_E4, fee_e6

EVERY_LEVEL: Final = ONE_E4 + 1
"""More levels than any grid has."""


@final
class PaperSettings:
    """How paper fills are modelled: see `configs/execution.toml`."""

    __slots__ = ("cancel_ms", "cancels_ahead", "model", "place_ms", "seed", "settle_ns")

    def __init__(
        self,
        model: str,
        cancels_ahead: str,
        place_ms: tuple[float, ...],
        cancel_ms: tuple[float, ...],
        seed: int,
        settle_ns: int,
    ) -> None:
        self.model = model
        self.cancels_ahead = cancels_ahead
        self.place_ms = place_ms
        self.cancel_ms = cancel_ms
        self.seed = seed
        self.settle_ns = settle_ns


@final
class PaperVenue:
    """The simulated venue: takes effects, watches the market, answers with events in time."""

    __slots__ = (
        "_by_market",
        "_cancel",
        "_eaten",
        "_fills",
        "_markets",
        "_orders",
        "_place",
        "_queue",
        "_sequence",
        "_settings",
        "_told",
    )

    def __init__(self, markets: dict[str, MarketState], settings: PaperSettings) -> None:
        self._markets = markets
        self._settings = settings
        self._place = LatencyDraw(settings.place_ms, settings.seed)
        self._cancel = LatencyDraw(settings.cancel_ms, settings.seed + 1)
        self._queue: list[tuple[int, int, str, Event | None, PaperOrder | None]] = []
        self._sequence = 0
        self._orders: dict[str, PaperOrder] = {}
        self._by_market: dict[str, list[PaperOrder]] = {}
        # By market, side and price of YES: a shown size, and what our orders took of it.
        self._eaten: dict[str, dict[tuple[int, int], tuple[int, int]]] = {}
        # Orders with fills not yet reported: when the last of them is.
        self._told: dict[str, int] = {}
        self._fills = 0

    # -- what the engine wants ------------------------------------------------------------------

    def accept(self, effect: Effect, ts_ns: int) -> None:
        """Send an effect on its way to the venue; effects that are no orders are ignored."""
        if isinstance(effect, PlaceOrder):
            order = PaperOrder(effect)
            self._orders[effect.order_id] = order
            self._push(ts_ns + self._place.next_ns(), "arrive", None, order)
        elif isinstance(effect, CancelOrder):
            order_at = self._orders.get(effect.order_id)
            at = max(ts_ns + self._cancel.next_ns(), self._told.get(effect.order_id, 0))
            if order_at is None:
                event = CancelRejected(at, effect.order_id, "already cancelled or matched")
                self._push(at, "report", event, None)
            else:
                self._push(at, "cancel", None, order_at)
        elif isinstance(effect, MergePairs):
            at = ts_ns + self._place.next_ns()
            self._push(at, "report", PairsMerged(at, effect.market, effect.size_e6), None)
        elif isinstance(effect, SplitPairs):
            at = ts_ns + self._place.next_ns()
            self._push(at, "report", PairsSplit(at, effect.market, effect.size_e6), None)

    def due(self, ts_ns: int) -> Event | None:
        """The next answer whose time has come by `ts_ns`, None when there is none yet."""
        while self._queue and self._queue[0][0] <= ts_ns:
            at, _, what, event, order = heappop(self._queue)
            if what == "report":
                answer = self._still_true(event)
            elif order is None:
                raise AssertionError(f"{what} without an order")
            elif what == "arrive":
                answer = self._arrive(order, at)
            elif what == "match":
                answer = self._match(order, at)
            elif what == "expire":
                self._report_off(order, at, "expired")
                answer = None
            else:
                answer = self._cancel_order(order, at)
            if answer is not None:
                return answer
        return None

    @property
    def idle(self) -> bool:
        """Whether no order is at the venue or on its way."""
        return not self._orders

    def resting(self) -> list[str]:
        """The ids of the orders at the venue or on their way."""
        return list(self._orders)

    def abandon(self, ts_ns: int, reason: str) -> list[Event]:
        """Take everything off at once, with the events that say so (a crash of the shell)."""
        events: list[Event] = [OrderCancelled(ts_ns, name, reason) for name in self._orders]
        self._orders.clear()
        self._by_market.clear()
        self._told.clear()
        self._queue.clear()
        return events

    # -- what the market does -------------------------------------------------------------------

    def observe(self, event: Event) -> None:
        """Take a market event into the queues of resting orders."""
        if isinstance(event, BookChanged | BookReplaced):
            orders = self._by_market.get(event.market)
            if orders:
                self._on_book(event.market, orders, event.ts_ns)
        elif isinstance(event, TradePrinted):
            orders = self._by_market.get(event.market)
            if orders:
                self._on_print(orders, event)
        elif isinstance(event, MarketResolved):
            for order in list(self._by_market.get(event.market, ())):
                self._report_off(order, event.ts_ns, "market resolved")
            self._eaten.pop(event.market, None)

    def _on_book(self, market: str, orders: list[PaperOrder], ts_ns: int) -> None:
        state = self._markets[market]
        book = state.book
        whole = state.trust.verified and not book.crossed
        for order in list(orders):
            level_e6 = book.size_e6(order.side, order.price_e4)
            order.on_level(level_e6, ts_ns, self._settings.cancels_ahead)
            if not whole:
                continue
            if self._settings.model == "touch":
                if order.crosses(book.bid_e4, book.ask_e4):
                    self._fill(order, order.left_e6, ts_ns, "touch")
                continue
            shown_e6 = 0
            if order.beyond(book.ask_e4 if order.side == BUY else book.bid_e4):
                for price_e4, size_e6 in book.depth(1 - order.side, EVERY_LEVEL):
                    if not order.beyond(price_e4):
                        break
                    shown_e6 += size_e6
            self._fill(order, order.on_through(shown_e6), ts_ns, "book through")

    def _on_print(self, orders: list[PaperOrder], event: TradePrinted) -> None:
        if self._settings.model == "touch":
            return
        taker_side, price_e4 = event.side, event.price_e4
        if event.token == NO:
            taker_side, price_e4 = 1 - taker_side, ONE_E4 - price_e4
        for order in list(orders):
            if order.side == taker_side:
                continue
            if order.beyond(price_e4):
                self._fill(order, min(order.left_e6, event.size_e6), event.ts_ns, "print through")
            elif price_e4 == order.price_e4:
                reached_e6 = order.on_print(event.size_e6, event.ts_ns)
                self._fill(order, reached_e6, event.ts_ns, "queue reached")

    # -- what the venue does --------------------------------------------------------------------

    def _arrive(self, order: PaperOrder, ts_ns: int) -> Event | None:
        wanted = order.order
        reason = self._refusal(order, ts_ns)
        if reason:
            self._orders.pop(wanted.order_id, None)
            return OrderRejected(ts_ns, wanted.order_id, reason)
        state = self._markets[wanted.market]
        if order.crosses(state.book.bid_e4, state.book.ask_e4):
            if wanted.post_only:
                self._orders.pop(wanted.order_id, None)
                return OrderRejected(
                    ts_ns, wanted.order_id, "invalid post-only order: order crosses book"
                )
            self._push(ts_ns + state.spec.taker_delay_ms * MS_NS, "match", None, order)
            return OrderAccepted(ts_ns, wanted.order_id, "delayed")
        if wanted.tif in ("FAK", "FOK"):
            self._orders.pop(wanted.order_id, None)
            return OrderRejected(
                ts_ns, wanted.order_id, f"no orders found to match with {wanted.tif} order"
            )
        self._rest(order, ts_ns)
        return OrderAccepted(ts_ns, wanted.order_id, "paper")

    def _refusal(self, order: PaperOrder, ts_ns: int) -> str:
        wanted = order.order
        state = self._markets.get(wanted.market)
        if state is None:
            return "market not found"
        spec = state.spec
        if not spec.accepting or spec.closed or state.winner != UNRESOLVED:
            return "the market is not accepting orders"
        if spec.end_ns and ts_ns >= spec.end_ns:
            return "the market has ended"
        tick = state.book.tick_e4
        if wanted.price_e4 % tick or not tick <= wanted.price_e4 <= ONE_E4 - tick:
            return "price breaks minimum tick size rule"
        if wanted.tif in ("GTC", "GTD") and wanted.size_e6 < spec.min_size_e6:
            return "size lower than the minimum"
        return ""

    def _rest(self, order: PaperOrder, ts_ns: int) -> None:
        wanted = order.order
        order.rest(self._markets[wanted.market].book.size_e6(order.side, order.price_e4))
        self._by_market.setdefault(wanted.market, []).append(order)
        if wanted.tif == "GTD" and wanted.expires_ns:
            self._push(max(wanted.expires_ns, ts_ns), "expire", None, order)

    def _match(self, order: PaperOrder, ts_ns: int) -> Event | None:
        """Walk the book as it stands now; what is left rests (GTC, GTD) or is cancelled.

        What our orders took of a level is gone until the level shows another size.
        """
        wanted = order.order
        reason = self._refusal(order, ts_ns)
        if reason:
            self._orders.pop(wanted.order_id, None)
            return OrderCancelled(ts_ns, wanted.order_id, reason)
        levels = self._reachable(order)
        if wanted.tif == "FOK" and sum(level[1] for level in levels) < order.left_e6:
            self._orders.pop(wanted.order_id, None)
            reason = "order couldn't be fully filled. FOK orders are fully filled or killed."
            return OrderCancelled(ts_ns, wanted.order_id, reason)
        for price_e4, size_e6 in levels:
            taken_e6 = min(size_e6, order.left_e6)
            if taken_e6 > 0:
                self._take(order, price_e4, taken_e6, ts_ns)
        if order.left_e6 <= 0:
            return None
        if wanted.tif in ("FAK", "FOK"):
            self._orders.pop(wanted.order_id, None)
            killed = OrderCancelled(ts_ns, wanted.order_id, "remainder killed")
            self._push(ts_ns, "report", killed, None)  # behind the fills of this moment
        else:
            self._rest(order, ts_ns)
        return None

    def _reachable(self, order: PaperOrder) -> list[tuple[int, int]]:
        """(price_e4, size_e6) of YES that the order may take now, best first."""
        side = 1 - order.side
        market = order.order.market
        eaten = self._eaten.get(market, {})
        levels: list[tuple[int, int]] = []
        for price_e4, size_e6 in self._markets[market].book.depth(side, EVERY_LEVEL):
            if not order.reaches(price_e4):
                break
            shown_e6, taken_e6 = eaten.get((side, price_e4), (size_e6, 0))
            left_e6 = size_e6 - taken_e6 if shown_e6 == size_e6 else size_e6
            if left_e6 > 0:
                levels.append((price_e4, left_e6))
        return levels

    def _take(self, order: PaperOrder, yes_price_e4: int, size_e6: int, ts_ns: int) -> None:
        market = order.order.market
        spec, book = self._markets[market].spec, self._markets[market].book
        side = 1 - order.side
        eaten = self._eaten.setdefault(market, {})
        shown_e6 = book.size_e6(side, yes_price_e4)
        before_e6, taken_e6 = eaten.get((side, yes_price_e4), (shown_e6, 0))
        taken_e6 = taken_e6 + size_e6 if before_e6 == shown_e6 else size_e6
        eaten[(side, yes_price_e4)] = (shown_e6, taken_e6)
        price_e4 = ONE_E4 - yes_price_e4 if order.order.token == NO else yes_price_e4
        fee = fee_e6(size_e6, price_e4, spec.fee_rate_e6, spec.fee_exponent)
        order.left_e6 -= size_e6
        self._report_fill(order, price_e4, size_e6, fee, False, "taker", ts_ns)

    def _fill(self, order: PaperOrder, size_e6: int, ts_ns: int, why: str) -> None:
        if size_e6 <= 0:
            return
        order.left_e6 -= size_e6
        at = ts_ns + self._cancel.next_ns()
        self._report_fill(order, order.order.price_e4, size_e6, 0, True, why, at)

    def _report_fill(
        self,
        order: PaperOrder,
        price_e4: int,
        size_e6: int,
        fee: int,
        maker: bool,
        why: str,
        at: int,
    ) -> None:
        wanted = order.order
        self._fills += 1
        fill_id = f"f{self._fills}"
        event = OrderFilled(at, wanted.order_id, fill_id, price_e4, size_e6, fee, maker, why)
        self._push(at, "report", event, None)
        self._told[wanted.order_id] = max(self._told.get(wanted.order_id, 0), at)
        settled = at + self._settings.settle_ns
        self._push(settled, "report", FillConfirmed(settled, fill_id), None)
        if order.left_e6 <= 0:
            self._forget(order)

    def _cancel_order(self, order: PaperOrder, ts_ns: int) -> Event | None:
        """The venue's word on a cancel, which never overtakes a fill of the order."""
        name = order.order.order_id
        at = max(ts_ns, self._told.get(name, 0))
        if self._orders.get(name) is not order:
            self._push(at, "report", CancelRejected(at, name, "already cancelled or matched"), None)
        elif not order.resting:
            self._push(at, "report", CancelRejected(at, name, "the order is not on the book"), None)
        else:
            self._report_off(order, ts_ns, "cancelled")
        return None

    def _report_off(self, order: PaperOrder, ts_ns: int, reason: str) -> None:
        """Take an order off the book, and say so once its fills are told."""
        name = order.order.order_id
        if self._orders.get(name) is order:
            self._forget(order)
            at = max(ts_ns, self._told.get(name, 0))
            self._push(at, "report", OrderCancelled(at, name, reason), None)

    def _still_true(self, event: Event | None) -> Event | None:
        """What is due, unless it is a merge or split after the resolution."""
        if isinstance(event, OrderFilled) and self._told.get(event.order_id) == event.ts_ns:
            del self._told[event.order_id]
        if isinstance(event, PairsMerged | PairsSplit):
            market = self._markets.get(event.market)
            if market is None or market.winner != UNRESOLVED:
                return None
        return event

    def _forget(self, order: PaperOrder) -> None:
        self._orders.pop(order.order.order_id, None)
        resting = self._by_market.get(order.order.market)
        if resting is not None and order in resting:
            resting.remove(order)
            if not resting:
                del self._by_market[order.order.market]

    def _push(self, at: int, what: str, event: Event | None, order: PaperOrder | None) -> None:
        self._sequence += 1
        heappush(self._queue, (at, self._sequence, what, event, order))
