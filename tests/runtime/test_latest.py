"""The newest value: nothing queues, nobody misses the last one."""

import trio
from trio.testing import assert_checkpoints, wait_all_tasks_blocked

from polytrade.runtime.latest import Latest


async def test_slow_reader_skips_versions_and_ends_on_the_last():
    latest = Latest("a")
    seen = []

    async def reader() -> None:
        version = 0
        while version < 3:
            version, value = await latest.wait_newer(version)
            seen.append((version, value))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(reader)
        await wait_all_tasks_blocked()
        for value in ("b", "c", "d"):
            latest.set(value)
    assert seen == [(3, "d")]


async def test_a_value_set_before_waiting_is_not_missed():
    latest = Latest(0)
    latest.set(5)
    with assert_checkpoints():
        assert await latest.wait_newer(0) == (1, 5)


async def test_cancelled_wait_takes_nothing():
    latest = Latest(0)
    latest.set(1)
    with trio.CancelScope() as scope:
        scope.cancel()
        await latest.wait_newer(0)
    assert await latest.wait_newer(0) == (1, 1)
