"""One book per market, in YES terms, on an integer price grid with maintained best pointers.

A bid for NO at `1 - p` is an ask for YES at `p`: messages of either token land in the same grid.
At live speed messages arrive slightly out of the engine's order, so every level remembers the venue
time of what it holds and an older message never overwrites a newer one. The book is verified
against the SHA-1 hash of the newest message seen (protocols 5.4): once all messages up to that one
have arrived, in whatever order, the hash fits.
"""

from hashlib import sha1
from typing import Final, Protocol, final

from polytrade.core.events import BookChanged, BookReplaced
from polytrade.core.ids import BUY, NO, YES
from polytrade.core.ladder import Ladder, level_text
from polytrade.core.units import ONE_E4, price_text, size_text

UNCHECKABLE: Final = 0
MATCHED: Final = 1
MISMATCHED: Final = 2

TICKS_E4: Final = (1000, 100, 50, 25, 10, 1)
"""The venue's tick sizes (protocols 4.3), coarsest first; the grid's step is one of them."""

UNKNOWN_TRADE: Final = "?"
"""A last trade price that a message does not state; an empty string means no trade yet."""


class HashState(Protocol):
    """A running SHA-1, as hashlib makes them."""

    def copy(self) -> "HashState": ...
    def update(self, data: bytes, /) -> None: ...
    def hexdigest(self) -> str: ...


def trade_price_text(price_e4: int) -> str:
    """A last trade price as book hashes have it: three decimals, four on the finest grid."""
    if price_e4 % 10:
        return f"{price_e4 // ONE_E4}.{price_e4 % ONE_E4:04d}"
    return f"{price_e4 // ONE_E4}.{price_e4 % ONE_E4 // 10:03d}"


@final
class Book:
    """The resting orders of one market by price, both tokens in one grid of YES prices.

    `tick_e4` is the market's tick, `step_e4` the grid's, which is never coarser. `newest_*` is what
    the newest message says of the whole book.

    `bid_e4` and `ask_e4` are the best prices of YES, 0 and ONE_E4 where there is none; `mid` is
    their middle as a probability, -1.0 unless both sides have a level (`two_sided`); `crossed` is
    whether the best bid is at or above the best ask: never true of a whole book. `changes` counts
    the messages taken, so that what is made from the book can be kept until the next.
    """

    __slots__ = (
        "_asks",
        "_bids",
        "_head",
        "_min_size_e6",
        "_neg_risk",
        "_tail",
        "_trade_guesses",
        "ask_e4",
        "bid_e4",
        "changes",
        "crossed",
        "hash_token",
        "last_trade",
        "market",
        "mid",
        "newest_ask_e4",
        "newest_bid_e4",
        "newest_hash",
        "newest_ms",
        "step_e4",
        "tick_e4",
        "two_sided",
    )

    def __init__(
        self, market: str, yes: str, no: str, tick_e4: int, min_size_e6: int, neg_risk: bool
    ) -> None:
        self.market = market
        self.tick_e4 = tick_e4
        self.step_e4 = tick_e4
        self.last_trade = UNKNOWN_TRADE
        self.newest_ms = -1
        self.newest_hash = ""
        self.hash_token: int = YES
        self.newest_bid_e4 = -1
        self.newest_ask_e4 = -1
        self._bids = Ladder(True, tick_e4)
        self._asks = Ladder(False, tick_e4)
        self._trade_guesses: list[str] = []
        self._head = (
            f'{{"market":"{market}","asset_id":"{yes}","timestamp":"'.encode(),
            f'{{"market":"{market}","asset_id":"{no}","timestamp":"'.encode(),
        )
        self._min_size_e6 = min_size_e6
        self._neg_risk = neg_risk
        self._tail = self._tail_of(tick_e4)
        self.changes = 0
        self._touch()

    # -- what it says ---------------------------------------------------------------------------

    @property
    def best_bid(self) -> int:
        """The grid index of the best bid; -1 when there is none."""
        return self._bids.best

    @property
    def best_ask(self) -> int:
        """The grid index of the best ask; one past the grid when there is none."""
        return self._asks.best

    def size_e6(self, side: int, price_e4: int) -> int:
        """The size resting for YES at a price, 0 off the grid or outside it."""
        index, rest = divmod(price_e4, self.step_e4)
        sizes = self._bids.sizes if side == BUY else self._asks.sizes
        return 0 if rest or not 0 <= index < len(sizes) else sizes[index]

    def depth(self, side: int, levels: int) -> list[tuple[int, int]]:
        """Up to `levels` (price_e4, size_e6) of YES, best first."""
        return self._bids.levels(levels) if side == BUY else self._asks.levels(levels)

    def top_e6(self, side: int, levels: int) -> int:
        """The shares of YES resting on the best `levels` of a side."""
        return self._bids.top_e6(levels) if side == BUY else self._asks.top_e6(levels)

    # -- what happens to it ---------------------------------------------------------------------

    def set_terms(self, min_size_e6: int, neg_risk: bool, tick_e4: int) -> None:
        """Take the market's terms, which are part of every hash; a finer tick refines the grid."""
        self.tick_e4 = tick_e4
        self._min_size_e6 = min_size_e6
        self._neg_risk = neg_risk
        self._tail = self._tail_of(tick_e4)
        if self.step_e4 % tick_e4 == 0:
            self._refine(tick_e4)

    def note_trade(self, price_e4: int) -> None:
        """A trade printed: either outcome's price may be the hash's next last trade price."""
        self._trade_guesses = [trade_price_text(price_e4), trade_price_text(ONE_E4 - price_e4)]

    def replace(self, event: BookReplaced, whole: bool, check: bool = True) -> int:
        """Take a snapshot; the verdict is on the snapshot's own hash, when asked to `check`.

        Levels that a newer message has changed since keep the newer size, unless `whole`.
        """
        ts = event.venue_ts_ms
        newest = whole or ts >= self.newest_ms
        if event.last_trade != UNKNOWN_TRADE and (newest or self.last_trade == UNKNOWN_TRADE):
            self.last_trade = event.last_trade
        verdict = self._verify_snapshot(event, newest) if check else UNCHECKABLE
        bids = _mirrored(event.asks) if event.token == NO else event.bids
        asks = _mirrored(event.bids) if event.token == NO else event.asks
        self._refine(_step_for(asks, _step_for(bids, self.step_e4)))
        self._bids.replace(bids, ts, whole)
        self._asks.replace(asks, ts, whole)
        self.changes += 1
        self._touch()
        if newest:
            self._newest(ts, event.hash, event.token, -1, -1)
        return verdict

    def change(self, event: BookChanged, check: bool) -> int:
        """Take one level; the verdict is on the newest message's hash.

        UNCHECKABLE without a hash, without a known last trade price, or when not asked to `check`.
        """
        side, price_e4 = event.side, event.price_e4
        if event.token == NO:
            side, price_e4 = 1 - side, ONE_E4 - price_e4
        if price_e4 % self.step_e4:
            self._refine(_step_for([(price_e4, 0)], self.step_e4))
        index = price_e4 // self.step_e4
        ts = event.venue_ts_ms
        ladder = self._bids if side == BUY else self._asks
        if ts >= ladder.stamps[index]:
            best = ladder.best
            ladder.put(index, event.size_e6, ts)
            self.changes += 1
            if ladder.best != best:
                self._touch()
        if ts >= self.newest_ms:
            bid_e4, ask_e4 = event.best_bid_e4, event.best_ask_e4
            if event.token == NO and bid_e4 >= 0 and ask_e4 >= 0:
                bid_e4, ask_e4 = ONE_E4 - ask_e4, ONE_E4 - bid_e4
            self._newest(ts, event.hash, event.token, bid_e4, ask_e4)
        if not check:
            return UNCHECKABLE
        return self._verify_newest(event.price_e4)

    def fits_newest(self) -> int:
        """The verdict on the newest message's hash as the book stands now."""
        return self._verify_newest(-1)

    def fits_stated_best(self) -> int:
        """Whether the best prices are those the newest message states; the check without a hash."""
        if self.newest_bid_e4 < 0 or self.newest_ask_e4 < 0:
            return UNCHECKABLE
        if self.bid_e4 == self.newest_bid_e4 and self.ask_e4 == self.newest_ask_e4:
            return MATCHED
        return MISMATCHED

    # -- the hash -------------------------------------------------------------------------------

    def hash_of(self, token: int, venue_ts_ms: int, last_trade: str) -> str:
        """The hash of the book as it stands, in one token's terms (protocols 5.4)."""
        return _digest(self._text(token, venue_ts_ms), last_trade)

    def _text(self, token: int, venue_ts_ms: int) -> bytes:
        """Everything that is hashed before the last trade price."""
        if token == YES:
            bids, asks = self._bids.text(), self._asks.text()
        else:
            bids, asks = self._asks.mirrored_text(), self._bids.mirrored_text()
        return self._framed(token, venue_ts_ms, bids, asks, self._tail)

    def _framed(self, token: int, ts_ms: int, bids: bytes, asks: bytes, tail: bytes) -> bytes:
        at = str(ts_ms).encode()
        head = self._head[token]
        return b"".join((head, at, b'","hash":"","bids":[', bids, b'],"asks":[', asks, tail))

    def _tail_of(self, tick_e4: int) -> bytes:
        size, tick = size_text(self._min_size_e6), price_text(tick_e4)
        neg_risk = "true" if self._neg_risk else "false"
        terms = f'],"min_order_size":"{size}","tick_size":"{tick}","neg_risk":{neg_risk}'
        return f'{terms},"last_trade_price":"'.encode()

    def _verify_newest(self, price_e4: int) -> int:
        """The verdict on the newest hash; a change at `price_e4` may be a fill there."""
        wanted = self.newest_hash
        if not wanted or self.last_trade == UNKNOWN_TRADE:
            return UNCHECKABLE
        text = self._text(self.hash_token, self.newest_ms)
        if _digest(text, self.last_trade) == wanted:
            return MATCHED
        guesses = self._trade_guesses
        if price_e4 >= 0:
            filled = [trade_price_text(price_e4), trade_price_text(ONE_E4 - price_e4)]
            guesses = filled + guesses
        return self._adopt(_fitting(text, guesses, wanted))

    def _verify_snapshot(self, event: BookReplaced, newest: bool) -> int:
        """The verdict on a snapshot's own content; its last trade price is searched if unstated."""
        if not event.hash:
            return UNCHECKABLE
        tail = self._tail
        if event.tick_e4 and event.tick_e4 != self.tick_e4:
            tail = self._tail_of(event.tick_e4)
        bids = b",".join([level_text(price, size) for price, size in event.bids])
        asks = b",".join([level_text(price, size) for price, size in event.asks])
        text = self._framed(event.token, event.venue_ts_ms, bids, asks, tail)
        if event.last_trade != UNKNOWN_TRADE:
            return MATCHED if _digest(text, event.last_trade) == event.hash else MISMATCHED
        found = _fitting(text, [self.last_trade, *self._trade_guesses, ""], event.hash)
        if found is None:
            step = _step_for(event.asks, _step_for(event.bids, self.step_e4))
            every = [trade_price_text(price) for price in range(step, ONE_E4, step)]
            found = _fitting(text, every, event.hash)
        if not newest and self.last_trade != UNKNOWN_TRADE:
            return MISMATCHED if found is None else MATCHED
        return self._adopt(found)

    def _adopt(self, last_trade: str | None) -> int:
        if last_trade is None:
            return MISMATCHED
        self.last_trade = last_trade
        return MATCHED

    # -- the grid -------------------------------------------------------------------------------

    def _newest(self, ts: int, digest: str, token: int, bid_e4: int, ask_e4: int) -> None:
        self.newest_ms = ts
        self.newest_hash = digest
        self.hash_token = token
        self.newest_bid_e4 = bid_e4
        self.newest_ask_e4 = ask_e4

    def _refine(self, step_e4: int) -> None:
        if step_e4 != self.step_e4:
            self._bids.refine(step_e4)
            self._asks.refine(step_e4)
            self.step_e4 = step_e4
            self._touch()

    def _touch(self) -> None:
        """The best prices have moved, or the grid has."""
        bid, ask, levels = self._bids.best, self._asks.best, len(self._asks.sizes)
        self.bid_e4 = max(bid, 0) * self.step_e4
        self.ask_e4 = min(ask * self.step_e4, ONE_E4)
        self.two_sided = bid >= 0 and ask < levels
        self.crossed = bid >= ask
        self.mid = (self.bid_e4 + self.ask_e4) / (2 * ONE_E4) if self.two_sided else -1.0


def _mirrored(levels: list[tuple[int, int]]) -> list[tuple[int, int]]:
    return [(ONE_E4 - price_e4, size_e6) for price_e4, size_e6 in levels]


def _step_for(levels: list[tuple[int, int]], step_e4: int) -> int:
    """The coarsest refinement of a grid of `step_e4` that holds every level's price."""
    for tick_e4 in TICKS_E4:
        if step_e4 % tick_e4 == 0 and all(price % tick_e4 == 0 for price, _ in levels):
            return tick_e4
    return 1


def _digest(text: bytes, last_trade: str) -> str:
    return sha1(b"".join((text, last_trade.encode(), b'"}')), usedforsecurity=False).hexdigest()


def _fitting(text: bytes, guesses: list[str], wanted: str) -> str | None:
    """The first guess of the last trade price with which the hash fits, None when none does.

    The price is the last thing hashed, so each guess costs one short update of a copied state.
    """
    state: HashState = sha1(text, usedforsecurity=False)
    for guess in guesses:
        attempt = state.copy()
        attempt.update(f'{guess}"}}'.encode())
        if attempt.hexdigest() == wanted:
            return guess
    return None
