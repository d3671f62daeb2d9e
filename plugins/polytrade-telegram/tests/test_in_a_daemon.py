"""The plugin under the daemon's own runner: what it is told arrives, the token leaks nowhere."""

import random
from typing import Any

import pytest
import trio
from polytrade_telegram import Telegram
from telegram_server import TOKEN, serve_telegram, too_many
from trio.testing import wait_all_tasks_blocked

from polytrade.config import Config
from polytrade.runtime.notices import Notices
from polytrade.runtime.supervise import TaskTable
from polytrade.session import build_session


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLYTRADE_TELEGRAM_TOKEN", TOKEN)


class Daemon:
    """The runner with one Telegram notifier; `tell` delivers at once, as a stop does."""

    def __init__(self, **settings: Any) -> None:
        self.tasks = TaskTable()
        self.notices = Notices(
            build_session(Config()).engine, lambda: 0, tasks=self.tasks, rng=random.Random(1)
        )
        self.notices.configure({"telegram": Telegram(**settings)})

    async def tell(self, *texts: str) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.notices.run)
            await wait_all_tasks_blocked()
            for text in texts:
                self.notices.tell("alarm", text, {"name": text})
            row = self.notices._posts["telegram"]
            await self.notices.finish()
            self.left, self.delivered = len(row), row.delivered
            nursery.cancel_scope.cancel()


async def test_what_the_daemon_says_arrives_in_the_chat() -> None:
    async with serve_telegram() as server:
        daemon = Daemon(chats=(7,), api_url=server.url)
        await daemon.tell("one & two", "three")
    assert [each["shown"] for each in server.sent] == [
        "alarm 00:00:00 one & two\nalarm 00:00:00 three"
    ]
    assert (daemon.delivered, daemon.left) == (2, 0)


async def test_failure_is_seen_by_operators_without_the_token(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    daemon = Daemon(chats=(7,), api_url="http://127.0.0.1:1")
    await daemon.tell("one")
    assert (daemon.delivered, daemon.left) == (0, 1)
    async with serve_telegram() as server:
        server.refusals = [too_many(3600)]
        daemon = Daemon(chats=(7,), api_url=server.url)
        await daemon.tell("one")
    assert (daemon.delivered, daemon.left) == (0, 1)
    printed = caplog.text + "".join(capfd.readouterr())
    assert "sendMessage: ConnectError" in printed
    assert TOKEN not in printed
