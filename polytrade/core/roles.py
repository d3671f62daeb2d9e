"""What plugins are to the engine: one estimates, others wish orders, one says how much.

A fair value estimates, a maker and a taker wish, an allocator scales what they wish.
Pure and synchronous: state in, state out, time only from events. The engine calls the objects
directly; pluggy only loads their factories (`hookspecs.py`).
"""

from typing import Final, Protocol, final

from polytrade.core.market import MarketState
from polytrade.core.reference import SymbolReference
from polytrade.core.regimes import CAUTION, DANGER, REGIME_NAMES, SAFE
from polytrade.core.units import ONE_E4

__all__ = [
    "ARB",
    "CAUTION",
    "DANGER",
    "MAKER",
    "REGIME_NAMES",
    "SAFE",
    "TAKER",
    "Allocator",
    "Estimate",
    "FairValue",
    "FullShare",
    "Inventory",
    "Maker",
    "NoTaker",
    "Portfolio",
    "Share",
    "Spread",
    "Taker",
    "View",
    "Wish",
    "no_estimate",
]

MAKER: Final = "maker"
TAKER: Final = "taker"
ARB: Final = "arb"
"""Who wants an order: the engines among which the capital is shared."""


@final
class Estimate:
    """A fair value of YES as a probability; `reason` says why there is none when `ok` is false.

    `sd` is the standard deviation of the payoff's argument in USDC of price (information for
    makers), `confidence` is in [0, 1].
    """

    __slots__ = ("confidence", "fair", "ok", "pad", "reason", "sd")

    def __init__(
        self, ok: bool, fair: float, confidence: float, sd: float, pad: float, reason: str
    ) -> None:
        self.ok = ok
        self.fair = fair
        self.confidence = confidence
        self.sd = sd
        self.pad = pad
        self.reason = reason


def no_estimate(reason: str) -> Estimate:
    """The estimate of a model that cannot speak: no quote, for this reason."""
    return Estimate(False, 0.0, 0.0, 0.0, 0.0, reason)


@final
class Wish:
    """An order somebody wants: `side` of `token` at `price_e4`, already on the tick grid.

    It rests when a maker wants it; a taker's is sent as FAK, and its price is the worst it accepts.
    `size_e6` is the whole size: the engine multiplies it by the allocator's scale.
    """

    __slots__ = ("edge_bps", "engine", "price_e4", "side", "size_e6", "token")

    def __init__(
        self, token: int, side: int, price_e4: int, size_e6: int, edge_bps: float, engine: str
    ) -> None:
        self.token = token
        self.side = side
        self.price_e4 = price_e4
        self.size_e6 = size_e6
        self.edge_bps = edge_bps
        self.engine = engine


@final
class Inventory:
    """What is held of a market's two tokens; `sellable_*` is settled and may be sold now."""

    __slots__ = ("no_e6", "sellable_no_e6", "sellable_yes_e6", "yes_e6")

    def __init__(self, yes_e6: int, no_e6: int, sellable_yes_e6: int, sellable_no_e6: int) -> None:
        self.yes_e6 = yes_e6
        self.no_e6 = no_e6
        self.sellable_yes_e6 = sellable_yes_e6
        self.sellable_no_e6 = sellable_no_e6


@final
class View:
    """What a strategy sees of a market that is being decided.

    `regime` to `max_spread_e4` come from `toxicity.Toxicity`: the market's standing, how far the
    warm-up of the measuring window has come (`progress`, 0 to 1), its markouts after ten seconds
    in basis points (0.0 without a sample), and the adaptive limits in force. `weight` is the share
    of the capital of the engine that is asked now, `scale` the allocator's size factor, 1.0 before
    it was asked: strategies wish whole sizes, the engine multiplies.
    """

    __slots__ = (
        "active",
        "estimate",
        "inventory",
        "market",
        "markout10_p25",
        "markout10_p50",
        "markouts",
        "max_spread_e4",
        "min_edge_bps",
        "no_quote_rate",
        "progress",
        "rank",
        "reference",
        "regime",
        "scale",
        "score",
        "tox",
        "ts_ns",
        "weight",
    )

    def __init__(
        self,
        market: MarketState,
        reference: SymbolReference | None,
        estimate: Estimate,
        inventory: Inventory,
        ts_ns: int,
    ) -> None:
        self.market = market
        self.reference = reference
        self.estimate = estimate
        self.inventory = inventory
        self.ts_ns = ts_ns
        self.regime: int = SAFE
        self.tox = 0.0
        self.score = 100.0
        self.rank = 1
        self.active = True
        self.progress = 1.0
        self.no_quote_rate = 0.0
        self.markout10_p50 = 0.0
        self.markout10_p25 = 0.0
        self.markouts = 0
        self.min_edge_bps = 0.0
        self.max_spread_e4: int = ONE_E4
        self.scale = 1.0
        self.weight = 1.0


class Spread(Protocol):
    """How the money at risk is spread: over the engines, and over the markets of a symbol."""

    def at_work_e6(self, engine: str) -> int:
        """Money at risk by the engine's doing."""

    def siblings_up_e6(self, market: MarketState) -> int:
        """Net shares in the symbol's other markets that gain when it rises."""


@final
class Portfolio:
    """The money as an allocator sees it while one market and one engine are decided.

    `capital_e6` is what the run began with, `equity_e6` as it was last marked. Money at risk
    (positions and open orders at worst case) in the market, on its symbol, in all, and what the
    engine asked has at work of it. `siblings_up_e6` is what the symbol's other markets hold of
    shares that gain when the symbol rises, less those that lose. These two are worked out when they
    are asked for, which is right while the allocator is asked. `wish_e6` is the largest size that
    is wished in this decision, 0 while none is known.
    """

    __slots__ = (
        "_engine",
        "_engine_e6",
        "_market",
        "_siblings_up_e6",
        "_spread",
        "capital_e6",
        "equity_e6",
        "market_e6",
        "symbol_e6",
        "total_e6",
        "wish_e6",
    )

    def __init__(
        self,
        capital_e6: int,
        equity_e6: int,
        market_e6: int = 0,
        symbol_e6: int = 0,
        total_e6: int = 0,
        engine_e6: int = 0,
        siblings_up_e6: int = 0,
        wish_e6: int = 0,
    ) -> None:
        self.capital_e6 = capital_e6
        self.equity_e6 = equity_e6
        self.market_e6 = market_e6
        self.symbol_e6 = symbol_e6
        self.total_e6 = total_e6
        self.wish_e6 = wish_e6
        self._engine_e6 = engine_e6
        self._siblings_up_e6 = siblings_up_e6
        self._spread: Spread | None = None
        self._engine = ""
        self._market: MarketState | None = None

    def ask(self, spread: Spread, market: MarketState, engine: str) -> None:
        """Whom to ask for what is not in the books: for this market and engine from now on."""
        self._spread = spread
        self._market = market
        self._engine = engine

    @property
    def engine_e6(self) -> int:
        """What the engine that is decided has at work."""
        return self._engine_e6 if self._spread is None else self._spread.at_work_e6(self._engine)

    @property
    def siblings_up_e6(self) -> int:
        """Net shares in the symbol's other markets that gain when it rises."""
        if self._spread is None or self._market is None:
            return self._siblings_up_e6
        return self._spread.siblings_up_e6(self._market)


@final
class Share:
    """How much of its sizes a strategy gets, 0 to 1; `reason` says why nothing, when it is 0."""

    __slots__ = ("reason", "scale")

    def __init__(self, scale: float, reason: str = "") -> None:
        self.scale = scale
        self.reason = reason


class FairValue(Protocol):
    """Estimates the probability that YES pays."""

    def on_reference(self, reference: SymbolReference, ts_ns: int) -> None:
        """A fast tick of a symbol was accepted."""

    def estimate(
        self, market: MarketState, reference: SymbolReference | None, ts_ns: int
    ) -> Estimate:
        """The fair value of `market` now; `reference` is None while its symbol is unknown."""

    def forget(self, market: str) -> None:
        """The market is over: drop what is kept of it."""


class Maker(Protocol):
    """Wishes for resting orders around a fair value."""

    def quotes(self, view: View) -> tuple[list[Wish], str]:
        """The wanted resting orders and, when there are none, why (`no_quote_*`)."""


class Taker(Protocol):
    """Wishes for orders that trade at once."""

    def takes(self, view: View) -> tuple[list[Wish], str]:
        """Orders with the worst price they accept, best first, and, if none, why (`no_take_*`)."""


class Allocator(Protocol):
    """How much of the capital a strategy may use in a market."""

    def share(self, view: View, portfolio: Portfolio) -> Share:
        """The size factor of the engine whose `view.weight` it is."""


@final
class NoTaker:
    """The taker that takes nothing."""

    def takes(self, view: View) -> tuple[list[Wish], str]:
        """Nothing."""
        return [], "no_take_off"


@final
class FullShare:
    """The allocator that always gives the whole size."""

    def share(self, view: View, portfolio: Portfolio) -> Share:
        """All of it."""
        return Share(1.0)
