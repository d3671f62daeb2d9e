"""API keys, signed requests and signed orders; the official clients are on the other side."""

import json
import uuid
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from eth_account import Account
from polymarket._internal.actions import auth as official
from polymarket._internal.actions.orders.orders import create_signed_order
from polymarket._internal.actions.orders.post import build_post_order_request
from polymarket._internal.actions.orders.typed_data import (
    build_order_signature,
    build_order_typed_data,
)
from polymarket._internal.actions.orders.types import BYTES32_ZERO, UnsignedOrder
from polymarket._internal.actions.relayer.auth import build_builder_key_headers
from polymarket._internal.l1_auth import sign_api_key_auth
from polymarket._internal.wallet import wrap_deposit_wallet_signature
from py_clob_client_v2.clob_types import (
    ApiCreds,
    CreateOrderOptions,
    OrderArgsV1,
    OrderArgsV2,
    RequestArgs,
)
from py_clob_client_v2.headers.headers import create_level_1_headers, create_level_2_headers
from py_clob_client_v2.order_builder.builder import OrderBuilder
from py_clob_client_v2.order_utils.model.order_data_v1 import order_to_json_v1
from py_clob_client_v2.order_utils.model.order_data_v2 import order_to_json_v2
from py_clob_client_v2.order_utils.model.signature_type_v2 import SignatureTypeV2
from py_clob_client_v2.signer import Signer

from polytrade.core.ids import BUY, SELL
from polytrade.polymarket.signing import (
    AMOY,
    POLYGON,
    OrderFields,
    SigningKey,
    market_domain,
    sign_order,
)
from polytrade.sandbox.matching.orders import Refused
from polytrade.sandbox.matching.rules import MarketRules
from polytrade.sandbox.venue import auth
from polytrade.sandbox.venue.auth import (
    ApiKey,
    AuthRefused,
    AuthSettings,
    KeyStore,
    verify_order,
)
from polytrade.sandbox.venue.signed_orders import token_id_of
from polytrade.sandbox.venue.wallets import wallets_of

SECRET = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
OTHER_SECRET = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"
ACCOUNT, OTHER = Account.from_key(SECRET), Account.from_key(OTHER_SECRET)
NOW_S = 1_710_000_000
TOKEN = "71321045679252212594626385532706912750332728571942532289631379312455583992563"
V2_TOKEN = "663574927012476832975694178961957910328055987427402067619466963999000625152"
RULES = MarketRules(condition="0xc", tokens=(TOKEN, "12"), outcomes=("Up", "Down"))
NEG_RISK = MarketRules(condition="0xc", tokens=(TOKEN, "12"), outcomes=("Yes", "No"), neg_risk=True)
PROTOCOL_V2 = MarketRules(
    condition="0xc", tokens=(V2_TOKEN, "12"), outcomes=("Up", "Down"), protocol="v2"
)


@pytest.fixture
def signers() -> list[str]:
    """Whom the store told of."""
    return []


@pytest.fixture
def store(signers: list[str]) -> KeyStore:
    return KeyStore(7, signers.append)


def l1(
    account: Any = ACCOUNT, nonce: int = 0, at_s: int = NOW_S, chain: int = POLYGON
) -> dict[str, str]:
    """L1 headers by the new official client."""
    signed = sign_api_key_auth(account, chain_id=chain, timestamp=at_s, nonce=nonce)
    return official.build_l1_auth_headers(signed)


def l2(
    key: Mapping[str, str] | ApiKey,
    method: str = "GET",
    path: str = "/data/orders",
    body: str | None = None,
    at_s: int = NOW_S,
    secret: str = SECRET,
) -> dict[str, str]:
    """L2 headers by the older official client."""
    known = key.credentials() if isinstance(key, ApiKey) else key
    creds = ApiCreds(known["apiKey"], known["secret"], known["passphrase"])
    request = RequestArgs(method, path, body, body)
    made: dict[str, str] = create_level_2_headers(Signer(secret, POLYGON), creds, request, at_s)
    return made


def key_of(store: KeyStore, account: Any = ACCOUNT) -> ApiKey:
    made = store.derive(l1(account), NOW_S)
    found = store.by_credentials(made["apiKey"], made["secret"], made["passphrase"])
    assert found is not None
    return found


# Keys.


def test_key_is_created_once_and_derived_ever_after(store: KeyStore, signers: list[str]) -> None:
    made = store.create(l1(), NOW_S)
    assert official.parse_api_key_creds(made).key == made["apiKey"]
    assert uuid.UUID(made["apiKey"]).version == 4
    assert len(urlsafe_b64decode(made["secret"])) == 32
    assert len(bytes.fromhex(made["passphrase"])) == 32
    with pytest.raises(AuthRefused) as refused:
        store.create(l1(), NOW_S)
    assert refused.value.status == 400
    assert refused.value.body == {"error": "Could not create api key"}
    assert store.derive(l1(), NOW_S) == made
    assert signers == [ACCOUNT.address]


def test_key_that_was_never_created_is_derived(store: KeyStore, signers: list[str]) -> None:
    made = store.derive(create_level_1_headers(Signer(SECRET, POLYGON), timestamp=NOW_S), NOW_S)
    assert store.keys_of(ACCOUNT.address) == [made["apiKey"]]
    assert signers == [ACCOUNT.address]


def test_keys_follow_from_seed_address_and_nonce() -> None:
    def made(seed: int, account: Any = ACCOUNT, nonce: int = 0) -> tuple[str, ...]:
        key = KeyStore(seed, lambda _: None).create(l1(account, nonce), NOW_S)
        return tuple(key.values())

    assert made(7) == made(7)
    parts = [made(7), made(8), made(7, OTHER), made(7, nonce=1)]
    assert all(len({one[index] for one in parts}) == 4 for index in range(3))


def test_signer_with_two_keys_is_told_once(store: KeyStore, signers: list[str]) -> None:
    first = store.create(l1(nonce=5), NOW_S)
    second = store.create(l1(nonce=3), NOW_S)
    store.create(l1(OTHER), NOW_S)
    assert store.keys_of(ACCOUNT.address) == [first["apiKey"], second["apiKey"]]
    assert official.parse_api_keys_response({"apiKeys": store.keys_of(ACCOUNT.address)}) == (
        first["apiKey"],
        second["apiKey"],
    )
    assert signers == [ACCOUNT.address, OTHER.address]


@pytest.mark.parametrize(
    "spoil",
    [
        {"POLY_ADDRESS": OTHER.address},
        {"POLY_ADDRESS": "0x12"},
        {"POLY_SIGNATURE": "0x" + "11" * 65},
        {"POLY_SIGNATURE": "nothing"},
        {"POLY_TIMESTAMP": str(NOW_S + 1)},
        {"POLY_TIMESTAMP": "-5"},
        {"POLY_NONCE": "1"},
        {"POLY_NONCE": "x"},
        {"POLY_NONCE": "9" * 20},
    ],
)
def test_wallet_signature_that_does_not_hold_is_refused(
    store: KeyStore, signers: list[str], spoil: dict[str, str]
) -> None:
    for call in (store.create, store.derive):
        with pytest.raises(AuthRefused) as refused:
            call({**l1(), **spoil}, NOW_S)
        assert refused.value.status == 401
        assert refused.value.body == {"error": "Invalid L1 Request headers"}
    assert signers == []


@pytest.mark.parametrize("name", ["ADDRESS", "SIGNATURE", "TIMESTAMP", "NONCE"])
def test_wallet_signature_needs_every_header(store: KeyStore, name: str) -> None:
    headers = l1()
    del headers[f"POLY_{name}"]
    with pytest.raises(AuthRefused):
        store.create(headers, NOW_S)


def test_wallet_signature_of_another_chain_is_refused(store: KeyStore) -> None:
    with pytest.raises(AuthRefused):
        store.create(l1(chain=AMOY), NOW_S)
    amoy = KeyStore(7, lambda _: None, AuthSettings(chain_id=AMOY))
    assert amoy.create(l1(chain=AMOY), NOW_S)["apiKey"]


@pytest.mark.parametrize("off_s", [-10, 0, 10])
def test_timestamps_within_the_tolerance_are_taken(store: KeyStore, off_s: int) -> None:
    made = store.create(l1(at_s=NOW_S + off_s), NOW_S)
    assert store.authenticate(l2(made, at_s=NOW_S + off_s), "GET", "/data/orders", b"", NOW_S)


@pytest.mark.parametrize("off_s", [-11, 11])
def test_timestamps_beyond_the_tolerance_are_refused(store: KeyStore, off_s: int) -> None:
    key = key_of(store)
    with pytest.raises(AuthRefused, match="L1"):
        store.derive(l1(at_s=NOW_S + off_s), NOW_S)
    headers = l2(key, at_s=NOW_S + off_s)
    with pytest.raises(AuthRefused, match="api key"):
        store.authenticate(headers, "GET", "/data/orders", b"", NOW_S)
    patient = KeyStore(7, lambda _: None, AuthSettings(tolerance_s=11))
    assert patient.derive(l1(at_s=NOW_S + off_s), NOW_S) == key.credentials()
    assert patient.authenticate(headers, "GET", "/data/orders", b"", NOW_S) == key


# Requests.


def test_signed_request_is_known_by_its_key(store: KeyStore) -> None:
    key = key_of(store)
    body = '{"orderID":"0x1"}'
    assert store.authenticate(l2(key), "GET", "/data/orders?market=0x1", b"", NOW_S) == key
    headers = l2(key, "DELETE", "/order", body)
    assert store.authenticate(headers, "delete", "/order", body.encode(), NOW_S) == key
    assert (key.address, key.readonly) == (ACCOUNT.address, False)


@pytest.mark.parametrize(
    "write", [str.lower, str.title, lambda name: name.replace("_", "-"), str.upper]
)
def test_header_names_are_taken_in_any_spelling(
    store: KeyStore, write: Callable[[str], str]
) -> None:
    made = store.create({write(name): value for name, value in l1().items()}, NOW_S)
    headers = {write(name): value for name, value in l2(made).items()}
    headers["Accept"] = "*/*"
    assert store.authenticate(headers, "GET", "/data/orders", b"", NOW_S).owner == made["apiKey"]


def test_address_is_taken_in_any_case(store: KeyStore) -> None:
    headers = l1()
    headers["POLY_ADDRESS"] = headers["POLY_ADDRESS"].lower()
    made = store.create(headers, NOW_S)
    told = l2(made)
    told["POLY_ADDRESS"] = told["POLY_ADDRESS"].lower()
    key = store.authenticate(told, "GET", "/data/orders", b"", NOW_S)
    assert key.address == ACCOUNT.address


@pytest.mark.parametrize(
    ("spoil", "method", "path", "body"),
    [
        ({}, "POST", "/data/orders", b""),
        ({}, "GET", "/data/trades", b""),
        ({}, "GET", "/data/orders", b"{}"),
        ({"POLY_ADDRESS": OTHER.address}, "GET", "/data/orders", b""),
        ({"POLY_API_KEY": str(uuid.UUID(int=1))}, "GET", "/data/orders", b""),
        ({"POLY_PASSPHRASE": "0" * 64}, "GET", "/data/orders", b""),
        ({"POLY_TIMESTAMP": str(NOW_S + 1)}, "GET", "/data/orders", b""),
        ({"POLY_TIMESTAMP": "now"}, "GET", "/data/orders", b""),
        ({"POLY_SIGNATURE": "ü"}, "GET", "/data/orders", b""),
    ],
)
def test_request_that_was_not_signed_so_is_refused(
    store: KeyStore, spoil: dict[str, str], method: str, path: str, body: bytes
) -> None:
    with pytest.raises(AuthRefused) as refused:
        store.authenticate({**l2(key_of(store)), **spoil}, method, path, body, NOW_S)
    assert refused.value.status == 401
    assert refused.value.body == {"error": "Unauthorized/Invalid api key"}


@pytest.mark.parametrize("name", ["ADDRESS", "SIGNATURE", "TIMESTAMP", "API_KEY", "PASSPHRASE"])
def test_request_needs_every_header(store: KeyStore, name: str) -> None:
    headers = l2(key_of(store))
    del headers[f"POLY_{name}"]
    with pytest.raises(AuthRefused):
        store.authenticate(headers, "GET", "/data/orders", b"", NOW_S)


def test_socket_credentials_are_compared_whole(store: KeyStore) -> None:
    key = key_of(store)
    assert store.by_credentials(key.owner, key.secret, key.passphrase) == key
    assert store.by_credentials(key.owner, key.secret, "x") is None
    assert store.by_credentials(key.owner, None, key.passphrase) is None
    assert store.by_credentials([], key.secret, key.passphrase) is None
    assert store.by_credentials("x", key.secret, key.passphrase) is None


def test_deleted_key_is_no_key_until_it_is_made_again(store: KeyStore, signers: list[str]) -> None:
    key = key_of(store)
    assert store.delete(key.owner)
    assert not store.delete(key.owner)
    assert store.keys_of(key.address) == []
    with pytest.raises(AuthRefused):
        store.authenticate(l2(key), "GET", "/data/orders", b"", NOW_S)
    assert store.create(l1(), NOW_S) == key.credentials()
    assert signers == [ACCOUNT.address]


def test_read_only_key_reads_and_does_nothing_else(store: KeyStore) -> None:
    key = key_of(store)
    made = store.create_readonly(key)
    assert store.readonly_keys_of(key.address) == [made["apiKey"]]
    assert store.keys_of(key.address) == [key.owner]
    assert store.authenticate(l2(made), "GET", "/data/orders", b"", NOW_S).readonly
    with pytest.raises(AuthRefused):
        store.authenticate(l2(made, "POST", "/order", "{}"), "POST", "/order", b"{}", NOW_S)
    assert not store.delete_readonly(key, key.owner)
    assert not store.delete_readonly(key, None)
    assert not store.delete_readonly(key_of(store, OTHER), made["apiKey"])
    assert store.delete_readonly(key, made["apiKey"])
    assert store.readonly_keys_of(key.address) == []
    assert store.create_readonly(key)["apiKey"] != made["apiKey"]


def test_builder_keys_are_listed_with_their_times(store: KeyStore) -> None:
    key = key_of(store)
    first = official.parse_builder_api_key_creds(store.create_builder(key, NOW_S))
    second = official.parse_builder_api_key_creds(store.create_builder(key, NOW_S + 60))
    headers = build_builder_key_headers(creds=first, method="DELETE", path="/auth/builder-api-key")
    revoked_s = int(headers["POLY_BUILDER_TIMESTAMP"])  # the client reads the clock itself
    store.revoke_builder(headers, "DELETE", "/auth/builder-api-key", b"", revoked_s)
    listed = official.parse_builder_api_keys_response(store.builder_keys_of(key.address))
    assert [one.key for one in listed] == [first.key, second.key]
    assert [one.created_at.timestamp() for one in listed if one.created_at] == [
        NOW_S,
        NOW_S + 60,
    ]
    assert listed[0].revoked_at is not None
    assert listed[0].revoked_at.timestamp() == revoked_s
    assert listed[1].revoked_at is None
    with pytest.raises(AuthRefused, match="api key"):
        store.revoke_builder(headers, "DELETE", "/auth/builder-api-key", b"", revoked_s)


def test_trading_key_revokes_all_builder_keys_of_its_signer(store: KeyStore) -> None:
    key, other = key_of(store), key_of(store, OTHER)
    for one in (key, key, other):
        store.create_builder(one, NOW_S)
    headers = l2(key, "DELETE", "/auth/builder-api-key")
    store.revoke_builder(headers, "DELETE", "/auth/builder-api-key", b"", NOW_S + 5)
    assert [one["revokedAt"] for one in store.builder_keys_of(key.address)] == [
        "2024-03-09T16:00:05Z",
        "2024-03-09T16:00:05Z",
    ]
    assert [one["revokedAt"] for one in store.builder_keys_of(other.address)] == [None]


def test_numbers_of_keys_are_bounded(store: KeyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    key = key_of(store)
    for _ in range(auth.EXTRA_KEYS_MAX):
        store.create_readonly(key)
        store.create_builder(key, NOW_S)
    with pytest.raises(AuthRefused, match="readonly"):
        store.create_readonly(key)
    with pytest.raises(AuthRefused, match="builder"):
        store.create_builder(key, NOW_S)
    monkeypatch.setattr(auth, "SIGNERS_MAX", 1)
    with pytest.raises(AuthRefused, match="Could not create"):
        store.create(l1(OTHER), NOW_S)
    monkeypatch.setattr(auth, "KEYS_MAX", 17)
    with pytest.raises(AuthRefused, match="Could not derive"):
        store.derive(l1(nonce=9), NOW_S)


def test_secrets_are_not_shown(store: KeyStore) -> None:
    key = key_of(store)
    assert key.secret not in repr(key)
    assert key.passphrase not in repr(key)


# Orders.


def wallet(kind: int, account: Any = ACCOUNT, which: int = 0) -> str:
    return [address for known, address in wallets_of(account.address) if known == kind][which]


def unsigned(kind: int = 0, rules: MarketRules = RULES, **changes: Any) -> UnsignedOrder:
    domain = market_domain(rules.protocol, rules.neg_risk)
    maker = changes.pop("maker", None) or wallet(kind)
    plain: dict[str, Any] = {
        "chain_id": POLYGON,
        "builder": BYTES32_ZERO,
        "exchange_address": domain.contract,
        "expiration": 0,
        "maker": maker,
        "maker_amount": 11_782_400,
        "metadata": BYTES32_ZERO,
        "order_type": "GTC",
        "salt": 479249096354,
        "side": "BUY",
        "signature_type": kind,
        "signer": maker if kind == 3 else ACCOUNT.address,
        "taker_amount": 21_040_000,
        "timestamp": 1_710_000_000_123,
        "token_id": rules.tokens[0],
        "protocol_version": domain.version,
    }
    return UnsignedOrder(**{**plain, **changes})


def payload(order: UnsignedOrder, key: ApiKey, account: Any = ACCOUNT, **wrap: Any) -> Any:
    """What the new official client sends for the order, as the venue reads it."""
    signed = account.sign_typed_data(full_message=build_order_typed_data(order))
    signature = build_order_signature(order, "0x" + signed.signature.hex())
    if wrap:
        signature = wrap_deposit_wallet_signature(
            signer=account.address, signature=signature, **wrap
        )
    _, body = build_post_order_request(
        create_signed_order(order, signature), owner_api_key=key.owner
    )
    return json.loads(json.dumps(body))


def refusal(
    body: Any, rules: MarketRules, key: ApiKey, settings: AuthSettings | None = None
) -> str:
    with pytest.raises(Refused) as refused:
        verify_order(body, rules, key, settings)
    assert refused.value.status == 400
    return refused.value.text


@pytest.mark.parametrize("rules", [RULES, NEG_RISK, PROTOCOL_V2])
@pytest.mark.parametrize("kind", [0, 1, 2, 3])
def test_order_of_each_wallet_is_verified(store: KeyStore, kind: int, rules: MarketRules) -> None:
    key = key_of(store)
    body = payload(unsigned(kind, rules), key)
    assert token_id_of(body) == rules.tokens[0]
    found = verify_order(body, rules, key)
    fields = OrderFields(
        salt=479249096354,
        maker=wallet(kind),
        signer=wallet(kind) if kind == 3 else ACCOUNT.address,
        token_id=int(rules.tokens[0]),
        maker_amount=11_782_400,
        taker_amount=21_040_000,
        side=BUY,
        signature_type=kind,
        timestamp_ms=1_710_000_000_123,
    )
    domain = market_domain(rules.protocol, rules.neg_risk)
    order_id, signature = sign_order(SigningKey(SECRET), fields, domain)
    assert body["order"]["signature"] == signature
    assert {name: getattr(found, name) for name in found.__slots__ if name[0] != "_"} == {
        "order_id": order_id,
        "owner": key.owner,
        "maker": wallet(kind),
        "wallet": wallet(kind).lower(),
        "signer": fields.signer,
        "signature_type": kind,
        "side": BUY,
        "token_id": rules.tokens[0],
        "maker_amount": 11_782_400,
        "taker_amount": 21_040_000,
        "salt": 479249096354,
        "timestamp_ms": 1_710_000_000_123,
        "expiration_s": 0,
        "metadata": BYTES32_ZERO,
        "builder": BYTES32_ZERO,
        "order_type": "GTC",
        "post_only": False,
        "defer_exec": False,
    }


def test_order_of_the_first_deposit_wallets_is_verified(store: KeyStore) -> None:
    key = key_of(store)
    body = payload(unsigned(3, maker=wallet(3, which=1)), key)
    assert verify_order(body, RULES, key).maker == wallet(3, which=1)


@pytest.mark.parametrize("kind", [0, 1, 2, 3])
def test_order_of_the_older_client_is_verified(store: KeyStore, kind: int) -> None:
    key = key_of(store)
    builder = OrderBuilder(Signer(SECRET, POLYGON), SignatureTypeV2(kind), wallet(kind))
    order = builder.build_order(
        OrderArgsV2(TOKEN, 0.56, 21.04, "SELL", expiration=NOW_S + 300),
        CreateOrderOptions(tick_size="0.01", neg_risk=True),
        version=2,
    )
    sent = order_to_json_v2(order, key.owner, "GTD", post_only=True, defer_exec=True)
    found = verify_order(json.loads(json.dumps(sent)), NEG_RISK, key)
    assert (found.side, found.maker_amount, found.taker_amount) == (SELL, 21_040_000, 11_782_400)
    assert (found.order_type, found.expiration_s) == ("GTD", NOW_S + 300)
    assert (found.post_only, found.defer_exec) == (True, True)


def test_order_of_the_first_exchange_is_told_its_version(store: KeyStore) -> None:
    key = key_of(store)
    builder = OrderBuilder(Signer(SECRET, POLYGON))
    order = builder.build_order(
        OrderArgsV1(TOKEN, 0.56, 21.04, "BUY"),
        CreateOrderOptions(tick_size="0.01", neg_risk=False),
        version=1,
    )
    sent = json.loads(json.dumps(order_to_json_v1(order, key.owner, "GTC")))
    assert refusal(sent, RULES, key) == "order_version_mismatch"


@pytest.mark.parametrize("signed_for", [RULES, NEG_RISK, PROTOCOL_V2])
@pytest.mark.parametrize("sent_to", [RULES, NEG_RISK, PROTOCOL_V2])
@pytest.mark.parametrize("kind", [0, 3])
def test_order_holds_for_its_own_exchange_only(
    store: KeyStore, kind: int, signed_for: MarketRules, sent_to: MarketRules
) -> None:
    key = key_of(store)
    body = payload(unsigned(kind, signed_for, token_id="12"), key)
    if signed_for is sent_to:
        assert verify_order(body, sent_to, key).token_id == "12"
    else:
        assert refusal(body, sent_to, key) == "invalid signature"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("salt", 1),
        ("makerAmount", "11782401"),
        ("takerAmount", "1"),
        ("tokenId", "12"),
        ("side", "SELL"),
        ("timestamp", "1710000000124"),
        ("metadata", "0x" + "01" * 32),
        ("builder", "0x" + "01" * 32),
        ("maker", OTHER.address),
        ("signature", "0x"),
        ("signature", "0x" + "11" * 65),
        ("signatureType", 1),
    ],
)
@pytest.mark.parametrize("kind", [0, 2, 3])
def test_order_changed_after_signing_is_refused(
    store: KeyStore, kind: int, name: str, value: object
) -> None:
    key = key_of(store)
    body = payload(unsigned(kind), key)
    body["order"][name] = value
    assert refusal(body, RULES, key) in (
        "invalid signature",
        "the order signer address has to be the address of the API KEY",
    )


def test_expiration_is_not_signed(store: KeyStore) -> None:
    key = key_of(store)
    body = payload(unsigned(), key)
    plain = verify_order(body, RULES, key)
    body["order"]["expiration"] = "1710000300"
    assert refusal(body, RULES, key) == "invalid expiration"
    body["orderType"] = "GTD"
    assert verify_order(body, RULES, key).order_id == plain.order_id
    body["order"]["expiration"] = "0"
    assert refusal(body, RULES, key) == "invalid expiration"


def test_order_is_placed_by_its_owner_and_signer_alone(store: KeyStore) -> None:
    key, other = key_of(store), key_of(store, OTHER)
    owner_text = "the order owner has to be the owner of the API KEY"
    signer_text = "the order signer address has to be the address of the API KEY"
    assert refusal(payload(unsigned(), key), RULES, other) == owner_text
    for kind in (0, 2, 3):
        assert refusal(payload(unsigned(kind), other), RULES, other) == signer_text
    # Signed by a stranger in the name of the key's address.
    for kind in (0, 1, 2, 3):
        body = payload(unsigned(kind), key, OTHER)
        assert refusal(body, RULES, key) == "invalid signature"


@pytest.mark.parametrize("kind", [0, 1, 2, 3])
def test_wallet_of_somebody_else_is_refused_when_strict(store: KeyStore, kind: int) -> None:
    key = key_of(store)
    body = payload(unsigned(kind, maker=wallet(2, OTHER)), key)
    expected = (
        "the order signer address has to be the address of the API KEY"
        if kind == 3
        else "invalid signature"
    )
    assert refusal(body, RULES, key) == expected
    lax = AuthSettings(strict_wallets=False)
    if kind == 0:
        assert refusal(body, RULES, key, lax) == "invalid signature"
    else:
        assert verify_order(body, RULES, key, lax).maker == wallet(2, OTHER)


def test_session_key_trades_for_a_wallet_that_is_not_its_own_when_lax(store: KeyStore) -> None:
    key, other = key_of(store), key_of(store, OTHER)
    lax = AuthSettings(strict_wallets=False)
    order = unsigned(3, maker=wallet(3, OTHER))
    body = payload(order, key, signer_type="SESSION_KEY")
    assert verify_order(body, RULES, key, lax).maker == wallet(3, OTHER)
    assert refusal(body, RULES, key) == (
        "the order signer address has to be the address of the API KEY"
    )
    body["owner"] = other.owner
    assert refusal(body, RULES, other, lax) == "invalid signature"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, None) for name in ("salt", "maker", "signer", "tokenId", "side", "expiration")),
        *((name, None) for name in ("makerAmount", "takerAmount", "timestamp", "signature")),
        *((name, None) for name in ("signatureType", "metadata", "builder")),
        *(("salt", value) for value in ("1", 1.5, -1, 1 << 64, True)),
        *(("maker", value) for value in ("0x12", 5, [], {})),
        *(("signer", value) for value in (ACCOUNT.address[2:], 0)),
        *(("tokenId", value) for value in (12, "", "-1", "1e3", "012", "0x1", "9" * 79, "13")),
        *(("makerAmount", value) for value in (1, "0", "1.5", "٣", "1" + "0" * 18, "")),
        *(("takerAmount", value) for value in ("0", " 1")),
        *(("side", value) for value in (0, "buy", "", [])),
        *(("signatureType", value) for value in (4, -1, "0", 0.0, False)),
        *(("timestamp", value) for value in ("0", 1_710_000_000_123, "1" * 14)),
        *(("expiration", value) for value in (0, "", "-1", "1" * 11)),
        *(("metadata", value) for value in ("0x", "0x" + "g" * 64, "0x" + " " * 64, 7)),
        *(("builder", value) for value in ("00" * 33, "0x" + "00" * 31)),
        *(("signature", value) for value in ("11" * 65, "0xzz", 3, "0x" + "0" * 4096)),
    ],
)
def test_field_of_another_type_or_range_is_refused(
    store: KeyStore, name: str, value: object
) -> None:
    key = key_of(store)
    body = payload(unsigned(), key)
    body["order"][name] = value
    assert refusal(body, RULES, key) == "Invalid order payload"


@pytest.mark.parametrize(
    "changes",
    [
        {"orderType": "IOC"},
        {"orderType": None},
        {"orderType": []},
        {"postOnly": "true"},
        {"postOnly": None},
        {"postOnly": True, "orderType": "FOK"},
        {"deferExec": 0},
        {"order": None},
        {"order": []},
        {"order": {}},
    ],
)
def test_envelope_of_another_shape_is_refused(store: KeyStore, changes: dict[str, object]) -> None:
    key = key_of(store)
    assert refusal({**payload(unsigned(), key), **changes}, RULES, key) == "Invalid order payload"


@pytest.mark.parametrize("body", [None, [], "", 1, {}, {"order": {"tokenId": 12}}])
def test_what_is_no_order_is_refused(store: KeyStore, body: object) -> None:
    assert refusal(body, RULES, key_of(store)) == "Invalid order payload"
    with pytest.raises(Refused, match="Invalid order payload"):
        token_id_of(body)
