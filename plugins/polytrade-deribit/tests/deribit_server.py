"""A local server that speaks Deribit's JSON-RPC over a WebSocket as its documentation has it.

Real sockets of the loopback interface. Requests are checked; `refuse` holds channels that an answer
leaves out, `fail` methods that are answered with an error.
"""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, serve_websocket

NOW_MS: Final = 1_764_576_000_000  # 2025-12-01 08:00 UTC
WAIT_S: Final = 20
MONTHS: Final = "JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC"
KINDS: Final = ("deribit_price_index", "markprice.options", "deribit_volatility_index")
INDICES: Final = ("btc_usd", "eth_usd")


def notice(channel: str, data: object) -> str:
    """A notification frame."""
    params = {"channel": channel, "data": data}
    return json.dumps({"jsonrpc": "2.0", "method": "subscription", "params": params})


def index(price: float, name: str = "btc_usd") -> str:
    """An index price."""
    data = {"index_name": name, "price": price, "timestamp": NOW_MS}
    return notice(f"deribit_price_index.{name}", data)


def volatility_index(percent: float, name: str = "btc_usd") -> str:
    """A volatility index."""
    data = {"index_name": name, "volatility": percent, "timestamp": NOW_MS}
    return notice(f"deribit_volatility_index.{name}", data)


def chain(expiries: Mapping[int, Mapping[int, float]], coin: str = "BTC") -> str:
    """Marks by expiry (days from `NOW_MS`) and strike."""
    rows = [
        {
            "instrument_name": f"{coin}-{_day(days)}-{strike}-{side}",
            "iv": iv,
            "mark_price": 0.0123,
            "timestamp": NOW_MS,
        }
        for days, strikes in expiries.items()
        for strike, iv in strikes.items()
        for side in "CP"
    ]
    return notice(f"markprice.options.{coin.lower()}_usd", rows)


def _day(days: int) -> str:
    day = datetime.fromtimestamp(NOW_MS / 1000, UTC) + timedelta(days=days)
    return f"{day.day}{MONTHS[3 * day.month - 3 : 3 * day.month]}{day:%y}"


class Session:
    """One client's connection."""

    def __init__(self, socket: WebSocketConnection) -> None:
        self.socket = socket
        self.requests: list[dict[str, Any]] = []
        self.channels: list[str] = []
        self.heartbeat_s = 0
        self.tested = trio.Event()
        self.closed = trio.Event()

    async def send(self, frame: str | bytes) -> None:
        """Send a frame; nothing when the client is gone."""
        try:
            await self.socket.send_message(frame)
        except ConnectionClosed:
            self.closed.set()

    async def publish(self, *frames: str) -> None:
        """Send those notifications whose channels the client subscribed."""
        for frame in frames:
            if json.loads(frame)["params"]["channel"] in self.channels:
                await self.send(frame)

    async def demand_test(self) -> None:
        """Ask for a sign of life; the connection is closed when none comes."""
        assert self.heartbeat_s, "heartbeats were not set up"
        self.tested = trio.Event()
        params = {"type": "test_request"}
        await self.send(json.dumps({"jsonrpc": "2.0", "method": "heartbeat", "params": params}))
        with trio.move_on_after(WAIT_S) as scope:
            await self.tested.wait()
        if scope.cancelled_caught:
            await self.socket.aclose(1000, "no public/test")


class DeribitServer:
    """The venue; `sessions` are all connections so far."""

    def __init__(self) -> None:
        self.url = ""
        self.refuse: set[str] = set()
        self.fail: dict[str, dict[str, Any]] = {}
        self.sessions: list[Session] = []
        self._offer, self._take = trio.open_memory_channel[Session](64)

    async def session(self) -> Session:
        """The next client that has subscribed, or been refused, everything it asks for."""
        with trio.fail_after(WAIT_S):
            return await self._take.receive()

    async def serve(self, wanted: int, request: WebSocketRequest) -> None:
        """One connection; it is offered after so many requests."""
        session = Session(await request.accept())
        self.sessions.append(session)
        try:
            while True:
                message = json.loads(await session.socket.get_message())
                session.requests.append(message)
                await session.send(json.dumps(self.answer(session, message)))
                if len(session.requests) == wanted:
                    self._offer.send_nowait(session)
        except ConnectionClosed:
            session.closed.set()

    def answer(self, session: Session, message: dict[str, Any]) -> dict[str, Any]:
        """The answer to a request."""
        assert message["jsonrpc"] == "2.0" and isinstance(message["id"], int)
        method, params = message["method"], message["params"]
        head = {"jsonrpc": "2.0", "id": message["id"], "usIn": 1, "usOut": 2, "usDiff": 1}
        error = self.fail.get(method)
        if error is not None:
            return {**head, "error": error}
        if method == "public/set_heartbeat":
            if not isinstance(params["interval"], int) or params["interval"] < 10:
                return {**head, "error": {"code": -32602, "message": "Invalid params"}}
            session.heartbeat_s = params["interval"]
            return {**head, "result": "ok"}
        if method == "public/test":
            session.tested.set()
            return {**head, "result": {"version": "1.2.26"}}
        if method == "public/subscribe":
            known = [f"{kind}.{name}" for kind in KINDS for name in INDICES]
            given = [it for it in params["channels"] if it in known and it not in self.refuse]
            session.channels += given
            return {**head, "result": given}
        return {**head, "error": {"code": -32601, "message": "Method not found"}}


@asynccontextmanager
async def serve_deribit(wanted: int = 2) -> AsyncIterator[DeribitServer]:
    """The server on a free port; a client is offered once it sent `wanted` requests."""
    server = DeribitServer()
    async with trio.open_nursery() as nursery:
        serve = partial(
            serve_websocket, partial(server.serve, wanted), "127.0.0.1", 0, ssl_context=None
        )
        listening = await nursery.start(serve)
        server.url = f"ws://127.0.0.1:{listening.port}/ws/api/v2"
        yield server
        nursery.cancel_scope.cancel()
