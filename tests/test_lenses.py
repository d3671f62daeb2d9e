"""One run under three fill models: what fills in which lens, and what it is worth there."""

import pytest

from polytrade.core.effects import Effect
from polytrade.core.events import (
    Event,
    FillConfirmed,
    FillFailed,
    FlattenRequested,
    MarketResolved,
    OrderAccepted,
    OrderFilled,
)
from polytrade.core.ids import BUY, NO, SELL, YES
from polytrade.core.units import fee_e6
from polytrade.lens_books import LensRow
from polytrade.lenses import EXPECTED, LENSES, LINGER_NS, OPTIMISTIC, PESSIMISTIC, Lenses
from tests.core.factory import MARKET, SHARE, change, trade
from tests.core.rig import Rig, ask, bid

LINGER_MS = LINGER_NS // 1_000_000


class Watched(Rig):
    """A rig whose events the lenses see."""

    lenses: Lenses | None = None

    def step(self, event: Event, ms: int | None = None) -> list[Effect]:
        effects = super().step(event, ms)
        if self.lenses is not None:
            self.lenses.observe(event, effects)
        return effects


def quoting(*names: str) -> tuple[Watched, Lenses]:
    """Bids 10 at 48 (o1) and asks 10 at 52 (o2) in a book of 48/52; the named are accepted."""
    rig = Watched()
    rig.open()
    rig.lenses = Lenses(rig.engine)
    rig.want(bid(48), ask(52))
    rig.accept(*(names or ("o1", "o2")))
    return rig, rig.lenses


def row(lenses: Lenses, lens: str, engine: str = "all") -> LensRow:
    (found,) = [row for row in lenses.table() if (row.lens, row.engine) == (lens, engine)]
    return found


def fills(lenses: Lenses) -> dict[str, float]:
    """Shares filled by lens."""
    return {lens: row(lenses, lens).volume_e6 / SHARE for lens in LENSES}


def test_nothing_happened_is_three_rows_of_nothing() -> None:
    _, lenses = quoting()
    assert [(row.lens, row.engine, row.fills, row.net_e6) for row in lenses.table()] == [
        (lens, "all", 0, 0) for lens in LENSES
    ]


def test_print_at_the_price_fills_only_what_the_run_says() -> None:
    rig, lenses = quoting()
    rig.step(trade(SELL, 48, 500, 0), 100)
    assert fills(lenses) == {PESSIMISTIC: 0, EXPECTED: 0, OPTIMISTIC: 0}
    rig.fill("o1", 4)
    assert fills(lenses) == {PESSIMISTIC: 0, EXPECTED: 4, OPTIMISTIC: 0}


def test_print_through_the_price_fills_as_much_as_was_traded_in_the_pessimistic_lens() -> None:
    rig, lenses = quoting()
    rig.step(trade(SELL, 47, 3, 0), 100)
    assert fills(lenses) == {PESSIMISTIC: 3, EXPECTED: 0, OPTIMISTIC: 0}
    rig.step(trade(SELL, 47, 30, 0), 200)
    assert fills(lenses) == {PESSIMISTIC: 10, EXPECTED: 0, OPTIMISTIC: 0}


def test_print_of_the_other_token_is_seen_in_the_terms_of_yes() -> None:
    rig, lenses = quoting()
    rig.step(trade(BUY, 53, 3, 0, token=NO), 100)  # NO bought at 53: YES sold at 47
    assert fills(lenses) == {PESSIMISTIC: 3, EXPECTED: 0, OPTIMISTIC: 0}


def test_prints_on_our_own_side_fill_nothing() -> None:
    rig, lenses = quoting()
    rig.step(trade(BUY, 47, 3, 0), 100)
    assert fills(lenses) == {PESSIMISTIC: 0, EXPECTED: 0, OPTIMISTIC: 0}


def test_opposite_quote_at_the_price_fills_whole_in_the_optimistic_lens() -> None:
    rig, lenses = quoting()
    rig.step(change(BUY, 48, 0, 0, 2), 100)
    rig.step(change(SELL, 48, 1, 0, 3), 101)
    assert fills(lenses) == {PESSIMISTIC: 0, EXPECTED: 0, OPTIMISTIC: 10}


def test_book_through_the_price_fills_what_it_shows_once_in_the_pessimistic_lens() -> None:
    rig, lenses = quoting()
    rig.step(change(BUY, 48, 0, 0, 2), 100)
    rig.step(change(BUY, 47, 0, 0, 3), 101)
    rig.step(change(SELL, 47, 4, 0, 4), 102)
    assert fills(lenses) == {PESSIMISTIC: 4, EXPECTED: 0, OPTIMISTIC: 10}
    rig.step(change(SELL, 53, 90, 0, 5), 103)
    assert fills(lenses)[PESSIMISTIC] == 4
    rig.step(change(SELL, 47, 6, 0, 6), 104)
    assert fills(lenses)[PESSIMISTIC] == 6


def test_order_the_venue_has_not_taken_fills_nowhere() -> None:
    rig, lenses = quoting("o2")
    rig.step(trade(SELL, 40, 30, 0), 100)
    assert fills(lenses) == {PESSIMISTIC: 0, EXPECTED: 0, OPTIMISTIC: 0}


def test_order_ends_in_every_lens_when_the_run_cancels_it() -> None:
    rig, lenses = quoting()
    rig.gone("o1")
    rig.step(trade(SELL, 40, 30, 0), 100)
    assert fills(lenses) == {PESSIMISTIC: 0, EXPECTED: 0, OPTIMISTIC: 0}
    assert lenses.resting == 1


def test_order_the_run_filled_whole_may_still_fill_later_in_a_lens_that_did_not() -> None:
    rig, lenses = quoting()
    rig.words.wishes = [ask(52)]
    rig.fill("o1", 10)
    rig.step(trade(SELL, 47, 30, 0), 500)
    assert fills(lenses) == {PESSIMISTIC: 10, EXPECTED: 10, OPTIMISTIC: 0}


def test_order_the_run_filled_whole_is_gone_after_ten_seconds() -> None:
    rig, lenses = quoting()
    rig.words.wishes = [ask(52)]
    rig.fill("o1", 10)
    rig.step(trade(SELL, 47, 30, 0), LINGER_MS + 1)
    assert fills(lenses) == {PESSIMISTIC: 0, EXPECTED: 10, OPTIMISTIC: 0}
    assert lenses.resting == 1


def test_next_order_on_its_side_takes_the_place_of_one_the_run_filled_whole() -> None:
    rig, lenses = quoting()
    rig.fill("o1", 10)  # the maker wants another bid at once: o3
    rig.accept("o3")
    rig.step(trade(SELL, 47, 30, 0), 500)
    assert fills(lenses) == {PESSIMISTIC: 10, EXPECTED: 10, OPTIMISTIC: 0}
    assert lenses.resting == 2


def test_market_that_is_not_quoted_any_more_ends_orders_the_run_filled_whole() -> None:
    rig, lenses = quoting()
    rig.words.wishes = [ask(52)]
    rig.fill("o1", 10)
    rig.want(ms=300)
    rig.step(trade(SELL, 47, 30, 0), 500)
    assert fills(lenses)[PESSIMISTIC] == 0


def test_fill_that_fails_never_happened() -> None:
    rig, lenses = quoting()
    rig.fill("o1", 4, settled=False)
    rig.step(FillFailed(0, "f1", "reverted"))
    assert row(lenses, EXPECTED).fills == 0
    assert row(lenses, EXPECTED).open_shares_e6 == 0
    assert row(lenses, EXPECTED).rebates_e6 == rebate(4, 48)


def rebate(shares: int, cents: int) -> int:
    return fee_e6(shares * SHARE, cents * 100, 70_000, 1) * 200_000 // 1_000_000


def test_money_of_a_fill_is_marked_at_the_mid_and_settled_at_the_resolution() -> None:
    rig, lenses = quoting()
    rig.step(trade(SELL, 47, 10, 0), 100)
    found = row(lenses, PESSIMISTIC, "maker")
    assert found.notional_e6 == 4_800_000
    assert found.open_e6 == 5_000_000  # ten at a mid of 50
    assert found.gross_e6 == 200_000
    assert found.realized_e6 == 0
    assert found.rebates_e6 == rebate(10, 48) > 0
    assert found.net_e6 == 200_000 + rebate(10, 48)
    rig.step(MarketResolved(0, MARKET, NO, "test"), 301_000)
    found = row(lenses, PESSIMISTIC, "maker")
    assert (found.realized_e6, found.gross_e6, found.open_e6) == (-4_800_000, -4_800_000, 0)
    assert row(lenses, EXPECTED).gross_e6 == 0
    assert lenses.resting == 0


def test_both_sides_filled_is_a_pair_worth_one() -> None:
    rig, lenses = quoting()
    rig.step(trade(SELL, 47, 10, 0), 100)
    rig.step(trade(BUY, 53, 10, 0), 101)
    found = row(lenses, PESSIMISTIC)
    assert found.gross_e6 == 400_000  # 48 + 48 paid, 100 worth
    assert found.open_shares_e6 == 0


def taking(rig: Watched, *, taken: int) -> None:
    """An order of the run that takes at once: sells what it holds at 47 or better."""
    rig.step(FlattenRequested(0, 500), 2_000)
    for order in rig.orders():
        if order.engine != "flatten":
            rig.gone(order.order_id)
    rig.tick(2_100)
    (order,) = [order for order in rig.orders() if order.engine == "flatten"]
    assert order.tif == "FAK"
    rig.step(OrderAccepted(0, order.order_id, "delayed"))
    fill = OrderFilled(0, order.order_id, "taken", 4_800, taken * SHARE, 1_000, False, "taker")
    rig.step(fill)
    rig.step(FillConfirmed(0, "taken"))


def test_order_that_takes_has_the_fills_of_the_run_in_every_lens_that_can_close() -> None:
    rig, lenses = quoting()
    rig.fill("o1", 10)
    rig.step(trade(SELL, 47, 4, 0), 1_000)
    taking(rig, taken=10)
    assert fills(lenses) == {PESSIMISTIC: 8, EXPECTED: 20, OPTIMISTIC: 0}
    assert [row(lenses, lens).open_shares_e6 for lens in LENSES] == [0, 0, 0]
    assert row(lenses, EXPECTED, "flatten").fees_e6 == 1_000
    assert row(lenses, EXPECTED).gross_e6 == 0  # bought and sold at 48


def test_lens_of_the_run_is_the_ledger_of_the_run() -> None:
    rig, lenses = quoting()
    rig.fill("o1", 10)
    rig.fill("o2", 4)
    rig.step(trade(SELL, 47, 4, 0), 1_000)
    ledger, marks = rig.engine.ledger, rig.engine.marks()
    found = row(lenses, EXPECTED)
    profit_e6 = ledger.equity_e6(marks, False) - ledger.initial_e6
    assert found.gross_e6 - found.fees_e6 == profit_e6
    assert found.fees_e6 == ledger.fees_e6
    rig.step(MarketResolved(0, MARKET, YES, "test"), 301_000)
    found = row(lenses, EXPECTED)
    assert found.gross_e6 == ledger.realized_e6
    assert found.gross_e6 - found.fees_e6 == ledger.cash_e6 - ledger.initial_e6


def test_market_that_is_over_leaves_only_its_sums() -> None:
    rig, lenses = quoting()
    rig.fill("o1", 10)
    rig.step(MarketResolved(0, MARKET, YES, "test"), 301_000)
    rig.step(MarketResolved(0, MARKET, YES, "again"), 302_000)
    before = lenses.table()
    rig.step(MarketResolved(0, "0xother", YES, "test"), 303_000)
    assert lenses.table() == before
    assert row(lenses, EXPECTED).realized_e6 == 5_200_000


def test_row_in_usdc_and_shares() -> None:
    rig, lenses = quoting()
    rig.step(trade(SELL, 47, 10, 0), 100)
    assert row(lenses, PESSIMISTIC, "maker").to_dict() == {
        "lens": PESSIMISTIC,
        "engine": "maker",
        "fills": 1,
        "volume_shares": 10.0,
        "notional_usdc": 4.8,
        "realized_usdc": 0.0,
        "gross_usdc": 0.2,
        "fees_usdc": 0.0,
        "rebates_usdc": rebate(10, 48) / 1e6,
        "net_usdc": (200_000 + rebate(10, 48)) / 1e6,
        "open_usdc": 5.0,
        "open_shares": 10.0,
    }


@pytest.mark.parametrize("lens", LENSES)
def test_rows_of_the_engines_add_up_to_the_row_of_all(lens: str) -> None:
    rig, lenses = quoting()
    rig.fill("o1", 10)
    rig.step(trade(SELL, 47, 4, 0), 1_000)
    taking(rig, taken=10)
    rows = [row for row in lenses.table() if row.lens == lens]
    whole = rows.pop()
    assert whole.engine == "all"
    assert whole.gross_e6 == sum(row.gross_e6 for row in rows)
    assert whole.volume_e6 == sum(row.volume_e6 for row in rows)
