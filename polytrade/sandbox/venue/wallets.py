"""The wallets a signer has: addresses that follow from its own by CREATE2 (chain 137)."""

from functools import lru_cache
from typing import Final

from polytrade.polymarket.signing import (
    EOA,
    GNOSIS_SAFE,
    POLY_1271,
    POLY_PROXY,
    ZERO_32,
    address_bytes,
    checksum_address,
    keccak256,
)

_SIGNERS_REMEMBERED: Final = 4096
"""Signers whose wallets are remembered: more than the venue gives keys to."""
_PAD_12: Final = bytes(12)

# Factories (protocols 0.3), and what they deploy, as the official client has them.
_PROXY_FACTORY: Final = address_bytes("0xaB45c5A4B0c941a2F231C04C3f49182e1A254052")
_PROXY_CODE: Final = address_bytes("0x44e999d5c2F66Ef0861317f9A4805AC2e90aEB4f")
_SAFE_FACTORY: Final = address_bytes("0xaacFeEa03eb1561C4e67d661e40682Bd20E3541b")
_SAFE_INIT_HASH: Final = bytes.fromhex(
    "2bce2127ff07fb632d16c8347c4ebf501f4841168bed00d9e6ef715ddb6fcecf"
)
_DEPOSIT_FACTORY: Final = address_bytes("0x00000000000Fb5C9ADea0298D729A0CB3823Cc07")
_DEPOSIT_CODE: Final = address_bytes("0x58CA52ebe0DadfdF531Cde7062e76746de4Db1eB")
_DEPOSIT_BEACON: Final = address_bytes("0x7A18EDfe055488A3128f01F563e5B479D92ffc3a")

# Init codes: a minimal proxy whose constructor calls back its factory; an ERC-1967 proxy and an
# ERC-1967 beacon proxy, both with their arguments behind the code. The second and third byte of
# these two say how many bytes stay on chain.
_PROXY_INIT_HASH: Final = keccak256(
    bytes.fromhex("3d3d606380380380913d393d73")
    + _PROXY_FACTORY
    + bytes.fromhex("5af4602a57600080fd5b602d8060366000396000f3363d3d373d3d3d363d73")
    + _PROXY_CODE
    + bytes.fromhex("5af43d82803e903d91602b57fd5bf352e831dd")
    + (32).to_bytes(32, "big")
    + ZERO_32
)
_ERC1967_BYTES: Final = 0x3D
_ERC1967_HEAD: Final = bytes.fromhex("3d8160233d3973")
_ERC1967_TAIL: Final = bytes.fromhex(
    "60095155f3363d3d373d3d363d7f360894a13ba1a3210667c828492db98dca3e2076"
    "cc3735a920a3ca505d382bbc545af43d6000803e6038573d6000fd5b3d6000f3"
)
_BEACON_BYTES: Final = 0x52
_BEACON_TAIL: Final = bytes.fromhex(
    "60195155f3363d3d373d3d363d602036600436635c60da"
    "1b60e01b36527fa3f0ad74e5423aebfd80d3ef4346578335a9a72aeaee59ff6c"
    "b3582b35133d50545afa5036515af43d6000803e604d573d6000fd5b3d6000f3"
)


def proxy_wallet(signer: str) -> str:
    """The address of a signer's proxy wallet (signature type 1)."""
    return _create2(_PROXY_FACTORY, keccak256(address_bytes(signer)), _PROXY_INIT_HASH)


def safe_wallet(signer: str) -> str:
    """The address of a signer's Safe (signature type 2)."""
    return _create2(_SAFE_FACTORY, keccak256(_PAD_12 + address_bytes(signer)), _SAFE_INIT_HASH)


def deposit_wallet(signer: str) -> str:
    """The address of a signer's deposit wallet behind the factory's beacon: wallets made now."""
    arguments = _deposit_arguments(signer)
    return _deposit(_BEACON_BYTES, _DEPOSIT_BEACON, _BEACON_TAIL, arguments)


def first_deposit_wallet(signer: str) -> str:
    """The address of a signer's deposit wallet without a beacon, as the first ones were made."""
    arguments = _deposit_arguments(signer)
    return _deposit(_ERC1967_BYTES, _DEPOSIT_CODE, _ERC1967_TAIL, arguments)


@lru_cache(_SIGNERS_REMEMBERED)
def wallets_of(signer: str) -> tuple[tuple[int, str], ...]:
    """(signature type, checksummed address) of every wallet a signer may trade from."""
    return (
        (EOA, checksum_address(signer)),
        (POLY_PROXY, proxy_wallet(signer)),
        (GNOSIS_SAFE, safe_wallet(signer)),
        (POLY_1271, deposit_wallet(signer)),
        (POLY_1271, first_deposit_wallet(signer)),
    )


def _deposit_arguments(signer: str) -> bytes:
    return _PAD_12 + _DEPOSIT_FACTORY + _PAD_12 + address_bytes(signer)


def _deposit(code_bytes: int, target: bytes, tail: bytes, arguments: bytes) -> str:
    kept = (code_bytes + len(arguments)).to_bytes(2, "big")
    init = b"\x61" + kept + _ERC1967_HEAD + target + tail + arguments
    return _create2(_DEPOSIT_FACTORY, keccak256(arguments), keccak256(init))


def _create2(factory: bytes, salt: bytes, init_hash: bytes) -> str:
    raw = keccak256(b"\xff" + factory + salt + init_hash)
    return checksum_address("0x" + raw[12:].hex())
