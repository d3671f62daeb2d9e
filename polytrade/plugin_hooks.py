"""What a plugin's module offers: its hooks asked, and their answers held to the rules."""

import difflib
import re
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any, Final

import pluggy

from polytrade.hookspecs import API, KINDS, PROJECT, Factory, HookSpecs
from polytrade.plugin_code import last_line, pass_on
from polytrade.schema import check_defaults

NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
"""Names of what plugins offer: what TOML takes without quotes."""
HOOK: Final = "polytrade_"
"""How the names of hooks begin."""
OFFERS_MAX: Final = 256
"""Names that one plugin offers."""


class UnfitPlugin(Exception):
    """What is wrong with a plugin, in words of ours."""


def check_api(module: ModuleType) -> None:
    """UnfitPlugin unless the module was written for this API."""
    found = getattr(module, "polytrade_api", None)
    if found is None:
        raise UnfitPlugin(f"expected polytrade_api = {API} in {module.__name__}, found none")
    if type(found) is not int or found != API:
        raise UnfitPlugin(f"expected polytrade_api = {API}, found {found!r:.20}")


def ask(
    module: ModuleType, plugin: str, *, bound: bool
) -> tuple[tuple[str, ...], dict[tuple[str, str], Factory]]:
    """The hooks a module implements, and the factories they declare by kind and name.

    Those `bound` are attrs classes whose defaults are such as a configuration could say.
    UnfitPlugin for what is wrong.
    """
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(HookSpecs)
    try:
        manager.register(module, plugin)
        for caller in manager.get_hookcallers(module) or ():
            optional = all(it.optionalhook for it in caller.get_hookimpls())
            if not caller.has_spec() and not optional:
                raise UnfitPlugin(_unknown_hook(caller.name, module.__name__))
    except pluggy.PluginValidationError as error:
        raise UnfitPlugin(" ".join(str(error).split())) from error
    hooks: list[str] = []
    factories: dict[tuple[str, str], Factory] = {}
    for kind in KINDS.values():
        for implementation in getattr(manager.hook, kind.hook).get_hookimpls():
            hooks.append(kind.hook)
            try:
                answer: Any = implementation.function()
            except BaseException as error:
                pass_on(error)
                raise UnfitPlugin(f"{kind.hook} failed: {last_line(error)}") from error
            for name, factory in _declared(kind.hook, answer, bound=bound):
                if any(name == taken for _, taken in factories):
                    raise UnfitPlugin(f"{kind.hook} offers {name!r} again")
                factories[kind.name, name] = factory
    unmarked = [
        name
        for name in vars(module)
        if name in (kind.hook for kind in KINDS.values()) and name not in hooks
    ]
    if unmarked:
        raise UnfitPlugin(f"{', '.join(unmarked)} is not marked with hookimpl")
    if not hooks:
        raise UnfitPlugin(f"{module.__name__} implements no hook")
    return tuple(hooks), factories


def _unknown_hook(name: str, module: str) -> str:
    # All begin alike, which is no likeness.
    hooks = {kind.hook.removeprefix(HOOK): kind.hook for kind in KINDS.values()}
    close = difflib.get_close_matches(name.removeprefix(HOOK), hooks, n=1)
    expected = f": expected one of {', '.join(hooks.values())}"
    hint = f" (did you mean {hooks[close[0]]}?)" if close else expected
    return f"unknown hook {name!r} in {module}{hint}"


def _declared(hook: str, answer: Any, *, bound: bool) -> Iterator[tuple[str, Factory]]:
    """The factories in a hook's answer; `bound` to be attrs classes with a schema."""
    if not isinstance(answer, Mapping):
        raise UnfitPlugin(
            f"{hook} returned {type(answer).__name__}, expected a mapping of factories"
        )
    if len(answer) > OFFERS_MAX:
        raise UnfitPlugin(f"{hook} offers {len(answer)} names, expected at most {OFFERS_MAX}")
    for name, factory in answer.items():
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise UnfitPlugin(f"{hook} offers {name!r:.40}, expected a plain name")
        if bound:
            try:
                check_defaults(factory)
            except (TypeError, NameError) as error:
                raise UnfitPlugin(f"{hook}, {name!r}: {error}") from error
        yield name, factory
