"""What the codecs of the reference exchanges share: their protocol, their tables, their base.

A codec is sans-IO (layer 1): it says what to send and turns frames into events. It opens nothing,
waits for nothing and reads no clock; `runtime/` drives it live, replay and importers drive it from
recordings. Wire facts: protocols 9.1 to 9.8.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Protocol

import orjson

from polytrade.core.events import Event, FeedGap, ReferenceTicked
from polytrade.core.ids import FAST
from polytrade.reference.fields import shown
from polytrade.wire_roles import Decoder, WireError

QUOTES: Final[Mapping[str, str]] = {
    "binance": "usdt",
    "coinbase": "usd",
    "kraken": "usd",
    "okx": "usdt",
    "bybit": "usdt",
}
"""The quote currency behind a source name: USD and USDT pairs are different instruments."""

TRADE_ID_GAP: Final = "trade_id_gap"
"""A trade is missing: ids of one instrument did not follow each other."""
SEQUENCE_GAP: Final = "sequence_gap"
"""A message is missing or out of order: the venue's own numbering broke."""
CHECKSUM: Final = "checksum"
"""The book kept from the venue's messages is not the venue's book."""
SERVER_SHUTDOWN: Final = "server_shutdown"
"""The venue announced that it will close this connection."""

UNKNOWN_MAX: Final = 64
"""Names kept in `unknown`: venues have a few dozen channels; the rest counts as `other`."""
UNKNOWN_NAME_MAX: Final = 40
"""Longest name kept in `unknown`: the longest documented channel name has 25 characters."""


class FeedCodec(Decoder, Protocol):
    """What a generic feed runner needs of a venue, besides decoding."""

    name: str
    """The source name of its ticks: `binance`."""
    default_url: str
    """The venue's public, keyless address."""
    ping_interval_s: float
    """Seconds between two `ping()` frames; of no meaning where `ping()` is None."""
    max_age_s: float
    """Seconds after which the connection is to be replaced; infinite where the venue sets none."""
    counts: Counter[str]
    """What was decoded, over all connections."""
    reconnect_wanted: bool
    """True once only a new connection helps: announced shutdowns, books that lost a message."""

    def hello(self) -> list[str]:
        """The text frames to send once connected, within the venue's limits; empty: no coin."""

    def ping(self) -> str | None:
        """The application's ping frame, None where WebSocket pings suffice."""

    def reset(self) -> None:
        """Call at each new connection: sequence state and `reconnect_wanted` start over."""


class VenueCodec(ABC):
    """The shared half of a venue's codec; a venue adds `hello`, `_events` and its sequence state.

    `pairs` maps coins to the venue's instruments; coins it lacks are not subscribed, messages of
    other instruments are counted as `foreign_pair` before their content is looked at.
    A frame that raises WireError gives no event, and trade ids and books stay as they were.
    """

    name: str = ""
    default_url: str = ""
    ping_interval_s: float = 20.0
    max_age_s: float = float("inf")
    pairs: ClassVar[Mapping[str, str]] = {}

    def __init__(self, coins: Sequence[str]) -> None:
        self.symbols: dict[str, str] = {}
        for coin in coins:
            pair = self.pairs.get(coin.lower())
            if pair is not None:
                self.symbols[pair] = coin.upper()
        self.unknown: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self.reconnect_wanted = False

    @abstractmethod
    def hello(self) -> list[str]:
        """The frames that subscribe every followed instrument."""

    def ping(self) -> str | None:
        """No application ping unless the venue wants one."""
        return None

    def reset(self) -> None:
        """A new connection: nothing is known of its sequence yet."""
        self.reconnect_wanted = False

    def decode(self, frame: str | bytes, ts_ns: int, source: str) -> list[Event]:
        """The events of one frame, stamped `ts_ns`. Raises WireError, and nothing else."""
        if not frame:
            return []
        try:
            return self._events(self._parse(frame), ts_ns, source)
        except ValueError as error:
            raise WireError(source, str(error), frame) from error

    def _parse(self, frame: str | bytes) -> Any:
        try:
            return orjson.loads(frame)
        except ValueError as error:
            raise ValueError(f"expected JSON: {error}") from error

    @abstractmethod
    def _events(self, message: Any, ts_ns: int, source: str) -> list[Event]:
        """What a parsed frame says; raises ValueError where it is not as documented."""

    def _skip_unknown(self, name: object) -> list[Event]:
        """Count a message of no use here by what it calls itself; gives no events."""
        known = isinstance(name, str) and name.isascii() and len(name) <= UNKNOWN_NAME_MAX
        if not known or (name not in self.unknown and len(self.unknown) >= UNKNOWN_MAX):
            name = "other"
        self.unknown[str(name)] += 1
        return []

    def _skip(self, kind: str) -> list[Event]:
        """Count an understood message without events: `ack`, `heartbeat`, `foreign_pair`."""
        self.counts[kind] += 1
        return []

    def _refused(self, message: object) -> ValueError:
        """The error for a venue's error answer."""
        self.counts["refused"] += 1
        return ValueError(f"expected no error answer, found {shown(message)} @ {self.name}")

    def _gap(self, ts_ns: int, source: str, reason: str) -> FeedGap:
        self.counts[reason] += 1
        return FeedGap(ts_ns, source, "", reason)

    def _shutdown(self, ts_ns: int, source: str) -> list[Event]:
        self.reconnect_wanted = True
        return [self._gap(ts_ns, source, SERVER_SHUTDOWN)]

    def _trade(self, ts_ns: int, symbol: str, price_e8: int, venue_ts_ns: int) -> Event:
        self.counts["trade"] += 1
        return ReferenceTicked(ts_ns, symbol, self.name, FAST, price_e8, venue_ts_ns)

    def _quote(
        self, ts_ns: int, symbol: str, bid_e8: int, ask_e8: int, venue_ts_ns: int
    ) -> list[Event]:
        """The mid, rounded down to 1e-8; nothing while a side is missing (0) or they cross."""
        if not bid_e8 or not ask_e8:
            return self._skip("one_sided")
        if bid_e8 > ask_e8:
            return self._skip("crossed")
        self.counts["quote"] += 1
        mid_e8 = (bid_e8 + ask_e8) // 2
        return [ReferenceTicked(ts_ns, symbol, self.name, FAST, mid_e8, venue_ts_ns)]


class TradeIds:
    """Trade ids of one connection, which grow by one a trade and instrument."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: dict[str, int] = {}

    def last(self, pair: str) -> int | None:
        """The last id seen of an instrument."""
        return self._last.get(pair)

    def start(self, pair: str, trade_id: int) -> None:
        """Take `trade_id` as the last one seen, whatever came before."""
        self._last[pair] = trade_id

    def repeated(self, pair: str, trade_id: int) -> bool:
        """Whether this very trade was the last one seen."""
        return self._last.get(pair) == trade_id

    def broken_by(self, pair: str, trade_id: int) -> bool:
        """Take the next id; True when it does not follow the last one (the first always does)."""
        last = self._last.get(pair)
        self._last[pair] = trade_id
        return last is not None and trade_id != last + 1
