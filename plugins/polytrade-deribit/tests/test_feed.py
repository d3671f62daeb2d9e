"""The feed as the daemon runs it, against a local server that speaks the protocol."""

import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import trio
from deribit_server import (
    NOW_MS,
    DeribitServer,
    Session,
    chain,
    index,
    serve_deribit,
    volatility_index,
)
from polytrade_deribit import Deribit

from polytrade.config import Feeds
from polytrade.core.events import Event, FeedDown, FeedGap, FeedUp, VolatilityQuoted
from polytrade.runtime.feeds import FeedPlan, link_settings, run_reference_feed
from polytrade.runtime.hosts import HostTable
from polytrade.runtime.inbox import Clock, Inbox
from polytrade.runtime.links import FeedStatus
from polytrade.runtime.socket import open_socket
from polytrade.runtime.supervise import Policy, TaskTable, supervise

START_NS = NOW_MS * 10**6
CHAIN = chain({1: {90_000: 0.45}})
AT_ONCE = Policy(delay_s_min=0.0, delay_s_max=0.0)


class Client:
    """A feed of BTC, run under supervision; `events` come one by one."""

    def __init__(self, server: DeribitServer, settings: dict[str, Any]) -> None:
        self.server = server
        self.codec = Deribit(coins=("btc",), url=server.url, **settings)
        self.inbox = Inbox(Clock(lambda: START_NS, lambda: 0), 1_000)
        self.status = FeedStatus("deribit/0", server.url)
        self.tasks = TaskTable()

    async def run(self) -> None:
        plan = FeedPlan("deribit/0", self.server.url, self.codec)
        run = partial(
            run_reference_feed,
            plan,
            connect=open_socket,
            inbox=self.inbox,
            settings=link_settings(plan, Feeds()),
            status=self.status,
            hosts=HostTable(self.inbox.clock),
        )
        await supervise("deribit/0", run, AT_ONCE, table=self.tasks, rng=random.Random(1))

    async def next(self) -> Event:
        """The next event."""
        with trio.fail_after(20):
            return await self.inbox.receive()


@asynccontextmanager
async def feed(**settings: Any) -> AsyncIterator[tuple[Client, Session]]:
    """A client that is up, and the server's side of it."""
    async with serve_deribit() as server, trio.open_nursery() as nursery:
        client = Client(server, settings)
        nursery.start_soon(client.run)
        session = await server.session()
        assert await client.next() == FeedUp(START_NS, "deribit/0")
        yield client, session
        nursery.cancel_scope.cancel()


async def test_subscribes_and_quotes() -> None:
    async with feed() as (client, session):
        assert [it["method"] for it in session.requests] == [
            "public/set_heartbeat",
            "public/subscribe",
        ]
        assert session.heartbeat_s == 30 and len(session.channels) == 3
        await session.publish(index(90_000.0), CHAIN)
        event = await client.next()
        assert isinstance(event, VolatilityQuoted)
        assert (event.source, event.symbol, event.sigma) == ("deribit", "BTC", 0.45)
        assert (client.status.events, client.status.malformed) == (1, 0)


async def test_demanded_heartbeats_keep_the_connection() -> None:
    async with feed() as (client, session):
        for _ in range(3):
            await session.demand_test()
            assert session.tested.is_set()
        assert not session.closed.is_set()
        assert [it["method"] for it in session.requests[2:]] == ["public/test"] * 3
        assert client.status.connects == 1


async def test_disconnect_is_told_and_all_is_subscribed_again() -> None:
    async with feed() as (client, session):
        await session.publish(index(90_000.0), CHAIN)
        assert isinstance(await client.next(), VolatilityQuoted)
        await session.socket.aclose(1001, "maintenance")
        down = await client.next()
        assert down == FeedDown(START_NS, "deribit/0", "closed: 1001 maintenance")
        again = await client.server.session()
        assert len(again.channels) == 3
        assert isinstance(await client.next(), FeedUp)
        await again.publish(index(90_000.0), CHAIN)
        event = await client.next()
        assert isinstance(event, VolatilityQuoted) and event.sigma == 0.45


@pytest.mark.parametrize("garbage", ["{", "[]", b"\xff\xfe", '{"method":"subscription"}', "null"])
async def test_garbage_is_counted_and_the_feed_goes_on(garbage: str | bytes) -> None:
    async with feed() as (client, session):
        await session.send(garbage)
        assert await client.next() == FeedGap(START_NS, "deribit/0", "", "malformed")
        await session.publish(index(90_000.0), CHAIN)
        assert isinstance(await client.next(), VolatilityQuoted)
        assert client.status.malformed == 1


async def test_error_answer_is_told_and_the_feed_goes_on() -> None:
    async with serve_deribit() as server, trio.open_nursery() as nursery:
        server.fail["public/set_heartbeat"] = {"code": 10028, "message": "too_many_requests"}
        client = Client(server, {})
        nursery.start_soon(client.run)
        session = await server.session()
        assert isinstance(await client.next(), FeedUp)
        assert await client.next() == FeedGap(START_NS, "deribit/0", "", "malformed")
        assert "10028 too_many_requests" in client.status.last_error
        await session.publish(index(90_000.0), CHAIN)
        assert isinstance(await client.next(), VolatilityQuoted)
        nursery.cancel_scope.cancel()


async def test_refused_subscription_is_told_and_the_index_speaks_instead() -> None:
    async with serve_deribit() as server, trio.open_nursery() as nursery:
        server.refuse = {"markprice.options.btc_usd"}
        client = Client(server, {})
        nursery.start_soon(client.run)
        session = await server.session()
        assert isinstance(await client.next(), FeedUp)
        assert isinstance(await client.next(), FeedGap)
        assert "no subscription of markprice.options.btc_usd" in client.status.last_error
        client.codec._began_ns -= 15 * 10**9  # the clock stands: the options had their time
        await session.publish(index(90_000.0), CHAIN, volatility_index(45.5))
        event = await client.next()
        assert isinstance(event, VolatilityQuoted) and event.sigma == 0.455
        nursery.cancel_scope.cancel()


def test_server_refuses_what_the_documentation_forbids() -> None:
    """The fake is no pushover: too short a heartbeat, unknown methods and channels."""
    server = DeribitServer()
    session = Session(None)

    def ask(method: str, **params: Any) -> Any:
        message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = server.answer(session, message)
        return json.loads(json.dumps(answer.get("error", answer.get("result"))))

    assert ask("public/set_heartbeat", interval=9)["code"] == -32602
    assert ask("private/buy")["code"] == -32601
    wanted = ["markprice.options.btc_usd", "markprice.options.doge_usd"]
    assert ask("public/subscribe", channels=wanted) == wanted[:1]
