"""Reference price, volatility, settlement series and strike of one symbol.

Fast ticks (exchange sockets) drive decisions; anchor ticks (the Chainlink stream that settles the
market) give the strike, the settlement average and each exchange's basis to it. No source for a
symbol means no price for it: another symbol's price is never used instead (`spec: models`).
"""

from bisect import bisect_right
from math import exp, log, sqrt
from typing import Final, final

from polytrade.core.events import ReferenceTicked, VolatilityQuoted
from polytrade.core.ids import ANCHOR, FAST, RELAY, TWAP30, TWAP60
from polytrade.core.units import MS_NS, SECOND_NS

OLDER_DROP_NS: Final = 50 * MS_NS
"""A tick older than the held one by more than this is dropped (`spec: models`)."""
SAME_TIME_NS: Final = MS_NS
SERIES_MAX: Final = 1_200
"""Anchor and average points kept: 20 minutes at one a second, the longest window followed twice."""
HISTORY_MAX: Final = 64
"""Points of recent fast price kept for the basis: 6.4 s at 100 ms, anchors are 1-3 s late."""
HISTORY_STEP_NS: Final = 100 * MS_NS
BASIS_WEIGHT: Final = 0.05
"""Weight of one anchor tick in a source's basis: a time constant of about 20 s."""
NOISE_SEEN: Final = 20
"""Anchor ticks before the noise of a source's basis is believed."""
NOISE_UNSEEN: Final = 2e-5
"""Relative publication noise until then: 0.2 basis points."""
NOISE_LEAST: Final = 1e-6
NOISE_MOST: Final = 5e-4
"""Most noise of a print that is believed: beyond it a source is broken, not noisy."""
HOLDS_MS: Final = 2_000
"""A value of a settlement series stands for at most this long; they come one a second."""
NEWEST_HOLDS_MS: Final = 1_000
SAMPLE_NS: Final = SECOND_NS
"""Returns are taken over fixed times, so that the tick rate does not change the volatility."""
SOURCE_SILENT_NS: Final = 3 * SECOND_NS
"""A fast source silent for this long no longer holds the price: another may take over, whatever its
clock says, and it takes no part in the disagreement or in a basis."""
YEAR_S: Final = 365 * 86_400
"""The year of an option's volatility: crypto trades every day of it."""
IMPLIED_MOST: Final = 10.0
"""Most annual volatility believed (1000 %): beyond it is a wrong field or a wrong unit."""
IMPLIED_HOLDS_NS: Final = 300 * SECOND_NS
"""A quoted volatility counts this long: it moves by less in five minutes than its feed rounds."""
JUMP_NS: Final = 250 * MS_NS
"""Span within which a move is a jump (`[strategy] jump_bps`)."""


@final
class SourceQuote:
    """The last price of one fast source and its basis (log) to the settling source.

    `noise` is the variance of single anchor ticks around price and basis.

    `sample_price` and `jump_price` are its prices when the running return and the running 250 ms
    began: moves are measured within one source, so that sources apart from each other are no move.
    """

    __slots__ = (
        "basis",
        "basis_seen",
        "history_ns",
        "history_price",
        "jump_price",
        "noise",
        "price",
        "relayed",
        "sample_price",
        "ts_ns",
        "venue_ns",
    )

    def __init__(self, relayed: bool) -> None:
        self.relayed = relayed
        self.price = 0.0
        self.ts_ns = 0
        self.venue_ns = 0
        self.basis = 0.0
        self.basis_seen = 0
        self.noise = 0.0
        self.sample_price = 0.0
        self.jump_price = 0.0
        self.history_ns: list[int] = []
        self.history_price: list[float] = []

    def take(self, price: float, venue_ns: int, ts_ns: int) -> bool:
        """Take a tick; False when it is older than the held one by more than the tolerance.

        After a silence any time is taken: one stamp from the future must not block the source.
        """
        if self.ts_ns and ts_ns - self.ts_ns >= SOURCE_SILENT_NS:
            self.venue_ns = 0
            self.history_ns = []
            self.history_price = []
        if venue_ns < self.venue_ns - OLDER_DROP_NS:
            return False
        self.price = price
        self.ts_ns = ts_ns
        self.venue_ns = max(self.venue_ns, venue_ns)
        if not self.history_ns or venue_ns - self.history_ns[-1] >= HISTORY_STEP_NS:
            self.history_ns.append(venue_ns)
            self.history_price.append(price)
            if len(self.history_ns) > HISTORY_MAX:
                del self.history_ns[0]
                del self.history_price[0]
        return True

    def corrected(self) -> float:
        """The price in terms of the settling source."""
        return self.price * exp(self.basis)

    def at(self, ts_ns: int) -> float:
        """The price as it stood at `ts_ns`, 0.0 when the source was not heard then."""
        index = bisect_right(self.history_ns, ts_ns)
        if not index or ts_ns - self.history_ns[index - 1] >= SOURCE_SILENT_NS:
            return 0.0
        return self.history_price[index - 1]


@final
class Series:
    """A settlement series by the source's own time: (venue_ms, price), bounded, in time order.

    `changes` counts the points taken, so that what is made from them can be kept until the next.
    """

    __slots__ = ("changes", "prices", "times_ms")

    def __init__(self) -> None:
        self.changes = 0
        self.times_ms: list[int] = []
        self.prices: list[float] = []

    def add(self, venue_ms: int, price: float) -> None:
        """Insert a point; a second point of one time is a correction and replaces the first."""
        self.changes += 1
        times = self.times_ms
        index = bisect_right(times, venue_ms)
        if index and times[index - 1] == venue_ms:
            self.prices[index - 1] = price
            return
        times.insert(index, venue_ms)
        self.prices.insert(index, price)
        if len(times) > SERIES_MAX:
            del times[: SERIES_MAX // 4]
            del self.prices[: SERIES_MAX // 4]

    def at(self, venue_ms: int, tolerance_ms: int) -> float:
        """The last value stamped at or before `venue_ms`, 0.0 when none is within the tolerance."""
        index = bisect_right(self.times_ms, venue_ms)
        if not index or venue_ms - self.times_ms[index - 1] > tolerance_ms:
            return 0.0
        return self.prices[index - 1]

    def average(self, from_ms: int, to_ms: int) -> tuple[float, int]:
        """The time average over [from, to) of the series as steps, and how many ms it covers.

        Only what the series has been heard to say counts: a value holds for at most two seconds,
        the newest for one, so that a gap is seen as less coverage and not as a constant price.
        """
        times, prices = self.times_ms, self.prices
        index = max(bisect_right(times, from_ms) - 1, 0)
        total = 0.0
        covered = 0
        while index < len(times) and times[index] < to_ms:
            begin = max(times[index], from_ms)
            end = times[index + 1] if index + 1 < len(times) else times[index] + NEWEST_HOLDS_MS
            end = min(end, times[index] + HOLDS_MS, to_ms)
            if end > begin:
                total += prices[index] * (end - begin)
                covered += end - begin
            index += 1
        return (total / covered if covered else 0.0), covered


@final
class SymbolReference:
    """All that is known of one symbol's price."""

    __slots__ = (
        "_sample_ns",
        "anchor",
        "anchor_ns",
        "anchors",
        "dropped",
        "implied",
        "implied_end_ns",
        "implied_ns",
        "inverted",
        "jump_ns",
        "price",
        "relay_price",
        "samples",
        "source",
        "sources",
        "symbol",
        "ticks",
        "ts_ns",
        "twap30",
        "twap60",
        "var_fast",
        "var_slow",
        "venue_ns",
        "vol_fast_s",
        "vol_slow_s",
    )

    def __init__(self, symbol: str, vol_fast_s: float, vol_slow_s: float) -> None:
        self.symbol = symbol
        self.vol_fast_s = vol_fast_s
        self.vol_slow_s = vol_slow_s
        self.price = 0.0
        self.source = ""
        self.ts_ns = 0
        self.venue_ns = 0
        self.relay_price = 0.0
        self.anchor = 0.0
        self.anchor_ns = 0
        self.sources: dict[str, SourceQuote] = {}
        self.anchors = Series()
        self.twap30 = Series()
        self.twap60 = Series()
        self.var_fast = 0.0
        self.var_slow = 0.0
        self.samples = 0
        self._sample_ns = 0
        self.jump_ns = 0
        self.implied = 0.0
        self.implied_ns = 0
        self.implied_end_ns = 0
        self.ticks = 0
        self.dropped = 0
        self.inverted = 0

    def apply(self, event: ReferenceTicked) -> bool:
        """Take a tick; True when the fast price moved on to it.

        The newest event time wins; one older than the newest by more than 50 ms is dropped; of
        equal times (within 1 ms) the source that was first stays. A price that is not positive is
        dropped, and a fast one that says it is as old as a source that fell silent: on connecting,
        sources tell how it stood last. A relayed price counts only while no exchange is heard.
        """
        self.ticks += 1
        if event.price_e8 <= 0:
            self.dropped += 1
            return False
        price = event.price_e8 / 1e8
        venue_ns = event.venue_ts_ns or event.ts_ns
        if event.kind in (FAST, RELAY):
            if event.ts_ns - venue_ns >= SOURCE_SILENT_NS:
                self.dropped += 1
                return False
            return self._apply_fast(event, price, venue_ns)
        venue_ms = venue_ns // MS_NS
        if event.kind == ANCHOR:
            self.anchors.add(venue_ms, price)
            if venue_ms >= self.anchors.times_ms[-1]:
                self.anchor = price
                self.anchor_ns = event.ts_ns
            self._learn_basis(venue_ns, price)
        elif event.kind == TWAP30:
            self.twap30.add(venue_ms, price)
        elif event.kind == TWAP60:
            self.twap60.add(venue_ms, price)
        return False

    def quote(self, event: VolatilityQuoted) -> None:
        """Take the volatility that options imply; one that cannot be is dropped."""
        if not 0.0 < event.sigma <= IMPLIED_MOST:
            self.dropped += 1
            return
        self.implied = event.sigma / sqrt(YEAR_S)
        self.implied_ns = event.ts_ns
        self.implied_end_ns = event.expiry_ns

    def implied_vol(self, ts_ns: int) -> float:
        """What options imply per sqrt second; 0.0 when nobody says so, or its time is over."""
        old = ts_ns - self.implied_ns > IMPLIED_HOLDS_NS
        return 0.0 if old or ts_ns >= self.implied_end_ns else self.implied

    def _apply_fast(self, event: ReferenceTicked, price: float, venue_ns: int) -> bool:
        quote = self.sources.get(event.source)
        if quote is None:
            quote = SourceQuote(event.kind == RELAY)
            self.sources[event.source] = quote
        if not quote.take(price, venue_ns, event.ts_ns):
            self.inverted += 1
            self.dropped += 1
            return False
        if event.kind == RELAY:
            self.relay_price = price
        held = self.sources.get(self.source)
        alive = held is not None and event.ts_ns - self.ts_ns < SOURCE_SILENT_NS
        if held is not None and alive and (quote.relayed or not held.relayed):
            other = quote is not held
            if other and quote.relayed and not held.relayed:
                return False  # a relayed price is later than the exchange's own: only a fall-back
            if venue_ns < self.venue_ns - OLDER_DROP_NS:
                self.dropped += 1
                return False
            if other and abs(venue_ns - self.venue_ns) <= SAME_TIME_NS:
                return False
            venue_ns = max(venue_ns, self.venue_ns)
        self.venue_ns = venue_ns
        self.price = quote.corrected()
        self.source = event.source
        self.ts_ns = event.ts_ns
        self._sample(quote, event.ts_ns)
        return True

    def _learn_basis(self, venue_ns: int, anchor: float) -> None:
        for quote in self.sources.values():
            seen = quote.at(venue_ns)
            if seen <= 0.0:
                continue
            gap = log(anchor / seen) - quote.basis
            if quote.basis_seen:
                weight = max(BASIS_WEIGHT, 1.0 / quote.basis_seen)
                quote.noise += weight * (gap * gap - quote.noise)
            quote.basis_seen += 1
            quote.basis += max(BASIS_WEIGHT, 1.0 / quote.basis_seen) * gap

    def _sample(self, quote: SourceQuote, ts_ns: int) -> None:
        """Begin a new 250 ms, and end a return, when their time has come."""
        if ts_ns - self.jump_ns >= JUMP_NS:
            self.jump_ns = ts_ns
            for each in self.sources.values():
                each.jump_price = each.price if ts_ns - each.ts_ns < JUMP_NS else 0.0
        elapsed = ts_ns - self._sample_ns
        if elapsed < SAMPLE_NS:
            return
        if quote.sample_price > 0.0:
            self._learn_variance(log(quote.price / quote.sample_price) ** 2, elapsed / SECOND_NS)
        elif elapsed < SOURCE_SILENT_NS:
            return  # a source that was there when the return began will end it
        self._sample_ns = ts_ns
        for each in self.sources.values():
            each.sample_price = each.price if ts_ns - each.ts_ns < JUMP_NS else 0.0

    def _learn_variance(self, squared: float, seconds: float) -> None:
        variance = squared / seconds
        self.samples += 1
        warm = 1.0 / self.samples
        fast = max(1.0 - 0.5 ** (seconds / self.vol_fast_s), warm)
        slow = max(1.0 - 0.5 ** (seconds / self.vol_slow_s), warm)
        self.var_fast += fast * (variance - self.var_fast)
        self.var_slow += slow * (variance - self.var_slow)

    def vol(self, blend: float, floor: float, cap: float) -> float:
        """Volatility per sqrt second of log returns: fast and slow blended, floored and capped."""
        variance = blend * self.var_fast + (1.0 - blend) * self.var_slow
        vol = sqrt(variance) if variance > 0.0 else 0.0
        vol = vol if vol > floor else floor
        return vol if vol < cap else cap

    def jump_bps(self) -> float:
        """The move of the price since the start of the running 250 ms, in basis points."""
        quote = self.sources.get(self.source)
        if quote is None or quote.jump_price <= 0.0:
            return 0.0
        return log(quote.price / quote.jump_price) * 1e4

    def price_at(self, venue_ns: int) -> float:
        """The price as its source gave it for a time of the last seconds, 0.0 when not heard."""
        quote = self.sources.get(self.source)
        return quote.at(venue_ns) * exp(quote.basis) if quote is not None else 0.0

    def noise(self) -> float:
        """Relative standard deviation of a settling print around the price."""
        quote = self.sources.get(self.source)
        if quote is None or quote.basis_seen < NOISE_SEEN:
            return NOISE_UNSEEN
        noise = sqrt(quote.noise)
        noise = noise if noise > NOISE_LEAST else NOISE_LEAST
        return noise if noise < NOISE_MOST else NOISE_MOST

    def age_ns(self, ts_ns: int) -> int:
        """Time since the last accepted fast tick; a very large number when there was none."""
        return ts_ns - self.ts_ns if self.ts_ns else 1 << 62

    def disagreement(self, ts_ns: int) -> float:
        """The widest relative gap between live exchange sources, each corrected by its basis."""
        if len(self.sources) < 2:
            return 0.0
        low = high = 0.0
        for quote in self.sources.values():
            if ts_ns - quote.ts_ns >= SOURCE_SILENT_NS or not quote.basis_seen or quote.relayed:
                continue
            price = quote.corrected()
            low = price if low == 0.0 else min(low, price)
            high = max(high, price)
        return (high - low) / low if low > 0.0 else 0.0

    def settlement(self, settle: str, lookback_s: int) -> Series:
        """The series whose value at the window's ends decides the market."""
        if settle == "twap":
            return self.twap30 if lookback_s == 30 else self.twap60
        return self.anchors
