"""Cash, positions, reservations and exposure, fact by fact."""

import pytest

from polytrade.core import accounts
from polytrade.core.events import (
    ClockTicked,
    FillConfirmed,
    FillFailed,
    MarketResolved,
    OrderAccepted,
    OrderCancelled,
    OrderFilled,
    OrderLost,
    PairsMerged,
    PairsSplit,
    RebatePaid,
)
from polytrade.core.ids import BUY, NO, SELL, YES
from polytrade.core.ledger import Booked, Ledger, LedgerFault, Mark
from polytrade.core.orders import Order, OrderChange, Orders
from tests.core.factory import MARKET, SHARE, listed, place

CASH = 1_000_000_000


class Desk:
    """A ledger and its orders, moved together as the engine does, checked after every step."""

    def __init__(self) -> None:
        self.orders = Orders()
        self.ledger = Ledger()
        self.ledger.deposit(CASH)
        self.ledger.listed(listed())
        self.fills = 0

    def open(
        self,
        name: str,
        token: int,
        side: int,
        cents: int,
        shares: int,
        post_only: bool = True,
        market: str = MARKET,
    ) -> Order:
        effect = place(name, token, side, cents, shares, "GTC", post_only)
        effect.market = market
        order = self.orders.open(effect, 1)
        self.ledger.hold(order)
        self.ledger.check(self.orders)
        return order

    def fill(
        self, order: Order, shares: int, cents: int, fee_e6: int = 0, fill_id: str = ""
    ) -> Booked | LedgerFault:
        self.fills += 1
        fill_id = fill_id or f"f{self.fills}"
        event = OrderFilled(
            2, order.order_id, fill_id, cents * 100, shares * SHARE, fee_e6, True, "queue"
        )
        assert isinstance(self.orders.apply(event), OrderChange)
        booked = self.ledger.filled(order, event)
        self.ledger.check(self.orders)
        return booked

    def trade(self, token: int, side: int, shares: int, cents: int, fee_e6: int = 0) -> Booked:
        """An order filled whole and settled at once."""
        order = self.open(f"t{self.fills}", token, side, cents, shares)
        booked = self.fill(order, shares, cents, fee_e6)
        self.settle(f"f{self.fills}")
        assert isinstance(booked, Booked)
        return booked

    def settle(self, fill_id: str) -> Booked | LedgerFault:
        result = self.ledger.apply(FillConfirmed(3, fill_id))
        self.ledger.check(self.orders)
        return result

    def fail(self, fill_id: str) -> Booked | LedgerFault:
        result = self.ledger.apply(FillFailed(3, fill_id, "reorg"))
        self.ledger.check(self.orders)
        return result

    def merge(self, shares: int) -> Booked | LedgerFault:
        result = self.ledger.apply(PairsMerged(3, MARKET, shares * SHARE))
        self.ledger.check(self.orders)
        return result

    def split(self, shares: int) -> Booked | LedgerFault:
        result = self.ledger.apply(PairsSplit(3, MARKET, shares * SHARE))
        self.ledger.check(self.orders)
        return result

    def resolve(self, winner: int) -> Booked | LedgerFault:
        result = self.ledger.apply(MarketResolved(3, MARKET, winner, "test"))
        self.ledger.check(self.orders)
        return result

    def account(self) -> accounts.Account:
        account = self.ledger.account(MARKET)
        assert account is not None
        return account

    def shares(self) -> tuple[int, int]:
        now = self.account().now
        return now.yes.provisional_e6 // SHARE, now.no.provisional_e6 // SHARE


def test_a_buy_reserves_its_cost_and_a_taker_its_fee() -> None:
    desk = Desk()
    desk.open("maker", YES, BUY, 48, 10)
    assert desk.ledger.available_e6() == CASH - 4_800_000
    desk.open("taker", NO, BUY, 50, 10, post_only=False)
    assert desk.ledger.available_e6() == CASH - 4_800_000 - 5_000_000 - 175_000
    assert desk.ledger.cash_e6 == CASH


def test_a_fill_moves_cash_at_the_match_and_reserves_only_the_rest() -> None:
    desk = Desk()
    order = desk.open("o", YES, BUY, 48, 10)
    booked = desk.fill(order, 4, 47, fee_e6=10)
    assert isinstance(booked, Booked)
    assert (booked.cash_e6, booked.realized_e6, booked.fees_e6) == (-1_880_010, 0, 10)
    assert (booked.market, booked.closed, booked.pnl_e6()) == (MARKET, False, -10)
    assert desk.ledger.cash_e6 == CASH - 1_880_010
    assert desk.ledger.available_e6() == CASH - 1_880_010 - 2_880_000


@pytest.mark.parametrize("end", [OrderCancelled(5, "o", ""), OrderLost(5, "o", "")])
def test_a_cancel_frees_the_rest_and_a_lost_order_keeps_it(end: OrderCancelled | OrderLost) -> None:
    desk = Desk()
    order = desk.open("o", YES, BUY, 48, 10)
    desk.orders.apply(OrderAccepted(4, "o", ""))
    desk.orders.apply(end)
    desk.ledger.hold(order)
    desk.ledger.check(desk.orders)
    left = CASH if isinstance(end, OrderCancelled) else CASH - 4_800_000
    assert desk.ledger.available_e6() == left


def test_only_settled_shares_not_promised_may_be_sold() -> None:
    desk = Desk()
    order = desk.open("o", YES, BUY, 48, 10)
    desk.fill(order, 10, 48, fill_id="a")
    holding = desk.account().now.yes
    assert (holding.provisional_e6, holding.confirmed_e6()) == (10 * SHARE, 0)
    assert desk.ledger.sellable_e6(MARKET, YES) == 0
    desk.settle("a")
    holding = desk.account().now.yes
    assert (holding.provisional_e6, holding.confirmed_e6()) == (10 * SHARE, 10 * SHARE)
    desk.open("s", YES, SELL, 52, 4)
    assert desk.account().reserved_e6(YES) == 4 * SHARE
    assert desk.ledger.sellable_e6(MARKET, YES) == 6 * SHARE
    assert desk.ledger.sellable_e6(MARKET, NO) == 0
    assert desk.ledger.sellable_e6("0xnone", YES) == 0


def test_a_sale_leaves_both_columns_at_the_match() -> None:
    desk = Desk()
    desk.trade(YES, BUY, 10, 40)
    order = desk.open("s", YES, SELL, 50, 10)
    desk.fill(order, 4, 50, fill_id="unsettled")
    holding = desk.account().now.yes
    assert (holding.provisional_e6, holding.confirmed_e6()) == (6 * SHARE, 6 * SHARE)
    assert desk.ledger.sellable_e6(MARKET, YES) == 0


def test_profit_is_proceeds_less_average_cost() -> None:
    desk = Desk()
    desk.trade(YES, BUY, 10, 40)
    desk.trade(YES, BUY, 10, 50)
    booked = desk.trade(YES, SELL, 5, 60, fee_e6=20)
    assert (booked.realized_e6, booked.fees_e6, booked.closed) == (750_000, 20, True)
    assert booked.pnl_e6() == 749_980
    assert desk.account().now.yes.cost_e6 == 6_750_000
    assert (desk.ledger.realized_e6, desk.ledger.fees_e6) == (750_000, 20)
    assert desk.ledger.cash_e6 == CASH - 9_000_000 + 3_000_000 - 20


def test_a_failed_fill_takes_its_profit_with_it() -> None:
    desk = Desk()
    desk.trade(YES, BUY, 10, 40)
    order = desk.open("s", YES, SELL, 60, 10)
    desk.fill(order, 10, 60, fee_e6=30, fill_id="bad")
    assert desk.ledger.realized_e6 == 2_000_000
    voided = desk.fail("bad")
    assert isinstance(voided, Booked)
    assert (voided.cash_e6, voided.realized_e6, voided.fees_e6) == (-5_999_970, -2_000_000, -30)
    assert (desk.ledger.realized_e6, desk.ledger.fees_e6) == (0, 0)
    assert (desk.ledger.cash_e6, desk.shares()) == (CASH - 4_000_000, (10, 0))
    assert desk.ledger.sellable_e6(MARKET, YES) == 10 * SHARE


def test_a_fill_that_fails_after_later_ones_leaves_what_they_would_have_made_alone() -> None:
    desk = Desk()
    cheap = desk.open("cheap", YES, BUY, 20, 10)
    desk.fill(cheap, 10, 20, fill_id="cheap")
    desk.trade(YES, BUY, 10, 40)
    desk.trade(YES, SELL, 10, 50)
    assert desk.ledger.realized_e6 == 2_000_000  # against an average of 30 cents
    desk.fail("cheap")
    assert desk.ledger.realized_e6 == 1_000_000
    assert (desk.shares(), desk.account().now.yes.cost_e6) == ((0, 0), 0)
    assert desk.ledger.cash_e6 == CASH + 1_000_000


def test_a_pair_merges_into_one_dollar() -> None:
    desk = Desk()
    desk.trade(YES, BUY, 10, 45)
    desk.trade(NO, BUY, 20, 50)
    assert desk.ledger.mergeable_e6(MARKET) == 10 * SHARE
    booked = desk.merge(10)
    assert isinstance(booked, Booked)
    assert (booked.cash_e6, booked.realized_e6, booked.closed) == (10_000_000, 500_000, True)
    assert (desk.shares(), desk.account().now.no.cost_e6) == ((0, 10), 5_000_000)


def test_a_split_makes_pairs_that_cost_a_dollar() -> None:
    desk = Desk()
    booked = desk.split(10)
    assert isinstance(booked, Booked)
    assert (booked.cash_e6, booked.realized_e6, booked.closed) == (-10_000_000, 0, False)
    assert (desk.shares(), desk.account().now.cost_e6()) == ((10, 10), 10_000_000)
    assert (desk.ledger.exposure_total_e6, desk.ledger.mergeable_e6(MARKET)) == (0, 10 * SHARE)


@pytest.mark.parametrize(
    ("winner", "paid", "profit"),
    [(YES, 10_000_000, 4_000_000), (NO, 4_000_000, -2_000_000), (-1, 7_000_000, 1_000_000)],
)
def test_a_resolution_pays_what_is_held(winner: int, paid: int, profit: int) -> None:
    desk = Desk()
    desk.trade(YES, BUY, 10, 40)
    desk.trade(NO, BUY, 4, 50)
    booked = desk.resolve(winner)
    assert isinstance(booked, Booked)
    assert (booked.cash_e6, booked.realized_e6, booked.closed) == (paid, profit, True)
    assert (desk.shares(), desk.ledger.cash_e6) == ((0, 0), CASH + profit)
    assert desk.ledger.exposure_total_e6 == 0


def test_half_a_payout_is_rounded_down() -> None:
    desk = Desk()
    order = desk.open("o", YES, BUY, 50, 1)
    event = OrderFilled(2, "o", "f", 5_000, 3, 0, True, "queue")
    desk.orders.apply(event)
    desk.ledger.filled(order, event)
    assert desk.ledger.cash_e6 == CASH - 2
    desk.resolve(-1)
    assert desk.ledger.cash_e6 == CASH - 1


def test_a_fill_after_the_resolution_is_redeemed_at_once() -> None:
    desk = Desk()
    order = desk.open("o", YES, BUY, 40, 10)
    desk.resolve(YES)
    booked = desk.fill(order, 10, 40, fill_id="late")
    assert isinstance(booked, Booked)
    assert (booked.cash_e6, booked.realized_e6, booked.closed) == (6_000_000, 6_000_000, True)
    desk.fail("late")
    assert (desk.ledger.cash_e6, desk.ledger.realized_e6, desk.shares()) == (CASH, 0, (0, 0))


def test_a_fill_that_fails_after_the_resolution_loses_its_payout() -> None:
    desk = Desk()
    desk.trade(YES, BUY, 10, 40)
    order = desk.open("o", YES, BUY, 40, 10)
    desk.fill(order, 10, 40, fill_id="bad")
    desk.resolve(YES)
    assert desk.ledger.cash_e6 == CASH + 12_000_000
    desk.fail("bad")
    assert (desk.ledger.cash_e6, desk.ledger.realized_e6) == (CASH + 6_000_000, 6_000_000)


def test_a_fill_settled_after_the_resolution_gives_no_shares() -> None:
    desk = Desk()
    order = desk.open("o", YES, BUY, 40, 10)
    desk.fill(order, 10, 40, fill_id="slow")
    desk.resolve(YES)
    desk.settle("slow")
    holding = desk.account().now.yes
    assert (holding.provisional_e6, holding.pending_e6, desk.account().records) == (0, 0, [])


def test_a_rebate_is_money_and_not_profit() -> None:
    desk = Desk()
    booked = desk.ledger.apply(RebatePaid(3, MARKET, 1_234))
    assert isinstance(booked, Booked)
    assert (booked.cash_e6, booked.realized_e6, booked.closed) == (1_234, 0, False)
    desk.ledger.apply(RebatePaid(3, "0xlong gone", 1_000))
    desk.ledger.check(desk.orders)
    assert (desk.ledger.rebates_e6, desk.ledger.cash_e6) == (2_234, CASH + 2_234)


def refused(result: Booked | LedgerFault) -> str:
    assert isinstance(result, LedgerFault)
    return result.why


def test_what_cannot_be_a_fact_is_counted_and_changes_nothing() -> None:
    desk = Desk()
    desk.trade(YES, BUY, 10, 40)
    cash = desk.ledger.cash_e6
    apply = desk.ledger.apply
    assert refused(desk.settle("f1")) == "not_pending"
    assert refused(desk.fail("f1")) == "not_pending"
    assert refused(desk.merge(1)) == "merge_exceeds_position"
    assert refused(desk.merge(0)) == "bad_size"
    assert refused(desk.split(-1)) == "bad_size"
    assert refused(desk.resolve(2)) == "bad_winner"
    assert refused(apply(PairsMerged(3, "0xnone", 1))) == "unknown_market"
    assert refused(apply(MarketResolved(3, "0xnone", YES, ""))) == "unknown_market"
    assert (desk.ledger.cash_e6, desk.shares()) == (cash, (10, 0))
    desk.resolve(YES)
    cash = desk.ledger.cash_e6
    assert refused(desk.resolve(YES)) == "resolved_again"
    assert refused(desk.resolve(NO)) == "resolved_otherwise"
    assert desk.ledger.cash_e6 == cash
    assert desk.ledger.faults == {
        "not_pending": 2,
        "merge_exceeds_position": 1,
        "bad_size": 2,
        "bad_winner": 1,
        "unknown_market": 2,
        "resolved_again": 1,
        "resolved_otherwise": 1,
    }


def test_a_fill_id_that_is_pending_is_not_booked_again() -> None:
    desk = Desk()
    desk.fill(desk.open("a", YES, BUY, 40, 10), 1, 40, fill_id="same")
    assert refused(desk.fill(desk.open("b", YES, BUY, 40, 10), 1, 40, fill_id="same")) == (
        "duplicate_fill"
    )
    assert desk.shares() == (1, 0)


def test_an_event_of_something_else_is_our_own_mistake() -> None:
    with pytest.raises(AssertionError, match="clock_ticked is not a fact about money"):
        Ledger().apply(ClockTicked(1))


def test_selling_what_is_not_there_is_booked_and_reported() -> None:
    desk = Desk()
    desk.trade(YES, BUY, 4, 40)
    order = desk.open("s", YES, SELL, 50, 10)
    booked = desk.fill(order, 10, 50)
    assert isinstance(booked, Booked)
    assert (booked.realized_e6, booked.closed) == (400_000, True)
    assert (desk.shares(), desk.account().now.yes.cost_e6) == ((-6, 0), -3_000_000)
    assert (desk.ledger.faults, desk.account().oversold) == ({"oversold": 1}, True)
    assert desk.ledger.sellable_e6(MARKET, YES) == 0
    assert desk.ledger.exposure_total_e6 == 3_000_000  # YES would cost us 6 for the 3 received
    back = desk.trade(YES, BUY, 10, 30)
    assert (back.realized_e6, back.closed) == (1_200_000, True)
    assert (desk.shares(), desk.account().now.yes.cost_e6) == ((4, 0), 1_200_000)
    assert (desk.account().oversold, desk.ledger.faults) == (False, {"oversold": 1})


@pytest.mark.parametrize(("winner", "cash"), [(YES, -1_000_000), (NO, 1_000_000), (-1, 0)])
def test_a_resolution_settles_what_was_oversold(winner: int, cash: int) -> None:
    desk = Desk()
    desk.fill(desk.open("s", YES, SELL, 50, 2), 2, 50)
    desk.resolve(winner)
    assert (desk.ledger.cash_e6, desk.shares()) == (CASH + cash, (0, 0))


def test_exposure_is_the_worse_outcome_with_every_order_that_worsens_it() -> None:
    desk = Desk()
    desk.trade(YES, BUY, 100, 48)
    assert desk.ledger.exposure_e6(MARKET) == 48_000_000
    desk.trade(NO, BUY, 60, 50)
    # 78 spent, 60 of it locked in pairs whatever happens.
    assert desk.ledger.exposure_e6(MARKET) == 18_000_000
    desk.open("more yes", YES, BUY, 40, 10)  # worsens NO by its cost
    assert desk.ledger.exposure_e6(MARKET) == 22_000_000
    desk.open("less no", NO, SELL, 60, 10)  # worsens NO by what a NO share would have paid more
    assert desk.ledger.exposure_e6(MARKET) == 26_000_000
    desk.open("more no", NO, BUY, 40, 20)  # worsens YES, which is far from the worse outcome
    assert desk.ledger.exposure_e6(MARKET) == 26_000_000
    assert desk.account().loss_if_e6(YES) == 78_000_000 - 100_000_000 + 8_000_000
    assert desk.ledger.exposure_e6("0xnone") == 0


def test_exposure_adds_up_by_coin_and_in_all() -> None:
    desk = Desk()
    desk.ledger.listed(listed(market="0xsame"))
    desk.ledger.listed(listed(market="0xeth", symbol="ETH"))
    desk.open("a", YES, BUY, 50, 10)
    desk.open("b", NO, BUY, 50, 20, market="0xsame")
    desk.open("c", YES, BUY, 50, 40, market="0xeth")
    assert desk.ledger.symbol_exposure_e6("BTC") == 15_000_000
    assert desk.ledger.symbol_exposure_e6("ETH") == 20_000_000
    assert desk.ledger.symbol_exposure_e6("SOL") == 0
    assert desk.ledger.exposure_total_e6 == 35_000_000
    desk.ledger.listed(listed(market="0xsame", symbol="SOL"))
    desk.ledger.check(desk.orders)
    assert desk.ledger.symbol_exposure_e6("BTC") == 5_000_000
    assert desk.ledger.symbol_exposure_e6("SOL") == 10_000_000


def test_reducible_is_the_net_position_less_the_orders_that_already_close_it() -> None:
    desk = Desk()
    desk.trade(YES, BUY, 10, 48)
    desk.trade(NO, BUY, 4, 48)
    account = desk.account()
    assert (account.net_e6(), account.reducible_e6(YES, SELL)) == (6 * SHARE, 6 * SHARE)
    assert account.reducible_e6(NO, BUY) == 6 * SHARE
    assert account.reducible_e6(YES, BUY) == account.reducible_e6(NO, SELL) == 0
    desk.open("s", YES, SELL, 60, 4)
    assert account.reducible_e6(NO, BUY) == 2 * SHARE
    desk.open("b", NO, BUY, 40, 3)
    assert account.reducible_e6(YES, SELL) == 0


def test_equity_marks_pairs_at_one_and_the_rest_at_mid_or_where_it_could_be_closed() -> None:
    desk = Desk()
    desk.trade(YES, BUY, 10, 40)
    desk.trade(NO, BUY, 4, 50)
    marks = {MARKET: Mark(4_400, 5_000)}
    assert desk.ledger.equity_e6(marks, False) == CASH - 6_000_000 + 4_000_000 + 2_820_000
    assert desk.ledger.equity_e6(marks, True) == CASH - 6_000_000 + 4_000_000 + 2_640_000
    assert desk.ledger.unrealized_e6(marks, False) == 820_000
    assert desk.ledger.unrealized_e6(marks, True) == 640_000
    desk.trade(NO, BUY, 8, 50)
    # 2 NO are left: worth 1 - 0.50 where they could be sold, 1 - 0.47 at the mid.
    assert desk.ledger.unrealized_e6(marks, True) == 10_000_000 + 1_000_000 - 10_000_000
    assert desk.ledger.unrealized_e6(marks, False) == 10_000_000 + 1_060_000 - 10_000_000


def test_a_market_without_a_mark_counts_at_cost() -> None:
    desk = Desk()
    desk.trade(YES, BUY, 10, 40)
    assert desk.ledger.equity_e6({}, True) == CASH
    assert desk.ledger.unrealized_e6({}, False) == 0


def test_a_market_is_forgotten_when_nothing_of_it_is_left() -> None:
    desk = Desk()
    desk.trade(YES, BUY, 10, 40)
    assert not desk.ledger.forget(MARKET)
    order = desk.open("o", YES, BUY, 40, 10)
    desk.resolve(YES)
    assert not desk.ledger.forget(MARKET)
    desk.fill(order, 10, 40, fill_id="unsettled")
    assert desk.ledger.forget(MARKET)
    assert desk.ledger.forget(MARKET)
    desk.ledger.check(desk.orders)
    assert desk.ledger.account(MARKET) is None
    assert desk.ledger.accounts() == []
    assert desk.ledger.cash_e6 == CASH + 12_000_000
    assert refused(desk.settle("unsettled")) == "not_pending"


def test_a_fill_in_a_forgotten_market_is_counted() -> None:
    desk = Desk()
    order = desk.open("o", YES, BUY, 40, 10)
    desk.orders.apply(OrderCancelled(2, "o", ""))
    desk.ledger.hold(order)
    assert desk.ledger.forget(MARKET)
    assert refused(desk.fill(order, 1, 40)) == "unknown_market"
    assert desk.ledger.cash_e6 == CASH


def test_an_order_in_an_unlisted_market_is_our_own_mistake() -> None:
    desk = Desk()
    with pytest.raises(AssertionError, match="order o in unlisted market 0xnone"):
        desk.open("o", YES, BUY, 40, 10, market="0xnone")


def test_records_are_kept_only_since_the_first_unsettled_fill() -> None:
    desk = Desk()
    first = desk.open("first", YES, BUY, 40, 10)
    desk.fill(first, 1, 40, fill_id="first")
    for _ in range(3):
        desk.trade(YES, BUY, 1, 40)
    assert [record.fill_id for record in desk.account().records] == ["first", "f2", "f3", "f4"]
    desk.settle("first")
    assert desk.account().records == []
    assert desk.shares() == (4, 0)


def test_the_oldest_unsettled_fill_counts_as_settled_when_too_many_wait() -> None:
    desk = Desk()
    order = desk.open("o", YES, BUY, 40, accounts.RECORDS_MAX + 1)
    for number in range(accounts.RECORDS_MAX + 1):
        event = OrderFilled(2, "o", f"f{number}", 4_000, SHARE, 0, True, "queue")
        desk.orders.apply(event)
        desk.ledger.filled(order, event)
    desk.ledger.check(desk.orders)
    assert len(desk.account().records) == accounts.RECORDS_MAX
    assert desk.account().oldest_unsettled() == "f1"
    assert desk.ledger.sellable_e6(MARKET, YES) == SHARE
    assert refused(desk.fail("f0")) == "not_pending"


def test_a_new_fee_schedule_holds_for_the_next_order() -> None:
    desk = Desk()
    desk.ledger.listed(listed(fee_rate_e6=0))
    desk.open("o", YES, BUY, 50, 10, post_only=False)
    assert desk.ledger.available_e6() == CASH - 5_000_000


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("cash_e6", "cash and its flows"),
        ("realized_e6", "realized profit"),
        ("fees_e6", "fees"),
        ("rebates_e6", "rebates"),
        ("exposure_total_e6", "total exposure"),
    ],
)
def test_check_names_the_sum_that_broke(name: str, broken: str) -> None:
    desk = Desk()
    desk.trade(YES, BUY, 10, 40)
    setattr(desk.ledger, name, getattr(desk.ledger, name) + 1)
    with pytest.raises(AssertionError, match=broken):
        desk.ledger.check(desk.orders)


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("provisional_e6", "yes shares: found"),
        ("pending_e6", "yes unsettled shares: found"),
        ("cost_e6", "less cost: found"),
    ],
)
def test_check_names_the_holding_that_broke(name: str, broken: str) -> None:
    desk = Desk()
    desk.trade(YES, BUY, 10, 40)
    holding = desk.account().now.yes
    setattr(holding, name, getattr(holding, name) + 1)
    with pytest.raises(AssertionError, match=broken):
        desk.ledger.check(desk.orders)


def test_check_names_the_reservation_that_broke() -> None:
    desk = Desk()
    order = desk.open("o", YES, BUY, 40, 10)
    desk.ledger.reservations.cash_e6 += 1
    with pytest.raises(AssertionError, match="reserved cash is 4000001, orders hold 4000000"):
        desk.ledger.check(desk.orders)
    desk.ledger.reservations.cash_e6 -= 1
    desk.account().up_e6 += 1
    with pytest.raises(AssertionError, match="its orders hold"):
        desk.ledger.check(desk.orders)
    desk.account().up_e6 -= 1
    order.filled_e6 = SHARE
    with pytest.raises(AssertionError, match=r"Order\(o pending 1000000/10000000\) reserves 1000"):
        desk.ledger.check(desk.orders)
    order.filled_e6 = 0
    desk.orders.apply(OrderCancelled(2, "o", ""))
    with pytest.raises(AssertionError, match="1 reservations, 0 orders"):
        desk.ledger.check(desk.orders)
