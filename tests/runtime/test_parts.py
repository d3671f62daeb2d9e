"""What the parts of a run do together, without running."""

import random
from pathlib import Path

from polytrade.config import Config, Storage
from polytrade.runtime.inbox import Clock
from polytrade.runtime.parts import build_parts


async def test_new_window_begins_the_loop_lag_anew(tmp_path: Path) -> None:
    config = Config(storage=Storage(data_dir=str(tmp_path)))
    async with build_parts(config, tmp_path, Clock(), random.Random(1)) as parts:
        parts.watch.lag.record(5_000_000)
        assert parts.observer.read().latency("loop_lag_ms").count == 1
        assert parts.next_window() == 2
        assert parts.watch.lag.count == 0
        assert parts.journal is not None
        assert await parts.journal.close()


async def test_wait_for_the_disk_is_in_the_metrics(tmp_path: Path) -> None:
    config = Config(storage=Storage(data_dir=str(tmp_path)))
    async with build_parts(config, tmp_path, Clock(), random.Random(1)) as parts:
        assert parts.journal is not None
        assert await parts.journal.close()  # its totals are a batch
        found = parts.observer.read().latency("io_queue_ms")
        assert found.count == 1
        assert found.p50 == found.p99 == found.max == found.sum
