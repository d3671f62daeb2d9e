"""What is learnt from our own fills: their markouts, into the standing of their markets.

Fed with the engine's events alone, so that what follows from it is the same in every replay.
"""

from typing import final

from polytrade.core.events import MarketListed, OrderFilled
from polytrade.core.ids import BUY, YES
from polytrade.core.limits import FLATTEN
from polytrade.core.market import MarketState
from polytrade.core.markouts import Markouts, mid_e6_of
from polytrade.core.orders import Order
from polytrade.core.roles import ARB
from polytrade.core.toxicity import Toxicity
from polytrade.core.units import ONE_E4, ONE_E6, fee_e6, share_e6_down


@final
class Learner:
    """Follows fills and tells `Toxicity` what they were worth."""

    __slots__ = ("_markets", "_toxicity", "markouts")

    def __init__(self, markets: dict[str, MarketState], toxicity: Toxicity) -> None:
        self._markets = markets
        self._toxicity = toxicity
        self.markouts = Markouts()

    def due(self, ts_ns: int) -> None:
        """An event of this time comes: what is known of the instants before it."""
        for markout in self.markouts.due(ts_ns, self._mid_e6):
            self._toxicity.learn(markout)

    def filled(self, order: Order, event: OrderFilled) -> None:
        """One of our orders filled; neither the operator's nor a set's legs say anything."""
        market = self._markets.get(order.market)
        if market is None or order.engine in (FLATTEN, ARB) or not 0 < event.price_e4 < ONE_E4:
            return
        yes = order.token == YES
        # What is learnt is what the mid did, before any fee.
        self.markouts.filled(
            event.fill_id,
            order.market,
            1 if yes == (order.side == BUY) else -1,
            event.price_e4 if yes else ONE_E4 - event.price_e4,
            event.size_e6,
            0,
            event.ts_ns,
        )

    def failed(self, fill_id: str) -> None:
        """The fill never happened after all."""
        self.markouts.void(fill_id)

    def _mid_e6(self, name: str) -> int:
        return mid_e6_of(self._markets.get(name))


def rebate_e6(spec: MarketListed, price_e4: int, size_e6: int) -> int:
    """The most a maker fill is credited: its fee-equivalent times the market's rebate rate.

    An estimate (protocols 8.2): the pool is shared once a day among all makers.
    """
    fee = fee_e6(size_e6, price_e4, spec.fee_rate_e6, spec.fee_exponent)
    return share_e6_down(fee, spec.rebate_rate_e6, ONE_E6)
