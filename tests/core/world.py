"""A seeded world: markets with true books and hashes, traders, references, losses, an operator.

Messages are delayed, reordered and now and then lost, as on the wire; what the engine asks for (a
fresh book) is answered. The truth of a book is kept in a `Book` of its own.
"""

from collections.abc import Iterator
from heapq import heappop, heappush
from math import sqrt
from random import Random

import attrs

from polytrade.builtin.distributions import normal_cdf
from polytrade.config import Allocator, Config, Execution, Risk, Strategy, Taker
from polytrade.core.book import UNKNOWN_TRADE, Book, trade_price_text
from polytrade.core.effects import Effect, RequestSnapshot
from polytrade.core.events import (
    BestQuoted,
    BookChanged,
    BookReplaced,
    ClockSkewMeasured,
    ClockTicked,
    Event,
    FeedDown,
    FeedGap,
    FeedUp,
    FlattenRequested,
    MarketListed,
    MarketResolved,
    ModeSet,
    PauseSet,
    RebatePaid,
    ReferenceTicked,
    TickSizeChanged,
    TradePrinted,
)
from polytrade.core.ids import ANCHOR, BUY, FAST, NO, SELL, TWAP30, YES
from polytrade.core.units import MS_NS, ONE_E4, SECOND_NS
from polytrade.session import Session, Step, build_session, run_started
from tests.core.factory import listed

BEGIN_NS = 1_780_000_000 * SECOND_NS
TICK_NS = 20 * MS_NS
SIGMA = 6e-5
SIZE_STEP = 10_000
WARM_S = 30
"""Seconds of prices before a world begins."""

CONFIG = Config(
    strategy=Strategy(
        base_quote_size=8.0,
        half_spread=0.004,
        min_edge_bps=0.0,
        no_quote_before_end_s=4.0,
        no_quote_after_start_s=0.5,
        inventory_skew=0.05,
        max_spread=0.2,
        jump_bps=8.0,
        taker="profile",
    ),
    risk=Risk(
        max_market_notional=30.0, max_asset_notional=45.0, max_open_orders=5, orders_per_s=60.0
    ),
    taker=Taker(trigger_bps=50.0, pause_ms=500, max_spread=1.0, max_edge=1.0),
    allocator=Allocator(capital_fraction_kelly=1.0),
    execution=Execution(settle_delay_s=1.0),
)
"""A maker and a taker that trade a lot within narrow limits."""


@attrs.define
class Truth:
    """One market as the venue has it."""

    listed: MarketListed
    book: Book
    last_trade: str = ""
    stamp_ms: int = 0
    over: bool = False

    def stamp(self, now_ns: int) -> int:
        """The venue's time of a change: never the same twice."""
        self.stamp_ms = max(self.stamp_ms + 1, now_ns // MS_NS)
        return self.stamp_ms

    def put(self, side: int, price_e4: int, size_e6: int, ts_ms: int) -> None:
        change = BookChanged(0, self.listed.market, YES, side, price_e4, size_e6, -1, -1, ts_ms, "")
        self.book.change(change, False)


class World:
    """Everything outside the engine. Events come out of `due` in the order of their `ts_ns`."""

    def __init__(self, seed: int, markets: int = 2, seconds: int = 40, losses: bool = True) -> None:
        self.random = Random(seed)
        self.losses = losses
        self.now_ns = BEGIN_NS
        self.price = {"BTC": 60_000.0, "ETH": 3_000.0}
        self.truths: dict[str, Truth] = {}
        self.down_until_ns = 0
        self.quiet_until_ns = 0
        self._queue: list[tuple[int, int, Event]] = []
        self._count = 0
        for number in range(markets):
            self._list(number, seconds)

    def send(self, event: Event, delay_ns: int = 0) -> None:
        """Deliver an event; `ts_ns` becomes the time of its arrival."""
        event.ts_ns = self.now_ns + delay_ns
        self._count += 1
        heappush(self._queue, (event.ts_ns, self._count, event))

    def due(self) -> Iterator[Event]:
        """What has arrived by now."""
        while self._queue and self._queue[0][0] <= self.now_ns:
            yield heappop(self._queue)[2]

    def answer(self, effect: Effect) -> None:
        """Do what the engine asks of the shell: a fresh book."""
        if isinstance(effect, RequestSnapshot) and not self.truths[effect.market].over:
            self._snapshot(self.truths[effect.market], YES, True)

    def turn(self) -> None:
        """Twenty milliseconds pass."""
        self.now_ns += TICK_NS
        for symbol in self.price:
            self._references(symbol)
        for truth in self.truths.values():
            self._live(truth)
        if self.losses:
            self._faults()
        self._operator()

    # -- the markets ----------------------------------------------------------------------------

    def _list(self, number: int, seconds: int) -> None:
        symbol = "BTC" if number % 2 == 0 else "ETH"
        start_ns = BEGIN_NS + (1 + 3 * number) * SECOND_NS
        event = listed(
            BEGIN_NS,
            market=f"0x{number:04x}",
            symbol=symbol,
            yes=f"{number}1",
            no=f"{number}2",
            start_ns=start_ns,
            end_ns=start_ns + (seconds - 16) * SECOND_NS,
            settle="spot" if number % 2 == 0 else "twap",
            lookback_s=0 if number % 2 == 0 else 30,
            strike_e8=-1 if number % 2 == 0 else round(self.price[symbol] * 1e8),
        )
        book = Book(event.market, event.yes, event.no, 100, event.min_size_e6, False)
        truth = Truth(event, book)
        self.truths[event.market] = truth
        for cents in range(1, 100):
            side = BUY if cents < 50 else SELL
            if cents != 50:
                truth.put(side, cents * 100, self._size(), truth.stamp(self.now_ns - SECOND_NS))
        self.send(event)
        self._snapshot(truth, YES, False)
        self._snapshot(truth, NO, False)

    def _size(self) -> int:
        return self.random.randrange(500, 8_000) * SIZE_STEP

    def _snapshot(self, truth: Truth, token: int, rest: bool) -> None:
        bids, asks = truth.book.depth(BUY, 200), truth.book.depth(SELL, 200)
        if token == NO:
            bids, asks = (
                [(ONE_E4 - price, size) for price, size in asks],
                [(ONE_E4 - price, size) for price, size in bids],
            )
        ts_ms = truth.stamp_ms
        digest = truth.book.hash_of(token, ts_ms, truth.last_trade)
        initial = rest or not truth.last_trade
        event = BookReplaced(
            0,
            truth.listed.market,
            token,
            sorted(bids),
            sorted(asks, reverse=True),
            truth.book.tick_e4 if initial else 0,
            truth.last_trade if initial else UNKNOWN_TRADE,
            ts_ms,
            digest,
            rest,
        )
        self.send(event, self.random.randrange(5, 120) * MS_NS)

    def _live(self, truth: Truth) -> None:
        event = truth.listed
        if truth.over:
            return
        if self.now_ns >= event.end_ns + 5 * SECOND_NS:
            truth.over = True
            strike = event.strike_e8 / 1e8 if event.strike_e8 > 0 else 60_000.0
            winner = YES if self.price[event.symbol] >= strike else NO
            self.send(MarketResolved(0, event.market, winner, "world"))
            return
        if self.now_ns >= event.end_ns:
            return
        if event.strike_e8 < 0 and self.now_ns > event.start_ns + 3 * SECOND_NS:
            event = MarketListed(*event.row()[1:])  # type: ignore[arg-type]
            event.strike_e8 = 6_000_000_000_000
            truth.listed = event
            self.send(event)
        for _ in range(self.random.randrange(3)):
            self._change(truth)
        if self.random.random() < 0.06:
            self._trade(truth)

    def _target_e4(self, truth: Truth) -> int:
        event = truth.listed
        strike = event.strike_e8 / 1e8 if event.strike_e8 > 0 else 60_000.0
        left = max((event.end_ns - self.now_ns) / SECOND_NS, 0.2)
        score = (self.price[event.symbol] / strike - 1.0) / (SIGMA * sqrt(left))
        return min(max(round(normal_cdf(score) * 100), 3), 97) * 100

    def _change(self, truth: Truth) -> None:
        book, target = truth.book, self._target_e4(truth)
        side = self.random.choice((BUY, SELL))
        best = book.bid_e4 if side == BUY else book.ask_e4
        other = book.ask_e4 if side == BUY else book.bid_e4
        step = 100 if side == BUY else -100
        wrong = best > target if side == BUY else best < target
        if wrong and self.random.random() < 0.7 and 200 <= best <= 9_800:
            self._publish(truth, side, best, 0)
        elif best + step != other and 100 <= best + step <= 9_900 and not wrong:
            self._publish(truth, side, best + step, self._size())
        else:
            deep = best - step * self.random.randrange(6)
            if 100 <= deep <= 9_900:
                self._publish(truth, side, deep, self._size())

    def _trade(self, truth: Truth) -> None:
        """A taker takes from the best levels; the print comes late."""
        side = self.random.choice((BUY, SELL))
        left = self.random.randrange(100, 9_000) * SIZE_STEP
        for price_e4, size_e6 in truth.book.depth(1 - side, 3):
            taken = min(size_e6, left)
            if taken <= 0 or not 200 <= price_e4 <= 9_800:
                break
            left -= taken
            truth.last_trade = trade_price_text(price_e4)
            self._publish(truth, 1 - side, price_e4, size_e6 - taken)
            token, shown, taker = YES, price_e4, side
            if self.random.random() < 0.3:
                token, shown, taker = NO, ONE_E4 - price_e4, 1 - side
            printed = TradePrinted(
                0, truth.listed.market, token, taker, shown, taken, truth.stamp_ms + 97, "0x"
            )
            self.send(printed, self.random.randrange(80, 160) * MS_NS)
        if self.random.random() < 0.5:
            self._snapshot(truth, YES, False)
            self._snapshot(truth, NO, False)

    def _publish(self, truth: Truth, side: int, price_e4: int, size_e6: int) -> None:
        ts_ms = truth.stamp(self.now_ns)
        truth.put(side, price_e4, size_e6, ts_ms)
        if self.losses and (self.now_ns < self.down_until_ns or self.random.random() < 0.002):
            return
        name, book = truth.listed.market, truth.book
        bid_e4, ask_e4 = book.bid_e4, book.ask_e4
        token = NO if self.random.random() < 0.02 else YES
        digest = book.hash_of(token, ts_ms, truth.last_trade)
        if token == NO:
            side, price_e4 = 1 - side, ONE_E4 - price_e4
            bid_e4, ask_e4 = ONE_E4 - ask_e4, ONE_E4 - bid_e4
        event = BookChanged(0, name, token, side, price_e4, size_e6, bid_e4, ask_e4, ts_ms, digest)
        late = self.random.random() < 0.2
        self.send(event, self.random.randrange(40) * MS_NS if late else 0)
        if self.random.random() < 0.03:
            self.send(BestQuoted(0, name, token, bid_e4, ask_e4, ts_ms))

    # -- the rest -------------------------------------------------------------------------------

    def _references(self, symbol: str) -> None:
        self.price[symbol] *= 1.0 + self.random.gauss(0.0, SIGMA * sqrt(0.02))
        if self.now_ns < self.quiet_until_ns:
            return
        for source, gap, chance in (("binance/0", 0.0, 0.3), ("coinbase/0", 2e-4, 0.1)):
            if self.random.random() < chance:
                price_e8 = round(self.price[symbol] * (1.0 + gap) * 1e8)
                venue_ns = self.now_ns - self.random.randrange(30) * MS_NS
                self.send(ReferenceTicked(0, symbol, source, FAST, price_e8, venue_ns))
        if self.now_ns % SECOND_NS == 0:
            price_e8 = round(self.price[symbol] * 1e8)
            for kind in (ANCHOR, TWAP30):
                tick = ReferenceTicked(0, symbol, "polymarket.rtds/0", kind, price_e8, self.now_ns)
                self.send(tick, 1_300 * MS_NS)

    def _faults(self) -> None:
        roll = self.random.random()
        source = "polymarket.market/0"
        if roll < 0.0004:
            self.send(FeedGap(0, source, "", "malformed"))
        elif roll < 0.0008:
            self.down_until_ns = self.now_ns + self.random.randrange(1_000, 4_000) * MS_NS
            self.send(FeedDown(0, source, "closed"))
            self.send(FeedUp(0, source), self.down_until_ns - self.now_ns)
            for truth in self.truths.values():
                if not truth.over:
                    self._snapshot(truth, YES, False)
        elif roll < 0.0012:
            self.quiet_until_ns = self.now_ns + self.random.randrange(1_000, 5_000) * MS_NS
        elif roll < 0.0015:
            truth = self.random.choice(list(self.truths.values()))
            if truth.book.tick_e4 == 100 and not truth.over:
                truth.book.set_terms(truth.listed.min_size_e6, False, 10)
                change = TickSizeChanged(0, truth.listed.market, 100, 10, truth.stamp_ms)
                self.send(change)
                self._snapshot(truth, YES, False)

    def _operator(self) -> None:
        roll = self.random.random()
        if roll < 0.0006:
            self.send(PauseSet(0, True))
            self.send(PauseSet(0, False), 2 * SECOND_NS)
        elif roll < 0.001:
            mode = self.random.choice(("reduce", "halt"))
            self.send(ModeSet(0, mode, "world"))
            self.send(ModeSet(0, "run", "world"), 3 * SECOND_NS)
        elif roll < 0.0013:
            self.send(FlattenRequested(0, 500))
            self.send(PauseSet(0, False), 5 * SECOND_NS)
        elif roll < 0.0015:
            self.send(ClockSkewMeasured(0, 5_000))
            self.send(ClockSkewMeasured(0, 3), SECOND_NS)
        elif roll < 0.002:
            self.send(RebatePaid(0, self.random.choice(list(self.truths)), 1_234))


def _warm(session: Session) -> Iterator[Step]:
    """Prices from before the first market, so that there is a volatility when it opens."""
    random, price = Random(0), {"BTC": 60_000.0, "ETH": 3_000.0}
    for half in range(2 * WARM_S):
        ts_ns = BEGIN_NS - WARM_S * SECOND_NS + half * SECOND_NS // 2
        for symbol, before in price.items():
            price[symbol] = before * (1.0 + random.gauss(0.0, SIGMA * sqrt(0.5)))
            price_e8 = round(price[symbol] * 1e8)
            tick = ReferenceTicked(ts_ns, symbol, "binance/0", FAST, price_e8, ts_ns)
            yield from session.handle(tick)


def drive(world: World, session: Session, seconds: int) -> Iterator[Step]:
    """Run a session in a world, step by step."""
    yield from session.handle(run_started(CONFIG, BEGIN_NS - WARM_S * SECOND_NS, "world"))
    yield from _warm(session)
    for _ in range(seconds * SECOND_NS // TICK_NS):
        world.turn()
        for event in (*world.due(), ClockTicked(world.now_ns)):
            for step in session.handle(event):
                yield step
                for effect in step[1]:
                    world.answer(effect)


def rows_of(seed: int, seconds: int = 40) -> list[list[object]]:
    """Every effect row of a seeded run, each with the time of its event."""
    session = build_session(CONFIG)
    return [
        [event.ts_ns, *effect.row()]
        for event, effects in drive(World(seed, seconds=seconds), session, seconds)
        for effect in effects
    ]
