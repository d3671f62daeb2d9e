"""The token, the bind rule, and what a browser page may not do."""

from pathlib import Path

import pytest

from polytrade.config import Control
from polytrade.control.auth import (
    check_bind,
    host_fits,
    is_loopback,
    load_token,
    origin_fits,
    token_fits,
)
from polytrade.errors import ConfigError


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost"])
def test_loopback_needs_no_token(host: str) -> None:
    assert is_loopback(host)
    check_bind(Control(host=host), None)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "192.168.1.5", "example.com", "127.0.0.1.nip.io"]
)
def test_other_addresses_need_a_token(host: str) -> None:
    with pytest.raises(ConfigError, match=r"is not loopback @ control\.host"):
        check_bind(Control(host=host), None)
    check_bind(Control(host=host), "a-token")


def test_token_comes_from_the_environment_first(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("from-file\n")
    file.chmod(0o600)
    config = Control(token_env="T", token_file=str(file))
    assert load_token(config, {"T": " from-env "}) == "from-env"
    assert load_token(config, {"T": ""}) == "from-file"
    assert load_token(Control(token_env="T"), {}) is None


@pytest.mark.parametrize(
    ("text", "mode", "message"),
    [
        ("hunter2", 0o644, "expected mode 0600, found 0644"),
        ("", 0o600, "expected one word"),
        ("two words", 0o600, "expected one word"),
        ("x" * 5000, 0o600, "expected one word of at most 4096 bytes"),
    ],
)
def test_bad_token_file_is_refused_without_its_content(
    tmp_path: Path, text: str, mode: int, message: str
) -> None:
    file = tmp_path / "token"
    file.write_text(text)
    file.chmod(mode)
    with pytest.raises(ConfigError, match=message) as caught:
        load_token(Control(token_file=str(file)), {})
    assert not text or text not in str(caught.value)


def test_missing_token_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"FileNotFoundError @ control\.token_file"):
        load_token(Control(token_file=str(tmp_path / "none")), {})


@pytest.mark.parametrize(
    ("header", "fits"),
    [
        ("Bearer s3cret", True),
        ("bearer s3cret", True),
        ("Bearer s3cre", False),
        ("Bearer s3cret2", False),
        ("Basic s3cret", False),
        ("s3cret", False),
        ("Bearer \udcff", False),
        ("", False),
    ],
)
def test_only_the_exact_bearer_token_fits(header: str, fits: bool) -> None:
    assert token_fits("s3cret", header) is fits


def test_rebound_names_and_foreign_pages_do_not_fit() -> None:
    config = Control(host="127.0.0.1")
    assert host_fits(config, "localhost:8080")
    assert host_fits(config, "127.0.0.1:8080")
    assert host_fits(config, "[::1]:8080")
    assert not host_fits(config, "rebound.example:8080")
    assert not host_fits(config, "")
    assert origin_fits(None, "127.0.0.1:8080")
    assert origin_fits("http://127.0.0.1:8080", "127.0.0.1:8080")
    assert not origin_fits("http://127.0.0.1:9999", "127.0.0.1:8080")
    assert not origin_fits("null", "127.0.0.1:8080")
