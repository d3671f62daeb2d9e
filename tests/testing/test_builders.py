"""The small worlds of `polytrade.testing`: exact integers from the numbers that people say."""

import pytest

from polytrade.api import BUY, CAUTION, NO, SAFE, SELL, YES, no_estimate
from polytrade.core.limits import Approved, check
from polytrade.testing import (
    END_NS,
    NOW_NS,
    START_NS,
    book,
    context,
    estimate,
    holding,
    market,
    portfolio,
    reference,
    request,
    view,
)


def test_market_is_an_open_window_with_a_book() -> None:
    state = market()
    assert (state.book.bid_e4, state.book.ask_e4) == (4_600, 5_400)
    assert state.book.depth(BUY, 5) == [(4_600, 100_000_000)]
    assert (state.spec.start_ns, state.spec.end_ns) == (START_NS, END_NS)
    assert END_NS - START_NS == 300 * 10**9
    assert START_NS < NOW_NS < END_NS
    assert state.strike_e8 == 60_000 * 10**8


def test_market_takes_levels_and_terms() -> None:
    state = market({46: 1, 45.5: 2}, {54.5: 3}, tick_e4=50, condition="below")
    assert state.book.depth(BUY, 5) == [(4_600, 1_000_000), (4_550, 2_000_000)]
    assert state.book.depth(SELL, 5) == [(5_450, 3_000_000)]
    assert (state.book.tick_e4, state.spec.condition) == (50, "below")
    with pytest.raises(TypeError, match="expected fields of MarketListed, found tick"):
        market(tick=1)


def test_book_is_replaced() -> None:
    state = market()
    book(state, {40: 7}, {}, ms=2)
    assert state.book.depth(BUY, 5) == [(4_000, 7_000_000)]
    assert not state.book.two_sided


def test_view_is_safe_and_warm_unless_changed() -> None:
    seen = view()
    assert (seen.estimate.fair, seen.estimate.ok, seen.regime) == (0.5, True, SAFE)
    assert (seen.min_edge_bps, seen.max_spread_e4, seen.ts_ns) == (4.0, 1_000, NOW_NS)
    assert (seen.inventory.yes_e6, seen.inventory.no_e6) == (0, 0)
    changed = view(no_estimate("no_quote_warmup"), regime=CAUTION, tox=0.5)
    assert (changed.estimate.reason, changed.regime, changed.tox) == (
        "no_quote_warmup",
        CAUTION,
        0.5,
    )
    with pytest.raises(TypeError, match="expected an attribute of View, found toxic"):
        view(toxic=1.0)


def test_holding_is_sellable_once_settled() -> None:
    assert holding(1.5, 2).sellable_yes_e6 == 1_500_000
    waiting = holding(1.5, 2, settled=False)
    assert (waiting.yes_e6, waiting.no_e6) == (1_500_000, 2_000_000)
    assert (waiting.sellable_yes_e6, waiting.sellable_no_e6) == (0, 0)


def test_estimate_speaks() -> None:
    spoken = estimate(0.6, 0.7, 0.01, 0.02)
    assert (spoken.ok, spoken.fair, spoken.confidence) == (True, 0.6, 0.7)
    assert (spoken.pad, spoken.sd, spoken.reason) == (0.01, 0.02, "")


def test_reference_has_heard_its_prices() -> None:
    heard = reference((0.0, 60_000.0), (1.0, 60_060.0), symbol="ETH", source="okx")
    assert (heard.symbol, heard.source, heard.price) == ("ETH", "okx", 60_060.0)
    assert heard.ts_ns == START_NS + 10**9


def test_portfolio_is_in_usdc() -> None:
    money = portfolio(1_000, symbol=3.5, siblings_up=-2)
    assert (money.capital_e6, money.equity_e6) == (10**9, 10**9)
    assert (money.symbol_e6, money.siblings_up_e6) == (3_500_000, -2_000_000)
    assert portfolio(1_000, 900).equity_e6 == 900_000_000


def test_request_rests_for_makers_and_takes_for_others() -> None:
    resting = request(46, 5)
    assert (resting.price_e4, resting.size_e6, resting.tif) == (4_600, 5_000_000, "GTC")
    assert resting.post_only
    taking = request(54, 5, token=NO, side=SELL, engine="taker")
    assert (taking.token, taking.side, taking.tif, taking.post_only) == (NO, SELL, "FAK", False)
    assert request().token == YES


def test_context_passes_the_built_in_limits() -> None:
    """What a rule is asked about has passed them."""
    assert isinstance(check(request(46, 5), context()), Approved)
    assert context(fair=0.61, ts_ns=NOW_NS + 1).facts.fair_e6 == 610_000
