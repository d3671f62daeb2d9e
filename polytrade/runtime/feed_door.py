"""What stands between the feed of a plugin and the inbox.

A feed whose reload is not in force yet is heard and not told of: a reload that is refused after all
must not have moved a price. What a door kept back goes in as events, not as frames: a codec that
builds on earlier frames has read some that a raw recording does not have.
"""

from collections.abc import Sequence
from typing import Any, Final, final

import trio

from polytrade.core.events import (
    Event,
    FeedDown,
    FeedGap,
    FeedUp,
    ReferenceTicked,
    VolatilityQuoted,
)
from polytrade.core.units import MS_NS
from polytrade.feed_events import check_of, codec_error
from polytrade.hookspecs import FEED
from polytrade.reference.codec import FeedCodec
from polytrade.runtime.budget import Budget, Overruns, timed
from polytrade.runtime.inbox import INBOX_FULL, Inbox
from polytrade.wire_roles import Decoder, WireError

KEPT_MAX: Final = 256
"""Events kept back of a feed: the newest of each kind and symbol, of as many as it may have."""


class OutOfService(Exception):
    """The feed took too long again and again."""


@final
class FeedDoor:
    """The inbox as the feed `source` sees it: open, or shut until `open` is called.

    `heard` is set once a frame was read. `out` says why the feed is out of service, empty while it
    is not: its decoding has the time budget of plugins. The engine gets events of its own, which
    the codec cannot change any more.
    """

    def __init__(
        self, codec: FeedCodec, source: str, inbox: Inbox, budget: Budget, *, shut: bool
    ) -> None:
        self.clock = inbox.clock
        self.heard = trio.Event()
        self.out = ""
        self._source = source
        self._inbox = inbox
        self._check = check_of(codec, source)
        self._decode = timed(self._read, Overruns(budget, f"{FEED}:{source}", self._stop), budget)
        self._shut = shut
        self._up = False
        self._kept: dict[tuple[object, ...], Event] = {}

    def now_ns(self) -> int:
        """The inbox's time."""
        return self._inbox.now_ns()

    def decode(
        self, decoder: Decoder, source: str, frame: str | bytes, ts_ns: int
    ) -> tuple[list[Event], WireError | None]:
        """As `Inbox.decode`; raises what the codec raises, ValueError for events that a feed may
        not give, and OutOfService.
        """
        events, error = self._decode(decoder, source, frame, ts_ns)
        if self.out:
            raise OutOfService(self.out)
        if error is None:
            self.heard.set()
        return [_copy(event) for event in events], error

    def put(self, event: Event) -> None:
        """Queue that the feed is up or down, or remember it while the door is shut."""
        if not self._shut:
            self._inbox.put(event)
        elif isinstance(event, FeedUp):
            self._up = True
        elif isinstance(event, FeedDown):
            self._up = False
            self._kept.clear()

    def put_frame(
        self, source: str, frame: str | bytes, ts_ns: int, events: Sequence[Event]
    ) -> bool:
        """As `Inbox.put_frame`. Shut, nothing is queued, numbered or recorded."""
        if not self._shut:
            return self._inbox.put_frame(source, frame, ts_ns, events)
        for event in events:
            if isinstance(event, ReferenceTicked | VolatilityQuoted):
                key = (event.TAG, event.symbol, getattr(event, "kind", 0))
                self._kept.pop(key, None)
                self._kept[key] = event
        while len(self._kept) > KEPT_MAX:
            del self._kept[next(iter(self._kept))]
        return True

    def open(self) -> None:
        """Let everything in from now on: first that the feed is up, and the newest it told."""
        if not self._shut:
            return
        self._shut = False
        kept, self._kept = self._kept, {}
        if self._up:
            self._inbox.put(FeedUp(self.now_ns(), self._source))
        for event in kept.values():
            if self._inbox.depth >= self._inbox.capacity:
                self._inbox.put(FeedGap(self.now_ns(), self._source, "", INBOX_FULL))
                break
            _restamp(event, self.now_ns())
            self._inbox.put(event)

    def _read(
        self, decoder: Decoder, source: str, frame: str | bytes, ts_ns: int
    ) -> tuple[list[Event], WireError | None]:
        events, error = self._inbox.decode(decoder, source, frame, ts_ns)
        self._check(events, ts_ns)
        return events, error if error is None else codec_error(error, source, frame)

    def _stop(self, _role: str, why: str) -> None:
        self.out = why


def _copy(event: Any) -> Event:
    copied: Event = type(event)(*(getattr(event, field) for field in event.FIELDS))
    return copied


def _restamp(event: Any, now_ns: int) -> None:
    """As if heard now; where the venue gave no time, that of its hearing is the price's."""
    if isinstance(event, ReferenceTicked):
        event.venue_ts_ns = event.venue_ts_ns or event.ts_ns
    elif isinstance(event, VolatilityQuoted):
        event.venue_ts_ms = event.venue_ts_ms or event.ts_ns // MS_NS
    event.ts_ns = now_ns
