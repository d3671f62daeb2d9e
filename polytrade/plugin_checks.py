"""Installed plugins looked at from the command line: listed, tried as a reload would, measured.

Nothing here touches a running daemon.
"""

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

import attrs

from polytrade import probe
from polytrade.catalogue import BUILTIN, Catalogue, PluginInfo, scan
from polytrade.config import Config
from polytrade.config_values import did_you_mean
from polytrade.errors import ConfigError, Problem
from polytrade.hookspecs import KINDS, RISK_RULE
from polytrade.lineup import ROLES, make
from polytrade.schema import fields_of, section_values
from polytrade.testing.measuring import Calls, measure_calls
from polytrade.testing.tapes import venue_events

MEASURED: Final = (*ROLES, RISK_RULE)
"""Kinds that the engine calls while it decides."""
PLAIN: Final = (bool, int, float, str, tuple)
"""What a configuration can say."""
ACTIVITY: Final = 0.3
"""Of a tape, relative to the real market: enough calls for a percentile in a few seconds."""


def listed(config: Config, names: Sequence[str] = ()) -> list[dict[str, Any]]:
    """A row for every plugin, the built-ins first: JSON-ready.

    `used` has the names of each kind that the configuration selects. Those that are named, or offer
    something that is, are shown alone, with the `settings` of everything they offer, or of what was
    named. ConfigError for a name that is neither.
    """
    catalogue = scan(config.plugins)
    if not names:
        return [_listed(info, config) for info in catalogue.plugins.values()]
    rows = []
    for info, offers in (_wanted(catalogue, name) for name in names):
        settings = [
            {"kind": kind, "name": name, **_settings_of(catalogue, kind, name)}
            for kind, offered in offers.items()
            for name in offered
            if (kind, name) in catalogue.factories
        ]
        shown = {kind: list(offered) for kind, offered in offers.items()}
        rows.append({**_listed(info, config), "offers": shown, "settings": settings})
    return rows


def _listed(info: PluginInfo, config: Config) -> dict[str, Any]:
    return {
        "name": info.name,
        "distribution": info.distribution,
        "version": info.version,
        "line": info.line,
        "hooks": list(info.hooks),
        "offers": {kind: list(names) for kind, names in info.offers.items()},
        "used": _used(info, config),
        "error": info.error,
        "step": info.error_step,
    }


def _settings_of(catalogue: Catalogue, kind: str, name: str) -> dict[str, Any]:
    """The table of what a plugin offers, and a row for each of its settings.

    A setting that the table does not say has the value of its `section`, else its `default`.
    """
    offer, home = catalogue.factories[kind, name], KINDS[kind].section
    fields = fields_of(offer.factory) if isinstance(offer.factory, type) else ()
    shared = section_values(KINDS[kind], Config())
    return {
        "table": f"plugins.settings.{name}",
        "settings": [
            {
                "name": field.name,
                "takes": field.takes,
                "default": field.made() if isinstance(field.made(), PLAIN) else None,
                "required": field.required and field.name not in shared,
                "unit": field.metadata.get("unit", ""),
                "doc": field.metadata.get("doc", ""),
                "section": f"{home}.{field.name}" if field.name in shared else "",
            }
            for field in fields
        ],
    }


def _wanted(catalogue: Catalogue, name: str) -> tuple[PluginInfo, Mapping[str, Sequence[str]]]:
    """The plugin of that name with all it offers, or the one that offers it with that alone."""
    info = catalogue.plugins.get(name)
    if info is not None:
        return info, info.offers
    for info in catalogue.plugins.values():
        for kind, offered in info.offers.items():
            if name in offered:
                return info, {kind: (name,)}
    plugins = [each for each in catalogue.plugins if each != BUILTIN]
    hint = did_you_mean(name, [*plugins, *sorted({each for _, each in catalogue.factories})])
    broken = [f"{it.name} at step {it.error_step}" for it in catalogue.plugins.values() if it.error]
    hint += f"; broken is {', '.join(broken)}" if broken else ""
    allowed = ", ".join(plugins) or "none is installed"
    raise ConfigError(Problem(f"no plugin {name!r}{hint}", "NAME", allowed))


def check(config: Config, names: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Try plugins (all that are installed unless named), each in processes of its own.

    A plugin is tried once for every name it offers of the kind of which it offers most, with all it
    offers selected in turn; the first failure is its answer. A name of what one offers is tried
    alone. ConfigError for a name that is neither, or built in.
    """
    catalogue = scan(config.plugins)
    known = [name for name in catalogue.plugins if name != BUILTIN]
    wanted = [_wanted(catalogue, name) for name in names or known]
    for name, (info, _) in zip(names or known, wanted, strict=True):
        if info.name == BUILTIN:
            allowed = ", ".join(known) or "none is installed"
            raise ConfigError(Problem(f"{name!r} ships with polytrade", "NAME", allowed))
    return [_checked(info, offers, config) for info, offers in wanted]


def bench(config: Config, name: str, seconds: int) -> list[dict[str, Any]]:
    """The calls of what a plugin offers over a tape of the local venue, a row a method.

    `name` is a plugin's or that of something it offers. Of what was not asked at all each method
    has a row without `calls`; `broken` says why one was taken out of service. ConfigError when
    `name` is neither, or when the engine calls nothing of it; PluginError when it cannot be built.
    """
    catalogue = scan(config.plugins)
    offers = [
        (kind, each)
        for (kind, each), offer in catalogue.factories.items()
        if kind in MEASURED and name in (offer.plugin, each)
    ]
    if not offers:
        raise _nothing(catalogue, name)
    coins = tuple(coin for coin in config.universe.coins if coin in ("btc", "eth")) or ("btc",)
    events = venue_events(seconds, coins=coins, activity=ACTIVITY, settings=config)
    # The other roles are as configured; tables of plugins that are not in play would be refused.
    plain = attrs.evolve(config, plugins=attrs.evolve(config.plugins, settings={}))
    rows = []
    with catalogue.in_force():
        for kind, each in offers:
            made = partial(make, KINDS[kind], each, _selecting(config, {kind: each}), catalogue)
            calls = measure_calls(made, events, settings=plain)
            budget_us = config.reload.call_budget_us
            asked = [it for it in calls if it.took_ns]
            rows += [_row(each, it, budget_us) for it in asked or calls]
    return rows


def _row(name: str, calls: Calls, budget_us: int) -> dict[str, Any]:
    return {
        "name": name,
        "kind": calls.kind,
        "method": calls.method,
        "calls": len(calls.took_ns),
        "p50_us": calls.us(0.5),
        "p99_us": calls.us(0.99),
        "max_us": calls.us(1.0),
        "budget_us": budget_us,
        "over": calls.over(budget_us),
        "p50_bytes": calls.peak(0.5),
        "max_bytes": calls.peak(1.0),
        "kept_bytes": calls.kept_bytes,
        "broken": calls.broken,
    }


def _used(info: PluginInfo, config: Config) -> dict[str, list[str]]:
    used = {}
    for kind, names in info.offers.items():
        section, _, setting = KINDS[kind].selected_by.partition(".")
        if section:
            value = getattr(getattr(config, section), setting)
            chosen = value if KINDS[kind].many else (value,)
            used[kind] = [name for name in names if name in chosen]
        else:
            used[kind] = list(names)
    return {kind: names for kind, names in used.items() if names}


def _checked(
    info: PluginInfo, offers: Mapping[str, Sequence[str]], config: Config
) -> dict[str, Any]:
    """The answer of the first trial that fails, else what was called of the plugin in all of them.

    `called` has the calls by `kind/name`, None for what the engine calls nothing of; `worst` is the
    name with the slowest.
    """
    answer = probe.ProbeAnswer(False, info.error_step, info.name, info.version, info.error)
    called: dict[str, int | None] = {}
    slowest = (0, "")
    for chosen in () if info.error else _turns(offers):
        answer = _probed(info, _selecting(config, chosen))
        for kind, name in chosen.items():
            key = f"{kind}/{name}"
            calls, longest_us = answer.each.get(key, (0, 0))
            called[key] = calls if kind in MEASURED else None
            if calls:
                slowest = max(slowest, (longest_us, name))
        if not answer.ok:
            break
    return {
        "name": info.name,
        "line": info.line,
        **{name: getattr(answer, name) for name in ("ok", "step", "why", "field", "allowed")},
        "called": called,
        "calls": sum(filter(None, called.values())),
        "worst_call_us": slowest[0],
        "worst": slowest[1],
    }


def _turns(offered: Mapping[str, Sequence[str]]) -> Iterator[dict[str, str]]:
    """What to select in each trial so that everything offered is tried once."""
    offers = {kind: names for kind, names in offered.items() if KINDS[kind].selected_by}
    for turn in range(max((len(names) for names in offers.values()), default=1)):
        yield {kind: names[turn] for kind, names in offers.items() if turn < len(names)}


def _selecting(config: Config, chosen: Mapping[str, str]) -> Config:
    """The configuration with these names selected of their kinds."""
    for kind, name in chosen.items():
        section, _, setting = KINDS[kind].selected_by.partition(".")
        value = (name,) if KINDS[kind].many else name
        changed = attrs.evolve(getattr(config, section), **{setting: value})
        config = attrs.evolve(config, **{section: changed})
    return config


def _probed(info: PluginInfo, config: Config) -> probe.ProbeAnswer:
    """What a trial in a process of its own finds; one that hangs is killed."""
    body = probe.request(config, plugins={info.name: info.line})
    try:
        done = subprocess.run(
            probe.command(),
            env=probe.environment(),
            input=body,
            capture_output=True,
            check=False,
            timeout=probe.deadline_s(config),
        )
    except subprocess.TimeoutExpired as expired:
        return probe.parse_answer(expired.stdout or b"", None, config)
    return probe.parse_answer(done.stdout, done.returncode, config, done.stderr)


def _nothing(catalogue: Catalogue, name: str) -> Exception:
    info = catalogue.plugins.get(name)
    if info is not None and info.error:
        return info.failure()
    if info is not None or any(name == each for _, each in catalogue.factories):
        return ConfigError(
            Problem(f"the engine calls nothing of {name!r} while it decides", "NAME")
        )
    names = sorted({each for kind, each in catalogue.factories if kind in MEASURED})
    hint = did_you_mean(name, names)
    return ConfigError(Problem(f"nothing is named {name!r}{hint}", "NAME", ", ".join(names)))
