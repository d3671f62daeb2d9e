"""The endpoints of reports: what they answer, and that they are refused where none are made."""

from typing import Any

import pytest

from polytrade.contract import ENGINES, SHADOW, TOXICITY
from polytrade.control.routes import ENDPOINTS
from polytrade.runtime.command_requests import Commands, Refusal
from tests.control.app_samples import answer, app_of

PATHS = {
    SHADOW: "shadow_live",
    "/report/shadow/final": "shadow_final",
    ENGINES: "pnl_by_engine",
    TOXICITY: "toxicity_live",
    "/report/toxicity/final": "toxicity_final",
}


class FakeReports:
    """Answers each question with its own name, or refuses."""

    def __init__(self, refusal: Refusal | None = None) -> None:
        self.asked: list[str] = []
        self._refusal = refusal

    async def _answer(self, name: str) -> dict[str, Any] | Refusal:
        self.asked.append(name)
        return self._refusal or {"of": name, "value": None}

    async def shadow_live(self) -> dict[str, Any] | Refusal:
        return await self._answer("shadow_live")

    async def shadow_final(self) -> dict[str, Any] | Refusal:
        return await self._answer("shadow_final")

    async def pnl_by_engine(self) -> dict[str, Any] | Refusal:
        return await self._answer("pnl_by_engine")

    async def toxicity_live(self) -> dict[str, Any] | Refusal:
        return await self._answer("toxicity_live")

    async def toxicity_final(self) -> dict[str, Any] | Refusal:
        return await self._answer("toxicity_final")


@pytest.mark.parametrize("path", PATHS)
async def test_report_is_what_the_daemon_says(path: str) -> None:
    reports = FakeReports()
    client = app_of(commands=Commands(reports)).test_client()
    assert await answer(client, path) == (200, {"of": PATHS[path], "value": None})
    assert reports.asked == [PATHS[path]]
    assert f"GET {path}" in ENDPOINTS


@pytest.mark.parametrize("path", PATHS)
async def test_report_is_refused_where_none_is_made(path: str) -> None:
    code, body = await answer(app_of().test_client(), path)
    assert code == 503
    assert body["error"]["code"] == "no_report"
    off = Refusal("no_report", "reports are off: ZeroDivisionError: no")
    client = app_of(commands=Commands(FakeReports(off))).test_client()
    code, body = await answer(client, path)
    assert code == 503
    assert body["error"]["message"] == "reports are off: ZeroDivisionError: no"


async def test_reports_are_read_and_not_commanded() -> None:
    reports = FakeReports()
    client = app_of(commands=Commands(reports)).test_client()
    for path in PATHS:
        response = await client.post(path)
        assert response.status_code == 405
        assert set(response.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}
    assert reports.asked == []
