"""Each limit by its own name, in its order; caps, budgets, modes, losses."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polytrade.core.events import PairsSplit
from polytrade.core.ids import BUY, NO, SELL, YES
from polytrade.core.limit_rules import calm
from polytrade.core.limits import (
    HALT,
    LIMITS,
    REDUCE,
    Approved,
    Blocked,
    Request,
)
from polytrade.core.reservations import worst_cost_e6
from polytrade.core.risk import DAY_NS, TOKEN_E15, Bucket
from polytrade.core.units import SECOND_NS
from tests.core.factory import END_NS, MARKET, SHARE, listed
from tests.core.room import NOW, OTHER, USDC, Room, risk_settings


def lose_in_a_row(room: Room, closes: int) -> None:
    for _ in range(closes):
        room.risk.on_close(-1, NOW)


def spend(room: Room, market: str, times: int) -> None:
    for _ in range(times):
        room.risk.take(market, NOW)


def equity(room: Room, *values: int) -> None:
    for value in values:
        room.risk.on_equity(value * USDC, NOW)


def _halted(room: Room) -> None:
    room.risk.mode = HALT


def _paused(room: Room) -> None:
    room.risk.paused = True


def _cooldown(room: Room) -> None:
    room.risk.cooldown_until_ns = NOW + 1


def _drawdown(room: Room) -> None:
    room.settings.drawdown_cap_e6 = 15_000
    equity(room, 1_000, 1_020, 1_005)


def _streak(room: Room) -> None:
    lose_in_a_row(room, 5)


def _daily(room: Room) -> None:
    room.settings.drawdown_cap_e6 = 1_000_000
    equity(room, 1_000, 950)


def _old_reference(room: Room) -> None:
    room.facts.reference_age_ns = 2 * SECOND_NS + 1


def _stale_book(room: Room) -> None:
    room.facts.book_valid = False
    room.facts.book_reason = "stale: silent"


def _bad_book(room: Room) -> None:
    room.facts.book_valid = False
    room.facts.book_reason = "suspect: no hash fitted"


def _skew(room: Room) -> None:
    room.risk.clock_skew_ms = -2_001


def _near_end(room: Room) -> None:
    room.facts.end_ns = NOW + 20 * SECOND_NS


def _closed(room: Room) -> None:
    room.facts.phase = "pending_resolution"


def _not_accepting(room: Room) -> None:
    room.facts.accepting = False


def _far(room: Room) -> None:
    room.facts.fair_e4 = 6_300


def _off_grid(room: Room) -> None:
    room.request.price_e4 = 4_750


def _small(room: Room) -> None:
    room.request.size_e6 = 5 * SHARE - 1


def _big(room: Room) -> None:
    room.settings.max_order_notional_e6 = 4_699_999


def _cross(room: Room) -> None:
    room.rest(NO, BUY, 53, 5)


def _crowd(room: Room) -> None:
    room.settings.max_open_orders = 1
    room.rest(YES, BUY, 40, 5, OTHER)


def _market_full(room: Room) -> None:
    room.settings.max_market_notional_e6 = 2 * USDC


def _asset_full(room: Room) -> None:
    room.settings.max_asset_notional_e6 = 2 * USDC


def _total_full(room: Room) -> None:
    room.settings.max_total_notional_e6 = 2 * USDC


def _poor(room: Room) -> None:
    room.ledger.cash_e6 = USDC


def _spent(room: Room) -> None:
    spend(room, OTHER, 40)


def _market_spent(room: Room) -> None:
    spend(room, MARKET, 5)


BREAKS: dict[str, Callable[[Room], None]] = {
    "halted": _halted,
    "paused": _paused,
    "cooldown": _cooldown,
    "drawdown_stop": _drawdown,
    "loss_streak": _streak,
    "daily_loss": _daily,
    "stale_reference": _old_reference,
    "stale_book": _stale_book,
    "book_invalid": _bad_book,
    "clock_skew": _skew,
    "near_resolution": _near_end,
    "market_closed": _closed,
    "not_accepting_orders": _not_accepting,
    "price_collar": _far,
    "tick_size": _off_grid,
    "min_size": _small,
    "max_order_notional": _big,
    "self_cross": _cross,
    "open_orders_limit": _crowd,
    "market_notional_limit": _market_full,
    "asset_notional_limit": _asset_full,
    "total_notional_limit": _total_full,
    "balance": _poor,
    "rate_budget_global": _spent,
    "rate_budget_market": _market_spent,
}
"""How to make exactly one limit fail, in the order of the specification."""

NAMES = list(BREAKS)


def test_the_table_is_the_specifications_in_its_order() -> None:
    assert [limit.name for limit in LIMITS] == NAMES
    assert all(limit.doc for limit in LIMITS)


def test_a_plain_order_passes_whole() -> None:
    assert Room().capped() == (10 * SHARE, "")


@pytest.mark.parametrize("name", NAMES)
def test_each_limit_blocks_by_its_own_name(name: str) -> None:
    room = Room()
    BREAKS[name](room)
    assert room.blocked() == name


@pytest.mark.parametrize(
    ("first", "second"),
    [(a, b) for at, a in enumerate(NAMES) for b in NAMES[at + 1 :]],
)
def test_of_two_limits_the_earlier_names_the_block(first: str, second: str) -> None:
    if {first, second} == {"stale_book", "book_invalid"}:
        return  # one book has one reason
    room = Room()
    BREAKS[second](room)
    BREAKS[first](room)
    if (first, second) == ("cooldown", "loss_streak"):
        room.risk.loss_streak = 0  # a streak names itself until its first block
    assert room.blocked() == first


SPARED = {
    "paused",
    "cooldown",
    "drawdown_stop",
    "loss_streak",
    "daily_loss",
    "stale_reference",
    "near_resolution",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_flatten_order_is_spared_what_keeps_us_from_opening_more(name: str) -> None:
    room = Room()
    room.own(NO, 20, 40)
    room.request = Request(MARKET, NO, SELL, 5_300, 10 * SHARE, "FAK", False, "flatten")
    assert {limit.name for limit in LIMITS if limit.spares_flatten} == SPARED
    if name in SPARED or name == "halted":
        BREAKS[name](room)
        assert room.size() == 10 * SHARE
    elif name in ("stale_book", "book_invalid", "clock_skew", "market_closed", "tick_size"):
        BREAKS[name](room)
        room.request.price_e4 = 5_350 if name == "tick_size" else 5_300
        assert room.blocked() == name


def test_a_flatten_order_never_does_more_than_close_the_position() -> None:
    room = Room()
    room.own(NO, 7, 40)
    room.request = Request(MARKET, NO, SELL, 5_300, 10 * SHARE, "FAK", False, "flatten")
    assert room.capped() == (7 * SHARE, "halted")
    room.request = Request(MARKET, NO, BUY, 5_300, 10 * SHARE, "FAK", False, "flatten")
    assert room.blocked() == "halted"


def test_a_flatten_order_is_cut_to_the_largest_order() -> None:
    room = Room()
    room.own(NO, 60, 40)
    room.settings.max_order_notional_e6 = 25 * USDC
    room.request = Request(MARKET, NO, SELL, 5_300, 60 * SHARE, "FAK", False, "flatten")
    assert room.capped() == (47_160_000, "max_order_notional")


def test_a_flatten_order_may_be_far_from_fair_but_not_from_the_mid() -> None:
    room = Room()
    room.own(NO, 10, 40)
    room.facts.fair_e4 = 9_000
    room.request = Request(MARKET, NO, SELL, 5_300, 10 * SHARE, "FAK", False, "flatten")
    assert room.size() == 10 * SHARE
    room.request.price_e4 = 3_600
    assert room.blocked() == "price_collar"


def test_in_mode_reduce_only_what_reduces_passes() -> None:
    room = Room()
    room.risk.mode = REDUCE
    assert room.blocked() == "halted"
    room.own(NO, 8, 40)
    assert room.capped() == (8 * SHARE, "halted")  # buying YES pairs the NO
    room.request = Request(MARKET, NO, BUY, 5_100, 10 * SHARE, "GTC", True, "maker")
    assert room.blocked() == "halted"
    room.request = Request(MARKET, NO, SELL, 5_300, 6 * SHARE, "GTC", True, "maker")
    assert room.capped() == (6 * SHARE, "")


def test_only_check_approves() -> None:
    with pytest.raises(AssertionError, match=r"approved by limits\.check alone"):
        Approved(Room().request, 1, "", object())


def test_the_first_order_a_streak_stops_names_it_and_the_rest_the_cooldown() -> None:
    room = Room()
    lose_in_a_row(room, 4)
    room.size()
    lose_in_a_row(room, 1)
    assert room.risk.cooldown_until_ns == NOW + 60 * SECOND_NS
    assert [room.blocked(), room.blocked(), room.blocked()] == [
        "loss_streak",
        "cooldown",
        "cooldown",
    ]
    room.ts_ns = NOW + 60 * SECOND_NS - 1
    assert (room.blocked(), room.why()) == ("cooldown", "0 s left")
    room.ts_ns = NOW + 60 * SECOND_NS
    assert room.size() == 10 * SHARE


def test_a_win_ends_a_streak_and_a_zero_does_not() -> None:
    room = Room()
    lose_in_a_row(room, 4)
    room.risk.on_close(0, NOW)
    assert room.risk.loss_streak == 4
    room.risk.on_close(1, NOW)
    lose_in_a_row(room, 4)
    assert room.risk.loss_streak == 4
    assert room.size() == 10 * SHARE


def test_a_streak_nobody_met_is_over_with_its_cooldown() -> None:
    room = Room()
    lose_in_a_row(room, 5)
    room.ts_ns = NOW + 60 * SECOND_NS
    assert room.size() == 10 * SHARE
    room.risk.on_close(-1, room.ts_ns)
    assert room.risk.loss_streak == 1
    assert room.size() == 10 * SHARE


def test_a_loss_within_the_cooldown_begins_it_again() -> None:
    room = Room()
    lose_in_a_row(room, 5)
    room.risk.on_close(-1, NOW + 10)
    assert room.risk.cooldown_until_ns == NOW + 10 + 60 * SECOND_NS


def test_drawdown_is_measured_from_the_peak_as_a_share_of_the_initial_cash() -> None:
    room = Room()
    room.risk.on_equity(1_100 * USDC, NOW)
    room.risk.on_equity(1_085 * USDC + 1, NOW)
    assert room.size() == 10 * SHARE
    room.risk.on_equity(1_085 * USDC, NOW)
    assert room.blocked() == "drawdown_stop"
    assert room.why() == "15 USDC below the peak, limit 15 USDC"
    assert (room.risk.drawdown_e6(), room.risk.max_drawdown_e6) == (15 * USDC, 15 * USDC)
    room.risk.on_equity(1_090 * USDC, NOW)
    assert room.size() == 10 * SHARE
    assert room.risk.max_drawdown_e6 == 15 * USDC


def test_the_day_begins_with_the_last_equity_before_midnight() -> None:
    room = Room()
    midnight = 19_000 * DAY_NS
    room.risk.on_equity(1_000 * USDC, midnight - 10)
    room.risk.on_equity(960 * USDC, midnight - 1)
    assert room.risk.daily_pnl_e6() == -40 * USDC
    room.risk.on_equity(955 * USDC, midnight)
    assert room.risk.daily_pnl_e6() == -5 * USDC
    room.settings.drawdown_cap_e6 = 1_000_000
    room.risk.on_equity(910 * USDC + 1, midnight + 1)
    assert room.size() == 10 * SHARE
    room.risk.on_equity(910 * USDC, midnight + 2)
    assert room.blocked() == "daily_loss"
    assert room.why() == "50 USDC lost since midnight UTC, limit 50 USDC"


def test_a_limit_of_nothing_still_lets_the_first_order_pass() -> None:
    room = Room()
    room.settings.max_daily_loss_e6 = 0
    room.settings.drawdown_cap_e6 = 0
    equity(room, 1_000)
    assert room.size() == 10 * SHARE
    room.risk.on_equity(1_000 * USDC - 1, NOW)
    assert room.blocked() == "drawdown_stop"


def test_the_operator_can_clear_the_stops() -> None:
    room = Room()
    equity(room, 1_000, 900)
    lose_in_a_row(room, 5)
    room.risk.clear_stops()
    assert (room.risk.drawdown_e6(), room.risk.daily_pnl_e6()) == (0, 0)
    assert room.size() == 10 * SHARE


def test_reference_and_clock_may_be_off_by_their_limit() -> None:
    room = Room()
    room.facts.reference_age_ns = 2 * SECOND_NS
    room.risk.clock_skew_ms = 2_000
    assert room.size() == 10 * SHARE
    room.facts.reference_age_ns = -1
    assert (room.blocked(), room.why()) == ("stale_reference", "no reference price of BTC")


def test_the_end_is_near_within_the_lead_and_past_at_the_end() -> None:
    room = Room()
    room.ts_ns = END_NS - 20 * SECOND_NS - 1
    assert room.size() == 10 * SHARE
    room.ts_ns += 1
    assert (room.blocked(), room.why()) == ("near_resolution", "20 s to the end")
    room.ts_ns = END_NS
    assert (room.blocked(), room.why()) == ("market_closed", "market is past its end")
    room.facts.end_ns = 0
    assert room.size() == 10 * SHARE


@pytest.mark.parametrize("phase", ["listed", "hydrating", "pending_resolution", "resolved"])
def test_only_open_and_closing_markets_trade(phase: str) -> None:
    room = Room()
    room.facts.phase = phase
    assert (room.blocked(), room.why()) == ("market_closed", f"market is {phase}")
    room.facts.phase = "closing"
    assert room.size() == 10 * SHARE


@pytest.mark.parametrize(
    ("token", "price_e4", "passes"),
    [
        (YES, 6_300, True),
        (YES, 6_400, False),
        (YES, 3_300, True),
        (YES, 3_200, False),
        (NO, 3_700, True),
        (NO, 3_600, False),
        (NO, 6_700, True),
        (NO, 6_800, False),
    ],
)
def test_the_collar_is_around_the_mid_in_yes_prices(
    token: int, price_e4: int, passes: bool
) -> None:
    room = Room()
    room.facts.fair_e4 = -1
    room.request = Request(MARKET, token, BUY, price_e4, 6 * SHARE, "GTC", True, "maker")
    if passes:
        assert room.size() == 6 * SHARE
    else:
        assert room.blocked() == "price_collar"


def test_the_collar_is_around_fair_too() -> None:
    room = Room()
    room.facts.fair_e4 = 3_200
    assert room.size() == 10 * SHARE
    room.facts.fair_e4 = 3_199
    assert room.why() == "YES at 0.47 is too far from fair 0.3199"


@pytest.mark.parametrize(
    ("tick_e4", "price_e4", "passes"),
    [
        (100, 4_700, True),
        (100, 4_710, False),
        (10, 4_710, True),
        (25, 4_725, True),
        (25, 4_710, False),
        (50, 4_750, True),
        (1000, 5_000, True),
        (1, 4_701, True),
    ],
)
def test_the_price_is_on_the_grid(tick_e4: int, price_e4: int, passes: bool) -> None:
    room = Room()
    room.facts.tick_e4 = tick_e4
    room.request.price_e4 = price_e4
    if passes:
        assert room.size() == 10 * SHARE
    else:
        assert room.blocked() == "tick_size"


@pytest.mark.parametrize("price_e4", [0, 10_000, -100, 10_100])
def test_the_price_is_a_tick_away_from_nothing_and_everything(price_e4: int) -> None:
    room = Room()
    room.settings.price_collar_e4 = 20_000
    room.request.price_e4 = price_e4
    assert room.blocked() == "tick_size"


def test_sizes_are_whole_hundredths_of_a_share() -> None:
    room = Room()
    room.request.size_e6 = 7_019_999
    assert room.size() == 7_010_000


@pytest.mark.parametrize("size_e6", [0, -SHARE, 9_999])
def test_nothing_is_below_every_minimum(size_e6: int) -> None:
    room = Room()
    room.facts.min_size_e6 = 0
    room.request.size_e6 = size_e6
    assert room.blocked() == "min_size"


def test_what_does_not_rest_must_be_worth_a_dollar_instead() -> None:
    room = Room()
    room.request = Request(MARKET, YES, BUY, 5_000, 2 * SHARE, "FAK", False, "taker")
    assert room.size() == 2 * SHARE
    room.request.size_e6 = 1_990_000
    assert (room.blocked(), room.why()) == ("min_size", "1.99 shares at 0.5, least 1 USDC")


def test_an_order_may_be_worth_the_limit() -> None:
    room = Room()
    room.settings.max_order_notional_e6 = 4_700_000
    assert room.size() == 10 * SHARE
    room.settings.max_order_notional_e6 -= 1
    assert room.why() == "4.7 USDC, limit 4.699999 USDC"


@pytest.mark.parametrize(
    ("token", "side", "cents", "crosses"),
    [
        (YES, SELL, 47, True),
        (YES, SELL, 48, False),
        (NO, BUY, 53, True),
        (NO, BUY, 52, False),
        (YES, BUY, 60, False),
        (NO, SELL, 30, False),
    ],
)
def test_a_buy_of_yes_never_meets_our_own_order(
    token: int, side: int, cents: int, crosses: bool
) -> None:
    room = Room()
    room.own(YES, 10, 40)
    room.own(NO, 10, 40)
    room.rest(token, side, cents, 5)
    assert (room.blocked() == "self_cross") if crosses else room.size() == 10 * SHARE


@pytest.mark.parametrize(("cents", "crosses"), [(47, True), (46, False)])
def test_a_buy_of_no_never_meets_our_own_order(cents: int, crosses: bool) -> None:
    room = Room()
    room.rest(YES, BUY, cents, 5)
    room.request = Request(MARKET, NO, BUY, 5_300, 10 * SHARE, "GTC", True, "maker")
    assert (room.blocked() == "self_cross") if crosses else room.size() == 10 * SHARE


def test_open_orders_are_counted_over_all_markets_for_orders_that_rest() -> None:
    room = Room()
    room.settings.max_open_orders = 2
    room.rest(YES, BUY, 40, 5)
    assert room.size() == 10 * SHARE
    room.rest(YES, BUY, 40, 5, OTHER)
    assert (room.blocked(), room.why()) == ("open_orders_limit", "2 open, limit 2")
    room.request.tif = "FAK"
    assert room.size() == 10 * SHARE


def test_a_market_is_filled_up_to_its_limit() -> None:
    room = Room()
    room.own(YES, 100, 45)
    assert room.capped() == (10 * SHARE, "")
    room.request.size_e6 = 20 * SHARE
    assert room.capped() == (10_630_000, "market_notional_limit")  # 5 USDC at 0.47


def test_an_open_order_counts_like_a_position() -> None:
    room = Room()
    room.rest(YES, BUY, 45, 100)
    room.request.size_e6 = 20 * SHARE
    assert room.capped() == (10_630_000, "market_notional_limit")


def test_the_other_side_of_a_full_market_is_free() -> None:
    room = Room()
    room.own(NO, 100, 50)
    assert room.ledger.exposure_e6(MARKET) == 50 * USDC
    room.request.size_e6 = 100 * SHARE
    assert room.capped() == (100 * SHARE, "")
    room.settings.max_order_notional_e6 = 10**12
    room.ledger.deposit(10**12)
    room.request.size_e6 = 1_000 * SHARE
    # NO would win 50: YES may lose that and the 50 of the limit.
    assert room.capped() == (212_760_000, "market_notional_limit")


def test_a_full_coin_leaves_the_rest_of_another_markets_room() -> None:
    room = Room()
    room.ledger.listed(listed(market="0xtwin"))
    room.settings.max_market_notional_e6 = 100 * USDC
    room.own(YES, 200, 49, "0xtwin")
    room.request.size_e6 = 20 * SHARE
    assert room.blocked() == "asset_notional_limit"
    room.settings.max_asset_notional_e6 = 103 * USDC
    assert room.capped() == (10_630_000, "asset_notional_limit")  # 5 USDC are left


def test_all_coins_share_the_total() -> None:
    room = Room()
    room.own(YES, 80, 50, OTHER)
    room.settings.max_total_notional_e6 = 45 * USDC
    room.request.size_e6 = 20 * SHARE
    assert room.capped() == (10_630_000, "total_notional_limit")


def test_what_reduces_passes_when_every_notional_limit_is_beyond_full() -> None:
    room = Room()
    room.own(YES, 40, 90)
    room.settings.max_market_notional_e6 = 0
    room.settings.max_asset_notional_e6 = 0
    room.settings.max_total_notional_e6 = 0
    room.request = Request(MARKET, YES, SELL, 4_900, 40 * SHARE, "GTC", True, "maker")
    assert room.capped() == (40 * SHARE, "")
    room.request = Request(MARKET, NO, BUY, 5_100, 60 * SHARE, "GTC", True, "maker")
    assert room.capped() == (40 * SHARE, "market_notional_limit")


def test_a_taker_pays_its_fee_out_of_the_room() -> None:
    room = Room()
    room.settings.max_market_notional_e6 = 5 * USDC
    room.request = Request(MARKET, YES, BUY, 5_000, 20 * SHARE, "FAK", False, "taker")
    size_e6, limit = room.capped()
    assert (size_e6, limit) == (9_660_000, "market_notional_limit")
    assert worst_cost_e6(BUY, 5_000, size_e6, 70_000, 1) <= 5 * USDC
    assert worst_cost_e6(BUY, 5_000, size_e6 + 10_000, 70_000, 1) > 5 * USDC


def test_a_buy_spends_only_cash_that_is_not_reserved() -> None:
    room = Room()
    room.ledger.deposit(-990 * USDC)
    room.rest(YES, BUY, 50, 10, OTHER)
    room.request.size_e6 = 20 * SHARE
    assert room.capped() == (10_630_000, "balance")
    room.rest(YES, BUY, 50, 10, OTHER)
    assert room.blocked() == "balance"


def test_a_sale_takes_only_what_may_be_sold_now() -> None:
    room = Room()
    room.own(YES, 20, 40)
    room.rest(YES, SELL, 52, 8)
    room.request = Request(MARKET, YES, SELL, 4_900, 20 * SHARE, "GTC", True, "maker")
    assert room.capped() == (12 * SHARE, "balance")
    room.rest(YES, SELL, 52, 8)
    assert (room.blocked(), room.why()) == ("balance", "room for 4 shares only")


def test_a_pair_from_a_split_may_be_sold_on_both_sides() -> None:
    room = Room()
    room.ledger.apply(PairsSplit(1, MARKET, 20 * SHARE))
    room.request = Request(MARKET, YES, SELL, 4_900, 20 * SHARE, "GTC", True, "maker")
    assert room.capped() == (20 * SHARE, "")


def test_an_approval_takes_a_token_of_both_budgets_and_a_block_none() -> None:
    room = Room()
    for _ in range(5):
        assert room.size() == 10 * SHARE
    assert [room.blocked(), room.blocked()] == ["rate_budget_market", "rate_budget_market"]
    room.ts_ns += 400_000_000 - 1  # 2.5 orders a second
    assert room.blocked() == "rate_budget_market"
    room.ts_ns += 1
    assert room.size() == 10 * SHARE
    assert room.blocked() == "rate_budget_market"


def test_the_budget_of_all_markets_runs_out_after_twice_the_rate() -> None:
    room = Room()
    spend(room, OTHER, 39)
    assert room.size() == 10 * SHARE
    assert room.blocked() == "rate_budget_global"
    room.ts_ns += 50_000_000
    assert room.size() == 10 * SHARE


def test_cancels_may_overdraw_the_budget_up_to_what_it_holds() -> None:
    room = Room()
    spend(room, OTHER, 1_000)
    room.ts_ns = NOW + 2 * SECOND_NS + 50_000_000 - 1
    assert not room.risk.global_ready(room.ts_ns)
    assert room.risk.global_ready(room.ts_ns + 1)


@pytest.mark.parametrize(
    ("rate_e6", "market_e6"), [(20_000_000, 2_500_000), (4_000_000, 500_000), (500_000, 500_000)]
)
def test_a_market_gets_an_eighth_and_at_least_one_order_in_two_seconds(
    rate_e6: int, market_e6: int
) -> None:
    settings = risk_settings(rate_e6)
    assert settings.market_rate_e6 == market_e6


def test_a_forgotten_markets_budget_begins_full_again() -> None:
    room = Room()
    spend(room, MARKET, 5)
    assert not room.risk.market_ready(MARKET, NOW)
    room.risk.forget(MARKET)
    room.risk.forget(MARKET)
    assert room.risk.market_ready(MARKET, NOW)


def test_a_lowered_rate_cuts_what_was_saved() -> None:
    bucket = Bucket(0, 10_000_000)
    bucket.refill(0, 1_000_000)
    assert bucket.level_e15 == 2 * TOKEN_E15


@given(st.lists(st.integers(0, 10 * SECOND_NS), max_size=20), st.integers(500_000, 1_000_000_000))
def test_a_bucket_refills_exactly_however_often_it_is_looked_at(
    waits: list[int], rate_e6: int
) -> None:
    often = Bucket(0, rate_e6)
    once = Bucket(0, rate_e6)
    often.level_e15 = once.level_e15 = 0
    now = 0
    for wait in waits:
        now += wait
        often.refill(now, rate_e6)
    once.refill(now, rate_e6)
    assert often.level_e15 == once.level_e15 == min(now * rate_e6, 2 * rate_e6 * SECOND_NS)


@given(
    price_e4=st.integers(1, 99).map(lambda cents: cents * 100),
    size_e6=st.integers(5 * SHARE, 10**9),
    room_e6=st.integers(0, 200 * USDC),
    post_only=st.booleans(),
    token=st.sampled_from([YES, NO]),
)
def test_a_cap_is_the_largest_size_that_fits(
    price_e4: int, size_e6: int, room_e6: int, post_only: bool, token: int
) -> None:
    room = Room()
    room.settings.max_order_notional_e6 = 10**15
    room.settings.price_collar_e4 = 20_000
    room.settings.max_market_notional_e6 = room_e6
    room.settings.max_asset_notional_e6 = room.settings.max_total_notional_e6 = 10**15
    room.ledger.deposit(10**15)
    room.request = Request(MARKET, token, BUY, price_e4, size_e6, "GTC", post_only, "maker")
    result = room.check()
    rate_e6 = 0 if post_only else 70_000
    if isinstance(result, Blocked):
        assert result.limit == "market_notional_limit"
        assert worst_cost_e6(BUY, price_e4, 5 * SHARE, rate_e6, 1) > room_e6
        return
    assert result.size_e6 % 10_000 == 0
    assert worst_cost_e6(BUY, price_e4, result.size_e6, rate_e6, 1) <= room_e6
    if result.capped_by:
        assert worst_cost_e6(BUY, price_e4, result.size_e6 + 10_000, rate_e6, 1) > room_e6
    else:
        assert result.size_e6 == size_e6 - size_e6 % 10_000


def test_flatten_orders_are_held_to_reducing_in_a_calm_market_too() -> None:
    room = Room()
    room.request = Request(MARKET, YES, SELL, 4_600, 10 * SHARE, "FAK", False, "flatten")
    assert calm(room.request, room.context())
    assert room.blocked() == "halted"
    room.own(YES, 7, 48)
    assert room.capped() == (7 * SHARE, "halted")
