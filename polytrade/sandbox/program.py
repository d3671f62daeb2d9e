"""A venue as a program: one ready line, then until it is told to stop."""

import gc
import os
import signal
import sys
from collections.abc import Awaitable
from typing import Any, Final, Protocol

import orjson
import trio

from polytrade.errors import ConfigError

PARENT_READ: Final = 4096
"""Bytes of standard input read at once while waiting for its end."""


class Serve(Protocol):
    """Serves until cancelled; reports the ready line's object when everything listens."""

    def __call__(self, *, task_status: trio.TaskStatus[dict[str, Any]]) -> Awaitable[None]:
        """Serve."""


async def _watch_signals(stop: trio.Event) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            stop.set()


async def _watch_parent(stop: trio.Event) -> None:
    while await trio.to_thread.run_sync(os.read, 0, PARENT_READ, abandon_on_cancel=True):
        pass
    stop.set()


async def _run(serve: Serve, exit_with_parent: bool) -> None:
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_watch_signals, stop)
        if exit_with_parent:
            nursery.start_soon(_watch_parent, stop)
        line = await nursery.start(serve)
        # What is there now stays. Looked through once a minute, it held up every frame for 100 ms.
        gc.collect()
        gc.freeze()
        sys.stdout.write(orjson.dumps(line).decode() + "\n")
        sys.stdout.flush()
        await stop.wait()
        nursery.cancel_scope.cancel()


def run_program(serve: Serve, *, exit_with_parent: bool) -> int:
    """Run a venue until SIGTERM, SIGINT or (when asked) the end of standard input.

    Prints one JSON line when everything listens. Returns 0; raises ConfigError when a capture or a
    port cannot be used.
    """
    try:
        trio.run(_run, serve, exit_with_parent)
    except BaseExceptionGroup as group:
        # What is raised within `except*` comes out in a group again.
        refused, other = group.split(ConfigError)
        if refused is None or other is not None:
            raise
        raise _first(refused) from None
    return 0


def _first(group: BaseExceptionGroup[ConfigError]) -> ConfigError:
    for error in group.exceptions:
        return _first(error) if isinstance(error, BaseExceptionGroup) else error
    raise AssertionError("an exception group is never empty")
