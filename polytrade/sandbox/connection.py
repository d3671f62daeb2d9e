"""One client's socket: what waits to be sent to it, what was, and what goes wrong on the way."""

from collections import Counter, deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import attrs
import trio

from polytrade.sandbox.faults import ConnectionFaults
from polytrade.sandbox.frames import SharedStream, framed

if TYPE_CHECKING:
    from polytrade.sandbox.dialects import Dialect

QUEUE_MAX: Final = 4096
"""Frames waiting for one client before playback waits: eight seconds of the busiest market."""
SLOW_CONSUMER_S: Final = 5.0
"""A client that takes nothing for this long is closed, as the venue closes slow consumers."""
HANDSHAKE_S: Final = 10.0
"""A client has this long to ask for a WebSocket."""
INBOUND_MAX: Final = 1_048_576
"""Bytes of one client frame: a subscription to 500 assets has about 48,000."""
BATCH_BYTES: Final = 262_144
"""Frames are handed to the kernel together up to about this: 500 of the usual size, more than one
turn of a venue that is behind makes."""
GARBAGE: Final = '{"event_type":"price_change","mark\x01\x02 not json'
CUT: Final = b"\x81\x7e\x10\x00" + b'{"event_type":"price_'
"""A text frame that promises 4,096 bytes and brings a few."""


class Cut:
    """In the queue: close the TCP connection inside a frame."""


Item = str | bytes | Cut


@attrs.frozen
class Selected:
    """What one connection gets of a played frame: the text and the messages in it by type."""

    text: str | bytes
    types: Mapping[str, int]


class Connection:
    """A client of one endpoint. Everything put on it is sent in order by `run_writer`.

    `put` never waits; who puts much calls `wait_room` after. `frames` and `messages` count what
    was put of the capture, `extra` what was put besides (answers, dumps), `lost` what faults took.
    """

    def __init__(
        self,
        number: int,
        endpoint: str,
        dialect: "Dialect",
        stream: SharedStream,
        scope: trio.CancelScope,
    ) -> None:
        self.number = number
        self.endpoint = endpoint
        self.dialect = dialect
        self.frames = 0
        self.messages: Counter[str] = Counter()
        self.extra: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()
        self.faults = ConnectionFaults()
        self.open = True
        self.closed_because = ""
        self._stream = stream
        self._scope = scope
        self._queue: deque[Item] = deque()
        self._held: Selected | None = None
        self._writing = False
        self._cutting = False
        self._more = trio.Event()
        self._room = trio.Event()

    def put(self, item: Item, kind: str) -> None:
        """Queue an answer or a dump; counted in `extra` under `kind`."""
        self.extra[kind] += 1
        self._enqueue(item)

    def play(self, selected: Selected) -> None:
        """Queue a frame of the capture, as the faults in force leave it."""
        faults = self.faults
        if faults.frozen_until and faults.frozen_until > trio.current_time():
            self._lose(selected, "frozen")
        elif faults.drop_price_change and "price_change" in selected.types:
            faults.drop_price_change -= 1
            self._lose(selected, "dropped")
        elif faults.garbage:
            faults.garbage -= 1
            self._lose(selected, "garbage")
            self._enqueue(GARBAGE)
        elif faults.truncate:
            faults.truncate -= 1
            self._lose(selected, "truncated")
            self._enqueue(selected.text[: max(1, len(selected.text) // 2)])
        elif faults.reorder and self._held is None:
            self._held = selected
        else:
            self._send(selected)
            if faults.duplicate:
                faults.duplicate -= 1
                self._send(selected)
            if self._held is not None:
                held, self._held = self._held, None
                faults.reorder -= 1
                self._send(held)

    def cut(self) -> None:
        """Close inside the next frame."""
        self._enqueue(Cut())

    def close(self, reason: str) -> None:
        """Close the TCP connection now, without a closing handshake."""
        self.closed_because = self.closed_because or reason
        self.open = False
        self._scope.cancel()

    @property
    def drained(self) -> bool:
        """Whether everything put has been handed to the socket."""
        return not self.open or not (self._queue or self._writing or self._held)

    @property
    def full(self) -> bool:
        """Whether who puts more should wait."""
        return self.open and len(self._queue) >= QUEUE_MAX

    @property
    def waiting(self) -> int:
        """Frames not yet written."""
        return len(self._queue)

    async def wait_room(self) -> None:
        """Return when the queue is below `QUEUE_MAX` or the connection is closed."""
        while self.full:
            await self._room.wait()

    async def run_writer(self) -> None:
        """Send what is queued until the connection closes; raises what the stream raises."""
        while True:
            while self._queue:
                self._writing = True
                if not await self._stream.send_frames(self._batch()):
                    return
                if self._cutting:
                    self.close("close_mid_frame")
                    return
                if self._draining:
                    await trio.sleep(self.faults.drain_s)
                self._room.set()
                self._room = trio.Event()
            self._writing = False
            self._more = trio.Event()
            await self._more.wait()

    @property
    def _draining(self) -> bool:
        until = self.faults.drain_until
        return bool(until) and until > trio.current_time()

    def _batch(self) -> bytes:
        """The next frames: one when each is to take its time, none after a cut."""
        most = 1 if self._draining else BATCH_BYTES
        data = bytearray()
        while self._queue and len(data) < most:
            item = self._queue.popleft()
            if isinstance(item, Cut):
                self._cutting = True
                data += CUT
                break
            data += framed(item)
        return bytes(data)

    def ended(self) -> None:
        """The socket is gone: nobody need wait for room."""
        self.open = False
        self._queue.clear()
        self._room.set()

    def _send(self, selected: Selected) -> None:
        self.frames += 1
        for name, count in selected.types.items():
            self.messages[name] += count
        self._enqueue(selected.text)

    def _lose(self, selected: Selected, why: str) -> None:
        self.lost[why] += 1
        for name, count in selected.types.items():
            self.lost[f"{why}:{name}"] += count

    def _enqueue(self, item: Item) -> None:
        if self.open:
            self._queue.append(item)
            self._more.set()
