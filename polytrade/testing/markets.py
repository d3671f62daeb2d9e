"""A made-up market, event by event: for tests that must be quick and the same everywhere."""

import hashlib
from collections.abc import Iterator
from math import erf, sqrt
from typing import Any, Final

from polytrade.core.events import (
    ClockTicked,
    Event,
    FeedUp,
    MarketResolved,
    ReferenceTicked,
    TradePrinted,
)
from polytrade.core.ids import ANCHOR, BUY, FAST, NO, SELL, YES
from polytrade.core.units import MS_NS, ONE_E6, SECOND_NS
from polytrade.session import BOOK_SOURCE
from polytrade.testing.builders import END_NS, START_NS, STRIKE, listing, snapshot

TICK_NS: Final = 100 * MS_NS
VOLATILITY: Final = 1.0
"""USD that the price moves in a step of a tenth of a second."""
SOURCES: Final = ("binance", "coinbase")
LEVELS: Final = 5
DEPTH: Final = 60.0
"""Shares of each level."""
PRINT: Final = 150.0
"""Shares of a trade: more than the first levels have, so that what rests there is reached."""


def market_events(seconds: float = 60.0, seed: int = 1, **terms: Any) -> list[Event]:
    """The events of `seconds` of one five-minute market: books, prices, trades, clock ticks.

    Reference prices walk at random from the strike, the book follows the chance that they end
    above it, every second a trade goes through one side. Beyond 300 s the market is resolved. The
    same arguments give the same events on every machine; `terms` are fields of
    `events.MarketListed`. A run's own first event is not among them: `run_strategy` adds it.
    """
    return list(_events(seconds, seed, terms))


def _events(seconds: float, seed: int, terms: dict[str, Any]) -> Iterator[Event]:
    spec = listing(START_NS, **terms)
    yield FeedUp(START_NS, f"{BOOK_SOURCE}/0")
    yield spec
    price, now_ns = STRIKE, START_NS
    for step in range(round(seconds * 10)):
        now_ns = START_NS + step * TICK_NS
        left_s = (spec.end_ns - now_ns) / SECOND_NS
        if left_s <= 0:
            break
        price += VOLATILITY * _normal(seed, step)
        for source in SOURCES:
            yield ReferenceTicked(now_ns, spec.symbol, source, FAST, round(price * 1e8), now_ns)
        if step % 10 == 0:
            yield ReferenceTicked(
                now_ns, spec.symbol, "chainlink", ANCHOR, round(price * 1e8), now_ns
            )
        fair = _chance(price - STRIKE, left_s)
        middle = min(max(round(fair * 100), LEVELS + 2), 100 - LEVELS - 2)
        bids = {float(middle - 1 - at): DEPTH for at in range(LEVELS)}
        asks = {float(middle + 1 + at): DEPTH for at in range(LEVELS)}
        for token, (low, high) in ((YES, (bids, asks)), (NO, (_mirror(asks), _mirror(bids)))):
            shown = snapshot(spec.market, low, high, now_ns, now_ns // MS_NS)
            shown.token = token
            yield shown
        if step % 10 == 5:
            side = BUY if _draw(seed, f"side{step}") < 0.5 else SELL
            cents = middle + 2 if side == BUY else middle - 2
            yield TradePrinted(
                now_ns,
                spec.market,
                YES,
                side,
                cents * 100,
                round(PRINT * ONE_E6),
                now_ns // MS_NS,
                f"t{step}",
            )
        yield ClockTicked(now_ns)
    if now_ns + TICK_NS >= END_NS and seconds * SECOND_NS > END_NS - START_NS:
        winner = YES if price >= STRIKE else NO
        yield MarketResolved(spec.end_ns + SECOND_NS, spec.market, winner, "test")
        yield ClockTicked(spec.end_ns + 2 * SECOND_NS)


def _mirror(levels: dict[float, float]) -> dict[float, float]:
    """One token's side in the other one's terms."""
    return {100.0 - price: size for price, size in levels.items()}


def _chance(ahead: float, left_s: float) -> float:
    """The probability that a walk which is `ahead` ends at or above the strike."""
    spread = VOLATILITY * sqrt(left_s * 10)
    return 0.5 * (1.0 + erf(ahead / spread / sqrt(2.0)))


def _draw(seed: int, what: str) -> float:
    """A number from 0 to below 1 that depends on its arguments alone."""
    digest = hashlib.sha256(f"{seed}|{what}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / float(1 << 48)


def _normal(seed: int, step: int) -> float:
    """About normal, of mean 0 and variance 1: the sum of twelve draws."""
    digest = hashlib.sha256(f"{seed}|step{step}".encode()).digest()
    return sum(digest[at] / 255.0 for at in range(12)) - 6.0
