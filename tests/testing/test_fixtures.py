"""The fixtures for plugin authors: there when asked for, and cheap when not."""

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = "polytrade.pytest_plugin"
TESTS = """
def test_fixtures(polytrade_events, polytrade_view, run_strategy):
    assert len(polytrade_events) > 1_000
    assert polytrade_view(0.6).estimate.fair == 0.6
    run = run_strategy(polytrade_events[:500], maker="skewed")
    assert run.broken == ""


def test_events_are_made_once(polytrade_events, request):
    assert request.getfixturevalue("polytrade_events") is polytrade_events
"""
LOADED = """
import sys

def test_nothing_is_imported():
    assert "polytrade.pytest_plugin" in sys.modules
    loaded = [name for name in sys.modules if name.startswith("polytrade.")]
    assert loaded == ["polytrade.pytest_plugin"]
"""


def pytest_over(source: str, folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "test_it.py").write_text(source)
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    # Where polytrade is installed pytest finds the plugin itself, and takes none twice.
    installed = any(point.value == PLUGIN for point in entry_points(group="pytest11"))
    named = [] if installed else ["-p", PLUGIN]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *named],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_fixtures_work_in_another_project(tmp_path: Path) -> None:
    done = pytest_over(TESTS, tmp_path)
    assert "2 passed" in done.stdout, done.stdout


def test_tests_that_ask_for_none_import_nothing(tmp_path: Path) -> None:
    done = pytest_over(LOADED, tmp_path)
    assert "1 passed" in done.stdout, done.stdout


def test_pytest_finds_them_by_the_entry_point() -> None:
    assert f'polytrade = "{PLUGIN}"' in (ROOT / "pyproject.toml").read_text()
