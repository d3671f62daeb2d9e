"""The catalogue: what the installed plugins offer, one generation of their code.

`scan` loads plugins aside: `sys.modules` is afterwards as it was before, whatever happened, and
`commit` puts a catalogue's modules there. A plugin that cannot be loaded is told with the step at
which it failed, and harms nobody else.
"""

import hashlib
import importlib
import sys
import typing
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Final

import attrs

import polytrade
from polytrade import builtin
from polytrade.config import Plugins
from polytrade.config_values import did_you_mean
from polytrade.distributions import (
    Source,
    find_plugins,
    fresh_code,
    loaded,
    modules_in_force,
    package_of,
    put_modules,
)
from polytrade.errors import PluginError
from polytrade.hookspecs import Factory
from polytrade.import_limit import Overdue, bounded
from polytrade.plugin_code import last_line, pass_on
from polytrade.plugin_hooks import UnfitPlugin, ask, check_api

BUILTIN: Final = "builtin"
"""The plugin of what ships with polytrade: loaded first, and never anew."""


@attrs.frozen
class PluginInfo:
    """A plugin as it was loaded, or why it was not: `error` at step `error_step`.

    `offers` maps kinds to names, `digest` is over its sources (hex).
    """

    name: str
    distribution: str
    version: str
    digest: str = ""
    hooks: tuple[str, ...] = ()
    offers: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)
    error: str = ""
    error_step: str = ""

    @property
    def line(self) -> str:
        """The version and the code, as journals name them: `1.2.0+sha256:0123456789ab`."""
        return f"{self.version}+sha256:{self.digest[:12]}"

    def failure(self, reason: str = "") -> PluginError:
        """The error of a plugin that could not be loaded."""
        return PluginError(self.name, self.version, reason or self.error, self.error_step)


@attrs.frozen
class Offer:
    """A factory and the plugin that offers it."""

    plugin: str
    factory: Factory


@attrs.frozen
class Catalogue:
    """What can be selected: plugins by name, factories by kind and name.

    `modules` are those of each plugin's packages, kept so that a rollback has its code;
    `packages` are these packages; `disabled` are plugins that were left out.
    """

    plugins: Mapping[str, PluginInfo]
    factories: Mapping[tuple[str, str], Offer]
    modules: Mapping[str, Mapping[str, ModuleType]]
    packages: Mapping[str, tuple[str, ...]]
    disabled: tuple[str, ...] = ()

    def names(self, kind: str) -> list[str]:
        """What can be selected of a kind, sorted."""
        return sorted(name for each, name in self.factories if each == kind)

    def all_modules(self) -> dict[str, ModuleType]:
        """The modules of every plugin."""
        merged: dict[str, ModuleType] = {}
        for modules in self.modules.values():
            merged |= modules
        return merged

    def all_packages(self) -> frozenset[str]:
        """The packages of every plugin."""
        return frozenset(name for names in self.packages.values() for name in names)

    @contextmanager
    def in_force(self) -> Iterator[None]:
        """`sys.modules` has this catalogue's code for a block, and then what it had before."""
        with modules_in_force(self.all_packages(), self.all_modules()):
            yield


def commit(catalogue: Catalogue, retired: Catalogue | None = None) -> None:
    """Put the catalogue's modules into `sys.modules`, and take those that only `retired` has out.

    Cannot fail.
    """
    gone = retired.all_packages() if retired is not None else frozenset()
    put_modules(catalogue.all_packages() | gone, catalogue.all_modules())
    for forget in getattr(typing, "_cleanups", ()):
        forget()  # `Optional[X]` at module level keeps 128 generations of X, and their modules


def scan(
    plugins: Plugins, *, previous: Catalogue | None = None, fresh: Collection[str] = ()
) -> Catalogue:
    """Find and load every installed plugin that is not disabled, the built-ins first.

    Those named in `fresh`, and any that are new, have their code imported anew; the others keep the
    modules they have in `previous`. Plugins that share a package are imported anew together.
    Without `previous`, what is imported already and unchanged on disk is kept. Never raises for one
    plugin's fault. Any thread may call it, one at a time.
    """
    found = find_plugins(plugins.disabled)
    kept = _kept(found, previous, fresh)
    anew = {name: source for name, source in found.items() if name not in kept}
    packages = {name for source in found.values() for name in source.packages}
    old_modules: dict[str, ModuleType] = {}
    if previous is not None:
        packages |= previous.all_packages()
        old_modules = previous.all_modules()
    else:
        old_modules = loaded(packages)
    purged = {name for source in anew.values() for name in source.packages}
    start = {name: it for name, it in old_modules.items() if package_of(name) not in purged}
    loads: dict[str, _Loaded] = {BUILTIN: _load_builtin()}
    with modules_in_force(packages, start), fresh_code(anew.values()):
        for name, source in found.items():
            if name in anew or previous is None:
                loads[name] = _load(source)
            else:
                loads[name] = _again(name, previous)
        modules = {name: loaded(loads[name].packages) for name in loads}
    _add_vanished(loads, plugins, previous)
    _refuse_shared_names(loads)
    return Catalogue(
        plugins={name: it.info for name, it in loads.items()},
        factories={
            key: Offer(name, factory)
            for name, it in loads.items()
            for key, factory in it.factories.items()
        },
        modules={name: it for name, it in modules.items() if it and not loads[name].info.error},
        packages={name: it.packages for name, it in loads.items() if not it.info.error},
        disabled=plugins.disabled,
    )


def sharing(found: Mapping[str, Source], catalogue: Catalogue) -> list[str]:
    """Plugins found beside those of the catalogue that may offer a name of theirs, sorted.

    They are those in whose code, or as whose own name, such a name is written; none is imported.
    A name that code puts together is not seen.
    """
    taken = [name for (_, name), it in catalogue.factories.items() if it.plugin != BUILTIN]
    texts = [name.encode() for name in taken]
    return [
        name
        for name, source in found.items()
        if name not in catalogue.plugins
        and not source.problem
        and (name in taken or any(text in it for it in source.code.values() for text in texts))
    ]


def warnings_of(plugins: Plugins) -> list[str]:
    """What the section says of plugins that are not there, a line each; imports nothing."""
    if not plugins.disabled:
        return []
    known = list(find_plugins())
    return [
        f"plugins.disabled: no plugin {name!r} is installed{did_you_mean(name, known)}"
        for name in plugins.disabled
        if name not in known
    ]


@attrs.frozen
class _Loaded:
    """One plugin's part of a catalogue."""

    info: PluginInfo
    factories: Mapping[tuple[str, str], Factory] = attrs.field(factory=dict)
    packages: tuple[str, ...] = ()


def _kept(
    found: Mapping[str, Source], previous: Catalogue | None, fresh: Collection[str]
) -> set[str]:
    """The plugins whose modules stay: good ones that share no package with one imported anew."""
    if previous is None:
        kept = {
            name
            for name, source in found.items()
            if name not in fresh and source.packages and _unchanged(source)
        }
    else:
        kept = {name for name in found if name not in fresh and name in previous.plugins}
    while True:
        purged = {package for name in found if name not in kept for package in found[name].packages}
        shared = {name for name in kept if purged & set(found[name].packages)}
        if not shared:
            return kept
        kept -= shared


def _unchanged(source: Source) -> bool:
    """Whether what is imported of a plugin is, as far as we know, what is on disk."""
    module = sys.modules.get(source.module)
    if module is None:
        return False
    digest = getattr(getattr(module.__spec__, "loader", None), "digest", source.digest)
    return bool(digest == source.digest)


def _load(source: Source) -> _Loaded:
    """Import a plugin and ask its hooks; what is wrong is in the answer."""
    info = PluginInfo(source.name, source.distribution, source.version, source.digest)
    step = "find"
    try:
        with bounded():
            if source.problem:
                raise UnfitPlugin(source.problem)
            step = "import"
            module = importlib.import_module(source.module)
            step = "api"
            if source.name != BUILTIN:
                check_api(module)
            step = "hooks"
            hooks, factories = ask(module, source.name, bound=source.name != BUILTIN)
    except (UnfitPlugin, Overdue) as fault:
        return _Loaded(attrs.evolve(info, error=str(fault), error_step=step))
    except BaseException as error:
        pass_on(error)
        reason = last_line(error)
        return _Loaded(attrs.evolve(info, error=reason, error_step=step))
    info = attrs.evolve(info, hooks=hooks, offers=_offers(factories))
    return _Loaded(info, factories, source.packages)


def _again(name: str, previous: Catalogue) -> _Loaded:
    """A plugin as it was loaded before."""
    factories = {
        key: offer.factory for key, offer in previous.factories.items() if offer.plugin == name
    }
    return _Loaded(previous.plugins[name], factories, previous.packages.get(name, ()))


def _offers(factories: Mapping[tuple[str, str], Factory]) -> dict[str, tuple[str, ...]]:
    offers: dict[str, tuple[str, ...]] = {}
    for kind, name in factories:
        offers[kind] = (*offers.get(kind, ()), name)
    return offers


def _add_vanished(loads: dict[str, _Loaded], plugins: Plugins, previous: Catalogue | None) -> None:
    """Tell of plugins that were loaded and are not installed any more, in one catalogue."""
    if previous is None:
        return
    for name, info in previous.plugins.items():
        if name in loads or name in plugins.disabled or info.error:
            continue
        reason = f"vanished: {info.distribution} {info.version} is not installed any more"
        loads[name] = _Loaded(attrs.evolve(info, error=reason, error_step="find"))


def _refuse_shared_names(loads: dict[str, _Loaded]) -> None:
    """A name belongs to one plugin; the built-ins keep theirs, of others none gets it."""
    owners: dict[str, list[str]] = {}
    for plugin, it in loads.items():
        for _, name in it.factories:
            owners.setdefault(name, []).append(plugin)
    for plugin, it in list(loads.items()):
        if plugin == BUILTIN:
            continue
        reason = ""
        for _, name in it.factories:
            others = [owner for owner in owners[name] if owner != plugin]
            if BUILTIN in others:
                reason = f"offers {name!r}, which is built in"
            elif others:
                reason = f"offers {name!r}, and so does {', '.join(others)}"
        if reason:
            loads[plugin] = _Loaded(attrs.evolve(it.info, error=reason, error_step="hooks"))


@cache
def _load_builtin() -> _Loaded:
    """What ships with polytrade, asked by the same hooks."""
    version = polytrade.__version__
    source = Source(BUILTIN, builtin.__name__, "polytrade", version, digest=_deciding_digest())
    loaded_now = _load(source)
    assert not loaded_now.info.error, loaded_now.info.error
    return loaded_now


def _deciding_digest() -> str:
    """sha256 over the sources that decide: the core and the built-in plugins."""
    digest = hashlib.sha256()
    root = Path(polytrade.__file__).parent
    for folder in ("core", "builtin"):
        for file in sorted((root / folder).glob("*.py")):
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()
