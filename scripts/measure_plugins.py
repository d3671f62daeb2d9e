#!/usr/bin/env python3
"""Measure the strategy plugins of this repository beside the built-ins that they replace.

Usage: python scripts/measure_plugins.py [--table makers|takers|allocators] [--seeds 1-6]
[--minutes 30] [--activity 0.02] [--tapes DIR]

Every run trades the same tapes on paper, under the queue model of fills: tapes of the local venue,
one a seed, and the shipped sample. Nobody trades against a tape, so the runs differ by what is
measured alone. The plugins must be installed: pip install ./plugins/polytrade-glft and the others.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, final

import attrs

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parent
sys.path[:0] = [folder for folder in (str(HERE), str(ROOT)) if folder not in sys.path]

from measure_models import seeds_of  # noqa: E402 - see above
from model_runs import (  # noqa: E402
    TICK_MS,
    UNSTOPPED,
    FillMarkouts,
    Plan,
    RunResult,
    mean_and_error,
    ratio_and_error,
    records_of,
)

from polytrade.captures import CaptureReader, CaptureRecord  # noqa: E402
from polytrade.config import Config  # noqa: E402
from polytrade.core.effects import Effect, PlaceOrder  # noqa: E402
from polytrade.core.events import Event, OrderFilled  # noqa: E402
from polytrade.core.markouts import HORIZONS_S  # noqa: E402
from polytrade.core.units import MS_NS  # noqa: E402
from polytrade.decoding import FrameDecoders, recorded_events  # noqa: E402
from polytrade.errors import ConfigError, PluginError  # noqa: E402
from polytrade.lenses import EXPECTED, Lenses  # noqa: E402
from polytrade.session import build_session, run_started  # noqa: E402
from polytrade.strict import load  # noqa: E402

SAMPLE: Final = ROOT / "datasets" / "sample-updown-5m.jsonl.zst"
COINS: Final = ("btc", "eth")
COMMON: Final = (
    "arb.enabled=false",
    "risk.daily_drawdown_cap_pct=1.0",
    f"risk.max_daily_loss={float(UNSTOPPED)}",
    f"risk.max_loss_streak={UNSTOPPED}",
    f"latency.tick_interval_ms={TICK_MS}",
)
"""No complete sets, and no stop that ends a losing run early."""
MARKOUTS: Final = ", ".join(map(str, HORIZONS_S))


@attrs.frozen
class Table:
    """Runs side by side: each name with its settings; `engine` is whose fills and money count."""

    engine: str
    common: tuple[str, ...]
    runs: Mapping[str, tuple[str, ...]]


TABLES: Final = {
    "makers": Table(
        "maker",
        ("strategy.taker=none",),
        {
            "skewed": ("strategy.maker=skewed",),
            "glft": ("strategy.maker=glft",),
            "glft, learning": (
                "strategy.maker=glft",
                "plugins.settings.glft.learn_half_life_s=1800.0",
            ),
        },
    ),
    "takers": Table(
        "taker",
        ("strategy.maker=skewed",),
        {
            "profile": ("strategy.taker=profile",),
            "momentum": ("strategy.taker=momentum",),
            "momentum, reference alone": (
                "strategy.taker=momentum",
                "plugins.settings.momentum.flow_gain=0.0",
                "plugins.settings.momentum.imbalance_gain=0.0",
            ),
            "momentum, order flow alone": (
                "strategy.taker=momentum",
                "plugins.settings.momentum.momentum_gain=0.0",
                "plugins.settings.momentum.flow_gain=0.25",
                "plugins.settings.momentum.imbalance_gain=0.5",
            ),
        },
    ),
    "allocators": Table(
        "all",
        ("strategy.maker=skewed", "strategy.taker=profile"),
        {
            "reference": ("strategy.allocator=reference",),
            "kelly": ("strategy.allocator=kelly",),
            "multi_kelly": ("strategy.allocator=multi_kelly",),
        },
    ),
}


@final
class Measured:
    """One run over one tape; it plays the tape of its session."""

    def __init__(self, config: Config) -> None:
        self.session = build_session(config)
        self.session.tape = self
        self._lenses = Lenses(self.session.engine)
        self._markouts = FillMarkouts(self.session.engine)
        self._orders: dict[str, str] = {}
        self._event: Event | None = None
        self.result = RunResult()
        self.shares: dict[str, list[float]] = {}

    def append(self, event: Event) -> None:
        """An event is about to be stepped."""
        self._event = event
        self._markouts.before(event)

    def effects(self, effects: Sequence[Effect]) -> None:
        """The engine stepped the event appended last."""
        event = self._event
        assert event is not None, "effects before an event"
        self._markouts.after(event)
        self._lenses.observe(event, effects)
        if isinstance(event, OrderFilled):
            order = self.session.engine.orders.find(event.order_id)
            if order is not None:
                self.shares.setdefault(order.engine, []).append(event.size_e6 / 1e6)
        self.result.orders += sum(isinstance(effect, PlaceOrder) for effect in effects)

    def finish(self) -> "Outcome":
        """The numbers, with open positions at the mid."""
        self.result.lenses = [row.to_dict() for row in self._lenses.table()]
        self.result.markouts = self._markouts.found
        return Outcome(self.result, self.shares)


@attrs.frozen
class Outcome:
    """What a run did on one tape; `shares` are those of each fill, by engine."""

    result: RunResult
    shares: Mapping[str, Sequence[float]]

    def fills(self, engine: str) -> list[float]:
        """The shares of each fill of an engine, or of all."""
        wanted = self.shares if engine == "all" else (engine,)
        return [size for each in wanted for size in self.shares.get(each, ())]

    def money(self, engine: str, horizon: int) -> tuple[float, float, float]:
        """Worth of the fills, what they gained until the horizon, and that after fees, in USDC."""
        found = self.result.markouts
        sums = [rows[horizon] for each, rows in found.items() if engine in (each, "all")]
        return sum(s.worth for s in sums), sum(s.gain for s in sums), sum(s.net for s in sums)


def config_of(table: Table, run: str, coins: Sequence[str]) -> Config:
    """The local venue's configuration with the settings of a run."""
    named = ", ".join(f'"{coin}"' for coin in coins)
    own = (*COMMON, f"universe.coins=[{named}]", *table.common, *table.runs[run])
    return load(ROOT / "configs" / "sandbox", own)


def measure(
    table: Table, records: Iterable[CaptureRecord], coins: Sequence[str], name: str
) -> dict[str, Outcome]:
    """Every run of a table over one tape."""
    runs = {run: Measured(config_of(table, run, coins)) for run in table.runs}
    first = next(iter(runs.values())).session.config
    events = recorded_events(
        records,
        FrameDecoders(coins),
        lambda ts_ns: run_started(first, ts_ns, name),
        TICK_MS * MS_NS,
    )
    handles = [run.session.handle for run in runs.values()]
    for event in events:
        for handle in handles:
            handle(event)
    return {run: it.finish() for run, it in runs.items()}


def rows_of(table: Table, tape: str, seeds: Sequence[Mapping[str, Outcome]]) -> Iterator[str]:
    """A table's rows for one kind of tape; with several tapes, sums and the mean's error."""
    for run in table.runs:
        outcomes = [seed[run] for seed in seeds]
        fills = [size for each in outcomes for size in each.fills(table.engine)]
        nets = [each.result.net_usdc(EXPECTED, table.engine) for each in outcomes]
        mean, error = mean_and_error(nets)
        shown = f"{mean:+.2f}" if error is None else f"{mean:+.2f} ± {error:.2f}"
        gross, net = _markouts(outcomes, table.engine)
        cells = (f"`{run}`", tape, str(len(fills)), f"{sum(fills):.0f}", shown, gross, net)
        yield f"| {' | '.join(cells)} |"


def _markouts(outcomes: Sequence[Outcome], engine: str) -> tuple[str, str]:
    """Markouts over all tapes in basis points, before and after fees, with their errors."""
    found: tuple[list[str], list[str]] = ([], [])
    for horizon in range(len(HORIZONS_S)):
        sums = [each.money(engine, horizon) for each in outcomes]
        worth = [row[0] for row in sums]
        for at, shown in enumerate(found, 1):
            ratio, error = ratio_and_error([row[at] for row in sums], worth)
            text = "-" if ratio is None else f"{ratio * 1e4:+.0f}"
            shown.append(text if error is None else f"{text} ± {error * 1e4:.0f}")
    return ", ".join(found[0]), ", ".join(found[1])


def page(name: str, sample: Mapping[str, Outcome], seeds: Sequence[Mapping[str, Outcome]]) -> str:
    """One table in Markdown; without seeds, the sample alone."""
    table = TABLES[name]
    head = ("run", "tape", "fills", "shares", "net a tape", "markouts", "markouts after fees")
    lines = [f"{name}:", "", f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    lines += rows_of(table, "sample", [sample])
    if seeds:
        tapes = "1 seed" if len(seeds) == 1 else f"{len(seeds)} seeds"
        lines += rows_of(table, tapes, seeds)
    return "\n".join([*lines, ""])


def main(arguments: list[str] | None = None) -> int:
    """0 when everything was measured, 1 when a plugin is not installed."""
    options = _parser().parse_args(arguments)
    seeds = seeds_of(options.seeds) if options.seeds else []
    plan = Plan(minutes=options.minutes, activity=options.activity)
    try:
        for name, table in TABLES.items():
            if options.table not in (None, name):
                continue
            sample = measure(table, CaptureReader(SAMPLE), COINS, "sample")
            measured = []
            for seed in seeds:
                with tempfile.TemporaryDirectory() as made:
                    tape = records_of(plan, seed, options.tapes or Path(made))
                    measured.append(measure(table, tape, plan.coins, f"seed-{seed}"))
                print(f"{name}, seed {seed}: done", file=sys.stderr, flush=True)
            print(page(name, sample, measured), flush=True)
    except (ConfigError, PluginError) as error:
        print(f"{error}\nis the plugin installed? pip install ./plugins/...", file=sys.stderr)
        return 1
    print(f"markouts: mean by worth, in basis points of the price, after {MARKOUTS} s")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--table", choices=TABLES, help="this one alone")
    parser.add_argument("--seeds", default="1-6", help="such as 1-6; empty for the sample alone")
    parser.add_argument("--minutes", type=int, default=30, help="market time a seed (default 30)")
    parser.add_argument(
        "--activity", type=float, default=0.02, help="message rate of the venue; 1 is the real one"
    )
    parser.add_argument(
        "--tapes", type=Path, metavar="DIR", help="keep the tapes there, and use those found"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
