"""Who looks on while a session steps, and how each step reaches it."""

from collections.abc import Sequence
from typing import Protocol

from polytrade.core.effects import Effect
from polytrade.core.events import Event
from polytrade.session import Tape


class Watcher(Protocol):
    """What looks on while the engine steps, and may look at its state: `reports.watch.Watch`."""

    def observe(self, event: Event, effects: Sequence[Effect]) -> None:
        """The engine stepped `event` and answered with `effects`."""


class Witness:
    """A session's tape that shows every step to a watcher as it is made, and passes it on.

    A session may step several events at once (answers of the paper venue fall due before the next
    event). A watcher told of them afterwards would see the state after the last one for each, and
    the replay of the journal, which steps them one by one, another.
    """

    def __init__(self, watcher: Watcher, tape: Tape | None = None) -> None:
        self._watcher = watcher
        self._tape = tape
        self._event: Event

    def append(self, event: Event) -> None:
        """An event is about to be stepped."""
        self._event = event
        if self._tape is not None:
            self._tape.append(event)

    def effects(self, effects: Sequence[Effect]) -> None:
        """What the engine answered to the event appended last."""
        if self._tape is not None:
            self._tape.effects(effects)
        self._watcher.observe(self._event, effects)
