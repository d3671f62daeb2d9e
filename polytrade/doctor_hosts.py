"""Can each host be reached: DNS, TCP, TLS, then an HTTP answer or a WebSocket upgrade.

All hosts are asked at once, each within `HOST_DEADLINE_S`; a failure names the stage it came at.
"""

import math
import ssl
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias
from urllib.parse import urlsplit

import attrs
import httpx2
import trio
import trio_websocket

from polytrade import __version__
from polytrade.config import Config
from polytrade.core.units import MS_NS, SECOND_NS
from polytrade.reference import CODECS

HOST_DEADLINE_S: Final = 8.0
"""Three times a slow DNS answer (5 s resolver retry) would hide a dead host; one fits."""
BODY_BYTES_MAX: Final = 65_536
"""We ask for small things; more than this is not read."""
USER_AGENT: Final = f"polytrade/{__version__}"

_Stream: TypeAlias = trio.SocketStream | trio.SSLStream[trio.SocketStream]

_FIXES: Final = {
    "dns": "check the network and the resolver",
    "tcp": "allow outgoing connections to this port",
    "tls": "check the clock and the CA certificates (SSL_CERT_FILE)",
    "http": "look at the status: 403 and 451 are refusals by location or address",
    "websocket": "the host answers but refuses the upgrade; 403 and 451 are by location",
}


@attrs.frozen
class Row:
    """What was looked at, `ok`, `warn` or `fail`, what was found, how to put it right."""

    what: str
    status: str
    detail: str
    fix: str = ""


@attrs.frozen
class Endpoint:
    """An address the daemon uses; `clock` when it answers with the venue's Unix seconds."""

    name: str
    url: str
    clock: bool = False


@attrs.define
class _Course:
    """How far a probe came, for the message if it goes no further."""

    stage: str = "dns"
    body: str = ""
    asked_ns: int = 0
    answered_ns: int = 0


def endpoints(config: Config, environment: Mapping[str, str]) -> list[Endpoint]:
    """Every address that `config` switches on."""
    feeds = config.feeds
    found = [
        Endpoint("market channel", feeds.market_url),
        Endpoint("clob", feeds.clob_url.rstrip("/") + "/time", clock=True),
        Endpoint("gamma", feeds.gamma_url.rstrip("/") + "/events/keyset?limit=1"),
    ]
    if feeds.rtds_url:
        found.append(Endpoint("rtds", feeds.rtds_url))
    if feeds.polybolt_url and environment.get("POLYTRADE_POLY_API_KEY"):
        found.append(Endpoint("polybolt", feeds.polybolt_url))
    for name, codec in CODECS.items():
        source = getattr(feeds, name)
        if source.enabled:
            found.append(Endpoint(name, source.url or codec(()).default_url))
    return found


def clock_row(course_ns: tuple[int, int], body: str, skew_max_ms: int) -> Row:
    """Our clock against the venue's whole seconds, read between the two times of `course_ns`.

    The venue's second began up to 1 s before, so only what lies outside counts as skew.
    """
    asked_ns, answered_ns = course_ns
    try:
        venue_ns = int(body.strip()) * SECOND_NS
    except ValueError:
        return Row("clock", "warn", f"the venue's time is {body[:40]!r}", "ask again later")
    ahead_ms = max(0, asked_ns - (venue_ns + SECOND_NS)) // MS_NS
    behind_ms = max(0, venue_ns - answered_ns) // MS_NS
    skew_ms = ahead_ms or behind_ms
    detail = f"{skew_ms} ms {'ahead of' if ahead_ms else 'behind'} the venue"
    if not skew_ms:
        return Row("clock", "ok", "agrees with the venue to the second it tells")
    fix = "synchronise the clock (chrony, systemd-timesyncd)"
    return Row("clock", "fail" if skew_ms > skew_max_ms else "warn", detail, fix)


def _proxied(url: str) -> bool:
    """Whether the environment sends `url` through a proxy (HTTP only; sockets go direct)."""
    parts = urlsplit(url)
    return parts.scheme in urllib.request.getproxies() and not urllib.request.proxy_bypass(
        parts.hostname or ""
    )


async def _http(url: str, course: _Course, now_ns: Callable[[], int]) -> None:
    course.stage = "http"
    async with httpx2.AsyncClient(headers={"User-Agent": USER_AGENT}, timeout=None) as client:
        course.asked_ns = now_ns()
        async with client.stream("GET", url) as response:
            body = b""
            async for part in response.aiter_bytes():
                body += part
                if len(body) > BODY_BYTES_MAX:
                    break
            course.answered_ns = now_ns()
    if response.status_code >= 400:
        raise OSError(f"status {response.status_code}")
    course.body = body.decode(errors="replace")


async def _websocket(stream: _Stream, url: str, course: _Course) -> None:
    course.stage = "websocket"
    parts = urlsplit(url)
    resource = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    async with trio.open_nursery() as nursery:
        await trio_websocket.wrap_client_stream(
            nursery,
            stream,
            parts.netloc,
            resource,
            extra_headers=[(b"User-Agent", USER_AGENT.encode())],
        )
        nursery.cancel_scope.cancel("the upgrade is all we wanted")


async def _probe(endpoint: Endpoint, course: _Course, now_ns: Callable[[], int]) -> None:
    parts = urlsplit(endpoint.url)
    secure = parts.scheme in {"https", "wss"}
    socketed = parts.scheme in {"ws", "wss"}
    if not socketed and _proxied(endpoint.url):
        await _http(endpoint.url, course, now_ns)
        return
    host = parts.hostname or ""
    port = parts.port or (443 if secure else 80)
    await trio.socket.getaddrinfo(host, port, type=trio.socket.SOCK_STREAM)
    course.stage = "tcp"
    raw = await trio.open_tcp_stream(host, port)
    stream: _Stream = raw
    async with raw:
        if secure:
            course.stage = "tls"
            context = ssl.create_default_context()
            secured = trio.SSLStream(raw, context, server_hostname=host, https_compatible=True)
            await secured.do_handshake()
            stream = secured
        if socketed:
            await _websocket(stream, endpoint.url, course)
    if not socketed:
        await _http(endpoint.url, course, now_ns)


def _reason(error: BaseException) -> str:
    """The innermost cause in a line."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, trio_websocket.ConnectionRejected):
        return f"status {error.status_code}"
    cause = error.__cause__
    if isinstance(cause, ssl.SSLError):
        error = cause
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return text.splitlines()[0][:160]


async def check_host(endpoint: Endpoint, skew_max_ms: int, now_ns: Callable[[], int]) -> list[Row]:
    """The row of one host, and of the clock where the host tells the time.

    Never raises for what a network does; ends within `HOST_DEADLINE_S`.
    """
    course = _Course()
    parts = urlsplit(endpoint.url)
    what = f"{endpoint.name} {parts.netloc}"
    failure = ""
    began = trio.current_time()
    try:
        with trio.move_on_after(HOST_DEADLINE_S) as scope:
            await _probe(endpoint, course, now_ns)
        if scope.cancelled_caught:
            failure = f"no answer within {HOST_DEADLINE_S:g} s"
    except* (
        OSError,
        trio.BrokenResourceError,
        trio_websocket.HandshakeError,
        trio_websocket.ConnectionClosed,
        httpx2.HTTPError,
        httpx2.InvalidURL,
    ) as group:
        failure = _reason(group)
    if failure:
        return [Row(what, "fail", f"{course.stage}: {failure}", _FIXES[course.stage])]
    spent_ms = math.ceil((trio.current_time() - began) * 1000)
    rows = [Row(what, "ok", f"{course.stage} answers, {spent_ms} ms from DNS on")]
    if endpoint.clock:
        times = (course.asked_ns, course.answered_ns)
        rows.append(clock_row(times, course.body, skew_max_ms))
    return rows


async def check_hosts(
    asked: Sequence[Endpoint], skew_max_ms: int, now_ns: Callable[[], int]
) -> list[Row]:
    """The rows of every host, asked at once, in the order of `asked`."""
    found: dict[int, list[Row]] = {}

    async def ask(index: int, endpoint: Endpoint) -> None:
        found[index] = await check_host(endpoint, skew_max_ms, now_ns)

    async with trio.open_nursery() as nursery:
        for index, endpoint in enumerate(asked):
            nursery.start_soon(ask, index, endpoint, name=f"doctor {endpoint.name}")
    return [row for index in sorted(found) for row in found[index]]
