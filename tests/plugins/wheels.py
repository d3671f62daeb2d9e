"""Wheels of the projects of this repository, made as Hatch makes them, and environments for them.

Hatch itself would have to come from an index; what its build takes is in each pyproject.toml.
"""

import base64
import hashlib
import os
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs


def build_wheel(
    project: Path, out: Path, *, version: str = "", changes: Mapping[str, str] | None = None
) -> Path:
    """The wheel of a project; `version` and the text of files (`changes`) may be others."""
    body = tomllib.loads((project / "pyproject.toml").read_text())
    about, stem = body["project"], body["project"]["name"].replace("-", "_")
    version = version or about["version"]
    files: dict[str, bytes] = {}
    for package in body["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]:
        for file in sorted((project / package).rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                files[file.relative_to(project).as_posix()] = file.read_bytes()
    files |= {name: text.encode() for name, text in (changes or {}).items()}
    info = f"{stem}-{version}.dist-info"
    files |= {
        f"{info}/METADATA": _metadata(about, version).encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\n"
        b"Tag: py3-none-any\n",
        f"{info}/entry_points.txt": _entry_points(about).encode(),
    }
    record = [f"{name},{_hash(data)},{len(data)}" for name, data in files.items()]
    record.append(f"{info}/RECORD,,\n")
    files[f"{info}/RECORD"] = "\n".join(record).encode()
    out.mkdir(parents=True, exist_ok=True)
    wheel = out / f"{stem}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return wheel


def _metadata(about: Mapping[str, Any], version: str) -> str:
    lines = ["Metadata-Version: 2.1", f"Name: {about['name']}", f"Version: {version}"]
    lines += [f"Requires-Python: {about['requires-python']}"]
    lines += [f"Requires-Dist: {needed}" for needed in about.get("dependencies", ())]
    return "\n".join([*lines, ""])


def _entry_points(about: Mapping[str, Any]) -> str:
    groups = {"console_scripts": about.get("scripts", {}), **about.get("entry-points", {})}
    lines: list[str] = []
    for group, points in groups.items():
        if points:
            lines += [f"[{group}]", *(f"{name} = {value}" for name, value in points.items())]
    return "\n".join([*lines, ""])


def _hash(data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
    return f"sha256={digest}"


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
            "PIP_NO_DEPS": "1",  # theirs are installed beside the tests
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

    def pip(self, *arguments: str) -> str:
        """Run pip."""
        return self.run("python", "-m", "pip", *arguments)
