"""Telegram for polytrade: notices in a chat, and commands from it where they are switched on."""

import ipaddress
import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import attrs
import httpx2

from polytrade.api import Notice, NotifyError, Operator, hookimpl, read_secret, setting
from polytrade_telegram.bot_api import BotApi
from polytrade_telegram.commands import Stranger, answer, read_update
from polytrade_telegram.messages import Message, messages

__version__ = "0.1.0"
polytrade_api = 1

log = logging.getLogger(__name__)

KINDS: Final = (
    *("fill", "halt", "reload", "quarantine", "alarm"),
    *("daily", "started", "stopped", "resolved"),
)
TOKEN: Final = re.compile(r"[0-9]{3,20}:[A-Za-z0-9_-]{20,100}")
"""A bot's token: its id, a colon, and letters that need no quoting in a URL."""
POLL_S: Final = 50
"""Longest the server is asked to hold a call for updates: its own maximum."""
UPDATES_MAX: Final = 20
"""Updates taken at once; nobody types faster."""


@attrs.define
class Telegram:
    """Tells chats what happens, and heeds commands from them when `commands` is on."""

    chats: tuple[int, ...] = setting((), "chats that are told, by id; ids of groups are negative")
    kinds: tuple[str, ...] = setting(KINDS, "what is told", choices=KINDS)
    silent: tuple[str, ...] = setting(
        ("fill", "resolved"), "what is told without a sound", choices=KINDS
    )
    commands: bool = setting(False, "heed commands from these chats")
    users: tuple[int, ...] = setting(
        (), "who may command in a group, by user id; a private chat of `chats` needs none"
    )
    token_env: str = setting(
        "POLYTRADE_TELEGRAM_TOKEN", "environment variable that holds the bot's token"
    )
    token_file: str = setting("", "file (mode 0600) that holds the bot's token")
    api_url: str = setting("https://api.telegram.org", "Bot API server; https unless loopback")
    _api: BotApi | None = attrs.field(init=False, default=None, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        parts = urlsplit(self.api_url)
        if parts.scheme != "https" and not (parts.scheme == "http" and _loopback(parts.hostname)):
            raise ValueError("api_url: expected an https address")

    def self_check(self) -> None:
        """Raises when there is no chat, or no token that could be one."""
        if not self.chats:
            raise ValueError("chats: expected at least one chat id")
        self._bot()

    async def notify(self, notices: Sequence[Notice], http: httpx2.AsyncClient) -> None:
        """Send the notices to every chat, in the fewest messages.

        A chat that refuses (it is gone, or the bot was blocked) is left out as long as another one
        takes the message.
        """
        told = 0
        for message in messages(notices, self.silent):
            try:
                await self._send(message, http)
            except NotifyError as error:
                raise NotifyError(
                    error.reason, error.retry_after_s, delivered=told, refused=error.refused
                ) from None
            told = message.told

    async def listen(self, operator: Operator, http: httpx2.AsyncClient) -> None:
        """Heed commands until cancelled.

        What was sent while nobody listened is forgotten: a late `/resume` must not trade.
        """
        bot = self._bot()
        me = await bot.call(http, "getMe")
        name = str(me.get("username", "")) if isinstance(me, dict) else ""
        offset = _next(await bot.call(http, "getUpdates", offset=-1, timeout=0), 0)
        log.info("telegram: commands are heeded")
        while True:
            updates = await bot.call(
                http,
                "getUpdates",
                wait_s=POLL_S,
                offset=offset,
                timeout=POLL_S,
                limit=UPDATES_MAX,
                allowed_updates=["message"],
            )
            for update in updates if isinstance(updates, list) else []:
                offset = _next([update], offset)
                if isinstance(update, dict):
                    await self._heed(update, name, operator, http)

    async def _send(self, message: Message, http: httpx2.AsyncClient) -> None:
        refusals: list[NotifyError] = []
        for chat in self.chats:
            try:
                await self._say(chat, message.html, http, silent=message.silent)
            except NotifyError as error:
                if not error.refused:
                    raise
                refusals.append(error)
        if len(refusals) == len(self.chats):
            raise refusals[0]
        for refusal in refusals:
            log.warning("telegram: a chat takes no messages: %s", refusal.reason)

    async def _heed(
        self, update: Mapping[str, Any], name: str, operator: Operator, http: httpx2.AsyncClient
    ) -> None:
        asked = read_update(update, name, self.chats, self.users)
        if asked is None:
            return
        if isinstance(asked, Stranger):
            log.warning("telegram: command of a stranger, chat %d, user %d", asked.chat, asked.user)
            return
        log.info("telegram: command %r from chat %d", asked.name, asked.chat)
        await self._say(asked.chat, await answer(asked, operator), http)

    async def _say(
        self, chat: int, html: str, http: httpx2.AsyncClient, *, silent: bool = False
    ) -> None:
        await self._bot().call(
            http,
            "sendMessage",
            chat_id=chat,
            text=html,
            parse_mode="HTML",
            disable_notification=silent,
        )

    def _bot(self) -> BotApi:
        """The bot, with its token read once; ConfigError or ValueError without a good one."""
        if self._api is None:
            token = read_secret(self.token_env, self.token_file)
            if not TOKEN.fullmatch(token):
                raise ValueError("expected a bot token (digits, a colon, letters), found another")
            self._api = BotApi(self.api_url, token)
        return self._api


@hookimpl
def polytrade_notifiers() -> Mapping[str, type[Telegram]]:
    """Offer `telegram`."""
    return {"telegram": Telegram}


def _next(updates: Any, offset: int) -> int:
    """The offset that confirms these updates."""
    for update in updates if isinstance(updates, list) else []:
        number = update.get("update_id") if isinstance(update, dict) else None
        if isinstance(number, int):
            offset = max(offset, number + 1)
    return offset


def _loopback(host: str | None) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False
