"""Which markets there are: found by slug arithmetic at Gamma, followed until they are resolved.

Every followed slug is looked at on its own schedule: each refresh interval, just before its
window opens, often while its price to beat is not out, and after its end until the outcome is.
Gamma being down, slow or wrong costs one slug one backoff and is counted; nothing stops.
"""

import logging
import random
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, Literal
from urllib.parse import quote

import attrs
import orjson
import trio

from polytrade.config import Universe
from polytrade.core.events import ClockSkewMeasured, Event, MarketListed, MarketResolved
from polytrade.core.units import SECOND_NS
from polytrade.polymarket.books import Instruments
from polytrade.polymarket.clob import Clob
from polytrade.polymarket.gamma import GammaDecoder
from polytrade.polymarket.rest import Rest, RestError
from polytrade.polymarket.subjects import window_of_slug, window_slugs
from polytrade.runtime.inbox import Inbox
from polytrade.runtime.latest import Latest
from polytrade.runtime.links import ERROR_MAX, FeedStatus
from polytrade.runtime.supervise import RETRY_AFTER_S_MAX, Policy

log = logging.getLogger(__name__)

GAMMA_SOURCE: Final = "gamma/0"
BEFORE_OPEN_S: Final = 3.0
"""The look before a window opens: late enough for its last terms, early enough to act on them."""
STRIKE_POLL_S: Final = 2.0
"""Between looks for the price to beat, which is published seconds after the start."""
STRIKE_EAGER_S: Final = 60.0
"""How long after the start it is looked for that often; afterwards at the refresh interval."""
LATE_POLL_S: Final = 30.0
"""Between looks at an outcome that did not come while the market was still subscribed."""
GIVE_UP_S: Final = 6 * 3600.0
"""How long after its end a window's outcome is looked for: a dispute takes longer than we care."""
FORGET_S: Final = 60.0
"""How long a token stays known after its market was unsubscribed: frames on their way."""
SERIES_S: Final = 60.0
"""Between looks at a series: its next event is listed hours ahead."""
SKEW_S: Final = 60.0
"""Between looks at the venue's clock."""
SLUGS_MAX: Final = 2048
"""Slugs followed at once: 14 coins, 3 windows, 20 ahead (840), twice over and some."""

Ask = tuple[str, dict[str, str]]
"""A path and its parameters."""
Kind = Literal["window", "series", "slug"]
Noun = Literal["events", "markets"]


class GammaError(RestError):
    """What Gamma did not answer, or not usefully."""


@attrs.define(eq=False)
class Followed:
    """One slug: its markets as last listed, which are resolved, and when it is looked at next.

    `noun` is what Gamma knows the slug as; a configured slug may be a market's or an event's.
    """

    slug: str
    kind: Kind
    due_ns: int
    listed: dict[str, MarketListed] = attrs.field(factory=dict)
    resolved: dict[str, int] = attrs.field(factory=dict)
    failures: int = 0
    busy: bool = False
    noun: Noun = "events"

    @property
    def done(self) -> bool:
        """Whether every market of the slug is resolved."""
        return bool(self.listed) and all(market in self.resolved for market in self.listed)

    def end_ns(self) -> int:
        """When the last market ends, by Gamma or else by the slug; 0 when nobody says."""
        if self.listed:
            return max(listed.end_ns for listed in self.listed.values())
        window = window_of_slug(self.slug)
        return window[1] * SECOND_NS if window else 0


class Discovery:
    """Follows the universe's markets and keeps `want` told which are to be subscribed."""

    def __init__(
        self,
        universe: Universe,
        *,
        gamma: Rest,
        decoder: GammaDecoder,
        instruments: Instruments,
        inbox: Inbox,
        want: Callable[[list[MarketListed]], None],
        status: FeedStatus,
        policy: Policy,
        rng: random.Random,
    ) -> None:
        self.universe = universe
        self.counts: Counter[str] = Counter()
        """Answers by kind: `ok`, `malformed`, and the kinds of RestError."""
        self._gamma = gamma
        self._decoder = decoder
        self._instruments = instruments
        self._inbox = inbox
        self._want = want
        self._status = status
        status.stale_s = 3 * universe.refresh_interval_s
        self._policy = policy
        self._rng = rng
        self._followed: dict[str, Followed] = {}
        self._series_due_ns: dict[str, int] = {}
        self._forget_ns: dict[str, int] = {}
        self._wanted: dict[str, MarketListed] = {}
        self._looked: Latest[int] = Latest(0)

    @property
    def followed(self) -> list[Followed]:
        """The live rows of every followed slug."""
        return list(self._followed.values())

    async def run(self) -> None:
        """Follow the universe; returns never."""
        async with trio.open_nursery() as nursery:
            while True:
                seen = self._looked.version
                now_ns = self._inbox.now_ns()
                self._follow_universe(now_ns)
                self._retire(now_ns)
                self._tell()
                for slug, due_ns in list(self._series_due_ns.items()):
                    if due_ns <= now_ns:
                        self._series_due_ns[slug] = now_ns + _ns(SERIES_S)
                        nursery.start_soon(self._look_at_series, slug)
                for followed in self._followed.values():
                    if followed.due_ns <= now_ns and not followed.busy:
                        followed.busy = True
                        nursery.start_soon(self._look, followed)
                with trio.move_on_after(self._idle_s(now_ns)):
                    await self._looked.wait_newer(seen)

    def _idle_s(self, now_ns: int) -> float:
        dues = [followed.due_ns for followed in self._followed.values() if not followed.busy]
        wait_ns = min(dues, default=now_ns + _ns(self.universe.refresh_interval_s)) - now_ns
        return max(0.0, min(wait_ns / SECOND_NS, self.universe.refresh_interval_s))

    def _follow_universe(self, now_ns: int) -> None:
        universe = self.universe
        slugs = window_slugs(
            universe.coins, universe.windows, now_ns // SECOND_NS, universe.windows_ahead
        )
        for slug in slugs:
            self._follow(slug, "window", now_ns)
        for slug in universe.slugs:
            self._follow(slug, "slug", now_ns)
        for slug in universe.series:
            self._series_due_ns.setdefault(slug, now_ns)

    def _follow(self, slug: str, kind: Kind, now_ns: int) -> None:
        if slug not in self._followed and len(self._followed) < SLUGS_MAX:
            noun: Noun = "markets" if kind == "slug" else "events"
            self._followed[slug] = Followed(slug, kind, now_ns, noun=noun)

    def _retire(self, now_ns: int) -> None:
        for followed in self.followed:
            end_ns = followed.end_ns()
            if followed.kind == "slug" or followed.busy or not end_ns:
                continue
            patience_s = GIVE_UP_S if followed.listed and not followed.done else 0.0
            if now_ns > end_ns + _ns(patience_s):
                del self._followed[followed.slug]
        for market, when_ns in list(self._forget_ns.items()):
            if now_ns >= when_ns:
                del self._forget_ns[market]
                self._instruments.forget(market)

    def _tell(self) -> None:
        """Hand the wanted markets on, and let go of the tokens of those no longer wanted."""
        now_ns = self._inbox.now_ns()
        wanted = {
            market: listed
            for followed in self._followed.values()
            for market, listed in followed.listed.items()
            if self._to_be_subscribed(followed, listed, now_ns)
        }
        for market in self._wanted:
            if market not in wanted:
                self._forget_ns[market] = now_ns + _ns(FORGET_S)
        for market in wanted:
            self._forget_ns.pop(market, None)
        if wanted != self._wanted:
            self._wanted = wanted
            self._want(list(wanted.values()))

    def _to_be_subscribed(self, followed: Followed, listed: MarketListed, now_ns: int) -> bool:
        if listed.market in followed.resolved:
            return False
        if followed.kind == "slug" or not listed.end_ns:
            return True
        return now_ns <= listed.end_ns + _ns(self.universe.keep_after_end_s)

    async def _look(self, followed: Followed) -> None:
        """One look at one slug; never raises what Gamma may do."""
        try:
            frame = await self._fetch(followed)
        except RestError as error:
            self._failed(followed, error.kind, error.retry_after_s)
            if error.status == 0:
                self._status.turn("down", self._inbox.now_ns(), str(error))
            elif error.kind != "not_found":  # a window that is not listed yet is no error
                self._status.last_error = str(error)[:ERROR_MAX]
        else:
            self._take(followed, frame)
        finally:
            followed.busy = False
            self._looked.set(self._looked.value + 1)

    def _failed(self, followed: Followed, kind: str, retry_after_s: float = 0.0) -> None:
        self.counts[kind] += 1
        followed.failures += 1
        delay_s = self._policy.delay_s(followed.failures, self._rng)
        delay_s = max(delay_s, min(retry_after_s, RETRY_AFTER_S_MAX))
        followed.due_ns = self._inbox.now_ns() + _ns(delay_s)

    async def _fetch(self, followed: Followed) -> str:
        """The first answer that holds something; raises RestError when none does."""
        slug, noun = followed.slug, followed.noun
        name = quote(slug, safe="")
        single: Ask = (f"/{noun}/slug/{name}", {})
        closed: Ask = (f"/{noun}", {"slug": slug, "closed": "true"})
        asks: list[Ask] = [single, (f"/{noun}", {"slug": slug})]
        end_ns = followed.end_ns()
        if end_ns and self._inbox.now_ns() >= end_ns:
            # Closed markets hide from listings, and a cached single answer may not know yet.
            asks = [closed, single]
        elif followed.kind == "slug" and not followed.listed:
            asks += [closed, (f"/events/slug/{name}", {})]
        missing: RestError | None = None
        for path, params in asks:
            try:
                frame = await self._gamma.get(path, **params)
            except RestError as error:
                if error.kind != "not_found":
                    raise
                missing = error
            else:
                if frame.strip() not in ("", "[]", "null"):
                    followed.noun = "events" if path.startswith("/events") else "markets"
                    return frame
        raise missing or GammaError(self._gamma.host, "not_found", f"no market of slug {slug}")

    def _take(self, followed: Followed, frame: str) -> None:
        """Queue an answer that says something new; nothing waits between stamp and queue."""
        ts_ns = self._inbox.now_ns()
        status = self._status
        status.saw(ts_ns, len(frame))
        events, error = self._inbox.decode(self._decoder, GAMMA_SOURCE, frame, ts_ns)
        if error is not None:
            status.refuse(ts_ns, error)
            self._failed(followed, "malformed")
            self._inbox.put_frame(GAMMA_SOURCE, frame, ts_ns, events, fact=True)
            return
        self.counts["ok"] += 1
        status.last_data_ns = ts_ns
        if not status.connected:
            status.turn("up", ts_ns)
        followed.failures = 0
        news = [event for event in events if _remember(followed, event)]
        if news:
            # The whole frame, so that a recording decodes to what was queued.
            status.events += len(events)
            self._inbox.put_frame(GAMMA_SOURCE, frame, ts_ns, events, fact=True)
            self._tell()
        followed.due_ns = self._next_look_ns(followed, ts_ns)

    def _next_look_ns(self, followed: Followed, now_ns: int) -> int:
        """The soonest reason to look again."""
        universe = self.universe
        if followed.done:
            return now_ns + _ns(GIVE_UP_S)
        dues = [now_ns + _ns(universe.refresh_interval_s)]
        for market, listed in followed.listed.items():
            if market in followed.resolved:
                continue
            start_ns, end_ns = listed.start_ns, listed.end_ns
            if now_ns < start_ns:
                dues += [start_ns - _ns(BEFORE_OPEN_S), start_ns + _ns(STRIKE_POLL_S)]
            elif now_ns < end_ns:
                eager = now_ns < start_ns + _ns(STRIKE_EAGER_S)
                if listed.condition == "updown" and listed.strike_e8 < 0 and eager:
                    dues.append(now_ns + _ns(STRIKE_POLL_S))
                dues.append(end_ns + _ns(universe.resolution_poll_s))
            elif end_ns:
                late = now_ns > end_ns + _ns(universe.keep_after_end_s)
                dues.append(now_ns + _ns(LATE_POLL_S if late else universe.resolution_poll_s))
        return min(due for due in dues if due > now_ns)

    async def _look_at_series(self, slug: str) -> None:
        try:
            found = _series_slugs(await self._gamma.get("/series", slug=slug), self._inbox.now_ns())
        except RestError as error:
            self.counts[error.kind] += 1
        except (ValueError, TypeError, KeyError) as error:
            self.counts["malformed"] += 1
            log.warning("series %s cannot be read: %s", slug, error)
        else:
            for event_slug in found[: self.universe.windows_ahead + 1]:
                self._follow(event_slug, "series", self._inbox.now_ns())
        self._looked.set(self._looked.value + 1)


def _remember(followed: Followed, event: Event) -> bool:
    """Keep what an event says; whether it is news."""
    if isinstance(event, MarketListed):
        known = followed.listed.get(event.market)
        if known is not None and known.row()[2:] == event.row()[2:]:
            return False  # the same but for our own stamp
        followed.listed[event.market] = event
        return True
    if isinstance(event, MarketResolved):
        known_winner = followed.resolved.get(event.market)
        followed.resolved[event.market] = event.winner
        return known_winner != event.winner
    return True


def _series_slugs(frame: str, now_ns: int) -> list[str]:
    """The slugs of a series' events still to end, soonest first (protocols 1.3)."""
    body: Any = orjson.loads(frame)
    found: list[tuple[float, str]] = []
    for series in body if isinstance(body, list) else [body]:
        for event in series.get("events") or []:
            end = datetime.fromisoformat(event["endDate"]).timestamp()
            if not event.get("closed") and end * SECOND_NS > now_ns:
                found.append((end, str(event["slug"])))
    return [slug for _, slug in sorted(found)]


async def run_clock_check(clob: Clob, inbox: Inbox) -> None:
    """Measure the clock against the venue's every `SKEW_S`; returns never.

    A venue that does not answer is counted in its host's row and asked again.
    """
    while True:
        try:
            answer = await clob.get_time()
        except RestError as error:
            log.debug("no venue time: %s", error)
        else:
            inbox.put(ClockSkewMeasured(inbox.now_ns(), answer.skew_ms))
        await trio.sleep(SKEW_S)


def _ns(seconds: float) -> int:
    return round(seconds * SECOND_NS)
