"""Which installed plugins a run needs imported: a replay leaves all others alone.

What a plugin offers is known for certain only once it was imported; where the name that is wanted
is written in its code, it may be the one.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Final

import attrs

from polytrade.catalogue import scan
from polytrade.config import Config, Plugins
from polytrade.distributions import Source, find_plugins
from polytrade.hookspecs import FEED, IMPORTER, KINDS, NOTIFIER

ENGINE: Final = tuple(kind for kind in KINDS if kind not in (FEED, IMPORTER, NOTIFIER))
"""The kinds of plugins that decide."""


def selections(config: Config, kinds: Iterable[str] = ENGINE) -> list[tuple[str, str]]:
    """What is selected of these kinds, as (kind, name)."""
    return [(kind, name) for kind in kinds for name in KINDS[kind].chosen(config)]


def only_needed(
    config: Config, among: Collection[str] | None = None, kinds: Iterable[str] = ENGINE
) -> Plugins:
    """The section `[plugins]` with those switched off that offer nothing selected of these kinds.

    `among` are the plugins that may be needed at all, where that is known. Imports none.
    """
    section = config.plugins
    found = find_plugins(section.disabled)
    pool = {name: it for name, it in found.items() if among is None or name in among}
    wanted = _offering([name for _, name in _foreign(config, kinds, found)], pool)
    return attrs.evolve(
        section, disabled=(*section.disabled, *(name for name in found if name not in wanted))
    )


def mentioning(text: str, found: Mapping[str, Source]) -> set[str]:
    """The plugins in whose code the text is written."""
    data = text.encode()
    return {name for name, it in found.items() if any(data in code for code in it.code.values())}


def _foreign(
    config: Config, kinds: Iterable[str], found: Mapping[str, Source]
) -> list[tuple[str, str]]:
    """What is selected and does not ship with polytrade."""
    chosen = selections(config, kinds)
    ours = scan(attrs.evolve(config.plugins, disabled=tuple(found))).factories
    return [key for key in chosen if key not in ours]


def _offering(names: Iterable[str], pool: Mapping[str, Source]) -> set[str]:
    """The plugins that may offer these; all of the pool for a name that is nowhere written."""
    wanted: set[str] = set()
    for name in names:
        near = mentioning(name, pool) | ({name} & set(pool))
        broken = {plugin for plugin, it in pool.items() if it.problem}
        wanted |= (near or set(pool)) | broken
    return wanted
