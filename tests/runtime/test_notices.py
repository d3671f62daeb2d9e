"""Notices: what is told, to whom, and that nothing a notifier does reaches trading."""

import gc
import random
import weakref
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

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
    KINDS,
    ROWS_MAX,
    Notice,
    NotifyError,
    condense,
    plain,
    usdc_text,
)
from polytrade.runtime import notices as runner
from polytrade.runtime.logs import register_secret
from polytrade.runtime.notice_fold import NoticeFold
from polytrade.runtime.notice_queue import QUEUE_MAX
from polytrade.runtime.notices import Notices
from polytrade.runtime.supervise import TaskTable
from polytrade.session import build_session, run_started
from tests.core.factory import MARKET, SHARE, change, listed, snapshot, trade

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


def fill(number: int, *, token: str = "yes", market: str = "m") -> Notice:
    data = {
        "market": market,
        "slug": f"slug-{market}",
        "token": token,
        "side": "buy",
        "price_e4": 5_000,
        "size_e6": 2 * SHARE,
        "fees_e6": 10_000,
        "engine": "taker",
        "fill_id": f"f{number}",
    }
    return Notice(FILL, number, f"fill {number}", data)


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


# -- the notifiers ---------------------------------------------------------------------------------


class Recording:
    """Keeps what it is told and when; fails as `script` says, call by call."""

    kinds: tuple[str, ...] = KINDS

    def __init__(self, *script: Exception | None) -> None:
        self.script = list(script)
        self.calls: list[tuple[float, list[str]]] = []

    async def notify(self, notices: Sequence[Notice], http: Any) -> None:
        self.calls.append((round(trio.current_time() - BEGAN[0], 3), [n.text for n in notices]))
        failure = self.script.pop(0) if self.script else None
        if failure is not None:
            raise failure

    @property
    def texts(self) -> list[str]:
        return [text for _, texts in self.calls for text in texts]


class Hanging(Recording):
    """Never answers."""

    async def notify(self, notices: Sequence[Notice], http: Any) -> None:
        await super().notify(notices, http)
        await trio.sleep_forever()


class TopOfRange(random.Random):
    """Draws the upper end: delays become exact."""

    def uniform(self, a: float, b: float) -> float:
        return b


BEGAN = [0.0]


class Office:
    """Notices under way; `tell` makes an alarm of a text."""

    def __init__(self, operator: Any = None) -> None:
        self.tasks = TaskTable()
        self.notices = Notices(
            build_session(Config()).engine,
            lambda: 5,
            tasks=self.tasks,
            rng=TopOfRange(),
            operator=operator,
        )

    def tell(self, text: str) -> None:
        self.notices.tell(ALARM, text, {"name": text})

    def row(self, name: str) -> runner.NotifierRow:
        return {row.name: row for row in self.notices.rows()}[name]


@asynccontextmanager
async def office(operator: Any = None, **notifiers: Any) -> AsyncIterator[Office]:
    made = Office(operator)
    made.notices.configure(notifiers)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.notices.run)
        await wait_all_tasks_blocked()
        BEGAN[0] = trio.current_time()
        yield made
        nursery.cancel_scope.cancel()


async def test_news_is_gathered_and_handed_over_in_order(autojump_clock) -> None:
    recording = Recording()
    async with office(a=recording) as made:
        made.tell("one")
        await trio.sleep(1)
        made.tell("two")
        await trio.sleep(10)
        made.tell("three")
        await trio.sleep(10)
    assert recording.calls == [(3.0, ["one", "two"]), (14.0, ["three"])]


async def test_notifier_is_told_its_kinds_only(autojump_clock) -> None:
    recording = Recording()
    recording.kinds = ("halt",)
    async with office(a=recording) as made:
        made.tell("alarm")
        made.notices.tell("halt", "halted")
        await trio.sleep(10)
    assert recording.texts == ["halted"]


async def test_burst_of_fills_is_one_notice(autojump_clock) -> None:
    recording = Recording()
    async with office(a=recording) as made:
        for number in range(100):
            each = fill(number)
            made.notices.tell(FILL, each.text, each.data)
        await trio.sleep(10)
    ((_, (text,)),) = recording.calls
    assert text == "100 fills, fees 1.00 USDC\nslug-m buy yes: 200 at 0.5 (100)"


async def test_notifier_that_hangs_costs_only_its_own_notices(autojump_clock) -> None:
    hanging, recording = Hanging(), Recording()
    async with office(dead=hanging, alive=recording) as made:
        made.tell("first")
        await trio.sleep(4)
        for number in range(1000):
            made.tell(f"n{number}")
        await wait_all_tasks_blocked()
        assert made.row("dead").queued == QUEUE_MAX
        assert made.row("dead").dropped == 1000 - QUEUE_MAX
        await trio.sleep(200)
        assert [at for at, _ in hanging.calls][:2] == [3.0, 3.0 + 30.0 + 2.0 + 3.0]
        assert made.tasks.row("notifier dead").last_error == "RetryLater: not done within 30 s"
    assert recording.texts[0] == "first"
    assert recording.texts[1] == "744 notices dropped: alive did not take them"
    assert recording.texts[-1] == "n999"


async def test_full_queue_drops_fills_first(autojump_clock) -> None:
    recording = Recording()
    async with office(a=recording) as made:
        made.tell("keep me")
        for number in range(QUEUE_MAX):
            each = fill(number)
            made.notices.tell(FILL, each.text, each.data)
        await trio.sleep(5)
    assert "keep me" in recording.texts
    assert "255 fills, fees 2.55 USDC" in recording.texts[-1]


async def test_failures_in_a_row_park_a_notifier_and_the_others_go_on(autojump_clock) -> None:
    failing, recording = Recording(*[NotifyError("no route")] * 999), Recording()
    async with office(bad=failing, good=recording) as made:
        made.tell("one")
        await trio.sleep(86_400)
        assert made.tasks.row("notifier bad").state == "parked"
        assert len(failing.calls) == runner.NOTIFIER.failures_max
        made.tell("two")
        await trio.sleep(10)
        assert len(failing.calls) == runner.NOTIFIER.failures_max
        assert made.row("bad").queued == 2
    assert recording.texts == ["one", "two"]


async def test_failed_batch_is_delivered_later_with_what_came_since(autojump_clock) -> None:
    recording = Recording(NotifyError("502"))
    async with office(a=recording) as made:
        made.tell("one")
        await trio.sleep(3.5)
        made.tell("two")
        await trio.sleep(60)
        assert made.row("a").delivered == 2
    assert recording.calls == [(3.0, ["one"]), (8.0, ["one", "two"])]


async def test_receiver_that_asks_for_peace_gets_it_and_is_not_parked(autojump_clock) -> None:
    busy = [NotifyError("429", 40.0), None] * 14
    recording = Recording(*busy)
    async with office(a=recording) as made:
        for number in range(14):
            made.tell(f"n{number}")
            await trio.sleep(50)
        assert made.tasks.row("notifier a").state == "running"
        assert made.tasks.row("notifier a").failures == 0
    assert [at for at, _ in recording.calls][:4] == [3.0, 46.0, 53.0, 96.0]


async def test_delivered_part_of_a_batch_is_not_told_again(autojump_clock) -> None:
    recording = Recording(NotifyError("429", 5.0, delivered=1))
    async with office(a=recording) as made:
        made.tell("one")
        made.tell("two")
        await trio.sleep(60)
        assert made.row("a").delivered == 2
    assert [texts for _, texts in recording.calls] == [["one", "two"], ["two"]]


async def test_refused_batch_is_given_up_and_counted(autojump_clock) -> None:
    recording = Recording(NotifyError("400", refused=True))
    async with office(a=recording) as made:
        made.tell("poison")
        await trio.sleep(60)
        assert (made.row("a").dropped, made.row("a").queued) == (1, 0)
        made.tell("next")
        await trio.sleep(60)
    assert recording.calls[1][1] == ["1 notice dropped: a did not take them", "next"]


class Panic(BaseException):
    """As extension modules raise it: Python does not count it as an error."""


class Unreadable(Exception):
    """Has no text."""

    def __str__(self) -> str:
        raise ValueError("no text")


class Quitting(Recording):
    """Ends as it is told, at its first word and when it listens."""

    commands = True

    def __init__(self, end: BaseException, *, nested: bool = False) -> None:
        super().__init__()
        self.end, self.nested, self.lives = end, nested, 0

    async def notify(self, notices: Sequence[Notice], http: Any) -> None:
        await super().notify(notices, http)
        if len(self.calls) == 1:
            await self._quit()

    async def listen(self, operator: Any, http: Any) -> None:
        self.lives += 1
        if self.lives == 1:
            await self._quit()
        await trio.sleep_forever()

    async def _quit(self) -> None:
        if not self.nested:
            raise self.end
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            raise self.end


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize(
    ("end", "told"),
    [
        (SystemExit(3), "SystemExit: 3"),
        (Panic("lost"), "Panic: lost"),
        (Unreadable(), "Unreadable: its text cannot be had"),
        (ValueError("x"), "ValueError: x"),
    ],
)
async def test_notifier_that_ends_in_any_way_is_only_a_failed_one(
    autojump_clock, end: BaseException, told: str, nested: bool
) -> None:
    quitting, other = Quitting(end, nested=nested), Recording()
    async with office("operator", a=quitting, b=other) as made:
        made.tell("one")
        await trio.sleep(3.5)
        row = made.tasks.row("notifier a")
        assert (row.state, row.last_error) == ("waiting", f"RetryLater: {told}")
        assert made.tasks.row("notifier a commands").last_error == f"RetryLater: {told}"
        await trio.sleep(60)
        assert made.tasks.row("notifier a").state == "running"
    assert quitting.texts == ["one", "one"]
    assert quitting.lives == 2
    assert other.texts == ["one"]


class Stubborn(Recording):
    """Exits when it is cancelled."""

    async def notify(self, notices: Sequence[Notice], http: Any) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._exit)
            nursery.start_soon(trio.sleep_forever)

    async def _exit(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise SystemExit(3)


async def test_notifier_that_exits_when_it_is_replaced_ends_nothing(autojump_clock) -> None:
    new = Recording()
    async with office(a=Stubborn()) as made:
        made.tell("one")
        await trio.sleep(4)
        made.notices.configure({"a": new})
        await trio.sleep(10)
        assert made.tasks.row("notifier a").state == "running"
    assert new.texts == ["one"]


@pytest.mark.parametrize("asked", ["soon", float("nan"), 10**400])
async def test_notifier_that_asks_for_nonsense_is_tried_again(autojump_clock, asked: Any) -> None:
    recording = Recording(NotifyError("busy", asked))
    async with office(a=recording) as made:
        made.tell("one")
        await trio.sleep(7200)
        assert made.tasks.row("notifier a").state == "running"
    assert recording.texts == ["one", "one"]


class Contrary(Recording):
    """Raises at every look."""

    @property
    def kinds(self) -> Any:
        raise SystemExit(3)

    @property
    def commands(self) -> Any:
        raise ValueError("x")

    def __eq__(self, other: object) -> bool:
        raise ValueError("x")

    __hash__ = None  # type: ignore[assignment]


async def test_notifier_that_raises_at_every_look_is_told_all_the_same(autojump_clock) -> None:
    first, second = Contrary(), Contrary()
    async with office("operator", a=first) as made:
        made.tell("one")
        await trio.sleep(4)
        made.notices.configure({"a": second})
        made.tell("two")
        await trio.sleep(4)
    assert (first.texts, second.texts) == (["one"], ["two"])


async def test_secret_in_an_error_reaches_no_row(autojump_clock) -> None:
    secret = "123456:very-secret-token"
    assert secrets.read_secret("TOKEN", environ={"TOKEN": secret}) == secret
    leaking = Recording(ValueError(f"POST https://example.org/bot{secret}/send failed"))
    telling = Recording(NotifyError(f"cannot reach {secret}"))
    async with office(a=leaking, b=telling) as made:
        made.tell("one")
        await trio.sleep(3.5)
        rows = [made.tasks.row(f"notifier {name}").last_error for name in "ab"]
    assert rows == [
        "RetryLater: ValueError: POST https://example.org/bot***/send failed",
        "RetryLater: cannot reach ***",
    ]


async def test_reload_swaps_a_notifier_and_its_queue_goes_on(autojump_clock) -> None:
    old, same, new = Hanging(), Recording(), Recording()
    async with office(a=old, b=same) as made:
        made.tell("one")
        await trio.sleep(4)
        made.notices.configure({"a": new, "b": same})
        made.tell("two")
        await trio.sleep(10)
        assert made.tasks.row("notifier a").state == "running"
    assert old.texts == ["one"]
    assert new.texts == ["one", "two"]
    assert same.texts == ["one", "two"]


@attrs.define
class Configured:
    """A notifier whose settings are its fields, as those of plugins are."""

    chat: int
    kinds: tuple[str, ...] = KINDS
    told: list[str] = attrs.field(init=False, factory=list, eq=False)

    async def notify(self, notices: Sequence[Notice], http: Any) -> None:
        self.told += [notice.text for notice in notices]


async def test_reload_that_changes_no_setting_leaves_a_notifier_undisturbed(autojump_clock) -> None:
    first, equal, changed = Configured(1), Configured(1), Configured(2)
    async with office(a=first) as made:
        made.notices.configure({"a": equal})
        made.tell("one")
        await trio.sleep(10)
        made.notices.configure({"a": changed})
        made.tell("two")
        await trio.sleep(10)
    assert (first.told, equal.told, changed.told) == (["one"], [], ["two"])


async def test_retired_notifier_is_freed(autojump_clock) -> None:
    async with office() as made:
        notifier = Recording()
        gone = weakref.ref(notifier)
        made.notices.configure({"a": notifier})
        made.tell("one")
        await trio.sleep(10)
        assert notifier.texts == ["one"]
        del notifier
        made.notices.configure({"a": Recording()})
        await trio.sleep(10)
        gc.collect()
        assert gone() is None


async def test_notifier_taken_out_delivers_what_it_has_and_leaves_no_row(autojump_clock) -> None:
    leaving, hanging = Recording(), Hanging()
    async with office(a=leaving, b=hanging) as made:
        made.tell("goodbye")
        made.notices.configure({})
        await trio.sleep(10)
        assert made.tasks.rows() == []
    assert leaving.calls == [(0.0, ["goodbye"])]


async def test_stop_delivers_the_last_word_and_waits_for_no_dead_one(autojump_clock) -> None:
    good, parked, hanging = Recording(), Recording(*[NotifyError("x")] * 999), Hanging()
    async with office(a=good, b=parked) as made:
        made.tell("one")
        await trio.sleep(86_400)
        made.notices.stopped("a signal")
        began_s = trio.current_time()
        await made.notices.finish()
        assert trio.current_time() == began_s
    assert good.texts[-1].startswith("stopped: a signal\nPnL 0.00 USDC")
    async with office(a=hanging) as made:
        made.tell("one")
        await trio.sleep(4)
        began_s = trio.current_time()
        await made.notices.finish()
        assert trio.current_time() - began_s == runner.FLUSH_S


async def test_alarm_that_no_effect_raises_is_told_without_secrets(autojump_clock) -> None:
    register_secret("alarm-secret-0123456789")
    noticed: list[Notice] = []

    class Keeping(Recording):
        async def notify(self, notices: Sequence[Notice], http: Any) -> None:
            noticed.extend(notices)

    async with office(a=Keeping()) as made:
        made.notices.alarm("guard_stuck", "no feed at wss://h/alarm-secret-0123456789")
        await trio.sleep(10)
    (notice,) = noticed
    assert (notice.kind, notice.text) == (ALARM, "guard_stuck: no feed at wss://h/***")
    assert notice.data == {"name": "guard_stuck", "detail": "no feed at wss://h/***"}


async def test_refused_reload_is_told(autojump_clock) -> None:
    recording = Recording()
    async with office(a=recording) as made:
        made.notices.reload_refused("127.0.0.1", "import", "SyntaxError: x", plugin="glft 1.0.0")
        await trio.sleep(10)
    assert recording.texts == ["reload refused (import, glft 1.0.0): SyntaxError: x"]


class Heeding(Recording):
    """Takes commands, if it may; its first life fails."""

    def __init__(self, commands: bool) -> None:
        super().__init__()
        self.commands = commands
        self.lives = 0

    async def listen(self, operator: Any, http: Any) -> None:
        self.lives += 1
        assert operator == "operator"
        if self.lives == 1:
            raise OSError("gone")
        await trio.sleep_forever()


@pytest.mark.parametrize(
    ("commands", "operator", "lives"),
    [(False, "operator", 0), (True, None, 0), (True, "operator", 2)],
)
async def test_commands_are_heeded_only_when_switched_on(
    autojump_clock, commands: bool, operator: Any, lives: int
) -> None:
    heeding = Heeding(commands)
    async with office(operator, a=heeding) as made:
        await trio.sleep(10)
        assert heeding.lives == lives
        names = [row.name for row in made.tasks.rows()]
        assert ("notifier a commands" in names) == bool(lives)


async def test_fold_that_fails_is_off_and_trading_goes_on(
    autojump_clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = Recording()
    async with office(a=recording) as made:
        monkeypatch.setattr(made.notices._fold, "observe", lambda event, effects: 1 // 0)
        made.notices.observe(ClockTicked(1), [])
        made.notices.observe(ClockTicked(2), [])
        assert made.notices.failed.startswith("ZeroDivisionError")
        made.tell("still here")
        await trio.sleep(10)
    assert recording.texts == ["still here"]
