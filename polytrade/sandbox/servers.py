"""The listening sockets: WebSockets on trio's own listeners, REST on hypercorn."""

import math
from collections.abc import Callable
from functools import partial
from typing import Final

import trio
import trio_websocket
from hypercorn.config import Config as HypercornConfig
from quart_trio import QuartTrio

from polytrade.errors import ConfigError, Problem
from polytrade.rest_server import serve_app
from polytrade.sandbox.connection import HANDSHAKE_S, INBOUND_MAX, Connection
from polytrade.sandbox.dialects import Greets
from polytrade.sandbox.endpoints import Endpoint, Endpoints
from polytrade.sandbox.frames import SharedStream

CLIENTS_MAX: Final = 64
"""Connections an endpoint takes: two paths of a few shards are ten."""
REST_STOP_S: Final = 2.0
"""Longest a REST server may take to end once told to."""
GRACEFUL_S: Final = 0.3
"""What hypercorn gives requests under way; those here are answered from memory."""


def _refused(name: str, address: str, error: OSError) -> ConfigError:
    return ConfigError(Problem(f"cannot listen on {address} for {name}: {error}", "port_base"))


class SocketServer:
    """One WebSocket endpoint. When killed it closes all, stays away, and listens again."""

    def __init__(self, endpoints: Endpoints, endpoint: Endpoint) -> None:
        self._endpoints = endpoints
        self._endpoint = endpoint

    async def serve(
        self, port: int, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Accept clients until cancelled; `endpoint.port` is set when started. ConfigError."""
        endpoint, host = self._endpoint, self._endpoints.host
        endpoint.port = port
        while True:
            try:
                listeners = await trio.open_tcp_listeners(endpoint.port, host=host)
            except OSError as error:
                raise _refused(endpoint.name, f"{host}:{endpoint.port}", error) from error
            endpoint.port = listeners[0].socket.getsockname()[1]
            endpoint.down = trio.Event()
            task_status.started()
            task_status = trio.TASK_STATUS_IGNORED
            async with trio.open_nursery() as nursery:
                accept = partial(_client, self._endpoints, endpoint)
                nursery.start_soon(partial(trio.serve_listeners, accept, listeners))
                await endpoint.down.wait()
                nursery.cancel_scope.cancel()
            await trio.sleep(endpoint.down_for_s)


async def _client(endpoints: Endpoints, endpoint: Endpoint, stream: trio.SocketStream) -> None:
    """One client, from its handshake to its end; nothing it does ends the venue."""
    connection: Connection | None = None
    shared = SharedStream(stream)
    try:
        async with trio.open_nursery() as nursery:
            request: trio_websocket.WebSocketRequest | None = None
            with trio.move_on_after(HANDSHAKE_S):
                request = await trio_websocket.wrap_server_stream(
                    nursery, shared, max_message_size=INBOUND_MAX
                )
            if request is not None and len(endpoint.connections) < CLIENTS_MAX:
                ws = await request.accept()
                connection = _welcome(endpoints, endpoint, request.path, shared, nursery)
                await _hear(endpoints, connection, ws)
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
    endpoints: Endpoints,
    endpoint: Endpoint,
    path: str,
    stream: SharedStream,
    nursery: trio.Nursery,
) -> Connection:
    """Know a new client and start writing to it."""
    assert endpoint.dialect is not None, f"{endpoint.name} is no socket"
    dialect = endpoint.dialect(path)
    number = endpoints.next_connection()
    connection = Connection(number, endpoint.name, dialect, stream, nursery.cancel_scope)
    connection.faults.frozen_until = endpoint.frozen_until
    endpoint.connections[number] = connection
    if dialect.subscriptions:
        endpoints.on_activity()
    nursery.start_soon(connection.run_writer)
    for text, kind in dialect.greet() if isinstance(dialect, Greets) else ():
        connection.put(text, kind)
    return connection


async def _hear(
    endpoints: Endpoints, connection: Connection, ws: trio_websocket.WebSocketConnection
) -> None:
    """Answer what the client says until it leaves; raises ConnectionClosed then."""
    patience = trio.current_time() + endpoints[connection.endpoint].subscribe_s
    while True:
        subscribed = connection.dialect.subscriptions
        message: str | bytes | None = None
        with trio.move_on_at(math.inf if subscribed else patience):
            message = await ws.get_message()
        if message is None:
            connection.close("nothing subscribed")
            await trio.sleep_forever()
        text = message if isinstance(message, str) else message.decode(errors="replace")
        for answer, kind in connection.dialect.hear(text):
            if kind == "dump" and connection.faults.frozen_until > trio.current_time():
                connection.lost["frozen"] += 1
            elif kind == "close":
                connection.close(answer)
            else:
                connection.put(answer, kind)
        if connection.dialect.subscriptions != subscribed:
            endpoints.on_activity()
        await connection.wait_room()


class RestServer:
    """One REST endpoint. Hypercorn is ended by its own shutdown, also when we are cancelled."""

    def __init__(
        self, endpoints: Endpoints, endpoint: Endpoint, create_app: Callable[[], QuartTrio]
    ) -> None:
        self._endpoints = endpoints
        self._endpoint = endpoint
        self._create_app = create_app
        self._up = trio.Event()
        self._shield = trio.CancelScope(shield=True)

    async def serve(
        self, port: int, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Answer until cancelled; `endpoint.port` is set when started. Raises ConfigError."""
        endpoint = self._endpoint
        endpoint.port = port
        while True:
            endpoint.down = trio.Event()
            self._up = trio.Event()
            self._shield = trio.CancelScope(shield=True)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._run_hypercorn)
                try:
                    await self._up.wait()
                    task_status.started()
                    task_status = trio.TASK_STATUS_IGNORED
                    await endpoint.down.wait()
                finally:
                    endpoint.down.set()
                    self._shield.deadline = trio.current_time() + REST_STOP_S
            await trio.sleep(endpoint.down_for_s)

    async def _run_hypercorn(self) -> None:
        endpoint = self._endpoint
        config = HypercornConfig()
        config.bind = [f"{self._endpoints.host}:{endpoint.port}"]
        config.accesslog = config.errorlog = None
        config.graceful_timeout = GRACEFUL_S
        # An application object cannot be served twice.
        server = partial(
            serve_app,
            self._create_app(),
            config,
            shutdown_trigger=endpoint.down.wait,
        )
        with self._shield:
            async with trio.open_nursery() as nursery:
                try:
                    binds = await nursery.start(server)
                except OSError as error:
                    raise _refused(endpoint.name, config.bind[0], error) from error
                endpoint.port = int(binds[0].rpartition(":")[2])
                self._up.set()
