"""Order flow and momentum: what the signals say of small books and prices."""

from math import exp, pi, sqrt
from statistics import NormalDist
from typing import Any

import orjson
import pytest
from polytrade_momentum_taker.flow import (
    MARKETS_MAX,
    Flows,
    queue_imbalance,
    side_flow,
)
from polytrade_momentum_taker.momentum import SCORE_MAX, sensitivity, trend

from polytrade import testing

SECOND = 1_000_000_000
SHARE = 1_000_000


def levels(*pairs: tuple[int, float]) -> list[tuple[int, int]]:
    return [(cents * 100, round(shares * SHARE)) for cents, shares in pairs]


@pytest.mark.parametrize(
    ("before", "after", "bid_flow", "ask_flow"),
    [
        ([(50, 10)], [(50, 14)], 4.0, 4.0),
        ([(50, 14)], [(50, 10)], -4.0, -4.0),
        ([(50, 10)], [(51, 3)], 3.0, -10.0),  # a better bid is new; an offer that rose is gone
        ([(51, 3)], [(50, 10)], -3.0, 10.0),
        ([], [(50, 10)], 10.0, 10.0),
        ([(50, 10)], [], -10.0, -10.0),
        ([(50, 10), (48, 8)], [(50, 10), (48, 2)], -3.0, -3.0),  # the second level by half
    ],
)
def test_flow_of_a_side(
    before: list[tuple[int, float]],
    after: list[tuple[int, float]],
    bid_flow: float,
    ask_flow: float,
) -> None:
    assert side_flow(levels(*before), levels(*after), True) == bid_flow
    assert side_flow(levels(*before), levels(*after), False) == ask_flow


@pytest.mark.parametrize(
    ("bids", "asks", "imbalance"),
    [
        ([(49, 30)], [(51, 10)], 0.5),
        ([(49, 10)], [], 1.0),
        ([], [(51, 10)], -1.0),
        ([], [], 0.0),
        ([(49, 10), (48, 20)], [(51, 10), (52, 20), (53, 80)], -20 / 60),
    ],
)
def test_queue_imbalance(bids: Any, asks: Any, imbalance: float) -> None:
    assert queue_imbalance(levels(*bids), levels(*asks)) == pytest.approx(imbalance)


def test_buyers_that_come_and_sellers_that_go_press_upwards() -> None:
    flows, market = Flows(3.0), testing.market({49: 100}, {51: 100})
    assert flows.look(market, testing.NOW_NS).pressure() == 0.0
    testing.book(market, {49: 150}, {51: 70}, ms=2)
    kept = flows.look(market, testing.NOW_NS)
    assert kept.flow == pytest.approx(80.0)
    assert kept.depth == pytest.approx(100.5)  # a twentieth of the way from 100 to 110
    assert kept.pressure() == pytest.approx(80.0 / 100.5)


def test_flow_fades_by_its_half_life() -> None:
    flows, market = Flows(3.0), testing.market({49: 100}, {51: 100})
    flows.look(market, testing.NOW_NS)
    testing.book(market, {49: 150}, {51: 100}, ms=2)
    flows.look(market, testing.NOW_NS)
    assert flows.look(market, testing.NOW_NS + 3 * SECOND).flow == pytest.approx(25.0)


def test_books_are_not_compared_over_a_silence() -> None:
    flows, market = Flows(3.0), testing.market({49: 100}, {51: 100})
    flows.look(market, testing.NOW_NS)
    testing.book(market, {49: 150}, {51: 100}, ms=2)
    assert flows.look(market, testing.NOW_NS + 11 * SECOND).flow == 0.0


def test_markets_remembered_are_bounded() -> None:
    flows = Flows(3.0)
    for at in range(MARKETS_MAX + 1):
        flows.look(testing.market(market=f"m{at}"), testing.NOW_NS)
    assert len(flows.rows) == MARKETS_MAX
    assert "m0" not in flows.rows


def test_flows_are_handed_over() -> None:
    first, second, market = Flows(3.0), Flows(3.0), testing.market({49: 100}, {51: 100})
    first.look(market, testing.NOW_NS)
    testing.book(market, {49: 150}, {51: 100}, ms=2)
    first.look(market, testing.NOW_NS)
    second.restore(orjson.loads(orjson.dumps(first.dump())))
    testing.book(market, {50: 20}, {51: 100}, ms=3)
    for flows in (first, second):
        flows.look(market, testing.NOW_NS + SECOND)
    assert second.dump() == first.dump()
    assert first.rows["0xfeed"].flow == pytest.approx(50 * 0.5 ** (1 / 3) + 20)


@pytest.mark.parametrize("price", [60_000.0, 60_030.0, 59_900.0])
def test_sensitivity_is_the_slope_of_the_probability(price: float) -> None:
    """A price with sigma 5 USDC a second against a strike of 60000, 240 s before the end."""
    normal, sigma = NormalDist(), 5.0

    def probability(at: float) -> float:
        return normal.cdf((at - 60_000.0) / (sigma * sqrt(240.0)))

    found = sensitivity(testing.market(), probability(price), testing.NOW_NS)
    slope = (probability(price + 0.01) - probability(price - 0.01)) / 0.02
    assert found == pytest.approx(slope * sigma, rel=1e-4)


@pytest.mark.parametrize(
    ("terms", "seconds"),
    [
        ({"settle": "twap", "lookback_s": 60}, 200.0),
        ({"settle": "twap", "lookback_s": 240}, 80.0),
        ({"settle": "twap", "lookback_s": 480}, 80.0),
    ],
)
def test_an_average_is_nearer_than_its_end(terms: Any, seconds: float) -> None:
    found = sensitivity(testing.market(**terms), 0.5, testing.NOW_NS)
    assert found == pytest.approx(1 / sqrt(2 * pi * seconds))


def test_sensitivity_follows_the_condition() -> None:
    up = sensitivity(testing.market(), 0.5, testing.NOW_NS)
    assert sensitivity(testing.market(condition="below"), 0.5, testing.NOW_NS) == -up
    for undirected in ("other", "range"):
        assert sensitivity(testing.market(condition=undirected), 0.5, testing.NOW_NS) == 0.0
    assert sensitivity(testing.market(), 0.5, testing.END_NS) == 0.0


def moved(bps: float) -> Any:
    """BTC still for 3 s, then this much higher; the volatility is at its least, 0.15 bps."""
    prices = [(54.0 + at / 10, 60_000.0) for at in range(31)]
    return testing.reference(*prices, (57.1, 60_000.0 * exp(bps * 1e-4)))


@pytest.mark.parametrize(
    ("bps", "score"),
    [
        (0.15, 1.0 / sqrt(0.5) - 1.0 + 0.0),  # 2 s: 0.71, within the dead zone
        (0.3, 2.0 / sqrt(0.5) - 1.0 + 2.0 / sqrt(2.0) - 1.0),
        (-0.3, -(2.0 / sqrt(0.5) - 1.0 + 2.0 / sqrt(2.0) - 1.0)),
        (9.0, 2 * (SCORE_MAX - 1.0)),
        (0.0, 0.0),
    ],
)
def test_trend_is_the_mean_score_beyond_noise(bps: float, score: float) -> None:
    reference = moved(bps)
    assert trend(reference, (0.5, 2.0), 1.0) == pytest.approx(score / 2, abs=1e-6)


def test_a_horizon_from_before_the_price_was_heard_says_nothing() -> None:
    reference = moved(0.3)
    assert trend(reference, (0.5, 6.0), 1.0) == pytest.approx((2.0 / sqrt(0.5) - 1.0) / 2, abs=1e-6)
    assert trend(testing.reference(), (0.5,), 1.0) == 0.0
