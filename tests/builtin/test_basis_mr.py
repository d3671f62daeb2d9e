"""The parity model step by step."""

from math import log, sqrt

import pytest

from polytrade.builtin.basis_mr import BasisMeanReversion
from polytrade.core.events import ReferenceTicked
from polytrade.core.ids import FAST
from polytrade.core.reference import SymbolReference
from tests.core.factory import START_NS, market, snapshot


@pytest.mark.parametrize(
    ("condition", "way"), [("updown", 1), ("above", 1), ("below", -1), ("range", 0), ("other", 0)]
)
def test_formula_over_three_ticks(condition: str, way: int) -> None:
    """The recursion of the specification, written out beside the model; `way` is how YES gains."""
    model = BasisMeanReversion(0.08, 0.10, 0.15, 0.12, 0.85, 3.0, 0.05, 0)
    state, reference = market(condition=condition), SymbolReference("BTC", 30.0, 600.0)
    state.book.replace(snapshot({48: 10}, {50: 10}), True)
    mid = 0.49
    ret = vol = mean = var = 0.0
    last = 0.0
    for number, price in enumerate([60_000.0, 60_012.0, 59_990.0]):
        at = START_NS + number
        reference.apply(ReferenceTicked(at, "BTC", "binance", FAST, round(price * 1e8), at))
        model.on_reference(reference, at)
        if last:
            change = log(price / last)
            ret += 0.15 * (change - ret)
            vol += 0.12 * (change * change - vol)
        last = price
        anchor = min(max(mid + way * ret / max(sqrt(vol), 1e-9) * 0.01, 0.001), 0.999)
        basis = mid - anchor
        mean += 0.08 * (basis - mean)
        var += 0.10 * ((basis - mean) ** 2 - var)
        sd = sqrt(max(var, 1e-10))
        z = min(max((basis - mean) / sd, -3.0), 3.0)
        estimate = model.estimate(state, reference, at)
        assert estimate.fair == pytest.approx(mid - 0.85 * z * sd)
        assert estimate.confidence == pytest.approx(0.8)
        assert model.estimate(state, reference, at) is estimate


def test_mid_during_the_warm_up_and_nothing_without_a_mid() -> None:
    model = BasisMeanReversion(0.08, 0.10, 0.15, 0.12, 0.85, 3.0, 0.05, 24)
    state, reference = market(), SymbolReference("BTC", 30.0, 600.0)
    reference.apply(ReferenceTicked(START_NS, "BTC", "binance", FAST, 6_000_000_000_000, START_NS))
    model.on_reference(reference, START_NS)
    assert model.estimate(state, reference, START_NS).reason == "no_quote_one_sided"
    state.book.replace(snapshot({48: 10}, {50: 10}), True)
    assert model.estimate(state, reference, START_NS).fair == pytest.approx(0.49)
    assert model.estimate(state, None, START_NS).reason == "no_quote_reference_missing"
