"""Wallet addresses against known ones and against the official client."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polymarket._internal import wallet as official
from polymarket._internal.environment import PRODUCTION_CONFIG

from polytrade.polymarket.signing import EOA, GNOSIS_SAFE, POLY_1271, POLY_PROXY, checksum_address
from polytrade.sandbox.venue.wallets import (
    deposit_wallet,
    first_deposit_wallet,
    proxy_wallet,
    safe_wallet,
    wallets_of,
)

SIGNER = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
KNOWN = (
    (EOA, SIGNER),
    (POLY_PROXY, "0x365f0CA36Ae1f641E02fE3B7743673da42A13A70"),
    (GNOSIS_SAFE, "0xd93B25cb943D14d0d34FBaF01Fc93a0f8b5F6E47"),
    (POLY_1271, "0xBc0fF067b7740Eff76C1ca93c875Ba6B890d6B50"),
    (POLY_1271, "0xdf8b9E8f9AB23f261F6e1B171B7454ae6E46Ba76"),
)


def test_wallets_of_a_signer_are_the_known_ones() -> None:
    assert wallets_of(SIGNER) == KNOWN
    assert wallets_of(SIGNER.lower()) == KNOWN


@settings(max_examples=30)
@given(st.binary(min_size=20, max_size=20))
def test_wallets_are_those_the_official_client_derives(raw: bytes) -> None:
    signer = checksum_address("0x" + raw.hex())
    config = PRODUCTION_CONFIG.wallet_derivation
    assert proxy_wallet(signer) == official.derive_proxy_wallet_address(signer, config)
    assert safe_wallet(signer) == official.derive_safe_wallet_address(signer, config)
    assert deposit_wallet(signer) == official.derive_beacon_deposit_wallet_address(signer, config)
    assert first_deposit_wallet(signer) == official.derive_uups_deposit_wallet_address(
        signer, config
    )


def test_signer_that_is_no_address_has_no_wallets() -> None:
    with pytest.raises(ValueError, match="expected an address"):
        wallets_of("0x12")
