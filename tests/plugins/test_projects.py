"""The projects of this repository as distributions: what their own build backend makes of them, and
what pip does with it.
"""

import re
import tarfile
import tomllib
import zipfile
from collections.abc import Mapping
from email.message import Message
from email.parser import Parser
from pathlib import Path
from typing import Any

import pytest

import polytrade
from polytrade.api import API
from polytrade.scaffold import SHAPES, plan, write_project
from tests.wheels import Environment, make_sdist, make_wheel

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = sorted(path for path in (ROOT / "plugins").iterdir() if path.is_dir())
NAMES = [path.name for path in PLUGINS]
GLFT = ROOT / "plugins" / "polytrade-glft"
BOUND = "polytrade<1,>=0.1"
CACHES = {"__pycache__", ".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache"}
FILTER: Any = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
"""Since Python 3.11.4."""
"""What every plugin requires: the API's number is the same below the next major version."""


def read(wheel: Path) -> tuple[Message, Mapping[str, bytes]]:
    """The metadata of a wheel and all its files."""
    with zipfile.ZipFile(wheel) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    (text,) = [data for name, data in files.items() if name.endswith(".dist-info/METADATA")]
    return Parser().parsestr(text.decode()), files


def project_table(project: Path) -> dict[str, Any]:
    """`[project]` of a project."""
    table: dict[str, Any] = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    return table


def package_files(project: Path, package: str) -> set[str]:
    """Every file of a package, by its path in the project."""
    return {
        path.relative_to(project).as_posix()
        for path in (project / package).rglob("*")
        if path.is_file() and not CACHES & set(path.parts) and path.suffix != ".so"
    }


def requiring(project: Path, *requirements: str) -> dict[str, str]:
    """The change of a project that requires these things besides, or instead for polytrade's."""
    text = (project / "pyproject.toml").read_text()
    listed = re.search(r"^dependencies = \[(.*)\]$", text, re.MULTILINE)
    assert listed is not None
    kept = [each for each in listed[1].split(", ") if not each.startswith('"polytrade')]
    polytrade_given = any(each.startswith("polytrade") for each in requirements)
    bound = [] if polytrade_given else ["polytrade>=0.1,<1"]
    wanted = [*kept, *(f'"{each}"' for each in (*requirements, *bound))]
    return {"pyproject.toml": text.replace(listed[0], f"dependencies = [{', '.join(wanted)}]")}


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Polytrade and every plugin."""
    folder = tmp_path_factory.mktemp("wheels")
    for project in (ROOT, *PLUGINS):
        make_wheel(project, folder)
    return folder


@pytest.fixture(scope="module")
def environment(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """A fresh environment with polytrade from its wheel."""
    made = Environment.make(tmp_path_factory.mktemp("fresh") / "venv", wheels)
    made.install_polytrade()
    return made


def wheel_of(wheels: Path, project: Path) -> Path:
    """The wheel of a project."""
    (found,) = wheels.glob(f"{project_table(project)['name'].replace('-', '_')}-*.whl")
    return found


# -- what is built ---------------------------------------------------------------------------------


@pytest.mark.parametrize("project", PLUGINS, ids=NAMES)
def test_wheel_of_a_plugin_says_what_it_is(project: Path, wheels: Path) -> None:
    about = project_table(project)
    metadata, files = read(wheel_of(wheels, project))
    stem = f"{project.name.replace('-', '_')}-{about['version']}.dist-info"
    assert metadata["Name"] == project.name
    assert metadata["Version"] == about["version"] == "0.1.0"
    assert metadata["Summary"] == about["description"]
    assert metadata["Requires-Python"] == ">=3.11"
    required = metadata.get_all("Requires-Dist")
    assert [each for each in required if each.startswith("polytrade")] == [BOUND]
    assert metadata["License-Expression"] == "Apache-2.0"
    assert files[f"{stem}/licenses/LICENSE"] == (ROOT / "LICENSE").read_bytes()
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_payload().strip() == (project / "README.md").read_text().strip()
    assert "Typing :: Typed" in metadata.get_all("Classifier")
    assert f"{project.name.replace('-', '_')}/py.typed" in files
    name = project.name.removeprefix("polytrade-")
    points = files[f"{stem}/entry_points.txt"].decode().split("\n")
    assert points[:2] == ["[polytrade]", f"{name} = {project.name.replace('-', '_')}"]


@pytest.mark.parametrize("project", PLUGINS, ids=NAMES)
def test_wheel_of_a_plugin_is_its_package_and_nothing_else(project: Path, wheels: Path) -> None:
    package = project.name.replace("-", "_")
    _, files = read(wheel_of(wheels, project))
    code = {name for name in files if ".dist-info/" not in name}
    assert code == package_files(project, package)


def test_bound_of_the_plugins_holds_for_this_polytrade_and_its_api() -> None:
    assert (int(polytrade.__version__.partition(".")[0]), API) == (0, 1)
    bounds = {each for shape in SHAPES.values() for each in shape.dependencies}
    assert "polytrade>=0.1,<1" in bounds


def test_wheel_of_polytrade_has_the_whole_package(wheels: Path) -> None:
    metadata, files = read(wheel_of(wheels, ROOT))
    code = {name for name in files if ".dist-info/" not in name}
    assert code == package_files(ROOT, "polytrade")
    assert {
        "polytrade/py.typed",
        "polytrade/reports/page.css",
        "polytrade/sandbox/venue/status_page.html",
        "polytrade/scaffold/templates/maker.py.txt",
    } <= code
    wanted = {each for each in project_table(ROOT)["dependencies"] if ";" not in each}
    required = metadata.get_all("Requires-Dist")
    assert len([each for each in required if "extra ==" not in each]) == len(wanted) + 2


def test_source_distribution_of_polytrade_has_what_its_tests_need(tmp_path: Path) -> None:
    with tarfile.open(make_sdist(ROOT, tmp_path)) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for folder in ("polytrade", "configs", "docs", "scripts", "plugins/polytrade-glft"):
        assert package_files(ROOT, folder) <= names, folder
    assert {
        "datasets/sample-updown-5m.jsonl.zst",
        "tests/plugins/test_projects.py",
        *("LICENSE", "README.md", "pyproject.toml", ".ci/run"),
    } <= names
    assert not [name for name in names if name.startswith(("datasets/runs", ".git/", ".venv"))]


def test_plugin_can_be_built_again_from_its_source_distribution(tmp_path: Path) -> None:
    with tarfile.open(make_sdist(GLFT, tmp_path)) as archive:
        archive.extractall(tmp_path / "source", **FILTER)
    (source,) = (tmp_path / "source").iterdir()
    assert package_files(GLFT, "tests") <= package_files(source, "tests")
    again = make_wheel(source, tmp_path / "again")
    assert read(again)[1] == read(make_wheel(GLFT, tmp_path / "first"))[1]


@pytest.mark.parametrize("kind", SHAPES)
def test_new_project_of_each_kind_builds(kind: str, tmp_path: Path) -> None:
    project = write_project(plan("first", kind), tmp_path / "project")
    metadata, files = read(make_wheel(project, tmp_path / "dist"))
    assert (metadata["Name"], metadata["Version"]) == ("polytrade-first", "0.1.0")
    assert BOUND in metadata.get_all("Requires-Dist")
    assert {name for name in files if ".dist-info/" not in name} == {
        "polytrade_first/__init__.py",
        "polytrade_first/py.typed",
    }


# -- what pip does with it -------------------------------------------------------------------------


def test_pip_installs_every_plugin_and_they_are_found(environment: Environment) -> None:
    environment.pip("install", *NAMES)
    shown = environment.run("polytrade", "plugins", "list")
    for name in NAMES:
        assert f"{name.removeprefix('polytrade-')} 0.1.0+sha256:" in shown
    place = environment.run("python", "-c", "import polytrade_kelly as k; print(k.__file__)")
    assert place.startswith(str(environment.folder))
    environment.pip("uninstall", "-y", *NAMES)
    assert "glft" not in environment.run("polytrade", "plugins", "list")


@pytest.mark.parametrize(
    ("requirement", "said"),
    [
        ("polytrade>=0.9", "No matching distribution found for polytrade>=0.9"),
        ("polytrade>=1,<2", "No matching distribution found for polytrade<2,>=1"),
        ("nobody-has-this>=1", "No matching distribution found for nobody-has-this>=1"),
    ],
)
def test_pip_refuses_a_plugin_whose_requirements_are_not_there(
    environment: Environment, tmp_path: Path, requirement: str, said: str
) -> None:
    make_wheel(GLFT, tmp_path, version="0.9.0", changes=requiring(GLFT, requirement))
    words = ("--find-links", str(tmp_path), "polytrade-glft==0.9.0")
    assert said in environment.pip("install", *words, check=False)
    assert "polytrade-glft" not in environment.pip("list")


def test_pip_refuses_polytrade_of_the_next_api_beside_a_plugin_of_this_one(
    environment: Environment, tmp_path: Path
) -> None:
    make_wheel(ROOT, tmp_path, version="1.0.0")
    words = ("--find-links", str(tmp_path), "polytrade==1.0.0", "polytrade-kelly")
    refused = environment.pip("install", *words, check=False)
    assert "polytrade-kelly 0.1.0 depends on polytrade<1 and >=0.1" in refused
    shown = environment.run("polytrade", "--version")
    assert polytrade.__version__ in shown
