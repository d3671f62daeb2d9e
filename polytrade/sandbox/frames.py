"""WebSocket frames as a server writes them, and a stream that two sides of one connection share.

trio-websocket does the handshake, reads, and answers pings and closing; frames of ours are written
here, many in one call, because its own way of sending costs more than everything that makes them.
"""

import struct
from typing import Final

import trio

TEXT: Final = 0x81
BINARY: Final = 0x82
CLOSE: Final = 0x88
"""First bytes of a whole message in one frame (RFC 6455, 5.2)."""
SHORT_MAX: Final = 125
MEDIUM_MAX: Final = 0xFFFF
"""Longest payloads whose length fits the first and the second form of it."""


def framed(message: str | bytes) -> bytes:
    """A message as a server sends it: one frame, not masked, not compressed."""
    if isinstance(message, str):
        kind, payload = TEXT, message.encode()
    else:
        kind, payload = BINARY, message
    size = len(payload)
    if size <= SHORT_MAX:
        return bytes((kind, size)) + payload
    if size <= MEDIUM_MAX:
        return struct.pack("!BBH", kind, 126, size) + payload
    return struct.pack("!BBQ", kind, 127, size) + payload


class SharedStream(trio.abc.Stream):
    """A server's stream that trio-websocket and a writer of frames use at the same time.

    What is sent goes out whole, in the order asked for: no frame lands inside another one. Once a
    closing frame was asked for, `send_frames` sends nothing more (RFC 6455, 5.5.1).
    """

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.closing = False
        self._stream = stream
        self._sending = trio.Lock()

    async def send_frames(self, data: bytes) -> bool:
        """Send whole frames; False, with nothing sent, when the connection is closing."""
        await self._turn()
        try:
            if self.closing:
                return False
            await self._stream.send_all(data)
            return True
        finally:
            self._sending.release()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send what trio-websocket has to say: the handshake, or one control frame."""
        if data[0] == CLOSE:
            self.closing = True
        await self._turn()
        try:
            await self._stream.send_all(data)
        finally:
            self._sending.release()

    async def _turn(self) -> None:
        """Take the lock, without another pass of the scheduler when it is free."""
        try:
            self._sending.acquire_nowait()
        except trio.WouldBlock:
            await self._sending.acquire()

    async def wait_send_all_might_not_block(self) -> None:
        """As the stream itself."""
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """As the stream itself."""
        return await self._stream.receive_some(max_bytes)

    async def aclose(self) -> None:
        """As the stream itself."""
        await self._stream.aclose()
