"""The CLOB's public endpoints, read with the official client's own models."""

import hashlib
import json
from decimal import Decimal

import pytest
import trio
from polymarket._internal.actions import clob as official
from polymarket._internal.actions.orders import market_data
from polymarket._internal.actions.rewards import (
    parse_current_rewards_page,
    parse_market_rewards_page,
    parse_reward_markets_page,
)
from polymarket.models.clob import BuilderFeeRates

from polytrade.core.ids import BUY, SELL
from polytrade.sandbox.faults import FaultOrder
from polytrade.sandbox.venue.limits import Limits, Window
from tests.sandbox.venue.clob_rig import (
    CONDITION,
    NO_TOKEN,
    SLOW_CONDITION,
    SLOW_TOKENS,
    START_S,
    YES_TOKEN,
    clob_rig,
)

NO_BOOK = {"error": "No orderbook exists for the requested token id"}
TOKENS = [{"token_id": YES_TOKEN}, {"token_id": "99"}, {"token_id": NO_TOKEN}]


def quoted():
    venue, client, _ = clob_rig()
    venue.quote(BUY, 4500, 60_000_000)
    venue.quote(SELL, 5200, 75_500_000)
    return venue, client


async def traded():
    """A taker bought Up for 0.52 from somebody who sold it."""
    venue, client = quoted()
    status, answered = await client.place("BUY", 0.52, 10.0)
    assert (status, answered["status"]) == (200, "matched")
    return venue, client


async def test_the_venue_says_that_it_is_there_and_what_time_it_is():
    venue, client, _ = clob_rig()
    assert await client.get("/ok") == (200, "OK")
    assert await client.get("/") == (200, "OK")
    assert await client.get("/version") == (200, {"version": 2})
    assert await client.get("/time") == (200, START_S)
    venue.troubles.apply(FaultOrder("clock_skew", ms=-9_000), venue)
    assert await client.get("/time") == (200, START_S - 9)


async def test_a_book_is_the_documented_object_with_its_hash():
    _, client = quoted()
    status, book = await client.get("/book", token_id=NO_TOKEN)
    assert status == 200
    assert (book["market"], book["asset_id"]) == (CONDITION, NO_TOKEN)
    assert book["bids"] == [{"price": "0.48", "size": "75.5"}]
    assert book["asks"] == [{"price": "0.55", "size": "60"}]
    body = json.dumps({**book, "hash": ""}, separators=(",", ":"))
    assert hashlib.sha1(body.encode()).hexdigest() == book["hash"]
    assert official.parse_order_book(book).tick_size == Decimal("0.01")
    status, books = await client.post("/books", TOKENS)
    assert [book["asset_id"] for book in books] == [YES_TOKEN, NO_TOKEN]
    assert len(official.parse_order_books(books)) == 2


async def test_prices_of_one_token():
    _, client = quoted()
    assert await client.get("/price", token_id=YES_TOKEN, side="BUY") == (200, {"price": "0.45"})
    assert await client.get("/price", token_id=YES_TOKEN, side="SELL") == (200, {"price": "0.52"})
    assert await client.get("/price", token_id=NO_TOKEN, side="BUY") == (200, {"price": "0.48"})
    assert await client.get("/midpoint", token_id=YES_TOKEN) == (200, {"mid": "0.485"})
    assert await client.get("/midpoint", token_id=NO_TOKEN) == (200, {"mid": "0.515"})
    assert await client.get("/spread", token_id=NO_TOKEN) == (200, {"spread": "0.07"})
    assert await client.get("/price", token_id=SLOW_TOKENS[0], side="BUY") == (200, {"price": "0"})
    assert official.parse_midpoint({"mid": "0.485"}) == Decimal("0.485")


async def test_prices_of_many_tokens():
    _, client = quoted()
    both = {YES_TOKEN: "0.485", NO_TOKEN: "0.515"}
    assert await client.post("/midpoints", TOKENS) == (200, both)
    assert await client.post("/spreads", TOKENS) == (200, {YES_TOKEN: "0.07", NO_TOKEN: "0.07"})
    wanted = [
        {"token_id": YES_TOKEN, "side": "BUY"},
        {"token_id": YES_TOKEN, "side": "SELL"},
        {"token_id": NO_TOKEN, "side": "SELL"},
    ]
    status, prices = await client.post("/prices", wanted)
    assert (status, prices) == (
        200,
        {YES_TOKEN: {"BUY": "0.45", "SELL": "0.52"}, NO_TOKEN: {"SELL": "0.55"}},
    )
    assert official.parse_prices(prices)[YES_TOKEN]["BUY"] == Decimal("0.45")


async def test_the_last_trade_is_told_in_each_tokens_terms():
    _, client = quoted()
    nothing = await client.get("/last-trade-price", token_id=YES_TOKEN)
    assert nothing == (200, {"price": "0.5", "side": ""})
    assert official.parse_last_trade_price(nothing[1]) is None
    assert await client.post("/last-trades-prices", TOKENS) == (200, [])
    _, client = await traded()
    assert await client.get("/last-trade-price", token_id=YES_TOKEN) == (
        200,
        {"price": "0.52", "side": "BUY"},
    )
    status, rows = await client.post("/last-trades-prices", TOKENS)
    assert (status, rows) == (
        200,
        [
            {"token_id": YES_TOKEN, "price": "0.52", "side": "BUY"},
            {"token_id": NO_TOKEN, "price": "0.48", "side": "SELL"},
        ],
    )
    assert len(official.parse_last_trade_prices(rows)) == 2


async def test_parameters_of_a_token():
    _, client, _ = clob_rig()
    assert await client.get("/tick-size", token_id=YES_TOKEN) == (200, {"minimum_tick_size": 0.01})
    assert await client.get("/neg-risk", token_id=SLOW_TOKENS[0]) == (200, {"neg_risk": True})
    assert await client.get("/fee-rate", token_id=YES_TOKEN) == (200, {"base_fee": 1000})
    assert await client.get("/fee-rate", token_id=SLOW_TOKENS[0]) == (200, {"base_fee": 0})
    assert await client.get(f"/markets-by-token/{NO_TOKEN}") == (
        200,
        {
            "condition_id": CONDITION,
            "primary_token_id": YES_TOKEN,
            "secondary_token_id": NO_TOKEN,
        },
    )


@pytest.mark.parametrize(
    ("path", "params", "status", "text"),
    [
        ("/book", {"token_id": "99"}, 404, NO_BOOK["error"]),
        ("/book", {"token_id": "abc"}, 400, "Invalid token id"),
        ("/book", {}, 400, "Invalid token id"),
        ("/price", {"token_id": YES_TOKEN, "side": "buy"}, 400, "Invalid side"),
        ("/price", {"token_id": YES_TOKEN}, 400, "Invalid side"),
        ("/midpoint", {"token_id": "99"}, 404, NO_BOOK["error"]),
        ("/spread", {"token_id": "x"}, 400, "Invalid token id"),
        ("/last-trade-price", {"token_id": ""}, 400, "Invalid token id"),
        ("/tick-size", {"token_id": "99"}, 404, "market not found"),
        ("/neg-risk", {"token_id": "99"}, 404, "market not found"),
        ("/markets/0x12", {}, 400, "Invalid market"),
        ("/markets/0x" + "0" * 64, {}, 404, "market not found"),
        ("/clob-markets/0x" + "0" * 64, {}, 404, "market not found"),
        ("/markets-by-token/99", {}, 404, "market not found"),
        ("/fees/builder-fees/12", {}, 400, "Invalid builder code"),
        ("/markets", {"next_cursor": "!!"}, 400, "invalid next_cursor"),
        ("/prices-history", {"market": "99"}, 400, "invalid filters: market"),
        (
            "/prices-history",
            {"market": YES_TOKEN, "interval": "2h"},
            400,
            "invalid filters: interval",
        ),
        (
            "/prices-history",
            {"market": YES_TOKEN},
            400,
            "invalid filters: startTs or interval is required",
        ),
        ("/rfq/config", {}, 404, "not found"),
        ("/order", {}, 405, "method not allowed"),
    ],
)
async def test_reads_the_venue_refuses(path, params, status, text):
    _, client, _ = clob_rig()
    assert await client.get(path, **params) == (status, {"error": text})


@pytest.mark.parametrize(
    ("path", "body", "text"),
    [
        ("/books", {"token_id": YES_TOKEN}, "Invalid payload"),
        ("/books", ["1"], "Invalid payload"),
        ("/books", [{"token_id": YES_TOKEN}] * 501, "Payload exceeds the limit"),
        ("/prices", [{"token_id": YES_TOKEN, "side": 0}], "Invalid side"),
        ("/midpoints", None, "Invalid payload"),
    ],
)
async def test_posts_the_venue_refuses(path, body, text):
    _, client, _ = clob_rig()
    assert await client.post(path, body) == (400, {"error": text})


async def test_a_market_in_long_and_compact_form():
    _, client = await traded()
    status, market = await client.get(f"/markets/{CONDITION}")
    assert status == 200
    assert market["tokens"] == [
        {"token_id": YES_TOKEN, "outcome": "Up", "price": 0.485, "winner": False},
        {"token_id": NO_TOKEN, "outcome": "Down", "price": 0.515, "winner": False},
    ]
    assert (market["minimum_order_size"], market["minimum_tick_size"]) == (5, 0.01)
    assert (market["closed"], market["accepting_orders"]) == (False, True)
    assert market["end_date_iso"] == "2026-09-21T14:20:00Z"
    assert market["rewards"]["max_spread"] == 4.5
    status, compact = await client.get(f"/clob-markets/{CONDITION}")
    assert status == 200
    assert compact["fd"] == {"r": 0.07, "e": 1, "to": True}
    assert compact["r"] == {"mi": 50, "ma": 4.5, "e": True, "moas": 3.5}
    assert "nr" not in compact
    info = market_data._parse_market_info(compact)
    assert (info.tick_size, info.neg_risk) == (Decimal("0.01"), False)
    assert info.token_ids == {YES_TOKEN, NO_TOKEN}
    _, slow = await client.get(f"/clob-markets/{SLOW_CONDITION}")
    assert market_data._parse_market_info(slow).fee_info.rate == 0
    assert (slow["nr"], slow["mts"]) == (True, 0.001)


async def test_a_resolved_market_names_its_winner():
    venue, client = quoted()
    venue.exchange.close_market(CONDITION)
    venue.calendar.by_condition[CONDITION].winner = 1
    venue.exchange.resolve(CONDITION, (0, 1_000_000))
    _, market = await client.get(f"/markets/{CONDITION}")
    assert (market["closed"], market["accepting_orders"]) == (True, False)
    assert [(token["price"], token["winner"]) for token in market["tokens"]] == [
        *((0, False), (1, True))
    ]


async def test_lists_of_markets_come_in_pages():
    _, client, _ = clob_rig()
    for path, conditions in {
        "/markets": [CONDITION, SLOW_CONDITION],
        "/simplified-markets": [CONDITION, SLOW_CONDITION],
        "/sampling-markets": [CONDITION],
        "/sampling-simplified-markets": [CONDITION],
    }.items():
        status, page = await client.get(path, next_cursor="MA==")
        assert status == 200
        assert [row["condition_id"] for row in page["data"]] == conditions
        assert (page["next_cursor"], page["count"]) == ("LTE=", len(conditions))
    _, page = await client.get("/markets", next_cursor="LTE=")
    assert (page["data"], page["next_cursor"]) == ([], "LTE=")


async def test_past_prices_and_trades_of_a_market(autojump_clock):
    venue, client = await traded()
    await trio.sleep(30)
    status, page = await client.get(
        "/prices-history", market=NO_TOKEN, startTs=0, endTs=START_S - 1
    )
    assert (status, page) == (200, {"history": []})
    status, page = await client.get("/prices-history", market=NO_TOKEN, interval="1h", fidelity=1)
    # The minute's last trade, and what the token is worth now.
    assert page["history"] == [{"t": START_S, "p": 0.48}, {"t": START_S + 30, "p": 0.515}]
    status, rows = await client.get(f"/markets/live-activity/{CONDITION}")
    assert status == 200
    (trade,) = venue.exchange.trades.values()
    assert [(row["price"], row["size"], row["side"], row["outcome"]) for row in rows] == [
        ("0.52", "10", "BUY", "Up")
    ]
    assert rows[0]["timestamp"] == str(trade.match_ns // 1_000_000_000)


async def test_markets_that_pay_rewards():
    _, client = quoted()
    status, page = await client.get("/rewards/markets/current")
    assert status == 200
    (current,) = parse_current_rewards_page(page).items
    assert (current.condition_id, current.rewards_max_spread) == (CONDITION, 4.5)
    assert current.rewards_config[0].rate_per_day == 100
    _, page = await client.get(f"/rewards/markets/{CONDITION}")
    (market,) = parse_market_rewards_page(page).items
    assert [token.price for token in market.tokens] == [Decimal("0.485"), Decimal("0.515")]
    _, page = await client.get("/rewards/markets/multi", page_size=100)
    (found,) = parse_reward_markets_page(page).items
    assert (found.spread, found.rewards_min_size) == (Decimal("0.07"), 50)
    _, page = await client.get("/rewards/markets/multi", q="nobody asked")
    assert page["data"] == []
    assert await client.get("/rebates/current", date="2026-09-21") == (200, [])
    assert (await client.get("/rebates/current", date="today"))[0] == 400


async def test_builders_pay_nothing():
    _, client, _ = clob_rig()
    status, fees = await client.get("/fees/builder-fees/0x" + "ab" * 32)
    assert status == 200
    assert BuilderFeeRates.parse_response(fees).taker == 0
    _, page = await client.get("/builder/trades", builder_code="0x" + "ab" * 32)
    assert (page["data"], page["next_cursor"]) == ([], "LTE=")


async def test_an_address_that_asks_too_often_waits(autojump_clock):
    venue, client, _ = clob_rig()
    venue.limits = Limits(windows=(Window("", "/time", 2),))
    assert [(await client.get("/time"))[0] for _ in range(3)] == [200, 200, 429]
    assert (await client.get("/ok"))[0] == 200
    await trio.sleep(20)
    assert (await client.get("/time"))[0] == 200


async def test_a_block_is_a_page_of_html():
    venue, client, _ = clob_rig()
    venue.troubles.apply(FaultOrder("forbidden", seconds=5), venue)
    response = await client.http.get("/time")
    assert response.status_code == 403
    assert response.content_type.startswith("text/html")
    assert "blocked" in await response.get_data(as_text=True)


async def test_a_request_waits_for_a_venue_that_is_behind():
    venue, client, _ = clob_rig()
    turns = [False, False, True]
    venue.catch_up = lambda: turns.pop(0)
    assert await client.get("/ok") == (200, "OK")
    assert turns == []
