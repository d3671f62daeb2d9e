"""Every endpoint and every refusal, through Quart's own test client."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest
import trio
import trio.testing
from quart.testing import QuartClient

from polytrade.config import Control
from polytrade.control.app import COMMANDS_MAX, ControlApp, create_app
from polytrade.control.routes import ENDPOINTS
from polytrade.errors import ConfigError
from polytrade.runtime.status import (
    Closed,
    Command,
    Commands,
    DaemonStatus,
    FeedRow,
    Flatten,
    FlattenReply,
    HostRow,
    Left,
    Pause,
    PauseReply,
    Refusal,
    Reply,
    ResetReply,
    ResetShadow,
    Resume,
    TaskRow,
)
from tests.control.status_samples import status

TOKEN = "correct-horse"


def app_of(
    now: Callable[[], DaemonStatus] = status,
    commands: Commands | None = None,
    token: str | None = None,
    **settings: Any,
) -> ControlApp:
    return create_app(now, commands or Commands(), Control(**settings), token)


async def answer(client: QuartClient, path: str) -> tuple[int, Any]:
    response = await client.get(path)
    return response.status_code, orjson.loads(await response.get_data())


class FakeDaemon:
    """Takes commands and answers them from a table."""

    def __init__(self, replies: dict[Command, Reply | Refusal]) -> None:
        self.commands = Commands()
        self.seen: list[Command] = []
        self._replies = replies

    async def run(self) -> None:
        async for request in self.commands.requests:
            self.seen.append(request.command)
            request.reply(self._replies[request.command])


def nothing_changed(commands: Commands) -> bool:
    return commands.requests.statistics().current_buffer_used == 0


async def test_index_lists_every_route() -> None:
    app = app_of()
    code, body = await answer(app.test_client(), "/")
    assert code == 200
    assert body == {"polytrade": "0.1.0", "endpoints": dict(ENDPOINTS)}
    routes = {
        f"{method} {rule.rule}"
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert routes == set(ENDPOINTS)


async def test_health_tells_tasks_feeds_and_hosts() -> None:
    code, body = await answer(app_of().test_client(), "/health")
    assert code == 200
    assert body == {
        "status": "ok",
        "ready": True,
        "paused": False,
        "mode": "paper",
        "engine_mode": "run",
        "engine_why": "",
        "version": "0.1.0",
        "run_id": "run-7",
        "uptime_sec": 3723.456,
        "tasks": [{"name": "strategy", "state": "running", "restarts": 0, "last_error": ""}],
        "feeds": [
            {
                "name": "binance/0",
                "connected": True,
                "stale": False,
                "last_message_age_ms": 12,
                "rate": 100.5,
                "messages": 9000,
                "malformed": 1,
                "reconnects": 2,
                "last_error": "",
            }
        ],
        "hosts": [
            {
                "name": "clob.example",
                "reachable": True,
                "last_error": "",
                "since": "2026-09-21T14:13:20.123Z",
            }
        ],
    }


@pytest.mark.parametrize(
    ("changes", "state", "code"),
    [
        ({}, "ok", 200),
        ({"paused": True}, "ok", 200),
        ({"tasks": (TaskRow(name="feeds", state="waiting"),)}, "degraded", 200),
        ({"feeds": (FeedRow(name="okx/0", connected=False),)}, "degraded", 200),
        ({"feeds": (FeedRow(name="okx/0", connected=True, stale=True),)}, "degraded", 200),
        ({"hosts": (HostRow(name="h", reachable=False),)}, "degraded", 200),
        ({"hosts": (HostRow(name="h", reachable=None),)}, "ok", 200),
        ({"engine_mode": "reduce"}, "degraded", 200),
        ({"engine_mode": "halt"}, "halted", 503),
    ],
)
async def test_health_status_follows_its_parts(
    changes: dict[str, object], state: str, code: int
) -> None:
    client = app_of(lambda: status(**changes)).test_client()
    found, body = await answer(client, "/health")
    assert (found, body["status"]) == (code, state)


@pytest.mark.parametrize(
    ("book", "reference", "code"), [(False, True, 503), (True, False, 503), (True, True, 200)]
)
async def test_ready_waits_for_first_book_and_reference(
    book: bool, reference: bool, code: int
) -> None:
    now = status(first_book_seen=book, first_reference_seen=reference)
    client = app_of(lambda: now).test_client()
    assert (await answer(client, "/health?ready=1"))[0] == code
    assert (await answer(client, "/health"))[0] == 200


async def test_ready_takes_only_0_or_1() -> None:
    code, body = await answer(app_of().test_client(), "/health?ready=yes")
    assert code == 400
    assert body["error"]["field"] == "ready"
    assert body["error"]["allowed"] == "0, 1"


async def test_positions_are_exact_and_only_where_something_is_booked() -> None:
    response = await app_of().test_client().get("/state/positions")
    raw = await response.get_data()
    assert b'"avg_yes":0.48,' in raw  # 6.000001 / 12.5, rounded down
    assert orjson.loads(raw) == {
        "ts": "2026-09-21T14:13:20.123Z",
        "positions": [
            {
                "market": "0xab",
                "slug": "btc-updown-5m-1790000100",
                "symbol": "BTC",
                "phase": "open",
                "book_state": "synced",
                "yes": 12.5,
                "no": 0,
                "avg_yes": 0.48,
                "avg_no": None,
                "realized_usdc": -1.25,
                "unrealized_usdc": 0.05,
                "fees_usdc": 0.00123,
                "mark_yes": 0.48,
                "exposure_usdc": 8.35,
                "open_orders": [
                    {
                        "order_id": "o-1",
                        "token": "yes",
                        "side": "buy",
                        "price": 0.47,
                        "size": 5,
                        "filled": 0,
                        "state": "live",
                        "engine": "maker",
                    }
                ],
            }
        ],
    }


async def test_pnl_is_exact() -> None:
    response = await app_of().test_client().get("/state/pnl")
    assert await response.get_data() == (
        b'{"ts":"2026-09-21T14:13:20.123Z","realized":12.345678,"unrealized":-0.5,'
        b'"fees":0.00123,"rebates":0,"equity":1012.34,"equity_mid":1012.4,"peak_equity":1013,'
        b'"max_drawdown_pct":0.0012,"daily_pnl":11}\n'
    )


async def test_quality_has_null_for_what_was_never_measured() -> None:
    code, body = await answer(app_of().test_client(), "/quality")
    assert code == 200
    assert body["data_valid_ratio"] == 0.99
    assert body["seq_gap_rate"] is None
    assert body["stale_tick_drop_ratio"] == 0.025
    assert body["events"] == {"book_changed": 41}
    assert body["hashes"] == {
        "verified": 1,
        "unverified": 1,
        "suspect": 0,
        "matched": 40,
        "mismatched": 2,
        "not_checkable": 3,
    }
    assert body["latency"]["ack_only_ms"] == {"count": 0, "p50": None, "p90": None, "p99": None}
    assert body["latency"]["tick_to_decision_ms"]["count"] == 100
    assert body["engine"] == {"snapshots": 4}


@pytest.mark.parametrize(
    ("path", "body", "command", "reply", "expected"),
    [
        ("pause", b"", Pause(), PauseReply(True), {"ok": True, "paused": True}),
        ("pause", b"{}", Pause(), PauseReply(True), {"ok": True, "paused": True}),
        ("resume", b"", Resume(False), PauseReply(False), {"ok": True, "paused": False}),
        (
            "resume",
            b'{"clear_halt":true}',
            Resume(True),
            PauseReply(False),
            {"ok": True, "paused": False},
        ),
        (
            "reset_shadow",
            b"",
            ResetShadow(),
            ResetReply(4),
            {"ok": True, "shadow_reset": True, "window_id": 4},
        ),
        (
            "flatten",
            b"",
            Flatten(),
            FlattenReply(
                cancelled=("o-1",),
                closed=(
                    Closed(
                        market="0xab",
                        slug="s",
                        token="yes",
                        side="sell",
                        size_e6=12_500_000,
                        price_e4=4750,
                    ),
                ),
                left=(Left(market="0xcd", slug="t", token="no", size_e6=1_000_000, why="no bids"),),
            ),
            {
                "ok": False,
                "cancelled": ["o-1"],
                "closed": [
                    {
                        "market": "0xab",
                        "slug": "s",
                        "token": "yes",
                        "side": "sell",
                        "size": 12.5,
                        "price": 0.475,
                        "notional_usdc": 5.9375,
                    }
                ],
                "left": [
                    {"market": "0xcd", "slug": "t", "token": "no", "size": 1, "why": "no bids"}
                ],
            },
        ),
    ],
)
async def test_command_is_sent_once_and_answered(
    nursery: trio.Nursery,
    path: str,
    body: bytes,
    command: Command,
    reply: Reply,
    expected: dict[str, object],
) -> None:
    daemon = FakeDaemon({command: reply})
    nursery.start_soon(daemon.run)
    client = app_of(commands=daemon.commands).test_client()
    response = await client.post(f"/control/{path}", data=body)
    assert response.status_code == 200
    assert orjson.loads(await response.get_data()) == expected
    assert daemon.seen == [command]
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("code", "status_code"), [("halted", 409), ("busy", 503)])
async def test_refusal_of_the_daemon_reaches_the_client(
    nursery: trio.Nursery, code: str, status_code: int
) -> None:
    daemon = FakeDaemon({Resume(False): Refusal(code, "because")})
    nursery.start_soon(daemon.run)
    response = await app_of(commands=daemon.commands).test_client().post("/control/resume")
    assert response.status_code == status_code
    assert orjson.loads(await response.get_data()) == {
        "error": {"code": code, "message": "because", "field": "", "allowed": ""}
    }
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("path", "body", "code", "field", "allowed"),
    [
        ("pause", b'{"x":1}', "unknown_field", "x", "no fields"),
        ("resume", b'{"clear_hat":true}', "unknown_field", "clear_hat", "clear_halt"),
        ("resume", b'{"clear_halt":1}', "invalid_value", "clear_halt", "true or false"),
        ("resume", b'{"clear_halt":"true"}', "invalid_value", "clear_halt", "true or false"),
        ("resume", b'{"clear_halt":null}', "invalid_value", "clear_halt", "true or false"),
        ("resume", b'{"clear_halt":NaN}', "invalid_json", "", "NaN and infinity"),
        ("resume", b'{"clear_halt":', "invalid_json", "", "a JSON object"),
        ("resume", b"\xff\xfe", "invalid_json", "", "a JSON object"),
        ("resume", b"[true]", "invalid_body", "", "a JSON object"),
        ("flatten", b"null", "invalid_body", "", "a JSON object"),
        ("reset_shadow", b'{"window_id":3}', "unknown_field", "window_id", "no fields"),
    ],
)
async def test_bad_body_is_refused_and_changes_nothing(
    path: str, body: bytes, code: str, field: str, allowed: str
) -> None:
    commands = Commands()
    response = await app_of(commands=commands).test_client().post(f"/control/{path}", data=body)
    assert response.status_code == 400
    error = orjson.loads(await response.get_data())["error"]
    assert set(error) == {"code", "message", "field", "allowed"}
    assert (error["code"], error["field"]) == (code, field)
    assert allowed in error["allowed"]
    assert nothing_changed(commands)


async def test_body_beyond_the_limit_is_refused_and_changes_nothing() -> None:
    commands = Commands()
    client = app_of(commands=commands, max_body_bytes=1024).test_client()
    response = await client.post("/control/pause", data=b" " * 1025)
    assert response.status_code == 413
    assert orjson.loads(await response.get_data())["error"] == {
        "code": "body_too_large",
        "message": "expected at most 1024 bytes of body, found more",
        "field": "",
        "allowed": "1024 bytes",
    }
    assert nothing_changed(commands)


@pytest.mark.parametrize("header", [None, "Bearer wrong", "Basic correct-horse"])
async def test_post_needs_the_token_and_changes_nothing_without(header: str | None) -> None:
    commands = Commands()
    client = app_of(commands=commands, token=TOKEN).test_client()
    headers = {} if header is None else {"Authorization": header}
    response = await client.post("/control/pause", headers=headers)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    body = await response.get_data()
    assert orjson.loads(body)["error"]["code"] == "unauthorized"
    assert TOKEN.encode() not in body
    assert nothing_changed(commands)


async def test_post_with_the_token_is_taken(nursery: trio.Nursery) -> None:
    daemon = FakeDaemon({Pause(): PauseReply(True)})
    nursery.start_soon(daemon.run)
    client = app_of(commands=daemon.commands, token=TOKEN).test_client()
    response = await client.post("/control/pause", headers={"Authorization": f"Bearer {TOKEN}"})
    assert response.status_code == 200
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("path", ["/health", "/metrics", "/state/pnl"])
async def test_reads_are_open_when_a_token_is_set(path: str) -> None:
    response = await app_of(token=TOKEN, host="0.0.0.0").test_client().get(path)
    assert response.status_code == 200


async def test_other_addresses_without_a_token_make_no_application() -> None:
    with pytest.raises(ConfigError, match="is not loopback"):
        app_of(host="0.0.0.0")


async def test_page_of_another_origin_commands_nothing() -> None:
    commands = Commands()
    client = app_of(commands=commands).test_client()
    response = await client.post("/control/pause", headers={"Origin": "https://evil.example"})
    assert response.status_code == 403
    assert orjson.loads(await response.get_data())["error"]["code"] == "cross_origin"
    assert nothing_changed(commands)


async def test_rebound_name_reads_nothing() -> None:
    response = await app_of().test_client().get("/state/pnl", headers={"Host": "evil.example"})
    assert response.status_code == 403
    assert orjson.loads(await response.get_data())["error"]["code"] == "wrong_host"


async def test_unknown_path_is_a_json_error() -> None:
    code, body = await answer(app_of().test_client(), "/nothing")
    assert code == 404
    assert body["error"]["code"] == "not_found"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("GET", "/control/pause", "OPTIONS, POST"), ("POST", "/health", "GET, HEAD, OPTIONS")],
)
async def test_wrong_method_is_a_json_error(method: str, path: str, allowed: str) -> None:
    response = await app_of().test_client().open(path, method=method)
    assert response.status_code == 405
    assert response.headers["Allow"] == allowed
    error = orjson.loads(await response.get_data())["error"]
    assert (error["code"], error["allowed"]) == ("method_not_allowed", allowed)


async def test_our_own_failure_shows_no_traceback() -> None:
    def broken() -> DaemonStatus:
        raise ZeroDivisionError("inside")

    code, body = await answer(app_of(broken).test_client(), "/health")
    assert code == 500
    assert body["error"] == {
        "code": "internal",
        "message": "the request failed; the log says why",
        "field": "",
        "allowed": "",
    }


async def test_answers_are_never_kept_by_caches() -> None:
    response = await app_of().test_client().get("/health")
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Content-Type"] == "application/json"


async def test_request_has_a_time_limit_and_its_command_goes_on(
    autojump_clock: trio.testing.MockClock,
) -> None:
    commands = Commands()
    client = app_of(commands=commands, request_limit_s=10.0).test_client()
    began_s = trio.current_time()
    response = await client.post("/control/flatten")
    assert trio.current_time() - began_s == pytest.approx(10.0)
    assert response.status_code == 504
    assert orjson.loads(await response.get_data())["error"]["code"] == "timeout"
    assert commands.requests.receive_nowait().command == Flatten()


async def test_commands_at_once_are_capped_and_never_hide_health(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    commands = Commands()
    app = app_of(commands=commands)

    async def send(path: str) -> None:
        await app.test_client().post(path)

    for _ in range(COMMANDS_MAX):
        nursery.start_soon(send, "/control/flatten")
    await trio.testing.wait_all_tasks_blocked()
    response = await app.test_client().post("/control/pause")
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "1"
    assert orjson.loads(await response.get_data())["error"]["code"] == "busy"
    assert commands.requests.statistics().current_buffer_used == COMMANDS_MAX
    assert (await app.test_client().get("/health")).status_code == 200
    nursery.cancel_scope.cancel()


async def test_capacity_comes_back_after_each_request() -> None:
    client = app_of().test_client()
    for _ in range(20):
        assert (await client.get("/health")).status_code == 200
