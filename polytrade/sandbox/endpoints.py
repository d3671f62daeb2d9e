"""The listening sockets of a venue by name, their clients, and what is wrong with them."""

import math
from collections import deque
from collections.abc import Callable
from typing import Final

import attrs
import trio

from polytrade.sandbox.connection import Connection
from polytrade.sandbox.dialects import Dialect, Played
from polytrade.sandbox.faults import FaultOrder, FaultRefused

CLOSED_KEPT: Final = 64
"""Closed connections whose counts stay in the status."""
ADMIN: Final = "admin"
"""The endpoint no fault touches: it is where faults are taken back."""


@attrs.define(eq=False)
class Endpoint:
    """One listening socket: its address, its clients and what is wrong with all of them.

    `dialect` makes a connection's side of the protocol from the path it asked for; None for REST. A
    client that is subscribed to nothing `subscribe_s` after it came is closed.
    """

    name: str
    dialect: Callable[[str], Dialect] | None = None
    subscribe_s: float = math.inf
    port: int = 0
    connections: dict[int, Connection] = attrs.field(factory=dict)
    closed: deque[Connection] = attrs.field(factory=lambda: deque(maxlen=CLOSED_KEPT))
    frozen_until: float = 0.0
    down_for_s: float = 0.0
    down: trio.Event = attrs.field(factory=trio.Event)

    def kill(self, seconds: float) -> None:
        """Close every connection and the listener, for so long."""
        self.down_for_s = seconds
        self.down.set()


class Endpoints(dict[str, Endpoint]):
    """The endpoints of one venue by name, on one host.

    `on_activity` is called when a client subscribes or unsubscribes.
    """

    def __init__(self, host: str, on_activity: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.host = host
        self.on_activity = on_activity
        self._connections = 0

    def next_connection(self) -> int:
        """The number of a new connection: from 1, over all endpoints."""
        self._connections += 1
        return self._connections

    def connections(self) -> list[Connection]:
        """Every open connection."""
        return [c for endpoint in self.values() for c in endpoint.connections.values()]

    def publish(self, name: str, played: Played) -> list[Connection]:
        """Queue a frame for every client of an endpoint that asked for it, without waiting.

        Answers the connections whose queue is full now: the caller waits for them or closes them.
        """
        full: list[Connection] = []
        for connection in list(self[name].connections.values()):
            selected = connection.dialect.select(played)
            if selected is not None:
                connection.play(selected)
                if connection.full:
                    full.append(connection)
        return full

    def apply(self, order: FaultOrder) -> int:
        """Carry out a socket fault; how many connections it touched. Raises FaultRefused."""
        until = math.inf if order.seconds is None else trio.current_time() + order.seconds
        if order.kind == "kill":
            names = [name for name in self if name != ADMIN]
            if order.endpoint is not None:
                names = [self.named(order.endpoint).name]
            for name in names:
                self[name].kill(order.seconds or 0.0)
            return len(names)
        endpoint = self.named(order.endpoint or "market")
        targets = self._targets(endpoint, order.connection)
        if order.kind == "freeze" and order.connection is None:
            endpoint.frozen_until = until
        for connection in targets:
            match order.kind:
                case "freeze":
                    connection.faults.frozen_until = until
                case "slow_drain":
                    connection.faults.drain_s = order.ms / 1000
                    connection.faults.drain_until = until
                case "close_mid_frame":
                    connection.cut()
                case "disconnect":
                    connection.close("disconnect")
                case counted:
                    setattr(connection.faults, counted, order.n)
        return len(targets)

    def clear_faults(self) -> int:
        """Every socket fault still in force ends; how many connections there are."""
        for endpoint in self.values():
            endpoint.frozen_until = 0.0
        connections = self.connections()
        for connection in connections:
            connection.faults.clear()
        return len(connections)

    def named(self, name: str) -> Endpoint:
        """An endpoint a fault may touch. Raises FaultRefused."""
        if name not in self or name == ADMIN:
            known = ", ".join(known for known in self if known != ADMIN)
            raise FaultRefused(f"endpoint: expected one of {known}, found {name!r}")
        return self[name]

    def _targets(self, endpoint: Endpoint, number: int | None) -> list[Connection]:
        if number is None:
            return list(endpoint.connections.values())
        if number not in endpoint.connections:
            open_now = ", ".join(map(str, endpoint.connections)) or "none"
            raise FaultRefused(f"connection: expected one of {open_now}, found {number}")
        return [endpoint.connections[number]]
