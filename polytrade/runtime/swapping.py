"""The swap itself: a lineup is staged, its event queued, and the engine has taken it."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from time import perf_counter_ns
from typing import Any, final

import orjson

from polytrade.config import Config
from polytrade.core.events import LineupSwapped
from polytrade.lineup import Lineup
from polytrade.runtime.reload_steps import sections
from polytrade.runtime.strategy import Strategy


@final
class Swapper:
    """Puts lineups in force, one at a time.

    `pause_us` is how long the newest swap held the engine up, with what was `held` for it;
    `queued` says that an event is on its way, and `before` is called right before it is.
    """

    def __init__(self, strategy: Strategy) -> None:
        self.pause_us = 0
        self.queued = False
        self.before: Callable[[], None] = _nothing
        self._held_us = 0
        self._strategy = strategy

    def begin(self) -> None:
        """A reload begins: nothing was held up for it yet."""
        self._held_us = 0

    @contextmanager
    def held(self) -> Iterator[None]:
        """What plugins are asked within holds the engine up: it counts as the pause, too."""
        began_ns = perf_counter_ns()
        yield
        self._held_us += (perf_counter_ns() - began_ns) // 1_000

    async def swap(self, config: Config, lineup: Lineup, why: str, listed: Collection[str]) -> int:
        """Stage the lineup and wait until the engine took the event; when that was.

        Not bounded: once the event is queued it will be taken, late or not.
        """
        session, inbox = self._strategy.session, self._strategy.inbox
        generation = session.generation + 1
        session.stage(generation, lineup, config)
        event = LineupSwapped(
            inbox.now_ns(),
            generation,
            sections(session.config, config, listed),
            orjson.dumps(dict(lineup.plugins), option=orjson.OPT_SORT_KEYS).decode(),
            why,
        )
        self.before()
        with self._timed(event):
            inbox.put(event)
            await self._strategy.wait_until(lambda: session.generation >= generation)
        return event.ts_ns

    @contextmanager
    def _timed(self, swap: LineupSwapped) -> Iterator[None]:
        def listen(event: Any, _effects: Any) -> None:
            if event is swap:
                took_ns = perf_counter_ns() - self._strategy.onlookers.began_ns
                self.pause_us = self._held_us + took_ns // 1_000

        self._strategy.listeners.append(listen)
        self.queued = True
        try:
            yield
        finally:
            self.queued = False
            self._strategy.listeners.remove(listen)


def _nothing() -> None:
    return None
