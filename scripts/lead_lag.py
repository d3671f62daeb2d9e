"""How far a market is behind the exchange its question is about.

Two figures. The correlation of the moves of exchange and market over half seconds, the market's
later by 0, 0.5 and 1 s; and how long after a move of 2 basis points the touch follows. Which way a
market's token points is told from the data: the exchange leads, so the sum over the lags counts as
positive.
"""

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from typing import Any, Final

import attrs

GRID_NS: Final = 500_000_000
LAGS: Final = (0, 1, 2)
MOVE_BPS: Final = 2.0
MOVE_WITHIN_NS: Final = 300_000_000
MOVE_APART_NS: Final = 2_000_000_000
FOLLOW_MAX_NS: Final = 5_000_000_000
HALF_TICK: Final = 0.0049
"""Least move of the middle that counts as following."""
PAIRS_MIN: Final = 60
"""Half seconds of a market below which it tells nothing."""
POINTS_MAX: Final = 4_000_000
"""Points of one series, 64 MB: eight hours of the busiest exchange."""
SYMBOL: Final = "BTCUSDT"


@attrs.define
class Series:
    """A price that changes at times."""

    times: "array[int]" = attrs.field(factory=lambda: array("q"))
    values: "array[float]" = attrs.field(factory=lambda: array("d"))

    def put(self, ts_ns: int, value: float) -> None:
        """The price from now on; times never decrease."""
        if len(self.times) < POINTS_MAX and not (self.values and self.values[-1] == value):
            self.times.append(ts_ns)
            self.values.append(value)

    def at(self, ts_ns: int) -> float:
        """The price then; NaN before the first."""
        index = bisect_right(self.times, ts_ns) - 1
        return self.values[index] if index >= 0 else math.nan


class LeadLag:
    """Collects the exchange's middle and every market's trades and touch."""

    def __init__(self) -> None:
        self.exchange = Series()
        self._trades: dict[str, Series] = {}
        self._quotes: dict[str, Series] = {}

    def take_exchange(self, ts_ns: int, message: dict[str, Any]) -> None:
        """A message of Binance; only best prices of bitcoin count."""
        body = message.get("data", message)
        if isinstance(body, dict) and body.get("s") == SYMBOL and "b" in body and "a" in body:
            self.exchange.put(ts_ns, (float(body["b"]) + float(body["a"])) / 2)

    def take_trade(self, ts_ns: int, market: str, price: float) -> None:
        """A trade, in terms of one of the market's tokens, always the same."""
        self._trades.setdefault(market, Series()).put(ts_ns, price)

    def take_quote(self, ts_ns: int, market: str, middle: float) -> None:
        """The middle of the touch, in terms of that token."""
        self._quotes.setdefault(market, Series()).put(ts_ns, middle)

    def correlations(self, markets: Iterable[str]) -> tuple[list[float], int]:
        """The correlation at every lag, and of how many half seconds."""
        totals = [[0.0, 0.0, 0.0] for _ in LAGS]
        pairs = 0
        for market in markets:
            found = list(self._moves(self._trades.get(market, Series())))
            if len(found) < PAIRS_MIN:
                continue
            pairs += len(found)
            sums = [_sums(found, lag) for lag in LAGS]
            sign = math.copysign(1.0, sum(one[0] for one in sums))
            for total, one in zip(totals, sums, strict=True):
                total[0] += sign * one[0]
                total[1] += one[1]
                total[2] += one[2]
        return [_ratio(*total) for total in totals], pairs

    def delays_s(self, markets: Iterable[str]) -> list[float]:
        """Seconds from each quick move of the exchange to the touch's move the same way."""
        found: list[float] = []
        triggers = list(self._triggers())
        for market in markets:
            quotes = self._quotes.get(market)
            if quotes is None:
                continue
            first_ns, last_ns = quotes.times[0], quotes.times[-1]
            inside = [one for one in triggers if first_ns <= one[0] <= last_ns - FOLLOW_MAX_NS]
            ways = [_followed(quotes, inside, sign) for sign in (1.0, -1.0)]
            found += ways[len(ways[1]) > len(ways[0])]
        return found

    def _moves(self, series: Series) -> Iterator[tuple[float, float]]:
        """(exchange, market) moves over the half seconds both have a price in."""
        if not series.times or not self.exchange.times:
            return
        start_ns = max(series.times[0], self.exchange.times[0])
        end_ns = min(series.times[-1], self.exchange.times[-1])
        before: tuple[float, float] | None = None
        for ts_ns in range(start_ns, end_ns, GRID_NS):
            now = (self.exchange.at(ts_ns), series.at(ts_ns))
            if before is not None:
                yield now[0] - before[0], now[1] - before[1]
            before = now

    def _triggers(self) -> Iterator[tuple[int, float]]:
        """(time, direction) at which the exchange has just moved by `MOVE_BPS`."""
        quiet_ns = 0
        times, values = self.exchange.times, self.exchange.values
        for ts_ns, value in zip(times, values, strict=True):
            if ts_ns < quiet_ns:
                continue
            move = value / self.exchange.at(ts_ns - MOVE_WITHIN_NS) - 1.0
            if abs(move) >= MOVE_BPS * 1e-4:
                quiet_ns = ts_ns + MOVE_APART_NS
                yield ts_ns, math.copysign(1.0, move)


def _followed(quotes: Series, triggers: list[tuple[int, float]], sign: float) -> list[float]:
    found: list[float] = []
    for ts_ns, way in triggers:
        base = quotes.at(ts_ns)
        index = bisect_left(quotes.times, ts_ns + 1)
        while index < len(quotes.times) and quotes.times[index] <= ts_ns + FOLLOW_MAX_NS:
            if sign * way * (quotes.values[index] - base) > HALF_TICK:
                found.append((quotes.times[index] - ts_ns) / 1e9)
                break
            index += 1
    return found


def _sums(moves: list[tuple[float, float]], lag: int) -> tuple[float, float, float]:
    pairs = list(zip(moves, moves[lag:], strict=False))
    return (
        sum(one[0] * other[1] for one, other in pairs),
        sum(one[0] ** 2 for one, _ in pairs),
        sum(other[1] ** 2 for _, other in pairs),
    )


def _ratio(product: float, left: float, right: float) -> float:
    return product / math.sqrt(left * right) if left > 0 and right > 0 else math.nan
