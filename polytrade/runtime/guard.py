"""The guard: after a reload it looks whether things got worse, and rolls back when they did.

Off unless `reload.guard_window_s` is set. It compares with how things stood at the swap: equity,
orders refused among those wanted, plugin faults with overruns. A rollback is not guarded itself.
"""

from collections.abc import Callable
from typing import Final, final

import attrs
import structlog
import trio

from polytrade.config import Reload
from polytrade.core.units import ONE_E6, decimal_text
from polytrade.runtime.budget import Budget
from polytrade.runtime.reload_requests import ROLLBACK, ReloadRequest, Reloads
from polytrade.runtime.strategy import Strategy

log = structlog.get_logger(__name__)

BEAT_S: Final = 0.5
WANTED_MIN: Final = 20
"""Orders that must have been wanted before the share of refused ones says anything."""
PLACED: Final = "place_order"
REFUSED: Final = "refused"
FAULTED: Final = "plugin_faulted"
GUARD: Final = "guard"


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
    """Watches the window after each accepted reload; `accepted` begins one, `run` looks."""

    def __init__(
        self,
        strategy: Strategy,
        budget: Budget,
        reloads: Reloads,
        section: Callable[[], Reload],
    ) -> None:
        self.rollbacks = 0
        self._strategy = strategy
        self._budget = budget
        self._reloads = reloads
        self._section = section
        self._began: Standing | None = None
        self._until_s = 0.0
        self._generation = 0
        self._wake = trio.Event()

    def accepted(self, request: ReloadRequest) -> None:
        """A reload was put in force: its window begins, unless it is a rollback."""
        section = self._section()
        self._began = None
        if request.name != ROLLBACK and section.guard_window_s > 0:
            self._began = self.standing()
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
        self.rollbacks += 1
        answer = await self._reloads.reload(request)
        log.info("guard rolled back", answer=type(answer).__name__)
