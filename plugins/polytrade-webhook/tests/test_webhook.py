"""Webhooks against a local receiver: body, signature, refusals, and what leaks never."""

import hashlib
import hmac
import json
import logging
import traceback
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import polytrade_webhook
import pytest
from hook_server import HookServer, serve_hooks
from polytrade_webhook import Webhook, polytrade_notifiers
from polytrade_webhook.bodies import discord_posts, slack_posts

from polytrade.api import ConfigError, Notice, NotifyError
from polytrade.notices import KINDS

T0_NS = 1_790_000_000 * 10**9 + 5  # 2026-09-21T14:13:20Z
SECRET = "correct horse battery".replace(" ", "-")


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLYTRADE_WEBHOOK_SECRET", SECRET)


@pytest.fixture
async def server() -> AsyncIterator[HookServer]:
    async with serve_hooks() as serving:
        yield serving


@pytest.fixture
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(follow_redirects=True) as client:
        yield client


def made(server: HookServer, **settings: Any) -> Webhook:
    webhook = Webhook(**{"url": server.url, **settings})
    webhook._now_s = lambda: 1_790_000_003.9
    return webhook


def notice(text: str = "halted: daily_loss", kind: str = "halt") -> Notice:
    return Notice(kind, T0_NS, text, {"mode": "halt", "paused": False})


def test_plugin_offers_webhook_and_knows_every_kind() -> None:
    assert polytrade_notifiers() == {"webhook": Webhook}
    assert polytrade_webhook.KINDS == KINDS
    assert polytrade_webhook.polytrade_api == 1


async def test_notices_are_posted_as_signed_json(
    server: HookServer, http: httpx2.AsyncClient
) -> None:
    webhook = made(server)
    webhook.self_check()
    await webhook.notify([notice(), notice("ü", "alarm")], http)
    (request,) = server.received
    assert request.target == "/hook/secret-path"
    assert json.loads(request.body) == {
        "version": 1,
        "notices": [
            {
                "kind": "halt",
                "ts_ns": T0_NS,
                "time": "2026-09-21T14:13:20Z",
                "text": "halted: daily_loss",
                "data": {"mode": "halt", "paused": False},
            },
            {
                "kind": "alarm",
                "ts_ns": T0_NS,
                "time": "2026-09-21T14:13:20Z",
                "text": "ü",
                "data": {"mode": "halt", "paused": False},
            },
        ],
    }
    headers = request.headers
    assert headers["x-polytrade-timestamp"] == "1790000003"
    signed = b"1790000003." + request.body
    expected = hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    assert headers["x-polytrade-signature"] == f"sha256={expected}"
    assert headers["content-type"] == "application/json"


async def test_same_body_sent_again_has_the_same_delivery(
    server: HookServer, http: httpx2.AsyncClient
) -> None:
    for batch in ([notice()], [notice()], [notice("other")]):
        await made(server).notify(batch, http)
    first, again, other = [each.headers["x-polytrade-delivery"] for each in server.received]
    assert first == again != other


async def test_unsigned_when_that_is_wanted(server: HookServer, http: httpx2.AsyncClient) -> None:
    await made(server, signed=False).notify([notice()], http)
    assert "x-polytrade-signature" not in server.received[0].headers


async def test_discord_gets_texts_that_mention_nobody(
    server: HookServer, http: httpx2.AsyncClient
) -> None:
    await made(server, layout="discord").notify([notice("@everyone *x*"), notice("y")], http)
    (request,) = server.received
    assert json.loads(request.body) == {
        "content": "halt 14:13:20 @everyone \\*x\\*\nhalt 14:13:20 y",
        "allowed_mentions": {"parse": []},
    }
    assert "x-polytrade-signature" not in request.headers


async def test_slack_gets_a_text_that_mentions_nobody(
    server: HookServer, http: httpx2.AsyncClient
) -> None:
    await made(server, layout="slack").notify([notice("<!channel> & co")], http)
    body = json.loads(server.received[0].body)
    assert body["text"] == "halt 14:13:20 &lt;!channel&gt; &amp; co"
    assert body["mrkdwn"] is False


def test_long_batches_become_several_texts_below_the_limit() -> None:
    batch = [notice("x" * 480) for _ in range(10)]
    for posts, most, field in (
        (discord_posts(batch), 2_000, "content"),
        (slack_posts(batch), 3_000, "text"),
    ):
        texts = [json.loads(post.body)[field] for post in posts]
        assert all(len(text) <= most for text in texts)
        assert sum(text.count("halt 14:13:20") for text in texts) == 10
        assert posts[-1].told == 10
    (huge,) = discord_posts([notice("*" * 9_000)])
    assert len(json.loads(huge.body)["content"]) == 2_000


@pytest.mark.parametrize(("more", "told"), [(0, [2]), (1, [1, 2])])
def test_text_is_filled_to_the_last_character(more: int, told: list[int]) -> None:
    head = len("halt 14:13:20 ")
    posts = discord_posts([notice("x" * 1_000), notice("y" * (999 - 2 * head + more))])
    assert [post.told for post in posts] == told
    texts = [json.loads(post.body)["content"] for post in posts]
    assert len("\n".join(texts)) == 2_000 + more


async def test_what_was_told_before_a_failure_is_said(
    server: HookServer, http: httpx2.AsyncClient
) -> None:
    server.answers = [(200, {}, b"ok"), (429, {"Retry-After": "17"}, b"{}")]
    with pytest.raises(NotifyError) as caught:
        batch = [notice("x" * 480) for _ in range(10)]
        await made(server, layout="discord").notify(batch, http)
    error = caught.value
    assert (error.delivered, error.retry_after_s, error.refused) == (4, 17.0, False)


@pytest.mark.parametrize(
    ("status", "headers", "retry_after_s", "refused"),
    [
        (500, {}, 0.0, False),
        (503, {"Retry-After": "30"}, 30.0, False),
        (503, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, 0.0, False),
        (503, {"Retry-After": "nan"}, 0.0, False),
        (429, {"Retry-After": "1.5"}, 1.5, False),
        (408, {}, 0.0, False),
        (409, {}, 0.0, False),
        (425, {}, 0.0, False),
        (400, {}, 0.0, True),
        (401, {}, 0.0, True),
        (410, {}, 0.0, True),
    ],
)
async def test_status_says_whether_it_is_tried_again(
    server: HookServer,
    http: httpx2.AsyncClient,
    status: int,
    headers: dict[str, str],
    retry_after_s: float,
    refused: bool,
) -> None:
    server.answers = [(status, headers, b"no")]
    with pytest.raises(NotifyError) as caught:
        await made(server).notify([notice()], http)
    error = caught.value
    assert error.reason == f"127.0.0.1: HTTP {status}"
    assert (error.retry_after_s, error.refused) == (retry_after_s, refused)


async def test_answer_without_end_is_left_once_its_status_is_known() -> None:
    class Endless(httpx2.AsyncByteStream):
        read = 0

        async def __aiter__(self) -> AsyncIterator[bytes]:
            while True:
                self.read += 1
                yield b"x" * 1024

    body = Endless()
    transport = httpx2.MockTransport(lambda request: httpx2.Response(200, stream=body))
    async with httpx2.AsyncClient(transport=transport) as http:
        await Webhook(url="https://example.org/hook").notify([notice()], http)
    assert body.read == 65


async def test_redirect_is_not_followed_whatever_the_client_does(
    server: HookServer, http: httpx2.AsyncClient
) -> None:
    async with serve_hooks() as other:
        server.answers = [(307, {"Location": other.url}, b"")]
        with pytest.raises(NotifyError, match="redirects are not followed") as caught:
            await made(server).notify([notice()], http)
        assert caught.value.refused
        assert other.received == []
    assert len(server.received) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/hook",
        "ftp://example.org",
        "https://",
        "example.org/hook",
        "https://user:word@example.org/",
        "https://example.org:99999/",
        "http://localhost.example.org/",
    ],
)
def test_address_beyond_this_machine_must_be_https(url: str) -> None:
    with pytest.raises(ValueError, match="url: expected") as caught:
        Webhook(url=url)
    assert "word" not in str(caught.value)


def test_address_may_come_from_the_environment_or_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="POLYTRADE_WEBHOOK_URL in the environment"):
        Webhook().self_check()
    file = tmp_path / "address"
    file.write_text("https://discord.example/api/webhooks/1/abc\n")
    file.chmod(0o600)
    Webhook(url_file=str(file)).self_check()
    monkeypatch.setenv("POLYTRADE_WEBHOOK_URL", "http://example.org/abc")
    with pytest.raises(ValueError, match="expected an https address") as caught:
        Webhook().self_check()
    assert "abc" not in str(caught.value)


def test_self_check_wants_a_secret_unless_nothing_is_signed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = "https://example.org/hook"
    monkeypatch.setenv("POLYTRADE_WEBHOOK_SECRET", "short")
    with pytest.raises(ConfigError, match="at least 16 characters"):
        Webhook(url=url).self_check()
    monkeypatch.delenv("POLYTRADE_WEBHOOK_SECRET")
    with pytest.raises(ConfigError, match="POLYTRADE_WEBHOOK_SECRET"):
        Webhook(url=url).self_check()
    Webhook(url=url, signed=False).self_check()
    Webhook(url=url, layout="slack").self_check()


async def test_secret_and_address_are_in_no_log(
    server: HookServer, http: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)  # of every library: httpx2 logs the URL of each request
    await made(server, url=f"{server.url}?wait=true").notify([notice()], http)
    assert server.received[0].target == "/hook/secret-path?wait=true"
    assert "HTTP Request: POST" in caplog.text
    for secret in (SECRET, "secret-path", "wait=true"):
        assert secret not in caplog.text


async def test_secret_and_address_are_in_no_error_and_no_repr(
    http: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POLYTRADE_WEBHOOK_URL", "http://127.0.0.1:1/hook/secret-path")
    webhook = Webhook()
    webhook.self_check()
    with pytest.raises(NotifyError) as caught:
        await webhook.notify([notice()], http)
    error = caught.value
    printed = "".join(traceback.format_exception(error)) + repr([error, error.__context__])
    assert error.reason == "127.0.0.1: ConnectError"
    for secret in (SECRET, "secret-path"):
        assert secret not in printed + repr(webhook) + repr(error.__cause__)
