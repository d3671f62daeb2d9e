"""Feeds of plugins over memory streams: run, replaced without a gap, kept apart from the engine."""

import gc
import random
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from polytrade.config import Config, Feeds, Plugins, Reload
from polytrade.core.events import (
    Event,
    FeedDown,
    FeedGap,
    FeedUp,
    OrderFilled,
    ReferenceTicked,
    VolatilityQuoted,
)
from polytrade.core.ids import ANCHOR, FAST
from polytrade.core.units import SECOND_NS
from polytrade.errors import ConfigError, PluginError
from polytrade.lineup import build_lineup, scan
from polytrade.runtime import budget
from polytrade.runtime.budget import Budget
from polytrade.runtime.feeds import ANSWERS_MAX
from polytrade.runtime.hosts import HostTable
from polytrade.runtime.inbox import Inbox
from polytrade.runtime.links import FeedTable
from polytrade.runtime.plugin_feeds import (
    FEEDS_MAX,
    UP_S,
    Change,
    PluginFeeds,
    Wanted,
    wanted_feeds,
)
from polytrade.runtime.supervise import TaskTable
from polytrade.testing.sockets import START_NS, FakeNet, Peer, trio_clock
from polytrade.wire_roles import WireError
from tests.plugin_projects import SiteFolder, plugin_site


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


@pytest.fixture
async def stage(autojump_clock: MockClock, nursery: trio.Nursery) -> Stage:
    return Stage(nursery)


# -- running -----------------------------------------------------------------------------------


async def test_feeds_run_from_the_start(stage: Stage, autojump_clock: MockClock) -> None:
    await stage.run({"alpha": wanted(), "beta": wanted("beta")})
    for _ in range(2):
        peer = await stage.accept()
        await peer.send("4800")
    await wait_all_tasks_blocked()
    assert sorted(stage.events()) == [
        "feed_up alpha/0",
        "feed_up beta/0",
        "reference_ticked alpha 4800000000",
        "reference_ticked beta 4800000000",
    ]
    assert stage.feeds.names() == ["alpha", "beta"]
    assert stage.rows() == (["alpha/0", "beta/0"], ["alpha/0", "beta/0"])


async def test_feed_that_is_down_at_the_start_is_tried_again(
    stage: Stage, autojump_clock: MockClock
) -> None:
    stage.net.down["wss://alpha.example/ws"] = "no route"
    await stage.run({"alpha": wanted()})
    assert stage.tasks.row("alpha/0").state == "waiting"
    del stage.net.down["wss://alpha.example/ws"]
    await stage.accept()
    assert stage.events() == ["feed_up alpha/0"]


async def test_feed_without_a_coin_is_off(stage: Stage, autojump_clock: MockClock) -> None:
    it = wanted()
    it.codec.asked = []  # type: ignore[attr-defined]
    await stage.run({"alpha": it})
    assert stage.net.opened == 0 and stage.rows() == ([], [])
    await stage.swap({"alpha": it})
    assert stage.feeds.names() == []


async def test_feed_that_keeps_failing_is_parked_and_the_others_run_on(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    stage = Stage(nursery)
    stage.net.down["wss://alpha.example/ws"] = "no route"
    await stage.run({"alpha": wanted(), "beta": wanted("beta")})
    peer = await stage.accept()
    await trio.sleep(60)
    row = stage.tasks.row("alpha/0")
    assert (row.state, row.failures) == ("parked", 50)
    assert row.last_error == "FeedLost: alpha/0: not connected: no route"
    await peer.send("4800")
    await wait_all_tasks_blocked()
    assert stage.events()[-1] == "reference_ticked beta 4800000000"


async def test_operator_says_when_a_feed_is_parked(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    stage = Stage(nursery, failures_max=2)
    stage.net.down["wss://alpha.example/ws"] = "no route"
    await stage.run({"alpha": wanted()})
    await trio.sleep(60)
    assert (stage.tasks.row("alpha/0").state, stage.net.opened) == ("parked", 2)


async def test_answers_go_back_in_order(stage: Stage, autojump_clock: MockClock) -> None:
    await stage.run({"alpha": wanted()})
    peer = await stage.accept()
    for _ in range(3):
        await peer.send("test")
        assert await peer.receive() == "alive"


async def test_too_many_answers_end_the_connection(stage: Stage, autojump_clock: MockClock) -> None:
    it = wanted()
    await stage.run({"alpha": it})
    peer = await stage.accept()
    it.codec.waiting = ["again"] * (ANSWERS_MAX + 1)  # type: ignore[attr-defined]
    await peer.send("test")
    await peer.wait_closed()
    await wait_all_tasks_blocked()
    assert stage.events() == ["feed_up alpha/0", "feed_down alpha/0: it takes no answers"]


async def test_codec_says_how_long_silence_is_in_order(
    stage: Stage, autojump_clock: MockClock
) -> None:
    """`feeds.reference_silence_s` is 10 s; pongs go on."""
    it = wanted()
    it.codec.silence_s = 40.0  # type: ignore[attr-defined]
    await stage.run({"alpha": it})
    peer = await stage.accept()
    began_s = trio.current_time()
    await peer.wait_closed()
    assert trio.current_time() - began_s == pytest.approx(40.0, abs=0.01)
    await wait_all_tasks_blocked()
    assert stage.events() == ["feed_up alpha/0", "feed_down alpha/0: silent"]


# -- what a plugin gets wrong --------------------------------------------------------------------


async def test_codec_that_raises_loses_its_connection_and_is_tried_again(
    stage: Stage, autojump_clock: MockClock
) -> None:
    await stage.run({"alpha": wanted()})
    peer = await stage.accept()
    await peer.send("raise")
    await peer.wait_closed()
    await wait_all_tasks_blocked()
    assert stage.events() == ["feed_up alpha/0", "feed_down alpha/0: codec: KeyError: 'seq'"]
    (status,) = stage.statuses.rows()
    assert (status.malformed, status.quarantine[0].sample) == (1, b"raise")
    peer = await stage.accept()
    await peer.send("4800")
    await wait_all_tasks_blocked()
    assert stage.events() == ["feed_up alpha/0", "reference_ticked alpha 4800000000"]


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


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        (None, "expected a list of events, found a NoneType"),
        ((), "expected a list of events, found a tuple"),
        ([7], "int: a feed gives"),
        ([OrderFilled(START_NS, "1", "f", 1, 1, 0, True, "x")], "OrderFilled: a feed gives"),
        ([tick(ts_ns=START_NS - 1)], f"expected ts_ns {START_NS}, found {START_NS - 1}"),
        ([tick(source="binance")], "expected 'alpha' as its source, found 'binance'"),
        ([tick(price_e8=1.5)], "expected whole numbers from 0"),
        ([tick(price_e8=-1)], "expected whole numbers from 0"),
        ([tick(venue_ts_ns=2**63)], "expected whole numbers from 0"),
        ([tick(symbol=None)], "expected a text of at most 64 characters as symbol, found None"),
        ([tick(kind=9)], "expected a kind of tick, found 9"),
        ([FeedGap(START_NS, "polymarket.market/0", "", "x")], "expected 'alpha/0' as its source"),
        ([tick(symbol="B" * 65)], "expected a text of at most 64 characters as symbol, found 'BBB"),
        ([tick(symbol="\ud800")], "64 characters as symbol, found '\\ud800'"),
        ([volatility(0.5, symbol="\ud800")], "VolatilityQuoted: expected a text of at most 64"),
        ([gap(reason="x" * 201)], "expected a text of at most 200 characters as reason, found 'x"),
        ([gap(reason="\udcff")], "200 characters as reason"),
        ([gap(market="0" * 67)], "expected a text of at most 66 characters as market"),
        ([tick(kind=True)], "expected a kind of tick, found True"),
        ([tick(symbol=f"S{n}") for n in range(257)], "expected at most 256 symbols of a feed"),
        ([volatility(float("nan"))], "expected a finite sigma, found nan"),
        ([volatility(1)], "expected a finite sigma, found 1"),
        ([volatility(0.5, expiry_ns=1.0)], "expected whole numbers from 0"),
        ([volatility(0.5), tick(source="x")], "ReferenceTicked: expected 'alpha'"),
    ],
)
async def test_events_that_would_harm_the_engine_never_reach_it(
    stage: Stage, autojump_clock: MockClock, given: Any, fault: str
) -> None:
    it = wanted()
    it.codec.gives = given  # type: ignore[attr-defined]
    await stage.run({"alpha": it})
    peer = await stage.accept()
    await peer.send("given")
    await peer.wait_closed()
    await wait_all_tasks_blocked()
    up, down = stage.events()
    assert up == "feed_up alpha/0"
    assert down.startswith("feed_down alpha/0: codec: ValueError: ") and fault in down


async def test_events_of_a_good_feed_pass(stage: Stage, autojump_clock: MockClock) -> None:
    it = wanted()
    it.codec.gives = [  # type: ignore[attr-defined]
        tick(symbol="S" * 64),
        volatility(0.5, symbol="\U0001f4a9"),
        gap("0x" + "f" * 64, "r" * 200),
    ]
    await stage.run({"alpha": it})
    peer = await stage.accept()
    await peer.send("given")
    await wait_all_tasks_blocked()
    assert stage.events()[1:] == [
        "reference_ticked alpha 5",
        "volatility_quoted alpha",
        f"feed_gap alpha/0: {'r' * 200}",
    ]


async def test_symbols_are_counted_over_the_connections_of_a_feed(
    stage: Stage, autojump_clock: MockClock
) -> None:
    it = wanted()
    codec: Any = it.codec
    await stage.run({"alpha": it})
    peer = await stage.accept()
    codec.gives = [tick(symbol=f"S{n}") for n in range(256)]
    for _ in range(2):
        await peer.send("given")
    await wait_all_tasks_blocked()
    assert len(stage.events()) == 1 + 2 * 256
    codec.gives = [tick(symbol="another")]
    await peer.send("given")
    peer = await stage.accept()
    assert stage.events()[0] == (
        "feed_down alpha/0: codec: ValueError: expected at most 256 symbols of a feed"
    )
    await peer.send("4800")
    await peer.wait_closed()


async def test_engine_has_events_of_its_own(stage: Stage, autojump_clock: MockClock) -> None:
    it = wanted()
    codec: Any = it.codec
    codec.gives = [tick()]
    await stage.run({"alpha": it})
    peer = await stage.accept()
    await peer.send("given")
    await wait_all_tasks_blocked()
    codec.gives[0].price_e8 = 7
    codec.gives.clear()
    assert stage.events() == ["feed_up alpha/0", "reference_ticked alpha 5"]


class Unsayable(Exception):
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (SystemExit(3), "codec: SystemExit: 3"),
        (ValueError("\udcff is no file"), "is no file"),
        (ValueError("x" * 10_000), "codec: ValueError: " + "x" * 181),
        (ExceptionGroup("two", [ValueError("x")]), "codec: ExceptionGroup: two (1 sub-exception)"),
        (Unsayable(), "codec: Unsayable"),
    ],
)
async def test_whatever_a_codec_raises_ends_its_connection_alone(
    stage: Stage, autojump_clock: MockClock, error: BaseException, told: str
) -> None:
    it = wanted()
    it.codec.raises = error  # type: ignore[attr-defined]
    await stage.run({"alpha": it})
    peer = await stage.accept()
    await peer.send("raise")
    await stage.accept()
    _, down, up = stage.events()
    assert down.startswith("feed_down alpha/0: codec: ") and told in down
    assert (len(down.encode()) <= 19 + 200, up) == (True, "feed_up alpha/0")
    (status,) = stage.statuses.rows()
    assert len(status.last_error.encode()) <= 200


async def test_texts_of_a_wire_error_are_plain_and_bounded(
    stage: Stage, autojump_clock: MockClock
) -> None:
    class Odd(WireError):
        def __str__(self) -> str:
            raise SystemExit

    it = wanted()
    it.codec.raises = Odd("x", "\ud800" * 1_000)  # type: ignore[attr-defined]
    await stage.run({"alpha": it})
    peer = await stage.accept()
    await peer.send("raise")
    await wait_all_tasks_blocked()
    assert stage.events() == ["feed_up alpha/0", "feed_gap alpha/0: malformed"]
    (status,) = stage.statuses.rows()
    assert status.last_error == ("alpha/0: " + "?" * 400)[:200]
    assert status.quarantine[0].reason == "?" * 400


@pytest.mark.parametrize("method", ["hello", "reset", "answers"])
async def test_codec_that_leaves_is_tried_again_and_the_others_run_on(
    stage: Stage, autojump_clock: MockClock, method: str
) -> None:
    def leave() -> None:
        raise SystemExit(3)

    it = wanted()
    if method == "answers":  # asked after the welcome
        it.codec.answers = leave  # type: ignore[attr-defined]
    await stage.run({"alpha": it, "beta": wanted("beta")})
    peers = await stage.accept_all(2)
    setattr(it.codec, method, leave)
    if method != "answers":
        await peers["alpha"].send("raise")
    await peers["alpha"].wait_closed()
    await trio.sleep(2.5)
    row = stage.tasks.row("alpha/0")
    assert row.state != "failed" and "alpha/0: codec: SystemExit: 3" in row.last_error
    await peers["beta"].send("4800")
    await wait_all_tasks_blocked()
    assert stage.events()[-1] == "reference_ticked beta 4800000000"


@pytest.mark.parametrize("method", ["hello", "ping"])
async def test_codec_that_leaves_before_it_runs_refuses_the_reload(
    stage: Stage, autojump_clock: MockClock, method: str
) -> None:
    def leave() -> None:
        raise SystemExit(3)

    await stage.run()
    it = wanted()
    setattr(it.codec, method, leave)
    error = await stage.refused({"alpha": it}, 0)
    assert (error.step, error.reason) == ("feeds", "'alpha': SystemExit: 3")


# -- the time budget -------------------------------------------------------------------------


@pytest.fixture
def overrun(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """What a slow codec does: 3 ms pass, all of them its own."""
    now_ns = [0]

    def pass_3_ms() -> None:
        now_ns[0] += 3_000_000

    monkeypatch.setattr(budget, "perf_counter_ns", lambda: now_ns[0])
    monkeypatch.setattr(budget, "_owed_ns", lambda took_ns, *_: took_ns)
    return pass_3_ms


async def test_feed_that_takes_too_long_again_and_again_rests_until_it_is_made_anew(
    stage: Stage, autojump_clock: MockClock, overrun: Callable[[], None]
) -> None:
    slow = wanted()
    slow.codec.slow = overrun  # type: ignore[attr-defined]
    await stage.run({"alpha": slow, "beta": wanted("beta")})
    peers = await stage.accept_all(2)
    stage.events()
    # With the welcome: one makes it suspect, three are counted, and that one is not told.
    for _ in range(3):
        await peers["alpha"].send("4800")
        await wait_all_tasks_blocked()
    *told, down = stage.events()
    assert told == ["reference_ticked alpha 4800000000"] * 2
    assert down.startswith(
        "feed_down alpha/0: codec: OutOfService: 3 calls within 60 s took longer"
    )
    ((name, why),) = stage.quarantined
    assert name == "alpha" and why.startswith("3 calls within 60 s took longer than 2000 us, ")
    assert stage.feeds.faults() == {"alpha": why}
    await trio.sleep(600)
    row = stage.tasks.row("alpha/0")
    assert (row.state, row.last_error) == ("parked", f"OutOfService: {why}")
    assert (stage.net.opened, stage.budget.quarantined, len(stage.quarantined)) == (2, 1, 1)

    change, _ = await stage.stage({"alpha": slow, "beta": wanted("beta")}, 0)
    change.commit()  # of something else: it rests on
    assert stage.feeds.faults() == {"alpha": why}
    slow.codec.slow = lambda: None  # type: ignore[attr-defined]
    (peer,) = await stage.swap({"alpha": slow, "beta": wanted("beta")}, 1, anew=True)
    assert (stage.feeds.faults(), stage.rows()[0]) == ({}, ["alpha/1", "beta/0"])
    await peer.send("4900")
    await wait_all_tasks_blocked()
    assert stage.events()[-2:] == ["feed_up alpha/1", "reference_ticked alpha 4900000000"]


async def test_new_feed_that_takes_too_long_refuses_the_reload(
    stage: Stage, autojump_clock: MockClock, overrun: Callable[[], None]
) -> None:
    await stage.run()
    slow = wanted()
    slow.codec.slow = overrun  # type: ignore[attr-defined]
    stage.net.down["wss://beta.example/ws"] = "no route"
    two = {"alpha": slow, "beta": wanted("beta")}
    error = await stage.refused(two, 1, "4800", "4800", "4800")
    assert "'alpha' is not up within 5 s: OutOfService: 3 calls within" in error.reason
    assert (stage.quarantined, stage.events()) == ([], [])


# -- replacing -----------------------------------------------------------------------------------


async def test_new_feed_is_up_before_the_old_one_goes(
    stage: Stage, autojump_clock: MockClock
) -> None:
    await stage.run({"alpha": wanted()})
    old = await stage.accept()
    stage.events()
    change, (new,) = await stage.stage({"alpha": wanted(depth=2)}, 1)
    await old.send("4700")
    await wait_all_tasks_blocked()
    change.commit()
    await old.wait_closed()
    await wait_all_tasks_blocked()
    await new.send("4800")
    await wait_all_tasks_blocked()
    assert stage.events() == [
        "reference_ticked alpha 4700000000",
        "feed_up alpha/1",
        "feed_down alpha/0: stopped",
        "reference_ticked alpha 4800000000",
    ]
    assert stage.rows() == (["alpha/1"], ["alpha/1"])
    await stage.swap({"alpha": wanted(depth=3)}, 1)
    assert stage.rows() == (["alpha/0"], ["alpha/0"])


async def test_unchanged_feed_is_not_touched_and_its_codec_is_named(
    stage: Stage, autojump_clock: MockClock
) -> None:
    first = wanted()
    await stage.run({"alpha": first})
    await stage.accept()
    again = {"alpha": wanted(), "beta": wanted("beta")}
    change, _ = await stage.stage(again, 1)
    assert change.codecs == {"alpha": first.codec}
    change.commit()
    assert stage.events() == ["feed_up alpha/0", "feed_up beta/0"]
    assert stage.net.opened == 2
    change, _ = await stage.stage({"alpha": wanted()}, 0)
    assert change.codecs == {"alpha": first.codec}


@pytest.mark.parametrize(
    "other",
    [
        wanted(factory=object),
        wanted(depth=2),
        attrs.evolve(wanted(), line="1.0.0+sha256:1"),
        attrs.evolve(wanted(), plugin="other"),
    ],
)
async def test_other_code_or_settings_make_another_feed(
    stage: Stage, autojump_clock: MockClock, other: Wanted
) -> None:
    await stage.run({"alpha": wanted()})
    await stage.accept()
    change, _ = await stage.stage({"alpha": other}, 1)
    assert (change.codecs, stage.net.opened) == ({}, 2)


async def test_feed_no_longer_wanted_is_stopped_and_forgotten(
    stage: Stage, autojump_clock: MockClock
) -> None:
    await stage.run({"alpha": wanted(), "beta": wanted("beta")})
    await wait_all_tasks_blocked()
    stage.events()
    await stage.swap({"beta": wanted("beta")})
    assert stage.events() == ["feed_down alpha/0: stopped"]
    assert stage.rows() == (["beta/0"], ["beta/0"])


async def test_new_feed_that_is_not_up_in_time_changes_nothing(
    stage: Stage, autojump_clock: MockClock
) -> None:
    await stage.run({"alpha": wanted()})
    old = await stage.accept()
    stage.net.down["wss://gamma.example/ws"] = "no route"
    began_s = trio.current_time()
    three = {"alpha": wanted(depth=2), "beta": wanted("beta"), "gamma": wanted("gamma")}
    error = await stage.refused(three, 2)
    assert trio.current_time() - began_s == UP_S
    assert (error.name, error.version, error.step) == ("demo", "1.0.0", "feeds")
    assert error.reason == (
        "'gamma' is not up within 5 s: FeedLost: gamma/0: not connected: no route"
    )
    await wait_all_tasks_blocked()
    assert stage.feeds.names() == ["alpha"]
    assert stage.rows() == (["alpha/0"], ["alpha/0"])
    stage.events()
    await old.send("4800")
    await wait_all_tasks_blocked()
    assert stage.events() == ["reference_ticked alpha 4800000000"]
    del stage.net.down["wss://gamma.example/ws"]
    await stage.swap({"gamma": wanted("gamma")}, 1)
    assert stage.feeds.names() == ["gamma"]


async def test_swap_cancelled_midway_changes_nothing(
    stage: Stage, autojump_clock: MockClock
) -> None:
    await stage.run({"alpha": wanted()})
    stage.net.down["wss://beta.example/ws"] = "no route"
    with trio.move_on_after(1):
        await stage.feeds.swap({"beta": wanted("beta")})
    await wait_all_tasks_blocked()
    assert stage.feeds.names() == ["alpha"]
    assert stage.rows() == (["alpha/0"], ["alpha/0"])
    await stage.swap({})
    assert stage.feeds.names() == []


async def test_nothing_that_a_refused_feed_says_reaches_the_inbox(
    stage: Stage, autojump_clock: MockClock
) -> None:
    await stage.run()
    before = stage.inbox.statistics()
    change, (peer,) = await stage.stage({"alpha": wanted()}, 1)
    await peer.send("4800")
    await peer.send("nonsense")
    await wait_all_tasks_blocked()
    change.abort()
    await peer.wait_closed()
    await wait_all_tasks_blocked()
    assert stage.events() == []
    assert stage.inbox.statistics() == before


async def test_newest_of_what_a_new_feed_said_is_told_when_the_reload_is_in_force(
    stage: Stage, autojump_clock: MockClock
) -> None:
    it = wanted()
    codec: Any = it.codec
    await stage.run()
    change, (peer,) = await stage.stage({"alpha": it}, 1)
    for given in (
        [tick(price_e8=1), volatility(0.5), tick(symbol="ETH", venue_ts_ns=9)],
        [tick(price_e8=2), tick(kind=ANCHOR), FeedGap(START_NS, "alpha/0", "", "sequence_gap")],
    ):
        codec.gives = given
        await peer.send("given")
        await wait_all_tasks_blocked()
    await trio.sleep(2)
    change.commit()
    now_ns = START_NS + 2 * SECOND_NS
    told = [stage.inbox.receive_nowait().row() for _ in range(stage.inbox.depth)]
    assert told == [
        ["feed_up", now_ns, "alpha/0"],
        ["volatility_quoted", now_ns, "alpha", "BTC", 0.5, START_NS + SECOND_NS, 1],
        ["reference_ticked", now_ns, "ETH", "alpha", FAST, 5, 9],
        ["reference_ticked", now_ns, "BTC", "alpha", FAST, 2, START_NS],
        ["reference_ticked", now_ns, "BTC", "alpha", ANCHOR, 5, START_NS],
    ]
    assert stage.inbox.statistics().ingest_seq == 5
    await peer.send("4800")
    await wait_all_tasks_blocked()
    assert stage.events() == ["reference_ticked alpha 4800000000"]
    assert stage.inbox.statistics().ingest_seq == 6


async def test_connection_lost_before_the_reload_is_in_force_leaves_nothing_to_tell(
    stage: Stage, autojump_clock: MockClock
) -> None:
    await stage.run()
    change, (peer,) = await stage.stage({"alpha": wanted()}, 1)
    await peer.send("4800")
    await wait_all_tasks_blocked()
    await peer.break_off()
    await wait_all_tasks_blocked()
    change.commit()
    assert stage.events() == []
    peer = await stage.accept()
    await peer.send("4900")
    await wait_all_tasks_blocked()
    assert stage.events() == ["feed_up alpha/0", "reference_ticked alpha 4900000000"]


async def test_what_was_kept_back_finds_a_full_inbox(
    stage: Stage, autojump_clock: MockClock
) -> None:
    await stage.run()
    change, (peer,) = await stage.stage({"alpha": wanted()}, 1)
    await peer.send("4800")
    await wait_all_tasks_blocked()
    while stage.inbox.depth < stage.inbox.capacity:
        stage.inbox.put(FeedUp(stage.inbox.now_ns(), "other/0"))
    change.commit()
    assert stage.events()[-2:] == ["feed_up alpha/0", "feed_gap alpha/0: inbox_full"]


async def test_connection_on_which_nothing_readable_comes_is_not_up(
    stage: Stage, autojump_clock: MockClock
) -> None:
    await stage.run()
    stage.net.mute = True
    error = await stage.refused({"alpha": wanted()}, 1)
    assert error.reason == (
        "'alpha' is not up within 5 s: it is connected, and nothing readable was heard"
    )
    error = await stage.refused({"alpha": wanted()}, 1, "nonsense")
    assert error.reason == (
        "'alpha' is not up within 5 s: alpha/0: expected cents, found 'nonsense'"
    )
    assert stage.events() == []


async def test_hosts_of_feeds_that_are_gone_are_forgotten(
    stage: Stage, autojump_clock: MockClock
) -> None:
    def hosts() -> list[tuple[str, bool | None]]:
        return [(row.host, row.reachable) for row in stage.hosts.rows()]

    stage.hosts.name("https://other.example/")
    await stage.run({"alpha": wanted()})
    await stage.accept()
    stage.net.down["wss://beta.example/ws"] = "no route"
    with pytest.raises(PluginError):
        await stage.feeds.swap({"alpha": wanted(), "beta": wanted("beta")})
    assert ("beta.example", False) in hosts()
    await wait_all_tasks_blocked()
    assert hosts() == [("other.example", None), ("alpha.example", True)]
    stage.net.down["wss://alpha.example/ws"] = "no route"
    with pytest.raises(PluginError):
        await stage.feeds.swap({"alpha": wanted(depth=2)})
    await wait_all_tasks_blocked()  # another feed of ours is connected there
    assert hosts() == [("other.example", None), ("alpha.example", None)]
    await stage.swap({})
    assert hosts() == [("other.example", None)]


async def test_staged_change_waits_for_commit_or_abort(
    stage: Stage, autojump_clock: MockClock
) -> None:
    await stage.run({"alpha": wanted()})
    await stage.accept()
    change, _ = await stage.stage({"beta": wanted("beta")}, 1)
    assert stage.feeds.names() == ["alpha"]
    assert stage.rows()[1] == ["alpha/0", "beta/0"]
    change.abort()
    change.commit()
    await wait_all_tasks_blocked()
    assert stage.rows()[1] == ["alpha/0"]
    change, _ = await stage.stage({"beta": wanted("beta")}, 1)
    change.commit()
    change.abort()
    await wait_all_tasks_blocked()
    assert (stage.feeds.names(), stage.rows()[1]) == (["beta"], ["beta/0"])


async def test_rollback_runs_a_codec_again_that_was_retired(
    stage: Stage, autojump_clock: MockClock
) -> None:
    first, second = wanted(), wanted(depth=2)
    await stage.run({"alpha": first})
    await stage.accept()
    await stage.swap({"alpha": second}, 1)
    (peer,) = await stage.swap({"alpha": first}, 1)
    stage.events()
    await peer.send("4800")
    await wait_all_tasks_blocked()
    assert stage.events() == ["reference_ticked alpha 4800000000"]


async def test_retired_codecs_are_freed(stage: Stage, autojump_clock: MockClock) -> None:
    first = wanted()
    gone = weakref.ref(first.codec)
    await stage.run({"alpha": first})
    await (await stage.accept()).send("4800")
    await stage.swap({"alpha": wanted(depth=2)}, 1)
    del first
    stage.events()
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"name": "kraken"}, "its ticks would be those of 'kraken', which is built in"),
        ({"silence_s": 0.0}, "expected silence_s, ping_interval_s and max_age_s above 0"),
        ({"max_age_s": float("nan")}, "expected silence_s, ping_interval_s and max_age_s above"),
        ({"hello": None}, "TypeError: 'NoneType' object is not callable"),
    ],
)
async def test_codec_that_cannot_be_run_is_refused_by_name(
    stage: Stage, autojump_clock: MockClock, change: dict[str, Any], reason: str
) -> None:
    await stage.run()
    it = wanted("beta")
    for name, value in change.items():
        setattr(it.codec, name, value)
    with pytest.raises(PluginError, match=reason) as caught:
        await stage.feeds.swap({"alpha": wanted(), "beta": it})
    assert caught.value.step == "feeds" and "'beta'" in caught.value.reason
    assert stage.net.opened == 0 and stage.rows() == ([], [])


async def test_feeds_are_bounded(stage: Stage, autojump_clock: MockClock) -> None:
    await stage.run()
    many = {f"f{n}": wanted(f"f{n}") for n in range(FEEDS_MAX + 1)}
    with pytest.raises(PluginError, match="expected at most 32 feeds, found 33"):
        await stage.feeds.swap(many)


# -- from a lineup -------------------------------------------------------------------------------

PLUGIN = """
import attrs
from polytrade.api import VenueCodec, hookimpl, setting
polytrade_api = 1

@attrs.define
class Feed(VenueCodec):
    coins: tuple[str, ...] = setting((), "coins")
    depth: int = setting(1, "depth", ge=1)
    name = "alpha"
    default_url = "wss://alpha.example/ws"
    pairs = {"btc": "BTC"}
    def __attrs_post_init__(self):
        VenueCodec.__init__(self, self.coins)
    def hello(self):
        return ["subscribe"]
    def _events(self, message, ts_ns, source):
        return []

@hookimpl
def polytrade_feeds():
    return {"alpha": Feed}
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[SiteFolder]:
    with plugin_site(tmp_path / "site") as folder:
        yield folder


def test_lineup_says_what_makes_a_feed_the_same(site: SiteFolder) -> None:
    site.install("demo", PLUGIN, version="1.2.0")
    config = Config(plugins=Plugins(feeds=("alpha",)))
    catalogue = scan(config.plugins)
    one = wanted_feeds(build_lineup(config, catalogue), config)["alpha"]
    again = wanted_feeds(build_lineup(config, catalogue), config)["alpha"]
    assert one.codec is not again.codec and one.same(again)
    assert (one.plugin, one.version) == ("demo", "1.2.0")
    assert one.settings == {"coins": config.universe.coins}
    deeper = attrs.evolve(
        config, plugins=Plugins(feeds=("alpha",), settings={"alpha": {"depth": 2}})
    )
    other = wanted_feeds(build_lineup(deeper, catalogue), deeper)["alpha"]
    assert other.settings == {"coins": config.universe.coins, "depth": 2}
    assert not one.same(other)
    fresh = scan(config.plugins, previous=catalogue, fresh={"demo"})
    assert not one.same(wanted_feeds(build_lineup(config, fresh), config)["alpha"])
    assert wanted_feeds(build_lineup(Config(), catalogue), Config()) == {}


async def test_feed_of_an_installed_plugin_runs(
    stage: Stage, autojump_clock: MockClock, site: SiteFolder
) -> None:
    site.install("demo", PLUGIN)
    config = Config(plugins=Plugins(feeds=("alpha",)))
    stage.net.mute = True
    await stage.run(wanted_feeds(build_lineup(config), config))
    await stage.accept()
    assert stage.events() == ["feed_up alpha/0"]


DERIBIT = Path(__file__).parents[2] / "plugins" / "polytrade-deribit" / "polytrade_deribit"


def test_deribit_is_built_from_the_configuration(site: SiteFolder) -> None:
    texts = {file.name: file.read_text() for file in DERIBIT.glob("*.py")}
    site.install("deribit", texts.pop("__init__.py"), files=texts)
    settings = {"deribit": {"horizon_h": 6, "change": 0.02}}
    config = Config(plugins=Plugins(feeds=("deribit",), settings=settings))
    it = wanted_feeds(build_lineup(config), config)["deribit"]
    assert it.settings == {"coins": config.universe.coins, "horizon_h": 6.0, "change": 0.02}
    assert it.codec.default_url == "wss://www.deribit.com/ws/api/v2"
    assert "markprice.options.btc_usd" in it.codec.hello()[1]
    with pytest.raises(
        ConfigError, match=r"unknown setting.* @ plugins\.settings\.deribit\.horizon"
    ):
        build_lineup(
            Config(plugins=Plugins(feeds=("deribit",), settings={"deribit": {"horizon": 6}}))
        )
