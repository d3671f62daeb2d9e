"""The exchanges as their clients see them: polytrade's own decoders, and a bot's reading."""

import json
import zlib
from decimal import Decimal
from typing import Any

import pytest

from polytrade.core.events import FeedGap, ReferenceTicked
from polytrade.core.units import MS_NS, SECOND_NS
from polytrade.reference import CODECS
from polytrade.reference.kraken import KrakenCodec
from polytrade.sandbox.dialects import Played
from polytrade.sandbox.schedule import Schedule
from polytrade.sandbox.venue.exchanges import StreamDialect, Surroundings, make_exchanges
from polytrade.sandbox.venue.exchanges.pairs import BINANCE, BYBIT, COINBASE, KRAKEN, OKX
from polytrade.sandbox.world.prices import COINS, STEP_NS, Prices

START_S = 1_795_000_000
CODES = ("btc", "eth", "sol", "xrp")
EXCHANGES = {e.name: e for e in (BINANCE, COINBASE, KRAKEN, OKX, BYBIT)}


class World:
    """A schedule, prices, the exchanges, and clients that keep what they get."""

    def __init__(self, seed: int = 3, activity: float = 1.0) -> None:
        self.schedule = Schedule(START_S * SECOND_NS)
        self.prices = Prices(seed, {coin: COINS[coin] for coin in CODES}, self.schedule)
        self.clients: list[tuple[str, StreamDialect, list[tuple[int, str]]]] = []
        self.published: list[tuple[str, Played]] = []
        around = Surroundings(
            schedule=self.schedule,
            prices=self.prices,
            publish=self.publish,
            wanted=lambda endpoint: any(name == endpoint for name, _, _ in self.clients),
            seed=seed,
            activity=activity,
        )
        self.exchanges = make_exchanges(around)

    def publish(self, endpoint: str, played: Played) -> None:
        self.published.append((endpoint, played))
        for name, dialect, got in self.clients:
            selected = dialect.select(played) if name == endpoint else None
            if selected is not None:
                got.append((self.schedule.now_ns, str(selected.text)))

    def connect(self, name: str, path: str = "/") -> "Client":
        dialect = self.exchanges[name].dialect(path)
        got: list[tuple[int, str]] = []
        self.clients.append((name, dialect, got))
        return Client(self, dialect, got)

    def run(self, seconds: float) -> None:
        assert self.schedule.run_until(
            self.schedule.now_ns + int(seconds * SECOND_NS), most=10_000_000
        )


class Client:
    def __init__(self, world: World, dialect: StreamDialect, got: list[tuple[int, str]]) -> None:
        self.world, self.dialect, self.got = world, dialect, got

    def say(self, order: Any) -> list[Any]:
        text = order if isinstance(order, str) else json.dumps(order)
        answers = self.dialect.hear(text)
        self.got += [(self.world.schedule.now_ns, answer) for answer, _ in answers]
        return [json.loads(answer) for answer, _ in answers if answer != "pong"]

    def frames(self) -> list[Any]:
        return [json.loads(text, parse_float=Decimal) for _, text in self.got if text != "pong"]


@pytest.mark.parametrize("name", list(EXCHANGES))
def test_our_decoder_follows_a_minute_without_error_or_gap(name: str) -> None:
    world = World()
    client = world.connect(name, "/stream")
    codec = CODECS[name](CODES)
    codec.reset()
    for order in codec.hello():
        client.say(order)
    for _ in range(3):
        world.run(20)
        if (ping := codec.ping()) is not None:
            client.say(ping)
    ticks = follow(codec, client, name)
    assert {tick.symbol for tick in ticks} == {coin.upper() for coin in CODES}
    assert codec.counts["trade"] > 60
    assert not codec.unknown
    check_prices(world, name, ticks)


def test_our_checked_kraken_book_keeps_its_checksums() -> None:
    world = World()
    client = world.connect("kraken")
    codec = KrakenCodec(CODES, checked_book=True)
    for order in codec.hello():
        client.say(order)
    world.run(60)
    ticks = follow(codec, client, "kraken")
    assert codec.counts["quote"] > 500
    check_prices(world, "kraken", ticks)


def follow(codec: Any, client: Client, name: str) -> list[ReferenceTicked]:
    ticks = []
    for ts_ns, text in client.got:
        for event in codec.decode(text, ts_ns, f"{name}/0"):
            assert not isinstance(event, FeedGap), event
            ticks.append(event)
    assert not codec.reconnect_wanted
    return ticks


def check_prices(world: World, name: str, ticks: list[ReferenceTicked]) -> None:
    """Every tick of the last seconds is near the hidden price that the exchange saw."""
    lag_ns, checked = EXCHANGES[name].lag_ns, 0
    for tick in ticks:
        if tick.ts_ns < world.schedule.now_ns - 10 * SECOND_NS:
            continue
        times = [tick.ts_ns - lag_ns - back * STEP_NS for back in range(3)]
        seen = [world.prices.spot_at_e8(tick.symbol.lower(), ts_ns) for ts_ns in times]
        off = min(abs(tick.price_e8 - price_e8) / price_e8 for price_e8 in seen)
        assert off < 2.5e-4, (tick, seen)
        checked += 1
    assert checked > 5


def test_the_same_seed_gives_the_same_frames() -> None:
    played = []
    for _ in range(2):
        world = World(activity=0.2)
        for exchange in world.exchanges.values():
            exchange.record()
        world.run(20)
        played.append(world.published)
    assert played[0] == played[1]
    assert {endpoint for endpoint, _ in played[0]} == set(EXCHANGES)
    assert {p.parts[0].type for _, p in played[0]} >= {"bookTicker", "match", "ticker", "bbo-tbt"}


def test_what_nobody_subscribed_is_not_made() -> None:
    world = World()
    world.run(10)
    assert world.published == []
    client = world.connect("binance", "/ws")
    world.run(2)
    assert world.published == []
    client.say({"method": "SUBSCRIBE", "params": ["ethusdt@trade"], "id": 1})
    world.run(10)
    assert {played.parts[0].keys[0] for _, played in world.published} == {"ethusdt@trade"}
    client.say({"method": "UNSUBSCRIBE", "params": ["ethusdt@trade"], "id": 2})
    published = len(world.published)
    world.run(10)
    assert len(world.published) == published


def test_rates_are_those_of_the_real_exchange() -> None:
    world = World()
    client = world.connect("binance", "/ws/btcusdt@bookTicker/btcusdt@trade")
    world.run(30)
    busy = 30 * world.prices.bustle()
    trades = sum('"e":"trade"' in text for _, text in client.got)
    assert 120 < (len(client.got) - trades) / busy < 190
    assert 25 < trades / busy < 50


def test_activity_scales_the_rates() -> None:
    found = {}
    for activity in (0.1, 1.0):
        world = World(activity=activity)
        client = world.connect("binance", "/ws/btcusdt@trade")
        world.run(60)
        found[activity] = len(client.got)
    assert 5 < found[1.0] / found[0.1] < 15


ODD = (
    "",
    "ping",
    "null",
    "[]",
    "7",
    '"subscribe"',
    "{",
    "{}",
    '{"op":[],"method":{},"type":7}',
    '{"op":"subscribe","args":7}',
    '{"op":"subscribe","args":[7,null,{},{"channel":[],"instId":{}}]}',
    '{"method":"SUBSCRIBE","params":[7]}',
    '{"method":"SUBSCRIBE","params":7}',
    '{"method":"subscribe","params":[]}',
    '{"method":"subscribe","params":{"channel":"book","symbol":"BTC/USD","depth":[]}}',
    '{"method":"subscribe","params":{"channel":{},"symbol":[7],"depth":"x"}}',
    '{"type":"subscribe","product_ids":7,"channels":7}',
    '{"type":"subscribe","product_ids":[7],"channels":[7,{},{"name":[],"product_ids":7}]}',
    '{"type":"subscribe","product_ids":[{}],"channel":"level2"}',
)


@pytest.mark.parametrize("name", list(EXCHANGES))
def test_odd_requests_are_answered_and_change_nothing(name: str) -> None:
    world = World()
    client = world.connect(name)
    for text in ODD:
        for answer, _ in client.dialect.hear(text):
            assert answer == "pong" or json.loads(answer)
    assert not client.dialect.subscriptions
    world.run(2)
    assert client.got == []


@pytest.mark.parametrize("name", list(EXCHANGES))
def test_who_leaves_and_comes_back_starts_with_a_fresh_snapshot(name: str) -> None:
    """A second connection, while the first goes on and after all have gone."""
    world = World()
    for _ in range(2):
        for number in range(2):
            client = world.connect(name, "/stream")
            codec = CODECS[name](CODES)
            if name == "kraken":
                codec = KrakenCodec(CODES, checked_book=True)
            for order in codec.hello():
                client.say(order)
            world.run(4 + number * 0.513)
            assert len(follow(codec, client, name)) > 20
        world.clients.clear()
        world.run(4)


class TestBinance:
    def test_raw_and_combined_connections_get_the_same_frames(self) -> None:
        world = World()
        raw = world.connect("binance", "/ws/btcusdt@trade")
        combined = world.connect("binance", "/stream?streams=btcusdt@trade")
        world.run(5)
        assert [{"stream": "btcusdt@trade", "data": f} for f in raw.frames()] == combined.frames()

    def test_requests_are_answered_by_id(self) -> None:
        client = World().connect("binance", "/ws")
        subscribe = {"method": "SUBSCRIBE", "params": ["a@b", "btcusdt@trade"], "id": 9}
        assert client.say(subscribe) == [{"result": None, "id": 9}]
        assert client.say({"method": "LIST_SUBSCRIPTIONS", "id": "x"}) == [
            {"result": ["a@b", "btcusdt@trade"], "id": "x"}
        ]
        assert client.say("nonsense")[0]["error"]["code"] == 3
        assert client.say({"method": "DANCE", "id": 1})[0]["error"]["code"] == 2

    def test_trade_ids_are_consecutive_and_aggregates_join(self) -> None:
        world = World()
        client = world.connect("binance", "/ws/btcusdt@trade/btcusdt@aggTrade")
        world.run(20)
        trades = [f for f in client.frames() if f["e"] == "trade"]
        sums = [f for f in client.frames() if f["e"] == "aggTrade"]
        first = trades[0]["t"]
        assert [t["t"] for t in trades] == list(range(first, first + len(trades)))
        assert [a["f"] for a in sums] == [t["t"] for t in trades]
        assert [a["a"] for a in sums] == list(range(sums[0]["a"], sums[0]["a"] + len(sums)))
        assert all(len(t["p"].partition(".")[2]) == 8 for t in trades)

    def test_depth_differences_chain_and_agree_with_the_partial_book(self) -> None:
        world = World()
        stream = "/ws/btcusdt@depth@100ms/btcusdt@depth20@100ms"
        client = world.connect("binance", stream)
        slow = world.connect("binance", "/ws/btcusdt@depth")
        world.run(30)
        book: dict[str, dict[str, str]] = {"b": {}, "a": {}}
        differences = [f for f in client.frames() if "e" in f]
        partial = {f["lastUpdateId"]: f for f in client.frames() if "e" not in f}
        agreed = 0
        for frame in differences:
            for side in ("b", "a"):
                for price, size in frame[side]:
                    book[side][price] = size
            if frame["u"] in partial:
                agreed += best(book) == {
                    "b": partial[frame["u"]]["bids"][:3],
                    "a": partial[frame["u"]]["asks"][:3],
                }
        assert agreed > 200
        for frames, least in ((differences, 250), (slow.frames(), 25)):
            assert len(frames) > least
            assert [f["U"] for f in frames[1:]] == [f["u"] + 1 for f in frames[:-1]]

    def test_book_tickers_carry_no_time_and_never_cross(self) -> None:
        world = World()
        client = world.connect("binance", "/ws/xrpusdt@bookTicker")
        world.run(20)
        frames = client.frames()
        assert set(frames[0]) == {"u", "s", "b", "B", "a", "A"}
        assert all(Decimal(f["b"]) < Decimal(f["a"]) for f in frames)
        ids = [f["u"] for f in frames]
        assert ids == sorted(ids)


def best(book: dict[str, dict[str, str]]) -> dict[str, list[list[str]]]:
    """The three best levels a side of followed differences."""
    found = {}
    for side, reverse in (("b", True), ("a", False)):
        held = [price for price, size in book[side].items() if Decimal(size)]
        prices = sorted(held, key=Decimal, reverse=reverse)[:3]
        found[side] = [[price, book[side][price]] for price in prices]
    return found


class TestCoinbase:
    def test_the_exchange_feed_lists_what_is_subscribed(self) -> None:
        world = World()
        client = world.connect("coinbase")
        channels = ["ticker", {"name": "matches", "product_ids": ["ETH-USD"]}]
        order = {"type": "subscribe", "product_ids": ["BTC-USD"], "channels": channels}
        answers = client.say(order)
        assert answers[0] == {
            "type": "subscriptions",
            "channels": [
                {"name": "ticker", "product_ids": ["BTC-USD"], "account_ids": None},
                {"name": "matches", "product_ids": ["ETH-USD"], "account_ids": None},
            ],
        }
        assert [a["type"] for a in answers[1:]] == ["ticker"]
        world.run(20)
        kinds = {(f["type"], f["product_id"]) for f in client.frames()[1:]}
        assert kinds == {("ticker", "BTC-USD"), ("match", "ETH-USD")}
        again = client.say(order)
        assert [a["type"] for a in again] == ["subscriptions", "ticker", "last_match"]

    def test_refusals_are_errors(self) -> None:
        client = World().connect("coinbase")
        order = {"type": "subscribe", "product_ids": ["BTC-USD"], "channels": ["level2"]}
        assert client.say(order)[0]["reason"] == "level2 requires authentication"
        order = {"type": "subscribe", "product_ids": ["ABC-USD"], "channels": ["ticker"]}
        assert client.say(order)[0]["reason"] == "ABC-USD is not a valid product"
        assert client.say("{}")[0]["type"] == "error"
        assert not client.dialect.subscriptions

    def test_heartbeats_name_the_last_match(self) -> None:
        world = World()
        client = world.connect("coinbase")
        channels = ["matches", "heartbeat"]
        client.say({"type": "subscribe", "product_ids": ["BTC-USD"], "channels": channels})
        world.run(20)
        last, beats = None, 0
        for frame in client.frames():
            if frame["type"] == "heartbeat":
                beats += 1
                assert last in (None, frame["last_trade_id"])
            elif frame["type"] == "match":
                last = frame["trade_id"]
        assert 19 <= beats <= 21

    def test_level2_batch_is_a_snapshot_and_its_changes(self) -> None:
        world = World()
        client = world.connect("coinbase")
        order = {"type": "subscribe", "product_ids": ["BTC-USD"], "channels": ["level2_batch"]}
        _, snapshot = client.say(order)
        assert snapshot["type"] == "snapshot"
        world.run(30)
        sides = {
            "buy": dict(map(tuple, snapshot["bids"])),
            "sell": dict(map(tuple, snapshot["asks"])),
        }
        for frame in client.frames()[2:]:
            for side, price, size in frame["changes"]:
                sides[side][price] = size
        assert_book(world, "coinbase", sides["buy"], sides["sell"])

    def test_advanced_trade_numbers_the_frames_of_each_connection(self) -> None:
        world = World()
        clients = [world.connect("coinbase") for _ in range(2)]
        for channel in ("heartbeats", "ticker", "market_trades", "level2"):
            order = {"type": "subscribe", "product_ids": ["BTC-USD"], "channel": channel}
            clients[0].say(order)
            world.run(3)
        clients[1].say({"type": "subscribe", "product_ids": ["ETH-USD"], "channel": "ticker"})
        world.run(20)
        for client in clients:
            numbers = [frame["sequence_num"] for frame in client.frames()]
            assert numbers == list(range(len(numbers)))
        channels = {frame["channel"] for frame in clients[0].frames()}
        assert channels == {"heartbeats", "ticker", "market_trades", "l2_data", "subscriptions"}
        bids: dict[str, str] = {}
        asks: dict[str, str] = {}
        for frame in clients[0].frames():
            for event in frame["events"] if frame["channel"] == "l2_data" else []:
                for update in event["updates"]:
                    side = bids if update["side"] == "bid" else asks
                    side[update["price_level"]] = update["new_quantity"]
        assert_book(world, "coinbase", bids, asks)
        codec = CODECS["coinbase"](CODES)
        ticks = follow(codec, clients[0], "coinbase")
        assert len(ticks) > 100


def assert_book(
    world: World, name: str, bids: dict[str, str], asks: dict[str, str], coin: str = "btc"
) -> None:
    """The levels a client kept are those of the exchange, once what is pending is sent."""
    book = world.exchanges[name].books[coin]
    for side, kept in ((0, bids), (1, asks)):
        held = {Decimal(p): Decimal(q) for p, q in kept.items() if Decimal(q)}
        real = {
            Decimal(book.pair.price_text(ticks)): Decimal(book.pair.size_text(lots))
            for ticks, lots in book.view(side)
        }
        same = sum(held.get(price) == size for price, size in real.items())
        assert same >= len(real) - 6, (len(real), same)
        assert len(held) <= len(real) + 6


class TestKraken:
    def test_the_status_comes_first_and_pongs_are_timed(self) -> None:
        client = World().connect("kraken")
        (greeting, kind), *rest = client.dialect.greet()
        assert (json.loads(greeting)["channel"], kind, rest) == ("status", "status", [])
        pong = client.say({"method": "ping", "req_id": 42})[0]
        assert (pong["method"], pong["req_id"]) == ("pong", 42)
        assert pong["time_in"] < pong["time_out"]

    def test_a_client_never_greeted_hears_the_status_with_the_first_answer(self) -> None:
        client = World().connect("kraken")
        assert [a.get("channel") for a in client.say({"method": "ping"})] == ["status", None]
        assert [a["method"] for a in client.say({"method": "ping"})] == ["pong"]

    @pytest.mark.parametrize("depth", [10, 25])
    def test_a_book_kept_from_the_digits_has_every_checksum(self, depth: int) -> None:
        world = World()
        client = world.connect("kraken")
        params = {"channel": "book", "symbol": ["BTC/USD", "XRP/USD"], "depth": depth}
        client.say({"method": "subscribe", "params": params, "req_id": 1})
        world.run(60)
        books: dict[str, dict[str, dict[Decimal, str]]] = {}
        checked = 0
        for _, text in client.got:
            frame = json.loads(text, parse_float=str)
            if frame.get("channel") != "book":
                continue
            row = frame["data"][0]
            if frame["type"] == "snapshot":
                books[row["symbol"]] = {"bids": {}, "asks": {}}
            book = books[row["symbol"]]
            keep(book, row, depth)
            assert kraken_checksum(book) == row["checksum"]
            checked += 1
        assert checked > 1000

    def test_requests_are_answered_pair_by_pair(self) -> None:
        client = World().connect("kraken")
        params = {"channel": "ticker", "symbol": ["BTC/USD", "ABC/USD"], "event_trigger": "bbo"}
        answers = client.say({"method": "subscribe", "params": params, "req_id": 5})[1:]
        assert [a.get("success", a.get("type")) for a in answers] == [True, "snapshot", False]
        assert answers[2]["error"] == "Currency pair not supported ABC/USD"
        assert {a["req_id"] for a in answers if "method" in a} == {5}
        assert client.dialect.subscriptions == {"ticker-bbo:BTC/USD", "heartbeat"}

    def test_heartbeats_fill_silence_only(self) -> None:
        world = World(activity=0.0)
        client = world.connect("kraken")
        client.say({"method": "subscribe", "params": {"channel": "trade", "symbol": ["BTC/USD"]}})
        world.run(10)
        frames = client.frames()[2:]
        beats = [f for f in frames if f["channel"] == "heartbeat"]
        assert 5 <= len(beats) <= 10


def keep(book: dict[str, dict[Decimal, str]], row: Any, depth: int) -> None:
    for side, reverse in (("bids", True), ("asks", False)):
        for level in row[side]:
            if Decimal(level["qty"]):
                book[side][Decimal(level["price"])] = f"{level['price']} {level['qty']}"
            else:
                book[side].pop(Decimal(level["price"]), None)
        for price in sorted(book[side], reverse=reverse)[depth:]:
            del book[side][price]


def kraken_checksum(book: dict[str, dict[Decimal, str]]) -> int:
    text = ""
    for side, reverse in (("asks", False), ("bids", True)):
        for price in sorted(book[side], reverse=reverse)[:10]:
            text += "".join(n.replace(".", "").lstrip("0") for n in book[side][price].split())
    return zlib.crc32(text.encode())


class TestOkx:
    def test_books_chain_from_a_snapshot_for_clients_that_come_at_any_time(self) -> None:
        world = World()
        clients = []
        for _ in range(3):
            client = world.connect("okx")
            client.say({"op": "subscribe", "args": [{"channel": "books", "instId": "BTC-USDT"}]})
            clients.append(client)
            world.run(7.03)
        for client in clients:
            data = [f["data"][0] for f in client.frames() if "data" in f]
            assert data[0]["prevSeqId"] == -1
            assert [d["prevSeqId"] for d in data[1:]] == [d["seqId"] for d in data[:-1]]
            assert len(data) > 50
            assert {d["checksum"] for d in data} == {0}
            bids, asks = {}, {}
            for row in data:
                bids.update({level[0]: level[1] for level in row["bids"]})
                asks.update({level[0]: level[1] for level in row["asks"]})
            assert_book(world, "okx", bids, asks)

    def test_ping_is_text_and_errors_have_codes(self) -> None:
        client = World().connect("okx")
        assert client.dialect.hear("ping") == [("pong", "pong")]
        order = {"op": "subscribe", "args": [{"channel": "trades", "instId": "ABC-USDT"}]}
        assert client.say(order)[0]["code"] == "60018"
        assert client.say({"op": "dance"})[0]["code"] == "60012"
        order = {
            "id": "7",
            "op": "subscribe",
            "args": [{"channel": "trades", "instId": "BTC-USDT"}],
        }
        ack = client.say(order)[0]
        assert (ack["id"], ack["event"], ack["arg"]["channel"]) == ("7", "subscribe", "trades")

    def test_five_levels_and_tickers_come_whole(self) -> None:
        world = World()
        client = world.connect("okx")
        args = [{"channel": name, "instId": "ETH-USDT"} for name in ("books5", "tickers")]
        client.say({"op": "subscribe", "args": args})
        world.run(10)
        rows = [(f["arg"]["channel"], f["data"][0]) for f in client.frames() if "data" in f]
        five = [row for channel, row in rows if channel == "books5"]
        assert len(five) > 20
        assert {len(row["bids"]) for row in five} == {5}
        tickers = [row for channel, row in rows if channel == "tickers"]
        assert len(tickers) in (10, 11, 12)
        assert all(Decimal(t["low24h"]) <= Decimal(t["high24h"]) for t in tickers)


class TestBybit:
    def test_deeper_books_are_a_snapshot_and_consecutive_deltas(self) -> None:
        world = World()
        clients = []
        for depth in (50, 200, 50):
            client = world.connect("bybit")
            client.say({"op": "subscribe", "args": [f"orderbook.{depth}.BTCUSDT"]})
            clients.append(client)
            world.run(8.007)
        for client in clients:
            frames = [f for f in client.frames() if "topic" in f]
            assert [f["type"] for f in frames] == ["snapshot"] + ["delta"] * (len(frames) - 1)
            first = frames[0]["data"]["u"]
            assert [f["data"]["u"] for f in frames] == list(range(first, first + len(frames)))
            bids, asks = {}, {}
            for frame in frames:
                bids.update(dict(map(tuple, frame["data"]["b"])))
                asks.update(dict(map(tuple, frame["data"]["a"])))
            assert_book(world, "bybit", bids, asks)

    def test_the_top_is_repeated_after_three_silent_seconds(self) -> None:
        world = World(activity=0.0)
        client = world.connect("bybit")
        client.say({"op": "subscribe", "args": ["orderbook.1.XRPUSDT"]})
        world.run(30)
        frames = [f["data"]["u"] for f in client.frames() if "topic" in f]
        assert len(frames) > 4
        assert len(set(frames)) < len(frames)

    def test_requests_are_answered_and_refused_in_its_form(self) -> None:
        client = World().connect("bybit")
        ack = client.say({"req_id": "1", "op": "subscribe", "args": ["publicTrade.BTCUSDT"]})[0]
        assert (ack["success"], ack["req_id"], ack["op"]) == (True, "1", "subscribe")
        pong = client.say({"req_id": "x", "op": "ping"})[0]
        assert (pong["ret_msg"], pong["op"], pong["req_id"]) == ("pong", "ping", "x")
        refused = client.say({"op": "subscribe", "args": ["orderbook.7.BTCUSDT"]})[0]
        assert refused["success"] is False
        many = client.say({"op": "subscribe", "args": ["publicTrade.BTCUSDT"] * 11})[0]
        assert many["ret_msg"] == "args size >10"


def test_exchanges_see_a_jump_one_after_the_other() -> None:
    world = World()
    clients = {}
    for name in EXCHANGES:
        clients[name] = world.connect(name, "/stream")
        for order in CODECS[name](["btc"]).hello():
            clients[name].say(order)
    world.run(5)
    world.prices.jump("btc", 80.0)
    begin_ns = world.schedule.now_ns
    before_e8 = world.prices.spot_e8("btc")
    world.run(2)
    seen = {}
    for name, client in clients.items():
        codec = CODECS[name](["btc"])
        for ts_ns, text in client.got:
            for event in codec.decode(text, ts_ns, f"{name}/0"):
                if ts_ns >= begin_ns and event.price_e8 > before_e8 * 1.005:
                    seen.setdefault(name, (ts_ns - begin_ns) // MS_NS)
    assert seen["binance"] == 50
    assert (seen["bybit"], seen["okx"]) == (70, 80)
    assert seen["coinbase"] >= 110
    assert seen["kraken"] == 250
