"""Loading plugins: what is selected, what is refused at which step, and whose name is said."""

import gc
import sys
import threading
import weakref
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
    Catalogue,
    Changes,
    Lineup,
    build_lineup,
    changes_since,
    check_lineup,
    commit,
    dump_states,
    restore_states,
    scan,
    state_of,
    stays,
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


# -- generations -------------------------------------------------------------------------------


def price(config: Config, catalogue: Catalogue) -> int:
    maker: Any = build_lineup(config, catalogue).maker
    found: int = maker.price_e4
    return found


def test_scan_leaves_the_code_in_force_until_commit(site: SiteFolder) -> None:
    site.install("bidder", maker_source(price_e4=4000))
    first = scan(BIDDER.plugins)
    assert "polytrade_bidder" not in sys.modules
    commit(first)
    module = sys.modules["polytrade_bidder"]
    site.edit("polytrade-bidder", "4000", "4100")
    second = scan(BIDDER.plugins, previous=first, fresh=("bidder",))
    assert price(BIDDER, second) == 4100
    assert sys.modules["polytrade_bidder"] is module
    commit(second)
    assert sys.modules["polytrade_bidder"] is not module
    assert price(BIDDER, first) == 4000
    commit(first)
    assert sys.modules["polytrade_bidder"] is module


def test_plugins_that_are_not_fresh_keep_their_code(site: SiteFolder) -> None:
    site.install("bidder", maker_source(price_e4=4000))
    site.install("other", maker_source("other", price_e4=4000))
    first = scan(BIDDER.plugins)
    site.edit("polytrade-bidder", "4000", "4100")
    site.edit("polytrade-other", "4000", "4100")
    second = scan(BIDDER.plugins, previous=first, fresh=("other",))
    assert price(BIDDER, second) == 4000
    assert price(select(maker="other"), second) == 4100
    assert second.plugins["bidder"] == first.plugins["bidder"]


def test_plugins_of_one_package_are_fresh_together(site: SiteFolder) -> None:
    text = maker_source("bidder")
    site.install(
        "bidder",
        text,
        files={"two.py": maker_source("second").replace("polytrade_makers", "polytrade_makers")},
        points={"bidder": "polytrade_bidder", "second": "polytrade_bidder.two"},
    )
    first = scan(BIDDER.plugins)
    second = scan(BIDDER.plugins, previous=first, fresh=("second",))
    assert (
        second.factories["maker", "bidder"].factory
        is not first.factories["maker", "bidder"].factory
    )


def test_helpers_of_a_plugin_are_fresh_too(site: SiteFolder) -> None:
    source = maker_source().replace("setting(4000", "setting(PRICE")
    source = source.replace(
        "import attrs", "import attrs\nfrom polytrade_bidder.deep.price import PRICE"
    )
    site.install("bidder", source, files={"deep/price.py": "PRICE = 4000\n"})
    first = scan(BIDDER.plugins)
    commit(first)
    helper = site.installed["polytrade-bidder"].file.parent / "deep" / "price.py"
    helper.write_text("PRICE = 4100\n")
    second = scan(BIDDER.plugins, previous=first, fresh=("bidder",))
    assert (price(BIDDER, first), price(BIDDER, second)) == (4000, 4100)


def test_same_second_same_size_edit_is_new_code(site: SiteFolder) -> None:
    site.install("bidder", maker_source(price_e4=4000))
    assert price(BIDDER, scan(BIDDER.plugins)) == 4000
    site.edit("polytrade-bidder", "4000", "4100")
    assert price(BIDDER, scan(BIDDER.plugins)) == 4100


def test_build_without_a_catalogue_takes_what_is_imported_and_unchanged(site: SiteFolder) -> None:
    site.install("bidder", maker_source(price_e4=4000))
    build_lineup(BIDDER)
    module = sys.modules["polytrade_bidder"]
    assert type(build_lineup(BIDDER).maker) is module.Bidder
    assert sys.modules["polytrade_bidder"] is module
    site.edit("polytrade-bidder", "4000", "4100")
    assert type(build_lineup(BIDDER).maker) is not module.Bidder


def test_new_plugin_is_found_by_the_next_scan(site: SiteFolder) -> None:
    first = scan(BIDDER.plugins)
    site.install("bidder", maker_source())
    second = scan(BIDDER.plugins, previous=first)
    assert list(second.plugins) == ["builtin", "bidder"]


def test_code_that_failed_is_imported_again_when_asked_for_only(
    site: SiteFolder, tmp_path: Path
) -> None:
    """What nobody asked for nobody tried: it may be worse than before."""
    site.install("bidder", maker_source())
    site.install("other", "1 / 0\n")
    first = scan(BIDDER.plugins)
    assert first.plugins["other"].error == "ZeroDivisionError: division by zero (" + (
        "polytrade_other.py, line 1: 1 / 0)"
    )
    ran = tmp_path / "ran"
    mark = f"import pathlib\npathlib.Path({str(ran)!r}).touch()\n"
    site.install("other", mark + maker_source("other"), version="2.0.0")
    second = scan(BIDDER.plugins, previous=first, fresh={"bidder"})
    assert second.plugins["other"] == first.plugins["other"]
    assert not ran.exists()
    third = scan(BIDDER.plugins, previous=second, fresh={"other"})
    assert (third.plugins["other"].error, third.plugins["other"].version) == ("", "2.0.0")
    assert ran.exists()


def test_changes_on_disk_are_told_without_an_import(site: SiteFolder) -> None:
    for name in ("edited", "gone", "same", "updated"):
        site.install(name, maker_source(name))
    site.install("broken", "1 / 0\n")
    catalogue = scan(Plugins())
    site.edit("polytrade-edited", "4000", "4100")
    site.install("updated", maker_source("updated"), version="1.1.0")
    site.install("new", maker_source("new"))
    site.uninstall("polytrade-gone")
    before = dict(sys.modules)
    found = changes_since(catalogue)
    assert found == Changes(("new",), ("broken", "edited", "updated"), ("gone",))
    assert sys.modules == before


def test_old_generation_is_freed_when_its_catalogue_is_dropped(site: SiteFolder) -> None:
    site.install("bidder", maker_source(), files={"part.py": "A = 1\n"})
    first = scan(BIDDER.plugins)
    commit(first)
    old = build_lineup(BIDDER, first)
    site.edit("polytrade-bidder", "4000", "4100")
    second = scan(BIDDER.plugins, previous=first, fresh=("bidder",))
    new = build_lineup(BIDDER, second)
    hand_over(old, new)
    commit(second, first)
    gone = [
        weakref.ref(each)
        for each in (old.maker, type(old.maker), first.modules["bidder"]["polytrade_bidder"])
    ]
    assert all(ref() is not None for ref in gone)
    del old, first
    gc.collect()
    assert [ref() for ref in gone] == [None, None, None]


CACHED = """
import typing


class State:
    pass


Maybe = typing.Optional[State]
Many = typing.List[State]
Told = typing.Annotated[State, "told"]


class Kept:
    one: typing.ClassVar[State]
    other: typing.Final[State] = State()
"""


def test_generation_is_freed_though_typing_has_seen_its_classes(site: SiteFolder) -> None:
    site.install("bidder", CACHED + maker_source())
    catalogue = scan(BIDDER.plugins)
    commit(catalogue)
    gone: list[weakref.ref[Any]] = []
    for price_e4 in (4100, 4200, 4300):
        site.install("bidder", CACHED + maker_source(price_e4=price_e4))
        again = scan(BIDDER.plugins, previous=catalogue, fresh={"bidder"})
        gone.append(weakref.ref(catalogue.modules["bidder"]["polytrade_bidder"].State))
        commit(again, catalogue)
        catalogue = again
    del again
    gc.collect()
    assert [ref() for ref in gone] == [None, None, None]
    assert price(BIDDER, catalogue) == 4300


def test_failed_generation_is_freed(site: SiteFolder) -> None:
    site.install("bidder", maker_source())
    first = scan(BIDDER.plugins)
    commit(first)
    before = dict(sys.modules)
    site.edit("polytrade-bidder", "def quotes", "def quoted")
    second = scan(BIDDER.plugins, previous=first, fresh=("bidder",))
    gone = weakref.ref(second.modules["bidder"]["polytrade_bidder"])
    with pytest.raises(PluginError, match="'bidder' has no quotes"):
        build_lineup(BIDDER, second)
    assert sys.modules == before
    del second
    gc.collect()
    assert gone() is None


def test_scan_works_in_a_thread(site: SiteFolder) -> None:
    site.install("bidder", maker_source())
    found: list[Catalogue] = []
    thread = threading.Thread(target=lambda: found.append(scan(BIDDER.plugins)))
    thread.start()
    thread.join()
    assert found[0].names("maker") == ["bidder", "control_mid", "control_random", "skewed"]


# -- state and self-check ----------------------------------------------------------------------


def two(site: SiteFolder, before: str = "4000", after: str = "4100") -> tuple[Any, Any]:
    """A lineup, and the one of its code after an edit."""
    site.install("bidder", maker_source())
    first = scan(BIDDER.plugins)
    old = build_lineup(BIDDER, first)
    site.edit("polytrade-bidder", before, after)
    new = build_lineup(BIDDER, scan(BIDDER.plugins, previous=first, fresh=("bidder",)))
    return old, new


def hand_over(old: Lineup, new: Lineup) -> None:
    """As a reload does it."""
    restore_states(new, dump_states(old, new))


def test_state_is_handed_to_the_same_name(site: SiteFolder) -> None:
    old, new = two(site)
    old.maker.asked = 7
    hand_over(old, new)
    assert new.maker.asked == 7
    assert dump_states(old, build_lineup(Config())) == {}


def test_state_crosses_as_plain_data(site: SiteFolder) -> None:
    old, new = two(site)
    old.maker.asked = 7
    states = dump_states(old, new)
    assert states == {"maker/bidder": b'{"asked":7}'}
    old.maker.asked = 8
    restore_states(new, states)
    assert new.maker.asked == 7


def test_object_in_both_lineups_keeps_its_state(site: SiteFolder) -> None:
    old, _ = two(site)
    old.maker.asked = 3
    hand_over(old, old)
    assert old.maker.asked == 3


def test_only_what_is_replaced_and_in_service_says_its_state(site: SiteFolder) -> None:
    """The others stay as they are: what they keep, however much, is not worth a moment's pause."""
    old, new = two(site)
    same = build_lineup(BIDDER, old.catalogue)
    other = build_lineup(attrs.evolve(BIDDER, plugins=_sized(6.0)), old.catalogue)
    states = {"maker/bidder": b'{"asked":0}'}
    assert stays(old, same, "maker", "bidder")
    assert dump_states(old, same) == {}
    for changed in (new, other):
        assert not stays(old, changed, "maker", "bidder")
        assert dump_states(old, changed) == states
        assert dump_states(old, changed, {"taker", "risk_rule"}) == states
        assert dump_states(old, changed, {"maker"}) == {}


def _sized(size: float) -> Plugins:
    return Plugins(settings={"bidder": {"size": size}})


def test_nothing_is_dumped_for_a_successor_that_restores_nothing(site: SiteFolder) -> None:
    old, new = two(site, "def restore", "def restart")
    assert state_of(old.maker) == [b'{"asked":0}']
    assert dump_states(old, new) == {}


def test_object_without_dump_keeps_no_state() -> None:
    assert state_of(object()) == []


@pytest.mark.parametrize(
    ("state", "error"),
    [
        ("{}['x']", KeyError),
        ('{"a": object()}', TypeError),
        ("{1, 2}", TypeError),
        ("'\\udcff'", TypeError),
        ('"x" * 9000000', ValueError),
        ("exit(3)", SystemExit),
    ],
)
def test_object_that_cannot_say_its_state_holds_nothing_up(
    site: SiteFolder, state: str, error: type[BaseException]
) -> None:
    site.install("bidder", maker_source().replace('{"asked": self.asked}', state))
    first = scan(BIDDER.plugins)
    old: Any = build_lineup(BIDDER, first)
    with pytest.raises(error):
        state_of(old.maker)
    site.edit("polytrade-bidder", "4000", "4100")
    new: Any = build_lineup(BIDDER, scan(BIDDER.plugins, previous=first, fresh=("bidder",)))
    assert not stays(old, new, "maker", "bidder")
    old.maker.asked = 7
    hand_over(old, new)
    assert new.maker.asked == 0


def test_state_that_is_not_taken_is_told(site: SiteFolder) -> None:
    old, new = two(site, 'state["asked"]', 'state["askd"]')
    with pytest.raises(PluginError) as caught:
        hand_over(old, new)
    reason = "'bidder': it does not take the state handed over: KeyError: 'askd'"
    check(caught.value, "handover", reason)


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
