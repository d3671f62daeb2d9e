"""The market channel: what it says of the engine's events, in which frames, and when."""

import hashlib
import json
import random
from decimal import Decimal

import pytest
from polymarket.models.clob.market_events import parse_market_event
from polymarket.models.clob.order_book import OrderBook

from polytrade.core.ids import BUY, NO, SELL, YES
from polytrade.core.units import MS_NS, ONE_E4, SECOND_NS
from polytrade.sandbox.dialects import MarketDialect
from polytrade.sandbox.matching.events import (
    LevelChanged,
    MarketClosed,
    MarketOpened,
    MarketResolved,
    TickChanged,
    Traded,
)
from polytrade.sandbox.matching.orders import COMPLEMENTARY, MakerFill, Order, Trade
from polytrade.sandbox.matching.rules import MarketRules
from polytrade.sandbox.schedule import Schedule
from polytrade.sandbox.venue import market_channel
from polytrade.sandbox.venue.market_channel import (
    ARRAY_MAX,
    KEPT_AFTER_NS,
    MarketChannel,
    MarketChannelSettings,
)
from polytrade.sandbox.venue.wire_market import last_price_text, shown_size

START = 1_790_000_000 * SECOND_NS
MS = START // MS_NS
MARKET = "0x" + "ab" * 32
UP = "1" * 77
DOWN = "2" * 77
PLAIN = MarketChannelSettings(books_after_trades=0.0, array_share=0.0)


class Rig:
    """A channel on a schedule of its own; what it publishes is kept with its time."""

    def __init__(self, settings=PLAIN, **rules):
        self.schedule = Schedule(START)
        self.frames = []
        self.channel = MarketChannel(self.schedule, self._keep, settings, random.Random(7))
        self.rules = MarketRules(
            condition=MARKET, tokens=(UP, DOWN), outcomes=("Up", "Down"), **rules
        )
        self.channel.take(MarketOpened(START, self.rules))

    def _keep(self, endpoint, played):
        assert endpoint == "market"
        self.frames.append((self.schedule.now_ns, played))

    def level(self, token, side, price_e4, size_e6, last_e4=-1):
        event = LevelChanged(
            self.schedule.now_ns, self.rules, token, side, price_e4, size_e6, last_e4
        )
        self.channel.take(event)

    def trade(self, size_e6=1_204_817, cash_e6=999_998):
        names = {"wallet": "0xa", "condition": MARKET, "size_e6": size_e6}
        taker = Order(order_id="0x1", token=NO, side=BUY, price_e4=8300, **names)
        maker = Order(order_id="0x2", token=YES, side=BUY, price_e4=1700, **names)
        fill = MakerFill(maker, size_e6, 1700, 1, COMPLEMENTARY)
        now = self.schedule.now_ns
        trade = Trade(
            trade_id="t",
            condition=MARKET,
            taker=taker,
            size_e6=size_e6,
            cash_e6=cash_e6,
            fee_e6=0,
            fills=[fill],
            match_ns=now,
            update_ns=now,
            transaction_hash="0x" + "cd" * 32,
        )
        self.channel.take(Traded(now, self.rules, trade))

    def run(self, ms):
        self.schedule.run_until(self.schedule.now_ns + ms * MS_NS)

    def taken(self):
        """The messages published since last asked."""
        frames, self.frames = self.frames, []
        found = []
        for _, played in frames:
            body = json.loads(played.text)
            found += body if isinstance(body, list) else [body]
        return found


def book_hash(message, bids, asks, tick="0.01", last=""):
    body = {"market": MARKET, "asset_id": message["asset_id"], "timestamp": message["timestamp"]}
    body |= {"hash": "", "bids": bids, "asks": asks, "min_order_size": "5", "tick_size": tick}
    body |= {"neg_risk": False, "last_trade_price": last}
    return hashlib.sha1(json.dumps(body, separators=(",", ":")).encode()).hexdigest()


def row(price, size):
    return {"price": price, "size": size}


# price_change


def test_a_change_names_both_tokens_the_order_s_own_first():
    rig = Rig()
    rig.level(NO, SELL, 5500, 142_109_999)
    [message] = [m for m in rig.taken() if m["event_type"] == "price_change"]
    down, up = message.pop("price_changes")
    assert message == {"market": MARKET, "timestamp": str(MS), "event_type": "price_change"}
    stamped = {"timestamp": str(MS)}
    assert down == {
        "asset_id": DOWN,
        "price": "0.55",
        "size": "142.1",
        "side": "SELL",
        "hash": book_hash({"asset_id": DOWN, **stamped}, [], [row("0.55", "142.1")]),
        "best_bid": "0",
        "best_ask": "0.55",
    }
    assert up == {
        "asset_id": UP,
        "price": "0.45",
        "size": "142.1",
        "side": "BUY",
        "hash": book_hash({"asset_id": UP, **stamped}, [row("0.45", "142.1")], []),
        "best_bid": "0.45",
        "best_ask": "1",
    }


@pytest.mark.parametrize(
    ("size_e6", "shown"),
    [
        (142_109_999, "142.1"),
        (60_000_000, "60"),
        (9_999, "0"),
        (10_000, "0.01"),
        (0, "0"),
        (5_050_000, "5.05"),
    ],
)
def test_sizes_are_cut_to_two_decimals(size_e6, shown):
    assert shown_size(size_e6) == shown


def test_a_level_of_which_nothing_is_shown_is_removed():
    rig = Rig()
    rig.level(YES, BUY, 4800, 5_000_000)
    rig.level(YES, BUY, 4700, 5_000_000)
    rig.taken()
    rig.level(YES, BUY, 4800, 9_999)
    change = rig.taken()[0]["price_changes"][0]
    assert (change["size"], change["best_bid"]) == ("0", "0.47")
    assert json.loads(rig.channel.rest_book(UP))["bids"] == [row("0.47", "5")]


def test_taking_away_what_is_not_shown_leaves_the_book_and_its_hash_right():
    rig = Rig()
    rig.level(YES, SELL, 6000, 0)
    change = rig.taken()[0]["price_changes"][0]
    assert change["size"] == "0"
    assert change["hash"] == book_hash({"asset_id": UP, "timestamp": str(MS)}, [], [])


def test_bids_ascend_and_asks_descend_in_both_books():
    rig = Rig()
    for price in (4700, 4900, 100):
        rig.level(YES, BUY, price, 5_000_000)
    for price in (4500, 4800):
        rig.level(NO, BUY, price, 7_000_000)
    up, down = (json.loads(rig.channel.rest_book(asset)) for asset in (UP, DOWN))
    assert [level["price"] for level in up["bids"]] == ["0.01", "0.47", "0.49"]
    assert [level["price"] for level in up["asks"]] == ["0.55", "0.52"]
    assert [level["price"] for level in down["bids"]] == ["0.45", "0.48"]
    assert [level["price"] for level in down["asks"]] == ["0.99", "0.53", "0.51"]


def test_the_last_trade_price_switches_in_the_message_of_the_fill():
    rig = Rig()
    rig.level(YES, BUY, 1700, 143_310_000)
    rig.taken()
    rig.level(YES, BUY, 1700, 142_105_183, last_e4=1700)
    for entry in rig.taken()[0]["price_changes"]:
        stamped = {"asset_id": entry["asset_id"], "timestamp": str(MS)}
        bids, asks = [row("0.17", "142.1")], []
        if entry["asset_id"] == DOWN:
            bids, asks = [], [row("0.83", "142.1")]
        assert entry["hash"] == book_hash(stamped, bids, asks, last="0.170")


@pytest.mark.parametrize(
    ("price_e4", "text"),
    [(-1, ""), (1700, "0.170"), (8205, "0.821"), (9994, "0.999"), (5, "0.001"), (10, "0.001")],
)
def test_last_trade_prices_have_three_decimals_at_every_tick(price_e4, text):
    assert last_price_text(price_e4) == text
    assert price_e4 < 0 or text == f"{price_e4 / ONE_E4:.3f}"


# book


def test_the_dump_has_tick_and_last_trade_price_and_the_hash_of_the_last_change():
    rig = Rig(tick_e4=10, neg_risk=True)
    rig.run(5)
    rig.level(YES, BUY, 4805, 5_000_000, last_e4=4805)
    change = rig.taken()[0]["price_changes"][0]
    rig.run(3_000)
    assert json.loads(rig.channel.book_dump(UP)) == {
        "market": MARKET,
        "asset_id": UP,
        "timestamp": str(MS + 5),
        "hash": change["hash"],
        "bids": [row("0.4805", "5")],
        "asks": [],
        "tick_size": "0.001",
        "event_type": "book",
        "last_trade_price": "0.480",
    }


def test_the_rest_book_has_the_venue_s_key_order():
    rig = Rig(neg_risk=True, min_size_e6=15_000_000)
    rig.level(YES, SELL, 5200, 5_000_000)
    text = rig.channel.rest_book(UP)
    book = json.loads(text)
    assert list(book) == [
        *("market", "asset_id", "timestamp", "hash", "bids", "asks"),
        *("min_order_size", "tick_size", "neg_risk", "last_trade_price"),
    ]
    assert (book["min_order_size"], book["tick_size"]) == ("15", "0.01")
    assert (book["neg_risk"], book["last_trade_price"]) == (True, "")
    assert book["hash"] == rig.taken()[0]["price_changes"][0]["hash"]
    digest = hashlib.sha1(text.replace(book["hash"], "").encode()).hexdigest()
    assert book["hash"] == digest
    assert OrderBook.model_validate(book).asks[0].price == Decimal("0.52")


def test_the_rest_book_of_protocol_v2_says_so_at_its_end():
    rig = Rig(protocol="v2")
    book = json.loads(rig.channel.rest_book(DOWN))
    assert list(book)[-1] == "version"
    assert book["version"] == "v2"


def test_unknown_assets_have_no_book():
    rig = Rig()
    assert rig.channel.book_dump("3") is None
    assert rig.channel.rest_book("3") is None


# Trades


def test_a_trade_is_printed_late_in_the_taker_s_terms():
    rig = Rig()
    rig.trade()
    assert rig.taken() == []
    rig.run(2_010)
    [(at_ns, played)] = rig.frames
    [message] = rig.taken()
    stamp = int(message.pop("timestamp"))
    assert message == {
        "market": MARKET,
        "asset_id": DOWN,
        "price": "0.83",
        "size": "1.204817",
        "fee_rate_bps": "0",
        "side": "BUY",
        "event_type": "last_trade_price",
        "transaction_hash": "0x" + "cd" * 32,
    }
    assert 5 <= stamp - MS <= 2_000
    assert 0 <= at_ns // MS_NS - stamp <= 8
    assert [(part.type, part.keys) for part in played.parts] == [("last_trade_price", (DOWN,))]


def test_prints_wait_about_97_ms():
    rig = Rig()
    for _ in range(999):
        rig.trade()
    rig.run(2_010)
    waits = sorted(int(message["timestamp"]) - MS for message in rig.taken())
    assert len(waits) == 999
    assert 90 <= waits[499] <= 104
    assert waits[49] < 70
    assert waits[949] > 130


def test_books_follow_the_share_of_trades_that_is_set():
    """Both books, without tick and last trade price, 10 to 50 ms after the match."""
    rig = Rig(MarketChannelSettings(books_after_trades=1.0, array_share=0.0, trade_wait_ms=500))
    rig.level(YES, BUY, 4800, 5_000_000, last_e4=4800)
    hashes = [entry["hash"] for entry in rig.taken()[0]["price_changes"]]
    rig.trade()
    rig.run(9)
    assert rig.taken() == []
    rig.run(41)
    up, down = rig.taken()
    assert [up["asset_id"], down["asset_id"]] == [UP, DOWN]
    assert [up["hash"], down["hash"]] == hashes
    for book in (up, down):
        assert list(book) == [
            *("market", "asset_id", "timestamp", "hash", "bids", "asks", "event_type"),
        ]


def test_a_tenth_of_the_trades_brings_books_by_default():
    rig = Rig(MarketChannelSettings(array_share=0.0))
    for _ in range(1_000):
        rig.trade()
    rig.run(2_010)
    kinds = [message["event_type"] for message in rig.taken()]
    assert kinds.count("last_trade_price") == 1_000
    assert 140 <= kinds.count("book") <= 260


# Touch, tick, announcements


def test_best_bid_ask_follows_only_a_change_of_the_touch():
    rig = Rig()
    rig.level(YES, BUY, 4800, 5_000_000)
    rig.level(YES, SELL, 5200, 5_000_000)
    rig.taken()
    rig.level(YES, BUY, 4700, 5_000_000)
    assert [m["event_type"] for m in rig.taken()] == ["price_change"]
    rig.level(NO, BUY, 5100, 5_000_000)
    change, down, up = rig.taken()
    assert change["event_type"] == "price_change"
    assert down == {
        "market": MARKET,
        "asset_id": DOWN,
        "best_bid": "0.51",
        "best_ask": "0.52",
        "spread": "0.01",
        "timestamp": str(MS),
        "event_type": "best_bid_ask",
    }
    assert (up["best_bid"], up["best_ask"], up["spread"]) == ("0.48", "0.49", "0.01")


def test_a_new_tick_is_told_twice_for_both_tokens_and_enters_the_hashes():
    rig = Rig()
    rig.level(YES, BUY, 9700, 5_000_000)
    rig.taken()
    rig.run(40)
    rig.rules.tick_e4 = 10
    rig.channel.take(TickChanged(rig.schedule.now_ns, rig.rules, 100))
    messages = rig.taken()
    expected = {
        "market": MARKET,
        "old_tick_size": "0.01",
        "new_tick_size": "0.001",
        "timestamp": str(MS + 40),
        "event_type": "tick_size_change",
    }
    assert messages == [{**expected, "asset_id": asset} for asset in (UP, DOWN, UP, DOWN)]
    book = json.loads(rig.channel.book_dump(UP))
    assert book["tick_size"] == "0.001"
    assert book["hash"] == book_hash(book, [row("0.97", "5")], [], tick="0.001")
    rig.level(YES, BUY, 9705, 5_000_000)
    entry = rig.taken()[0]["price_changes"][0]
    bids = [row("0.97", "5"), row("0.9705", "5")]
    stamped = {"asset_id": UP, "timestamp": str(MS + 40)}
    assert entry["hash"] == book_hash(stamped, bids, [], tick="0.001")


def test_announcements_go_to_who_asked_for_them():
    rig = Rig()
    rig.channel.announce("new_market", {"id": "1", "market": MARKET, "assets_ids": [UP, DOWN]})
    rig.channel.announce(
        "market_resolved",
        {"id": "1", "market": MARKET, "assets_ids": [UP, DOWN], "timestamp": "5"},
    )
    (_, fresh), (_, resolved) = rig.frames
    assert json.loads(fresh.text)["timestamp"] == str(MS)
    assert json.loads(resolved.text)["timestamp"] == "5"
    flagged, plain, elsewhere = (MarketDialect(rig.channel) for _ in range(3))
    flagged.hear(json.dumps({"assets_ids": [UP], "custom_feature_enabled": True}))
    plain.hear(json.dumps({"assets_ids": [UP]}))
    elsewhere.hear(json.dumps({"assets_ids": ["3"], "custom_feature_enabled": True}))
    assert [flagged.select(p) is not None for p in (fresh, resolved)] == [True, True]
    assert [plain.select(p) is not None for p in (fresh, resolved)] == [False, False]
    assert [elsewhere.select(p) is not None for p in (fresh, resolved)] == [True, False]


# Frames


def test_the_messages_of_one_instant_may_come_as_one_array():
    rig = Rig(MarketChannelSettings(array_share=1.0))
    rig.level(YES, BUY, 4800, 5_000_000)
    rig.level(YES, BUY, 4700, 5_000_000)
    assert rig.frames == []
    rig.run(0)
    [(at_ns, played)] = rig.frames
    messages = json.loads(played.text)
    kinds = ["price_change", "best_bid_ask", "best_bid_ask", "price_change"]
    assert [message["event_type"] for message in messages] == kinds
    assert [part.type for part in played.parts] == kinds
    assert at_ns == START


def test_an_array_of_one_is_an_object_and_a_later_instant_never_overtakes():
    rig = Rig(MarketChannelSettings(array_share=1.0))
    rig.level(YES, BUY, 4800, 5_000_000)
    rig.run(0)
    rig.frames.clear()
    rig.level(YES, BUY, 4700, 5_000_000)
    rig.schedule.now_ns += MS_NS
    rig.level(YES, BUY, 4600, 5_000_000)
    rig.run(0)
    stamps = [json.loads(played.text)["timestamp"] for _, played in rig.frames]
    assert stamps == [str(MS), str(MS + 1)]


def test_an_array_is_bounded():
    rig = Rig(MarketChannelSettings(array_share=1.0))
    for _ in range(ARRAY_MAX + 1):
        rig.level(YES, BUY, 100, 5_000_000)
    assert [len(played.parts) for _, played in rig.frames] == [ARRAY_MAX]


def test_a_dump_comes_after_what_it_contains():
    rig = Rig(MarketChannelSettings(array_share=1.0))
    rig.level(YES, BUY, 4800, 5_000_000)
    assert rig.frames == []
    book = json.loads(rig.channel.book_dump(UP))
    assert rig.taken()[0]["price_changes"][0]["hash"] == book["hash"]


def test_about_a_twentieth_of_the_instants_comes_as_arrays_by_default():
    rig = Rig(MarketChannelSettings())
    rig.level(YES, BUY, 4800, 5_000_000)
    rig.run(1)
    rig.frames.clear()
    for _ in range(1_000):
        for price in (100, 200):
            rig.level(YES, BUY, price, 5_000_000)
        rig.run(1)
    assert 30 <= sum(played.text.startswith("[") for _, played in rig.frames) <= 70


def test_nothing_is_published_while_quiet_and_the_books_go_on():
    rig = Rig(MarketChannelSettings(array_share=1.0, books_after_trades=1.0))
    rig.level(YES, BUY, 4800, 5_000_000)
    rig.trade()
    rig.channel.quiet = True
    rig.level(YES, BUY, 4700, 5_000_000)
    rig.run(3_000)
    assert rig.frames == []
    rig.channel.quiet = False
    book = json.loads(rig.channel.book_dump(UP))
    assert book["bids"] == [row("0.47", "5"), row("0.48", "5")]
    rig.level(YES, BUY, 4600, 5_000_000)
    rig.run(0)
    bids = [row("0.46", "5"), *book["bids"]]
    [message] = rig.taken()
    stamped = {"asset_id": UP, "timestamp": message["timestamp"]}
    assert message["price_changes"][0]["hash"] == book_hash(stamped, bids, [])


def test_the_same_seed_publishes_the_same_frames():
    def tape():
        rig = Rig(MarketChannelSettings(array_share=0.5, books_after_trades=0.5))
        for price in range(100, 4_900, 100):
            rig.level(YES, BUY, price, 5_000_000)
            rig.trade()
            rig.run(7)
        rig.run(3_000)
        return [(at_ns, played.text) for at_ns, played in rig.frames]

    assert tape() == tape()


# Life cycle


def test_a_resolved_market_is_forgotten_some_minutes_later():
    rig = Rig()
    rig.channel.take(MarketClosed(START, rig.rules))
    rig.channel.take(MarketResolved(START, rig.rules, (1_000_000, 0)))
    rig.trade()
    rig.schedule.run_until(START + KEPT_AFTER_NS - 1)
    assert rig.channel.rest_book(UP) is not None
    rig.trade()
    rig.schedule.run_until(START + KEPT_AFTER_NS)
    assert rig.channel.rest_book(UP) is None
    rig.taken()
    rig.level(YES, BUY, 4800, 5_000_000)
    rig.channel.take(TickChanged(START, rig.rules, 100))
    rig.run(3_000)
    assert rig.taken() == []


def test_too_many_markets_push_the_oldest_out(monkeypatch):
    monkeypatch.setattr(market_channel, "MARKETS_MAX", 2)
    rig = Rig()
    for n in (1, 2):
        rules = MarketRules(condition=f"0x{n}", tokens=(f"{n}1", f"{n}2"), outcomes=("Yes", "No"))
        rig.channel.take(MarketOpened(START, rules))
    assert rig.channel.rest_book(UP) is None
    assert rig.channel.rest_book("11") is not None
    assert rig.channel.rest_book("22") is not None


def test_the_official_client_reads_every_message():
    rig = Rig(MarketChannelSettings(books_after_trades=1.0))
    rig.level(YES, BUY, 4800, 5_000_000)
    rig.level(NO, BUY, 4800, 5_000_000, last_e4=4800)
    rig.trade()
    rig.rules.tick_e4 = 10
    rig.channel.take(TickChanged(START, rig.rules, 100))
    rig.channel.announce(
        "new_market",
        {"id": "1", "market": MARKET, "assets_ids": [UP, DOWN], "outcomes": ["Up", "Down"]},
    )
    rig.channel.announce(
        "market_resolved",
        {"id": "1", "market": MARKET, "assets_ids": [UP, DOWN], "winning_asset_id": UP},
    )
    rig.run(3_000)
    messages = [*rig.taken(), json.loads(rig.channel.book_dump(UP))]
    parsed = [parse_market_event(message) for message in messages]
    assert {event.type for event in parsed} == {
        *("book", "price_change", "last_trade_price", "best_bid_ask", "tick_size_change"),
        *("new_market", "market_resolved"),
    }
    [trade] = [event.payload for event in parsed if event.type == "last_trade_price"]
    assert (trade.price, trade.size, trade.side) == (Decimal("0.83"), Decimal("1.204817"), "BUY")
