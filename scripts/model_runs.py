"""One hour of the local venue, traded by every model and by the negative controls at once.

The tape is made once and each event goes to every run in turn: no run hears of another, and nobody
trades against the tape, so the runs differ by their strategies alone.
"""

import os
from collections.abc import Iterator, Sequence
from math import sqrt
from pathlib import Path
from typing import Any, Final, final

import attrs

from polytrade.calibration import Calibration, Scores
from polytrade.captures import CaptureReader, CaptureRecord
from polytrade.config import Config
from polytrade.core.effects import Effect, PlaceOrder
from polytrade.core.events import Event, FillFailed, OrderFilled
from polytrade.core.ids import BUY, YES
from polytrade.core.limits import HALT
from polytrade.core.markouts import HORIZONS_S, Markouts, mid_e6_of
from polytrade.core.units import MS_NS, ONE_E4, ONE_E6
from polytrade.decoding import FrameDecoders, recorded_events
from polytrade.lenses import Lenses
from polytrade.lineup import build_lineup
from polytrade.sandbox.tape import write_tape
from polytrade.sandbox.venue.options import VenueOptions
from polytrade.session import build_session, run_started
from polytrade.strict import load

ROOT: Final = Path(__file__).resolve().parent.parent
MODELS: Final = ("digital", "basis_mr", "blend")
"""The fair values that are scored, and traded by the maker, the taker and the arb."""
CONTROLS: Final = ("control_mid", "control_random")
"""Makers without an opinion: with nothing else at work they must lose after costs."""
RUNS: Final = (*MODELS, *CONTROLS)
SCORED: Final = MODELS[0]
"""The run whose engine the models are scored beside."""
SOURCES: Final = ("market", "rtds", "binance")
TICK_MS: Final = 100
"""Between two clock ticks of a measurement: an engine decides each market as often."""
UNSTOPPED: Final = 1_000_000
FILLS_MAX: Final = 100_000
"""Fills of a run whose engine is remembered: more than its order budget allows in an hour."""


@attrs.frozen(kw_only=True)
class Plan:
    """What is measured. `tapes` is a folder in which tapes are kept and found again."""

    minutes: int = 60
    activity: float = 0.02
    coins: tuple[str, ...] = ("btc",)
    windows: tuple[str, ...] = ("5m",)
    runs: tuple[str, ...] = RUNS
    tapes: Path | None = None

    def venue(self, seed: int) -> VenueOptions:
        """The venue of one seed."""
        return VenueOptions(
            seed=seed,
            coins=self.coins,
            windows=self.windows,
            windows_ahead=1,
            slow_markets=False,
            activity=self.activity,
        )


@attrs.define
class Sums:
    """Markouts of one engine's fills after one horizon: sums, so that seeds can be pooled.

    `worth` is the notional in USDC, `gain` what it gained in USDC before costs, `net` after fees.
    """

    fills: int = 0
    worth: float = 0.0
    gain: float = 0.0
    net: float = 0.0


@attrs.define(kw_only=True)
class RunResult:
    """What one strategy did on one tape; `lenses` are rows of `LensRow.to_dict`."""

    orders: int = 0
    fills: int = 0
    halted: str = ""
    broken: str = ""
    lenses: list[dict[str, Any]] = attrs.Factory(list)
    markouts: dict[str, list[Sums]] = attrs.Factory(dict)
    missed: list[int] = attrs.Factory(list)

    def net_usdc(self, lens: str, engine: str = "all", *, rebates: bool = True) -> float:
        """Profit after fees in one lens."""
        for row in self.lenses:
            if row["lens"] == lens and row["engine"] == engine:
                net: float = row["net_usdc"]
                return net if rebates else net - float(row["rebates_usdc"])
        return 0.0


@attrs.define(kw_only=True)
class SeedResult:
    """One seed: every run, and the models' scores."""

    seed: int
    events: int
    runs: dict[str, RunResult]
    scores: Scores

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "seed": self.seed,
            "events": self.events,
            "runs": {name: attrs.asdict(run) for name, run in self.runs.items()},
            "scores": self.scores.to_dict(),
        }


def config_of(plan: Plan, run: str) -> Config:
    """The configuration of a run: that of the local venue, with the stops out of the way.

    The taker, which is off by default, takes beside each model. A stop that ends a losing run early
    would make it look better. A control trades alone: no taker, no complete sets.
    """
    base = load(ROOT / "configs" / "sandbox")
    control = run in CONTROLS
    strategy = attrs.evolve(
        base.strategy,
        fair_value=SCORED if control else run,
        maker=run if control else base.strategy.maker,
        taker="none" if control else "profile",
    )
    risk = attrs.evolve(
        base.risk,
        daily_drawdown_cap_pct=1.0,
        max_daily_loss=float(UNSTOPPED),
        max_loss_streak=UNSTOPPED,
    )
    return attrs.evolve(
        base,
        universe=attrs.evolve(base.universe, coins=plan.coins, windows=plan.windows),
        strategy=strategy,
        arb=attrs.evolve(base.arb, enabled=base.arb.enabled and not control),
        risk=risk,
        latency=attrs.evolve(base.latency, tick_interval_ms=TICK_MS),
    )


@final
class FillMarkouts:
    """Markouts of a run's fills by engine, in money: a fill of a cent and one of a dollar count
    for what they are worth. `before` each event, then `after` it.
    """

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self._markouts = Markouts()
        self._engine_of: dict[str, str] = {}
        self.found: dict[str, list[Sums]] = {}

    @property
    def missed(self) -> list[int]:
        """Instants without a mid, by horizon."""
        return list(self._markouts.missed)

    def before(self, event: Event) -> None:
        """Take the markouts that fell due before the event."""
        if event.ts_ns <= self._markouts.next_ns:
            return
        for markout in self._markouts.due(event.ts_ns, self._mid_e6):
            engine = self._engine_of.get(markout.key)
            if engine is None:
                continue
            of_engine = self.found.setdefault(engine, [Sums() for _ in HORIZONS_S])
            sums = of_engine[markout.horizon]
            worth = markout.notional_e6 / ONE_E6
            sums.fills += 1
            sums.worth += worth
            sums.gain += markout.bps * worth / 1e4
            sums.net += markout.net_bps * worth / 1e4

    def after(self, event: Event) -> None:
        """Follow a fill from now on; one that failed to settle never was."""
        if isinstance(event, FillFailed):
            self._engine_of.pop(event.fill_id, None)
            return
        if not isinstance(event, OrderFilled) or not 0 < event.price_e4 < ONE_E4:
            return
        order = self._engine.orders.find(event.order_id)
        if order is None or len(self._engine_of) >= FILLS_MAX:
            return
        yes = order.token == YES
        sign = 1 if yes == (order.side == BUY) else -1
        price_e4 = event.price_e4 if yes else ONE_E4 - event.price_e4
        self._engine_of[event.fill_id] = order.engine
        self._markouts.filled(
            event.fill_id, order.market, sign, price_e4, event.size_e6, event.fee_e6, event.ts_ns
        )

    def _mid_e6(self, market: str) -> int:
        return mid_e6_of(self._engine.markets.get(market))


@final
class Run:
    """One strategy on the tape: a session, and what looks on (it plays the session's tape)."""

    def __init__(self, plan: Plan, name: str) -> None:
        config = config_of(plan, name)
        self.session = build_session(config)
        self.session.tape = self
        engine = self.session.engine
        self.config = config
        self.result = RunResult()
        self.calibration: Calibration | None = None
        self._lenses = Lenses(engine)
        self._markouts = FillMarkouts(engine)
        self._event: Event | None = None
        if name == SCORED:
            models = {model: fair_value(config, model) for model in plan.runs if model in MODELS}
            self.calibration = Calibration(engine, models)

    def append(self, event: Event) -> None:
        """An event is about to be stepped."""
        self._event = event
        self._markouts.before(event)

    def effects(self, effects: Sequence[Effect]) -> None:
        """The engine stepped the event appended last."""
        event, result = self._event, self.result
        assert event is not None, "effects before an event"
        self._markouts.after(event)
        self._lenses.observe(event, effects)
        if self.calibration is not None:
            self.calibration.observe(event, effects)
        result.fills += isinstance(event, OrderFilled)
        for effect in effects:
            result.orders += isinstance(effect, PlaceOrder)

    def finish(self) -> RunResult:
        """The numbers, with open positions at the mid."""
        engine, result = self.session.engine, self.result
        result.lenses = [row.to_dict() for row in self._lenses.table()]
        result.markouts = self._markouts.found
        result.missed = self._markouts.missed
        if engine.risk.mode == HALT:
            result.halted = engine.mode_why or HALT
        try:
            engine.ledger.check(engine.orders)
        except AssertionError as error:
            result.broken = f"the ledger does not balance: {error}"
        return result


def fair_value(config: Config, name: str) -> Any:
    """A model of its own, apart from any engine's."""
    strategy = attrs.evolve(config.strategy, fair_value=name)
    return build_lineup(attrs.evolve(config, strategy=strategy)).fair_value


def records_of(plan: Plan, seed: int, folder: Path) -> CaptureReader:
    """The tape of a seed in `folder`; one that is there is read again when it is the same tape."""
    path = folder / f"tape-{seed}.jsonl.zst"
    if path.exists():
        kept = CaptureReader(path)
        if all(part in f"{kept.header.note} " for part in _named(plan, seed)):
            return kept
    # Under a name of its own first: somebody else may be making the same tape.
    own = folder / f"making-{os.getpid()}-{path.name}"
    write_tape(own, plan.venue(seed), plan.minutes, None, SOURCES)
    own.replace(path)
    return CaptureReader(path)


def _named(plan: Plan, seed: int) -> Iterator[str]:
    """What a tape's note says of itself (`sandbox.tape`)."""
    options = plan.venue(seed)
    yield f"--minutes {plan.minutes} "
    yield f"--seed {seed} "
    yield f"--coins {','.join(options.coins)} "
    yield f"--windows {','.join(options.windows)} "
    yield f"--windows-ahead {options.windows_ahead} "
    yield f"--activity {options.activity} "
    yield f"--sources {','.join(SOURCES)} "


def measure_seed(plan: Plan, seed: int, records: Iterator[CaptureRecord]) -> SeedResult:
    """Every run over the records of one tape."""
    runs = {name: Run(plan, name) for name in plan.runs}
    first = next(iter(runs.values())).config
    decoders = FrameDecoders(plan.coins)
    events = recorded_events(
        records,
        decoders,
        lambda ts_ns: run_started(first, ts_ns, f"seed-{seed}"),
        TICK_MS * MS_NS,
    )
    handles = [run.session.handle for run in runs.values()]
    count = 0
    for event in events:
        count += 1
        for handle in handles:
            handle(event)
    scored = runs[SCORED].calibration if SCORED in runs else None
    scores = scored.scores if scored is not None else Scores()
    return SeedResult(
        seed=seed,
        events=count,
        runs={name: run.finish() for name, run in runs.items()},
        scores=scores,
    )


def mean_and_error(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Mean over seeds and its standard error; None where there are too few."""
    n = len(values)
    if not n:
        return None, None
    mean = sum(values) / n
    if n < 2:
        return mean, None
    return mean, sqrt(sum((value - mean) ** 2 for value in values) / (n - 1) / n)


def ratio_and_error(
    tops: Sequence[float], bottoms: Sequence[float]
) -> tuple[float | None, float | None]:
    """Sum over sum and its standard error, a seed being one observation (delta method)."""
    whole = sum(bottoms)
    if whole <= 0.0:
        return None, None
    ratio = sum(tops) / whole
    n = len(tops)
    if n < 2:
        return ratio, None
    spread = sum((top - ratio * bottom) ** 2 for top, bottom in zip(tops, bottoms, strict=True))
    return ratio, sqrt(spread * n / (n - 1)) / whole
