"""What happened: the only way state changes.

Past tense, never mutated after construction, in the order the inbox stamped them. `ts_ns` is ours:
Unix nanoseconds, never decreasing in a run, the core's only "now". `venue_ts_*` is theirs:
information, never an ordering. The journal is the list of these; `row()` is what it stores.

Plain slotted classes on purpose: they are made for every message, and mypyc compiles them as is.
"""

from typing import Final

from polytrade.core.event import Event
from polytrade.core.feed_events import (
    BestQuoted,
    BookChanged,
    BookReplaced,
    FeedDown,
    FeedGap,
    FeedUp,
    ReferenceTicked,
    TradePrinted,
    VolatilityQuoted,
)
from polytrade.core.market_events import (
    MarketListed,
    MarketResolved,
    TickSizeChanged,
)
from polytrade.core.order_events import (
    CancelRejected,
    FillConfirmed,
    FillFailed,
    OrderAccepted,
    OrderCancelled,
    OrderFilled,
    OrderLost,
    OrderRejected,
    PairsMerged,
    PairsSplit,
    RebatePaid,
)
from polytrade.core.run_events import (
    ClockSkewMeasured,
    ClockTicked,
    FlattenRequested,
    LineupSwapped,
    ModeSet,
    PauseSet,
    PluginQuarantined,
    RecordsLost,
    ReloadRejected,
    RunStarted,
    ShadowReset,
)

__all__ = [
    "EVENTS",
    "BestQuoted",
    "BookChanged",
    "BookReplaced",
    "CancelRejected",
    "ClockSkewMeasured",
    "ClockTicked",
    "Event",
    "FeedDown",
    "FeedGap",
    "FeedUp",
    "FillConfirmed",
    "FillFailed",
    "FlattenRequested",
    "LineupSwapped",
    "MarketListed",
    "MarketResolved",
    "ModeSet",
    "OrderAccepted",
    "OrderCancelled",
    "OrderFilled",
    "OrderLost",
    "OrderRejected",
    "PairsMerged",
    "PairsSplit",
    "PauseSet",
    "PluginQuarantined",
    "RebatePaid",
    "RecordsLost",
    "ReferenceTicked",
    "ReloadRejected",
    "RunStarted",
    "ShadowReset",
    "TickSizeChanged",
    "TradePrinted",
    "VolatilityQuoted",
    "event_from_row",
]

EVENTS: Final[dict[str, type[Event]]] = {
    kind.TAG: kind
    for kind in (
        RunStarted,
        ClockTicked,
        MarketListed,
        MarketResolved,
        BookReplaced,
        BookChanged,
        TradePrinted,
        BestQuoted,
        TickSizeChanged,
        ReferenceTicked,
        VolatilityQuoted,
        FeedUp,
        FeedDown,
        FeedGap,
        OrderAccepted,
        OrderRejected,
        OrderFilled,
        FillConfirmed,
        FillFailed,
        OrderCancelled,
        CancelRejected,
        OrderLost,
        PairsMerged,
        PairsSplit,
        RebatePaid,
        ModeSet,
        PauseSet,
        FlattenRequested,
        ShadowReset,
        LineupSwapped,
        ReloadRejected,
        PluginQuarantined,
        ClockSkewMeasured,
        RecordsLost,
    )
}
"""Every event by the tag its journal row begins with."""


def event_from_row(row: list[object]) -> Event:
    """The event a journal row describes; ValueError when the tag or the fields do not fit."""
    kind = EVENTS.get(str(row[0])) if row else None
    if kind is None:
        raise ValueError(f"unknown event tag {row[0] if row else None!r}")
    if kind is MarketListed and len(row) == len(kind.FIELDS):
        row = [*row, 0]  # journals from before range markets have no upper bound
    if kind is PluginQuarantined and len(row) == len(kind.FIELDS):
        row = [*row, 0]  # journals from before it was known whose quarantine it is
    if len(row) != len(kind.FIELDS) + 1:
        raise ValueError(f"{kind.TAG}: expected {len(kind.FIELDS)} fields, found {len(row) - 1}")
    if kind is BookReplaced:
        row = [*row[:4], _levels(row[4]), _levels(row[5]), *row[6:]]
    return kind(*row[1:])


def _levels(value: object) -> list[tuple[int, int]]:
    if not isinstance(value, list):
        raise ValueError(f"expected a list of levels, found {value!r}")
    return [(int(level[0]), int(level[1])) for level in value]
