"""New code of everything in use, by `reload_plugins`, and code that is not there any more."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.rig import Rig, running
from tests.plugin_projects import SiteFolder, maker_source, plugin_site

RULE = '''
"""A rule that lets everything pass; `EDITION` tells its versions apart."""

import attrs

from polytrade.api import hookimpl

polytrade_api = 1
EDITION = "first"


@attrs.define
class Meek:
    """Refuses nothing."""

    checked: int = attrs.field(init=False, default=0)

    def check(self, request, context):
        self.checked += 1
        return ""


@hookimpl
def polytrade_risk_rules():
    """The rule."""
    return {"meek": Meek}
'''


@pytest.fixture
def site(tmp_path: Path) -> Iterator[SiteFolder]:
    with plugin_site(tmp_path / "site") as folder:
        folder.install("bidder", maker_source(price_e4=100))
        folder.install("meek", RULE)
        yield folder


async def reload_plugins(rig: Rig, **body: Any) -> tuple[int, Any]:
    url = f"{await rig.control_url()}/control/reload_plugins"
    answer = await rig.client.post(url, json=body, timeout=60)
    return answer.status_code, answer.json()


async def versions(rig: Rig) -> dict[str, tuple[str, int]]:
    """Version and generation of the installed plugins."""
    body = (await rig.client.get(f"{await rig.control_url()}/plugins")).json()
    return {
        row["name"]: (row["version"], row["generation"])
        for row in body["plugins"]
        if row["name"] != "builtin"
    }


def edition() -> str:
    """Of the rule in force."""
    found: str = sys.modules["polytrade_meek"].EDITION
    return found


def price_e4(rig: Rig) -> int:
    """Of the maker in force."""
    maker: Any = rig.parts.session.lineup.maker
    price: int = maker.price_e4
    return price


async def test_code_of_everything_in_use_is_loaded_or_the_whole_is_refused(
    tmp_path: Path, site: SiteFolder
) -> None:
    start = ('strategy.maker="bidder"', 'plugins.risk_rules=["meek"]')
    async with running(tmp_path, *start) as rig:
        await rig.until(rig.synced, "synced books")
        site.install("bidder", maker_source(price_e4=200), version="1.1.0")
        site.edit("polytrade-meek", 'EDITION = "first"', 'EDITION = "other"')
        status, body = await reload_plugins(rig)
        assert (status, body["changed"]) == (200, ["bidder", "meek"])
        assert await versions(rig) == {"bidder": ("1.0.0", 1), "meek": ("1.0.0", 1)}
        generation = body["generation"]

        status, body = await reload_plugins(rig, code=True)
        assert status == 200, body
        assert body["generation"] == generation + 1
        now = generation + 1
        assert await versions(rig) == {"bidder": ("1.1.0", now), "meek": ("1.0.0", now)}
        assert (edition(), sys.modules["polytrade_bidder"].__name__) == (
            "other",
            "polytrade_bidder",
        )
        assert rig.parts.session.lineup.maker.price_e4 == 200  # type: ignore[attr-defined]

        # One that cannot be loaded keeps the other's code out, too.
        lineup, modules = rig.parts.session.lineup, dict(sys.modules)
        site.install("bidder", maker_source(price_e4=300), version="1.2.0")
        site.install("meek", "def (", version="1.1.0")
        status, body = await reload_plugins(rig, code=True)
        assert (status, body["error"]["step"]) == (409, "import"), body
        assert body["error"]["plugin"].startswith("meek")
        assert "SyntaxError" in body["error"]["message"]

        # Gone: before the request, and between two requests that name it.
        site.uninstall("polytrade-meek")
        for asked in ({"code": True}, {"code": True, "risk_rules": ["meek"]}):
            status, body = await reload_plugins(rig, **asked)
            assert (status, body["error"]["step"]) == (409, "find"), body
            assert body["error"]["plugin"].startswith("meek")
            assert "not installed" in body["error"]["message"]
        assert rig.parts.session.lineup is lineup
        assert sys.modules["polytrade_bidder"] is modules["polytrade_bidder"]
        assert await versions(rig) == {"bidder": ("1.1.0", now), "meek": ("1.0.0", now)}
        status, body = await reload_plugins(rig)
        assert (status, body["vanished"], body["changed"]) == (200, ["meek"], ["bidder"])

        # What is in memory goes on, is told, and can be done without.
        maker: Any = rig.parts.session.lineup.maker
        asked_before = maker.asked
        await rig.until(lambda: maker.asked > asked_before, "the maker is asked")
        status, body = await reload_plugins(rig, risk_rules=[], code=True)
        assert status == 200, body
        assert price_e4(rig) == 300
        assert rig.parts.session.lineup.rules == ()
