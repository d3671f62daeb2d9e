"""Placing and cancelling over the CLOB's REST, with the official client's orders and headers."""

import pytest
import trio
from polymarket._internal.actions.orders.cancel import parse_cancel_orders_response
from polymarket._internal.actions.orders.post import parse_order_response, parse_order_responses

from polytrade.core.ids import BUY, NO, SELL
from polytrade.sandbox.faults import FaultOrder
from tests.sandbox.venue.clob_rig import (
    CONDITION,
    HELD_MS,
    KEYS,
    NO_TOKEN,
    SLOW_CONDITION,
    SLOW_TOKENS,
    START_S,
    YES_TOKEN,
    Client,
    clob_rig,
)

FAK_DEAD = (
    "no orders found to match with FAK order. "
    "FAK orders are partially filled or killed if no match is found."
)


async def test_an_order_that_rests_is_live():
    venue, client, _ = clob_rig()
    body = client.order(price=0.56, size=21.04)
    status, answered, headers = await client.call("POST", "/order", body)
    (order,) = venue.exchange.open_orders(client.owner)
    assert (status, answered) == (
        200,
        {
            "errorMsg": "",
            "orderID": order.order_id,
            "takingAmount": "",
            "makingAmount": "",
            "status": "live",
            "success": True,
            "tradeIDs": [],
            "transactionsHashes": [],
        },
    )
    assert (order.price_e4, order.size_e6, order.side) == (5600, 21_040_000, BUY)
    assert order.maker_address == client.wallet
    assert headers["Poly-RateLimit-Remaining"] == "59"
    assert headers["Poly-RateLimit-Tier"] == "Standard"
    assert len(headers["X-Request-Id"]) == 32
    assert parse_order_response(answered).status == "live"


async def test_a_matched_order_tells_amounts_and_trades(autojump_clock):
    venue, client, _ = clob_rig()
    venue.quote(SELL, 5000, 100_000_000)
    status, answered = await client.place("BUY", 0.52, 10.0)
    assert (status, answered["status"]) == (200, "matched")
    assert (answered["makingAmount"], answered["takingAmount"]) == ("5", "10")
    assert answered["tradeIDs"] == [trade.trade_id for trade in venue.exchange.trades.values()]
    status, answered = await client.place("BUY", 0.5, 20.0, "FAK")
    assert (answered["makingAmount"], answered["takingAmount"]) == ("20", "40")
    venue.quote(BUY, 4000, 100_000_000)
    await trio.sleep(10)
    status, answered = await client.place("SELL", 0.4, 12.0, "FOK")
    assert (answered["makingAmount"], answered["takingAmount"]) == ("12", "4.8")
    assert parse_order_response(answered).ok


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (
            {"price": 0.481, "tick": "0.001"},
            "is invalid. Price (0.481) breaks minimum tick size rule: 0.01",
        ),
        ({"size": 4.0}, "is invalid. Size (4) lower than the minimum: 5"),
        (
            {"maker_amount": 5_000_001},
            "invalid amounts, the buy orders maker amount supports a max accuracy of 4 decimals, "
            "taker amount a max of 2 decimals",
        ),
        (
            {"order_type": "FAK", "maker_amount": 1_999_422, "taker_amount": 2_019_600},
            "invalid amounts, the market buy orders maker amount supports a max accuracy of 2 "
            "decimals, taker amount a max of 4 decimals",
        ),
        ({"order_type": "GTD", "expiration": START_S + 60}, "invalid expiration"),
        ({"expiration": START_S + 600}, "invalid expiration"),
        ({"token": "123"}, "the orderbook 123 does not exist"),
        ({"price": 0.9, "size": 5000.0}, "not enough balance / allowance"),
        ({"order_type": "IOC"}, "Invalid order payload"),
    ],
)
async def test_orders_the_venue_does_not_take(made, text):
    venue, client, _ = clob_rig()
    status, answered = await client.place(**made)
    assert status == 400
    assert text in answered["error"]
    assert list(answered) == ["error"]
    assert venue.exchange.open_orders(client.owner) == []


async def test_marketable_orders_are_worth_a_dollar():
    venue, client, _ = clob_rig()
    venue.quote(SELL, 1000, 100_000_000)
    assert await client.place("BUY", 0.1, 0.5, "FAK") == (
        400,
        {"error": "invalid amount for a marketable BUY order ($0.5), min size: $1"},
    )


async def test_orders_that_find_nothing_are_killed_with_their_id():
    venue, client, _ = clob_rig()
    venue.quote(SELL, 5000, 5_000_000)
    status, answered = await client.place("BUY", 0.4, 10.0, "FAK")
    assert (status, answered["error"]) == (400, FAK_DEAD)
    assert venue.exchange.orders[answered["orderID"]].refusal == FAK_DEAD
    status, answered = await client.place("BUY", 0.5, 10.0, "FOK")
    assert (status, answered["error"]) == (
        400,
        "order couldn't be fully filled. FOK orders are fully filled or killed.",
    )
    assert answered["orderID"] in venue.exchange.orders


async def test_post_only_orders_never_take():
    venue, client, _ = clob_rig()
    venue.quote(SELL, 5000)
    assert await client.place("BUY", 0.5, 10.0, post_only=True) == (
        400,
        {"error": "invalid post-only order: order crosses book"},
    )
    assert await client.place("BUY", 0.5, 10.0, "FAK", post_only=True) == (
        400,
        {"error": "invalid post-only order: only GTC and GTD order types are allowed"},
    )
    assert (await client.place("BUY", 0.49, 10.0, post_only=True))[1]["status"] == "live"


async def test_an_order_is_for_the_key_that_sends_it_and_once_only():
    _, client, _ = clob_rig()
    body = client.order()
    status, first, _ = await client.call("POST", "/order", body)
    assert status == 200
    status, again, _ = await client.call("POST", "/order", body)
    assert (status, again) == (
        400,
        {"error": f"order {first['orderID']} is invalid. Duplicated."},
    )
    other = client.order() | {"owner": "somebody else"}
    status, answered, _ = await client.call("POST", "/order", other)
    assert (status, answered["error"]) == (
        400,
        "the order owner has to be the owner of the API KEY",
    )
    forged = client.order()
    forged["order"]["makerAmount"] = "4000000"
    status, answered, _ = await client.call("POST", "/order", forged)
    assert (status, answered["error"]) == (400, "invalid signature")


@pytest.mark.parametrize("raw", ["", "{", "[]", "{}", '{"order":{}}', "null"])
async def test_a_body_that_is_no_order(raw):
    _, client, _ = clob_rig()
    response = await client.http.post(
        "/order", headers=client.headers("POST", "/order", raw), data=raw
    )
    assert response.status_code == 400
    assert await response.get_json() == {"error": "Invalid order payload"}


async def test_a_held_order_is_answered_with_its_result(autojump_clock):
    venue, client, _ = clob_rig(taker_delay_ms=HELD_MS)
    venue.quote(SELL, 5000)
    before = trio.current_time()
    _, answered = await client.place("BUY", 0.5, 10.0)
    assert (answered["status"], answered["takingAmount"]) == ("matched", "10")
    assert trio.current_time() - before == pytest.approx(HELD_MS / 1000)
    before = trio.current_time()
    assert (await client.place("BUY", 0.4, 10.0))[1]["status"] == "live"
    assert trio.current_time() == before


async def test_a_held_order_whose_level_leaves_ends_as_it_would(autojump_clock):
    venue, client, _ = clob_rig(taker_delay_ms=HELD_MS)
    quoted = venue.quote(SELL, 5000)
    answers = []

    async def place(order_type):
        answers.append(await client.place("BUY", 0.5, 10.0, order_type))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(place, "FAK")
        nursery.start_soon(place, "GTC")
        await trio.sleep(HELD_MS / 2000)
        assert venue.exchange.open_orders(client.owner) == []
        assert venue.exchange.cancel(quoted.order.order_id) == ""
    (killed,) = [body for status, body in answers if status == 400]
    (rests,) = [body for status, body in answers if status == 200]
    assert killed["error"] == FAK_DEAD
    assert killed["orderID"] in venue.exchange.orders
    assert rests["status"] == "live"


async def test_markets_that_answer_delayed_and_deferred_orders_do_so_at_once(autojump_clock):
    venue, client, _ = clob_rig(taker_delay_ms=3000, answers_delayed=True)
    venue.quote(SELL, 5000)
    before = trio.current_time()
    _, answered = await client.place("BUY", 0.5, 10.0)
    assert (answered["status"], answered["success"]) == ("delayed", True)
    venue, client, _ = clob_rig(taker_delay_ms=HELD_MS)
    venue.quote(SELL, 5000)
    assert (await client.place("BUY", 0.5, 10.0, defer_exec=True))[1]["status"] == "delayed"
    assert trio.current_time() == before
    await trio.sleep(1)
    assert venue.catch_up()
    assert len(venue.exchange.trades) == 1


async def test_a_batch_is_answered_in_order_and_refusals_are_entries():
    venue, client, _ = clob_rig(taker_delay_ms=HELD_MS)
    venue.quote(SELL, 5000)
    bodies = [
        client.order("BUY", 0.4, 10.0),
        client.order("BUY", 0.4, 1.0),
        client.order("BUY", 0.5, 10.0),
        {"order": 5},
        client.order("BUY", 0.45, 1.0, "FAK"),
    ]
    status, answered, headers = await client.call("POST", "/orders", bodies)
    assert status == 200
    assert [entry["status"] for entry in answered] == ["live", "", "matched", "", ""]
    assert [entry["success"] for entry in answered] == [True] * 5
    assert [bool(entry["orderID"]) for entry in answered] == [True, False, True, False, False]
    assert answered[1]["errorMsg"].endswith("is invalid. Size (1) lower than the minimum: 5")
    assert answered[3]["errorMsg"] == "Invalid order payload"
    assert answered[4]["errorMsg"] == FAK_DEAD
    assert headers["Poly-RateLimit-Remaining"] == "55"
    parsed = parse_order_responses(answered)
    assert [entry.ok for entry in parsed] == [True, False, True, False, False]
    assert parsed[4].code == "fak_not_filled"


async def test_batches_are_bounded():
    _, client, _ = clob_rig()
    status, answered, _ = await client.call("POST", "/orders", [{}] * 20)
    assert (status, answered) == (
        400,
        {"error": "Too many orders in payload: 20, max allowed: 15"},
    )
    for wrong in ([], {}):
        status, answered, _ = await client.call("POST", "/orders", wrong)
        assert (status, answered) == (400, {"error": "Invalid order payload"})
    status, answered, _ = await client.call("DELETE", "/orders", ["0x" + "0" * 64] * 3001)
    assert (status, answered) == (
        400,
        {"error": "Too many orders in payload, max allowed: 3000"},
    )
    response = await client.http.delete("/orders", data=b"x" * 300_000)
    assert response.status_code == 413
    assert await response.get_json() == {"error": "Payload too large"}


async def test_cancels_tell_what_was_and_what_was_not(autojump_clock):
    venue, client, app = clob_rig()
    other = Client(venue, app, KEYS[1])
    mine = [(await client.place("BUY", price, 10.0))[1]["orderID"] for price in (0.3, 0.4)]
    theirs = (await other.place("BUY", 0.35, 10.0))[1]["orderID"]
    unknown = "0x" + "0" * 64
    status, answered, headers = await client.call("DELETE", "/order", {"orderID": mine[0]})
    assert (status, answered) == (200, {"canceled": [mine[0]], "not_canceled": {}})
    assert headers["Poly-RateLimit-Remaining"] == "119"
    status, answered, _ = await client.call("DELETE", "/order", {"orderID": mine[0]})
    assert answered == {"canceled": [], "not_canceled": {mine[0]: "already canceled or matched"}}
    status, answered, headers = await client.call(
        "DELETE", "/orders", [mine[1], mine[1], theirs, unknown]
    )
    assert (status, answered) == (
        200,
        {
            "canceled": [mine[1]],
            "not_canceled": dict.fromkeys([theirs, unknown], "Order not found or already canceled"),
        },
    )
    assert headers["Poly-RateLimit-Remaining"] == "114"
    assert len(venue.exchange.open_orders(other.owner)) == 1
    assert parse_cancel_orders_response(answered).canceled == (mine[1],)


@pytest.mark.parametrize(
    ("path", "body", "text"),
    [
        ("/order", {"orderID": "0x12"}, "Invalid orderID"),
        ("/order", {}, "Invalid orderID"),
        ("/order", [], "Invalid order payload"),
        ("/orders", {"orderID": "0x12"}, "Invalid order payload"),
        ("/orders", ["0x" + "0" * 64, 5], "Invalid orderID"),
        ("/cancel-market-orders", {}, "Invalid order payload"),
        ("/cancel-market-orders", [], "Invalid order payload"),
        ("/cancel-market-orders", {"asset_id": "99"}, "Invalid order payload"),
        ("/cancel-market-orders", {"market": CONDITION, "asset_id": 5}, "Invalid order payload"),
    ],
)
async def test_cancels_of_the_wrong_shape(path, body, text):
    venue, client, _ = clob_rig()
    await client.place()
    status, answered, _ = await client.call("DELETE", path, body)
    assert (status, answered) == (400, {"error": text})
    assert len(venue.exchange.open_orders(client.owner)) == 1


async def test_cancels_of_a_market_or_of_everything(autojump_clock):
    venue, client, app = clob_rig()
    other = Client(venue, app, KEYS[1])
    await other.place("BUY", 0.35, 10.0)

    async def placed(**more):
        return (await client.place("BUY", 0.3, 10.0, **more))[1]["orderID"]

    up, down, slow = (
        await placed(),
        await placed(token=NO_TOKEN),
        await placed(token=SLOW_TOKENS[0]),
    )
    _, answered, _ = await client.call("DELETE", "/cancel-market-orders", {"asset_id": NO_TOKEN})
    assert answered == {"canceled": [down], "not_canceled": {}}
    _, answered, _ = await client.call(
        "DELETE", "/cancel-market-orders", {"market": SLOW_CONDITION}
    )
    assert answered == {"canceled": [slow], "not_canceled": {}}
    _, answered, _ = await client.call(
        "DELETE", "/cancel-market-orders", {"market": CONDITION, "asset_id": YES_TOKEN}
    )
    assert answered == {"canceled": [up], "not_canceled": {}}
    both = [await placed(), await placed(token=SLOW_TOKENS[1])]
    status, answered, headers = await client.call("DELETE", "/cancel-all")
    assert (status, answered) == (200, {"canceled": both, "not_canceled": {}})
    # Four requests, and one token more for each order they found.
    assert headers["Poly-RateLimit-Remaining"] == str(120 - 4 - 5)
    assert len(venue.exchange.open_orders(other.owner)) == 1


async def test_who_asks_too_often_is_told_when_to_come_back(autojump_clock):
    venue, client, _ = clob_rig()
    for _ in range(4):
        status, _, _ = await client.call("POST", "/orders", [{}] * 15)
        assert status == 200
    status, answered, headers = await client.call("POST", "/order", client.order())
    assert (status, answered) == (
        429,
        {"error": "Too Many Requests", "retry_after_seconds": 1},
    )
    assert (headers["Retry-After"], headers["Poly-RateLimit-Remaining"]) == ("1", "0")
    assert venue.exchange.open_orders(client.owner) == []
    status, answered, _ = await client.call("DELETE", "/orders", ["0x" + "0" * 64] * 121)
    assert (status, answered["retry_after_seconds"]) == (429, 1)
    await trio.sleep(1)
    assert (await client.place())[0] == 200


async def test_beats_arm_the_switch_and_a_silence_cancels(autojump_clock):
    venue, client, _ = clob_rig()
    await client.place()
    status, first, _ = await client.call("POST", "/v1/heartbeats", {"heartbeat_id": ""})
    assert status == 200
    status, wrong, _ = await client.call("POST", "/v1/heartbeats", {"heartbeat_id": "x"})
    assert (status, wrong) == (
        400,
        {"error_msg": "Invalid Heartbeat ID", "heartbeat_id": first["heartbeat_id"]},
    )
    await trio.sleep(9.9)
    assert venue.catch_up()
    assert len(venue.exchange.open_orders(client.owner)) == 1
    await trio.sleep(0.2)
    assert venue.catch_up()
    assert venue.exchange.open_orders(client.owner) == []
    assert (await client.call("POST", "/heartbeats"))[:2] == (200, {"status": "ok"})
    status, answered, _ = await client.call("POST", "/v1/heartbeats", {"heartbeat_id": 5})
    assert (status, answered) == (400, {"error": "Invalid order payload"})


async def test_a_restart_refuses_orders_and_cancels_and_post_only_mode_takes_some(autojump_clock):
    venue, client, _ = clob_rig()
    order_id = (await client.place())[1]["orderID"]
    venue.troubles.apply(FaultOrder("trading_disabled", seconds=5), venue)
    status, answered = await client.place()
    assert (status, answered) == (503, {"error": "trading is disabled"})
    status, _, _ = await client.call("DELETE", "/order", {"orderID": order_id})
    assert status == 503
    await trio.sleep(5)
    assert venue.catch_up()
    venue.troubles.apply(FaultOrder("post_only", seconds=79), venue)
    status, answered = await client.place()
    text = "post-only mode: only post-only orders and cancels are allowed"
    assert (status, answered) == (
        503,
        {"error": text, "code": "post_only_mode", "retry_after_seconds": 79},
    )
    _, answered, _ = await client.call("POST", "/orders", [client.order()])
    assert (answered[0]["errorMsg"], answered[0]["orderID"]) == (text, "")
    assert (await client.place(post_only=True))[1]["status"] == "live"
    status, answered, _ = await client.call("DELETE", "/order", {"orderID": order_id})
    assert answered["canceled"] == [order_id]


async def test_an_answer_may_be_late_while_the_order_is_live(autojump_clock):
    venue, client, _ = clob_rig()
    venue.troubles.apply(FaultOrder("late_answer", ms=7000), venue)
    before = trio.current_time()
    answers = []

    async def place():
        answers.append(await client.place())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(place)
        await trio.sleep(3)
        assert len(venue.exchange.open_orders(client.owner)) == 1
        assert answers == []
    assert trio.current_time() - before == pytest.approx(7)
    assert answers[0][1]["status"] == "live"


async def test_both_tokens_trade_with_each_other():
    venue, client, _ = clob_rig()
    venue.quote(BUY, 4500, 50_000_000, NO)
    _, answered = await client.place("BUY", 0.55, 10.0)
    assert (answered["status"], answered["makingAmount"]) == ("matched", "5.5")
