"""Loading plugins: what is selected, what is refused, and whose name is said."""

from collections.abc import Callable
from importlib.metadata import EntryPoint
from types import SimpleNamespace
from typing import Any

import attrs
import pytest

import polytrade
from polytrade import lineup
from polytrade.builtin.allocators import KellyAllocator, ReferenceAllocator
from polytrade.builtin.basis_mr import BasisMeanReversion
from polytrade.builtin.digital import Digital
from polytrade.builtin.skewed import SkewedMaker
from polytrade.builtin.taker import ProfileTaker
from polytrade.config import Allocator, Config, Plugins, Strategy, Taker
from polytrade.core.roles import NoTaker
from polytrade.errors import ConfigError, PluginError
from polytrade.hookspecs import hookimpl
from polytrade.lineup import build_lineup

Install = Callable[..., None]


class FixedFair:
    """The least that is a fair value."""

    def __init__(self, settings: Strategy) -> None:
        self.settings = settings

    def on_reference(self, reference: Any, ts_ns: int) -> None: ...

    def estimate(self, market: Any, reference: Any, ts_ns: int) -> None: ...

    def forget(self, market: str) -> None: ...


def plugin(factory: Any, name: str = "fixed") -> SimpleNamespace:
    @hookimpl
    def polytrade_fair_values() -> dict[str, Any]:
        return {name: factory}

    return SimpleNamespace(polytrade_fair_values=polytrade_fair_values)


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Make objects look like installed entry points, in the order given."""

    def put(**plugins: Any) -> None:
        class Point:
            def __init__(self, name: str, loaded: Any) -> None:
                self.name = name
                self.dist = SimpleNamespace(version="1.2")
                self._loaded = loaded

            def load(self) -> Any:
                if isinstance(self._loaded, Exception):
                    raise self._loaded
                return self._loaded

        points = [Point(name, loaded) for name, loaded in plugins.items()]
        monkeypatch.setattr(lineup, "entry_points", lambda group: points)

    put()
    return put


def select(**strategy: Any) -> Config:
    return Config(strategy=Strategy(**strategy))


@pytest.mark.usefixtures("install")
def test_builtins_are_selected_by_name() -> None:
    built = build_lineup(Config())
    assert isinstance(built.fair_value, Digital)
    assert isinstance(built.maker, SkewedMaker)
    assert built.plugins == {"builtin": polytrade.__version__}
    assert isinstance(build_lineup(select(fair_value="basis_mr")).fair_value, BasisMeanReversion)


@pytest.mark.usefixtures("install")
def test_taker_and_allocator_are_made_from_their_own_sections() -> None:
    config = attrs.evolve(
        select(taker="profile"),
        taker=Taker(base_size=7.5),
        allocator=Allocator(capital_fraction_kelly=0.5),
    )
    built = build_lineup(config)
    assert isinstance(built.taker, ProfileTaker)
    assert built.taker.size_e6 == 7_500_000
    assert isinstance(built.allocator, ReferenceAllocator)
    assert built.allocator.fraction == 0.5
    other = build_lineup(select(taker="none", allocator="kelly"))
    assert isinstance(other.taker, NoTaker)
    assert isinstance(other.allocator, KellyAllocator)


@pytest.mark.usefixtures("install")
def test_builtins_get_their_settings() -> None:
    built = build_lineup(select(base_quote_size=7.5, half_spread=0.03, vol_floor_bps=2.0))
    assert isinstance(built.maker, SkewedMaker)
    assert (built.maker.size_e6, built.maker.half_spread) == (7_500_000, 0.03)
    assert isinstance(built.fair_value, Digital)
    assert built.fair_value.vol_floor == pytest.approx(2e-4)


@pytest.mark.usefixtures("install")
@pytest.mark.parametrize("field", ["fair_value", "maker", "taker", "allocator"])
def test_name_that_nobody_offers_is_the_operators_fault(field: str) -> None:
    with pytest.raises(ConfigError, match=r"expected one of `.*, found 'nope'") as caught:
        build_lineup(select(**{field: "nope"}))
    assert f"strategy.{field}" in str(caught.value)


def test_installed_plugin_is_used_with_the_settings(install: Install) -> None:
    install(fixed=plugin(FixedFair))
    built = build_lineup(select(fair_value="fixed"))
    assert isinstance(built.fair_value, FixedFair)
    assert built.fair_value.settings.fair_value == "fixed"
    assert built.plugins == {"builtin": polytrade.__version__, "fixed": "1.2"}


def test_disabled_plugin_is_not_loaded(install: Install) -> None:
    install(fixed=ImportError("never"))
    config = attrs.evolve(Config(), plugins=Plugins(disabled=("fixed",)))
    assert list(build_lineup(config).plugins) == ["builtin"]


def test_digest_names_plugins_and_versions_in_any_order(install: Install) -> None:
    install(b=plugin(FixedFair, "b"), a=plugin(FixedFair, "a"))
    first = build_lineup(Config())
    assert list(first.plugins) == ["builtin", "a", "b"]
    install(a=plugin(FixedFair, "a"), b=plugin(FixedFair, "b"))
    assert build_lineup(Config()).digest == first.digest
    other = attrs.evolve(first, plugins={"builtin": "9"})
    assert other.digest != first.digest


def raising(settings: Strategy) -> FixedFair:
    raise RuntimeError("no model file")


@pytest.mark.parametrize(
    ("loaded", "message"),
    [
        (ImportError("no module"), "cannot be loaded: no module"),
        (plugin(raising), "'fixed' cannot be made: no model file"),
        (plugin("not callable"), "'fixed' cannot be made"),
        (plugin(lambda settings: object()), "'fixed' has no estimate, forget, on_reference"),
        (plugin(FixedFair, "digital"), "polytrade_fair_values offers 'digital' again"),
        (
            SimpleNamespace(polytrade_fair_values=hookimpl(lambda: 5)),
            "polytrade_fair_values failed",
        ),
    ],
)
def test_plugins_fault_names_the_plugin(install: Install, loaded: Any, message: str) -> None:
    install(fixed=loaded)
    with pytest.raises(PluginError, match="fixed") as caught:
        build_lineup(select(fair_value="fixed"))
    assert message in str(caught.value)


def test_unknown_hook_is_refused(install: Install) -> None:
    @hookimpl
    def polytrade_fair_valeus() -> dict[str, Any]:
        return {}

    install(typo=SimpleNamespace(polytrade_fair_valeus=polytrade_fair_valeus))
    with pytest.raises(PluginError, match="polytrade_fair_valeus"):
        build_lineup(Config())


def test_second_plugin_of_a_name_is_refused(install: Install, monkeypatch: Any) -> None:
    install(builtin=plugin(FixedFair))
    with pytest.raises(PluginError, match="another plugin has this name"):
        build_lineup(Config())


def test_entry_points_are_those_of_the_project() -> None:
    """The group is the one that plugins' distributions declare."""
    point = EntryPoint(name="x", value="y:z", group="polytrade")
    assert point.group == lineup.hookspecs.PROJECT
