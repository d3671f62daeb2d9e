"""Runs the local venue on loopback: sockets, REST, playback; one function, one ready line."""

import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import hypercorn.trio
import orjson
import trio
import trio_websocket
from hypercorn.config import Config as HypercornConfig
from quart_trio import QuartTrio

from polytrade.errors import ConfigError, Problem
from polytrade.sandbox.connection import HANDSHAKE_S, INBOUND_MAX, Connection
from polytrade.sandbox.dialects import Dialect, MarketDialect, RtdsDialect
from polytrade.sandbox.exchanges import BinanceDialect, ExchangeDialect
from polytrade.sandbox.options import PlaybackOptions
from polytrade.sandbox.player import Player
from polytrade.sandbox.rest import admin_app, clob_app, gamma_app, served_slugs
from polytrade.sandbox.timeline import Timeline, scan
from polytrade.sandbox.venue import Endpoint, Venue

CLIENTS_MAX: Final = 64
"""Connections an endpoint takes: two paths of a few shards are ten."""
REST_STOP_S: Final = 2.0
"""Longest a REST server may take to end once told to."""
GRACEFUL_S: Final = 0.3
"""What hypercorn gives requests under way; those here are answered from memory."""
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
    task_status: trio.TaskStatus[dict[str, Any]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled; reports the ready line's object when everything listens.

    Playback that reached its end keeps serving. Raises ConfigError when a capture or a port cannot
    be used. On cancellation sockets are closed and REST ends within `REST_STOP_S`.
    """
    if timeline is None:
        timeline = await trio.to_thread.run_sync(scan, options.files)
    venue = Venue(options, timeline)
    player = Player(venue)
    names = [*timeline.endpoints(), *REST_APPS]
    async with trio.open_nursery() as nursery:
        for offset, name in enumerate(names):
            endpoint = venue.endpoints[name] = Endpoint(name)
            port = options.port_base + offset if options.port_base else 0
            run = run_rest if name in REST_APPS else run_sockets
            endpoint.port = await nursery.start(run, venue, endpoint, port)
        # clock-ok: times of the capture are moved to the wall clock, once, before anything is sent
        await player.prepare(time.time_ns())
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


# Sockets


async def run_sockets(
    venue: Venue,
    endpoint: Endpoint,
    port: int,
    *,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Accept WebSockets; when killed, close all, stay away, and listen on the same port again."""
    while True:
        listeners = await _listen(endpoint.name, venue.options.host, port)
        port = listeners[0].socket.getsockname()[1]
        task_status.started(port)
        task_status = trio.TASK_STATUS_IGNORED
        endpoint.down = trio.Event()
        async with trio.open_nursery() as nursery:
            accept = partial(_client, venue, endpoint)
            nursery.start_soon(partial(trio.serve_listeners, accept, listeners))
            await endpoint.down.wait()
            nursery.cancel_scope.cancel()
        await trio.sleep(endpoint.down_for_s)


async def _listen(name: str, host: str, port: int) -> list[trio.SocketListener]:
    try:
        return await trio.open_tcp_listeners(port, host=host)
    except OSError as error:
        problem = Problem(f"cannot listen on {host}:{port} for {name}: {error}", "playback.port")
        raise ConfigError(problem) from error


def _dialect(venue: Venue, endpoint: Endpoint, path: str) -> Dialect:
    match endpoint.name:
        case "market":
            return MarketDialect(venue)
        case "rtds":
            return RtdsDialect(venue)
        case "binance":
            return BinanceDialect(path)
    return ExchangeDialect(endpoint.name)


async def _client(venue: Venue, endpoint: Endpoint, stream: trio.SocketStream) -> None:
    """One client, from its handshake to its end; nothing it does ends the venue."""
    connection: Connection | None = None
    try:
        async with trio.open_nursery() as nursery:
            request: trio_websocket.WebSocketRequest | None = None
            with trio.move_on_after(HANDSHAKE_S):
                request = await trio_websocket.wrap_server_stream(
                    nursery, stream, max_message_size=INBOUND_MAX
                )
            if request is not None and len(endpoint.connections) < CLIENTS_MAX:
                ws = await request.accept()
                connection = _welcome(venue, endpoint, request.path, ws, stream, nursery)
                await _hear(venue, connection, ws)
            nursery.cancel_scope.cancel()
    except* (trio_websocket.ConnectionClosed, trio_websocket.HandshakeError):
        pass
    except* (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    finally:
        if connection is not None:
            endpoint.connections.pop(connection.number, None)
            endpoint.closed.append(connection)
            connection.ended()
        await trio.aclose_forcefully(stream)


def _welcome(
    venue: Venue,
    endpoint: Endpoint,
    path: str,
    ws: trio_websocket.WebSocketConnection,
    stream: trio.SocketStream,
    nursery: trio.Nursery,
) -> Connection:
    """Know a new client and start writing to it."""
    dialect = _dialect(venue, endpoint, path)
    number = venue.next_connection()
    connection = Connection(number, endpoint.name, dialect, ws, stream, nursery.cancel_scope)
    connection.faults.frozen_until = endpoint.frozen_until
    endpoint.connections[number] = connection
    if dialect.subscriptions:
        venue.note_activity()
    nursery.start_soon(connection.run_writer)
    return connection


async def _hear(
    venue: Venue, connection: Connection, ws: trio_websocket.WebSocketConnection
) -> None:
    """Answer what the client says until it leaves; raises ConnectionClosed then."""
    while True:
        message = await ws.get_message()
        text = message if isinstance(message, str) else message.decode(errors="replace")
        before = connection.dialect.subscriptions
        for answer, kind in connection.dialect.hear(text):
            if kind == "dump" and connection.faults.frozen_until > trio.current_time():
                connection.lost["frozen"] += 1
            else:
                connection.put(answer, kind)
        if connection.dialect.subscriptions != before:
            venue.note_activity()
        await connection.wait_room()


# REST


async def run_rest(
    venue: Venue,
    endpoint: Endpoint,
    port: int,
    *,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve one REST application; ends by hypercorn's own shutdown, also when cancelled."""
    while True:
        endpoint.down = trio.Event()
        config = HypercornConfig()
        config.bind = [f"{venue.options.host}:{port}"]
        config.accesslog = config.errorlog = None
        config.graceful_timeout = GRACEFUL_S
        app = REST_APPS[endpoint.name](venue)
        async with trio.open_nursery() as nursery:
            scope = await nursery.start(_hypercorn, app, config, endpoint)
            port = scope.port
            task_status.started(port)
            task_status = trio.TASK_STATUS_IGNORED
            try:
                await endpoint.down.wait()
            finally:
                endpoint.down.set()
                scope.end_soon()
        await trio.sleep(endpoint.down_for_s)


class _RestScope:
    """A running REST server: its port, and the deadline of its end."""

    def __init__(self, port: int, scope: trio.CancelScope) -> None:
        self.port = port
        self._scope = scope

    def end_soon(self) -> None:
        """However it ends, it ends within `REST_STOP_S`."""
        self._scope.deadline = trio.current_time() + REST_STOP_S


async def _hypercorn(
    app: QuartTrio,
    config: HypercornConfig,
    endpoint: Endpoint,
    *,
    task_status: trio.TaskStatus[_RestScope],
) -> None:
    with trio.CancelScope(shield=True) as scope:
        async with trio.open_nursery() as nursery:
            try:
                binds = await nursery.start(
                    partial(
                        hypercorn.trio.serve,
                        app,
                        config,
                        shutdown_trigger=endpoint.down.wait,
                    )
                )
            except OSError as error:
                named = f"cannot listen on {config.bind[0]} for {endpoint.name}: {error}"
                raise ConfigError(Problem(named, "playback.port")) from error
            task_status.started(_RestScope(int(binds[0].rpartition(":")[2]), scope))


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
