"""Fair value by mean reversion of the basis between the market's mid and the reference's drift.

The parity model of `spec: models` (fair value 1): on each evaluated tick the mid is compared with
an anchor made from the reference's recent return, and the deviation is expected to revert. The
return counts the way YES gains by it: the other way round for a `below` market, and not at all
where that depends on where the price is.
"""

from math import log, sqrt
from typing import ClassVar, Final, final

import attrs

from polytrade.builtin.sections import of
from polytrade.config import Strategy
from polytrade.core.market import MarketState
from polytrade.core.reference import SymbolReference
from polytrade.core.roles import Estimate, no_estimate

LOW: Final = 0.001
HIGH: Final = 0.999
RETURN_TO_PRICE: Final = 0.01
"""Price per unit of return-to-volatility ratio in the anchor."""


@final
class SymbolDrift:
    """Return and volatility averages of one symbol, per tick as the model defines them."""

    __slots__ = ("last_price", "ret_ewma", "vol_ewma")

    def __init__(self) -> None:
        self.last_price = 0.0
        self.ret_ewma = 0.0
        self.vol_ewma = 0.0


@final
class BasisState:
    """Mean and variance of one market's basis."""

    __slots__ = ("estimate", "mean", "seen", "ticks", "var")

    def __init__(self) -> None:
        self.mean = 0.0
        self.var = 0.0
        self.ticks = 0
        self.seen = -1
        self.estimate: Estimate | None = None


@final
@attrs.define(eq=False)
class BasisMeanReversion:
    """The `basis_mr` model; settings are the `basis_*` of `[strategy]`."""

    name: ClassVar[str] = "basis_mr"
    basis_a_mean: float = of(Strategy, "basis_a_mean")
    basis_a_var: float = of(Strategy, "basis_a_var")
    basis_a_ret: float = of(Strategy, "basis_a_ret")
    basis_a_vol: float = of(Strategy, "basis_a_vol")
    basis_k_revert: float = of(Strategy, "basis_k_revert")
    basis_z_cap: float = of(Strategy, "basis_z_cap")
    basis_min_confidence: float = of(Strategy, "basis_min_confidence")
    basis_warmup_ticks: int = of(Strategy, "basis_warmup_ticks")
    _symbols: dict[str, SymbolDrift] = attrs.field(init=False, factory=dict)
    _markets: dict[str, BasisState] = attrs.field(init=False, factory=dict)

    def on_reference(self, reference: SymbolReference, ts_ns: int) -> None:
        """Take a fast tick into the symbol's return and volatility averages."""
        drift = self._symbols.get(reference.symbol)
        if drift is None:
            drift = SymbolDrift()
            self._symbols[reference.symbol] = drift
        if drift.last_price > 0.0 and reference.price > 0.0:
            ret = log(reference.price / drift.last_price)
            drift.ret_ewma += self.basis_a_ret * (ret - drift.ret_ewma)
            drift.vol_ewma += self.basis_a_vol * (ret * ret - drift.vol_ewma)
        drift.last_price = reference.price

    def forget(self, market: str) -> None:
        """The market is over: drop its basis."""
        self._markets.pop(market, None)

    def estimate(
        self, market: MarketState, reference: SymbolReference | None, ts_ns: int
    ) -> Estimate:
        """The mid moved back towards its mean basis; the mid itself during the warm-up."""
        if reference is None or reference.price <= 0.0:
            return no_estimate("no_quote_reference_missing")
        if market.mid < 0.0:
            return no_estimate("no_quote_one_sided")
        drift = self._symbols.get(reference.symbol)
        if drift is None:
            return no_estimate("no_quote_reference_missing")
        state = self._markets.get(market.spec.market)
        if state is None:
            state = BasisState()
            self._markets[market.spec.market] = state
        if state.seen == reference.ticks and state.estimate is not None:
            return state.estimate
        state.seen = reference.ticks
        state.estimate = self._evaluate(market, drift, state)
        return state.estimate

    def _evaluate(self, market: MarketState, drift: SymbolDrift, state: BasisState) -> Estimate:
        mid = min(max(market.mid, LOW), HIGH)
        vol = max(sqrt(abs(drift.vol_ewma)), 1e-9)
        moved = market.direction * drift.ret_ewma / vol * RETURN_TO_PRICE
        anchor = min(max(mid + moved, LOW), HIGH)
        basis = mid - anchor
        state.mean += self.basis_a_mean * (basis - state.mean)
        deviation = basis - state.mean
        state.var += self.basis_a_var * (deviation * deviation - state.var)
        sd = sqrt(max(state.var, 1e-10))
        z = min(max(deviation / sd, -self.basis_z_cap), self.basis_z_cap)
        state.ticks += 1
        spread = market.spread_e4 / 10_000
        confidence = min(max(1.0 - 10.0 * spread, 0.0), 1.0)
        if abs(z) > 0.8 * self.basis_z_cap and spread > 0.02:
            confidence *= 0.5
        confidence = max(confidence, self.basis_min_confidence)
        fair = mid
        if state.ticks > self.basis_warmup_ticks:
            fair = min(max(mid - self.basis_k_revert * z * sd, LOW), HIGH)
        return Estimate(True, fair, confidence, sd, 0.0, "")
