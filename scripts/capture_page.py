"""The generated part of docs/results.md: what the real captures gave, from the check's rows."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

BEGIN: Final = "<!-- captures: written by scripts/check_captures.py --write-docs -->"
END: Final = "<!-- captures: end -->"
SHORT: Final = 12
"""Digits of a digest that are shown."""

Row = dict[str, Any]


def write_page(page: Path, rows: list[Row], about: str) -> None:
    """Replace what stands between the markers; ValueError when the page lacks them."""
    text = page.read_text(encoding="utf-8")
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"expected {BEGIN!r} and {END!r} in {page}")
    page.write_text(f"{head}{BEGIN}\n\n{section(rows, about)}\n{END}{tail}", encoding="utf-8")


def section(rows: list[Row], about: str) -> str:
    """The tables; captures that could not be run to the end are named with the reason."""
    done = [row for row in rows if "replay" in row]
    played = [row for row in done if row["live"]]
    wrong = [f"- {row['name']}: {text}" for row in rows for text in row["wrong"]]
    parts = [
        f"Measured {about}.",
        "Everything below held for every capture."
        if not wrong
        else "What did not hold:\n\n" + "\n".join(wrong),
        "### What they hold",
        _table(HELD, done),
        "### Played to the daemon",
        _table(LIVE, played),
        *[f"Not played: {row['name']}, {row['not_played']}." for row in done if row["not_played"]],
        "### Replayed in their own time",
        _table(REPLAYED, done),
        "### Digests",
        _table(DIGESTS, done),
    ]
    return "\n\n".join(parts) + "\n"


def _table(columns: dict[str, Callable[[Row], str]], rows: Iterable[Row]) -> str:
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    lines += [f"| {' | '.join(cell(row) for cell in columns.values())} |" for row in rows]
    return "\n".join(lines)


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {n:,}" for name, n in counts.items() if n) or "none"


def _hashes(counts: dict[str, int]) -> str:
    return " / ".join(f"{counts[name]:,}" for name in ("matched", "mismatched", "not_checkable"))


def _ratio(value: float | None) -> str:
    return "no records" if value is None else f"{value:.4f}"


def _in_order(row: Row) -> str:
    """The live run's validity by the books alone: of old stamps every record is `stale`."""
    live = row["live"]
    if not live["records"]:
        return "no records"
    old = live["invalid"].get("stale", 0)
    bad = sum(live["invalid"].values()) - old
    return f"{1 - bad / live['records']:.4f}"


def _received(row: Row) -> str:
    """What each connection of the market channel got, and what the engine stepped of it."""
    feeds = [n for name, n in row["live"]["feeds"].items() if name.startswith("polymarket.market")]
    return " and ".join(f"{n:,}" for n in feeds)


def _sent(row: Row) -> str:
    sent = row["live"]["sent"]
    return f"{sum(sum(kinds.values()) for kinds in sent.values()):,}"


def _states(row: Row) -> str:
    replay = row["replay"]
    if not replay["states"]:
        return "all" if replay["hashes"]["matched"] else ""
    return f"{replay['states_fitting']:,} of {replay['states']:,}"


def _digest(name: str) -> Callable[[Row], str]:
    def cell(row: Row) -> str:
        found = row["digests"].get(name)
        return f"`{found[:SHORT]}`" if found else ""

    return cell


def _name(row: Row) -> str:
    return str(row["name"])


HELD: Final[dict[str, Callable[[Row], str]]] = {
    "capture": _name,
    "file": lambda row: f"`{row['path']}`",
    "length": lambda row: f"{row['length_s']:,.1f} s",
    "frames by source": lambda row: _counts(row["frames"]),
    "market-channel messages": lambda row: _counts(row["messages"]),
}
LIVE: Final[dict[str, Callable[[Row], str]]] = {
    "capture": _name,
    "speed": lambda row: f"{row['speed']:g}",
    "messages sent": _sent,
    "frames received on each connection": _received,
    "matched / mismatched / not checkable": lambda row: _hashes(row["live"]["hashes"]),
    "`data_valid_ratio`": lambda row: _ratio(row["live"]["data_valid_ratio"]),
    "invalid": lambda row: _counts(row["live"]["invalid"]),
    "valid but for old stamps": _in_order,
    "REST books": lambda row: f"{row['live']['rest_books']:,}",
    "exit": lambda row: str(row["live"]["exit_code"]),
}
REPLAYED: Final[dict[str, Callable[[Row], str]]] = {
    "capture": _name,
    "`data_valid_ratio`": lambda row: _ratio(row["replay"]["data_valid_ratio"]),
    "invalid": lambda row: _counts(row["replay"]["invalid"]),
    "matched / mismatched / not checkable": lambda row: _hashes(row["replay"]["hashes"]),
    "why not checkable": lambda row: _counts(row["replay"]["unchecked"]),
    "states that fit in the venue's order": _states,
    "into doubt / out of it / suspect": lambda row: " / ".join(
        f"{row['replay']['quality'][f'turned_{name}']:,}"
        for name in ("unverified", "verified", "suspect")
    ),
    "books at the end": lambda row: _counts(row["replay"]["books"]),
    "orders, fills": lambda row: f"{row['replay']['orders']:,}, {row['replay']['fills']:,}",
}
DIGESTS: Final[dict[str, Callable[[Row], str]]] = {
    "capture": _name,
    "capture, replayed twice": _digest("capture effect_digest"),
    "live run": _digest("live run"),
    "its journal": _digest("journal"),
    "its recording": _digest("recording"),
    "data: capture": _digest("capture data_digest"),
    "data: journal": _digest("journal data_digest"),
    "data: recording": _digest("recording data_digest"),
}
