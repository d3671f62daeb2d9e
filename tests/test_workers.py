"""Several workers: who runs what in which order, and when `scripts/test` asks for them."""

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests import conftest
from tests.test_scripts import project, run

WORKERS = "-n 4 --dist loadscope --no-loadscope-reorder"
SHARED = ("tests/core/test_book.py", "tests/core/test_units.py", "tests/test_gates.py")
"""Files of many quick tests."""
__all__ = ["project"]  # a fixture


@pytest.mark.parametrize(
    ("file", "group"),
    [
        ("official/test_refusals.py", "official"),
        ("reports/test_curves.py", "reports"),
        ("daemon/test_faults.py", "daemon/test_faults.py::test_it[a]"),
        ("test_edge_tapes.py", "test_edge_tapes.py"),
        ("sandbox/venue/test_auth.py", "sandbox/venue/test_auth.py"),
    ],
)
def test_what_is_made_once_stays_in_one_worker(file: str, group: str) -> None:
    assert conftest.group_of(f"tests/{file}::test_it[a]") == group


def test_waiting_tests_are_dealt_among_busy_ones_and_long_ones_begin() -> None:
    compiled = "core/test_compiled.py:test_it"
    found = ["a", "b", compiled, "c", "daemon/x", "daemon/y", "d", "official", "e", "f", "g"]
    assert list(conftest.dealt(found)) == [
        compiled,
        *("official", "a", "b"),
        *("daemon/x", "c", "d"),
        *("daemon/y", "e", "f"),
        "g",
    ]


def test_every_named_folder_and_file_is_there() -> None:
    names = {*conftest.WAITING, *conftest.SINGLE, *conftest.TOGETHER, *conftest.LONG}
    assert [name for name in names if not (conftest.ROOT / "tests" / name).exists()] == []


def test_one_process_keeps_the_order_of_collection() -> None:
    found = ["tests/daemon/test_run.py::b", "tests/test_cli.py::a"]
    items: list[Any] = [SimpleNamespace(nodeid=name) for name in found]
    conftest.pytest_collection_modifyitems(SimpleNamespace(), items)  # type: ignore[arg-type]
    assert [one.nodeid for one in items] == found


def test_workers_get_whole_groups() -> None:
    command = [sys.executable, "-m", "pytest", *WORKERS.split(), "-v", *SHARED]
    done = subprocess.run(command, cwd=conftest.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    workers: dict[str, set[str]] = {}
    for worker, file in re.findall(r"^\[(gw\d)\] .* PASSED (\S+?)::", done.stdout, re.MULTILINE):
        workers.setdefault(file, set()).add(worker)
    assert {file: len(found) for file, found in workers.items()} == dict.fromkeys(SHARED, 1)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), WORKERS),
        (("-q", "--durations=9"), f"{WORKERS} -q --durations=9"),
        (("tests/a b.py",), "tests/a b.py"),
        (("-q", "-k", "x"), "-q -k x"),
        (("-x",), "-x"),
        (("-n", "2"), "-n 2"),
    ],
)
def test_script_asks_for_workers_unless_tests_are_chosen(
    project: Path,
    arguments: tuple[str, ...],
    told: str,
) -> None:
    done = run(project / "scripts" / "test", *arguments)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[-2].split() == ["pytest:", *told.split()]
    assert ("gate plugins: ok" in lines) is told.startswith(WORKERS)


def test_gates_that_failed_are_named_again_at_the_end(project: Path) -> None:
    done = run(project / "scripts" / "test", BROKEN="mypy")
    assert done.returncode == 4
    assert done.stderr == "gates that failed, above the tests: mypy strict\n"


def test_long_bytes_are_named_by_their_length() -> None:
    assert conftest.pytest_make_parametrize_id(b"0" * 13, "body") == "body-13-bytes"
    assert conftest.pytest_make_parametrize_id(b"0" * 12, "body") is None
    assert conftest.pytest_make_parametrize_id("0" * 13, "body") is None
