"""Commands over HTTP: strict bodies, the token, other origins, limits of time and number."""

import orjson
import pytest
import trio
import trio.testing

from polytrade.control.app import COMMANDS_MAX
from polytrade.errors import ConfigError
from polytrade.runtime.command_requests import (
    Closed,
    Command,
    Commands,
    Flatten,
    FlattenReply,
    Left,
    Pause,
    PauseReply,
    Refusal,
    Reply,
    ResetReply,
    ResetShadow,
    Resume,
)
from polytrade.runtime.status import DaemonStatus
from tests.control.app_samples import TOKEN, FakeDaemon, answer, app_of, nothing_changed


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


def test_other_addresses_without_a_token_make_no_application() -> None:
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
