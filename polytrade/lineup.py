"""The lineup: one generation of plugins, built for one configuration.

Immutable once built. Built-ins come first, through the same hooks as installed plugins (entry
points of group `polytrade`), which follow in the order of their names.
"""

import hashlib
from collections.abc import Collection, Mapping
from typing import Any, Final

import attrs
import orjson

from polytrade.catalogue import BUILTIN, Catalogue, Offer, PluginInfo, commit, scan
from polytrade.config import Config
from polytrade.config_values import did_you_mean
from polytrade.core.roles import Allocator, FairValue, Maker, Taker
from polytrade.core.rules import RiskRule
from polytrade.distributions import find_plugins
from polytrade.errors import ConfigError, PluginError, Problem
from polytrade.hookspecs import (
    ALLOCATOR,
    FAIR_VALUE,
    FEED,
    KINDS,
    MAKER,
    NOTIFIER,
    RISK_RULE,
    TAKER,
    Kind,
)
from polytrade.notices import Notifier
from polytrade.plugin_code import faults_dropped, last_line, pass_on, text_of
from polytrade.reference.codec import FeedCodec
from polytrade.schema import values_of

__all__ = [
    "ROLES",
    "STEPS",
    "Catalogue",
    "Changes",
    "Lineup",
    "Offer",
    "PluginInfo",
    "build_lineup",
    "changes_since",
    "check_lineup",
    "commit",
    "dump_states",
    "fault_of",
    "make",
    "restore_states",
    "scan",
    "state_of",
    "stays",
]

STEPS: Final = (
    *("find", "import", "api", "hooks", "settings", "build"),
    *("handover", "self_check", "probe", "feeds", "swap"),
)
"""The steps of a reload, in order: a PluginError names the one that failed."""
ROLES: Final = (FAIR_VALUE, MAKER, TAKER, ALLOCATOR)
"""The kinds of which there is exactly one."""
STATE_BYTES_MAX: Final = 8 << 20
"""Largest state handed over, as JSON: parsing it is part of a swap's pause."""


@attrs.frozen(kw_only=True)
class Lineup:
    """One generation of plugins, built for one configuration.

    `names` maps each of `ROLES` to what is selected, `plugins` each plugin in use to its version
    and digest (`PluginInfo.line`), `settings` each object to what its factory was called with.
    """

    fair_value: FairValue
    maker: Maker
    taker: Taker
    allocator: Allocator
    plugins: Mapping[str, str]
    rules: tuple[tuple[str, RiskRule], ...] = ()
    feeds: Mapping[str, FeedCodec] = attrs.field(factory=dict)
    notifiers: Mapping[str, Notifier] = attrs.field(factory=dict)
    names: Mapping[str, str] = attrs.field(factory=dict)
    settings: Mapping[tuple[str, str], Mapping[str, Any]] = attrs.field(factory=dict, repr=False)
    catalogue: Catalogue | None = attrs.field(default=None, repr=False)

    @property
    def digest(self) -> str:
        """A short name of what is in use, in which versions."""
        text = "\n".join(f"{name}={version}" for name, version in sorted(self.plugins.items()))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def objects(self) -> dict[tuple[str, str], Any]:
        """Everything made, by kind and name."""
        roles: dict[str, Any] = {
            FAIR_VALUE: self.fair_value,
            MAKER: self.maker,
            TAKER: self.taker,
            ALLOCATOR: self.allocator,
        }
        made: dict[tuple[str, str], Any] = {
            (kind, self.names.get(kind, "")): it for kind, it in roles.items()
        }
        made |= {(RISK_RULE, name): rule for name, rule in self.rules}
        made |= {(FEED, name): codec for name, codec in self.feeds.items()}
        return made | {(NOTIFIER, name): it for name, it in self.notifiers.items()}

    def made_of(self, kind: str, name: str) -> tuple[str, str, Mapping[str, Any]] | None:
        """The plugin, the version and digest, and the settings of an object; None for no such."""
        if self.catalogue is None or (kind, name) not in self.settings:
            return None
        plugin = self.catalogue.factories[kind, name].plugin
        return plugin, self.plugins.get(plugin, ""), self.settings[kind, name]


def build_lineup(
    config: Config, catalogue: Catalogue | None = None, *, checked: bool = True
) -> Lineup:
    """Build what the configuration selects, and let each object check itself when `checked`.

    Without a catalogue the installed plugins are scanned, and their code is committed. Raises
    PluginError with its step when a plugin of which something is selected cannot be used, and
    ConfigError for settings that are wrong and names that nobody offers. A broken plugin of which
    nothing is selected does no harm.
    """
    fresh = catalogue is None
    catalogue = scan(config.plugins) if catalogue is None else catalogue
    with catalogue.in_force():
        _check_tables(config, catalogue)
        chosen = {kind: KINDS[kind].chosen(config) for kind in ROLES}
        made: dict[str, dict[str, Any]] = {}
        settings: dict[tuple[str, str], dict[str, Any]] = {}
        for kind in KINDS.values():
            if not kind.selected_by:
                continue
            made[kind.name] = {}
            for name in kind.chosen(config):
                values = settings_of(kind, name, config, catalogue)
                settings[kind.name, name] = values
                made[kind.name][name] = _called(kind, name, values, catalogue)
        used = {
            catalogue.factories[kind, name].plugin for kind, names in made.items() for name in names
        }
        lineup = Lineup(
            fair_value=made[FAIR_VALUE][chosen[FAIR_VALUE][0]],
            maker=made[MAKER][chosen[MAKER][0]],
            taker=made[TAKER][chosen[TAKER][0]],
            allocator=made[ALLOCATOR][chosen[ALLOCATOR][0]],
            rules=tuple(made[RISK_RULE].items()),
            feeds=made[FEED],
            notifiers=made[NOTIFIER],
            names={kind: names[0] for kind, names in chosen.items()},
            plugins={
                name: info.line
                for name, info in catalogue.plugins.items()
                if name in used or name == BUILTIN
            },
            settings=settings,
            catalogue=catalogue,
        )
        if checked:
            check_lineup(lineup)
    if fresh:
        commit(catalogue)
    return lineup


@attrs.frozen
class Changes:
    """Plugins on disk against those of a catalogue, by name in sorted order.

    `changed` are those of another version or other code, and those that could not be loaded.
    """

    appeared: tuple[str, ...]
    changed: tuple[str, ...]
    vanished: tuple[str, ...]


def changes_since(catalogue: Catalogue, disabled: Collection[str] = ()) -> Changes:
    """What pip did since the catalogue was made; imports nothing. Any thread may call it."""
    found = find_plugins(disabled)
    known = {name: it for name, it in catalogue.plugins.items() if name != BUILTIN}
    return Changes(
        appeared=tuple(sorted(set(found) - set(known))),
        changed=tuple(
            name
            for name, source in found.items()
            if name in known
            and (
                known[name].error
                or (known[name].version, known[name].digest) != (source.version, source.digest)
            )
        ),
        vanished=tuple(
            sorted(name for name, it in known.items() if name not in found and not it.error)
        ),
    )


def check_lineup(lineup: Lineup) -> None:
    """Call `self_check` of every object that has one; PluginError for the first that raises."""
    for (kind, name), made in lineup.objects().items():
        try:
            check = getattr(made, "self_check", None)
            if check is not None:
                check()
        except ConfigError:
            raise
        except BaseException as error:
            pass_on(error)
            raise fault_of(lineup, kind, name, "self_check", last_line(error)) from error


def dump_states(old: Lineup, new: Lineup, out: Collection[str] = frozenset()) -> dict[str, bytes]:
    """What objects of `old` dump (JSON) that `new` replaces under their name, by `kind/name`.

    Left out are kinds that are `out` of service, and an object that cannot say its state: it holds
    nothing up, its successor begins anew.
    """
    before = old.objects()
    states: dict[str, bytes] = {}
    for (kind, name), made in new.objects().items():
        source = before.get((kind, name))
        if source is made or kind in out or stays(old, new, kind, name):
            continue
        with faults_dropped():
            if getattr(made, "restore", None) is not None:
                states |= {f"{kind}/{name}": text for text in state_of(source)}
    return states


def state_of(made: Any) -> list[bytes]:
    """What an object dumps, as JSON: one text, none when it keeps no state.

    Raises what it raises, TypeError when it is no plain data, ValueError when it is too much.
    """
    dump = getattr(made, "dump", None)
    if dump is None:
        return []
    text = orjson.dumps(dump())
    if len(text) > STATE_BYTES_MAX:
        raise ValueError(f"dump: expected at most {STATE_BYTES_MAX} bytes, found {len(text)}")
    return [text]


def stays(old: Lineup, new: Lineup, kind: str, name: str) -> bool:
    """Whether nothing about an object differs: version, code, settings."""
    before, after = old.made_of(kind, name), new.made_of(kind, name)
    return before is not None and before == after


def restore_states(new: Lineup, states: Mapping[str, bytes]) -> None:
    """Give each object its state of `dump_states`; PluginError when one does not take it."""
    for (kind, name), made in new.objects().items():
        text = states.get(f"{kind}/{name}")
        if text is None:
            continue
        try:
            restore = getattr(made, "restore", None)
            if restore is not None:
                restore(orjson.loads(text))
        except BaseException as error:
            pass_on(error)
            reason = f"it does not take the state handed over: {last_line(error)}"
            raise fault_of(new, kind, name, "handover", reason) from error


def fault_of(lineup: Lineup, kind: str, name: str, step: str, reason: str) -> PluginError:
    """The error of an object, in the name of its plugin."""
    plugin, version = "unknown", "unknown"
    if lineup.catalogue is not None and (kind, name) in lineup.catalogue.factories:
        info = lineup.catalogue.plugins[lineup.catalogue.factories[kind, name].plugin]
        plugin, version = info.name, info.version
    return PluginError(plugin, version, f"{name!r}: {reason}", step)


def make(kind: Kind, name: str, config: Config, catalogue: Catalogue) -> Any:
    """What the factory of that name makes under this configuration.

    Raises as `build_lineup` does; the catalogue's code must be in force.
    """
    return _called(kind, name, settings_of(kind, name, config, catalogue), catalogue)


def settings_of(kind: Kind, name: str, config: Config, catalogue: Catalogue) -> dict[str, Any]:
    """What the factory of that name is called with; raises as `make`."""
    offer = catalogue.factories.get((kind.name, name))
    if offer is None:
        raise _nowhere(kind, name, catalogue)
    if kind.name == FEED and offer.plugin == BUILTIN:
        message = f"{name!r} is built in: feeds.{name}.enabled switches it"
        raise ConfigError(Problem(message, kind.selected_by))
    bare = not isinstance(offer.factory, type)  # an importer of ours, which has no settings
    return {} if bare else values_of(offer.factory, kind, name, config)


def _called(kind: Kind, name: str, values: Mapping[str, Any], catalogue: Catalogue) -> Any:
    offer = catalogue.factories[kind.name, name]
    info = catalogue.plugins[offer.plugin]
    path = kind.section if offer.plugin == BUILTIN else f"plugins.settings.{name}"
    try:
        made = offer.factory(**values)
    except ConfigError as error:
        # The plugin's own words, which know its fields and not their table.
        raise ConfigError(
            *(
                it if "." in it.path else attrs.evolve(it, path=f"{path}.{it.path}".rstrip("."))
                for it in error.problems
            )
        ) from error
    except ValueError as error:
        # What an attrs validator says of a value, or the class of several together.
        message = text_of(error).partition("\n")[0] or "refused"
        raise ConfigError(Problem(message, path)) from error
    except BaseException as error:
        pass_on(error)
        reason = f"{name!r} cannot be made: {last_line(error)}"
        raise PluginError(info.name, info.version, reason, "build") from error
    wrong = _wrong(kind, made)
    if wrong:
        raise PluginError(info.name, info.version, f"{name!r} {wrong}", "build")
    return made


def _wrong(kind: Kind, made: Any) -> str:
    """What of its kind an object does not have, empty when it has everything."""
    try:
        missing = [method for method in kind.methods if not callable(getattr(made, method, None))]
        missing += [attribute for attribute in kind.attributes if not hasattr(made, attribute)]
    except BaseException as error:  # a property's
        pass_on(error)
        return f"cannot be looked at: {last_line(error)}"
    return f"has no {', '.join(missing)}" if missing else ""


def _nowhere(kind: Kind, name: str, catalogue: Catalogue) -> Exception:
    """Why nobody offers a name: a plugin that is broken, or the operator's word."""
    broken = [info for info in catalogue.plugins.values() if info.error]
    for info in broken:
        if name in info.offers.get(kind.name, ()):
            return info.failure()
    names = catalogue.names(kind.name)
    allowed = ", ".join(f"`{each}`" for each in names) or "none"
    message = f"expected one of {allowed}, found {name!r}"
    message += did_you_mean(name, names)
    for info in broken:
        if name == info.name or name in info.distribution:
            return info.failure(f"{info.error}; {message} @ {kind.selected_by}")
    if broken:
        message += f"; broken, and it may be one of theirs: {', '.join(it.name for it in broken)}"
    return ConfigError(Problem(message, kind.selected_by, allowed))


def _check_tables(config: Config, catalogue: Catalogue) -> None:
    """Every table of `plugins.settings` fits its factory, selected or not.

    A table of a name that nobody offers is an error, unless a plugin is left out or broken: then
    it may be that one's.
    """
    problems: list[Problem] = []
    unsure = bool(catalogue.disabled) or any(it.error for it in catalogue.plugins.values())
    kinds = {name: kind for kind, name in catalogue.factories}
    for name in config.plugins.settings:
        kind = kinds.get(name)
        path = f"plugins.settings.{name}"
        if kind is None:
            if not unsure:
                hint = did_you_mean(name, sorted(kinds))
                problems.append(Problem(f"no plugin offers {name!r}{hint}", path))
            continue
        offer = catalogue.factories[kind, name]
        if not isinstance(offer.factory, type):
            problems.append(Problem(f"{name!r} ships with polytrade and takes no settings", path))
            continue
        try:
            values_of(offer.factory, KINDS[kind], name, config)
        except ConfigError as error:
            problems.extend(error.problems)
    if problems:
        raise ConfigError(*problems)
