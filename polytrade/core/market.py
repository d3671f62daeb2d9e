"""One market: its terms, its place in the life cycle, its book and what is thought of it."""

from typing import Final, final

from polytrade.core.book import Book
from polytrade.core.events import BookChanged, BookReplaced, MarketListed
from polytrade.core.ids import NO, YES
from polytrade.core.reference import SymbolReference
from polytrade.core.trust import COLD, BookTrust
from polytrade.core.units import MS_NS, ONE_E4, SECOND_NS

LISTED: Final = "listed"
HYDRATING: Final = "hydrating"
OPEN: Final = "open"
CLOSING: Final = "closing"
PENDING_RESOLUTION: Final = "pending_resolution"
RESOLVED: Final = "resolved"
REDEEMED: Final = "redeemed"

UNRESOLVED: Final = -2
"""`MarketState.winner` before the official outcome; YES, NO or -1 (50-50) after it."""
STRIKE_TOLERANCE_MS: Final = 1_500
"""A settlement value counts as the one at an instant when it is at most this much older."""
LATE_NS: Final = SECOND_NS
"""A message is late that is so much older than a silence would be noticed: the venue's clock is
known to half a second, and its socket is seldom slower than the other half."""
_DIRECTIONS: Final = {"updown": 1, "above": 1, "below": -1}


@final
class MarketState:
    """Everything the engine holds of one market.

    `spec` is what the venue says of it; `strike_e8` is the venue's price to beat or, with
    `strike_provisional`, our own observation of the settlement series at the window's start.
    `mark_*` is where YES traded when the account was last marked before the end, -1 for never:
    the venue empties the books of ended markets, which says nothing about their worth.
    `tick_ms` is the venue time of the last change of the tick size.
    """

    __slots__ = (
        "book",
        "confidence",
        "fair",
        "listed_ns",
        "mark_ask_e4",
        "mark_bid_e4",
        "phase",
        "predicted",
        "quote_state",
        "snapshot_ns",
        "spec",
        "strike_e8",
        "strike_provisional",
        "tick_ms",
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
        self.winner: int = UNRESOLVED
        self.snapshot_ns = 0
        self.listed_ns = spec.ts_ns
        self.tick_ms = -1
        self.mark_bid_e4 = -1
        self.mark_ask_e4 = -1

    @property
    def windowed(self) -> bool:
        """Whether the market is decided by a price at a time (and so needs a strike)."""
        return self.spec.condition != "other"

    @property
    def direction(self) -> int:
        """1 when YES gains as the price rises, -1 when it loses; 0 when that depends on where the
        price is (a range) or no price decides.
        """
        return _DIRECTIONS.get(self.spec.condition, 0)

    def outcome(self, value: float) -> int:
        """Who wins, YES or NO, when the price settles at `value` USD; the strike must be known.

        A tie is Up. A border of two ranges belongs to the higher one, the open one at the top
        included; a threshold by itself asks for a price above it.
        """
        spec = self.spec
        value_e8 = round(value * 1e8)
        if spec.condition == "below":
            paid = value_e8 < self.strike_e8
        elif spec.condition == "range":
            paid = self.strike_e8 <= value_e8 < spec.upper_e8
        elif spec.condition == "above" and not spec.neg_risk:
            paid = value_e8 > self.strike_e8
        else:
            paid = value_e8 >= self.strike_e8
        return YES if paid else NO

    def late(self, event: BookChanged | BookReplaced, skew_ms: int, stale_ns: int) -> bool:
        """Whether an event of a market that is never silent is too old to say how it stands.

        `skew_ms` is our clock minus the venue's. An event without a time of its own is not late.
        """
        age_ns = event.ts_ns - (event.venue_ts_ms + skew_ms) * MS_NS
        return age_ns > stale_ns + LATE_NS and self.windowed and event.venue_ts_ms > 0

    @property
    def mid(self) -> float:
        """The middle of the best bid and ask of YES as a probability; -1.0 on a one-sided book."""
        return self.book.mid

    @property
    def spread_e4(self) -> int:
        """Best ask minus best bid of YES."""
        return self.book.ask_e4 - self.book.bid_e4

    def relist(self, spec: MarketListed) -> None:
        """Take changed terms; an official strike replaces our own observation.

        A tick size counts when the listing changed it: the listing is later than the socket.
        """
        before = self.spec
        tick_e4 = self.book.tick_e4 if spec.tick_e4 == before.tick_e4 else spec.tick_e4
        terms = (spec.min_size_e6, spec.neg_risk, tick_e4)
        if terms != (before.min_size_e6, before.neg_risk, self.book.tick_e4):
            self.book.set_terms(spec.min_size_e6, spec.neg_risk, tick_e4)
        self.spec = spec
        if spec.strike_e8 > 0:
            self.strike_e8 = spec.strike_e8
            self.strike_provisional = False

    def retick(self, tick_e4: int, venue_ts_ms: int) -> bool:
        """Take the tick size as of a venue time; whether it changed. An older word is ignored."""
        if venue_ts_ms < self.tick_ms:
            return False
        self.tick_ms = venue_ts_ms
        if tick_e4 == self.book.tick_e4:
            return False
        self.book.set_terms(self.spec.min_size_e6, self.spec.neg_risk, tick_e4)
        return True

    def mark_e4(self) -> tuple[int, int]:
        """Where YES trades, bid and ask: now, or when it was last kept; -1 when never."""
        book = self.book
        traded = self.phase != PENDING_RESOLUTION and self.trust.state != COLD
        if traded and not book.crossed and (book.bid_e4 > 0 or book.ask_e4 < ONE_E4):
            return book.bid_e4, book.ask_e4
        return self.mark_bid_e4, self.mark_ask_e4

    def keep_mark(self) -> None:
        """Remember where YES trades, for when it does not any more."""
        self.mark_bid_e4, self.mark_ask_e4 = self.mark_e4()

    def observe_strike(self, reference: SymbolReference | None, ts_ns: int) -> None:
        """Until the venue publishes the strike, take the settlement series' value at the start."""
        spec = self.spec
        if self.strike_e8 > 0 or spec.condition != "updown" or reference is None:
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
        if self.trust.state == COLD or (self.windowed and self.strike_e8 <= 0):
            return HYDRATING
        if spec.end_ns and ts_ns >= spec.end_ns - closing_ns:
            return CLOSING
        return OPEN
