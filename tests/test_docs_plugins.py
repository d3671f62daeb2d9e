"""docs/plugins: every block of code is run, and the hook reference is that of the code."""

import inspect
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest

from polytrade import api, hookspecs, testing
from polytrade.config import Reload
from polytrade.hookspecs import KINDS, Kind
from polytrade.lineup import STEPS
from tests.wheels import make_wheel

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "docs" / "plugins"
BLOCK = re.compile(r"^([^\n]*)\n\n?```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
REPLACED = re.compile(r"^Replace `([^`]+)` by this:$")
PROTOCOLS = {
    "fair_value": "FairValue",
    "maker": "Maker",
    "taker": "Taker",
    "allocator": "Allocator",
    "feed": "FeedCodec",
    "risk_rule": "RiskRule",
    "notifier": "Notifier",
    "importer": "Importer",
}
DAEMON_S = 60.0
"""Longest that the daemon and its venue take to start, on a machine however busy."""


@attrs.frozen
class Block:
    """A block of code: the line before it, its language, its text, the section's number."""

    before: str
    language: str
    text: str
    section: int


def blocks(page: str) -> list[Block]:
    """The blocks of a page in order."""
    found, section = [], 0
    for part in re.split(r"^(?=## )", (PAGES / page).read_text(), flags=re.MULTILINE):
        numbered = re.match(r"## (\d+)\.", part)
        section = int(numbered[1]) if numbered else section
        found += [Block(*match, section) for match in BLOCK.findall(part)]
    return found


class Walk:
    """A reader who does what the tutorial says, in a folder of their own.

    pip gets a wheel instead of a folder, because building one would ask an index for hatchling; the
    daemon gets a port and a data folder of its own. Everything else is done as it is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.site = folder / "site"
        self.site.mkdir()
        self.outputs: dict[str, str] = {}
        self.names: dict[str, Any] = {"__name__": "tutorial"}
        self.daemon: subprocess.Popen[bytes] | None = None
        self._wheels = 0
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self._port = taken.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        self._env = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{self.site}"}

    def follow(self, page: str, *sections: int) -> None:
        """Do everything these sections say."""
        for block in blocks(page):
            if block.section in sections:
                getattr(self, f"_{block.language}")(block)

    def _sh(self, block: Block) -> None:
        for line in block.text.splitlines():
            words = shlex.split(line)
            if words[:2] == ["polytrade", "daemon"]:
                self._start(words)
            elif words[:2] == ["pip", "install"]:
                self._install(self.folder / words[-1])
            else:
                if words[0] == "polytrade":
                    words = [sys.executable, "-m", *words]
                elif words[0] == "pytest":
                    words = [sys.executable, "-m", *words, "-q", "-p", "no:cacheprovider"]
                elif words[0] == "curl":
                    words = [word.replace("http://127.0.0.1:8080", self.url) for word in words]
                self.outputs[line] = self._done(words)

    def _done(self, words: list[str]) -> str:
        done = subprocess.run(
            words, cwd=self.folder, env=self._env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def _install(self, project: Path) -> None:
        self._wheels += 1
        wheel = make_wheel(project, self.folder / f"dist{self._wheels}")
        words = ["install", "-q", "--no-index", "--no-deps", "--no-compile", "--upgrade"]
        self._done([sys.executable, "-m", "pip", *words, "--target", str(self.site), str(wheel)])

    def _start(self, words: list[str]) -> None:
        words = [str(ROOT / word) if word.startswith("configs") else word for word in words]
        settings = {
            "control.port": self._port,
            "storage.data_dir": json.dumps(str(self.folder / "runs")),
            "reload.probe_s": 60,
            "reload.call_budget_us": 1_000_000,
        }
        for name, value in settings.items():
            words += ["--set", f"{name}={value}"]
        with (self.folder / "daemon.log").open("wb") as log:
            self.daemon = subprocess.Popen(
                [sys.executable, "-m", *words],
                cwd=self.folder,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        end_s = time.monotonic() + DAEMON_S
        while True:
            words = ["curl", "-s", "-f", f"{self.url}/health?ready=1"]
            if subprocess.run(words, capture_output=True, check=False).returncode == 0:
                return
            log_text = (self.folder / "daemon.log").read_text()
            assert self.daemon.poll() is None, log_text
            assert time.monotonic() < end_s, log_text
            time.sleep(0.2)

    def _python(self, block: Block) -> None:
        replaced = REPLACED.match(block.before)
        if replaced:
            file = self.folder / replaced[1]
            assert file.is_file(), f"{replaced[1]} is not there to be replaced"
            file.write_text(block.text)
        else:
            code = compile(block.text, f"tutorial, section {block.section}", "exec")
            exec(code, self.names)

    def _text(self, block: Block) -> None:
        """A listing of files."""
        listed = block.text.splitlines()
        top = self.folder / listed[0].partition("/")[0]
        files = [it.relative_to(self.folder).as_posix() for it in top.rglob("*") if it.is_file()]
        assert sorted(files) == listed

    def stop(self) -> None:
        """Stop the daemon as Ctrl-C does."""
        if self.daemon is not None:
            self.daemon.terminate()
            self.daemon.wait()


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    """The tutorial up to the installed plugin."""
    walk = Walk(tmp_path_factory.mktemp("tutorial"))
    before = list(sys.path)
    sys.path.insert(0, str(walk.folder / "polytrade-fader"))
    try:
        walk.follow("tutorial.md", 1, 2, 3, 4, 5, 6)
        yield walk
    finally:
        walk.stop()
        sys.path[:] = before
        for name in [name for name in sys.modules if name.startswith("polytrade_fader")]:
            del sys.modules[name]


# -- the tutorial ------------------------------------------------------------------------------


def test_tutorial_makes_a_plugin_that_installs(walked: Walk) -> None:
    said = walked.outputs
    assert "4 passed" in said["pytest polytrade-fader"]
    assert "fader 0.1.0+sha256:" in said["polytrade plugins list"]
    assert ": maker fader\n" in said["polytrade plugins list"]
    assert ": ok, " in said["polytrade plugins check fader"]
    assert said["polytrade plugins bench fader"].startswith("fader.quotes: ")
    assert len(walked.names["run"].orders) > 10


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_tutorial_reloads_in_a_running_daemon(walked: Walk) -> None:
    walked.follow("tutorial.md", 7, 8)
    assert not any("error" in orjson.loads(it) for line, it in curls(walked) if "plugins" in line)
    switched, recoded, rolled = (
        orjson.loads(text) for line, text in curls(walked) if "POST" in line
    )
    assert "error" not in switched, switched
    assert switched["maker"]["plugin"] == "fader"
    assert "error" not in recoded, recoded
    assert recoded["generation"] == switched["generation"] + 1
    assert "error" not in rolled, rolled
    assert rolled["generation"] == recoded["generation"] + 1


def curls(walk: Walk) -> list[tuple[str, str]]:
    """The answers of the daemon, by what was typed."""
    return [(line, text) for line, text in walk.outputs.items() if line.startswith("curl")]


def test_tutorial_is_followed_whole() -> None:
    sections = {block.section for block in blocks("tutorial.md")}
    assert sections == {1, 2, 3, 4, 5, 6, 7, 8}


def test_no_block_of_any_page_is_overlooked() -> None:
    for page in sorted(PAGES.glob("*.md")):
        fences = page.read_text().count("\n```") // 2
        assert len(blocks(page.name)) == fences, page.name


# -- the other pages ---------------------------------------------------------------------------


def test_blocks_about_testing_run(tmp_path: Path) -> None:
    names: dict[str, Any] = {"__name__": "testing_page"}
    found = blocks("testing.md")
    assert {block.language for block in found} == {"python"}
    for block in found:
        exec(compile(block.text, "testing.md", "exec"), names)
    names["test_orders_are_placed"](testing.market_events(), testing.run_strategy)


def test_everything_of_the_testing_module_is_in_its_page() -> None:
    page = (PAGES / "testing.md").read_text()
    assert [name for name in testing.__all__ if not re.search(rf"`{name}\b", page)] == []


def test_blocks_about_publishing_are_what_a_project_has(walked: Walk) -> None:
    project = walked.folder / "polytrade-fader"
    pyproject = tomllib.loads((project / "pyproject.toml").read_text())
    for block in blocks("publishing.md"):
        if block.language == "toml":
            (points,) = [tomllib.loads(block.text)["project"]["entry-points"]]
            assert pyproject["project"]["entry-points"] == points
    typed = os.environ | {"MYPYPATH": str(ROOT)}  # polytrade is not installed here
    for line in ("ruff check .", "mypy"):
        assert f"\n{line}\n" in (PAGES / "publishing.md").read_text()
        words = [sys.executable, "-m", *line.split()]
        words += ["--follow-imports=silent"] if line == "mypy" else []
        done = subprocess.run(
            words, cwd=project, env=typed, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout
    wheels = list(walked.folder.glob("dist*/*.whl"))
    assert wheels[0].name in (PAGES / "publishing.md").read_text()


def test_reload_page_has_every_step_in_order() -> None:
    _, _, steps = (PAGES / "reload.md").read_text().partition("\n## Steps\n")
    table, _, _ = steps.partition("\n## ")
    assert re.findall(r"^\| `(\w+)` \| ", table, re.MULTILINE) == list(STEPS)


def test_reload_page_names_only_settings_that_are_there() -> None:
    known = {field.name for field in attrs.fields(Reload)}
    named = set(re.findall(r"`reload\.(\w+)`", (PAGES / "reload.md").read_text()))
    assert named <= known
    assert named >= {name for name in known if name.startswith(("guard", "call", "overrun"))}


def test_reload_page_shows_an_answer_of_the_right_form() -> None:
    (answer,) = [orjson.loads(it.text) for it in blocks("reload.md") if it.language == "json"]
    assert list(answer["error"]) == ["code", "message", "field", "allowed", "step", "plugin"]
    assert answer["error"]["step"] in STEPS


# -- the hook reference ------------------------------------------------------------------------


def signature(function: Any) -> str:
    """The signature as people write it."""
    text = str(inspect.signature(function))
    return re.sub(r"\b(?:polytrade|collections|typing|pathlib)\.(?:\w+\.)*", "", text)


def section_of(kind: Kind) -> str:
    page = (PAGES / "hooks.md").read_text()
    (section,) = re.findall(
        rf"^## `{kind.hook}`$\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL
    )
    return str(section)


def row(kind: Kind, name: str) -> str:
    """What a section's table says under a name."""
    (found,) = re.findall(rf"^\| {name} \| (.+) \|$", section_of(kind), re.MULTILINE)
    return str(found)


def test_hook_reference_has_every_hook_in_order() -> None:
    named = re.findall(r"^## `(polytrade_\w+)`$", (PAGES / "hooks.md").read_text(), re.MULTILINE)
    assert named == [kind.hook for kind in KINDS.values()]


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_hook_is_described_as_it_is_declared(kind: Kind) -> None:
    hook = getattr(hookspecs.HookSpecs, kind.hook)
    section = section_of(kind)
    summary, _, details = inspect.cleandoc(hook.__doc__).partition("\n\n")
    assert section.strip().startswith(" ".join(summary.split()))
    declared = signature(hook).replace("self", "")
    assert f"```python\n@hookimpl\ndef {kind.hook}{declared}: ...\n```" in section
    assert f"`{PROTOCOLS[kind.name]}`" in details
    assert f"Since {row(kind, 'Since')}." in " ".join(details.split())


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_objects_are_described_as_they_are_declared(kind: Kind) -> None:
    protocol = getattr(api, PROTOCOLS[kind.name])
    section = section_of(kind)
    assert f"What it makes is a `{protocol.__name__}`:" in section
    for name in kind.methods:
        method = getattr(protocol, name)
        word = "async def" if inspect.iscoroutinefunction(method) else "def"
        assert f"    {word} {name}{signature(method)}: ...\n" in section
    for name in kind.attributes:
        assert re.search(rf"^    {name}: \w", section, re.MULTILINE), name


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_hook_says_how_it_is_selected_and_called(kind: Kind) -> None:
    expected = f"`{kind.selected_by}`" if kind.selected_by else "nothing: all are active"
    assert row(kind, "Selected by") == expected + (", a list" if kind.many else "")
    section = row(kind, "Section of shared settings")
    assert section.startswith(f"`[{kind.section}]`" if kind.section else "none")
    for name in ("Called for", "Thread", "If it raises"):
        assert len(row(kind, name)) > 10
