"""What waits for one notifier: bounded, condensed when it is taken, counted when it is dropped."""

from collections import deque
from collections.abc import Sequence
from typing import Final, final

import trio

from polytrade.notices import ALARM, FILL, KINDS, Notice, Notifier, condense, many
from polytrade.plugin_code import faults_dropped

QUEUE_MAX: Final = 256
"""Notices waiting for one notifier: an hour of fills of a busy day, 200 KB at most."""
BATCH_MAX: Final = 32
"""Notices handed over at once: 16,000 characters, four messages of a chat service."""


@final
class Post:
    """One notifier's queue. Full, it drops the oldest fill, else the oldest notice.

    `resting` while the notifier is parked or waits for its next attempt; `scope` is around its
    task, `ended` is set when that is gone.
    """

    def __init__(self, name: str, notifier: Notifier) -> None:
        self.name = name
        self.employ(notifier)
        self.delivered = 0
        self.dropped = 0
        self.untold = 0
        self.resting = False
        self.closed = trio.Event()
        self.ended = trio.Event()
        self.scope = trio.CancelScope()
        self._queue: deque[Notice] = deque()
        self._wake = trio.Event()

    def __len__(self) -> int:
        return len(self._queue)

    def employ(self, notifier: Notifier) -> None:
        """Queue from now on what this one takes; what is queued stays."""
        self.notifier = notifier
        self.kinds = frozenset(KINDS)
        with faults_dropped():  # of what is no collection of words
            self.kinds = frozenset(getattr(notifier, "kinds", KINDS))

    def put(self, notice: Notice) -> None:
        """Queue a notice of a kind that the notifier takes."""
        if notice.kind not in self.kinds:
            return
        self._queue.append(notice)
        if len(self._queue) > QUEUE_MAX:
            self._drop()
        self._wake.set()

    def close(self) -> None:
        """Nothing more will come: what is queued is delivered at once, then the task ends."""
        self.closed.set()
        self._wake.set()

    @property
    def closing(self) -> bool:
        """Whether nothing more will come."""
        return self.closed.is_set()

    async def wait(self) -> None:
        """Return once something is queued, or nothing more will come."""
        while not self._queue and not self.closing:
            self._wake = trio.Event()
            await self._wake.wait()

    def take(self) -> list[Notice]:
        """The oldest news, condensed, with a word on what was dropped before."""
        batch = condense(self._queue)
        self._queue.clear()
        if self.untold and ALARM in self.kinds:
            text = f"{many(self.untold, 'notice')} dropped: {self.name} did not take them"
            data = {"name": "notices_dropped", "count": self.untold}
            batch.insert(0, Notice(ALARM, batch[0].ts_ns if batch else 0, text, data))
            self.untold = 0
        self.put_back(batch[BATCH_MAX:])
        return batch[:BATCH_MAX]

    def put_back(self, batch: Sequence[Notice]) -> None:
        """Queue again, before everything else, what was not delivered."""
        self._queue.extendleft(reversed(batch))
        while len(self._queue) > QUEUE_MAX:
            self._drop()

    def lose(self, count: int) -> None:
        """Count notices that will never be told."""
        self.dropped += count
        self.untold += count

    def _drop(self) -> None:
        oldest = next((i for i, notice in enumerate(self._queue) if notice.kind == FILL), 0)
        del self._queue[oldest]
        self.lose(1)
