"""Scenario files: read strictly, carried out by the venue's clock."""

from pathlib import Path

import pytest
import trio

from polytrade.errors import ConfigError
from polytrade.sandbox.faults import FaultOrder, FaultRefused
from polytrade.sandbox.schedule import Schedule
from polytrade.sandbox.venue.scenario import Scenario, Step, load_scenario, parse_scenario
from tests.sandbox.venue.small_venue import SECOND, SmallVenue

EXAMPLE = Path(__file__).parents[3] / "configs" / "scenarios" / "rough-hour.toml"


def problems(text):
    with pytest.raises(ConfigError) as wrong:
        parse_scenario(text.encode(), "x.toml")
    return [str(problem) for problem in wrong.value.problems]


class Log:
    """A schedule with what was carried out on it: seconds and kind."""

    def __init__(self, text, refuse=()):
        self.schedule = Schedule(1_000 * SECOND)
        self.done = []
        self.refuse = refuse
        self.scenario = Scenario(parse_scenario(text.encode()), self.schedule, self.apply)
        self.scenario.start()

    def apply(self, order):
        if order.kind in self.refuse:
            raise FaultRefused("endpoint: not there")
        self.done.append(((self.schedule.now_ns / SECOND) - 1_000, order.kind))

    def run(self, to_s):
        self.schedule.run_until(int((1_000 + to_s) * SECOND))
        return self.done


def test_steps_are_read_with_their_times_and_faults():
    steps = parse_scenario(
        b"""
        [[fault]]
        at_s = 12.5
        kind = "freeze"
        seconds = 3
        [[fault]]
        at_s = 0
        every_s = 60
        times = 3
        kind = "drop"
        type = "book"
        [[fault]]
        at_s = 1
        every_s = 2
        kind = "clear"
        """
    )
    assert steps == (
        Step(12.5, FaultOrder("freeze", seconds=3.0)),
        Step(0.0, FaultOrder("drop", type="book"), every_s=60.0, times=3),
        Step(1.0, FaultOrder("clear"), every_s=2.0, times=0),
    )


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ["expected 1 to 500 tables [[fault]] @ fault (x.toml)"]),
        ("fault = 5", ["expected 1 to 500 tables [[fault]] @ fault (x.toml)"]),
        ("fault = [5]", ["expected a table, found 5 @ fault[0] (x.toml)"]),
        ('[[fault]]\nkind = "clear"\nat_s = 1\n[more]', ["unknown key @ more (x.toml)"]),
        (
            '[[fault]]\nkind = "clear"',
            ["expected seconds after the start @ fault[0].at_s (x.toml)"],
        ),
        (
            '[[fault]]\nat_s = 1\nkind = "clear"\ntimes = 2',
            ["expected every_s beside it @ fault[0].times (x.toml)"],
        ),
        (
            '[[fault]]\nat_s = -1\nkind = "clear"',
            ["expected float from 0 to 604800, found -1 @ fault[0].at_s (x.toml)"],
        ),
        (
            '[[fault]]\nat_s = nan\nkind = "clear"\nevery_s = 0.01\ntimes = 1.5',
            [
                "expected float from 0 to 604800, found nan @ fault[0].at_s (x.toml)",
                "expected float from 0.1 to 604800, found 0.01 @ fault[0].every_s (x.toml)",
                "expected int from 1 to 1000000, found 1.5 @ fault[0].times (x.toml)",
            ],
        ),
        ('[[fault]]\nat_s = 1\nkind = "boom"', ["unknown kind 'boom' @ fault[0] (x.toml)"]),
        (
            '[[fault]]\nat_s = 1\nkind = "clear"\nn = 2',
            ["clear takes no field 'n' @ fault[0] (x.toml)"],
        ),
        (
            '[[fault]]\nat_s = true\nkind = "clear"\n'
            '[[fault]]\nat_s = 1\nkind = "drop"\nn = 0\n'
            '[[fault]]\nat_s = 2\nkind = "gamma"',
            [
                "expected float from 0 to 604800, found true @ fault[0].at_s (x.toml)",
                "expected a number from 1 to 10000, found 0 @ fault[1].n (x.toml)",
                "expected what Gamma is to answer, found nothing @ fault[2].mode (x.toml)",
            ],
        ),
        ("#" * 65_537, ["expected at most 65536 bytes (x.toml)"]),
    ],
)
def test_everything_wrong_is_told_with_its_place(text, found):
    assert problems(text) == found


def test_too_many_steps_are_refused():
    text = '[[fault]]\nat_s = 1\nkind = "clear"\n'
    assert len(parse_scenario((text * 500).encode())) == 500
    assert problems(text * 501) == ["expected 1 to 500 tables [[fault]] @ fault (x.toml)"]


@pytest.mark.parametrize("data", [b"[[fault]\n", b"\xff"])
def test_what_is_no_toml_is_refused(data):
    with pytest.raises(ConfigError) as wrong:
        parse_scenario(data, "x.toml")
    assert str(wrong.value).endswith("(x.toml)")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.toml"):
        load_scenario(tmp_path / "none.toml")


def test_faults_happen_at_their_times_and_again():
    log = Log(
        '[[fault]]\nat_s = 2.5\nkind = "disconnect"\n'
        '[[fault]]\nat_s = 1\nevery_s = 2\ntimes = 3\nkind = "garbage"\n'
        '[[fault]]\nat_s = 4\nevery_s = 4\nkind = "clear"\n'
    )
    assert log.scenario.left == 3
    assert log.run(13) == [
        (1.0, "garbage"),
        (2.5, "disconnect"),
        (3.0, "garbage"),
        (4.0, "clear"),
        (5.0, "garbage"),
        (8.0, "clear"),
        (12.0, "clear"),
    ]
    assert log.scenario.left == 1
    assert log.scenario.done == {"garbage": 3, "disconnect": 1, "clear": 3}


def test_a_fault_that_cannot_be_carried_out_is_kept_and_the_rest_goes_on():
    log = Log(
        '[[fault]]\nat_s = 1\nevery_s = 1\ntimes = 2\nkind = "kill"\n'
        '[[fault]]\nat_s = 3\nkind = "clear"\n',
        refuse=("kill",),
    )
    assert log.run(4) == [(3.0, "clear")]
    assert list(log.scenario.refused) == [
        (1.0, "endpoint: not there"),
        (2.0, "endpoint: not there"),
    ]
    assert log.scenario.left == 0


def test_a_stopped_scenario_does_nothing_more():
    log = Log('[[fault]]\nat_s = 1\nevery_s = 1\nkind = "clear"\n')
    log.run(1)
    log.scenario.stop()
    assert log.run(5) == [(1.0, "clear")]
    assert log.scenario.left == 0
    assert log.schedule.next_ns() is None


async def test_the_example_runs_without_a_refusal_and_ends_well():
    await trio.lowlevel.checkpoint()
    venue = SmallVenue()
    # The venue stands for one whose windows roll on.
    venue.calendar.listings["btc-updown-5m-1763294400"].end_s += 7200
    steps = load_scenario(EXAMPLE)
    scenario = Scenario(steps, venue.schedule, lambda order: venue.troubles.apply(order, venue))
    scenario.start()
    venue.advance(3600)
    assert list(scenario.refused) == []
    assert set(scenario.done) == {step.order.kind for step in steps}
    assert venue.troubles.in_force() == []
