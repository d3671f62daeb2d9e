"""The local venue as the daemon's child: out of Ctrl-C's reach, and honest about its end."""

import os
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from polytrade.config import Config, Venue
from polytrade.runtime.venue import VenueError, managed_venue

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = "datasets/sample-updown-5m.jsonl.zst"


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[trio.Process]:
    """The processes that were started."""
    found: list[trio.Process] = []
    start = trio.lowlevel.open_process

    async def noted(*arguments: Any, **named: Any) -> trio.Process:
        found.append(await start(*arguments, **named))
        return found[-1]

    monkeypatch.setattr(trio.lowlevel, "open_process", noted)
    return found


async def test_venue_is_in_no_process_group_of_ours_and_goes_with_the_block(
    started: list[trio.Process],
) -> None:
    config = Config(venue=Venue(managed=True, playback=(SAMPLE,)))
    async with managed_venue(config, ROOT) as changed:
        (process,) = started
        assert os.getpgid(process.pid) != os.getpgid(0)
        assert changed.feeds.market_url.startswith("ws://127.0.0.1:")
        assert changed == attrs.evolve(config, feeds=changed.feeds)
    assert process.returncode == 0


async def test_venue_that_ends_at_once_is_told_so(
    started: list[trio.Process], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "garbage.jsonl").write_text("garbage\n")
    config = Config(venue=Venue(managed=True, playback=("garbage.jsonl",)))
    with pytest.raises(VenueError) as caught:
        async with managed_venue(config, tmp_path):
            pass
    assert str(caught.value) == "the local venue ended with exit code 2; it has said why above"
    assert started[0].returncode == 2
    assert "expected a capture" in capfd.readouterr().err
