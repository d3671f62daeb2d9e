"""The sections of the configuration about plugins: which are loaded, and how they are replaced."""

from collections.abc import Mapping
from typing import Any

import attrs

from polytrade.config_fields import setting

Settings = Mapping[str, Mapping[str, Any]]


@attrs.frozen(kw_only=True)
class Plugins:
    """Which installed plugins are loaded, and their own settings."""

    disabled: tuple[str, ...] = setting((), "plugins (entry points) that are not loaded")
    feeds: tuple[str, ...] = setting((), "feeds of plugins that run, besides those of [feeds]")
    risk_rules: tuple[str, ...] = setting(
        (), "rules asked after the limits, in this order, such as `trading_hours`"
    )
    notifiers: tuple[str, ...] = setting((), "notifiers that run")
    settings: Settings = attrs.field(
        factory=dict,
        metadata={
            "doc": "a table `[plugins.settings.<name>]` for each maker, feed, rule...: its own "
            "settings, before those of the section they are named in",
            "unit": "",
            "free": True,
        },
    )


@attrs.frozen(kw_only=True)
class Reload:
    """How new plugins are tried before they trade, and when they are taken out again."""

    call_budget_us: int = setting(
        2000, "longest a plugin may take to answer", unit="us", ge=50, le=1_000_000
    )
    overruns_max: int = setting(
        5, "calls over the budget within the window that quarantine a plugin", ge=1, le=10_000
    )
    overrun_window_s: float = setting(
        60.0, "the window in which these are counted", unit="s", ge=1, le=3600
    )
    probe_s: float = setting(
        5.0, "longest the trial of new plugins may take", unit="s", ge=0.5, le=120
    )
    probe_memory_mb: int = setting(
        1024, "memory the trial may take besides ours", unit="MB", ge=64, le=65_536
    )
    guard_window_s: float = setting(
        0.0,
        "how long a reload is watched and rolled back when it breaks a bound below; 0 never",
        unit="s",
        ge=0,
        le=86_400,
    )
    guard_max_loss_usdc: float = setting(
        20.0, "loss of equity in the window that rolls back", unit="USDC", ge=0
    )
    guard_max_block_ratio: float = setting(
        0.95, "refused orders among those wanted in the window that roll back", ge=0, le=1
    )
    guard_max_errors: int = setting(
        3, "plugin faults and overruns in the window that roll back", ge=1, le=10_000
    )
