"""The `multi_kelly` allocator: the shares that a market's bet is worth beside all the others."""

from typing import Any, Final, final

import attrs

from polytrade.api import NO, YES, Portfolio, Share, View, setting, units
from polytrade_kelly import model
from polytrade_kelly.holdings import Holdings, held_of

STATE: Final = 1
"""Version of what `dump` gives."""
FEE_PROBE_E6: Final = 1_000 * units.ONE_E6
"""Shares over which a fee per share is measured: its rounding is then far below a basis point."""
SIDE_SHARE: Final = 0.5
"""Part of the better side's bet, in shares, from which the other side is a bet as well."""
NO_BET: Final = "kelly"
NO_WORD: Final = "fair_value"
DRAWDOWN: Final = "drawdown"
"""Why there is no share, behind `no_quote_` or `no_take_`."""


@final
@attrs.define(kw_only=True, eq=False)
class MultiKelly:
    """Fractional Kelly over correlated binaries; the first two settings are those of
    `[allocator]` unless given here.
    """

    capital_fraction_kelly: float = setting(0.35, "part of the Kelly size", ge=0.01, le=1)
    variance_penalty_lambda: float = setting(
        0.25, "weight of the markouts' spread against a size", ge=0, le=5
    )
    asset_correlation: float = setting(0.8, "correlation of the returns of two assets", ge=-1, le=1)
    hedge_credit: float = setting(
        0.5, "part of what an opposite position elsewhere makes room for", ge=0, le=1
    )
    doubt: float = setting(
        0.01, "standard error of a fair value of full confidence", unit="USDC", ge=0, le=0.5
    )
    confidence_doubt: float = setting(
        0.10, "further standard error of one of no confidence", unit="USDC", ge=0, le=1
    )
    volatility_error: float = setting(
        0.15, "relative standard error of the volatility behind a fair value", ge=0, le=2
    )
    drawdown_max: float = setting(
        0.05,
        "loss from the highest equity, as a share of it, at which nothing is traded; 0 is off",
        ge=0,
        le=1,
    )
    _holdings: Holdings = attrs.field(init=False, factory=Holdings)
    _peak_e6: int = attrs.field(init=False, default=0)

    def share(self, view: View, portfolio: Portfolio) -> Share:
        """What is wanted of the model's side, or of the fuller of both where both are bets.

        Nothing when that is less than the market's smallest order: it would be more than Kelly.
        What brings a position down needs no share: the engine lets it through whole.
        """
        self._peak_e6 = max(self._peak_e6, portfolio.equity_e6)
        if not view.estimate.ok:
            return Share(0.0, NO_WORD)
        self._holdings.note(view.market.spec.market, held_of(view), view.ts_ns)
        calm = model.drawdown_factor(portfolio.equity_e6, self._peak_e6, self.drawdown_max)
        if calm <= 0.0:
            return Share(0.0, DRAWDOWN)
        bankroll = max(portfolio.equity_e6, 0) / units.ONE_E6 * calm
        bankroll *= self.capital_fraction_kelly * (1.0 - self._penalty(view))
        bets = {token: bankroll * self._bet(view, token) for token in (YES, NO)}
        least = max(bets.values()) * SIDE_SHARE
        if least <= 0.0:
            return Share(0.0, NO_BET)
        held = self._held(view, portfolio)
        wanted = min(bet - held[token] for token, bet in bets.items() if bet >= least)
        if wanted < view.market.spec.min_size_e6 / units.ONE_E6:
            return Share(0.0, NO_BET)
        wish = portfolio.wish_e6 / units.ONE_E6
        return Share(wanted / wish if wanted < wish else 1.0)

    def standard_error(self, view: View) -> float:
        """How far the fair value may be off: two doubts and the volatility's, as if independent."""
        estimate = view.estimate
        unsure = self.confidence_doubt * (1.0 - min(max(estimate.confidence, 0.0), 1.0))
        volatile = model.volatility_doubt(estimate.fair, self.volatility_error)
        return float((self.doubt**2 + unsure**2 + volatile**2) ** 0.5)

    def _bet(self, view: View, token: int) -> float:
        """Shares of a token that the shrunk Kelly fraction buys for 1 USDC of bankroll."""
        worth, price = worth_of(view, token), bet_price(view, token)
        fraction = model.kelly_fraction(worth, price)
        if fraction <= 0.0:
            return 0.0
        return fraction * model.shrinkage(worth - price, self.standard_error(view)) / price

    def _penalty(self, view: View) -> float:
        """What the spread of the market's markouts takes off, as the built-in allocators do it."""
        spread = min(abs(view.markout10_p50 - view.markout10_p25) / 200.0, 1.0)
        return min(self.variance_penalty_lambda * spread, 0.9)

    def _held(self, view: View, portfolio: Portfolio) -> tuple[float, float]:
        """Shares of YES and of NO held here, with those that positions elsewhere are worth."""
        siblings_up = portfolio.siblings_up_e6 / units.ONE_E6
        name = view.market.spec.market
        yes = self._holdings.covered(name, view.ts_ns, self.asset_correlation, siblings_up)
        net = (view.inventory.yes_e6 - view.inventory.no_e6) / units.ONE_E6
        credit = self.hedge_credit
        return net + max(yes, credit * yes), -net + max(-yes, -credit * yes)

    def dump(self) -> dict[str, Any]:
        """The highest equity and what is held, as plain data."""
        return {"state": STATE, "peak_e6": self._peak_e6, "holdings": self._holdings.dump()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from there; ValueError for a state of another version."""
        if state.get("state") != STATE:
            raise ValueError(f"expected state {STATE}, found {state.get('state')!r}")
        self._peak_e6 = int(state["peak_e6"])
        self._holdings.restore(state["holdings"])


def worth_of(view: View, token: int) -> float:
    """The probability that `token` pays, less the model's own pad."""
    fair = view.estimate.fair
    return (fair if token == YES else 1.0 - fair) - view.estimate.pad


def bet_price(view: View, token: int) -> float:
    """What a share of `token` is reckoned to cost: the ask and its fee where that has an edge.

    Elsewhere what a resting order pays: the best bid, or what leaves the least edge in force.
    """
    book, spec = view.market.book, view.market.spec
    ask_e4, bid_e4 = book.ask_e4, book.bid_e4
    if token == NO:
        ask_e4, bid_e4 = units.ONE_E4 - bid_e4, units.ONE_E4 - ask_e4
    worth = worth_of(view, token)
    fee = units.fee_e6(FEE_PROBE_E6, ask_e4, spec.fee_rate_e6, spec.fee_exponent) / FEE_PROBE_E6
    taken = ask_e4 / units.ONE_E4 + fee
    if worth > taken:
        return taken
    return min(bid_e4 / units.ONE_E4, worth / (1.0 + view.min_edge_bps * 1e-4))
