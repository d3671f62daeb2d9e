"""Feeds of plugins: run, replaced without a gap, kept apart from the engine."""

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from polytrade.config import Config, Plugins
from polytrade.core.events import (
    FeedGap,
    FeedUp,
)
from polytrade.core.ids import ANCHOR, FAST
from polytrade.core.units import SECOND_NS
from polytrade.errors import ConfigError, PluginError
from polytrade.lineup import build_lineup, scan
from polytrade.runtime.feeds import ANSWERS_MAX
from polytrade.runtime.plugin_feeds import (
    FEEDS_MAX,
    UP_S,
    Wanted,
    wanted_feeds,
)
from polytrade.testing.sockets import START_NS
from tests.plugin_projects import SiteFolder, plugin_site
from tests.runtime.feed_stage import Stage, tick, volatility, wanted


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
        "'alpha' is not up within 5 s: it is connected, and nothing readable was heard;"
        " one that is quiet so long can be switched on at a start only"
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
