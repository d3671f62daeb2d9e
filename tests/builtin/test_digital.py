"""The digital model against Monte Carlo, and when it does not speak."""

from math import sqrt

import numpy as np
import pytest

from polytrade.builtin.digital import Digital, twap_moments
from polytrade.builtin.distributions import incomplete_beta, normal_cdf, student_cdf
from polytrade.core.events import ReferenceTicked
from polytrade.core.ids import ANCHOR, FAST
from polytrade.core.market import MarketState
from polytrade.core.reference import SymbolReference
from polytrade.core.units import SECOND_NS
from tests.core.factory import END_NS, market

PATHS = 40_000
SIGMA = 5e-5  # 0.5 bp per sqrt second, about 28 % a year


def make(dof: float = 0.0) -> Digital:
    return Digital(0.5, 0.1, 50.0, dof, 0.01)


def reference_at(price: float, ts_ns: int, sigma: float = SIGMA) -> SymbolReference:
    """A reference with a settled volatility of `sigma`, priced now."""
    reference = SymbolReference("BTC", 30.0, 600.0)
    reference.apply(ReferenceTicked(ts_ns, "BTC", "binance", FAST, round(price * 1e8), ts_ns))
    reference.var_fast = reference.var_slow = sigma * sigma
    reference.samples = 100
    return reference


def simulate(
    rng: np.random.Generator, price: float, sigma: float, tau: int, lookback: int, seen: float
) -> np.ndarray:
    """Settlement values of PATHS paths in steps of 0.25 s; `lookback` 0 settles on the spot."""
    steps = tau * 4
    values = []
    for _ in range(4):
        block = rng.standard_normal((PATHS // 4, steps)) * (sigma * sqrt(0.25))
        paths = price * np.exp(np.cumsum(block, axis=1) - 0.0)
        if not lookback:
            values.append(paths[:, -1])
        elif tau >= lookback:
            values.append(paths[:, -lookback * 4 :].mean(axis=1))
        else:
            part = paths.mean(axis=1)
            values.append(seen * (lookback - tau) / lookback + part * tau / lookback)
    return np.concatenate(values)


@pytest.mark.parametrize("moneyness_bps", [-15.0, -3.0, 0.0, 2.0, 12.0])
@pytest.mark.parametrize(("tau", "lookback"), [(200, 0), (240, 60), (75, 60), (61, 60), (20, 30)])
def test_probability_is_that_of_simulated_settlements(
    moneyness_bps: float, tau: int, lookback: int
) -> None:
    """Within 3.5 standard errors of the simulation plus the time step's own bias."""
    price, strike = 60_000.0 * (1 + moneyness_bps * 1e-4), 60_000.0
    seen = 60_000.0 * (1 + moneyness_bps * 0.5e-4)
    rng = np.random.default_rng([tau, lookback, int(moneyness_bps * 10) + 1000])
    settled = simulate(rng, price, SIGMA, tau, lookback, seen)
    simulated = float((settled >= strike).mean())
    if lookback:
        mean, sd = twap_moments(price, SIGMA, tau, lookback, seen)
        fair = normal_cdf((mean - strike) / sd)
    else:
        state = market(settle="spot", lookback_s=0)
        now = END_NS - tau * SECOND_NS
        fair = make().estimate(state, reference_at(price, now), now).fair
    error = sqrt(max(simulated * (1 - simulated), 1e-6) / PATHS)
    assert abs(fair - simulated) <= 3.5 * error + 0.004


def test_locked_in_part_of_the_average_decides_near_the_end() -> None:
    mean, sd = twap_moments(60_000.0, SIGMA, 1.0, 60.0, 60_030.0)
    assert mean == pytest.approx(60_029.5)
    assert sd == pytest.approx(60_000 * SIGMA * sqrt(1 / (3 * 3600)))


def in_window(price: float, anchor: float, tau: float) -> tuple[MarketState, SymbolReference, int]:
    state = market()
    now = END_NS - round(tau * SECOND_NS)
    reference = reference_at(price, now)
    first = END_NS // SECOND_NS - 65
    for second in range(first, now // SECOND_NS - 1):
        at = second * SECOND_NS
        reference.apply(ReferenceTicked(now, "BTC", "rtds", ANCHOR, round(anchor * 1e8), at))
    return state, reference, now


def test_inside_the_window_the_anchor_average_counts() -> None:
    state, reference, now = in_window(60_000.0, 60_050.0, 10.0)
    for quote in reference.sources.values():
        quote.basis = 0.0
    assert make().estimate(state, reference, now).fair == 0.999
    state, reference, now = in_window(60_000.0, 59_950.0, 10.0)
    assert make().estimate(state, reference, now).fair == 0.001


def test_unheard_settlement_window_is_not_quoted() -> None:
    state = market()
    now = END_NS - 20 * SECOND_NS
    estimate = make().estimate(state, reference_at(60_000.0, now), now)
    assert (estimate.ok, estimate.reason) == (False, "no_quote_settlement_gap")


@pytest.mark.parametrize(
    ("state", "seconds", "reason"),
    [
        (market(strike_e8=-1), 100, "no_quote_strike_missing"),
        (market(), 0, "no_quote_ended"),
    ],
)
def test_reasons_not_to_speak(state: MarketState, seconds: int, reason: str) -> None:
    now = END_NS - seconds * SECOND_NS
    assert make().estimate(state, reference_at(60_000.0, now), now).reason == reason


def test_no_reference_and_no_volatility_are_reasons() -> None:
    now = END_NS - 100 * SECOND_NS
    assert make().estimate(market(), None, now).reason == "no_quote_reference_missing"
    cold = reference_at(60_000.0, now)
    cold.samples = 4
    assert make().estimate(market(), cold, now).reason == "no_quote_vol_warmup"


def test_below_is_the_complement_of_above() -> None:
    now = END_NS - 100 * SECOND_NS
    reference = reference_at(60_010.0, now)
    above = make().estimate(market(condition="above", settle="spot"), reference, now).fair
    below = make().estimate(market(condition="below", settle="spot"), reference, now).fair
    assert above + below == pytest.approx(1.0)
    assert above > 0.5


def test_confidence_falls_with_the_age_of_the_reference() -> None:
    now = END_NS - 100 * SECOND_NS
    reference = reference_at(60_000.0, now)
    fresh = make().estimate(market(), reference, now).confidence
    aged = make().estimate(market(), reference, now + SECOND_NS).confidence
    assert fresh == pytest.approx(1.0)
    assert aged == pytest.approx(0.5)


def test_provisional_strike_widens_the_quotes() -> None:
    now = END_NS - 100 * SECOND_NS
    state = market()
    state.strike_provisional = True
    assert make().estimate(state, reference_at(60_000.0, now), now).pad == 0.01


def test_student_tails_are_fatter_and_unit_variance() -> None:
    assert student_cdf(-4.0, 4.0) > normal_cdf(-4.0)
    assert student_cdf(0.0, 5.0) == pytest.approx(0.5)
    # t with 3 degrees of freedom: P(T <= 1) = 3/4 + ... closed form by scipy: 0.8044988905221147
    assert student_cdf(1.0 / sqrt(3.0), 3.0) == pytest.approx(0.8044988905221147, abs=1e-12)
    assert incomplete_beta(2.0, 3.0, 0.4) == pytest.approx(0.5248, abs=1e-12)
