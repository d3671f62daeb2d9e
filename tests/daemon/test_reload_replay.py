"""Journals of daemons that switched plugins and upgraded them: what replays, and what is told."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from polytrade.cli import main
from tests.daemon.rig import Rig, running
from tests.plugin_projects import SiteFolder, plugin_site
from tests.plugins.broken import steady

FIRST = steady("steady")
SECOND = FIRST.replace("book.bid_e4 - 100", "book.bid_e4 - 200")
assert SECOND != FIRST


@pytest.fixture
def site(tmp_path: Path) -> Iterator[SiteFolder]:
    with plugin_site(tmp_path / "site") as folder:
        yield folder


def replayed(folder: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, Any, str]:
    """Exit code, report and complaint of `polytrade replay`."""
    capsys.readouterr()
    code = main(["replay", str(folder), "--json", *more])
    said = capsys.readouterr()
    return code, json.loads(said.out) if said.out else None, said.err.strip()


def verified(folder: Path, capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, Any]:
    """The report of a replay in which every effect came out again."""
    code, report, complaint = replayed(folder, capsys, *more)
    assert (code, complaint) == (0, ""), report
    assert report["verified"] == report["events"] > 0
    assert report["effect_digest"] == report["expected_digest"]
    assert report["notes"] == []
    return dict(report)


async def reload_strategy(rig: Rig, **body: Any) -> None:
    """A reload that is accepted; afterwards orders are taken again."""
    url = f"{await rig.control_url()}/control/reload_strategy"
    answer = await rig.client.post(url, json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    await rig.trades_on()


def line_of(rig: Rig) -> str:
    """Version and digest of the plugin in force."""
    return rig.parts.session.lineup.plugins["steady"]


async def test_journal_across_a_switch_replays_with_that_version_alone(
    tmp_path: Path, site: SiteFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(tmp_path) as rig:
        await rig.quoting()
        site.install("steady", FIRST)
        await reload_strategy(rig, plugin="steady")
        await reload_strategy(rig, settings={"size": 7.0})
        url = f"{await rig.control_url()}/control/reload_risk"
        refused = await rig.client.post(url, json={"expected_generation": 9})
        assert refused.status_code == 409
        first, run = line_of(rig), rig.journal()
        await rig.stop()
    report = verified(run, capsys)
    assert report["events_by_type"]["lineup_swapped"] == 2
    assert report["events_by_type"]["reload_rejected"] == 1

    site.edit("polytrade-steady", 'EDITION = "first"', 'EDITION = "other"')
    code, report, complaint = replayed(run, capsys)
    assert (code, report) == (1, None)
    head, _, tail = complaint.partition(" is needed, ")
    assert head == f"replay: steady {first}"
    assert tail.startswith("1.0.0+sha256:") and tail.endswith(" is installed")
    assert first not in tail

    site.uninstall("polytrade-steady")
    code, report, complaint = replayed(run, capsys)
    assert (code, report) == (1, None)
    assert complaint == f"replay: steady {first} is needed, it is not installed"


async def test_journal_across_an_upgrade_replays_with_both_versions_at_hand(
    tmp_path: Path, site: SiteFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    site.install("steady", FIRST)
    async with running(tmp_path, 'strategy.maker="steady"') as rig:
        await rig.quoting()
        first, run = line_of(rig), rig.journal()
        site.install("steady", SECOND, version="2.0.0")
        await reload_strategy(rig, code=True)
        second = line_of(rig)
        url = f"{await rig.control_url()}/plugins/rollback"
        answer = await rig.client.post(url, json={}, timeout=60)
        assert (answer.status_code, line_of(rig)) == (200, first)
        await rig.trades_on()
        await rig.stop()
    assert second.startswith("2.0.0+sha256:")

    # Installed is the second: the begin is stepped with it, noted, and a swap wants the first.
    code, report, complaint = replayed(run, capsys)
    assert (code, report) == (1, None)
    assert complaint == f"replay: steady {first} is needed, {second} is installed"
    site.install("steady", FIRST)
    code, report, complaint = replayed(run, capsys)
    assert (code, report) == (1, None)
    assert complaint == f"replay: steady {second} is needed, {first} is installed"

    others = SiteFolder(tmp_path / "others")
    others.install("steady", SECOND, version="2.0.0")
    where = ("--plugins", str(others.folder))
    report = verified(run, capsys, *where)
    assert report["events_by_type"]["lineup_swapped"] == 2
    site.uninstall("polytrade-steady")
    code, report, complaint = replayed(run, capsys, *where)
    assert (code, report) == (1, None)
    assert complaint == f"replay: steady {first} is needed, it is not installed"
    firsts = SiteFolder(tmp_path / "firsts")
    firsts.install("steady", FIRST)
    verified(run, capsys, *where, "--plugins", str(firsts.folder))
