"""Sizes: the allocator's scale, the engines' shares of the capital, the least an order must be.

The money at risk in a market belongs to the engines in proportion to the shares they filled or have
open there, so that what the engines have at work adds up to the ledger's exposure.
"""

from typing import Final, final

from polytrade.core.accounts import Account
from polytrade.core.ids import NO, YES
from polytrade.core.ledger import Ledger
from polytrade.core.limit_rules import MARKETABLE_MIN_E6
from polytrade.core.limits import FLATTEN, SIZE_STEP_E6, RiskState
from polytrade.core.market import MarketState
from polytrade.core.orders import Order, Orders
from polytrade.core.reservations import worst_cost_e6
from polytrade.core.roles import ARB, MAKER, TAKER, Allocator, Portfolio, View, Wish
from polytrade.core.settings import EngineSettings
from polytrade.core.units import ONE_E4, notional_e6_up, share_e6_down, step_down

ENGINES: Final = (MAKER, TAKER, ARB)
SIZE: Final = "size"
CAPITAL: Final = "capital"
SMALL_EDGE: Final = "small_edge"
"""Why a wish is dropped, behind `no_quote_` or `no_take_`."""


@final
class Capital:
    """How much of what a strategy wishes is wanted.

    `weights` are the engines' shares of the initial capital.
    """

    __slots__ = (
        "_allocator",
        "_at_work",
        "_by_market",
        "_by_symbol",
        "_filled",
        "_ledger",
        "_orders",
        "_portfolio",
        "_risk",
        "_seen",
        "_settings",
        "weights",
    )

    def __init__(
        self,
        settings: EngineSettings,
        allocator: Allocator,
        by_symbol: dict[str, list[MarketState]],
        orders: Orders,
        ledger: Ledger,
        risk: RiskState,
    ) -> None:
        self._settings = settings
        self._allocator = allocator
        self._by_symbol = by_symbol
        self._orders = orders
        self._ledger = ledger
        self._risk = risk
        self._portfolio = Portfolio(0, 0)
        # Shares filled by market and engine; what follows from them and the open orders, and the
        # state of ledger and orders that it was made for.
        self._filled: dict[str, list[int]] = {}
        self._by_market: dict[str, list[int]] = {}
        self._at_work = [0, 0, 0]
        self._seen = (-1, -1, -1)
        self.weights = (settings.maker_weight, settings.taker_weight, settings.arb_weight)

    def filled(self, order: Order, size_e6: int) -> None:
        """An order filled: its engine has that much more at work; the operator's changes nothing.

        The capital is moved by fills of every engine alike, and what is closed leaves the exposure.
        """
        if order.engine == FLATTEN:
            return
        shares = self._filled.get(order.market)
        if shares is None:
            shares = [0, 0, 0]
            self._filled[order.market] = shares
        shares[_index(order.engine)] += size_e6
        self._seen = (-1, -1, -1)

    def forget(self, market: str) -> None:
        """The market is over: drop what is kept of it."""
        self._filled.pop(market, None)
        self._seen = (-1, -1, -1)

    def allocate(self, view: View, account: Account, engine: str) -> str:
        """Write weight and scale of the engine into the view; why nothing, empty otherwise."""
        at = _index(engine)
        self._refresh()
        portfolio, ledger = self._portfolio, self._ledger
        portfolio.capital_e6 = ledger.initial_e6
        portfolio.equity_e6 = self._risk.equity_e6 if self._risk.started else ledger.initial_e6
        portfolio.market_e6 = account.exposure_e6
        portfolio.symbol_e6 = ledger.symbol_exposure_e6(account.symbol)
        portfolio.total_e6 = ledger.exposure_total_e6
        portfolio.engine_e6 = self._at_work[at]
        portfolio.siblings_up_e6 = self._siblings_up_e6(view.market)
        view.weight = self.weights[at]
        view.scale = 1.0
        share = self._allocator.share(view, portfolio)
        view.scale = min(max(share.scale, 0.0), 1.0)
        return "" if view.scale > 0.0 else share.reason or CAPITAL

    def sized(self, wish: Wish, view: View, account: Account, rests: bool) -> Wish | str:
        """The wish at the size that is wanted, or why it is dropped.

        What only reduces the position is neither scaled nor capped. What is scaled below the
        market's least order is that least, when the whole wish reaches it.
        """
        whole_e6 = wish.size_e6
        least_e6 = view.market.spec.min_size_e6 if rests else _marketable_e6(wish.price_e4)
        if whole_e6 < least_e6:
            return SIZE
        free_e6 = min(account.reducible_e6(wish.token, wish.side), whole_e6)
        size_e6 = max(int(whole_e6 * view.scale), least_e6, free_e6)
        size_e6 = step_down(min(size_e6, whole_e6), SIZE_STEP_E6)
        if size_e6 > free_e6:
            size_e6 = max(self._capped_e6(wish, size_e6, account), step_down(free_e6, SIZE_STEP_E6))
            if size_e6 < least_e6:
                return CAPITAL
        notional_e6 = notional_e6_up(wish.price_e4, size_e6)
        if notional_e6 < self._settings.min_notional_e6:
            return SIZE
        if wish.edge_bps * notional_e6 / ONE_E4 < self._settings.min_edge_e6:
            return SMALL_EDGE
        if size_e6 == wish.size_e6:
            return wish
        return Wish(wish.token, wish.side, wish.price_e4, size_e6, wish.edge_bps, wish.engine)

    def at_work_e6(self, engine: str) -> int:
        """Money at risk by the engine's doing."""
        self._refresh()
        return self._at_work[_index(engine)]

    def room_e6(self, engine: str, account: Account) -> int:
        """What the engine may still put at risk in a market, its open orders there not counted."""
        self._refresh()
        at = _index(engine)
        here = self._by_market.get(account.market)
        elsewhere_e6 = self._at_work[at] - (here[at] if here is not None else 0)
        filled = self._filled.get(account.market)
        held_e6 = 0
        if filled is not None and filled[at]:
            held_e6 = share_e6_down(_position_risk_e6(account), filled[at], sum(filled))
        budget_e6 = int(self._ledger.initial_e6 * self.weights[at])
        return max(0, budget_e6 - elsewhere_e6 - held_e6)

    def _capped_e6(self, wish: Wish, size_e6: int, account: Account) -> int:
        room_e6 = self.room_e6(wish.engine, account)
        rate_e6 = account.fee_rate_e6 if wish.engine != MAKER else 0
        exponent = account.fee_exponent
        cost_e6 = worst_cost_e6(wish.side, wish.price_e4, size_e6, rate_e6, exponent)
        if cost_e6 <= room_e6:
            return size_e6
        return step_down(share_e6_down(size_e6, room_e6, cost_e6), SIZE_STEP_E6)

    def _siblings_up_e6(self, market: MarketState) -> int:
        """Net shares in the symbol's other markets that gain when it rises."""
        total_e6 = 0
        for other in self._by_symbol.get(market.spec.symbol, ()):
            if other is market:
                continue
            account = self._ledger.account(other.spec.market)
            if account is not None:
                net_e6 = account.net_e6()
                total_e6 += -net_e6 if other.spec.condition == "below" else net_e6
        return total_e6

    def _refresh(self) -> None:
        """Attribute the exposures anew, when something moved since the last time."""
        orders, ledger = self._orders, self._ledger
        seen = (ledger.exposure_total_e6, orders.opened, orders.open_count())
        if seen == self._seen:
            return
        self._seen = seen
        self._by_market = {}
        shares: dict[str, list[int]] = {name: list(by) for name, by in self._filled.items()}
        for order in orders.all_open():
            if order.engine == FLATTEN:
                continue
            of_market = shares.get(order.market)
            if of_market is None:
                of_market = [0, 0, 0]
                shares[order.market] = of_market
            of_market[_index(order.engine)] += order.open_e6()
        self._at_work = [0, 0, 0]
        for name, by in shares.items():
            exposure_e6, whole_e6 = ledger.exposure_e6(name), sum(by)
            if not exposure_e6 or not whole_e6:
                continue
            parts = [share_e6_down(exposure_e6, part, whole_e6) for part in by]
            self._by_market[name] = parts
            for at, part in enumerate(parts):
                self._at_work[at] += part


def _marketable_e6(price_e4: int) -> int:
    """The least shares of an order that does not rest: worth `MARKETABLE_MIN_E6`, rounded up."""
    least_e6 = -(-MARKETABLE_MIN_E6 * ONE_E4 // price_e4)
    return -(-least_e6 // SIZE_STEP_E6) * SIZE_STEP_E6


def _index(engine: str) -> int:
    """Where an engine is in the lists; an order of nobody known counts as the maker's."""
    return 1 if engine == TAKER else 2 if engine == ARB else 0


def _position_risk_e6(account: Account) -> int:
    """What can be lost of what is held, without the open orders."""
    cost_e6 = account.now.cost_e6()
    worst_e6 = 0
    for token in (YES, NO):
        worst_e6 = max(worst_e6, cost_e6 - account.now.holding(token).provisional_e6)
    return worst_e6
