"""What a market demands of an order, what it charges and what it pays for."""

from typing import Final

import attrs

from polytrade.core.units import MS_NS

AMOUNT_DIGITS: Final = {1000: 3, 100: 4, 50: 5, 25: 6, 10: 5, 1: 6}
"""Decimals of a money amount by tick in 1e-4 (protocols 4.3)."""
TICKS_E4: Final = tuple(AMOUNT_DIGITS)
SIZE_DIGITS: Final = 2
MARKETABLE_MIN_E6: Final = 1_000_000
"""The least a marketable order may be worth: 1 pUSD (protocols 2.5)."""
FINE_TICK_E4: Final = 10
FINE_BELOW_E4: Final = 400
FINE_ABOVE_E4: Final = 9600
"""Outside of these prices a market of 0.01 changes to ticks of 0.001 (protocols 5.2)."""
PROTOCOLS: Final = ("v1", "v2")
"""Gamma's `version`: v1 is signed in domain "2", v2 in domain "3" (protocols 0.1)."""


@attrs.frozen
class FeeSchedule:
    """Taker fee `C * rate * (p (1 - p)) ** exponent`; makers get `rebate_rate` of it back daily."""

    rate_e6: int
    exponent: int = 1
    rebate_rate_e6: int = 0
    kind: str = ""
    """Gamma's `feeType`, such as `crypto_fees_v2`."""


@attrs.frozen
class RewardRules:
    """Liquidity rewards (protocols 8.3): `max_spread_e4` is a price distance, 450 for 4.5 cents."""

    min_size_e6: int
    max_spread_e4: int
    daily_e6: int
    min_age_ns: int = 3_500 * MS_NS


@attrs.define(eq=False, kw_only=True)
class MarketRules:
    """What is fixed about a market; only the tick may change during its life.

    `taker_delay_ns` holds marketable orders before they match; `answers_delayed` tells that the
    answer to such an order is `delayed` at once instead of its result (sports-like markets).
    """

    condition: str
    tokens: tuple[str, str]
    outcomes: tuple[str, str]
    tick_e4: int = 100
    min_size_e6: int = 5_000_000
    neg_risk: bool = False
    protocol: str = "v1"
    fees: FeeSchedule | None = None
    rewards: RewardRules | None = None
    taker_delay_ns: int = 0
    answers_delayed: bool = False
