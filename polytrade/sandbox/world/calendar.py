"""Which markets exist and when: they are listed, opened, closed, resolved and forgotten here.

Crypto windows follow each other; ladders come daily; slow markets stay. A price is settled by the
average stamped at the boundary (5m, 15m, 4h) or by the exchange price then (1h, 1d, ladders). When
the boundary's report was lost, price to beat and outcome are out later.
"""

import random
from collections.abc import Callable
from typing import Any, Final, Protocol

import attrs

from polytrade.core.units import MS_NS, SECOND_NS
from polytrade.sandbox.matching.rules import MarketRules
from polytrade.sandbox.schedule import Schedule
from polytrade.sandbox.world.announcements import new_market, resolved
from polytrade.sandbox.world.crypto_markets import (
    LADDER,
    RANGES,
    ladder_topic,
    ranges_topic,
    window_topic,
)
from polytrade.sandbox.world.listing import EVENT, Listing
from polytrade.sandbox.world.slow_markets import SLOW_EVENTS, SlowEvent, slow_event
from polytrade.sandbox.world.topics import Terms, Topic
from polytrade.sandbox.world.windows import WINDOWS, boundary_s

PAYOUTS_E6: Final = ((1_000_000, 0), (0, 1_000_000), (500_000, 500_000))
LATER_MAX_S: Final = 600
"""How far behind a boundary a replacement of its missing report is looked for."""
MARKETS_MAX: Final = 20_000
"""Markets at a time: a day of 5-minute windows of eight coins is 2,304."""
E10: Final = 10_000_000_000
FIRST_MARKET: Final = 2_600_000
FIRST_EVENT: Final = 600_000


class PriceSource(Protocol):
    """What the calendar asks of the prices; -1 where a report is missing or not out yet."""

    def spot_e8(self, coin: str) -> int:
        """The exchange price now."""

    def second_e8(self, coin: str, second: int) -> int:
        """The exchange price as a second began."""

    def report_e18(self, coin: str, second: int) -> int:
        """The settlement stream's report stamped that second."""

    def twap_e18(self, coin: str, second: int, window_s: int) -> int:
        """The average over the `window_s` seconds up to `second`."""


class Venue(Protocol):
    """What the calendar asks of the exchange."""

    def open_market(self, rules: MarketRules) -> object:
        """Take orders."""

    def close_market(self, condition: str) -> object:
        """Take no more orders."""

    def resolve(self, condition: str, payouts_e6: tuple[int, int]) -> object:
        """Pay a share of each token so much."""

    def forget_market(self, condition: str) -> object:
        """Drop the market."""


@attrs.frozen(kw_only=True)
class CalendarSettings:
    """Which markets there are and how long each step of their lives takes.

    `v2` names what is of protocol v2: windows, `ladder`, `ranges`, slow categories. `range_coins`
    have ranges between the strikes of a ladder, as many days ahead. Prices to beat are published
    `strike_after_ms` after the start; outcomes `resolve_after_s` after the end of 5m and 15m
    windows, `resolve_slow_after_s` after that of others, by the socket `announce_after_s` later.
    """

    seed: int = 0
    coins: tuple[str, ...] = ("btc", "eth")
    windows: tuple[str, ...] = WINDOWS
    windows_ahead: int = 3
    ladder_coins: tuple[str, ...] = ("btc",)
    range_coins: tuple[str, ...] = ()
    ladder_strikes: int = 7
    ladder_ahead: int = 1
    slow: tuple[str, ...] = tuple(spec.slug for spec in SLOW_EVENTS)
    slow_life_s: int = 90 * 86_400
    slow_step_s: int = 10
    slow_sigma: float = 0.02
    v2: tuple[str, ...] = ("1d", LADDER)
    strike_after_ms: int = 3_000
    resolve_after_s: int = 18
    resolve_slow_after_s: int = 60
    announce_after_s: int = 2
    missing_after_s: int = 120
    forget_after_s: int = 3_600
    taker_delay_ms: int = 50
    sports_delay_s: int = 3
    rewards_daily_e6: int = 100_000_000


class Calendar:
    """The markets of the venue by slug, condition and token, from their listing to oblivion.

    `announce(kind, message)` gets the market channel's `new_market` and `market_resolved`,
    `on_forgotten` the condition of a market of which nothing is kept any more.
    """

    def __init__(
        self,
        schedule: Schedule,
        exchange: Venue,
        prices: PriceSource,
        settings: CalendarSettings,
        announce: Callable[[str, dict[str, Any]], None],
    ) -> None:
        self.settings = settings
        self.listings: dict[str, Listing] = {}
        self.by_condition: dict[str, Listing] = {}
        self.by_token: dict[str, Listing] = {}
        self.topics: dict[str, Topic] = {}
        self.on_forgotten: Callable[[str], None] = lambda condition: None
        self._schedule = schedule
        self._exchange = exchange
        self._prices = prices
        self._announce = announce
        self._rng = random.Random(f"calendar|{settings.seed}")
        self._terms = Terms(
            settings.seed,
            settings.taker_delay_ms,
            settings.sports_delay_s,
            settings.rewards_daily_e6,
        )
        self._slow: dict[str, SlowEvent] = {}
        self._events = FIRST_EVENT
        self._markets = FIRST_MARKET

    def begin(self) -> None:
        """List what runs now and what is due ahead, and plan everything after."""
        settings = self.settings
        for window in settings.windows:
            for ahead in range(settings.windows_ahead + 1):
                self._list_windows(window, ahead)
            self._plan_windows(window)
        for ahead in range(settings.ladder_ahead + 1):
            self._list_ladders(ahead)
        if settings.ladder_coins or settings.range_coins:
            self._plan_ladders()
        self._list_slow()

    def active(self) -> list[Listing]:
        """The markets that take orders, in listing order."""
        now_ns = self._schedule.now_ns
        return [
            listing
            for listing in self.listings.values()
            if listing.winner < 0 and now_ns < listing.end_s * SECOND_NS
        ]

    def resolve_now(self, slug: str, winner: int) -> bool:
        """Decide a market that is not about a price; whether there is such an open market.

        In an event of several markets a YES makes the others NO.
        """
        listing = self.listings.get(slug)
        if listing is None or listing.kind != EVENT or listing.winner >= 0:
            return False
        topic = self.topics[listing.event_slug]
        others = [each for each in topic.listings if each is not listing and each.winner < 0]
        self._end(listing, winner)
        if winner == 0 and topic.neg_risk:
            for other in others:
                self._end(other, 1)
        return True

    @property
    def now_s(self) -> int:
        """The second it is."""
        return self._schedule.now_ns // SECOND_NS

    # --- listing -----------------------------------------------------------------------------

    def _list_windows(self, window: str, ahead: int) -> None:
        for coin in self.settings.coins:
            protocol = self._protocol(window)
            topic = window_topic(self._terms, coin, window, self.now_s, ahead, protocol)
            self._list(topic)

    def _plan_windows(self, window: str) -> None:
        def turn() -> None:
            self._list_windows(window, self.settings.windows_ahead)
            self._plan_windows(window)

        self._schedule.at(boundary_s(window, self.now_s, 1) * SECOND_NS, turn)

    def _list_ladders(self, ahead: int) -> None:
        now_s, settings = self.now_s, self.settings
        end_s = boundary_s("1d", now_s, 1 + ahead)
        for make, coins, name in (
            (ladder_topic, settings.ladder_coins, LADDER),
            (ranges_topic, settings.range_coins, RANGES),
        ):
            protocol = self._protocol(name)
            for coin in coins:
                spot_e8, strikes = self._prices.spot_e8(coin), settings.ladder_strikes
                self._list(make(self._terms, coin, now_s, end_s, spot_e8, strikes, protocol))

    def _plan_ladders(self) -> None:
        def turn() -> None:
            self._list_ladders(self.settings.ladder_ahead)
            self._plan_ladders()

        self._schedule.at(boundary_s("1d", self.now_s, 1) * SECOND_NS, turn)

    def _list_slow(self) -> None:
        settings, now_s = self.settings, self.now_s
        for spec in SLOW_EVENTS:
            if spec.slug not in settings.slow:
                continue
            protocol = self._protocol(spec.category)
            end_s = now_s + settings.slow_life_s
            event = slow_event(self._terms, spec, now_s, end_s, protocol, self._rng)
            self._slow[event.topic.slug] = event
            self._list(event.topic)
        if self._slow:
            self._schedule.after(settings.slow_step_s * SECOND_NS, self._wander)

    def _wander(self) -> None:
        for event in self._slow.values():
            event.step(self._rng, self.settings.slow_sigma)
        if self._slow:
            self._schedule.after(self.settings.slow_step_s * SECOND_NS, self._wander)

    def _protocol(self, kind: str) -> str:
        return "v2" if kind in self.settings.v2 else "v1"

    def _list(self, topic: Topic) -> None:
        if topic.slug in self.topics:
            return
        assert len(self.listings) + len(topic.listings) <= MARKETS_MAX, "too many markets"
        self._events += 1
        topic.number = self._events
        self.topics[topic.slug] = topic
        for listing in topic.listings:
            self._markets += 1
            topic.numbers[listing.slug] = self._markets
            rules = listing.rules
            self.listings[listing.slug] = listing
            self.by_condition[rules.condition] = listing
            for token in rules.tokens:
                self.by_token[token] = listing
            self._exchange.open_market(rules)
            self._announce("new_market", new_market(topic, listing, self._now_ms()))
            self._plan(listing)

    def _plan(self, listing: Listing) -> None:
        at = self._schedule.at
        start_ns, end_ns = listing.start_s * SECOND_NS, listing.end_s * SECOND_NS
        if listing.strike_e18 < 0 and listing.kind != EVENT:
            at(start_ns + self.settings.strike_after_ms * MS_NS, lambda: self._strike(listing))
        at(end_ns, lambda: self._close(listing))
        quick = listing.window in ("5m", "15m")
        wait_s = self.settings.resolve_after_s if quick else self.settings.resolve_slow_after_s
        at(end_ns + wait_s * SECOND_NS, lambda: self._decide(listing))

    # --- prices ------------------------------------------------------------------------------

    def _settled_e18(self, listing: Listing, second: int, late: bool) -> int:
        """What a boundary settles at, -1 when that is not known yet.

        When `late`, a lost report no longer matters: the average that the oracle knows decides, or
        the nearest later one.
        """
        coin, lookback_s, prices = listing.coin, listing.lookback_s, self._prices
        if not lookback_s:
            price_e8 = prices.second_e8(coin, second)
            return price_e8 * E10 if price_e8 >= 0 else -1
        if not late:
            lost = prices.report_e18(coin, second) < 0
            return -1 if lost else prices.twap_e18(coin, second, lookback_s)
        for stamp in range(second, min(second + LATER_MAX_S, self.now_s) + 1):
            value_e18 = prices.twap_e18(coin, stamp, lookback_s)
            if value_e18 >= 0:
                return value_e18
        return -1

    def _strike(self, listing: Listing, late: bool = False) -> None:
        """Publish the price to beat; later when the boundary's report is missing."""
        # A window that ran already when the venue started has no wait to simulate.
        late = late or listing.listed_s > listing.start_s
        listing.strike_e18 = self._settled_e18(listing, listing.start_s, late)
        if listing.strike_e18 < 0 and listing.winner < 0:
            wait_ns = self.settings.missing_after_s * SECOND_NS
            self._schedule.after(wait_ns, lambda: self._strike(listing, late=True))

    # --- the end -----------------------------------------------------------------------------

    def _close(self, listing: Listing) -> None:
        if listing.winner < 0:
            self._exchange.close_market(listing.rules.condition)

    def _decide(self, listing: Listing, late: bool = False) -> None:
        if listing.winner >= 0:
            return
        if listing.kind == EVENT:
            self._decide_slow(listing)
            return
        if listing.strike_e18 < 0:
            listing.strike_e18 = self._settled_e18(listing, listing.start_s, late)
        final_e18 = self._settled_e18(listing, listing.end_s, late)
        if final_e18 < 0 or listing.strike_e18 < 0:
            wait_ns = self.settings.missing_after_s * SECOND_NS
            self._schedule.after(wait_ns, lambda: self._decide(listing, late=True))
            return
        listing.final_e18 = final_e18
        self._end(listing, listing.winner_at(final_e18))

    def _decide_slow(self, listing: Listing) -> None:
        event = self._slow[listing.event_slug]
        for each, winner in zip(event.topic.listings, event.draw(self._rng), strict=True):
            if each.winner < 0:
                self._end(each, winner)

    def _end(self, listing: Listing, winner: int) -> None:
        """The outcome is known: pay, tell, and forget some time later."""
        topic, after = self.topics[listing.event_slug], self._schedule.after
        condition = listing.rules.condition
        listing.winner, listing.closed_s = winner, self.now_s
        if self.now_s < listing.end_s:
            self._exchange.close_market(condition)
        self._exchange.resolve(condition, PAYOUTS_E6[winner])
        after(self.settings.announce_after_s * SECOND_NS, lambda: self._tell_resolved(listing))
        if topic.closed:
            self._slow.pop(topic.slug, None)
            after(self.settings.forget_after_s * SECOND_NS, lambda: self._forget(topic))

    def _tell_resolved(self, listing: Listing) -> None:
        topic = self.topics.get(listing.event_slug)
        if topic is not None:
            self._announce("market_resolved", resolved(topic, listing, self._now_ms()))

    def _forget(self, topic: Topic) -> None:
        del self.topics[topic.slug]
        for listing in topic.listings:
            del self.listings[listing.slug]
            del self.by_condition[listing.rules.condition]
            for token in listing.rules.tokens:
                del self.by_token[token]
            self._exchange.forget_market(listing.rules.condition)
            self.on_forgotten(listing.rules.condition)

    def _now_ms(self) -> int:
        return self._schedule.now_ns // MS_NS
