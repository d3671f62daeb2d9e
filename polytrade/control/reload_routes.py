"""The endpoints of reloads: each waits for the reload task's answer, which goes on without it."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final

import attrs
import trio
from quart import Response, request
from quart_trio import QuartTrio

from polytrade.control import answers
from polytrade.control.errors import Fault, FaultError
from polytrade.control.reload_bodies import parse_reload, parse_rollback
from polytrade.runtime.reload_refusals import Refused
from polytrade.runtime.reload_requests import (
    BUSY,
    ENDPOINTS,
    INVALID,
    PLUGINS,
    STOPPING,
    ReloadRefused,
    ReloadReply,
    ReloadRequest,
    Reloads,
)
from polytrade.runtime.reload_texts import told_text, told_value

STATUS: Final[Mapping[str, int]] = {INVALID: 400, BUSY: 503, STOPPING: 503, "no_reloads": 503}
"""Status codes of refusals that are no conflict with what is installed or in force."""
NO_RELOADS: Final = ReloadRefused(code="no_reloads", message="this process reloads nothing")


def add_reloads(app: QuartTrio, reloads: Reloads | None) -> None:
    """The endpoints of reloads; each is refused where there are none."""

    def of_daemon() -> Reloads:
        if reloads is None:
            raise FaultError(_fault_of(NO_RELOADS))
        return reloads

    async def ask(parse: Callable[[bytes, str], ReloadRequest]) -> ReloadReply:
        asked = parse(await request.get_data(True, False, False), _who())
        return await _answered(of_daemon().reload(asked))

    def add(name: str) -> None:
        async def reload() -> Response:
            return _json(_body(await ask(partial(parse_reload, name))))

        app.add_url_rule(f"/control/reload_{name}", f"reload_{name}", reload, methods=["POST"])

    for name in ENDPOINTS:
        if name != PLUGINS:
            add(name)

    @app.post("/control/reload_plugins")
    async def reload_plugins() -> Response:
        raw = await request.get_data(True, False, False)
        asked = parse_reload(PLUGINS, raw, _who())
        if asked.told() or asked.expected_generation is not None:
            return _json(_body(await _answered(of_daemon().reload(asked))))
        try:
            changes = attrs.asdict(await of_daemon().changes())
        except Refused as refused:
            raise FaultError(_fault_of(refused.refusal)) from None
        return _json({**changes, "generation": of_daemon().generation})

    @app.post("/plugins/rollback")
    async def rollback() -> Response:
        return _json(_body(await ask(parse_rollback)))

    @app.get("/plugins")
    async def plugins() -> Response:
        asked = of_daemon()
        rows = await asked.plugins()
        return _json({"generation": asked.generation, "plugins": rows})

    @app.get("/control/history")
    async def history() -> Response:
        await trio.lowlevel.checkpoint()  # ticks that wait go before an answer is made
        asked = of_daemon()
        return _json({"generation": asked.generation, "reloads": asked.history()})


async def _answered(asked: Awaitable[ReloadReply | ReloadRefused]) -> ReloadReply:
    answer = await asked
    if isinstance(answer, ReloadRefused):
        raise FaultError(_fault_of(answer))
    return answer


def _body(reply: ReloadReply) -> dict[str, Any]:
    changes = attrs.asdict(reply.changes) if reply.changes is not None else {}
    return {
        **told_value("", dict(reply.effective)),
        **changes,
        "versions": dict(reply.plugins),
        "generation": reply.generation,
        "applied_at": answers.rfc3339(reply.applied_at_ns),
    }


def _fault_of(refused: ReloadRefused) -> Fault:
    return Fault(
        status=STATUS.get(refused.code, 409),
        code=refused.code,
        message=told_text(refused.message),
        field=told_text(refused.field),
        allowed=told_text(refused.allowed),
        step=refused.step,
        plugin=told_text(refused.plugin),
    )


def _who() -> str:
    return f"control {request.remote_addr or 'unknown'}"


def _json(body: Mapping[str, Any]) -> Response:
    return Response(answers.encode(body), content_type="application/json")
