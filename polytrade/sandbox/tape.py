"""What the feeds of a live venue would send, written as a raw capture as fast as it can be made."""

import heapq
import math
import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import orjson

from polytrade.captures import CaptureHeader, CaptureRecord, write_capture
from polytrade.core.units import MS_NS, SECOND_NS
from polytrade.errors import ConfigError, Problem
from polytrade.sandbox.dialects import Dialect, MarketDialect, Played
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
"""Sockets a tape can hold; Gamma is always in it."""
MONO_START_NS: Final = 60 * SECOND_NS
"""The recorder's monotonic clock at the begin."""


class Tape:
    """The records of one venue from `start_s` on; the same options and start, the same records.

    A recorder that follows every market, as `polytrade record` does: books when it subscribes,
    Gamma's event when something about it is new, every frame of the market channel, the real-time
    data socket and the exchanges (or of those that `sources` names), received a little after it was
    sent and in order by source.
    """

    def __init__(
        self, options: VenueOptions, start_s: int = START_S, sources: tuple[str, ...] = RECORDED
    ) -> None:
        self.start_ns = start_s * SECOND_NS
        self._recorded = sources
        self.simulation = Simulation(options, self.start_ns, self._hear, sources.__contains__)
        self._rng = random.Random(f"{options.seed}|recorder")
        self._gamma = GammaObjects(
            self.simulation.schedule,
            self.simulation.calendar,
            self.simulation.exchange,
            options.seed,
        )
        self._market = MarketDialect(self.simulation.market_channel)
        binance = self.simulation.exchanges["binance"]
        combined = binance.dialect(f"/stream?streams={'/'.join(binance.default_streams())}")
        self._clients: dict[str, Dialect] = {"market": self._market, "binance": combined}
        self._told: dict[str, bytes] = {}
        self._tokens: dict[str, list[str]] = {}
        self._waiting: list[tuple[int, int, str, str]] = []
        self._heard = 0
        self._last_ns: dict[str, int] = {}

    def records(self, seconds: int) -> Iterator[CaptureRecord]:
        """What is received in so many seconds, in the order received."""
        simulation, schedule = self.simulation, self.simulation.schedule
        for name, exchange in simulation.exchanges.items():
            if name in self._recorded and name not in self._clients:
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
        if endpoint not in self._recorded:
            return
        client = self._clients.get(endpoint)
        heard = played if client is None else client.select(played)
        if heard is not None:
            text = heard.text if isinstance(heard.text, str) else heard.text.decode()
            self._put(endpoint, SOURCES.get(endpoint, played.source), text)

    def _put(self, endpoint: str, source: str, frame: str) -> int:
        """When a frame sent now is received: after a way of its own, never before an earlier one.

        It is put down for then.
        """
        way_ms = WAYS_MS.get(endpoint, EXCHANGE_WAY_MS)
        way_ms *= math.exp(WAY_SPREAD * self._rng.gauss(0.0, 1.0))
        now_ns = self.simulation.schedule.now_ns
        recv_ns = max(now_ns + int(way_ms * MS_NS), self._last_ns.get(source, 0))
        self._last_ns[source] = recv_ns
        self._heard += 1
        heapq.heappush(self._waiting, (recv_ns, self._heard, source, frame))
        return recv_ns

    def _look(self) -> None:
        """Ask Gamma what is new, and follow the markets that are from when the answer is there."""
        events = {event["slug"]: event for event in self._gamma.events()}
        for slug, event in events.items():
            news = _news(event)
            told = self._told.get(slug)
            if told == news:
                continue
            self._told[slug] = news
            recv_ns = self._put("gamma", GAMMA, orjson.dumps(event).decode())
            if told is None and "market" in self._recorded:
                listings = self.simulation.calendar.topics[slug].listings
                self._tokens[slug] = [token for each in listings for token in each.rules.tokens]
                self.simulation.schedule.at(recv_ns, partial(self._follow, self._tokens[slug]))
        for slug in [slug for slug in self._told if slug not in events]:
            del self._told[slug]
            self._follow(self._tokens.pop(slug, []), "unsubscribe")

    def _follow(self, tokens: list[str], operation: str = "subscribe") -> None:
        """Tell the market channel, as any of its clients does."""
        order = {"operation": operation, "assets_ids": tokens, "custom_feature_enabled": True}
        for text, _ in self._market.hear(orjson.dumps(order).decode()):
            self._put("market", MARKET, text)


def _news(event: dict[str, Any]) -> bytes:
    """What about an event is worth a record: not its quotes, which are always stale."""
    markets = [
        [market.get(name) for name in ("conditionId", "closed", "orderPriceMinTickSize")]
        for market in event["markets"]
    ]
    return orjson.dumps([event.get("eventMetadata"), event.get("closed"), markets])


def _command(options: VenueOptions, minutes: int, start_s: int, sources: tuple[str, ...]) -> str:
    """What to type for the same tape; traders do not know the options left out."""
    slow = "" if options.slow_markets else "no-"
    return (
        f"sandbox --tape FILE --minutes {minutes} "
        f"--at {datetime.fromtimestamp(start_s, UTC):%Y-%m-%dT%H:%M:%S} "
        f"--seed {options.seed} --coins {','.join(options.coins)} "
        f"--windows {','.join(options.windows)} --windows-ahead {options.windows_ahead} "
        f"--{slow}slow-markets --activity {options.activity} --sources {','.join(sources)}"
    )


def write_tape(
    path: Path,
    options: VenueOptions,
    minutes: int,
    start_s: int | None,
    sources: tuple[str, ...] = RECORDED,
) -> dict[str, Any]:
    """Write a tape and say what is in it; its header holds the command that makes it again.

    Raises ConfigError for an unknown source and when the file cannot be written.
    """
    if not sources or not set(sources) <= set(RECORDED):
        wanted, found = ", ".join(RECORDED), ", ".join(sources) or "none"
        raise ConfigError(Problem(f"expected one or more of {wanted}, found {found}", "sources"))
    start_s = START_S if start_s is None else start_s
    tape = Tape(options, start_s, sources)
    counts: Counter[str] = Counter()
    created = datetime.fromtimestamp(start_s, UTC)
    header = CaptureHeader(
        created=f"{created:%Y-%m-%dT%H:%M:%SZ}",
        run_id=f"tape-{options.seed}",
        generated=True,
        note=f"invented by polytrade {_command(options, minutes, start_s, sources)}",
    )

    def counted() -> Iterator[CaptureRecord]:
        for record in tape.records(minutes * 60):
            counts[record.source] += 1
            yield record

    try:
        records = write_capture(path, header, counted())
    except OSError as error:
        raise ConfigError(Problem(f"cannot be written: {error}", "tape")) from error
    traders = tape.simulation.traders
    return {
        "file": str(path),
        "minutes": minutes,
        "records": records,
        "frames": dict(sorted(counts.items())),
        "orders": traders.orders,
        "refused": dict(traders.refused),
    }
