"""The scripts, on a stand-in for the virtual environment: no network, no installation."""

import fcntl
import importlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHELL_SCRIPTS = ("scripts/run", "scripts/test", ".ci/run")


def load(path: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def executable(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the scripts at a place with spaces, with a stand-in for an installed `.venv`."""
    root = tmp_path / "a place" / "poly trade"
    shutil.copytree(ROOT / "scripts", root / "scripts")
    shutil.copytree(ROOT / ".ci", root / ".ci")
    shutil.copy(ROOT / "pyproject.toml", root)
    (root / "polytrade").mkdir()
    (root / "tests").mkdir()
    (root / "tests" / "test_nothing.py").touch()
    bin_folder = root / ".venv" / "bin"
    executable(bin_folder / "polytrade-daemon", '#!/bin/sh\nprintf "%s\\n" "$@"\n')
    executable(bin_folder / "ruff", '#!/bin/sh\n[ "${BROKEN:-}" != "ruff" ] || exit 3\n')
    executable(
        bin_folder / "mypy", '#!/bin/sh\n[ "${BROKEN:-}" != "mypy" ] || { echo bad; exit 4; }\n'
    )
    executable(
        bin_folder / "python",
        '#!/bin/sh\ncase "$*" in\n"-m pytest"*) shift 2; echo "pytest: $*"; echo "9 passed";\n'
        '[ "${BROKEN:-}" != "pytest" ] || exit 1;;\nesac\n',
    )
    prepare = load(root / "scripts" / "prepare.py", "prepare_of_project")
    prepare.STAMP.write_text(json.dumps({**prepare.wanted(), "extras": ["dev"]}))
    return root


def run(script: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "POLYTRADE_PYTHON": sys.executable, **environment}
    return subprocess.run(
        [str(script), *arguments],
        cwd="/",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", SHELL_SCRIPTS)
def test_shell_scripts_are_executable_and_well_formed(name: str) -> None:
    assert os.access(ROOT / name, os.X_OK)
    done = subprocess.run(["sh", "-n", str(ROOT / name)], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_run_hands_everything_to_the_daemon(project: Path) -> None:
    done = run(project / "scripts" / "run", "--run-for", "2", "--set", "storage.data_dir=a b")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "--config",
        f"{project}/configs/sandbox",
        "--run-for",
        "2",
        "--set",
        "storage.data_dir=a b",
    ]
    assert done.stderr == ""


def test_gates_hold_and_pytest_has_the_last_line(project: Path) -> None:
    done = run(project / "scripts" / "test", "-q", "-k", "a b")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "gate ruff check: ok",
        "gate ruff format: ok",
        "gate flake8-async: ok",
        "gate mypy strict: ok",
        "gate generated docs: ok",
        "pytest: -q -k a b",
        "9 passed",
    ]


@pytest.mark.parametrize(
    ("broken", "code", "line"),
    [
        ("ruff", 3, "gate ruff check: FAILED (exit code 3)"),
        ("mypy", 4, "gate mypy strict: FAILED (exit code 4)"),
        ("pytest", 1, "gate mypy strict: ok"),
    ],
)
def test_failed_gate_is_the_exit_code_and_the_rest_still_runs(
    project: Path, broken: str, code: int, line: str
) -> None:
    done = run(project / "scripts" / "test", BROKEN=broken)
    lines = done.stdout.splitlines()
    assert done.returncode == code
    assert line in lines
    assert lines[-1] == "9 passed"
    assert ("bad" in lines) is (broken == "mypy")


def test_continuous_integration_runs_the_same(project: Path) -> None:
    done = run(project / ".ci" / "run", "-q", BROKEN="mypy")
    assert done.returncode == 4
    assert done.stdout.splitlines()[-1] == "9 passed"


def test_old_python_is_an_honest_error(project: Path, tmp_path: Path) -> None:
    bin_folder = tmp_path / "bin"
    for name in ("sh", "dirname"):
        found = shutil.which(name)
        assert found is not None
        bin_folder.mkdir(exist_ok=True)
        (bin_folder / name).symlink_to(found)
    executable(bin_folder / "python3", "#!/bin/sh\nexit 1\n")
    done = run(project / "scripts" / "run", PATH=str(bin_folder), POLYTRADE_PYTHON="")
    assert done.returncode == 1
    assert done.stderr == (
        "polytrade: no Python 3.11 or newer found in PATH; install one or set POLYTRADE_PYTHON\n"
    )


@pytest.fixture
def prepare(project: Path) -> ModuleType:
    return load(project / "scripts" / "prepare.py", "prepare_alone")


def test_nothing_is_done_twice(prepare: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "install", None)
    assert prepare.main(["dev"]) == 0
    assert prepare.main([]) == 0
    assert not prepare.LOCK.exists()


@pytest.mark.parametrize("change", ["pyproject", "root", "python", "extras", "garbage", "gone"])
def test_change_is_installed_and_extras_are_kept(
    prepare: ModuleType, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    stamp = json.loads(prepare.STAMP.read_text())
    if change == "garbage":
        prepare.STAMP.write_text("[")
    elif change == "gone":
        prepare.PYTHON.unlink()
    elif change == "extras":
        prepare.STAMP.write_text(json.dumps({**stamp, "extras": []}))
    else:
        prepare.STAMP.write_text(json.dumps({**stamp, change: "other"}))
    seen: list[str] = []
    monkeypatch.setattr(prepare, "usable", lambda: False)
    monkeypatch.setattr(prepare, "create", lambda: seen.append("create"))
    monkeypatch.setattr(prepare, "install", lambda want, extras: seen.append(f"{extras}"))
    prepare.main(["dev"] if change in {"extras", "garbage"} else [])
    assert seen == ["create", "['dev']"]


def test_two_at_once_wait_for_each_other(
    prepare: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The other one finishes while we wait: there is nothing left to install."""
    stamp = prepare.STAMP.read_text()
    prepare.STAMP.unlink()

    def flock(_: object, how: int) -> None:
        if how & fcntl.LOCK_NB:
            raise BlockingIOError
        prepare.STAMP.write_text(stamp)

    monkeypatch.setattr(prepare.fcntl, "flock", flock)
    monkeypatch.setattr(prepare, "install", None)
    assert prepare.main([]) == 0
    assert capsys.readouterr().err == "polytrade: waiting for another one that installs\n"


def test_failed_installation_says_so_and_is_not_taken_for_one(prepare: ModuleType) -> None:
    executable(prepare.PYTHON, "#!/bin/sh\nexit 7\n")
    prepare.STAMP.unlink()
    with pytest.raises(SystemExit, match="pip failed with exit code 7; its message is above"):
        prepare.install(prepare.wanted(), [])
    assert not prepare.STAMP.exists()


def test_environment_that_cannot_be_made_says_what_is_missing(
    prepare: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(
        prepare.sys, "executable", str(executable(tmp_path / "py", "#!/bin/sh\nexit 1\n"))
    )
    with pytest.raises(SystemExit, match="python3-venv is needed"):
        prepare.create()


def test_programs_of_the_project_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for target in project["scripts"].values():
        module, _, function = target.partition(":")
        assert callable(getattr(importlib.import_module(module), function))


def missing_for_compiling() -> str:
    if importlib.util.find_spec("mypyc") is None or importlib.util.find_spec("setuptools") is None:
        return "mypyc or setuptools not installed: compiling the core not checked"
    return "" if shutil.which("cc") else "no C compiler: compiling the core not checked"


@pytest.mark.skipif(bool(missing_for_compiling()), reason=missing_for_compiling())
def test_core_compiles_and_computes_the_same(tmp_path: Path) -> None:
    out = tmp_path / "a place"
    script = [sys.executable, str(ROOT / "scripts" / "build_compiled"), "--out", str(out)]
    built = subprocess.run(
        [*script, "--only", "units", "--optimise", "0"], capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    assert built.stdout.endswith(f"s: {out}/polytrade/core\n")
    code = (
        "from polytrade.core import units as u; print(u.__file__);"
        "print(u.notional_e6_up(4801, 3), u.fee_e6(1_000_000, 5000, 70_000, 1))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(out)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    home, numbers = done.stdout.splitlines()
    assert home.endswith(".so")
    assert numbers == "2 17500"
    assert not list((ROOT / "polytrade").rglob("units*.so"))


def test_module_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, str(ROOT / "scripts" / "build_compiled")),
            *("--out", str(tmp_path), "--only", "nonsense"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "found nonsense" in done.stderr
