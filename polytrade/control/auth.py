"""Who may command: the bearer token, the addresses that need one, and the browser's tricks.

Without a token only this machine may reach the control plane; what remains then is a web page in
the operator's own browser, so a request must name a loopback host (no DNS rebinding) and a command
must not come from another origin.
"""

import hashlib
import hmac
import ipaddress
import os
from collections.abc import Mapping
from urllib.parse import urlsplit

from polytrade.config import Control
from polytrade.errors import ConfigError, Problem
from polytrade.runtime.logs import register_secret
from polytrade.secrets import find_secret


def load_token(config: Control, environ: Mapping[str, str] = os.environ) -> str | None:
    """The bearer token from the environment, else from the token file, else None.

    It is registered as a secret of the logs. ConfigError when the file is missing, empty, not text
    or open to others than its owner.
    """
    path = "control.token_file" if config.token_file else "control.token_env"
    token = find_secret(config.token_env, config.token_file, path=path, environ=environ)
    if token is not None:
        register_secret(token)
    return token


def check_bind(config: Control, token: str | None) -> None:
    """ConfigError when others than this machine could reach the port without a token."""
    if token is None and not is_loopback(config.host):
        raise ConfigError(
            Problem(
                f"expected a bearer token ({config.token_env} in the environment, or "
                f"control.token_file), found none: {config.host!r} is not loopback",
                "control.host",
                "a loopback address, or any address with a token",
            )
        )


def is_loopback(host: str) -> bool:
    """Whether a host, as configured or as a client names it, can only be this machine."""
    bare = host.strip("[]").lower()
    if bare == "localhost" or bare.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(bare).is_loopback
    except ValueError:
        return False


def token_fits(token: str, authorization: str) -> bool:
    """Whether an `Authorization` header carries the token; takes as long whatever it carries."""
    scheme, _, given = authorization.partition(" ")
    same = hmac.compare_digest(_digest(given.strip()), _digest(token))
    return same and scheme.lower() == "bearer"


def host_fits(config: Control, host: str) -> bool:
    """Whether a `Host` header names this machine; what a rebound DNS name does not."""
    name = urlsplit(f"//{host}").hostname or ""
    return is_loopback(name) or name == config.host.lower()


def origin_fits(origin: str | None, host: str) -> bool:
    """Whether a command comes from no browser page, or from a page of this very server."""
    return origin is None or urlsplit(origin).netloc.lower() == host.lower()


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
