"""Serves captures on loopback: sockets, REST, playback; one function, one ready line."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import trio
from quart_trio import QuartTrio

from polytrade.sandbox.dialects import Dialect, MarketDialect, RtdsDialect
from polytrade.sandbox.endpoints import Endpoint
from polytrade.sandbox.exchanges import BinanceDialect, ExchangeDialect
from polytrade.sandbox.playback.options import PlaybackOptions
from polytrade.sandbox.playback.player import Player
from polytrade.sandbox.playback.rest import admin_app, clob_app, gamma_app, served_slugs
from polytrade.sandbox.playback.timeline import Timeline, scan
from polytrade.sandbox.playback.venue import Venue
from polytrade.sandbox.servers import RestServer, SocketServer

URL_PATHS: Final = {"market": "/ws/market", "binance": "/stream"}
REST_APPS: Final[dict[str, Callable[[Venue], QuartTrio]]] = {
    "clob": clob_app,
    "gamma": gamma_app,
    "admin": admin_app,
}


async def serve_playback(
    options: PlaybackOptions,
    *,
    timeline: Timeline | None = None,
    now_ns: Callable[[], int] = time.time_ns,  # clock-ok: the venue's own wall clock
    task_status: trio.TaskStatus[dict[str, Any]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled; reports the ready line's object when everything listens.

    `now_ns` is the venue's wall clock: captures are shifted to it and `/time` tells it. Playback
    that reached its end keeps serving. Raises ConfigError when a capture or a port cannot
    be used. On cancellation sockets are closed and REST ends within `REST_STOP_S`.
    """
    if timeline is None:
        timeline = await trio.to_thread.run_sync(scan, options.files)
    venue = Venue(options, timeline, now_ns)
    player = Player(venue)
    names = [*timeline.endpoints(), *REST_APPS]
    async with trio.open_nursery() as nursery:
        for offset, name in enumerate(names):
            rest = REST_APPS.get(name)
            endpoint = Endpoint(name, None if rest else partial(_dialect, venue, name))
            venue.endpoints[name] = endpoint
            port = options.port_base + offset if options.port_base else 0
            server: SocketServer | RestServer
            if rest is not None:
                server = RestServer(venue.endpoints, endpoint, partial(rest, venue))
            else:
                server = SocketServer(venue.endpoints, endpoint)
            await nursery.start(server.serve, port)
        await player.prepare(now_ns())
        task_status.started(ready(venue))
        nursery.start_soon(player.run)


def ready(venue: Venue) -> dict[str, Any]:
    """The ready line: every address, the markets, and the frames that will be played by source."""
    host = venue.options.host
    line: dict[str, Any] = {"ready": True}
    for name, endpoint in venue.endpoints.items():
        scheme = "http" if name in REST_APPS else "ws"
        path = URL_PATHS.get(name, "")
        line[f"{name}_url"] = f"{scheme}://{host}:{endpoint.port}{path}"
    line["slugs"] = served_slugs(venue)
    line["frames"] = dict(venue.timeline.frames)
    line["shift_s"] = venue.shift.delta_s
    return line


def _dialect(venue: Venue, endpoint: str, path: str) -> Dialect:
    match endpoint:
        case "market":
            return MarketDialect(venue)
        case "rtds":
            return RtdsDialect(venue)
        case "binance":
            return BinanceDialect(path)
    return ExchangeDialect(endpoint)
