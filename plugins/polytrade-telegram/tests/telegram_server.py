"""A local server that speaks Telegram's Bot API as its documentation describes it.

Requests are JSON or nothing; answers have `ok`, `result`, `description`, `error_code` and
`parameters`. HTML is parsed as Telegram parses it: what is not escaped is an error. It runs on real
sockets of the loopback interface.
"""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import unescape
from typing import Any, Final

import h11
import trio

TOKEN: Final = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"
BOT: Final = "PolyBot"
TAGS: Final = ("b", "i", "u", "s", "code", "pre")
HOLD_S: Final = 50


class TelegramServer:
    """One bot; `refusals` are the answers to the next calls of `sendMessage`, None for none.

    It is at `url` and `prefix`. With `redirect` every call is sent there. `paths` are those asked.
    """

    def __init__(self) -> None:
        self.url = ""
        self.prefix = ""
        self.redirect = ""
        self.paths: list[str] = []
        self.sent: list[dict[str, Any]] = []
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.refusals: list[tuple[int, bytes] | None] = []
        self.gone_chats: set[int] = set()
        self.polled = trio.Event()
        self._updates: list[dict[str, Any]] = []
        self._last_id = 900
        self._news = trio.Event()
        self._said = trio.Event()

    def hear(self, text: str, *, chat: int = 7, kind: str = "private", user: int = 7) -> None:
        """Somebody writes to the bot."""
        self._last_id += 1
        message = {
            "message_id": self._last_id,
            "date": 1_700_000_000,
            "chat": {"id": chat, "type": kind},
            "from": {"id": user, "is_bot": False, "first_name": "A"},
            "text": text,
        }
        self.put({"update_id": self._last_id, "message": message})

    def put(self, update: dict[str, Any]) -> None:
        """An update as it is."""
        self._updates.append(update)
        self._news.set()

    async def wait_sent(self, count: int) -> None:
        """Return once so many messages were taken."""
        with trio.fail_after(20):
            while len(self.sent) < count:
                self._said = trio.Event()
                await self._said.wait()

    async def handle(self, path: str, body: bytes) -> tuple[int, bytes]:
        """The answer to one call: status and body."""
        self.paths.append(path)
        if self.redirect:
            return 302, b"{}"
        match = re.fullmatch(self.prefix + r"/bot([^/]+)/(\w+)", path)
        if match is None:
            return 404, _error(404, "Not Found")
        if match[1] != TOKEN:
            return 401, _error(401, "Unauthorized")
        params = json.loads(body)
        self.calls.append((match[2], params))
        if match[2] == "getMe":
            return 200, _result({"id": 110201543, "is_bot": True, "username": BOT})
        if match[2] == "getUpdates":
            return 200, _result(await self._updates_from(params))
        if match[2] == "sendMessage":
            return self._take(params)
        return 404, _error(404, "Not Found: method not found")

    async def _updates_from(self, params: dict[str, Any]) -> list[dict[str, Any]]:
        offset = params.get("offset", 0)
        if offset < 0:
            self._updates = self._updates[offset:]
        else:
            self._updates = [each for each in self._updates if each["update_id"] >= offset]
        if not self._updates and params.get("timeout"):
            self.polled.set()
            with trio.move_on_after(min(params["timeout"], HOLD_S)):
                self._news = trio.Event()
                await self._news.wait()
        return self._updates[: params.get("limit", 100)]

    def _take(self, params: dict[str, Any]) -> tuple[int, bytes]:
        refusal = self.refusals.pop(0) if self.refusals else None
        if refusal is not None:
            return refusal
        if params["chat_id"] in self.gone_chats:
            return 403, _error(403, "Forbidden: bot was blocked by the user")
        try:
            text = parse_html(params["text"])
        except ValueError as error:
            return 400, _error(400, f"Bad Request: can't parse entities: {error}")
        if not 1 <= len(text.encode("utf-16-le")) // 2 <= 4096:
            return 400, _error(400, "Bad Request: message is too long")
        self.sent.append({**params, "shown": text})
        self._said.set()
        return 200, _result({"message_id": len(self.sent), "text": text})


def parse_html(source: str) -> str:
    """What a message shows; ValueError for HTML that Telegram refuses."""
    assert isinstance(source, str)
    opened: list[str] = []
    for tag in re.findall(r"<([^>]*)>?", source):
        name = tag.removeprefix("/")
        if name not in TAGS:
            raise ValueError(f'unsupported start tag "{tag}"')
        if tag.startswith("/"):
            if not opened or opened.pop() != name:
                raise ValueError(f'unexpected end tag "{tag}"')
        else:
            opened.append(name)
    if opened:
        raise ValueError("can't find end tag")
    shown = re.sub(r"<[^>]*>", "", source)
    if re.search(r"&(?!(lt|gt|amp|quot|#\d+);)", shown):
        raise ValueError("unescaped ampersand")
    return unescape(shown)


def too_many(retry_after: object) -> tuple[int, bytes]:
    """A 429 as the service answers it."""
    answer = {
        "ok": False,
        "error_code": 429,
        "description": f"Too Many Requests: retry after {retry_after}",
        "parameters": {"retry_after": retry_after},
    }
    return 429, json.dumps(answer).encode()


def _error(code: int, description: str) -> bytes:
    answer = {"ok": False, "error_code": code, "description": description}
    return json.dumps(answer).encode()


def _result(result: object) -> bytes:
    return json.dumps({"ok": True, "result": result}).encode()


@asynccontextmanager
async def serve_telegram() -> AsyncIterator[TelegramServer]:
    """The server on a free port of the loopback interface."""
    server = TelegramServer()
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")

    async def serve(stream: trio.SocketStream) -> None:
        await _connection(server, stream)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        server.url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        yield server
        nursery.cancel_scope.cancel()


async def _connection(server: TelegramServer, stream: trio.SocketStream) -> None:
    """Answer the calls of one connection until it ends."""
    http = h11.Connection(h11.SERVER)
    path, body = "", bytearray()
    async with stream:
        while True:
            event = http.next_event()
            if event is h11.NEED_DATA:
                try:
                    http.receive_data(await stream.receive_some())
                except trio.BrokenResourceError:
                    return
            elif isinstance(event, h11.Request):
                path, body = event.target.decode(), bytearray()
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                status, answer = await server.handle(path, bytes(body))
                head = [("content-type", "application/json"), ("content-length", str(len(answer)))]
                if status == 302:
                    head.append(("location", server.redirect))
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
