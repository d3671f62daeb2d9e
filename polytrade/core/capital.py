"""Sizes: the allocator's scale, the engines' shares of the capital, the least an order must be.

The money at risk in a market belongs to the engines in proportion to the shares they filled or have
open there, so that what the engines have at work adds up to the ledger's exposure.
"""

from typing import Final, final

from polytrade.core.accounts import Account
from polytrade.core.adaptive import clamp
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
        "_engine",
        "_filled",
        "_ledger",
        "_orders",
        "_portfolio",
        "_reason",
        "_risk",
        "_room_e6",
        "_seen",
        "_settings",
        "_sure_e6",
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
        self._by_symbol = by_symbol
        self._orders = orders
        self._ledger = ledger
        self._risk = risk
        self._portfolio = Portfolio(0, 0)
        # The engine allocated last, why it gets nothing, what it may still put at risk in the
        # market (-1 until that is asked for), and what of that is sure without asking.
        self._engine = MAKER
        self._reason = ""
        self._room_e6 = -1
        self._sure_e6 = 0
        # Shares filled by market and engine; what follows from them and the open orders, and the
        # state of ledger and orders that it was made for.
        self._filled: dict[str, list[int]] = {}
        self._by_market: dict[str, list[int]] = {}
        self._at_work = [0, 0, 0]
        self._seen = (-1, -1, -1)
        self._allocator = allocator
        self.configure(settings)

    def configure(self, settings: EngineSettings) -> None:
        """Share by other weights; what is at work stays."""
        self._settings = settings
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

    def allocate(self, view: View, account: Account, engine: str, wishes: list[Wish]) -> None:
        """Write weight and scale of the engine that wishes this into the view; `sized` tells what
        follows.
        """
        at = _index(engine)
        portfolio, ledger = self._portfolio, self._ledger
        portfolio.capital_e6 = ledger.initial_e6
        portfolio.equity_e6 = self._risk.equity_e6 if self._risk.started else ledger.initial_e6
        portfolio.market_e6 = account.exposure_e6
        portfolio.symbol_e6 = ledger.symbol_exposure_e6(account.symbol)
        portfolio.total_e6 = ledger.exposure_total_e6
        wish_e6 = 0
        for wish in wishes:
            wish_e6 = wish.size_e6 if wish.size_e6 > wish_e6 else wish_e6
        portfolio.wish_e6 = wish_e6
        portfolio.ask(self, view.market, engine)
        view.weight = self.weights[at]
        view.scale = 1.0
        share = self._allocator.share(view, portfolio)
        view.scale = clamp(share.scale, 0.0, 1.0)
        self._engine = engine
        self._reason = share.reason or CAPITAL
        self._room_e6 = -1
        # Nobody has more at work than is at risk in all, nor in this market than is at risk here.
        self._sure_e6 = self._budget_e6(at) - ledger.exposure_total_e6 - account.exposure_e6

    def sized(self, wish: Wish, view: View, account: Account, rests: bool) -> Wish | str:
        """The wish at the size that is wanted, or why it is dropped; `allocate` comes before it.

        What only reduces the position is neither scaled nor capped, and goes on at a scale of 0.
        What is scaled below the market's least order is that least, when the whole wish reaches it.
        """
        whole_e6, price_e4 = wish.size_e6, wish.price_e4
        least_e6 = view.market.spec.min_size_e6 if rests else _marketable_e6(price_e4)
        free_e6 = account.reducible_e6(wish.token, wish.side)
        if view.scale <= 0.0 and (free_e6 < least_e6 or whole_e6 < least_e6):
            return self._reason
        if whole_e6 < least_e6:
            return SIZE
        if free_e6 >= whole_e6:
            size_e6 = step_down(whole_e6, SIZE_STEP_E6)
        else:
            size_e6 = self._scaled_e6(wish, view.scale, least_e6, free_e6, account)
            if size_e6 < least_e6:
                return CAPITAL
        notional_e6 = notional_e6_up(price_e4, size_e6)
        if notional_e6 < self._settings.min_notional_e6:
            return SIZE
        if wish.edge_bps * notional_e6 / ONE_E4 < self._settings.min_edge_e6:
            return SMALL_EDGE
        if size_e6 == whole_e6:
            return wish
        return Wish(wish.token, wish.side, price_e4, size_e6, wish.edge_bps, wish.engine)

    def _scaled_e6(
        self, wish: Wish, scale: float, least_e6: int, free_e6: int, account: Account
    ) -> int:
        """What is wanted of a wish of which only `free_e6` reduces the position."""
        if free_e6:
            free_e6 = step_down(free_e6, SIZE_STEP_E6)
        if scale <= 0.0:
            return free_e6
        size_e6 = wish.size_e6
        if scale < 1.0:
            scaled_e6 = int(size_e6 * scale)
            size_e6 = scaled_e6 if scaled_e6 > least_e6 else least_e6
        size_e6 = step_down(size_e6, SIZE_STEP_E6)
        if size_e6 > free_e6:
            size_e6 = self._capped_e6(wish, size_e6, account)
        return size_e6 if size_e6 > free_e6 else free_e6

    def at_work_e6(self, engine: str) -> int:
        """Money at risk by the engine's doing."""
        self._refresh()
        return self._at_work[_index(engine)]

    def room_e6(self, engine: str, account: Account) -> int:
        """What the engine may still put at risk in a market, its open orders there not counted."""
        self._refresh()
        return self._room_of(_index(engine), account)

    def _room_of(self, at: int, account: Account) -> int:
        here = self._by_market.get(account.market)
        elsewhere_e6 = self._at_work[at] - (here[at] if here is not None else 0)
        filled = self._filled.get(account.market)
        held_e6 = 0
        if filled is not None and filled[at]:
            held_e6 = share_e6_down(_position_risk_e6(account), filled[at], sum(filled))
        return max(0, self._budget_e6(at) - elsewhere_e6 - held_e6)

    def _budget_e6(self, at: int) -> int:
        return int(self._ledger.initial_e6 * self.weights[at])

    def _capped_e6(self, wish: Wish, size_e6: int, account: Account) -> int:
        """The part of `size_e6` that the room of the engine allocated last does for."""
        rate_e6 = account.fee_rate_e6 if self._engine != MAKER else 0
        if not rate_e6 and size_e6 <= self._sure_e6:
            return size_e6  # no share costs more than 1
        if self._room_e6 < 0:
            self._room_e6 = self.room_e6(self._engine, account)
        room_e6 = self._room_e6
        cost_e6 = worst_cost_e6(wish.side, wish.price_e4, size_e6, rate_e6, account.fee_exponent)
        if cost_e6 <= room_e6:
            return size_e6
        return step_down(share_e6_down(size_e6, room_e6, cost_e6), SIZE_STEP_E6)

    def siblings_up_e6(self, market: MarketState) -> int:
        """Net shares in the symbol's other markets that gain when it rises."""
        total_e6 = 0
        for other in self._by_symbol.get(market.spec.symbol, ()):
            if other is market:
                continue
            account = self._ledger.account(other.spec.market)
            if account is not None:
                total_e6 += other.direction * account.net_e6()
        return total_e6

    def _refresh(self) -> None:
        """Attribute the exposures anew, when something moved since the last time."""
        orders, ledger = self._orders, self._ledger
        seen = (ledger.exposure_total_e6, orders.opened, orders.open_count())
        if seen == self._seen:
            return
        self._seen = seen
        self._attribute()

    def _attribute(self) -> None:
        orders, ledger = self._orders, self._ledger
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
    now = account.now
    return max(0, now.cost_e6() - min(now.yes.provisional_e6, now.no.provisional_e6))
