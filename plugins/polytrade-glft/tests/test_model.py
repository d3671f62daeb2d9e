"""The closed forms, against what they are derived from."""

from math import exp, sqrt
from statistics import NormalDist

import pytest
from polytrade_glft import model

NORMAL = NormalDist()


def test_half_spread_is_the_formula_of_the_paper() -> None:
    assert model.half_spread(0.02, 100.0, 10.0) == pytest.approx(0.009990013, abs=1e-9)


def test_half_spread_without_risk_aversion_maximizes_distance_times_fills() -> None:
    best = max(range(1, 1_000), key=lambda e4: e4 * exp(-80.0 * e4 * 1e-4))
    assert model.half_spread(0.0, 80.0, 10.0) == pytest.approx(best * 1e-4)


def test_more_risk_aversion_means_less_spread_for_the_fill_itself() -> None:
    assert model.half_spread(5.0, 100.0, 10.0) < model.half_spread(0.02, 100.0, 10.0)


@pytest.mark.parametrize(
    ("aversion", "expected"),
    # sigma sqrt(g / (2 A D k) (1 + g D / k) ** (1 + k / (g D))): with g = 2 that is
    # 0.0316628 sqrt(0.01 * 1.2 ** 6), with g = 0.02 it is 0.0316628 sqrt(0.0001 * 1.002 ** 501)
    [(0.02, 0.000522), (2.0, 0.005471), (0.0, 0.0)],
)
def test_lasting_slope_is_the_formula_of_the_paper(aversion: float, expected: float) -> None:
    found = model.lasting_slope(aversion, 0.1, 100.0, 10.0, 0.0316628)
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("seconds", [0.5, 5.0, 50.0, 500.0])
def test_slope_solves_the_riccati_equation(seconds: float) -> None:
    """y' = g sigma^2 (1 - (y / lasting)^2) from y = 0 at the end, by Euler's method."""
    aversion, variance, lasting = 0.02, 0.001, 0.0006
    y, steps = 0.0, 20_000
    for _ in range(steps):
        y += seconds / steps * aversion * variance * (1.0 - (y / lasting) ** 2)
    assert model.slope(lasting, aversion, variance * seconds) == pytest.approx(y, rel=1e-3)


def test_slope_near_the_end_is_the_price_of_holding_to_it() -> None:
    assert model.slope(1.0, 0.02, 0.25) == pytest.approx(0.005, rel=1e-4)
    assert model.slope(0.0, 0.02, 0.25) == 0.0
    assert model.slope(0.001, 0.0, 0.25) == 0.0


@pytest.mark.parametrize(
    ("left_s", "average_s", "seconds"),
    [(100, 0, 100), (100, 60, 60), (60, 60, 20), (30, 60, 10), (0.1, 0, 0.25), (0.3, 60, 0.25)],
)
def test_seconds_that_decide_the_payoff(left_s: float, average_s: float, seconds: float) -> None:
    assert model.effective_seconds(left_s, average_s) == pytest.approx(seconds)


@pytest.mark.parametrize("walked", [0.0, 3.0, -9.0])
def test_binary_volatility_is_the_slope_of_the_probability(walked: float) -> None:
    def probability(x: float) -> float:
        return NORMAL.cdf(x / sqrt(50.0))

    slope = (probability(walked + 1e-4) - probability(walked - 1e-4)) / 2e-4
    found = model.binary_volatility(probability(walked), 50.0)
    assert found == pytest.approx(slope, rel=1e-6)


def test_binary_volatility_adds_up_to_the_variance_of_the_payoff() -> None:
    """Over the whole life of an even bet the mean of the integral of sigma^2 is 1/4.

    By the midpoint rule over time and over the quantiles of the walk at that time.
    """
    end, times, places = 100.0, 400, 100
    quantiles = [NORMAL.inv_cdf((at + 0.5) / places) for at in range(places)]
    total = 0.0
    for at in range(times):
        t = (at + 0.5) * end / times
        left = end - t
        for z in quantiles:
            fair = NORMAL.cdf(z * sqrt(t / left))
            total += model.binary_volatility(fair, left) ** 2 * end / times / places
    assert total == pytest.approx(model.binary_variance(0.5), rel=0.03)


@pytest.mark.parametrize("fair", [0.0, 1.0])
def test_a_sure_thing_hardly_moves(fair: float) -> None:
    assert 0.0 < model.binary_volatility(fair, 100.0) < 1e-6
    assert model.binary_variance(fair) == 0.0
