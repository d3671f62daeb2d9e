"""The terminal view: one live table of the daemon, redrawn twice a second while it runs.

`render_status` is pure, so tests assert its text and a script exports it as a picture. Drawing
happens in a worker thread; the interpreter is asked to switch threads often meanwhile, so that the
event loop never waits long for it (`switching`).
"""

import re
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Final, final

import trio
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live
from rich.table import Table
from rich.text import Text

from polytrade.core.units import SECOND_NS, decimal_text, price_text
from polytrade.gates import GateResult
from polytrade.runtime.logs import LogStream
from polytrade.runtime.status import DaemonStatus, FeedRow, MarketRow
from polytrade.runtime.switching import short_switches

INTERVAL_S: Final = 0.5
LINES_MAX: Final = 1000
"""Log lines waiting for the next drawing: half a second of the fastest logging allowed."""
ALARMS_SHOWN: Final = 3
ROWS_MIN: Final = 3
"""Rows of a table shown however low the terminal is."""
WIDE: Final = 120
"""From this width on every column is shown."""

NAME_MIN: Final = 12
MARKET_COLUMNS: Final = 60
"""Width of a market's columns beside its name."""

GOOD: Final = "green"
BAD: Final = "bold red"
WARN: Final = "yellow"
DIM: Final = "dim"
STYLES: Final = {
    "ok": GOOD,
    "run": GOOD,
    "synced": GOOD,
    "quoting": GOOD,
    "safe": GOOD,
    "caution": WARN,
    "danger": BAD,
    "degraded": WARN,
    "reduce": WARN,
    "cold": DIM,
    "stale": WARN,
    "suspect": BAD,
    "halted": BAD,
    "halt": BAD,
}


@final
class TerminalConsole(Console):
    """A rich console that leaves it to us what happens when the terminal goes away.

    Rich's own answer is to end the process and to point its stdout at nothing.
    """

    def on_broken_pipe(self) -> None:
        """Called while the BrokenPipeError is handled; let it through."""
        raise BrokenPipeError


@final
class StatusView:
    """The whole view; columns and rows follow the width and height it is drawn at."""

    def __init__(self, status: DaemonStatus) -> None:
        self.status = status

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Header, feeds, markets, alarms."""
        status = self.status
        wide = options.max_width >= WIDE
        height = options.height or options.size.height
        room = max(
            height - 12 - len(status.faults) - min(len(status.alarms), ALARMS_SHOWN), 2 * ROWS_MIN
        )
        feeds = max(min(len(status.feeds), room // 2), ROWS_MIN)
        markets = max(room - min(feeds, len(status.feeds)), ROWS_MIN)
        yield from _header(status)
        yield _feeds_table(status.feeds, feeds, wide)
        shown = sorted(status.markets, key=_interest)
        yield _markets_table(shown, markets, options.max_width)
        for fault in status.faults:
            out = f"{fault.role} {fault.name} "
            yield _line(Text("out of service ", BAD), _text(out, "bold"), _text(fault.why))
        for alarm in status.alarms[-ALARMS_SHOWN:]:
            yield _line(Text("alarm ", BAD), _text(f"{alarm.name} ", "bold"), _text(alarm.detail))


PHASES: Final = ("open", "closing", "pending_resolution", "hydrating", "listed", "resolved")
"""What is traded comes first, what is over last."""


def _interest(market: MarketRow) -> tuple[int, str]:
    found = PHASES.index(market.phase) if market.phase in PHASES else len(PHASES)
    return found, market.slug


def render_status(status: DaemonStatus) -> RenderableType:
    """The view of one status; pure, and cheap until it is drawn."""
    return StatusView(status)


def export_svg(status: DaemonStatus, path: Path, width: int = 160) -> None:
    """Write the view as an SVG picture that needs nothing from the network."""
    rows = len(status.feeds) + len(status.markets) + len(status.alarms) + 16
    console = Console(
        record=True, width=width, height=rows, file=StringIO(), force_terminal=True, _environ={}
    )
    console.print(render_status(status))
    svg = console.export_svg(title=f"polytrade {status.version}")
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    path.write_text(svg, encoding="utf-8")


async def run_terminal(
    read: Callable[[], DaemonStatus],
    logs: LogStream | None = None,
    *,
    console: TerminalConsole | None = None,
    interval_s: float = INTERVAL_S,
) -> None:
    """Draw until cancelled; the last frame stays. Returns at once when stdout is no terminal.

    While it draws, log lines that would go to the same terminal appear above the table. A terminal
    that is gone ends the view and nothing else.
    """
    screen = console if console is not None else TerminalConsole()
    if not screen.is_terminal:
        return
    waiting: deque[str] = deque(maxlen=LINES_MAX)
    live = Live(console=screen, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
    if logs is None or not logs.stream.isatty():
        await _draw_until_cancelled(read, live, waiting, interval_s)
        return
    try:
        with logs.redirected(waiting.append):
            await _draw_until_cancelled(read, live, waiting, interval_s)
    finally:
        for line in waiting:  # what the last frame did not take
            logs.write(line)


async def _draw_until_cancelled(
    read: Callable[[], DaemonStatus], live: Live, waiting: deque[str], interval_s: float
) -> None:
    limiter = trio.CapacityLimiter(1)
    try:
        with short_switches():
            live.start()
            while True:
                draw = partial(_draw, live, read(), waiting)
                await trio.to_thread.run_sync(draw, limiter=limiter)
                await trio.sleep(interval_s)
    except OSError:
        return  # the terminal is gone
    finally:
        _finish(live, read, waiting)


def _draw(live: Live, status: DaemonStatus, waiting: deque[str]) -> None:
    while waiting:
        live.console.print(Text.from_ansi(waiting.popleft()), soft_wrap=True)
    live.update(render_status(status), refresh=True)


def _finish(live: Live, read: Callable[[], DaemonStatus], waiting: deque[str]) -> None:
    try:
        _draw(live, read(), waiting)
        live.stop()
    except OSError:
        return  # the terminal is gone: nobody misses the last frame


def summary_lines(status: DaemonStatus) -> list[str]:
    """The closing summary: what ran, what it did, what it earned, how good its data was."""
    readings, pnl, hashes = status.readings, status.pnl, status.hashes
    fills = readings.values.get("fills_total", {})
    orders = sum(readings.values.get("orders_placed_total", {}).values())
    malformed = sum(feed.malformed for feed in status.feeds)
    reconnects = sum(feed.reconnects for feed in status.feeds)
    valid = readings.value("data_valid_ratio")
    lost = readings.value("records_lost_total") or 0
    decision = status.latency("tick_to_decision_ms")
    return [
        f"run {status.run_id or '-'}: {status.mode}, {_duration(status.uptime_ns)}, "
        f"{status.events:,} events, {len(status.markets)} markets, {status.health}",
        f"orders: {orders:,.0f} placed, "
        f"{fills.get(('maker',), 0):,.0f} maker fills, {fills.get(('taker',), 0):,.0f} taker fills",
        f"money: realized {_usdc(pnl.realized_e6)}, unrealized {_usdc(pnl.unrealized_e6)}, "
        f"fees {_usdc(pnl.fees_e6)}, rebates {_usdc(pnl.rebates_e6)}, "
        f"equity {_usdc(pnl.equity_e6)} USDC",
        f"books: {hashes.matched:,} hashes matched, {hashes.mismatched:,} mismatched, "
        f"{hashes.not_checkable:,} not checkable; {hashes.verified} verified, "
        f"{hashes.unverified} unverified, {hashes.suspect} suspect",
        f"data: {'-' if valid is None else f'{valid:.2%}'} valid, {malformed:,} malformed, "
        f"{reconnects:,} reconnects, {lost:,.0f} records lost",
        f"tick to decision: p50 {_ms(decision.p50)}, p99 {_ms(decision.p99)}",
    ]


def _header(status: DaemonStatus) -> list[Text]:
    health = "paused" if status.paused and status.health != "halted" else status.health
    mode = _styled(status.engine_mode)
    if status.engine_why:
        mode.append_text(_text(f" ({status.engine_why})", DIM))
    pnl, hashes, generation = status.pnl, status.hashes, status.reloads.generation
    total_e6 = pnl.realized_e6 + pnl.unrealized_e6 - pnl.fees_e6 + pnl.rebates_e6
    return [
        _line(
            Text("polytrade ", "bold"),
            Text(f"{status.version}  {status.mode}  ", DIM),
            _styled(health),
            Text("  engine "),
            mode,
            Text(f"  up {_duration(status.uptime_ns)}"),
            Text(f"  run {status.run_id}" if status.run_id else "", DIM),
            Text(f"  generation {generation}" if generation > 1 else "", DIM),
        ),
        _line(
            Text("pnl "),
            _money(total_e6),
            Text(f"  today {_usdc(pnl.daily_pnl_e6)}  equity {_usdc(pnl.equity_e6)} USDC"),
            Text(f"  drawdown {pnl.max_drawdown_e6 / 1e6:.2%}"),
        ),
        _line(
            Text(f"{status.events_per_s:,.0f} events/s"),
            Text(f"  loop lag p99 {_ms(status.latency('loop_lag_ms').p99)}"),
            Text(f"  tick to decision p99 {_ms(status.latency('tick_to_decision_ms').p99)}"),
            Text(f"  hashes {hashes.matched:,} fit, {hashes.mismatched:,} do not"),
            *_gates(status.gate),
        ),
    ]


def _gates(gate: GateResult | None) -> tuple[Text, ...]:
    """The verdict on the measuring window, or how many gates fail of one that is long enough."""
    if gate is None:
        return ()
    if not gate.ready:
        return (Text("  gates "), Text("too early", DIM))
    if gate.passed:
        return (Text("  gates "), Text("hold", GOOD))
    return (Text("  gates "), Text(f"{len(gate.fail_reasons)} fail", WARN))


def _feeds_table(feeds: Sequence[FeedRow], most: int, wide: bool) -> Table:
    table = _table("feed", "state", "age", "rate/s")
    if wide:
        _numbers(table, "messages", "malformed", "reconnects")
    for feed in feeds[:most]:
        state = Text("down", BAD) if not feed.connected else Text("up", GOOD)
        if feed.connected and feed.stale:
            state = Text("stale", WARN)
        row: list[Text | str] = [
            feed.name,
            state,
            "-" if feed.last_message_age_ms is None else _age(feed.last_message_age_ms),
            f"{feed.rate:,.1f}",
        ]
        if wide:
            row += [f"{feed.messages:,}", f"{feed.malformed:,}", f"{feed.reconnects:,}"]
        table.add_row(*(_text(cell) if isinstance(cell, str) else cell for cell in row))
    return _more(table, len(feeds) - most)


def _markets_table(markets: Sequence[MarketRow], most: int, width: int) -> Table:
    wide = width >= WIDE
    table = _table("market", "book", "bid/ask", "fair", "mine", "yes/no", "pnl")
    if wide:
        _numbers(table, "conf")
        table.add_column("regime", no_wrap=True)
        table.add_column("phase", no_wrap=True)
        table.add_column("quotes", no_wrap=True, overflow="ellipsis")
    for market in markets[:most]:
        row: list[Text | str] = [
            _tail(market.slug, max(width - MARKET_COLUMNS, NAME_MIN)),
            _styled(market.book_state),
            f"{_price(market.bid_e4)}/{_price(market.ask_e4)}",
            "-" if market.fair is None else f"{market.fair:.3f}",
            f"{_price(market.quote_bid_e4)}/{_price(market.quote_ask_e4)}",
            f"{_shares(market.yes_e6)}/{_shares(market.no_e6)}",
            _money(market.pnl_e6),
        ]
        if wide:
            why = f" ({market.book_reason})" if market.book_reason else ""
            row += [
                "-" if market.confidence is None else f"{market.confidence:.2f}",
                _styled(market.regime),
                market.phase,
                _styled(market.quote_state).append_text(_text(why, DIM)),
            ]
        table.add_row(*(_text(cell) if isinstance(cell, str) else cell for cell in row))
    return _more(table, len(markets) - most)


def _tail(name: str, width: int) -> str:
    """The end of a name, where window slugs differ."""
    return name if len(name) <= width else "…" + name[1 - width :]


def _table(name: str, state: str, *numbers: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", title_justify="left")
    table.add_column(name, no_wrap=True)
    table.add_column(state, no_wrap=True)
    _numbers(table, *numbers)
    return table


def _numbers(table: Table, *names: str) -> None:
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)


def _more(table: Table, hidden: int) -> Table:
    if hidden > 0:
        table.add_row(Text(f"... {hidden} more", DIM))
    return table


def _line(*parts: Text) -> Text:
    return Text("", no_wrap=True, overflow="ellipsis", end="\n").append_text(Text.assemble(*parts))


def _text(text: str, style: str = "") -> Text:
    """Text of others, as text: no markup, and nothing that steers the terminal."""
    if not text.isprintable():
        text = text.encode("unicode_escape").decode()
    return Text(text, style)


def _styled(word: str) -> Text:
    return _text(word or "-", STYLES.get(word, WARN if word.startswith(("no_", "risk")) else ""))


def _price(price_e4: int | None) -> str:
    return "-" if price_e4 is None else price_text(price_e4)


def _shares(size_e6: int) -> str:
    return "-" if not size_e6 else decimal_text(size_e6 // 10_000, 2)


def _money(cash_e6: int) -> Text:
    return Text(_usdc(cash_e6), GOOD if cash_e6 > 0 else BAD if cash_e6 < 0 else "")


def _usdc(cash_e6: int) -> str:
    """Signed money to the cent, towards zero."""
    cents = abs(cash_e6) // 10_000
    sign = "-" if cash_e6 < 0 and cents else ""
    return f"{sign}{cents // 100:,}.{cents % 100:02d}"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} ms"


def _age(age_ms: int) -> str:
    return f"{age_ms} ms" if age_ms < 10_000 else f"{age_ms // 1000} s"


def _duration(duration_ns: int) -> str:
    seconds = duration_ns // SECOND_NS
    if seconds < 3600:
        return f"{seconds // 60}:{seconds % 60:02d}"
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
