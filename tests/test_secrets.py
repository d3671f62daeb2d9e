"""Secrets: where they are read from, what is refused, and that logs hear of each."""

from pathlib import Path

import pytest

from polytrade import secrets
from polytrade.errors import ConfigError
from polytrade.secrets import find_secret, listen, read_secret


def secret_file(folder: Path, text: str | bytes, mode: int = 0o600) -> str:
    file = folder / "secret"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    file.chmod(mode)
    return str(file)


def test_environment_comes_before_the_file(tmp_path: Path) -> None:
    file = secret_file(tmp_path, "from-file\n")
    assert read_secret("S", file, environ={"S": " from-env "}) == "from-env"
    assert read_secret("S", file, environ={"S": ""}) == "from-file"
    assert read_secret("", file, environ={}) == "from-file"


def test_missing_secret_is_told_with_its_places_and_setting() -> None:
    with pytest.raises(ConfigError, match=r"expected a secret in S in the environment @ a\.b"):
        read_secret("S", path="a.b", environ={})
    assert find_secret("S", environ={}) is None


@pytest.mark.parametrize(
    ("text", "mode", "message"),
    [
        ("word", 0o640, "expected mode 0600, found 0640"),
        ("word", 0o604, "expected mode 0600, found 0604"),
        ("two words", 0o600, "expected one word"),
        ("", 0o600, "expected one word"),
        ("x" * 4097, 0o600, "at most 4096 bytes"),
        (b"\xff\xfe", 0o600, "found UnicodeDecodeError"),
    ],
)
def test_file_that_others_can_read_or_that_is_no_secret_is_refused(
    tmp_path: Path, text: str | bytes, mode: int, message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        read_secret("", secret_file(tmp_path, text, mode), path="a.b", environ={})
    assert "words" not in str(caught.value) and caught.value.__cause__ is None


def test_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="found FileNotFoundError"):
        read_secret("", str(tmp_path / "none"), environ={})


def test_environment_of_several_words_is_refused_without_showing_it() -> None:
    with pytest.raises(ConfigError, match="expected one word in S") as caught:
        read_secret("S", environ={"S": "one two"})
    assert "two" not in str(caught.value)


def test_listener_hears_of_secrets_read_before_and_after(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "_known", {})
    monkeypatch.setattr(secrets, "_listeners", [])
    read_secret("S", environ={"S": "first"})
    heard: list[str] = []
    listen(heard.append)
    read_secret("S", environ={"S": "second"})
    assert heard == ["first", "second"]
