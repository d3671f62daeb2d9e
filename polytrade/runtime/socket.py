"""A WebSocket as a feed sees it: frames in, frames out, one error when it is over.

Everything trio-websocket lives behind this small interface; feeds take a `Connector`, so tests
hand them memory streams (`polytrade.testing.sockets`).
"""

import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, Protocol
from urllib.parse import SplitResult, urlsplit

import trio
from trio_websocket import (
    ConnectionClosed,
    ConnectionRejected,
    WebSocketConnection,
    wrap_client_stream,
)

from polytrade import __version__

MESSAGE_BYTES_MAX: Final = 16 * 2**20
"""Largest message taken: three times the largest known one (a 4.8 MB Coinbase snapshot)."""
MESSAGE_QUEUE: Final = 1024
"""Messages buffered ahead of the reader: a second of the busiest feed (limits, section 2)."""
RECEIVE_BYTES: Final = 65_536
"""Bytes read at once: fewer wake-ups in a burst (limits, section 2)."""
CONNECT_S: Final = 10.0
"""Longest a name look-up, TCP, TLS and WebSocket handshake may take together."""
CLOSE_S: Final = 1.0
"""Longest to wait for the peer's part of the closing handshake: a frozen peer never answers."""

Headers = Sequence[tuple[str, str]]


class SocketError(Exception):
    """A connection that cannot be used; `reason` says why in a few words."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ConnectFailed(SocketError):
    """No connection came about; `status` is the HTTP answer to the upgrade, 0 without one."""

    def __init__(self, reason: str, status: int = 0, retry_after: str = "") -> None:
        super().__init__(reason)
        self.status = status
        self.retry_after = retry_after


class SocketClosed(SocketError):
    """The connection is over; `code` is the closing code, 1006 when it just broke off."""

    def __init__(self, reason: str, code: int = 1006) -> None:
        super().__init__(reason)
        self.code = code


class Socket(Protocol):
    """One open connection."""

    async def receive(self) -> str | bytes:
        """The next message; raises SocketClosed. Cancelled, it has taken nothing."""

    async def send(self, frame: str) -> None:
        """Send a text message; raises SocketClosed."""

    async def ping(self) -> None:
        """Send a protocol ping and wait for its pong; raises SocketClosed."""

    @property
    def close_reason(self) -> str:
        """Why the connection is over; empty while it is open."""


class Connector(Protocol):
    """Opens a connection for the length of a with block; raises ConnectFailed on entering."""

    def __call__(self, url: str, *, headers: Headers = ()) -> AbstractAsyncContextManager[Socket]:
        """A context manager that gives the open Socket."""


class TrioSocket:
    """A Socket on a trio-websocket connection."""

    def __init__(self, connection: WebSocketConnection) -> None:
        self._connection = connection

    async def receive(self) -> str | bytes:
        """The next message; raises SocketClosed. Cancelled, it has taken nothing."""
        try:
            return await self._connection.get_message()
        except ConnectionClosed as error:
            raise _closed(error) from None

    async def send(self, frame: str) -> None:
        """Send a text message; raises SocketClosed."""
        try:
            await self._connection.send_message(frame)
        except ConnectionClosed as error:
            raise _closed(error) from None

    async def ping(self) -> None:
        """Send a protocol ping and wait for its pong; raises SocketClosed."""
        try:
            await self._connection.ping()
        except ConnectionClosed as error:
            raise _closed(error) from None

    @property
    def close_reason(self) -> str:
        """Why the connection is over; empty while it is open."""
        closed = self._connection.closed
        return "" if closed is None else f"{closed.code} {closed.reason or closed.name}"


@asynccontextmanager
async def open_socket(url: str, *, headers: Headers = ()) -> AsyncIterator[Socket]:
    """Connect to a `ws://` or `wss://` address for the length of the block.

    Raises ConnectFailed on entering. Errors of the block come out as they are, never in a group.
    Leaving closes politely for at most `CLOSE_S`; being cancelled just drops the connection.
    """
    parts = urlsplit(url)
    stream: trio.abc.Stream | None = None
    with trio.move_on_after(CONNECT_S):
        stream = await _open_stream(parts)
    if stream is None:
        raise ConnectFailed(f"no connection within {CONNECT_S:g} s")
    resource = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    async with over_stream(stream, parts.netloc, resource, headers=headers) as socket:
        yield socket


@asynccontextmanager
async def over_stream(
    stream: trio.abc.Stream, host: str, resource: str, *, headers: Headers = ()
) -> AsyncIterator[Socket]:
    """Do the client's handshake over an open stream and give the Socket; see `open_socket`."""
    failure: Exception | None = None
    open_at_last = False
    try:
        async with trio.open_nursery() as nursery:
            connection: WebSocketConnection | None = None
            with trio.move_on_after(CONNECT_S):
                connection = await wrap_client_stream(
                    nursery,
                    stream,  # type: ignore[arg-type]  # any stream will do
                    host,
                    resource,
                    extra_headers=[(k.encode(), v.encode()) for k, v in _own(headers)],
                    message_queue_size=MESSAGE_QUEUE,
                    max_message_size=MESSAGE_BYTES_MAX,
                    receive_buffer_size=RECEIVE_BYTES,
                )
            if connection is not None:
                open_at_last = True
                try:
                    yield TrioSocket(connection)
                except Exception as error:  # kept, and raised outside of the nursery
                    failure = error
                with trio.move_on_after(CLOSE_S):
                    await connection.aclose()
            nursery.cancel_scope.cancel()
    except* ConnectionRejected as group:
        failure = _rejected(group)
    finally:
        await trio.aclose_forcefully(stream)
    if failure is not None:
        raise failure
    if not open_at_last:
        raise ConnectFailed(f"no WebSocket handshake within {CONNECT_S:g} s")


async def _open_stream(parts: SplitResult) -> trio.abc.Stream:
    secure = parts.scheme == "wss"
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise ConnectFailed(f"expected a ws:// or wss:// address, found {parts.geturl()!r}")
    try:
        port = parts.port or (443 if secure else 80)
        if not secure:
            return await trio.open_tcp_stream(parts.hostname, port)
        stream = await trio.open_ssl_over_tcp_stream(
            parts.hostname, port, https_compatible=True, ssl_context=ssl.create_default_context()
        )
    except (OSError, ValueError) as error:
        raise ConnectFailed(_text(error)) from error
    try:
        await stream.do_handshake()
    except trio.BrokenResourceError as error:
        await trio.aclose_forcefully(stream)
        raise ConnectFailed(f"TLS: {_text(error.__cause__ or error)}") from error
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return stream


def _own(headers: Headers) -> Headers:
    # Cloudflare answers 403 to libraries' default agents (protocols 0.2).
    return [("User-Agent", f"polytrade/{__version__}"), *headers]


def _closed(error: ConnectionClosed) -> SocketClosed:
    reason = error.reason
    if reason is None:
        return SocketClosed("closed by us", 1000)
    return SocketClosed(f"{reason.code} {reason.reason or reason.name}", reason.code)


def _rejected(group: BaseExceptionGroup[ConnectionRejected]) -> ConnectFailed:
    first: BaseException = group
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    assert isinstance(first, ConnectionRejected)
    retry_after = ""
    for name, value in first.headers or ():
        if name.lower() == b"retry-after":
            retry_after = value.decode("latin-1")
    return ConnectFailed(f"HTTP {first.status_code}", first.status_code, retry_after)


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
