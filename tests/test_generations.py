"""Generations of plugins: whose code is new, what the next one takes over, and what is freed."""

import gc
import sys
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from polytrade.config import Config, Plugins, Strategy
from polytrade.errors import PluginError
from polytrade.lineup import (
    Catalogue,
    Changes,
    Lineup,
    build_lineup,
    changes_since,
    commit,
    dump_states,
    restore_states,
    scan,
    state_of,
    stays,
)
from tests.plugin_projects import SiteFolder, maker_source, plugin_site

BIDDER = Config(strategy=Strategy(maker="bidder"))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[SiteFolder]:
    with plugin_site(tmp_path / "site") as folder:
        yield folder


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
    assert price(Config(strategy=Strategy(maker="other")), second) == 4100
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


# -- what a generation hands to the next ---------------------------------------------------------


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
    error = caught.value
    assert (error.name, error.version, error.step) == ("bidder", "1.0.0", "handover")
    reason = "'bidder': it does not take the state handed over: KeyError: 'askd'"
    assert error.reason.startswith(reason)
