"""polymarket-client, only its environment's addresses replaced: wallets, orders, money, keys."""

import asyncio
import inspect
import re
import time
from decimal import Decimal
from pathlib import Path

import pytest
from eth_account import Account
from polymarket import AsyncPublicClient, AsyncSecureClient, PublicClient, SecureClient
from polymarket.auth import BuilderApiKey
from polymarket.calls import erc20_approval_call
from polymarket.errors import (
    OrderHeartbeatMismatchError,
    RateLimitError,
    RequestRejectedError,
    UserInputError,
)
from polymarket.models.clob.requests import PriceRequest

from polytrade.sandbox.venue.wallets import wallets_of
from tests.official.rig import Trader, environment, secure_client

FAUCET_E6 = 10_000_000_000
KINDS = ("EOA", "POLY_PROXY", "GNOSIS_SAFE", "DEPOSIT_WALLET")
BUILDER = "0x" + "b1" * 32
DAY = "2026-11-01"

NOT_TRIED = {
    "perpetuals": r".*perps.*",
    "combos and requests for quotes": r".*(combo|rfq).*|plan_collateral.*|execute_collateral.*",
    "comments, profiles, sports data": r".*comment.*|get_public_profile|list_teams|get_sports.*",
    "session keys": r".*session_key.*",
    "statistics of the Data API": (
        r"list_trader_leaderboard|get_trader_leaderboard_standing|list_biggest_winners"
        r"|list_builder_leaderboard|get_builder_volumes|get_user_(stats|pnl|volume)"
        r"|list_market_holders|list_price_history|get_token_references|get_event_live_volume"
        r"|download_accounting_snapshot|get_related_.*"
    ),
    "tried as a part of end_authentication": r"delete_api_key",
    "does nothing any more": r"setup_gasless_wallet|is_gasless_ready",
    "plain values": r"close",
}
"""What no test here calls, by pattern; the first kinds are what the venue has not: 404."""


def test_every_public_method_is_tried_or_named():
    methods = {
        name
        for name, _ in inspect.getmembers(AsyncSecureClient, inspect.isfunction)
        if not name.startswith("_")
    }
    folder = Path(__file__).parent
    names = ("test_polymarket_client.py", "test_polymarket_streams.py", "rig.py")
    tried = set(
        re.findall(r"\.(\w+)(?:\(|\n)", "".join((folder / name).read_text() for name in names))
    )
    left = methods - tried
    named = {name for name in left if any(re.fullmatch(p, name) for p in NOT_TRIED.values())}
    assert left == named


async def items(paginator):
    """Everything a paginator gives."""
    return [item async for item in paginator.iter_items()]


def rejected(refused, status, text):
    """Whether a client's error is the venue's refusal."""
    return (refused.value.status, str(refused.value)) == (status, text)


# Wallets.


async def done(handles):
    """Wait for transactions that are under way together."""
    outcomes = await asyncio.gather(*(handle.wait() for handle in handles))
    assert all(len(outcome.transaction_hash) == 66 for outcome in outcomes)


async def life_of_a_wallet(venue, key, kind):
    """Approvals, splits, orders in each domain, merges, a trade until it is settled."""
    async with secure_client(venue, key, kind) as client:
        assert client.wallet_type == KINDS[kind]
        assert (kind, client.wallet) in wallets_of(client.signer)
        assert (await client.get_trading_approvals_state()).is_fully_approved
        await (await client.setup_trading_approvals()).wait()
        markets = (venue.window, venue.day, venue.candidate)
        conditions = [market.condition for market in markets]
        split = client.split_position
        await done([await split(condition_id=name, amount=8_000_000) for name in conditions])
        for market in markets:
            for token, side, price in ((0, "BUY", "0.05"), (1, "SELL", "0.95")):
                placed = await client.place_limit_order(
                    asset_id=market.tokens[token], price=price, size=8, side=side
                )
                assert (placed.ok, placed.status) == (True, "live")
                order = await client.get_order(order_id=placed.order_id)
                assert (order.maker_address, order.side) == (client.wallet, side)
            cancelled = await client.cancel_market_orders(market=market.condition)
            assert len(cancelled.canceled) == 2
        merge = client.merge_positions
        await done([await merge(condition_id=name, amount="max") for name in conditions])
        cash = await client.get_balance_allowance(asset_type="COLLATERAL")
        assert cash.balance == FAUCET_E6
        await trade_until_settled(client, venue.treaty)


async def trade_until_settled(client, market):
    """A purchase in the books of the CLOB at once, and in the Data API once it is on chain."""
    asset_id = market.tokens[1]
    bought = await client.place_market_order(
        asset_id=asset_id, side="BUY", amount=5, max_price="0.9"
    )
    assert (bought.status, bought.making_amount) == ("matched", Decimal(5))
    for before in (client.list_positions(), client.list_trades(), client.list_activity()):
        assert await items(before) == []
    (settled,) = await client.wait_for_order_fill_settlement(bought)
    (trade,) = await items(client.list_account_trades(market=market.condition))
    assert (trade.status, trade.transaction_hash) == ("CONFIRMED", settled)
    shares = await client.get_balance_allowance(asset_type="CONDITIONAL", asset_id=asset_id)
    assert shares.balance == int(bought.taking_amount * 1_000_000)
    (trade,) = await items(client.list_trades())
    assert (trade.wallet, trade.transaction_hash) == (client.wallet, settled)
    assert (trade.asset_id, trade.size) == (asset_id, bought.taking_amount)
    (action,) = await items(client.list_activity())
    assert (action.type, action.amount) == ("TRADE", Decimal(5))
    (held,) = await items(client.list_positions())
    assert (held.asset_id, held.current_size) == (asset_id, bought.taking_amount)
    assert abs(held.avg_price * held.current_size - 5) < Decimal("0.0001")
    assert (await client.get_portfolio_value()).value == held.current_value
    (interest,) = await client.get_open_interests(condition_ids=market.condition)
    assert interest.value >= held.current_size
    (told,) = await client.get_notifications()
    assert told.payload.asset_id == asset_id
    await client.drop_notifications(ids=[told.id])
    assert await client.get_notifications() == ()


def test_every_kind_of_wallet(venue, fresh_key):
    """All four side by side: settlement takes four seconds."""

    async def all_kinds():
        lives = [life_of_a_wallet(venue, fresh_key(), kind) for kind in range(4)]
        await asyncio.gather(*lives)

    asyncio.run(all_kinds())


def test_wallet_that_is_not_the_signers(venue, fresh_key):
    async def create():
        await AsyncSecureClient.create(
            private_key=fresh_key(), wallet="0x" + "11" * 20, environment=environment(venue)
        )

    with pytest.raises(UserInputError):
        asyncio.run(create())


def test_transfers_and_single_approvals(venue, fresh_key):
    """Both ways a call reaches the chain: from the address itself and through the relayer."""

    async def call(kind, receiver):
        async with secure_client(venue, fresh_key(), kind) as client:
            config = client.environment._config
            handles = [
                await client.approve_erc20(
                    token_address=config.collateral_token,
                    spender_address=config.standard_exchange,
                    amount="max",
                ),
                await client.approve_erc1155_for_all(
                    token_address=config.conditional_tokens,
                    operator_address=config.standard_exchange,
                ),
                await client.transfer_erc20(
                    token_address=config.collateral_token,
                    recipient_address=receiver,
                    amount=1_500_000,
                ),
            ]
            await done(handles)
            cash = await client.get_balance_allowance(asset_type="COLLATERAL")
            assert cash.balance == FAUCET_E6 - 1_500_000

    async def both(receiver):
        await asyncio.gather(call(0, receiver), call(2, receiver))

    receiver = Trader(venue, fresh_key())
    asyncio.run(both(receiver.wallet))
    assert receiver.cash_e6() == FAUCET_E6 + 3_000_000


def test_merges_of_several_markets_at_once(venue, fresh_key):
    key, markets = fresh_key(), (venue.window, venue.candidate)
    for market in markets:
        Trader(venue, key, 1).split(market, "5")

    async def merge():
        async with secure_client(venue, key, 1) as client:
            config = client.environment._config
            spenders = (config.standard_exchange, config.exchange_v3)
            calls = [
                erc20_approval_call(token_address=config.collateral_token, spender=name, amount=7)
                for name in spenders
            ]
            handles = [
                await client.execute_transaction(calls=calls),
                await client.merge_multiple_positions(
                    positions=[{"condition_id": market.condition} for market in markets]
                ),
            ]
            await done(handles)
            cash = await client.get_balance_allowance(asset_type="COLLATERAL")
            assert cash.balance == FAUCET_E6

    asyncio.run(merge())


def test_winner_is_redeemed_after_the_resolution(venue, fresh_key):
    (slug,) = [slug for slug in venue.ready["slugs"] if slug.startswith("harbour-rate-cut")]
    key, market = fresh_key(), venue.market(slug)
    Trader(venue, key, 2).split(market, "6")
    venue.admin("/admin/resolve", slug=slug, winner=1)

    async def redeem():
        async with secure_client(venue, key, 2) as client:
            (told,) = await client.get_resolutions(condition_ids=market.condition)
            assert told.status == "resolved"
            closed = await client.get_market(slug=slug)
            assert closed.state.closed
            assert (closed.outcomes.yes.price, closed.outcomes.no.price) == (0, 1)
            held = await items(client.list_positions(status="REDEEMABLE"))
            assert {row.asset_id for row in held} == set(market.tokens)
            handle = await client.redeem_positions(condition_id=market.condition)
            await done([handle])
            cash = await client.get_balance_allowance(asset_type="COLLATERAL")
            assert cash.balance == FAUCET_E6

    asyncio.run(redeem())


# Orders.


def test_manners_of_orders(venue, fresh_key):
    async def trade():
        async with secure_client(venue, fresh_key()) as client:
            up = venue.window.tokens[0]
            expires_s = int(time.time()) + 300
            timed = await client.place_limit_order(
                asset_id=up, price="0.05", size=10, side="BUY", expiration=expires_s
            )
            order = await client.get_order(order_id=timed.order_id)
            assert (order.order_type, order.expires_at.timestamp()) == ("GTD", expires_s)
            await client.place_limit_order(
                asset_id=up, price="0.06", size=10, side="BUY", post_only=True
            )
            with pytest.raises(RequestRejectedError) as refused:
                await client.place_limit_order(
                    asset_id=up, price="0.6", size=10, side="BUY", post_only=True
                )
            assert rejected(refused, 400, "invalid post-only order: order crosses book")
            signed = [
                await client.create_limit_order(asset_id=up, price="0.07", size=size, side="BUY")
                for size in (10, 3)
            ]
            good, small = await client.post_orders(signed)
            assert (good.ok, good.status) == (True, "live")
            assert (small.ok, small.code) == (False, "unknown")
            assert small.message.endswith("Size (3) lower than the minimum: 5")
            assert len(await items(client.list_open_orders(asset_id=up))) == 3
            one = await client.cancel_order(order_id=timed.order_id)
            assert one.canceled == (timed.order_id,)
            two = await client.cancel_orders(order_ids=[good.order_id, timed.order_id])
            assert two.canceled == (good.order_id,)
            assert list(two.not_canceled) == [timed.order_id]
            assert len((await client.cancel_all()).canceled) == 1

    asyncio.run(trade())


def test_market_orders_are_filled_or_killed(venue, fresh_key):
    async def trade():
        async with secure_client(venue, fresh_key(), 1) as client:
            token = venue.treaty.tokens[0]
            estimate = await client.estimate_market_price(asset_id=token, side="BUY", amount=5)
            book = await client.get_order_book(asset_id=token)
            assert estimate == book.asks[-1].price
            signed = await client.create_market_order(
                asset_id=token, side="BUY", amount=5, max_price=estimate, order_type="FOK"
            )
            filled = await client.post_order(signed)
            assert (filled.status, filled.making_amount) == ("matched", Decimal(5))
            last = await client.get_last_trade_price(asset_id=token)
            (listed,) = await client.get_last_trade_prices(asset_ids=[token])
            assert (last.price, last.side) == (listed.price, listed.side) == (estimate, "BUY")
            for order_type, text in (
                ("FOK", "order couldn't be fully filled. FOK orders are fully filled or killed."),
                (
                    "FAK",
                    "no orders found to match with FAK order. FAK orders are partially filled or "
                    "killed if no match is found.",
                ),
            ):
                with pytest.raises(RequestRejectedError) as refused:
                    await client.place_market_order(
                        asset_id=token,
                        side="BUY",
                        amount=5,
                        max_price="0.02",
                        order_type=order_type,
                    )
                assert rejected(refused, 400, text)

    asyncio.run(trade())


def test_order_beyond_the_balance(venue, fresh_key):
    """The client looks whether an allowance is missing; there is none it could repair."""

    async def trade():
        async with secure_client(venue, fresh_key()) as client:
            with pytest.raises(RequestRejectedError) as refused:
                await client.place_limit_order(
                    asset_id=venue.treaty.tokens[0], price="0.1", size=200_000, side="BUY"
                )
            assert rejected(
                refused,
                400,
                "not enough balance / allowance: the balance is not enough -> "
                "balance: 10000000000, order amount: 20000000000",
            )

    asyncio.run(trade())


def test_client_that_waits_for_its_answers(venue, fresh_key):
    """The same client without async."""
    key, here = fresh_key(), environment(venue)
    token = venue.window.tokens[0]
    with PublicClient(environment=here) as client:
        assert client.get_midpoint(asset_id=token) == Decimal("0.5")
    wallet = Account.from_key(key).address
    with SecureClient.create(private_key=key, wallet=wallet, environment=here) as client:
        placed = client.place_limit_order(asset_id=token, price="0.05", size=10, side="BUY")
        assert [order.id for order in client.list_open_orders().iter_items()] == [placed.order_id]
        assert client.cancel_all().canceled == (placed.order_id,)


# Limits and troubles.


def test_limits_are_told_and_enforced(venue, fresh_key):
    told = []

    async def trade():
        async with secure_client(venue, fresh_key(), on_rate_limit_update=told.append) as client:
            token = venue.treaty.tokens[0]
            await client.place_limit_order(asset_id=token, price="0.05", size=10, side="BUY")
            assert (told[-1].tier, told[-1].remaining) == ("Standard", 59)
            assert abs(told[-1].reset - time.time()) < 5
            venue.admin("/admin/fault", kind="rate_limit", calls="place", retry_s=7)
            with pytest.raises(RateLimitError) as refused:
                await client.place_limit_order(asset_id=token, price="0.05", size=10, side="BUY")
            assert refused.value.retry_after == 7

    asyncio.run(trade())


@pytest.mark.parametrize(
    ("fault", "status", "restriction"),
    [
        ({"kind": "restart", "seconds": 30}, 425, "restarting"),
        ({"kind": "cancel_only"}, 503, "cancel_only"),
        ({"kind": "post_only"}, 503, "post_only"),
        ({"kind": "trading_disabled"}, 503, None),
        ({"kind": "unauthorized"}, 401, None),
        ({"kind": "forbidden"}, 403, None),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else "",
)
def test_restrictions_are_understood(venue, fresh_key, fault, status, restriction):
    async def trade():
        async with secure_client(venue, fresh_key(), 0) as client:
            order = await client.create_limit_order(
                asset_id=venue.treaty.tokens[0], price="0.05", size=10, side="BUY"
            )
            venue.admin("/admin/fault", **fault)
            try:
                with pytest.raises(RequestRejectedError) as refused:
                    await client.post_order(order)
            finally:
                venue.admin("/admin/fault", kind="clear")
            assert refused.value.status == status
            assert refused.value.restriction == restriction

    asyncio.run(trade())


def test_heartbeats_follow_each_other(venue, fresh_key):
    async def beat():
        async with secure_client(venue, fresh_key()) as client:
            first = await client.send_order_heartbeat()
            second = await client.send_order_heartbeat(heartbeat_id=first.heartbeat_id)
            with pytest.raises(OrderHeartbeatMismatchError) as refused:
                await client.send_order_heartbeat(heartbeat_id=first.heartbeat_id)
            assert refused.value.heartbeat_id == second.heartbeat_id
            await client.place_limit_order(
                asset_id=venue.treaty.tokens[0], price="0.05", size=10, side="BUY"
            )
            venue.admin("/admin/fault", kind="heartbeat_expiry")
            assert await items(client.list_open_orders()) == []

    asyncio.run(beat())


# Keys.


def test_keys_and_their_end(venue, fresh_key):
    async def use():
        key = fresh_key()
        async with secure_client(venue, key) as client:
            assert await client.fetch_api_keys() == (client.credentials.key,)
            assert await client.get_closed_only_mode() is False
            builder = await client.create_builder_api_key()
            (listed,) = await client.fetch_builder_api_keys()
            assert (listed.key, listed.revoked_at) == (builder.key, None)
            builder_key = BuilderApiKey(builder.key, builder.secret, builder.passphrase)
            async with secure_client(venue, key, api_key=builder_key) as other:
                assert other.credentials == client.credentials
                await other.revoke_builder_api_key()
            (listed,) = await client.fetch_builder_api_keys()
            assert listed.revoked_at is not None
        signer = await AsyncSecureClient.create(
            private_key=key, wallet=client.signer, environment=environment(venue)
        )
        assert signer.credentials == client.credentials
        public = await signer.end_authentication()
        async with public:
            assert await public.get_midpoint(asset_id=venue.window.tokens[0]) == Decimal("0.5")

    asyncio.run(use())


# What is told without an order.


def test_gamma_is_paged_through(venue):
    async def read():
        async with AsyncPublicClient(environment=environment(venue)) as client:
            markets = await items(client.list_markets(page_size=7))
            assert {market.slug for market in markets} >= {venue.window.slug, venue.day.slug}
            assert len({market.id for market in markets}) == len(markets)
            events = await items(client.list_events(page_size=3))
            children = sum(len(event.markets) for event in events)
            assert children == len(markets)
            found = await items(client.search(q="Harbour Council"))
            assert len(found[0].events[0].markets) == 3
            return markets[0]

    market = asyncio.run(read())
    assert market.trading.minimum_order_size == 5


def test_gamma_objects_are_found_by_what_names_them(venue):
    async def read():
        async with AsyncPublicClient(environment=environment(venue)) as client:
            for wanted, version in ((venue.window, "v1"), (venue.day, "v2")):
                market = await client.get_market(slug=wanted.slug)
                assert market == await client.get_market(id=market.id)
                assert (market.version, market.condition_id) == (version, wanted.condition)
                label = (market.outcomes.yes.label, market.outcomes.no.label)
                assert label == wanted.outcomes
                named = market.outcomes.yes
                asset = named.token_id if version == "v1" else named.position_id
                assert asset == wanted.tokens[0]
            event = await client.get_event(slug=venue.window.slug)
            assert event.markets[0].condition_id == venue.window.condition
            tags = await client.get_event_tags(id=event.id)
            assert tags == await client.get_market_tags(id=event.markets[0].id)
            assert await client.get_tag(id=tags[0].id) == await client.get_tag(slug=tags[0].slug)
            (series,) = [row for row in await items(client.list_series()) if "5m" in row.slug]
            assert (await client.get_series(id=series.id)).slug == series.slug
            assert tags[0].id in {tag.id for tag in await items(client.list_tags())}

    asyncio.run(read())


def test_prices_agree_with_the_book(venue):
    async def read():
        async with AsyncPublicClient(environment=environment(venue)) as client:
            token = venue.window.tokens[0]
            book = await client.get_order_book(asset_id=token)
            (same,) = await client.get_order_books(asset_ids=[token])
            assert same.bids == book.bids
            assert (book.bids[-1].price, book.asks[-1].price) == (Decimal("0.49"), Decimal("0.51"))
            assert (book.tick_size, book.min_order_size) == (Decimal("0.01"), 5)
            half, cents = Decimal("0.5"), Decimal("0.02")
            assert await client.get_midpoint(asset_id=token) == half
            assert await client.get_midpoints(asset_ids=[token]) == {token: half}
            assert await client.get_spread(asset_id=token) == cents
            assert await client.get_spreads(asset_ids=[token]) == {token: cents}
            assert await client.get_price(asset_id=token, side="BUY") == Decimal("0.49")
            prices = await client.get_prices(requests=[PriceRequest(token, "BUY")])
            assert prices == {token: {"BUY": Decimal("0.49")}}

    asyncio.run(read())


def test_rewards_are_told(venue, fresh_key):
    async def read():
        async with secure_client(venue, fresh_key()) as client:
            condition = venue.treaty.condition
            current = await items(client.list_current_rewards())
            assert condition in {row.condition_id for row in current}
            markets = await items(client.list_reward_markets())
            assert {row.condition_id for row in markets} == {row.condition_id for row in current}
            (market,) = await items(client.list_market_rewards(condition_id=condition))
            assert market.rewards_max_spread == 4.5
            placed = await client.place_limit_order(
                asset_id=venue.treaty.tokens[0], price="0.05", size=10, side="BUY"
            )
            assert await client.get_order_scoring(order_id=placed.order_id) is False
            asked = [placed.order_id]
            assert await client.get_orders_scoring(order_ids=asked) == {asked[0]: False}
            assert await client.get_reward_percentages() == {}
            assert await items(client.list_user_earnings_for_day(date=DAY)) == []
            assert await client.get_total_earnings_for_user_for_day(date=DAY) == ()
            rows = await items(client.list_user_earnings_and_markets_config(date=DAY))
            assert len(rows) == len(current)
            wallet = client.wallet
            assert await client.get_current_rebates(date=DAY, maker_address=wallet) == ()
            assert await items(client.list_builder_trades(builder_code=BUILDER)) == []
            assert (await client.get_builder_fee_rates(BUILDER)).taker == 0

    asyncio.run(read())


# The page.


def test_page_says_how_both_clients_are_pointed_here(venue, root):
    page = (root / "docs" / "sandbox.md").read_text()
    _, clob, unified = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    scope = {"ready": venue.ready}
    exec(clob, scope)
    answer = scope["bid"](venue.window.tokens[0])
    assert answer["status"] == "live"
    scope["client"].cancel_all()
    exec(unified, scope)
    placed = asyncio.run(scope["bid"](venue.window.slug))
    assert (placed.ok, placed.status) == (True, "live")
    Trader(venue, "0x" + "22" * 32).leave()
