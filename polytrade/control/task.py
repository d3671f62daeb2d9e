"""The control plane as the daemon runs it: a new application for each start."""

import socket
from collections.abc import Callable

import structlog
import trio

from polytrade.config import Control
from polytrade.control.app import create_app
from polytrade.control.auth import check_bind, load_token
from polytrade.control.serve import serve
from polytrade.errors import ConfigError, Problem
from polytrade.runtime.command_requests import Commands
from polytrade.runtime.status import DaemonStatus

log = structlog.get_logger(__name__)


def check_control(config: Control) -> None:
    """Refuse to start what could only fail again and again: ConfigError names the setting.

    An address that is not loopback needs a token, and the port must be free.
    """
    check_bind(config, load_token(config))
    host = config.host.strip("[]")
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host, config.port, type=socket.SOCK_STREAM
        )[0]
        with socket.socket(family, kind) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
    except OSError as error:
        why = f"cannot listen on {config.host}:{config.port}: {error.strerror or error}"
        raise ConfigError(Problem(why, "control.port", "a free port")) from error


async def run_control(
    read: Callable[[], DaemonStatus],
    commands: Commands,
    config: Control,
    stopping: trio.Event,
) -> None:
    """Serve the control API until `stopping` is set; raises ConfigError when it cannot."""
    app = create_app(read, commands, config, load_token(config))
    async with trio.open_nursery() as nursery:
        url = await nursery.start(serve, app, config, stopping.wait)
        log.info("control plane listens", url=url)
