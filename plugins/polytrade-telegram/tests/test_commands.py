"""Commands from a chat, through a local Bot API server: who may, what is done, what is answered."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
import trio
from polytrade_telegram import Telegram
from telegram_server import BOT, TOKEN, TelegramServer, serve_telegram

SUMMARY: dict[str, object] = {
    "ts_ms": 1,
    "health": "degraded",
    "paused": False,
    "engine_mode": "reduce",
    "engine_why": "late by <5> ms",
    "mode": "paper",
    "version": "0.1.0",
    "uptime_s": 3_720,
    "open_orders": 4,
    "markets": 2,
    "exposure_e6": 12_340_000,
    "feeds_down": ["okx"],
    "daily_pnl_e6": -1_500_000,
    "equity_e6": 998_500_000,
    "realized_e6": 250_000,
    "unrealized_e6": -1_750_000,
    "fees_e6": 100_000,
    "rebates_e6": 0,
    "fills": 12,
}
POSITION = {
    "slug": "btc-updown-5m-1",
    "yes_e6": 10_000_000,
    "no_e6": 0,
    "mark_yes_e4": 4_800,
    "pnl_e6": 200_000,
    "open_orders": 2,
}


class Operator:
    """Keeps what it was asked to do."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.rows: list[Mapping[str, object]] = [POSITION]

    def summary(self) -> Mapping[str, object]:
        return SUMMARY

    def positions(self) -> Sequence[Mapping[str, object]]:
        return self.rows

    async def pause(self) -> str:
        self.done.append("pause")
        return "paused"

    async def resume(self, clear_halt: bool = False) -> str:
        self.done.append(f"resume {clear_halt}")
        return "refused (halted): loss > limit"

    async def flatten(self) -> str:
        self.done.append("flatten")
        return "1 order cancelled"


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLYTRADE_TELEGRAM_TOKEN", TOKEN)


@asynccontextmanager
async def listening(
    operator: Operator, *, before: Sequence[str] = (), **settings: Any
) -> AsyncIterator[TelegramServer]:
    """A bot that heeds the chats 7 and -1001; `before` was written while nobody listened."""
    async with serve_telegram() as server, httpx2.AsyncClient() as http:
        for text in before:
            server.hear(text)
        fields = {"chats": (7, -1001), "api_url": server.url, "commands": True, **settings}
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Telegram(**fields).listen, operator, http)
            with trio.fail_after(20):
                await server.polled.wait()
            yield server
            nursery.cancel_scope.cancel()


async def answers(*texts: str, operator: Operator | None = None) -> list[str]:
    """What each text is answered with, one after the other."""
    async with listening(operator or Operator()) as server:
        for count, text in enumerate(texts, 1):
            server.hear(text)
            await server.wait_sent(count)
        return [str(each["shown"]) for each in server.sent]


async def test_status_pnl_and_positions_are_answered_from_the_snapshot() -> None:
    status, pnl, positions = await answers("/status", f"/PNL@{BOT.lower()} now", "/positions")
    assert status.splitlines() == [
        "degraded",
        "engine reduce (late by <5> ms)",
        "paper, version 0.1.0, up 1 h 2 min",
        "4 open orders in 2 markets, 12.34 USDC at risk",
        "feeds down: okx",
    ]
    assert pnl.splitlines() == [
        "today -1.50 USDC",
        "equity 998.50",
        "realized +0.25, unrealized -1.75",
        "fees 0.10, rebates 0.00, 12 fills",
    ]
    assert positions == "btc-updown-5m-1: yes 10, no 0, mark 0.48, PnL +0.20, 2 orders"


async def test_commands_are_carried_out_and_their_result_is_answered() -> None:
    operator = Operator()
    told = await answers("/pause", "/resume", "/resume clear", "/flatten yes", operator=operator)
    assert operator.done == ["pause", "resume False", "resume True", "flatten"]
    refused = "refused (halted): loss > limit"
    assert told == ["paused", refused, refused, "1 order cancelled"]


async def test_flatten_is_asked_for_twice_and_an_unknown_command_explains() -> None:
    operator = Operator()
    flatten, unknown = await answers("/flatten", "/sell_all", operator=operator)
    assert operator.done == []
    assert flatten.startswith("This closes every position. Send /flatten yes")
    assert unknown.startswith("/status")


async def test_no_position_and_many_positions_are_answered_in_one_message() -> None:
    operator = Operator()
    operator.rows = []
    assert await answers("/positions", operator=operator) == ["nothing is held, nothing rests"]
    operator.rows = [POSITION] * 20
    (whole,) = await answers("/positions", operator=operator)
    assert len(whole.splitlines()) == 20
    operator.rows = [POSITION] * 25
    (many,) = await answers("/positions", operator=operator)
    assert many.splitlines()[-1] == "and 5 more"
    operator.rows = [{**POSITION, "slug": "<" * 900}] * 20
    (long,) = await answers("/positions", operator=operator)
    assert long.splitlines()[-1] == "…"


async def test_only_the_chats_that_are_named_are_heeded(caplog: pytest.LogCaptureFixture) -> None:
    operator = Operator()
    async with listening(operator, users=(42,)) as server:
        server.hear("/pause", chat=8)
        server.hear("/pause", chat=8, user=7)
        server.hear("/pause", chat=-1001, kind="group", user=41)
        server.hear("/pause", chat=-1001, kind="supergroup", user=42)
        await server.wait_sent(1)
        assert [each["chat_id"] for each in server.sent] == [-1001]
    assert operator.done == ["pause"]
    assert "command of a stranger, chat 8, user 7" in caplog.text


async def test_what_was_written_while_nobody_listened_is_forgotten() -> None:
    operator = Operator()
    async with listening(operator, before=["/flatten yes", "/resume clear"]) as server:
        server.hear("/pause")
        await server.wait_sent(1)
    assert operator.done == ["pause"]


async def test_each_command_is_carried_out_once() -> None:
    operator = Operator()
    async with listening(operator) as server:
        for count in range(1, 4):
            server.hear("/pause")
            await server.wait_sent(count)
        polls = [params["offset"] for method, params in server.calls if method == "getUpdates"]
    assert operator.done == ["pause"] * 3
    assert polls[:3] == [-1, 0, 902]


async def test_updates_that_are_no_commands_are_passed_over() -> None:
    operator = Operator()
    async with listening(operator) as server:
        for number, message in enumerate(
            [
                None,
                {"text": "/pause"},
                {"text": 5, "chat": {"id": 7, "type": "private"}},
                {"text": "/pause", "chat": {"id": True, "type": "private"}},
                {"text": "pause", "chat": {"id": 7, "type": "private"}},
                {"text": "/pause@OtherBot", "chat": {"id": 7, "type": "private"}},
                {"text": " ", "chat": {"id": 7, "type": "private"}},
            ]
        ):
            server.put({"update_id": 901 + number, "message": message})
        server._last_id = 950
        server.hear("/status")
        await server.wait_sent(1)
    assert operator.done == []
