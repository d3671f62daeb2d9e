"""A day's ranges from the local venue's listing to their outcome, through the whole engine."""

from collections import defaultdict
from datetime import UTC, datetime
from itertools import pairwise

import attrs
import pytest

from polytrade.builtin.ladders import gaps, ladders_of
from polytrade.config import Config
from polytrade.core.events import Event, MarketListed, MarketResolved
from polytrade.core.ids import NO, YES
from polytrade.core.units import MS_NS, SECOND_NS
from polytrade.decoding import FrameDecoders, recorded_events
from polytrade.sandbox.tape import Tape
from polytrade.sandbox.venue.options import VenueOptions
from polytrade.session import Session, build_session, run_started

NOON_S = int(datetime(2026, 11, 16, 17, 0, tzinfo=UTC).timestamp())
"""Noon in New York, when the ranges of a day are decided."""
TOMORROW_S = NOON_S + 86_400
BEFORE_S, AFTER_S = 80, 65
LOOK_NS = (NOON_S - 30) * SECOND_NS
"""When the estimates are looked at: the volatility is known by then, and quoting not over."""
OPTIONS = VenueOptions(
    seed=11, coins=("btc",), windows=("5m",), windows_ahead=0, slow_markets=True, activity=0.05
)


@attrs.define
class Run:
    """What the daemon made of the events of ranges; `fairs` and `gaps` are by their end."""

    listed: dict[str, MarketListed] = attrs.field(factory=dict)
    fairs: dict[int, dict[str, float]] = attrs.field(factory=lambda: defaultdict(dict))
    gaps: dict[int, list[float]] = attrs.field(factory=dict)
    predicted: dict[str, int] = attrs.field(factory=dict)
    resolved: dict[str, int] = attrs.field(factory=dict)

    def ending(self, end_s: int) -> list[MarketListed]:
        """The markets of one event."""
        return [one for one in self.listed.values() if one.end_ns == end_s * SECOND_NS]

    def look(self, session: Session) -> None:
        """Keep what the engine thinks now."""
        markets = session.engine.markets
        for name, listed in self.listed.items():
            self.fairs[listed.end_ns // SECOND_NS][name] = markets[name].fair
        for moment, steps in ladders_of(markets.values()).items():
            self.gaps[moment[0] // SECOND_NS] = gaps(steps)

    def take(self, session: Session, event: Event) -> None:
        """One event that the engine stepped."""
        if isinstance(event, MarketListed) and event.symbol and event.neg_risk:
            self.listed[event.market] = event
        elif isinstance(event, MarketResolved) and event.market in self.listed:
            self.resolved[event.market] = event.winner
            self.predicted[event.market] = session.engine.markets[event.market].predicted
        elif event.ts_ns >= LOOK_NS and not self.fairs:
            self.look(session)


@pytest.fixture(scope="module")
def run() -> Run:
    """One run over the noon, with everything else that the venue lists beside it."""
    settings, found = Config(), Run()
    session = build_session(settings)
    ticks_ns = settings.latency.tick_interval_ms * MS_NS
    tape = Tape(OPTIONS, NOON_S - BEFORE_S, ("market", "rtds", "binance"))
    for event in recorded_events(
        tape.records(BEFORE_S + AFTER_S),
        FrameDecoders(),
        lambda ts_ns: run_started(settings, ts_ns, "day"),
        ticks_ns,
    ):
        for stepped, _ in session.handle(event):
            found.take(session, stepped)
    return found


@pytest.mark.parametrize("end_s", [NOON_S, TOMORROW_S])
def test_all_ranges_of_a_day_are_discovered_side_by_side(run: Run, end_s: int) -> None:
    by_kind = defaultdict(list)
    for listed in run.ending(end_s):
        by_kind[listed.condition].append(listed)
    assert {kind: len(found) for kind, found in by_kind.items()} == {
        "below": 1,
        "range": 6,
        "above": 1,
    }
    ranges = sorted(by_kind["range"], key=lambda listed: listed.strike_e8)
    assert all(low.upper_e8 == high.strike_e8 for low, high in pairwise(ranges))
    assert by_kind["below"][0].strike_e8 == ranges[0].strike_e8
    assert by_kind["above"][0].strike_e8 == ranges[-1].upper_e8


@pytest.mark.parametrize("end_s", [NOON_S, TOMORROW_S])
def test_each_range_is_estimated_and_all_of_a_day_are_worth_one(run: Run, end_s: int) -> None:
    fairs = run.fairs[end_s].values()
    assert len(fairs) == 8
    assert all(0.0 < fair < 1.0 for fair in fairs)
    # The model says at least 0.001 of each.
    assert sum(fairs) == pytest.approx(1.0, abs=0.008)


def test_a_day_ahead_the_price_may_still_go_anywhere(run: Run) -> None:
    assert max(run.fairs[TOMORROW_S].values()) < 0.6
    assert max(run.fairs[NOON_S].values()) > 0.9


def test_books_of_ranges_and_thresholds_add_up_within_their_spreads(run: Run) -> None:
    assert len(run.gaps[TOMORROW_S]) >= 2
    assert max(run.gaps[TOMORROW_S]) < 0.05


def test_ranges_resolve_as_predicted_and_as_the_model_saw_it(run: Run) -> None:
    assert set(run.resolved) == {one.market for one in run.ending(NOON_S)}
    assert sorted(run.resolved.values()) == [YES] + [NO] * 7
    assert run.predicted == run.resolved
    fairs = run.fairs[NOON_S]
    assert run.resolved[max(fairs, key=fairs.__getitem__)] == YES
