"""The exchanges of the live venue: an invented book each, in each one's own public protocol."""

from collections.abc import Callable, Mapping
from typing import Final

from polytrade.sandbox.venue.exchanges.binance import BinanceFeed
from polytrade.sandbox.venue.exchanges.bybit import BybitFeed
from polytrade.sandbox.venue.exchanges.coinbase import CoinbaseFeed
from polytrade.sandbox.venue.exchanges.feed import ExchangeFeed, StreamDialect, Surroundings
from polytrade.sandbox.venue.exchanges.kraken import KrakenFeed
from polytrade.sandbox.venue.exchanges.okx import OkxFeed

FEEDS: Final[Mapping[str, Callable[[Surroundings], ExchangeFeed]]] = {
    "binance": BinanceFeed,
    "coinbase": CoinbaseFeed,
    "kraken": KrakenFeed,
    "okx": OkxFeed,
    "bybit": BybitFeed,
}
"""Endpoint name to exchange."""


def make_exchanges(around: Surroundings) -> dict[str, ExchangeFeed]:
    """Every exchange by the name of its endpoint, all around the same hidden prices."""
    return {name: create(around) for name, create in FEEDS.items()}


__all__ = ["FEEDS", "ExchangeFeed", "StreamDialect", "Surroundings", "make_exchanges"]
