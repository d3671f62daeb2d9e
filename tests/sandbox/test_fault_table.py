"""The table of faults: what each kind takes, where it is known, what it is without being told."""

import pytest

from polytrade.sandbox.faults import FAULTS, FaultOrder, FaultRefused, parse_fault

PLAYBACK = {
    *("freeze", "garbage", "truncate", "drop_price_change", "duplicate", "reorder", "slow_drain"),
    *("tick_size", "close_mid_frame", "disconnect", "kill", "gamma", "clock_skew", "clear"),
}
LEAST = {
    "tick_size": {"asset": "1001"},
    "gamma": {"mode": "500"},
    "clock_skew": {"ms": -90},
}
"""What a kind does not do without."""


def test_playback_knows_exactly_the_faults_marked_so():
    assert {kind for kind, fault in FAULTS.items() if fault.playback} == PLAYBACK
    for kind in FAULTS.keys() - PLAYBACK:
        with pytest.raises(FaultRefused) as refused:
            parse_fault({"kind": kind, **LEAST.get(kind, {})})
        assert refused.value.reason == (
            f"{kind}: a capture played back cannot do this, only the live venue can"
        )


@pytest.mark.parametrize("kind", FAULTS)
def test_every_kind_can_be_ordered_live_with_no_more_than_it_needs(kind):
    assert LEAST.get(kind, {}).keys() == set(FAULTS[kind].needs)
    order = parse_fault({"kind": kind, **LEAST.get(kind, {})}, playback=False)
    assert order.kind == kind


@pytest.mark.parametrize("kind", FAULTS)
def test_every_field_named_in_the_table_is_one_of_an_order(kind):
    fields = {field.name for field in FaultOrder.__attrs_attrs__}
    assert FAULTS[kind].fields.keys() <= fields - {"kind"}
    assert FAULTS[kind].does


@pytest.mark.parametrize(
    ("kind", "name", "default"),
    [
        ("kill", "seconds", 1.0),
        ("freeze", "seconds", None),
        ("restart", "seconds", 30.0),
        ("restart", "post_only_seconds", 10.0),
        ("slow_drain", "ms", 100),
        ("delay", "ms", 3000),
        ("late_answer", "ms", 3000),
        ("rate_limit", "calls", "place"),
        ("rate_limit", "retry_s", 1.0),
        ("failed_trades", "rate", 1.0),
        ("tick_size", "tick", "0.001"),
        ("price_jump", "bps", 20),
        ("garbage", "n", 1),
    ],
)
def test_what_is_not_told_has_the_default_of_its_kind(kind, name, default):
    order = parse_fault({"kind": kind, **LEAST.get(kind, {})}, playback=False)
    assert getattr(order, name) == default


def test_null_is_the_same_as_not_told():
    assert parse_fault({"kind": "freeze", "seconds": None}) == FaultOrder("freeze")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"kind": "drop", "n": 1.5}, "n: expected a whole number, found 1.5"),
        ({"kind": "drop", "type": 5}, "type: expected text, found 5"),
        (
            {"kind": "delay", "ms": 60_001},
            "ms: expected a number from 0 to 60000, found 60001",
        ),
        (
            {"kind": "restart", "seconds": -1},
            "seconds: expected a number from 0 to 3600, found -1",
        ),
        (
            {"kind": "failed_trades", "rate": float("nan")},
            "rate: expected a number from 0 to 1, found nan",
        ),
        (
            {"kind": "rate_limit", "calls": "reads"},
            "calls: expected one of place, cancel, read, all, found 'reads'",
        ),
        (
            {"kind": "gamma", "mode": "503"},
            "mode: expected one of 500, 404, garbage, stale, found '503'",
        ),
        ({"kind": "gamma"}, "mode: expected what Gamma is to answer, found nothing"),
        (
            {"kind": "tick_size", "asset": "1", "tick": "0.02"},
            "tick: expected one of 0.1, 0.01, 0.005, 0.0025, 0.001, 0.0001, found '0.02'",
        ),
        ({"kind": "clear", "n": 1}, "clear takes no field 'n'"),
    ],
)
def test_a_live_order_outside_the_table_is_refused_with_what_was_expected(body, reason):
    with pytest.raises(FaultRefused) as refused:
        parse_fault(body, playback=False)
    assert refused.value.reason == reason


def test_only_a_live_gamma_can_be_stale():
    assert parse_fault({"kind": "gamma", "mode": "stale"}, playback=False).mode == "stale"
    with pytest.raises(FaultRefused) as refused:
        parse_fault({"kind": "gamma", "mode": "stale"})
    assert refused.value.reason == "mode: expected one of 500, 404, garbage, found 'stale'"


def test_a_refusal_tells_the_whole_table():
    rows = FaultRefused("no").answer()["allowed"]
    assert rows.keys() == FAULTS.keys()
    assert rows["restart"]["playback"] is False
    assert rows["disconnect"] == {
        "does": "the TCP connections are closed",
        "fields": {
            "endpoint": "socket endpoint, default market",
            "connection": "id of one connection, default every connection of the endpoint",
        },
        "playback": True,
    }
