"""Commands from a chat: who may give them, what they say, and the answer as HTML."""

from collections.abc import Collection, Mapping
from typing import Any, Final

import attrs

from polytrade.api import Operator, units
from polytrade_telegram.messages import bold, clipped, money, plain

POSITIONS_MAX: Final = 20
"""Positions shown in one answer: a screen of a phone."""
HELP: Final = (
    "/status  health, mode, orders\n/pnl  money\n/positions  what is held\n"
    "/pause  place no orders\n/resume  trade again (/resume clear leaves a halt)\n"
    "/flatten yes  cancel every order, close every position"
)


@attrs.frozen
class Asked:
    """A command of somebody who may give it."""

    chat: int
    name: str
    words: tuple[str, ...]


@attrs.frozen
class Stranger:
    """A command of somebody who may not."""

    chat: int
    user: int


def read_update(
    update: Mapping[str, Any], bot: str, chats: Collection[int], users: Collection[int]
) -> Asked | Stranger | None:
    """The command in an update; None when there is none for this bot.

    In a private chat the chat itself must be one of `chats`; in any other the sender must be one
    of `users` besides. A command addressed to another bot (`/pause@other`) is none.
    """
    message = update.get("message")
    chat: Any = message.get("chat") if isinstance(message, dict) else None
    text: Any = message.get("text") if isinstance(message, dict) else None
    if not isinstance(message, dict) or not isinstance(chat, dict) or not isinstance(text, str):
        return None
    words = text.split()
    if not words or not words[0].startswith("/"):
        return None
    name, _, addressed = words[0][1:].lower().partition("@")
    if addressed and addressed != bot.lower():
        return None
    sender = message.get("from")
    chat_id, user_id = _id(chat), _id(sender if isinstance(sender, dict) else {})
    if chat_id not in chats or (chat.get("type") != "private" and user_id not in users):
        return Stranger(chat_id, user_id)
    return Asked(chat_id, name, tuple(word.lower() for word in words[1:]))


async def answer(asked: Asked, operator: Operator) -> str:
    """Carry a command out and say what came of it."""
    match asked.name, asked.words:
        case "status", _:
            return _status(operator.summary())
        case "pnl", _:
            return _pnl(operator.summary())
        case "positions", _:
            return _positions(operator)
        case "pause", _:
            return plain(await operator.pause())
        case "resume", words:
            return plain(await operator.resume("clear" in words))
        case "flatten", ("yes", *_):
            return plain(await operator.flatten())
        case "flatten", _:
            return "This closes every position. Send <code>/flatten yes</code> if that is wanted."
    return plain(HELP)


def _status(summary: Mapping[str, Any]) -> str:
    paused = ", paused" if summary["paused"] else ""
    why = f" ({summary['engine_why']})" if summary["engine_why"] else ""
    down = ", ".join(summary["feeds_down"]) or "none"
    hours, rest = divmod(int(summary["uptime_s"]), 3600)
    return clipped(
        [
            bold(f"{summary['health']}{paused}"),
            plain(f"engine {summary['engine_mode']}{why}"),
            plain(
                f"{summary['mode']}, version {summary['version']}, up {hours} h {rest // 60} min"
            ),
            f"{summary['open_orders']} open orders in {summary['markets']} markets, "
            f"{money(summary['exposure_e6'])} USDC at risk",
            plain(f"feeds down: {down}"),
        ]
    )


def _pnl(summary: Mapping[str, Any]) -> str:
    return "\n".join(
        [
            bold(f"today {money(summary['daily_pnl_e6'], sign=True)} USDC"),
            f"equity {money(summary['equity_e6'])}",
            f"realized {money(summary['realized_e6'], sign=True)}, "
            f"unrealized {money(summary['unrealized_e6'], sign=True)}",
            f"fees {money(summary['fees_e6'])}, rebates {money(summary['rebates_e6'])}, "
            f"{summary['fills']} fills",
        ]
    )


def _positions(operator: Operator) -> str:
    rows: list[Mapping[str, Any]] = [dict(row) for row in operator.positions()]
    lines = [_position(row) for row in rows[:POSITIONS_MAX]]
    if len(rows) > POSITIONS_MAX:
        lines.append(f"and {len(rows) - POSITIONS_MAX} more")
    return clipped(lines) if lines else "nothing is held, nothing rests"


def _position(row: Mapping[str, Any]) -> str:
    mark = row["mark_yes_e4"]
    return (
        f"{bold(str(row['slug']))}: yes {units.size_text(row['yes_e6'])}, "
        f"no {units.size_text(row['no_e6'])}, "
        f"mark {'-' if mark is None else units.price_text(mark)}, "
        f"PnL {money(row['pnl_e6'], sign=True)}, {row['open_orders']} orders"
    )


def _id(thing: Mapping[str, Any]) -> int:
    """The id of a chat or a user; 0, which is nobody's, when there is none."""
    found = thing.get("id")
    return found if isinstance(found, int) and not isinstance(found, bool) else 0
