"""A fair value made of several: each weighs by how well it forecast lately.

The components are `digital`, `basis_mr` and the market's own mid. In each group of time to the end
their Brier losses over resolved markets are summed and forgotten exponentially, and the weights are
`exp(-eta * loss)`: exponentially weighted averaging, whose loss is never far above that of the
best component (Vovk 1990; Kivinen and Warmuth 1999). They start equal. A component that cannot
speak, or is not confident, has its weight taken by the others.

Forecasts are taken once a second a market and scored when its outcome is known, each market as one
observation, because its forecasts share the outcome.
"""

from collections.abc import Mapping
from math import exp
from typing import Any, ClassVar, Final, final

import attrs

from polytrade.builtin.basis_mr import BasisMeanReversion
from polytrade.builtin.digital import Digital
from polytrade.builtin.horizons import HORIZONS, NAMES, horizon_of
from polytrade.builtin.sections import of
from polytrade.config import Strategy
from polytrade.core.ids import NO, YES
from polytrade.core.market import UNRESOLVED, MarketState
from polytrade.core.reference import SymbolReference
from polytrade.core.roles import Estimate, no_estimate
from polytrade.core.units import SECOND_NS

COMPONENTS: Final = ("digital", "basis_mr", "mid")
COUNT: Final = len(COMPONENTS)
ETA: Final = 2.0
"""Learning rate: the Brier loss of a binary outcome is mixable up to 2."""
HALF_LIFE: Final = 50.0
"""Resolved markets after which an old loss counts half: four hours of one coin's 5 m windows."""
FORGET: Final = 0.5 ** (1.0 / HALF_LIFE)
MARKETS_MAX: Final = 4_096
"""Unresolved markets whose forecasts are kept; the oldest goes when there are more."""
SETTLE_EVERY_NS: Final = SECOND_NS
"""How often followed markets are looked at for an outcome."""
SPREAD_DOUBT: Final = 10.0
"""The mid's confidence falls to 0 at a spread of a tenth, as that of `basis_mr` does."""


@final
class _Forecasts:
    """Sums over one market's forecasts by horizon: count, and p and p squared by component."""

    __slots__ = ("counts", "market", "opinions", "second", "squares", "sums")

    def __init__(self, market: MarketState) -> None:
        self.market = market
        self.second = -1
        self.opinions: dict[str, float] = {}
        self.counts = [0] * HORIZONS
        self.sums = [[0.0] * COUNT for _ in range(HORIZONS)]
        self.squares = [[0.0] * COUNT for _ in range(HORIZONS)]

    def add(self, horizon: int, values: list[float]) -> None:
        """One forecast of every component."""
        self.counts[horizon] += 1
        sums, squares = self.sums[horizon], self.squares[horizon]
        for index, p in enumerate(values):
            sums[index] += p
            squares[index] += p * p


@final
@attrs.define(eq=False)
class Blend:
    """The `blend` model; settings are those of its models."""

    name: ClassVar[str] = "blend"
    vol_blend: float = of(Strategy, "vol_blend")
    vol_floor_bps: float = of(Strategy, "vol_floor_bps")
    vol_cap_bps: float = of(Strategy, "vol_cap_bps")
    student_dof: float = of(Strategy, "student_dof")
    provisional_strike_pad: float = of(Strategy, "provisional_strike_pad")
    basis_a_mean: float = of(Strategy, "basis_a_mean")
    basis_a_var: float = of(Strategy, "basis_a_var")
    basis_a_ret: float = of(Strategy, "basis_a_ret")
    basis_a_vol: float = of(Strategy, "basis_a_vol")
    basis_k_revert: float = of(Strategy, "basis_k_revert")
    basis_z_cap: float = of(Strategy, "basis_z_cap")
    basis_min_confidence: float = of(Strategy, "basis_min_confidence")
    basis_warmup_ticks: int = of(Strategy, "basis_warmup_ticks")
    implied_vol_weight: float = of(Strategy, "implied_vol_weight", 0.0)
    digital: Digital = attrs.field(init=False)
    basis: BasisMeanReversion = attrs.field(init=False)
    losses: list[list[float]] = attrs.field(init=False)
    _weights: list[list[float]] = attrs.field(init=False)
    _followed: dict[str, _Forecasts] = attrs.field(init=False, factory=dict)
    _settled_ns: int = attrs.field(init=False, default=0)

    def __attrs_post_init__(self) -> None:
        given = {
            field.name: getattr(self, field.name) for field in attrs.fields(Blend) if field.init
        }
        self.digital = Digital(**_those_of(Digital, given))
        self.basis = BasisMeanReversion(**_those_of(BasisMeanReversion, given))
        self.losses = [[0.0] * COUNT for _ in range(HORIZONS)]
        self._weights = [[1.0 / COUNT] * COUNT for _ in range(HORIZONS)]

    def on_reference(self, reference: SymbolReference, ts_ns: int) -> None:
        """A fast tick of a symbol was accepted."""
        self.digital.on_reference(reference, ts_ns)
        self.basis.on_reference(reference, ts_ns)

    def forget(self, market: str) -> None:
        """The market is over: score it if it was not yet, and drop what is kept of it."""
        self._settle(market)
        self._followed.pop(market, None)
        self.digital.forget(market)
        self.basis.forget(market)

    def weights(self) -> dict[str, dict[str, float]]:
        """The weights now, by time to the end and component."""
        return {
            name: dict(zip(COMPONENTS, self._weights[index], strict=True))
            for index, name in enumerate(NAMES)
        }

    def opinions(self, market: str) -> Mapping[str, float]:
        """What each model said of a market when it was last estimated; without the mid."""
        followed = self._followed.get(market)
        return followed.opinions if followed is not None else {}

    def estimate(
        self, market: MarketState, reference: SymbolReference | None, ts_ns: int
    ) -> Estimate:
        """The weighted mean of the components that speak; nothing while no model does.

        The confidence is the weighted mean of theirs; sd and pad are the digital model's.
        """
        if ts_ns - self._settled_ns >= SETTLE_EVERY_NS:
            self._settled_ns = ts_ns
            self._settle_all()
        digital = self.digital.estimate(market, reference, ts_ns)
        basis = self.basis.estimate(market, reference, ts_ns)
        followed = self._follow(market)
        followed.opinions = {
            name: each.fair
            for name, each in zip(COMPONENTS, (digital, basis), strict=False)
            if each.ok
        }
        if not digital.ok and not basis.ok:
            return no_estimate(digital.reason)
        horizon = horizon_of((market.spec.end_ns - ts_ns) / SECOND_NS)
        mid = market.mid
        second = ts_ns // SECOND_NS
        if digital.ok and basis.ok and mid >= 0.0 and second != followed.second:
            followed.second = second
            followed.add(horizon, [digital.fair, basis.fair, mid])
        weights = self._weights[horizon]
        seen = max(1.0 - SPREAD_DOUBT * market.spread_e4 / 1e4, 0.0) if mid >= 0.0 else 0.0
        voices = [
            (weights[0] * digital.confidence, digital.fair, digital.confidence),
            (weights[1] * basis.confidence, basis.fair, basis.confidence),
            (weights[2] * seen, mid, seen),
        ]
        return _mixed(voices, digital)

    def _follow(self, market: MarketState) -> _Forecasts:
        name = market.spec.market
        followed = self._followed.get(name)
        if followed is None:
            if len(self._followed) >= MARKETS_MAX:
                del self._followed[next(iter(self._followed))]
            followed = self._followed[name] = _Forecasts(market)
        return followed

    def _settle_all(self) -> None:
        resolved = [
            name
            for name, followed in self._followed.items()
            if followed.market.winner != UNRESOLVED
        ]
        for name in resolved:
            self._settle(name)
            del self._followed[name]

    def _settle(self, name: str) -> None:
        """Score a market whose outcome is known; a 50-50 resolution teaches nothing."""
        followed = self._followed.get(name)
        if followed is None or followed.market.winner not in (YES, NO):
            return
        twice = 2.0 if followed.market.winner == YES else 0.0
        for horizon, count in enumerate(followed.counts):
            if not count:
                continue
            losses = self.losses[horizon]
            sums, squares = followed.sums[horizon], followed.squares[horizon]
            for index in range(COUNT):
                loss = (squares[index] - twice * sums[index]) / count + twice / 2.0
                losses[index] = losses[index] * FORGET + loss
            least = min(losses)
            raw = [exp(-ETA * (loss - least)) for loss in losses]
            total = sum(raw)
            self._weights[horizon] = [each / total for each in raw]


def _those_of(model: type[Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that a model takes."""
    return {field.name: given[field.name] for field in attrs.fields(model) if field.init}


def _mixed(voices: list[tuple[float, float, float]], digital: Estimate) -> Estimate:
    """The mean of (weight, fair, confidence) by weight; the digital's word when none weighs."""
    total = sum(weight for weight, _, _ in voices)
    if total <= 0.0:
        return digital if digital.ok else no_estimate("no_quote_confidence")
    fair = sum(weight * value for weight, value, _ in voices) / total
    confidence = sum(weight * value for weight, _, value in voices) / total
    sd, pad = (digital.sd, digital.pad) if digital.ok else (0.0, 0.0)
    return Estimate(True, fair, confidence, sd, pad, "")
