"""What rests against what is wanted: fair value, the maker's wishes, limits, the difference.

At most one order of the maker a side of YES in each market. An order that no longer fits is
cancelled first and replaced only when it is gone, so that both can never fill; one that still fits
is left alone, because its place in the queue has value.
"""

from typing import Final, final

from polytrade.core.accounts import Account, raises_net
from polytrade.core.capital import Capital
from polytrade.core.desk import SENT, Desk, yes_side
from polytrade.core.effects import Effect, QuoteStateChanged
from polytrade.core.flattening import Flattener
from polytrade.core.ids import BUY, NO, SELL
from polytrade.core.ledger import Ledger
from polytrade.core.limits import REDUCE, Context, Request, RiskState
from polytrade.core.market import OPEN, MarketState
from polytrade.core.merging import Merger
from polytrade.core.orders import LIVE, Order, Orders
from polytrade.core.pairs import Pairs
from polytrade.core.reference import SymbolReference
from polytrade.core.roles import (
    DANGER,
    MAKER,
    Allocator,
    Estimate,
    FairValue,
    Inventory,
    Maker,
    Taker,
    View,
    Wish,
    no_estimate,
)
from polytrade.core.settings import EngineSettings
from polytrade.core.taking import Taking
from polytrade.core.toxicity import Toxicity
from polytrade.core.units import MS_NS, ONE_E4

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
        "_merger",
        "_orders",
        "_refused_ns",
        "_risk",
        "_settings",
        "capital",
        "decisions",
        "pairs",
        "taking",
        "toxicity",
    )

    def __init__(
        self,
        settings: EngineSettings,
        fair: FairValue,
        maker: Maker,
        taker: Taker,
        allocator: Allocator,
        by_symbol: dict[str, list[MarketState]],
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
        self._merger = Merger(settings.merge_at_e6)
        self._refused_ns: dict[str, int] = {}
        # By market and side of YES: what the limits cut off the wish that rests there.
        self._cut: dict[tuple[str, int], int] = {}
        self.capital = Capital(settings, allocator, by_symbol, orders, ledger, risk)
        self.taking = Taking(settings, taker, orders, self._desk, self.capital)
        self.pairs = Pairs(settings.pairs, orders, ledger, self._desk, self.capital)
        self.toxicity = Toxicity(settings.toxicity)
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
        """Bring what rests in `market` to what is wanted now, and take what is worth taking."""
        name = market.spec.market
        account = self._ledger.account(name)
        assert account is not None, f"{name} has no account"
        flattening = name in self._flattener.markets
        pairing = self.pairs.busy(name)
        if not pairing or self.pairs.merging(name):
            self._merger.pursue(market, account, flattening or pairing, ts_ns, effects)
        resting = self._orders.of_market(name)
        if market.phase == OPEN:
            estimate = self._fair.estimate(market, reference, ts_ns)
        else:
            estimate = no_estimate(f"no_quote_{market.phase}")
        market.fair = estimate.fair if estimate.ok else -1.0
        market.confidence = estimate.confidence
        self.toxicity.update(market, reference, ts_ns)
        state = "" if market.phase == OPEN else estimate.reason
        if state and not resting and not flattening and not pairing:
            self._say(market, state, effects)
            return
        self.decisions += 1
        context = self._desk.context(market, reference, ts_ns)
        wishes: list[Wish] = []
        view: View | None = None
        if flattening:
            state = "no_quote_flattening"
        elif pairing:
            state = "no_quote_arb"
        elif not state:
            stopped = self._desk.standing(context)
            if stopped:
                state = f"risk:{stopped}"
            else:
                view = self._see(market, reference, estimate, account, ts_ns)
                wishes, state = self._wishes(view, account)
        self._reconcile(market, wishes, resting, context, effects)
        if flattening and self._may_close(name, ts_ns):
            self._flattener.pursue(market, context, effects)
        if view is not None:
            self._take(view, context, effects)
        if not flattening and self.pairs.wanted(market):
            self._pair(market, reference, ts_ns, effects)
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
        self._merger.forget(market)

    def split(
        self,
        market: MarketState,
        reference: SymbolReference | None,
        ts_ns: int,
        effects: list[Effect],
    ) -> None:
        """A split was answered: its pairs are there."""
        context = self._desk.context(market, reference, ts_ns, True)
        self.pairs.split(market, context, effects)

    def forget(self, market: str) -> None:
        """The market is over: drop what is kept of it."""
        self._merger.forget(market)
        self._refused_ns.pop(market, None)
        self._cut.pop((market, BUY), None)
        self._cut.pop((market, SELL), None)
        self._flattener.forget(market)
        self._desk.forget(market)
        self.capital.forget(market)
        self.taking.forget(market)
        self.pairs.forget(market)
        self.toxicity.forget(market)

    def _see(
        self,
        market: MarketState,
        reference: SymbolReference | None,
        estimate: Estimate,
        account: Account,
        ts_ns: int,
    ) -> View:
        """What the strategies see."""
        yes, no = account.now.yes, account.now.no
        promised_e6 = self._merger.promised_e6(market.spec.market)
        held = Inventory(
            yes.provisional_e6,
            no.provisional_e6,
            max(0, yes.confirmed_e6() - promised_e6),
            max(0, no.confirmed_e6() - promised_e6),
        )
        view = View(market, reference, estimate, held, ts_ns)
        view.weight = self.capital.weights[0]
        self.toxicity.fill(view)
        return view

    def _wishes(self, view: View, account: Account) -> tuple[list[Wish], str]:
        """What the maker wants, at the sizes that are wanted, or why nothing."""
        barred = self._barred(view)
        if barred:
            return [], f"no_quote_{barred}"
        wishes, reason = self._maker.quotes(view)
        self.toxicity.decided(account.market, bool(wishes), view.ts_ns)
        if not wishes:
            return [], reason
        reason = self.capital.allocate(view, account, MAKER)
        if reason:
            return [], f"no_quote_{reason}"
        sized: list[Wish] = []
        for wish in wishes:
            answer = self.capital.sized(wish, view, account, True)
            if isinstance(answer, str):
                reason = answer
            else:
                sized.append(answer)
        return sized, "" if sized else f"no_quote_{reason}"

    def _barred(self, view: View) -> str:
        """Why a market is not traded for what it did to us, empty when it is."""
        if view.regime == DANGER:
            return "danger"
        if view.active:
            return ""
        return "score" if view.score < self.toxicity.settings.min_market_score else "rank"

    def _take(self, view: View, context: Context, effects: list[Effect]) -> None:
        name = context.account.market
        barred = self._barred(view)
        if not barred and self._merger.busy(name):
            barred = "merging"
        if not barred and not self._rested(name, context.ts_ns):
            barred = "refused"
        if barred:
            self.taking.skipped(f"no_take_{barred}")
        else:
            self.taking.pursue(view, context, effects)

    def _pair(
        self,
        market: MarketState,
        reference: SymbolReference | None,
        ts_ns: int,
        effects: list[Effect],
    ) -> None:
        """A set under way moves on; a new one waits while we have orders or a merge there."""
        name = market.spec.market
        if not self.pairs.busy(name) and not self._may_close(name, ts_ns):
            return
        # Legs take a crossed book, all that comes after them waits for a whole one.
        crossed = not self.pairs.busy(name)
        self.pairs.pursue(market, self._desk.context(market, reference, ts_ns, crossed), effects)

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
        ts_ns = context.ts_ns
        if not self._rested(name, ts_ns) or self._desk.waits(name, side, ts_ns):
            return
        size_e6 = wish.size_e6
        promised_e6 = self._merger.promised_e6(name)
        if wish.side == SELL and promised_e6:
            free_e6 = context.account.sellable_e6(wish.token) - promised_e6
            size_e6 = min(size_e6, max(0, free_e6))
        token, price_e4, edge = wish.token, wish.price_e4, wish.edge_bps
        request = Request(name, token, wish.side, price_e4, size_e6, "GTC", True, MAKER, edge)
        if self._desk.send(request, context, effects) == SENT:
            placed = self._orders.of_market(name)[-1]
            self._cut[(name, side)] = wish.size_e6 - placed.size_e6

    def _may_close(self, name: str, ts_ns: int) -> bool:
        """Whether nothing of ours rests or merges in the market, nor was just refused."""
        if self._orders.of_market(name) or self._merger.busy(name):
            return False
        return self._rested(name, ts_ns)

    def _rested(self, name: str, ts_ns: int) -> bool:
        """Whether the venue refused us nothing there for a moment."""
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
