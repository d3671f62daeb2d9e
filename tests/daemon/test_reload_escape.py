"""The way back stays open: whatever plugins do, there is a rollback, a pause and an answer."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from polytrade.core.units import ONE_E6
from polytrade.runtime import reloading
from polytrade.runtime.reload_requests import ReloadRefused, ReloadReply, ReloadRequest
from tests.daemon.rig import WAIT_S, Rig, running
from tests.plugin_projects import SiteFolder, maker_source, plugin_site

BIDDER = 'strategy.maker="bidder"'
DUMP = 'return {"asked": self.asked}'
RESTORE = 'self.asked = state["asked"]'
ASKED = "        self.asked += 1\n"
CHECK = "    def quotes("


@pytest.fixture
def site(tmp_path: Path) -> Iterator[SiteFolder]:
    with plugin_site(tmp_path / "site") as folder:
        yield folder


def version(price_e4: int, place: str = "", code: str = "") -> str:
    """A maker with some code instead of a place; `HERE` is true in the daemon, not in a trial."""
    source = maker_source(price_e4=price_e4)
    assert place in source
    head = f"import os\nimport pathlib\nimport time\n\nHERE = os.getpid() == {os.getpid()}\n"
    return head + (source.replace(place, code) if place else source)


async def post(rig: Rig, path: str, **body: Any) -> tuple[int, Any]:
    answer = await rig.client.post(f"{await rig.control_url()}{path}", json=body, timeout=60)
    return answer.status_code, answer.json()


async def reload_code(rig: Rig) -> int:
    """`POST /control/reload_strategy` for the code on disk; the generation it made."""
    status, body = await post(rig, "/control/reload_strategy", code=True)
    assert status == 200, body
    generation: int = body["generation"]
    return generation


async def roll_back(rig: Rig) -> int:
    """`POST /plugins/rollback`; the generation it made."""
    status, body = await post(rig, "/plugins/rollback")
    assert status == 200, body
    generation: int = body["generation"]
    return generation


def price_e4(rig: Rig) -> int:
    """Of the maker in force."""
    maker: Any = rig.parts.session.lineup.maker
    price: int = maker.price_e4
    return price


def anew(rig: Rig) -> list[str]:
    """What was told of plugins that began anew."""
    return [row[2] for row in rig.tap.rows if row[:2] == ["alarmed", "began_anew"]]


async def test_rollback_leaves_behind_a_state_that_the_old_code_does_not_take(
    tmp_path: Path, site: SiteFolder
) -> None:
    """Both the operator's and the guard's; and what is newer takes the older state as ever."""
    strict = f'if set(state) != {{"asked"}}:\n            raise KeyError("a")\n        {RESTORE}'
    site.install("bidder", version(100, RESTORE, strict))
    guard = ("reload.guard_window_s=60", "reload.guard_max_loss_usdc=5")
    async with running(tmp_path, *guard, BIDDER) as rig:
        await rig.until(rig.synced, "synced books")
        site.install("bidder", version(200, DUMP, 'return {"asked": 1_000_000, "spread": 7}'))
        assert await reload_code(rig) == 2
        assert (price_e4(rig), anew(rig)) == (200, [])

        assert await roll_back(rig) == 3
        assert price_e4(rig) == 100
        (told,) = anew(rig)
        assert told.startswith("maker bidder: restore: KeyError: 'a' (polytrade_bidder.py, line ")
        maker: Any = rig.parts.session.lineup.maker
        assert maker.asked < 1_000_000
        assert rig.engine.faults == {}

        assert await reload_code(rig) == 4
        rig.engine.ledger.cash_e6 -= 6 * ONE_E6
        await rig.until(lambda: rig.parts.guard.rollbacks == 1, "the guard")
        rows = rig.parts.reloader.history()
        assert [(row["generation"], row["who"]) for row in rows][3:] == [(5, "guard")]
        assert (price_e4(rig), len(anew(rig))) == (100, 2)


async def test_maker_that_cannot_say_its_state_is_replaced_and_rolled_back_all_the_same(
    tmp_path: Path, site: SiteFolder
) -> None:
    site.install("bidder", version(100))
    async with running(tmp_path, BIDDER) as rig:
        await rig.until(rig.synced, "synced books")
        broken = f'if HERE:\n            raise RuntimeError("half a state")\n        {DUMP}'
        site.install("bidder", version(200, DUMP, broken), version="1.1.0")
        assert await reload_code(rig) == 2

        # Its neighbours' settings, and its own section's, are none of its business.
        for path, body in (
            ("/control/reload_allocator", {"capital_fraction_kelly": 0.2}),
            ("/control/reload_strategy", {"ttl_ms": 500}),
        ):
            status, answer = await post(rig, path, **body)
            assert status == 200, answer
        assert (price_e4(rig), anew(rig)) == (200, [])

        site.install("bidder", version(300), version="1.2.0")
        assert await reload_code(rig) == 5
        assert (price_e4(rig), len(anew(rig))) == (300, 1)
        assert anew(rig)[0].startswith("maker bidder: dump: RuntimeError: half a state (polytrade_")
        assert await roll_back(rig) == 6
        assert (price_e4(rig), len(anew(rig))) == (200, 1)
        for generation in (7, 8, 9):
            assert await roll_back(rig) == generation
        assert (price_e4(rig), len(anew(rig))) == (100, 2)
        assert rig.engine.faults == {}


async def test_text_that_no_journal_can_hold_cuts_the_maker_out_and_not_the_daemon(
    tmp_path: Path, site: SiteFolder
) -> None:
    broken = f"{ASKED}        if HERE:\n            raise ValueError('no file \\udcff')\n"
    async with running(tmp_path) as rig:
        await rig.quoting()
        site.install("bidder", version(100, ASKED, broken))
        status, body = await post(rig, "/control/reload_strategy", plugin="bidder")
        assert status == 200, body
        await rig.until(lambda: "maker" in rig.engine.faults, "the maker is cut out")
        why = rig.engine.faults["maker"]
        assert why.startswith("ValueError: no file ? (polytrade_bidder.py, line ")
        status, health = await rig.health()
        assert (status, [fault["why"] for fault in health["faults"]]) == (200, [why])
        assert await roll_back(rig) == 3
        await rig.trades_on()
        await rig.stop()
        assert rig.nothing_rests().effects_by_type["plugin_faulted"] == 1


async def test_reloads_under_way_keep_neither_pause_nor_flatten_waiting(
    tmp_path: Path, site: SiteFolder
) -> None:
    go, answers = tmp_path / "go", []
    wait = f"while not pathlib.Path({str(go)!r}).exists():\n    time.sleep(0.01)\n"
    async with running(tmp_path) as rig:
        await rig.quoting()
        site.install("bidder", version(100) + wait)

        async def reload() -> None:
            answers.append(await post(rig, "/control/reload_strategy", plugin="bidder"))

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(reload)
            await rig.until(lambda: bool(answers), "one too many")
            status, body = answers.pop()
            assert (status, body["error"]["code"]) == (503, "busy")
            for name in ("pause", "flatten"):
                status, body = await post(rig, f"/control/{name}")
                assert status == 200, body
            assert rig.engine.risk.paused
            assert (await rig.health())[0] == 200
            assert answers == []
            go.touch()
        assert [status for status, _ in answers] == [200] * 4, answers
        assert price_e4(rig) == 100


async def test_swap_whose_event_is_queued_is_told_as_what_it_is_when_the_daemon_stops(
    tmp_path: Path,
) -> None:
    def asked(most: int) -> ReloadRequest:
        return ReloadRequest(name="risk", who="test", patch={"max_open_orders": most})

    given: list[ReloadReply | ReloadRefused] = []
    async with running(tmp_path) as rig:
        await rig.quoting()
        inbox, put = rig.parts.inbox, rig.parts.inbox.put

        def closing(event: Any) -> None:
            put(event)
            if event.TAG == "lineup_swapped":
                rig.parts.reloader.close()

        async def ask() -> None:
            given.append(await rig.parts.reloader.reload(asked(8)))

        inbox.put = closing  # type: ignore[method-assign]
        with trio.fail_after(WAIT_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask)
                nursery.start_soon(ask)
        (row,) = rig.parts.reloader.history()
        assert (row["generation"], row["result"]) == (2, "applied")
        assert rig.parts.session.config.risk.max_open_orders == 8
        answers = sorted(type(answer).__name__ for answer in given)
        assert answers == ["ReloadRefused", "ReloadReply"]
        late = await rig.parts.reloader.reload(asked(9))
        assert isinstance(late, ReloadRefused)
        assert (late.code, rig.parts.session.config.risk.max_open_orders) == ("stopping", 8)
        await rig.stop()
        assert rig.nothing_rests().events_by_type["lineup_swapped"] == 1


async def test_what_plugins_take_to_say_their_state_is_part_of_the_pause_told(
    tmp_path: Path, site: SiteFolder
) -> None:
    told = tmp_path / "told"
    tell = f"with open({str(told)!r}, 'a') as file:\n                file.write('x')"
    slow = f"time.sleep(0.2)\n        if HERE:\n            {tell}"
    site.install("bidder", version(100, DUMP, f"{slow}\n        {DUMP}"))
    async with running(tmp_path, BIDDER) as rig:
        await rig.until(rig.synced, "synced books")
        status, _ = await post(rig, "/control/reload_strategy", ttl_ms=500)
        assert status == 200
        first_us = rig.parts.reloader.swapper.pause_us
        assert first_us > 0
        assert not told.exists()  # it stays: nobody asks it
        status, _ = await post(rig, "/control/reload_strategy", settings={"price_e4": 200})
        assert (status, price_e4(rig)) == (200, 200)
        assert told.read_text() == "xx"  # once for the rehearsal and once at the swap
        assert rig.parts.reloader.swapper.pause_us >= 400_000
        rows = rig.parts.reloader.history()
        now_us = rig.parts.reloader.swapper.pause_us
        assert [row["pause_us"] for row in rows] == [first_us, now_us]
        assert anew(rig) == []


async def test_neighbour_that_nobody_asked_for_keeps_no_reload_back(
    tmp_path: Path, site: SiteFolder
) -> None:
    """Broken on disk, or with a table of its own and not selected."""
    site.install("quoter", maker_source("quoter", price_e4=100))
    site.install("bidder", maker_source(price_e4=200))
    async with running(tmp_path, 'strategy.maker="quoter"') as rig:
        await rig.until(rig.synced, "synced books")
        tables = {"bidder": {"size": 7.0}}
        status, body = await post(rig, "/control/reload_plugins", settings=tables)
        assert status == 200, body
        site.install("meek", RULE)
        status, body = await post(rig, "/control/reload_plugins", risk_rules=["meek"])
        assert status == 200, body

        site.install("meek", "def (", version="1.1.0")
        status, body = await post(rig, "/control/reload_strategy", plugin="bidder")
        assert status == 200, body
        maker: Any = rig.parts.session.lineup.maker
        assert (maker.price_e4, maker.size) == (200, 7.0)
        assert [name for name, _ in rig.parts.session.lineup.rules] == ["meek"]
        status, body = await post(rig, "/control/reload_plugins", settings={"biddr": {"size": 8.0}})
        assert status in (400, 409), body
        assert "no plugin offers 'biddr' (did you mean bidder?)" in body["error"]["message"]
        status, body = await post(rig, "/control/reload_plugins", code=True)
        assert (status, body["error"]["step"]) == (409, "import"), body
        assert body["error"]["plugin"].startswith("meek")


RULE = """
import attrs
from polytrade.api import hookimpl

polytrade_api = 1


@attrs.define
class Meek:
    def check(self, request, context):
        return ""


@hookimpl
def polytrade_risk_rules():
    return {"meek": Meek}
"""


async def test_code_that_hangs_in_the_daemon_alone_is_refused_and_numbers_still_change(
    tmp_path: Path, site: SiteFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reloading, "ASIDE_S", 1.5)
    go = tmp_path / "go"
    hang = (
        "    def self_check(self):\n"
        f"        while HERE and not pathlib.Path({str(go)!r}).exists():\n"
        f"            time.sleep(0.01)\n\n{CHECK}"
    )
    async with running(tmp_path) as rig:
        await rig.quoting()
        site.install("bidder", version(100, CHECK, hang))
        for _ in range(2):
            status, body = await post(rig, "/control/reload_strategy", plugin="bidder")
            assert (status, body["error"]["code"]) == (409, "failed"), body
            assert body["error"]["message"] == reloading.HANGS.message
        status, body = await post(rig, "/control/reload_risk", max_open_orders=7)
        assert (status, body["generation"]) == (200, 2), body
        status, body = await post(rig, "/control/pause")
        assert status == 200, body
        assert rig.parts.session.config.strategy.maker == "skewed"

        monkeypatch.setattr(reloading, "ASIDE_S", WAIT_S)  # what ends may take its time
        go.touch()
        status, body = await post(rig, "/control/reload_strategy", plugin="bidder")
        assert (status, body["generation"]) == (200, 3), body
        assert price_e4(rig) == 100


async def test_quarantine_that_waits_behind_a_swap_does_not_hit_the_successor(
    tmp_path: Path, site: SiteFolder
) -> None:
    site.install("bidder", version(100))
    async with running(tmp_path, BIDDER) as rig:
        await rig.until(rig.synced, "synced books")
        inbox, put = rig.parts.inbox, rig.parts.inbox.put
        quarantine = rig.parts.guard._budget._quarantine

        def backlog(event: Any) -> None:
            put(event)
            if event.TAG == "lineup_swapped":
                quarantine("maker", "the old one was too slow")

        inbox.put = backlog  # type: ignore[method-assign]
        site.install("bidder", version(200))
        assert await reload_code(rig) == 2
        await rig.until(lambda: rig.tap.count("plugin_quarantined") == 1, "the quarantine")
        assert (rig.engine.faults, price_e4(rig)) == ({}, 200)
        quarantine("maker", "the new one is too slow")
        await rig.until(lambda: bool(rig.engine.faults), "the other quarantine")
        assert rig.engine.faults == {"maker": "the new one is too slow"}
        assert [event.generation for event in rig.tap.of("plugin_quarantined")] == [1, 2]
