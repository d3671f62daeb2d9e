"""What is learnt: intensity from fills, volatility from fair values."""

from math import exp

import orjson
import pytest
from polytrade_glft.intensity import CLASSES, STEP, Intensity
from polytrade_glft.volatility import MARKETS_MAX, Volatility

SECOND = 1_000_000_000


def make(half_life_s: float = 1e6, prior_s: float = 60.0) -> Intensity:
    return Intensity(0.1, 100.0, prior_s, half_life_s)


def test_settings_hold_until_something_is_learnt() -> None:
    intensity = make()
    intensity.fit()
    assert (intensity.arrival, intensity.decay) == pytest.approx((0.1, 100.0))


def test_fills_as_another_law_expects_give_that_law() -> None:
    intensity = make(prior_s=1e-6)
    for at in range(CLASSES):
        intensity.exposure_s[at] = 1_000.0
        intensity.fills[at] = 1_000.0 * 0.3 * exp(-160.0 * (at + 0.5) * STEP)
    intensity.fit()
    assert (intensity.arrival, intensity.decay) == pytest.approx((0.3, 160.0), rel=1e-6)


def test_estimates_stay_within_reach_of_the_settings() -> None:
    intensity = make(prior_s=1e-6)
    intensity.exposure_s = [1e6] * CLASSES
    intensity.fit()
    assert intensity.arrival == pytest.approx(0.1 / 8)
    assert 100.0 / 8 <= intensity.decay <= 800.0


def test_a_bigger_position_was_a_fill_of_the_bid() -> None:
    intensity = make()
    intensity.stand("m", 0.0, 0.006, 0.011, 10.0, 0)
    intensity.seen("m", 5.0, 2 * SECOND)
    assert intensity.exposure_s[2] == 2.0
    assert intensity.fills[2] == 0.5
    assert intensity.exposure_s[4] == 2.0
    assert sum(intensity.fills) == 0.5


def test_a_smaller_position_was_a_fill_of_the_ask() -> None:
    intensity = make()
    intensity.stand("m", 0.0, 0.006, 0.011, 10.0, 0)
    intensity.seen("m", -12.0, SECOND)
    assert intensity.fills[4] == 1.0
    assert sum(intensity.fills) == 1.0


@pytest.mark.parametrize(("net", "seconds"), [(16.0, 1), (5.0, 6)])
def test_what_was_not_a_fill_of_the_quote_is_not_counted(net: float, seconds: int) -> None:
    intensity = make()
    intensity.stand("m", 0.0, 0.006, -1.0, 10.0, 0)
    intensity.seen("m", net, seconds * SECOND)
    assert sum(intensity.fills) == 0.0


def test_nothing_is_learnt_when_it_is_off() -> None:
    intensity = make(half_life_s=0.0)
    intensity.stand("m", 0.0, 0.006, 0.011, 10.0, 0)
    intensity.seen("m", 5.0, 2 * SECOND)
    assert sum(intensity.exposure_s) == 0.0
    assert intensity.standing == {}


def test_old_counts_fade() -> None:
    intensity = make(half_life_s=10.0)
    intensity.stand("m", 0.0, 0.006, -1.0, 10.0, SECOND)
    intensity.seen("m", 10.0, 2 * SECOND)
    intensity.seen("m", 10.0, 12 * SECOND)
    assert intensity.fills[2] == pytest.approx(0.5)
    assert intensity.exposure_s[2] == pytest.approx(0.5)


def test_dump_goes_on_elsewhere() -> None:
    first, second = make(), make()
    first.stand("m", 0.0, 0.006, 0.011, 10.0, SECOND)
    second.restore(orjson.loads(orjson.dumps(first.dump())))
    for intensity in (first, second):
        intensity.seen("m", 10.0, 3 * SECOND)
        intensity.seen("m", 10.0, 30 * SECOND)
    assert second.dump() == first.dump()
    assert first.arrival != 0.1


def test_restoring_other_classes_is_refused_and_changes_nothing() -> None:
    intensity = make()
    before = intensity.dump()
    with pytest.raises(ValueError, match="expected 20 classes, found 2"):
        intensity.restore({**before, "exposure_s": [1.0, 2.0]})
    assert intensity.dump() == before


def test_variance_is_of_changes_over_a_second() -> None:
    volatility = Volatility(30.0)
    for at in range(11):
        assert volatility.variance("m") == -1.0
        volatility.learn("m", 0.5 + 0.01 * (at % 2), at * SECOND)
        volatility.learn("m", 0.9, at * SECOND + SECOND // 2)  # too soon: not taken
    assert volatility.variance("m") == pytest.approx(1e-4)


def test_a_silence_is_no_sample() -> None:
    volatility = Volatility(30.0)
    for at in range(11):
        volatility.learn("m", 0.5, at * SECOND)
    volatility.learn("m", 0.9, 60 * SECOND)
    assert volatility.variance("m") == 0.0


def test_markets_remembered_are_bounded() -> None:
    volatility = Volatility(30.0)
    for at in range(MARKETS_MAX + 1):
        volatility.learn(f"m{at}", 0.5, 0)
    assert len(volatility.markets) == MARKETS_MAX
    assert "m0" not in volatility.markets
