"""What plugins are to the engine: a fair value estimates, a maker wishes.

Pure and synchronous: state in, state out, time only from events. The engine calls the objects
directly; pluggy only loads their factories (`hookspecs.py`).
"""

from typing import Protocol, final

from polytrade.core.market import MarketState
from polytrade.core.reference import SymbolReference


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
    """A resting order somebody wants: `side` of `token` at `price_e4`, already on the tick grid."""

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

    def quotes(
        self,
        market: MarketState,
        reference: SymbolReference | None,
        estimate: Estimate,
        inventory: Inventory,
        ts_ns: int,
    ) -> tuple[list[Wish], str]:
        """The wanted resting orders and, when there are none, why (`no_quote_*`)."""
