"""The CLOB's API keys over REST (protocols 3.1): made by wallet signatures, listed, ended."""

from typing import TYPE_CHECKING

import trio
from quart import Response, request
from quart_trio import QuartTrio

from polytrade.sandbox.matching.orders import Refused
from polytrade.sandbox.venue.clob_calls import AUTH, Call, Door, answer

if TYPE_CHECKING:
    from polytrade.sandbox.venue.local import LocalVenue


class _Keys:
    def __init__(self, venue: "LocalVenue") -> None:
        self._venue = venue

    def create(self) -> Response:
        return answer(self._venue.keys.create(dict(request.headers), self._venue.now_s()))

    def derive(self) -> Response:
        return answer(self._venue.keys.derive(dict(request.headers), self._venue.now_s()))

    async def listed(self, call: Call) -> Response:
        await trio.lowlevel.checkpoint()
        return answer({"apiKeys": self._venue.keys.keys_of(call.key.address)})

    async def delete(self, call: Call) -> Response:
        await trio.lowlevel.checkpoint()
        self._venue.keys.delete(call.key.owner)
        return answer("OK")

    async def closed_only(self, call: Call) -> Response:
        await trio.lowlevel.checkpoint()
        return answer({"closed_only": False})

    async def create_readonly(self, call: Call) -> Response:
        await trio.lowlevel.checkpoint()
        return answer(self._venue.keys.create_readonly(call.key))

    async def readonly(self, call: Call) -> Response:
        await trio.lowlevel.checkpoint()
        keys = self._venue.keys.readonly_keys_of(call.key.address)
        return answer({"readonlyApiKeys": keys})

    async def delete_readonly(self, call: Call) -> Response:
        await trio.lowlevel.checkpoint()
        body = call.json("Invalid payload")
        name = body.get("key") if isinstance(body, dict) else None
        if not self._venue.keys.delete_readonly(call.key, name):
            raise Refused("Could not delete API key")
        return answer("OK")

    async def create_builder(self, call: Call) -> Response:
        await trio.lowlevel.checkpoint()
        return answer(self._venue.keys.create_builder(call.key, self._venue.now_s()))

    async def builders(self, call: Call) -> Response:
        await trio.lowlevel.checkpoint()
        return answer(self._venue.keys.builder_keys_of(call.key.address))

    def revoke_builder(self, raw: bytes) -> Response:
        self._venue.keys.revoke_builder(
            dict(request.headers), request.method, request.path, raw, self._venue.now_s()
        )
        return answer("OK")


def add(app: QuartTrio, door: Door, venue: "LocalVenue") -> None:
    """Give the application its routes of keys."""
    keys = _Keys(venue)
    for method, path, opened in (
        ("POST", "/auth/api-key", keys.create),
        ("GET", "/auth/derive-api-key", keys.derive),
    ):
        view = door.public(opened, AUTH)
        app.add_url_rule(path, f"{method} {path}", view, methods=[method])
    path = "/auth/builder-api-key"
    view = door.raw(keys.revoke_builder, AUTH)
    app.add_url_rule(path, f"DELETE {path}", view, methods=["DELETE"])
    for method, path, signed in (
        ("GET", "/auth/api-keys", keys.listed),
        ("DELETE", "/auth/api-key", keys.delete),
        ("GET", "/auth/ban-status/closed-only", keys.closed_only),
        ("POST", "/auth/readonly-api-key", keys.create_readonly),
        ("GET", "/auth/readonly-api-keys", keys.readonly),
        ("DELETE", "/auth/readonly-api-key", keys.delete_readonly),
        ("POST", "/auth/builder-api-key", keys.create_builder),
        ("GET", "/auth/builder-api-key", keys.builders),
    ):
        view = door.signed(signed, AUTH)
        app.add_url_rule(path, f"{method} {path}", view, methods=[method])
