"""One open connection's life: reader, own pings, watchdogs.

Liveness is judged from data, not from pings: sockets are known to freeze while their pongs go on
(protocols 5.1). Whatever ends a connection ends it here, with a reason in a few words.
"""

import math
from collections import deque
from collections.abc import Callable
from typing import Final, Literal

import attrs
import trio

from polytrade.core.judging import holdable
from polytrade.core.units import SECOND_NS
from polytrade.runtime.inbox import Clock
from polytrade.runtime.socket import Socket, SocketClosed
from polytrade.wire_roles import WireError

QUARANTINE: Final = 32
"""Offending frames kept a feed: enough to see whether they are alike, 16 KB at most."""
RATE_S: Final = 4
"""Seconds a rate is averaged over."""
STALE_S: Final = 3.0
"""Data older than this is stale on a display: three beats of the slowest (1 Hz) sources."""
WATCH_S: Final = 1.0
"""Longest sleep of a watchdog, so that it notices markets opening."""
ERROR_MAX: Final = 200
"""Characters of an error that are kept: a line of a terminal and of `/health`."""

SILENT: Final = "silent"
NO_PONG: Final = "no pong"
ROTATE: Final = "rotate"

FeedState = Literal["off", "connecting", "up", "down"]


@attrs.frozen
class Quarantined:
    """A frame that could not be read: when, why, and its first bytes."""

    ts_ns: int
    reason: str
    sample: bytes


class RateMeter:
    """Messages and bytes a second over the last `RATE_S` whole seconds."""

    __slots__ = ("_bytes", "_messages", "_second")

    _SLOTS: Final = RATE_S + 1

    def __init__(self) -> None:
        self._second = 0
        self._messages = [0] * self._SLOTS
        self._bytes = [0] * self._SLOTS

    def add(self, ts_ns: int, size: int) -> None:
        """Count one message."""
        second = ts_ns // SECOND_NS
        if second != self._second:
            self._roll(second)
        slot = second % self._SLOTS
        self._messages[slot] += 1
        self._bytes[slot] += size

    def rates(self, now_ns: int) -> tuple[float, float]:
        """(messages a second, bytes a second) of the whole seconds before the running one."""
        second = now_ns // SECOND_NS
        if second != self._second:
            self._roll(second)
        running = second % self._SLOTS
        messages = sum(self._messages) - self._messages[running]
        size = sum(self._bytes) - self._bytes[running]
        return messages / RATE_S, size / RATE_S

    def _roll(self, second: int) -> None:
        for passed in range(max(self._second + 1, second - RATE_S), second + 1):
            self._messages[passed % self._SLOTS] = 0
            self._bytes[passed % self._SLOTS] = 0
        self._second = max(self._second, second)


@attrs.define
class FeedStatus:
    """One connection as `/health`, the terminal and the metrics show it.

    `last_message_ns` is any frame, `last_data_ns` one that carried data, 0 before the first.
    `events` counts what decoding gave, `dropped` frames the inbox had no room for.
    """

    source: str
    url: str
    state: FeedState = "off"
    since_ns: int = 0
    last_message_ns: int = 0
    last_data_ns: int = 0
    messages: int = 0
    bytes: int = 0
    events: int = 0
    dropped: int = 0
    malformed: int = 0
    connects: int = 0
    last_error: str = ""
    stale_s: float = STALE_S
    quarantine: deque[Quarantined] = attrs.field(factory=lambda: deque(maxlen=QUARANTINE))
    meter: RateMeter = attrs.field(factory=RateMeter, repr=False)

    @property
    def connected(self) -> bool:
        """Whether the connection is open and subscribed."""
        return self.state == "up"

    @property
    def reconnects(self) -> int:
        """Connections opened after the first."""
        return max(0, self.connects - 1)

    def age_ms(self, now_ns: int) -> int | None:
        """Milliseconds since the last frame; None before the first."""
        return (now_ns - self.last_message_ns) // 1_000_000 if self.last_message_ns else None

    def stale(self, now_ns: int) -> bool:
        """Whether what this feed says is out of date."""
        return not self.connected or now_ns - self.last_data_ns > self.stale_s * SECOND_NS

    def turn(self, state: FeedState, ts_ns: int, error: str = "") -> None:
        """Note a change of state, and what caused it."""
        self.state = state
        self.since_ns = ts_ns
        if error:
            self.last_error = holdable(error[:ERROR_MAX])
        if state == "up":
            self.connects += 1

    def saw(self, ts_ns: int, size: int) -> None:
        """Count a frame."""
        self.last_message_ns = ts_ns
        self.messages += 1
        self.bytes += size
        self.meter.add(ts_ns, size)

    def refuse(self, ts_ns: int, error: WireError) -> None:
        """Count a frame that could not be read and keep its first bytes."""
        self.malformed += 1
        self.last_error = holdable(str(error)[:ERROR_MAX])
        self.quarantine.append(Quarantined(ts_ns, holdable(error.reason), error.sample))


class FeedTable:
    """The status of every connection, in the order they were first named."""

    def __init__(self) -> None:
        self._rows: dict[str, FeedStatus] = {}

    def open(self, source: str, url: str) -> FeedStatus:
        """The status of a source, made when it is new; a live object, not a copy."""
        status = self._rows.get(source)
        if status is None:
            status = self._rows[source] = FeedStatus(source, url)
        return status

    def forget(self, source: str) -> None:
        """Drop the row of a connection that is gone for good."""
        self._rows.pop(source, None)

    def rows(self) -> list[FeedStatus]:
        """The live rows."""
        return list(self._rows.values())


@attrs.frozen(kw_only=True)
class LinkSettings:
    """When a connection is distrusted.

    `max_age_s` 0 never rotates; without a `ping` text the protocol's own pings are sent.
    """

    silence_s: float
    pong_limit_s: float
    ping_interval_s: float
    ping: str | None = None
    max_age_s: float = 0.0


def _never() -> bool:
    return False


class Link:
    """Reads an open socket until it is closed, silent, deaf, too old, or `end` is called.

    `take(frame, ts_ns)` handles a frame without waiting and tells whether it carried data; while
    `idle()` is true silence is in order. `reason` says afterwards what ended it, `planned` whether
    that was no failure.
    """

    def __init__(
        self,
        socket: Socket,
        clock: Clock,
        status: FeedStatus,
        settings: LinkSettings,
        take: Callable[[str | bytes, int], bool],
        *,
        idle: Callable[[], bool] = _never,
    ) -> None:
        self.reason = ""
        self.planned = False
        self._socket = socket
        self._clock = clock
        self._status = status
        self._settings = settings
        self._take = take
        self._idle = idle
        self._began_s = self._heard_s = self._data_s = trio.current_time()
        self._scope = trio.CancelScope()

    def end(self, reason: str, *, planned: bool = False) -> None:
        """End the connection; the first reason stays."""
        if not self.reason:
            self.reason = reason
            self.planned = planned
        self._scope.cancel()

    async def run(self) -> None:
        """Live until ended. Cancelled from outside, it leaves `reason` empty."""
        with self._scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch)
                nursery.start_soon(self._ping)
                await self._read()

    async def _read(self) -> None:
        status = self._status
        try:
            while True:
                frame = await self._socket.receive()
                ts_ns = self._clock.now_ns()
                self._heard_s = now_s = trio.current_time()
                status.saw(ts_ns, len(frame))
                if self._take(frame, ts_ns):
                    self._data_s = now_s
                    status.last_data_ns = ts_ns
        except SocketClosed as error:
            self.end(f"closed: {error.reason}")

    async def _ping(self) -> None:
        settings = self._settings
        try:
            while True:
                await trio.sleep(settings.ping_interval_s)
                with trio.move_on_after(settings.pong_limit_s) as scope:
                    if settings.ping is None:
                        await self._socket.ping()
                        self._heard_s = trio.current_time()
                    else:
                        await self._socket.send(settings.ping)
                if scope.cancelled_caught:  # a frame may be half sent: nothing more can be
                    self.end(NO_PONG)
        except SocketClosed as error:
            self.end(f"closed: {error.reason}")

    async def _watch(self) -> None:
        settings = self._settings
        max_age_s = settings.max_age_s or math.inf
        while True:
            now_s = trio.current_time()
            if self._idle():
                self._data_s = now_s
            silent_s = self._data_s + settings.silence_s
            deaf_s = self._heard_s + settings.pong_limit_s
            old_s = self._began_s + max_age_s
            if now_s >= silent_s:
                self.end(SILENT)
            elif now_s >= deaf_s:
                self.end(NO_PONG)
            elif now_s >= old_s:
                self.end(ROTATE, planned=True)
            await trio.sleep_until(min(silent_s, deaf_s, old_s, now_s + WATCH_S))
