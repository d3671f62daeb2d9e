"""An engine over one market with a fair value and a maker that say what a test wants."""

from typing import Any, TypeVar

from polytrade.config import Config, Risk
from polytrade.core.effects import Effect, PlaceOrder
from polytrade.core.engine import Engine
from polytrade.core.events import (
    ClockTicked,
    Event,
    FillConfirmed,
    OrderAccepted,
    OrderCancelled,
    OrderFilled,
    ReferenceTicked,
    RunStarted,
)
from polytrade.core.ids import BUY, FAST, NO, SELL, YES
from polytrade.core.ledger import Ledger
from polytrade.core.limits import RiskState
from polytrade.core.market import MarketState
from polytrade.core.orders import Order
from polytrade.core.reference import SymbolReference
from polytrade.core.roles import Estimate, Inventory, Portfolio, Share, View, Wish, no_estimate
from polytrade.core.settings import EngineSettings
from polytrade.core.units import MS_NS, SECOND_NS
from polytrade.session import BOOK_SOURCE, risk_settings
from tests.core.factory import MARKET, SHARE, START_NS, listed, snapshot

Kind = TypeVar("Kind")


class Words:
    """Fair value, maker, taker and allocator in one: all say what they are told to."""

    def __init__(self) -> None:
        self.fair = 0.5
        self.wishes: list[Wish] = []
        self.reason = "no_quote_edge"
        self.ticks = 0
        self.inventory = Inventory(0, 0, 0, 0)
        self.forgotten: list[str] = []
        self.takings: list[Wish] = []
        self.given = Share(1.0)
        self.views: list[View] = []
        self.portfolios: list[tuple[int, int, int]] = []
        self.wished_e6 = -1

    def on_reference(self, reference: SymbolReference, ts_ns: int) -> None:
        self.ticks += 1

    def estimate(
        self, market: MarketState, reference: SymbolReference | None, ts_ns: int
    ) -> Estimate:
        if self.fair < 0:
            return no_estimate("no_quote_vol_warmup")
        return Estimate(True, self.fair, 0.9, 0.0, 0.0, "")

    def forget(self, market: str) -> None:
        self.forgotten.append(market)

    def quotes(self, view: View) -> tuple[list[Wish], str]:
        self.inventory = view.inventory
        self.views.append(view)
        if not view.estimate.ok:
            return [], view.estimate.reason
        return self.wishes, "" if self.wishes else self.reason

    def takes(self, view: View) -> tuple[list[Wish], str]:
        return self.takings, "" if self.takings else "no_take_edge"

    def share(self, view: View, portfolio: Portfolio) -> Share:
        """What it is asked with: capital, money of the engine at work, siblings' net shares."""
        seen = (portfolio.capital_e6, portfolio.engine_e6, portfolio.siblings_up_e6)
        self.portfolios.append(seen)
        self.wished_e6 = portfolio.wish_e6
        return self.given


def bid(cents: int, shares: float = 10) -> Wish:
    return Wish(YES, BUY, cents * 100, round(shares * SHARE), 100.0, "maker")


def ask(cents: int, shares: float = 10) -> Wish:
    """An ask for YES made by buying NO."""
    return Wish(NO, BUY, (100 - cents) * 100, round(shares * SHARE), 100.0, "maker")


def sell(token: int, cents: int, shares: float = 10) -> Wish:
    return Wish(token, SELL, cents * 100, round(shares * SHARE), 100.0, "maker")


class Rig:
    """Times are ms after the window's start. Everything the engine wanted is in `effects`."""

    def __init__(
        self,
        risk: Risk | None = None,
        hash_mode: str = "enforce",
        trading: dict[str, Any] | None = None,
        **market: Any,
    ) -> None:
        settings = EngineSettings(
            book_source=BOOK_SOURCE,
            book_stale_ns=3 * SECOND_NS,
            closing_ns=20 * SECOND_NS,
            hash_mode=hash_mode,
            merge_at_e6=5 * SHARE,
            reorder_ns=250 * MS_NS,
            requote_size_pct=0.25,
            requote_ticks=1,
            ttl_ns=400 * MS_NS,
            vol_fast_s=30.0,
            vol_slow_s=600.0,
            **(trading or {}),
        )
        self.words = Words()
        generous = Risk(orders_per_s=500.0, price_collar=0.5)
        state = RiskState(risk_settings(Config(risk=risk or generous)))
        words = self.words
        self.engine = Engine(settings, words, words, Ledger(), state, words, words)
        self.effects: list[Effect] = []
        self.fills = 0
        self.refers = 0
        self.ms = -1_000
        self.step(RunStarted(self.ns, "rig", "paper", 1_000 * SHARE))
        self.step(listed(self.ns, settle="spot", lookback_s=0, **market))

    @property
    def ns(self) -> int:
        return START_NS + self.ms * MS_NS

    @property
    def market(self) -> MarketState:
        return self.engine.markets[MARKET]

    def step(self, event: Event, ms: int | None = None) -> list[Effect]:
        if ms is not None:
            self.ms = ms
        event.ts_ns = self.ns
        effects = self.engine.step(event)
        self.effects += effects
        self.engine.ledger.check(self.engine.orders)
        return effects

    def open(self, ms: int = 0) -> "Rig":
        """A two-sided book at 48/52 and a reference price: the market is open."""
        self.step(snapshot({47: 100, 48: 100}, {52: 100, 53: 100}), ms)
        self.refer()
        self.tick(ms)
        return self

    def tick(self, ms: int) -> list[Effect]:
        return self.step(ClockTicked(0), ms)

    def refer(self, ms: int | None = None, price: float = 60_000.0) -> list[Effect]:
        """A reference tick; it makes the market decide, because the price is never the same."""
        self.refers += 1
        price_e8 = round(price * 1e8) + self.refers
        tick = ReferenceTicked(0, "BTC", "binance/0", FAST, price_e8, 0)
        return self.step(tick, ms)

    def want(self, *wishes: Wish, ms: int | None = None) -> list[Effect]:
        self.words.wishes = list(wishes)
        return self.refer(ms)

    def accept(self, *names: str) -> list[Effect]:
        effects: list[Effect] = []
        for name in names:
            effects += self.step(OrderAccepted(0, name, "v"))
        return effects

    def gone(self, name: str) -> list[Effect]:
        return self.step(OrderCancelled(0, name, "cancelled"))

    def fill(self, name: str, shares: float, settled: bool = True) -> list[Effect]:
        order = self.engine.orders.find(name)
        assert order is not None
        self.fills += 1
        size_e6 = round(shares * SHARE)
        fill = OrderFilled(0, name, f"f{self.fills}", order.price_e4, size_e6, 0, True, "test")
        effects = self.step(fill)
        if settled:
            effects += self.step(FillConfirmed(0, f"f{self.fills}"))
        return effects

    def buy(self, token: int, shares: float, cents: int = 50, settled: bool = True) -> None:
        """Come to hold shares, through an order of the maker."""
        self.want(Wish(token, BUY, cents * 100, round(max(shares, 5) * SHARE), 1.0, "maker"))
        order = self.orders()[-1]
        self.words.wishes = []
        self.fill(order.order_id, shares, settled)
        if order.open_e6():
            self.gone(order.order_id)

    def orders(self) -> list[Order]:
        return self.engine.orders.of_market(MARKET)

    def held(self) -> tuple[float, float]:
        account = self.engine.ledger.account(MARKET)
        assert account is not None
        return account.now.yes.provisional_e6 / SHARE, account.now.no.provisional_e6 / SHARE


def of(effects: list[Effect], kind: type[Kind]) -> list[Kind]:
    """The effects of one kind."""
    return [effect for effect in effects if isinstance(effect, kind)]


def placed(effects: list[Effect]) -> list[tuple[str, int, int, int, float]]:
    """(id, token, side, cents, shares) of the orders sent."""
    return [
        (e.order_id, e.token, e.side, e.price_e4 // 100, e.size_e6 / SHARE)
        for e in of(effects, PlaceOrder)
    ]
