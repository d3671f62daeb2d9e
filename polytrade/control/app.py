"""The control plane's application: one instance a start, limits around every request.

A request may take so long and be so large, so many run at once, and everything that is refused is
refused as JSON. Handlers own no work: they read a snapshot, or send a command and wait for its
reply, because a client that disconnects cancels its handler.
"""

from collections.abc import Callable
from typing import Any, Final

import structlog
import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, Scope
from quart import Response, request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException, MethodNotAllowed, RequestEntityTooLarge

from polytrade.config import Control
from polytrade.control.auth import check_bind, host_fits, origin_fits, token_fits
from polytrade.control.errors import Fault, FaultError
from polytrade.control.reload_routes import add_reloads
from polytrade.control.routes import add_commands, add_reads, add_reports
from polytrade.runtime.command_requests import Commands
from polytrade.runtime.status import DaemonStatus

READS_MAX: Final = 8
"""Reads at once: each takes about 1 ms of the loop (limits 5), so a burst holds it 8 ms at most."""
COMMANDS_MAX: Final = 4
"""Commands at once; apart from the reads, so that waiting commands never hide `/health`."""
RELOADS_MAX: Final = 4
"""Reloads waiting for their answer at once."""
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
HEADERS: Final = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))
"""On every answer: states and prices are never to be kept or guessed at."""

log = structlog.get_logger()


class ControlApp(QuartTrio):
    """The application behind its limits; made by `create_app`, served once."""

    def __init__(self, config: Control) -> None:
        super().__init__(__name__, static_folder=None)
        self.served = False
        self._limit_s = config.request_limit_s
        self._running = {"reads": 0, "commands": 0, "reloads": 0}
        # Werkzeug enforces the size also when no Content-Length announces it. Quart's own times
        # are switched off: the limit below covers body, handler and response together.
        self.config.update(
            MAX_CONTENT_LENGTH=config.max_body_bytes,
            BODY_TIMEOUT=None,
            RESPONSE_TIMEOUT=None,
            PROVIDE_AUTOMATIC_OPTIONS=True,
        )

    async def asgi_app(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        """One connection's request, in its turn and within its time."""
        if scope["type"] != "http":
            await super().asgi_app(scope, receive, send)
            return
        kind, most = _budget_of(scope["method"], scope["path"])
        if self._running[kind] >= most:
            await _send_fault(
                send,
                Fault(
                    status=503,
                    code="busy",
                    message=f"{most} {kind} are being answered already",
                    headers=(("Retry-After", "1"),),
                ),
            )
            return
        self._running[kind] += 1
        try:
            await self._within_limit(scope, receive, send)
        finally:
            self._running[kind] -= 1

    async def _within_limit(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        begun = False

        async def watched(message: Any) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                message["headers"] = [*message["headers"], *HEADERS]
            await send(message)

        with trio.move_on_after(self._limit_s) as limit:
            await super().asgi_app(scope, receive, watched)
        if limit.cancelled_caught and not begun:
            await _send_fault(
                send,
                Fault(
                    status=504,
                    code="timeout",
                    message=f"no answer within {self._limit_s:g} s; a sent command goes on",
                ),
            )


def create_app(
    read: Callable[[], DaemonStatus], commands: Commands, config: Control, token: str | None
) -> ControlApp:
    """A new application; `read` gives a snapshot at once, `commands` reach the daemon.

    ConfigError when the address is not loopback and there is no token.
    """
    check_bind(config, token)
    app = ControlApp(config)

    @app.before_request
    async def admit() -> None:
        await trio.lowlevel.checkpoint()  # ticks that wait go first
        fault = _inadmissible(config, token)
        if fault is not None:
            raise FaultError(fault)

    _add_refusals(app, config)
    add_reads(app, read)
    add_reports(app, commands.reports)
    add_commands(app, commands)
    add_reloads(app, commands.reloads)
    return app


def _inadmissible(config: Control, token: str | None) -> Fault | None:
    """Why the present request may not be handled, None when it may."""
    command = request.method not in SAFE
    if token is not None:
        if command and not token_fits(token, request.headers.get("Authorization", "")):
            return Fault(
                status=401,
                code="unauthorized",
                message="expected the bearer token in the Authorization header",
                field="Authorization",
                allowed="Bearer <token>",
                headers=(("WWW-Authenticate", "Bearer"),),
            )
        return None
    if not host_fits(config, request.host):
        return Fault(
            status=403,
            code="wrong_host",
            message=f"this control plane is not {request.host}",
            field="Host",
            allowed="a loopback name or address",
        )
    if command and not origin_fits(request.headers.get("Origin"), request.host):
        return Fault(
            status=403,
            code="cross_origin",
            message="commands are not taken from other web pages",
            field="Origin",
        )
    return None


def _add_refusals(app: ControlApp, config: Control) -> None:
    @app.errorhandler(FaultError)
    async def refused(error: FaultError) -> Response:
        return await _refuse(error.fault)

    @app.errorhandler(HTTPException)
    async def http(error: HTTPException) -> Response:
        return await _refuse(_http_fault(error, config))

    @app.errorhandler(Exception)
    async def crashed(error: Exception) -> Response:
        log.error("control.crashed", path=request.path, error=f"{type(error).__name__}: {error}")
        return await _refuse(
            Fault(status=500, code="internal", message="the request failed; the log says why")
        )


def _http_fault(error: HTTPException, config: Control) -> Fault:
    status = error.code or 500
    if isinstance(error, MethodNotAllowed):
        methods = ", ".join(sorted(error.valid_methods or ()))
        return Fault(
            status=status,
            code="method_not_allowed",
            message=f"{request.path} does not take {request.method}",
            field="method",
            allowed=methods,
            headers=(("Allow", methods),),
        )
    if isinstance(error, RequestEntityTooLarge):
        return Fault(
            status=status,
            code="body_too_large",
            message=f"expected at most {config.max_body_bytes} bytes of body, found more",
            allowed=f"{config.max_body_bytes} bytes",
        )
    if status == 404:
        return Fault(
            status=status,
            code="not_found",
            message=f"there is no {request.path}",
            allowed="GET / lists what there is",
        )
    return Fault(status=status, code=error.name.lower().replace(" ", "_"), message=error.name)


async def _refuse(fault: Fault) -> Response:
    await trio.lowlevel.checkpoint()  # ticks that wait go first
    response = Response(fault.body(), fault.status, content_type="application/json")
    response.headers.extend(fault.headers)
    return response


async def _send_fault(send: ASGISendCallable, fault: Fault) -> None:
    """A refusal outside of Quart; bounded, because the client may be the one that is slow."""
    body = fault.body()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        *HEADERS,
        *((name.lower().encode(), value.encode()) for name, value in fault.headers),
    ]
    with trio.move_on_after(1):
        await send({"type": "http.response.start", "status": fault.status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})


def _budget_of(method: str, path: str) -> tuple[str, int]:
    """Reloads take seconds: they may not keep a pause or a flatten waiting."""
    if method in SAFE:
        return "reads", READS_MAX
    if path.startswith(("/control/reload_", "/plugins/")):
        return "reloads", RELOADS_MAX
    return "commands", COMMANDS_MAX
