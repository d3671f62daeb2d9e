"""The dead man's switch: an API key that began to beat and stops loses its orders."""

from collections.abc import Callable
from hashlib import sha256
from typing import Final
from uuid import UUID

import attrs

from polytrade.core.units import SECOND_NS
from polytrade.sandbox.schedule import Schedule

DEADLINE_S: Final = 10
"""Without a beat for so long a key's orders are cancelled (protocols 2.8)."""
SWEEP_S: Final = 5
"""How often the venue looks."""
KEYS_MAX: Final = 4096
"""Keys that may be armed at once; more than a local venue has."""


@attrs.define
class _Armed:
    heartbeat_id: str
    beat_ns: int


class Heartbeats:
    """Who beats. `on_missed` is told each owner (API key) whose beats stopped; it cancels.

    Nothing is armed until the first beat, and nothing after a miss until the next first one.
    """

    def __init__(self, schedule: Schedule, on_missed: Callable[[str], None]) -> None:
        self._schedule = schedule
        self._on_missed = on_missed
        self._armed: dict[str, _Armed] = {}
        self._sweeping = False
        self._made = 0

    def armed(self, owner: str) -> bool:
        """Whether an owner's orders depend on its beats now."""
        return owner in self._armed

    def beat(self, owner: str, heartbeat_id: str) -> tuple[bool, str]:
        """Whether a beat counts, and the id the next one must carry.

        A beat with another id than the last answer's does not, and the deadline stays.
        """
        known = self._armed.get(owner)
        expected = known.heartbeat_id if known is not None else ""
        if heartbeat_id != expected:
            return False, expected
        self._made += 1
        digest = sha256(f"{owner}:{self._made}".encode()).digest()
        fresh = str(UUID(bytes=digest[:16], version=4))
        self._arm(owner, fresh)
        return True, fresh

    def beat_legacy(self, owner: str) -> None:
        """A beat without an id (`POST /heartbeats`)."""
        known = self._armed.get(owner)
        self._arm(owner, known.heartbeat_id if known is not None else "")

    def expire_all(self) -> int:
        """Every key that beats is missed now; how many there were."""
        owners = list(self._armed)
        self._armed.clear()
        for owner in owners:
            self._on_missed(owner)
        return len(owners)

    def _arm(self, owner: str, heartbeat_id: str) -> None:
        if owner not in self._armed and len(self._armed) >= KEYS_MAX:
            return
        self._armed[owner] = _Armed(heartbeat_id, self._schedule.now_ns)
        if not self._sweeping:
            self._sweeping = True
            self._schedule.after(SWEEP_S * SECOND_NS, self._sweep)

    def _sweep(self) -> None:
        late_ns = self._schedule.now_ns - DEADLINE_S * SECOND_NS
        missed = [owner for owner, known in self._armed.items() if known.beat_ns <= late_ns]
        for owner in missed:
            del self._armed[owner]
            self._on_missed(owner)
        self._sweeping = bool(self._armed)
        if self._sweeping:
            self._schedule.after(SWEEP_S * SECOND_NS, self._sweep)
