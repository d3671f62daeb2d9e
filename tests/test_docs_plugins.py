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
import sysconfig
import time
import tomllib
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest

from polytrade import api, hookspecs, testing
from polytrade.config import Reload
from polytrade.hookspecs import KINDS, Kind
from polytrade.lineup import STEPS
from polytrade.runtime.reload_requests import ENDPOINTS
from tests.wheels import Environment, make_wheel

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


SYSTEM = "/usr/local/bin:/usr/bin:/bin"
"""Where a reader's shell finds programs before an environment is activated."""
LATER = ("pytest", "iniconfig")
"""What `pip install -e "...[dev]"` brings: the environment of `scripts/run` is without."""


def wheel_of(name: str, folder: Path) -> None:
    """A wheel of a distribution that is installed beside the tests, which pip can install."""
    found = metadata.distribution(name)
    wheel = folder / f"{found.metadata['Name']}-{found.version}-py3-none-any.whl"
    record = ""
    with zipfile.ZipFile(wheel, "w") as made:
        for file in found.files or ():
            if ".." in file.parts or "__pycache__" in file.parts:
                continue
            if file.name == "RECORD":
                record = file.as_posix()
            elif file.name not in ("INSTALLER", "REQUESTED", "direct_url.json"):
                made.write(file.locate(), file.as_posix())
        rows = "".join(f"{it},,\n" for it in made.namelist())
        made.writestr(record, f"{rows}{record},,\n")


def readers_environment(folder: Path, wheels: Path) -> Environment:
    """As `scripts/run` leaves `.venv`: polytrade and what it needs, and nothing for tests.

    It sees the packages beside the tests in place of an index; nothing of the checkout.
    """
    make_wheel(ROOT, wheels)
    made = Environment.make(folder, wheels)
    beside = wheels / "beside"
    beside.mkdir()
    hidden = {"polytrade", "__pycache__"}
    for name in LATER:
        wheel_of(name, wheels)
        hidden |= {file.parts[0] for file in metadata.files(name) or ()}
    for place in Path(sysconfig.get_path("purelib")).iterdir():
        if place.name not in hidden and not place.name.startswith(("polytrade-", "polytrade_")):
            (beside / place.name).symlink_to(place)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "beside.pth").write_text(f"{beside}\n")
    made.install_polytrade()
    return made


class Walk:
    """A reader who does what the tutorial says, in a folder that has polytrade's configurations.

    `scripts/run` is known to work: here it makes an environment without an index. The daemon gets a
    port and a data folder of its own. Everything else is done as it is written, by programs of that
    environment and of the system alone.
    """

    def __init__(self, folder: Path, wheels: Path) -> None:
        self.folder = folder
        self.outputs: dict[str, str] = {}
        self.daemon: subprocess.Popen[bytes] | None = None
        self._wheels = wheels
        (folder / "configs").symlink_to(ROOT / "configs")
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self._port = taken.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        self._env = {"PATH": SYSTEM, "HOME": str(folder), "PIP_NO_BUILD_ISOLATION": "0"}

    def follow(self, page: str, *sections: int) -> None:
        """Do everything these sections say."""
        for block in blocks(page):
            if block.section in sections:
                getattr(self, f"_{block.language}")(block)

    def _sh(self, block: Block) -> None:
        for line in block.text.splitlines():
            words = shlex.split(line)
            if words[0] == "scripts/run":
                self._environment = readers_environment(self.folder / ".venv", self._wheels)
            elif words == [".", ".venv/bin/activate"]:
                path = f"{self.folder / '.venv' / 'bin'}{os.pathsep}{SYSTEM}"
                self._env |= {**self._environment.environ(), "PATH": path}
            elif words[:2] == ["polytrade", "daemon"]:
                self._start(words)
            else:
                if words[0] == "curl":
                    words = [word.replace("http://127.0.0.1:8080", self.url) for word in words]
                self.outputs[line] = self._done(words)

    def _done(self, words: list[str]) -> str:
        done = subprocess.run(
            words, cwd=self.folder, env=self._env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def _start(self, words: list[str]) -> None:
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
                words,
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
            self.outputs[f"python {block.section}"] = self._done(["python", "-c", block.text])

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
    """The tutorial up to the plugin that was checked."""
    walk = Walk(tmp_path_factory.mktemp("tutorial"), tmp_path_factory.mktemp("wheels"))
    try:
        walk.follow("tutorial.md", 1, 2, 3, 4, 5, 6)
        yield walk
    finally:
        walk.stop()


# -- the tutorial ------------------------------------------------------------------------------


def test_tutorial_makes_a_plugin_that_installs(walked: Walk) -> None:
    said = walked.outputs
    assert "4 passed" in said["pytest polytrade-fader"]
    assert "fader 0.1.0+sha256:" in said["polytrade plugins list"]
    assert ": maker fader\n" in said["polytrade plugins list"]
    assert ": ok, " in said["polytrade plugins check fader"]
    assert said["polytrade plugins bench fader"].startswith("fader.quotes: ")
    (told,) = re.findall(r"^(\d+) orders, (\d+) fills, ", said["python 5"], re.MULTILINE)
    assert int(told[0]) > 10


@pytest.mark.skipif(shutil.which("curl", path=SYSTEM) is None, reason="curl is not installed")
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
    assert walked.daemon is not None
    reload_page_finds(walked.daemon)


def reload_page_finds(daemon: "subprocess.Popen[bytes]") -> None:
    """What the page gives to `pgrep` fits a daemon of the tutorial and one of `scripts/run`."""
    (line,) = [it.text for it in blocks("reload.md") if "kill -HUP" in it.text]
    (pattern,) = re.findall(r"""^kill -HUP "\$\(pgrep -o -f '(.+)'\)"$""", line)
    (run,) = re.findall(r"^exec (.+)$", (ROOT / "scripts" / "run").read_text(), re.MULTILINE)
    for command in (" ".join(daemon.args), run.replace('"', "")):  # type: ignore[arg-type]
        assert re.search(pattern, command), command


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
    wheel = make_wheel(project, walked.folder / "dist")
    assert wheel.name in (PAGES / "publishing.md").read_text()


@pytest.mark.parametrize("file", sorted(ROOT.glob("plugins/*/README.md")), ids=str)
def test_readme_of_a_plugin_switches_it_on_with_settings_that_it_has(file: Path) -> None:
    text = file.read_text()
    (found,) = re.findall(r"/control/reload_(\w+) -d '([^']+)'", text)
    endpoint, body = ENDPOINTS[found[0]], json.loads(found[1])
    (kind,) = [
        name
        for name, kind in KINDS.items()
        if re.search(rf"^def {kind.hook}\(", "".join(sources(file.parent)), re.MULTILINE)
    ]
    names = body.get(f"{kind}s") or [body["plugin"]]
    assert kind in endpoint.kinds or f"{kind}s" in ("feeds", "notifiers")
    settings = body["settings"] if found[0] == "plugins" else {names[0]: body["settings"]}
    assert list(settings) == names
    for name in settings[names[0]]:
        assert f"\n| `{name}` |" in text


def sources(project: Path) -> list[str]:
    """The texts of a plugin's modules."""
    return [module.read_text() for module in project.glob("polytrade_*/*.py")]


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
