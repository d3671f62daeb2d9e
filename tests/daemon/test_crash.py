"""A crash of any supervised task: what must go on goes on, and nothing is left resting."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from polytrade.core.events import OrderCancelled
from polytrade.replay import replay
from tests.daemon.rig import ROOT, Rig, running

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
    "control",
)


class Boom(Exception):
    """The injected failure."""


def nothing_rests(rig: Rig) -> None:
    """No order at the paper venue, and a journal whose replay knows of none either."""
    paper = rig.parts.session.paper
    assert paper is not None
    assert paper.idle
    result = replay(rig.journal())
    assert result.divergence is None
    assert result.open_orders == 0


@pytest.mark.parametrize("task", FATAL)
async def test_fatal_crash_ends_the_daemon_with_nothing_resting(task: str, tmp_path: Path) -> None:
    with pytest.RaisesGroup(Boom, allow_unwrapped=True, flatten_subgroups=True):
        async with running(tmp_path) as rig:
            await rig.quoting()
            rig.parts.tasks.crash(task, Boom(task))
            with trio.fail_after(20):
                await rig.ended.wait()
    nothing_rests(rig)


@pytest.mark.parametrize("task", RESTARTED)
async def test_other_crash_is_restarted_and_trading_goes_on(task: str, tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.quoting()
        rig.parts.tasks.crash(task, Boom(task))
        await rig.until(lambda: rig.parts.tasks.row(task).failures > 0, "the failure")
        await rig.until(lambda: rig.parts.tasks.row(task).state == "running", "the restart")
        assert rig.parts.tasks.row(task).last_error == f"Boom: {task}"
        seen = rig.tap.count("order_accepted")
        await rig.until(lambda: rig.tap.count("order_accepted") > seen, "another quote")
        await rig.stop()
        nothing_rests(rig)


async def test_orders_taken_off_by_a_crash_are_in_the_journal(tmp_path: Path) -> None:
    with pytest.RaisesGroup(Boom, allow_unwrapped=True, flatten_subgroups=True):
        async with running(tmp_path) as rig:
            await rig.quoting()
            resting = rig.parts.session.paper.resting()  # type: ignore[union-attr]
            rig.parts.tasks.crash("strategy", Boom("strategy"))
            with trio.fail_after(20):
                await rig.ended.wait()
    entries = [entry.event for entry in replay_events(rig.journal())]
    last = [event for event in entries if isinstance(event, OrderCancelled)][-len(resting) :]
    assert {event.order_id for event in last} >= set(resting)


def replay_events(path: Path) -> list[object]:
    """The entries of a journal."""
    from polytrade.journal import read_journal  # noqa: PLC0415

    return list(read_journal(path))


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
        assert process.stderr is not None
        for line in process.stderr:
            if "control plane listens" in line:
                break
        process.send_signal(number)
        out, err = process.communicate(timeout=40)
    assert process.returncode == 0, err
    assert "orders still open" not in err
    assert out.startswith("run ")
    (run,) = tmp_path.iterdir()
    result = replay(run)
    assert result.divergence is None
    assert result.open_orders == 0
