"""Toxicity of markets: measures, warm-up, cooldown, rank, rates and bursts; by hand and as laws."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polytrade.core.events import ReferenceTicked
from polytrade.core.ids import BUY, FAST, NO, SELL, YES
from polytrade.core.market import CLOSING, OPEN, PENDING_RESOLUTION, REDEEMED, MarketState
from polytrade.core.markouts import HORIZON_1S, HORIZON_10S, Markout
from polytrade.core.reference import SymbolReference
from polytrade.core.regimes import CAUTION, DANGER, SAFE, ToxicitySettings
from polytrade.core.standing import MARKOUTS_KEEP_NS, MARKOUTS_MAX, RATE_WINDOW_S, Standing
from polytrade.core.toxicity import Toxicity, ToxicityRow
from polytrade.core.trust import STALE
from polytrade.core.units import MS_NS, SECOND_NS
from tests.core.factory import MARKET, START_NS, change, market, snapshot, trade

T0 = START_NS
WARM = 20


class View:
    """The fields of a strategy's view that toxicity writes."""

    def __init__(self, state: MarketState) -> None:
        self.market = state
        self.regime = -1
        self.tox = -1.0
        self.score = -1.0
        self.rank = -1
        self.active = False
        self.progress = -1.0
        self.no_quote_rate = -1.0
        self.markout10_p50 = -1.0
        self.markout10_p25 = -1.0
        self.markouts = -1
        self.min_edge_bps = -1.0
        self.max_spread_e4 = -1


def opened(
    name: str = MARKET, bids: dict[int, int] | None = None, asks: dict[int, int] | None = None
) -> MarketState:
    """An open market with a tight and even book, heard at T0."""
    state = market(market=name)
    event = snapshot(bids or {48: 10}, asks or {49: 10}, T0)
    state.trust.on_snapshot(state.book.replace(event, True), False, T0)
    state.phase = OPEN
    return state


def heard(ts_ns: int = T0) -> SymbolReference:
    reference = SymbolReference("BTC", 30.0, 300.0)
    reference.apply(ReferenceTicked(ts_ns, "BTC", "binance", FAST, 6_000_000_000_000, ts_ns))
    return reference


def warm(toxicity: Toxicity, name: str = MARKET, bps: float = 0.0, count: int = WARM) -> None:
    for _ in range(count):
        for horizon in range(3):
            toxicity.markout(name, horizon, bps)


def standing(toxicity: Toxicity, name: str = MARKET) -> Standing:
    found = toxicity.standing_of(name)
    assert found is not None
    return found


def run(
    state: MarketState, *, bps: float = 0.0, count: int = WARM, **changes: Any
) -> tuple[Toxicity, SymbolReference]:
    """Toxicity that has decided a market twice, with markouts in between."""
    toxicity = Toxicity(ToxicitySettings(**changes))
    reference = heard()
    toxicity.update(state, reference, T0)
    warm(toxicity, state.spec.market, bps, count)
    toxicity.update(state, reference, T0)
    return toxicity, reference


# -- measures ---------------------------------------------------------------------------------


def test_book_is_measured_by_sizes_of_the_top_levels() -> None:
    """Bids 20 + 10 + 30, asks 5 + 5 + 10: imbalance 0.5, micro-price half of half a spread up."""
    bids = {48: 20, 47: 10, 46: 30, 45: 999}
    asks = {52: 5, 53: 5, 54: 10, 55: 999}
    toxicity, _ = run(opened(bids=bids, asks=asks))
    found = standing(toxicity)
    assert found.imbalance == 0.5
    assert found.spread_bps == 400.0
    assert found.drift == pytest.approx(0.01, abs=1e-15)


def test_mirrored_market_measures_the_same_danger() -> None:
    low, _ = run(opened(bids={4: 30}, asks={6: 10}))
    high, _ = run(opened(bids={94: 10}, asks={96: 30}))
    assert standing(low).tox == standing(high).tox
    assert standing(low).drift == -standing(high).drift


def test_score_is_that_of_the_measures() -> None:
    """Spread 1 cent 0.2, 750 ms of silence 0.025: raw 0.225."""
    state = opened()
    toxicity, reference = run(state)
    toxicity.update(state, reference, T0 + 750 * MS_NS)
    found = standing(toxicity)
    assert found.stale_ms == 750.0
    assert found.tox == pytest.approx(2 / (1 + 2.718281828459045**-0.225) - 1, abs=1e-12)
    assert (found.regime, found.reason) == (SAFE, "")


def test_age_is_that_of_the_older_of_book_and_reference() -> None:
    state = opened()
    toxicity, _ = run(state)
    toxicity.update(state, heard(T0 + 400 * MS_NS), T0 + 500 * MS_NS)
    assert standing(toxicity).stale_ms == 500.0
    state.trust.on_change(0, False, T0 + 600 * MS_NS)
    toxicity.update(state, heard(T0 + 400 * MS_NS), T0 + 700 * MS_NS)
    assert standing(toxicity).stale_ms == 300.0


def test_market_that_may_be_silent_is_never_stale_nor_without_its_symbol() -> None:
    state = market(condition="other", symbol="")
    event = snapshot({48: 10}, {49: 10}, T0)
    state.trust.on_snapshot(state.book.replace(event, True), False, T0)
    state.phase = OPEN
    toxicity = Toxicity(ToxicitySettings())
    toxicity.update(state, None, T0 + 3_600 * SECOND_NS)
    assert (standing(toxicity).stale_ms, standing(toxicity).missing_rate) == (0.0, 0.0)


def test_book_that_is_not_believed_changes_no_measure() -> None:
    state = opened(bids={48: 30}, asks={52: 10})
    toxicity, reference = run(state)
    state.book.replace(snapshot({10: 1}, {90: 1}, T0), True)
    state.trust.on_loss(STALE, "disconnected")
    toxicity.update(state, reference, T0)
    assert (standing(toxicity).spread_bps, standing(toxicity).imbalance) == (400.0, 0.5)


def test_one_sided_book_is_as_wide_as_it_goes_and_has_no_drift() -> None:
    state = opened(bids={30: 10}, asks={99: 1})
    state.book.replace(snapshot({30: 10}, {}, T0), True)
    toxicity, _ = run(state)
    assert (standing(toxicity).spread_bps, standing(toxicity).drift) == (7_000.0, 0.0)


# -- warm-up, regime, cooldown ----------------------------------------------------------------


def test_few_markouts_are_safe_and_capped_with_their_reason() -> None:
    state = opened(bids={10: 10}, asks={90: 10})
    toxicity, _ = run(state, bps=-500.0, count=WARM - 1)
    found = standing(toxicity)
    assert (found.samples, found.regime, found.reason) == (19, SAFE, "warmup_samples_lt_20")
    assert found.tox == pytest.approx(0.28, abs=1e-12)
    assert found.score == 80.0
    assert found.cooldown_until_ns == 0


def test_samples_are_counted_at_the_horizon_that_has_fewest() -> None:
    toxicity, _ = run(opened(), count=WARM - 1)
    toxicity.markout(MARKET, HORIZON_1S, 0.0)
    assert standing(toxicity).samples == WARM - 1


def test_danger_starts_a_cooldown_as_long_as_the_score_is_high() -> None:
    """All markouts at -20 bps: 0.75 + tanh(0.475) is beyond 1, so the longest cooldown."""
    state = opened()
    toxicity, _ = run(state, bps=-20.0)
    found = standing(toxicity)
    assert (found.tox, found.regime, found.reason) == (1.0, DANGER, "markout_1s_danger")
    assert found.cooldown_until_ns == T0 + 120 * SECOND_NS
    for _ in range(MARKOUTS_MAX):
        warm(toxicity, bps=0.0, count=1)
    end = T0 + 120 * SECOND_NS
    state.trust.on_change(0, False, end)
    toxicity.update(state, heard(end), end - 1)
    assert (found.regime, found.reason) == (DANGER, "cooldown")
    toxicity.update(state, heard(end), end)
    assert (found.regime, found.reason) == (SAFE, "")


def test_cooldown_between_its_bounds() -> None:
    """Only 10 s markouts at -18 bps: 0.2 + tanh((0.2 + 0.18) / 2), 30 s + 90 s of that."""
    state = opened()
    toxicity, _ = run(state, count=0)
    for _ in range(WARM):
        toxicity.markout(MARKET, 0, 0.0)
        toxicity.markout(MARKET, 1, 0.0)
        toxicity.markout(MARKET, 2, -18.0)
    toxicity.update(state, heard(), T0)
    found = standing(toxicity)
    assert found.tox == pytest.approx(0.3877463, abs=1e-7)
    assert found.cooldown_until_ns - T0 == pytest.approx(64_897_164_000, abs=1e4)
    assert found.reason == "markout_10s_danger"


def test_danger_that_lasts_starts_the_next_cooldown_when_one_ends() -> None:
    state = opened()
    toxicity, reference = run(state, bps=-20.0)
    found = standing(toxicity)
    toxicity.update(state, reference, T0 + 60 * SECOND_NS)
    assert found.cooldown_until_ns == T0 + 120 * SECOND_NS
    assert found.reason == "markout_1s_danger"
    toxicity.update(state, reference, T0 + 120 * SECOND_NS)
    assert found.cooldown_until_ns == T0 + 240 * SECOND_NS


def test_old_markouts_no_longer_count_and_the_market_is_tried_again() -> None:
    state = opened()
    toxicity, _ = run(state, bps=-20.0)
    later = T0 + MARKOUTS_KEEP_NS + SECOND_NS
    toxicity.update(state, heard(later), later)
    found = standing(toxicity)
    assert (found.samples, found.regime, found.reason) == (0, SAFE, "warmup_samples_lt_20")


def test_caution_has_no_cooldown() -> None:
    toxicity, _ = run(opened(), bps=-4.0)
    found = standing(toxicity)
    assert (found.regime, found.reason, found.cooldown_until_ns) == (
        CAUTION,
        "markout_1s_caution",
        0,
    )
    assert toxicity.regime_of(MARKET) == CAUTION


def test_other_settings_judge_from_the_next_decision_on() -> None:
    state = opened()
    toxicity, reference = run(state, bps=-4.0)
    toxicity.apply(ToxicitySettings(markout_1s_caution_bps=-5.0, safe_threshold=0.6))
    assert standing(toxicity).regime == CAUTION
    toxicity.update(state, reference, T0)
    assert standing(toxicity).regime == SAFE


# -- rates, score, rank -----------------------------------------------------------------------


def test_no_quote_rate_is_that_of_the_last_minute() -> None:
    state = opened()
    toxicity, reference = run(state)
    assert standing(toxicity).no_quote_rate == 0.0
    for quoted in (True, False, False, False):
        toxicity.decided(MARKET, quoted, T0)
    toxicity.update(state, reference, T0)
    assert standing(toxicity).no_quote_rate == 0.75
    assert standing(toxicity).score == pytest.approx(
        70 - 18.75 - 20 * standing(toxicity).tox, abs=1e-9
    )
    later = T0 + RATE_WINDOW_S * SECOND_NS
    toxicity.update(state, heard(later), later)
    assert standing(toxicity).no_quote_rate == 0.0


def test_missing_rate_counts_decisions_without_a_live_reference() -> None:
    state = opened()
    toxicity = Toxicity(ToxicitySettings())
    toxicity.update(state, heard(), T0)
    toxicity.update(state, None, T0)
    toxicity.update(state, SymbolReference("BTC", 30.0, 300.0), T0)
    toxicity.update(state, heard(T0), T0 + 3 * SECOND_NS)
    assert standing(toxicity).missing_rate == 0.75
    assert standing(toxicity).score == 80.0 - 4.5


def test_markets_are_ranked_by_score_and_the_best_are_active() -> None:
    """Markouts of 0, 10 and 20 bps; one more is in its warm-up with 80 points."""
    toxicity = Toxicity(ToxicitySettings(active_top_n_markets=2))
    reference = heard()
    states = [opened(name) for name in ("a", "b", "c", "d")]
    for state in states:
        toxicity.update(state, reference, T0)
    for name, bps in (("a", 0.0), ("b", 10.0), ("c", 20.0)):
        warm(toxicity, name, bps)
    for state in states:
        toxicity.update(state, reference, T0 + SECOND_NS)
    toxicity.update(states[0], reference, T0 + 2 * SECOND_NS)
    assert [toxicity.rank_of(name) for name in "abcd"] == [4, 2, 1, 3]
    assert [standing(toxicity, name).active for name in "abcd"] == [False, True, True, False]
    assert toxicity.score_of("c") == pytest.approx(100 - 20 * standing(toxicity, "c").tox)
    assert [row.market for row in toxicity.rows(T0)] == ["c", "b", "d", "a"]


def test_equal_markets_rank_as_they_became_known_and_no_limit_keeps_all() -> None:
    toxicity = Toxicity(ToxicitySettings(active_top_n_markets=0))
    for name in ("z", "a", "m"):
        toxicity.update(opened(name), heard(), T0)
    assert [toxicity.rank_of(name) for name in "zam"] == [1, 2, 3]
    assert all(standing(toxicity, name).active for name in "zam")


def test_ranks_are_taken_anew_once_a_second() -> None:
    toxicity = Toxicity(ToxicitySettings())
    first, second = opened("a"), opened("b")
    toxicity.update(first, heard(), T0)
    toxicity.update(second, heard(), T0)
    for _ in range(10):
        toxicity.decided("a", False, T0)
    toxicity.update(first, heard(), T0 + SECOND_NS - 1)
    assert (toxicity.rank_of("a"), toxicity.rank_of("b")) == (1, 2)
    toxicity.update(first, heard(), T0 + SECOND_NS)
    assert (toxicity.rank_of("a"), toxicity.rank_of("b")) == (2, 1)


def test_market_below_the_least_score_is_not_active_at_once() -> None:
    toxicity = Toxicity(ToxicitySettings(min_market_score=77.0))
    state = opened()
    toxicity.update(state, heard(), T0)
    assert standing(toxicity).active
    toxicity.decided(MARKET, False, T0)
    toxicity.update(state, heard(), T0 + 1)
    assert (standing(toxicity).score, standing(toxicity).active) == (74.0, False)


@pytest.mark.parametrize("phase", [CLOSING, PENDING_RESOLUTION])
def test_only_open_markets_hold_a_rank(phase: str) -> None:
    toxicity = Toxicity(ToxicitySettings(active_top_n_markets=1))
    first, second = opened("a"), opened("b")
    toxicity.update(first, heard(), T0)
    toxicity.update(second, heard(), T0)
    assert (standing(toxicity, "a").active, standing(toxicity, "b").active) == (True, False)
    first.phase = phase
    toxicity.update(first, heard(), T0 + 1)
    assert (toxicity.rank_of("a"), toxicity.rank_of("b")) == (0, 1)
    assert (standing(toxicity, "a").active, standing(toxicity, "b").active) == (False, True)


def test_market_that_ended_without_another_decision_leaves_its_place() -> None:
    toxicity = Toxicity(ToxicitySettings(active_top_n_markets=1))
    first, second = opened("a"), opened("b")
    toxicity.update(first, heard(), T0)
    toxicity.update(second, heard(), T0)
    first.phase = REDEEMED
    toxicity.update(second, heard(), T0 + SECOND_NS)
    assert (toxicity.rank_of("a"), toxicity.rank_of("b")) == (0, 1)
    assert (standing(toxicity, "a").active, standing(toxicity, "b").active) == (False, True)


def test_market_that_is_over_is_forgotten_and_its_place_is_free() -> None:
    toxicity = Toxicity(ToxicitySettings(active_top_n_markets=1))
    second = opened("b")
    toxicity.update(opened("a"), heard(), T0)
    toxicity.update(second, heard(), T0)
    toxicity.forget("a")
    toxicity.forget("a")
    toxicity.markout("a", 0, 1.0)
    toxicity.decided("a", True, T0)
    assert toxicity.standing_of("a") is None
    assert (toxicity.regime_of("a"), toxicity.score_of("a"), toxicity.rank_of("a")) == (SAFE, 0, 0)
    toxicity.update(second, heard(), T0 + 1)
    assert standing(toxicity, "b").active


# -- bursts -----------------------------------------------------------------------------------


def test_bursts_of_trades_and_of_cancels_are_told_apart() -> None:
    """Ten seconds of one share a second each; then 20 taken off, 12 of them by a trade."""
    state = opened(bids={48: 1_000}, asks={49: 1_000})
    toxicity = Toxicity(ToxicitySettings())
    toxicity.update(state, heard(), T0)
    left = 1_000
    for second in range(9):
        at = T0 + second * SECOND_NS
        for gone in (1, 1):  # one share traded, one cancelled
            left -= gone
            event = change(BUY, 48, left, at, second + 2)
            toxicity.changing(event, state.book)
            state.book.change(event, False)
        toxicity.traded(trade(SELL, 48, 1, at))
    at = T0 + 9 * SECOND_NS
    event = change(BUY, 48, left - 20, at, 99)
    toxicity.changing(event, state.book)
    state.book.change(event, False)
    toxicity.traded(trade(SELL, 48, 12, at))
    toxicity.update(state, heard(at), at)
    found = standing(toxicity)
    assert found.trade_burst() == pytest.approx(((12 + 1) / 2) / (21 / 10))
    assert found.cancel_burst() == pytest.approx(((8 + 1) / 2) / (17 / 10))


def test_level_of_the_other_token_is_the_mirrored_one_and_growth_is_no_cancel() -> None:
    state = opened(bids={48: 10}, asks={49: 10})
    toxicity = Toxicity(ToxicitySettings())
    toxicity.changing(change(BUY, 48, 1, T0, 2), state.book)
    toxicity.update(state, heard(), T0)
    toxicity.changing(change(BUY, 48, 30, T0, 2), state.book)
    assert standing(toxicity).reduced.total == 0
    event = change(BUY, 51, 4, T0, 2)
    event.token = NO
    toxicity.changing(event, state.book)
    assert standing(toxicity).reduced.total == 6_000_000
    event.token = YES
    toxicity.changing(event, state.book)
    assert standing(toxicity).reduced.total == 6_000_000


def test_without_trades_and_cancels_there_is_no_burst() -> None:
    toxicity, _ = run(opened())
    assert (standing(toxicity).trade_burst(), standing(toxicity).cancel_burst()) == (0.0, 0.0)
    toxicity.traded(trade(SELL, 48, 12, T0))
    assert standing(toxicity).trade_burst() == 0.0


# -- what is written and told -----------------------------------------------------------------


def test_view_has_what_is_thought_of_its_market() -> None:
    state = opened()
    toxicity, reference = run(state, bps=-4.0)
    for _ in range(30):
        toxicity.outcome()
    toxicity.update(state, reference, T0)
    view = View(state)
    toxicity.fill(view)
    tox = standing(toxicity).tox
    assert (view.regime, view.tox, view.score) == (CAUTION, tox, standing(toxicity).score)
    assert (view.rank, view.active, view.markouts) == (1, False, 20)
    assert (view.markout10_p50, view.markout10_p25) == (-4.0, -4.0)
    assert (view.progress, view.no_quote_rate) == (1.0, 0.0)
    assert view.min_edge_bps == pytest.approx(min(4 * (1 + 0.6 * tox) + 2.0 + 1.4, 10.0))
    assert view.max_spread_e4 == int(300 * (1 - 0.35 * tox))


def test_view_of_a_new_market_is_that_of_the_warm_up() -> None:
    state = opened()
    toxicity = Toxicity(ToxicitySettings())
    toxicity.update(state, heard(), T0)
    view = View(state)
    toxicity.fill(view)
    assert (view.regime, view.markouts, view.markout10_p50, view.progress) == (SAFE, 0, 0.0, 0.0)
    assert (view.min_edge_bps, view.max_spread_e4, view.active) == (0.6, 360, True)


def test_last_markout_of_a_fill_is_its_outcome_until_the_window_is_reset() -> None:
    state = opened()
    toxicity, _ = run(state, count=0)
    for horizon in range(3):
        toxicity.learn(Markout("f", MARKET, horizon, -1.0, -2.0, 1, T0, "taker", SECOND_NS))
    assert (toxicity.outcomes, toxicity.progress) == (1, 1 / 30)
    assert standing(toxicity).samples == 1
    toxicity.reset_window()
    assert (toxicity.outcomes, toxicity.progress) == (0, 0.0)
    assert standing(toxicity).samples == 1


def test_report_row_tells_everything_and_none_for_no_markout() -> None:
    toxicity, _ = run(opened(), bps=-20.0)
    toxicity.update(opened("new"), heard(), T0)
    new, old = toxicity.rows(T0 + 20 * SECOND_NS)
    assert (new.market, new.symbol, new.rank, new.markout_10s_bps) == ("new", "BTC", 1, None)
    assert (old.market, old.rank, old.markout_10s_bps, old.markouts) == (MARKET, 2, -20.0, 20)
    assert (old.tox, old.regime, old.cooldown_sec, old.active) == (1.0, DANGER, 100.0, False)
    assert (old.no_quote_rate, old.symbol_missing_rate, old.reason) == (
        0.0,
        0.0,
        "markout_1s_danger",
    )
    assert isinstance(old, ToxicityRow)


def test_row_of_a_market_that_ended_has_no_bursts() -> None:
    state = opened()
    toxicity, reference = run(state)
    for second in range(3):
        toxicity.traded(trade(SELL, 48, 12, T0 + second * SECOND_NS))
    toxicity.update(state, reference, T0 + 2 * SECOND_NS)
    (row,) = toxicity.rows(T0)
    assert (row.open, row.trade_burst) == (True, 1.0)
    state.phase = CLOSING
    (row,) = toxicity.rows(T0)
    assert (row.open, row.trade_burst, row.cancel_burst) == (False, 0.0, 0.0)


# -- laws -------------------------------------------------------------------------------------

STEP = st.tuples(
    st.sampled_from(["a", "b", "c"]),
    st.integers(0, 20 * SECOND_NS),
    st.floats(-1_000.0, 1_000.0),
    st.integers(0, 2),
    st.booleans(),
    st.tuples(st.integers(1, 50), st.integers(51, 99)),
    st.integers(0, 30),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(STEP, max_size=60))
def test_whatever_happens_scores_stay_in_range_and_memory_is_bounded(steps: list[Any]) -> None:
    """And twice the same events give twice the same numbers."""
    runs = []
    for _ in range(2):
        toxicity = Toxicity(ToxicitySettings(active_top_n_markets=2))
        states = {name: opened(name) for name in "abc"}
        now = T0
        for name, gap, bps, horizon, flag, (bid, ask), repeat in steps:
            now += gap
            state = states[name]
            state.book.replace(snapshot({bid: 5}, {ask: 7}, now), True)
            state.phase = CLOSING if repeat == 7 else OPEN
            toxicity.update(state, heard(now) if flag else None, now)
            for at in range(repeat):
                toxicity.markout(name, (horizon + at) % 3, bps)
            toxicity.decided(name, flag, now)
            toxicity.traded(trade(BUY, 50, 1, now))
            found = standing(toxicity, name)
            assert 0.0 <= found.tox <= 1.0
            assert 0.0 <= found.score <= 100.0
            assert 0.0 <= found.no_quote_rate <= 1.0
            assert 0.0 <= found.missing_rate <= 1.0
            assert found.regime in (SAFE, CAUTION, DANGER)
            assert found.samples <= MARKOUTS_MAX
            assert found.cooldown_until_ns <= now + 120 * SECOND_NS
            view = View(state)
            toxicity.fill(view)
            assert 0.25 <= view.min_edge_bps <= 10.0
            assert 20 <= view.max_spread_e4 <= 360
        rows = toxicity.rows(now)
        assert sum(row.active for row in rows) <= 2
        ranks = [row.rank for row in rows if row.rank]
        assert ranks == list(range(1, len(ranks) + 1))
        runs.append([(row.market, row.tox, row.score, row.rank, row.active) for row in rows])
    assert runs[0] == runs[1]


@settings(max_examples=60, deadline=None)
@given(
    st.floats(-200.0, 200.0),
    st.floats(0.0, 200.0),
    st.integers(1, 49),
    st.integers(0, 30),
    st.integers(0, 2_000),
)
def test_regime_is_monotone_in_danger(
    bps: float, worse_by: float, half_spread: int, wider: int, stale_ms: int
) -> None:
    """Worse markouts, a wider spread or an older picture never make a market look safer."""
    found = []
    for worse, wide, late_ms in ((0.0, 0, 0), (worse_by, wider, stale_ms)):
        half = min(half_spread + wide, 49)
        state = opened(bids={50 - half: 10}, asks={50 + half: 10})
        toxicity = Toxicity(ToxicitySettings())
        toxicity.update(state, heard(), T0)
        warm(toxicity, bps=bps - worse)
        toxicity.update(state, heard(), T0 + late_ms * MS_NS)
        found.append(standing(toxicity))
    better, worst = found
    assert better.regime <= worst.regime
    assert better.tox <= worst.tox
    assert better.score >= worst.score
    assert better.markouts[HORIZON_10S].count == WARM


def test_markouts_of_a_market_are_bounded() -> None:
    toxicity, _ = run(opened(), count=3 * MARKOUTS_MAX)
    assert [samples.count for samples in standing(toxicity).markouts] == [MARKOUTS_MAX] * 3
