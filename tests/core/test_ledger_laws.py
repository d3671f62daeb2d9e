"""Whatever happens, the ledger agrees with a slow model that starts from nothing every time."""

from fractions import Fraction
from math import ceil, floor

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from polytrade.core.effects import CancelOrder, PlaceOrder
from polytrade.core.events import (
    Event,
    FillConfirmed,
    FillFailed,
    MarketResolved,
    OrderAccepted,
    OrderCancelled,
    OrderFilled,
    OrderLost,
    OrderRejected,
    PairsMerged,
    PairsSplit,
    RebatePaid,
)
from polytrade.core.ids import BUY, NO, SELL, YES
from polytrade.core.ledger import Booked, Ledger, Mark
from polytrade.core.orders import Order, OrderChange, Orders
from tests.core.factory import MARKET, listed

CASH = 500_000_000
MARKETS = (MARKET, "0xother")


class Fact:
    """One thing that happened in one market, in the model's own words."""

    def __init__(self, kind: str, market: str, **fields: int) -> None:
        self.kind = kind
        self.market = market
        self.token = fields.get("token", 0)
        self.side = fields.get("side", 0)
        self.price = fields.get("price", 0)
        self.size = fields.get("size", 0)
        self.fee = fields.get("fee", 0)
        self.settled = True


class Answer:
    """What the model makes of a list of facts. Money in 1e-6, shares in 1e-6, exact rules:
    costs up, proceeds and parts of a cost down.
    """

    def __init__(self, facts: list[Fact], market: str) -> None:
        self.shares = [0, 0]
        self.cost = [0, 0]
        self.unsettled = [0, 0]
        self.cash = 0
        self.realized = 0
        self.fees = 0
        self.rebates = 0
        winner: int | None = None
        for fact in facts:
            if fact.market != market:
                continue
            if fact.kind == "resolve":
                winner = fact.token
            else:
                self._one(fact)
            if winner is not None:
                self._redeem(winner)

    def _one(self, fact: Fact) -> None:
        if fact.kind == "rebate":
            self.rebates += fact.size
            self.cash += fact.size
            return
        if fact.kind == "fill":
            exact = Fraction(fact.price * fact.size, 10_000)
            self._trade(fact.token, fact.side, fact.size, [ceil(exact), floor(exact)][fact.side])
            self.fees += fact.fee
            self.cash -= fact.fee
            if fact.side == BUY and not fact.settled:
                self.unsettled[fact.token] += fact.size
            return
        side = BUY if fact.kind == "split" else SELL
        self._trade(YES, side, fact.size, fact.size // 2)
        self._trade(NO, side, fact.size, fact.size - fact.size // 2)

    def _trade(self, token: int, side: int, size: int, money: int) -> None:
        self.cash += money if side == SELL else -money
        way = 1 if side == BUY else -1
        held = self.shares[token]
        closing = min(abs(held), size) if held * way < 0 else 0
        if closing:
            basis = floor(Fraction(self.cost[token] * closing, abs(held)))
            part = floor(Fraction(money * closing, size))
            self.realized += -way * part - basis
            self.cost[token] -= basis
            money -= part
        self.shares[token] += way * size
        self.cost[token] += way * money

    def _redeem(self, winner: int) -> None:
        for token in (YES, NO):
            held = self.shares[token]
            worth = Fraction(1, 2) if winner < 0 else Fraction(int(token == winner))
            if held > 0:
                self._trade(token, SELL, held, floor(worth * held))
            elif held < 0:
                self._trade(token, BUY, -held, ceil(worth * -held))
            self.unsettled[token] = 0


def fee_model(size: int, price: int, rate: int) -> int:
    """protocols 8.1 with exponent 1, in exact fractions: 5 decimals, half to even."""
    dollars = Fraction(size, 10**6) * Fraction(rate, 10**6)
    dollars *= Fraction(price, 10_000) * (1 - Fraction(price, 10_000))
    return round(dollars * 10**5) * 10


class Trading(RuleBasedStateMachine):
    """Orders, fills, settlements, failures, merges, splits, resolutions, in any order."""

    @initialize(rate=st.sampled_from([0, 70_000]))
    def start(self, rate: int) -> None:
        self.rate = rate
        self.orders = Orders()
        self.ledger = Ledger()
        self.ledger.deposit(CASH)
        for name in MARKETS:
            self.ledger.listed(listed(market=name, fee_rate_e6=rate))
        self.mine: list[Order] = []
        self.facts: list[Fact] = []
        self.waiting: dict[str, Fact] = {}
        self.winners: dict[str, int] = {}
        self.fills = 0

    @rule(
        market=st.sampled_from(MARKETS),
        token=st.sampled_from([YES, NO]),
        side=st.sampled_from([BUY, SELL]),
        price=st.integers(1, 99).map(lambda cents: cents * 100),
        size=st.integers(1, 20_000_000),
        post_only=st.booleans(),
    )
    def place(
        self, market: str, token: int, side: int, price: int, size: int, post_only: bool
    ) -> None:
        name = f"o{len(self.mine)}"
        effect = PlaceOrder(name, market, token, side, price, size, "GTC", post_only, 0, "maker")
        order = self.orders.open(effect, 0)
        self.ledger.hold(order)
        self.mine.append(order)

    @precondition(lambda self: self.mine)
    @rule(data=st.data(), what=st.sampled_from(["accept", "reject", "lose", "ask", "cancel"]))
    def word(self, data: st.DataObject, what: str) -> None:
        order = data.draw(st.sampled_from(self.mine))
        name = order.order_id
        events: dict[str, Event] = {
            "accept": OrderAccepted(1, name, ""),
            "reject": OrderRejected(1, name, ""),
            "lose": OrderLost(1, name, ""),
            "cancel": OrderCancelled(1, name, ""),
        }
        if what == "ask":
            self.orders.cancel(CancelOrder(name, order.market, ""), 1)
        else:
            self.orders.apply(events[what])
        self.ledger.hold(order)

    @precondition(lambda self: self.mine)
    @rule(
        data=st.data(),
        part=st.integers(1, 4),
        price=st.integers(0, 10_000),
        fee=st.integers(0, 50_000),
    )
    def fill(self, data: st.DataObject, part: int, price: int, fee: int) -> None:
        """Any fill the venue may report: of closed orders and beyond the size, too."""
        order = data.draw(st.sampled_from(self.mine))
        size = max(1, order.size_e6 * part // 3)
        self.fills += 1
        fill_id = f"f{self.fills}"
        event = OrderFilled(2, order.order_id, fill_id, price, size, fee, True, "queue")
        assert isinstance(self.orders.apply(event), OrderChange)
        assert isinstance(self.ledger.filled(order, event), Booked)
        fact = Fact(
            "fill",
            order.market,
            token=order.token,
            side=order.side,
            price=price,
            size=size,
            fee=fee,
        )
        fact.settled = False
        self.facts.append(fact)
        self.waiting[fill_id] = fact

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), failed=st.booleans())
    def settle(self, data: st.DataObject, failed: bool) -> None:
        fill_id = data.draw(st.sampled_from(sorted(self.waiting)))
        fact = self.waiting.pop(fill_id)
        if failed:
            assert isinstance(self.ledger.apply(FillFailed(3, fill_id, "")), Booked)
            self.facts.remove(fact)
        else:
            assert isinstance(self.ledger.apply(FillConfirmed(3, fill_id)), Booked)
            fact.settled = True

    @rule(market=st.sampled_from(MARKETS), size=st.integers(1, 10_000_000))
    def merge(self, market: str, size: int) -> None:
        held = Answer(self.facts, market).shares
        booked = self.ledger.apply(PairsMerged(4, market, size))
        assert isinstance(booked, Booked) == (size <= min(held))
        if isinstance(booked, Booked):
            self.facts.append(Fact("merge", market, size=size))

    @rule(market=st.sampled_from(MARKETS), size=st.integers(1, 10_000_000))
    def split(self, market: str, size: int) -> None:
        assert isinstance(self.ledger.apply(PairsSplit(4, market, size)), Booked)
        self.facts.append(Fact("split", market, size=size))

    @rule(market=st.sampled_from(MARKETS), cash=st.integers(0, 1_000_000))
    def rebate(self, market: str, cash: int) -> None:
        assert isinstance(self.ledger.apply(RebatePaid(4, market, cash)), Booked)
        self.facts.append(Fact("rebate", market, size=cash))

    @rule(market=st.sampled_from(MARKETS), winner=st.sampled_from([YES, NO, -1]))
    def resolve(self, market: str, winner: int) -> None:
        booked = self.ledger.apply(MarketResolved(5, market, winner, "test"))
        assert isinstance(booked, Booked) == (market not in self.winners)
        if isinstance(booked, Booked):
            self.winners[market] = winner
            self.facts.append(Fact("resolve", market, token=winner))

    @invariant()
    def invariants_hold(self) -> None:
        self.ledger.check(self.orders)

    @invariant()
    def books_are_the_models(self) -> None:
        cash = CASH
        realized = fees = rebates = exposure = 0
        for market in MARKETS:
            answer = Answer(self.facts, market)
            account = self.ledger.account(market)
            assert account is not None
            for token in (YES, NO):
                holding = account.now.holding(token)
                assert holding.provisional_e6 == answer.shares[token]
                assert holding.confirmed_e6() == answer.shares[token] - answer.unsettled[token]
                assert holding.cost_e6 == answer.cost[token]
                left = holding.confirmed_e6() - self.promised(market, token)
                assert self.ledger.sellable_e6(market, token) == max(0, left)
            assert self.ledger.exposure_e6(market) == self.worst(market, answer)
            cash += answer.cash
            realized += answer.realized
            fees += answer.fees
            rebates += answer.rebates
            exposure += self.worst(market, answer)
        assert self.ledger.cash_e6 == cash
        assert self.ledger.realized_e6 == realized
        assert (self.ledger.fees_e6, self.ledger.rebates_e6) == (fees, rebates)
        assert self.ledger.exposure_total_e6 == exposure
        reserved = sum(self.cost(order) for order in self.mine if order.side == BUY)
        assert self.ledger.available_e6() == cash - reserved

    def promised(self, market: str, token: int) -> int:
        orders = [order for order in self.mine if order.market == market and order.side == SELL]
        return sum(order.open_e6() for order in orders if order.token == token)

    def cost(self, order: Order) -> int:
        """What an order's open rest loses when it fills and turns out wrong."""
        at = order.price_e4 if order.side == BUY else 10_000 - order.price_e4
        fee = 0 if order.post_only else fee_model(order.open_e6(), at, self.rate)
        return ceil(Fraction(at * order.open_e6(), 10_000)) + fee

    def worst(self, market: str, answer: Answer) -> int:
        losses = [0]
        for winner in (YES, NO):
            loss = sum(answer.cost) - answer.shares[winner]
            for order in self.mine:
                helps = (order.token == winner) == (order.side == BUY)
                if order.market == market and not helps:
                    loss += self.cost(order)
            losses.append(loss)
        return max(losses)


TestTrading = Trading.TestCase
TestTrading.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


@given(
    yes=st.integers(0, 10**8),
    no=st.integers(0, 10**8),
    bid=st.integers(0, 10_000),
    ask=st.integers(0, 10_000),
)
def test_a_mark_is_never_worth_more_at_the_side_it_trades_on_than_at_the_mid(
    yes: int, no: int, bid: int, ask: int
) -> None:
    assume(bid <= ask)
    ledger = Ledger()
    ledger.deposit(CASH)
    ledger.listed(listed())
    ledger.apply(PairsSplit(1, MARKET, max(yes, no, 1)))
    marks = {MARKET: Mark(bid, ask)}
    assert ledger.equity_e6(marks, True) == CASH
    assert ledger.equity_e6(marks, False) == CASH
    account = ledger.account(MARKET)
    assert account is not None
    account.now.yes.provisional_e6 = yes
    account.now.no.provisional_e6 = no
    conservative = account.value_e6(bid, ask, True)
    middle = account.value_e6(bid, ask, False)
    assert conservative <= middle
    exact = Fraction(yes * (bid + ask) + no * (20_000 - bid - ask), 20_000)
    assert middle == floor(exact)


@given(
    held=st.integers(1, 10**8),
    other=st.integers(0, 10**8),
    paid=st.integers(0, 9_999),
    price=st.integers(1, 9_999),
    token=st.sampled_from([YES, NO]),
    buy=st.booleans(),
)
def test_an_order_that_only_reduces_never_adds_to_the_money_at_risk(
    held: int, other: int, paid: int, price: int, token: int, buy: bool
) -> None:
    assume(held > other)
    ledger, orders = Ledger(), Orders()
    ledger.deposit(CASH)
    ledger.listed(listed())
    for number, (what, size) in enumerate([(token, held), (1 - token, other)]):
        if size:
            effect = PlaceOrder(f"o{number}", MARKET, what, BUY, paid, size, "GTC", True, 0, "x")
            order = orders.open(effect, 0)
            fill = OrderFilled(1, order.order_id, f"f{number}", paid, size, 0, True, "x")
            orders.apply(fill)
            ledger.filled(order, fill)
    account = ledger.account(MARKET)
    assert account is not None
    closing, side = (1 - token, BUY) if buy else (token, SELL)
    size = account.reducible_e6(closing, side)
    assert size == held - other
    before = ledger.exposure_e6(MARKET)
    effect = PlaceOrder("close", MARKET, closing, side, price, size, "FAK", False, 0, "x")
    ledger.hold(orders.open(effect, 2))
    # The fee rounds to 5 decimals and the cost up: a few millionths.
    assert ledger.exposure_e6(MARKET) <= before + 11
