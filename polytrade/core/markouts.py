"""Markouts: what the mid did exactly 1, 5 and 10 seconds after a fill.

The mid at an instant is the one in force then: after every event stamped at or before it, before
the first one after it. So `due` is called with the time of a new event *before* the event is
applied; a horizon that no event follows yet stays pending. Horizons run side by side from the
moment of the fill.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, final

from polytrade.core.market import CLOSING, OPEN, MarketState
from polytrade.core.units import ONE_E4, ONE_E6, SECOND_NS, notional_e6_up

HORIZONS_S: Final = (1, 5, 10)
HORIZON_1S: Final = 0
HORIZON_5S: Final = 1
HORIZON_10S: Final = 2

NEVER_NS: Final = 1 << 62
NO_END_NS: Final = 1 << 62
PENDING_MAX: Final = 4_096
"""Fills followed at once: 400 a second for the longest horizon, far above any rate budget."""
EDGE_E4: Final = 500
"""A book without bids (or asks) has a mid when its best ask (bid) is this close to 0 (to 1)."""
NO_MID: Final = -1


@final
class Markout:
    """How the side held after a fill was worth `horizon` later, in basis points of its entry price.

    `net_bps` is after the fee (less the rebate). `notional_e6` is what the entry was worth, `key`
    names the fill, `how` and `left_ns` (until the market's end) say how and when it came about,
    `ts_ns` is the instant of the markout.
    """

    __slots__ = (
        "bps",
        "horizon",
        "how",
        "key",
        "left_ns",
        "market",
        "net_bps",
        "notional_e6",
        "ts_ns",
    )

    def __init__(
        self,
        key: str,
        market: str,
        horizon: int,
        bps: float,
        net_bps: float,
        notional_e6: int,
        ts_ns: int,
        how: str,
        left_ns: int,
    ) -> None:
        self.key = key
        self.market = market
        self.horizon = horizon
        self.bps = bps
        self.net_bps = net_bps
        self.notional_e6 = notional_e6
        self.ts_ns = ts_ns
        self.how = how
        self.left_ns = left_ns


@final
class _Fill:
    """A fill whose horizons have not all passed, in terms of the side held."""

    __slots__ = (
        "entry_e4",
        "fee_e6",
        "how",
        "key",
        "left_ns",
        "market",
        "notional_e6",
        "sign",
        "ts_ns",
        "voided",
    )

    def __init__(
        self,
        key: str,
        market: str,
        sign: int,
        entry_e4: int,
        notional_e6: int,
        fee_e6: int,
        ts_ns: int,
        how: str,
        left_ns: int,
    ) -> None:
        self.key = key
        self.market = market
        self.sign = sign
        self.entry_e4 = entry_e4
        self.notional_e6 = notional_e6
        self.fee_e6 = fee_e6
        self.ts_ns = ts_ns
        self.how = how
        self.left_ns = left_ns
        self.voided = False


@final
class Markouts:
    """The fills of the last seconds and what is still to be known of them.

    `next_ns` is the next instant wanted (`NEVER_NS` for none): `due` has something to do for
    events after it. `missed` counts by horizon the instants without a mid, `dropped` the fills
    that were not followed because `most` of them already were.
    """

    __slots__ = ("_most", "_waiting", "dropped", "missed", "next_ns")

    def __init__(self, most: int = PENDING_MAX) -> None:
        assert most > 0, f"expected a positive bound, found {most}"
        self._most = most
        self._waiting: list[deque[_Fill]] = [deque() for _ in HORIZONS_S]
        self.next_ns = NEVER_NS
        self.missed = [0] * len(HORIZONS_S)
        self.dropped = 0

    @property
    def pending(self) -> int:
        """How many fills are being followed."""
        return len(self._waiting[HORIZON_10S])

    def filled(
        self,
        key: str,
        market: str,
        yes_side_sign: int,
        entry_price_e4_of_yes: int,
        size_e6: int,
        fee_e6: int,
        ts_ns: int,
        how: str = "",
        end_ns: int = 0,
    ) -> None:
        """Follow a fill from `ts_ns`, which never decreases.

        `yes_side_sign` is 1 for what gains with YES (YES bought, NO sold) and -1 for the other
        side, whose entry price is 1 - p: both books are one. `fee_e6` is the fee less the rebate,
        `how` the fill's `why`, `end_ns` the market's end, 0 for none.
        """
        assert yes_side_sign in (1, -1), f"expected 1 or -1, found {yes_side_sign}"
        assert 0 < entry_price_e4_of_yes < ONE_E4, f"expected a price: {entry_price_e4_of_yes}"
        assert size_e6 > 0, f"expected a size, found {size_e6}"
        one, five, ten = self._waiting
        if len(ten) == self._most:
            self.dropped += 1
            return
        entry_e4 = entry_price_e4_of_yes if yes_side_sign > 0 else ONE_E4 - entry_price_e4_of_yes
        notional_e6 = notional_e6_up(entry_e4, size_e6)
        left_ns = end_ns - ts_ns if end_ns else NO_END_NS
        fill = _Fill(key, market, yes_side_sign, entry_e4, notional_e6, fee_e6, ts_ns, how, left_ns)
        assert not ten or ten[-1].ts_ns <= ts_ns, f"fill {key} before an earlier one"
        one.append(fill)
        five.append(fill)
        ten.append(fill)
        next_ns = ts_ns + HORIZONS_S[HORIZON_1S] * SECOND_NS
        self.next_ns = next_ns if next_ns < self.next_ns else self.next_ns

    def void(self, key: str) -> None:
        """The fill failed to settle: it never was. A scan, because this is rare."""
        for fill in self._waiting[HORIZON_10S]:
            if fill.key == key:
                fill.voided = True

    def due(self, ts_ns: int, mid_of: Callable[[str], int]) -> list[Markout]:
        """The markouts of every instant before `ts_ns`, by horizon, then in the order of the fills.

        `mid_of` gives a market's mid of YES in 1e-6 USDC as it stands now, a negative number when
        there is none: that markout is missed, never guessed.
        """
        found: list[Markout] = []
        if ts_ns <= self.next_ns:
            return found
        self.next_ns = NEVER_NS
        for horizon, waiting in enumerate(self._waiting):
            after_ns = HORIZONS_S[horizon] * SECOND_NS
            while waiting and waiting[0].ts_ns + after_ns < ts_ns:
                fill = waiting.popleft()
                if fill.voided:
                    continue
                mid_e6 = mid_of(fill.market)
                if mid_e6 < 0:
                    self.missed[horizon] += 1
                else:
                    found.append(_markout(fill, horizon, mid_e6))
            if waiting:
                self.next_ns = min(self.next_ns, waiting[0].ts_ns + after_ns)
        return found


def _markout(fill: _Fill, horizon: int, mid_e6: int) -> Markout:
    worth_e6 = mid_e6 if fill.sign > 0 else ONE_E6 - mid_e6
    entry_e6 = fill.entry_e4 * (ONE_E6 // ONE_E4)
    bps = (worth_e6 - entry_e6) / entry_e6 * 1e4
    net_bps = bps - fill.fee_e6 / fill.notional_e6 * 1e4
    at_ns = fill.ts_ns + HORIZONS_S[horizon] * SECOND_NS
    return Markout(
        fill.key,
        fill.market,
        horizon,
        bps,
        net_bps,
        fill.notional_e6,
        at_ns,
        fill.how,
        fill.left_ns,
    )


def mid_e6_of(market: MarketState | None) -> int:
    """The mid of YES in 1e-6 USDC, `NO_MID` when the book does not say or is not believed.

    A side emptied at the edge (a best bid of 0.97 and no ask) counts as resting at 0 or 1: that is
    how a market looks that is as good as decided, and its fills are the worst ones.
    """
    if market is None or not market.trust.valid or market.phase not in (OPEN, CLOSING):
        return NO_MID
    book = market.book
    bid_e4, ask_e4 = book.bid_e4, book.ask_e4
    if book.crossed or not (book.two_sided or ask_e4 - bid_e4 <= EDGE_E4):
        return NO_MID
    return (bid_e4 + ask_e4) * (ONE_E6 // ONE_E4) // 2
