"""How good fair values are: Brier score, log loss and reliability, beside the market's own mid.

Once a second each open market is asked what every model and the mid say; when the market resolves,
those forecasts are scored. A model is compared with the mid at exactly the moments at which both
spoke, and the standard error of the difference counts a market as one observation, because the
forecasts of one market share its outcome. A fold over events that reads the engine's state: live,
replay and simulation give the same numbers. Memory is bounded by the open markets: forecasts are
kept as sums, so that they can be scored either way.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import log, sqrt
from typing import Any, Final, final

import attrs

from polytrade.builtin.horizons import HORIZONS, NAMES, horizon_of
from polytrade.core.effects import Effect
from polytrade.core.engine import Engine
from polytrade.core.events import Event, MarketResolved, ReferenceTicked
from polytrade.core.ids import FAST, NO, RELAY, YES
from polytrade.core.market import CLOSING, OPEN, MarketState
from polytrade.core.roles import FairValue
from polytrade.core.units import MS_NS, SECOND_NS
from polytrade.plugin_code import faults_dropped

MID: Final = "mid"
"""The name under which the market's own mid is scored."""
SAMPLE_NS: Final = SECOND_NS
EVALUATE_NS: Final = 100 * MS_NS
"""Models that the engine does not run are evaluated as often as it decides every open market."""
BINS: Final = 10
"""Equal bins of the reliability curve."""
LEAST: Final = 0.001
"""Forecasts are scored within [LEAST, 1 - LEAST]: the bounds of every model here; without them one
sure forecast that fails has an infinite log loss."""
SWEEP_NS: Final = 60 * SECOND_NS
"""How often forecasts of markets that the engine dropped unresolved are dropped, too."""
MODELS_MAX: Final = 16

Row = dict[str, Any]
Losses = tuple[int, float, float, float, float]
"""Samples, then sums: Brier and log loss of the model, Brier and log loss of the mid."""


@final
class _Forecasts:
    """Sums over the forecasts of one market by one model in one horizon, outcome unknown."""

    __slots__ = (
        *("count", "mid", "mid_ln", "mid_rest_ln", "mid_square"),
        *("p", "p_ln", "rest_ln", "square"),
    )

    def __init__(self) -> None:
        self.count = 0
        self.p = self.square = self.p_ln = self.rest_ln = 0.0
        self.mid = self.mid_square = self.mid_ln = self.mid_rest_ln = 0.0

    def add(self, p: float, mid: float) -> None:
        """Take one forecast of the model and what the mid was then."""
        self.count += 1
        self.p += p
        self.square += p * p
        self.p_ln += log(p)
        self.rest_ln += log(1.0 - p)
        self.mid += mid
        self.mid_square += mid * mid
        self.mid_ln += log(mid)
        self.mid_rest_ln += log(1.0 - mid)

    def losses(self, happened: bool) -> Losses:
        """The losses of these forecasts, now that the outcome is known."""
        sure = self.count if happened else 0
        twice = 2.0 if happened else 0.0
        return (
            self.count,
            self.square - twice * self.p + sure,
            -(self.p_ln if happened else self.rest_ln),
            self.mid_square - twice * self.mid + sure,
            -(self.mid_ln if happened else self.mid_rest_ln),
        )


@attrs.define
class Score:
    """Losses of one model over resolved markets, and the mid's at the same moments.

    `gap_*` are sums over markets that the standard error of the difference is made from.
    """

    markets: int = 0
    samples: int = 0
    brier: float = 0.0
    log: float = 0.0
    mid_brier: float = 0.0
    mid_log: float = 0.0
    gap_square: float = 0.0
    gap_count: float = 0.0
    count_square: float = 0.0

    def take(self, losses: Losses) -> None:
        """Add the losses of one market."""
        count, brier, log_loss, mid_brier, mid_log = losses
        gap = brier - mid_brier
        self.markets += 1
        self.samples += count
        self.brier += brier
        self.log += log_loss
        self.mid_brier += mid_brier
        self.mid_log += mid_log
        self.gap_square += gap * gap
        self.gap_count += gap * count
        self.count_square += float(count) ** 2

    def merge(self, other: "Score") -> None:
        """Add another run's score."""
        for field in attrs.fields(Score):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))

    def row(self) -> Row:
        """Means per sample; what an empty sample cannot say is None.

        `gap` is the Brier score minus the mid's at the same moments, `gap_se` its standard error
        with markets as clusters, `verdict` is `better` or `worse` (than the mid) beyond two
        standard errors, else `no different`.
        """
        n = self.samples
        gap = (self.brier - self.mid_brier) / n if n else None
        error = self._error(gap)
        return {
            "markets": self.markets,
            "samples": n,
            "brier": self.brier / n if n else None,
            "log_loss": self.log / n if n else None,
            "mid_brier": self.mid_brier / n if n else None,
            "mid_log_loss": self.mid_log / n if n else None,
            "gap": gap,
            "gap_se": error,
            "verdict": _verdict(gap, error),
        }

    def _error(self, gap: float | None) -> float | None:
        """Of the ratio of sums over markets, by the delta method."""
        if gap is None or self.markets < 2:
            return None
        spread = self.gap_square - 2.0 * gap * self.gap_count + gap * gap * self.count_square
        correction = self.markets / (self.markets - 1)
        return sqrt(max(spread, 0.0) * correction) / self.samples


def _verdict(gap: float | None, error: float | None) -> str | None:
    if gap is None or error is None:
        return None
    if abs(gap) <= 2.0 * error:
        return "no different"
    return "worse" if gap > 0.0 else "better"


@attrs.define
class Bin:
    """One bin of a reliability curve: sums of forecasts and of what happened."""

    samples: int = 0
    forecast: float = 0.0
    outcome: float = 0.0

    def take(self, samples: int, forecast: float, outcome: float) -> None:
        """Add sums."""
        self.samples += samples
        self.forecast += forecast
        self.outcome += outcome

    def row(self) -> Row:
        """Mean forecast and share that happened; None when empty."""
        n = self.samples
        return {
            "samples": n,
            "forecast": self.forecast / n if n else None,
            "outcome": self.outcome / n if n else None,
        }


@attrs.define
class Scores:
    """The scores of every model, overall and by horizon; runs are pooled with `merge`.

    Plain data: it may cross processes. `split` counts markets resolved 50-50 and `unresolved`
    those dropped without an outcome: neither is scored.
    """

    overall: dict[str, Score] = attrs.Factory(dict)
    horizons: dict[str, list[Score]] = attrs.Factory(dict)
    bins: dict[str, list[Bin]] = attrs.Factory(dict)
    resolved: int = 0
    split: int = 0
    unresolved: int = 0

    def open(self, model: str) -> None:
        """Make room for a model."""
        if model not in self.overall:
            self.overall[model] = Score()
            self.horizons[model] = [Score() for _ in range(HORIZONS)]
            self.bins[model] = [Bin() for _ in range(BINS)]

    def merge(self, other: "Scores") -> None:
        """Add the scores of another run."""
        for model, score in other.overall.items():
            self.open(model)
            self.overall[model].merge(score)
            for mine, theirs in zip(self.horizons[model], other.horizons[model], strict=True):
                mine.merge(theirs)
            for bin_, more in zip(self.bins[model], other.bins[model], strict=True):
                bin_.take(more.samples, more.forecast, more.outcome)
        self.resolved += other.resolved
        self.split += other.split
        self.unresolved += other.unresolved

    def to_dict(self) -> dict[str, Any]:
        """`overall`: row by model; `by_time_to_end`: horizon, then model; `reliability`: bins."""
        return {
            "markets_resolved": self.resolved,
            "markets_split": self.split,
            "markets_unresolved": self.unresolved,
            "overall": {model: score.row() for model, score in self.overall.items()},
            "by_time_to_end": {
                name: {model: scores[index].row() for model, scores in self.horizons.items()}
                for index, name in enumerate(NAMES)
            },
            "reliability": {
                model: [each.row() for each in bins] for model, bins in self.bins.items()
            },
        }

    def table(self) -> list[Row]:
        """One row per model and horizon (`all` first), models in the order of their names."""
        rows: list[Row] = []
        for model in sorted(self.overall):
            rows.append({"model": model, "time_to_end": "all", **self.overall[model].row()})
            rows += [
                {"model": model, "time_to_end": NAMES[index], **score.row()}
                for index, score in enumerate(self.horizons[model])
            ]
        return rows


@final
class _Pending:
    """What one model said of one unresolved market."""

    __slots__ = ("bin_counts", "bin_sums", "horizons")

    def __init__(self) -> None:
        self.horizons = [_Forecasts() for _ in range(HORIZONS)]
        self.bin_counts = [0] * BINS
        self.bin_sums = [0.0] * BINS

    def add(self, horizon: int, p: float, mid: float) -> None:
        """Take one forecast, both within the bounds."""
        self.horizons[horizon].add(p, mid)
        index = min(int(p * BINS), BINS - 1)
        self.bin_counts[index] += 1
        self.bin_sums[index] += p


class Calibration:
    """Scores the engine's fair value, its parts when it has some, `models` and the mid.

    `models` are evaluated here, every 100 ms a market: give instances of their own. The engine's
    model is called by its `name`, else `fair`; one with `opinions(market)` is scored by parts, too.
    """

    def __init__(self, engine: Engine, models: Mapping[str, FairValue] | None = None) -> None:
        self.engine = engine
        self.scores = Scores()
        self._models = dict(models or {})
        assert len(self._models) <= MODELS_MAX, f"expected at most {MODELS_MAX} models"
        self._opinions: Callable[[str], Mapping[str, float]] | None = None
        self._pending: dict[str, dict[str, _Pending]] = {}
        self._said: dict[str, dict[str, float]] = {}
        self._sampled = -1
        self._evaluated_ns = 0
        self._swept_ns = 0
        self.scores.open(MID)
        self.rewired()
        for name in self._models:
            self.scores.open(name)

    def rewired(self) -> None:
        """Score the fair value that the engine has now; it may be another one."""
        self._name, self._opinions = "fair", None
        with faults_dropped():
            self._name = str(getattr(self.engine.fair, "name", self._name))
            self._opinions = getattr(self.engine.fair, "opinions", None)
        self.scores.open(self._name)

    def observe(self, event: Event, effects: Sequence[Effect]) -> None:
        """The engine stepped `event`."""
        if isinstance(event, MarketResolved):
            self._resolved(event)
        if self._models:
            self._run_models(event)
        second = event.ts_ns // SAMPLE_NS
        if second != self._sampled:
            self._sampled = second
            self._sample(event.ts_ns)

    def table(self) -> list[Row]:
        """Rows per model and time to the end (`Scores.table`)."""
        return self.scores.table()

    def to_dict(self) -> dict[str, Any]:
        """The whole calibration as plain data (`Scores.to_dict`)."""
        return self.scores.to_dict()

    def _open_markets(self) -> Iterable[MarketState]:
        for market in self.engine.markets.values():
            if market.windowed and market.phase in (OPEN, CLOSING):
                yield market

    def _run_models(self, event: Event) -> None:
        engine = self.engine
        if isinstance(event, ReferenceTicked) and event.kind in (FAST, RELAY):
            reference = engine.references[event.symbol]
            if reference.ts_ns == event.ts_ns and reference.source == event.source:
                for model in self._models.values():
                    model.on_reference(reference, event.ts_ns)
        if event.ts_ns - self._evaluated_ns < EVALUATE_NS:
            return
        self._evaluated_ns = event.ts_ns
        for market in self._open_markets():
            said = self._said.setdefault(market.spec.market, {})
            found = engine.references.get(market.spec.symbol)
            for name, model in self._models.items():
                estimate = model.estimate(market, found, event.ts_ns)
                said[name] = estimate.fair if estimate.ok else -1.0

    def _sample(self, ts_ns: int) -> None:
        for market in self._open_markets():
            if market.trust.valid and market.mid >= 0.0:
                self._take(market, horizon_of((market.spec.end_ns - ts_ns) / SECOND_NS))
        if ts_ns - self._swept_ns >= SWEEP_NS:
            self._swept_ns = ts_ns
            for name in [each for each in self._pending if each not in self.engine.markets]:
                self.scores.unresolved += 1
                self._forget(name)

    def _take(self, market: MarketState, horizon: int) -> None:
        name = market.spec.market
        mid = _bounded(market.mid)
        pending = self._pending.setdefault(name, {})
        said = {MID: mid, **self._said.get(name, {})}
        if market.phase == OPEN and market.fair >= 0.0:
            said[self._name] = market.fair
            if self._opinions is not None:
                opinions, self._opinions = self._opinions, None
                with faults_dropped():  # of a plugin: its parts are not worth the report
                    said.update((str(part), float(p)) for part, p in opinions(name).items())
                    self._opinions = opinions
        for model, p in said.items():
            if not p >= 0.0:  # NaN, too
                continue
            forecasts = pending.get(model)
            if forecasts is None:
                forecasts = pending[model] = _Pending()
            forecasts.add(horizon, _bounded(p), mid)

    def _resolved(self, event: MarketResolved) -> None:
        pending = self._pending.get(event.market)
        self._forget(event.market)
        if pending is None:
            return
        if event.winner not in (YES, NO):
            self.scores.split += 1
            return
        self.scores.resolved += 1
        for model_name, forecasts in pending.items():
            self._score(model_name, forecasts, event.winner == YES)

    def _score(self, model: str, pending: _Pending, happened: bool) -> None:
        scores = self.scores
        scores.open(model)
        parts: list[Losses] = []
        for score, forecasts in zip(scores.horizons[model], pending.horizons, strict=True):
            if forecasts.count:
                parts.append(forecasts.losses(happened))
                score.take(parts[-1])
        count, *sums = (sum(column) for column in zip(*parts, strict=True))
        scores.overall[model].take((int(count), sums[0], sums[1], sums[2], sums[3]))
        for index, bin_ in enumerate(scores.bins[model]):
            count = pending.bin_counts[index]
            bin_.take(count, pending.bin_sums[index], float(count if happened else 0))

    def _forget(self, market: str) -> None:
        self._pending.pop(market, None)
        self._said.pop(market, None)


def _bounded(p: float) -> float:
    return min(max(p, LEAST), 1.0 - LEAST)
