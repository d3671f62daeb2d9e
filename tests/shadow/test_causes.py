"""Each outcome has one cause, by the first rule that fits."""

from typing import Any

import pytest

from polytrade.core.units import MS_NS
from polytrade.shadow.causes import CAUSE_NAMES, CAUSES, Outcome, cause_of

USDC = 1_000_000


def outcome(**changes: Any) -> Outcome:
    """A shot that filled whole and lost: the price moved against it."""
    made = Outcome("o1", "0xfeed", "BTC", 10 * USDC)
    fields: dict[str, Any] = {
        "survived": True,
        "filled_e6": 10 * USDC,
        "notional_e6": 5 * USDC,
        "pieces": 1,
        "heard": 1,
        "gross_e6": -100_000.0,
        "net_e6": -90_000.0,
        "edge_bps": 100.0,
        "late_edge_bps": 90.0,
        "spread_e4": 200,
        "answer_ns": 50 * MS_NS,
    }
    for name, value in {**fields, **changes}.items():
        setattr(made, name, value)
    return made


MISSED = {"filled_e6": 0, "pieces": 0, "heard": 0, "gross_e6": 0.0, "net_e6": 0.0}


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"valid": False}, "StaleQuote"),
        ({"book_age_ns": 1_501 * MS_NS}, "StaleQuote"),
        ({"reference_age_ns": 1_001 * MS_NS}, "StaleQuote"),
        ({"answer_ns": 451 * MS_NS}, "LatencyTail"),
        ({**MISSED, "survived": False}, "BookMoved"),
        ({"spread_e4": 301}, "SpreadTooWide"),
        (MISSED, "LiquidityThin"),
        ({"filled_e6": 4 * USDC, "gross_e6": 9_000.0, "net_e6": 8_000.0}, "LiquidityThin"),
        ({"gross_e6": 20_000.0, "net_e6": -1.0}, "FeeOverrun"),
        ({"late_edge_bps": 0.0}, "SignalLag"),
        ({"edge_bps": -5.0, "late_edge_bps": -5.0, "reduces": True}, "InventoryBias"),
        ({}, "AdverseSelection"),
        ({"edge_bps": -5.0, "late_edge_bps": -5.0}, "AdverseSelection"),
        ({"gross_e6": 30_000.0, "net_e6": 25_000.0}, "Unknown"),
        ({"heard": 0, "gross_e6": 0.0, "net_e6": 0.0}, "Unknown"),
    ],
)
def test_cause_of_an_outcome(changes: dict[str, Any], cause: str) -> None:
    assert cause_of(outcome(**changes)) == cause


def test_gain_needs_no_cause_whatever_its_circumstances() -> None:
    lucky = outcome(gross_e6=1.0, net_e6=1.0, spread_e4=900, answer_ns=900 * MS_NS)
    assert cause_of(lucky) == "Unknown"


def test_table_has_the_causes_of_the_contract_each_once() -> None:
    assert set(CAUSE_NAMES) == {
        *("StaleQuote", "BookMoved", "SpreadTooWide", "LiquidityThin", "LatencyTail"),
        *("FeeOverrun", "AdverseSelection", "InventoryBias", "SignalLag", "Unknown"),
    }
    assert len(CAUSE_NAMES) == 10
    assert all(cause.doc for cause in CAUSES)


def test_worth_is_known_once_every_part_has_its_markout() -> None:
    assert outcome().net_usdc() == -0.09
    assert outcome(pieces=2).net_usdc() is None
    assert outcome(**MISSED).net_usdc() is None
