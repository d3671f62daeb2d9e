"""What an operator is told, and what tells it: notices, notifiers, the operator's own commands.

A notifier is made by a plugin (`polytrade_notifiers`) and called by the daemon, in its own
supervised task, with one batch at a time. It is outside of trading: it sees no event and no order,
and a slow, failing or dead one costs its own notices and nothing else.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import attrs

from polytrade.core.units import (
    ONE_E4,
    SECOND_NS,
    decimal_text,
    notional_e6_down,
    price_text,
    share_e6_down,
    size_text,
)

FILL: Final = "fill"
HALT: Final = "halt"
RELOAD: Final = "reload"
QUARANTINE: Final = "quarantine"
ALARM: Final = "alarm"
DAILY: Final = "daily"
STARTED: Final = "started"
STOPPED: Final = "stopped"
RESOLVED: Final = "resolved"

KINDS: Final = (FILL, HALT, RELOAD, QUARANTINE, ALARM, DAILY, STARTED, STOPPED, RESOLVED)
"""Every kind of notice: `halt` is any change of the engine's mode, pausing included."""

TEXT_MAX: Final = 500
"""Characters of one notice's text: a few lines of a phone."""
ALIKE_MAX: Final = 5
"""Notices of one sort that a batch shows one by one; more become one that counts them."""
ROWS_MAX: Final = 10
"""Markets told apart in a notice that stands for many fills."""


@attrs.frozen
class Notice:
    """One thing an operator is told: `text` for people, `data` (plain JSON) for programs.

    `ts_ns` is the run's own time. `text` is one or a few lines without control characters. Numbers
    in `data` are integers with their scale in the name, as in the journal.
    """

    kind: str
    ts_ns: int
    text: str
    data: Mapping[str, object] = attrs.field(factory=dict)

    @property
    def time(self) -> str:
        """`ts_ns` as RFC 3339 in UTC, to the second."""
        return f"{datetime.fromtimestamp(self.ts_ns // SECOND_NS, UTC):%Y-%m-%dT%H:%M:%SZ}"


class NotifyError(Exception):
    """A batch, or what is left of it, was not delivered; `reason` names no secret.

    It is tried again: after `retry_after_s` where the receiver asks for that, else after a growing,
    jittered delay, without the first `delivered` notices of the batch. With `refused` it is given
    up: the receiver will never take it.
    """

    def __init__(
        self,
        reason: str,
        retry_after_s: float = 0.0,
        *,
        delivered: int = 0,
        refused: bool = False,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after_s = retry_after_s
        self.delivered = delivered
        self.refused = refused


class Operator(Protocol):
    """What a notifier that takes commands may ask of the daemon; each answers in one text."""

    def summary(self) -> Mapping[str, object]:
        """Health, mode, money and counts as of now: plain JSON, money in `*_e6`."""

    def positions(self) -> Sequence[Mapping[str, object]]:
        """The markets in which something is held or rests: plain JSON, `*_e6` and `*_e4`."""

    async def pause(self) -> str:
        """Place no new orders and cancel those that rest."""

    async def resume(self, clear_halt: bool = False) -> str:
        """Trade again; a halt is left only with `clear_halt`."""

    async def flatten(self) -> str:
        """Cancel every order and close every position inside the slippage limit."""


class Notifier(Protocol):
    """Tells somebody. Made by a factory whose attrs fields are its settings.

    Optional: `commands: bool` and `async listen(operator, http)`, run until cancelled while
    `commands` is true.
    """

    kinds: tuple[str, ...]
    """The kinds of notices it is given."""

    async def notify(self, notices: Sequence[Notice], http: Any) -> None:
        """Deliver these notices, oldest first; NotifyError when that was not possible.

        `http` is an `httpx2.AsyncClient` that follows no redirects, shared by all notifiers (the
        protocol leaves it open so that this module needs no sockets). The caller bounds the time.
        It must not block: everything else in the daemon waits for it.
        """


def plain(text: str) -> str:
    """`text` fit for a notice: at most `TEXT_MAX` characters, control characters as `?`."""
    shown = "".join(char if char.isprintable() or char == "\n" else "?" for char in text)
    return shown if len(shown) <= TEXT_MAX else shown[: TEXT_MAX - 1] + "…"


def usdc_text(cash_e6: int, *, sign: bool = False) -> str:
    """Money for people, to the cent: `12.34`, and `+12.34` with `sign`."""
    text = f"{cash_e6 / 1e6:+,.2f}" if sign else f"{cash_e6 / 1e6:,.2f}"
    return text if text not in ("-0.00", "+0.00") else "0.00"


def many(count: int, noun: str) -> str:
    """A count for people: `1 fill`, `2 fills`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def condense(notices: Iterable[Notice]) -> list[Notice]:
    """The same news in fewer notices: more than `ALIKE_MAX` of one sort become one.

    The sort is the kind, and for alarms their name. What stands for many takes the place and the
    time of the newest; its `data` has `count`, and for fills the sums of `merge_fills`.
    """
    notices = list(notices)
    groups: dict[tuple[str, object], list[Notice]] = {}
    for notice in notices:
        groups.setdefault(_sort(notice), []).append(notice)
    told: list[Notice] = []
    for notice in notices:
        group = groups[_sort(notice)]
        if sum(_count(each) for each in group) <= ALIKE_MAX or len(group) == 1:
            told.append(notice)
        elif notice is group[-1]:
            told.append(merge_fills(group) if notice.kind == FILL else _repeated(group))
    return told


def merge_fills(fills: Sequence[Notice]) -> Notice:
    """One notice for many fills, merged ones among them: sums a market, token and side.

    `data` has `count`, `fees_e6`, at most `ROWS_MAX` `rows` (the most money first) and in `others`
    how many fills these leave out.
    """
    rows: dict[tuple[object, object, object], dict[str, Any]] = {}
    count = fees_e6 = others = 0
    for notice in fills:
        data: Mapping[str, Any] = notice.data
        count += _count(notice)
        fees_e6 += int(data.get("fees_e6", 0))
        others += int(data.get("others", 0))
        for row in data.get("rows", ()) if "rows" in data else (_row(data),):
            kept = rows.setdefault((row["market"], row["token"], row["side"]), {**row, **_NOTHING})
            for name in _NOTHING:
                kept[name] += row[name]
    ranked = sorted(rows.values(), key=lambda row: -row["notional_e6"])
    others += sum(row["fills"] for row in ranked[ROWS_MAX:])
    shown = ranked[:ROWS_MAX]
    lines = [f"{many(count, 'fill')}, fees {usdc_text(fees_e6)} USDC"]
    lines += [
        f"{row['slug']} {row['side']} {row['token']}: {size_text(row['size_e6'])} at "
        f"{_average(row['notional_e6'], row['size_e6'])} ({row['fills']})"
        for row in shown
    ]
    if others:
        lines.append(f"and {others} more")
    data = {"count": count, "fees_e6": fees_e6, "rows": shown, "others": others}
    return Notice(FILL, fills[-1].ts_ns, plain("\n".join(lines)), data)


_NOTHING: Final = {"size_e6": 0, "notional_e6": 0, "fills": 0}
"""What of a row is summed."""


def _row(data: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "market": data["market"],
        "slug": data["slug"],
        "token": data["token"],
        "side": data["side"],
        "size_e6": data["size_e6"],
        "notional_e6": notional_e6_down(data["price_e4"], data["size_e6"]),
        "fills": 1,
    }


def _repeated(group: Sequence[Notice]) -> Notice:
    newest, count = group[-1], sum(_count(notice) for notice in group)
    text = str(newest.data.get("newest", newest.text))
    data = {**newest.data, "count": count, "newest": text}
    return Notice(newest.kind, newest.ts_ns, plain(f"{count} times, newest: {text}"), data)


def _count(notice: Notice) -> int:
    count = notice.data.get("count", 1)
    return count if isinstance(count, int) else 1


def _sort(notice: Notice) -> tuple[str, object]:
    return notice.kind, notice.data.get("name", "") if notice.kind == ALARM else ""


def _average(notional_e6: int, size_e6: int) -> str:
    if size_e6 <= 0:
        return "-"
    return price_text(share_e6_down(notional_e6, ONE_E4, size_e6))


def fill_text(data: Mapping[str, Any]) -> str:
    """One fill for people."""
    text = (
        f"{data['engine']} {data['side']} {size_text(data['size_e6'])} {data['token']} at "
        f"{price_text(data['price_e4'])}: {data['slug']}"
    )
    return text + (f" (fee {decimal_text(data['fees_e6'], 6)})" if data["fees_e6"] > 0 else "")
