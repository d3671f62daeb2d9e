"""The toxicity report: open markets only, and a verdict that nothing passes for want of samples."""

from typing import Any

from polytrade.core.events import MarketResolved
from polytrade.core.ids import YES
from polytrade.core.regimes import ToxicitySettings
from polytrade.reports.toxicity import toxicity_faults, toxicity_json
from tests.core.factory import MARKET
from tests.core.rig import Rig

ROWS: list[dict[str, Any]] = [{}] * 4
GOOD: dict[str, Any] = {"rows": ROWS, "average_tox_score": 0.65, "danger_count": 1}
MEASURED = {"pnl_10s_sample_count": 30, "pnl_10s_p50_bps": -17.5}
SETTINGS = ToxicitySettings()


def test_markets_in_danger_and_a_toxic_average_are_named() -> None:
    assert toxicity_faults(GOOD, MEASURED, SETTINGS) == []
    assert toxicity_faults(
        {**GOOD, "average_tox_score": 0.7, "danger_count": 2}, MEASURED, SETTINGS
    ) == [
        "average_tox_score 0.7, wanted <= 0.65",
        "danger_count / markets 0.5, wanted <= 0.25",
    ]


def test_nothing_passes_because_nothing_was_measured() -> None:
    assert toxicity_faults(GOOD, {"pnl_10s_p50_bps": None}, SETTINGS) == [
        "pnl_10s_sample_count 0, wanted >= 30",
        "pnl_10s_p50_bps no sample, wanted > -18",
    ]
    few = {"pnl_10s_sample_count": 29, "pnl_10s_p50_bps": 3.0}
    assert toxicity_faults(GOOD, few, SETTINGS) == ["pnl_10s_sample_count 29, wanted >= 30"]
    assert toxicity_faults({**GOOD, "rows": []}, MEASURED, SETTINGS) == ["no market is open"]


def test_median_markout_at_the_danger_limit_fails_and_the_limit_is_the_settings() -> None:
    bad = {**MEASURED, "pnl_10s_p50_bps": -18.0}
    assert toxicity_faults(GOOD, bad, SETTINGS) == ["pnl_10s_p50_bps -18, wanted > -18"]
    assert toxicity_faults(GOOD, bad, ToxicitySettings(markout_10s_danger_bps=-20.0)) == []


def test_market_that_is_over_is_left_out() -> None:
    rig = Rig()
    rig.open()
    rig.tick(100)
    told = toxicity_json(rig.engine, rig.ns)
    assert ([row["market_rank"] for row in told["rows"]], told["safe_count"]) == ([1], 1)
    rig.step(MarketResolved(0, MARKET, YES, "test"), 200)
    told = toxicity_json(rig.engine, rig.ns)
    assert (told["rows"], told["safe_count"], told["average_tox_score"]) == ([], 0, None)
