"""The `glft` maker: closed-form half spread and skew around fair value, on the grid of the book."""

from math import ceil, floor, sqrt
from typing import Any, Final, final

import attrs

from polytrade.api import (
    View,
    Wish,
    ask_wish,
    bid_wish,
    caution_pad,
    quote_size_e6,
    setting,
    units,
)
from polytrade_glft import model
from polytrade_glft.intensity import Intensity
from polytrade_glft.orders import GRID_NOISE, SIZE_STEP_E6, silence
from polytrade_glft.volatility import Volatility

STATE: Final = 1
"""Version of what `dump` gives."""
WIDEST: Final = 0.5
"""A half spread as wide as the whole range of prices quotes nothing."""


@final
@attrs.define(kw_only=True, eq=False)
class GlftMaker:
    """Quotes of Gueant, Lehalle and Fernandez-Tapia for a payoff of 0 or 1.

    The first five settings are those of `[strategy]` unless given here.
    """

    base_quote_size: float = setting(10.0, "shares a quote", unit="shares", ge=0.01, le=1_000_000)
    join: bool = setting(True, "a quote better than the touch joins it instead of improving it")
    jump_bps: float = setting(
        4.0, "reference move within 250 ms that pulls the threatened side", unit="bps", ge=0
    )
    no_quote_before_end_s: float = setting(20.0, "no quotes this close to the end", unit="s", ge=0)
    no_quote_after_start_s: float = setting(
        2.0, "no quotes this soon after the start", unit="s", ge=0
    )
    risk_aversion: float = setting(
        0.02, "`g`: aversion to risk; 1 / g is about the money at stake", unit="1/USDC", ge=0, le=10
    )
    arrival_rate: float = setting(
        0.1, "`A`: fills of one side at no distance", unit="1/s", ge=0.0001, le=100
    )
    decay: float = setting(
        100.0, "`k`: fills fall by a factor of e each 1 / k", unit="1/USDC", ge=1, le=10_000
    )
    learn_half_life_s: float = setting(
        0.0,
        "half life of what is learnt of A and k from own fills; 0 learns nothing",
        unit="s",
        ge=0,
        le=1_000_000,
    )
    prior_s: float = setting(
        1800.0, "time of quoting that the settings of A and k count for", unit="s", ge=1
    )
    realized_weight: float = setting(
        0.5, "weight of the realized variance of fair value against the binary's own", ge=0, le=1
    )
    volatility_half_life_s: float = setting(
        30.0, "half life of the realized variance", unit="s", ge=1
    )
    reaction_s: float = setting(
        0.1, "time a quote stays exposed to a move before it is gone", unit="s", ge=0, le=10
    )
    max_skew: float = setting(0.05, "most shift for inventory", unit="USDC", ge=0, le=0.5)
    max_shares: float = setting(
        50.0, "net position from which the side that adds to it is not quoted", unit="shares", ge=0
    )
    _size_e6: int = attrs.field(init=False)
    _intensity: Intensity = attrs.field(init=False)
    _volatility: Volatility = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._size_e6 = round(self.base_quote_size * 100) * SIZE_STEP_E6
        self._intensity = Intensity(
            self.arrival_rate, self.decay, self.prior_s, self.learn_half_life_s
        )
        self._volatility = Volatility(self.volatility_half_life_s)

    @property
    def learnt(self) -> tuple[float, float]:
        """`A` a second and `k` per USDC as they are used now."""
        return self._intensity.arrival, self._intensity.decay

    def self_check(self) -> None:
        """ValueError when the settings ask for a spread that no market has room for."""
        half = model.half_spread(self.risk_aversion, self.decay, self.base_quote_size)
        if half >= WIDEST:
            raise ValueError(
                f"expected a half spread below {WIDEST} USDC, found {half:.3f} by risk_aversion "
                f"{self.risk_aversion}, decay {self.decay} and {self.base_quote_size} shares"
            )

    def quotes(self, view: View) -> tuple[list[Wish], str]:
        """At most one bid and one ask of YES, in whichever token is cheaper to trade."""
        name = view.market.spec.market
        net = (view.inventory.yes_e6 - view.inventory.no_e6) / units.ONE_E6
        self._intensity.seen(name, net, view.ts_ns)
        if view.estimate.ok:
            self._volatility.learn(name, view.estimate.fair, view.ts_ns)
        reason = silence(view, self.no_quote_after_start_s, self.no_quote_before_end_s)
        if reason:
            return [], reason
        return self._wishes(view, name, net)

    def _wishes(self, view: View, name: str, net: float) -> tuple[list[Wish], str]:
        base_e6 = quote_size_e6(self._size_e6, view)
        shares = base_e6 / units.ONE_E6
        fair, tick = view.estimate.fair, view.market.book.tick_e4
        bid_e4, ask_e4 = self._prices(view, net, shares)
        bid_safe, ask_safe = self._safe_sides(view)
        wishes: list[Wish] = []
        below = above = -1.0
        if bid_safe and tick <= bid_e4 < units.ONE_E4 and net < self.max_shares:
            bid = bid_e4 / units.ONE_E4
            edge = (fair - bid) / bid * 1e4
            if edge >= view.min_edge_bps:
                wishes.append(bid_wish(view, bid_e4, base_e6, edge))
                below = fair - bid
        if ask_safe and 0 < ask_e4 <= units.ONE_E4 - tick and -net < self.max_shares:
            ask = ask_e4 / units.ONE_E4
            edge = (ask - fair) / ask * 1e4
            if edge >= view.min_edge_bps:
                wishes.append(ask_wish(view, ask_e4, base_e6, edge))
                above = ask - fair
        if wishes:
            self._intensity.stand(name, net, below, above, shares, view.ts_ns)
        return wishes, "" if wishes else "no_quote_edge"

    def _safe_sides(self, view: View) -> tuple[bool, bool]:
        """Whether a jump of the reference leaves the bid and the ask alone; where it is not known
        which of them it threatens (a range), neither.
        """
        jump = view.reference.jump_bps() if view.reference is not None else 0.0
        way = view.market.direction
        if way == 0:
            calm = abs(jump) < self.jump_bps
            return calm, calm
        return jump * way > -self.jump_bps, jump * way < self.jump_bps

    def _prices(self, view: View, net: float, shares: float) -> tuple[int, int]:
        """The wanted bid and ask of YES: on the grid, away from fair value, not through the book.

        The shift gives up edge to get rid of inventory, but not the least edge: a quote it would
        leave without is put where it is reached.
        """
        fair, book = view.estimate.fair, view.market.book
        half, shift = self.spread(view, net, shares)
        least = view.min_edge_bps * 1e-4
        bid = min(fair - half - shift, max(fair - half, fair / (1.0 + least)))
        ask = fair + half - shift
        if least < 1.0:
            ask = max(ask, min(fair + half, fair / (1.0 - least)))
        top_e4, bottom_e4 = book.ask_e4 - 1, book.bid_e4 + 1
        if self.join:
            top_e4, bottom_e4 = min(top_e4, book.bid_e4), max(bottom_e4, book.ask_e4)
        tick = book.tick_e4
        bid_e4 = floor(min(bid * units.ONE_E4, top_e4) / tick + GRID_NOISE) * tick
        ask_e4 = ceil(max(ask * units.ONE_E4, bottom_e4) / tick - GRID_NOISE) * tick
        return bid_e4, ask_e4

    def spread(self, view: View, net: float, shares: float) -> tuple[float, float]:
        """Half spread and shift in USDC, both quotes lower by the shift."""
        volatility = self.volatility(view)
        arrival, decay = self.learnt
        aversion = self.risk_aversion
        lasting = model.lasting_slope(aversion, arrival, decay, shares, volatility)
        variance_left = model.binary_variance(view.estimate.fair)
        slope = model.slope(lasting, aversion, variance_left)
        half = model.half_spread(aversion, decay, shares) + slope * shares / 2.0
        half += volatility * sqrt(self.reaction_s) + view.estimate.pad + caution_pad(view)
        return half, min(max(slope * net, -self.max_skew), self.max_skew)

    def volatility(self, view: View) -> float:
        """Standard deviation of fair value in a second: the binary's and the realized one."""
        spec, fair = view.market.spec, view.estimate.fair
        realized = self._volatility.variance(spec.market)
        if not spec.end_ns or spec.condition == "other":
            return sqrt(max(realized, 0.0))
        average_s = float(spec.lookback_s) if spec.settle == "twap" else 0.0
        left_s = (spec.end_ns - view.ts_ns) / units.SECOND_NS
        seconds = model.effective_seconds(left_s, average_s)
        own = model.binary_volatility(fair, seconds)
        if realized < 0.0:
            return own
        weight = self.realized_weight
        return sqrt((1.0 - weight) * own * own + weight * realized)

    def dump(self) -> dict[str, Any]:
        """What was learnt, as plain data."""
        return {
            "state": STATE,
            "intensity": self._intensity.dump(),
            "volatility": self._volatility.dump(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on with what another one learnt; ValueError for a state of another version."""
        if state.get("state") != STATE:
            raise ValueError(f"expected state {STATE}, found {state.get('state')!r}")
        self._intensity.restore(state["intensity"])
        self._volatility.restore(state["volatility"])
