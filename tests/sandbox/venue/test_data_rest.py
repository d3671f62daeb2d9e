"""The Data API read by the official client's models, and wallet operations signed like orders."""

import json
from typing import Any

import pytest
from eth_account import Account
from polymarket._internal.actions.data import (
    build_get_portfolio_value_spec,
    build_get_resolutions_spec,
    get_open_interests_spec,
    list_activity_spec,
    list_positions_spec,
    list_trades_spec,
)
from polymarket._internal.actions.relayer.approvals import build_get_trading_approvals_state_spec
from polymarket.environments import PRODUCTION
from py_clob_client_v2.signing.hmac import build_hmac_signature

from polytrade.core.ids import BUY, NO, SELL, YES
from polytrade.core.units import SECOND_NS
from polytrade.polymarket.signing import SigningKey, clob_auth_digest, sign_digest
from polytrade.sandbox.matching.orders import FAK, GTC, Order
from polytrade.sandbox.venue.auth import KeyStore
from polytrade.sandbox.venue.chain import Chain
from polytrade.sandbox.venue.chain_calls import APPROVE, Operation
from polytrade.sandbox.venue.data_rest import data_app
from polytrade.sandbox.venue.wallets import wallets_of
from tests.sandbox.world.test_gamma_objects import START_S, World

KEY = "0x" + "17" * 32
CASH_E6 = 100_000_000


class Venue:
    """As much of a venue as its Data API needs, and a signer with funded wallets."""

    def __init__(self) -> None:
        self.world = World()
        self.schedule, self.bank = self.world.schedule, self.world.bank
        self.calendar, self.exchange = self.world.calendar, self.world.exchange
        self.chain = Chain(self)  # type: ignore[arg-type]
        self.keys = KeyStore(5, lambda signer: None)
        self.until_s = START_S
        app: Any = data_app(self)  # type: ignore[arg-type]
        self.client = app.test_client()
        self.signer = Account.from_key(KEY)
        self.eoa, self.proxy = (address for _, address in wallets_of(self.signer.address)[:2])
        for wallet in (self.eoa, self.proxy):
            self.bank.fund(wallet.lower(), CASH_E6)
        self.listing = self.world.running("5m")
        self.rules = self.listing.rules
        self._orders = 0

    def catch_up(self) -> None:
        self.world.until(self.until_s)

    def pass_s(self, seconds: int) -> None:
        self.until_s += seconds
        self.catch_up()

    def now_s(self) -> int:
        return self.schedule.now_ns // SECOND_NS

    async def get(self, path: str, expected: int = 200, /, **params: Any) -> Any:
        answer = await self.client.get(path, query_string=params)
        text = await answer.get_data()
        assert answer.status_code == expected, text
        return json.loads(text)

    async def page(self, spec: Any) -> Any:
        return spec.parse_page(await self.get(spec.path, **_flat(spec.base_params)))

    async def parsed(self, spec: Any) -> Any:
        return spec.parse(await self.get(spec.path, **_flat(spec.params)))

    def order(self, wallet: str, side: int, price_e4: int, size_e6: int, **more: Any) -> None:
        self._orders += 1
        self.exchange.place(
            Order(
                order_id=f"order {self._orders}",
                wallet=wallet.lower(),
                maker_address=wallet,
                condition=self.rules.condition,
                side=side,
                price_e4=price_e4,
                size_e6=size_e6,
                created_ns=self.schedule.now_ns,
                **{"token": YES, "order_type": GTC, **more},
            )
        )

    def trade(self) -> None:
        """The proxy wallet sells 20 at 0.45, the other one takes 10 of it."""
        self.bank.split(self.proxy.lower(), self.rules, 20_000_000)
        self.order(self.proxy, SELL, 4500, 20_000_000)
        buy = {"order_type": FAK, "cash_e6": 4_500_000}
        self.order(self.eoa, BUY, 4600, 10_000_000, **buy)
        self.pass_s(6)

    def headers(self, path: str, body: str) -> dict[str, str]:
        stamp = str(self.now_s())
        key = self.keys.derive(self._l1(), self.now_s())
        signature = build_hmac_signature(key["secret"], int(stamp), "POST", path, body)
        return {
            "POLY_ADDRESS": self.signer.address,
            "POLY_API_KEY": key["apiKey"],
            "POLY_PASSPHRASE": key["passphrase"],
            "POLY_TIMESTAMP": stamp,
            "POLY_SIGNATURE": signature,
            "Content-Type": "application/json",
        }

    def _l1(self) -> dict[str, str]:
        stamp = str(self.now_s())
        digest = clob_auth_digest(self.signer.address, stamp, 0, 137)
        signature = sign_digest(SigningKey(KEY), digest)
        return {
            "POLY_ADDRESS": self.signer.address,
            "POLY_TIMESTAMP": stamp,
            "POLY_NONCE": "0",
            "POLY_SIGNATURE": "0x" + signature.hex(),
        }

    async def wallet(self, kind: str, status: int = 200, **body: Any) -> Any:
        path, text = f"/wallet/{kind}", json.dumps(body)
        answer = await self.client.post(path, data=text, headers=self.headers(path, text))
        told = await answer.get_data()
        assert answer.status_code == status, told
        return json.loads(told)


def _flat(params: Any) -> dict[str, Any]:
    found = {key: value for key, value in (params or {}).items() if value is not None}
    return {k: str(v).lower() if isinstance(v, bool) else v for k, v in found.items()}


@pytest.fixture
def venue() -> Venue:
    return Venue()


async def test_positions_show_what_is_held_and_what_it_cost(venue: Venue) -> None:
    venue.trade()
    [bought] = (await venue.page(list_positions_spec(user=venue.eoa))).items
    assert (bought.asset_id, bought.condition_id) == (venue.rules.tokens[0], venue.rules.condition)
    assert (float(bought.current_size), float(bought.avg_price)) == (10.0, 0.45)
    assert float(bought.entry_cost_usdc) == 4.5 and float(bought.entry_fees_usdc) > 0
    assert bought.status == "OPEN" and not bought.redeemable and not bought.mergeable
    assert (bought.outcome, bought.opposite_outcome) == ("Up", "Down")
    assert bought.opposite_asset_id == venue.rules.tokens[1]
    sold = (await venue.page(list_positions_spec(user=venue.proxy, status="MERGEABLE"))).items
    assert [float(each.current_size) for each in sold] == [10.0, 20.0]


async def test_positions_of_a_market_are_those_of_all_wallets(venue: Venue) -> None:
    venue.trade()
    rows = (await venue.page(list_positions_spec(condition_id=venue.rules.condition))).items
    assert {row.wallet.lower() for row in rows} == {venue.eoa.lower(), venue.proxy.lower()}
    await venue.get("/v2/positions", 400)


async def test_resolved_positions_are_redeemable_won_or_lost(venue: Venue) -> None:
    venue.trade()
    venue.until_s = venue.listing.end_s + 18
    venue.catch_up()
    assert venue.listing.winner >= 0
    rows = (await venue.page(list_positions_spec(user=venue.proxy))).items
    assert {row.status for row in rows} == {"REDEEMABLE"}
    payouts = {row.outcome_index: float(row.current_price) for row in rows}
    assert payouts[venue.listing.winner] == 1.0 and sum(payouts.values()) == 1.0
    lost = (await venue.page(list_positions_spec(user=venue.proxy, status="REDEEMABLE_LOST"))).items
    assert [row.outcome_index for row in lost] == [1 - venue.listing.winner]
    assert (await venue.page(list_positions_spec(user=venue.proxy, status="OPEN"))).items == ()


async def test_trades_are_takers_unless_makers_are_asked_for(venue: Venue) -> None:
    venue.trade()
    [trade] = (await venue.page(list_trades_spec())).items
    assert (trade.wallet, trade.side) == (venue.eoa, "BUY")
    assert (float(trade.size), float(trade.price)) == (10.0, 0.45)
    assert trade.transaction_hash.startswith("0x")
    both = (await venue.page(list_trades_spec(taker_only=False))).items
    assert [each.side for each in both] == ["BUY", "SELL"]
    assert (await venue.page(list_trades_spec(user=venue.proxy))).items == ()
    condition = venue.rules.condition
    assert len((await venue.page(list_trades_spec(condition_id=condition))).items) == 1
    assert (await venue.page(list_trades_spec(side="SELL"))).items == ()
    [activity] = (await venue.page(list_activity_spec(user=venue.proxy))).items
    assert (activity.type, float(activity.amount)) == ("TRADE", 4.5)


async def test_trades_show_once_they_are_on_chain(venue: Venue) -> None:
    venue.bank.split(venue.proxy.lower(), venue.rules, 20_000_000)
    venue.order(venue.proxy, SELL, 4500, 20_000_000)
    venue.order(venue.eoa, BUY, 4600, 10_000_000)
    assert (await venue.get("/v2/trades"))["data"] == []
    venue.pass_s(3)
    assert len((await venue.get("/v2/trades"))["data"]) == 1


async def test_pages_follow_each_other(venue: Venue) -> None:
    venue.trade()
    first = await venue.get("/v2/trades", taker_only="false", limit=1)
    cursor = first["pagination"]["next_cursor"]
    assert first["pagination"]["has_more"] and cursor
    last = await venue.get("/v2/trades", taker_only="false", limit=1, cursor=cursor)
    assert last["pagination"] == {"has_more": False, "next_cursor": None}
    assert last["data"] != first["data"]
    await venue.get("/v2/trades", 400, limit="many")


async def test_value_is_that_of_all_positions(venue: Venue) -> None:
    venue.bank.split(venue.proxy.lower(), venue.rules, 20_000_000)
    spec = build_get_portfolio_value_spec(user=venue.proxy)
    assert float((await venue.parsed(spec)).value) == 20.0
    nothing = await venue.parsed(build_get_portfolio_value_spec(user=venue.eoa))
    assert float(nothing.value) == 0.0
    await venue.get("/v2/value", 400)


async def test_resolutions_carry_payouts_and_reporter(venue: Venue) -> None:
    spec = build_get_resolutions_spec(condition_ids=[venue.rules.condition])
    [waiting] = await venue.parsed(spec)
    assert waiting.status == "initialized" and waiting.payouts is None
    venue.until_s = venue.listing.end_s + 18
    [done] = await venue.parsed(spec)
    assert done.status == "resolved" and done.reporter == "CHAINLINK"
    assert done.payouts[venue.listing.winner] == 1
    digits = venue.rules.condition[2:]
    raw = await venue.get("/v2/resolutions", condition=digits)
    assert raw["data"][0]["payouts"][venue.listing.winner] == 1_000_000


async def test_open_interest_is_what_backs_a_market(venue: Venue) -> None:
    venue.bank.split(venue.proxy.lower(), venue.rules, 20_000_000)
    [row] = await venue.parsed(get_open_interests_spec(condition_ids=[venue.rules.condition]))
    assert float(row.value) == 20.0


async def test_every_approval_the_official_client_wants_is_there(venue: Venue) -> None:
    config = PRODUCTION._config
    spec = build_get_trading_approvals_state_spec(wallet=venue.eoa, config=config)
    assert (await venue.parsed(spec)).is_fully_approved
    token, spender = config.collateral_token.lower(), config.exchange_v3.lower()
    venue.chain.carry_out(venue.eoa.lower(), Operation(APPROVE, token, "", 0, spender))
    state = await venue.parsed(spec)
    assert [each.spender for each in state.missing.erc20] == [config.exchange_v3]


async def test_wallets_split_merge_and_redeem_with_a_signed_request(venue: Venue) -> None:
    condition = venue.rules.condition
    done = await venue.wallet("split", condition_id=condition, amount="12.5")
    assert done == {"wallet": venue.eoa.lower(), "amount": "12.5", "cash": "87.5"}
    await venue.wallet("merge", condition_id=condition, amount="2.5")
    refused = await venue.wallet("redeem", 400, condition_id=condition)
    assert "result for condition not received" in refused["error"]
    venue.until_s = venue.listing.end_s + 18
    venue.catch_up()
    assert (await venue.wallet("redeem", condition_id=condition))["cash"] == "100"
    assert venue.bank.shares_e6(venue.eoa.lower(), venue.rules.tokens[NO]) == 0


async def test_a_wallet_of_the_same_signer_may_be_named(venue: Venue) -> None:
    condition = venue.rules.condition
    done = await venue.wallet("split", condition_id=condition, amount="1", wallet=venue.proxy)
    assert done["wallet"] == venue.proxy.lower()
    other = Account.create().address
    refused = await venue.wallet("split", 400, condition_id=condition, amount="1", wallet=other)
    assert refused["error"].startswith("wallet:")


@pytest.mark.parametrize("amount", ["", "-1", "0", "1e9", "1.1234567", "1000"])
async def test_amounts_that_cannot_be_are_refused(venue: Venue, amount: str) -> None:
    await venue.wallet("split", 400, condition_id=venue.rules.condition, amount=amount)
    assert venue.bank.cash_e6(venue.eoa.lower()) == CASH_E6


async def test_wallet_operations_need_a_signature(venue: Venue) -> None:
    body = json.dumps({"condition_id": venue.rules.condition, "amount": "1"})
    assert (await venue.client.post("/wallet/split", data=body)).status_code == 401
    headers = venue.headers("/wallet/split", body)
    changed = body.replace('"1"', '"2"')
    answer = await venue.client.post("/wallet/split", data=changed, headers=headers)
    assert answer.status_code == 401
    assert venue.bank.cash_e6(venue.eoa.lower()) == CASH_E6


async def test_unknown_conditions_are_refused(venue: Venue) -> None:
    refused = await venue.wallet("split", 400, condition_id="0x12", amount="1")
    assert refused["error"].startswith("unknown condition")
    await venue.wallet("split", 400, amount="1")
