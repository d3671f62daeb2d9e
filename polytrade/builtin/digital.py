"""Fair value of a market that pays by a price at (or averaged up to) a time.

With `S` the fast price corrected by its basis to the settling source, `K` the price to beat,
`sigma` the volatility and `tau` the time left, YES pays with the probability that the settlement
(`settlement.py`) is at or above `K` (`spec: models`, fair value 2). Up/down and above markets pay
there, below markets pay otherwise. Range markets pay from one strike to below the next: the
difference of two digitals under the one law of the settlement.
"""

from math import sqrt
from typing import ClassVar, Final, final

import attrs

from polytrade.builtin.coherence import SIGMA_BAND, ImpliedVolatility
from polytrade.builtin.distributions import normal_cdf
from polytrade.builtin.sections import of
from polytrade.builtin.settlement import (
    LOOKBACK_MAX,
    Locked,
    average_law,
    cdf,
    lock,
    open_reports,
    spot_law,
)
from polytrade.config import Strategy
from polytrade.core.adaptive import clamp
from polytrade.core.market import MarketState
from polytrade.core.reference import SymbolReference
from polytrade.core.roles import Estimate, no_estimate
from polytrade.core.units import SECOND_NS

SAMPLES_MIN: Final = 20
"""One-second returns before the volatility means anything: its standard error is 1 / sqrt(2 n),
16 % here, less than what volatility itself moves within an hour."""
FLOOR_BPS: Final = 0.1
"""Least sd of a settlement value, in basis points of the price: about the difference between two
readings of the rule, such as one report more or less at the border of the average."""
AGE_FULL_S: Final = 2.0
"""A reference this old has no confidence left."""
COVERAGE_MIN: Final = 0.5
"""Least share of the past reports of an average that must be known."""
SIGMA_ERROR: Final = 1.5
"""Factor by which the market's volatility may differ from ours without costing confidence."""
LEAD_S: Final = 1.0
"""Time by which the market may be ahead of our price, or behind, without costing confidence."""
LEAD_ROOT: Final = sqrt(LEAD_S)
MODEL_GAP: Final = 0.05
"""Distance between model and mid, beyond what volatility and lead explain, that costs nothing."""
GAP_FULL: Final = 0.40
"""Further distance at which no confidence is left."""
LOW: Final = 0.001
HIGH: Final = 0.999


@final
class _Kept:
    """The locked-in part of a market's average, valid for one second and state of the series."""

    __slots__ = ("changes", "locked", "reports")

    def __init__(self, changes: int, reports: int, locked: Locked) -> None:
        self.changes = changes
        self.reports = reports
        self.locked = locked


@final
@attrs.define(eq=False)
class Digital:
    """The `digital` model; settings are those of `[strategy]`.

    `implied_vol_weight` is the share of the variance that options imply (`VolatilityQuoted`) or,
    where no feed quotes them, the other windows of the asset (`coherence.py`); 0 leaves the model
    to its own volatility.
    """

    name: ClassVar[str] = "digital"
    vol_blend: float = of(Strategy, "vol_blend")
    vol_floor_bps: float = of(Strategy, "vol_floor_bps")
    vol_cap_bps: float = of(Strategy, "vol_cap_bps")
    student_dof: float = of(Strategy, "student_dof")
    provisional_strike_pad: float = of(Strategy, "provisional_strike_pad")
    implied_vol_weight: float = of(Strategy, "implied_vol_weight", 0.0)
    vol_floor: float = attrs.field(init=False)
    vol_cap: float = attrs.field(init=False)
    _implied: ImpliedVolatility = attrs.field(init=False, factory=ImpliedVolatility)
    _kept: dict[str, _Kept] = attrs.field(init=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        self.vol_floor = self.vol_floor_bps * 1e-4
        self.vol_cap = self.vol_cap_bps * 1e-4

    def on_reference(self, reference: SymbolReference, ts_ns: int) -> None:
        """Nothing to keep: the reference holds its own volatility."""

    def forget(self, market: str) -> None:
        """The market is over: drop its average."""
        self._kept.pop(market, None)
        self._implied.forget(market)

    def estimate(
        self, market: MarketState, reference: SymbolReference | None, ts_ns: int
    ) -> Estimate:
        """P(settlement >= K) for up/down and above, its complement for below; for a range
        P(K <= settlement < upper).
        """
        if reference is None or reference.price <= 0.0:
            return no_estimate("no_quote_reference_missing")
        ranged = market.spec.condition == "range"
        if market.strike_e8 <= 0 or (ranged and market.spec.upper_e8 <= market.strike_e8):
            return no_estimate("no_quote_strike_missing")
        if reference.samples < SAMPLES_MIN:
            return no_estimate("no_quote_vol_warmup")
        spec = market.spec
        left_s = (spec.end_ns - ts_ns) / SECOND_NS
        if left_s <= 0.0:
            return no_estimate("no_quote_ended")
        if spec.settle == "twap" and not 0 < spec.lookback_s <= LOOKBACK_MAX:
            return no_estimate("no_quote_settlement_unknown")
        sigma = reference.vol(self.vol_blend, self.vol_floor, self.vol_cap)
        strike = market.strike_e8 / 1e8
        if self.implied_vol_weight > 0.0:
            sigma = self._blended(market, reference, sigma, ts_ns)
        coverage = 1.0
        if spec.settle == "twap":
            locked = self._locked(market, reference, left_s, ts_ns)
            if locked is not None:
                coverage = locked.coverage()
            if coverage < COVERAGE_MIN:
                return no_estimate("no_quote_settlement_gap")
            law = average_law(reference.price, sigma, left_s, spec.lookback_s, locked)
            unheard = 1.0 - (locked.heard / spec.lookback_s if locked is not None else 0.0)
            shift = 1.0 / spec.lookback_s
            open_share = open_reports(left_s, spec.lookback_s) / spec.lookback_s
        else:
            law = spot_law(reference.price, sigma, left_s)
            unheard = shift = open_share = 1.0
        law.variance += self._doubt(market, reference, sigma, unheard, shift)
        score = law.score(strike)
        sd = sqrt(law.variance)
        lead = open_share * reference.price * sigma * LEAD_ROOT / sd
        if ranged:
            upper = spec.upper_e8 / 1e8
            fair = min(max(law.between(strike, upper, self.student_dof), LOW), HIGH)
            near = _range_nearness(market.mid, score, law.score(upper), lead)
        else:
            up = cdf(score, self.student_dof)
            below = spec.condition == "below"
            fair = clamp(1.0 - up if below else up, LOW, HIGH)
            near = _nearness(market.mid, fair, -score if below else score, lead)
        confidence = near * coverage * _trust(reference, sigma, ts_ns)
        pad = self.provisional_strike_pad if market.strike_provisional else 0.0
        return Estimate(True, fair, confidence, sd / reference.price, pad, "")

    def _locked(
        self, market: MarketState, reference: SymbolReference, left_s: float, ts_ns: int
    ) -> Locked | None:
        """The past part of the average; computed anew when a report came or a second passed."""
        spec = market.spec
        past = spec.lookback_s - open_reports(left_s, spec.lookback_s)
        if past <= 0:
            return None
        kept = self._kept.get(spec.market)
        changes = reference.anchors.changes
        if kept is None or kept.changes != changes or kept.reports != past:
            locked = lock(reference, spec.end_ns, spec.lookback_s, ts_ns)
            kept = self._kept[spec.market] = _Kept(changes, past, locked)
        return kept.locked

    def _doubt(
        self,
        market: MarketState,
        reference: SymbolReference,
        sigma: float,
        unheard: float,
        shift: float,
    ) -> float:
        """Variance that is no walk: prints off the fast price, and a strike of our own reading.

        The publication noise counts for the share of the reports that was not heard, as if it were
        one and the same for all of them. A provisional strike may be another report's: `shift`
        seconds of the walk.
        """
        noise = unheard * reference.noise()
        floor = FLOOR_BPS * 1e-4
        variance = noise * noise + floor * floor
        if market.strike_provisional:
            variance += sigma * sigma * shift
        return reference.price * reference.price * variance

    def _blended(
        self,
        market: MarketState,
        reference: SymbolReference,
        sigma: float,
        ts_ns: int,
    ) -> float:
        """`sigma` drawn towards what options or the asset's other windows imply.

        Either counts within a factor of `sigma`: an option's time is a day, a window's minutes.
        """
        self._implied.note(market, reference.price, ts_ns)
        implied = reference.implied_vol(ts_ns)
        if implied > 0.0:
            implied = clamp(implied, sigma / SIGMA_BAND, sigma * SIGMA_BAND)
        else:
            implied = self._implied.sigma(market, sigma, ts_ns)
        weight = self.implied_vol_weight if implied > 0.0 else 0.0
        variance = (1.0 - weight) * sigma * sigma + weight * implied * implied
        return min(max(sqrt(variance), self.vol_floor), self.vol_cap)


def _trust(reference: SymbolReference, sigma: float, ts_ns: int) -> float:
    """What the age of the price and the disagreement between sources leave of confidence."""
    fresh = 1.0 - reference.age_ns(ts_ns) / SECOND_NS / AGE_FULL_S
    if fresh <= 0.0:
        return 0.0
    apart = reference.disagreement(ts_ns)
    if apart > 0.0:
        apart /= max(4.0 * sigma, 1e-9)
    return fresh / (1.0 + apart * apart)


def _nearness(mid: float, fair: float, score: float, lead: float) -> float:
    """What the distance to the mid leaves of confidence.

    1 where another volatility, or a price `lead` standard deviations away, explains the mid.
    """
    if mid < 0.0:
        return 1.0
    gap = 0.0
    if mid < fair:
        weaker = score / SIGMA_ERROR if score > 0.0 else score * SIGMA_ERROR
        gap = normal_cdf(weaker - lead) - mid
    elif mid > fair:
        stronger = score * SIGMA_ERROR if score > 0.0 else score / SIGMA_ERROR
        gap = mid - normal_cdf(stronger + lead)
    return clamp(1.0 - (gap - MODEL_GAP) / GAP_FULL, 0.0, 1.0)


def _range_nearness(mid: float, low: float, high: float, lead: float) -> float:
    """The same for a range between the scores `low` and `high` (`low` is the greater one).

    Another volatility scales both scores, another price shifts both: the range is likeliest where
    the price is in its middle, or as near to that as the lead allows.
    """
    if mid < 0.0:
        return 1.0
    chances: list[float] = []
    for factor in (SIGMA_ERROR, 1.0, 1.0 / SIGMA_ERROR):
        a, b = low * factor, high * factor
        for shift in (-lead, min(max(-(a + b) / 2.0, -lead), lead), lead):
            chances.append(normal_cdf(a + shift) - normal_cdf(b + shift))
    gap = max(min(chances) - mid, mid - max(chances))
    return min(max(1.0 - (gap - MODEL_GAP) / GAP_FULL, 0.0), 1.0)
