"""GET over HTTP with every bound in its place; what can go wrong is one typed error.

Shared by the CLOB and the Gamma client. Nothing is retried here: callers know what may wait.
"""

import json
from typing import Final, Literal
from urllib.parse import urlencode

import httpx2
import trio

from polytrade import __version__
from polytrade.runtime.hosts import HostTable
from polytrade.runtime.inbox import Clock
from polytrade.runtime.supervise import retry_after_s

REQUEST_S: Final = 10.0
"""Longest a request may take with its body: the official client's read limit (protocols 0.2)."""
BODY_BYTES_MAX: Final = 8 * 2**20
"""Largest body kept: an event with a thousand embedded markets at 5 KB each is 5 MB."""
REQUESTS_AT_ONCE: Final = 4
"""Requests in flight to one host: far below its limits (protocols 2.7), enough for a round."""
SAMPLE_MAX: Final = 120
"""Characters of an error body that are kept."""

Kind = Literal[
    "unreachable", "too_slow", "not_found", "restarting", "rate_limited", "unavailable",
    "refused", "too_large", "garbage",
]  # fmt: skip
KINDS: Final[dict[int, Kind]] = {
    404: "not_found",
    425: "restarting",
    429: "rate_limited",
}


class RestError(Exception):
    """A GET that gave no answer to use: `kind` says which way, `reason` in words.

    `status` is 0 when no HTTP answer came; `retry_after_s` is what the venue asked for, else 0.
    """

    def __init__(
        self, host: str, kind: Kind, reason: str, status: int = 0, retry_after_s: float = 0.0
    ) -> None:
        super().__init__(host, kind, reason)
        self.host = host
        self.kind: Kind = kind
        self.reason = reason
        self.status = status
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        return f"{self.host}: {self.kind}: {self.reason}"


def new_client(transport: httpx2.AsyncBaseTransport | None = None) -> httpx2.AsyncClient:
    """The HTTP client of the daemon: own user agent, no redirects; close it with `async with`."""
    return httpx2.AsyncClient(
        transport=transport,
        headers={"User-Agent": f"polytrade/{__version__}", "Accept": "application/json"},
        timeout=httpx2.Timeout(REQUEST_S),
        limits=httpx2.Limits(max_connections=4 * REQUESTS_AT_ONCE),
    )


class Rest:
    """GETs from one host, at most `REQUESTS_AT_ONCE` at a time; keeps the host's row."""

    def __init__(
        self,
        url: str,
        *,
        client: httpx2.AsyncClient,
        hosts: HostTable,
        clock: Clock,
        error: type[RestError] = RestError,
    ) -> None:
        self.url = url.rstrip("/")
        self.host = hosts.name(url)
        self._client = client
        self._hosts = hosts
        self._clock = clock
        self._error = error
        self._limiter = trio.CapacityLimiter(REQUESTS_AT_ONCE)

    async def get(self, path: str, **params: str) -> str:
        """The body of a 200 answer as text; raises the RestError class this client was given."""
        url = f"{self.url}{path}" + (f"?{urlencode(params)}" if params else "")
        async with self._limiter:
            try:
                with trio.fail_after(REQUEST_S):
                    return await self._fetch(url)
            except (trio.TooSlowError, httpx2.TimeoutException):
                error = self._error(self.host, "too_slow", f"no answer within {REQUEST_S:g} s")
            except httpx2.HTTPError as failure:
                reason = f"{type(failure).__name__}: {failure}"
                error = self._error(self.host, "unreachable", reason)
        self._hosts.failed(self.host, error.reason)
        raise error

    async def _fetch(self, url: str) -> str:
        async with self._client.stream("GET", url) as answer:
            body = bytearray()
            size = 0
            # Read to the end, for at most REQUEST_S: leaving would drop httpx2's generators.
            async for chunk in answer.aiter_bytes():
                size += len(chunk)
                if size <= BODY_BYTES_MAX:
                    body += chunk
        self._hosts.reached(self.host)
        if size > BODY_BYTES_MAX:
            reason = f"expected at most {BODY_BYTES_MAX} bytes, found {size}"
            raise self._error(self.host, "too_large", reason, answer.status_code)
        if answer.status_code != httpx2.codes.OK:
            raise self._refused(answer, bytes(body))
        try:
            return body.decode()
        except UnicodeDecodeError as error:
            raise self.garbage(f"expected UTF-8, {error.reason} at {error.start}") from None

    def garbage(self, reason: str) -> RestError:
        """The error of a 200 answer that cannot be read."""
        return self._error(self.host, "garbage", reason, httpx2.codes.OK)

    def _refused(self, answer: httpx2.Response, body: bytes) -> RestError:
        status = answer.status_code
        kind = KINDS.get(status) or ("unavailable" if status >= 500 else "refused")
        wait_s = retry_after_s(answer.headers.get("Retry-After", ""), self._clock.now_ns())
        text = body[:SAMPLE_MAX].decode(errors="replace")
        return self._error(
            self.host, kind, f"HTTP {status} {text}".strip(), status, wait_s or _asked_s(body)
        )


def _asked_s(body: bytes) -> float:
    """`retry_after_seconds` of an error body (protocols 2.6), 0 without one."""
    try:
        asked = json.loads(body)["retry_after_seconds"]
    except (ValueError, KeyError, TypeError):
        return 0.0
    return max(0.0, float(asked)) if isinstance(asked, int) else 0.0
