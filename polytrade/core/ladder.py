"""One side of a book on an integer price grid, with the text of its levels as the venue hashes it.

The text is joined from kept fragments and only when it is asked for: a change of one level costs
one fragment, whatever the number of levels.
"""

from bisect import bisect_left
from typing import Final, final

from polytrade.core.units import ONE_E4, price_text, size_text

_PRICE_HEADS: Final[dict[int, str]] = {}
"""The text of a level up to its size, by price: at most ONE_E4 + 1 of them."""


def level_text(price_e4: int, size_e6: int) -> bytes:
    """A level as the venue writes it inside hashes (protocols 5.4)."""
    head = _PRICE_HEADS.get(price_e4)
    if head is None:
        head = f'{{"price":"{price_text(price_e4)}","size":"'
        _PRICE_HEADS[price_e4] = head
    return f'{head}{size_text(size_e6)}"}}'.encode()


@final
class Ladder:
    """The levels of one side: `sizes[i]` (1e-6 shares) rests at price `i * step_e4`.

    `stamps[i]` is the venue time of what is known of level `i`, `newest` the newest of them.
    `best` is the best occupied index; -1 for empty bids, the number of levels for empty asks.
    """

    __slots__ = (
        "_joined",
        "_keys",
        "_sign",
        "_texts",
        "best",
        "newest",
        "sizes",
        "stamps",
        "step_e4",
    )

    def __init__(self, bids: bool, step_e4: int) -> None:
        # Occupied indexes, negative for asks: in wire order (bids up, asks down) the best is last.
        self._sign = 1 if bids else -1
        self._keys: list[int] = []
        self._texts: list[bytes] = []
        self._joined: bytes | None = b""
        self.step_e4 = step_e4
        self.sizes: list[int] = []
        self.stamps: list[int] = []
        self.newest = -1
        self.best = -1
        self.clear(step_e4, -1)

    def clear(self, step_e4: int, stamp: int) -> None:
        """Empty at `stamp`, on a grid of `step_e4`."""
        count = ONE_E4 // step_e4 + 1
        self.step_e4 = step_e4
        self.sizes = [0] * count
        self.stamps = [stamp] * count
        self.newest = stamp
        self._keys = []
        self._texts = []
        self._joined = b""
        self._find_best()

    def put(self, index: int, size_e6: int, stamp: int) -> None:
        """Level `index` holds `size_e6` as of `stamp`; 0 removes it."""
        assert size_e6 >= 0, f"negative size {size_e6} at level {index}"
        assert 0 <= index < len(self.sizes), f"level {index} outside the grid of {self.step_e4}"
        self.stamps[index] = stamp
        self.newest = max(self.newest, stamp)
        before = self.sizes[index]
        if size_e6 == before:
            return
        self.sizes[index] = size_e6
        key = index * self._sign
        at = bisect_left(self._keys, key)
        if not size_e6:
            del self._keys[at]
            del self._texts[at]
        else:
            text = level_text(index * self.step_e4, size_e6)
            if before:
                self._texts[at] = text
            else:
                self._keys.insert(at, key)
                self._texts.insert(at, text)
        self._joined = None
        if not before or not size_e6:
            self._find_best()

    def replace(self, levels: list[tuple[int, int]], stamp: int, whole: bool) -> None:
        """Hold exactly these (price_e4, size_e6) as of `stamp`.

        Levels known as of a later time keep what they hold, unless `whole`.
        """
        kept: list[tuple[int, int, int]] = []
        if not whole and self.newest > stamp:
            for index in range(len(self.sizes)):
                if self.stamps[index] > stamp:
                    kept.append((index, self.sizes[index], self.stamps[index]))
        step, sign = self.step_e4, self._sign
        sizes = [0] * len(self.sizes)
        for price_e4, size_e6 in levels:
            assert size_e6 >= 0, f"negative size {size_e6} at {price_e4}"
            sizes[price_e4 // step] = size_e6
        self.stamps = [stamp] * len(sizes)
        self.newest = stamp
        if sizes != self.sizes:
            self.sizes = sizes
            occupied = {price // step * sign for price, _ in levels if sizes[price // step]}
            self._keys = sorted(occupied)
            self._texts = [level_text(k * sign * step, sizes[k * sign]) for k in self._keys]
            self._joined = None
            self._find_best()
        for index, size_e6, known in kept:
            self.put(index, size_e6, known)

    def refine(self, step_e4: int) -> None:
        """The same levels on a finer grid, whose step divides the present one."""
        ratio, rest = divmod(self.step_e4, step_e4)
        assert not rest, f"grid of {self.step_e4} refined to {step_e4}"
        sizes, stamps = self.sizes, self.stamps
        self.clear(step_e4, min(stamps))
        for index in range(len(sizes)):
            self.put(index * ratio, sizes[index], stamps[index])

    def levels(self, most: int) -> list[tuple[int, int]]:
        """Up to `most` (price_e4, size_e6), best first."""
        found: list[tuple[int, int]] = []
        for key in reversed(self._keys[-most:]):
            index = key * self._sign
            found.append((index * self.step_e4, self.sizes[index]))
        return found

    def top_e6(self, most: int) -> int:
        """The shares resting on the best `most` levels."""
        total_e6, sizes, sign = 0, self.sizes, self._sign
        for key in self._keys[-most:]:
            total_e6 += sizes[key * sign]
        return total_e6

    def text(self) -> bytes:
        """All levels in wire order, as inside a hash of this token's book."""
        joined = self._joined
        if joined is None:
            joined = b",".join(self._texts)
            self._joined = joined
        return joined

    def mirrored_text(self) -> bytes:
        """The same levels as the other token's opposite side, in its wire order."""
        texts: list[bytes] = []
        for key in self._keys:
            index = key * self._sign
            texts.append(level_text(ONE_E4 - index * self.step_e4, self.sizes[index]))
        return b",".join(texts)

    def _find_best(self) -> None:
        if self._keys:
            self.best = self._keys[-1] * self._sign
        else:
            self.best = -1 if self._sign > 0 else len(self.sizes)
