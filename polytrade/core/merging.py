"""Pairs of YES and NO back into money: one merge under way a market, its shares promised."""

from typing import Final, final

from polytrade.core.accounts import Account
from polytrade.core.effects import Effect, MergePairs
from polytrade.core.ids import NO, YES
from polytrade.core.limits import SIZE_STEP_E6
from polytrade.core.market import UNRESOLVED, MarketState
from polytrade.core.units import SECOND_NS, step_down

MERGE_RETRY_NS: Final = 10 * SECOND_NS
"""A merge that was not answered is asked for again: relayed transactions take a few seconds."""


@final
class Merger:
    """Asks for merges from `merge_at_e6` pairs on."""

    __slots__ = ("_asked", "_merge_at_e6")

    def __init__(self, merge_at_e6: int) -> None:
        self.configure(merge_at_e6)
        # When, and how many pairs; they are no longer ours to sell.
        self._asked: dict[str, tuple[int, int]] = {}

    def configure(self, merge_at_e6: int) -> None:
        """Ask from another number of pairs on; what is under way stays."""
        self._merge_at_e6 = max(merge_at_e6, SIZE_STEP_E6)

    def pursue(
        self,
        market: MarketState,
        account: Account,
        every: bool,
        ts_ns: int,
        effects: list[Effect],
    ) -> None:
        """Ask for a merge of all settled, unpromised pairs; with `every`, however few."""
        least_e6 = SIZE_STEP_E6 if every else self._merge_at_e6
        now = account.now
        if now.yes.provisional_e6 < least_e6 or now.no.provisional_e6 < least_e6:
            return  # what may be sold is never more than what is held
        name = market.spec.market
        asked = self._asked.get(name)
        if asked is not None and ts_ns - asked[0] < MERGE_RETRY_NS:
            return
        pairs_e6 = min(account.sellable_e6(YES), account.sellable_e6(NO))
        pairs_e6 = step_down(pairs_e6, SIZE_STEP_E6)
        if pairs_e6 < least_e6 or market.winner != UNRESOLVED:
            return
        self._asked[name] = (ts_ns, pairs_e6)
        effects.append(MergePairs(name, pairs_e6))

    def busy(self, market: str) -> bool:
        """Whether a merge of the market's pairs is under way."""
        return market in self._asked

    def promised_e6(self, market: str) -> int:
        """Shares of each token that a merge under way will take."""
        asked = self._asked.get(market)
        return 0 if asked is None else asked[1]

    def forget(self, market: str) -> None:
        """The merge was answered, or the market is over."""
        self._asked.pop(market, None)
