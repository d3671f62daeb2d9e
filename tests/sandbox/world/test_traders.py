"""The traders: the same flow for the same seed, no order refused, books like the real ones."""

import functools
import hashlib
import random
from collections import Counter

import pytest

from polytrade.core.ids import BUY, SELL
from polytrade.core.units import ONE_E4, ONE_E6, SECOND_NS
from polytrade.sandbox.matching.accounts import Bank
from polytrade.sandbox.matching.events import LevelChanged, OrderChanged, Traded
from polytrade.sandbox.matching.exchange import Exchange
from polytrade.sandbox.schedule import Schedule
from polytrade.sandbox.world.calendar import Calendar, CalendarSettings
from polytrade.sandbox.world.prices import COINS, Prices
from polytrade.sandbox.world.traders import Traders, TraderSettings

SECONDS = 60
LATE_NS = 300_000_000
START_S = 1_790_000_100
"""A window of 5 minutes begins."""


class World:
    """Prices, markets, engine and traders without a wire; `events` are counted, trades kept."""

    def __init__(self, seed=7, activity=1.0, coins=("btc",), windows=("5m",), slow=()):
        self.schedule = Schedule(START_S * SECOND_NS)
        self.bank = Bank()
        self.counts = Counter()
        self.changes = Counter()
        self.trades = []
        self.orders = []
        self.off_e4 = []
        self.digest = hashlib.sha256()
        self.exchange = Exchange(self.schedule, self.bank, random.Random(1), self.hear)
        self.prices = Prices(seed, {coin: COINS[coin] for coin in coins}, self.schedule)
        settings = CalendarSettings(
            seed=seed, coins=coins, windows=windows, ladder_coins=(), slow=slow
        )
        self.calendar = Calendar(
            self.schedule, self.exchange, self.prices, settings, lambda kind, message: None
        )
        self.calendar.begin()
        self.traders = Traders(
            self.schedule,
            self.exchange,
            self.bank,
            self.prices,
            self.calendar,
            seed,
            TraderSettings(activity=activity),
        )

    def hear(self, event):
        self.counts[type(event).__name__] += 1
        if isinstance(event, LevelChanged):
            self.changes[event.rules.condition, event.ts_ns // SECOND_NS] += 1
            line = (event.ts_ns, event.token, event.side, event.price_e4, event.size_e6)
            self.digest.update(repr(line).encode())
        elif isinstance(event, Traded):
            self.trades.append(event.trade)
        elif isinstance(event, OrderChanged) and event.kind == "PLACEMENT":
            self.orders.append((event.order, event.rules.tick_e4, event.rules.min_size_e6))

    def run(self, seconds, each_second=lambda: None):
        """Live so long; `each_second` looks at the world once a second."""
        for _ in range(seconds):
            to_ns = self.schedule.now_ns + SECOND_NS
            while not self.schedule.run_until(to_ns):
                pass
            each_second()
        return self

    def market(self, window="5m"):
        """The running window's market of bitcoin."""
        now_s = self.schedule.now_ns // SECOND_NS
        for listing in self.calendar.active():
            if listing.window == window and listing.start_s <= now_s < listing.end_s:
                return self.exchange.markets[listing.rules.condition]
        raise AssertionError("expected a running window")


@functools.cache
def busy():
    """A minute of one busy market, and what its touch was each second."""
    world = World()
    touches = []

    def look():
        book = world.market().book
        bid_e4, ask_e4 = book.best_bid_e4(), book.best_ask_e4()
        levels = len(book.levels(BUY)) + len(book.levels(SELL))
        touches.append((bid_e4, ask_e4, levels, book.level_e6(BUY, bid_e4)))
        room = world.traders._rooms[world.market().rules.condition]
        value_e4 = room._pit.value_e4(LATE_NS)
        world.off_e4.append(abs((bid_e4 + ask_e4) / 2 - value_e4))

    world.run(SECONDS, look)
    return world, touches


def quantile(values, share):
    return sorted(values)[int(len(values) * share)]


def test_the_same_seed_gives_the_same_flow():
    first, again, other = (World(seed, 0.2).run(20) for seed in (7, 7, 8))
    assert first.digest.hexdigest() == again.digest.hexdigest() != other.digest.hexdigest()


def test_exchange_refuses_nothing():
    world, _ = busy()
    assert world.traders.refused == {}


def test_every_order_is_on_the_grid_and_large_enough():
    world, _ = busy()
    for order, tick_e4, min_size_e6 in world.orders:
        assert order.price_e4 % tick_e4 == 0
        assert order.size_e6 % 10_000 == 0
        if order.post_only:
            assert order.size_e6 >= min_size_e6
        elif order.side == BUY:
            assert order.cash_e6 >= ONE_E6
            assert order.cash_e6 % 10_000 == 0


def test_order_ids_are_unique_and_look_like_the_venues():
    world, _ = busy()
    ids = {order.order_id for order, _, _ in world.orders}
    assert len(ids) == len(world.orders)
    assert all(len(name) == 66 and name.startswith("0x") for name in ids)


def test_every_trader_is_a_wallet_with_an_address():
    world, _ = busy()
    wallets = {order.wallet: order.maker_address for order, _, _ in world.orders}
    assert {name.partition("-")[0] for name in wallets} >= {
        "trader:maker",
        "trader:crowd",
        "trader:noise",
    }
    assert len(set(wallets.values())) == len(wallets)
    assert all(len(address) == 42 for address in wallets.values())


def test_message_rate_is_the_real_one():
    world, _ = busy()
    condition = world.market().rules.condition
    rates = [n for (name, _), n in world.changes.items() if name == condition][5:]
    assert 430 <= sum(rates) / len(rates) <= 580
    assert 600 <= quantile(rates, 0.99) <= 1_100


def test_books_have_both_sides_one_tick_apart_and_every_level():
    _, touches = busy()
    both = [one for one in touches if one[0] > 0 and one[1] < ONE_E4]
    assert len(both) >= 0.95 * len(touches)
    assert sum(ask - bid == 100 for bid, ask, _, _ in both) >= 0.7 * len(both)
    assert quantile([levels for _, _, levels, _ in both], 0.5) in range(96, 100)
    assert 80 <= quantile([size / ONE_E6 for _, _, _, size in both], 0.5) <= 600


def test_takers_trade_sizes_like_the_real_ones():
    world, _ = busy()
    sizes = [trade.size_e6 / ONE_E6 for trade in world.trades]
    buys = sum(trade.taker.side == BUY for trade in world.trades)
    assert 2.5 <= len(sizes) / SECONDS <= 12
    assert 5 <= quantile(sizes, 0.5) <= 11
    assert 20 <= quantile(sizes, 0.9) <= 80
    assert 0.55 <= buys / len(sizes) <= 0.8


def test_market_follows_the_hidden_price():
    """The middle of the book is the fair value of a moment ago, to within a tick or so."""
    world, _ = busy()
    assert quantile(world.off_e4[2:], 0.5) <= 120


def test_activity_scales_the_messages_and_not_the_book():
    world = World(activity=0.1)
    world.run(60)
    condition = world.market().rules.condition
    rate = sum(n for (name, _), n in world.changes.items() if name == condition) / 60
    assert 40 <= rate - 200 / 60 <= 75  # about 200 orders made the ladder in the first second
    book = world.market().book
    assert len(book.levels(BUY)) + len(book.levels(SELL)) >= 95


def test_expected_rate_tells_what_comes():
    world = World(activity=0.3, coins=("btc", "eth"), windows=("5m", "15m"))
    world.run(10)
    before = world.counts["LevelChanged"]
    expected = world.traders.expected_rate() / 1.07
    world.run(40)
    found = (world.counts["LevelChanged"] - before) / 40
    assert found == pytest.approx(expected, rel=0.25)


def test_without_activity_there_are_books_and_no_trades():
    world = World(activity=0.0).run(30)
    assert world.trades == []
    assert len(world.market().book.levels(BUY)) > 20


def test_activity_may_change_while_the_venue_runs():
    world = World(activity=0.0).run(10)
    world.traders.activity = 1.0
    world.run(20)
    assert len(world.trades) > 20


def test_slow_markets_have_books_and_little_else():
    slow = CalendarSettings().slow[:1]
    world = World(activity=1.0, windows=("1d",), slow=slow).run(30)
    hidden = [one for one in world.calendar.active() if one.kind == "event"]
    assert hidden
    for listing in hidden:
        book = world.exchange.markets[listing.rules.condition].book
        middle = (book.best_bid_e4() + book.best_ask_e4()) / 2 / ONE_E4
        assert middle == pytest.approx(listing.hidden, abs=0.03)
    assert world.traders.refused == {}


def test_traders_leave_a_closed_market_and_are_paid():
    """A window's whole life: nothing is refused, nobody is left, winning shares became money."""
    world = World(activity=0.05).run(5)
    condition = world.market().rules.condition
    tokens = world.market().rules.tokens
    world.run(330)
    assert world.traders.refused == {}
    assert condition not in world.traders._rooms
    assert world.exchange.markets[condition].resolved
    assert [world.bank.shares_total_e6(token) for token in tokens] == [0, 0]
