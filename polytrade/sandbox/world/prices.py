"""The hidden prices everything at the venue is about, and the settlement stream made of them.

One log price a coin on a 50 ms grid: calm, busy and stormy spells, jumps, and a factor common to
all coins. It moves with the venue's time and by nothing else, so a path is a matter of the seed and
the second it began. What lies before that second is one price a minute, filled in when asked for.
"""

import math
import random
from array import array
from collections.abc import Mapping
from typing import Final

import attrs

from polytrade.core.units import ONE_E8, SECOND_NS
from polytrade.sandbox.schedule import Schedule

STEP_NS: Final = 50_000_000
STEPS_PER_S: Final = SECOND_NS // STEP_NS
YEAR_S: Final = 365.25 * 86_400
STEPS_KEPT: Final = 256
"""Steps remembered for who sees the price late: 12.8 s, the slowest exchange needs 0.2."""
HISTORY_S: Final = 27 * 3600
"""Seconds known from before the start: a day's window and an hour of margin, with its average."""
MINUTE_S: Final = 60
BRIDGES_MAX: Final = 64
"""Minutes of the past kept filled in: an average touches two a coin."""
SECONDS_MAX: Final = 2 * 86_400
"""Seconds kept of the time since the start: a strike is looked up at most a day later."""
REPORTS_MAX: Final = 2_048
"""Reports kept made: two minutes of eight coins, and the averages of some strikes."""
LOST_MAX: Final = 10_000
"""Lost reports remembered: a scenario loses a handful."""
CORRELATION: Final = 0.75
"""Between the small moves of two coins."""
JUMP_EVERY_S: Final = 300.0
JUMP_BPS: Final = (2.5, 15.0)
"""Least and most of a jump; the logarithm between is uniform."""
JUMP_COMMON: Final = 0.6
"""Share of jumps that all coins make."""
SPELLS: Final = (("calm", 0.68, 600.0), ("busy", 1.35, 240.0), ("storm", 3.0, 45.0))
"""Name, times the usual volatility, mean length in seconds; mean variance about 1."""
CALM, BUSY, STORM = range(3)
STORM_SHARE: Final = 0.15
"""Share of busy spells that end in a storm."""
DIFFUSION_MIN: Final = 0.25
"""Least share of a coin's variance that is not jumps."""
START_SPREAD: Final = 0.02
"""The first price is within so much of the coin's usual one."""
ONE_E10: Final = 10**10
BASIS_WAVES: Final = ((600_000, 1_830.0), (400_000, 411.0))
"""Height in 1e-10 and period in seconds of the waves between exchanges and settlement stream:
together at most 1 basis point."""


@attrs.frozen
class CoinSpec:
    """A coin's usual price in USD and its volatility a year (0.5 is 50 %)."""

    usd: float
    sigma_year: float


COINS: Final[Mapping[str, CoinSpec]] = {
    "btc": CoinSpec(98_400.0, 0.50),
    "eth": CoinSpec(3_260.0, 0.68),
    "sol": CoinSpec(171.0, 0.82),
    "xrp": CoinSpec(2.31, 0.85),
    "doge": CoinSpec(0.182, 0.95),
    "bnb": CoinSpec(905.0, 0.60),
    "hype": CoinSpec(38.0, 1.05),
    "zec": CoinSpec(480.0, 1.20),
}


class _Path:
    """One coin: where its log price is, how much it moves a step, and where it was."""

    def __init__(self, coin: str, spec: CoinSpec, coins: int, rng: random.Random) -> None:
        self.coin = coin
        total = spec.sigma_year**2 / YEAR_S
        jumps = _jump_variance() * (JUMP_COMMON + (1 - JUMP_COMMON) / coins)
        jumps = min(jumps, total * (1 - DIFFUSION_MIN))
        self.total = math.sqrt(total)
        self.jumps = jumps
        self.diffusion = math.sqrt(total - jumps)
        step = self.diffusion / math.sqrt(STEPS_PER_S)
        self.common_step = step * math.sqrt(CORRELATION)
        self.own_step = step * math.sqrt(1 - CORRELATION)
        self.log = math.log(spec.usd * (1 + START_SPREAD * (2 * rng.random() - 1)))
        self.phase = rng.uniform(0.0, 2 * math.pi)
        self.ring = [self.now_e8()] * STEPS_KEPT
        self.seconds = array("q", [self.now_e8()])
        self.minutes: list[float] = []

    def now_e8(self) -> int:
        return round(math.exp(self.log) * ONE_E8)


def _jump_variance() -> float:
    """Of the jumps of one coin that made all of them, a second."""
    low, high = JUMP_BPS
    square = (high**2 - low**2) / (2 * math.log(high / low))
    return square * 1e-8 / JUMP_EVERY_S


class Prices:
    """Hidden prices of `coins` from the second `schedule` is in when made; lower-case names.

    Prices of exchanges are 1e-8 USD, of the settlement stream 1e-18 USD. Every read is as of the
    schedule's `now_ns`: a second's report is known once that second has begun.
    """

    def __init__(self, seed: int, coins: Mapping[str, CoinSpec], schedule: Schedule) -> None:
        self.coins = tuple(coins)
        self.seed = seed
        self.start_s = schedule.now_ns // SECOND_NS
        self._schedule = schedule
        self._name = f"prices/{seed}/{self.start_s}"
        self._rng = rng = random.Random(self._name)
        self._paths = [_Path(coin, spec, len(coins), rng) for coin, spec in coins.items()]
        self._by_coin = {path.coin: path for path in self._paths}
        self._step = 0
        self._first_s = self.start_s
        self._next_ns = self.start_s * SECOND_NS + STEP_NS
        self._spell = CALM
        self._lost: dict[tuple[str, int], None] = {}
        self._reports: dict[tuple[str, int], int] = {}
        self._bridges: dict[tuple[str, int], list[int]] = {}
        self._make_past(rng)

    def spot_e8(self, coin: str) -> int:
        """What exchanges trade around now."""
        self._catch_up()
        return self._by_coin[coin].ring[self._step % STEPS_KEPT]

    def spot_at_e8(self, coin: str, ts_ns: int) -> int:
        """What `spot_e8` was at a time gone by, at most 12.8 s ago; older times give the oldest."""
        self._catch_up()
        step = (ts_ns - self.start_s * SECOND_NS) // STEP_NS
        step = min(self._step, max(step, self._step - STEPS_KEPT + 1))
        return self._by_coin[coin].ring[step % STEPS_KEPT]

    def second_e8(self, coin: str, second: int) -> int:
        """What `spot_e8` was as a second began; -1 when it has not begun or is too long ago."""
        self._catch_up()
        path = self._by_coin[coin]
        if second >= self._first_s:
            index = second - self._first_s
            return path.seconds[index] if index < len(path.seconds) else -1
        if second >= self.start_s or second < self.start_s - HISTORY_S:
            return -1
        return self._past_e8(path, self.start_s - second)

    def report_e18(self, coin: str, second: int) -> int:
        """The settlement stream's report stamped a second; -1 when unknown yet or lost."""
        return -1 if (coin, second) in self._lost else self.official_e18(coin, second)

    def official_e18(self, coin: str, second: int) -> int:
        """`report_e18` whether or not its relays lost it: what markets are settled by."""
        report_e18 = self._reports.get((coin, second))
        if report_e18 is not None:
            return report_e18
        price_e8 = self.second_e8(coin, second)
        if price_e8 < 0:
            return -1
        report_e18 = price_e8 * (ONE_E10 + self._basis_e10(self._by_coin[coin], second))
        if len(self._reports) >= REPORTS_MAX:
            del self._reports[next(iter(self._reports))]
        self._reports[coin, second] = report_e18
        return report_e18

    def twap_e18(self, coin: str, second: int, window_s: int) -> int:
        """The mean of the `window_s` official reports up to and including `second`, rounded down.

        -1 when one of them is not known.
        """
        reports = [self.official_e18(coin, second - back) for back in range(window_s)]
        return -1 if min(reports) < 0 else sum(reports) // window_s

    def sigma_bps(self, coin: str) -> float:
        """The true volatility now, in basis points per square root of a second, jumps included."""
        self._catch_up()
        path = self._by_coin[coin]
        spell = path.diffusion * SPELLS[self._spell][1]
        return math.sqrt(spell**2 + path.jumps) * 1e4

    @property
    def spell(self) -> str:
        """`calm`, `busy` or `storm`."""
        self._catch_up()
        return SPELLS[self._spell][0]

    def bustle(self) -> float:
        """How busy markets are now: 0.68 when calm, 3 in a storm."""
        self._catch_up()
        return SPELLS[self._spell][1]

    def lose_report(self, coin: str, second: int) -> None:
        """No relay will bring this report; averages and settlement know it all the same."""
        self._lost[coin, second] = None
        if len(self._lost) > LOST_MAX:
            del self._lost[next(iter(self._lost))]

    def jump(self, coin: str, bps: float) -> None:
        """The price jumps with the next step, as a scenario says."""
        self._catch_up()
        self._by_coin[coin].log += bps * 1e-4

    def _catch_up(self) -> None:
        while self._schedule.now_ns >= self._next_ns:
            self._move()

    def _move(self) -> None:
        rng = self._rng
        self._step += 1
        self._next_ns += STEP_NS
        new_second = self._step % STEPS_PER_S == 0
        if new_second:
            self._change_spell()
        times = SPELLS[self._spell][1]
        common = rng.gauss(0.0, times)
        if rng.random() < 1 / (JUMP_EVERY_S * STEPS_PER_S):
            self._jump_by_itself()
        slot = self._step % STEPS_KEPT
        for path in self._paths:
            path.log += path.common_step * common + path.own_step * rng.gauss(0.0, times)
            path.ring[slot] = price_e8 = path.now_e8()
            if new_second:
                path.seconds.append(price_e8)
        if new_second and len(self._paths[0].seconds) > SECONDS_MAX:
            self._first_s += SECONDS_MAX // 2
            for path in self._paths:
                del path.seconds[: SECONDS_MAX // 2]

    def _change_spell(self) -> None:
        if self._rng.random() >= 1 / SPELLS[self._spell][2]:
            return
        if self._spell == BUSY:
            self._spell = STORM if self._rng.random() < STORM_SHARE else CALM
        else:
            self._spell = BUSY

    def _jump_by_itself(self) -> None:
        rng = self._rng
        low, high = JUMP_BPS
        size = low * (high / low) ** rng.random() * 1e-4 * rng.choice((-1, 1))
        paths = self._paths if rng.random() < JUMP_COMMON else [rng.choice(self._paths)]
        for path in paths:
            path.log += size

    def _basis_e10(self, path: _Path, second: int) -> int:
        return round(
            sum(
                height * math.sin(2 * math.pi * second / period + path.phase)
                for height, period in BASIS_WAVES
            )
        )

    def _make_past(self, rng: random.Random) -> None:
        """Walk back from the start, a minute a step."""
        root = math.sqrt(MINUTE_S)
        for path in self._paths:
            path.minutes.append(path.log)
        for _ in range(HISTORY_S // MINUTE_S + 1):
            common = rng.gauss(0.0, math.sqrt(CORRELATION))
            for path in self._paths:
                move = common + rng.gauss(0.0, math.sqrt(1 - CORRELATION))
                path.minutes.append(path.minutes[-1] - path.total * root * move)

    def _past_e8(self, path: _Path, ago_s: int) -> int:
        """The price so many seconds before the start, on a bridge between two minutes."""
        minute, second = divmod(ago_s, MINUTE_S)
        bridge = self._bridges.get((path.coin, minute))
        if bridge is None:
            rng = random.Random(f"{self._name}/{path.coin}/{minute}")
            walk = [0.0]
            for _ in range(MINUTE_S):
                walk.append(walk[-1] + rng.gauss(0.0, path.total))
            near, far = path.minutes[minute], path.minutes[minute + 1]
            tilt = (far - near - walk[-1]) / MINUTE_S
            logs = [near + x + tilt * i for i, x in enumerate(walk[:-1])]
            bridge = [round(math.exp(x) * ONE_E8) for x in logs]
            if len(self._bridges) >= BRIDGES_MAX:
                del self._bridges[next(iter(self._bridges))]
            self._bridges[path.coin, minute] = bridge
        return bridge[second]
