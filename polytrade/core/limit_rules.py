"""The checks of the limits, one function a limit: None passes, a text blocks, a number caps.

They look and never change anything; their order, names and meanings are the table in `limits.py`.
"""

from typing import Final

from polytrade.core.accounts import raises_net
from polytrade.core.ids import BUY, NO, YES
from polytrade.core.reservations import worst_cost_e6
from polytrade.core.risk import HALT, REDUCE, RUN, Context, MarketFacts, Request
from polytrade.core.units import (
    MS_NS,
    ONE_E4,
    ONE_E6,
    decimal_text,
    notional_e6_up,
    price_text,
    share_e6_down,
    size_text,
    step_down,
)

TRADING_PHASES: Final = ("open", "closing")

MARKETABLE_MIN_E6: Final = ONE_E6
"""An order that does not rest must be worth 1 USDC (protocols 2.5)."""

Verdict = str | int | None
"""None passes; a text blocks and says why; a number caps the size at so many shares (e6)."""


def too_small(request: Request, facts: MarketFacts, size_e6: int) -> bool:
    """Whether the venue would refuse the order for its size."""
    if size_e6 <= 0:
        return True
    if request.rests():
        return size_e6 < facts.min_size_e6
    return notional_e6_up(request.price_e4, size_e6) < MARKETABLE_MIN_E6


def _money(cash_e6: int) -> str:
    return ("-" if cash_e6 < 0 else "") + decimal_text(abs(cash_e6), 6) + " USDC"


def _seconds(ns: int) -> str:
    return decimal_text(share_e6_down(ns, 1, MS_NS), 3) + " s"


def halted(request: Request, context: Context, size_e6: int) -> Verdict:
    """Limit `halted`."""
    if context.risk.mode == HALT and not request.flattens():
        return "mode halt"
    if context.risk.mode == REDUCE or request.flattens():
        return context.account.reducible_e6(request.token, request.side)
    return None


def paused(request: Request, context: Context, size_e6: int) -> Verdict:
    """Limit `paused`."""
    return "paused by the operator" if context.risk.paused else None


def cooldown(request: Request, context: Context, size_e6: int) -> Verdict:
    """Limit `cooldown`."""
    risk = context.risk
    left_ns = risk.cooldown_until_ns - context.ts_ns
    if left_ns <= 0 or risk.loss_streak >= risk.settings.max_loss_streak:
        return None
    return f"{_seconds(left_ns)} left"


def drawdown_stop(request: Request, context: Context, size_e6: int) -> Verdict:
    """Limit `drawdown_stop`."""
    risk = context.risk
    most_e6 = share_e6_down(context.ledger.initial_e6, risk.settings.drawdown_cap_e6, ONE_E6)
    drawdown_e6 = risk.drawdown_e6()
    if drawdown_e6 <= 0 or drawdown_e6 < most_e6:
        return None
    return f"{_money(drawdown_e6)} below the peak, limit {_money(most_e6)}"


def loss_streak(request: Request, context: Context, size_e6: int) -> Verdict:
    """Limit `loss_streak`."""
    risk = context.risk
    streak = risk.loss_streak
    if streak < risk.settings.max_loss_streak or context.ts_ns >= risk.cooldown_until_ns:
        return None
    return f"{streak} losing closes in a row"


def daily_loss(request: Request, context: Context, size_e6: int) -> Verdict:
    """Limit `daily_loss`."""
    loss_e6 = -context.risk.daily_pnl_e6()
    most_e6 = context.risk.settings.max_daily_loss_e6
    if loss_e6 <= 0 or loss_e6 < most_e6:
        return None
    return f"{_money(loss_e6)} lost since midnight UTC, limit {_money(most_e6)}"


def stale_reference(request: Request, context: Context, size_e6: int) -> Verdict:
    """Limit `stale_reference`."""
    age_ns = context.facts.reference_age_ns
    if age_ns < 0:
        return f"no reference price of {context.facts.symbol}"
    if age_ns > context.risk.settings.stale_reference_ns:
        return f"reference price is {_seconds(age_ns)} old"
    return None


def stale_book(request: Request, context: Context, size_e6: int) -> Verdict:
    """Limit `stale_book`."""
    facts = context.facts
    return facts.book_reason if _stale(facts) else None


def book_invalid(request: Request, context: Context, size_e6: int) -> Verdict:
    """Limit `book_invalid`."""
    facts = context.facts
    return facts.book_reason if not facts.book_valid and not _stale(facts) else None


def calm(request: Request, context: Context) -> bool:
    """Whether no limit on market and account stops the request, which is no flatten order.

    One look for what holds nearly always: True only when each of them passes (a test proves it for
    any state), False when they must be asked one by one.
    """
    risk, facts, ts_ns = context.risk, context.facts, context.ts_ns
    settings = risk.settings
    return (
        risk.mode == RUN
        and not risk.paused
        and ts_ns >= risk.cooldown_until_ns
        and 0 <= facts.reference_age_ns <= settings.stale_reference_ns
        and facts.book_valid
        and abs(risk.clock_skew_ms) <= settings.max_clock_skew_ms
        and (not facts.end_ns or facts.end_ns - ts_ns > settings.no_quote_before_end_ns)
        and facts.phase in TRADING_PHASES
        and facts.accepting
        and (risk.equity_e6 >= risk.peak_e6 or drawdown_stop(request, context, 0) is None)
        and (risk.equity_e6 >= risk.day_base_e6 or daily_loss(request, context, 0) is None)
    )


def plain(request: Request, context: Context, size_e6: int) -> bool:
    """Whether no limit on the order itself stops or cuts it, which is a quote.

    One look like `calm`: True only when each of them passes (a test proves it for any state), False
    when they must be asked one by one. Without a fee no share costs more than 1.
    """
    if not request.post_only or not request.rests():
        return False
    account, facts, ledger, risk = context.account, context.facts, context.ledger, context.risk
    settings, tick_e4, price_e4 = risk.settings, facts.tick_e4, request.price_e4
    collar_e4 = settings.price_collar_e4
    at_e4 = price_e4 if request.token == YES else ONE_E4 - price_e4
    free_e6 = ledger.available_e6() if request.side == BUY else account.sellable_e6(request.token)
    return (
        0 < size_e6 <= free_e6
        and size_e6 >= facts.min_size_e6
        and tick_e4 <= price_e4 <= ONE_E4 - tick_e4
        and step_down(price_e4, tick_e4) == price_e4
        and abs(at_e4 + at_e4 - facts.bid_e4 - facts.ask_e4) <= collar_e4 + collar_e4
        and (facts.fair_e4 < 0 or abs(at_e4 - facts.fair_e4) <= collar_e4)
        and notional_e6_up(price_e4, size_e6) <= settings.max_order_notional_e6
        and self_cross(request, context, size_e6) is None
        and context.orders.open_count() < settings.max_open_orders
        and account.exposure_e6 + size_e6 <= settings.max_market_notional_e6
        and ledger.symbol_exposure_e6(account.symbol) + size_e6 <= settings.max_asset_notional_e6
        and ledger.exposure_total_e6 + size_e6 <= settings.max_total_notional_e6
        and risk.global_ready(context.ts_ns)
        and risk.market_ready(request.market, context.ts_ns)
    )


def _stale(facts: MarketFacts) -> bool:
    return not facts.book_valid and facts.book_reason.startswith("stale")


def clock_skew(request: Request, context: Context, size_e6: int) -> Verdict:
    """Limit `clock_skew`."""
    skew_ms = context.risk.clock_skew_ms
    if abs(skew_ms) <= context.risk.settings.max_clock_skew_ms:
        return None
    return f"clock is {skew_ms} ms off the venue's"


def near_resolution(request: Request, context: Context, size_e6: int) -> Verdict:
    """Limit `near_resolution`."""
    left_ns = context.facts.end_ns - context.ts_ns
    if left_ns <= 0 or left_ns > context.risk.settings.no_quote_before_end_ns:
        return None
    return f"{_seconds(left_ns)} to the end"


def market_closed(request: Request, context: Context, size_e6: int) -> Verdict:
    """Limit `market_closed`."""
    facts = context.facts
    if facts.phase not in TRADING_PHASES:
        return f"market is {facts.phase}"
    if 0 < facts.end_ns <= context.ts_ns:
        return "market is past its end"
    return None


def not_accepting(request: Request, context: Context, size_e6: int) -> Verdict:
    """Limit `not_accepting_orders`."""
    return None if context.facts.accepting else "venue takes no orders in this market"


def _yes_price_e4(token: int, price_e4: int) -> int:
    return price_e4 if token == YES else ONE_E4 - price_e4


def price_collar(request: Request, context: Context, size_e6: int) -> Verdict:
    """Limit `price_collar`."""
    facts = context.facts
    collar_e4 = context.risk.settings.price_collar_e4
    at_e4 = _yes_price_e4(request.token, request.price_e4)
    twice_mid_e4 = facts.bid_e4 + facts.ask_e4
    if abs(at_e4 + at_e4 - twice_mid_e4) > collar_e4 + collar_e4:
        mid_e4 = share_e6_down(twice_mid_e4, 1, 2)
        return f"YES at {price_text(at_e4)} is too far from the mid {price_text(mid_e4)}"
    if facts.fair_e4 >= 0 and not request.flattens() and abs(at_e4 - facts.fair_e4) > collar_e4:
        return f"YES at {price_text(at_e4)} is too far from fair {price_text(facts.fair_e4)}"
    return None


def tick_size(request: Request, context: Context, size_e6: int) -> Verdict:
    """Limit `tick_size`."""
    tick_e4 = context.facts.tick_e4
    price_e4 = request.price_e4
    if tick_e4 <= price_e4 <= ONE_E4 - tick_e4 and step_down(price_e4, tick_e4) == price_e4:
        return None
    return f"price {price_text(price_e4)} is not on the grid of {price_text(tick_e4)}"


def min_size(request: Request, context: Context, size_e6: int) -> Verdict:
    """Limit `min_size`."""
    if not too_small(request, context.facts, size_e6):
        return None
    least = _money(MARKETABLE_MIN_E6)
    if request.rests():
        least = f"{size_text(context.facts.min_size_e6)} shares"
    return f"{size_text(max(0, size_e6))} shares at {price_text(request.price_e4)}, least {least}"


def max_order_notional(request: Request, context: Context, size_e6: int) -> Verdict:
    """Limit `max_order_notional`."""
    most_e6 = context.risk.settings.max_order_notional_e6
    if notional_e6_up(request.price_e4, size_e6) <= most_e6:
        return None
    if request.flattens():
        return _most_e6(BUY, request.price_e4, size_e6, 0, 1, most_e6)
    return f"{_money(notional_e6_up(request.price_e4, size_e6))}, limit {_money(most_e6)}"


def self_cross(request: Request, context: Context, size_e6: int) -> Verdict:
    """Limit `self_cross`."""
    up = raises_net(request.token, request.side)
    at_e4 = _yes_price_e4(request.token, request.price_e4)
    for order in context.orders.of_market(request.market):
        if raises_net(order.token, order.side) == up:
            continue
        resting_e4 = _yes_price_e4(order.token, order.price_e4)
        crosses = resting_e4 <= at_e4 if up else resting_e4 >= at_e4
        if crosses:
            return f"would meet our own order {order.order_id}"
    return None


def open_orders_limit(request: Request, context: Context, size_e6: int) -> Verdict:
    """Limit `open_orders_limit`."""
    most = context.risk.settings.max_open_orders
    if not request.rests() or context.orders.open_count() < most:
        return None
    return f"{context.orders.open_count()} open, limit {most}"


def market_notional(request: Request, context: Context, size_e6: int) -> Verdict:
    """Limit `market_notional_limit`."""
    return _within(request, context, size_e6, context.risk.settings.max_market_notional_e6)


def asset_notional(request: Request, context: Context, size_e6: int) -> Verdict:
    """Limit `asset_notional_limit`."""
    used_e6 = context.ledger.symbol_exposure_e6(context.account.symbol)
    left_e6 = max(0, context.risk.settings.max_asset_notional_e6 - used_e6)
    return _within(request, context, size_e6, context.account.exposure_e6 + left_e6)


def total_notional(request: Request, context: Context, size_e6: int) -> Verdict:
    """Limit `total_notional_limit`."""
    used_e6 = context.ledger.exposure_total_e6
    left_e6 = max(0, context.risk.settings.max_total_notional_e6 - used_e6)
    return _within(request, context, size_e6, context.account.exposure_e6 + left_e6)


def _within(request: Request, context: Context, size_e6: int, most_e6: int) -> Verdict:
    """The most shares with which the market's money at risk stays within `most_e6`; what only
    reduces the position always fits.
    """
    account = context.account
    if request.post_only and account.exposure_e6 + size_e6 <= most_e6:
        return None  # without a fee no share costs more than 1
    reducible_e6 = account.reducible_e6(request.token, request.side)
    if size_e6 <= reducible_e6:
        return None
    winner = NO if raises_net(request.token, request.side) else YES
    room_e6 = most_e6 - account.loss_if_e6(winner)
    rate_e6 = 0 if request.post_only else account.fee_rate_e6
    exponent = account.fee_exponent
    fits_e6 = _most_e6(request.side, request.price_e4, size_e6, rate_e6, exponent, room_e6)
    return max(fits_e6, reducible_e6)


def balance(request: Request, context: Context, size_e6: int) -> Verdict:
    """Limit `balance`."""
    account = context.account
    if request.side != BUY:
        return account.sellable_e6(request.token)
    cash_e6 = context.ledger.available_e6()
    if request.post_only and size_e6 <= cash_e6:
        return None
    rate_e6 = 0 if request.post_only else account.fee_rate_e6
    return _most_e6(BUY, request.price_e4, size_e6, rate_e6, account.fee_exponent, cash_e6)


def cash_e6(request: Request, context: Context, size_e6: int) -> int:
    """The most cash the order can take: a BUY its worst cost, a SELL none."""
    if request.side != BUY:
        return 0
    account = context.account
    rate_e6 = 0 if request.post_only else account.fee_rate_e6
    return worst_cost_e6(BUY, request.price_e4, size_e6, rate_e6, account.fee_exponent)


def _most_e6(
    side: int, price_e4: int, size_e6: int, rate_e6: int, exponent: int, room_e6: int
) -> int:
    """The most shares, up to `size_e6`, whose worst cost fits into `room_e6`."""
    if worst_cost_e6(side, price_e4, size_e6, rate_e6, exponent) <= room_e6:
        return size_e6
    fits_e6 = 0
    beyond_e6 = size_e6
    while beyond_e6 - fits_e6 > 1:
        middle_e6 = fits_e6 + share_e6_down(beyond_e6 - fits_e6, 1, 2)
        if worst_cost_e6(side, price_e4, middle_e6, rate_e6, exponent) <= room_e6:
            fits_e6 = middle_e6
        else:
            beyond_e6 = middle_e6
    return fits_e6


def rate_global(request: Request, context: Context, size_e6: int) -> Verdict:
    """Limit `rate_budget_global`."""
    if context.risk.global_ready(context.ts_ns):
        return None
    return "the order budget of all markets is spent"


def rate_market(request: Request, context: Context, size_e6: int) -> Verdict:
    """Limit `rate_budget_market`."""
    if context.risk.market_ready(request.market, context.ts_ns):
        return None
    return "the market's order budget is spent"
