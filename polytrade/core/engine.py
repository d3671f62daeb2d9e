"""The engine: one entry, `step(event) -> list[Effect]`, and the order in which things happen.

1. The event is applied: book, reference, life cycle, order, ledger.
2. Markets whose picture changed are decided: fair value, the maker's wishes, limits, and the
   difference between what is wanted and what rests.

Pure and synchronous: no clock, no I/O, no randomness. Live, paper and replay call the same `step`.
"""

from typing import Final, final

from polytrade.core.book import MISMATCHED, UNCHECKABLE
from polytrade.core.effects import (
    Alarmed,
    BookStateChanged,
    CancelOrder,
    Effect,
    PhaseChanged,
    RequestSnapshot,
)
from polytrade.core.events import (
    BestQuoted,
    BookChanged,
    BookReplaced,
    CancelRejected,
    ClockSkewMeasured,
    ClockTicked,
    Event,
    FeedDown,
    FeedGap,
    FillConfirmed,
    FillFailed,
    FlattenRequested,
    MarketListed,
    MarketResolved,
    ModeSet,
    OrderAccepted,
    OrderCancelled,
    OrderFilled,
    OrderLost,
    OrderRejected,
    PairsMerged,
    PairsSplit,
    PauseSet,
    RebatePaid,
    ReferenceTicked,
    RunStarted,
    TickSizeChanged,
    TradePrinted,
)
from polytrade.core.ledger import Booked, Ledger, Mark
from polytrade.core.limits import HALT, RUN, RiskState
from polytrade.core.market import (
    CLOSING,
    OPEN,
    PENDING_RESOLUTION,
    REDEEMED,
    RESOLVED,
    MarketState,
)
from polytrade.core.orders import LIVE, OrderChange, Orders
from polytrade.core.quoting import Quoter
from polytrade.core.reference import SymbolReference
from polytrade.core.roles import FairValue, Maker
from polytrade.core.settings import EngineSettings
from polytrade.core.trust import COLD, STALE, SUSPECT
from polytrade.core.units import MS_NS, SECOND_NS

DECIDE_EVERY_NS: Final = 100 * MS_NS
"""Every open market is decided at least this often, so that time alone moves its quotes."""
SNAPSHOT_RETRY_NS: Final = 2 * SECOND_NS
"""A doubtful book asks for a snapshot at most this often (protocols 2.7: /book takes 150/s)."""
COLD_WAIT_NS: Final = 5 * SECOND_NS
"""A listed market without any book asks for one after this: the socket sends one on subscribing."""
MARK_EVERY_NS: Final = SECOND_NS
FORGET_AFTER_NS: Final = 600 * SECOND_NS
"""A market that is over is kept this long for reports, then dropped: memory stays flat."""

ORDER_EVENTS: Final = (
    OrderAccepted,
    OrderCancelled,
    OrderFilled,
    OrderLost,
    OrderRejected,
    CancelRejected,
)
QUALITY: Final = (
    "hash_matched",
    "hash_mismatched",
    "hash_not_checkable",
    "turned_unverified",
    "turned_verified",
    "turned_suspect",
    "markets_not_checked",
    "stated_best_agreed",
    "stated_best_differed",
    "reference_ticks",
    "reference_dropped",
    "reference_inversions",
    "unknown_market",
    "feed_gaps",
)
"""The data-quality report, all counts."""


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
    ) -> None:
        self.settings = settings
        self.fair = fair
        self.markets: dict[str, MarketState] = {}
        self.references: dict[str, SymbolReference] = {}
        self.orders = Orders()
        self.ledger = ledger
        self.risk = risk
        self.quoter = Quoter(settings, fair, maker, self.orders, ledger, risk)
        self.ts_ns = 0
        self.events = 0
        self.fills = 0
        self.unknown_market = 0
        self.gaps = 0
        self.mode_why = ""
        self.stated_best = [0, 0]
        self.retired: dict[str, int] = {}
        self._past_quality = dict.fromkeys(QUALITY, 0)
        self._by_symbol: dict[str, list[MarketState]] = {}
        self._marked_ns = 0
        self._decided_ns = 0

    # -- the one entry --------------------------------------------------------------------------

    def step(self, event: Event) -> list[Effect]:
        """Apply one event and answer with what is wanted, in order."""
        effects: list[Effect] = []
        assert event.ts_ns >= self.ts_ns, f"time ran backwards: {event!r} after {self.ts_ns}"
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
        elif isinstance(event, BestQuoted):
            self._on_best(event)
        else:
            self._on_rare(event, effects)
        return effects

    def _on_rare(self, event: Event, effects: list[Effect]) -> None:
        if isinstance(event, MarketListed):
            self._on_listed(event, effects)
        elif isinstance(event, MarketResolved):
            self._on_resolved(event, effects)
        elif isinstance(event, TickSizeChanged):
            self._on_tick_size(event, effects)
        elif isinstance(event, FeedGap | FeedDown):
            self._on_loss(event, effects)
        elif isinstance(event, ModeSet):
            if event.mode == RUN and self.risk.mode == HALT:
                self.risk.clear_stops()
            self.risk.mode = event.mode
            self.mode_why = event.why
            effects.append(Alarmed("mode", f"{event.mode}: {event.why}"))
            self._decide_all(effects)
        elif isinstance(event, PauseSet):
            self.risk.paused = event.paused
            self._decide_all(effects)
        elif isinstance(event, FlattenRequested):
            self.quoter.flatten(list(self.markets), event.slippage_e4)
            self.risk.paused = True
            self._decide_all(effects)
        elif isinstance(event, ClockSkewMeasured):
            self.risk.clock_skew_ms = event.skew_ms
        elif isinstance(event, RunStarted):
            assert self.events == 1, "a run starts once"
            self.ledger.deposit(event.cash_e6)
        else:
            self._on_money(event, effects)

    # -- market data ----------------------------------------------------------------------------

    def _on_change(self, event: BookChanged, effects: list[Effect]) -> None:
        market = self.markets.get(event.market)
        if market is None:
            self.unknown_market += 1
            return
        book, trust = market.book, market.trust
        bid, ask, state = book.best_bid, book.best_ask, trust.state
        verdict = book.change(event, trust.checking)
        doubtful = book.crossed
        if verdict == UNCHECKABLE and not doubtful:
            doubtful = book.fits_stated_best() == MISMATCHED
        trust.on_change(verdict, doubtful, event.ts_ns)
        if trust.unverified_ns:
            trust.on_time(event.ts_ns, 0)
        if trust.state != state:
            self._on_trust(market, effects)
        elif book.best_bid != bid or book.best_ask != ask:
            self._decide(event.market, effects)

    def _on_snapshot(self, event: BookReplaced, effects: list[Effect]) -> None:
        market = self.markets.get(event.market)
        if market is None:
            self.unknown_market += 1
            return
        trust, state = market.trust, market.trust.state
        verdict = market.book.replace(event, state == COLD or trust.resyncs > 1)
        trust.on_snapshot(verdict, market.book.crossed, event.ts_ns)
        if event.tick_e4 and event.tick_e4 != market.book.tick_e4:
            spec = market.spec
            market.book.set_terms(spec.min_size_e6, spec.neg_risk, event.tick_e4)
        if trust.state != state:
            self._on_trust(market, effects)
        else:
            self._decide(event.market, effects)

    def _on_best(self, event: BestQuoted) -> None:
        """The venue's own best prices: counted, never a state (they may come first)."""
        market = self.markets.get(event.market)
        if market is not None and event.token == 0:
            same = market.book.bid_e4 == event.bid_e4 and market.book.ask_e4 == event.ask_e4
            self.stated_best[0 if same else 1] += 1

    def _on_trust(self, market: MarketState, effects: list[Effect]) -> None:
        trust = market.trust
        effects.append(BookStateChanged(market.spec.market, trust.state, trust.reason))
        if not trust.valid:
            self._ask_snapshot(market, effects)
        self._decide(market.spec.market, effects)

    def _ask_snapshot(self, market: MarketState, effects: list[Effect]) -> None:
        if market.winner != -2 or self.ts_ns - market.snapshot_ns < SNAPSHOT_RETRY_NS:
            return
        market.snapshot_ns = self.ts_ns
        market.trust.resyncs += 1
        reason = f"{market.trust.state}: {market.trust.reason}"
        effects.append(RequestSnapshot(market.spec.market, reason))

    def _on_reference(self, event: ReferenceTicked, effects: list[Effect]) -> None:
        reference = self.references.get(event.symbol)
        if reference is None:
            settings = self.settings
            reference = SymbolReference(event.symbol, settings.vol_fast_s, settings.vol_slow_s)
            self.references[event.symbol] = reference
        if reference.apply(event):
            self.fair.on_reference(reference, event.ts_ns)
            for market in self._by_symbol.get(event.symbol, ()):
                if market.phase == OPEN:
                    self.quoter.decide(market, reference, self.ts_ns, effects)

    def _on_loss(self, event: FeedGap | FeedDown, effects: list[Effect]) -> None:
        self.gaps += 1
        if not event.source.startswith(self.settings.book_source):
            return
        down = isinstance(event, FeedDown)
        state = STALE if down or event.reason == "disconnected" else SUSPECT
        names = (
            [event.market] if isinstance(event, FeedGap) and event.market else list(self.markets)
        )
        for name in names:
            market = self.markets.get(name)
            if market is None:
                continue
            before = market.trust.state
            market.trust.on_loss(state, event.reason)
            if market.trust.state != before:
                self._on_trust(market, effects)

    # -- life cycle -----------------------------------------------------------------------------

    def _on_listed(self, event: MarketListed, effects: list[Effect]) -> None:
        market = self.markets.get(event.market)
        if market is not None:
            market.relist(event)
            self.ledger.listed(event)
            self._on_phase(market, effects)
            return
        self.ledger.listed(event)
        market = MarketState(event, self.settings.hash_mode, self.settings.reorder_ns)
        market.snapshot_ns = event.ts_ns
        self.markets[event.market] = market
        self._by_symbol.setdefault(event.symbol, []).append(market)
        effects.append(PhaseChanged(event.market, market.phase))
        self._on_phase(market, effects)

    def _on_tick_size(self, event: TickSizeChanged, effects: list[Effect]) -> None:
        market = self.markets.get(event.market)
        if market is None or market.book.tick_e4 == event.new_e4:
            return  # it comes once a token and often twice
        spec = market.spec
        market.book.set_terms(spec.min_size_e6, spec.neg_risk, event.new_e4)
        market.trust.on_loss(SUSPECT, "tick size changed")
        self._on_trust(market, effects)

    def _on_phase(self, market: MarketState, effects: list[Effect]) -> None:
        reference = self.references.get(market.spec.symbol)
        market.observe_strike(reference, self.ts_ns)
        phase = market.phase_at(self.ts_ns, self.settings.closing_ns)
        if phase == market.phase:
            return
        market.phase = phase
        if phase == PENDING_RESOLUTION:
            market.predicted = self._predict(market, reference)
        effects.append(PhaseChanged(market.spec.market, phase))
        self.quoter.decide(market, reference, self.ts_ns, effects)

    def _predict(self, market: MarketState, reference: SymbolReference | None) -> int:
        """Our own call of the outcome: 0 YES, 1 NO, -1 when nothing is known."""
        if reference is None or market.strike_e8 < 0:
            return -1
        spec = market.spec
        series = reference.settlement(spec.settle, spec.lookback_s)
        value = series.at(spec.end_ns // MS_NS, 3_000) or reference.price
        if value <= 0.0:
            return -1
        above = value >= market.strike_e8 / 1e8
        return 0 if above != (spec.condition == "below") else 1

    def _on_resolved(self, event: MarketResolved, effects: list[Effect]) -> None:
        market = self.markets.get(event.market)
        if market is None or market.winner != -2:
            return
        market.winner = event.winner
        market.phase = RESOLVED
        effects.append(PhaseChanged(event.market, RESOLVED))
        for order in self.orders.of_market(event.market):
            if order.state == LIVE:
                cancel = CancelOrder(order.order_id, event.market, "resolved")
                self.orders.cancel(cancel, self.ts_ns)
                effects.append(cancel)
        booked = self.ledger.apply(event)
        if isinstance(booked, Booked) and booked.closed:
            self.risk.on_close(booked.pnl_e6(), self.ts_ns)
        market.phase = REDEEMED
        effects.append(PhaseChanged(event.market, REDEEMED))
        self.retired[event.market] = event.ts_ns

    # -- orders and money -----------------------------------------------------------------------

    def _on_money(self, event: Event, effects: list[Effect]) -> None:
        if isinstance(event, ORDER_EVENTS):
            self._on_order(event, effects)
        elif isinstance(event, FillConfirmed | FillFailed | PairsMerged | PairsSplit | RebatePaid):
            booked = self.ledger.apply(event)
            if isinstance(booked, Booked):
                if booked.closed:
                    self.risk.on_close(booked.pnl_e6(), self.ts_ns)
                if isinstance(event, PairsMerged):
                    self.quoter.merged(event.market)
                self._decide(booked.market, effects)
            else:
                effects.append(Alarmed("ledger_fault", f"{booked.why}: {booked.tag}"))

    def _on_order(self, event: Event, effects: list[Effect]) -> None:
        change = self.orders.apply(event)
        if not isinstance(change, OrderChange):
            effects.append(Alarmed("order_fault", f"{change.why}: {change.tag} {change.order_id}"))
            return
        order = change.order
        if isinstance(event, OrderFilled):
            self.fills += 1
            booked = self.ledger.filled(order, event)
            if isinstance(booked, Booked) and booked.closed:
                self.risk.on_close(booked.pnl_e6(), self.ts_ns)
        else:
            self.ledger.hold(order)
            if isinstance(event, OrderRejected):
                self.quoter.refused(order.market, self.ts_ns)
        if change.odd:
            effects.append(Alarmed(change.odd, order.order_id))
        self._decide(order.market, effects)

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
        for market in self.markets.values():
            trust, state = market.trust, market.trust.state
            live = market.phase in (OPEN, CLOSING)
            trust.on_time(ts_ns, self.settings.book_stale_ns if live else 0)
            if trust.state != state:
                self._on_trust(market, effects)
            elif due and not trust.valid and market.winner == -2:
                wait = COLD_WAIT_NS if trust.state == COLD else SNAPSHOT_RETRY_NS
                if ts_ns - market.snapshot_ns >= wait:
                    self._ask_snapshot(market, effects)
            if due:
                self._on_phase(market, effects)
                if market.phase == OPEN or self.orders.of_market(market.spec.market):
                    reference = self.references.get(market.spec.symbol)
                    self.quoter.decide(market, reference, ts_ns, effects)
        if ts_ns - self._marked_ns >= MARK_EVERY_NS:
            self._marked_ns = ts_ns
            self._mark(ts_ns)
            self._retire(ts_ns)

    def _retire(self, ts_ns: int) -> None:
        for name in [n for n, at in self.retired.items() if ts_ns - at > FORGET_AFTER_NS]:
            if not self.ledger.forget(name):
                continue
            del self.retired[name]
            market = self.markets.pop(name)
            self._add_quality(self._past_quality, market)
            self._by_symbol[market.spec.symbol].remove(market)
            self.fair.forget(name)
            self.quoter.forget(name)
            self.risk.forget(name)

    def _decide_all(self, effects: list[Effect]) -> None:
        for name in self.markets:
            self._decide(name, effects)

    def _mark(self, ts_ns: int) -> None:
        """Mark the account to the market, where positions could be closed."""
        self.risk.on_equity(self.ledger.equity_e6(self.marks(), True), ts_ns)

    def marks(self) -> dict[str, Mark]:
        """Where each market's YES trades; markets without a whole book are left out."""
        return {
            name: Mark(market.book.bid_e4, market.book.ask_e4)
            for name, market in self.markets.items()
            if market.trust.last_ns and market.winner == -2 and not market.book.crossed
        }

    def quality(self) -> dict[str, int]:
        """Data quality so far: hash checks by result, books by trust, references by fate."""
        total = dict.fromkeys(QUALITY, 0)
        for market in self.markets.values():
            self._add_quality(total, market)
        for name, value in self._past_quality.items():
            total[name] += value
        for reference in self.references.values():
            total["reference_ticks"] += reference.ticks
            total["reference_dropped"] += reference.dropped
            total["reference_inversions"] += reference.inverted
        total["stated_best_agreed"] = self.stated_best[0]
        total["stated_best_differed"] = self.stated_best[1]
        total["unknown_market"] = self.unknown_market
        total["feed_gaps"] = self.gaps
        return total

    def _add_quality(self, total: dict[str, int], market: MarketState) -> None:
        trust = market.trust
        total["hash_matched"] += trust.matched
        total["hash_mismatched"] += trust.mismatched
        total["hash_not_checkable"] += trust.not_checkable
        total["turned_unverified"] += trust.turned_unverified
        total["turned_verified"] += trust.turned_verified
        total["turned_suspect"] += trust.turned_suspect
        total["markets_not_checked"] += 0 if trust.checking else 1
