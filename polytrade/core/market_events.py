"""The life of a market: it is listed, its grid changes, it is resolved."""

from typing import ClassVar, final

from polytrade.core.event import Event


@final
class MarketListed(Event):
    """What is known of a market now; sent again, whole, whenever something of it changes.
    `condition` is `updown`, `above`, `below`, `range` or `other`; `settle` is `spot`, `twap` or
    `none`; `strike_e8` is -1 while unknown, only `updown` markets learn theirs after the start.
    A `range` pays from `strike_e8` to below `upper_e8`, which is 0 for every other condition.
    `fee_rate_e6` is the taker rate of protocols 8.1 in millionths.
    """

    TAG: ClassVar[str] = "market_listed"
    FIELDS: ClassVar[tuple[str, ...]] = (
        "ts_ns",
        "market",
        "slug",
        "symbol",
        "condition",
        "yes",
        "no",
        "tick_e4",
        "min_size_e6",
        "neg_risk",
        "fee_rate_e6",
        "fee_exponent",
        "rebate_rate_e6",
        "start_ns",
        "end_ns",
        "settle",
        "lookback_s",
        "strike_e8",
        "accepting",
        "closed",
        "taker_delay_ms",
        "version",
        "upper_e8",
    )
    __slots__ = (
        "accepting",
        "closed",
        "condition",
        "end_ns",
        "fee_exponent",
        "fee_rate_e6",
        "lookback_s",
        "market",
        "min_size_e6",
        "neg_risk",
        "no",
        "rebate_rate_e6",
        "settle",
        "slug",
        "start_ns",
        "strike_e8",
        "symbol",
        "taker_delay_ms",
        "tick_e4",
        "upper_e8",
        "version",
        "yes",
    )

    def __init__(
        self,
        ts_ns: int,
        market: str,
        slug: str,
        symbol: str,
        condition: str,
        yes: str,
        no: str,
        tick_e4: int,
        min_size_e6: int,
        neg_risk: bool,
        fee_rate_e6: int,
        fee_exponent: int,
        rebate_rate_e6: int,
        start_ns: int,
        end_ns: int,
        settle: str,
        lookback_s: int,
        strike_e8: int,
        accepting: bool,
        closed: bool,
        taker_delay_ms: int,
        version: str,
        upper_e8: int = 0,
    ) -> None:
        self.ts_ns = ts_ns
        self.market = market
        self.slug = slug
        self.symbol = symbol
        self.condition = condition
        self.yes = yes
        self.no = no
        self.tick_e4 = tick_e4
        self.min_size_e6 = min_size_e6
        self.neg_risk = neg_risk
        self.fee_rate_e6 = fee_rate_e6
        self.fee_exponent = fee_exponent
        self.rebate_rate_e6 = rebate_rate_e6
        self.start_ns = start_ns
        self.end_ns = end_ns
        self.settle = settle
        self.lookback_s = lookback_s
        self.strike_e8 = strike_e8
        self.accepting = accepting
        self.closed = closed
        self.taker_delay_ms = taker_delay_ms
        self.version = version
        self.upper_e8 = upper_e8


@final
class TickSizeChanged(Event):
    """The market's price grid changed; comes once a token, often twice."""

    TAG: ClassVar[str] = "tick_size_changed"
    FIELDS: ClassVar[tuple[str, ...]] = ("ts_ns", "market", "old_e4", "new_e4", "venue_ts_ms")
    __slots__ = ("market", "new_e4", "old_e4", "venue_ts_ms")

    def __init__(self, ts_ns: int, market: str, old_e4: int, new_e4: int, venue_ts_ms: int) -> None:
        self.ts_ns = ts_ns
        self.market = market
        self.old_e4 = old_e4
        self.new_e4 = new_e4
        self.venue_ts_ms = venue_ts_ms


@final
class MarketResolved(Event):
    """The official outcome: `winner` is YES, NO, or -1 for a 50-50 resolution."""

    TAG: ClassVar[str] = "market_resolved"
    FIELDS: ClassVar[tuple[str, ...]] = ("ts_ns", "market", "winner", "source")
    __slots__ = ("market", "source", "winner")

    def __init__(self, ts_ns: int, market: str, winner: int, source: str) -> None:
        self.ts_ns = ts_ns
        self.market = market
        self.winner = winner
        self.source = source
