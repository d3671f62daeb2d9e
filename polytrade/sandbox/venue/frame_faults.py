"""What goes wrong with frames on their way from the venue to its sockets."""

import math
from collections import Counter, deque
from collections.abc import Callable
from functools import partial
from typing import Final

import attrs
import trio

from polytrade.core.units import MS_NS
from polytrade.sandbox.connection import Connection
from polytrade.sandbox.dialects import Played
from polytrade.sandbox.endpoints import Endpoints
from polytrade.sandbox.faults import FAULTS, FaultOrder, FaultRefused
from polytrade.sandbox.schedule import Schedule
from polytrade.sandbox.venue.traffic import Traffic

HELD_MAX: Final = 10_000
"""Frames held back at once, late or for the end of a restart: a minute of a busy market."""
RULES_MAX: Final = 64
"""Orders to drop or delay that wait for their frames: a few an endpoint."""
QUIET: Final = ("market", "user")
"""Endpoints that tell nothing while the matching engine restarts (protocols 5.5)."""
EXCHANGES: Final = ("binance", "coinbase", "kraken", "okx", "bybit")
COUNTED: Final = ("garbage", "truncate", "drop_price_change", "duplicate", "reorder")
"""What `ConnectionFaults` counts down."""

Send = Callable[[str, Played], None]


@attrs.define
class Counted:
    """A fault that touches the next `left` frames or requests."""

    order: FaultOrder
    left: int


class FrameFaults:
    """Stands between what publishes frames and the endpoints; in the venue's time.

    While `quiet` market frames are lost and user frames wait. `stalled_until` has the exchanges
    that send nothing, in ns. `lost` counts frames by endpoint and reason, `traffic` what was sent.
    """

    def __init__(self, schedule: Schedule) -> None:
        self.quiet = False
        self.stalled_until: dict[str, int] = {}
        self.rules: list[Counted] = []
        self.lost: Counter[str] = Counter()
        self.traffic = Traffic()
        self._schedule = schedule
        self._waiting: deque[tuple[str, Played, Send]] = deque()
        self._late = 0

    def deliver(self, endpoint: str, played: Played, send: Send) -> None:
        """Send a frame now, later or never; at most `HELD_MAX` are late, more are sent at once."""
        if self.quiet and endpoint in QUIET:
            if endpoint == "market" or len(self._waiting) >= HELD_MAX:
                self.lost[f"{endpoint}:quiet"] += 1
            else:
                self._waiting.append((endpoint, played, send))
            return
        if self.stalled_until.get(endpoint, 0) > self._schedule.now_ns:
            self.lost[f"{endpoint}:stalled"] += 1
            return
        order = self._take(endpoint, played) if self.rules else None
        if order is None or (order.kind == "delay" and self._late >= HELD_MAX):
            self._send(endpoint, played, send)
        elif order.kind == "drop":
            self.lost[f"{endpoint}:dropped"] += 1
        else:
            self._late += 1
            self._schedule.after(order.ms * MS_NS, partial(self._arrive, endpoint, played, send))

    def order(self, order: FaultOrder, endpoints: Endpoints) -> int:
        """Drop or delay the next frames; how many connections hear it. Raises FaultRefused."""
        endpoint = endpoints.named(order.endpoint or "market")
        if endpoint.dialect is None:
            raise FaultRefused(f"endpoint: expected a socket, found {endpoint.name!r}")
        if len(self.rules) >= RULES_MAX:
            raise FaultRefused(f"expected at most {RULES_MAX} drops and delays at once")
        self.rules.append(Counted(order, order.n))
        return len(endpoint.connections)

    def end_quiet(self) -> None:
        """What waited is sent, in order."""
        self.quiet = False
        while self._waiting:
            self._send(*self._waiting.popleft())

    def clear(self) -> None:
        """Nothing more is dropped, delayed or stalled; what is late already arrives when due."""
        self.rules.clear()
        self.stalled_until.clear()

    def _arrive(self, endpoint: str, played: Played, send: Send) -> None:
        self._late -= 1
        self._send(endpoint, played, send)

    def _send(self, endpoint: str, played: Played, send: Send) -> None:
        self.traffic.count(endpoint, played, self._schedule.now_ns)
        send(endpoint, played)

    def _take(self, endpoint: str, played: Played) -> FaultOrder | None:
        for rule in self.rules:
            wanted = rule.order.type
            if (rule.order.endpoint or "market") == endpoint and (
                not wanted or any(part.type == wanted for part in played.parts)
            ):
                rule.left -= 1
                if not rule.left:
                    self.rules.remove(rule)
                return rule.order
        return None


def shown(order: FaultOrder, seconds_left: int | None, left: int | None) -> dict[str, object]:
    """A fault as the page shows it: the fields that matter to its kind."""
    fields = FAULTS[order.kind].fields
    about = {
        name: value
        for name, value in attrs.asdict(order).items()
        if name in fields and name not in ("n", "seconds") and value not in (None, "")
    }
    return {"kind": order.kind, **about, "seconds_left": seconds_left, "left": left}


def connection_faults(endpoints: Endpoints) -> list[dict[str, object]]:
    """The faults of connections still in force, in the form of `Troubles.in_force`."""
    found: list[dict[str, object]] = []
    now = trio.current_time()
    for connection in endpoints.connections():
        faults = connection.faults
        for kind, until in (("freeze", faults.frozen_until), ("slow_drain", faults.drain_until)):
            if until > now:
                left = None if math.isinf(until) else math.ceil(until - now)
                found.append(_of_connection(kind, connection, left, None))
        for kind in COUNTED:
            count = getattr(faults, kind)
            if count:
                found.append(_of_connection(kind, connection, None, count))
    return found


def _of_connection(
    kind: str, connection: Connection, seconds_left: int | None, left: int | None
) -> dict[str, object]:
    order = FaultOrder(kind, endpoint=connection.endpoint, connection=connection.number)
    return shown(order, seconds_left, left)
