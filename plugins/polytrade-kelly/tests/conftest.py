"""The plugin is found here when it is not installed; the tests trade the shipped sample."""

import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
if str(PROJECT) not in sys.path:
    sys.path.insert(0, str(PROJECT))

from polytrade.api import Event  # noqa: E402 - see above
from polytrade.testing import capture_events  # noqa: E402

SAMPLE = Path("datasets") / "sample-updown-5m.jsonl.zst"
EVENTS = 12_000


@pytest.fixture(scope="session")
def sample() -> list[Event]:
    """The beginning of the shipped sample; skipped where no checkout is around the plugin."""
    file = PROJECT.parent.parent / SAMPLE
    if not file.exists():
        pytest.skip(f"{SAMPLE} is not here: no checkout of polytrade")
    return capture_events(file, until=EVENTS)
