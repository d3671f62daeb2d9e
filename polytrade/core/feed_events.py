"""What feeds say: books, trades, reference prices, volatilities, and of themselves."""

from typing import ClassVar, final

from polytrade.core.event import Event


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
