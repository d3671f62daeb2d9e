"""What the exchanges share: the course of their books, who listens, and a connection's side.

A stream is named by one key (`btcusdt@trade`, `book-10:BTC/USD`), in the exchange's own words as
far as it has any. A frame belongs to one stream and goes to who subscribed it; what no open
connection subscribed is not made.
"""

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import ClassVar, Final
from weakref import WeakSet

import attrs

from polytrade.core.ids import BUY, SELL
from polytrade.core.units import MS_NS, SECOND_NS
from polytrade.sandbox.connection import Selected
from polytrade.sandbox.dialects import ASSETS_MAX, Answer, Part, Played
from polytrade.sandbox.schedule import Planned, Schedule
from polytrade.sandbox.venue.exchanges.book import Change, ExchangeBook, Print
from polytrade.sandbox.venue.exchanges.pairs import WEIGHTS, Exchange
from polytrade.sandbox.world.prices import STEP_NS, Prices

ASLEEP_NS: Final = SECOND_NS
"""How often an exchange without clients looks whether there are any."""
FOLLOW_BPS: Final = 0.2
"""A book follows the price when it is off by more than this, at full activity."""
FOLLOW_BPS_MAX: Final = 1.0
"""At little activity it may be off further, but never more than this."""
DAY_S: Final = 86_400
CHURN_MAX: Final = 64
"""Changes of one book in one step of 50 ms: seven times the busiest mean."""

Publish = Callable[[str, Played], object]


@attrs.frozen(kw_only=True)
class Surroundings:
    """What an exchange lives in. `wanted` says whether an endpoint has a client at all.

    `activity` is the rate of changes and trades relative to the real exchange's.
    """

    schedule: Schedule
    prices: Prices
    publish: Publish
    wanted: Callable[[str], bool]
    seed: int
    activity: float


@attrs.define(eq=False)
class Pending:
    """A stream of collected changes: what changed since it was last sent, and when it will be."""

    key: str
    coin: str
    every_ns: int
    sent_id: int = 0
    planned: bool = False
    changes: dict[tuple[int, int], int] = attrs.field(factory=dict)
    """Levels by side and ticks; emptied every `every_ns`, so at most what a book does in that."""

    def levels(self, side: int) -> list[tuple[int, int]]:
        """The changed levels of one side as (ticks, lots)."""
        return [(ticks, lots) for (at, ticks), lots in self.changes.items() if at == side]


class ExchangeFeed(ABC):
    """One exchange. It does nothing while nobody is connected but look every second.

    A subclass says what each event is in its protocol: `on_touch`, `on_print`, `on_changes`,
    `on_second`, and the text of collected changes.
    """

    exchange: ClassVar[Exchange]

    def __init__(self, around: Surroundings) -> None:
        self.name = self.exchange.name
        self.schedule = around.schedule
        self.prices = around.prices
        self.streams: frozenset[str] = frozenset()
        self._around = around
        self._rng = rng = random.Random(f"exchange/{around.seed}/{self.name}")
        pairs = self.exchange.pairs()
        followed = [coin for coin in around.prices.coins if coin in pairs]
        self.books = {coin: ExchangeBook(pairs[coin], rng) for coin in followed}
        self.coins = {book.pair.symbol: coin for coin, book in self.books.items()}
        self._connections = rng.randrange(10**9, 10**10)
        off_bps = FOLLOW_BPS / max(around.activity, 1e-6) ** 0.5
        self._follow_bps = min(FOLLOW_BPS_MAX, off_bps)
        self._recorded: frozenset[str] = frozenset()
        self._clients: WeakSet[StreamDialect] = WeakSet()
        self._pending: dict[str, Pending] = {}
        self._second = self.schedule.now_ns // SECOND_NS
        self._pulse_at: Planned | None = None
        self._awake = False
        self._plan(self.schedule.now_ns + 1)

    @abstractmethod
    def default_streams(self) -> Iterable[str]:
        """What polytrade itself subscribes of every followed coin: what a tape has."""

    @abstractmethod
    def dialect(self, path: str) -> "StreamDialect":
        """A new connection's side of the protocol."""

    @abstractmethod
    def on_touch(self, coin: str) -> None:
        """The best bid or ask has another price or size."""

    @abstractmethod
    def on_print(self, coin: str, trade: Print) -> None:
        """A trade happened; the book shows it already."""

    def on_changes(self, coin: str, changes: list[Change]) -> None:  # noqa: B027
        """Levels changed; `on_touch` comes after."""

    def on_second(self) -> None:  # noqa: B027
        """A second of the venue's time has passed."""

    def every_ns(self, key: str) -> tuple[str, int] | None:
        """The coin and pace of a stream of collected changes; None for any other stream."""
        return None

    def kind_of(self, key: str) -> str:
        """What the messages of a stream of collected changes are called."""
        return key.partition(":")[0].partition(".")[0]

    def pending_text(self, pending: Pending, book: ExchangeBook) -> str:
        """The frame of what is pending."""
        raise AssertionError(f"{self.name} collects no changes")

    def record(self, streams: Collection[str] | None = None) -> None:
        """Make these streams always, the default ones unless given, client or no client."""
        self._recorded = frozenset(self.default_streams() if streams is None else streams)
        self.refresh()

    def next_connection(self) -> int:
        """The exchange's own number of a new connection."""
        self._connections += 1
        return self._connections

    def attach(self, client: "StreamDialect") -> None:
        """A new connection; it is forgotten when the venue drops it."""
        self._clients.add(client)

    def ready(self) -> None:
        """Bring the books to the present and send what is pending: a snapshot may be taken."""
        if not self._awake:
            self._awake = True
            for coin in self.books:
                self._follow(coin, threshold_bps=0.0)
            self._plan(self._next_pulse_ns())
        for pending in list(self._pending.values()):
            self._flush(pending)

    def refresh(self) -> None:
        """Somebody subscribed or left: which streams are made from now on."""
        wanted = set(self._recorded)
        for client in self._clients:
            wanted |= client.subscriptions
        self.streams = frozenset(wanted)
        collected = {}
        for key in sorted(wanted):
            pace = self.every_ns(key)
            if pace is not None:
                fresh = Pending(key, *pace, sent_id=self.books[pace[0]].update_id)
                collected[key] = self._pending.get(key, fresh)
        self._pending = collected

    def send(self, key: str, kind: str, text: str, form: str = "") -> None:
        """Publish a frame of one stream."""
        part = Part(kind, (key, form) if form else (key,))
        self._around.publish(self.name, Played(f"{self.name}/0", text, (part,)))

    def now_ms(self) -> int:
        """The venue's time in Unix milliseconds."""
        return self.schedule.now_ns // MS_NS

    def now_text(self) -> str:
        """The venue's time as `2026-04-29T02:10:52.233043Z`."""
        return rfc3339(self.schedule.now_ns)

    def opening_e8(self, coin: str) -> int:
        """The price 24 hours ago; today's when that is no longer known."""
        ago_e8 = self.prices.second_e8(coin, self.schedule.now_ns // SECOND_NS - DAY_S)
        return ago_e8 if ago_e8 > 0 else self.prices.spot_e8(coin)

    def _plan(self, due_ns: int) -> None:
        if self._pulse_at is not None:
            self._pulse_at.cancel()
        self._pulse_at = self.schedule.at(due_ns, self._pulse)

    def _next_pulse_ns(self) -> int:
        """The next step of the price, seen so much later."""
        lag_ns = self.exchange.lag_ns
        return (self.schedule.now_ns - lag_ns) // STEP_NS * STEP_NS + STEP_NS + lag_ns

    def _pulse(self) -> None:
        if not (self._recorded or self._around.wanted(self.name)):
            self._awake = False
            self._plan(self.schedule.now_ns + ASLEEP_NS)
            return
        self._awake = True
        busy = self._around.activity * self.prices.bustle() * STEP_NS / SECOND_NS
        for coin in self.books:
            self._follow(coin, self._follow_bps)
            mean = self.exchange.churn_per_s * busy * WEIGHTS[coin]
            at_ns, end_ns = 0.0, float(STEP_NS)
            for _ in range(CHURN_MAX if mean > 0 else 0):
                at_ns += self._rng.expovariate(mean / STEP_NS)
                if at_ns >= end_ns:
                    break
                self.schedule.after(int(at_ns), partial(self._churn, coin))
        second = self.schedule.now_ns // SECOND_NS
        if second != self._second:
            self._second = second
            self.refresh()
            self.on_second()
        self._plan(self._next_pulse_ns())

    def _follow(self, coin: str, threshold_bps: float) -> None:
        book = self.books[coin]
        price_e8 = self.prices.spot_at_e8(coin, self.schedule.now_ns - self.exchange.lag_ns)
        mid_e8 = book.mid_e8()
        if not mid_e8:
            book.follow(price_e8)
            return
        off_e8 = price_e8 - mid_e8
        if abs(off_e8) < book.pair.tick_e8 or abs(off_e8) * 10_000 < threshold_bps * price_e8:
            return
        side = BUY if off_e8 > 0 else SELL
        touch = book.top(1 - side)[0] * book.pair.tick_e8
        crossed = price_e8 > touch if side == BUY else price_e8 < touch
        if threshold_bps and crossed and self._rng.random() < self.exchange.sweep_share:
            self._trade(coin, side)
        before = book.touch()
        self._tell(coin, book, book.follow(price_e8), before)

    def _churn(self, coin: str) -> None:
        if self._rng.random() < self.exchange.trade_share:
            self._trade(coin, self._rng.randrange(2))
            return
        book = self.books[coin]
        before = book.touch()
        self._tell(coin, book, book.breathe(), before)

    def _trade(self, coin: str, side: int) -> None:
        book = self.books[coin]
        before = book.touch()
        trade, changes = book.trade(side)
        self.on_print(coin, trade)
        self._tell(coin, book, changes, before)

    def _tell(self, coin: str, book: ExchangeBook, changes: list[Change], before: object) -> None:
        for pending in self._pending.values():
            if pending.coin == coin:
                pending.changes.update(((c.side, c.ticks), c.lots) for c in changes)
                if not pending.planned:
                    pending.planned = True
                    self.schedule.after(pending.every_ns, partial(self._flush_planned, pending))
        self.on_changes(coin, changes)
        if book.touch() != before:
            self.on_touch(coin)

    def _flush_planned(self, pending: Pending) -> None:
        pending.planned = False
        self._flush(pending)

    def _flush(self, pending: Pending) -> None:
        if pending.changes and self._pending.get(pending.key) is pending:
            book = self.books[pending.coin]
            text = self.pending_text(pending, book)
            pending.sent_id = book.update_id
            pending.changes.clear()
            self.send(pending.key, self.kind_of(pending.key), text)


class StreamDialect(ABC):
    """A connection's side of an exchange: what it subscribed, and the frames of that.

    `greet` is what the exchange says first; who does not call it gets it before the first answer.
    """

    def __init__(self, feed: ExchangeFeed) -> None:
        self.feed = feed
        self.number = feed.next_connection()
        self._keys: dict[str, None] = {}
        self._greeted = False
        feed.attach(self)

    @property
    def subscriptions(self) -> frozenset[str]:
        """The streams subscribed."""
        return frozenset(self._keys)

    def greet(self) -> list[Answer]:
        """What is said on connecting, once."""
        greeted, self._greeted = self._greeted, True
        return [] if greeted else self._greeting()

    def hear(self, text: str) -> list[Answer]:
        """The exchange's answers to a client's frame."""
        return [*self.greet(), *self._answers(text)]

    def select(self, played: Played) -> Selected | None:
        """Frames of the subscribed streams."""
        for part in played.parts:
            if part.keys[0] not in self._keys:
                return None
        if not self._keys:
            return None
        return Selected(self._numbered(played.text), played.types())

    def _greeting(self) -> list[Answer]:
        return []

    @abstractmethod
    def _answers(self, text: str) -> list[Answer]:
        """The answers to a frame."""

    def _numbered(self, text: str | bytes) -> str | bytes:
        """The frame with this connection's own number in it."""
        return text

    def _subscribe(self, keys: Iterable[str]) -> None:
        """Take up streams; snapshots made after this are followed by every change."""
        self.feed.ready()
        for key in keys:
            if len(self._keys) < ASSETS_MAX:
                self._keys[key] = None
        self.feed.refresh()

    def _unsubscribe(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._keys.pop(key, None)
        self.feed.refresh()


def rfc3339(ts_ns: int) -> str:
    """A time in UTC with microseconds."""
    return f"{_second_text(ts_ns // SECOND_NS)}.{ts_ns % SECOND_NS // 1000:06d}Z"


@lru_cache(maxsize=64)
def _second_text(second: int) -> str:
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}"
