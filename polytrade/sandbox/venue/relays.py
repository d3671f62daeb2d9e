"""Prices as Polymarket relays them: RTDS and its successor PolyBolt (protocols 7).

Both bring the settlement stream's reports and averages, each second one a symbol, and late: the
relays' lag is what a bot that trades on them pays for. A report that was lost, or that came during
a stall, is not made up for.
"""

import random
from collections import Counter, deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import orjson

from polytrade.core.units import MS_NS, SECOND_NS, decimal_text
from polytrade.sandbox.connection import Selected
from polytrade.sandbox.dialects import Answer, Part, Played, loads
from polytrade.sandbox.schedule import Schedule
from polytrade.sandbox.venue.auth import KeyStore
from polytrade.sandbox.world.prices import Prices

RTDS: Final = "rtds"
POLYBOLT: Final = "polybolt"
RTDS_SOURCE: Final = "polymarket.rtds/0"
POLYBOLT_SOURCE: Final = "polymarket.polybolt/0"
RELAYED: Final = "crypto_prices"
CHAINLINK: Final = "crypto_prices_chainlink"
TWAPS: Final = {30: "crypto_prices_twap_thirty", 60: "crypto_prices_twap_sixty"}
SPOT: Final = "price.crypto"
TWAP: Final = "price.crypto.twap"
RELAYED_LATE_NS: Final = 800 * MS_NS
"""From an exchange's price to its relay (data facts 6)."""
REPORT_LATE_NS: Final = 1_150 * MS_NS
REPORT_JITTER_S: Final = 0.22
REPORT_JITTER_MAX_S: Final = 1.4
"""From a report's second to its relay: 1.15 s and an exponential, median 1.3, 95 % within 1.8."""
IN_ORDER_NS: Final = 10 * MS_NS
"""Least time between the reports of two seconds."""
EMPTY_EVERY_S: Final = 240
"""Mean time between two empty text frames of RTDS."""
UNNUMBERED: Final = '"seq":0,'
"""In a data frame until each connection puts its own number there."""
POINTS: Final = 120
"""Points of a snapshot: two minutes."""
SUBSCRIPTIONS_MAX: Final = 64
FRAME_MAX: Final = 64 * 1024
FRAMES_PER_S: Final = 20
ATTEMPTS_MAX: Final = 8
"""Limits of a PolyBolt connection (protocols 7.2)."""
CHANNELS: Final = (SPOT, TWAP)
UNSERVED: Final = ("price.equity", "price.equity.twap")
"""Channels that exist but have no symbol here."""
PROVIDERS: Final = (None, "chainlink", "pyth", "massive")

Key = tuple[str, str, str]
"""Channel, symbol, seconds of the average."""


class Relays:
    """Publishes the relays' frames and has their snapshots.

    `stall` may name an endpoint, a topic of RTDS, a channel of PolyBolt, or `all`.
    """

    def __init__(
        self,
        schedule: Schedule,
        prices: Prices,
        publish: Callable[[str, Played], object],
        wanted: Callable[[str], bool] = lambda endpoint: True,
    ) -> None:
        self.schedule = schedule
        self.prices = prices
        self._publish = publish
        self._wanted = wanted
        self._rng = random.Random(f"relays/{prices.seed}/{prices.start_s}")
        self._stalled: dict[str, int] = {}
        self._last_report_ns = 0
        self._spots: dict[str, deque[tuple[int, int]]] = {}
        self._relayed_s = self._reported_s = prices.start_s - 2
        for coin in prices.coins:
            past = range(self._relayed_s - POINTS + 1, self._relayed_s + 1)
            points = ((second, prices.second_e8(coin, second)) for second in past)
            self._spots[coin] = deque(points, maxlen=POINTS)
        self._plan(prices.start_s + 1)

    def stall(self, name: str, until_ns: int) -> None:
        """Nothing comes from there until then; a time gone by ends a stall."""
        self._stalled[name] = until_ns

    def price_dump(self, topic: str, symbol: str) -> str | None:
        """The last two minutes of a symbol as RTDS has them; Chainlink's under the wrong topic."""
        points = self._rtds_points(topic, symbol)
        if points is None:
            return None
        data = [{"timestamp": second * 1000, "value": value} for second, value in points]
        message = {
            "topic": RELAYED if topic == CHAINLINK else topic,
            "type": "subscribe",
            "timestamp": self.schedule.now_ns // MS_NS,
            "payload": {"symbol": symbol, "data": data},
        }
        return orjson.dumps(message).decode()

    def bolt_dump(self, channel: str, symbol: str, window_s: int) -> str:
        """The last two minutes of a symbol as PolyBolt has them, not yet numbered."""
        coin = symbol.removesuffix("usd")
        points = [
            f'{{"full_accuracy_value":"{text}","timestamp":{second * 1000},"value":{text}}}'
            for second in range(self._reported_s - POINTS + 1, self._reported_s + 1)
            if (text := self._bolt_text(coin, second, window_s))
        ]
        ts = self._reported_s * 1000
        window = f',"window_seconds":{window_s}' if window_s else ""
        return (
            f'{{"v":1,"channel":"{channel}",{UNNUMBERED}"ts":{ts},"snapshot":true,'
            f'"payload":{{"symbol":"{symbol}","source":"chainlink"{window},'
            f'"data":[{",".join(points)}]}}}}'
        )

    def _rtds_points(self, topic: str, symbol: str) -> list[tuple[int, float]] | None:
        coin = symbol.removesuffix("usdt") if topic == RELAYED else symbol.removesuffix("/usd")
        if coin == symbol or coin not in self._spots:
            return None
        if topic == RELAYED:
            return [(second, price_e8 / 1e8) for second, price_e8 in self._spots[coin]]
        windows = {CHAINLINK: 0, **{name: window for window, name in TWAPS.items()}}
        if topic not in windows:
            return None
        seconds = range(self._reported_s - POINTS + 1, self._reported_s + 1)
        values = [(second, self._value_e18(coin, second, windows[topic])) for second in seconds]
        return [(second, value / 1e18) for second, value in values if value >= 0]

    def _value_e18(self, coin: str, second: int, window_s: int) -> int:
        if window_s:
            return self.prices.twap_e18(coin, second, window_s)
        return self.prices.report_e18(coin, second)

    def _bolt_text(self, coin: str, second: int, window_s: int) -> str:
        value_e18 = self._value_e18(coin, second, window_s)
        return decimal_text(value_e18, 18) if value_e18 >= 0 else ""

    def _plan(self, second: int) -> None:
        """Plan what will be known of a second, when it begins."""
        begin_ns = second * SECOND_NS
        jitter_s = min(REPORT_JITTER_MAX_S, self._rng.expovariate(1 / REPORT_JITTER_S))
        report_ns = begin_ns + REPORT_LATE_NS + int(jitter_s * SECOND_NS)
        report_ns = max(report_ns, self._last_report_ns + IN_ORDER_NS)
        self._last_report_ns = report_ns
        self.schedule.at(begin_ns + RELAYED_LATE_NS, partial(self._relay, second))
        self.schedule.at(report_ns, partial(self._report, second))
        self.schedule.at(begin_ns + SECOND_NS, partial(self._plan, second + 1))

    def _relay(self, second: int) -> None:
        """An exchange's prices of a second; now and then RTDS sends an empty frame."""
        empty = self._rng.random() < 1 / EMPTY_EVERY_S
        self._relayed_s = second
        sends = self._wanted(RTDS) and not self._stalls(RTDS, RELAYED)
        for coin in self.prices.coins:
            price_e8 = self.prices.second_e8(coin, second)
            self._spots[coin].append((second, price_e8))
            if sends:
                text, exact = (
                    decimal_text(price_e8, 8),
                    f"{price_e8 // 10**8}.{price_e8 % 10**8:08d}",
                )
                self._send_rtds(RELAYED, f"{coin}usdt", second, text, exact)
        if empty and sends:
            self._publish(RTDS, Played(RTDS_SOURCE, ""))

    def _report(self, second: int) -> None:
        """The settlement stream's report of a second, and its averages."""
        self._reported_s = second
        rtds, bolt = self._wanted(RTDS), self._wanted(POLYBOLT)
        if not (rtds or bolt):
            return
        for window_s in (0, *TWAPS):
            topic = TWAPS.get(window_s, CHAINLINK)
            channel = TWAP if window_s else SPOT
            to_rtds = rtds and not self._stalls(RTDS, topic)
            to_bolt = bolt and not self._stalls(POLYBOLT, channel)
            for coin in self.prices.coins if to_rtds or to_bolt else ():
                value_e18 = self._value_e18(coin, second, window_s)
                if value_e18 < 0:
                    continue
                if to_rtds:
                    text = decimal_text(value_e18 // 10**10, 8)
                    more = f',"window_s":{window_s}' if window_s else ""
                    self._send_rtds(topic, f"{coin}/usd", second, text, str(value_e18), more)
                if to_bolt:
                    self._send_bolt(channel, coin, second, window_s, decimal_text(value_e18, 18))

    def _stalls(self, *names: str) -> bool:
        now_ns = self.schedule.now_ns
        return any(self._stalled.get(name, 0) > now_ns for name in ("all", *names))

    def _send_rtds(
        self, topic: str, symbol: str, second: int, value: str, exact: str, more: str = ""
    ) -> None:
        text = (
            f'{{"connection_id":"local","payload":{{"full_accuracy_value":"{exact}",'
            f'"symbol":"{symbol}","timestamp":{second * 1000},"value":{value}{more}}},'
            f'"timestamp":{self.schedule.now_ns // MS_NS},"topic":"{topic}","type":"update"}}'
        )
        self._publish(RTDS, Played(RTDS_SOURCE, text, (Part(topic, (topic, symbol)),)))

    def _send_bolt(self, channel: str, coin: str, second: int, window_s: int, value: str) -> None:
        symbol, ms = f"{coin}usd", second * 1000
        window = f',"window_seconds":{window_s}' if window_s else ""
        text = (
            f'{{"v":1,"channel":"{channel}",{UNNUMBERED}"ts":{ms},'
            f'"payload":{{"full_accuracy_value":"{value}","source":"chainlink",'
            f'"symbol":"{symbol}","timestamp":{ms},"value":{value}{window}}}}}'
        )
        key = (channel, symbol, str(window_s))
        self._publish(POLYBOLT, Played(POLYBOLT_SOURCE, text, (Part(channel, key),)))


class PolyBoltDialect:
    """One connection: authentication first, then subscriptions, each answered by itself.

    Data frames are numbered from 1 for each channel. `drop(n)` keeps back the next `n` of them, as
    the venue does with slow clients; the frame after says how many.
    """

    def __init__(self, relays: Relays, keys: KeyStore) -> None:
        self._relays = relays
        self._keys = keys
        self._wanted: dict[Key, None] = {}
        self._sequences: Counter[str] = Counter()
        self._authed = False
        self._attempts = 0
        self._frames: deque[int] = deque(maxlen=FRAMES_PER_S)
        self._to_drop = 0
        self._dropped: Counter[str] = Counter()

    @property
    def subscriptions(self) -> frozenset[str]:
        """`channel:symbol`, averages `channel:symbol:window`."""
        return frozenset(":".join(key).removesuffix(":0") for key in self._wanted)

    def drop(self, count: int) -> None:
        """Keep back the next data frames."""
        self._to_drop += count

    def hear(self, text: str) -> list[Answer]:
        """Answers by `rid`; each subscription is answered and its snapshot follows."""
        if len(text) > FRAME_MAX:
            return [("policy", "close")]
        order = loads(text)
        if not isinstance(order, dict):
            return [_refused({}, "bad_op")]
        if self._hurries():
            return [_refused(order, "rate_limited")]
        match order.get("op"):
            case "ping":
                return [_answer(order, {"op": "pong"}, "pong")]
            case "auth":
                return self._auth(order)
            case "subscribe" | "unsubscribe":
                wanted = order.get("subscriptions")
                if not self._authed:
                    return [_refused(order, "auth_required")]
                if not isinstance(wanted, list):
                    return [_refused(order, "bad_op")]
                change = self._subscribe if order["op"] == "subscribe" else self._unsubscribe
                return [answer for item in wanted for answer in change(order, item)]
        return [_refused(order, "bad_op")]

    def select(self, played: Played) -> Selected | None:
        """Data of the subscribed symbols, with this connection's number."""
        if not played.parts or not self._authed:
            return None
        channel, symbol, window_s = played.parts[0].keys
        if (channel, symbol, window_s) not in self._wanted:
            return None
        if self._to_drop:
            self._to_drop -= 1
            self._dropped[channel] += 1
            return None
        return Selected(self._numbered(channel, str(played.text)), played.types())

    def _numbered(self, channel: str, text: str) -> str:
        self._sequences[channel] += 1
        dropped = self._dropped.pop(channel, 0)
        more = f'"dropped":{dropped},' if dropped else ""
        return text.replace(UNNUMBERED, f'"seq":{self._sequences[channel]},{more}', 1)

    def _hurries(self) -> bool:
        now_ns = self._relays.schedule.now_ns
        full = len(self._frames) == FRAMES_PER_S
        if full and now_ns - self._frames[0] < SECOND_NS:
            return True
        self._frames.append(now_ns)
        return False

    def _auth(self, order: dict[str, Any]) -> list[Answer]:
        self._attempts += 1
        if self._attempts > ATTEMPTS_MAX:
            return [_refused(order, "auth_attempts"), ("auth", "close")]
        given = order.get("auth")
        named = given if isinstance(given, dict) else {}
        parts = [named.get(name) for name in ("apiKey", "secret", "passphrase")]
        if self._keys.by_credentials(*parts) is None:
            return [_refused(order, "auth_invalid")]
        self._authed = True
        return [_answer(order, {"op": "authed"}, "ack")]

    def _subscribe(self, order: dict[str, Any], item: object) -> list[Answer]:
        channel, found = self._read(item)
        if isinstance(found, str):
            return [_refused(order, found, channel)]
        if found not in self._wanted and len(self._wanted) >= SUBSCRIPTIONS_MAX:
            return [_refused(order, "sub_limit", channel)]
        self._wanted[found] = None
        snapshot = self._relays.bolt_dump(channel, found[1], int(found[2]))
        return [
            _answer(order, {"op": "subscribed", "channel": channel}, "ack"),
            (self._numbered(channel, snapshot), "dump"),
        ]

    def _unsubscribe(self, order: dict[str, Any], item: object) -> list[Answer]:
        channel, found = self._read(item)
        if isinstance(found, str):
            return [_refused(order, found, channel)]
        self._wanted.pop(found, None)
        return [_answer(order, {"op": "unsubscribed", "channel": channel}, "ack")]

    def _read(self, item: object) -> tuple[str, Key | str]:
        """A subscription's channel, and its key or the code of what is wrong with it."""
        if not isinstance(item, dict):
            return "", "bad_channel"
        channel, chosen = str(item.get("channel", "")), item.get("filter")
        if channel in UNSERVED:
            return channel, "bad_filter"
        if channel not in CHANNELS:
            return channel, "bad_channel"
        symbol = chosen.get("symbol") if isinstance(chosen, dict) else None
        if not isinstance(chosen, dict) or not isinstance(symbol, str):
            return channel, "bad_filter"
        symbol = symbol.lower()
        coin, window = symbol.removesuffix("usd"), chosen.get("window_seconds")
        if coin == symbol or coin not in self._relays.prices.coins:
            return channel, "bad_filter"
        if chosen.get("provider") not in PROVIDERS:
            return channel, "bad_filter"
        if channel == TWAP and (type(window) is not int or window not in TWAPS):
            return channel, "bad_filter"
        return channel, (channel, symbol, str(window) if channel == TWAP else "0")


def _answer(order: dict[str, Any], body: dict[str, Any], kind: str) -> Answer:
    if isinstance(order.get("rid"), str):
        body["rid"] = order["rid"]
    return orjson.dumps(body).decode(), kind


def _refused(order: dict[str, Any], code: str, channel: str = "") -> Answer:
    named = {"channel": channel} if channel else {}
    return _answer(order, {"op": "error", "code": code, **named}, "error")
