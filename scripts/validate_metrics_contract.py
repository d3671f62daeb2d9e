"""Check that the metrics contract, its page, the JSON reports and the Prometheus page agree.

Usage: python scripts/validate_metrics_contract.py [--base-url URL]

The contract is the table of `polytrade/contract`. With `--base-url` a running daemon is checked as
well. Prints every difference; 0 when there is none, 1 otherwise, 2 for wrong usage.
"""

import argparse
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import httpx2
import orjson

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from polytrade import contract  # noqa: E402 - the project need not be installed
from polytrade.config import Config  # noqa: E402
from polytrade.contract import COUNTER, GAUGE, SUMMARY, TABLE, Metric, cells  # noqa: E402
from polytrade.control import answers  # noqa: E402
from polytrade.control.exposition import page_blocks  # noqa: E402
from polytrade.gates import GATES  # noqa: E402
from polytrade.meter import Meter  # noqa: E402
from polytrade.metrics import METRICS, Quantiles, Readings  # noqa: E402
from polytrade.reports.watch import Watch  # noqa: E402
from polytrade.runtime.reporting import live_report  # noqa: E402
from polytrade.runtime.status import DaemonStatus  # noqa: E402
from polytrade.session import build_session  # noqa: E402

PAGE: Final = ROOT / "docs/metrics_contract.md"
TIMEOUT_S: Final = 10.0
SUFFIXES: Final = {
    "ms": {"ms"},
    "us": {"us"},
    "bps": {"bps"},
    "usdc": {"usdc", "rows"},
    "ratio": {"ratio"},
    "pct": {"ratio"},
    "rate": {"ratio", "messages/s"},
    "sec": {"s"},
    "seconds": {"s"},
    "shares": {"shares"},
    "count": {"count", "markets"},
}
"""What a number is measured in by the end of its name, behind which a percentile may stand."""
WHOLE: Final = (contract.SHADOW, contract.TOXICITY)
"""Endpoints whose every field is in the contract; others answer more."""
HEADING: Final = re.compile(r"^# (HELP|TYPE) (polytrade_\w+) (.*)$")


def main(arguments: list[str] | None = None) -> int:
    """0 when everything agrees, 1 when something does not."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--base-url", help="also check the daemon there, for example http://127.0.0.1:8080"
    )
    base_url = parser.parse_args(arguments).base_url
    problems = [*table_problems(), *page_problems(), *code_problems()]
    checked = "contract, page, JSON and Prometheus names"
    if base_url is not None:
        problems += daemon_problems(base_url.rstrip("/"))
        checked += f", daemon at {base_url}"
    for problem in problems:
        print(problem)
    if problems:
        print(f"{len(problems)} differences; see docs/metrics_contract.md, scripts/gen_docs.py")
        return 1
    print(f"ok: {len(contract.METRICS)} metrics; {checked}")
    return 0


def table_problems() -> Iterator[str]:
    """Where the table contradicts itself: units by name, kinds by name, gates without a metric."""
    fields = {field for row in contract.METRICS.values() for field in row.fields}
    for name, row in contract.METRICS.items():
        if name != row.name:
            yield f"table: {name} is filed under another name than its own, {row.name}"
        stem = re.sub(r"_(p\d\d|total|raw|robust|by_symbol)$", "", name)
        stem = re.sub(r"_(p\d\d|raw|robust|by_symbol)$", "", stem)
        suffix = stem.rpartition("_")[2]
        if suffix in SUFFIXES and row.unit not in SUFFIXES[suffix] and row.kind != TABLE:
            expected = " or ".join(sorted(SUFFIXES[suffix]))
            yield f"table: {name}: expected unit {expected} by its name, found {row.unit}"
        if name.endswith("_total") is not (row.kind == COUNTER):
            yield f"table: {name}: counters, and they alone, end in _total; it is a {row.kind}"
    for gate in GATES:
        if gate.metric not in fields:
            yield f"table: the gate {gate.text()} is on a field that no row has"


def page_problems(page: Path | None = None) -> Iterator[str]:
    """Where the page is not the table: rows missing or left over, cells that differ."""
    try:
        text = (page or PAGE).read_text(encoding="utf-8")
    except OSError as error:
        yield f"page: {error}"
        return
    found = dict(_page_rows(text))
    for row in contract.METRICS.values():
        wanted = tuple(cell.replace("|", "\\|") for cell in cells(row))
        cell_row = found.pop(wanted[0], None)
        if cell_row is None:
            yield f"page: no row for {wanted[0]}"
            continue
        for column, expected, got in zip(contract.COLUMNS, wanted, cell_row, strict=True):
            if expected != got:
                yield f"page: {wanted[0]}, {column}: expected {expected!r}, found {got!r}"
    for name in found:
        yield f"page: {name} is not in the table"


def _page_rows(text: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    for line in text.splitlines():
        parts = tuple(part.strip() for part in re.split(r"(?<!\\)\|", line)[1:-1])
        if len(parts) == len(contract.COLUMNS) and parts[0].startswith("`"):
            yield parts[0], parts


def code_problems() -> Iterator[str]:
    """Where the answers and the page the code makes are not the table's."""
    yield from json_problems(code_answers())
    text = "".join(block for block, _ in page_blocks(_full_readings()))
    yield from prometheus_problems(text)


def code_answers() -> dict[str, Mapping[str, Any]]:
    """What the endpoints answer before anything has happened."""
    config = Config()
    session = build_session(config)
    watch = Watch(config, session.engine, Meter())
    report = live_report(watch, watch.meter.readings(0))
    status = DaemonStatus(ts_ns=0, version="")
    made: dict[str, Mapping[str, Any]] = {
        contract.SHADOW: report.body,
        contract.TOXICITY: report.toxicity,
        contract.ENGINES: report.window.pnl_dict(),
        contract.PNL: answers.pnl(status),
        contract.QUALITY: answers.quality(status),
    }
    return {name: orjson.loads(answers.encode(body)) for name, body in made.items()}


def json_problems(found: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Where answers, by endpoint, do not have the fields of the table, or values of another kind.

    Only endpoints in `found` are looked at.
    """
    for endpoint, body in found.items():
        fields = contract.of_endpoint(endpoint)
        for name, row in fields.items():
            if name not in body:
                yield f"{endpoint}: no field {name}"
            else:
                yield from _value_problems(endpoint, name, row, body[name])
        if endpoint in WHOLE:
            for name in sorted(set(body) - set(fields)):
                yield f"{endpoint}: field {name} is not in the table"


def _value_problems(endpoint: str, name: str, row: Metric, value: object) -> Iterator[str]:
    if row.kind == TABLE or value is None:
        return
    if row.labels:
        parts: Iterable[object] = value.values() if isinstance(value, dict) else [value]
    else:
        parts = [value]
    for part in parts:
        if not isinstance(part, int | float):
            yield f"{endpoint}: {name}: expected a number, found {part!r}"
        elif row.unit == "ratio" and not 0 <= part <= 1:
            yield f"{endpoint}: {name}: expected a ratio from 0 to 1, found {part!r}"


def prometheus_problems(text: str) -> Iterator[str]:
    """Where a Prometheus page does not have the table's names, types and units."""
    heads: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        match = HEADING.match(line)
        if match is not None:
            heads.setdefault(match[2], {})[match[1]] = match[3]
    for row in contract.METRICS.values():
        if not row.prometheus:
            continue
        head = heads.pop(row.prometheus, None)
        if head is None:
            yield f"/metrics: no {row.prometheus}"
            continue
        kind, about = head.get("TYPE", ""), head.get("HELP", "")
        if kind != row.kind:
            yield f"/metrics: {row.prometheus}: expected type {row.kind}, found {kind}"
        unit = row.unit if row.unit in {"1", "bool"} else about.rpartition("(")[2].rstrip(")")
        if unit != row.unit:
            yield f"/metrics: {row.prometheus}: expected unit {row.unit}, found {about!r}"
    for name in heads:
        yield f"/metrics: {name} is not in the table"


def daemon_problems(base_url: str) -> Iterator[str]:
    """Where a running daemon's answers are not the table's."""
    found: dict[str, Mapping[str, Any]] = {}
    endpoints = (
        *(contract.SHADOW, contract.TOXICITY, contract.ENGINES),
        *(contract.PNL, contract.QUALITY),
    )
    with httpx2.Client(timeout=TIMEOUT_S) as client:
        try:
            for endpoint in endpoints:
                answer = client.get(base_url + endpoint)
                if answer.status_code != 200:
                    yield f"{base_url}{endpoint}: status {answer.status_code}: {answer.text[:200]}"
                    continue
                found[endpoint] = answer.json()
            page = client.get(f"{base_url}/metrics").text
        except (httpx2.HTTPError, ValueError) as error:
            yield f"{base_url}: {type(error).__name__}: {error}"
            return
    yield from json_problems(found)
    yield from prometheus_problems(page)


def _full_readings() -> Readings:
    """A value for every row."""
    readings = Readings()
    for row in METRICS.values():
        if row.kind == SUMMARY:
            readings.put_summary(row.name, Quantiles())
        elif row.kind in {COUNTER, GAUGE}:
            readings.put(row.name, 1, *("x" for _ in row.labels))
    return readings


if __name__ == "__main__":
    sys.exit(main())
