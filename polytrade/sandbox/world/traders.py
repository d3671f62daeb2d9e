"""The traders that make the market alive: who is in which market, and how busy it is there.

Every listing near its running time has a few desks, a crowd of small makers, and takers. They see
the exchanges' price late, each by as much, and place orders like anybody. Messages scale with
`activity`; what a book looks like does not.
"""

from collections import Counter
from collections.abc import Callable
from typing import Final, Protocol

import attrs

from polytrade.core.units import MS_NS, SECOND_NS
from polytrade.sandbox.matching.accounts import Bank
from polytrade.sandbox.matching.exchange import Exchange
from polytrade.sandbox.schedule import Planned, Schedule
from polytrade.sandbox.world.crowd import Crowd
from polytrade.sandbox.world.fair import FairValue
from polytrade.sandbox.world.floor import Floor
from polytrade.sandbox.world.listing import Listing
from polytrade.sandbox.world.makers import Desk
from polytrade.sandbox.world.pit import (
    CHANGES_PER_S,
    MESSAGES_PER_CHANGE,
    CoinView,
    HiddenPrices,
    Pit,
    changes_per_s,
)
from polytrade.sandbox.world.takers import Informed, Momentum, Noise

LOOK_NS: Final = 100 * MS_NS
LOOK_MAX_NS: Final = 5 * SECOND_NS
"""How often traders of a busy and of a slow market look at it."""
BUSY_PER_S: Final = CHANGES_PER_S / 4
"""From this many changes a second on a market is looked at every `LOOK_NS`."""
ACTS_MIN: Final = 1e-6
"""Below this rate nobody acts until the market becomes busier."""
STOCK_EVERY: Final = 50
"""Looks between two of the crowd and of noise traders at what they have to sell."""
LEVELS_AT_ONCE: Final = 12
"""New orders of a desk a look, once the venue runs; before, a book is there at once."""
LEVELS_ALL: Final = 1_000
"""More than any grid of whole cents has."""
LATENCIES_NS: Final = (60 * MS_NS, 120 * MS_NS, 200 * MS_NS, 350 * MS_NS)
BIASES: Final = (0.0, 0.12, -0.12, 0.05)
CROWD_IN_MARKET: Final = 6
NOISE_IN_MARKET: Final = 5


class Listings(Protocol):
    """Which markets take orders now."""

    def active(self) -> list[Listing]:
        """In listing order."""


@attrs.frozen(kw_only=True)
class TraderSettings:
    """How many wallets of each kind there are and how busy they are.

    `activity` 1.0 is the real message rate; `desks` are the market makers of one market.
    """

    activity: float = 1.0
    desks: int = attrs.field(
        default=3, validator=[attrs.validators.ge(1), attrs.validators.le(len(LATENCIES_NS))]
    )
    crowd: int = attrs.field(default=24, validator=attrs.validators.ge(1))
    noise: int = attrs.field(default=20, validator=attrs.validators.ge(1))
    informed: int = attrs.field(default=4, validator=attrs.validators.ge(1))
    momentum: int = attrs.field(default=3, validator=attrs.validators.ge(1))


class Traders:
    """All traders of the venue, at work from the moment they are made.

    `settings.activity` may be changed at any time through `activity`. Refusals of the exchange are
    counted in `refused` by their text; `missed` counts fill-and-kill orders that met nobody.
    """

    def __init__(
        self,
        schedule: Schedule,
        exchange: Exchange,
        bank: Bank,
        prices: HiddenPrices,
        calendar: Listings,
        seed: int,
        settings: TraderSettings | None = None,
    ) -> None:
        self.settings = settings or TraderSettings()
        self.activity = self.settings.activity
        self._floor = Floor(schedule, exchange, bank, seed)
        self._schedule = schedule
        self._exchange = exchange
        self._prices = prices
        self._calendar = calendar
        self._views: dict[str, CoinView] = {}
        self._rooms: dict[str, _Room] = {}
        self._wallets = {
            "maker": self._floor.wallets("maker", self.settings.desks),
            "crowd": self._floor.wallets("crowd", self.settings.crowd),
            "noise": self._floor.wallets("noise", self.settings.noise),
            "informed": self._floor.wallets("informed", self.settings.informed),
            "momentum": self._floor.wallets("momentum", self.settings.momentum),
        }
        self._started_ns = schedule.now_ns
        schedule.after(0, self._each_second)

    @property
    def refused(self) -> Counter[str]:
        """What the exchange refused of them; nothing, unless something is wrong."""
        return self._floor.refused

    @property
    def missed(self) -> int:
        """Fill-and-kill orders that met nobody."""
        return self._floor.missed

    @property
    def orders(self) -> int:
        """Orders placed so far."""
        return self._floor.orders

    def expected_rate(self) -> float:
        """Messages of the market channel a second to expect now, all markets together."""
        now_s = self._schedule.now_ns / SECOND_NS
        rates = (changes_per_s(listing, now_s) for listing in self._calendar.active())
        return self.activity * MESSAGES_PER_CHANGE * sum(rates)

    def _each_second(self) -> None:
        """Go where markets opened, leave where they closed."""
        now_ns = self._schedule.now_ns
        for view in self._views.values():
            view.look(now_ns)
        self._floor.refill()
        gone = dict(self._rooms)
        for listing in self._calendar.active():
            condition = listing.rules.condition
            gone.pop(condition, None)
            if condition not in self._rooms and self._exchange.markets[condition].accepting:
                self._enter(listing)
        for condition, room in gone.items():
            room.close()
            del self._rooms[condition]
        self._schedule.after(SECOND_NS, self._each_second)

    def _enter(self, listing: Listing) -> None:
        now_ns = self._schedule.now_ns
        if not changes_per_s(listing, now_ns / SECOND_NS):
            return
        coin = listing.coin
        if coin and coin not in self._views:
            self._views[coin] = CoinView(self._prices, coin, now_ns)
        fair = FairValue(listing, self._prices)
        pit = Pit(self._floor, listing, self._views.get(coin), fair)
        at_once = now_ns == self._started_ns
        room = _Room(pit, self._wallets, at_once, lambda: self.activity)
        self._rooms[listing.rules.condition] = room


class _Room:
    """Everybody in one market, and when each acts next."""

    def __init__(
        self,
        pit: Pit,
        wallets: dict[str, tuple[str, ...]],
        at_once: bool,
        activity: Callable[[], float],
    ) -> None:
        self._pit = pit
        self._activity = activity
        self._looks = 0
        self._plans: dict[str, Planned] = {}
        rng = pit.rng
        self._desks = [
            Desk(pit, wallet, LATENCIES_NS[number], BIASES[number], whole=number == 0)
            for number, wallet in enumerate(wallets["maker"])
        ]
        self._crowd = Crowd(pit, _some(pit, wallets["crowd"], CROWD_IN_MARKET))
        self._noise = Noise(pit, _some(pit, wallets["noise"], NOISE_IN_MARKET))
        self._informed = Informed(pit, wallets["informed"])
        self._momentum = Momentum(pit, wallets["momentum"])
        if at_once:
            for desk in self._desks:
                desk.look(LEVELS_ALL)
        self._schedule = pit.floor.schedule
        self._rate = self._rate_now()
        self._plan("look", int(rng.random() * self._look_gap_ns()), self._look)
        self._idle = {"crowd": True, "noise": True}
        self._plan("crowd", LOOK_NS, self._act)
        self._plan("noise", LOOK_NS, self._trade)

    def close(self) -> None:
        """Nobody acts here any more."""
        for plan in self._plans.values():
            plan.cancel()

    def _plan(self, what: str, wait_ns: int, action: Callable[[], None]) -> None:
        self._plans[what] = self._schedule.after(wait_ns, action)

    def _rate_now(self) -> float:
        now_s = self._schedule.now_ns / SECOND_NS
        return self._activity() * changes_per_s(self._pit.listing, now_s)

    def _look_gap_ns(self) -> int:
        return int(min(LOOK_MAX_NS, LOOK_NS * max(1.0, BUSY_PER_S / max(self._rate, ACTS_MIN))))

    def _look(self) -> None:
        pit = self._pit
        self._rate = self._rate_now()
        pit.lift_mood()
        self._looks += 1
        if self._looks % STOCK_EVERY == 0:
            self._crowd.stock()
            self._noise.stock()
        for desk in self._desks:
            desk.look(LEVELS_AT_ONCE)
        self._crowd.look()
        self._informed.look(self._rate)
        self._momentum.look(self._rate)
        gap_ns = self._look_gap_ns()
        self._plan("look", int(gap_ns * (0.75 + 0.5 * pit.rng.random())), self._look)

    def _act(self) -> None:
        if not self._idle["crowd"]:
            self._crowd.act(self._rate)
        self._next("crowd", self._crowd.gap_ns, self._act)

    def _trade(self) -> None:
        if not self._idle["noise"]:
            self._noise.act()
        self._next("noise", self._noise.gap_ns, self._trade)

    def _next(self, what: str, gap_ns: Callable[[float], int], action: Callable[[], None]) -> None:
        """Plan the next act; a wait too long to foresee is drawn anew at a later rate."""
        wait_ns = gap_ns(self._rate) if self._rate > ACTS_MIN else LOOK_MAX_NS + 1
        self._idle[what] = wait_ns > LOOK_MAX_NS
        self._plan(what, min(wait_ns, LOOK_MAX_NS), action)


def _some(pit: Pit, wallets: tuple[str, ...], count: int) -> tuple[str, ...]:
    """A choice of wallets, each at most once."""
    left = list(wallets)
    chosen: list[str] = []
    while left and len(chosen) < count:
        chosen.append(left.pop(pit.rng.randrange(len(left))))
    return tuple(chosen)
