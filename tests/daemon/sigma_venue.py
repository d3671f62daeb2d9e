"""A venue of volatilities on the loopback interface, and the plugin that is a feed of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import trio
from trio_websocket import ConnectionClosed, WebSocketRequest, serve_websocket

EVERY_S: Final = 0.03
SIGMA: Final = '''
"""A feed whose frames are volatilities of BTC in percent."""

import attrs

from polytrade.api import Event, VenueCodec, events, hookimpl, setting

polytrade_api = 1


@attrs.define(kw_only=True, eq=False)
class Sigma(VenueCodec):
    """`VolatilityQuoted` of BTC, `factor` times what the venue says."""

    name = "sigma"
    pairs = {"btc": "btc"}

    coins: tuple[str, ...] = setting(("btc",), "assets")
    url: str = setting("ws://127.0.0.1:1/", "address")
    factor: float = setting(1.0, "of what is told", ge=0.1, le=10)

    def __attrs_post_init__(self):
        VenueCodec.__init__(self, ("btc",))
        self.default_url = self.url

    def hello(self):
        return ["subscribe"]

    def _events(self, message, ts_ns, source):
        if type(message) is not int:
            raise ValueError(f"expected a whole number, found {message!r:.40}")
        sigma = message * self.factor / 100.0
        self.counts["quote"] += 1
        return [
            events.VolatilityQuoted(ts_ns, self.name, "BTC", sigma, ts_ns + 10**15, ts_ns // 10**6)
        ]


@hookimpl
def polytrade_feeds():
    """The feed."""
    return {"sigma": Sigma}
'''


class SigmaVenue:
    """Says 50 percent (`says`) again and again to who has said hello; `open` connections now."""

    def __init__(self) -> None:
        self.says = "50"
        self.url = ""
        self.silent_url = ""
        self.open = 0
        self.most = 0
        self.hellos: list[str] = []

    async def serve(self, request: WebSocketRequest) -> None:
        """One connection."""
        socket = await request.accept()
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            self.hellos.append(str(await socket.get_message()))
            while True:
                await socket.send_message(self.says)
                await trio.sleep(EVERY_S)
        except ConnectionClosed:
            pass
        finally:
            self.open -= 1


@asynccontextmanager
async def sigma_venue() -> AsyncIterator[SigmaVenue]:
    """The venue at `url`; what connects to `silent_url` is never answered."""
    venue = SigmaVenue()
    async with trio.open_nursery() as nursery:
        serve = partial(serve_websocket, venue.serve, "127.0.0.1", 0, ssl_context=None)
        listening = await nursery.start(serve)
        venue.url = f"ws://127.0.0.1:{listening.port}/"
        silent = await nursery.start(partial(trio.serve_tcp, _say_nothing, 0, host="127.0.0.1"))
        venue.silent_url = f"ws://127.0.0.1:{silent[0].socket.getsockname()[1]}/"
        yield venue
        nursery.cancel_scope.cancel()


async def _say_nothing(_stream: trio.SocketStream) -> None:
    await trio.sleep_forever()
