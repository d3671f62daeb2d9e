"""Two plugins that put the same name together at run time collide only once both are loaded."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.rig import running
from tests.plugin_projects import SiteFolder, plugin_site
from tests.plugins.broken import steady


def offering(own: str) -> str:
    """A plugin of a maker under its own name, and under one that stands in no text."""
    return steady(own).replace(": Steady}", ": Steady, 'jo' + 'int': Steady}")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[SiteFolder]:
    with plugin_site(tmp_path / "site") as folder:
        yield folder


async def test_name_of_two_plugins_is_refused_with_both_and_the_one_in_force_quotes_on(
    tmp_path: Path, site: SiteFolder
) -> None:
    site.install("alder", offering("alder"))
    async with running(tmp_path, 'strategy.maker="alder"') as rig:
        await rig.quoting()
        site.install("birch", offering("birch"))
        status, body = await rig.command("reload_strategy", min_edge_bps=1)
        assert (status, body["generation"]) == (200, 2)

        status, body = await rig.command("reload_strategy", plugin="birch")
        error = body["error"]
        assert (status, error["code"], error["step"]) == (409, "reload_failed", "hooks")
        assert (error["plugin"], error["message"]) == (
            "birch 1.0.0",
            "offers 'joint', and so does alder",
        )
        assert rig.parts.session.generation == 2
        assert rig.engine.faults == {}
        await rig.trades_on()
        await rig.stop()
        rig.nothing_rests()
