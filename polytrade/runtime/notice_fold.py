"""Notices of a run: a fold over (event, effects) that says what an operator should hear.

It reads the engine after each step and never changes it, reads no clock, and says the same live and
in a replay; registered secrets are hidden. Profits are the ledger's; a day's is the change of
equity marked at its two midnights.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, final

import attrs
import orjson

from polytrade.core.effects import Alarmed, Effect, PhaseChanged
from polytrade.core.engine import Engine
from polytrade.core.events import (
    Event,
    FillFailed,
    FlattenRequested,
    MarketResolved,
    ModeSet,
    OrderFilled,
    PauseSet,
    RunStarted,
)
from polytrade.core.ids import NO, SIDE_NAMES, TOKEN_NAMES, YES
from polytrade.core.limits import HALT, RUN
from polytrade.core.market import RESOLVED as RESOLVED_PHASE
from polytrade.core.risk import DAY_NS
from polytrade.core.units import SECOND_NS, notional_e6_down
from polytrade.notices import (
    ALARM,
    DAILY,
    FILL,
    QUARANTINE,
    RELOAD,
    RESOLVED,
    STARTED,
    STOPPED,
    Notice,
    fill_text,
    many,
    plain,
    usdc_text,
)
from polytrade.notices import HALT as HALT_NOTICE
from polytrade.runtime.logs import REDACTOR

OUTCOMES: Final = {YES: "yes", NO: "no"}
MODE_WORDS: Final = {RUN: "trading", HALT: "halted"}
"""How modes are told; any other is one that only reduces."""
TOLD_OTHERWISE: Final = frozenset({"mode"})
"""Alarms that go with an event that is a notice of its own."""

Tell = Callable[[Notice], None]


@attrs.define
class _Day:
    """What is counted from one UTC midnight, or the run's start, to the next."""

    from_ns: int = 0
    equity_e6: int = 0
    fees_e6: int = 0
    rebates_e6: int = 0
    fills: int = 0
    maker_fills: int = 0
    notional_e6: int = 0
    resolved: int = 0
    won: int = 0


@final
class NoticeFold:
    """Tells `tell` what an operator should hear; `observe` after every step."""

    def __init__(self, engine: Engine, tell: Tell) -> None:
        self._engine = engine
        self._tell = tell
        self._day = _Day()
        self._day_number = -1
        self._folds: dict[str, Callable[[Any, Sequence[Effect]], None]] = {
            OrderFilled.TAG: self._on_filled,
            FillFailed.TAG: self._on_fill_failed,
            MarketResolved.TAG: self._on_resolved,
            ModeSet.TAG: self._on_mode,
            PauseSet.TAG: self._on_pause,
            FlattenRequested.TAG: self._on_flatten,
            RunStarted.TAG: self._on_started,
            "lineup_swapped": self._on_swapped,
            "plugin_quarantined": self._on_quarantined,
        }

    def observe(self, event: Event, effects: Sequence[Effect]) -> None:
        """The engine stepped `event` and wants `effects`."""
        fold = self._folds.get(event.TAG)
        if fold is not None:
            fold(event, effects)
        for effect in effects:
            if isinstance(effect, Alarmed):
                if effect.name not in TOLD_OTHERWISE:
                    self._alarm(event.ts_ns, effect.name, effect.detail)
            elif effect.TAG == "plugin_faulted":
                self._on_fault(event.ts_ns, effect)
        risk = self._engine.risk
        if risk.day != self._day_number and risk.started:
            self._on_midnight(event.ts_ns)

    def stopped(self, ts_ns: int, why: str) -> None:
        """The run ends: what it did since midnight, or since its start that day."""
        risk = self._engine.risk
        text, data = self._money(risk.equity_e6 if risk.started else self._engine.ledger.cash_e6)
        why = why or "asked to"
        self._say(STOPPED, ts_ns, f"stopped: {why}\n{text}", {**data, "why": why})

    # -- trading ----------------------------------------------------------------------------------

    def _on_filled(self, event: OrderFilled, effects: Sequence[Effect]) -> None:
        order = self._engine.orders.find(event.order_id)
        if order is None or any(
            isinstance(e, Alarmed) and e.name == "order_fault" for e in effects
        ):
            return
        day = self._day
        day.fills += 1
        day.maker_fills += event.maker
        day.notional_e6 += notional_e6_down(event.price_e4, event.size_e6)
        data = {
            **self._named(order.market),
            "token": TOKEN_NAMES[order.token],
            "side": SIDE_NAMES[order.side],
            "price_e4": event.price_e4,
            "size_e6": event.size_e6,
            "fees_e6": event.fee_e6,
            "maker": event.maker,
            "engine": order.engine,
            "order_id": event.order_id,
            "fill_id": event.fill_id,
        }
        self._say(FILL, event.ts_ns, fill_text(data), data)

    def _on_fill_failed(self, event: FillFailed, effects: Sequence[Effect]) -> None:
        self._alarm(event.ts_ns, "fill_failed", f"{event.fill_id} did not settle: {event.reason}")

    def _on_resolved(self, event: MarketResolved, effects: Sequence[Effect]) -> None:
        """The first word on a market in which we traded; the others are nobody's news."""
        account = self._engine.ledger.account(event.market)
        first = any(isinstance(e, PhaseChanged) and e.phase == RESOLVED_PHASE for e in effects)
        if not first or account is None:
            return
        sheet = account.now
        if not (sheet.spent_e6 or sheet.received_e6 or sheet.split_e6):
            return
        pnl_e6 = sheet.realized_e6 - sheet.fees_e6 + sheet.rebates_e6
        self._day.resolved += 1
        self._day.won += pnl_e6 > 0
        outcome = OUTCOMES.get(event.winner, "50-50")
        data = {**self._named(event.market), "outcome": outcome, "pnl_e6": pnl_e6}
        text = f"resolved {outcome}: {data['slug']}, PnL {usdc_text(pnl_e6, sign=True)} USDC"
        self._say(RESOLVED, event.ts_ns, text, data)

    # -- the engine and its plugins ---------------------------------------------------------------

    def _on_mode(self, event: ModeSet, effects: Sequence[Effect]) -> None:
        self._mode(event.ts_ns, event.why)

    def _on_pause(self, event: PauseSet, effects: Sequence[Effect]) -> None:
        self._mode(event.ts_ns, "paused by the operator" if event.paused else "no longer paused")

    def _on_flatten(self, event: FlattenRequested, effects: Sequence[Effect]) -> None:
        self._mode(event.ts_ns, "the operator closes every position")

    def _mode(self, ts_ns: int, why: str) -> None:
        risk = self._engine.risk
        word = MODE_WORDS.get(risk.mode, "reducing only")
        if risk.paused and risk.mode == RUN:
            word = "paused"
        data = {"mode": risk.mode, "paused": risk.paused, "why": shown(why)}
        self._say(HALT_NOTICE, ts_ns, f"{word}: {why}", data)

    def _on_swapped(self, event: Any, effects: Sequence[Effect]) -> None:
        data = {
            "ok": True,
            "generation": event.generation,
            "why": shown(event.why),
            # Names alone: settings, those of plugins among them, are nothing to tell receivers.
            "sections": sorted(orjson.loads(event.config)),
            "plugins": event.plugins,
        }
        self._say(
            RELOAD, event.ts_ns, f"reloaded, generation {event.generation}: {event.why}", data
        )

    def _on_quarantined(self, event: Any, effects: Sequence[Effect]) -> None:
        data = {"role": event.role, "name": "", "why": shown(event.why)}
        self._say(QUARANTINE, event.ts_ns, f"{event.role} is cut out: {event.why}", data)

    def _on_fault(self, ts_ns: int, effect: Any) -> None:
        data = {"role": effect.role, "name": effect.name, "why": shown(effect.why)}
        text = f"{effect.role} {effect.name} is cut out: {effect.why}"
        self._say(QUARANTINE, ts_ns, text, data)

    def _alarm(self, ts_ns: int, name: str, detail: str) -> None:
        data = {"name": name, "detail": shown(detail)}
        self._say(ALARM, ts_ns, f"{name}: {detail}" if detail else name, data)

    # -- days -------------------------------------------------------------------------------------

    def _on_started(self, event: RunStarted, effects: Sequence[Effect]) -> None:
        self._day = _Day(from_ns=event.ts_ns, equity_e6=event.cash_e6)
        self._day_number = event.ts_ns // DAY_NS
        data = {"run_id": event.run_id, "mode": event.mode, "cash_e6": event.cash_e6}
        text = f"started: {event.mode}, {usdc_text(event.cash_e6)} USDC, run {event.run_id}"
        self._say(STARTED, event.ts_ns, text, data)

    def _on_midnight(self, ts_ns: int) -> None:
        """The account was marked for the first time on a new UTC day."""
        risk, ledger = self._engine.risk, self._engine.ledger
        if self._day_number >= 0:
            text, data = self._money(risk.day_base_e6)
            date = f"{datetime.fromtimestamp(self._day.from_ns // SECOND_NS, UTC):%Y-%m-%d}"
            self._say(DAILY, ts_ns, f"{date}: {text}", {**data, "date": date})
        self._day_number = risk.day
        self._day = _Day(
            from_ns=ts_ns,
            equity_e6=risk.day_base_e6,
            fees_e6=ledger.fees_e6,
            rebates_e6=ledger.rebates_e6,
        )

    def _money(self, equity_e6: int) -> tuple[str, dict[str, object]]:
        """The day so far, with the account worth `equity_e6`, in words and as data."""
        day, ledger = self._day, self._engine.ledger
        pnl_e6 = equity_e6 - day.equity_e6
        data: dict[str, object] = {
            "from_ns": day.from_ns,
            "pnl_e6": pnl_e6,
            "equity_e6": equity_e6,
            "fees_e6": ledger.fees_e6 - day.fees_e6,
            "rebates_e6": ledger.rebates_e6 - day.rebates_e6,
            "fills": day.fills,
            "maker_fills": day.maker_fills,
            "notional_e6": day.notional_e6,
            "resolved": day.resolved,
            "won": day.won,
        }
        text = (
            f"PnL {usdc_text(pnl_e6, sign=True)} USDC, equity {usdc_text(equity_e6)}\n"
            f"{many(day.fills, 'fill')} ({day.maker_fills} as maker), traded "
            f"{usdc_text(day.notional_e6)}, fees {usdc_text(ledger.fees_e6 - day.fees_e6)}, "
            f"rebates {usdc_text(ledger.rebates_e6 - day.rebates_e6)}\n"
            f"{many(day.resolved, 'market')} resolved, {day.won} with a profit"
        )
        return text, data

    def _named(self, market: str) -> dict[str, object]:
        state = self._engine.markets.get(market)
        slug = state.spec.slug if state is not None else market
        symbol = state.spec.symbol if state is not None else ""
        return {"market": market, "slug": plain(slug), "symbol": symbol}

    def _say(self, kind: str, ts_ns: int, text: str, data: Mapping[str, object]) -> None:
        self._tell(Notice(kind, ts_ns, shown(text), data))


def shown(text: str) -> str:
    """`text` fit for a notice, without a secret."""
    return plain(REDACTOR.text(text))
