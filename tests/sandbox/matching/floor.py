"""A small venue for tests: one market, funded wallets, and all that was told."""

from random import Random

from polytrade.core.ids import BUY, SELL
from polytrade.core.units import ONE_E6, SECOND_NS
from polytrade.sandbox.matching.accounts import Bank
from polytrade.sandbox.matching.events import (
    LevelChanged,
    OrderChanged,
    TradeChanged,
    VenueEvent,
)
from polytrade.sandbox.matching.exchange import Exchange
from polytrade.sandbox.matching.orders import Order, Placement, Refused, Trade
from polytrade.sandbox.matching.rules import FeeSchedule, MarketRules
from polytrade.sandbox.matching.settlement import ExchangeSettings
from polytrade.sandbox.schedule import Schedule

START_NS = 1_800_000_000 * SECOND_NS
CONDITION = "0x" + "c" * 64
YES_ID, NO_ID = "111", "222"
CRYPTO = FeeSchedule(rate_e6=70_000, rebate_rate_e6=200_000, kind="crypto_fees_v2")


def rules(**given: object) -> MarketRules:
    """A market without fees and delay unless given otherwise."""
    fixed: dict[str, object] = {
        "condition": CONDITION,
        "tokens": (YES_ID, NO_ID),
        "outcomes": ("Up", "Down"),
    }
    return MarketRules(**(fixed | given))  # type: ignore[arg-type]


class Floor:
    """An exchange with one market, and wallets alice, bob, carol of 1,000 pUSD and 1,000 sets."""

    def __init__(
        self,
        settings: ExchangeSettings | None = None,
        *,
        seed: int = 7,
        wallets: tuple[str, ...] = ("alice", "bob", "carol"),
        sales_wait: bool = True,
        **given: object,
    ) -> None:
        self.schedule = Schedule(START_NS)
        self.bank = Bank(sales_wait)
        self.told: list[VenueEvent] = []
        self._said: list[str] = []
        self.exchange = Exchange(self.schedule, self.bank, Random(seed), self._hear, settings)
        self.rules = rules(**given)
        self.market = self.exchange.open_market(self.rules)
        for wallet in wallets:
            self.bank.fund(wallet, 2_000 * ONE_E6)
            self.bank.split(wallet, self.rules, 1_000 * ONE_E6)
        self.told.clear()
        self._said.clear()
        self._ids = 0

    def order(
        self, wallet: str, side: int, price_e4: int, shares: float, /, **given: object
    ) -> Order:
        """An order with a new id; a YES one unless `token` is given."""
        self._ids += 1
        fixed: dict[str, object] = {
            "order_id": f"0x{self._ids:064x}",
            "wallet": wallet,
            "owner": f"key-{wallet}",
            "condition": CONDITION,
            "token": 0,
            "side": side,
            "price_e4": price_e4,
            "size_e6": round(shares * ONE_E6),
        }
        return Order(**(fixed | given))  # type: ignore[arg-type]

    def place(
        self, wallet: str, side: int, price_e4: int, shares: float, /, **given: object
    ) -> Placement:
        return self.exchange.place(self.order(wallet, side, price_e4, shares, **given))

    def buy(self, wallet: str, price_e4: int, shares: float, /, **given: object) -> Placement:
        return self.place(wallet, BUY, price_e4, shares, **given)

    def sell(self, wallet: str, price_e4: int, shares: float, /, **given: object) -> Placement:
        return self.place(wallet, SELL, price_e4, shares, **given)

    def refusal(self, order: Order) -> str:
        """Why the order is not taken; fails when it is."""
        try:
            self.exchange.place(order)
        except Refused as refused:
            return refused.text
        raise AssertionError("expected a refusal")

    def run(self, seconds: float) -> None:
        self.schedule.run_until(self.schedule.now_ns + round(seconds * SECOND_NS))

    def levels(self) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        return self.market.book.levels(BUY), self.market.book.levels(SELL)

    def kinds(self) -> list[str]:
        """What was told since the last call, shortly, as things were when it was told."""
        said = list(self._said)
        self._said.clear()
        return said

    def _hear(self, event: VenueEvent) -> None:
        self.told.append(event)
        if isinstance(event, OrderChanged):
            text = f"{event.kind} {event.order.wallet} {event.order.status}"
        elif isinstance(event, LevelChanged):
            text = f"level {event.price_e4} {event.size_e6}"
        elif isinstance(event, TradeChanged):
            text = f"trade {event.trade.status}"
        else:
            text = type(event).__name__
        self._said.append(text)

    def trade(self) -> Trade:
        """The last trade."""
        assert self.market.last_trade is not None
        return self.market.last_trade

    def money(self, wallet: str) -> tuple[int, int, int]:
        """Cash, and settled shares of YES and NO."""
        return (
            self.bank.cash_e6(wallet),
            self.bank.shares_e6(wallet, YES_ID),
            self.bank.shares_e6(wallet, NO_ID),
        )

    def check_laws(self) -> None:
        """Nothing is made, lost, negative, crossed or uncovered."""
        bank, book = self.bank, self.market.book
        backing = bank.collateral_e6(CONDITION)
        assert bank.cash_total_e6() + backing == bank.paid_in_e6()
        if not self.market.resolved:
            assert bank.shares_total_e6(YES_ID) == bank.shares_total_e6(NO_ID) == backing
        assert backing >= 0 and bank.fees_e6 >= 0 and bank.pending_fees_e6 >= 0
        assert book.best_bid_e4() < book.best_ask_e4()
        for wallet in bank.wallets():
            account = bank._accounts[wallet]
            assert account.cash_e6 >= 0 and account.pending_cash_e6 >= 0
            assert all(size > 0 for size in account.shares_e6.values())
            assert all(size > 0 for size in account.pending_e6.values())
            for token, token_id in enumerate((YES_ID, NO_ID)):
                resting = [
                    order
                    for order in book.orders.values()
                    if order.wallet == wallet and order.token == token
                ]
                sold = sum(order.remaining_e6 for order in resting if order.side == SELL)
                assert sold <= bank.shares_e6(wallet, token_id)
                paid = sum(o.remaining_e6 * o.price_e4 for o in resting if o.side == BUY)
                assert paid <= bank.cash_e6(wallet) * 10_000
