"""A day in the life of the venue's markets, with the real exchange, bank and prices."""

import random
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest

from polytrade.core.units import SECOND_NS
from polytrade.polymarket.subjects import subject_of, window_slugs
from polytrade.sandbox.matching.accounts import Bank
from polytrade.sandbox.matching.events import MarketResolved
from polytrade.sandbox.matching.exchange import Exchange
from polytrade.sandbox.schedule import Schedule
from polytrade.sandbox.world.calendar import Calendar, CalendarSettings
from polytrade.sandbox.world.listing import Listing
from polytrade.sandbox.world.prices import COINS, Prices
from polytrade.sandbox.world.windows import (
    boundary_s,
    ladder_step_e8,
    strike_slug,
    window_slug,
    window_title,
)

START_S = 1_795_340_040  # 2026-11-22 10:14:00 Eastern, in the middle of all windows
E10 = 10_000_000_000


class World:
    """Everything a calendar lives with; `said` is what it announced."""

    def __init__(self, start_s: int = START_S, **changes: Any) -> None:
        self.schedule = Schedule(start_s * SECOND_NS)
        self.bank = Bank()
        self.events: list[Any] = []
        rng = random.Random(1)
        self.exchange = Exchange(self.schedule, self.bank, rng, self.events.append)
        coins = {coin: COINS[coin] for coin in ("btc", "eth", "xrp")}
        self.prices: Any = Prices(5, coins, self.schedule)
        self.said: list[tuple[str, dict[str, Any]]] = []
        self.calendar = self.make(CalendarSettings(seed=5, **changes))

    def make(self, settings: CalendarSettings) -> Calendar:
        def announce(kind: str, message: dict[str, Any]) -> None:
            self.said.append((kind, message))

        return Calendar(self.schedule, self.exchange, self.prices, settings, announce)

    def until(self, seconds: int) -> None:
        while not self.schedule.run_until(seconds * SECOND_NS):
            pass

    def listing(self, slug: str) -> Listing:
        return self.calendar.listings[slug]


def begun(**changes: Any) -> World:
    world = World(**changes)
    world.calendar.begin()
    return world


def five(start_s: int = START_S) -> tuple[str, int, int]:
    """Slug, start and end of the window after the one running."""
    start_s = boundary_s("5m", start_s, 1)
    return f"btc-updown-5m-{start_s}", start_s, start_s + 300


@pytest.mark.parametrize("window", ["5m", "15m", "1h", "4h"])
def test_windows_begin_where_the_daemon_expects_them(window: str) -> None:
    slugs = window_slugs(("btc",), (window,), START_S, 3)
    starts = [int(slug.rpartition("-")[2]) for slug in slugs]
    assert [boundary_s(window, START_S, step) for step in range(4)] == starts


def test_days_begin_at_noon_in_new_york_through_the_change_of_clocks() -> None:
    now_s = int(datetime(2026, 10, 31, 17, 30, tzinfo=UTC).timestamp())
    noons = [datetime.fromtimestamp(boundary_s("1d", now_s, step), UTC) for step in (0, 1, 2)]
    assert [f"{noon:%d %H:%M}" for noon in noons] == ["31 16:00", "01 17:00", "02 17:00"]


def test_slugs_and_titles_are_the_venues() -> None:
    start_s = 1_789_948_800  # 2026-09-20 20:00 EDT
    assert (
        window_slug("btc", "1h", start_s, start_s + 3600)
        == "bitcoin-up-or-down-september-20-2026-8pm-et"
    )
    assert (
        window_title("btc", "1h", start_s, start_s + 3600)
        == "Bitcoin Up or Down - September 20, 8PM ET"
    )
    noon_s = 1_789_833_600  # 2026-09-19 12:00 EDT
    assert window_slug("btc", "1d", noon_s - 86_400, noon_s) == (
        "bitcoin-up-or-down-on-september-19-2026"
    )
    assert window_slug("eth", "5m", 1_773_307_200, 1_773_307_500) == "eth-updown-5m-1773307200"
    assert (
        window_title("btc", "5m", 1_773_307_200, 1_773_307_500)
        == "Bitcoin Up or Down - March 12, 5:20AM-5:25AM ET"
    )


def test_the_hour_that_clocks_show_twice_has_two_slugs() -> None:
    one_edt_s = 1_793_509_200  # 2026-11-01 01:00 EDT, again an hour later in EST
    slugs = {window_slug("btc", "1h", s, s + 3600) for s in (one_edt_s, one_edt_s + 3600)}
    assert len(slugs) == 2


def test_strikes_are_round_and_named_as_the_venue_does() -> None:
    assert ladder_step_e8(98_400 * 10**8) == 1_000 * 10**8
    assert ladder_step_e8(231_000_000) == 5_000_000
    assert [strike_slug(x) for x in (112_000 * 10**8, 950 * 10**8, 245_000_000)] == [
        "112k",
        "950",
        "2pt45",
    ]


def test_what_runs_and_what_is_ahead_is_listed_at_once() -> None:
    world = begun(coins=("btc", "eth"), windows=("5m", "15m", "1h", "4h", "1d"), windows_ahead=2)
    by_kind: dict[str, int] = {}
    for listing in world.calendar.active():
        key = listing.window if listing.kind == "updown" else listing.kind
        by_kind[key] = by_kind.get(key, 0) + 1
    assert by_kind == {"5m": 6, "15m": 6, "1h": 6, "4h": 6, "1d": 6, "above": 14, "event": 6}
    assert len(world.exchange.markets) == 50
    assert [kind for kind, _ in world.said] == ["new_market"] * 50
    assert len({listing.rules.condition for listing in world.calendar.listings.values()}) == 50


def test_the_daemon_knows_every_market_by_its_names() -> None:
    for listing in begun(coins=("btc", "xrp")).calendar.listings.values():
        subject = subject_of(listing.slug, listing.question)
        if listing.kind == "event":
            assert subject.condition == "other"
            continue
        assert subject.symbol == listing.coin.upper()
        assert subject.condition == listing.kind
        if listing.kind == "above":
            assert subject.strike_e8 * E10 == listing.strike_e18
            by_slug = subject_of(listing.slug, "")
            assert by_slug.strike_e8 == subject.strike_e8


def test_a_window_lives_from_its_listing_to_oblivion() -> None:
    world = begun(coins=("btc",), windows=("5m",), windows_ahead=1, forget_after_s=600)
    slug, start_s, end_s = five()
    forgotten: list[str] = []
    world.calendar.on_forgotten = forgotten.append
    listing = world.listing(slug)
    market = world.exchange.markets[listing.rules.condition]
    assert (listing.start_s, listing.end_s, listing.strike_e18) == (start_s, end_s, -1)
    world.until(start_s + 2)
    assert listing.strike_e18 == -1
    world.until(start_s + 3)
    assert listing.strike_e18 == world.prices.twap_e18("btc", start_s, 60) > 0
    world.until(end_s - 1)
    assert market.accepting
    world.until(end_s)
    assert not market.accepting and listing not in world.calendar.active()
    world.until(end_s + 17)
    assert (listing.winner, listing.final_e18) == (-1, -1)
    world.until(end_s + 18)
    assert listing.final_e18 == world.prices.twap_e18("btc", end_s, 60)
    assert listing.winner == int(listing.final_e18 < listing.strike_e18)
    assert listing.closed_s == end_s + 18 and market.resolved
    [paid] = [
        event
        for event in world.events
        if isinstance(event, MarketResolved) and event.rules is listing.rules
    ]
    assert paid.payouts_e6[listing.winner] == 1_000_000
    said = [
        m
        for kind, m in world.said
        if kind == "market_resolved" and m["market"] == paid.rules.condition
    ]
    assert not said
    world.until(end_s + 20)
    [told] = [
        m
        for kind, m in world.said
        if kind == "market_resolved" and m["market"] == paid.rules.condition
    ]
    assert told["winning_asset_id"] == listing.rules.tokens[listing.winner]
    assert told["timestamp"] == str((end_s + 20) * 1000)
    world.until(end_s + 18 + 600)
    assert slug not in world.calendar.listings
    assert listing.rules.tokens[0] not in world.calendar.by_token
    assert listing.rules.condition in forgotten


def test_the_final_price_of_a_window_is_the_strike_of_the_next() -> None:
    world = begun(coins=("btc",), windows=("5m",), windows_ahead=1)
    world.until(START_S + 3600)
    windows = [x for x in world.calendar.listings.values() if x.window == "5m"]
    pairs = [(a, b) for a, b in pairwise(windows) if b.strike_e18 >= 0]
    assert len(pairs) == 12
    assert all(a.final_e18 == b.strike_e18 or a.winner < 0 for a, b in pairs)


def test_the_number_of_markets_does_not_grow_over_a_day() -> None:
    world = begun(coins=("btc",), windows=("5m", "1h"), windows_ahead=1, forget_after_s=600)
    world.until(START_S + 3600)
    before = len(world.calendar.listings)
    world.until(START_S + 6 * 3600)
    assert abs(len(world.calendar.listings) - before) <= 2
    assert len(world.calendar.topics) < len(world.calendar.listings)
    assert len(world.exchange.markets) == len(world.calendar.listings)


def test_hours_are_decided_by_the_exchange_price_and_ties_are_up() -> None:
    world = begun(coins=("btc",), windows=("1h",), windows_ahead=0)
    [listing] = [x for x in world.calendar.listings.values() if x.window == "1h"]
    world.until(listing.end_s + 60)
    assert listing.strike_e18 == world.prices.second_e8("btc", listing.start_s) * E10
    assert listing.final_e18 == world.prices.second_e8("btc", listing.end_s) * E10
    assert listing.winner == int(listing.final_e18 < listing.strike_e18)


class Still:
    """Prices that never move."""

    def spot_e8(self, coin: str) -> int:
        return 98_000 * 10**8

    def second_e8(self, coin: str, second: int) -> int:
        return 98_000 * 10**8

    def report_e18(self, coin: str, second: int) -> int:
        return 98_000 * 10**18

    def twap_e18(self, coin: str, second: int, window_s: int) -> int:
        return 98_000 * 10**18


def test_ties_are_up_but_fifty_fifty_for_a_day_and_no_for_a_threshold() -> None:
    world = World()
    world.prices = Still()
    settings = CalendarSettings(coins=("btc",), windows_ahead=0, slow=(), forget_after_s=10**6)
    world.calendar = world.make(settings)
    world.calendar.begin()
    world.until(boundary_s("1d", START_S, 1) + 100)
    winners = {
        (x.window, x.kind): x.winner
        for x in world.calendar.listings.values()
        if x.winner >= 0 and x.strike_e18 == 98_000 * 10**18
    }
    assert winners == {
        ("5m", "updown"): 0,
        ("15m", "updown"): 0,
        ("1h", "updown"): 0,
        ("4h", "updown"): 0,
        ("1d", "updown"): 2,
        ("1d", "above"): 1,
    }
    [day] = [m for kind, m in world.said if kind == "market_resolved" and not m["winning_asset_id"]]
    assert day["winning_outcome"] == ""


def test_a_ladder_resolves_yes_below_the_price_and_no_above() -> None:
    world = begun(coins=("btc",), windows=("1d",), windows_ahead=0)
    end_s = boundary_s("1d", START_S, 1)
    ladder = [x for x in world.calendar.listings.values() if x.kind == "above" and x.end_s == end_s]
    assert len(ladder) == 7
    assert len({x.event_slug for x in ladder}) == 1
    world.until(end_s + 60)
    final_e18 = world.prices.second_e8("btc", end_s) * E10
    assert [x.winner for x in ladder] == [int(final_e18 <= x.strike_e18) for x in ladder]
    assert {x.final_e18 for x in ladder} == {final_e18}
    later = [x for x in world.calendar.active() if x.kind == "above"]
    assert len(later) == 14


def ranges(world: World, end_s: int) -> list[Listing]:
    """The markets of the event of ranges that ends then."""
    listings = world.calendar.listings.values()
    return [x for x in listings if x.end_s == end_s and x.category == "crypto" and x.rules.neg_risk]


def test_an_event_of_ranges_has_every_price_once_and_is_named_as_the_venue_does() -> None:
    world = begun(coins=("btc",), windows=(), ladder_coins=(), range_coins=("btc",))
    found = ranges(world, boundary_s("1d", START_S, 1))
    kinds = [x.kind for x in found]
    assert kinds == ["below", *["range"] * 6, "above"]
    uppers = [x.upper_e18 for x in found[1:-1]]
    assert [x.strike_e18 for x in found[2:]] == uppers
    assert found[0].strike_e18 == found[1].strike_e18
    [topic] = {x.event_slug for x in found}
    assert topic == "bitcoin-price-on-november-22-2026"
    low, high = (x // 10**18 for x in (found[1].strike_e18, found[1].upper_e18))
    assert found[1].slug == f"will-the-price-of-bitcoin-be-between-{low}-{high}-on-november-22"
    assert found[1].question == (
        f"Will the price of Bitcoin be between ${low:,} and ${high:,} on November 22?"
    )
    assert world.calendar.topics[topic].items[found[1].slug] == f"{low:,}-{high:,}"
    assert world.calendar.topics[topic].items[found[0].slug] == f"<{low:,}"
    for listing in found:
        for subject in (
            subject_of(listing.slug, listing.question),
            subject_of(listing.slug, ""),
        ):
            assert (subject.condition, subject.symbol) == (listing.kind, "BTC")
            assert subject.strike_e8 * E10 == listing.strike_e18
            assert subject.upper_e8 * E10 == listing.upper_e18


def test_of_the_ranges_of_a_day_the_one_with_the_price_wins() -> None:
    world = begun(coins=("xrp",), windows=(), ladder_coins=(), range_coins=("xrp",))
    end_s = boundary_s("1d", START_S, 1)
    found = ranges(world, end_s)
    world.until(end_s + 60)
    final_e18 = world.prices.second_e8("xrp", end_s) * E10
    [won] = [x for x in found if x.winner == 0]
    assert won.final_e18 == final_e18
    assert won.kind == "below" or won.strike_e18 <= final_e18
    assert won.kind == "above" or final_e18 < (won.upper_e18 or won.strike_e18)
    assert len(ranges(world, boundary_s("1d", end_s, 2))) == 8


def test_a_price_between_two_ranges_is_in_the_higher_one() -> None:
    world = World()
    world.prices = Still()
    settings = CalendarSettings(
        coins=("btc",), windows=(), slow=(), ladder_coins=(), range_coins=("btc",)
    )
    world.calendar = world.make(settings)
    world.calendar.begin()
    end_s = boundary_s("1d", START_S, 1)
    world.until(end_s + 60)
    [won] = [x for x in ranges(world, end_s) if x.winner == 0]
    assert (won.kind, won.strike_e18) == ("range", 98_000 * 10**18)
    highest = ranges(world, end_s)[-1]
    assert highest.winner_at(highest.strike_e18) == 0
    assert highest.winner_at(highest.strike_e18 - 1) == 1
    lowest = ranges(world, end_s)[0]
    assert (lowest.winner_at(lowest.strike_e18), lowest.winner_at(lowest.strike_e18 - 1)) == (1, 0)


def test_a_lost_boundary_report_delays_strike_and_outcome() -> None:
    world = begun(coins=("btc",), windows=("5m",), windows_ahead=1, missing_after_s=120)
    slug, start_s, end_s = five()
    listing = world.listing(slug)
    world.prices.lose_report("btc", start_s)
    world.prices.lose_report("btc", end_s)
    world.until(start_s + 122)
    assert listing.strike_e18 == -1
    world.until(start_s + 123)
    assert listing.strike_e18 == world.prices.twap_e18("btc", start_s, 60)
    world.until(end_s + 18 + 119)
    assert listing.winner == -1
    world.until(end_s + 18 + 120)
    assert listing.winner in (0, 1) and listing.closed_s == end_s + 138


def test_a_window_that_ran_before_the_venue_has_its_strike() -> None:
    world = begun(coins=("btc",), windows=("5m", "4h", "1d"), windows_ahead=0, slow=())
    world.until(START_S)
    running = [x for x in world.calendar.active() if x.kind == "updown"]
    assert len(running) == 3
    assert all(x.strike_e18 > 0 for x in running)


def test_slow_markets_wander_within_bounds_and_an_election_sums_to_one() -> None:
    world = begun(coins=("btc",), windows=(), slow_sigma=0.5)
    slow = [x for x in world.calendar.active() if x.kind == "event"]
    before = [x.hidden for x in slow]
    world.until(START_S + 3600)
    assert [x.hidden for x in slow] != before
    election = [x for x in slow if x.rules.neg_risk]
    assert len(election) == 3 and {x.category for x in election} == {"politics"}
    assert sum(x.hidden for x in election) == pytest.approx(1.0)
    assert all(0.0 < x.hidden < 1.0 for x in slow)


def test_slow_markets_resolve_when_their_time_comes_with_one_elected() -> None:
    world = begun(coins=("btc",), windows=(), slow_life_s=900)
    slow = [x for x in world.calendar.active() if x.kind == "event"]
    world.until(START_S + 900 + 60)
    assert sorted(x.winner for x in slow if x.rules.neg_risk) == [0, 1, 1]
    assert all(x.winner in (0, 1) for x in slow)


def test_an_operator_decides_an_election() -> None:
    world = begun(coins=("btc",), windows=())
    election = [x for x in world.calendar.active() if x.rules.neg_risk]
    assert not world.calendar.resolve_now("no-such-market", 0)
    assert world.calendar.resolve_now(election[1].slug, 0)
    assert [x.winner for x in election] == [1, 0, 1]
    assert not world.calendar.resolve_now(election[1].slug, 1)
    [other] = [x for x in world.calendar.listings.values() if x.category == "sports"]
    assert other.rules.answers_delayed and other.rules.taker_delay_ns == 3 * SECOND_NS


def test_the_undecided_of_an_election_are_drawn_among_themselves() -> None:
    world = begun(coins=("btc",), windows=(), slow_life_s=900)
    election = [x for x in world.calendar.active() if x.rules.neg_risk]
    world.calendar.resolve_now(election[0].slug, 1)
    world.until(START_S + 960)
    assert election[0].winner == 1
    assert sorted(x.winner for x in election[1:]) == [0, 1]


def test_protocol_v2_ids_have_the_documented_bits() -> None:
    world = begun(coins=("btc",), windows=("1d", "5m"), windows_ahead=0, slow=())
    reserved = ((1 << 64) - 1) << 40
    for listing in world.calendar.listings.values():
        yes, no = (int(token) for token in listing.rules.tokens)
        assert (listing.rules.protocol == "v2") == (listing.window == "1d")
        if listing.rules.protocol == "v1":
            assert yes & reserved and no & reserved
            continue
        assert yes & reserved == 0
        assert (yes >> 248, yes & 0xFF, no & 0xFF) == (1, 0, 1)
        assert listing.rules.condition == f"0x{yes:064x}"


def test_rules_follow_the_category() -> None:
    rules = {x.category: x.rules for x in begun(coins=("btc",)).calendar.listings.values()}
    rates = {name: r.fees.rate_e6 if r.fees else 0 for name, r in rules.items()}
    assert rates == {
        "crypto": 70_000,
        "politics": 40_000,
        "sports": 50_000,
        "geopolitics": 0,
        "economy": 50_000,
    }
    assert rules["crypto"].taker_delay_ns == 50_000_000
    assert rules["crypto"].rewards is not None
    assert rules["crypto"].rewards.max_spread_e4 == 450


def test_the_same_seed_makes_the_same_markets() -> None:
    one, two = begun(), begun()
    for world in (one, two):
        world.until(START_S + 1800)
    assert one.said == two.said
    assert [x.hidden for x in one.calendar.active()] == [x.hidden for x in two.calendar.active()]
