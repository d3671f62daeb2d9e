"""polymarket-client's streams: an account's own events, books, prices."""

import asyncio
import time
from decimal import Decimal

from polymarket.streams import (
    CryptoPricesChainlinkTwapSpec,
    CryptoPriceSpec,
    CryptoPricesSpec,
    CryptoTwapPriceSpec,
    MarketSpec,
    UserSpec,
)

from tests.official.rig import secure_client

EVENT_S = 10
"""Settlement takes four seconds, prices come every second."""


async def following(stream, count):
    """The next events of a stream."""
    async with asyncio.timeout(EVENT_S):
        events = [await anext(stream)]
        while len(events) < count:
            events.append(await anext(stream))
    return events


def test_own_orders_and_trades_until_they_are_confirmed(venue, fresh_key):
    async def trade():
        market = venue.window
        async with (
            secure_client(venue, fresh_key(), 2) as maker,
            secure_client(venue, fresh_key(), 0) as taker,
        ):
            stream = await maker.subscribe(UserSpec(markets=[market.condition]))
            await subscribed(maker, stream, market)
            resting = await maker.place_limit_order(
                asset_id=market.tokens[0], price="0.5", size=14, side="BUY"
            )
            answer = await taker.place_limit_order(
                asset_id=market.tokens[1], price="0.5", size=10, side="BUY"
            )
            events = await following(stream, 5)
            await maker.cancel_order(order_id=resting.order_id)
            events += await following(stream, 1)
            orders = [event.payload for event in events if event.type == "order"]
            assert {order.id for order in orders} == {resting.order_id}
            assert [
                (order.order_event_type, order.status, order.size_matched) for order in orders
            ] == [
                ("PLACEMENT", "LIVE", 0),
                ("UPDATE", "LIVE", 10),
                ("CANCELLATION", "CANCELED", 10),
            ]
            trades = [event.payload for event in events if event.type == "trade"]
            assert {(trade.id,) for trade in trades} == {answer.trade_ids}
            assert [trade.status for trade in trades] == ["MATCHED", "MINED", "CONFIRMED"]
            (mine,) = trades[-1].maker_orders
            assert (trades[-1].trader_side, mine.order_id) == ("MAKER", resting.order_id)
            assert (mine.matched_amount, mine.price) == (10, Decimal("0.5"))
            (listed,) = [t async for t in maker.list_account_trades().iter_items()]
            assert (listed.id, listed.transaction_hash) == (
                trades[-1].id,
                trades[-1].transaction_hash,
            )
            await stream.close()

    asyncio.run(trade())


async def subscribed(client, stream, market):
    """Place and cancel until the stream tells of it: a subscription has no answer."""
    ends = time.monotonic() + EVENT_S
    while time.monotonic() < ends:
        placed = await client.place_limit_order(
            asset_id=market.tokens[0], price="0.02", size=10, side="BUY"
        )
        await client.cancel_order(order_id=placed.order_id)
        try:
            async with asyncio.timeout(0.2):
                while (await anext(stream)).payload.order_event_type != "CANCELLATION":
                    pass
        except TimeoutError:
            continue
        return
    raise AssertionError("the user stream tells nothing")


def test_book_and_what_changes_it(venue, fresh_key):
    async def trade():
        market = venue.day
        up, down = market.tokens
        async with secure_client(venue, fresh_key(), 1) as client:
            spec = MarketSpec(asset_ids=[up, down], custom_feature_enabled=True)
            stream = await client.subscribe(spec)
            books = await following(stream, 2)
            assert [event.type for event in books] == ["book", "book"]
            book = next(event.payload for event in books if event.payload.asset_id == up)
            told = await client.get_order_book(asset_id=up)
            assert (book.hash, book.bids) == (told.hash, told.bids)
            placed = await client.place_limit_order(asset_id=up, price="0.5", size=10, side="BUY")
            seen = {}
            while "best_bid_ask" not in seen or "price_change" not in seen:
                (event,) = await following(stream, 1)
                seen[event.type] = event.payload
            change = seen["price_change"]
            assert change.condition_id == market.condition
            assert {
                (row.asset_id, row.price, row.size, row.side) for row in change.price_changes
            } == {
                (up, Decimal("0.5"), Decimal(10), "BUY"),
                (down, Decimal("0.5"), Decimal(10), "SELL"),
            }
            assert (await client.cancel_all()).canceled == (placed.order_id,)
            await client.place_market_order(
                asset_id=up, side="BUY", amount=5, max_price="0.6", order_type="FOK"
            )
            while "last_trade_price" not in seen:
                (event,) = await following(stream, 1)
                seen[event.type] = event.payload
            told_trade = seen["last_trade_price"]
            assert (told_trade.asset_id, told_trade.side, told_trade.price) == (
                up,
                "BUY",
                Decimal("0.51"),
            )
            await stream.close()

    asyncio.run(trade())


def test_prices_and_their_history(venue, fresh_key):
    specs = (CryptoPriceSpec(symbols=["btcusd"]), CryptoTwapPriceSpec(symbols=["btcusd"]))
    for spec, events in zip(specs, told(venue, fresh_key(), specs, 3), strict=True):
        history, first, second = events
        assert [event.topic for event in events] == [spec.topic] * 3
        assert [event.type for event in events] == ["subscribe", "update", "update"]
        assert {event.payload.symbol for event in events} == {"btcusd"}
        assert second.seq == first.seq + 1
        stamps = [point.timestamp for point in history.payload.data]
        assert stamps == sorted(set(stamps))
        assert stamps[-1] < first.payload.timestamp < second.payload.timestamp
        last = history.payload.data[-1].value
        assert abs(first.payload.value - last) < last / 100


def test_prices_of_the_older_relay(venue, fresh_key):
    specs = (
        CryptoPricesSpec(topic="prices.crypto.binance", symbols=["btcusdt"]),
        CryptoPricesSpec(topic="prices.crypto.chainlink", symbols=["btc/usd"]),
        CryptoPricesChainlinkTwapSpec(window_seconds=60, symbols=["btc/usd"]),
    )
    for spec, (first, second) in zip(specs, told(venue, fresh_key(), specs, 2), strict=True):
        assert first.topic == second.topic == spec.topic
        assert [first.payload.symbol, second.payload.symbol] == [*spec.symbols] * 2
        assert first.payload.timestamp < second.payload.timestamp


def told(venue, key, specs, count):
    """The first events of several subscriptions of one client."""

    async def read():
        async with secure_client(venue, key, 0) as client:
            streams = [await client.subscribe(spec) for spec in specs]
            events = await asyncio.gather(*(following(stream, count) for stream in streams))
            for stream in streams:
                await stream.close()
            return events

    return asyncio.run(read())
