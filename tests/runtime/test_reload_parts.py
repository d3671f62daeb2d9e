"""The parts of a reload by themselves: budget, guard, history, plans, the table of endpoints."""

import resource
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import orjson
import pytest
import trio

from polytrade.catalogue import scan
from polytrade.config import Config, Reload
from polytrade.core.events import Event, ReloadRejected
from polytrade.core.units import ONE_E6
from polytrade.errors import PluginError
from polytrade.lineup import Catalogue, build_lineup
from polytrade.runtime import budget as budget_module
from polytrade.runtime.budget import Budget, Watched
from polytrade.runtime.guard import Standing
from polytrade.runtime.reload_history import KEPT_MAX, ROWS_MAX, History, Kept, Outcome
from polytrade.runtime.reload_plan import (
    plan,
    possible_kinds,
    reloaded_config,
    wanted_config,
)
from polytrade.runtime.reload_refusals import Refused
from polytrade.runtime.reload_requests import (
    ENDPOINTS,
    ReloadRefused,
    ReloadReply,
    ReloadRequest,
    effective,
)
from polytrade.runtime.reload_steps import concerns_plugins, listed, sections
from tests.plugin_projects import SiteFolder, maker_source, plugin_site

BASE = Config()


def asked(name: str, **fields: Any) -> ReloadRequest:
    return ReloadRequest(name=name, who="test", **fields)


# -- the table --------------------------------------------------------------------------------


def test_every_field_is_a_setting_and_two_of_one_field_agree() -> None:
    for endpoint in ENDPOINTS.values():
        for name, field in endpoint.fields.items():
            assert field.declared.metadata["doc"], name
            for path in field.paths:
                assert endpoint.field_of(path) == name
    stale = ENDPOINTS["strategy"].fields["stale_tick_filter_ms"]
    assert stale.paths == ("risk.stale_tick_filter_ms", "taker.stale_tick_filter_ms")


def test_a_field_sets_every_setting_it_stands_for() -> None:
    config = wanted_config(BASE, asked("strategy", patch={"stale_tick_filter_ms": 900}), None)
    assert config.risk.stale_tick_filter_ms == config.taker.stale_tick_filter_ms == 900
    alone = wanted_config(BASE, asked("taker", patch={"stale_tick_filter_ms": 800}), None)
    assert (alone.risk, alone.taker.stale_tick_filter_ms) == (BASE.risk, 800)


def test_settings_merge_into_the_table_of_the_selected_plugin() -> None:
    first = wanted_config(BASE, asked("taker", settings={"a": 1, "b": 2}), None)
    second = wanted_config(first, asked("taker", settings={"b": 3}), None)
    assert second.plugins.settings == {"none": {"a": 1, "b": 3}}
    assert effective("taker", second)["taker"]["settings"] == {"a": 1, "b": 3}


def test_values_that_do_not_fit_those_in_force_are_refused_by_their_field() -> None:
    with pytest.raises(Refused) as refused:
        wanted_config(BASE, asked("toxicity", patch={"safe_threshold": 0.9}), None)
    assert (refused.value.refusal.code, refused.value.refusal.field) == (
        "invalid_value",
        "safe_threshold",
    )
    zero = {"taker_weight": 0.0, "maker_weight": 0.0, "arb_weight": 0.0}
    with pytest.raises(Refused, match="a weight above 0"):
        wanted_config(BASE, asked("allocator", patch=zero), None)


def test_directory_changes_what_may_be_reloaded_and_keeps_the_rest() -> None:
    venue = attrs.evolve(BASE, feeds=attrs.evolve(BASE.feeds, clob_url="http://127.0.0.1:1"))
    latency = attrs.evolve(BASE.latency, io_flush_batch=8)
    loaded = attrs.evolve(BASE, latency=latency, risk=attrs.evolve(BASE.risk, max_open_orders=2))
    config = reloaded_config(venue, BASE, loaded)
    assert config == attrs.evolve(venue, latency=latency, risk=loaded.risk)
    for changed in (
        attrs.evolve(BASE, latency=attrs.evolve(BASE.latency, drain_max=8)),
        attrs.evolve(BASE, control=attrs.evolve(BASE.control, port=1)),
    ):
        with pytest.raises(Refused) as refused:
            reloaded_config(venue, BASE, changed)
        assert refused.value.refusal.code == "restart_needed"


# -- plans ------------------------------------------------------------------------------------


@pytest.fixture
def site(tmp_path: Path) -> Any:
    with plugin_site(tmp_path / "site") as folder:
        yield folder


def planned(request: ReloadRequest, catalogue: Catalogue, current: Config = BASE) -> Any:
    kinds = possible_kinds(request, catalogue) or [None]
    return plan(current, wanted_config(current, request, kinds[0]), request, catalogue)


def test_parameters_and_built_ins_need_no_trial() -> None:
    catalogue = scan(BASE.plugins)
    assert not planned(asked("strategy", patch={"ttl_ms": 500}), catalogue).tried
    assert not planned(asked("strategy", plugin="control_mid"), catalogue).tried
    assert [kind.name for kind in possible_kinds(asked("strategy", plugin="blend"), catalogue)] == [
        "fair_value"
    ]
    with pytest.raises(Refused, match="ships with polytrade"):
        planned(asked("taker", code=True), catalogue)
    with pytest.raises(Refused, match="no plugin offers 'glfd'"):
        planned(asked("strategy", plugin="glfd"), catalogue)


def test_only_the_plugin_asked_for_is_tried_and_loaded(site: SiteFolder) -> None:
    catalogue = scan(BASE.plugins)
    site.install("bidder", maker_source())
    site.install("other", "while True:\n    pass\n")
    found = planned(asked("strategy", plugin="bidder"), catalogue)
    assert (found.tried, found.hidden) == (True, ("other",))
    assert list(found.wanted) == ["bidder"]
    assert found.wanted["bidder"].startswith("1.0.0+sha256:")


def test_switch_to_code_that_changed_on_disk_asks_for_code(site: SiteFolder) -> None:
    site.install("bidder", maker_source())
    catalogue = scan(BASE.plugins)
    site.install("bidder", maker_source(price_e4=1), version="1.1.0")
    with pytest.raises(PluginError, match="ask with code true"):
        planned(asked("strategy", plugin="bidder"), catalogue)
    found = planned(asked("strategy", plugin="bidder", code=True), catalogue)
    assert found.fresh == {"bidder"}
    assert found.wanted["bidder"].startswith("1.1.0+sha256:")
    site.uninstall("polytrade-bidder")
    with pytest.raises(PluginError, match="is not installed any more"):
        planned(asked("strategy", plugin="bidder", code=True), catalogue)


def test_event_lists_what_differs_and_what_is_to_be_made_anew() -> None:
    risky = attrs.evolve(BASE, risk=attrs.evolve(BASE.risk, max_open_orders=2))
    assert not concerns_plugins(BASE, risky)
    assert list(orjson.loads(sections(BASE, risky, listed(asked("risk"))))) == ["risk"]
    told = orjson.loads(sections(BASE, risky, listed(asked("taker"))))
    assert sorted(told) == ["risk", "taker"]
    assert listed(asked("rollback")) == {"plugins"}
    assert concerns_plugins(BASE, attrs.evolve(BASE, taker=attrs.evolve(BASE.taker, ttl_ms=100)))


# -- budget -----------------------------------------------------------------------------------


@attrs.define
class Spent:
    """What one call costs: its own computing and sleeping, and what it waits for others."""

    computes_us: int = 0
    sleeps_us: int = 0
    gil_us: int = 0
    queues_us: int = 0
    pushed_off: int = 0


class Times:
    """Stopwatches that are set by hand: the wall, the thread, the process, the run queue."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_ns = 0
        self.thread_us = 0
        self.others_us = 0
        self.queued_us = 0
        self.pushed_off = 0
        monkeypatch.setattr(budget_module, "perf_counter_ns", lambda: self.now_ns)
        monkeypatch.setattr(budget_module, "getrusage", self._usage)
        monkeypatch.setattr(budget_module, "_queued_ns", lambda: self.queued_us * 1_000)

    def _usage(self, who: int) -> Any:
        used_us = self.thread_us
        if who == resource.RUSAGE_SELF:
            used_us += self.others_us
        usage = {"ru_utime": used_us / 1e6, "ru_stime": 0.0, "ru_nivcsw": self.pushed_off}
        return SimpleNamespace(**usage)

    def spend(self, spent: Spent) -> None:
        waits_us = spent.sleeps_us + spent.gil_us + spent.queues_us
        self.now_ns += (spent.computes_us + waits_us) * 1_000
        self.thread_us += spent.computes_us
        self.others_us += spent.gil_us
        self.queued_us += spent.queues_us
        self.pushed_off += spent.pushed_off


class Slow:
    def __init__(self, times: Times) -> None:
        self.times = times
        self.spent = Spent()
        self.gamma = 5

    def quotes(self, view: Any) -> Any:
        self.times.spend(self.spent)
        return view


def slow_maker(monkeypatch: pytest.MonkeyPatch) -> tuple[Slow, Any, Budget, list[str]]:
    """A maker under the stopwatch, cut out after 3 overruns of 1 ms within 10 s, and why it was."""
    told: list[str] = []
    section = Reload(call_budget_us=1000, overruns_max=3, overrun_window_s=10)
    budget = Budget(section, lambda _role, why: told.append(why))
    slow = Slow(Times(monkeypatch))
    maker = Watched(slow, "maker", budget_module.Overruns(budget, "maker"), budget)
    return slow, maker, budget, told


def test_repeated_overruns_quarantine_once(monkeypatch: pytest.MonkeyPatch) -> None:
    slow, maker, budget, told = slow_maker(monkeypatch)
    assert (maker.quotes(4), maker.gamma) == (4, 5)
    slow.spent = Spent(sleeps_us=1_001)
    for _ in range(3):
        assert maker.quotes(4) == 4
    assert (told, budget.overruns) == ([], 2)  # the first made it suspect
    slow.times.now_ns += 11_000_000_000
    maker.quotes(4)
    assert told == []
    maker.quotes(4)
    maker.quotes(4)
    maker.quotes(4)
    why = "3 calls within 10 s took longer than 1000 us, the last 1001 us"
    assert (told, budget.quarantined) == ([why], 1)


@pytest.mark.parametrize(
    "spent",
    [
        Spent(computes_us=1_000, gil_us=5_000),
        Spent(computes_us=1_000, queues_us=5_000),
        Spent(computes_us=600, sleeps_us=400, gil_us=5_000, queues_us=5_000),
        # Who has the GIL was pushed off the processor: it computes nothing, and we wait.
        Spent(computes_us=1_000, sleeps_us=5_000, pushed_off=1),
    ],
)
def test_waiting_for_the_gil_or_the_processor_is_never_the_plugins_time(
    monkeypatch: pytest.MonkeyPatch, spent: Spent
) -> None:
    slow, maker, budget, told = slow_maker(monkeypatch)
    slow.spent = spent
    for _ in range(50):
        maker.quotes(4)
    assert (budget.overruns, told) == (0, [])


@pytest.mark.parametrize(
    "spent",
    [
        Spent(computes_us=1_001),
        Spent(sleeps_us=1_001),
        Spent(computes_us=501, sleeps_us=500, gil_us=5_000, queues_us=5_000),
        Spent(computes_us=1_001, gil_us=5_000, queues_us=5_000, pushed_off=3),
    ],
)
def test_computing_and_sleeping_are_the_plugins_time_whatever_else_it_waits_for(
    monkeypatch: pytest.MonkeyPatch, spent: Spent
) -> None:
    slow, maker, budget, told = slow_maker(monkeypatch)
    slow.spent = spent
    for _ in range(4):
        maker.quotes(4)
    why = "3 calls within 10 s took longer than 1000 us, the last 1001 us"
    assert (budget.overruns, told) == (3, [why])


def test_first_overrun_alone_cuts_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    section = Reload(call_budget_us=1000, overruns_max=1)
    budget = Budget(section, lambda _role, why: told.append(why))
    slow = Slow(Times(monkeypatch))
    maker: Any = Watched(slow, "maker", budget_module.Overruns(budget, "maker"), budget)
    slow.spent = Spent(computes_us=60_000_000)
    maker.quotes(4)
    slow.spent = Spent(computes_us=1_000)
    for _ in range(50):
        maker.quotes(4)
    assert (budget.overruns, told) == (0, [])


def test_built_in_objects_have_no_budget_and_plugins_have(site: SiteFolder) -> None:
    site.install("bidder", maker_source())
    config = attrs.evolve(BASE, strategy=attrs.evolve(BASE.strategy, maker="bidder"))
    lineup = build_lineup(config)
    watched = Budget(Reload(), lambda role, why: None).watched(lineup)
    assert isinstance(watched.maker, Watched)
    assert watched.fair_value is lineup.fair_value
    assert watched.taker is lineup.taker


# -- guard ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "why"),
    [
        (Standing(95 * ONE_E6, 30, 0, 0), ""),
        (Standing(95 * ONE_E6 - 1, 30, 0, 0), "5.000001 USDC of equity lost, bound 5"),
        (Standing(100 * ONE_E6, 0, 0, 2), "2 plugin faults and overruns, bound 2"),
        (Standing(100 * ONE_E6, 9, 10, 0), ""),
        (Standing(100 * ONE_E6, 10, 10, 0), ""),
        (Standing(100 * ONE_E6, 9, 11, 0), "11 of 20 orders refused, bound 0.5"),
    ],
)
def test_bound_that_is_broken_is_named(now: Standing, why: str) -> None:
    section = Reload(guard_max_loss_usdc=5, guard_max_block_ratio=0.5, guard_max_errors=2)
    assert Standing(100 * ONE_E6, 0, 0, 0).broken(now, section) == why


# -- history ----------------------------------------------------------------------------------


async def test_history_is_bounded_and_on_disk_a_line_a_reload(tmp_path: Path) -> None:
    journal: list[Event] = []
    history = History(tmp_path, journal.append)
    catalogue = scan(BASE.plugins)
    for generation in range(2, ROWS_MAX + 4):
        reply = ReloadReply(generation=generation, applied_at_ns=0, effective={})
        request = asked("risk", patch={"max_open_orders": generation})
        await history.add(
            Outcome(ts_ns=0, request=request, answer=reply, generation=generation, took_ms=1.26)
        )
        history.below.append(Kept(generation, BASE, catalogue))
    refusal = ReloadRefused(code="reload_failed", message="m", step="probe", plugin="p 1")
    await history.add(
        Outcome(ts_ns=0, request=asked("risk"), answer=refusal, generation=300, took_ms=1)
    )
    assert (len(history.rows), len(history.below)) == (ROWS_MAX, KEPT_MAX)
    assert (history.accepted, history.refused) == (ROWS_MAX + 2, 1)
    lines = (tmp_path / "1970-01-01" / "risk_reload.jsonl").read_bytes().splitlines()
    assert len(lines) == ROWS_MAX + 3
    assert orjson.loads(lines[0]) == {
        "time": "1970-01-01T00:00:00.000Z",
        "generation": 2,
        "name": "risk",
        "who": "test",
        "why": "",
        "patch": {"max_open_orders": 2},
        "result": "applied",
        "took_ms": 1.3,
        "plugins": {},
        "pause_us": 0,
    }
    last = orjson.loads(lines[-1])
    assert (last["result"], last["step"], last["plugin"]) == ("refused", "probe", "p 1")
    assert journal == [ReloadRejected(0, "risk", "test", "{}", "reload_failed", "probe", "m")]


async def test_history_on_a_disk_that_refuses_goes_on(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    history = History(tmp_path / "file", lambda _: None)
    reply = ReloadReply(generation=2, applied_at_ns=0, effective={})
    await history.add(
        Outcome(ts_ns=0, request=asked("risk"), answer=reply, generation=2, took_ms=1)
    )
    await trio.lowlevel.checkpoint()
    assert len(history.rows) == 1
