"""Complete sets: found, sent as one, unwound when a leg stays alone, merged, split."""

from typing import Any

import pytest

from polytrade.config import Risk
from polytrade.core.effects import Alarmed, Effect, MergePairs, PlaceOrder, SplitPairs
from polytrade.core.events import (
    BookChanged,
    FillConfirmed,
    OrderCancelled,
    OrderFilled,
    PairsMerged,
    PairsSplit,
)
from polytrade.core.ids import BUY, NO, SELL, YES
from polytrade.core.pairs import Quote, best_plan
from polytrade.core.settings import PairSettings
from polytrade.core.units import MS_NS, SECOND_NS
from tests.core.factory import MARKET, SHARE
from tests.core.rig import Rig, bid, of, placed


def settings(**changes: Any) -> PairSettings:
    fields: dict[str, Any] = {
        "buy": True,
        "split": True,
        "split_first": False,
        "min_edge_bps": 20.0,
        "max_size_e6": 20 * SHARE,
        "confirm_ns": 50 * MS_NS,
        "slippage_e4": 200,
        "pause_ns": 5 * SECOND_NS,
    }
    fields.update(changes)
    return PairSettings(**fields)


def said(side: int, cents: int, shares: int, best_bid: int, best_ask: int, ms: int) -> BookChanged:
    """One level, with the best prices the venue states after it."""
    best = (best_bid * 100, best_ask * 100)
    return BookChanged(0, MARKET, YES, side, cents * 100, shares * SHARE, *best, ms, "")


class Crossing:
    """An open market at 48/52 whose bid comes to stand at 56, above the ask at 52."""

    def __init__(self, risk: Risk | None = None, depth: int = 10, **changes: Any) -> None:
        rig = Rig(risk, trading={"pairs": settings(**changes)}, fee_rate_e6=0)
        self.rig = rig.open()
        rig.step(said(BUY, 56, depth, 56, 52, 100), 100)

    def wait(self, ms: int = 160) -> list[Effect]:
        return self.rig.refer(ms)

    def uncross(self, ms: int) -> list[Effect]:
        return self.rig.step(said(BUY, 56, 0, 48, 52, ms), ms)

    @property
    def state(self) -> str:
        return self.rig.engine.quoter.pairs.state_of(MARKET)

    @property
    def done(self) -> dict[str, int]:
        return self.rig.engine.quoter.pairs.done

    def fill(self, name: str, shares: float, cents: int, ms: int) -> list[Effect]:
        """Filled so far, and what is left of it killed."""
        size_e6 = round(shares * SHARE)
        effects: list[Effect] = []
        if shares:
            filled = OrderFilled(0, name, f"f{name}", cents * 100, size_e6, 0, False, "taker")
            effects += self.rig.step(filled, ms)
        order = self.rig.engine.orders.find(name)
        assert order is not None
        if order.open_e6():
            effects += self.rig.step(OrderCancelled(0, name, "remainder killed"), ms)
        return effects

    def settle(self, *names: str, ms: int) -> list[Effect]:
        effects: list[Effect] = []
        for name in names:
            effects += self.rig.step(FillConfirmed(0, f"f{name}"), ms)
        return effects


def test_both_legs_are_sent_once_the_crossed_book_has_stood() -> None:
    market = Crossing()
    assert placed(market.rig.refer(149)) == []
    effects = market.wait(150)
    assert placed(effects) == [("o1", YES, BUY, 52, 10), ("o2", NO, BUY, 44, 10)]
    sent = of(effects, PlaceOrder)
    assert [(e.tif, e.post_only, e.engine, e.edge_bps) for e in sent] == [
        ("FAK", False, "arb", 400.0)
    ] * 2
    assert market.state == "legs"
    assert market.rig.market.quote_state != "quoting"


def test_cross_that_the_venue_does_not_state_is_not_believed() -> None:
    rig = Rig(trading={"pairs": settings()}, fee_rate_e6=0).open()
    rig.step(BookChanged(0, MARKET, YES, BUY, 5_600, 10 * SHARE, 4_800, 5_200, 100, ""), 100)
    assert placed(rig.refer(170)) == []


def test_cross_that_is_gone_in_time_is_left_alone() -> None:
    market = Crossing()
    market.uncross(140)
    assert placed(market.wait(200)) == []


def test_nothing_is_sent_while_sets_are_off() -> None:
    rig = Rig(fee_rate_e6=0).open()
    rig.step(said(BUY, 56, 10, 56, 52, 100), 100)
    assert placed(rig.refer(200)) == []


def test_a_set_under_way_is_finished_when_sets_are_switched_off() -> None:
    market = Crossing(pause_ns=0)
    market.wait()
    pairs = market.rig.engine.quoter.pairs
    pairs.configure(None)
    market.fill("o1", 0, 52, 200)
    market.fill("o2", 0, 44, 200)
    assert (market.state, market.done) == ("", {"missed": 1})
    assert placed(market.wait(300)) == []
    pairs.configure(settings(pause_ns=0, max_size_e6=6 * SHARE))
    assert [order[4] for order in placed(market.wait(400))] == [6, 6]


def test_size_is_the_smaller_depth_and_no_more_than_allowed() -> None:
    assert placed(Crossing(depth=7).wait())[0][4] == 7
    assert placed(Crossing(depth=80).wait())[0][4] == 20


def test_set_is_sent_whole_or_not_at_all() -> None:
    """The second leg costs more than an order may: the first one stays at home, too."""
    market = Crossing(Risk(max_order_notional=5.0, price_collar=0.5))
    assert placed(market.wait()) == []
    assert market.rig.engine.quoter.refusals == {"max_order_notional": 1}
    assert not market.rig.engine.quoter.pairs.busy(MARKET)


def test_budget_must_do_for_both_legs() -> None:
    market = Crossing(Risk(orders_per_s=0.5, price_collar=0.5))
    market.rig.engine.risk.take(MARKET, market.rig.ns)
    assert placed(market.wait()) == []
    assert market.rig.engine.quoter.refusals == {"rate_budget_global": 1}


def test_pairs_are_merged_once_they_are_settled() -> None:
    market = Crossing()
    market.wait()
    market.uncross(170)
    market.fill("o1", 10, 52, 200)
    market.fill("o2", 10, 44, 200)
    assert (market.state, market.rig.market.quote_state) == ("merging", "no_quote_arb")
    effects = market.settle("o1", "o2", ms=1_200)
    assert [e.size_e6 for e in of(effects, MergePairs)] == [10 * SHARE]
    market.rig.step(PairsMerged(0, MARKET, 10 * SHARE), 1_300)
    assert (market.state, market.done) == ("", {"merged": 1})
    assert market.rig.engine.ledger.cash_e6 == 1_000_400_000


def test_small_set_is_merged_although_few_pairs_are_not() -> None:
    market = Crossing(depth=3)
    market.wait()
    market.uncross(170)
    market.fill("o1", 3, 52, 200)
    market.fill("o2", 3, 44, 200)
    effects = market.settle("o1", "o2", ms=1_200)
    assert [e.size_e6 for e in of(effects, MergePairs)] == [3 * SHARE]


def test_legs_that_both_missed_end_the_set() -> None:
    market = Crossing()
    market.wait()
    market.fill("o1", 0, 52, 200)
    market.fill("o2", 0, 44, 200)
    assert (market.state, market.done) == ("", {"missed": 1})
    market.rig.refer(400)
    assert market.rig.orders() == []  # the pause


def test_leg_left_alone_is_paired_within_the_slippage() -> None:
    """YES bought, NO missed: NO is bought at the mid's 50 and 2 cents more, at most."""
    market = Crossing()
    market.wait()
    market.uncross(170)
    market.fill("o1", 10, 52, 200)
    effects = market.fill("o2", 4, 44, 210)
    assert placed(effects) == [("o3", NO, BUY, 52, 6)]
    assert market.state == "unwinding"
    market.fill("o3", 6, 52, 300)
    assert market.state == "merging"
    assert market.rig.held() == (10.0, 10.0)


def test_settled_leg_left_alone_is_sold_within_the_slippage() -> None:
    market = Crossing()
    market.wait()
    market.uncross(170)
    market.fill("o1", 10, 52, 200)
    market.settle("o1", ms=210)
    effects = market.fill("o2", 0, 44, 220)
    assert placed(effects) == [("o3", YES, SELL, 48, 10)]
    market.fill("o3", 10, 48, 300)
    market.rig.refer(310)
    assert (market.state, market.rig.held()) == ("", (0.0, 0.0))


def test_unwinding_waits_for_a_whole_book() -> None:
    market = Crossing()
    market.wait()
    market.fill("o1", 10, 52, 200)
    assert placed(market.fill("o2", 0, 44, 210)) == []
    assert market.state == "unwinding"
    assert placed(market.uncross(260)) == [("o3", NO, BUY, 52, 10)]


def test_unwinding_gives_up_after_three_tries_and_says_what_is_left() -> None:
    market = Crossing()
    market.wait()
    market.uncross(170)
    market.fill("o1", 10, 52, 200)
    effects = market.fill("o2", 0, 44, 210)
    for number in (3, 4, 5):
        assert placed(effects)[0][0] == f"o{number}"
        effects = market.fill(f"o{number}", 1, 52, 300 + number)
    (alarm,) = of(effects, Alarmed)
    assert (alarm.name, alarm.detail) == ("arb_leg_left", f"{MARKET}: 7 yes left alone")
    assert market.state == "merging"


def test_unwinding_that_is_never_let_through_ends_with_an_alarm() -> None:
    market = Crossing()
    market.wait()
    market.uncross(170)
    market.fill("o1", 10, 52, 200)
    market.rig.engine.risk.paused = True
    assert placed(market.fill("o2", 0, 44, 210)) == []
    effects = market.rig.refer(30_300)
    assert [alarm.name for alarm in of(effects, Alarmed)] == ["arb_leg_left"]


def test_pairs_held_are_sold_without_a_split() -> None:
    rig = Rig(trading={"pairs": settings(split_first=True)}, fee_rate_e6=0).open()
    rig.buy(YES, 5)
    rig.buy(NO, 4)
    rig.step(said(BUY, 56, 4, 56, 52, 3_100), 3_100)
    effects = rig.refer(3_160)
    assert placed(effects)[-2:] == [("o3", YES, SELL, 56, 4), ("o4", NO, SELL, 48, 4)]


def test_split_is_asked_for_and_its_pairs_are_sold() -> None:
    market = Crossing(split_first=True)
    effects = market.wait()
    assert [(e.market, e.size_e6) for e in of(effects, SplitPairs)] == [(MARKET, 10 * SHARE)]
    assert (placed(effects), market.state) == ([], "splitting")
    effects = market.rig.step(PairsSplit(0, MARKET, 10 * SHARE), 200)
    assert placed(effects) == [("o1", YES, SELL, 56, 10), ("o2", NO, SELL, 48, 10)]
    market.fill("o1", 10, 56, 250)
    market.fill("o2", 10, 48, 250)
    market.rig.refer(260)
    assert (market.state, market.done) == ("", {"merged": 1})
    assert market.rig.engine.ledger.cash_e6 == 1_000_400_000


def test_split_that_came_too_late_is_merged_back() -> None:
    market = Crossing(split_first=True)
    market.wait()
    market.uncross(170)
    effects = market.rig.step(PairsSplit(0, MARKET, 10 * SHARE), 200)
    assert (placed(effects), market.state) == ([], "merging")
    assert [e.size_e6 for e in of(effects, MergePairs)] == [10 * SHARE]
    market.rig.step(PairsMerged(0, MARKET, 10 * SHARE), 300)
    assert market.rig.engine.ledger.cash_e6 == 1_000 * SHARE


def test_split_that_is_never_answered_is_given_up() -> None:
    market = Crossing(split_first=True)
    market.wait()
    market.rig.refer(60_200)
    assert (market.state, market.done) == ("", {"timed_out": 1})


def test_a_set_waits_while_an_order_of_ours_is_there() -> None:
    rig = Rig(trading={"pairs": settings()}, fee_rate_e6=0).open()
    rig.want(bid(48))
    rig.step(said(BUY, 56, 10, 56, 52, 100), 100)
    assert placed(rig.refer(160)) == []
    rig.words.wishes = []
    rig.accept("o1")
    assert [row[0] for row in placed(rig.gone("o1"))] == ["o2", "o3"]


@pytest.mark.parametrize(
    ("yes_ask", "no_ask", "rate_e6", "edge"),
    [(52, 44, 0, 400.0), (52, 44, 70_000, 52.8), (52, 47, 70_000, None), (52, 48, 0, None)],
)
def test_edge_is_what_is_left_of_a_set_after_both_fees(
    yes_ask: int, no_ask: int, rate_e6: int, edge: float | None
) -> None:
    rig = Rig(fee_rate_e6=rate_e6).open()
    context = rig.engine.quoter._desk.context(rig.market, None, rig.ns)
    quote = Quote(100, SHARE, yes_ask * 100, 9 * SHARE, 100, SHARE, no_ask * 100, 3 * SHARE)
    plan = best_plan(quote, context, settings())
    assert (plan and (plan.side, plan.size_e6, plan.edge_bps)) == (
        (BUY, 3 * SHARE, pytest.approx(edge)) if edge is not None else None
    )


def test_selling_both_is_chosen_where_it_gains_more() -> None:
    rig = Rig(fee_rate_e6=0).open()
    context = rig.engine.quoter._desk.context(rig.market, None, rig.ns)
    quote = Quote(5_400, 9 * SHARE, 5_500, SHARE, 5_000, 8 * SHARE, 4_300, SHARE)
    plan = best_plan(quote, context, settings())
    assert plan is not None
    assert (plan.side, plan.yes_e4, plan.no_e4, plan.size_e6) == (SELL, 5_400, 5_000, 8 * SHARE)
    assert best_plan(quote, context, settings(split=False)).side == BUY  # type: ignore[union-attr]
