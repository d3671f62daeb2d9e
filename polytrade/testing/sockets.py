"""Fakes of the network for tests: a WebSocket server on memory streams, and a clock that jumps.

Under trio's autojump clock a minute of silence passes in a millisecond:

    net = FakeNet()
    async with net.connect("wss://venue.example/ws") as socket:
        peer = await net.accept()
        await peer.send("hello")
        assert await socket.receive() == "hello"
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlsplit

import trio
import trio.testing
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_server_stream

from polytrade.runtime.inbox import Clock
from polytrade.runtime.socket import ConnectFailed, Headers, Socket, over_stream

PEERS_MAX: Final = 64
"""Connections waiting to be accepted: more than any test opens at once."""
START_NS: Final = 1_700_000_000 * 10**9
"""Where a `trio_clock` begins, in Unix nanoseconds: a multiple of 100 s."""


def trio_clock(start_ns: int = START_NS) -> Clock:
    """A Clock that follows trio's time, so that the autojump clock moves it too."""
    began_s = trio.current_time()
    return Clock(
        wall_ns=lambda: start_ns, mono_ns=lambda: round((trio.current_time() - began_s) * 1e9)
    )


class Peer:
    """The venue's end of one connection."""

    def __init__(self, url: str, connection: WebSocketConnection, stream: trio.abc.Stream) -> None:
        self.url = url
        self._connection = connection
        self._stream = stream

    async def send(self, frame: str | bytes) -> None:
        """Send one message."""
        await self._connection.send_message(frame)

    async def receive(self) -> str:
        """The next text message the client sent; raises ConnectionClosed when it left."""
        message = await self._connection.get_message()
        assert isinstance(message, str)
        return message

    async def wait_closed(self) -> None:
        """Take what the client sends until it is gone."""
        try:
            while True:
                await self._connection.get_message()
        except ConnectionClosed:
            pass

    async def close(self, code: int = 1000, reason: str | None = None) -> None:
        """Close politely."""
        await self._connection.aclose(code, reason)

    async def break_off(self, half: bytes = b"") -> None:
        """Drop the connection, after `half` a frame of raw bytes when given."""
        if half:
            await self._stream.send_all(half)
        await trio.aclose_forcefully(self._stream)


class FakeNet:
    """A Connector whose other end is in the test's hands.

    `down` maps a URL to the error its next connections meet. `headers` keeps what the newest
    client sent.
    """

    def __init__(self) -> None:
        self.down: dict[str, str] = {}
        self.headers: Headers = ()
        self.opened = 0
        self._offer, self._take = trio.open_memory_channel[Peer](PEERS_MAX)

    async def accept(self) -> Peer:
        """The venue's end of the next connection, in the order they were opened."""
        return await self._take.receive()

    def accept_nowait(self) -> Peer:
        """The same at once; trio.WouldBlock when nobody connected."""
        return self._take.receive_nowait()

    @asynccontextmanager
    async def connect(self, url: str, *, headers: Headers = ()) -> AsyncIterator[Socket]:
        """Connect to the fake venue; raises ConnectFailed when the URL is `down`."""
        await trio.lowlevel.checkpoint()
        self.opened += 1
        if url in self.down:
            raise ConnectFailed(self.down[url])
        self.headers = headers
        parts = urlsplit(url)
        ours, theirs = trio.testing.memory_stream_pair()
        failure: Exception | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._serve, url, theirs)
            try:
                async with over_stream(ours, parts.netloc, parts.path or "/") as socket:
                    yield socket
            except Exception as error:  # kept, and raised outside of the nursery
                failure = error
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def _serve(self, url: str, stream: trio.abc.Stream) -> None:
        async with trio.open_nursery() as nursery:
            request = await wrap_server_stream(nursery, stream)
            connection = await request.accept()
            self._offer.send_nowait(Peer(url, connection, stream))
            await trio.sleep_forever()
