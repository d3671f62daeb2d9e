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
from polytrade.testing.measuring import Calls, measure_calls
from polytrade.testing.tapes import venue_events

MEASURED: Final = (*ROLES, RISK_RULE)
"""Kinds that the engine calls while it decides."""
ACTIVITY: Final = 0.3
"""Of a tape, relative to the real market: enough calls for a percentile in a few seconds."""


def listed(config: Config) -> list[dict[str, Any]]:
    """A row for every plugin, the built-ins first: JSON-ready.

    `used` has the names of each kind that the configuration selects.
    """
    catalogue = scan(config.plugins)
    return [
        {
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
        for info in catalogue.plugins.values()
    ]


def check(config: Config, names: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Try plugins (all that are installed unless named), each in processes of its own.

    A plugin is tried once for every name it offers of the kind of which it offers most, with all it
    offers selected in turn; the first failure is its answer. ConfigError for a name that is no
    plugin.
    """
    catalogue = scan(config.plugins)
    known = [name for name in catalogue.plugins if name != BUILTIN]
    for name in names:
        if name not in known:
            allowed = ", ".join(known) or "none is installed"
            hint = did_you_mean(name, known)
            raise ConfigError(Problem(f"no plugin {name!r}{hint}", "NAME", allowed))
    return [_checked(catalogue.plugins[name], config) for name in names or known]


def bench(config: Config, name: str, seconds: int) -> list[dict[str, Any]]:
    """The calls of what a plugin offers over a tape of the local venue, a row a method.

    `name` is a plugin's or that of something it offers. ConfigError when it is neither, or when the
    engine calls nothing of it; PluginError when it cannot be built.
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
            rows += [_row(each, it, budget_us) for it in calls if it.took_ns]
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


def _checked(info: PluginInfo, config: Config) -> dict[str, Any]:
    """The answer of the first trial that fails, else that with the slowest call."""
    worst = probe.ProbeAnswer(True)
    calls = 0
    if info.error:
        worst = probe.ProbeAnswer(False, info.error_step, info.name, info.version, info.error)
    else:
        for chosen in _turns(info):
            answer = _probed(info, _selecting(config, chosen))
            calls += answer.calls
            if not answer.ok:
                worst = answer
                break
            if answer.worst_call_us >= worst.worst_call_us:
                worst = answer
    return {
        "name": info.name,
        "line": info.line,
        **{name: getattr(worst, name) for name in ("ok", "step", "why", "field", "allowed")},
        "calls": calls,
        "worst_call_us": worst.worst_call_us,
        "worst": worst.worst,
    }


def _turns(info: PluginInfo) -> Iterator[dict[str, str]]:
    """What to select in each trial so that everything offered is tried once."""
    offers = {kind: names for kind, names in info.offers.items() if KINDS[kind].selected_by}
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
