"""The venue's own REST: its status, the faucet, faults, scenarios, decisions. Loopback only."""

import re
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

import orjson
import trio
from quart import Response, request
from quart_trio import QuartTrio

from polytrade.core.units import ONE_E6, parse_scaled
from polytrade.errors import ConfigError
from polytrade.sandbox.faults import FaultRefused, parse_fault
from polytrade.sandbox.venue.options import FAUCET_MAX
from polytrade.sandbox.venue.scenario import FILE_BYTES_MAX, parse_scenario
from polytrade.sandbox.venue.status_page import book_of, page, status

if TYPE_CHECKING:
    from polytrade.sandbox.venue.local import LocalVenue

P = ParamSpec("P")
R = TypeVar("R")

LOOPBACK: Final = ("localhost", "127.0.0.1", "[::1]")
"""Names a browser may have asked for: another one came to us by a rebound DNS entry."""
JSON: Final = "application/json"
TOML: Final = "application/toml"
WALLET: Final = re.compile(r"0x[0-9a-fA-F]{40}")
SAFETY: Final = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
        "connect-src 'self'; img-src data:"
    ),
}


class _Wrong(Exception):
    """A request that cannot be done: the text of a 400."""


def admin_app(venue: "LocalVenue") -> QuartTrio:
    """The app of the endpoint `admin`.

    Answers only who asks for a loopback name, and takes only bodies that say they are JSON (TOML
    for a scenario): a web page elsewhere can send neither without our leave.
    """
    app = QuartTrio("sandbox.admin")
    app.config["MAX_CONTENT_LENGTH"] = FILE_BYTES_MAX
    started_ns = venue.schedule.now_ns

    @app.before_request
    @_answered
    def guard() -> Response | None:
        if request.host.rpartition(":")[0] not in LOOPBACK and request.host not in LOOPBACK:
            return _json({"error": f"expected a loopback name, found {request.host!r}"}, 403)
        wanted = TOML if request.path == "/admin/scenario" else JSON
        if request.method == "POST" and request.mimetype != wanted:
            return _json({"error": f"expected a body of {wanted}, found {request.mimetype!r}"}, 415)
        venue.catch_up()
        return None

    @app.after_request
    @_answered
    def protect(response: Response) -> Response:
        response.headers.update(SAFETY)
        return response

    @app.get("/")
    @_answered
    def home() -> Response:
        return Response(page(), content_type="text/html; charset=utf-8")

    @app.get("/admin/status")
    @_answered
    def show_status() -> Response:
        return _json(status(venue, started_ns))

    @app.get("/admin/book")
    @_answered
    def show_book() -> Response:
        slug = request.args.get("slug", "")
        book = book_of(venue, slug)
        return _json(book) if book else _json({"error": f"no market {slug!r}"}, 404)

    _add_orders(app, venue)
    return app


def _add_orders(app: QuartTrio, venue: "LocalVenue") -> None:
    """What changes the venue."""

    @app.post("/admin/fault")
    async def fault() -> Response:
        body = _parsed(await _body())
        try:
            order = parse_fault(body, playback=False)
            touched = venue.troubles.apply(order, venue)
        except FaultRefused as refused:
            return _json(refused.answer(), 400)
        return _json({"kind": order.kind, "connections": touched})

    @app.post("/admin/fund")
    async def fund() -> Response:
        try:
            wallet, cash_e6 = _funding(_fields(await _body(), "wallet", "amount"))
        except _Wrong as wrong:
            return _json({"error": str(wrong)}, 400)
        venue.bank.fund(wallet, cash_e6)
        return _json({"wallet": wallet, "cash_e6": venue.bank.cash_e6(wallet)})

    @app.post("/admin/scenario")
    async def scenario() -> Response:
        try:
            steps = parse_scenario(await _body())
        except ConfigError as error:
            return _json({"error": "not a scenario", "problems": str(error).splitlines()}, 400)
        venue.play(steps)
        return _json({"steps": len(steps)})

    @app.post("/admin/resolve")
    async def resolve() -> Response:
        try:
            slug, winner = _decision(_fields(await _body(), "slug", "winner"))
        except _Wrong as wrong:
            return _json({"error": str(wrong)}, 400)
        if not venue.calendar.resolve_now(slug, winner):
            text = f"slug: expected an open market that is not about a price, found {slug!r}"
            return _json({"error": text}, 400)
        return _json({"slug": slug, "winner": winner})


def _json(body: object, status_code: int = 200) -> Response:
    return Response(orjson.dumps(body), status=status_code, content_type=JSON)


def _answered(handler: Callable[P, R]) -> Callable[P, Awaitable[R]]:
    """A view of a handler that waits for nothing: it yields to the loop once, then answers."""

    @wraps(handler)
    async def view(*args: P.args, **kwargs: P.kwargs) -> R:
        await trio.lowlevel.checkpoint()
        return handler(*args, **kwargs)

    return view


async def _body() -> bytes:
    data = await request.get_data(as_text=False)
    return data if isinstance(data, bytes) else data.encode()


def _parsed(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return None


def _fields(data: bytes, *names: str) -> tuple[object, ...]:
    """Exactly these fields of a JSON object; raises _Wrong."""
    body = _parsed(data)
    if not isinstance(body, dict) or set(body) != set(names):
        raise _Wrong(f"expected a JSON object with {' and '.join(names)}")
    return tuple(body[name] for name in names)


def _funding(fields: tuple[object, ...]) -> tuple[str, int]:
    """The wallet in lower case and the money; raises _Wrong."""
    wallet, amount = fields
    if not isinstance(wallet, str) or WALLET.fullmatch(wallet) is None:
        raise _Wrong(f"wallet: expected an address, 0x and 40 hex digits, found {wallet!r}")
    expected = f"amount: expected pUSD from 0.000001 to {FAUCET_MAX}, found {amount!r}"
    if isinstance(amount, bool) or not isinstance(amount, int | str):
        raise _Wrong(expected + "; write decimals as text")
    try:
        cash_e6 = parse_scaled(str(amount), 6)
    except ValueError as error:
        raise _Wrong(expected) from error
    if not 0 < cash_e6 <= FAUCET_MAX * ONE_E6:
        raise _Wrong(expected)
    return wallet.lower(), cash_e6


def _decision(fields: tuple[object, ...]) -> tuple[str, int]:
    slug, winner = fields
    if not isinstance(slug, str):
        raise _Wrong(f"slug: expected text, found {slug!r}")
    if type(winner) is not int or winner not in (0, 1, 2):
        raise _Wrong(f"winner: expected 0, 1, or 2 for fifty-fifty, found {winner!r}")
    return slug, winner
