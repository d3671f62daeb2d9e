"""Compare a tape of the local venue with real captures, figure by figure.

Usage: python scripts/venue_statistics.py (--tape FILE | --generate MINUTES [--seed N]
[--activity X]) [--captures DIR] [--write-docs]. The captures are no part of the project;
POLYTRADE_CAPTURES names the folder too. `--write-docs` puts the table between the markers of
docs/sandbox.md.
"""

import argparse
import math
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import attrs
import orjson

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parent
sys.path[:0] = [folder for folder in (str(HERE), str(ROOT)) if folder not in sys.path]

from lead_lag import LeadLag  # noqa: E402 - see above
from tape_statistics import (  # noqa: E402
    LABELS,
    Figure,
    Figures,
    tape_statistics,
)

from polytrade.captures import CaptureRecord  # noqa: E402
from polytrade.importers import read_capture  # noqa: E402

PAGE: Final = ROOT / "docs" / "sandbox.md"
BEGIN: Final = "<!-- statistics -->"
END: Final = "<!-- /statistics -->"
REAL: Final = {
    "ali": ("ali-btc5m-raw/market-ws.head.jsonl", "BTC 5m, 2026-04-21, 6 s, times of the venue"),
    "cronos": ("cronos-btc5m-book", "BTC 5m, 2026-04-16, books of 8 windows"),
}
"""Name in the table: where below the folder of captures, what it is."""
BOOKS_ONLY: Final = ("rate", "tenth", "gap")
"""A recorder of books alone tells no rate of messages: beginnings of such figures."""
CAIO: Final = "caio-dec2025/15m_btc_trades_1765450800up.json"
CAIO_NAME: Final = "caio"
REPORTED: Final = {"follow_p50": "0.30 (3 hours, October 2026)"}
"""What others measured on recordings we do not have."""


@attrs.frozen
class Column:
    """One tape's figures under a heading."""

    heading: str
    figures: Figures


def captured(folder: Path) -> Iterator[Column]:
    """The real captures that are there."""
    for name, (place, what) in REAL.items():
        path = folder / place
        if path.exists():
            figures = tape_statistics(read_capture(path))
            if "price_change" not in figures:
                figures = {
                    key: figure for key, figure in figures.items() if not key.startswith(BOOKS_ONLY)
                }
            yield Column(f"{name}: {what}", figures)
    path = folder / CAIO
    if path.exists():
        what = f"{CAIO_NAME}: BTC 15m, 2025-12-11, trades beside Binance"
        yield Column(what, lead_of_trades(path))


def lead_of_trades(path: Path) -> Figures:
    """Figures of a list of trades that each tell the exchange's price of their moment."""
    lead = LeadLag()
    rows = orjson.loads(path.read_bytes())
    for row in sorted(rows, key=lambda row: int(row["local_timestamp"])):
        ts_ns = int(row["local_timestamp"]) * 1_000_000
        lead.exchange.put(ts_ns, float(row["asset_price"]))
        lead.take_trade(ts_ns, path.name, float(row["price"]))
    correlations, pairs = lead.correlations([path.name])
    return {f"lag_{lag}": Figure(value, pairs) for lag, value in enumerate(correlations)}


def table(columns: list[Column]) -> str:
    """The figures side by side in Markdown, each with the number of observations behind it."""
    rows = [
        "| figure | " + " | ".join(f"{column.heading} | n" for column in columns) + " |",
        "|---|" + "--:|--:|" * len(columns),
    ]
    for key, (label, form) in LABELS.items():
        cells = [_cells(column.figures.get(key), form) for column in columns]
        if any(cell.strip(" |") for cell in cells):
            rows.append(f"| {label} | " + " | ".join(cells) + " |")
    notes = [f"{LABELS[key][0]}: others report {what}." for key, what in REPORTED.items()]
    return "\n".join(rows) + "\n\n" + "\n".join(notes) + "\n"


def _cells(figure: Figure | None, form: str) -> str:
    if figure is None or math.isnan(figure.value):
        return " | "
    return f"{form.format(figure.value)} | {figure.n:,}"


def with_table(page: str, found: str) -> str:
    """The page with the table between its markers; ValueError when it has none."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"expected {BEGIN} and {END} in the page")
    return f"{before}{BEGIN}\n{found}{END}{after}"


def generated(minutes: float, seed: int, activity: float) -> Iterable[CaptureRecord]:
    """A tape of the local venue, made here and now: bitcoin's windows at the real rate."""
    from polytrade.sandbox.tape import Tape  # noqa: PLC0415 - the venue is big
    from polytrade.sandbox.venue.options import VenueOptions  # noqa: PLC0415

    options = VenueOptions(
        seed=seed, coins=("btc",), windows=("5m", "15m"), slow_markets=False, activity=activity
    )
    return Tape(options).records(round(minutes * 60))


def main(argv: list[str] | None = None) -> int:
    """Print the table, or write it into the page."""
    parser = argparse.ArgumentParser(description="compare a tape with real captures")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--tape", type=Path, help="a capture file, such as the venue records")
    which.add_argument("--generate", type=float, metavar="MINUTES", help="make a tape")
    parser.add_argument("--seed", type=int, default=7, help="of the tape made (default 7)")
    parser.add_argument("--activity", type=float, default=1.0, help="of the tape made (default 1)")
    parser.add_argument("--captures", type=Path, default=os.environ.get("POLYTRADE_CAPTURES"))
    parser.add_argument("--write-docs", action="store_true", help="write it into docs/sandbox.md")
    args = parser.parse_args(argv)
    if args.tape is not None:
        columns = [Column(args.tape.name, tape_statistics(read_capture(args.tape)))]
    else:
        records = generated(args.generate, args.seed, args.activity)
        heading = f"local venue, {args.generate:g} min, seed {args.seed}"
        columns = [Column(heading, tape_statistics(records))]
    if args.captures is not None:
        columns += captured(Path(args.captures))
    found = table(columns)
    if args.write_docs and PAGE.exists():
        PAGE.write_text(with_table(PAGE.read_text(), found))
        print(f"wrote {PAGE.relative_to(ROOT)}")
    else:
        print(f"{BEGIN}\n{found}{END}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
