"""Why a reload changed nothing, in the words of the request: its fields, names, plugins."""

import re
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, Any, Final

import attrs

from polytrade.catalogue import Catalogue
from polytrade.config import Config
from polytrade.config_values import did_you_mean
from polytrade.errors import ConfigError, PluginError, Problem
from polytrade.hookspecs import KINDS
from polytrade.probe import ProbeAnswer
from polytrade.runtime.reload_requests import (
    ENDPOINTS,
    FAILED,
    INVALID,
    PLUGINS,
    ReloadRefused,
    ReloadRequest,
    selected,
)

if TYPE_CHECKING:
    from polytrade.runtime.reload_plan import Plan

TABLES: Final = "plugins.settings."
SELECTORS: Final = {kind.selected_by: kind.name for kind in KINDS.values() if kind.selected_by}
"""Which kind a setting selects."""
OFFERED: Final = re.compile(r"`([^`]+)`")
"""A name in what `build_lineup` says that it takes."""
INNER: Final = re.compile(r"(.*) @ ([A-Za-z_][A-Za-z0-9_]*)", re.DOTALL)
"""What a plugin's own check says of one of its settings."""


class Refused(Exception):
    """Ends a reload with its answer."""

    def __init__(self, refusal: ReloadRefused) -> None:
        super().__init__(refusal.code, refusal.message)
        self.refusal = refusal


def own_table(request: ReloadRequest, current: Config) -> str:
    """The name whose settings are those of the request, empty when it has a table a name."""
    kinds = ENDPOINTS[request.name].kinds if request.name in ENDPOINTS else ()
    return request.plugin or (selected(kinds[0], current) if kinds else "")


def no_such(
    key: tuple[str, str],
    request: ReloadRequest,
    offered: Callable[[str], Collection[str]],
    appeared: Collection[str],
) -> ReloadRefused:
    """Nobody offers the name: `offered` are the names of a kind, `appeared` new plugins."""
    kind, name = key
    kinds = ENDPOINTS[request.name].kinds if request.name in ENDPOINTS else ()
    names = sorted({it for each in kinds or (kind,) for it in offered(each)})
    known = [*names, *(it for it in appeared if it not in names)]
    message = f"no plugin offers {name!r}: there is {', '.join(names) or 'none'}"
    if appeared:
        message += f"; installed and not loaded: {', '.join(appeared)}"
    return ReloadRefused(
        code=FAILED,
        message=message + did_you_mean(name, known),
        step="find",
        field=_field_of(KINDS[kind].selected_by, request, name),
        allowed=", ".join(known) or "none",
    )


def refusal_of(
    error: ConfigError,
    request: ReloadRequest,
    current: Config,
    *,
    catalogue: Catalogue | None = None,
    planned: "Plan | None" = None,
    code: str = "",
) -> ReloadRefused:
    """What a fault of settings means to whoever asked, in the words of the endpoint.

    Without a code it is decided by the path: a name nobody offers is step `find`, settings of a
    plugin step `settings`, anything else no step at all. `current` is the configuration in force;
    `catalogue`, and what was `planned`, name the plugin.
    """
    first, *others = (_placed(problem) for problem in error.problems)
    field = _field_of(first.path, request, own_table(request, current))
    step, plugin = "", ""
    if not code and first.path in SELECTORS:
        step = "find"
        if catalogue is not None and planned is not None:
            unknown = next(_untold(first, request, catalogue, planned), None)
            if unknown is not None:
                return unknown
    elif not code and first.path.startswith(TABLES):
        step, name = "settings", first.path.removeprefix(TABLES).partition(".")[0]
        plugin = _offering(name, catalogue, planned)
        hint = _null_hint(first, field, request, current)
        first = attrs.evolve(first, message=first.message + hint)
    return ReloadRefused(
        code=code or (FAILED if step else INVALID),
        message="; ".join(str(problem) for problem in (first, *others)),
        step=step,
        plugin=plugin,
        field=field,
        allowed=first.allowed,
    )


def refusal_of_plugin(error: PluginError) -> ReloadRefused:
    """What a plugin's fault means to whoever asked."""
    plugin = f"{error.name} {error.version}".strip()
    return ReloadRefused(code=FAILED, message=error.reason, step=error.step, plugin=plugin)


def refusal_of_trial(
    answer: ProbeAnswer,
    request: ReloadRequest,
    current: Config,
    catalogue: Catalogue,
    planned: "Plan",
) -> ReloadRefused:
    """What an answer that names a `field` means to whoever asked; as `refusal_of`."""
    said, _, others = answer.why.partition(f" @ {answer.field}")
    problems = [Problem(said, answer.field, answer.allowed)]
    if others:
        problems.append(Problem(others.removeprefix("; ")))
    fault = ConfigError(*problems)
    return refusal_of(fault, request, current, catalogue=catalogue, planned=planned)


def _placed(problem: Problem) -> Problem:
    """The problem with the setting that a validator named at the end of its text in its path."""
    found = INNER.fullmatch(problem.message)
    table = problem.path.removeprefix(TABLES)
    if found is None or not problem.path or "." in table:
        return problem
    return attrs.evolve(problem, message=found[1], path=f"{problem.path}.{found[2]}")


def _field_of(path: str, request: ReloadRequest, about: str) -> str:
    """A setting as the request names it, else its path; `about` is whose settings it may have."""
    endpoint = ENDPOINTS.get(request.name)
    if endpoint is None:
        return path
    if request.plugin and path in {KINDS[kind].selected_by for kind in endpoint.kinds}:
        return "plugin"
    if path.startswith(TABLES):
        name, _, setting = path.removeprefix(TABLES).partition(".")
        if request.name == PLUGINS:
            return path.removeprefix("plugins.")
        return f"settings.{setting}".rstrip(".") if name == about else path
    setting, bracket, index = path.partition("[")
    return (endpoint.field_of(setting) or setting) + bracket + index


def _untold(
    problem: Problem, request: ReloadRequest, catalogue: Catalogue, planned: "Plan"
) -> Iterator[ReloadRefused]:
    """Names that a trial did not find, with what it could not know, because it loads a part."""
    kind = SELECTORS[problem.path]
    tried = OFFERED.findall(problem.allowed)

    def offered(each: str) -> set[str]:
        return {*catalogue.names(each), *(tried if each == kind else ())}

    for name in KINDS[kind].chosen(planned.config):
        if name not in offered(kind):
            yield no_such((kind, name), request, offered, planned.appeared)


def _offering(name: str, catalogue: Catalogue | None, planned: "Plan | None") -> str:
    """The plugin that offers a name and its version, as it was tried; empty when nobody does."""
    plugins = catalogue.plugins if catalogue is not None else {}
    wanted = planned.wanted if planned is not None else {}
    offers = catalogue.factories.items() if catalogue is not None else ()
    plugin = next((offer.plugin for (_, each), offer in offers if each == name), name)
    version = wanted.get(plugin, "").rpartition("+sha256:")[0]
    if plugin not in plugins and not version:
        return ""
    return f"{plugin} {version or plugins[plugin].version}"


def _null_hint(problem: Problem, field: str, request: ReloadRequest, current: Config) -> str:
    """How a setting goes that is unknown now, and that was given before this request."""
    name, _, setting = problem.path.removeprefix(TABLES).partition(".")
    own = field.startswith("settings.")
    given: Any = request.settings.get(name, {}) if request.name == PLUGINS else request.settings
    before = setting in current.plugins.settings.get(name, {})
    if not before or not problem.message.startswith("unknown") or request.name not in ENDPOINTS:
        return ""
    if not own:
        return "; null for it in `settings` of reload_plugins takes it away"
    return "" if setting in (given or {}) else "; null takes it away"
