"""Whether the windows of one asset agree: the volatility and the price level that they imply.

A market with mid `p`, strike `K` and a settlement `v` seconds of the walk away says
`ln(K / S) = level - sigma * y` with `y = sqrt(v) * probit(p)`: windows of 5 minutes, 15 minutes, an
hour and a day of one asset are points on one line. Its slope is the volatility the asset's markets
share, its intercept how far they see the price from ours; what is off the line is incoherent.
With fewer than three windows the level is taken as 0. Reported for every asset; the digital model
may lean on it (`implied_vol_weight`, off by default). Thresholds and ranges that end together must
add up besides (`ladders.py`).
"""

from collections.abc import Iterable, Sequence
from math import log, sqrt
from statistics import NormalDist
from typing import Any, Final, Protocol, final

import attrs

from polytrade.builtin.distributions import normal_cdf
from polytrade.builtin.ladders import SPREAD_MOST_E4, gaps, ladders_of
from polytrade.builtin.settlement import walk_seconds
from polytrade.core.effects import Effect
from polytrade.core.events import Event
from polytrade.core.market import OPEN, MarketState
from polytrade.core.reference import SymbolReference
from polytrade.core.units import SECOND_NS

MID_LEAST: Final = 0.05
"""Mids beyond [0.05, 0.95] say little: half a tick is a tenth of a standard deviation there."""
REACH_LEAST: Final = 0.3
"""Least root mean square of probits that a volatility is read from: nearer to evens, it divides by
almost nothing."""
FRESH_NS: Final = 2 * SECOND_NS
SIGMA_BAND: Final = 2.0
"""An implied volatility counts within this factor of the model's own."""
LEGS_FOR_LEVEL: Final = 3
SAMPLE_EVERY_NS: Final = 10 * SECOND_NS
_NORMAL: Final = NormalDist()


@attrs.frozen
class Leg:
    """One window: `distance` is ln(K / S), `probit` the mid's, `seconds` the walk to settlement."""

    market: str
    distance: float
    probit: float
    seconds: float

    @property
    def reach(self) -> float:
        """The leg's place on the line."""
        return self.probit * sqrt(self.seconds)


@attrs.frozen
class Fit:
    """The common line: volatility per sqrt second and level, both in natural logs."""

    sigma: float
    level: float

    def residual(self, leg: Leg) -> float:
        """The leg's mid minus the probability on the line."""
        expected = (self.level - leg.distance) / (self.sigma * sqrt(leg.seconds))
        return normal_cdf(leg.probit) - normal_cdf(expected)


def leg_of(market: MarketState, price: float, ts_ns: int) -> Leg | None:
    """The leg of a market now; None when its book or its time says nothing of volatility.

    A range has two strikes and is on no line: `ladders.py` compares it with its neighbours.
    """
    spec, mid = market.spec, market.mid
    if spec.condition == "range":
        return None
    seconds = walk_seconds(market, (spec.end_ns - ts_ns) / SECOND_NS)
    if market.strike_e8 <= 0 or seconds <= 0.0 or not MID_LEAST <= mid <= 1.0 - MID_LEAST:
        return None
    if market.spread_e4 > SPREAD_MOST_E4 or not market.trust.valid:
        return None
    probit = _NORMAL.inv_cdf(1.0 - mid if spec.condition == "below" else mid)
    return Leg(spec.market, log(market.strike_e8 / 1e8 / price), probit, seconds)


def fit(legs: Sequence[Leg]) -> Fit | None:
    """The line through the legs by least squares; None when they do not determine a volatility."""
    if not legs:
        return None
    reaches = [leg.reach for leg in legs]
    mean_reach = mean_distance = 0.0
    if len(legs) >= LEGS_FOR_LEVEL:
        mean_reach = sum(reaches) / len(legs)
        mean_distance = sum(leg.distance for leg in legs) / len(legs)
    square = product = seconds = 0.0
    for leg, reach in zip(legs, reaches, strict=True):
        square += (reach - mean_reach) ** 2
        product += (reach - mean_reach) * (leg.distance - mean_distance)
        seconds += leg.seconds
    if square < REACH_LEAST * REACH_LEAST * seconds or product >= 0.0:
        return None
    slope = product / square
    return Fit(-slope, mean_distance - slope * mean_reach)


@final
class ImpliedVolatility:
    """The volatility that the other fresh windows of a market's asset imply."""

    def __init__(self) -> None:
        self._legs: dict[str, dict[str, tuple[int, Leg]]] = {}
        self._symbols: dict[str, str] = {}

    def note(self, market: MarketState, price: float, ts_ns: int) -> None:
        """Take how a market stands now."""
        leg = leg_of(market, price, ts_ns)
        name, symbol = market.spec.market, market.spec.symbol
        legs = self._legs.setdefault(symbol, {})
        self._symbols[name] = symbol
        if leg is None:
            legs.pop(name, None)
        else:
            legs[name] = (ts_ns, leg)

    def sigma(self, market: MarketState, own: float, ts_ns: int) -> float:
        """What the others imply, within a factor of `own`; 0.0 when they do not say."""
        name = market.spec.market
        kept = self._legs.get(market.spec.symbol, {})
        others = [
            leg for other, (at, leg) in kept.items() if other != name and ts_ns - at <= FRESH_NS
        ]
        line = fit(others)
        if line is None:
            return 0.0
        return min(max(line.sigma, own / SIGMA_BAND), own * SIGMA_BAND)

    def forget(self, market: str) -> None:
        """The market is over."""
        symbol = self._symbols.pop(market, "")
        self._legs.get(symbol, {}).pop(market, None)


@attrs.define
class AssetCoherence:
    """What was seen of one asset: sums over samples taken every 10 s."""

    samples: int = 0
    legs: int = 0
    ratio: float = 0.0
    level: float = 0.0
    residual: float = 0.0
    worst: float = 0.0
    ladder_checks: int = 0
    ladder_gap: float = 0.0
    ladder_worst: float = 0.0

    def take(self, legs: Sequence[Leg], line: Fit, sigma: float) -> None:
        """Add one moment; `sigma` is the model's own volatility."""
        residuals = [abs(line.residual(leg)) for leg in legs]
        self.samples += 1
        self.legs += len(legs)
        self.ratio += line.sigma / sigma
        self.level += abs(line.level)
        self.residual += sum(residuals) / len(legs)
        self.worst = max(self.worst, *residuals)

    def take_ladder(self, found: Sequence[float]) -> None:
        """Add the gaps of one ladder at one moment."""
        self.ladder_checks += len(found)
        self.ladder_gap += sum(found)
        self.ladder_worst = max(self.ladder_worst, *found)

    def row(self) -> dict[str, Any]:
        """Means; None where nothing was seen."""
        n, checks = self.samples, self.ladder_checks
        return {
            "samples": n,
            "windows_mean": self.legs / n if n else None,
            "implied_to_model_vol": self.ratio / n if n else None,
            "level_bps": self.level / n * 1e4 if n else None,
            "incoherence_mean": self.residual / n if n else None,
            "incoherence_max": self.worst if n else None,
            "ladder_checks": checks,
            "ladder_gap_mean": self.ladder_gap / checks if checks else None,
            "ladder_gap_max": self.ladder_worst if checks else None,
        }


class Observed(Protocol):
    """What is looked at: an engine has both."""

    markets: dict[str, MarketState]
    references: dict[str, SymbolReference]


class Coherence:
    """Coherence of every asset with two or more markets open: a fold over events.

    `blend`, `floor_bps` and `cap_bps` are those of the model's volatility (`[strategy] vol_*`).
    """

    def __init__(self, engine: Observed, blend: float, floor_bps: float, cap_bps: float) -> None:
        self.engine = engine
        self.configure(blend, floor_bps, cap_bps)
        self._assets: dict[str, AssetCoherence] = {}
        self._sampled = -1

    def configure(self, blend: float, floor_bps: float, cap_bps: float) -> None:
        """Compare with the model's volatility of other settings."""
        self._vol = (blend, floor_bps * 1e-4, cap_bps * 1e-4)

    def observe(self, event: Event, effects: Sequence[Effect]) -> None:
        """The engine stepped `event`."""
        moment = event.ts_ns // SAMPLE_EVERY_NS
        if moment == self._sampled:
            return
        self._sampled = moment
        for symbol, reference in self.engine.references.items():
            sigma = reference.vol(*self._vol)
            if reference.price > 0.0 and sigma > 0.0:
                self._sample(symbol, reference, sigma, event.ts_ns)

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """A row by asset."""
        return {symbol: self._assets[symbol].row() for symbol in sorted(self._assets)}

    def _sample(self, symbol: str, reference: SymbolReference, sigma: float, ts_ns: int) -> None:
        markets = [
            market
            for market in self.engine.markets.values()
            if market.spec.symbol == symbol and market.windowed and market.phase == OPEN
        ]
        legs = legs_of(markets, reference.price, ts_ns)
        line = fit(legs) if len(legs) > 1 else None
        if line is not None:
            self._assets.setdefault(symbol, AssetCoherence()).take(legs, line, sigma)
        for steps in ladders_of(markets).values():
            found = gaps(steps)
            if found:
                self._assets.setdefault(symbol, AssetCoherence()).take_ladder(found)


def legs_of(markets: Iterable[MarketState], price: float, ts_ns: int) -> list[Leg]:
    """The legs of an asset's open markets."""
    legs = [leg_of(market, price, ts_ns) for market in markets]
    return [leg for leg in legs if leg is not None]
