"""Discovery against a scripted Gamma: the life of a window, and Gamma at its worst."""

import random
from collections.abc import Callable
from datetime import UTC, datetime

import httpx2
import orjson
import pytest
import trio

from polytrade.config import Universe
from polytrade.core.events import ClockSkewMeasured, Event, MarketListed, MarketResolved
from polytrade.core.units import SECOND_NS
from polytrade.polymarket.books import Instruments, RestBookDecoder
from polytrade.polymarket.clob import Clob
from polytrade.polymarket.discovery import (
    FORGET_S,
    GAMMA_SOURCE,
    Discovery,
    GammaError,
    run_clock_check,
)
from polytrade.polymarket.gamma import GammaDecoder
from polytrade.polymarket.rest import Rest, new_client
from polytrade.runtime.hosts import HostTable
from polytrade.runtime.inbox import Inbox
from polytrade.runtime.links import FeedStatus
from polytrade.runtime.supervise import Policy
from polytrade.testing.sockets import START_NS, trio_clock

START_S = START_NS // SECOND_NS
T0 = START_S // 300 * 300
"""The window running at the start: its last hundred seconds are ahead."""
RUNNING, NEXT = f"btc-updown-5m-{T0}", f"btc-updown-5m-{T0 + 300}"


def iso(ts_s: int) -> str:
    return datetime.fromtimestamp(ts_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def gamma_event(slug: str, **changes: object) -> dict[str, object]:
    """A Gamma event with one market; `changes` overwrite the market, `strike` the event."""
    start_s = int(slug.rpartition("-")[2]) if "updown" in slug else T0
    tag = sum(slug.encode())
    strike = changes.pop("strike", None)
    market = {
        "conditionId": f"0x{tag:064x}",
        "slug": slug,
        "question": "Up or Down",
        "outcomes": '["Up", "Down"]',
        "outcomePrices": '["0.5", "0.5"]',
        "clobTokenIds": f'["{tag}1", "{tag}2"]',
        "endDate": iso(start_s + 300),
        "eventStartTime": iso(start_s),
        "active": True,
        "closed": False,
        "acceptingOrders": True,
        "enableOrderBook": True,
        "orderPriceMinTickSize": 0.01,
        "orderMinSize": 5,
        **changes,
    }
    event: dict[str, object] = {"id": "1", "slug": slug, "markets": [market]}
    if strike is not None:
        event["eventMetadata"] = {"priceToBeat": strike}
    return event


class Gamma:
    """Answers `/events/slug/...` and listings from `events`, unless `fault` says otherwise."""

    def __init__(self) -> None:
        self.events: dict[str, dict[str, object]] = {}
        self.series: dict[str, list[dict[str, object]]] = {}
        self.fault: Callable[[], httpx2.Response] | None = None
        self.asked: list[tuple[float, str]] = []
        self.time_s: int | None = None
        self.not_markets: set[str] = set()

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        path, params = request.url.path, request.url.params
        self.asked.append((round(trio.current_time(), 2), str(request.url.raw_path.decode())))
        if self.fault is not None:
            return self.fault()
        if path == "/time":
            return httpx2.Response(200, text=str(self.time_s))
        if path == "/series":
            return httpx2.Response(200, json=[{"events": self.series.get(params["slug"], [])}])
        slug = params.get("slug") or path.rpartition("/")[2]
        body: object = self.events.get(slug)
        if path.startswith("/markets") and slug in self.not_markets:
            body = None
        if path.startswith("/markets") and body is not None:
            body = body["markets"][0]  # type: ignore[index]
        if "slug" in params:
            closed = params.get("closed") == "true"
            market = (body or {}).get("markets", [body])[0] or {}  # type: ignore[attr-defined]
            body = [body] if body and market["closed"] is closed else []
        if body is None:
            return httpx2.Response(404, text="not found")
        return httpx2.Response(200, text=orjson.dumps(body).decode())


class Tape:
    """A recorder that keeps the sources of frames."""

    def __init__(self) -> None:
        self.frames: list[str] = []

    def frame(
        self,
        ingest_seq: int,
        source: str,
        source_seq: int,
        ts_ns: int,
        mono_ns: int,
        frame: str | bytes,
    ) -> None:
        self.frames.append(source)

    def event(
        self, ingest_seq: int, source_seq: int, ts_ns: int, mono_ns: int, event: Event
    ) -> None:
        """Events are not of interest here."""


class Stage:
    """A Discovery against a Gamma; `wanted` is what it last wanted subscribed."""

    def __init__(self, client: httpx2.AsyncClient, universe: Universe) -> None:
        clock = trio_clock()
        self.tape = Tape()
        self.inbox = Inbox(clock, 1000, recorder=self.tape)
        self.hosts = HostTable(clock)
        self.instruments = Instruments()
        self.status = FeedStatus(GAMMA_SOURCE, "https://gamma.example")
        self.wanted: list[str] = []
        self.wants = 0
        rest = Rest(
            "https://gamma.example/",
            client=client,
            hosts=self.hosts,
            clock=clock,
            error=GammaError,
        )
        self.discovery = Discovery(
            universe,
            gamma=rest,
            decoder=GammaDecoder(self.instruments),
            instruments=self.instruments,
            inbox=self.inbox,
            want=self._want,
            status=self.status,
            policy=Policy(delay_s_min=1, delay_s_max=8),
            rng=random.Random(1),
        )
        self.began_s = trio.current_time()

    def _want(self, markets: list[MarketListed]) -> None:
        self.wanted = [listed.slug for listed in markets]
        self.wants += 1

    async def until(self, after_s: float) -> None:
        """Let the time pass to so many seconds after the start."""
        await trio.sleep_until(self.began_s + after_s)

    def events(self) -> list[Event]:
        found: list[Event] = []
        while True:
            try:
                found.append(self.inbox.receive_nowait())
            except trio.WouldBlock:
                return found

    def facts(self) -> list[tuple[object, ...]]:
        """What was learnt since the last look: (tag, slug or winner, strike in USD)."""
        rows: list[tuple[object, ...]] = []
        for event in self.events():
            if isinstance(event, MarketListed):
                rows.append(("listed", event.slug, event.strike_e8 // 10**8))
            elif isinstance(event, MarketResolved):
                rows.append(("resolved", event.winner))
            else:
                rows.append((event.TAG,))
        return rows


FIVE_MINUTES = Universe(
    coins=("btc",), windows=("5m",), windows_ahead=1, refresh_interval_s=10, keep_after_end_s=60
)


@pytest.fixture
def gamma():
    return Gamma()


@pytest.fixture
async def client(gamma):
    async with new_client(httpx2.MockTransport(gamma)) as made:
        yield made


async def test_life_of_a_window(client, gamma, nursery, autojump_clock):
    stage = Stage(client, FIVE_MINUTES)
    gamma.events[RUNNING] = gamma_event(RUNNING, strike=50_000)
    gamma.events[NEXT] = gamma_event(NEXT)
    nursery.start_soon(stage.discovery.run)
    await stage.until(1)
    assert sorted(stage.facts()) == [("listed", RUNNING, 50_000), ("listed", NEXT, -1)]
    assert sorted(stage.wanted) == [RUNNING, NEXT]
    assert len(stage.instruments.tokens) == 4
    assert stage.tape.frames == [GAMMA_SOURCE, GAMMA_SOURCE]
    assert stage.status.connected

    # Nothing new for a while: looked at, but neither queued nor recorded.
    asked = len(gamma.asked)
    await stage.until(95)
    assert len(gamma.asked) > asked + 10
    assert stage.facts() == [] and len(stage.tape.frames) == 2 and stage.wants == 1 + 1

    # The running window ends; the next opens and its price to beat comes out six seconds later.
    gamma.events[RUNNING] = gamma_event(RUNNING, strike=50_000, acceptingOrders=False)
    await stage.until(106)
    assert [row for row in stage.facts() if row[1] == RUNNING] == [("listed", RUNNING, 50_000)]
    gamma.events[NEXT] = gamma_event(NEXT, strike=50_123.5)
    await stage.until(108.1)
    assert stage.facts() == [("listed", NEXT, 50_123)]

    # Its outcome arrives: listed as closed, resolved, no longer subscribed.
    gamma.events[RUNNING] = gamma_event(
        RUNNING, strike=50_000, closed=True, outcomePrices='["1", "0"]', acceptingOrders=False
    )
    await stage.until(114)
    assert stage.facts() == [("listed", RUNNING, 50_000), ("resolved", 0)]
    assert stage.wanted == [NEXT]
    await stage.until(114 + FORGET_S + 11)
    assert len(stage.instruments.tokens) == 2
    assert [followed.slug for followed in stage.discovery.followed] == [
        NEXT,
        f"btc-updown-5m-{T0 + 600}",
    ]


async def test_the_next_window_is_looked_at_just_before_it_opens(
    client, gamma, nursery, autojump_clock
):
    universe = Universe(coins=("btc",), windows=("5m",), windows_ahead=1, refresh_interval_s=600)
    stage = Stage(client, universe)
    gamma.events[NEXT] = gamma_event(NEXT)
    nursery.start_soon(stage.discovery.run)
    await stage.until(103)
    looks = [at for at, path in gamma.asked if path == f"/events/slug/{NEXT}"]
    assert [round(at - stage.began_s, 2) for at in looks] == [0, 97, 102]


async def test_an_ended_window_is_let_go_though_unresolved_and_its_outcome_still_told(
    client, gamma, nursery, autojump_clock
):
    stage = Stage(client, FIVE_MINUTES)
    gamma.events[RUNNING] = gamma_event(RUNNING, strike=50_000)
    nursery.start_soon(stage.discovery.run)
    await stage.until(155)
    assert stage.wanted == [RUNNING]
    await stage.until(175)  # ended at 100, kept for 60
    assert stage.wanted == []
    gamma.events[RUNNING] = gamma_event(
        RUNNING, strike=50_000, closed=True, outcomePrices='["0", "1"]'
    )
    stage.events()
    await stage.until(210)
    assert stage.facts() == [("listed", RUNNING, 50_000), ("resolved", 1)]


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (lambda: httpx2.Response(500), "unavailable"),
        (lambda: httpx2.Response(404), "not_found"),
        (lambda: httpx2.Response(200, text="<html>"), "malformed"),
        (lambda: httpx2.Response(200, text='{"conditionId": 5, "clobTokenIds": "["}'), "malformed"),
        (lambda: httpx2.Response(429, headers={"Retry-After": "5"}), "rate_limited"),
    ],
)
async def test_gamma_at_fault_is_counted_and_asked_again(
    client, gamma, nursery, autojump_clock, fault, kind
):
    stage = Stage(client, FIVE_MINUTES)
    gamma.events[RUNNING] = gamma_event(RUNNING)
    gamma.fault = fault
    nursery.start_soon(stage.discovery.run)
    await stage.until(20)
    assert set(stage.discovery.counts) == {kind}
    assert 4 <= stage.discovery.counts[kind] <= 30
    assert stage.wanted == []
    assert stage.hosts.rows()[0].reachable is True
    stage.events()
    gamma.fault = None
    await stage.until(29)
    assert stage.facts() == [("listed", RUNNING, -1)]
    assert stage.wanted == [RUNNING]


async def test_garbage_of_gamma_is_quarantined(client, gamma, nursery, autojump_clock):
    stage = Stage(client, FIVE_MINUTES)
    gamma.fault = lambda: httpx2.Response(200, text="<html>oops")
    nursery.start_soon(stage.discovery.run)
    await stage.until(1)
    assert stage.status.malformed == 2
    assert stage.status.quarantine[0].sample == b"<html>oops"
    assert stage.facts() == [("feed_gap",), ("feed_gap",)]


async def test_an_unreachable_gamma_is_told_by_its_host(client, gamma, nursery, autojump_clock):
    stage = Stage(client, FIVE_MINUTES)
    gamma.events[RUNNING] = gamma_event(RUNNING)

    def unreachable() -> httpx2.Response:
        raise httpx2.ConnectError("no route")

    gamma.fault = unreachable
    nursery.start_soon(stage.discovery.run)
    await stage.until(20)
    [row] = stage.hosts.rows()
    assert (row.host, row.reachable) == ("gamma.example", False)
    assert row.last_error == "ConnectError: no route"
    assert stage.discovery.counts["unreachable"] >= 4
    assert not stage.status.connected
    gamma.fault = None
    await stage.until(29)
    assert stage.wanted == [RUNNING]
    assert stage.hosts.rows()[0].reachable is True
    assert stage.status.connected


async def test_a_listing_answers_where_the_single_event_is_missing(
    client, gamma, nursery, autojump_clock
):
    stage = Stage(client, FIVE_MINUTES)
    body = gamma_event(RUNNING)

    def only_listing() -> httpx2.Response:
        path = gamma.asked[-1][1]
        if path == f"/events?slug={RUNNING}":
            return httpx2.Response(200, json=[body])
        return httpx2.Response(404 if "/slug/" in path else 200, text="[]")

    gamma.fault = only_listing
    nursery.start_soon(stage.discovery.run)
    await stage.until(1)
    assert stage.facts() == [("listed", RUNNING, -1)]


async def test_a_single_slug_stays_until_it_is_resolved(client, gamma, nursery, autojump_clock):
    slug = "will-something-happen"
    universe = Universe(
        coins=(), windows=(), slugs=(slug,), refresh_interval_s=10, keep_after_end_s=0
    )
    stage = Stage(client, universe)
    gamma.events[slug] = gamma_event(slug)  # ends 100 s after the start
    nursery.start_soon(stage.discovery.run)
    await stage.until(1)
    assert gamma.asked[0][1] == f"/markets/slug/{slug}"
    assert stage.wanted == [slug]
    await stage.until(2000)
    assert stage.wanted == [slug]
    gamma.events[slug] = gamma_event(slug, closed=True, outcomePrices='["0", "1"]')
    stage.events()
    await stage.until(2040)
    assert stage.facts() == [("listed", slug, -1), ("resolved", 1)]
    assert stage.wanted == []
    asked = len(gamma.asked)
    await stage.until(4000)
    assert len(gamma.asked) == asked  # nothing left to learn


async def test_a_slug_of_an_event_stays_until_all_its_markets_are_resolved(
    client, gamma, nursery, autojump_clock
):
    slug = "bitcoin-price-on-november-23"
    universe = Universe(
        coins=(), windows=(), slugs=(slug,), refresh_interval_s=10, keep_after_end_s=0
    )
    stage = Stage(client, universe)
    names = ("bitcoin-below-88000-on-november-23", "bitcoin-above-88000-on-november-23")

    def event(*prices: str) -> dict[str, object]:
        told = [
            {"closed": price != '["0.5", "0.5"]', "outcomePrices": price, "question": ""}
            for price in prices
        ]
        markets = [
            gamma_event(name, **more)["markets"][0] for name, more in zip(names, told, strict=True)
        ]
        return {"id": "1", "slug": slug, "markets": markets}

    gamma.events[slug] = event('["0.5", "0.5"]', '["0.5", "0.5"]')  # ends 100 s after the start
    gamma.not_markets = {slug}
    nursery.start_soon(stage.discovery.run)
    await stage.until(150)
    assert stage.wanted == list(names)
    assert stage.discovery.counts.keys() == {"ok"}
    gamma.events[slug] = event('["1", "0"]', '["0", "1"]')
    stage.events()
    await stage.until(200)
    assert [fact for fact in stage.facts() if fact[0] == "resolved"] == [
        ("resolved", 0),
        ("resolved", 1),
    ]
    assert stage.wanted == []


async def test_a_series_brings_its_next_events(client, gamma, nursery, autojump_clock):
    universe = Universe(
        coins=(), windows=(), series=("daily",), windows_ahead=1, refresh_interval_s=10
    )
    stage = Stage(client, universe)
    gamma.series["daily"] = [
        {"slug": "day-4", "endDate": iso(START_S + 300_000)},
        {"slug": "day-3", "endDate": iso(START_S + 200_000)},
        {"slug": "day-2", "endDate": iso(START_S + 100_000)},
        {"slug": "day-1", "endDate": iso(START_S - 5), "closed": False},
        {"slug": "day-0", "endDate": iso(START_S + 50), "closed": True},
    ]
    for slug in ("day-1", "day-2", "day-3", "day-4"):
        gamma.events[slug] = gamma_event(slug)
    nursery.start_soon(stage.discovery.run)
    await stage.until(1)
    assert sorted(stage.wanted) == ["day-2", "day-3"]


async def test_a_series_brings_every_range_of_an_event_with_its_bounds(
    client, gamma, nursery, autojump_clock
):
    universe = Universe(coins=(), windows=(), series=("daily",), refresh_interval_s=10)
    stage = Stage(client, universe)
    slug = "bitcoin-price-on-november-23-2026"
    gamma.series["daily"] = [{"slug": slug, "endDate": iso(START_S + 3600)}]
    markets = [
        gamma_event(
            f"will-the-price-of-bitcoin-be-{words}-on-november-23",
            question="",
            eventStartTime=None,
            endDate=iso(START_S + 3600),
        )["markets"][0]
        for words in ("less-than-88000", "between-88000-90000", "greater-than-90000")
    ]
    gamma.events[slug] = {"id": "1", "slug": slug, "markets": markets}
    nursery.start_soon(stage.discovery.run)
    await stage.until(1)
    found = [event for event in stage.events() if isinstance(event, MarketListed)]
    assert [(one.condition, one.strike_e8 // 10**8, one.upper_e8 // 10**8) for one in found] == [
        ("below", 88_000, 0),
        ("range", 88_000, 90_000),
        ("above", 90_000, 0),
    ]
    assert stage.wanted == [one.slug for one in found]


async def test_a_series_that_cannot_be_read_stops_nothing(client, gamma, nursery, autojump_clock):
    universe = Universe(coins=(), windows=(), series=("daily",), refresh_interval_s=10)
    stage = Stage(client, universe)
    gamma.series["daily"] = [{"slug": "day-1", "endDate": 5}]
    nursery.start_soon(stage.discovery.run)
    await stage.until(121)
    assert stage.discovery.counts == {"malformed": 3}


async def test_the_clock_is_measured_every_minute(client, gamma, nursery, autojump_clock):
    clock = trio_clock()
    inbox = Inbox(clock, 100)
    clob = Clob(
        "https://clob.example",
        client=client,
        hosts=HostTable(clock),
        clock=clock,
        decoder=RestBookDecoder(Instruments()),
    )
    gamma.time_s = START_S - 3
    nursery.start_soon(run_clock_check, clob, inbox)
    await trio.sleep(30)
    gamma.fault = lambda: httpx2.Response(503)
    await trio.sleep(60)
    gamma.fault = None
    await trio.sleep(60)
    found = []
    while inbox.depth:
        event = inbox.receive_nowait()
        assert isinstance(event, ClockSkewMeasured)
        found.append(((event.ts_ns - START_NS) // SECOND_NS, event.skew_ms))
    assert found == [(0, 2500), (120, 122_500)]
