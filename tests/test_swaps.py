"""A lineup swapped while a session steps: what stays, what is handed over, and its replay."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

from polytrade import swaps
from polytrade.catalogue import Catalogue
from polytrade.config import Config
from polytrade.core.effects import Alarmed, Effect
from polytrade.core.events import Event, LineupSwapped, PluginQuarantined
from polytrade.core.units import SECOND_NS
from polytrade.errors import ConfigError, LineupMissing
from polytrade.journal import JournalHeader, JournalTrailer, JournalWriter, read_journal
from polytrade.meter import Meter
from polytrade.replay import replay, run_replay_command
from polytrade.reports.files import MANIFEST, write_reports
from polytrade.reports.manifest import Basis
from polytrade.reports.report import Report, build_report
from polytrade.reports.verify import report_of, verify
from polytrade.reports.watch import Watch
from polytrade.session import Session, build_session, code_version
from polytrade.strict import config_digest, to_dict
from polytrade.witness import Witness
from tests.reports.runs import config as trading
from tests.reports.runs import tape_events
from tests.swapping import Counting, Picky, Stepper, built, catalogue, swapped

SECONDS = 24


def choose(config: Config, **sections: dict[str, Any]) -> Config:
    """The configuration with these settings of its sections."""
    parts = {name: attrs.evolve(getattr(config, name), **it) for name, it in sections.items()}
    return attrs.evolve(config, **parts)


BASE = trading()
STEPPER = choose(BASE, strategy={"maker": "stepper"})


@pytest.fixture
def code(monkeypatch: pytest.MonkeyPatch) -> Catalogue:
    """Plugins that a scan finds, and whose distribution is there."""
    ours = catalogue()
    monkeypatch.setattr(swaps, "scan", lambda plugins: ours)
    return ours


def swap(session: Session, config: Config, code: Catalogue, *sections: str) -> list[Effect]:
    """Stage and swap, as a reload does."""
    lineup = built(config, code)
    generation = session.generation + 1
    session.stage(generation, lineup, config)
    event = swapped(session.engine.ts_ns, generation, lineup, config, *sections)
    ((_, effects),) = session.handle(event)
    return effects


def started(config: Config, code: Catalogue) -> Session:
    session = build_session(config, lineup=built(config, code), paper=False)
    for event in tape_events(3, config):
        session.step(event)
    return session


def test_swap_puts_the_staged_lineup_and_its_configuration_in_force(code: Catalogue) -> None:
    session = started(BASE, code)
    swap(session, STEPPER, code, "strategy")
    assert isinstance(session.lineup.maker, Stepper)
    assert session.config == STEPPER
    assert session.generation == 2
    assert session.lines == dict(session.lineup.plugins)
    assert set(session.lines) == {"builtin", "ours"}


def test_swap_decides_every_market_by_the_new_maker(code: Catalogue) -> None:
    session = build_session(BASE, lineup=built(BASE, code), paper=False)
    for event in tape_events(12, BASE):
        session.step(event)
    effects = swap(session, STEPPER, code, "strategy")
    assert isinstance(session.lineup.maker, Stepper)
    assert session.lineup.maker.asked == _open(session) > 0
    assert "place_order" in [effect.TAG for effect in effects]


def test_plugins_whose_settings_are_the_same_stay_the_same_objects(code: Catalogue) -> None:
    session = started(STEPPER, code)
    before = session.lineup
    limits = choose(STEPPER, risk={"max_open_orders": 3}, strategy={"half_spread": 0.02})
    swap(session, limits, code, "risk", "strategy")
    now = session.lineup
    assert (now.maker, now.fair_value, now.taker) == (
        before.maker,
        before.fair_value,
        before.taker,
    )
    assert session.engine.risk.settings.max_open_orders == 3


def test_plugin_of_other_settings_takes_over_what_the_old_one_kept(code: Catalogue) -> None:
    session = started(STEPPER, code)
    old = session.lineup.maker
    assert isinstance(old, Stepper)
    old.asked = 77
    higher = choose(STEPPER, plugins={"settings": {"stepper": {"below": 2}}})
    swap(session, higher, code, "plugins")
    new = session.lineup.maker
    assert isinstance(new, Stepper) and new is not old
    assert (new.below, new.asked) == (2, 77 + _open(session))


def _open(session: Session) -> int:
    """Markets that were decided by asking the maker at the swap."""
    return sum(
        market.phase == "open" and market.trust.valid and not session.engine.faults
        for market in session.engine.markets.values()
    )


def test_plugin_of_another_version_is_another_object(code: Catalogue) -> None:
    session = started(STEPPER, code)
    old = session.lineup.maker
    swap(session, STEPPER, catalogue("1.1.0"), "strategy")
    assert session.lineup.maker is not old
    assert session.lines["ours"].startswith("1.1.0+sha256:")


def test_restore_that_raises_is_told_and_the_new_one_begins_anew(code: Catalogue) -> None:
    session = started(STEPPER, code)
    effects = swap(session, STEPPER, catalogue("1.1.0", stepper=Picky), "strategy")
    (told,) = [effect for effect in effects if isinstance(effect, Alarmed)]
    assert told.name == "began_anew"
    assert told.detail.startswith(
        "maker stepper: restore: ValueError: what is this (tests/swapping.py, line "
    )
    assert isinstance(session.lineup.maker, Picky)
    assert session.lineup.maker.asked == _open(session)  # not 10,000 and some
    assert session.engine.faults == {}


def test_dump_that_raises_is_told_and_the_new_one_begins_anew(code: Catalogue) -> None:
    session = started(STEPPER, code)
    old = session.lineup.maker
    assert isinstance(old, Stepper)
    old.asked = 10_000
    session.lineup = attrs.evolve(session.lineup, maker=Forgetful(old))
    effects = swap(session, STEPPER, catalogue("1.1.0"), "strategy")
    (told,) = [effect for effect in effects if isinstance(effect, Alarmed)]
    assert told.detail.startswith(
        "maker stepper: dump: OSError: half a state (tests/test_swaps.py, line "
    )
    assert isinstance(session.lineup.maker, Stepper)
    assert session.lineup.maker.asked == _open(session)
    assert session.engine.faults == {}


class Forgetful:
    """A maker that does not know any more."""

    def __init__(self, inner: Stepper) -> None:
        self.quotes = inner.quotes

    def dump(self) -> dict[str, Any]:
        raise OSError("half a state")


def test_plugin_that_begins_anew_is_no_fault_of_a_role(code: Catalogue) -> None:
    """What counts faults (the guard, the notices of cut-outs) must not count it."""
    session = started(STEPPER, code)
    effects = swap(session, STEPPER, catalogue("1.1.0", stepper=Picky), "strategy")
    assert "plugin_faulted" not in [effect.TAG for effect in effects]


def test_state_of_what_is_out_of_service_is_not_taken_over(code: Catalogue) -> None:
    session = started(STEPPER, code)
    old = session.lineup.maker
    assert isinstance(old, Stepper)
    old.asked = 10_000
    session.step(PluginQuarantined(session.engine.ts_ns, "maker", "too slow", 1))
    effects = swap(session, STEPPER, catalogue("1.1.0"), "strategy")
    assert not [effect for effect in effects if isinstance(effect, Alarmed)]
    assert isinstance(session.lineup.maker, Stepper)
    assert session.lineup.maker.asked == _open(session)


def test_good_rule_keeps_its_state_when_another_one_broke(code: Catalogue) -> None:
    both = choose(BASE, plugins={"risk_rules": ("counting", "counting-2")})
    session = started(both, code)
    for (_, rule), count in zip(session.lineup.rules, (7, 8), strict=True):
        assert isinstance(rule, Counting)
        rule.count = count
    session.step(
        PluginQuarantined(session.engine.ts_ns, "risk_rule:counting-2", "5 calls took too long", 1)
    )
    before = dict(session.lineup.rules)
    swap(session, both, code, "plugins")
    now = dict(session.lineup.rules)
    assert now["counting"] is before["counting"]
    assert now["counting-2"] is not before["counting-2"]
    assert _counts(session) == [7, 0]
    assert session.engine.faults == {}

    session.step(PluginQuarantined(session.engine.ts_ns, "risk_rule:counting", "again", 2))
    swap(session, both, catalogue("1.1.0"), "plugins")
    after = dict(session.lineup.rules)
    assert all(after[name] is not now[name] for name in after)
    assert _counts(session) == [0, 0]
    rule = after["counting-2"]
    assert isinstance(rule, Counting)
    rule.count = 5
    session.step(PluginQuarantined(session.engine.ts_ns, "risk_rule:counting", "again", 3))
    swap(session, both, catalogue("1.2.0"), "plugins")
    assert _counts(session) == [0, 5]


def _counts(session: Session) -> list[int]:
    return [rule.count for _, rule in session.lineup.rules if isinstance(rule, Counting)]


def test_quarantine_that_waited_behind_a_swap_does_not_hit_the_successor(code: Catalogue) -> None:
    session = started(STEPPER, code)
    higher = choose(STEPPER, plugins={"settings": {"stepper": {"below": 2}}})
    swap(session, higher, code, "plugins")
    assert session.engine.crew.generation == session.generation == 2
    session.step(PluginQuarantined(session.engine.ts_ns, "maker", "too slow", 1))
    assert session.engine.faults == {}
    session.step(PluginQuarantined(session.engine.ts_ns, "maker", "too slow", 2))
    assert session.engine.faults == {"maker": "too slow"}


def test_what_is_out_of_service_comes_back_with_a_swap_of_its_section_only(
    code: Catalogue,
) -> None:
    session = started(STEPPER, code)
    session.step(PluginQuarantined(session.engine.ts_ns, "maker", "too slow"))
    assert list(session.engine.faults) == ["maker"]
    swap(session, choose(STEPPER, risk={"max_open_orders": 3}), code, "risk")
    assert list(session.engine.faults) == ["maker"]
    swap(session, choose(STEPPER, risk={"max_open_orders": 3}), code, "strategy")
    assert session.engine.faults == {}


def test_staged_lineup_of_another_generation_is_not_taken(code: Catalogue) -> None:
    session = started(BASE, code)
    session.stage(9, built(STEPPER, code), STEPPER)
    lineup = built(BASE, code)
    session.step(swapped(session.engine.ts_ns, 2, lineup, BASE, "strategy"))
    assert session.config == BASE


def test_swap_without_a_staged_lineup_builds_what_the_event_says(code: Catalogue) -> None:
    session = started(BASE, code)
    wanted = choose(STEPPER, plugins={"risk_rules": ("even",), "notifiers": ("not-installed",)})
    event = swapped(session.engine.ts_ns, 2, built(STEPPER, code), wanted, "strategy", "plugins")
    session.step(event)
    assert isinstance(session.lineup.maker, Stepper)
    assert [name for name, _ in session.lineup.rules] == ["even"]
    assert session.config == wanted


def test_other_version_than_the_journals_is_named(code: Catalogue) -> None:
    session = started(BASE, code)
    lineup = built(STEPPER, catalogue("1.1.0"))
    event = swapped(session.engine.ts_ns, 2, lineup, STEPPER, "strategy")
    with pytest.raises(LineupMissing) as caught:
        session.step(event)
    needed, installed = lineup.plugins["ours"], built(STEPPER, code).plugins["ours"]
    assert str(caught.value) == f"ours {needed} is needed, {installed} is installed"


def test_missing_plugin_is_named_with_its_version(code: Catalogue) -> None:
    lineup = built(STEPPER, code)
    session = started(BASE, code)
    session.lineup = attrs.evolve(session.lineup, catalogue=None)
    event = swapped(session.engine.ts_ns, 2, lineup, STEPPER, "strategy")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(swaps, "scan", lambda plugins: _without_ours(code))
        with pytest.raises(LineupMissing) as caught:
            session.step(event)
    needed = lineup.plugins["ours"]
    assert str(caught.value) == f"ours {needed} is needed, it is not installed"


def _without_ours(code: Catalogue) -> Catalogue:
    return attrs.evolve(
        code,
        plugins={name: it for name, it in code.plugins.items() if name != "ours"},
        factories={key: it for key, it in code.factories.items() if it.plugin != "ours"},
    )


def test_event_of_settings_that_no_longer_fit_is_refused(code: Catalogue) -> None:
    session = started(BASE, code)
    event = LineupSwapped(session.engine.ts_ns, 2, '{"risk":{"no_such":1}}', "{}", "x")
    with pytest.raises(ConfigError):
        session.step(event)


# -- a run with swaps of every kind, live and replayed ---------------------------------------------


def steps(code: Catalogue) -> list[tuple[int, Config | str, tuple[str, ...]]]:
    """What happens when (seconds): a configuration and the sections set, or a quarantine."""
    stepping = choose(BASE, strategy={"maker": "stepper"})
    ruled = choose(stepping, plugins={"risk_rules": ("even",)})
    limited = choose(ruled, risk={"stale_tick_filter_ms": 900, "max_open_orders": 4})
    failing = choose(
        limited,
        strategy={"maker": "failing"},
        plugins={"settings": {"failing": {"fails_at": 30, "below": 1}}},
    )
    blended = choose(
        limited,
        strategy={"maker": "skewed", "fair_value": "blend", "half_spread": 0.005, "vol_blend": 0.7},
        plugins={"risk_rules": ()},
    )
    calm = choose(
        blended,
        toxicity={"min_market_score": 20.0},
        allocator={"maker_weight": 0.5},
        taker={"trigger_bps": 3.0},
    )
    return [
        (4, stepping, ("strategy",)),
        (6, ruled, ("plugins",)),
        (8, limited, ("risk",)),
        (10, "maker", ()),
        (12, failing, ("strategy", "plugins")),
        (16, blended, ("strategy", "plugins")),
        (19, calm, ("toxicity", "allocator", "taker")),
        (21, calm, ("strategy",)),
    ]


def run_with_swaps(folder: Path, code: Catalogue) -> tuple[Report, Watch]:
    """Trade a tape with swaps in between; the journal is written, the live report is given."""
    session = build_session(BASE, lineup=built(BASE, code))
    header = JournalHeader(
        run_id="run-s",
        created="2026-11-16T12:00:00Z",
        code_version=code_version(),
        config=to_dict(BASE),
        config_digest=config_digest(BASE),
        plugins=dict(session.lineup.plugins),
    )
    writer = JournalWriter(folder / "run-s", header, segment_bytes=64_000_000)
    watch = Watch(BASE, session.engine, Meter(BASE.risk.stale_tick_filter_ms * 1_000_000))
    session.tape = Witness(watch, Tape(writer, watch))
    todo = iter([*steps(code), (10**9, "", ())])
    at_s, what, sections = next(todo)
    first_ns = 0
    for event in tape_events(SECONDS, BASE):
        first_ns = first_ns or event.ts_ns
        session.handle(event)
        if event.ts_ns - first_ns < at_s * SECOND_NS:
            continue
        if isinstance(what, str):
            why = "6 calls took too long"
            stale, meant = session.generation - 1, session.generation
            session.handle(PluginQuarantined(event.ts_ns, what, why, stale))
            assert session.engine.faults == {}
            session.handle(PluginQuarantined(event.ts_ns, what, why, meant))
        else:
            swap(session, what, code, *sections)
        at_s, what, sections = next(todo)
    digest = watch.tally.digest
    writer.close(JournalTrailer(watch.tally.events, digest.count, digest.hexdigest()))
    return build_report(watch, Basis.of_journal(folder / "run-s")), watch


class Tape:
    """The journal and the meter of a live run."""

    def __init__(self, writer: JournalWriter, watch: Watch) -> None:
        self.writer = writer
        self.watch = watch
        self.event: Event

    def append(self, event: Event) -> None:
        self.event = event
        self.writer.append(event)

    def effects(self, effects: Sequence[Effect]) -> None:
        self.writer.append_effects(effects)
        self.watch.meter.observe(self.event, effects, 40_000, 60_000)


@pytest.fixture
def run(tmp_path: Path, code: Catalogue) -> Iterator[tuple[Path, Report, Watch]]:
    report, watch = run_with_swaps(tmp_path, code)
    yield tmp_path / "run-s", report, watch


def test_run_with_swaps_of_every_kind_replays_to_the_same_effects_and_report(
    run: tuple[Path, Report, Watch], tmp_path: Path
) -> None:
    folder, live, watch = run
    result = replay(folder)
    assert result.divergence is None
    assert result.unverified == ""
    assert result.matches
    assert result.verified == result.events
    assert result.events_by_type["lineup_swapped"] == 7
    assert result.events_by_type["plugin_quarantined"] == 2  # one of them of nobody any more
    assert result.effects_by_type["plugin_faulted"] == 2  # quarantined, then out of ideas
    assert result.effects_by_type["refused"] > 0
    assert result.orders > 10
    again, _, _ = report_of(folder, None)
    assert (again.config, again.meter.stale_ns) == (watch.config, watch.meter.stale_ns)
    assert again.meter.stale_ns == 900_000_000
    assert again.config.strategy.fair_value == "blend"
    assert again.calibration.scores.overall.keys() == watch.calibration.scores.overall.keys()
    assert "blend" in again.calibration.scores.overall
    paths = write_reports(live, tmp_path / "reports")
    (manifest,) = [path for path in paths if path.name == MANIFEST]
    verdict = verify(manifest, folder)
    assert (verdict.problems, verdict.difference) == ([], None)
    assert verdict.events == result.events


def test_refusals_of_a_rule_are_told_by_its_name(run: tuple[Path, Report, Watch]) -> None:
    _, _, watch = run
    assert watch.meter.readings(watch.tally.last_ts_ns).values["refused_total"][("rule:even",)] > 0
    assert watch.engine.quoter.refusals["rule:even"] > 0


def test_old_journal_without_swaps_has_none_to_read(run: tuple[Path, Report, Watch]) -> None:
    folder, _, _ = run
    kinds = {type(entry.event) for entry in read_journal(folder)}
    assert {LineupSwapped, PluginQuarantined} <= kinds


def test_replay_says_which_version_it_needs(
    run: tuple[Path, Report, Watch],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, _, _ = run
    other = catalogue("1.0.1")
    monkeypatch.setattr(swaps, "scan", lambda plugins: other)
    code = run_replay_command(folder, as_json=False, until=None, verify=True, configs=None)
    needed = catalogue().plugins["ours"].line
    wanted = f"replay: ours {needed} is needed, {other.plugins['ours'].line} is installed"
    assert (code, capsys.readouterr().err.strip()) == (1, wanted)


def test_replay_says_which_plugin_of_the_start_is_missing(
    tmp_path: Path, code: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _short_run(tmp_path, STEPPER, code)
    monkeypatch.setattr(swaps, "scan", lambda plugins: _without_ours(code))
    with pytest.raises(LineupMissing, match=r"^ours 1\.0\.0\+sha256:.* it is not installed$"):
        replay(folder)


def test_replay_with_another_version_at_the_start_notes_it(
    tmp_path: Path, code: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _short_run(tmp_path, STEPPER, code)
    other = catalogue("1.0.1")
    monkeypatch.setattr(swaps, "scan", lambda plugins: other)
    result = replay(folder)
    needed, installed = code.plugins["ours"].line, other.plugins["ours"].line
    assert result.notes == [f"recorded with ours {needed}, replayed with {installed}"]
    assert result.matches


def _short_run(folder: Path, config: Config, code: Catalogue) -> Path:
    session = build_session(config, lineup=built(config, code))
    header = JournalHeader(
        run_id="run-t",
        created="2026-11-16T12:00:00Z",
        code_version=code_version(),
        config=to_dict(config),
        config_digest=config_digest(config),
        plugins=dict(session.lineup.plugins),
    )
    writer = JournalWriter(folder / "run-t", header, segment_bytes=64_000_000)
    for event in tape_events(4, config):
        for stepped, effects in session.handle(event):
            writer.append(stepped)
            writer.append_effects(effects)
    writer.close()
    return folder / "run-t"
