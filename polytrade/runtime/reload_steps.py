"""The steps of a reload that wait for nothing: loading, rehearsing, and what is told of them.

Loading and rehearsing run in a thread; none of them changes what is in force.
"""

from collections.abc import Collection, Mapping
from typing import Any

import orjson

from polytrade import strict
from polytrade.catalogue import Catalogue, scan
from polytrade.config import Config
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
    copy: Lineup, states: dict[str, bytes], config: Config, catalogue: Catalogue
) -> Lineup:
    """The lineup to put in force, after a copy has taken the states over."""
    with catalogue.in_force():
        restore_states(copy, states)
    return build_lineup(config, catalogue)


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


def plugin_rows(
    catalogue: Catalogue,
    lineup: Lineup,
    faults: Mapping[str, str],
    since: Mapping[str, int],
) -> list[dict[str, Any]]:
    """Each plugin as `GET /plugins` tells it: what of it is in use, and what is wrong with it.

    `faults` are those of the engine, by role; `since` the generation that brought its code.
    """
    used = set(lineup.objects())
    rows: list[dict[str, Any]] = []
    for info in catalogue.plugins.values():
        active = [
            f"{kind}/{name}"
            for kind, names in info.offers.items()
            for name in names
            if (kind, name) in used
        ]
        told = [
            f"{role}: {why}"
            for role, why in faults.items()
            if f"{role}/{lineup.names.get(role)}" in active
        ]
        rows.append(
            {
                "name": info.name,
                "distribution": info.distribution,
                "version": info.version,
                "digest": info.digest,
                "kind": sorted(info.offers),
                "offers": {kind: list(names) for kind, names in info.offers.items()},
                "hooks": list(info.hooks),
                "active": active,
                "generation": since.get(info.name),
                "last_error": info.error or "; ".join(told),
                "error_step": info.error_step,
            }
        )
    return rows
