"""Every error of the venue's REST is JSON, also those the framework makes."""

from typing import Final

import orjson
import trio
from quart import Response
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

STATUS_TEXTS: Final = {404: "not found", 405: "method not allowed", 413: "Payload too large"}
OTHER: Final = "Internal server error"


def answer_in_json(app: QuartTrio) -> None:
    """An unknown path, a wrong method, too large a body and an exception get a JSON body."""
    # What the venue does not know, such as an exception, must look like the venue all the same.
    app.config["PROPAGATE_EXCEPTIONS"] = False

    @app.errorhandler(HTTPException)
    async def failed(problem: HTTPException) -> Response:
        await trio.lowlevel.checkpoint()
        status = problem.code or 500
        body = orjson.dumps({"error": STATUS_TEXTS.get(status, OTHER)})
        return Response(body, status=status, content_type="application/json")
