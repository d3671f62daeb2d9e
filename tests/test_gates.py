"""The gates: each can hold and fail, an empty sample fails by name, a young window is not ready."""

import attrs
import pytest

from polytrade.gates import GATES, READY_OUTCOMES, Gate, evaluate

GOOD: dict[str, float | None] = {
    "data_valid_ratio": 0.999,
    "seq_gap_rate": 0.001,
    "ts_inversion_rate": 0.0005,
    "tick_to_ack_p99_ms": 449.9,
    "decision_compute_p99_ms": 1.9,
    "feed_in_p99_ms": 799.9,
    "executed_over_eligible": 0.60,
    "quote_block_ratio": 0.0999,
    "policy_block_ratio": 0.0999,
    "ev_net_usdc_p50": 0.001,
    "roi_notional_10s_bps_p50": 0.1,
    "net_markout_10s_usdc_p50": 0.001,
    "fillability_10ms": 0.60,
    "net_edge_p50_bps": 0.1,
    "net_edge_p10_bps": -1.0,
    "book_freshness_ms": 1499.0,
    "ref_freshness_ms": 999.0,
}
BAD: dict[str, float] = {
    "data_valid_ratio": 0.9989,
    "seq_gap_rate": 0.0011,
    "ts_inversion_rate": 0.00051,
    "tick_to_ack_p99_ms": 450.0,
    "decision_compute_p99_ms": 2.0,
    "feed_in_p99_ms": 800.0,
    "executed_over_eligible": 0.59,
    "quote_block_ratio": 0.10,
    "policy_block_ratio": 0.10,
    "ev_net_usdc_p50": 0.0,
    "roi_notional_10s_bps_p50": 0.0,
    "net_markout_10s_usdc_p50": 0.0,
    "fillability_10ms": 0.59,
    "net_edge_p50_bps": 0.0,
    "net_edge_p10_bps": -1.1,
    "book_freshness_ms": 1500.0,
    "ref_freshness_ms": 1000.0,
}


def test_every_gate_of_the_contract_holds_just_inside_its_limit() -> None:
    assert [gate.metric for gate in GATES] == list(GOOD)
    result = evaluate(GOOD, READY_OUTCOMES)
    assert (result.ready, result.passed, result.fail_reasons) == (True, True, ())


@pytest.mark.parametrize("gate", GATES, ids=lambda gate: gate.metric)
def test_each_gate_fails_alone_with_value_and_limit(gate: Gate) -> None:
    result = evaluate({**GOOD, gate.metric: BAD[gate.metric]}, READY_OUTCOMES)
    (reason,) = result.fail_reasons
    value = f"{BAD[gate.metric]:.6g}"
    assert reason == f"{gate.metric} {value}, wanted {gate.comparison} {gate.limit:g}"
    assert result.ready
    assert not result.passed


@pytest.mark.parametrize("gate", GATES, ids=lambda gate: gate.metric)
def test_empty_sample_fails_its_gate_by_name(gate: Gate) -> None:
    missing = {name: value for name, value in GOOD.items() if name != gate.metric}
    wanted = f"{gate.metric} no sample, wanted {gate.comparison} {gate.limit:g}"
    assert evaluate(missing, READY_OUTCOMES).fail_reasons == (wanted,)
    assert evaluate({**GOOD, gate.metric: None}, READY_OUTCOMES).fail_reasons == (wanted,)


@pytest.mark.parametrize("gate", GATES, ids=lambda gate: gate.metric)
def test_no_number_holds_no_gate(gate: Gate) -> None:
    assert not evaluate({**GOOD, gate.metric: float("nan")}, READY_OUTCOMES).passed


def test_window_of_29_outcomes_is_not_ready_and_does_not_pass() -> None:
    result = evaluate(GOOD, 29)
    assert not result.ready
    assert not result.passed
    assert result.to_dict() == {
        "gate_ready": False,
        "gate_passed": False,
        "gate_fail_reasons": ["window_outcomes 29, wanted >= 30"],
    }


def test_nothing_measured_fails_every_gate() -> None:
    assert len(evaluate({}, 0).fail_reasons) == len(GATES) + 1


def test_gates_are_written_as_people_write_them() -> None:
    assert GATES[0].text() == "data_valid_ratio >= 0.999"
    with pytest.raises(ValueError, match="comparison"):
        attrs.evolve(GATES[0], comparison="==")
