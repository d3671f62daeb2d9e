"""The page that walks through the code names files that exist."""

import re
from pathlib import Path

PAGE = "docs/life-of-a-tick.md"


def test_every_file_named_on_the_page_exists(root: Path) -> None:
    named = re.findall(r"`(polytrade/[\w/]+(?:\.py|/))`", (root / PAGE).read_text())
    assert len(named) > 25
    missing = [name for name in named if not (root / name).exists()]
    assert not missing
