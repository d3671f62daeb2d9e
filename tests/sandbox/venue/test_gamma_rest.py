"""Gamma over HTTP: the daemon's requests, the official client's, and what is refused."""

import json
from typing import Any

import pytest
from polymarket._internal.actions.gamma import (
    get_series_spec,
    get_tag_spec,
    list_events_spec,
    list_markets_spec,
    list_series_spec,
    list_tags_spec,
    search_spec,
)
from polymarket.models.gamma.event import Event

from polytrade.core.units import SECOND_NS
from polytrade.sandbox.venue.gamma_rest import gamma_app
from tests.sandbox.world.test_gamma_objects import START_S, World


class Troubles:
    """Gamma's troubles, set by hand."""

    mode = ""
    strike = False

    def gamma_mode(self) -> str:
        return self.mode

    def missing_strike(self) -> bool:
        return self.strike


class Venue:
    """As much of a venue as Gamma needs."""

    def __init__(self) -> None:
        self.world = World(windows_ahead=3)
        self.troubles = Troubles()
        self.schedule, self.calendar = self.world.schedule, self.world.calendar
        self.exchange = self.world.exchange
        self.now_s = START_S
        app: Any = gamma_app(self)  # type: ignore[arg-type]
        self.client = app.test_client()

    def catch_up(self) -> None:
        self.world.until(self.now_s)

    async def get(self, path: str, status: int = 200, **params: Any) -> Any:
        answer = await self.client.get(path, query_string=params)
        assert answer.status_code == status, await answer.get_data()
        return json.loads(await answer.get_data())

    async def page(self, spec: Any, cursor: str | None = None) -> Any:
        """A page of the official client's, parsed by it."""
        params = dict(spec.base_params or {})
        if cursor is not None:
            params["after_cursor"] = cursor
        flat = {k: (str(v).lower() if isinstance(v, bool) else v) for k, v in params.items()}
        return spec.parse_page(await self.get(spec.path, **flat))

    def running(self, window: str = "5m") -> Any:
        return self.world.running(window)


@pytest.fixture
def venue() -> Venue:
    return Venue()


async def test_the_daemons_requests_are_answered(venue: Venue) -> None:
    listing = venue.running()
    event = await venue.get(f"/events/slug/{listing.slug}")
    assert event["markets"][0]["conditionId"] == listing.rules.condition
    market = await venue.get(f"/markets/slug/{listing.slug}")
    assert market["id"] == event["markets"][0]["id"]
    assert (await venue.get(f"/markets/{market['id']}"))["slug"] == listing.slug
    assert (await venue.get(f"/events/{event['id']}"))["slug"] == listing.slug
    [series] = await venue.get("/series", slug="btc-up-or-down-5m")
    assert series["events"][0]["slug"] == listing.slug
    assert len(series["events"]) == 4


async def test_what_is_not_there_is_404(venue: Venue) -> None:
    for path in ("/events/slug/no", "/markets/slug/no", "/events/1", "/markets/1", "/tags/0"):
        answer = await venue.get(path, 404)
        assert answer["type"] == "not found error"


async def test_resolved_markets_show_only_when_asked(venue: Venue) -> None:
    listing = venue.running()
    assert [m["slug"] for m in await venue.get("/markets", slug=listing.slug)] == [listing.slug]
    venue.now_s = listing.end_s + 18
    assert await venue.get("/markets", slug=listing.slug) == []
    assert await venue.get("/events", slug=listing.slug) == []
    [market] = await venue.get("/markets", slug=listing.slug, closed="true")
    assert market["closed"] is True
    [event] = await venue.get("/events", slug=listing.slug, closed="true")
    assert event["eventMetadata"]["finalPrice"] > 0
    assert (await venue.get(f"/markets/slug/{listing.slug}"))["closed"]


async def test_markets_are_found_by_condition_token_and_position(venue: Venue) -> None:
    five, day = venue.running("5m").rules, venue.running("1d").rules
    [found] = await venue.get("/markets", condition_ids=five.condition)
    assert found["conditionId"] == five.condition
    [found] = await venue.get("/markets", clob_token_ids=five.tokens[1])
    assert found["conditionId"] == five.condition
    [found] = await venue.get("/markets", position_ids=day.tokens[0])
    assert found["conditionId"] == day.condition
    [found] = await venue.get("/markets", condition_ids=day.condition[:-2])
    assert found["conditionId"] == day.condition
    both = await venue.get("/markets", condition_ids=[five.condition, day.condition])
    assert len(both) == 2
    versions = await venue.get("/markets", version="v2", limit=500)
    assert {m["version"] for m in versions} == {"v2"} and len(versions) == 18


async def test_events_are_found_by_tag_series_and_time(venue: Venue) -> None:
    five = await venue.get("/events", tag_slug="5M")
    assert len(five) == 4
    assert len(await venue.get("/events", series_id="10684")) == 4
    both = await venue.get("/events", tag_id=["102892", "21"], tag_match="all", limit=100)
    assert [e["id"] for e in both] == [e["id"] for e in five]
    slow = await venue.get("/events", exclude_tag_id="21", limit=100)
    assert len(slow) == 4
    assert len(await venue.get("/events", recurrence="hourly")) == 4
    listing = venue.running()
    soon = await venue.get("/events", tag_slug="5M", end_date_max="2026-11-22T09:34:00Z")
    late = await venue.get(
        "/events", tag_slug="5M", end_date_min=five[1]["endDate"], end_date_max=five[2]["endDate"]
    )
    assert soon == []
    assert [e["slug"] for e in late] == [five[1]["slug"], five[2]["slug"]]
    begun = await venue.get("/events", tag_slug="5M", start_time_max=five[0]["startTime"])
    assert [e["slug"] for e in begun] == [listing.slug]
    bare = await venue.get("/events", tag_slug="5M", include_markets="false")
    assert "markets" not in bare[0]


async def test_parameters_gamma_does_not_know_are_ignored(venue: Venue) -> None:
    plain = await venue.get("/events")
    assert await venue.get("/events", slug_contains="x", active="false", archived="true") == plain
    assert len(plain) == 20


async def test_tags_come_with_markets_only_when_asked(venue: Venue) -> None:
    slug = venue.running().slug
    assert "tags" not in (await venue.get("/markets", slug=slug))[0]
    tags = (await venue.get("/markets", slug=slug, include_tag="true"))[0]["tags"]
    assert await venue.get("/markets/slug/" + slug, include_tag="true") != {}
    number = (await venue.get("/markets", slug=slug))[0]["id"]
    assert await venue.get(f"/markets/{number}/tags") == tags


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("/markets", {"offset": "2001"}),
        ("/markets", {"limit": "many"}),
        ("/markets", {"order": "volume_num"}),
        ("/events", {"order": "notAField"}),
        ("/events", {"closed": "perhaps"}),
        ("/events", {"end_date_min": "yesterday"}),
        ("/events", {"volume_min": "nan"}),
        ("/markets/keyset", {"offset": "0"}),
        ("/markets/keyset", {"after_cursor": "!"}),
        ("/markets/keyset", {"after_cursor": "W3sieCI6MX1d"}),
        ("/public-search", {}),
    ],
)
async def test_bad_parameters_are_422(venue: Venue, path: str, params: dict[str, str]) -> None:
    answer = await venue.get(path, 422, **params)
    assert answer["type"] == "validation error"


async def test_order_is_by_number_for_numbers_and_by_text_for_text(venue: Venue) -> None:
    ids = [int(m["id"]) for m in await venue.get("/markets", order="id", ascending="false")]
    assert ids == sorted(ids, reverse=True)
    ends = [e["endDate"] for e in await venue.get("/events", order="endDate", limit=100)]
    assert ends == sorted(ends)
    assert len(await venue.get("/markets", offset="5", limit="3")) == 3


async def test_keyset_pages_lose_and_repeat_nothing_while_markets_come(venue: Venue) -> None:
    first = await venue.get("/markets/keyset", limit=25, order="endDate", ascending="false")
    seen = [m["slug"] for m in first["markets"]]
    venue.now_s += 300  # one window is listed, another ends
    cursor = first["next_cursor"]
    while cursor:
        page = await venue.get(
            "/markets/keyset", limit=25, order="endDate", ascending="false", after_cursor=cursor
        )
        seen += [m["slug"] for m in page["markets"]]
        cursor = page.get("next_cursor")
    assert len(seen) == len(set(seen))
    still = [m["slug"] for m in await venue.get("/markets", limit=500)]
    new = venue.calendar.active()[-1].slug
    assert set(still) - set(seen) <= {new}
    assert "next_cursor" not in await venue.get("/markets/keyset", limit=100)
    assert len((await venue.get("/markets/keyset", limit=1000))["markets"]) == len(still)


async def test_the_official_client_lists_everything(venue: Venue) -> None:
    markets = await venue.page(list_markets_spec())
    assert len(markets.items) == 20 and markets.server_next_cursor
    more = await venue.page(list_markets_spec(), markets.server_next_cursor)
    assert {m.id for m in markets.items}.isdisjoint(m.id for m in more.items)
    slug = venue.running().slug
    [event] = (await venue.page(list_events_spec(slug=slug))).items
    assert event.slug == slug and event.series[0].slug == "btc-up-or-down-5m"
    ordered = await venue.page(list_markets_spec(order="volume", ascending=False))
    assert len(ordered.items) == 20
    none = await venue.page(list_events_spec(slug=slug, closed=True))
    assert none.items == () and none.server_next_cursor is None


async def test_the_official_client_reads_series_tags_and_search(venue: Venue) -> None:
    spec = list_series_spec(slug="btc-up-or-down-15m")
    [series] = spec.parse_items(await venue.get(spec.path, slug="btc-up-or-down-15m"))
    assert series.id == "10192" and series.events
    one = get_series_spec("10192", locale=None)
    assert one.parse(await venue.get(one.path)).slug == "btc-up-or-down-15m"
    tags = list_tags_spec().parse_items(await venue.get("/tags", limit="100"))
    assert {"crypto", "politics", "sports"} <= {tag.slug for tag in tags}
    tag = get_tag_spec(id=None, slug="politics", include_template=None, locale=None)
    assert tag.parse(await venue.get(tag.path)).label == "Politics"
    found = search_spec(q="x").parse_page(await venue.get("/public-search", q="harbour council"))
    assert [event.title for event in found.items.events] == [
        "Who will win the Harbour Council election?"
    ]
    assert not found.has_more and found.total_count == 1
    raw = await venue.get("/public-search", q="nobody has heard of this")
    assert raw["events"] is None and raw["profiles"] is None


async def test_settlement_configs_are_told(venue: Venue) -> None:
    rows = await venue.get("/crypto-market-configs")
    assert {row["id"] for row in rows} == {"btc-5m-twap-60", "btc-15m-twap-60", "btc-4h-twap-60"}


async def test_legacy_listings_say_that_they_are(venue: Venue) -> None:
    answer = await venue.client.get("/events")
    assert answer.headers["Deprecation"] == "true" and "Sunset" in answer.headers
    assert "Deprecation" not in (await venue.client.get("/events/keyset")).headers


async def test_gamma_can_be_down_gone_or_mad(venue: Venue) -> None:
    slug = venue.running().slug
    venue.troubles.mode = "500"
    await venue.get(f"/events/slug/{slug}", 500)
    venue.troubles.mode = "404"
    await venue.get(f"/events/slug/{slug}", 404)
    venue.troubles.mode = "garbage"
    answer = await venue.client.get(f"/events/slug/{slug}")
    with pytest.raises(ValueError, match=r"."):
        json.loads(await answer.get_data())
    venue.troubles.mode = ""
    await venue.get(f"/events/slug/{slug}")


async def test_gamma_can_stand_still_and_catch_up(venue: Venue) -> None:
    listing = venue.running()
    venue.troubles.mode = "stale"
    before = await venue.get(f"/events/slug/{listing.slug}")
    venue.now_s = listing.end_s + 30
    assert await venue.get(f"/events/slug/{listing.slug}") == before
    venue.troubles.mode = ""
    assert (await venue.get(f"/events/slug/{listing.slug}"))["closed"]


async def test_the_price_to_beat_can_be_kept_back(venue: Venue) -> None:
    venue.now_s += 5
    slug = venue.running().slug
    assert "priceToBeat" in (await venue.get(f"/events/slug/{slug}"))["eventMetadata"]
    venue.troubles.strike = True
    assert "eventMetadata" not in await venue.get(f"/events/slug/{slug}")


async def test_a_busy_day_is_answered_as_one_page_of_events(venue: Venue) -> None:
    venue.now_s = START_S + 1800
    events = [Event.parse_response(x) for x in await venue.get("/events", limit=500)]
    assert all(event.state.closed is False for event in events)
    assert venue.schedule.now_ns == venue.now_s * SECOND_NS
