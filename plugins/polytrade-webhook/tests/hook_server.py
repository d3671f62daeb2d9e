"""A local receiver of webhooks on the loopback interface; it answers as it was told to."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import h11
import trio


@attrs.frozen
class Received:
    """One request."""

    target: str
    headers: dict[str, str]
    body: bytes


class HookServer:
    """`answers` are (status, headers, body) for the next requests; then 204."""

    def __init__(self) -> None:
        self.url = ""
        self.port = 0
        self.received: list[Received] = []
        self.answers: list[tuple[int, dict[str, str], bytes]] = []

    def answer(self, request: Received) -> tuple[int, dict[str, str], bytes]:
        """Note a request; what it is answered with."""
        self.received.append(request)
        return self.answers.pop(0) if self.answers else (204, {}, b"")


@asynccontextmanager
async def serve_hooks() -> AsyncIterator[HookServer]:
    """The receiver on a free port."""
    server = HookServer()
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")

    async def serve(stream: trio.SocketStream) -> None:
        await _connection(server, stream)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        server.port = listeners[0].socket.getsockname()[1]
        server.url = f"http://127.0.0.1:{server.port}/hook/secret-path"
        yield server
        nursery.cancel_scope.cancel()


async def _connection(server: HookServer, stream: trio.SocketStream) -> None:
    http = h11.Connection(h11.SERVER)
    target, headers, body = "", {}, bytearray()
    async with stream:
        while True:
            event = http.next_event()
            if event is h11.NEED_DATA:
                try:
                    http.receive_data(await stream.receive_some())
                except trio.BrokenResourceError:
                    return
            elif isinstance(event, h11.Request):
                headers = {name.decode(): value.decode() for name, value in event.headers}
                target, body = event.target.decode(), bytearray()
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                status, extra, answer = server.answer(Received(target, headers, bytes(body)))
                head = [*extra.items()]
                if status != 204:
                    head.append(("content-length", str(len(answer))))
                for part in (
                    h11.Response(status_code=status, headers=head),
                    h11.Data(data=answer),
                    h11.EndOfMessage(),
                ):
                    await stream.send_all(http.send(part) or b"")
                if http.our_state is h11.MUST_CLOSE:
                    return
                http.start_next_cycle()
            else:
                return
