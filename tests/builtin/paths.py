"""A million simulated settlements a case, from shared normals, in blocks that fit in memory."""

from collections.abc import Sequence
from math import sqrt

import numpy as np
import numpy.typing as npt

from polytrade.builtin.settlement import open_reports

PATHS = 1_000_000
BLOCK = 20_000
STEPS = 60

Case = tuple[float, float, int]
"""Volatility, seconds left, look-back of the average (0 settles on the spot)."""
Floats = npt.NDArray[np.float64]


def coming(left_s: float, lookback: int) -> int:
    """Reports still to come; a spot settlement is one."""
    return open_reports(left_s, lookback) if lookback else 1


def sums_to_come(cases: Sequence[Case], seed: int) -> dict[Case, Floats]:
    """For each case the sums of the reports to come over the price now, a million paths each.

    Exact at the reports: log prices step by normal increments of the right variance and drift. The
    same normals serve every case.
    """
    rng = np.random.default_rng(seed)
    found = {case: np.empty(PATHS) for case in cases}
    for start in range(0, PATHS, BLOCK):
        normals = rng.standard_normal((STEPS, BLOCK))
        for case in cases:
            sigma, left_s, lookback = case
            reports = coming(left_s, lookback)
            first_s = left_s - (reports - 1)
            steps = normals[:reports] * sigma - sigma * sigma / 2.0
            steps[0] = normals[0] * sigma * sqrt(first_s) - sigma * sigma * first_s / 2.0
            np.cumsum(steps, axis=0, out=steps)
            found[case][start : start + BLOCK] = np.exp(steps, out=steps).sum(axis=0)
    return found
