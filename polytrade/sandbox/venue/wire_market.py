"""The two books of one market as the venue writes them, and every text made of them.

The books mirror each other: a bid for one token at p is an ask for the other at 1 - p, of the same
size and at the same place of its list (protocols 2.2). So a market has two ladders, the bids of
each token, and each ladder is written twice.
"""

from bisect import bisect_left
from functools import lru_cache
from typing import Final

from polytrade.core.ids import BUY, NO, YES
from polytrade.core.units import ONE_E4, decimal_text, price_text, size_text
from polytrade.sandbox.matching.rules import MarketRules
from polytrade.sandbox.wirebook import finish_hash, hash_prefix

SHOWN_DIGITS: Final = 2
"""Decimals of a level's size; finer ones are cut off (protocols 0.4)."""
SHOWN_STEP: Final = 10 ** (6 - SHOWN_DIGITS)
SIDE_TEXTS: Final = ("BUY", "SELL")
TOKENS: Final = (YES, NO)

_price = lru_cache(maxsize=ONE_E4 + 1)(price_text)


def shown_size(size_e6: int) -> str:
    """A level's size as books show it: `142.1`; `0` when nothing of it is left to show."""
    return decimal_text(size_e6 // SHOWN_STEP, SHOWN_DIGITS)


def last_price_text(price_e4: int) -> str:
    """A last trade price as books and hashes have it; empty before the first trade.

    Three decimals: what the venue writes at finer ticks is not known, and rounding like this is
    what a checker of protocols 5.4 expects.
    """
    return "" if price_e4 < 0 else f"{price_e4 / ONE_E4:.3f}"


class BidLadder:
    """The bids of one token by ascending price, which are the asks of the other one.

    `bids` is the side as the token's own book has it, `asks` as the other token's has it; both are
    JSON arrays whose last element is the best level.
    """

    __slots__ = ("_asks", "_asks_json", "_bids", "_bids_json", "prices_e4")

    def __init__(self) -> None:
        self.prices_e4: list[int] = []
        self._bids: list[str] = []
        self._asks: list[str] = []
        self._bids_json: str | None = "[]"
        self._asks_json: str | None = "[]"

    @property
    def best_e4(self) -> int:
        """The highest bid; 0 when there is none."""
        return self.prices_e4[-1] if self.prices_e4 else 0

    def set(self, price_e4: int, size: str) -> None:
        """The level at a price now shows `size`; `0` removes it."""
        assert 0 < price_e4 < ONE_E4, f"a level at {price_e4}"
        prices = self.prices_e4
        at = bisect_left(prices, price_e4)
        known = at < len(prices) and prices[at] == price_e4
        if size == "0":
            if not known:
                return
            del prices[at], self._bids[at], self._asks[at]
        else:
            bid = f'{{"price":"{_price(price_e4)}","size":"{size}"}}'
            ask = f'{{"price":"{_price(ONE_E4 - price_e4)}","size":"{size}"}}'
            if known:
                self._bids[at] = bid
                self._asks[at] = ask
            else:
                prices.insert(at, price_e4)
                self._bids.insert(at, bid)
                self._asks.insert(at, ask)
        self._bids_json = self._asks_json = None

    @property
    def bids(self) -> str:
        """The side in the token's own book."""
        if self._bids_json is None:
            self._bids_json = f"[{','.join(self._bids)}]"
        return self._bids_json

    @property
    def asks(self) -> str:
        """The side in the other token's book."""
        if self._asks_json is None:
            self._asks_json = f"[{','.join(self._asks)}]"
        return self._asks_json


class WireMarket:
    """The wire state of one market: its levels as shown, its last trade price and their time.

    Times are milliseconds. `stamp` is when a book last changed: the timestamp of the books and of
    their hashes.
    """

    __slots__ = ("_hashes", "_last_e4", "_min_size", "_tick", "ladders", "last", "rules", "stamp")

    def __init__(self, rules: MarketRules, ts_ms: int) -> None:
        self.rules = rules
        self.ladders = (BidLadder(), BidLadder())
        self.last = ""
        self.stamp = str(ts_ms)
        self._last_e4 = -1
        self._min_size = size_text(rules.min_size_e6)
        self._tick = price_text(rules.tick_e4)
        self._hashes: list[str | None] = [None, None]

    def best_e4(self, token: int) -> tuple[int, int]:
        """Best bid and ask shown for a token; an empty side is 0 or ONE_E4."""
        return self.ladders[token].best_e4, ONE_E4 - self.ladders[1 - token].best_e4

    def hash(self, token: int) -> str:
        """The hash of a token's book as of `stamp` (protocols 5.4)."""
        known = self._hashes[token]
        if known is None:
            rules = self.rules
            prefix = hash_prefix(
                rules.condition,
                rules.tokens[token],
                self.stamp,
                self.ladders[token].bids,
                self.ladders[1 - token].asks,
                self._min_size,
                self._tick,
                rules.neg_risk,
            )
            known = self._hashes[token] = finish_hash(prefix, self.last)
        return known

    def change(
        self, token: int, side: int, price_e4: int, size_e6: int, last_e4: int, ts_ms: int
    ) -> None:
        """Take a new size of a level, and the last trade price from then on."""
        size = shown_size(size_e6)
        if side == BUY:
            self.ladders[token].set(price_e4, size)
        else:
            self.ladders[1 - token].set(ONE_E4 - price_e4, size)
        if last_e4 != self._last_e4:
            self._last_e4 = last_e4
            self.last = last_price_text(last_e4)
        self.stamp = str(ts_ms)
        self._hashes = [None, None]

    def price_change(self, token: int, side: int, price_e4: int, size_e6: int) -> str:
        """The message of the change just taken.

        The first entry is in the terms of `token`, the second the other token's mirror.
        """
        size = shown_size(size_e6)
        first = self._entry(token, side, price_e4, size)
        second = self._entry(1 - token, 1 - side, ONE_E4 - price_e4, size)
        return (
            f'{{"market":"{self.rules.condition}","price_changes":[{first},{second}],'
            f'"timestamp":"{self.stamp}","event_type":"price_change"}}'
        )

    def _entry(self, token: int, side: int, price_e4: int, size: str) -> str:
        bid_e4, ask_e4 = self.best_e4(token)
        return (
            f'{{"asset_id":"{self.rules.tokens[token]}","price":"{_price(price_e4)}",'
            f'"size":"{size}","side":"{SIDE_TEXTS[side]}","hash":"{self.hash(token)}",'
            f'"best_bid":"{_price(bid_e4)}","best_ask":"{_price(ask_e4)}"}}'
        )

    def change_tick(self, ts_ms: int) -> None:
        """The rules have another tick, which every hash from now on covers."""
        self._tick = price_text(self.rules.tick_e4)
        self.stamp = str(ts_ms)
        self._hashes = [None, None]

    def book(self, token: int, initial: bool) -> str:
        """A `book` message; the one sent on subscribing has tick and last trade price besides."""
        tick = f'"tick_size":"{self._tick}",' if initial else ""
        last = f',"last_trade_price":"{self.last}"' if initial else ""
        return f'{{{self._levels(token)},{tick}"event_type":"book"{last}}}'

    def rest_book(self, token: int) -> str:
        """The object of `GET /book` (protocols 2.2); `version` is added for protocol v2 only."""
        rules = self.rules
        version = ',"version":"v2"' if rules.protocol == "v2" else ""
        return (
            f'{{{self._levels(token)},"min_order_size":"{self._min_size}",'
            f'"tick_size":"{self._tick}","neg_risk":{"true" if rules.neg_risk else "false"},'
            f'"last_trade_price":"{self.last}"{version}}}'
        )

    def _levels(self, token: int) -> str:
        return (
            f'"market":"{self.rules.condition}","asset_id":"{self.rules.tokens[token]}",'
            f'"timestamp":"{self.stamp}","hash":"{self.hash(token)}",'
            f'"bids":{self.ladders[token].bids},"asks":{self.ladders[1 - token].asks}'
        )

    def best_bid_ask(self, token: int, ts_ms: int) -> str:
        """The `best_bid_ask` message of a token."""
        bid_e4, ask_e4 = self.best_e4(token)
        return (
            f'{{"market":"{self.rules.condition}","asset_id":"{self.rules.tokens[token]}",'
            f'"best_bid":"{_price(bid_e4)}","best_ask":"{_price(ask_e4)}",'
            f'"spread":"{_price(ask_e4 - bid_e4)}","timestamp":"{ts_ms}",'
            f'"event_type":"best_bid_ask"}}'
        )

    def tick_size_change(self, token: int, old_tick_e4: int, ts_ms: int) -> str:
        """The `tick_size_change` message of a token."""
        return (
            f'{{"market":"{self.rules.condition}","asset_id":"{self.rules.tokens[token]}",'
            f'"old_tick_size":"{price_text(old_tick_e4)}","new_tick_size":"{self._tick}",'
            f'"timestamp":"{ts_ms}","event_type":"tick_size_change"}}'
        )
