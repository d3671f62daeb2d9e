"""What is wanted: the engine's answer to an event, carried out by the shell.

Imperative, never mutated after construction. The effect digest of a run is a hash over these rows.
"""

from typing import ClassVar, final


class Effect:
    """Something the engine wants done or wants known."""

    TAG: ClassVar[str] = ""
    FIELDS: ClassVar[tuple[str, ...]] = ()
    __slots__ = ()

    def row(self) -> list[object]:
        """The effect as the digest and the journal see it: its tag, then its fields in order."""
        return [self.TAG, *[getattr(self, name) for name in self.FIELDS]]

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and isinstance(other, Effect) and self.row() == other.row()

    def __hash__(self) -> int:
        return hash(self.TAG)

    def __repr__(self) -> str:
        body = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.FIELDS)
        return f"{type(self).__name__}({body})"


@final
class PlaceOrder(Effect):
    """Send this order. `engine` names who wanted it (`maker`, `taker`, `arb`, `flatten`), `tif` is
    `GTC`, `GTD`, `FAK` or `FOK`; `expires_ns` is our own time to live, 0 for none: what is not sent
    by then is not sent any more. `fair_e6` (of YES, -1 for none) and `edge_bps` are what whoever
    wanted it thought at that moment.
    """

    TAG: ClassVar[str] = "place_order"
    FIELDS: ClassVar[tuple[str, ...]] = (
        "order_id",
        "market",
        "token",
        "side",
        "price_e4",
        "size_e6",
        "tif",
        "post_only",
        "expires_ns",
        "engine",
        "fair_e6",
        "edge_bps",
    )
    __slots__ = (
        "edge_bps",
        "engine",
        "expires_ns",
        "fair_e6",
        "market",
        "order_id",
        "post_only",
        "price_e4",
        "side",
        "size_e6",
        "tif",
        "token",
    )

    def __init__(
        self,
        order_id: str,
        market: str,
        token: int,
        side: int,
        price_e4: int,
        size_e6: int,
        tif: str,
        post_only: bool,
        expires_ns: int,
        engine: str,
        fair_e6: int = -1,
        edge_bps: float = 0.0,
    ) -> None:
        self.order_id = order_id
        self.market = market
        self.token = token
        self.side = side
        self.price_e4 = price_e4
        self.size_e6 = size_e6
        self.tif = tif
        self.post_only = post_only
        self.expires_ns = expires_ns
        self.engine = engine
        self.fair_e6 = fair_e6
        self.edge_bps = edge_bps


@final
class CancelOrder(Effect):
    """Take this order off the book."""

    TAG: ClassVar[str] = "cancel_order"
    FIELDS: ClassVar[tuple[str, ...]] = ("order_id", "market", "reason")
    __slots__ = ("market", "order_id", "reason")

    def __init__(self, order_id: str, market: str, reason: str) -> None:
        self.order_id = order_id
        self.market = market
        self.reason = reason


@final
class MergePairs(Effect):
    """Turn `size_e6` pairs of YES and NO back into money."""

    TAG: ClassVar[str] = "merge_pairs"
    FIELDS: ClassVar[tuple[str, ...]] = ("market", "size_e6")
    __slots__ = ("market", "size_e6")

    def __init__(self, market: str, size_e6: int) -> None:
        self.market = market
        self.size_e6 = size_e6


@final
class SplitPairs(Effect):
    """Turn money into `size_e6` pairs of YES and NO."""

    TAG: ClassVar[str] = "split_pairs"
    FIELDS: ClassVar[tuple[str, ...]] = ("market", "size_e6")
    __slots__ = ("market", "size_e6")

    def __init__(self, market: str, size_e6: int) -> None:
        self.market = market
        self.size_e6 = size_e6


@final
class Refused(Effect):
    """A wish did not pass the limits: `limit` names the first that stopped it."""

    TAG: ClassVar[str] = "refused"
    FIELDS: ClassVar[tuple[str, ...]] = (
        "market",
        "engine",
        "token",
        "side",
        "price_e4",
        "size_e6",
        "limit",
        "why",
    )
    __slots__ = ("engine", "limit", "market", "price_e4", "side", "size_e6", "token", "why")

    def __init__(
        self,
        market: str,
        engine: str,
        token: int,
        side: int,
        price_e4: int,
        size_e6: int,
        limit: str,
        why: str,
    ) -> None:
        self.market = market
        self.engine = engine
        self.token = token
        self.side = side
        self.price_e4 = price_e4
        self.size_e6 = size_e6
        self.limit = limit
        self.why = why


@final
class QuoteStateChanged(Effect):
    """Why a market is quoted or not, sent when it changes: `quoting`, `no_quote_*` or `risk:*`."""

    TAG: ClassVar[str] = "quote_state_changed"
    FIELDS: ClassVar[tuple[str, ...]] = ("market", "state")
    __slots__ = ("market", "state")

    def __init__(self, market: str, state: str) -> None:
        self.market = market
        self.state = state


@final
class RequestSnapshot(Effect):
    """The market's book cannot be trusted: fetch a fresh one."""

    TAG: ClassVar[str] = "request_snapshot"
    FIELDS: ClassVar[tuple[str, ...]] = ("market", "reason")
    __slots__ = ("market", "reason")

    def __init__(self, market: str, reason: str) -> None:
        self.market = market
        self.reason = reason


@final
class BookStateChanged(Effect):
    """A book's trust changed."""

    TAG: ClassVar[str] = "book_state_changed"
    FIELDS: ClassVar[tuple[str, ...]] = ("market", "state", "reason")
    __slots__ = ("market", "reason", "state")

    def __init__(self, market: str, state: str, reason: str) -> None:
        self.market = market
        self.state = state
        self.reason = reason


@final
class PhaseChanged(Effect):
    """A market moved on in its life cycle."""

    TAG: ClassVar[str] = "phase_changed"
    FIELDS: ClassVar[tuple[str, ...]] = ("market", "phase")
    __slots__ = ("market", "phase")

    def __init__(self, market: str, phase: str) -> None:
        self.market = market
        self.phase = phase


@final
class Alarmed(Effect):
    """Something an operator must know: a kill switch, a halt, a broken feed."""

    TAG: ClassVar[str] = "alarmed"
    FIELDS: ClassVar[tuple[str, ...]] = ("name", "detail")
    __slots__ = ("detail", "name")

    def __init__(self, name: str, detail: str) -> None:
        self.name = name
        self.detail = detail


@final
class PluginFaulted(Effect):
    """The plugin `name` of a role failed and is out of service until that role is swapped; at a
    swap: the state of its predecessor was not handed over, and it began anew.
    """

    TAG: ClassVar[str] = "plugin_faulted"
    FIELDS: ClassVar[tuple[str, ...]] = ("role", "name", "why")
    __slots__ = ("name", "role", "why")

    def __init__(self, role: str, name: str, why: str) -> None:
        self.role = role
        self.name = name
        self.why = why
