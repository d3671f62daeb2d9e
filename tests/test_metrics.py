"""The contract table, and the latency recorder against numpy."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polytrade.metrics import LatencyRecorder, Metric, Quantiles, Readings, RecordTimes

MS = 1_000_000


# The recorder.


@pytest.mark.parametrize("count", [1, 2, 100, 4095, 4096, 4097, 20_000])
def test_quantiles_are_within_a_bucket_of_numpy(count: int) -> None:
    rng = np.random.default_rng(count)
    samples = np.exp(rng.normal(12, 3, count)).astype(np.int64) + 1
    recorder = LatencyRecorder()
    for sample in samples:
        recorder.record(int(sample))
    for q in (0.5, 0.9, 0.99, 1.0):
        exact = float(np.quantile(samples, q, method="inverted_cdf"))
        found = recorder.quantile_ns(q)
        assert found is not None
        assert abs(found - exact) <= 0.011 * exact + 1
    whole = recorder.quantiles(1)
    assert whole.count == count
    assert whole.sum == int(samples.sum())
    assert whole.max == int(samples.max())


@given(st.lists(st.integers(-(2**40), 2**62), min_size=1, max_size=50), st.floats(0.01, 1))
def test_any_duration_is_kept_and_quantiles_stay_within_the_samples(
    samples: list[int], q: float
) -> None:
    recorder = LatencyRecorder()
    for sample in samples:
        recorder.record(sample)
    clamped = sorted(max(sample, 0) for sample in samples)
    exact = clamped[math.ceil(q * len(clamped)) - 1]
    found = recorder.quantile_ns(q)
    assert recorder.count == len(samples)
    assert found is not None
    assert clamped[0] <= found <= clamped[-1]
    assert abs(found - exact) <= 0.011 * exact + 1


def test_nothing_recorded_has_no_quantiles() -> None:
    recorder = LatencyRecorder()
    assert recorder.quantile_ns(0.5) is None
    assert recorder.quantiles(MS) == Quantiles()


def test_reset_forgets_folded_and_pending_samples() -> None:
    recorder = LatencyRecorder()
    for _ in range(LatencyRecorder.FOLD + 1):
        recorder.record(10 * MS)
    recorder.reset()
    assert recorder.quantiles(MS) == Quantiles()
    recorder.record(7 * MS)
    assert recorder.quantiles(MS) == Quantiles(count=1, sum=7.0, p50=7.0, p90=7.0, p99=7.0, max=7.0)


# The contract.


def test_readings_refuse_what_the_contract_does_not_know() -> None:
    readings = Readings()
    for name, labels in (
        ("no_such_metric", ()),
        ("feed_rate", ()),
        ("uptime_seconds", ("x",)),
        ("ack_only_ms", ()),
    ):
        with pytest.raises(AssertionError, match="metrics contract"):
            readings.put(name, 1, *labels)
    with pytest.raises(AssertionError, match="not a summary"):
        readings.put_summary("feed_rate", Quantiles())
    assert readings.values == {}
    assert readings.summaries == {}


def test_absent_value_stays_absent() -> None:
    readings = Readings()
    readings.put("uptime_seconds", None)
    assert readings.values == {}
    assert readings.value("uptime_seconds") is None


def test_prometheus_name_has_the_prefix() -> None:
    assert Metric("x_ms", "gauge", "ms", "X").prometheus == "polytrade_x_ms"


def test_records_noted_together_are_what_each_recorder_would_have_been_told() -> None:
    names = (
        *("source_latency_ms", "local_backlog_ms", "feed_in_ms"),
        *("decision_compute_ms", "tick_to_decision_ms"),
    )
    together = {name: LatencyRecorder() for name in names}
    apart = {name: LatencyRecorder() for name in names}
    times = RecordTimes(together)
    for at in range(RecordTimes.MOST + 3):
        late_ns = RecordTimes.NO_TIME_NS if at % 3 == 0 else at * 1_000 - 5_000
        times.record(late_ns, at * 10, at * 100)
        if at % 3:
            apart["source_latency_ms"].record(late_ns)
            apart["feed_in_ms"].record(late_ns + at * 10)
        apart["local_backlog_ms"].record(at * 10)
        apart["decision_compute_ms"].record(at * 100)
        apart["tick_to_decision_ms"].record(at * 110)
    assert together["local_backlog_ms"].count == RecordTimes.MOST
    times.fold()
    for name in names:
        assert together[name].quantiles(1_000) == apart[name].quantiles(1_000), name
