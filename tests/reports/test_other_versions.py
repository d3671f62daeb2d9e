"""Reports and proofs of a run that was upgraded on the way: both versions of its plugin."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from polytrade.cli import main
from tests.daemon.rig import running
from tests.plugin_projects import SiteFolder, plugin_site
from tests.plugins.broken import steady

FIRST = steady("steady")
SECOND = FIRST.replace("book.bid_e4 - 100", "book.bid_e4 - 200")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[SiteFolder]:
    with plugin_site(tmp_path / "site") as folder:
        yield folder


async def test_report_across_an_upgrade_is_made_and_verified_with_both_versions_at_hand(
    tmp_path: Path, site: SiteFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    site.install("steady", FIRST)
    async with running(tmp_path, 'strategy.maker="steady"') as rig:
        await rig.quoting()
        first, run = rig.parts.session.lineup.plugins["steady"], rig.journal()
        site.install("steady", SECOND, version="2.0.0")
        url = f"{await rig.control_url()}/control/reload_strategy"
        answer = await rig.client.post(url, json={"code": True}, timeout=60)
        assert answer.status_code == 200, answer.text
        await rig.trades_on()
        second = rig.parts.session.lineup.plugins["steady"]
        await rig.stop()
    site.install("steady", FIRST)
    others = SiteFolder(tmp_path / "others")
    others.install("steady", SECOND, version="2.0.0")
    sites = ["--plugins", str(others.folder)]
    out = tmp_path / "out"
    report = ["report", str(run), "--out-root", str(out)]
    missing = f"steady {second} is needed, {first} is installed"

    capsys.readouterr()
    assert main(report) == 1
    assert capsys.readouterr().err.strip() == f"report: {missing}"
    assert not out.exists()
    assert main([*report, *sites]) == 0

    (manifest,) = out.glob("*/truth_manifest.json")
    verify = ["verify", str(manifest), "--run", str(run)]
    capsys.readouterr()
    assert main(verify) == 1
    assert capsys.readouterr().err.strip() == f"verify: {missing}"
    assert main([*verify, *sites]) == 0
    assert ", byte for byte" in capsys.readouterr().out
