"""Bounded samples and sums: every value by hand, and the bounds as laws."""

from math import ceil, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polytrade.core.samples import PerSecond, Samples
from polytrade.core.units import SECOND_NS


def filled(values: list[float], most: int = 100) -> Samples:
    samples = Samples(most)
    for at, value in enumerate(values):
        samples.add(value, at)
    return samples


def test_percentiles_are_nearest_rank() -> None:
    samples = filled([15.0, 20.0, 35.0, 40.0, 50.0])
    found = [samples.percentile(percent) for percent in (1, 20, 25, 30, 40, 50, 99, 100)]
    assert found == [15.0, 15.0, 20.0, 20.0, 20.0, 35.0, 50.0, 50.0]


def test_percentile_and_mean_of_an_empty_sample_are_none() -> None:
    samples = Samples(3)
    assert samples.percentile(50) is None
    assert samples.mean() is None
    assert (samples.percentile_or_zero(50), samples.count) == (0.0, 0)


def test_oldest_goes_beyond_the_bound() -> None:
    samples = filled([9.0, 1.0, 2.0, 3.0], most=3)
    assert (samples.count, samples.percentile(100), samples.mean()) == (3, 3.0, 2.0)


def test_what_is_too_old_expires() -> None:
    samples = Samples(10, keep_ns=5)
    samples.add(1.0, 100)
    samples.add(2.0, 103)
    assert not samples.expire(105)
    assert samples.expire(106)
    assert (samples.count, samples.percentile(50)) == (1, 2.0)
    assert samples.expire(1_000)
    assert samples.percentile(50) is None


def test_below_counts_smaller_values_only() -> None:
    assert filled([-2.0, -1.0, 0.0, 0.0, 3.0]).below(0.0) == 2


def test_sample_that_is_no_number_is_refused() -> None:
    samples = filled([1.0])
    with pytest.raises(AssertionError, match="finite"):
        samples.add(nan, 2)
    with pytest.raises(AssertionError, match="percent"):
        samples.percentile(0)
    with pytest.raises(AssertionError, match="positive bounds"):
        Samples(0)
    assert (samples.count, samples.percentile(50)) == (1, 1.0)


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60),
    st.integers(1, 20),
    st.integers(1, 100),
)
def test_percentile_is_that_of_the_newest_values(
    values: list[float], most: int, percent: int
) -> None:
    kept = sorted(values[-most:])
    samples = filled(values, most)
    assert samples.count == len(kept)
    assert samples.percentile(percent) == kept[max(ceil(percent * len(kept) / 100), 1) - 1]


def test_sum_covers_the_running_second_and_those_before_it() -> None:
    counts = PerSecond(3, 10 * SECOND_NS)
    counts.add(1, 10 * SECOND_NS)
    counts.add(2, 11 * SECOND_NS + 5)
    counts.add(4, 12 * SECOND_NS)
    assert (counts.total, counts.span_s(), counts.last(1), counts.last(2)) == (7, 3, 4, 6)
    counts.add(8, 13 * SECOND_NS)
    assert (counts.total, counts.span_s(), counts.last(9)) == (14, 3, 14)


def test_sum_is_empty_after_a_silence() -> None:
    counts = PerSecond(3, 0)
    counts.add(5, 0)
    counts.move(2 * SECOND_NS)
    assert (counts.total, counts.last(1)) == (5, 0)
    counts.move(1_000 * SECOND_NS)
    assert (counts.total, counts.last(3), counts.span_s()) == (0, 0, 3)


def test_negative_amount_or_empty_span_is_refused() -> None:
    counts = PerSecond(2, 0)
    with pytest.raises(AssertionError, match="amount"):
        counts.add(-1, 0)
    with pytest.raises(AssertionError, match="span"):
        PerSecond(0, 0)
    assert counts.total == 0


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), max_size=50), st.integers(1, 6))
def test_sum_is_that_of_the_last_seconds(steps: list[tuple[int, int]], seconds: int) -> None:
    counts = PerSecond(seconds, 0)
    added: list[tuple[int, int]] = []
    now = 0
    for step, amount in steps:
        now += step
        counts.add(amount, now * SECOND_NS)
        added.append((now, amount))
        assert counts.total == sum(n for at, n in added if at > now - seconds)
        assert counts.last(seconds) == counts.total
