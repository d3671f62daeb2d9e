"""Who is asking: API keys, the headers that prove them, and signatures of orders.

Nothing is taken on trust: wallet signatures are recovered and request signatures made again
(protocols 3, 4). Keys follow from the venue's seed, so a client may keep its own over a restart.
"""

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final
from uuid import UUID

import attrs

from polytrade.polymarket.signing import (
    POLYGON,
    checksum_address,
    clob_auth_digest,
    l2_signature,
    recover,
)
from polytrade.sandbox.matching.rules import MarketRules
from polytrade.sandbox.venue import signed_orders
from polytrade.sandbox.venue.signed_orders import VerifiedOrder

TOLERANCE_S: Final = 10
"""How far a request's timestamp may be from the venue's clock; the venue documents none."""
SIGNERS_MAX: Final = 4096
"""Addresses given keys: a test farm's worth; each also gets funded wallets."""
KEYS_MAX: Final = 16_384
"""Trading and read-only keys at one time, some MB."""
EXTRA_KEYS_MAX: Final = 16
"""Read-only keys a signer, and builder keys a signer, revoked ones included."""
_DIGITS_MAX: Final = 19

_NO_KEY: Final = "Unauthorized/Invalid api key"
_NO_SIGNER: Final = "Invalid L1 Request headers"


class AuthRefused(Exception):
    """The request is refused with `status` and the JSON `body`."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.body: dict[str, str] = {"error": text}


@attrs.frozen
class AuthSettings:
    """How strict the venue is. With `strict_wallets` a signer trades only from wallets derived from
    its address; without, from any (a session key's wallet, or one of another factory).
    """

    chain_id: int = POLYGON
    tolerance_s: int = TOLERANCE_S
    strict_wallets: bool = True


@attrs.frozen
class ApiKey:
    """Credentials of a signer. `owner` is the key's id, `address` checksummed."""

    owner: str
    address: str
    secret: str = attrs.field(repr=False)
    passphrase: str = attrs.field(repr=False)
    readonly: bool = False

    def credentials(self) -> dict[str, str]:
        """As `POST /auth/api-key` answers them."""
        return {"apiKey": self.owner, "secret": self.secret, "passphrase": self.passphrase}


@attrs.define(eq=False)
class _BuilderKey:
    key: ApiKey
    created_s: int
    revoked_s: int | None = None

    def listed(self) -> dict[str, str | None]:
        return {
            "key": self.key.owner,
            "createdAt": _iso(self.created_s),
            "revokedAt": None if self.revoked_s is None else _iso(self.revoked_s),
        }


class KeyStore:
    """All keys of the venue; a key is the same for the same seed, address and nonce.

    `on_new_signer` is called with the checksummed address once, when it is first given a key.
    """

    def __init__(
        self,
        seed: int,
        on_new_signer: Callable[[str], None],
        settings: AuthSettings | None = None,
    ) -> None:
        self.settings = settings or AuthSettings()
        self._seed = seed
        self._on_new_signer = on_new_signer
        self._keys: dict[str, ApiKey] = {}
        self._by_nonce: dict[tuple[str, int], str] = {}
        self._made: dict[str, int] = {}
        """Signers known, and how many read-only keys each was ever given."""
        self._builders: dict[str, dict[str, _BuilderKey]] = {}

    # Keys by wallet signature (L1).

    def create(self, headers: Mapping[str, str], now_s: int) -> dict[str, str]:
        """`POST /auth/api-key`; AuthRefused 400 when the key of address and nonce exists."""
        address, nonce = self._signer(headers, now_s)
        if (address, nonce) in self._by_nonce:
            raise AuthRefused(400, "Could not create api key")
        return self._give(address, nonce, "Could not create api key").credentials()

    def derive(self, headers: Mapping[str, str], now_s: int) -> dict[str, str]:
        """`GET /auth/derive-api-key`: the key of address and nonce, made when it is not there."""
        address, nonce = self._signer(headers, now_s)
        owner = self._by_nonce.get((address, nonce))
        if owner is not None:
            return self._keys[owner].credentials()
        return self._give(address, nonce, "Could not derive api key!").credentials()

    # Keys by request signature (L2).

    def authenticate(
        self, headers: Mapping[str, str], method: str, path: str, body: bytes, now_s: int
    ) -> ApiKey:
        """The key that signed the request; AuthRefused 401 when none did.

        `path` may carry a query, which is not signed; `body` is what came over the wire. A
        read-only key may only GET.
        """
        told = _told(headers)
        key = self._keys.get(told.get("poly_api_key", ""))
        method = method.upper()
        if (
            key is None
            or (key.readonly and method != "GET")
            or told.get("poly_address", "").lower() != key.address.lower()
            or not self._signed(told, "poly", key, (method, path, body), now_s)
        ):
            raise AuthRefused(401, _NO_KEY)
        return key

    def by_credentials(self, api_key: object, secret: object, passphrase: object) -> ApiKey | None:
        """The key of raw credentials, as sockets are given them; None when they are not right."""
        key = self._keys.get(api_key) if isinstance(api_key, str) else None
        if key is None or secret != key.secret or passphrase != key.passphrase:
            return None
        return key

    def keys_of(self, address: str) -> list[str]:
        """Ids of a signer's trading keys, oldest first: `{"apiKeys": ...}` of the REST."""
        return self._ids(address, readonly=False)

    def delete(self, owner: str) -> bool:
        """End a key; whether there was one. `create` and `derive` give the same key again."""
        if self._keys.pop(owner, None) is None:
            return False
        for name, kept in self._by_nonce.items():
            if kept == owner:
                del self._by_nonce[name]
                break
        return True

    # Read-only keys.

    def create_readonly(self, key: ApiKey) -> dict[str, str]:
        """`POST /auth/readonly-api-key`: credentials that may only read."""
        number = self._made[key.address]
        if len(self.readonly_keys_of(key.address)) >= EXTRA_KEYS_MAX or self._full:
            raise AuthRefused(400, "Could not create readonly api key")
        self._made[key.address] = number + 1
        made = self._derive(key.address, f"readonly {number}", readonly=True)
        self._keys[made.owner] = made
        return made.credentials()

    def readonly_keys_of(self, address: str) -> list[str]:
        """`GET /auth/readonly-api-keys`: ids, oldest first."""
        return self._ids(address, readonly=True)

    def delete_readonly(self, key: ApiKey, owner: object) -> bool:
        """`DELETE /auth/readonly-api-key`; whether it was a read-only key of the same signer."""
        if not isinstance(owner, str) or owner not in self.readonly_keys_of(key.address):
            return False
        return self.delete(owner)

    # Builder keys.

    def create_builder(self, key: ApiKey, now_s: int) -> dict[str, str]:
        """`POST /auth/builder-api-key`."""
        kept = self._builders.setdefault(key.address, {})
        if len(kept) >= EXTRA_KEYS_MAX:
            raise AuthRefused(400, "Could not create builder api key")
        made = self._derive(key.address, f"builder {len(kept)}")
        kept[made.owner] = _BuilderKey(made, now_s)
        return {"key": made.owner, "secret": made.secret, "passphrase": made.passphrase}

    def builder_keys_of(self, address: str) -> list[dict[str, str | None]]:
        """`GET /auth/builder-api-key`: ids with the times they were made and revoked."""
        return [kept.listed() for kept in self._builders.get(address, {}).values()]

    def revoke_builder(
        self, headers: Mapping[str, str], method: str, path: str, body: bytes, now_s: int
    ) -> None:
        """`DELETE /auth/builder-api-key`: the key that signs with `POLY_BUILDER_` headers, or every
        key of the signer when a trading key signs (each of the official clients does one).
        """
        told = _told(headers)
        owner = told.get("poly_builder_api_key")
        if owner is None:
            signer = self.authenticate(headers, method, path, body, now_s)
            ended = list(self._builders.get(signer.address, {}).values())
        else:
            found = [kept[owner] for kept in self._builders.values() if owner in kept]
            ended = [
                one
                for one in found
                if one.revoked_s is None
                and self._signed(told, "poly_builder", one.key, (method.upper(), path, body), now_s)
            ]
            if not ended:
                raise AuthRefused(401, _NO_KEY)
        for one in ended:
            one.revoked_s = now_s if one.revoked_s is None else one.revoked_s

    # Inside.

    def _signer(self, headers: Mapping[str, str], now_s: int) -> tuple[str, int]:
        """(address, nonce) of good L1 headers; AuthRefused 401 otherwise."""
        told = _told(headers)
        stamp, nonce = told.get("poly_timestamp", ""), told.get("poly_nonce", "")
        try:
            if not _recent(stamp, now_s, self.settings.tolerance_s) or not _is_number(nonce):
                raise ValueError("timestamp or nonce")
            address = checksum_address(told.get("poly_address", ""))
            digest = clob_auth_digest(address, stamp, int(nonce), self.settings.chain_id)
            signature = bytes.fromhex(told.get("poly_signature", "").removeprefix("0x"))
            if recover(digest, signature) != address:
                raise ValueError("signature")
        except ValueError:
            raise AuthRefused(401, _NO_SIGNER) from None
        return address, int(nonce)

    def _signed(
        self,
        told: Mapping[str, str],
        prefix: str,
        key: ApiKey,
        request: tuple[str, str, bytes],
        now_s: int,
    ) -> bool:
        method, path, body = request
        stamp = told.get(f"{prefix}_timestamp", "")
        return (
            told.get(f"{prefix}_passphrase") == key.passphrase
            and _recent(stamp, now_s, self.settings.tolerance_s)
            and hmac.compare_digest(
                told.get(f"{prefix}_signature", "").encode(),
                l2_signature(key.secret, stamp, method, path.partition("?")[0], body).encode(),
            )
        )

    @property
    def _full(self) -> bool:
        return len(self._keys) >= KEYS_MAX

    def _give(self, address: str, nonce: int, refusal: str) -> ApiKey:
        known = address in self._made
        if self._full or (not known and len(self._made) >= SIGNERS_MAX):
            raise AuthRefused(400, refusal)
        made = self._derive(address, f"nonce {nonce}")
        self._keys[made.owner] = made
        self._by_nonce[address, nonce] = made.owner
        if not known:
            self._made[address] = 0
            self._on_new_signer(address)
        return made

    def _ids(self, address: str, *, readonly: bool) -> list[str]:
        return [
            key.owner
            for key in self._keys.values()
            if key.address == address and key.readonly == readonly
        ]

    def _derive(self, address: str, which: str, *, readonly: bool = False) -> ApiKey:
        def material(part: str) -> bytes:
            return sha256(f"{self._seed} {address} {which} {part}".encode()).digest()

        return ApiKey(
            str(UUID(bytes=material("id")[:16], version=4)),
            address,
            urlsafe_b64encode(material("secret")).decode(),
            material("passphrase").hex(),
            readonly,
        )


def verify_order(
    body: object, rules: MarketRules, key: ApiKey, settings: AuthSettings | None = None
) -> VerifiedOrder:
    """The order of a send-order object placed with `key`; Refused with the venue's text."""
    settings = settings or AuthSettings()
    return signed_orders.verify_order(
        body,
        rules,
        owner=key.owner,
        address=key.address,
        chain_id=settings.chain_id,
        strict_wallets=settings.strict_wallets,
    )


def _told(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers by lower-case name with underscores, however they are written."""
    return {name.lower().replace("-", "_"): value for name, value in headers.items()}


def _is_number(text: str) -> bool:
    return 0 < len(text) <= _DIGITS_MAX and text.isascii() and text.isdigit()


def _recent(stamp: str, now_s: int, tolerance_s: int) -> bool:
    return _is_number(stamp) and abs(int(stamp) - now_s) <= tolerance_s


def _iso(time_s: int) -> str:
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
