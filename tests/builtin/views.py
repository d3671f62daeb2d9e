"""Views of small markets for the tests of the strategies."""

from typing import Any

from polytrade.core.market import MarketState
from polytrade.core.reference import SymbolReference
from polytrade.core.roles import Estimate, Inventory, View
from polytrade.core.units import SECOND_NS
from tests.core.factory import SHARE, START_NS, market, snapshot

NOW = START_NS + 60 * SECOND_NS
FLAT = Inventory(0, 0, 0, 0)


def booked(
    bids: dict[int, int] | None = None,
    asks: dict[int, int] | None = None,
    tick_e4: int = 100,
    **terms: Any,
) -> MarketState:
    """A market with these levels (cents to shares), 46 to 54 unless said otherwise."""
    state = market(tick_e4=tick_e4, **terms)
    bids = {46: 100} if bids is None else bids
    asks = {54: 100} if asks is None else asks
    state.book.replace(snapshot(bids, asks), True)
    return state


def fair(value: float, confidence: float = 1.0, pad: float = 0.0) -> Estimate:
    """An estimate that speaks."""
    return Estimate(True, value, confidence, 0.0, pad, "")


def holding(yes: float = 0.0, no: float = 0.0, settled: bool = True) -> Inventory:
    """An inventory in shares, all of it or nothing of it sellable."""
    yes_e6, no_e6 = round(yes * SHARE), round(no * SHARE)
    return Inventory(yes_e6, no_e6, yes_e6 * settled, no_e6 * settled)


def view_of(
    estimate: Estimate,
    state: MarketState | None = None,
    held: Inventory = FLAT,
    reference: SymbolReference | None = None,
    ts_ns: int = NOW,
    **changes: Any,
) -> View:
    """A view of a market in Safe, warmed up, with the least edge and widest spread of `make`."""
    view = View(state or booked(), reference, estimate, held, ts_ns)
    view.min_edge_bps = 4.0
    view.max_spread_e4 = 800
    for name, value in changes.items():
        assert hasattr(view, name), name
        setattr(view, name, value)
    return view
