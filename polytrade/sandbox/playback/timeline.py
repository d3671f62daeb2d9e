"""What is in the captures: one pass to know their extent and names, then as many as are played."""

import heapq
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import attrs
import orjson

from polytrade.captures import CaptureRecord
from polytrade.core.units import SECOND_NS
from polytrade.errors import ConfigError, Problem
from polytrade.importers import read_capture
from polytrade.sandbox.dialects import loads, market_assets
from polytrade.sandbox.exchanges import is_ack
from polytrade.sandbox.playback.listings import gamma_objects, learn_names, markets_of
from polytrade.sandbox.playback.shift import PERIOD_S, SLUG, WINDOW_S, Names

SOCKET_FEEDS: Final = {
    "polymarket.market": "market",
    "polymarket.rtds": "rtds",
    "binance": "binance",
    "coinbase": "coinbase",
    "kraken": "kraken",
    "okx": "okx",
    "bybit": "bybit",
}
"""Feed of a capture's source -> socket endpoint that plays it."""
REST_FEEDS: Final = frozenset(("gamma", "clob.book"))
OBJECTS_MAX: Final = 200_000
"""Gamma objects looked at in the first pass: a day's discovery at one object a second is 86,400."""


@attrs.define
class Timeline:
    """The captures in the order they were received.

    `frames` counts what is played by source, `skipped` what is not and why. `assets` are the tokens
    of the market channel, `slugs` the markets Gamma knew. Times are `recv_ts_ns` of the capture.
    """

    files: tuple[Path, ...]
    first_ns: int = 0
    last_ns: int = 0
    frames: Counter[str] = attrs.field(factory=Counter)
    skipped: Counter[str] = attrs.field(factory=Counter)
    assets: dict[str, None] = attrs.field(factory=dict)
    slugs: dict[str, None] = attrs.field(factory=dict)
    names: Names = attrs.field(factory=Names)
    first_objects: dict[str, dict[str, Any]] = attrs.field(factory=dict)
    books_rules: dict[str, tuple[str, bool]] = attrs.field(factory=dict)
    spans: dict[str, int] = attrs.field(factory=dict)
    period_s: int = PERIOD_S
    _paths: dict[str, str] = attrs.field(factory=dict)

    @property
    def length_ns(self) -> int:
        """From the first record to the last."""
        return self.last_ns - self.first_ns

    def endpoints(self) -> list[str]:
        """The socket endpoints the captures have frames for."""
        feeds = {source.partition("/")[0] for source in self.frames}
        return [endpoint for feed, endpoint in SOCKET_FEEDS.items() if feed in feeds]

    def records(self) -> Iterator[tuple[str, CaptureRecord]]:
        """(feed, record) of what is played, oldest first; a twin's copies and acks are left out."""
        for record in _merged(self.files):
            feed = self._plays(record)
            if feed is not None:
                yield feed, record

    def _plays(self, record: CaptureRecord) -> str | None:
        if record.frame is None:
            return None
        feed = record.source.partition("/")[0]
        if feed in REST_FEEDS:
            return feed
        if feed not in SOCKET_FEEDS or self._paths.get(feed, record.source) != record.source:
            return None
        return None if is_ack(feed, record.frame) else feed


def _merged(files: tuple[Path, ...]) -> Iterator[CaptureRecord]:
    if len(files) == 1:
        return iter(read_capture(files[0]))
    streams = [iter(read_capture(path)) for path in files]
    return heapq.merge(*streams, key=lambda record: record.recv_ts_ns)


def scan(files: tuple[Path, ...]) -> Timeline:
    """Read the captures once. Raises ConfigError when there is nothing in them to play."""
    timeline = Timeline(files)
    by_source: Counter[str] = Counter()
    ids: dict[str, list[int]] = {}
    seen: set[bytes] = set()
    first: int | None = None
    for record in _merged(files):
        first = record.recv_ts_ns if first is None else min(first, record.recv_ts_ns)
        timeline.last_ns = max(timeline.last_ns, record.recv_ts_ns)
        feed = record.source.partition("/")[0]
        if record.frame is None:
            timeline.skipped["events"] += 1
        elif feed in SOCKET_FEEDS:
            if is_ack(feed, record.frame):
                timeline.skipped[f"{record.source} answers"] += 1
            else:
                by_source[record.source] += 1
                _look(timeline, ids, feed, record.frame)
        elif feed in REST_FEEDS:
            timeline.frames[record.source] += 1
            if feed == "gamma":
                _look_gamma(timeline, record.frame, seen)
        else:
            timeline.skipped[f"{record.source} has no endpoint"] += 1
    timeline.first_ns = first or 0
    _choose_paths(timeline, by_source)
    timeline.spans = {symbol: high - low + 1 for symbol, (low, high) in ids.items()}
    if not timeline.frames:
        named = ", ".join(map(str, files))
        raise ConfigError(Problem(f"expected frames to play, found none in {named}", "playback"))
    return timeline


def _choose_paths(timeline: Timeline, by_source: Counter[str]) -> None:
    """Of redundant connections the one that heard most is played; ties take the first name."""
    for source, count in sorted(by_source.items(), key=lambda item: (-item[1], item[0])):
        feed = source.partition("/")[0]
        if feed in timeline._paths:
            timeline.skipped[f"{source} is a twin"] += count
        else:
            timeline._paths[feed] = source
            timeline.frames[source] = count


def _look(timeline: Timeline, ids: dict[str, list[int]], feed: str, frame: str | bytes) -> None:
    if feed == "polymarket.market":
        body = loads(frame)
        for message in body if isinstance(body, list) else [body]:
            if isinstance(message, dict) and message.get("event_type") != "new_market":
                timeline.assets.update(dict.fromkeys(market_assets(message)))
    elif feed == "binance":
        body = loads(frame)
        data = body.get("data", body) if isinstance(body, dict) else None
        if isinstance(data, dict) and data.get("e") == "trade" and isinstance(data.get("t"), int):
            span = ids.setdefault(str(data.get("s")), [data["t"], data["t"]])
            span[0], span[1] = min(span[0], data["t"]), max(span[1], data["t"])


def _look_gamma(timeline: Timeline, frame: str | bytes, seen: set[bytes]) -> None:
    for obj in gamma_objects(frame):
        slug = obj["slug"]
        timeline.slugs[slug] = None
        timeline.first_objects.setdefault(slug, obj)
        key = orjson.dumps([slug, [market.get("conditionId") for market in markets_of(obj)]])
        if key in seen or len(seen) >= OBJECTS_MAX:
            continue
        seen.add(key)
        learn_names(timeline.names, obj)
        found = SLUG.search(slug)
        if found is not None:
            timeline.period_s = max(timeline.period_s, WINDOW_S[found[2]])
        for market in markets_of(obj):
            size = market.get("orderMinSize")
            text = f"{size:g}" if isinstance(size, int | float) else "5"
            timeline.books_rules[str(market.get("conditionId"))] = (
                text,
                market.get("negRisk") is True,
            )


def start_shift_s(timeline: Timeline, now_ns: int) -> int:
    """The multiple of the window length that puts now at, or soon after, the first record.

    Now then lies less than one window after the capture's begin. When the capture is over by
    that point, the next multiple is taken: playback waits for its begin.
    """
    period_ns = timeline.period_s * SECOND_NS
    steps = (now_ns - timeline.first_ns) // period_ns
    if now_ns - steps * period_ns > timeline.last_ns:
        steps += 1
    return int(steps) * timeline.period_s


def round_length_s(timeline: Timeline) -> int:
    """By how much times move from one round of a loop to the next: whole windows."""
    period_ns = timeline.period_s * SECOND_NS
    rounds = max(1, -(-timeline.length_ns // period_ns))
    return int(rounds) * timeline.period_s
