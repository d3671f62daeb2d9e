"""Our own fills 1, 5 and 10 s later, by engine, by how and by when."""

import pytest

from polytrade.core.events import FillFailed
from polytrade.core.ids import BUY, NO, YES
from tests.core.rig import bid
from tests.shadow.watched import Watched

REBATE = 0.2 * 0.07 * 0.48 * 0.52
"""Of a share bought at 48 by a maker, as an estimate."""


def filled(settled: bool = True) -> Watched:
    """10 YES bought at 48 by the maker at 100 ms; the mid stands at 50."""
    rig = Watched()
    rig.open()
    rig.want(bid(48), ms=60)
    rig.words.wishes = []
    rig.ms = 100
    rig.fill("o1", 10, settled)
    return rig


def test_markouts_are_taken_exactly_1_5_and_10_seconds_after_the_fill() -> None:
    rig = filled()
    rig.until(900)
    rig.level(BUY, 50, 5, ms=1_100)  # the mid is 51 at exactly 1 s
    rig.level(BUY, 50, 0, ms=1_101)
    rig.until(5_050)
    rig.level(BUY, 49, 5, ms=5_100)  # 50.5 at exactly 5 s
    rig.level(BUY, 49, 0, ms=5_101)
    rig.until(10_050)
    rig.level(BUY, 51, 5, ms=10_101)  # a moment too late: 50 at 10 s
    rig.tick(10_102)
    assert rig.values("pnl_1s_p50_bps", "pnl_5s_p50_bps", "pnl_10s_p50_bps") == pytest.approx(
        [3 / 48 * 1e4, 2.5 / 48 * 1e4, 2 / 48 * 1e4]
    )
    net_usdc = 10 * 0.02 + 10 * REBATE
    assert rig.values("net_markout_10s_usdc_p50") == pytest.approx([net_usdc], abs=2e-6)
    assert rig.values("roi_notional_10s_bps_p50") == pytest.approx([net_usdc / 4.8 * 1e4], abs=0.01)
    assert rig.values("pnl_10s_sample_count", "pnl_10s_outlier_ratio") == [1, 0.0]


def test_no_is_marked_against_the_mid_of_no() -> None:
    rig = Watched(rebate_rate_e6=0)
    rig.open()
    rig.buy(NO, 10, cents=40)
    rig.until(12_000)
    assert rig.values("pnl_10s_p50_bps") == pytest.approx([10 / 40 * 1e4])


def test_fill_that_failed_to_settle_never_was() -> None:
    rig = filled(settled=False)
    rig.step(FillFailed(0, "f1", "reverted"), ms=3_000)
    rig.until(12_000)
    assert rig.values("pnl_10s_sample_count", "net_markout_10s_usdc_p50") == [0, None]
    assert rig.report.pnl_by_engine[0].samples == 0


def test_markout_without_a_mid_is_missing_and_not_guessed() -> None:
    rig = filled()
    rig.until(6_000)
    rig.tick(10_000)  # silent for longer than a book is believed
    rig.tick(10_200)
    rig.until(12_000)
    assert rig.values("pnl_5s_p50_bps") == pytest.approx([2 / 48 * 1e4])
    assert rig.values("pnl_10s_p50_bps", "pnl_10s_sample_count") == [None, 0]


def test_profit_by_engine_has_a_row_for_each_and_adds_up() -> None:
    rig = filled()
    rig.until(12_000)
    rows = {row.engine: row for row in rig.report.pnl_by_engine}
    assert list(rows) == ["maker", "taker", "arb", "flatten"]
    total = 10 * (0.02 + REBATE)
    maker, taker = rows["maker"], rows["taker"]
    assert (maker.samples, maker.positive_ratio) == (1, 1.0)
    assert maker.total_usdc == pytest.approx(total, abs=2e-6)
    assert maker.p50_usdc == maker.p10_usdc == maker.total_usdc
    assert (taker.samples, taker.total_usdc, taker.p50_usdc) == (0, None, None)
    answer = rig.report.pnl_dict()
    assert answer["window_id"] == 1
    assert answer["breakdown"] == {
        "maker_usdc": maker.total_usdc,
        "taker_usdc": None,
        "arb_usdc": None,
    }


def test_adverse_selection_is_told_by_how_and_by_time_to_the_end() -> None:
    rig = filled()
    rig.until(12_000)
    rows = [(r.how, r.to_close, r.horizon_s, r.count) for r in rig.report.adverse_selection]
    assert rows == [("test", "120s_300s", horizon_s, 1) for horizon_s in (1, 5, 10)]


def test_repeated_fill_counts_once() -> None:
    rig = Watched()
    rig.open()
    rig.buy(YES, 10, cents=48)
    first = rig.fills
    rig.fills -= 1
    rig.fill("o1", 10, settled=False)
    assert rig.fills == first
    rig.until(12_000)
    assert rig.values("pnl_10s_sample_count") == [1]
