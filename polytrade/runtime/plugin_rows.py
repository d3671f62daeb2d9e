"""The rows of `GET /plugins`: what was loaded, what is installed, and whether these differ."""

from collections.abc import Collection, Mapping
from typing import Any

from polytrade.catalogue import BUILTIN, Catalogue, PluginInfo
from polytrade.core.engine import Engine
from polytrade.distributions import Source
from polytrade.hookspecs import FEED, RISK_RULE
from polytrade.lineup import Lineup
from polytrade.runtime.reload_texts import told_value


def plugin_rows(
    catalogue: Catalogue,
    lineup: Lineup,
    engine: Engine,
    since: Mapping[str, int],
    found: Mapping[str, Source] | None = None,
    disabled: Collection[str] = (),
    feeds: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:
    """Each plugin: what of it is in use, what is wrong with it, what is on disk instead.

    `engine` knows what is out of service, `feeds` which feeds are; `since` is the generation that
    brought a plugin's code; `found` are those installed, None when that is not known: then nothing
    is said of the disk; `disabled` are those of the configuration.
    """
    used = set(lineup.objects())
    names = {**lineup.names, RISK_RULE: engine.crew.broken_rule()}
    rows: list[dict[str, Any]] = []
    for info in catalogue.plugins.values():
        active = [
            f"{kind}/{name}"
            for kind, offered in info.offers.items()
            for name in offered
            if (kind, name) in used
        ]
        told = [
            f"{role}: {why}"
            for role, why in engine.faults.items()
            if f"{role}/{names.get(role)}" in active
        ]
        told += [f"{FEED}: {why}" for it, why in (feeds or {}).items() if f"{FEED}/{it}" in active]
        row = {
            "name": info.name,
            "distribution": info.distribution,
            "version": info.version,
            "digest": info.digest,
            "kind": sorted(info.offers),
            "offers": {kind: list(offered) for kind, offered in info.offers.items()},
            "hooks": list(info.hooks),
            "active": active,
            "generation": since.get(info.name),
            "last_error": info.error or "; ".join(told),
            "error_step": info.error_step,
            "loaded": not info.error,
            "disabled": False,
        }
        if found is not None:
            row["on_disk"] = None if info.name == BUILTIN else _on_disk(info, found)
        rows.append(row)
    if found is not None:
        rows += _unloaded(found, catalogue.plugins, disabled)
    return [told_value("", row) for row in rows]


def _on_disk(info: PluginInfo, found: Mapping[str, Source]) -> dict[str, Any] | None:
    """Version and digest on disk where they are others than those in memory, null when gone."""
    source = found.get(info.name)
    if source is None:
        return {"version": None, "digest": None}
    if (source.version, source.digest) == (info.version, info.digest):
        return None
    return {"version": source.version, "digest": source.digest}


def _unloaded(
    found: Mapping[str, Source], loaded: Collection[str], disabled: Collection[str]
) -> list[dict[str, Any]]:
    """Rows of what is installed and was never loaded: what it offers is not known."""
    return [
        {
            "name": source.name,
            "distribution": source.distribution,
            "version": source.version,
            "digest": source.digest,
            "kind": [],
            "offers": {},
            "hooks": [],
            "active": [],
            "generation": None,
            "last_error": source.problem,
            "error_step": "find" if source.problem else "",
            "loaded": False,
            "disabled": source.name in disabled,
            "on_disk": None,
        }
        for source in found.values()
        if source.name not in loaded
    ]
