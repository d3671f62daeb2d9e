"""The live venue: a simulation with doors. Requests, orders and sockets meet it here."""

from collections.abc import Callable
from typing import Final

from polytrade.core.units import MS_NS, ONE_E6, SECOND_NS
from polytrade.sandbox.dialects import Played
from polytrade.sandbox.endpoints import Endpoints
from polytrade.sandbox.matching.exchange import Exchange
from polytrade.sandbox.simulation import Simulation
from polytrade.sandbox.venue.auth import KeyStore
from polytrade.sandbox.venue.chain import Chain
from polytrade.sandbox.venue.heartbeats import Heartbeats
from polytrade.sandbox.venue.limits import Limits
from polytrade.sandbox.venue.notifications import Notifications
from polytrade.sandbox.venue.options import VenueOptions
from polytrade.sandbox.venue.scenario import Scenario, Step, load_scenario
from polytrade.sandbox.venue.troubles import Troubles
from polytrade.sandbox.venue.user_channel import UserChannel
from polytrade.sandbox.venue.wallets import wallets_of

SLOW_CLOSED: Final = "slow consumer"
TURN_MAX: Final = 100
"""Actions a turn: about 10 ms of work and 200 frames, which are sent before there are more."""


class LocalVenue:
    """The parts of one venue, and its time.

    `clock` is the wall clock in ns; the venue follows it through `catch_up`. Raises ConfigError
    when the scenario cannot be read.
    """

    def __init__(self, options: VenueOptions, clock: Callable[[], int]) -> None:
        self.options = options
        self.endpoints = Endpoints(options.host)
        self._clock = clock
        self.simulation = Simulation(options, clock(), self._frame, self._wanted)
        self.schedule = self.simulation.schedule
        self.publish = self.simulation.publish
        self.bank = self.simulation.bank
        self.exchange: Exchange = self.simulation.exchange
        self.prices = self.simulation.prices
        self.calendar = self.simulation.calendar
        self.traders = self.simulation.traders
        self.market_channel = self.simulation.market_channel
        self.user_channel = UserChannel(self.publish)
        self.notifications = Notifications()
        self.simulation.listeners += [self.user_channel.take, self.notifications.take]
        self.relays = self.simulation.relays
        self.exchanges = self.simulation.exchanges
        self.keys = KeyStore(options.seed, self._fund)
        self.limits = Limits()
        self.heartbeats = Heartbeats(self.schedule, self._drop_orders)
        self.troubles = Troubles(self.schedule)
        self.chain = Chain(self)
        self.scenario: Scenario | None = None
        steps = () if options.scenario is None else load_scenario(options.scenario)
        self.play(steps)

    def play(self, steps: tuple[Step, ...]) -> None:
        """Begin a scenario, in place of the one under way."""
        if self.scenario is not None:
            self.scenario.stop()
        self.scenario = Scenario(
            steps, self.schedule, lambda order: self.troubles.apply(order, self)
        )
        self.scenario.start()

    def now_ns(self) -> int:
        """The time the venue tells: the wall clock's and what is wrong with it."""
        return self._clock() + self.troubles.skew_ms * MS_NS

    def now_s(self) -> int:
        """`now_ns` in whole seconds."""
        return self.now_ns() // SECOND_NS

    def catch_up(self) -> bool:
        """Live up to now; False when there is more to do than one turn should take."""
        return self.schedule.run_until(self._clock(), TURN_MAX)

    def _frame(self, endpoint: str, played: Played) -> None:
        if endpoint in self.endpoints:
            self.troubles.frames.deliver(endpoint, played, self._send)

    def _send(self, endpoint: str, played: Played) -> None:
        for connection in self.endpoints.publish(endpoint, played):
            connection.close(SLOW_CLOSED)

    def _wanted(self, endpoint: str) -> bool:
        found = self.endpoints.get(endpoint)
        return found is not None and bool(found.connections)

    def _fund(self, signer: str) -> None:
        """What the faucet gives to each wallet of a signer that is new here."""
        for _, address in wallets_of(signer):
            wallet = address.lower()
            if not self.bank.knows(wallet):
                self.bank.fund(wallet, self.options.faucet * ONE_E6)

    def _drop_orders(self, owner: str) -> None:
        self.exchange.cancel_where(owner=owner)
