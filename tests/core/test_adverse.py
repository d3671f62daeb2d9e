"""Adverse selection: each markout in its cell, cells bounded, rows in order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polytrade.core.adverse import (
    CELL_SAMPLES_MAX,
    HOW_MAX,
    OTHER,
    TO_CLOSE_NAMES,
    AdverseRow,
    AdverseSelection,
    to_close_bucket,
)
from polytrade.core.markouts import NO_END_NS, Markout
from polytrade.core.units import SECOND_NS


def markout(bps: float, how: str, left_s: int, horizon: int = 0, net: float = 0.0) -> Markout:
    return Markout("f", "m", horizon, bps, net, 1, 0, how, left_s * SECOND_NS)


def place(row: AdverseRow) -> tuple[str, str, int, int]:
    return row.how, row.to_close, row.horizon_s, row.count


@pytest.mark.parametrize(
    ("left_ns", "name"),
    [
        (-5, "under_10s"),
        (10 * SECOND_NS - 1, "under_10s"),
        (10 * SECOND_NS, "10s_30s"),
        (59 * SECOND_NS, "30s_60s"),
        (60 * SECOND_NS, "60s_120s"),
        (299 * SECOND_NS, "120s_300s"),
        (300 * SECOND_NS, "300s_900s"),
        (900 * SECOND_NS, "900s_3600s"),
        (3_600 * SECOND_NS, "over_3600s"),
        (NO_END_NS, "over_3600s"),
    ],
)
def test_bucket_of_the_time_left(left_ns: int, name: str) -> None:
    assert TO_CLOSE_NAMES[to_close_bucket(left_ns)] == name


def test_rows_are_by_way_then_by_time_left_then_by_horizon() -> None:
    table = AdverseSelection()
    assert table.rows() == []
    for each in (
        markout(1.0, "taker", 5),
        markout(1.0, "queue reached", 200),
        markout(1.0, "queue reached", 5, 2),
        markout(1.0, "queue reached", 5, 0),
        markout(1.0, "queue reached", 5, 0),
    ):
        table.markout(each)
    assert [place(row) for row in table.rows()] == [
        ("queue reached", "under_10s", 1, 2),
        ("queue reached", "under_10s", 10, 1),
        ("queue reached", "120s_300s", 1, 1),
        ("taker", "under_10s", 1, 1),
    ]


def test_cell_tells_median_quartile_means_and_how_often_it_went_wrong() -> None:
    table = AdverseSelection()
    for bps in (-40.0, -10.0, 0.0, 30.0):
        table.markout(markout(bps, "taker", 5, 1, bps - 2.0))
    (row,) = table.rows()
    assert (row.p50_bps, row.p25_bps, row.mean_bps) == (-10.0, -40.0, -5.0)
    assert (row.mean_net_bps, row.adverse_ratio, row.count) == (-7.0, 0.5, 4)


def test_new_window_empties_the_table() -> None:
    table = AdverseSelection()
    table.markout(markout(1.0, "taker", 5))
    table.reset()
    assert table.rows() == []


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(-5, 5_000)), max_size=400))
def test_table_is_bounded_whatever_ways_are_named(fills: list[tuple[int, int]]) -> None:
    table = AdverseSelection()
    for how, left_s in fills:
        table.markout(markout(1.0, f"way {how}", left_s))
    rows = table.rows()
    assert sum(row.count for row in rows) == len(fills)
    assert len({row.how for row in rows}) <= HOW_MAX
    named = {f"way {how}" for how, _ in fills}
    assert any(row.how == OTHER for row in rows) == (len(named) >= HOW_MAX)


def test_cell_counts_on_when_its_samples_are_full() -> None:
    table = AdverseSelection()
    for _ in range(CELL_SAMPLES_MAX):
        table.markout(markout(-1.0, "taker", 5))
    for _ in range(CELL_SAMPLES_MAX):
        table.markout(markout(1.0, "taker", 5))
    (row,) = table.rows()
    assert (row.count, row.mean_bps, row.adverse_ratio) == (2 * CELL_SAMPLES_MAX, 1.0, 0.0)
