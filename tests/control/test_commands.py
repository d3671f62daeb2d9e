"""Commands: a vanished client cancels nothing, a full or closed queue refuses."""

import pytest
import trio
import trio.testing

from polytrade.runtime.command_requests import (
    COMMANDS_WAITING_MAX,
    STOPPING,
    Commands,
    Flatten,
    FlattenReply,
    PauseReply,
    Refusal,
    ResetReply,
    Resume,
)


async def test_reply_reaches_the_sender(nursery: trio.Nursery) -> None:
    commands = Commands()

    async def daemon() -> None:
        request = await commands.requests.receive()
        assert request.command == Resume(True)
        request.reply(PauseReply(False))

    nursery.start_soon(daemon)
    assert await commands.resume(True) == PauseReply(False)


async def test_cancelled_sender_leaves_its_command_queued() -> None:
    commands = Commands()
    with trio.CancelScope() as scope:
        scope.cancel()
        await commands.flatten()
    request = commands.requests.receive_nowait()
    assert request.command == Flatten()
    request.reply(FlattenReply())  # nobody waits: dropped
    assert request.answer == FlattenReply()


async def test_full_queue_refuses_as_busy(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    commands = Commands()
    for _ in range(COMMANDS_WAITING_MAX):
        nursery.start_soon(commands.pause)
    await trio.testing.wait_all_tasks_blocked()
    answer = await commands.pause()
    assert isinstance(answer, Refusal)
    assert answer.code == "busy"
    nursery.cancel_scope.cancel()


async def test_close_refuses_waiting_and_later_commands(nursery: trio.Nursery) -> None:
    commands = Commands()
    answers: list[object] = []

    async def ask() -> None:
        answers.append(await commands.pause())

    nursery.start_soon(ask)
    await trio.testing.wait_all_tasks_blocked()
    commands.close()
    await trio.testing.wait_all_tasks_blocked()
    assert answers == [STOPPING]
    assert await commands.reset_shadow() == STOPPING


async def test_answering_twice_is_our_mistake() -> None:
    commands = Commands()
    with trio.CancelScope() as scope:
        scope.cancel()
        await commands.pause()
    request = commands.requests.receive_nowait()
    request.reply(PauseReply(True))
    with pytest.raises(AssertionError, match="answered twice"):
        request.reply(PauseReply(True))


async def test_reply_of_another_kind_is_our_mistake(nursery: trio.Nursery) -> None:
    commands = Commands()

    async def daemon() -> None:
        (await commands.requests.receive()).reply(ResetReply(2))

    nursery.start_soon(daemon)
    with pytest.raises(AssertionError, match="expected PauseReply"):
        await commands.pause()
