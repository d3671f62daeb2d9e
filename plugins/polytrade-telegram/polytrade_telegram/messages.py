"""Notices as Telegram messages: HTML, escaped, none longer than the service takes."""

from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

import attrs

from polytrade.api import Notice

LENGTH_MAX: Final = 4096
"""Characters of a message. Telegram counts after parsing; here the HTML source is counted, in
UTF-16 units, which is never less."""
PIECE_MAX: Final = 400
"""Characters of a text that is cut: 400 times the longest escape (`&amp;`) fit into a message."""


@attrs.frozen
class Message:
    """One message: `told` notices of the batch are told once it is sent, those before included."""

    html: str
    told: int
    silent: bool


def messages(notices: Sequence[Notice], silent: Sequence[str]) -> list[Message]:
    """The fewest messages that hold these notices in order.

    A message makes no sound when it holds notices of the kinds `silent` only.
    """
    made: list[Message] = []
    lines: list[str] = []
    length, quiet = 0, True
    for index, notice in enumerate(notices):
        for piece in _pieces(notice):
            if lines and length + 1 + _length(piece) > LENGTH_MAX:
                made.append(Message("\n".join(lines), index, quiet))
                lines, length, quiet = [], 0, True
            length += _length(piece) + bool(lines)
            lines.append(piece)
            quiet = quiet and notice.kind in silent
    if lines:
        made.append(Message("\n".join(lines), len(notices), quiet))
    return made


def bold(text: str) -> str:
    """Text in bold, escaped."""
    return f"<b>{plain(text)}</b>"


def plain(text: str) -> str:
    """Text as it is, whatever is in it."""
    return escape(text, quote=False)


def money(cash_e6: int, *, sign: bool = False) -> str:
    """Money for people, to the cent."""
    return f"{cash_e6 / 1e6:+,.2f}" if sign else f"{cash_e6 / 1e6:,.2f}"


def clipped(html_lines: Sequence[str]) -> str:
    """As many whole lines as one message takes."""
    kept: list[str] = []
    length = 0
    for line in html_lines:
        length += _length(line) + 1
        if length > LENGTH_MAX - 8:
            kept.append("…")
            break
        kept.append(line)
    return "\n".join(kept)


def _pieces(notice: Notice) -> Iterator[str]:
    """A notice in pieces that each fit into a message, the first with its kind and time."""
    head = f"{bold(notice.kind)} {notice.time[11:19]} "
    whole = head + plain(notice.text)
    if _length(whole) <= LENGTH_MAX:
        yield whole
        return
    for at in range(0, len(notice.text), PIECE_MAX):
        yield (head if at == 0 else "") + plain(notice.text[at : at + PIECE_MAX])


def _length(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
