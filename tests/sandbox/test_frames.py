"""Frames as the venue writes them, read by trio-websocket, and what goes between them."""

import json
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
import trio_websocket

from polytrade.sandbox.connection import BATCH_BYTES, Selected
from polytrade.sandbox.endpoints import Endpoint, Endpoints
from polytrade.sandbox.frames import SharedStream, framed
from polytrade.sandbox.servers import SocketServer

GIVE_UP_S = 20.0


class Talker:
    """A dialect that answers each frame with as many frames as it asks for, each so long."""

    subscriptions = frozenset(("everything",))

    def hear(self, text):
        order = json.loads(text)
        return [(message(n, order["size"]), "answer") for n in range(order["count"])]

    def select(self, played):
        return Selected(played.text, played.types())


def message(number, size):
    return f"{number}:".ljust(size, "\N{LATIN SMALL LETTER E WITH ACUTE}")


@asynccontextmanager
async def talking():
    """A client of an endpoint, and the endpoint."""
    endpoints = Endpoints("127.0.0.1")
    endpoints["market"] = endpoint = Endpoint("market", lambda path: Talker())
    with trio.fail_after(GIVE_UP_S):
        async with trio.open_nursery() as nursery:
            await nursery.start(SocketServer(endpoints, endpoint).serve, 0)
            stream = await trio.open_tcp_stream("127.0.0.1", endpoint.port)
            async with stream:
                ws = await trio_websocket.wrap_client_stream(
                    nursery, stream, "127.0.0.1", "/", message_queue_size=10_000
                )
                yield ws, endpoint
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("payload", "head"),
    [
        ("", b"\x81\x00"),
        ("x" * 125, b"\x81\x7d"),
        ("x" * 126, b"\x81\x7e\x00\x7e"),
        ("x" * 65_535, b"\x81\x7e\xff\xff"),
        ("x" * 65_536, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
        (b"\x00\xff", b"\x82\x02"),
    ],
)
def test_frames_state_their_kind_and_length(payload, head):
    data = payload.encode() if isinstance(payload, str) else payload
    assert framed(payload) == head + data


def test_length_is_that_of_the_bytes():
    assert framed("\N{LATIN SMALL LETTER E WITH ACUTE}" * 63)[:4] == b"\x81\x7e\x00\x7e"


@pytest.mark.parametrize("size", [1, 125, 126, 65_535, 65_536, 200_000])
async def test_client_reads_every_frame_in_order_whatever_its_length(size):
    count = 2 * BATCH_BYTES // max(size, 1_000) + 3
    async with talking() as (ws, _):
        await ws.send_message(json.dumps({"count": count, "size": size}))
        got = [await ws.get_message() for _ in range(count)]
    assert got == [message(number, size) for number in range(count)]


async def test_pings_are_answered_between_the_frames():
    async with talking() as (ws, _):
        for number in range(20):
            await ws.send_message(json.dumps({"count": 50, "size": 3_000}))
            await ws.ping(str(number).encode())
        got = [await ws.get_message() for _ in range(20 * 50)]
    assert got == [message(number, 3_000) for number in range(50)] * 20


async def test_closing_handshake_is_answered_in_the_midst_of_frames():
    async with talking() as (ws, endpoint):
        await ws.send_message(json.dumps({"count": 4_000, "size": 2_000}))
        assert await ws.get_message() == message(0, 2_000)
        # The client reads on until it has the answer; a frame cut in two would end it with 1002.
        await ws.aclose(code=1001, reason="enough")
        for _ in range(100_000):
            await trio.lowlevel.checkpoint()
            if not endpoint.connections:
                break
    assert ws.closed.code == 1001
    assert ws.closed.name == "GOING_AWAY"


async def test_too_large_frame_of_a_client_is_refused_with_its_code():
    async with talking() as (ws, _):
        await ws.send_message(" " * 1_100_000)
        with pytest.raises(trio_websocket.ConnectionClosed) as closed:
            await ws.get_message()
    assert closed.value.reason.code == 1009


class Slow:
    """A stream on which everything takes a second; `sent` in the order it went out."""

    def __init__(self):
        self.sent = []

    async def send_all(self, data):
        await trio.sleep(1)
        self.sent.append(data)


async def test_nothing_lands_inside_a_frame_and_nothing_follows_a_closing_one(autojump_clock):
    slow = Slow()
    shared = SharedStream(slow)
    answers = []

    async def write(data):
        answers.append((data, await shared.send_frames(data)))

    async with trio.open_nursery() as nursery:
        for action, data in (
            (write, b"\x81\x01a"),
            (shared.send_all, b"\x8a\x00"),
            (write, b"\x81\x01b"),
            (shared.send_all, b"\x88\x00"),
            (write, b"\x81\x01c"),
        ):
            nursery.start_soon(action, data)
            await trio.testing.wait_all_tasks_blocked()
    # `b` had not begun when closing was asked for.
    assert slow.sent == [b"\x81\x01a", b"\x8a\x00", b"\x88\x00"]
    assert answers == [(b"\x81\x01a", True), (b"\x81\x01b", False), (b"\x81\x01c", False)]
