"""Windows of one asset: the volatility and level they imply, and what is off their line."""

from math import log, sqrt
from types import SimpleNamespace

import pytest

from polytrade.builtin.coherence import Coherence, Fit, ImpliedVolatility, Leg, fit, leg_of
from polytrade.builtin.distributions import normal_cdf
from polytrade.builtin.settlement import walk_seconds
from polytrade.core.events import ClockTicked, ReferenceTicked
from polytrade.core.ids import FAST
from polytrade.core.market import CLOSING, OPEN, MarketState
from polytrade.core.reference import SymbolReference
from polytrade.core.trust import SUSPECT, SYNCED
from polytrade.core.units import SECOND_NS
from tests.core.factory import START_NS, market, snapshot

NOW = START_NS
PRICE = 60_000.0
SIGMA = 1e-4


def leg(name: str, seconds: float, distance: float, sigma: float, level: float = 0.0) -> Leg:
    """The leg of a market that prices with `sigma` and sees the price `level` above ours."""
    return Leg(name, distance, (level - distance) / (sigma * sqrt(seconds)), seconds)


def window(name: str, seconds: int, strike: float, cents: int, **changes: object) -> MarketState:
    """An open spot window that ends in `seconds`, with a mid of `cents`."""
    state = market(
        market=name,
        settle="spot",
        lookback_s=0,
        end_ns=NOW + seconds * SECOND_NS,
        strike_e8=round(strike * 1e8),
        **changes,
    )
    state.book.replace(snapshot({cents - 1: 10}, {cents + 1: 10}), True)
    state.trust.state = SYNCED
    state.phase = OPEN
    return state


def test_windows_priced_by_one_law_give_back_its_volatility_and_level() -> None:
    legs = [
        leg("5m", 200.0, -8e-4, SIGMA, 2e-4),
        leg("15m", 700.0, 1.5e-3, SIGMA, 2e-4),
        leg("1h", 3_000.0, -3e-3, SIGMA, 2e-4),
        leg("1d", 50_000.0, 1e-2, SIGMA, 2e-4),
    ]
    line = fit(legs)
    assert line is not None
    assert line.sigma == pytest.approx(SIGMA)
    assert line.level == pytest.approx(2e-4)
    assert [line.residual(each) for each in legs] == [pytest.approx(0.0, abs=1e-12)] * 4


def test_two_windows_share_a_volatility_without_a_level() -> None:
    line = fit([leg("5m", 200.0, -8e-4, SIGMA), leg("15m", 700.0, 1.5e-3, SIGMA)])
    assert line == Fit(pytest.approx(SIGMA), 0.0)


def test_window_off_the_line_is_seen_in_probability() -> None:
    line = Fit(SIGMA, 0.0)
    odd = Leg("5m", -1e-3, 0.0, 400.0)
    assert line.residual(odd) == pytest.approx(0.5 - normal_cdf(0.5))


@pytest.mark.parametrize(
    "legs",
    [
        [],
        [leg("a", 300.0, 1e-5, SIGMA), leg("b", 900.0, -1e-5, SIGMA)],
        [Leg("a", 1e-3, 0.5, 300.0), Leg("b", -1e-3, -0.5, 900.0)],
    ],
    ids=["none", "at evens", "the wrong way round"],
)
def test_windows_that_determine_no_volatility_give_none(legs: list[Leg]) -> None:
    assert fit(legs) is None


def test_leg_of_a_market() -> None:
    found = leg_of(window("a", 400, 60_060.0, 31), PRICE, NOW)
    assert found is not None
    assert found.distance == pytest.approx(log(60_060.0 / PRICE))
    assert normal_cdf(found.probit) == pytest.approx(0.31)
    assert found.seconds == 400.0
    below = leg_of(window("a", 400, 60_060.0, 69, condition="below"), PRICE, NOW)
    assert below is not None
    assert below.probit == pytest.approx(found.probit)


def test_market_that_says_nothing_of_volatility_has_no_leg() -> None:
    assert leg_of(window("a", 400, 60_060.0, 97), PRICE, NOW) is None
    assert leg_of(window("a", 0, 60_060.0, 31), PRICE, NOW) is None
    doubtful = window("a", 400, 60_060.0, 31)
    doubtful.trust.state = SUSPECT
    assert leg_of(doubtful, PRICE, NOW) is None
    wide = window("a", 400, 60_060.0, 31)
    wide.book.replace(snapshot({20: 10}, {40: 10}), True)
    assert leg_of(wide, PRICE, NOW) is None
    averaging = market(end_ns=NOW + 50 * SECOND_NS)
    assert walk_seconds(averaging, 50.0) == 0.0
    assert leg_of(averaging, PRICE, NOW) is None


def test_implied_volatility_is_that_of_the_other_fresh_windows() -> None:
    implied = ImpliedVolatility()
    ours = window("5m", 200, 60_060.0, 40)
    other = window("15m", 900, 60_180.0, 16)
    assert implied.sigma(ours, SIGMA, NOW) == 0.0
    for state in (ours, other):
        implied.note(state, PRICE, NOW)
    found = leg_of(other, PRICE, NOW)
    assert found is not None
    expected = -found.distance / (found.probit * sqrt(900.0))
    assert implied.sigma(ours, SIGMA, NOW) == pytest.approx(expected)
    assert implied.sigma(ours, SIGMA / 10, NOW) == pytest.approx(SIGMA / 5)
    assert implied.sigma(ours, SIGMA * 10, NOW) == pytest.approx(SIGMA * 5)
    assert implied.sigma(ours, SIGMA, NOW + 3 * SECOND_NS) == 0.0
    implied.forget("15m")
    implied.forget("unknown")
    assert implied.sigma(ours, SIGMA, NOW) == 0.0


def test_report_is_by_asset_and_every_ten_seconds() -> None:
    reference = SymbolReference("BTC", 30.0, 600.0)
    reference.apply(ReferenceTicked(NOW, "BTC", "a", FAST, round(PRICE * 1e8), NOW))
    reference.var_fast = reference.var_slow = SIGMA * SIGMA
    states = [window("5m", 250, 60_060.0, 27), window("15m", 900, 60_180.0, 16)]
    engine = SimpleNamespace(
        markets={state.spec.market: state for state in states}, references={"BTC": reference}
    )
    watch = Coherence(engine, 0.5, 0.1, 50.0)  # type: ignore[arg-type]
    assert watch.to_dict() == {}
    for second in (0, 1, 9, 10, 15):
        watch.observe(ClockTicked(NOW + second * SECOND_NS), [])
    row = watch.to_dict()["BTC"]
    assert (row["samples"], row["windows_mean"], row["level_bps"]) == (2, 2.0, 0.0)
    assert row["implied_to_model_vol"] == pytest.approx(1.0, rel=0.1)
    assert 0.0 < row["incoherence_mean"] <= row["incoherence_max"] < 0.05
    states[0].phase = CLOSING
    watch.observe(ClockTicked(NOW + 20 * SECOND_NS), [])
    assert watch.to_dict()["BTC"]["samples"] == 2


def test_range_is_on_no_line() -> None:
    ranged = window("a", 400, 60_060.0, 31, condition="range", upper_e8=61_000 * 10**8)
    assert leg_of(ranged, PRICE, NOW) is None


def test_ladder_of_thresholds_and_ranges_is_reported_beside_the_windows() -> None:
    reference = SymbolReference("BTC", 30.0, 600.0)
    reference.apply(ReferenceTicked(NOW, "BTC", "a", FAST, round(PRICE * 1e8), NOW))
    reference.var_fast = reference.var_slow = SIGMA * SIGMA
    states = [
        window("low", 900, 59_900.0, 30, condition="below"),
        window("mid", 900, 59_900.0, 44, condition="range", upper_e8=60_100 * 10**8),
        window("high", 900, 60_100.0, 28, condition="above"),
    ]
    engine = SimpleNamespace(
        markets={state.spec.market: state for state in states}, references={"BTC": reference}
    )
    watch = Coherence(engine, 0.5, 0.1, 50.0)  # type: ignore[arg-type]
    watch.observe(ClockTicked(NOW), [])
    row = watch.to_dict()["BTC"]
    assert row["windows_mean"] == 2.0
    assert (row["ladder_checks"], row["ladder_gap_mean"]) == (1, pytest.approx(0.02))
    states[1].book.replace(snapshot({39: 10}, {41: 10}), True)
    watch.observe(ClockTicked(NOW + 10 * SECOND_NS), [])
    row = watch.to_dict()["BTC"]
    assert row["ladder_checks"] == 2
    assert row["ladder_gap_mean"] == pytest.approx(0.02)
    assert row["ladder_gap_max"] == pytest.approx(0.02)
    states[0].phase = CLOSING
    watch.observe(ClockTicked(NOW + 20 * SECOND_NS), [])
    assert watch.to_dict()["BTC"]["ladder_checks"] == 2
