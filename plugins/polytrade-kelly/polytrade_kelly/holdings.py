"""What is held in every market, as the allocator was last told, and how it hedges another one.

An allocator is shown one market at a time; it remembers the others. A position that it has not
been shown since it changed is caught by the portfolio's own sum over the asset.
"""

from math import sqrt
from typing import Any, Final

import attrs

from polytrade.api import View, units
from polytrade_kelly import model

MARKETS_MAX: Final = 256
"""Markets remembered, far more than are traded at once."""
SETTLED_NS: Final = 3_600 * units.SECOND_NS
"""After this time nothing is held of an ended market any more: it is resolved and redeemed."""
EVEN: Final = 0.25
"""Variance of an even bet: what an unknown position is taken to have."""


@attrs.define
class Held:
    """One market: `up` is 1 when YES gains as the asset rises, -1 when it loses, else 0.

    `fair` is the probability of YES, `net` YES less NO in shares; times in ns.
    """

    symbol: str
    up: int
    start_ns: int
    end_ns: int
    fair: float
    net: float


def held_of(view: View) -> Held:
    """What a view says of its market."""
    spec, inventory = view.market.spec, view.inventory
    net = (inventory.yes_e6 - inventory.no_e6) / units.ONE_E6
    return Held(
        symbol=spec.symbol,
        up=view.market.direction,
        start_ns=spec.start_ns,
        end_ns=spec.end_ns,
        fair=view.estimate.fair,
        net=net,
    )


@attrs.define
class Holdings:
    """All markets in the order in which they were first shown."""

    rows: dict[str, Held] = attrs.Factory(dict)

    def note(self, name: str, held: Held, ts_ns: int) -> None:
        """Take the market as shown; those that ended long ago are dropped, then the oldest."""
        if name not in self.rows:
            last_ns = ts_ns - SETTLED_NS
            self.rows = {k: row for k, row in self.rows.items() if not 0 < row.end_ns < last_ns}
            if len(self.rows) >= MARKETS_MAX:
                del self.rows[next(iter(self.rows))]
        self.rows[name] = held

    def covered(self, name: str, ts_ns: int, across: float, siblings_up: float) -> float:
        """Shares of YES of this market that all other positions are worth: its regression.

        `sum of covariance(this, other) * net / variance(this)`. `across` is the correlation of two
        assets, `siblings_up` what the portfolio says is held of the asset elsewhere (positive when
        it gains as the asset rises): what is not remembered of that counts as one and the same bet.
        """
        this = self.rows[name]
        variance = max(this.fair * (1.0 - this.fair), model.PROBABILITY_MIN)
        total = 0.0
        unknown = siblings_up
        for other_name, other in self.rows.items():
            if other_name == name:
                continue
            if other.symbol == this.symbol:
                unknown -= other.up * other.net
            if not other.net or not this.up or not other.up:
                continue
            rho = model.overlap(this.start_ns, this.end_ns, other.start_ns, other.end_ns, ts_ns)
            rho *= this.up * other.up * (1.0 if other.symbol == this.symbol else across)
            total += model.covariance(this.fair, other.fair, rho) * other.net
        total += this.up * unknown * sqrt(variance * EVEN)
        return total / variance

    def dump(self) -> dict[str, Any]:
        """Plain data."""
        return {name: list(attrs.astuple(row)) for name, row in self.rows.items()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take what `dump` gave."""
        self.rows = {name: Held(*row) for name, row in state.items()}
