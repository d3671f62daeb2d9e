"""The limits of an order, one table in a fixed order: the first that fails names the block.

A limit answers None (passes), a text (blocks: why) or a number (caps: the most shares it lets
through, which blocks when that is less than the market takes). Only `check` makes an `Approved`, so
that nothing else can be sent. The operator's flatten orders may only reduce; they are spared the
limits that keep us from opening more, and none of those that protect the order itself.
"""

from collections.abc import Callable
from typing import Final, final

from polytrade.core import limit_rules as rules
from polytrade.core.crew import Crew
from polytrade.core.limit_rules import Verdict, too_small
from polytrade.core.risk import (
    FLATTEN,
    HALT,
    REDUCE,
    RUN,
    Context,
    MarketFacts,
    Request,
    RiskSettings,
    RiskState,
)
from polytrade.core.units import size_text, step_down

__all__ = [
    "FLATTEN",
    "HALT",
    "LIMITS",
    "OF_ORDER",
    "REDUCE",
    "RUN",
    "STANDING",
    "Approved",
    "Blocked",
    "Context",
    "Limit",
    "MarketFacts",
    "Request",
    "RiskSettings",
    "RiskState",
    "check",
    "check_pair",
]

SIZE_STEP_E6: Final = 10_000
"""Shares are sent in hundredths (protocols 4.3)."""
_SEAL: Final = object()


@final
class Approved:
    """An order that passed every limit, `size_e6` whole hundredths of a share of it.

    `capped_by` names the limit that cut the size last, empty when none did. Only `check`
    can make one (AssertionError).
    """

    __slots__ = ("capped_by", "request", "size_e6")

    def __init__(self, request: Request, size_e6: int, capped_by: str, seal: object) -> None:
        if seal is not _SEAL:
            raise AssertionError("an order is approved by limits.check alone")
        self.request = request
        self.size_e6 = size_e6
        self.capped_by = capped_by


@final
class Blocked:
    """An order that did not pass: the first limit that stopped it, and why."""

    __slots__ = ("limit", "request", "why")

    def __init__(self, request: Request, limit: str, why: str) -> None:
        self.request = request
        self.limit = limit
        self.why = why


@final
class Limit:
    """One row: its name as reports and metrics say it, what it means, its check, and whether a
    flatten order is spared.
    """

    __slots__ = ("check", "doc", "name", "spares_flatten")

    def __init__(
        self,
        name: str,
        doc: str,
        check: Callable[[Request, Context, int], Verdict],
        spares_flatten: bool = False,
    ) -> None:
        self.name = name
        self.doc = doc
        self.check = check
        self.spares_flatten = spares_flatten


LIMITS: Final = (
    Limit(
        "halted",
        "the kill switch is on; in mode `reduce` only what reduces the position passes, "
        "and a flatten order never does more",
        rules.halted,
    ),
    Limit("paused", "the operator paused quoting", rules.paused, True),
    Limit("cooldown", "a cooldown runs", rules.cooldown, True),
    Limit(
        "drawdown_stop",
        "equity fell too far below its peak, as a share of the initial cash",
        rules.drawdown_stop,
        True,
    ),
    Limit(
        "loss_streak",
        "too many losing closes in a row: a cooldown began",
        rules.loss_streak,
        True,
    ),
    Limit("daily_loss", "equity fell too far since midnight UTC", rules.daily_loss, True),
    Limit(
        "stale_reference",
        "the reference price is missing or too old",
        rules.stale_reference,
        True,
    ),
    Limit("stale_book", "the book's feed fell silent", rules.stale_book),
    Limit("book_invalid", "the book is not there, or not to be trusted", rules.book_invalid),
    Limit("clock_skew", "our clock is too far from the venue's", rules.clock_skew),
    Limit("near_resolution", "the market is about to end", rules.near_resolution, True),
    Limit("market_closed", "the market is not open, or past its end", rules.market_closed),
    Limit("not_accepting_orders", "the venue takes no orders in the market", rules.not_accepting),
    Limit(
        "price_collar",
        "the price is too far from the mid or from the fair value (a flatten order: from the mid)",
        rules.price_collar,
    ),
    Limit("tick_size", "the price is not on the market's grid", rules.tick_size),
    Limit("min_size", "the order is smaller than the venue takes", rules.min_size),
    Limit(
        "max_order_notional",
        "the order is worth too much (a flatten order is cut)",
        rules.max_order_notional,
    ),
    Limit(
        "self_cross",
        "the order would meet one of ours on the other side, of either token",
        rules.self_cross,
    ),
    Limit("open_orders_limit", "too many orders are open", rules.open_orders_limit),
    Limit("market_notional_limit", "caps the money at risk in the market", rules.market_notional),
    Limit("asset_notional_limit", "caps the money at risk on the coin", rules.asset_notional),
    Limit("total_notional_limit", "caps the money at risk in all", rules.total_notional),
    Limit(
        "balance",
        "caps a BUY at the cash not reserved, a SELL at the shares that may be sold now",
        rules.balance,
    ),
    Limit("rate_budget_global", "the order budget of all markets is spent", rules.rate_global),
    Limit(
        "rate_budget_market",
        "the market's part of the order budget is spent",
        rules.rate_market,
    ),
)
"""Every limit in the order it is asked (spec, models: risk)."""
LAST_STANDING: Final = "not_accepting_orders"
STANDING: Final = LIMITS[: [limit.name for limit in LIMITS].index(LAST_STANDING) + 1]
"""The limits that look at the market and the account, not at the order: while one of them blocks,
nothing rests either."""
OF_ORDER: Final = LIMITS[len(STANDING) :]
"""Those that look at the order."""


def check(request: Request, context: Context, crew: Crew | None = None) -> Approved | Blocked:
    """Put the request through every limit in order, then through the risk rules of `crew`.

    An approval takes a token of both rate budgets. A block by `loss_streak` acknowledges the
    streak: the cooldown it started goes on under its own name.
    """
    answer = _pass(request, context, request.size_e6)
    if isinstance(answer, Approved):
        if crew is not None and crew.rules:
            refused = _vetoed(answer, context, crew)
            if refused is not None:
                return refused
        context.risk.take(request.market, context.ts_ns)
    return answer


def check_pair(
    first: Request, second: Request, context: Context, crew: Crew | None = None
) -> tuple[Approved, Approved] | Blocked:
    """Put two orders of one market through as one: both of one size, or neither.

    Each must pass alone (the other may fail to fill), and the money and the rate budgets must do
    for both; then each is put to the risk rules of `crew`. An approval takes two tokens.
    """
    assert first.market == second.market, f"expected one market, found {second.market}"
    size_e6 = min(first.size_e6, second.size_e6)
    for request in (first, second):
        alone = _pass(request, context, size_e6)
        if isinstance(alone, Blocked):
            return alone
        size_e6 = alone.size_e6
    answers = (_pass(first, context, size_e6), _pass(second, context, size_e6))
    for answer in answers:
        if isinstance(answer, Blocked):
            return answer
    one, other = answers
    assert isinstance(one, Approved) and isinstance(other, Approved)
    cost_e6 = rules.cash_e6(first, context, size_e6) + rules.cash_e6(second, context, size_e6)
    if cost_e6 > context.ledger.available_e6():
        return Blocked(second, "balance", "the cash does not do for both")
    if not context.risk.global_ready(context.ts_ns, 2):
        return Blocked(second, "rate_budget_global", "the order budget does not do for both")
    if not context.risk.market_ready(first.market, context.ts_ns, 2):
        return Blocked(second, "rate_budget_market", "the order budget does not do for both")
    if crew is not None and crew.rules:
        for approved in (one, other):
            refused = _vetoed(approved, context, crew)
            if refused is not None:
                return refused
    context.risk.take(first.market, context.ts_ns)
    context.risk.take(first.market, context.ts_ns)
    return one, other


def _vetoed(approved: Approved, context: Context, crew: Crew) -> Blocked | None:
    """The refusal by a risk rule, which is asked about the size that would be sent."""
    request = approved.request
    asked = request
    if approved.size_e6 != request.size_e6:
        asked = Request(
            request.market,
            request.token,
            request.side,
            request.price_e4,
            approved.size_e6,
            request.tif,
            request.post_only,
            request.engine,
            request.edge_bps,
            request.expires_ns,
        )
    limit, why = crew.refusal(asked, context)
    return Blocked(request, limit, why) if limit else None


def _pass(request: Request, context: Context, wanted_e6: int) -> Approved | Blocked:
    """The request at this size through every limit; takes no token."""
    size_e6 = step_down(wanted_e6, SIZE_STEP_E6)
    capped_by = ""
    flattens = request.flattens()
    calm = not flattens and (context.calm or rules.calm(request, context))
    if calm and rules.plain(request, context, size_e6):
        return Approved(request, size_e6, "", _SEAL)
    for limit in OF_ORDER if calm else LIMITS:
        if flattens and limit.spares_flatten:
            continue
        verdict = limit.check(request, context, size_e6)
        if verdict is None:
            continue
        if isinstance(verdict, str):
            if limit.name == "loss_streak":
                context.risk.loss_streak = 0
            return Blocked(request, limit.name, verdict)
        if verdict < size_e6:
            size_e6 = step_down(max(0, verdict), SIZE_STEP_E6)
            capped_by = limit.name
            if too_small(request, context.facts, size_e6):
                return Blocked(request, limit.name, f"room for {size_text(size_e6)} shares only")
    return Approved(request, size_e6, capped_by, _SEAL)
