"""The data-quality report: how often what was heard could be proven, and what was not."""

from typing import Final, final

from polytrade.core.book import Book
from polytrade.core.events import BestQuoted
from polytrade.core.market import MarketState
from polytrade.core.reference import SymbolReference

QUALITY: Final = (
    "hash_matched",
    "hash_mismatched",
    "hash_not_checkable",
    "turned_unverified",
    "turned_verified",
    "turned_suspect",
    "markets_not_checked",
    "stated_best_agreed",
    "stated_best_differed",
    "reference_ticks",
    "reference_dropped",
    "reference_inversions",
    "unknown_market",
    "feed_gaps",
)
"""The rows of the report, all counts."""


@final
class Quality:
    """Counts that belong to no market, and those of markets already forgotten."""

    __slots__ = ("_past", "gaps", "stated_agreed", "stated_differed", "unknown_market")

    def __init__(self) -> None:
        self._past: dict[str, int] = dict.fromkeys(QUALITY, 0)
        self.gaps = 0
        self.stated_agreed = 0
        self.stated_differed = 0
        self.unknown_market = 0

    def stated(self, event: BestQuoted, book: Book) -> None:
        """The venue's word on its best prices, against the book's."""
        if book.bid_e4 == event.bid_e4 and book.ask_e4 == event.ask_e4:
            self.stated_agreed += 1
        else:
            self.stated_differed += 1

    def forget(self, market: MarketState) -> None:
        """Keep what a market counted."""
        _add(self._past, market)

    def report(
        self, markets: dict[str, MarketState], references: dict[str, SymbolReference]
    ) -> dict[str, int]:
        """Data quality so far: hash checks by result, books by trust, references by fate."""
        total = dict(self._past)
        for market in markets.values():
            _add(total, market)
        for reference in references.values():
            total["reference_ticks"] += reference.ticks
            total["reference_dropped"] += reference.dropped
            total["reference_inversions"] += reference.inverted
        total["stated_best_agreed"] = self.stated_agreed
        total["stated_best_differed"] = self.stated_differed
        total["unknown_market"] = self.unknown_market
        total["feed_gaps"] = self.gaps
        return total


def _add(total: dict[str, int], market: MarketState) -> None:
    trust = market.trust
    total["hash_matched"] += trust.matched
    total["hash_mismatched"] += trust.mismatched
    total["hash_not_checkable"] += trust.not_checkable
    total["turned_unverified"] += trust.turned_unverified
    total["turned_verified"] += trust.turned_verified
    total["turned_suspect"] += trust.turned_suspect
    total["markets_not_checked"] += 0 if trust.checking else 1
