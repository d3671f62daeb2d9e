"""Throw-away plugins for tests: real distributions, laid out as pip leaves them.

`SiteFolder` is a folder of installed distributions; put it on `sys.path` (`plugin_site` does) and
plugins in it are found as those of a real environment are.
"""

import base64
import hashlib
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import attrs

MAKER = '''
"""A maker that bids one price in every market."""

import attrs

from polytrade.api import BUY, MAKER, YES, View, Wish, hookimpl, setting

polytrade_api = 1


@attrs.define
class Bidder:
    """Bids `price_e4` for `size` shares."""

    price_e4: int = setting({price_e4}, "price", ge=1, le=9999)
    size: float = setting(5.0, "shares a bid", unit="shares", ge=1)
    asked: int = attrs.field(init=False, default=0)

    def quotes(self, view: View) -> tuple[list[Wish], str]:
        """One bid."""
        self.asked += 1
        return [Wish(YES, BUY, self.price_e4, round(self.size * 1e6), 10.0, MAKER)], ""

    def dump(self) -> dict[str, int]:
        """How often it was asked."""
        return {{"asked": self.asked}}

    def restore(self, state: dict[str, int]) -> None:
        """Go on counting."""
        self.asked = state["asked"]


@hookimpl
def polytrade_makers():
    """The bidder."""
    return {{"{name}": Bidder}}
'''


def maker_source(name: str = "bidder", price_e4: int = 4000) -> str:
    """A plugin module that offers one maker; `price_e4` makes versions tell apart."""
    return MAKER.format(name=name, price_e4=price_e4)


@attrs.frozen
class Installed:
    """A distribution that was written: its dist-info folder and its module's file."""

    name: str
    version: str
    info: Path
    file: Path


@attrs.define
class SiteFolder:
    """A folder of installed distributions."""

    folder: Path
    installed: dict[str, Installed] = attrs.field(factory=dict)

    def install(
        self,
        plugin: str,
        source: str,
        *,
        version: str = "1.0.0",
        distribution: str = "",
        module: str = "",
        files: Mapping[str, str] | None = None,
        points: Mapping[str, str] | None = None,
    ) -> Installed:
        """Install, or replace by another version, the distribution of one plugin.

        The distribution is `polytrade-<plugin>` and the module `polytrade_<plugin>` unless told
        otherwise. With `files` (path to text) the module is a package that holds them. `points`
        replaces the entry points, else there is one.
        """
        distribution = distribution or f"polytrade-{plugin}"
        module = module or f"polytrade_{plugin.replace('-', '_')}"
        if distribution in self.installed:
            self.uninstall(distribution)
        texts = {f"{module}.py": source}
        if files is not None:
            texts = {f"{module}/__init__.py": source}
            texts |= {f"{module}/{name}": text for name, text in files.items()}
        info = f"{distribution.replace('-', '_')}-{version}.dist-info"
        lines = [f"{name} = {value}" for name, value in (points or {plugin: module}).items()]
        texts |= {
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {distribution}\n"
            f"Version: {version}\n",
            f"{info}/entry_points.txt": "\n".join(["[polytrade]", *lines, ""]),
            f"{info}/INSTALLER": "pip\n",
        }
        record = []
        for path, text in texts.items():
            file = self.folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            data = text.encode()
            file.write_bytes(data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
            record.append(f"{path},sha256={digest},{len(data)}")
        record.append(f"{info}/RECORD,,")
        (self.folder / info / "RECORD").write_text("\n".join(record) + "\n")
        first = self.folder / (f"{module}.py" if files is None else f"{module}/__init__.py")
        made = Installed(distribution, version, self.folder / info, first)
        self.installed[distribution] = made
        return made

    def uninstall(self, distribution: str) -> None:
        """Remove a distribution with all its files."""
        gone = self.installed.pop(distribution)
        if gone.file.name == "__init__.py":
            shutil.rmtree(gone.file.parent, ignore_errors=True)
        else:
            gone.file.unlink(missing_ok=True)
            for stale in gone.file.parent.glob(f"__pycache__/{gone.file.stem}.*.pyc"):
                stale.unlink()
        shutil.rmtree(gone.info, ignore_errors=True)

    def edit(self, distribution: str, before: str, after: str) -> None:
        """Change the module's text and keep its times: within a second nobody sees a newer file."""
        file = self.installed[distribution].file
        text = file.read_text()
        assert before in text, f"{before!r} is not in {file.name}"
        times = file.stat()
        file.write_text(text.replace(before, after))
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


@contextmanager
def plugin_site(folder: Path) -> Iterator[SiteFolder]:
    """A site folder on `sys.path`; afterwards the path and `sys.modules` are as before."""
    modules: dict[str, ModuleType] = dict(sys.modules)
    path = list(sys.path)
    folder.mkdir(parents=True, exist_ok=True)
    sys.path.insert(0, str(folder))
    try:
        yield SiteFolder(folder)
    finally:
        sys.path[:] = path
        for name, module in list(sys.modules.items()):
            home = getattr(module, "__file__", None) or ""
            if home.startswith(str(folder)):
                del sys.modules[name]
        sys.modules.update(
            {
                name: module
                for name, module in modules.items()
                if (getattr(module, "__file__", None) or "").startswith(str(folder))
            }
        )
