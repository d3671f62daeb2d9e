"""RTDS and PolyBolt as polytrade and the official client read them."""

import json
from decimal import Decimal
from typing import Any

from polymarket._internal.streams.realtime.protocol import parse_price_event
from polymarket.models import rtds_events

from polytrade.core.events import FeedGap, ReferenceTicked
from polytrade.core.ids import ANCHOR, RELAY, TWAP30, TWAP60
from polytrade.core.units import SECOND_NS
from polytrade.polymarket.prices import (
    PolyBoltCredentials,
    PolyBoltDecoder,
    RtdsDecoder,
    polybolt_auth_frame,
    rtds_subscribe_frame,
)
from polytrade.polymarket.relays import PolyBoltCodec, RtdsCodec
from polytrade.sandbox.dialects import Played, RtdsDialect
from polytrade.sandbox.schedule import Schedule
from polytrade.sandbox.venue.relays import PolyBoltDialect, Relays
from polytrade.sandbox.world.prices import COINS, Prices

START_S = 1_795_000_000
CODES = ("btc", "eth")
CREDENTIALS = PolyBoltCredentials("key", "secret", "pass")


class Keys:
    """Knows one key."""

    def by_credentials(self, api_key: object, secret: object, passphrase: object) -> object:
        return "known" if (api_key, secret, passphrase) == ("key", "secret", "pass") else None


class World:
    def __init__(self, seed: int = 5) -> None:
        self.schedule = Schedule(START_S * SECOND_NS)
        self.prices = Prices(seed, {coin: COINS[coin] for coin in CODES}, self.schedule)
        self.relays = Relays(self.schedule, self.prices, self.publish)
        self.published: list[tuple[int, str, Played]] = []
        self.rtds = RtdsDialect(self.relays)
        self.bolt = PolyBoltDialect(self.relays, Keys())  # type: ignore[arg-type]
        self.got: dict[str, list[tuple[int, str]]] = {"rtds": [], "polybolt": []}

    def publish(self, endpoint: str, played: Played) -> None:
        self.published.append((self.schedule.now_ns, endpoint, played))
        selected = (self.rtds if endpoint == "rtds" else self.bolt).select(played)
        if selected is not None:
            self.got[endpoint].append((self.schedule.now_ns, str(selected.text)))

    def run(self, seconds: float) -> None:
        to_ns = self.schedule.now_ns + int(seconds * SECOND_NS)
        assert self.schedule.run_until(to_ns, most=1_000_000)

    def say_rtds(self, *frames: str) -> None:
        for frame in frames:
            answers = self.rtds.hear(frame)
            self.got["rtds"] += [(self.schedule.now_ns, text) for text, _ in answers]

    def say_bolt(self, *frames: Any) -> list[Any]:
        found = []
        for frame in frames:
            text = frame if isinstance(frame, str) else json.dumps(frame)
            answers = self.bolt.hear(text)
            self.got["polybolt"] += [(self.schedule.now_ns, answer) for answer, _ in answers]
            found += [json.loads(answer) for answer, kind in answers if kind != "close"]
        return found

    def login(self) -> None:
        self.say_bolt(polybolt_auth_frame(CREDENTIALS, "auth"))

    def bolt_data(self) -> list[Any]:
        frames = [json.loads(text) for _, text in self.got["polybolt"]]
        return [frame for frame in frames if "op" not in frame]


def subscribe(channel: str, symbol: str, rid: str = "1", **more: object) -> dict[str, Any]:
    wanted = {"channel": channel, "filter": {"symbol": symbol, **more}}
    return {"op": "subscribe", "rid": rid, "subscriptions": [wanted]}


class TestRtds:
    def test_our_decoder_reads_two_minutes_of_every_topic(self) -> None:
        world = World()
        world.say_rtds(*RtdsCodec().hello())
        world.run(120)
        decoder = RtdsDecoder()
        ticks = []
        for ts_ns, text in world.got["rtds"]:
            ticks += decoder.decode(text, ts_ns, "polymarket.rtds/0")
        assert not decoder.unknown
        for kind in (RELAY, ANCHOR, TWAP30, TWAP60):
            found = [t for t in ticks if t.kind == kind and t.symbol == "BTC"]
            assert 116 <= len(found) <= 120
            stamps = [t.venue_ts_ns // SECOND_NS for t in found]
            assert stamps == list(range(stamps[0], stamps[0] + len(stamps)))
            for tick in found:
                assert tick.price_e8 == self.price_e8(world, tick)

    def price_e8(self, world: World, tick: ReferenceTicked) -> int:
        second = tick.venue_ts_ns // SECOND_NS
        if tick.kind == RELAY:
            return world.prices.second_e8("btc", second)
        window_s = {ANCHOR: 1, TWAP30: 30, TWAP60: 60}[tick.kind]
        return world.prices.twap_e18("btc", second, window_s) // 10**10

    def test_relays_are_as_late_as_measured(self) -> None:
        world = World()
        world.say_rtds(*RtdsCodec().hello())
        world.run(300)
        late: dict[str, list[int]] = {}
        for ts_ns, text in world.got["rtds"]:
            if text:
                frame = json.loads(text)
                age_ms = ts_ns // 10**6 - frame["payload"]["timestamp"]
                late.setdefault(frame["topic"], []).append(age_ms)
        assert set(late["crypto_prices"]) == {800}
        reports = sorted(late["crypto_prices_chainlink"])
        assert 1_200 < reports[len(reports) // 2] < 1_400
        assert 1_150 <= reports[0] < reports[-1] < 2_600

    def test_the_official_client_reads_the_frames(self) -> None:
        world = World()
        world.say_rtds(*RtdsCodec().hello())
        world.run(20)
        kinds = set()
        for _, text in world.got["rtds"]:
            if text:
                event = rtds_events.parse_rtds_event(json.loads(text))
                assert event is not None
                kinds.add((type(event).__name__, event.payload.symbol))
        assert kinds == {
            ("CryptoPricesBinanceEvent", "btcusdt"),
            ("CryptoPricesBinanceEvent", "ethusdt"),
            ("CryptoPricesChainlinkEvent", "btc/usd"),
            ("CryptoPricesChainlinkEvent", "eth/usd"),
            ("CryptoPricesChainlinkTwapEvent", "btc/usd"),
            ("CryptoPricesChainlinkTwapEvent", "eth/usd"),
        }

    def test_a_filter_brings_two_minutes_at_once_chainlink_under_the_wrong_topic(self) -> None:
        world = World()
        world.run(30)
        for topic, symbol in (
            ("crypto_prices", "btcusdt"),
            ("crypto_prices_chainlink", "btc/usd"),
            ("crypto_prices_twap_sixty", "eth/usd"),
        ):
            world.say_rtds(rtds_subscribe_frame(topic, symbol))
        dumps = [json.loads(text) for _, text in world.got["rtds"]]
        assert [dump["topic"] for dump in dumps] == [
            "crypto_prices",
            "crypto_prices",
            "crypto_prices_twap_sixty",
        ]
        assert {dump["type"] for dump in dumps} == {"subscribe"}
        assert [len(dump["payload"]["data"]) for dump in dumps] == [120] * 3
        assert dumps[0]["payload"]["data"][-1]["timestamp"] == (START_S + 29) * 1000
        assert dumps[1]["payload"]["data"][-1]["timestamp"] == (START_S + 28) * 1000
        assert world.relays.price_dump("crypto_prices", "abcusdt") is None
        assert world.relays.price_dump("comments", "btc/usd") is None
        world.run(5)
        frames = [json.loads(text) for _, text in world.got["rtds"][3:]]
        assert {(f["topic"], f["payload"]["symbol"]) for f in frames} == {
            ("crypto_prices", "btcusdt"),
            ("crypto_prices_chainlink", "btc/usd"),
            ("crypto_prices_twap_sixty", "eth/usd"),
        }

    def test_empty_frames_come_now_and_then(self) -> None:
        world = World()
        world.say_rtds(rtds_subscribe_frame("crypto_prices"))
        world.run(1_800)
        empty = sum(not text for _, text in world.got["rtds"])
        assert 2 <= empty <= 20

    def test_a_lost_report_is_not_relayed_but_its_average_is(self) -> None:
        world = World()
        world.say_rtds(*RtdsCodec().hello())
        world.login()
        world.say_bolt(subscribe("price.crypto", "btcusd"))
        world.prices.lose_report("btc", START_S + 10)
        world.run(20)
        stamps: dict[str, list[int]] = {}
        for _, text in world.got["rtds"]:
            frame = json.loads(text) if text else {"payload": {"symbol": ""}}
            if frame["payload"]["symbol"] == "btc/usd":
                stamps.setdefault(frame["topic"], []).append(
                    frame["payload"]["timestamp"] // 1000 - START_S
                )
        assert 10 not in stamps["crypto_prices_chainlink"]
        assert {9, 11} < set(stamps["crypto_prices_chainlink"])
        assert 10 in stamps["crypto_prices_twap_sixty"]
        bolt = [frame["ts"] // 1000 - START_S for frame in world.bolt_data()[1:]]
        assert 10 not in bolt
        assert {9, 11} < set(bolt)


def test_a_stall_silences_what_it_names_until_it_ends() -> None:
    world = World()
    world.say_rtds(*RtdsCodec().hello())
    world.login()
    world.say_bolt(subscribe("price.crypto", "btcusd"))
    world.relays.stall("crypto_prices_chainlink", (START_S + 10) * SECOND_NS)
    world.relays.stall("polybolt", (START_S + 20) * SECOND_NS)
    world.run(30)
    first: dict[str, int] = {}
    for ts_ns, text in world.got["rtds"]:
        if text:
            first.setdefault(json.loads(text)["topic"], ts_ns // SECOND_NS - START_S)
    assert first["crypto_prices"] == 1
    assert first["crypto_prices_twap_thirty"] < 5
    assert first["crypto_prices_chainlink"] == 10
    times = [ts_ns // SECOND_NS - START_S for ts_ns, _ in world.got["polybolt"][3:]]
    assert times[0] == 20


def test_the_same_seed_gives_the_same_frames() -> None:
    played = []
    for _ in range(2):
        world = World()
        world.run(60)
        played.append(world.published)
    assert played[0] == played[1]


class TestPolyBolt:
    def test_our_decoder_reads_a_minute_without_gap(self) -> None:
        world = World()
        codec = PolyBoltCodec(["BTC", "ETH"], CREDENTIALS)
        world.say_bolt(*codec.hello())
        world.run(60)
        decoder = PolyBoltDecoder()
        ticks = []
        for ts_ns, text in world.got["polybolt"]:
            for event in decoder.decode(text, ts_ns, "polymarket.polybolt/0"):
                assert not isinstance(event, FeedGap)
                ticks.append(event)
        assert not decoder.unknown
        for kind, window_s in ((ANCHOR, 1), (TWAP30, 30), (TWAP60, 60)):
            found = [t for t in ticks if t.kind == kind and t.symbol == "ETH"]
            assert 176 <= len(found) <= 180
            for tick in found:
                second = tick.venue_ts_ns // SECOND_NS
                assert tick.price_e8 == world.prices.twap_e18("eth", second, window_s) // 10**10

    def test_the_official_client_reads_snapshots_and_updates_exactly(self) -> None:
        world = World()
        world.login()
        world.say_bolt(subscribe("price.crypto", "btcusd"))
        world.say_bolt(subscribe("price.crypto.twap", "btcusd", "2", window_seconds=60))
        world.run(10)
        events = [parse_price_event(frame) for frame in world.bolt_data()]
        assert None not in events
        kinds = {(e.topic, e.type) for e in events if e is not None}
        assert kinds == {
            ("prices.crypto", "subscribe"),
            ("prices.crypto", "update"),
            ("prices.crypto.twap", "subscribe"),
            ("prices.crypto.twap", "update"),
        }
        last = events[-1]
        assert last is not None
        second = int(last.payload.timestamp.timestamp())
        exact = world.prices.twap_e18("btc", second, 60)
        assert last.payload.value == Decimal(exact).scaleb(-18, None)

    def test_frames_are_numbered_by_channel_over_its_symbols(self) -> None:
        world = World()
        world.login()
        world.say_bolt(
            subscribe("price.crypto", "btcusd"),
            subscribe("price.crypto.twap", "ethusd", window_seconds=30),
        )
        world.run(3)
        world.say_bolt(subscribe("price.crypto", "ETHUSD"))
        world.run(5)
        for channel in ("price.crypto", "price.crypto.twap"):
            numbers = [f["seq"] for f in world.bolt_data() if f["channel"] == channel]
            assert numbers == list(range(1, len(numbers) + 1))
        assert world.bolt.subscriptions == {
            "price.crypto:btcusd",
            "price.crypto:ethusd",
            "price.crypto.twap:ethusd:30",
        }

    def test_every_request_is_answered_by_its_rid_and_item_by_item(self) -> None:
        world = World()
        order = subscribe("price.crypto", "btcusd", "a")
        refused = {"op": "error", "code": "auth_required", "rid": "a"}
        assert world.say_bolt(order) == [refused]
        assert world.say_bolt({"op": "ping", "rid": "p"}) == [{"op": "pong", "rid": "p"}]
        assert world.say_bolt({"op": "ping"}) == [{"op": "pong"}]
        world.login()
        order["subscriptions"] += [
            {"channel": "price.weather", "filter": {}},
            {"channel": "price.crypto", "filter": {"symbol": "abcusd"}},
            {"channel": "price.crypto.twap", "filter": {"symbol": "btcusd", "window_seconds": 9}},
        ]
        answers = [a for a in world.say_bolt(order) if "op" in a]
        assert answers == [
            {"op": "subscribed", "channel": "price.crypto", "rid": "a"},
            {"op": "error", "code": "bad_channel", "channel": "price.weather", "rid": "a"},
            {"op": "error", "code": "bad_filter", "channel": "price.crypto", "rid": "a"},
            {"op": "error", "code": "bad_filter", "channel": "price.crypto.twap", "rid": "a"},
        ]
        order = subscribe("price.crypto", "btcusd", "b") | {"op": "unsubscribe"}
        assert world.say_bolt(order) == [
            {"op": "unsubscribed", "channel": "price.crypto", "rid": "b"}
        ]
        assert world.bolt.subscriptions == frozenset()
        assert (
            world.say_bolt("nonsense", {"op": "dance"}) == [{"op": "error", "code": "bad_op"}] * 2
        )

    def test_a_wrong_key_is_refused_and_the_ninth_attempt_ends_it(self) -> None:
        world = World()
        wrong = {"op": "auth", "rid": "1", "auth": {"apiKey": "key", "secret": "no"}}
        for _ in range(8):
            answer = world.say_bolt(wrong)
            assert answer == [{"op": "error", "code": "auth_invalid", "rid": "1"}]
        answers = world.bolt.hear(json.dumps(wrong))
        assert [kind for _, kind in answers] == ["error", "close"]
        world.run(5)
        assert world.bolt_data() == []

    def test_limits_are_64_subscriptions_and_20_frames_a_second(self, monkeypatch: Any) -> None:
        monkeypatch.setattr("polytrade.sandbox.venue.relays.SUBSCRIPTIONS_MAX", 2)
        world = World()
        world.login()
        items = [
            {"channel": "price.crypto", "filter": {"symbol": "btcusd"}},
            {"channel": "price.crypto", "filter": {"symbol": "ethusd"}},
            {"channel": "price.crypto", "filter": {"symbol": "btcusd"}},
            {"channel": "price.crypto.twap", "filter": {"symbol": "btcusd", "window_seconds": 60}},
        ]
        order = {"op": "subscribe", "rid": "1", "subscriptions": items}
        codes = [a.get("code", "") for a in world.say_bolt(order) if "op" in a]
        assert codes == ["", "", "", "sub_limit"]
        answers = world.say_bolt(*[{"op": "ping"}] * 20)
        assert [a["op"] for a in answers] == ["pong"] * 18 + ["error"] * 2
        assert answers[-1]["code"] == "rate_limited"
        world.run(1)
        assert world.say_bolt({"op": "ping"})[0]["op"] == "pong"

    def test_dropped_frames_are_owned_up_to(self) -> None:
        world = World()
        world.login()
        world.say_bolt(subscribe("price.crypto", "btcusd"))
        world.run(3)
        world.bolt.drop(2)
        world.run(5)
        data = world.bolt_data()
        assert [f["dropped"] for f in data if "dropped" in f] == [2]
        numbers = [f["seq"] for f in data]
        assert numbers == list(range(1, len(numbers) + 1))
        decoder = PolyBoltDecoder()
        gaps = [
            event
            for ts_ns, text in world.got["polybolt"]
            for event in decoder.decode(text, ts_ns, "p")
            if isinstance(event, FeedGap)
        ]
        assert [gap.reason for gap in gaps] == ["dropped"]


def test_nothing_is_made_where_nobody_listens() -> None:
    schedule = Schedule(START_S * SECOND_NS)
    prices = Prices(5, {"btc": COINS["btc"]}, schedule)
    published: list[object] = []
    relays = Relays(schedule, prices, lambda *frame: published.append(frame), lambda name: False)
    schedule.run_until((START_S + 60) * SECOND_NS)
    assert published == []
    dump = relays.price_dump("crypto_prices", "btcusdt")
    assert dump is not None
    assert len(json.loads(dump)["payload"]["data"]) == 120
