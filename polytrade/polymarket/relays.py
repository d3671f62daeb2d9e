"""RTDS and PolyBolt as the generic feed runner wants them: a decoder plus what to send.

Sans-IO like the exchanges' codecs (`reference.codec.FeedCodec`); replay uses the decoders alone.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from polytrade.core.events import Event
from polytrade.polymarket.prices import (
    RTDS_PING,
    TOPIC_KINDS,
    PolyBoltCredentials,
    PolyBoltDecoder,
    RtdsDecoder,
    polybolt_auth_frame,
    polybolt_ping_frame,
    polybolt_subscribe_frame,
    rtds_subscribe_frame,
)

RTDS_SOURCE: Final = "polymarket.rtds/0"
POLYBOLT_SOURCE: Final = "polymarket.polybolt/0"
POLYBOLT_COINS_MAX: Final = 20
"""Coins subscribed: three subscriptions each, 64 a connection (protocols 7.2)."""
API_KEY_ENV: Final = "POLYTRADE_POLY_API_KEY"
SECRET_ENV: Final = "POLYTRADE_POLY_SECRET"
PASSPHRASE_ENV: Final = "POLYTRADE_POLY_PASSPHRASE"


class RtdsCodec:
    """Every price topic, all symbols: filters would have to be one a symbol (protocols 7.1)."""

    def __init__(self) -> None:
        self.name = "polymarket.rtds"
        self.default_url = "wss://ws-live-data.polymarket.com"
        self.ping_interval_s = 5.0
        self.max_age_s = math.inf
        self.counts: Counter[str] = Counter()
        self.reconnect_wanted = False
        self._decoder = RtdsDecoder()
        self.unknown = self._decoder.unknown

    def hello(self) -> list[str]:
        """One subscription a topic."""
        return [rtds_subscribe_frame(topic) for topic in TOPIC_KINDS]

    def ping(self) -> str | None:
        """The keepalive text, which RTDS never answers."""
        return RTDS_PING

    def reset(self) -> None:
        """Nothing is kept between messages."""

    def decode(self, frame: str | bytes, ts_ns: int, source: str) -> list[Event]:
        """The ticks of a frame; see `polytrade.wire_roles.Decoder`."""
        events = self._decoder.decode(frame, ts_ns, source)
        self.counts["tick" if events else "other"] += 1
        return events


class PolyBoltCodec:
    """Spot and averaged prices of the followed coins; authenticates first."""

    def __init__(self, coins: Sequence[str], credentials: PolyBoltCredentials) -> None:
        self.name = "polymarket.polybolt"
        self.default_url = "wss://ws-live-v2.polymarket.com/ws"
        self.ping_interval_s = 30.0
        self.max_age_s = math.inf
        self.counts: Counter[str] = Counter()
        self.reconnect_wanted = False
        self._coins = list(coins)[:POLYBOLT_COINS_MAX]
        self._credentials = credentials
        self._decoder = PolyBoltDecoder()
        self.unknown = self._decoder.unknown

    def hello(self) -> list[str]:
        """The authentication, then the subscriptions. The first frame holds secrets."""
        frames = [polybolt_auth_frame(self._credentials, "auth")]
        for coin in self._coins:
            for window_s in (0, 30, 60):
                rid = f"{coin}-{window_s}"
                frames.append(polybolt_subscribe_frame(coin, rid, window_s))
        return frames

    def ping(self) -> str | None:
        """The application's ping."""
        return polybolt_ping_frame("ping")

    def reset(self) -> None:
        """The decoder starts over at the venue's answer to the authentication."""

    def decode(self, frame: str | bytes, ts_ns: int, source: str) -> list[Event]:
        """The ticks of a frame; see `polytrade.wire_roles.Decoder`."""
        events = self._decoder.decode(frame, ts_ns, source)
        self.counts["tick" if events else "other"] += 1
        return events


def polybolt_credentials(environ: Mapping[str, str]) -> PolyBoltCredentials | None:
    """The CLOB L2 credentials of the environment; None unless all three are set."""
    key, secret = environ.get(API_KEY_ENV, ""), environ.get(SECRET_ENV, "")
    passphrase = environ.get(PASSPHRASE_ENV, "")
    if not (key and secret and passphrase):
        return None
    return PolyBoltCredentials(key, secret, passphrase)
