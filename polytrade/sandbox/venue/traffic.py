"""What the venue says: messages by endpoint and type, and how many a second."""

from collections import Counter, deque
from typing import Final

from polytrade.core.units import SECOND_NS
from polytrade.sandbox.dialects import Played

SECONDS_KEPT: Final = 120
"""Seconds of history: what the status page draws."""


class Traffic:
    """Counts messages, whoever hears them. `messages` is by endpoint, then by type."""

    def __init__(self) -> None:
        self.messages: dict[str, Counter[str]] = {}
        self._seconds: deque[tuple[int, int]] = deque(maxlen=SECONDS_KEPT)
        self._second = 0
        self._count = 0

    def count(self, endpoint: str, played: Played, now_ns: int) -> None:
        """A frame was sent now; one without readable parts counts as one `other`."""
        second = now_ns // SECOND_NS
        if second != self._second:
            if self._count:
                self._seconds.append((self._second, self._count))
            self._second, self._count = second, 0
        counts = self.messages.get(endpoint)
        if counts is None:
            counts = self.messages[endpoint] = Counter()
        if played.parts:
            for part in played.parts:
                counts[part.type] += 1
            self._count += len(played.parts)
        else:
            counts["other"] += 1
            self._count += 1

    def per_second(self, now_ns: int) -> list[int]:
        """Messages of each of the last `SECONDS_KEPT` whole seconds, oldest first."""
        second = now_ns // SECOND_NS
        known = dict(self._seconds)
        if self._count:
            known[self._second] = self._count
        return [known.get(at, 0) for at in range(second - SECONDS_KEPT, second)]
