"""The blend: equal at first, then by how well each component forecast, and who may speak."""

from math import exp

import pytest

from polytrade.builtin.blend import COMPONENTS, FORGET, MARKETS_MAX, Blend
from polytrade.builtin.horizons import NAMES
from polytrade.core.events import ReferenceTicked
from polytrade.core.ids import FAST, NO, YES
from polytrade.core.market import MarketState
from polytrade.core.reference import SymbolReference
from polytrade.core.units import SECOND_NS
from tests.core.factory import END_NS, market, snapshot

SIGMA = 5e-5
LEFT_S = 100


def make() -> Blend:
    digital = (0.5, 0.1, 50.0, 0.0, 0.01)
    return Blend(*digital, 0.08, 0.10, 0.15, 0.12, 0.85, 3.0, 0.05, 24)


def spoken(blend: Blend, now: int, price: float = 60_000.0) -> SymbolReference:
    """A settled reference that the blend heard."""
    reference = SymbolReference("BTC", 30.0, 600.0)
    reference.apply(ReferenceTicked(now, "BTC", "a", FAST, round(price * 1e8), now))
    reference.var_fast = reference.var_slow = SIGMA * SIGMA
    reference.samples = 100
    blend.on_reference(reference, now)
    return reference


def book(cents: int, name: str = "a") -> MarketState:
    state = market(market=name)
    state.book.replace(snapshot({cents - 1: 10}, {cents + 1: 10}), True)
    return state


def test_components_start_equal() -> None:
    assert make().weights() == {
        name: dict.fromkeys(COMPONENTS, pytest.approx(1 / 3)) for name in NAMES
    }


def test_estimate_is_the_mean_by_weight_and_confidence() -> None:
    blend = make()
    now = END_NS - LEFT_S * SECOND_NS
    reference = spoken(blend, now, 60_030.0)
    state = book(60)
    digital = blend.digital.estimate(state, reference, now)
    basis = blend.basis.estimate(state, reference, now)
    assert (basis.fair, basis.confidence) == (pytest.approx(0.6), pytest.approx(0.8))
    mixed = blend.estimate(state, reference, now)
    total = digital.confidence + 0.8 + 0.8
    assert mixed.fair == pytest.approx((digital.confidence * digital.fair + 1.6 * 0.6) / total)
    assert mixed.confidence == pytest.approx((digital.confidence**2 + 2 * 0.64) / total)
    assert (mixed.sd, mixed.pad) == (digital.sd, digital.pad)
    assert blend.opinions("a") == {"digital": digital.fair, "basis_mr": basis.fair}


def learned(blend: Blend, name: str, winner: int, cents: int, price: float) -> float:
    """One market forecast once with `LEFT_S` to go and resolved; what the digital said."""
    now = END_NS - LEFT_S * SECOND_NS
    state = book(cents, name)
    blend.estimate(state, spoken(blend, now, price), now)
    said = blend.opinions(name)["digital"]
    state.winner = winner
    blend.estimate(book(cents, "other"), spoken(blend, now, price), now + SECOND_NS)
    blend._settled_ns = 0
    blend.forget("other")
    return said


def test_weights_follow_the_brier_losses_of_resolved_markets() -> None:
    """The digital is right twice where the market is wrong."""
    blend = make()
    losses = [0.0, 0.0]
    for name, winner, price in (("a", YES, 60_060.0), ("b", NO, 59_940.0)):
        said = learned(blend, name, winner, 50, price)
        target = 1.0 if winner == YES else 0.0
        losses = [losses[0] * FORGET + (said - target) ** 2, losses[1] * FORGET + 0.25]
    raw = [exp(-2.0 * losses[0]), exp(-2.0 * losses[1]), exp(-2.0 * losses[1])]
    weights = blend.weights()["1-3 min"]
    assert list(weights.values()) == pytest.approx([each / sum(raw) for each in raw])
    assert weights["digital"] > 0.4
    assert blend.weights()["20-60 s"]["digital"] == pytest.approx(1 / 3)


def test_forecasts_of_one_second_count_once_and_a_market_counts_once() -> None:
    blend, other = make(), make()
    for model, times in ((blend, 1), (other, 20)):
        state = book(50)
        for step in range(times):
            now = END_NS - LEFT_S * SECOND_NS + step * SECOND_NS // 20
            model.estimate(state, spoken(model, now, 60_000.0), now)
        state.winner = YES
        model.forget("a")
    assert other.losses == blend.losses
    assert blend.losses[2] == [pytest.approx(0.25, abs=1e-4), 0.25, 0.25]


def test_fifty_fifty_and_unresolved_markets_teach_nothing() -> None:
    for winner in (-1, -2):
        blend = make()
        now = END_NS - LEFT_S * SECOND_NS
        state = book(50)
        blend.estimate(state, spoken(blend, now), now)
        state.winner = winner
        blend.forget("a")
        assert blend.losses == [[0.0] * 3 for _ in NAMES]
        assert blend.opinions("a") == {}


def test_component_that_cannot_speak_leaves_its_weight_to_the_others() -> None:
    blend = make()
    now = END_NS - LEFT_S * SECOND_NS
    one_sided = market()
    one_sided.book.replace(snapshot({48: 10}, {}), True)
    reference = spoken(blend, now)
    assert blend.estimate(one_sided, reference, now).fair == pytest.approx(
        blend.digital.estimate(one_sided, reference, now).fair
    )
    strikeless = market(strike_e8=-1)
    strikeless.book.replace(snapshot({59: 10}, {61: 10}), True)
    assert blend.estimate(strikeless, reference, now).fair == pytest.approx(0.6)


def test_nobody_speaks_for_the_digitals_reason() -> None:
    assert make().estimate(market(), None, END_NS - SECOND_NS).reason == (
        "no_quote_reference_missing"
    )


def test_voice_without_confidence_does_not_weigh() -> None:
    blend = make()
    now = END_NS - LEFT_S * SECOND_NS
    reference = spoken(blend, now, 60_100.0)
    late = now + 5 * SECOND_NS
    state = book(50)
    assert blend.digital.estimate(state, reference, late).confidence == 0.0
    assert blend.estimate(state, reference, late).fair == pytest.approx(0.5)
    one_sided = market()
    one_sided.book.replace(snapshot({48: 10}, {}), True)
    silent = blend.estimate(one_sided, reference, late)
    assert (silent.ok, silent.confidence) == (True, 0.0)


def test_followed_markets_are_bounded() -> None:
    blend = make()
    state = market()
    for number in range(MARKETS_MAX + 5):
        state.spec.market = f"m{number}"
        blend.estimate(state, None, END_NS - SECOND_NS)
    assert len(blend._followed) == MARKETS_MAX
    assert "m0" not in blend._followed
