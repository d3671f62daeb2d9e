"""How long the stages of a decision take, sampled from outside: the core has no clock.

The fair value and the maker are wrapped before the engine is built; each 16th call is timed. The
limits are asked once more of each 16th order, after its step, on what it was sent with: nothing
they change is asked. An order is signed at most once a second, with a key that owns nothing, and
thrown away: paper orders are not signed, and what signing costs on this host must be known before
one is sent.
"""

from collections.abc import Sequence
from time import perf_counter_ns
from typing import Any, Final, final

import attrs

from polytrade.core.desk import Desk
from polytrade.core.effects import Effect, PlaceOrder
from polytrade.core.engine import Engine
from polytrade.core.events import Event
from polytrade.core.ids import BUY
from polytrade.core.limits import LIMITS, Request
from polytrade.core.market import MarketState
from polytrade.core.reference import SymbolReference
from polytrade.core.roles import Estimate, FairValue, Maker, View, Wish
from polytrade.core.units import MS_NS, SECOND_NS, notional_e6_down
from polytrade.lineup import Lineup
from polytrade.metrics import LatencyRecorder, Readings
from polytrade.polymarket.signing import OrderFields, SigningKey, market_domain, sign_order

EVERY: Final = 16
"""Each so many-th call is timed: two clock readings and a record are about 0.3 us."""
SIGN_EVERY_NS: Final = SECOND_NS
"""Signing takes about 50 us of the loop (limits): a twenty-thousandth of it at this pace."""
KEY: Final = bytes(31) + b"\x01"
"""The key of the samples: known to everybody, never used for an order."""
PLAIN_WALLET: Final = 0
"""The signature type of an order that its own signer pays for."""
PROTOCOL: Final = "v2"
BUDGETS: Final = frozenset({"rate_budget_global", "rate_budget_market"})
"""Limits that note when they were asked: they are left out."""
PURE_LIMITS: Final = tuple(limit for limit in LIMITS if limit.name not in BUDGETS)


@final
class TimedFairValue:
    """A fair value, some of whose estimates are timed; for the rest it is the other itself."""

    def __init__(self, inner: FairValue, times: LatencyRecorder) -> None:
        self._inner = inner
        self._estimate = inner.estimate
        self._times = times
        self._calls = 0
        self.on_reference = inner.on_reference
        self.forget = inner.forget

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def estimate(
        self, market: MarketState, reference: SymbolReference | None, ts_ns: int
    ) -> Estimate:
        """What the other says."""
        self._calls += 1
        if self._calls % EVERY:
            return self._estimate(market, reference, ts_ns)
        began_ns = perf_counter_ns()
        estimate = self._estimate(market, reference, ts_ns)
        self._times.record(perf_counter_ns() - began_ns)
        return estimate


@final
class TimedMaker:
    """A maker, some of whose answers are timed; for the rest it is the other itself."""

    def __init__(self, inner: Maker, times: LatencyRecorder) -> None:
        self._inner = inner
        self._quotes = inner.quotes
        self._times = times
        self._calls = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def quotes(self, view: View) -> tuple[list[Wish], str]:
        """What the other says."""
        self._calls += 1
        if self._calls % EVERY:
            return self._quotes(view)
        began_ns = perf_counter_ns()
        answer = self._quotes(view)
        self._times.record(perf_counter_ns() - began_ns)
        return answer


@final
class Stages:
    """The recorders of `signal_us`, `quote_us`, `risk_us` and `sign_us`."""

    def __init__(self) -> None:
        self.signal = LatencyRecorder()
        self.quote = LatencyRecorder()
        self.risk = LatencyRecorder()
        self.sign = LatencyRecorder()
        self._orders = 0
        self._signed_ns = 0
        self._key = SigningKey(KEY)

    def timed(self, lineup: Lineup) -> Lineup:
        """The lineup with its fair value and its maker under the stopwatch."""
        return attrs.evolve(
            lineup,
            fair_value=TimedFairValue(lineup.fair_value, self.signal),
            maker=TimedMaker(lineup.maker, self.quote),
        )

    def observe(self, engine: Engine, event: Event, effects: Sequence[Effect]) -> None:
        """The engine stepped `event` and wants `effects`."""
        for effect in effects:
            if isinstance(effect, PlaceOrder):
                self._orders += 1
                if self._orders % EVERY == 1:
                    self._ask_limits(engine, effect, event.ts_ns)
                if event.ts_ns - self._signed_ns >= SIGN_EVERY_NS:
                    self._signed_ns = event.ts_ns
                    self._sign(engine, effect, event.ts_ns)

    def put(self, out: Readings) -> None:
        """Note the distributions."""
        for name, times in (
            ("signal_us", self.signal),
            ("quote_us", self.quote),
            ("risk_us", self.risk),
            ("sign_us", self.sign),
        ):
            out.put_summary(name, times.quantiles(1_000))

    def reset(self) -> None:
        """A new measuring window begins."""
        for times in (self.signal, self.quote, self.risk, self.sign):
            times.reset()

    def _ask_limits(self, engine: Engine, order: PlaceOrder, ts_ns: int) -> None:
        market = engine.markets.get(order.market)
        if market is None:
            return
        reference = engine.references.get(market.spec.symbol)
        desk = Desk(engine.orders, engine.ledger, engine.risk)
        request = Request(
            order.market,
            order.token,
            order.side,
            order.price_e4,
            order.size_e6,
            order.tif,
            order.post_only,
            order.engine,
        )
        began_ns = perf_counter_ns()
        context = desk.context(market, reference, ts_ns)
        for limit in PURE_LIMITS:
            limit.check(request, context, order.size_e6)
        self.risk.record(perf_counter_ns() - began_ns)

    def _sign(self, engine: Engine, order: PlaceOrder, ts_ns: int) -> None:
        market = engine.markets.get(order.market)
        if market is None:
            return
        money_e6 = notional_e6_down(order.price_e4, order.size_e6)
        buys = order.side == BUY
        began_ns = perf_counter_ns()
        fields = OrderFields(
            salt=ts_ns,
            maker=self._key.address,
            signer=self._key.address,
            token_id=ts_ns,  # of the length that matters; no market's
            maker_amount=money_e6 if buys else order.size_e6,
            taker_amount=order.size_e6 if buys else money_e6,
            side=order.side,
            signature_type=PLAIN_WALLET,
            timestamp_ms=ts_ns // MS_NS,
        )
        sign_order(self._key, fields, market_domain(PROTOCOL, market.spec.neg_risk))
        self.sign.record(perf_counter_ns() - began_ns)
