"""A decision: fair value, the maker's wishes, what rests, what is taken, complete sets."""

from typing import final

from polytrade.core.accounts import Account
from polytrade.core.capital import Capital
from polytrade.core.crew import Crew
from polytrade.core.desk import Desk
from polytrade.core.effects import Effect, QuoteStateChanged
from polytrade.core.flattening import Flattener
from polytrade.core.ledger import Ledger
from polytrade.core.limits import Context, RiskState
from polytrade.core.market import OPEN, MarketState
from polytrade.core.merging import Merger
from polytrade.core.orders import Order, Orders
from polytrade.core.pairs import Pairs
from polytrade.core.reference import SymbolReference
from polytrade.core.resting import Resting
from polytrade.core.roles import (
    DANGER,
    MAKER,
    Estimate,
    Inventory,
    View,
    Wish,
    no_estimate,
)
from polytrade.core.settings import EngineSettings
from polytrade.core.taking import Taking
from polytrade.core.toxicity import Toxicity


@final
class Quoter:
    """Decides one market at a time; the engine says when."""

    __slots__ = (
        "_crew",
        "_desk",
        "_flattener",
        "_ledger",
        "_merger",
        "_orders",
        "_resting",
        "capital",
        "decisions",
        "pairs",
        "taking",
        "toxicity",
    )

    def __init__(
        self,
        settings: EngineSettings,
        crew: Crew,
        by_symbol: dict[str, list[MarketState]],
        orders: Orders,
        ledger: Ledger,
        risk: RiskState,
    ) -> None:
        self._crew = crew
        self._orders = orders
        self._ledger = ledger
        self._desk = Desk(orders, ledger, risk, crew)
        self._flattener = Flattener(self._desk)
        self._merger = Merger(settings.merge_at_e6)
        self._resting = Resting(settings, orders, risk, self._desk, self._merger)
        self.capital = Capital(settings, crew, by_symbol, orders, ledger, risk)
        self.taking = Taking(settings, crew, self._desk, self.capital)
        self.pairs = Pairs(settings.pairs, orders, ledger, self._desk, self.capital)
        self.toxicity = Toxicity(settings.toxicity)
        self.decisions = 0

    def configure(self, settings: EngineSettings) -> None:
        """Decide by other settings; everything that happened stays."""
        self._resting.configure(settings)
        self._merger.configure(settings.merge_at_e6)
        self.capital.configure(settings)
        self.taking.configure(settings)
        self.pairs.configure(settings.pairs)
        self.toxicity.apply(settings.toxicity)

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
            estimate = self._crew.estimate(market, reference, ts_ns)
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
        barred = ""
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
                barred = self._barred(view)
                wishes, state = self._wishes(view, barred, account)
        self._resting.reconcile(market, wishes, resting, context, view, effects)
        if flattening and self._resting.may_close(name, ts_ns):
            self._flattener.pursue(market, context, effects)
        if view is not None:
            self._take(view, barred, context, resting, effects)
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
        self._resting.refused(market, ts_ns)

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
        self._resting.forget(market)
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
        yes_e6, no_e6 = yes.provisional_e6, no.provisional_e6
        free_yes_e6 = yes_e6 - yes.pending_e6 - promised_e6
        free_no_e6 = no_e6 - no.pending_e6 - promised_e6
        held = Inventory(
            yes_e6,
            no_e6,
            free_yes_e6 if free_yes_e6 > 0 else 0,
            free_no_e6 if free_no_e6 > 0 else 0,
        )
        view = View(market, reference, estimate, held, ts_ns)
        view.weight = self.capital.weights[0]
        self.toxicity.fill(view)
        return view

    def _wishes(self, view: View, barred: str, account: Account) -> tuple[list[Wish], str]:
        """What the maker wants, at the sizes that are wanted, or why nothing."""
        if barred:
            return [], f"no_quote_{barred}"
        wishes, reason = self._crew.quotes(view)
        self.toxicity.decided(account.market, bool(wishes), view.ts_ns)
        if not wishes:
            return [], reason
        self.capital.allocate(view, account, MAKER, wishes)
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

    def _take(
        self,
        view: View,
        barred: str,
        context: Context,
        resting: list[Order],
        effects: list[Effect],
    ) -> None:
        name = context.account.market
        if not barred and self._merger.busy(name):
            barred = "merging"
        if not barred and not self._resting.rested(name, context.ts_ns):
            barred = "refused"
        if barred:
            self.taking.skipped(f"no_take_{barred}")
        else:
            self.taking.pursue(view, context, resting, effects)

    def _pair(
        self,
        market: MarketState,
        reference: SymbolReference | None,
        ts_ns: int,
        effects: list[Effect],
    ) -> None:
        """A set under way moves on; a new one waits while we have orders or a merge there."""
        name = market.spec.market
        if not self.pairs.busy(name) and not self._resting.may_close(name, ts_ns):
            return
        # Legs take a crossed book, all that comes after them waits for a whole one.
        crossed = not self.pairs.busy(name)
        self.pairs.pursue(market, self._desk.context(market, reference, ts_ns, crossed), effects)

    def _quoting(self, name: str) -> str:
        """What is said of a market with wishes."""
        if self._orders.any_in(name):
            return "quoting"
        limit = self._desk.refusal_of(name)
        return f"risk:{limit}" if limit else "no_quote_waiting"

    def _say(self, market: MarketState, state: str, effects: list[Effect]) -> None:
        if state != market.quote_state:
            market.quote_state = state
            effects.append(QuoteStateChanged(market.spec.market, state))
