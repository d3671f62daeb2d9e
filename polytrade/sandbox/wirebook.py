"""One token's book in the strings the venue wrote, and the hash the venue makes of it.

The hash of protocols 5.4 covers prices and sizes exactly as written, so a book that is to be
hashed again under another time or name must keep the strings; numbers are only its order.
"""

import json
from bisect import bisect_left, insort
from hashlib import sha1
from typing import Final

from polytrade.core.units import ONE_E4, parse_scaled

LEVELS_MAX: Final = 20_000
"""Levels kept a side: a tick of 0.0001 has 9,999 prices; twice that is nonsense."""


def hash_prefix(
    market: str,
    asset: str,
    timestamp: str,
    bids: str,
    asks: str,
    min_size: str,
    tick: str,
    neg_risk: bool,
) -> str:
    """What is hashed, up to the last trade price; `bids` and `asks` are JSON arrays."""
    return (
        f'{{"market":"{market}","asset_id":"{asset}","timestamp":"{timestamp}","hash":"",'
        f'"bids":{bids},"asks":{asks},"min_order_size":"{min_size}","tick_size":"{tick}",'
        f'"neg_risk":{"true" if neg_risk else "false"},"last_trade_price":"'
    )


def finish_hash(prefix: str, last_trade: str) -> str:
    """The 40 hex digits of a prefix completed by its last trade price."""
    return sha1(f'{prefix}{last_trade}"}}'.encode(), usedforsecurity=False).hexdigest()


def last_trade_text(price_e4: int) -> str:
    """A last trade price as the hash has it: three decimals (`0.170`)."""
    return f"{price_e4 // ONE_E4}.{price_e4 % ONE_E4 // 10:03d}"


class Ladder:
    """One side of a book: JSON fragments of its levels by price, and their order."""

    __slots__ = ("_json", "descending", "fragments", "prices_e4")

    def __init__(self, descending: bool) -> None:
        self.descending = descending
        self.prices_e4: list[int] = []
        self.fragments: dict[int, str] = {}
        self._json: str | None = None

    def set(self, price: str, size: str) -> None:
        """The level at `price` now holds `size`; a size of zero removes it. Raises ValueError."""
        key = parse_scaled(price, 4)
        self._json = None
        if parse_scaled(size, 6) == 0:
            if self.fragments.pop(key, None) is not None:
                del self.prices_e4[bisect_left(self.prices_e4, key)]
            return
        if key not in self.fragments:
            if len(self.prices_e4) >= LEVELS_MAX:
                raise ValueError(f"expected at most {LEVELS_MAX} levels")
            insort(self.prices_e4, key)
        self.fragments[key] = f'{{"price":"{price}","size":"{size}"}}'

    def json(self) -> str:
        """The side as the wire has it: bids ascending, asks descending (best last)."""
        if self._json is None:
            keys = reversed(self.prices_e4) if self.descending else self.prices_e4
            self._json = "[" + ",".join([self.fragments[key] for key in keys]) + "]"
        return self._json

    def levels(self) -> list[dict[str, str]]:
        """The side as a list of {price, size}, in the order of `json`."""
        found: list[dict[str, str]] = json.loads(self.json())
        return found


class WireBook:
    """The book of one token, able to say its hash.

    `verified` tells whether the last message's hash was reproduced; `last_hash` is that message's.
    """

    __slots__ = ("asks", "asset", "bids", "last_hash", "market", "timestamp", "verified")

    def __init__(self, market: str, asset: str) -> None:
        self.market = market
        self.asset = asset
        self.bids = Ladder(descending=False)
        self.asks = Ladder(descending=True)
        self.timestamp = "0"
        self.last_hash = ""
        self.verified = False

    def replace(self, bids: object, asks: object) -> None:
        """Take a whole book; `bids` and `asks` are lists of {price, size}. Raises ValueError."""
        fresh = (Ladder(descending=False), Ladder(descending=True))
        for ladder, levels in zip(fresh, (bids, asks), strict=True):
            if not isinstance(levels, list):
                raise ValueError(f"expected a list of levels, found {type(levels).__name__}")
            for level in levels:
                ladder.set(level["price"], level["size"])
        self.bids, self.asks = fresh

    def best_texts(self) -> tuple[str, str]:
        """Best bid and ask as `0.48`; an empty side is `0` or `1`."""
        bid = self.bids.prices_e4[-1] if self.bids.prices_e4 else 0
        ask = self.asks.prices_e4[0] if self.asks.prices_e4 else ONE_E4
        return f"{bid / ONE_E4:g}", f"{ask / ONE_E4:g}"
