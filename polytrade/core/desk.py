"""The one way to the venue: a wish goes through the limits and becomes an order, or is refused."""

from typing import Final, final

from polytrade.core.crew import Crew
from polytrade.core.effects import CancelOrder, Effect, PlaceOrder, Refused
from polytrade.core.ids import BUY, SELL, YES
from polytrade.core.judging import EDGE_MAX
from polytrade.core.ledger import Ledger
from polytrade.core.limit_rules import calm
from polytrade.core.limits import (
    FLATTEN,
    STANDING,
    Approved,
    Blocked,
    Context,
    MarketFacts,
    Request,
    RiskState,
    check,
    check_pair,
)
from polytrade.core.market import MarketState
from polytrade.core.orders import Order, Orders
from polytrade.core.reference import SymbolReference
from polytrade.core.roles import ARB, MAKER, TAKER
from polytrade.core.units import ONE_E4, ONE_E6

PASSING: Final = (*[limit.name for limit in STANDING], "rate_budget_global", "rate_budget_market")
"""Limits that pass with time: the same order may be sent later."""
SENT: Final = ""
"""The answer of `Desk.send` when an order went out."""


@final
class Desk:
    """Sends orders and cancels. `refusals` counts refused wishes by the limit that stopped them,
    `sent_e6` is the size of the order sent last.

    The risk rules of `crew` are asked about what passed every limit.
    """

    __slots__ = (
        "_crew",
        "_last_refusal",
        "_ledger",
        "_next_order",
        "_orders",
        "_probe",
        "_risk",
        "refusals",
        "sent_e6",
    )

    def __init__(
        self, orders: Orders, ledger: Ledger, risk: RiskState, crew: Crew | None = None
    ) -> None:
        self._crew = crew
        self._orders = orders
        self._ledger = ledger
        self._risk = risk
        self._next_order = 0
        self._probe = Request("", YES, BUY, 0, 0, "GTC", True, MAKER)
        self._last_refusal: dict[tuple[str, str, int], str] = {}
        self.refusals: dict[str, int] = {}
        self.sent_e6 = 0

    def context(
        self,
        market: MarketState,
        reference: SymbolReference | None,
        ts_ns: int,
        crossed: bool = False,
    ) -> Context:
        """What the limits look at; with `crossed`, a crossed book that is believed is valid."""
        spec, trust, book = market.spec, market.trust, market.book
        account = self._ledger.account(spec.market)
        assert account is not None, f"{spec.market} has no account"
        valid, fair = trust.valid, market.fair
        facts = MarketFacts(
            valid and (crossed or not book.crossed),
            "crossed" if valid else f"{trust.state}: {trust.reason}",
            book.bid_e4,
            book.ask_e4,
            round(fair * ONE_E4) if fair >= 0.0 else -1,
            ts_ns - reference.ts_ns if reference is not None and reference.ts_ns else -1,
            market.phase,
            spec.accepting and not spec.closed,
            spec.start_ns,
            spec.end_ns,
            book.tick_e4,
            spec.min_size_e6,
            spec.symbol,
            round(fair * ONE_E6) if fair >= 0.0 else -1,
        )
        return Context(ts_ns, self._risk, self._ledger, self._orders, account, facts)

    def standing(self, context: Context) -> str:
        """The first limit that stops any order of the market now; empty when none does."""
        probe = self._probe
        if calm(probe, context):
            context.calm = True
            return ""
        for limit in STANDING:
            if isinstance(limit.check(probe, context, 0), str):
                if limit.name == "loss_streak":  # acknowledged, as a refused order would
                    self._risk.loss_streak = 0
                return limit.name
        return ""

    def send(self, request: Request, context: Context, effects: list[Effect]) -> str:
        """Put a request through the limits: SENT, or the limit that refused it.

        A refusal is an effect when it is not the one said last of this side of the market.
        """
        answer = check(request, context, self._crew)
        if isinstance(answer, Blocked):
            return self._refuse(answer, effects)
        self._open(answer, context, effects)
        return SENT

    def send_pair(
        self, first: Request, second: Request, context: Context, effects: list[Effect]
    ) -> str:
        """Send two orders of one market, of one size, or neither: SENT, or the limit."""
        answer = check_pair(first, second, context, self._crew)
        if isinstance(answer, Blocked):
            return self._refuse(answer, effects)
        for approved in answer:
            self._open(approved, context, effects)
        return SENT

    def _open(self, approved: Approved, context: Context, effects: list[Effect]) -> None:
        request = approved.request
        self._next_order += 1
        effect = PlaceOrder(
            f"o{self._next_order}",
            request.market,
            request.token,
            request.side,
            request.price_e4,
            approved.size_e6,
            request.tif,
            request.post_only,
            request.expires_ns,
            request.engine,
            context.facts.fair_e6,
            _hundredths(request.edge_bps),
        )
        self._ledger.hold(self._orders.open(effect, context.ts_ns))
        side = yes_side(request.token, request.side)
        self._last_refusal.pop((request.market, request.engine, side), None)
        self.sent_e6 = approved.size_e6
        effects.append(effect)

    def _refuse(self, blocked: Blocked, effects: list[Effect]) -> str:
        request, limit = blocked.request, blocked.limit
        self.refusals[limit] = self.refusals.get(limit, 0) + 1
        key = (request.market, request.engine, yes_side(request.token, request.side))
        if self._last_refusal.get(key) != limit:
            self._last_refusal[key] = limit
            effects.append(_refused(request, limit, blocked.why))
        return limit

    def cancel(self, order: Order, reason: str, ts_ns: int, effects: list[Effect]) -> None:
        """Ask for the order's cancel; it takes a token of the budget but is never held back."""
        effect = CancelOrder(order.order_id, order.market, reason)
        self._orders.cancel(effect, ts_ns)
        self._risk.take(order.market, ts_ns)
        effects.append(effect)

    def settle(self, market: str, side: int) -> None:
        """The maker is refused nothing on this side of YES any more."""
        if self._last_refusal:
            self._last_refusal.pop((market, MAKER, side), None)

    def waits(self, market: str, side: int, ts_ns: int) -> bool:
        """Whether the maker's wish on this side was refused for a rate budget that is still spent.

        Until there is a token again it is not asked for anew, which counts as no further refusal.
        """
        limit = self._last_refusal.get((market, MAKER, side))
        if limit == "rate_budget_market":
            return not self._risk.market_ready(market, ts_ns)
        return limit == "rate_budget_global" and not self._risk.global_ready(ts_ns)

    def refusal_of(self, market: str) -> str:
        """The limit that refused the maker's wishes there last; empty when none does."""
        for side in (BUY, SELL):
            limit = self._last_refusal.get((market, MAKER, side))
            if limit is not None:
                return limit
        return ""

    def forget(self, market: str) -> None:
        """The market is over: drop what is kept of it."""
        for engine in (MAKER, TAKER, ARB, FLATTEN):
            self._last_refusal.pop((market, engine, BUY), None)
            self._last_refusal.pop((market, engine, SELL), None)


def yes_side(token: int, side: int) -> int:
    """The side of YES that an order stands on: a purchase of NO is an ask."""
    return side if token == YES else 1 - side


def _hundredths(value: float) -> float:
    """`value` to two decimals. `round(value, 2)` works on decimal digits: that alone took 9 us, an
    eighth of a decision that sends an order. What is no edge is passed on as it is.
    """
    return round(value * 100.0) / 100.0 if abs(value) <= EDGE_MAX else value


def _refused(request: Request, limit: str, why: str) -> Refused:
    return Refused(
        request.market,
        request.engine,
        request.token,
        request.side,
        request.price_e4,
        request.size_e6,
        limit,
        why,
    )
