"""Composes the sample capture: prices, markets, Gamma and sockets on one clock, from one seed."""

import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import attrs
import orjson

from polytrade.captures import CaptureRecord
from polytrade.core.units import MS_NS, ONE_E4, SECOND_NS
from polytrade.sandbox.sample_gamma import WINDOW_S, SampleWindow
from polytrade.sandbox.sample_market import CENT_E4, FINE_EDGE_E4, Message, SampleMarket
from polytrade.sandbox.sample_world import (
    ONE_E18,
    STEP_MS,
    STEPS_PER_S,
    FairValue,
    HiddenPrice,
)

FIRST_WINDOW: Final = datetime(2026, 11, 16, 12, 0, tzinfo=UTC)
"""Start of the first window: a multiple of 300 s."""
LEAD_IN_S: Final = 25
"""The capture begins this far into its first window and ends as far into another: looped by whole
windows, the next round takes up exactly where this one ends, after the last resolution."""
WINDOWS_AHEAD: Final = 2
START_PRICES: Final = {"btc": 98_400.0, "eth": 3_260.0, "sol": 171.0, "xrp": 2.31}
DELAY_STEPS: Final = 3
"""The market's makers see the exchange 300 ms late."""
CHURNS_PER_S: Final = 0.9
CHURNS_AHEAD_PER_S: Final = 0.06
"""Moments at which makers change sizes, one to three at a time."""
NOISE_PER_S: Final = 0.6
INFORMED_PER_STEP: Final = 0.06
INFORMED_EDGE: Final = 0.018
PRINT_LATE_MS: Final = 80
"""A trade is printed about this long after its effect on the book (protocols 5.2)."""
BOOKS_LATE_MS: Final = 12
BOOKS_SHARE: Final = 0.12
"""Share of trades after which both books are sent whole: captures show always and never."""
STRIKE_LATE_S: Final = 3
RESOLVED_LATE_S: Final = 20
ANCHOR_LATE_MS: Final = 1_300
RELAY_LATE_MS: Final = 800
FINE_LEFT_S: Final = 15
"""The fine tick comes at the earliest this long before a window's end, at most in its last half."""

RECORDER_START_NS: Final = 60 * SECOND_NS
"""The recorder's monotonic clock at the begin."""


@attrs.define
class _Live:
    """A market while it is listed."""

    window: SampleWindow
    market: SampleMarket
    fair: FairValue
    rng: random.Random
    quoted_at: int = -(10**9)
    fine_at: int = 0


class Sample:
    """Generates the records of a sample capture; same arguments, same records.

    `minutes` is a multiple of 5. Times of messages are the venue's, receive times follow after an
    invented delay, and records come in the order received.
    """

    def __init__(self, seed: int, minutes: int, coins: tuple[str, ...]) -> None:
        if minutes % 5 or not 5 <= minutes <= 240:
            raise ValueError(f"expected minutes in steps of 5 from 5 to 240, found {minutes}")
        unknown = [coin for coin in coins if coin not in START_PRICES]
        if unknown or not coins:
            raise ValueError(f"expected coins of {', '.join(START_PRICES)}, found {coins!r}")
        self.seconds = minutes * 60
        self.begin_s = int(FIRST_WINDOW.timestamp()) + LEAD_IN_S
        self._seed = seed
        self._coins = coins
        self._rng = random.Random(f"{seed}|sockets")
        self._prices = {
            coin: HiddenPrice(
                random.Random(f"{seed}|{coin}|price"), START_PRICES[coin], self.seconds
            )
            for coin in coins
        }
        self._out: list[tuple[int, str, str]] = []
        self._last_ns: dict[str, int] = {}
        self._live: list[_Live] = []
        self._fine_done = False

    def records(self) -> Iterator[CaptureRecord]:
        """Every record, in the order received."""
        self._out.clear()
        for coin in self._coins:
            self._references(coin)
        for step in range(self.seconds * STEPS_PER_S):
            if step % STEPS_PER_S == 0:
                self._second(step // STEPS_PER_S)
            for live in self._live:
                self._step(live, step)
        begin_ns = self.begin_s * SECOND_NS
        end_ns = begin_ns + self.seconds * SECOND_NS
        self._out.sort(key=lambda item: item[0])
        counts: Counter[str] = Counter()
        kept = (item for item in self._out if item[0] < end_ns)
        for number, (recv_ns, source, frame) in enumerate(kept, start=1):
            counts[source] += 1
            mono_ns = recv_ns - begin_ns + RECORDER_START_NS
            yield CaptureRecord(number, source, counts[source], recv_ns, mono_ns, frame)

    # Sending

    def _ms(self, step: int) -> int:
        return self.begin_s * 1000 + step * STEP_MS

    def _send(self, source: str, ts_ms: int, late_ms: float, frame: str) -> None:
        """A frame received `late_ms` after `ts_ms`, never before an earlier one of its source."""
        recv_ns = ts_ms * MS_NS + int(late_ms * MS_NS)
        recv_ns = max(recv_ns, self._last_ns.get(source, 0) + 20_000)
        self._last_ns[source] = recv_ns
        self._out.append((recv_ns, source, frame))

    def _send_market(self, ts_ms: int, messages: list[Message]) -> None:
        """Messages of one moment: alone as an object, together as an array."""
        if messages:
            body: Any = messages if len(messages) > 1 else messages[0]
            late = 5 + min(60.0, self._rng.lognormvariate(0.7, 0.9))
            self._send("polymarket.market/0", ts_ms, late, orjson.dumps(body).decode())

    def _send_gamma(self, window: SampleWindow, now_s: int) -> None:
        frame = orjson.dumps(window.event(now_s)).decode()
        self._send("gamma/0", now_s * 1000, self._rng.uniform(1, 4), frame)

    # References

    def _references(self, coin: str) -> None:
        """Binance and RTDS of one coin, over the whole capture."""
        rng = random.Random(f"{self._seed}|{coin}|references")
        self._binance(coin, rng)
        for second in range(-1, self.seconds):
            self._rtds(coin, second, rng)

    def _binance(self, coin: str, rng: random.Random) -> None:
        price, symbol = self._prices[coin], f"{coin.upper()}USDT"
        update, trade = rng.randrange(10**10, 2 * 10**10), rng.randrange(10**9, 2 * 10**9)
        cents = 4 if price.at(0) < 10 else 2
        quoted = 0.0
        for step in range(self.seconds * STEPS_PER_S):
            mid, ts_ms = price.at(step), self._ms(step)
            low = int(mid * 10**cents) / 10**cents
            bid, ask = (f"{x:.{cents}f}000000" for x in (low, low + 10**-cents))
            if abs(mid / quoted - 1 if quoted else 1) > 0.9e-4 or rng.random() < 0.045:
                quoted = mid
                update += rng.randint(1, 400)
                sizes = (f"{rng.uniform(0.05, 6):.3f}00", f"{rng.uniform(0.05, 6):.3f}00")
                data: dict[str, Any] = {"u": update, "s": symbol, "b": bid, "B": sizes[0]}
                data |= {"a": ask, "A": sizes[1]}
                self._send_binance(f"{coin}usdt@bookTicker", ts_ms, data, rng)
            if rng.random() < 0.05:
                trade += 1
                maker = rng.random() < 0.5
                data = {"e": "trade", "E": ts_ms + 1, "s": symbol, "t": trade}
                data |= {"p": bid if maker else ask, "q": f"{rng.lognormvariate(-5, 1.4):.5f}"}
                self._send_binance(
                    f"{coin}usdt@trade", ts_ms, data | {"T": ts_ms, "m": maker, "M": True}, rng
                )

    def _send_binance(
        self, stream: str, ts_ms: int, data: dict[str, Any], rng: random.Random
    ) -> None:
        frame = orjson.dumps({"stream": stream, "data": data}).decode()
        self._out.append((ts_ms * MS_NS + int(rng.uniform(4, 9) * MS_NS), "binance/0", frame))

    def _rtds(self, coin: str, second: int, rng: random.Random) -> None:
        price = self._prices[coin]
        at_ms = (self.begin_s + second) * 1000
        spot = f"{price.at(second * STEPS_PER_S):.8f}"
        pair = f"{coin}/usd"
        rows: tuple[tuple[str, str, float, str, int, dict[str, int]], ...] = (
            ("crypto_prices", f"{coin}usdt", float(spot), spot, RELAY_LATE_MS, {}),
            ("crypto_prices_chainlink", pair, *_e18(price.anchor_e18(second)), ANCHOR_LATE_MS, {}),
            (
                "crypto_prices_twap_sixty",
                pair,
                *_e18(price.twap_e18(second)),
                ANCHOR_LATE_MS + 40,
                {"window_s": 60},
            ),
        )
        for topic, symbol, value, full, late_ms, more in rows:
            late = late_ms + rng.uniform(-60, 120)
            payload = {"symbol": symbol, "timestamp": at_ms, "value": value}
            body = {
                "topic": topic,
                "type": "update",
                "timestamp": at_ms + int(late) - 250,
                "connection_id": "c2FtcGxlLTE=",
                "payload": {**payload, "full_accuracy_value": full, **more},
            }
            recv_ns = at_ms * MS_NS + int(late * MS_NS)
            if recv_ns >= self.begin_s * SECOND_NS:
                self._out.append((recv_ns, "polymarket.rtds/0", orjson.dumps(body).decode()))

    # Markets

    def _second(self, second: int) -> None:
        """What happens on whole seconds: listings, strikes, resolutions."""
        now_s = self.begin_s + second
        if second == 0:
            first = now_s - LEAD_IN_S
            for ahead in range(WINDOWS_AHEAD + 1):
                for coin in self._coins:
                    self._list(coin, first + ahead * WINDOW_S, now_s)
        elif now_s % WINDOW_S == WINDOW_S - LEAD_IN_S:
            for coin in self._coins:
                self._list(coin, now_s + LEAD_IN_S + WINDOWS_AHEAD * WINDOW_S, now_s)
        for live in list(self._live):
            window = live.window
            if now_s == window.start_s + STRIKE_LATE_S:
                window.strike = self._twap_text(window.coin, window.start_s)
                self._send_gamma(window, now_s)
            elif now_s == window.end_s + RESOLVED_LATE_S:
                self._resolve(live, now_s)

    def _twap_text(self, coin: str, at_s: int) -> str:
        value = self._prices[coin].twap_e18(at_s - self.begin_s) // 10**10
        return f"{value // 10**8}.{value % 10**8:08d}"

    def _list(self, coin: str, start_s: int, now_s: int) -> None:
        window = SampleWindow(coin, start_s, self._seed)
        if start_s + STRIKE_LATE_S <= now_s:
            window.strike = self._twap_text(coin, start_s)
        rng = random.Random(f"{self._seed}|{window.slug}")
        market = SampleMarket(rng, window.condition, *window.tokens)
        relative = start_s - self.begin_s
        fair = FairValue(self._prices[coin], relative, relative + WINDOW_S)
        live = _Live(window, market, fair, rng)
        self._live.append(live)
        self._send_gamma(window, now_s)
        ts_ms = now_s * 1000
        step = (now_s - self.begin_s) * STEPS_PER_S
        market.requote(ts_ms, *market.touch_for(fair.at(step - DELAY_STEPS)))
        if now_s > start_s:
            market.trade(ts_ms, rng.random() < 0.5, 700)
        self._send_market(ts_ms, market.books(ts_ms, subscribed=True))

    def _resolve(self, live: _Live, now_s: int) -> None:
        window = live.window
        price = self._prices[window.coin]
        start, end = (price.twap_e18(s - self.begin_s) for s in (window.start_s, window.end_s))
        window.winner = 0 if end >= start else 1
        window.final = self._twap_text(window.coin, window.end_s)
        window.closed_s = now_s - 3
        ts_ms = now_s * 1000 + 640
        self._send_market(ts_ms, [window.resolved_message(ts_ms)])
        self._send_gamma(window, now_s)
        self._live.remove(live)

    def _step(self, live: _Live, step: int) -> None:
        """100 ms of one market: makers follow, makers churn, takers take."""
        rng, market, window = live.rng, live.market, live.window
        now_s = self.begin_s + step / STEPS_PER_S
        ts_ms = self._ms(step) + rng.randrange(STEP_MS // 2)
        fair = live.fair.at(step - DELAY_STEPS)
        if self._follows(live, step, fair):
            live.quoted_at = step
            self._send_market(ts_ms, market.requote(ts_ms, *market.touch_for(fair)))
        running = window.start_s <= now_s < window.end_s
        per_s = CHURNS_PER_S if running else CHURNS_AHEAD_PER_S
        if rng.random() < per_s / STEPS_PER_S:
            burst = [m for _ in range(rng.randint(1, 3)) for m in market.churn(ts_ms + 9)]
            self._send_market(ts_ms + 9, burst)
        if running:
            self._take(live, step, ts_ms + 20)
        left_s = window.end_s - now_s
        if not self._fine_done and FINE_LEFT_S < left_s < WINDOW_S / 2:
            self._refine(live, ts_ms + 40)

    def _follows(self, live: _Live, step: int, fair: float) -> bool:
        """Whether the makers requote now: the fair value left the touch, or it looks untidy."""
        market = live.market
        bid, ask = market.bid_e4, market.ask_e4
        tick = market.tick_e4
        off = abs(fair * ONE_E4 - (bid + ask) / 2) > max(1.3 * tick, (ask - bid) * 0.75)
        wide = ask - bid > tick and step - live.quoted_at > 3
        pause = 4 if tick == CENT_E4 else 25
        tidy = 0.3 if ask - bid > 2 * tick else 0.12
        return (off and step - live.quoted_at >= pause) or (wide and live.rng.random() < tidy)

    def _take(self, live: _Live, step: int, ts_ms: int) -> None:
        """A noise taker now and then; an informed one when the touch lags the exchange."""
        rng, market = live.rng, live.market
        seen = live.fair.at(step) * ONE_E4
        fee = 0.07 * seen / ONE_E4 * (1 - seen / ONE_E4) * ONE_E4
        edge = INFORMED_EDGE * ONE_E4 + 0.2 * fee
        buy: bool | None = None
        if rng.random() < INFORMED_PER_STEP and market.ask_e4 < seen - edge:
            buy = True
        elif rng.random() < INFORMED_PER_STEP and market.bid_e4 > seen + edge:
            buy = False
        elif rng.random() < NOISE_PER_S / STEPS_PER_S:
            buy = rng.random() < 0.5
        if buy is None:
            return
        scale = 3.6 if rng.random() < 0.2 else 2.2
        size_e2 = min(40_000, max(20, int(100 * rng.lognormvariate(scale, 1.0))))
        self._trade(market, ts_ms, buy, size_e2)

    def _trade(self, market: SampleMarket, ts_ms: int, buy: bool, size_e2: int) -> None:
        changes, prints = market.trade(ts_ms, buy, size_e2)
        self._send_market(ts_ms, changes)
        if not prints:
            return
        # Stamped after everything of this step, before anything of the next.
        books_ms = ts_ms + BOOKS_LATE_MS
        if self._rng.random() < BOOKS_SHARE:
            books = market.books(books_ms, subscribed=False)
            self._send_market(books_ms, books + market.best(books_ms))
        for message in prints:
            printed_ms = ts_ms + PRINT_LATE_MS + self._rng.randrange(20)
            stamped = {**message, "timestamp": str(printed_ms)}
            frame = orjson.dumps(stamped).decode()
            late = 5 + self._rng.uniform(0, 4)
            recv_ns = printed_ms * MS_NS + int(late * MS_NS)
            self._out.append((recv_ns, "polymarket.market/0", frame))

    def _refine(self, live: _Live, ts_ms: int) -> None:
        """The first market whose touch comes near 0 or 1 gets the fine tick."""
        market = live.market
        edge = min(market.bid_e4, ONE_E4 - market.ask_e4)
        if not CENT_E4 <= edge <= FINE_EDGE_E4:
            return
        self._fine_done = True
        live.window.tick = 0.001
        self._send_market(ts_ms, market.fine_tick(ts_ms))
        self._send_market(ts_ms + 5, market.books(ts_ms + 5, subscribed=True))
        self._send_gamma(live.window, ts_ms // 1000 + 1)


def _e18(value: int) -> tuple[float, str]:
    """A scaled price as RTDS writes it: a JSON number and the exact integer as text."""
    return value / ONE_E18, str(value)
