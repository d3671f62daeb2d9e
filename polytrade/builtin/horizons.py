"""Groups of time left to the end of a market, the same for blending, calibration and reports.

A forecast five minutes before the end and one five seconds before it are different crafts: their
scores are never pooled without also being shown apart.
"""

from bisect import bisect_right
from typing import Final

EDGES_S: Final = (20.0, 60.0, 180.0, 600.0)
"""Borders in seconds: 20 is where quoting stops by default, 60 where a 60 s average begins."""
NAMES: Final = ("under 20 s", "20-60 s", "1-3 min", "3-10 min", "over 10 min")
HORIZONS: Final = len(NAMES)


def horizon_of(left_s: float) -> int:
    """The group of `left_s` seconds to the end; a border belongs to the longer group."""
    return bisect_right(EDGES_S, left_s)
