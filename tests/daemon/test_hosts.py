"""Hosts that cannot be reached: named one by one, asked again, and nothing is quoted meanwhile."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from polytrade.config import Config
from tests.daemon.rig import running


@pytest.fixture
def port() -> Iterator[int]:
    """A port of this machine where nobody listens, and nobody else can meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.mark.parametrize("name", ["gamma_url", "clob_url", "market_url"])
async def test_unreachable_host_is_named_and_asked_again(
    name: str, tmp_path: Path, port: int
) -> None:
    scheme = "ws" if name == "market_url" else "http"

    def change(config: Config) -> Config:
        changed: dict[str, Any] = {name: f"{scheme}://127.0.0.1:{port}"}
        return attrs.evolve(config, feeds=attrs.evolve(config.feeds, **changed))

    async with running(tmp_path, change=change) as rig:

        def failures() -> int:
            rows = rig.parts.observer._hosts.rows()
            return sum(row.failures for row in rows if row.host == f"127.0.0.1:{port}")

        await rig.until(lambda: failures() >= 1, "a failure")

        async def told_of() -> bool:  # a snapshot may be a moment old
            rows = (await rig.health())[1]["hosts"]
            return any(row["name"].endswith(f":{port}") and row["last_error"] for row in rows)

        await rig.until_async(told_of, "the failure told")
        code, health = await rig.health()
        assert (code, health["status"]) == (200, "degraded")
        hosts = {row["name"]: row for row in health["hosts"]}
        told = hosts.pop(f"127.0.0.1:{port}")
        assert told["reachable"] is False
        assert told["last_error"]
        assert {row["reachable"] for row in hosts.values()} <= {True, None}
        if name == "clob_url":
            await rig.quoting()  # the socket brings the books; only the clock check waits
        else:
            await rig.until(lambda: failures() >= 3, "more attempts")
            assert (await rig.command("pause"))[0] == 200
            assert (await rig.command("resume"))[0] == 200
            assert not rig.tap.count("place_order")
            assert not rig.quoted()
        await rig.stop()
        rig.nothing_rests()
