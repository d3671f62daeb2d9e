"""The documentation: generated pages are fresh, links lead somewhere, commands exist."""

import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import attrs
import click
import pytest

from polytrade import cli
from polytrade.strict import SECTIONS

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "CHANGELOG.md"])
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
NUMBER = re.compile(r"^\s*\d+\. ")
SENTENCE_END = re.compile(r"[a-z0-9)`]\. [A-Z]")


@pytest.fixture(scope="module")
def gen_docs() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gen_docs", ROOT / "scripts" / "gen_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def prose(page: Path) -> Iterator[tuple[int, str]]:
    """(line number, line) outside code blocks, tables and headings."""
    fenced = False
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if line.startswith("```"):
            fenced = not fenced
        elif not fenced and not line.startswith(("|", "#")):
            yield number, line


def commands(page: Path) -> Iterator[list[str]]:
    """The words of every line in a shell block."""
    fenced = False
    for line in page.read_text().splitlines():
        if line.startswith("```"):
            fenced = line.startswith("```sh")
        elif fenced:
            yield shlex.split(line, comments=True)


def test_generated_pages_are_fresh(gen_docs: ModuleType) -> None:
    assert gen_docs.main(["--check"]) == 0


def test_stale_page_is_found_and_written(
    gen_docs: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(gen_docs, "ROOT", tmp_path)
    monkeypatch.setattr(gen_docs, "PAGES", {"docs/x.md": lambda: "new\n"})
    assert gen_docs.main(["--check"]) == 1
    assert not (tmp_path / "docs").exists()
    assert "docs/x.md is out of date" in capsys.readouterr().out
    assert gen_docs.main([]) == 0
    assert (tmp_path / "docs" / "x.md").read_text() == "new\n"
    assert gen_docs.main(["--check"]) == 0


def test_generated_pages_say_so(gen_docs: ModuleType) -> None:
    in_part = {"docs/sandbox.md": "<!-- faults -->"}
    for name, page in gen_docs.PAGES.items():
        assert in_part[name] in page() if name in in_part else page().startswith(gen_docs.NOTICE)


def test_every_setting_is_documented() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    for name, section in SECTIONS.items():
        assert f"\n## `[{name}]`\n" in page
        for field in attrs.fields(section):
            assert f"| `{field.name}` |" in page or f"`[{name}.{field.name}]`" in page
            assert field.metadata["doc"], f"{name}.{field.name}"


def test_links_lead_somewhere() -> None:
    broken = []
    for page in PAGES:
        for number, line in prose(page):
            for target in LINK.findall(line):
                path = target.partition("#")[0]
                if "://" not in target and path and not (page.parent / path).exists():
                    broken.append(f"{page.relative_to(ROOT)}:{number}: {target}")
    assert not broken, "\n".join(broken)


def test_index_names_every_page() -> None:
    docs = ROOT / "docs"
    named = set(LINK.findall((docs / "index.md").read_text()))
    pages = {page.relative_to(docs).as_posix() for page in docs.rglob("*.md")}
    assert pages - named - {"index.md"} == set()


def test_prose_has_one_sentence_a_line() -> None:
    crowded = [
        f"{page.relative_to(ROOT)}:{number}: {line}"
        for page in PAGES
        for number, line in prose(page)
        if SENTENCE_END.search(NUMBER.sub("", line))
    ]
    assert not crowded, "\n".join(crowded)


def test_commands_in_the_pages_exist_with_their_options() -> None:
    wrong = []
    for page in PAGES:
        for words in commands(page):
            if not words:
                continue
            program = words[0].rpartition("/")[2]
            command: click.Command | None = None
            if program == "polytrade-daemon":
                command = cli.daemon
            elif program == "polytrade":
                command = cli.polytrade.commands.get(words[1])
            elif words[0].startswith("scripts/"):
                if not (ROOT / words[0]).exists():
                    wrong.append(f"{page.name}: {words[0]}")
                command = cli.daemon if program == "run" else None
            else:
                continue
            options = {word.partition("=")[0] for word in words if word.startswith("--")}
            if command is None:
                if program == "polytrade":
                    wrong.append(f"{page.name}: {' '.join(words)}")
                continue
            known = {name for item in command.params for name in (*item.opts, *item.secondary_opts)}
            wrong += [f"{page.name}: {program} {option}" for option in sorted(options - known)]
    assert not wrong, "\n".join(wrong)


def test_readme_is_honest_about_what_is_not_there() -> None:
    text = (ROOT / "README.md").read_text()
    assert "paper only" in text
    assert "Live execution is not there yet." in text
