"""One market: its terms, its place in the life cycle, its book and what is thought of it."""

from typing import Final, final

from polytrade.core.book import Book
from polytrade.core.events import MarketListed
from polytrade.core.reference import SymbolReference
from polytrade.core.trust import BookTrust
from polytrade.core.units import MS_NS, ONE_E4, SECOND_NS

LISTED: Final = "listed"
HYDRATING: Final = "hydrating"
OPEN: Final = "open"
CLOSING: Final = "closing"
PENDING_RESOLUTION: Final = "pending_resolution"
RESOLVED: Final = "resolved"
REDEEMED: Final = "redeemed"

STRIKE_TOLERANCE_MS: Final = 1_500
"""A settlement value counts as the one at an instant when it is at most this much older."""


@final
class MarketState:
    """Everything the engine holds of one market.

    `spec` is what the venue says of it; `strike_e8` is the venue's price to beat or, with
    `strike_provisional`, our own observation of the settlement series at the window's start.
    """

    __slots__ = (
        "book",
        "confidence",
        "dirty",
        "fair",
        "phase",
        "predicted",
        "quote_state",
        "snapshot_ns",
        "spec",
        "strike_e8",
        "strike_provisional",
        "trust",
        "winner",
    )

    def __init__(self, spec: MarketListed, hash_mode: str, reorder_ns: int) -> None:
        self.spec = spec
        self.book = Book(
            spec.market, spec.yes, spec.no, spec.tick_e4, spec.min_size_e6, spec.neg_risk
        )
        self.trust = BookTrust(hash_mode, reorder_ns)
        self.phase = LISTED
        self.strike_e8 = spec.strike_e8
        self.strike_provisional = False
        self.fair = -1.0
        self.confidence = 0.0
        self.predicted = -1
        self.quote_state = ""
        self.winner = -2
        self.dirty = False
        self.snapshot_ns = 0

    @property
    def windowed(self) -> bool:
        """Whether the market is decided by a price at a time (and so needs a strike)."""
        return self.spec.condition != "other"

    @property
    def mid(self) -> float:
        """The middle of the best bid and ask of YES as a probability; -1.0 on a one-sided book."""
        if not self.book.two_sided:
            return -1.0
        return (self.book.bid_e4 + self.book.ask_e4) / (2 * ONE_E4)

    @property
    def spread_e4(self) -> int:
        """Best ask minus best bid of YES."""
        return self.book.ask_e4 - self.book.bid_e4

    def relist(self, spec: MarketListed) -> None:
        """Take changed terms; an official strike replaces our own observation."""
        if spec.tick_e4 != self.spec.tick_e4 or spec.min_size_e6 != self.spec.min_size_e6:
            self.book.set_terms(spec.min_size_e6, spec.neg_risk, spec.tick_e4)
        self.spec = spec
        if spec.strike_e8 >= 0:
            self.strike_e8 = spec.strike_e8
            self.strike_provisional = False

    def observe_strike(self, reference: SymbolReference | None, ts_ns: int) -> None:
        """Until the venue publishes the strike, take the settlement series' value at the start."""
        spec = self.spec
        if self.strike_e8 >= 0 or spec.condition != "updown" or reference is None:
            return
        if ts_ns < spec.start_ns:
            return
        series = reference.settlement(spec.settle, spec.lookback_s)
        start_ms = spec.start_ns // MS_NS
        if not series.times_ms or series.times_ms[-1] < start_ms:
            return
        value = series.at(start_ms, STRIKE_TOLERANCE_MS)
        if value > 0.0:
            self.strike_e8 = round(value * 1e8)
            self.strike_provisional = True

    def phase_at(self, ts_ns: int, closing_ns: int) -> str:
        """Where the market stands in its life cycle at `ts_ns`; the end is not the resolution."""
        if self.phase in (RESOLVED, REDEEMED):
            return self.phase
        spec = self.spec
        if spec.end_ns and ts_ns >= spec.end_ns:
            return PENDING_RESOLUTION
        if ts_ns < spec.start_ns:
            return LISTED
        if self.windowed and self.strike_e8 < 0:
            return HYDRATING
        if not self.trust.matched and not self.trust.last_ns:
            return HYDRATING
        if spec.end_ns and ts_ns >= spec.end_ns - closing_ns:
            return CLOSING
        return OPEN

    def seconds_left(self, ts_ns: int) -> float:
        """Time to the window's end in seconds, 0.0 once it is over."""
        return max((self.spec.end_ns - ts_ns) / SECOND_NS, 0.0)
