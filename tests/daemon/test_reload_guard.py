"""The guard in a whole daemon: what it sees, what it does, and what it does when it cannot."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from polytrade.core.units import ONE_E6
from tests.daemon.rig import Rig, running
from tests.plugin_projects import SiteFolder, maker_source, plugin_site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[SiteFolder]:
    with plugin_site(tmp_path / "site") as folder:
        yield folder


def newest(rig: Rig) -> dict[str, Any]:
    """The newest row of the history."""
    return rig.parts.reloader.history()[-1]


async def test_maker_that_fails_at_the_swap_itself_is_rolled_back(
    tmp_path: Path, site: SiteFolder
) -> None:
    counted = "        self.asked += 1\n"
    fails = (
        f"{counted}        if os.getpid() == {os.getpid()}:\n            raise ValueError('now')\n"
    )
    site.install("bidder", "import os\n" + maker_source().replace(counted, fails))
    settings = ("reload.guard_window_s=60", "reload.guard_max_errors=1")
    async with running(tmp_path, *settings) as rig:
        await rig.quoting()
        status, body = await rig.command("reload_strategy", plugin="bidder")
        assert status == 200, body
        await rig.until(lambda: rig.parts.guard.rollbacks == 1, "the rollback")
        assert newest(rig)["why"] == "1 plugin faults and overruns, bound 1"
        assert rig.parts.session.lineup.names["maker"] == "skewed"
        assert rig.engine.faults == {}
        await rig.trades_on()


async def test_guard_that_cannot_roll_back_pauses_and_says_so(
    tmp_path: Path, site: SiteFolder
) -> None:
    broken = tmp_path / "broken"
    check = f"\n    def __attrs_post_init__(self):\n        if os.path.exists({str(broken)!r}):"
    check += "\n            raise ValueError('gone')\n\n    def quotes("
    site.install("bidder", "import os\n" + maker_source().replace("\n    def quotes(", check))
    settings = ("reload.guard_window_s=60", "reload.guard_max_loss_usdc=5", "strategy.maker=bidder")
    async with running(tmp_path, *settings) as rig:
        await rig.until(rig.synced, "synced books")
        status, body = await rig.command("reload_strategy", plugin="skewed")
        assert status == 200, body
        broken.touch()
        rig.engine.ledger.cash_e6 -= 6 * ONE_E6
        await rig.until(lambda: rig.engine.risk.paused, "the pause")
        row = newest(rig)
        assert (row["name"], row["who"], row["step"]) == ("rollback", "guard", "settings")
        assert rig.parts.session.generation == 2
        _, health = await rig.health()
        (warning,) = [it for it in health["warnings"] if it.startswith("guard")]
        assert warning.startswith("guard could not roll back (settings): ")
        # Fills of that moment count, too.
        assert re.search(r"; [5-7](\.\d+)? USDC of equity lost, bound 5$", warning), warning
        assert health["paused"]
        await rig.until(lambda: not rig.quoted(), "no quote")
        assert rig.parts.observer.read().reloads.rolled_back == 0
        broken.unlink()
        assert (await rig.command("reload_strategy", min_edge_bps=3))[0] == 200
        _, health = await rig.health()
        assert not any(it.startswith("guard") for it in health["warnings"])
        assert health["paused"]
