"""Operators' commands, carried out: each becomes an event, and the reply tells what came of it."""

from collections.abc import Callable
from typing import Final

import attrs
import structlog
import trio

from polytrade.core.effects import Effect, Refused
from polytrade.core.events import (
    Event,
    FlattenRequested,
    ModeSet,
    OrderCancelled,
    OrderFilled,
    PauseSet,
    ShadowReset,
)
from polytrade.core.ids import NO, SIDE_NAMES, TOKEN_NAMES, YES
from polytrade.core.limits import FLATTEN, HALT, RUN
from polytrade.core.units import ONE_E4, share_e6_down
from polytrade.runtime.command_requests import (
    Closed,
    Command,
    CommandRequest,
    Commands,
    Flatten,
    FlattenReply,
    Left,
    Pause,
    PauseReply,
    Refusal,
    Reply,
    ResetReply,
    ResetShadow,
    Resume,
)
from polytrade.runtime.strategy import Strategy

log = structlog.get_logger(__name__)

APPLY_S: Final = 5.0
"""Longest a command may wait for the engine to take its event."""
FLATTEN_S: Final = 8.0
"""Longest a flatten may take: the settlement of bought shares (4 s), a cancel and an order."""


@attrs.define
class FlattenLog:
    """What happens while a flatten runs, by (market, token): `closed` has shares, price times
    shares, side; `refused` the limit that stopped the last closing order. `begun` is set when the
    engine has taken the request.
    """

    begun: bool = False
    cancelled: list[str] = attrs.field(factory=list)
    closed: dict[tuple[str, int], tuple[int, int, int]] = attrs.field(factory=dict)
    refused: dict[tuple[str, int], str] = attrs.field(factory=dict)


class CommandServer:
    """Takes commands one at a time, in order, and answers each exactly once.

    `record_only`: the run records and never quotes, so it is not to be resumed.
    """

    def __init__(
        self,
        commands: Commands,
        strategy: Strategy,
        slippage_e4: int,
        on_window: Callable[[], int],
        *,
        record_only: bool = False,
    ) -> None:
        self._commands = commands
        self._strategy = strategy
        self._slippage_e4 = slippage_e4
        self._on_window = on_window
        self._record_only = record_only

    async def run(self) -> None:
        """Serve until the channel is closed. A command under way at a crash is answered."""
        async for request in self._commands.requests:
            log.info("command", command=type(request.command).__name__)
            try:
                answer = await self._carry_out(request.command)
            except trio.TooSlowError:
                answer = Refusal("busy", f"the engine did not take the command in {APPLY_S:g} s")
            except BaseException:
                _answer(request, Refusal("failed", "the command was interrupted"))
                raise
            _answer(request, answer)

    async def _carry_out(self, command: Command) -> Reply | Refusal:
        match command:
            case Pause():
                return await self._pause(True)
            case Resume(clear_halt=clear_halt):
                return await self._resume(clear_halt)
            case Flatten():
                return await self._flatten()
            case ResetShadow():
                window_id = self._on_window()
                self._put(ShadowReset(self._now(), window_id))
                return ResetReply(window_id)

    async def _pause(self, paused: bool) -> PauseReply:
        self._put(PauseSet(self._now(), paused))
        risk = self._strategy.session.engine.risk
        await self._applied(lambda: risk.paused == paused)
        return PauseReply(risk.paused)

    async def _resume(self, clear_halt: bool) -> PauseReply | Refusal:
        engine = self._strategy.session.engine
        if self._record_only:
            return Refusal("record_only", "this run records and quotes nothing")
        if engine.risk.mode == HALT:
            if not clear_halt:
                return Refusal("halted", f"halted: {engine.mode_why}; clear_halt resumes")
            journal = self._strategy.journal
            if journal is not None and journal.failed is not None:
                return Refusal("halted", f"no order without a journal: {journal.failed}")
            self._put(ModeSet(self._now(), RUN, "the operator cleared the halt"))
            await self._applied(lambda: engine.risk.mode != HALT)
        return await self._pause(False)

    async def _flatten(self) -> FlattenReply:
        strategy = self._strategy
        engine = strategy.session.engine
        done = FlattenLog()

        asked = FlattenRequested(self._now(), self._slippage_e4)

        def watch(event: Event, effects: list[Effect]) -> None:
            done.begun = done.begun or event is asked
            self._follow(done, event, effects)

        strategy.listeners.append(watch)
        try:
            self._put(asked)
            with trio.move_on_after(FLATTEN_S):
                await strategy.wait_until(
                    lambda: (
                        done.begun
                        and not engine.quoter.flattening
                        and not engine.orders.open_count()
                    )
                )
        finally:
            strategy.listeners.remove(watch)
        return FlattenReply(
            cancelled=tuple(done.cancelled), closed=self._closed(done), left=self._left(done)
        )

    def _follow(self, done: FlattenLog, event: Event, effects: list[Effect]) -> None:
        """Note what an event did: a closing order's own remainder is not one that was resting."""
        for effect in effects:
            if isinstance(effect, Refused) and effect.engine == FLATTEN:
                done.refused[(effect.market, effect.token)] = f"{effect.limit}: {effect.why}"
        if not isinstance(event, (OrderCancelled, OrderFilled)):
            return
        order = self._strategy.session.engine.orders.find(event.order_id)
        closing = order is not None and order.engine == FLATTEN
        if isinstance(event, OrderCancelled):
            if not closing:
                done.cancelled.append(event.order_id)
        elif order is not None and closing:
            key = (order.market, order.token)
            size, notional, side = done.closed.get(key, (0, 0, order.side))
            size += event.size_e6
            notional += event.price_e4 * event.size_e6
            done.closed[key] = (size, notional, side)

    def _closed(self, done: FlattenLog) -> tuple[Closed, ...]:
        markets = self._strategy.session.engine.markets
        return tuple(
            Closed(
                market=market,
                slug=markets[market].spec.slug,
                token=TOKEN_NAMES[token],
                side=SIDE_NAMES[side],
                size_e6=size,
                price_e4=share_e6_down(notional, 1, size),
            )
            for (market, token), (size, notional, side) in done.closed.items()
        )

    def _left(self, done: FlattenLog) -> tuple[Left, ...]:
        engine = self._strategy.session.engine
        left: list[Left] = []
        for name, market in engine.markets.items():
            account = engine.ledger.account(name)
            if account is None:
                continue
            for token in (YES, NO):
                held = account.now.holding(token)
                if held.provisional_e6 <= 0:
                    continue
                why = done.refused.get((name, token), "no buyer within the slippage")
                if held.confirmed_e6() < held.provisional_e6:
                    why = "not settled yet"
                elif market.phase not in ("open", "closing"):
                    why = f"the market is {market.phase}"
                elif market.book.bid_e4 == 0 or market.book.ask_e4 == ONE_E4:
                    why = "the book is one-sided"
                left.append(
                    Left(
                        market=name,
                        slug=market.spec.slug,
                        token=TOKEN_NAMES[token],
                        size_e6=held.provisional_e6,
                        why=why,
                    )
                )
        return tuple(left)

    async def _applied(self, condition: Callable[[], bool]) -> None:
        with trio.fail_after(APPLY_S):
            await self._strategy.wait_until(condition)

    def _put(self, event: Event) -> None:
        self._strategy.inbox.put(event)

    def _now(self) -> int:
        return self._strategy.inbox.now_ns()


def _answer(request: CommandRequest, answer: Reply | Refusal) -> None:
    if request.answer is None:
        request.reply(answer)
