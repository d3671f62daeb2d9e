"""A full disk: no order without a journal, but a recording may have holes."""

from pathlib import Path

from polytrade.core.events import ModeSet, RecordsLost
from polytrade.journal import read_journal
from polytrade.replay import replay
from tests.daemon.measured import measured
from tests.daemon.rig import Rig, running


async def test_journal_on_a_full_disk_halts_until_the_operator_resumes(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.quoting()
        rig.disk.full.add("journal")
        measured("disk full for the journal", await rig.pulled(), None)
        await rig.until(lambda: rig.engine.risk.mode == "halt", "a halt")

        # Halted, but controllable; and not to be resumed while the disk is full.
        code, health = await rig.health()
        assert (code, health["status"], health["engine_mode"]) == (503, "halted", "halt")
        assert health["engine_why"].endswith("No space left on device")
        code, answer = await rig.command("resume")
        assert (code, answer["error"]["code"]) == (409, "halted")
        code, answer = await rig.command("resume", clear_halt=True)
        assert (code, answer["error"]["code"]) == (409, "halted")
        assert answer["error"]["message"].startswith("no order without a journal: ")
        assert (await rig.command("pause"))[0] == 200
        assert not rig.quoted()

        rig.disk.full.clear()
        await journal_written(rig)
        assert rig.engine.risk.mode == "halt"
        assert (await rig.health())[0] == 503
        code, answer = await rig.command("resume", clear_halt=True)
        assert (code, answer) == (200, {"ok": True, "paused": False})
        await rig.quoting()
        assert (await rig.health())[0] == 200
        await rig.stop()

    # What waited in memory was written: nothing is missing, and the halt is there.
    result = rig.nothing_rests()
    assert (result.records_lost, result.lost_tail, result.clean) == (0, "", True)
    assert result.matches
    events = [entry.event for entry in read_journal(rig.journal())]
    modes = [event.mode for event in events if isinstance(event, ModeSet)]
    assert modes == ["halt", "run", "halt"]  # the disk, the operator, the stop


async def test_rows_beyond_the_memory_are_missing_and_the_journal_says_so(tmp_path: Path) -> None:
    async with running(tmp_path, "latency.io_queue_capacity=256") as rig:
        await rig.quoting()
        rig.disk.full.add("journal")
        assert rig.parts.journal is not None
        await rig.until(lambda: rig.parts.journal.lost > 0, "lost rows")  # type: ignore[union-attr]
        await rig.pulled()
        rig.disk.full.clear()
        await journal_written(rig)
        assert (await rig.command("resume", clear_halt=True))[0] == 200
        await rig.quoting()
        # The snapshot may be a moment old.
        await rig.until(
            lambda: records_lost(rig) == rig.parts.journal.lost,  # type: ignore[union-attr]
            "the lost rows counted",
        )
        await rig.stop()
    result = replay(rig.journal())
    assert result.records_lost == rig.parts.journal.lost
    assert result.divergence is None
    assert "records were lost" in result.unverified
    entries = [entry.event for entry in read_journal(rig.journal())]
    assert {event.why for event in entries if isinstance(event, RecordsLost)} == {"disk_error"}


async def test_recorder_on_a_full_disk_stops_no_trading(tmp_path: Path) -> None:
    settings = ("storage.record_raw=true", "latency.io_queue_capacity=256")
    async with running(tmp_path, *settings) as rig:
        await rig.quoting()
        recorder = rig.parts.recorder
        assert recorder is not None
        rig.disk.full.add("raw")
        # A disk that is slow loses records, too: it is to refuse them.
        await rig.until(lambda: recorder.lost > 0 and recorder.failed is not None, "lost records")
        await rig.trades_on()
        code, health = await rig.health()
        assert (code, health["engine_mode"]) == (200, "run")
        rig.disk.full.clear()
        await rig.until(lambda: recorder.failed is None, "a written recording")
        # The snapshot may be a moment old.
        await rig.until(lambda: dropped(rig) == recorder.lost, "the lost ones counted")
        await rig.stop()
        rig.nothing_rests()

    # The recording proves its own hole.
    result = replay(sorted(rig.journal().glob("raw-*"))[0])
    assert result.missing_records == recorder.lost


def records_lost(rig: Rig) -> float:
    """Rows the journal lost, as the status has it."""
    return float(rig.parts.observer.read().readings.value("records_lost_total"))


def dropped(rig: Rig) -> int:
    """What the recorder's queue lost, as the status has it."""
    (row,) = [queue for queue in rig.parts.observer.read().queues if queue.name == "recorder"]
    return int(row.dropped)


async def journal_written(rig: Rig) -> None:
    """Wait until the journal takes rows again."""
    journal = rig.parts.journal
    assert journal is not None
    await rig.until(lambda: journal.failed is None, "a written journal")
