"""The rehearsal of new plugins: what just happened, tried in a process of its own.

The rows begin with how things stand (listings, books and references of a few markets), and go on
with what happens next for a moment. The child that steps them is bounded in time and memory.
"""

import os
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final, final

import trio

from polytrade import probe
from polytrade.config import Config
from polytrade.core.effects import Effect
from polytrade.core.engine import Engine
from polytrade.core.events import (
    BookChanged,
    BookReplaced,
    ClockTicked,
    Event,
    ReferenceTicked,
    TradePrinted,
)
from polytrade.core.ids import ANCHOR, BUY, FAST, RELAY, SELL, YES
from polytrade.core.market import OPEN, MarketState
from polytrade.core.reference import SymbolReference
from polytrade.core.units import MS_NS
from polytrade.hookspecs import KINDS
from polytrade.lineup import Lineup, state_of
from polytrade.needed import selections
from polytrade.plugin_code import faults_dropped
from polytrade.runtime.strategy import Strategy

MARKETS_MAX: Final = 8
EVENTS_MAX: Final = 256
LISTEN_S: Final = 0.3
"""How long is listened for events: at 2,000 a second the bound above is met in half of it."""
LEVELS: Final = 50
"""Levels of a side that are told."""
OUTPUT_BYTES_MAX: Final = 256 << 10
"""Kept of a probe's output: its answer is a few hundred bytes."""
COMPLAINT_BYTES_MAX: Final = 4 << 10
"""Kept of the end of a probe's standard error."""
DRAIN_S: Final = 0.5
"""How long the pipes of a child that has ended are read on: somebody else may hold them open."""
NICENESS: Final = 2
"""Of the child beside the daemon: a trial takes what the engine leaves of the processors."""

Row = list[Any]


def standing(engine: Engine) -> tuple[list[Row], set[str]]:
    """Events, as rows, that bring a new engine to where this one stands, and their markets.

    At most `MARKETS_MAX` open markets with valid books, those with orders first.
    """
    rows: list[Row] = []
    markets = [it for it in engine.markets.values() if it.phase == OPEN and it.trust.valid]
    markets.sort(key=lambda it: (not engine.orders.any_in(it.spec.market), it.spec.market))
    chosen = markets[:MARKETS_MAX]
    ts_ns = engine.ts_ns
    for market in chosen:
        listing = market.spec.row()
        listing[1] = ts_ns
        rows.append(listing)
    symbols = dict.fromkeys(market.spec.symbol for market in chosen)
    for symbol in symbols:
        reference = engine.references.get(symbol)
        if reference is not None:
            rows += _reference_rows(reference, ts_ns)
    rows += [_book_row(market, ts_ns) for market in chosen]
    return rows, {market.spec.market for market in chosen}


def _reference_rows(reference: SymbolReference, ts_ns: int) -> list[Row]:
    rows: list[Row] = []
    for source, quote in reference.sources.items():
        if quote.price > 0.0:
            kind = RELAY if quote.relayed else FAST
            price_e8 = round(quote.price * 1e8)
            tick = ReferenceTicked(ts_ns, reference.symbol, source, kind, price_e8, ts_ns)
            rows.append(tick.row())
    if reference.anchor > 0.0:
        price_e8 = round(reference.anchor * 1e8)
        tick = ReferenceTicked(ts_ns, reference.symbol, "anchor", ANCHOR, price_e8, ts_ns)
        rows.append(tick.row())
    return rows


def _book_row(market: MarketState, ts_ns: int) -> Row:
    bids = market.book.depth(BUY, LEVELS)[::-1]
    asks = market.book.depth(SELL, LEVELS)[::-1]
    now_ms = ts_ns // MS_NS
    name = market.spec.market
    return BookReplaced(ts_ns, name, YES, bids, asks, 0, "?", now_ms, "", False).row()


@final
class Listening:
    """Keeps the rows of market data that come next, up to a bound; `full` is set at it."""

    def __init__(self, markets: set[str]) -> None:
        self.rows: list[Row] = []
        self.full = trio.Event()
        self._markets = markets

    def __call__(self, event: Event, _effects: list[Effect]) -> None:
        if len(self.rows) >= EVENTS_MAX:
            self.full.set()
        elif isinstance(event, (ReferenceTicked, ClockTicked)) or (
            isinstance(event, (BookChanged, BookReplaced, TradePrinted))
            and event.market in self._markets
        ):
            self.rows.append(event.row())


async def rehearsal(strategy: Strategy) -> list[Row]:
    """How things stand, and what happens in the next moment."""
    rows, markets = standing(strategy.session.engine)
    listening = Listening(markets)
    strategy.listeners.append(listening)
    try:
        with trio.move_on_after(LISTEN_S):
            await listening.full.wait()
    finally:
        strategy.listeners.remove(listening)
    return rows + listening.rows


async def run_probe(
    config: Config,
    rows: list[Row],
    plugins: Mapping[str, str],
    states: Mapping[str, bytes],
    began_s: float,
) -> probe.ProbeAnswer:
    """Try the plugins in a child; it is killed when this is cancelled.

    It has ended `probe.deadline_s` after `began_s` (trio's time) at the latest, so that several
    trials of one reload take no longer than one.
    """
    encode = partial(probe.request, config, rows, plugins=plugins, states=states)
    body = await trio.to_thread.run_sync(encode, abandon_on_cancel=True)
    output, complaint, code = bytearray(), bytearray(), None
    async with trio.open_nursery() as nursery:
        start = partial(
            trio.run_process,
            probe.command(),
            stdin=body,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            check=False,
            env=probe.environment(),
            deliver_cancel=_kill,
        )
        process: trio.Process = await nursery.start(start)
        with suppress(ProcessLookupError):  # it may have ended already
            os.setpriority(
                os.PRIO_PROCESS, process.pid, os.getpriority(os.PRIO_PROCESS, 0) + NICENESS
            )
        assert process.stdout is not None and process.stderr is not None, "both are pipes"
        nursery.start_soon(_hear, process.stdout, output, OUTPUT_BYTES_MAX)
        nursery.start_soon(_hear, process.stderr, complaint, COMPLAINT_BYTES_MAX)
        with trio.move_on_at(began_s + probe.deadline_s(config)):
            code = await process.wait()
        if code is None:
            process.kill()
            await process.wait()
        nursery.cancel_scope.deadline = trio.current_time() + DRAIN_S
    return probe.parse_answer(bytes(output), code, config, bytes(complaint))


async def _hear(pipe: trio.abc.ReceiveStream, heard: bytearray, most: int) -> None:
    """Read a pipe to its end, whatever comes, and keep the last bytes."""
    async for data in pipe:
        heard += data
        del heard[:-most]


async def _kill(process: trio.Process) -> None:
    process.kill()
    await trio.lowlevel.checkpoint()


def standing_states(lineup: Lineup, config: Config) -> dict[str, bytes]:
    """What the objects that stay selected dump, for the probe; without those that cannot."""
    chosen = selections(config, KINDS)
    states: dict[str, bytes] = {}
    for (kind, name), made in lineup.objects().items():
        if (kind, name) in chosen:
            with faults_dropped():
                states |= {f"{kind}/{name}": text for text in state_of(made)}
    return states
