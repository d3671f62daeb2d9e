"""The venue's matching engine seen from outside: markets, orders, cancels, and what became of them.

One call is one step, carried out whole; who listens must not call back into the exchange while it
emits. What is emitted in which order is said in `engine.Engine`.
"""

from collections.abc import Callable
from random import Random
from typing import Final

from polytrade.core.ids import BUY
from polytrade.core.units import SECOND_NS
from polytrade.sandbox.matching.accounts import Bank
from polytrade.sandbox.matching.admission import (
    DEAD,
    MARKET_FULL,
    NO_TAKING,
    NOT_READY,
    POST_ONLY_CROSSES,
    check_amount,
    check_form,
)
from polytrade.sandbox.matching.crossing import need_e6
from polytrade.sandbox.matching.engine import Engine
from polytrade.sandbox.matching.events import (
    MarketClosed,
    MarketOpened,
    MarketResolved,
    VenueEvent,
)
from polytrade.sandbox.matching.market import Market
from polytrade.sandbox.matching.orders import (
    CANCELED,
    DELAYED,
    LIVE,
    RESOLVED,
    Order,
    Placement,
    Refused,
    Trade,
)
from polytrade.sandbox.matching.rewards import Rewards
from polytrade.sandbox.matching.rules import MarketRules
from polytrade.sandbox.matching.settlement import ExchangeSettings
from polytrade.sandbox.schedule import Schedule

OPEN_MAX: Final = 100_000
"""Open orders in one market: some hundred times what the busiest real ones show; 100 MB."""
FORGET_AGAIN_NS: Final = SECOND_NS
NOT_FOUND: Final = "Order not found or already canceled"
TOO_LATE: Final = "already canceled or matched"
HELD: Final = "order can't be canceled while delayed"


class Exchange:
    """All markets with their books, the open orders, and the trades under way.

    `settings` may be replaced at any time; a trade keeps those it was matched under. While
    `may_take` says no, orders that would match are refused, the venue's own traders' too.
    """

    def __init__(
        self,
        schedule: Schedule,
        bank: Bank,
        rng: Random,
        emit: Callable[[VenueEvent], None],
        settings: ExchangeSettings | None = None,
    ) -> None:
        self.may_take: Callable[[], bool] = lambda: True
        self.markets: dict[str, Market] = {}
        self.tokens: dict[str, tuple[Market, int]] = {}
        settings = settings or ExchangeSettings()
        self._engine = Engine(schedule, bank, rng, emit, settings, self.markets)
        self._schedule = schedule
        self._bank = bank
        self._emit = emit

    @property
    def settings(self) -> ExchangeSettings:
        """The settings in force; new ones apply from the next order on."""
        return self._engine.settings

    @settings.setter
    def settings(self, settings: ExchangeSettings) -> None:
        self._engine.settings = settings

    @property
    def rewards(self) -> Rewards:
        """Liquidity rewards and rebates: who scores now, and what was paid."""
        return self._engine.rewards

    @property
    def orders(self) -> dict[str, Order]:
        """Every open order and the last ended ones, by id."""
        return self._engine.records.orders

    @property
    def trades(self) -> dict[str, Trade]:
        """The trades under way and the last settled ones, by id."""
        return self._engine.settlement.trades

    def open_market(self, rules: MarketRules) -> Market:
        """Begin to take orders for a market; ValueError when there is one of that condition."""
        if rules.condition in self.markets:
            raise ValueError(f"expected a new condition, found {rules.condition} again")
        market = self.markets[rules.condition] = Market(rules)
        for token, token_id in enumerate(rules.tokens):
            self.tokens[token_id] = (market, token)
        self._bank.open_market(rules)
        self.rewards.watch(market)
        self._emit(MarketOpened(self._schedule.now_ns, rules))
        return market

    def close_market(self, condition: str) -> None:
        """Take no more orders and cancel those there are."""
        market = self.markets[condition]
        market.accepting = False
        self._engine.cancel_all(market, CANCELED)
        self._emit(MarketClosed(self._schedule.now_ns, market.rules))

    def resolve(self, condition: str, payouts_e6: tuple[int, int]) -> None:
        """Say what the shares are worth; open orders are cancelled, shares wait to be redeemed.

        Wallets that redeem by themselves are paid at once. ValueError unless the payouts are two
        that sum to one pUSD.
        """
        market = self.markets[condition]
        self._bank.resolve(market.rules, payouts_e6)
        market.accepting, market.resolved = False, True
        self._engine.cancel_all(market, RESOLVED)
        self._emit(MarketResolved(self._schedule.now_ns, market.rules, payouts_e6))

    def forget_market(self, condition: str) -> None:
        """Redeem what holders have left and keep nothing but the orders and trades of the past.

        A market with trades under way is forgotten once they are settled, an unknown one already
        is. ValueError while there are shares of unknown worth.
        """
        market = self.markets.get(condition)
        if market is None:
            return
        if market.unsettled and market.resolved:
            self._schedule.after(FORGET_AGAIN_NS, lambda: self.forget_market(condition))
            return
        self._bank.forget_market(market.rules)
        market.accepting = False
        self._engine.cancel_all(market, CANCELED)
        del self.markets[condition]
        for token_id in market.rules.tokens:
            del self.tokens[token_id]

    def change_tick(self, condition: str, tick_e4: int) -> None:
        """Trade on another grid; resting orders off the new grid are cancelled after it is told."""
        self._engine.change_tick(self.markets[condition], tick_e4)

    def place(self, order: Order) -> Placement:
        """Take an order; it is matched and rests at once, or is held for the taker delay first.

        A held order is answered as `delayed`; its outcome is in the order after `taker_delay_ns`,
        see `placement`. Raises Refused with the venue's words: no balance and no book has changed
        then. A FOK or FAK that found nothing is remembered as ended, with its reason.
        """
        market = self.markets.get(order.condition)
        if market is None or not market.accepting:
            raise Refused(NOT_READY)
        if order.order_id in self.orders:
            raise Refused(f"order {order.order_id} is invalid. Duplicated.")
        rules, now_ns = market.rules, self._schedule.now_ns
        check_form(order, rules, now_ns, self.settings.gtd_min_s)
        crosses = market.book.crosses(order.yes_side, order.yes_price_e4)
        if crosses and order.post_only:
            raise Refused(POST_ONLY_CROSSES)
        if crosses and not self.may_take():
            raise Refused(NO_TAKING)
        check_amount(order, rules, crosses)
        self._engine.check_balance(market, order, need_e6(order, rules.fees))
        if len(market.book.orders) + len(market.held) >= OPEN_MAX:
            raise Refused(MARKET_FULL, 500)
        order.created_ns = order.created_ns or now_ns
        if crosses and rules.taker_delay_ns > 0:
            self._engine.hold(market, order)
        else:
            try:
                self._engine.enter(market, order)
            except Refused as refused:
                if refused.text in DEAD.values():
                    self._engine.refuse(market, order, refused.text)
                raise
        return self.placement(order)

    def placement(self, order: Order) -> Placement:
        """The answer an order has earned so far; raises Refused when it came to nothing."""
        if order.refusal:
            raise Refused(order.refusal)
        making_e6, taking_e6 = order.spent_e6, order.matched_e6
        if order.side != BUY:
            making_e6, taking_e6 = taking_e6, making_e6
        if order.status == DELAYED:
            status = "delayed"
        else:
            status = "matched" if order.status != LIVE and order.matched_e6 else "live"
        return Placement(order, status, making_e6, taking_e6, tuple(order.trade_ids))

    def marketable(self, order: Order) -> bool:
        """Whether the order would meet another one now."""
        market = self.markets.get(order.condition)
        return market is not None and market.book.crosses(order.yes_side, order.yes_price_e4)

    def cancel(self, order_id: str) -> str:
        """Cancel a resting order: empty when it is done, otherwise the venue's reason."""
        order = self.orders.get(order_id)
        if order is None:
            return NOT_FOUND
        if order.status == DELAYED:
            return HELD
        if not order.open:
            return TOO_LATE
        self._engine.take_out(self.markets[order.condition], order, CANCELED)
        return ""

    def cancel_where(
        self, *, owner: str = "", wallet: str = "", condition: str = "", token: int = -1
    ) -> list[str]:
        """Cancel the resting orders to which all that is given applies; their ids, oldest first."""
        if owner:
            chosen = self.open_orders(owner)
        elif wallet:
            chosen = self._engine.records.pledges.orders_of(wallet)
        else:
            markets = [self.markets[condition]] if condition in self.markets else []
            if not condition:
                markets = list(self.markets.values())
            chosen = [order for market in markets for order in market.book.orders.values()]
        cancelled = []
        for order in chosen:
            if (
                order.status == LIVE
                and (not wallet or order.wallet == wallet)
                and (not condition or order.condition == condition)
                and (token < 0 or order.token == token)
            ):
                self._engine.take_out(self.markets[order.condition], order, CANCELED)
                cancelled.append(order.order_id)
        return cancelled

    def open_orders(self, owner: str) -> list[Order]:
        """The resting orders of an API key, oldest first."""
        return [order for order in self._engine.records.open_of(owner) if order.status == LIVE]

    def orders_of_wallet(self, wallet: str) -> list[Order]:
        """The open orders of a wallet, held ones included, oldest first."""
        return self._engine.records.pledges.orders_of(wallet)

    def trades_of(self, owner: str) -> list[Trade]:
        """The trades an API key has a part in, newest first."""
        return self._engine.settlement.trades_of(owner)
