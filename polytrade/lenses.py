"""Fill lenses: the orders of a run under three fill models at once, a fold over (event, effects).

A paper profit depends on how fills are modelled, so it is never told as one number:

- `pessimistic`: an order fills only when the market traded through its price, by a print or by a
  whole, verified book (`print through` and `book through` of `core/fills.py`);
- `expected`: as the run filled it (on paper: the queue model);
- `optimistic`: `touch`, an order fills whole as soon as the opposite quote reaches its price. It
  flatters makers, and is no upper bound: the queue model also fills from prints at the price.

The approximation: the strategy does not answer to the fills of a lens. It quotes as it did in the
run, so an order stands in a lens from its acceptance until the run took it off. One that the run
filled whole stands in a lens that did not until the run places the next on its side of the market,
stops quoting there, or `LINGER_NS` have passed. Orders that take (FAK, FOK, crossing on arrival)
have the run's fills in every lens; an order to flatten closes no more than the lens holds. A sale
of what a lens does not hold is a short position until the resolution, which is worth what the other
token is worth; merges and splits change nothing, since a pair is worth 1 either way.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, final

from polytrade.core.book import Book
from polytrade.core.effects import Effect, PlaceOrder, QuoteStateChanged
from polytrade.core.engine import Engine
from polytrade.core.events import (
    BookChanged,
    BookReplaced,
    Event,
    FillConfirmed,
    FillFailed,
    MarketResolved,
    OrderAccepted,
    OrderCancelled,
    OrderFilled,
    TradePrinted,
)
from polytrade.core.ids import BUY, NO
from polytrade.core.market import MarketState
from polytrade.core.orders import Order
from polytrade.core.queueing import PaperOrder
from polytrade.core.units import ONE_E4, SECOND_NS
from polytrade.lens_books import LensBook, LensRow, yes_side
from polytrade.reach import Reach

PESSIMISTIC: Final = "pessimistic"
EXPECTED: Final = "expected"
OPTIMISTIC: Final = "optimistic"
LENSES: Final = (PESSIMISTIC, EXPECTED, OPTIMISTIC)

QUOTING: Final = "quoting"
"""What the engine calls the state of a market that it quotes."""

LINGER_NS: Final = 10 * SECOND_NS
"""How long an order that the run filled whole may still stand in a lens: the longest markout."""
RESTING: Final = ("GTC", "GTD")
"""Times in force of orders that may rest."""
ORDERS_MAX: Final = 10_000
"""Orders kept: the largest `risk.max_open_orders`; the oldest goes first."""
DEPTH_MAX: Final = ONE_E4 + 1
"""More levels than any grid has."""
NEVER_NS: Final = 1 << 62
NOWHERE: Final = -2
"""No place on a book's grid."""
WINNERS_MAX: Final = 4096
"""Outcomes remembered for late fills: a week of five-minute windows of two coins."""


@final
class _Resting:
    """An order of the run as it stands in the two lenses that fill it themselves.

    One that `takes` is not theirs to fill. `done_ns` is when the run filled it whole, 0 before.
    `passed` while the last whole book showed prices through its own.
    """

    __slots__ = ("done_ns", "order", "passed", "takes", "through", "touch")

    def __init__(self, order: Order) -> None:
        self.order = order
        self.takes = order.tif not in RESTING
        self.through = _paper(order)
        self.touch = _paper(order)
        self.done_ns = 0
        self.passed = False

    def over(self) -> bool:
        """Whether no lens has anything left to fill."""
        return self.through.left_e6 <= 0 and self.touch.left_e6 <= 0


@final
class _Standing:
    """The orders that stand in one market's lenses, and what must happen before any is looked at.

    `until_ns` is when the first of those that the run filled whole has stood long enough, `bid` and
    `ask` are where the top of the book, on its grid, was when nothing of them could fill.
    """

    __slots__ = ("ask", "bid", "orders", "passed", "reach", "until_ns")

    def __init__(self) -> None:
        self.orders: list[_Resting] = []
        self.reach = Reach()
        self.passed = False
        self.until_ns = NEVER_NS
        self.bid = self.ask = NOWHERE

    def take(self, each: _Resting) -> None:
        """Another order stands."""
        self.orders.append(each)
        self.look_again()

    def look_again(self) -> None:
        """Orders have come, left, or were filled, or passed: take stock anew."""
        self.reach.clear()
        self.passed = False
        self.until_ns = NEVER_NS
        self.bid = self.ask = NOWHERE
        for each in self.orders:
            self.reach.add(each.through.side, each.through.price_e4)
            self.passed = self.passed or each.passed
            if each.done_ns:
                self.until_ns = min(self.until_ns, each.done_ns + LINGER_NS)

    def quiet(self, book: Book, ts_ns: int) -> bool:
        """Whether the book as it stands now changes nothing for any of them."""
        if self.passed or ts_ns > self.until_ns:
            return False
        if book.best_bid == self.bid and book.best_ask == self.ask:
            return True
        if self.reach.touched(book.bid_e4, book.ask_e4):
            return False
        self.bid, self.ask = book.best_bid, book.best_ask
        return True


@final
class Lenses:
    """The three lenses of one run. Call `observe` after the engine has stepped the event."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._winners: dict[str, int] = {}
        self._lenses = {
            name: LensBook(name, self._winners, exact=name == EXPECTED) for name in LENSES
        }
        self._pessimistic = self._lenses[PESSIMISTIC]
        self._expected = self._lenses[EXPECTED]
        self._optimistic = self._lenses[OPTIMISTIC]
        self._orders: dict[str, _Resting] = {}
        self._by_market: dict[str, _Standing] = {}
        self._folds: dict[type[Event], Callable[[Any], None]] = {
            BookChanged: self._on_book,
            BookReplaced: self._on_book,
            TradePrinted: self._on_print,
            OrderAccepted: self._on_accepted,
            OrderFilled: self._on_filled,
            OrderCancelled: self._on_cancelled,
            FillConfirmed: self._on_confirmed,
            FillFailed: self._on_failed,
            MarketResolved: self._on_resolved,
        }

    def observe(self, event: Event, effects: Sequence[Effect]) -> None:
        """The engine stepped `event` and wants `effects`."""
        fold = self._folds.get(type(event))
        if fold is not None:
            fold(event)
        if effects:
            for effect in effects:
                if isinstance(effect, QuoteStateChanged) and effect.state != QUOTING:
                    self._drop_done(effect.market)

    def table(self) -> list[LensRow]:
        """A row per lens and engine, and one per lens over all engines (`all`), as of now."""
        marks = self._engine.marks()
        return [row for name in LENSES for row in self._lenses[name].rows(marks)]

    @property
    def resting(self) -> int:
        """Orders that stand in a lens now."""
        return len(self._orders)

    # -- the market -----------------------------------------------------------------------------

    def _on_book(self, event: BookChanged | BookReplaced) -> None:
        standing = self._by_market.get(event.market)
        if standing is None:
            return
        state = self._engine.markets.get(event.market)
        if state is None:
            return
        book = state.book
        if standing.quiet(book, event.ts_ns):
            return
        bid_e4, ask_e4 = book.bid_e4, book.ask_e4
        if not state.trust.verified or book.crossed:
            return
        for each in list(standing.orders):
            if self._lingered(each, event.ts_ns):
                continue
            touch, through = each.touch, each.through
            if touch.left_e6 > 0 and touch.crosses(bid_e4, ask_e4):
                self._fill(self._optimistic, each, touch, touch.left_e6, state)
            best_e4 = ask_e4 if through.side == BUY else bid_e4
            shown_e6 = 0
            if through.left_e6 > 0 and through.beyond(best_e4):
                for price_e4, size_e6 in book.depth(1 - through.side, DEPTH_MAX):
                    if not through.beyond(price_e4):
                        break
                    shown_e6 += size_e6
            each.passed = shown_e6 > 0
            reached_e6 = through.on_through(shown_e6)
            self._fill(self._pessimistic, each, through, reached_e6, state)
        standing.look_again()

    def _on_print(self, event: TradePrinted) -> None:
        standing = self._by_market.get(event.market)
        if standing is None:
            return
        side, price_e4 = event.side, event.price_e4
        if event.token == NO:
            side, price_e4 = 1 - side, ONE_E4 - price_e4
        if not standing.reach.touched(price_e4, price_e4):
            return
        state = self._engine.markets.get(event.market)
        for each in list(standing.orders):
            through = each.through
            if self._lingered(each, event.ts_ns) or through.side == side:
                continue
            if through.beyond(price_e4):
                reached_e6 = min(through.left_e6, event.size_e6)
                self._fill(self._pessimistic, each, through, reached_e6, state)

    def _on_resolved(self, event: MarketResolved) -> None:
        for each in self._standing(event.market):
            self._drop(each)
        if event.market in self._winners:
            return
        if len(self._winners) >= WINNERS_MAX:
            del self._winners[next(iter(self._winners))]
        self._winners[event.market] = event.winner
        for lens in self._lenses.values():
            lens.resolved(event.market, event.winner)

    # -- the run's orders -----------------------------------------------------------------------

    def _on_accepted(self, event: OrderAccepted) -> None:
        order = self._engine.orders.find(event.order_id)
        if order is None or order.order_id in self._orders:
            return
        state = self._engine.markets.get(order.market)
        if state is None:
            return
        for before in self._standing(order.market):
            same = yes_side(before.order) == yes_side(order)
            if before.done_ns and same and before.order.engine == order.engine:
                self._drop(before)
        each = _Resting(order)
        if not order.post_only and each.touch.crosses(state.book.bid_e4, state.book.ask_e4):
            each.takes = True
        if len(self._orders) >= ORDERS_MAX:
            self._drop(next(iter(self._orders.values())))
        self._orders[order.order_id] = each
        if not each.takes:
            standing = self._by_market.get(order.market)
            if standing is None:
                standing = self._by_market[order.market] = _Standing()
            standing.take(each)

    def _on_filled(self, event: OrderFilled) -> None:
        order = self._engine.orders.find(event.order_id)
        if order is None:
            return
        state = self._engine.markets.get(order.market)
        each = self._orders.get(event.order_id)
        takes = order.tif not in RESTING if each is None else each.takes
        if each is not None and order.open_e6() == 0:
            each.done_ns = event.ts_ns
            if takes or each.over():
                self._drop(each)
            elif (standing := self._by_market.get(order.market)) is not None:
                standing.look_again()
        lenses = self._lenses.values() if takes else (self._expected,)
        for lens in lenses:
            lens.fill(
                order,
                state,
                event.price_e4,
                event.size_e6,
                event.fee_e6,
                event.maker,
                event.fill_id,
            )

    def _on_cancelled(self, event: OrderCancelled) -> None:
        each = self._orders.get(event.order_id)
        if each is not None:
            self._drop(each)

    def _on_confirmed(self, event: FillConfirmed) -> None:
        for lens in self._lenses.values():
            lens.settle(event.fill_id)

    def _on_failed(self, event: FillFailed) -> None:
        for lens in self._lenses.values():
            lens.void(event.fill_id)

    # -- bookkeeping ----------------------------------------------------------------------------

    def _fill(
        self,
        lens: LensBook,
        each: _Resting,
        paper: PaperOrder,
        size_e6: int,
        state: MarketState | None,
    ) -> None:
        """A lens fills a part of an order as a maker, at the order's own price."""
        if size_e6 <= 0:
            return
        paper.left_e6 -= size_e6
        lens.fill(each.order, state, each.order.price_e4, size_e6, 0, True, "")
        if each.over() and each.done_ns:
            self._drop(each)

    def _lingered(self, each: _Resting, ts_ns: int) -> bool:
        """Whether an order that the run filled whole has stood long enough; it is dropped."""
        if each.done_ns and ts_ns - each.done_ns > LINGER_NS:
            self._drop(each)
            return True
        return False

    def _drop_done(self, market: str) -> None:
        for each in self._standing(market):
            if each.done_ns:
                self._drop(each)

    def _standing(self, market: str) -> list[_Resting]:
        """The orders that stand in a market, to go through while some are dropped."""
        standing = self._by_market.get(market)
        return [] if standing is None else list(standing.orders)

    def _drop(self, each: _Resting) -> None:
        """An order is out of every lens."""
        market = each.order.market
        self._orders.pop(each.order.order_id, None)
        standing = self._by_market.get(market)
        if standing is not None and each in standing.orders:
            standing.orders.remove(each)
            standing.look_again()
            if not standing.orders:
                del self._by_market[market]


def _paper(order: Order) -> PaperOrder:
    return PaperOrder(
        PlaceOrder(
            order.order_id,
            order.market,
            order.token,
            order.side,
            order.price_e4,
            order.size_e6,
            order.tif,
            order.post_only,
            order.expires_ns,
            order.engine,
        )
    )
