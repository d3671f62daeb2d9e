"""Reference prices: who holds the price, basis, volatility, jumps, settlement series."""

from math import log, sqrt
from random import Random

import pytest

from polytrade.core.events import ReferenceTicked, VolatilityQuoted
from polytrade.core.ids import ANCHOR, FAST, RELAY, TWAP30, TWAP60
from polytrade.core.reference import (
    IMPLIED_HOLDS_NS,
    NOISE_LEAST,
    NOISE_MOST,
    NOISE_SEEN,
    NOISE_UNSEEN,
    SERIES_MAX,
    Series,
    SymbolReference,
)
from polytrade.core.units import MS_NS, SECOND_NS

T0 = 1_000 * SECOND_NS


def make() -> SymbolReference:
    return SymbolReference("BTC", 30.0, 600.0)


def tick(
    reference: SymbolReference,
    price: float,
    ms: int,
    venue_ms: int | None = None,
    source: str = "binance/0",
    kind: int = FAST,
) -> bool:
    venue_ns = T0 + (ms if venue_ms is None else venue_ms) * MS_NS
    event = ReferenceTicked(T0 + ms * MS_NS, "BTC", source, kind, round(price * 1e8), venue_ns)
    return reference.apply(event)


def test_newest_event_time_wins() -> None:
    reference = make()
    assert tick(reference, 100.0, 10, 10)
    assert tick(reference, 101.0, 20, 12, "coinbase/0")
    assert (reference.price, reference.source) == (101.0, "coinbase/0")


@pytest.mark.parametrize(("older_ms", "taken"), [(49, True), (50, True), (51, False)])
def test_tick_older_than_the_held_one_by_more_than_50_ms_is_dropped(
    older_ms: int, taken: bool
) -> None:
    reference = make()
    tick(reference, 100.0, 100)
    assert tick(reference, 101.0, 101, 100 - older_ms, "coinbase/0") is taken
    assert reference.dropped == (0 if taken else 1)
    assert reference.price == (101.0 if taken else 100.0)


@pytest.mark.parametrize("kind", [FAST, RELAY])
def test_price_told_as_it_stood_three_seconds_ago_is_no_news(kind: int) -> None:
    reference = make()
    assert not tick(reference, 100.0, 3_000, 0, kind=kind)
    assert (reference.price, reference.dropped) == (0.0, 1)
    assert tick(reference, 101.0, 3_000, 1, kind=kind)


def test_older_ticks_cannot_walk_the_time_back() -> None:
    reference = make()
    tick(reference, 100.0, 100)
    assert tick(reference, 101.0, 101, 60, "coinbase/0")
    assert not tick(reference, 102.0, 102, 20, "kraken/0")


@pytest.mark.parametrize(("apart_ns", "taken"), [(0, False), (MS_NS, False), (MS_NS + 1, True)])
def test_of_equal_times_the_first_to_arrive_stays(apart_ns: int, taken: bool) -> None:
    reference = make()
    tick(reference, 100.0, 10)
    event = ReferenceTicked(
        T0 + 11 * MS_NS, "BTC", "okx/0", FAST, 10_100_000_000, T0 + 10 * MS_NS + apart_ns
    )
    assert reference.apply(event) is taken


def test_same_source_may_speak_twice_in_a_millisecond() -> None:
    reference = make()
    tick(reference, 100.0, 10)
    assert tick(reference, 101.0, 10)
    assert reference.price == 101.0


def test_source_that_runs_backwards_is_counted() -> None:
    reference = make()
    tick(reference, 100.0, 100)
    assert not tick(reference, 99.0, 101, 49)
    assert (reference.inverted, reference.dropped) == (1, 1)


def test_another_source_takes_over_from_a_silent_one_whatever_its_clock() -> None:
    reference = make()
    tick(reference, 100.0, 0, 60_000)
    assert not tick(reference, 101.0, 2_999, 2_999, "coinbase/0")
    assert tick(reference, 101.0, 3_000, 3_000, "coinbase/0")
    assert reference.source == "coinbase/0"


def test_stamp_from_the_future_blocks_its_source_for_the_silence_only() -> None:
    reference = make()
    tick(reference, 100.0, 0, 60_000)
    assert not tick(reference, 101.0, 1_000, 1_000)
    assert tick(reference, 102.0, 3_000, 3_000)
    assert tick(reference, 103.0, 3_100, 3_100)


def test_tick_without_a_time_counts_as_of_its_arrival() -> None:
    reference = make()
    assert reference.apply(ReferenceTicked(T0, "BTC", "x", FAST, 10_000_000_000, 0))
    assert reference.venue_ns == T0


@pytest.mark.parametrize("price_e8", [0, -1])
@pytest.mark.parametrize("kind", [FAST, RELAY, ANCHOR, TWAP30])
def test_price_that_is_not_positive_is_dropped(price_e8: int, kind: int) -> None:
    reference = make()
    assert not reference.apply(ReferenceTicked(T0, "BTC", "x", kind, price_e8, T0))
    assert (reference.dropped, reference.price, reference.sources) == (1, 0.0, {})
    assert not reference.anchors.times_ms


def test_relayed_price_is_a_fall_back_only() -> None:
    reference = make()
    tick(reference, 100.0, 0)
    assert not tick(reference, 99.0, 500, 500, "polymarket.rtds/0", RELAY)
    assert (reference.price, reference.relay_price) == (100.0, 99.0)
    assert tick(reference, 98.0, 3_000, 2_200, "polymarket.rtds/0", RELAY)
    assert tick(reference, 97.0, 3_500, 2_700, "polymarket.rtds/0", RELAY)
    assert tick(reference, 100.5, 3_600, 2_650, "binance/0")
    assert reference.source == "binance/0"
    assert not tick(reference, 99.0, 3_700, 3_700, "polymarket.rtds/0", RELAY)


def test_relayed_price_alone_is_a_price() -> None:
    reference = make()
    assert tick(reference, 99.0, 0, kind=RELAY)
    assert reference.price == 99.0


def test_ages_are_huge_before_the_first_tick() -> None:
    reference = make()
    assert reference.age_ns(T0) == 1 << 62
    tick(reference, 100.0, 0)
    tick(reference, 100.0, 0, source="rtds", kind=ANCHOR)
    assert reference.age_ns(T0 + 5) == 5


# -- basis --------------------------------------------------------------------------------------


def test_basis_is_learned_at_the_anchors_own_time() -> None:
    """The exchange is 10 bps above the anchor and has moved on since."""
    reference = make()
    tick(reference, 100.1, 0)
    tick(reference, 110.0, 1_500)
    tick(reference, 100.0, 1_600, 200, "rtds", ANCHOR)
    quote = reference.sources["binance/0"]
    assert quote.basis == pytest.approx(log(100.0 / 100.1))
    tick(reference, 110.0, 1_700)
    assert reference.price == pytest.approx(110.0 * 100.0 / 100.1)


def test_basis_averages_first_and_then_follows_slowly() -> None:
    reference = make()
    for second in range(200):
        apart = 1.0 if second < 100 else 1.001
        tick(reference, 100.0 * apart, second * 1_000)
        tick(reference, 100.0, second * 1_000 + 500, second * 1_000, "rtds", ANCHOR)
        if second == 99:
            assert reference.sources["binance/0"].basis == pytest.approx(0.0)
    expected = -log(1.001) * (1 - 0.95**100)
    assert reference.sources["binance/0"].basis == pytest.approx(expected)


def test_anchor_of_before_or_long_after_a_source_teaches_nothing() -> None:
    reference = make()
    tick(reference, 100.0, 1_000)
    tick(reference, 90.0, 1_100, 900, "rtds", ANCHOR)
    tick(reference, 90.0, 4_100, 4_000, "rtds", ANCHOR)
    assert reference.sources["binance/0"].basis_seen == 0
    tick(reference, 90.0, 4_200, 3_999, "rtds", ANCHOR)
    assert reference.sources["binance/0"].basis_seen == 1


def test_disagreement_is_between_live_exchanges_corrected_by_their_basis() -> None:
    reference = make()
    for ms in (0, 100):
        tick(reference, 100.0, ms)
        tick(reference, 100.2, ms + 2, source="coinbase/0")
        tick(reference, 50.0, ms + 4, source="polymarket.rtds/0", kind=RELAY)
        tick(reference, 100.0, ms + 50, ms + 10, "rtds", ANCHOR)
    assert reference.disagreement(T0 + 150 * MS_NS) == pytest.approx(0.0, abs=1e-12)
    tick(reference, 100.3, 200, source="coinbase/0")
    apart = reference.disagreement(T0 + 200 * MS_NS)
    assert apart == pytest.approx(100.3 / 100.2 - 1)
    assert reference.disagreement(T0 + 3_150 * MS_NS) == 0.0


def test_noise_of_a_print_is_learned_around_price_and_basis() -> None:
    """Prints alternate 1 bp above and below the exchange: their sd is 1 bp."""
    reference = make()
    assert reference.noise() == NOISE_UNSEEN
    for second in range(200):
        tick(reference, 100.0, second * 1_000)
        printed = 100.0 * (1.0001 if second % 2 else 0.9999)
        if second == NOISE_SEEN - 1:
            assert reference.noise() == NOISE_UNSEEN
        tick(reference, printed, second * 1_000 + 500, second * 1_000, "rtds", ANCHOR)
    assert reference.noise() == pytest.approx(1e-4, rel=0.06)
    for second in range(200, 210):
        tick(reference, 100.0, second * 1_000)
        tick(reference, 120.0, second * 1_000 + 500, second * 1_000, "rtds", ANCHOR)
    assert reference.noise() == NOISE_MOST


def test_quiet_prints_have_the_least_noise() -> None:
    reference = make()
    for second in range(30):
        tick(reference, 100.0, second * 1_000)
        tick(reference, 100.1, second * 1_000 + 500, second * 1_000, "rtds", ANCHOR)
    assert reference.noise() == NOISE_LEAST


def test_price_of_a_moment_of_the_last_seconds_is_its_sources_with_its_basis() -> None:
    reference = make()
    assert reference.price_at(T0) == 0.0
    for second in range(5):
        tick(reference, 100.0 + second, second * 1_000)
    tick(reference, 101.5, 4_100, 1_000, "rtds", ANCHOR)
    assert reference.price_at(T0 + 2_500 * MS_NS) == pytest.approx(102.0 * 101.5 / 101.0)
    assert reference.price_at(T0 - MS_NS) == 0.0


# -- volatility and jumps -----------------------------------------------------------------------


def walk(rate_ms: int, seconds: int = 1_800, sigma: float = 1e-4, seed: int = 5) -> SymbolReference:
    """A reference fed every `rate_ms` from one path of a random walk in steps of 10 ms."""
    random, reference, price = Random(seed), make(), 60_000.0
    for ms in range(0, seconds * 1_000, 10):
        price *= 1.0 + random.gauss(0.0, sigma * sqrt(0.01))
        if ms % rate_ms == 0:
            tick(reference, price, ms)
    return reference


@pytest.mark.parametrize("rate_ms", [10, 50, 250, 1_000])
def test_volatility_does_not_depend_on_the_tick_rate(rate_ms: int) -> None:
    assert walk(rate_ms).vol(0.0, 0.0, 1.0) == pytest.approx(1e-4, rel=0.12)


def test_sources_apart_are_no_volatility_and_no_jump() -> None:
    """Two exchanges 10 bps apart, before any basis is known."""
    reference = make()
    for number in range(400):
        source, price = ("a", 100.0) if number % 2 else ("b", 100.1)
        tick(reference, price, number * 50, source=source)
        assert reference.jump_bps() == 0.0
    assert reference.samples > 10
    assert reference.vol(0.5, 0.0, 1.0) == 0.0


def test_move_over_a_longer_time_is_spread_over_it() -> None:
    reference = make()
    tick(reference, 100.0, 0)
    tick(reference, 101.0, 4_000)
    assert reference.var_fast == pytest.approx(log(1.01) ** 2 / 4.0)


def test_volatility_is_blended_floored_and_capped() -> None:
    reference = make()
    reference.var_fast, reference.var_slow = 4e-8, 1e-8
    assert reference.vol(0.5, 0.0, 1.0) == pytest.approx(sqrt(2.5e-8))
    assert reference.vol(1.0, 3e-4, 1.0) == 3e-4
    assert reference.vol(1.0, 0.0, 1e-4) == 1e-4


def test_half_lives_are_those_of_time() -> None:
    """A burst of variance decays by half in 30 s (fast) and in 600 s (slow)."""
    reference = make()
    reference.samples = 1_000_000
    tick(reference, 100.0, 0)
    reference.var_fast = reference.var_slow = 1e-6
    for second in range(1, 31):
        tick(reference, 100.0, second * 1_000)
    assert reference.var_fast == pytest.approx(0.5e-6, rel=1e-3)
    assert reference.var_slow == pytest.approx(1e-6 * 0.5 ** (30 / 600), rel=1e-3)


def test_jump_is_the_move_within_a_quarter_second() -> None:
    reference = make()
    assert reference.jump_bps() == 0.0
    tick(reference, 100.0, 0)
    tick(reference, 100.05, 100)
    assert reference.jump_bps() == pytest.approx(log(1.0005) * 1e4)
    tick(reference, 100.05, 250)
    assert reference.jump_bps() == 0.0


# -- series -------------------------------------------------------------------------------------


def series(points: dict[int, float]) -> Series:
    found = Series()
    for ms, price in points.items():
        found.add(ms, price)
    return found


def test_value_at_a_time_is_the_last_before_it_within_the_tolerance() -> None:
    found = series({1_000: 1.0, 2_000: 2.0})
    assert found.at(999, 5_000) == 0.0
    assert found.at(1_000, 0) == 1.0
    assert found.at(1_999, 999) == 1.0
    assert found.at(3_500, 1_500) == 2.0
    assert found.at(3_501, 1_500) == 0.0


def test_late_point_is_put_in_its_place_and_a_correction_replaces() -> None:
    found = series({1_000: 1.0, 3_000: 3.0, 2_000: 2.0, 1_000 + 0: 1.5})
    found.add(3_000, 3.5)
    assert (found.times_ms, found.prices) == ([1_000, 2_000, 3_000], [1.5, 2.0, 3.5])


def test_average_weighs_by_time() -> None:
    found = series({0: 10.0, 1_000: 20.0, 2_000: 30.0})
    assert found.average(500, 2_000) == (pytest.approx((500 * 10 + 1_000 * 20) / 1_500), 1_500)


def test_gap_is_seen_as_less_coverage() -> None:
    found = series({0: 10.0, 10_000: 20.0, 11_000: 20.0})
    average, covered = found.average(0, 12_000)
    assert covered == 2_000 + 1_000 + 1_000
    assert average == pytest.approx((2 * 10 + 2 * 20) / 4)


def test_average_of_nothing_heard_covers_nothing() -> None:
    assert series({}).average(0, 1_000) == (0.0, 0)
    assert series({0: 10.0}).average(5_000, 9_000) == (0.0, 0)
    assert series({9_000: 10.0}).average(0, 9_000) == (0.0, 0)


def test_series_is_bounded_whatever_the_order_of_its_points() -> None:
    found = Series()
    for ms in range(3 * SERIES_MAX, 0, -1):
        found.add(ms, 1.0)
    assert len(found.times_ms) == len(found.prices) <= SERIES_MAX
    assert found.times_ms == sorted(found.times_ms)


def test_each_kind_feeds_its_series() -> None:
    reference = make()
    for kind, price in ((ANCHOR, 1.0), (TWAP30, 2.0), (TWAP60, 3.0)):
        assert not tick(reference, price, 0, kind=kind, source="rtds")
    assert reference.settlement("spot", 0).prices == [1.0]
    assert reference.settlement("twap", 30).prices == [2.0]
    assert reference.settlement("twap", 60).prices == [3.0]


def test_anchor_of_the_past_does_not_move_the_present_one() -> None:
    reference = make()
    tick(reference, 2.0, 2_000, kind=ANCHOR, source="rtds")
    tick(reference, 1.0, 2_100, 1_000, kind=ANCHOR, source="rtds")
    assert (reference.anchor, reference.anchors.prices) == (2.0, [1.0, 2.0])


def quote(reference: SymbolReference, sigma: float, ms: int = 0, end_ms: int = 86_400_000) -> None:
    end_ns = T0 + end_ms * MS_NS
    reference.quote(VolatilityQuoted(T0 + ms * MS_NS, "deribit", "BTC", sigma, end_ns, 0))


def test_quoted_volatility_is_per_sqrt_second() -> None:
    reference = make()
    assert reference.implied_vol(T0) == 0.0
    quote(reference, 0.5616)
    assert reference.implied_vol(T0) == pytest.approx(1e-4, rel=1e-4)  # 0.5616 / sqrt(31,536,000)
    assert reference.price == 0.0


def test_quoted_volatility_is_forgotten_after_five_minutes_and_at_its_end() -> None:
    reference = make()
    quote(reference, 0.5)
    assert reference.implied_vol(T0 + IMPLIED_HOLDS_NS) > 0.0
    assert reference.implied_vol(T0 + IMPLIED_HOLDS_NS + 1) == 0.0
    quote(reference, 0.5, end_ms=100)
    assert reference.implied_vol(T0 + 100 * MS_NS - 1) > 0.0
    assert reference.implied_vol(T0 + 100 * MS_NS) == 0.0


@pytest.mark.parametrize("sigma", [0.0, -0.5, 10.1, 55.0, float("nan"), float("inf")])
def test_impossible_volatility_is_dropped_and_the_last_one_stays(sigma: float) -> None:
    reference = make()
    quote(reference, 0.5)
    before = reference.implied_vol(T0)
    quote(reference, sigma, 5)
    assert reference.implied_vol(T0) == before
    assert (reference.implied_ns, reference.dropped) == (T0, 1)
