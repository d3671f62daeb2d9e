"""The shadow: a fold over (event, effects) that says what our orders would have been worth later.

It reads the engine's state after each step and never changes it, reads no clock, and gives the same
numbers live, on paper and in a replay. Instants between events are looked at as the markets stood
before the next event (`tracks.py`). Memory is bounded, whatever the length of a window.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, final

import attrs

from polytrade.config import Config
from polytrade.core.effects import (
    Alarmed,
    BookStateChanged,
    Effect,
    PhaseChanged,
    PlaceOrder,
)
from polytrade.core.engine import ORDER_EVENTS, Engine
from polytrade.core.events import (
    BookChanged,
    BookReplaced,
    ClockTicked,
    Event,
    FeedDown,
    FeedGap,
    FillFailed,
    FlattenRequested,
    MarketListed,
    ModeSet,
    OrderAccepted,
    OrderCancelled,
    OrderFilled,
    OrderRejected,
    PauseSet,
    ReferenceTicked,
    ShadowReset,
    TickSizeChanged,
    TradePrinted,
)
from polytrade.core.ids import BUY, YES
from polytrade.core.markouts import Markout, Markouts
from polytrade.core.units import MS_NS, ONE_E4, SECOND_NS
from polytrade.shadow.causes import Outcome
from polytrade.shadow.costs import net_edge_bps
from polytrade.shadow.fills import Fills, Heard
from polytrade.shadow.funnel import Funnel
from polytrade.shadow.outcomes import Outcomes
from polytrade.shadow.probes import Probes
from polytrade.shadow.report import ShadowReport
from polytrade.shadow.samples import SHOTS_MAX
from polytrade.shadow.scorecard import Scorecard
from polytrade.shadow.shot import Intent
from polytrade.shadow.shots import DELAYS_MS, Shots
from polytrade.shadow.tracks import NEVER_NS, Track, Tracks, Wake

STATES: Final = (BookStateChanged, PhaseChanged)
"""Effects after which a market's book counts, or no longer does."""


def _unheard(_markout: Markout) -> None:
    return None


@attrs.frozen(kw_only=True)
class ShadowSettings:
    """How shots fill: `cancels_ahead` as in `[execution]`; `shots_max` bounds each tally."""

    cancels_ahead: str = "proportional"
    shots_max: int = SHOTS_MAX


def shadow_settings(config: Config) -> ShadowSettings:
    """The settings of a configuration: shots fill as paper orders do."""
    return ShadowSettings(cancels_ahead=config.execution.cancels_ahead)


@final
class _Window:
    """Everything a reset starts anew."""

    def __init__(
        self,
        settings: ShadowSettings,
        engine: Engine,
        tracks: Tracks,
        markouts: Markouts,
        heard: Heard,
        wake: Wake,
    ) -> None:
        self.scorecard = Scorecard()
        self.outcomes = Outcomes(tracks, self.scorecard, wake)
        self.shots = Shots(
            engine.orders,
            settings.cancels_ahead,
            self.outcomes.filled,
            self.scorecard.shot,
            self.outcomes.decided,
            wake,
            settings.shots_max,
        )
        self.probes = Probes(wake, settings.shots_max)
        self.fills = Fills(tracks, self.scorecard, markouts, heard, wake)
        self.funnel = Funnel()


@final
class Shadow:
    """The shadow of one engine; `observe` after every step, `report` whenever wanted.

    `heard` is told every markout of an own fill, those of an earlier window included.
    """

    def __init__(self, settings: ShadowSettings, engine: Engine, heard: Heard = _unheard) -> None:
        self.window_id = 1
        self.started_ns = 0
        self._settings = settings
        self._engine = engine
        self._tracks = Tracks(engine)
        self._markouts = Markouts()
        self._heard = heard
        self._wake = Wake()
        self._window = self._new_window()
        self._quoter = engine.quoter
        self._decisions = engine.quoter.decisions
        self._refusals = self._refused_total()
        self._folds: dict[type[Event], Callable[[Any, Sequence[Effect]], None]] = {
            BookChanged: self._on_change,
            BookReplaced: self._on_snapshot,
            TradePrinted: self._on_print,
            ReferenceTicked: self._on_reference,
            TickSizeChanged: self._on_tick_size,
            MarketListed: self._on_listed,
            OrderAccepted: self._on_accepted,
            OrderRejected: self._on_rejected,
            OrderCancelled: self._on_cancelled,
            OrderFilled: self._on_filled,
            FillFailed: self._on_fill_failed,
            ShadowReset: self._on_reset,
        }

    def observe(self, event: Event, effects: Sequence[Effect]) -> None:
        """The engine stepped `event` and wants `effects`."""
        ts_ns = event.ts_ns
        if ts_ns > self._wake.ns:
            self._due(ts_ns)
        fold = self._folds.get(type(event))
        if fold is not None:
            fold(event, effects)
        if effects:
            self._on_effects(effects, ts_ns)
        if self._quoter.decisions != self._decisions:
            self._count(event, effects)
        if self._shots.pending:
            self._shots.look()

    def _due(self, ts_ns: int) -> None:
        """Look at every instant before `ts_ns`, and say when the next is."""
        if not self.started_ns:
            self.started_ns = ts_ns
        window, wake = self._window, self._wake
        wake.ns = NEVER_NS
        for waiting in (window.shots, window.probes, window.outcomes, window.fills):
            waiting.due(ts_ns)
            wake.by(waiting.next_ns)

    def reset(self, window_id: int, ts_ns: int) -> None:
        """Begin a new measuring window: everything counted, and every shot under way, is gone."""
        self.window_id = window_id
        self.started_ns = ts_ns
        self._window = self._new_window()
        self._refusals = self._refused_total()

    def freshen(self) -> None:
        """Make a part of the report that has changed; now and then, so that `report` is cheap."""
        self._window.scorecard.freshen()

    def report(self, ts_ns: int) -> ShadowReport:
        """The window's numbers at `ts_ns`; cheap, whatever is in the window (`freshen`)."""
        window, funnel = self._window, self._window.funnel
        started_ns = self.started_ns or ts_ns
        return ShadowReport(
            window_id=self.window_id,
            window_shots=window.shots.taken,
            window_outcomes=window.outcomes.concluded,
            started_at_ms=started_ns // MS_NS,
            elapsed_sec=max(ts_ns - started_ns, 0) / SECOND_NS,
            values=_values(window),
            survival_probe_10ms_by_symbol=window.probes.by_symbol(),
            funnel=funnel.to_dict(),
            blocked_reason_counts=dict(sorted(funnel.blocked.items())),
            causes=dict(window.outcomes.causes),
            market_scorecard=window.scorecard.rows(),
            pnl_by_engine=window.fills.engines(),
            adverse_selection=tuple(window.fills.adverse.rows()),
        )

    # -- what happened --------------------------------------------------------------------------

    def _on_change(self, event: BookChanged, effects: Sequence[Effect]) -> None:
        track = self._tracks.of.get(event.market)
        if track is not None:
            track.touch(event.ts_ns)
            self._shots.on_change(track, event)

    def _on_snapshot(self, event: BookReplaced, effects: Sequence[Effect]) -> None:
        track = self._tracks.of.get(event.market)
        if track is not None:
            track.refresh(event.ts_ns)
            self._window.shots.on_snapshot(track, event)

    def _on_print(self, event: TradePrinted, effects: Sequence[Effect]) -> None:
        self._window.shots.on_print(event)

    def _on_reference(self, event: ReferenceTicked, effects: Sequence[Effect]) -> None:
        reference = self._engine.references.get(event.symbol)
        if reference is not None and reference.ts_ns == event.ts_ns:
            tracks = self._tracks.by_symbol.get(event.symbol)
            if tracks is not None:
                self._window.probes.ticked(event.symbol, reference.price, tracks, event.ts_ns)

    def _on_tick_size(self, event: TickSizeChanged, effects: Sequence[Effect]) -> None:
        track = self._tracks.of.get(event.market)
        if track is not None:
            track.refresh(event.ts_ns)

    def _on_listed(self, event: MarketListed, effects: Sequence[Effect]) -> None:
        self._tracks.sync()

    def _on_accepted(self, event: OrderAccepted, effects: Sequence[Effect]) -> None:
        if self._window.shots.accepted(event.order_id, event.ts_ns):
            self._window.funnel.executed += 1
            self._window.shots.changed(event.order_id)

    def _on_rejected(self, event: OrderRejected, effects: Sequence[Effect]) -> None:
        if self._window.shots.refused(event.order_id):
            self._window.funnel.venue_refused(event.reason)
        else:
            self._window.shots.changed(event.order_id)

    def _on_cancelled(self, event: OrderCancelled, effects: Sequence[Effect]) -> None:
        self._window.shots.refused(event.order_id)
        self._window.shots.changed(event.order_id)

    def _on_filled(self, event: OrderFilled, effects: Sequence[Effect]) -> None:
        order = self._engine.orders.find(event.order_id)
        faulty = any(isinstance(each, Alarmed) and each.name == "order_fault" for each in effects)
        if order is None or faulty:
            return
        window = self._window
        if window.shots.accepted(event.order_id, event.ts_ns):
            window.funnel.executed += 1  # its fill came before the venue's answer
        if order.filled_e6 == event.size_e6 and window.shots.known(event.order_id):
            window.funnel.filled += 1
        window.fills.filled(order, event)
        window.shots.changed(event.order_id)

    def _on_fill_failed(self, event: FillFailed, effects: Sequence[Effect]) -> None:
        self._window.fills.failed(event.fill_id)

    def _on_reset(self, event: ShadowReset, effects: Sequence[Effect]) -> None:
        self.reset(event.window_id, event.ts_ns)

    def _on_effects(self, effects: Sequence[Effect], ts_ns: int) -> None:
        for effect in effects:
            if isinstance(effect, PlaceOrder):
                self._on_place(effect, ts_ns)
            elif isinstance(effect, STATES):
                track = self._tracks.of.get(effect.market)
                if track is not None:
                    track.refresh(ts_ns)

    # -- what was wanted ------------------------------------------------------------------------

    def _on_place(self, effect: PlaceOrder, ts_ns: int) -> None:
        window, track = self._window, self._tracks.of.get(effect.market)
        if track is None or not window.funnel.sent(effect.engine):
            return
        window.scorecard.follow(track.market)
        outcome = self._outcome(effect, track, ts_ns)
        window.shots.placed(Intent(effect, track, outcome, ts_ns))

    def _outcome(self, effect: PlaceOrder, track: Track, ts_ns: int) -> Outcome:
        """What causes are judged by, as of the decision."""
        market = track.market
        spec = market.spec
        outcome = Outcome(effect.order_id, effect.market, spec.symbol, effect.size_e6)
        yes = effect.token == YES
        sign = 1 if yes == (effect.side == BUY) else -1
        price_e4 = effect.price_e4 if yes else ONE_E4 - effect.price_e4
        if market.fair >= 0.0:
            outcome.edge_bps = net_edge_bps(
                spec, market.fair, sign, price_e4, effect.size_e6, effect.post_only
            )
        outcome.spread_e4 = market.spread_e4
        outcome.book_age_ns = ts_ns - market.trust.last_ns
        reference = self._engine.references.get(spec.symbol)
        if reference is not None:
            outcome.reference_age_ns = reference.age_ns(ts_ns)
        account = self._engine.ledger.account(effect.market)
        net_e6 = account.net_e6() if account is not None else 0
        outcome.reduces = net_e6 * sign < 0
        return outcome

    def _count(self, event: Event, effects: Sequence[Effect]) -> None:
        """Markets were decided: those that the event concerns."""
        self._decisions = self._quoter.decisions
        refusals = self._refused_total()
        funnel = self._window.funnel
        if refusals != self._refusals:
            funnel.refused(refusals - self._refusals)
            self._refusals = refusals
        if isinstance(event, BookChanged):  # the most frequent first
            track = self._tracks.of.get(event.market)
            if track is not None:
                funnel.decided(track)
            return
        for track in self._decided(event, effects):
            funnel.decided(track)

    def _decided(self, event: Event, effects: Sequence[Effect]) -> list[Track]:
        tracks = self._tracks
        if isinstance(event, ReferenceTicked):
            return tracks.by_symbol.get(event.symbol, [])
        if isinstance(event, ClockTicked | ModeSet | PauseSet | FlattenRequested):
            return list(tracks.of.values())
        names = [getattr(event, "market", "")]
        if isinstance(event, ORDER_EVENTS):
            order = self._engine.orders.find(event.order_id)
            names = [order.market] if order is not None else []
        elif isinstance(event, FeedGap | FeedDown):
            names = [each.market for each in effects if isinstance(each, BookStateChanged)]
        return [tracks.of[name] for name in names if name in tracks.of]

    def _new_window(self) -> _Window:
        window = _Window(
            self._settings, self._engine, self._tracks, self._markouts, self._heard, self._wake
        )
        self._shots = window.shots
        return window

    def _refused_total(self) -> int:
        return sum(self._quoter.refusals.values())


def _values(window: _Window) -> dict[str, float | None]:
    """Every single number of the shadow and funnel sections, by its name."""
    shots, probes, fills = window.shots, window.probes, window.fills
    values: dict[str, float | None] = {
        "executed_over_eligible": window.funnel.executed_over_eligible(),
        "quote_block_ratio": window.funnel.quote_block_ratio(),
        "policy_block_ratio": window.funnel.policy_block_ratio(),
    }
    for delay, after_ms in enumerate(DELAYS_MS):
        values[f"survival_{after_ms}ms"] = shots.survived.ratio(delay)
        values[f"survival_{after_ms}ms_n"] = shots.survived.asked(delay)
        values[f"fillability_{after_ms}ms"] = shots.filled.ratio(delay)
        values[f"fillability_{after_ms}ms_n"] = shots.filled.asked(delay)
        values[f"survival_probe_{after_ms}ms"] = probes.survived.ratio(delay)
        values[f"survival_probe_{after_ms}ms_n"] = probes.survived.asked(delay)
    for seconds, samples in zip((1, 5, 10), fills.gross_bps, strict=True):
        values[f"pnl_{seconds}s_p50_bps"] = samples.percentile(0.5)
    robust = fills.gross_bps[-1].robust()
    edge_p50, edge_p10 = shots.edges.percentiles(0.5, 0.1)
    ev_p50, ev_p10 = window.outcomes.ev_usdc.percentiles(0.5, 0.1)
    values.update(
        {
            "shots_invalid": shots.invalid,
            "outcomes_valid": window.outcomes.valid,
            "ev_net_usdc_p50": ev_p50,
            "ev_net_usdc_p10": ev_p10,
            "ev_positive_ratio": window.outcomes.ev_usdc.positive_ratio(),
            "pnl_10s_p50_bps_raw": fills.gross_bps[-1].percentile(0.5),
            "pnl_10s_p50_bps_robust": robust.p50,
            "pnl_10s_sample_count": len(fills.gross_bps[-1]),
            "pnl_10s_outlier_ratio": robust.outlier_ratio,
            "net_markout_10s_usdc_p50": fills.net_usdc.percentile(0.5),
            "roi_notional_10s_bps_p50": fills.roi_bps.percentile(0.5),
            "net_edge_p50_bps": edge_p50,
            "net_edge_p10_bps": edge_p10,
        }
    )
    return values
