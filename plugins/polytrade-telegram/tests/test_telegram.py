"""Notices through a local Bot API server: what arrives, what is refused, and what leaks never."""

import logging
import traceback
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
import httpx2
import polytrade_telegram
import pytest
import trio
from polytrade_telegram import Telegram, polytrade_notifiers
from polytrade_telegram.messages import LENGTH_MAX, clipped, messages
from telegram_server import TOKEN, TelegramServer, parse_html, serve_telegram, too_many

from polytrade.api import ConfigError, Notice, NotifyError
from polytrade.notices import KINDS

T0_NS = 1_790_000_000 * 10**9  # 2026-09-21T14:13:20Z


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLYTRADE_TELEGRAM_TOKEN", TOKEN)


@pytest.fixture
async def server() -> AsyncIterator[TelegramServer]:
    async with serve_telegram() as serving:
        yield serving


@pytest.fixture
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient() as client:
        yield client


def made(server: TelegramServer, **settings: Any) -> Telegram:
    return Telegram(**{"chats": (7,), "api_url": server.url, **settings})


def notice(kind: str = "alarm", text: str = "a < b & c > d", ts_ns: int = T0_NS) -> Notice:
    return Notice(kind, ts_ns, text)


# -- messages --------------------------------------------------------------------------------------


def test_plugin_offers_telegram_and_knows_every_kind() -> None:
    assert polytrade_notifiers() == {"telegram": Telegram}
    assert polytrade_telegram.KINDS == KINDS
    assert polytrade_telegram.polytrade_api == 1


def test_notices_become_one_escaped_message() -> None:
    (message,) = messages([notice(), notice("halt", "halted: <b>")], ())
    assert message.html == (
        "<b>alarm</b> 14:13:20 a &lt; b &amp; c &gt; d\n<b>halt</b> 14:13:20 halted: &lt;b&gt;"
    )
    assert (message.told, message.silent) == (2, False)


def test_many_notices_are_split_between_notices_below_the_limit() -> None:
    batch = [notice("alarm", f"{n}:" + "&" * 480) for n in range(20)]
    made = messages(batch, ())
    assert [message.told for message in made] == [1, 2, 3, 4, 5, *range(6, 21)]
    assert all(len(message.html) <= LENGTH_MAX for message in made)
    few = messages([notice("alarm", "x" * 490) for _ in range(20)], ())
    assert [message.told for message in few] == [7, 14, 20]


@pytest.mark.parametrize(("more", "told"), [(0, [2]), (1, [1, 2])])
def test_message_is_filled_to_the_last_character(more: int, told: list[int]) -> None:
    head = len("<b>alarm</b> 14:13:20 ")
    batch = [notice("alarm", "x" * 2_000), notice("alarm", "y" * (2_095 - 2 * head + more))]
    made = messages(batch, ())
    assert [message.told for message in made] == told
    assert len("\n".join(message.html for message in made)) == LENGTH_MAX + more


def test_notice_longer_than_a_message_is_cut_outside_of_escapes() -> None:
    text = "&<>" * 2_000 + "\U0001f600" * 1_000
    made = messages([notice("alarm", text), notice("halt", "end")], ())
    shown = "".join(parse_html(message.html) for message in made).replace("\n", "")
    assert shown == "alarm 14:13:20 " + text + "halt 14:13:20 end"
    assert all(len(each.html.encode("utf-16-le")) // 2 <= LENGTH_MAX for each in made)
    assert [each.told for each in made] == [0] * (len(made) - 1) + [2]


def test_answers_keep_the_whole_lines_that_one_message_takes() -> None:
    kept = clipped(["x"] * 3_000)
    assert kept.endswith("x\n…")
    assert LENGTH_MAX - 10 <= len(kept) <= LENGTH_MAX
    assert clipped(["x"] * 2_000) == "\n".join("x" * 2_000)


def test_only_kinds_that_are_silent_make_no_sound() -> None:
    quiet = [notice("fill", "x")]
    assert messages(quiet, ("fill",))[0].silent
    assert not messages([*quiet, notice("halt", "y")], ("fill",))[0].silent


# -- sending ---------------------------------------------------------------------------------------


async def test_notices_arrive_in_every_chat(
    server: TelegramServer, http: httpx2.AsyncClient
) -> None:
    telegram = made(server, chats=(7, -1001))
    telegram.self_check()
    await telegram.notify([notice("fill", "bought 1 < 2")], http)
    assert [each["chat_id"] for each in server.sent] == [7, -1001]
    assert server.sent[0]["shown"] == "fill 14:13:20 bought 1 < 2"
    assert server.sent[0]["parse_mode"] == "HTML"
    assert server.sent[0]["disable_notification"] is True


async def test_rate_limit_asks_for_its_pause_and_says_what_was_told(
    server: TelegramServer, http: httpx2.AsyncClient
) -> None:
    server.refusals = [None, too_many(34)]
    with pytest.raises(NotifyError) as caught:
        await made(server).notify([notice("alarm", "x" * 490) for _ in range(20)], http)
    error = caught.value
    assert (error.retry_after_s, error.delivered, error.refused) == (34.0, 7, False)
    assert error.reason == "sendMessage: Too Many Requests: retry after 34"
    assert len(server.sent) == 1


@pytest.mark.parametrize("asked", [None, "soon", -3, True])
async def test_rate_limit_that_names_no_pause_waits_five_seconds(
    server: TelegramServer, http: httpx2.AsyncClient, asked: object
) -> None:
    server.refusals = [too_many(asked)]
    with pytest.raises(NotifyError) as caught:
        await made(server).notify([notice()], http)
    assert caught.value.retry_after_s == 5.0


@pytest.mark.parametrize(
    ("answer", "reason", "refused"),
    [
        ((502, b"<html>Bad Gateway"), "sendMessage: HTTP 502 without a description", False),
        ((200, b"[]"), "sendMessage: HTTP 200 without a description", False),
        ((200, b"[" * 100_000), "sendMessage: HTTP 200 without a description", False),
        ((302, b"{}"), "sendMessage: HTTP 302 without a description", False),
        ((200, b" " * (2**20 + 1)), "sendMessage: an answer of more than 1048576 bytes", False),
        (
            (400, b'{"ok":false,"description":"Bad Request: chat not found"}'),
            "sendMessage: Bad Request: chat not found",
            True,
        ),
        (
            (
                400,
                b'{"ok":false,"description":"Bad Request: upgraded",'
                b'"parameters":{"migrate_to_chat_id":-1002}}',
            ),
            "sendMessage: Bad Request: upgraded (the chat's id is -1002 now)",
            True,
        ),
    ],
)
async def test_answer_that_is_no_success_is_told_in_words(
    server: TelegramServer,
    http: httpx2.AsyncClient,
    answer: tuple[int, bytes],
    reason: str,
    refused: bool,
) -> None:
    server.refusals = [answer]
    with pytest.raises(NotifyError) as caught:
        await made(server).notify([notice()], http)
    assert (caught.value.reason, caught.value.refused) == (reason, refused)
    assert caught.value.retry_after_s == 0.0


async def test_chat_that_is_gone_does_not_silence_the_others(
    server: TelegramServer, http: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    server.gone_chats = {7}
    await made(server, chats=(7, 8)).notify([notice()], http)
    assert [each["chat_id"] for each in server.sent] == [8]
    assert "bot was blocked by the user" in caplog.text
    with pytest.raises(NotifyError) as caught:
        await made(server, chats=(7,)).notify([notice()], http)
    assert caught.value.refused


# -- the token -------------------------------------------------------------------------------------


def everything(error: BaseException) -> str:
    """All that could be printed of an error, its causes and contexts included."""
    seen: list[BaseException | None] = [error, error.__cause__, error.__context__]
    return "".join(traceback.format_exception(error)) + repr(seen) + str(error)


async def test_token_is_in_no_error_log_or_repr(
    server: TelegramServer, http: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)  # of every library: httpx2 logs the URL of each request
    told = f'{{"ok":false,"description":"no such bot{TOKEN}"}}'.encode()
    server.refusals = [(500, told)]
    failures = []
    nowhere = made(server, api_url="http://127.0.0.1:1")
    for telegram in (made(server), nowhere):
        with pytest.raises(NotifyError) as caught:
            await telegram.notify([notice()], http)
        failures.append(caught.value)
        assert TOKEN not in everything(caught.value)
        assert TOKEN not in repr(telegram) + repr(telegram._api)
        assert TOKEN not in str(attrs.asdict(telegram, recurse=False))
    assert [each.reason for each in failures] == [
        "sendMessage: no such bot***",
        "sendMessage: ConnectError",
    ]
    assert "HTTP Request: POST" in caplog.text
    assert TOKEN not in caplog.text


async def test_server_may_be_below_a_path(server: TelegramServer, http: httpx2.AsyncClient) -> None:
    server.prefix = "/api"
    await made(server, api_url=f"{server.url}/api/").notify([notice()], http)
    assert len(server.sent) == 1


async def test_redirect_is_not_followed_whatever_the_client_does(server: TelegramServer) -> None:
    server.redirect = f"{server.url}/elsewhere"
    async with httpx2.AsyncClient(follow_redirects=True) as http:
        with pytest.raises(NotifyError, match="sendMessage: HTTP 302"):
            await made(server).notify([notice()], http)
    assert server.paths == [f"/bot{TOKEN}/sendMessage"]


async def test_token_that_telegram_does_not_know_is_told(
    server: TelegramServer, http: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POLYTRADE_TELEGRAM_TOKEN", "999:" + "x" * 35)
    with pytest.raises(NotifyError) as caught:
        await made(server).notify([notice()], http)
    assert (caught.value.reason, caught.value.refused) == ("sendMessage: Unauthorized", False)


def test_self_check_wants_a_token_and_a_chat(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    Telegram(chats=(7,)).self_check()
    with pytest.raises(ValueError, match="chats: expected at least one chat id"):
        Telegram().self_check()
    monkeypatch.setenv("POLYTRADE_TELEGRAM_TOKEN", "../../evil?x=")
    with pytest.raises(ValueError, match="expected a bot token") as caught:
        Telegram(chats=(7,)).self_check()
    assert "evil" not in str(caught.value)
    monkeypatch.delenv("POLYTRADE_TELEGRAM_TOKEN")
    with pytest.raises(ConfigError, match="POLYTRADE_TELEGRAM_TOKEN in the environment"):
        Telegram(chats=(7,)).self_check()
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    file.chmod(0o600)
    Telegram(chats=(7,), token_file=str(file)).self_check()


@pytest.mark.parametrize("url", ["http://api.telegram.org", "ftp://localhost", "api.telegram.org"])
def test_token_travels_over_https_only_except_at_home(url: str) -> None:
    with pytest.raises(ValueError, match="api_url: expected an https address"):
        Telegram(chats=(7,), api_url=url)
    Telegram(chats=(7,), api_url="http://[::1]:8081")


async def test_server_that_never_answers_is_given_up(autojump_clock) -> None:
    class Silent(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            await trio.sleep_forever()

    async with httpx2.AsyncClient(transport=Silent()) as http:
        began_s = trio.current_time()
        with pytest.raises(NotifyError, match="sendMessage: no answer within 15 s"):
            await Telegram(chats=(7,)).notify([notice()], http)
        assert trio.current_time() - began_s == 15.0
