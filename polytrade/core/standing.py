"""What has been measured of one market: markouts of own fills, book, rates, bursts.

Spread and drift are in 1e-4 USDC a share, not relative to the price: a market and its mirror image
(NO for YES) must measure the same.
"""

from typing import Final, final

from polytrade.core.book import Book
from polytrade.core.ids import BUY, SELL
from polytrade.core.market import MarketState
from polytrade.core.markouts import HORIZONS_S
from polytrade.core.reference import SOURCE_SILENT_NS, SymbolReference
from polytrade.core.regimes import MarkoutWord
from polytrade.core.samples import PerSecond, Samples
from polytrade.core.units import MS_NS, SECOND_NS

MARKOUTS_MAX: Final = 256
"""Markouts kept by market and horizon."""
MARKOUTS_KEEP_NS: Final = 900 * SECOND_NS
"""A markout counts for a quarter of an hour: a market that was toxic is tried again after that,
because where nothing is traded nothing new would ever be learnt."""
RATE_WINDOW_S: Final = 60
"""Span of the no-quote rate, the symbol-missing rate and of what is usual in bursts."""
BURST_S: Final = 2
"""Span of a burst."""
TOP_LEVELS: Final = 3
"""Levels a side whose sizes weigh in the micro-price and the imbalance."""


@final
class Standing:
    """One market's measures and, from `Toxicity`, what they amount to.

    `markouts` are by horizon; `samples` is how many are known at every horizon, `p50` their medians
    and `markout10_p25` the lower quartile after ten seconds, 0.0 while there are none: these are
    taken anew only when the samples change. `rank` is 0 for a market that is not open. `reason`
    says what the regime rests on.
    """

    __slots__ = (
        "_book_changes",
        "_second",
        "active",
        "asked",
        "cooldown_until_ns",
        "decisions",
        "drift",
        "imbalance",
        "market",
        "markout10_p25",
        "markouts",
        "missing",
        "missing_rate",
        "no_quote_rate",
        "open",
        "p50",
        "rank",
        "reason",
        "reduced",
        "regime",
        "samples",
        "score",
        "spread_bps",
        "stale_ms",
        "tox",
        "traded",
        "unquoted",
        "word",
    )

    def __init__(self, market: MarketState, ts_ns: int) -> None:
        self.market = market
        self.word: MarkoutWord | None = None
        self._book_changes = -1
        self.markouts = [Samples(MARKOUTS_MAX, MARKOUTS_KEEP_NS) for _ in HORIZONS_S]
        self.samples = 0
        self.p50 = (0.0, 0.0, 0.0)
        self.markout10_p25 = 0.0
        self._second = ts_ns // SECOND_NS
        self.decisions = PerSecond(RATE_WINDOW_S, ts_ns)
        self.missing = PerSecond(RATE_WINDOW_S, ts_ns)
        self.asked = PerSecond(RATE_WINDOW_S, ts_ns)
        self.unquoted = PerSecond(RATE_WINDOW_S, ts_ns)
        self.reduced = PerSecond(RATE_WINDOW_S, ts_ns)
        self.traded = PerSecond(RATE_WINDOW_S, ts_ns)
        self.missing_rate = 0.0
        self.no_quote_rate = 0.0
        self.spread_bps = 0.0
        self.drift = 0.0
        self.imbalance = 0.0
        self.stale_ms = 0.0
        self.tox = 0.0
        self.regime = 0
        self.reason = ""
        self.score = 0.0
        self.rank = 0
        self.active = False
        self.open = False
        self.cooldown_until_ns = 0

    def learn(self, horizon: int, bps: float, ts_ns: int) -> None:
        """Take a markout."""
        self.markouts[horizon].add(bps, ts_ns)
        self._summarise()

    def measure(self, reference: SymbolReference | None, ts_ns: int) -> None:
        """Take the book, the reference and the time as they are now; counts one decision.

        A book that is not believed changes nothing: what it said last stands.
        """
        market = self.market
        second = ts_ns // SECOND_NS
        if second != self._second:
            self._second = second
            self._move_on(ts_ns)
        windowed = market.windowed
        self.decisions.count(1)
        if windowed and (
            reference is None
            or reference.price <= 0.0
            or reference.age_ns(ts_ns) >= SOURCE_SILENT_NS
        ):
            self.missing.count(1)
        self.missing_rate = self.missing.total / self.decisions.total
        asked = self.asked.total
        self.no_quote_rate = self.unquoted.total / asked if asked else 0.0
        self.stale_ms = _stale_ms(market, reference, ts_ns) if windowed else 0.0
        book = market.book
        if book.changes != self._book_changes and market.trust.valid and not book.crossed:
            self._book_changes = book.changes
            self._measure_book(book)

    def decided(self, quoted: bool, ts_ns: int) -> None:
        """The strategy was asked for quotes and had some or none."""
        self.asked.add(1, ts_ns)
        if not quoted:
            self.unquoted.add(1, ts_ns)

    def trade_burst(self) -> float:
        """Shares traded a second in the last two, as a multiple of the last minute's; 1 is usual.

        At most half as much as the seconds of the window; 0.0 when nothing was traded.
        """
        return _burst(self.traded.last(BURST_S), self.traded.total, self.traded.span_s())

    def cancel_burst(self) -> float:
        """The same for shares taken off the book other than by trades."""
        recent = max(0, self.reduced.last(BURST_S) - self.traded.last(BURST_S))
        total = max(recent, self.reduced.total - self.traded.total)
        return _burst(recent, total, self.reduced.span_s())

    def _move_on(self, ts_ns: int) -> None:
        """Once a second: let go what is too old."""
        for counts in self._rates():
            counts.move(ts_ns)
        expired = False
        for samples in self.markouts:
            expired = samples.expire(ts_ns) or expired
        if expired:
            self._summarise()

    def _rates(self) -> tuple[PerSecond, ...]:
        return (
            self.decisions,
            self.missing,
            self.asked,
            self.unquoted,
            self.reduced,
            self.traded,
        )

    def _summarise(self) -> None:
        one, five, ten = self.markouts
        self.samples = min(one.count, five.count, ten.count)
        self.p50 = (
            one.percentile_or_zero(50),
            five.percentile_or_zero(50),
            ten.percentile_or_zero(50),
        )
        self.markout10_p25 = ten.percentile_or_zero(25)

    def _measure_book(self, book: Book) -> None:
        spread_e4 = book.ask_e4 - book.bid_e4
        bid_e6 = book.top_e6(BUY, TOP_LEVELS)
        ask_e6 = book.top_e6(SELL, TOP_LEVELS)
        both = bid_e6 + ask_e6
        # micro = (bid * ask_size + ask * bid_size) / (both sizes), less the mid.
        self.imbalance = (bid_e6 - ask_e6) / both if both and book.two_sided else 0.0
        self.drift = self.imbalance * spread_e4 / 2e4
        self.spread_bps = float(spread_e4)


def _stale_ms(market: MarketState, reference: SymbolReference | None, ts_ns: int) -> float:
    """The age of the older of book and reference, of those that were ever heard.

    A reference that was never heard is the symbol missing, not stale.
    """
    heard_ns = market.trust.last_ns or ts_ns
    if reference is not None and 0 < reference.ts_ns < heard_ns:
        heard_ns = reference.ts_ns
    return (ts_ns - heard_ns) / MS_NS if ts_ns > heard_ns else 0.0


def _burst(recent: int, total: int, span_s: int) -> float:
    if not recent or span_s < BURST_S:
        return 0.0
    return (recent / BURST_S) / (total / span_s)
