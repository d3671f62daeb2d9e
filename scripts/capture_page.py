"""The generated part of docs/results.md: what the real captures gave, from the check's rows."""

from pathlib import Path
from typing import Any
def write_page(page: Path, rows: list[dict[str, Any]], about: str) -> None:
    """Replace what stands between the markers."""
