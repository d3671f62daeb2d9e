"""Wheels of projects, built by their own build backend (Hatchling), and environments for them.

Nothing here asks an index: Hatchling is installed beside the tests, as is what the projects need.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
import venv
from collections.abc import Mapping
from pathlib import Path

import attrs

BACKEND = (
    "import sys; from hatchling import build as b; print(getattr(b, sys.argv[1])(sys.argv[2]))"
)
"""Calls a hook of the build backend, as pip does; the last line is the name of what was made."""


def make_wheel(
    project: Path, folder: Path, *, version: str = "", changes: Mapping[str, str] | None = None
) -> Path:
    """The wheel of a project; `version` and the text of files (`changes`) may be others."""
    if not version and not changes:
        return _built(project, folder, "build_wheel")
    with tempfile.TemporaryDirectory() as made:
        copy = _copied(project, Path(made))
        for name, text in (changes or {}).items():
            (copy / name).write_text(text, encoding="utf-8")
        if version:
            _renumber(copy / "pyproject.toml", version)
        return _built(copy, folder, "build_wheel")


def make_sdist(project: Path, folder: Path) -> Path:
    """The source distribution of a project."""
    return _built(project, folder, "build_sdist")


def _built(project: Path, folder: Path, hook: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    words = (sys.executable, "-c", BACKEND, hook, str(folder.resolve()))
    done = subprocess.run(words, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / done.stdout.splitlines()[-1]


def _copied(project: Path, folder: Path) -> Path:
    """What the wheel of a project is made of, elsewhere."""
    tables = tomllib.loads((project / "pyproject.toml").read_text())
    about = tables["project"]
    for name in ("pyproject.toml", about["readme"], *about.get("license-files", ())):
        shutil.copy(project / name, folder / name)
    for package in tables["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(project / package, folder / package, ignore=ignored)
    return folder


def _renumber(file: Path, version: str) -> None:
    before, line, after = file.read_text().partition('\nversion = "')
    assert line, f"expected a version in {file}"
    file.write_text(before + line + version + after[after.index('"') :])


@attrs.frozen
class Environment:
    """A virtual environment with a pip that asks no index: only the wheels in `wheels`."""

    folder: Path
    wheels: Path

    @classmethod
    def make(cls, folder: Path, wheels: Path) -> "Environment":
        """A fresh one that sees what is installed beside the tests, behind its own packages."""
        venv.create(folder, with_pip=True)
        ours = sysconfig.get_path("purelib")
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        site = folder / "lib" / version / "site-packages"
        (site / "beside.pth").write_text(f"{ours}\n")
        return cls(folder, wheels)

    def environ(self) -> dict[str, str]:
        """Its variables: nothing of the checkout is on the path."""
        kept = {name: it for name, it in os.environ.items() if not name.startswith("PYTHON")}
        return {
            **kept,
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{kept.get('PATH', '')}",
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.wheels),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }

    def run(self, program: str, *arguments: str, check: bool = True) -> str:
        """What a program of it writes, errors included; `check` asks for the exit code 0."""
        done = subprocess.run(
            [self.folder / "bin" / program, *arguments],
            env=self.environ(),
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert (done.returncode == 0) == check, done.stdout
        return done.stdout

    def pip(self, *arguments: str, check: bool = True) -> str:
        """Run pip, which looks at what a wheel requires; `check` asks for its success."""
        return self.run("python", "-m", "pip", *arguments, check=check)

    def install_polytrade(self) -> None:
        """Its own polytrade, whatever lies beside the tests."""
        self.pip("install", "--no-deps", "--ignore-installed", "polytrade")
