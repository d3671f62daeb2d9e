"""A venue over real HTTP whose clock stands still, and bots that use the official client."""

import itertools
import json
import time
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from queue import Queue
from threading import Thread
from urllib.parse import urlsplit

import httpx2
import trio
import trio_websocket
from py_clob_client_v2 import ClobClient, OrderArgs, PartialCreateOrderOptions
from py_clob_client_v2.clob_types import AssetType, BalanceAllowanceParams, RequestArgs
from py_clob_client_v2.headers.headers import create_level_2_headers
from py_clob_client_v2.order_utils import ExchangeOrderBuilderV2
from py_clob_client_v2.order_utils.model.order_data_v2 import order_to_json_v2

from polytrade.core.units import SECOND_NS
from polytrade.polymarket.signing import DOMAINS, POLYGON
from polytrade.sandbox.venue.options import VenueOptions
from polytrade.sandbox.venue.serve import serve_venue

OPTIONS = VenueOptions(coins=("btc",), windows=("1d",), windows_ahead=0, activity=0.0)
"""Makers keep their books, nobody takes."""
TREATY = "strait-treaty-signed"
"""0.34 bid and 0.36 ask, no fees, no taker delay, domain 2."""
GAME = "nsl-northport-eastlake"
"""Marketable orders are held for three seconds."""
GIVE_UP_S = 60
LEAVE_S = 10
"""After so long no bucket is empty, no order is held and every trade is settled."""
_numbers = itertools.count(0xA11CE)


class Clock:
    """The venue's wall clock: as late as it was at first until it is moved."""

    def __init__(self):
        self._now_ns = time.time_ns()

    def __call__(self):
        return self._now_ns

    def advance(self, seconds):
        self._now_ns += round(seconds * SECOND_NS)


class Served:
    """A running venue."""

    def __init__(self, ready, clock, http):
        self.ready, self.clock, self.http = ready, clock, http
        self.bots = []

    def url(self, name):
        return self.ready[f"{name}_url"]

    async def fault(self, kind, **fields):
        """Order a fault; what it touched."""
        url = self.url("admin") + "/admin/fault"
        answer = await self.http.post(url, json={"kind": kind, **fields})
        assert answer.status_code == 200, answer.text
        return answer.json()["connections"]

    async def advance(self, seconds):
        """Let time pass at the venue, and everything happen that is due by then."""
        self.clock.advance(seconds)
        answer = await self.http.get(self.url("clob") + "/ok")
        assert answer.status_code == 200

    async def tokens(self, slug):
        """Both tokens of the market whose slug begins so."""
        (found,) = [one for one in self.ready["slugs"] if one.startswith(slug)]
        answer = await self.http.get(f"{self.url('gamma')}/markets/slug/{found}")
        return json.loads(answer.json()["clobTokenIds"])

    async def bot(self, **options):
        """A bot with a key nobody has had; the faucet has filled its wallets."""
        made = Bot(self, next(_numbers), options)
        made.client.set_api_creds(await made.call("create_or_derive_api_key"))
        self.bots.append(made)
        return made


@contextmanager
def in_thread():
    """A venue in a thread of its own until the end of the block: (ready line, clock)."""
    clock, told, stop = Clock(), Queue(), trio.CancelScope()

    async def live():
        with stop:
            async with trio.open_nursery() as nursery:
                ready = await nursery.start(partial(serve_venue, OPTIONS, now_ns=clock))
                told.put((ready, trio.lowlevel.current_trio_token()))

    thread = Thread(target=trio.run, args=(live,), daemon=True)
    thread.start()
    ready, token = told.get(timeout=GIVE_UP_S)
    yield ready, clock
    token.run_sync_soon(stop.cancel)
    thread.join(GIVE_UP_S)
    assert not thread.is_alive()


@asynccontextmanager
async def visiting(ready, clock):
    """The venue for one test; faults and orders it leaves behind are taken away."""
    with trio.fail_after(GIVE_UP_S):
        async with httpx2.AsyncClient() as http:
            venue = Served(ready, clock, http)
            yield venue
            await venue.fault("clear")
            await venue.advance(LEAVE_S)
            for bot in venue.bots:
                await bot.call("cancel_all")


class Bot:
    """A trader with the official client, which asks the venue for the time."""

    def __init__(self, venue, number, options):
        options = {"use_server_time": True, **options}
        self.venue = venue
        self.client = ClobClient(venue.url("clob"), POLYGON, f"0x{number:064x}", **options)

    async def call(self, name, *args, **more):
        """A call of the official client."""
        return await trio.to_thread.run_sync(partial(getattr(self.client, name), *args, **more))

    async def order(self, token, side, price, size, tick="0.01"):
        """A signed order and the id it will have."""
        args = OrderArgs(token_id=token, price=price, size=size, side=side)
        options = PartialCreateOrderOptions(tick_size=tick, neg_risk=False)
        signed = await self.call("create_order", args, options)
        contract = DOMAINS[POLYGON]["exchange_v2"].contract
        builder = ExchangeOrderBuilderV2(contract, POLYGON, self.client.signer, domain_version="2")
        return signed, builder.build_order_hash(builder.build_order_typed_data(signed))

    async def place(self, *args, **more):
        """The answer to an order that rests or takes at once."""
        signed, _ = await self.order(*args, **more)
        return await self.call("post_order", signed)

    async def rest(self, *args, **more):
        """The id of an order that rests."""
        told = await self.place(*args, **more)
        assert (told["success"], told["status"]) == (True, "live")
        return told["orderID"]

    async def open(self):
        """Ids of the open orders."""
        return [row["id"] for row in await self.call("get_open_orders")]

    async def balances(self, *tokens):
        """Dollars, and shares of each token, that can be spent now, in 1e-6."""
        asked = [BalanceAllowanceParams(AssetType.COLLATERAL)]
        asked += [BalanceAllowanceParams(AssetType.CONDITIONAL, token) for token in tokens]
        return [int((await self.call("get_balance_allowance", one))["balance"]) for one in asked]

    def body(self, signed, order_type="GTC", **more):
        """The send-order object of a signed order."""
        return order_to_json_v2(signed, self.client.creds.api_key, order_type, **more)

    async def raw(self, method, path, body=None, **options):
        """The answer to a signed request, sent without the client."""
        text = None if body is None else json.dumps(body, separators=(",", ":"))
        args = RequestArgs(method=method, request_path=path, body=text, serialized_body=text)
        stamp = self.venue.clock() // SECOND_NS
        headers = create_level_2_headers(
            self.client.signer, self.client.creds, args, timestamp=stamp
        )
        url = self.venue.url("clob") + path
        return await self.venue.http.request(method, url, content=text, headers=headers, **options)

    @asynccontextmanager
    async def user_channel(self):
        """What the user channel tells, one message at a call."""
        url, key = urlsplit(self.venue.url("user")), self.client.creds
        stream = await trio.open_tcp_stream(url.hostname, url.port)
        async with stream, trio.open_nursery() as nursery:
            ws = await trio_websocket.wrap_client_stream(nursery, stream, url.netloc, url.path)
            auth = {"apiKey": key.api_key, "secret": key.api_secret}
            auth["passphrase"] = key.api_passphrase
            await ws.send_message(json.dumps({"type": "user", "auth": auth}))
            await ws.send_message("PING")
            assert await ws.get_message() == "PONG"

            async def told():
                return json.loads(await ws.get_message())

            yield told
            nursery.cancel_scope.cancel()
