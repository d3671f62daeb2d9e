"""Other versions of plugins than those installed, for replays of runs that had both.

A site is a folder that `pip install --target` filled. Where a run needs a version that is in one of
them, that folder comes first on `sys.path` while the plugin is loaded.
"""

import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from polytrade.distributions import find_plugins


@contextmanager
def in_sites(sites: Sequence[Path], lines: Mapping[str, str]) -> Iterator[None]:
    """For the block the plugins of a journal (`lines`, by name) are found in these folders, too.

    What is installed and fits comes first, then the folders in their order.
    """
    chosen = _chosen(sites, lines)
    with _first(chosen):
        yield


def _chosen(sites: Sequence[Path], lines: Mapping[str, str]) -> list[str]:
    wanted = _absent(lines) if sites else {}
    chosen: list[str] = []
    for site in sites:
        with _first([str(site)]):
            left = _absent(wanted)
        if left.keys() != wanted.keys():
            chosen.append(str(site))
            wanted = left
    return chosen


def _absent(lines: Mapping[str, str]) -> dict[str, str]:
    """Those of which no such version is found now."""
    found = {name: it.line for name, it in find_plugins().items() if not it.problem}
    return {name: line for name, line in lines.items() if found.get(name) != line}


@contextmanager
def _first(folders: Sequence[str]) -> Iterator[None]:
    sys.path[:0] = folders
    importlib.invalidate_caches()
    try:
        yield
    finally:
        for folder in folders:
            sys.path.remove(folder)
        importlib.invalidate_caches()
