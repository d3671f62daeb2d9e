"""The tables of a report: CSV files, and Markdown tables of the same rows."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any, Final

from polytrade.lenses import LENSES
from polytrade.reports.report import Report

LATENCY_COLUMNS: Final = ("metric", "unit", "count", "p50", "p90", "p99", "max", "wall_clock")
ENGINE_COLUMNS: Final = (
    *("engine", "lens", "fills", "volume_shares", "notional_usdc"),
    *("gross_usdc", "fees_usdc", "rebates_usdc", "net_usdc", "realized_usdc"),
    *("open_usdc", "open_shares"),
    *("window_samples", "window_total_usdc", "window_p50_usdc", "window_p10_usdc"),
    "window_positive_ratio",
)
MISSING: Final = "-"
"""A number without a sample in a table for people; in CSV it is empty."""


def csv_text(columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> str:
    """Rows under a heading line; nothing for what is not known."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_plain(row.get(name)) for name in columns])
    return out.getvalue()


def markdown_table(columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> str:
    """The same for people: numbers to the right, six digits."""
    lines = [f"| {' | '.join(columns)} |", f"|{'|'.join('---' for _ in columns)}|"]
    for row in rows:
        cells = [short(row.get(name)).replace("|", "\\|") for name in columns]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def short(value: object) -> str:
    """A number in at most six digits; a list or a table by its parts."""
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        return ", ".join(f"{name} {short(part)}" for name, part in value.items()) or MISSING
    if isinstance(value, list | tuple):
        return ", ".join(short(part) for part in value) or MISSING
    return str(value)


def latency_rows(report: Report) -> list[dict[str, Any]]:
    """A row per latency of the contract."""
    return [
        {"metric": name, **row, "wall_clock": name in report.wall["latency"]}
        for name, row in report.all_latency().items()
    ]


def engine_rows(report: Report) -> list[dict[str, Any]]:
    """A row per engine and lens, over the whole run; beside it the engine's window by markouts."""
    outcomes = {
        row["engine"]: {f"window_{name}": value for name, value in row.items() if name != "engine"}
        for row in report.shadow["pnl_by_engine"]
    }
    names = sorted({row["engine"] for row in report.lenses} | set(outcomes), key=_last_all)
    return [
        {**outcomes.get(engine, {}), **report.lens(lens, engine)}
        for engine in names
        for lens in LENSES
    ]


def scorecard_rows(report: Report) -> tuple[list[str], list[dict[str, Any]]]:
    """The shadow's row per market, with what the toxicity model thinks of it."""
    thought = {row["market_id"]: row for row in report.toxicity["rows"]}
    scored = report.shadow["market_scorecard"]
    rows = [{**row, **thought.get(row["market_id"], {})} for row in scored]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return columns or ["market_id"], rows


def _last_all(engine: str) -> tuple[bool, str]:
    return engine == "all", engine


def _plain(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return ";".join(f"{name}={part}" for name, part in value.items())
    return "" if value is None else value
