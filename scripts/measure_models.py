#!/usr/bin/env python3
"""Measure the models and the negative controls on the local venue, and on real captures.

Usage: python scripts/measure_models.py [--seeds 1-10] [--minutes 60] [--coins btc]
[--activity 0.02] [--tapes DIR] [--captures DIR] [--out FILE] [--write-docs] [--quick]

Each seed is a tape of the local venue of its own, which every run trades on paper. `--quick` is two
seeds of eight minutes. Ctrl-C keeps the seeds that are done. The captures are no part of the
project; POLYTRADE_CAPTURES names the folder too. `--write-docs` puts the tables between the markers
of docs/results.md.
"""

import argparse
import multiprocessing
import os
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import attrs
import orjson

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parent
sys.path[:0] = [folder for folder in (str(HERE), str(ROOT)) if folder not in sys.path]

from model_captures import Captured, captured  # noqa: E402 - see above
from model_page import section, write_page  # noqa: E402
from model_runs import RUNS, Plan, SeedResult, measure_seed, records_of  # noqa: E402

from polytrade.captures import CaptureError  # noqa: E402

PAGE: Final = ROOT / "docs" / "results.md"
WORKERS_MAX: Final = 2
"""A run is bound by its processor, and the machines this is meant for have two cores."""
SEEDS_MAX: Final = 1_000
QUICK: Final = {"seeds": "1-2", "minutes": 8}


@attrs.define
class Measured:
    """Everything measured so far."""

    plan: Plan
    seeds: list[SeedResult] = attrs.Factory(list)
    captures: list[Captured] = attrs.Factory(list)
    asked: int = 0
    created: str = ""
    machine: str = ""
    elapsed_s: float = 0.0

    def to_json(self) -> bytes:
        """The numbers as one JSON document."""
        body = {
            "created": self.created,
            "machine": self.machine,
            "minutes": self.plan.minutes,
            "activity": self.plan.activity,
            "coins": self.plan.coins,
            "windows": self.plan.windows,
            "seeds_asked": self.asked,
            "elapsed_s": round(self.elapsed_s, 1),
            "seeds": [seed.to_dict() for seed in self.seeds],
            "captures": [each.to_dict() for each in self.captures],
        }
        return orjson.dumps(body, option=orjson.OPT_INDENT_2) + b"\n"


def main(arguments: list[str] | None = None) -> int:
    """0 when everything asked for was measured, 130 when it was interrupted."""
    options = _parser().parse_args(arguments)
    if options.quick:
        for name, value in QUICK.items():
            setattr(options, name, value)
    if options.write_docs and options.quick:
        sys.exit("--write-docs takes a full measurement: without --quick")
    plan = Plan(
        minutes=options.minutes,
        activity=options.activity,
        coins=tuple(options.coins.split(",")),
        windows=tuple(options.windows.split(",")),
        runs=tuple(options.runs.split(",")),
        tapes=options.tapes,
    )
    measured = Measured(
        plan,
        created=f"{datetime.now(UTC):%Y-%m-%d}",
        machine=f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores",
    )
    seeds = seeds_of(options.seeds)
    measured.asked = len(seeds)
    whole = measure(measured, seeds, options.workers, options.out, _say)
    folder = options.captures or os.environ.get("POLYTRADE_CAPTURES")
    if folder and whole:
        try:
            for found in captured(Path(folder)):
                _say(f"{found.name}: {found.what}")
                measured.captures.append(found)
        except (CaptureError, OSError) as error:
            sys.exit(f"captures: {error}")
    _keep(measured, options.out)
    text = section(measured.seeds, measured.captures, about(measured))
    print(text)
    if options.write_docs and whole:
        write_page(PAGE, text)
        _say(f"wrote {PAGE.relative_to(ROOT)}")
    return 0 if whole else 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0],
        epilog="Example: python scripts/measure_models.py --seeds 1-3 --minutes 15 --out m.json",
    )
    parser.add_argument("--seeds", default="1-10", help="such as 1-10 or 1,4,7 (default 1-10)")
    parser.add_argument("--minutes", type=int, default=60, help="market time a seed (default 60)")
    parser.add_argument(
        "--activity", type=float, default=0.02, help="message rate of the venue; 1 is the real one"
    )
    parser.add_argument("--coins", default="btc", help="such as btc,eth (default btc)")
    parser.add_argument("--windows", default="5m", help="such as 5m,15m (default 5m)")
    parser.add_argument("--runs", default=",".join(RUNS), help="strategies, as named in the tables")
    parser.add_argument("--workers", type=int, default=WORKERS_MAX, choices=range(1, 17))
    parser.add_argument(
        "--tapes", type=Path, metavar="DIR", help="keep the tapes there, and use those found"
    )
    parser.add_argument("--captures", type=Path, metavar="DIR", help="folder of real captures")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the numbers as JSON")
    parser.add_argument("--write-docs", action="store_true", help="write into docs/results.md")
    parser.add_argument("--quick", action="store_true", help="two seeds of eight minutes")
    return parser


def seeds_of(text: str) -> list[int]:
    """`1-3,7` as numbers; SystemExit for anything else."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        try:
            found += range(int(first), int(last or first) + 1)
        except ValueError:
            sys.exit(f"seeds: expected such as 1-10 or 1,4,7, found {text!r}")
    if not found or len(found) > SEEDS_MAX or len(set(found)) != len(found):
        sys.exit(f"seeds: expected 1 to {SEEDS_MAX}, each once, found {text!r}")
    return found


def measure(
    measured: Measured,
    seeds: list[int],
    workers: int,
    out: Path | None,
    say: Callable[[str], None],
) -> bool:
    """Measure every seed, keeping each as it comes; False when it was interrupted."""
    began = time.monotonic()
    plan = measured.plan
    with tempfile.TemporaryDirectory(prefix="polytrade-models-") as name:
        folder = plan.tapes if plan.tapes is not None else Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            for result in _results(plan, folder, seeds, workers):
                measured.seeds.append(result)
                measured.seeds.sort(key=lambda each: each.seed)
                measured.elapsed_s = time.monotonic() - began
                _keep(measured, out)
                say(_progress(result, len(measured.seeds), len(seeds), measured.elapsed_s))
        except KeyboardInterrupt:
            say(f"interrupted: {len(measured.seeds)} of {len(seeds)} seeds are kept")
            return False
    return True


def _results(
    plan: Plan, folder: Path, seeds: list[int], workers: int
) -> Iterator[SeedResult] | Iterable[SeedResult]:
    """One seed after the other, or in processes of their own, in the order they get done."""
    work = partial(one_seed, plan, folder)
    if workers == 1 or len(seeds) == 1:
        yield from map(work, seeds)
        return
    context = multiprocessing.get_context("spawn")
    with context.Pool(min(workers, len(seeds)), initializer=_quiet) as pool:
        yield from pool.imap_unordered(work, seeds)


def one_seed(plan: Plan, folder: Path, seed: int) -> SeedResult:
    """Make or find the tape of a seed and measure on it."""
    return measure_seed(plan, seed, iter(records_of(plan, seed, folder)))


def _quiet() -> None:
    """A worker leaves Ctrl-C to its parent, which ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _progress(result: SeedResult, done: int, of: int, elapsed_s: float) -> str:
    left_s = elapsed_s / done * (of - done)
    fills = ", ".join(f"{name} {run.fills} fills" for name, run in result.runs.items())
    left = f"{elapsed_s:.0f} s, about {left_s:.0f} s left"
    return f"seed {result.seed}: {result.events:,} events; {fills}; {done}/{of} after {left}"


def _keep(measured: Measured, out: Path | None) -> None:
    """Write the numbers so far, in one piece."""
    if out is None:
        return
    part = out.with_name(f"{out.name}.part")
    part.write_bytes(measured.to_json())
    part.replace(out)


def about(measured: Measured) -> str:
    """When, where and on what, in a sentence."""
    plan = measured.plan
    length = f"{plan.minutes} minutes of market time each"
    return (
        f"{measured.created}, {measured.machine}: {len(measured.seeds)} seeds, {length}, "
        f"{', '.join(plan.coins)}, windows of {', '.join(plan.windows)}, "
        f"message rate {plan.activity:g} of the real market's, {measured.elapsed_s:.0f} s in all"
    )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
