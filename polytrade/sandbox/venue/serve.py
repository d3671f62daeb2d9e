"""Opens the live venue on loopback: every endpoint, one ready line, and the time that drives it."""

import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import trio
from quart_trio import QuartTrio

from polytrade.core.units import MS_NS, SECOND_NS
from polytrade.sandbox.dialects import Dialect, MarketDialect, RtdsDialect
from polytrade.sandbox.endpoints import Endpoint
from polytrade.sandbox.servers import RestServer, SocketServer
from polytrade.sandbox.venue.admin import admin_app
from polytrade.sandbox.venue.chain_rest import chain_app
from polytrade.sandbox.venue.clob_app import clob_app
from polytrade.sandbox.venue.data_rest import data_app
from polytrade.sandbox.venue.gamma_rest import gamma_app
from polytrade.sandbox.venue.local import LocalVenue
from polytrade.sandbox.venue.options import VenueOptions
from polytrade.sandbox.venue.relays import PolyBoltDialect
from polytrade.sandbox.venue.user_channel import UserDialect

NAP_MS: Final = 5
"""Longest the venue sleeps: what is due is at most this late."""
BREATH_MS: Final = 1
"""While behind, who sends and answers has so long between two turns of the venue."""
AUTH_S: Final = 10.0
"""A client of the user channel says who it is within this, or is closed; undocumented."""

REST_APPS: Final[dict[str, Callable[[LocalVenue], QuartTrio]]] = {
    "clob": clob_app,
    "gamma": gamma_app,
    "data": data_app,
    "chain": chain_app,
    "admin": admin_app,
}
URL_PATHS: Final = {"market": "/ws/market", "user": "/ws/user", "polybolt": "/ws"}


async def serve_venue(
    options: VenueOptions,
    *,
    now_ns: Callable[[], int] = time.time_ns,  # clock-ok: the venue's own wall clock
    task_status: trio.TaskStatus[dict[str, Any]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled; reports the ready line's object when everything listens.

    Raises ConfigError when the scenario cannot be read or a port cannot be used. On cancellation
    sockets are closed and REST ends within `REST_STOP_S`.
    """
    venue = LocalVenue(options, now_ns)
    async with trio.open_nursery() as nursery:
        for offset, (name, dialect) in enumerate(_endpoints(venue).items()):
            endpoint = Endpoint(name, dialect, AUTH_S if name == "user" else math.inf)
            venue.endpoints[name] = endpoint
            server: SocketServer | RestServer
            if dialect is None:
                create = partial(REST_APPS[name], venue)
                server = RestServer(venue.endpoints, endpoint, create)
            else:
                server = SocketServer(venue.endpoints, endpoint)
            await nursery.start(server.serve, options.port_base and options.port_base + offset)
        nursery.start_soon(_live, venue)
        task_status.started(ready(venue))


def _endpoints(venue: LocalVenue) -> dict[str, Callable[[str], Dialect] | None]:
    """Every endpoint in the order of its ports; None for REST."""
    return {
        "market": lambda path: MarketDialect(venue.market_channel),
        "user": lambda path: UserDialect(venue.keys),
        "rtds": lambda path: RtdsDialect(venue.relays),
        "polybolt": lambda path: PolyBoltDialect(venue.relays, venue.keys),
        **{name: exchange.dialect for name, exchange in venue.exchanges.items()},
        **dict.fromkeys(REST_APPS),
    }


def ready(venue: LocalVenue) -> dict[str, Any]:
    """The ready line: every address, and the markets there are."""
    line: dict[str, Any] = {"ready": True}
    for name, endpoint in venue.endpoints.items():
        scheme = "http" if endpoint.dialect is None else "ws"
        path = URL_PATHS.get(name, "")
        line[f"{name}_url"] = f"{scheme}://{venue.options.host}:{endpoint.port}{path}"
    line["slugs"] = [listing.slug for listing in venue.calendar.active()]
    return line


async def _live(venue: LocalVenue) -> None:
    """Carry out what is due when it is due."""
    while True:
        if not venue.catch_up():
            await trio.sleep(BREATH_MS * MS_NS / SECOND_NS)
            continue
        next_ns = venue.schedule.next_ns()
        nap_ns = NAP_MS * MS_NS
        if next_ns is not None:
            nap_ns = min(nap_ns, max(next_ns - venue.schedule.now_ns, MS_NS))
        await trio.sleep(nap_ns / SECOND_NS)
