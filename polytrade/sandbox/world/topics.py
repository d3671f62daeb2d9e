"""What the markets of one event have in common, and what each category of market demands."""

from collections.abc import Mapping
from typing import Final

import attrs

from polytrade.core.units import MS_NS, SECOND_NS
from polytrade.sandbox.matching.rules import FeeSchedule, MarketRules, RewardRules
from polytrade.sandbox.world.identifiers import v1_ids, v2_ids
from polytrade.sandbox.world.listing import Listing

CRYPTO: Final = "crypto"
POLITICS: Final = "politics"
SPORTS: Final = "sports"
GEOPOLITICS: Final = "geopolitics"
ECONOMY: Final = "economy"
FEES: Final[Mapping[str, FeeSchedule]] = {
    CRYPTO: FeeSchedule(70_000, 1, 200_000, "crypto_fees_v2"),
    POLITICS: FeeSchedule(40_000, 1, 250_000, "politics_fees_v2"),
    SPORTS: FeeSchedule(50_000, 1, 250_000, "sports_fees_v2"),
    ECONOMY: FeeSchedule(50_000, 1, 250_000, "economics_fees_v2"),
}
"""Protocols 8.1; a category that is not here is free. Names other than crypto's are our guess."""
REWARD_MIN_SIZE_E6: Final = 50_000_000
REWARD_SPREAD_E4: Final = 450


@attrs.frozen
class Tag:
    """A tag of Gamma's."""

    id: str
    label: str
    slug: str


@attrs.frozen
class Series:
    """A row of events that follow each other."""

    id: str
    slug: str
    title: str
    recurrence: str


@attrs.define(eq=False, kw_only=True)
class Topic:
    """An event of Gamma's: its markets in order, and what they share.

    `items` is by market slug: the market's place in the event (`112,000`, a candidate's name).
    `number` is Gamma's id; a market's is in `numbers` by slug.
    """

    slug: str
    title: str
    description: str
    source: str
    category: str
    listed_s: int
    start_s: int
    end_s: int
    tags: tuple[Tag, ...]
    series: Series | None = None
    neg_risk: bool = False
    listings: list[Listing] = attrs.field(factory=list)
    items: dict[str, str] = attrs.field(factory=dict)
    number: int = 0
    numbers: dict[str, int] = attrs.field(factory=dict)

    @property
    def closed(self) -> bool:
        """Whether the outcome of every market is known."""
        return all(listing.winner >= 0 for listing in self.listings)


@attrs.frozen
class Terms:
    """What the venue grants all markets alike: from the settings."""

    seed: int
    taker_delay_ms: int = 50
    sports_delay_s: int = 3
    rewards_daily_e6: int = 100_000_000


def rules_of(
    terms: Terms,
    event: str,
    slug: str,
    category: str,
    protocol: str,
    *,
    outcomes: tuple[str, str] = ("Yes", "No"),
    place: tuple[int, int] = (0, 1),
    neg_risk: bool = False,
    tick_e4: int = 100,
) -> MarketRules:
    """The rules of a market of a category; `place` is (its index, how many) in the event."""
    if protocol == "v2":
        condition, tokens = v2_ids(terms.seed, event, *place, neg_risk)
    else:
        condition, tokens = v1_ids(terms.seed, slug)
    sports = category == SPORTS
    delay_ns = terms.taker_delay_ms * MS_NS if category == CRYPTO else 0
    return MarketRules(
        condition=condition,
        tokens=tokens,
        outcomes=outcomes,
        tick_e4=tick_e4,
        neg_risk=neg_risk,
        protocol=protocol,
        fees=FEES.get(category),
        rewards=RewardRules(REWARD_MIN_SIZE_E6, REWARD_SPREAD_E4, terms.rewards_daily_e6),
        taker_delay_ns=terms.sports_delay_s * SECOND_NS if sports else delay_ns,
        answers_delayed=sports,
    )
