"""The CLOB's REST (protocols 2): the application and its manners; what is out of scope is a 404."""

from hashlib import sha256
from typing import TYPE_CHECKING, Final

import trio
from quart import Response
from quart_trio import QuartTrio

from polytrade.sandbox.venue import clob_account, clob_keys, clob_public, clob_rewards, clob_trading
from polytrade.sandbox.venue.clob_calls import BODY_MAX, Door
from polytrade.sandbox.venue.json_errors import answer_in_json

if TYPE_CHECKING:
    from polytrade.sandbox.venue.local import LocalVenue

REQUEST_ID: Final = "X-Request-Id"


def clob_app(venue: "LocalVenue") -> QuartTrio:
    """The whole REST of the CLOB at one venue; an application is served once."""
    app = QuartTrio("sandbox.clob")
    app.config["MAX_CONTENT_LENGTH"] = BODY_MAX
    answer_in_json(app)
    door = Door(venue)
    for routes in (clob_public, clob_keys, clob_trading, clob_account, clob_rewards):
        routes.add(app, door, venue)
    answered = 0

    @app.after_request
    async def name_request(response: Response) -> Response:
        nonlocal answered
        await trio.lowlevel.checkpoint()
        answered += 1
        response.headers[REQUEST_ID] = sha256(str(answered).encode()).hexdigest()[:32]
        return response

    return app
