"""The control plane as the daemon runs it: a new application for each start."""

from collections.abc import Callable

import structlog
import trio

from polytrade.config import Control
from polytrade.control.app import create_app
from polytrade.control.auth import load_token
from polytrade.control.serve import serve
from polytrade.runtime.status import Commands, DaemonStatus

log = structlog.get_logger(__name__)


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
