"""Plugins that hang when they are imported: who does not need them does not import them."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from polytrade import cli, import_alarm
from polytrade.cli import main
from polytrade.config import Config, Plugins
from polytrade.import_alarm import alarm
from polytrade.import_limit import Overdue, bounded_by
from polytrade.importers import known_layouts, sniff
from polytrade.lineup import scan
from polytrade.needed import only_needed
from polytrade.replay import replay
from polytrade.strict import structure
from tests.plugin_projects import SiteFolder, maker_source, plugin_site

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "datasets" / "sample-updown-5m.jsonl.zst"
HANGS = "while True:\n    pass\n"
STUBBORN = """
import time

for _ in range(3):
    try:
        time.sleep(3600)
    except Exception:
        pass
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[SiteFolder]:
    with plugin_site(tmp_path / "site") as folder:
        yield folder


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The alarm rings at once; without one a test hangs until the alarm of its own."""
    monkeypatch.setattr(import_alarm, "IMPORT_S", 0.2)
    monkeypatch.setattr(import_alarm, "AGAIN_S", 0.1)


@pytest.mark.parametrize("source", [HANGS, STUBBORN])
@pytest.mark.usefixtures("soon")
def test_import_that_hangs_is_broken_and_the_others_are_there(
    site: SiteFolder, source: str
) -> None:
    site.install("bidder", maker_source())
    site.install("hangs", source)
    before = signal.getsignal(signal.SIGALRM)
    with bounded_by(alarm):
        catalogue = scan(Plugins())
    info = catalogue.plugins["hangs"]
    assert (info.error, info.error_step) == ("did not end within 0.2 s", "import")
    assert ("maker", "bidder") in catalogue.factories
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) is before


@pytest.mark.usefixtures("soon")
def test_hook_that_hangs_is_broken_at_its_step(site: SiteFolder) -> None:
    hook = '    return {"bidder"'
    source = maker_source().replace(hook, f"    while True:\n        pass\n{hook}")
    site.install("hangs", source)
    with bounded_by(alarm):
        info = scan(Plugins()).plugins["hangs"]
    assert (info.error, info.error_step) == ("did not end within 0.2 s", "hooks")


@pytest.mark.usefixtures("soon")
def test_alarm_of_a_block_that_ended_does_not_ring() -> None:
    with pytest.raises(Overdue), alarm():
        while True:
            pass
    with alarm():
        pass
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


@pytest.mark.usefixtures("soon")
def test_commands_tell_of_it_and_go_on(
    site: SiteFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site.install("hangs", HANGS)
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "x.toml").write_text("")
    where = ["--config", str(tmp_path / "configs")]
    assert main(["plugins", "list", *where]) == 0
    assert "hangs 1.0.0" in (said := capsys.readouterr().out)
    assert "BROKEN at step import: did not end within 0.2 s" in said
    assert cli.daemon_main(["--check", *where]) == 0
    capsys.readouterr()
    assert cli.daemon_main(["--check", *where, "--set", 'strategy.maker="hangs"']) == 2
    assert "did not end within 0.2 s" in capsys.readouterr().err


def test_replays_import_what_they_need(site: SiteFolder, tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    marks = f"import pathlib\npathlib.Path({str(touched)!r}).touch()\n"
    site.install("idle", marks)
    site.install("bidder", maker_source("bidder"))
    assert replay(SAMPLE, until=50).events == 50
    assert sniff(SAMPLE) is None
    assert known_layouts()
    config = structure({"strategy": {"maker": "bidder"}})
    assert replay(SAMPLE, until=50, config=config).events == 50
    assert not touched.exists()
    scan(Plugins())
    assert touched.exists()


def test_what_is_needed_is_guessed_from_the_code_and_bounded_by_the_journal(
    site: SiteFolder,
) -> None:
    site.install("one", maker_source("bidder"))
    site.install("two", maker_source("other"))
    site.install("three", maker_source("zzz").replace('"zzz"', '"bid" + "der" + "2"'))

    def off(maker: str, *among: str) -> set[str]:
        config = structure({"strategy": {"maker": maker}}) if maker else Config()
        return set(only_needed(config, among or None).disabled)

    assert off("") == {"one", "two", "three"}
    assert off("other") == {"one", "three"}
    assert off("bidder2") == set()  # nowhere written: any of them may offer it
    assert off("bidder2", "two", "three") == {"one"}
