"""A session: the engine and, on paper, the venue it trades against, stepped together.

Live paper trading, the replay of recordings and the tests drive the same object: answers of the
paper venue that fell due are stepped before the next event, so that what fills when depends on the
events alone and never on the scheduler. Replaying a journal steps only the engine, because the
answers are in the journal.
"""

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final, Protocol

import polytrade
from polytrade.config import Config
from polytrade.core.crew import FIRST_GENERATION
from polytrade.core.effects import Alarmed, Effect
from polytrade.core.engine import Engine
from polytrade.core.events import Event, LineupSwapped, ModeSet, RunStarted
from polytrade.core.fills import PaperSettings, PaperVenue
from polytrade.core.ledger import Ledger
from polytrade.core.limits import HALT, RiskSettings, RiskState
from polytrade.core.regimes import ToxicitySettings
from polytrade.core.settings import EngineSettings, PairSettings
from polytrade.core.units import MS_NS, ONE_E4, ONE_E6, SECOND_NS
from polytrade.lineup import Lineup
from polytrade.swaps import InForce, engine_lineup, rebuilt, sections_of, succeed

BOOK_SOURCE: Final = "polymarket.market"
"""Feeds whose losses concern books begin with this."""
BEGAN_ANEW: Final = "began_anew"
"""The alarm of a plugin that could not take over what its predecessor kept."""

Step = tuple[Event, list[Effect]]


class Tape(Protocol):
    """What is kept of a run: each event before it is stepped, then what the engine wants."""

    def append(self, event: Event) -> None:
        """An event is about to be stepped."""

    def effects(self, effects: Sequence[Effect]) -> None:
        """What the engine answered to the event appended last."""


class Session:
    """One run of the engine; `tape`, when there is one, gets everything in order.

    `lineup` and `config` are those in force, `lines` the plugins in use as journals name them.
    """

    def __init__(
        self,
        engine: Engine,
        paper: PaperVenue | None,
        lineup: Lineup,
        tape: Tape | None = None,
        config: Config | None = None,
    ) -> None:
        self.engine = engine
        self.paper = paper
        self.lineup = lineup
        self.tape = tape
        self.config = config if config is not None else Config()
        self.lines = dict(lineup.plugins)
        self.generation = FIRST_GENERATION
        self._staged: tuple[int, Lineup, Config] | None = None

    def stage(self, generation: int, lineup: Lineup, config: Config) -> None:
        """Hold a lineup ready for the `LineupSwapped` of that generation; replaces the one held."""
        self._staged = (generation, lineup, config)

    def handle(self, event: Event) -> list[Step]:
        """Step what fell due and then `event`; each with what the engine wants of it."""
        steps: list[Step] = []
        if self.paper is not None:
            due = self.paper.due(event.ts_ns)
            while due is not None:
                steps.append((due, self.step(due)))
                due = self.paper.due(event.ts_ns)
        steps.append((event, self.step(event)))
        return steps

    def abandon(self, ts_ns: int, reason: str) -> list[Event]:
        """Halt and take every paper order off at once; the events that say so, none if nothing was.

        For a shell that has crashed: nothing is left resting, and the journal still replays. An
        engine that cannot take the events is left alone, and the tape has them all the same.
        """
        taken_off = self.paper.abandon(ts_ns, reason) if self.paper is not None else []
        if not taken_off:
            return []
        events: list[Event] = [ModeSet(ts_ns, HALT, reason), *taken_off]
        broken = False
        for event in events:
            if self.tape is not None:
                self.tape.append(event)
            if broken:
                continue
            try:
                effects = self.engine.step(event)
            except Exception:
                broken = True
                continue
            if self.tape is not None:
                self.tape.effects(effects)
        return events

    def step(self, event: Event) -> list[Effect]:
        """Step one event, without what fell due before it.

        At a `LineupSwapped` the lineup staged for its generation comes in force; where none is (a
        replay) it is built from the event: raises LineupMissing, ConfigError and PluginError.
        """
        if self.tape is not None:
            self.tape.append(event)
        if isinstance(event, LineupSwapped):
            effects: list[Effect] = [*self._swap(event), *self.engine.step(event)]
        else:
            effects = self.engine.step(event)
        if self.tape is not None:
            self.tape.effects(effects)
        if self.paper is not None:
            self.paper.observe(event)
            for effect in effects:
                self.paper.accept(effect, event.ts_ns)
        return effects

    def _swap(self, event: LineupSwapped) -> list[Alarmed]:
        """Rewire the engine; what is said of plugins that begin anew."""
        staged, self._staged = self._staged, None
        now = InForce(self.lineup, self.config, self.lines)
        if staged is not None and staged[0] == event.generation:
            new = InForce(staged[1], staged[2], staged[1].plugins)
        else:
            new = rebuilt(event, now)
        crew = self.engine.crew
        new, notes = succeed(now, new, sections_of(event), crew.faults, crew.broken_rule())
        self.lineup, self.config, self.lines = new.lineup, new.config, dict(new.lines)
        self.generation = event.generation
        _wire(self.engine, new.config, new.lineup)
        crew.generation = event.generation
        return [Alarmed(BEGAN_ANEW, f"{role} {name}: {why}") for role, name, why in notes]


def build_session(config: Config, *, lineup: Lineup | None = None, paper: bool = True) -> Session:
    """The session a configuration describes; raises PluginError and ConfigError.

    Without a lineup it has only what the engine needs: no feeds and no notifiers of plugins.
    """
    lineup = lineup if lineup is not None else engine_lineup(config)
    risk = RiskState(risk_settings(config))
    engine = Engine(
        engine_settings(config),
        lineup.fair_value,
        lineup.maker,
        Ledger(),
        risk,
        lineup.taker,
        lineup.allocator,
    )
    _wire(engine, config, lineup)
    venue = PaperVenue(engine.markets, paper_settings(config)) if paper else None
    return Session(engine, venue, lineup, config=config)


def _wire(engine: Engine, config: Config, lineup: Lineup) -> None:
    """Let the engine decide by a configuration and its lineup."""
    engine.rewire(
        engine_settings(config),
        lineup.fair_value,
        lineup.maker,
        lineup.taker,
        lineup.allocator,
        lineup.rules,
        dict(lineup.names),
    )
    engine.risk.configure(risk_settings(config))


@cache
def code_version() -> str:
    """The version, and a digest of the sources that decide: the core and the built-in plugins."""
    digest = hashlib.sha256()
    root = Path(polytrade.__file__).parent
    for pattern in ("core/*.py", "builtin/*.py", "profiles.py"):
        for file in sorted(root.glob(pattern)):
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return f"{polytrade.__version__}+{digest.hexdigest()[:12]}"


def run_started(config: Config, ts_ns: int, run_id: str) -> RunStarted:
    """The first event of a run under this configuration."""
    cash_e6 = round(config.execution.capital_usdc * ONE_E6)
    return RunStarted(ts_ns, run_id, config.execution.mode, cash_e6)


def engine_settings(config: Config) -> EngineSettings:
    """The engine's thresholds in the core's units."""
    strategy, risk, allocator = config.strategy, config.risk, config.allocator
    weights = allocator.maker_weight + allocator.taker_weight + allocator.arb_weight
    return EngineSettings(
        book_source=BOOK_SOURCE,
        book_stale_ns=risk.book_stale_ms * MS_NS,
        closing_ns=round(strategy.no_quote_before_end_s * SECOND_NS),
        hash_mode=risk.hash_mode,
        merge_at_e6=round(strategy.merge_at_shares * ONE_E6),
        reorder_ns=risk.reorder_window_ms * MS_NS,
        requote_size_pct=strategy.requote_size_pct,
        requote_ticks=strategy.requote_ticks,
        ttl_ns=strategy.ttl_ms * MS_NS,
        vol_fast_s=strategy.vol_fast_s,
        vol_slow_s=strategy.vol_slow_s,
        maker_weight=allocator.maker_weight / weights,
        taker_weight=allocator.taker_weight / weights,
        arb_weight=allocator.arb_weight / weights,
        min_notional_e6=round(strategy.min_eval_notional_usdc * ONE_E6),
        min_edge_e6=round(strategy.min_expected_edge_usdc * ONE_E6),
        take_pause_ns=config.taker.pause_ms * MS_NS,
        take_ttl_ns=config.taker.ttl_ms * MS_NS,
        toxicity=toxicity_settings(config),
        pairs=pair_settings(config),
    )


def toxicity_settings(config: Config) -> ToxicitySettings:
    """How markets are judged; of the two bounds of how many are traded the smaller one counts."""
    section, top = config.toxicity, config.allocator.active_top_n_markets
    return ToxicitySettings(
        safe_threshold=section.safe_threshold,
        caution_threshold=section.caution_threshold,
        cooldown_min_sec=section.cooldown_min_sec,
        cooldown_max_sec=section.cooldown_max_sec,
        min_market_score=section.min_market_score,
        active_top_n_markets=min(section.active_top_n_markets or top, top),
        markout_1s_caution_bps=section.markout_1s_caution_bps,
        markout_5s_caution_bps=section.markout_5s_caution_bps,
        markout_10s_caution_bps=section.markout_10s_caution_bps,
        markout_1s_danger_bps=section.markout_1s_danger_bps,
        markout_5s_danger_bps=section.markout_5s_danger_bps,
        markout_10s_danger_bps=section.markout_10s_danger_bps,
        min_edge_bps=config.strategy.min_edge_bps,
        max_spread_e4=round(config.strategy.max_spread * ONE_E4),
    )


def pair_settings(config: Config) -> PairSettings | None:
    """How complete sets are traded; None when they are not."""
    section = config.arb
    if not section.enabled:
        return None
    return PairSettings(
        buy="buy" in section.ways,
        split="split" in section.ways,
        split_first=section.ways[0] == "split",
        min_edge_bps=section.min_edge_bps,
        max_size_e6=round(section.max_size * ONE_E6),
        confirm_ns=section.confirm_ms * MS_NS,
        slippage_e4=round(section.unwind_slippage * ONE_E4),
        pause_ns=round(section.pause_s * SECOND_NS),
    )


def risk_settings(config: Config) -> RiskSettings:
    """The limits in the core's units."""
    risk = config.risk
    return RiskSettings(
        max_market_notional_e6=round(risk.max_market_notional * ONE_E6),
        max_asset_notional_e6=round(risk.max_asset_notional * ONE_E6),
        max_total_notional_e6=round(risk.max_total_notional * ONE_E6),
        max_order_notional_e6=round(risk.max_order_notional * ONE_E6),
        max_open_orders=risk.max_open_orders,
        drawdown_cap_e6=round(risk.daily_drawdown_cap_pct * ONE_E6),
        max_daily_loss_e6=round(risk.max_daily_loss * ONE_E6),
        max_loss_streak=risk.max_loss_streak,
        cooldown_ns=round(risk.cooldown_sec * SECOND_NS),
        stale_reference_ns=risk.stale_tick_filter_ms * MS_NS,
        price_collar_e4=round(risk.price_collar * ONE_E4),
        max_clock_skew_ms=risk.max_clock_skew_ms,
        orders_per_s_e6=round(risk.orders_per_s * ONE_E6),
        no_quote_before_end_ns=round(config.strategy.no_quote_before_end_s * SECOND_NS),
    )


def paper_settings(config: Config) -> PaperSettings:
    """How paper fills are modelled."""
    execution = config.execution
    return PaperSettings(
        model=execution.fill_model,
        cancels_ahead=execution.cancels_ahead,
        place_ms=execution.place_latency_ms,
        cancel_ms=execution.cancel_latency_ms,
        seed=execution.latency_seed,
        settle_ns=round(execution.settle_delay_s * SECOND_NS),
    )
