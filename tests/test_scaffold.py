"""`polytrade new-plugin`: every kind makes a project that is tidy, passes its tests and loads."""

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from polytrade.catalogue import scan
from polytrade.cli_plugins import new_plugin
from polytrade.config import Plugins
from polytrade.errors import ConfigError
from polytrade.plugin_checks import MEASURED, check
from polytrade.scaffold import CHOICES, NAME_MAX, SHAPES, built_in_names, plan, write_project
from polytrade.testing import config
from tests.plugin_projects import SiteFolder, plugin_site
from tests.wheels import make_wheel

ROOT = Path(__file__).resolve().parent.parent
LONG = "n" * NAME_MAX
"""The longest name: what the templates make of it must stay within the line."""


def run(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a module of this Python with the project in reach."""
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def site(tmp_path: Path) -> Iterator[SiteFolder]:
    with plugin_site(tmp_path / "site") as folder:
        yield folder


@pytest.mark.parametrize("kind", SHAPES)
def test_tests_of_a_new_project_pass(kind: str, tmp_path: Path) -> None:
    folder = write_project(plan(f"first-{kind}", kind), tmp_path / "project")
    done = run("pytest", "-q", "-p", "no:cacheprovider", cwd=folder)
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


@pytest.mark.parametrize("name", ["x", LONG])
def test_new_projects_are_tidy(name: str, tmp_path: Path) -> None:
    for kind in SHAPES:
        write_project(plan(name, kind), tmp_path / kind)
    for words in (("ruff", "check", "."), ("ruff", "format", "--check", ".")):
        done = run(*words, cwd=tmp_path)
        assert done.returncode == 0, done.stdout


def test_new_modules_are_typed(tmp_path: Path) -> None:
    modules = []
    for kind in SHAPES:
        project = plan(f"first-{kind}", kind)
        modules.append(write_project(project, tmp_path / kind) / project.module / "__init__.py")
    words = ("mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), *map(str, modules))
    done = run(*words, cwd=ROOT)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("kind", SHAPES)
def test_installed_wheel_is_loaded_and_passes_the_trial(
    kind: str, site: SiteFolder, tmp_path: Path
) -> None:
    project = plan("first", kind)
    wheel = make_wheel(write_project(project, tmp_path / "project"), tmp_path)
    words = ("install", "-q", "--no-index", "--no-deps", "--no-compile", "--target")
    done = run("pip", *words, str(site.folder), str(wheel), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    info = scan(Plugins()).plugins["first"]
    assert (info.error, info.distribution) == ("", "polytrade-first")
    assert info.offers == {SHAPES[kind].kind: ("first",)}
    roomy = config(reload={"probe_s": 60.0, "call_budget_us": 1_000_000})
    (answer,) = check(roomy, ["first"])
    assert answer["ok"], answer
    calls = answer["called"].pop(f"{SHAPES[kind].kind}/first")
    assert answer["called"] == {}
    assert (calls is not None and calls > 0) == (SHAPES[kind].kind in MEASURED)


def test_names_follow_from_the_plugins_name() -> None:
    project = plan("polytrade-my-maker", "strategy")
    assert (project.plugin, project.kind) == ("my-maker", "maker")
    assert (project.distribution, project.module) == ("polytrade-my-maker", "polytrade_my_maker")
    assert project.class_name == "MyMaker"
    assert sorted(project.files()) == [
        ".gitignore",
        "README.md",
        "polytrade_my_maker/__init__.py",
        "polytrade_my_maker/py.typed",
        "pyproject.toml",
        "tests/test_my_maker.py",
    ]
    table = tomllib.loads(project.files()["pyproject.toml"])["project"]
    assert table["entry-points"] == {"polytrade": {"my-maker": "polytrade_my_maker"}}


@pytest.mark.parametrize("kind", SHAPES)
def test_nothing_of_a_template_is_left_unfilled(kind: str) -> None:
    for path, text in plan("first", kind).files().items():
        words = text.replace("@attrs.define", "").replace("@hookimpl", "").replace("@pytest", "")
        words = words.replace("@ url", "").replace("@ price", "")
        assert "@" not in words, path


@pytest.mark.parametrize(
    ("kind", "selected"),
    [
        ("strategy", '[strategy]\nmaker = "first"'),
        ("risk-rule", '[plugins]\nrisk_rules = ["first"]'),
    ],
)
def test_readme_says_how_it_is_selected(kind: str, selected: str) -> None:
    readme = plan("first", kind).files()["README.md"]
    assert f"```toml\n{selected}\n```" in readme
    endpoint = "strategy" if kind == "strategy" else "plugins"
    assert f"/control/reload_{endpoint}" in readme


@pytest.mark.parametrize(
    "name", ["", "My", "a_b", "-a", "a-", "a--b", "1a", "a.b", "../a", LONG + "n"]
)
def test_other_names_are_refused_with_what_is_allowed(name: str) -> None:
    with pytest.raises(ConfigError, match="lower-case words of letters and digits joined by -"):
        plan(name, "maker")


def test_names_that_are_built_in_are_refused() -> None:
    assert {"skewed", "binance", "none"} <= set(built_in_names())
    with pytest.raises(ConfigError, match="'skewed' is built in"):
        plan("skewed", "maker")


def test_unknown_kinds_are_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=f"expected one of {', '.join(CHOICES)}, found 'bot'"):
        plan("first", "bot")


def test_existing_folders_are_left_alone(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected a folder that is not there yet"):
        write_project(plan("first", "maker"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_command_writes_where_it_is_and_says_what_is_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert new_plugin.main(["first", "--kind", "taker"], standalone_mode=False) == 0
    assert (tmp_path / "polytrade-first" / "pyproject.toml").is_file()
    assert capsys.readouterr().out.splitlines() == [
        "polytrade-first: polytrade-first with the taker first",
        "next: pip install -e polytrade-first && polytrade plugins check first",
    ]


def test_command_names_a_folder_that_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    words = ["first", "--directory", str(tmp_path / "file" / "project")]
    assert new_plugin.main(words, standalone_mode=False) == 1
    assert "Not a directory" in capsys.readouterr().err


def test_command_needs_a_name() -> None:
    with pytest.raises(click.MissingParameter):
        new_plugin.main([], standalone_mode=False)
