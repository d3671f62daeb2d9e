"""Plugins that are broken in every way there is, met by a daemon that trades: it is unharmed.

One daemon for all of them, asked over real sockets; each refusal names the step, and afterwards the
same plugins quote on.
"""

import json
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.plugin_projects import SiteFolder, plugin_site
from tests.plugins.broken import BROKEN, answering, steady
from tests.plugins.daemon_thread import Asked, Seen, daemon_in_a_thread

PROBE_S = 8
"""For the trial of a plugin that never answers; a busy machine needs some of it for a good one."""
FREE = (
    *("risk.daily_drawdown_cap_pct=1.0", "risk.max_daily_loss=100000"),
    *("risk.max_market_notional=100000", "risk.max_asset_notional=100000"),
    *("risk.max_total_notional=100000", "execution.capital_usdc=100000"),
)
"""Settings that let the maker quote on whatever is filled."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SiteFolder]:
    with plugin_site(tmp_path_factory.mktemp("installed") / "site") as folder:
        folder.install("steady", steady())
        yield folder


@pytest.fixture(scope="module")
def daemon(site: SiteFolder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    """A daemon that trades with the plugin `steady`."""
    overrides = (
        'strategy.maker="steady"',
        f"reload.probe_s={PROBE_S}",
        "reload.probe_memory_mb=256",
        "control.request_limit_s=60",
        "reload.call_budget_us=20000",
        *FREE,
    )
    with daemon_in_a_thread(tmp_path_factory.mktemp("daemon"), *overrides) as running:
        yield running


@pytest.fixture(autouse=True)
def _as_before(site: SiteFolder, daemon: Asked) -> Iterator[None]:
    """A test leaves `steady` alone installed, as it was, and in force."""
    yield
    for name in list(site.installed):
        if name != "polytrade-steady":
            site.uninstall(name)
    site.install("steady", steady())
    if daemon.seen().active.get("steady") != ["maker/steady"]:
        assert daemon.strategy(plugin="steady")[0] == 200


def refused(daemon: Asked, body: dict[str, Any], step: str, reason: str, plugin: str) -> Seen:
    """A reload that is refused at this step and changes nothing; what is so still."""
    before = daemon.seen()
    status, answer = daemon.strategy(**body)
    assert status == 409, answer
    error = answer["error"]
    assert (error["code"], error["step"]) == ("reload_failed", step), error
    assert reason in error["message"], error
    assert error["plugin"].split()[:1] == [plugin], error
    assert daemon.seen() == before
    row = daemon.get("/control/history")["reloads"][-1]
    assert (row["result"], row["step"], row["generation"]) == ("refused", step, before.generation)
    daemon.trades_on()
    return before


@pytest.mark.parametrize("case", BROKEN)
def test_broken_plugin_is_refused_and_the_old_one_quotes_on(
    daemon: Asked, site: SiteFolder, case: str
) -> None:
    source, step, reason = BROKEN[case]
    site.install("broken", source)
    before = refused(daemon, {"plugin": "broken"}, step, reason, "broken")
    assert before.active["steady"] == ["maker/steady"]


@pytest.mark.parametrize(
    ("settings", "field", "reason"),
    [
        ({"size": 1.0}, "settings.size", "5"),
        ({"size": "much"}, "settings.size", "float"),
        ({"sice": 5.0}, "settings.sice", "size"),
    ],
)
def test_settings_that_do_not_fit_are_refused_with_their_field(
    daemon: Asked, site: SiteFolder, settings: dict[str, Any], field: str, reason: str
) -> None:
    site.install("broken", steady("broken"))
    before = daemon.seen()
    status, answer = daemon.strategy(plugin="broken", settings=settings)
    assert status in (400, 409), answer
    assert (answer["error"]["step"], answer["error"]["field"]) == ("settings", field), answer
    assert reason in answer["error"]["message"]
    assert daemon.seen() == before
    daemon.trades_on()


def test_name_of_two_plugins_is_nobodys(daemon: Asked, site: SiteFolder) -> None:
    site.install("broken", steady("broken"))
    site.install("other", steady("broken"))
    before = daemon.seen()
    status, answer = daemon.strategy(plugin="broken", code=True)
    error = answer["error"]
    assert (status, error["code"], error["step"]) == (409, "reload_failed", "hooks"), error
    assert "broken" in error["message"]
    assert "other" in error["message"]
    assert daemon.seen() == before
    daemon.trades_on()


def test_plugin_of_two_distributions_is_refused(daemon: Asked, site: SiteFolder) -> None:
    site.install("broken", steady("broken"))
    site.install("broken", steady("broken"), distribution="acme", module="acme_x")
    both = "declared by acme 1.0.0 and by polytrade-broken 1.0.0"
    refused(daemon, {"plugin": "broken"}, "find", both, "broken")


def test_half_installed_distribution_is_refused(daemon: Asked, site: SiteFolder) -> None:
    site.install("broken", steady("broken")).file.unlink()
    refused(daemon, {"plugin": "broken"}, "find", "half installed", "broken")


def test_distribution_that_vanished_trades_on_until_it_is_asked_for_anew(
    daemon: Asked, site: SiteFolder
) -> None:
    site.uninstall("polytrade-steady")
    reason = "not installed any more"
    refused(daemon, {"code": True}, "find", reason, "steady")
    assert daemon.post("/control/reload_plugins")[1]["vanished"] == ["steady"]
    # Its code is in memory: settings can be changed all the same.
    generation = daemon.generation()
    status, answer = daemon.strategy(ttl_ms=450)
    assert (status, answer["generation"]) == (200, generation + 1), answer
    assert answer["maker"]["ttl_ms"] == 450
    daemon.trades_on()


def test_name_that_nobody_offers_is_refused_with_those_there_are(
    daemon: Asked, site: SiteFolder
) -> None:
    before = daemon.seen()
    status, answer = daemon.strategy(plugin="nowhere")
    error = answer["error"]
    assert (status, error["code"], error["step"]) == (409, "reload_failed", "find"), error
    assert error["field"] == "plugin"
    assert {"skewed", "steady"} <= set(error["allowed"].split(", "))
    assert daemon.seen() == before


def test_edit_of_the_same_second_and_size_is_in_force(daemon: Asked, site: SiteFolder) -> None:
    generation = daemon.generation()
    # Nothing but a letter differs: neither the time nor the size of the file does.
    site.edit("polytrade-steady", 'EDITION = "first"', 'EDITION = "later"')
    site.edit("polytrade-steady", "        self.asked += 1\n", "        self.asked += 2\n")
    asked = daemon.inside(daemon.maker_asked)
    status, answer = daemon.strategy(code=True)
    assert (status, answer["generation"]) == (200, generation + 1), answer
    daemon.trades_on()
    assert edition(daemon) == "later"
    # It took over what the old code had counted, and counts its own way.
    assert daemon.inside(daemon.maker_asked) > asked
    (row,) = [row for row in daemon.get("/plugins")["plugins"] if row["name"] == "steady"]
    assert row["generation"] == generation + 1
    status, answer = daemon.post("/plugins/rollback")
    assert (status, answer["generation"]) == (200, generation + 2), answer
    assert edition(daemon) == "first"
    daemon.trades_on()


def edition(daemon: Asked) -> str:
    """Which text of the maker's module is the one in force."""

    def look() -> str:
        catalogue = daemon.rig.parts.session.lineup.catalogue
        assert catalogue is not None
        found: str = catalogue.modules["steady"]["polytrade_steady"].EDITION
        return found

    return daemon.inside(look)


def test_answers_that_become_slow_cut_the_maker_out_until_the_next_reload(
    daemon: Asked, site: SiteFolder, tmp_path: Path
) -> None:
    flag = tmp_path / "slow"
    slow = f"(time.sleep(0.1) if Path({str(flag)!r}).exists() else None)"
    site.install("broken", answering(slow))
    status, answer = daemon.strategy(plugin="broken", code=True)
    assert status == 200, answer
    daemon.trades_on()
    flag.touch()
    daemon.until(lambda: bool(daemon.fault()), "quarantine")
    assert "longer than 20000 us" in daemon.fault()
    assert daemon.get("/health")["status"] == "degraded"
    (row,) = [row for row in daemon.get("/plugins")["plugins"] if row["name"] == "broken"]
    assert "longer than 20000 us" in row["last_error"]
    daemon.until(lambda: not daemon.inside(daemon.rig.quoted), "quotes pulled")
    assert "no_quote_quarantined" in daemon.inside(daemon.rig.reasons)
    flag.unlink()
    status, answer = daemon.strategy(plugin="steady")
    assert status == 200, answer
    daemon.trades_on()
    assert daemon.fault() == ""


def test_maker_that_raises_at_run_time_is_cut_out_until_the_next_reload(
    daemon: Asked, site: SiteFolder, tmp_path: Path
) -> None:
    flag = tmp_path / "raise"
    line = f"assert not Path({str(flag)!r}).exists(), 'no more'"
    site.install("broken", answering(line))
    status, answer = daemon.strategy(plugin="broken", code=True)
    assert status == 200, answer
    daemon.trades_on()
    flag.touch()
    daemon.until(lambda: "AssertionError: no more" in daemon.fault(), "quarantine")
    daemon.until(lambda: not daemon.inside(daemon.rig.quoted), "quotes pulled")
    status, answer = daemon.post("/plugins/rollback")
    assert status == 200, answer
    daemon.trades_on()
    assert daemon.seen().active["steady"] == ["maker/steady"]


def test_client_that_disconnects_mid_reload_changes_nothing_of_it(
    daemon: Asked, site: SiteFolder
) -> None:
    generation, rows = daemon.generation(), len(daemon.get("/control/history")["reloads"])
    place = urlsplit(str(daemon.client.base_url))
    body = json.dumps({"code": True}).encode()
    head = (
        f"POST /control/reload_strategy HTTP/1.1\r\nHost: {place.netloc}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    with socket.create_connection((place.hostname or "", place.port or 0)) as client:
        client.sendall(head + body)
        daemon.until(lambda: under_way(daemon) > 0, "the reload taken up")
    daemon.until(lambda: len(daemon.get("/control/history")["reloads"]) > rows, "its outcome")
    (row,) = daemon.get("/control/history")["reloads"][rows:]
    assert (row["result"], row["generation"]) == ("applied", generation + 1), row
    assert daemon.generation() == generation + 1
    daemon.trades_on()


def under_way(daemon: Asked) -> int:
    """Reloads that were taken up so far, as the log tells."""
    return len(re.findall(r'"event": ?"reload"', daemon.rig.log.getvalue()))


def test_two_reloads_at_once_come_one_after_the_other(daemon: Asked) -> None:
    generation = daemon.generation()
    answers: dict[float, tuple[int, Any]] = {}

    def ask(edge: float, **more: object) -> None:
        answers[edge] = daemon.strategy(min_edge_bps=edge, **more)

    both = [
        threading.Thread(target=ask, args=(5.0,), kwargs={"code": True}),
        threading.Thread(target=ask, args=(6.0,)),
    ]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert [status for status, _ in answers.values()] == [200, 200], answers
    found = {answer["generation"]: edge for edge, (_, answer) in answers.items()}
    assert sorted(found) == [generation + 1, generation + 2]
    for edge, (_, answer) in answers.items():
        assert answer["maker"]["min_edge_bps"] == edge
    assert daemon.strategy()[1]["maker"]["min_edge_bps"] == found[generation + 2]
    daemon.trades_on()


def test_reload_that_expects_another_generation_is_refused(daemon: Asked) -> None:
    before = daemon.seen()
    status, answer = daemon.strategy(min_edge_bps=7.0, expected_generation=before.generation + 1)
    assert (status, answer["error"]["code"]) == (409, "stale_generation"), answer
    assert daemon.seen() == before
