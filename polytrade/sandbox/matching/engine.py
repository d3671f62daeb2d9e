"""What an order does to the book, the balances and the other orders; everything is told at once."""

from collections.abc import Callable
from random import Random
from typing import Final

from polytrade.core.ids import BUY
from polytrade.core.units import SECOND_NS
from polytrade.sandbox.matching.accounts import NO_BALANCE, Bank, balance_text
from polytrade.sandbox.matching.admission import DEAD, NOT_READY, OWN_ORDER
from polytrade.sandbox.matching.crossing import DUST_E6, Plan, need_e6, plan
from polytrade.sandbox.matching.events import (
    CANCELLATION,
    PLACEMENT,
    UPDATE,
    LevelChanged,
    OrderChanged,
    TickChanged,
    Traded,
    VenueEvent,
)
from polytrade.sandbox.matching.market import Market
from polytrade.sandbox.matching.orders import (
    CANCELED,
    DELAYED,
    EXPIRED,
    FAILED,
    FOK,
    GTD,
    LIVE,
    MARKET_TYPES,
    MATCHED,
    NOT_COVERED,
    Order,
    Refused,
    Trade,
)
from polytrade.sandbox.matching.records import OrderRecords
from polytrade.sandbox.matching.rewards import Rewards
from polytrade.sandbox.matching.rules import FINE_ABOVE_E4, FINE_BELOW_E4, FINE_TICK_E4
from polytrade.sandbox.matching.settlement import ExchangeSettings, Settlement
from polytrade.sandbox.schedule import Planned, Schedule

TRADE_IDS_MAX: Final = 1_000
"""Trades an order names, the last ones: a REST answer of 40 kB."""
COARSE_TICK_E4: Final = 100


class Engine:
    """Carries out what was decided about an order, whole, and emits what happened in order.

    An order that takes emits PLACEMENT, a LevelChanged for every maker order met, Traded, an UPDATE
    for every maker and for itself, and at last its remainder's LevelChanged or CANCELLATION; one
    that comes to nothing a CANCELLATION alone (protocols 6.2); one that is held for the taker delay
    nothing until the delay has passed. After every step no book is crossed, no wallet negative and
    every resting order covered.
    """

    def __init__(
        self,
        schedule: Schedule,
        bank: Bank,
        rng: Random,
        emit: Callable[[VenueEvent], None],
        settings: ExchangeSettings,
        markets: dict[str, Market],
    ) -> None:
        self.settings = settings
        self.records = OrderRecords()
        self.rewards = Rewards(schedule, bank, markets)
        self.settlement = Settlement(schedule, bank, rng, emit, self._settled)
        self._schedule = schedule
        self._bank = bank
        self._emit = emit
        self._markets = markets
        self._timers: dict[str, Planned] = {}
        bank.on_less = self.recheck

    def check_balance(self, market: Market, order: Order, need_e6: int) -> None:
        """Raises Refused unless the wallet covers this beside its open orders of the token."""
        token_id = market.rules.tokens[order.token]
        if order.side == BUY:
            balance_e6 = self._bank.cash_e6(order.wallet)
        else:
            balance_e6 = self._bank.shares_e6(order.wallet, token_id)
        pledged_e6 = self.records.pledges.pledged_e6(order.wallet, token_id, order.side)
        if pledged_e6 + need_e6 > balance_e6:
            raise Refused(balance_text(balance_e6, need_e6))

    def hold(self, market: Market, order: Order) -> None:
        """Keep a marketable order until the taker delay has passed (protocols 2.5)."""
        order.status = DELAYED
        self.records.put(order, market.rules)
        market.held[order.order_id] = order
        self._timers[order.order_id] = self._schedule.after(
            market.rules.taker_delay_ns, lambda: self._release(market, order)
        )

    def _release(self, market: Market, order: Order) -> None:
        del market.held[order.order_id], self._timers[order.order_id]
        order.status = LIVE
        self.records.lift(order, market.rules)
        try:
            self.enter(market, order)
        except Refused as refused:
            self.refuse(market, order, refused.text)

    def enter(self, market: Market, order: Order) -> None:
        """Match an order with the book as it is; Refused, and nothing changed, when it cannot."""
        rules = market.rules
        found = plan(market.book, order, rules.fees, self.settings.self_trade)
        takes = order.order_type in MARKET_TYPES
        if takes and not (found.complete if order.order_type == FOK else found.fills):
            raise Refused(DEAD[order.order_type])
        if found.blocked and not found.fills:
            raise Refused(OWN_ORDER)
        need = found.cost_e6 if order.side == BUY else found.size_e6
        if not (found.complete or found.blocked or takes):
            need += need_e6(order, rules.fees, found.size_e6)
        self.check_balance(market, order, need)
        for own in found.own:
            self.take_out(market, own, CANCELED)
        self.records.note(order)
        self._tell(market, order, PLACEMENT)
        if found.fills:
            self._execute(market, order, found)
        if found.complete:
            self._end(market, order, MATCHED)
        elif takes or found.blocked:
            self._end(market, order, CANCELED)
            self._tell(market, order, CANCELLATION)
        else:
            self._rest(market, order)
        for wallet in dict.fromkeys([order.wallet, *(fill.order.wallet for fill in found.fills)]):
            self.recheck(wallet)
        self._refine_tick(market)

    def _execute(self, market: Market, order: Order, found: Plan) -> None:
        """Fill the makers of a plan and begin its trade."""
        rules, now_ns = market.rules, self._schedule.now_ns
        trade_id = self.settlement.new_id()
        for fill in found.fills:
            maker = fill.order
            if maker.remaining_e6 - fill.size_e6 < DUST_E6:
                level_e6 = market.book.remove(maker)
                maker.status = MATCHED
            else:
                level_e6 = market.book.fill(maker, fill.size_e6)
            _count(maker, fill.size_e6, fill.cash_e6, trade_id)
            market.last_e4, market.last_token = maker.price_e4, maker.token
            self._tell_level(market, maker, level_e6)
        _count(order, found.size_e6, found.cash_e6, trade_id)
        if found.complete:
            order.status = MATCHED
        trade = Trade(
            trade_id=trade_id,
            condition=rules.condition,
            taker=order,
            size_e6=found.size_e6,
            cash_e6=found.cash_e6,
            fee_e6=found.fee_e6,
            fills=found.fills,
            match_ns=now_ns,
            update_ns=now_ns,
        )
        market.last_side, market.last_trade = order.side, trade
        market.trades += 1
        market.volume_e6 += trade.cash_e6
        self.settlement.begin(market, trade, self.settings)
        self._emit(Traded(now_ns, rules, trade))
        for fill in found.fills:
            if fill.order.status == MATCHED:
                self._end(market, fill.order, MATCHED)
            else:
                self.records.put(fill.order, rules)
            self._tell(market, fill.order, UPDATE)
        self._tell(market, order, UPDATE)

    def _rest(self, market: Market, order: Order) -> None:
        level_e6 = market.book.add(order)
        self.records.put(order, market.rules)
        if order.order_type == GTD:
            drop_s = order.expires_s - self.settings.gtd_early_s
            self._timers[order.order_id] = self._schedule.at(
                drop_s * SECOND_NS, lambda: self.take_out(market, order, EXPIRED)
            )
        self._tell_level(market, order, level_e6)

    def take_out(self, market: Market, order: Order, status: str) -> None:
        """End a resting order and tell."""
        level_e6 = market.book.remove(order)
        self._end(market, order, status)
        self._tell_level(market, order, level_e6)
        self._tell(market, order, CANCELLATION)

    def refuse(self, market: Market, order: Order, text: str, status: str = "") -> None:
        """End an order that was taken but came to nothing, and tell."""
        order.refusal = text
        if not status and text in DEAD.values():
            status = f"CANCELED_{text}"
        elif not status:
            status = NOT_COVERED if text.startswith(NO_BALANCE) else CANCELED
        self.records.note(order)
        self._end(market, order, status)
        self._tell(market, order, CANCELLATION)

    def _end(self, market: Market, order: Order, status: str) -> None:
        order.status = status
        timer = self._timers.pop(order.order_id, None)
        if timer is not None:
            timer.cancel()
        self.records.end(order, market.rules)

    def cancel_all(self, market: Market, status: str) -> None:
        """End every order of a market, held ones first."""
        for order in list(market.held.values()):
            del market.held[order.order_id]
            self.refuse(market, order, NOT_READY, status)
        for order in list(market.book.orders.values()):
            self.take_out(market, order, status)

    def recheck(self, wallet: str) -> None:
        """Cancel the newest orders of a wallet until it covers what is left (protocols 2.5)."""
        bank, pledges = self._bank, self.records.pledges
        cash_e6 = bank.cash_e6(wallet)
        while (order := pledges.uncovered_buy(wallet, cash_e6)) is not None:
            self.take_out(self._markets[order.condition], order, NOT_COVERED)
        for token_id in pledges.sold_tokens(wallet):
            shares_e6 = bank.shares_e6(wallet, token_id)
            while (order := pledges.uncovered_sell(wallet, token_id, shares_e6)) is not None:
                self.take_out(self._markets[order.condition], order, NOT_COVERED)

    def change_tick(self, market: Market, tick_e4: int) -> None:
        """Trade on another grid; resting orders off it are cancelled."""
        old_e4, market.rules.tick_e4 = market.rules.tick_e4, tick_e4
        if old_e4 == tick_e4:
            return
        self._emit(TickChanged(self._schedule.now_ns, market.rules, old_e4))
        for order in list(market.book.orders.values()):
            if order.price_e4 % tick_e4:
                self.take_out(market, order, CANCELED)

    def _settled(self, market: Market, trade: Trade) -> None:
        if trade.status != FAILED:
            self.rewards.earn(market, trade)
        for wallet in (trade.taker.wallet, *(fill.order.wallet for fill in trade.fills)):
            if market.resolved:
                self._bank.redeem_if_wanted(wallet, market.rules)
            if trade.status == FAILED:
                self.recheck(wallet)

    def _refine_tick(self, market: Market) -> None:
        """A market of 0.01 gets ticks of 0.001 when its prices come near 0 or 1, once."""
        if market.refined or market.rules.tick_e4 != COARSE_TICK_E4:
            return
        book, last_e4 = market.book, market.last_yes_e4
        high = book.best_bid_e4() > FINE_ABOVE_E4 or last_e4 > FINE_ABOVE_E4
        low = book.best_ask_e4() < FINE_BELOW_E4 or 0 <= last_e4 < FINE_BELOW_E4
        if high or low:
            market.refined = True
            self.change_tick(market, FINE_TICK_E4)

    def _tell(self, market: Market, order: Order, kind: str) -> None:
        self._emit(OrderChanged(self._schedule.now_ns, market.rules, order, kind))

    def _tell_level(self, market: Market, order: Order, level_e6: int) -> None:
        self._emit(
            LevelChanged(
                self._schedule.now_ns,
                market.rules,
                order.token,
                order.side,
                order.price_e4,
                level_e6,
                market.last_e4,
            )
        )


def _count(order: Order, size_e6: int, cash_e6: int, trade_id: str) -> None:
    """Add a fill to an order."""
    order.matched_e6 += size_e6
    order.spent_e6 += cash_e6
    if len(order.trade_ids) >= TRADE_IDS_MAX:
        del order.trade_ids[0]
    order.trade_ids.append(trade_id)
