"""The user channel as it goes over the wire, beside what REST tells of the same orders."""

import json
import time
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
import trio
from py_clob_client_v2.clob_types import OrderPayload, TradeParams
from trio_websocket import ConnectionClosed, wrap_client_stream

from tests.official.rig import BUY, FOK

ANSWER_S = 10
"""Settlement takes four seconds."""


class Feed:
    """The frames of one connection, in the order in which they came."""

    def __init__(self, socket):
        self._socket = socket

    async def next(self):
        with trio.fail_after(ANSWER_S):
            return json.loads(await self._socket.get_message())

    async def ping(self):
        """Everything sent before is answered for: the next frame must be the PONG."""
        await self._socket.send_message("PING")
        with trio.fail_after(ANSWER_S):
            return await self._socket.get_message()


@asynccontextmanager
async def connected(venue):
    """A WebSocket on a stream of ours: trio-websocket leaves its own open when the venue closes."""
    address = urlsplit(venue.url("user"))
    stream = await trio.open_tcp_stream(address.hostname, address.port)
    async with stream, trio.open_nursery() as nursery:
        socket = await wrap_client_stream(nursery, stream, address.netloc, address.path)
        yield socket
        await socket.aclose()
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def listening(trader, **fields):
    """A connection of the trader's key; orders from now on are told."""
    creds = trader.client.creds
    auth = {
        "apiKey": creds.api_key,
        "secret": creds.api_secret,
        "passphrase": creds.api_passphrase,
    }
    async with connected(trader.venue) as socket:
        await socket.send_message(json.dumps({"type": "user", "auth": auth, **fields}))
        feed = Feed(socket)
        assert await feed.ping() == "PONG"
        yield feed


async def do(action, *args, **fields):
    """A call of the client, which waits in a thread of its own."""
    return await trio.to_thread.run_sync(lambda: action(*args, **fields))


def outline(message):
    """What a message is, in a line."""
    if message["event_type"] == "order":
        return message["type"], message["status"], message["size_matched"]
    return message["status"], message["trader_side"], message["size"]


async def test_life_of_an_order_and_its_trade(trader, venue):
    maker, taker, market = trader(2), trader(0), venue.window
    async with listening(maker) as feed, listening(taker) as other:
        order_id = (await do(maker.limit, market, BUY, 0.50, 14))["orderID"]
        placed = await feed.next()
        assert abs(int(placed.pop("timestamp")) / 1000 - time.time()) < ANSWER_S
        assert placed.pop("created_at").isdigit()
        assert placed == {
            "event_type": "order",
            "type": "PLACEMENT",
            "id": order_id,
            "status": "LIVE",
            "market": market.condition,
            "asset_id": market.tokens[0],
            "side": "BUY",
            "price": "0.5",
            "original_size": "14",
            "size_matched": "0",
            "order_type": "GTC",
            "outcome": "Up",
            "owner": maker.owner,
            "order_owner": maker.owner,
            "maker_address": maker.wallet,
            "associate_trades": None,
            "expiration": "0",
        }
        answer = await do(taker.limit, market, BUY, 0.50, 10, token=1)
        (trade_id,) = answer["tradeIDs"]
        told = [await feed.next() for _ in range(4)]
        assert sorted(map(outline, told[:2])) == [
            ("MATCHED", "MAKER", "10"),
            ("UPDATE", "LIVE", "10"),
        ]
        assert [outline(message) for message in told[2:]] == [
            ("MINED", "MAKER", "10"),
            ("CONFIRMED", "MAKER", "10"),
        ]
        trades = [message for message in told if message["event_type"] == "trade"]
        assert [trade["id"] for trade in trades] == [trade_id] * 3
        (updated,) = [message for message in told if message["event_type"] == "order"]
        assert (updated["id"], updated["associate_trades"]) == (order_id, [trade_id])
        others = [await other.next() for _ in range(5)]
        kinds = [outline(message) for message in others if message["event_type"] == "trade"]
        assert kinds == [(status, "TAKER", "10") for status in ("MATCHED", "MINED", "CONFIRMED")]
        assert {trade["id"] for trade in others if trade["event_type"] == "trade"} == {trade_id}

        (rest,) = await do(maker.client.get_trades, TradeParams(id=trade_id))
        last = trades[-1]
        only_socket = {"event_type", "timestamp", "trade_owner"}
        assert {name: last[name] for name in last if name not in only_socket} == rest

        await do(maker.client.cancel_order, OrderPayload(order_id))
        assert outline(await feed.next()) == ("CANCELLATION", "CANCELED", "10")
        assert await feed.ping() == "PONG"


async def test_what_was_missed_is_found_by_rest(trader, venue):
    """A new connection replays nothing: open orders and trades since then are in REST."""
    maker, taker, market = trader(1), trader(3), venue.day
    async with listening(maker) as feed:
        first = (await do(maker.limit, market, BUY, 0.50, 10))["orderID"]
        assert (await feed.next())["id"] == first
    after = int(time.time()) - 1
    answer = await do(taker.limit, market, BUY, 0.50, 10, token=1)
    second = (await do(maker.limit, market, BUY, 0.05, 10))["orderID"]
    async with listening(maker) as feed:
        orders = await do(maker.client.get_open_orders)
        trades = await do(maker.client.get_trades, TradeParams(after=after))
        assert [order["id"] for order in orders] == [second]
        assert [trade["id"] for trade in trades] == answer["tradeIDs"]
        assert trades[0]["maker_orders"][0]["order_id"] == first
        # What happens to that trade from now on is told again.
        mined = await feed.next()
        assert ([mined["id"]], mined["status"]) == (answer["tradeIDs"], "MINED")


async def test_only_the_markets_asked_for_are_told(trader, venue):
    one = trader()
    async with listening(one, markets=[venue.treaty.condition]) as feed:
        await do(one.limit, venue.window, BUY, 0.05, 10)
        wanted = (await do(one.limit, venue.treaty, BUY, 0.05, 10))["orderID"]
        assert (await feed.next())["id"] == wanted
        assert await feed.ping() == "PONG"


async def test_order_that_was_killed_is_told_as_cancelled(trader, venue):
    one = trader()
    async with listening(one) as feed:
        order = one.client.create_market_order(one.market_args(venue.treaty, BUY, 5, price=0.05))
        answer = await do(one.request, "POST", "/order", one.payload(order, FOK))
        assert answer.status_code == 400
        message = await feed.next()
        assert message["id"] == answer.json()["orderID"]
        assert message["type"] == "CANCELLATION"
        assert message["status"].startswith("CANCELED")


@pytest.mark.parametrize("field", ["apiKey", "secret", "passphrase"])
async def test_wrong_credentials_are_shown_the_door(trader, venue, field):
    creds = trader().client.creds
    auth = {
        "apiKey": creds.api_key,
        "secret": creds.api_secret,
        "passphrase": creds.api_passphrase,
    } | {field: "wrong"}
    async with connected(venue) as socket:
        await socket.send_message(json.dumps({"type": "user", "auth": auth}))
        with trio.fail_after(ANSWER_S), pytest.raises(ConnectionClosed):
            await socket.get_message()
