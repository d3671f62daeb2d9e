"""What rests against what is wanted: fair value, the maker's wishes, limits, the difference.

At most one order of the maker a side of YES in each market. An order that no longer fits is
cancelled first and replaced only when it is gone, so that both can never fill; one that still fits
is left alone, because its place in the queue has value.
"""

from typing import Final, final

from polytrade.core.effects import (
    CancelOrder,
    Effect,
    MergePairs,
    PlaceOrder,
    QuoteStateChanged,
    Refused,
)
from polytrade.core.ids import BUY, NO, SELL, YES
from polytrade.core.ledger import Ledger
from polytrade.core.limits import (
    FLATTEN,
    LIMITS,
    REDUCE,
    Approved,
    Context,
    MarketFacts,
    Request,
    RiskState,
    check,
)
from polytrade.core.market import OPEN, MarketState
from polytrade.core.orders import LIVE, Order, Orders
from polytrade.core.reference import SymbolReference
from polytrade.core.roles import FairValue, Inventory, Maker, Wish, no_estimate
from polytrade.core.settings import EngineSettings
from polytrade.core.units import MS_NS, ONE_E4, SECOND_NS, step_down

MAKER: Final = "maker"
LAST_STANDING: Final = "not_accepting_orders"
"""The limits up to this one look at the market and the account, not at the order: while one of them
blocks, nothing rests either."""
FLATTEN_TRIES: Final = 3
"""Marketable orders sent a token before a flatten gives up and says what is left."""
MERGE_RETRY_NS: Final = 10 * SECOND_NS
"""A merge that was not answered is asked for again: relayed transactions take a few seconds."""
REFUSED_WAIT_NS: Final = 500 * MS_NS
"""After the venue refused an order its market waits: a post-only race is not retried at once, and a
broken market does not use up the rate budget."""
SIZE_STEP_E6: Final = 10_000

STANDING: Final = LIMITS[: [limit.name for limit in LIMITS].index(LAST_STANDING) + 1]


@final
class Quoter:
    """Decides one market at a time; the engine says when. `flattening` maps the markets still to
    be closed to the slippage allowed there.
    """

    __slots__ = (
        "_fair",
        "_last_refusal",
        "_ledger",
        "_maker",
        "_merging_ns",
        "_next_order",
        "_orders",
        "_probe",
        "_refused_ns",
        "_risk",
        "_settings",
        "_tries",
        "decisions",
        "flattening",
        "refusals",
    )

    def __init__(
        self,
        settings: EngineSettings,
        fair: FairValue,
        maker: Maker,
        orders: Orders,
        ledger: Ledger,
        risk: RiskState,
    ) -> None:
        self._settings = settings
        self._fair = fair
        self._maker = maker
        self._orders = orders
        self._ledger = ledger
        self._risk = risk
        self._next_order = 0
        self._probe = Request("", YES, BUY, 0, 0, "GTC", True, MAKER)
        self._last_refusal: dict[tuple[str, int], str] = {}
        self._merging_ns: dict[str, int] = {}
        self._refused_ns: dict[str, int] = {}
        self._tries: dict[tuple[str, int], int] = {}
        self.flattening: dict[str, int] = {}
        self.decisions = 0
        self.refusals: dict[str, int] = {}

    def decide(
        self,
        market: MarketState,
        reference: SymbolReference | None,
        ts_ns: int,
        effects: list[Effect],
    ) -> None:
        """Bring what rests in `market` to what is wanted now."""
        name = market.spec.market
        resting = self._orders.of_market(name)
        self._merge(market, ts_ns, effects)
        if market.phase == OPEN:
            estimate = self._fair.estimate(market, reference, ts_ns)
        else:
            estimate = no_estimate(f"no_quote_{market.phase}")
        market.fair = estimate.fair if estimate.ok else -1.0
        market.confidence = estimate.confidence
        if market.phase != OPEN and not resting and name not in self.flattening:
            self._say(market, estimate.reason, effects)
            return
        self.decisions += 1
        context = self._context(market, reference, ts_ns)
        wishes: list[Wish] = []
        state = self._standing(context)
        if not state:
            inventory = self._inventory(name)
            wishes, state = self._maker.quotes(market, reference, estimate, inventory, ts_ns)
        self._reconcile(market, wishes, resting, context, effects)
        if name in self.flattening:
            self._flatten(market, context, effects)
        if wishes:
            state = "quoting" if self._orders.of_market(name) else self._refusal_of(name)
        self._say(market, state, effects)

    def flatten(self, markets: list[str], slippage_e4: int) -> None:
        """Close every position of these markets with marketable orders, once quotes are off."""
        for name in markets:
            self.flattening[name] = slippage_e4
            self._tries[(name, YES)] = self._tries[(name, NO)] = 0

    def refused(self, market: str, ts_ns: int) -> None:
        """The venue refused an order: leave its market alone for a moment."""
        self._refused_ns[market] = ts_ns

    def merged(self, market: str) -> None:
        """A merge was answered; the next may be asked for."""
        self._merging_ns.pop(market, None)

    def forget(self, market: str) -> None:
        """The market is over: drop what is kept of it."""
        self._merging_ns.pop(market, None)
        self._refused_ns.pop(market, None)
        self.flattening.pop(market, None)
        for side in (BUY, SELL):
            self._last_refusal.pop((market, side), None)
            self._tries.pop((market, side), None)

    def _standing(self, context: Context) -> str:
        """The first limit that stops any order of the market now, as a quote state."""
        for limit in STANDING:
            if isinstance(limit.check(self._probe, context, 0), str):
                return f"risk:{limit.name}"
        return ""

    def _context(
        self, market: MarketState, reference: SymbolReference | None, ts_ns: int
    ) -> Context:
        spec, trust, book = market.spec, market.trust, market.book
        account = self._ledger.account(spec.market)
        assert account is not None, f"{spec.market} has no account"
        age_ns = -1
        if reference is not None and reference.ts_ns:
            age_ns = ts_ns - reference.ts_ns
        fair_e4 = round(market.fair * ONE_E4) if market.fair >= 0.0 else -1
        facts = MarketFacts(
            trust.valid and not book.crossed,
            f"{trust.state}: {trust.reason}" if not trust.valid else "crossed",
            book.bid_e4,
            book.ask_e4,
            fair_e4,
            age_ns,
            market.phase,
            spec.accepting and not spec.closed,
            spec.start_ns,
            spec.end_ns,
            book.tick_e4,
            spec.min_size_e6,
            spec.symbol,
        )
        return Context(ts_ns, self._risk, self._ledger, self._orders, account, facts)

    def _inventory(self, name: str) -> Inventory:
        account = self._ledger.account(name)
        assert account is not None, f"{name} has no account"
        yes, no = account.now.yes, account.now.no
        return Inventory(
            yes.provisional_e6, no.provisional_e6, yes.confirmed_e6(), no.confirmed_e6()
        )

    def _reconcile(
        self,
        market: MarketState,
        wishes: list[Wish],
        resting: list[Order],
        context: Context,
        effects: list[Effect],
    ) -> None:
        """Cancels first, then orders for the sides that are free."""
        wanted: dict[int, Wish] = {_yes_side(wish.token, wish.side): wish for wish in wishes}
        busy: set[int] = set()
        for order in resting:
            if order.engine != MAKER:
                continue
            side = _yes_side(order.token, order.side)
            busy.add(side)
            if order.state != LIVE or self._fits(order, wanted.get(side), market, context):
                continue
            reason = "replaced" if side in wanted else "unwanted"
            self._cancel(order, reason, context.ts_ns, effects)
        for side, wish in wanted.items():
            if side not in busy:
                self._place(market, wish, side, context, effects)

    def _fits(self, order: Order, wish: Wish | None, market: MarketState, context: Context) -> bool:
        """Whether a resting order is near enough to what is wanted to keep its place."""
        if wish is None or wish.token != order.token or wish.side != order.side:
            return False
        if self._risk.mode == REDUCE:
            return False
        settings = self._settings
        aged = context.ts_ns - order.placed_ns > settings.ttl_ns
        slack_e4 = 0 if aged else settings.requote_ticks * market.book.tick_e4
        if abs(order.price_e4 - wish.price_e4) > slack_e4:
            return False
        return abs(order.open_e6() - wish.size_e6) <= wish.size_e6 * settings.requote_size_pct

    def _place(
        self, market: MarketState, wish: Wish, side: int, context: Context, effects: list[Effect]
    ) -> None:
        name = market.spec.market
        if context.ts_ns - self._refused_ns.get(name, 0) < REFUSED_WAIT_NS:
            return
        request = Request(
            name, wish.token, wish.side, wish.price_e4, wish.size_e6, "GTC", True, wish.engine
        )
        if self._send(request, context, effects):
            self._last_refusal.pop((name, side), None)

    def _send(self, request: Request, context: Context, effects: list[Effect]) -> bool:
        """Put a request through the limits; True when an order was sent."""
        answer = check(request, context)
        if not isinstance(answer, Approved):
            self.refusals[answer.limit] = self.refusals.get(answer.limit, 0) + 1
            key = (request.market, _yes_side(request.token, request.side))
            if self._last_refusal.get(key) != answer.limit:
                self._last_refusal[key] = answer.limit
                effects.append(
                    Refused(
                        request.market,
                        request.engine,
                        request.token,
                        request.side,
                        request.price_e4,
                        request.size_e6,
                        answer.limit,
                        answer.why,
                    )
                )
            return False
        self._next_order += 1
        effect = PlaceOrder(
            f"o{self._next_order}",
            request.market,
            request.token,
            request.side,
            request.price_e4,
            answer.size_e6,
            request.tif,
            request.post_only,
            0,
            request.engine,
        )
        self._ledger.hold(self._orders.open(effect, context.ts_ns))
        effects.append(effect)
        return True

    def _cancel(self, order: Order, reason: str, ts_ns: int, effects: list[Effect]) -> None:
        effect = CancelOrder(order.order_id, order.market, reason)
        self._orders.cancel(effect, ts_ns)
        self._risk.take(order.market, ts_ns)
        effects.append(effect)

    def _merge(self, market: MarketState, ts_ns: int, effects: list[Effect]) -> None:
        name = market.spec.market
        pairs_e6 = step_down(self._ledger.mergeable_e6(name), SIZE_STEP_E6)
        least_e6 = SIZE_STEP_E6 if name in self.flattening else self._settings.merge_at_e6
        if pairs_e6 < least_e6 or market.winner != -2:
            return
        asked_ns = self._merging_ns.get(name, 0)
        if asked_ns and ts_ns - asked_ns < MERGE_RETRY_NS:
            return
        self._merging_ns[name] = ts_ns
        effects.append(MergePairs(name, pairs_e6))

    def _flatten(self, market: MarketState, context: Context, effects: list[Effect]) -> None:
        name = market.spec.market
        if self._orders.of_market(name) or name in self._merging_ns:
            return
        slippage_e4 = self.flattening[name]
        account = context.account
        waiting = False
        for token in (YES, NO):
            held = account.now.holding(token)
            size_e6 = step_down(account.sellable_e6(token), SIZE_STEP_E6)
            waiting = waiting or held.confirmed_e6() < held.provisional_e6
            key = (name, token)
            if size_e6 <= 0 or self._tries.get(key, 0) >= FLATTEN_TRIES:
                continue
            waiting = True
            price_e4 = _closing_price(market, token, slippage_e4)
            self._tries[key] = self._tries.get(key, 0) + 1
            request = Request(name, token, SELL, price_e4, size_e6, "FAK", False, FLATTEN)
            self._send(request, context, effects)
            break
        if not waiting:
            del self.flattening[name]

    def _refusal_of(self, name: str) -> str:
        for side in (BUY, SELL):
            limit = self._last_refusal.get((name, side))
            if limit is not None:
                return f"risk:{limit}"
        return "no_quote_waiting"

    def _say(self, market: MarketState, state: str, effects: list[Effect]) -> None:
        if state != market.quote_state:
            market.quote_state = state
            effects.append(QuoteStateChanged(market.spec.market, state))


def _yes_side(token: int, side: int) -> int:
    """The side of YES that an order stands on: a purchase of NO is an ask."""
    return side if token == YES else 1 - side


def _closing_price(market: MarketState, token: int, slippage_e4: int) -> int:
    """The least a sale of `token` may bring: the mid less the slippage, on the grid."""
    book = market.book
    middle_e4 = (book.bid_e4 + book.ask_e4) // 2
    if token == NO:
        middle_e4 = ONE_E4 - middle_e4
    tick = book.tick_e4
    return min(max(step_down(middle_e4 - slippage_e4, tick), tick), ONE_E4 - tick)
