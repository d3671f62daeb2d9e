"""The fold of notices: what is told of a run, and how bursts become one."""

from typing import ClassVar

import attrs

from polytrade import secrets
from polytrade.config import Config, Execution, Strategy
from polytrade.core.effects import Alarmed, Effect
from polytrade.core.events import (
    ClockTicked,
    Event,
    FillFailed,
    MarketResolved,
    ModeSet,
    PauseSet,
    ReferenceTicked,
)
from polytrade.core.ids import BUY, FAST, NO, SELL, YES
from polytrade.core.limits import HALT, REDUCE, RUN
from polytrade.core.risk import DAY_NS
from polytrade.core.roles import FullShare
from polytrade.core.units import MS_NS, SECOND_NS
from polytrade.lineup import build_lineup
from polytrade.notices import (
    ALARM,
    FILL,
    ROWS_MAX,
    Notice,
    condense,
    plain,
    usdc_text,
)
from polytrade.runtime.logs import register_secret
from polytrade.runtime.notice_fold import NoticeFold
from polytrade.session import build_session, run_started
from tests.core.factory import MARKET, SHARE, change, listed, snapshot, trade
from tests.runtime.notice_samples import fill

PAPER = Config(
    strategy=Strategy(
        base_quote_size=10.0,
        max_spread=0.08,
        half_spread=0.01,
        min_edge_bps=0.0,
        vol_floor_bps=0.1,
        taker="none",
    ),
    execution=Execution(
        place_latency_ms=(10.0,) * 5, cancel_latency_ms=(5.0,) * 5, settle_delay_s=1.0
    ),
)
OPEN_NS = DAY_NS - 20 * SECOND_NS
"""The market opens twenty seconds before a midnight."""
SLUG = "btc-updown-5m-1000"


class Desk:
    """A session over one market at the money that a fold looks at, from 30 s before its start."""

    def __init__(self) -> None:
        lineup = attrs.evolve(build_lineup(PAPER), allocator=FullShare())
        self.session = build_session(PAPER, lineup=lineup)
        self.told: list[Notice] = []
        self.fold = NoticeFold(self.session.engine, self.told.append)
        self.at_ms = -30_000
        self.put(run_started(PAPER, self.now_ns, "test"))
        changes = {"start_ns": OPEN_NS, "end_ns": OPEN_NS + 300 * SECOND_NS}
        self.put(listed(self.now_ns, settle="spot", lookback_s=0, **changes))
        self.put(snapshot({48: 100, 47: 100}, {52: 100, 53: 100}, self.now_ns))
        self.until(3_000)

    @property
    def now_ns(self) -> int:
        return OPEN_NS + self.at_ms * MS_NS

    def put(self, event: Event) -> None:
        for stepped, effects in self.session.handle(event):
            self.fold.observe(stepped, effects)

    def until(self, ms: int) -> None:
        while self.at_ms < ms:
            self.at_ms += 20
            if self.at_ms % 500 == 0:
                price_e8 = 6_000_000_000_000 + (self.at_ms // 500 % 2) * 1_000_000
                self.put(ReferenceTicked(self.now_ns, "BTC", "x", FAST, price_e8, self.now_ns))
            if self.at_ms % 1000 == 0:  # the book speaks, and says the same
                self.put(change(BUY, 47, 100, self.now_ns, self.now_ns // MS_NS))
            self.put(ClockTicked(self.now_ns))

    def of(self, kind: str) -> list[Notice]:
        return [notice for notice in self.told if notice.kind == kind]


def filled_desk() -> Desk:
    """Ten YES bought at 0.48 by a print."""
    desk = Desk()
    desk.put(trade(SELL, 47, 30, desk.now_ns))
    desk.until(3_020)
    return desk


# -- the fold --------------------------------------------------------------------------------------


def test_start_and_fill_are_told_with_their_numbers() -> None:
    desk = filled_desk()
    (started,), (fill,) = desk.of("started"), desk.of(FILL)
    assert started.text == "started: paper, 1,000.00 USDC, run test"
    assert started.data == {"run_id": "test", "mode": "paper", "cash_e6": 1_000_000_000}
    assert fill.text == f"maker buy 10 yes at 0.48: {SLUG}"
    assert {k: fill.data[k] for k in ("market", "slug", "symbol", "token", "side", "maker")} == {
        "market": MARKET,
        "slug": SLUG,
        "symbol": "BTC",
        "token": "yes",
        "side": "buy",
        "maker": True,
    }
    assert (fill.data["price_e4"], fill.data["size_e6"]) == (4_800, 10 * SHARE)


def test_resolved_market_is_told_once_with_its_profit() -> None:
    desk = filled_desk()
    desk.put(MarketResolved(desk.now_ns, MARKET, YES, "test"))
    desk.put(MarketResolved(desk.now_ns, MARKET, YES, "again"))
    (notice,) = desk.of("resolved")
    assert notice.text == f"resolved yes: {SLUG}, PnL +5.20 USDC"
    assert (notice.data["outcome"], notice.data["pnl_e6"]) == ("yes", 5_200_000)


def test_market_without_a_trade_is_nobodys_news() -> None:
    desk = Desk()
    desk.put(MarketResolved(desk.now_ns, MARKET, NO, "test"))
    assert desk.of("resolved") == []


def test_modes_are_told_as_what_they_mean_and_not_again_as_alarms() -> None:
    desk = Desk()
    desk.put(ModeSet(desk.now_ns, REDUCE, "the loop was late"))
    desk.put(ModeSet(desk.now_ns, HALT, "daily_loss"))
    desk.put(ModeSet(desk.now_ns, RUN, "cleared"))
    desk.put(PauseSet(desk.now_ns, True))
    assert [notice.text for notice in desk.of("halt")] == [
        "reducing only: the loop was late",
        "halted: daily_loss",
        "trading: cleared",
        "paused: paused by the operator",
    ]
    assert desk.of("halt")[1].data == {"mode": "halt", "paused": False, "why": "daily_loss"}
    assert desk.of(ALARM) == []


def test_fill_that_does_not_settle_is_an_alarm() -> None:
    desk = filled_desk()
    fill_id = str(desk.of(FILL)[0].data["fill_id"])
    desk.put(FillFailed(desk.now_ns, fill_id, "reverted"))
    assert [notice.text for notice in desk.of(ALARM)] == [
        f"fill_failed: {fill_id} did not settle: reverted"
    ]


def test_alarm_of_an_unknown_order_is_told_and_no_fill() -> None:
    desk = Desk()
    effects: list[Effect] = [Alarmed("order_fault", "unknown order: order_filled o9")]
    desk.fold.observe(ClockTicked(desk.now_ns), effects)
    (alarm,) = desk.of(ALARM)
    assert alarm.data == {"name": "order_fault", "detail": "unknown order: order_filled o9"}


def test_day_is_summed_up_at_utc_midnight() -> None:
    desk = filled_desk()
    desk.put(snapshot({50: 100, 47: 100}, {54: 100}, desk.now_ns, desk.now_ns // MS_NS))
    desk.until(19_980)
    assert desk.of("daily") == []
    desk.until(21_000)
    (daily,) = desk.of("daily")
    assert daily.ts_ns // DAY_NS == 1 and daily.ts_ns - DAY_NS < 2 * SECOND_NS
    assert daily.data["date"] == "1970-01-01"
    assert (daily.data["pnl_e6"], daily.data["equity_e6"]) == (200_000, 1_000_200_000)
    assert daily.text.startswith("1970-01-01: PnL +0.20 USDC, equity 1,000.20\n1 fill (1 as maker)")
    assert (daily.data["fills"], daily.data["maker_fills"]) == (1, 1)
    assert daily.data["notional_e6"] == 4_800_000
    desk.fold.stopped(desk.now_ns, "a signal")
    (stopped,) = desk.of("stopped")
    assert stopped.data["why"] == "a signal"
    assert (stopped.data["fills"], stopped.data["from_ns"]) == (0, daily.ts_ns)


def test_same_events_tell_the_same() -> None:
    assert filled_desk().told == filled_desk().told


class Swapped(Event):
    """As `LineupSwapped` is to the fold."""

    TAG: ClassVar[str] = "lineup_swapped"

    def __init__(self, ts_ns: int) -> None:
        self.ts_ns = ts_ns
        self.generation, self.why = 7, "strategy"
        self.config = '{"strategy":{"ttl_ms":400},"plugins":{"settings":{"webhook":{"url":"u"}}}}'
        self.plugins = '{"glft":"1.0.0+sha256:abc"}'


class Faulted(Effect):
    """As `PluginFaulted` is to the fold."""

    TAG: ClassVar[str] = "plugin_faulted"
    role, name, why = "maker", "glft", "ZeroDivisionError: x"


def test_swap_and_cut_out_plugin_are_told() -> None:
    desk = Desk()
    desk.fold.observe(Swapped(desk.now_ns), [Faulted()])
    (reload,), (quarantine,) = desk.of("reload"), desk.of("quarantine")
    assert reload.text == "reloaded, generation 7: strategy"
    assert reload.data == {
        "ok": True,
        "generation": 7,
        "why": "strategy",
        "sections": ["plugins", "strategy"],
        "plugins": '{"glft":"1.0.0+sha256:abc"}',
    }
    assert quarantine.text == "maker glft is cut out: ZeroDivisionError: x"
    assert quarantine.data == {"role": "maker", "name": "glft", "why": "ZeroDivisionError: x"}


def test_secret_in_what_the_engine_says_is_hidden() -> None:
    secret = "fold-secret-0123456789"
    assert secrets.read_secret("TOKEN", environ={"TOKEN": secret}) == secret
    register_secret(secret)
    desk = Desk()
    desk.put(ModeSet(desk.now_ns, REDUCE, f"no answer from https://h/{secret}"))
    desk.fold.observe(ClockTicked(desk.now_ns), [Alarmed("late", f"{'x' * 495}{secret}")])
    (mode,), (alarm,) = desk.of("halt"), desk.of(ALARM)
    assert mode.text == "reducing only: no answer from https://h/***"
    assert mode.data["why"] == "no answer from https://h/***"
    assert alarm.data["detail"] == "x" * 495 + "***"


def test_hostile_text_is_made_plain_and_short() -> None:
    assert plain("a\x1b[2Jb\nc\u202e") == "a?[2Jb\nc?"
    assert len(plain("x" * 9_999)) == 500


def test_money_is_told_to_the_cent() -> None:
    assert usdc_text(1_234_567_890) == "1,234.57"
    assert [usdc_text(each, sign=True) for each in (1_000_000, -4, 0)] == ["+1.00", "0.00", "0.00"]


# -- folding bursts --------------------------------------------------------------------------------


def alarm(number: int, name: str = "order_fault") -> Notice:
    return Notice(ALARM, number, f"{name}: {number}", {"name": name, "detail": str(number)})


def test_few_of_one_sort_stay_as_they_are() -> None:
    batch = [fill(1), alarm(2), fill(3)]
    assert condense(batch) == batch


def test_burst_of_fills_becomes_one_notice_with_the_sums() -> None:
    batch = [*(fill(n) for n in range(4)), alarm(4), *(fill(n, token="no") for n in range(5, 9))]
    first, burst = condense(batch)
    assert first == alarm(4)
    assert burst.text.splitlines() == [
        "8 fills, fees 0.08 USDC",
        "slug-m buy yes: 8 at 0.5 (4)",
        "slug-m buy no: 8 at 0.5 (4)",
    ]
    assert burst.ts_ns == 8
    assert (burst.data["count"], burst.data["fees_e6"], burst.data["others"]) == (8, 80_000, 0)


def test_merged_fills_merge_again_without_loss() -> None:
    (once,) = condense([fill(n) for n in range(12)])
    parts = condense([*condense([fill(n) for n in range(7)]), *(fill(n) for n in range(7, 12))])
    assert parts == [once]


def test_markets_beyond_the_rows_are_counted() -> None:
    (burst,) = condense([fill(n, market=f"m{n}") for n in range(ROWS_MAX + 3)])
    assert burst.data["others"] == 3
    assert burst.text.endswith("and 3 more")


def test_repeated_alarms_are_counted_by_name() -> None:
    told = condense([*(alarm(n) for n in range(9)), alarm(9, "other")])
    assert [notice.text for notice in told] == [
        "9 times, newest: order_fault: 8",
        "other: 9",
    ]
    again = condense([told[0], alarm(10)])
    assert [notice.text for notice in again] == ["10 times, newest: order_fault: 10"]
