"""One request to the CLOB's REST: who asks, whether it is answered at all, and in which form."""

from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

import attrs
import orjson
import trio
from quart import Response, request

from polytrade.sandbox.matching.orders import Refused
from polytrade.sandbox.venue.auth import ApiKey, AuthRefused
from polytrade.sandbox.venue.limits import Verdict

if TYPE_CHECKING:
    from polytrade.sandbox.venue.local import LocalVenue
    from polytrade.sandbox.venue.troubles import Answer

BODY_MAX: Final = 262_144
"""Bytes of a request: 3,000 order ids are 210,000, fifteen orders 30,000."""
FIRST_CURSOR: Final = "MA=="
LAST_CURSOR: Final = "LTE="
"""The offset 0 and the offset -1 (protocols 2.1)."""
CURSOR_MAX: Final = 24
"""Characters of a cursor: more digits than any offset has."""
TURNS_MAX: Final = 100
"""Turns a request waits for a venue that is behind: about five seconds of its work."""
PLACE: Final = "place"
CANCEL: Final = "cancel"
READ: Final = "read"
AUTH: Final = "auth"
NO_KEY: Final = "Unauthorized/Invalid api key"


class AnswerLost(Exception):
    """Ends the connection inside an answer; the server reports it to nobody."""


@attrs.frozen
class Call:
    """A request that is to be answered: its key and its body as it came."""

    key: ApiKey
    raw: bytes

    def json(self, refusal: str) -> Any:
        """The decoded body. Raises Refused with the venue's text when it is none."""
        try:
            return orjson.loads(self.raw)
        except orjson.JSONDecodeError:
            raise Refused(refusal) from None


Public = Callable[..., Response]
Signed = Callable[..., Awaitable[Response]]


def answer(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer."""
    response = Response(orjson.dumps(body), status=status, content_type="application/json")
    response.headers.update(headers or {})
    return response


def error(text: str, status: int = 400) -> Response:
    """An error in the venue's form (protocols 2.6)."""
    return answer({"error": text}, status)


def trouble(refusal: "Answer") -> Response:
    """What a trouble answers instead; text is sent as it is."""
    body = refusal.body if isinstance(refusal.body, str) else orjson.dumps(refusal.body)
    return Response(body, status=refusal.status, headers=dict(refusal.headers))


def too_many(verdict: Verdict) -> Response:
    """The 429 of a limit."""
    return answer(verdict.body(), 429, verdict.headers)


class _Broken:
    """The first half of an answer's body, and then AnswerLost."""

    def __init__(self, body: bytes) -> None:
        self._left = [body[: len(body) // 2]]

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        await trio.lowlevel.checkpoint()
        if not self._left:
            raise AnswerLost
        return self._left.pop()

    async def aclose(self) -> None:
        """Nothing is held."""


def lost(response: Response, body: bytes) -> Response:
    """The answer, broken off in its middle: a client sees the connection end, never a result."""
    headers = dict(response.headers)
    halved = Response(_Broken(body), status=response.status_code, headers=headers)
    halved.content_length = len(body)
    return halved


def offset_of(cursor: str) -> int:
    """Where a page begins; -1 for the last cursor. Raises Refused for what is none."""
    if cursor in ("", FIRST_CURSOR):
        return 0
    try:
        offset = int(b64decode(cursor[:CURSOR_MAX], validate=True))
    except ValueError:
        raise Refused("invalid next_cursor") from None
    return max(offset, -1)


def page(rows: Sequence[object], cursor: str, most: int) -> tuple[Sequence[object], str]:
    """The rows from a cursor on, at most so many, and the next cursor. Raises Refused."""
    offset = offset_of(cursor)
    if offset < 0:
        return [], LAST_CURSOR
    end = offset + most
    following = b64encode(str(end).encode()).decode() if end < len(rows) else LAST_CURSOR
    return rows[offset:end], following


def paged(
    rows: Sequence[Any], most: int, show: Callable[[Any], object] = lambda row: row
) -> Response:
    """A page of the rows by the request's `next_cursor`, each as `show` has it."""
    found, following = page(rows, request.args.get("next_cursor", ""), most)
    data = [show(row) for row in found]
    return answer({"data": data, "next_cursor": following, "limit": most, "count": len(data)})


def _refused(refused: Refused | AuthRefused) -> Response:
    if isinstance(refused, AuthRefused):
        return answer(refused.body, refused.status)
    return error(refused.text, refused.status)


async def _body() -> bytes:
    raw = await request.get_data()
    return raw if isinstance(raw, bytes) else raw.encode()


class Door:
    """Makes views of handlers: every request brings the venue up to now, may be refused by a
    limit or a trouble, and is answered in the venue's form when a handler raises Refused.
    """

    def __init__(self, venue: "LocalVenue") -> None:
        self._venue = venue

    def public(self, handler: Public, kind: str = READ) -> Signed:
        """A view for everybody; the handler waits for nothing."""

        @wraps(handler)
        async def view(**names: str) -> Response:
            refusal = await self._enter(kind)
            if refusal is not None:
                return refusal
            try:
                return handler(**names)
            except (Refused, AuthRefused) as refused:
                return _refused(refused)

        return view

    def raw(self, handler: Public, kind: str) -> Signed:
        """A view for everybody whose handler takes the body's bytes first."""

        @wraps(handler)
        async def view(**names: str) -> Response:
            raw = await _body()
            refusal = await self._enter(kind)
            if refusal is not None:
                return refusal
            try:
                return handler(raw, **names)
            except (Refused, AuthRefused) as refused:
                return _refused(refused)

        return view

    def posted(self, handler: Public) -> Signed:
        """A view for everybody whose handler takes the decoded body first, None for no JSON."""

        def decoded(raw: bytes, **names: str) -> Response:
            try:
                body: object = orjson.loads(raw)
            except orjson.JSONDecodeError:
                body = None
            return handler(body, **names)

        return self.raw(decoded, READ)

    def signed(self, handler: Signed, kind: str = READ) -> Signed:
        """A view for who proves an API key (protocols 3.2); the handler takes the Call first."""

        @wraps(handler)
        async def view(**names: str) -> Response:
            raw = await _body()
            venue = self._venue
            refusal = await self._enter(kind)
            if refusal is not None:
                return refusal
            if venue.troubles.keys_revoked:
                return error(NO_KEY, 401)
            try:
                key = venue.keys.authenticate(
                    dict(request.headers), request.method, request.path, raw, venue.now_s()
                )
                return await handler(Call(key, raw), **names)
            except (Refused, AuthRefused) as refused:
                return _refused(refused)

        return view

    async def _enter(self, kind: str) -> Response | None:
        venue = self._venue
        await trio.lowlevel.checkpoint()
        for _ in range(TURNS_MAX):
            if venue.catch_up():
                break
            await trio.lowlevel.checkpoint()
        verdict = venue.limits.address(
            request.remote_addr or "", request.method, request.path, venue.schedule.now_ns
        )
        if not verdict.admitted:
            return too_many(verdict)
        refusal = venue.troubles.refusal(kind)
        return None if refusal is None else trouble(refusal)
