"""Plugins that are switched to, upgraded and broken under a trading daemon."""

import gc
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.rig import Rig, running
from tests.plugin_projects import SiteFolder, maker_source, plugin_site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[SiteFolder]:
    with plugin_site(tmp_path / "site") as folder:
        yield folder


async def post(rig: Rig, path: str, **body: Any) -> tuple[int, Any]:
    answer = await rig.client.post(f"{await rig.control_url()}{path}", json=body, timeout=60)
    return answer.status_code, answer.json()


async def row_of(rig: Rig, plugin: str) -> dict[str, Any]:
    """A plugin's row of `GET /plugins`."""
    body = (await rig.client.get(f"{await rig.control_url()}/plugins")).json()
    (row,) = [row for row in body["plugins"] if row["name"] == plugin]
    return dict(row)


async def bidding(rig: Rig, price_e4: int) -> None:
    """Wait until the bidder in force has this price and is asked for quotes."""
    maker: Any = rig.parts.session.lineup.maker
    assert maker.price_e4 == price_e4
    asked = maker.asked
    await rig.until(lambda: maker.asked > asked, f"quotes at {price_e4}")


def forgotten(old: "weakref.ref[Any]") -> bool:
    """Whether nothing holds it any more."""
    gc.collect()
    return old() is None


async def test_plugin_is_switched_to_upgraded_and_rolled_back(
    tmp_path: Path, site: SiteFolder
) -> None:
    async with running(tmp_path) as rig:
        await rig.quoting()
        site.install("bidder", maker_source(price_e4=100))
        status, body = await post(rig, "/control/reload_plugins")
        assert (status, body["appeared"], body["changed"]) == (200, ["bidder"], [])
        status, body = await post(rig, "/control/reload_strategy", plugin="bidder")
        assert status == 200, body
        assert (body["generation"], body["maker"]["plugin"]) == (2, "bidder")
        await bidding(rig, 100)
        first = weakref.ref(type(rig.parts.session.lineup.maker._inner._inner))
        old = weakref.ref(rig.parts.session.lineup.maker._inner._inner)

        site.install("bidder", maker_source(price_e4=200), version="1.1.0")
        status, body = await post(rig, "/control/reload_plugins")
        assert (body["appeared"], body["changed"]) == ([], ["bidder"])
        status, body = await post(rig, "/control/reload_strategy", code=True)
        assert status == 200, body
        await bidding(rig, 200)
        row = await row_of(rig, "bidder")
        assert (row["version"], row["generation"], row["active"]) == ("1.1.0", 3, ["maker/bidder"])
        await rig.until(lambda: forgotten(old), "the old one gone")
        assert first() is not None  # kept for a rollback, as code

        status, body = await post(rig, "/plugins/rollback", expected_generation=3)
        assert status == 200, body
        await bidding(rig, 100)
        assert (await row_of(rig, "bidder"))["version"] == "1.0.0"
        assert sys.modules["polytrade_bidder"].Bidder is first()
        status, body = await post(
            rig, "/control/reload_strategy", settings={"price_e4": 300}, min_edge_bps=5
        )
        assert body["maker"]["settings"] == {"price_e4": 300, "size": 5.0}
        await bidding(rig, 300)


RAISES = maker_source().replace("        self.asked += 1\n", "        raise KeyError('eek')\n")
SLEEPS = (
    maker_source()
    .replace("        self.asked += 1\n", "        import_time.sleep(0.05)\n")
    .replace("import attrs\n", "import time as import_time\n\nimport attrs\n")
)
BROKEN: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "syntax": ("def (", {}, "import", "SyntaxError"),
    "missing dependency": ("import no_such_thing\n", {}, "import", "no_such_thing"),
    "import that exits": ("import os\n\nos._exit(3)\n", {}, "import", "ended with status 3"),
    "no api": (maker_source().replace("polytrade_api = 1", ""), {}, "api", "polytrade_api"),
    "typo in a hook": (
        maker_source().replace("polytrade_makers", "polytrade_maker"),
        {},
        "hooks",
        "polytrade_maker",
    ),
    "wrong signature": (
        maker_source().replace("polytrade_makers()", "polytrade_makers(config)"),
        {},
        "hooks",
        "config",
    ),
    "name taken": (maker_source("skewed"), {}, "hooks", "skewed"),
    "invalid setting": (maker_source(), {"price_e4": "high"}, "settings", "price_e4"),
    "unknown setting": (maker_source(), {"prize": 5}, "settings", "unknown"),
    "raises": (RAISES, {}, "probe", "eek"),
    "sleeps": (SLEEPS, {}, "probe", "longer than"),
    "nonsense": (
        maker_source().replace('10.0, MAKER)], ""', "10.0, MAKER)]"),
        {},
        "probe",
        "expected a list",
    ),
    "takes memory": (
        RAISES.replace("raise KeyError('eek')", "self.all = [0] * 10**9"),
        {},
        "probe",
        "MemoryError",
    ),
}


async def test_broken_plugins_are_refused_with_the_step_and_harm_nothing(
    tmp_path: Path, site: SiteFolder
) -> None:
    site.install("bidder", maker_source(price_e4=100))
    budget = "reload.call_budget_us=20000"  # less than a call that sleeps takes
    async with running(tmp_path, "strategy.maker=bidder", budget) as rig:
        await rig.until(rig.synced, "synced books")
        lineup, modules = rig.parts.session.lineup, sys.modules["polytrade_bidder"]
        for name, (source, settings, step, why) in BROKEN.items():
            site.install("bidder", source, version="2.0.0")
            body: dict[str, Any] = {"code": True}
            if settings:
                body["settings"] = settings
            status, answer = await post(rig, "/control/reload_strategy", **body)
            error = answer.get("error")
            assert status == 409, (name, answer)
            assert error["step"] == step, (name, error)
            assert why in error["message"], (name, error)
        assert rig.parts.session.lineup is lineup
        assert sys.modules["polytrade_bidder"] is modules
        site.installed["polytrade-bidder"].file.unlink()
        status, answer = await post(rig, "/control/reload_strategy", code=True)
        assert (status, answer["error"]["step"]) == (409, "find"), answer
        site.install("bidder", maker_source())
        site.uninstall("polytrade-bidder")
        status, answer = await post(rig, "/control/reload_strategy", code=True)
        assert (status, answer["error"]["step"]) == (409, "find"), answer
        assert "not installed" in answer["error"]["message"]
        assert rig.parts.reloader.generation == 1
        await bidding(rig, 100)


async def test_import_that_never_ends_is_refused_in_time_and_harms_nothing(
    tmp_path: Path, site: SiteFolder
) -> None:
    site.install("bidder", maker_source(price_e4=100))
    async with running(tmp_path, "strategy.maker=bidder", "reload.probe_s=3") as rig:
        await rig.until(rig.synced, "synced books")
        modules = sys.modules["polytrade_bidder"]
        site.install("bidder", "while True:\n    pass\n", version="2.0.0")
        status, answer = await post(rig, "/control/reload_strategy", code=True)
        assert (status, answer["error"]["step"]) == (409, "import"), answer
        assert "did not end within 3 s" in answer["error"]["message"]
        assert sys.modules["polytrade_bidder"] is modules
        assert rig.parts.reloader.generation == 1
        await bidding(rig, 100)


SCRIBE = '''
"""Writes every notice into a file."""

import pathlib

import attrs

from polytrade.api import hookimpl

polytrade_api = 1


@attrs.define
class Scribe:
    """Appends a line a notice to `path`."""

    path: str
    kinds: tuple[str, ...] = ("reload", "stopped")

    async def notify(self, notices, http):
        with pathlib.Path(self.path).open("a") as file:
            file.writelines(f"{notice.kind}: {notice.text}\\n" for notice in notices)


@hookimpl
def polytrade_notifiers():
    return {"scribe": Scribe}
'''


def tasks(rig: Rig) -> set[str]:
    """The names of the tasks that are told of."""
    return {row.name for row in rig.parts.tasks.rows()}


async def test_notifier_comes_and_goes_by_a_reload_and_hears_of_reloads(
    tmp_path: Path, site: SiteFolder
) -> None:
    book = tmp_path / "notices.txt"
    async with running(tmp_path) as rig:
        await rig.until(rig.synced, "synced books")
        site.install("scribe", SCRIBE)
        body = {"notifiers": ["scribe"], "settings": {"scribe": {"path": str(book)}}}
        status, answer = await post(rig, "/control/reload_plugins", notifiers=["scribe"])
        assert (status, answer["error"]["step"]) == (409, "settings"), answer
        assert answer["error"]["field"] == "settings.scribe.path"
        status, answer = await post(rig, "/control/reload_plugins", **body)
        assert (status, answer["appeared"]) == (200, ["scribe"]), answer
        assert answer["plugins"]["notifiers"] == ["scribe"]
        assert (await row_of(rig, "scribe"))["active"] == ["notifier/scribe"]
        status, _ = await post(rig, "/control/reload_strategy", plugin="nobody")
        assert status == 409
        status, _ = await post(rig, "/control/reload_risk", max_open_orders=4)
        assert status == 200
        status, answer = await post(rig, "/control/reload_plugins", notifiers=[])
        assert (status, answer["plugins"]["notifiers"]) == (200, [])
        await rig.until(
            lambda: book.exists() and "generation 3" in book.read_text(), "what was told"
        )
        lines = book.read_text().splitlines()
        assert any("reload refused (find)" in line for line in lines), lines
        # Its last words written, its task is yet to end.
        await rig.until(lambda: "notifier scribe" not in tasks(rig), "the end of its task")
