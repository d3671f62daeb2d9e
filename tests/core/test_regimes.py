"""The toxicity score and the regime: each term, threshold and addition by hand."""

from math import exp
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polytrade.core.regimes import (
    CAUTION,
    DANGER,
    SAFE,
    MarkoutWord,
    ToxicitySettings,
    caution_ttl_ns,
    raw_score,
    regime_at,
    tox_score,
)

SETTINGS = ToxicitySettings()
BPS = st.floats(-500.0, 500.0)
MARKOUTS = st.tuples(BPS, BPS, BPS)


def word(one: float = 0.0, five: float = 0.0, ten: float = 0.0) -> MarkoutWord:
    return MarkoutWord(SETTINGS, (one, five, ten))


@pytest.mark.parametrize(
    ("measures", "raw"),
    [
        ((0.0, 0.0, 0.0, 0.0, 0.0, 0.0), 0.0),
        ((50.0, 50.0, 50.0, 0.0, 0.0, 0.0), 0.0),
        ((-20.0, 0.0, 0.0, 0.0, 0.0, 0.0), 0.30),
        ((0.0, -20.0, 0.0, 0.0, 0.0, 0.0), 0.25),
        ((0.0, 0.0, -20.0, 0.0, 0.0, 0.0), 0.20),
        ((0.0, 0.0, 0.0, 50.0, 0.0, 0.0), 0.10),
        ((0.0, 0.0, 0.0, 0.0, 0.002, 0.0), 0.10),
        ((0.0, 0.0, 0.0, 0.0, -0.002, 0.0), 0.10),
        ((0.0, 0.0, 0.0, 0.0, 0.0, 1_500.0), 0.05),
        ((-40.0, -40.0, -40.0, 100.0, 0.004, 3_000.0), 2.0),
    ],
)
def test_terms_of_the_raw_score(
    measures: tuple[float, float, float, float, float, float], raw: float
) -> None:
    markouts, rest = measures[:3], measures[3:]
    assert raw_score(word(*markouts), *rest) == pytest.approx(raw, abs=1e-12)


@pytest.mark.parametrize(
    ("tox", "ms"), [(0.0, 600), (0.5, 360), (1.0, 120), (1.1, 72), (1.146, 50), (9.0, 50)]
)
def test_time_to_live_in_caution_falls_with_the_score(tox: float, ms: int) -> None:
    assert caution_ttl_ns(tox) == pytest.approx(ms * 1_000_000, rel=0.002)


@pytest.mark.parametrize("raw", [0.0, 0.5, 1.0, 3.0])
def test_score_is_twice_the_sigmoid_less_one(raw: float) -> None:
    """A market in which nothing is wrong scores 0, not one half."""
    found = tox_score(word(), raw)
    assert found == pytest.approx(2 / (1 + exp(-raw)) - 1, abs=1e-12)


@pytest.mark.parametrize(
    ("markouts", "added"),
    [
        ((-3.9, -5.9, -7.9), 0.0),
        ((-4.0, 0.0, 0.0), 0.15),
        ((-10.0, 0.0, 0.0), 0.30),
        ((0.0, -6.0, 0.0), 0.12),
        ((0.0, -14.0, 0.0), 0.25),
        ((0.0, 0.0, -8.0), 0.10),
        ((0.0, 0.0, -18.0), 0.20),
        ((-9.9, -13.9, -17.9), 0.37),
        ((-10.0, -14.0, -18.0), 0.75),
    ],
)
def test_markouts_beyond_the_thresholds_add(
    markouts: tuple[float, float, float], added: float
) -> None:
    assert tox_score(word(*markouts), 0.0) == pytest.approx(added, abs=1e-12)
    assert tox_score(word(*markouts), 1e6) == 1.0


@pytest.mark.parametrize(
    ("tox", "markouts", "regime", "reason"),
    [
        (0.0, (0.0, 0.0, 0.0), SAFE, ""),
        (0.3499, (-3.9, -5.9, -7.9), SAFE, ""),
        (0.35, (0.0, 0.0, 0.0), CAUTION, "tox_score_caution"),
        (0.6499, (0.0, 0.0, 0.0), CAUTION, "tox_score_caution"),
        (0.65, (0.0, 0.0, 0.0), DANGER, "tox_score_danger"),
        (0.0, (-4.0, 0.0, 0.0), CAUTION, "markout_1s_caution"),
        (0.0, (0.0, -6.0, 0.0), CAUTION, "markout_5s_caution"),
        (0.0, (0.0, 0.0, -8.0), CAUTION, "markout_10s_caution"),
        (0.0, (-10.0, 0.0, 0.0), DANGER, "markout_1s_danger"),
        (0.0, (0.0, -14.0, 0.0), DANGER, "markout_5s_danger"),
        (0.9, (-4.0, 0.0, -18.0), DANGER, "markout_10s_danger"),
        (0.9, (-4.0, 0.0, 0.0), DANGER, "tox_score_danger"),
    ],
)
def test_regime_by_score_and_by_markouts(
    tox: float, markouts: tuple[float, float, float], regime: int, reason: str
) -> None:
    assert regime_at(word(*markouts), tox) == (regime, reason)


@pytest.mark.parametrize(
    "changes",
    [
        {"safe_threshold": -0.1},
        {"safe_threshold": 0.7},
        {"caution_threshold": 1.1},
        {"cooldown_min_sec": 0.5},
        {"cooldown_max_sec": 29.0},
        {"min_market_score": 101.0},
        {"active_top_n_markets": -1},
        {"markout_1s_danger_bps": -3.0},
        {"markout_5s_caution_bps": -15.0},
        {"markout_10s_danger_bps": 0.0},
        {"min_edge_bps": -1.0},
        {"max_spread_e4": 0},
        {"max_spread_e4": 10_001},
    ],
)
def test_settings_out_of_range_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(AssertionError):
        ToxicitySettings(**changes)


@given(MARKOUTS, st.tuples(*[st.floats(0.0, 100.0)] * 3), st.floats(0.0, 50.0), st.floats(0.0, 9.0))
def test_score_and_regime_only_rise_with_danger(
    markouts: tuple[float, float, float],
    worse_by: tuple[float, float, float],
    raw: float,
    more: float,
) -> None:
    worse = (markouts[0] - worse_by[0], markouts[1] - worse_by[1], markouts[2] - worse_by[2])
    tox = tox_score(word(*markouts), raw)
    worse_tox = tox_score(word(*worse), raw + more)
    assert 0.0 <= tox <= worse_tox <= 1.0
    assert regime_at(word(*markouts), tox)[0] <= regime_at(word(*worse), worse_tox)[0]


@given(
    MARKOUTS, st.floats(0.0, 1e4), st.floats(-0.5, 0.5), st.floats(0.0, 1e9), st.floats(0.0, 100.0)
)
def test_raw_score_only_rises_with_danger(
    markouts: tuple[float, float, float], spread: float, drift: float, stale: float, more: float
) -> None:
    raw = raw_score(word(*markouts), spread, drift, stale)
    assert raw >= 0.0
    assert raw_score(word(markouts[0] - more, *markouts[1:]), spread, drift, stale) >= raw
    assert raw_score(word(*markouts), spread + more, drift * 2, stale + more) >= raw
