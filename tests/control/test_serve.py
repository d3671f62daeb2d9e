"""Lifetimes on real sockets: disconnects, stops, slow and deaf clients, taken ports."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from urllib.parse import urlsplit

import orjson
import pytest
import trio

from polytrade.config import Control
from polytrade.control import serve as serve_module
from polytrade.control.app import ControlApp, create_app
from polytrade.control.serve import serve
from polytrade.errors import ConfigError
from polytrade.runtime.command_requests import Commands, Flatten, FlattenReply, Pause, PauseReply
from tests.control.status_samples import status

GIVE_UP_S = 20
"""Far beyond what any of these takes: a hang fails instead of hanging the suite."""


class Served:
    """A control plane on a free port of this machine."""

    def __init__(self) -> None:
        self.commands = Commands()
        self.stop = trio.Event()
        self.url = ""

    async def connect(self) -> trio.SocketStream:
        parts = urlsplit(self.url)
        return await trio.open_tcp_stream(parts.hostname or "", parts.port or 0)


@asynccontextmanager
async def served(**settings: float) -> AsyncIterator[Served]:
    """Serves while the block runs; the end of the block stops it and waits until it has ended."""
    one = Served()
    config = Control(port=0, **settings)  # type: ignore[arg-type]
    app = create_app(status, one.commands, config, None)
    with trio.fail_after(GIVE_UP_S):
        async with trio.open_nursery() as nursery:
            one.url = await nursery.start(partial(serve, app, config, one.stop.wait))
            yield one
            one.stop.set()


def request(method: str, path: str, *headers: str, body: str = "") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers]
    if method == "POST" and not any(line.startswith("Content-Length") for line in headers):
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


async def response(stream: trio.SocketStream) -> tuple[int, dict[str, object]]:
    data = b""
    while b"\r\n\r\n" not in data:
        data += await stream.receive_some()
    head, _, body = data.partition(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
    while len(body) < int(fields[b"content-length"]):
        body += await stream.receive_some()
    return int(head.split()[1]), orjson.loads(body)


async def test_started_announces_the_real_address() -> None:
    async with served() as one:
        assert urlsplit(one.url).scheme == "http"
        assert urlsplit(one.url).hostname == "127.0.0.1"
        assert urlsplit(one.url).port
        async with await one.connect() as stream:
            await stream.send_all(request("GET", "/health"))
            code, body = await response(stream)
    assert code == 200
    assert body["status"] == "ok"


async def test_vanished_client_does_not_cancel_its_command() -> None:
    async with served() as one:
        stream = await one.connect()
        await stream.send_all(request("POST", "/control/flatten"))
        first = await one.commands.requests.receive()
        await stream.aclose()
        async with await one.connect() as other:
            await other.send_all(request("POST", "/control/pause"))
            second = await one.commands.requests.receive()
            second.reply(PauseReply(True))
            assert await response(other) == (200, {"ok": True, "paused": True})
        assert (first.command, second.command) == (Flatten(), Pause())
        first.reply(FlattenReply(cancelled=("o-1",)))
        assert first.answer == FlattenReply(cancelled=("o-1",))


async def test_trigger_ends_the_server_with_keep_alive_connections_open() -> None:
    async with served() as one:
        idle = await one.connect()
        await idle.send_all(request("GET", "/health"))
        await response(idle)
    assert await idle.receive_some() == b""
    with pytest.raises(OSError, match="all attempts to connect"):
        await one.connect()
    await idle.aclose()


async def test_trigger_ends_the_server_while_a_command_waits() -> None:
    async with served() as one:
        stream = await one.connect()
        await stream.send_all(request("POST", "/control/flatten"))
        waiting = await one.commands.requests.receive()
    waiting.reply(FlattenReply())
    assert waiting.answer == FlattenReply()
    await stream.aclose()


async def test_slow_body_is_cut_off_by_the_time_limit() -> None:
    async with served(request_limit_s=0.1) as one, await one.connect() as stream:
        await stream.send_all(request("POST", "/control/pause", "Content-Length: 10"))
        code, body = await response(stream)
        assert one.commands.requests.statistics().current_buffer_used == 0
    assert code == 504
    assert body["error"]["code"] == "timeout"  # type: ignore[index]


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the kernel has no such limit")
async def test_deaf_client_cannot_hold_the_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve_module, "UNREAD_MS", 200)
    monkeypatch.setattr(serve_module, "GRACE_S", 0.1)
    async with served() as one:
        deaf = trio.socket.socket()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        parts = urlsplit(one.url)
        await deaf.connect((parts.hostname, parts.port))
        stream = trio.SocketStream(deaf)
        with pytest.raises(trio.BrokenResourceError):  # ask on and on, never read: cut off
            while True:
                await stream.send_all(request("GET", "/metrics") * 50)
    await stream.aclose()


async def test_taken_port_is_the_operators_error() -> None:
    async with served() as one:
        port = urlsplit(one.url).port or 0
        config = Control(port=port)
        app = create_app(status, Commands(), config, None)
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{port}"):
            await serve(app, config, trio.Event().wait)


async def test_unknown_host_is_the_operators_error() -> None:
    config = Control(host="no-such-host.invalid", port=0)
    app = create_app(status, Commands(), config, "a-token")
    with pytest.raises(ConfigError, match=r"@ control\.host"):
        await serve(app, config, trio.Event().wait)


async def test_application_serves_once() -> None:
    stop = trio.Event()
    stop.set()
    config = Control(port=0)
    app: ControlApp = create_app(status, Commands(), config, None)
    with trio.fail_after(GIVE_UP_S):
        await serve(app, config, stop.wait)
    with pytest.raises(AssertionError, match="serves once"):
        await serve(app, config, stop.wait)


@pytest.mark.parametrize("path", ["/nix", "/control/pause"])
async def test_client_that_leaves_within_a_body_ends_only_itself(path: str) -> None:
    async with served() as one:
        for _ in range(20):
            stream = await one.connect()
            async with stream:
                half = request("POST", path, "Content-Length: 100", body='{"half":')
                await stream.send_all(half)
                await stream.send_eof()
                with trio.move_on_after(0.2):
                    while await stream.receive_some():
                        pass
        stream = await one.connect()
        async with stream:
            await stream.send_all(request("GET", "/health"))
            assert (await response(stream))[0] == 200
