"""Notices: what is told, to whom, and that nothing a notifier does reaches trading."""

import gc
import random
import weakref
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from polytrade import secrets
from polytrade.config import Config
from polytrade.core.events import (
    ClockTicked,
)
from polytrade.notices import (
    ALARM,
    FILL,
    KINDS,
    Notice,
    NotifyError,
)
from polytrade.runtime import notices as runner
from polytrade.runtime.logs import register_secret
from polytrade.runtime.notice_queue import QUEUE_MAX
from polytrade.runtime.notices import Notices
from polytrade.runtime.supervise import TaskTable
from polytrade.session import build_session
from tests.runtime.notice_samples import fill

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
