"""The funnel: from everything seen to what filled, and what stopped the rest.

Up to `quoted` a decision is counted: one market looked at once. From `attempted` on an order is.
Orders sent to flatten are the operator's, nobody's intent, and are not counted.
"""

from typing import Final, final

from polytrade.core.limits import FLATTEN
from polytrade.core.market import OPEN
from polytrade.core.units import ONE_E4
from polytrade.shadow.samples import count_in, ratio
from polytrade.shadow.tracks import Track

STAGES: Final = (
    "seen",
    "candidate",
    "quoted",
    "attempted",
    "eligible",
    "executed",
    "filled",
)
REASONS_MAX: Final = 64
"""Reasons told apart: limits, `no_quote_*` and the venue's refusals together have about 50."""
QUOTING: Final = "quoting"
POLICY: Final = "risk"
"""Blocked states that begin with this are hard risk blocks: `risk:*`, `risk_capped_zero`."""
VENUE: Final = "venue:"


@final
class Funnel:
    """Counts of a window.

    `seen`: decisions on open markets. `candidate`: those in which, at the book's own best prices,
    buying at the bid or selling at the ask was worth more than it cost by fair value. `quoted`:
    those after which our quotes stood. `attempted`: wishes put to the limits. `eligible`: orders
    that passed them. `executed`: orders the venue took. `filled`: orders that filled at all.
    """

    __slots__ = (*STAGES, "blocked", "policy_blocked", "rejected")

    def __init__(self) -> None:
        self.seen = 0
        self.candidate = 0
        self.quoted = 0
        self.attempted = 0
        self.eligible = 0
        self.executed = 0
        self.filled = 0
        self.rejected = 0
        self.policy_blocked = 0
        self.blocked: dict[str, int] = {}

    def decided(self, track: Track) -> None:
        """A market was decided: how it stands now."""
        market = track.market
        if market.phase != OPEN:
            return
        self.seen += 1
        fair_e4 = market.fair * ONE_E4
        if fair_e4 >= 0.0 and track.two_sided and track.valid:
            self.candidate += fair_e4 > track.bid_e4 or fair_e4 < track.ask_e4
        state = market.quote_state
        if state == QUOTING:
            self.quoted += 1
            return
        if state.startswith(POLICY):
            self.policy_blocked += 1
        count_in(self.blocked, state, REASONS_MAX)

    def sent(self, engine: str) -> bool:
        """An order passed the limits; False for one that is not counted."""
        if engine == FLATTEN:
            return False
        self.eligible += 1
        self.attempted += 1
        return True

    def refused(self, wishes: int) -> None:
        """The limits stopped so many wishes."""
        self.attempted += wishes

    def venue_refused(self, reason: str) -> None:
        """The venue refused an order that was sent."""
        self.rejected += 1
        count_in(self.blocked, VENUE + reason, REASONS_MAX)

    def executed_over_eligible(self) -> float | None:
        """Orders taken by the venue / orders sent."""
        return ratio(self.executed, self.eligible)

    def quote_block_ratio(self) -> float | None:
        """Orders the venue refused / all sent: those refused, and the attempts that were not."""
        return ratio(self.rejected, self.eligible)

    def policy_block_ratio(self) -> float | None:
        """Decisions stopped by a hard limit / those and the ones that quoted."""
        return ratio(self.policy_blocked, self.quoted + self.policy_blocked)

    def to_dict(self) -> dict[str, int]:
        """The stages in order."""
        return {stage: getattr(self, stage) for stage in STAGES}
