"""A crash of any supervised task: what must go on goes on, and nothing is left resting."""

import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import trio

from polytrade.core.events import OrderCancelled, OrderFilled
from polytrade.journal import read_journal
from polytrade.replay import replay
from tests.daemon.rig import ROOT, WAIT_S, Rig, running

FATAL = ("strategy", "journal", "risk", "ticks")
RESTARTED = (
    "execution",
    "commands",
    "discovery",
    "market feed",
    "clock check",
    "binance/0",
    "polymarket.rtds/0",
    "polymarket.market/0",
    "recorder",
    "control",
)


class Boom(Exception):
    """The injected failure."""


@pytest.mark.parametrize("task", FATAL)
async def test_fatal_crash_ends_the_daemon_with_nothing_resting(task: str, tmp_path: Path) -> None:
    with pytest.RaisesGroup(Boom, allow_unwrapped=True, flatten_subgroups=True):
        async with running(tmp_path) as rig:
            await rig.quoting()
            resting = set(rig.paper.resting())
            rig.parts.tasks.crash(task, Boom(task))
            with trio.fail_after(WAIT_S):
                await rig.ended.wait()
    result = rig.nothing_rests()
    assert not result.lost_tail
    events = [entry.event for entry in read_journal(rig.journal())]
    cancelled = {event.order_id for event in events if isinstance(event, OrderCancelled)}
    filled = {event.order_id for event in events if isinstance(event, OrderFilled)}
    assert resting <= cancelled | filled


def runs(rig: Rig, task: str) -> bool:
    """Whether a task runs, and does not wait for its next attempt."""
    return rig.parts.tasks.row(task).state == "running"


def restarted(rig: Rig, task: str, before: int) -> bool:
    """Whether a task was started again."""
    return rig.parts.tasks.row(task).restarts > before


async def test_any_other_crash_is_restarted_and_trading_goes_on(tmp_path: Path) -> None:
    async with running(tmp_path, "storage.record_raw=true") as rig:
        await rig.quoting()
        for task in RESTARTED:
            await rig.until(partial(runs, rig, task), f"{task} runs")
            before = rig.parts.tasks.row(task)
            rig.parts.tasks.crash(task, Boom(task))
            await rig.until(partial(restarted, rig, task, before.restarts), task)
            after = rig.parts.tasks.row(task)
            assert (after.state, after.last_error) == ("running", f"Boom: {task}")
            await rig.trades_on()
        assert rig.engine.risk.mode == "run"
        await rig.stop()
        rig.nothing_rests()


async def test_trading_goes_on_while_the_control_plane_keeps_crashing(tmp_path: Path) -> None:
    async def broken(*_: object, **__: object) -> None:
        await trio.lowlevel.checkpoint()
        raise Boom("control")

    async with running(tmp_path, control=broken) as rig:
        await rig.until(lambda: rig.failures("control") >= 2, "two crashes")
        await rig.quoting()
        await rig.trades_on()
        # The snapshot may be a moment old.
        await rig.until(lambda: rig.parts.observer.read().health == "degraded", "health")
        await rig.stop()
        rig.nothing_rests()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_stops_the_process_in_order(number: signal.Signals, tmp_path: Path) -> None:
    """The daemon as a user starts it, with its own venue, ended from outside."""
    command = [sys.executable, "-m", "polytrade", "daemon", "--config", "configs/sandbox"]
    overrides = ("control.port=0", f'storage.data_dir="{tmp_path}"')
    for override in overrides:
        command += ["--set", override]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if "control plane listens" in line:
                    break
            process.send_signal(number)
            out, err = process.communicate(timeout=WAIT_S)
        finally:
            process.kill()  # of one that has ended it does nothing
    assert process.returncode == 0, err
    assert "orders still open" not in err
    assert out.startswith("run ")
    (run,) = tmp_path.iterdir()
    result = replay(run)
    assert result.divergence is None
    assert result.open_orders == 0
