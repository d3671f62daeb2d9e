"""A venue of one market without doors: what faults, scenarios and the admin app need of one."""

import random
from types import SimpleNamespace

import attrs
import trio

from polytrade.core.ids import BUY, YES
from polytrade.sandbox.connection import Connection, Selected
from polytrade.sandbox.dialects import Part, Played
from polytrade.sandbox.endpoints import Endpoint, Endpoints
from polytrade.sandbox.matching.accounts import Bank
from polytrade.sandbox.matching.exchange import Exchange
from polytrade.sandbox.matching.orders import Order
from polytrade.sandbox.matching.rules import MarketRules
from polytrade.sandbox.schedule import Schedule
from polytrade.sandbox.venue.market_channel import MarketChannel, MarketChannelSettings
from polytrade.sandbox.venue.options import VenueOptions
from polytrade.sandbox.venue.scenario import Scenario
from polytrade.sandbox.venue.troubles import Troubles
from polytrade.sandbox.world.listing import EVENT, UPDOWN, Listing

SECOND = 1_000_000_000
START_S = 1_763_294_400
"""2025-11-16T12:00:00Z, a boundary of every window."""
UP, DOWN = "1001", "1002"
BTC = "btc-updown-5m-1763294400"
WALLET = "0x" + "ab" * 20
OWNER = "00000000-0000-4000-8000-000000000001"


@attrs.define
class Relays:
    """Remembers what it was told to stall."""

    stalls: list = attrs.field(factory=list)

    def stall(self, name, until_ns):
        self.stalls.append((name, until_ns))


@attrs.define
class Prices:
    """Two coins that never move."""

    coins: tuple = ("btc", "eth")
    lost: list = attrs.field(factory=list)
    jumps: list = attrs.field(factory=list)

    def spot_e8(self, coin):
        return {"btc": 9_512_345_678_901, "eth": 312_345_678_901}[coin]

    def lose_report(self, coin, second):
        self.lost.append((coin, second))

    def jump(self, coin, bps):
        self.jumps.append((coin, bps))


@attrs.define
class Calendar:
    """Listings by slug; only events are decided by hand."""

    listings: dict = attrs.field(factory=dict)
    by_condition: dict = attrs.field(factory=dict)

    def add(self, listing):
        self.listings[listing.slug] = listing
        self.by_condition[listing.rules.condition] = listing

    def active(self):
        return [listing for listing in self.listings.values() if listing.winner < 0]

    def resolve_now(self, slug, winner):
        listing = self.listings.get(slug)
        if listing is None or listing.kind != EVENT or listing.winner >= 0:
            return False
        listing.winner = winner
        return True


class Everything:
    """A dialect that takes every frame as it is."""

    subscriptions = frozenset(("all",))

    def hear(self, text):
        return []

    def select(self, played):
        return Selected(played.text, played.types())


class SmallVenue:
    """One 5-minute market and one event, both open, with sockets nobody listens on."""

    def __init__(self):
        self.schedule = Schedule(START_S * SECOND)
        self.options = VenueOptions(seed=7)
        self.bank = Bank()
        self.troubles = Troubles(self.schedule)
        self.market_channel = MarketChannel(
            self.schedule, self.publish, MarketChannelSettings(), random.Random(7)
        )
        self.exchange = Exchange(
            self.schedule, self.bank, random.Random(7), self.market_channel.take
        )
        self.prices, self.relays, self.calendar = Prices(), Relays(), Calendar()
        self.expired = 0
        self.heartbeats = SimpleNamespace(expire_all=self._expire_all)
        self.traders = SimpleNamespace(expected_rate=lambda: 54.0)
        self.endpoints = Endpoints("127.0.0.1")
        self.scenario = None
        self.published = []
        for name in ("clob", "gamma", "admin"):
            self.endpoints[name] = Endpoint(name)
        for name in ("market", "user", "rtds", "polybolt", "binance", "okx"):
            self.endpoints[name] = Endpoint(name, lambda path: Everything())
        self._list(BTC, "0x" + "1" * 64, UPDOWN, (UP, DOWN), ("Up", "Down"), START_S + 300)
        self._list("will-it", "0x" + "2" * 64, EVENT, ("2001", "2002"), ("Yes", "No"), 2**31)

    def _expire_all(self):
        self.expired += 1
        return 1

    def _list(self, slug, condition, kind, tokens, outcomes, end_s):
        rules = MarketRules(condition=condition, tokens=tokens, outcomes=outcomes)
        self.exchange.open_market(rules)
        self.calendar.add(
            Listing(
                rules=rules,
                slug=slug,
                event_slug=slug,
                question=f"{slug}?",
                category="crypto",
                kind=kind,
                coin="btc" if kind == UPDOWN else "",
                listed_s=START_S - 600,
                start_s=START_S,
                end_s=end_s,
                strike_e18=95_100 * 10**18 if kind == UPDOWN else -1,
            )
        )

    def publish(self, endpoint, played):
        self.troubles.frames.deliver(endpoint, played, self._send)

    def _send(self, endpoint, played):
        self.published.append((self.schedule.now_ns, endpoint, played.text))
        self.endpoints.publish(endpoint, played)

    def play(self, steps):
        if self.scenario is not None:
            self.scenario.stop()
        self.scenario = Scenario(
            steps, self.schedule, lambda order: self.troubles.apply(order, self)
        )
        self.scenario.start()

    def catch_up(self):
        """Time moves by `advance` only."""

    def advance(self, seconds):
        """Live so long."""
        self.schedule.run_until(self.schedule.now_ns + int(seconds * SECOND), 10**6)

    def connect(self, endpoint):
        """A client of an endpoint; nothing is written to it."""
        number = self.endpoints.next_connection()
        client = Connection(number, endpoint, Everything(), None, trio.CancelScope())
        self.endpoints[endpoint].connections[number] = client
        return client

    def bid(self, price_e4, size=10, wallet=WALLET, owner=OWNER, slug=BTC):
        """A resting BUY of the first outcome."""
        order = Order(
            order_id=f"0x{len(self.exchange.orders) + 1:064x}",
            wallet=wallet,
            owner=owner,
            condition=self.calendar.listings[slug].rules.condition,
            token=YES,
            side=BUY,
            price_e4=price_e4,
            size_e6=size * 1_000_000,
            created_ns=self.schedule.now_ns,
        )
        self.exchange.place(order)
        return order


def frame(text, kind="price_change"):
    """A frame of one message."""
    return Played("polymarket.market/0", text, (Part(kind, (UP,)),))
