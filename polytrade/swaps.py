"""From one lineup to the next: what a `LineupSwapped` sets, what stays, what is handed over.

Live and replay come here with the same event and the same objects in force. A plugin whose name,
version and settings are the same stays the same object; one that is replaced under its name gives
its successor what it kept, if both know how (`dump`, `restore`).
"""

from collections.abc import Collection, Mapping
from typing import Any, Final, cast

import attrs
import orjson

from polytrade.catalogue import BUILTIN, Catalogue, commit, scan
from polytrade.config import Config
from polytrade.core.crew import why_of
from polytrade.core.events import LineupSwapped
from polytrade.distributions import find_plugins
from polytrade.errors import ConfigError, LineupMissing, PluginError
from polytrade.hookspecs import KINDS, RISK_RULE
from polytrade.lineup import ROLES, Lineup, build_lineup, make, state_of, stays
from polytrade.needed import only_needed, selections
from polytrade.plugin_code import pass_on
from polytrade.strict import SECTIONS, structure_section

PLUGINS: Final = "plugins"
"""The section that concerns every plugin."""

Lines = Mapping[str, str]
"""Versions and digests of plugins by name (`PluginInfo.line`)."""
Note = tuple[str, str, str]
"""A plugin that begins anew where it should have taken over: role, name, why."""


@attrs.frozen
class InForce:
    """A lineup, the configuration it was built for, and the lines a journal names for it."""

    lineup: Lineup
    config: Config
    lines: Lines


def config_after(config: Config, event: LineupSwapped) -> Config:
    """The configuration that the event puts in force; ConfigError when it no longer fits."""
    sections = {
        name: structure_section(SECTIONS[name], values, name)
        for name, values in sections_of(event).items()
        if name in SECTIONS
    }
    return attrs.evolve(config, **cast(Any, sections))


def sections_of(event: LineupSwapped) -> dict[str, dict[str, Any]]:
    """The sections an event sets, each whole."""
    return dict(orjson.loads(event.config))


def lines_of(event: LineupSwapped) -> dict[str, str]:
    """The plugins an event puts in force."""
    return dict(orjson.loads(event.plugins))


def engine_lineup(
    config: Config, catalogue: Catalogue | None = None, lines: Lines | None = None
) -> Lineup:
    """What the engine needs of a configuration: no feeds, no notifiers, nor their settings.

    Raises as `build_lineup`. Without a catalogue the plugins that may be needed are scanned and
    committed; `lines` are those of a journal, and no others are imported then.
    """
    if catalogue is None:
        catalogue = scan(only_needed(config, lines))
        commit(catalogue)
    offered = {name for _, name in catalogue.factories}
    tables = {name: it for name, it in config.plugins.settings.items() if name in offered}
    plugins = attrs.evolve(config.plugins, feeds=(), notifiers=(), settings=tables)
    return build_lineup(attrs.evolve(config, plugins=plugins), catalogue)


def rebuilt(event: LineupSwapped, now: InForce) -> InForce:
    """What an event of a journal puts in force, built here.

    LineupMissing when a plugin that the engine needs is not installed, or in another version.
    """
    config, lines = config_after(now.config, event), lines_of(event)
    catalogue = now.lineup.catalogue
    known = catalogue.factories if catalogue is not None else {}
    if config.plugins != now.config.plugins or any(it not in known for it in selections(config)):
        catalogue = None
    lineup = _built(config, lines, catalogue)
    if catalogue is not None and differences(lines, lineup):  # other code, not of this catalogue
        lineup = _built(config, lines, None)
    for name, needed, installed in differences(lines, lineup):
        raise LineupMissing(name, needed, installed)
    return InForce(lineup, config, lines)


def _built(config: Config, lines: Lines, catalogue: Catalogue | None) -> Lineup:
    try:
        return engine_lineup(config, catalogue, lines)
    except (ConfigError, PluginError) as error:
        require(lines, config, error)
        raise


def require(lines: Lines, config: Config, error: ConfigError | PluginError) -> None:
    """LineupMissing for the first plugin of these that is not installed.

    For the first in another version, too, where `error` is about plugins: it is the likely cause.
    """
    found = find_plugins(config.plugins.disabled)
    theirs = [(name, line) for name, line in sorted(lines.items()) if name != BUILTIN]
    for name, needed in theirs:
        if name not in found:
            raise LineupMissing(name, needed, "")
    for name, needed in theirs:
        if found[name].line != needed and _about_plugins(error):
            raise LineupMissing(name, needed, found[name].line)


def _about_plugins(error: ConfigError | PluginError) -> bool:
    if isinstance(error, PluginError):
        return True
    selectors = {kind.selected_by for kind in KINDS.values() if kind.selected_by}
    return any(it.path.startswith("plugins.") or it.path in selectors for it in error.problems)


def differences(lines: Lines, lineup: Lineup) -> list[tuple[str, str, str]]:
    """Plugins in use that are not those of a journal: name, needed, installed.

    What ships with polytrade is not among them: the code version says that.
    """
    return [
        (name, lines.get(name, ""), line)
        for name, line in sorted(lineup.plugins.items())
        if name != BUILTIN and lines.get(name, "") != line
    ]


def succeed(
    old: InForce,
    new: InForce,
    listed: Collection[str],
    faults: Mapping[str, str],
    broken_rule: str = "",
) -> tuple[InForce, list[Note]]:
    """The new lineup with what stays of the old one, and with what that handed over.

    `listed` are the sections that the event sets: what is out of service (`faults`, by role) is
    replaced, even by its equal, when its section or that of all plugins is among them. It hands
    nothing over. Raises nothing that a plugin raises.
    """
    notes: list[Note] = []
    before = old.lineup.objects()
    made: dict[tuple[str, str], Any] = {}
    for (kind, name), it in new.lineup.objects().items():
        if kind not in ROLES and kind != RISK_RULE:
            continue
        source = before.get((kind, name))
        out = kind in faults and (kind != RISK_RULE or name == broken_rule)
        retried = out and (KINDS[kind].section in listed or PLUGINS in listed)
        if source is None or source is it:
            made[kind, name] = it
        elif not retried and stays(old.lineup, new.lineup, kind, name):
            made[kind, name] = source
        elif out:
            made[kind, name] = it
        else:
            made[kind, name], why = _handed_over(source, it, kind, name, new)
            if why:
                notes.append((kind, name, why))
    roles = {kind: made[kind, new.lineup.names.get(kind, "")] for kind in ROLES}
    rules = tuple((name, made[RISK_RULE, name]) for name, _ in new.lineup.rules)
    lineup = attrs.evolve(new.lineup, **roles, rules=rules)
    return attrs.evolve(new, lineup=lineup), notes


def _handed_over(source: Any, it: Any, kind: str, name: str, new: InForce) -> tuple[Any, str]:
    """The successor with its predecessor's state, or as if made anew, and then why."""
    try:
        restore: Any = getattr(it, "restore", None)
        found = state_of(source) if restore is not None else []
    except BaseException as error:
        pass_on(error)
        return it, f"dump: {why_of(error)}"
    if not found:
        return it, ""
    try:
        restore(orjson.loads(found[0]))
    except BaseException as error:
        pass_on(error)
        return _anew(it, kind, name, new), f"restore: {why_of(error)}"
    return it, ""


def _anew(it: Any, kind: str, name: str, new: InForce) -> Any:
    """Another object of the same making, because `it` may hold half a state."""
    catalogue = new.lineup.catalogue
    if catalogue is None:
        return it
    try:
        with catalogue.in_force():
            return make(KINDS[kind], name, new.config, catalogue)
    except (ConfigError, PluginError):
        return it
