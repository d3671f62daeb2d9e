"""Answers that never arrive, over a real connection."""

import httpx2
import pytest
import trio

from polytrade.sandbox.endpoints import Endpoint, Endpoints
from polytrade.sandbox.faults import FaultOrder
from polytrade.sandbox.servers import RestServer
from polytrade.sandbox.venue.clob_app import clob_app
from tests.sandbox.venue.clob_rig import clob_rig


@pytest.mark.parametrize("path", ["/order", "/orders"])
async def test_a_lost_answer_is_a_broken_connection_and_the_order_lives(path):
    venue, client, _ = clob_rig()
    endpoint = Endpoint("clob")
    endpoints = Endpoints("127.0.0.1")
    endpoints["clob"] = endpoint
    server = RestServer(endpoints, endpoint, lambda: clob_app(venue))
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve, 0)
        url = f"http://127.0.0.1:{endpoint.port}"
        async with httpx2.AsyncClient(base_url=url) as http:

            async def place():
                order = client.order()
                raw = httpx2.Request("POST", url, json=order if path == "/order" else [order])
                sent = raw.content.decode()
                headers = client.headers("POST", path, sent)
                return await http.post(path, headers=headers, content=sent)

            venue.troubles.apply(FaultOrder("lost_answer", n=1), venue)
            with pytest.raises(httpx2.TransportError):
                await place()
            assert len(venue.exchange.open_orders(client.owner)) == 1
            told = await place()
            assert told.status_code == 200
            assert len(venue.exchange.open_orders(client.owner)) == 2
        nursery.cancel_scope.cancel()
