"""Complete sets: YES and NO bought for less than 1 together and merged, or split and sold for more.

Where it can occur: YES and NO of one market are one book here (NO at p is YES at 1 - p), so that
both ways exist only while that book is crossed: its best bid above its best ask. The venue matches
such orders against each other, also across the two tokens, so what is seen of it is mostly a
message of which the other half is still to come. It is therefore acted on only when the book is
believed, the venue's own word states the same best prices, and both have stood for a while.

Both legs pass the limits as one and are sent in one step. A set whose legs filled unequally is
unwound: what is left alone is sold, or paired with the other token (the same trade in one book,
which need not wait for the settlement), inside a slippage limit, a bounded number of times.
"""

from typing import Final, final

from polytrade.core.book import MATCHED
from polytrade.core.capital import Capital
from polytrade.core.desk import PASSING, SENT, Desk
from polytrade.core.effects import Alarmed, Effect, SplitPairs
from polytrade.core.ids import BUY, NO, SELL, TOKEN_NAMES, YES
from polytrade.core.ledger import Ledger
from polytrade.core.limits import SIZE_STEP_E6, Context, Request
from polytrade.core.market import OPEN, MarketState
from polytrade.core.orders import Orders, terminal
from polytrade.core.roles import ARB
from polytrade.core.settings import PairSettings
from polytrade.core.units import (
    ONE_E4,
    ONE_E6,
    SECOND_NS,
    fee_e6,
    share_e6_down,
    size_text,
    step_down,
)

SPLITTING: Final = 0  # money is being made into pairs
LEGS: Final = 1  # both orders are at the venue
UNWINDING: Final = 2  # a leg filled less than the other: what is left alone is being closed
MERGING: Final = 3  # only pairs are left
STATE_NAMES: Final = ("splitting", "legs", "unwinding", "merging")

UNWIND_TRIES_MAX: Final = 3
"""Orders sent to close what is left alone; then it is ordinary inventory, with an alarm."""
UNWIND_MAX_NS: Final = 30 * SECOND_NS
"""How long a limit that passes with time is waited for."""
CHAIN_MAX_NS: Final = 60 * SECOND_NS
"""How long a split or merge may take: relayed transactions take a few seconds."""


@final
class Quote:
    """The best prices of both tokens and the sizes there; 0 and ONE_E4 for an empty side."""

    __slots__ = (
        "no_ask_e4",
        "no_ask_e6",
        "no_bid_e4",
        "no_bid_e6",
        "yes_ask_e4",
        "yes_ask_e6",
        "yes_bid_e4",
        "yes_bid_e6",
    )

    def __init__(
        self,
        yes_bid_e4: int,
        yes_bid_e6: int,
        yes_ask_e4: int,
        yes_ask_e6: int,
        no_bid_e4: int,
        no_bid_e6: int,
        no_ask_e4: int,
        no_ask_e6: int,
    ) -> None:
        self.yes_bid_e4 = yes_bid_e4
        self.yes_bid_e6 = yes_bid_e6
        self.yes_ask_e4 = yes_ask_e4
        self.yes_ask_e6 = yes_ask_e6
        self.no_bid_e4 = no_bid_e4
        self.no_bid_e6 = no_bid_e6
        self.no_ask_e4 = no_ask_e4
        self.no_ask_e6 = no_ask_e6


@final
class Plan:
    """A set worth trading: `side` of both tokens at their prices, `edge_bps` of the 1 USDC."""

    __slots__ = ("edge_bps", "no_e4", "side", "size_e6", "yes_e4")

    def __init__(self, side: int, yes_e4: int, no_e4: int, size_e6: int, edge_bps: float) -> None:
        self.side = side
        self.yes_e4 = yes_e4
        self.no_e4 = no_e4
        self.size_e6 = size_e6
        self.edge_bps = edge_bps


@final
class _Set:
    """A set under way: its legs' order ids, and how much of what is left alone is closed."""

    __slots__ = ("closing", "legs", "side", "since_ns", "size_e6", "spare_e6", "state", "tries")

    def __init__(self, state: int, side: int, size_e6: int, ts_ns: int) -> None:
        self.state = state
        self.side = side
        self.size_e6 = size_e6
        self.since_ns = ts_ns
        self.legs: list[str] = []
        self.closing = ""
        self.spare_e6 = 0
        self.tries = 0


@final
class Pairs:
    """The sets of all markets, at most one under way in each. `done` counts by how they ended."""

    __slots__ = (
        "_capital",
        "_desk",
        "_ended_ns",
        "_ledger",
        "_opens",
        "_orders",
        "_sets",
        "_settings",
        "done",
    )

    def __init__(
        self,
        settings: PairSettings | None,
        orders: Orders,
        ledger: Ledger,
        desk: Desk,
        capital: Capital,
    ) -> None:
        self._settings = settings
        self._opens = settings is not None
        self._orders = orders
        self._ledger = ledger
        self._desk = desk
        self._capital = capital
        self._sets: dict[str, _Set] = {}
        self._ended_ns: dict[str, int] = {}
        self.done: dict[str, int] = {}

    def configure(self, settings: PairSettings | None) -> None:
        """Trade by other settings. Without any no set is opened; those under way are finished."""
        self._opens = settings is not None
        if settings is not None:
            self._settings = settings

    def busy(self, market: str) -> bool:
        """Whether a set is under way in the market."""
        return market in self._sets

    def merging(self, market: str) -> bool:
        """Whether every pair of the market is to be merged, however small."""
        current = self._sets.get(market)
        return current is not None and current.state == MERGING

    def state_of(self, market: str) -> str:
        """Where the market's set stands, empty without one."""
        current = self._sets.get(market)
        return "" if current is None else STATE_NAMES[current.state]

    def wanted(self, market: MarketState) -> bool:
        """Whether `pursue` has something to do: cheap, for every decision."""
        if market.spec.market in self._sets:
            return True
        return self._opens and market.book.crossed and market.phase == OPEN

    def pursue(self, market: MarketState, context: Context, effects: list[Effect]) -> None:
        """Open a set, or move on the one under way. `context` takes a crossed book as valid."""
        settings = self._settings
        if settings is None:
            return
        name = market.spec.market
        current = self._sets.get(name)
        if current is None:
            self._open(market, settings, context, effects)
        elif current.state == LEGS:
            self._settle_legs(current, market, settings, context, effects)
        elif current.state == UNWINDING:
            self._unwind(current, market, settings, context, effects)
        elif context.ts_ns - current.since_ns > CHAIN_MAX_NS:
            self._end(name, "timed_out", context.ts_ns)
        elif current.state == MERGING and not _paired(context):
            self._end(name, "merged", context.ts_ns)

    def split(self, market: MarketState, context: Context, effects: list[Effect]) -> None:
        """Pairs were made: sell them if that is still worth it, or turn them back."""
        settings = self._settings
        current = self._sets.get(market.spec.market)
        if settings is None or current is None or current.state != SPLITTING:
            return
        plan = best_plan(quote_of(market), context, settings)
        if plan is not None and plan.side == SELL and _stands(market, settings, context.ts_ns):
            plan.size_e6 = min(plan.size_e6, current.size_e6)
            if self._send(current, plan, context, effects):
                return
        current.state = MERGING
        current.since_ns = context.ts_ns

    def forget(self, market: str) -> None:
        """The market is over: drop what is kept of it."""
        self._sets.pop(market, None)
        self._ended_ns.pop(market, None)

    # -- how ------------------------------------------------------------------------------------

    def _open(
        self, market: MarketState, settings: PairSettings, context: Context, effects: list[Effect]
    ) -> None:
        name, ts_ns = market.spec.market, context.ts_ns
        ended_ns = self._ended_ns.get(name)
        if ended_ns is not None and ts_ns - ended_ns < settings.pause_ns:
            return
        if not _stands(market, settings, ts_ns):
            return
        plan = best_plan(quote_of(market), context, settings)
        if plan is None:
            return
        room_e6 = self._capital.room_e6(ARB, context.account)
        plan.size_e6 = step_down(min(plan.size_e6, room_e6), SIZE_STEP_E6)
        if plan.size_e6 <= 0:
            return
        if plan.side == BUY or _pairs_e6(context) >= plan.size_e6:
            current = _Set(LEGS, plan.side, plan.size_e6, ts_ns)
            if self._send(current, plan, context, effects):
                self._sets[name] = current
        elif self._ledger.available_e6() >= plan.size_e6 and not self._desk.standing(context):
            self._sets[name] = _Set(SPLITTING, SELL, plan.size_e6, ts_ns)
            effects.append(SplitPairs(name, plan.size_e6))

    def _send(self, current: _Set, plan: Plan, context: Context, effects: list[Effect]) -> bool:
        """Both legs or neither."""
        name, size_e6, edge = context.account.market, plan.size_e6, plan.edge_bps
        first = Request(name, YES, plan.side, plan.yes_e4, size_e6, "FAK", False, ARB, edge)
        second = Request(name, NO, plan.side, plan.no_e4, size_e6, "FAK", False, ARB, edge)
        if self._desk.send_pair(first, second, context, effects) != SENT:
            return False
        current.state = LEGS
        current.since_ns = context.ts_ns
        current.legs = [order.order_id for order in self._orders.of_market(name)[-2:]]
        return True

    def _settle_legs(
        self,
        current: _Set,
        market: MarketState,
        settings: PairSettings,
        context: Context,
        effects: list[Effect],
    ) -> None:
        """Wait for both legs' ends; positive spare is YES left alone, negative NO."""
        filled = [0, 0]
        for leg in current.legs:
            order = self._orders.find(leg)
            assert order is not None, f"leg {leg} is forgotten"
            if not terminal(order.state):
                return
            filled[order.token] = order.filled_e6
        current.spare_e6 = filled[YES] - filled[NO]
        if current.side == SELL:
            current.spare_e6 = -current.spare_e6
        current.since_ns = context.ts_ns
        if abs(current.spare_e6) >= SIZE_STEP_E6:
            current.state = UNWINDING
            self._unwind(current, market, settings, context, effects)
        elif max(filled) or current.side == SELL:
            current.state = MERGING
        else:
            self._end(context.account.market, "missed", context.ts_ns)

    def _unwind(
        self,
        current: _Set,
        market: MarketState,
        settings: PairSettings,
        context: Context,
        effects: list[Effect],
    ) -> None:
        if current.closing:
            order = self._orders.find(current.closing)
            assert order is not None, f"order {current.closing} is forgotten"
            if not terminal(order.state):
                return
            closed_e6 = min(order.filled_e6, abs(current.spare_e6))
            current.spare_e6 -= closed_e6 if current.spare_e6 > 0 else -closed_e6
            current.closing = ""
        left_e6 = step_down(abs(current.spare_e6), SIZE_STEP_E6)
        late = context.ts_ns - current.since_ns > UNWIND_MAX_NS
        if left_e6 and not late and current.tries < UNWIND_TRIES_MAX:
            token = YES if current.spare_e6 > 0 else NO
            request = _closing(market, context, settings, token, left_e6)
            refused_by = self._desk.send(request, context, effects)
            if refused_by == SENT:
                current.tries += 1
                current.closing = self._orders.of_market(request.market)[-1].order_id
                return
            if refused_by in PASSING:
                return
        if left_e6:
            name = TOKEN_NAMES[YES if current.spare_e6 > 0 else NO]
            what = f"{market.spec.market}: {size_text(left_e6)} {name} left alone"
            effects.append(Alarmed("arb_leg_left", what))
        current.state = MERGING
        current.since_ns = context.ts_ns

    def _end(self, market: str, how: str, ts_ns: int) -> None:
        del self._sets[market]
        self._ended_ns[market] = ts_ns
        self.done[how] = self.done.get(how, 0) + 1


def quote_of(market: MarketState) -> Quote:
    """Both tokens' best prices in the one book there is."""
    book = market.book
    bid_e4, ask_e4 = book.bid_e4, book.ask_e4
    bid_e6, ask_e6 = book.size_e6(BUY, bid_e4), book.size_e6(SELL, ask_e4)
    no_bid_e4, no_ask_e4 = ONE_E4 - ask_e4, ONE_E4 - bid_e4
    return Quote(bid_e4, bid_e6, ask_e4, ask_e6, no_bid_e4, ask_e6, no_ask_e4, bid_e6)


def best_plan(quote: Quote, context: Context, settings: PairSettings) -> Plan | None:
    """The way that gains more after fees, of equal ones the first allowed; None when none does.

    The size is the smaller depth, at most `max_size_e6`.
    """
    plans: list[Plan] = []
    if settings.buy:
        size_e6 = min(quote.yes_ask_e6, quote.no_ask_e6, settings.max_size_e6)
        plans.append(_plan(BUY, quote.yes_ask_e4, quote.no_ask_e4, size_e6, context))
    if settings.split:
        size_e6 = min(quote.yes_bid_e6, quote.no_bid_e6, settings.max_size_e6)
        plans.append(_plan(SELL, quote.yes_bid_e4, quote.no_bid_e4, size_e6, context))
    if settings.split_first:
        plans.reverse()
    best: Plan | None = None
    for plan in plans:
        enough = plan.edge_bps >= settings.min_edge_bps and plan.edge_bps > 0.0 < plan.size_e6
        if enough and (best is None or plan.edge_bps > best.edge_bps):
            best = plan
    return best


def _plan(side: int, yes_e4: int, no_e4: int, size_e6: int, context: Context) -> Plan:
    account = context.account
    rate_e6, exponent = account.fee_rate_e6, account.fee_exponent
    fees_e6 = fee_e6(ONE_E6, yes_e4, rate_e6, exponent) + fee_e6(ONE_E6, no_e4, rate_e6, exponent)
    paid_e6 = share_e6_down(ONE_E6, yes_e4 + no_e4, ONE_E4)
    gain_e6 = (ONE_E6 - paid_e6 if side == BUY else paid_e6 - ONE_E6) - fees_e6
    return Plan(side, yes_e4, no_e4, step_down(max(0, size_e6), SIZE_STEP_E6), gain_e6 / 100)


def _stands(market: MarketState, settings: PairSettings, ts_ns: int) -> bool:
    """Whether the crossed book is believed, stated by the venue, and has stood long enough."""
    book, trust = market.book, market.trust
    if not trust.valid or not book.two_sided or not trust.unverified_ns:
        return False
    if book.fits_stated_best() != MATCHED:
        return False
    return ts_ns - trust.unverified_ns >= settings.confirm_ns


def _pairs_e6(context: Context) -> int:
    """Pairs that are settled and promised to nobody."""
    return min(context.account.sellable_e6(YES), context.account.sellable_e6(NO))


def _paired(context: Context) -> bool:
    """Whether a pair is held, settled or not."""
    now = context.account.now
    return now.yes.provisional_e6 > 0 and now.no.provisional_e6 > 0


def _closing(
    market: MarketState, context: Context, settings: PairSettings, token: int, size_e6: int
) -> Request:
    """The order that closes what is left alone: sold where it may be, else paired."""
    book = market.book
    tick, middle_e4 = book.tick_e4, (book.bid_e4 + book.ask_e4) // 2
    if token == NO:
        middle_e4 = ONE_E4 - middle_e4
    least_e4 = min(max(step_down(middle_e4 - settings.slippage_e4, tick), tick), ONE_E4 - tick)
    if context.account.sellable_e6(token) >= size_e6:
        return Request(market.spec.market, token, SELL, least_e4, size_e6, "FAK", False, ARB)
    other = NO if token == YES else YES
    return Request(market.spec.market, other, BUY, ONE_E4 - least_e4, size_e6, "FAK", False, ARB)
