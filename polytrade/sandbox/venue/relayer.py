"""Transactions that others send for a wallet: each kind's payload read, and its signature checked.

The relayer's own API keys are not checked: the wallet's signature is what moves anything.
"""

from collections.abc import Mapping
from typing import Any, Final

from polytrade.polymarket.signing import checksum_address
from polytrade.sandbox.venue.chain import Chain, Transaction
from polytrade.sandbox.venue.chain_calls import (
    CALLS_MAX,
    Call,
    CallRefused,
    multi_sent,
    operation,
    proxied,
)
from polytrade.sandbox.venue.chain_signatures import proxy_signer, safe_signer, wallet_signer
from polytrade.sandbox.venue.wallets import (
    deposit_wallet,
    first_deposit_wallet,
    proxy_wallet,
    safe_wallet,
)

RELAY: Final = "0x00000000000000000000000000000000000005A4"
"""The address the relayer gives as its own; ours is made up."""
SAFE_MULTISEND: Final = "0xa238cbeb142c10ef7ad8442c6d1f9e89e07e7761"
TYPES: Final = ("WALLET", "PROXY", "SAFE", "WALLET-CREATE")

Body = Mapping[str, Any]


class RelayRefused(Exception):
    """400: the relayer does not send this."""


def account_name(signer: str, kind: str) -> str:
    """Whose nonce counts for a kind of transaction."""
    return f"{kind} {signer.lower()}"


def submit(chain: Chain, body: object, now_s: int) -> Transaction:
    """Send what was asked for. Raises RelayRefused."""
    if not isinstance(body, dict) or body.get("type") not in TYPES:
        raise RelayRefused(f"type: expected one of {', '.join(TYPES)}")
    kind = body["type"]
    try:
        signer = checksum_address(str(body["from"]))
        if kind == "WALLET-CREATE":
            return chain.create_wallet(deposit_wallet(signer).lower())
        nonce = int(str(body["nonce"]))
        _check_nonce(chain, account_name(signer, kind), nonce)
        signature = bytes.fromhex(str(body["signature"]).removeprefix("0x"))
        read = {"WALLET": _deposit, "PROXY": _proxy, "SAFE": _safe}[kind]
        wallet, calls, found = read(body, signer, nonce, signature, now_s)
        if found != signer:
            raise RelayRefused("invalid signature")
        for call in calls:
            operation(call)
    except CallRefused as refused:
        raise RelayRefused(str(refused)) from None
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise RelayRefused(f"invalid payload: {error}") from None
    return chain.send(account_name(signer, kind), wallet, calls)


def _check_nonce(chain: Chain, account: str, nonce: int) -> None:
    """The official clients read both numbers out of this text and sign again."""
    expected = chain.nonce(account)
    if nonce != expected:
        raise RelayRefused(f"batch nonce {nonce} does not match on-chain nonce {expected}")


Read = tuple[str, list[Call], str]
"""The wallet in lower case, its calls, and who signed them."""


def _deposit(body: Body, signer: str, nonce: int, signature: bytes, now_s: int) -> Read:
    told = body["depositWalletParams"]
    wallet, deadline, rows = told["depositWallet"], int(told["deadline"]), told["calls"]
    if wallet.lower() not in (deposit_wallet(signer).lower(), first_deposit_wallet(signer).lower()):
        raise RelayRefused("deposit wallet does not belong to the signer")
    if deadline < now_s:
        raise RelayRefused("deadline has passed")
    if not 0 < len(rows) <= CALLS_MAX:
        raise RelayRefused(f"expected 1 to {CALLS_MAX} calls")
    calls = [Call(row["target"].lower(), _hex(row["data"]), int(row["value"])) for row in rows]
    return wallet.lower(), calls, wallet_signer(wallet, calls, nonce, deadline, signature)


def _proxy(body: Body, signer: str, nonce: int, signature: bytes, now_s: int) -> Read:
    wallet = proxy_wallet(signer).lower()
    if body["proxyWallet"].lower() != wallet:
        raise RelayRefused("proxy wallet does not belong to the signer")
    call = Call(body["to"].lower(), _hex(body["data"]))
    found = proxy_signer(signer, call, nonce, body["signatureParams"], signature)
    return wallet, proxied(call.data), found


def _safe(body: Body, signer: str, nonce: int, signature: bytes, now_s: int) -> Read:
    wallet = safe_wallet(signer).lower()
    if body["proxyWallet"].lower() != wallet:
        raise RelayRefused("safe does not belong to the signer")
    call = Call(body["to"].lower(), _hex(body["data"]), int(body.get("value", 0)))
    kind = int(body["signatureParams"]["operation"])
    found = safe_signer(wallet, call, kind, nonce, signature)
    calls = multi_sent(call.data) if kind and call.target == SAFE_MULTISEND else [call]
    return wallet, calls, found


def _hex(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
