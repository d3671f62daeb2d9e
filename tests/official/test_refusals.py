"""What the venue refuses: each with its status and the exact body, and nothing changed by it.

The orders are the official client's; what it would not send is made by tampering with the request.
"""

import time

import pytest
from py_clob_client_v2 import PartialCreateOrderOptions
from py_clob_client_v2.headers.headers import create_level_1_headers
from py_clob_client_v2.order_builder.builder import OrderBuilder

from tests.official.rig import BUY, FAK, FAUCET_E6, FOK, GTC, GTD, SELL, Trader, told

BAD_SIGNATURE = (400, {"error": "invalid signature"})
BAD_PAYLOAD = (400, {"error": "Invalid order payload"})
NO_KEY = (401, {"error": "Unauthorized/Invalid api key"})
NO_SIGNER = (401, {"error": "Invalid L1 Request headers"})


@pytest.fixture(scope="module")
def traders(venue):
    """One trader of each kind of wallet for all these tests: none of them changes anything."""
    return [Trader(venue, f"0x{0xBAD0 + kind:064x}", kind) for kind in range(4)]


def unharmed(trader):
    """The trader during a test, after which it has no order and all its money."""
    yield trader
    assert trader.client.get_open_orders() == []
    assert trader.client.get_trades() == []
    assert trader.cash_e6() == FAUCET_E6


@pytest.fixture(params=[0, 1, 2, 3], ids=["eoa", "proxy", "safe", "deposit"])
def signer(traders, request):
    """A trader of each kind of wallet in turn."""
    yield from unharmed(traders[request.param])


@pytest.fixture
def one(traders):
    """A trader with a proxy."""
    yield from unharmed(traders[1])


def posted(trader, order, order_type=GTC, **changes):
    """The answer to a signed order with some fields changed after it was signed."""
    body = trader.payload(order, order_type)
    body["order"] |= changes
    return told(trader.request("POST", "/order", body))


# Signatures.


@pytest.mark.parametrize(
    "changes",
    [
        {"makerAmount": "400000"},
        {"takerAmount": "20000000"},
        {"timestamp": "1"},
        {"salt": 1},
        {"metadata": "0x" + "1" * 64},
        {"builder": "0x" + "b1" * 32},
        {"side": "SELL"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_order_changed_after_it_was_signed(signer, venue, changes):
    order = signer.signed(venue.window, BUY, 0.05, 10)
    assert posted(signer, order, **changes) == BAD_SIGNATURE


def test_signature_with_one_digit_changed(signer, venue):
    order = signer.signed(venue.window, BUY, 0.05, 10)
    digit = "1" if order.signature[9] == "0" else "0"
    signature = order.signature[:9] + digit + order.signature[10:]
    assert posted(signer, order, signature=signature) == BAD_SIGNATURE


def test_signature_that_is_none(signer, venue):
    order = signer.signed(venue.window, BUY, 0.05, 10)
    assert posted(signer, order, signature="0x") == BAD_SIGNATURE
    assert posted(signer, order, signature="signed") == BAD_PAYLOAD


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("window", PartialCreateOrderOptions(neg_risk=True)),
        ("window", PartialCreateOrderOptions(version=3)),
        ("candidate", PartialCreateOrderOptions(neg_risk=False)),
    ],
    ids=["neg-risk exchange", "exchange v3", "plain exchange"],
)
def test_order_signed_for_another_exchange(signer, venue, name, options):
    arguments = signer.args(getattr(venue, name), BUY, 0.05, 10)
    order = signer.client.create_order(arguments, options)
    assert posted(signer, order) == BAD_SIGNATURE


def test_position_signed_as_a_token(signer, venue):
    """A market of protocol v2 is traded by position: Exchange V3, not V2."""
    arguments = signer.args(venue.day, BUY, 0.05, 10)
    arguments.token_id, arguments.position_id = arguments.position_id, None
    assert posted(signer, signer.client.create_order(arguments)) == BAD_SIGNATURE


def test_order_of_another_signer(trader, venue):
    mine, other = trader(), trader()
    order = other.signed(venue.window, BUY, 0.05, 10)
    assert posted(mine, order) == (
        400,
        {"error": "the order signer address has to be the address of the API KEY"},
    )


def test_wallet_of_another_signer(trader, venue):
    mine, other = trader(2), trader(2)
    mine.client.builder.funder = other.wallet
    assert posted(mine, mine.signed(venue.window, BUY, 0.05, 10)) == BAD_SIGNATURE


def test_owner_that_is_another_key(trader, venue):
    mine, other = trader(), trader()
    body = mine.payload(mine.signed(venue.window, BUY, 0.05, 10))
    body["owner"] = other.owner
    assert told(mine.request("POST", "/order", body)) == (
        400,
        {"error": "the order owner has to be the owner of the API KEY"},
    )


# Requests.


def other_signature(headers):
    first = "B" if headers["POLY_SIGNATURE"][0] == "A" else "A"
    headers["POLY_SIGNATURE"] = first + headers["POLY_SIGNATURE"][1:]


def unpadded(headers):
    headers["POLY_SIGNATURE"] = headers["POLY_SIGNATURE"].rstrip("=")


def other_passphrase(headers):
    headers["POLY_PASSPHRASE"] = "0" * 64


def other_address(headers):
    headers["POLY_ADDRESS"] = "0x" + "11" * 20


def unknown_key(headers):
    headers["POLY_API_KEY"] = "00000000-0000-4000-8000-000000000000"


def no_headers(headers):
    headers.clear()


@pytest.mark.parametrize(
    "tamper",
    [other_signature, unpadded, other_passphrase, other_address, unknown_key, no_headers],
    ids=lambda tamper: tamper.__name__,
)
def test_request_that_is_not_proved(one, venue, tamper):
    body = one.payload(one.signed(venue.window, BUY, 0.05, 10))
    assert told(one.request("POST", "/order", body, tamper)) == NO_KEY
    assert told(one.request("GET", "/data/orders", tamper=tamper)) == NO_KEY
    assert told(one.request("DELETE", "/cancel-all", tamper=tamper)) == NO_KEY


@pytest.mark.parametrize("late_s", [-60, 60])
def test_request_of_another_time(one, late_s):
    stamp = int(time.time()) + late_s
    assert told(one.request("GET", "/data/orders", timestamp=stamp)) == NO_KEY


def test_body_that_is_not_the_signed_one(one, venue):
    """The signature covers the bytes: the same JSON with other spaces is another body."""
    body = one.payload(one.signed(venue.window, BUY, 0.05, 10))
    headers = {}
    one.request("POST", "/order", {}, headers.update)
    answer = venue.http.post(venue.url("clob") + "/order", json=body, headers=headers)
    assert told(answer) == NO_KEY


def test_method_and_path_that_are_not_the_signed_ones(one, venue):
    headers = {}
    one.request("GET", "/data/trades", tamper=headers.update)
    get = venue.http.get
    assert get(venue.url("clob") + "/data/trades", headers=headers).status_code == 200
    assert told(get(venue.url("clob") + "/data/orders", headers=headers)) == NO_KEY
    assert told(venue.http.delete(venue.url("clob") + "/cancel-all", headers=headers)) == NO_KEY


@pytest.mark.parametrize(
    "changes",
    [
        {"POLY_NONCE": "7"},
        {"POLY_ADDRESS": "0x" + "11" * 20},
        {"POLY_TIMESTAMP": "1000000000"},
        {"POLY_SIGNATURE": "0x" + "1" * 130},
        {"POLY_SIGNATURE": ""},
    ],
    ids=lambda changes: "-".join(next(iter(changes.items())))[:24],
)
def test_key_asked_for_without_proof(one, venue, changes):
    headers = create_level_1_headers(one.client.signer, nonce=5) | changes
    for method, path in (("POST", "/auth/api-key"), ("GET", "/auth/derive-api-key")):
        answer = venue.http.request(method, venue.url("clob") + path, headers=headers)
        assert told(answer) == NO_SIGNER


# Prices, sizes, amounts.


def resigned(trader, market, side, maker, taker, order_type=GTC, **fields):
    """The answer to an order with just these amounts, rightly signed."""
    return posted(trader, signed_amounts(trader, market, side, maker, taker, **fields), order_type)


def signed_amounts(trader, market, side, maker, taker, **fields):
    """An order with just these amounts, signed by the client's own builder."""

    class Amounts(OrderBuilder):
        def get_order_amounts(self, wanted_side, size, price, round_config):
            return wanted_side, maker, taker

    mine = trader.client.builder
    trader.client.builder = Amounts(mine.signer, mine.signature_type, mine.funder)
    try:
        return trader.signed(market, side, 0.5, 10, **fields)
    finally:
        trader.client.builder = mine


def test_price_off_the_tick(one, venue):
    status, body = resigned(one, venue.window, BUY, 5_050_000, 10_000_000)
    assert status == 400
    assert body["error"].endswith("is invalid. Price (0.505) breaks minimum tick size rule: 0.01")
    assert list(body) == ["error"]


@pytest.mark.parametrize(("money", "price"), [(0, "0"), (10_000_000, "1"), (50_000, "0.005")])
def test_price_out_of_bounds(one, venue, money, price):
    answer = resigned(one, venue.window, BUY, money, 10_000_000)
    if not money:
        assert answer == BAD_PAYLOAD
        return
    text = f"invalid price ({price}), min: 0.01 - max: 0.99"
    assert answer == (400, {"error": text})


def test_size_below_the_minimum(one, venue):
    order = one.signed(venue.window, BUY, 0.05, 4.99)
    status, body = posted(one, order)
    assert status == 400
    order_id = body["error"].split()[1]
    assert len(order_id) == 66
    text = f"order {order_id} is invalid. Size (4.99) lower than the minimum: 5"
    assert body == {"error": text}


@pytest.mark.parametrize("order_type", [FOK, FAK])
def test_marketable_order_worth_less_than_a_dollar(one, venue, order_type):
    order = one.client.create_market_order(one.market_args(venue.window, BUY, 0.99, price=0.6))
    text = "invalid amount for a marketable BUY order ($0.99), min size: $1"
    assert posted(one, order, order_type) == (400, {"error": text})


def test_resting_amounts_with_too_many_decimals(one, venue):
    text = (
        "invalid amounts, the buy orders maker amount supports a max accuracy of 4 decimals, "
        "taker amount a max of 2 decimals"
    )
    refused = (400, {"error": text})
    assert resigned(one, venue.window, BUY, 2_500_050, 10_000_000) == refused
    assert resigned(one, venue.window, BUY, 2_500_500, 10_002_000) == refused


def test_market_amounts_with_too_many_decimals(one, venue):
    text = (
        "invalid amounts, the market buy orders maker amount supports a max accuracy of 2 "
        "decimals, taker amount a max of 4 decimals"
    )
    refused = (400, {"error": text})
    assert resigned(one, venue.window, BUY, 5_005_000, 10_000_000, FOK) == refused
    assert resigned(one, venue.window, BUY, 5_000_000, 9_999_950, FAK) == refused


def test_amounts_whose_ratio_is_no_price(one, venue):
    status, body = resigned(one, venue.window, BUY, 2_500_100, 10_000_000)
    assert status == 400
    assert body == {
        "error": "invalid amounts, the maker amount for a $0.25 order of size 10 should be '2.5' "
        "but the value submited is '2.5001'"
    }


# Expirations.


@pytest.mark.parametrize("ahead_s", [-3600, 0, 60, 170])
def test_expiration_too_early(one, venue, ahead_s):
    order = one.signed(venue.window, BUY, 0.05, 10, expiration=int(time.time()) + ahead_s)
    assert posted(one, order, GTD) == (400, {"error": "invalid expiration"})


def test_expiration_without_gtd_and_gtd_without_expiration(one, venue):
    refused = (400, {"error": "invalid expiration"})
    order = one.signed(venue.window, BUY, 0.05, 10, expiration=int(time.time()) + 600)
    assert posted(one, order, GTC) == refused
    assert posted(one, one.signed(venue.window, BUY, 0.05, 10), GTD) == refused


# Money.


def test_buy_beyond_the_balance(one, venue):
    """What an order needs is its price and the fee if all of it took."""
    status, body = posted(one, one.signed(venue.window, BUY, 0.5, 20_001))
    assert status == 400
    assert body == {
        "error": "not enough balance / allowance: the balance is not enough -> "
        "balance: 10000000000, order amount: 10350517500"
    }


def test_sale_of_shares_that_are_not_there(one, venue):
    status, body = posted(one, one.signed(venue.window, SELL, 0.9, 10))
    assert status == 400
    assert body == {
        "error": "not enough balance / allowance: the balance is not enough -> "
        "balance: 0, order amount: 10000000"
    }


def test_open_orders_of_a_token_count_against_the_balance(one, venue):
    first = one.limit(venue.window, BUY, 0.4, 15_000)
    status, body = posted(one, one.signed(venue.window, BUY, 0.3, 15_000))
    assert status == 400
    assert body["error"].startswith("not enough balance / allowance")
    other_token = one.limit(venue.window, BUY, 0.3, 15_000, token=1)
    ids = [first["orderID"], other_token["orderID"]]
    assert one.client.cancel_orders(ids)["canceled"] == ids


# The rest.


def test_order_sent_twice(trader, venue):
    one = trader()
    order = one.signed(venue.window, BUY, 0.05, 10)
    assert posted(one, order)[0] == 200
    status, body = posted(one, order)
    assert status == 400
    assert body["error"].endswith("is invalid. Duplicated.")


def test_first_version_of_orders(one, venue):
    order = one.payload(one.signed(venue.window, BUY, 0.05, 10))
    del order["order"]["timestamp"]
    order["order"] |= {"taker": "0x" + "0" * 40, "nonce": "0", "feeRateBps": "0"}
    expected = (400, {"error": "order_version_mismatch"})
    assert told(one.request("POST", "/order", order)) == expected


@pytest.mark.parametrize("body", [[], {}, {"order": 1}, "order"], ids=repr)
def test_body_that_is_no_order(one, body):
    assert told(one.request("POST", "/order", body)) == BAD_PAYLOAD


def test_token_without_a_market(one, venue):
    order = one.signed(venue.window, BUY, 0.05, 10)
    answer = posted(one, order, tokenId="123")
    assert answer == (400, {"error": "the orderbook 123 does not exist"})


def test_batch_that_is_too_long(one, venue):
    body = [one.payload(one.signed(venue.window, BUY, 0.05, 10)) for _ in range(16)]
    text = "Too many orders in payload: 16, max allowed: 15"
    assert told(one.request("POST", "/orders", body)) == (400, {"error": text})


def test_batch_keeps_what_is_right(trader, venue):
    one = trader(3)
    right = one.payload(one.signed(venue.window, BUY, 0.05, 10))
    wrong = one.payload(one.signed(venue.window, BUY, 0.05, 10))
    wrong["order"]["takerAmount"] = "20000000"
    status, (first, second) = told(one.request("POST", "/orders", [wrong, right]))
    assert status == 200
    assert first == {
        "success": True,
        "errorMsg": "invalid signature",
        "orderID": "",
        "status": "",
        "makingAmount": "",
        "takingAmount": "",
        "tradeIDs": [],
        "transactionsHashes": [],
    }
    assert [order["id"] for order in one.client.get_open_orders()] == [second["orderID"]]


def test_order_of_somebody_else_is_not_seen_or_cancelled(trader, venue):
    mine, other = trader(), trader()
    order_id = mine.limit(venue.window, BUY, 0.05, 10)["orderID"]
    answer = other.request("DELETE", "/order", {"orderID": order_id})
    reason = {order_id: "Order not found or already canceled"}
    assert told(answer) == (200, {"canceled": [], "not_canceled": reason})
    assert told(other.request("GET", f"/data/order/{order_id}")) == (
        404,
        {"error": "order not found"},
    )
    assert [order["id"] for order in mine.client.get_open_orders()] == [order_id]


def test_cancel_of_what_is_no_order_id(one):
    answer = one.request("DELETE", "/order", {"orderID": "0x12"})
    assert told(answer) == (400, {"error": "Invalid orderID"})
