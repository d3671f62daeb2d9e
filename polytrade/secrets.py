"""Secrets of the operator: from the environment or from a file that is only its owner's.

Whoever keeps secrets out of the logs listens here, and hears of each one that is read or was.
"""

import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from polytrade.errors import ConfigError, Problem

SECRET_BYTES_MAX: Final = 4096
"""The largest secret file: far beyond any token, far below any mistake such as a device."""
SECRETS_MAX: Final = 256
"""Secrets remembered for listeners that come later: a daemon has a handful."""

_listeners: list[Callable[[str], None]] = []
_known: dict[str, None] = {}


def read_secret(
    env: str, file: str = "", *, path: str = "", environ: Mapping[str, str] | None = None
) -> str:
    """The secret in the environment variable `env`, else in `file`; each may be empty for none.

    `path` is the setting that an error names. ConfigError when there is none, or when the file is
    missing, open to others than its owner, or holds anything but one word; it never shows a value.
    """
    secret = find_secret(env, file, path=path, environ=environ)
    if secret is None:
        places = [f"{env} in the environment"] if env else []
        places += [f"the file {file!r}"] if file else []
        raise ConfigError(Problem(f"expected a secret in {' or '.join(places) or 'a file'}", path))
    return secret


def find_secret(
    env: str, file: str = "", *, path: str = "", environ: Mapping[str, str] | None = None
) -> str | None:
    """As `read_secret`, but None when neither place has one."""
    environ = os.environ if environ is None else environ
    secret = environ.get(env, "").strip() if env else ""
    if not secret and file:
        secret = _read_file(Path(file), path)
    if not secret:
        return None
    if any(char.isspace() for char in secret) or not secret.isprintable():
        raise ConfigError(Problem(f"expected one word in {env}, found several", path))
    _tell(secret)
    return secret


def listen(register: Callable[[str], None]) -> None:
    """Call `register` with every secret read so far, and with each read from now on."""
    if register not in _listeners:
        _listeners.append(register)
    for secret in _known:
        register(secret)


def _tell(secret: str) -> None:
    if secret not in _known and len(_known) >= SECRETS_MAX:
        del _known[next(iter(_known))]
    _known[secret] = None
    for register in _listeners:
        register(secret)


def _read_file(file: Path, path: str) -> str:
    try:
        with file.open("rb") as stream:
            mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
            raw = stream.read(SECRET_BYTES_MAX + 1)
        text = raw.decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise _wrong(path, f"expected a readable text file, found {type(error).__name__}") from None
    if mode & 0o077:
        raise _wrong(path, f"expected mode 0600, found {mode:04o}: others can read the secret")
    if not text or len(raw) > SECRET_BYTES_MAX or any(char.isspace() for char in text):
        raise _wrong(path, f"expected one word of at most {SECRET_BYTES_MAX} bytes, found another")
    return text


def _wrong(path: str, message: str) -> ConfigError:
    return ConfigError(Problem(message, path, "a file of mode 0600"))
