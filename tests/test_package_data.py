"""Everything the code reads beside itself is in the wheel.

Hatch takes the whole of the packages named in pyproject.toml but what Git ignores; so a wheel need
not be built, which would ask the network for Hatch.
"""

import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "polytrade"
ASSET = re.compile(r"[\"']([\w-]+\.(?:css|js|html))[\"']")
"""A file of a page named in the code."""


def assets_named() -> dict[Path, set[str]]:
    """The folders of modules and the assets that they name, report files apart."""
    found: dict[Path, set[str]] = {}
    for module in PACKAGE.rglob("*.py"):
        names = set(ASSET.findall(module.read_text(encoding="utf-8")))
        names = {name for name in names if not name.startswith("report_")}
        if names:
            found.setdefault(module.parent, set()).update(names)
    return found


def test_every_asset_named_in_the_code_lies_beside_it() -> None:
    named = assets_named()
    missing = [
        str(folder / name)
        for folder, names in named.items()
        for name in sorted(names)
        if not (folder / name).is_file()
    ]
    assert missing == []
    assert {name for names in named.values() for name in names} >= {
        *("page.css", "page.js", "status_page.html")
    }


def test_wheel_leaves_nothing_of_the_package_out() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    assert build["targets"]["wheel"] == {"packages": ["polytrade"]}
    assert not {"exclude", "include", "only-include", "only-packages"} & set(build)
    patterns = [
        line.strip().rstrip("/")
        for line in (ROOT / ".gitignore").read_text().splitlines()
        if line.strip() and not line.startswith("#")
    ]
    data = [
        path
        for path in PACKAGE.rglob("*")
        if path.is_file() and path.suffix in {".css", ".js", ".html", ".typed"}
    ]
    assert len(data) >= 4
    left_out = [
        f"{path.relative_to(ROOT)}: {pattern}"
        for path in data
        for pattern in patterns
        for part in (path.relative_to(ROOT).as_posix(), *path.relative_to(ROOT).parts)
        if fnmatch(part, pattern.lstrip("/"))
    ]
    assert left_out == []
