"""The plots of a report as Plotly figures: plain data and layout, the same for the same report.

Colours of text and grid are the page's, which knows whether it is light or dark.
"""

from typing import Any, Final

from polytrade.calibration import MID
from polytrade.core.units import MS_NS, ONE_E4
from polytrade.lenses import LENSES
from polytrade.reports.report import CURVE_QUANTILES, Report

Figure = dict[str, Any]

BLUE: Final = "#3b82f6"
AMBER: Final = "#f59e0b"
GREEN: Final = "#10b981"
RED: Final = "#ef4444"
VIOLET: Final = "#8b5cf6"
CYAN: Final = "#0ea5b7"
GREY: Final = "#8a8f98"
PALETTE: Final = (BLUE, AMBER, GREEN, VIOLET, RED, CYAN, GREY)
"""Readable on white and on black."""
LENS_COLOURS: Final = dict(zip(LENSES, (RED, BLUE, GREEN), strict=True))
TRACKS_SHOWN: Final = 12
"""Markets to choose from in the plot of fills: those with the most."""
HORIZONS_S: Final = (1, 5, 10)


def figures(report: Report) -> dict[str, Figure]:
    """Every plot by the id of its place on the page; a plot without data is left out."""
    made = {
        "equity": _equity(report),
        "drawdown": _drawdown(report),
        "inventory": _inventory(report),
        "lenses": _lenses(report),
        "fills": _fills(report),
        "markouts": _markouts(report),
        "edge": _edge(report),
        "reliability": _reliability(report),
        "brier": _brier(report),
        "latency": _latency(report),
    }
    return {name: figure for name, figure in made.items() if figure["data"]}


def _figure(data: list[Figure], x: str, y: str, **layout: Any) -> Figure:
    axes = {"xaxis": {"title": {"text": x}}, "yaxis": {"title": {"text": y}}}
    for name, axis in axes.items():
        axis.update(layout.pop(name, {}))
    legend = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}
    base = {
        "margin": {"l": 64, "r": 16, "t": 40, "b": 48},
        "legend": legend,
        "hovermode": "closest",
        "modebar": {"bgcolor": "rgba(0,0,0,0)"},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
    }
    return {"data": data, "layout": {**base, **axes, **layout}}


def _line(name: str, x: list[Any], y: list[Any], colour: str, **more: Any) -> Figure:
    line = {"color": colour, "width": 1.6, **more.pop("line", {})}
    return {"type": "scatter", "mode": "lines", "name": name, "x": x, "y": y, "line": line, **more}


def _times(rows: list[list[Any]]) -> list[int]:
    """Milliseconds since 1970: what Plotly draws as UTC on an axis of dates."""
    return [int(row[0]) // MS_NS for row in rows]


def _curve(report: Report, name: str) -> list[Any]:
    equity = report.curves["equity"]
    at = equity["columns"].index(name)
    return [row[at] for row in equity["rows"]]


def _equity(report: Report) -> Figure:
    rows = report.curves["equity"]["rows"]
    if not rows:
        return _figure([], "", "")
    x = _times(rows)
    start = report.account["initial_e6"] / 1e6
    net = [value - start for value in _curve(report, "equity_mid_usdc")]
    closed = [value - start for value in _curve(report, "equity_usdc")]
    fees = [-value for value in _curve(report, "fees_usdc")]
    data = [
        _line("gross, at mid", x, _curve(report, "gross_usdc"), BLUE),
        _line("net, at mid", x, net, GREEN),
        _line("net, if closed now", x, closed, GREY, line={"dash": "dot"}),
        _line("fees", x, fees, RED),
        _line("rebates", x, _curve(report, "rebates_usdc"), AMBER),
    ]
    return _figure(data, "UTC", "USDC", xaxis={"type": "date"}, hovermode="x unified")


def _drawdown(report: Report) -> Figure:
    rows = report.curves["equity"]["rows"]
    if not rows:
        return _figure([], "", "")
    y = [-value for value in _curve(report, "drawdown_usdc")]
    data = [_line("drawdown", _times(rows), y, RED, fill="tozeroy", showlegend=False)]
    return _figure(data, "UTC", "USDC below the peak", xaxis={"type": "date"})


def _inventory(report: Report) -> Figure:
    rows = report.curves["equity"]["rows"]
    if not rows:
        return _figure([], "", "")
    x = _times(rows)
    data = [
        _line("net YES less NO, shares", x, _curve(report, "net_shares"), VIOLET),
        _line("at risk, USDC", x, _curve(report, "exposure_usdc"), AMBER, yaxis="y2"),
    ]
    below = {"title": {"text": "USDC"}, "domain": [0.0, 0.44], "anchor": "x"}
    above = {"title": {"text": "shares"}, "domain": [0.56, 1.0]}
    x_axis = {"type": "date", "anchor": "y2"}
    return _figure(data, "UTC", "shares", xaxis=x_axis, yaxis=above, yaxis2=below)


def _lenses(report: Report) -> Figure:
    engines = sorted({row["engine"] for row in report.lenses} - {"all"})
    names = [*engines, "all"]
    data = [
        {
            "type": "bar",
            "name": lens,
            "x": names,
            "y": [report.lens(lens, engine)["net_usdc"] for engine in names],
            "customdata": [report.lens(lens, engine)["fills"] for engine in names],
            "hovertemplate": "%{x}: %{y:.4f} USDC net, %{customdata} fills",
            "marker": {"color": LENS_COLOURS[lens]},
        }
        for lens in LENSES
    ]
    return _figure(data, "engine", "net USDC", barmode="group")


def _fills(report: Report) -> Figure:
    tracks = report.curves["tracks"][:TRACKS_SHOWN]
    data: list[Figure] = []
    owners: list[int] = []
    for number, track in enumerate(tracks):
        traces = _track(report, track)
        for trace in traces:
            trace["visible"] = number == 0
            trace["showlegend"] = True
        data += traces
        owners += [number] * len(traces)
    buttons = [
        {
            "label": f"{track['slug']} ({track['fills']})",
            "method": "update",
            "args": [{"visible": [owner == number for owner in owners]}],
        }
        for number, track in enumerate(tracks)
    ]
    menu = {"buttons": buttons, "x": 0, "xanchor": "left", "y": 1.14, "yanchor": "bottom"}
    figure = _figure(data, "UTC", "price of YES", xaxis={"type": "date"}, updatemenus=[menu])
    figure["layout"]["margin"]["t"] = 88
    return figure


def _track(report: Report, track: dict[str, Any]) -> list[Figure]:
    rows = track["rows"]
    x = _times(rows)
    traces = [
        _line("bid", x, [row[1] for row in rows], GREY, line={"width": 1}),
        _line("ask", x, [row[2] for row in rows], GREY, line={"width": 1, "dash": "dot"}),
        _line("fair value", x, [row[3] for row in rows], BLUE),
    ]
    fills = [fill for fill in report.curves["fills"] if fill["slug"] == track["slug"]]
    for side, name, symbol, colour in (
        ("buy", "bought YES (or sold NO)", "triangle-up", GREEN),
        ("sell", "sold YES (or bought NO)", "triangle-down", RED),
    ):
        ours = [fill for fill in fills if fill["side"] == side]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": name,
                "x": [fill["ts_ns"] // MS_NS for fill in ours],
                "y": [fill["yes_price_e4"] / ONE_E4 for fill in ours],
                "text": [f"{fill['engine']}, {fill['why']}" for fill in ours],
                "marker": {"symbol": symbol, "size": 9, "color": colour},
            }
        )
    return traces


def _markouts(report: Report) -> Figure:
    """Each fill's markout as a box by horizon; the contract's medians are those of the boxes."""
    found = report.curves["markouts"]
    data = [
        {
            "type": "box",
            "name": f"{seconds} s",
            "y": [row[1] for row in found if row[0] == seconds],
            "marker": {"color": colour, "size": 3},
            "boxpoints": "outliers",
        }
        for seconds, colour in zip(HORIZONS_S, PALETTE, strict=False)
    ]
    data = [box for box in data if box["y"]]
    return _figure(data, "after the fill", "bps of the entry price, net", showlegend=False)


def _edge(report: Report) -> Figure:
    """What a fill was thought to be worth, against what it was worth after 10 s."""
    points = [row for row in report.curves["markouts"] if row[0] == HORIZONS_S[-1]]
    points = [row for row in points if row[2] is not None]
    if not points:
        return _figure([], "", "")
    low = min(row[2] for row in points)
    high = max(row[2] for row in points)
    data = [
        _line("as expected", [low, high], [low, high], GREY, line={"dash": "dot"}),
        {
            "type": "scatter",
            "mode": "markers",
            "name": "fills",
            "x": [row[2] for row in points],
            "y": [row[1] for row in points],
            "marker": {"color": BLUE, "size": 5, "opacity": 0.6},
        },
    ]
    return _figure(data, "edge against fair value at the fill, bps", "net markout at 10 s, bps")


def _reliability(report: Report) -> Figure:
    curves: dict[str, list[dict[str, Any]]] = report.calibration["reliability"]
    data: list[Figure] = []
    for (model, bins), colour in zip(sorted(curves.items()), PALETTE, strict=False):
        kept = [each for each in bins if each["samples"]]
        if kept:
            trace = _line(
                model,
                [each["forecast"] for each in kept],
                [each["outcome"] for each in kept],
                colour,
                text=[f"{each['samples']} samples" for each in kept],
            )
            data.append({**trace, "mode": "lines+markers"})
    if data:
        data.insert(0, _line("perfect", [0, 1], [0, 1], GREY, line={"dash": "dot"}))
    axis = {"range": [0, 1]}
    return _figure(data, "forecast", "came true", xaxis=dict(axis), yaxis=dict(axis))


def _brier(report: Report) -> Figure:
    """Brier score by time to the end, each model against the market's mid; lower is better."""
    groups: dict[str, dict[str, Any]] = report.calibration["by_time_to_end"]
    scored = (scores.items() for scores in groups.values())
    models = sorted({model for rows in scored for model, row in rows if row["samples"]})
    data = [
        {
            "type": "bar",
            "name": model,
            "x": list(groups),
            "y": [scores.get(model, {}).get("brier") for scores in groups.values()],
            "marker": {"color": GREY if model == MID else colour},
        }
        for model, colour in zip(models, PALETTE, strict=False)
    ]
    return _figure(data, "time to the end", "Brier score", barmode="group")


def _latency(report: Report) -> Figure:
    curves = {**report.curves["latency"], **report.wall["curves"]}
    shares = list(CURVE_QUANTILES)
    data = [
        _line(name, [max(value, 1e-3) for value in points], shares[: len(points)], colour)
        for (name, points), colour in zip(sorted(curves.items()), PALETTE, strict=False)
    ]
    return _figure(data, "ms", "share at or below", xaxis={"type": "log"})
