"""What became of orders, fills and sets."""

from typing import ClassVar, final

from polytrade.core.event import Event


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
