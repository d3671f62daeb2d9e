"""The generic feed over memory streams: up, down, and every way a connection goes wrong."""

import random
from collections import Counter
from functools import partial

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked
from trio_websocket import ConnectionClosed

from polytrade.config import Feeds, Source
from polytrade.core.events import Event, FeedDown, FeedGap, ReferenceTicked
from polytrade.core.ids import FAST
from polytrade.core.units import SECOND_NS
from polytrade.reference.codec import FeedCodec
from polytrade.runtime.feeds import (
    FeedPlan,
    feed_policy,
    link_settings,
    plan_feeds,
    run_reference_feed,
)
from polytrade.runtime.hosts import HostTable
from polytrade.runtime.inbox import Inbox
from polytrade.runtime.links import QUARANTINE, FeedStatus, RateMeter
from polytrade.runtime.supervise import TaskTable, supervise
from polytrade.testing.sockets import START_NS, FakeNet, Peer, trio_clock
from polytrade.wire_roles import WireError

URL = "wss://venue.example/ws"
SOURCE = "venue/0"


class PriceCodec:
    """A venue whose frames are a price in cents; `pong` is its keepalive, `bye` its farewell."""

    name = "venue"
    default_url = URL
    ping_interval_s = 5.0
    max_age_s = float("inf")

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.unknown: Counter[str] = Counter()
        self.reconnect_wanted = False
        self.resets = 0
        self.text_ping: str | None = "ping"

    def hello(self) -> list[str]:
        return ["subscribe a", "subscribe b"]

    def ping(self) -> str | None:
        return self.text_ping

    def reset(self) -> None:
        self.resets += 1
        self.reconnect_wanted = False

    def decode(self, frame: str | bytes, ts_ns: int, source: str) -> list[Event]:
        if frame == "pong":
            return []
        if frame == "bye":
            self.reconnect_wanted = True
            return []
        try:
            price_e8 = int(frame) * 10**6
        except ValueError:
            raise WireError(source, f"expected cents, found {frame!r}", frame) from None
        return [ReferenceTicked(ts_ns, "BTC", self.name, FAST, price_e8, 0)]


class Stage:
    """A feed running under supervision against a fake venue."""

    def __init__(self, nursery: trio.Nursery) -> None:
        clock = trio_clock()
        self.nursery = nursery
        self.net = FakeNet()
        self.inbox = Inbox(clock, 1000)
        self.codec = PriceCodec()
        self.status = FeedStatus(SOURCE, URL)
        self.hosts = HostTable(clock)
        self.tasks = TaskTable()
        self.began_s = trio.current_time()

    def start(self, **changes: object) -> None:
        plan = FeedPlan(SOURCE, URL, self.codec)
        feeds = Feeds(reference_silence_s=10, pong_limit_s=30, ping_interval_s=10)
        run = partial(
            run_reference_feed,
            plan,
            connect=self.net.connect,
            inbox=self.inbox,
            settings=attrs.evolve(link_settings(plan, feeds), **changes),
            status=self.status,
            hosts=self.hosts,
        )
        policy = feed_policy(Feeds(backoff_min_s=1, backoff_max_s=1))
        rng = random.Random(1)
        self.nursery.start_soon(partial(supervise, SOURCE, run, policy, table=self.tasks, rng=rng))

    async def accept(self) -> Peer:
        """The venue's end once the feed has said hello."""
        peer = await self.net.accept()
        assert [await peer.receive(), await peer.receive()] == ["subscribe a", "subscribe b"]
        await wait_all_tasks_blocked()
        return peer

    def events(self) -> list[tuple[float, str]]:
        """What reached the inbox since the last look: (seconds since the start, what)."""
        found = []
        while True:
            try:
                event = self.inbox.receive_nowait()
            except trio.WouldBlock:
                return found
            what = event.TAG
            if isinstance(event, (FeedDown, FeedGap)):
                what += f": {event.reason}"
            if isinstance(event, ReferenceTicked):
                what = f"tick {event.price_e8}"
            found.append((round((event.ts_ns - START_NS) / SECOND_NS, 2), what))


@pytest.fixture
async def stage(autojump_clock, nursery):
    return Stage(nursery)


async def test_hello_then_up_then_ticks(stage, autojump_clock):
    stage.start()
    peer = await stage.accept()
    await peer.send("4800")
    await peer.send("4900")
    await wait_all_tasks_blocked()
    assert stage.events() == [
        (0.12, "feed_up"),
        (0.12, "tick 4800000000"),
        (0.12, "tick 4900000000"),
    ]
    status = stage.status
    assert status.connected and status.messages == 2 and status.bytes == 8 and status.events == 2
    assert not status.stale(stage.inbox.now_ns())
    assert status.age_ms(stage.inbox.now_ns()) == 0
    assert [(row.host, row.reachable) for row in stage.hosts.rows()] == [("venue.example", True)]


async def test_silence_with_live_pongs_is_down_and_connects_again(stage, autojump_clock):
    """The known failure: the socket answers every ping while its data stopped."""
    stage.start()
    peer = await stage.accept()
    await peer.send("4800")
    with pytest.raises(ConnectionClosed):
        while True:
            assert await peer.receive() == "ping"
            await peer.send("pong")
    assert stage.status.messages == 2  # one tick, the pong of 5.12 s; the other met the closing
    peer = await stage.accept()
    assert stage.events() == [
        (0.12, "feed_up"),
        (0.12, "tick 4800000000"),
        (10.12, "feed_down: silent"),
        (11.24, "feed_up"),
    ]
    assert stage.codec.resets == 2
    assert stage.status.reconnects == 1
    assert stage.tasks.row(SOURCE).last_error == "FeedLost: venue/0: silent"


async def test_no_answer_at_all_is_down_by_the_pong_limit(stage, autojump_clock):
    stage.start(silence_s=1000.0)
    peer = await stage.accept()
    await peer.wait_closed()
    await wait_all_tasks_blocked()
    assert stage.events() == [(0.12, "feed_up"), (30.12, "feed_down: no pong")]


async def test_protocol_pongs_count_as_answers(stage, autojump_clock):
    """A codec without its own ping: the peer's library answers protocol pings by itself."""
    stage.codec.text_ping = None
    stage.start(silence_s=100.0)
    peer = await stage.accept()
    await peer.wait_closed()
    await wait_all_tasks_blocked()
    assert stage.events() == [(0.12, "feed_up"), (100.12, "feed_down: silent")]


async def test_malformed_frames_are_counted_quarantined_and_told(stage, autojump_clock):
    stage.start()
    peer = await stage.accept()
    await peer.send("{tru")
    await peer.send("7")
    await wait_all_tasks_blocked()
    assert stage.events() == [
        (0.12, "feed_up"),
        (0.12, "feed_gap: malformed"),
        (0.12, "tick 7000000"),
    ]
    assert stage.status.malformed == 1
    [kept] = stage.status.quarantine
    assert (kept.reason, kept.sample) == ("expected cents, found '{tru'", b"{tru")


async def test_garbage_is_no_sign_of_life_and_the_quarantine_is_bounded(stage, autojump_clock):
    stage.start()
    peer = await stage.accept()
    with pytest.raises(ConnectionClosed):
        while True:
            await peer.send("garbage")
            await trio.sleep(0.2)
    assert stage.status.malformed >= 45
    assert len(stage.status.quarantine) == QUARANTINE
    assert stage.events()[-1] == (10.12, "feed_down: silent")


async def test_connection_broken_inside_a_frame_is_down_with_its_reason(stage, autojump_clock):
    stage.start()
    peer = await stage.accept()
    await peer.break_off(half=b"\x81\x0448")
    await stage.accept()
    assert stage.events() == [
        (0.12, "feed_up"),
        (0.12, "feed_down: closed: 1006 ABNORMAL_CLOSURE"),
        (1.24, "feed_up"),
    ]


async def test_a_venue_that_is_gone_and_back(stage, autojump_clock):
    stage.net.down[URL] = "OSError: no route to host"
    stage.start()
    await trio.sleep(3.5)
    assert stage.events() == []  # never up: nothing to take back
    assert stage.net.opened == 4
    [row] = stage.hosts.rows()
    assert (row.reachable, row.last_error, row.failures) == (False, "OSError: no route to host", 4)
    assert stage.status.last_error == "not connected: OSError: no route to host"
    stage.net.down.clear()
    await stage.accept()
    assert stage.events() == [(4.12, "feed_up")]
    assert [row.reachable for row in stage.hosts.rows()] == [True]


async def test_an_announced_shutdown_reconnects_at_once(stage, autojump_clock):
    stage.start()
    peer = await stage.accept()
    await peer.send("bye")
    await stage.accept()
    assert stage.events() == [
        (0.12, "feed_up"),
        (0.12, "feed_down: the venue asks to reconnect"),
        (0.24, "feed_up"),
    ]
    assert stage.tasks.row(SOURCE).restarts == 0


async def test_an_old_connection_is_rotated(stage, autojump_clock):
    stage.start(max_age_s=60.0, silence_s=100.0, pong_limit_s=100.0)
    peer = await stage.accept()
    await peer.wait_closed()
    await stage.accept()
    assert stage.events() == [(0.12, "feed_up"), (60.12, "feed_down: rotate"), (60.24, "feed_up")]
    assert stage.tasks.row(SOURCE).restarts == 0


async def test_a_crash_of_the_task_is_told_and_survived(stage, autojump_clock):
    stage.start()
    await stage.accept()
    stage.tasks.crash(SOURCE, RuntimeError("drill"))
    await stage.accept()
    assert stage.events() == [
        (0.12, "feed_up"),
        (0.12, "feed_down: stopped"),
        (1.24, "feed_up"),
    ]


async def test_a_full_inbox_never_holds_the_reader_up(stage, autojump_clock):
    stage.inbox = Inbox(stage.inbox.clock, 2)
    stage.start()
    peer = await stage.accept()
    for price in range(1, 6):
        await peer.send(str(price))
    await wait_all_tasks_blocked()
    assert stage.status.messages == 5
    assert stage.status.dropped == 4
    assert [what for _, what in stage.events()] == [
        "feed_up",
        "tick 1000000",
        "feed_gap: inbox_full",
    ]


def test_rates_are_of_the_last_whole_seconds():
    meter = RateMeter()
    for second in range(10):
        for _ in range(second):
            meter.add(second * SECOND_NS, 100)
    assert meter.rates(9 * SECOND_NS) == ((5 + 6 + 7 + 8) / 4, (5 + 6 + 7 + 8) * 25.0)
    assert meter.rates(11 * SECOND_NS) == ((7 + 8 + 9) / 4, (7 + 8 + 9) * 25.0)
    assert meter.rates(100 * SECOND_NS) == (0.0, 0.0)


def test_plans_say_what_runs_and_why_the_rest_does_not():
    feeds = Feeds(
        coinbase=Source(enabled=False), kraken=Source(url="wss://local.example/k"), rtds_url=""
    )
    plans, off = plan_feeds(feeds, ("btc",), {})
    assert [plan.source for plan in plans] == ["binance/0", "kraken/0", "okx/0", "bybit/0"]
    assert plans[1].url == "wss://local.example/k"
    assert off == {
        "coinbase/0": "feeds.coinbase.enabled is false",
        "polymarket.rtds/0": "feeds.rtds_url is empty",
        "polymarket.polybolt/0": "POLYTRADE_POLY_API_KEY, POLYTRADE_POLY_SECRET or "
        "POLYTRADE_POLY_PASSPHRASE is not set",
    }


def test_a_coin_no_exchange_lists_starts_no_exchange():
    plans, off = plan_feeds(Feeds(), ("nosuchcoin",), {})
    assert [plan.source for plan in plans] == ["polymarket.rtds/0"]
    assert off["binance/0"] == "it lists none of universe.coins"


def test_polybolt_runs_with_credentials_that_never_show():
    environ = {
        "POLYTRADE_POLY_API_KEY": "key-material",
        "POLYTRADE_POLY_SECRET": "secret-material",
        "POLYTRADE_POLY_PASSPHRASE": "phrase-material",
    }
    plans, off = plan_feeds(Feeds(), ("btc", "eth"), environ)
    assert off == {}
    plan = plans[-1]
    assert plan.source == "polymarket.polybolt/0"
    assert "material" not in repr(plan)
    frames = plan.codec.hello()
    assert len(frames) == 7 and '"secret":"secret-material"' in frames[0]
    settings = link_settings(plan, Feeds())
    assert settings.ping_interval_s == 10.0 and "material" not in repr(settings)


def test_rtds_is_pinged_every_five_seconds():
    plans, _ = plan_feeds(Feeds(), ("btc",), {})
    plan = next(plan for plan in plans if plan.source == "polymarket.rtds/0")
    settings = link_settings(plan, Feeds())
    assert (settings.ping, settings.ping_interval_s) == ("PING", 5.0)
    assert len(plan.codec.hello()) == 4
    codec: FeedCodec = plan.codec
    assert codec.decode("", 1, plan.source) == []
