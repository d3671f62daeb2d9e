"""The venue's time: what is to happen when, in one order, whether it is lived or raced through."""

import heapq
from collections.abc import Callable
from typing import Final

import attrs

BEHIND_MAX: Final = 2_000
"""Actions `run_until` carries out before it hands back, unless told: about 200 ms of work."""


@attrs.define(eq=False)
class Planned:
    """An action that is to happen; `cancel` makes it not happen."""

    due_ns: int
    action: Callable[[], None] | None

    def cancel(self) -> None:
        """The action will not happen; nothing when it already has."""
        self.action = None


class Schedule:
    """Carries out actions in order of their times, those of one time in the order planned.

    `now_ns` is the venue's time: that of the action under way, or as far as `run_until` came. The
    same plans give the same sequence, however fast it is run.
    """

    def __init__(self, now_ns: int) -> None:
        self.now_ns = now_ns
        self._heap: list[tuple[int, int, Planned]] = []
        self._planned = 0

    def at(self, due_ns: int, action: Callable[[], None]) -> Planned:
        """Plan an action; a time gone by means as soon as possible."""
        planned = Planned(max(due_ns, self.now_ns), action)
        self._planned += 1
        heapq.heappush(self._heap, (planned.due_ns, self._planned, planned))
        return planned

    def after(self, wait_ns: int, action: Callable[[], None]) -> Planned:
        """Plan an action so long from now."""
        return self.at(self.now_ns + wait_ns, action)

    def run_until(self, to_ns: int, most: int = BEHIND_MAX) -> bool:
        """Carry out what is due up to and including `to_ns`; whether all of it is done.

        At most `most` actions: who lives in real time gives others a turn and calls again.
        """
        heap = self._heap
        while heap and heap[0][0] <= to_ns:
            if most <= 0:
                return False
            due_ns, _, planned = heapq.heappop(heap)
            if planned.action is None:
                continue
            most -= 1
            self.now_ns = due_ns
            action, planned.action = planned.action, None
            action()
        self.now_ns = max(self.now_ns, to_ns)
        return True

    def next_ns(self) -> int | None:
        """When the next action is due; None when nothing is planned."""
        while self._heap and self._heap[0][2].action is None:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None
