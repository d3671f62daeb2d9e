"""A signed order as `POST /order` carries it: read, checked and its signer recovered."""

from collections.abc import Mapping
from typing import Any, Final

import attrs

from polytrade.core.ids import BUY, SELL
from polytrade.polymarket.signing import (
    EOA,
    POLY_1271,
    POLYGON,
    Domain,
    OrderFields,
    OrderHashes,
    checksum_address,
    market_domain,
    order_digest,
    poly_1271_digest,
    recover,
    unwrap_poly_1271,
    unwrap_session,
)
from polytrade.sandbox.matching.orders import GTD, MARKET_TYPES, RESTING_TYPES, Refused
from polytrade.sandbox.matching.rules import MarketRules
from polytrade.sandbox.venue.wallets import wallets_of

INVALID_PAYLOAD: Final = "Invalid order payload"
INVALID_SIGNATURE: Final = "invalid signature"
INVALID_EXPIRATION: Final = "invalid expiration"
VERSION_MISMATCH: Final = "order_version_mismatch"
WRONG_OWNER: Final = "the order owner has to be the owner of the API KEY"
WRONG_SIGNER: Final = "the order signer address has to be the address of the API KEY"

AMOUNT_MAX: Final = 10**18
"""1e12 whole units: beyond any balance, within 64 bits."""
SALT_MAX: Final = 1 << 64
MS_MAX: Final = 1 << 43
SECONDS_MAX: Final = 1 << 33
TOKEN_MAX: Final = 1 << 256
HEX_CHARS_MAX: Final = 2048
"""A nested signature in a session key's wrapper has 1,154 characters."""
_SIDES: Final = {"BUY": BUY, "SELL": SELL}
_ORDER_TYPES: Final = (*RESTING_TYPES, *MARKET_TYPES)
_V1_FIELDS: Final = ("taker", "nonce", "feeRateBps")


@attrs.frozen(eq=False, kw_only=True)
class VerifiedOrder:
    """An order whose signature is good. Amounts in 1e-6 of the side's own units (protocols 4.3).

    `maker` and `signer` are checksummed, `wallet` is the maker in lower case, as accounts are kept.
    """

    order_id: str
    owner: str
    maker: str
    wallet: str
    signer: str
    signature_type: int
    side: int
    token_id: str
    maker_amount: int
    taker_amount: int
    salt: int
    timestamp_ms: int
    expiration_s: int
    metadata: str
    builder: str
    order_type: str
    post_only: bool
    defer_exec: bool


def token_id_of(body: object) -> str:
    """The token an order is for, to find its market by; Refused when there is none."""
    order = body.get("order") if isinstance(body, Mapping) else None
    if not isinstance(order, Mapping):
        raise Refused(INVALID_PAYLOAD)
    return str(_number(order.get("tokenId"), TOKEN_MAX))


def verify_order(
    body: object,
    rules: MarketRules,
    *,
    owner: str,
    address: str,
    chain_id: int = POLYGON,
    strict_wallets: bool = True,
) -> VerifiedOrder:
    """The order of a send-order object, placed with the key `owner` of the signer `address`.

    Raises Refused with the venue's text. The signature must hold in the domain the market demands
    and come from `address`; the maker must be a wallet of it (any wallet unless `strict_wallets`).
    """
    if not isinstance(body, Mapping) or not isinstance(body.get("order"), Mapping):
        raise Refused(INVALID_PAYLOAD)
    order: Mapping[str, Any] = body["order"]
    if "timestamp" not in order and any(field in order for field in _V1_FIELDS):
        raise Refused(VERSION_MISMATCH)
    fields = _fields(order)
    signature = _hex(order.get("signature"))
    order_type, post_only, defer_exec = _manner(body)
    expiration_s = _number(order.get("expiration"), SECONDS_MAX)
    if str(fields.token_id) not in rules.tokens:
        raise Refused(INVALID_PAYLOAD)
    if (expiration_s != 0) != (order_type == GTD):
        raise Refused(INVALID_EXPIRATION)
    if body.get("owner") != owner:
        raise Refused(WRONG_OWNER)
    if strict_wallets or fields.signature_type != POLY_1271:
        _check_signer(fields, address)
    domain = market_domain(rules.protocol, rules.neg_risk, chain_id)
    hashes = order_digest(fields, domain)
    try:
        _check_signature(fields, hashes, domain, signature, (address, strict_wallets))
    except ValueError:
        raise Refused(INVALID_SIGNATURE) from None
    return VerifiedOrder(
        order_id=hashes.order_id,
        owner=owner,
        maker=fields.maker,
        wallet=fields.maker.lower(),
        signer=fields.signer,
        signature_type=fields.signature_type,
        side=fields.side,
        token_id=str(fields.token_id),
        maker_amount=fields.maker_amount,
        taker_amount=fields.taker_amount,
        salt=fields.salt,
        timestamp_ms=fields.timestamp_ms,
        expiration_s=expiration_s,
        metadata="0x" + fields.metadata.hex(),
        builder="0x" + fields.builder.hex(),
        order_type=order_type,
        post_only=post_only,
        defer_exec=defer_exec,
    )


def _fields(order: Mapping[str, Any]) -> OrderFields:
    """What is signed, every field of its type and within its range."""
    salt, kind, side = order.get("salt"), order.get("signatureType"), order.get("side")
    if type(salt) is not int or not 0 <= salt < SALT_MAX:
        raise Refused(INVALID_PAYLOAD)
    if type(kind) is not int or not EOA <= kind <= POLY_1271:
        raise Refused(INVALID_PAYLOAD)
    if not isinstance(side, str) or side not in _SIDES:
        raise Refused(INVALID_PAYLOAD)
    amounts = [_number(order.get(name), AMOUNT_MAX) for name in ("makerAmount", "takerAmount")]
    timestamp_ms = _number(order.get("timestamp"), MS_MAX)
    if not (all(amounts) and timestamp_ms):
        raise Refused(INVALID_PAYLOAD)
    try:
        maker, signer = checksum_address(order["maker"]), checksum_address(order["signer"])
    except (KeyError, TypeError, ValueError):
        raise Refused(INVALID_PAYLOAD) from None
    return OrderFields(
        salt=salt,
        maker=maker,
        signer=signer,
        token_id=_number(order.get("tokenId"), TOKEN_MAX),
        maker_amount=amounts[0],
        taker_amount=amounts[1],
        side=_SIDES[side],
        signature_type=kind,
        timestamp_ms=timestamp_ms,
        metadata=_word(order.get("metadata")),
        builder=_word(order.get("builder")),
    )


def _manner(body: Mapping[str, Any]) -> tuple[str, bool, bool]:
    """(order type, post only, defer execution)."""
    order_type: object = body.get("orderType")
    post_only, defer_exec = body.get("postOnly", False), body.get("deferExec", False)
    if (
        not isinstance(order_type, str)
        or order_type not in _ORDER_TYPES
        or not isinstance(post_only, bool)
        or not isinstance(defer_exec, bool)
        or (post_only and order_type in MARKET_TYPES)
    ):
        raise Refused(INVALID_PAYLOAD)
    return order_type, post_only, defer_exec


def _check_signer(fields: OrderFields, address: str) -> None:
    """The signer an order names is the key's own, or a deposit wallet of it."""
    if fields.signature_type == POLY_1271:
        if (POLY_1271, fields.signer) not in wallets_of(address):
            raise Refused(WRONG_SIGNER)
    elif fields.signer != address:
        raise Refused(WRONG_SIGNER)


def _check_signature(
    fields: OrderFields,
    hashes: OrderHashes,
    domain: Domain,
    signature: bytes,
    signer: tuple[str, bool],
) -> None:
    """ValueError unless `signer` (address, strict wallets) signed for the maker."""
    address, strict = signer
    digest = hashes.digest
    if fields.signature_type == POLY_1271:
        if fields.maker != fields.signer:
            raise ValueError("a deposit wallet signs for itself")
        session = None if strict else unwrap_session(signature)
        if session is not None:
            if session[0] != address:
                raise ValueError("another session key")
            signature = session[1]
        nested = unwrap_poly_1271(signature)
        if (nested.separator, nested.struct_hash) != (domain.separator, hashes.struct_hash):
            raise ValueError("another order or exchange")
        digest = poly_1271_digest(hashes.struct_hash, domain, fields.signer)
        signature = nested.inner
    elif (strict or fields.signature_type == EOA) and (
        (fields.signature_type, fields.maker) not in wallets_of(address)
    ):
        raise ValueError("not a wallet of the signer")
    if recover(digest, signature) != address:
        raise ValueError("another signer")


def _number(value: object, below: int) -> int:
    """A decimal string without sign or leading zero, under `below`."""
    if not isinstance(value, str) or not 0 < len(value) <= 78:
        raise Refused(INVALID_PAYLOAD)
    if not (value.isascii() and value.isdigit()) or (value[0] == "0" and value != "0"):
        raise Refused(INVALID_PAYLOAD)
    number = int(value)
    if number >= below:
        raise Refused(INVALID_PAYLOAD)
    return number


def _word(value: object) -> bytes:
    word = _hex(value)
    if len(word) != 32:
        raise Refused(INVALID_PAYLOAD)
    return word


def _hex(value: object) -> bytes:
    """The bytes of `0x` and hex digits."""
    if not isinstance(value, str) or value[:2] != "0x" or len(value) > HEX_CHARS_MAX:
        raise Refused(INVALID_PAYLOAD)
    try:
        return bytes.fromhex(value[2:])
    except ValueError:
        raise Refused(INVALID_PAYLOAD) from None
