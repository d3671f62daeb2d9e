"""Wheels of plugin projects, written without a build tool: what hatchling makes of such a project.

pip installs them for real; a build would ask an index for hatchling.
"""

import base64
import hashlib
import tomllib
import zipfile
from pathlib import Path


def make_wheel(project: Path, folder: Path, *, version: str = "") -> Path:
    """Write the wheel of a project into a folder; `version` replaces the project's own."""
    tables = tomllib.loads((project / "pyproject.toml").read_text())
    about = tables["project"]
    version = version or about["version"]
    stem = f"{about['name'].replace('-', '_')}-{version}"
    info = f"{stem}.dist-info"
    files: dict[str, bytes] = {}
    for package in tables["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]:
        for file in sorted((project / package).rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                files[file.relative_to(project).as_posix()] = file.read_bytes()
    metadata = ["Metadata-Version: 2.1", f"Name: {about['name']}", f"Version: {version}"]
    metadata += [f"Requires-Dist: {each}" for each in about["dependencies"]]
    points = [
        line
        for group, rows in about["entry-points"].items()
        for line in (f"[{group}]", *(f"{name} = {value}" for name, value in rows.items()))
    ]
    wheel = ["Wheel-Version: 1.0", "Generator: tests", "Root-Is-Purelib: true", "Tag: py3-none-any"]
    for name, lines in (("METADATA", metadata), ("WHEEL", wheel), ("entry_points.txt", points)):
        files[f"{info}/{name}"] = "".join(f"{line}\n" for line in lines).encode()
    record = [f"{name},sha256={_digest(data)},{len(data)}" for name, data in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""]).encode()
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(made, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return made


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
