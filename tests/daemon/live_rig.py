"""A whole daemon against the live venue over real sockets, in one event loop.

The venue is small (one coin, one sort of window, a tenth of the real message rate) and shares with
the daemon a wall clock that starts two minutes into a window: a test has three minutes left.
"""

import io
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import httpx2
import pytest
import trio

from polytrade.control.task import run_control
from polytrade.core.units import SECOND_NS
from polytrade.polymarket.relays import API_KEY_ENV, PASSPHRASE_ENV, SECRET_ENV
from polytrade.polymarket.signing import SigningKey, clob_auth_digest
from polytrade.runtime.daemon import Daemon
from polytrade.runtime.inbox import Clock
from polytrade.runtime.logs import configure_logging
from polytrade.runtime.venue import venue_addresses
from polytrade.sandbox import simulation
from polytrade.sandbox.venue.options import VenueOptions
from polytrade.sandbox.venue.serve import serve_venue
from polytrade.sandbox.world.calendar import CalendarSettings
from tests.daemon.rig import WAIT_S, Disk, Rig, Tap, clock_looked_at_often, sandbox_config

WINDOW_S = 300
FIRST_S = 1_763_294_400
"""2025-11-16T12:00:00Z, when a window of every length begins."""
INTO_WINDOW_S = 120.0
OPTIONS = VenueOptions(
    seed=7, coins=("btc",), windows=("5m",), windows_ahead=1, slow_markets=False, activity=0.1
)
SIGNER = bytes.fromhex("11" * 32)
"""Private key of the account whose API key the daemon shows to PolyBolt."""
EXCHANGES = ("binance", "coinbase", "kraken", "okx", "bybit")


class LiveRig(Rig):
    """A running daemon and the live venue it talks to."""

    def market(self, number: int = 0) -> Any:
        """The daemon's view of a window: 0 is the one the venue started in, 1 the next."""
        slug = f"btc-updown-5m-{FIRST_S + number * WINDOW_S}"
        found = [m for m in self.engine.markets.values() if m.spec.slug == slug]
        return found[0] if found else None

    def exchanges_heard(self) -> set[str]:
        """Exchanges whose prices the daemon has."""
        return {source.partition("/")[0] for source in self.reference().sources} & set(EXCHANGES)

    def reference(self) -> Any:
        """What the daemon knows of the price."""
        return self.engine.references["BTC"]

    def reasons(self) -> set[str]:
        """What was said of quoting so far: `quoting`, `risk:...`, `no_quote_...`."""
        return {row[2] for row in self.tap.rows if row[0] == "quote_state_changed"}

    async def lost(self, reason: str) -> int:
        """Frames the venue lost for this reason (`endpoint:why`) so far."""
        found: int = (await self.venue_status())["lost"].get(reason, 0)
        return found


@asynccontextmanager
async def live(
    root: Path,
    *overrides: str,
    into_window_s: float = INTO_WINDOW_S,
    fault: dict[str, Any] | None = None,
    keys: pytest.MonkeyPatch | None = None,
    calendar: Mapping[str, int] | None = None,
    speed: int = 1,
) -> AsyncIterator[LiveRig]:
    """A daemon that is up; stopped at the end of the block, whatever happened in it.

    `fault` is ordered at the venue before the daemon starts. With `keys` an API key is made at the
    venue and put into the environment, so that PolyBolt is connected. `calendar` changes how long
    the venue's steps from window to window take. With `speed` the shared clock runs so much faster:
    what waits by trio's clock (silences of connections, polls) then waits so much longer.
    """

    def mono_ns() -> int:
        return time.monotonic_ns() * speed

    wall_ns = _wall_clock(into_window_s, mono_ns)
    config = sandbox_config(root, "risk.max_loss_streak=1000", 'universe.coins=["btc"]', *overrides)
    async with trio.open_nursery() as nursery, httpx2.AsyncClient(timeout=WAIT_S) as client:
        with _calendar(calendar or {}):
            urls = await nursery.start(partial(serve_venue, OPTIONS, now_ns=wall_ns))
        if keys is not None:
            await _enrol(client, urls["clob_url"], wall_ns() // SECOND_NS, keys)
        if fault is not None:
            await client.post(f"{urls['admin_url']}/admin/fault", json=fault)
        config = attrs.evolve(config, feeds=venue_addresses(config.feeds, urls))
        clock, log, disk = Clock(wall_ns, mono_ns), io.StringIO(), Disk()
        logs = configure_logging("debug", clock.now_ns, stream=log, console=False)
        daemon = Daemon(config, root, run_control, clock, logs, None, False, opener=disk)
        daemon._rng = random.Random(1)
        ended = trio.Event()

        async def run() -> None:
            try:
                with clock_looked_at_often():
                    await daemon.run()
            finally:
                ended.set()

        nursery.start_soon(run)
        await daemon.ready.wait()
        rig = LiveRig(daemon, root, urls, Tap(), log, client, disk, ended)
        rig.parts.strategy.listeners.append(rig.tap)
        try:
            yield rig
        finally:
            daemon.stopping.set()
            with trio.move_on_after(WAIT_S, shield=True):
                await ended.wait()
            nursery.cancel_scope.cancel()


@contextmanager
def _calendar(changes: Mapping[str, int]) -> Iterator[None]:
    """Venues made in the block have these settings of the calendar."""
    shipped = simulation._calendar_settings

    def changed(options: VenueOptions) -> CalendarSettings:
        return attrs.evolve(shipped(options), **changes)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulation, "_calendar_settings", changed)
        yield


def _wall_clock(into_window_s: float, mono_ns: Callable[[], int]) -> Callable[[], int]:
    start_ns = FIRST_S * SECOND_NS + round(into_window_s * SECOND_NS)
    offset_ns = start_ns - mono_ns()
    return lambda: mono_ns() + offset_ns


async def _enrol(
    client: httpx2.AsyncClient, clob_url: str, now_s: int, keys: pytest.MonkeyPatch
) -> None:
    """Make an API key by a wallet's signature and hand it to the daemon."""
    key = SigningKey(SIGNER)
    headers = {
        "POLY_ADDRESS": key.address,
        "POLY_SIGNATURE": "0x" + key.sign(clob_auth_digest(key.address, now_s, 0)).hex(),
        "POLY_TIMESTAMP": str(now_s),
        "POLY_NONCE": "0",
    }
    answer = await client.post(f"{clob_url}/auth/api-key", headers=headers)
    assert answer.status_code == 200, answer.text
    made = answer.json()
    for name, field in (
        (API_KEY_ENV, "apiKey"),
        (SECRET_ENV, "secret"),
        (PASSPHRASE_ENV, "passphrase"),
    ):
        keys.setenv(name, made[field])
