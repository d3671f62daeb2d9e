"""Latencies of the simulated venue: a measured distribution, drawn by counter."""

from typing import Final, final

from polytrade.core.units import MS_NS

QUANTILES: Final[tuple[float, ...]] = (0.0, 0.5, 0.9, 0.99, 1.0)
_MASK: Final = (1 << 64) - 1


@final
class LatencyDraw:
    """Latencies from a measured distribution: the same seed and count draw the same.

    `points_ms` are its values at `QUANTILES`. The numbers are splitmix64 of the counter
    (Steele, Lea, Flood 2014).
    """

    __slots__ = ("_drawn", "_points_ns", "_seed")

    def __init__(self, points_ms: tuple[float, ...], seed: int) -> None:
        assert len(points_ms) == len(QUANTILES), f"expected {len(QUANTILES)} latencies"
        self._points_ns = [round(point * MS_NS) for point in points_ms]
        self._seed = seed
        self._drawn = 0

    def next_ns(self) -> int:
        """The next latency in ns: linear between the quantiles."""
        self._drawn += 1
        z = (self._seed * 0x9E3779B97F4A7C15 + self._drawn * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        u = ((z ^ (z >> 31)) >> 11) / (1 << 53)
        index = 1
        while index < len(QUANTILES) - 1 and u > QUANTILES[index]:
            index += 1
        low, high = QUANTILES[index - 1], QUANTILES[index]
        at, to = self._points_ns[index - 1], self._points_ns[index]
        return at + round((to - at) * (u - low) / (high - low))
