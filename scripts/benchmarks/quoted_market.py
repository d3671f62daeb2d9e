"""One invented market as cheap as it can be: a full ladder, its changes, its trades, its hashes.

The local venue's own engine makes too few messages a second to be the load of a benchmark. Both
tokens' books are kept as the venue writes them; every message carries the hashes that the venue
would compute (protocols 5.4).
"""

import hashlib
import random
from typing import Any, Final

from polytrade.core.units import ONE_E4, decimal_text, price_text
from polytrade.sandbox.wirebook import WireBook, finish_hash, hash_prefix, last_trade_text

CENT_E4: Final = 100
MIN_SIZE: Final = "5"

Message = dict[str, Any]


class QuotedMarket:
    """A market whose messages `requote`, `churn` and `trade` return in engine order.

    Prices are 1e-4 USDC in terms of YES, sizes hundredths of a share, times milliseconds.
    """

    def __init__(self, rng: random.Random, condition: str, yes: str, no: str) -> None:
        self.condition = condition
        self.tokens = (WireBook(condition, yes), WireBook(condition, no))
        self.last_trade = ""
        self.trades = 0
        self._rng = rng
        self._bids: dict[int, int] = {}
        self._asks: dict[int, int] = {}

    def _size(self, price_e4: int, touch_e4: int) -> int:
        """An invented level size: thin at the touch, thick far out, huge at the ends."""
        away = abs(price_e4 - touch_e4) // CENT_E4
        if price_e4 in (CENT_E4, ONE_E4 - CENT_E4) and away:
            return self._rng.randint(300_000, 1_500_000)
        return int(100 * self._rng.lognormvariate(4.0 + 0.25 * min(away, 6), 0.8)) + 500

    def _wanted(self, bid_e4: int, ask_e4: int) -> tuple[set[int], set[int]]:
        bids = set(range(CENT_E4, min(bid_e4, ONE_E4 - CENT_E4) + 1, CENT_E4))
        asks = set(range(ONE_E4 - CENT_E4, max(ask_e4, CENT_E4) - 1, -CENT_E4))
        return {p for p in bids if p > 0}, {p for p in asks if p < ONE_E4}

    def touch_for(self, fair: float) -> tuple[int, int]:
        """Where makers want the touch: one tick around the fair value, sometimes two or three."""
        tick = CENT_E4
        spread = self._rng.choices((1, 2, 3), weights=(80, 15, 5))[0] * tick
        bid = int((fair * ONE_E4 - spread / 2) / tick + 0.5) * tick
        low, high = (0, ONE_E4) if fair < 0.01 or fair > 0.99 else (tick, ONE_E4 - tick)
        bid = max(low, min(bid, high - spread))
        return bid, min(high, bid + spread)

    def requote(self, ts_ms: int, bid_e4: int, ask_e4: int) -> list[Message]:
        """Move the touch and fill the ladder: what is in the way is taken off first."""
        bids, asks = self._wanted(bid_e4, ask_e4)
        changes = [(0, price, 0) for price in sorted(self._bids, reverse=True) if price > bid_e4]
        changes += [(1, price, 0) for price in sorted(self._asks) if price < ask_e4]
        changes += [
            (0, price, self._size(price, bid_e4)) for price in sorted(bids - self._bids.keys())
        ]
        changes += [
            (1, price, self._size(price, ask_e4)) for price in sorted(asks - self._asks.keys())
        ]
        return [self._change(ts_ms, side, price, size) for side, price, size in changes]

    def churn(self, ts_ms: int) -> list[Message]:
        """One maker changes one size: mostly at the touch, sometimes far away."""
        side = self._rng.randint(0, 1)
        levels = sorted(self._asks) if side else sorted(self._bids, reverse=True)
        if not levels:
            return []
        where = self._rng.random()
        depth = 0 if where < 0.64 else self._rng.randint(0, len(levels) - 1)
        if where > 0.95:
            depth = len(levels) - 1
        price = levels[depth]
        return [self._change(ts_ms, side, price, self._size(price, levels[0]))]

    def _change(self, ts_ms: int, side: int, price_e4: int, size_e2: int) -> Message:
        ladder = self._asks if side else self._bids
        if size_e2:
            ladder[price_e4] = size_e2
        else:
            ladder.pop(price_e4, None)
        size = decimal_text(size_e2, 2)
        entries = []
        for token, book in enumerate(self.tokens):
            price = price_text(ONE_E4 - price_e4 if token else price_e4)
            selling = side != token
            (book.asks if selling else book.bids).set(price, size)
            entries.append((book, price, selling))
        rows = []
        for book, price, selling in entries:
            bid, ask = book.best_texts()
            rows.append(
                {
                    "asset_id": book.asset,
                    "price": price,
                    "size": size,
                    "side": "SELL" if selling else "BUY",
                    "hash": self._hash(book, ts_ms),
                    "best_bid": bid,
                    "best_ask": ask,
                }
            )
        return {
            "market": self.condition,
            "price_changes": rows,
            "timestamp": str(ts_ms),
            "event_type": "price_change",
        }

    def _hash(self, book: WireBook, ts_ms: int) -> str:
        prefix = hash_prefix(
            self.condition,
            book.asset,
            str(ts_ms),
            book.bids.json(),
            book.asks.json(),
            MIN_SIZE,
            price_text(CENT_E4),
            False,
        )
        return finish_hash(prefix, self.last_trade)

    def books(self, ts_ms: int) -> list[Message]:
        """Both tokens' books as the venue sends them on subscription."""
        return [
            {
                "market": self.condition,
                "asset_id": book.asset,
                "timestamp": str(ts_ms),
                "hash": self._hash(book, ts_ms),
                "bids": book.bids.levels(),
                "asks": book.asks.levels(),
                "tick_size": price_text(CENT_E4),
                "last_trade_price": self.last_trade,
                "event_type": "book",
            }
            for book in self.tokens
        ]

    def trade(self, ts_ms: int, buy: bool, size_e2: int) -> tuple[list[Message], list[Message]]:
        """A taker takes `size_e2` from the YES asks (`buy`) or bids, level by level.

        Returns the book's changes, stamped now, and the prints, to be stamped later by the caller.
        The last trade price in the hashes becomes the maker order's own price.
        """
        changes: list[Message] = []
        prints: list[Message] = []
        while size_e2 > 0:
            ladder = self._asks if buy else self._bids
            if not ladder:
                break
            price = min(ladder) if buy else max(ladder)
            taken = min(size_e2, ladder[price])
            size_e2 -= taken
            # The maker may have been on either token: buying NO at 1 - p is selling YES at p.
            native = price if self._rng.random() < 0.5 else ONE_E4 - price
            self.last_trade = last_trade_text(native)
            self.trades += 1
            changes.append(self._change(ts_ms, int(buy), price, ladder[price] - taken))
            prints.append(self._print(price, taken, buy))
        return changes, prints

    def _print(self, price_e4: int, size_e2: int, buy: bool) -> Message:
        straight = self._rng.random() < 0.7
        token = 0 if straight == buy else 1
        name = f"{self.condition}|{self.trades}".encode()
        return {
            "market": self.condition,
            "asset_id": self.tokens[token].asset,
            "price": price_text(ONE_E4 - price_e4 if token else price_e4),
            "size": decimal_text(size_e2, 2),
            "fee_rate_bps": "0",
            "side": "BUY" if (token == 0) == buy else "SELL",
            "event_type": "last_trade_price",
            "transaction_hash": "0x" + hashlib.sha256(name).hexdigest(),
        }
