"""Shots: what 5, 10 and 25 ms would have cost, to the millisecond and the share."""

import pytest

from polytrade.core.events import FeedGap, OrderAccepted, OrderCancelled, OrderFilled, OrderRejected
from polytrade.core.ids import BUY, NO, SELL
from tests.core.factory import SHARE
from tests.core.rig import ask, bid
from tests.shadow.watched import Watched

CALM = {"fee_rate_e6": 0, "rebate_rate_e6": 0}


def quoted(cents: int = 48, ms: int = 100, **market: object) -> Watched:
    """A bid of ours, decided at `ms` - 40 and taken by the venue at `ms`."""
    rig = Watched(**market)
    rig.open()
    rig.level(SELL, 51, 100)
    rig.want(bid(cents), ms=ms - 40)
    rig.ms = ms
    rig.accept("o1")
    return rig


def test_shots_see_the_book_exactly_5_10_and_25_ms_after_the_acceptance() -> None:
    rig = quoted(50)
    rig.level(SELL, 50, 20, ms=110)  # in force at exactly +10 ms: a post-only bid at 50 would cross
    rig.level(SELL, 50, 0, ms=111)
    rig.tick(125)
    assert rig.survival() == [1.0, 0.0, None]  # an instant is over when something comes after it
    rig.tick(126)
    assert rig.survival() == [1.0, 0.0, 1.0]
    assert rig.values("survival_5ms_n", "survival_10ms_n", "survival_25ms_n") == [1, 1, 1]
    assert rig.report.window_shots == 3


def test_change_one_millisecond_after_the_instant_does_not_count() -> None:
    rig = quoted(50)
    rig.level(SELL, 50, 20, ms=111)
    rig.tick(200)
    assert rig.survival() == [1.0, 1.0, 0.0]


def test_later_order_stands_behind_those_who_joined_meanwhile() -> None:
    rig = quoted(48)
    rig.level(BUY, 48, 150, ms=106)  # 50 join between the first and the second shot
    rig.print(SELL, 48, 110, ms=200)
    rig.ms = 240
    rig.fill("o1", 10)
    assert rig.fillability() == [1.0, 0.0, 0.0]
    assert rig.report.window_outcomes == 1
    assert rig.causes() == {"LiquidityThin": 1}


def test_real_fill_before_the_shot_arrives_is_missed_by_it() -> None:
    rig = quoted(48)
    rig.print(SELL, 48, 110, ms=107)
    rig.ms = 108
    rig.fill("o1", 10)
    rig.tick(200)
    assert rig.fillability() == [1.0, 0.0, 0.0]
    assert rig.survival() == [1.0, 1.0, 1.0]


def test_order_withdrawn_unreached_is_no_outcome() -> None:
    rig = quoted(48)
    rig.words.wishes = []
    rig.tick(150)
    rig.ms = 200
    rig.gone("o1")
    rig.tick(300)
    assert rig.survival() == [1.0, 1.0, 1.0]
    assert rig.fillability() == [None, None, None]
    assert rig.report.window_outcomes == 0


def test_price_that_is_gone_is_an_outcome_even_of_an_order_that_never_filled() -> None:
    rig = quoted(50)
    rig.level(SELL, 50, 20, ms=109)
    rig.words.wishes = []
    rig.tick(150)
    rig.ms = 200
    rig.gone("o1")
    assert rig.survival() == [1.0, 0.0, 0.0]
    assert rig.fillability() == [None, 0.0, 0.0]
    assert rig.causes() == {"BookMoved": 1}


def test_book_trading_through_the_price_fills_a_shot_once() -> None:
    rig = quoted(48)
    rig.level(BUY, 48, 0, ms=150)
    rig.level(SELL, 47, 0, ms=151)
    rig.level(BUY, 47, 0, ms=152)
    rig.level(SELL, 47, 4, ms=160)  # the best ask is below our bid
    rig.level(SELL, 47, 6, ms=161)
    rig.words.wishes = []
    rig.ms = 200
    rig.fill("o1", 6)
    rig.gone("o1")
    assert rig.fillability() == [1.0, 1.0, 1.0]
    assert rig.report.window_outcomes == 0  # its markout is not there yet
    rig.until(10_200)
    (card,) = rig.report.market_scorecard
    # 6 at 48, the mid is 24 ten seconds later, the rebate 0.2 * 0.07 p (1 - p).
    worth = 6 * (0.24 - 0.48) + 0.2 * 6 * 0.07 * 0.48 * 0.52
    assert card.ev_net_usdc_p50 == pytest.approx(worth, abs=2e-6)
    assert (card.outcomes, card.fillability_10ms, card.fills) == (1, 1.0, 1)
    assert rig.causes() == {"AdverseSelection": 1}


def test_shots_at_a_doubtful_book_count_for_nothing_but_an_invalid_outcome() -> None:
    rig = quoted(48)
    rig.step(FeedGap(0, "polymarket.market/0", "", "malformed"), ms=103)
    rig.tick(130)
    rig.ms = 200
    rig.fill("o1", 10)
    assert rig.survival() == [None, None, None]
    assert rig.values("shots_invalid") == [3]
    assert rig.report.window_outcomes == 1
    assert rig.values("outcomes_valid") == [0]
    assert rig.causes() == {"StaleQuote": 1}


def test_refused_order_is_not_shot() -> None:
    rig = Watched()
    rig.open()
    rig.want(bid(48), ms=60)
    rig.step(OrderRejected(0, "o1", "invalid post-only order: order crosses book"), ms=100)
    rig.words.wishes = []
    rig.tick(200)
    assert rig.report.window_shots == 0
    assert rig.report.values["quote_block_ratio"] == 1.0


def test_second_acceptance_of_an_order_does_not_shoot_again() -> None:
    rig = quoted(48)
    rig.step(OrderAccepted(0, "o1", "v"), ms=101)
    assert rig.report.window_shots == 3
    assert rig.report.funnel["executed"] == 1


def test_fill_before_the_acceptance_is_one() -> None:
    rig = Watched()
    rig.open()
    rig.want(bid(48), ms=60)
    rig.words.wishes = []
    rig.step(OrderFilled(0, "o1", "f1", 4_800, 4 * SHARE, 0, True, "test"), ms=100)
    rig.step(OrderAccepted(0, "o1", "v"), ms=110)
    funnel = rig.report.funnel
    assert (funnel["executed"], funnel["filled"], rig.report.window_shots) == (1, 1, 3)


# -- takers -------------------------------------------------------------------------------------


def test_taker_shot_walks_the_book_as_it_stands_then() -> None:
    rig = Watched(**CALM)
    rig.open()
    rig.ms = 100
    rig.send(53, 150)
    rig.step(OrderAccepted(0, "t1", "v"), ms=140)
    rig.level(SELL, 52, 30, ms=148)  # 100 + 100 at +5 ms, 30 + 100 at +10 ms
    rig.level(SELL, 53, 0, ms=160)
    rig.level(SELL, 52, 0, ms=161)  # nothing within the limit at +25 ms
    rig.level(SELL, 54, 50, ms=162)
    rig.tick(170)
    assert rig.survival() == [1.0, 1.0, 0.0]
    rig.step(OrderFilled(0, "t1", "x1", 5_200, 150 * SHARE, 0, False, "taker"), ms=190)
    assert rig.fillability() == [1.0, 1.0, 0.0]


def test_taker_outcome_is_worth_its_markout_less_the_fee() -> None:
    rig = Watched()
    rig.open()
    rig.ms = 100
    rig.send(53, 50)
    rig.step(OrderAccepted(0, "t1", "v"), ms=140)
    rig.level(SELL, 52, 30, ms=148)  # 30 at 52 and 20 at 53
    rig.level(SELL, 52, 100, ms=151)
    rig.step(OrderFilled(0, "t1", "x1", 5_200, 50 * SHARE, 873_600, False, "taker"), ms=190)
    rig.until(9_900)
    rig.level(BUY, 51, 5, ms=10_150)  # the mid is 51.5 exactly 10 s after the shot
    rig.level(BUY, 51, 0, ms=10_151)
    # 30 at 52 and 20 at 53, fees 0.07 p (1 - p) a share: 0.52416 and 0.34874
    worth = 50 * 0.515 - (30 * 0.52 + 20 * 0.53) - 0.52416 - 0.34874
    (ev,) = rig.values("ev_net_usdc_p50")
    assert ev is not None
    assert abs(ev - worth) < 1e-9
    assert rig.report.window_outcomes == 1
    assert rig.causes() == {"SpreadTooWide": 1}


def test_fok_taker_fills_whole_or_not_at_all() -> None:
    rig = Watched(**CALM)
    rig.open()
    rig.ms = 100
    rig.send(52, 100, tif="FOK")
    rig.step(OrderAccepted(0, "t1", "v"), ms=140)
    rig.level(SELL, 52, 99, ms=150)
    rig.tick(170)
    rig.step(OrderFilled(0, "t1", "x1", 5_200, 100 * SHARE, 0, False, "taker"), ms=190)
    assert rig.survival() == [1.0, 1.0, 1.0]
    assert rig.fillability() == [1.0, 0.0, 0.0]


def test_taker_of_no_takes_the_bids_of_yes() -> None:
    rig = Watched(**CALM)
    rig.open()
    rig.ms = 100
    rig.send(52, 10, token=NO)
    rig.step(OrderAccepted(0, "t1", "v"), ms=140)
    rig.level(BUY, 48, 0, ms=150)  # NO is offered at 52 no more
    rig.tick(170)
    rig.step(OrderCancelled(0, "t1", "remainder killed"), ms=190)
    assert rig.survival() == [1.0, 0.0, 0.0]
    assert rig.fillability() == [1.0, 0.0, 0.0]


def test_operators_flatten_is_nobodys_intent() -> None:
    rig = Watched()
    rig.open()
    rig.ms = 100
    rig.send(52, 10, engine="flatten")
    rig.step(OrderAccepted(0, "t1", "v"), ms=140)
    rig.tick(200)
    assert rig.report.window_shots == 0
    assert rig.report.funnel["eligible"] == 0


def test_ask_made_by_buying_no_is_shot_as_an_ask() -> None:
    rig = Watched(**CALM)
    rig.open()
    rig.want(ask(52), ms=60)
    rig.ms = 100
    rig.accept("o1")
    rig.level(BUY, 49, 5, ms=101)
    rig.print(BUY, 53, 10, ms=150)  # through our ask
    rig.ms = 190
    rig.fill("o1", 10)
    assert rig.fillability() == [1.0, 1.0, 1.0]
