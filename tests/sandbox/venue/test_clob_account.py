"""What an API key reads about itself, parsed with the official client's models."""

import pytest
import trio
from polymarket._internal.actions import account as official
from polymarket._internal.actions import rewards as official_rewards
from py_clob_client_v2.headers.headers import create_level_1_headers

from polytrade.core.ids import BUY, SELL
from polytrade.core.units import SECOND_NS
from polytrade.sandbox.faults import FaultOrder
from polytrade.sandbox.matching.rewards import REWARD, Payout
from polytrade.sandbox.venue.clob_account import PAGE
from polytrade.sandbox.venue.wallets import wallets_of
from tests.sandbox.venue.clob_rig import (
    CASH_E6,
    CONDITION,
    KEYS,
    NO_TOKEN,
    SLOW_TOKENS,
    START_S,
    YES_TOKEN,
    Client,
    clob_rig,
)


async def test_open_orders_by_id_market_and_token(autojump_clock):
    _, client, _ = clob_rig()
    up = (await client.place("BUY", 0.3, 10.0))[1]["orderID"]
    down = (await client.place("BUY", 0.4, 20.0, token=NO_TOKEN))[1]["orderID"]
    slow = (await client.place("BUY", 0.2, 5.0, token=SLOW_TOKENS[0]))[1]["orderID"]

    async def ids(**params):
        status, page, _ = await client.call("GET", "/data/orders", **params)
        assert (status, page["next_cursor"]) == (200, "LTE=")
        return [order.id for order in official.parse_open_orders_page(page).items]

    assert await ids() == [up, down, slow]
    assert await ids(next_cursor="MA==") == [up, down, slow]
    assert await ids(market=CONDITION) == [up, down]
    assert await ids(asset_id=NO_TOKEN) == [down]
    assert await ids(id=up) == [up]
    assert await ids(id=up, asset_id=NO_TOKEN) == []
    _, page, _ = await client.call("GET", "/data/orders", id=down)
    assert page["data"] == [
        {
            "id": down,
            "status": "LIVE",
            "owner": client.owner,
            "maker_address": client.wallet,
            "market": CONDITION,
            "asset_id": NO_TOKEN,
            "side": "BUY",
            "original_size": "20",
            "size_matched": "0",
            "price": "0.4",
            "outcome": "Down",
            "expiration": "0",
            "order_type": "GTC",
            "associate_trades": [],
            "created_at": START_S,
        }
    ]


async def test_open_orders_come_in_pages_of_a_hundred(autojump_clock):
    _, client, _ = clob_rig()
    for number in range(7):
        bodies = [client.order("BUY", 0.01, 5.0) for _ in range(15)]
        status, _, _ = await client.call("POST", "/orders", bodies)
        assert (number, status) == (number, 200)
        await trio.sleep(1)
    _, first, _ = await client.call("GET", "/data/orders")
    assert (len(first["data"]), first["limit"], first["count"]) == (PAGE, PAGE, PAGE)
    assert first["next_cursor"] == "MTAw"
    _, second, _ = await client.call("GET", "/data/orders", next_cursor=first["next_cursor"])
    assert (len(second["data"]), second["next_cursor"]) == (5, "LTE=")
    _, nothing, _ = await client.call("GET", "/data/orders", next_cursor="LTE=")
    assert nothing["data"] == []
    status, wrong, _ = await client.call("GET", "/data/orders", next_cursor="?")
    assert (status, wrong) == (400, {"error": "invalid next_cursor"})


async def test_one_order_of_any_status_is_its_owners_to_read():
    venue, client, app = clob_rig()
    other = Client(venue, app, KEYS[1])
    order_id = (await client.place())[1]["orderID"]
    path = f"/data/order/{order_id}"
    status, told, _ = await client.call("GET", path)
    assert (status, official.parse_open_order(told).status) == (200, "LIVE")
    await client.call("DELETE", "/cancel-all")
    status, told, _ = await client.call("GET", path)
    assert (status, told["status"]) == (200, "CANCELED")
    missing = (404, {"error": "order not found"})
    assert (await other.call("GET", path))[:2] == missing
    assert (await client.call("GET", "/data/order/0x" + "0" * 64))[:2] == missing
    assert (await client.call("GET", "/data/order/12"))[:2] == (400, {"error": "Invalid orderID"})


async def test_trades_are_told_to_taker_and_maker(autojump_clock):
    venue, taker, app = clob_rig()
    maker = Client(venue, app, KEYS[1])
    await maker.place("BUY", 0.4, 30.0, token=NO_TOKEN)
    await trio.sleep(100)
    status, answered = await taker.place("BUY", 0.6, 10.0)
    (trade_id,) = answered["tradeIDs"]

    async def trades(client, **params):
        status, page, _ = await client.call("GET", "/data/trades", **params)
        assert status == 200
        return official.parse_account_trades_page(page).items

    (mine,) = await trades(taker)
    assert (mine.id, mine.trader_side, mine.asset_id) == (trade_id, "TAKER", YES_TOKEN)
    assert (str(mine.price), str(mine.size), mine.status) == ("0.6", "10", "MATCHED")
    assert mine.transaction_hash is None or mine.transaction_hash.startswith("0x")
    (theirs,) = await trades(maker)
    (fill,) = theirs.maker_orders
    assert (theirs.trader_side, theirs.side, fill.owner) == ("MAKER", "BUY", maker.owner)
    assert (fill.asset_id, str(fill.price), str(fill.matched_amount)) == (NO_TOKEN, "0.4", "10")
    for params, found in (
        ({"id": trade_id}, 1),
        ({"id": "x"}, 0),
        ({"market": CONDITION}, 1),
        ({"asset_id": YES_TOKEN}, 1),
        ({"asset_id": NO_TOKEN}, 0),
        ({"maker_address": maker.wallet}, 1),
        ({"maker_address": "0x" + "0" * 40}, 0),
        ({"after": str(START_S + 100)}, 1),
        ({"after": str(START_S + 101)}, 0),
        ({"before": str(START_S + 101)}, 1),
        ({"before": str(START_S + 100)}, 0),
    ):
        assert (params, len(await trades(taker, **params))) == (params, found)
    assert len(await trades(maker, asset_id=NO_TOKEN)) == 1
    await trio.sleep(10)
    (mine,) = await trades(taker)
    assert mine.status == "CONFIRMED"
    assert mine.transaction_hash.startswith("0x")
    status, told, _ = await taker.call("GET", "/data/trades", after="soon")
    assert (status, told) == (400, {"error": "Invalid trade params payload"})


async def test_balances_are_of_the_wallet_the_signature_type_names(autojump_clock):
    venue, client, _ = clob_rig()
    safe = dict(wallets_of(client.wallet))[2].lower()
    venue.bank.fund(safe, 7)

    async def balance(**params):
        status, told, _ = await client.call("GET", "/balance-allowance", **params)
        assert status == 200
        return official.parse_balance_allowance(told)

    assert (await balance(asset_type="COLLATERAL")).balance == CASH_E6
    assert (await balance(asset_type="COLLATERAL", signature_type=2)).balance == CASH_E6 + 7
    assert (await balance(asset_type="COLLATERAL", signature_type=3)).balance == CASH_E6
    allowances = (await balance(asset_type="COLLATERAL")).allowances
    assert len(allowances) == 3
    assert set(allowances.values()) == {2**256 - 1}
    venue.quote(SELL, 5000)
    await client.place("BUY", 0.5, 10.0)
    await trio.sleep(60)
    assert (await balance(asset_type="CONDITIONAL", token_id=YES_TOKEN)).balance == 10_000_000
    assert (await balance(asset_type="CONDITIONAL", token_id=NO_TOKEN)).balance == 0
    # 10 shares at 0.5, and a fee of 7 per cent of 0.25 a share.
    spent_e6 = 5_000_000 + 175_000
    assert (await balance(asset_type="COLLATERAL")).balance == CASH_E6 - spent_e6
    assert (await client.call("GET", "/balance-allowance/update", asset_type="COLLATERAL"))[
        0
    ] == 200
    for params, text in (
        ({}, "Invalid asset type"),
        ({"asset_type": "CONDITIONAL"}, "Invalid token id"),
        ({"asset_type": "CONDITIONAL-V2", "token_id": YES_TOKEN}, "Invalid asset type"),
        ({"asset_type": "COLLATERAL", "signature_type": 9}, "Invalid signature_type"),
    ):
        status, told, _ = await client.call("GET", "/balance-allowance", **params)
        assert (status, told) == (400, {"error": text})


async def test_fills_and_orders_the_venue_ended_are_notified(autojump_clock):
    venue, client, _ = clob_rig()
    venue.quote(SELL, 5000)
    await client.place("BUY", 0.5, 10.0)
    await client.place("BUY", 0.3, 10.0, "GTD", expiration=START_S + 200)
    await client.place("BUY", 0.2, 10.0)
    await client.call("DELETE", "/cancel-market-orders", {"asset_id": NO_TOKEN})
    await trio.sleep(300)
    status, told, _ = await client.call("GET", "/notifications", signature_type=0)
    assert status == 200
    notes = official.parse_notifications(told)
    assert [int(note.type) for note in notes] == [1, 2]
    assert (str(notes[0].payload.price), str(notes[1].payload.matched_size)) == ("0.3", "10")
    assert notes[1].payload.trade_id is not None
    drop = {"ids": f"{notes[0].id},x,{10**30}"}
    assert (await client.call("DELETE", "/notifications", **drop))[:2] == (200, "OK")
    _, told, _ = await client.call("GET", "/notifications")
    assert [note["id"] for note in told] == [notes[1].id]


async def test_an_order_scores_when_it_is_old_and_large_enough(autojump_clock):
    venue, client, _ = clob_rig()
    venue.quote(BUY, 4900, 60_000_000)
    venue.quote(SELL, 5100, 60_000_000)
    order_id = (await client.place("BUY", 0.49, 60.0))[1]["orderID"]
    small = (await client.place("BUY", 0.49, 10.0))[1]["orderID"]
    _, told, _ = await client.call("GET", "/order-scoring", order_id=order_id)
    assert official_rewards.parse_order_scoring(told) is False
    await trio.sleep(5)
    _, told, _ = await client.call("GET", "/order-scoring", order_id=order_id)
    assert told == {"scoring": True}
    status, told, _ = await client.call("POST", "/orders-scoring", [order_id, small, "0x1"])
    assert (status, told) == (200, {order_id: True, small: False, "0x1": False})
    _, told, _ = await client.call("GET", "/rewards/user/percentages", signature_type=0)
    # A third for one side only, against the other wallet's two: 60 / (60 + 3 * 60).
    assert official_rewards.parse_reward_percentages(told) == {CONDITION: 25.0}
    _, told, _ = await client.call(
        "GET", "/rewards/user/markets", date="2026-09-21", signature_type=0
    )
    (row,) = official_rewards.parse_user_rewards_earnings_page(told).items
    assert (row.earning_percentage, row.maker_address) == (25.0, client.wallet)
    status, told, _ = await client.call("POST", "/orders-scoring", {"a": 1})
    assert (status, told) == (400, {"error": "Invalid payload"})


async def test_rewards_of_a_day_are_what_was_paid_after_it():
    venue, client, _ = clob_rig()
    midnight_s = 1_790_035_200
    paid = Payout(midnight_s * SECOND_NS, client.wallet.lower(), REWARD, 2_500_000)
    venue.exchange.rewards.payouts.append(paid)

    async def total(date):
        status, told, _ = await client.call("GET", "/rewards/user/total", date=date)
        assert status == 200
        return [str(each.earnings) for each in official_rewards.parse_total_user_earnings(told)]

    assert await total("2026-09-21") == ["2.5"]
    assert await total("2026-09-22") == []
    _, page, _ = await client.call("GET", "/rewards/user", date="2026-09-21")
    assert official_rewards.parse_user_earnings_page(page).items == ()
    status, told, _ = await client.call("GET", "/rewards/user", date="yesterday")
    assert (status, told) == (400, {"error": "invalid date, expected YYYY-MM-DD"})


async def test_what_else_the_clients_ask_about_an_account():
    _, client, _ = clob_rig()
    assert (await client.call("GET", "/auth/ban-status/closed-only"))[:2] == (
        200,
        {"closed_only": False},
    )
    assert (await client.call("GET", "/v1/user/rate-limit-tier"))[:2] == (200, {"tier": "Standard"})
    status, page, _ = await client.call("GET", "/data/pre-migration-orders")
    assert (status, page["data"], page["next_cursor"]) == (200, [], "LTE=")


async def test_keys_are_made_listed_and_ended_over_rest():
    venue, client, app = clob_rig()
    http = app.test_client()
    told = create_level_1_headers(client.signer, nonce=4, timestamp=venue.now_s())
    made = await http.post("/auth/api-key", headers=told)
    assert made.status_code == 200
    again = await http.post("/auth/api-key", headers=told)
    assert (again.status_code, await again.get_json()) == (
        400,
        {"error": "Could not create api key"},
    )
    derived = await http.get("/auth/derive-api-key", headers=told)
    assert await derived.get_json() == await made.get_json()
    bad = await http.post("/auth/api-key", headers=told | {"POLY_SIGNATURE": "0x00"})
    assert (bad.status_code, await bad.get_json()) == (
        401,
        {"error": "Invalid L1 Request headers"},
    )
    _, keys, _ = await client.call("GET", "/auth/api-keys")
    assert keys == {"apiKeys": [client.owner, (await made.get_json())["apiKey"]]}
    status, readonly, _ = await client.call("POST", "/auth/readonly-api-key")
    assert status == 200
    _, keys, _ = await client.call("GET", "/auth/readonly-api-keys")
    assert keys == {"readonlyApiKeys": [readonly["apiKey"]]}
    ended = await client.call("DELETE", "/auth/readonly-api-key", {"key": readonly["apiKey"]})
    assert ended[:2] == (200, "OK")
    status, builder, _ = await client.call("POST", "/auth/builder-api-key")
    assert status == 200
    _, keys, _ = await client.call("GET", "/auth/builder-api-key")
    assert [each["key"] for each in keys] == [builder["key"]]
    assert (await client.call("DELETE", "/auth/builder-api-key"))[:2] == (200, "OK")
    assert (await client.call("DELETE", "/auth/api-key"))[:2] == (200, "OK")
    assert (await client.call("GET", "/auth/api-keys"))[:2] == (
        401,
        {"error": "Unauthorized/Invalid api key"},
    )


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/order"),
        ("POST", "/orders"),
        ("DELETE", "/order"),
        ("DELETE", "/orders"),
        ("DELETE", "/cancel-all"),
        ("DELETE", "/cancel-market-orders"),
        ("GET", "/data/orders"),
        ("GET", "/data/order/0x12"),
        ("GET", "/data/trades"),
        ("GET", "/balance-allowance"),
        ("GET", "/balance-allowance/update"),
        ("GET", "/notifications"),
        ("DELETE", "/notifications"),
        ("GET", "/order-scoring"),
        ("POST", "/orders-scoring"),
        ("GET", "/rewards/user"),
        ("GET", "/rewards/user/total"),
        ("GET", "/rewards/user/percentages"),
        ("GET", "/rewards/user/markets"),
        ("GET", "/auth/ban-status/closed-only"),
        ("GET", "/v1/user/rate-limit-tier"),
        ("POST", "/v1/heartbeats"),
        ("POST", "/heartbeats"),
    ],
)
async def test_a_path_of_an_account_wants_a_signature_and_a_key_that_is_known(method, path):
    venue, client, _ = clob_rig()
    refused = {"error": "Unauthorized/Invalid api key"}
    response = await client.http.open(path, method=method)
    assert (response.status_code, await response.get_json()) == (401, refused)
    response = await client.http.open(
        path, method=method, headers=client.headers(method, path + "x")
    )
    assert (response.status_code, await response.get_json()) == (401, refused)
    venue.troubles.apply(FaultOrder("unauthorized", seconds=60), venue)
    assert (await client.call(method, path))[:2] == (401, refused)
