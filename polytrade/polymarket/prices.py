"""Reference prices relayed by Polymarket: RTDS and its successor PolyBolt (protocols 7).

Both bring the Chainlink prices that settle the crypto markets. Frames in, ticks out.
"""

from collections import Counter
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import attrs
import orjson

from polytrade.core.events import Event, FeedGap, ReferenceTicked
from polytrade.core.ids import ANCHOR, RELAY, TWAP30, TWAP60
from polytrade.core.units import MS_NS, truncate_scaled
from polytrade.polymarket.numbers import venue_ms
from polytrade.wire_roles import WireError, count_unknown

RTDS_PING: Final = "PING"
"""Sent every 5 s; RTDS never answers it (protocols 7.1)."""
TOPIC_RELAY: Final = "crypto_prices"
TOPIC_ANCHOR: Final = "crypto_prices_chainlink"
TOPIC_TWAP30: Final = "crypto_prices_twap_thirty"
TOPIC_TWAP60: Final = "crypto_prices_twap_sixty"
TOPIC_KINDS: Final = {
    TOPIC_RELAY: RELAY,
    TOPIC_ANCHOR: ANCHOR,
    TOPIC_TWAP30: TWAP30,
    TOPIC_TWAP60: TWAP60,
}
CHANNEL_SPOT: Final = "price.crypto"
CHANNEL_TWAP: Final = "price.crypto.twap"
WINDOW_KINDS: Final = {30: TWAP30, 60: TWAP60}
PRICE_E8_MAX: Final = 1 << 62
"""Largest price accepted: 46 thousand million USD; keeps every row within 64 bits."""
POINTS_MAX: Final = 4096
"""Most points of a snapshot: the venue sends about 120 (two minutes at 1 Hz)."""
_QUOTES: Final = ("/usdt", "/usdc", "/usd", "usdt", "usdc", "usd")
_READ_ERRORS: Final = (KeyError, TypeError, ValueError, OverflowError, InvalidOperation)


def symbol_of(name: object) -> str:
    """`btcusdt`, `btc/usd` and `btcusd` are all `BTC`; ValueError when it is no name."""
    if not isinstance(name, str):
        raise TypeError(f"expected symbol as text, found {name!r:.80}")
    text = name.lower()
    for quote in _QUOTES:
        if text.endswith(quote):
            text = text[: -len(quote)]
            break
    if not (text.isascii() and text.isalnum()):
        raise ValueError(f"expected symbol such as btc/usd, found {name!r:.80}")
    return text.upper()


def price_e8_of(point: dict[str, Any], scaled: bool) -> int:
    """A point's price in 1e-8 USD, cut off: `full_accuracy_value` where there is one, else `value`.

    `scaled` says that an integer `full_accuracy_value` is in 1e-18 (Chainlink and its averages).
    Raises ValueError, TypeError or KeyError when there is no positive price.
    """
    exact = point.get("full_accuracy_value")
    if exact is None or exact == "":
        price_e8 = _number_e8(point["value"])
    elif not isinstance(exact, str):
        raise TypeError(f"expected full_accuracy_value as text, found {exact!r:.80}")
    elif scaled and "." not in exact:
        price_e8 = int(exact) // 10**10
    else:
        price_e8 = truncate_scaled(exact, 8)
    if not 0 < price_e8 < PRICE_E8_MAX:
        raise ValueError(f"expected a positive price, found {exact or point['value']!r:.80}")
    return price_e8


def _number_e8(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise TypeError(f"expected value as a number, found {value!r:.80}")
    number = Decimal(repr(value) if isinstance(value, float) else value)
    if not number.is_finite() or number.adjusted() > 18:
        raise ValueError(f"expected value as a finite price, found {value!r:.80}")
    return int(number.scaleb(8))


class RtdsDecoder:
    """Decodes Polymarket's real-time data socket: relayed, Chainlink and averaged prices."""

    __slots__ = ("unknown",)

    def __init__(self) -> None:
        self.unknown: Counter[str] = Counter()

    def decode(self, frame: str | bytes, ts_ns: int, source: str) -> list[Event]:
        """The ticks of one frame; a snapshot gives its points oldest first.

        Error bodies of the venue raise WireError too. See `polytrade.wire_roles.Decoder`.
        """
        body: Any = None
        try:
            body = orjson.loads(frame)
            events: list[Event] = []
            for message in body if isinstance(body, list) else [body]:
                events += self._message(_object(message, "message"), ts_ns, source)
            return events
        except _READ_ERRORS as error:
            if body is None and _empty(frame):
                return []
            raise WireError(source, _reason(error), frame) from None

    def _message(self, message: dict[str, Any], ts_ns: int, source: str) -> list[Event]:
        if "statusCode" in message:
            raise ValueError(f"venue error {message['statusCode']!r:.20}: {message.get('body')!r}")
        topic = message.get("topic")
        kind = TOPIC_KINDS.get(topic) if isinstance(topic, str) else None
        if kind is None:
            count_unknown(self.unknown, topic)
            return []
        payload = _object(message["payload"], "payload")
        name = payload["symbol"]
        if kind == RELAY and isinstance(name, str) and "/" in name:
            kind = ANCHOR  # Chainlink's snapshot comes under the wrong topic (protocols 7.1)
        points = payload.get("data")
        if points is None:
            points = [payload]
        return _ticks(points, ts_ns, symbol_of(name), source, kind, scaled=kind != RELAY)


class PolyBoltDecoder:
    """Decodes PolyBolt: Chainlink prices and averages, numbered per connection and channel."""

    __slots__ = ("_sequences", "unknown")

    def __init__(self) -> None:
        self.unknown: Counter[str] = Counter()
        self._sequences: dict[tuple[str, str], int] = {}

    def decode(self, frame: str | bytes, ts_ns: int, source: str) -> list[Event]:
        """The ticks of one frame, before them a FeedGap where numbers are missing (`sequence`) or
        the venue says it dropped messages (`dropped`).

        Error answers raise WireError. See `polytrade.wire_roles.Decoder`.
        """
        message: Any = None
        try:
            message = _object(orjson.loads(frame), "message")
            if "op" in message:
                return self._answer(message, source)
            return self._data(message, ts_ns, source)
        except _READ_ERRORS as error:
            if message is None and _empty(frame):
                return []
            raise WireError(source, _reason(error), frame) from None

    def _answer(self, message: dict[str, Any], source: str) -> list[Event]:
        op = message["op"]
        if op == "error":
            channel = message.get("channel", "")
            raise ValueError(f"venue error {message.get('code')!r:.40} {channel!r:.40}")
        if op == "authed":  # a new connection: numbering starts afresh
            for key in [key for key in self._sequences if key[0] == source]:
                del self._sequences[key]
        elif op not in ("subscribed", "unsubscribed", "pong"):
            count_unknown(self.unknown, op)
        return []

    def _data(self, message: dict[str, Any], ts_ns: int, source: str) -> list[Event]:
        channel = message["channel"]
        if channel not in (CHANNEL_SPOT, CHANNEL_TWAP):
            count_unknown(self.unknown, channel)
            return []
        payload = _object(message["payload"], "payload")
        kind = self._kind(channel, payload)
        ticks: list[Event] = []
        if kind is not None:
            points = payload["data"] if message.get("snapshot") else [payload]
            name = symbol_of(payload["symbol"])
            ticks = _ticks(points, ts_ns, name, source, kind, scaled=False)
        return self._gaps(message, channel, ts_ns, source) + ticks

    def _kind(self, channel: str, payload: dict[str, Any]) -> int | None:
        if payload.get("is_carried_forward"):
            count_unknown(self.unknown, "carried_forward")  # an old price, not news of one
            return None
        if channel == CHANNEL_SPOT:
            return ANCHOR if payload.get("source") in (None, "", "chainlink") else RELAY
        kind = WINDOW_KINDS.get(payload["window_seconds"])
        if kind is None:
            count_unknown(self.unknown, f"twap {payload['window_seconds']!r:.20}")
        return kind

    def _gaps(self, message: dict[str, Any], channel: str, ts_ns: int, source: str) -> list[Event]:
        gaps: list[Event] = []
        sequence = message.get("seq")
        if sequence is not None:
            if type(sequence) is not int:
                raise TypeError(f"expected seq as an integer, found {sequence!r:.80}")
            last = self._sequences.get((source, channel))
            if last is not None and sequence > last + 1:
                gaps.append(FeedGap(ts_ns, source, "", "sequence"))
            self._sequences[source, channel] = sequence
        if message.get("dropped"):
            gaps.append(FeedGap(ts_ns, source, "", "dropped"))
        return gaps


def _ticks(
    points: list[dict[str, Any]], ts_ns: int, symbol: str, source: str, kind: int, *, scaled: bool
) -> list[Event]:
    """One tick a point, oldest first."""
    if not isinstance(points, list) or len(points) > POINTS_MAX:
        raise TypeError(f"expected a list of at most {POINTS_MAX} points, found {points!r:.80}")
    rows = [(venue_ms(point["timestamp"]), price_e8_of(point, scaled)) for point in points]
    rows.sort(key=lambda row: row[0])
    return [
        ReferenceTicked(ts_ns, symbol, source, kind, price_e8, ms * MS_NS) for ms, price_e8 in rows
    ]


def _object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"expected {name} as an object, found {value!r:.80}")
    return value


def _empty(frame: str | bytes) -> bool:
    """RTDS sends empty text frames; keepalive words are let through as well."""
    raw = frame if isinstance(frame, bytes) else frame.encode(errors="replace")
    return raw.strip().upper() in (b"", b"PONG", b"PING")


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"expected field {error.args[0]!r:.80}"
    return f"{error!s:.300}" or type(error).__name__


def rtds_subscribe_frame(topic: str, symbol: str = "", *, subscribe: bool = True) -> str:
    """Subscribes to one topic, of one symbol in that topic's own form or of all.

    One topic a frame on purpose: a bad topic spoils its whole frame. A symbol brings a snapshot
    first. The filter is JSON within JSON and must hold no space (protocols 7.1).
    """
    wanted = {"topic": topic, "type": "update"}
    if symbol:
        wanted["filters"] = orjson.dumps({"symbol": symbol}).decode()
    action = "subscribe" if subscribe else "unsubscribe"
    return orjson.dumps({"action": action, "subscriptions": [wanted]}).decode()


@attrs.frozen
class PolyBoltCredentials:
    """CLOB L2 credentials; their values never show in a repr."""

    api_key: str = attrs.field(repr=False)
    secret: str = attrs.field(repr=False)
    passphrase: str = attrs.field(repr=False)


def polybolt_auth_frame(credentials: PolyBoltCredentials, rid: str) -> str:
    """The first frame of a connection. It holds secrets: send it, never log or record it."""
    auth = {
        "apiKey": credentials.api_key,
        "secret": credentials.secret,
        "passphrase": credentials.passphrase,
    }
    return orjson.dumps({"op": "auth", "rid": rid, "auth": auth}).decode()


def polybolt_subscribe_frame(symbol: str, rid: str, window_seconds: int = 0) -> str:
    """Subscribes to a symbol (`BTC`): its price, or its average over `window_seconds`."""
    wanted: dict[str, Any] = {"channel": CHANNEL_SPOT, "filter": {"symbol": f"{symbol}usd".lower()}}
    if window_seconds:
        wanted["channel"] = CHANNEL_TWAP
        wanted["filter"]["window_seconds"] = window_seconds
    return orjson.dumps({"op": "subscribe", "rid": rid, "subscriptions": [wanted]}).decode()


def polybolt_ping_frame(rid: str) -> str:
    """The optional application ping, sent every 30 s by the official client."""
    return orjson.dumps({"op": "ping", "rid": rid}).decode()
