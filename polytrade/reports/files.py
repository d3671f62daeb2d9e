"""The report files of one day: rendered from a report, written whole or not at all."""

import contextlib
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from polytrade.contract import SHADOW, of_endpoint
from polytrade.reports.fixlist import fixlist_text
from polytrade.reports.manifest import VERSION
from polytrade.reports.page import plotly_version, report_page
from polytrade.reports.report import Report
from polytrade.reports.tables import (
    ENGINE_COLUMNS,
    LATENCY_COLUMNS,
    csv_text,
    engine_rows,
    latency_rows,
    scorecard_rows,
)
from polytrade.reports.text import report_text

MANIFEST: Final = "truth_manifest.json"
SHADOW_LIVE: Final = "shadow_live_latest.json"
TOXICITY_LIVE: Final = "toxicity_live_latest.json"
LATEST: Final = frozenset({SHADOW_LIVE, TOXICITY_LIVE})
"""What a running daemon writes anew whenever it is asked: no manifest speaks for these two."""


def render(report: Report) -> dict[str, bytes]:
    """Every file of a report by its name, the manifest last: the same report, the same bytes."""
    columns, markets = scorecard_rows(report)
    texts = {
        "report_shadow_12h.md": report_text(report),
        "latency_breakdown_12h.csv": csv_text(LATENCY_COLUMNS, latency_rows(report)),
        "market_scorecard.csv": csv_text(columns, markets),
        "engine_pnl_breakdown.csv": csv_text(ENGINE_COLUMNS, engine_rows(report)),
        "next_fixlist.md": fixlist_text(report),
        "report_shadow_12h.html": report_page(report),
    }
    files = {name: text.encode() for name, text in texts.items()}
    shadow = shadow_json(report)
    files["report_shadow_12h.json"] = json_bytes({"shadow": shadow, "toxicity": report.toxicity})
    files[SHADOW_LIVE] = json_bytes(shadow)
    files[TOXICITY_LIVE] = json_bytes(report.toxicity)
    files[MANIFEST] = json_bytes(manifest(report, files))
    return files


def shadow_json(report: Report) -> dict[str, Any]:
    """The live report as `GET /report/shadow/live` answers it: every field of the contract."""
    contract = of_endpoint(SHADOW)
    numbers = {name: value for name, value in report.all_values().items() if name in contract}
    found = {
        **report.shadow,
        **numbers,
        "lenses": report.lenses,
        "calibration": report.calibration,
        "coherence": report.coherence,
        **report.gate.to_dict(),
    }
    return {**{name: found.pop(name, None) for name in contract}, **found}


def manifest(report: Report, files: Mapping[str, bytes]) -> dict[str, Any]:
    """What the figures rest on; `files` are the report's own, which it names by their SHA-256."""
    counts, basis = report.counts, report.basis
    source = report.latency.get("source_latency_ms", {})
    return {
        "polytrade_manifest": VERSION,
        "day": report.day,
        "plotly": plotly_version(),
        "basis": basis.to_dict(),
        "records": {
            "events": counts["events"],
            "by_kind": counts["events_by_kind"],
            "effects": counts["effects"],
            "fills": counts["fills"],
        },
        "ingest_seq": {"first": min(counts["events"], 1), "last": counts["events"]},
        "gaps": counts["gaps"],
        "clock_offset": {
            "skew_ms": counts["clock_skew_ms"],
            "source_latency_p50_ms": source.get("p50"),
        },
        "window": {
            "first_ts_ns": report.first_ts_ns,
            "last_ts_ns": report.ts_ns,
            **{name: report.shadow.get(name) for name in ("window_id", "started_at_ms")},
        },
        "digests": {"effects": counts["effect_digest"]},
        "account": report.account,
        "wall_clock": report.wall,
        "files": [
            {"name": name, "bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}
            for name, body in files.items()
            if name not in LATEST
        ],
    }


def write_reports(report: Report, root: Path) -> list[Path]:
    """Write every file of a report to `<root>/<utc-date>/`; their paths, the manifest last.

    Each is written aside, synced and renamed, so that a reader never sees half of one; the
    manifest, which names the others by their content, comes last. Takes a second for the page of
    plots: not for the event loop. OSError passes through.
    """
    folder = root / report.day
    return [write_file(folder / name, body) for name, body in render(report).items()]


def write_file(path: Path, body: bytes) -> Path:
    """Put a whole file in place: temporary name, sync, rename. OSError passes through."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with aside.open("wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            aside.unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network file systems refuse
            os.fsync(folder)
    finally:
        os.close(folder)
    return path


def write_json(path: Path, value: object) -> Path:
    """`write_file` of a value as `json_bytes` has it."""
    return write_file(path, json_bytes(value))


def json_bytes(value: object) -> bytes:
    """Indented JSON with sorted names, so that the same report gives the same bytes."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
    return orjson.dumps(value, option=options)
