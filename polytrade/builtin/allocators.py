"""How much of the capital a market gets: the `reference` formula and fractional binary Kelly.

Pure functions of the view and the portfolio (`spec: models`, allocator). That an engine stays
within its share of the capital, and that what only reduces a position is not scaled, is the
engine's business (`core/capital.py`).
"""

from typing import Final, final

import attrs

from polytrade.builtin.sections import of
from polytrade.builtin.sides import direction, fee_usdc
from polytrade.config import Allocator
from polytrade.core.adaptive import clamp
from polytrade.core.ids import NO, YES
from polytrade.core.roles import Portfolio, Share, View
from polytrade.core.units import ONE_E4

SCALE_MIN: Final = 0.05
PENALTY_MAX: Final = 0.9
SPREAD_FULL_BPS: Final = 200.0
"""Distance of a market's median markout from its lower quartile that counts as full variance."""
SIDE_SHARE: Final = 0.5
"""Part of the better side's Kelly fraction from which the other side is a bet as well."""

NO_BET: Final = "kelly"
NO_WORD: Final = "fair_value"
"""Why there is no share, behind `no_quote_` or `no_take_`."""


def variance_penalty(weight: float, markout10_p50: float, markout10_p25: float) -> float:
    """What the spread of a market's markouts takes off its size, in [0, 0.9]."""
    spread = abs(markout10_p50 - markout10_p25) / SPREAD_FULL_BPS
    penalty = weight * (spread if spread < 1.0 else 1.0)
    return penalty if penalty < PENALTY_MAX else PENALTY_MAX


def kelly_fraction(probability: float, price: float) -> float:
    """The share of the bankroll that maximizes its expected logarithm, in [0, 1]:
    `(p - price) / (1 - price)` for a share that pays 1 with probability p and costs `price`
    (J. L. Kelly, "A New Interpretation of Information Rate", 1956); 0 without an edge.
    """
    if not 0.0 < price < 1.0:
        return 0.0
    return clamp((probability - price) / (1.0 - price), 0.0, 1.0)


@final
@attrs.define(eq=False)
class ReferenceAllocator:
    """The `reference` allocator: Kelly's fraction by confidence, less where markouts vary."""

    capital_fraction_kelly: float = of(Allocator, "capital_fraction_kelly")
    variance_penalty_lambda: float = of(Allocator, "variance_penalty_lambda")

    def share(self, view: View, portfolio: Portfolio) -> Share:
        """`capital_fraction_kelly * confidence * (1 - penalty)`, within [0.05, 1]."""
        penalty = variance_penalty(
            self.variance_penalty_lambda, view.markout10_p50, view.markout10_p25
        )
        scale = self.capital_fraction_kelly * view.estimate.confidence * (1.0 - penalty)
        return Share(clamp(scale, SCALE_MIN, 1.0))


@final
@attrs.define(eq=False)
class KellyAllocator:
    """The `kelly` allocator: the shares that a bet is worth, less those held of it already.

    Shares of the asset's other markets that win in the same case count as held by `correlation`;
    those that win in the opposite case give no room. The scale is of the largest size wished; while
    none is known a bet gets the whole of it.
    """

    capital_fraction_kelly: float = of(Allocator, "capital_fraction_kelly")
    variance_penalty_lambda: float = of(Allocator, "variance_penalty_lambda")
    correlation: float = of(Allocator, "correlation", 1.0)

    def share(self, view: View, portfolio: Portfolio) -> Share:
        """What is wanted of the model's side, or of the fuller of both where both are bets.

        Nothing when that is less than the market's smallest order: it would be more than Kelly.
        """
        if not view.estimate.ok:
            return Share(0.0, NO_WORD)
        yes_price, no_price = bet_price(view, YES), bet_price(view, NO)
        yes = kelly_fraction(_worth(view, YES), yes_price)
        no = kelly_fraction(_worth(view, NO), no_price)
        least = max(yes, no) * SIDE_SHARE
        if least <= 0.0:
            return Share(0.0, NO_BET)
        bets: list[float] = []
        if yes >= least:
            bets.append(self._wanted_e6(view, portfolio, YES, yes, yes_price))
        if no >= least:
            bets.append(self._wanted_e6(view, portfolio, NO, no, no_price))
        wanted_e6 = min(bets)
        if wanted_e6 < view.market.spec.min_size_e6:
            return Share(0.0, NO_BET)
        wish_e6 = portfolio.wish_e6
        return Share(wanted_e6 / wish_e6 if wanted_e6 < wish_e6 else 1.0)

    def _wanted_e6(
        self, view: View, portfolio: Portfolio, token: int, fraction: float, price: float
    ) -> float:
        """Shares of `token` still to buy: those the bankroll asks for, less what is held."""
        penalty = variance_penalty(
            self.variance_penalty_lambda, view.markout10_p50, view.markout10_p25
        )
        part = fraction * self.capital_fraction_kelly * view.estimate.confidence * (1.0 - penalty)
        target_e6 = max(portfolio.equity_e6, 0) * part / price
        net_e6 = view.inventory.yes_e6 - view.inventory.no_e6
        siblings_e6 = portfolio.siblings_up_e6 * direction(view.market.spec.condition)
        if token == NO:
            net_e6, siblings_e6 = -net_e6, -siblings_e6
        return target_e6 - net_e6 - self.correlation * max(siblings_e6, 0)


def bet_price(view: View, token: int) -> float:
    """What a share of `token` is reckoned to cost: the ask and its fee where that has an edge.

    Elsewhere what a resting order pays: the best bid, or what leaves the least edge in force.
    """
    book = view.market.book
    ask_e4, bid_e4 = book.ask_e4, book.bid_e4
    if token == NO:
        ask_e4, bid_e4 = ONE_E4 - bid_e4, ONE_E4 - ask_e4
    worth = _worth(view, token)
    taken = ask_e4 / ONE_E4 + fee_usdc(view.market.spec, ask_e4)
    if worth > taken:
        return taken
    return min(bid_e4 / ONE_E4, worth / (1.0 + view.min_edge_bps * 1e-4))


def _worth(view: View, token: int) -> float:
    """The probability that `token` pays, less the model's own doubt."""
    fair = view.estimate.fair
    return (fair if token == YES else 1.0 - fair) - view.estimate.pad
