"""What a tape of the market channel is like, in numbers: one way to count, for any tape.

Figures are of the busiest market of every 10 seconds: several windows follow each other on a tape,
and the quiet ones beside them would say nothing. Times are those of arrival.
"""

import math
from array import array
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

import attrs
import orjson
from lead_lag import LAGS, LeadLag

from polytrade.captures import CaptureRecord
from polytrade.import_sources import BINANCE, MARKET

SLICE_NS: Final = 10_000_000_000
SECOND_NS: Final = 1_000_000_000
TENTH_NS: Final = 100_000_000
MARKETS_MAX: Final = 4096
"""Markets told apart on a tape: a day of 5-minute windows of eight coins is 2,304."""
TYPES: Final = ("price_change", "book", "best_bid_ask", "last_trade_price")


@attrs.frozen
class Figure:
    """One number and how many observations it is made of."""

    value: float
    n: int


Figures = dict[str, Figure]

LABELS: Final = {
    "rate_mean": ("messages a second, mean", "{:.0f}"),
    "rate_p50": ("messages a second, p50", "{:.0f}"),
    "rate_p99": ("messages a second, p99", "{:.0f}"),
    "rate_max": ("messages a second, most", "{:.0f}"),
    "tenth_p50": ("messages in 100 ms, p50", "{:.0f}"),
    "tenth_p99": ("messages in 100 ms, p99", "{:.0f}"),
    "tenth_max": ("messages in 100 ms, most", "{:.0f}"),
    "price_change": ("`price_change`", "{:.1%}"),
    "book": ("`book`", "{:.1%}"),
    "best_bid_ask": ("`best_bid_ask`", "{:.1%}"),
    "last_trade_price": ("`last_trade_price`", "{:.1%}"),
    "gap_p50": ("ms between messages, p50", "{:.1f}"),
    "gap_p90": ("ms between messages, p90", "{:.1f}"),
    "gap_p99": ("ms between messages, p99", "{:.1f}"),
    "spread_1": ("spread 1 cent or less", "{:.0%}"),
    "spread_2": ("spread 2 cents", "{:.0%}"),
    "spread_3": ("spread 3 cents", "{:.0%}"),
    "spread_p99": ("spread, p99, cents", "{:.0f}"),
    "one_sided": ("books with one side only", "{:.1%}"),
    "touch_p10": ("worth of the best bid, p10, $", "{:.0f}"),
    "touch_p50": ("worth of the best bid, p50, $", "{:.0f}"),
    "touch_p90": ("worth of the best bid, p90, $", "{:.0f}"),
    "levels_p50": ("levels of a book, p50", "{:.0f}"),
    "at_touch": ("changes at the touch", "{:.0%}"),
    "far": ("changes 4 cents away or more", "{:.0%}"),
    "at_end": ("changes at 0.01 or 0.99", "{:.0%}"),
    "removed": ("changes that empty a level", "{:.2%}"),
    "touch_moves": ("moves of the touch to another cent a minute", "{:.0f}"),
    "trades_mean": ("trades a second, mean", "{:.1f}"),
    "trades_p50": ("trades a second, p50", "{:.0f}"),
    "trades_p99": ("trades a second, p99", "{:.0f}"),
    "trade_p10": ("shares of a trade, p10", "{:.2f}"),
    "trade_p50": ("shares of a trade, p50", "{:.1f}"),
    "trade_p90": ("shares of a trade, p90", "{:.0f}"),
    "buys": ("trades whose taker buys", "{:.0%}"),
    "lag_0": ("exchange leads trades: correlation at 0 s", "{:.2f}"),
    "lag_1": ("... at +0.5 s", "{:.2f}"),
    "lag_2": ("... at +1 s", "{:.2f}"),
    "follow_p50": ("touch follows a move of 2 bps after, p50, s", "{:.2f}"),
}
"""Name of a figure: what it is, how it is written."""


def quantile(values: "Iterable[float]", share: float) -> float:
    """The smallest value that at least `share` of all are not above; NaN when there are none."""
    ordered = sorted(values)
    if not ordered:
        return math.nan
    return ordered[min(len(ordered) - 1, max(0, math.ceil(share * len(ordered)) - 1))]


@attrs.define
class Slice:
    """What one market said within 10 seconds, or several of such together."""

    messages: int = 0
    types: Counter[str] = attrs.field(factory=Counter)
    seconds: Counter[int] = attrs.field(factory=Counter)
    tenths: Counter[int] = attrs.field(factory=Counter)
    trade_seconds: Counter[int] = attrs.field(factory=Counter)
    gaps_ms: "array[float]" = attrs.field(factory=lambda: array("d"))
    spreads: Counter[int] = attrs.field(factory=Counter)
    books: Counter[str] = attrs.field(factory=Counter)
    touches: "array[float]" = attrs.field(factory=lambda: array("d"))
    levels: Counter[int] = attrs.field(factory=Counter)
    changes: Counter[str] = attrs.field(factory=Counter)
    sizes: "array[float]" = attrs.field(factory=lambda: array("d"))
    sides: Counter[str] = attrs.field(factory=Counter)
    moves: int = 0
    first_ns: int = 0
    last_ns: int = 0
    lived_ns: int = 0

    def add(self, other: "Slice") -> None:
        """Take in a later slice."""
        for name in (field.name for field in attrs.fields(Slice)):
            mine, theirs = getattr(self, name), getattr(other, name)
            if isinstance(mine, Counter):
                mine.update(theirs)
            elif isinstance(mine, array):
                mine.extend(theirs)
        self.messages += other.messages
        self.moves += other.moves
        self.first_ns = self.first_ns or other.first_ns
        self.last_ns = other.last_ns
        self.lived_ns += other.last_ns - other.first_ns


@attrs.define
class _Market:
    """What is known of one market from message to message."""

    token: str = ""
    """The token first seen: prices are in its terms."""
    touch: tuple[str, str] = ("", "")
    cents: tuple[int, int] = (-1, -1)
    sampled_ns: int = 0
    current: Slice = attrs.field(factory=Slice)


class TapeStatistics:
    """Counts records one by one; `figures` says what was found so far."""

    def __init__(self) -> None:
        self.total = Slice()
        self.lead = LeadLag()
        self._markets: dict[str, _Market] = {}
        self._leaders: dict[str, None] = {}
        self._slice = -1

    def take(self, record: CaptureRecord) -> None:
        """Count a record; what is neither of the market channel nor of Binance tells nothing."""
        if record.source not in (MARKET, BINANCE) or not record.frame:
            return
        try:
            body = orjson.loads(record.frame)
        except orjson.JSONDecodeError:
            return
        ts_ns = record.recv_ts_ns
        for message in body if isinstance(body, list) else [body]:
            if not isinstance(message, dict):
                continue
            if record.source == BINANCE:
                self.lead.take_exchange(ts_ns, message)
            elif message.get("event_type") in TYPES and "market" in message:
                self._count(ts_ns, message)

    def figures(self) -> Figures:
        """Every figure there is something to say about."""
        self._turn(-1)
        total = self.total
        return {
            **_rates(total),
            **_shares(total),
            **_books(total),
            **_changes(total),
            **_trades(total),
            **_leads(self.lead, list(self._leaders)),
        }

    def _count(self, ts_ns: int, message: dict[str, Any]) -> None:
        if ts_ns // SLICE_NS != self._slice:
            self._turn(ts_ns // SLICE_NS)
        name = message["market"]
        market = self._markets.get(name)
        if market is None:
            if len(self._markets) >= MARKETS_MAX:
                del self._markets[next(iter(self._markets))]
            market = self._markets[name] = _Market()
        found, kind = market.current, message["event_type"]
        if found.messages:
            found.gaps_ms.append((ts_ns - found.last_ns) / 1e6)
        else:
            found.first_ns = ts_ns
        found.last_ns = ts_ns
        found.messages += 1
        found.types[kind] += 1
        found.seconds[ts_ns // SECOND_NS] += 1
        found.tenths[ts_ns // TENTH_NS] += 1
        if kind == "price_change":
            self._change(ts_ns, name, market, message)
        elif kind == "book":
            _count_book(market, ts_ns, message)
            market.token = market.token or message["asset_id"]
        elif kind == "last_trade_price":
            found.trade_seconds[ts_ns // SECOND_NS] += 1
            found.sizes.append(float(message["size"]))
            found.sides[message["side"]] += 1
            market.token = market.token or message["asset_id"]
            price = float(message["price"])
            straight = message["asset_id"] == market.token
            self.lead.take_trade(ts_ns, name, price if straight else 1.0 - price)

    def _change(self, ts_ns: int, name: str, market: _Market, message: dict[str, Any]) -> None:
        rows = message.get("price_changes")
        if not rows:
            return
        found, row = market.current, rows[0]
        market.token = market.token or row["asset_id"]
        price, bid, ask = (float(row[key] or 0) for key in ("price", "best_bid", "best_ask"))
        away = round(100 * (bid - price if row["side"] == "BUY" else price - ask))
        _count_touch(market, ts_ns, bid, ask or 1.0)
        found.changes["all"] += 1
        found.changes["at_touch"] += away <= 0
        found.changes["far"] += away >= 4
        found.changes["at_end"] += away >= 4 and price in (0.01, 0.99)
        found.changes["removed"] += float(row["size"]) == 0
        for row in rows:
            touch = (row["best_bid"], row["best_ask"])
            if row["asset_id"] == market.token and touch != market.touch:
                low, high = float(touch[0] or 0), float(touch[1] or 1)
                cents = (math.floor(100 * low + 1e-6), math.ceil(100 * high - 1e-6))
                found.moves += market.cents not in ((-1, -1), cents)
                market.touch, market.cents = touch, cents
                if 0 < low < high < 1:
                    self.lead.take_quote(ts_ns, name, (low + high) / 2)

    def _turn(self, slice_number: int) -> None:
        """Keep the slice of the busiest market of the 10 seconds gone by, drop the others."""
        self._slice = slice_number
        markets = self._markets
        busiest = max(markets, key=lambda name: markets[name].current.messages, default="")
        if busiest and markets[busiest].current.messages:
            self.total.add(markets[busiest].current)
            self._leaders[busiest] = None
        for market in markets.values():
            if market.current.messages:
                market.current = Slice()


def tape_statistics(records: Iterable[CaptureRecord]) -> Figures:
    """The figures of a tape."""
    statistics = TapeStatistics()
    for record in records:
        statistics.take(record)
    return statistics.figures()


def _count_touch(market: _Market, ts_ns: int, bid: float, ask: float) -> None:
    """Take a sample of the spread, at most one in 100 ms."""
    if ts_ns - market.sampled_ns < TENTH_NS:
        return
    market.sampled_ns = ts_ns
    found = market.current
    found.books["all"] += 1
    if bid <= 0 or ask >= 1:
        found.books["one_sided"] += 1
    else:
        found.spreads[max(1, math.ceil(100 * (ask - bid) - 1e-6))] += 1


def _count_book(market: _Market, ts_ns: int, message: dict[str, Any]) -> None:
    found = market.current
    bids, asks = message.get("bids") or [], message.get("asks") or []
    found.levels[len(bids) + len(asks)] += 1
    best = max(bids, key=lambda level: float(level["price"]), default=None)
    low = float(best["price"]) if best else 0.0
    _count_touch(market, ts_ns, low, min((float(level["price"]) for level in asks), default=1.0))
    if best and asks:
        found.touches.append(low * float(best["size"]))


def _every(counts: Counter[int]) -> list[float]:
    """Counts of a row of steps from the first to the last one, empty ones within 10 s included."""
    found: list[float] = []
    before: int | None = None
    for step in sorted(counts):
        if before is not None and step - before <= 10:
            found += [0.0] * (step - before - 1)
        found.append(float(counts[step]))
        before = step
    return found


def _rates(total: Slice) -> Figures:
    seconds, tenths = _every(total.seconds), _every(total.tenths)
    if len(seconds) < 3:
        return {}
    whole = seconds[1:-1]
    gaps = total.gaps_ms
    return {
        "rate_mean": Figure(sum(whole) / len(whole), len(whole)),
        "rate_p50": Figure(quantile(whole, 0.5), len(whole)),
        "rate_p99": Figure(quantile(whole, 0.99), len(whole)),
        "rate_max": Figure(max(seconds), len(whole)),
        "tenth_p50": Figure(quantile(tenths, 0.5), len(tenths)),
        "tenth_p99": Figure(quantile(tenths, 0.99), len(tenths)),
        "tenth_max": Figure(max(tenths), len(tenths)),
        "gap_p50": Figure(quantile(gaps, 0.5), len(gaps)),
        "gap_p90": Figure(quantile(gaps, 0.9), len(gaps)),
        "gap_p99": Figure(quantile(gaps, 0.99), len(gaps)),
    }


def _shares(total: Slice) -> Figures:
    if total.types.keys() == {"book"}:
        return {}  # somebody recorded nothing else
    n = total.messages
    return {kind: Figure(total.types[kind] / n, n) for kind in TYPES if n}


def _books(total: Slice) -> Figures:
    n, both = total.books["all"], total.spreads.total()
    if not both:
        return {}
    found = {f"spread_{width}": Figure(total.spreads[width] / both, both) for width in (1, 2, 3)}
    found["spread_p99"] = Figure(quantile(total.spreads.elements(), 0.99), both)
    found["one_sided"] = Figure(total.books["one_sided"] / n, n)
    books = total.levels.total()
    if books:
        found["levels_p50"] = Figure(quantile(total.levels.elements(), 0.5), books)
    for share in (10, 50, 90):
        if total.touches:
            worth = quantile(total.touches, share / 100)
            found[f"touch_p{share}"] = Figure(worth, len(total.touches))
    return found


def _changes(total: Slice) -> Figures:
    n = total.changes["all"]
    if not n:
        return {}
    names = ("at_touch", "far", "at_end", "removed")
    found = {name: Figure(total.changes[name] / n, n) for name in names}
    minutes = total.lived_ns / 60e9
    if minutes > 0:
        found["touch_moves"] = Figure(total.moves / minutes, total.moves)
    return found


def _trades(total: Slice) -> Figures:
    n = len(total.sizes)
    if not n:
        return {}
    seconds = [float(total.trade_seconds[second]) for second in total.seconds]
    found = {
        "trades_mean": Figure(n / len(seconds), n),
        "trades_p50": Figure(quantile(seconds, 0.5), len(seconds)),
        "trades_p99": Figure(quantile(seconds, 0.99), len(seconds)),
        "buys": Figure(total.sides["BUY"] / n, n),
    }
    for share in (10, 50, 90):
        found[f"trade_p{share}"] = Figure(quantile(total.sizes, share / 100), n)
    return found


def _leads(lead: LeadLag, markets: list[str]) -> Figures:
    found: Figures = {}
    correlations, pairs = lead.correlations(markets)
    if pairs:
        found = {f"lag_{lag}": Figure(correlations[lag], pairs) for lag in LAGS}
    delays = lead.delays_s(markets)
    if delays:
        found["follow_p50"] = Figure(quantile(delays, 0.5), len(delays))
    return found
