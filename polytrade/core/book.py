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

    `bids[i]` and `asks[i]` hold the size (1e-6 shares) resting at price `i * step_e4`.
    `tick_e4` is the market's tick, `step_e4` the grid's, which is never coarser.
    """

    __slots__ = (
        "_ask_text",
        "_ask_ts",
        "_bid_text",
        "_bid_ts",
        "_head",
        "_tail",
        "_trade_guesses",
        "asks",
        "best_ask",
        "best_bid",
        "bids",
        "hash_token",
        "last_trade",
        "market",
        "newest_ask_e4",
        "newest_bid_e4",
        "newest_hash",
        "newest_ms",
        "step_e4",
        "tick_e4",
    )

    def __init__(
        self, market: str, yes: str, no: str, tick_e4: int, min_size_e6: int, neg_risk: bool
    ) -> None:
        self.market = market
        self.tick_e4 = tick_e4
        self.step_e4 = tick_e4
        self.last_trade = UNKNOWN_TRADE
        self._trade_guesses: list[str] = []
        self._head = (
            f'{{"market":"{market}","asset_id":"{yes}","timestamp":"',
            f'{{"market":"{market}","asset_id":"{no}","timestamp":"',
        )
        self._tail = ""
        self.newest_ms = -1
        self.newest_hash = ""
        self.hash_token = YES
        self.newest_bid_e4 = -1
        self.newest_ask_e4 = -1
        self.bids: list[int] = []
        self.asks: list[int] = []
        self._bid_ts: list[int] = []
        self._ask_ts: list[int] = []
        self._bid_text: list[str] = []
        self._ask_text: list[str] = []
        self.best_bid = -1
        self.best_ask = 0
        self.set_terms(min_size_e6, neg_risk, tick_e4)
        self._clear(self.step_e4, -1)

    # -- what it says ---------------------------------------------------------------------------

    @property
    def bid_e4(self) -> int:
        """The best bid for YES; 0 when there is none."""
        return self.best_bid * self.step_e4 if self.best_bid >= 0 else 0

    @property
    def ask_e4(self) -> int:
        """The best ask for YES; ONE_E4 when there is none."""
        return self.best_ask * self.step_e4 if self.best_ask < len(self.asks) else ONE_E4

    @property
    def two_sided(self) -> bool:
        """Whether both sides have a level."""
        return self.best_bid >= 0 and self.best_ask < len(self.asks)

    @property
    def crossed(self) -> bool:
        """Whether the best bid is at or above the best ask: never true of a whole book."""
        return self.best_bid >= self.best_ask

    def size_e6(self, side: int, price_e4: int) -> int:
        """The size resting for YES at a price, 0 off the grid or outside it."""
        index, rest = divmod(price_e4, self.step_e4)
        if rest or not 0 <= index < len(self.bids):
            return 0
        return self.bids[index] if side == BUY else self.asks[index]

    def depth(self, side: int, levels: int) -> list[tuple[int, int]]:
        """Up to `levels` (price_e4, size_e6) of YES, best first."""
        found: list[tuple[int, int]] = []
        if side == BUY:
            index = self.best_bid
            while index >= 0 and len(found) < levels:
                if self.bids[index]:
                    found.append((index * self.step_e4, self.bids[index]))
                index -= 1
        else:
            index = self.best_ask
            while index < len(self.asks) and len(found) < levels:
                if self.asks[index]:
                    found.append((index * self.step_e4, self.asks[index]))
                index += 1
        return found

    # -- what happens to it ---------------------------------------------------------------------

    def set_terms(self, min_size_e6: int, neg_risk: bool, tick_e4: int) -> None:
        """Take the market's terms, which are part of every hash; a finer tick refines the grid."""
        self.tick_e4 = tick_e4
        self._tail = (
            f'],"min_order_size":"{size_text(min_size_e6)}","tick_size":"{price_text(tick_e4)}"'
            f',"neg_risk":{"true" if neg_risk else "false"},"last_trade_price":"'
        )
        if self.bids and self.step_e4 % tick_e4 == 0 and tick_e4 != self.step_e4:
            self._refine(tick_e4)

    def note_trade(self, price_e4: int) -> None:
        """A trade printed: either outcome's price may be the hash's next last trade price."""
        self._trade_guesses = [trade_price_text(price_e4), trade_price_text(ONE_E4 - price_e4)]

    def replace(self, event: BookReplaced, whole: bool) -> int:
        """Take a snapshot; the verdict is on the snapshot's own hash.

        Levels that a newer message has changed since keep the newer size, unless `whole`.
        """
        if event.last_trade != UNKNOWN_TRADE:
            self.last_trade = event.last_trade
        verdict = self._verify_snapshot(event)
        bids = _mirrored(event.asks) if event.token == NO else event.bids
        asks = _mirrored(event.bids) if event.token == NO else event.asks
        step = _step_for(self.step_e4, bids, _step_for(self.step_e4, asks, self.step_e4))
        if step != self.step_e4:
            self._refine(step)
        ts = event.venue_ts_ms
        kept: list[tuple[int, int, int, int]] = []
        if not whole:
            for index in range(len(self.bids)):
                if self._bid_ts[index] > ts:
                    kept.append((BUY, index, self.bids[index], self._bid_ts[index]))
                if self._ask_ts[index] > ts:
                    kept.append((1, index, self.asks[index], self._ask_ts[index]))
        self._clear(self.step_e4, ts)
        for price_e4, size in bids:
            self._set(BUY, price_e4 // self.step_e4, size, ts)
        for price_e4, size in asks:
            self._set(1, price_e4 // self.step_e4, size, ts)
        for side, index, size, level_ts in kept:
            self._set(side, index, size, level_ts)
        if whole or ts >= self.newest_ms:
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
            self._refine(_step_for(self.step_e4, [(price_e4, 0)], self.step_e4))
        index = price_e4 // self.step_e4
        ts = event.venue_ts_ms
        if ts >= (self._bid_ts[index] if side == BUY else self._ask_ts[index]):
            self._set(side, index, event.size_e6, ts)
        if ts >= self.newest_ms:
            bid_e4, ask_e4 = event.best_bid_e4, event.best_ask_e4
            if event.token == NO and bid_e4 >= 0 and ask_e4 >= 0:
                bid_e4, ask_e4 = ONE_E4 - ask_e4, ONE_E4 - bid_e4
            self._newest(ts, event.hash, event.token, bid_e4, ask_e4)
        if not check or self.last_trade == UNKNOWN_TRADE or not self.newest_hash:
            return UNCHECKABLE
        price = event.price_e4
        return self._verify_newest([trade_price_text(price), trade_price_text(ONE_E4 - price)])

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
        state = sha1(self._text(token, venue_ts_ms).encode())
        state.update(f'{last_trade}"}}'.encode())
        return state.hexdigest()

    def _text(self, token: int, venue_ts_ms: int) -> str:
        if token == YES:
            bids = ",".join([text for text in self._bid_text if text])
            asks = ",".join([text for text in reversed(self._ask_text) if text])
        else:
            bids = ",".join(_level_texts(self.asks, self.step_e4))
            asks = ",".join(reversed(_level_texts(self.bids, self.step_e4)))
        head = self._head[token]
        return f'{head}{venue_ts_ms}","hash":"","bids":[{bids}],"asks":[{asks}{self._tail}'

    def _verify_newest(self, guesses: list[str]) -> int:
        state = sha1(self._text(self.hash_token, self.newest_ms).encode())
        found = _fitting_trade(
            state, [self.last_trade, *guesses, *self._trade_guesses], self.newest_hash
        )
        if found is None:
            return MISMATCHED
        self.last_trade = found
        return MATCHED

    def _verify_snapshot(self, event: BookReplaced) -> int:
        """The verdict on a snapshot's own content; its last trade price is searched if unstated."""
        if not event.hash:
            return UNCHECKABLE
        tail = self._tail
        if event.tick_e4 and event.tick_e4 != self.tick_e4:
            old, new = price_text(self.tick_e4), price_text(event.tick_e4)
            tail = tail.replace(f'"tick_size":"{old}"', f'"tick_size":"{new}"')
        bids = ",".join([_level(price, size) for price, size in event.bids])
        asks = ",".join([_level(price, size) for price, size in event.asks])
        head = self._head[event.token]
        text = f'{head}{event.venue_ts_ms}","hash":"","bids":[{bids}],"asks":[{asks}{tail}'
        state = sha1(text.encode())
        if event.last_trade != UNKNOWN_TRADE:
            return (
                MATCHED
                if _fitting_trade(state, [event.last_trade], event.hash) is not None
                else MISMATCHED
            )
        guesses = [self.last_trade, *self._trade_guesses, ""]
        found = _fitting_trade(state, guesses, event.hash)
        if found is None:
            every = [trade_price_text(p) for p in range(self.step_e4, ONE_E4, self.step_e4)]
            found = _fitting_trade(state, every, event.hash)
        if found is None:
            return MISMATCHED
        if event.venue_ts_ms >= self.newest_ms:
            self.last_trade = found
        return MATCHED

    # -- the grid -------------------------------------------------------------------------------

    def _newest(self, ts: int, digest: str, token: int, bid_e4: int, ask_e4: int) -> None:
        self.newest_ms = ts
        self.newest_hash = digest
        self.hash_token = token
        self.newest_bid_e4 = bid_e4
        self.newest_ask_e4 = ask_e4

    def _clear(self, step_e4: int, ts: int) -> None:
        count = ONE_E4 // step_e4 + 1
        self.step_e4 = step_e4
        self.bids = [0] * count
        self.asks = [0] * count
        self._bid_ts = [ts] * count
        self._ask_ts = [ts] * count
        self._bid_text = [""] * count
        self._ask_text = [""] * count
        self.best_bid = -1
        self.best_ask = count

    def _set(self, side: int, index: int, size_e6: int, ts: int) -> None:
        assert size_e6 >= 0, f"negative size {size_e6} in {self.market}"
        text = _level(index * self.step_e4, size_e6) if size_e6 else ""
        if side == BUY:
            self.bids[index] = size_e6
            self._bid_ts[index] = ts
            self._bid_text[index] = text
            if size_e6:
                self.best_bid = max(self.best_bid, index)
            elif index == self.best_bid:
                while index >= 0 and not self.bids[index]:
                    index -= 1
                self.best_bid = index
        else:
            self.asks[index] = size_e6
            self._ask_ts[index] = ts
            self._ask_text[index] = text
            if size_e6:
                self.best_ask = min(self.best_ask, index)
            elif index == self.best_ask:
                count = len(self.asks)
                while index < count and not self.asks[index]:
                    index += 1
                self.best_ask = index

    def _refine(self, step_e4: int) -> None:
        """The same levels on a finer grid."""
        old_step, bids, asks = self.step_e4, self.bids, self.asks
        bid_ts, ask_ts = self._bid_ts, self._ask_ts
        floor = min(*bid_ts, *ask_ts) if bids else -1
        self._clear(step_e4, floor)
        for index in range(len(bids)):
            fine = index * old_step // step_e4
            self._set(BUY, fine, bids[index], bid_ts[index])
            self._set(1, fine, asks[index], ask_ts[index])


def _level(price_e4: int, size_e6: int) -> str:
    return f'{{"price":"{price_text(price_e4)}","size":"{size_text(size_e6)}"}}'


def _level_texts(sizes: list[int], step_e4: int) -> list[str]:
    """The other token's levels, ascending in its own price, from this token's sizes by index."""
    last = len(sizes) - 1
    return [
        _level(ONE_E4 - index * step_e4, sizes[index])
        for index in range(last, -1, -1)
        if sizes[index]
    ]


def _mirrored(levels: list[tuple[int, int]]) -> list[tuple[int, int]]:
    return [(ONE_E4 - price_e4, size_e6) for price_e4, size_e6 in levels]


def _step_for(step_e4: int, levels: list[tuple[int, int]], current: int) -> int:
    """The coarsest step not above `current` on which every level's price lies."""
    for candidate in TICKS_E4:
        if candidate <= min(step_e4, current) and all(
            price % candidate == 0 for price, _ in levels
        ):
            return candidate
    return 1


def _fitting_trade(state: HashState, guesses: list[str], wanted: str) -> str | None:
    """The first guess of the last trade price with which the hash fits, None when none does.

    The price is the last thing hashed, so each guess costs one short update of a copied state.
    """
    for guess in guesses:
        attempt = state.copy()
        attempt.update(f'{guess}"}}'.encode())
        if attempt.hexdigest() == wanted:
            return guess
    return None
