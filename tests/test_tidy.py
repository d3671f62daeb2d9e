"""What keeps the project readable: bounds on size, banned words, no traces of a machine."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

MODULE_LINES_MAX = 400
"""Tests are bounded twice as wide."""
FUNCTION_LINES_MAX = 60
LINE_LENGTH_MAX = 100

# Put together here so that this file does not break its own rule.
BANNED = [
    "TO" + "DO",
    "FIX" + "ME",
    "XX" + "X",
    "HA" + "CK",
    "pytest.mark." + "xfail",
    "pytest." + "xfail",
    "pragma: no" + " cover",
]
MACHINE = re.compile("|".join(["/wo" + "rk/", "/ho" + "me/", "/ro" + "ot/", "/Us" + "ers/"]))
VAGUE = {"utils", "helpers", "common", "manager"}
SUFFIXES = {".py", ".toml", ".md", ".sh", ".cfg", ".yml", ".yaml", ".json", ".txt", ""}
FOLDERS = ("polytrade", "plugins", "scripts", "tests", "configs", "docs", "datasets", ".ci")
LEFT_OUT = {"__pycache__", "runs", "reports", "node_modules"}


def texts() -> list[Path]:
    """Every text file of the project, without what runs and tools leave behind."""
    files = [file for file in ROOT.iterdir() if file.is_file()]
    for folder in FOLDERS:
        files += (ROOT / folder).rglob("*")
    return sorted(
        file
        for file in files
        if file.is_file()
        and file.suffix in SUFFIXES
        and not LEFT_OUT
        & set(file.relative_to(ROOT).parts[:-1] if "datasets" in file.parts else ())
        and "__pycache__" not in file.parts
        and file.name not in {"LICENSE", ".coverage", ".venv.lock"}
    )


def name_of(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


TEXTS = {name_of(file): file for file in texts()}
CODE = {name: file for name, file in TEXTS.items() if file.suffix == ".py"}
CODE["scripts/build_compiled"] = ROOT / "scripts" / "build_compiled"
OURS = [name for name in CODE if name.startswith("polytrade/")]
TREES = {name: ast.parse(file.read_text()) for name, file in CODE.items()}
Function = ast.FunctionDef | ast.AsyncFunctionDef


def test_files_are_found() -> None:
    assert {"pyproject.toml", "polytrade/cli.py", "tests/test_tidy.py", ".ci/run"} <= set(TEXTS)


def test_modules_are_not_too_long() -> None:
    long = []
    for name, file in CODE.items():
        lines = len(file.read_text().splitlines())
        if lines > (2 if name.startswith("tests/") else 1) * MODULE_LINES_MAX:
            long.append(f"{name}: {lines} lines")
    assert not long, "\n".join(long)


def test_functions_are_not_too_long() -> None:
    long = [
        f"{name}:{node.lineno}: {node.name} has {node.end_lineno - node.lineno + 1} lines"
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, Function)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > FUNCTION_LINES_MAX
    ]
    assert not long, "\n".join(long)


def test_lines_are_not_too_long() -> None:
    long = [
        f"{name}:{at}"
        for name, file in CODE.items()
        for at, line in enumerate(file.read_text().splitlines(), 1)
        if len(line) > LINE_LENGTH_MAX
    ]
    assert not long, "\n".join(long)


def test_modules_say_what_they_are() -> None:
    silent = []
    for name in OURS:
        first = (ast.get_docstring(TREES[name]) or "").partition("\n")[0]
        folder_only = name.endswith("__init__.py") and not TREES[name].body
        if not folder_only and (not first or first[-1] not in ".:;,?"):
            silent.append(f"{name}: {first!r}")
    assert not silent, "\n".join(silent)


def test_public_names_say_what_they_guarantee() -> None:
    bare = [
        f"{name}:{node.lineno}: {node.name}"
        for name in OURS
        for node in TREES[name].body
        if isinstance(node, Function | ast.ClassDef)
        and not node.name.startswith("_")
        and ast.get_docstring(node) is None
    ]
    assert not bare, "\n".join(bare)


def test_nothing_is_left_for_later() -> None:
    left = [
        f"{name}: {word}"
        for name, file in TEXTS.items()
        for word in BANNED
        if re.search(rf"(?<!\w){re.escape(word)}(?!\w)", file.read_text())
    ]
    assert not left, "\n".join(left)


def test_no_machine_shows() -> None:
    paths = [
        f"{name}: {found}" for name in TEXTS for found in MACHINE.findall(TEXTS[name].read_text())
    ]
    assert not paths, "\n".join(paths)


def test_no_name_is_vague() -> None:
    assert [name for name in TEXTS if VAGUE & {*Path(name).parts, Path(name).stem}] == []


def test_skips_say_why() -> None:
    silent = []
    for name in (name for name in CODE if name.startswith("tests/")):
        for node in ast.walk(TREES[name]):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                words = ast.unparse(node.func)
                reasons = [keyword for keyword in node.keywords if keyword.arg == "reason"]
                if words == "pytest.skip" and not (node.args or reasons):
                    silent.append(f"{name}:{node.lineno}")
                if words in {"pytest.mark.skip", "pytest.mark.skipif"} and not reasons:
                    silent.append(f"{name}:{node.lineno}")
    assert not silent, "\n".join(silent)
