"""Signatures against known answers and against the official clients."""

import pickle

import attrs
import pytest
from eth_account import Account
from hypothesis import given, settings
from hypothesis import strategies as st
from polymarket._internal.actions.orders.typed_data import (
    build_order_signature,
    build_order_typed_data,
)
from polymarket._internal.actions.orders.types import UnsignedOrder
from polymarket._internal.hmac import build_hmac_signature
from polymarket._internal.l1_auth import sign_api_key_auth
from polymarket._internal.wallet import wrap_deposit_wallet_session_signer_signature
from py_clob_client_v2.order_utils.exchange_order_builder_v2 import ExchangeOrderBuilderV2
from py_clob_client_v2.order_utils.model.order_data_v2 import OrderV2
from py_clob_client_v2.order_utils.model.side import Side
from py_clob_client_v2.order_utils.model.signature_type_v2 import SignatureTypeV2
from py_clob_client_v2.signer import Signer
from py_clob_client_v2.signing.eip712 import sign_clob_auth_message
from py_clob_client_v2.signing.hmac import build_hmac_signature as build_hmac_v2

from polytrade.core.ids import BUY, SELL
from polytrade.polymarket import signing
from polytrade.polymarket.signing import (
    AMOY,
    DOMAINS,
    POLY_1271,
    POLYGON,
    Domain,
    OrderFields,
    SigningKey,
    checksum_address,
    clob_auth_digest,
    keccak256,
    l2_signature,
    market_domain,
    order_digest,
    poly_1271_digest,
    recover,
    sign_digest,
    sign_order,
    unwrap_poly_1271,
    unwrap_session,
    wrap_session,
)

# The first of the well-known keys of local test chains.
SECRET = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
SIGNER = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
WALLET = "0x1111111111111111111111111111111111111111"
V1_TOKEN = 71321045679252212594626385532706912750332728571942532289631379312455583992563
V2_TOKEN = 663574927012476832975694178961957910328055987427402067619466963999000625152
KEY = SigningKey(SECRET)
V2 = DOMAINS[POLYGON]["exchange_v2"]
NEG_RISK = DOMAINS[POLYGON]["neg_risk_v2"]
V3 = DOMAINS[POLYGON]["exchange_v3"]


def fields(**changes: object) -> OrderFields:
    plain = {
        "salt": 479249096354,
        "maker": SIGNER,
        "signer": SIGNER,
        "token_id": V1_TOKEN,
        "maker_amount": 50_000_000,
        "taker_amount": 100_000_000,
        "side": BUY,
        "signature_type": 0,
        "timestamp_ms": 1_710_000_000_000,
    }
    return OrderFields(**{**plain, **changes})


OF_WALLET = {"maker": WALLET, "signer": WALLET, "signature_type": 3}
# (fields, domain, struct hash, order id, the 65 bytes of the signature)
VECTORS = {
    "EOA buys": (
        fields(maker_amount=11_782_400, taker_amount=21_040_000),
        V2,
        "1a65a1ee2a8548cff0804d696725ba2de6df9a42cc5332280ae4c4a38cf1a299",
        "0xdcf2d6453bc6e997192ae0fa65e13db7725e5f21b92762696c3a661a68e4f63f",
        "be22dcae8bdbbedc588720605918c2bc6c556e19ff9c4089c706982b9202e0fe"
        "776c191f60767acd28e6420bce71edec0397c0b356458113130a37c5a0dd03501c",
    ),
    "EOA sells, neg risk": (
        fields(maker_amount=21_040_000, taker_amount=11_782_400, side=SELL),
        NEG_RISK,
        "71c6292144757427ea8d1ff60fe9619354705fd93dc9b481a778caad8d6c32f1",
        "0xf59bbad7e0b21b28ea90891ceb79fae50ef5d54ff865205a604354b9a2b03587",
        "c289f3656a4c7af88b79183449beaf32eab94e921f47130d532de09d1ab8ef70"
        "72e933f0e83cb8d319030b6f8f2553e181d8a7590f671b1a4a624355ef4f64351c",
    ),
    "builder code": (
        fields(builder=b"\xab" * 32),
        V2,
        "90f955294941150b9df30ec6bf02ff76e4dbec55bb3c599fbb3e136ff70f8884",
        "0x6c338dbaaad187e9a3a27a66446b6967c962e9c132848eaa32ed33c009814855",
        "cf184bea8900fa7a840ffcfde4ed36378a03f2931273489450678609e1a4415b"
        "4f0094fb5c103957131bc61e83d62508f99defb6554a997b025fa5b705d28f6b1b",
    ),
    "Safe": (
        fields(maker=WALLET, signature_type=2),
        V2,
        "4b6446388f8ec38d08fe009af484276a8e37cd5f3f0cb6d99cf02e27146cf99b",
        "0x283b2292d46982468faad339936c084c81da76dc7ab152a2867b8faf59679d7f",
        "67a57ce428ae641ff0c9e673ed940ee3a3f6dcb255c31197b11bcb2a60e689a1"
        "1bca143abbc896eb89b90f4b58b66bc36e07421e0bad0d744df8490be17db98a1c",
    ),
    "deposit wallet buys": (
        fields(**OF_WALLET),
        V2,
        "e20f0738bf873395ea189d0616927ed0773fcfc1fbccf24603dba6d61cdd236d",
        "0x225f4433f2e3d94797cb818f5c947768c8c096f05133ddcc1afc09d2a7c99a66",
        "9f7b5bcea1230de7f5033bf6bd96a95fc7facd641927d1ddde08465fdf0caa4b"
        "0ee17ff31d287b69a2e8050ac0ba1c1d2de755730871df683e75cbe37c1621021c",
    ),
    "EOA buys, exchange v3": (
        fields(token_id=V2_TOKEN),
        V3,
        "f98d8478768e259b711361ca0a039cc2b68f2dbc1b355194fb4c4d912b246820",
        "0xb36dd7cfd11d8fdd9a3856651108d80c86a20b2d061df7d396722c3aa41ddb59",
        "2b7cda535136a79f6e5906e95c3c6985b8c847fce24a915ff78410e9f9b63979"
        "2fa11ab0c83173d165e913912800cb8aa8619fa8384ccef18aa347bcc7806c811c",
    ),
    "deposit wallet sells, exchange v3": (
        fields(
            **OF_WALLET,
            token_id=V2_TOKEN,
            side=SELL,
            maker_amount=100_000_000,
            taker_amount=50_000_000,
        ),
        V3,
        "d9cd286446e0d5274cbcbe9b066f88da2c9f95af8000cabbe7b7797fbc1e4492",
        "0x4b067e6cd005239f2a86edb1bb631c9b9bf10110388a0287d833ee89c3e781bf",
        "452b7d972b5b0c7e80d6186fb70447f9359150077cef285b8e58fd3f6886d641"
        "62c1f46fc1f0ed8b3cb92c33096d7d21ad4aef25060fd0d509f364583ceacd281c",
    ),
}
ORDER_TYPE = (
    "Order(uint256 salt,address maker,address signer,uint256 tokenId,uint256 makerAmount,"
    "uint256 takerAmount,uint8 side,uint8 signatureType,uint256 timestamp,bytes32 metadata,"
    "bytes32 builder)"
)


@pytest.mark.parametrize("name", VECTORS)
def test_order_is_hashed_and_signed_as_known(name: str) -> None:
    order, domain, struct_hash, order_id, signature = VECTORS[name]
    hashes = order_digest(order, domain)
    assert hashes.struct_hash.hex() == struct_hash
    assert hashes.order_id == order_id
    if order.signature_type == POLY_1271:
        trailer = domain.separator.hex() + struct_hash + ORDER_TYPE.encode().hex() + "00ba"
        assert sign_order(KEY, order, domain) == (order_id, "0x" + signature + trailer)
    else:
        assert sign_order(KEY, order, domain) == (order_id, "0x" + signature)
        assert recover(hashes.digest, bytes.fromhex(signature)) == SIGNER


def test_domain_separators_are_the_known_ones() -> None:
    assert [domain.separator.hex() for domain in (V2, NEG_RISK, V3)] == [
        "3264e159346253e26a64e00b69032db0e7d32f94628de3e6eecb50304d7af3d2",
        "9b858f53327b0bd13af8ec14cfb35234fb9eb7b0504d1a4e61f433840d30e81a",
        "466c63910185bbd55e8679264200c4e0abdcbb0c6264eb3d41d13326022e095b",
    ]


def test_market_names_its_domain() -> None:
    assert market_domain("v1", neg_risk=False) is V2
    assert market_domain("v1", neg_risk=True) is NEG_RISK
    assert market_domain("v2", neg_risk=False) is V3
    assert market_domain("v2", neg_risk=True) is V3
    assert market_domain("v2", False, AMOY).contract == "0x9fE6e61422AdB6F610d8597F9684b16912D50C3D"


def test_deposit_wallet_signs_as_the_official_test_suite_has_it() -> None:
    order = fields(**OF_WALLET, token_id=1234, maker_amount=100_000_000, taker_amount=50_000_000)
    _, signature = sign_order(KEY, order, DOMAINS[AMOY]["exchange_v2"])
    assert signature.startswith(
        "0xa3a093c83b6c20c83355c16ce94c92e6e9fcbdeb840618cc74f6c57a42ad145b"
        "2b98db73d2c73cbf1f2b6af288566ae81960ddbc3a13921027358a8bff3be6ff1ca440cbd8"
    )


@pytest.mark.parametrize(
    ("chain", "timestamp", "nonce", "signature"),
    [
        (
            AMOY,
            "10000000",
            23,
            "f62319a987514da40e57e2f4d7529f7bac38f0355bd88bb5adbb3768d80de6c1"
            "682518e0af677d5260366425f4361e7b70c25ae232aff0ab2331e2b164a1aedc1b",
        ),
        (
            POLYGON,
            1710000000,
            0,
            "9cc2a42f0c90d90b5f1fb73b2b7896cd1e43585c2f5b58486dc7d884c2525f1c"
            "4e78a1329a38988c1d8c9260cc0f910da27915ec0a92aedf0c98454823b3cebe1b",
        ),
    ],
)
def test_wallet_signs_for_its_keys_as_known(
    chain: int, timestamp: str | int, nonce: int, signature: str
) -> None:
    digest = clob_auth_digest(SIGNER, timestamp, nonce, chain)
    assert sign_digest(KEY, digest).hex() == signature


@pytest.mark.parametrize(
    ("timestamp", "method", "path", "body", "signature"),
    [
        (
            *("1000000", "test-sign", "/orders", b'{"hash": "0x123"}'),
            "ZwAdJKvoYRlEKDkNMwd5BuwNNtg93kNaR_oU2HrfVvc=",
        ),
        (
            *(1710000000, "GET", "/data/orders", b""),
            "ikhPvzkGUsjL-NRfc7-t_mgOlnzt9QU9GD1LKLTs8z4=",
        ),
        (
            *(1710000000, "POST", "/order", b'{"deferExec":false}'),
            "xG1S4fdUu-V9MeUwqM4GBd9hIla9kUYpYmUPTFCvpYY=",
        ),
        (
            *(1710000000, "DELETE", "/cancel-all", b""),
            "jlwMZW7hjkrFs8J3ZtR3YXw6BMoxDz85FgdhQmNdXsc=",
        ),
    ],
)
def test_request_is_signed_as_known(
    timestamp: str | int, method: str, path: str, body: bytes, signature: str
) -> None:
    secret = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
    assert l2_signature(secret, timestamp, method, path, body) == signature
    assert l2_signature(secret.rstrip("="), timestamp, method, path, body) == signature


def test_hash_of_the_chain_is_keccak() -> None:
    empty = "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    assert keccak256(b"").hex() == empty


@pytest.mark.parametrize(
    "address",
    [
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
        "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
    ],
)
def test_capitals_of_an_address_are_those_of_eip_55(address: str) -> None:
    assert checksum_address(address.lower()) == address
    assert checksum_address("0x" + address[2:].upper()) == address


@pytest.mark.parametrize(
    "text", ["", "0x", SIGNER[2:], SIGNER + "0", "0x" + "g" * 40, "0x" + " " * 40]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected an address"):
        checksum_address(text)


@pytest.mark.parametrize(
    "changes",
    [
        {"salt": -1},
        {"token_id": 1 << 256},
        {"maker": "0x12"},
        {"metadata": b"short"},
        {"builder": bytes(33)},
    ],
)
def test_order_that_fits_no_struct_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected"):
        order_digest(fields(**changes), V2)


GOOD = sign_digest(KEY, bytes(32))


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        GOOD[:64],
        GOOD + b"\0",
        GOOD[:64] + bytes((GOOD[64] - 27,)),
        bytes(64) + b"\x1b",
        b"\xff" * 32 + GOOD[32:],
        # The twin that mirrors s: the same signer, refused on chain.
        GOOD[:32]
        + (
            0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
            - int.from_bytes(GOOD[32:64], "big")
        ).to_bytes(32, "big")
        + bytes((55 - GOOD[64],)),
    ],
)
def test_what_is_no_signature_is_refused(signature: bytes) -> None:
    with pytest.raises(ValueError, match="expected"):
        recover(bytes(32), signature)


def test_nested_signature_comes_apart() -> None:
    order, domain, struct_hash, _, inner = VECTORS["deposit wallet buys"]
    _, signature = sign_order(KEY, order, domain)
    parts = unwrap_poly_1271(bytes.fromhex(signature[2:]))
    assert attrs.astuple(parts) == (
        bytes.fromhex(inner),
        domain.separator,
        bytes.fromhex(struct_hash),
    )
    digest = poly_1271_digest(parts.struct_hash, domain, WALLET)
    assert recover(digest, parts.inner) == SIGNER
    for spoilt in (signature[2:-2], signature[2:] + "00", inner):
        with pytest.raises(ValueError, match="nested"):
            unwrap_poly_1271(bytes.fromhex(spoilt))


@pytest.mark.parametrize("length", [0, 1, 31, 32, 317])
def test_session_key_wraps_as_the_official_client_does(length: int) -> None:
    inner = bytes(range(256)) * 2
    wrapped = wrap_session(SIGNER, inner[:length])
    official = wrap_deposit_wallet_session_signer_signature(SIGNER, "0x" + inner[:length].hex())
    assert "0x" + wrapped.hex() == official
    assert unwrap_session(wrapped) == (SIGNER, inner[:length])


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        bytes.fromhex("6492" * 16),
        b"\1" + wrap_session(SIGNER, b"abc")[1:],
        wrap_session(SIGNER, b"abc")[:-1],
        wrap_session(SIGNER, b"abc").replace(b"abc\0", b"abcd"),
        wrap_session(SIGNER, b"abc").replace(b"\0\3abc", b"\xff\3abc"),
    ],
)
def test_what_is_no_session_signature_is_told(signature: bytes) -> None:
    assert unwrap_session(signature) is None


def test_private_key_is_never_shown() -> None:
    digits = SECRET[2:]
    assert repr(KEY) == f"<SigningKey of {SIGNER}>"
    assert str(KEY) == repr(KEY)
    with pytest.raises(TypeError):
        pickle.dumps(KEY)
    for bad in (digits[:-1] + "g", digits[:-2], "0x" + "f" * 64, "0x" + "0" * 64, b"short"):
        with pytest.raises(ValueError, match="expected a private key of 32 bytes") as caught:
            SigningKey(bad)
        assert str(bad) not in str(caught.value)
    assert SigningKey(bytes.fromhex(digits)).address == SIGNER


# The official clients as oracles.

KEYS = st.integers(1, signing._HALF_ORDER).map(lambda number: number.to_bytes(32, "big"))
WORDS = st.binary(min_size=32, max_size=32)
AMOUNTS = st.integers(1, 10**18)


@st.composite
def orders(draw: st.DrawFn) -> tuple[SigningKey, OrderFields]:
    key = SigningKey(draw(KEYS))
    kind = draw(st.integers(0, 3))
    wallet = checksum_address("0x" + draw(st.binary(min_size=20, max_size=20)).hex())
    return key, OrderFields(
        salt=draw(st.integers(0, 2**53 - 1)),
        maker=wallet if kind else key.address,
        signer=wallet if kind == POLY_1271 else key.address,
        token_id=draw(st.integers(0, 2**256 - 1)),
        maker_amount=draw(AMOUNTS),
        taker_amount=draw(AMOUNTS),
        side=draw(st.sampled_from((BUY, SELL))),
        signature_type=kind,
        timestamp_ms=draw(st.integers(1, 2**43)),
        metadata=draw(WORDS),
        builder=draw(WORDS),
    )


def by_polymarket_client(secret: bytes, order: OrderFields, domain: Domain) -> str:
    unsigned = UnsignedOrder(
        chain_id=domain.chain_id,
        builder="0x" + order.builder.hex(),
        exchange_address=domain.contract,
        expiration=0,
        maker=order.maker,
        maker_amount=order.maker_amount,
        metadata="0x" + order.metadata.hex(),
        order_type="GTC",
        salt=order.salt,
        side="BUY" if order.side == BUY else "SELL",
        signature_type=order.signature_type,
        signer=order.signer,
        taker_amount=order.taker_amount,
        timestamp=order.timestamp_ms,
        token_id=str(order.token_id),
        protocol_version=domain.version,
    )
    account = Account.from_key(secret)
    signed = account.sign_typed_data(full_message=build_order_typed_data(unsigned))
    return build_order_signature(unsigned, "0x" + signed.signature.hex())


def by_clob_client(secret: bytes, order: OrderFields, domain: Domain) -> tuple[str, str]:
    builder = ExchangeOrderBuilderV2(
        domain.contract,
        domain.chain_id,
        Signer("0x" + secret.hex(), domain.chain_id),
        domain_version=domain.version,
    )
    typed = builder.build_order_typed_data(
        OrderV2(
            salt=str(order.salt),
            maker=order.maker,
            signer=order.signer,
            tokenId=str(order.token_id),
            makerAmount=str(order.maker_amount),
            takerAmount=str(order.taker_amount),
            side=Side.BUY if order.side == BUY else Side.SELL,
            signatureType=SignatureTypeV2(order.signature_type),
            timestamp=str(order.timestamp_ms),
            metadata="0x" + order.metadata.hex(),
            builder="0x" + order.builder.hex(),
        )
    )
    return builder.build_order_hash(typed), builder.build_order_signature(typed)


@settings(max_examples=20)
@given(
    orders(),
    st.sampled_from([domain for chain in DOMAINS.values() for domain in chain.values()]),
)
def test_orders_are_signed_as_both_official_clients_sign_them(
    signed: tuple[SigningKey, OrderFields], domain: Domain
) -> None:
    key, order = signed
    secret = key._key.secret
    ours = sign_order(key, order, domain)
    assert ours == by_clob_client(secret, order, domain)
    assert ours[1] == by_polymarket_client(secret, order, domain)


@settings(max_examples=10)
@given(KEYS, st.integers(0, 2**33), st.integers(0, 2**63), st.sampled_from((POLYGON, AMOY)))
def test_wallets_sign_for_keys_as_both_official_clients_do(
    secret: bytes, timestamp: int, nonce: int, chain: int
) -> None:
    key = SigningKey(secret)
    ours = "0x" + key.sign(clob_auth_digest(key.address, timestamp, nonce, chain)).hex()
    account = Account.from_key(secret)
    theirs = sign_api_key_auth(account, chain_id=chain, timestamp=timestamp, nonce=nonce)
    assert (ours, key.address) == (theirs.signature, theirs.address)
    signer = Signer("0x" + secret.hex(), chain)
    assert ours == sign_clob_auth_message(signer, timestamp, nonce)


@settings(max_examples=20)
@given(
    st.binary(min_size=32, max_size=32),
    st.integers(0, 2**33),
    st.sampled_from(("GET", "POST", "DELETE")),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="'"), max_size=50),
)
def test_requests_are_signed_as_both_official_clients_sign_them(
    key: bytes, timestamp: int, method: str, body: str
) -> None:
    secret = signing.urlsafe_b64encode(key).decode()
    ours = l2_signature(secret, timestamp, method, "/order", body.encode())
    assert ours == build_hmac_v2(secret, timestamp, method, "/order", body)
    assert ours == build_hmac_signature(
        secret=secret, timestamp=timestamp, method=method, path="/order", body=body
    )
