"""Frames of recordings to events: the live feeds' own decoders, by the name of the source.

Market data has one decoder for all its connections, as live; every other source has its own. What
a live run did besides decoding is repeated here: a codec starts over when its feed came up.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Final

from polytrade.captures import CaptureRecord
from polytrade.core.events import ClockTicked, Event, FeedUp, LineupSwapped, RunStarted
from polytrade.core.units import SECOND_NS
from polytrade.polymarket.books import Instruments, RestBookDecoder
from polytrade.polymarket.gamma import GammaDecoder
from polytrade.polymarket.prices import PolyBoltDecoder, RtdsDecoder
from polytrade.polymarket.subjects import COINS
from polytrade.polymarket.wire import MarketDecoder
from polytrade.reference import CODECS, FeedCodec
from polytrade.replay_feeds import RecordedFeeds
from polytrade.wire_roles import Decoder, decode_or_gap

SAMPLES_MAX: Final = 32
"""Malformed frames of which the reason is kept; further ones are counted only."""

PEEK_RECORDS: Final = 4096
"""Records looked at for ticks of the recording's own: seconds of traffic, where ticks come every
20 ms."""
PAUSE_NS: Final = 10 * SECOND_NS
"""A longer hole in a recording is crossed in larger steps."""
PAUSE_TICK_NS: Final = SECOND_NS
"""Those steps: an hour without data costs 3600 ticks, not 180,000."""


class FrameDecoders:
    """Every decoder a recording may need, made when its first frame comes.

    `malformed` counts frames that could not be read, `reasons` holds why for the first of them,
    `unsupported` counts frames of sources nobody here can read. `feeds` are those of plugins.
    """

    def __init__(self, coins: Iterable[str] = COINS, feeds: RecordedFeeds | None = None) -> None:
        self.instruments = Instruments()
        self.market = MarketDecoder(self.instruments)
        self.frames: Counter[str] = Counter()
        self.malformed: Counter[str] = Counter()
        self.unsupported: Counter[str] = Counter()
        self.reasons: list[str] = []
        self._coins = tuple(coins)
        self._decoders: dict[str, Decoder | None] = {}
        self._codecs: dict[str, FeedCodec] = {}
        self._feeds = feeds

    def decode(self, source: str, frame: str | bytes, ts_ns: int) -> list[Event]:
        """The events of a frame; one that cannot be read gives a FeedGap. Raises nothing."""
        self.frames[source] += 1
        if source in self._decoders:
            decoder = self._decoders[source]
        else:
            decoder = self._decoders[source] = self._make(source)
        if decoder is None and self._feeds is not None:
            decoder = self._feeds.codec(source)
        if decoder is None:
            self.unsupported[source] += 1
            return []
        events, error = decode_or_gap(decoder, source, frame, ts_ns)
        if error is not None:
            self.refuse(source, str(error))
        return events

    def refuse(self, source: str, reason: str) -> None:
        """Count a record that could not be read."""
        self.malformed[source] += 1
        if len(self.reasons) < SAMPLES_MAX:
            self.reasons.append(reason)

    def saw(self, event: Event) -> None:
        """Learn from an event of the recording that came from no frame."""
        if isinstance(event, FeedUp):
            codec = self._codecs.get(event.source)
            if codec is not None:
                codec.reset()
            elif self._feeds is not None:
                self._feeds.up(event)
        elif isinstance(event, LineupSwapped) and self._feeds is not None:
            self._feeds.swapped(event)

    def messages(self) -> dict[str, dict[str, int]]:
        """Messages by source and type, before de-duplication; sources without types: `frame`."""
        found: dict[str, dict[str, int]] = {}
        for (source, kind), count in sorted(self.market.counts.items()):
            found.setdefault(source, {})[kind] = count
        for source, counts in self._counts().items():
            found[source] = dict(sorted(counts.items()))
        for source, count in self.frames.items():
            found.setdefault(source, {"frame": count})
        return dict(sorted(found.items()))

    def unknown(self) -> dict[str, dict[str, int]]:
        """Messages nobody here has a use for, by source and by what they called themselves."""
        found = {
            source: dict(sorted(decoder.unknown.items()))
            for source, decoder in sorted(self._decoders.items())
            if decoder is not None and decoder is not self.market and decoder.unknown
        }
        for source, codec in (self._feeds.codecs if self._feeds is not None else {}).items():
            if codec.unknown:
                found[source] = dict(sorted(codec.unknown.items()))
        if self.market.unknown:
            found["polymarket.market"] = dict(sorted(self.market.unknown.items()))
        return found

    def _counts(self) -> dict[str, Counter[str]]:
        """What each codec decoded, by source."""
        theirs = self._feeds.codecs if self._feeds is not None else {}
        found = {source: codec.counts for source, codec in self._codecs.items()}
        return found | {source: codec.counts for source, codec in theirs.items()}

    def foreign(self) -> int:
        """Messages of assets that no listing of the recording names."""
        return self.market.foreign.total()

    def _make(self, source: str) -> Decoder | None:
        feed = source.partition("/")[0]
        if feed == "polymarket.market":
            return self.market
        if feed == "polymarket.rtds":
            return RtdsDecoder()
        if feed == "polymarket.polybolt":
            return PolyBoltDecoder()
        if feed == "gamma":
            return GammaDecoder(self.instruments)
        if feed == "clob.book":
            return RestBookDecoder(self.instruments)
        if feed in CODECS:
            codec = self._codecs[source] = CODECS[feed](self._coins)
            return codec
        return None


def recorded_events(
    records: Iterable[CaptureRecord],
    decoders: FrameDecoders,
    started: Callable[[int], RunStarted],
    tick_interval_ns: int,
) -> Iterator[Event]:
    """The events of a recording as its run would have queued them, in time order.

    Event records pass as they are. Where the recording has none, `started` begins it and ticks are
    put in every `tick_interval_ns` of recorded time; across a pause of more than `PAUSE_NS` every
    `PAUSE_TICK_NS`. Times that run backwards are held at the last one.
    """
    rows = iter(records)
    head = list(islice(rows, PEEK_RECORDS))
    tags = {record.event[0] for record in head if record.event}
    own_ticks = ClockTicked.TAG in tags or RunStarted.TAG in tags
    last_ns = head[0].recv_ts_ns if head else 0
    if head and RunStarted.TAG not in tags:
        yield started(last_ns)
    next_ns = last_ns + tick_interval_ns
    for record in chain(head, rows):
        ts_ns = max(record.recv_ts_ns, last_ns)
        if not own_ticks:
            while next_ns <= ts_ns:
                yield ClockTicked(next_ns)
                next_ns += tick_interval_ns if ts_ns - next_ns < PAUSE_NS else PAUSE_TICK_NS
        if record.frame is None:
            try:
                event = record.to_event()
            except (ValueError, TypeError, IndexError) as error:
                decoders.refuse(record.source, f"record {record.ingest_seq}: {error}")
                continue
            event.ts_ns = last_ns = max(event.ts_ns, last_ns)
            decoders.saw(event)
            yield event
        else:
            last_ns = ts_ns
            yield from decoders.decode(record.source, record.frame, ts_ns)
