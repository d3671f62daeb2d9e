"""What happened: the only way state changes.

Past tense, never mutated after construction, in the order the inbox stamped them. `ts_ns` is ours:
Unix nanoseconds, never decreasing in a run, the core's only "now". `venue_ts_*` is theirs:
information, never an ordering. The journal is the list of these; `row()` is what it stores.

Plain slotted classes on purpose: they are made for every message, and mypyc compiles them as is.
"""

from typing import ClassVar, Final, final


class Event:
    """Something that happened at `ts_ns`."""

    TAG: ClassVar[str] = ""
    FIELDS: ClassVar[tuple[str, ...]] = ("ts_ns",)
    __slots__ = ("ts_ns",)

    ts_ns: int

    def row(self) -> list[object]:
        """The event as the journal writes it: its tag, then its fields in order."""
        return [self.TAG, *[getattr(self, name) for name in self.FIELDS]]

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and isinstance(other, Event) and self.row() == other.row()

    def __hash__(self) -> int:
        return hash((self.TAG, self.ts_ns))

    def __repr__(self) -> str:
        body = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.FIELDS)
        return f"{type(self).__name__}({body})"


@final
class RunStarted(Event):
    """A run begins: what paper money it has. The first event of every journal."""

    TAG: ClassVar[str] = "run_started"
    FIELDS: ClassVar[tuple[str, ...]] = ("ts_ns", "run_id", "mode", "cash_e6")
    __slots__ = ("cash_e6", "mode", "run_id")

    def __init__(self, ts_ns: int, run_id: str, mode: str, cash_e6: int) -> None:
        self.ts_ns = ts_ns
        self.run_id = run_id
        self.mode = mode
        self.cash_e6 = cash_e6


@final
class ClockTicked(Event):
    """Time passed. The shell sends one every `latency.tick_interval_ms`; timers hang on it."""

    TAG: ClassVar[str] = "clock_ticked"
    FIELDS: ClassVar[tuple[str, ...]] = ("ts_ns",)
    __slots__ = ()

    def __init__(self, ts_ns: int) -> None:
        self.ts_ns = ts_ns


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


@final
class BookReplaced(Event):
    """A full book of one token in that token's own terms: bids ascending, asks descending,
    (price_e4, size_e6) each, as on the wire. `tick_e4` is 0 and `last_trade` is `?` where the
    message does not say; `rest` tells a REST snapshot from the socket's.
    """

    TAG: ClassVar[str] = "book_replaced"
    FIELDS: ClassVar[tuple[str, ...]] = (
        "ts_ns",
        "market",
        "token",
        "bids",
        "asks",
        "tick_e4",
        "last_trade",
        "venue_ts_ms",
        "hash",
        "rest",
    )
    __slots__ = (
        "asks",
        "bids",
        "hash",
        "last_trade",
        "market",
        "rest",
        "tick_e4",
        "token",
        "venue_ts_ms",
    )

    def __init__(
        self,
        ts_ns: int,
        market: str,
        token: int,
        bids: list[tuple[int, int]],
        asks: list[tuple[int, int]],
        tick_e4: int,
        last_trade: str,
        venue_ts_ms: int,
        hash: str,
        rest: bool,
    ) -> None:
        self.ts_ns = ts_ns
        self.market = market
        self.token = token
        self.bids = bids
        self.asks = asks
        self.tick_e4 = tick_e4
        self.last_trade = last_trade
        self.venue_ts_ms = venue_ts_ms
        self.hash = hash
        self.rest = rest


@final
class BookChanged(Event):
    """One level of one token now holds `size_e6` (0 removes it). `best_bid_e4` and `best_ask_e4`
    are what the message states for after its whole batch; 0 and ONE_E4 for an empty side, -1
    where it does not say.
    """

    TAG: ClassVar[str] = "book_changed"
    FIELDS: ClassVar[tuple[str, ...]] = (
        "ts_ns",
        "market",
        "token",
        "side",
        "price_e4",
        "size_e6",
        "best_bid_e4",
        "best_ask_e4",
        "venue_ts_ms",
        "hash",
    )
    __slots__ = (
        "best_ask_e4",
        "best_bid_e4",
        "hash",
        "market",
        "price_e4",
        "side",
        "size_e6",
        "token",
        "venue_ts_ms",
    )

    def __init__(
        self,
        ts_ns: int,
        market: str,
        token: int,
        side: int,
        price_e4: int,
        size_e6: int,
        best_bid_e4: int,
        best_ask_e4: int,
        venue_ts_ms: int,
        hash: str,
    ) -> None:
        self.ts_ns = ts_ns
        self.market = market
        self.token = token
        self.side = side
        self.price_e4 = price_e4
        self.size_e6 = size_e6
        self.best_bid_e4 = best_bid_e4
        self.best_ask_e4 = best_ask_e4
        self.venue_ts_ms = venue_ts_ms
        self.hash = hash


@final
class TradePrinted(Event):
    """A public trade in the taker's terms: the taker did `side` on `token` at `price_e4`."""

    TAG: ClassVar[str] = "trade_printed"
    FIELDS: ClassVar[tuple[str, ...]] = (
        "ts_ns",
        "market",
        "token",
        "side",
        "price_e4",
        "size_e6",
        "venue_ts_ms",
        "trade_id",
    )
    __slots__ = ("market", "price_e4", "side", "size_e6", "token", "trade_id", "venue_ts_ms")

    def __init__(
        self,
        ts_ns: int,
        market: str,
        token: int,
        side: int,
        price_e4: int,
        size_e6: int,
        venue_ts_ms: int,
        trade_id: str,
    ) -> None:
        self.ts_ns = ts_ns
        self.market = market
        self.token = token
        self.side = side
        self.price_e4 = price_e4
        self.size_e6 = size_e6
        self.venue_ts_ms = venue_ts_ms
        self.trade_id = trade_id


@final
class BestQuoted(Event):
    """The venue's own best bid and ask of a token (may come before the changes that cause it)."""

    TAG: ClassVar[str] = "best_quoted"
    FIELDS: ClassVar[tuple[str, ...]] = (
        "ts_ns",
        "market",
        "token",
        "bid_e4",
        "ask_e4",
        "venue_ts_ms",
    )
    __slots__ = ("ask_e4", "bid_e4", "market", "token", "venue_ts_ms")

    def __init__(
        self, ts_ns: int, market: str, token: int, bid_e4: int, ask_e4: int, venue_ts_ms: int
    ) -> None:
        self.ts_ns = ts_ns
        self.market = market
        self.token = token
        self.bid_e4 = bid_e4
        self.ask_e4 = ask_e4
        self.venue_ts_ms = venue_ts_ms


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
class ReferenceTicked(Event):
    """A reference price of a symbol (`BTC`): `kind` is FAST, ANCHOR, TWAP30, TWAP60 or RELAY.
    `venue_ts_ns` is the source's own time, 0 where it gives none.
    """

    TAG: ClassVar[str] = "reference_ticked"
    FIELDS: ClassVar[tuple[str, ...]] = (
        "ts_ns",
        "symbol",
        "source",
        "kind",
        "price_e8",
        "venue_ts_ns",
    )
    __slots__ = ("kind", "price_e8", "source", "symbol", "venue_ts_ns")

    def __init__(
        self, ts_ns: int, symbol: str, source: str, kind: int, price_e8: int, venue_ts_ns: int
    ) -> None:
        self.ts_ns = ts_ns
        self.symbol = symbol
        self.source = source
        self.kind = kind
        self.price_e8 = price_e8
        self.venue_ts_ns = venue_ts_ns


@final
class VolatilityQuoted(Event):
    """The volatility of a symbol (`BTC`) that a source's options imply from now to `expiry_ns`.

    `sigma` is that of log returns over a year of 365 days: 0.55 is 55 %. `venue_ts_ms` is the
    source's own time, 0 where it gives none.
    """

    TAG: ClassVar[str] = "volatility_quoted"
    FIELDS: ClassVar[tuple[str, ...]] = (
        "ts_ns",
        "source",
        "symbol",
        "sigma",
        "expiry_ns",
        "venue_ts_ms",
    )
    __slots__ = ("expiry_ns", "sigma", "source", "symbol", "venue_ts_ms")

    def __init__(
        self,
        ts_ns: int,
        source: str,
        symbol: str,
        sigma: float,
        expiry_ns: int,
        venue_ts_ms: int,
    ) -> None:
        self.ts_ns = ts_ns
        self.source = source
        self.symbol = symbol
        self.sigma = sigma
        self.expiry_ns = expiry_ns
        self.venue_ts_ms = venue_ts_ms


@final
class FeedUp(Event):
    """A feed's connection is open and subscribed."""

    TAG: ClassVar[str] = "feed_up"
    FIELDS: ClassVar[tuple[str, ...]] = ("ts_ns", "source")
    __slots__ = ("source",)

    def __init__(self, ts_ns: int, source: str) -> None:
        self.ts_ns = ts_ns
        self.source = source


@final
class FeedDown(Event):
    """A feed's connection is gone; what it fed is not to be trusted until it speaks again."""

    TAG: ClassVar[str] = "feed_down"
    FIELDS: ClassVar[tuple[str, ...]] = ("ts_ns", "source", "reason")
    __slots__ = ("reason", "source")

    def __init__(self, ts_ns: int, source: str, reason: str) -> None:
        self.ts_ns = ts_ns
        self.source = source
        self.reason = reason


@final
class FeedGap(Event):
    """Something of a feed was lost or could not be read; `market` is empty when it may concern any
    market of the source.
    """

    TAG: ClassVar[str] = "feed_gap"
    FIELDS: ClassVar[tuple[str, ...]] = ("ts_ns", "source", "market", "reason")
    __slots__ = ("market", "reason", "source")

    def __init__(self, ts_ns: int, source: str, market: str, reason: str) -> None:
        self.ts_ns = ts_ns
        self.source = source
        self.market = market
        self.reason = reason


@final
class OrderAccepted(Event):
    """The venue took the order: it rests, or waits to be matched."""

    TAG: ClassVar[str] = "order_accepted"
    FIELDS: ClassVar[tuple[str, ...]] = ("ts_ns", "order_id", "venue_id")
    __slots__ = ("order_id", "venue_id")

    def __init__(self, ts_ns: int, order_id: str, venue_id: str) -> None:
        self.ts_ns = ts_ns
        self.order_id = order_id
        self.venue_id = venue_id


@final
class OrderRejected(Event):
    """The venue refused the order; nothing of it was done."""

    TAG: ClassVar[str] = "order_rejected"
    FIELDS: ClassVar[tuple[str, ...]] = ("ts_ns", "order_id", "reason")
    __slots__ = ("order_id", "reason")

    def __init__(self, ts_ns: int, order_id: str, reason: str) -> None:
        self.ts_ns = ts_ns
        self.order_id = order_id
        self.reason = reason


@final
class OrderFilled(Event):
    """Part or all of an order was matched: provisional until `FillConfirmed`. `price_e4` is in the
    order's own token. `why` says how the fill came about, `maker` on which side of the fee
    schedule it fell.
    """

    TAG: ClassVar[str] = "order_filled"
    FIELDS: ClassVar[tuple[str, ...]] = (
        "ts_ns",
        "order_id",
        "fill_id",
        "price_e4",
        "size_e6",
        "fee_e6",
        "maker",
        "why",
    )
    __slots__ = ("fee_e6", "fill_id", "maker", "order_id", "price_e4", "size_e6", "why")

    def __init__(
        self,
        ts_ns: int,
        order_id: str,
        fill_id: str,
        price_e4: int,
        size_e6: int,
        fee_e6: int,
        maker: bool,
        why: str,
    ) -> None:
        self.ts_ns = ts_ns
        self.order_id = order_id
        self.fill_id = fill_id
        self.price_e4 = price_e4
        self.size_e6 = size_e6
        self.fee_e6 = fee_e6
        self.maker = maker
        self.why = why


@final
class FillConfirmed(Event):
    """The fill settled: it is final and its shares may be sold."""

    TAG: ClassVar[str] = "fill_confirmed"
    FIELDS: ClassVar[tuple[str, ...]] = ("ts_ns", "fill_id")
    __slots__ = ("fill_id",)

    def __init__(self, ts_ns: int, fill_id: str) -> None:
        self.ts_ns = ts_ns
        self.fill_id = fill_id


@final
class FillFailed(Event):
    """The trade failed to settle: the fill never happened."""

    TAG: ClassVar[str] = "fill_failed"
    FIELDS: ClassVar[tuple[str, ...]] = ("ts_ns", "fill_id", "reason")
    __slots__ = ("fill_id", "reason")

    def __init__(self, ts_ns: int, fill_id: str, reason: str) -> None:
        self.ts_ns = ts_ns
        self.fill_id = fill_id
        self.reason = reason


@final
class OrderCancelled(Event):
    """What was left of the order is off the book."""

    TAG: ClassVar[str] = "order_cancelled"
    FIELDS: ClassVar[tuple[str, ...]] = ("ts_ns", "order_id", "reason")
    __slots__ = ("order_id", "reason")

    def __init__(self, ts_ns: int, order_id: str, reason: str) -> None:
        self.ts_ns = ts_ns
        self.order_id = order_id
        self.reason = reason


@final
class CancelRejected(Event):
    """The venue would not cancel the order."""

    TAG: ClassVar[str] = "cancel_rejected"
    FIELDS: ClassVar[tuple[str, ...]] = ("ts_ns", "order_id", "reason")
    __slots__ = ("order_id", "reason")

    def __init__(self, ts_ns: int, order_id: str, reason: str) -> None:
        self.ts_ns = ts_ns
        self.order_id = order_id
        self.reason = reason


@final
class OrderLost(Event):
    """No answer came in time: the order's state is unknown and its money stays reserved."""

    TAG: ClassVar[str] = "order_lost"
    FIELDS: ClassVar[tuple[str, ...]] = ("ts_ns", "order_id", "reason")
    __slots__ = ("order_id", "reason")

    def __init__(self, ts_ns: int, order_id: str, reason: str) -> None:
        self.ts_ns = ts_ns
        self.order_id = order_id
        self.reason = reason


@final
class PairsMerged(Event):
    """`size_e6` pairs of YES and NO became 1 USDC each."""

    TAG: ClassVar[str] = "pairs_merged"
    FIELDS: ClassVar[tuple[str, ...]] = ("ts_ns", "market", "size_e6")
    __slots__ = ("market", "size_e6")

    def __init__(self, ts_ns: int, market: str, size_e6: int) -> None:
        self.ts_ns = ts_ns
        self.market = market
        self.size_e6 = size_e6


@final
class PairsSplit(Event):
    """`size_e6` USDC became as many YES and NO."""

    TAG: ClassVar[str] = "pairs_split"
    FIELDS: ClassVar[tuple[str, ...]] = ("ts_ns", "market", "size_e6")
    __slots__ = ("market", "size_e6")

    def __init__(self, ts_ns: int, market: str, size_e6: int) -> None:
        self.ts_ns = ts_ns
        self.market = market
        self.size_e6 = size_e6


@final
class RebatePaid(Event):
    """The venue paid a maker rebate or liquidity reward."""

    TAG: ClassVar[str] = "rebate_paid"
    FIELDS: ClassVar[tuple[str, ...]] = ("ts_ns", "market", "cash_e6")
    __slots__ = ("cash_e6", "market")

    def __init__(self, ts_ns: int, market: str, cash_e6: int) -> None:
        self.ts_ns = ts_ns
        self.market = market
        self.cash_e6 = cash_e6


@final
class ModeSet(Event):
    """The engine's mode is now `run`, `reduce` or `halt`."""

    TAG: ClassVar[str] = "mode_set"
    FIELDS: ClassVar[tuple[str, ...]] = ("ts_ns", "mode", "why")
    __slots__ = ("mode", "why")

    def __init__(self, ts_ns: int, mode: str, why: str) -> None:
        self.ts_ns = ts_ns
        self.mode = mode
        self.why = why


@final
class PauseSet(Event):
    """The operator paused or resumed quoting."""

    TAG: ClassVar[str] = "pause_set"
    FIELDS: ClassVar[tuple[str, ...]] = ("ts_ns", "paused")
    __slots__ = ("paused",)

    def __init__(self, ts_ns: int, paused: bool) -> None:
        self.ts_ns = ts_ns
        self.paused = paused


@final
class FlattenRequested(Event):
    """The operator wants every position closed within `slippage_e4` of the mid."""

    TAG: ClassVar[str] = "flatten_requested"
    FIELDS: ClassVar[tuple[str, ...]] = ("ts_ns", "slippage_e4")
    __slots__ = ("slippage_e4",)

    def __init__(self, ts_ns: int, slippage_e4: int) -> None:
        self.ts_ns = ts_ns
        self.slippage_e4 = slippage_e4


@final
class ShadowReset(Event):
    """A new measuring window begins."""

    TAG: ClassVar[str] = "shadow_reset"
    FIELDS: ClassVar[tuple[str, ...]] = ("ts_ns", "window_id")
    __slots__ = ("window_id",)

    def __init__(self, ts_ns: int, window_id: int) -> None:
        self.ts_ns = ts_ns
        self.window_id = window_id


@final
class LineupSwapped(Event):
    """Other settings and plugins are in force from here on: the configuration's generation.

    `config` is compact JSON of the sections that were set, each whole; `plugins` compact JSON of
    the plugins in use, name to version and digest; `why` says who wanted it and what for.
    """

    TAG: ClassVar[str] = "lineup_swapped"
    FIELDS: ClassVar[tuple[str, ...]] = ("ts_ns", "generation", "config", "plugins", "why")
    __slots__ = ("config", "generation", "plugins", "why")

    def __init__(self, ts_ns: int, generation: int, config: str, plugins: str, why: str) -> None:
        self.ts_ns = ts_ns
        self.generation = generation
        self.config = config
        self.plugins = plugins
        self.why = why


@final
class PluginQuarantined(Event):
    """The shell takes the plugin of a role out of service: it took too long, again and again."""

    TAG: ClassVar[str] = "plugin_quarantined"
    FIELDS: ClassVar[tuple[str, ...]] = ("ts_ns", "role", "why")
    __slots__ = ("role", "why")

    def __init__(self, ts_ns: int, role: str, why: str) -> None:
        self.ts_ns = ts_ns
        self.role = role
        self.why = why


@final
class ClockSkewMeasured(Event):
    """Our clock minus the venue's, as measured at the venue's `/time`."""

    TAG: ClassVar[str] = "clock_skew_measured"
    FIELDS: ClassVar[tuple[str, ...]] = ("ts_ns", "skew_ms")
    __slots__ = ("skew_ms",)

    def __init__(self, ts_ns: int, skew_ms: int) -> None:
        self.ts_ns = ts_ns
        self.skew_ms = skew_ms


@final
class RecordsLost(Event):
    """The journal could not keep `count` records here: a replay across this point is not exact."""

    TAG: ClassVar[str] = "records_lost"
    FIELDS: ClassVar[tuple[str, ...]] = ("ts_ns", "count", "why")
    __slots__ = ("count", "why")

    def __init__(self, ts_ns: int, count: int, why: str) -> None:
        self.ts_ns = ts_ns
        self.count = count
        self.why = why


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
    if len(row) != len(kind.FIELDS) + 1:
        raise ValueError(f"{kind.TAG}: expected {len(kind.FIELDS)} fields, found {len(row) - 1}")
    if kind is BookReplaced:
        row = [*row[:4], _levels(row[4]), _levels(row[5]), *row[6:]]
    return kind(*row[1:])


def _levels(value: object) -> list[tuple[int, int]]:
    if not isinstance(value, list):
        raise ValueError(f"expected a list of levels, found {value!r}")
    return [(int(level[0]), int(level[1])) for level in value]
