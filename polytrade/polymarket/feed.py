"""The market channel: which assets are subscribed where, over redundant connections.

Markets are dealt to shards; every shard is read by `feeds.market_connections` connections that
all subscribe the same assets, and the first copy of a message wins (`polymarket.arbiter`). One
connection may come and go unnoticed; only when the last of a shard is gone are its books told
broken, and they become valid again by a fresh snapshot alone.
"""

import logging
import random
from collections.abc import Iterable
from functools import partial
from typing import Final

import attrs
import trio

from polytrade.config import Feeds
from polytrade.core.events import FeedDown, FeedGap, FeedUp, MarketListed
from polytrade.core.units import SECOND_NS
from polytrade.polymarket.arbiter import PATHS_MAX, PathStanding
from polytrade.polymarket.clob import BOOK_SOURCE, Clob
from polytrade.polymarket.rest import RestError
from polytrade.polymarket.wire import PING, MarketDecoder, subscribe_frame, unsubscribe_frame
from polytrade.runtime.feeds import STOPPED, FeedLost, connected
from polytrade.runtime.hosts import HostTable
from polytrade.runtime.inbox import Inbox
from polytrade.runtime.latest import Latest
from polytrade.runtime.links import FeedStatus, FeedTable, Link, LinkSettings
from polytrade.runtime.socket import Connector, Socket, SocketClosed
from polytrade.runtime.supervise import Policy, TaskTable, supervise

log = logging.getLogger(__name__)

MARKET_SOURCE: Final = "polymarket.market"
DISCONNECTED: Final = "disconnected"
EMPTIED: Final = "no markets"
DATA_MIN: Final = 8
"""Frames up to this length are keepalives, empty or `[]`: the shortest message has 100 bytes."""
SUBSCRIBE_S: Final = 5.0
"""Longest the first subscription may take to be sent: 40 KB at the most."""
TWIN_NS: Final = SECOND_NS
"""A frame that cannot be read is no loss while a twin is heard: its data is this old at most, and
it damaged none for as long."""
RESNAPSHOT_TRIES: Final = 3
"""Attempts at one REST book; when all fail the engine, whose book stays suspect, asks again."""
RESNAPSHOT_WAIT_S: Final = 1.0
"""Between those attempts, unless the venue asks for more: an engine restart's first step."""
RESNAPSHOT_WAIT_S_MAX: Final = 30.0
"""Longest wait between those attempts (protocols 2.6)."""


@attrs.define(eq=False)
class Shard:
    """The markets of one set of redundant connections; `live` are the paths that are up.

    `again` are markets to be subscribed anew, by path. `changed` wakes the connections.
    """

    index: int
    markets: dict[str, MarketListed] = attrs.field(factory=dict)
    live: dict[int, FeedStatus] = attrs.field(factory=dict)
    again: dict[int, dict[str, None]] = attrs.field(factory=dict)
    changed: Latest[int] = attrs.field(factory=lambda: Latest(0))

    def assets(self) -> dict[str, None]:
        """The tokens to be subscribed, both of each market, in order."""
        return {
            token: None for listed in self.markets.values() for token in (listed.yes, listed.no)
        }

    def open_at(self, now_ns: int) -> bool:
        """Whether a market of the shard is in its window, so that silence is suspicious."""
        return any(
            listed.start_ns <= now_ns < listed.end_ns and not listed.closed
            for listed in self.markets.values()
        )

    def has_twin(self, path: int, now_ns: int) -> bool:
        """Whether another connection brings what this one lost."""
        since_ns = now_ns - TWIN_NS
        return any(
            other != path
            and status.last_data_ns >= since_ns
            and not (status.quarantine and status.quarantine[-1].ts_ns >= since_ns)
            for other, status in self.live.items()
        )

    def bump(self) -> None:
        """Wake the connections."""
        self.changed.set(len(self.markets))


class MarketFeed:
    """Keeps what `want` says subscribed; one decoder for all connections, as in a replay."""

    def __init__(
        self,
        feeds: Feeds,
        *,
        decoder: MarketDecoder,
        clob: Clob,
        connect: Connector,
        inbox: Inbox,
        tasks: TaskTable,
        statuses: FeedTable,
        hosts: HostTable,
        policy: Policy,
        rng: random.Random,
    ) -> None:
        self._feeds = feeds
        self._decoder = decoder
        self._clob = clob
        self._connect = connect
        self._inbox = inbox
        self._tasks = tasks
        self._statuses = statuses
        self._hosts = hosts
        self._policy = policy
        self._rng = rng
        self._shards: list[Shard] = []
        self._homes: dict[str, Shard] = {}
        self._grown: Latest[int] = Latest(0)
        self._snapshots: dict[str, None] = {}
        self._asked: Latest[int] = Latest(0)
        self._link_settings = LinkSettings(
            silence_s=feeds.market_silence_s,
            pong_limit_s=feeds.pong_limit_s,
            ping_interval_s=feeds.ping_interval_s,
            ping=PING,
        )
        self.unplaced = 0
        """Markets that found no place on `PATHS_MAX` connections."""
        self.snapshot_failures = 0
        """REST books that could not be had."""

    def want(self, markets: Iterable[MarketListed]) -> None:
        """Have exactly these markets subscribed, without reconnecting what stays."""
        wanted = {listed.market: listed for listed in markets}
        for market in [market for market in self._homes if market not in wanted]:
            shard = self._homes.pop(market)
            del shard.markets[market]
            shard.bump()
        unplaced = 0
        for market, listed in wanted.items():
            home = self._homes.get(market) or self._place(market)
            if home is None:
                unplaced += 1
            elif home.markets.get(market) != listed:
                home.markets[market] = listed
                home.bump()
        if unplaced and not self.unplaced:
            log.error("%d markets exceed %d connections", unplaced, PATHS_MAX)
        self.unplaced = unplaced

    def resnapshot(self, market: str) -> None:
        """Get a fresh book: subscribe the market anew on one live path, and ask REST besides.

        Never waits; a market already being asked for, or not wanted, is left alone. So is one whose
        connections are all gone: it gets its book with the subscription of the next, and a REST
        book that nothing keeps up to date is none to trade on.
        """
        shard = self._homes.get(market)
        if shard is None or market in self._snapshots:
            return
        path = next(iter(shard.live), None)
        if path is None:
            return
        shard.again.setdefault(path, {})[market] = None
        shard.bump()
        self._snapshots[market] = None
        self._asked.set(len(self._snapshots))

    def league(self) -> list[PathStanding]:
        """Who wins among the redundant connections."""
        return self._decoder.league()

    @property
    def markets(self) -> int:
        """Markets placed on connections."""
        return len(self._homes)

    async def run(self) -> None:
        """Run every connection under its own supervision; returns never."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._serve_snapshots)
            started = seen = 0
            while True:
                for shard in self._shards[started:]:
                    for path in self._paths(shard):
                        name = f"{MARKET_SOURCE}/{path}"
                        status = self._statuses.open(name, self._feeds.market_url)
                        status.stale_s = self._feeds.market_silence_s
                        run = partial(self._run_path, shard, path, status)
                        nursery.start_soon(
                            partial(
                                supervise, name, run, self._policy,
                                table=self._tasks, rng=self._rng,
                            )
                        )  # fmt: skip
                    started += 1
                seen, _ = await self._grown.wait_newer(seen)

    def _paths(self, shard: Shard) -> range:
        count = self._feeds.market_connections
        return range(shard.index * count, (shard.index + 1) * count)

    def _place(self, market: str) -> Shard | None:
        room = self._feeds.assets_per_connection // 2
        for shard in self._shards:
            if len(shard.markets) < room:
                break
        else:
            if (len(self._shards) + 1) * self._feeds.market_connections > PATHS_MAX:
                return None
            shard = Shard(len(self._shards))
            self._shards.append(shard)
            self._grown.set(len(self._shards))
        self._homes[market] = shard
        return shard

    async def _run_path(self, shard: Shard, path: int, status: FeedStatus) -> None:
        while True:
            await trio.lowlevel.checkpoint()
            seen = shard.changed.version
            if not shard.markets:
                await shard.changed.wait_newer(seen)
                continue
            status.turn("connecting", self._inbox.now_ns())
            reason, planned = STOPPED, False
            try:
                url, source = self._feeds.market_url, status.source
                async with connected(self._connect, url, source, self._hosts) as socket:
                    reason, planned = await self._live(shard, path, socket, status)
            except SocketClosed as error:
                reason = f"closed: {error.reason}"
            except FeedLost as error:
                reason = error.reason
                raise
            finally:
                self._path_down(shard, path, status, reason)
            if not planned:
                raise FeedLost(status.source, reason)

    async def _live(
        self, shard: Shard, path: int, socket: Socket, status: FeedStatus
    ) -> tuple[str, bool]:
        """One connection from its first subscription to its end: why, and whether planned."""
        inbox, decoder, source = self._inbox, self._decoder, status.source

        def take(frame: str | bytes, ts_ns: int) -> bool:
            events, error = inbox.decode(decoder, source, frame, ts_ns)
            if error is not None:
                status.refuse(ts_ns, error)
                if shard.has_twin(path, ts_ns):
                    events = []
            if not inbox.put_frame(source, frame, ts_ns, events):
                status.dropped += 1
            status.events += len(events)
            return error is None and len(frame) > DATA_MIN

        def idle() -> bool:
            return not shard.open_at(inbox.now_ns())

        seen = shard.changed.version
        subscribed = shard.assets()
        with trio.move_on_after(SUBSCRIBE_S) as scope:
            await socket.send(subscribe_frame(subscribed, True))
        if scope.cancelled_caught:
            return f"not subscribed within {SUBSCRIBE_S:g} s", False
        link = Link(socket, inbox.clock, status, self._link_settings, take, idle=idle)
        self._path_up(shard, path, status)
        async with trio.open_nursery() as nursery:
            follow = partial(self._follow, subscribed=subscribed, seen=seen)
            nursery.start_soon(follow, shard, path, socket, link)
            await link.run()
            # Told before the closing handshake, for which a frozen peer lets us wait.
            self._path_down(shard, path, status, link.reason or STOPPED)
            nursery.cancel_scope.cancel()
        return link.reason or STOPPED, link.planned

    async def _follow(
        self,
        shard: Shard,
        path: int,
        socket: Socket,
        link: Link,
        *,
        subscribed: dict[str, None],
        seen: int,
    ) -> None:
        """Tell the venue what changed in the shard's markets since `seen`."""
        try:
            while True:
                seen, count = await shard.changed.wait_newer(seen)
                if not count:
                    link.end(EMPTIED, planned=True)
                wanted = shard.assets()
                again = [
                    token
                    for market in shard.again.pop(path, ())
                    if market in shard.markets
                    for token in (shard.markets[market].yes, shard.markets[market].no)
                    if token in subscribed
                ]
                gone = [token for token in subscribed if token not in wanted]
                new = [token for token in wanted if token not in subscribed]
                if gone or again:
                    await socket.send(unsubscribe_frame(gone + again))
                if new or again:
                    await socket.send(subscribe_frame(new + again, False))
                subscribed = wanted
        except SocketClosed as error:
            link.end(f"closed: {error.reason}")

    def _path_up(self, shard: Shard, path: int, status: FeedStatus) -> None:
        now_ns = self._inbox.now_ns()
        status.turn("up", now_ns)
        first = not any(other.live for other in self._shards)
        shard.live[path] = status
        if first:
            self._inbox.put(FeedUp(now_ns, MARKET_SOURCE))

    def _path_down(self, shard: Shard, path: int, status: FeedStatus, reason: str) -> None:
        if status.state == "down":
            return
        now_ns = self._inbox.now_ns()
        status.turn("down", now_ns, reason)
        shard.again.pop(path, None)
        if path not in shard.live:
            return
        del shard.live[path]
        if shard.live:
            return
        for market in shard.markets:
            self._inbox.put(FeedGap(now_ns, MARKET_SOURCE, market, DISCONNECTED))
        if not any(other.live for other in self._shards):
            self._inbox.put(FeedDown(now_ns, MARKET_SOURCE, reason))

    async def _serve_snapshots(self) -> None:
        started: dict[str, None] = {}
        async with trio.open_nursery() as nursery:
            seen = 0
            while True:
                seen, _ = await self._asked.wait_newer(seen)
                for market in [m for m in self._snapshots if m not in started]:
                    started[market] = None
                    nursery.start_soon(self._snapshot, market, started)

    async def _snapshot(self, market: str, started: dict[str, None]) -> None:
        try:
            for attempt in range(RESNAPSHOT_TRIES):
                shard = self._homes.get(market)
                if shard is None:
                    return
                try:
                    answer = await self._clob.get_book(shard.markets[market].yes)
                except RestError as error:
                    self.snapshot_failures += 1
                    log.warning("no book of %s: %s", shard.markets[market].slug, error)
                    wait_s = max(RESNAPSHOT_WAIT_S * 2**attempt, error.retry_after_s)
                    await trio.sleep(min(wait_s, RESNAPSHOT_WAIT_S_MAX))
                else:
                    self._inbox.put_frame(BOOK_SOURCE, answer.frame, answer.ts_ns, answer.events)
                    return
        finally:
            self._snapshots.pop(market, None)
            started.pop(market, None)
