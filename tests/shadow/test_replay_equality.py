"""A session on a tape of the local venue: live, again, and from its journal, the same report."""

from collections.abc import Sequence
from pathlib import Path

import orjson
import pytest

from polytrade.captures import CaptureRecord
from polytrade.config import Config
from polytrade.core.effects import Effect
from polytrade.core.events import Event
from polytrade.core.units import MS_NS
from polytrade.decoding import FrameDecoders, recorded_events
from polytrade.journal import JournalHeader, JournalWriter, read_journal
from polytrade.sandbox.tape import START_S, Tape
from polytrade.sandbox.venue.options import VenueOptions
from polytrade.session import Session, build_session, run_started
from polytrade.shadow import Shadow, ShadowReport, shadow_settings
from polytrade.strict import load

SECONDS = 180


class Folds:
    """What stands behind every step of a session: a shadow and, when there is one, a journal."""

    def __init__(self, session: Session, config: Config, journal: JournalWriter | None) -> None:
        self.shadow = Shadow(shadow_settings(config), session.engine)
        self._journal = journal
        self._event: Event | None = None

    def append(self, event: Event) -> None:
        self._event = event
        if self._journal is not None:
            self._journal.append(event)

    def effects(self, effects: Sequence[Effect]) -> None:
        assert self._event is not None
        self.shadow.observe(self._event, effects)
        if self._journal is not None:
            self._journal.append_effects(effects)


@pytest.fixture(scope="module")
def config() -> Config:
    root = Path(__file__).resolve().parents[2]
    return load(root / "configs" / "sandbox")


@pytest.fixture(scope="module")
def records() -> list[CaptureRecord]:
    """Three minutes of one coin, from the 25th second of a window on."""
    options = VenueOptions(
        seed=3, coins=("btc",), windows=("5m",), slow_markets=False, activity=0.05
    )
    tape = Tape(options, START_S + 25, ("market", "rtds", "binance"))
    return list(tape.records(SECONDS))


def traded(
    records: list[CaptureRecord], config: Config, journal: JournalWriter | None
) -> ShadowReport:
    session = build_session(config)
    folds = Folds(session, config, journal)
    session.tape = folds
    events = recorded_events(
        records,
        FrameDecoders(config.universe.coins),
        lambda ts_ns: run_started(config, ts_ns, "tape"),
        config.latency.tick_interval_ms * MS_NS,
    )
    for event in events:
        session.handle(event)
    return folds.shadow.report(session.engine.ts_ns)


def replayed(journal: Path, config: Config) -> ShadowReport:
    session = build_session(config, paper=False)
    shadow = Shadow(shadow_settings(config), session.engine)
    for entry in read_journal(journal):
        shadow.observe(entry.event, session.engine.step(entry.event))
    return shadow.report(session.engine.ts_ns)


def test_live_again_and_replayed_give_the_same_bytes(
    records: list[CaptureRecord], config: Config, tmp_path: Path
) -> None:
    header = JournalHeader("tape", "2026-11-16T12:00:00Z", "0", {}, "0" * 64, {})
    journal = JournalWriter(tmp_path, header, segment_bytes=10**9)
    live = traded(records, config, journal)
    journal.close()
    wanted = orjson.dumps(live.to_dict())
    assert orjson.dumps(traded(records, config, None).to_dict()) == wanted
    assert orjson.dumps(replayed(tmp_path, config).to_dict()) == wanted
    assert live.elapsed_sec > SECONDS - 1
    assert live.window_shots > 100
    assert live.funnel["filled"] > 0
    assert live.values["survival_probe_10ms_n"]
