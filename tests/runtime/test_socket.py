"""The socket interface over memory streams and, for what only the network does, over loopback."""

from functools import partial

import pytest
import trio
import trio_websocket
from trio.testing import memory_stream_pair

from polytrade.runtime.socket import (
    CONNECT_S,
    ConnectFailed,
    SocketClosed,
    open_socket,
    over_stream,
)
from polytrade.testing.sockets import FakeNet, Peer

URL = "wss://venue.example/ws"


async def test_frames_go_both_ways():
    net = FakeNet()
    async with net.connect(URL) as socket:
        peer = await net.accept()
        await socket.send('{"op":"subscribe"}')
        assert await peer.receive() == '{"op":"subscribe"}'
        await peer.send("text")
        await peer.send(b"\xff\x00")
        assert await socket.receive() == "text"
        assert await socket.receive() == b"\xff\x00"
        assert socket.close_reason == ""


async def test_ping_waits_for_the_pong():
    net = FakeNet()
    async with net.connect(URL) as socket:
        await net.accept()
        await socket.ping()


async def test_messages_sent_before_the_close_are_still_received():
    net = FakeNet()
    async with net.connect(URL) as socket:
        peer = await net.accept()
        await peer.send("last words")
        await peer.close(4003, "drain")
        assert await socket.receive() == "last words"
        with pytest.raises(SocketClosed, match="4003 drain") as caught:
            await socket.receive()
        assert caught.value.code == 4003
        assert socket.close_reason == "4003 drain"
        with pytest.raises(SocketClosed):
            await socket.send("too late")
        with pytest.raises(SocketClosed):
            await socket.ping()


async def test_connection_broken_inside_a_frame_is_closed_without_a_message():
    net = FakeNet()
    async with net.connect(URL) as socket:
        peer = await net.accept()
        await peer.break_off(half=b"\x81\x7e\x01\x00{")  # 256 bytes announced, one sent
        with pytest.raises(SocketClosed, match="1006"):
            await socket.receive()


async def test_malformed_frame_closes_the_connection():
    net = FakeNet()
    async with net.connect(URL) as socket:
        peer = await net.accept()
        await peer.break_off(half=b"\xff\xff\xff\xff")
        with pytest.raises(SocketClosed):
            await socket.receive()


async def test_error_of_the_block_comes_out_as_it_is_though_the_peer_is_frozen(autojump_clock):
    """The closing handshake of a frozen peer times out and must not hide the block's error."""
    ours, theirs = memory_stream_pair()

    async def frozen_peer() -> None:
        async with trio.open_nursery() as inner:
            request = await trio_websocket.wrap_server_stream(inner, theirs)
            await request.accept()
            inner.cancel_scope.cancel()  # never reads again

    async with trio.open_nursery() as nursery:
        nursery.start_soon(frozen_peer)
        began_s = trio.current_time()
        with pytest.raises(ValueError, match="mine"):
            async with over_stream(ours, "venue.example", "/"):
                raise ValueError("mine")
        assert trio.current_time() - began_s == pytest.approx(1.0)


async def test_cancelled_block_drops_the_connection_at_once(autojump_clock):
    net = FakeNet()
    began_s = trio.current_time()
    with trio.move_on_after(5) as scope:
        async with net.connect(URL) as socket:
            await net.accept()
            await socket.receive()
    assert scope.cancelled_caught
    assert trio.current_time() - began_s == pytest.approx(5)


async def test_no_handshake_is_a_failed_connection(autojump_clock):
    ours, _theirs = memory_stream_pair()
    with pytest.raises(ConnectFailed, match="no WebSocket handshake within 10 s"):
        async with over_stream(ours, "venue.example", "/"):
            raise AssertionError("not reached")


async def test_rejected_upgrade_tells_status_and_retry_after():
    ours, theirs = memory_stream_pair()

    async def reject() -> None:
        await theirs.receive_some()
        await theirs.send_all(
            b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 17\r\nContent-Length: 0\r\n\r\n"
        )

    async with trio.open_nursery() as nursery:
        nursery.start_soon(reject)
        with pytest.raises(ConnectFailed, match="HTTP 429") as caught:
            async with over_stream(ours, "venue.example", "/"):
                raise AssertionError("not reached")
    assert (caught.value.status, caught.value.retry_after) == (429, "17")


async def test_upgrade_names_us():
    ours, theirs = memory_stream_pair()
    request = b""

    async def reject() -> None:
        nonlocal request
        request = await theirs.receive_some()
        await theirs.send_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(reject)
        with pytest.raises(ConnectFailed):
            async with over_stream(ours, "venue.example", "/ws?a=1", headers=[("X-A", "b")]):
                raise AssertionError("not reached")
    assert request.startswith(b"GET /ws?a=1 HTTP/1.1\r\nHost: venue.example\r\n")
    assert b"\r\nUser-Agent: polytrade/" in request
    assert b"\r\nX-A: b\r\n" in request


@pytest.mark.parametrize("url", ["http://venue.example", "ws://", "wss://venue.example:99999/"])
async def test_wrong_addresses_are_failed_connections(url):
    with pytest.raises(ConnectFailed):
        async with open_socket(url):
            raise AssertionError("not reached")


async def test_over_a_real_socket():
    async def echo(request: trio_websocket.WebSocketRequest) -> None:
        connection = await request.accept()
        peer = Peer("", connection, connection._stream)
        await peer.send(f"{request.path}:{await peer.receive()}")
        await peer.wait_closed()

    async with trio.open_nursery() as nursery:
        serve = partial(trio_websocket.serve_websocket, echo, "127.0.0.1", 0, None)
        server = await nursery.start(serve)
        async with open_socket(f"ws://127.0.0.1:{server.port}/ws?x=1") as socket:
            await socket.send("hello")
            assert await socket.receive() == "/ws?x=1:hello"
        nursery.cancel_scope.cancel()


async def test_refused_port_is_a_failed_connection():
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    await listeners[0].aclose()
    with pytest.raises(ConnectFailed, match="OSError"):
        async with open_socket(f"ws://127.0.0.1:{port}/"):
            raise AssertionError("not reached")


async def test_server_without_tls_is_a_failed_connection_that_says_so():
    async def plain(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, plain, 0, host="127.0.0.1"))
        port = listeners[0].socket.getsockname()[1]
        with pytest.raises(ConnectFailed, match="TLS: SSL"):
            async with open_socket(f"wss://127.0.0.1:{port}/"):
                raise AssertionError("not reached")
        nursery.cancel_scope.cancel()


async def test_fake_net_refuses_what_is_down():
    net = FakeNet()
    net.down[URL] = "no route"
    with pytest.raises(ConnectFailed, match="no route"):
        async with net.connect(URL):
            raise AssertionError("not reached")
    assert CONNECT_S == 10.0
    with pytest.raises(trio.WouldBlock):
        net.accept_nowait()
