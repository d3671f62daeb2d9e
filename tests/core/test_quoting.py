"""From wishes to orders: keep, replace, cancel, cut, merge, reduce."""

import pytest

from polytrade.config import Risk
from polytrade.core.effects import CancelOrder, MergePairs, PlaceOrder, QuoteStateChanged, Refused
from polytrade.core.events import (
    CancelRejected,
    MarketResolved,
    ModeSet,
    OrderLost,
    OrderRejected,
    PairsMerged,
    PauseSet,
)
from polytrade.core.ids import BUY, NO, SELL, YES
from polytrade.core.orders import CANCELLING, LIVE, PENDING, UNKNOWN
from tests.core.factory import MARKET, SHARE, change, snapshot
from tests.core.rig import Rig, ask, bid, of, placed, sell


def quoting() -> Rig:
    """A bid at 48 and an ask at 52, both resting."""
    rig = Rig().open()
    rig.want(bid(48), ask(52))
    rig.accept("o1", "o2")
    return rig


def cancels(effects: list[object]) -> list[tuple[str, str]]:
    return [(e.order_id, e.reason) for e in effects if isinstance(e, CancelOrder)]


def test_wishes_become_post_only_orders() -> None:
    rig = Rig().open()
    effects = rig.want(bid(48), ask(52))
    assert placed(effects) == [("o1", YES, BUY, 48, 10), ("o2", NO, BUY, 48, 10)]
    sent = of(effects, PlaceOrder)
    assert [(e.post_only, e.tif, e.engine) for e in sent] == [(True, "GTC", "maker")] * 2
    assert of(effects, QuoteStateChanged)[-1].state == "quoting"


def test_unchanged_wishes_leave_everything_alone() -> None:
    rig = quoting()
    for ms in (50, 300, 1_000, 2_000):
        assert rig.refer(ms) == []
    assert [order.state for order in rig.orders()] == [LIVE, LIVE]


@pytest.mark.parametrize(
    ("cents", "ms", "kept"),
    [
        (49, 401, True),
        (47, 400, True),
        (48, 5_000, True),
        (46, 10, False),
        (50, 300, True),
        (50, 401, False),
    ],
)
def test_bold_order_goes_at_once_and_a_shy_one_after_its_time_to_live(
    cents: int, ms: int, kept: bool
) -> None:
    rig = quoting()
    effects = rig.want(bid(cents), ask(52), ms=ms)
    assert cancels(effects) == ([] if kept else [("o1", "replaced")])


@pytest.mark.parametrize(
    ("shares", "ms", "kept"),
    [
        (8, 401, True),
        (13, 401, True),
        (13.34, 100, True),
        (13.34, 401, False),
        (7.99, 10, False),
        (40, 401, False),
    ],
)
def test_order_too_large_goes_at_once_and_one_too_small_after_its_time_to_live(
    shares: float, ms: int, kept: bool
) -> None:
    rig = quoting()
    effects = rig.want(bid(48, shares), ask(52), ms=ms)
    assert cancels(effects) == ([] if kept else [("o1", "replaced")])


def test_replacement_waits_until_the_old_order_is_gone() -> None:
    rig = quoting()
    effects = rig.want(bid(45), ask(52), ms=100)
    assert (cancels(effects), placed(effects)) == ([("o1", "replaced")], [])
    assert rig.refer(200) == []
    effects = rig.gone("o1")
    assert placed(effects) == [("o3", YES, BUY, 45, 10)]


def test_wish_that_ends_is_cancelled() -> None:
    rig = quoting()
    assert cancels(rig.want(ask(52), ms=100)) == [("o1", "unwanted")]
    rig.gone("o1")
    assert [order.order_id for order in rig.orders()] == ["o2"]


def test_order_on_its_way_is_cancelled_when_it_arrives() -> None:
    rig = Rig().open()
    rig.want(bid(48))
    assert rig.want(ms=10) == [QuoteStateChanged(MARKET, "no_quote_edge")]
    assert rig.orders()[0].state == PENDING
    assert cancels(rig.accept("o1")) == [("o1", "unwanted")]


def test_refused_cancel_is_asked_for_again() -> None:
    rig = quoting()
    rig.want(ask(52), ms=100)
    effects = rig.step(CancelRejected(0, "o1", "the order is not on the book"), 200)
    assert cancels(effects) == [("o1", "unwanted")]


def test_unknown_order_keeps_its_side_busy() -> None:
    rig = quoting()
    rig.step(OrderLost(0, "o1", "timeout"), 100)
    assert placed(rig.want(bid(45), ask(52), ms=5_000)) == []
    assert rig.orders()[0].state == UNKNOWN
    assert placed(rig.gone("o1")) == [("o3", YES, BUY, 45, 10)]


def test_venue_refusal_leaves_the_market_alone_for_half_a_second() -> None:
    rig = Rig().open()
    rig.want(bid(48))
    assert placed(rig.step(OrderRejected(0, "o1", "crosses"), 100)) == []
    assert rig.market.quote_state == "no_quote_waiting"
    assert placed(rig.refer(599)) == []
    assert placed(rig.refer(600)) == [("o2", YES, BUY, 48, 10)]


def test_held_shares_are_sold_instead_of_buying_the_other_token() -> None:
    rig = Rig().open()
    rig.buy(YES, 10)
    rig.tick(100)
    assert rig.words.inventory.sellable_yes_e6 == 10 * SHARE
    effects = rig.want(sell(YES, 52), bid(48))
    assert {(t, s) for _, t, s, _, _ in placed(effects)} == {(YES, SELL), (YES, BUY)}
    rig.accept("o2", "o3")
    effects = rig.want(ask(52), bid(48), ms=200)
    assert cancels(effects) == [("o2" if rig.orders()[0].side == SELL else "o3", "replaced")]


def test_unsettled_shares_are_not_for_sale() -> None:
    rig = Rig().open()
    rig.buy(YES, 10, settled=False)
    effects = rig.want(sell(YES, 52))
    assert placed(effects) == []
    (refused,) = of(effects, Refused)
    assert (refused.limit, refused.side, refused.token) == ("balance", SELL, YES)
    assert rig.market.quote_state == "risk:balance"


def test_order_cut_by_a_limit_is_not_churned() -> None:
    """12 USDC of room: 25 of the 40 wished shares at 0.48."""
    rig = Rig(Risk(max_market_notional=12.0, orders_per_s=500.0)).open()
    assert placed(rig.want(bid(48, 40))) == [("o1", YES, BUY, 48, 25)]
    rig.accept("o1")
    for ms in (50, 500, 1_000):
        assert cancels(rig.refer(ms)) == []
    assert cancels(rig.want(bid(48, 20), ms=1_100)) == [("o1", "replaced")]


def test_partly_filled_order_is_topped_up_when_too_small() -> None:
    rig = quoting()
    assert cancels(rig.fill("o1", 2)) == []
    assert cancels(rig.fill("o1", 1)) == []
    assert cancels(rig.refer(300)) == []
    assert cancels(rig.refer(500)) == [("o1", "replaced")]


def test_order_on_the_wrong_side_of_fair_value_goes_within_its_slack() -> None:
    """A bid of 48 when 47 is wanted is kept at a fair value of 48.5, and goes at 47.9."""
    rig = quoting()
    rig.words.fair = 0.485
    assert cancels(rig.want(bid(47), ask(52), ms=50)) == []
    rig.words.fair = 0.479
    assert cancels(rig.refer(100)) == [("o1", "replaced")]


def test_shy_order_stays_while_its_successor_has_no_budget() -> None:
    rig = Rig(Risk(orders_per_s=0.5)).open()
    rig.want(bid(47))
    rig.accept("o1")
    assert cancels(rig.want(bid(49), ms=500)) == []
    assert cancels(rig.want(bid(45), ms=600)) == [("o1", "replaced")]


def test_refusal_is_said_once_until_it_changes() -> None:
    rig = Rig(Risk(max_order_notional=1.0, orders_per_s=500.0)).open()
    first = rig.want(bid(48))
    assert [e.limit for e in of(first, Refused)] == ["max_order_notional"]
    assert of(first, QuoteStateChanged)[-1].state == "risk:max_order_notional"
    assert rig.refer(50) == []
    assert rig.engine.quoter.refusals == {"max_order_notional": 2}
    rig.want(ms=100)
    assert of(rig.want(bid(48), ms=150), Refused)[0].limit == "max_order_notional"


def test_own_orders_never_cross() -> None:
    rig = quoting()
    rig.step(change(BUY, 48, 0, 0, 2), 90)
    effects = rig.want(bid(52), ask(53), ms=500)
    assert cancels(effects) == [("o1", "replaced")]
    effects = rig.gone("o1")
    assert [e.limit for e in of(effects, Refused)] == ["self_cross"]


def test_rate_budget_stops_orders_but_never_cancels() -> None:
    rig = Rig(Risk(orders_per_s=8.0)).open()
    rig.want(bid(48))
    rig.accept("o1")
    for number in range(1, 8):
        rig.want(bid(40 + number % 2 * 5))
        rig.gone(f"o{number}")
        if rig.engine.quoter.refusals:
            break
        rig.accept(f"o{number + 1}")
    assert rig.engine.quoter.refusals == {"rate_budget_market": 1}
    assert rig.market.quote_state == "risk:rate_budget_market"


# -- modes --------------------------------------------------------------------------------------


def test_pause_takes_quotes_off_and_resume_puts_them_back() -> None:
    rig = quoting()
    effects = rig.step(PauseSet(0, True), 100)
    assert cancels(effects) == [("o1", "unwanted"), ("o2", "unwanted")]
    assert rig.market.quote_state == "risk:paused"
    rig.gone("o1")
    assert placed(rig.gone("o2")) == []
    assert len(placed(rig.step(PauseSet(0, False), 300))) == 2


def test_halt_takes_quotes_off() -> None:
    rig = quoting()
    effects = rig.step(ModeSet(0, "halt", "test"), 100)
    assert cancels(effects) == [("o1", "unwanted"), ("o2", "unwanted")]
    assert rig.market.quote_state == "risk:halted"


def test_reduce_keeps_only_what_takes_the_position_towards_zero() -> None:
    rig = Rig().open()
    rig.buy(YES, 10)
    rig.want(bid(48), sell(YES, 52))
    rig.accept("o2", "o3")
    buying = next(o.order_id for o in rig.orders() if o.side == BUY)
    effects = rig.step(ModeSet(0, "reduce", "test"), 100)
    assert cancels(effects) == [(buying, "replaced")]
    effects = rig.gone(buying)
    assert placed(effects) == []
    assert [e.limit for e in of(effects, Refused)] == ["halted"]
    for ms in (200, 1_000):
        assert cancels(rig.refer(ms)) == []


def test_reduce_cuts_to_the_position_and_leaves_the_cut_order_alone() -> None:
    rig = Rig().open()
    rig.buy(YES, 6)
    rig.step(ModeSet(0, "reduce", "test"), 100)
    assert placed(rig.want(ask(52))) == [("o2", NO, BUY, 48, 6)]
    rig.accept("o2")
    for ms in (200, 1_000):
        assert cancels(rig.refer(ms)) == []


def test_cooldown_follows_a_losing_streak_under_its_own_name() -> None:
    rig = Rig(Risk(max_loss_streak=1, cooldown_sec=60.0, orders_per_s=500.0)).open()
    rig.words.wishes = [bid(48)]
    rig.engine.risk.on_close(-1, rig.ns)
    rig.refer(10)
    assert rig.market.quote_state == "risk:loss_streak"
    rig.refer(20)
    assert rig.market.quote_state == "risk:cooldown"
    rig.step(snapshot({48: 100}, {52: 100}), 60_010)
    rig.refer()
    assert rig.market.quote_state == "quoting"


# -- merges -------------------------------------------------------------------------------------


def paired() -> Rig:
    """Ten YES and eight NO, settled: a merge of eight is asked for."""
    rig = Rig().open()
    rig.buy(YES, 10, 48)
    rig.buy(NO, 8, 48)
    assert of(rig.effects, MergePairs) == [MergePairs(MARKET, 8 * SHARE)]
    return rig


def test_pairs_are_merged_once_and_asked_for_again_when_unanswered() -> None:
    rig = paired()
    assert of(rig.refer(9_900), MergePairs) == []
    rig.step(snapshot({48: 100}, {52: 100}), 10_000)
    assert of(rig.effects, MergePairs) == [MergePairs(MARKET, 8 * SHARE)] * 2


def test_answered_merge_frees_the_money() -> None:
    rig = paired()
    rig.step(PairsMerged(0, MARKET, 8 * SHARE), 100)
    assert rig.held() == (2.0, 0.0)
    assert rig.engine.ledger.realized_e6 == 8 * 40_000


def test_shares_being_merged_are_not_sold() -> None:
    rig = paired()
    rig.refer(50)
    held = rig.words.inventory
    assert (held.sellable_yes_e6, held.sellable_no_e6) == (2 * SHARE, 0)
    effects = rig.want(sell(YES, 52, 10), ms=100)
    assert placed(effects) == []
    assert [e.limit for e in of(effects, Refused)] == ["min_size"]


def test_few_pairs_wait() -> None:
    rig = Rig().open()
    rig.buy(YES, 10, 48)
    rig.buy(NO, 4.99, 48)
    assert of(rig.effects, MergePairs) == []


def test_unsettled_and_promised_shares_are_not_merged() -> None:
    rig = Rig().open()
    rig.buy(YES, 10, 48)
    rig.buy(NO, 10, 48, settled=False)
    assert of(rig.effects, MergePairs) == []


def test_nothing_is_merged_after_the_resolution() -> None:
    rig = Rig().open()
    rig.buy(YES, 10, 48)
    rig.step(MarketResolved(0, MARKET, YES, "test"), 100)
    rig.tick(300)
    assert of(rig.effects, MergePairs) == []
    assert rig.held() == (0.0, 0.0)


def test_orders_under_cancel_stay_under_cancel() -> None:
    rig = quoting()
    rig.want(ms=100)
    assert [order.state for order in rig.orders()] == [CANCELLING, CANCELLING]
    assert cancels(rig.refer(200)) == []
