"""The report for people, as Markdown."""

from typing import Any, Final

from polytrade.core.units import SECOND_NS
from polytrade.reports.report import Report
from polytrade.reports.tables import (
    LATENCY_COLUMNS,
    latency_rows,
    markdown_table,
    scorecard_rows,
    short,
)

LENS_COLUMNS: Final = (
    *("lens", "engine", "fills", "volume_shares", "gross_usdc"),
    *("fees_usdc", "rebates_usdc", "net_usdc", "open_usdc"),
)
LENS_NOTE: Final = (
    "Each order of the run under three fill models: `pessimistic` fills only when the market "
    "trades through the price, `expected` is the run itself, `optimistic` fills whole when the "
    "opposite quote touches. The strategy does not answer to the fills of a lens, and fewer fills "
    "are not always less profit. Gross counts what is open at the mid; rebates are an estimate."
)
SCORE_COLUMNS: Final = (
    *("model", "markets", "samples", "brier", "mid_brier", "gap", "gap_se"),
    *("log_loss", "mid_log_loss", "verdict"),
)
SCORE_NOTE: Final = (
    "Of resolved markets, one forecast a second, beside the market's own mid at the same moments; "
    "`gap` is the difference of the Brier scores, lower is better."
)
COHERENCE_COLUMNS: Final = (
    *("asset", "samples", "windows_mean", "implied_to_model_vol", "level_bps"),
    *("incoherence_mean", "incoherence_max"),
    *("ladder_checks", "ladder_gap_mean", "ladder_gap_max"),
)
COHERENCE_NOTE: Final = (
    "Whether the windows of one asset agree, every 10 s: the volatility and the price level that "
    "their mids share, and how far off, in probability, a mid is; ladders are thresholds and "
    "ranges that end together and must add up."
)
MARKETS_MAX: Final = 20
"""Rows of the market table in the text; the CSV file has them all."""


def report_text(report: Report) -> str:
    """The file `report_shadow_12h.md`."""
    window = window_name(report)
    sections = (
        _head(report),
        "## Profit under three fill models, the whole run\n",
        LENS_NOTE + "\n",
        markdown_table(LENS_COLUMNS, report.lenses),
        f"## Gates, {window}\n",
        _gates(report),
        f"## Shadow, {window}\n",
        _shadow(report),
        "## Calibration, the whole run\n",
        _calibration(report),
        "## Coherence, the whole run\n",
        _coherence(report),
        f"## Latency, {window}\n",
        "`wall_clock` rows say how fast this host was; a replay cannot reproduce them.\n",
        markdown_table(LATENCY_COLUMNS, latency_rows(report)),
        f"## Markets, {window}\n",
        _markets(report),
    )
    return "\n".join(sections)


def window_name(report: Report) -> str:
    """The measuring window that gates, shadow, latency and scorecard are of."""
    shadow = report.shadow
    return f"window {shadow['window_id']} ({short(shadow['elapsed_sec'])} s)"


def verdict(report: Report) -> str:
    """The gates in one line."""
    gate = report.gate
    if gate.passed:
        return "passed"
    return "failed" if gate.ready else "not ready"


def _head(report: Report) -> str:
    basis = report.basis
    span_s = (report.ts_ns - report.first_ts_ns) // SECOND_NS
    nets = ", ".join(f"{name} {short(net)}" for name, net in report.net_by_lens().items())
    lines = [
        f"# Run {basis.run_id}, {report.day}",
        "",
        f"- {report.counts['events']} events over {span_s} s, {report.counts['fills']} fills"
        + (", generated data" if basis.generated else ""),
        f"- net profit in USDC: {nets}",
        f"- gates: {verdict(report)}",
        f"- code {basis.code_version}, configuration {basis.config_digest[:12]}",
        f"- effect digest `{report.counts['effect_digest']}`",
    ]
    return "\n".join(lines) + "\n"


def _gates(report: Report) -> str:
    gate = report.gate
    if gate.passed:
        return "Every gate holds.\n"
    return "\n".join(f"- {reason}" for reason in gate.fail_reasons) + "\n"


def _shadow(report: Report) -> str:
    rows = [{"metric": name, "value": report.shadow[name]} for name in report.shadow]
    plain = [row for row in rows if not isinstance(row["value"], list)]
    return markdown_table(("metric", "value"), plain)


def _calibration(report: Report) -> str:
    rows = score_rows(report)
    if not rows:
        return "No market was resolved.\n"
    return f"{SCORE_NOTE}\n\n{markdown_table(SCORE_COLUMNS, rows)}"


def _coherence(report: Report) -> str:
    rows = coherence_rows(report)
    if not rows:
        return "No asset had two markets to compare.\n"
    return f"{COHERENCE_NOTE}\n\n{markdown_table(COHERENCE_COLUMNS, rows)}"


def coherence_rows(report: Report) -> list[dict[str, Any]]:
    """A row per asset of which two markets could be compared."""
    return [{"asset": symbol, **row} for symbol, row in report.coherence.items()]


def score_rows(report: Report) -> list[dict[str, Any]]:
    """A row per model that was scored."""
    scores = report.calibration["overall"]
    return [{"model": name, **row} for name, row in scores.items() if row["samples"]]


def _markets(report: Report) -> str:
    columns, rows = scorecard_rows(report)
    if not rows:
        return "No market was quoted.\n"
    table = markdown_table(columns, rows[:MARKETS_MAX])
    if len(rows) > MARKETS_MAX:
        table += f"\nAnd {len(rows) - MARKETS_MAX} more in `market_scorecard.csv`.\n"
    return table
