"""A market channel on loopback that sends invented frames at a given pace and remembers when.

One blocking thread, one client, then it is over: the sender must not share an interpreter with
what is measured. As `python -m benchmarks.market_server` it is that child.
"""

import base64
import hashlib
import socket
import struct
import time
from array import array
from collections.abc import Sequence
from typing import Any, Final

from benchmarks import traffic
from benchmarks.workers import serve

MESSAGES_MAX: Final = 300_000
"""Two minutes at the highest rate: 170 MB of frames, bounded before anything else."""
RATE_MAX: Final = 5_000
ACCEPT_S: Final = 60.0
SEND_S: Final = 10.0
"""Longest a client may let us wait: it is dead or hopelessly behind then."""
LEAD_NS: Final = 1_500_000_000
"""Between the last frame generated and the first sent: a client connects and subscribes in it."""
TRIAL: Final = 300
"""Frames generated to learn how long the others will take."""
MAGIC: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT: Final = 0x81
CLOSE: Final = 0x88


def framed(payload: bytes) -> bytes:
    """A text message as a server sends it: one frame, not masked."""
    size = len(payload)
    if size < 126:
        return bytes((TEXT, size)) + payload
    if size < 1 << 16:
        return struct.pack("!BBH", TEXT, 126, size) + payload
    return struct.pack("!BBQ", TEXT, 127, size) + payload


def upgrade(connection: socket.socket) -> None:
    """Answer the client's handshake."""
    head = b""
    while b"\r\n\r\n" not in head:
        got = connection.recv(4096)
        if not got:
            raise ConnectionError("closed before the handshake")
        head += got
    fields = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(b":") for line in head.split(b"\r\n")[1:])
    }
    accept = base64.b64encode(hashlib.sha1(fields[b"sec-websocket-key"] + MAGIC).digest())
    connection.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


def _wait_until(at_ns: int) -> None:
    while (left_ns := at_ns - time.monotonic_ns()) > 0:
        time.sleep(left_ns / 1e9)


def send_all(
    connection: socket.socket, messages: Sequence[bytes], gap_ns: int, burst: int
) -> tuple[list[int], list[int]]:
    """Send the messages, `burst` at once every `burst * gap_ns`: (sent, planned) stamps."""
    sent, planned = array("q"), array("q")
    now_ns, send, begin_ns = time.monotonic_ns, connection.sendall, time.monotonic_ns()
    for at, message in enumerate(messages):
        if at % burst == 0:
            due_ns = begin_ns + at * gap_ns
            _wait_until(due_ns)
        planned.append(due_ns)
        sent.append(now_ns())
        send(message)
    return list(sent), list(planned)


def _drain(connection: socket.socket) -> None:
    """Wait until the client is gone, so that nothing of ours is reset under it."""
    while data := connection.recv(4096):
        if data[0] == CLOSE:
            connection.sendall(bytes((CLOSE, 2)) + struct.pack("!H", 1000))
            return


class MarketServer:
    """Answers `prepare` with an address, then `run`, which serves one client, with its stamps."""

    def __init__(self) -> None:
        self._messages: list[bytes] = []
        self._listener: socket.socket | None = None
        self._begin_ns = 0
        self._gap_ns = 0
        self._burst = 1

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Serve one request."""
        return self._prepare(request) if "count" in request else self._run()

    def _prepare(self, request: dict[str, Any]) -> dict[str, Any]:
        count, rate, self._burst = request["count"], request["rate"], request["burst"]
        assert 0 < count <= MESSAGES_MAX and 0 < rate <= RATE_MAX, request
        self._gap_ns = 1_000_000_000 // rate
        # Venue times are to be about right, so the beginning must be known beforehand.
        began_ns = time.monotonic_ns()
        traffic.market_frames(TRIAL, time.time_ns(), self._gap_ns)
        frame_ns = (time.monotonic_ns() - began_ns) // TRIAL
        self._begin_ns = time.time_ns() + count * frame_ns + LEAD_NS
        frames = traffic.market_frames(count, self._begin_ns, self._gap_ns, request["seed"])
        self._messages = [framed(frame) for frame in frames]
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1)
        self._listener.settimeout(ACCEPT_S)
        return {"port": self._listener.getsockname()[1], "begin_ns": self._begin_ns}

    def _run(self) -> dict[str, Any]:
        assert self._listener is not None, "not prepared"
        with self._listener, self._listener.accept()[0] as connection:
            connection.settimeout(SEND_S)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            upgrade(connection)
            connection.recv(65_536)  # the subscription
            connection.sendall(self._messages[0])
            _wait_until(time.monotonic_ns() + self._begin_ns - time.time_ns())
            try:
                sent, planned = send_all(connection, self._messages[1:], self._gap_ns, self._burst)
                _drain(connection)
            except OSError as error:
                return {"error": f"{type(error).__name__}: {error}"}
        self._messages, self._listener = [], None
        return {"sent": sent, "planned": planned}


if __name__ == "__main__":
    serve(MarketServer().answer)
