"""Risk rules of plugins in a daemon that trades: they refuse, they break, they are replaced."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from polytrade.core.limits import HALT, RUN
from tests.daemon.rig import Rig, running
from tests.plugin_projects import SiteFolder, plugin_site

RULES = '''
"""A rule that refuses orders of a token, and one that breaks after some calls."""

import attrs

from polytrade.api import Context, Request, hookimpl, setting

polytrade_api = 1


@attrs.define
class OneToken:
    """Refuses orders of the other token; 2 lets both pass, 3 none."""

    token: int = setting(0, "token that may be traded", ge=0, le=3)

    def check(self, request: Request, context: Context) -> str:
        if self.token in (request.token, 2):
            return ""
        return f"token {request.token} is not traded"


@attrs.define
class Brittle:
    """Raises at a call."""

    at: int = setting(5, "the call that fails", ge=1)
    calls: int = attrs.field(init=False, default=0)

    def check(self, request: Request, context: Context) -> str:
        self.calls += 1
        if self.calls == self.at:
            raise RuntimeError("snapped")
        return ""


@hookimpl
def polytrade_risk_rules():
    """Both."""
    return {"one-token": OneToken, "brittle": Brittle}
'''


@pytest.fixture
def site(tmp_path: Path) -> Iterator[SiteFolder]:
    with plugin_site(tmp_path / "site") as folder:
        folder.install("rules", RULES)
        yield folder


async def reload_rules(rig: Rig, **body: Any) -> tuple[int, Any]:
    """`POST /control/reload_plugins`."""
    url = f"{await rig.control_url()}/control/reload_plugins"
    answer = await rig.client.post(url, json=body, timeout=60)
    return answer.status_code, answer.json()


async def get(rig: Rig, path: str) -> str:
    rig.parts.observer._last = None
    return (await rig.client.get(f"{await rig.control_url()}{path}")).text


def placed(rig: Rig) -> set[int]:
    """Tokens of the orders placed since the tap was cleared."""
    return {row[3] for row in rig.tap.rows if row[0] == "place_order"}


def refused(rig: Rig) -> list[list[Any]]:
    """Refusals since the tap was cleared."""
    return [row for row in rig.tap.rows if row[0] == "refused"]


async def test_rule_selected_by_a_reload_refuses_orders_until_it_is_taken_back(
    tmp_path: Path, site: SiteFolder
) -> None:
    async with running(tmp_path) as rig:
        await rig.quoting()
        status, body = await reload_rules(rig, risk_rules=["one-token"])
        assert status == 200, body
        assert body["plugins"]["risk_rules"] == ["one-token"]
        rig.tap.clear()
        await rig.until(lambda: any("rule:one-token" in row for row in refused(rig)), "a refusal")
        row = next(row for row in refused(rig) if "rule:one-token" in row)
        assert "token 1 is not traded" in row
        assert placed(rig) <= {0}
        metrics = await get(rig, "/metrics")
        assert 'rule:one-token"' in metrics

        status, body = await reload_rules(rig, settings={"one-token": {"token": 3}})
        assert status == 200, body
        await rig.pulled()
        report = await get(rig, "/report/shadow/live")
        assert '"risk:rule:one-token":' in report  # of `blocked_reason_counts`

        status, body = await reload_rules(rig, settings={"one-token": {"token": 2}})
        assert status == 200, body
        rig.tap.clear()
        await rig.until(lambda: placed(rig) == {0, 1}, "orders of both tokens")
        assert not [row for row in refused(rig) if "rule:one-token" in row]
        await rig.stop()
        rig.nothing_rests()


async def test_rule_that_raises_halts_and_its_replacement_trades_after_resume(
    tmp_path: Path, site: SiteFolder
) -> None:
    start = ('plugins.risk_rules=["one-token", "brittle"]', "plugins.settings.one-token.token=2")
    async with running(tmp_path, *start) as rig:
        await rig.until(lambda: rig.engine.risk.mode == HALT, "the halt")
        await rig.pulled()
        assert rig.tap.count("plugin_faulted") == 1
        status, health = await rig.health()
        assert (status, health["status"]) == (503, "halted")
        (fault,) = health["faults"]
        assert (fault["role"], fault["name"]) == ("risk_rule", "brittle")
        assert "RuntimeError: snapped" in fault["why"]
        rows = json.loads(await get(rig, "/plugins"))["plugins"]
        (row,) = [row for row in rows if row["name"] == "rules"]
        assert row["active"] == ["risk_rule/one-token", "risk_rule/brittle"]
        assert row["last_error"] == f"risk_rule: {fault['why']}"

        # A resume alone sends nothing: what a broken rule would have said, nobody knows.
        status, _ = await rig.command("resume", clear_halt=True)
        assert status == 200
        rig.tap.clear()
        await rig.until(lambda: any("rule:brittle" in row for row in refused(rig)), "a refusal")
        assert placed(rig) == set()

        status, body = await reload_rules(rig, settings={"brittle": {"at": 10**9}})
        assert status == 200, body
        assert rig.engine.faults == {}
        await rig.trades_on()
        assert rig.engine.risk.mode == RUN
        assert (await rig.health())[1]["faults"] == []
        await rig.stop()
        rig.nothing_rests()
