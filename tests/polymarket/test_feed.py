"""The market feed over memory streams: shards, twins, and what the engine is told when."""

import random

import httpx2
import orjson
import pytest
import trio
from trio.testing import wait_all_tasks_blocked
from trio_websocket import ConnectionClosed

from polytrade.config import Feeds
from polytrade.core.events import BestQuoted, BookReplaced, FeedDown, FeedGap, MarketListed
from polytrade.core.units import SECOND_NS
from polytrade.polymarket.books import Instruments, RestBookDecoder
from polytrade.polymarket.clob import Clob
from polytrade.polymarket.feed import MarketFeed
from polytrade.polymarket.rest import new_client
from polytrade.polymarket.wire import MarketDecoder
from polytrade.runtime.hosts import HostTable
from polytrade.runtime.inbox import Inbox
from polytrade.runtime.links import FeedTable
from polytrade.runtime.supervise import Policy, TaskTable
from polytrade.testing.sockets import START_NS, FakeNet, Peer, trio_clock

URL = "wss://market.example/ws/market"


def listed(name: str, *, start_s: int = -60, end_s: int = 10_000) -> MarketListed:
    """A market `0x<name>` of tokens `<name>1` and `<name>2`, open from start to end."""
    return MarketListed(
        START_NS,
        f"0x{name}",
        f"slug-{name}",
        "BTC",
        "updown",
        f"{name}1",
        f"{name}2",
        100,
        5_000_000,
        False,
        0,
        1,
        0,
        START_NS + start_s * SECOND_NS,
        START_NS + end_s * SECOND_NS,
        "spot",
        0,
        -1,
        True,
        False,
        0,
        "v1",
    )


def quote_frame(name: str, ms: int) -> str:
    return orjson.dumps(
        {
            "event_type": "best_bid_ask",
            "market": f"0x{name}",
            "asset_id": f"{name}1",
            "best_bid": "0.48",
            "best_ask": "0.52",
            "timestamp": str(ms),
        }
    ).decode()


def book_body(name: str) -> str:
    return orjson.dumps(
        {
            "market": f"0x{name}",
            "asset_id": f"{name}1",
            "timestamp": "1700000000000",
            "hash": "ab",
            "bids": [],
            "asks": [],
        }
    ).decode()


class Stage:
    """A MarketFeed against a fake venue; `want` also makes the tokens known."""

    def __init__(self, client: httpx2.AsyncClient, **settings: float) -> None:
        clock = trio_clock()
        instruments = Instruments()
        self.instruments = instruments
        self.net = FakeNet()
        self.inbox = Inbox(clock, 1000)
        self.tasks = TaskTable()
        self.statuses = FeedTable()
        self.hosts = HostTable(clock)
        self.rest: list[str] = []
        self.feed = MarketFeed(
            Feeds(market_url=URL, **{"pong_limit_s": 100.0, **settings}),
            decoder=MarketDecoder(instruments),
            clob=Clob(
                "https://clob.example",
                client=client,
                hosts=self.hosts,
                clock=clock,
                decoder=RestBookDecoder(instruments),
            ),
            connect=self.net.connect,
            inbox=self.inbox,
            tasks=self.tasks,
            statuses=self.statuses,
            hosts=self.hosts,
            policy=Policy(delay_s_min=1, delay_s_max=1),
            rng=random.Random(1),
        )

    def want(self, *markets: MarketListed) -> None:
        for each in markets:
            self.instruments.add(each)
        self.feed.want(markets)

    async def accept(self) -> tuple[Peer, list[str]]:
        """The venue's end of the next connection and what it subscribes first."""
        peer = await self.net.accept()
        first = orjson.loads(await peer.receive())
        assert first["type"] == "market" and first["custom_feature_enabled"] is True
        await wait_all_tasks_blocked()
        return peer, first["assets_ids"]

    def events(self) -> list[str]:
        """What reached the inbox since the last look."""
        found = []
        while True:
            try:
                event = self.inbox.receive_nowait()
            except trio.WouldBlock:
                return found
            what = event.TAG
            if isinstance(event, FeedGap):
                what += f" {event.source} {event.market} {event.reason}"
            elif isinstance(event, FeedDown):
                what += f" {event.source} {event.reason}"
            elif isinstance(event, BestQuoted):
                what += f" {event.venue_ts_ms}"
            elif isinstance(event, BookReplaced):
                what += f" {event.market} rest={event.rest}"
            found.append(what)

    def up(self) -> list[bool]:
        return [status.connected for status in self.statuses.rows()]


class Rest:
    """The CLOB behind the mock transport: `fail` answers are 500 before books come."""

    def __init__(self) -> None:
        self.fail = 0
        self.asked: list[str] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        token = request.url.params["token_id"]
        self.asked.append(token)
        if self.fail:
            self.fail -= 1
            return httpx2.Response(500)
        return httpx2.Response(200, text=book_body(token[:-1]))


@pytest.fixture
def rest():
    return Rest()


@pytest.fixture
async def client(rest):
    async with new_client(httpx2.MockTransport(rest)) as made:
        yield made


async def test_twins_subscribe_alike_and_the_first_copy_wins(client, nursery, autojump_clock):
    stage = Stage(client)
    nursery.start_soon(stage.feed.run)
    stage.want(listed("a"), listed("b"))
    one, first = await stage.accept()
    two, second = await stage.accept()
    assert first == second == ["a1", "a2", "b1", "b2"]
    await one.send(quote_frame("a", 1))
    await wait_all_tasks_blocked()
    await two.send(quote_frame("a", 1))
    await two.send(quote_frame("a", 2))
    await wait_all_tasks_blocked()
    assert stage.events() == ["feed_up", "best_quoted 1", "best_quoted 2"]
    assert {row.path: row.wins for row in stage.feed.league()} in (
        {"0": 1, "1": 1},
        {"1": 1, "0": 1},
    )
    assert stage.up() == [True, True]
    assert stage.inbox.statistics().frames == 3


async def test_changes_are_subscribed_without_reconnecting(client, nursery, autojump_clock):
    stage = Stage(client, market_connections=1)
    nursery.start_soon(stage.feed.run)
    stage.want(listed("a"), listed("b"))
    peer, _ = await stage.accept()
    stage.want(listed("b"), listed("c"))
    assert orjson.loads(await peer.receive()) == {
        "operation": "unsubscribe",
        "assets_ids": ["a1", "a2"],
    }
    assert orjson.loads(await peer.receive()) == {
        "operation": "subscribe",
        "assets_ids": ["c1", "c2"],
        "custom_feature_enabled": True,
    }
    assert stage.net.opened == 1
    assert stage.feed.markets == 2


async def test_no_connection_before_there_are_markets_and_none_after(
    client, nursery, autojump_clock
):
    stage = Stage(client, market_connections=1)
    nursery.start_soon(stage.feed.run)
    await trio.sleep(100)
    assert stage.net.opened == 0
    stage.want(listed("a"))
    peer, _ = await stage.accept()
    stage.want()
    await peer.wait_closed()
    await wait_all_tasks_blocked()
    assert stage.events() == ["feed_up", "feed_down polymarket.market no markets"]
    stage.want(listed("b"))
    _, assets = await stage.accept()
    assert assets == ["b1", "b2"]
    assert stage.tasks.row("polymarket.market/0").restarts == 0


async def test_markets_are_dealt_to_shards_of_bounded_size(client, nursery, autojump_clock):
    stage = Stage(client, market_connections=1, assets_per_connection=4)
    nursery.start_soon(stage.feed.run)
    stage.want(*(listed(name) for name in "abc"))
    subscribed = [(await stage.accept())[1] for _ in range(2)]
    assert sorted(subscribed) == [["a1", "a2", "b1", "b2"], ["c1", "c2"]]
    assert [row.source for row in stage.statuses.rows()] == [
        "polymarket.market/0",
        "polymarket.market/1",
    ]
    stage.want(*(listed(name) for name in "bcd"))  # d takes a's place
    assert stage.net.opened == 2
    assert stage.feed.markets == 3


async def test_markets_beyond_all_connections_are_counted(client, autojump_clock):
    stage = Stage(client, market_connections=4, assets_per_connection=2)
    stage.want(*(listed(f"m{number}") for number in range(6)))
    assert (stage.feed.markets, stage.feed.unplaced) == (4, 2)
    await trio.lowlevel.checkpoint()


async def test_a_dead_twin_is_a_status_and_nothing_more(client, nursery, autojump_clock):
    stage = Stage(client)
    nursery.start_soon(stage.feed.run)
    stage.want(listed("a"))
    one, _ = await stage.accept()
    two, _ = await stage.accept()
    await one.break_off()
    await wait_all_tasks_blocked()
    assert sorted(stage.up()) == [False, True]
    await two.send(quote_frame("a", 1))
    again, assets = await stage.accept()
    assert assets == ["a1", "a2"]
    await again.send(quote_frame("a", 2))
    await wait_all_tasks_blocked()
    assert stage.events() == ["feed_up", "best_quoted 1", "best_quoted 2"]
    assert stage.up() == [True, True]


async def test_losing_the_last_twin_breaks_every_book_of_the_shard(client, nursery, autojump_clock):
    stage = Stage(client)
    nursery.start_soon(stage.feed.run)
    stage.want(listed("a"), listed("b"))
    one, _ = await stage.accept()
    two, _ = await stage.accept()
    stage.net.down[URL] = "OSError: gone"
    await one.break_off()
    await two.break_off(half=b"\x81\x7e\x01\x00{")  # inside a frame
    await wait_all_tasks_blocked()
    assert stage.events() == [
        "feed_up",
        "feed_gap polymarket.market 0xa disconnected",
        "feed_gap polymarket.market 0xb disconnected",
        "feed_down polymarket.market closed: 1006 ABNORMAL_CLOSURE",
    ]
    await trio.sleep(5)
    assert stage.hosts.rows()[-1].host == "market.example"
    assert stage.hosts.rows()[-1].reachable is False
    assert stage.events() == []
    stage.net.down.clear()
    await stage.accept()
    await stage.accept()
    assert stage.events() == ["feed_up"]
    assert stage.hosts.rows()[-1].reachable is True


async def test_silent_freeze_with_live_pongs_is_noticed(client, nursery, autojump_clock):
    stage = Stage(client, market_connections=1, market_silence_s=10.0, ping_interval_s=4.0)
    nursery.start_soon(stage.feed.run)
    stage.want(listed("a"))
    peer, _ = await stage.accept()
    began_s = trio.current_time()
    await peer.send(quote_frame("a", 1))
    with pytest.raises(ConnectionClosed):
        while True:
            assert await peer.receive() == "PING"
            await peer.send("PONG")
    assert trio.current_time() - began_s == pytest.approx(10)
    await stage.accept()
    assert stage.events() == [
        "feed_up",
        "best_quoted 1",
        "feed_gap polymarket.market 0xa disconnected",
        "feed_down polymarket.market silent",
        "feed_up",
    ]


async def test_silence_is_in_order_while_no_market_is_open(client, nursery, autojump_clock):
    stage = Stage(client, market_connections=1, market_silence_s=10.0, pong_limit_s=120.0)
    nursery.start_soon(stage.feed.run)
    stage.want(listed("a", start_s=60))
    peer, _ = await stage.accept()
    began_s = trio.current_time()
    await peer.wait_closed()
    # The ten seconds begin at the last look before the opening: within one of it.
    assert 69 <= trio.current_time() - began_s <= 70
    await wait_all_tasks_blocked()
    assert stage.events()[-1] == "feed_down polymarket.market silent"


async def test_garbage_and_truncated_frames_are_quarantined(client, nursery, autojump_clock):
    stage = Stage(client, market_connections=1)
    nursery.start_soon(stage.feed.run)
    stage.want(listed("a"))
    peer, _ = await stage.accept()
    await peer.send("\x00garbage")
    await peer.send(quote_frame("a", 1)[:-20])
    await peer.send(quote_frame("a", 1))
    await wait_all_tasks_blocked()
    assert stage.events() == [
        "feed_up",
        "feed_gap polymarket.market/0  malformed",
        "feed_gap polymarket.market/0  malformed",
        "best_quoted 1",
    ]
    [status] = stage.statuses.rows()
    assert (status.malformed, len(status.quarantine)) == (2, 2)
    assert status.quarantine[0].sample == b"\x00garbage"


async def test_frame_that_one_of_two_damages_is_no_loss_while_the_other_is_heard(
    client, nursery, autojump_clock
):
    stage = Stage(client, market_connections=2)
    nursery.start_soon(stage.feed.run)
    stage.want(listed("a"))
    (one, _), (two, _) = await stage.accept(), await stage.accept()
    await two.send(quote_frame("a", 1))
    await wait_all_tasks_blocked()
    await one.send("\x00garbage")
    await wait_all_tasks_blocked()
    assert stage.events() == ["feed_up", "best_quoted 1"]
    assert sorted(status.malformed for status in stage.statuses.rows()) == [0, 1]
    await trio.sleep(1.5)
    # What the twin lost as well nobody brings.
    await two.send(quote_frame("a", 2))
    await two.send("\x00garbage")
    await wait_all_tasks_blocked()
    assert [event.partition("/")[0] for event in stage.events()] == [
        "best_quoted 2",
        "feed_gap polymarket.market",
    ]
    await trio.sleep(1.5)
    await one.send("\x00garbage")
    await wait_all_tasks_blocked()
    assert [event.partition("/")[0] for event in stage.events()] == ["feed_gap polymarket.market"]


async def test_resnapshot_subscribes_anew_on_one_path_and_asks_rest(
    client, rest, nursery, autojump_clock
):
    stage = Stage(client)
    nursery.start_soon(stage.feed.run)
    stage.want(listed("a"), listed("b"))
    peers = [(await stage.accept())[0] for _ in range(2)]
    stage.events()
    stage.feed.resnapshot("0xb")
    stage.feed.resnapshot("0xb")  # asked already
    stage.feed.resnapshot("0xunknown")
    told: list[str] = []

    async def hear(peer: Peer) -> None:
        for _ in range(2):
            told.append(await peer.receive())

    with trio.move_on_after(5):
        async with trio.open_nursery() as inner:
            for peer in peers:
                inner.start_soon(hear, peer)
    assert [orjson.loads(frame) for frame in told] == [
        {"operation": "unsubscribe", "assets_ids": ["b1", "b2"]},
        {"operation": "subscribe", "assets_ids": ["b1", "b2"], "custom_feature_enabled": True},
    ]
    assert rest.asked == ["b1"]
    assert stage.events() == ["book_replaced 0xb rest=True"]


async def test_resnapshot_without_a_connection_asks_nobody(client, rest, nursery, autojump_clock):
    stage = Stage(client, market_connections=1)
    nursery.start_soon(stage.feed.run)
    stage.want(listed("a"))
    peer, _ = await stage.accept()
    await peer.break_off()
    await wait_all_tasks_blocked()
    stage.events()
    stage.feed.resnapshot("0xa")
    await wait_all_tasks_blocked()
    assert rest.asked == []
    await stage.accept()
    stage.feed.resnapshot("0xa")
    await trio.sleep(1)
    assert rest.asked == ["a1"]


async def test_resnapshot_tries_again_and_then_gives_up(client, rest, nursery, autojump_clock):
    stage = Stage(client, market_connections=1)
    nursery.start_soon(stage.feed.run)
    stage.want(listed("a", start_s=5000))
    await stage.accept()
    stage.events()
    rest.fail = 2
    stage.feed.resnapshot("0xa")
    await trio.sleep(8)
    assert (len(rest.asked), stage.feed.snapshot_failures) == (3, 2)
    assert stage.events() == ["book_replaced 0xa rest=True"]
    rest.fail = 100
    stage.feed.resnapshot("0xa")
    await trio.sleep(60)
    assert len(rest.asked) == 6
    rest.fail = 0
    stage.feed.resnapshot("0xa")
    await trio.sleep(1)
    assert stage.events() == ["book_replaced 0xa rest=True"]


async def test_a_crashed_path_comes_back_while_its_twin_goes_on(client, nursery, autojump_clock):
    stage = Stage(client)
    nursery.start_soon(stage.feed.run)
    stage.want(listed("a"))
    await stage.accept()
    await stage.accept()
    stage.tasks.crash("polymarket.market/0", RuntimeError("drill"))
    await stage.accept()
    assert stage.events() == ["feed_up"]
    assert stage.tasks.row("polymarket.market/0").restarts == 1
    assert stage.up() == [True, True]
