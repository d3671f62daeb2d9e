"""Every hash on the market channel fits, checked by those who see nothing but the frames.

Seeded orders of both tokens run through the real exchange in markets of several ticks. One checker
is the recipe of protocols 5.4 written anew (json and sha1); the other is the product's own decoder
and book.
"""

import hashlib
import json
import random
from collections import Counter

from polytrade.core.book import MATCHED, Book
from polytrade.core.events import BookChanged, BookReplaced, MarketListed, TickSizeChanged
from polytrade.core.ids import BUY, NO, SELL, YES
from polytrade.core.units import MS_NS, ONE_E4, SECOND_NS
from polytrade.polymarket.wire import Instruments, MarketDecoder
from polytrade.sandbox.dialects import MarketDialect
from polytrade.sandbox.matching.accounts import Bank
from polytrade.sandbox.matching.events import LevelChanged, Traded
from polytrade.sandbox.matching.exchange import Exchange
from polytrade.sandbox.matching.orders import FAK, FOK, GTC, Order, Refused
from polytrade.sandbox.matching.rules import MarketRules
from polytrade.sandbox.schedule import Schedule
from polytrade.sandbox.venue.market_channel import MarketChannel, MarketChannelSettings

START = 1_790_000_000 * SECOND_NS
MESSAGES = 100_000
WALLETS = 12
RESTING = 20
"""Orders a market may have before the oldest is cancelled: small books keep the checkers fast."""
REACH = 7
"""Ticks from the middle within which orders are placed."""


class Venue:
    """The exchange with its market channel, and the one client that is subscribed to all."""

    def __init__(self, seed, markets):
        self.rng = random.Random(seed)
        self.schedule = Schedule(START)
        self.frames = []
        self.traded = 0
        self.channel = MarketChannel(
            self.schedule,
            lambda endpoint, played: self.frames.append(played),
            MarketChannelSettings(),
            random.Random(seed + 1),
        )
        bank = Bank()
        self.exchange = Exchange(self.schedule, bank, random.Random(seed + 2), self._emit)
        self.markets = markets
        self.middles = {rules.condition: 5_000 for rules in markets}
        self.resting = {rules.condition: [] for rules in markets}
        self.placed = 0
        for rules in markets:
            self.exchange.open_market(rules)
        for number in range(WALLETS):
            bank.fund(f"0x{number}", 10**15)
            for rules in markets:
                bank.split(f"0x{number}", rules, 10**13)
        self.dialect = MarketDialect(self.channel)

    def _emit(self, event):
        self.traded += isinstance(event, Traded)
        if isinstance(event, LevelChanged):
            assert event.ts_ns == self.schedule.now_ns
        self.channel.take(event)

    def subscribe(self):
        """The frames of the initial dump."""
        assets = [token for rules in self.markets for token in rules.tokens]
        order = {"type": "market", "assets_ids": assets, "custom_feature_enabled": True}
        answers = self.dialect.hear(json.dumps(order))
        return [text for text, kind in answers if kind == "dump"]

    def frames_until(self, count):
        """Trade at random until so many price changes and books have gone out; their frames."""
        sent = 0
        while sent < count:
            self._act()
            frames, self.frames = self.frames, []
            for played in frames:
                selected = self.dialect.select(played)
                sent += selected.types.get("price_change", 0) + selected.types.get("book", 0)
                yield selected.text

    def _act(self):
        rng, rules = self.rng, self.rng.choice(self.markets)
        if rng.random() < 0.4:
            self.schedule.run_until(self.schedule.now_ns + rng.randrange(1, 40) * MS_NS)
        resting = self.resting[rules.condition]
        if len(resting) >= RESTING or (resting and rng.random() < 0.3):
            self.exchange.cancel(resting.pop(rng.randrange(len(resting))))
            return
        if rng.random() < 0.02:
            step = rng.choice((-3, -1, 1, 3)) * rules.tick_e4
            low, high = (REACH + 1) * rules.tick_e4, ONE_E4 - (REACH + 1) * rules.tick_e4
            middle = self.middles[rules.condition] + step
            self.middles[rules.condition] = min(max(middle, low), high)
        order = self._order(rules)
        try:
            self.exchange.place(order)
        except Refused:
            return
        if order.order_type == GTC:
            resting.append(order.order_id)

    def _order(self, rules):
        rng, tick = self.rng, rules.tick_e4
        self.placed += 1
        token, side = rng.choice((YES, NO)), rng.choice((BUY, SELL))
        kind = rng.choice((GTC, GTC, GTC, GTC, FAK, FOK))
        away = rng.randrange(-REACH, REACH + 1) if kind == GTC else REACH
        buys_yes = (token == YES) == (side == BUY)
        if kind == GTC and rng.random() < 0.85:
            away = -abs(away)
        yes_e4 = self.middles[rules.condition] // tick * tick + (away if buys_yes else -away) * tick
        size_e6 = rng.choice(
            (rng.randrange(5_000_000, 300_000_000), 10_000 * rng.randrange(500, 9_000))
        )
        bound = {"size_e6": size_e6}
        if kind != GTC and side == BUY:
            bound["cash_e6"] = rng.randrange(1_000_000, 60_000_000)
        return Order(
            order_id=f"0x{self.placed:x}",
            wallet=f"0x{rng.randrange(WALLETS)}",
            condition=rules.condition,
            token=token,
            side=side,
            price_e4=yes_e4 if token == YES else ONE_E4 - yes_e4,
            order_type=kind,
            **bound,
        )


def market(number, **rules):
    return MarketRules(
        condition=f"0x{number:064x}",
        tokens=(f"{number}1" * 38, f"{number}2" * 38),
        outcomes=("Up", "Down"),
        **rules,
    )


# The recipe of protocols 5.4


class CheckedBook:
    """One token's book as its messages leave it."""

    def __init__(self, message):
        self.asset = message["asset_id"]
        self.sides = {"BUY": {}, "SELL": {}}
        self.replace(message)

    def replace(self, message):
        for side, name in (("BUY", "bids"), ("SELL", "asks")):
            self.sides[side] = {level["price"]: level["size"] for level in message[name]}

    def change(self, entry):
        levels = self.sides[entry["side"]]
        if entry["size"] == "0":
            levels.pop(entry["price"], None)
        else:
            levels[entry["price"]] = entry["size"]

    def lists(self):
        bids = sorted(self.sides["BUY"].items(), key=lambda level: float(level[0]))
        asks = sorted(self.sides["SELL"].items(), key=lambda level: -float(level[0]))
        return [[{"price": p, "size": s} for p, s in levels] for levels in (bids, asks)]


class Checker:
    """What a client knows of one market: books, tick, and the last trade price it has inferred."""

    def __init__(self, rules, first):
        self.min_size = f"{rules.min_size_e6 / 1e6:g}"
        self.neg_risk = rules.neg_risk
        self.tick = first["tick_size"]
        self.last = first["last_trade_price"]
        self.books = {}
        self.switches = 0

    def fits_book(self, message):
        known = self.books.get(message["asset_id"])
        if known is None:
            self.books[message["asset_id"]] = CheckedBook(message)
        else:
            assert known.lists() == [message["bids"], message["asks"]]
        return self._fits(message, message, message["bids"], message["asks"], [self.last])

    def fits_entry(self, message, entry):
        price = float(entry["price"])
        book = self.books[entry["asset_id"]]
        book.change(entry)
        bids, asks = book.lists()
        assert entry["best_bid"] == (bids[-1]["price"] if bids else "0")
        assert entry["best_ask"] == (asks[-1]["price"] if asks else "1")
        guesses = [self.last, f"{price:.3f}", f"{1 - price:.3f}"]
        return self._fits(message, entry, bids, asks, guesses)

    def _fits(self, message, sealed, bids, asks, guesses):
        """Whether the hash of `sealed` is that of these levels with one of the guesses."""
        body = {"market": message["market"], "asset_id": sealed["asset_id"]}
        body |= {"timestamp": message["timestamp"], "hash": "", "bids": bids, "asks": asks}
        body |= {"min_order_size": self.min_size, "tick_size": self.tick}
        body |= {"neg_risk": self.neg_risk}
        for last in guesses:
            body["last_trade_price"] = last
            text = json.dumps(body, separators=(",", ":"))
            if hashlib.sha1(text.encode()).hexdigest() == sealed["hash"]:
                self.switches += last != self.last
                self.last = last
                return True
        return False


def messages_of(text):
    body = json.loads(text)
    return body if isinstance(body, list) else [body]


def test_a_hundred_thousand_messages_verify_hash_by_hash_across_trades():
    """Goal: zero mismatches. Method: a subscriber with a checker of its own a market; prints are
    never looked at, a new last trade price must follow from the changed price alone."""
    markets = [
        market(1),
        market(2, tick_e4=10, neg_risk=True),
        market(3, tick_e4=50, min_size_e6=15_000_000),
        market(4, tick_e4=25, protocol="v2"),
    ]
    venue = Venue(20_261_122, markets)
    for _ in range(2_000):
        venue._act()
    venue.frames.clear()
    rules = {each.condition: each for each in markets}
    checkers, counts = {}, Counter()
    last_ms = dict.fromkeys(rules, 0)

    def check(message):
        kind, condition = message["event_type"], message["market"]
        counts[kind] += 1
        if kind == "book":
            if condition not in checkers:
                checkers[condition] = Checker(rules[condition], message)
            counts["fits" if checkers[condition].fits_book(message) else "differs"] += 1
        elif kind == "price_change":
            assert int(message["timestamp"]) >= last_ms[condition]
            last_ms[condition] = int(message["timestamp"])
            for entry in message["price_changes"]:
                fits = checkers[condition].fits_entry(message, entry)
                counts["fits" if fits else "differs"] += 1
        elif kind == "tick_size_change":
            checkers[condition].tick = message["new_tick_size"]

    for text in venue.subscribe():
        for message in messages_of(text):
            check(message)
    assert counts == {"book": 8, "fits": 8}
    for text in venue.frames_until(MESSAGES // 2):
        for message in messages_of(text):
            check(message)
    venue.exchange.change_tick(markets[0].condition, 10)
    for text in venue.frames_until(MESSAGES // 2):
        for message in messages_of(text):
            check(message)
    assert counts["book"] + counts["price_change"] >= MESSAGES
    assert counts["differs"] == 0
    assert counts["fits"] == counts["book"] + 2 * counts["price_change"]
    assert counts["tick_size_change"] == 4
    assert counts["last_trade_price"] > 5_000
    assert sum(checker.switches for checker in checkers.values()) > 5_000
    assert venue.traded > 5_000


def test_the_checker_sees_one_wrong_size_and_one_wrong_trade_price():
    """So that zero mismatches means something."""
    rules = market(1)
    for spoilt in ({"size": "7.77"}, {"hash": hashlib.sha1(b"").hexdigest()}):
        venue = Venue(3, [rules])
        [dump] = venue.subscribe()
        checker = Checker(rules, messages_of(dump)[0])
        assert all(checker.fits_book(message) for message in messages_of(dump))
        text = next(venue.frames_until(1))
        [message] = [m for m in messages_of(text) if m["event_type"] == "price_change"]
        first, second = message["price_changes"]
        assert not checker.fits_entry(message, {**first, **spoilt})
        assert checker.fits_entry(message, second)


def test_the_product_s_own_decoder_and_book_verify_the_stream():
    markets = [market(1), market(2, tick_e4=10, neg_risk=True)]
    venue = Venue(7, markets)
    for _ in range(500):
        venue._act()
    venue.frames.clear()
    instruments = Instruments()
    books = {}
    for rules in markets:
        (yes, no), condition = rules.tokens, rules.condition
        terms = (rules.tick_e4, rules.min_size_e6, rules.neg_risk)
        instruments.add(
            MarketListed(
                *(START, condition, "slug", "BTC", "updown", yes, no, *terms),
                *(0, 1, 0, START, START, "twap", 60, -1, True, False, 250, "v1"),
            )
        )
        books[condition] = Book(condition, yes, no, *terms)
    decoder = MarketDecoder(instruments)
    verdicts, best = Counter(), Counter()

    def follow(text):
        for event in decoder.decode(text, venue.schedule.now_ns, "polymarket.market/0"):
            if isinstance(event, BookReplaced):
                verdicts[books[event.market].replace(event, whole=False)] += 1
            elif isinstance(event, BookChanged):
                book = books[event.market]
                verdicts[book.change(event, check=True)] += 1
                best[book.fits_stated_best()] += 1
            else:
                assert not isinstance(event, TickSizeChanged)

    for text in venue.subscribe():
        follow(text)
    for text in venue.frames_until(6_000):
        follow(text)
    assert decoder.unknown == decoder.foreign == {}
    assert set(verdicts) == set(best) == {MATCHED}
    assert verdicts[MATCHED] > 5_500
