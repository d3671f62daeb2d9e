"""The cost of a decision: what is counted, and that both sides decide what they say."""

import importlib
from collections import Counter
from pathlib import Path

import pytest

from polytrade.core.roles import FullShare, NoTaker

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"


@pytest.fixture
def deciding(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module("benchmarks.deciding")


def test_with_everything_on_taker_and_allocator_are_those_of_the_configuration(deciding):
    everything, alone = deciding.session(everything=True), deciding.session(everything=False)
    assert not isinstance(everything.lineup.taker, NoTaker)
    assert not isinstance(everything.lineup.allocator, FullShare)
    assert isinstance(alone.lineup.taker, NoTaker)
    assert isinstance(alone.lineup.allocator, FullShare)


def test_only_steps_that_decide_a_market_are_timed(deciding):
    tape = deciding.taped(400)
    times = deciding.decisions_ns(tape, everything=True)
    assert 0 < len(times) < len(tape)
    assert min(times) >= 0


@pytest.mark.parametrize("everything", [True, False])
def test_what_is_measured_places_orders(deciding, everything):
    session = deciding.session(everything=everything)
    tags = Counter(
        effect.TAG
        for event in deciding.traffic.mix(400)
        for _, effects in session.handle(event)
        for effect in effects
    )
    assert tags["place_order"] > 0


def test_quantile_is_the_nearest_rank(deciding):
    assert deciding.quantile([30, 10, 20], 0.5) == 20
    assert deciding.quantile(range(1, 101), 0.99) == 99
    assert deciding.quantile([7], 0.99) == 7


def test_equal_runs_decide_the_same_and_are_laid_together(deciding):
    tape = deciding.taped(400)
    runs = [deciding.decisions_ns(tape, everything=True) for _ in range(2)]
    least = deciding.least_ns(runs)
    assert len(least) == len(runs[0]) == len(runs[1])
    assert least[7] == min(runs[0][7], runs[1][7])


def test_the_tape_holds_what_the_venue_answered(deciding):
    tags = Counter(event.TAG for event in deciding.taped(400))
    assert tags["order_accepted"] > 0
