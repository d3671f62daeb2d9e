"""What the feeds of a live venue would send, written as a raw capture as fast as it can be made."""

import heapq
import math
import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson

from polytrade.captures import CaptureHeader, CaptureRecord, write_capture
from polytrade.core.units import MS_NS, SECOND_NS
from polytrade.sandbox.dialects import DUMP_BOOKS_MAX, Played
from polytrade.sandbox.simulation import Simulation
from polytrade.sandbox.venue.options import VenueOptions
from polytrade.sandbox.world.gamma_objects import GammaObjects

START_S: Final = int(datetime(2026, 11, 16, 12, 0, tzinfo=UTC).timestamp())
"""When a tape begins unless told: a Monday noon, where windows of 5 minutes to an hour start."""
STEP_NS: Final = SECOND_NS // 10
MARKET: Final = "polymarket.market/0"
GAMMA: Final = "gamma/0"
SOURCES: Final = {"rtds": "polymarket.rtds/0"}
WAYS_MS: Final = {"market": 9.0, "rtds": 200.0, "gamma": 80.0}
"""Median time from the venue to the recorder (data facts 5)."""
EXCHANGE_WAY_MS: Final = 4.0
WAY_SPREAD: Final = 0.45
"""Standard deviation of the logarithm of that time."""
RECORDED: Final = ("market", "rtds", "binance", "coinbase", "kraken", "okx", "bybit")
MONO_START_NS: Final = 60 * SECOND_NS
"""The recorder's monotonic clock at the begin."""


class Tape:
    """The records of one venue from `start_s` on; the same options and start, the same records.

    A recorder that follows every market, as `polytrade record` does: books when it subscribes,
    Gamma's event when something about it is new, every frame of the market channel, the real-time
    data socket and the exchanges, received a little after it was sent and in order by source.
    """

    def __init__(self, options: VenueOptions, start_s: int = START_S) -> None:
        self.start_ns = start_s * SECOND_NS
        self.simulation = Simulation(options, self.start_ns, self._hear, RECORDED.__contains__)
        self._rng = random.Random(f"{options.seed}|recorder")
        self._gamma = GammaObjects(
            self.simulation.schedule,
            self.simulation.calendar,
            self.simulation.exchange,
            options.seed,
        )
        self._told: dict[str, bytes] = {}
        self._waiting: list[tuple[int, int, str, str]] = []
        self._heard = 0
        self._last_ns: dict[str, int] = {}

    def records(self, seconds: int) -> Iterator[CaptureRecord]:
        """What is received in so many seconds, in the order received."""
        simulation, schedule = self.simulation, self.simulation.schedule
        for exchange in simulation.exchanges.values():
            exchange.record()
        end_ns = self.start_ns + seconds * SECOND_NS
        counts: Counter[str] = Counter()
        now_ns = self.start_ns
        self._look()
        while now_ns < end_ns:
            now_ns += STEP_NS
            while not schedule.run_until(now_ns):
                pass
            if now_ns % SECOND_NS == 0:
                self._look()
            # What is sent later is received later still.
            while self._waiting and self._waiting[0][0] <= min(now_ns, end_ns - 1):
                recv_ns, number, source, frame = heapq.heappop(self._waiting)
                counts[source] += 1
                number = counts.total()
                mono_ns = recv_ns - self.start_ns + MONO_START_NS
                yield CaptureRecord(number, source, counts[source], recv_ns, mono_ns, frame)

    def _hear(self, endpoint: str, played: Played) -> None:
        if endpoint in RECORDED:
            text = played.text if isinstance(played.text, str) else played.text.decode()
            self._put(endpoint, SOURCES.get(endpoint, played.source), text)

    def _put(self, endpoint: str, source: str, frame: str) -> None:
        """A frame sent now is received after a way of its own, but never before an earlier one."""
        way_ms = WAYS_MS.get(endpoint, EXCHANGE_WAY_MS)
        way_ms *= math.exp(WAY_SPREAD * self._rng.gauss(0.0, 1.0))
        now_ns = self.simulation.schedule.now_ns
        recv_ns = max(now_ns + int(way_ms * MS_NS), self._last_ns.get(source, 0))
        self._last_ns[source] = recv_ns
        self._heard += 1
        heapq.heappush(self._waiting, (recv_ns, self._heard, source, frame))

    def _look(self) -> None:
        """Ask Gamma what is new, and subscribe to the markets that are."""
        books: list[str] = []
        for event in self._gamma.events():
            news = _news(event)
            if self._told.get(event["slug"]) == news:
                continue
            self._put("gamma", GAMMA, orjson.dumps(event).decode())
            if event["slug"] not in self._told:
                listings = self.simulation.calendar.topics[event["slug"]].listings
                tokens = [token for listing in listings for token in listing.rules.tokens]
                dumps = map(self.simulation.market_channel.book_dump, tokens)
                books += [dump for dump in dumps if dump is not None]
            self._told[event["slug"]] = news
        for at in range(0, len(books), DUMP_BOOKS_MAX):
            self._put("market", MARKET, f"[{','.join(books[at : at + DUMP_BOOKS_MAX])}]")


def _news(event: dict[str, Any]) -> bytes:
    """What about an event is worth a record: not its quotes, which are always stale."""
    markets = [
        [market.get(name) for name in ("conditionId", "closed", "orderPriceMinTickSize")]
        for market in event["markets"]
    ]
    return orjson.dumps([event.get("eventMetadata"), event.get("closed"), markets])


def write_tape(
    path: Path, options: VenueOptions, minutes: int, start_s: int | None
) -> dict[str, Any]:
    """Write a tape and say what is in it. Raises ConfigError when the file cannot be written."""
    start_s = START_S if start_s is None else start_s
    tape = Tape(options, start_s)
    counts: Counter[str] = Counter()
    created = datetime.fromtimestamp(start_s, UTC)
    header = CaptureHeader(
        created=f"{created:%Y-%m-%dT%H:%M:%SZ}",
        run_id=f"tape-{options.seed}",
        generated=True,
        note=f"invented by polytrade sandbox --tape: {options}",
    )

    def counted() -> Iterator[CaptureRecord]:
        for record in tape.records(minutes * 60):
            counts[record.source] += 1
            yield record

    records = write_capture(path, header, counted())
    traders = tape.simulation.traders
    return {
        "file": str(path),
        "minutes": minutes,
        "records": records,
        "frames": dict(sorted(counts.items())),
        "orders": traders.orders,
        "refused": dict(traders.refused),
    }
