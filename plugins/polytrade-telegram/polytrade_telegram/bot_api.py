"""Telegram's Bot API over HTTP: one call, its result, and what can go wrong as one typed error.

The token is a part of every path, so the path is given apart from the URL: the HTTP client writes
URLs into its log and its errors. None of its errors leaves this module all the same.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

import attrs
import httpx2
import trio

from polytrade.api import NotifyError

REQUEST_S: Final = 15.0
"""Longest a call may take, beyond what it asks the server to wait."""
BODY_BYTES_MAX: Final = 2**20
"""Largest answer read: a hundred updates of 4096 characters are 0.8 MB at most."""
RETRY_S: Final = 5.0
"""The pause after a 429 that names none."""
DESCRIPTION_MAX: Final = 200
"""Characters of the server's own words that are kept."""


@attrs.frozen
class BotApi:
    """The methods of one bot at `url`; the token is in no repr and no error."""

    url: str
    token: str = attrs.field(repr=False)

    async def call(
        self, http: httpx2.AsyncClient, method: str, *, wait_s: float = 0.0, **params: Any
    ) -> Any:
        """The `result` of a method. `wait_s` is how long the server was asked to hold the call.

        Raises NotifyError: with `retry_after_s` for a 429, `refused` for what will never be taken
        (400, 403), plain for what may pass (5xx, no connection, a refused token).
        """
        failure = ""
        try:
            with trio.fail_after(REQUEST_S + wait_s):
                status, body = await self._post(http, method, params, wait_s)
        except trio.TooSlowError:
            failure = f"no answer within {REQUEST_S + wait_s:g} s"
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            failure = type(error).__name__
        if failure:  # out of the handler: the cause names the URL
            raise NotifyError(f"{method}: {failure}")
        answer = _object(body)
        if status == httpx2.codes.OK and answer.get("ok") is True:
            return answer.get("result")
        raise self._refusal(method, status, answer)

    async def _post(
        self, http: httpx2.AsyncClient, method: str, params: Mapping[str, Any], wait_s: float
    ) -> tuple[int, bytes]:
        server = httpx2.URL(self.url)
        path = server.raw_path.rstrip(b"/") + f"/bot{self.token}/{method}".encode()
        body = bytearray()
        async with http.stream(
            "POST",
            server.copy_with(raw_path=f"/{method}".encode()),
            json=params,
            timeout=httpx2.Timeout(REQUEST_S + wait_s),
            follow_redirects=False,
            extensions={"target": path},
        ) as answer:
            async for chunk in answer.aiter_bytes():  # to the end, within the caller's deadline
                if len(body) <= BODY_BYTES_MAX:
                    body += chunk
        return answer.status_code, bytes(body[: BODY_BYTES_MAX + 1])

    def _refusal(self, method: str, status: int, answer: Mapping[str, Any]) -> NotifyError:
        described = str(answer.get("description", ""))[:DESCRIPTION_MAX]
        words = described.replace(self.token, "***") or f"HTTP {status} without a description"
        parameters = answer.get("parameters")
        asked: Mapping[str, Any] = parameters if isinstance(parameters, dict) else {}
        moved = asked.get("migrate_to_chat_id")
        if isinstance(moved, int):
            words += f" (the chat's id is {moved} now)"
        reason = f"{method}: {words}"
        if status == httpx2.codes.TOO_MANY_REQUESTS:
            wait: Any = asked.get("retry_after")
            known = isinstance(wait, int) and not isinstance(wait, bool) and wait > 0
            return NotifyError(reason, float(wait) if known else RETRY_S)
        return NotifyError(reason, refused=status in (400, 403))


def _object(body: bytes) -> Mapping[str, Any]:
    """The JSON object of an answer; empty for anything else, which is no `ok` then."""
    if len(body) > BODY_BYTES_MAX:
        return {"description": f"an answer of more than {BODY_BYTES_MAX} bytes"}
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}
