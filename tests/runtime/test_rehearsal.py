"""The daemon's side of a probe: a child that is killed, or dies, is told with what it said."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from polytrade.config import Config, Reload, Strategy
from polytrade.lineup import STATE_BYTES_MAX, build_lineup
from polytrade.probe import ProbeAnswer, deadline_s
from polytrade.runtime.rehearsal import NICENESS, run_probe, standing_states
from tests.plugin_projects import SiteFolder, maker_source, plugin_site

ALLOWED_S = 8.0
"""For the child to start in on a busy machine, before it is killed."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[SiteFolder]:
    with plugin_site(tmp_path / "site") as folder:
        yield folder


async def tried(allowed_s: float = 60.0) -> ProbeAnswer:
    """The maker `bidder` in a child that is killed after that time."""
    config = Config(
        strategy=Strategy(maker="bidder"), reload=Reload(probe_s=60, call_budget_us=1_000_000)
    )
    began_s = trio.current_time() + allowed_s - deadline_s(config)
    return await run_probe(config, [], {"bidder": ""}, {}, began_s)


async def test_good_plugin_passes(site: SiteFolder) -> None:
    site.install("bidder", maker_source())
    answer = await tried()
    assert answer.ok, answer
    assert answer.calls > 300


async def test_child_that_is_killed_is_told_with_its_plugin_and_step(site: SiteFolder) -> None:
    site.install("bidder", "import signal\nwhile True:\n    signal.pause()\n")
    answer = await tried(ALLOWED_S)
    assert (answer.ok, answer.step, answer.plugin) == (False, "import", "bidder")
    assert answer.why == "did not end within 60 s"


async def test_child_that_complains_at_length_is_told_with_its_last_line(site: SiteFolder) -> None:
    lines = "import os\n\nos.write(2, b'x' * (1 << 22) + b'\\nno licence\\n')\nos._exit(3)\n"
    site.install("bidder", lines)
    answer = await tried()
    assert (answer.step, answer.plugin) == ("import", "bidder")
    assert answer.why == "ended with status 3: no licence"


async def test_child_leaves_the_processors_to_the_daemon(site: SiteFolder) -> None:
    lines = "import os\nraise ValueError(os.getpriority(os.PRIO_PROCESS, 0))\n"
    site.install("bidder", lines)
    answer = await tried()
    ours = os.getpriority(os.PRIO_PROCESS, 0)
    assert f"ValueError: {min(ours + NICENESS, 19)}" in answer.why


async def test_trial_whose_time_is_over_ends_at_once(site: SiteFolder) -> None:
    site.install("bidder", maker_source())
    answer = await tried(-1.0)
    assert (answer.ok, answer.step) == (False, "probe")


PLAIN = Config()


class Keeper:
    """A plugin's object with a state; raises what it is given for one."""

    def __init__(self, state: Any) -> None:
        self.state = state

    def dump(self) -> Any:
        if isinstance(self.state, BaseException):
            raise self.state
        return self.state


def told(maker: Any, taker: Any, config: Config = PLAIN) -> dict[str, bytes]:
    """What the child is told of these objects, which are those in force."""
    lineup = attrs.evolve(build_lineup(Config()), maker=maker, taker=taker)
    return standing_states(lineup, config)


def test_child_is_told_the_states_of_what_stays_selected() -> None:
    both = {"maker/skewed": b'{"a":1}', "taker/none": b"[2]"}
    assert told(Keeper({"a": 1}), Keeper([2])) == both
    other = Config(strategy=Strategy(maker="control_mid"))
    assert told(Keeper({"a": 1}), Keeper([2]), other) == {"taker/none": b"[2]"}
    assert told(object(), Keeper([2])) == {"taker/none": b"[2]"}


@pytest.mark.parametrize(
    "state",
    [
        RuntimeError("half a state"),
        SystemExit(3),
        {"a": {1, 2}},
        {"a": "\udcff"},
        "x" * STATE_BYTES_MAX,
    ],
)
def test_object_that_cannot_say_its_state_keeps_nobody_from_a_trial(state: Any) -> None:
    assert told(Keeper(state), Keeper([2])) == {"taker/none": b"[2]"}
