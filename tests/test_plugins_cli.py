"""`polytrade plugins list|check|bench` over plugins that are installed, good and broken."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from polytrade.cli_plugins import plugins
from polytrade.errors import ConfigError, PluginError
from polytrade.plugin_checks import bench
from polytrade.testing import config
from tests.plugin_projects import SiteFolder, maker_source, plugin_site

ROOMY = (
    *("--set", "reload.probe_s=60", "--set", "reload.call_budget_us=1000000"),
    *("--set", "plugins.risk_rules=[]"),
)
"""A busy machine fails nobody's trial."""


HEAD = "from polytrade.api import hookimpl\nimport attrs\npolytrade_api = 1\n@attrs.define"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SiteFolder]:
    monkeypatch.chdir(tmp_path)  # without a configs folder: the defaults
    with plugin_site(tmp_path / "site") as folder:
        yield folder


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    """The exit code and the JSON of a command."""
    code = plugins.main([*words, "--json"], standalone_mode=False)
    return code, json.loads(capsys.readouterr().out)


def test_list_shows_what_is_offered_used_and_broken(
    site: SiteFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    site.install("bidder", maker_source(), version="1.2.0")
    site.install("broken", "import nothing_there\n")
    code, rows = said(capsys, "list", "--set", "strategy.maker=bidder")
    by_name = {row["name"]: row for row in rows}
    assert code == 0
    assert list(by_name) == ["builtin", "bidder", "broken"]
    assert by_name["bidder"]["version"] == "1.2.0"
    assert by_name["bidder"]["offers"] == {"maker": ["bidder"]}
    assert by_name["bidder"]["used"] == {"maker": ["bidder"]}
    assert by_name["broken"]["step"] == "import"
    assert "maker" not in by_name["builtin"]["used"]


def test_list_for_people_is_a_line_a_plugin(
    site: SiteFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    site.install("broken", "polytrade_api = 7\n")
    assert plugins.main(["list"], standalone_mode=False) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "maker skewed*" in lines[0]
    assert lines[1].endswith("BROKEN at step api: expected polytrade_api = 1, found 7")


def test_list_of_a_name_shows_its_settings(
    site: SiteFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    shared = (
        "    half_spread: float = 0.5\n    hours: tuple[int, ...] = (8, 9)\n    asked: int = attrs"
    )
    site.install("pack", maker_source().replace("    asked: int = attrs", shared))
    assert plugins.main(["list", "bidder"], standalone_mode=False) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert first.startswith("pack 1.0.0+sha256:")
    assert first.endswith(": maker bidder")
    assert lines == [
        "  maker bidder: [plugins.settings.bidder]",
        "    price_e4 = 4000 (int from 1 to 9999): price",
        "    size = 5.0 (float of at least 1, shares): shares a bid",
        "    half_spread = strategy.half_spread (float)",
        "    hours = [8, 9] (array of int)",
        "* in use",
    ]
    code, (row,) = said(capsys, "list", "pack")
    (offered,) = row["settings"]
    assert (code, offered["kind"], offered["name"]) == (0, "maker", "bidder")
    assert offered["settings"][1] == {
        "name": "size",
        "takes": "float of at least 1",
        "default": 5.0,
        "required": False,
        "unit": "shares",
        "doc": "shares a bid",
        "section": "",
    }
    assert offered["settings"][2]["section"] == "strategy.half_spread"


def test_list_of_a_setting_without_default_says_that_it_is_required(
    site: SiteFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    site.install(
        "bidder", maker_source().replace("    price_e4: int =", "    key: str\n    p: int =")
    )
    assert plugins.main(["list", "bidder"], standalone_mode=False) == 0
    assert "    key (string, required)" in capsys.readouterr().out.splitlines()


def test_list_of_an_unknown_name_is_refused(site: SiteFolder) -> None:
    with pytest.raises(ConfigError, match=r"no plugin 'skewd' \(did you mean skewed\?\) @ NAME"):
        plugins.main(["list", "skewd"], standalone_mode=False)
    site.install("pack", "import nothing_there\n")
    with pytest.raises(ConfigError, match="no plugin 'bidder'; broken is pack at step import @"):
        plugins.main(["list", "bidder"], standalone_mode=False)


def test_check_passes_a_good_plugin(site: SiteFolder, capsys: pytest.CaptureFixture[str]) -> None:
    site.install("bidder", maker_source())
    code, (answer,) = said(capsys, "check", *ROOMY)
    assert code == 0
    assert (answer["name"], answer["ok"], answer["step"]) == ("bidder", True, "")
    assert answer["calls"] > 400
    assert answer["called"] == {"maker/bidder": answer["calls"]}
    assert answer["worst"] == "bidder"


def test_check_counts_the_plugins_own_calls_alone(
    site: SiteFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    silent = (
        f"{HEAD}\nclass Silent:\n    kinds = ()\n    async def notify(self, notices, http): ...\n"
    )
    silent += "@hookimpl\ndef polytrade_notifiers():\n    return {'silent': Silent}\n"
    site.install("silent", silent)
    code, (answer,) = said(capsys, "check", *ROOMY)
    assert (code, answer["called"], answer["calls"]) == (0, {"notifier/silent": None}, 0)
    assert (answer["worst"], answer["worst_call_us"]) == ("", 0)
    plugins.main(["check", *ROOMY], standalone_mode=False)
    line = capsys.readouterr().out.strip()
    assert line.endswith(": ok, built and self-checked; the engine calls nothing of it")


def test_check_says_what_was_never_called(
    site: SiteFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    """A maker that wishes for nothing leaves nothing for a rule to judge."""
    rule = f"{HEAD}\nclass Rule:\n    def check(self, request, context):\n        return ''\n"
    rule += "@hookimpl\ndef polytrade_risk_rules():\n    return {'rule': Rule}\n"
    site.install("rule", rule)
    silent = ("--set", "strategy.no_quote_after_start_s=100000", *ROOMY[:4])
    code, (answer,) = said(capsys, "check", "rule", *silent)
    assert (code, answer["called"]) == (0, {"risk_rule/rule": 0})
    plugins.main(["check", *silent], standalone_mode=False)
    assert capsys.readouterr().out.endswith(": ok, never called in the trial: rule\n")


def test_check_tries_everything_that_is_offered(
    site: SiteFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    second = (
        "\n@attrs.define\nclass Second:\n    def quotes(self, view):\n        raise KeyError('x')\n"
    )
    source = maker_source().replace("\n@hookimpl", f"{second}\n@hookimpl")
    site.install("bidder", source.replace('"bidder": Bidder', '"bidder": Bidder, "second": Second'))
    code, (answer,) = said(capsys, "check", "bidder", *ROOMY)
    assert code == 1
    assert answer["step"] == "probe"
    assert answer["why"].startswith("'second': KeyError: 'x'")


@pytest.mark.parametrize(
    ("source", "step", "why"),
    [
        ("import nothing_there\n", "import", "No module named 'nothing_there'"),
        ("polytrade_api = 1\n", "hooks", "implements no hook"),
        (
            maker_source().replace("self.asked += 1", "raise RuntimeError('bad')"),
            "probe",
            "RuntimeError: bad",
        ),
        (
            maker_source() + "\n\nBidder.self_check = lambda self: 1 / 0\n",
            "self_check",
            "division by zero",
        ),
    ],
)
def test_check_names_the_step_that_breaks(
    site: SiteFolder, capsys: pytest.CaptureFixture[str], source: str, step: str, why: str
) -> None:
    site.install("bidder", source)
    code, (answer,) = said(capsys, "check", *ROOMY)
    assert (code, answer["step"]) == (1, step)
    assert why in answer["why"]
    plugins.main(["check", *ROOMY], standalone_mode=False)
    assert f": broken at step {step}: " in capsys.readouterr().out


def test_check_reads_the_configuration(
    site: SiteFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    site.install("bidder", maker_source())
    words = ("--set", "plugins.settings.bidder.price_e4=0")
    code, (answer,) = said(capsys, "check", *ROOMY, *words)
    assert (code, answer["step"]) == (1, "settings")
    assert answer["field"] == "plugins.settings.bidder.price_e4"


def test_check_of_a_hanging_plugin_ends(
    site: SiteFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    site.install("bidder", maker_source().replace("self.asked += 1", "\n        while True: pass"))
    code, (answer,) = said(capsys, "check", "--set", "reload.probe_s=0.5")
    assert (code, answer["ok"]) == (1, False)
    assert "did not end within 0.5 s" in answer["why"]


def test_check_takes_what_is_offered_and_tries_that_alone(
    site: SiteFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = "\n@attrs.define\nclass Bad:\n    def quotes(self, view):\n        raise KeyError('x')\n"
    source = maker_source().replace("\n@hookimpl", f"{bad}\n@hookimpl")
    site.install("pack", source.replace('"bidder": Bidder', '"bad": Bad, "bidder": Bidder'))
    code, (answer,) = said(capsys, "check", "bidder", *ROOMY)
    assert (code, answer["name"], list(answer["called"])) == (0, "pack", ["maker/bidder"])
    code, (answer,) = said(capsys, "check", "bad", *ROOMY)
    assert (code, answer["name"], answer["step"]) == (1, "pack", "probe")


def test_check_of_what_is_built_in_is_refused(site: SiteFolder) -> None:
    site.install("bidder", maker_source())
    with pytest.raises(ConfigError, match="'skewed' ships with polytrade"):
        plugins.main(["check", "skewed"], standalone_mode=False)


def test_check_of_an_unknown_name_is_refused(site: SiteFolder) -> None:
    site.install("bidder", maker_source())
    with pytest.raises(ConfigError, match=r"no plugin 'biddr' \(did you mean bidder\?\)"):
        plugins.main(["check", "biddr"], standalone_mode=False)


def test_check_without_a_plugin_says_so(
    site: SiteFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert plugins.main(["check"], standalone_mode=False) == 0
    assert capsys.readouterr().out == "no plugin is installed\n"


def test_bench_measures_every_method(site: SiteFolder, capsys: pytest.CaptureFixture[str]) -> None:
    site.install("bidder", maker_source())
    code, (row,) = said(capsys, "bench", "bidder", "--seconds", "5")
    assert code == 0
    assert (row["name"], row["kind"], row["method"]) == ("bidder", "maker", "quotes")
    assert row["calls"] > 100
    assert 0.0 < row["p50_us"] <= row["p99_us"] <= row["max_us"]
    assert row["budget_us"] == 2_000
    assert row["max_bytes"] >= row["p50_bytes"] >= 0


def test_bench_of_what_was_never_called_says_so(
    site: SiteFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("bench", "trading_hours", "--seconds", "5", "--set", "strategy.min_edge_bps=100000")
    code, (row,) = said(capsys, *words)
    assert (code, row["method"], row["calls"], row["broken"]) == (1, "check", 0, "")
    assert plugins.main(words, standalone_mode=False) == 1
    assert capsys.readouterr().out == (
        "trading_hours.check: not called in 5 s: take more --seconds\n"
    )


def test_bench_of_what_breaks_says_why(
    site: SiteFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    source = maker_source().replace(
        "self.asked += 1", "self.asked += 1\n        assert self.asked < 9"
    )
    site.install("bidder", source)
    code, (row,) = said(capsys, "bench", "bidder", "--seconds", "5")
    assert (code, row["calls"]) == (1, 8)
    assert row["broken"].startswith("AssertionError")
    assert plugins.main(["bench", "bidder", "--seconds", "5"], standalone_mode=False) == 1
    assert "bidder.quotes: broke after 8 calls: AssertionError" in capsys.readouterr().out


def test_bench_takes_built_in_names(capsys: pytest.CaptureFixture[str]) -> None:
    rows = bench(config(), "digital", 5)
    assert {row["method"] for row in rows} >= {"estimate", "on_reference"}


def test_bench_of_what_the_engine_does_not_call_is_refused(site: SiteFolder) -> None:
    with pytest.raises(ConfigError, match="the engine calls nothing of 'binance'"):
        bench(config(), "binance", 5)
    with pytest.raises(ConfigError, match=r"nothing is named 'skewd' \(did you mean skewed\?\)"):
        bench(config(), "skewd", 5)


def test_bench_of_a_broken_plugin_names_the_step(site: SiteFolder) -> None:
    site.install("broken", "import nothing_there\n")
    with pytest.raises(PluginError) as caught:
        bench(config(), "broken", 5)
    assert caught.value.step == "import"
