"""How often a quote fills by its distance from fair value: `A exp(-k distance)` a second.

`A` and `k` are the maximum of a Poisson likelihood over what our own quotes met: how long they
stood at each distance and how many were filled there. The settings are the prior: as if quotes had
stood for `prior_s` at every distance and filled as the settings say.
"""

from math import exp, log
from typing import Any, Final

import attrs

STEP: Final = 0.0025
"""Width of a class of distances in USDC, a quarter of the usual tick."""
CLASSES: Final = 20
"""Distances up to 5 cents are learnt from."""
ROUNDS: Final = 12
"""Newton's method settles in about five from the last solution."""
STRIDE_MAX: Final = 1.0
FACTOR_MAX: Final = 8.0
"""How far the estimates may go from the settings, up or down, as a factor."""
GAP_MAX_S: Final = 5.0
"""A quote that was not looked at for longer is not known to have stood."""
FIT_S: Final = 10.0
"""Event time between two fits."""
MARKETS_MAX: Final = 256
PAIR_MAX: Final = 1.5
"""A change of position beyond this share of the quote was not a fill of it alone."""


@attrs.define
class Standing:
    """A market's quotes as last wished: distances in USDC, -1.0 for none, and the position."""

    ts_ns: int
    net: float
    bid: float
    ask: float
    shares: float


@attrs.define
class Intensity:
    """The two parameters and what they were learnt from; `arrival` fills a second, `decay` per
    USDC. With `half_life_s` 0 nothing is learnt.
    """

    arrival_prior: float
    decay_prior: float
    prior_s: float
    half_life_s: float
    arrival: float = attrs.field(init=False)
    decay: float = attrs.field(init=False)
    exposure_s: list[float] = attrs.field(init=False)
    fills: list[float] = attrs.field(init=False)
    fitted_ns: int = attrs.field(init=False, default=0)
    standing: dict[str, Standing] = attrs.field(init=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        self.arrival = self.arrival_prior
        self.decay = self.decay_prior
        self.exposure_s = [0.0] * CLASSES
        self.fills = [0.0] * CLASSES

    def seen(self, market: str, net: float, ts_ns: int) -> None:
        """What became of the quotes of the last decision, as the position tells it.

        The taker's fills of the same market and direction cannot be told apart from ours.
        """
        if self.half_life_s <= 0.0:
            return
        stood = self.standing.pop(market, None)
        if stood is not None and stood.shares > 0.0:
            seconds = (ts_ns - stood.ts_ns) / 1e9
            if 0.0 <= seconds <= GAP_MAX_S:
                filled = (net - stood.net) / stood.shares
                self._count(stood.bid, seconds, filled)
                self._count(stood.ask, seconds, -filled)
        if not self.fitted_ns:
            self.fitted_ns = ts_ns
        elif ts_ns - self.fitted_ns >= FIT_S * 1e9:
            self._age((ts_ns - self.fitted_ns) / 1e9)
            self.fitted_ns = ts_ns
            self.fit()

    def stand(
        self, market: str, net: float, bid: float, ask: float, shares: float, ts_ns: int
    ) -> None:
        """Quotes are wished so far from fair value; -1.0 for a side that is not."""
        if self.half_life_s <= 0.0:
            return
        if len(self.standing) >= MARKETS_MAX:
            del self.standing[next(iter(self.standing))]
        self.standing[market] = Standing(ts_ns, net, bid, ask, shares)

    def _count(self, distance: float, seconds: float, filled: float) -> None:
        at = int(distance / STEP)
        if distance < 0.0 or at >= CLASSES:
            return
        self.exposure_s[at] += seconds
        if 0.0 < filled <= PAIR_MAX:
            self.fills[at] += min(filled, 1.0)

    def _age(self, seconds: float) -> None:
        kept = 0.5 ** (seconds / self.half_life_s)
        for at in range(CLASSES):
            self.exposure_s[at] *= kept
            self.fills[at] *= kept

    def fit(self) -> None:
        """Newton's method on the concave likelihood, a stride at most a factor of e at a time."""
        rows = []
        prior_s = self.prior_s / CLASSES
        for at in range(CLASSES):
            distance = (at + 0.5) * STEP
            expected = prior_s * self.arrival_prior * exp(-self.decay_prior * distance)
            rows.append((distance, self.exposure_s[at] + prior_s, self.fills[at] + expected))
        level, decay = log(self.arrival), self.decay
        for _ in range(ROUNDS):
            up = down = both = left = right = 0.0
            for distance, seconds, fills in rows:
                mean = seconds * exp(level - decay * distance)
                left += fills - mean
                right -= distance * (fills - mean)
                up += mean
                both -= distance * mean
                down += distance * distance * mean
            scale = up * down - both * both
            if scale <= 0.0:
                break
            step = (down * left - both * right) / scale
            turn = (up * right - both * left) / scale
            most = STRIDE_MAX / max(abs(step), abs(turn) / self.decay_prior, STRIDE_MAX)
            level, decay = level + most * step, decay + most * turn
            decay = _within(decay, self.decay_prior)
            level = log(_within(exp(level), self.arrival_prior))
        self.arrival, self.decay = exp(level), decay

    def dump(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "arrival": self.arrival,
            "decay": self.decay,
            "exposure_s": list(self.exposure_s),
            "fills": list(self.fills),
            "fitted_ns": self.fitted_ns,
            "standing": {name: list(attrs.astuple(row)) for name, row in self.standing.items()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take what `dump` gave; ValueError when its classes of distances are others.

        What was learnt is kept within reach of the settings, which may have changed.
        """
        if len(state["exposure_s"]) != CLASSES or len(state["fills"]) != CLASSES:
            raise ValueError(f"expected {CLASSES} classes, found {len(state['exposure_s'])}")
        if self.half_life_s <= 0.0:
            return
        self.exposure_s = [float(value) for value in state["exposure_s"]]
        self.fills = [float(value) for value in state["fills"]]
        self.fitted_ns = int(state["fitted_ns"])
        self.standing = {name: Standing(*row) for name, row in state["standing"].items()}
        self.arrival = _within(float(state["arrival"]), self.arrival_prior)
        self.decay = _within(float(state["decay"]), self.decay_prior)


def _within(value: float, prior: float) -> float:
    return min(max(value, prior / FACTOR_MAX), prior * FACTOR_MAX)
