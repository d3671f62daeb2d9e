"""What a reload tries, loads and rehearses: the code asked for, and no other."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from polytrade.catalogue import Catalogue, commit, scan
from polytrade.config import Config, Plugins, Strategy
from polytrade.errors import PluginError
from polytrade.lineup import build_lineup, dump_states
from polytrade.runtime.reload_plan import Plan, plan, possible_kinds, wanted_config
from polytrade.runtime.reload_requests import ReloadRequest
from polytrade.runtime.reload_steps import load, rehearsed, to_try
from tests.plugin_projects import SiteFolder, maker_source, plugin_site

RULE = """
import attrs
from polytrade.api import hookimpl

polytrade_api = 1


@attrs.define
class Meek:
    def check(self, request, context):
        return ""


@hookimpl
def polytrade_risk_rules():
    return {"meek": Meek}
"""
CONFIG = Config(
    strategy=Strategy(maker="bidder"),
    plugins=Plugins(
        risk_rules=("meek", "trading_hours"), settings={"bidder": {"size": 7.0}, "meek": {}}
    ),
)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[SiteFolder]:
    with plugin_site(tmp_path / "site") as folder:
        folder.install("bidder", maker_source())
        folder.install("meek", RULE)
        yield folder


def planned(catalogue: Catalogue, config: Config = CONFIG, **asked: Any) -> Plan:
    request = ReloadRequest(who="test", **asked)
    kinds = [*possible_kinds(request, catalogue), None]
    return plan(config, wanted_config(config, request, kinds[0]), request, catalogue)


def test_everything_in_use_is_tried_while_disk_and_memory_agree(site: SiteFolder) -> None:
    catalogue = scan(CONFIG.plugins)
    site.edit("polytrade-bidder", "4000", "4100")
    config, plugins = to_try(planned(catalogue, name="strategy", code=True), catalogue)
    assert config == CONFIG
    assert set(plugins) == {"bidder", "meek"}
    assert plugins["bidder"] != catalogue.plugins["bidder"].line


@pytest.mark.parametrize("source", ["def (", RULE.replace('""\n', '"no"\n'), None])
def test_neighbour_whose_code_on_disk_is_not_in_force_is_left_out(
    site: SiteFolder, source: str | None
) -> None:
    catalogue = scan(CONFIG.plugins)
    site.edit("polytrade-bidder", "4000", "4100")
    if source is None:
        site.uninstall("polytrade-meek")
    else:
        site.install("meek", source)
    config, plugins = to_try(planned(catalogue, name="strategy", code=True), catalogue)
    assert set(plugins) == {"bidder"}
    assert config.plugins.risk_rules == ("trading_hours",)
    assert config.plugins.settings == {"bidder": {"size": 7.0}}
    assert config.strategy == CONFIG.strategy


def test_what_ships_with_polytrade_takes_the_part_of_a_neighbour_left_out(
    site: SiteFolder,
) -> None:
    catalogue = scan(CONFIG.plugins)
    site.install("bidder", "def (")
    site.edit("polytrade-meek", '""\n', '"no"\n')
    request = {"name": "plugins", "patch": {"risk_rules": ("meek",)}, "plugin": ""}
    found = attrs.evolve(
        planned(catalogue, **request), wanted={"bidder": "", "meek": "1.0.0+sha256:0"}
    )
    config, plugins = to_try(found, catalogue)
    assert plugins == {"meek": "1.0.0+sha256:0"}
    assert config.strategy.maker == Strategy().maker == "skewed"
    assert config.plugins.risk_rules == ("meek",)
    assert config.plugins.settings == {"meek": {}}


def test_broken_plugin_nobody_asked_for_is_not_imported_by_a_reload(
    site: SiteFolder, tmp_path: Path
) -> None:
    """A child tries what is loaded; this was not tried, and may never end."""
    site.install("other", "import nothing_like_this\n")
    catalogue = scan(CONFIG.plugins)
    commit(catalogue)
    ran = tmp_path / "ran"
    site.install("other", f"import pathlib\npathlib.Path({str(ran)!r}).touch()\n", version="2.0")
    site.edit("polytrade-bidder", "4000", "4100")
    found = planned(catalogue, name="strategy", code=True)
    assert "other" not in found.wanted
    again = load(found, catalogue)
    assert not ran.exists()
    assert again.plugins["other"] == catalogue.plugins["other"]
    assert again.plugins["bidder"] != catalogue.plugins["bidder"]


def test_state_that_is_not_taken_refuses_a_reload_and_not_a_rollback(site: SiteFolder) -> None:
    first = scan(CONFIG.plugins)
    old: Any = build_lineup(CONFIG, first)
    old.maker.asked = 7
    site.edit("polytrade-bidder", 'state["asked"]', 'state["askd"]')
    second = scan(CONFIG.plugins, previous=first, fresh={"bidder"})

    def rehearse(*, lenient: bool) -> Any:
        copy = build_lineup(CONFIG, second)
        states = dump_states(old, copy)
        assert states == {"maker/bidder": b'{"asked":7}'}
        return rehearsed(copy, states, CONFIG, second, lenient=lenient)

    with pytest.raises(PluginError) as caught:
        rehearse(lenient=False)
    assert (caught.value.step, caught.value.name) == ("handover", "bidder")
    assert rehearse(lenient=True).maker.asked == 0


def test_copy_that_took_the_state_is_not_what_comes_in_force(site: SiteFolder) -> None:
    first = scan(CONFIG.plugins)
    copy: Any = build_lineup(CONFIG, first)
    made: Any = rehearsed(copy, {"maker/bidder": b'{"asked":7}'}, CONFIG, first, lenient=False)
    assert (copy.maker.asked, made.maker.asked) == (7, 0)
