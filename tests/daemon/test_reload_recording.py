"""Raw recording that a reload switches on and off while the daemon trades."""

from pathlib import Path
from typing import Any

from polytrade.replay import replay
from polytrade.runtime.recorder import LATE
from tests.daemon.rig import Rig, running


def recorder_rows(rig: Rig) -> list[Any]:
    """The recorder's row of the queues, none while nothing was ever recorded."""
    rig.parts.observer._last = None
    return [row for row in rig.parts.observer.read().queues if row.name == "recorder"]


async def switch(rig: Rig, mode: str) -> None:
    """`reload_perf_profile` with this `json_mode`."""
    status, body = await rig.command("reload_perf_profile", json_mode=mode)
    assert (status, body["perf_profile"]["json_mode"]) == (200, mode), body


async def records(rig: Rig, more: int) -> None:
    """Wait until so many more records were taken."""
    recorder = rig.parts.recorder
    assert recorder is not None
    wanted = recorder.records + more
    await rig.until(lambda: recorder.records >= wanted, f"{more} records")


async def test_recording_begins_at_a_reload_and_says_so(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.quoting()
        config, raw = rig.parts.session.config, rig.journal() / "raw-000001.jsonl.zst"
        assert (recorder_rows(rig), raw.exists()) == ([], False)
        await switch(rig, "raw")
        await records(rig, 50)
        await switch(rig, "typed")
        recorder = rig.parts.recorder
        assert recorder is not None
        kept = recorder.records
        await rig.trades_on()
        assert recorder.records == kept
        await switch(rig, "raw")
        await records(rig, 200)
        (row,) = recorder_rows(rig)
        assert row.dropped == 0
        await rig.stop()
        rig.nothing_rests()
    result = replay(raw, config=config)
    assert result.notes == [LATE]
    assert (result.kind, result.run_id) == ("capture", rig.parts.run_id)
    assert (result.malformed, result.unsupported, result.broken) == ({}, {}, "")
    assert result.frames > 0
    assert result.events_by_type["run_started"] == 1
    assert result.missing_records > 0  # while it was off
    assert not result.clean


async def test_run_that_records_from_its_begin_has_no_such_note(tmp_path: Path) -> None:
    async with running(tmp_path, 'latency.json_mode="raw"') as rig:
        await rig.quoting()
        assert len(recorder_rows(rig)) == 1
        await switch(rig, "raw")
        config, raw = rig.parts.session.config, rig.journal() / "raw-000001.jsonl.zst"
        await rig.stop()
        digest = rig.nothing_rests().effect_digest
    result = replay(raw, config=config)
    assert (result.notes, result.missing_records, result.clean) == ([], 0, True)
    assert result.effect_digest == digest


async def test_disk_that_refuses_the_late_recording_stops_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.quoting()
        rig.disk.full.add("raw")
        await switch(rig, "raw")
        recorder = rig.parts.recorder
        assert recorder is not None
        await rig.until(lambda: recorder.failed is not None, "the failure")
        await rig.until(lambda: "recorder cannot write" in rig.log.getvalue(), "a log line")
        await rig.trades_on()
        rig.disk.full.clear()
        await rig.until(lambda: recorder.failed is None, "a written recording")
        await rig.stop()
        rig.nothing_rests()
