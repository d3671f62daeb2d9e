"""The engine on the mix of events, quoting, in plain Python and compiled by mypyc.

As `python -m benchmarks.stepping` it is the child that steps the events in a clean interpreter.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from benchmarks import traffic
from benchmarks.measure import Body, Pair, Row, Side, cpu_ns, measure, row_of
from benchmarks.workers import SCRIPTS, serve, worker
from polytrade.config import Config, Strategy, Taker
from polytrade.core import engine as engine_module
from polytrade.core.events import BookChanged, BookReplaced, Event, PauseSet, TradePrinted
from polytrade.journal import EffectDigest
from polytrade.session import Session, build_session, run_started

GROUP: Final = "engine"
EVENTS: Final = 10_000
EVENTS_QUICK: Final = 2_000
COMPILE_S: Final = 900.0
"""Longest the compiler may take: ten times what it takes on two quiet cores."""


class EnginesDiffer(AssertionError):
    """The compiled core did not answer as the plain one did."""


def config(hash_mode: str = "enforce") -> Config:
    """Every engine at work: sizes that may be sent, a taker, an order budget that does not run
    out.
    """
    strategy = Strategy(base_quote_size=10.0, max_spread=0.08, taker="profile")
    plain = Config(strategy=strategy, taker=Taker(max_spread=1.0, max_edge=1.0))
    risk = attrs.evolve(plain.risk, hash_mode=hash_mode, orders_per_s=1000.0)
    return attrs.evolve(plain, risk=risk)


def started(hash_mode: str = "enforce", *, paper: bool, paused: bool = False) -> Session:
    """A session that has seen what comes before the mix and is ready to quote."""
    settings, begin_ns = config(hash_mode), traffic.BEGIN_NS
    session = build_session(settings, paper=paper)
    session.handle(run_started(settings, begin_ns - traffic.WARM_NS, "bench"))
    for event in traffic.warm_up(traffic.Walk(1, begin_ns), begin_ns):
        session.handle(event)
    if paused:
        session.handle(PauseSet(traffic.BEGIN_NS, True))
    return session


def taped(events: Sequence[Event]) -> list[Event]:
    """The events with what the paper venue answered between them: what a journal holds."""
    session = started(paper=True)
    return [stepped for event in events for stepped, _ in session.handle(event)]


def _step(events: Sequence[Event], hash_mode: str, paused: bool = False) -> Callable[[], Body]:
    def make() -> Body:
        step = started(hash_mode, paper=False, paused=paused).engine.step

        def body() -> None:
            for event in events:
                step(event)

        return body

    return make


def _handle(events: Sequence[Event]) -> Callable[[], Body]:
    def make() -> Body:
        handle = started(paper=True).handle

        def body() -> None:
            for event in events:
                handle(event)

        return body

    return make


def _books_alone(events: Sequence[Event], check: bool) -> Callable[[], Body]:
    """What of the events concerns the book, applied to the book and to nothing else."""

    def make() -> Body:
        engine = started("enforce" if check else "off", paper=False).engine
        book = engine.markets[traffic.MARKET].book

        def body() -> None:
            for event in events:
                if isinstance(event, BookChanged):
                    book.change(event, check)
                elif isinstance(event, TradePrinted):
                    book.note_trade(event.price_e4)
                elif isinstance(event, BookReplaced):
                    book.replace(event, False, check)

        return body

    return make


def _compile(folder: Path) -> str:
    """Compile the core into `folder`; why not, or an empty string."""
    script = SCRIPTS / "build_compiled"
    try:
        done = subprocess.run(
            [sys.executable, str(script), "--out", str(folder)],
            capture_output=True,
            text=True,
            check=False,
            timeout=COMPILE_S,
        )
    except subprocess.TimeoutExpired:
        return f"not within {COMPILE_S:g} s"
    return "" if done.returncode == 0 else (done.stderr or done.stdout).strip()[-300:]


def _compiled(repeats: int, count: int) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="polytrade-bench-") as name:
        failure = _compile(Path(name))
        if failure:
            print(f"the compiled core is left out: {failure}", file=sys.stderr)
            return []
        found: list[tuple[float, float]] = []
        with worker("stepping") as plain, worker("stepping", Path(name)) as compiled:
            for turn in range(repeats + 1):
                sides = (plain, compiled) if turn % 2 else (compiled, plain)
                answers = {side: side.ask(events=count) for side in sides}
                if answers[plain]["digest"] != answers[compiled]["digest"]:
                    raise EnginesDiffer(f"{answers[plain]} and {answers[compiled]}")
                assert answers[compiled]["compiled"], "the child took the plain core"
                if turn:
                    found.append((answers[compiled]["us"], answers[plain]["us"]))
    return [row_of(GROUP, "engine.step, core compiled", "plain Python", found)]


def run(repeats: int, *, quick: bool) -> list[Row]:
    """The rows of the group `engine`; the compiled core is left out when quick, or no compiler."""
    count = EVENTS_QUICK if quick else EVENTS
    events = traffic.mix(count)
    tape = taped(events)
    ops = len(tape)
    quoting = Side(name="engine.step", make=_step(tape, "enforce"), ops=ops)
    unchecked = Side(name="engine.step, hash off", make=_step(tape, "off"), ops=ops)
    pairs = [
        Pair(
            case=quoting,
            baseline=Side(name="its book alone", make=_books_alone(tape, True), ops=ops),
        ),
        Pair(
            case=unchecked,
            baseline=Side(name="its book alone", make=_books_alone(tape, False), ops=ops),
        ),
        Pair(
            case=attrs.evolve(quoting, name="engine.step, quoting"),
            baseline=Side(
                name="the same, paused", make=_step(events, "enforce", True), ops=len(events)
            ),
        ),
        Pair(
            case=Side(name="Session.handle, paper venue", make=_handle(events), ops=len(events)),
            baseline=quoting,
        ),
    ]
    rows = measure(GROUP, pairs, repeats)
    return rows if quick else rows + _compiled(repeats, count)


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    """Step that many events of the mix: us an event, and what the engine wanted."""
    tape = taped(traffic.mix(request["events"]))
    spent_ns = cpu_ns(_step(tape, "enforce")())
    engine, digest = started(paper=False).engine, EffectDigest()
    for event in tape:
        digest.add(event.ts_ns, engine.step(event))
    return {
        "us": spent_ns / 1000 / len(tape),
        "digest": digest.hexdigest(),
        "compiled": not (engine_module.__file__ or "").endswith(".py"),
    }


if __name__ == "__main__":
    serve(_answer)
