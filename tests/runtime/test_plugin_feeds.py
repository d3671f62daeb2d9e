"""Feeds of plugins over memory streams: run, replaced without a gap, kept apart from the engine."""

import gc
import random
import weakref
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from polytrade.config import Config, Feeds, Plugins
from polytrade.core.events import (
    Event,
    FeedDown,
    FeedGap,
    OrderFilled,
    ReferenceTicked,
    VolatilityQuoted,
)
from polytrade.core.ids import FAST
from polytrade.core.units import SECOND_NS
from polytrade.errors import ConfigError, PluginError
from polytrade.lineup import build_lineup, scan
from polytrade.runtime.feeds import ANSWERS_MAX
from polytrade.runtime.hosts import HostTable
from polytrade.runtime.inbox import Inbox
from polytrade.runtime.links import FeedTable
from polytrade.runtime.plugin_feeds import FEEDS_MAX, UP_S, PluginFeeds, Wanted, wanted_feeds
from polytrade.runtime.supervise import TaskTable
from polytrade.testing.sockets import START_NS, FakeNet, Peer, trio_clock
from polytrade.wire_roles import WireError
from tests.plugin_projects import SiteFolder, plugin_site


class Codec:
    """A venue whose frames are a price in cents; the frame `raise` breaks the codec."""

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
        if frame == "raise":
            raise KeyError("seq")
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


class Stage:
    """The feeds, a fake venue for each, and what reached the inbox."""

    def __init__(self, nursery: trio.Nursery, **feeds: Any) -> None:
        clock = trio_clock()
        self.nursery = nursery
        self.net = FakeNet()
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
            first=first,
        )
        self.nursery.start_soon(self.feeds.run)
        await wait_all_tasks_blocked()

    async def accept(self) -> Peer:
        """The venue's end of the next connection, its hello taken."""
        peer = await self.net.accept()
        assert await peer.receive() == "subscribe"
        await wait_all_tasks_blocked()
        return peer

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
    await stage.feeds.swap({"alpha": it})
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
        ([tick(symbol=None)], "expected texts, found (None,)"),
        ([tick(kind=9)], "expected a kind of tick, found 9"),
        ([FeedGap(START_NS, "polymarket.market/0", "", "x")], "expected 'alpha/0' as its source"),
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
    gap = FeedGap(START_NS, "alpha/0", "", "sequence_gap")
    it.codec.gives = [tick(), volatility(0.5), gap]  # type: ignore[attr-defined]
    await stage.run({"alpha": it})
    peer = await stage.accept()
    await peer.send("given")
    await wait_all_tasks_blocked()
    assert stage.events()[1:] == [
        "reference_ticked alpha 5",
        "volatility_quoted alpha",
        "feed_gap alpha/0: sequence_gap",
    ]


# -- replacing -----------------------------------------------------------------------------------


async def test_new_feed_is_up_before_the_old_one_goes(
    stage: Stage, autojump_clock: MockClock
) -> None:
    await stage.run({"alpha": wanted()})
    old = await stage.accept()
    stage.events()
    change = await stage.feeds.stage({"alpha": wanted(depth=2)})
    new = await stage.accept()
    await old.send("4700")
    await wait_all_tasks_blocked()
    change.commit()
    await old.wait_closed()
    await wait_all_tasks_blocked()
    await new.send("4800")
    await wait_all_tasks_blocked()
    assert stage.events() == [
        "feed_up alpha/1",
        "reference_ticked alpha 4700000000",
        "feed_down alpha/0: stopped",
        "reference_ticked alpha 4800000000",
    ]
    assert stage.rows() == (["alpha/1"], ["alpha/1"])
    await stage.feeds.swap({"alpha": wanted(depth=3)})
    await wait_all_tasks_blocked()
    assert stage.rows() == (["alpha/0"], ["alpha/0"])


async def test_unchanged_feed_is_not_touched_and_its_codec_is_named(
    stage: Stage, autojump_clock: MockClock
) -> None:
    first = wanted()
    await stage.run({"alpha": first})
    await stage.accept()
    again = {"alpha": wanted(), "beta": wanted("beta")}
    assert stage.feeds.unchanged(again) == {"alpha": first.codec}
    await stage.feeds.swap(again)
    await wait_all_tasks_blocked()
    assert stage.events() == ["feed_up alpha/0", "feed_up beta/0"]
    assert stage.net.opened == 2
    assert stage.feeds.unchanged({"alpha": wanted()}) == {"alpha": first.codec}


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
    assert stage.feeds.unchanged({"alpha": other}) == {}
    await stage.feeds.swap({"alpha": other})
    assert stage.net.opened == 2


async def test_feed_no_longer_wanted_is_stopped_and_forgotten(
    stage: Stage, autojump_clock: MockClock
) -> None:
    await stage.run({"alpha": wanted(), "beta": wanted("beta")})
    await wait_all_tasks_blocked()
    stage.events()
    await stage.feeds.swap({"beta": wanted("beta")})
    await wait_all_tasks_blocked()
    assert stage.events() == ["feed_down alpha/0: stopped"]
    assert stage.rows() == (["beta/0"], ["beta/0"])


async def test_new_feed_that_is_not_up_in_time_changes_nothing(
    stage: Stage, autojump_clock: MockClock
) -> None:
    await stage.run({"alpha": wanted()})
    old = await stage.accept()
    stage.net.down["wss://gamma.example/ws"] = "no route"
    began_s = trio.current_time()
    with pytest.raises(PluginError) as caught:
        await stage.feeds.swap(
            {"alpha": wanted(depth=2), "beta": wanted("beta"), "gamma": wanted("gamma")}
        )
    assert trio.current_time() - began_s == UP_S
    error = caught.value
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
    await stage.feeds.swap({"gamma": wanted("gamma")})
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
    await stage.feeds.swap({})
    assert stage.feeds.names() == []


async def test_staged_change_waits_for_commit_or_abort(
    stage: Stage, autojump_clock: MockClock
) -> None:
    await stage.run({"alpha": wanted()})
    change = await stage.feeds.stage({"beta": wanted("beta")})
    assert stage.feeds.names() == ["alpha"]
    assert stage.rows()[1] == ["alpha/0", "beta/0"]
    change.abort()
    change.commit()
    await wait_all_tasks_blocked()
    assert stage.rows()[1] == ["alpha/0"]
    change = await stage.feeds.stage({"beta": wanted("beta")})
    change.commit()
    change.abort()
    await wait_all_tasks_blocked()
    assert (stage.feeds.names(), stage.rows()[1]) == (["beta"], ["beta/0"])


async def test_rollback_runs_a_codec_again_that_was_retired(
    stage: Stage, autojump_clock: MockClock
) -> None:
    first, second = wanted(), wanted(depth=2)
    await stage.run({"alpha": first})
    await stage.feeds.swap({"alpha": second})
    await stage.feeds.swap({"alpha": first})
    await wait_all_tasks_blocked()
    stage.events()
    for _ in range(2):
        await (await stage.accept()).wait_closed()
    await (await stage.accept()).send("4800")
    await wait_all_tasks_blocked()
    assert stage.events() == ["reference_ticked alpha 4800000000"]


async def test_retired_codecs_are_freed(stage: Stage, autojump_clock: MockClock) -> None:
    first = wanted()
    gone = weakref.ref(first.codec)
    await stage.run({"alpha": first})
    await (await stage.accept()).send("4800")
    await stage.feeds.swap({"alpha": wanted(depth=2)})
    del first
    await wait_all_tasks_blocked()
    await stage.accept()
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
