"""What rests against what is wanted: fair value, the maker's wishes, limits, the difference.

At most one order of the maker a side of YES in each market. An order that no longer fits is
cancelled first and replaced only when it is gone, so that both can never fill; one that still fits
is left alone, because its place in the queue has value.
"""

from typing import Final, final

from polytrade.core.accounts import Account, raises_net
from polytrade.core.desk import MAKER, SENT, Desk, yes_side
from polytrade.core.effects import Effect, MergePairs, QuoteStateChanged
from polytrade.core.flattening import Flattener
from polytrade.core.ids import BUY, NO, SELL, YES
from polytrade.core.ledger import Ledger
from polytrade.core.limits import REDUCE, SIZE_STEP_E6, Context, Request, RiskState
from polytrade.core.market import OPEN, UNRESOLVED, MarketState
from polytrade.core.orders import LIVE, Order, Orders
from polytrade.core.reference import SymbolReference
from polytrade.core.roles import FairValue, Inventory, Maker, Wish, no_estimate
from polytrade.core.settings import EngineSettings
from polytrade.core.units import MS_NS, ONE_E4, SECOND_NS, step_down

MERGE_RETRY_NS: Final = 10 * SECOND_NS
"""A merge that was not answered is asked for again: relayed transactions take a few seconds."""
REFUSED_WAIT_NS: Final = 500 * MS_NS
"""After the venue refused an order its market waits: a post-only race is not retried at once, and a
broken market does not use up the rate budget."""
NEVER_NS: Final = -(1 << 62)


@final
class Quoter:
    """Decides one market at a time; the engine says when."""

    __slots__ = (
        "_cut",
        "_desk",
        "_fair",
        "_flattener",
        "_ledger",
        "_maker",
        "_merging",
        "_orders",
        "_refused_ns",
        "_risk",
        "_settings",
        "decisions",
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
        self._desk = Desk(orders, ledger, risk)
        self._flattener = Flattener(self._desk)
        # Asked merges: when, and how many pairs; they are no longer ours to sell.
        self._merging: dict[str, tuple[int, int]] = {}
        self._refused_ns: dict[str, int] = {}
        # By market and side of YES: what the limits cut off the wish that rests there.
        self._cut: dict[tuple[str, int], int] = {}
        self.decisions = 0

    @property
    def flattening(self) -> dict[str, int]:
        """The markets still to be closed, with the slippage allowed there."""
        return self._flattener.markets

    @property
    def refusals(self) -> dict[str, int]:
        """How many wishes each limit refused."""
        return self._desk.refusals

    def decide(
        self,
        market: MarketState,
        reference: SymbolReference | None,
        ts_ns: int,
        effects: list[Effect],
    ) -> None:
        """Bring what rests in `market` to what is wanted now."""
        name = market.spec.market
        account = self._ledger.account(name)
        assert account is not None, f"{name} has no account"
        flattening = name in self._flattener.markets
        self._merge(market, account, flattening, ts_ns, effects)
        resting = self._orders.of_market(name)
        if market.phase == OPEN:
            estimate = self._fair.estimate(market, reference, ts_ns)
        else:
            estimate = no_estimate(f"no_quote_{market.phase}")
        market.fair = estimate.fair if estimate.ok else -1.0
        market.confidence = estimate.confidence
        state = "" if market.phase == OPEN else estimate.reason
        if state and not resting and not flattening:
            self._say(market, state, effects)
            return
        self.decisions += 1
        context = self._desk.context(market, reference, ts_ns)
        wishes: list[Wish] = []
        if flattening:
            state = "no_quote_flattening"
        elif not state:
            stopped = self._desk.standing(context)
            if stopped:
                state = f"risk:{stopped}"
            else:
                held = self._inventory(name, account)
                wishes, state = self._maker.quotes(market, reference, estimate, held, ts_ns)
        self._reconcile(market, wishes, resting, context, effects)
        if flattening and self._may_close(name, ts_ns):
            self._flattener.pursue(market, context, effects)
        if wishes:
            state = self._quoting(name)
        self._say(market, state, effects)

    def flatten(self, markets: list[str], slippage_e4: int) -> None:
        """Close every position of these markets with marketable orders, once quotes are off."""
        self._flattener.start(markets, slippage_e4)

    def cancel(self, order: Order, reason: str, ts_ns: int, effects: list[Effect]) -> None:
        """Ask for the cancel of one order."""
        self._desk.cancel(order, reason, ts_ns, effects)

    def refused(self, market: str, ts_ns: int) -> None:
        """The venue refused an order: leave its market alone for a moment."""
        self._refused_ns[market] = ts_ns

    def merged(self, market: str) -> None:
        """A merge was answered; the next may be asked for."""
        self._merging.pop(market, None)

    def forget(self, market: str) -> None:
        """The market is over: drop what is kept of it."""
        self._merging.pop(market, None)
        self._refused_ns.pop(market, None)
        self._cut.pop((market, BUY), None)
        self._cut.pop((market, SELL), None)
        self._flattener.forget(market)
        self._desk.forget(market)

    def _inventory(self, name: str, account: Account) -> Inventory:
        yes, no = account.now.yes, account.now.no
        merging_e6 = self._merging[name][1] if name in self._merging else 0
        return Inventory(
            yes.provisional_e6,
            no.provisional_e6,
            max(0, yes.confirmed_e6() - merging_e6),
            max(0, no.confirmed_e6() - merging_e6),
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
        wanted: dict[int, Wish] = {yes_side(wish.token, wish.side): wish for wish in wishes}
        busy: set[int] = set()
        for order in resting:
            if order.engine != MAKER:
                continue
            side = yes_side(order.token, order.side)
            busy.add(side)
            if order.state != LIVE or self._fits(order, wanted.get(side), market, context):
                continue
            reason = "replaced" if side in wanted else "unwanted"
            self._desk.cancel(order, reason, context.ts_ns, effects)
        for side in (BUY, SELL):
            wish = wanted.get(side)
            if wish is None:
                self._desk.settle(market.spec.market, side)
            elif side not in busy:
                self._place(market, wish, side, context, effects)

    def _fits(self, order: Order, wish: Wish | None, market: MarketState, context: Context) -> bool:
        """Whether a resting order is near enough to what is wanted to keep its place.

        One that is bolder or larger than wanted by more than the slack goes at once, one that is
        shyer or smaller after `ttl_ms`. What the limits cut off when it was placed counts as
        resting: it would be cut again.
        """
        if wish is None or wish.token != order.token or wish.side != order.side:
            return False
        if self._risk.mode == REDUCE and not _reduces(order, context.account):
            return False
        settings = self._settings
        slack_e4 = settings.requote_ticks * market.book.tick_e4
        bold_e4 = order.price_e4 - wish.price_e4
        if order.side == SELL:
            bold_e4 = -bold_e4
        if bold_e4 > slack_e4 or (bold_e4 > 0 and not _has_edge(order, market)):
            return False
        cut_e6 = self._cut.get((order.market, yes_side(order.token, order.side)), 0)
        over_e6 = order.open_e6() + cut_e6 - wish.size_e6
        size_slack_e6 = wish.size_e6 * settings.requote_size_pct
        if over_e6 > size_slack_e6:
            return False
        if bold_e4 >= -slack_e4 and over_e6 >= -size_slack_e6:
            return True
        # Too shy or too small does no harm: it goes once it is old and its successor may follow.
        aged = context.ts_ns - order.placed_ns > settings.ttl_ns
        return not (aged and self._risk.market_ready(order.market, context.ts_ns))

    def _place(
        self, market: MarketState, wish: Wish, side: int, context: Context, effects: list[Effect]
    ) -> None:
        name = market.spec.market
        if context.ts_ns - self._refused_ns.get(name, NEVER_NS) < REFUSED_WAIT_NS:
            return
        size_e6 = wish.size_e6
        if wish.side == SELL and name in self._merging:
            free_e6 = context.account.sellable_e6(wish.token) - self._merging[name][1]
            size_e6 = min(size_e6, max(0, free_e6))
        request = Request(
            name, wish.token, wish.side, wish.price_e4, size_e6, "GTC", True, wish.engine
        )
        if self._desk.send(request, context, effects) == SENT:
            placed = self._orders.of_market(name)[-1]
            self._cut[(name, side)] = wish.size_e6 - placed.size_e6

    def _merge(
        self,
        market: MarketState,
        account: Account,
        flattening: bool,
        ts_ns: int,
        effects: list[Effect],
    ) -> None:
        if not account.now.yes.provisional_e6 or not account.now.no.provisional_e6:
            return
        name = market.spec.market
        pairs_e6 = min(account.sellable_e6(YES), account.sellable_e6(NO))
        pairs_e6 = step_down(pairs_e6, SIZE_STEP_E6)
        least_e6 = SIZE_STEP_E6 if flattening else self._settings.merge_at_e6
        if pairs_e6 < max(least_e6, SIZE_STEP_E6) or market.winner != UNRESOLVED:
            return
        if name in self._merging and ts_ns - self._merging[name][0] < MERGE_RETRY_NS:
            return
        self._merging[name] = (ts_ns, pairs_e6)
        effects.append(MergePairs(name, pairs_e6))

    def _may_close(self, name: str, ts_ns: int) -> bool:
        """Whether nothing of ours rests or merges in the market, nor was just refused."""
        if self._orders.of_market(name) or name in self._merging:
            return False
        return ts_ns - self._refused_ns.get(name, NEVER_NS) >= REFUSED_WAIT_NS

    def _quoting(self, name: str) -> str:
        """What is said of a market with wishes."""
        if self._orders.of_market(name):
            return "quoting"
        limit = self._desk.refusal_of(name)
        return f"risk:{limit}" if limit else "no_quote_waiting"

    def _say(self, market: MarketState, state: str, effects: list[Effect]) -> None:
        if state != market.quote_state:
            market.quote_state = state
            effects.append(QuoteStateChanged(market.spec.market, state))


def _has_edge(order: Order, market: MarketState) -> bool:
    """Whether the order's own price is still on the right side of fair value."""
    fair_e4 = market.fair * ONE_E4
    if order.token == NO:
        fair_e4 = ONE_E4 - fair_e4
    return order.price_e4 < fair_e4 if order.side == BUY else order.price_e4 > fair_e4


def _reduces(order: Order, account: Account) -> bool:
    """Whether all open orders that move the position this way only take it towards 0."""
    if raises_net(order.token, order.side):
        return account.net_e6() + account.up_e6 <= 0
    return account.net_e6() - account.down_e6 >= 0
