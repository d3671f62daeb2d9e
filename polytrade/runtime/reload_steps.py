"""The steps of a reload that wait for nothing: loading, rehearsing, and what is told of them.

Loading and rehearsing run in a thread; none of them changes what is in force.
"""

from collections.abc import Collection
from contextlib import nullcontext, suppress
from typing import Any

import attrs
import orjson

from polytrade import strict
from polytrade.catalogue import Catalogue, scan
from polytrade.config import Config
from polytrade.distributions import find_plugins
from polytrade.errors import PluginError
from polytrade.hookspecs import KINDS
from polytrade.lineup import Lineup, build_lineup, restore_states
from polytrade.runtime.reload_plan import Plan
from polytrade.runtime.reload_requests import CONFIG, ENDPOINTS, PLUGINS, ROLLBACK, ReloadRequest


def load(planned: Plan, previous: Catalogue) -> Catalogue:
    """The catalogue of a plan, loaded aside; PluginError when it is not what was tried."""
    catalogue = scan(planned.scanned, previous=previous, fresh=planned.fresh)
    for name, line in planned.wanted.items():
        info = catalogue.plugins.get(name)
        if info is None:
            raise PluginError(name, "unknown", "is not installed any more", "find")
        if info.error:
            raise info.failure()
        if line and info.line != line:
            raise PluginError(name, info.version, f"is {info.line} now, not {line}", "import")
    return catalogue


def rehearsed(
    copy: Lineup, states: dict[str, bytes], config: Config, catalogue: Catalogue, *, lenient: bool
) -> Lineup:
    """The lineup to put in force, after a copy has taken the states over.

    PluginError when it does not, unless `lenient`: code older than a state begins anew.
    """
    with catalogue.in_force(), suppress(PluginError) if lenient else nullcontext():
        restore_states(copy, states)
    return build_lineup(config, catalogue)


def to_try(planned: Plan, catalogue: Catalogue) -> tuple[Config, dict[str, str]]:
    """The configuration and the plugins of a trial, which loads what is on disk.

    A neighbour whose code on disk is not the one in force is left out: what ships with polytrade
    takes its part, because nobody asked for that code.
    """
    found = find_plugins(planned.config.plugins.disabled)
    away = {
        name
        for name, line in planned.wanted.items()
        if not line and (name not in found or found[name].line != catalogue.plugins[name].line)
    }
    config = _without(planned.config, catalogue, away) if away else planned.config
    return config, {name: line for name, line in planned.wanted.items() if name not in away}


def _without(config: Config, catalogue: Catalogue, away: Collection[str]) -> Config:
    theirs = {key for key, offer in catalogue.factories.items() if offer.plugin in away}
    for kind in KINDS.values():
        if not kind.selected_by:
            continue
        place, _, setting = kind.selected_by.partition(".")
        kept = tuple(name for name in kind.chosen(config) if (kind.name, name) not in theirs)
        value: Any = kept if kind.many else (kept or kind.chosen(Config()))[0]
        section: Any = attrs.evolve(getattr(config, place), **{setting: value})
        config = attrs.evolve(config, **{place: section})
    tables = {
        name: table
        for name, table in config.plugins.settings.items()
        if all(name != other for _, other in theirs)
    }
    return attrs.evolve(config, plugins=attrs.evolve(config.plugins, settings=tables))


def listed(request: ReloadRequest) -> frozenset[str]:
    """Sections that the event sets even when they do not differ: what is out of service under them
    is made anew.
    """
    if request.name in (CONFIG, PLUGINS, ROLLBACK):
        return frozenset({"plugins"})
    return frozenset(KINDS[kind].section for kind in ENDPOINTS[request.name].kinds)


def concerns_plugins(before: Config, after: Config) -> bool:
    """Whether a section differs that plugins are made of."""
    sections = {"plugins", *(kind.section for kind in KINDS.values() if kind.section)}
    return any(getattr(before, name) != getattr(after, name) for name in sections)


def sections(before: Config, after: Config, listed: Collection[str]) -> str:
    """The sections that differ, and those listed, each whole, as compact JSON."""
    told = {
        name: it
        for name, it in strict.to_dict(after).items()
        if name in listed or getattr(before, name) != getattr(after, name)
    }
    return orjson.dumps(told, option=orjson.OPT_SORT_KEYS).decode()
