"""The fields of the control API's reloads: type, range and default, as the contract states them."""

from pathlib import Path
from typing import Any, Final

import attrs
import pytest

from polytrade import strict
from polytrade.config import Config
from polytrade.errors import ConfigError
from polytrade.profiles import PROFILES

ABOVE: Final = None
"""A range without an upper end."""

Row = tuple[str, type[Any], float | None, float | None, object]

FIELDS: Final[tuple[Row, ...]] = (
    ("strategy.min_edge_bps", float, 0, ABOVE, 4.0),
    ("strategy.ttl_ms", int, 50, ABOVE, 400),
    ("strategy.inventory_skew", float, 0, 1, 0.15),
    ("strategy.base_quote_size", float, 0.01, ABOVE, 2.0),
    ("strategy.max_spread", float, 0.0001, 1, 0.03),
    ("strategy.basis_k_revert", float, 0, 5, 0.85),
    ("strategy.basis_z_cap", float, 0.5, 8, 3.0),
    ("strategy.basis_min_confidence", float, 0, 1, 0.05),
    ("strategy.min_eval_notional_usdc", float, 0, ABOVE, 0.05),
    ("strategy.min_expected_edge_usdc", float, 0, ABOVE, 0.0002),
    ("taker.trigger_bps", float, 0, ABOVE, 7.0),
    ("taker.max_slippage_bps", float, 0, ABOVE, 30.0),
    ("taker.stale_tick_filter_ms", int, 50, 5000, 2000),
    ("risk.stale_tick_filter_ms", int, 50, 5000, 2000),
    ("allocator.capital_fraction_kelly", float, 0.01, 1, 0.35),
    ("allocator.variance_penalty_lambda", float, 0, 5, 0.25),
    ("allocator.active_top_n_markets", int, 1, 128, 8),
    ("allocator.taker_weight", float, 0, ABOVE, 0.7),
    ("allocator.maker_weight", float, 0, ABOVE, 0.2),
    ("allocator.arb_weight", float, 0, ABOVE, 0.1),
    ("risk.max_market_notional", float, 0, ABOVE, 50.0),
    ("risk.max_asset_notional", float, 0, ABOVE, 100.0),
    ("risk.max_open_orders", int, 1, ABOVE, 20),
    ("risk.daily_drawdown_cap_pct", float, 0.001, 1, 0.015),
    ("risk.max_loss_streak", int, 1, ABOVE, 5),
    ("risk.cooldown_sec", float, 1, ABOVE, 60.0),
    ("toxicity.safe_threshold", float, 0, 1, 0.35),
    ("toxicity.caution_threshold", float, 0, 1, 0.65),
    ("toxicity.cooldown_min_sec", float, 1, ABOVE, 30.0),
    ("toxicity.cooldown_max_sec", float, 1, ABOVE, 120.0),
    ("toxicity.min_market_score", float, 0, 100, 70.0),
    ("toxicity.active_top_n_markets", int, 0, ABOVE, 8),
    ("toxicity.markout_1s_caution_bps", float, None, ABOVE, -4.0),
    ("toxicity.markout_5s_caution_bps", float, None, ABOVE, -6.0),
    ("toxicity.markout_10s_caution_bps", float, None, ABOVE, -8.0),
    ("toxicity.markout_1s_danger_bps", float, None, ABOVE, -10.0),
    ("toxicity.markout_5s_danger_bps", float, None, ABOVE, -14.0),
    ("toxicity.markout_10s_danger_bps", float, None, ABOVE, -18.0),
    ("latency.tail_guard", float, 0.5, 0.9999, 0.99),
    ("latency.io_flush_batch", int, 1, 4096, 64),
    ("latency.io_queue_capacity", int, 256, 262_144, 16_384),
)
"""Setting, type, least, most, default; `stale_tick_filter_ms` is one field for two sections."""

WORDS: Final = (
    ("taker.market_tier_profile", tuple(PROFILES), "balanced_sol_guard"),
    ("latency.json_mode", ("typed", "raw"), "typed"),
)

ORDERED: Final = (
    ("toxicity.safe_threshold", "toxicity.caution_threshold"),
    ("toxicity.cooldown_min_sec", "toxicity.cooldown_max_sec"),
    ("toxicity.markout_1s_danger_bps", "toxicity.markout_1s_caution_bps"),
    ("toxicity.markout_5s_danger_bps", "toxicity.markout_5s_caution_bps"),
    ("toxicity.markout_10s_danger_bps", "toxicity.markout_10s_caution_bps"),
)
"""The first is at most the second."""

SHIPPED: Final[dict[str, dict[str, object]]] = {
    "configs": {"strategy.base_quote_size": 10.0, "strategy.max_spread": 0.08},
    "configs/sandbox": {"strategy.base_quote_size": 5.0, "strategy.max_spread": 0.08},
}
"""Where a shipped configuration says something else than the default: a market's least order is
five shares, and its spread at the ends of a window is wider than three cents.
"""

RELOADED: Final = [name for name, *_ in FIELDS] + [name for name, *_ in WORDS]


def field_of(name: str) -> "attrs.Attribute[Any]":
    section, _, key = name.partition(".")
    found: attrs.Attribute[Any] = getattr(attrs.fields(type(getattr(Config(), section))), key)
    return found


def value_of(config: Config, name: str) -> object:
    section, _, key = name.partition(".")
    return getattr(getattr(config, section), key)


def taken(name: str, value: object) -> object:
    """The value as its own setting takes it, whatever the settings beside it say."""
    section, _, key = name.partition(".")
    kind = type(getattr(Config(), section))
    # Not under the section's name: its check of several settings together would follow.
    return getattr(strict.structure_section(kind, {key: value}, "alone"), key)


@pytest.mark.parametrize(("name", "kind", "least", "most", "default"), FIELDS)
def test_number_has_the_stated_type_range_and_default(
    name: str, kind: type[Any], least: float | None, most: float | None, default: object
) -> None:
    field = field_of(name)
    assert (field.type, field.metadata["ge"], field.metadata["le"]) == (kind, least, most)
    assert field.default == default and type(field.default) is kind


@pytest.mark.parametrize(("name", "kind", "least", "most", "default"), FIELDS)
def test_value_outside_the_range_is_refused_and_its_ends_are_taken(
    name: str, kind: type[Any], least: float | None, most: float | None, default: object
) -> None:
    step = 1 if kind is int else 1e-6
    for end, outside in ((least, -step), (most, step)):
        if end is not None:
            assert taken(name, kind(end)) == end
            with pytest.raises(ConfigError):
                taken(name, kind(end) + outside)
    for wrong in ("1", None, True, float("nan"), float("inf")):
        with pytest.raises(ConfigError):
            taken(name, wrong)


@pytest.mark.parametrize(("name", "choices", "default"), WORDS)
def test_word_is_one_of_its_table(name: str, choices: tuple[str, ...], default: str) -> None:
    field = field_of(name)
    assert (field.metadata["choices"], field.default) == (choices, default)
    assert [taken(name, choice) for choice in choices] == list(choices)
    with pytest.raises(ConfigError, match="expected one of"):
        taken(name, "bold")


def test_records_may_be_dropped_by_default() -> None:
    assert Config().latency.io_drop_on_full is True
    with pytest.raises(ConfigError):
        taken("latency.io_drop_on_full", 1)


@pytest.mark.parametrize(("low", "high"), ORDERED)
def test_low_end_is_not_above_the_high_end(low: str, high: str) -> None:
    most = value_of(Config(), high)
    assert isinstance(most, float)
    section, _, key = low.partition(".")
    equal = strict.structure({section: {key: most}})
    assert value_of(equal, low) == most
    with pytest.raises(ConfigError, match="expected at most"):
        strict.structure({section: {key: most + 0.001}})


def test_weights_that_are_all_zero_are_refused_and_one_is_enough() -> None:
    zero = {"taker_weight": 0.0, "maker_weight": 0.0, "arb_weight": 0.0}
    with pytest.raises(ConfigError, match="a weight above 0"):
        strict.structure({"allocator": zero})
    assert strict.structure({"allocator": zero | {"arb_weight": 0.1}}).allocator.arb_weight == 0.1


@pytest.mark.parametrize("folder", sorted(SHIPPED))
def test_shipped_configuration_differs_where_it_says_so(root: Path, folder: str) -> None:
    config = strict.load(root / folder)
    found = {
        name: value_of(config, name)
        for name in RELOADED
        if value_of(config, name) != value_of(Config(), name)
    }
    assert found == SHIPPED[folder]


@pytest.mark.parametrize("folder", sorted(SHIPPED))
def test_shipped_configuration_takes_nothing(root: Path, folder: str) -> None:
    """The taker has not earned its fees on the local venue: who wants it names it."""
    assert strict.load(root / folder).strategy.taker == "none"
    assert Config().strategy.taker == "none"
