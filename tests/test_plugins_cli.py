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


def test_check_passes_a_good_plugin(site: SiteFolder, capsys: pytest.CaptureFixture[str]) -> None:
    site.install("bidder", maker_source())
    code, (answer,) = said(capsys, "check", *ROOMY)
    assert code == 0
    assert (answer["name"], answer["ok"], answer["step"]) == ("bidder", True, "")
    assert answer["calls"] > 400


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
