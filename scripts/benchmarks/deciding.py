"""What one decision costs: from an event to the effects, with everything on and with the maker
alone; and what the folds that look on cost besides.

A decision is one `Engine.step` that decided a market; a level far from the touch is none. The
percentiles are over all of them, the first ones included. The time is the thread's own, and the
collector is as the daemon has it: what is there is frozen, nothing is collected while stepping.
What runs beside us on the machine still costs caches and shared cores. So each percentile is there
twice: the median of whole runs, and over each decision's least time in equal runs, which is what
the code itself takes.
"""

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from math import ceil
from typing import Final

import attrs

from benchmarks import stepping, traffic
from benchmarks.measure import Body, Pair, Row, Side, measure, row_of
from polytrade.config import Config
from polytrade.core.events import Event
from polytrade.core.roles import FullShare, NoTaker
from polytrade.lineup import build_lineup
from polytrade.reports.watch import Watch
from polytrade.session import Session, build_session, run_started

GROUP: Final = "decision"
EVENTS: Final = 20_000
EVENTS_QUICK: Final = 3_000
GOAL_US: Final = 150.0
"""One decision at p99, everything on."""
QUANTILES: Final = ((0.50, "p50"), (0.99, "p99"))
EVERYTHING: Final = "everything on"
ALONE: Final = "the maker alone: no taker, no complete sets, whole sizes"


def config() -> Config:
    """Everything on, at sizes that are quoted, whatever the defaults are."""
    plain = stepping.config()
    strategy = attrs.evolve(
        plain.strategy,
        fair_value="digital",
        maker="skewed",
        taker="profile",
        allocator="reference",
        base_quote_size=10.0,
        max_spread=0.08,
    )
    return attrs.evolve(plain, strategy=strategy, arb=attrs.evolve(plain.arb, enabled=True))


def session(*, everything: bool, paper: bool = False) -> Session:
    """A session that is ready to quote; without `everything` the maker is alone in it."""
    settings, begin_ns = config(), traffic.BEGIN_NS
    if not everything:
        settings = attrs.evolve(settings, arb=attrs.evolve(settings.arb, enabled=False))
    lineup = build_lineup(settings)
    if not everything:
        lineup = attrs.evolve(lineup, taker=NoTaker(), allocator=FullShare())
    made = build_session(settings, lineup=lineup, paper=paper)
    made.handle(run_started(settings, begin_ns - traffic.WARM_NS, "bench"))
    for event in traffic.warm_up(traffic.Walk(1, begin_ns), begin_ns):
        made.handle(event)
    return made


def taped(count: int) -> list[Event]:
    """So many events of the mix, with the paper venue's answers to everything being on."""
    handle = session(everything=True, paper=True).handle
    return [stepped for event in traffic.mix(count) for stepped, _ in handle(event)]


def decisions_ns(events: Sequence[Event], *, everything: bool) -> list[int]:
    """The thread's time in each step that decided a market."""
    engine = session(everything=everything).engine
    step, quoter, now_ns = engine.step, engine.quoter, time.thread_time_ns
    found: list[int] = []
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        for event in events:
            before = quoter.decisions
            began_ns = now_ns()
            step(event)
            spent_ns = now_ns() - began_ns
            if quoter.decisions != before:
                found.append(spent_ns)
    finally:
        gc.enable()
        gc.unfreeze()
    return found


def quantile(values: Sequence[int], share: float) -> float:
    """The nearest rank."""
    ordered = sorted(values)
    return float(ordered[max(ceil(share * len(ordered)) - 1, 0)])


def run(repeats: int, *, quick: bool) -> list[Row]:
    """The rows of the group `decision`."""
    tape = taped(EVENTS_QUICK if quick else EVENTS)
    runs: dict[bool, list[list[int]]] = {True: [], False: []}
    for turn in range(repeats + 1):
        for everything in (True, False) if turn % 2 else (False, True):
            spent = decisions_ns(tape, everything=everything)
            if turn:
                runs[everything].append(spent)
    rows = [_row(name, share, runs) for share, name in QUANTILES]
    verdict = "met" if rows[-1].us <= GOAL_US else "over"
    note = f"{len(runs[True][0]):,} decisions; goal {GOAL_US:g} us: {verdict}"
    rows[-1] = attrs.evolve(rows[-1], note=note)
    least = {everything: [least_ns(found)] for everything, found in runs.items()}
    rows += [_row(f"{name} of each one's least time", share, least) for share, name in QUANTILES]
    return rows + measure(GROUP, [_looking_on(tape)], repeats)


def _row(name: str, share: float, runs: Mapping[bool, Sequence[Sequence[int]]]) -> Row:
    pairs = zip(runs[True], runs[False], strict=True)
    found = [(quantile(on, share) / 1000, quantile(alone, share) / 1000) for on, alone in pairs]
    return row_of(GROUP, f"decision, {EVERYTHING}, {name}", ALONE, found)


def least_ns(runs: Sequence[Sequence[int]]) -> list[int]:
    """Each decision's least time: equal runs decide the same, so that they can be laid together."""
    return [min(times) for times in zip(*runs, strict=True)]


def _looking_on(tape: Sequence[Event]) -> Pair:
    """Stepping with shadow, lenses, calibration, curves and meter looking on, and without."""
    return Pair(
        case=Side(name="step and every report's fold", make=_watched(tape), ops=len(tape)),
        baseline=Side(name="the step", make=_stepped(tape), ops=len(tape)),
    )


def _stepped(tape: Sequence[Event]) -> Callable[[], Body]:
    def make() -> Body:
        step = session(everything=True).engine.step

        def body() -> None:
            for event in tape:
                step(event)

        return body

    return make


def _watched(tape: Sequence[Event]) -> Callable[[], Body]:
    def make() -> Body:
        engine = session(everything=True).engine
        watch = Watch(config(), engine)
        step, observe = engine.step, watch.observe

        def body() -> None:
            for event in tape:
                observe(event, step(event))

        return body

    return make
