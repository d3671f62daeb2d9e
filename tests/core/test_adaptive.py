"""Adaptive limits and market score: each branch by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polytrade.core.adaptive import clamp, market_score, max_spread_e4, min_edge_bps

RATE = st.floats(0.0, 1.0)
BPS = st.floats(-10_000.0, 10_000.0)


@pytest.mark.parametrize(
    ("base", "outcomes", "no_quote_rate", "edge"),
    [
        (4.0, 0, 0.0, 0.6),  # max(.15 * 4, .5)
        (4.0, 15, 0.0, 1.3),  # half way to .5 * 4
        (4.0, 29, 0.0, 0.6 + 1.4 * 29 / 30),
        (4.0, 15, 0.85, 1.3),
        (4.0, 15, 0.86, 1.04),
        (2.0, 0, 0.0, 0.5),  # .15 * 2 is less than .5
        (2.0, 15, 0.0, 0.75),
        (0.8, 15, 0.0, 0.5),  # .5 * .8 is less than .5: nothing to rise to
        (0.8, 15, 0.9, 0.4),
        (0.3, 0, 0.0, 0.3),  # never above the base
        (0.5, 0, 0.9, 0.4),
        (0.0, 0, 0.0, 0.25),  # nor below a quarter
    ],
)
def test_least_edge_while_the_window_has_few_outcomes(
    base: float, outcomes: int, no_quote_rate: float, edge: float
) -> None:
    found = min_edge_bps(base, outcomes, 500, 1.0, no_quote_rate, -90.0, -90.0)
    assert found == pytest.approx(edge, abs=1e-12)


@pytest.mark.parametrize(("base", "edge"), [(4.0, 2.0), (1.0, 1.0), (0.0, 1.0)])
def test_least_edge_while_the_market_has_few_markouts(base: float, edge: float) -> None:
    assert min_edge_bps(base, 30, 19, 1.0, 1.0, -90.0, -90.0) == edge


@pytest.mark.parametrize(
    ("base", "tox", "no_quote_rate", "p50", "p25", "edge"),
    [
        (4.0, 0.0, 0.0, 5.0, 1.0, 4.0),
        (4.0, 0.5, 0.0, 5.0, 1.0, 5.2),
        (4.0, 0.5, 0.0, -2.0, -4.0, 7.6),  # 5.2 + .5 * 2 + .35 * 4
        (4.0, 0.5, 0.95, -2.0, -4.0, 7.6),
        (4.0, 0.5, 0.96, -2.0, -4.0, 6.84),
        (4.0, 1.0, 0.0, -20.0, -40.0, 10.0),  # at most 2.5 base
        (0.5, 0.0, 0.0, 0.0, 0.0, 1.0),  # at least 1
        (0.2, 0.0, 0.0, 0.0, 0.0, 1.0),
    ],
)
def test_least_edge_by_what_fills_have_cost(
    base: float, tox: float, no_quote_rate: float, p50: float, p25: float, edge: float
) -> None:
    found = min_edge_bps(base, 30, 20, tox, no_quote_rate, p50, p25)
    assert found == pytest.approx(edge, abs=1e-12)


@pytest.mark.parametrize(
    ("base", "samples", "tox", "spread"),
    [
        (300, 19, 1.0, 360),
        (10, 0, 0.0, 30),
        (900, 0, 0.0, 800),
        (300, 20, 0.0, 300),
        (300, 20, 1.0, 195),
        (300, 20, 0.5, 247),  # 247.5 rounded down
        (22, 20, 1.0, 20),
        (10, 20, 0.0, 20),
    ],
)
def test_widest_spread(base: int, samples: int, tox: float, spread: int) -> None:
    assert max_spread_e4(base, samples, tox) == spread


@pytest.mark.parametrize(
    ("samples", "p50", "no_quote_rate", "missing_rate", "tox", "score"),
    [
        (19, -90.0, 0.0, 0.0, 1.0, 80.0),
        (19, 0.0, 1.0, 1.0, 0.0, 68.0),
        (20, 0.0, 0.0, 0.0, 0.0, 70.0),
        (20, 10.0, 0.0, 0.0, 0.0, 85.0),
        (20, 30.0, 0.0, 0.0, 0.0, 100.0),
        (20, -10.0, 0.2, 0.1, 0.5, 37.0),  # 70 - 15 - 5 - 3 - 10
        (20, -90.0, 1.0, 0.0, 0.5, 5.0),
        (20, -90.0, 1.0, 1.0, 1.0, 0.0),
    ],
)
def test_market_score(
    samples: int,
    p50: float,
    no_quote_rate: float,
    missing_rate: float,
    tox: float,
    score: float,
) -> None:
    found = market_score(samples, p50, no_quote_rate, missing_rate, tox)
    assert found == pytest.approx(score, abs=1e-12)


def test_lower_bound_wins_where_bounds_contradict() -> None:
    assert clamp(5.0, 3.0, 2.0) == 3.0
    assert clamp(0.0, 3.0, 2.0) == 3.0


@given(
    st.floats(0.0, 1_000.0),
    st.integers(0, 60),
    st.integers(0, 60),
    RATE,
    RATE,
    BPS,
    st.floats(0.0, 1_000.0),
)
def test_limits_stay_in_range_and_danger_never_loosens_them(
    base: float, outcomes: int, samples: int, tox: float, rate: float, p50: float, gap: float
) -> None:
    edge = min_edge_bps(base, outcomes, samples, tox, rate, p50, p50 - gap)
    assert 0.25 <= edge <= max(1.0, 2.5 * base)
    assert edge <= min_edge_bps(base, outcomes, samples, 1.0, rate, p50 - 1.0, p50 - gap - 1.0)
    spread = max_spread_e4(300, samples, tox)
    assert 195 <= max_spread_e4(300, samples, 1.0) <= spread <= 360
    score = market_score(samples, p50, rate, rate, tox)
    assert 0.0 <= market_score(samples, p50 - 1.0, rate, rate, 1.0) <= score <= 100.0
