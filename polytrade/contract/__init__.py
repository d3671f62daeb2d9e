"""The metrics contract: every number the project publishes, as one table.

The JSON reports, the Prometheus page, `docs/metrics_contract.md` and
`scripts/validate_metrics_contract.py` take names, units and meanings from here. A percentile of an
empty sample is null in JSON and absent in Prometheus, never 0: it would pass a gate.
"""

from typing import Final

from polytrade.contract import account, daemon, data, trading
from polytrade.contract.rows import (
    COUNTER,
    ENGINES,
    GAUGE,
    PERCENTILES,
    PNL,
    PREFIX,
    QUALITY,
    SHADOW,
    SUMMARY,
    TABLE,
    TOXICITY,
    Metric,
    percentile_name,
)

__all__ = [
    "COLUMNS",
    "COUNTER",
    "ENGINES",
    "GAUGE",
    "METRICS",
    "PERCENTILES",
    "PNL",
    "PREFIX",
    "QUALITY",
    "SECTIONS",
    "SHADOW",
    "SUMMARY",
    "TABLE",
    "TOXICITY",
    "Metric",
    "cells",
    "of_endpoint",
    "percentile_name",
    "table_of",
]


def table_of(*rows: Metric) -> dict[str, Metric]:
    """Rows by name; AssertionError when two have one name."""
    table = {row.name: row for row in rows}
    if len(table) != len(rows):
        raise AssertionError("a metric is named twice")
    return table


SECTIONS: Final[dict[str, tuple[Metric, ...]]] = {
    "Data validity": data.VALIDITY,
    "Books": data.BOOKS,
    "Latency": data.LATENCIES,
    "Orders and the funnel": trading.ORDERS,
    "Shots, markouts and gates": trading.SHOTS,
    "Money": account.MONEY,
    "Toxicity": account.TOXIC,
    "Markets followed now": account.MARKETS,
    "The daemon": daemon.DAEMON,
}
"""The rows as the page groups them."""

METRICS: Final[dict[str, Metric]] = table_of(*(row for rows in SECTIONS.values() for row in rows))
"""Every number the project publishes, by name."""

COLUMNS: Final = (
    "metric",
    "kind",
    "unit",
    "labels",
    "JSON",
    "window",
    "wall clock",
    "gate",
    "meaning",
    "formula",
)
"""The columns of the contract's page."""


def of_endpoint(endpoint: str) -> dict[str, Metric]:
    """The rows whose values an endpoint answers, by the field's name, in the table's order."""
    rows = [row for row in METRICS.values() if row.endpoint == endpoint]
    return {field: row for row in rows for field in row.fields}


def cells(row: Metric) -> tuple[str, ...]:
    """A row of the contract's page, a cell for each of `COLUMNS`."""
    return (
        f"`{row.prometheus or row.name}`",
        row.kind,
        row.unit,
        ", ".join(f"`{label}`" for label in row.labels),
        _places(row),
        row.window,
        "yes" if row.wall_clock else "",
        ", ".join(f"`{gate.text()}`" for gate in row.gates),
        row.help,
        row.formula,
    )


def _places(row: Metric) -> str:
    if not row.json:
        return ""
    return f"{row.endpoint}: " + ", ".join(f"`{field}`" for field in row.fields)
