"""The tables of a run: for people, for the page, for programs."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from benchmarks.endtoend import Passage
from benchmarks.measure import Row
from benchmarks.reloading import Reloading
from benchmarks.venues import Presence

BEGIN: Final = "<!-- bench: written by scripts/bench.py --write-docs, not by hand -->"
RELOAD_BEGIN: Final = (
    "<!-- reload: written by scripts/bench.py --only reload --write-docs, not by hand -->"
)
END: Final = "<!-- bench: end -->"
PER_S_GROUPS: Final = frozenset({"engine", "replay"})
"""Groups whose operations are events, so that events a second mean something."""


@attrs.frozen(kw_only=True)
class Result:
    """Everything of one run; `machine` says on what, `load` how busy it was before and after."""

    created: str
    quick: bool
    machine: dict[str, str]
    load: tuple[float, float]
    rows: tuple[Row, ...] = ()
    passages: tuple[Passage, ...] = ()
    presences: tuple[Presence, ...] = ()
    reloads: tuple[Reloading, ...] = ()

    def to_json(self) -> str:
        """The run as JSON."""
        body = attrs.asdict(self)
        for made, row in zip(body["rows"], self.rows, strict=True):
            made["verdict"] = row.verdict
        for made, passage in zip(body["passages"], self.passages, strict=True):
            made["over_budget"] = passage.over_budget()
        for made, presence in zip(body["presences"], self.presences, strict=True):
            made["over_budget"] = presence.over_budget()
        for made, reloading in zip(body["reloads"], self.reloads, strict=True):
            made["over_budget"] = reloading.over_budget()
        return json.dumps(_finite(body), indent=2, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    """The same without NaN, which JSON does not have."""
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def number(value: float | None, digits: int = 2) -> str:
    """A number for a table: a dash for none, no decimals that say nothing."""
    if value is None or math.isnan(value):
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.{digits}f}"


def cost_table(rows: Sequence[Row]) -> list[list[str]]:
    """Header and rows of the first table."""
    table = [["case", "us/op", "baseline", "us/op", "ratio", "goal", "events/s"]]
    for row in rows:
        rate = number(1e6 / row.us) if row.group in PER_S_GROUPS else ""
        goal = "" if row.goal is None else f"<= {row.goal:g} ({row.verdict})"
        table.append(
            [
                f"{row.group}: {row.case}", number(row.us), row.baseline, number(row.baseline_us),
                number(row.ratio), goal, rate,
            ]
        )  # fmt: skip
    return table


def latency_table(passages: Sequence[Passage]) -> list[list[str]]:
    """Header and rows of the second table."""
    table = [
        ["load", "reader", "CPU us", "CPU %", "p50 us", "p99 us", "p99.9 us", "sender late p99",
         "own p99", "loop lag p99 ms", "MB/min"]
    ]  # fmt: skip
    for passage in passages:
        table.append(
            [
                passage.load, passage.reader, number(passage.us), f"{passage.share * 100:.0f}",
                number(passage.p50_us), number(passage.p99_us), number(passage.p999_us),
                number(passage.sender_us_p99), number(passage.decision_us_p99),
                number(passage.lag_ms_p99), number(passage.growth_mb),
            ]
        )  # fmt: skip
    return table


def venue_table(presences: Sequence[Presence]) -> list[list[str]]:
    """Header and rows of the third table."""
    table = [
        ["venue", "followed by", "messages/s", "CPU us", "CPU %", "late p50 us", "late p99 us",
         "MB/min", "daemon CPU %", "closed"]
    ]  # fmt: skip
    for presence in presences:
        share = presence.reader_share
        table.append(
            [
                presence.load, presence.reader, number(presence.rate), number(presence.us),
                f"{presence.share * 100:.0f}", number(presence.late_us_p50),
                number(presence.late_us_p99), number(presence.growth_mb),
                "-" if share is None else f"{share * 100:.0f}", str(presence.closed),
            ]
        )  # fmt: skip
    return table


def reload_table(reloads: Sequence[Reloading]) -> list[list[str]]:
    """Header and rows of the table on the page of results."""
    table = [
        ["reloads", "refused", "events", "events/s", "lost", "doubled", "orders", "orphaned",
         "took ms p50", "p99", "pause ms p50", "p99", "max", "decision p99 us", "loop lag p99 ms",
         "memory MB", "old lineups", "code kept"]
    ]  # fmt: skip
    for row in reloads:
        table.append(
            [
                f"{row.reloads} of {row.kind}" if row.reloads else "none", str(row.refused),
                f"{row.handled:,}", number(row.rate), str(row.lost), str(row.doubled),
                str(row.placed), str(row.orphans), number(row.took_ms_p50),
                number(row.took_ms_p99), number(row.pause_ms_p50), number(row.pause_ms_p99),
                number(row.pause_ms_max), number(row.decision_us_p99), number(row.lag_ms_p99),
                number(row.growth_mb), str(row.alive), str(row.modules),
            ]
        )  # fmt: skip
    return table


def headline(result: Result) -> str:
    """On what, when, and how."""
    about = result.machine
    how = "quick, not to be quoted" if result.quick else "full"
    return (
        f"{about['processor']}, {about['cores']} cores, {about['system']}, {about['python']} "
        f"({about['build']}); {result.created}, {how}, load average {result.load[0]:.1f} before "
        f"and {result.load[1]:.1f} after"
    )


def plain(table: Sequence[Sequence[str]]) -> str:
    """A table for a terminal."""
    widths = [max(len(row[at]) for row in table) for at in range(len(table[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
             for row in table]  # fmt: skip
    return "\n".join(line.rstrip() for line in lines)


def markdown(table: Sequence[Sequence[str]]) -> str:
    """A table for a page."""
    head, *rows = [f"| {' | '.join(row)} |" for row in table]
    return "\n".join([head, "|" + "---|" * len(table[0]), *rows])


def text(result: Result) -> str:
    """The report for people."""
    parts = [headline(result)]
    if result.rows:
        parts.append(plain(cost_table(result.rows)))
    if result.passages:
        parts.append(plain(latency_table(result.passages)))
    if result.presences:
        parts.append(plain(venue_table(result.presences)))
    if result.reloads:
        parts.append(plain(reload_table(result.reloads)))
    return "\n\n".join(parts)


def page_part(result: Result) -> str:
    """What stands between the markers of the page."""
    parts = [BEGIN, f"Measured on {headline(result)}."]
    if result.rows:
        parts.append(markdown(cost_table(result.rows)))
    if result.passages:
        parts.append(markdown(latency_table(result.passages)))
    if result.presences:
        parts.append(markdown(venue_table(result.presences)))
    budgeted: list[Passage | Presence] = [*result.passages, *result.presences]
    if budgeted:
        over = [
            f"- Over budget at {row.load}, {row.reader}: {problem}."
            for row in budgeted
            for problem in row.over_budget()
        ]
        parts.append("\n".join(over) or "Everything is within its budget.")
    return "\n\n".join([*parts, END])


def reload_part(result: Result) -> str:
    """What stands between the markers of the page of results."""
    over = [
        f"- Over budget, {row.kind}: {problem}."
        for row in result.reloads
        for problem in row.over_budget()
    ]
    parts = [
        RELOAD_BEGIN,
        f"Measured on {headline(result)}.",
        markdown(reload_table(result.reloads)),
        "\n".join(over) or "Everything is within its budget.",
        END,
    ]
    return "\n\n".join(parts)


def write_page(page: Path, result: Result) -> None:
    """Put the tables between the page's markers; ValueError when it has none."""
    _write(page, BEGIN, page_part(result))


def write_results(page: Path, result: Result) -> None:
    """Put the table of reloads between the page's markers; ValueError when it has none."""
    _write(page, RELOAD_BEGIN, reload_part(result))


def _write(page: Path, mark: str, part: str) -> None:
    found = page.read_text(encoding="utf-8")
    before, begin, rest = found.partition(mark)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page}: expected the markers {mark!r} and {END!r}")
    page.write_text(before + part + after, encoding="utf-8")
