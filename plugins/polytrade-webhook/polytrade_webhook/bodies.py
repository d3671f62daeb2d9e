"""What is posted: signed JSON for programs, one text for Discord and Slack."""

import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from typing import Final

import attrs

from polytrade.api import Notice

DISCORD_MAX: Final = 2_000
"""Characters of a Discord message; longer ones are refused."""
SLACK_MAX: Final = 3_000
"""Characters of a Slack message: it takes 40,000, nobody reads them."""
VERSION: Final = 1
"""The number of the JSON layout; it grows when a field is taken away or changes."""


@attrs.frozen
class Post:
    """One request's body: `told` notices of the batch are told with it, those before included."""

    body: bytes
    told: int


def json_posts(notices: Sequence[Notice]) -> list[Post]:
    """All notices in one JSON body."""
    rows = [
        {
            "kind": notice.kind,
            "ts_ns": notice.ts_ns,
            "time": notice.time,
            "text": notice.text,
            "data": dict(notice.data),
        }
        for notice in notices
    ]
    return [Post(_json({"version": VERSION, "notices": rows}), len(notices))]


def discord_posts(notices: Sequence[Notice]) -> list[Post]:
    """Texts for a Discord webhook; nothing in them mentions anybody or is formatted."""

    def body(text: str) -> bytes:
        return _json({"content": text, "allowed_mentions": {"parse": []}})

    return _texts(notices, DISCORD_MAX, _markdown_escaped, body)


def slack_posts(notices: Sequence[Notice]) -> list[Post]:
    """Texts for a Slack incoming webhook; nothing in them mentions anybody or is formatted."""

    def body(text: str) -> bytes:
        return _json({"text": text, "mrkdwn": False, "unfurl_links": False})

    return _texts(notices, SLACK_MAX, _slack_escaped, body)


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """`sha256=` and the HMAC-SHA256, in hex, of the timestamp, a full stop and the body."""
    signed = timestamp.encode() + b"." + body
    return "sha256=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def delivery_id(body: bytes) -> str:
    """A name of this body: the same when it is sent again."""
    return hashlib.sha256(body).hexdigest()[:32]


def _texts(
    notices: Sequence[Notice],
    most: int,
    escaped: Callable[[str], str],
    body: Callable[[str], bytes],
) -> list[Post]:
    """The fewest texts of at most so many characters, notices kept whole where they can be."""
    posts: list[Post] = []
    text = ""
    for index, notice in enumerate(notices):
        line = escaped(f"{notice.kind} {notice.time[11:19]} {notice.text}")
        if len(line) > most:
            line = line[: most - 1] + "…"
        if text and len(text) + 1 + len(line) > most:
            posts.append(Post(body(text), index))
            text = ""
        text = f"{text}\n{line}" if text else line
    if text:
        posts.append(Post(body(text), len(notices)))
    return posts


def _markdown_escaped(text: str) -> str:
    return "".join(f"\\{char}" if char in "\\*_~`|>[]()#" else char for char in text)


def _slack_escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), default=str, allow_nan=False).encode()
