"""The endpoints: reads answer from one snapshot, commands wait for the daemon's reply."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

import trio
from quart import Response, request
from quart_trio import QuartTrio

from polytrade.control import answers
from polytrade.control.errors import Fault, FaultError
from polytrade.control.exposition import CONTENT_TYPE, MetricsPage
from polytrade.control.schema import EmptyBody, ResumeBody, parse_body
from polytrade.runtime.command_requests import Commands, Refusal
from polytrade.runtime.report_requests import Reports
from polytrade.runtime.status import DaemonStatus

T = TypeVar("T")

ENDPOINTS: Final[Mapping[str, str]] = {
    "GET /": "this list",
    "GET /health": "health of the daemon, its tasks and its feeds; ?ready=1 waits for first data",
    "GET /metrics": "every metric of the contract, Prometheus text",
    "GET /quality": "data validity, book hashes, latencies",
    "GET /state/positions": "positions and open orders by market",
    "GET /state/pnl": "profit, fees, equity and drawdown",
    "GET /report/shadow/live": "the measuring window's numbers, and the gates' verdict",
    "GET /report/shadow/final": "the same; every report file is written",
    "GET /report/pnl/by_engine": "what each engine's fills were worth after 10 s",
    "GET /report/toxicity/live": "what is thought of each market",
    "GET /report/toxicity/final": "the same, with a verdict",
    "POST /control/pause": "no new orders; resting orders are cancelled",
    "POST /control/resume": 'quote again; {"clear_halt": true} also leaves a halt',
    "POST /control/flatten": "cancel every order, then close every position",
    "POST /control/reset_shadow": "begin a new measuring window",
    "GET /plugins": "every plugin: version, what it offers, what is in use, what is wrong",
    "GET /control/history": "reloads that were accepted or refused, newest last",
    "POST /control/reload_strategy": "maker and fair value: fields, plugin, code, settings",
    "POST /control/reload_taker": "the taker: fields, plugin, code, settings",
    "POST /control/reload_allocator": "the allocator: fields, plugin, code, settings",
    "POST /control/reload_risk": "limits",
    "POST /control/reload_toxicity": "when a market costs too much to trade",
    "POST /control/reload_perf_profile": "queues and batches of the files",
    "POST /control/reload_plugins": "what pip changed; feeds, risk rules, notifiers, code",
    "POST /plugins/rollback": "what was in force before the last reload",
}
"""What there is, as `GET /` tells it."""

REFUSED_STATUS: Final[Mapping[str, int]] = {"busy": 503, "stopping": 503, "no_report": 503}
"""Status codes of refusals that are no conflict with the daemon's state."""
NO_REPORTS: Final = Refusal("no_report", "reports are off: this process makes none")


def add_reads(app: QuartTrio, read: Callable[[], DaemonStatus]) -> None:
    """The GET endpoints."""
    page = MetricsPage(read)

    async def latest() -> DaemonStatus:
        await trio.lowlevel.checkpoint()  # ticks that wait go before an answer is made
        return read()

    @app.get("/")
    async def index() -> Response:
        return _json({"polytrade": (await latest()).version, "endpoints": dict(ENDPOINTS)})

    @app.get("/health")
    async def health() -> Response:
        wanted = request.args.get("ready", "0")
        if wanted not in {"0", "1"}:
            raise FaultError(
                Fault(
                    status=400,
                    code="invalid_value",
                    message=f"expected 0 or 1, found {wanted[:20]!r}",
                    field="ready",
                    allowed="0, 1",
                )
            )
        status = await latest()
        fine = status.health != "halted" and (wanted == "0" or status.ready)
        return _json(answers.health(status), 200 if fine else 503)

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(await page.read(), content_type=CONTENT_TYPE)

    @app.get("/quality")
    async def quality() -> Response:
        return _json(answers.quality(await latest()))

    @app.get("/state/positions")
    async def positions() -> Response:
        return _json(answers.positions(await latest()))

    @app.get("/state/pnl")
    async def pnl() -> Response:
        return _json(answers.pnl(await latest()))


def add_reports(app: QuartTrio, reports: Reports | None) -> None:
    """The GET endpoints of reports; each is refused where none are made."""

    async def answer(ask: Callable[[Reports], Awaitable[dict[str, Any] | Refusal]]) -> Response:
        await trio.lowlevel.checkpoint()  # ticks that wait go before a report is made
        if reports is None:
            raise FaultError(_fault_of(NO_REPORTS))
        return _json(await _reply(ask(reports)))

    @app.get("/report/shadow/live")
    async def shadow_live() -> Response:
        return await answer(lambda asked: asked.shadow_live())

    @app.get("/report/shadow/final")
    async def shadow_final() -> Response:
        return await answer(lambda asked: asked.shadow_final())

    @app.get("/report/pnl/by_engine")
    async def pnl_by_engine() -> Response:
        return await answer(lambda asked: asked.pnl_by_engine())

    @app.get("/report/toxicity/live")
    async def toxicity_live() -> Response:
        return await answer(lambda asked: asked.toxicity_live())

    @app.get("/report/toxicity/final")
    async def toxicity_final() -> Response:
        return await answer(lambda asked: asked.toxicity_final())


def add_commands(app: QuartTrio, commands: Commands) -> None:
    """The POST endpoints."""

    @app.post("/control/pause")
    async def pause() -> Response:
        await _body(EmptyBody)
        reply = await _reply(commands.pause())
        return _json({"ok": True, "paused": reply.paused})

    @app.post("/control/resume")
    async def resume() -> Response:
        body = await _body(ResumeBody)
        reply = await _reply(commands.resume(body.clear_halt))
        return _json({"ok": True, "paused": reply.paused})

    @app.post("/control/flatten")
    async def flatten() -> Response:
        await _body(EmptyBody)
        return _json(answers.flattened(await _reply(commands.flatten())))

    @app.post("/control/reset_shadow")
    async def reset_shadow() -> Response:
        await _body(EmptyBody)
        reply = await _reply(commands.reset_shadow())
        return _json({"ok": True, "shadow_reset": True, "window_id": reply.window_id})


async def _body(kind: type[T]) -> T:
    return parse_body(kind, await request.get_data(True, False, False))


async def _reply(asked: Awaitable[T | Refusal]) -> T:
    """The daemon's reply; a refusal becomes a fault, 409 unless it is about the daemon's load."""
    answer = await asked
    if isinstance(answer, Refusal):
        raise FaultError(_fault_of(answer))
    return answer


def _fault_of(refusal: Refusal) -> Fault:
    return Fault(
        status=REFUSED_STATUS.get(refusal.code, 409),
        code=refusal.code,
        message=refusal.message,
    )


def _json(body: Mapping[str, Any], status: int = 200) -> Response:
    return Response(answers.encode(body), status, content_type="application/json")
