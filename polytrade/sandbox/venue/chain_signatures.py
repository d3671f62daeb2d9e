"""Who signed a transaction: relayed ones of three kinds of wallet, and raw ones of a plain one."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from polytrade.polymarket.signing import POLYGON, address_bytes, keccak256, recover
from polytrade.sandbox.venue.chain_calls import Call

_SAFE_TX: Final = keccak256(
    b"SafeTx(address to,uint256 value,bytes data,uint8 operation,uint256 safeTxGas,"
    b"uint256 baseGas,uint256 gasPrice,address gasToken,address refundReceiver,uint256 nonce)"
)
_SAFE_DOMAIN: Final = keccak256(b"EIP712Domain(uint256 chainId,address verifyingContract)")
_CALL: Final = b"Call(address target,uint256 value,bytes data)"
_CALL_TYPE: Final = keccak256(_CALL)
_BATCH_TYPE: Final = keccak256(
    b"Batch(address wallet,uint256 nonce,uint256 deadline,Call[] calls)" + _CALL
)
_DEPOSIT_DOMAIN: Final = keccak256(
    b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)
_SAFE_V_ADDED: Final = 4
"""What a Safe adds to the last byte of a signature over a signed message."""
_DEPTH_MAX: Final = 4
_LEGACY_FIELDS: Final = 9


def wallet_signer(
    wallet: str, calls: Sequence[Call], nonce: int, deadline: int, signature: bytes
) -> str:
    """Who signed a deposit wallet's batch; ValueError when nobody did."""
    rows = b"".join(
        keccak256(_CALL_TYPE + _padded(call.target) + _word(call.value) + keccak256(call.data))
        for call in calls
    )
    struct = keccak256(
        _BATCH_TYPE + _padded(wallet) + _word(nonce) + _word(deadline) + keccak256(rows)
    )
    domain = keccak256(
        _DEPOSIT_DOMAIN
        + keccak256(b"DepositWallet")
        + keccak256(b"1")
        + _word(POLYGON)
        + _padded(wallet)
    )
    return recover(keccak256(b"\x19\x01" + domain + struct), signature)


def safe_signer(wallet: str, call: Call, operation: int, nonce: int, signature: bytes) -> str:
    """Who signed a Safe's transaction without gas fields; ValueError when nobody did."""
    struct = keccak256(
        _SAFE_TX
        + _padded(call.target)
        + _word(call.value)
        + keccak256(call.data)
        + _word(operation)
        + bytes(5 * 32)
        + _word(nonce)
    )
    domain = keccak256(_SAFE_DOMAIN + _word(POLYGON) + _padded(wallet))
    if len(signature) != 65:
        raise ValueError("expected a signature of 65 bytes")
    plain = signature[:64] + bytes([max(0, signature[64] - _SAFE_V_ADDED)])
    return recover(_personal(keccak256(b"\x19\x01" + domain + struct)), plain)


def proxy_signer(
    signer: str, call: Call, nonce: int, told: Mapping[str, Any], signature: bytes
) -> str:
    """Who signed a proxy wallet's relayed call; `told` are its `signatureParams`. ValueError."""
    message = (
        b"rlx:"
        + address_bytes(signer)
        + address_bytes(call.target)
        + call.data
        + _word(int(told["relayerFee"]))
        + _word(int(told["gasPrice"]))
        + _word(int(told["gasLimit"]))
        + _word(nonce)
        + address_bytes(told["relayHub"])
        + address_bytes(told["relay"])
    )
    return recover(_personal(keccak256(message)), signature)


@attrs.frozen
class RawTransaction:
    """A signed legacy transaction (EIP-155)."""

    sender: str
    nonce: int
    call: Call
    digest: str


def raw_transaction(raw: bytes) -> RawTransaction:
    """Read a signed transaction; ValueError for what is none of this chain."""
    fields = _rlp(raw)
    if not isinstance(fields, list) or len(fields) != _LEGACY_FIELDS:
        raise ValueError("expected a legacy transaction")
    if not all(isinstance(field, bytes) for field in fields):
        raise ValueError("expected a legacy transaction")
    nonce, price, gas, target, value, data, v, r, s = fields
    parity = int.from_bytes(v, "big") - 35 - 2 * POLYGON
    if parity not in (0, 1) or len(target) != 20:
        raise ValueError("expected a call signed for this chain")
    unsigned = _rlp_list([nonce, price, gas, target, value, data, _plain(POLYGON), b"", b""])
    signature = r.rjust(32, b"\0") + s.rjust(32, b"\0") + bytes([27 + parity])
    return RawTransaction(
        recover(keccak256(unsigned), signature),
        int.from_bytes(nonce, "big"),
        Call("0x" + target.hex(), data, int.from_bytes(value, "big")),
        "0x" + keccak256(raw).hex(),
    )


def _word(value: int) -> bytes:
    if not 0 <= value < 1 << 256:
        raise ValueError("expected an unsigned number of 256 bits")
    return value.to_bytes(32, "big")


def _padded(address: str) -> bytes:
    return bytes(12) + address_bytes(address)


def _personal(digest: bytes) -> bytes:
    return keccak256(b"\x19Ethereum Signed Message:\n32" + digest)


def _plain(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def _rlp(raw: bytes) -> Any:
    item, rest = _rlp_item(raw, 0)
    if rest:
        raise ValueError("expected one item")
    return item


def _rlp_item(raw: bytes, depth: int) -> tuple[Any, bytes]:
    """One item and what follows it."""
    if not raw or depth > _DEPTH_MAX:
        raise ValueError("expected an item")
    first = raw[0]
    if first < 0x80:
        return raw[:1], raw[1:]
    base = 0x80 if first < 0xC0 else 0xC0
    size, at = first - base, 1
    if size > 55:
        at = 1 + size - 55
        size = int.from_bytes(raw[1:at], "big")
    body = raw[at : at + size]
    if len(body) != size:
        raise ValueError("expected more bytes")
    if base == 0x80:
        return body, raw[at + size :]
    items: list[Any] = []
    while body:
        item, body = _rlp_item(body, depth + 1)
        items.append(item)
    return items, raw[at + size :]


def _rlp_list(items: Sequence[bytes]) -> bytes:
    body = b"".join(_rlp_bytes(item) for item in items)
    return _rlp_head(0xC0, len(body)) + body


def _rlp_bytes(item: bytes) -> bytes:
    if len(item) == 1 and item[0] < 0x80:
        return item
    return _rlp_head(0x80, len(item)) + item


def _rlp_head(base: int, size: int) -> bytes:
    if size <= 55:
        return bytes([base + size])
    length = _plain(size)
    return bytes([base + 55 + len(length)]) + length
