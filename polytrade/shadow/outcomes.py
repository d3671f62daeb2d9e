"""Outcomes: what the shots at +10 ms were worth 10 s after their fills, and why not more."""

from collections import deque
from typing import Final, final

from polytrade.core.ids import BUY
from polytrade.core.markouts import HORIZON_10S, HORIZONS_S, Markouts
from polytrade.core.units import ONE_E4, SECOND_NS, notional_e6_up
from polytrade.shadow.causes import CAUSE_NAMES, Outcome, cause_of
from polytrade.shadow.samples import Samples
from polytrade.shadow.scorecard import Scorecard
from polytrade.shadow.shot import Shot
from polytrade.shadow.tracks import Tracks, Wake

RIPE_NS: Final = HORIZONS_S[HORIZON_10S] * SECOND_NS


@final
class Outcomes:
    """Every executed intent's shot at +10 ms, from its first fill to its verdict and cause.

    An outcome is concluded when its order is over and the last of its fills is 10 s old.
    """

    __slots__ = (
        "_now_ns",
        "_of",
        "_ripening",
        "_scorecard",
        "_tracks",
        "_wake",
        "causes",
        "concluded",
        "ev_usdc",
        "markouts",
        "valid",
    )

    def __init__(self, tracks: Tracks, scorecard: Scorecard, wake: Wake) -> None:
        self._tracks = tracks
        self._wake = wake
        self._scorecard = scorecard
        self._of: dict[str, Outcome] = {}
        self._ripening: deque[tuple[int, Outcome]] = deque()
        self._now_ns = 0
        self.markouts = Markouts()
        self.causes: dict[str, int] = dict.fromkeys(CAUSE_NAMES, 0)
        self.concluded = 0
        self.valid = 0
        self.ev_usdc = Samples()

    @property
    def next_ns(self) -> int:
        """The next instant a markout is wanted of."""
        return self.markouts.next_ns

    def filled(self, shot: Shot, yes_price_e4: int, size_e6: int, cost_e6: int, ts_ns: int) -> None:
        """The shot at +10 ms filled in part or whole; `cost_e6` is its fee less the rebate."""
        outcome, sign = shot.intent.outcome, 1 if shot.order.side == BUY else -1
        entry_e4 = yes_price_e4 if sign > 0 else ONE_E4 - yes_price_e4
        outcome.filled_e6 += size_e6
        outcome.notional_e6 += notional_e6_up(entry_e4, size_e6)
        outcome.pieces += 1
        key = outcome.order_id
        dropped = self.markouts.dropped
        self.markouts.filled(key, outcome.market, sign, yes_price_e4, size_e6, cost_e6, ts_ns)
        if self.markouts.dropped == dropped:
            outcome.ripe_ns = ts_ns + RIPE_NS
            self._of[key] = outcome
            self._ripening.append((outcome.ripe_ns, outcome))
            self._wake.by(self.next_ns)

    def decided(self, shot: Shot, counts: bool) -> None:
        """The order is over; `counts` tells whether what became of the shot is an outcome."""
        outcome = shot.intent.outcome
        outcome.decided = counts
        if counts and (not outcome.pieces or outcome.ripe_ns < self._now_ns):
            self._conclude(outcome)

    def due(self, ts_ns: int) -> None:
        """Take the markouts of every instant before `ts_ns`, at the mids as they last were."""
        self._now_ns = ts_ns
        for markout in self.markouts.due(ts_ns, self._tracks.mid_e6):
            outcome = self._of.get(markout.key)
            if outcome is not None and markout.horizon == HORIZON_10S:
                outcome.heard += 1
                outcome.gross_e6 += markout.bps * markout.notional_e6 / 1e4
                outcome.net_e6 += markout.net_bps * markout.notional_e6 / 1e4
        ripening = self._ripening
        while ripening and ripening[0][0] < ts_ns:
            ripe_ns, outcome = ripening.popleft()
            if ripe_ns != outcome.ripe_ns:
                continue  # a later part is still being followed
            followed = self._of.pop(outcome.order_id, None) is not None
            if followed and outcome.decided:
                self._conclude(outcome)

    def _conclude(self, outcome: Outcome) -> None:
        cause = cause_of(outcome)
        self.concluded += 1
        self.causes[cause] += 1
        net_usdc = outcome.net_usdc() if outcome.valid else None
        if net_usdc is not None:
            self.valid += 1
            self.ev_usdc.add(net_usdc)
        self._scorecard.concluded(outcome, cause, net_usdc)
