"""Reloads of a running daemon over its control plane, while it trades on the sample."""

import random
from collections import Counter
from pathlib import Path
from typing import Any

import orjson

from polytrade.config import Config
from polytrade.runtime.reload_history import KEPT_MAX
from polytrade.runtime.reload_plan import wanted_config
from polytrade.runtime.reload_requests import ReloadRequest
from tests.daemon.rig import Rig, running


def audit(rig: Rig, name: str) -> list[dict[str, Any]]:
    """The lines of an audit file, of whatever day."""
    files = sorted((rig.root / "reports").glob(f"*/{name}_reload.jsonl"))
    return [orjson.loads(line) for file in files for line in file.read_bytes().splitlines()]


async def get(rig: Rig, path: str) -> Any:
    return (await rig.client.get(f"{await rig.control_url()}{path}")).json()


async def test_parameters_take_effect_and_are_told_audited_and_replayed(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.quoting()
        status, body = await rig.command("reload_strategy", min_edge_bps=7.5, taker_trigger_bps=9)
        assert (status, body["generation"]) == (200, 2)
        assert body["maker"]["min_edge_bps"] == 7.5
        assert body["maker"]["plugin"] == "skewed"
        assert body["fair_value"]["plugin"] == "basis_mr"
        assert body["taker"]["taker_trigger_bps"] == 9.0
        config = rig.parts.session.config
        assert (config.strategy.min_edge_bps, config.taker.trigger_bps) == (7.5, 9.0)
        status, body = await rig.command("reload_risk", max_open_orders=3)
        assert (status, body["generation"], body["risk"]["max_open_orders"]) == (200, 3, 3)
        assert rig.engine.risk.settings.max_open_orders == 3
        status, body = await rig.command("reload_allocator", taker_weight=2, maker_weight=1)
        assert body["allocator"]["maker_weight"] == 1 / 3.1
        status, body = await rig.command("reload_toxicity", safe_threshold=0.9)
        assert (status, body["error"]["code"]) == (400, "invalid_value")
        assert body["error"]["field"] == "safe_threshold"
        status, body = await rig.command("reload_perf_profile", io_flush_batch=32)
        assert (body["generation"], body["perf_profile"]["io_flush_batch"]) == (5, 32)
        await rig.trades_on()
        history = (await get(rig, "/control/history"))["reloads"]
        assert [row["result"] for row in history] == [*["applied"] * 3, "refused", "applied"]
        assert [row["generation"] for row in history] == [2, 3, 4, 4, 5]
        assert audit(rig, "strategy")[0]["patch"] == {
            "min_edge_bps": 7.5,
            "taker_trigger_bps": 9.0,
        }
        assert audit(rig, "toxicity")[0]["result"] == "refused"
        assert all(row["pause_us"] > 0 for row in history if row["result"] == "applied")
        await rig.stop()
        rig.nothing_rests()


async def test_switch_and_rollback(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.quoting()
        status, body = await rig.command("reload_strategy", plugin="control_mid")
        assert status == 200, body
        assert body["maker"]["plugin"] == "control_mid"
        status, body = await rig.command("reload_strategy", plugin="digital")
        assert status == 200, body
        assert body["fair_value"]["plugin"] == "digital"
        status, body = await rig.command("reload_strategy", plugin="dgital")
        assert (status, body["error"]["step"]) == (409, "find")
        answer = await rig.client.post(f"{await rig.control_url()}/plugins/rollback", json={})
        assert answer.status_code == 200, answer.text
        assert rig.parts.session.config.strategy.fair_value == "basis_mr"
        answer = await rig.client.post(f"{await rig.control_url()}/plugins/rollback", json={})
        answer = await rig.client.post(f"{await rig.control_url()}/plugins/rollback", json={})
        assert answer.status_code == 409, answer.text
        (row,) = (await get(rig, "/plugins"))["plugins"]
        assert (row["name"], row["generation"]) == ("builtin", 1)
        await rig.trades_on()
        await rig.stop()
        rig.nothing_rests()


def from_history(base: Config, rows: list[dict[str, Any]]) -> Config:
    """The configuration that the history says is in force."""
    config, below = base, list[Config]()
    for row in rows:
        if row["result"] != "applied":
            continue
        if row["name"] == "rollback":
            config = below.pop()
            continue
        below = [*below, config][-KEPT_MAX:]
        request = ReloadRequest(name=row["name"], who="", patch=row["patch"])
        config = wanted_config(config, request, None)
    return config


async def test_random_reloads_and_rollbacks_end_in_what_the_history_says(tmp_path: Path) -> None:
    rng = random.Random(5)
    async with running(tmp_path) as rig:
        await rig.quoting()
        base = rig.parts.session.config
        codes = Counter[int]()
        for step in range(60):
            if step == 0 or rng.random() < 0.45:
                url = f"{await rig.control_url()}/plugins/rollback"
                codes[(await rig.client.post(url, json={})).status_code] += 1
                continue
            name, body = rng.choice(
                [
                    ("strategy", {"ttl_ms": 300 + step, "taker_trigger_bps": rng.randint(1, 9)}),
                    ("risk", {"max_open_orders": rng.randint(5, 30)}),
                    ("toxicity", {"caution_threshold": rng.random()}),
                    ("allocator", {"maker_weight": rng.random()}),
                ]
            )
            codes[(await rig.command(f"reload_{name}", **body))[0]] += 1
        reloader = rig.parts.reloader
        assert rig.parts.session.config == from_history(base, reloader.history())
        assert reloader.generation == 1 + codes[200]
        assert {200, 409} <= set(codes) <= {200, 400, 409}
        assert sum(codes.values()) == len(reloader.history()) == 60
        await rig.trades_on()
        await rig.stop()
        rig.nothing_rests()
