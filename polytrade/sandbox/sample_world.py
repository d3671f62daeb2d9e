"""The invented prices behind the sample capture: a hidden price, its averages, a fair value.

The hidden log price is a random walk with calm and busy spells and jumps, bent so that it ends
where it began: a looped playback has no jump, and a window shared by two rounds has one strike.
"""

import math
import random
from typing import Final

STEP_MS: Final = 100
"""Grid of the hidden price."""
STEPS_PER_S: Final = 1000 // STEP_MS
LOOKBACK_S: Final = 60
"""Length of the settlement average (protocols 1.4)."""
ONE_E18: Final = 10**18
CALM_BPS: Final = 0.55
BUSY_BPS: Final = 1.7
"""Volatility per square root of a second; bitcoin at 50 % a year has 0.9."""
SPELL_STEPS: Final = 250
"""Mean length of a busy spell; calm ones are three times as long."""
JUMP_EVERY_S: Final = 80.0
BASIS_BPS: Final = 0.8
"""Largest distance of the settlement stream from the exchange's price."""
FAIR_MIN: Final = 0.002
MARKET_SIGMA_BPS: Final = 0.95
"""What the market believes the volatility to be."""


class HiddenPrice:
    """One coin's price on a 100 ms grid, periodic with the length of the capture.

    `at(step)` is the exchange's price in USD; steps count from the capture's begin and may be
    negative (the past is the end of the period).
    """

    def __init__(self, rng: random.Random, start: float, seconds: int) -> None:
        steps = seconds * STEPS_PER_S
        walk = [0.0]
        busy = False
        for _ in range(steps):
            if rng.random() < (1 / SPELL_STEPS if busy else 1 / (3 * SPELL_STEPS)):
                busy = not busy
            sigma = (BUSY_BPS if busy else CALM_BPS) * 1e-4 / math.sqrt(STEPS_PER_S)
            move = rng.gauss(0.0, sigma)
            if rng.random() < 1 / (JUMP_EVERY_S * STEPS_PER_S):
                move += rng.choice((-1, 1)) * rng.uniform(2.5e-4, 8e-4)
            walk.append(walk[-1] + move)
        drift = walk[-1] / steps
        self._prices = [start * math.exp(x - drift * i) for i, x in enumerate(walk[:-1])]
        self._steps = steps

    def at(self, step: int) -> float:
        """The exchange's price at a grid step."""
        return self._prices[step % self._steps]

    def anchor_e18(self, second: int) -> int:
        """The settlement stream's report of a second since the begin, as the feed scales it."""
        step = second * STEPS_PER_S
        phase = 2 * math.pi * (step % self._steps) / self._steps
        basis = 1 + BASIS_BPS * 1e-4 * math.sin(phase)
        return round(self.at(step) * basis * 10**8) * 10**10

    def twap_e18(self, second: int) -> int:
        """The average of the last 60 reports, `second` included, rounded down."""
        total = sum(self.anchor_e18(second - back) for back in range(LOOKBACK_S))
        return total // LOOKBACK_S


def _normal_cdf(z: float) -> float:
    return 0.5 * (1 + math.erf(z / math.sqrt(2)))


class FairValue:
    """The probability that a window's average ends at or above its strike, as a maker sees it.

    The average over the last minute has the variance of a walk of `left - 40` s before that minute
    begins, and a third of what is left of it within (variance of an average of a walk).
    """

    def __init__(self, price: HiddenPrice, start_s: int, end_s: int) -> None:
        self._price = price
        self._start_s = start_s
        self._end_s = end_s
        self._strike = price.twap_e18(start_s) / ONE_E18

    def at(self, step: int) -> float:
        """Fair value at a grid step, seen with the exchange's price of that step."""
        now_s = step / STEPS_PER_S
        if now_s < self._start_s:
            return 0.5
        if now_s >= self._end_s:
            won = self._price.twap_e18(self._end_s) >= self._price.twap_e18(self._start_s)
            return 1 - FAIR_MIN if won else FAIR_MIN
        left = self._end_s - now_s
        price = self._price.at(step)
        sigma = price * MARKET_SIGMA_BPS * 1e-4
        if left >= LOOKBACK_S:
            mean, deviation = price, sigma * math.sqrt(left - LOOKBACK_S * 2 / 3)
        else:
            known = range(self._end_s - LOOKBACK_S + 1, int(now_s) + 1)
            done = sum(self._price.anchor_e18(second) for second in known) / ONE_E18
            mean = (done + price * (LOOKBACK_S - len(known))) / LOOKBACK_S
            deviation = sigma * left / LOOKBACK_S * math.sqrt(left / 3) + 1e-9
        value = _normal_cdf((mean - self._strike) / deviation)
        return min(1 - FAIR_MIN, max(FAIR_MIN, value))
