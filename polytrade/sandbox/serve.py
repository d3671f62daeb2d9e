"""Runs the local venue on loopback: sockets, REST, playback; one function, one ready line."""

import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import orjson
import trio
from quart_trio import QuartTrio

from polytrade.errors import ConfigError
from polytrade.sandbox.options import PlaybackOptions
from polytrade.sandbox.player import Player
from polytrade.sandbox.rest import admin_app, clob_app, gamma_app, served_slugs
from polytrade.sandbox.servers import RestServer, SocketServer
from polytrade.sandbox.timeline import Timeline, scan
from polytrade.sandbox.venue import Endpoint, Venue

PARENT_READ: Final = 4096
"""Bytes of standard input read at once while waiting for its end."""

URL_PATHS: Final = {"market": "/ws/market", "binance": "/stream"}
REST_APPS: Final[dict[str, Callable[[Venue], QuartTrio]]] = {
    "clob": clob_app,
    "gamma": gamma_app,
    "admin": admin_app,
}


async def serve(
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
            endpoint = venue.endpoints[name] = Endpoint(name)
            port = options.port_base + offset if options.port_base else 0
            server: SocketServer | RestServer
            if name in REST_APPS:
                server = RestServer(venue, endpoint, REST_APPS[name])
            else:
                server = SocketServer(venue, endpoint)
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


# The program


async def _watch_signals(stop: trio.Event) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            stop.set()


async def _watch_parent(stop: trio.Event) -> None:
    while await trio.to_thread.run_sync(os.read, 0, PARENT_READ, abandon_on_cancel=True):
        pass
    stop.set()


async def _run(options: PlaybackOptions, timeline: Timeline) -> None:
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_watch_signals, stop)
        if options.exit_with_parent:
            nursery.start_soon(_watch_parent, stop)
        line = await nursery.start(partial(serve, options, timeline=timeline))
        sys.stdout.write(orjson.dumps(line).decode() + "\n")
        sys.stdout.flush()
        await stop.wait()
        nursery.cancel_scope.cancel()


def main(options: PlaybackOptions) -> int:
    """Run the venue as a program until SIGTERM, SIGINT or (when asked) the end of standard input.

    Prints one JSON line when everything listens. Returns 0; raises ConfigError when a capture or a
    port cannot be used.
    """
    timeline = scan(options.files)
    try:
        trio.run(_run, options, timeline)
    except* ConfigError as group:
        raise _first(group) from None
    return 0


def _first(group: BaseExceptionGroup[ConfigError]) -> ConfigError:
    for error in group.exceptions:
        return _first(error) if isinstance(error, BaseExceptionGroup) else error
    raise AssertionError("an exception group is never empty")
