"""What becomes of a matched trade on chain, and the trades the venue remembers."""

from collections import deque
from collections.abc import Callable
from random import Random
from typing import Final

import attrs

from polytrade.core.units import SECOND_NS
from polytrade.sandbox.matching.accounts import Bank
from polytrade.sandbox.matching.crossing import CANCEL_RESTING, SELF_TRADES
from polytrade.sandbox.matching.events import TradeChanged, VenueEvent
from polytrade.sandbox.matching.market import Market
from polytrade.sandbox.matching.orders import CONFIRMED, FAILED, MINED, RETRYING, Trade
from polytrade.sandbox.schedule import Schedule

TRADES_KEPT: Final = 10_000
"""Settled trades kept for REST, those of API keys and those among the venue's own traders apart:
about 15 MB each; the latter are an hour of a quiet venue or minutes of a busy one."""


@attrs.frozen(kw_only=True)
class ExchangeSettings:
    """How the venue treats orders and trades where the markets' rules do not say.

    A trade is MINED `mined_after_ns` after its match and CONFIRMED `confirmed_after_ns` later. A
    share `retry_rate` of trades is RETRYING first, for another `retry_after_ns`; a share
    `failed_rate` is RETRYING and then FAILED.

    A GTD order must have at least `gtd_min_s` to its expiration and is dropped `gtd_early_s`
    before it (protocols 2.5). `self_trade` is what happens when an order meets one of the same
    wallet: `cancel_resting`, `cancel_taking` or `allow`. What the real venue does is not
    documented (protocols 2.5).
    """

    mined_after_ns: int = 2 * SECOND_NS
    confirmed_after_ns: int = 2 * SECOND_NS
    retry_after_ns: int = 2 * SECOND_NS
    failed_rate: float = 0.0
    retry_rate: float = 0.0
    gtd_min_s: int = 180
    gtd_early_s: int = 60
    self_trade: str = attrs.field(
        default=CANCEL_RESTING, validator=attrs.validators.in_(SELF_TRADES)
    )


class Settlement:
    """Takes every trade from MATCHED to CONFIRMED or FAILED and moves what it moves.

    `on_settled` is called after the last TradeChanged of a trade.
    """

    def __init__(
        self,
        schedule: Schedule,
        bank: Bank,
        rng: Random,
        emit: Callable[[VenueEvent], None],
        on_settled: Callable[[Market, Trade], None],
    ) -> None:
        self.trades: dict[str, Trade] = {}
        self._schedule = schedule
        self._bank = bank
        self._rng = rng
        self._emit = emit
        self._on_settled = on_settled
        self._settled: tuple[deque[str], deque[str]] = (deque(), deque())
        self._by_owner: dict[str, dict[str, Trade]] = {}

    def new_id(self) -> str:
        """A trade id in the form of a version 4 uuid."""
        text = f"{self._rng.randrange(1 << 128):032x}"
        variant = "89ab"[int(text[16], 16) % 4]
        parts = (text[:8], text[8:12], f"4{text[13:16]}", f"{variant}{text[17:20]}", text[20:])
        return "-".join(parts)

    def _new_hash(self) -> str:
        return f"0x{self._rng.randrange(1 << 256):064x}"

    def begin(self, market: Market, trade: Trade, settings: ExchangeSettings) -> None:
        """Take a trade on: balances move, and its way on chain is planned."""
        self._bank.begin(trade, market.rules)
        trade.transaction_hash = self._new_hash()
        self.trades[trade.trade_id] = trade
        market.unsettled += 1
        for owner in _owners(trade):
            self._by_owner.setdefault(owner, {})[trade.trade_id] = trade
        chance = self._rng.random()
        after_ns = settings.mined_after_ns
        if chance < settings.failed_rate + settings.retry_rate:
            failed = chance < settings.failed_rate
            self._plan(after_ns, market, trade, RETRYING)
            after_ns += settings.retry_after_ns
            if failed:
                self._plan(after_ns, market, trade, FAILED)
                return
        self._plan(after_ns, market, trade, MINED)
        self._plan(after_ns + settings.confirmed_after_ns, market, trade, CONFIRMED)

    def trades_of(self, owner: str) -> list[Trade]:
        """The trades an API key has a part in, newest first."""
        return list(reversed(self._by_owner.get(owner, {}).values()))

    def _plan(self, after_ns: int, market: Market, trade: Trade, status: str) -> None:
        self._schedule.after(after_ns, lambda: self._change(market, trade, status))

    def _change(self, market: Market, trade: Trade, status: str) -> None:
        trade.status = status
        trade.update_ns = self._schedule.now_ns
        if status == RETRYING:
            trade.transaction_hash = self._new_hash()
        elif status == CONFIRMED:
            self._bank.confirm(trade, market.rules)
        elif status == FAILED:
            self._bank.undo(trade, market.rules)
        self._emit(TradeChanged(trade.update_ns, market.rules, trade))
        if status in (CONFIRMED, FAILED):
            market.unsettled -= 1
            self._keep(trade)
            self._on_settled(market, trade)

    def _keep(self, trade: Trade) -> None:
        settled = self._settled[0 if _owners(trade) else 1]
        settled.append(trade.trade_id)
        if len(settled) > TRADES_KEPT:
            oldest = self.trades.pop(settled.popleft())
            for owner in _owners(oldest):
                mine = self._by_owner[owner]
                del mine[oldest.trade_id]
                if not mine:
                    del self._by_owner[owner]


def _owners(trade: Trade) -> list[str]:
    """The API keys with a part in a trade, each once."""
    owners = [trade.taker.owner, *(fill.order.owner for fill in trade.fills)]
    return [owner for owner in dict.fromkeys(owners) if owner]
