"""Why an outcome went wrong: one table of rules, the first that fits names the cause.

An outcome is what a shot at +10 ms came to. A gain needs no cause and is `Unknown`, as is a loss
that no rule explains.
"""

from collections.abc import Callable
from typing import Final, final

from polytrade.core.units import MS_NS, ONE_E6

STALE_BOOK_NS: Final = 1_500 * MS_NS
STALE_REFERENCE_NS: Final = 1_000 * MS_NS
"""Data older than the freshness gates allow is stale."""
SLOW_ANSWER_NS: Final = 450 * MS_NS
"""An answer later than the gate on `tick_to_ack_p99_ms` allows is the latency's tail."""
WIDE_SPREAD_E4: Final = 300
"""The default of `[strategy] max_spread`: beyond it there is no price to speak of."""


@final
class Outcome:
    """What became of one executed intent that reached the venue 10 ms later than it did.

    `edge_bps` and `late_edge_bps` are the net edge against fair value at the decision and at the
    shot, None without a fair value. `valid` is false when the book was not to be trusted then.
    Markouts are those of the shot's own fills, each 10 s after it: `gross_e6` and `net_e6` sum them
    in 1e-6 USDC once all `pieces` of the fill are `heard` of.
    """

    __slots__ = (
        "answer_ns",
        "book_age_ns",
        "decided",
        "edge_bps",
        "filled_e6",
        "gross_e6",
        "heard",
        "late_edge_bps",
        "market",
        "net_e6",
        "notional_e6",
        "order_id",
        "pieces",
        "reduces",
        "reference_age_ns",
        "ripe_ns",
        "spread_e4",
        "survived",
        "symbol",
        "valid",
        "wanted_e6",
    )

    def __init__(self, order_id: str, market: str, symbol: str, wanted_e6: int) -> None:
        self.order_id = order_id
        self.market = market
        self.symbol = symbol
        self.wanted_e6 = wanted_e6
        self.filled_e6 = 0
        self.notional_e6 = 0
        self.valid = True
        self.survived = False
        self.decided = False
        self.ripe_ns = 0
        self.pieces = 0
        self.heard = 0
        self.gross_e6 = 0.0
        self.net_e6 = 0.0
        self.edge_bps: float | None = None
        self.late_edge_bps: float | None = None
        self.spread_e4 = 0
        self.book_age_ns = 0
        self.reference_age_ns = 0
        self.answer_ns = 0
        self.reduces = False

    @property
    def measured(self) -> bool:
        """Whether it filled and every part has its markout."""
        return 0 < self.pieces == self.heard

    def net_usdc(self) -> float | None:
        """What it was worth after 10 s, in USDC; None when it did not fill or has no markout."""
        return self.net_e6 / ONE_E6 if self.measured else None


@final
class Cause:
    """One rule: `fits` is asked of outcomes that were no gain."""

    __slots__ = ("doc", "fits", "name")

    def __init__(self, name: str, doc: str, fits: Callable[[Outcome], bool]) -> None:
        self.name = name
        self.doc = doc
        self.fits = fits


def _stale(it: Outcome) -> bool:
    old = it.book_age_ns > STALE_BOOK_NS or it.reference_age_ns > STALE_REFERENCE_NS
    return old or not it.valid


def _lost(it: Outcome) -> bool:
    return it.measured and it.net_e6 < 0.0


def _gained(it: Outcome) -> bool:
    return it.measured and it.net_e6 >= 0.0 and it.filled_e6 >= it.wanted_e6


def _thin(it: Outcome) -> bool:
    return it.filled_e6 < it.wanted_e6 and not _lost(it)


def _fee_overrun(it: Outcome) -> bool:
    return _lost(it) and it.gross_e6 >= 0.0


def _signal_lag(it: Outcome) -> bool:
    had, has = it.edge_bps, it.late_edge_bps
    return had is not None and has is not None and had > 0.0 >= has


def _inventory_bias(it: Outcome) -> bool:
    return _lost(it) and it.reduces and it.edge_bps is not None and it.edge_bps <= 0.0


CAUSES: Final = (
    Cause(
        "StaleQuote",
        "the book was not to be trusted, or it or the reference was older than the gates allow",
        _stale,
    ),
    Cause(
        "LatencyTail",
        "the venue's answer took longer than the gate on it allows",
        lambda it: it.answer_ns > SLOW_ANSWER_NS,
    ),
    Cause("BookMoved", "10 ms later the price was gone", lambda it: not it.survived),
    Cause(
        "SpreadTooWide",
        "the spread at the decision was wider than the default maximum",
        lambda it: it.spread_e4 > WIDE_SPREAD_E4,
    ),
    Cause(
        "LiquidityThin",
        "the price held, but not all of the order would have filled",
        _thin,
    ),
    Cause("FeeOverrun", "the price moved our way, by less than the fee", _fee_overrun),
    Cause("SignalLag", "the edge of the decision was gone 10 ms later", _signal_lag),
    Cause("InventoryBias", "it gave up edge to get rid of inventory", _inventory_bias),
    Cause("AdverseSelection", "the price moved against us within 10 s of the fill", _lost),
)
UNKNOWN: Final = "Unknown"
CAUSE_NAMES: Final = (*[cause.name for cause in CAUSES], UNKNOWN)


def cause_of(outcome: Outcome) -> str:
    """The one cause of an outcome."""
    if not _gained(outcome):
        for cause in CAUSES:
            if cause.fits(outcome):
                return cause.name
    return UNKNOWN
