"""What every test has: no secrets from outside, repeatable Hypothesis runs, real captures."""

import os
from collections.abc import Iterable, Iterator
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent

# No deadline: the machine may be busy. Derandomized: a failure must come again.
settings.register_profile(
    "gate", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
# POLYTRADE_HYPOTHESIS=search looks for new examples, as long as one likes.
settings.register_profile("search", deadline=None, max_examples=2000)
settings.load_profile(os.environ.get("POLYTRADE_HYPOTHESIS", "gate"))

KEPT = {"POLYTRADE_CAPTURES", "POLYTRADE_HYPOTHESIS", "POLYTRADE_PYTHON", "POLYTRADE_SEED"}
"""Variables that tests themselves read; every other one of ours is a secret and is taken away."""
ID_BYTES_MAX = 12
"""Longer parameters of bytes are named by their length."""


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Names of tests are the same in every worker, though a compressed file holds the time."""
    if isinstance(val, bytes) and len(val) > ID_BYTES_MAX:
        return f"{argname}-{len(val)}-bytes"
    return None


WAITING = ("daemon", "official")
"""Folders whose tests wait on sockets most of the time."""
SINGLE = ("daemon", "core/test_compiled.py", "test_session.py")
"""Where every test may run in any worker; elsewhere the tests of a file stay together."""
TOGETHER = ("official", "reports")
"""Folders that stay together: their tests share a program or a run that takes seconds to make."""
LONG = (
    "core/test_compiled.py",
    "plugins/test_broken.py",
    "plugins/test_projects.py",
    "plugins/test_wheels.py",
    "sandbox/venue/test_hash_stream.py",
    "test_docs_plugins.py",
    "test_scaffold.py",
)
"""What takes half a minute begins first, so that nothing long is left at the end."""
DEAL = 2
"""Groups of busy tests for each one that waits."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With several workers (pytest-xdist) tests that wait share the cores with those that work.

    Every worker must come to this order; the scheduler deals it out by the same groups.
    """
    if not hasattr(config, "workerinput"):
        return
    groups: dict[str, list[pytest.Item]] = {}
    for item in items:
        groups.setdefault(group_of(item.nodeid), []).append(item)
    items[:] = chain.from_iterable(groups[name] for name in dealt(groups))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """What is made once is made once: a worker gets whole groups (`--dist loadscope`)."""
    # Imported only where there are workers.
    from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]  # noqa: PLC0415

    scheduler = LoadScopeScheduling(config, log)
    scheduler._split_scope = group_of
    return scheduler


def group_of(nodeid: str) -> str:
    """The name of the tests that one worker runs in a row, of which this is one."""
    path, _, _name = nodeid.removeprefix("tests/").partition("::")
    folder = path.partition("/")[0]
    if folder in TOGETHER:
        return folder
    return nodeid.removeprefix("tests/") if path.startswith(SINGLE) else path


def dealt(groups: Iterable[str]) -> Iterator[str]:
    """The groups in the order they begin: the long ones, then one that waits and some that work."""
    first, waiting, busy = [], [], []
    for name in groups:
        long = name.startswith(LONG)
        (first if long else waiting if name.startswith(WAITING) else busy).append(name)
    # The official clients' group is the longest of those that wait.
    waiting.sort(key=lambda name: name not in TOGETHER)
    yield from first
    hands = [busy[at : at + DEAL] for at in range(0, len(busy), DEAL)]
    for one, hand in zip_longest(waiting, hands):
        yield from (one,) if one else ()
        yield from hand or ()


@pytest.fixture(autouse=True)
def _no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the operator's secrets."""
    for name in list(os.environ):
        if name.startswith("POLYTRADE_") and name not in KEPT:
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's folder."""
    return ROOT


@pytest.fixture(scope="session")
def captures() -> Path:
    """The folder of real captures; the test is skipped where there is none."""
    folder = os.environ.get("POLYTRADE_CAPTURES")
    if not folder:
        pytest.skip("POLYTRADE_CAPTURES not set: real captures not checked")
    return Path(folder)
