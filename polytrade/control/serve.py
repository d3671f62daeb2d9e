"""Serving the control plane: bind, announce the address, stop by a trigger.

Hypercorn is stopped by its trigger, never by cancelling it, and an application serves once.
"""

import logging
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import trio
from hypercorn.config import Config as HypercornConfig

from polytrade.config import Control
from polytrade.control.app import ControlApp
from polytrade.errors import ConfigError, Problem
from polytrade.rest_server import serve_app

GRACE_S: Final = 1.0
"""How long a stop waits for requests under way."""
KEEP_ALIVE_S: Final = 5.0
"""An idle connection, or one that is slow with its headers, is closed after this."""
UNREAD_MS: Final = 5_000
"""A client that does not take its answer for this long is cut off by the kernel: hypercorn shields
its sends, so no cancellation, not even the stop's, would end them."""


async def serve(
    app: ControlApp,
    config: Control,
    shutdown_trigger: Callable[[], Awaitable[None]],
    *,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve `app` until `shutdown_trigger` returns; `started` gets the URL it listens on.

    ConfigError when the address cannot be bound. Open keep-alive connections hold a stop for at
    most `GRACE_S`, clients that do not read for at most `UNREAD_MS`.
    """
    if app.served:
        raise AssertionError("an application serves once: create a new one for each start")
    app.served = True
    listener = await _listener(config)
    settings = HypercornConfig()
    settings.bind = [f"fd://{listener.detach()}"]  # hypercorn closes it
    settings.graceful_timeout = GRACE_S
    settings.keep_alive_timeout = KEEP_ALIVE_S
    settings.shutdown_timeout = GRACE_S
    settings.include_server_header = False
    settings.accesslog = None
    settings.errorlog = logging.getLogger("hypercorn.error")
    async with trio.open_nursery() as nursery:
        binds: list[str] = await nursery.start(
            partial(
                serve_app,
                app,
                settings,
                shutdown_trigger=shutdown_trigger,
                mode="asgi",
            )
        )
        task_status.started(binds[0])


async def _listener(config: Control) -> socket.socket:
    path, allowed = "control.port", "a free port of an address of this machine"
    try:
        found = await trio.socket.getaddrinfo(
            config.host.strip("[]"), config.port, type=socket.SOCK_STREAM
        )
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        message = f"expected an address, found {config.host!r}: {error.strerror}"
        raise ConfigError(Problem(message, "control.host", allowed)) from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        unread = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux; accepted sockets inherit it
        if unread is not None:
            listener.setsockopt(socket.IPPROTO_TCP, unread, UNREAD_MS)
        listener.bind(address)
    except OSError as error:
        listener.close()
        message = f"cannot listen on {config.host}:{config.port}: {error.strerror}"
        raise ConfigError(Problem(message, path, allowed)) from None
    return listener
