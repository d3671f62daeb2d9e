"""Gamma's objects read by the daemon's own decoder and by the official client's models."""

import json
import random
from typing import Any

import pytest
from polymarket._internal.protocol import decode_v2_outcome_position_id, is_v2_position_id
from polymarket.models.gamma.event import Event
from polymarket.models.gamma.market import Market

from polytrade.core.events import MarketListed, MarketResolved
from polytrade.core.ids import BUY, NO, SELL, YES
from polytrade.core.units import SECOND_NS
from polytrade.polymarket.gamma import GammaDecoder, fees_of, listed_of, tokens_of
from polytrade.sandbox.matching.accounts import Bank
from polytrade.sandbox.matching.exchange import Exchange
from polytrade.sandbox.matching.orders import Order
from polytrade.sandbox.schedule import Schedule
from polytrade.sandbox.world.calendar import Calendar, CalendarSettings
from polytrade.sandbox.world.gamma_fields import config_objects
from polytrade.sandbox.world.gamma_objects import GammaObjects
from polytrade.sandbox.world.prices import COINS, Prices

START_S = 1_795_340_040


class World:
    """A calendar with its exchange, and the objects made of them."""

    def __init__(self, **changes: Any) -> None:
        self.schedule = Schedule(START_S * SECOND_NS)
        self.bank = Bank()
        self.exchange = Exchange(self.schedule, self.bank, random.Random(1), lambda event: None)
        prices = Prices(5, {"btc": COINS["btc"]}, self.schedule)
        changes = {"coins": ("btc",), "range_coins": ("btc",), "windows_ahead": 1, **changes}
        settings = CalendarSettings(seed=5, **changes)
        self.said: list[dict[str, Any]] = []

        def announce(kind: str, message: dict[str, Any]) -> None:
            self.said.append({"event_type": kind, **message})

        self.calendar = Calendar(self.schedule, self.exchange, prices, settings, announce)
        self.calendar.begin()
        self.objects = GammaObjects(self.schedule, self.calendar, self.exchange, 5)

    def until(self, seconds: int) -> None:
        while not self.schedule.run_until(seconds * SECOND_NS):
            pass

    def market(self, slug: str) -> dict[str, Any]:
        return next(each for each in self.objects.markets() if each["slug"] == slug)

    def event(self, slug: str) -> dict[str, Any]:
        return next(each for each in self.objects.events() if each["slug"] == slug)

    def running(self, window: str = "5m") -> Any:
        found = self.calendar.active()
        return next(x for x in found if x.window == window and x.start_s <= START_S)

    def order(self, listing: Any, side: int, price_e4: int, size_e6: int, number: int) -> None:
        wallet = f"0xmaker{number}"
        self.bank.fund(wallet, 1_000_000_000)
        if side == SELL:
            self.bank.split(wallet, listing.rules, size_e6)
        self.exchange.place(
            Order(
                order_id=f"o{number}",
                wallet=wallet,
                condition=listing.rules.condition,
                token=YES,
                side=side,
                price_e4=price_e4,
                size_e6=size_e6,
                created_ns=self.schedule.now_ns,
            )
        )


@pytest.fixture(scope="module")
def lived() -> World:
    world = World()
    world.until(START_S + 1200)
    return world


def test_the_official_models_read_every_event_and_market(lived: World) -> None:
    events = [Event.parse_response(json.loads(json.dumps(x))) for x in lived.objects.events()]
    markets = [Market.parse_response(x) for x in lived.objects.markets()]
    assert (
        sum(len(event.markets) for event in events) == len(markets) == len(lived.calendar.listings)
    )
    for market in markets:
        listing = lived.calendar.by_condition[str(market.condition_id)]
        ids = [
            each.position_id if listing.rules.protocol == "v2" else each.token_id
            for each in (market.outcomes.yes, market.outcomes.no)
        ]
        assert tuple(ids) == listing.rules.tokens
        assert market.version is not None and market.version.value == listing.rules.protocol
        assert market.state.closed is (listing.winner >= 0)
        assert market.events[0].slug == listing.event_slug
    assert any(market.state.closed for market in markets)


def test_official_helpers_read_the_position_ids(lived: World) -> None:
    for listing in lived.calendar.listings.values():
        v2 = listing.rules.protocol == "v2"
        for index, token in enumerate(listing.rules.tokens):
            assert is_v2_position_id(token) is v2
            if v2:
                decoded = decode_v2_outcome_position_id(token)
                assert decoded.outcome_index == index
                assert f"{decoded.condition_id}00" == listing.rules.condition


def test_the_daemon_reads_what_the_calendar_knows(lived: World) -> None:
    decoder = GammaDecoder()
    events = decoder.decode(json.dumps(lived.objects.events()), 1, "gamma/0")
    assert not decoder.unknown
    listed = {e.market: e for e in events if isinstance(e, MarketListed)}
    resolved = {e.market: e.winner for e in events if isinstance(e, MarketResolved)}
    assert len(listed) == len(lived.calendar.listings)
    for listing in lived.calendar.listings.values():
        seen = listed[listing.rules.condition]
        assert (seen.yes, seen.no) == listing.rules.tokens
        assert seen.tick_e4 == listing.rules.tick_e4
        assert seen.neg_risk is listing.rules.neg_risk
        assert seen.end_ns == listing.end_s * SECOND_NS
        assert seen.accepting is (listing.end_s * SECOND_NS > lived.schedule.now_ns)
        assert resolved.get(listing.rules.condition, -1) == listing.winner
        assert seen.upper_e8 * 10**10 == listing.upper_e18
        if listing.kind in ("above", "below", "range"):
            assert (seen.condition, seen.symbol, seen.settle) == (listing.kind, "BTC", "spot")
            assert seen.strike_e8 * 10**10 == listing.strike_e18
        if listing.kind == "updown":
            assert seen.start_ns == listing.start_s * SECOND_NS
            assert seen.lookback_s == listing.lookback_s
            assert abs(seen.strike_e8 * 10**10 - listing.strike_e18) <= 10**12 or (
                listing.strike_e18 == seen.strike_e8 == -1
            )


def test_an_event_of_ranges_is_a_group_of_exclusive_markets() -> None:
    world = World()
    event = next(x for x in world.objects.events() if x["slug"].startswith("bitcoin-price-on-"))
    assert event["negRisk"] and event["enableNegRisk"] and event["negRiskMarketID"]
    assert event["seriesSlug"] == "bitcoin-neg-risk-daily"
    titles = [market["groupItemTitle"] for market in event["markets"]]
    assert titles[0].startswith("<") and titles[-1].startswith(">")
    assert [title.count("-") for title in titles] == [0, 1, 1, 1, 1, 1, 1, 0]
    assert {market["negRiskMarketID"] for market in event["markets"]} == {event["negRiskMarketID"]}
    assert len({market["negRiskRequestID"] for market in event["markets"]}) == 8


def test_types_are_the_venues() -> None:
    world = World()
    listing = world.running()
    market = world.market(listing.slug)
    assert market["outcomes"] == '["Up", "Down"]'
    assert market["outcomePrices"] == '["0.5", "0.5"]'
    assert json.loads(market["clobTokenIds"]) == list(listing.rules.tokens)
    assert (market["orderPriceMinTickSize"], market["orderMinSize"]) == (0.01, 5)
    assert market["feeSchedule"] == {
        "exponent": 1,
        "rate": 0.07,
        "takerOnly": True,
        "rebateRate": 0.2,
    }
    assert (market["rewardsMinSize"], market["rewardsMaxSpread"]) == (50, 4.5)
    assert market["cryptoMarketConfigId"] == "btc-5m-twap-60"
    assert market["resolutionSource"].endswith("/btc-usd-twap-60s-streams")
    assert market["volume"] == "0" and market["volumeNum"] == 0
    assert "bestBid" not in market and market["bestAsk"] == 1
    assert market["eventStartTime"] == "2026-11-22T15:10:00Z" or market["eventStartTime"]
    event = world.event(listing.slug)
    assert event["seriesSlug"] == "btc-up-or-down-5m"
    assert event["series"][0]["id"] == "10684"
    assert {tag["slug"] for tag in event["tags"]} >= {"up-or-down", "crypto-prices", "5M"}
    assert "events" not in event["markets"][0] and "markets" not in market["events"][0]


def test_v2_markets_have_position_ids_only() -> None:
    market = World().market(World().running("1d").slug)
    assert market["clobTokenIds"] is None
    assert [type(each) for each in market["positionIds"]] == [str, str]
    assert (market["version"], market["resolutionStatus"]) == ("v2", "active")
    assert market["onchainEventId"].endswith("000000") and market["requestId"].endswith("00")
    assert tokens_of(market) == tuple(market["positionIds"])


def test_an_election_is_one_neg_risk_event_of_three_markets() -> None:
    world = World(range_coins=())
    [event] = [x for x in world.objects.events() if x["negRisk"]]
    assert [m["groupItemTitle"] for m in event["markets"]] == [
        "Ada Finch",
        "Bram Okoye",
        "Carla Lund",
    ]
    assert event["enableNegRisk"] and event["negRiskMarketID"].startswith("0x")
    assert all(m["negRisk"] and fees_of(m) == (40_000, 1, 250_000) for m in event["markets"])


def test_sports_have_a_delay_the_daemon_knows() -> None:
    [market] = [x for x in World().objects.markets() if x.get("sportsMarketType")]
    assert market["secondsDelay"] == 3
    tokens = tokens_of(market)
    assert tokens is not None
    assert listed_of(market, {}, tokens, 0).taker_delay_ms == 3000


def test_the_price_to_beat_comes_late_and_can_be_missing() -> None:
    world = World()
    slug = next(x.slug for x in world.calendar.active() if x.window == "5m" and x.start_s > START_S)
    start_s = world.calendar.listings[slug].start_s
    assert "eventMetadata" not in world.event(slug)
    world.until(start_s + 3)
    strike = world.event(slug)["eventMetadata"]["priceToBeat"]
    assert strike == pytest.approx(world.calendar.listings[slug].strike_e18 / 1e18)
    world.objects.strikes_missing = True
    assert "eventMetadata" not in world.event(slug)


def test_prices_are_stale_for_a_while() -> None:
    world = World()
    listing = world.running()
    world.market(listing.slug)
    world.order(listing, BUY, 4500, 100_000_000, 1)
    world.order(listing, SELL, 5500, 100_000_000, 2)
    assert world.market(listing.slug)["bestAsk"] == 1
    world.until(START_S + 20)
    market = world.market(listing.slug)
    assert (market["bestBid"], market["bestAsk"], market["spread"]) == (0.45, 0.55, 0.1)
    assert market["outcomePrices"] == '["0.5", "0.5"]'
    assert market["liquidity"] == "90" and market["liquidityNum"] == 90


def test_the_end_shows_at_once_whatever_is_cached() -> None:
    world = World()
    listing = world.running()
    assert world.market(listing.slug)["acceptingOrders"]
    world.until(listing.end_s)
    market = world.market(listing.slug)
    assert not market["acceptingOrders"] and not market["closed"]
    world.until(listing.end_s + 18)
    market = world.market(listing.slug)
    assert market["closed"] and market["umaResolutionStatus"] == "resolved"
    assert json.loads(market["outcomePrices"])[listing.winner] == "1"
    assert market["closedTime"].endswith("+00")
    assert world.event(listing.slug)["eventMetadata"]["finalPrice"] > 0


def test_a_changed_tick_is_told() -> None:
    world = World()
    listing = world.running()
    world.exchange.change_tick(listing.rules.condition, 10)
    assert world.market(listing.slug)["orderPriceMinTickSize"] == 0.001


def test_objects_are_made_anew_only_when_something_changed() -> None:
    world = World()
    assert world.objects.events()[0] is world.objects.events()[0]


def test_settlement_configs_name_look_backs() -> None:
    assert config_objects(("btc",), ("5m", "1h", "1d")) == [
        {
            "id": "btc-5m-twap-60",
            "asset": "btc",
            "duration": "5m",
            "twapEnabled": True,
            "twapLookbackSeconds": 60,
        }
    ]


def test_the_daemons_winner_of_a_split_is_none_of_both(lived: World) -> None:
    world = World()
    listing = world.running("1d")
    listing.winner, listing.closed_s = 2, START_S
    frame = json.dumps(world.event(listing.slug))
    *_, last = GammaDecoder().decode(frame, 1, "gamma/0")
    assert isinstance(last, MarketResolved) and last.winner not in (YES, NO)


def test_announcements_are_what_the_official_stream_models_expect() -> None:
    from polymarket.models.clob.market_events import (  # noqa: PLC0415
        MarketResolvedPayload,
        NewMarketPayload,
    )

    world = World()
    world.until(START_S + 400)
    kinds = {"new_market": NewMarketPayload, "market_resolved": MarketResolvedPayload}
    seen = [kinds[message["event_type"]].model_validate(message) for message in world.said]
    assert len({type(each) for each in seen}) == 2
