"""The allocator: sizes beside what is held, doubt, drawdown, and a replay."""

from typing import Any

import orjson
import polytrade_kelly
import pytest
from polytrade_kelly import MultiKelly
from polytrade_kelly.holdings import MARKETS_MAX, SETTLED_NS, Held, Holdings

from polytrade import testing
from polytrade.api import Event, Portfolio, no_estimate

SECOND = 1_000_000_000
USDC = 1_000_000


def make(**changes: Any) -> MultiKelly:
    """Half of Kelly without doubt or throttle."""
    settings = {
        "capital_fraction_kelly": 0.5,
        "variance_penalty_lambda": 0.0,
        "doubt": 0.0,
        "confidence_doubt": 0.0,
        "volatility_error": 0.0,
        "drawdown_max": 0.0,
        **changes,
    }
    return MultiKelly(**settings)


def money(equity: float = 100.0, siblings_up: float = 0.0, wish: float = 100.0) -> Portfolio:
    return Portfolio(
        1_000 * USDC,
        round(equity * USDC),
        siblings_up_e6=round(siblings_up * USDC),
        wish_e6=round(wish * USDC),
    )


def cheap(**terms: Any) -> Any:
    """YES is offered at 0.50 and bid at 0.49, without a fee."""
    return testing.market({49: 100}, {50: 100}, **terms)


def test_the_plugin_says_which_api_and_what_it_offers() -> None:
    assert polytrade_kelly.polytrade_api == 1
    assert polytrade_kelly.polytrade_allocators() == {"multi_kelly": MultiKelly}


def test_a_bet_alone_is_fractional_kelly() -> None:
    """(0.60 - 0.50) / (1 - 0.50) is 20 %: half of it of 100 USDC at 0.50 are 20 shares."""
    share = make().share(testing.view(0.60, cheap()), money())
    assert share.scale == pytest.approx(0.20)
    assert share.reason == ""


def test_a_fee_costs_edge() -> None:
    """7 % of 0.5 * 0.5 is 0.0175 a share: (0.60 - 0.5175) / 0.4825 * 50 / 0.5175 shares."""
    view = testing.view(0.60, cheap(fee_rate_e6=70_000))
    scale = make().share(view, money()).scale
    assert scale == pytest.approx(0.0825 / 0.4825 * 50 / 0.5175 / 100)


def test_no_is_bought_where_yes_is_dear() -> None:
    """NO is offered at 0.51 and worth 0.60: 0.09 / 0.49 of 50 USDC at 0.51."""
    scale = make().share(testing.view(0.40, cheap()), money()).scale
    assert scale == pytest.approx(0.09 / 0.49 * 50 / 0.51 / 100)


def test_what_is_held_counts() -> None:
    view = testing.view(0.60, cheap(), testing.holding(yes=12))
    assert make().share(view, money()).scale == pytest.approx(0.08)
    against = testing.view(0.60, cheap(), testing.holding(no=12))
    assert make().share(against, money()).scale == pytest.approx(0.32)


def test_less_than_the_smallest_order_is_nothing() -> None:
    share = make().share(testing.view(0.60, cheap(), testing.holding(yes=15.5)), money())
    assert (share.scale, share.reason) == (0.0, "kelly")


def test_the_scale_is_of_the_largest_size_wished() -> None:
    view = testing.view(0.60, cheap())
    assert make().share(view, money(wish=25)).scale == pytest.approx(0.80)
    for whole in (19.9, 5.0, 0.0):
        assert make().share(view, money(wish=whole)).scale == 1.0


def test_of_two_bets_the_fuller_one_decides() -> None:
    """A fair value in the middle: both sides are bets at the touch, 0.04 / 0.54 of 50 USDC."""
    market, whole = testing.market({46: 100}, {54: 100}), 0.04 / 0.54 * 50 / 0.46
    for yes, wanted in ((0.0, whole), (3.0, whole - 3.0)):
        view = testing.view(0.50, market, testing.holding(yes=yes))
        assert make().share(view, money()).scale == pytest.approx(wanted / 100)
        view = testing.view(0.50, market, testing.holding(no=yes))
        assert make().share(view, money()).scale == pytest.approx(wanted / 100)
    full = make().share(testing.view(0.50, market, testing.holding(yes=whole - 4.9)), money())
    assert (full.scale, full.reason) == (0.0, "kelly")


def test_bets_are_compared_in_shares() -> None:
    """0.02 each way about 0.80: of YES 0.02 / 0.22 at 0.78, of NO 0.02 / 0.82 at 0.18. NO, with a
    quarter of the fraction, is the larger number of shares, so YES decides unless NO is held.
    """
    market = testing.market({78: 100}, {82: 100})
    share = make().share(testing.view(0.80, market), money())
    assert share.scale == pytest.approx(0.02 / 0.22 * 50 / 0.78 / 100)
    share = make().share(testing.view(0.80, market, testing.holding(no=1.5)), money())
    assert share.scale == pytest.approx((0.02 / 0.82 * 50 / 0.18 - 1.5) / 100)


def test_a_side_of_less_than_half_the_other_is_no_bet() -> None:
    """About 0.50, bid at 0.46 and offered at 0.51: NO at 0.49 is worth a quarter of YES."""
    market, allocator = testing.market({46: 100}, {51: 100}), make()
    view = testing.view(0.50, market, testing.holding(no=2))
    assert allocator.share(view, money()).scale == pytest.approx(
        (0.04 / 0.54 * 50 / 0.46 + 2) / 100
    )


def test_no_fair_value_no_share() -> None:
    share = make().share(testing.view(no_estimate("no_quote_warmup")), money())
    assert (share.scale, share.reason) == (0.0, "fair_value")


def test_no_edge_no_share() -> None:
    share = make().share(testing.view(testing.estimate(0.5, pad=0.5), cheap()), money())
    assert (share.scale, share.reason) == (0.0, "kelly")


def test_doubt_shrinks_by_edge_against_error() -> None:
    """An edge of 0.10 known to 0.05 is worth 0.8 of its Kelly, to 0.10 one half."""
    view = testing.view(0.60, cheap())
    assert make(doubt=0.05).share(view, money()).scale == pytest.approx(0.16)
    assert make(doubt=0.10).share(view, money()).scale == pytest.approx(0.10)


def test_low_confidence_is_doubt() -> None:
    view = testing.view(testing.estimate(0.60, confidence=0.5), cheap())
    assert make(confidence_doubt=0.2).share(view, money()).scale == pytest.approx(0.10)
    assert make(confidence_doubt=0.2).standard_error(view) == pytest.approx(0.10)


def test_uncertain_volatility_is_doubt_away_from_evens() -> None:
    allocator = make(volatility_error=0.15)
    assert allocator.standard_error(testing.view(0.5)) == pytest.approx(0.0)
    assert allocator.standard_error(testing.view(0.841345)) == pytest.approx(0.0362956, rel=1e-4)


def test_drawdown_throttles_against_the_highest_equity() -> None:
    allocator, view = make(drawdown_max=0.2), testing.view(0.60, cheap())
    assert allocator.share(view, money(200)).scale == pytest.approx(0.40)
    assert allocator.share(view, money(180)).scale == pytest.approx(0.18)
    share = allocator.share(view, money(159))
    assert (share.scale, share.reason) == (0.0, "drawdown")


def test_spread_of_markouts_takes_its_penalty() -> None:
    view = testing.view(0.60, cheap(), markout10_p50=5.0, markout10_p25=-95.0)
    assert make(variance_penalty_lambda=0.4).share(view, money()).scale == pytest.approx(0.16)


# -- beside other markets --------------------------------------------------------------------------


def beside(yes: float = 0.0, no: float = 0.0, **changes: Any) -> Any:
    """What is wanted here after another market, of 15 minutes unless said otherwise, was shown
    with that many shares held, in shares; 20 without it. Both are even bets.
    """
    settings = {"hedge_credit": changes.pop("hedge_credit", 1.0)}
    terms = {"market": "0xother", "end_ns": testing.START_NS + 900 * SECOND, **changes}
    allocator = make(**settings)
    other = cheap(**terms)
    allocator.share(testing.view(0.50, other, testing.holding(yes, no)), money())
    up = (yes - no) * (-1 if terms.get("condition") == "below" else 1)
    siblings_up = up if terms.get("symbol", "BTC") == "BTC" else 0.0
    return allocator.share(testing.view(0.60, cheap()), money(siblings_up=siblings_up)).scale * 100


def test_a_longer_window_that_wins_alike_leaves_less_room() -> None:
    """240 s of 840 s are shared: rho 0.5345, and the covariance of 0.60 with 0.50 over 0.24 makes
    12 shares there 12 * 0.0892 / 0.24 = 4.4 here.
    """
    assert beside(yes=12) == pytest.approx(20 - 12 * 0.0876 / 0.24, abs=0.1)


def test_one_that_wins_in_the_opposite_case_makes_room_by_the_credit() -> None:
    whole = beside(no=12)
    assert whole - 20 == pytest.approx(20 - beside(yes=12))
    half = beside(no=12, hedge_credit=0.5)
    assert half - 20 == pytest.approx((whole - 20) / 2)
    assert beside(no=12, hedge_credit=0.0) == pytest.approx(20)


def test_below_wins_when_the_price_falls() -> None:
    assert beside(yes=12, condition="below") == pytest.approx(beside(no=12))


def test_a_window_that_begins_later_is_another_bet() -> None:
    later = {"start_ns": testing.END_NS, "end_ns": testing.END_NS + 300 * SECOND}
    assert beside(yes=12, **later) == pytest.approx(20)


def test_another_asset_counts_by_its_correlation() -> None:
    same_time = {"end_ns": testing.END_NS}
    alike = 20 - beside(yes=5, **same_time)
    across = 20 - beside(yes=5, symbol="ETH", **same_time)
    assert 0.4 * alike < across < 0.8 * alike


def test_a_position_that_was_not_shown_counts_as_the_same_bet() -> None:
    """The portfolio knows of 4 shares of the asset elsewhere: sqrt(0.25 / 0.24) each."""
    share = make().share(testing.view(0.60, cheap()), money(siblings_up=4.0))
    assert share.scale * 100 == pytest.approx(20 - 4 * (0.25 / 0.24) ** 0.5)


# -- memory ----------------------------------------------------------------------------------------


def test_markets_remembered_are_bounded_and_ended_ones_go_first() -> None:
    holdings = Holdings()
    row = Held("BTC", 1, 0, 10, 0.5, 1.0)
    holdings.note("ended", row, 0)
    for at in range(MARKETS_MAX):
        holdings.note(f"m{at}", Held("BTC", 1, 0, 0, 0.5, 1.0), 11 + SETTLED_NS)
    assert len(holdings.rows) == MARKETS_MAX
    assert "ended" not in holdings.rows
    holdings.note("new", row, 11 + SETTLED_NS)
    assert len(holdings.rows) == MARKETS_MAX
    assert "m0" not in holdings.rows


def test_peak_and_holdings_are_handed_over() -> None:
    first, second = make(drawdown_max=0.2), make(drawdown_max=0.2)
    other = cheap(market="0xother", end_ns=testing.START_NS + 900 * SECOND)
    first.share(testing.view(0.50, other, testing.holding(yes=12)), money(110))
    second.restore(orjson.loads(orjson.dumps(first.dump())))
    view = testing.view(0.60, cheap())
    expected = first.share(view, money(100, 12.0)).scale
    assert second.share(view, money(100, 12.0)).scale == expected
    assert second.dump() == first.dump()
    assert make(drawdown_max=0.2).share(view, money(100, 12.0)).scale != expected


def test_a_state_of_another_version_is_refused() -> None:
    with pytest.raises(ValueError, match="expected state 1, found None"):
        make().restore({})


def test_replay_of_the_sample_trades_and_repeats_itself(sample: list[Event]) -> None:
    results = [testing.run_strategy(sample, allocator=MultiKelly()) for _ in range(2)]
    assert results[0].digest == results[1].digest
    assert len(results[0].orders) > 0
    assert len(results[0].fills) > 0
    assert results[0].broken == ""
