"""Webhooks for polytrade: each batch of notices is posted to one address."""

import ipaddress
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Final
from urllib.parse import urlsplit

import attrs
import httpx2

from polytrade.api import ConfigError, Notice, NotifyError, hookimpl, read_secret, setting
from polytrade_webhook.bodies import (
    Post,
    delivery_id,
    discord_posts,
    json_posts,
    signature,
    slack_posts,
)

__version__ = "0.1.0"
polytrade_api = 1

KINDS: Final = (
    *("fill", "halt", "reload", "quarantine", "alarm"),
    *("daily", "started", "stopped", "resolved"),
)
POSTS: Final[Mapping[str, Callable[[Sequence[Notice]], list[Post]]]] = {
    "json": json_posts,
    "discord": discord_posts,
    "slack": slack_posts,
}
REQUEST_S: Final = 10.0
"""Longest the receiver may be silent; the daemon bounds the whole batch besides."""
BODY_BYTES_MAX: Final = 2**16
"""Most that is read of an answer, whose status says everything."""
LATER: Final = frozenset({408, 409, 425, 429})
"""Statuses below 500 that may pass; every other one says that the batch is not wanted."""
SECRET_MIN: Final = 16
"""Characters of a signing secret: fewer can be guessed."""


@attrs.define
class Webhook:
    """Posts notices to `url`, signed when there is a secret."""

    url: str = setting("", "address; https unless loopback")
    url_env: str = setting(
        "POLYTRADE_WEBHOOK_URL", "environment variable that holds the address, if `url` is empty"
    )
    url_file: str = setting(
        "", "file (mode 0600) that holds the address, for addresses that are secrets themselves"
    )
    layout: str = setting(
        "json", "what is posted: everything, or one text", choices=("json", "discord", "slack")
    )
    kinds: tuple[str, ...] = setting(KINDS, "what is told", choices=KINDS)
    secret_env: str = setting(
        "POLYTRADE_WEBHOOK_SECRET", "environment variable that holds the signing secret"
    )
    secret_file: str = setting("", "file (mode 0600) that holds the signing secret")
    signed: bool = setting(True, "sign what is posted; needs a secret (never for discord, slack)")
    _secret: str | None = attrs.field(init=False, default=None, repr=False, eq=False)
    _address: str = attrs.field(init=False, default="", repr=False, eq=False)
    _now_s: Callable[[], float] = attrs.field(init=False, default=time.time, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        if self.url:
            _check_address(self.url)

    def self_check(self) -> None:
        """Raises when there is no address, or no secret although `signed`."""
        self._where()
        self._key()

    async def notify(self, notices: Sequence[Notice], http: httpx2.AsyncClient) -> None:
        """Post the notices; NotifyError for anything but a 2xx. Redirects are not followed."""
        told = 0
        for post in POSTS[self.layout](notices):
            failure = await self._post(post.body, http)
            if failure is not None:
                failure.delivered = told
                raise failure
            told = post.told

    async def _post(self, body: bytes, http: httpx2.AsyncClient) -> NotifyError | None:
        address = self._where()
        host = urlsplit(address).hostname
        try:
            url = httpx2.URL(address)
            # The path may be a secret, and the client writes URLs into its log: it is given apart.
            async with http.stream(
                "POST",
                url.copy_with(raw_path=b"/"),
                extensions={"target": url.raw_path},
                content=body,
                headers=self._headers(body),
                timeout=httpx2.Timeout(REQUEST_S),
                follow_redirects=False,
            ) as answer:
                await _passed_over(answer)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            reason = f"{host}: {type(error).__name__}"  # the error itself names the address
        else:
            return _refusal(f"{host}: HTTP {answer.status_code}", answer)
        return NotifyError(reason)

    def _headers(self, body: bytes) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "X-Polytrade-Delivery": delivery_id(body)}
        key = self._key()
        if key:
            stamp = str(int(self._now_s()))
            headers["X-Polytrade-Timestamp"] = stamp
            headers["X-Polytrade-Signature"] = signature(key, stamp, body)
        return headers

    def _where(self) -> str:
        """The address, read once; ConfigError or ValueError without a good one."""
        if not self._address:
            address = self.url or read_secret(self.url_env, self.url_file)
            _check_address(address)
            self._address = address
        return self._address

    def _key(self) -> str:
        """The signing secret, read once; empty when nothing is signed."""
        if not self.signed or self.layout != "json":
            return ""
        if self._secret is None:
            secret = read_secret(self.secret_env, self.secret_file)
            if len(secret) < SECRET_MIN:
                raise ConfigError(f"expected a secret of at least {SECRET_MIN} characters")
            self._secret = secret
        return self._secret


@hookimpl
def polytrade_notifiers() -> Mapping[str, type[Webhook]]:
    """Offer `webhook`."""
    return {"webhook": Webhook}


async def _passed_over(answer: httpx2.Response) -> None:
    """Read a body to its end, so that the connection serves again; one without end is left."""
    read = 0
    async with aclosing(answer.aiter_raw()) as chunks:
        async for chunk in chunks:
            read += len(chunk)
            if read > BODY_BYTES_MAX:
                return


def _refusal(said: str, answer: httpx2.Response) -> NotifyError | None:
    status = answer.status_code
    if 200 <= status < 300:
        return None
    if 300 <= status < 400:
        return NotifyError(f"{said}: redirects are not followed", refused=True)
    if status in LATER or status >= 500:
        return NotifyError(said, _asked_s(answer.headers.get("Retry-After", "")))
    return NotifyError(said, refused=True)


def _asked_s(header: str) -> float:
    """The seconds that `Retry-After` asks for; 0 for none, and for a date, which needs a clock."""
    try:
        asked = float(header)
    except ValueError:
        return 0.0
    return asked if 0.0 < asked < float("inf") else 0.0


def _check_address(address: str) -> None:
    """ValueError for what is no https address, or http beyond this machine; it shows none."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or port == 0 or parts.username is not None:
        raise ValueError("url: expected an address such as https://example.org/hook")
    if parts.scheme != "https" and not (parts.scheme == "http" and _loopback(host)):
        raise ValueError(f"url: expected an https address, found {parts.scheme!r} for {host}")


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
