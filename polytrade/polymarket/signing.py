"""Signatures of orders and of requests, the venue's way (protocols 3, 4): made and checked.

Pure: no clock, no chance; ECDSA nonces follow RFC 6979, so that the same order signed twice gives
the same bytes. What never changes (type, name and domain hashes) is hashed once, at import. What is
not as it must be raises ValueError.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import attrs
from coincurve import PrivateKey, PublicKey
from Crypto.Hash import keccak

POLYGON: Final = 137
AMOY: Final = 80002

EOA: Final = 0
POLY_PROXY: Final = 1
GNOSIS_SAFE: Final = 2
POLY_1271: Final = 3
"""Signature types: who pays, and how the signature is to be read (protocols 4.1)."""

ZERO_32: Final = bytes(32)
CLOB_AUTH_MESSAGE: Final = "This message attests that I control the given wallet"
SIGNATURE_BYTES: Final = 65

_ADDRESSES_REMEMBERED: Final = 4096
"""Addresses whose checksum is remembered: each wallet of a thousand signers, 0.5 MB."""
_SECRETS_REMEMBERED: Final = 1024
_HALF_ORDER: Final = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
_PAD_12: Final = bytes(12)


def keccak256(data: bytes) -> bytes:
    """The hash of the chain, 32 bytes (not SHA3-256: the padding differs)."""
    return keccak.new(digest_bits=256, data=data).digest()


_ORDER_TYPE: Final = (
    b"Order(uint256 salt,address maker,address signer,uint256 tokenId,uint256 makerAmount,"
    b"uint256 takerAmount,uint8 side,uint8 signatureType,uint256 timestamp,bytes32 metadata,"
    b"bytes32 builder)"
)
_NESTED_TYPE: Final = (
    b"TypedDataSign(Order contents,string name,string version,uint256 chainId,"
    b"address verifyingContract,bytes32 salt)" + _ORDER_TYPE
)
_DOMAIN_TYPE_HASH: Final = keccak256(
    b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)
_ORDER_TYPE_HASH: Final = keccak256(_ORDER_TYPE)
_NESTED_TYPE_HASH: Final = keccak256(_NESTED_TYPE)
_EXCHANGE_NAME_HASH: Final = keccak256(b"Polymarket CTF Exchange")
_WALLET_NAME_HASHES: Final = keccak256(b"DepositWallet") + keccak256(b"1")
_AUTH_DOMAIN_TYPE_HASH: Final = keccak256(
    b"EIP712Domain(string name,string version,uint256 chainId)"
)
_AUTH_NAME_HASHES: Final = keccak256(b"ClobAuthDomain") + keccak256(b"1")
_AUTH_TYPE_HASH: Final = keccak256(
    b"ClobAuth(address address,string timestamp,uint256 nonce,string message)"
)
_AUTH_MESSAGE_HASH: Final = keccak256(CLOB_AUTH_MESSAGE.encode())
_TRAILER: Final = _ORDER_TYPE + len(_ORDER_TYPE).to_bytes(2, "big")
_NESTED_BYTES: Final = SIGNATURE_BYTES + 64 + len(_TRAILER)
_SESSION_MAGIC: Final = bytes.fromhex("6492" * 16)
_SESSION_HEAD: Final = 4 * 32


def address_bytes(address: str) -> bytes:
    """The 20 bytes of `0x` and 40 hex digits of any case."""
    try:
        raw = bytes.fromhex(address[2:])
    except ValueError:
        raw = b""
    if len(raw) != 20 or len(address) != 42 or address[:2] != "0x":
        raise ValueError(f"expected an address, found {address!r:.60}")
    return raw


@lru_cache(_ADDRESSES_REMEMBERED)
def checksum_address(address: str) -> str:
    """The address with the capitals of EIP-55, whatever capitals it came with."""
    digits = address_bytes(address).hex()
    marks = keccak256(digits.encode()).hex()
    return "0x" + "".join(
        digit.upper() if mark > "7" else digit for digit, mark in zip(digits, marks, strict=False)
    )


@attrs.frozen
class Domain:
    """Where an order is valid: an exchange contract on a chain. `separator` is its hash."""

    version: str
    chain_id: int
    contract: str
    separator: bytes = attrs.field(init=False, repr=False)

    @separator.default
    def _hashed(self) -> bytes:
        return keccak256(
            _DOMAIN_TYPE_HASH
            + _EXCHANGE_NAME_HASH
            + keccak256(self.version.encode())
            + self.chain_id.to_bytes(32, "big")
            + _PAD_12
            + address_bytes(self.contract)
        )


_EXCHANGE_V2: Final = "0xE111180000d2663C0091e4f400237545B87B996B"
_NEG_RISK_V2: Final = "0xe2222d279d744050d28e00520010520000310F59"
DOMAINS: Final[Mapping[int, Mapping[str, Domain]]] = {
    POLYGON: {
        "exchange_v2": Domain("2", POLYGON, _EXCHANGE_V2),
        "neg_risk_v2": Domain("2", POLYGON, _NEG_RISK_V2),
        "exchange_v3": Domain("3", POLYGON, "0xe3333700cA9d93003F00f0F71f8515005F6c00Aa"),
    },
    AMOY: {
        "exchange_v2": Domain("2", AMOY, _EXCHANGE_V2),
        "neg_risk_v2": Domain("2", AMOY, _NEG_RISK_V2),
        "exchange_v3": Domain("3", AMOY, "0x9fE6e61422AdB6F610d8597F9684b16912D50C3D"),
    },
}
"""By chain and exchange (protocols 0.3, 4.1)."""


def market_domain(protocol: str, neg_risk: bool, chain_id: int = POLYGON) -> Domain:
    """The domain an order of such a market is signed in; `protocol` is Gamma's `version`."""
    if protocol == "v2":
        return DOMAINS[chain_id]["exchange_v3"]
    return DOMAINS[chain_id]["neg_risk_v2" if neg_risk else "exchange_v2"]


@attrs.define(eq=False, kw_only=True)
class OrderFields:
    """What an order signs. Amounts in 1e-6; `side` as in `core.ids`; `timestamp_ms` since 1970."""

    salt: int
    maker: str
    signer: str
    token_id: int
    maker_amount: int
    taker_amount: int
    side: int
    signature_type: int
    timestamp_ms: int
    metadata: bytes = ZERO_32
    builder: bytes = ZERO_32


@attrs.frozen
class OrderHashes:
    """`digest` is what is signed, and the order's id on the venue; `struct_hash` has no domain."""

    struct_hash: bytes
    digest: bytes

    @property
    def order_id(self) -> str:
        """The id the venue will know the order by."""
        return "0x" + self.digest.hex()


def order_digest(fields: OrderFields, domain: Domain) -> OrderHashes:
    """The hashes of an order; ValueError for what does not fit its type."""
    try:
        struct_hash = keccak256(
            b"".join(
                (
                    _ORDER_TYPE_HASH,
                    fields.salt.to_bytes(32, "big"),
                    _PAD_12,
                    address_bytes(fields.maker),
                    _PAD_12,
                    address_bytes(fields.signer),
                    fields.token_id.to_bytes(32, "big"),
                    fields.maker_amount.to_bytes(32, "big"),
                    fields.taker_amount.to_bytes(32, "big"),
                    fields.side.to_bytes(32, "big"),
                    fields.signature_type.to_bytes(32, "big"),
                    fields.timestamp_ms.to_bytes(32, "big"),
                    _word(fields.metadata),
                    _word(fields.builder),
                )
            )
        )
    except OverflowError:
        raise ValueError("expected numbers from 0 to 2**256 - 1") from None
    return OrderHashes(struct_hash, _typed_digest(domain.separator, struct_hash))


def _word(value: bytes) -> bytes:
    if len(value) != 32:
        raise ValueError(f"expected 32 bytes, found {len(value)}")
    return value


def _typed_digest(separator: bytes, struct_hash: bytes) -> bytes:
    return keccak256(b"\x19\x01" + separator + struct_hash)


def poly_1271_digest(struct_hash: bytes, domain: Domain, wallet: str) -> bytes:
    """What the owner of a deposit wallet signs for an order of it (ERC-7739, protocols 4.1)."""
    return _typed_digest(
        domain.separator,
        keccak256(
            b"".join(
                (
                    _NESTED_TYPE_HASH,
                    struct_hash,
                    _WALLET_NAME_HASHES,
                    domain.chain_id.to_bytes(32, "big"),
                    _PAD_12,
                    address_bytes(wallet),
                    ZERO_32,
                )
            )
        ),
    )


@attrs.frozen
class NestedSignature:
    """The parts of a deposit wallet's signature."""

    inner: bytes
    separator: bytes
    struct_hash: bytes


def wrap_poly_1271(inner: bytes, domain: Domain, struct_hash: bytes) -> bytes:
    """The owner's signature as the wallet wants it: with all it needs to hash again."""
    return inner + domain.separator + struct_hash + _TRAILER


def unwrap_poly_1271(signature: bytes) -> NestedSignature:
    """The parts again; ValueError for anything but a nested signature of an order."""
    if len(signature) != _NESTED_BYTES or not signature.endswith(_TRAILER):
        raise ValueError("expected a nested signature of an order")
    separator_at = SIGNATURE_BYTES + 32
    return NestedSignature(
        signature[:SIGNATURE_BYTES],
        signature[SIGNATURE_BYTES:separator_at],
        signature[separator_at : separator_at + 32],
    )


def wrap_session(session_signer: str, signature: bytes) -> bytes:
    """A deposit wallet's signature made by a session key: names the key (protocols 4.1)."""
    return b"".join(
        (
            _PAD_12,
            address_bytes(session_signer),
            ZERO_32,
            (96).to_bytes(32, "big"),
            len(signature).to_bytes(32, "big"),
            signature,
            bytes(-len(signature) % 32),
            _SESSION_MAGIC,
        )
    )


def unwrap_session(signature: bytes) -> tuple[str, bytes] | None:
    """(session key's address, signature inside); None when it is no session key's."""
    if not signature.endswith(_SESSION_MAGIC) or len(signature) < _SESSION_HEAD + 32:
        return None
    inner = signature[_SESSION_HEAD : _SESSION_HEAD + int.from_bytes(signature[96:128], "big")]
    address = checksum_address("0x" + signature[12:32].hex())
    return (address, inner) if wrap_session(address, inner) == signature else None


class SigningKey:
    """A private key, ready to sign; never shown. From 32 bytes or `0x` and 64 hex digits."""

    __slots__ = ("_key", "address")

    def __init__(self, private_key: bytes | str) -> None:
        try:
            if isinstance(private_key, str):
                private_key = bytes.fromhex(private_key.removeprefix("0x"))
            if len(private_key) != 32:
                raise ValueError
            self._key = PrivateKey(private_key)
        except ValueError:  # its text may quote the key
            raise ValueError("expected a private key of 32 bytes, within the curve") from None
        self.address: str = _address_of(self._key.public_key)

    def __repr__(self) -> str:
        return f"<SigningKey of {self.address}>"

    def __reduce__(self) -> str:
        raise TypeError("a private key is not written anywhere")

    def sign(self, digest: bytes) -> bytes:
        """65 bytes r, s, v of a 32-byte digest; v is 27 or 28, s in the lower half."""
        raw = self._key.sign_recoverable(digest, hasher=None)
        return raw[:64] + (b"\x1b" if raw[64] == 0 else b"\x1c")


def sign_digest(key: SigningKey, digest: bytes) -> bytes:
    """65 bytes r, s, v of a 32-byte digest."""
    return key.sign(digest)


def sign_order(key: SigningKey, fields: OrderFields, domain: Domain) -> tuple[str, str]:
    """(order id, signature as it goes into POST /order), nested when a deposit wallet pays."""
    hashes = order_digest(fields, domain)
    if fields.signature_type == POLY_1271:
        inner = key.sign(poly_1271_digest(hashes.struct_hash, domain, fields.signer))
        signature = wrap_poly_1271(inner, domain, hashes.struct_hash)
    else:
        signature = key.sign(hashes.digest)
    return hashes.order_id, "0x" + signature.hex()


def recover(digest: bytes, signature: bytes) -> str:
    """The address (checksummed) that signed `digest`.

    ValueError for what is no signature: another length, a v that is not 27 or 28, an s in the upper
    half (such a twin is refused on chain), no point on the curve.
    """
    if len(signature) != SIGNATURE_BYTES or signature[64] not in (27, 28):
        raise ValueError("expected a signature of 65 bytes that ends in 27 or 28")
    if int.from_bytes(signature[32:64], "big") > _HALF_ORDER:
        raise ValueError("expected an s in the lower half of the curve's order")
    recoverable = signature[:64] + bytes((signature[64] - 27,))
    try:
        public = PublicKey.from_signature_and_message(recoverable, digest, hasher=None)
    except Exception as error:  # the library raises bare ones
        raise ValueError(f"expected a signature: {error}") from None
    return _address_of(public)


def _address_of(public: PublicKey) -> str:
    return checksum_address("0x" + keccak256(public.format(compressed=False)[1:])[12:].hex())


@lru_cache(8)
def _auth_separator(chain_id: int) -> bytes:
    return keccak256(_AUTH_DOMAIN_TYPE_HASH + _AUTH_NAME_HASHES + chain_id.to_bytes(32, "big"))


def clob_auth_digest(
    address: str, timestamp: str | int, nonce: int, chain_id: int = POLYGON
) -> bytes:
    """What a signer signs to be given API keys (L1, protocols 3.1); `timestamp` in seconds."""
    if not 0 <= nonce < 1 << 256:
        raise ValueError(f"expected a nonce from 0 to 2**256 - 1, found {nonce}")
    return _typed_digest(
        _auth_separator(chain_id),
        keccak256(
            b"".join(
                (
                    _AUTH_TYPE_HASH,
                    _PAD_12,
                    address_bytes(address),
                    keccak256(str(timestamp).encode()),
                    nonce.to_bytes(32, "big"),
                    _AUTH_MESSAGE_HASH,
                )
            )
        ),
    )


@lru_cache(_SECRETS_REMEMBERED)
def _secret_bytes(secret: str) -> bytes:
    return urlsafe_b64decode(secret + "=" * (-len(secret) % 4))


def l2_signature(
    secret: str, timestamp: str | int, method: str, path: str, body: bytes = b""
) -> str:
    """POLY_SIGNATURE of a request (L2, protocols 3.2); `path` without query, `body` as sent."""
    message = f"{timestamp}{method}{path}".encode() + body
    return urlsafe_b64encode(hmac.digest(_secret_bytes(secret), message, "sha256")).decode()
