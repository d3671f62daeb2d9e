"""The digital model against Monte Carlo, and when it does not speak."""

from functools import cache
from itertools import pairwise
from math import hypot, log, sqrt

import numpy as np
import pytest

from polytrade.builtin.digital import FLOOR_BPS, SAMPLES_MIN, Digital
from polytrade.builtin.distributions import incomplete_beta, normal_cdf, student_cdf
from polytrade.core.events import ReferenceTicked, VolatilityQuoted
from polytrade.core.ids import ANCHOR, FAST
from polytrade.core.market import MarketState
from polytrade.core.reference import NOISE_UNSEEN, SymbolReference
from polytrade.core.trust import SYNCED
from polytrade.core.units import SECOND_NS
from tests.builtin.paths import PATHS, Case, Floats, coming, sums_to_come
from tests.core.factory import END_NS, market, snapshot

SIGMA = 5e-5  # 0.5 bp per sqrt second, about 28 % a year


def make(dof: float = 0.0) -> Digital:
    return Digital(0.5, 0.1, 50.0, dof, 0.01)


def reference_at(price: float, ts_ns: int, sigma: float = SIGMA) -> SymbolReference:
    """A reference with a settled volatility of `sigma`, priced now."""
    reference = SymbolReference("BTC", 30.0, 600.0)
    reference.apply(ReferenceTicked(ts_ns, "BTC", "binance", FAST, round(price * 1e8), ts_ns))
    reference.var_fast = reference.var_slow = sigma * sigma
    reference.samples = 100
    return reference


CASES = ((SIGMA, 200.0, 0), (SIGMA, 0.5, 0), (SIGMA, 75.5, 60), (SIGMA, 20.0, 30))


@cache
def settlements() -> dict[Case, Floats]:
    """Settlements over the price now, with the noise of their publication.

    What is past of an average was at the price now. Off the fast price by 0.2 bps where it was not
    heard, and by the model's floor.
    """
    rng = np.random.default_rng(2026)
    found = {}
    for case, sums in sums_to_come(CASES, 11).items():
        _, left_s, lookback = case
        share = coming(left_s, lookback) / lookback if lookback else 1.0
        noise = hypot(NOISE_UNSEEN * share, FLOOR_BPS * 1e-4)
        settled = (1.0 - share) + sums / max(lookback, 1)
        found[case] = settled + noise * rng.standard_normal(PATHS)
    return found


@pytest.mark.parametrize("moneyness_bps", [-15.0, -3.0, -0.2, 0.0, 0.5, 2.0, 12.0])
@pytest.mark.parametrize("case", CASES)
def test_fair_value_is_the_share_of_a_million_settlements(case: Case, moneyness_bps: float) -> None:
    """From listing and ticks to fair value, within 3 standard errors.

    The law itself is tested in test_settlement.py.
    """
    _, left_s, lookback = case
    price = 60_000.0 * (1 + moneyness_bps * 1e-4)
    state = market(settle="twap" if lookback else "spot", lookback_s=lookback)
    now = END_NS - round(left_s * SECOND_NS)
    reference = reference_at(price, now)
    end_s = END_NS // SECOND_NS
    for second in range(end_s - lookback, end_s - coming(left_s, lookback) + 1):
        at = second * SECOND_NS
        reference.apply(ReferenceTicked(now, "BTC", "rtds", ANCHOR, round(price * 1e8), at))
    share = float((settlements()[case] * price >= 60_000.0).mean())
    fair = make().estimate(state, reference, now).fair
    error = sqrt(max(share * (1 - share), 1e-6) / PATHS)
    assert abs(fair - min(max(share, 0.001), 0.999)) <= 3.0 * error


def in_window(price: float, anchor: float, tau: float) -> tuple[MarketState, SymbolReference, int]:
    state = market()
    now = END_NS - round(tau * SECOND_NS)
    reference = reference_at(price, now)
    first = END_NS // SECOND_NS - 65
    for second in range(first, now // SECOND_NS - 1):
        at = second * SECOND_NS
        reference.apply(ReferenceTicked(now, "BTC", "rtds", ANCHOR, round(anchor * 1e8), at))
    return state, reference, now


def test_inside_the_window_the_anchor_average_counts() -> None:
    state, reference, now = in_window(60_000.0, 60_050.0, 10.0)
    assert make().estimate(state, reference, now).fair == 0.999
    state, reference, now = in_window(60_000.0, 59_950.0, 10.0)
    assert make().estimate(state, reference, now).fair == 0.001


def test_unheard_settlement_window_is_not_quoted() -> None:
    state = market()
    now = END_NS - 20 * SECOND_NS
    estimate = make().estimate(state, reference_at(60_000.0, now), now)
    assert (estimate.ok, estimate.reason) == (False, "no_quote_settlement_gap")


@pytest.mark.parametrize(
    ("state", "seconds", "reason"),
    [
        (market(strike_e8=-1), 100, "no_quote_strike_missing"),
        (market(), 0, "no_quote_ended"),
    ],
)
def test_reasons_not_to_speak(state: MarketState, seconds: int, reason: str) -> None:
    now = END_NS - seconds * SECOND_NS
    assert make().estimate(state, reference_at(60_000.0, now), now).reason == reason


def test_no_reference_and_no_volatility_are_reasons() -> None:
    now = END_NS - 100 * SECOND_NS
    assert make().estimate(market(), None, now).reason == "no_quote_reference_missing"
    cold = reference_at(60_000.0, now)
    cold.samples = SAMPLES_MIN - 1
    assert make().estimate(market(), cold, now).reason == "no_quote_vol_warmup"


def test_below_is_the_complement_of_above() -> None:
    now = END_NS - 100 * SECOND_NS
    reference = reference_at(60_010.0, now)
    above = make().estimate(market(condition="above", settle="spot"), reference, now).fair
    below = make().estimate(market(condition="below", settle="spot"), reference, now).fair
    assert above + below == pytest.approx(1.0)
    assert above > 0.5


def ranged(low: float, high: float, **terms: object) -> MarketState:
    """A range market that settles on the price at the end."""
    bounds = {"strike_e8": round(low * 1e8), "upper_e8": round(high * 1e8)}
    return market(condition="range", settle="spot", lookback_s=0, **bounds, **terms)


@pytest.mark.parametrize("case", [(SIGMA, 200.0, 0), (SIGMA, 75.5, 60), (SIGMA, 20.0, 30)])
@pytest.mark.parametrize("bps", [(-6.0, -1.0), (-0.5, 0.8), (1.0, 40.0)])
def test_range_is_the_share_of_a_million_settlements_between_its_bounds(
    case: Case, bps: tuple[float, float]
) -> None:
    _, left_s, lookback = case
    low, high = (60_000.0 * (1 + each * 1e-4) for each in bps)
    state = ranged(low, high)
    state.spec.settle, state.spec.lookback_s = "twap" if lookback else "spot", lookback
    now = END_NS - round(left_s * SECOND_NS)
    reference = reference_at(60_000.0, now)
    end_s = END_NS // SECOND_NS
    for second in range(end_s - lookback, end_s - coming(left_s, lookback) + 1):
        at = second * SECOND_NS
        reference.apply(ReferenceTicked(now, "BTC", "rtds", ANCHOR, round(60_000.0 * 1e8), at))
    settled = settlements()[case] * 60_000.0
    share = float(((settled >= low) & (settled < high)).mean())
    fair = make().estimate(state, reference, now).fair
    error = sqrt(max(share * (1 - share), 1e-6) / PATHS)
    assert abs(fair - min(max(share, 0.001), 0.999)) <= 3.0 * error


@pytest.mark.parametrize("dof", [0.0, 4.0])
def test_ranges_and_the_open_ones_at_both_ends_make_one(dof: float) -> None:
    now = END_NS - 200 * SECOND_NS
    reference = reference_at(60_000.0, now)
    bounds = [59_950.0, 59_990.0, 60_010.0, 60_050.0]
    ends = [
        market(condition="below", settle="spot", strike_e8=round(bounds[0] * 1e8)),
        market(condition="above", settle="spot", strike_e8=round(bounds[-1] * 1e8)),
    ]
    between = [ranged(low, high) for low, high in pairwise(bounds)]
    fairs = [make(dof).estimate(one, reference, now).fair for one in (*ends, *between)]
    assert sum(fairs) == pytest.approx(1.0, abs=1e-12)
    assert all(0.001 < fair < 0.999 for fair in fairs)


def test_range_with_bounds_out_of_order_is_not_quoted() -> None:
    now = END_NS - 100 * SECOND_NS
    for upper in (0.0, 60_000.0):
        estimate = make().estimate(ranged(60_000.0, upper), reference_at(60_000.0, now), now)
        assert (estimate.ok, estimate.reason) == (False, "no_quote_strike_missing")


@pytest.mark.parametrize(
    ("cents", "confidence"),
    [(58, 1.0), (75, 1.0), (95, 0.675), (12, 0.416)],
    ids=["the model's own", "another volatility", "surer than any", "less sure than any"],
)
def test_confidence_in_a_range_falls_with_a_mid_that_no_volatility_explains(
    cents: int, confidence: float
) -> None:
    """A range of +- 0.8 standard deviations: 58 %; with a volatility off by half 40 to 77 %."""
    now = END_NS - 100 * SECOND_NS
    half = 60_000.0 * SIGMA * 10.0 * 0.8
    state = ranged(60_000.0 - half, 60_000.0 + half)
    state.book.replace(snapshot({cents - 1: 10}, {cents + 1: 10}), True)
    state.trust.state = SYNCED
    found = make().estimate(state, reference_at(60_000.0, now), now)
    assert found.fair == pytest.approx(0.576, abs=0.002)
    assert found.confidence == pytest.approx(confidence, abs=0.01)


def test_confidence_falls_with_the_age_of_the_reference() -> None:
    now = END_NS - 100 * SECOND_NS
    reference = reference_at(60_000.0, now)
    fresh = make().estimate(market(), reference, now).confidence
    aged = make().estimate(market(), reference, now + SECOND_NS).confidence
    assert fresh == pytest.approx(1.0)
    assert aged == pytest.approx(0.5)


def test_provisional_strike_widens_the_quotes() -> None:
    now = END_NS - 100 * SECOND_NS
    state = market()
    state.strike_provisional = True
    assert make().estimate(state, reference_at(60_000.0, now), now).pad == 0.01


def test_student_tails_are_fatter_and_unit_variance() -> None:
    assert student_cdf(-4.0, 4.0) > normal_cdf(-4.0)
    assert student_cdf(0.0, 5.0) == pytest.approx(0.5)
    # t with 3 degrees of freedom: P(T <= 1) = 3/4 + ... closed form by scipy: 0.8044988905221147
    assert student_cdf(1.0 / sqrt(3.0), 3.0) == pytest.approx(0.8044988905221147, abs=1e-12)
    assert incomplete_beta(2.0, 3.0, 0.4) == pytest.approx(0.5248, abs=1e-12)


# -- confidence, noise and what is kept ---------------------------------------------------------


def with_mid(cents: int) -> MarketState:
    state = market()
    state.book.replace(snapshot({cents - 1: 10}, {cents + 1: 10}), True)
    return state


def test_mid_that_another_volatility_or_a_second_of_lead_explains_costs_no_confidence() -> None:
    now = END_NS - 100 * SECOND_NS
    reference = reference_at(60_020.0, now)
    fair = make().estimate(market(), reference, now).fair
    assert fair == pytest.approx(0.804, abs=0.001)
    assert make().estimate(with_mid(65), reference, now).confidence == pytest.approx(1.0)
    assert make().estimate(with_mid(93), reference, now).confidence == pytest.approx(1.0)


def test_confidence_falls_with_the_distance_to_the_mid_that_nothing_explains() -> None:
    now = END_NS - 100 * SECOND_NS
    reference = reference_at(60_020.0, now)
    told = [make().estimate(with_mid(cents), reference, now).confidence for cents in (60, 40, 10)]
    assert 1.0 > told[0] > told[1] > told[2] == 0.0
    above = reference_at(59_980.0, now)
    assert make().estimate(with_mid(60), above, now).confidence == pytest.approx(told[1], abs=1e-3)


def test_gap_in_the_settlement_series_costs_its_share_of_confidence() -> None:
    """Of 50 past reports the ones 40 to 31 s before the end are missing."""
    state, reference, now = in_window(60_000.0, 60_000.0, 10.0)
    assert make().estimate(state, reference, now).confidence == pytest.approx(1.0)
    keep = [ms for ms in reference.anchors.times_ms if not 31 <= (END_NS // 10**6 - ms) / 1e3 <= 40]
    reference.anchors.times_ms = keep
    reference.anchors.prices = [60_000.0] * len(keep)
    gapped = make().estimate(state, reference, now)
    assert gapped.confidence == pytest.approx(0.8)
    assert gapped.sd > make().estimate(*in_window(60_000.0, 60_000.0, 10.0)).sd


def test_sources_that_disagree_cost_confidence() -> None:
    now = END_NS - 100 * SECOND_NS
    reference = reference_at(60_000.0, now)
    reference.apply(ReferenceTicked(now, "BTC", "b", FAST, 6_001_200_000_000, now))
    for quote in reference.sources.values():
        quote.basis_seen = 1
    apart = 12.0 / 60_000.0 / (4.0 * SIGMA)
    told = make().estimate(market(), reference, now).confidence
    assert told == pytest.approx(1.0 / (1.0 + apart * apart))


def test_noisier_prints_and_a_provisional_strike_widen_the_settlement() -> None:
    now = END_NS - SECOND_NS
    state = market(settle="spot", lookback_s=0)
    reference = reference_at(60_010.0, now)
    calm = make().estimate(state, reference, now)
    assert calm.sd == pytest.approx(sqrt(SIGMA**2 + NOISE_UNSEEN**2 + 1e-10))
    (quote,) = reference.sources.values()
    quote.basis_seen, quote.noise = 100, 1e-8
    noisy = make().estimate(state, reference, now)
    assert noisy.sd == pytest.approx(sqrt(SIGMA**2 + 1e-8 + 1e-10))
    state.strike_provisional = True
    assert make().estimate(state, reference, now).sd == pytest.approx(
        sqrt(2 * SIGMA**2 + 1e-8 + 1e-10)
    )
    assert calm.fair > noisy.fair > 0.5


def test_locked_in_part_is_taken_again_when_a_report_comes() -> None:
    """An anchor 50 USD higher for the newest second moves the average by 50 / 60 USD."""
    model = make()
    state, reference, now = in_window(60_000.0, 60_000.0, 10.0)
    before = model.estimate(state, reference, now).fair
    assert model.estimate(state, reference, now).fair == before
    at = END_NS - 11 * SECOND_NS
    reference.apply(ReferenceTicked(now, "BTC", "rtds", ANCHOR, 6_005_000_000_000, at))
    after = model.estimate(state, reference, now).fair
    assert after > before
    assert after == make().estimate(state, reference, now).fair
    model.forget(state.spec.market)
    assert not model._kept


def test_average_of_a_length_that_cannot_be_is_not_quoted() -> None:
    now = END_NS - 100 * SECOND_NS
    reference = reference_at(60_000.0, now)
    for lookback_s in (0, 3_601):
        state = market(lookback_s=lookback_s)
        assert make().estimate(state, reference, now).reason == "no_quote_settlement_unknown"


def test_other_windows_move_the_volatility_only_when_asked_to() -> None:
    now = END_NS - 100 * SECOND_NS
    reference = reference_at(60_020.0, now)
    ours, other = market(settle="spot", lookback_s=0), with_mid(70)
    other.spec.market, other.spec.settle, other.spec.lookback_s = "other", "spot", 0
    other.trust.state = SYNCED
    plain = make().estimate(ours, reference, now)
    leaning = Digital(0.5, 0.1, 50.0, 0.0, 0.01, implied_vol_weight=1.0)
    assert leaning.estimate(ours, reference, now).fair == plain.fair
    leaning.estimate(other, reference, now)
    # ln(60020 / 60000) over sqrt(100 s) at the probit of 0.70.
    implied = log(60_020 / 60_000) / (sqrt(100.0) * 0.5244005)
    doubt = NOISE_UNSEEN**2 + 1e-10
    moved = leaning.estimate(ours, reference, now)
    assert moved.sd == pytest.approx(sqrt(100.0 * implied**2 + doubt), rel=1e-6)
    assert moved.fair == pytest.approx(0.70, abs=0.001)


def test_options_move_the_volatility_only_when_asked_to_and_before_other_windows() -> None:
    now = END_NS - 100 * SECOND_NS
    reference = reference_at(60_020.0, now)
    ours, other = market(settle="spot", lookback_s=0), with_mid(70)
    other.spec.market, other.spec.settle, other.spec.lookback_s = "other", "spot", 0
    other.trust.state = SYNCED
    plain = make().estimate(ours, reference, now)
    doubt = NOISE_UNSEEN**2 + 1e-10
    for weight in (0.25, 1.0):
        leaning = Digital(0.5, 0.1, 50.0, 0.0, 0.01, implied_vol_weight=weight)
        leaning.estimate(other, reference, now)
        # 8e-5 and 2.5e-4 (five times ours: held at twice) per sqrt second, as of a year.
        for quoted, counts in ((8e-5, 8e-5), (2.5e-4, 2 * SIGMA)):
            sigma = quoted * sqrt(365 * 86_400)
            reference.quote(VolatilityQuoted(now, "deribit", "BTC", sigma, END_NS, 0))
            variance = 100.0 * (weight * counts**2 + (1 - weight) * SIGMA**2)
            moved = leaning.estimate(ours, reference, now)
            assert moved.sd == pytest.approx(sqrt(variance + doubt), rel=1e-9)
            assert make().estimate(ours, reference, now).fair == plain.fair


def test_digital_of_a_volatility_out_of_bounds_is_held_by_floor_and_cap() -> None:
    now = END_NS - 100 * SECOND_NS
    state = market(settle="spot", lookback_s=0)
    for sigma, held in ((1e-9, 1e-5), (1.0, 5e-3)):
        sd = make().estimate(state, reference_at(60_000.0, now, sigma), now).sd
        assert sd == pytest.approx(sqrt(100.0 * held**2 + NOISE_UNSEEN**2 + 1e-10))
