"""What one decision costs: from an event to the effects, with everything on and with the maker
alone; and what the folds that look on cost besides.

Only steps that decided a market count: a level far from the touch is no decision. The time is the
thread's own, so that other work on the machine does not count, and neither does the collector,
which the daemon runs when idle.
"""

import gc
import time
from collections.abc import Callable, Sequence
from math import ceil
from typing import Final

import attrs

from benchmarks import stepping, traffic
from benchmarks.measure import Body, Pair, Row, Side, measure, row_of
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


def session(*, everything: bool) -> Session:
    """A session that is ready to quote; without `everything` the maker is alone in it."""
    config, begin_ns = stepping.config(), traffic.BEGIN_NS
    if not everything:
        config = attrs.evolve(config, arb=attrs.evolve(config.arb, enabled=False))
    lineup = build_lineup(config)
    if not everything:
        lineup = attrs.evolve(lineup, taker=NoTaker(), allocator=FullShare())
    made = build_session(config, lineup=lineup, paper=False)
    made.handle(run_started(config, begin_ns - traffic.WARM_NS, "bench"))
    for event in traffic.warm_up(traffic.Walk(1, begin_ns), begin_ns):
        made.handle(event)
    return made


def decisions_ns(events: Sequence[Event], *, everything: bool) -> list[int]:
    """The thread's time in each step that decided a market."""
    engine = session(everything=everything).engine
    step, quoter, now_ns = engine.step, engine.quoter, time.thread_time_ns
    found: list[int] = []
    gc.collect()
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
    return found


def quantile(values: Sequence[int], share: float) -> float:
    """The nearest rank."""
    ordered = sorted(values)
    return float(ordered[max(ceil(share * len(ordered)) - 1, 0)])


def run(repeats: int, *, quick: bool) -> list[Row]:
    """The rows of the group `decision`."""
    tape = stepping.taped(traffic.mix(EVENTS_QUICK if quick else EVENTS))
    found: dict[str, list[tuple[float, float]]] = {name: [] for _, name in QUANTILES}
    decisions = 0
    for turn in range(repeats + 1):
        order = (True, False) if turn % 2 else (False, True)
        spent = {everything: decisions_ns(tape, everything=everything) for everything in order}
        decisions = len(spent[True])
        for share, name in QUANTILES if turn else ():
            on, alone = (quantile(spent[each], share) / 1000 for each in (True, False))
            found[name].append((on, alone))
    rows = [
        row_of(GROUP, f"decision, {EVERYTHING}, {name}", ALONE, found[name])
        for _, name in QUANTILES
    ]
    worst = rows[-1]
    verdict = "met" if worst.us <= GOAL_US else "over"
    note = f"{decisions:,} decisions; goal {GOAL_US:g} us: {verdict}"
    rows[-1] = attrs.evolve(worst, note=note)
    return rows + measure(GROUP, [_looking_on(tape)], repeats)


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
        watch = Watch(stepping.config(), engine)
        step, observe = engine.step, watch.observe

        def body() -> None:
            for event in tape:
                observe(event, step(event))

        return body

    return make
