"""What every test has: no secrets from outside, repeatable Hypothesis runs, real captures."""

import os
from pathlib import Path

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
