"""The formulas, against what they are derived from."""

from math import asin, log, pi

import pytest
from polytrade_kelly import model


def test_kelly_fraction_maximizes_the_expected_logarithm() -> None:
    """A share of 0.40 that pays with probability 0.55: 25 % of the bankroll."""

    def growth(percent: int) -> float:
        part = percent / 100
        return 0.55 * log(1 + part * (1 / 0.40 - 1)) + 0.45 * log(1 - part)

    assert max(range(100), key=growth) == 25
    assert model.kelly_fraction(0.55, 0.40) == pytest.approx(0.25)


@pytest.mark.parametrize(("probability", "price"), [(0.4, 0.4), (0.3, 0.4), (0.5, 0.0), (0.5, 1.0)])
def test_no_edge_is_no_bet(probability: float, price: float) -> None:
    assert model.kelly_fraction(probability, price) == 0.0


@pytest.mark.parametrize(
    ("edge", "doubt", "factor"), [(0.02, 0.02, 0.5), (0.02, 0.0, 1.0), (0.03, 0.01, 0.9), (0, 1, 0)]
)
def test_doubt_shrinks_a_bet(edge: float, doubt: float, factor: float) -> None:
    assert model.shrinkage(edge, doubt) == pytest.approx(factor)
    assert model.shrinkage(-edge, doubt) == 0.0


@pytest.mark.parametrize(
    ("equity", "most", "factor"),
    [(1_000, 0.1, 1.0), (950, 0.1, 0.5), (900, 0.1, 0.0), (800, 0.1, 0.0), (500, 0.0, 1.0)],
)
def test_drawdown_throttles_in_a_straight_line(equity: float, most: float, factor: float) -> None:
    assert model.drawdown_factor(equity, 1_000, most) == pytest.approx(factor)


@pytest.mark.parametrize("rho", [-0.9, -0.5, 0.0, 0.3, 0.8, 0.9])
def test_covariance_of_even_bets_is_the_arcsine_law(rho: float) -> None:
    """P(both) is 1/4 + asin(rho) / (2 pi) (Sheppard)."""
    assert model.covariance(0.5, 0.5, rho) == pytest.approx(asin(rho) / (2 * pi), abs=2e-4)


def test_covariance_of_one_and_the_same_bet_is_nearly_its_variance() -> None:
    assert model.covariance(0.3, 0.3, 1.0) == pytest.approx(0.21, rel=0.1)
    assert model.covariance(0.3, 0.7, -1.0) == pytest.approx(-0.21, rel=0.1)


def test_volatility_matters_away_from_evens() -> None:
    assert model.volatility_doubt(0.5, 0.15) == pytest.approx(0.0)
    # probit(0.8413) is 1: pdf(1) * 1 * 0.15
    assert model.volatility_doubt(0.841345, 0.15) == pytest.approx(0.0362956, rel=1e-4)


@pytest.mark.parametrize(
    ("first", "second", "now", "rho"),
    [
        ((0, 300), (0, 300), 100, 1.0),
        ((0, 300), (0, 900), 100, 0.5),  # 200 of 200 and 800: sqrt(200 / 800)
        ((0, 300), (300, 600), 100, 0.0),
        ((0, 900), (600, 900), 0, 3**-0.5),  # the short one has not begun: 300 of 900 and 300
        ((0, 300), (0, 900), 300, 0.0),  # over
        ((0, 0), (0, 900), 100, 0.0),  # without an end
    ],
)
def test_windows_correlate_by_the_time_they_share(
    first: tuple[int, int], second: tuple[int, int], now: int, rho: float
) -> None:
    assert model.overlap(*first, *second, now) == pytest.approx(rho)
    assert model.overlap(*second, *first, now) == pytest.approx(rho)


def test_certainties_count_as_nearly_certain() -> None:
    assert model.score(1.0) == pytest.approx(3.719, abs=1e-3)
    assert model.score(0.0) == pytest.approx(-3.719, abs=1e-3)
