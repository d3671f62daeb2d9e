"""The terminal view: its text at two widths, its rows on a low screen, its life."""

import io
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import trio
from rich.console import Console

from polytrade.gates import GateResult
from polytrade.metrics import Readings
from polytrade.runtime.logs import LogStream
from polytrade.runtime.status import AlarmRow, DaemonStatus, FeedRow, MarketRow, PnlRow
from polytrade.runtime.terminal import (
    TerminalConsole,
    export_svg,
    render_status,
    run_terminal,
    summary_lines,
)
from tests.control.status_samples import market, readings, status


def shown(now: DaemonStatus, width: int, height: int = 60) -> list[str]:
    console = Console(
        width=width, height=height, record=True, file=io.StringIO(), force_terminal=True
    )
    console.print(render_status(now))
    return [line.rstrip() for line in console.export_text().splitlines()]


def test_wide_view_shows_everything() -> None:
    lines = shown(status(), 160)
    assert lines[:3] == [
        "polytrade 0.1.0  paper  ok  engine run  up 1:02:03  run run-7",
        "pnl 11.84  today 11.00  equity 1,012.34 USDC  drawdown 0.12%",
        "812 events/s  loop lag p99 -  tick to decision p99 98.04 ms  hashes 40 fit, 2 do not",
    ]
    table = [" ".join(line.split()) for line in lines[3:]]
    assert table == [
        "feed state age rate/s messages malformed reconnects",
        "binance/0 up 12 ms 100.5 9,000 1 2",
        "market book bid/ask fair mine yes/no pnl conf regime phase quotes",
        "btc-updown-5m-1790000100 synced 0.48/0.49 0.486 0.47/0.5 12.5/- -1.20 0.93 caution "
        "open quoting",
        "eth-updown-5m-1790000100 cold -/- - -/- -/- 0.00 - - -",
        "alarm drawdown_stop equity fell 1.6 %",
    ]


def test_verdict_of_the_gates_is_in_the_header() -> None:
    for gate, said in (
        (GateResult(False, False, ("window_outcomes 3, wanted >= 30",)), "gates too early"),
        (GateResult(True, True, ()), "gates hold"),
        (GateResult(True, False, ("a", "b")), "gates 2 fail"),
    ):
        assert shown(status(gate=gate), 160)[2].endswith(f"  {said}")


def test_narrow_view_keeps_prices_and_the_end_of_the_slug() -> None:
    lines = shown(status(), 80)
    assert all(len(line) <= 80 for line in lines)
    table = [" ".join(line.split()) for line in lines[3:]]
    assert table == [
        "feed state age rate/s",
        "binance/0 up 12 ms 100.5",
        "market book bid/ask fair mine yes/no pnl",
        "…pdown-5m-1790000100 synced 0.48/0.49 0.486 0.47/0.5 12.5/- -1.20",
        "…pdown-5m-1790000100 cold -/- - -/- -/- 0.00",
        "alarm drawdown_stop equity fell 1.6 %",
    ]


@pytest.mark.parametrize("width", [20, 40, 80, 160, 300])
def test_no_line_is_wider_than_the_screen(width: int) -> None:
    assert all(len(line) <= width for line in shown(status(), width))


def test_feed_states_are_told_apart() -> None:
    feeds = (
        FeedRow(name="a/0", connected=True, last_message_age_ms=9_999),
        FeedRow(name="b/0", connected=True, stale=True, last_message_age_ms=12_345),
        FeedRow(name="c/0", connected=False, stale=True),
    )
    lines = [" ".join(line.split()) for line in shown(status(feeds=feeds), 80)]
    assert lines[4:7] == ["a/0 up 9999 ms 0.0", "b/0 stale 12 s 0.0", "c/0 down - 0.0"]


def test_low_screen_says_how_much_it_hides() -> None:
    feeds = tuple(FeedRow(name=f"f/{n}", connected=True) for n in range(20))
    markets = tuple(MarketRow(market=f"0x{n}", slug=f"s-{n}") for n in range(30))
    lines = shown(status(feeds=feeds, markets=markets), 100, height=24)
    assert len(lines) <= 24
    assert "... 15 more" in lines
    assert "... 24 more" in lines


def test_only_the_last_alarms_are_shown() -> None:
    alarms = tuple(AlarmRow(ts_ns=n, name=f"alarm-{n}") for n in range(5))
    lines = shown(status(alarms=alarms), 80)
    assert [line for line in lines if line.startswith("alarm")] == [
        "alarm alarm-2",
        "alarm alarm-3",
        "alarm alarm-4",
    ]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"paused": True}, "paused  engine run"),
        ({"engine_mode": "halt", "engine_why": "daily loss"}, "halted  engine halt (daily loss)"),
        ({"engine_mode": "halt", "paused": True}, "halted  engine halt"),
        ({"engine_mode": "reduce"}, "degraded  engine reduce"),
    ],
)
def test_header_says_what_matters(changes: dict[str, object], words: str) -> None:
    assert words in shown(status(**changes), 120)[0]


@pytest.mark.parametrize(
    ("cash_e6", "text"),
    [
        (0, "0.00"),
        (9_999, "0.00"),
        (-9_999, "0.00"),
        (-10_000, "-0.01"),
        (1_234_567_890, "1,234.56"),
    ],
)
def test_money_is_cut_to_the_cent_towards_zero(cash_e6: int, text: str) -> None:
    lines = shown(status(pnl=PnlRow(realized_e6=cash_e6)), 100)
    assert lines[1].startswith(f"pnl {text}  today")


def test_markup_in_names_is_text() -> None:
    row = MarketRow(
        market="0x", slug="[red]x[/]", book_reason="[bold]\x1b[2J", quote_state="no_quote_x"
    )
    text = "\n".join(shown(status(markets=(row,)), 160))
    assert "[red]x[/]" in text
    assert "no_quote_x ([bold]\\x1b[2J)" in text


def test_svg_is_well_formed_and_fetches_nothing(tmp_path: Path) -> None:
    path = tmp_path / "view.svg"
    export_svg(status(), path)
    text = path.read_text(encoding="utf-8")
    assert ElementTree.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
    assert "@font-face" not in text
    assert "cdn" not in text
    assert "btc-updown-5m-1790000100" in text
    again = tmp_path / "again.svg"
    export_svg(status(), again)
    assert again.read_text(encoding="utf-8") == text


def test_summary_says_what_the_run_did() -> None:
    assert summary_lines(status()) == [
        "run run-7: paper, 1:02:03, 123,456 events, 2 markets, ok",
        "orders: 7 placed, 3 maker fills, 0 taker fills",
        "money: realized 12.34, unrealized -0.50, fees 0.00, rebates 0.00, equity 1,012.34 USDC",
        "books: 40 hashes matched, 2 mismatched, 3 not checkable; "
        "1 verified, 1 unverified, 0 suspect",
        "data: 99.00% valid, 1 malformed, 2 reconnects, 0 records lost",
        "tick to decision: p50 50.09 ms, p99 98.04 ms",
    ]


def test_summary_of_a_run_without_data_invents_nothing() -> None:
    lines = summary_lines(DaemonStatus(ts_ns=0, version="0.1.0", readings=Readings()))
    assert lines[0] == "run -: paper, 0:00, 0 events, 0 markets, ok"
    assert lines[4].startswith("data: - valid")
    assert lines[5] == "tick to decision: p50 -, p99 -"


class Screen(io.StringIO):
    """A terminal that remembers what was drawn, and can go away."""

    def __init__(self) -> None:
        super().__init__()
        self.gone = False

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if self.gone:
            raise BrokenPipeError
        return super().write(text)


def console_on(screen: Screen) -> TerminalConsole:
    return TerminalConsole(file=screen, force_terminal=True, width=100, height=40, _environ={})


class Reader:
    """Counts reads and wakes who waits for the second one: the first frame is then drawn."""

    def __init__(self) -> None:
        self.reads = 0
        self.second = trio.Event()

    def __call__(self) -> DaemonStatus:
        self.reads += 1
        if self.reads == 2:
            self.second.set()
        return status(events_per_s=1000.0 + self.reads, markets=(market(),), readings=readings())


async def test_nothing_is_drawn_without_a_terminal() -> None:
    out = io.StringIO()
    await run_terminal(Reader(), console=TerminalConsole(file=out))
    assert out.getvalue() == ""


async def test_last_frame_stays_after_the_end() -> None:
    screen, reader = Screen(), Reader()
    switch_s = sys.getswitchinterval()
    with trio.fail_after(20):
        async with trio.open_nursery() as inner:
            view = console_on(screen)
            inner.start_soon(lambda: run_terminal(reader, console=view, interval_s=0.001))
            await reader.second.wait()
            assert sys.getswitchinterval() == pytest.approx(0.0005)
            inner.cancel_scope.cancel()
    text = screen.getvalue()
    assert f"{1000 + reader.reads:,} events/s" in text[-3000:]
    assert text.endswith("\x1b[?25h")  # the cursor is back
    assert sys.getswitchinterval() == pytest.approx(switch_s)


async def test_log_lines_appear_above_the_table_and_none_is_lost() -> None:
    screen, reader = Screen(), Reader()
    logs = LogStream(screen)
    with trio.fail_after(20):
        async with trio.open_nursery() as inner:
            view = console_on(screen)
            inner.start_soon(lambda: run_terminal(reader, logs, console=view, interval_s=0.001))
            await reader.second.wait()
            logs.write("one line of a log")
            inner.cancel_scope.cancel()
    text = screen.getvalue()
    assert text.count("one line of a log") == 1
    assert text.rindex("one line of a log") < text.rindex("events/s")
    logs.write("straight again")
    assert screen.getvalue().endswith("straight again\n")


async def test_logs_that_go_elsewhere_are_left_alone() -> None:
    screen, reader, elsewhere = Screen(), Reader(), io.StringIO()
    logs = LogStream(elsewhere)
    with trio.fail_after(20):
        async with trio.open_nursery() as inner:
            view = console_on(screen)
            inner.start_soon(lambda: run_terminal(reader, logs, console=view, interval_s=0.001))
            await reader.second.wait()
            logs.write("to the file")
            assert elsewhere.getvalue() == "to the file\n"
            inner.cancel_scope.cancel()


async def test_terminal_that_is_gone_ends_the_view_only() -> None:
    screen, reader = Screen(), Reader()
    logs = LogStream(screen)
    with trio.fail_after(20):
        async with trio.open_nursery() as inner:
            view = console_on(screen)
            inner.start_soon(lambda: run_terminal(reader, logs, console=view, interval_s=0.001))
            await reader.second.wait()
            screen.gone = True
    logs.write("nobody reads this")
    assert logs.lost == 1
