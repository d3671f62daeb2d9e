"""From the configuration to what trades: every setting arrives, where it belongs."""

from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from polytrade import builtin
from polytrade.builtin.digital import Digital
from polytrade.builtin.skewed import SkewedMaker
from polytrade.builtin.taker import ProfileTaker
from polytrade.config import Config, Strategy, Taker
from polytrade.core.ids import BUY, NO, YES
from polytrade.core.units import ONE_E4
from polytrade.hookspecs import KINDS
from polytrade.lineup import ROLES
from polytrade.profiles import PROFILES
from polytrade.schema import values_of
from polytrade.session import engine_settings, paper_settings, risk_settings
from tests.builtin.views import booked, fair, view_of
from tests.core.factory import SHARE

SELECTORS = {"fair_value", "maker", "taker", "allocator"}
"""Settings that name a plugin: the lineup reads them, and `tests/test_lineup.py` says so."""
SHELL = {
    *("execution.mode", "execution.capital_usdc", "execution.flatten_slippage"),
    "risk.max_loop_lag_ms",
}
"""What the start of a run, the operator's flatten and the daemon's watch read themselves."""


def plain(value: Any) -> Any:
    """An object with all it holds, as plain data."""
    if isinstance(value, str | int | float | bool | None):
        return value
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    names = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
    held = [(name, getattr(value, name)) for name in names if not name.startswith("__")]
    held += list(getattr(value, "__dict__", {}).items())
    return [type(value).__name__, sorted((name, plain(entry)) for name, entry in held)]


def built(kind: str, name: str, config: Config) -> Any:
    """What the built-in factory of that name makes."""
    factory = getattr(builtin, KINDS[kind].hook)()[name]
    return factory(**values_of(factory, KINDS[kind], name, config))


def everything(config: Config) -> list[Any]:
    """All that the core and the built-in plugins are given of a configuration."""
    made = [
        built(kind, name, config) for kind in ROLES for name in getattr(builtin, KINDS[kind].hook)()
    ]
    settings = [engine_settings(config), risk_settings(config), paper_settings(config)]
    return [plain(each) for each in [*made, *settings]]


def another(field: "attrs.Attribute[Any]", value: Any) -> Any:
    """Another value that the field takes."""
    if isinstance(value, bool):
        return not value
    choices = field.metadata["choices"]
    if isinstance(value, str):
        return next(choice for choice in choices if choice != value)
    if isinstance(value, tuple):
        return value[:1] if choices else tuple(entry + 1.0 for entry in value)
    most = field.metadata["le"]
    step = 1 if isinstance(value, int) else 0.0625
    return value - step if most is not None and value + step > most else value + step


def settings_of(section: str) -> Iterator[str]:
    for field in attrs.fields(type(getattr(Config(), section))):
        yield f"{section}.{field.name}"


DECIDING = [
    name
    for section in ("strategy", "taker", "allocator", "toxicity", "arb", "risk", "execution")
    for name in settings_of(section)
    if name not in SHELL and name.removeprefix("strategy.") not in SELECTORS
]


@pytest.mark.parametrize("name", DECIDING)
def test_no_setting_is_dead(name: str) -> None:
    """Changed alone, each changes what the core or a plugin is given."""
    section, _, key = name.partition(".")
    # Both bounds on the markets are read, the smaller one counts: give either room.
    before = Config()
    if key == "active_top_n_markets":
        other = "toxicity" if section == "allocator" else "allocator"
        roomy = attrs.evolve(getattr(before, other), active_top_n_markets=100)
        before = attrs.evolve(before, **{other: roomy})
    part = getattr(before, section)
    value = another(getattr(attrs.fields(type(part)), key), getattr(part, key))
    after = attrs.evolve(before, **{section: attrs.evolve(part, **{key: value})})
    assert everything(after) != everything(before)


def test_same_configuration_gives_the_same() -> None:
    """What `test_no_setting_is_dead` compares says nothing but the settings."""
    assert everything(Config()) == everything(Config())


def skewed(**changes: Any) -> SkewedMaker:
    settings = Strategy(base_quote_size=10.0, join=False, **changes)
    maker = built("maker", "skewed", Config(strategy=settings))
    assert isinstance(maker, SkewedMaker)
    return maker


def test_rewards_of_the_configuration_enter_the_wanted_price_and_size() -> None:
    """Fair 0.50, quotes at 0.49; a score of 0.75 squared is worth 0.00225: 0.4922, in ticks."""
    state = booked({40: 1}, {60: 1}, tick_e4=10, fee_rate_e6=0)
    view = view_of(fair(0.50), state, max_spread_e4=ONE_E4)
    plain_wishes, _ = skewed().quotes(view)
    assert [(w.price_e4, w.size_e6) for w in plain_wishes] == [(4_900, 10 * SHARE)] * 2
    paid = skewed(rewards_max_spread=0.04, rewards_min_size=20.0, rewards_usdc=0.004)
    wishes, _ = paid.quotes(view)
    assert [(w.token, w.side, w.price_e4, w.size_e6) for w in wishes] == [
        (YES, BUY, 4_920, 20 * SHARE),
        (NO, BUY, 4_920, 20 * SHARE),
    ]


def test_rebate_of_the_market_enters_the_wanted_price() -> None:
    """0.2 of the fee of 0.07 * 0.49 * 0.51 is 0.0035."""
    state = booked({40: 1}, {60: 1}, tick_e4=10)
    wishes, _ = skewed().quotes(view_of(fair(0.50), state, max_spread_e4=ONE_E4))
    assert [w.price_e4 for w in wishes] == [4_930, 4_930]


def test_implied_volatility_counts_by_its_weight_and_not_at_all_by_default() -> None:
    weighted = Config(strategy=Strategy(implied_vol_weight=0.25))
    weighed, unweighed = (built("fair_value", "digital", it) for it in (weighted, Config()))
    assert isinstance(weighed, Digital) and isinstance(unweighed, Digital)
    assert (weighed.implied_vol_weight, unweighed.implied_vol_weight) == (0.25, 0.0)


def test_money_in_one_order_is_that_of_the_section() -> None:
    """5.40 USDC buy ten shares at 0.54, though a hundred are wished and offered."""
    section = Taker(base_size=100.0, max_notional=5.4, max_spread=1.0)
    taker = built("taker", "profile", Config(taker=section))
    assert isinstance(taker, ProfileTaker)
    wishes, _ = taker.takes(view_of(fair(0.58), booked(asks={54: 500}, fee_rate_e6=0)))
    assert [wish.size_e6 for wish in wishes] == [10 * SHARE]


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_every_profile_can_be_chosen(name: str) -> None:
    taker = built("taker", "profile", Config(taker=Taker(market_tier_profile=name)))
    assert isinstance(taker, ProfileTaker)
    assert taker.profile is PROFILES[name]
