"""What may be asked of a reload, and its answers: one table maps endpoints to the configuration.

`reloading.Reloader` carries requests out; a handler that sent one and is cancelled changes nothing
of it. The configuration is never edited in place: each accepted reload is a new generation.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Protocol

import attrs

from polytrade import strict
from polytrade.config import Config
from polytrade.hookspecs import ALLOCATOR, FAIR_VALUE, KINDS, MAKER, TAKER
from polytrade.lineup import Changes, Lineup
from polytrade.needed import selections
from polytrade.schema import section_values

STRATEGY: Final = "strategy"
PLUGINS: Final = "plugins"
PERF_PROFILE: Final = "perf_profile"
CONFIG: Final = "config"
"""Not an endpoint: the configuration directory, loaded again by SIGHUP."""
ROLLBACK: Final = "rollback"

INVALID: Final = "invalid_value"
"""Code of a refusal for a value that does not fit the configuration it would become part of."""
FAILED: Final = "reload_failed"
"""Code of a refusal that names a step (`lineup.STEPS`)."""
STALE: Final = "stale_generation"
NOTHING_BELOW: Final = "nothing_below"
RESTART_NEEDED: Final = "restart_needed"
BUSY: Final = "busy"
STOPPING: Final = "stopping"


@attrs.frozen
class Field:
    """A field of an endpoint: `group` it is answered in, and the settings it stands for.

    The first of `paths` (`section.setting`) gives the range and the value that is told.
    """

    group: str
    paths: tuple[str, ...]

    @property
    def declared(self) -> "attrs.Attribute[Any]":
        """The setting it takes its type and range from."""
        section, _, name = self.paths[0].partition(".")
        found: attrs.Attribute[Any] = getattr(attrs.fields(type(getattr(_DEFAULT, section))), name)
        return found


@attrs.frozen
class Endpoint:
    """What one reload endpoint takes: its fields, and the kinds of plugins that it may switch."""

    fields: Mapping[str, Field]
    kinds: tuple[str, ...] = ()

    def field_of(self, path: str) -> str:
        """The field that stands for a setting, empty when none does."""
        for name, field in self.fields.items():
            if path in field.paths:
                return name
        return ""


_DEFAULT: Final = Config()


def _own(group: str, section: str, *names: str) -> dict[str, Field]:
    return {name: Field(group, (f"{section}.{name}",)) for name in names}


_TAKER_STALE: Final = "taker.stale_tick_filter_ms"

ENDPOINTS: Final[Mapping[str, Endpoint]] = {
    STRATEGY: Endpoint(
        {
            **_own("maker", "strategy", "min_edge_bps", "ttl_ms", "inventory_skew"),
            **_own("maker", "strategy", "base_quote_size", "max_spread"),
            **_own("fair_value", "strategy", "basis_k_revert", "basis_z_cap"),
            **_own("fair_value", "strategy", "basis_min_confidence"),
            "taker_trigger_bps": Field("taker", ("taker.trigger_bps",)),
            "taker_max_slippage_bps": Field("taker", ("taker.max_slippage_bps",)),
            "stale_tick_filter_ms": Field("maker", ("risk.stale_tick_filter_ms", _TAKER_STALE)),
            "market_tier_profile": Field("taker", ("taker.market_tier_profile",)),
            **_own("allocator", "allocator", "capital_fraction_kelly", "variance_penalty_lambda"),
            **_own("maker", "strategy", "min_eval_notional_usdc", "min_expected_edge_usdc"),
        },
        (MAKER, FAIR_VALUE),
    ),
    "taker": Endpoint(
        {
            **_own("taker", "taker", "trigger_bps", "max_slippage_bps", "stale_tick_filter_ms"),
            **_own("taker", "taker", "market_tier_profile"),
        },
        (TAKER,),
    ),
    "allocator": Endpoint(
        {
            **_own("allocator", "allocator", "capital_fraction_kelly", "variance_penalty_lambda"),
            **_own("allocator", "allocator", "active_top_n_markets"),
            **_own("allocator", "allocator", "taker_weight", "maker_weight", "arb_weight"),
        },
        (ALLOCATOR,),
    ),
    "risk": Endpoint(
        {
            **_own("risk", "risk", "max_market_notional", "max_asset_notional", "max_open_orders"),
            **_own("risk", "risk", "daily_drawdown_cap_pct", "max_loss_streak", "cooldown_sec"),
        }
    ),
    "toxicity": Endpoint(
        {
            **_own("toxicity", "toxicity", "safe_threshold", "caution_threshold"),
            **_own("toxicity", "toxicity", "cooldown_min_sec", "cooldown_max_sec"),
            **_own("toxicity", "toxicity", "min_market_score", "active_top_n_markets"),
            **_own("toxicity", "toxicity", *(f"markout_{s}s_caution_bps" for s in (1, 5, 10))),
            **_own("toxicity", "toxicity", *(f"markout_{s}s_danger_bps" for s in (1, 5, 10))),
        }
    ),
    PERF_PROFILE: Endpoint(
        _own(
            *(PERF_PROFILE, "latency", "tail_guard", "io_flush_batch", "io_queue_capacity"),
            *("json_mode", "io_drop_on_full"),
        )
    ),
    PLUGINS: Endpoint(_own(PLUGINS, "plugins", "feeds", "risk_rules", "notifiers")),
}
"""`POST /control/reload_<name>`: fields, in the order they are answered."""

RELOADABLE: Final = frozenset(
    {"strategy", "taker", "allocator", "toxicity", "arb", "risk", "plugins", "reload"}
)
"""Sections that take effect without a restart, whole."""
RELOADABLE_LATENCY: Final = frozenset(ENDPOINTS[PERF_PROFILE].fields)
"""Of `[latency]` these alone."""
WEIGHTS: Final = ("taker_weight", "maker_weight", "arb_weight")


@attrs.frozen(kw_only=True)
class ReloadRequest:
    """What is wanted. `name` is an endpoint's, or `CONFIG` or `ROLLBACK`.

    `patch` has the endpoint's fields that change; `plugin` switches to another implementation,
    `code` loads the code of what is selected anew, `settings` are the plugin's own (for `PLUGINS` a
    table a name), where None takes a setting, or a whole table, back. `load` reads the
    configuration that is to replace it all (`CONFIG`), in a thread; it may raise ConfigError. A
    reload that expects another generation than the one in force is refused.
    """

    name: str
    who: str
    patch: Mapping[str, object] = attrs.field(factory=dict)
    plugin: str = ""
    code: bool = False
    settings: Mapping[str, Any] = attrs.field(factory=dict)
    expected_generation: int | None = None
    load: Callable[[], Config] | None = None
    why: str = ""

    def told(self) -> dict[str, object]:
        """The request as history and audit files have it."""
        asked: dict[str, object] = dict(self.patch)
        if self.plugin:
            asked["plugin"] = self.plugin
        if self.code:
            asked["code"] = True
        if self.settings:
            asked["settings"] = dict(self.settings)
        return asked


@attrs.frozen(kw_only=True)
class ReloadReply:
    """What is in force: `effective` is the endpoint's part of it, by group.

    `plugins` are those in use with their versions and digests (`PluginInfo.line`).
    """

    generation: int
    applied_at_ns: int
    effective: Mapping[str, Any]
    changes: Changes | None = None
    plugins: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class ReloadRefused:
    """Nothing has changed. `step` is one of `lineup.STEPS` when it came so far."""

    code: str
    message: str
    step: str = ""
    plugin: str = ""
    field: str = ""
    allowed: str = ""


class Reloads(Protocol):
    """What the control plane may ask of reloads; rows are JSON-ready."""

    async def reload(self, request: ReloadRequest) -> ReloadReply | ReloadRefused:
        """Carry a request out in its turn. Cancelling the wait cancels nothing else."""

    async def changes(self) -> Changes:
        """What pip did since the plugins in force were loaded; imports nothing."""

    async def plugins(self) -> list[dict[str, Any]]:
        """Every plugin known or installed: what of it is in use, what is wrong, what is on disk."""

    def history(self) -> list[dict[str, Any]]:
        """Accepted and refused reloads, newest last, bounded."""

    @property
    def generation(self) -> int:
        """The generation in force."""


def effective(name: str, config: Config, lineup: Lineup | None = None) -> dict[str, dict[str, Any]]:
    """The endpoint's part of a configuration, by group; for any other name the whole of it.

    Groups of what is selected say which `plugin` it is, and its own `settings` if it has any: with
    their defaults, as `lineup` has them.
    """
    endpoint = ENDPOINTS.get(name)
    if endpoint is None:
        chosen = selections(config, KINDS)
        return {"config": strict.to_dict(config), "settings": _all_settings(chosen, config, lineup)}
    groups: dict[str, dict[str, Any]] = {}
    for kind in endpoint.kinds:
        groups[kind] = {"plugin": selected(kind, config)}
        own = own_settings(kind, selected(kind, config), config, lineup)
        if own:
            groups[kind]["settings"] = own
    for field, it in endpoint.fields.items():
        section, _, setting = it.paths[0].partition(".")
        value: object = getattr(getattr(config, section), setting)
        if field in WEIGHTS:
            value = getattr(config.allocator, field) / sum(
                getattr(config.allocator, weight) for weight in WEIGHTS
            )
        groups.setdefault(it.group, {})[field] = list(value) if type(value) is tuple else value
    if name == PLUGINS:
        lists = selections(config, [kind for kind in KINDS if KINDS[kind].many])
        groups[PLUGINS]["settings"] = {
            **{table: dict(it) for table, it in config.plugins.settings.items()},
            **_all_settings(lists, config, lineup),
        }
    return groups


def _all_settings(
    chosen: Iterable[tuple[str, str]], config: Config, lineup: Lineup | None
) -> dict[str, dict[str, Any]]:
    """The own settings of what is chosen, by name; what has none is left out."""
    tables = {name: own_settings(kind, name, config, lineup) for kind, name in chosen}
    return {name: own for name, own in tables.items() if own}


def own_settings(kind: str, name: str, config: Config, lineup: Lineup | None) -> dict[str, Any]:
    """What a plugin's object is made with beside what its section gives, defaults included.

    Without a lineup that has it, those that are given.
    """
    given = config.plugins.settings.get(name, {})
    if lineup is None or lineup.catalogue is None or (kind, name) not in lineup.settings:
        return dict(given)
    factory: Any = lineup.catalogue.factories[kind, name].factory
    shared = section_values(KINDS[kind], config)
    made_with = lineup.settings[kind, name]
    own: dict[str, Any] = {}
    for field in attrs.fields(factory) if attrs.has(factory) else ():
        setting = field.alias or field.name
        if not field.init or (setting in shared and setting not in given):
            continue
        value = made_with.get(setting, field.default)
        if isinstance(value, bool | int | float | str | tuple):  # else a default that is computed
            own[setting] = list(value) if isinstance(value, tuple) else value
    return own


def selected(kind: str, config: Config) -> str:
    """The name that is selected of a kind of which there is one."""
    return KINDS[kind].chosen(config)[0]
