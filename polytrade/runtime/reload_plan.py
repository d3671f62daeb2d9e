"""From a request to the configuration it wants, and to the plugins that must be loaded for it.

Nothing here imports a plugin or changes anything.
"""

from collections.abc import Mapping
from typing import Any

import attrs

from polytrade import strict
from polytrade.catalogue import BUILTIN, Catalogue
from polytrade.config import Config, Plugins
from polytrade.distributions import Source, find_plugins
from polytrade.errors import ConfigError, PluginError
from polytrade.hookspecs import KINDS, Kind
from polytrade.needed import selections
from polytrade.runtime.reload_refusals import Refused, no_such, own_table, refusal_of
from polytrade.runtime.reload_requests import (
    CONFIG,
    ENDPOINTS,
    FAILED,
    INVALID,
    PLUGINS,
    RELOADABLE,
    RELOADABLE_LATENCY,
    RESTART_NEEDED,
    ReloadRefused,
    ReloadRequest,
    selected,
)


@attrs.frozen(kw_only=True)
class Plan:
    """A configuration and what it takes to build it.

    `fresh` are plugins whose code is loaded anew and `wanted` those a probe must load, with the
    lines they must have (empty: any); `hidden` are installed plugins that nobody asked for, which
    stay unloaded; `appeared` are those that were installed after what is in force was loaded.
    Without `tried` the catalogue in force will do, and nothing needs a probe.
    """

    config: Config
    tried: bool = False
    fresh: frozenset[str] = frozenset()
    wanted: Mapping[str, str] = attrs.field(factory=dict)
    hidden: tuple[str, ...] = ()
    appeared: tuple[str, ...] = ()

    @property
    def scanned(self) -> Plugins:
        """The section `[plugins]` to scan by."""
        section = self.config.plugins
        return attrs.evolve(section, disabled=(*section.disabled, *self.hidden))


def possible_kinds(request: ReloadRequest, catalogue: Catalogue) -> list[Kind]:
    """The kinds that the plugin asked for may be of, as the plugins say, broken ones too.

    All the endpoint's when nobody offers the name yet; none when no plugin is asked for.
    """
    if not request.plugin:
        return []
    kinds = [KINDS[kind] for kind in ENDPOINTS[request.name].kinds]
    for kind in kinds:
        if (kind.name, request.plugin) in catalogue.factories or any(
            request.plugin in info.offers.get(kind.name, ()) for info in catalogue.plugins.values()
        ):
            return [kind]
    return kinds


def wanted_config(current: Config, request: ReloadRequest, kind: Kind | None) -> Config:
    """The configuration a request asks for, with its plugin as one of `kind`.

    Refused names the field that does not fit.
    """
    endpoint = ENDPOINTS[request.name]
    changes: dict[str, dict[str, object]] = {}
    for field, value in request.patch.items():
        for path in endpoint.fields[field].paths:
            section, _, setting = path.partition(".")
            changes.setdefault(section, {})[setting] = value
    if kind is not None:
        section, _, setting = kind.selected_by.partition(".")
        changes.setdefault(section, {})[setting] = request.plugin
    if request.settings:
        tables = _tables(current, request)
        changes.setdefault("plugins", {})["settings"] = tables
    sections: dict[str, Any] = {}
    for name, patch in changes.items():
        try:
            sections[name] = strict.patch_section(getattr(current, name), patch, name)
        except ConfigError as error:
            raise Refused(refusal_of(error, request, current, code=INVALID)) from None
    return attrs.evolve(current, **sections)


def _tables(current: Config, request: ReloadRequest) -> dict[str, Mapping[str, Any]]:
    """The tables of `plugins.settings` with the request's in them, setting by setting.

    None takes a setting back, or a table; a table without settings goes with its last.
    """
    tables = dict(current.plugins.settings)
    if request.name == PLUGINS:
        given: Mapping[str, Any] = request.settings
    else:
        given = {own_table(request, current): request.settings}
    for name, table in given.items():
        before = tables.pop(name, {})
        if table is None:
            continue
        kept = {key: it for key, it in {**before, **table}.items() if it is not None}
        if kept or not table:
            tables[name] = kept
    return tables


def reloaded_config(current: Config, base: Config, config: Config) -> Config:
    """The present configuration with what may be reloaded of `config`.

    Refused when a setting differs from `base`, the configuration of the start as it was loaded,
    that only a restart changes.
    """
    for section in strict.SECTIONS:
        if section in RELOADABLE:
            continue
        before, after = getattr(base, section), getattr(config, section)
        for field in attrs.fields(type(before)):
            fixed = section != "latency" or field.name not in RELOADABLE_LATENCY
            if fixed and getattr(before, field.name) != getattr(after, field.name):
                path = f"{section}.{field.name}"
                message = f"{path} changed: that needs a restart, and nothing was reloaded"
                raise Refused(ReloadRefused(code=RESTART_NEEDED, message=message, field=path))
    changed: dict[str, Any] = {name: getattr(config, name) for name in RELOADABLE}
    told = {name: getattr(config.latency, name) for name in RELOADABLE_LATENCY}
    return attrs.evolve(current, **changed, latency=attrs.evolve(current.latency, **told))


def plan(current: Config, config: Config, request: ReloadRequest, catalogue: Catalogue) -> Plan:
    """What has to be loaded and tried for `config`. Reads distributions; any thread may call it.

    PluginError when what is asked for anew is not there, Refused when a name is nowhere.
    """
    before, after = selections(current, KINDS), selections(config, KINDS)
    gained = [key for key in after if key not in before]
    if not request.code and not gained and current.plugins.disabled == config.plugins.disabled:
        return Plan(config=config)
    found = find_plugins(config.plugins.disabled)
    appeared = [name for name in found if name not in catalogue.plugins]
    broken = [name for name, info in catalogue.plugins.items() if info.error and name in found]
    wanted: dict[str, str] = {}
    for key in after:
        offer = catalogue.factories.get(key)
        if offer is not None:
            wanted[offer.plugin] = ""
            continue
        candidates = _candidates(key[1], found, appeared, broken, catalogue)
        if not candidates:
            raise Refused(no_such(key, request, catalogue.names, appeared))
        wanted |= dict.fromkeys(candidates, "")
    fresh = _fresh(request, config, wanted, catalogue)
    known = [key for key in gained if key in catalogue.factories]
    tried = fresh | {catalogue.factories[key].plugin for key in known}
    tried |= {name for name in wanted if name not in catalogue.plugins}
    for name in tried - {BUILTIN}:
        wanted[name] = _line(name, found, catalogue, name in fresh)
    return Plan(
        config=config,
        tried=bool(tried - {BUILTIN}) or current.plugins.disabled != config.plugins.disabled,
        fresh=frozenset(fresh),
        wanted={name: line for name, line in wanted.items() if name != BUILTIN},
        hidden=tuple(name for name in appeared if name not in wanted),
        appeared=tuple(appeared),
    )


def _candidates(
    name: str,
    found: Mapping[str, Source],
    appeared: list[str],
    broken: list[str],
    catalogue: Catalogue,
) -> list[str]:
    """Plugins that may offer a name nobody offered so far: the one of that name, else all new."""
    for plugin in broken:
        offers = catalogue.plugins[plugin].offers.values()
        if plugin == name or any(name in names for names in offers):
            return [plugin]
    if name in appeared:
        return [name]
    alike = [plugin for plugin in appeared if name in found[plugin].distribution]
    whole = [plugin for plugin in appeared if not found[plugin].problem]
    return alike or whole or appeared or broken


def _fresh(
    request: ReloadRequest,
    config: Config,
    wanted: Mapping[str, str],
    catalogue: Catalogue,
) -> set[str]:
    """The plugins whose code is loaded anew."""
    broken = {name for name in wanted if name in catalogue.plugins and _is_broken(name, catalogue)}
    if not request.code:
        return broken
    if request.name in (PLUGINS, CONFIG):
        return broken | {name for name in wanted if name != BUILTIN}
    kinds = ENDPOINTS[request.name].kinds
    names = [request.plugin] if request.plugin else [selected(kind, config) for kind in kinds]
    anew: set[str] = set()
    for kind in kinds:
        for name in names:
            offer = catalogue.factories.get((kind, name))
            if offer is not None and offer.plugin != BUILTIN:
                anew.add(offer.plugin)
    anew |= broken | {name for name in wanted if name not in catalogue.plugins}
    if not anew:
        shown = ", ".join(repr(name) for name in names)
        message = f"{shown} ships with polytrade: its code is loaded at the start alone"
        raise Refused(ReloadRefused(code=FAILED, message=message, step="find", field="code"))
    return anew


def _is_broken(name: str, catalogue: Catalogue) -> bool:
    return bool(catalogue.plugins[name].error)


def _line(name: str, found: Mapping[str, Source], catalogue: Catalogue, fresh: bool) -> str:
    """The version and digest a plugin must have when it is tried; PluginError when it cannot be."""
    known = catalogue.plugins.get(name)
    source = found.get(name)
    if source is None:
        version = known.version if known is not None else "unknown"
        raise PluginError(name, version, "is not installed any more", "find")
    if source.problem:
        raise PluginError(name, source.version, source.problem, "find")
    if not fresh and known is not None and known.line != source.line:
        reason = f"is {source.line} on disk and {known.line} in memory: ask with code true"
        raise PluginError(name, known.version, reason, "find")
    return source.line
