"""What the local venue answers over HTTP: CLOB, Gamma, and its own admin page."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, Final, ParamSpec, TypeVar

import orjson
import trio
from quart import Response, request
from quart_trio import QuartTrio

from polytrade.core.units import SECOND_NS
from polytrade.sandbox.connection import Connection
from polytrade.sandbox.faults import FaultRefused, parse_fault
from polytrade.sandbox.playback.listings import PAGE_DEFAULT, Listings, Obj
from polytrade.sandbox.playback.venue import Venue

P = ParamSpec("P")
R = TypeVar("R")

BODY_MAX: Final = 65_536
"""Bytes of a request: five hundred token ids are 40,000."""
BOOKS_MAX: Final = 500
"""Books one POST may ask for (protocols 2.1)."""


def _json(body: object, status: int = 200) -> Response:
    return Response(orjson.dumps(body), status=status, content_type="application/json")


def _app(name: str) -> QuartTrio:
    app = QuartTrio(name)
    app.config["MAX_CONTENT_LENGTH"] = BODY_MAX
    return app


def answered(handler: Callable[P, R]) -> Callable[P, Awaitable[R]]:
    """A view of a handler that waits for nothing: it yields to the loop once, then answers."""

    @wraps(handler)
    async def view(*args: P.args, **kwargs: P.kwargs) -> R:
        await trio.lowlevel.checkpoint()
        return handler(*args, **kwargs)

    return view


def clob_app(venue: Venue) -> QuartTrio:
    """The CLOB's public endpoints (protocols 2.1), from the tracked books."""
    app = _app("sandbox.clob")

    @app.get("/ok")
    @answered
    def ok() -> Response:
        return _json("OK")

    @app.get("/version")
    @answered
    def version() -> Response:
        return _json({"version": 2})

    @app.get("/time")
    @answered
    def now() -> Response:
        seconds = venue.now_ns() / SECOND_NS + venue.skew_ms / 1000
        return _json(int(seconds))

    @app.get("/book")
    @answered
    def book() -> Response:
        token = request.args.get("token_id", "")
        if not token.isdigit():
            return _json({"error": "Invalid token id"}, 400)
        text = venue.rest_book(token)
        if text is None:
            return _json({"error": "No orderbook exists for the requested token id"}, 404)
        return Response(text, content_type="application/json")

    @app.post("/books")
    async def books() -> Response:
        wanted = await request.get_json(force=True, silent=True)
        if not isinstance(wanted, list):
            return _json({"error": "Invalid payload"}, 400)
        if len(wanted) > BOOKS_MAX:
            return _json({"error": "Payload exceeds the limit"}, 400)
        tokens = [str(item.get("token_id")) for item in wanted if isinstance(item, dict)]
        texts = [text for text in map(venue.rest_book, tokens) if text is not None]
        return Response(f"[{','.join(texts)}]", content_type="application/json")

    return app


def gamma_app(venue: Venue) -> QuartTrio:
    """Gamma's discovery endpoints (protocols 1.1), as of the playback time."""
    app = _app("sandbox.gamma")

    @app.before_request
    @answered
    def fault() -> Response | None:
        if not venue.gamma_mode or venue.gamma_until <= trio.current_time():
            return None
        if venue.gamma_mode == "garbage":
            return Response(b'{"id":"1","slug":\xff<html>', content_type="application/json")
        if venue.gamma_mode == "404":
            return _json({"type": "not found error", "error": "event not found"}, 404)
        return _json({"error": "internal server error"}, 500)

    @app.get("/events/slug/<slug>")
    @answered
    def event(slug: str) -> Response:
        return _single(venue.listings.events.get(slug))

    @app.get("/markets/slug/<slug>")
    @answered
    def market(slug: str) -> Response:
        return _single(venue.listings.markets.get(slug))

    @app.get("/events")
    @answered
    def events() -> Response:
        return _json(_limited(_filtered(venue.listings, "events")))

    @app.get("/markets")
    @answered
    def markets() -> Response:
        return _json(_limited(_filtered(venue.listings, "markets")))

    @app.get("/events/keyset")
    @answered
    def events_keyset() -> Response:
        return _keyset(venue.listings, "events")

    @app.get("/markets/keyset")
    @answered
    def markets_keyset() -> Response:
        return _keyset(venue.listings, "markets")

    @app.get("/series")
    @answered
    def series() -> Response:
        return _json(venue.listings.series(request.args.get("slug", "")))

    return app


def _single(obj: Obj | None) -> Response:
    if obj is None:
        return _json({"type": "not found error", "error": "slug not found"}, 404)
    return _json(obj)


def _filtered(listings: Listings, kind: str) -> list[Obj]:
    args = request.args
    series = args.get("series_slug") or args.get("series_id")
    return listings.page(kind, args.get("closed"), args.getlist("slug"), series)


def _limit() -> int:
    text = request.args.get("limit", "")
    return int(text) if text.isdigit() else PAGE_DEFAULT


def _limited(found: list[Obj]) -> list[Obj]:
    return found[: max(1, _limit())]


def _keyset(listings: Listings, kind: str) -> Response:
    if "offset" in request.args:
        return _json({"type": "validation error", "error": "offset is not supported"}, 422)
    found = _filtered(listings, kind)
    return _json(listings.keyset(kind, found, _limit(), request.args.get("after_cursor", "")))


def admin_app(venue: Venue) -> QuartTrio:
    """The venue's own page: status, begin, faults."""
    app = _app("sandbox.admin")

    @app.get("/admin/status")
    @answered
    def status() -> Response:
        return _json(venue_status(venue))

    @app.post("/admin/begin")
    @answered
    def begin() -> Response:
        venue.begin.set()
        return _json({"begun": True})

    @app.post("/admin/fault")
    async def fault() -> Response:
        body = await request.get_json(force=True, silent=True)
        try:
            order = parse_fault(body)
            touched = venue.apply_fault(order)
        except FaultRefused as refused:
            return _json(refused.answer(), 400)
        return _json({"kind": order.kind, "connections": touched})

    return app


def venue_status(venue: Venue) -> dict[str, Any]:
    """Where playback is and what was sent to whom: what a test compares its own counts with.

    `messages` counts each played message once, by source and type; a connection's `messages` what
    was put on that connection. `done` means played to the end and everything handed to the sockets.
    """
    timeline, shift = venue.timeline, venue.shift
    live = [c for endpoint in venue.endpoints.values() for c in endpoint.connections.values()]
    gone = [c for endpoint in venue.endpoints.values() for c in endpoint.closed]
    return {
        "begun": venue.begun,
        "done": venue.done and all(connection.drained for connection in live),
        "round": shift.round_index,
        "shift_s": shift.delta_s,
        "speed": venue.options.speed,
        "position_s": (venue.position_ns - timeline.first_ns) / SECOND_NS,
        "length_s": timeline.length_ns / SECOND_NS,
        "fast_forwarded": venue.fast_forwarded,
        "total": dict(timeline.frames),
        "frames": dict(venue.played),
        "messages": {source: dict(counts) for source, counts in venue.messages.items()},
        "skipped": dict(timeline.skipped),
        "hashes": dict(venue.tracker.counts),
        "subscribed_assets": sorted(venue.subscribed_assets()),
        "slugs": served_slugs(venue),
        "faults": dict(venue.faults),
        "connections": [_row(connection) for connection in (*live, *gone)],
    }


def served_slugs(venue: Venue) -> list[str]:
    """The captures' Gamma slugs as they are served now."""
    return [venue.shift.slug(slug) for slug in venue.timeline.slugs]


def _row(connection: Connection) -> dict[str, Any]:
    return {
        "id": connection.number,
        "endpoint": connection.endpoint,
        "open": connection.open,
        "closed_because": connection.closed_because,
        "frames": connection.frames,
        "messages": dict(connection.messages),
        "extra": dict(connection.extra),
        "lost": dict(connection.lost),
        "waiting": connection.waiting,
        "subscriptions": len(connection.dialect.subscriptions),
    }
