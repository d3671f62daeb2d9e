#!/usr/bin/env python3
"""Measure what a tick costs, each case beside a baseline in the same run (docs/performance.md).

Loopback only; bounded in time and in messages. The exit code tells whether it ran and whether what
it ran was right, never how fast it was.
"""

import argparse
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

SCRIPTS = Path(__file__).resolve().parent
ROOT = SCRIPTS.parent
for folder in (ROOT, SCRIPTS):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

from benchmarks import (  # noqa: E402 - the project need not be installed
    books,
    deciding,
    decoding,
    endtoend,
    measure,
    records,
    reloading,
    replays,
    report,
    stepping,
    venues,
)
from benchmarks.endtoend import Passage  # noqa: E402
from benchmarks.measure import Row  # noqa: E402
from benchmarks.reloading import Reloading  # noqa: E402
from benchmarks.venues import Presence  # noqa: E402

PAGE = ROOT / "docs" / "performance.md"
RESULTS = ROOT / "docs" / "results.md"
Costs = Callable[..., list[Row]]
Found = tuple[list[Row], list[Passage], list[Presence], *tuple[list[Reloading], ...]]
Run = Callable[[int, bool], Found]


def _costs(measured: Costs) -> Run:
    def run(repeats: int, quick: bool) -> Found:
        return measured(repeats, quick=quick), [], []

    return run


def _endtoend(repeats: int, quick: bool) -> Found:
    rows, passages = endtoend.run(1 if quick else repeats, quick=quick)
    return rows, passages, []


GROUPS: Final[dict[str, Run]] = {
    decoding.GROUP: _costs(decoding.run),
    books.GROUP: _costs(books.run),
    stepping.GROUP: _costs(stepping.run),
    deciding.GROUP: _costs(deciding.run),
    records.GROUP: _costs(records.run),
    replays.GROUP: _costs(replays.run),
    endtoend.GROUP: _endtoend,
    venues.GROUP: lambda repeats, quick: ([], [], venues.run(quick=quick)),
    reloading.GROUP: lambda repeats, quick: ([], [], [], reloading.run(quick=quick)),
}
"""Every group of cases by the name `--only` takes, in the order of the tables."""


def main(arguments: list[str] | None = None) -> int:
    """0 when everything ran; an error of a case passes through."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0],
        epilog="Example: python scripts/bench.py --only decode --only book",
    )
    parser.add_argument("--quick", action="store_true", help="minutes instead of an hour, rough")
    parser.add_argument(
        "--only", action="append", choices=GROUPS, default=[], help="this group; may be repeated"
    )
    parser.add_argument("--json-out", type=Path, metavar="FILE", help="write the numbers as JSON")
    parser.add_argument(
        "--write-docs",
        action="store_true",
        help="write the tables into docs/performance.md and docs/results.md",
    )
    options = parser.parse_args(arguments)
    alone = options.only == [reloading.GROUP]  # it has a page of its own
    if options.write_docs and (options.quick or (options.only and not alone)):
        parser.error("--write-docs takes a full run: without --quick and --only, but of reload")
    result = run(options.only or list(GROUPS), quick=options.quick)
    print(report.text(result))
    if options.json_out is not None:
        options.json_out.write_text(result.to_json(), encoding="utf-8")
    if options.write_docs:
        if not alone:
            report.write_page(PAGE, result)
        report.write_results(RESULTS, result)
        print("wrote the tables")
    return 0


def run(groups: list[str], *, quick: bool) -> report.Result:
    """Run these groups and put their numbers together."""
    repeats = measure.REPEATS_QUICK if quick else measure.REPEATS
    before = measure.load_average()
    rows: list[Row] = []
    passages: list[Passage] = []
    presences: list[Presence] = []
    reloads: list[Reloading] = []
    for name in groups:
        print(f"{name} ...", file=sys.stderr, flush=True)
        more, through, present, *others = GROUPS[name](repeats, quick)
        rows += more
        passages += through
        presences += present
        reloads += [row for found in others for row in found]
    return report.Result(
        created=f"{datetime.now(UTC):%Y-%m-%d}",
        quick=quick,
        machine=measure.machine(),
        load=(before, measure.load_average()),
        rows=tuple(rows),
        passages=tuple(passages),
        presences=tuple(presences),
        reloads=tuple(reloads),
    )


if __name__ == "__main__":
    sys.exit(main())
