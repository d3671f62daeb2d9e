"""Feeds of plugins over memory streams: fake venues, and what reached the inbox."""

import random
from collections import Counter
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from polytrade.config import Feeds, Reload
from polytrade.core.events import (
    Event,
    FeedDown,
    FeedGap,
    ReferenceTicked,
    VolatilityQuoted,
)
from polytrade.core.ids import FAST
from polytrade.core.units import SECOND_NS
from polytrade.errors import PluginError
from polytrade.runtime.budget import Budget
from polytrade.runtime.hosts import HostTable
from polytrade.runtime.inbox import Inbox
from polytrade.runtime.links import FeedTable
from polytrade.runtime.plugin_feeds import (
    Change,
    PluginFeeds,
    Wanted,
)
from polytrade.runtime.supervise import TaskTable
from polytrade.testing.sockets import START_NS, FakeNet, Peer, trio_clock
from polytrade.wire_roles import WireError


class Codec:
    """A venue whose frames are a price in cents; the frame `raise` breaks the codec.

    `raises` is what that raises, `slow` is called at each frame.
    """

    ping_interval_s = 5.0
    max_age_s = float("inf")

    def __init__(self, name: str = "alpha") -> None:
        self.name = name
        self.default_url = f"wss://{name}.example/ws"
        self.counts: Counter[str] = Counter()
        self.unknown: Counter[str] = Counter()
        self.reconnect_wanted = False
        self.silence_s = 1_000.0
        self.asked = ["subscribe"]
        self.gives: Any = None
        self.waiting: list[str] = []
        self.raises: BaseException = KeyError("seq")
        self.slow: Any = lambda: None

    def hello(self) -> list[str]:
        return self.asked

    def ping(self) -> str | None:
        return None

    def reset(self) -> None:
        self.reconnect_wanted = False

    def answers(self) -> list[str]:
        waiting, self.waiting = self.waiting, []
        return waiting

    def decode(self, frame: str | bytes, ts_ns: int, source: str) -> list[Event]:
        self.slow()
        if frame == "raise":
            raise self.raises
        if frame == "welcome":
            return []
        if frame == "test":
            self.waiting.append("alive")
            return []
        if frame == "given":
            given: list[Event] = self.gives
            return given
        try:
            price_e8 = int(frame) * 10**6
        except ValueError:
            raise WireError(source, f"expected cents, found {frame!r}", frame) from None
        return [ReferenceTicked(ts_ns, "BTC", self.name, FAST, price_e8, 0)]


def wanted(name: str = "alpha", factory: object = Codec, **settings: Any) -> Wanted:
    """A feed of the plugin `demo`; another factory or other settings make it another feed."""
    return Wanted(
        codec=Codec(name),
        plugin="demo",
        version="1.0.0",
        line="1.0.0+sha256:0",
        factory=factory,
        settings=settings,
    )


def tick(**changes: Any) -> ReferenceTicked:
    fields = {
        "ts_ns": START_NS,
        "symbol": "BTC",
        "source": "alpha",
        "kind": FAST,
        "price_e8": 5,
        "venue_ts_ns": 0,
    }
    return ReferenceTicked(**{**fields, **changes})


def volatility(sigma: Any, **changes: Any) -> VolatilityQuoted:
    event = VolatilityQuoted(START_NS, "alpha", "BTC", sigma, START_NS + SECOND_NS, 1)
    for name, value in changes.items():
        setattr(event, name, value)
    return event


def gap(market: str = "", reason: str = "sequence_gap") -> FeedGap:
    return FeedGap(START_NS, "alpha/0", market, reason)


class Net(FakeNet):
    """Venues that say `welcome` to who connects, unless they are `mute`."""

    def __init__(self) -> None:
        super().__init__()
        self.mute = False

    async def accept(self) -> Peer:
        """The venue's end of the next connection."""
        peer = await super().accept()
        if not self.mute:
            await peer.send("welcome")
        return peer


class Stage:
    """The feeds, a fake venue for each, and what reached the inbox."""

    def __init__(self, nursery: trio.Nursery, **feeds: Any) -> None:
        clock = trio_clock()
        self.nursery = nursery
        self.net = Net()
        self.quarantined: list[tuple[str, str]] = []
        self.budget = Budget(Reload(overruns_max=3), lambda *_: pytest.fail("not the engine's"))
        self.inbox = Inbox(clock, 1000)
        self.tasks = TaskTable()
        self.statuses = FeedTable()
        self.hosts = HostTable(clock)
        self.settings = Feeds(**{"backoff_min_s": 1, "backoff_max_s": 1, **feeds})
        self.feeds: PluginFeeds

    async def run(self, first: dict[str, Wanted] | None = None) -> None:
        """Start with these feeds; their connections wait in the net."""
        self.feeds = PluginFeeds(
            self.settings,
            connect=self.net.connect,
            inbox=self.inbox,
            tasks=self.tasks,
            statuses=self.statuses,
            hosts=self.hosts,
            rng=random.Random(1),
            budget=self.budget,
            first=first,
        )
        self.feeds.tell = lambda name, why: self.quarantined.append((name, why))
        self.nursery.start_soon(self.feeds.run)
        await wait_all_tasks_blocked()

    async def accept(self) -> Peer:
        """The venue's end of the next connection, its hello taken."""
        peer = await self.net.accept()
        assert await peer.receive() == "subscribe"
        await wait_all_tasks_blocked()
        return peer

    async def accept_all(self, number: int) -> dict[str, Peer]:
        """The venues' ends of the next connections, by the names of their feeds."""
        peers = [await self.accept() for _ in range(number)]
        return {peer.url.removeprefix("wss://").partition(".")[0]: peer for peer in peers}

    async def stage(
        self, wanted: dict[str, Wanted], new: int, *, anew: bool = False
    ) -> tuple[Change, list[Peer]]:
        """Stage these, of which `new` connect: the change, and the venues' ends in that order."""
        changes: list[Change] = []

        async def stage() -> None:
            changes.append(await self.feeds.stage(wanted, anew=anew))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage)
            peers = [await self.accept() for _ in range(new)]
        return changes[0], peers

    async def swap(self, wanted: dict[str, Wanted], new: int = 0, **how: bool) -> list[Peer]:
        """Run these from now on, of which `new` connect; the venues' ends in that order."""
        change, peers = await self.stage(wanted, new, **how)
        change.commit()
        await wait_all_tasks_blocked()
        return peers

    async def refused(self, wanted: dict[str, Wanted], new: int, *frames: str) -> PluginError:
        """Why these cannot be run, of which `new` connect and are sent these frames."""
        caught: list[PluginError] = []

        async def swap() -> None:
            with pytest.raises(PluginError) as found:
                await self.feeds.swap(wanted)
            caught.append(found.value)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(swap)
            for _ in range(new):
                peer = await self.accept()
                for frame in frames:
                    await peer.send(frame)
        await wait_all_tasks_blocked()
        return caught[0]

    def events(self) -> list[str]:
        """What reached the inbox since the last look."""
        found = []
        while True:
            try:
                event = self.inbox.receive_nowait()
            except trio.WouldBlock:
                return found
            what = f"{event.TAG} {getattr(event, 'source', '')}"
            if isinstance(event, FeedDown | FeedGap):
                what += f": {event.reason}"
            if isinstance(event, ReferenceTicked):
                what += f" {event.price_e8}"
            found.append(what)

    def rows(self) -> tuple[list[str], list[str]]:
        """The sources that tasks and connections are shown of."""
        return (
            sorted(row.name for row in self.tasks.rows()),
            sorted(row.source for row in self.statuses.rows()),
        )
