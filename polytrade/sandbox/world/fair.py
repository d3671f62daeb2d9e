"""What YES of a listing is worth to somebody who knows the price of the moment.

A digital option on the settlement price. An average over the last `L` seconds has, before it
begins, the variance of a walk of `tau - 2 L / 3` seconds; once it has begun, what was reported is
certain, and of the `m` reports to come the average has the variance of `m ** 3 / (3 L ** 2)`
seconds (variance of the average of a walk).
"""

import math
from typing import Final, Protocol

from polytrade.core.units import ONE_E8, SECOND_NS
from polytrade.sandbox.world.listing import BELOW, EVENT, RANGE, UPDOWN, Listing

FAIR_MIN: Final = 0.0005
"""Nothing is surer than half a tick of the finest grid in use."""
ONE_E18: Final = 10**18
_SURE: Final = 1e-12
"""Least relative deviation: what is decided is decided without a division by zero."""
_ROOT_2: Final = math.sqrt(2.0)


class SettlementPrices(Protocol):
    """What the settling source has reported; -1 for what is not known."""

    def second_e8(self, coin: str, second: int) -> int:
        """The exchange's price as that second began."""

    def report_e18(self, coin: str, second: int) -> int:
        """The report stamped that second."""

    def twap_e18(self, coin: str, second: int, window_s: int) -> int:
        """The average of the reports of `window_s` seconds up to that second."""


def clamped(value: float) -> float:
    """A probability no nearer to 0 or 1 than `FAIR_MIN`."""
    return min(1.0 - FAIR_MIN, max(FAIR_MIN, value))


class FairValue:
    """The probability of YES of one listing, from its rules and what was reported until now."""

    def __init__(self, listing: Listing, prices: SettlementPrices) -> None:
        self.listing = listing
        self._prices = prices
        self._strike = 0.0
        self._settled_s = 0
        self._settled = 0
        self._settled_n = 0

    def at(self, now_ns: int, spot_e8: int, sigma_bps: float) -> float:
        """Fair value with that price and that volatility (bps per square root of a second)."""
        listing = self.listing
        if listing.winner >= 0:
            return (1.0 - FAIR_MIN, FAIR_MIN, 0.5)[listing.winner]
        if listing.kind == EVENT:
            return clamped(listing.hidden)
        strike = self._strike or self._learn_strike(now_ns)
        if not strike or spot_e8 <= 0:
            return 0.5
        spot = spot_e8 / ONE_E8
        left_s = max(0.0, listing.end_s - now_ns / SECOND_NS)
        length = listing.lookback_s
        if length and left_s < length:
            mean, variance_s = self._inside(now_ns // SECOND_NS, spot)
        else:
            mean, variance_s = spot, left_s - length * 2 / 3
        deviation = spot * (sigma_bps * 1e-4 * math.sqrt(variance_s) + _SURE)
        chance = _above(mean, strike, deviation)
        if listing.kind == BELOW:
            chance = 1.0 - chance
        elif listing.kind == RANGE:
            chance -= _above(mean, listing.upper_e18 / ONE_E18, deviation)
        return clamped(chance)

    def _inside(self, now_s: int, spot: float) -> tuple[float, float]:
        """Mean and variance (in seconds of a walk) of an average that has begun."""
        listing = self.listing
        length = listing.lookback_s
        first_s = max(self._settled_s + 1, listing.end_s - length + 1)
        for second in range(first_s, min(now_s, listing.end_s) + 1):
            report = self._prices.report_e18(listing.coin, second)
            if report < 0 and second >= now_s - 2:
                break  # it may still come
            self._settled_s = second
            if report >= 0:
                self._settled += report
                self._settled_n += 1
        known = self._settled_n
        open_s = length - known if now_s < listing.end_s else 0
        total = self._settled / ONE_E18
        mean = (total + spot * open_s) / max(1, known + open_s)
        return mean, float(open_s**3) / (3 * length * length)

    def _learn_strike(self, now_ns: int) -> float:
        listing = self.listing
        strike = listing.strike_e18
        if strike < 0 and listing.kind == UPDOWN and now_ns >= listing.start_s * SECOND_NS:
            # Not published yet, but anybody who listens to the settling source has it.
            if listing.lookback_s:
                strike = self._prices.twap_e18(listing.coin, listing.start_s, listing.lookback_s)
            else:
                strike = self._prices.second_e8(listing.coin, listing.start_s) * 10**10
        if strike > 0:
            self._strike = strike / ONE_E18
        return self._strike


def _above(mean: float, strike: float, deviation: float) -> float:
    """The probability that a normal value is above the strike."""
    return 0.5 * (1.0 + math.erf((mean - strike) / deviation / _ROOT_2))
