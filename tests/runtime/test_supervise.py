"""Supervision: restart, forgive, escalate, park, and a crash that meets a cancellation."""

import random

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from polytrade.runtime.inbox import InboxOverflow
from polytrade.runtime.supervise import (
    ESCALATE,
    Policy,
    RetryLater,
    TaskTable,
    retry_after_s,
    supervise,
    task_name,
)


class TopOfRange(random.Random):
    """Draws the upper end: delays become exact."""

    def uniform(self, a: float, b: float) -> float:
        return b


async def run_failing(policy: Policy, lives: list[float], error: Exception) -> list[float]:
    """Supervise a task that lives so many seconds each time and then fails; when it began."""
    began: list[float] = []
    start_s = trio.current_time()

    async def run() -> None:
        began.append(round(trio.current_time() - start_s, 3))
        if len(began) > len(lives):
            return
        await trio.sleep(lives[len(began) - 1])
        raise error

    await supervise("task", run, policy, table=TaskTable(), rng=TopOfRange())
    return began


async def test_failures_in_a_row_wait_twice_as_long_up_to_the_maximum(autojump_clock):
    policy = Policy(delay_s_min=1, delay_s_max=5)
    assert await run_failing(policy, [0, 0, 0, 0], ValueError()) == [0, 2, 6, 11, 16]


async def test_a_healthy_run_forgives_what_was_before(autojump_clock):
    policy = Policy(delay_s_min=1, delay_s_max=100, healthy_s=60)
    assert await run_failing(policy, [0, 0, 60, 0], ValueError()) == [0, 2, 6, 68, 72]


async def test_a_venue_that_asks_for_peace_gets_it(autojump_clock):
    policy = Policy(delay_s_min=1, delay_s_max=5)
    assert await run_failing(policy, [0], RetryLater("429", 40)) == [0, 40]
    assert await run_failing(policy, [0], RetryLater("429", 10**6)) == [0, 300]


def test_delay_is_full_jitter_between_the_minimum_and_the_bound():
    policy = Policy(delay_s_min=0.5, delay_s_max=30)
    rng = random.Random(1)
    draws = [policy.delay_s(3, rng) for _ in range(200)]
    assert 0.5 <= min(draws) < 1 and 3.5 < max(draws) <= 4
    assert policy.delay_s(10_000, TopOfRange()) == 30


async def test_escalate_lets_the_failure_through():
    table = TaskTable()

    async def run() -> None:
        await trio.lowlevel.checkpoint()
        raise KeyError("engine")

    with pytest.RaisesGroup(KeyError):
        await supervise("engine", run, ESCALATE, table=table, rng=random.Random(1))
    row = table.row("engine")
    assert (row.state, row.restarts, row.last_error) == ("failed", 0, "KeyError: 'engine'")


async def test_an_overflowing_inbox_always_escalates(autojump_clock):
    with pytest.RaisesGroup(InboxOverflow):
        await run_failing(Policy(), [0], InboxOverflow("full"))


async def test_a_task_that_keeps_failing_is_parked_and_the_rest_goes_on(autojump_clock):
    table = TaskTable()
    runs = 0

    async def run() -> None:
        nonlocal runs
        runs += 1
        await trio.lowlevel.checkpoint()
        raise OSError("no route")

    with trio.move_on_after(10_000):
        await supervise("f", run, Policy(failures_max=3), table=table, rng=random.Random(1))
    row = table.row("f")
    assert (runs, row.state, row.restarts) == (3, "parked", 2)
    assert row.last_error == "OSError: no route"


async def test_a_task_that_returns_is_done():
    table = TaskTable()
    names = []

    async def run() -> None:
        await trio.lowlevel.checkpoint()
        names.append(task_name.get())

    await supervise("once", run, Policy(), table=table, rng=random.Random(1))
    assert names == ["once"]
    assert table.row("once").state == "done"


async def test_crash_and_cancellation_together_do_not_leak_the_error():
    """A normal stop while a task crashes: the supervisor must not raise past its canceller."""

    async def run() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            try:
                await trio.sleep_forever()
            finally:
                raise ValueError("crashed while stopping")

    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            table = TaskTable()

            async def go() -> None:
                await supervise("t", run, Policy(), table=table, rng=random.Random(1))

            nursery.start_soon(go)
            await wait_all_tasks_blocked()
            scope.cancel()
    assert scope.cancelled_caught


async def test_injected_crash_unwinds_the_task_at_its_next_checkpoint(autojump_clock):
    table = TaskTable()
    unwound = []

    async def run() -> None:
        try:
            await trio.sleep_forever()
        finally:
            unwound.append(trio.current_time())

    async with trio.open_nursery() as nursery:

        async def go() -> None:
            await supervise("feed", run, Policy(), table=table, rng=random.Random(1))

        nursery.start_soon(go)
        await wait_all_tasks_blocked()
        table.crash("feed", RuntimeError("drill"))
        await wait_all_tasks_blocked()
        assert len(unwound) == 1
        row = table.row("feed")
        assert (row.state, row.last_error) == ("waiting", "RuntimeError: drill")
        with pytest.raises(KeyError):
            table.crash("feed", RuntimeError("not running"))
        await trio.sleep(2)
        row = table.row("feed")
        assert (row.state, row.restarts) == ("running", 1)
        nursery.cancel_scope.cancel()


def test_retry_after_is_seconds_or_a_date():
    assert retry_after_s("17", 0) == 17.0
    assert retry_after_s("Wed, 21 Oct 2015 07:28:00 GMT", 1_445_412_450 * 10**9) == 30.0
    assert retry_after_s("Wed, 21 Oct 2015 07:28:00 GMT", 1_445_412_490 * 10**9) == 0.0
    assert retry_after_s("", 0) == 0.0
    assert retry_after_s("soon", 0) == 0.0
    assert retry_after_s("-5", 0) == 0.0
