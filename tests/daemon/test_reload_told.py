"""What a running daemon tells of reloads: names, settings, versions, what is on disk, changes."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest

from polytrade.config import Config
from polytrade.runtime import reloading
from tests.daemon.rig import WAIT_S, Rig, running
from tests.plugin_projects import SiteFolder, maker_source, plugin_site

CHECKED = (
    maker_source()
    .replace(
        "    asked: int",
        "    def __attrs_post_init__(self) -> None:\n        check(self)\n\n    asked: int",
    )
    .replace(
        "@hookimpl",
        "def check(bidder):\n    if bidder.size > 50:\n"
        "        raise ValueError(f'expected few shares, found {bidder.size:g} @ size')\n\n\n"
        "@hookimpl",
    )
)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[SiteFolder]:
    with plugin_site(tmp_path / "site") as folder:
        yield folder


async def post(rig: Rig, path: str, **body: Any) -> tuple[int, Any]:
    answer = await rig.client.post(f"{await rig.control_url()}{path}", json=body, timeout=60)
    return answer.status_code, answer.json()


async def rows(rig: Rig) -> dict[str, dict[str, Any]]:
    """The rows of `GET /plugins` by name."""
    body = (await rig.client.get(f"{await rig.control_url()}/plugins", timeout=60)).json()
    return {row["name"]: row for row in body["plugins"]}


async def test_setting_that_new_code_has_not_is_taken_back_by_null(
    tmp_path: Path, site: SiteFolder
) -> None:
    site.install("fader", maker_source())
    async with running(tmp_path) as rig:
        await rig.until(rig.synced, "synced books")
        status, body = await post(
            rig, "/control/reload_strategy", plugin="bidder", settings={"size": 7.0}
        )
        assert status == 200, body
        assert body["maker"]["settings"] == {"price_e4": 4000, "size": 7.0}
        assert sorted(body["versions"]) == ["builtin", "fader"]
        assert body["versions"]["fader"].startswith("1.0.0+sha256:")

        renamed = maker_source().replace("size: float", "width: float").replace(".size", ".width")
        site.install("fader", renamed, version="2.0.0")
        status, body = await post(rig, "/control/reload_strategy", code=True)
        error = body["error"]
        assert (status, error["step"], error["field"]) == (409, "settings", "settings.size")
        assert error["plugin"] == "fader 2.0.0"
        assert error["message"].startswith("unknown setting; null takes it away @ ")
        status, body = await post(
            rig, "/control/reload_strategy", code=True, settings={"size": None, "width": 8.0}
        )
        assert status == 200, body
        assert body["maker"]["settings"] == {"price_e4": 4000, "width": 8.0}
        assert rig.parts.session.config.plugins.settings == {"bidder": {"width": 8.0}}
        status, body = await post(rig, "/control/reload_plugins", settings={"bidder": None})
        assert status == 200, body
        assert rig.parts.session.config.plugins.settings == {}
        assert rig.parts.reloader.history()[-2]["patch"] == {
            "code": True,
            "settings": {"size": None, "width": 8.0},
        }


async def test_plugins_that_are_not_loaded_are_listed_and_named(
    tmp_path: Path, site: SiteFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reloading, "LOOK_S", WAIT_S)  # what is on disk is told if it was found
    site.install("bidder", CHECKED)
    async with running(tmp_path) as rig:
        await rig.until(rig.synced, "synced books")
        assert {name: row["on_disk"] for name, row in (await rows(rig)).items()} == {
            "builtin": None,
            "bidder": None,
        }
        site.install("class", maker_source("first-class"))
        site.install("bidder", CHECKED, version="1.1.0")
        told = await rows(rig)
        assert (told["class"]["loaded"], told["class"]["version"]) == (False, "1.0.0")
        assert told["bidder"]["loaded"]
        assert (told["bidder"]["version"], told["bidder"]["on_disk"]["version"]) == (
            "1.0.0",
            "1.1.0",
        )
        status, body = await post(rig, "/control/reload_strategy", plugin="clas")
        error = body["error"]
        assert (status, error["step"], error["field"]) == (409, "find", "plugin")
        names = error["allowed"].split(", ")
        assert {"skewed", "digital", "bidder", "class"} <= set(names)
        assert error["message"].endswith("(did you mean class?)")
        status, body = await post(rig, "/control/reload_plugins", risk_rules=["trading_ours"])
        error = body["error"]
        assert (status, error["step"], error["field"]) == (409, "find", "risk_rules")
        assert "did you mean trading_hours?" in error["message"]

        status, body = await post(
            rig,
            "/control/reload_strategy",
            plugin="bidder",
            code=True,
            settings={"size": 51.0},
        )
        error = body["error"]
        assert (status, error["step"], error["field"]) == (409, "settings", "settings.size")
        assert error["message"] == "expected few shares, found 51 @ plugins.settings.bidder.size"
        assert error["plugin"] == "bidder 1.1.0"
        assert rig.parts.reloader.generation == 1


async def test_reload_of_the_directory_and_rollback_say_what_they_changed(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.quoting()
        base = rig.daemon.config

        def load() -> Config:
            return attrs.evolve(
                base,
                risk=attrs.evolve(base.risk, max_open_orders=7),
                plugins=attrs.evolve(
                    base.plugins, settings={"trading_hours": {"hours": ("00:00-24:00",)}}
                ),
            )

        rig.daemon._load = load
        status, body = await post(rig, "/control/reload_risk", max_open_orders=3, cooldown_sec=90)
        assert status == 200, body
        os.kill(os.getpid(), signal.SIGHUP)
        reloader = rig.parts.reloader
        await rig.until(lambda: len(reloader.history()) == 2, "the reload of the configuration")
        row = reloader.history()[-1]
        assert row["result"] == "applied", row
        assert row["patch"] == {
            "risk.max_open_orders": [3, 7],
            "risk.cooldown_sec": [90, base.risk.cooldown_sec],
            "plugins.settings.trading_hours.hours": [None, ["00:00-24:00"]],
        }
        assert '"risk.max_open_orders":[3,7]' in rig.log.getvalue().replace(" ", "")
        status, body = await post(rig, "/plugins/rollback")
        assert status == 200, body
        assert body["config"]["risk"]["max_open_orders"] == 3
        assert list(body["versions"]) == ["builtin"]
        assert reloader.history()[-1]["patch"]["risk.max_open_orders"] == [7, 3]
        # The task that serves has written the line of one reload before it takes the next.
        (file,) = (rig.root / "reports").glob("*/config_reload.jsonl")
        assert orjson.loads(file.read_bytes())["patch"] == row["patch"]
