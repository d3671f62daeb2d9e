"""What a reload is told as: refusals in the words of the request, records without secrets."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import attrs
import orjson
import pytest

from polytrade.catalogue import Catalogue, scan
from polytrade.config import Config
from polytrade.core.engine import Engine
from polytrade.distributions import find_plugins
from polytrade.errors import ConfigError, Problem
from polytrade.lineup import build_lineup
from polytrade.probe import ProbeAnswer
from polytrade.runtime.logs import register_secret
from polytrade.runtime.plugin_rows import plugin_rows
from polytrade.runtime.reload_history import History, Outcome
from polytrade.runtime.reload_plan import plan, wanted_config
from polytrade.runtime.reload_refusals import Refused, refusal_of, refusal_of_trial
from polytrade.runtime.reload_requests import (
    ReloadRefused,
    ReloadReply,
    ReloadRequest,
    effective,
)
from polytrade.runtime.reload_texts import CHANGES_MAX, TEXT_MAX, changed_settings, told_text
from tests.plugin_projects import SiteFolder, maker_source, plugin_site

BASE = Config()
SECRET = "correct-horse-9"


def asked(name: str, **fields: Any) -> ReloadRequest:
    return ReloadRequest(name=name, who="test", **fields)


def with_tables(**tables: dict[str, Any]) -> Config:
    return attrs.evolve(BASE, plugins=attrs.evolve(BASE.plugins, settings=tables))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[SiteFolder]:
    with plugin_site(tmp_path / "site") as folder:
        yield folder


# -- fields -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "path", "step", "field"),
    [
        (asked("strategy"), "plugins.settings.skewed.gamma", "settings", "settings.gamma"),
        (asked("strategy"), "plugins.settings.skewed", "settings", "settings"),
        (asked("strategy", plugin="glft"), "plugins.settings.glft.a", "settings", "settings.a"),
        (
            asked("strategy", plugin="glft"),
            "plugins.settings.skewed.a",
            "settings",
            "plugins.settings.skewed.a",
        ),
        (asked("plugins"), "plugins.settings.tell.url", "settings", "settings.tell.url"),
        (asked("plugins"), "plugins.settings.tell", "settings", "settings.tell"),
        (asked("config"), "plugins.settings.tell.url", "settings", "plugins.settings.tell.url"),
        (asked("strategy"), "strategy.maker", "find", "strategy.maker"),
        (asked("strategy", plugin="glfd"), "strategy.maker", "find", "plugin"),
        (asked("taker", plugin="glfd"), "strategy.maker", "find", "strategy.maker"),
        (asked("plugins"), "plugins.feeds", "find", "feeds"),
        (asked("plugins"), "plugins.feeds[1]", "", "feeds[1]"),
        (asked("config"), "plugins.feeds", "find", "plugins.feeds"),
        (asked("strategy"), "strategy.min_edge_bps", "", "min_edge_bps"),
        (asked("strategy"), "taker.trigger_bps", "", "taker_trigger_bps"),
        (asked("strategy"), "strategy.half_spread", "", "strategy.half_spread"),
        (asked("strategy"), "", "", ""),
    ],
)
def test_refusal_names_step_and_the_field_of_the_request(
    request_: ReloadRequest, path: str, step: str, field: str
) -> None:
    refusal = refusal_of(ConfigError(Problem("m", path)), request_, BASE)
    assert (refusal.step, refusal.field) == (step, field)
    assert refusal.code == ("reload_failed" if step else "invalid_value")


def test_name_given_twice_is_a_wrong_value_and_no_step_failed() -> None:
    with pytest.raises(Refused) as refused:
        wanted_config(BASE, asked("plugins", patch={"feeds": ("a", "a")}), None)
    refusal = refused.value.refusal
    assert (refusal.code, refusal.step, refusal.field) == ("invalid_value", "", "feeds")


@pytest.mark.parametrize(
    ("path", "field"),
    [("plugins.settings.skewed", "settings.url"), ("taker", "taker.url")],
)
def test_setting_that_a_check_of_the_plugin_names_is_the_field(path: str, field: str) -> None:
    error = ConfigError(Problem("expected a wss:// address @ url", path))
    refusal = refusal_of(error, asked("strategy"), BASE)
    assert refusal.field == field
    assert refusal.message == f"expected a wss:// address @ {path}.url"


def test_settings_step_names_the_plugin_and_its_version_as_tried(site: SiteFolder) -> None:
    site.install("big-bidder", maker_source())
    catalogue = scan(BASE.plugins)
    error = ConfigError(Problem("m", "plugins.settings.bidder.size"))
    request = asked("strategy", plugin="bidder", code=True)
    refusal = refusal_of(error, request, BASE, catalogue=catalogue)
    assert refusal.plugin == "big-bidder 1.0.0"
    site.install("big-bidder", maker_source(price_e4=1), version="1.1.0")
    planned = plan(BASE, wanted_config(BASE, request, None), request, catalogue)
    refusal = refusal_of(error, request, BASE, catalogue=catalogue, planned=planned)
    assert refusal.plugin == "big-bidder 1.1.0"
    nobody = ConfigError(Problem("m", "plugins.settings.bider"))
    assert refusal_of(nobody, request, BASE, catalogue=catalogue).plugin == ""


def test_problems_of_a_trial_are_told_once_each() -> None:
    catalogue, path = scan(BASE.plugins), "plugins.settings.skewed"
    why = f"unknown setting @ {path}.a; expected int, found 5.5 @ {path}.b"
    answer = ProbeAnswer(False, "settings", why=why, field=f"{path}.a", allowed="b, c")
    request = asked("strategy")
    planned = plan(BASE, BASE, request, catalogue)
    refusal = refusal_of_trial(answer, request, BASE, catalogue, planned)
    assert (refusal.message, refusal.field, refusal.allowed) == (why, "settings.a", "b, c")


# -- names ------------------------------------------------------------------------------------


def untold(catalogue: Catalogue, request: ReloadRequest, path: str, allowed: str) -> ReloadRefused:
    config = attrs.evolve(BASE, strategy=attrs.evolve(BASE.strategy, maker=request.plugin))
    planned = plan(BASE, config, request, catalogue)
    answer = ProbeAnswer(False, "settings", why=f"m @ {path}", field=path, allowed=allowed)
    return refusal_of_trial(answer, request, BASE, catalogue, planned)


def test_unknown_name_is_refused_with_all_names_there_are(site: SiteFolder) -> None:
    site.install("bidder", maker_source())
    catalogue = scan(BASE.plugins)
    site.install("class", maker_source("first-class"))
    site.install("tell", maker_source("teller"))
    request = asked("strategy", plugin="clas")
    refusal = untold(catalogue, request, "strategy.maker", "`first-class`, `skewed`")
    assert (refusal.step, refusal.field) == ("find", "plugin")
    names = "basis_mr, bidder, blend, control_mid, control_random, digital, first-class, skewed"
    assert refusal.allowed == f"{names}, class, tell"
    assert refusal.message == (
        f"no plugin offers 'clas': there is {names}; installed and not loaded: class, tell"
        " (did you mean class?)"
    )


def test_unknown_name_is_refused_without_a_trial_when_nothing_is_new() -> None:
    catalogue = scan(BASE.plugins)
    request = asked("plugins", patch={"risk_rules": ("trading_ours",)})
    with pytest.raises(Refused) as refused:
        plan(BASE, wanted_config(BASE, request, None), request, catalogue)
    refusal = refused.value.refusal
    assert (refusal.step, refusal.field, refusal.allowed) == ("find", "risk_rules", "trading_hours")
    assert refusal.message == (
        "no plugin offers 'trading_ours': there is trading_hours (did you mean trading_hours?)"
    )


def test_name_that_is_no_choice_of_a_list_is_told_as_the_trial_says() -> None:
    catalogue = scan(BASE.plugins)
    request = asked("plugins", patch={"feeds": ("okx",)})
    planned = plan(BASE, wanted_config(BASE, request, None), request, catalogue)
    why = "'okx' is built in: feeds.okx.enabled switches it @ plugins.feeds"
    answer = ProbeAnswer(False, "settings", why=why, field="plugins.feeds")
    refusal = refusal_of_trial(answer, request, BASE, catalogue, planned)
    assert (refusal.message, refusal.step, refusal.field) == (why, "find", "feeds")


# -- taking settings back -----------------------------------------------------------------------


def test_none_takes_a_setting_back_and_a_table_goes_with_its_last() -> None:
    current = with_tables(none={"a": 1, "b": 2}, other={"c": 3})
    first = wanted_config(current, asked("taker", settings={"a": None, "b": 5}), None)
    assert first.plugins.settings == {"none": {"b": 5}, "other": {"c": 3}}
    second = wanted_config(first, asked("taker", settings={"b": None, "never": None}), None)
    assert second.plugins.settings == {"other": {"c": 3}}
    assert wanted_config(second, asked("taker", settings={"a": None}), None) == second
    third = wanted_config(current, asked("plugins", settings={"other": None, "none": {}}), None)
    assert third.plugins.settings == {"none": {"a": 1, "b": 2}}
    fourth = wanted_config(current, asked("plugins", settings={"other": {"c": None}}), None)
    assert fourth.plugins.settings == {"none": {"a": 1, "b": 2}}


@pytest.mark.parametrize(
    ("request_", "hint"),
    [
        (asked("taker"), "; null takes it away"),
        (asked("taker", settings={"gone": 2}), ""),
        (asked("plugins"), "; null takes it away"),
        (asked("plugins", settings={"none": {"gone": 2}}), ""),
        (asked("allocator"), "; null for it in `settings` of reload_plugins takes it away"),
        (asked("config"), ""),
    ],
)
def test_refusal_of_what_was_set_before_says_how_it_goes(
    request_: ReloadRequest, hint: str
) -> None:
    error = ConfigError(Problem("unknown setting", "plugins.settings.none.gone"))
    told = refusal_of(error, request_, with_tables(none={"gone": 1}))
    assert told.message == f"unknown setting{hint} @ plugins.settings.none.gone"
    never = refusal_of(error, request_, BASE)
    assert never.message == "unknown setting @ plugins.settings.none.gone"


# -- what is in force -----------------------------------------------------------------------------


def test_own_settings_are_told_with_their_defaults(site: SiteFolder) -> None:
    site.install("bidder", maker_source())
    strategy = attrs.evolve(BASE.strategy, maker="bidder")
    config = attrs.evolve(with_tables(bidder={"price_e4": 7}), strategy=strategy)
    lineup = build_lineup(config)
    groups = effective("strategy", config, lineup)
    assert groups["maker"]["plugin"] == "bidder"
    assert groups["maker"]["settings"] == {"price_e4": 7, "size": 5.0}
    assert "settings" not in groups["fair_value"]  # all of it is of its section
    whole = effective("rollback", config, lineup)
    assert whole["settings"] == {"bidder": {"price_e4": 7, "size": 5.0}}
    assert whole["config"]["strategy"]["maker"] == "bidder"
    assert effective("strategy", config)["maker"]["settings"] == {"price_e4": 7}


def test_rows_tell_what_is_installed_and_differs_from_memory(site: SiteFolder) -> None:
    site.install("bidder", maker_source())
    site.install("same", maker_source("same"))
    site.install("goes", maker_source("goes"))
    lineup = build_lineup(BASE)
    assert lineup.catalogue is not None
    site.install("bidder", maker_source(price_e4=1), version="1.1.0")
    site.uninstall("polytrade-goes")
    site.install("late", maker_source("late"))
    half = site.install("half", maker_source("half"))
    half.file.unlink()
    found = find_plugins()
    engine = SimpleNamespace(faults={}, crew=SimpleNamespace(broken_rule=lambda: ""))
    since = dict.fromkeys(lineup.catalogue.plugins, 1)
    made = (lineup.catalogue, lineup, cast(Engine, engine), since)
    rows = {row["name"]: row for row in plugin_rows(*made, found, ("late",))}
    assert list(rows) == ["builtin", "bidder", "goes", "same", "half", "late"]
    changed = {"version": "1.1.0", "digest": found["bidder"].digest}
    gone = {"version": None, "digest": None}
    assert [row["on_disk"] for row in rows.values()] == [None, changed, gone, None, None, None]
    assert [row["loaded"] for row in rows.values()] == [True] * 4 + [False] * 2
    assert [row["disabled"] for row in rows.values()] == [False] * 5 + [True]
    assert (rows["bidder"]["version"], rows["late"]["version"]) == ("1.0.0", "1.0.0")
    assert rows["late"]["digest"] == found["late"].digest
    assert (rows["half"]["error_step"], rows["late"]["error_step"]) == ("find", "")
    assert "half installed" in rows["half"]["last_error"]
    assert {tuple(row) for row in rows.values()} == {tuple(rows["builtin"])}
    unknown = plugin_rows(*made)
    assert [row["name"] for row in unknown] == ["builtin", "bidder", "goes", "same"]
    assert all("on_disk" not in row for row in unknown)


# -- records --------------------------------------------------------------------------------------


def test_changes_are_told_setting_by_setting_without_secrets() -> None:
    register_secret(SECRET)
    before = with_tables(tell={"url": f"http://x/{SECRET}", "api_key": "k1", "every_s": 5})
    after = attrs.evolve(
        with_tables(tell={"api_key": "k2", "every_s": 5}, new={"levels": (1, 2)}),
        risk=attrs.evolve(BASE.risk, max_open_orders=7),
    )
    assert changed_settings(before, after) == {
        "risk.max_open_orders": [BASE.risk.max_open_orders, 7],
        "plugins.settings.tell.url": ["http://x/***", None],
        "plugins.settings.tell.api_key": ["***", "***"],
        "plugins.settings.new.levels": [None, [1, 2]],
    }
    assert changed_settings(before, before) == {}
    many = with_tables(many={f"s{n}": n for n in range(CHANGES_MAX + 3)})
    told = changed_settings(BASE, many)
    assert (len(told), told["..."]) == (CHANGES_MAX + 1, 3)


def test_texts_are_held_by_json() -> None:
    register_secret(SECRET)
    assert told_text(f"a\ud800b {SECRET}") == "a?b ***"


async def test_history_takes_any_text_and_keeps_no_secret(tmp_path: Path) -> None:
    register_secret(SECRET)
    history = History(tmp_path, lambda _: None)
    refusal = ReloadRefused(
        code="reload_failed",
        message=f"KeyError: '\ud800' {SECRET} " + "x" * TEXT_MAX,
        step="probe",
        plugin="p\udfff 1",
    )
    settings = {"url": f"https://{SECRET}@x", "api_key": "k", "half": "\ud800", "big": 2**64}
    request = asked("strategy", settings=settings, why="\ud800")
    await history.add(Outcome(ts_ns=0, request=request, answer=refusal, generation=1, took_ms=1))
    reply = ReloadReply(generation=2, applied_at_ns=0, effective={})
    changed = {"risk.max_open_orders": [3, 7]}
    await history.add(
        Outcome(
            ts_ns=0,
            request=asked("config"),
            answer=reply,
            generation=2,
            took_ms=1,
            changed=changed,
        )
    )
    first, second = history.rows
    assert first["message"].startswith("KeyError: '?' *** xxx")
    assert len(first["message"]) == TEXT_MAX
    assert (first["plugin"], first["why"]) == ("p? 1", "?")
    assert first["patch"] == {
        "settings": {"url": "https://***@x", "api_key": "***", "half": "?", "big": str(2**64)}
    }
    assert second["patch"] == changed
    for name, row in (("strategy", first), ("config", second)):
        line = (tmp_path / "1970-01-01" / f"{name}_reload.jsonl").read_bytes()
        assert SECRET.encode() not in line
        assert orjson.loads(line) == row
