"""What rests of the maker's, brought to what is wanted: the difference between the two.

At most one order a side of YES in each market. An order that no longer fits is cancelled first and
replaced only when it is gone, so that both can never fill; one that still fits is left alone,
because its place in the queue has value.
"""

from typing import Final, final

from polytrade.core.accounts import Account, raises_net
from polytrade.core.desk import SENT, Desk, yes_side
from polytrade.core.effects import Effect
from polytrade.core.ids import BUY, NO, SELL
from polytrade.core.limits import REDUCE, Context, Request, RiskState
from polytrade.core.market import MarketState
from polytrade.core.merging import Merger
from polytrade.core.orders import LIVE, Order, Orders
from polytrade.core.regimes import CAUTION, caution_ttl_ns
from polytrade.core.roles import MAKER, View, Wish
from polytrade.core.settings import EngineSettings
from polytrade.core.units import MS_NS, ONE_E4

REFUSED_WAIT_NS: Final = 500 * MS_NS
"""After the venue refused an order its market waits: a post-only race is not retried at once, and a
broken market does not use up the rate budget."""
NEVER_NS: Final = -(1 << 62)


@final
class Resting:
    """The maker's orders in every market."""

    __slots__ = (
        "_cut",
        "_desk",
        "_merger",
        "_orders",
        "_refused_ns",
        "_risk",
        "_settings",
    )

    def __init__(
        self,
        settings: EngineSettings,
        orders: Orders,
        risk: RiskState,
        desk: Desk,
        merger: Merger,
    ) -> None:
        self._settings = settings
        self._orders = orders
        self._risk = risk
        self._desk = desk
        self._merger = merger
        self._refused_ns: dict[str, int] = {}
        # By market and side of YES: what the limits cut off the wish that rests there.
        self._cut: dict[tuple[str, int], int] = {}

    def configure(self, settings: EngineSettings) -> None:
        """Keep or replace orders by other settings from now on."""
        self._settings = settings

    def refused(self, market: str, ts_ns: int) -> None:
        """The venue refused an order: leave its market alone for a moment."""
        self._refused_ns[market] = ts_ns

    def forget(self, market: str) -> None:
        """The market is over: drop what is kept of it."""
        self._refused_ns.pop(market, None)
        self._cut.pop((market, BUY), None)
        self._cut.pop((market, SELL), None)

    def may_close(self, name: str, ts_ns: int) -> bool:
        """Whether nothing of ours rests or merges in the market, nor was just refused."""
        if self._orders.any_in(name) or self._merger.busy(name):
            return False
        return self.rested(name, ts_ns)

    def rested(self, name: str, ts_ns: int) -> bool:
        """Whether the venue refused us nothing there for a moment."""
        return ts_ns - self._refused_ns.get(name, NEVER_NS) >= REFUSED_WAIT_NS

    def reconcile(
        self,
        market: MarketState,
        wishes: list[Wish],
        resting: list[Order],
        context: Context,
        view: View | None,
        effects: list[Effect],
    ) -> None:
        """Cancels first, then orders for the sides that are free; wishes come with their view."""
        ttl_ns = self._settings.ttl_ns
        if view is not None and view.regime == CAUTION:
            ttl_ns = caution_ttl_ns(view.tox)
        wanted: list[Wish | None] = [None, None]
        for wish in wishes:
            wanted[yes_side(wish.token, wish.side)] = wish
        busy = [False, False]
        for order in resting:
            if order.engine != MAKER:
                continue
            side = yes_side(order.token, order.side)
            busy[side] = True
            if order.state != LIVE:
                continue
            if self._fits(order, side, wanted[side], market, context, ttl_ns):
                continue
            reason = "unwanted" if wanted[side] is None else "replaced"
            self._desk.cancel(order, reason, context.ts_ns, effects)
        for side in (BUY, SELL):
            wished = wanted[side]
            if wished is None:
                self._desk.settle(market.spec.market, side)
            elif not busy[side]:
                self._place(market, wished, side, context, effects)

    def _fits(
        self,
        order: Order,
        side: int,
        wish: Wish | None,
        market: MarketState,
        context: Context,
        ttl_ns: int,
    ) -> bool:
        """Whether an order on `side` of YES is near enough to what is wanted to keep its place.

        One that is bolder or larger than wanted by more than the slack goes at once, one that is
        shyer or smaller after `ttl_ns`. What the limits cut off when it was placed counts as
        resting: it would be cut again.
        """
        if wish is None or wish.token != order.token or wish.side != order.side:
            return False
        if self._risk.mode == REDUCE and not _reduces(order, context.account):
            return False
        settings = self._settings
        slack_e4 = settings.requote_ticks * market.book.tick_e4
        bold_e4 = order.price_e4 - wish.price_e4
        if order.side == SELL:
            bold_e4 = -bold_e4
        if bold_e4 > slack_e4 or (bold_e4 > 0 and not _has_edge(order, market)):
            return False
        cut_e6 = self._cut.get((order.market, side), 0)
        over_e6 = order.open_e6() + cut_e6 - wish.size_e6
        size_slack_e6 = wish.size_e6 * settings.requote_size_pct
        if over_e6 > size_slack_e6:
            return False
        if bold_e4 >= -slack_e4 and over_e6 >= -size_slack_e6:
            return True
        # Too shy or too small does no harm: it goes once it is old and its successor may follow.
        aged = context.ts_ns - order.placed_ns > ttl_ns
        return not (aged and self._risk.market_ready(order.market, context.ts_ns))

    def _place(
        self, market: MarketState, wish: Wish, side: int, context: Context, effects: list[Effect]
    ) -> None:
        name = market.spec.market
        ts_ns = context.ts_ns
        if not self.rested(name, ts_ns) or self._desk.waits(name, side, ts_ns):
            return
        size_e6 = wish.size_e6
        promised_e6 = self._merger.promised_e6(name)
        if wish.side == SELL and promised_e6:
            free_e6 = context.account.sellable_e6(wish.token) - promised_e6
            size_e6 = min(size_e6, max(0, free_e6))
        token, price_e4, edge = wish.token, wish.price_e4, wish.edge_bps
        request = Request(name, token, wish.side, price_e4, size_e6, "GTC", True, MAKER, edge)
        if self._desk.send(request, context, effects) == SENT:
            self._cut[(name, side)] = wish.size_e6 - self._desk.sent_e6


def _has_edge(order: Order, market: MarketState) -> bool:
    """Whether the order's own price is still on the right side of fair value."""
    fair_e4 = market.fair * ONE_E4
    if order.token == NO:
        fair_e4 = ONE_E4 - fair_e4
    return order.price_e4 < fair_e4 if order.side == BUY else order.price_e4 > fair_e4


def _reduces(order: Order, account: Account) -> bool:
    """Whether all open orders that move the position this way only take it towards 0."""
    if raises_net(order.token, order.side):
        return account.net_e6() + account.up_e6 <= 0
    return account.net_e6() - account.down_e6 >= 0
