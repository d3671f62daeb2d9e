"""Fair value of a market that pays by a price at (or averaged up to) a time.

With `S` the reference price, `K` the price to beat, `sigma` the volatility per sqrt second and
`tau` the time left: spot settlement is a digital option; a settlement on the average of the last
`L` seconds has, before its window, the variance of `tau - L + L / 3`, and inside it the part
already seen locked in (`spec: models`, fair value 2).
"""

from math import log, sqrt
from typing import Final, final

from polytrade.builtin.distributions import normal_cdf, student_cdf
from polytrade.core.market import MarketState
from polytrade.core.reference import SymbolReference
from polytrade.core.roles import Estimate, no_estimate
from polytrade.core.units import MS_NS, SECOND_NS

SAMPLES_MIN: Final = 5
"""One-second returns needed before the volatility means anything."""
NOISE_BPS: Final = 0.2
"""Publication noise of the settling print, in basis points of the price: a floor of the sd."""
AGE_FULL_S: Final = 2.0
"""A reference this old has no confidence left."""
COVERAGE_MIN: Final = 0.5
"""Least share of the averaging window that must have been heard."""
MODEL_GAP: Final = 0.10
"""Distance between model and mid up to which confidence is not touched."""


@final
class Digital:
    """The `digital` model; settings are those of `[strategy]`."""

    def __init__(
        self,
        vol_blend: float,
        vol_floor_bps: float,
        vol_cap_bps: float,
        student_dof: float,
        provisional_strike_pad: float,
    ) -> None:
        self.vol_blend = vol_blend
        self.vol_floor = vol_floor_bps * 1e-4
        self.vol_cap = vol_cap_bps * 1e-4
        self.student_dof = student_dof
        self.provisional_strike_pad = provisional_strike_pad

    def on_reference(self, reference: SymbolReference, ts_ns: int) -> None:
        """Nothing to keep: the reference holds its own volatility."""

    def forget(self, market: str) -> None:
        """Nothing is kept of a market."""

    def estimate(
        self, market: MarketState, reference: SymbolReference | None, ts_ns: int
    ) -> Estimate:
        """P(settlement >= K) for up/down and above, its complement for below."""
        if reference is None or reference.price <= 0.0:
            return no_estimate("no_quote_reference_missing")
        if market.strike_e8 <= 0:
            return no_estimate("no_quote_strike_missing")
        if reference.samples < SAMPLES_MIN:
            return no_estimate("no_quote_vol_warmup")
        spec = market.spec
        tau = (spec.end_ns - ts_ns) / SECOND_NS
        if tau <= 0.0:
            return no_estimate("no_quote_ended")
        sigma = reference.vol(self.vol_blend, self.vol_floor, self.vol_cap)
        strike = market.strike_e8 / 1e8
        coverage = 1.0
        price = reference.price
        if spec.settle == "twap" and spec.lookback_s > 0:
            seen, coverage = self._seen_average(market, reference, tau)
            mean, sd = twap_moments(price, sigma, tau, float(spec.lookback_s), seen)
            if coverage < COVERAGE_MIN:
                return no_estimate("no_quote_settlement_gap")
        else:
            mean, sd = price, price * sigma * sqrt(tau)
        if spec.settle != "twap":
            drift = log(price / strike) - sigma * sigma * tau / 2.0
            score = drift / sqrt(sigma * sigma * tau + (NOISE_BPS * 1e-4) ** 2)
        else:
            noise = price * NOISE_BPS * 1e-4
            score = (mean - strike) / sqrt(sd * sd + noise * noise)
        up = student_cdf(score, self.student_dof) if self.student_dof > 2.0 else normal_cdf(score)
        fair = min(max(1.0 - up if spec.condition == "below" else up, 0.001), 0.999)
        confidence = self._confidence(market, reference, fair, coverage, sigma, ts_ns)
        pad = self.provisional_strike_pad if market.strike_provisional else 0.0
        return Estimate(True, fair, confidence, sd / price, pad, "")

    def _seen_average(
        self, market: MarketState, reference: SymbolReference, tau: float
    ) -> tuple[float, float]:
        """The average so far inside the settlement window, and how much of it was heard."""
        spec = market.spec
        elapsed = spec.lookback_s - tau
        if elapsed <= 0.0:
            return 0.0, 1.0
        end_ms = spec.end_ns // MS_NS
        from_ms = end_ms - spec.lookback_s * 1_000
        now_ms = end_ms - round(tau * 1_000)
        seen, covered = reference.anchors.average(from_ms, now_ms)
        if not covered:
            # The anchor is 1-3 s late by nature: the first moments rest on the price itself.
            return (reference.price, 1.0) if elapsed < 3.0 else (reference.price, 0.0)
        late_ms = 3_000
        return seen, min((covered + late_ms) / (elapsed * 1_000), 1.0)

    def _confidence(
        self,
        market: MarketState,
        reference: SymbolReference,
        fair: float,
        coverage: float,
        sigma: float,
        ts_ns: int,
    ) -> float:
        age_s = reference.age_ns(ts_ns) / SECOND_NS
        fresh = max(1.0 - age_s / AGE_FULL_S, 0.0)
        apart = reference.disagreement(ts_ns) / max(4.0 * sigma, 1e-9)
        agreed = 1.0 / (1.0 + apart * apart)
        near = 1.0
        if market.mid >= 0.0:
            near = min(max(1.0 - (abs(fair - market.mid) - MODEL_GAP) / 0.4, 0.0), 1.0)
        return fresh * agreed * coverage * near


def twap_moments(
    price: float, sigma: float, tau: float, lookback: float, seen: float
) -> tuple[float, float]:
    """Mean and standard deviation of the average of the last `lookback` seconds at the end.

    `seen` is the average of the part of the window already past; it matters only for
    `tau < lookback`. The variances are those of an arithmetic Brownian motion of scale
    `price * sigma` (exact to first order over minutes).
    """
    if tau >= lookback:
        return price, price * sigma * sqrt(tau - lookback + lookback / 3.0)
    mean = seen * (lookback - tau) / lookback + price * tau / lookback
    return mean, price * sigma * sqrt(tau**3 / (3.0 * lookback * lookback))
