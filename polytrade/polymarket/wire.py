"""The market channel: frames in, events out (protocols 5).

Decoded by hand from orjson's dicts: a `price_change` is 93 % of the traffic and must cost little
more than its JSON.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Final

import orjson

from polytrade.core.events import (
    BestQuoted,
    BookChanged,
    Event,
    MarketResolved,
    TickSizeChanged,
    TradePrinted,
)
from polytrade.core.ids import BUY, NO, SELL, YES
from polytrade.polymarket.arbiter import Arbiter, PathStanding
from polytrade.polymarket.books import (
    Instruments,
    Message,
    RestBookDecoder,
    book_replaced,
    explain,
    text_of,
)
from polytrade.polymarket.numbers import (
    BEST_ASKS,
    BEST_BIDS,
    LEVEL_PRICES,
    MS_MAX,
    SIZES,
    TICKS,
    TRADE_PRICES,
    TRADE_SIZES,
    venue_ms,
)
from polytrade.wire_roles import WireError, count_unknown

PING: Final = "PING"
"""The keepalive text we send; the venue answers `PONG` (protocols 5.1)."""
KEEPALIVES: Final = frozenset((b"", b"PONG", b"PING", b"pong", b"ping"))
SOURCE_RESOLVED: Final = "market_channel"
_SIDES: Final = {"BUY": BUY, "SELL": SELL}

__all__ = [
    "PING",
    "Instruments",
    "MarketDecoder",
    "RestBookDecoder",
    "subscribe_frame",
    "unsubscribe_frame",
]

TRADE_KEY: Final = "T"
"""Begins the key of a trade that names its transaction: told twice, it happened once. Other
messages may truly repeat, and the same trade without a transaction may be another."""


class _Tally:
    """What one source brought: frames, and messages by type before de-duplication."""

    __slots__ = ("frames", "kinds", "path", "price_changes")

    def __init__(self, path: int) -> None:
        self.path = path
        self.frames = 0
        self.price_changes = 0
        self.kinds: dict[str, int] = {}

    def add(self, kind: str) -> None:
        """One more message; `price_changes` is kept apart because it is hot."""
        if kind == "price_change":
            self.price_changes += 1
        else:
            self.kinds[kind] = self.kinds.get(kind, 0) + 1


class MarketDecoder:
    """Decodes the market channel of one shard, whose redundant connections it makes one stream.

    The path is the text after the `/` of the source. Of copies of a message only the first gives
    events. A message of an unknown asset is counted in `foreign`, one of an unknown type in
    `unknown`. When one message of an array is malformed the whole frame is refused and none of
    its messages counts as seen, so that the twin's copy is still used.
    """

    __slots__ = ("_arbiter", "_parsers", "_tallies", "_tokens", "foreign", "unknown")

    def __init__(self, instruments: Instruments) -> None:
        self.unknown: Counter[str] = Counter()
        self.foreign: Counter[str] = Counter()
        self._tokens = instruments.tokens
        self._arbiter = Arbiter()
        self._tallies: dict[str, _Tally] = {}
        self._parsers: dict[str, Callable[[Message, int], tuple[str, list[Event]]]] = {
            "book": self._book,
            "last_trade_price": self._last_trade_price,
            "best_bid_ask": self._best_bid_ask,
            "tick_size_change": self._tick_size_change,
            "market_resolved": self._market_resolved,
        }

    @property
    def counts(self) -> Counter[tuple[str, str]]:
        """Messages by (source, event type), before de-duplication."""
        return Counter(
            {
                (source, kind): count
                for source, tally in self._tallies.items()
                for kind, count in {**tally.kinds, "price_change": tally.price_changes}.items()
                if count
            }
        )

    @property
    def frames(self) -> Counter[str]:
        """Frames by source, keepalives included."""
        return Counter({source: tally.frames for source, tally in self._tallies.items()})

    @property
    def forwarded(self) -> Counter[str]:
        """Messages by path that were first and gave their events."""
        return Counter({standing.path: standing.wins for standing in self._arbiter.league()})

    def league(self) -> list[PathStanding]:
        """Who wins among the redundant connections."""
        return self._arbiter.league()

    def decode(self, frame: str | bytes, ts_ns: int, source: str) -> list[Event]:
        """The events of one frame; see `polytrade.wire_roles.Decoder`."""
        tally = self._tallies.get(source)
        if tally is None:
            tally = self._tally(source)
        tally.frames += 1
        body: Any = None
        try:
            body = orjson.loads(frame)
            if type(body) is dict:
                if body["event_type"] == "price_change":
                    return self._price_change(body, ts_ns, tally)
                return self._one(body, ts_ns, tally)
            if type(body) is list:
                return self._many(body, ts_ns, tally)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            if body is None and _keepalive(frame):
                return []
            raise WireError(source, explain(body, error), frame) from None
        raise WireError(source, f"expected an object or an array, found {body!r:.80}", frame)

    def _tally(self, source: str) -> _Tally:
        try:
            path = self._arbiter.path_index(source.partition("/")[2])
        except ValueError as error:
            raise WireError(source, str(error)) from None
        self._tallies[source] = tally = _Tally(path)
        return tally

    def _one(self, message: Message, ts_ns: int, tally: _Tally) -> list[Event]:
        kind = message["event_type"]
        parser = self._parsers.get(kind)
        if parser is None:
            self._unparsed(kind, tally)
            return []
        key, events = parser(message, ts_ns)
        tally.add(kind)
        return events if events and self._first(key, tally, ts_ns) else []

    def _first(self, key: str, tally: _Tally, ts_ns: int) -> bool:
        return self._arbiter.first(key, tally.path, ts_ns, once=key.startswith(TRADE_KEY))

    def _many(self, body: list[Any], ts_ns: int, tally: _Tally) -> list[Event]:
        """All or nothing: every message is read before the first is marked as seen."""
        parsed: list[tuple[str, str, list[Event]]] = []
        for message in body:
            kind = message["event_type"]
            parser = self._changes if kind == "price_change" else self._parsers.get(kind)
            if parser is None:
                self._unparsed(kind, tally)
            else:
                parsed.append((kind, *parser(message, ts_ns)))
        events: list[Event] = []
        for kind, key, found in parsed:
            tally.add(kind)
            if found and self._first(key, tally, ts_ns):
                events += found
        return events

    def _unparsed(self, kind: object, tally: _Tally) -> None:
        if kind == "new_market":  # a broadcast of all markets; discovery asks Gamma instead
            tally.add("new_market")
        else:
            count_unknown(self.unknown, kind)

    def _price_change(self, message: Message, ts_ns: int, tally: _Tally) -> list[Event]:
        """The hot path: one message, two entries that mirror each other (data 2.2)."""
        tally.price_changes += 1
        changes = message.get("price_changes")
        if changes is None or len(changes) != 2:
            return self._several(message, ts_ns, tally)
        change, other = changes
        asset = change["asset_id"]
        place = self._tokens.get(asset)
        if place is None or place[1] == NO:
            beside = self._tokens.get(other["asset_id"])
            if place is None or (beside is not None and beside[1] == YES):
                change, place = other, beside
            if place is None:
                self.foreign["price_change"] += 1
                return []
        if other["asset_id"] == asset:  # two levels of one token
            return self._several(message, ts_ns, tally)
        price, size, seal = change["price"], change["size"], change.get("hash") or ""
        stamp = message["timestamp"]
        key = seal + price + size if seal else _unsealed_key(stamp, change)
        if not self._arbiter.first(key, tally.path, ts_ns):
            return []
        ms = int(stamp)
        if not 0 <= ms < MS_MAX:
            raise ValueError(f"expected ms since 1970, found {ms}")
        return [
            BookChanged(
                ts_ns,
                place[0],
                place[1],
                _SIDES[change["side"]],
                LEVEL_PRICES[price],
                SIZES[size],
                BEST_BIDS[change.get("best_bid")],
                BEST_ASKS[change.get("best_ask")],
                ms,
                seal,
            )
        ]

    def _several(self, message: Message, ts_ns: int, tally: _Tally) -> list[Event]:
        key, events = self._changes(message, ts_ns)
        return events if events and self._arbiter.first(key, tally.path, ts_ns) else []

    def _changes(self, message: Message, ts_ns: int) -> tuple[str, list[Event]]:
        """Any number of entries: the YES ones when every level has both, else all, since sizes
        are absolute and the same level twice does no harm. The key is the hot path's."""
        changes = message.get("price_changes")
        if changes is None:
            changes = _legacy_changes(message)
        found = [
            (change, place)
            for change in changes
            if (place := self._tokens.get(change["asset_id"])) is not None
        ]
        if not found:
            self.foreign["price_change"] += 1
            return "", []
        yes = [(change, place) for change, place in found if place[1] == YES]
        if 2 * len(yes) == len(found):
            found = yes
        stamp, first = message["timestamp"], found[0][0]
        seal = first.get("hash") or ""
        key = seal + first["price"] + first["size"] if seal else _unsealed_key(stamp, first)
        ms = venue_ms(stamp)
        return key, [
            BookChanged(
                ts_ns,
                *place,
                _SIDES[change["side"]],
                LEVEL_PRICES[change["price"]],
                SIZES[change["size"]],
                BEST_BIDS[change.get("best_bid")],
                BEST_ASKS[change.get("best_ask")],
                ms,
                text_of(change.get("hash") or ""),
            )
            for change, place in found
        ]

    def _book(self, message: Message, ts_ns: int) -> tuple[str, list[Event]]:
        asset = message["asset_id"]
        key = "b" + asset + message["timestamp"] + (message.get("hash") or "")
        known = self._tokens.get(asset)
        if known is None:
            self.foreign["book"] += 1
            return key, []
        return key, [book_replaced(message, ts_ns, known, rest=False)]

    def _last_trade_price(self, message: Message, ts_ns: int) -> tuple[str, list[Event]]:
        asset = message["asset_id"]
        known = self._tokens.get(asset)
        if known is None:
            self.foreign["last_trade_price"] += 1
            return "", []
        stamp, price, size = message["timestamp"], message["price"], message["size"]
        trade_id = message.get("transaction_hash") or ""
        event = TradePrinted(
            ts_ns,
            *known,
            _SIDES[message["side"]],
            TRADE_PRICES[price],
            TRADE_SIZES[size],
            venue_ms(stamp),
            text_of(trade_id),
        )
        prefix = TRADE_KEY if trade_id else "t"
        return prefix + asset + stamp + price + "x" + size + trade_id, [event]

    def _best_bid_ask(self, message: Message, ts_ns: int) -> tuple[str, list[Event]]:
        asset, bid, ask = message["asset_id"], message["best_bid"], message["best_ask"]
        key = "q" + asset + message["timestamp"] + bid + "/" + ask
        known = self._tokens.get(asset)
        if known is None:
            self.foreign["best_bid_ask"] += 1
            return key, []
        ms = venue_ms(message["timestamp"])
        return key, [BestQuoted(ts_ns, *known, BEST_BIDS[bid], BEST_ASKS[ask], ms)]

    def _tick_size_change(self, message: Message, ts_ns: int) -> tuple[str, list[Event]]:
        asset, old, new = message["asset_id"], message["old_tick_size"], message["new_tick_size"]
        key = "s" + asset + message["timestamp"] + old + "/" + new
        known = self._tokens.get(asset)
        if known is None:
            self.foreign["tick_size_change"] += 1
            return key, []
        if not TICKS[new]:
            raise ValueError(f"expected a tick size, found {new!r}")
        ms = venue_ms(message["timestamp"])
        return key, [TickSizeChanged(ts_ns, known[0], TICKS[old], TICKS[new], ms)]

    def _market_resolved(self, message: Message, ts_ns: int) -> tuple[str, list[Event]]:
        """Without a winner among our tokens nothing is claimed: Gamma has the last word."""
        winner = message.get("winning_asset_id") or ""
        key = "r" + message["market"] + message["timestamp"] + winner
        known = self._tokens.get(winner)
        if known is None:
            self.foreign["market_resolved"] += 1
            return key, []
        return key, [MarketResolved(ts_ns, *known, SOURCE_RESOLVED)]


def _unsealed_key(stamp: str, change: Message) -> str:
    """The key of a change without a hash; TypeError when a part is not text."""
    key: str = stamp + change["asset_id"] + change["side"] + change["price"] + "x" + change["size"]
    return key


def _legacy_changes(message: Message) -> list[Message]:
    """Entries of the formats before 2025-09: one asset on top, no best prices (data 2.11); in
    2024 a single change stood on top as well."""
    if "price" in message and "changes" not in message:
        return [message]
    changes, seal = message["changes"], message.get("hash") or ""
    return [{"asset_id": message["asset_id"], "hash": seal, **change} for change in changes]


def _keepalive(frame: str | bytes) -> bool:
    raw = frame if isinstance(frame, bytes) else frame.encode(errors="replace")
    return raw.strip() in KEEPALIVES


def subscribe_frame(assets: Iterable[str], first: bool) -> str:
    """The subscription of `assets`; the first frame of a connection has its own form.

    Asks for best_bid_ask, new_market and market_resolved besides (`custom_feature_enabled`).
    """
    head = {"type": "market"} if first else {"operation": "subscribe"}
    frame = {**head, "assets_ids": list(assets), "custom_feature_enabled": True}
    return orjson.dumps(frame).decode()


def unsubscribe_frame(assets: Iterable[str]) -> str:
    """Ends the subscription of `assets`; the venue does not answer."""
    return orjson.dumps({"operation": "unsubscribe", "assets_ids": list(assets)}).decode()
