"""Feeds of plugins that come, change and go while the daemon trades."""

from collections.abc import Iterator
from math import sqrt
from pathlib import Path
from typing import Any

import pytest

from polytrade.core.reference import YEAR_S
from polytrade.replay import replay
from polytrade.replay_result import ReplayResult
from polytrade.runtime import plugin_feeds
from tests.daemon.rig import WAIT_S, Rig, running
from tests.daemon.sigma_venue import SIGMA, SigmaVenue, sigma_venue
from tests.plugin_projects import SiteFolder, plugin_site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[SiteFolder]:
    with plugin_site(tmp_path / "site") as folder:
        yield folder


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """New feeds are waited for, however busy the machine; a test of those that stay away is not."""
    monkeypatch.setattr(plugin_feeds, "UP_S", WAIT_S)


async def reload_feeds(rig: Rig, **body: Any) -> tuple[int, Any]:
    """`POST /control/reload_plugins`."""
    url = f"{await rig.control_url()}/control/reload_plugins"
    answer = await rig.client.post(url, json=body, timeout=60)
    return answer.status_code, answer.json()


def settings(venue: SigmaVenue, **own: Any) -> dict[str, Any]:
    """Settings of the feed for this venue."""
    return {"sigma": {"url": venue.url, **own}}


def sources(rig: Rig) -> list[str]:
    """The connections of the feed that are told of."""
    rig.parts.observer._last = None
    return [row.name for row in rig.parts.observer.read().feeds if row.name.startswith("sigma")]


def turns(rig: Rig) -> list[tuple[str, str]]:
    """Ups and downs of the feed's connections, in the order the engine was told."""
    told = [event for event in rig.tap.events if event.TAG in ("feed_up", "feed_down")]
    return [(e.TAG, e.source) for e in told if e.source.startswith("sigma")]


def state_of(rig: Rig, task: str) -> str:
    """What the supervisor says of a task."""
    (row,) = [row for row in rig.parts.tasks.rows() if row.name == task]
    return row.state


def newest(rig: Rig) -> tuple[str, str]:
    """The last of them."""
    return (turns(rig) or [("", "")])[-1]


async def implied(rig: Rig, sigma: float) -> None:
    """Wait until the engine holds this volatility of BTC, of the right source."""
    await rig.until(
        lambda: (
            "BTC" in rig.engine.references
            and rig.engine.references["BTC"].implied == sigma / sqrt(YEAR_S)
        ),
        f"a volatility of {sigma}",
    )
    assert {event.source for event in rig.tap.of("volatility_quoted")} == {"sigma"}


async def test_feed_is_added_changed_and_removed_while_the_daemon_trades(
    tmp_path: Path, site: SiteFolder
) -> None:
    async with sigma_venue() as venue, running(tmp_path) as rig:
        await rig.quoting()
        site.install("sigma", SIGMA)
        assert sources(rig) == []
        status, body = await reload_feeds(rig, feeds=["sigma"], settings=settings(venue))
        assert status == 200, body
        assert body["plugins"]["feeds"] == ["sigma"]
        assert sources(rig) == ["sigma/0"]
        await implied(rig, 0.5)
        assert venue.open == 1

        status, body = await reload_feeds(rig, settings={"sigma": {"factor": 2.0}})
        assert status == 200, body
        assert body["plugins"]["settings"]["sigma"] == {"url": venue.url, "factor": 2.0}
        await implied(rig, 1.0)
        await rig.until(lambda: sources(rig) == ["sigma/1"], "the end of the old connection")
        # Its row goes when its end is queued: the engine takes it a moment later.
        await rig.until(lambda: len(turns(rig)) == 3, "the end told")
        assert turns(rig) == [
            ("feed_up", "sigma/0"),
            ("feed_up", "sigma/1"),
            ("feed_down", "sigma/0"),
        ]
        assert (venue.most, venue.hellos) == (2, ["subscribe"] * 2)

        status, body = await reload_feeds(rig, risk_rules=[])
        assert (status, sources(rig)) == (200, ["sigma/1"])  # the same feed runs on
        assert len(venue.hellos) == 2

        status, body = await reload_feeds(rig, feeds=[])
        assert (status, body["plugins"]["feeds"]) == (200, [])
        await rig.until(lambda: sources(rig) == [], "no feed")
        await rig.until(lambda: venue.open == 0, "no connection")
        await rig.until(lambda: newest(rig) == ("feed_down", "sigma/1"), "the end told")
        assert all(not row.name.startswith("sigma") for row in rig.parts.tasks.rows())
        status, _ = await rig.command("reload_risk", max_open_orders=4)
        assert status == 200
        await rig.trades_on()
        await rig.stop()
        rig.nothing_rests()


async def test_feed_that_does_not_come_up_refuses_the_reload_and_the_old_one_runs_on(
    tmp_path: Path, site: SiteFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugin_feeds, "UP_S", 1.0)
    site.install("sigma", SIGMA)
    async with sigma_venue() as venue:
        start = ('plugins.feeds=["sigma"]', f'plugins.settings.sigma.url="{venue.url}"')
        async with running(tmp_path, *start) as rig:
            await rig.quoting()
            await implied(rig, 0.5)
            lineup, config = rig.parts.session.lineup, rig.parts.session.config
            for url, why in ((venue.silent_url, "1 s"), ("ws://127.0.0.1:1/", "not connected")):
                status, body = await reload_feeds(rig, settings={"sigma": {"url": url}})
                error = body["error"]
                assert (status, error["code"], error["step"]) == (409, "reload_failed", "feeds")
                assert "'sigma' is not up within 1 s" in error["message"]
                assert why in error["message"]
                assert error["plugin"] == "sigma 1.0.0"
            await rig.until(lambda: sources(rig) == ["sigma/0"], "no trace of the new ones")
            assert rig.parts.session.lineup is lineup
            assert rig.parts.session.config is config
            assert rig.parts.reloader.generation == 1
            assert (venue.open, len(venue.hellos)) == (1, 1)
            assert turns(rig) == [("feed_up", "sigma/0")]
            told = len(rig.tap.of("volatility_quoted"))
            await rig.until(lambda: len(rig.tap.of("volatility_quoted")) > told, "more ticks")
            await rig.trades_on()


async def test_nothing_of_a_refused_feed_reaches_the_engine_or_the_recording(
    tmp_path: Path, site: SiteFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugin_feeds, "UP_S", 1.0)
    site.install("sigma", SIGMA)
    site.install("tau", SIGMA.replace('"sigma"', '"tau"'))
    async with sigma_venue() as venue, running(tmp_path, "storage.record_raw=true") as rig:
        config = rig.parts.session.config
        await rig.quoting()
        own = {"sigma": {"url": venue.url}, "tau": {"url": venue.silent_url}}
        for attempt in (1, 2, 3):
            # A second is short on a busy machine: with more of it the other one is heard.
            monkeypatch.setattr(plugin_feeds, "UP_S", 5.0 ** (attempt - 1))
            status, body = await reload_feeds(rig, feeds=["sigma", "tau"], settings=own)
            assert (status, body["error"]["step"]) == (409, "feeds")
            if "'tau' is not up within" in body["error"]["message"]:
                break
        assert "'tau' is not up within" in body["error"]["message"]
        assert set(venue.hellos) == {"subscribe"}  # the other one was heard all the while
        await rig.until(lambda: sources(rig) == [], "no trace of the new ones")
        assert rig.engine.references["BTC"].implied == 0.0
        assert (rig.tap.count("volatility_quoted"), turns(rig)) == (0, [])
        _, health = await rig.health()
        assert not [row for row in health["hosts"] if row["name"] in venue.url + venue.silent_url]
        await rig.trades_on()
        await rig.stop()
        rig.nothing_rests()
    result = replay(rig.journal() / "raw-000001.jsonl.zst", config=config)
    assert (result.missing_records, result.unsupported, result.clean) == (0, {}, True)
    assert not [source for source in result.messages if source.startswith(("sigma", "tau"))]


async def test_feed_that_was_refused_degrades_nothing_and_comes_up_later(
    tmp_path: Path, site: SiteFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugin_feeds, "UP_S", 1.0)
    site.install("sigma", SIGMA)
    async with sigma_venue() as venue, running(tmp_path) as rig:
        await rig.quoting()
        status, _ = await reload_feeds(
            rig, feeds=["sigma"], settings={"sigma": {"url": "ws://127.0.0.1:1/"}}
        )
        assert status == 409
        await rig.until(lambda: sources(rig) == [], "no trace of it")
        assert "127.0.0.1:1" not in {row["name"] for row in (await rig.health())[1]["hosts"]}
        monkeypatch.setattr(plugin_feeds, "UP_S", WAIT_S)
        status, body = await reload_feeds(rig, feeds=["sigma"], settings=settings(venue))
        assert status == 200, body
        await implied(rig, 0.5)

        async def well() -> bool:
            health = (await rig.health())[1]
            return (health["status"], health["warnings"]) == ("ok", [])

        await rig.until_async(well, "health without a warning")


BUSY = SIGMA.replace("import attrs\n", "import time\n\nimport attrs\n").replace(
    "        sigma = ",
    """        until_ns = time.thread_time_ns() + (60_000_000 if message == 51 else 0)
        while time.thread_time_ns() < until_ns:
            pass
        sigma = """,
)


async def test_slow_feed_is_stopped_told_and_made_anew_by_the_next_reload_of_plugins(
    tmp_path: Path, site: SiteFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.install("sigma", BUSY)
    more = ("storage.record_raw=true", "reload.call_budget_us=20000")
    async with sigma_venue() as venue:
        start = ('plugins.feeds=["sigma"]', f'plugins.settings.sigma.url="{venue.url}"')
        async with running(tmp_path, *start, *more) as rig:
            config = rig.parts.session.config
            await rig.quoting()
            await implied(rig, 0.5)
            notices: list[tuple[Any, ...]] = []
            monkeypatch.setattr(rig.parts.notices, "tell", lambda *told: notices.append(told))
            venue.says = "51"
            feeds = rig.parts.reloader._feeds
            await rig.until(lambda: bool(feeds.faults()), "the quarantine")
            await rig.until(lambda: venue.open == 0, "the end of the connection")
            await rig.until(lambda: state_of(rig, "sigma/0") == "parked", "the end of the task")
            await rig.until(lambda: newest(rig) == ("feed_down", "sigma/0"), "the end told")
            why = feeds.faults()["sigma"]
            assert why.startswith("5 calls within 60 s took longer than 20000 us, the last ")
            data = {"role": "feed", "name": "sigma", "why": why}
            cut_out = [told for told in notices if told[0] == "quarantine"]
            assert cut_out == [("quarantine", f"feed sigma is cut out: {why}", data)]
            rig.parts.observer._last = None  # with tasks as of now
            _, health = await rig.health()
            assert health["status"] == "degraded"
            assert health["faults"] == [{"role": "feed", "name": "sigma", "why": why}]
            assert f"feed sigma is out of service: {why}" in health["warnings"]
            (row,) = [row for row in health["tasks"] if row["name"] == "sigma/0"]
            assert (row["state"], row["last_error"]) == ("parked", f"OutOfService: {why}")
            answer = await rig.client.get(f"{await rig.control_url()}/plugins")
            (plugin,) = [row for row in answer.json()["plugins"] if row["name"] == "sigma"]
            assert plugin["last_error"] == f"feed: {why}"
            assert rig.engine.faults == {}
            await rig.trades_on()

            venue.says = "50"
            status, _ = await rig.command("reload_strategy", min_edge_bps=3)
            assert (status, feeds.faults()) == (200, {"sigma": why})
            status, body = await reload_feeds(rig, feeds=["sigma"])
            assert (status, feeds.faults()) == (200, {}), body
            await rig.until(lambda: newest(rig) == ("feed_up", "sigma/1"), "its begin told")
            assert (await rig.health())[1]["faults"] == []
            told = len(rig.tap.of("volatility_quoted"))
            await rig.until(lambda: len(rig.tap.of("volatility_quoted")) > told + 4, "ticks")
            await rig.stop()
            rig.nothing_rests()
    result = replay(rig.journal() / "raw-000001.jsonl.zst", config=config)
    assert (result.malformed, result.unsupported, result.missing_records) == ({}, {}, 0)
    assert result.messages["sigma/1"]["quote"] > 3


JSON = (
    SIGMA.replace("import attrs\n", "import json\n\nimport attrs\n", 1)
    .replace(
        "    def hello(self)",
        "    def _parse(self, frame):\n        return json.loads(frame)\n\n    def hello(self)",
    )
    .replace('self.name, "BTC"', 'self.name, symbol or "BTC"')
    .replace(
        "        if type(message) is not int:",
        """        symbol = ""
        if type(message) is str:
            message, symbol = 50, message
        if message == 0:
            raise SystemExit(3)
        if type(message) is not int:""",
    )
)


@pytest.mark.parametrize(
    ("frame", "told"), [(r'"\ud800"', "64 characters as symbol"), ("0", "SystemExit: 3")]
)
async def test_frame_that_no_journal_can_hold_or_a_codec_that_leaves_ends_nothing_but_its_feed(
    tmp_path: Path, site: SiteFolder, frame: str, told: str
) -> None:
    site.install("sigma", JSON)
    async with sigma_venue() as venue:
        start = ('plugins.feeds=["sigma"]', f'plugins.settings.sigma.url="{venue.url}"')
        async with running(tmp_path, *start, "storage.record_raw=true") as rig:
            await rig.quoting()
            await implied(rig, 0.5)
            venue.says = frame
            await rig.until(lambda: newest(rig)[0] == "feed_down", "the end of the connection")
            down = [it for it in rig.tap.of("feed_down") if it.source.startswith("sigma")][-1]
            assert down.reason.startswith("codec: ") and told in down.reason
            venue.says = "50"
            await rig.until(lambda: newest(rig)[0] == "feed_up", "another connection")
            assert (await rig.health())[0] == 200
            await rig.trades_on()
            await rig.stop()
            rig.nothing_rests()


async def test_recording_of_feeds_is_decoded_by_the_settings_that_were_in_force(
    tmp_path: Path, site: SiteFolder
) -> None:
    site.install("sigma", SIGMA)
    async with sigma_venue() as venue:
        start = ('plugins.feeds=["sigma"]', f'plugins.settings.sigma.url="{venue.url}"')
        async with running(tmp_path, *start, "storage.record_raw=true") as rig:
            config = rig.parts.session.config
            await rig.quoting()
            await implied(rig, 0.5)
            status, body = await reload_feeds(rig, settings={"sigma": {"factor": 2.0}})
            assert status == 200, body
            await implied(rig, 1.0)
            await rig.quoting()
            await rig.stop()
            rig.nothing_rests()
    raw = rig.journal() / "raw-000001.jsonl.zst"
    live = [(event.ts_ns, event.sigma) for event in rig.tap.of("volatility_quoted")]

    told: list[tuple[int, float]] = []

    class Listening:
        def observe(self, event: Any, _effects: Any) -> None:
            if event.TAG == "volatility_quoted":
                told.append((event.ts_ns, event.sigma))

    result = replay(raw, config=config, attach=lambda *_: Listening())
    assert (result.malformed, result.notes, result.clean) == ({}, [], True)
    assert {sigma for _, sigma in told} == {0.5, 1.0}
    assert result.unsupported == {}  # what the new connection brought before the swap is not there
    frames = result.messages["sigma/0"]["quote"] + result.messages["sigma/1"]["quote"]
    # One was kept back until the swap: the recording has it as an event.
    assert frames + 1 == len(told) == result.events_by_type["volatility_quoted"]
    assert len(told) >= len(live)  # of the first ones the tap heard nothing
    assert told[-3:] == live[-3:]

    def not_decoded(result: ReplayResult) -> None:
        assert set(result.unsupported) == {"sigma/0", "sigma/1"}
        assert sum(result.unsupported.values()) == frames
        assert result.events_by_type["volatility_quoted"] == 1
        assert dict(result.rows())["unsupported"].startswith("sigma/0 ")

    site.uninstall("polytrade-sigma")
    result = replay(raw, config=config)
    not_decoded(result)
    (note,) = result.notes
    assert note.startswith("frames of 'sigma' are not decoded: expected one of ")
    not_decoded(replay(raw))
