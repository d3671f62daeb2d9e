"""py-clob-client-v2, only its host replaced: keys, markets, orders, fills, money."""

import inspect
import re
import time
from pathlib import Path

import pytest
from py_clob_client_v2 import ClobClient
from py_clob_client_v2.clob_types import (
    BalanceAllowanceParams,
    BookParams,
    BuilderTradeParams,
    DropNotificationParams,
    OpenOrderParams,
    OrderMarketCancelParams,
    OrderPayload,
    OrderScoringParams,
    OrdersScoringParams,
    PostOrdersV2Args,
    PricesHistoryParams,
    TradeParams,
)
from py_clob_client_v2.exceptions import PolyApiException

from tests.official.rig import BUY, FAK, FAUCET_E6, FOK, GTC, GTD, SELL

LAST_CURSOR = "LTE="
BUILDER = "0x" + "b1" * 32
CONFIRMED_WITHIN_S = 10

NOT_TRIED = {
    "assert_level_1_auth": "asks nobody",
    "assert_level_2_auth": "asks nobody",
}
"""Public methods no test here calls, and why; RFQ (`client.rfq`) is not served."""


def confirmed(trader, trade_id):
    """The trade once it is settled."""
    ends = time.monotonic() + CONFIRMED_WITHIN_S
    while time.monotonic() < ends:
        (trade,) = trader.client.get_trades(TradeParams(id=trade_id))
        if trade["status"] == "CONFIRMED":
            return trade
        time.sleep(0.1)
    raise AssertionError(f"trade {trade_id} is not confirmed")


def test_every_public_method_is_tried_or_named():
    methods = {
        name
        for name, _ in inspect.getmembers(ClobClient, inspect.isfunction)
        if not name.startswith("_")
    }
    folder = Path(__file__).parent
    text = Path(__file__).read_text() + (folder / "rig.py").read_text()
    tried = set(re.findall(r"client\.(\w+)\(", text))
    assert methods - tried == set(NOT_TRIED)


# Keys.


def test_key_is_created_once_and_derived_again(trader):
    one = trader()
    first = one.client.creds
    with pytest.raises(PolyApiException) as refused:
        one.client.create_api_key()
    assert refused.value.status_code == 400
    assert refused.value.error_msg == {"error": "Could not create api key"}
    assert one.client.derive_api_key() == first
    other = one.client.derive_api_key(nonce=1)
    assert other.api_key != first.api_key
    assert one.client.get_api_keys() == {"apiKeys": [first.api_key, other.api_key]}
    assert one.client.get_closed_only_mode() == {"closed_only": False}


def test_deleted_key_is_refused(trader):
    one = trader()
    assert one.client.delete_api_key() == "OK"
    with pytest.raises(PolyApiException) as refused:
        one.client.get_open_orders()
    assert refused.value.status_code == 401
    assert refused.value.error_msg == {"error": "Unauthorized/Invalid api key"}


def test_readonly_key_reads_and_does_not_trade(trader, venue):
    one = trader()
    made = one.client.create_readonly_api_key()
    assert one.client.get_readonly_api_keys() == {"readonlyApiKeys": [made["apiKey"]]}
    creds = one.client.creds
    one.client.set_api_creds(type(creds)(made["apiKey"], made["secret"], made["passphrase"]))
    assert one.client.get_trades() == []
    with pytest.raises(PolyApiException) as refused:
        one.limit(venue.treaty, BUY, 0.05, 10)
    assert refused.value.status_code == 401
    one.client.set_api_creds(creds)
    assert one.client.delete_readonly_api_key(made["apiKey"]) == "OK"
    assert one.client.get_readonly_api_keys() == {"readonlyApiKeys": []}


def test_builder_keys(trader):
    one = trader()
    made = one.client.create_builder_api_key()
    assert sorted(made) == ["key", "passphrase", "secret"]
    (listed,) = one.client.get_builder_api_keys()
    assert (listed["key"], listed["revokedAt"]) == (made["key"], None)
    one.client.revoke_builder_api_key()
    (revoked,) = one.client.get_builder_api_keys()
    assert revoked["revokedAt"] is not None
    found = one.client.get_builder_trades(BuilderTradeParams(builder_code=BUILDER))
    assert found["trades"] == []
    assert found["next_cursor"] == LAST_CURSOR


# Markets and books.


def test_venue_tells_its_time_and_version(venue):
    client = ClobClient(venue.url("clob"), 137)
    assert client.get_ok() == "OK"
    assert client.get_version() == 2
    assert abs(client.get_server_time() - time.time()) <= 2


def test_lists_of_markets_agree(venue):
    client = ClobClient(venue.url("clob"), 137)
    pages = [
        client.get_markets(),
        client.get_simplified_markets(),
        client.get_sampling_markets(),
        client.get_sampling_simplified_markets(),
    ]
    for page in pages:
        assert page["next_cursor"] == LAST_CURSOR
        assert page["count"] == len(page["data"])
    conditions = [[row["condition_id"] for row in page["data"]] for page in pages]
    assert venue.window.condition in conditions[0]
    assert conditions[0] == conditions[1]
    assert conditions[2] == conditions[3]


@pytest.mark.parametrize("name", ["window", "day", "candidate"])
def test_market_is_told_alike_everywhere(venue, name):
    client = ClobClient(venue.url("clob"), 137)
    market = getattr(venue, name)
    long = client.get_market(market.condition)
    compact = client.get_clob_market_info(market.condition)
    assert [token["token_id"] for token in long["tokens"]] == list(market.tokens)
    assert [token["t"] for token in compact["t"]] == list(market.tokens)
    assert [token["o"] for token in compact["t"]] == list(market.outcomes)
    assert compact["mos"] == long["minimum_order_size"] == 5
    assert compact["mts"] == long["minimum_tick_size"] == 0.01
    assert compact.get("nr", False) == long["neg_risk"] == market.neg_risk
    client = ClobClient(venue.url("clob"), 137)  # the other one remembers what it was told
    token = market.tokens[0]
    assert client.get_tick_size(token) == "0.01"
    assert client.get_neg_risk(token) is market.neg_risk
    assert client.get_fee_rate_bps(token) == 1000
    assert client.get_fee_exponent(token) == compact["fd"]["e"] == 1
    assert compact["fd"]["r"] == (0.04 if market.neg_risk else 0.07)


def test_book_carries_its_hash_and_agrees_with_the_quotes(venue):
    client = ClobClient(venue.url("clob"), 137)
    token, other = venue.window.tokens
    book = client.get_order_book(token)
    assert client.get_order_book_hash(dict(book)) == book["hash"]
    assert (book["bids"][-1]["price"], book["asks"][-1]["price"]) == ("0.49", "0.51")
    mirrored = client.get_order_books([BookParams(other)])[0]
    assert [level["size"] for level in mirrored["bids"]] == [lv["size"] for lv in book["asks"]]
    assert client.get_midpoint(token) == {"mid": "0.5"}
    assert client.get_midpoints([BookParams(token)]) == {token: "0.5"}
    assert client.get_spread(token) == {"spread": "0.02"}
    assert client.get_spreads([BookParams(token)]) == {token: "0.02"}
    assert client.get_price(token, BUY) == {"price": "0.49"}
    asked = [BookParams(token, "BUY"), BookParams(token, "SELL")]
    assert client.get_prices(asked) == {token: {"BUY": "0.49", "SELL": "0.51"}}
    assert client.calculate_market_price(token, "BUY", 5) == 0.51
    assert client.calculate_market_price(token, "SELL", 5) == 0.49


def test_token_nobody_knows_has_no_book(venue):
    client = ClobClient(venue.url("clob"), 137)
    with pytest.raises(PolyApiException) as refused:
        client.get_order_book("123")
    assert refused.value.status_code == 404
    assert refused.value.error_msg == {"error": "No orderbook exists for the requested token id"}


def test_rewards_are_told(trader, venue):
    one = trader()
    conditions = [row["condition_id"] for row in one.client.get_current_rewards()]
    assert venue.treaty.condition in conditions
    (told,) = one.client.get_raw_rewards_for_market(venue.treaty.condition)
    assert told["rewards_config"][0]["rate_per_day"] == 100
    assert one.client.get_earnings_for_user_for_day("2026-11-01") == []
    assert one.client.get_total_earnings_for_user_for_day("2026-11-01") == []
    earned = one.client.get_user_earnings_and_markets_config("2026-11-01")
    assert len(earned) == len(conditions)
    assert one.client.get_reward_percentages() == {}


# Orders.


@pytest.mark.parametrize("signature_type", [0, 1, 2, 3])
@pytest.mark.parametrize("name", ["window", "day", "candidate"])
def test_order_rests_is_read_and_is_cancelled(trader, venue, name, signature_type):
    """Every wallet, in every domain an order may have to be signed for."""
    one, market = trader(signature_type), getattr(venue, name)
    answer = one.limit(market, BUY, 0.05, 12.34)
    order_id = answer.pop("orderID")
    assert answer == {
        "success": True,
        "errorMsg": "",
        "status": "live",
        "makingAmount": "",
        "takingAmount": "",
        "tradeIDs": [],
        "transactionsHashes": [],
    }
    order = one.client.get_order(order_id)
    created_at = order.pop("created_at")
    assert abs(created_at - time.time()) <= 2
    assert order == {
        "id": order_id,
        "status": "LIVE",
        "owner": one.owner,
        "maker_address": one.wallet,
        "market": market.condition,
        "asset_id": market.tokens[0],
        "side": "BUY",
        "original_size": "12.34",
        "size_matched": "0",
        "price": "0.05",
        "outcome": market.outcomes[0],
        "expiration": "0",
        "order_type": "GTC",
        "associate_trades": [],
    }
    (listed,) = one.client.get_open_orders(OpenOrderParams(market=market.condition))
    assert listed["id"] == order_id
    cancelled = one.client.cancel_order(OrderPayload(order_id))
    assert cancelled == {"canceled": [order_id], "not_canceled": {}}
    assert one.client.get_open_orders() == []
    again = one.client.cancel_order(OrderPayload(order_id))
    assert again["canceled"] == []
    assert list(again["not_canceled"]) == [order_id]


def test_batch_answers_each_order_by_itself(trader, venue):
    one, market = trader(1), venue.window
    good = one.signed(market, BUY, 0.05, 10)
    late = one.signed(market, BUY, 0.06, 10, expiration=int(time.time()) + 240)
    small = one.signed(market, BUY, 0.05, 2)
    answers = one.client.post_orders(
        [PostOrdersV2Args(good, GTC), PostOrdersV2Args(late, GTD), PostOrdersV2Args(small, GTC)]
    )
    assert [answer["status"] for answer in answers] == ["live", "live", ""]
    assert [answer["success"] for answer in answers] == [True, True, True]
    assert answers[2]["orderID"] == ""
    assert answers[2]["errorMsg"].endswith("is invalid. Size (2) lower than the minimum: 5")
    ids = [answer["orderID"] for answer in answers[:2]]
    unknown = "0x" + "0" * 64
    assert one.client.cancel_orders([*ids, unknown]) == {
        "canceled": ids,
        "not_canceled": {unknown: "Order not found or already canceled"},
    }


def test_cancels_by_market_by_token_and_all(trader, venue):
    one, window, treaty = trader(), venue.window, venue.treaty
    up = one.limit(window, BUY, 0.05, 10)["orderID"]
    down = one.limit(window, BUY, 0.05, 10, token=1)["orderID"]
    signed = one.limit(treaty, BUY, 0.05, 10)["orderID"]
    last = one.limit(venue.day, BUY, 0.05, 10)["orderID"]
    by_token = OrderMarketCancelParams(asset_id=window.tokens[1])
    assert one.client.cancel_market_orders(by_token)["canceled"] == [down]
    by_market = OrderMarketCancelParams(market=window.condition)
    assert one.client.cancel_market_orders(by_market)["canceled"] == [up]
    assert one.client.cancel_all() == {"canceled": [signed, last], "not_canceled": {}}
    assert one.client.get_pre_migration_orders() == []


def test_gtd_order_rests_with_its_expiration(trader, venue):
    one, expires_s = trader(), int(time.time()) + 300
    answer = one.limit(venue.window, BUY, 0.05, 10, order_type=GTD, expiration=expires_s)
    order = one.client.get_order(answer["orderID"])
    assert (order["order_type"], order["expiration"]) == ("GTD", str(expires_s))


def test_post_only_rests_or_is_refused(trader, venue):
    one, market = trader(), venue.window
    assert one.limit(market, BUY, 0.48, 10, post_only=True)["status"] == "live"
    with pytest.raises(PolyApiException) as refused:
        one.limit(market, BUY, 0.52, 10, post_only=True)
    assert refused.value.status_code == 400
    assert refused.value.error_msg == {"error": "invalid post-only order: order crosses book"}


# Fills.


def test_two_buyers_mint_and_are_told_alike(trader, venue):
    """A BUY of Up meets a BUY of Down: cash at once, fee for the taker, shares once confirmed."""
    maker, taker = trader(0), trader(3)
    matched = []
    for spent_e6, market in ((0, venue.window), (5_000_000, venue.day)):
        resting = maker.limit(market, BUY, 0.50, 10)
        answer = taker.limit(market, BUY, 0.50, 14, token=1)
        assert answer["status"] == "live"
        assert (answer["takingAmount"], answer["makingAmount"]) == ("10", "5")
        assert maker.cash_e6() == FAUCET_E6 - 5_000_000 - spent_e6
        # The fee for 10 shares at one half: 10 * 0.07 * 0.5 * 0.5 = 0.175.
        assert taker.cash_e6() == FAUCET_E6 - 5_175_000 - spent_e6 * 1035 // 1000
        (left,) = taker.client.get_open_orders(OpenOrderParams(id=answer["orderID"]))
        assert (left["original_size"], left["size_matched"]) == ("14", "10")
        assert left["associate_trades"] == answer["tradeIDs"]
        matched.append((market, resting["orderID"], answer))
    for market, order_id, answer in matched:
        (trade_id,) = answer["tradeIDs"]
        mine, theirs = confirmed(maker, trade_id), confirmed(taker, trade_id)
        assert (mine.pop("trader_side"), theirs.pop("trader_side")) == ("MAKER", "TAKER")
        assert mine == theirs
        assert (mine["size"], mine["price"], mine["outcome"]) == ("10", "0.5", "Down")
        assert mine["taker_order_id"] == answer["orderID"]
        assert [mine["transaction_hash"]] == answer["transactionsHashes"]
        assert mine["maker_orders"] == [
            {
                "order_id": order_id,
                "owner": maker.owner,
                "maker_address": maker.wallet,
                "matched_amount": "10",
                "price": "0.5",
                "fee_rate_bps": "0",
                "asset_id": market.tokens[0],
                "side": "BUY",
                "outcome": "Up",
                "outcome_index": 0,
            }
        ]
        assert maker.shares_e6(market, 0) == taker.shares_e6(market, 1) == 10_000_000
    noted = maker.client.get_notifications()
    assert [note["payload"]["order_id"] for note in noted] == [row[1] for row in matched][::-1]
    dropped = DropNotificationParams(ids=[str(note["id"]) for note in noted])
    assert maker.client.drop_notifications(dropped) == "OK"
    assert maker.client.get_notifications() == []


def test_sale_meets_a_buyer_and_another_sale(trader, venue):
    """Complementary for a buyer of the same token, a merge for a seller of the other one."""
    buyer, up, down = trader(1), trader(2), trader(3)
    for market in (venue.window, venue.day):
        up.split(market, "20")
        down.split(market, "20")
        buyer.limit(market, BUY, 0.50, 6)
        sold = up.limit(market, SELL, 0.50, 6)
        assert (sold["status"], sold["makingAmount"], sold["takingAmount"]) == ("matched", "6", "3")
        resting = down.limit(market, SELL, 0.50, 8, token=1)
        merged = up.take(market, SELL, 8, price=0.5)
        assert (merged["status"], merged["takingAmount"]) == ("matched", "4")
        (trade,) = down.client.get_trades(TradeParams(id=merged["tradeIDs"][0]))
        (made,) = trade["maker_orders"]
        assert (made["order_id"], made["side"]) == (resting["orderID"], "SELL")
        assert (made["asset_id"], made["price"]) == (market.tokens[1], "0.5")
    confirmed(down, trade["id"])
    # In each market: as taker 3 and 4 less fees of 6 and 8 times 0.07 * 0.25, as maker 4.
    assert up.cash_e6() == FAUCET_E6 + 2 * (7_000_000 - 245_000 - 20_000_000)
    assert down.cash_e6() == FAUCET_E6 + 2 * (4_000_000 - 20_000_000)
    assert buyer.cash_e6() == FAUCET_E6 - 2 * 3_000_000


def test_fill_or_kill_and_fill_and_kill(trader, venue):
    one, other, market = trader(2), trader(0), venue.day
    resting = one.limit(market, BUY, 0.50, 20)["orderID"]
    whole = other.take(market, BUY, 5, price=0.5, token=1, order_type=FOK)
    assert (whole["status"], whole["makingAmount"], whole["takingAmount"]) == ("matched", "5", "10")
    part = other.take(market, BUY, 20, price=0.5, token=1, order_type=FAK)
    assert (part["status"], part["makingAmount"], part["takingAmount"]) == ("matched", "5", "10")
    assert other.client.get_open_orders() == []
    assert one.client.get_order(resting)["status"] == "MATCHED"


@pytest.mark.parametrize(
    ("order_type", "text"),
    [
        (FOK, "order couldn't be fully filled. FOK orders are fully filled or killed."),
        (
            FAK,
            "no orders found to match with FAK order. FAK orders are partially filled or killed "
            "if no match is found.",
        ),
    ],
)
def test_market_order_that_finds_nothing_is_killed(trader, venue, order_type, text):
    one = trader()
    with pytest.raises(PolyApiException) as refused:
        one.take(venue.candidate, BUY, 5, price=0.01, order_type=order_type)
    assert refused.value.status_code == 400
    body = refused.value.error_msg
    assert body["error"] == text
    assert sorted(body) == ["error", "orderID"]
    assert one.cash_e6() == FAUCET_E6


def test_held_order_of_a_game_is_answered_as_delayed(trader, venue):
    one, market = trader(), venue.game
    answer = one.take(market, BUY, 10, price=0.9, order_type=FAK)
    assert (answer["status"], answer["tradeIDs"]) == ("delayed", [])
    assert one.client.cancel_order(OrderPayload(answer["orderID"]))["canceled"] == []
    ends = time.monotonic() + CONFIRMED_WITHIN_S
    while not one.client.get_trades() and time.monotonic() < ends:
        time.sleep(0.1)
    (trade,) = one.client.get_trades()
    assert trade["taker_order_id"] == answer["orderID"]


def test_trades_are_listed_newest_first_and_by_what_is_asked(trader, venue):
    one = trader()
    first = one.take(venue.treaty, BUY, 2, price=0.9, order_type=FAK)["tradeIDs"]
    second = one.take(venue.candidate, BUY, 2, price=0.9, order_type=FAK)["tradeIDs"]
    found = [trade["id"] for trade in one.client.get_trades()]
    assert found == [*second, *first]
    by_market = one.client.get_trades(TradeParams(market=venue.treaty.condition))
    assert [trade["id"] for trade in by_market] == first
    by_asset = one.client.get_trades(TradeParams(asset_id=venue.candidate.tokens[0]))
    assert [trade["id"] for trade in by_asset] == second
    assert one.client.get_trades(TradeParams(after=int(time.time()) + 60)) == []
    page = one.client.get_trades_paginated(TradeParams(maker_address=one.wallet))
    assert [trade["id"] for trade in page["trades"]] == found
    assert page["next_cursor"] == LAST_CURSOR
    assert page["count"] == 2
    activity = one.client.get_market_trades_events(venue.candidate.condition)
    assert activity[0]["user"]["address"] == one.wallet
    last = one.client.get_last_trade_price(venue.candidate.tokens[0])
    assert last == {"price": activity[0]["price"], "side": "BUY"}
    (listed,) = one.client.get_last_trades_prices([BookParams(venue.candidate.tokens[0])])
    assert listed["price"] == last["price"]
    history = one.client.get_prices_history(
        PricesHistoryParams(market=venue.candidate.tokens[0], interval="1h")
    )
    assert len(history["history"]) >= 1


def test_market_order_leaves_room_for_its_fee(trader, venue):
    """`user_usdc_balance` is the client's way to spend everything, fees included."""
    other, one, market = trader(1), trader(), venue.day
    other.limit(market, BUY, 0.50, 60)
    arguments = one.market_args(market, BUY, 20, token=1, price=0.5, user_usdc_balance=20)
    answer = one.client.post_order(one.client.create_market_order(arguments), FAK)
    # It keeps the fee of 40 shares, 0.7, and pays that of 38.6: 38.6 * 0.07 * 0.25.
    assert (answer["makingAmount"], answer["takingAmount"]) == ("19.3", "38.6")
    assert one.cash_e6() == FAUCET_E6 - 19_300_000 - 675_500


# The rest of an account.


def test_balances_are_told_and_refreshed(trader, venue):
    one = trader(3)
    assert one.cash_e6() == FAUCET_E6
    told = one.client.update_balance_allowance(BalanceAllowanceParams("COLLATERAL"))
    assert told["balance"] == str(FAUCET_E6)
    assert all(int(allowance) > FAUCET_E6 for allowance in told["allowances"].values())
    assert one.shares_e6(venue.window) == 0
    venue.admin("/admin/fund", wallet=one.wallet, amount="2.5")
    assert one.cash_e6() == FAUCET_E6 + 2_500_000


def test_scoring_of_orders(trader, venue):
    """An order scores when it is large, close and has rested for a while."""
    one = trader()
    small = one.limit(venue.treaty, BUY, 0.05, 10)["orderID"]
    assert one.client.is_order_scoring(OrderScoringParams(small)) == {"scoring": False}
    asked = OrdersScoringParams([small])
    assert one.client.are_orders_scoring(asked) == {small: False}


def test_missed_heartbeat_cancels_everything(trader, venue):
    one = trader()
    first = one.client.post_heartbeat()["heartbeat_id"]
    second = one.client.post_heartbeat(first)["heartbeat_id"]
    assert second != first
    with pytest.raises(PolyApiException) as refused:
        one.client.post_heartbeat("another")
    assert refused.value.status_code == 400
    assert refused.value.error_msg == {
        "error_msg": "Invalid Heartbeat ID",
        "heartbeat_id": second,
    }
    one.limit(venue.treaty, BUY, 0.05, 10)
    venue.admin("/admin/fault", kind="heartbeat_expiry")
    assert one.client.get_open_orders() == []
