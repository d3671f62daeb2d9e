"""The README's table of settings is what the plugin takes."""

from pathlib import Path

import attrs
from polytrade_telegram import KINDS, Telegram

README = (Path(__file__).parent.parent / "README.md").read_text()


def test_readme_tells_every_setting_with_its_default() -> None:
    for field in attrs.fields(Telegram):
        if field.init:
            default = "all nine" if field.default == KINDS else f"`{field.default!r}`"
            assert f"| `{field.name}` | {default} | {field.metadata['doc']} |" in README


def test_readme_names_every_kind() -> None:
    assert all(f"`{kind}`" in README for kind in KINDS)
