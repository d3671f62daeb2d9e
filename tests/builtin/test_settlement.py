"""The law of a settlement against a million simulated ones, and what is locked in of an average."""

from functools import cache
from math import log, sqrt

import numpy as np
import pytest

from polytrade.builtin.distributions import normal_cdf
from polytrade.builtin.settlement import (
    Law,
    Locked,
    average_law,
    lock,
    open_reports,
    spot_law,
    sum_variance,
    walk_seconds,
)
from polytrade.core.events import ReferenceTicked
from polytrade.core.ids import ANCHOR, FAST
from polytrade.core.reference import SymbolReference
from polytrade.core.units import MS_NS, SECOND_NS
from tests.builtin.paths import PATHS, Case, Floats, sums_to_come
from tests.core.factory import END_NS, market

SIGMA = 5e-5  # 0.5 bp per sqrt second, about 28 % a year
STORM = 5e-4
PRICE = 60_000.0
DEVIATIONS = (-8.0, -3.5, -2.0, -1.0, -0.3, 0.0, 0.5, 1.5, 3.0, 8.0)
"""Strikes, in standard deviations of the settlement below its mean: evens to the extremes."""

# sigma, seconds left, look-back (0 settles on the spot). Well outside, at the border, just inside,
# half way, the last reports and between two of them.
CASES = (
    (SIGMA, 240.0, 0),
    (SIGMA, 0.4, 0),
    (STORM, 900.0, 0),
    (SIGMA, 240.0, 60),
    (STORM, 900.0, 60),
    (SIGMA, 60.0, 60),
    (SIGMA, 59.5, 60),
    (SIGMA, 30.25, 60),
    (SIGMA, 12.0, 30),
    (SIGMA, 2.5, 60),
    (SIGMA, 1.0, 60),
    (SIGMA, 0.3, 30),
)


@cache
def simulated() -> dict[Case, Floats]:
    return sums_to_come(CASES, 20260807)


def past_of(left_s: float, lookback: int) -> Locked:
    """The reports of the case that are past: 2 bps above the price, all heard."""
    locked = Locked()
    locked.reports = locked.heard = lookback - open_reports(left_s, lookback)
    locked.total = locked.reports * PRICE * 1.0002
    return locked


@pytest.mark.parametrize(("sigma", "left_s", "lookback"), CASES)
def test_probability_is_that_of_a_million_settlements(
    sigma: float, left_s: float, lookback: int
) -> None:
    """Within 3 standard errors at every strike, near the end and at the extremes."""
    sums = simulated()[sigma, left_s, lookback] * PRICE
    if lookback:
        locked = past_of(left_s, lookback)
        law = average_law(PRICE, sigma, left_s, lookback, locked)
        settled = (sums + locked.total) / lookback
    else:
        law = spot_law(PRICE, sigma, left_s)
        settled = sums
    deviation = sqrt(law.variance)
    assert abs(settled.mean() - law.mean) < 3.0 * deviation / sqrt(PATHS)
    for deviations in DEVIATIONS:
        strike = law.mean - deviations * deviation
        fair = law.above(strike)
        share = float((settled >= strike).mean())
        error = sqrt(fair * (1.0 - fair) / PATHS)
        assert abs(share - fair) <= 3.0 * error + 1e-12, (deviations, share, fair, error)


def test_range_is_a_difference_of_digitals() -> None:
    settled = simulated()[SIGMA, 240.0, 60] * PRICE / 60
    law = average_law(PRICE, SIGMA, 240.0, 60)
    low, high = PRICE * 0.9998, PRICE * 1.0003
    fair = law.between(low, high)
    share = float(((settled >= low) & (settled < high)).mean())
    assert fair == law.above(low) - law.above(high)
    assert abs(share - fair) <= 3.0 * sqrt(fair * (1.0 - fair) / PATHS)
    with pytest.raises(ValueError, match="expected 0 < low < high"):
        law.between(high, low)


def test_integral_of_the_specification_is_the_limit_of_many_reports() -> None:
    """With reports every 1/k s: k^-2 times the variance of the sum over the same look-back."""
    left_s, lookback = 100.0, 60.0
    for k, within in ((1, 0.013), (10, 0.0013), (1_000, 0.000013)):
        n = round(lookback * k)
        variance = sum_variance(n, left_s * k - (n - 1)) / k / n**2
        integral = left_s - lookback + lookback / 3.0
        assert variance == pytest.approx(integral, rel=within)
    inside = sum_variance(20_000, 1.0) / 1_000**3 / 60**2
    assert inside == pytest.approx(20.0**3 / (3 * 60**2), rel=1e-4)


def test_integral_would_miss_a_million_settlements_where_the_discrete_variance_does_not() -> None:
    settled = simulated()[SIGMA, 2.5, 60] * PRICE
    strike = 3 * PRICE - 2.0 * SIGMA * PRICE
    share = float((settled >= strike).mean())
    error = sqrt(share * (1.0 - share) / PATHS)
    exact = normal_cdf(2.0 / sqrt(sum_variance(3, 0.5)))
    integral = normal_cdf(2.0 / sqrt(2.5**3 / 3.0))
    assert abs(share - exact) <= 3.0 * error
    assert abs(share - integral) > 50.0 * error


def test_variance_of_a_sum_is_that_of_its_pairs() -> None:
    for reports, first_s in ((1, 0.3), (2, 1.0), (7, 0.01), (60, 181.0)):
        times = [first_s + step for step in range(reports)]
        pairs = sum(min(a, b) for a in times for b in times)
        assert sum_variance(reports, first_s) == pytest.approx(pairs)


@pytest.mark.parametrize(
    ("left_s", "reports"), [(61.0, 60), (60.0, 60), (59.5, 60), (59.0, 59), (0.1, 1), (0.0, 0)]
)
def test_reports_to_come(left_s: float, reports: int) -> None:
    assert open_reports(left_s, 60) == reports


def test_law_without_variance_is_sure() -> None:
    assert Law(100.0, 0.0).above(100.0) == 1.0
    assert Law(100.0, 0.0).above(100.01) == 0.0


def test_spot_score_is_that_of_the_option_formula() -> None:
    law = spot_law(60_030.0, SIGMA, 100.0)
    spread = SIGMA * SIGMA * 100.0
    expected = (log(60_030.0 / PRICE) - spread / 2.0) / sqrt(spread)
    assert law.score(PRICE) == pytest.approx(expected, rel=1e-6)


def test_walk_to_a_settlement_in_seconds() -> None:
    assert walk_seconds(market(settle="spot", lookback_s=0), 80.0) == 80.0
    assert walk_seconds(market(), 100.0) == pytest.approx(41.0 + 59 * 119 / 360)
    assert walk_seconds(market(), 59.9) == 0.0


# -- what is locked in --------------------------------------------------------------------------


def heard(seconds: dict[int, float], now: int, price: float = 100.0) -> SymbolReference:
    """A reference that heard these reports (by seconds before the end) and a fast price now."""
    reference = SymbolReference("BTC", 30.0, 600.0)
    end_s = END_NS // SECOND_NS
    for before, value in seconds.items():
        at = (end_s - before) * SECOND_NS
        event = ReferenceTicked(now, "BTC", "rtds", ANCHOR, round(value * 1e8), at)
        reference.apply(event)
    reference.apply(ReferenceTicked(now, "BTC", "a", FAST, round(price * 1e8), now))
    return reference


def at(left_s: float) -> int:
    return END_NS - round(left_s * SECOND_NS)


def test_heard_reports_are_summed() -> None:
    """With 7.5 s left of a 10 s average the reports of 9 and 8 s before the end are past."""
    now = at(7.5)
    reference = heard({9: 101.0, 8: 103.0}, now)
    locked = lock(reference, END_NS, 10, now)
    assert (locked.reports, locked.heard, locked.late, locked.bridge) == (2, 2, 0, 0.0)
    assert locked.total == pytest.approx(204.0)
    assert locked.coverage() == 1.0


def test_report_of_before_the_average_is_not_in_it() -> None:
    now = at(9.0)
    locked = lock(heard({10: 50.0, 9: 101.0}, now), END_NS, 10, now)
    assert (locked.reports, locked.total) == (1, pytest.approx(101.0))


def test_gap_between_reports_is_bridged_with_the_variance_of_a_bridge() -> None:
    """Two missing reports between 100 and 106: a bridge over 3 s, at 1 and 2 s."""
    now = at(3.0)
    full = dict.fromkeys(range(9, 2, -1), 100.0) | {6: 106.0}
    whole = lock(heard(full, now), END_NS, 10, now)
    assert whole.bridge == 0.0
    gap = {before: value for before, value in full.items() if before not in (7, 8)}
    locked = lock(heard(gap, now), END_NS, 10, now)
    assert locked.heard == 5
    assert locked.total == pytest.approx(whole.total + 2.0 + 4.0)
    assert locked.bridge == pytest.approx(2 / 3 + 2 / 3 + 2 * (1 / 3))
    assert locked.coverage() == pytest.approx(5 / 7)


def test_simulated_bridge_has_that_variance() -> None:
    rng = np.random.default_rng(3)
    walk = np.cumsum(rng.standard_normal((200_000, 6)), axis=1)
    bridge = walk[:, :5] - walk[:, 5:] * np.arange(1, 6) / 6.0
    assert bridge.sum(axis=1).var() == pytest.approx(5 * 6 * 7 / 12, rel=0.01)


def test_reports_that_may_yet_come_are_the_fast_price_of_their_second() -> None:
    now = at(5.0)
    reference = SymbolReference("BTC", 30.0, 600.0)
    for before in (9, 8, 7):
        stamp = at(before)
        reference.apply(ReferenceTicked(now, "BTC", "rtds", ANCHOR, 100 * 10**8, stamp))
    for before, price in ((6, 104), (5, 108)):
        stamp = at(before)
        reference.apply(ReferenceTicked(stamp, "BTC", "a", FAST, price * 10**8, stamp))
    locked = lock(reference, END_NS, 10, now)
    assert (locked.reports, locked.heard, locked.late, locked.bridge) == (5, 3, 2, 0.0)
    assert locked.total == pytest.approx(300.0 + 104.0 + 108.0)
    assert locked.coverage() == 1.0


def test_late_reports_without_a_fast_price_lead_to_the_price_now() -> None:
    now = at(4.5)
    reference = heard({9: 100.0, 8: 100.0, 7: 100.0}, now, 104.0)
    locked = lock(reference, END_NS, 10, now)
    assert (locked.heard, locked.late) == (3, 2)
    assert locked.total == pytest.approx(300.0 + 2 * 102.0)
    assert locked.bridge == pytest.approx(2 * 3 * 4 / 12)


def test_unheard_beginning_is_the_first_report_heard_with_the_variance_of_a_free_walk() -> None:
    now = at(6.0)
    locked = lock(heard({6: 100.0}, now), END_NS, 10, now)
    assert (locked.reports, locked.heard) == (4, 1)
    assert locked.total == pytest.approx(400.0)
    assert locked.bridge == pytest.approx(sum_variance(3, 1.0))


def test_report_stamped_within_its_second_counts() -> None:
    now = at(8.0)
    reference = heard({8: 101.0}, now)
    event = ReferenceTicked(now, "BTC", "rtds", ANCHOR, 103 * 10**8, at(9.0) - 400 * MS_NS)
    reference.apply(event)
    assert lock(reference, END_NS, 10, now).total == pytest.approx(204.0)
