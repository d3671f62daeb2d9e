"""One market as its traders see it: prices with a delay, the book, how busy it is."""

import random
from typing import Final, Protocol

from polytrade.core.units import ONE_E4, SECOND_NS
from polytrade.sandbox.matching.book import Book
from polytrade.sandbox.matching.orders import Order
from polytrade.sandbox.matching.rules import MarketRules
from polytrade.sandbox.world.fair import FairValue, SettlementPrices
from polytrade.sandbox.world.floor import Floor
from polytrade.sandbox.world.listing import EVENT, UPDOWN, Listing

SIGMA_WEIGHT: Final = 1 / 600
"""Memory of the usual volatility: 10 minutes of looks."""
SIGMA_NOW_S: Final = 300.0
"""Ahead of this the volatility of the moment tells little, the usual one more."""
CHANGES_PER_S: Final = 505.0
"""Level changes a second of the running BTC 5-minute window at activity 1: 93.5 % of 540."""
MESSAGES_PER_CHANGE: Final = 1.07
"""Books, trades and best prices come on top."""
SLOW_PER_S: Final = 1 / 60
"""Changes a second of a market nobody hurries about."""
COIN_SHARE: Final = {"btc": 1.0, "eth": 0.4, "sol": 0.3, "xrp": 0.25}
OTHER_COIN_SHARE: Final = 0.2
WINDOW_SHARE: Final = {"5m": 1.0, "15m": 0.5, "1h": 0.2, "4h": 0.1, "1d": 0.03}
UNDECIDED_S: Final = (-150.0, 80.0)
"""Until so many seconds before the end somebody sells even what is as good as won: a side of a book
is empty in the last minute and a half only, and in most markets never."""
UNDECIDED_TICKS: Final = 1.5
NEXT_SHARE: Final = 0.1
LADDER_SHARE: Final = 0.004
"""Of a threshold or range market: a level of a ladder for the day."""


class HiddenPrices(SettlementPrices, Protocol):
    """What traders know of prices: the exchange's, its volatility, the settling source."""

    def spot_at_e8(self, coin: str, ts_ns: int) -> int:
        """The exchange's price then, at most some seconds ago."""

    def sigma_bps(self, coin: str) -> float:
        """The volatility per square root of a second now."""


class CoinView:
    """What traders make of a coin: late prices, usual volatility, distance to the settling source.

    `look` is to be called once a second.
    """

    def __init__(self, prices: HiddenPrices, coin: str, now_ns: int) -> None:
        self.coin = coin
        self._prices = prices
        self._sigma = self._usual = prices.sigma_bps(coin)
        self._basis = 1.0
        self.look(now_ns)

    def look(self, now_ns: int) -> None:
        """Learn how volatile the price is and how far the settling source is from it."""
        self._sigma = self._prices.sigma_bps(self.coin)
        self._usual += SIGMA_WEIGHT * (self._sigma - self._usual)
        second = now_ns // SECOND_NS
        report = self._prices.report_e18(self.coin, second)
        spot = self._prices.second_e8(self.coin, second)
        if report > 0 and spot > 0:
            self._basis = report / (spot * 10**10)

    def spot_e8(self, at_ns: int) -> int:
        """The exchange's price as it was then."""
        return self._prices.spot_at_e8(self.coin, at_ns)

    def settling_e8(self, at_ns: int) -> int:
        """The price then as the settling source would report it."""
        return int(self.spot_e8(at_ns) * self._basis)

    def move_bps(self, now_ns: int, ago_ns: int) -> float:
        """How far the price went since so long ago."""
        return (self.spot_e8(now_ns) / self.spot_e8(now_ns - ago_ns) - 1.0) * 1e4

    def sigma_bps(self, left_s: float) -> float:
        """The volatility a market believes in for the time that is left."""
        now = min(1.0, SIGMA_NOW_S / max(1.0, left_s))
        return float((now * self._sigma**2 + (1.0 - now) * self._usual**2) ** 0.5)


def changes_per_s(listing: Listing, now_s: float) -> float:
    """Level changes a second of a listing at activity 1."""
    if listing.closed_s or now_s >= listing.end_s:
        return 0.0
    if listing.kind == EVENT:
        return SLOW_PER_S
    share = COIN_SHARE.get(listing.coin, OTHER_COIN_SHARE)
    if listing.kind != UPDOWN:
        share *= LADDER_SHARE
    else:
        share *= WINDOW_SHARE.get(listing.window, LADDER_SHARE)
        length_s = listing.end_s - listing.start_s
        if now_s < listing.start_s - length_s:
            share = 0.0
        elif now_s < listing.start_s:
            share *= NEXT_SHARE
    return max(SLOW_PER_S, share * CHANGES_PER_S)


class Pit:
    """A listing's market with what its traders share: chance, fair value, mood.

    Values are prices in 1e-4 as floats: opinions, no money. `changes` counts the orders that its
    traders rested or took off.
    """

    def __init__(
        self, floor: Floor, listing: Listing, view: CoinView | None, fair: FairValue
    ) -> None:
        self.floor = floor
        self.listing = listing
        self.view = view
        self.rng: random.Random = floor.chance(listing.slug)
        self.market = floor.exchange.markets[listing.rules.condition]
        self.changes = 0
        self.mood = 0.0
        self._undecided_s = self.rng.uniform(*UNDECIDED_S)
        self._fair = fair

    @property
    def rules(self) -> MarketRules:
        """The rules as they are now; the tick may have changed."""
        return self.market.rules

    @property
    def book(self) -> Book:
        """The book of both tokens in YES terms."""
        return self.market.book

    @property
    def left_s(self) -> float:
        """Seconds until the question is decided."""
        return self.listing.end_s - self.floor.schedule.now_ns / SECOND_NS

    def value_e4(self, ago_ns: int) -> float:
        """What YES is worth to somebody who sees the price so late."""
        now_ns = self.floor.schedule.now_ns
        view = self.view
        if view is None:
            return self._believed(self._fair.at(now_ns, 0, 0.0) * ONE_E4)
        seen = view.settling_e8 if self.listing.lookback_s else view.spot_e8
        sigma_bps = view.sigma_bps(self.left_s)
        return self._believed(self._fair.at(now_ns, seen(now_ns - ago_ns), sigma_bps) * ONE_E4)

    def _believed(self, value_e4: float) -> float:
        if self.left_s < self._undecided_s:
            return value_e4
        doubt_e4 = UNDECIDED_TICKS * self.rules.tick_e4
        return min(ONE_E4 - doubt_e4, max(doubt_e4, value_e4))

    def rest(
        self, wallet: str, yes_side: int, price_e4: int, size_e6: int, owned: bool = False
    ) -> Order | None:
        """A post-only order in YES terms; None when it was refused."""
        self.changes += 1
        return self.floor.rest(wallet, self.rules, yes_side, price_e4, size_e6, owned)

    def cancel(self, order: Order) -> None:
        """Take an order off the book if it is still there."""
        self.changes += self.floor.cancel(order)

    def lift_mood(self) -> None:
        """How busy everybody is, as a random walk that forgets: standard deviation 1."""
        self.mood = 0.9 * self.mood + self.rng.gauss(0.0, 0.436)
