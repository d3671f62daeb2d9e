"""The world of a live venue without its doors: prices, markets, matching, traders and their frames.

Sockets publish what it says; a tape writes it down. Both run this same object.
"""

import random
from collections.abc import Callable
from typing import Final

from polytrade.core.units import ONE_E6, SECOND_NS
from polytrade.sandbox.dialects import Played
from polytrade.sandbox.matching.accounts import Bank
from polytrade.sandbox.matching.events import VenueEvent
from polytrade.sandbox.matching.exchange import Exchange
from polytrade.sandbox.schedule import Schedule
from polytrade.sandbox.venue.exchanges import Surroundings, make_exchanges
from polytrade.sandbox.venue.market_channel import MarketChannel, MarketChannelSettings
from polytrade.sandbox.venue.options import VenueOptions
from polytrade.sandbox.venue.relays import Relays
from polytrade.sandbox.world.calendar import Calendar, CalendarSettings
from polytrade.sandbox.world.prices import COINS, Prices
from polytrade.sandbox.world.slow_markets import SLOW_EVENTS
from polytrade.sandbox.world.traders import Traders, TraderSettings

WARM_UP_S: Final = 20
"""Market time lived before anybody hears: makers have quoted, the first trades are done."""
REWARDS_E6: Final = 1_000_000 * ONE_E6
"""What liquidity rewards are paid from: months of every market's daily pool."""

Publish = Callable[[str, Played], None]
"""A frame for the clients of an endpoint."""


class Simulation:
    """Everything that happens at the venue by itself, from the second `start_ns` is in.

    `publish` gets the frames of every endpoint from then on; `wanted` says whether an endpoint has
    listeners, so that exchanges nobody follows cost nothing. `listeners` hear everything the
    matching engine tells. The same options and start give the
    same frames as long as nobody else trades.
    """

    def __init__(
        self,
        options: VenueOptions,
        start_ns: int,
        publish: Publish,
        wanted: Callable[[str], bool] = lambda endpoint: True,
    ) -> None:
        start_ns -= start_ns % SECOND_NS
        self.options = options
        self._publish = publish
        self._heard = False
        seed = options.seed
        self.schedule = Schedule(start_ns - WARM_UP_S * SECOND_NS)
        self.prices = Prices(seed, {coin: COINS[coin] for coin in options.coins}, self.schedule)
        self.bank = Bank()
        self.bank.fund_rewards(REWARDS_E6)
        self.exchange = Exchange(
            self.schedule, self.bank, random.Random(f"{seed}|exchange"), self._tell
        )
        self.market_channel = MarketChannel(
            self.schedule,
            self.publish,
            MarketChannelSettings(),
            random.Random(f"{seed}|market channel"),
        )
        self.listeners: list[Callable[[VenueEvent], None]] = [self.market_channel.take]
        self.calendar = Calendar(
            self.schedule,
            self.exchange,
            self.prices,
            _calendar_settings(options),
            self.market_channel.announce,
        )
        self.calendar.on_forgotten = self.market_channel.forget
        self.exchanges = make_exchanges(
            Surroundings(
                schedule=self.schedule,
                prices=self.prices,
                publish=self.publish,
                wanted=wanted,
                seed=seed,
                activity=options.activity,
            )
        )
        self.relays = Relays(self.schedule, self.prices, self.publish, wanted)
        self.calendar.begin()
        self.traders = Traders(
            self.schedule,
            self.exchange,
            self.bank,
            self.prices,
            self.calendar,
            seed,
            TraderSettings(activity=options.activity),
        )
        while not self.schedule.run_until(start_ns):
            pass
        self._heard = True

    def publish(self, endpoint: str, played: Played) -> None:
        """A frame for the clients of an endpoint; nobody hears those of the warm-up."""
        if self._heard:
            self._publish(endpoint, played)

    def _tell(self, event: VenueEvent) -> None:
        for listener in self.listeners:
            listener(event)


def _calendar_settings(options: VenueOptions) -> CalendarSettings:
    slow = options.slow_markets
    return CalendarSettings(
        seed=options.seed,
        coins=options.coins,
        windows=options.windows,
        windows_ahead=options.windows_ahead,
        ladder_coins=options.coins[:1] if slow else (),
        range_coins=options.coins[:1] if slow else (),
        slow=tuple(event.slug for event in SLOW_EVENTS) if slow else (),
    )
