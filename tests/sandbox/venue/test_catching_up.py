"""A venue that was held up goes on without losing who listens."""

import json
from functools import partial
from urllib.parse import urlsplit

import httpx2
import trio

from polytrade.sandbox import connection
from polytrade.sandbox.venue.options import VenueOptions
from polytrade.sandbox.venue.serve import serve_venue

START_NS = 1_763_294_460 * 10**9
HELD_UP_S = 8
QUEUE = 512
OPTIONS = VenueOptions(
    coins=("btc",), windows=("5m",), windows_ahead=1, slow_markets=False, activity=0.5
)
HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


async def test_seconds_missed_are_sent_to_who_reads_though_no_queue_holds_them(monkeypatch):
    monkeypatch.setattr(connection, "QUEUE_MAX", QUEUE)
    clock = [START_NS]
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            ready = await nursery.start(partial(serve_venue, OPTIONS, now_ns=lambda: clock[0]))
            url = urlsplit(ready["market_url"])
            async with (
                httpx2.AsyncClient() as http,
                await trio.open_tcp_stream(url.hostname, url.port) as stream,
            ):
                slug = ready["slugs"][0]
                market = await http.get(f"{ready['gamma_url']}/markets/slug/{slug}")
                assets = market.json()["clobTokenIds"]
                await stream.send_all(HANDSHAKE.format(path=url.path).encode())
                await stream.receive_some(4096)
                order = json.dumps({"type": "market", "assets_ids": json.loads(assets)}).encode()
                head = bytes((0x81, 0xFE)) + len(order).to_bytes(2, "big") + bytes(4)
                await stream.send_all(head + order)
                await stream.receive_some(1 << 20)
                clock[0] += HELD_UP_S * 10**9
                got = b""
                while got.count(b'"price_change"') < 2 * QUEUE:
                    more = await stream.receive_some(1 << 20)
                    assert more, "closed"
                    got += more
                status = (await http.get(f"{ready['admin_url']}/admin/status")).json()
            nursery.cancel_scope.cancel()
    assert [row["closed_because"] for row in status["connections"]] == [""]
