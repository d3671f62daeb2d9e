"""What a `POST /order` body means: the vectors of protocols 4.3 and the official builders."""

from decimal import Decimal
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polymarket._internal.actions.orders.limit import _compute_limit_order_amounts
from polymarket._internal.actions.orders.market import _compute_market_order_amounts
from py_clob_client_v2.order_builder.builder import ROUNDING_CONFIG, OrderBuilder

from polytrade.core.ids import BUY, NO, SELL
from polytrade.core.units import decimal_text
from polytrade.sandbox.matching.orders import FAK, FOK, GTC, GTD, Refused
from polytrade.sandbox.matching.rules import TICKS_E4, MarketRules
from polytrade.sandbox.venue.signed_orders import VerifiedOrder
from polytrade.sandbox.venue.wire_orders import check_post_only, order_of, read_terms

TICK_TEXTS = {tick_e4: decimal_text(tick_e4, 4) for tick_e4 in TICKS_E4}
BUILDER = OrderBuilder(SimpleNamespace(address=lambda: ""))


def signed(side, maker, taker, order_type=GTC, **more):
    fields = {
        "order_id": "0xid",
        "owner": "me",
        "maker": "0xMaker",
        "wallet": "0xmaker",
        "signer": "0xSigner",
        "signature_type": 2,
        "side": BUY if side == "BUY" else SELL,
        "token_id": "7132",
        "maker_amount": maker,
        "taker_amount": taker,
        "salt": 479249096354,
        "timestamp_ms": 1710000000000,
        "expiration_s": 0,
        "metadata": "0x00",
        "builder": "0x00",
        "order_type": order_type,
        "post_only": False,
        "defer_exec": False,
    }
    return VerifiedOrder(**fields | more)


def terms(side, maker, taker, tick_e4, order_type=GTC):
    read = read_terms(signed(side, maker, taker, order_type), tick_e4)
    return read.price_e4, read.size_e6, read.cash_e6


def refusal(side, maker, taker, tick_e4, order_type=GTC):
    with pytest.raises(Refused) as caught:
        terms(side, maker, taker, tick_e4, order_type)
    return caught.value.text


@pytest.mark.parametrize(
    ("tick_e4", "price_e4", "limit_cash", "market_shares"),
    [
        (1000, 3000, 9999000, 111100000),
        (100, 5700, 18998100, 58473600),
        (50, 5650, 18831450, 58991150),
        (25, 5675, 18914775, 58731277),
        (10, 5670, 18898110, 58783060),
        (1, 5673, 18908109, 58751983),
    ],
)
def test_documented_amounts_give_the_price_and_size_they_were_made_of(
    tick_e4, price_e4, limit_cash, market_shares
):
    size = 33330000
    assert terms("BUY", limit_cash, size, tick_e4) == (price_e4, size, 0)
    assert terms("SELL", size, limit_cash, tick_e4) == (price_e4, size, 0)
    assert terms("BUY", size, market_shares, tick_e4, FAK) == (price_e4, market_shares, size)
    assert terms("SELL", size, limit_cash, tick_e4, FOK) == (price_e4, size, 0)


@st.composite
def wanted(draw):
    tick_e4 = draw(st.sampled_from(TICKS_E4))
    steps = 10_000 // tick_e4
    price = Decimal(draw(st.integers(1, steps - 1)) * tick_e4) / 10_000
    return tick_e4, price, draw(st.integers(100, 2_000_000)), draw(st.sampled_from(["BUY", "SELL"]))


@settings(max_examples=400, deadline=None)
@given(wanted())
def test_what_the_exact_client_builds_means_what_its_user_meant(case):
    tick_e4, price, cents, side = case
    amount, tick = Decimal(cents) / 100, Decimal(TICK_TEXTS[tick_e4])
    price_e4, size_e6 = int(price * 10_000), cents * 10_000
    maker, taker = _compute_limit_order_amounts(price=price, size=amount, side=side, tick_size=tick)
    assert terms(side, maker, taker, tick_e4) == (price_e4, size_e6, 0)
    maker, taker = _compute_market_order_amounts(
        amount=amount, price=price, side=side, tick_size=tick
    )
    expected = (price_e4, taker, maker) if side == "BUY" else (price_e4, size_e6, 0)
    assert terms(side, maker, taker, tick_e4, FAK) == expected


@settings(max_examples=400, deadline=None)
@given(wanted())
def test_what_the_float_client_builds_means_what_its_user_meant(case):
    tick_e4, price, cents, side = case
    config = ROUNDING_CONFIG[TICK_TEXTS[tick_e4]]
    price_e4 = int(price * 10_000)
    _, maker, taker = BUILDER.get_order_amounts(side, cents / 100, float(price), config)
    shares = taker if side == "BUY" else maker
    # Its own floor of a binary fraction may lose a hundredth of a share; that is what it signs.
    assert shares in (cents * 10_000, cents * 10_000 - 10_000)
    assert terms(side, maker, taker, tick_e4) == (price_e4, shares, 0)
    _, maker, taker = BUILDER.get_market_order_amounts(side, cents / 100, float(price), config)
    price_read, size_e6, cash_e6 = terms(side, maker, taker, tick_e4, FAK)
    # The price too is floored from a binary fraction, one unit of its last digit at most.
    assert 0 <= price_e4 - price_read <= max(tick_e4, 10 ** (4 - config.price))
    assert (size_e6, cash_e6) == ((taker, maker) if side == "BUY" else (maker, 0))


def test_amounts_finer_than_the_venue_takes_are_refused_in_its_words():
    assert refusal("BUY", 11782410, 21040000, 100) == (
        "invalid amounts, the buy orders maker amount supports a max accuracy of 4 decimals, "
        "taker amount a max of 2 decimals"
    )
    assert refusal("SELL", 21041000, 11782400, 100) == (
        "invalid amounts, the sell orders maker amount supports a max accuracy of 2 decimals, "
        "taker amount a max of 4 decimals"
    )
    assert refusal("BUY", 1999422, 2019600, 100, FAK) == (
        "invalid amounts, the market buy orders maker amount supports a max accuracy of 2 "
        "decimals, taker amount a max of 4 decimals"
    )
    assert refusal("SELL", 2020000, 1999430, 100, FOK) == (
        "invalid amounts, the market sell orders maker amount supports a max accuracy of 2 "
        "decimals, taker amount a max of 4 decimals"
    )


def test_money_that_is_not_price_times_size_is_refused_with_what_it_should_be():
    assert refusal("SELL", 19690000, 4330000, 100) == (
        "invalid amounts, the taker amount for a $0.22 order of size 19.69 should be '4.3318' "
        "but the value submited is '4.33'"
    )


def test_prices_no_market_takes_are_left_to_the_engine_to_refuse():
    assert terms("BUY", 4_810_000, 10_000_000, 100)[0] == 4810
    assert terms("SELL", 10_000_000, 10_000_000, 100)[0] == 10_000
    assert terms("BUY", 10_000, 10_000_000, 100, FAK)[0] == 0
    assert terms("SELL", 10_000_000, 9_950_000, 100, FOK)[0] == 10_000


def test_a_market_order_between_ticks_bids_lower_and_asks_higher():
    assert terms("BUY", 5_630_000, 10_000_000, 50, FAK)[0] == 5600
    assert terms("SELL", 10_000_000, 5_630_000, 50, FAK)[0] == 5650


@pytest.mark.parametrize("order_type", [FAK, FOK])
def test_post_only_is_for_types_that_rest(order_type):
    with pytest.raises(Refused) as caught:
        check_post_only({"orderType": order_type, "postOnly": True})
    assert caught.value.text == "invalid post-only order: only GTC and GTD order types are allowed"
    check_post_only({"orderType": GTC, "postOnly": True})
    check_post_only({"orderType": order_type, "postOnly": False})
    check_post_only([])


def test_an_order_carries_what_was_signed_and_sent():
    sent = signed("SELL", 21040000, 11782400, GTD, expiration_s=1710001000, post_only=True)
    rules = MarketRules(condition="0xc", tokens=("1", "7132"), outcomes=("Up", "Down"))
    order = order_of(sent, rules, 5)
    assert (order.wallet, order.maker_address, order.owner) == ("0xmaker", "0xMaker", "me")
    assert (order.token, order.side, order.price_e4, order.size_e6) == (NO, SELL, 5600, 21040000)
    assert (order.order_type, order.post_only, order.expires_s) == (GTD, True, 1710001000)
    assert (order.condition, order.signer, order.signature_type) == ("0xc", "0xSigner", 2)
    assert (order.created_ns, order.cash_e6, order.order_id) == (5, 0, "0xid")
