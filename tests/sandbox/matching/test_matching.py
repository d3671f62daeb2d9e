"""What an order does to the book and to money."""

import pytest

from polytrade.core.ids import BUY, NO, SELL
from polytrade.sandbox.matching import exchange
from polytrade.sandbox.matching.orders import (
    COMPLEMENTARY,
    FAK,
    FOK,
    MERGE,
    MINT,
    Refused,
)
from polytrade.sandbox.matching.settlement import ExchangeSettings
from tests.sandbox.matching.floor import CRYPTO, NO_ID, YES_ID, Floor

E6 = 1_000_000


def test_an_order_that_meets_nobody_rests() -> None:
    floor = Floor()
    placed = floor.buy("alice", 4800, 10)
    assert (placed.status, placed.making_e6, placed.taking_e6, placed.trade_ids) == (
        "live",
        0,
        0,
        (),
    )
    assert floor.levels() == ([(4800, 10 * E6)], [])
    assert floor.kinds() == ["PLACEMENT alice LIVE", "level 4800 10000000"]


def test_an_order_for_no_is_the_mirror_in_the_one_book() -> None:
    floor = Floor()
    floor.buy("alice", 4800, 10, token=NO)
    floor.sell("bob", 5300, 7, token=NO)
    assert floor.levels() == ([(4700, 7 * E6)], [(5200, 10 * E6)])


def test_makers_fill_at_their_price_and_the_taker_gets_the_improvement() -> None:
    floor = Floor()
    floor.sell("alice", 5000, 10)
    floor.sell("bob", 4900, 10)
    placed = floor.buy("carol", 5500, 15)
    assert placed.status == "matched"
    assert (placed.making_e6, placed.taking_e6) == (4_900_000 + 2_500_000, 15 * E6)
    assert floor.trade().price_e6 == 493_333
    assert [(f.order.wallet, f.size_e6, f.cash_e6, f.kind) for f in floor.trade().fills] == [
        ("bob", 10 * E6, 4_900_000, COMPLEMENTARY),
        ("alice", 5 * E6, 2_500_000, COMPLEMENTARY),
    ]
    assert floor.levels() == ([], [(5000, 5 * E6)])


def test_who_came_first_fills_first_whatever_the_token() -> None:
    floor = Floor()
    floor.buy("alice", 4000, 10, token=NO)
    floor.sell("bob", 6000, 10)
    floor.buy("alice", 4000, 10, token=NO)
    floor.buy("carol", 6000, 15)
    assert [(f.order.wallet, f.size_e6, f.kind) for f in floor.trade().fills] == [
        ("alice", 10 * E6, MINT),
        ("bob", 5 * E6, COMPLEMENTARY),
    ]
    assert [order.remaining_e6 for order in floor.market.book.queue(SELL, 6000)] == [
        5 * E6,
        10 * E6,
    ]


def test_the_story_of_a_match_is_told_in_order() -> None:
    floor = Floor()
    floor.sell("alice", 5000, 10)
    floor.sell("bob", 5000, 10)
    floor.kinds()
    floor.buy("carol", 5000, 25)
    assert floor.kinds() == [
        "PLACEMENT carol LIVE",
        "level 5000 10000000",
        "level 5000 0",
        "Traded",
        "UPDATE alice MATCHED",
        "UPDATE bob MATCHED",
        "UPDATE carol LIVE",
        "level 5000 5000000",
    ]


def test_the_last_price_is_in_the_terms_of_the_maker_order() -> None:
    floor = Floor()
    floor.buy("alice", 3000, 10, token=NO)
    floor.buy("bob", 7000, 5)
    market = floor.market
    assert (market.last_e4, market.last_token, market.last_side) == (3000, NO, BUY)
    assert market.last_yes_e4 == 7000


def test_minting_takes_one_dollar_a_share_from_both_together() -> None:
    floor = Floor()
    floor.market.rules.tick_e4 = 1
    floor.buy("alice", 3333, 10.000_003, token=NO)
    floor.buy("bob", 6667, 10.000_003)
    fill = floor.trade().fills[0]
    assert (fill.kind, fill.cash_e6, floor.trade().cash_e6) == (MINT, 3_333_000, 6_667_003)
    floor.run(10)
    assert floor.money("alice") == (1_000 * E6 - 3_333_000, 1_000 * E6, 1_010_000_003)
    assert floor.money("bob") == (1_000 * E6 - 6_667_003, 1_010_000_003, 1_000 * E6)
    floor.check_laws()


def test_merging_gives_one_dollar_a_share_to_both_together() -> None:
    floor = Floor()
    floor.sell("alice", 3300, 10, token=NO)
    floor.sell("bob", 6500, 10)
    fill = floor.trade().fills[0]
    assert (fill.kind, fill.cash_e6, floor.trade().cash_e6) == (MERGE, 3_300_000, 6_700_000)
    floor.run(10)
    assert floor.money("alice") == (1_003_300_000, 1_000 * E6, 990 * E6)
    assert floor.money("bob") == (1_006_700_000, 990 * E6, 1_000 * E6)
    assert floor.bank.collateral_e6(floor.rules.condition) == 2_990 * E6


def test_a_buyer_pays_the_fee_on_top_and_a_seller_gets_less() -> None:
    floor = Floor(fees=CRYPTO)
    floor.sell("alice", 5000, 100)
    floor.buy("bob", 5000, 100)
    assert floor.trade().fee_e6 == 1_750_000
    assert floor.money("bob")[0] == 1_000 * E6 - 51_750_000
    floor.buy("alice", 3000, 100)
    floor.sell("carol", 3000, 100)
    assert floor.trade().fee_e6 == 1_470_000
    floor.run(10)
    assert floor.money("carol")[0] == 1_000 * E6 + 30_000_000 - 1_470_000
    assert floor.money("alice")[0] == 1_000 * E6 + 50_000_000 - 30_000_000
    assert floor.bank.fees_e6 == 3_220_000
    floor.check_laws()


def test_the_fee_is_counted_fill_by_fill_at_its_price() -> None:
    floor = Floor(fees=CRYPTO)
    floor.sell("alice", 1000, 100)
    floor.buy("carol", 7000, 100, token=NO)
    floor.buy("bob", 5000, 200)
    assert floor.trade().fee_e6 == 630_000 + 1_470_000


def test_a_fok_buy_spends_its_cash_level_by_level() -> None:
    floor = Floor()
    floor.sell("alice", 3000, 10)
    floor.sell("bob", 7000, 100)
    placed = floor.buy("carol", 7000, 10, order_type=FOK, cash_e6=10 * E6)
    assert placed.status == "matched"
    assert placed.taking_e6 == 20 * E6
    assert placed.making_e6 == 10 * E6
    assert placed.order.status == "MATCHED"


def test_a_cash_bound_buy_that_cannot_use_up_a_hundredth_of_a_share_is_complete() -> None:
    floor = Floor()
    floor.sell("alice", 3000, 50)
    placed = floor.buy("carol", 3000, 50, order_type=FOK, cash_e6=15_002_000)
    assert (placed.making_e6, placed.taking_e6) == (15_000_000, 50 * E6)
    assert placed.order.status == "MATCHED"


def test_a_fok_that_cannot_be_filled_dies_with_a_cancellation_alone() -> None:
    floor = Floor()
    floor.sell("alice", 5000, 10)
    floor.kinds()
    order = floor.order("bob", BUY, 5000, 20, order_type=FOK, cash_e6=10 * E6)
    text = "order couldn't be fully filled. FOK orders are fully filled or killed."
    assert floor.refusal(order) == text
    assert floor.kinds() == [f"CANCELLATION bob CANCELED_{text}"]
    assert floor.exchange.orders[order.order_id] is order
    assert floor.levels() == ([], [(5000, 10 * E6)])
    assert floor.refusal(order) == f"order {order.order_id} is invalid. Duplicated."


def test_a_fak_takes_what_there_is_and_is_killed() -> None:
    floor = Floor()
    floor.buy("alice", 5000, 10)
    floor.kinds()
    placed = floor.sell("bob", 4000, 30, order_type=FAK)
    assert (placed.status, placed.making_e6, placed.taking_e6) == ("matched", 10 * E6, 5 * E6)
    assert floor.kinds()[-2:] == ["UPDATE bob LIVE", "CANCELLATION bob CANCELED"]
    assert floor.levels() == ([], [])


def test_a_fak_that_finds_nothing_is_refused() -> None:
    floor = Floor()
    order = floor.order("bob", SELL, 4000, 30, order_type=FAK)
    assert floor.refusal(order) == (
        "no orders found to match with FAK order. FAK orders are partially filled or killed if "
        "no match is found."
    )


def test_less_than_a_hundredth_of_a_share_left_is_nothing() -> None:
    floor = Floor()
    maker = floor.sell("alice", 3000, 10).order
    floor.buy("bob", 3000, 9, order_type=FAK, cash_e6=2_999_000)
    assert floor.trade().size_e6 == 9_996_666
    assert maker.status == "MATCHED"
    assert floor.levels() == ([], [])
    floor.check_laws()


def test_own_resting_orders_in_the_way_are_cancelled() -> None:
    floor = Floor()
    own = floor.sell("bob", 4900, 10).order
    behind = floor.sell("bob", 5100, 10).order
    floor.sell("alice", 5000, 10)
    floor.kinds()
    assert floor.buy("bob", 5200, 10).status == "matched"
    assert (own.status, behind.status) == ("CANCELED", "LIVE")
    assert floor.kinds()[:3] == ["level 4900 0", "CANCELLATION bob CANCELED", "PLACEMENT bob LIVE"]


def test_an_order_that_meets_its_own_wallet_may_be_ended_instead() -> None:
    floor = Floor(ExchangeSettings(self_trade="cancel_taking"))
    floor.sell("alice", 4900, 10)
    own = floor.sell("bob", 5000, 10).order
    placed = floor.buy("bob", 5200, 20)
    assert (placed.status, placed.taking_e6, placed.order.status) == (
        "matched",
        10 * E6,
        "CANCELED",
    )
    assert own.status == "LIVE"
    text = floor.refusal(floor.order("bob", BUY, 5200, 20))
    assert text == "invalid order: order crosses an order of the same wallet"


def test_a_wallet_may_trade_with_itself_where_that_is_allowed() -> None:
    floor = Floor(ExchangeSettings(self_trade="allow"))
    floor.buy("bob", 4000, 500, token=NO)
    floor.buy("bob", 6000, 500)
    floor.run(10)
    assert floor.money("bob") == (500 * E6, 1_500 * E6, 1_500 * E6)
    floor.check_laws()


def test_both_sides_of_an_own_mint_must_be_covered() -> None:
    floor = Floor(ExchangeSettings(self_trade="allow"))
    floor.buy("bob", 5000, 1_500, token=NO)
    text = floor.refusal(floor.order("bob", BUY, 5000, 1_500))
    assert text.startswith("not enough balance / allowance")
    floor.check_laws()


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (
            {"price_e4": 4850},
            "order ID is invalid. Price (0.485) breaks minimum tick size rule: 0.01",
        ),
        ({"price_e4": 10_000}, "invalid price (1), min: 0.01 - max: 0.99"),
        ({"price_e4": 0}, "invalid price (0), min: 0.01 - max: 0.99"),
        ({"size_e6": 4_990_000}, "order ID is invalid. Size (4.99) lower than the minimum: 5"),
        ({"price_e4": 5000, "post_only": True}, "invalid post-only order: order crosses book"),
        (
            {"post_only": True, "order_type": FAK, "cash_e6": 5 * E6},
            "invalid post-only order: only GTC and GTD orders can be post-only",
        ),
        (
            {"price_e4": 5000, "size_e6": 1_980_000},
            "invalid amount for a marketable BUY order ($0.99), min size: $1",
        ),
        (
            {"order_type": FOK, "cash_e6": 500_000},
            "invalid amount for a marketable BUY order ($0.5), min size: $1",
        ),
        ({"order_type": "GTD", "expires_s": 1_800_000_174}, "invalid expiration"),
        ({"expires_s": 1_800_000_500}, "invalid expiration"),
        (
            {"size_e6": 2_500 * E6},
            "not enough balance / allowance: the balance is not enough -> balance: 1000000000, "
            "order amount: 1200000000",
        ),
        (
            {"side": SELL, "price_e4": 6000, "size_e6": 1_001 * E6},
            "not enough balance / allowance: the balance is not enough -> balance: 1000000000, "
            "order amount: 1001000000",
        ),
        ({"condition": "0xother"}, "the market is not yet ready to process new orders"),
    ],
)
def test_the_venue_says_why_it_does_not_take_an_order(given: dict[str, object], text: str) -> None:
    floor = Floor()
    floor.sell("alice", 5000, 10)
    floor.kinds()
    order = floor.order("bob", BUY, 4800, 10, **given)
    assert floor.refusal(order) == text.replace("ID", order.order_id)
    assert floor.kinds() == []
    assert order.order_id not in floor.exchange.orders
    assert floor.levels() == ([], [(5000, 10 * E6)])
    assert floor.money("bob") == (1_000 * E6, 1_000 * E6, 1_000 * E6)


def test_open_buys_of_one_token_are_covered_together_and_those_of_others_apart() -> None:
    floor = Floor(fees=CRYPTO)
    floor.buy("bob", 5000, 1_900)
    text = floor.refusal(floor.order("bob", BUY, 4000, 100))
    assert text.endswith("balance: 1000000000, order amount: 41680000")
    assert floor.buy("bob", 4000, 2_000, token=NO).status == "live"
    floor.check_laws()


def test_open_sells_of_a_token_are_covered_together() -> None:
    floor = Floor()
    floor.sell("bob", 6000, 900)
    assert "order amount: 101000000" in floor.refusal(floor.order("bob", SELL, 7000, 101))
    assert floor.sell("bob", 7000, 100).status == "live"


def test_orders_that_are_no_longer_covered_go_newest_first() -> None:
    floor = Floor()
    old = floor.buy("bob", 4000, 1_000).order
    new = floor.buy("bob", 3000, 1_500).order
    other = floor.buy("bob", 3000, 1_000, token=NO).order
    floor.sell("alice", 5000, 800, token=NO)
    floor.buy("bob", 5000, 302, token=NO, order_type=FAK, cash_e6=151 * E6)
    assert (old.status, new.status, other.status) == (
        "LIVE",
        "CANCELED_NOT_ENOUGH_BALANCE",
        "LIVE",
    )
    floor.check_laws()


def test_what_left_the_wallet_otherwise_uncovers_orders_as_well() -> None:
    floor = Floor()
    buy = floor.buy("bob", 5000, 2_000).order
    sell = floor.sell("bob", 6000, 1_000).order
    floor.bank.withdraw("bob", 1)
    assert buy.status == "CANCELED_NOT_ENOUGH_BALANCE"
    floor.bank.merge("bob", floor.rules, E6)
    assert sell.status == "CANCELED_NOT_ENOUGH_BALANCE"
    assert floor.bank.shares_e6("bob", YES_ID) == floor.bank.shares_e6("bob", NO_ID) == 999 * E6


def test_cancels_say_why_they_cannot() -> None:
    floor = Floor()
    order = floor.buy("bob", 5000, 10).order
    floor.kinds()
    assert floor.exchange.cancel(order.order_id) == ""
    assert floor.kinds() == ["level 5000 0", "CANCELLATION bob CANCELED"]
    assert floor.exchange.cancel(order.order_id) == "already canceled or matched"
    assert floor.exchange.cancel("0x00") == "Order not found or already canceled"


def test_cancels_by_what_orders_have_in_common() -> None:
    floor = Floor()
    first = floor.buy("bob", 3000, 10).order
    second = floor.buy("bob", 3000, 10, token=NO).order
    third = floor.buy("alice", 3000, 10).order
    venue = floor.exchange
    assert venue.cancel_where(owner="key-bob", token=NO) == [second.order_id]
    assert venue.cancel_where(wallet="bob", condition="0xother") == []
    assert venue.cancel_where(wallet="bob") == [first.order_id]
    assert venue.open_orders("key-bob") == []
    assert venue.open_orders("key-alice") == [third]
    assert venue.cancel_where(condition=floor.rules.condition) == [third.order_id]


def test_a_market_holds_only_so_many_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "OPEN_MAX", 2)
    floor = Floor()
    floor.buy("bob", 4000, 10)
    floor.buy("bob", 4000, 10)
    text = floor.refusal(floor.order("bob", BUY, 4000, 10))
    assert text == "could not insert order: too many open orders in the market"


def test_a_condition_is_opened_once() -> None:
    floor = Floor()
    with pytest.raises(ValueError, match="expected a new condition"):
        floor.exchange.open_market(floor.rules)


def test_a_refused_order_changes_nothing() -> None:
    floor = Floor()
    with pytest.raises(Refused):
        floor.buy("nobody", 5000, 10)
    assert not floor.bank.knows("nobody")
    assert floor.told == []
