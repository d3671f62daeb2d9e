"""The README's table of settings is what the plugin takes, and its receiver's code is right."""

import re
from pathlib import Path
from typing import Any

import attrs
from polytrade_webhook import KINDS, Webhook
from polytrade_webhook.bodies import signature

README = (Path(__file__).parent.parent / "README.md").read_text()


def test_readme_tells_every_setting_with_its_default() -> None:
    for field in attrs.fields(Webhook):
        if field.init:
            default = "all nine" if field.default == KINDS else f"`{field.default!r}`"
            assert f"| `{field.name}` | {default} | {field.metadata['doc']}" in README


def test_readme_names_every_kind() -> None:
    assert all(f"`{kind}`" in README for kind in KINDS)


def test_readme_shows_how_a_receiver_checks_the_signature() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    headers = {
        "X-Polytrade-Timestamp": "1790000003",
        "X-Polytrade-Signature": signature("secret", "1790000003", b"{}"),
    }
    assert names["genuine"]("secret", headers, b"{}")
    assert not names["genuine"]("secret", headers, b"{ }")
    assert not names["genuine"]("other", headers, b"{}")
