"""Regimes: the toxicity score of a market and what it means, Safe, Caution or Danger.

`tox` is `2 * sigmoid(raw) - 1` of the markouts, spread, drift and staleness, so that a market in
which nothing is wrong scores 0, plus fixed amounts for markouts beyond the thresholds ("Toxicity"
in the specification of the models).
"""

from math import tanh
from typing import Final, final

from polytrade.core.units import ONE_E4

SAFE: Final = 0
CAUTION: Final = 1
DANGER: Final = 2
REGIME_NAMES: Final = ("safe", "caution", "danger")

WARM_UP: Final = "warmup_samples_lt_20"
WARM_UP_SHARE: Final = 0.8
"""In the warm-up the score is at most this share of `safe_threshold`."""

MARKOUT_SCALE_BPS: Final = 20.0
DANGER_ADDS: Final = (0.30, 0.25, 0.20)
CAUTION_ADDS: Final = (0.15, 0.12, 0.10)
MARKOUT_NAMES: Final = ("markout_1s", "markout_5s", "markout_10s")


@final
class ToxicitySettings:
    """The `[toxicity]` section, with the names and ranges of `reload_toxicity`.

    `min_edge_bps` and `max_spread_e4` are the strategy's base values, from which the adaptive
    limits start. Ranges are checked where the configuration is read; here they are asserted.
    """

    __slots__ = (
        "active_top_n_markets",
        "caution_bps",
        "caution_threshold",
        "cooldown_max_sec",
        "cooldown_min_sec",
        "danger_bps",
        "max_spread_e4",
        "min_edge_bps",
        "min_market_score",
        "safe_threshold",
    )

    def __init__(
        self,
        safe_threshold: float = 0.35,
        caution_threshold: float = 0.65,
        cooldown_min_sec: float = 30.0,
        cooldown_max_sec: float = 120.0,
        min_market_score: float = 70.0,
        active_top_n_markets: int = 8,
        markout_1s_caution_bps: float = -4.0,
        markout_5s_caution_bps: float = -6.0,
        markout_10s_caution_bps: float = -8.0,
        markout_1s_danger_bps: float = -10.0,
        markout_5s_danger_bps: float = -14.0,
        markout_10s_danger_bps: float = -18.0,
        min_edge_bps: float = 4.0,
        max_spread_e4: int = 300,
    ) -> None:
        assert 0.0 <= safe_threshold <= caution_threshold <= 1.0, "expected 0 <= safe <= caution"
        assert 1.0 <= cooldown_min_sec <= cooldown_max_sec, "expected 1 <= min <= max"
        assert 0.0 <= min_market_score <= 100.0 and active_top_n_markets >= 0
        assert min_edge_bps >= 0.0 and 0 < max_spread_e4 <= ONE_E4
        self.safe_threshold = safe_threshold
        self.caution_threshold = caution_threshold
        self.cooldown_min_sec = cooldown_min_sec
        self.cooldown_max_sec = cooldown_max_sec
        self.min_market_score = min_market_score
        self.active_top_n_markets = active_top_n_markets
        self.caution_bps = (
            markout_1s_caution_bps,
            markout_5s_caution_bps,
            markout_10s_caution_bps,
        )
        self.danger_bps = (markout_1s_danger_bps, markout_5s_danger_bps, markout_10s_danger_bps)
        for danger, caution in zip(self.danger_bps, self.caution_bps, strict=True):
            assert danger <= caution, f"expected danger <= caution, found {danger} > {caution}"
        self.min_edge_bps = min_edge_bps
        self.max_spread_e4 = max_spread_e4


def raw_score(
    markout_1s: float,
    markout_5s: float,
    markout_10s: float,
    spread_bps: float,
    drift: float,
    stale_ms: float,
) -> float:
    """The weighted sum of what speaks against a market; 0 when nothing does."""
    scale = MARKOUT_SCALE_BPS
    raw = 0.30 * max(0.0, -markout_1s) / scale
    raw += 0.25 * max(0.0, -markout_5s) / scale
    raw += 0.20 * max(0.0, -markout_10s) / scale
    raw += 0.10 * spread_bps / 50.0 + 0.10 * abs(drift) * 1e4 / 20.0
    return raw + 0.05 * stale_ms / 1500.0


def tox_score(settings: ToxicitySettings, raw: float, markouts: tuple[float, ...]) -> float:
    """`2 * sigmoid(raw) - 1` and the amounts for markouts beyond the thresholds, in [0, 1]."""
    tox = tanh(raw / 2.0)
    for at, markout in enumerate(markouts):
        if markout <= settings.danger_bps[at]:
            tox += DANGER_ADDS[at]
        elif markout <= settings.caution_bps[at]:
            tox += CAUTION_ADDS[at]
    return min(max(tox, 0.0), 1.0)


def regime_at(
    settings: ToxicitySettings, tox: float, markouts: tuple[float, ...]
) -> tuple[int, str]:
    """The regime by score and by markouts, with the first thing that makes it so."""
    for at, markout in enumerate(markouts):
        if markout <= settings.danger_bps[at]:
            return DANGER, f"{MARKOUT_NAMES[at]}_danger"
    if tox >= settings.caution_threshold:
        return DANGER, "tox_score_danger"
    for at, markout in enumerate(markouts):
        if markout <= settings.caution_bps[at]:
            return CAUTION, f"{MARKOUT_NAMES[at]}_caution"
    if tox >= settings.safe_threshold:
        return CAUTION, "tox_score_caution"
    return SAFE, ""
