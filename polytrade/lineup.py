"""The lineup: which plugins are loaded and what they make for this configuration.

Immutable once built. Built-ins register first, through the same hooks as installed plugins (entry
points of group `polytrade`), which follow in the order of their names.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import attrs
import pluggy

import polytrade
from polytrade import builtin, hookspecs
from polytrade.config import Config
from polytrade.core.roles import Allocator, FairValue, Maker, Taker
from polytrade.errors import ConfigError, PluginError, Problem

Factory = Callable[[Any], Any]


@attrs.frozen(kw_only=True)
class Lineup:
    """One generation of plugins, built for one configuration.

    `plugins` maps each plugin's name to its distribution's version.
    """

    fair_value: FairValue
    maker: Maker
    taker: Taker
    allocator: Allocator
    plugins: Mapping[str, str]

    @property
    def digest(self) -> str:
        """A short name of what was loaded, in which versions."""
        text = "\n".join(f"{name}={version}" for name, version in sorted(self.plugins.items()))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def build_lineup(config: Config) -> Lineup:
    """Load the plugins and build what the configuration selects.

    Raises PluginError when a plugin cannot be loaded, two plugins use one name, or what a plugin
    makes cannot play its role; ConfigError when the configuration selects a name that no plugin
    offers.
    """
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs.HookSpecs)
    manager.register(builtin, "builtin")
    plugins = {"builtin": polytrade.__version__}
    for point in sorted(entry_points(group=hookspecs.PROJECT), key=lambda point: point.name):
        if point.name not in config.plugins.disabled:
            plugins[point.name] = _register(manager, point)
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise PluginError(str(error.plugin), "unknown", str(error)) from error
    settings = config.strategy
    fair: FairValue = _make(
        manager.hook.polytrade_fair_values,
        plugins,
        "strategy.fair_value",
        settings.fair_value,
        settings,
        ("estimate", "forget", "on_reference"),
    )
    maker: Maker = _make(
        manager.hook.polytrade_makers,
        plugins,
        "strategy.maker",
        settings.maker,
        settings,
        ("quotes",),
    )
    taker: Taker = _make(
        manager.hook.polytrade_takers,
        plugins,
        "strategy.taker",
        settings.taker,
        config.taker,
        ("takes",),
    )
    allocator: Allocator = _make(
        manager.hook.polytrade_allocators,
        plugins,
        "strategy.allocator",
        settings.allocator,
        config.allocator,
        ("share",),
    )
    return Lineup(fair_value=fair, maker=maker, taker=taker, allocator=allocator, plugins=plugins)


def _register(manager: pluggy.PluginManager, point: EntryPoint) -> str:
    version = point.dist.version if point.dist is not None else "unknown"
    if manager.has_plugin(point.name):
        raise PluginError(point.name, version, "another plugin has this name")
    try:
        manager.register(point.load(), point.name)
    except Exception as error:
        raise PluginError(point.name, version, f"cannot be loaded: {error}") from error
    return version


def _make(
    hook: pluggy.HookCaller,
    plugins: Mapping[str, str],
    field: str,
    wanted: str,
    settings: object,
    methods: Iterable[str],
) -> Any:
    """What the factory of that name makes; it must have the `methods` of its role."""
    name, factory = _select(hook, plugins, field, wanted)
    version = plugins.get(name, "unknown")
    try:
        made = factory(settings)
    except Exception as error:
        raise PluginError(name, version, f"{wanted!r} cannot be made: {error}") from error
    missing = [method for method in methods if not callable(getattr(made, method, None))]
    if missing:
        raise PluginError(name, version, f"{wanted!r} has no {', '.join(missing)}")
    return made


def _select(
    hook: pluggy.HookCaller, plugins: Mapping[str, str], field: str, wanted: str
) -> tuple[str, Factory]:
    """The factory of that name among all that the plugins declare for one hook, and its plugin."""
    offered: dict[str, tuple[str, Factory]] = {}
    for implementation in hook.get_hookimpls():
        name = implementation.plugin_name
        version = plugins.get(name, "unknown")
        try:
            returned: Any = implementation.function()
            declared: dict[str, Factory] = dict(returned)
        except Exception as error:
            raise PluginError(name, version, f"{hook.name} failed: {error}") from error
        for key, factory in declared.items():
            if key in offered:
                raise PluginError(name, version, f"{hook.name} offers {key!r} again")
            offered[key] = (name, factory)
    if wanted not in offered:
        allowed = ", ".join(f"`{key}`" for key in sorted(offered))
        raise ConfigError(Problem(f"expected one of {allowed}, found {wanted!r}", field, allowed))
    return offered[wanted]
