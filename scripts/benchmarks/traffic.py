"""Invented traffic: one market with 99 levels, its frames with right hashes, and its events.

The same seed gives the same traffic. Shares of events are those of the limits' replay case: 65 %
depth, 15 % trades, 20 % reference ticks, and a clock tick every 20 ms as the daemon makes them.
"""

import math
import random
from collections import deque
from typing import Any, Final

import orjson

from benchmarks.quoted_market import QuotedMarket
from polytrade.core.events import (
    ClockTicked,
    Event,
    MarketListed,
    ReferenceTicked,
)
from polytrade.core.ids import FAST
from polytrade.core.units import MS_NS, SECOND_NS
from polytrade.polymarket.books import Instruments
from polytrade.polymarket.wire import MarketDecoder

MARKET: Final = "0x" + "5eed" * 16
YES_TOKEN: Final = "71" * 38
NO_TOKEN: Final = "29" * 38
SYMBOL: Final = "BTC"
STRIKE: Final = 60_000.0
BEGIN_NS: Final = 1_800_000_000 * SECOND_NS
AGE_S: Final = 60
WINDOW_S: Final = 600
"""The invented window is this long and this old at the start: no case lasts until its end."""
WARM_NS: Final = 23 * SECOND_NS
"""The listing and reference ticks come this long before anything else: the maker quotes only once
it knows the volatility, after twenty returns of a second."""
STEP_NS: Final = 2_500_000
VOLATILITY: Final = 12.0
"""The reference price is a random walk with so many dollars per square root of a second, a step
every 2.5 ms: 2 bps, the middle of what the fair-value model takes for possible."""
SOURCE: Final = "polymarket.market/0"
DEPTH, TRADE, REFERENCE = range(3)
SHARES: Final = (0.65, 0.15, 0.20)
GAP_NS: Final = MS_NS // 2
"""Between two events: 2,000 a second, the load of the budget."""
TICK_NS: Final = 20 * MS_NS
REQUOTE_EVERY: Final = 40
"""Depth messages between two moves of the touch: 50 a second at 2,000 messages/s."""


class Walk:
    """The reference price over time, the same for everyone who knows seed and beginning.

    It walks from `WARM_NS` before `begin_ns` on.
    """

    def __init__(self, seed: int, begin_ns: int) -> None:
        self._rng = random.Random(seed)
        self._begin_ns = begin_ns - WARM_NS
        self._prices = [STRIKE]

    def at(self, ts_ns: int) -> float:
        """The price at a time."""
        step = max(ts_ns - self._begin_ns, 0) // STEP_NS
        assert step < WINDOW_S * SECOND_NS // STEP_NS, f"{ts_ns} is behind the window"
        spread = VOLATILITY * math.sqrt(STEP_NS / SECOND_NS)
        while len(self._prices) <= step:
            self._prices.append(self._prices[-1] + self._rng.gauss(0.0, spread))
        return self._prices[step]

    def fair(self, ts_ns: int) -> float:
        """How probable it is that the window ends above the strike."""
        left_s = WINDOW_S - AGE_S - (ts_ns - self._begin_ns) / SECOND_NS
        spread = VOLATILITY * math.sqrt(max(left_s, 1.0))
        return 0.5 * (1 + math.erf((self.at(ts_ns) - STRIKE) / spread / math.sqrt(2)))


class Traffic:
    """Messages of the market channel in the venue's order, with hashes that fit."""

    def __init__(self, seed: int, begin_ns: int) -> None:
        self._rng = random.Random(seed)
        self.walk = Walk(seed, begin_ns)
        self._market = QuotedMarket(self._rng, MARKET, YES_TOKEN, NO_TOKEN)
        self._changes: deque[dict[str, Any]] = deque()
        self._prints: deque[dict[str, Any]] = deque()
        self._asked = 0
        self._market.last_trade = "0.500"
        self._market.requote(begin_ns // MS_NS, 4900, 5000)

    def books(self, ts_ns: int) -> list[dict[str, Any]]:
        """Both books as the venue sends them on subscription; nothing may be waiting."""
        assert not self._changes, "a snapshot would be newer than what is still to be sent"
        return self._market.books(ts_ns // MS_NS)

    def change(self, ts_ns: int) -> dict[str, Any]:
        """The next `price_change`."""
        while not self._changes:
            self._asked += 1
            if self._asked % REQUOTE_EVERY:
                self._changes += self._market.churn(ts_ns // MS_NS)
            else:
                self._requote(ts_ns)
        return self._changes.popleft()

    def trade(self, ts_ns: int) -> dict[str, Any]:
        """The next `last_trade_price`; what it takes off the book is among the next changes."""
        ts_ms = ts_ns // MS_NS
        while not self._prints:
            buy = self._rng.random() < 0.5
            changes, prints = self._market.trade(ts_ms, buy, self._rng.randint(500, 5_000))
            self._changes += changes
            self._prints += [{**message, "timestamp": str(ts_ms)} for message in prints]
            if not prints:
                self._requote(ts_ns)
        return self._prints.popleft()

    def _requote(self, ts_ns: int) -> None:
        bid_e4, ask_e4 = self._market.touch_for(self.walk.fair(ts_ns))
        self._changes += self._market.requote(ts_ns // MS_NS, bid_e4, ask_e4)


def pack(message: object) -> bytes:
    """A message as it is on the wire."""
    return orjson.dumps(message)


def listed(ts_ns: int) -> MarketListed:
    """The market, in its window from a minute before `ts_ns` on."""
    start_ns = ts_ns - AGE_S * SECOND_NS
    return MarketListed(
        ts_ns=ts_ns,
        market=MARKET,
        slug="btc-updown-bench",
        symbol=SYMBOL,
        condition="updown",
        yes=YES_TOKEN,
        no=NO_TOKEN,
        tick_e4=100,
        min_size_e6=5_000_000,
        neg_risk=False,
        fee_rate_e6=70_000,
        fee_exponent=1,
        rebate_rate_e6=200_000,
        start_ns=start_ns,
        end_ns=start_ns + WINDOW_S * SECOND_NS,
        settle="spot",
        lookback_s=0,
        strike_e8=round(STRIKE * 1e8),
        accepting=True,
        closed=False,
        taker_delay_ms=0,
        version="bench",
    )


def frames(kind: int, count: int, seed: int = 1) -> list[bytes]:
    """That many frames of one kind (DEPTH or TRADE), half a millisecond apart."""
    traffic = Traffic(seed, BEGIN_NS)
    make = traffic.change if kind == DEPTH else traffic.trade
    return [pack(make(BEGIN_NS + at * GAP_NS)) for at in range(count)]


def market_frames(count: int, begin_ns: int, gap_ns: int, seed: int = 1) -> list[bytes]:
    """The books, then that many frames of market data in the shares of the mix."""
    traffic = Traffic(seed, begin_ns)
    found = [pack(traffic.books(begin_ns))]
    share = SHARES[TRADE] / (SHARES[DEPTH] + SHARES[TRADE])
    trades = 0
    for at in range(count):
        ts_ns = begin_ns + at * gap_ns
        if trades < at * share:
            trades += 1
            found.append(pack(traffic.trade(ts_ns)))
        else:
            found.append(pack(traffic.change(ts_ns)))
    return found


def tick(walk: Walk, ts_ns: int) -> ReferenceTicked:
    """The reference price now."""
    price_e8 = round(walk.at(ts_ns) * 1e8)
    return ReferenceTicked(ts_ns, SYMBOL, "binance", FAST, price_e8, ts_ns)


def warm_up(walk: Walk, begin_ns: int) -> list[Event]:
    """The listing and the reference ticks before `begin_ns`, with which the maker is ready."""
    first_ns = begin_ns - WARM_NS
    return [listed(first_ns), *(tick(walk, at) for at in range(first_ns, begin_ns, TICK_NS))]


def decoder() -> MarketDecoder:
    """A decoder that knows the market."""
    instruments = Instruments()
    instruments.add(listed(BEGIN_NS))
    return MarketDecoder(instruments)


def mix(count: int, seed: int = 1) -> list[Event]:
    """Books, then `count` events of the mix and the clock ticks between them; see `warm_up`."""
    traffic, wire = Traffic(seed, BEGIN_NS), decoder()
    found = wire.decode(pack(traffic.books(BEGIN_NS)), BEGIN_NS, SOURCE)
    made = [0, 0, 0]
    for at in range(1, count + 1):
        ts_ns = BEGIN_NS + at * GAP_NS
        kind = max(range(3), key=lambda k: at * SHARES[k] - made[k])
        made[kind] += 1
        if ts_ns % TICK_NS < GAP_NS:
            found.append(ClockTicked(ts_ns))
        if kind == REFERENCE:
            found.append(tick(traffic.walk, ts_ns))
            continue
        make = traffic.change if kind == DEPTH else traffic.trade
        found += wire.decode(pack(make(ts_ns)), ts_ns, SOURCE)
    return found
