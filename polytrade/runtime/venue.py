"""The local venue as a child process: started with the daemon, gone with it."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from os import environ
from pathlib import Path
from typing import Any, Final

import attrs
import structlog
import trio

from polytrade.config import Config, Feeds, Source
from polytrade.errors import ConfigError, Problem
from polytrade.sandbox.venue.options import COINS, WINDOWS, WINDOWS_AHEAD_MAX

log = structlog.get_logger(__name__)

READY_S: Final = 30.0
"""Longest the venue may take to answer: it reads its captures, or lives a past, first (1-3 s)."""
STOP_S: Final = 3.0
LINE_MAX: Final = 1 << 20
"""Longest ready line: 20 KB for 100 markets."""
EXCHANGES: Final = ("binance", "coinbase", "kraken", "okx", "bybit")


class VenueError(Exception):
    """The local venue did not start."""


@asynccontextmanager
async def managed_venue(config: Config, root: Path) -> AsyncIterator[Config]:
    """The configuration with the addresses of a venue that runs for the length of the block.

    With `venue.managed` off the configuration itself. Raises ConfigError for a capture that is not
    there, VenueError when the venue does not get ready.
    """
    if not config.venue.managed:
        yield config
        return
    command = _command(config, root)
    # In a session of its own, because Ctrl-C reaches every process of the terminal's: the venue
    # must not go before the orders at it are off the book. It ends with its standard input.
    process = await trio.lowlevel.open_process(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
        env=_clean_environment(),
    )
    try:
        ready = await _read_ready(process)
        log.info("local venue is up", pid=process.pid, markets=len(ready.get("slugs", ())))
        yield attrs.evolve(config, feeds=venue_addresses(config.feeds, ready))
    finally:
        with trio.move_on_after(STOP_S, shield=True):
            process.terminate()
            await process.wait()
        if process.returncode is None:
            process.kill()


def _clean_environment() -> dict[str, str]:
    """The environment without the operator's secrets, which the venue has no use for."""
    return {name: value for name, value in environ.items() if not name.startswith("POLYTRADE_")}


def _command(config: Config, root: Path) -> Sequence[str]:
    program = (sys.executable, "-m", "polytrade", "sandbox", "--exit-with-parent")
    return (*program, *(_playback(config, root) if config.venue.playback else _live(config, root)))


def _live(config: Config, root: Path) -> Iterator[str]:
    venue = config.venue
    yield from ("--seed", str(venue.seed), "--activity", str(venue.activity))
    for flag, wanted, known in (
        ("coins", config.universe.coins, COINS),
        ("windows", config.universe.windows, WINDOWS),
    ):
        there = [name for name in wanted if name in known]
        if not there:
            raise ConfigError(
                Problem(
                    f"expected one that the local venue has ({', '.join(known)}), "
                    f"found {', '.join(wanted)}",
                    f"universe.{flag}",
                )
            )
        yield from (f"--{flag}", ",".join(there))
    yield from ("--windows-ahead", str(min(config.universe.windows_ahead, WINDOWS_AHEAD_MAX)))
    yield "--slow-markets" if venue.slow_markets else "--no-slow-markets"
    if venue.scenario:
        yield from ("--scenario", str(_present(root, "venue.scenario", venue.scenario)))


def _playback(config: Config, root: Path) -> Iterator[str]:
    venue = config.venue
    for path in venue.playback:
        yield from ("--playback", str(_present(root, "venue.playback", path)))
    yield from ("--speed", str(venue.speed))
    yield "--loop" if venue.loop else "--no-loop"
    yield "--shift" if venue.shift else "--no-shift"


def _present(root: Path, field: str, path: str) -> Path:
    file = root / path
    if not file.is_file():
        raise ConfigError(Problem(f"expected a file that exists, found {file}", field))
    return file


async def _read_ready(process: trio.Process) -> dict[str, Any]:
    """The venue's first line: its addresses."""
    assert process.stdout is not None
    line = b""
    with trio.move_on_after(READY_S):
        await trio.lowlevel.checkpoint()
        while not line.endswith(b"\n") and len(line) < LINE_MAX:
            chunk = await process.stdout.receive_some()
            if not chunk:
                break
            line += chunk
    try:
        ready = json.loads(line)
    except ValueError:
        ready = None
    if isinstance(ready, dict) and ready.get("ready"):
        return ready
    if line:
        raise VenueError(f"expected the local venue's addresses, found {line[:200]!r}")
    with trio.move_on_after(STOP_S):
        code = await process.wait()
        raise VenueError(f"the local venue ended with exit code {code}; it has said why above")
    raise VenueError(f"the local venue is not ready after {READY_S:g} s")


def venue_addresses(feeds: Feeds, ready: dict[str, Any]) -> Feeds:
    """The feeds with the venue's addresses; what the venue does not serve is switched off."""
    changes: dict[str, Any] = {
        name: ready.get(name, "") for name in ("market_url", "clob_url", "gamma_url", "rtds_url")
    }
    changes["polybolt_url"] = ready.get("polybolt_url", "")
    for name in EXCHANGES:
        source: Source = getattr(feeds, name)
        url = ready.get(f"{name}_url", "")
        changes[name] = attrs.evolve(source, enabled=source.enabled and bool(url), url=url)
    return attrs.evolve(feeds, **changes)
