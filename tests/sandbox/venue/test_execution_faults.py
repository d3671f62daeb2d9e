"""What goes wrong when bots trade, and what the venue does then: over real HTTP, with the official
client or raw requests.
"""

import httpx2
import pytest
import trio
from py_clob_client_v2 import OrderPayload
from py_clob_client_v2.exceptions import PolyApiException

from polytrade.core.ids import BUY, NO
from polytrade.core.units import SECOND_NS
from polytrade.sandbox.faults import FaultOrder
from polytrade.sandbox.matching.orders import Order, Refused
from tests.sandbox.venue.served import GAME, TREATY, in_thread, visiting
from tests.sandbox.venue.small_venue import WALLET, SmallVenue

DUPLICATED = "order {} is invalid. Duplicated."


@pytest.fixture(scope="module")
def running():
    """One venue for all tests here."""
    with in_thread() as found:
        yield found


@pytest.fixture
async def venue(running):
    """The venue, left as it was found."""
    async with visiting(*running) as found:
        yield found


@pytest.fixture
async def untouched():
    """A venue nobody has traded at: two bots meet at 0.35 and nobody else does."""
    with in_thread() as found:
        async with visiting(*found) as venue:
            yield venue


async def refused(awaitable):
    """(status, body) of a call the venue refuses."""
    with pytest.raises(PolyApiException) as caught:
        await awaitable
    return caught.value.status_code, caught.value.error_msg


async def cancel(bot, order_id):
    return await bot.call("cancel_order", OrderPayload(order_id))


# Answers that do not arrive.


async def test_a_lost_answer_leaves_an_order_that_its_id_finds(venue):
    alice = await venue.bot()
    yes, _ = await venue.tokens(TREATY)
    signed, order_id = await alice.order(yes, "BUY", 0.3, 10)
    await venue.fault("lost_answer")
    assert await refused(alice.call("post_order", signed)) == (None, "Request exception!")
    found = await alice.call("get_order", order_id)
    assert (found["id"], found["status"], found["size_matched"]) == (order_id, "LIVE", "0")
    again = await refused(alice.call("post_order", signed))
    assert again == (400, {"error": DUPLICATED.format(order_id)})
    assert await alice.open() == [order_id]


async def test_a_client_that_repeats_by_itself_is_told_of_a_duplicate(venue):
    alice = await venue.bot(retry_on_error=True)
    yes, _ = await venue.tokens(TREATY)
    signed, order_id = await alice.order(yes, "BUY", 0.3, 10)
    await venue.fault("lost_answer")
    told = await refused(alice.call("post_order", signed))
    assert told == (400, {"error": DUPLICATED.format(order_id)})
    assert await alice.open() == [order_id]


async def test_lost_answers_of_batches_and_of_fills_lose_the_answer_only(untouched):
    alice, bob = await untouched.bot(), await untouched.bot()
    yes, no = await untouched.tokens(TREATY)
    first, second = (
        await alice.order(yes, "BUY", 0.35, 10),
        await alice.order(yes, "BUY", 0.3, 10),
    )
    await untouched.fault("lost_answer", n=2)
    with pytest.raises(httpx2.TransportError):
        await alice.raw("POST", "/orders", [alice.body(first[0]), alice.body(second[0])])
    assert await alice.open() == [first[1], second[1]]
    taking, order_id = await bob.order(no, "BUY", 0.65, 10)
    with pytest.raises(httpx2.TransportError):
        await bob.raw("POST", "/order", bob.body(taking))
    (trade,) = await bob.call("get_trades")
    assert (trade["taker_order_id"], trade["size"], trade["status"]) == (
        order_id,
        "10",
        "MATCHED",
    )
    assert await alice.open() == [second[1]]


async def test_a_late_answer_is_that_of_an_order_long_live(venue):
    alice = await venue.bot()
    yes, _ = await venue.tokens(TREATY)
    signed, order_id = await alice.order(yes, "BUY", 0.3, 10)
    await venue.fault("late_answer", ms=1_000)
    answers = []

    async def post():
        answers.append(await alice.call("post_order", signed))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(post)
        while await alice.open() != [order_id]:
            pass
        assert answers == []
    assert [(one["orderID"], one["status"]) for one in answers] == [(order_id, "live")]


async def test_who_does_not_wait_for_a_late_answer_has_an_order_all_the_same(venue):
    alice = await venue.bot()
    yes, _ = await venue.tokens(TREATY)
    signed, order_id = await alice.order(yes, "BUY", 0.3, 10)
    await venue.fault("late_answer", ms=60_000)
    with pytest.raises(httpx2.ReadTimeout):
        await alice.raw("POST", "/order", alice.body(signed), timeout=0.2)
    assert await alice.open() == [order_id]
    assert (await cancel(alice, order_id))["canceled"] == [order_id]


# The matching engine is away, or takes only some orders.


async def test_a_restart_refuses_everything_and_orders_outlive_it(venue):
    alice = await venue.bot()
    yes, _ = await venue.tokens(TREATY)
    resting = await alice.rest(yes, "BUY", 0.3, 10)
    await venue.fault("restart", seconds=30, post_only_seconds=79)
    signed, order_id = await alice.order(yes, "BUY", 0.29, 10)
    away = (425, {"error": "the matching engine is restarting"})
    assert await refused(alice.call("post_order", signed)) == away
    assert await refused(cancel(alice, resting)) == away
    assert await refused(alice.call("cancel_all")) == away
    await venue.advance(10.5)
    answer = await alice.raw("POST", "/order", alice.body(signed))
    assert (answer.status_code, answer.headers["Retry-After"]) == (425, "20")
    assert await alice.open() == [resting]

    await venue.advance(20)
    status, told = await refused(alice.call("post_order", signed))
    assert (status, told["code"], told["retry_after_seconds"]) == (503, "post_only_mode", 79)
    told = await alice.call("post_order", signed, post_only=True)
    assert (told["orderID"], told["status"]) == (order_id, "live")
    assert (await cancel(alice, resting))["canceled"] == [resting]

    await venue.advance(79)
    other = await alice.rest(yes, "BUY", 0.28, 10)
    assert await alice.open() == [order_id, other]


async def test_post_only_mode_takes_orders_of_a_batch_that_are_post_only(venue):
    alice = await venue.bot()
    yes, _ = await venue.tokens(TREATY)
    await venue.fault("post_only")
    (first, _), (second, kept) = [await alice.order(yes, "BUY", 0.3, size) for size in (10, 11)]
    bodies = [alice.body(first), alice.body(second, post_only=True)]
    answer = await alice.raw("POST", "/orders", bodies)
    assert [entry["orderID"] for entry in answer.json()] == ["", kept]
    assert answer.json()[0]["errorMsg"].startswith("post-only mode:")
    assert await alice.open() == [kept]


async def test_cancel_only_mode_refuses_orders_and_takes_cancels(venue):
    alice = await venue.bot()
    yes, _ = await venue.tokens(TREATY)
    resting = await alice.rest(yes, "BUY", 0.3, 10)
    await venue.fault("cancel_only", seconds=60)
    signed, order_id = await alice.order(yes, "BUY", 0.3, 10)
    status, told = await refused(alice.call("post_order", signed, post_only=True))
    assert (status, "cancel-only" in told["error"]) == (503, True)
    assert (await cancel(alice, resting))["canceled"] == [resting]
    await venue.advance(60)
    assert (await alice.call("post_order", signed))["orderID"] == order_id


async def test_disabled_trading_refuses_orders_and_cancels(venue):
    alice = await venue.bot()
    yes, _ = await venue.tokens(TREATY)
    resting = await alice.rest(yes, "BUY", 0.3, 10)
    await venue.fault("trading_disabled")
    off = (503, {"error": "trading is disabled"})
    assert await refused(alice.place(yes, "BUY", 0.3, 10)) == off
    assert await refused(cancel(alice, resting)) == off
    assert await alice.open() == [resting]
    await venue.fault("clear")
    assert (await cancel(alice, resting))["canceled"] == [resting]


# Too many requests.


@pytest.mark.parametrize("calls", ["place", "cancel", "read"])
async def test_a_rate_limit_is_a_429_that_says_when_to_come_back(venue, calls):
    alice = await venue.bot()
    yes, _ = await venue.tokens(TREATY)
    await venue.fault("rate_limit", calls=calls, n=2, retry_s=7)

    async def ask():
        if calls == "place":
            signed, _ = await alice.order(yes, "BUY", 0.3, 10)
            return await alice.raw("POST", "/order", alice.body(signed))
        if calls == "cancel":
            return await alice.raw("DELETE", "/cancel-all")
        return await alice.raw("GET", "/data/orders")

    for _ in range(2):
        answer = await ask()
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")
        assert answer.json() == {"error": "Too Many Requests", "retry_after_seconds": 7}
    assert (await ask()).status_code == 200
    assert len(await alice.open()) == (calls == "place")


async def test_a_signer_that_used_up_its_orders_waits_for_new_ones(venue):
    alice, bob = await venue.bot(), await venue.bot()
    yes, _ = await venue.tokens(TREATY)
    signed, _ = await alice.order(yes, "BUY", 0.3, 10)
    batch = [alice.body(signed)] * 15
    for left in (45, 30, 15, 0):
        answer = await alice.raw("POST", "/orders", batch)
        assert answer.status_code == 200
        assert answer.headers["Poly-RateLimit-Remaining"] == str(left)
    answer = await alice.raw("POST", "/order", batch[0])
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")
    assert answer.headers["Poly-RateLimit-Tier"] == "Standard"
    assert len(await alice.open()) == 1
    await bob.rest(yes, "BUY", 0.3, 10)
    await venue.advance(1)
    answer = await alice.raw("POST", "/orders", batch)
    assert (answer.status_code, answer.headers["Poly-RateLimit-Remaining"]) == (200, "25")


async def test_a_signer_that_used_up_its_cancels_waits_for_new_ones(venue):
    alice = await venue.bot()
    ids = [f"0x{number:064x}" for number in range(120)]
    answer = await alice.raw("DELETE", "/orders", ids)
    assert (answer.status_code, len(answer.json()["not_canceled"])) == (200, 120)
    answer = await alice.raw("DELETE", "/orders", ids)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "2")
    assert answer.json() == {"error": "Too Many Requests", "retry_after_seconds": 2}
    await venue.advance(2)
    assert (await alice.raw("DELETE", "/orders", ids)).status_code == 200


# Trades that do not settle.


async def test_a_failed_trade_gives_back_what_it_took_and_is_told(untouched):
    alice, bob = await untouched.bot(), await untouched.bot()
    yes, no = await untouched.tokens(TREATY)
    before = await alice.balances(yes), await bob.balances(no)
    await alice.rest(yes, "BUY", 0.35, 10)
    await untouched.fault("failed_trades", rate=1.0)
    async with bob.user_channel() as told:
        answer = await bob.place(no, "BUY", 0.65, 10)
        assert (answer["status"], answer["takingAmount"]) == ("matched", "10")
        assert (await alice.balances(yes))[0] == before[0][0] - 3_500_000
        assert (await bob.balances(no)) == [before[1][0] - 6_500_000, 0]
        await untouched.advance(5)
        heard = [await told() for _ in range(5)]
    assert [one["event_type"] for one in heard] == ["order", "trade", "order", "trade", "trade"]
    statuses = [one["status"] for one in heard if one["event_type"] == "trade"]
    assert statuses == ["MATCHED", "RETRYING", "FAILED"]
    assert (await alice.balances(yes), await bob.balances(no)) == before
    for bot in (alice, bob):
        (trade,) = await bot.call("get_trades")
        assert (trade["id"], trade["status"]) == (answer["tradeIDs"][0], "FAILED")
        assert await bot.open() == []


async def test_a_retried_trade_settles_late_under_another_hash(untouched):
    alice, bob = await untouched.bot(), await untouched.bot()
    yes, no = await untouched.tokens(TREATY)
    await alice.rest(yes, "BUY", 0.35, 10)
    await untouched.fault("failed_trades", rate=0.0, retry_rate=1.0)
    async with alice.user_channel() as told:
        await bob.place(no, "BUY", 0.65, 10)
        await untouched.advance(5)
        assert (await alice.balances(yes))[1] == 0
        await untouched.advance(1)
        heard = [await told() for _ in range(5)]
    trades = [one for one in heard if one["event_type"] == "trade"]
    assert [one["status"] for one in trades] == ["MATCHED", "RETRYING", "MINED", "CONFIRMED"]
    assert {one["trader_side"] for one in trades} == {"MAKER"}
    hashes = [one["transaction_hash"] for one in trades]
    assert hashes[0] != hashes[1] == hashes[2] == hashes[3]
    assert (await alice.balances(yes))[1] == 10_000_000


# The dead man's switch.


async def test_an_expired_heartbeat_takes_the_orders_and_tells(venue):
    alice, bob = await venue.bot(), await venue.bot()
    yes, _ = await venue.tokens(TREATY)
    await alice.call("post_heartbeat")
    resting, others = await alice.rest(yes, "BUY", 0.3, 10), await bob.rest(yes, "BUY", 0.3, 10)
    async with alice.user_channel() as told:
        assert await venue.fault("heartbeat_expiry") == 1
        heard = await told()
    assert (heard["type"], heard["id"], heard["status"]) == (
        "CANCELLATION",
        resting,
        "CANCELED",
    )
    assert (await alice.open(), await bob.open()) == ([], [others])


async def test_ten_seconds_without_a_beat_take_the_orders(venue):
    alice = await venue.bot()
    yes, _ = await venue.tokens(TREATY)
    resting = await alice.rest(yes, "BUY", 0.3, 10)
    await venue.advance(20)
    first = (await alice.call("post_heartbeat"))["heartbeat_id"]
    await venue.advance(6)
    status, told = await refused(alice.call("post_heartbeat", "another"))
    assert (status, told) == (
        400,
        {"error_msg": "Invalid Heartbeat ID", "heartbeat_id": first},
    )
    await alice.call("post_heartbeat", first)
    await venue.advance(9)
    assert await alice.open() == [resting]
    await venue.advance(6)
    assert await alice.open() == []
    assert (await alice.call("get_order", resting))["status"] == "CANCELED"


# Who asks.


async def test_revoked_keys_are_unauthorized_until_they_are_known_again(venue):
    alice = await venue.bot()
    yes, _ = await venue.tokens(TREATY)
    resting = await alice.rest(yes, "BUY", 0.3, 10)
    await venue.fault("unauthorized", seconds=30)
    gone = (401, {"error": "Unauthorized/Invalid api key"})
    for name in ("get_open_orders", "cancel_all", "derive_api_key", "get_trades"):
        assert await refused(alice.call(name)) == gone
    assert await refused(alice.place(yes, "BUY", 0.3, 10)) == gone
    await venue.advance(30)
    assert await alice.open() == [resting]


async def test_a_block_is_answered_by_a_proxy_with_a_page(venue):
    alice = await venue.bot()
    await venue.fault("forbidden")
    status, told = await refused(alice.call("get_server_time"))
    assert (status, told.startswith("<!DOCTYPE html>")) == (403, True)
    answer = await alice.raw("DELETE", "/cancel-all")
    assert (answer.status_code, answer.headers["Content-Type"][:9]) == (403, "text/html")


async def test_a_clock_too_far_from_the_venues_is_refused_and_its_time_helps(venue):
    late, asks = await venue.bot(), await venue.bot()
    await venue.fault("clock_skew", ms=60_000)
    answer = await late.raw("GET", "/data/orders")  # Stamped by a clock that is right.
    assert (answer.status_code, answer.json()) == (401, {"error": "Unauthorized/Invalid api key"})
    assert await asks.open() == []
    assert await asks.call("get_server_time") - venue.clock() // SECOND_NS == 60
    await venue.fault("clock_skew", ms=9_000)
    assert (await late.raw("GET", "/data/orders")).status_code == 200


# The market changes.


async def test_a_coarser_tick_takes_the_orders_off_its_grid(venue):
    alice = await venue.bot()
    yes, _ = await venue.tokens(TREATY)
    off, on = await alice.rest(yes, "BUY", 0.25, 10), await alice.rest(yes, "BUY", 0.2, 10)
    async with alice.user_channel() as told:
        await venue.fault("tick_size", asset=yes, tick="0.1")
        heard = await told()
    assert (heard["type"], heard["id"], heard["status"]) == ("CANCELLATION", off, "CANCELED")
    assert await alice.open() == [on]
    signed, order_id = await alice.order(yes, "BUY", 0.25, 10)
    text = f"order {order_id} is invalid. Price (0.25) breaks minimum tick size rule: 0.1"
    assert await refused(alice.call("post_order", signed)) == (400, {"error": text})
    answer = await venue.http.get(f"{venue.url('clob')}/tick-size?token_id={yes}")
    assert answer.json() == {"minimum_tick_size": 0.1}
    await venue.fault("tick_size", asset=yes, tick="0.01")


async def test_a_finer_tick_leaves_orders_and_takes_finer_ones(venue):
    alice = await venue.bot()
    yes, _ = await venue.tokens(TREATY)
    resting = await alice.rest(yes, "BUY", 0.25, 10)
    await venue.fault("tick_size", asset=yes, tick="0.001")
    bob = await venue.bot()  # The client never asks for a tick size twice.
    finer = await bob.rest(yes, "BUY", 0.255, 10, tick="0.001")
    assert (await alice.open(), await bob.open()) == ([resting], [finer])
    await venue.fault("tick_size", asset=yes, tick="0.01")
    assert await bob.open() == []


async def test_a_game_holds_what_takes_and_tells_later(venue):
    alice = await venue.bot()
    yes, _ = await venue.tokens(GAME)
    told = await alice.place(yes, "BUY", 0.57, 10)
    assert (told["success"], told["status"], told["takingAmount"]) == (True, "delayed", "")
    held = told["orderID"]
    answer = await cancel(alice, held)
    assert answer["not_canceled"] == {held: "order can't be canceled while delayed"}
    await venue.advance(2.9)
    assert (await alice.call("get_order", held))["status"] == "DELAYED"
    await venue.advance(0.1)
    assert (await alice.call("get_order", held))["status"] == "MATCHED"
    (trade,) = await alice.call("get_trades")
    assert (trade["taker_order_id"], trade["size"]) == (held, "10")


@pytest.mark.parametrize("kind", ["restart", "post_only", "cancel_only", "trading_disabled"])
async def test_nobody_trades_with_resting_orders_that_cannot_be_cancelled(kind):
    """The venue's own traders need no REST, but are refused like everybody."""
    await trio.lowlevel.checkpoint()
    venue = SmallVenue()
    for wallet in (WALLET, "0xtaker"):
        venue.bank.fund(wallet, 100_000_000)
    resting, terms = venue.bid(5000), {"wallet": "0xtaker", "token": NO, "side": BUY}
    terms |= {"condition": resting.condition, "price_e4": 5000, "size_e6": 10_000_000}
    venue.troubles.apply(FaultOrder(kind, seconds=5, post_only_seconds=5), venue)
    with pytest.raises(Refused, match="post-only mode"):
        venue.exchange.place(Order(order_id="one", **terms))
    assert (resting.open, resting.matched_e6) == (True, 0)
    venue.advance(10)
    assert venue.exchange.place(Order(order_id="two", **terms)).status == "matched"
