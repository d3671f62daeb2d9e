"""Order-flow imbalance of the books: what was added and taken near the touch, decayed.

After R. Cont, A. Kukanov, S. Stoikov, "The Price Impact of Order Book Events" (J. Financial
Econometrics 12, 2014), with deeper levels as in K. Xu, M. Gould, S. Howison, "Multi-Level
Order-Flow Imbalance" (2019). A book is looked at when its market is decided: what came and went in
between is not seen.
"""

from typing import Any, Final

import attrs

from polytrade.api import BUY, SELL, MarketState, units

LEVELS: Final = 3
"""Levels of a side that are looked at."""
LEVEL_WEIGHT: Final = 0.5
"""Weight of a level against the one before it."""
MARKETS_MAX: Final = 256
"""Markets remembered, far more than are traded at once; the oldest goes first."""
GAP_MAX_S: Final = 10.0
"""After so long without a look the books are not compared."""
DEPTH_WEIGHT: Final = 0.05
"""Weight of one look in the usual depth."""

Levels = list[tuple[int, int]]


@attrs.define
class Flow:
    """One market: when and how its book was seen last, the decayed flow and usual depth (shares).

    `flow` is positive when buyers of YES come and sellers go.
    """

    ts_ns: int
    bids: Levels
    asks: Levels
    flow: float = 0.0
    depth: float = 0.0

    def pressure(self) -> float:
        """The flow in units of the usual depth of a side's touch; 0.0 without a depth."""
        return self.flow / self.depth if self.depth > 0.0 else 0.0


@attrs.define
class Flows:
    """The flows of all markets; `half_life_s` in seconds of event time."""

    half_life_s: float
    rows: dict[str, Flow] = attrs.Factory(dict)

    def look(self, market: MarketState, ts_ns: int) -> Flow:
        """Compare a market's book with how it was seen last."""
        name = market.spec.market
        bids, asks = market.book.depth(BUY, LEVELS), market.book.depth(SELL, LEVELS)
        kept = self.rows.get(name)
        if kept is None:
            if len(self.rows) >= MARKETS_MAX:
                del self.rows[next(iter(self.rows))]
            kept = self.rows[name] = Flow(ts_ns, bids, asks)
        seconds = (ts_ns - kept.ts_ns) / units.SECOND_NS
        kept.flow *= 0.5 ** (max(seconds, 0.0) / self.half_life_s)
        if seconds > GAP_MAX_S:
            kept.flow = 0.0
        else:
            kept.flow += side_flow(kept.bids, bids, True) - side_flow(kept.asks, asks, False)
        seen = (touch(bids) + touch(asks)) / 2.0
        kept.depth += (DEPTH_WEIGHT if kept.depth > 0.0 else 1.0) * (seen - kept.depth)
        kept.ts_ns, kept.bids, kept.asks = ts_ns, bids, asks
        return kept

    def dump(self) -> dict[str, Any]:
        """Plain data."""
        return {
            name: [row.ts_ns, _plain(row.bids), _plain(row.asks), row.flow, row.depth]
            for name, row in self.rows.items()
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take what `dump` gave."""
        self.rows = {
            name: Flow(ts_ns, _levels(bids), _levels(asks), flow, depth)
            for name, (ts_ns, bids, asks, flow, depth) in state.items()
        }


def touch(levels: Levels) -> float:
    """Shares at the best price."""
    return levels[0][1] / units.ONE_E6 if levels else 0.0


def side_flow(before: Levels, after: Levels, bids: bool) -> float:
    """Shares that came to a side less those that left it, deeper levels at half the weight each.

    Level by level: a better price is all new, a worse one means that the old one is gone, at the
    same price the difference counts.
    """
    total, weight = 0.0, 1.0
    for at in range(LEVELS):
        old = before[at] if at < len(before) else None
        new = after[at] if at < len(after) else None
        if new is not None and (old is None or _reaches(new[0], old[0], bids)):
            total += weight * new[1]
        if old is not None and (new is None or _reaches(old[0], new[0], bids)):
            total -= weight * old[1]
        weight *= LEVEL_WEIGHT
    return total / units.ONE_E6


def queue_imbalance(bids: Levels, asks: Levels) -> float:
    """Shares bid less shares offered near the touch over both, in [-1, 1]; deeper ones count half
    as much each; 0.0 for an empty book.
    """
    bid = ask = 0.0
    weight = 1.0
    for at in range(LEVELS):
        bid += weight * bids[at][1] if at < len(bids) else 0.0
        ask += weight * asks[at][1] if at < len(asks) else 0.0
        weight *= LEVEL_WEIGHT
    return (bid - ask) / (bid + ask) if bid + ask > 0.0 else 0.0


def _reaches(price_e4: int, other_e4: int, bids: bool) -> bool:
    """Whether a price is as good as another one, or better."""
    return price_e4 >= other_e4 if bids else price_e4 <= other_e4


def _plain(levels: Levels) -> list[list[int]]:
    return [list(level) for level in levels]


def _levels(rows: list[list[int]]) -> Levels:
    return [(int(price_e4), int(size_e6)) for price_e4, size_e6 in rows]
