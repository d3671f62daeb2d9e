"""The daemon's side of a probe: a child that is killed, or dies, is told with what it said."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from polytrade.config import Config, Reload, Strategy
from polytrade.probe import ProbeAnswer, deadline_s
from polytrade.runtime.rehearsal import run_probe
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


async def test_trial_whose_time_is_over_ends_at_once(site: SiteFolder) -> None:
    site.install("bidder", maker_source())
    answer = await tried(-1.0)
    assert (answer.ok, answer.step) == (False, "probe")
