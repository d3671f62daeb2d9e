"""The project itself: its README lists every setting as the class has it."""

import tomllib
from pathlib import Path

import attrs
from polytrade_kelly import MultiKelly

PROJECT = Path(__file__).resolve().parent.parent


def table() -> str:
    """The settings as the README has them."""
    rows = ["| setting | default | unit | meaning |", "|---|---|---|---|"]
    for field in attrs.fields(MultiKelly):
        if field.init:
            meta = field.metadata
            default = (
                str(field.default).lower() if isinstance(field.default, bool) else field.default
            )
            rows.append(f"| `{field.name}` | {default} | {meta['unit']} | {meta['doc']} |")
    return "\n".join(rows) + "\n"


def test_readme_has_the_settings() -> None:
    assert table() in (PROJECT / "README.md").read_text(), table()


def test_entry_point_names_the_module() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["polytrade"] == {"kelly": "polytrade_kelly"}
