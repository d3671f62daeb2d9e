"""Gamma over HTTP: events, markets, series, tags and search (protocols 1.1)."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, ParamSpec

import orjson
import trio
from quart import Response, request
from quart_trio import QuartTrio

from polytrade.sandbox.venue.gamma_query import (
    QueryRefused,
    filtered,
    flag,
    keyset_page,
    offset_page,
    whole,
)
from polytrade.sandbox.venue.json_errors import answer_in_json
from polytrade.sandbox.world.gamma_fields import config_objects
from polytrade.sandbox.world.gamma_objects import GammaObjects

if TYPE_CHECKING:
    from polytrade.sandbox.venue.local import LocalVenue

P = ParamSpec("P")

BODY_MAX: Final = 65_536
"""Bytes of a request: Gamma takes none with a body worth mentioning."""
SERIES_MAX: Final = 50
SEARCH_DEFAULT: Final = 5
GARBAGE: Final = b'{"id":"1","slug":\xff<html>'
LEGACY_HEADERS: Final = {"Deprecation": "true", "Sunset": "Thu, 31 Dec 2026 23:59:59 GMT"}
"""Of the listings by offset; the day of the sunset is our guess."""

Obj = dict[str, Any]


class Shelf:
    """Gamma's events and markets as they are answered now, or as they were when it stood still."""

    def __init__(self, venue: "LocalVenue", objects: GammaObjects) -> None:
        self._venue = venue
        self._objects = objects
        self._kept: tuple[list[Obj], list[Obj]] | None = None

    def events(self) -> list[Obj]:
        """Every event with its markets."""
        return self._now()[0]

    def markets(self) -> list[Obj]:
        """Every market with its bare event and its tags."""
        return self._now()[1]

    def series(self) -> dict[str, Obj]:
        """Series by slug, each with its events."""
        found: dict[str, Obj] = {}
        for event in self.events():
            bare = {key: value for key, value in event.items() if key != "series"}
            for series in event.get("series", []):
                found.setdefault(series["slug"], {**series, "events": []})["events"].append(bare)
        return found

    def tags(self) -> dict[str, Obj]:
        """Tags by id."""
        return {tag["id"]: tag for event in self.events() for tag in event["tags"]}

    def _now(self) -> tuple[list[Obj], list[Obj]]:
        stale = self._venue.troubles.gamma_mode() == "stale"
        if stale and self._kept is not None:
            return self._kept
        self._objects.strikes_missing = self._venue.troubles.missing_strike()
        now = self._objects.events(), self._objects.markets()
        self._kept = now if stale else None
        return now


def _json(body: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(
        orjson.dumps(body), status=status, headers=headers, content_type="application/json"
    )


def _missing(what: str) -> Response:
    return _json({"type": "not found error", "error": f"{what} not found"}, 404)


def gamma_app(venue: "LocalVenue") -> QuartTrio:
    """Gamma of a venue, with what is wrong with it now."""
    app = QuartTrio("sandbox.gamma")
    app.config["MAX_CONTENT_LENGTH"] = BODY_MAX
    answer_in_json(app)
    seed = venue.calendar.settings.seed
    shelf = Shelf(venue, GammaObjects(venue.schedule, venue.calendar, venue.exchange, seed))

    def answered(handler: Callable[P, Response]) -> Callable[P, Awaitable[Response]]:
        @wraps(handler)
        async def view(*args: P.args, **kwargs: P.kwargs) -> Response:
            await trio.lowlevel.checkpoint()
            venue.catch_up()
            trouble = _trouble(venue.troubles.gamma_mode())
            if trouble is not None:
                return trouble
            try:
                return handler(*args, **kwargs)
            except QueryRefused as refused:
                return _json({"type": "validation error", "error": str(refused)}, 422)

        return view

    _add_events(app, shelf, answered)
    _add_markets(app, shelf, answered)
    _add_series_and_tags(app, shelf, answered)
    _add_search(app, shelf, answered)

    @app.get("/crypto-market-configs")
    @answered
    def configs() -> Response:
        settings = venue.calendar.settings
        return _json(config_objects(settings.coins, settings.windows))

    return app


def _trouble(mode: str) -> Response | None:
    if mode == "garbage":
        return Response(GARBAGE, content_type="application/json")
    if mode == "404":
        return _missing("object")
    if mode == "500":
        return _json({"type": "internal error", "error": "internal server error"}, 500)
    return None


Answered = Callable[[Callable[..., Response]], Callable[..., Awaitable[Response]]]


def _add_events(app: QuartTrio, shelf: Shelf, answered: Answered) -> None:
    @app.get("/events")
    @answered
    def events() -> Response:
        found = filtered(shelf.events(), request.args, "events")
        page = [_event(event) for event in offset_page(found, request.args)]
        return _json(page, headers=LEGACY_HEADERS)

    @app.get("/events/keyset")
    @answered
    def events_keyset() -> Response:
        found = filtered(shelf.events(), request.args, "events")
        page = keyset_page(found, request.args, "events")
        return _json({**page, "events": [_event(event) for event in page["events"]]})

    @app.get("/events/slug/<slug>")
    @answered
    def event_by_slug(slug: str) -> Response:
        return _one(shelf.events(), "slug", slug, "event")

    @app.get("/events/<number>")
    @answered
    def event(number: str) -> Response:
        return _one(shelf.events(), "id", number, "event")

    @app.get("/events/<number>/tags")
    @answered
    def event_tags(number: str) -> Response:
        return _tags_of(shelf.events(), number, "event")


def _event(event: Obj) -> Obj:
    if flag(request.args, "include_markets") is False:
        return {key: value for key, value in event.items() if key != "markets"}
    return event


def _add_markets(app: QuartTrio, shelf: Shelf, answered: Answered) -> None:
    @app.get("/markets")
    @answered
    def markets() -> Response:
        found = filtered(shelf.markets(), request.args, "markets")
        page = [_market(market) for market in offset_page(found, request.args)]
        return _json(page, headers=LEGACY_HEADERS)

    @app.get("/markets/keyset")
    @answered
    def markets_keyset() -> Response:
        found = filtered(shelf.markets(), request.args, "markets")
        page = keyset_page(found, request.args, "markets")
        return _json({**page, "markets": [_market(market) for market in page["markets"]]})

    @app.get("/markets/slug/<slug>")
    @answered
    def market_by_slug(slug: str) -> Response:
        return _one(shelf.markets(), "slug", slug, "market")

    @app.get("/markets/<number>")
    @answered
    def market(number: str) -> Response:
        return _one(shelf.markets(), "id", number, "market")

    @app.get("/markets/<number>/tags")
    @answered
    def market_tags(number: str) -> Response:
        return _tags_of(shelf.markets(), number, "market")


def _market(market: Obj) -> Obj:
    """A market as answered: with its tags only when they are asked for."""
    if flag(request.args, "include_tag"):
        return market
    return {key: value for key, value in market.items() if key != "tags"}


def _one(found: list[Obj], key: str, wanted: str, what: str) -> Response:
    for obj in found:
        if obj[key] == wanted:
            return _json(_market(obj) if what == "market" else obj)
    return _missing(what)


def _tags_of(found: list[Obj], number: str, what: str) -> Response:
    for obj in found:
        if obj["id"] == number:
            return _json(obj["tags"])
    return _missing(what)


def _add_series_and_tags(app: QuartTrio, shelf: Shelf, answered: Answered) -> None:
    @app.get("/series")
    @answered
    def series() -> Response:
        args = request.args
        found = list(shelf.series().values())
        if wanted := args.getlist("slug"):
            found = [each for each in found if each["slug"] in wanted]
        if recurrence := args.get("recurrence"):
            found = [each for each in found if each["recurrence"] == recurrence]
        offset, limit = whole(args, "offset", 0), min(whole(args, "limit", 20), SERIES_MAX)
        page = found[offset : offset + limit]
        if flag(args, "exclude_events"):
            page = [{key: value for key, value in x.items() if key != "events"} for x in page]
        return _json(page)

    @app.get("/series/<number>")
    @answered
    def one_series(number: str) -> Response:
        return _one(list(shelf.series().values()), "id", number, "series")

    @app.get("/tags")
    @answered
    def tags() -> Response:
        return _json(offset_page(list(shelf.tags().values()), request.args))

    @app.get("/tags/<number>")
    @answered
    def tag(number: str) -> Response:
        return _one(list(shelf.tags().values()), "id", number, "tag")

    @app.get("/tags/slug/<slug>")
    @answered
    def tag_by_slug(slug: str) -> Response:
        return _one(list(shelf.tags().values()), "slug", slug, "tag")


def _add_search(app: QuartTrio, shelf: Shelf, answered: Answered) -> None:
    @app.get("/public-search")
    @answered
    def search() -> Response:
        """Events whose title or slug holds every word; profiles are never found."""
        args = request.args
        words = (args.get("q") or "").lower().split()
        if not words:
            raise QueryRefused("q: expected words to search for")
        status = args.get("events_status")
        found = [
            event
            for event in shelf.events()
            if all(word in f"{event['title']} {event['slug']}".lower() for word in words)
            and (status is None or event["closed"] is (status != "active"))
        ]
        limit = max(1, min(whole(args, "limit_per_type", SEARCH_DEFAULT), SERIES_MAX))
        start = (max(1, whole(args, "page", 1)) - 1) * limit
        page = found[start : start + limit]
        more = start + limit < len(found)
        return _json(
            {
                "events": page or None,
                "tags": None,
                "profiles": None,
                "pagination": {"hasMore": more, "totalResults": len(found)},
            }
        )
