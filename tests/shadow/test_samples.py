"""Samples and tallies: nearest rank, nothing for nothing, bounded."""

import pytest

from polytrade.shadow.samples import Samples, Tally, count_in


def samples(*values: float, most: int = 100) -> Samples:
    made = Samples(most)
    for value in values:
        made.add(value)
    return made


def test_percentiles_are_nearest_rank() -> None:
    ten = samples(*[float(n) for n in (7, 3, 10, 1, 9, 5, 2, 8, 4, 6)])
    assert ten.percentiles(0.1, 0.5, 0.51, 0.9, 1.0) == [1.0, 5.0, 6.0, 9.0, 10.0]
    assert samples(4.0).percentiles(0.01, 0.5, 1.0) == [4.0, 4.0, 4.0]


def test_nothing_measured_is_none_and_never_zero() -> None:
    empty = Samples()
    assert empty.percentiles(0.1, 0.5) == [None, None]
    assert empty.positive_ratio() is None
    assert empty.robust().p50 is None
    assert empty.robust().outlier_ratio is None
    assert Tally(2).ratio(0) is None


def test_oldest_samples_go_when_there_is_no_room_but_the_total_stays() -> None:
    few = samples(100.0, 1.0, 2.0, 3.0, 4.0, most=3)
    assert len(few) == 3
    assert few.percentiles(0.01, 1.0) == [2.0, 4.0]
    assert few.total == 110.0


def test_positive_ratio_does_not_count_zero() -> None:
    assert samples(-1.0, 0.0, 1.0, 2.0).positive_ratio() == 0.5


def test_robust_median_drops_what_lies_beyond_the_fences() -> None:
    # Quartiles 2 and 4: fences at -1 and 7.
    robust = samples(1.0, 2.0, 3.0, 4.0, 1_000.0).robust()
    assert robust.p50 == 2.0
    assert robust.outlier_ratio == 0.2
    kept = samples(1.0, 2.0, 3.0, 4.0, 7.0).robust()
    assert (kept.p50, kept.outlier_ratio) == (3.0, 0.0)


def test_fewer_than_five_samples_are_not_filtered() -> None:
    robust = samples(1.0, 2.0, 3.0, 1_000.0).robust()
    assert (robust.p50, robust.outlier_ratio) == (2.0, 0.0)


def test_tally_slides_over_the_last_shots() -> None:
    tally = Tally(4, most=3)
    for kind in (1, 1, 0, 3, 2):
        tally.add(kind)
    assert (len(tally), tally.total) == (3, 5)
    assert tally.counts == [1, 0, 1, 1]
    assert (tally.yes(0), tally.asked(0), tally.ratio(0)) == (0, 1, 0.0)
    assert tally.ratio(1) == 0.5


def test_bounds_of_the_contract() -> None:
    everything = Samples()
    for n in range(65_537):
        everything.add(float(n))
    assert len(everything) == 65_536
    assert everything.percentile(1e-9) == 1.0
    with pytest.raises(AssertionError):
        Samples(0)
    with pytest.raises(AssertionError):
        Tally(257)


def test_names_beyond_the_bound_are_counted_together() -> None:
    counts: dict[str, int] = {}
    for name in ("a", "b", "c", "a", "d"):
        count_in(counts, name, 2)
    assert counts == {"a": 2, "b": 1, "other": 2}


def test_number_that_is_none_is_refused() -> None:
    few = samples(1.0, 2.0)
    with pytest.raises(AssertionError, match="finite"):
        few.add(float("nan"))
    assert (few.total, few.percentiles(0.5, 1.0)) == (3.0, [1.0, 2.0])


def test_ordered_values_follow_what_is_kept() -> None:
    kept = samples(5.0, 5.0, 1.0, 5.0, 2.0, 9.0, most=4)  # the two oldest fives are gone
    assert kept.percentiles(0.25, 0.5, 0.75, 1.0) == [1.0, 2.0, 5.0, 9.0]
    assert kept.positive_ratio() == 1.0
