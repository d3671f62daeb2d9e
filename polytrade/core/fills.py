"""Paper execution: when would the venue have answered, and would it have filled?

A resting order stands at the back of its level's queue, behind the size shown when it arrived.
Prints at its price consume the queue first, then fill it; cancels ahead shrink the queue as
configured; a print through its price fills it. Fills come from real prints (or from a whole,
verified book trading through the price), never from our own quote being touched. The model
`touch` fills at once when the opposite quote touches: it flatters makers and is for comparison.

A drop of the level's size and the print that explains it arrive separately and in either order
(protocols 5.2): each is remembered for `EXPLAIN_NS`, so that one trade never counts twice.

Pure: the shell calls `accept` with the engine's effects, `observe` with each event after the
engine has taken it, and `due` for the answers whose time has come.
"""

from heapq import heappop, heappush
from typing import Final, final

from polytrade.core.effects import CancelOrder, Effect, MergePairs, PlaceOrder
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
    TradePrinted,
)
from polytrade.core.ids import BUY, NO
from polytrade.core.market import MarketState
from polytrade.core.units import MS_NS, ONE_E4, SECOND_NS, fee_e6

EXPLAIN_NS: Final = 2 * SECOND_NS
"""How long a size drop waits for its print and a print for its drop; measured lag is 10-100 ms."""
QUANTILES: Final = (0.0, 0.5, 0.9, 0.99, 1.0)
_MASK: Final = (1 << 64) - 1


@final
class LatencyDraw:
    """Latencies from a measured distribution, drawn by counter: the same run draws the same."""

    __slots__ = ("_drawn", "_points_ns", "_seed")

    def __init__(self, points_ms: tuple[float, ...], seed: int) -> None:
        self._points_ns = [round(point * MS_NS) for point in points_ms]
        self._seed = seed
        self._drawn = 0

    def next_ns(self) -> int:
        """The next latency in ns: linear between the quantiles 0, 0.5, 0.9, 0.99 and 1."""
        self._drawn += 1
        z = (self._seed * 0x9E3779B97F4A7C15 + self._drawn * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        u = ((z ^ (z >> 31)) >> 11) / (1 << 53)
        index = 1
        while index < len(QUANTILES) - 1 and u > QUANTILES[index]:
            index += 1
        low, high = QUANTILES[index - 1], QUANTILES[index]
        at, to = self._points_ns[index - 1], self._points_ns[index]
        return at + round((to - at) * (u - low) / (high - low))


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
class PaperOrder:
    """An order at the simulated venue, kept in YES terms: a bid or an ask at `price_e4`."""

    __slots__ = (
        "ahead_e6",
        "drop_e6",
        "drop_ns",
        "left_e6",
        "level_e6",
        "order",
        "price_e4",
        "printed_e6",
        "printed_ns",
        "resting",
        "shrink_e6",
        "side",
    )

    def __init__(self, order: PlaceOrder) -> None:
        self.order = order
        mirrored = order.token == NO
        self.side = 1 - order.side if mirrored else order.side
        self.price_e4 = ONE_E4 - order.price_e4 if mirrored else order.price_e4
        self.left_e6 = order.size_e6
        self.resting = False
        self.ahead_e6 = 0
        self.level_e6 = 0
        self.drop_e6 = 0
        self.drop_ns = 0
        self.shrink_e6 = 0
        self.printed_e6 = 0
        self.printed_ns = 0

    def crosses(self, bid_e4: int, ask_e4: int) -> bool:
        """Whether the order would trade at once against these best prices of YES."""
        return self.price_e4 >= ask_e4 if self.side == BUY else self.price_e4 <= bid_e4

    def beyond(self, price_e4: int) -> bool:
        """Whether a trade at `price_e4` lies strictly through the order's price."""
        return price_e4 < self.price_e4 if self.side == BUY else price_e4 > self.price_e4


@final
class PaperVenue:
    """The simulated venue: takes effects, watches the market, answers with events in time."""

    __slots__ = (
        "_by_market",
        "_cancel",
        "_fills",
        "_markets",
        "_orders",
        "_place",
        "_queue",
        "_sequence",
        "_settings",
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
            at = ts_ns + self._cancel.next_ns()
            if order_at is None:
                event = CancelRejected(at, effect.order_id, "already cancelled or matched")
                self._push(at, "report", event, None)
            else:
                self._push(at, "cancel", None, order_at)
        elif isinstance(effect, MergePairs):
            at = ts_ns + self._place.next_ns()
            self._push(at, "report", PairsMerged(at, effect.market, effect.size_e6), None)

    def due(self, ts_ns: int) -> Event | None:
        """The next answer whose time has come by `ts_ns`, None when there is none yet."""
        while self._queue and self._queue[0][0] <= ts_ns:
            at, _, what, event, order = heappop(self._queue)
            if what == "report":
                answer = event
            elif order is None:
                raise AssertionError(f"{what} without an order")
            elif what == "arrive":
                answer = self._arrive(order, at)
            elif what == "match":
                answer = self._match(order, at)
            elif what == "expire":
                answer = self._take_off(order, at, "expired")
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
                answer = self._take_off(order, event.ts_ns, "market resolved")
                self._push(event.ts_ns, "report", answer, None)

    def _on_book(self, market: str, orders: list[PaperOrder], ts_ns: int) -> None:
        state = self._markets[market]
        book = state.book
        for order in list(orders):
            level_e6 = book.size_e6(order.side, order.price_e4)
            if level_e6 < order.level_e6:
                self._on_drop(order, order.level_e6 - level_e6, ts_ns)
            order.level_e6 = level_e6
            order.ahead_e6 = min(order.ahead_e6, level_e6)
            if not state.trust.verified or book.crossed:
                continue
            best_e4 = book.ask_e4 if order.side == BUY else book.bid_e4
            if self._settings.model == "touch":
                if order.crosses(book.bid_e4, book.ask_e4):
                    self._fill(order, order.left_e6, ts_ns, "touch")
            elif order.beyond(best_e4):
                size_e6 = book.size_e6(1 - order.side, best_e4)
                self._fill(order, min(order.left_e6, size_e6), ts_ns, "book through")

    def _on_drop(self, order: PaperOrder, drop_e6: int, ts_ns: int) -> None:
        if order.printed_e6 and ts_ns - order.printed_ns > EXPLAIN_NS:
            order.printed_e6 = 0
        explained = min(drop_e6, order.printed_e6)
        order.printed_e6 -= explained
        drop_e6 -= explained
        if not drop_e6 or not order.level_e6:
            return
        if ts_ns - order.drop_ns > EXPLAIN_NS:
            order.drop_e6 = 0
            order.shrink_e6 = 0
        rule = self._settings.cancels_ahead
        shrink = 0
        if rule == "proportional":
            shrink = order.ahead_e6 * drop_e6 // order.level_e6
        elif rule == "front":
            shrink = min(order.ahead_e6, drop_e6)
        order.ahead_e6 -= shrink
        order.drop_e6 += drop_e6
        order.shrink_e6 += shrink
        order.drop_ns = ts_ns

    def _on_print(self, orders: list[PaperOrder], event: TradePrinted) -> None:
        taker_side, price_e4 = event.side, event.price_e4
        if event.token == NO:
            taker_side, price_e4 = 1 - taker_side, ONE_E4 - price_e4
        if self._settings.model == "touch":
            return
        for order in list(orders):
            if order.side == taker_side:
                continue
            if order.beyond(price_e4):
                self._fill(order, min(order.left_e6, event.size_e6), event.ts_ns, "print through")
            elif price_e4 == order.price_e4:
                self._consume(order, event.size_e6, event.ts_ns)

    def _consume(self, order: PaperOrder, size_e6: int, ts_ns: int) -> None:
        if order.drop_e6 and ts_ns - order.drop_ns <= EXPLAIN_NS:
            part = min(size_e6, order.drop_e6)
            undone = order.shrink_e6 * part // order.drop_e6
            order.ahead_e6 += undone
            order.shrink_e6 -= undone
            order.drop_e6 -= part
            unexplained = size_e6 - part
        else:
            unexplained = size_e6
        order.printed_e6 += unexplained
        order.printed_ns = ts_ns
        order.ahead_e6 -= size_e6
        if order.ahead_e6 < 0:
            reached = min(order.left_e6, -order.ahead_e6)
            order.ahead_e6 = 0
            self._fill(order, reached, ts_ns, "queue reached")

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
        if not spec.accepting or spec.closed or state.winner != -2:
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
        order.resting = True
        order.level_e6 = self._markets[wanted.market].book.size_e6(order.side, order.price_e4)
        order.ahead_e6 = order.level_e6
        self._by_market.setdefault(wanted.market, []).append(order)
        if wanted.tif == "GTD" and wanted.expires_ns:
            self._push(max(wanted.expires_ns, ts_ns), "expire", None, order)

    def _match(self, order: PaperOrder, ts_ns: int) -> Event | None:
        """Walk the book as it stands now; what is left rests (GTC, GTD) or is cancelled."""
        wanted = order.order
        book = self._markets[wanted.market].book
        levels = [
            level
            for level in book.depth(1 - order.side, len(book.bids))
            if (level[0] <= order.price_e4 if order.side == BUY else level[0] >= order.price_e4)
        ]
        if wanted.tif == "FOK" and sum(size for _, size in levels) < order.left_e6:
            self._orders.pop(wanted.order_id, None)
            reason = "order couldn't be fully filled. FOK orders are fully filled or killed."
            return OrderCancelled(ts_ns, wanted.order_id, reason)
        for price_e4, size_e6 in levels:
            taken = min(size_e6, order.left_e6)
            if taken > 0:
                self._take(order, price_e4, taken, ts_ns)
        if order.left_e6 <= 0:
            return None
        if wanted.tif in ("FAK", "FOK"):
            self._orders.pop(wanted.order_id, None)
            return self._after_fills(OrderCancelled(ts_ns, wanted.order_id, "remainder killed"))
        self._rest(order, ts_ns)
        return None

    def _after_fills(self, event: Event) -> Event | None:
        """Report `event` behind the fills already queued for the same moment."""
        self._push(event.ts_ns, "report", event, None)
        return None

    def _take(self, order: PaperOrder, yes_price_e4: int, size_e6: int, ts_ns: int) -> None:
        spec = self._markets[order.order.market].spec
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
        settled = at + self._settings.settle_ns
        self._push(settled, "report", FillConfirmed(settled, fill_id), None)
        if order.left_e6 <= 0:
            self._forget(order)

    def _cancel_order(self, order: PaperOrder, ts_ns: int) -> Event:
        if self._orders.get(order.order.order_id) is not order:
            reason = "already cancelled or matched"
            return CancelRejected(ts_ns, order.order.order_id, reason)
        if not order.resting:
            reason = "the order is not on the book"
            return CancelRejected(ts_ns, order.order.order_id, reason)
        self._forget(order)
        return OrderCancelled(ts_ns, order.order.order_id, "cancelled")

    def _take_off(self, order: PaperOrder, ts_ns: int, reason: str) -> Event | None:
        if self._orders.get(order.order.order_id) is not order:
            return None
        self._forget(order)
        return OrderCancelled(ts_ns, order.order.order_id, reason)

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
