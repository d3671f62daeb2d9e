"""Reports of a whole daemon on paper over sockets: the contract holds, a replay makes the same."""

import importlib.util
from functools import partial
from pathlib import Path
from typing import Any

import trio

from polytrade.reports.verify import verify
from tests.daemon.live_rig import live
from tests.daemon.rig import ROOT, WAIT_S, Rig
from tests.runtime.reported import SHELL_LATENCIES, SHELL_ONLY


def script() -> Any:
    path = ROOT / "scripts" / "validate_metrics_contract.py"
    spec = importlib.util.spec_from_file_location("validate_metrics_contract", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def measured(rig: Rig) -> bool:
    """Whether every latency that only a daemon has was measured; a snapshot may be a moment old."""
    summaries = rig.parts.observer.read().readings.summaries
    return all(summaries[name].count for name in SHELL_LATENCIES)


async def test_daemon_keeps_the_contract_and_its_report_replays_byte_for_byte(
    tmp_path: Path,
) -> None:
    async with live(tmp_path) as rig:
        await rig.quoting()
        watch = rig.parts.watch
        await rig.until(lambda: watch.lag.count > 0, "a beat of the risk task")
        await rig.until(partial(measured, rig), "latencies of the shell")
        url = await rig.control_url()
        page = (await rig.client.get(f"{url}/metrics")).text
        missing = {name for name in SHELL_ONLY if f"\npolytrade_{name}" not in page}
        assert missing == set()
        problems = await trio.to_thread.run_sync(lambda: list(script().daemon_problems(url)))
        assert problems == []
        code, reply = await rig.command("reset_shadow")
        assert (code, reply) == (200, {"ok": True, "shadow_reset": True, "window_id": 2})
        await rig.trades_on()
        answer = await rig.client.get(f"{url}/report/shadow/final", timeout=WAIT_S)
        assert answer.status_code == 200
        final = answer.json()
        assert final["live"]["window_id"] == 2
        assert final["gate"]["gate_passed"] is False
        assert final["problem"] == ""
        (manifest,) = (tmp_path / "reports").glob("*/truth_manifest.json")
        await rig.trades_on()
        verdict = await trio.to_thread.run_sync(verify, manifest)
        assert verdict.ok, verdict
        verdict = await _stopped(rig, manifest)
        assert verdict.ok, verdict


async def _stopped(rig: Any, manifest: Path) -> Any:
    """The verdict on the same report once the journal is closed."""
    await rig.stop()
    rig.nothing_rests()
    return verify(manifest)
