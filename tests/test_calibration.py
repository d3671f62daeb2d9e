"""Scores of forecasts by hand: Brier, log loss, reliability, and the comparison with the mid."""

import pickle
from math import log, sqrt
from types import SimpleNamespace
from typing import Any

import pytest

from polytrade.builtin.horizons import EDGES_S, NAMES, horizon_of
from polytrade.calibration import MID, Calibration, Scores
from polytrade.core.events import ClockTicked, Event, MarketResolved, ReferenceTicked
from polytrade.core.ids import ANCHOR, FAST, NO, YES
from polytrade.core.market import CLOSING, HYDRATING, OPEN, REDEEMED, MarketState
from polytrade.core.reference import SymbolReference
from polytrade.core.roles import Estimate, no_estimate
from polytrade.core.trust import SUSPECT, SYNCED
from polytrade.core.units import MS_NS, SECOND_NS
from tests.core.factory import END_NS, START_NS, market, snapshot


class Fair:
    """A model that says what it is told to."""

    def __init__(self, value: float = 0.5) -> None:
        self.value = value
        self.asked = 0
        self.ticks = 0

    def on_reference(self, reference: SymbolReference, ts_ns: int) -> None:
        self.ticks += 1

    def estimate(
        self, state: MarketState, reference: SymbolReference | None, ts_ns: int
    ) -> Estimate:
        self.asked += 1
        if self.value < 0.0:
            return no_estimate("no_quote_edge")
        return Estimate(True, self.value, 1.0, 0.0, 0.0, "")

    def forget(self, name: str) -> None: ...


class Desk:
    """An engine as calibration sees it, and the fold over it."""

    def __init__(self, fair: Any = None, models: dict[str, Any] | None = None) -> None:
        self.engine = SimpleNamespace(markets={}, references={}, fair=fair or Fair())
        self.calibration = Calibration(self.engine, models)  # type: ignore[arg-type]

    def open(self, name: str, mid_cents: int, fair: float, **changes: Any) -> MarketState:
        state = market(market=name, **changes)
        state.book.replace(snapshot({mid_cents - 1: 10}, {mid_cents + 1: 10}), True)
        state.trust.state = SYNCED
        state.phase = OPEN
        state.fair = fair
        self.engine.markets[name] = state
        return state

    def step(self, event: Event) -> None:
        self.calibration.observe(event, [])

    def tick(self, left_s: float) -> None:
        self.step(ClockTicked(END_NS - round(left_s * SECOND_NS)))

    def resolve(self, name: str, winner: int) -> None:
        self.engine.markets[name].phase = REDEEMED
        self.step(MarketResolved(END_NS + 10 * SECOND_NS, name, winner, "test"))

    def row(self, model: str, horizon: str = "all") -> dict[str, Any]:
        found = [
            row
            for row in self.calibration.table()
            if (row["model"], row["time_to_end"]) == (model, horizon)
        ]
        assert len(found) == 1
        return found[0]


def test_brier_and_log_loss_of_model_and_mid_by_hand() -> None:
    desk = Desk()
    state = desk.open("a", 40, 0.7)
    desk.tick(200.0)
    state.fair = 0.9
    desk.tick(100.0)
    desk.resolve("a", YES)
    row = desk.row("fair")
    assert (row["markets"], row["samples"]) == (1, 2)
    assert row["brier"] == pytest.approx((0.3**2 + 0.1**2) / 2)
    assert row["log_loss"] == pytest.approx(-(log(0.7) + log(0.9)) / 2)
    assert row["mid_brier"] == pytest.approx(0.6**2)
    assert row["mid_log_loss"] == pytest.approx(-log(0.4))
    assert row["gap"] == pytest.approx(0.05 - 0.36)
    assert (row["gap_se"], row["verdict"]) == (None, None)
    assert desk.row("fair", "1-3 min")["brier"] == pytest.approx(0.01)
    assert desk.row("fair", "3-10 min")["brier"] == pytest.approx(0.09)
    assert desk.row(MID)["brier"] == pytest.approx(0.36)


def test_other_outcome_scores_the_other_way() -> None:
    desk = Desk()
    desk.open("a", 40, 0.7)
    desk.tick(30.0)
    desk.resolve("a", NO)
    row = desk.row("fair", "20-60 s")
    assert row["brier"] == pytest.approx(0.49)
    assert row["log_loss"] == pytest.approx(-log(0.3))
    assert row["mid_brier"] == pytest.approx(0.16)


def test_model_is_compared_with_the_mid_where_both_spoke() -> None:
    desk = Desk()
    state = desk.open("a", 50, 0.8)
    desk.tick(100.0)
    state.fair = -1.0
    state.book.replace(snapshot({89: 10}, {91: 10}), True)
    desk.tick(99.0)
    desk.resolve("a", YES)
    assert desk.row("fair")["samples"] == 1
    assert desk.row("fair")["mid_brier"] == pytest.approx(0.25)
    assert desk.row(MID)["samples"] == 2


def test_one_sample_a_second_whatever_the_events() -> None:
    desk = Desk()
    desk.open("a", 50, 0.5)
    for ms in (100_000, 99_900, 99_500, 99_001, 99_000, 98_999):
        desk.step(ClockTicked(END_NS - ms * MS_NS))
    desk.resolve("a", YES)
    # 100.0 s left begins a second, 99.0 the next; 98.999 s is in the same one.
    assert desk.row("fair")["samples"] == 2


@pytest.mark.parametrize("spoil", ["phase", "trust", "one-sided", "other"])
def test_market_without_a_price_to_trust_is_not_sampled(spoil: str) -> None:
    desk = Desk()
    state = desk.open("a", 50, 0.5, **({"condition": "other"} if spoil == "other" else {}))
    if spoil == "phase":
        state.phase = HYDRATING
    elif spoil == "trust":
        state.trust.state = SUSPECT
    elif spoil == "one-sided":
        state.book.replace(snapshot({50: 10}, {}), True)
    desk.tick(100.0)
    desk.resolve("a", YES)
    assert desk.row("fair")["samples"] == desk.row(MID)["samples"] == 0
    assert desk.calibration.scores.resolved == 0


def test_closing_market_samples_the_mid_but_not_what_the_engine_no_longer_says() -> None:
    desk = Desk()
    desk.open("a", 50, 0.9).phase = CLOSING
    desk.tick(10.0)
    desk.resolve("a", YES)
    assert desk.row("fair")["samples"] == 0
    assert desk.row(MID, "under 20 s")["samples"] == 1


def test_empty_scores_are_none() -> None:
    row = Desk().row("fair")
    assert [row[name] for name in ("brier", "log_loss", "mid_brier", "gap", "verdict")] == [
        None
    ] * 5


def test_split_and_dropped_markets_are_counted_and_not_scored() -> None:
    desk = Desk()
    for name in ("a", "b"):
        desk.open(name, 50, 0.5)
    desk.tick(100.0)
    desk.resolve("a", -1)
    del desk.engine.markets["b"]
    desk.step(ClockTicked(END_NS + 100 * SECOND_NS))
    scores = desk.calibration.scores
    assert (scores.resolved, scores.split, scores.unresolved) == (0, 1, 1)
    assert desk.row("fair")["samples"] == 0
    assert not desk.calibration._pending


def test_resolution_said_twice_counts_once() -> None:
    desk = Desk()
    desk.open("a", 50, 0.5)
    desk.tick(100.0)
    desk.resolve("a", YES)
    desk.resolve("a", YES)
    assert desk.calibration.scores.resolved == 1


def test_sure_forecast_that_fails_has_a_finite_loss() -> None:
    desk = Desk()
    desk.open("a", 50, 1.0)
    desk.tick(100.0)
    desk.resolve("a", NO)
    assert desk.row("fair")["log_loss"] == pytest.approx(-log(0.001))


def test_standard_error_counts_markets_and_not_samples() -> None:
    """Two markets whose gaps are d1 and d2 on one sample each: the error of a mean of two."""
    desk = Desk()
    for name, fair, winner in (("a", 0.9, YES), ("b", 0.6, NO)):
        desk.open(name, 50, fair)
        desk.tick(100.0)
        desk.resolve(name, winner)
    gaps = [0.01 - 0.25, 0.36 - 0.25]
    mean = sum(gaps) / 2
    row = desk.row("fair")
    assert row["gap"] == pytest.approx(mean)
    assert row["gap_se"] == pytest.approx(sqrt(sum((g - mean) ** 2 for g in gaps) / 2))
    assert row["verdict"] == "no different"
    more = Desk()
    state = more.open("a", 50, 0.9)
    for step in range(50):
        more.tick(100.0 - step)
    more.resolve("a", YES)
    assert state.fair == 0.9
    assert more.row("fair")["gap_se"] is None


def test_model_that_is_worse_than_the_mid_is_called_so() -> None:
    desk = Desk()
    for number in range(30):
        name = f"m{number}"
        desk.open(name, 50, 0.3 if number % 2 else 0.68)
        desk.tick(100.0)
        desk.resolve(name, YES if number % 2 else NO)
    assert desk.row("fair")["verdict"] == "worse"
    assert desk.row(MID)["verdict"] == "no different"


def test_reliability_is_the_share_that_happened_by_forecast() -> None:
    desk = Desk()
    for name, fair, winner in (("a", 0.72, YES), ("b", 0.78, NO), ("c", 0.05, NO)):
        desk.open(name, 50, fair)
        desk.tick(100.0)
        desk.resolve(name, winner)
    bins = desk.calibration.to_dict()["reliability"]["fair"]
    assert len(bins) == 10
    assert bins[7] == {"samples": 2, "forecast": pytest.approx(0.75), "outcome": 0.5}
    assert bins[0] == {"samples": 1, "forecast": pytest.approx(0.05), "outcome": 0.0}
    assert bins[3] == {"samples": 0, "forecast": None, "outcome": None}


def test_other_models_are_asked_apart_from_the_engine() -> None:
    sure, silent = Fair(0.9), Fair(-1.0)
    desk = Desk(models={"sure": sure, "silent": silent})
    desk.open("a", 50, 0.5)
    reference = SymbolReference("BTC", 30.0, 600.0)
    desk.engine.references["BTC"] = reference
    for kind, ms in ((FAST, 0), (FAST, 50), (ANCHOR, 60), (FAST, 100)):
        at = START_NS + ms * MS_NS
        event = ReferenceTicked(at, "BTC", "a", kind, 6_000_000_000_000, at)
        reference.apply(event)
        desk.step(event)
    assert (sure.ticks, sure.asked) == (3, 2)
    desk.resolve("a", YES)
    assert desk.row("sure")["brier"] == pytest.approx(0.01)
    assert desk.row("silent")["samples"] == 0


def test_parts_of_a_blend_are_scored_with_it() -> None:
    class Mixed(Fair):
        name = "blend"

        def opinions(self, name: str) -> dict[str, float]:
            return {"digital": 0.8}

    desk = Desk(Mixed())
    desk.open("a", 50, 0.6)
    desk.tick(100.0)
    desk.resolve("a", YES)
    assert desk.row("blend")["brier"] == pytest.approx(0.16)
    assert desk.row("digital")["brier"] == pytest.approx(0.04)


def test_merged_runs_are_scored_as_one() -> None:
    """Two runs of one market each are the same as one run of both; scores cross processes."""
    both = Desk()
    pooled = Scores()
    for name, fair, winner in (("a", 0.9, YES), ("b", 0.6, NO)):
        one = Desk()
        for desk in (one, both):
            desk.open(name, 50, fair)
            desk.tick(100.0)
            desk.resolve(name, winner)
        pooled.merge(pickle.loads(pickle.dumps(one.calibration.scores)))
    assert pooled.to_dict() == both.calibration.to_dict()
    assert pooled.table() == both.calibration.table()


def test_horizons_cover_all_times() -> None:
    assert [NAMES[horizon_of(left)] for left in (0.0, 19.9, 20.0, 59.9, 180.0, 900.0)] == [
        *("under 20 s", "under 20 s", "20-60 s", "20-60 s", "3-10 min", "over 10 min"),
    ]
    assert len(NAMES) == len(EDGES_S) + 1
