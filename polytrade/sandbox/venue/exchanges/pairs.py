"""What each exchange lists, how finely it quotes, how busy it is and how late it sees the price."""

from collections.abc import Mapping
from typing import Final

import attrs

from polytrade.core.units import MS_NS, ONE_E8
from polytrade.sandbox.world.prices import COINS

TOUCH_USD: Final = 15_000.0
"""Money at the touch in the median, bitcoin on Binance; other coins by their weight."""
TRADE_USD: Final = 900.0
"""Mean trade; captures have many tiny ones and a few that sweep."""
WEIGHTS: Final[Mapping[str, float]] = {
    "btc": 1.0,
    "eth": 0.75,
    "sol": 0.45,
    "xrp": 0.35,
    "doge": 0.2,
    "bnb": 0.2,
    "hype": 0.15,
    "zec": 0.15,
}
"""How busy a coin is, bitcoin being 1."""


@attrs.frozen
class Pair:
    """One instrument: prices are multiples of `tick_e8`, sizes of `lot_e8`.

    Both are written with a fixed number of digits. `touch_lots` is the median size at the touch,
    `trade_lots` the mean size of a trade.
    """

    coin: str
    symbol: str
    tick_e8: int
    price_digits: int
    lot_e8: int
    size_digits: int
    spread_bps: float
    touch_lots: int
    trade_lots: int

    def price_text(self, ticks: int) -> str:
        """A price as the exchange writes it, with all its digits."""
        return _fixed(ticks * self.tick_e8, self.price_digits)

    def size_text(self, lots: int) -> str:
        """A size as the exchange writes it, with all its digits."""
        return _fixed(lots * self.lot_e8, self.size_digits)


def _fixed(value_e8: int, digits: int) -> str:
    scale = 10**digits
    whole, fraction = divmod(value_e8 // 10 ** (8 - digits), scale)
    return f"{whole}.{fraction:0{digits}d}"


@attrs.frozen(kw_only=True)
class Exchange:
    """One exchange: its instruments' names and digits, and its habits.

    `lag_ns` is how late it sees the hidden price. `churn_per_s` is how often bitcoin's book changes
    by itself at full activity, `trade_share` how many of these changes are trades, `sweep_share`
    how often a moving price trades through the old touch.
    """

    name: str
    symbol: str
    quote: str
    coins: tuple[str, ...]
    ticks: Mapping[str, int]
    price_digits: int | None
    size_digits: int
    lot_digits: int
    spread_bps: float
    lag_ns: int
    churn_per_s: float
    trade_share: float
    sweep_share: float

    def pairs(self) -> dict[str, Pair]:
        """The instruments by coin."""
        found = {}
        for coin in self.coins:
            digits = self.ticks.get(coin, DIGITS[coin])
            lot_e8 = 10 ** (8 - self.lot_digits)
            lots = WEIGHTS[coin] * ONE_E8 / (COINS[coin].usd * lot_e8)
            found[coin] = Pair(
                coin=coin,
                symbol=self.symbol.format(coin.upper(), self.quote),
                tick_e8=10 ** (8 - digits),
                price_digits=self.price_digits or digits,
                lot_e8=lot_e8,
                size_digits=self.size_digits,
                spread_bps=self.spread_bps,
                touch_lots=max(2, round(TOUCH_USD * lots)),
                trade_lots=max(1, round(TRADE_USD * lots)),
            )
        return found


DIGITS: Final[Mapping[str, int]] = {
    "btc": 2,
    "eth": 2,
    "sol": 2,
    "xrp": 4,
    "doge": 5,
    "bnb": 2,
    "hype": 3,
    "zec": 2,
}
"""Decimals of a price where the exchange has no others."""
ALL: Final = tuple(DIGITS)

BINANCE: Final = Exchange(
    name="binance",
    symbol="{0}{1}",
    quote="USDT",
    coins=tuple(coin for coin in ALL if coin != "hype"),
    ticks={},
    price_digits=8,
    size_digits=8,
    lot_digits=5,
    spread_bps=0.0,
    lag_ns=0,
    churn_per_s=200.0,
    trade_share=0.16,
    sweep_share=0.5,
)
COINBASE: Final = Exchange(
    name="coinbase",
    symbol="{0}-{1}",
    quote="USD",
    coins=ALL,
    ticks={},
    price_digits=None,
    size_digits=8,
    lot_digits=8,
    spread_bps=0.05,
    lag_ns=60 * MS_NS,
    churn_per_s=30.0,
    trade_share=0.35,
    sweep_share=0.8,
)
KRAKEN: Final = Exchange(
    name="kraken",
    symbol="{0}/{1}",
    quote="USD",
    coins=ALL,
    ticks={"btc": 1, "xrp": 5, "doge": 7},
    price_digits=None,
    size_digits=8,
    lot_digits=8,
    spread_bps=0.3,
    lag_ns=200 * MS_NS,
    churn_per_s=15.0,
    trade_share=0.2,
    sweep_share=0.4,
)
OKX: Final = Exchange(
    name="okx",
    symbol="{0}-{1}",
    quote="USDT",
    coins=ALL,
    ticks={"btc": 1, "bnb": 1},
    price_digits=None,
    size_digits=8,
    lot_digits=8,
    spread_bps=0.0,
    lag_ns=30 * MS_NS,
    churn_per_s=60.0,
    trade_share=0.15,
    sweep_share=0.5,
)
BYBIT: Final = Exchange(
    name="bybit",
    symbol="{0}{1}",
    quote="USDT",
    coins=tuple(coin for coin in ALL if coin != "zec"),
    ticks={"btc": 1},
    price_digits=None,
    size_digits=6,
    lot_digits=6,
    spread_bps=0.0,
    lag_ns=20 * MS_NS,
    churn_per_s=50.0,
    trade_share=0.2,
    sweep_share=0.5,
)
