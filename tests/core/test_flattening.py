"""The operator's flatten: quotes off, pairs merged, the rest sold in at most three tries."""

import pytest

from polytrade.config import Risk
from polytrade.core.effects import Alarmed, CancelOrder, MergePairs, PlaceOrder
from polytrade.core.events import (
    FeedDown,
    FillConfirmed,
    FlattenRequested,
    MarketResolved,
    ModeSet,
    OrderCancelled,
    OrderRejected,
    PairsMerged,
    PauseSet,
)
from polytrade.core.ids import BUY, NO, SELL, YES
from polytrade.core.units import MS_NS, SECOND_NS
from tests.core.factory import END_NS, MARKET, SHARE, START_NS, snapshot
from tests.core.rig import Rig, bid, of, placed


def long(shares: float = 10, token: int = YES, settled: bool = True) -> Rig:
    rig = Rig().open()
    rig.buy(token, shares, 48, settled)
    return rig


def flatten(rig: Rig, ms: int = 100, slippage_e4: int = 500) -> list[object]:
    return list(rig.step(FlattenRequested(0, slippage_e4), ms))


def alarms(rig: Rig) -> list[str]:
    return [e.detail for e in of(rig.effects, Alarmed) if e.name == "flatten_incomplete"]


def test_position_is_sold_within_the_slippage_of_the_mid() -> None:
    rig = long()
    (order,) = of(flatten(rig), PlaceOrder)
    assert (order.token, order.side, order.price_e4, order.size_e6) == (YES, SELL, 4500, 10 * SHARE)
    assert (order.tif, order.post_only, order.engine) == ("FAK", False, "flatten")
    rig.accept("o2")
    rig.fill("o2", 10)
    assert rig.engine.quoter.flattening == {}
    assert rig.held() == (0.0, 0.0)
    assert alarms(rig) == []


def test_no_is_sold_at_its_own_price() -> None:
    rig = Rig().open()
    rig.buy(NO, 10, 48)
    rig.step(snapshot({58: 100}, {62: 100}), 50)
    (order,) = of(flatten(rig), PlaceOrder)
    assert (order.token, order.price_e4) == (NO, 3500)


def test_quotes_go_first_and_stay_off_even_when_resumed() -> None:
    rig = long()
    rig.want(bid(45))
    rig.accept("o2")
    effects = flatten(rig)
    assert [e.order_id for e in of(effects, CancelOrder)] == ["o2"]
    assert of(effects, PlaceOrder) == []
    rig.step(PauseSet(0, False), 110)
    assert rig.market.quote_state == "no_quote_flattening"
    assert placed(rig.gone("o2")) == [("o3", YES, SELL, 45, 10)]
    assert placed(rig.fill("o3", 10)) == [("o4", YES, BUY, 45, 10)]


def test_markets_without_a_position_are_done_at_once() -> None:
    rig = Rig().open()
    assert of(flatten(rig), PlaceOrder) == []
    assert rig.engine.quoter.flattening == {}
    assert rig.engine.risk.paused


def test_partial_fills_are_followed_up_three_times_and_then_what_is_left_is_said() -> None:
    rig = long(10)
    flatten(rig)
    for name in ("o2", "o3", "o4"):
        rig.accept(name)
        rig.fill(name, 2)
        rig.step(OrderCancelled(0, name, "remainder killed"))
    assert rig.engine.quoter.flattening == {}
    assert alarms(rig) == [f"{MARKET}: 4 yes left, open"]
    assert len(of(rig.effects, PlaceOrder)) == 4


def test_refusal_of_the_venue_is_a_try_and_waits() -> None:
    rig = long()
    flatten(rig)
    assert placed(rig.step(OrderRejected(0, "o2", "no match"), 150)) == []
    assert placed(rig.tick(640)) == []
    assert placed(rig.tick(750)) == [("o3", YES, SELL, 45, 10)]
    rig.step(OrderRejected(0, "o3", "no match"), 800)
    assert placed(rig.tick(1_300)) == [("o4", YES, SELL, 45, 10)]
    rig.step(OrderRejected(0, "o4", "no match"), 1_350)
    rig.tick(1_900)
    assert rig.engine.quoter.flattening == {}
    assert alarms(rig) == [f"{MARKET}: 10 yes left, open"]


def test_book_that_is_not_believed_is_waited_for_without_using_up_a_try() -> None:
    rig = long()
    rig.step(FeedDown(0, "polymarket.market/0", "closed"), 50)
    assert of(flatten(rig), PlaceOrder) == []
    for ms in range(200, 1_000, 100):
        assert placed(rig.tick(ms)) == []
    effects = rig.step(snapshot({48: 100}, {52: 100}), 1_000)
    assert placed(effects) == [("o2", YES, SELL, 45, 10)]


def test_pairs_are_merged_and_the_rest_is_sold() -> None:
    rig = long(10)
    rig.buy(NO, 4, 48)
    effects = flatten(rig)
    assert of(effects, MergePairs) == [MergePairs(MARKET, 4 * SHARE)]
    assert of(effects, PlaceOrder) == []
    effects = list(rig.step(PairsMerged(0, MARKET, 4 * SHARE), 200))
    assert placed(effects) == [("o3", YES, SELL, 45, 6)]  # type: ignore[arg-type]


def test_unsettled_shares_are_waited_for() -> None:
    rig = long(10, settled=False)
    assert of(flatten(rig), PlaceOrder) == []
    assert MARKET in rig.engine.quoter.flattening
    effects = rig.step(FillConfirmed(0, "f1"), 2_000)
    assert placed(effects) == [("o2", YES, SELL, 45, 10)]


def test_dust_below_a_marketable_order_is_given_up_at_once() -> None:
    rig = long(1)
    assert of(flatten(rig), PlaceOrder) == []
    assert alarms(rig) == [f"{MARKET}: 1 yes left, open"]


@pytest.mark.parametrize("mode", ["halt", "reduce"])
def test_halt_does_not_keep_positions_from_being_closed(mode: str) -> None:
    rig = long()
    rig.step(ModeSet(0, mode, "test"), 50)
    assert len(of(flatten(rig), PlaceOrder)) == 1


def test_closing_market_is_still_flattened() -> None:
    rig = long(settled=False)
    ms = (END_NS - START_NS - 10 * SECOND_NS) // 1_000_000
    rig.tick(ms)
    rig.step(snapshot({48: 100}, {52: 100}, ts_ms=START_NS // MS_NS + ms), ms)
    assert rig.market.phase == "closing"
    flatten(rig, ms + 10)
    rig.step(FillConfirmed(0, "f1"), ms + 20)
    assert len(of(rig.effects, PlaceOrder)) == 2


@pytest.mark.parametrize("how", ["ended", "resolved"])
def test_end_of_the_market_ends_its_flatten(how: str) -> None:
    rig = long(settled=False)
    flatten(rig)
    if how == "ended":
        rig.tick((END_NS - START_NS) // 1_000_000)
        assert alarms(rig) == [f"{MARKET}: 10 yes left, pending_resolution"]
    else:
        rig.step(MarketResolved(0, MARKET, YES, "test"), 200)
        rig.tick(300)
        assert alarms(rig) == []
    assert rig.engine.quoter.flattening == {}


def test_spent_rate_budget_is_waited_for() -> None:
    rig = Rig(Risk(orders_per_s=0.5, price_collar=0.5)).open()
    rig.buy(YES, 10, 48)
    flatten(rig)
    assert of(rig.effects, PlaceOrder)[1:] == []
    rig.step(snapshot({48: 100}, {52: 100}), 2_500)
    assert len(of(rig.effects, PlaceOrder)) == 2
