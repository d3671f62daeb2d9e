"""Gamma's objects as a capture saw them: the newest of each as of the playback time."""

from collections.abc import Iterator
from typing import Any, Final

import orjson

from polytrade.sandbox.playback.shift import Names, Shift

PAGE_DEFAULT: Final = 20
PAGE_MAX: Final = 100
"""Gamma clamps larger pages to this (protocols 1.1)."""
SLUGS_MAX: Final = 20_000
"""Objects kept: a day of 5-minute windows of eight coins is 2,304."""

Obj = dict[str, Any]


def gamma_objects(body: str | bytes) -> Iterator[Obj]:
    """Every event or market object in an answer of Gamma; nothing for what is not JSON."""
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        return
    if isinstance(data, dict) and "slug" not in data:
        data = data.get("events") or data.get("markets")
    for item in data if isinstance(data, list) else [data]:
        if isinstance(item, dict) and isinstance(item.get("slug"), str):
            yield item


def markets_of(obj: Obj) -> list[Obj]:
    """The markets of an event, or the market itself."""
    if "conditionId" in obj:
        return [obj]
    markets = obj.get("markets")
    return [m for m in markets if isinstance(m, dict)] if isinstance(markets, list) else []


def token_ids(market: Obj) -> list[str]:
    """The outcome tokens by outcome index; protocol v2 markets carry them as `positionIds`."""
    ids = market.get("positionIds" if market.get("version") == "v2" else "clobTokenIds")
    if isinstance(ids, str):
        try:
            ids = orjson.loads(ids)
        except orjson.JSONDecodeError:
            return []
    return [str(item) for item in ids] if isinstance(ids, list) else []


def learn_names(names: Names, obj: Obj) -> None:
    """Tell `names` what the markets of a Gamma object are called."""
    for market in markets_of(obj):
        condition, slug = market.get("conditionId"), market.get("slug")
        if isinstance(condition, str) and isinstance(slug, str):
            ids = [item["id"] for item in (market, obj) if isinstance(item.get("id"), str)]
            names.add(condition, slug, token_ids(market), ids)


class Listings:
    """What Gamma answers. `events` and `markets` are by served slug."""

    def __init__(self) -> None:
        self.events: dict[str, Obj] = {}
        self.markets: dict[str, Obj] = {}

    def apply(self, obj: Obj, shift: Shift) -> None:
        """Take a captured object; it replaces the older one of its slug."""
        if len(self.events) >= SLUGS_MAX:
            oldest = next(iter(self.events))
            del self.events[oldest]
            self.markets.pop(oldest, None)
        served = shift.gamma_object(obj)
        if "conditionId" in served:
            self._take_market(served)
            return
        self.events[served["slug"]] = served
        parent = {key: value for key, value in served.items() if key != "markets"}
        for market in markets_of(served):
            if isinstance(market.get("slug"), str):
                self.markets[market["slug"]] = {**market, "events": [parent]}

    def _take_market(self, market: Obj) -> None:
        slug = market["slug"]
        self.markets[slug] = market
        nested = market.get("events")
        parent = nested[0] if isinstance(nested, list) and nested else {}
        bare = {key: value for key, value in market.items() if key != "events"}
        event: Obj = {
            "id": market.get("id", ""),
            "slug": slug,
            "title": market.get("question", ""),
            "startTime": market.get("eventStartTime"),
            "endDate": market.get("endDate"),
            "active": market.get("active", True),
            "closed": market.get("closed", False),
            **parent,
            "markets": [bare],
        }
        self.events[event["slug"]] = event

    def page(
        self, kind: str, closed: str | None, slugs: list[str], series: str | None
    ) -> list[Obj]:
        """Objects of `events` or `markets` in listing order, after Gamma's filters.

        `closed` defaults to false as Gamma's does: a resolved market is not shown unless asked.
        """
        table = self.events if kind == "events" else self.markets
        wanted = closed == "true"
        return [
            obj
            for slug, obj in table.items()
            if bool(obj.get("closed")) is wanted
            and (not slugs or slug in slugs)
            and (series is None or _in_series(obj, series))
        ]

    def keyset(self, kind: str, found: list[Obj], limit: int, cursor: str) -> Obj:
        """A page of at most `limit` objects after `cursor`; `next_cursor` only when more follow."""
        start = int(cursor) if cursor.isdigit() else 0
        end = start + max(1, min(limit, PAGE_MAX))
        page: Obj = {kind: found[start:end]}
        if end < len(found):
            page["next_cursor"] = str(end)
        return page

    def series(self, slug: str) -> list[Obj]:
        """The series of that slug with its open events, as `/series?slug=` answers."""
        events = [event for event in self.events.values() if _in_series(event, slug)]
        for event in events:
            for series in event.get("series", []):
                if series.get("slug") == slug:
                    bare = [{k: v for k, v in item.items() if k != "series"} for item in events]
                    return [{**series, "events": bare}]
        return []


def _in_series(obj: Obj, wanted: str) -> bool:
    series = obj.get("series")
    if obj.get("seriesSlug") == wanted:
        return True
    return isinstance(series, list) and any(
        isinstance(item, dict) and wanted in (item.get("slug"), item.get("id")) for item in series
    )
