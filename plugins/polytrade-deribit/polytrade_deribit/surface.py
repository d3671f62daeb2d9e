"""The volatility of one asset out of its options: at the money, for one horizon.

At the money is the volatility at the index, linear in the logarithm of the strike between the two
strikes around it. Between two expiries total variance (volatility squared times time) is linear in
time: what J. Gatheral, "The Volatility Surface" (2006), has as the interpolation without calendar
arbitrage.
"""

import re
from datetime import UTC, datetime
from functools import lru_cache
from math import log, sqrt
from typing import Final

import attrs

from polytrade.api import units

NAMES_MAX: Final = 8_192
"""Names of options remembered: five times the options that an asset has listed at once."""
EXPIRIES_MAX: Final = 16
"""Expiries kept: up to eight days beyond the horizon there are at most ten."""
STRIKES_MAX: Final = 512
"""Strikes kept of an expiry: four times the most that are listed."""
FAR_NS: Final = 8 * 86_400 * units.SECOND_NS
"""Expiries this far behind the horizon are not kept: a weekly one is always nearer."""
HOLDS_NS: Final = 60 * units.SECOND_NS
"""A mark or an index counts this long; they come about once a second."""
IV_MOST: Final = 10.0
"""Most volatility taken (1000 %); the marks of options far out of the money reach five."""
GAP_MOST: Final = 0.10
"""Widest distance (log) of the two strikes around the index: beyond it there is nothing at the
money."""
NEAR: Final = 1.2
"""Strikes up to this factor from the index are kept: beyond `GAP_MOST`, and the index moves."""
EXPIRY_HOUR: Final = 8
"""Options expire at 08:00 UTC."""
MONTHS: Final = (
    *("JAN", "FEB", "MAR", "APR", "MAY", "JUN"),
    *("JUL", "AUG", "SEP", "OCT", "NOV", "DEC"),
)
NAME: Final = re.compile(r"([A-Z]{2,10})-(\d{1,2})([A-Z]{3})(\d\d)-(\d{1,9})-([CP])", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@attrs.frozen
class Option:
    """What an instrument's name says: `BTC-4JUN21-40500-P`."""

    coin: str
    expiry_ns: int
    strike: int
    call: bool


@lru_cache(maxsize=NAMES_MAX)
def option_of(name: str) -> Option | None:
    """The option of a name, None when it is none."""
    found = NAME.fullmatch(name)
    if found is None or found[3] not in MONTHS or not int(found[5]):
        return None
    month = MONTHS.index(found[3]) + 1
    try:
        expiry = datetime(2000 + int(found[4]), month, int(found[2]), EXPIRY_HOUR, tzinfo=UTC)
    except ValueError:
        return None
    expiry_ns = int((expiry - _EPOCH).total_seconds()) * units.SECOND_NS
    return Option(found[1], expiry_ns, int(found[5]), found[6] == "C")


@attrs.frozen
class Window:
    """Expiries after `now_ns` up to `last_ns`, strikes between `low` and `high`."""

    now_ns: int
    last_ns: int
    low: float
    high: float


@attrs.frozen
class Quote:
    """An annual volatility from now to `expiry_ns`; `venue_ms` is of the newest mark in it."""

    sigma: float
    expiry_ns: int
    venue_ms: int


_Mark = tuple[float, int, int]
"""A volatility, when it was heard (ns), and the venue's time (ms)."""


@attrs.define
class Surface:
    """The marks of one asset's options as they were last heard, and its index.

    `horizon_ns` is the time looked for; expiries nearer than `least_ns` are left out.
    """

    horizon_ns: int
    least_ns: int
    index: float = 0.0
    index_ns: int = 0
    _marks: dict[int, dict[int, dict[bool, _Mark]]] = attrs.field(factory=dict)

    def price(self, index: float, ts_ns: int) -> None:
        """Take the index."""
        self.index = index
        self.index_ns = ts_ns

    def window(self, ts_ns: int) -> "Window":
        """Which options are of use now: neither far from the index nor from the horizon."""
        last_ns = ts_ns + self.horizon_ns + FAR_NS
        if not self.index:
            return Window(ts_ns, last_ns, 0.0, float("inf"))
        return Window(ts_ns, last_ns, self.index / NEAR, self.index * NEAR)

    def mark(self, option: Option, iv: float, venue_ms: int, ts_ns: int) -> bool:
        """Take the mark of a wanted option; False when it is absurd or there is no room."""
        if not 0.0 < iv <= IV_MOST:
            return False
        strikes = self._marks.get(option.expiry_ns)
        if strikes is None:
            if len(self._marks) >= EXPIRIES_MAX:
                return False
            strikes = self._marks[option.expiry_ns] = {}
        sides = strikes.get(option.strike)
        if sides is None:
            if len(strikes) >= STRIKES_MAX:
                return False
            sides = strikes[option.strike] = {}
        sides[option.call] = (iv, ts_ns, venue_ms)
        return True

    def forget(self, ts_ns: int) -> None:
        """Drop the expiries that are over."""
        for expiry_ns in [each for each in self._marks if each <= ts_ns]:
            del self._marks[expiry_ns]

    def quote(self, ts_ns: int) -> Quote | None:
        """The volatility at the money for the horizon; None while the options do not say.

        Before the first expiry it is the first one's, behind the last the last one's.
        """
        if self.index <= 0.0 or ts_ns - self.index_ns > HOLDS_NS:
            return None
        before: Quote | None = None
        end_ns = ts_ns + self.horizon_ns
        for expiry_ns in sorted(self._marks):
            if expiry_ns - ts_ns < self.least_ns:
                continue
            found = self._at_the_money(expiry_ns, ts_ns)
            if found is None:
                continue
            if expiry_ns >= end_ns:
                return found if before is None else _between(before, found, end_ns, ts_ns)
            before = found
        return before

    def _at_the_money(self, expiry_ns: int, ts_ns: int) -> Quote | None:
        low = high = 0
        strikes = self._marks[expiry_ns]
        for strike, sides in strikes.items():
            if all(ts_ns - heard_ns > HOLDS_NS for _, heard_ns, _ in sides.values()):
                continue
            if strike <= self.index:
                low = max(low, strike)
            if strike >= self.index and (not high or strike < high):
                high = strike
        if not low or not high or log(high / low) > GAP_MOST:
            return None
        weight = log(self.index / low) / log(high / low) if high > low else 0.0
        below, below_ms = _mean(strikes[low], ts_ns)
        above, above_ms = _mean(strikes[high], ts_ns)
        return Quote(below + weight * (above - below), expiry_ns, max(below_ms, above_ms))


def _mean(sides: dict[bool, _Mark], ts_ns: int) -> tuple[float, int]:
    """Call and put of one strike as one: their volatilities differ by rounding only."""
    fresh = [(iv, ms) for iv, heard_ns, ms in sides.values() if ts_ns - heard_ns <= HOLDS_NS]
    return sum(iv for iv, _ in fresh) / len(fresh), max(ms for _, ms in fresh)


def _between(near: Quote, far: Quote, end_ns: int, ts_ns: int) -> Quote:
    """The volatility up to a time between two expiries."""
    first, last = near.expiry_ns - ts_ns, far.expiry_ns - ts_ns
    wanted = end_ns - ts_ns
    weight = (wanted - first) / (last - first)
    variance = (1.0 - weight) * near.sigma**2 * first + weight * far.sigma**2 * last
    return Quote(sqrt(variance / wanted), end_ns, max(near.venue_ms, far.venue_ms))
