"""What happens by itself: settlement, the taker delay, expiry, ticks, the end of a market."""

import re

import pytest

from polytrade.core.ids import BUY, NO, SELL
from polytrade.core.units import MS_NS
from polytrade.sandbox.matching import records, settlement
from polytrade.sandbox.matching.orders import FAK, FOK, GTD, Refused
from polytrade.sandbox.matching.settlement import ExchangeSettings
from tests.sandbox.matching.floor import CONDITION, CRYPTO, NO_ID, START_NS, YES_ID, Floor

E6 = 1_000_000
HALF_SECOND = 500 * MS_NS
FOK_TEXT = "order couldn't be fully filled. FOK orders are fully filled or killed."


def test_what_a_side_gives_leaves_at_the_match_and_what_it_gets_comes_confirmed() -> None:
    floor = Floor(fees=CRYPTO)
    floor.sell("alice", 5000, 100)
    floor.buy("bob", 5000, 100)
    assert floor.money("alice") == (1_000 * E6, 900 * E6, 1_000 * E6)
    assert floor.money("bob") == (948_250_000, 1_000 * E6, 1_000 * E6)
    assert floor.bank.pending_cash_e6("alice") == 50 * E6
    assert floor.bank.pending_shares_e6("bob", YES_ID) == 100 * E6
    assert (floor.bank.fees_e6, floor.bank.pending_fees_e6) == (0, 1_750_000)
    floor.kinds()
    floor.run(2)
    assert floor.kinds() == ["trade MINED"]
    assert floor.bank.pending_cash_e6("alice") == 50 * E6
    floor.run(2)
    assert floor.kinds() == ["trade CONFIRMED"]
    assert floor.money("alice") == (1_050 * E6, 900 * E6, 1_000 * E6)
    assert floor.money("bob") == (948_250_000, 1_100 * E6, 1_000 * E6)
    assert (floor.bank.fees_e6, floor.bank.pending_fees_e6) == (1_750_000, 0)
    floor.check_laws()


def test_trades_have_uuids_and_from_mined_on_a_transaction() -> None:
    floor = Floor()
    floor.sell("alice", 5000, 10)
    floor.buy("bob", 5000, 10)
    trade = floor.trade()
    form = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
    assert re.fullmatch(form, trade.trade_id)
    assert re.fullmatch("0x[0-9a-f]{64}", trade.transaction_hash)
    floor.run(2)
    assert re.fullmatch("0x[0-9a-f]{64}", trade.transaction_hash)
    assert (trade.match_ns, trade.update_ns) == (START_NS, START_NS + 2_000 * MS_NS)
    assert floor.exchange.trades[trade.trade_id] is trade
    assert floor.exchange.trades_of("key-alice") == floor.exchange.trades_of("key-bob") == [trade]


def test_a_failed_trade_gives_everything_back_and_no_order() -> None:
    floor = Floor(ExchangeSettings(failed_rate=1.0), fees=CRYPTO)
    floor.buy("alice", 5000, 100, token=NO)
    floor.buy("bob", 5000, 100)
    floor.kinds()
    floor.run(10)
    assert floor.kinds() == ["trade RETRYING", "trade FAILED"]
    for wallet in ("alice", "bob"):
        assert floor.money(wallet) == (1_000 * E6, 1_000 * E6, 1_000 * E6)
    assert floor.levels() == ([], [])
    assert floor.bank.fees_e6 == 0
    floor.check_laws()


def test_a_retried_trade_is_mined_later() -> None:
    floor = Floor(ExchangeSettings(retry_rate=1.0))
    floor.sell("alice", 5000, 10)
    floor.buy("bob", 5000, 10)
    floor.kinds()
    floor.run(10)
    assert floor.kinds() == ["trade RETRYING", "trade MINED", "trade CONFIRMED"]


def test_the_proceeds_of_a_sale_may_be_free_at_once() -> None:
    floor = Floor(sales_wait=False)
    floor.buy("alice", 5000, 100)
    floor.sell("bob", 5000, 100)
    assert floor.bank.cash_e6("bob") == 1_050 * E6
    floor.run(10)
    assert floor.bank.cash_e6("bob") == 1_050 * E6
    floor.check_laws()


def test_proceeds_that_were_spent_before_their_trade_failed_are_owed() -> None:
    floor = Floor(ExchangeSettings(failed_rate=1.0), sales_wait=False)
    floor.buy("alice", 5000, 100)
    floor.sell("bob", 5000, 100)
    floor.bank.withdraw("bob", 1_050 * E6)
    floor.run(10)
    assert floor.bank.cash_e6("bob") == 0
    floor.bank.fund("bob", 51 * E6)
    assert floor.bank.cash_e6("bob") == 1 * E6


def test_a_fault_may_replace_the_settings_between_trades() -> None:
    floor = Floor()
    floor.sell("alice", 5000, 20)
    floor.buy("bob", 5000, 10)
    floor.exchange.settings = ExchangeSettings(failed_rate=1.0)
    floor.buy("bob", 5000, 10)
    floor.run(10)
    assert [trade.status for trade in floor.exchange.trades.values()] == ["CONFIRMED", "FAILED"]


def test_a_marketable_order_is_held_and_meets_the_book_as_it_is_then() -> None:
    floor = Floor(taker_delay_ns=HALF_SECOND)
    near = floor.sell("alice", 4900, 10).order
    floor.sell("alice", 5000, 10)
    floor.kinds()
    placed = floor.buy("bob", 5000, 10)
    assert (placed.status, placed.order.status) == ("delayed", "DELAYED")
    assert floor.kinds() == []
    assert floor.exchange.cancel(placed.order.order_id) == "order can't be canceled while delayed"
    assert floor.exchange.cancel_where(owner="key-bob") == []
    assert floor.exchange.open_orders("key-bob") == []
    assert floor.exchange.cancel(near.order_id) == ""
    floor.run(0.499)
    assert placed.order.status == "DELAYED"
    floor.run(0.001)
    answer = floor.exchange.placement(placed.order)
    assert (answer.status, answer.making_e6, answer.taking_e6) == ("matched", 5 * E6, 10 * E6)
    assert answer.trade_ids == (floor.trade().trade_id,)


def test_a_held_order_rests_when_the_others_left_meanwhile() -> None:
    floor = Floor(taker_delay_ns=HALF_SECOND)
    maker = floor.sell("alice", 5000, 10).order
    order = floor.buy("bob", 5000, 10).order
    floor.exchange.cancel(maker.order_id)
    floor.run(1)
    assert floor.exchange.placement(order).status == "live"
    assert floor.exchange.open_orders("key-bob") == [order]
    assert floor.levels() == ([(5000, 10 * E6)], [])


def test_a_held_order_that_comes_to_nothing_says_why() -> None:
    floor = Floor(taker_delay_ns=HALF_SECOND)
    maker = floor.sell("alice", 5000, 10).order
    order = floor.buy("bob", 5000, 10, order_type=FOK, cash_e6=5 * E6).order
    floor.exchange.cancel(maker.order_id)
    floor.kinds()
    floor.run(1)
    assert order.refusal == FOK_TEXT
    assert floor.kinds() == [f"CANCELLATION bob CANCELED_{FOK_TEXT}"]
    with pytest.raises(Refused, match="FOK orders"):
        floor.exchange.placement(order)


def test_a_held_order_that_lost_its_balance_says_so() -> None:
    floor = Floor(taker_delay_ns=HALF_SECOND)
    floor.sell("alice", 5000, 1_000)
    order = floor.buy("bob", 5000, 1_000).order
    assert "not enough" in floor.refusal(floor.order("bob", BUY, 5000, 1_001))
    floor.bank.withdraw("bob", 600 * E6)
    assert order.status == "DELAYED"
    floor.run(1)
    assert order.status == "CANCELED_NOT_ENOUGH_BALANCE"
    assert order.refusal.endswith("balance: 400000000, order amount: 500000000")
    floor.check_laws()


def test_an_order_that_does_not_cross_is_not_held() -> None:
    floor = Floor(taker_delay_ns=HALF_SECOND)
    assert floor.buy("bob", 5000, 10).status == "live"
    order = floor.order("bob", SELL, 6000, 10, order_type=FAK)
    assert "FAK" in floor.refusal(order)


def test_a_gtd_order_is_dropped_a_minute_before_its_expiration() -> None:
    floor = Floor()
    order = floor.buy("bob", 5000, 10, order_type=GTD, expires_s=1_800_000_180).order
    floor.kinds()
    floor.run(119.999)
    assert order.status == "LIVE"
    floor.run(0.001)
    assert floor.kinds() == ["level 5000 0", "CANCELLATION bob CANCELED_EXPIRED_ORDER"]


def test_a_gtd_order_that_ended_does_not_expire() -> None:
    floor = Floor()
    order = floor.buy("bob", 5000, 10, order_type=GTD, expires_s=1_800_000_180).order
    floor.exchange.cancel(order.order_id)
    floor.run(300)
    assert order.status == "CANCELED"


def test_a_new_tick_is_told_before_the_orders_off_it_go() -> None:
    floor = Floor(tick_e4=10)
    off = floor.buy("bob", 4850, 10).order
    on = floor.buy("bob", 4800, 10).order
    floor.kinds()
    floor.exchange.change_tick(CONDITION, 100)
    assert floor.kinds() == ["TickChanged", "level 4850 0", "CANCELLATION bob CANCELED"]
    assert (off.status, on.status, floor.rules.tick_e4) == ("CANCELED", "LIVE", 100)


@pytest.mark.parametrize(
    ("token", "side", "price_e4"), [(0, BUY, 9700), (NO, BUY, 9700), (0, SELL, 300)]
)
def test_prices_near_the_end_make_the_tick_finer(token: int, side: int, price_e4: int) -> None:
    floor = Floor()
    floor.place("bob", side, price_e4, 10, token=token)
    assert floor.rules.tick_e4 == 10
    assert floor.kinds()[-1] == "TickChanged"


def test_a_trade_near_the_end_makes_the_tick_finer() -> None:
    floor = Floor()
    floor.sell("alice", 9700, 10)
    assert floor.rules.tick_e4 == 100
    floor.buy("bob", 9700, 10)
    assert floor.rules.tick_e4 == 10


def test_the_tick_is_made_finer_once_and_never_coarser_by_itself() -> None:
    floor = Floor()
    order = floor.buy("bob", 9700, 10).order
    floor.exchange.cancel(order.order_id)
    floor.buy("bob", 5000, 10)
    assert floor.rules.tick_e4 == 10
    floor.exchange.change_tick(CONDITION, 100)
    floor.buy("bob", 9700, 10)
    assert floor.rules.tick_e4 == 100


def test_at_the_thresholds_the_tick_stays() -> None:
    floor = Floor()
    floor.buy("bob", 9600, 10)
    floor.sell("bob", 9900, 10)
    assert floor.rules.tick_e4 == 100


def test_a_closed_market_cancels_and_takes_nothing() -> None:
    floor = Floor(taker_delay_ns=HALF_SECOND)
    floor.sell("alice", 5000, 10)
    held = floor.buy("bob", 5000, 10).order
    floor.kinds()
    floor.exchange.close_market(CONDITION)
    assert floor.kinds() == [
        "CANCELLATION bob CANCELED",
        "level 5000 0",
        "CANCELLATION alice CANCELED",
        "MarketClosed",
    ]
    text = "the market is not yet ready to process new orders"
    assert held.refusal == text
    floor.run(1)
    assert floor.refusal(floor.order("bob", BUY, 5000, 10)) == text


def test_a_resolved_market_pays_who_redeems() -> None:
    floor = Floor()
    resting = floor.sell("alice", 5000, 10).order
    floor.bank.redeem_by_itself("carol")
    with pytest.raises(Refused, match="result for condition not received yet"):
        floor.bank.redeem("alice", floor.rules)
    floor.exchange.resolve(CONDITION, (0, E6))
    assert resting.status == "CANCELED_MARKET_RESOLVED"
    assert floor.money("alice") == (1_000 * E6, 1_000 * E6, 1_000 * E6)
    assert floor.money("carol") == (2_000 * E6, 0, 0)
    assert floor.bank.redeem("alice", floor.rules) == 1_000 * E6
    assert floor.bank.redeem("alice", floor.rules) == 0
    assert floor.money("alice") == (2_000 * E6, 0, 0)
    floor.check_laws()


def test_fifty_fifty_pays_half_for_every_share() -> None:
    floor = Floor()
    floor.exchange.resolve(CONDITION, (E6 // 2, E6 // 2))
    assert floor.bank.redeem("bob", floor.rules) == 1_000 * E6


def test_payouts_that_do_not_make_a_dollar_are_a_mistake() -> None:
    floor = Floor()
    with pytest.raises(ValueError, match="sum to 1000000"):
        floor.exchange.resolve(CONDITION, (E6, E6))
    assert not floor.market.resolved


def test_what_is_confirmed_after_the_resolution_is_redeemed_then() -> None:
    floor = Floor()
    floor.bank.redeem_by_itself("bob")
    floor.sell("alice", 5000, 10)
    floor.buy("bob", 5000, 10)
    floor.exchange.resolve(CONDITION, (E6, 0))
    assert floor.bank.cash_e6("bob") == 1_995 * E6
    floor.run(10)
    assert floor.bank.cash_e6("bob") == 2_005 * E6
    floor.check_laws()


def test_a_forgotten_market_pays_its_holders_after_its_last_trade() -> None:
    floor = Floor()
    floor.sell("alice", 5000, 10)
    floor.buy("bob", 5000, 10)
    with pytest.raises(ValueError, match="to be resolved"):
        Floor().exchange.forget_market(CONDITION)
    floor.exchange.resolve(CONDITION, (E6, 0))
    floor.exchange.forget_market(CONDITION)
    assert CONDITION in floor.exchange.markets
    floor.run(10)
    assert floor.exchange.markets == {} and floor.exchange.tokens == {}
    assert floor.bank.cash_e6("alice") == 1_995 * E6
    assert floor.bank.cash_e6("bob") == 2_005 * E6
    assert floor.bank.cash_total_e6() == floor.bank.paid_in_e6() == 6_000 * E6
    with pytest.raises(Refused, match="unknown condition"):
        floor.bank.split("alice", floor.rules, E6)


def test_a_market_of_unknown_worth_is_not_forgotten_while_a_trade_is_under_way() -> None:
    floor = Floor(wallets=("alice", "bob"))
    for wallet in ("alice", "bob"):
        floor.bank.merge(wallet, floor.rules, 1_000 * E6)
    floor.buy("alice", 5000, 10)
    floor.buy("bob", 5000, 10, token=NO)
    with pytest.raises(ValueError, match="to be resolved"):
        floor.exchange.forget_market(CONDITION)
    floor.run(10)
    floor.check_laws()


def test_splitting_and_merging_need_what_they_take() -> None:
    floor = Floor()
    floor.bank.split("bob", floor.rules, 1_000 * E6)
    assert floor.money("bob") == (0, 2_000 * E6, 2_000 * E6)
    with pytest.raises(Refused, match="not enough balance"):
        floor.bank.split("bob", floor.rules, 1)
    floor.bank.merge("bob", floor.rules, 2_000 * E6)
    assert floor.money("bob") == (2_000 * E6, 0, 0)
    with pytest.raises(Refused, match="not enough balance"):
        floor.bank.merge("bob", floor.rules, 1)
    with pytest.raises(Refused, match="invalid amount"):
        floor.bank.split("bob", floor.rules, 0)
    assert floor.bank.holdings("bob") == {}
    assert floor.bank.holdings("alice") == {YES_ID: 1_000 * E6, NO_ID: 1_000 * E6}


def test_ended_orders_and_settled_trades_are_forgotten_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(records, "ENDED_KEPT", 2)
    monkeypatch.setattr(settlement, "TRADES_KEPT", 2)
    floor = Floor()
    for _ in range(4):
        floor.sell("alice", 5000, 10)
        floor.buy("bob", 5000, 10)
        floor.run(10)
    assert len(floor.exchange.orders) == 2
    assert len(floor.exchange.trades) == len(floor.exchange.trades_of("key-bob")) == 2
    resting = floor.buy("bob", 4000, 10).order
    for _ in range(4):
        floor.exchange.cancel(floor.buy("alice", 3000, 10, owner="").order.order_id)
    assert floor.exchange.orders[resting.order_id] is resting
    assert len(floor.exchange.orders) == 2 + 1 + 2


def test_the_same_seed_tells_the_same() -> None:
    def told() -> list[str]:
        floor = Floor(ExchangeSettings(failed_rate=0.3, retry_rate=0.3), seed=3)
        for _ in range(20):
            floor.sell("alice", 5000, 10)
            floor.buy("bob", 5000, 10)
        floor.run(20)
        trades = floor.exchange.trades.values()
        return [f"{one.trade_id} {one.status} {one.transaction_hash}" for one in trades]

    assert told() == told()
    assert len({line.split()[1] for line in told()}) == 2
