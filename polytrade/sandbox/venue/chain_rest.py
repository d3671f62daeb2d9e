"""The relayer and the node of the venue's chain, on one address.

Relayer: `/deployed`, `/v1/account/transactions/...`, `/relay-payload`, `/submit`. Node: `POST /`.
"""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, ParamSpec

import orjson
import trio
from quart import Response, request
from quart_trio import QuartTrio

from polytrade.sandbox.venue.chain import Transaction
from polytrade.sandbox.venue.json_errors import answer_in_json
from polytrade.sandbox.venue.json_rpc import Node
from polytrade.sandbox.venue.relayer import RELAY, RelayRefused, account_name, submit

if TYPE_CHECKING:
    from polytrade.sandbox.venue.local import LocalVenue

P = ParamSpec("P")

BODY_MAX: Final = 262_144
"""Bytes of a request: a batch of a hundred calls has 60,000."""


def json_answer(body: object, status: int = 200) -> Response:
    """A JSON answer."""
    return Response(orjson.dumps(body), status=status, content_type="application/json")


def json_of(raw: bytes) -> Any:
    """The decoded body of a request; None when it is no JSON."""
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None


async def raw_body() -> bytes:
    """The body of the request under way, as it came."""
    raw = await request.get_data(as_text=False)
    assert isinstance(raw, bytes), "asked for bytes"
    return raw


def chain_app(venue: "LocalVenue") -> QuartTrio:
    """The relayer and the node of a venue."""
    app = QuartTrio("sandbox.chain")
    app.config["MAX_CONTENT_LENGTH"] = BODY_MAX
    answer_in_json(app)
    chain = venue.chain
    node = Node(venue, chain)

    def answered(handler: Callable[P, Response]) -> Callable[P, Awaitable[Response]]:
        @wraps(handler)
        async def view(*args: P.args, **kwargs: P.kwargs) -> Response:
            await trio.lowlevel.checkpoint()
            venue.catch_up()
            return handler(*args, **kwargs)

        return view

    @app.post("/")
    async def rpc() -> Response:
        body = json_of(await raw_body())
        venue.catch_up()
        return json_answer(node.answer(body))

    @app.post("/submit")
    async def submitted() -> Response:
        body = json_of(await raw_body())
        venue.catch_up()
        try:
            sent = submit(chain, body, venue.now_s())
        except RelayRefused as refused:
            return json_answer({"error": str(refused)}, 400)
        return json_answer(
            {"transactionID": sent.number, "transactionHash": sent.hash, "state": sent.state}
        )

    @app.get("/deployed")
    @answered
    def deployed() -> Response:
        wallet = request.args.get("address", "").lower()
        # Deposit wallets are deployed by asking for it; those of the older kinds with the faucet.
        older = request.args.get("type") in ("PROXY", "SAFE") and venue.bank.knows(wallet)
        return json_answer({"deployed": older or chain.deployed(wallet)})

    @app.get("/v1/account/transactions/params")
    @app.get("/relay-payload")
    @answered
    def params() -> Response:
        account = account_name(request.args.get("address", ""), request.args.get("type", ""))
        return json_answer({"address": RELAY, "nonce": str(chain.nonce(account))})

    @app.get("/v1/account/transactions/<number>")
    @answered
    def transaction(number: str) -> Response:
        sent = chain.transaction(number)
        if sent is None:
            return json_answer({"error": "transaction not found"}, 404)
        return json_answer(_told(sent))

    return app


def _told(sent: Transaction) -> dict[str, object]:
    return {
        "transaction_id": sent.number,
        "transaction_hash": sent.hash,
        "state": sent.state,
        "error_msg": sent.error or None,
    }
