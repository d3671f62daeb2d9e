"""The report as one HTML page: works without a network, in light and in dark."""

from functools import cache
from html import escape
from importlib.metadata import distribution, version
from pathlib import Path
from typing import Any, Final

import orjson

from polytrade.core.units import SECOND_NS
from polytrade.gates import GATES
from polytrade.reports.figures import figures
from polytrade.reports.fixlist import findings
from polytrade.reports.report import Report
from polytrade.reports.tables import (
    LATENCY_COLUMNS,
    latency_rows,
    scorecard_rows,
    short,
)
from polytrade.reports.text import (
    COHERENCE_COLUMNS,
    COHERENCE_NOTE,
    LENS_COLUMNS,
    LENS_NOTE,
    SCORE_COLUMNS,
    SCORE_NOTE,
    coherence_rows,
    score_rows,
    verdict,
    window_name,
)

MARKETS_MAX: Final = 200
"""Rows of the market table; the CSV file has them all."""

SECTIONS: Final = (
    (
        "Equity",
        "Of the run itself (the expected lens): gross before fees and rebates, and net of them, "
        "at the mid; dotted, what would be left if everything were closed now.",
        ("equity",),
    ),
    ("Drawdown and inventory", "", ("drawdown", "inventory")),
    (
        "Fills against fair value",
        "The markets with the most fills, one at a time.",
        ("fills",),
    ),
    (
        "After the fill",
        "Net markouts of the run's fills at exactly 1, 5 and 10 s, and the edge each fill was "
        "thought to have against what it was worth after 10 s.",
        ("markouts", "edge"),
    ),
    (
        "Calibration",
        "How often what was forecast came true, and the Brier score by time to the end beside the "
        "market's own mid: lower is better.",
        ("reliability", "brier"),
    ),
    (
        "Latency",
        "Of the measuring window: the share of samples at or below each latency.",
        ("latency",),
    ),
)


def plotly_version() -> str:
    """The plot library whose script is on the page."""
    return version("plotly")


def report_page(report: Report) -> str:
    """The file `report_shadow_12h.html`."""
    drawn = figures(report)
    title = f"Run {report.basis.run_id}, {report.day}"
    body = [_head(report, title), _lens_section(report, "lenses" in drawn)]
    body += [_section(name, note, plots, drawn) for name, note, plots in SECTIONS]
    body += [_latency_table(report), _gate_section(report), _market_section(report)]
    data = orjson.dumps(drawn, option=orjson.OPT_SORT_KEYS).decode().replace("</", "<\\/")
    parts = (
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title>",
        f"<style>\n{_asset('page.css')}</style></head><body>",
        *body,
        f'<script type="application/json" id="figures">{data}</script>',
        f"<script>{_plotly()}</script>",
        f"<script>\n{_asset('page.js')}</script>",
        "</body></html>",
    )
    return "\n".join(parts) + "\n"


@cache
def _plotly() -> str:
    """Plotly's own script: 4.6 MB, once on the page, so that it needs no network."""
    path = distribution("plotly").locate_file("plotly/package_data/plotly.min.js")
    return Path(str(path)).read_text(encoding="utf-8")


@cache
def _asset(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def _head(report: Report, title: str) -> str:
    basis, counts = report.basis, report.counts
    span_s = (report.ts_ns - report.first_ts_ns) // SECOND_NS
    cards = [
        (f"net, {name}", f"{net:+.4f} USDC", "good" if net > 0 else "bad")
        for name, net in report.net_by_lens().items()
    ]
    word = verdict(report)
    cards += [
        ("gates", word, "good" if word == "passed" else "bad"),
        ("fills of the run", f"{counts['fills']}", ""),
        (f"events over {span_s:,} s", f"{counts['events']:,}", ""),
    ]
    shown = "".join(
        f'<div class="card"><b class="{kind}">{escape(value)}</b><span>{escape(name)}</span></div>'
        for name, value, kind in cards
    )
    told = f"code {basis.code_version}, configuration {basis.config_digest[:12]}"
    generated = " Generated data." if basis.generated else ""
    digest = f"<code>{counts['effect_digest']}</code>"
    return (
        f"<h1>{escape(title)}</h1><p>{escape(told)}, effects {digest}.{generated}</p>"
        f'<div class="cards">{shown}</div>'
    )


def _lens_section(report: Report, drawn: bool) -> str:
    plot = '<div class="plot" id="plot-lenses"></div>' if drawn else ""
    table = _table(LENS_COLUMNS, report.lenses)
    note = LENS_NOTE.replace("`", "")
    heading = "Profit under three fill models, the whole run"
    return f"<h2>{heading}</h2><p>{escape(note)}</p>{plot}{table}"


def _section(name: str, note: str, plots: tuple[str, ...], drawn: dict[str, Any]) -> str:
    places = [
        f'<div class="plot" id="plot-{plot}"></div>'
        if plot in drawn
        else f'<div class="empty">{escape(plot)}: no data in this run</div>'
        for plot in plots
    ]
    inner = "".join(places)
    if len(places) > 1:
        inner = f'<div class="pair">{inner}</div>'
    told = f"<p>{escape(note)}</p>" if note else ""
    return f"<h2>{escape(name)}</h2>{told}{inner}"


def _latency_table(report: Report) -> str:
    return _table(LATENCY_COLUMNS, latency_rows(report))


def _gate_section(report: Report) -> str:
    values = report.all_values()
    rows = [
        {
            "gate": gate.text(),
            "value": values.get(gate.metric),
            "holds": gate.holds(values.get(gate.metric)),
        }
        for gate in GATES
    ]
    items = "".join(
        f"<li><b>{escape(each.found)}</b> {escape(each.advice)}</li>" for each in findings(report)
    )
    return (
        f"<h2>Gates, {window_name(report)}</h2>{_table(('gate', 'value', 'holds'), rows)}"
        f"<h2>Models, the whole run</h2><p>{escape(SCORE_NOTE.replace('`', ''))}</p>"
        f"{_table(SCORE_COLUMNS, score_rows(report))}"
        f"<h2>Coherence, the whole run</h2><p>{escape(COHERENCE_NOTE)}</p>"
        f"{_table(COHERENCE_COLUMNS, coherence_rows(report))}"
        f"<h2>Next to mend</h2><ol>{items}</ol>"
    )


def _market_section(report: Report) -> str:
    columns, rows = scorecard_rows(report)
    note = ""
    if len(rows) > MARKETS_MAX:
        note = f"<p>The first {MARKETS_MAX} of {len(rows)}; the CSV file has them all.</p>"
    return f"<h2>Markets, {window_name(report)}</h2>{note}{_table(columns, rows[:MARKETS_MAX])}"


def _table(columns: tuple[str, ...] | list[str], rows: list[dict[str, Any]]) -> str:
    if not rows:
        return '<div class="empty">no rows</div>'
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    lines = "".join(
        "<tr>" + "".join(f"<td>{escape(short(row.get(name)))}</td>" for name in columns) + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><tr>{head}</tr>{lines}</table></div>'
