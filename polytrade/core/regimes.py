"""Regimes: the toxicity score of a market and what it means, Safe, Caution or Danger.

`tox` is `2 * sigmoid(raw) - 1` of the markouts, spread, drift and staleness, so that a market in
which nothing is wrong scores 0, plus fixed amounts for markouts beyond the thresholds ("Toxicity"
in the specification of the models).
"""

from math import tanh
from typing import Final, final

from polytrade.core.units import MS_NS, ONE_E4

SAFE: Final = 0
CAUTION: Final = 1
DANGER: Final = 2
REGIME_NAMES: Final = ("safe", "caution", "danger")

WARM_UP: Final = "warmup_samples_lt_20"
WARM_UP_SHARE: Final = 0.8
"""In the warm-up the score is at most this share of `safe_threshold`."""

CAUTION_TTL_MS: Final = 600.0
CAUTION_TTL_TOX_MS: Final = 480.0
CAUTION_TTL_MIN_MS: Final = 50.0
"""A quote's time to live in Caution: the first where `tox` is 0, less the second times `tox`."""

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


@final
class MarkoutWord:
    """What a market's markouts alone say, kept until they or the settings change.

    `raw` is their part of the raw score, `adds` the amounts on top of the score in order, `regime`
    and `reason` what they make of the market whatever its score is.
    """

    __slots__ = ("adds", "markouts", "raw", "reason", "regime", "settings")

    def __init__(self, settings: ToxicitySettings, markouts: tuple[float, float, float]) -> None:
        self.settings = settings
        self.markouts = markouts
        one, five, ten = markouts
        self.raw = 0.30 * max(0.0, -one) / MARKOUT_SCALE_BPS
        self.raw += 0.25 * max(0.0, -five) / MARKOUT_SCALE_BPS
        self.raw += 0.20 * max(0.0, -ten) / MARKOUT_SCALE_BPS
        self.adds: list[float] = []
        self.regime: int = SAFE
        self.reason = ""
        for at, markout in enumerate(markouts):
            if markout <= settings.danger_bps[at]:
                self.adds.append(DANGER_ADDS[at])
                self._say(DANGER, f"{MARKOUT_NAMES[at]}_danger")
            elif markout <= settings.caution_bps[at]:
                self.adds.append(CAUTION_ADDS[at])
                self._say(CAUTION, f"{MARKOUT_NAMES[at]}_caution")

    def _say(self, regime: int, reason: str) -> None:
        """The worst counts, of equal ones the first."""
        if regime > self.regime:
            self.regime = regime
            self.reason = reason


def raw_score(word: MarkoutWord, spread_bps: float, drift: float, stale_ms: float) -> float:
    """The weighted sum of what speaks against a market; 0 when nothing does."""
    raw = word.raw + (0.10 * spread_bps / 50.0 + 0.10 * abs(drift) * 1e4 / 20.0)
    return raw + 0.05 * stale_ms / 1500.0


def tox_score(word: MarkoutWord, raw: float) -> float:
    """`2 * sigmoid(raw) - 1` and the amounts for markouts beyond the thresholds, in [0, 1]."""
    tox = tanh(raw / 2.0)
    for add in word.adds:
        tox += add
    if tox < 0.0:
        return 0.0
    return tox if tox < 1.0 else 1.0


def regime_at(word: MarkoutWord, tox: float) -> tuple[int, str]:
    """The regime by score and by markouts, with the first thing that makes it so."""
    if word.regime == DANGER:
        return DANGER, word.reason
    if tox >= word.settings.caution_threshold:
        return DANGER, "tox_score_danger"
    if word.regime == CAUTION:
        return CAUTION, word.reason
    if tox >= word.settings.safe_threshold:
        return CAUTION, "tox_score_caution"
    return SAFE, ""


def caution_ttl_ns(tox: float) -> int:
    """How long a quote keeps its place in Caution: `max(600 - 480 tox, 50)` ms."""
    return round(max(CAUTION_TTL_MS - CAUTION_TTL_TOX_MS * tox, CAUTION_TTL_MIN_MS) * MS_NS)
