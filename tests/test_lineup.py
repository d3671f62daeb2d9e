"""Loading plugins: what is selected, what is refused at which step, and whose name is said."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

import polytrade
from polytrade import strict
from polytrade.builtin.allocators import KellyAllocator, ReferenceAllocator
from polytrade.builtin.basis_mr import BasisMeanReversion
from polytrade.builtin.digital import Digital
from polytrade.builtin.skewed import SkewedMaker
from polytrade.builtin.taker import Nothing, ProfileTaker
from polytrade.builtin.trading_hours import TradingHours
from polytrade.config import Allocator, Config, Plugins, Strategy, Taker
from polytrade.errors import ConfigError, PluginError
from polytrade.hookspecs import KINDS
from polytrade.lineup import (
    STEPS,
    build_lineup,
    check_lineup,
    commit,
    scan,
)
from tests.plugin_projects import SiteFolder, maker_source, plugin_site

HEAD = "import attrs\nfrom polytrade.api import hookimpl, setting\npolytrade_api = 1\n"
HOOK = "@hookimpl\ndef polytrade_makers():\n    return {'bidder': Bidder}\n"
CLASS = "@attrs.define\nclass Bidder:\n    def quotes(self, view):\n        return [], ''\n"
WHOLE = HEAD + CLASS + HOOK


@pytest.fixture
def site(tmp_path: Path) -> Iterator[SiteFolder]:
    with plugin_site(tmp_path / "site") as folder:
        yield folder


def select(settings: dict[str, Any] | None = None, **strategy: Any) -> Config:
    return Config(strategy=Strategy(**strategy), plugins=Plugins(settings=settings or {}))


BIDDER = select(maker="bidder")


def failed(config: Config = BIDDER) -> PluginError:
    """What building says of a plugin; `sys.modules` must be as before."""
    before = dict(sys.modules)
    with pytest.raises(PluginError) as caught:
        build_lineup(config)
    assert sys.modules == before
    assert caught.value.step in STEPS
    return caught.value


def problems(config: Config) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        build_lineup(config)
    return [str(problem) for problem in caught.value.problems]


# -- what is selected --------------------------------------------------------------------------


def test_builtins_are_selected_by_name() -> None:
    built = build_lineup(Config())
    assert isinstance(built.fair_value, Digital)
    assert isinstance(built.maker, SkewedMaker)
    assert isinstance(built.taker, Nothing)
    assert isinstance(built.allocator, ReferenceAllocator)
    assert built.names == {
        "fair_value": "digital",
        "maker": "skewed",
        "taker": "none",
        "allocator": "reference",
    }
    assert list(built.plugins) == ["builtin"]
    other = build_lineup(select(fair_value="basis_mr", taker="profile", allocator="kelly"))
    assert isinstance(other.fair_value, BasisMeanReversion)
    assert isinstance(other.taker, ProfileTaker)
    assert isinstance(other.allocator, KellyAllocator)


def test_builtins_have_the_settings_of_their_sections() -> None:
    config = attrs.evolve(
        select(vol_floor_bps=2.0, half_spread=0.03, fair_value="digital", taker="profile"),
        taker=Taker(base_size=7.5),
        allocator=Allocator(capital_fraction_kelly=0.5),
    )
    built = build_lineup(config)
    assert isinstance(built.fair_value, Digital)
    assert built.fair_value.vol_floor == pytest.approx(2e-4)
    assert isinstance(built.maker, SkewedMaker)
    assert built.maker.half_spread == 0.03
    assert isinstance(built.taker, ProfileTaker)
    assert built.taker.size_e6 == 7_500_000
    assert isinstance(built.allocator, ReferenceAllocator)
    assert built.allocator.capital_fraction_kelly == 0.5


def test_line_names_the_version_and_the_code() -> None:
    line = build_lineup(Config()).plugins["builtin"]
    version, _, digest = line.partition("+sha256:")
    assert version == polytrade.__version__
    assert len(digest) == 12 and int(digest, 16) >= 0


def test_installed_plugin_is_selected(site: SiteFolder) -> None:
    site.install("bidder", maker_source(price_e4=4200), version="1.2")
    built = build_lineup(BIDDER)
    maker: Any = built.maker
    assert maker.price_e4 == 4200
    assert list(built.plugins) == ["builtin", "bidder"]
    assert built.plugins["bidder"].startswith("1.2+sha256:")
    assert "polytrade_bidder" in sys.modules


def test_lineup_names_the_plugins_in_use_only(site: SiteFolder) -> None:
    site.install("bidder", maker_source())
    built = build_lineup(Config())
    assert list(built.plugins) == ["builtin"]
    assert built.catalogue is not None
    assert list(built.catalogue.plugins) == ["builtin", "bidder"]


def test_disabled_plugin_is_not_loaded(site: SiteFolder) -> None:
    site.install("bidder", "raise RuntimeError\n")
    config = attrs.evolve(Config(), plugins=Plugins(disabled=("bidder",)))
    assert list(scan(config.plugins).plugins) == ["builtin"]


def test_digest_tells_versions_apart(site: SiteFolder) -> None:
    site.install("bidder", WHOLE, version="1.0")
    first = build_lineup(BIDDER)
    site.install("bidder", WHOLE, version="1.1")
    second = build_lineup(BIDDER)
    assert first.digest == build_lineup(BIDDER, first.catalogue).digest
    assert first.digest != second.digest


def test_names_are_told_with_a_hint_when_nobody_offers_one() -> None:
    assert problems(select(maker="skewd")) == [
        "expected one of `control_mid`, `control_random`, `skewed`, found 'skewd' "
        "(did you mean skewed?) @ strategy.maker"
    ]


def test_builtin_feeds_are_not_switched_by_the_list_of_plugins() -> None:
    config = attrs.evolve(Config(), plugins=Plugins(feeds=("okx",)))
    assert problems(config) == ["'okx' is built in: feeds.okx.enabled switches it @ plugins.feeds"]


def test_risk_rules_are_made_in_the_order_of_their_list() -> None:
    hours = {"trading_hours": {"hours": ["13:00-14:00"]}}
    config = attrs.evolve(Config(), plugins=Plugins(risk_rules=("trading_hours",), settings=hours))
    ((name, rule),) = build_lineup(config).rules
    assert name == "trading_hours"
    assert isinstance(rule, TradingHours) and rule.hours == ("13:00-14:00",)


OTHER_KINDS = """
import attrs
from collections import Counter
from polytrade.api import hookimpl, setting

polytrade_api = 1


@attrs.define
class Feed:
    coins: tuple[str, ...]
    name = "acme"
    default_url = "wss://acme.example"
    ping_interval_s = 1.0
    max_age_s = 1.0
    counts = Counter()
    unknown = Counter()
    reconnect_wanted = False
    def decode(self, frame, ts_ns, source): return []
    def hello(self): return []
    def ping(self): return None
    def reset(self): pass


@attrs.define
class Rule:
    most: int = setting(1, "most", ge=0)
    def check(self, request, context): return ""


@attrs.define
class Hook:
    url: str
    kinds = ("fill",)
    async def notify(self, notices, http): pass


@hookimpl
def polytrade_feeds(): return {"acme": Feed}
@hookimpl
def polytrade_risk_rules(): return {"most": Rule}
@hookimpl
def polytrade_notifiers(): return {"hook": Hook}
"""


def test_lists_select_feeds_rules_and_notifiers(site: SiteFolder) -> None:
    site.install("acme", OTHER_KINDS)
    listed: Any = {"feeds": ("acme",), "risk_rules": ("most",), "notifiers": ("hook",)}
    settings = {"hook": {"url": "https://x"}}
    built = build_lineup(attrs.evolve(Config(), plugins=Plugins(**listed, settings=settings)))
    feed: Any = built.feeds["acme"]
    assert feed.coins == ("btc", "eth")
    assert [name for name, _ in built.rules] == ["most"]
    assert list(built.notifiers) == ["hook"]
    assert list(built.plugins) == ["builtin", "acme"]
    assert len(built.objects()) == 7


# -- what is refused, one test each ------------------------------------------------------------


def check(error: PluginError, step: str, reason: str) -> None:
    assert (error.name, error.version, error.step) == ("bidder", "1.0.0", step)
    assert reason in error.reason
    assert str(error).startswith(f"plugin bidder 1.0.0 [{step}]: ")


@pytest.mark.parametrize(
    ("source", "step", "reason"),
    [
        (
            "def f(:\n",
            "import",
            "SyntaxError: invalid syntax (polytrade_bidder.py, line 1: def f(:)",
        ),
        (
            "\nimport scipy_of_another_world\n",
            "import",
            "ModuleNotFoundError: No module named 'scipy_of_another_world' "
            "(polytrade_bidder.py, line 2: import scipy_of_another_world)",
        ),
        (
            "from polytrade.api import gone\n",
            "import",
            "ImportError: cannot import name 'gone' from 'polytrade.api'",
        ),
        (
            "1 / 0\n",
            "import",
            "ZeroDivisionError: division by zero (polytrade_bidder.py, line 1: 1 / 0)",
        ),
        (
            "import sys\nsys.exit(3)\n",
            "import",
            "SystemExit: 3 (polytrade_bidder.py, line 2: sys.exit(3))",
        ),
        (
            WHOLE + "def f():\n    import json\n",
            "import",
            "RefusedCode: import inside a function (polytrade_bidder.py, line 12): plugins import",
        ),
        (WHOLE.replace("polytrade_api = 1", ""), "api", "expected polytrade_api = 1 in"),
        (
            WHOLE.replace("polytrade_api = 1", "polytrade_api = 2"),
            "api",
            "expected polytrade_api = 1, found 2",
        ),
        (
            WHOLE.replace("polytrade_api = 1", "polytrade_api = True"),
            "api",
            "expected polytrade_api = 1, found True",
        ),
        (
            WHOLE.replace("polytrade_makers()", "polytrade_makers(config)"),
            "hooks",
            "hook 'polytrade_makers'",
        ),
        (
            WHOLE.replace("polytrade_makers", "polytrade_mackers"),
            "hooks",
            "unknown hook 'polytrade_mackers' in polytrade_bidder (did you mean polytrade_makers?)",
        ),
        (
            WHOLE.replace("polytrade_makers", "polytrade_strategies"),
            "hooks",
            "unknown hook 'polytrade_strategies' in polytrade_bidder: expected one of "
            "polytrade_fair_values, polytrade_makers, ",
        ),
        (WHOLE.replace("@hookimpl\n", ""), "hooks", "polytrade_makers is not marked with hookimpl"),
        (HEAD, "hooks", "polytrade_bidder implements no hook"),
        (
            WHOLE.replace("return {'bidder': Bidder}", "return {}['x']"),
            "hooks",
            "polytrade_makers failed: KeyError: 'x' (polytrade_bidder.py, line 10: return {}['x'])",
        ),
        (
            WHOLE.replace("return {'bidder': Bidder}", "return [Bidder]"),
            "hooks",
            "polytrade_makers returned list, expected a mapping of factories",
        ),
        (
            WHOLE.replace("{'bidder': Bidder}", "{5: Bidder}"),
            "hooks",
            "polytrade_makers offers 5, expected a plain name",
        ),
        (
            WHOLE.replace("{'bidder': Bidder}", "{'bid der': Bidder}"),
            "hooks",
            "polytrade_makers offers 'bid der', expected a plain name",
        ),
        (
            WHOLE.replace("@attrs.define\n", ""),
            "hooks",
            "polytrade_makers, 'bidder': expected an attrs class, found <class",
        ),
        (
            WHOLE.replace("class Bidder:\n", "class Bidder:\n    x: dict[str, int]\n"),
            "hooks",
            "field 'x' is of type dict: expected bool, int, float, str or a tuple of one of these",
        ),
        (
            WHOLE.replace("class Bidder:\n", "class Bidder:\n    x: 'Gone' = 1\n"),
            "hooks",
            "name 'Gone' is not defined",
        ),
        (
            WHOLE.replace("'bidder': Bidder", "'skewed': Bidder"),
            "hooks",
            "offers 'skewed', which is built in",
        ),
        (WHOLE.replace("def quotes", "def quote"), "build", "'bidder' has no quotes"),
        (
            WHOLE.replace(
                "class Bidder:\n",
                "class Bidder:\n    def __attrs_post_init__(self):\n"
                "        raise RuntimeError('no model file')\n",
            ),
            "build",
            "'bidder' cannot be made: RuntimeError: no model file",
        ),
        (
            WHOLE.replace(
                "class Bidder:\n",
                "class Bidder:\n    def self_check(self):\n        assert False, 'no licence'\n",
            ),
            "self_check",
            "'bidder': AssertionError: no licence",
        ),
    ],
)
def test_broken_plugin_is_told_with_its_step(
    site: SiteFolder, source: str, step: str, reason: str
) -> None:
    site.install("bidder", source)
    check(failed(), step, reason)


def test_name_offered_by_two_plugins_is_nobodys(site: SiteFolder) -> None:
    site.install("bidder", WHOLE)
    site.install("other", WHOLE)
    check(failed(), "hooks", "offers 'bidder', and so does other")
    assert scan(Plugins()).plugins["other"].error == "offers 'bidder', and so does bidder"


def test_name_offered_for_two_kinds_is_refused(site: SiteFolder) -> None:
    site.install("bidder", WHOLE + HOOK.replace("makers", "takers"))
    check(failed(), "hooks", "polytrade_takers offers 'bidder' again")


def test_plugin_declared_by_two_distributions_is_refused(site: SiteFolder) -> None:
    site.install("bidder", WHOLE)
    site.install("bidder", WHOLE, distribution="acme", module="acme_x")
    check(failed(), "find", "declared by acme 1.0.0 and by polytrade-bidder 1.0.0")


def test_half_installed_distribution_is_refused(site: SiteFolder) -> None:
    made = site.install("bidder", WHOLE)
    made.file.unlink()
    check(failed(), "find", "half installed: polytrade_bidder.py of its RECORD is missing")


def test_vanished_distribution_is_told(site: SiteFolder) -> None:
    site.install("bidder", WHOLE)
    catalogue = scan(BIDDER.plugins)
    commit(catalogue)
    site.uninstall("polytrade-bidder")
    again = scan(BIDDER.plugins, previous=catalogue)
    with pytest.raises(PluginError) as caught:
        build_lineup(BIDDER, again)
    check(caught.value, "find", "vanished: polytrade-bidder 1.0.0 is not installed any more")
    build_lineup(BIDDER, catalogue)
    assert "bidder" not in scan(BIDDER.plugins, previous=again).plugins


def test_broken_plugin_of_which_nothing_is_selected_does_no_harm(site: SiteFolder) -> None:
    site.install("bidder", WHOLE)
    site.install("broken", "1 / 0\n")
    built = build_lineup(BIDDER)
    assert built.catalogue is not None
    info = built.catalogue.plugins["broken"]
    assert info.error == "ZeroDivisionError: division by zero (polytrade_broken.py, line 1: 1 / 0)"
    assert info.error_step == "import"
    assert "polytrade_broken" not in sys.modules


def test_wanted_name_that_nobody_offers_names_the_broken_plugin(site: SiteFolder) -> None:
    site.install("a-broken", "1 / 0\n")
    site.install("bidder", "1 / 0\n")
    error = failed()
    check(error, "import", "ZeroDivisionError")
    assert "found 'bidder' @ strategy.maker" in error.reason


# -- settings ----------------------------------------------------------------------------------

FIELDS = """
import attrs
from polytrade.api import hookimpl, setting
polytrade_api = 1

@attrs.define
class Bidder:
    gamma: float = setting(0.1, "risk aversion", ge=0.0, le=1.0)
    base_quote_size: float = setting(1.0, "shares", ge=0.01)
    coins: tuple[str, ...] = setting(("btc",), "coins", choices=("btc", "eth"))
    join: bool = False
    level: int = attrs.field(default=1, validator=attrs.validators.ge(0))
    _hidden: int = 5
    state: dict = attrs.field(init=False, factory=dict)
    def quotes(self, view):
        return [], ""

@hookimpl
def polytrade_makers():
    return {"bidder": Bidder}
"""


def bidder(**settings: Any) -> Config:
    return select({"bidder": settings}, maker="bidder", base_quote_size=7.0)


def test_values_come_from_the_table_then_the_section_then_the_default(site: SiteFolder) -> None:
    site.install("bidder", FIELDS)
    maker: Any = build_lineup(bidder(gamma=0.5, coins=["eth"], hidden=6)).maker
    assert (maker.gamma, maker.base_quote_size, maker.coins) == (0.5, 7.0, ("eth",))
    assert (maker.join, maker.level, maker._hidden) == (True, 1, 6)
    other: Any = build_lineup(bidder(base_quote_size=3)).maker
    assert (other.gamma, other.base_quote_size) == (0.1, 3.0)
    assert type(other.base_quote_size) is float


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"gamma": 2.0}, "expected float from 0 to 1, found 2.0 @ plugins.settings.bidder.gamma"),
        ({"gamma": "x"}, 'expected float from 0 to 1, found "x" @ plugins.settings.bidder.gamma'),
        (
            {"gama": 0.2},
            "unknown setting (did you mean gamma?) @ plugins.settings.bidder.gama",
        ),
        (
            {"coins": ["btc", "doge"]},
            'expected one of btc, eth, found "doge" @ plugins.settings.bidder.coins[1]',
        ),
        ({"level": 1.5}, "expected int, found 1.5 @ plugins.settings.bidder.level"),
        ({"level": -1}, "'level' must be >= 0: -1 @ plugins.settings.bidder"),
        ({"state": 5}, "unknown setting @ plugins.settings.bidder.state"),
    ],
)
def test_wrong_setting_is_told_with_its_path(
    site: SiteFolder, settings: dict[str, Any], problem: str
) -> None:
    site.install("bidder", FIELDS)
    assert problems(bidder(**settings)) == [problem]


def test_settings_of_what_is_not_selected_are_checked_too(site: SiteFolder) -> None:
    site.install("bidder", FIELDS)
    assert problems(select({"bidder": {"gamma": 2.0}})) == [
        "expected float from 0 to 1, found 2.0 @ plugins.settings.bidder.gamma"
    ]


def test_value_that_a_builtin_refuses_is_told_with_its_section() -> None:
    config = attrs.evolve(select(taker="profile"), taker=Taker(market_tier_profile="bold"))
    (problem,) = problems(config)
    assert problem.startswith("expected one of balanced, ")
    assert problem.endswith(', found "bold" @ taker.market_tier_profile')


def test_missing_setting_is_told(site: SiteFolder) -> None:
    site.install("bidder", FIELDS.replace("0.1, ", "attrs.NOTHING, "))
    assert problems(BIDDER) == [
        "expected float from 0 to 1, found nothing @ plugins.settings.bidder.gamma"
    ]


def test_table_of_nobody_is_refused_unless_it_may_be_a_broken_plugins(site: SiteFolder) -> None:
    assert problems(select({"trading_hour": {}})) == [
        "no plugin offers 'trading_hour' (did you mean trading_hours?) "
        "@ plugins.settings.trading_hour"
    ]
    site.install("broken", "1 / 0\n")
    assert build_lineup(select({"trading_hour": {}})).names["maker"] == "skewed"


def test_tables_survive_every_form_of_the_configuration(tmp_path: Path) -> None:
    text = """
[plugins]
risk_rules = ["trading_hours"]
[plugins.settings.trading_hours]
hours = ["13:00-14:00"]
[plugins.settings.glft-2]
gamma = 0.5
size = 10
on = true
name = "a \\"b\\""
levels = [1, 2]
"""
    (tmp_path / "x.toml").write_text(text)
    config = strict.load(tmp_path, ["plugins.settings.glft-2.size=11"])
    assert config.plugins.settings["glft-2"] == {
        "gamma": 0.5,
        "size": 11,
        "on": True,
        "name": 'a "b"',
        "levels": (1, 2),
    }
    assert strict.structure(strict.to_dict(config)) == config
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "x.toml").write_text(strict.to_toml(config))
    again = strict.load(tmp_path / "again")
    assert again == config
    assert strict.config_digest(again) == strict.config_digest(config)
    assert strict.config_digest(config) != strict.config_digest(strict.load(tmp_path))


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (5, "expected tables, found 5 @ plugins.settings"),
        ({"x": 5}, "expected a table, found 5 @ plugins.settings.x"),
        ({"x": {"a": float("nan")}}, "expected float, found nan @ plugins.settings.x.a"),
        (
            {"x": {"a": {"b": 1}}},
            "expected string, number, true or false, or an array of them, found a table "
            "@ plugins.settings.x.a",
        ),
        (
            {"x": {"a": [[1]]}},
            "expected string, number, true or false, or an array of them, found [1] "
            "@ plugins.settings.x.a[0]",
        ),
        ({"x": {"a b": 1}}, 'expected a plain name, found "a b" @ plugins.settings.x'),
    ],
)
def test_table_that_no_file_could_hold_is_refused(settings: Any, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        strict.structure({"plugins": {"settings": settings}})
    assert [str(each) for each in caught.value.problems] == [problem]


# -- self-check ---------------------------------------------------------------------------------


def test_self_check_can_be_left_for_later(site: SiteFolder) -> None:
    check_it = "class Bidder:\n    def self_check(self):\n        raise OSError('no file')\n"
    site.install("bidder", WHOLE.replace("class Bidder:\n", check_it))
    built = build_lineup(BIDDER, scan(BIDDER.plugins), checked=False)
    with pytest.raises(PluginError) as caught:
        check_lineup(built)
    check(caught.value, "self_check", "'bidder': OSError: no file")


def test_every_kind_names_a_hook_and_a_setting_there_is() -> None:
    config = Config()
    for kind in KINDS.values():
        assert kind.hook.startswith("polytrade_")
        if kind.selected_by:
            section, _, name = kind.selected_by.partition(".")
            assert hasattr(getattr(config, section), name)
        if kind.section:
            assert hasattr(config, kind.section)
