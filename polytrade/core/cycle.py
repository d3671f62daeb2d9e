"""The life cycle of markets: listed, open, ended, resolved, and forgotten: memory stays flat."""

from collections.abc import Iterator
from typing import Final, final

from polytrade.core.effects import Effect, PhaseChanged
from polytrade.core.events import FeedDown, FeedGap, MarketListed, MarketResolved
from polytrade.core.ledger import Booked, Ledger, Mark
from polytrade.core.limits import RiskState
from polytrade.core.market import (
    PENDING_RESOLUTION,
    REDEEMED,
    RESOLVED,
    UNRESOLVED,
    MarketState,
)
from polytrade.core.orders import LIVE, Orders
from polytrade.core.quality import Quality
from polytrade.core.quoting import Quoter
from polytrade.core.reference import SymbolReference
from polytrade.core.roles import FairValue
from polytrade.core.settings import EngineSettings
from polytrade.core.trust import STALE, SUSPECT
from polytrade.core.units import MS_NS, SECOND_NS

FORGET_AFTER_NS: Final = 600 * SECOND_NS
"""A resolved market is kept this long for reports, then dropped."""
ABANDON_AFTER_NS: Final = 3_600 * SECOND_NS
"""An ended market in which nothing is held is dropped unresolved after this: crypto markets resolve
within minutes (data 7), and a later word would change nothing."""
PREDICT_TOLERANCE_MS: Final = 3_000
"""Our own call of the outcome takes a settlement value at most this much older than the end: what
is known at the end itself is 1-3 s late."""


@final
class Cycle:
    """Every market known, and what moves it on."""

    __slots__ = (
        "_fair",
        "_ledger",
        "_orders",
        "_quality",
        "_quoter",
        "_references",
        "_risk",
        "_settings",
        "by_symbol",
        "markets",
        "retired",
    )

    def __init__(
        self,
        settings: EngineSettings,
        fair: FairValue,
        references: dict[str, SymbolReference],
        orders: Orders,
        ledger: Ledger,
        risk: RiskState,
        quoter: Quoter,
        quality: Quality,
        by_symbol: dict[str, list[MarketState]],
    ) -> None:
        self._settings = settings
        self._fair = fair
        self._references = references
        self._orders = orders
        self._ledger = ledger
        self._risk = risk
        self._quoter = quoter
        self._quality = quality
        self.markets: dict[str, MarketState] = {}
        self.by_symbol = by_symbol
        self.retired: dict[str, int] = {}

    def configure(self, settings: EngineSettings) -> None:
        """Go on by other settings; the markets stay."""
        self._settings = settings
        for reference in self._references.values():
            reference.vol_fast_s = settings.vol_fast_s
            reference.vol_slow_s = settings.vol_slow_s

    def listed(self, event: MarketListed) -> MarketState:
        """The market of a listing: new, or with its changed terms."""
        market = self.markets.get(event.market)
        self._ledger.listed(event)
        if market is None:
            market = MarketState(event, self._settings.hash_mode, self._settings.reorder_ns)
            market.snapshot_ns = event.ts_ns
            self.markets[event.market] = market
            self._follow(market)
        elif market.spec.symbol != event.symbol:
            self._unfollow(market)
            market.relist(event)
            self._follow(market)
        else:
            market.relist(event)
        return market

    def reference(self, symbol: str) -> SymbolReference:
        """What is known of a symbol's price, made when somebody first speaks of it."""
        reference = self._references.get(symbol)
        if reference is None:
            settings = self._settings
            reference = SymbolReference(symbol, settings.vol_fast_s, settings.vol_slow_s)
            self._references[symbol] = reference
        return reference

    def advance(self, market: MarketState, ts_ns: int, effects: list[Effect]) -> bool:
        """Move a market to the phase of this time; whether it changed."""
        reference = self._references.get(market.spec.symbol)
        market.observe_strike(reference, ts_ns)
        phase = market.phase_at(ts_ns, self._settings.closing_ns)
        if phase == market.phase:
            return False
        if phase == PENDING_RESOLUTION:
            market.keep_mark()
            market.predicted = _predict(market, reference)
        market.phase = phase
        effects.append(PhaseChanged(market.spec.market, phase))
        return True

    def resolved(self, event: MarketResolved, effects: list[Effect]) -> None:
        """The official outcome: quotes off, positions redeemed; a repeated word changes nothing."""
        market = self.markets.get(event.market)
        if market is None or market.winner != UNRESOLVED:
            return
        market.winner = event.winner
        market.phase = RESOLVED
        effects.append(PhaseChanged(event.market, RESOLVED))
        for order in self._orders.of_market(event.market):
            if order.state == LIVE:
                self._quoter.cancel(order, "resolved", event.ts_ns, effects)
        booked = self._ledger.apply(event)
        if isinstance(booked, Booked) and booked.closed:
            self._risk.on_close(booked.pnl_e6(), event.ts_ns)
        market.phase = REDEEMED
        effects.append(PhaseChanged(event.market, REDEEMED))
        self.retired[event.market] = event.ts_ns

    def lost(self, event: FeedGap | FeedDown) -> Iterator[MarketState]:
        """Doubt the books that a loss of their feed concerns: those whose trust changed."""
        if not event.source.startswith(self._settings.book_source):
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
                yield market

    def marks(self) -> dict[str, Mark]:
        """Where each unresolved market's YES trades, or traded last; without the never traded."""
        marks: dict[str, Mark] = {}
        for name, market in self.markets.items():
            bid_e4, ask_e4 = market.mark_e4()
            if market.winner == UNRESOLVED and bid_e4 >= 0:
                marks[name] = Mark(bid_e4, ask_e4)
        return marks

    def retire(self, ts_ns: int) -> None:
        """Drop markets that are over, unless something of them is still held or reserved."""
        for name, market in self.markets.items():
            if not market.spec.end_ns or name in self.retired:
                continue
            # A market listed, or heard of, after its end is being followed: that counts, too.
            last_ns = max(market.spec.end_ns, market.listed_ns, market.trust.last_ns)
            if ts_ns - last_ns > ABANDON_AFTER_NS:
                self.retired[name] = last_ns + ABANDON_AFTER_NS - FORGET_AFTER_NS
        for name in [n for n, at in self.retired.items() if ts_ns - at > FORGET_AFTER_NS]:
            if self._ledger.forget(name):
                self._forget(name)

    def _forget(self, name: str) -> None:
        del self.retired[name]
        market = self.markets.pop(name)
        self._quality.forget(market)
        self._unfollow(market)
        self._fair.forget(name)
        self._quoter.forget(name)
        self._risk.forget(name)

    def _follow(self, market: MarketState) -> None:
        self.by_symbol.setdefault(market.spec.symbol, []).append(market)

    def _unfollow(self, market: MarketState) -> None:
        followed = self.by_symbol[market.spec.symbol]
        followed.remove(market)
        if not followed:
            del self.by_symbol[market.spec.symbol]


def _predict(market: MarketState, reference: SymbolReference | None) -> int:
    """Our own call of the outcome: YES, NO, or -1 when nothing is known."""
    if reference is None or market.strike_e8 <= 0:
        return -1
    spec = market.spec
    series = reference.settlement(spec.settle, spec.lookback_s)
    value = series.at(spec.end_ns // MS_NS, PREDICT_TOLERANCE_MS) or reference.price
    if value <= 0.0:
        return -1
    return market.outcome(value)
