"""The engine: one entry, `step(event) -> list[Effect]`, and the order in which things happen.

1. The event is applied: book, reference, life cycle, order, ledger.
2. Markets whose picture changed are decided: fair value, the maker's wishes, limits, and the
   difference between what is wanted and what rests.

Pure and synchronous: no clock, no I/O, no randomness. Live, paper and replay call the same `step`.
"""

from typing import Final, final

from polytrade.core.book import MATCHED, MISMATCHED, UNCHECKABLE
from polytrade.core.booking import MONEY_EVENTS, ORDER_EVENTS, Booker
from polytrade.core.crew import Crew, Rules
from polytrade.core.cycle import Cycle
from polytrade.core.effects import (
    Alarmed,
    BookStateChanged,
    Effect,
    PhaseChanged,
    RequestSnapshot,
)
from polytrade.core.events import (
    BestQuoted,
    BookChanged,
    BookReplaced,
    ClockSkewMeasured,
    ClockTicked,
    Event,
    FeedDown,
    FeedGap,
    FlattenRequested,
    LineupSwapped,
    MarketListed,
    MarketResolved,
    ModeSet,
    PairsSplit,
    PauseSet,
    PluginQuarantined,
    ReferenceTicked,
    RunStarted,
    ShadowReset,
    TickSizeChanged,
    TradePrinted,
    VolatilityQuoted,
)
from polytrade.core.ids import YES
from polytrade.core.learning import Learner
from polytrade.core.ledger import Ledger, Mark
from polytrade.core.limits import HALT, RUN, RiskState
from polytrade.core.market import CLOSING, OPEN, PENDING_RESOLUTION, UNRESOLVED, MarketState
from polytrade.core.orders import Orders
from polytrade.core.quality import Quality
from polytrade.core.quoting import Quoter
from polytrade.core.reference import SymbolReference
from polytrade.core.roles import Allocator, FairValue, FullShare, Maker, NoTaker, Taker
from polytrade.core.settings import EngineSettings
from polytrade.core.trust import COLD, SUSPECT
from polytrade.core.units import MS_NS, SECOND_NS

__all__ = ["ORDER_EVENTS", "Engine"]

DECIDE_EVERY_NS: Final = 100 * MS_NS
"""Every open market is decided at least this often, so that time alone moves its quotes."""
SNAPSHOT_RETRY_NS: Final = 2 * SECOND_NS
"""A doubtful book asks for a snapshot at most this often (protocols 2.7: /book takes 150/s)."""
COLD_WAIT_NS: Final = 5 * SECOND_NS
"""A listed market without any book asks for one after this: the socket sends one on subscribing."""
MARK_EVERY_NS: Final = SECOND_NS


@final
class Engine:
    """All state of a run and the one function that moves it."""

    def __init__(
        self,
        settings: EngineSettings,
        fair: FairValue,
        maker: Maker,
        ledger: Ledger,
        risk: RiskState,
        taker: Taker | None = None,
        allocator: Allocator | None = None,
    ) -> None:
        self.settings = settings
        self.crew = Crew(
            fair,
            maker,
            taker if taker is not None else NoTaker(),
            allocator if allocator is not None else FullShare(),
        )
        self.references: dict[str, SymbolReference] = {}
        self.orders = Orders()
        self.ledger = ledger
        self.risk = risk
        by_symbol: dict[str, list[MarketState]] = {}
        self.quoter = Quoter(settings, self.crew, by_symbol, self.orders, ledger, risk)
        self.toxicity = self.quoter.toxicity
        self.ts_ns = 0
        self.events = 0
        self.mode_why = ""
        self._quality = Quality()
        self._cycle = Cycle(
            settings,
            self.crew,
            self.references,
            self.orders,
            ledger,
            risk,
            self.quoter,
            self._quality,
            by_symbol,
        )
        self.markets: dict[str, MarketState] = self._cycle.markets
        self.learner = Learner(self.markets, self.toxicity)
        self._markouts = self.learner.markouts
        self._booker = Booker(self.orders, ledger, risk, self.quoter, self.learner)
        self._marked_ns = 0
        self._decided_ns = 0

    def rewire(
        self,
        settings: EngineSettings,
        fair: FairValue,
        maker: Maker,
        taker: Taker,
        allocator: Allocator,
        rules: Rules = (),
        names: dict[str, str] | None = None,
    ) -> None:
        """Decide by other settings and plugins from the next event on; call it between two.

        Everything that happened stays: orders, money, books, measures, running cooldowns. How books
        are checked (`hash_mode`, `reorder_ns`) changes for markets listed from now on. `names` are
        those of the plugins by role.
        """
        self.settings = settings
        self._cycle.configure(settings)
        self.quoter.configure(settings)
        self.crew.rewire(fair, maker, taker, allocator, rules, names or {})

    @property
    def fair(self) -> FairValue:
        """The fair value in force, even when it is out of service."""
        return self.crew.fair

    @property
    def faults(self) -> dict[str, str]:
        """The roles that are out of service, and why."""
        return self.crew.faults

    @property
    def fills(self) -> int:
        """Fills of our orders so far."""
        return self._booker.fills

    # -- the one entry --------------------------------------------------------------------------

    def step(self, event: Event) -> list[Effect]:
        """Apply one event and answer with what is wanted, in order."""
        effects: list[Effect] = []
        assert event.ts_ns >= self.ts_ns, f"time ran backwards: {event!r} after {self.ts_ns}"
        if event.ts_ns > self._markouts.next_ns:
            self.learner.due(event.ts_ns)
        self.ts_ns = event.ts_ns
        self.events += 1
        if isinstance(event, BookChanged):
            self._on_change(event, effects)
        elif isinstance(event, ReferenceTicked):
            self._on_reference(event, effects)
        elif isinstance(event, ClockTicked):
            self._on_clock(event.ts_ns, effects)
        elif isinstance(event, BookReplaced):
            self._on_snapshot(event, effects)
        elif isinstance(event, TradePrinted):
            market = self.markets.get(event.market)
            if market is not None:
                market.book.note_trade(event.price_e4)
                self.toxicity.traded(event)
        elif isinstance(event, BestQuoted):
            self._on_best(event)
        else:
            self._on_rare(event, effects)
        while self.crew.news:
            self.mode_why = self.crew.tell(self.risk, effects) or self.mode_why
            self._decide_all(effects)
        return effects

    def _on_rare(self, event: Event, effects: list[Effect]) -> None:
        if isinstance(event, ORDER_EVENTS):
            self._decide(self._booker.order(event, effects), effects)
        elif isinstance(event, MONEY_EVENTS):
            self._on_money(event, effects)
        elif isinstance(event, MarketListed):
            self._on_listed(event, effects)
        elif isinstance(event, MarketResolved):
            self._cycle.resolved(event, effects)
        elif isinstance(event, TickSizeChanged):
            self._on_tick_size(event, effects)
        elif isinstance(event, FeedGap | FeedDown):
            self._on_loss(event, effects)
        elif isinstance(event, PluginQuarantined):
            self.crew.quarantine(event.role, event.why, event.generation)
        elif isinstance(event, ModeSet):
            if event.mode == RUN and self.risk.mode == HALT:
                self.risk.clear_stops()
            self.risk.mode = event.mode
            self.mode_why = event.why
            effects.append(Alarmed("mode", f"{event.mode}: {event.why}"))
            self._decide_all(effects)
        elif isinstance(event, PauseSet | LineupSwapped):
            if isinstance(event, PauseSet):
                self.risk.paused = event.paused
            self._decide_all(effects)
        elif isinstance(event, FlattenRequested):
            self.risk.paused = True
            self.quoter.flatten(list(self.markets), event.slippage_e4)
            self._decide_all(effects)
        elif isinstance(event, VolatilityQuoted):
            self._cycle.reference(event.symbol).quote(event)
        elif isinstance(event, ClockSkewMeasured):
            self.risk.clock_skew_ms = event.skew_ms
        elif isinstance(event, ShadowReset):
            self.toxicity.reset_window()
        elif isinstance(event, RunStarted):
            assert self.events == 1, "a run starts once"
            self.ledger.deposit(event.cash_e6)

    # -- market data ----------------------------------------------------------------------------

    def _on_change(self, event: BookChanged, effects: list[Effect]) -> None:
        market = self.markets.get(event.market)
        if market is None:
            self._quality.unknown_market += 1
            return
        book, trust = market.book, market.trust
        bid, ask, state = book.best_bid, book.best_ask, trust.state
        self.toxicity.changing(event, book)
        verdict = book.change(event, trust.checking)
        doubtful = book.crossed
        if verdict == UNCHECKABLE and not doubtful:
            doubtful = book.fits_stated_best() == MISMATCHED
        late = market.late(event, self.risk.clock_skew_ms, self.settings.book_stale_ns)
        trust.on_change(verdict, doubtful, event.ts_ns, late)
        if trust.unverified_ns:
            trust.on_time(event.ts_ns, 0)
        if trust.state != state:
            self._on_trust(market, effects)
        elif book.best_bid != bid or book.best_ask != ask:
            self._decide(event.market, effects)

    def _on_snapshot(self, event: BookReplaced, effects: list[Effect]) -> None:
        market = self.markets.get(event.market)
        if market is None:
            self._quality.unknown_market += 1
            return
        book, trust, state = market.book, market.trust, market.trust.state
        whole = state == COLD or trust.resyncs > 1
        behind = not whole and event.venue_ts_ms < book.newest_ms
        verdict = book.replace(event, whole, trust.checking)
        late = market.late(event, self.risk.clock_skew_ms, self.settings.book_stale_ns)
        trust.on_snapshot(verdict, book.crossed, event.ts_ns, rest=event.rest, late=late)
        if event.tick_e4:
            market.retick(event.tick_e4, event.venue_ts_ms)
        if behind and trust.valid and trust.checking and verdict == MATCHED:
            # It is of an earlier moment than changes already taken: those say how it stands now.
            trust.on_merged(book.fits_newest(), book.crossed, event.ts_ns)
        if trust.state != state:
            self._on_trust(market, effects)
        else:
            self._decide(event.market, effects)

    def _on_best(self, event: BestQuoted) -> None:
        """The venue's own best prices: counted, never a state (they may come first)."""
        market = self.markets.get(event.market)
        if market is not None and event.token == YES:
            self._quality.stated(event, market.book)

    def _on_trust(self, market: MarketState, effects: list[Effect]) -> None:
        trust = market.trust
        effects.append(BookStateChanged(market.spec.market, trust.state, trust.reason))
        if not trust.valid:
            self._ask_snapshot(market, effects)
        self._decide(market.spec.market, effects)

    def _ask_snapshot(self, market: MarketState, effects: list[Effect]) -> None:
        over = market.winner != UNRESOLVED or market.phase == PENDING_RESOLUTION
        if over or self.ts_ns - market.snapshot_ns < SNAPSHOT_RETRY_NS:
            return
        market.snapshot_ns = self.ts_ns
        market.trust.resyncs += 1
        reason = f"{market.trust.state}: {market.trust.reason}"
        effects.append(RequestSnapshot(market.spec.market, reason))

    def _on_reference(self, event: ReferenceTicked, effects: list[Effect]) -> None:
        reference = self._cycle.reference(event.symbol)
        price, heard_ns = reference.price, reference.ts_ns
        if not reference.apply(event):
            return
        self.crew.on_reference(reference, event.ts_ns)
        if reference.price == price and event.ts_ns - heard_ns < DECIDE_EVERY_NS:
            return  # most ticks of a touch repeat its price; time alone has its own turn
        for market in self._cycle.by_symbol.get(event.symbol, ()):
            if market.phase == OPEN:
                self.quoter.decide(market, reference, self.ts_ns, effects)

    def _on_loss(self, event: FeedGap | FeedDown, effects: list[Effect]) -> None:
        self._quality.gaps += 1
        for market in self._cycle.lost(event):
            self._on_trust(market, effects)

    # -- life cycle -----------------------------------------------------------------------------

    def _on_listed(self, event: MarketListed, effects: list[Effect]) -> None:
        new = event.market not in self.markets
        tick_e4 = 0 if new else self.markets[event.market].book.tick_e4
        market = self._cycle.listed(event)
        if new:
            effects.append(PhaseChanged(event.market, market.phase))
        elif market.book.tick_e4 != tick_e4:
            self._on_new_grid(market, effects)
        self._advance(market, effects)

    def _on_tick_size(self, event: TickSizeChanged, effects: list[Effect]) -> None:
        """It comes once a token and often twice."""
        market = self.markets.get(event.market)
        if market is not None and market.retick(event.new_e4, event.venue_ts_ms):
            self._on_new_grid(market, effects)

    def _on_new_grid(self, market: MarketState, effects: list[Effect]) -> None:
        market.trust.on_loss(SUSPECT, "tick size changed")
        self._on_trust(market, effects)

    def _advance(self, market: MarketState, effects: list[Effect]) -> None:
        if self._cycle.advance(market, self.ts_ns, effects):
            self._decide(market.spec.market, effects)

    # -- orders and money -----------------------------------------------------------------------

    def _on_money(self, event: Event, effects: list[Effect]) -> None:
        name = self._booker.money(event, effects)
        market = self.markets.get(name)
        if market is not None and isinstance(event, PairsSplit):
            reference = self.references.get(market.spec.symbol)
            self.quoter.split(market, reference, self.ts_ns, effects)
        self._decide(name, effects)

    def _decide(self, name: str, effects: list[Effect]) -> None:
        market = self.markets.get(name)
        if market is not None:
            reference = self.references.get(market.spec.symbol)
            self.quoter.decide(market, reference, self.ts_ns, effects)

    # -- time -----------------------------------------------------------------------------------

    def _on_clock(self, ts_ns: int, effects: list[Effect]) -> None:
        due = ts_ns - self._decided_ns >= DECIDE_EVERY_NS
        if due:
            self._decided_ns = ts_ns
        for name, market in self.markets.items():
            trust, state = market.trust, market.trust.state
            live = market.phase in (OPEN, CLOSING)
            trust.on_time(ts_ns, self.settings.book_stale_ns if live else 0)
            if trust.state != state:
                self._on_trust(market, effects)
            elif due and not trust.valid:
                wait_ns = COLD_WAIT_NS if trust.state == COLD else SNAPSHOT_RETRY_NS
                if ts_ns - market.snapshot_ns >= wait_ns:
                    self._ask_snapshot(market, effects)
            if due:
                moved = self._cycle.advance(market, ts_ns, effects)
                if moved or market.phase == OPEN or self._unfinished(name):
                    self._decide(name, effects)
        if ts_ns - self._marked_ns >= MARK_EVERY_NS:
            self._marked_ns = ts_ns
            self._mark(ts_ns)
            self._cycle.retire(ts_ns)

    def _unfinished(self, name: str) -> bool:
        return self.orders.any_in(name) or name in self.quoter.flattening

    def _decide_all(self, effects: list[Effect]) -> None:
        for name in self.markets:
            self._decide(name, effects)

    def _mark(self, ts_ns: int) -> None:
        """Mark the account to the market, where positions could be closed."""
        for market in self.markets.values():
            market.keep_mark()
        self.risk.on_equity(self.ledger.equity_e6(self.marks(), True), ts_ns)

    def marks(self) -> dict[str, Mark]:
        """Where each unresolved market's YES trades, or traded last; without the never traded."""
        return self._cycle.marks()

    def quality(self) -> dict[str, int]:
        """Data quality so far: see `quality.QUALITY`."""
        return self._quality.report(self.markets, self.references)
