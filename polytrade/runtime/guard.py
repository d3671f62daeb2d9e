"""The guard: after a reload it looks whether things got worse, and rolls back when they did.

Off unless `reload.guard_window_s` is set. It compares with how things stood at the swap: equity,
orders refused among those wanted, plugin faults with overruns. A rollback is not guarded itself.
What cannot be rolled back is not left to lose on: quoting is paused, and an operator is told.
"""

from collections.abc import Awaitable, Callable
from typing import Final, final

import attrs
import structlog
import trio

from polytrade.config import Reload
from polytrade.core.units import ONE_E6, decimal_text
from polytrade.runtime.budget import Budget
from polytrade.runtime.command_requests import STOPPING, PauseReply, Refusal
from polytrade.runtime.notice_fold import shown
from polytrade.runtime.reload_requests import (
    ROLLBACK,
    STALE,
    ReloadRefused,
    ReloadRequest,
    Reloads,
)
from polytrade.runtime.strategy import Strategy

log = structlog.get_logger(__name__)

BEAT_S: Final = 0.5
WANTED_MIN: Final = 20
"""Orders that must have been wanted before the share of refused ones says anything."""
PLACED: Final = "place_order"
REFUSED: Final = "refused"
FAULTED: Final = "plugin_faulted"
GUARD: Final = "guard"
STUCK: Final = "guard_stuck"
"""The alarm for a rollback that was refused."""


@attrs.frozen
class Standing:
    """What is compared: totals since the start, and money."""

    equity_e6: int
    placed: int
    refused: int
    errors: int

    def broken(self, now: "Standing", section: Reload) -> str:
        """Which bound is broken now, empty when none is."""
        lost_e6 = self.equity_e6 - now.equity_e6
        if lost_e6 > round(section.guard_max_loss_usdc * ONE_E6):
            lost = decimal_text(lost_e6, 6)
            return f"{lost} USDC of equity lost, bound {section.guard_max_loss_usdc:g}"
        errors = now.errors - self.errors
        if errors >= section.guard_max_errors:
            return f"{errors} plugin faults and overruns, bound {section.guard_max_errors}"
        refused = now.refused - self.refused
        wanted = refused + now.placed - self.placed
        if wanted >= WANTED_MIN and refused > section.guard_max_block_ratio * wanted:
            return f"{refused} of {wanted} orders refused, bound {section.guard_max_block_ratio:g}"
        return ""


@final
class Guard:
    """Watches the window after each accepted reload; `accepted` begins one, `run` looks.

    `rollbacks` counts those that took effect. `stuck` says why the newest one did not, until the
    next accepted reload; `pause` and `alarm` (a name, a text) are used then.
    """

    def __init__(
        self,
        strategy: Strategy,
        budget: Budget,
        reloads: Reloads,
        section: Callable[[], Reload],
        *,
        pause: Callable[[], Awaitable[PauseReply | Refusal]],
        alarm: Callable[[str, str], None],
    ) -> None:
        self.rollbacks = 0
        self.stuck = ""
        self._pause = pause
        self._alarm = alarm
        self._strategy = strategy
        self._budget = budget
        self._reloads = reloads
        self._section = section
        self._began: Standing | None = None
        self._until_s = 0.0
        self._generation = 0
        self._wake = trio.Event()
        self._before = Standing(0, 0, 0, 0)

    def swapping(self) -> None:
        """A swap is about to be queued: what it does at once counts, too."""
        self._before = self.standing()

    def accepted(self, request: ReloadRequest) -> None:
        """A reload was put in force: its window begins, unless it is a rollback."""
        section = self._section()
        self._began = None
        self.stuck = ""
        if request.name != ROLLBACK and section.guard_window_s > 0:
            self._began = self._before
            self._until_s = trio.current_time() + section.guard_window_s
            self._generation = self._reloads.generation
            self._wake.set()

    def standing(self) -> Standing:
        """How things stand now."""
        engine, effects = self._strategy.session.engine, self._strategy.effects
        return Standing(
            equity_e6=engine.ledger.equity_e6(engine.marks(), True),
            placed=effects[PLACED],
            refused=effects[REFUSED],
            errors=effects[FAULTED] + self._budget.overruns,
        )

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            await self._watch()

    async def _watch(self) -> None:
        while self._began is not None and trio.current_time() < self._until_s:
            await trio.sleep(BEAT_S)
            began = self._began
            why = "" if began is None else began.broken(self.standing(), self._section())
            if why:
                self._began = None
                await self._roll_back(why)

    async def _roll_back(self, why: str) -> None:
        log.error("guard rolls back", why=why)
        request = ReloadRequest(
            name=ROLLBACK, who=GUARD, why=why, expected_generation=self._generation
        )
        answer = await self._reloads.reload(request)
        if not isinstance(answer, ReloadRefused):
            self.rollbacks += 1
            log.info("guard rolled back", generation=answer.generation)
        elif answer.code in (STALE, STOPPING.code):
            log.info("guard is too late", code=answer.code, error=answer.message)
        else:
            await self._hold(why, answer)

    async def _hold(self, why: str, refused: ReloadRefused) -> None:
        """No rollback: say so, and place no more orders until an operator has looked."""
        step = refused.step or refused.code
        message = refused.message
        log.error("guard could not roll back", code=refused.code, step=step, error=message, why=why)
        self.stuck = shown(f"guard could not roll back ({step}): {message}; {why}")
        self._alarm(STUCK, f"{self.stuck}; quoting is paused")
        while True:
            reply = await self._pause()
            if not isinstance(reply, Refusal):
                log.error("guard paused quoting")
                return
            log.error("guard could not pause quoting", code=reply.code, error=reply.message)
            if reply.code == STOPPING.code:
                return
            await trio.sleep(BEAT_S)
