"""What the validity of market data records is judged by: their markets, coins and counts."""

from typing import Final, final

from polytrade.core.units import MS_NS
from polytrade.metrics import LatencyRecorder

TOLERANCE_NS: Final = 50 * MS_NS
"""A record this far behind its source's last one is an inversion (metrics contract)."""
LAG_EVERY_NS: Final = 200 * MS_NS
LAG_WITHIN_NS: Final = 1500 * MS_NS
"""`book_top_lag_ms` is sampled this seldom, and only against a tick this young (same place)."""


@final
class Symbol:
    """The newest fast tick of a coin, and the book's lag behind it, last sampled when."""

    __slots__ = ("fast_ns", "lag", "sampled_ns")

    def __init__(self, lag: LatencyRecorder | None) -> None:
        self.fast_ns = 0
        self.sampled_ns = 0
        self.lag = lag


@final
class Market:
    """What validity of a market's records rests on."""

    __slots__ = ("symbol", "trusted", "venue_ns")

    def __init__(self, symbol: Symbol) -> None:
        self.symbol = symbol
        self.trusted = False
        self.venue_ns = 0


@final
class Validity:
    """What the ratios of a measuring window rest on; the totals of the run are apart."""

    __slots__ = ("fast", "gaps", "invalid", "inversions", "records", "stale")

    def __init__(self) -> None:
        self.records = 0
        self.invalid = 0
        self.gaps = 0
        self.inversions = 0
        self.fast = 0
        self.stale = 0
