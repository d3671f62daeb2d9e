"""How much the fair value of each market moved lately: a decayed mean of squared changes."""

from typing import Any, Final

import attrs

SAMPLE_S: Final = 1.0
"""Changes are taken over at least this long, so that the tick rate does not matter."""
SAMPLES_MIN: Final = 10
"""Samples before the mean is believed: its standard error is then about 45 %."""
GAP_MAX_S: Final = 30.0
"""After a longer silence the change is not a sample."""
MARKETS_MAX: Final = 256
"""Markets remembered, far more than are quoted at once; the oldest goes first."""


@attrs.define
class Moved:
    """One market: the last sample and the variance per second (USDC squared)."""

    ts_ns: int
    fair: float
    variance: float = 0.0
    samples: int = 0


@attrs.define
class Volatility:
    """The realized volatility of fair values; `half_life_s` is in seconds of event time."""

    half_life_s: float
    markets: dict[str, Moved] = attrs.Factory(dict)

    def learn(self, market: str, fair: float, ts_ns: int) -> None:
        """Take a fair value; nothing before a second has passed since the last one taken."""
        kept = self.markets.get(market)
        if kept is None:
            if len(self.markets) >= MARKETS_MAX:
                del self.markets[next(iter(self.markets))]
            self.markets[market] = Moved(ts_ns, fair)
            return
        seconds = (ts_ns - kept.ts_ns) / 1e9
        if seconds < SAMPLE_S:
            return
        if seconds <= GAP_MAX_S:
            change = fair - kept.fair
            kept.samples += 1
            weight = max(1.0 - 0.5 ** (seconds / self.half_life_s), 1.0 / kept.samples)
            kept.variance += weight * (change * change / seconds - kept.variance)
        kept.ts_ns, kept.fair = ts_ns, fair

    def variance(self, market: str) -> float:
        """The variance per second; -1.0 while it is not known."""
        kept = self.markets.get(market)
        return kept.variance if kept is not None and kept.samples >= SAMPLES_MIN else -1.0

    def dump(self) -> dict[str, Any]:
        """Plain data."""
        return {name: list(attrs.astuple(kept)) for name, kept in self.markets.items()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take what `dump` gave."""
        self.markets = {name: Moved(*row) for name, row in state.items()}
