"""What happens around a reload: signals, clients that go, halts, slow plugins, the guard."""

import os
import re
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from polytrade.config import Config
from polytrade.core.limits import HALT
from polytrade.core.units import ONE_E6
from polytrade.errors import ConfigError
from polytrade.runtime.reload_requests import ReloadRefused, ReloadRequest
from tests.daemon.rig import Rig, running
from tests.plugin_projects import SiteFolder, maker_source, plugin_site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[SiteFolder]:
    with plugin_site(tmp_path / "site") as folder:
        yield folder


def last(rig: Rig) -> dict[str, Any]:
    """The newest row of the history."""
    rows = rig.parts.reloader.history()
    return rows[-1] if rows else {"generation": 1, "name": ""}


async def test_sighup_loads_the_configuration_again_or_says_what_needs_a_restart(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as rig:
        await rig.quoting()
        base = rig.daemon.config
        wanted: list[Config | ConfigError] = [
            attrs.evolve(base, risk=attrs.evolve(base.risk, max_open_orders=7)),
            attrs.evolve(base, universe=attrs.evolve(base.universe, windows_ahead=5)),
            ConfigError("no such file"),
        ]

        def load() -> Config:
            found = wanted.pop(0)
            if isinstance(found, ConfigError):
                raise found
            return found

        rig.daemon._load = load
        status, _ = await rig.command("reload_risk", max_open_orders=3, cooldown_sec=90)
        assert status == 200
        os.kill(os.getpid(), signal.SIGHUP)
        await rig.until(lambda: last(rig)["name"] == "config", "the reload of the configuration")
        assert rig.engine.risk.settings.max_open_orders == 7
        assert rig.parts.session.config.risk.cooldown_sec == base.risk.cooldown_sec
        assert (last(rig)["generation"], last(rig)["who"]) == (3, "SIGHUP")
        for code, text in (("restart_needed", "universe.windows_ahead"), ("invalid_value", "file")):
            seen = len(rig.parts.reloader.history())
            os.kill(os.getpid(), signal.SIGHUP)
            await rig.until(lambda seen=seen: len(rig.parts.reloader.history()) > seen, "a refusal")
            assert (last(rig)["code"], last(rig)["generation"]) == (code, 3)
            assert text in last(rig)["message"]
        await rig.trades_on()


WAITS = """
import pathlib
import time

pathlib.Path({0!r}).touch()
while not pathlib.Path({1!r}).exists():
    time.sleep(0.01)
"""


async def test_client_that_goes_changes_nothing_and_two_reloads_come_in_turn(
    tmp_path: Path, site: SiteFolder
) -> None:
    began, go = tmp_path / "began", tmp_path / "go"
    async with running(tmp_path) as rig:
        await rig.until(rig.synced, "synced books")
        site.install("bidder", maker_source() + WAITS.format(str(began), str(go)))
        url = f"{await rig.control_url()}/control/reload_strategy"
        async with trio.open_nursery() as client:
            client.start_soon(partial(rig.client.post, url, json={"plugin": "bidder"}))
            await rig.until(began.exists, "the trial")
            client.cancel_scope.cancel()
        assert rig.parts.reloader.generation == 1
        answers: list[Any] = []

        async def ask(**body: Any) -> None:
            answer = await rig.client.post(url, json=body, timeout=60)
            answers.append((answer.status_code, answer.json()["generation"]))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: ask(min_edge_bps=5))
            nursery.start_soon(lambda: ask(min_edge_bps=6))
            go.touch()
        assert sorted(answers) == [(200, 3), (200, 4)]
        rows = rig.parts.reloader.history()
        assert [row["generation"] for row in rows] == [2, 3, 4]
        assert rig.parts.session.config.strategy.maker == "bidder"
        stale = await rig.client.post(url, json={"ttl_ms": 500, "expected_generation": 2})
        assert (stale.status_code, stale.json()["error"]["code"]) == (409, "stale_generation")


async def test_reload_while_halted_and_paused_works_and_does_not_resume(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.quoting()
        await rig.command("pause")
        rig.parts.watch._set(HALT, "a test")
        await rig.until(lambda: rig.engine.risk.mode == HALT, "the halt")
        status, body = await rig.command("reload_strategy", min_edge_bps=9)
        assert (status, body["generation"]) == (200, 2)
        assert (rig.engine.risk.mode, rig.engine.risk.paused) == (HALT, True)
        await rig.pulled()


async def test_stop_in_the_middle_of_a_reload_is_clean(tmp_path: Path, site: SiteFolder) -> None:
    answers: list[Any] = []
    async with running(tmp_path) as rig:
        await rig.quoting()
        began = tmp_path / "began"
        told = f"pathlib.Path({str(began)!r}).write_text(str(os.getpid()))"
        told = f"import os\nimport pathlib\n\n{told}\n"
        site.install("bidder", f"{told}while True:\n    pass\n")

        async def ask(**fields: Any) -> None:
            request = ReloadRequest(name="strategy", who="test", **fields)
            answers.append(await rig.parts.reloader.reload(request))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: ask(plugin="bidder"))
            await rig.until(lambda: began.exists() and began.read_text() != "", "the trial")
            nursery.start_soon(lambda: ask(patch={"ttl_ms": 500}))
            waiting = rig.parts.reloader._requests.statistics
            await rig.until(lambda: waiting().current_buffer_used == 1, "one that waits")
            await rig.stop()
        assert [answer.code for answer in answers] == ["stopping", "stopping"]
        assert isinstance(answers[0], ReloadRefused)
        with pytest.raises(ProcessLookupError):  # the trial is not left behind
            os.kill(int(began.read_text()), 0)
        site.uninstall("polytrade-bidder")  # a replay imports what is installed
        rig.nothing_rests()


SLOW = maker_source(price_e4=100).replace(
    "        self.asked += 1\n",
    "        self.asked += 1\n        if GO.exists():\n            wait.sleep(0.05)\n",
)


async def test_slow_plugin_is_quarantined_told_and_revived_by_the_next_reload(
    tmp_path: Path, site: SiteFolder
) -> None:
    go = tmp_path / "go"
    head = (
        f"import pathlib\nimport time as wait\n\nGO = pathlib.Path({str(go)!r})\n\nimport attrs\n"
    )
    site.install("bidder", SLOW.replace("import attrs\n", head))
    async with running(tmp_path, "strategy.maker=bidder", "reload.call_budget_us=20000") as rig:
        await rig.until(rig.synced, "synced books")
        assert (await rig.health())[1]["faults"] == []
        go.touch()
        await rig.until(lambda: "maker" in rig.engine.faults, "the quarantine")
        await rig.pulled()
        status, body = await rig.health()
        assert (status, body["status"]) == (200, "degraded")
        (fault,) = body["faults"]
        assert (fault["role"], fault["name"]) == ("maker", "bidder")
        assert fault["why"].startswith("5 calls within 60 s took longer than 20000 us, the last ")
        assert rig.parts.observer.read().reloads.quarantined == 1
        go.unlink()
        status, body = await rig.command("reload_strategy")
        assert (status, body["generation"]) == (200, 2)
        assert rig.engine.faults == {}
        await rig.stop()
        rig.nothing_rests()


async def test_guard_rolls_back_what_loses_money(tmp_path: Path) -> None:
    settings = ("reload.guard_window_s=60", "reload.guard_max_loss_usdc=5")
    async with running(tmp_path, *settings) as rig:
        await rig.quoting()
        status, _ = await rig.command("reload_strategy", min_edge_bps=1)
        assert status == 200
        rig.engine.ledger.cash_e6 -= 6 * ONE_E6
        await rig.until(lambda: rig.parts.guard.rollbacks == 1, "the rollback")
        assert (last(rig)["name"], last(rig)["who"]) == ("rollback", "guard")
        assert last(rig)["generation"] == 3
        # Fills of that moment count, too.
        assert re.fullmatch(r"[5-7](\.\d+)? USDC of equity lost, bound 5", last(rig)["why"])
        assert rig.parts.session.config.strategy.min_edge_bps == 4.0
        # The guard counts when it has its answer, a moment after the row.
        await rig.until(
            lambda: rig.parts.observer.read().reloads.rolled_back == 1, "the guard's count"
        )
