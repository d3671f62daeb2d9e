"""Who follows the market channel of a local venue: as little as a client can do.

Counts messages and how late they are: from the millisecond the venue stamps a change with, which
is that of its plan, to the frame being here.
"""

import base64
import json
import os
import socket
import struct
import threading
import time
from array import array
from types import TracebackType
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

RECEIVE: Final = 1 << 18
STAMPED: Final = ("price_change", "best_bid_ask")
"""Types whose timestamp is that of the change itself; prints of trades are late on purpose."""
END_S: Final = 5.0


def frames(data: bytes) -> tuple[list[bytes], int]:
    """The payloads of the whole frames in `data`, and where the rest begins."""
    found, at = [], 0
    while len(data) - at >= 2:
        size, head = data[at + 1], 2
        if size == 126:
            size, head = int.from_bytes(data[at + 2 : at + 4]), 4
        elif size == 127:
            size, head = int.from_bytes(data[at + 2 : at + 10]), 10
        if len(data) - at < head + size:
            break
        found.append(data[at + head : at + head + size])
        at += head + size
    return found, at


def subscription(assets: list[str]) -> bytes:
    """The frame that asks for everything about these assets."""
    body = json.dumps(
        {"type": "market", "assets_ids": assets, "custom_feature_enabled": True}
    ).encode()
    return struct.pack("!BBH", 0x81, 0x80 | 126, len(body)) + bytes(4) + body


class Follower:
    """A connection that follows these assets, on a thread of its own, inside the block.

    `messages` counts all of them, `late_ns` has the lateness of each that tells its time.
    """

    def __init__(self, url: str, assets: list[str]) -> None:
        self.messages = 0
        self.late_ns = array("q")
        self._socket = _connected(url)
        self._socket.sendall(subscription(assets))
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Follower":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(END_S)
        self._socket.close()

    def reset(self) -> None:
        """Forget what was counted so far."""
        self.messages, self.late_ns = 0, array("q")

    def _run(self) -> None:
        data = b""
        while more := self._socket.recv(RECEIVE):
            now_ns = time.time_ns()
            whole, at = frames(data + more)
            data = (data + more)[at:]
            for frame in whole:
                self._hear(orjson.loads(frame), now_ns)

    def _hear(self, body: Any, now_ns: int) -> None:
        for message in body if isinstance(body, list) else [body]:
            self.messages += 1
            if message["event_type"] in STAMPED:
                self.late_ns.append(now_ns - int(message["timestamp"]) * 1_000_000)


def _connected(url: str) -> socket.socket:
    parts = urlsplit(url)
    assert parts.hostname is not None and parts.port is not None, url
    connection = socket.create_connection((parts.hostname, parts.port))
    key = base64.b64encode(os.urandom(16)).decode()
    connection.sendall(
        f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
        "Sec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    head = b""
    while not head.endswith(b"\r\n\r\n"):  # nothing comes behind it: nothing is subscribed yet
        got = connection.recv(4096)
        if not got:
            raise ConnectionError(f"{url}: closed before the handshake")
        head += got
    return connection
