"""What is in a capture, counted without the project's decoders, and how its book hashes fare.

The counts here are the yardstick for everything else: plain JSON, message by message. The hash
survey adds what a replay's totals do not say: why a hash could not be checked, and how many of the
distinct book states fit once the messages are put in the venue's own order.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable
from copy import deepcopy
from pathlib import Path
from typing import Final

import attrs
import orjson

from polytrade.captures import CaptureRecord
from polytrade.config import Config
from polytrade.core.book import MATCHED, Book
from polytrade.core.effects import Effect
from polytrade.core.engine import Engine
from polytrade.core.events import BookChanged, BookReplaced, Event, MarketListed, TradePrinted
from polytrade.core.trust import COLD, BookTrust
from polytrade.decoding import FrameDecoders
from polytrade.importers import read_capture
from polytrade.meter import Meter
from polytrade.replay import replay
from polytrade.replay_result import ReplayResult
from polytrade.session import Session, build_session

MARKET: Final = "polymarket.market"
ORDERS_MAX: Final = 24
"""Orders tried for states of one millisecond: all of four states."""
KEEPALIVES: Final = frozenset(("", "PONG", "PING"))
VERDICTS: Final = ("matched", "mismatched", "not_checkable")

BookEvent = BookReplaced | BookChanged | TradePrinted


@attrs.define
class Counts:
    """Frames by source; market-channel messages by type; keepalives among the frames."""

    frames: Counter[str] = attrs.field(factory=Counter)
    messages: Counter[str] = attrs.field(factory=Counter)
    keepalives: int = 0
    first_ns: int = 0
    last_ns: int = 0

    @property
    def length_s(self) -> float:
        """From the first record to the last."""
        return (self.last_ns - self.first_ns) / 1e9

    @property
    def market_frames(self) -> int:
        """Frames of the market channel that hold messages."""
        frames = sum(n for source, n in self.frames.items() if source.startswith(MARKET))
        return frames - self.keepalives


def count(records: Iterable[CaptureRecord]) -> Counts:
    """Count a capture's records."""
    counts = Counts()
    for record in records:
        counts.first_ns = counts.first_ns or record.recv_ts_ns
        counts.last_ns = record.recv_ts_ns
        if record.frame is None:
            continue
        counts.frames[record.source] += 1
        if not record.source.startswith(MARKET):
            continue
        if record.frame in KEEPALIVES:
            counts.keepalives += 1
            continue
        body = orjson.loads(record.frame)
        for message in body if isinstance(body, list) else [body]:
            counts.messages[message["event_type"]] += 1
    return counts


def write_chain(source: Path, out: Path) -> None:
    """A book and the changes of one of its tokens, noted as one document, as frames line by line.

    The document: `snapshot` is a `book` message, `changes_for_snapshot_asset` a list of
    `{timestamp, side, price, size, hash}`. Raises ValueError or KeyError for another.
    """
    noted = orjson.loads(source.read_bytes())
    book = noted["snapshot"]
    frames = [book]
    for change in noted["changes_for_snapshot_asset"]:
        entry = {name: change[name] for name in ("side", "price", "size", "hash")}
        message = {"event_type": "price_change", "market": book["market"]}
        message["price_changes"] = [{"asset_id": book["asset_id"], **entry}]
        frames.append({**message, "timestamp": change["timestamp"]})
    out.write_bytes(b"".join(orjson.dumps(frame) + b"\n" for frame in frames))


@attrs.define
class Survey:
    """A replay in the capture's own time, with what the daemon's `/quality` would have said.

    `hashes` counts the verdicts on what came over the socket, `unchecked` by reason those that
    could not be reached. `states` are the distinct hashed states, counted where some did not fit.
    """

    result: ReplayResult
    valid_ratio: float | None
    invalid: dict[str, int]
    hashes: dict[str, int]
    unchecked: dict[str, int]
    states: int = 0
    states_fitting: int = 0


class _Surveyor:
    """A session that is watched: implements `replay_result.Stepper`."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.meter = Meter()
        self.hashes: Counter[str] = Counter(dict.fromkeys(VERDICTS, 0))
        self.unchecked: Counter[str] = Counter()

    @property
    def engine(self) -> Engine:
        """The session's engine."""
        return self._session.engine

    def handle(self, event: Event) -> list[tuple[Event, list[Effect]]]:
        """Step the event; note the verdict on its hash and, where there is none, why."""
        if not isinstance(event, BookReplaced | BookChanged):
            return self._observed(event)
        market = self.engine.markets.get(event.market)
        if market is None or (isinstance(event, BookReplaced) and event.rest):
            return self._observed(event)
        trust = market.trust
        before = {name: getattr(trust, name) for name in VERDICTS}
        reason = _reason(event, trust, market.book)
        steps = self._observed(event)
        for name in VERDICTS:
            self.hashes[name] += getattr(trust, name) - before[name]
        if trust.not_checkable > before["not_checkable"]:
            self.unchecked[reason] += 1
        return steps

    def step(self, event: Event) -> list[Effect]:
        """Step the event alone, as a journal is replayed: nothing is noted of it."""
        return self._session.step(event)

    def _observed(self, event: Event) -> list[tuple[Event, list[Effect]]]:
        steps = self._session.handle(event)
        for stepped, effects in steps:
            self.meter.observe(stepped, effects, 0)
        return steps


def _reason(event: BookReplaced | BookChanged, trust: BookTrust, book: Book) -> str:
    if not event.hash:
        return "the message has no hash"
    if trust.state == COLD:
        return "no snapshot yet"
    if not trust.checking:
        return "the market's first hash did not fit"
    if book.newest_ms < 0 or not book.newest_hash:
        return "the newest message has no hash"
    return "the last trade price is not known"


def survey(path: Path) -> Survey:
    """Replay a capture watched, and look at its book states in the venue's order."""
    watched: list[_Surveyor] = []

    def build(config: Config, *, paper: bool) -> _Surveyor:
        watched.append(_Surveyor(build_session(config, paper=paper)))
        return watched[0]

    result = replay(path, build=build)
    readings = watched[0].meter.readings(result.last_ts_ns)
    reasons = readings.values.get("invalid_records_total", {})
    found = Survey(
        result,
        readings.value("data_valid_ratio"),
        {labels[0]: int(value) for labels, value in sorted(reasons.items())},
        dict(watched[0].hashes),
        dict(sorted(watched[0].unchecked.items())),
    )
    if result.quality["hash_mismatched"]:
        found.states, found.states_fitting = states_in_venue_order(path)
    return found


def states_in_venue_order(path: Path) -> tuple[int, int]:
    """Distinct hashed states of all books, and how many fit in the order of the venue's stamps.

    States of one millisecond are tried in up to `ORDERS_MAX` orders, since nothing tells theirs.
    """
    decoders, listed = FrameDecoders(), dict[str, MarketListed]()
    events: dict[str, list[BookEvent]] = defaultdict(list)
    for record in read_capture(path):
        if record.frame is None:
            continue
        for event in decoders.decode(record.source, record.frame, record.recv_ts_ns):
            if isinstance(event, MarketListed):
                listed[event.market] = event
            elif isinstance(event, BookReplaced | BookChanged | TradePrinted):
                events[event.market].append(event)
    states = fitting = 0
    for market, mine in events.items():
        found = _states_of(listed[market], mine)
        states, fitting = states + found[0], fitting + found[1]
    return states, fitting


def _states_of(spec: MarketListed, events: list[BookEvent]) -> tuple[int, int]:
    book = Book(spec.market, spec.yes, spec.no, spec.tick_e4, spec.min_size_e6, spec.neg_risk)
    moments: dict[int, list[BookEvent]] = defaultdict(list)
    for event in events:
        moments[event.venue_ts_ms].append(event)
    states = fitting = 0
    for moment in sorted(moments):
        parts: dict[str, list[BookReplaced | BookChanged]] = defaultdict(list)
        for event in moments[moment]:
            if isinstance(event, TradePrinted):
                book.note_trade(event.price_e4)
            else:
                parts[event.hash].append(event)
        if parts:
            states += len(parts)
            book, found = _best_order(book, list(parts.values()))
            fitting += found
    return states, fitting


def _best_order(book: Book, parts: list[list[BookReplaced | BookChanged]]) -> tuple[Book, int]:
    """The book after the order of the parts in which most of them fit, and how many did."""
    best: tuple[Book, int] = (book, -1)
    for order in itertools.islice(itertools.permutations(parts), ORDERS_MAX):
        tried, found = deepcopy(book), 0
        for part in order:
            verdicts = [
                tried.replace(event, tried.newest_ms < 0)
                if isinstance(event, BookReplaced)
                else tried.change(event, True)
                for event in part
            ]
            found += MATCHED in verdicts
        if found > best[1]:
            best = (tried, found)
        if found == len(parts):
            break
    return best
