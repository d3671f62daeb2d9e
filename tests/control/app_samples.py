"""An application around invented statuses, and a daemon that answers commands from a table."""

from collections.abc import Callable
from typing import Any

import orjson
from quart.testing import QuartClient

from polytrade.config import Control
from polytrade.control.app import ControlApp, create_app
from polytrade.runtime.command_requests import Command, Commands, Refusal, Reply
from polytrade.runtime.status import DaemonStatus
from tests.control.status_samples import status

TOKEN = "correct-horse"


def app_of(
    now: Callable[[], DaemonStatus] = status,
    commands: Commands | None = None,
    token: str | None = None,
    **settings: Any,
) -> ControlApp:
    return create_app(now, commands or Commands(), Control(**settings), token)


async def answer(client: QuartClient, path: str) -> tuple[int, Any]:
    response = await client.get(path)
    return response.status_code, orjson.loads(await response.get_data())


class FakeDaemon:
    """Takes commands and answers them from a table."""

    def __init__(self, replies: dict[Command, Reply | Refusal]) -> None:
        self.commands = Commands()
        self.seen: list[Command] = []
        self._replies = replies

    async def run(self) -> None:
        async for request in self.commands.requests:
            self.seen.append(request.command)
            request.reply(self._replies[request.command])


def nothing_changed(commands: Commands) -> bool:
    return commands.requests.statistics().current_buffer_used == 0
