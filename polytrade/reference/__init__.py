"""Reference exchanges: one sans-IO codec a venue, and the table a feed runner picks from."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from polytrade.reference.binance import BinanceCodec
from polytrade.reference.bybit import BybitCodec
from polytrade.reference.codec import QUOTES, FeedCodec
from polytrade.reference.coinbase import CoinbaseCodec
from polytrade.reference.kraken import KrakenCodec
from polytrade.reference.okx import OkxCodec

CODECS: Final[Mapping[str, Callable[[Sequence[str]], FeedCodec]]] = {
    "binance": BinanceCodec,
    "coinbase": CoinbaseCodec,
    "kraken": KrakenCodec,
    "okx": OkxCodec,
    "bybit": BybitCodec,
}
"""Source name to codec; the names are those of the settings under `feeds`."""

__all__ = [
    "CODECS",
    "QUOTES",
    "BinanceCodec",
    "BybitCodec",
    "CoinbaseCodec",
    "FeedCodec",
    "KrakenCodec",
    "OkxCodec",
]
