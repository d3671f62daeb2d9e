"""The guard by itself: what it does with what a rollback is answered, and how it stops trading."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import attrs
import trio

from polytrade.config import Reload
from polytrade.core.units import ONE_E6
from polytrade.runtime.command_requests import STOPPING, PauseReply, Refusal
from polytrade.runtime.guard import BEAT_S, FAULTED, STUCK, Guard
from polytrade.runtime.reload_requests import (
    ROLLBACK,
    STALE,
    ReloadRefused,
    ReloadReply,
    ReloadRequest,
)

SECTION = Reload(guard_window_s=60, guard_max_loss_usdc=5, guard_max_errors=1)
DONE = ReloadReply(generation=3, applied_at_ns=0, effective={})
REFUSED = ReloadRefused(code="reload_failed", message="it hangs", step="build")


class Ledger:
    """An account of so much."""

    def __init__(self) -> None:
        self.cash_e6 = 100 * ONE_E6

    def equity_e6(self, marks: object, conservative: bool) -> int:
        return self.cash_e6


@attrs.define
class Bench:
    """A guard among stand-ins that keep what they were asked."""

    answer: ReloadReply | ReloadRefused
    pauses: list[PauseReply | Refusal] = attrs.field(factory=lambda: [PauseReply(True)])
    generation: int = 2
    ledger: Ledger = attrs.field(factory=Ledger)
    effects: Counter[str] = attrs.field(factory=Counter)
    asked: list[ReloadRequest] = attrs.field(factory=list)
    paused_s: list[float] = attrs.field(factory=list)
    alarms: list[tuple[str, str]] = attrs.field(factory=list)
    guard: Guard = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        engine = SimpleNamespace(ledger=self.ledger, marks=dict)
        strategy: Any = SimpleNamespace(
            session=SimpleNamespace(engine=engine), effects=self.effects
        )
        self.guard = Guard(
            strategy,
            cast(Any, SimpleNamespace(overruns=0)),
            cast(Any, self),
            lambda: SECTION,
            pause=self._pause,
            alarm=lambda name, text: self.alarms.append((name, text)),
        )

    async def reload(self, request: ReloadRequest) -> ReloadReply | ReloadRefused:
        self.asked.append(request)
        if isinstance(self.answer, ReloadReply):
            self.guard.accepted(request)
        return self.answer

    async def _pause(self) -> PauseReply | Refusal:
        self.paused_s.append(trio.current_time())
        return self.pauses.pop(0)

    def swap(self, name: str = "strategy") -> None:
        """A reload takes effect."""
        self.guard.swapping()
        self.guard.accepted(ReloadRequest(name=name, who="t"))

    def lose(self) -> None:
        """More than the section allows."""
        self.ledger.cash_e6 -= 6 * ONE_E6


@asynccontextmanager
async def bench(answer: ReloadReply | ReloadRefused, **fields: Any) -> AsyncIterator[Bench]:
    made = Bench(answer, **fields)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.guard.run)
        yield made
        nursery.cancel_scope.cancel()


async def test_loss_is_rolled_back_once_and_counted(autojump_clock) -> None:
    async with bench(DONE) as made:
        made.swap()
        made.lose()
        await trio.sleep(30)
        (request,) = made.asked
        assert (request.name, request.who, request.expected_generation) == (ROLLBACK, "guard", 2)
        assert request.why == "6 USDC of equity lost, bound 5"
        assert (made.guard.rollbacks, made.guard.stuck) == (1, "")
        assert (made.paused_s, made.alarms) == ([], [])


async def test_what_fails_within_the_swap_counts(autojump_clock) -> None:
    async with bench(DONE) as made:
        made.guard.swapping()
        made.effects[FAULTED] += 1
        made.guard.accepted(ReloadRequest(name="strategy", who="t"))
        await trio.sleep(1)
        assert [request.why for request in made.asked] == ["1 plugin faults and overruns, bound 1"]


async def test_rollback_that_is_refused_pauses_and_is_told_until_the_next_reload(
    autojump_clock,
) -> None:
    async with bench(REFUSED) as made:
        made.swap()
        made.lose()
        await trio.sleep(30)
        stuck = "guard could not roll back (build): it hangs; 6 USDC of equity lost, bound 5"
        assert made.guard.stuck == stuck
        assert made.alarms == [(STUCK, f"{stuck}; quoting is paused")]
        assert (len(made.asked), len(made.paused_s), made.guard.rollbacks) == (1, 1, 0)
        made.swap("risk")
        assert made.guard.stuck == ""


async def test_pause_that_is_refused_is_asked_for_again(autojump_clock) -> None:
    pauses = [Refusal("busy", "x"), Refusal("failed", "x"), PauseReply(True), PauseReply(True)]
    async with bench(REFUSED, pauses=pauses) as made:
        made.swap()
        made.lose()
        await trio.sleep(30)
        first_s = made.paused_s[0]
        assert [at_s - first_s for at_s in made.paused_s] == [0, BEAT_S, 2 * BEAT_S]


async def test_daemon_that_stops_is_not_asked_again(autojump_clock) -> None:
    async with bench(REFUSED, pauses=[STOPPING, PauseReply(True)]) as made:
        made.swap()
        made.lose()
        await trio.sleep(30)
        assert len(made.paused_s) == 1


async def test_guard_that_is_too_late_stops_nothing(autojump_clock) -> None:
    for code in (STALE, STOPPING.code):
        async with bench(ReloadRefused(code=code, message="x")) as made:
            made.swap()
            made.lose()
            await trio.sleep(30)
            assert len(made.asked) == 1
            assert (made.guard.stuck, made.alarms, made.paused_s) == ("", [], [])


async def test_rollback_is_not_guarded(autojump_clock) -> None:
    async with bench(DONE) as made:
        made.swap(ROLLBACK)
        made.lose()
        await trio.sleep(30)
        assert made.asked == []
