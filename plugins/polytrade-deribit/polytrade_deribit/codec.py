"""The codec of Deribit's public WebSocket (JSON-RPC, version 2): frames in, volatilities out."""

from typing import Any, ClassVar, Final

import attrs

from polytrade.api import Event, VenueCodec, events, setting, units
from polytrade_deribit.surface import Quote, Surface, option_of
from polytrade_deribit.wire import (
    channels_of,
    list_of,
    millis_of,
    missing,
    object_of,
    positive_of,
    request,
    shown,
    text_of,
)

HOUR_NS: Final = 3_600 * units.SECOND_NS
INDEX_HORIZON_NS: Final = 30 * 24 * HOUR_NS
"""The volatility index is of the next 30 days."""
INDEX_MOST: Final = 1_000.0
"""Most volatility taken of the index, in percent."""
FALLBACK_NS: Final = 15 * units.SECOND_NS
"""The options get this long to be heard before the volatility index speaks for them."""
PATIENCE_S: Final = 15.0
"""Further time without a quote before the connection is thought dead."""
HEARTBEAT: Final = 1
TEST: Final = 2
SUBSCRIBE: Final = 10
"""Numbers of our requests; subscriptions count on from `SUBSCRIBE`, one a coin."""


@attrs.frozen
class _Quoted:
    """What was told of an asset last, and when."""

    sigma: float
    ts_ns: int


@attrs.define(kw_only=True, eq=False)
class Deribit(VenueCodec):
    """`VolatilityQuoted` of BTC and ETH out of Deribit's options, at the money and for one horizon.

    While these do not say, the volatility index (DVOL) speaks for them. A subscription that is
    refused, and any error answer, is a WireError; the other subscriptions go on.
    """

    name = "deribit"
    pairs: ClassVar[dict[str, str]] = {"btc": "btc_usd", "eth": "eth_usd"}

    coins: tuple[str, ...] = setting(("btc", "eth"), "assets; those without options are left out")
    horizon_h: float = setting(
        12.0, "time for which the volatility is quoted, between expiries", unit="h", ge=1, le=720
    )
    least_h: float = setting(2.0, "nearer expiries are left out", unit="h", ge=0.5, le=168)
    change: float = setting(
        0.01, "relative change of the volatility that is told at once", ge=0, le=1
    )
    every_s: float = setting(
        30.0, "a volatility that has not changed is told again", unit="s", ge=1, le=240
    )
    heartbeat_s: int = setting(
        30, "how often the venue wants a sign of life when it is quiet", unit="s", ge=10, le=600
    )
    url: str = setting("wss://www.deribit.com/ws/api/v2", "address; `test.deribit.com` is its test")
    _surfaces: dict[str, Surface] = attrs.field(init=False, factory=dict)
    _index: dict[str, tuple[Quote, int]] = attrs.field(init=False, factory=dict)
    _quoted: dict[str, _Quoted] = attrs.field(init=False, factory=dict)
    _asked: dict[int, tuple[str, ...]] = attrs.field(init=False, factory=dict)
    _answers: list[str] = attrs.field(init=False, factory=list)
    _began_ns: int = attrs.field(init=False, default=0)

    def __attrs_post_init__(self) -> None:
        if not self.url.startswith(("wss://", "ws://")):
            raise ValueError("expected a wss:// address @ url")
        VenueCodec.__init__(self, self.coins)
        self.default_url = self.url
        self._asked = {
            SUBSCRIBE + n: channels_of(index) for n, index in enumerate(sorted(self.symbols))
        }
        self.reset()

    @property
    def silence_s(self) -> float:
        """Longest without an event while all is well."""
        return self.every_s + PATIENCE_S

    def hello(self) -> list[str]:
        """Ask for heartbeats, then for the channels, a request a coin."""
        if not self.symbols:
            return []
        asked = [
            request(number, "public/subscribe", channels=channels)
            for number, channels in self._asked.items()
        ]
        return [request(HEARTBEAT, "public/set_heartbeat", interval=self.heartbeat_s), *asked]

    def answers(self) -> list[str]:
        """What the frames decoded since the last call want answered."""
        answers, self._answers = self._answers, []
        return answers

    def reset(self) -> None:
        """A new connection: nothing is known, and the next volatility is told at once."""
        VenueCodec.reset(self)
        self._surfaces = {
            symbol: Surface(round(self.horizon_h * HOUR_NS), round(self.least_h * HOUR_NS))
            for symbol in self.symbols.values()
        }
        self._index.clear()
        self._quoted.clear()
        self._answers.clear()
        self._began_ns = 0

    def _events(self, message: Any, ts_ns: int, source: str) -> list[Event]:
        self._began_ns = self._began_ns or ts_ns
        message = object_of(message, "frame")
        method = message.get("method")
        if method == "subscription":
            params = object_of(message.get("params"), "params")
            channel = text_of(params.get("channel"), "channel")
            return self._on_channel(channel, params.get("data"), ts_ns)
        if method == "heartbeat":
            return self._on_heartbeat(object_of(message.get("params"), "params"))
        if method is not None:
            return self._skip_unknown(method)
        if "error" in message:
            raise self._refused(_said(message["error"]))
        return self._on_result(message)

    def _on_heartbeat(self, params: dict[str, Any]) -> list[Event]:
        if params.get("type") == "test_request":
            self._answers = [request(TEST, "public/test")]  # one answers all that wait
        return self._skip("heartbeat")

    def _on_result(self, message: dict[str, Any]) -> list[Event]:
        if "result" not in message:
            return self._skip_unknown("untyped")
        number = message.get("id")
        wanted = self._asked.get(number, ()) if isinstance(number, int) else ()
        absent = missing(wanted, message["result"]) if wanted else []
        if absent:
            raise self._refused(f"no subscription of {', '.join(absent)}")
        return self._skip("ack")

    def _on_channel(self, channel: str, data: object, ts_ns: int) -> list[Event]:
        kind, _, index = channel.rpartition(".")
        symbol = self.symbols.get(index)
        if symbol is None:
            return self._skip("foreign_pair")
        if kind == "deribit_price_index":
            price = positive_of(object_of(data, "data").get("price"), "price")
            self._surfaces[symbol].price(price, ts_ns)
            return self._skip("index")
        if kind == "markprice.options":
            self._on_marks(symbol, list_of(data, "data"), ts_ns)
        elif kind == "deribit_volatility_index":
            self._on_volatility_index(symbol, object_of(data, "data"), ts_ns)
        else:
            return self._skip_unknown(kind)
        return self._tell(symbol, ts_ns)

    def _on_marks(self, symbol: str, rows: list[Any], ts_ns: int) -> None:
        # A thousand rows a second and coin: what is not of use is passed over first.
        surface = self._surfaces[symbol]
        window = surface.window(ts_ns)
        now_ns, last_ns, low, high = window.now_ns, window.last_ns, window.low, window.high
        foreign = left_out = unmarked = 0
        marks = []
        for row in rows:
            name = row.get("instrument_name") if type(row) is dict else None
            if type(name) is not str:
                raise ValueError(f"expected an instrument_name, found {shown(row)} @ data")
            option = option_of(name)
            if option is None or option.coin != symbol:
                foreign += 1
            elif not (low < option.strike < high and now_ns < option.expiry_ns <= last_ns):
                left_out += 1
            elif not row.get("iv"):  # 0 or null: the venue has none
                unmarked += 1
            else:
                iv = positive_of(row["iv"], "iv")
                marks.append((option, iv, millis_of(row.get("timestamp"), "timestamp")))
        surface.forget(ts_ns)
        taken = 0
        for option, iv, venue_ms in marks:
            taken += surface.mark(option, iv, venue_ms, ts_ns)
        self.counts["mark"] += taken
        self.counts["mark_left_out"] += left_out + len(marks) - taken
        self.counts["unmarked"] += unmarked
        self.counts["foreign_pair"] += foreign

    def _on_volatility_index(self, symbol: str, data: dict[str, Any], ts_ns: int) -> None:
        percent = positive_of(data.get("volatility"), "volatility")
        if percent > INDEX_MOST:
            found = f"{percent:g} @ volatility"
            raise ValueError(f"expected a percentage up to {INDEX_MOST:g}, found {found}")
        venue_ms = millis_of(data.get("timestamp"), "timestamp")
        self._index[symbol] = (Quote(percent / 100.0, ts_ns + INDEX_HORIZON_NS, venue_ms), ts_ns)
        self.counts["volatility_index"] += 1

    def _tell(self, symbol: str, ts_ns: int) -> list[Event]:
        """The volatility now, if it has changed or was not told for long."""
        quote = self._surfaces[symbol].quote(ts_ns) or self._instead(symbol, ts_ns)
        if quote is None:
            return []
        last = self._quoted.get(symbol)
        if last is not None:
            still = abs(quote.sigma / last.sigma - 1.0) < self.change
            if still and ts_ns - last.ts_ns < self.every_s * units.SECOND_NS:
                return self._skip("unchanged")
        self._quoted[symbol] = _Quoted(quote.sigma, ts_ns)
        self.counts["quote"] += 1
        told = events.VolatilityQuoted(
            ts_ns, self.name, symbol, quote.sigma, quote.expiry_ns, quote.venue_ms
        )
        return [told]

    def _instead(self, symbol: str, ts_ns: int) -> Quote | None:
        """The volatility index, once the options had their time."""
        quote, heard_ns = self._index.get(symbol, (None, 0))
        if quote is None or ts_ns - heard_ns > FALLBACK_NS:
            return None
        if ts_ns - self._began_ns < FALLBACK_NS:
            return None
        self.counts["fallback"] += 1
        return quote


def _said(error: object) -> str:
    """An error answer in words: `10028 too_many_requests`."""
    if not isinstance(error, dict):
        return shown(error)
    text = f"{error.get('code')} {error.get('message')}"
    reason = error.get("data")
    if isinstance(reason, dict) and reason.get("reason"):
        text += f": {reason['reason']}"
    return text
