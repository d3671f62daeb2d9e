"""A stop that is cut short: by a crash, or by an operator who cannot wait."""

from pathlib import Path

import pytest

from polytrade.runtime.observe import Observer
from polytrade.runtime.status import DaemonStatus
from tests.daemon.rig import Rig, running


class Boom(Exception):
    """The injected failure."""


async def stop_short(rig: Rig) -> None:
    """Crash the ticks while a stop waits for its cancels: the same as a second signal."""
    await rig.quoting()
    rig.daemon.stopping.set()
    await rig.until(lambda: rig.engine.risk.mode == "halt", "the stop")
    rig.parts.tasks.crash("ticks", Boom("ticks"))
    await rig.ended.wait()


SLOW_CANCELS = "execution.cancel_latency_ms=[4000,4000,4000,4000,4000]"
"""No cancel is done before the crash, however late that comes."""


async def test_stop_that_is_cut_short_waits_for_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.RaisesGroup(Boom, allow_unwrapped=True, flatten_subgroups=True):
        async with running(tmp_path, SLOW_CANCELS) as rig:
            await stop_short(rig)
    assert "orders still open at the stop" not in rig.log.getvalue()
    assert "orders taken off at the end" in rig.log.getvalue()
    rig.nothing_rests()


async def test_files_are_closed_and_orders_gone_even_if_the_summary_cannot_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(observer: Observer) -> DaemonStatus:
        raise Boom("summary")

    with pytest.RaisesGroup(Boom, allow_unwrapped=True, flatten_subgroups=True):
        async with running(tmp_path) as rig:
            await rig.quoting()
            monkeypatch.setattr(Observer, "read", broken)
            rig.daemon.stopping.set()
            await rig.ended.wait()
    result = rig.nothing_rests()
    assert result.clean
