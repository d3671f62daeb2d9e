"""What stands between a strategy's wishes and its orders: standing, sizes, capital, the taker."""

from typing import Any

import pytest

from polytrade.core.effects import CancelOrder, Effect, PlaceOrder
from polytrade.core.events import (
    OrderAccepted,
    OrderCancelled,
    OrderFilled,
    OrderRejected,
    ShadowReset,
)
from polytrade.core.ids import BUY, NO, SELL, YES
from polytrade.core.markouts import HORIZON_1S, HORIZON_5S, HORIZON_10S
from polytrade.core.regimes import CAUTION, DANGER, ToxicitySettings, caution_ttl_ns
from polytrade.core.roles import Share, Wish
from polytrade.core.units import MS_NS
from tests.core.factory import MARKET, SHARE, listed, snapshot
from tests.core.rig import Rig, ask, bid, of, placed, sell


def take(cents: int, shares: float = 10, side: int = BUY, token: int = YES) -> Wish:
    return Wish(token, side, cents * 100, round(shares * SHARE), 80.0, "taker")


def taking(*wishes: Wish, **trading: Any) -> Rig:
    """An open market in which nobody wants to rest anything and the taker wishes these."""
    rig = Rig(trading=trading).open()
    rig.words.takings = list(wishes)
    return rig


def toxic(rig: Rig, bps: float) -> None:
    """Twenty markouts of every horizon become known."""
    for _ in range(20):
        for horizon in (HORIZON_1S, HORIZON_5S, HORIZON_10S):
            rig.engine.toxicity.markout(MARKET, horizon, bps)


def orders(effects: list[Effect]) -> list[PlaceOrder]:
    return of(effects, PlaceOrder)


# -- standing ---------------------------------------------------------------------------------


def test_market_in_danger_is_neither_quoted_nor_taken_in() -> None:
    rig = Rig().open()
    rig.want(bid(48))
    rig.accept("o1")
    toxic(rig, -30.0)
    rig.words.takings = [take(52)]
    rig.refer(200)
    assert rig.engine.toxicity.regime_of(MARKET) == DANGER
    assert rig.market.quote_state == "no_quote_danger"
    assert [order.reason for order in rig.orders()] == [""]  # its cancel is asked for
    assert rig.engine.quoter.taking.reasons["no_take_danger"] >= 1


def second(rig: Rig) -> None:
    """Another market of the symbol opens beside the first."""
    rig.step(listed(rig.ns, market="0xsecond", yes="1", no="2", settle="spot", lookback_s=0))
    book = snapshot({47: 100, 48: 100}, {52: 100, 53: 100})
    book.market = "0xsecond"
    rig.step(book)
    rig.tick(rig.ms + 100)


@pytest.mark.parametrize(
    ("settings", "states"),
    [
        (ToxicitySettings(active_top_n_markets=0), ["quoting", "quoting"]),
        (ToxicitySettings(active_top_n_markets=1), ["quoting", "no_quote_rank"]),
        (ToxicitySettings(min_market_score=100.0), ["no_quote_score", "no_quote_score"]),
    ],
)
def test_market_that_is_not_active_says_why(settings: ToxicitySettings, states: list[str]) -> None:
    rig = Rig(trading={"toxicity": settings})
    rig.words.wishes = [bid(48)]
    rig.open()
    second(rig)
    rig.refer(rig.ms + 10)
    assert [market.quote_state for market in rig.engine.markets.values()] == states


def test_strategy_sees_the_limits_in_force_and_the_warm_up() -> None:
    rig = Rig().open()
    rig.want(bid(48))
    view = rig.words.views[-1]
    assert (view.progress, view.regime, view.active, view.rank) == (0.0, 0, True, 1)
    # 0.15 of 4 bps, and a fifth off: nothing was wished before.
    assert view.min_edge_bps == pytest.approx(0.48)
    assert view.max_spread_e4 == 360


def test_own_fill_is_learnt_from_ten_seconds_later() -> None:
    rig = Rig().open()
    rig.want(bid(48))
    rig.accept("o1")
    rig.fill("o1", 10)
    rig.step(snapshot({47: 100, 48: 100}, {52: 100, 53: 100}, ts_ms=2), 9_000)
    rig.tick(10_000)
    assert rig.engine.toxicity.outcomes == 0
    rig.tick(10_001)
    assert rig.engine.toxicity.outcomes == 1
    standing = rig.engine.toxicity.standing_of(MARKET)
    assert standing is not None
    assert standing.p50[HORIZON_1S] == pytest.approx(2 / 48 * 1e4)


def test_reset_of_the_shadow_begins_the_warm_up_again() -> None:
    rig = Rig().open()
    for _ in range(15):
        rig.engine.toxicity.outcome()
    rig.want(bid(48))
    assert rig.words.views[-1].progress == 0.5
    rig.step(ShadowReset(0, 2))
    rig.refer(10)
    assert rig.words.views[-1].progress == 0.0


def test_in_caution_a_shy_quote_goes_by_the_regimes_time_to_live() -> None:
    """At a score near 0.6, of the markouts and the spread, it is near 310 ms."""
    rig = Rig(trading={"toxicity": ToxicitySettings(min_market_score=0.0)}).open()
    rig.engine.settings.ttl_ns = 10 * MS_NS
    toxic(rig, -4.5)
    rig.want(bid(44), ms=1_000)
    rig.accept("o1")
    view = rig.words.views[-1]
    assert view.regime == CAUTION
    ttl_ms = caution_ttl_ns(view.tox) // MS_NS
    assert 250 < ttl_ms < 350
    rig.want(bid(46), ms=1_000 + ttl_ms - 30)
    assert not of(rig.effects, CancelOrder)
    rig.refer(1_000 + ttl_ms + 30)
    assert [(e.order_id, e.reason) for e in of(rig.effects, CancelOrder)] == [("o1", "replaced")]


# -- sizes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scale", "shares", "sent"),
    [(1.0, 20, 20.0), (0.5, 20, 10.0), (0.333, 20, 6.66), (0.1, 20, 5.0), (0.1, 5, 5.0)],
)
def test_sizes_are_scaled_but_never_below_the_least_order(
    scale: float, shares: float, sent: float
) -> None:
    rig = Rig().open()
    rig.words.given = Share(scale)
    assert placed(rig.want(bid(48, shares))) == [("o1", YES, BUY, 48, sent)]


def test_wish_below_the_least_order_is_no_quote() -> None:
    rig = Rig().open()
    assert placed(rig.want(bid(48, 4))) == []
    assert rig.market.quote_state == "no_quote_size"


def test_allocator_that_gives_nothing_says_why() -> None:
    rig = Rig().open()
    rig.words.given = Share(0.0, "kelly")
    assert placed(rig.want(bid(48))) == []
    assert rig.market.quote_state == "no_quote_kelly"


def test_what_reduces_the_position_goes_on_when_the_allocator_gives_nothing() -> None:
    rig = Rig().open()
    rig.buy(YES, 20)
    rig.words.given = Share(0.0, "kelly")
    effects = rig.want(bid(46), sell(YES, 54, 30), ms=1_000)
    assert placed(effects) == [("o2", YES, SELL, 54, 20.0)]
    assert rig.market.quote_state == "quoting"


def test_less_than_the_least_order_to_reduce_is_dropped_for_the_allocators_reason() -> None:
    rig = Rig().open()
    rig.buy(YES, 4)
    rig.words.given = Share(0.0, "kelly")
    assert placed(rig.want(sell(YES, 54, 30), ms=1_000)) == []
    assert rig.market.quote_state == "no_quote_kelly"


def test_taker_closes_what_is_held_when_the_allocator_gives_nothing() -> None:
    rig = Rig().open()
    rig.buy(YES, 20)
    rig.words.given = Share(0.0)
    rig.words.takings = [take(52), take(48, 30, SELL)]
    effects = rig.want(ms=1_000)
    assert placed(effects) == [("o2", YES, SELL, 48, 20.0)]


def test_what_reduces_the_position_is_not_scaled() -> None:
    rig = Rig().open()
    rig.buy(YES, 8)
    rig.words.given = Share(0.5)
    effects = rig.want(Wish(YES, SELL, 5_200, 8 * SHARE, 50.0, "maker"), ms=2_000)
    assert placed(effects) == [("o2", YES, SELL, 52, 8.0)]


def test_engine_stays_within_its_share_of_the_capital() -> None:
    """Half a per cent of 1,000 USDC: 10.41 shares, and nothing more once they are held."""
    rig = Rig(trading={"maker_weight": 0.005}).open()
    assert placed(rig.want(bid(48, 40))) == [("o1", YES, BUY, 48, 10.41)]
    rig.accept("o1")
    rig.fill("o1", 10.41)
    rig.want(bid(48, 40), ms=2_000)
    assert rig.market.quote_state == "no_quote_capital"


def test_money_at_work_belongs_to_who_filled_or_rests_there() -> None:
    rig = Rig().open()
    rig.want(bid(48), ask(52))
    capital = rig.engine.quoter.capital
    assert capital.at_work_e6("maker") == 4_800_000
    assert capital.at_work_e6("taker") == 0
    rig.words.wishes, rig.words.takings = [], [take(52)]
    rig.accept("o1", "o2")
    rig.gone("o1")
    rig.gone("o2")
    rig.refer(3_000)
    order = rig.orders()[-1]
    assert order.engine == "taker"
    rig.fill(order.order_id, 10)
    assert capital.at_work_e6("taker") == rig.engine.ledger.exposure_total_e6 == 5_200_000
    assert capital.at_work_e6("maker") == 0


@pytest.mark.parametrize(
    ("trading", "state"),
    [
        ({"min_notional_e6": 4_900_000}, "no_quote_size"),
        ({"min_edge_e6": 48_001}, "no_quote_small_edge"),
        ({"min_notional_e6": 4_800_000, "min_edge_e6": 48_000}, "quoting"),
    ],
)
def test_order_not_worth_it_is_not_wanted(trading: dict[str, int], state: str) -> None:
    """Ten shares at 48 with 100 bps of edge: 4.80 USDC and 0.048."""
    rig = Rig(trading=trading).open()
    rig.want(bid(48))
    assert rig.market.quote_state == state


def test_allocator_knows_the_capital_and_the_other_markets_of_the_symbol() -> None:
    rig = Rig().open()
    rig.buy(YES, 8)
    second(rig)
    rig.want(bid(48), ms=2_000)
    # The second market was asked last; it sees the first one's shares.
    assert rig.words.portfolios[-1] == (1_000 * SHARE, 8_800_000, 8 * SHARE)


# -- the taker --------------------------------------------------------------------------------


def test_takers_wish_is_sent_as_fill_and_kill_with_what_it_thinks() -> None:
    rig = taking(take(52))
    rig.words.fair = 0.56
    (order,) = orders(rig.refer(10))
    assert (order.tif, order.post_only, order.engine) == ("FAK", False, "taker")
    assert (order.token, order.side, order.price_e4, order.size_e6) == (YES, BUY, 5_200, 10 * SHARE)
    assert (order.fair_e6, order.edge_bps) == (560_000, 80.0)
    assert order.expires_ns == rig.ns + 150_000_000


def test_one_order_of_the_taker_is_in_flight_and_the_next_waits() -> None:
    rig = taking(take(52))
    assert len(orders(rig.refer(10))) == 1
    reasons = rig.engine.quoter.taking.reasons
    assert orders(rig.refer(1_010)) == []
    assert reasons["no_take_in_flight"] == 1
    rig.step(OrderAccepted(0, "o1", "v"))
    rig.step(OrderCancelled(0, "o1", "remainder killed"), 1_020)
    assert len(rig.orders()) == 1  # the next went out with the end of the first
    rig.step(OrderCancelled(0, "o2", "remainder killed"), 1_500)
    assert (rig.orders(), reasons["no_take_pause"]) == ([], 1)


def test_taker_waits_after_the_venue_refused() -> None:
    rig = taking(take(52), take_pause_ns=0)
    rig.refer(10)
    rig.step(OrderRejected(0, "o1", "no match"))
    assert rig.orders() == []
    assert rig.engine.quoter.taking.reasons["no_take_refused"] == 1
    assert len(orders(rig.refer(600))) == 1


def test_second_wish_is_tried_when_a_limit_stops_the_first() -> None:
    rig = taking(take(52, 90), take(52))  # 46.80 USDC, beyond max_order_notional
    (order,) = orders(rig.refer(10))
    assert order.size_e6 == 10 * SHARE
    assert rig.engine.quoter.refusals == {"max_order_notional": 1}


def test_refused_taker_pauses_too_and_the_quote_state_is_the_makers() -> None:
    rig = taking(take(52, 90))
    rig.want(bid(48), ms=10)
    rig.refer(20)
    reasons = rig.engine.quoter.taking.reasons
    assert (reasons["risk:max_order_notional"], reasons["no_take_pause"]) == (1, 1)
    assert rig.market.quote_state == "quoting"


def test_takers_order_is_scaled_to_at_least_what_the_venue_takes() -> None:
    rig = taking(take(52))
    rig.words.given = Share(0.05)
    (order,) = orders(rig.refer(10))
    assert order.size_e6 == 1_930_000  # 1.0036 USDC


def test_reasons_for_not_taking_are_counted() -> None:
    rig = taking()
    rig.refer(10)
    assert rig.engine.quoter.taking.reasons["no_take_edge"] >= 1
    rig.words.takings = [take(52)]
    rig.words.given = Share(0.0)
    rig.refer(20)
    assert rig.engine.quoter.taking.reasons["no_take_capital"] == 1


def test_takers_fills_are_followed_and_sets_legs_are_not() -> None:
    rig = taking(take(52))
    rig.refer(10)
    rig.step(OrderFilled(0, "o1", "f1", 5_200, 10 * SHARE, 1_000, False, "taker"))
    assert rig.engine.learner.markouts.pending == 1
    assert rig.held() == (10.0, 0.0)


def test_no_side_of_no_is_confused_with_yes() -> None:
    rig = taking(take(52, side=BUY, token=NO))
    rig.refer(10)
    rig.step(OrderFilled(0, "o1", "f1", 5_200, 10 * SHARE, 0, False, "taker"))
    rig.tick(1_011)
    standing = rig.engine.toxicity.standing_of(MARKET)
    assert standing is not None
    assert standing.markouts[HORIZON_1S].percentile(50) == pytest.approx(-2 / 52 * 1e4)


def test_edge_of_an_order_is_told_to_two_decimals() -> None:
    rig = Rig().open()
    for edge, told in ((80.128, 80.13), (1e9, 1e9)):
        wish = bid(48)
        wish.edge_bps = edge
        (order,) = of(rig.want(wish), PlaceOrder)
        assert order.edge_bps == told
        rig.want()
        rig.gone(order.order_id)


def test_allocator_is_told_the_largest_size_that_is_wished() -> None:
    rig = Rig().open()
    rig.want(bid(48, 10), ask(52, 12))
    assert rig.words.wished_e6 == 12 * SHARE
    rig.words.takings = [take(52, 7)]
    rig.refer(1_000)
    assert rig.words.wished_e6 == 7 * SHARE
