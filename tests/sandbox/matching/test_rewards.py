"""What makers are paid: rebates of fees and liquidity rewards."""

from polytrade.core.ids import NO
from polytrade.sandbox.matching.rewards import Payout
from polytrade.sandbox.matching.rules import RewardRules
from tests.sandbox.matching.floor import CRYPTO, START_NS, Floor

E6 = 1_000_000
DAY_NS = 86_400 * 10**9
MIDNIGHT_NS = START_NS - START_NS % DAY_NS + DAY_NS
RULES = RewardRules(min_size_e6=50 * E6, max_spread_e4=400, daily_e6=100 * E6)


def until_midnight(floor: Floor) -> None:
    while not floor.schedule.run_until(MIDNIGHT_NS):
        pass


def test_makers_get_their_part_of_the_fees_at_midnight() -> None:
    floor = Floor(fees=CRYPTO)
    floor.sell("alice", 5000, 300)
    floor.sell("carol", 5000, 100)
    floor.buy("bob", 5000, 400)
    floor.run(10)
    cash_e6 = floor.bank.cash_e6("alice")
    until_midnight(floor)
    # Fees of 7 pUSD, a fifth of them back: 1.05 for alice; the 0.35 for carol are too little.
    assert list(floor.exchange.rewards.payouts) == [
        Payout(MIDNIGHT_NS, "alice", "rebate", 1_050_000)
    ]
    assert floor.bank.cash_e6("alice") == cash_e6 + 1_050_000
    assert floor.bank.fees_e6 == 5_950_000
    floor.check_laws()


def test_a_failed_trade_earns_no_rebate() -> None:
    floor = Floor(fees=CRYPTO)
    settings = type(floor.exchange.settings)(failed_rate=1.0)
    floor.exchange.settings = settings
    floor.sell("alice", 5000, 400)
    floor.buy("bob", 5000, 400)
    until_midnight(floor)
    assert list(floor.exchange.rewards.payouts) == []


def test_an_order_scores_when_it_is_old_large_and_near_enough() -> None:
    floor = Floor(rewards=RULES)
    scoring = floor.exchange.rewards.is_scoring
    near = floor.buy("alice", 4900, 50).order
    assert not scoring(near)
    floor.sell("bob", 5100, 50)
    far = floor.buy("alice", 4600, 50).order
    small = floor.buy("alice", 4900, 49).order
    mirrored = floor.buy("carol", 4900, 50, token=NO).order
    assert not scoring(near)
    floor.run(4)
    assert scoring(near) and scoring(mirrored)
    assert not scoring(far) and not scoring(small)
    floor.exchange.cancel(near.order_id)
    assert not scoring(near)


def test_small_levels_do_not_move_the_midpoint() -> None:
    floor = Floor(rewards=RULES)
    order = floor.buy("alice", 4700, 50).order
    floor.sell("alice", 5100, 50)
    floor.sell("bob", 4800, 49)
    floor.run(4)
    assert floor.exchange.rewards.scores(floor.market) == {"alice": 3 * 400**2 * 50 * E6}
    assert floor.exchange.rewards.is_scoring(order)


def test_one_side_only_scores_a_third_and_nothing_near_the_ends() -> None:
    floor = Floor(rewards=RULES)
    floor.buy("alice", 4900, 50)
    floor.sell("bob", 5100, 100)
    floor.run(4)
    assert floor.exchange.rewards.scores(floor.market) == {
        "alice": 600**2 * 50 * E6,
        "bob": 600**2 * 100 * E6,
    }
    floor = Floor(rewards=RULES)
    floor.buy("alice", 600, 50)
    floor.sell("bob", 800, 100)
    floor.run(4)
    assert floor.exchange.rewards.scores(floor.market) == {}


def test_the_daily_pool_is_shared_by_the_minutes_scored() -> None:
    floor = Floor(rewards=RULES)
    floor.bank.fund_rewards(1_000 * E6)
    for wallet, shares in (("alice", 50), ("bob", 150)):
        floor.buy(wallet, 4900, shares)
        floor.sell(wallet, 5100, shares)
    until_midnight(floor)
    assert list(floor.exchange.rewards.payouts) == [
        Payout(MIDNIGHT_NS, "alice", "reward", 25 * E6),
        Payout(MIDNIGHT_NS, "bob", "reward", 75 * E6),
    ]
    assert floor.bank.rewards_e6 == 900 * E6
    floor.check_laws()


def test_no_more_rewards_are_paid_than_there_is_money() -> None:
    floor = Floor(rewards=RULES)
    floor.bank.fund_rewards(10 * E6)
    floor.buy("alice", 4900, 50)
    floor.sell("alice", 5100, 50)
    until_midnight(floor)
    assert list(floor.exchange.rewards.payouts) == [Payout(MIDNIGHT_NS, "alice", "reward", 10 * E6)]
    floor.check_laws()


def test_nothing_is_planned_where_nobody_is_rewarded() -> None:
    assert Floor().schedule.next_ns() is None
    floor = Floor(rewards=RULES)
    assert floor.schedule.next_ns() == START_NS + 60 * 10**9 - START_NS % (60 * 10**9)
    floor.exchange.resolve(floor.rules.condition, (E6, 0))
    floor.exchange.forget_market(floor.rules.condition)
    floor.run(120)
    assert floor.schedule.next_ns() is None
